//! Topic rules: what holds for a branch of MQTT topics.
//!
//! A [`TopicRules`] is compiled once from the plant's [`TopicRuleDef`]s and then only read. [`TopicRules::of`] finds the rule of a
//! topic, [`Rule::check`] asks whether a message keeps it. What becomes of a message that does not is decided by whoever asks.
//!
//! # The words of a `[[topic_rule]]`
//! | word | meaning |
//! | --- | --- |
//! | `description` | why the rule is there, for people |
//! | `durability` | `durable` (default), or `volatile`: acknowledged when it has been routed, and not written down |
//! | `keep`, `keep_mib` | for how long messages are kept to be read later, such as `7d`, and how much at most, 256 MiB if not said |
//! | `mode` | what becomes of a message that breaks the rule: `observe`, `warn` (default), `reject`, `quarantine` |
//! | `payload` | `{ kind, max_bytes, json_schema }`: what the payload must be |
//! | `naming` | `{ pattern, levels, skip, equipment, max_levels }`: how topics must be named |
//!
//! # Invariants
//! - **One topic has one rule**: that whose filter is the most exact. Two filters that match the same topic differ first at some
//!   level: there a name is more exact than `+`, and `+` more exact than `#`. Nothing is taken over from wider rules.
//! - Topics that begin with `$` are the server's and have no rule.
//! - A check takes time in proportion to the message and the rule: patterns are matched in linear time, and no schema refers to itself.
//!   That of a schema takes at most a fixed number of steps; what would take more breaks the rule.
//!
//! Start reading at [`TopicRules::of`], then [`Rule::check`].

mod book;
mod naming;
mod payload;
mod schema;
mod settings;
mod tree;

pub use book::{Book, Offender, PAYLOAD_BEGIN, Standing};
pub use settings::check_rule;
pub use tree::TopicRules;

use andon_model::plant::TopicRuleDef;
use naming::Naming;
use payload::PayloadRule;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

/// Whether bytes are a Sparkplug B payload; in words why not. Handed in, for the decoder is another's craft.
pub type SparkplugCheck = fn(&[u8]) -> Result<(), String>;

/// What becomes of a message that breaks its rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Mode {
    /// It is counted, and passes.
    Observe,
    /// It is counted, told on the timeline, and passes.
    Warn,
    /// It is refused.
    Reject,
    /// It is accepted, and kept from everybody until a person decides.
    Quarantine,
}

impl Mode {
    /// The word in documents.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Observe => "observe",
            Self::Warn => "warn",
            Self::Reject => "reject",
            Self::Quarantine => "quarantine",
        }
    }
}

/// How messages are kept to be read later.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct RuleKeep {
    /// For how long.
    pub age: Duration,
    /// How many bytes at the most.
    pub bytes: u64,
}

/// A rule in force.
#[derive(Debug)]
pub struct Rule {
    /// As it was written.
    pub def: TopicRuleDef,
    /// Why it is there, for people; may be empty.
    pub description: String,
    /// Messages are acknowledged when they have been routed, and not written down.
    pub volatile: bool,
    /// How its messages are kept to be read later.
    pub keep: Option<RuleKeep>,
    /// What becomes of a message that breaks it.
    pub mode: Mode,
    /// What came under it.
    pub book: Arc<Book>,
    naming: Option<Naming>,
    payload: Option<PayloadRule>,
    sparkplug: SparkplugCheck,
}

/// A message whose rule is to be asked.
#[derive(Clone, Copy, Debug)]
pub struct Offered<'m> {
    /// Where it is published to.
    pub topic: &'m str,
    /// What it says.
    pub payload: &'m [u8],
    /// Whether it is to be retained.
    pub retain: bool,
}

/// What of a message breaks its rule.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Part {
    /// The name of the topic.
    Topic,
    /// The payload.
    Payload,
}

/// How a message breaks its rule.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Breach {
    /// What of it.
    pub part: Part,
    /// Where and why, in words, at most [`WORDS_LIMIT`] bytes.
    pub words: String,
}

/// The longest words of a [`Breach`], in bytes.
pub const WORDS_LIMIT: usize = 300;

impl Breach {
    /// Shortens the words, and shows what hides in them.
    fn new(part: Part, words: &str) -> Self {
        let shown = andon_model::text::shown(words);
        let end = (0..=WORDS_LIMIT.min(shown.len())).rev().find(|end| shown.is_char_boundary(*end)).unwrap_or(0);
        let cut = shown.get(..end).unwrap_or_default();
        let ellipsis = if cut.len() < shown.len() { "…" } else { "" };
        Self { part, words: format!("{cut}{ellipsis}") }
    }
}

impl fmt::Display for Breach {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.words)
    }
}

impl Rule {
    /// Whether it asks anything of messages.
    #[must_use]
    pub const fn asks(&self) -> bool {
        self.naming.is_some() || self.payload.is_some()
    }

    /// Whether a topic is named as it should be.
    /// # Errors
    /// [`Breach`].
    pub fn check_topic(&self, topic: &str) -> Result<(), Breach> {
        match &self.naming {
            Some(naming) => naming.check(topic).map_err(|words| Breach::new(Part::Topic, &words)),
            None => Ok(()),
        }
    }

    /// What it asks of messages, in words; empty: nothing.
    #[must_use]
    pub fn wishes(&self) -> Vec<String> {
        let naming = self.naming.iter().flat_map(Naming::wishes);
        naming.chain(self.payload.iter().flat_map(PayloadRule::wishes)).collect()
    }

    /// Whether a message keeps the rule. An empty payload that is to be retained says that nothing is to be retained there: only
    /// its topic is looked at.
    /// # Errors
    /// [`Breach`]: the first that was found, the topic first.
    pub fn check(&self, offered: &Offered<'_>) -> Result<(), Breach> {
        self.check_topic(offered.topic)?;
        match &self.payload {
            Some(payload) if !(offered.retain && offered.payload.is_empty()) => {
                payload.check(offered, self.sparkplug).map_err(|words| Breach::new(Part::Payload, &words))
            }
            _ => Ok(()),
        }
    }
}
