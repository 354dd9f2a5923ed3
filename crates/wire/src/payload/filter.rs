//! Topic filters (MQTT 5.0 §4.7) in a tree, so that a message is compared with its own levels and not with every filter.

use std::collections::HashMap;

/// No filter of a mapping is deeper; deeper topics still match `#`.
const MAX_LEVELS: usize = 32;

/// Checks a topic filter: 1 to 1,024 bytes, at most 32 levels, `+` and `#` alone in their level, `#` last, no NUL.
/// [MQTT-4.7.1-1], [MQTT-4.7.1-2], [MQTT-4.7.3-1], [MQTT-4.7.3-2].
/// # Errors
/// In words, what is wrong.
pub(super) fn check_filter(filter: &str) -> Result<(), String> {
    if filter.is_empty() || filter.len() > 1024 || filter.contains('\0') {
        return Err("a topic filter has 1 to 1,024 bytes and no NUL".to_owned());
    }
    let levels: Vec<&str> = filter.split('/').collect();
    if levels.len() > MAX_LEVELS {
        return Err(format!("a topic filter has at most {MAX_LEVELS} levels here"));
    }
    for (at, level) in levels.iter().enumerate() {
        if level.contains(['+', '#']) && level.len() > 1 {
            return Err(format!("in \"{level}\" the `+` or `#` must stand alone between two `/`"));
        }
        if *level == "#" && at + 1 < levels.len() {
            return Err("`#` must be the last level".to_owned());
        }
    }
    Ok(())
}

/// Numbers under topic filters.
#[derive(Debug, Default)]
pub struct Filters {
    root: Node,
}

#[derive(Debug, Default)]
struct Node {
    levels: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    here: Vec<usize>,
    below: Vec<usize>,
}

impl Filters {
    /// Adds a number. `filter` is a good topic filter; another one is taken as far as its first `#`.
    pub fn insert(&mut self, filter: &str, number: usize) {
        let mut node = &mut self.root;
        for level in filter.split('/') {
            node = match level {
                "#" => {
                    node.below.push(number);
                    return;
                }
                "+" => node.any.get_or_insert_default(),
                _ => node.levels.entry(level.into()).or_default(),
            };
        }
        node.here.push(number);
    }

    /// The numbers of all filters that match `topic`, in ascending order.
    #[must_use]
    pub fn matches(&self, topic: &str) -> Vec<usize> {
        let mut found = Vec::new();
        // A wildcard in the first level leaves the `$` topics alone. [MQTT-4.7.2-1]
        walk(&self.root, Some(topic), !topic.starts_with('$'), &mut found);
        found.sort_unstable();
        found
    }
}

/// As deep as the deepest filter, whatever the topic.
fn walk(node: &Node, rest: Option<&str>, wildcards: bool, found: &mut Vec<usize>) {
    if wildcards {
        found.extend(&node.below);
    }
    let Some(rest) = rest else {
        found.extend(&node.here);
        return;
    };
    let (level, next) = rest.split_once('/').map_or((rest, None), |(level, next)| (level, Some(next)));
    if let Some(child) = node.levels.get(level) {
        walk(child, next, true, found);
    }
    if let Some(child) = node.any.as_ref().filter(|_| wildcards) {
        walk(child, next, true, found);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    /// The rule of the standard, level by level.
    fn by_the_book(filter: &str, topic: &str) -> bool {
        if topic.starts_with('$') && filter.starts_with(['+', '#']) {
            return false;
        }
        let (mut filter, mut topic) = (filter.split('/'), topic.split('/'));
        loop {
            match (filter.next(), topic.next()) {
                (Some("#"), _) | (None, None) => return true,
                (Some("+"), Some(_)) => {}
                (Some(a), Some(b)) if a == b => {}
                _ => return false,
            }
        }
    }

    #[test]
    fn checks_filters() {
        for good in ["a", "/", "a/+/b", "+", "#", "a/#", "+/+/#"] {
            assert_eq!(check_filter(good), Ok(()), "{good}");
        }
        for bad in ["", "a+", "a/b#", "#/a", "a/#/b", "a\0", &"a/".repeat(40)] {
            assert!(check_filter(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn finds_what_the_standard_says(
            filters in proptest::collection::vec("([ab+]|)(/[ab+]|/){0,3}(/#)?|#|\\$[ab](/[+a])?", 1..8),
            topic in "\\$?([ab]|)(/[ab]|/){0,4}",
        ) {
            let mut tree = Filters::default();
            for (number, filter) in filters.iter().enumerate() {
                tree.insert(filter, number);
            }
            let expected: Vec<usize> =
                (0..filters.len()).filter(|number| by_the_book(&filters[*number], &topic)).collect();
            prop_assert_eq!(tree.matches(&topic), expected);
        }
    }
}
