//! A value held against a schema: the verdict, and where and why not.
//!
//! Words are made only for what is told. What an alternative says against a value is not, so while alternatives are tried no text is
//! built.

use super::values::{Same, compare, is_multiple, is_whole, order, weight};
use super::{Bound, Check, Part, Pattern, STEPS_LIMIT, Schema, Type, brief, brief_text};
use serde_json::{Map, Number, Value as Json};
use std::cell::Cell;
use std::cmp::Ordering;
use std::collections::HashSet;

/// Why a value does not fit.
enum Wrong {
    /// Where, as a JSON pointer (RFC 6901) written from its end; and what.
    At(Vec<String>, String),
    /// It does not, and nobody asks why.
    Untold,
    /// There are no steps left.
    TooMuch,
}

impl Wrong {
    fn below(self, level: impl FnOnce() -> String) -> Self {
        match self {
            Self::At(mut path, words) => {
                path.push(level());
                Self::At(path, words)
            }
            other => other,
        }
    }
}

type Verdict = Result<(), Wrong>;

impl Schema {
    /// In words, where and how a value does not fit.
    pub(crate) fn check(&self, value: &Json) -> Result<(), String> {
        let run = Run { parts: &self.parts, left: Cell::new(STEPS_LIMIT), silent: Cell::new(0) };
        run.part(self.root, value).map_err(|wrong| match wrong {
            Wrong::At(path, words) => {
                let level = |level: &String| format!("/{}", level.replace('~', "~0").replace('/', "~1"));
                let path: String = path.iter().rev().map(level).collect();
                let place = if path.is_empty() { "the payload".to_owned() } else { format!("the payload at {path}") };
                format!("{place}: {words}")
            }
            Wrong::Untold | Wrong::TooMuch => {
                format!("the payload is too much to check: it takes more than {STEPS_LIMIT} steps; send less at once, or ask less in the schema")
            }
        })
    }
}

/// The check of one payload.
struct Run<'s> {
    parts: &'s [Part],
    /// How many steps it may still take.
    left: Cell<u64>,
    /// In how many alternatives we are.
    silent: Cell<u32>,
}

impl Run<'_> {
    fn take(&self, steps: u64) -> Verdict {
        match self.left.get().checked_sub(steps) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => Err(Wrong::TooMuch),
        }
    }

    /// It does not fit, for this reason.
    fn no(&self, words: impl FnOnce() -> String) -> Verdict {
        Err(if self.silent.get() > 0 { Wrong::Untold } else { Wrong::At(Vec::new(), words()) })
    }

    fn part(&self, number: usize, value: &Json) -> Verdict {
        let Some(part) = self.parts.get(number) else { return Ok(()) };
        part.checks.iter().try_for_each(|check| {
            self.take(1)?;
            self.holds(check, value)
        })
    }

    /// Whether a value fits, without words.
    fn fits(&self, number: usize, value: &Json) -> Result<bool, Wrong> {
        self.silent.set(self.silent.get() + 1);
        let verdict = self.part(number, value);
        self.silent.set(self.silent.get() - 1);
        match verdict {
            Ok(()) => Ok(true),
            Err(Wrong::TooMuch) => Err(Wrong::TooMuch),
            Err(_) => Ok(false),
        }
    }

    /// How many of the parts a value fits, up to so many.
    fn how_many(&self, parts: &[usize], value: &Json, enough: usize) -> Result<usize, Wrong> {
        let mut count = 0;
        for part in parts {
            count += usize::from(self.fits(*part, value)?);
            if count == enough {
                break;
            }
        }
        Ok(count)
    }

    fn matches(&self, pattern: &Pattern, text: &str) -> Result<bool, Wrong> {
        self.take(pattern.steps(text.len()))?;
        Ok(pattern.regex.is_match(text))
    }

    fn holds(&self, check: &Check, value: &Json) -> Verdict {
        match check {
            Check::Never => self.no(|| "nothing may stand here".to_owned()),
            Check::Types(types) => self.of_type(types, value),
            Check::OneOfValues(known, told) => {
                let mut steps = 0;
                let found = known.binary_search_by(|one| order(one, value, &mut steps));
                self.take(steps)?;
                if found.is_ok() { Ok(()) } else { self.no(|| format!("{} is not {told}", brief(value))) }
            }
            Check::All(parts) => parts.iter().try_for_each(|part| self.part(*part, value)),
            Check::Any(parts) => match self.how_many(parts, value, 1)? {
                0 => self.no(|| format!("{} fits none of the {} alternatives", brief(value), parts.len())),
                _ => Ok(()),
            },
            Check::One(parts) => match self.how_many(parts, value, 2)? {
                1 => Ok(()),
                0 => self.no(|| format!("{} fits none of the {} alternatives", brief(value), parts.len())),
                _ => self.no(|| format!("{} fits more than one of the alternatives", brief(value))),
            },
            Check::Not(part) => {
                if self.fits(*part, value)? {
                    self.no(|| format!("{} is what it must not be", brief(value)))
                } else {
                    Ok(())
                }
            }
            Check::If { condition, then, otherwise } => {
                let next = if self.fits(*condition, value)? { then } else { otherwise };
                next.map_or(Ok(()), |part| self.part(part, value))
            }
            Check::DependentSchemas(all) => {
                let Json::Object(members) = value else { return Ok(()) };
                self.take(all.len() as u64)?;
                let there = all.iter().filter(|(name, _)| members.contains_key(name));
                there.map(|(_, part)| *part).try_for_each(|part| self.part(part, value))
            }
            _ => match value {
                Json::Number(number) => self.number_holds(check, number),
                Json::String(text) => self.text_holds(check, text),
                Json::Array(items) => self.list_holds(check, items),
                Json::Object(members) => self.object_holds(check, members),
                Json::Null | Json::Bool(_) => Ok(()),
            },
        }
    }

    fn of_type(&self, types: &[Type], value: &Json) -> Verdict {
        let fits = |wanted: &Type| match (wanted, value) {
            (Type::Null, Json::Null)
            | (Type::Boolean, Json::Bool(_))
            | (Type::Number, Json::Number(_))
            | (Type::String, Json::String(_))
            | (Type::Array, Json::Array(_))
            | (Type::Object, Json::Object(_)) => true,
            (Type::Integer, Json::Number(number)) => is_whole(number),
            _ => false,
        };
        if types.iter().any(fits) {
            return Ok(());
        }
        self.no(|| {
            let wanted: Vec<&str> = types.iter().map(|wanted| wanted.word()).collect();
            format!("{} is not {}", brief(value), wanted.join(" or "))
        })
    }

    fn number_holds(&self, check: &Check, number: &Number) -> Verdict {
        let fits = match check {
            Check::Number(bound, limit) => {
                let order = compare(number, limit);
                match bound {
                    Bound::Least => order != Ordering::Less,
                    Bound::Above => order == Ordering::Greater,
                    Bound::Most => order != Ordering::Greater,
                    Bound::Below => order == Ordering::Less,
                }
            }
            Check::MultipleOf(unit) => is_multiple(number, unit),
            _ => true,
        };
        if fits {
            return Ok(());
        }
        self.no(|| {
            let wanted = match check {
                Check::Number(Bound::Least, limit) => format!("below the least {limit}"),
                Check::Number(Bound::Above, limit) => format!("not above {limit}"),
                Check::Number(Bound::Most, limit) => format!("above the most {limit}"),
                Check::Number(Bound::Below, limit) => format!("not below {limit}"),
                Check::MultipleOf(unit) => format!("no multiple of {unit}"),
                _ => "not what it should be".to_owned(),
            };
            format!("{number} is {wanted}")
        })
    }

    fn text_holds(&self, check: &Check, text: &str) -> Verdict {
        match check {
            Check::Length(size, limit) => {
                self.take(text.len() as u64 >> 6)?;
                let count = text.chars().count() as u64;
                if size.holds(count, *limit) {
                    return Ok(());
                }
                self.no(|| format!("{count} characters, and it should be {} {limit}", size.words()))
            }
            Check::Pattern(pattern) => {
                if self.matches(pattern, text)? {
                    return Ok(());
                }
                self.no(|| format!("{} does not match {}", brief_text(text), pattern.regex))
            }
            _ => Ok(()),
        }
    }

    fn list_holds(&self, check: &Check, items: &[Json]) -> Verdict {
        match check {
            Check::Items(size, limit) if !size.holds(items.len() as u64, *limit) => {
                self.no(|| format!("{} elements, and it should be {} {limit}", items.len(), size.words()))
            }
            Check::Unique => {
                // Each is looked at when it is noted, and when it is compared.
                self.take(items.iter().map(weight).sum::<u64>().saturating_mul(2))?;
                let mut seen = HashSet::with_capacity(items.len());
                match items.iter().position(|item| !seen.insert(Same(item))) {
                    None => Ok(()),
                    Some(at) => self.no(|| "is there twice".to_owned()).map_err(|wrong| wrong.below(|| at.to_string())),
                }
            }
            Check::Each { first, rest } => items.iter().enumerate().try_for_each(|(at, item)| {
                let Some(part) = first.get(at).copied().or(*rest) else { return Ok(()) };
                self.take(1)?;
                self.part(part, item).map_err(|wrong| wrong.below(|| at.to_string()))
            }),
            Check::Contains { part, least, most } => self.contains(items, *part, *least, *most),
            _ => Ok(()),
        }
    }

    fn contains(&self, items: &[Json], part: usize, least: u64, most: Option<u64>) -> Verdict {
        let enough = most.map_or(least, |most| most.saturating_add(1)).max(least);
        let mut count = 0;
        for item in items {
            if count >= enough {
                break;
            }
            self.take(1)?;
            count += u64::from(self.fits(part, item)?);
        }
        if count >= least && most.is_none_or(|most| count <= most) {
            return Ok(());
        }
        let wanted = if count < least { "too few" } else { "too many" };
        self.no(|| format!("{wanted} of its elements are what it must contain"))
    }

    fn object_holds(&self, check: &Check, members: &Map<String, Json>) -> Verdict {
        match check {
            Check::Members(size, limit) if !size.holds(members.len() as u64, *limit) => {
                self.no(|| format!("{} members, and it should be {} {limit}", members.len(), size.words()))
            }
            Check::Required(names) => {
                self.take(names.len() as u64)?;
                match names.iter().find(|name| !members.contains_key(*name)) {
                    None => Ok(()),
                    Some(name) => self.no(|| format!("\"{name}\" is missing")),
                }
            }
            Check::DependentRequired(all) => {
                self.take(all.iter().map(|(_, others)| 1 + others.len() as u64).sum())?;
                let there = all.iter().filter(|(name, _)| members.contains_key(name));
                let mut missing =
                    there.filter_map(|(name, others)| Some((name, others.iter().find(|o| !members.contains_key(*o))?)));
                match missing.next() {
                    None => Ok(()),
                    Some((name, other)) => self.no(|| format!("\"{name}\" is there, and \"{other}\" is missing")),
                }
            }
            Check::Properties { named, patterns, rest } => members.iter().try_for_each(|(name, value)| {
                self.take(1)?;
                let own = named.get(name);
                let mut known = own.is_some();
                let mut all = || {
                    own.map_or(Ok(()), |part| self.part(*part, value))?;
                    for (pattern, part) in patterns {
                        if self.matches(pattern, name)? {
                            known = true;
                            self.part(*part, value)?;
                        }
                    }
                    match rest.filter(|_| !known) {
                        Some(part) => self.part(part, value),
                        None => Ok(()),
                    }
                };
                all().map_err(|wrong| wrong.below(|| name.clone()))
            }),
            Check::Names(part) => members.keys().try_for_each(|name| {
                self.take(1 + (name.len() as u64 >> 6))?;
                self.part(*part, &Json::String(name.clone())).map_err(|wrong| match wrong {
                    Wrong::At(_, words) => Wrong::At(Vec::new(), format!("the name \"{name}\": {words}")),
                    other => other,
                })
            }),
            _ => Ok(()),
        }
    }
}
