//! Who subscribed to what: a tree of topic levels.

use crate::asks::Ask;
use crate::frames::SessionNo;
use andon_wire::mqtt::{Filter, QoS, TopicFilter};
use std::collections::{BTreeMap, HashMap};

/// What a subscription asks for.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Wish {
    pub(crate) qos: QoS,
    pub(crate) no_local: bool,
    pub(crate) retain_as_published: bool,
    /// 0: none.
    pub(crate) id: u32,
    /// Beyond MQTT.
    pub(crate) ask: Ask,
}

impl Wish {
    pub(crate) const fn new(filter: &Filter, id: u32, ask: Ask) -> Self {
        let Filter { qos, no_local, retain_as_published, .. } = filter;
        Self { qos: *qos, no_local: *no_local, retain_as_published: *retain_as_published, id, ask }
    }
}

type Members = BTreeMap<SessionNo, Wish>;

#[derive(Debug, Default)]
struct Leaf {
    plain: Members,
    shared: BTreeMap<Box<str>, Members>,
}

impl Leaf {
    fn is_empty(&self) -> bool {
        self.plain.is_empty() && self.shared.is_empty()
    }
}

/// By name. Clients choose the names, so it has a key that nobody knows, as the standard library's has; it is quicker on short ones.
type Named = HashMap<Box<str>, Node, foldhash::fast::RandomState>;

#[derive(Debug, Default)]
struct Node {
    named: Named,
    plus: Option<Box<Self>>,
    here: Leaf,
    hash: Leaf,
}

/// The tree. As deep as the longest filter; the broker bounds the levels, so walking it by recursion is safe.
#[derive(Debug, Default)]
pub(crate) struct Index {
    root: Node,
}

/// Whom a message goes to.
#[derive(Debug, Default)]
pub(crate) struct Matches<'a> {
    /// One entry per matching subscription; a session may stand here more than once.
    pub(crate) plain: Vec<(SessionNo, Wish)>,
    /// One entry per matching group; one member of each is to get it.
    pub(crate) shared: Vec<&'a Members>,
}

impl Index {
    /// Adds or replaces; true if it is new.
    pub(crate) fn insert(&mut self, filter: &TopicFilter, session: SessionNo, wish: Wish) -> bool {
        let leaf = self.root.leaf(filter.pattern());
        let members = match filter.share_group() {
            Some(group) => leaf.shared.entry(group.into()).or_default(),
            None => &mut leaf.plain,
        };
        members.insert(session, wish).is_none()
    }

    pub(crate) fn remove(&mut self, filter: &TopicFilter, session: SessionNo) {
        self.root.remove(Some(filter.pattern()), filter.share_group(), session);
    }

    /// Everybody whose filter the topic falls under. MQTT 5.0 §4.7: wildcards do not see names that begin with `$`.
    pub(crate) fn matching<'a>(&'a self, topic: &str, found: &mut Matches<'a>) {
        self.root.collect(Some(topic), topic.starts_with('$'), found);
    }

    #[cfg(test)]
    fn is_empty(&self) -> bool {
        self.root.is_empty()
    }
}

fn split(path: &str) -> (&str, Option<&str>) {
    path.split_once('/').map_or((path, None), |(level, rest)| (level, Some(rest)))
}

impl Node {
    fn is_empty(&self) -> bool {
        self.named.is_empty() && self.plus.is_none() && self.here.is_empty() && self.hash.is_empty()
    }

    fn leaf(&mut self, pattern: &str) -> &mut Leaf {
        let mut node = self;
        let mut rest = Some(pattern);
        while let Some(path) = rest {
            let (level, more) = split(path);
            match level {
                "#" => return &mut node.hash,
                "+" => node = node.plus.get_or_insert_default(),
                name => {
                    if !node.named.contains_key(name) {
                        node.named.insert(name.into(), Self::default());
                    }
                    node = node.named.entry(name.into()).or_default();
                }
            }
            rest = more;
        }
        &mut node.here
    }

    fn remove(&mut self, pattern: Option<&str>, group: Option<&str>, session: SessionNo) {
        let Some(path) = pattern else { return self.here.remove(group, session) };
        let (level, more) = split(path);
        match level {
            "#" => self.hash.remove(group, session),
            "+" => {
                if let Some(child) = &mut self.plus {
                    child.remove(more, group, session);
                }
                self.plus.take_if(|child| child.is_empty());
            }
            name => {
                let Some(child) = self.named.get_mut(name) else { return };
                child.remove(more, group, session);
                if child.is_empty() {
                    self.named.remove(name);
                }
            }
        }
    }

    fn collect<'a>(&'a self, topic: Option<&str>, hidden: bool, found: &mut Matches<'a>) {
        if !hidden {
            self.hash.collect(found);
        }
        let Some(path) = topic else { return self.here.collect(found) };
        let (level, more) = split(path);
        if let Some(child) = self.named.get(level) {
            child.collect(more, false, found);
        }
        if let Some(child) = self.plus.as_ref().filter(|_| !hidden) {
            child.collect(more, false, found);
        }
    }
}

impl Leaf {
    fn remove(&mut self, group: Option<&str>, session: SessionNo) {
        let Some(group) = group else {
            self.plain.remove(&session);
            return;
        };
        if let Some(members) = self.shared.get_mut(group) {
            members.remove(&session);
            if members.is_empty() {
                self.shared.remove(group);
            }
        }
    }

    fn collect<'a>(&'a self, found: &mut Matches<'a>) {
        found.plain.extend(self.plain.iter().map(|(session, wish)| (*session, *wish)));
        found.shared.extend(self.shared.values());
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::asks::Deliver;
    use proptest::prelude::*;

    const WISH: Wish = Wish {
        qos: QoS::AtMostOnce,
        no_local: false,
        retain_as_published: false,
        id: 0,
        ask: Ask { origin: false, deliver: Deliver::All },
    };

    fn found(index: &Index, topic: &str) -> Vec<u64> {
        let mut matches = Matches::default();
        index.matching(topic, &mut matches);
        let mut all: Vec<u64> = matches.plain.iter().map(|(s, _)| s.0).collect();
        all.extend(matches.shared.iter().flat_map(|m| m.keys().map(|s| s.0)));
        all.sort_unstable();
        all
    }

    proptest! {
        #[test]
        fn the_tree_finds_what_comparing_with_every_filter_finds(
            filters in proptest::collection::vec("([$]share/g/)?[$]?([ab]{0,1}/|[+]/){0,3}(#|[+]|[ab]{1,2})", 1..20),
            topics in proptest::collection::vec("[$]?[ab/]{1,6}", 1..10),
            keep in 0_usize..20,
        ) {
            let filters: Vec<_> = filters.iter().filter_map(|f| TopicFilter::parse(f).ok()).collect();
            let mut index = Index::default();
            (0_u64..).zip(&filters).for_each(|(n, f)| { index.insert(f, SessionNo(n), WISH); });
            let removed = |n: usize| n >= keep;
            for (n, f) in filters.iter().enumerate().filter(|(n, _)| removed(*n)) {
                index.remove(f, SessionNo(n as u64));
            }
            for topic in &topics {
                let wanted: Vec<u64> = filters.iter().enumerate()
                    .filter(|(n, f)| !removed(*n) && f.matches(topic)).map(|(n, _)| n as u64).collect();
                prop_assert_eq!(found(&index, topic), wanted, "{}", topic);
            }
            for (n, f) in filters.iter().enumerate() {
                index.remove(f, SessionNo(n as u64));
            }
            prop_assert!(index.is_empty(), "empty branches are pruned");
        }
    }
}
