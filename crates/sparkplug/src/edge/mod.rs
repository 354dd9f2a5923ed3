//! An edge node with devices (Sparkplug 3.0.0 §5): tags go out as births, data on change and deaths; commands come in.
//!
//! ```text
//! start ──► waiting for the primary host ──STATE online──► born ──STATE offline──► dead, waiting
//!       └──────────── (no primary host) ────────────────►   │
//!                                                           └─ rebirth request: all births again, same bdSeq
//! ```
//! A device whose every known value is bad for want of communication is dead (DDEATH), and born again (DBIRTH) with the first that is not.
//! Every tag is sent once with an alias in the births, and by alias only afterwards.

#[cfg(test)]
mod tests;

use crate::bounds::Limits;
use crate::payload::{self, BD_SEQ, DecodeError, REBIRTH};
use crate::proto::{Metric, MetricValue, Payload};
use crate::state::State;
use crate::topic::{NodeName, Topic, Verb, node_topic};
use crate::value::{self, DataType};
use crate::{Message, Now};
use andon_model::{self as model, Sample, StatusCode, TagId, Timestamp, Value};
use prost::Message as _;
use std::collections::HashMap;
use std::time::Duration;

/// The alias of bdSeq; those of the tags follow. `Node Control/Rebirth` must have none, so that whoever has not seen a birth can ask for one
/// [tck-id-operational-behavior-data-commands-rebirth-name-aliases].
const BD_SEQ_ALIAS: u64 = 1;
/// Births on request come at most so often: whoever may ask for one could else have all of them sent all the time.
const REBIRTH_EVERY: Duration = Duration::from_secs(1);

/// A tag as a metric.
#[derive(Clone, PartialEq, Debug)]
pub struct MetricDef {
    /// The tag.
    pub tag: TagId,
    /// The metric's name, with slashes for folders; unique in its device.
    pub name: String,
    /// The tag's type.
    pub data_type: model::DataType,
    /// The tag's unit, told as the property `engUnit`.
    pub unit: Option<String>,
    /// Whether commands are taken.
    pub writable: bool,
}

/// A device and its metrics.
#[derive(Clone, PartialEq, Debug)]
pub struct DeviceDef {
    /// Its identifier.
    pub id: Box<str>,
    /// Its metrics.
    pub metrics: Vec<MetricDef>,
}

/// An edge node.
#[derive(Clone, PartialEq, Debug)]
pub struct EdgeConfig {
    /// Its name.
    pub name: NodeName,
    /// The host application without which nothing is sent.
    pub primary_host: Option<Box<str>>,
    /// Its own metrics.
    pub metrics: Vec<MetricDef>,
    /// Its devices.
    pub devices: Vec<DeviceDef>,
}

/// What a command asks for.
#[derive(Clone, PartialEq, Debug)]
pub enum Order {
    /// All births again: call [`EdgeNode::rebirth`].
    Rebirth,
    /// Write this tag.
    Write(TagId, Value),
}

/// Why a command is not taken. Nothing of it is.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum OrderError {
    /// It cannot be read.
    #[error(transparent)]
    Unreadable(#[from] DecodeError),
    /// It is for somebody else.
    #[error("no command for this edge node")]
    NotForUs,
    /// There is no such metric.
    #[error("there is no metric {0}")]
    NoMetric(String),
    /// It is for reading only.
    #[error("the metric {0} cannot be written")]
    ReadOnly(String),
    /// The value is missing or does not fit.
    #[error("no value of the metric {0}'s type")]
    Value(String),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Phase {
    Stopped,
    Waiting,
    Born,
}

#[derive(Debug)]
struct Slot {
    def: MetricDef,
    alias: u64,
    last: Option<(Value, StatusCode, Timestamp)>,
    changed: bool,
}

impl Slot {
    fn is_cut_off(&self) -> bool {
        let want = [
            StatusCode::BAD_NO_COMMUNICATION,
            StatusCode::BAD_COMMUNICATION_ERROR,
            StatusCode::BAD_NOT_CONNECTED,
            StatusCode::BAD_OUT_OF_SERVICE,
        ];
        self.last.as_ref().is_some_and(|(_, quality, _)| want.contains(&StatusCode(quality.0 & 0xffff_0000)))
    }

    /// As it stands in a birth, or in data.
    fn metric(&self, birth: bool, now: Timestamp) -> Metric {
        let unknown = (Value::Null, StatusCode::BAD_WAITING_FOR_INITIAL_DATA, now);
        let (value, quality, at) = self.last.as_ref().unwrap_or(&unknown);
        let data_type = DataType::of_tag(self.def.data_type);
        let encoded = value::encode(value, data_type).ok();
        let unit =
            self.def.unit.as_deref().filter(|_| birth).map(|unit| payload::text_property(payload::ENG_UNIT, unit));
        Metric {
            name: birth.then(|| self.def.name.clone()),
            alias: Some(self.alias),
            timestamp: Some(payload::millis(*at)),
            // Needed in births only; there are readers that cannot do without.
            datatype: Some(data_type.code()),
            is_null: encoded.is_none().then_some(true),
            properties: payload::properties(payload::quality_property(*quality).into_iter().chain(unit)),
            value: encoded,
            ..Metric::default()
        }
    }
}

#[derive(Debug)]
struct Part {
    /// `None`: the edge node itself.
    id: Option<Box<str>>,
    slots: Vec<Slot>,
    alive: bool,
}

impl Part {
    /// Whether it can be called dead: something is known, and none of it is in communication.
    fn is_cut_off(&self) -> bool {
        let mut known = self.slots.iter().filter(|slot| slot.last.is_some()).peekable();
        self.id.is_some() && known.peek().is_some() && known.all(Slot::is_cut_off)
    }
}

/// An edge node.
#[derive(Debug)]
pub struct EdgeNode {
    name: NodeName,
    primary_host: Option<Box<str>>,
    host: Option<State>,
    parts: Vec<Part>,
    by_tag: HashMap<TagId, (usize, usize)>,
    phase: Phase,
    bd_seq: u8,
    seq: u8,
    /// When its births were last given.
    born: Option<Duration>,
}

impl EdgeNode {
    /// An edge node that is not connected yet. `bd_seq` is the number of its first session: 0 at the very first, else one more than the last
    /// that was used, 0 after 255 [tck-id-payloads-nbirth-bdseq-inc].
    #[must_use]
    pub fn new(config: EdgeConfig, bd_seq: u8) -> Self {
        let devices = config.devices.into_iter().map(|device| (Some(device.id), device.metrics));
        let mut alias = BD_SEQ_ALIAS;
        let mut slot = |def| {
            alias += 1;
            Slot { def, alias, last: None, changed: false }
        };
        let parts: Vec<Part> = std::iter::once((None, config.metrics))
            .chain(devices)
            .map(|(id, metrics)| Part { id, slots: metrics.into_iter().map(&mut slot).collect(), alive: false })
            .collect();
        let places = parts
            .iter()
            .enumerate()
            .flat_map(|(part, it)| it.slots.iter().enumerate().map(move |(place, slot)| (slot.def.tag, (part, place))));
        Self {
            name: config.name,
            primary_host: config.primary_host,
            host: None,
            by_tag: places.collect(),
            parts,
            phase: Phase::Stopped,
            bd_seq,
            seq: 0,
            born: None,
        }
    }

    /// The present session's number. To be kept before anything of the session is published.
    #[must_use]
    pub const fn bd_seq(&self) -> u8 {
        self.bd_seq
    }

    /// Whether its births are out.
    #[must_use]
    pub fn is_born(&self) -> bool {
        self.phase == Phase::Born
    }

    /// The tags that go out.
    pub fn tags(&self) -> impl Iterator<Item = TagId> {
        self.by_tag.keys().copied()
    }

    /// The death certificate of the present session, for the MQTT server to publish when the connection is lost
    /// [tck-id-payloads-ndeath-will-message]: with QoS 1, not retained, without a sequence number.
    #[must_use]
    pub fn death(&self, now: Now) -> Message {
        let at = payload::millis(now.wall);
        let metrics = vec![payload::bd_seq_metric(self.bd_seq, at)];
        let payload = Payload { timestamp: Some(at), metrics, ..Payload::default() };
        Message { topic: node_topic(Verb::NDeath, &self.name, None), payload: payload.encode_to_vec() }
    }

    /// The connection stands and the subscriptions are made: gives the births, unless a primary host is waited for.
    pub fn start(&mut self, now: Now) -> Vec<Message> {
        self.phase = Phase::Waiting;
        if self.primary_host.is_none() || self.host.is_some_and(|host| host.online) {
            self.births(now)
        } else {
            Vec::new()
        }
    }

    /// A STATE message of any host. When the primary host comes, the births; when it goes, the death, which ends the session: the next one has the next
    /// bdSeq. An older state than the last one does not count [tck-id-message-flow-edge-node-birth-publish-phid-wait-timestamp].
    pub fn host_state(&mut self, host: &str, state: State, now: Now) -> Vec<Message> {
        if self.primary_host.as_deref() != Some(host) {
            return Vec::new();
        }
        if self.host.is_some_and(|last| state.timestamp < last.timestamp) {
            return Vec::new();
        }
        self.host = Some(state);
        match (self.phase, state.online) {
            (Phase::Waiting, true) => self.births(now),
            (Phase::Born, false) => {
                let death = self.death(now);
                self.phase = Phase::Waiting;
                self.bd_seq = self.bd_seq.wrapping_add(1);
                vec![death]
            }
            _ => Vec::new(),
        }
    }

    /// Ends the session on purpose: gives the death if it was born [tck-id-operational-behavior-edge-node-intentional-disconnect-ndeath].
    pub fn stop(&mut self, now: Now) -> Option<Message> {
        let was = std::mem::replace(&mut self.phase, Phase::Stopped);
        (was == Phase::Born).then(|| self.death(now))
    }

    /// How long a request for births has to wait, so that they do not come more often than once a second.
    #[must_use]
    pub fn rebirth_in(&self, now: Now) -> Duration {
        self.born
            .filter(|_| self.is_born())
            .map_or(Duration::ZERO, |born| (born + REBIRTH_EVERY).saturating_sub(now.mono))
    }

    /// All births again, in the same session; nothing while it is not born. Not before [`EdgeNode::rebirth_in`].
    pub fn rebirth(&mut self, now: Now) -> Vec<Message> {
        if self.is_born() { self.births(now) } else { Vec::new() }
    }

    fn births(&mut self, now: Now) -> Vec<Message> {
        self.phase = Phase::Born;
        self.born = Some(now.mono);
        self.seq = 0;
        (0..self.parts.len()).filter_map(|part| self.birth(part, now)).collect()
    }

    fn next_seq(&mut self) -> u64 {
        let seq = self.seq;
        self.seq = self.seq.wrapping_add(1);
        u64::from(seq)
    }

    fn message(&mut self, node_verb: Verb, device_verb: Verb, part: usize, metrics: Vec<Metric>, now: Now) -> Message {
        let payload = Payload {
            timestamp: Some(payload::millis(now.wall)),
            metrics,
            seq: Some(self.next_seq()),
            ..Payload::default()
        };
        let device = self.parts.get(part).and_then(|part| part.id.as_deref());
        let verb = if device.is_some() { device_verb } else { node_verb };
        Message { topic: node_topic(verb, &self.name, device), payload: payload.encode_to_vec() }
    }

    /// The birth of the node or of a device; `None` for a device that is dead.
    fn birth(&mut self, number: usize, now: Now) -> Option<Message> {
        let bd_seq = self.bd_seq;
        let part = self.parts.get_mut(number)?;
        part.alive = !part.is_cut_off();
        if !part.alive {
            return None;
        }
        let mut metrics = Vec::with_capacity(part.slots.len() + 2);
        if part.id.is_none() {
            let at = payload::millis(now.wall);
            metrics.push(Metric { alias: Some(BD_SEQ_ALIAS), ..payload::bd_seq_metric(bd_seq, at) });
            metrics.push(Metric {
                name: Some(REBIRTH.to_owned()),
                timestamp: Some(at),
                datatype: Some(DataType::Boolean.code()),
                value: Some(MetricValue::Boolean(false)),
                ..Metric::default()
            });
        }
        for slot in &mut part.slots {
            slot.changed = false;
            metrics.push(slot.metric(true, now.wall));
        }
        // In the order of time [tck-id-operational-behavior-data-publish-nbirth-order].
        metrics.sort_by_key(|metric| metric.timestamp);
        Some(self.message(Verb::NBirth, Verb::DBirth, number, metrics, now))
    }

    /// A tag's value. What is as it was is no change.
    pub fn take(&mut self, sample: &Sample) {
        let Some((part, slot)) = self.by_tag.get(&sample.tag) else { return };
        let Some(slot) = self.parts.get_mut(*part).and_then(|part| part.slots.get_mut(*slot)) else { return };
        let same =
            slot.last.as_ref().is_some_and(|(value, quality, _)| *value == sample.value && *quality == sample.quality);
        if !same {
            slot.last = Some((sample.value.clone(), sample.quality, sample.source_ts.min(sample.received_ts)));
            slot.changed = true;
        }
    }

    /// What has changed since the last call, one message for the node and each device; deaths and births of devices. Nothing while it is not born: the
    /// birth has the values of then.
    pub fn flush(&mut self, now: Now) -> Vec<Message> {
        if !self.is_born() {
            return Vec::new();
        }
        let mut out = Vec::new();
        for number in 0..self.parts.len() {
            let Some(part) = self.parts.get_mut(number) else { continue };
            if !part.slots.iter().any(|slot| slot.changed) {
                continue;
            }
            let (was, dead) = (part.alive, part.is_cut_off());
            if !was && dead {
                // Nothing is sent for it; its next birth has the values of then.
                part.slots.iter_mut().for_each(|slot| slot.changed = false);
                continue;
            }
            if !was {
                out.extend(self.birth(number, now));
                continue;
            }
            let mut changed: Vec<&mut Slot> = part.slots.iter_mut().filter(|slot| slot.changed).collect();
            // In the order of time [tck-id-operational-behavior-data-publish-dbirth-order].
            changed.sort_by_key(|slot| slot.last.as_ref().map(|(_, _, at)| *at));
            let mut metrics = Vec::with_capacity(changed.len());
            for slot in changed {
                slot.changed = false;
                metrics.push(slot.metric(false, now.wall));
            }
            if dead {
                part.alive = false;
                out.push(self.message(Verb::NData, Verb::DDeath, number, Vec::new(), now));
            } else {
                out.push(self.message(Verb::NData, Verb::DData, number, metrics, now));
            }
        }
        out
    }

    /// Whether a topic is that of commands for this node or one of its devices.
    #[must_use]
    pub fn is_commanded_by(&self, topic: &str) -> bool {
        self.commanded(topic).is_some()
    }

    fn commanded(&self, topic: &str) -> Option<&Part> {
        let Topic::Node { verb, group, node, device } = Topic::parse(topic)? else { return None };
        let ours = verb.is_command() && *group == *self.name.group && *node == *self.name.node;
        self.parts.iter().find(|part| ours && part.id.as_deref() == device)
    }

    /// Reads a command.
    /// # Errors
    /// [`OrderError`]: all or nothing.
    pub fn command(&self, topic: &str, payload: &[u8], limits: &Limits) -> Result<Vec<Order>, OrderError> {
        let part = self.commanded(topic).ok_or(OrderError::NotForUs)?;
        let payload = payload::decode(payload, limits)?;
        payload.metrics.iter().map(|metric| order(part, metric)).collect()
    }
}

fn order(part: &Part, metric: &Metric) -> Result<Order, OrderError> {
    let called = || match (&metric.name, metric.alias) {
        (Some(name), _) => format!("{name:?}"),
        (None, Some(alias)) => format!("with the alias {alias}"),
        (None, None) => "without a name".to_owned(),
    };
    let of_node = part.id.is_none();
    if of_node && metric.name.as_deref() == Some(REBIRTH) {
        return match metric.value {
            Some(MetricValue::Boolean(true)) => Ok(Order::Rebirth),
            _ => Err(OrderError::Value(called())),
        };
    }
    if of_node && (metric.name.as_deref() == Some(BD_SEQ) || metric.alias == Some(BD_SEQ_ALIAS)) {
        return Err(OrderError::ReadOnly(BD_SEQ.to_owned()));
    }
    let slot = part.slots.iter().find(|slot| match &metric.name {
        Some(name) => *name == slot.def.name,
        None => metric.alias == Some(slot.alias),
    });
    let slot = slot.ok_or_else(|| OrderError::NoMetric(called()))?;
    if !slot.def.writable {
        return Err(OrderError::ReadOnly(called()));
    }
    // Some send another type than the birth has; what is the same number is taken.
    let sent = metric.datatype.and_then(DataType::from_code).unwrap_or(DataType::of_tag(slot.def.data_type));
    let (value, quality) = value::decode(metric, sent);
    let value = value.coerce(slot.def.data_type).filter(|value| quality.is_good() && *value != Value::Null);
    value.map(|value| Order::Write(slot.def.tag, value)).ok_or_else(|| OrderError::Value(called()))
}
