//! What topic rules say is to be kept, as the broker asks it.

use andon_broker::{Keep, Keeping};
use andon_model::plant::TopicRuleDef;
use andon_rules::TopicRules;
use andon_wire::mqtt::TopicFilter;
use std::collections::HashMap;
use std::sync::Arc;

/// What the broker keeps, and by which rules.
#[derive(Default)]
pub(super) struct InForce {
    pub(super) rules: Vec<TopicRuleDef>,
    pub(super) keeping: Option<Arc<dyn Keeping>>,
}

/// The rules of a plant, looked at for what is to be kept alone.
struct Kept {
    rules: Arc<TopicRules>,
    by_rule: HashMap<String, Arc<Keep>>,
}

impl Keeping for Kept {
    fn of(&self, topic: &str) -> Option<Arc<Keep>> {
        self.by_rule.get(&self.rules.of(topic)?.def.name).cloned()
    }

    fn all(&self) -> Vec<Arc<Keep>> {
        let mut all: Vec<_> = self.by_rule.values().cloned().collect();
        all.sort_by(|a, b| a.rule.cmp(&b.rule));
        all
    }
}

/// What the rules in force say is to be kept; `None`: nothing.
pub(super) fn of_rules(rules: Arc<TopicRules>) -> Option<Arc<dyn Keeping>> {
    let keep = |rule: &Arc<andon_rules::Rule>| {
        let keep = rule.keep?;
        let name = &rule.def.name;
        // The check of the rule has parsed it before.
        let filter = TopicFilter::parse(&rule.def.filter).ok()?;
        Some((name.clone(), Arc::new(Keep { rule: name.as_str().into(), filter, age: keep.age, bytes: keep.bytes })))
    };
    let by_rule: HashMap<_, _> = rules.all().iter().filter_map(keep).collect();
    (!by_rule.is_empty()).then(|| Arc::new(Kept { rules, by_rule }) as Arc<dyn Keeping>)
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;
    use andon_model::plant::Plant;
    use serde_json::json;

    #[test]
    fn a_topic_is_kept_as_its_most_exact_rule_says() {
        let rule = |name: &str, filter: &str, settings| TopicRuleDef {
            name: name.to_owned(),
            filter: filter.to_owned(),
            settings,
        };
        let plant = Plant {
            topic_rules: vec![
                rule("all", "plant/#", json!({"keep": "7d", "keep_mib": 10})),
                rule("not-these", "plant/+/raw", json!({"durability": "volatile"})),
            ],
            ..Plant::default()
        };
        let rules = TopicRules::of_plant(&plant, |_| Ok(()), &TopicRules::default(), Timestamp::default()).unwrap();
        let keeping = of_rules(Arc::new(rules)).unwrap();
        let kept = keeping.of("plant/press/t").unwrap();
        assert_eq!((&*kept.rule, kept.age.as_secs(), kept.bytes), ("all", 7 * 86_400, 10 << 20));
        assert_eq!(kept.filter.as_str(), "plant/#");
        assert_eq!((keeping.of("plant/press/raw"), keeping.of("other"), keeping.all().len()), (None, None, 1));
        assert!(of_rules(Arc::default()).is_none());
    }
}
