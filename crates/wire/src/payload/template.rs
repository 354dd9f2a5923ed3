//! Names with holes: `house/{1}/temperature`, `works/{measurement}/{tag:line}/{field}`, `zigbee2mqtt/{1}/set`.

use crate::line_protocol::Point;

/// A text with holes that a message fills.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Template {
    parts: Vec<Part>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Part {
    Text(Box<str>),
    /// What the n-th `+` of the filter stood for, from 0.
    Wildcard(usize),
    Measurement,
    Field,
    LineTag(Box<str>),
}

/// Which holes may stand in a template.
#[derive(Clone, Copy)]
pub(super) struct Holes {
    /// How many `+` the filter has.
    pub(super) wildcards: usize,
    /// Whether the payload is line protocol.
    pub(super) line: bool,
}

impl Template {
    pub(super) fn parse(text: &str, holes: Holes) -> Result<Self, String> {
        let mut parts = Vec::new();
        let mut rest = text;
        while let Some((before, inside)) = rest.split_once('{') {
            let (name, behind) = inside.split_once('}').ok_or("a `{` has no `}`")?;
            if !before.is_empty() {
                parts.push(Part::Text(before.into()));
            } else if matches!(parts.last(), Some(last) if !matches!(last, Part::Text(_))) {
                return Err("two placeholders need something between them".to_owned());
            }
            parts.push(hole(name, holes)?);
            rest = behind;
        }
        if rest.contains('}') {
            return Err("a `}` has no `{`".to_owned());
        }
        if !rest.is_empty() {
            parts.push(Part::Text(rest.into()));
        }
        Ok(Self { parts })
    }

    /// The text, when there are no holes.
    pub(super) fn fixed(&self) -> Option<&str> {
        match self.parts.as_slice() {
            [] => Some(""),
            [Part::Text(text)] => Some(text),
            _ => None,
        }
    }

    /// Fills the wildcards; other holes stay empty.
    pub(super) fn fill(&self, wildcards: &[&str]) -> String {
        self.render(|part| match part {
            Part::Wildcard(number) => wildcards.get(*number).copied(),
            _ => None,
        })
        .unwrap_or_default()
    }

    /// Fills all holes from a point of line protocol.
    /// # Errors
    /// The name of the line protocol tag that the point lacks.
    pub(super) fn fill_from(&self, wildcards: &[&str], point: &Point<'_>, field: &str) -> Result<String, String> {
        self.render(|part| match part {
            Part::Wildcard(number) => wildcards.get(*number).copied(),
            Part::Measurement => Some(&point.measurement),
            Part::Field => Some(field),
            Part::LineTag(name) => point.tag(name),
            Part::Text(_) => None,
        })
    }

    fn render<'a>(&'a self, hole: impl Fn(&'a Part) -> Option<&'a str>) -> Result<String, String> {
        let mut text = String::with_capacity(64);
        for part in &self.parts {
            match (part, hole(part)) {
                (Part::Text(fixed), _) => text.push_str(fixed),
                (_, Some(filled)) => text.push_str(filled),
                (Part::LineTag(name), None) => return Err(name.to_string()),
                (_, None) => {}
            }
        }
        Ok(text)
    }

    /// What the wildcards were when filling them gave `text`; `None` when it cannot have. A wildcard never holds `/`.
    pub(super) fn unfill<'t>(&self, text: &'t str, wildcards: usize) -> Option<Vec<&'t str>> {
        let mut found = vec![""; wildcards];
        let mut rest = text;
        let mut parts = self.parts.iter().peekable();
        while let Some(part) = parts.next() {
            rest = match part {
                Part::Text(fixed) => rest.strip_prefix(&**fixed)?,
                Part::Wildcard(number) => {
                    let end = match parts.peek() {
                        Some(Part::Text(next)) => rest.find(&**next)?,
                        _ => rest.len(),
                    };
                    let (held, behind) = rest.split_at_checked(end)?;
                    let slot = found.get_mut(*number)?;
                    if held.is_empty() || held.contains('/') || !(slot.is_empty() || *slot == held) {
                        return None;
                    }
                    *slot = held;
                    behind
                }
                _ => return None,
            };
        }
        rest.is_empty().then_some(found)
    }

    /// The template as a topic filter, with the number of the wildcard of each `+`.
    /// # Errors
    /// When a placeholder is not a whole level of the topic.
    pub(super) fn as_filter(&self) -> Result<(String, Vec<usize>), String> {
        let mut filter = String::new();
        let mut order = Vec::new();
        for part in &self.parts {
            match part {
                Part::Text(text) => filter.push_str(text),
                Part::Wildcard(number) => {
                    filter.push('+');
                    order.push(*number);
                }
                _ => return Err("only {1}, {2}, … may stand in a topic".to_owned()),
            }
        }
        let whole = filter.split('/').all(|level| level == "+" || !level.contains('+'));
        if whole { Ok((filter, order)) } else { Err("in a topic a placeholder must be a whole level".to_owned()) }
    }
}

fn hole(name: &str, holes: Holes) -> Result<Part, String> {
    if let Ok(number) = name.parse::<usize>() {
        return match number.checked_sub(1).filter(|at| *at < holes.wildcards) {
            Some(at) => Ok(Part::Wildcard(at)),
            None => Err(format!("{{{name}}}: the filter has {} `+`, counted from 1", holes.wildcards)),
        };
    }
    match name.strip_prefix("tag:") {
        Some(tag) if holes.line && !tag.is_empty() => Ok(Part::LineTag(tag.into())),
        None if holes.line && name == "measurement" => Ok(Part::Measurement),
        None if holes.line && name == "field" => Ok(Part::Field),
        _ if holes.line => Err(format!("{{{name}}}: write {{measurement}}, {{field}}, {{tag:NAME}} or {{1}}")),
        _ => Err(format!("{{{name}}}: write {{1}} for what the first `+` of the filter stands for")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TWO: Holes = Holes { wildcards: 2, line: false };

    #[test]
    fn fills_and_unfills() {
        let template = Template::parse("house/{2}/lamp-{1}/on", TWO).expect("good");
        assert_eq!(template.fill(&["a", "living"]), "house/living/lamp-a/on");
        assert_eq!(template.unfill("house/living/lamp-a/on", 2), Some(vec!["a", "living"]));
        for other in ["house/living/lamp-/on", "house/a/b/lamp-c/on", "house/living/lamp-a/on/x", "garden"] {
            assert_eq!(template.unfill(other, 2), None, "{other}");
        }
    }

    #[test]
    fn refuses_unknown_holes() {
        for bad in ["a/{3}", "a/{0}", "a/{room}", "a/{1", "a/1}", "a/{1}{2}", "a/{field}"] {
            assert!(Template::parse(bad, TWO).is_err(), "{bad}");
        }
        assert!(Template::parse("{measurement}/{tag:line}/{field}", Holes { wildcards: 0, line: true }).is_ok());
    }

    #[test]
    fn a_topic_has_whole_levels() {
        let topic = Template::parse("z/{2}/{1}/set", TWO).expect("good");
        assert_eq!(topic.as_filter(), Ok(("z/+/+/set".to_owned(), vec![1, 0])));
        assert!(Template::parse("z/lamp-{1}/set", TWO).expect("good").as_filter().is_err());
    }
}
