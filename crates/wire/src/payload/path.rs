//! Where in a JSON document a value stands: `temperature`, `ENERGY.Power`, `params.switch:0.apower`, `a[0].b`,
//! `["a key.with dots"].b`, or `$` for the whole document.

use serde_json::Value as Json;

const MAX_STEPS: usize = 16;

/// A checked path of at most 16 steps.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct JsonPath {
    steps: Vec<Step>,
}

#[derive(Clone, PartialEq, Eq, Debug)]
enum Step {
    Key(Box<str>),
    Index(usize),
}

impl JsonPath {
    pub(super) fn parse(text: &str) -> Result<Self, String> {
        let mut steps = Vec::new();
        let mut rest = text.strip_prefix('$').map_or(text, |rest| rest.strip_prefix('.').unwrap_or(rest));
        if rest.is_empty() && !text.starts_with('$') {
            return Err("a path must not be empty; `$` is the whole payload".to_owned());
        }
        while !rest.is_empty() {
            let (step, behind) = if rest.starts_with('[') { bracket(rest)? } else { plain(rest)? };
            steps.push(step);
            rest = match behind.strip_prefix('.') {
                Some("") => return Err(format!("\"{text}\" ends with a dot")),
                Some(next) => next,
                None => behind,
            };
        }
        if steps.len() > MAX_STEPS {
            return Err(format!("a path has at most {MAX_STEPS} steps"));
        }
        Ok(Self { steps })
    }

    /// One key, taken literally.
    pub(super) fn key(name: &str) -> Self {
        Self { steps: vec![Step::Key(name.into())] }
    }

    pub(super) fn find<'j>(&self, root: &'j Json) -> Option<&'j Json> {
        walk(&self.steps, root)
    }

    /// As [`Self::find`] in a document that stands under `key` of the one the path was written for.
    pub(super) fn find_under<'j>(&self, key: &str, inner: &'j Json) -> Option<&'j Json> {
        match self.steps.split_first() {
            Some((Step::Key(first), rest)) if **first == *key => walk(rest, inner),
            _ => None,
        }
    }
}

fn walk<'j>(steps: &[Step], root: &'j Json) -> Option<&'j Json> {
    steps.iter().try_fold(root, |at, step| match step {
        Step::Key(key) => at.get(&**key),
        Step::Index(index) => at.get(index),
    })
}

fn plain(rest: &str) -> Result<(Step, &str), String> {
    let end = rest.find(['.', '[']).unwrap_or(rest.len());
    let (key, behind) = rest.split_at_checked(end).unwrap_or((rest, ""));
    if key.is_empty() {
        return Err(format!("there is a name missing before \"{rest}\""));
    }
    Ok((Step::Key(key.into()), behind))
}

fn bracket(rest: &str) -> Result<(Step, &str), String> {
    if let Some(quoted) = rest.strip_prefix("[\"") {
        let (key, behind) = quoted.split_once("\"]").ok_or_else(|| format!("\"{rest}\" lacks its closing `\"]`"))?;
        return Ok((Step::Key(key.into()), behind));
    }
    let inside = rest.strip_prefix('[').and_then(|rest| rest.split_once(']'));
    let (digits, behind) = inside.ok_or_else(|| format!("\"{rest}\" lacks its closing `]`"))?;
    let index = digits.parse().map_err(|_| format!("\"[{digits}]\" is no index; write [0] or [\"key\"]"))?;
    Ok((Step::Index(index), behind))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn finds_what_devices_send() {
        let root = json!({"temperature": 1, "ENERGY": {"Power": 2}, "params": {"switch:0": {"apower": 3}}, "a": [{"b": 4}], "x.y z": {"b": 5}});
        for (path, expected) in [
            ("temperature", 1),
            ("$.temperature", 1),
            ("ENERGY.Power", 2),
            ("params.switch:0.apower", 3),
            ("a[0].b", 4),
            ("[\"x.y z\"].b", 5),
        ] {
            let found = JsonPath::parse(path).expect(path);
            assert_eq!(found.find(&root), Some(&json!(expected)), "{path}");
        }
        assert_eq!(JsonPath::parse("$").expect("root").find(&root), Some(&root));
        assert_eq!(JsonPath::parse("a[1].b").expect("good").find(&root), None);
    }

    #[test]
    fn refuses_half_paths() {
        for bad in ["", ".", "a.", "a..b", "a[", "a[x]", "a[-1]", "[\"a]", &"a.".repeat(20)] {
            assert!(JsonPath::parse(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn parsing_never_panics(text in "[a$.\\[\\]\"0-9é]{0,20}") {
            let _ = JsonPath::parse(&text).map(|path| path.find(&Json::Null).cloned());
        }
    }
}
