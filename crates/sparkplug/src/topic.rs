//! Topic names: `spBv1.0/<group>/<verb>/<edge node>[/<device>]` and `spBv1.0/STATE/<host>` (Sparkplug 3.0.0 §4.1).

use std::fmt;

/// The namespace of Sparkplug B [tck-id-topic-structure-namespace-a].
pub const NAMESPACE: &str = "spBv1.0";
/// The longest group, edge node, device or host identifier that is taken, in bytes.
pub const ID_BYTES: usize = 256;

/// What a message is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash, PartialOrd, Ord)]
#[expect(missing_docs, reason = "the specification's own words")]
pub enum Verb {
    NBirth,
    NDeath,
    NData,
    NCmd,
    DBirth,
    DDeath,
    DData,
    DCmd,
}

impl Verb {
    /// The spelling in topics.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NBirth => "NBIRTH",
            Self::NDeath => "NDEATH",
            Self::NData => "NDATA",
            Self::NCmd => "NCMD",
            Self::DBirth => "DBIRTH",
            Self::DDeath => "DDEATH",
            Self::DData => "DDATA",
            Self::DCmd => "DCMD",
        }
    }

    fn parse(word: &str) -> Option<Self> {
        let all =
            [Self::NBirth, Self::NDeath, Self::NData, Self::NCmd, Self::DBirth, Self::DDeath, Self::DData, Self::DCmd];
        all.into_iter().find(|verb| verb.word() == word)
    }

    /// Whether a device's identifier belongs to the topic [tck-id-topic-structure-namespace-device-id-associated-message-types].
    #[must_use]
    pub const fn of_device(self) -> bool {
        matches!(self, Self::DBirth | Self::DDeath | Self::DData | Self::DCmd)
    }

    /// Whether it is a command.
    #[must_use]
    pub const fn is_command(self) -> bool {
        matches!(self, Self::NCmd | Self::DCmd)
    }
}

/// An edge node's name in the whole infrastructure: the edge node descriptor.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct NodeName {
    /// Its group.
    pub group: Box<str>,
    /// Its name in the group.
    pub node: Box<str>,
}

impl NodeName {
    /// `None` if one of the two is no identifier.
    #[must_use]
    pub fn new(group: &str, node: &str) -> Option<Self> {
        (is_id(group) && group != "STATE" && is_id(node)).then(|| Self { group: group.into(), node: node.into() })
    }
}

impl fmt::Display for NodeName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.group, self.node)
    }
}

/// Whether a text can be a group, edge node, device or host identifier: 1 to [`ID_BYTES`] bytes of UTF-8 without `+`, `/`, `#`
/// [tck-id-topic-structure-namespace-valid-group-id] and NUL.
#[must_use]
pub fn is_id(text: &str) -> bool {
    (1..=ID_BYTES).contains(&text.len()) && !text.contains(['+', '/', '#', '\0'])
}

/// A topic of the Sparkplug namespace.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Topic<'t> {
    /// Of an edge node, or of a device of it.
    Node {
        /// What the message is.
        verb: Verb,
        /// The group.
        group: &'t str,
        /// The edge node.
        node: &'t str,
        /// The device, with the verbs of devices only.
        device: Option<&'t str>,
    },
    /// A host application's state.
    State {
        /// The host application.
        host: &'t str,
    },
}

impl<'t> Topic<'t> {
    /// Reads a topic name; `None` if it is none of Sparkplug's.
    #[must_use]
    pub fn parse(topic: &'t str) -> Option<Self> {
        let mut levels = topic.strip_prefix(NAMESPACE)?.strip_prefix('/')?.split('/');
        let (group, word) = (levels.next()?, levels.next()?);
        if group == "STATE" {
            return (levels.next().is_none() && is_id(word)).then_some(Self::State { host: word });
        }
        let verb = Verb::parse(word)?;
        let (node, device) = (levels.next()?, levels.next());
        let fits = levels.next().is_none() && device.is_some() == verb.of_device();
        (fits && is_id(group) && is_id(node) && device.is_none_or(is_id)).then_some(Self::Node {
            verb,
            group,
            node,
            device,
        })
    }
}

/// The topic of a message of an edge node or, with `device`, of a device; the verb is chosen accordingly by the caller.
#[must_use]
pub fn node_topic(verb: Verb, name: &NodeName, device: Option<&str>) -> String {
    let word = verb.word();
    match device {
        Some(device) => format!("{NAMESPACE}/{}/{word}/{}/{device}", name.group, name.node),
        None => format!("{NAMESPACE}/{}/{word}/{}", name.group, name.node),
    }
}

/// The topic of a host application's STATE.
#[must_use]
pub fn state_topic(host: &str) -> String {
    format!("{NAMESPACE}/STATE/{host}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn tck_id_topic_structure() {
        let name = NodeName::new("G 1", "n").expect("names");
        for (verb, device) in
            [(Verb::NBirth, None), (Verb::NCmd, None), (Verb::DData, Some("d")), (Verb::DDeath, Some("ä"))]
        {
            let topic = node_topic(verb, &name, device);
            assert_eq!(Topic::parse(&topic), Some(Topic::Node { verb, group: "G 1", node: "n", device }), "{topic}");
        }
        assert_eq!(node_topic(Verb::DBirth, &name, Some("d")), "spBv1.0/G 1/DBIRTH/n/d");
        assert_eq!(Topic::parse(&state_topic("h")), Some(Topic::State { host: "h" }));
    }

    #[test]
    fn tck_id_topic_structure_namespace_device_id_associated_message_types() {
        for wrong in [
            "spBv1.0/g/NDATA/n/d",
            "spBv1.0/g/DDATA/n",
            "spBv1.0/g/DDATA/n/d/x",
            "spBv1.0/g/ndata/n",
            "spAv1.0/g/NDATA/n",
            "spBv1.0/STATE",
            "spBv1.0/STATE/h/x",
            "spBv1.0",
            "spBv1.0/g/NDATA/",
            "spBv1.0//NDATA/n",
            "spBv1.0/g/DDATA/n/",
            "x/spBv1.0/g/NDATA/n",
        ] {
            assert_eq!(Topic::parse(wrong), None, "{wrong}");
        }
        assert_eq!(Topic::parse(&format!("spBv1.0/g/NDATA/{}", "n".repeat(ID_BYTES + 1))), None);
    }

    #[test]
    fn tck_id_topic_structure_namespace_valid_group_id() {
        for wrong in ["", "a/b", "a+", "#", "a\0"] {
            assert!(!is_id(wrong), "{wrong:?}");
        }
        assert!(NodeName::new("STATE", "n").is_none(), "would be read as a host's state");
    }
}
