//! What was known of a device's tags when it went, for when it says that it is there again.
//!
//! "Offline" makes the tags of a device bad; a door's contact that is "online" again may report only in hours. Until then its last
//! value comes back, as `UncertainLastUsableValue`, never as good: nobody knows whether it is still so.
//!
//! **Invariants**
//! - What comes back was usable in the moment in which the device went, and nothing has been heard of the tag since.
//! - Of several topics that say "offline", each must say "online" first.
//! - It is memory of this run: a value from before a restart comes back only if the tag still had it when its device went.
//! - It takes no more than one value for each tag, and [`TOPICS_MAX`] topics.

use crate::Bus;
use andon_model::plant::TopicDef;
use andon_model::{Sample, StatusCode, TagId, Timestamp, Value};
use std::collections::{HashMap, HashSet};

/// Of a tag that more topics call offline, nothing comes back: its next report tells.
const TOPICS_MAX: usize = 16;

/// The values of tags whose device is gone.
#[derive(Debug, Default)]
pub struct LastUsable {
    gone: HashMap<TagId, Gone>,
    /// The mappings under which they went.
    mappings: Vec<TopicDef>,
}

#[derive(Debug, Default)]
struct Gone {
    value: Option<Value>,
    /// Where it was said.
    topics: Vec<Box<str>>,
}

impl LastUsable {
    /// Follows the plant model: a topic that no mapping reads any more will never say "online".
    pub fn set_mappings(&mut self, mappings: &[TopicDef]) {
        if self.mappings != mappings {
            self.gone.clear();
            mappings.clone_into(&mut self.mappings);
        }
    }

    /// Follows a message on `topic` that was mapped to `samples`, before these are published. `online`: the tags of which it
    /// says that their device is there. What comes back of these is added.
    pub fn follow(&mut self, bus: &Bus, topic: &str, samples: &mut Vec<Sample>, online: &[TagId], now: Timestamp) {
        for sample in samples.iter().filter(|sample| is_gone(sample)) {
            self.goes(sample.tag, topic, bus.last(sample.tag).as_ref());
        }
        if online.is_empty() {
            return;
        }
        let told: HashSet<TagId> = samples.iter().map(|sample| sample.tag).collect();
        for tag in online {
            let value = self.comes(*tag, topic).filter(|_| bus.last(*tag).as_ref().is_some_and(is_gone));
            let Some(value) = value.filter(|_| !told.contains(tag)) else { continue };
            // In a status that is not good this is when the server last tried to recover (OPC 10000-4 v1.05 §7.11.3).
            let (quality, source_ts) = (StatusCode::UNCERTAIN_LAST_USABLE_VALUE, now);
            samples.push(Sample { tag: *tag, value, quality, source_ts, received_ts: now });
        }
    }

    fn goes(&mut self, tag: TagId, topic: &str, last: Option<&Sample>) {
        let gone = self.gone.entry(tag).or_default();
        // Said by a second topic, or again: what was known before the first stays.
        if !last.is_some_and(is_gone) {
            let usable = last.filter(|last| !last.quality.is_bad() && last.value != Value::Null);
            gone.value = usable.map(|last| last.value.clone());
        }
        if gone.topics.iter().any(|known| **known == *topic) {
            return;
        }
        if gone.topics.len() < TOPICS_MAX {
            gone.topics.push(topic.into());
        } else {
            gone.value = None;
        }
    }

    /// The value of a tag of whose device nobody says any more that it is gone.
    fn comes(&mut self, tag: TagId, topic: &str) -> Option<Value> {
        let gone = self.gone.get_mut(&tag)?;
        gone.topics.retain(|known| **known != *topic);
        if !gone.topics.is_empty() {
            return None;
        }
        self.gone.remove(&tag)?.value
    }
}

/// Whether the sample says that its device is gone.
#[must_use]
pub fn is_gone(sample: &Sample) -> bool {
    sample.value == Value::Null && sample.quality == StatusCode::BAD_NO_COMMUNICATION
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::plant::{Interpolation, Plant, TagDef};
    use andon_model::{DataType, SystemClock, TagPath};
    use std::sync::Arc;
    use uuid::Uuid;

    const DOOR: TagId = TagId(0);

    /// A door's contact, and what is remembered of it.
    struct Rig {
        bus: Arc<Bus>,
        usable: LastUsable,
        now: i64,
    }

    impl Rig {
        fn new() -> Self {
            let bus = Bus::new(Arc::new(SystemClock));
            let door = TagDef {
                id: Uuid::from_u128(1),
                path: TagPath::parse("home/door").expect("a path"),
                title: "Door".to_owned(),
                description: String::new(),
                data_type: DataType::Boolean,
                unit: None,
                range: None,
                digits: None,
                states: std::collections::BTreeMap::new(),
                interpolation: Interpolation::Stepped,
                compress: None,
                keep_days: None,
                stale_after_ms: None,
                write: None,
                origin: None,
            };
            bus.set_plant(Arc::new(Plant { tags: vec![door], ..Plant::default() }), vec![DOOR]);
            Self { bus, usable: LastUsable::default(), now: 0 }
        }

        /// A message, and what the door is then.
        async fn say(&mut self, topic: &str, value: Option<(Value, StatusCode)>, online: bool) -> String {
            self.now += 1000;
            let now = Timestamp::from_millis(self.now);
            let sample = |(value, quality)| Sample { tag: DOOR, value, quality, source_ts: now, received_ts: now };
            let mut samples: Vec<Sample> = value.map(sample).into_iter().collect();
            let online: &[TagId] = if online { &[DOOR] } else { &[] };
            self.usable.follow(&self.bus, topic, &mut samples, online, now);
            self.bus.publish(samples).await;
            self.bus.last(DOOR).map_or("nothing".to_owned(), |last| {
                format!("{} {} {}", last.value, last.quality, last.source_ts.millis())
            })
        }

        async fn reports(&mut self, open: bool) -> String {
            self.say("door", Some((Value::Boolean(open), StatusCode::GOOD)), false).await
        }

        async fn offline(&mut self, topic: &str) -> String {
            self.say(topic, Some((Value::Null, StatusCode::BAD_NO_COMMUNICATION)), false).await
        }

        async fn online(&mut self, topic: &str) -> String {
            self.say(topic, None, true).await
        }
    }

    #[tokio::test]
    async fn the_last_value_comes_back_as_uncertain_until_the_next_report() {
        let mut rig = Rig::new();
        assert_eq!(rig.online("door/LWT").await, "nothing", "there was none");
        assert_eq!(rig.reports(true).await, "true Good 2000");
        assert_eq!(rig.online("door/LWT").await, "true Good 2000", "it was never gone");
        assert_eq!(rig.offline("door/LWT").await, "– BadNoCommunication 4000");
        assert_eq!(rig.offline("door/LWT").await, "– BadNoCommunication 5000", "said again");
        assert_eq!(rig.online("door/LWT").await, "true UncertainLastUsableValue 6000");
        assert_eq!(rig.online("door/LWT").await, "true UncertainLastUsableValue 6000");
        assert_eq!(rig.reports(false).await, "false Good 8000");
        // Gone again with what it said last, even if that was uncertain already.
        assert_eq!(rig.offline("door/LWT").await, "– BadNoCommunication 9000");
        assert_eq!(rig.online("door/LWT").await, "false UncertainLastUsableValue 10000");
        assert_eq!(rig.offline("door/LWT").await, "– BadNoCommunication 11000");
        assert_eq!(rig.online("door/LWT").await, "false UncertainLastUsableValue 12000");
    }

    #[tokio::test]
    async fn each_topic_that_said_offline_says_online_first_and_a_report_counts_more() {
        let mut rig = Rig::new();
        rig.reports(true).await;
        rig.offline("door/LWT").await;
        rig.offline("bridge/state").await;
        assert_eq!(rig.online("door/LWT").await, "– BadNoCommunication 3000", "its bridge is still gone");
        assert_eq!(rig.online("bridge/state").await, "true UncertainLastUsableValue 5000");
        rig.offline("door/LWT").await;
        assert_eq!(rig.reports(false).await, "false Good 7000");
        assert_eq!(rig.online("door/LWT").await, "false Good 7000", "what it reported meanwhile stays as it is");
        // A message that says both: the report is the newer word.
        rig.offline("door/LWT").await;
        let both = Some((Value::Boolean(true), StatusCode::GOOD));
        assert_eq!(rig.say("door/LWT", both, true).await, "true Good 10000");
    }

    #[tokio::test]
    async fn what_was_not_usable_or_is_of_another_run_or_mapping_does_not_come_back() {
        let mut rig = Rig::new();
        rig.reports(true).await;
        rig.say("door", Some((Value::Null, StatusCode::BAD_NO_DATA)), false).await;
        rig.offline("door/LWT").await;
        assert_eq!(rig.online("door/LWT").await, "– BadNoCommunication 3000", "it did not know itself");
        // It was gone when the node was restarted: what it was before is not known any more.
        rig.reports(true).await;
        rig.offline("door/LWT").await;
        rig.usable = LastUsable::default();
        rig.offline("door/LWT").await;
        assert_eq!(rig.online("door/LWT").await, "– BadNoCommunication 7000");
        rig.reports(true).await;
        rig.offline("door/LWT").await;
        let other = TopicDef { filter: "door".to_owned(), settings: serde_json::json!({ "format": "value" }) };
        rig.usable.set_mappings(&[other]);
        assert_eq!(rig.online("door/LWT").await, "– BadNoCommunication 10000");
        // More topics than are kept.
        rig.reports(true).await;
        for n in 0..=TOPICS_MAX {
            rig.offline(&format!("{n}/LWT")).await;
        }
        let mut last = String::new();
        for n in 0..=TOPICS_MAX {
            last = rig.online(&format!("{n}/LWT")).await;
        }
        assert!(last.starts_with("– BadNoCommunication"), "{last}");
    }
}
