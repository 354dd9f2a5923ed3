//! The rules in force, in a tree, so that a topic is compared with its own levels and not with every filter.

use crate::book::Book;
use crate::settings;
use crate::{Rule, SparkplugCheck};
use andon_model::Timestamp;
use andon_model::plant::{Finding, Plant};
use std::collections::HashMap;
use std::str::Split;
use std::sync::Arc;

/// The rules of a plant, compiled.
#[derive(Debug, Default)]
pub struct TopicRules {
    rules: Vec<Arc<Rule>>,
    root: Node,
}

/// A level of filters: each node is asked at most once for a topic.
#[derive(Debug, Default)]
struct Node {
    names: HashMap<Box<str>, Node>,
    any: Option<Box<Node>>,
    /// The rule whose filter ends here.
    here: Option<usize>,
    /// The rule whose filter ends here with `#`.
    below: Option<usize>,
}

impl TopicRules {
    /// Compiles the rules of a plant, in force from `now` on. A rule that was the same `before` goes on with its book.
    /// # Errors
    /// The name of the first rule that cannot be used, and what is wrong with it; nothing is compiled in part.
    pub fn of_plant(
        plant: &Plant,
        sparkplug: SparkplugCheck,
        before: &Self,
        now: Timestamp,
    ) -> Result<Self, (String, Finding)> {
        let equipment = settings::equipment_of(plant);
        let mut rules = Self::default();
        for def in &plant.topic_rules {
            let mut rule = settings::compile(def, &equipment, sparkplug).map_err(|findings| {
                (def.name.clone(), findings.into_iter().next().unwrap_or_else(settings::unknown))
            })?;
            let same = before.rules.iter().find(|known| known.def == *def);
            rule.book = same.map_or_else(|| Arc::new(Book::new(now)), |known| known.book.clone());
            rules.add(rule);
        }
        Ok(rules)
    }

    fn add(&mut self, rule: Rule) {
        let number = self.rules.len();
        let mut node = &mut self.root;
        let mut below = false;
        for level in rule.def.filter.split('/') {
            match level {
                "#" => below = true,
                "+" => node = node.any.get_or_insert_default(),
                name => node = node.names.entry(name.into()).or_default(),
            }
        }
        *(if below { &mut node.below } else { &mut node.here }) = Some(number);
        self.rules.push(Arc::new(rule));
    }

    /// Whether there is none.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.rules.is_empty()
    }

    /// All of them, by name.
    #[must_use]
    pub fn all(&self) -> &[Arc<Rule>] {
        &self.rules
    }

    /// The one rule of a topic: that with the most exact filter.
    #[must_use]
    pub fn of(&self, topic: &str) -> Option<&Arc<Rule>> {
        if self.rules.is_empty() || topic.starts_with('$') {
            return None;
        }
        self.rules.get(find(&self.root, topic.split('/'))?)
    }
}

/// Names before `+` before `#`, from the first level on: what is found first is the most exact.
fn find(node: &Node, mut levels: Split<'_, char>) -> Option<usize> {
    let Some(level) = levels.next() else { return node.here.or(node.below) };
    let named = node.names.get(level).and_then(|next| find(next, levels.clone()));
    let any = || node.any.as_ref().and_then(|next| find(next, levels));
    named.or_else(any).or(node.below)
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::plant::TopicRuleDef;
    use andon_wire::mqtt::TopicFilter;
    use proptest::prelude::*;

    fn rules(filters: &[String]) -> TopicRules {
        let def = |(at, filter): (usize, &String)| TopicRuleDef {
            name: format!("r{at:03}"),
            filter: filter.clone(),
            settings: serde_json::json!({}),
        };
        let topic_rules = filters.iter().enumerate().map(def).collect();
        TopicRules::of_plant(
            &Plant { topic_rules, ..Plant::default() },
            |_| Ok(()),
            &TopicRules::default(),
            Timestamp::default(),
        )
        .expect("good rules")
    }

    fn filter_of<'r>(rules: &'r TopicRules, topic: &str) -> Option<&'r str> {
        rules.of(topic).map(|rule| rule.def.filter.as_str())
    }

    #[test]
    fn the_most_exact_filter_holds_and_a_topic_of_the_server_has_no_rule() {
        let all = ["#", "plant/#", "plant/+/press/#", "plant/a/press/#", "plant/a/+/x", "plant/+", "plant"];
        let rules = rules(&all.map(str::to_owned));
        for (topic, filter) in [
            ("plant/a/press/x", "plant/a/press/#"),
            ("plant/a/mill/x", "plant/a/+/x"),
            ("plant/b/press", "plant/+/press/#"),
            ("plant/b/press/x/y", "plant/+/press/#"),
            ("plant/b/mill", "plant/#"),
            ("plant/b", "plant/+"),
            ("plant", "plant"),
            ("home", "#"),
            ("/", "#"),
        ] {
            assert_eq!(filter_of(&rules, topic), Some(filter), "{topic}");
        }
        assert_eq!(filter_of(&rules, "$SYS/broker/uptime"), None);
        assert_eq!(filter_of(&self::rules(&[]), "plant"), None);
    }

    #[test]
    fn a_rule_that_stays_the_same_goes_on_with_its_book() {
        let mut plant = Plant::default();
        let def = |name: &str, settings| TopicRuleDef { name: name.to_owned(), filter: format!("{name}/#"), settings };
        plant.topic_rules = vec![def("a", serde_json::json!({})), def("b", serde_json::json!({}))];
        let at = Timestamp::from_millis;
        let first = TopicRules::of_plant(&plant, |_| Ok(()), &TopicRules::default(), at(1)).expect("good rules");
        first.all().iter().for_each(|rule| rule.book.matched());
        plant.topic_rules[1].settings = serde_json::json!({"durability": "volatile"});
        let second = TopicRules::of_plant(&plant, |_| Ok(()), &first, at(2)).expect("good rules");
        let books: Vec<_> = second.all().iter().map(|rule| (rule.book.since, rule.book.counts().0)).collect();
        assert_eq!(books, [(at(1), 1), (at(2), 0)]);
    }

    /// Level by level: a name, `+`, `#`; where one has ended and the other goes on with `#`, the end is more exact.
    fn exactness(filter: &str) -> Vec<u8> {
        let mut levels: Vec<u8> = filter
            .split('/')
            .map(|level| match level {
                "#" => 3,
                "+" => 2,
                _ => 1,
            })
            .collect();
        levels.push(0);
        levels
    }

    proptest! {
        #[test]
        fn finds_what_a_look_at_every_filter_finds(
            filters in proptest::collection::btree_set("([ab]{0,1}/|[+]/){0,3}(#|[+]|[ab]{1,2})", 1..24),
            topic in "[$]?[ab/]{1,6}",
        ) {
            let filters: Vec<String> = filters.into_iter().collect();
            let rules = rules(&filters);
            let matching = filters.iter().filter(|f| TopicFilter::parse(f).unwrap().matches(&topic));
            let best = matching.min_by_key(|filter| exactness(filter)).filter(|_| !topic.starts_with('$'));
            prop_assert_eq!(filter_of(&rules, &topic), best.map(String::as_str));
        }
    }
}
