//! Which messages cross the bridge, and what their topics are called on the other side. Pure.

use andon_wire::mqtt::{QoS, TopicFilter, TopicName};

/// One direction of some topics.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The topics, as the side calls them from which the messages come.
    pub filter: TopicFilter,
    /// What is taken off the front of a topic; each topic under the filter begins so, but for one that ends before it.
    pub remove: Box<str>,
    /// What is put in front of it then.
    pub prefix: Box<str>,
    /// The highest QoS used: 0 or 1.
    pub qos: QoS,
}

impl Rule {
    /// Whether its messages are kept until they have crossed.
    pub(super) fn keeps(&self) -> bool {
        self.qos != QoS::AtMostOnce
    }

    /// What is remembered of it, so that a change is noticed.
    pub(super) fn remembered(&self) -> (String, bool) {
        (self.filter.as_str().to_owned(), self.keeps())
    }

    /// The topic on the other side; `None`: there is none, for nothing is left of it, or it is too long, or it would be a server's own.
    #[must_use]
    pub fn map(&self, topic: &str) -> Option<TopicName> {
        let rest = topic.strip_prefix(&*self.remove)?;
        let there = TopicName::parse(&format!("{}{rest}", self.prefix)).ok()?;
        (!there.is_server_owned()).then_some(there)
    }

    /// The filter as the other side would write it; `None` where no topic comes of it.
    #[must_use]
    pub fn mapped_filter(&self) -> Option<TopicFilter> {
        let rest = self.filter.as_str().strip_prefix(&*self.remove)?;
        TopicFilter::parse(&format!("{}{rest}", self.prefix)).ok()
    }
}

/// Whether `text` stands in front of every topic under the filter, but for one that ends before it.
#[must_use]
pub fn is_in_front(text: &str, filter: &TopicFilter) -> bool {
    let plain = filter.pattern().find(['+', '#']).unwrap_or(filter.pattern().len());
    filter.pattern().get(..plain).is_some_and(|front| front.starts_with(text))
}

/// Whether a topic can be under both filters.
#[must_use]
pub fn overlap(a: &TopicFilter, b: &TopicFilter) -> bool {
    let (mut a, mut b) = (a.pattern().split('/'), b.pattern().split('/'));
    loop {
        match (a.next(), b.next()) {
            (Some("#"), _) | (_, Some("#")) | (None, None) => return true,
            (Some(one), Some(other)) if one == other || one == "+" || other == "+" => {}
            _ => return false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn filter(text: &str) -> TopicFilter {
        TopicFilter::parse(text).unwrap()
    }

    fn rule(pattern: &str, remove: &str, prefix: &str) -> Rule {
        Rule { filter: filter(pattern), remove: remove.into(), prefix: prefix.into(), qos: QoS::AtLeastOnce }
    }

    #[test]
    fn a_topic_gets_its_name_of_the_other_side() {
        let there = |rule: &Rule, topic: &str| rule.map(topic).map(|name| name.as_str().to_owned());
        assert_eq!(there(&rule("plant/#", "", "p7/"), "plant/a").as_deref(), Some("p7/plant/a"));
        assert_eq!(there(&rule("plant/#", "plant/", "p7/"), "plant/a").as_deref(), Some("p7/a"));
        assert_eq!(there(&rule("plant/#", "plant/", ""), "plant/a").as_deref(), Some("a"));
        assert_eq!(there(&rule("plant/#", "plant/", "p7/"), "plant"), None, "it ends before what is to be taken off");
        assert_eq!(there(&rule("a/+", "a/", ""), "a/"), None, "nothing is left");
        assert_eq!(there(&rule("a/+", "a/", ""), "a/$SYS"), None, "a server's own");
    }

    #[test]
    fn what_is_taken_off_stands_in_front_of_all() {
        for (text, of, expected) in
            [("a/", "a/#", true), ("a/b", "a/+", false), ("", "#", true), ("a/b", "a/b", true), ("b/", "a/#", false)]
        {
            assert_eq!(is_in_front(text, &filter(of)), expected, "{text} {of}");
        }
    }

    proptest! {
        #[test]
        fn filters_overlap_where_a_topic_is_under_both(
            a in "[ab+]{1}(/[ab+]{1}){0,2}(/#)?", b in "[ab+]{1}(/[ab+]{1}){0,2}(/#)?", topic in "[ab]{1}(/[ab]{1}){0,3}",
        ) {
            let (a, b) = (filter(&a), filter(&b));
            prop_assert_eq!(overlap(&a, &b), overlap(&b, &a));
            if a.matches(&topic) && b.matches(&topic) {
                prop_assert!(overlap(&a, &b));
            }
        }
    }
}
