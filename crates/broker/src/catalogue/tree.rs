//! The topics by their levels, for those who look. The PUBLISH path never touches it.

use super::topic::{Sum, Topic, TopicInfo};
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::sync::Arc;

/// A level of the tree, or a part of it.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Level {
    /// In the order of their names, byte by byte.
    pub rows: Vec<LevelRow>,
    /// How many rows the level has in all.
    pub total: usize,
}

/// A name in a level: a topic, a branch with topics below it, or both.
#[derive(Debug, Clone, PartialEq)]
pub struct LevelRow {
    /// Its name in the level; may be empty.
    pub name: Box<str>,
    /// Its last message, if it is a topic itself.
    pub own: Option<TopicInfo>,
    /// Topics below it.
    pub below: usize,
    /// Those of it and below it that should have come by now.
    pub overdue: usize,
    /// Messages per second of it and of all below it.
    pub per_second: f64,
    /// When the last message came to it or below it.
    pub received: Timestamp,
}

#[derive(Debug, Default)]
pub(super) struct Tree {
    root: Node,
    pub(super) generation: u64,
}

#[derive(Debug, Default)]
struct Node {
    children: BTreeMap<Box<str>, Node>,
    topic: Option<Arc<Topic>>,
}

/// Whether a topic may be seen.
pub(super) type Sees<'a> = &'a dyn Fn(&str) -> bool;

impl Tree {
    pub(super) fn insert(&mut self, topic: &Arc<Topic>) {
        let mut node = &mut self.root;
        for level in topic.name.split('/') {
            if !node.children.contains_key(level) {
                node.children.insert(level.into(), Node::default());
            }
            node = node.children.entry(level.into()).or_default();
        }
        node.topic = Some(topic.clone());
    }

    /// A level of the tree: of the root, or below `under`; without the first `skip` rows. `sees`: `None` where every topic may be seen.
    pub(super) fn level(
        &self,
        under: Option<&str>,
        skip: usize,
        limit: usize,
        now: Timestamp,
        sees: Option<Sees<'_>>,
    ) -> Level {
        let mut node = &self.root;
        for level in under.into_iter().flat_map(|path| path.split('/')) {
            match node.children.get(level) {
                Some(child) => node = child,
                None => return Level::default(),
            }
        }
        let row = |name: &str, child: &Node| {
            let mut sum = Sum::default();
            child.add_to(&mut sum, now, sees);
            let own = child.topic.as_ref().filter(|topic| sees.is_none_or(|sees| sees(&topic.name)));
            LevelRow {
                name: name.into(),
                below: sum.topics - usize::from(own.is_some()),
                own: own.map(|topic| topic.info(now)),
                overdue: sum.overdue,
                per_second: sum.per_second,
                received: sum.received.unwrap_or_default(),
            }
        };
        match sees {
            None => Level {
                rows: node.children.iter().skip(skip).take(limit).map(|(name, child)| row(name, child)).collect(),
                total: node.children.len(),
            },
            Some(sees) => {
                let seen: Vec<_> = node.children.iter().filter(|(_, child)| child.is_seen(sees)).collect();
                let total = seen.len();
                let rows = seen.into_iter().skip(skip).take(limit).map(|(name, child)| row(name, child));
                Level { rows: rows.collect(), total }
            }
        }
    }
}

impl Node {
    // As deep as the longest topic name; the broker bounds the levels.
    fn add_to(&self, sum: &mut Sum, now: Timestamp, sees: Option<Sees<'_>>) {
        if let Some(topic) = self.topic.as_ref().filter(|topic| sees.is_none_or(|sees| sees(&topic.name))) {
            topic.add_to(sum, now);
        }
        self.children.values().for_each(|child| child.add_to(sum, now, sees));
    }

    fn is_seen(&self, sees: Sees<'_>) -> bool {
        self.topic.as_ref().is_some_and(|topic| sees(&topic.name))
            || self.children.values().any(|child| child.is_seen(sees))
    }
}
