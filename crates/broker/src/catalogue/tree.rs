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
    children: Children,
    topic: Option<Arc<Topic>>,
}

/// What stands below a name. Most levels of deep names have one child alone, and a map takes ten times what that does.
#[derive(Debug, Default)]
enum Children {
    #[default]
    None,
    One(Box<(Box<str>, Node)>),
    Many(BTreeMap<Box<str>, Node>),
}

impl Children {
    fn get(&self, name: &str) -> Option<&Node> {
        match self {
            Self::None => None,
            Self::One(only) => (*only.0 == *name).then_some(&only.1),
            Self::Many(all) => all.get(name),
        }
    }

    /// The child of this name, made if it is not there.
    fn enter(&mut self, name: &str) -> &mut Node {
        match self {
            Self::One(only) if *only.0 != *name => {
                let (first, node) = *std::mem::take(only);
                *self = Self::Many(BTreeMap::from([(first, node), (name.into(), Node::default())]));
            }
            Self::None => *self = Self::One(Box::new((name.into(), Node::default()))),
            Self::One(_) => {}
            Self::Many(all) => {
                if !all.contains_key(name) {
                    all.insert(name.into(), Node::default());
                }
            }
        }
        match self {
            Self::One(only) => &mut only.1,
            Self::Many(all) => all.entry(name.into()).or_default(),
            Self::None => unreachable!("it was made above"),
        }
    }

    fn iter(&self) -> impl Iterator<Item = (&str, &Node)> {
        let (one, many) = match self {
            Self::None => (None, None),
            Self::One(only) => (Some((&*only.0, &only.1)), None),
            Self::Many(all) => (None, Some(all.iter().map(|(name, node)| (&**name, node)))),
        };
        one.into_iter().chain(many.into_iter().flatten())
    }

    fn len(&self) -> usize {
        match self {
            Self::None => 0,
            Self::One(_) => 1,
            Self::Many(all) => all.len(),
        }
    }
}

/// Whether a topic may be seen.
pub(super) type Sees<'a> = &'a dyn Fn(&str) -> bool;

impl Tree {
    /// Holds nothing any more, and is of its generation.
    pub(super) fn forget(&mut self) {
        self.root = Node::default();
    }

    pub(super) fn insert(&mut self, topic: &Arc<Topic>) {
        let mut node = &mut self.root;
        for level in topic.name.split('/') {
            node = node.children.enter(level);
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
        self.children.iter().for_each(|(_, child)| child.add_to(sum, now, sees));
    }

    fn is_seen(&self, sees: Sees<'_>) -> bool {
        self.topic.as_ref().is_some_and(|topic| sees(&topic.name))
            || self.children.iter().any(|(_, child)| child.is_seen(sees))
    }
}
