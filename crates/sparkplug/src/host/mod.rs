//! A host application (Sparkplug 3.0.0 §5): what edge nodes say becomes samples of tags, in order or not at all.
//!
//! ```text
//! NBIRTH ──► online ──gap for longer than the reorder timeout──► unsure ──NBIRTH──► online
//!              │                                                   │
//!              └────────── NDEATH with the birth's bdSeq ──────────┴──► offline (stale)
//! ```
//! - A message whose number is ahead waits for those before it; when they do not come in time, what waited is dropped, the node's values become
//!   uncertain and it is asked to be born again. Nothing is taken from it until then: an alias might stand for another metric by now.
//! - A death makes all values of the node and its devices bad (no communication) at the time it was received.
//! - Templates are taken apart: each member of an instance is a metric of its own, `template/member`, and can be a tag.
//! - Tables, bytes, files and arrays become no tags; they are listed by [`Host::found`] with their type.
//! - Transient and historical metrics are samples like others: who maps a metric to a tag wants it kept. A historical one is no current value.

mod node;
mod saved;
mod table;
#[cfg(test)]
mod tests;

use self::node::{Came, Ctx, Node};
use self::table::{Known, Table, member_name};
use crate::bounds::Limits;
use crate::payload::{self, DecodeError};
use crate::proto::{Metric, MetricValue, Payload, Template};
use crate::topic::{NodeName, Topic, Verb, node_topic};
use crate::value::{self, DataType, EncodeError};
use crate::{Message, Now};
use andon_model::text::shown;
use andon_model::{self as model, Sample, StatusCode, TagId, Timestamp, Value};
use prost::Message as _;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::ops::Bound;
use std::sync::Arc;
use std::time::Duration;

pub use saved::RestoreError;

/// How a command names its metric.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub enum CommandBy {
    /// By its alias where it has one, as the specification asks [tck-id-payloads-alias-data-cmd-requirement].
    #[default]
    Alias,
    /// By its name, for edge nodes that do not know their own aliases in commands.
    Name,
}

/// A host application's settings and bounds.
#[derive(Clone, Debug)]
pub struct HostOptions {
    /// The groups that are listened to; empty: all.
    pub groups: Vec<Box<str>>,
    /// How long a missing message may take [tck-id-operational-behavior-host-reordering-param].
    pub reorder_timeout: Duration,
    /// A node is asked for a birth at most so often; doubled each time it does not answer, up to five minutes.
    pub rebirth_every: Duration,
    /// How commands name their metric.
    pub command_by: CommandBy,
    /// What is taken of a payload.
    pub limits: Limits,
    /// The most edge nodes; further ones are refused and told.
    pub nodes: usize,
    /// The most devices of all edge nodes.
    pub devices: usize,
    /// The most metrics of all of them.
    pub metrics: usize,
    /// The most bytes that wait for missing messages, of all edge nodes.
    pub held_bytes: usize,
}

impl Default for HostOptions {
    fn default() -> Self {
        Self {
            groups: Vec::new(),
            reorder_timeout: Duration::from_secs(2),
            rebirth_every: Duration::from_secs(10),
            command_by: CommandBy::Alias,
            limits: Limits::default(),
            nodes: 10_000,
            devices: 50_000,
            metrics: 200_000,
            held_bytes: 16 << 20,
        }
    }
}

/// A metric's place: shown as `group/node/name` or `group/node/device/name`.
#[derive(Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Debug)]
pub struct Address {
    /// The edge node.
    pub node: NodeName,
    /// The device; `None`: of the edge node itself.
    pub device: Option<Box<str>>,
    /// The metric's name, with slashes for folders.
    pub metric: Box<str>,
}

impl fmt::Display for Address {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.device {
            Some(device) => write!(f, "{}/{device}/{}", self.node, self.metric),
            None => write!(f, "{}/{}", self.node, self.metric),
        }
    }
}

/// Names to tags, one level for each part of an address; the device is empty for the edge node's own metrics.
type ByName<T> = HashMap<Box<str>, T>;
/// The metrics of one device, in order of their names: members of a template stand together.
type Metrics = BTreeMap<Box<str>, TagId>;

/// Which metrics are which tags.
#[derive(Clone, Default, Debug, PartialEq, Eq)]
pub struct Targets(ByName<ByName<ByName<Metrics>>>);

impl Targets {
    /// Maps a metric to a tag; gives the tag that it was before.
    pub fn insert(&mut self, address: &Address, tag: TagId) -> Option<TagId> {
        let node = self.0.entry(address.node.group.clone()).or_default().entry(address.node.node.clone()).or_default();
        let device = node.entry(address.device.clone().unwrap_or_default()).or_default();
        device.insert(address.metric.clone(), tag)
    }

    fn of(&self, name: &NodeName, device: &str, metric: &str) -> Option<TagId> {
        self.0.get(&name.group)?.get(&name.node)?.get(device)?.get(metric).copied()
    }

    /// Whether something within this metric is mapped: a member, if it is a template.
    fn has_any_within(&self, name: &NodeName, device: &str, metric: &str) -> bool {
        let Some(metrics) = self.0.get(&name.group).and_then(|g| g.get(&name.node)).and_then(|n| n.get(device)) else {
            return false;
        };
        let begin = format!("{metric}/");
        metrics
            .range::<str, _>((Bound::Included(&*begin), Bound::Unbounded))
            .next()
            .is_some_and(|(name, _)| name.starts_with(&begin))
    }

    /// Whether a tag of this edge node, or device, is mapped.
    #[must_use]
    pub fn has_any(&self, group: &str, node: &str, device: Option<&str>) -> bool {
        let device = device.unwrap_or_default();
        self.0.get(group).and_then(|g| g.get(node)).is_some_and(|n| n.get(device).is_some_and(|d| !d.is_empty()))
    }

    /// Whether any metric of this edge node and its devices is mapped.
    fn has_any_of(&self, name: &NodeName) -> bool {
        let devices = self.0.get(&name.group).and_then(|nodes| nodes.get(&name.node));
        devices.is_some_and(|devices| devices.values().any(|metrics| !metrics.is_empty()))
    }

    /// The tag of a metric.
    #[must_use]
    pub fn tag(&self, address: &Address) -> Option<TagId> {
        self.of(&address.node, address.device.as_deref().unwrap_or_default(), &address.metric)
    }
}

/// What came of something that was handed in.
#[derive(Default, Debug, PartialEq)]
pub struct Outcome {
    /// For the mapped tags, in order.
    pub samples: Vec<Sample>,
    /// To publish, QoS 0, not retained.
    pub send: Vec<Message>,
    /// For people.
    pub notes: Vec<Note>,
}

/// Something that people may want to know.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Note {
    /// An edge node was born; how many metrics it has itself.
    Born(NodeName, usize),
    /// An edge node died.
    Died(NodeName),
    /// A death did not belong to the present birth and was left aside.
    OldDeath(NodeName),
    /// A device was born; how many metrics it has.
    DeviceBorn(NodeName, Box<str>, usize),
    /// A device died.
    DeviceDied(NodeName, Box<str>),
    /// Messages of an edge node are missing: number expected.
    Gap(NodeName, u8),
    /// Data of an edge node, or of a device, without a birth before it.
    Unborn(NodeName, Option<Box<str>>),
    /// Data of a metric that the birth does not have, or with another type.
    Unknown(NodeName, String),
    /// A message could not be read.
    Unreadable(String, DecodeError),
    /// A message breaks a rule that it cannot be taken without.
    Refused(String, &'static str),
    /// More edge nodes, devices or metrics than are taken.
    TooMany(&'static str, usize),
}

impl fmt::Display for Note {
    /// In plain words, with what to do where people can do something. Names of strangers are told so that all of them is to be seen.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let node_of = |node: &NodeName| shown(&node.to_string()).into_owned();
        let device_of = |node: &NodeName, device: &str| shown(&format!("{node}/{device}")).into_owned();
        match self {
            Self::Born(node, metrics) => {
                write!(f, "The Sparkplug edge node {} is online with {metrics} metrics.", node_of(node))
            }
            Self::Died(node) => {
                write!(f, "The Sparkplug edge node {} is gone; its values are bad until it is back.", node_of(node))
            }
            Self::OldDeath(node) => write!(
                f,
                "A death of the Sparkplug edge node {} belongs to an earlier birth and does not count.",
                node_of(node)
            ),
            Self::DeviceBorn(node, device, metrics) => {
                write!(f, "The Sparkplug device {} is online with {metrics} metrics.", device_of(node, device))
            }
            Self::DeviceDied(node, device) => write!(
                f,
                "The Sparkplug device {} is gone; its values are bad until it is back.",
                device_of(node, device)
            ),
            Self::Gap(node, expected) => write!(
                f,
                "Messages of the Sparkplug edge node {} are missing from number {expected} on; it is asked to send everything again.",
                node_of(node)
            ),
            Self::Unborn(node, None) => {
                write!(f, "The Sparkplug edge node {} sends data without a birth; it is asked for one.", node_of(node))
            }
            Self::Unborn(node, Some(device)) => write!(
                f,
                "The Sparkplug device {} sends data without a birth; its edge node is asked for one.",
                device_of(node, device)
            ),
            Self::Unknown(node, what) => write!(
                f,
                "The Sparkplug edge node {} sends {} that its birth does not have so; it is asked for a new birth.",
                node_of(node),
                shown(what)
            ),
            Self::Unreadable(topic, error) => write!(
                f,
                "A message on {} could not be read: {error}. Set the device to Sparkplug B, or let it send less at once.",
                shown(topic)
            ),
            Self::Refused(topic, why) => write!(
                f,
                "A message on {} is not taken: {why}. Look for a newer version of the device's Sparkplug.",
                shown(topic)
            ),
            Self::TooMany(what, limit) => write!(
                f,
                "A Sparkplug host takes {limit} {what} at most; the rest is left out. Give its groups to several connectors."
            ),
        }
    }
}

/// A metric as it was born, with its last value.
#[derive(Clone, PartialEq, Debug)]
pub struct Found {
    /// Where it is.
    pub address: Address,
    /// Its type; `None`: one that does not exist.
    pub data_type: Option<DataType>,
    /// What a tag must be to take it; `None`: it becomes no tag.
    pub tag_type: Option<model::DataType>,
    /// The tag that takes it.
    pub tag: Option<TagId>,
    /// Whether the edge node calls it of no interest to a historian.
    pub transient: bool,
    /// Its unit, as the device writes it (`engUnit`).
    pub unit: Option<Box<str>>,
    /// The last value; null for texts of more than 4 KiB and for what becomes no tag.
    pub value: Value,
    /// How far it can be trusted.
    pub quality: StatusCode,
    /// Of when it is.
    pub at: Timestamp,
}

/// An edge node or a device.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DeviceState {
    /// The edge node.
    pub node: NodeName,
    /// The device; `None`: the edge node itself.
    pub device: Option<Box<str>>,
    /// Whether it is there, as far as is known for sure.
    pub online: bool,
    /// Since when.
    pub since: Timestamp,
    /// How many metrics it has.
    pub metrics: usize,
    /// How often the edge node was asked for a birth since the start; 0 for a device.
    pub births_asked: u64,
    /// The last thing that was odd about the edge node, and when; kept after it is over. `None` for a device.
    pub trouble: Option<(Timestamp, String)>,
}

/// Why a command is not sent.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum CommandError {
    /// The edge node or the device is not there.
    #[error("{0} is not online; send it again when it is back")]
    Offline(String),
    /// Its birth has no such metric.
    #[error("the last birth of {0} has no such metric; correct the metric's name in the connector")]
    NoMetric(String),
    /// The value does not fit.
    #[error(transparent)]
    Value(#[from] EncodeError),
}

/// How much there is, over all edge nodes.
#[derive(Default, Debug)]
struct Counts {
    devices: usize,
    metrics: usize,
    held_bytes: usize,
    /// Births that may be asked for at once; one more every 50 ms.
    asks: Asks,
}

/// What an edge node counts for.
#[derive(Clone, Copy, Default, PartialEq, Eq, Debug)]
struct Taken {
    devices: usize,
    metrics: usize,
}

/// So many births are asked for in a second, over all edge nodes: a storm of births must not answer a restart.
#[derive(Debug)]
struct Asks {
    left: u32,
    counted: Duration,
}

impl Default for Asks {
    fn default() -> Self {
        Self { left: Self::MOST, counted: Duration::ZERO }
    }
}

impl Asks {
    const MOST: u32 = 20;
    const EVERY: Duration = Duration::from_millis(50);

    fn take(&mut self, now: Duration) -> bool {
        let more = now.saturating_sub(self.counted).as_millis() / Self::EVERY.as_millis();
        if more > 0 {
            self.left = self.left.saturating_add(u32::try_from(more).unwrap_or(Self::MOST)).min(Self::MOST);
            self.counted = now;
        }
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

/// A host application.
#[derive(Debug)]
pub struct Host {
    options: HostOptions,
    targets: Targets,
    nodes: ByName<ByName<Node>>,
    counts: Counts,
}

impl Host {
    /// A host application that knows nobody yet.
    #[must_use]
    pub fn new(options: HostOptions, targets: Targets) -> Self {
        Self { options, targets, nodes: HashMap::new(), counts: Counts::default() }
    }

    /// Whether messages of this group are listened to.
    #[must_use]
    pub fn wants(&self, group: &str) -> bool {
        self.options.groups.is_empty() || self.options.groups.iter().any(|own| **own == *group)
    }

    /// A message that was published. Commands and what is none of Sparkplug's are left aside.
    pub fn handle(&mut self, topic: &str, bytes: &[u8], now: Now) -> Outcome {
        let mut out = Outcome::default();
        let Some(Topic::Node { verb, group, node, device }) = Topic::parse(topic) else { return out };
        if verb.is_command() || !self.wants(group) {
            return out;
        }
        let came = match payload::decode(bytes, &self.options.limits) {
            Ok(payload) => Came { bytes, payload },
            Err(error) => {
                out.notes.push(Note::Unreadable(topic.to_owned(), error));
                return out;
            }
        };
        let Some(name) = NodeName::new(group, node) else { return out };
        let known = self.node(&name).is_some();
        // A death of somebody unknown says nothing.
        if !known && verb == Verb::NDeath {
            return out;
        }
        // Nobody gives way for a birth that is not taken.
        let is_taken = match verb {
            Verb::NBirth => node::number(&came.payload).is_some(),
            Verb::DBirth => self.node(&name).is_some_and(|node| node.waits_for(&came.payload)),
            _ => false,
        };
        let metrics = if is_taken { table::count(&came.payload.metrics, None) } else { 0 };
        let has_room = self.make_room(&name, device.filter(|_| is_taken && verb == Verb::DBirth), metrics);
        if !known && !has_room {
            out.notes.push(Note::TooMany("edge nodes", self.options.nodes));
            return out;
        }
        if !known {
            self.nodes.entry(group.into()).or_default().insert(node.into(), Node::new(Arc::new(name), now));
        }
        let mut ctx =
            Ctx { options: &self.options, targets: &self.targets, counts: &mut self.counts, out: &mut out, now };
        if let Some(node) = self.nodes.get_mut(group).and_then(|nodes| nodes.get_mut(node)) {
            node.receive(&mut ctx, topic, verb, device, &came);
        }
        out
    }

    /// Somebody has seen this edge node: it is asked for a birth at the next [`Host::tick`], unless it was born before. What is silent between changes would
    /// else stay unknown to a host that comes later.
    pub fn expect(&mut self, name: &NodeName, now: Now) {
        if !self.wants(&name.group) || !self.make_room(name, None, 0) {
            return;
        }
        let nodes = self.nodes.entry(name.group.clone()).or_default();
        nodes.entry(name.node.clone()).or_insert_with(|| Node::new(Arc::new(name.clone()), now)).expect_birth(now);
    }

    /// Sees that there is room for this edge node, and for so many metrics in a birth of its own or of one of its devices: others give way of which no
    /// metric is mapped, first those that were never born, then those that are not there, the oldest of them first; and for one with mapped metrics also
    /// those that are there. Whoever may publish can invent names and births, and they must not keep out who has tags. False: there is no room for the
    /// edge node.
    fn make_room(&mut self, name: &NodeName, device: Option<&str>, metrics: usize) -> bool {
        let own = self.node(name);
        let (known, table) = (own.is_some(), own.and_then(|node| node.table(device)));
        let (new_devices, has) =
            (usize::from(device.is_some() && table.is_none()), table.map_or(0, |it| it.metrics.len()));
        let place = |host: &Self| known || host.nodes.values().map(HashMap::len).sum::<usize>() < host.options.nodes;
        let over = |host: &Self| Taken {
            devices: (new_devices * (host.counts.devices + 1)).saturating_sub(host.options.devices),
            // Who says fewer than there are asks for nothing.
            metrics: match metrics {
                0 => 0,
                metrics => (host.counts.metrics - has + metrics).saturating_sub(host.options.metrics),
            },
        };
        let (has_place, needed) = (place(self), over(self));
        if has_place && needed == Taken::default() {
            return true;
        }
        let mapped = self.targets.has_any_of(name);
        let goes =
            |node: &&Node| (mapped || !node.is_there()) && *node.name != *name && !self.targets.has_any_of(&node.name);
        let nodes = self.nodes.values().flat_map(HashMap::values).filter(goes);
        let mut going: Vec<_> =
            nodes.map(|node| (node.is_there(), node.was_born(), node.since, node.name.clone(), node.taken())).collect();
        going.sort_unstable_by(|a, b| (a.0, a.1, a.2, &a.3).cmp(&(b.0, b.1, b.2, &b.3)));
        let free = going.iter().fold(Taken::default(), |sum, (.., taken)| Taken {
            devices: sum.devices + taken.devices,
            metrics: sum.metrics + taken.metrics,
        });
        // Nobody gives way for a birth that is cut off all the same, but for who has tags.
        let is_enough = free.devices >= needed.devices && free.metrics >= needed.metrics;
        let room = |host: &Self| place(host) && (!(mapped || is_enough) || over(host) == Taken::default());
        // Of mere names a few more than one, so that not every stranger makes us look at all of them.
        let few = if has_place { 0 } else { self.options.nodes / 100 };
        for (at, (_, was_born, _, gone, _)) in going.iter().enumerate() {
            if room(self) && (at >= few || *was_born) {
                break;
            }
            self.forget(gone);
        }
        place(self)
    }

    fn forget(&mut self, name: &NodeName) {
        let Some(nodes) = self.nodes.get_mut(&name.group) else { return };
        if let Some(mut node) = nodes.remove(&name.node) {
            node.give_back(&mut self.counts);
        }
        if nodes.is_empty() {
            self.nodes.remove(&name.group);
        }
    }

    /// Time has passed: missing messages, births that are overdue. Call it about four times a second.
    pub fn tick(&mut self, now: Now) -> Outcome {
        self.each(now, |node, ctx| node.tick(ctx))
    }

    /// From now on these metrics are these tags. Those that are new come with the values there are.
    pub fn set_targets(&mut self, targets: Targets, now: Now) -> Outcome {
        self.targets = targets;
        self.each(now, |node, ctx| node.map_again(ctx))
    }

    fn each(&mut self, now: Now, mut run: impl FnMut(&mut Node, &mut Ctx<'_>)) -> Outcome {
        let mut out = Outcome::default();
        let mut ctx =
            Ctx { options: &self.options, targets: &self.targets, counts: &mut self.counts, out: &mut out, now };
        for node in self.nodes.values_mut().flat_map(HashMap::values_mut) {
            run(node, &mut ctx);
        }
        out
    }

    fn node(&self, name: &NodeName) -> Option<&Node> {
        self.nodes.get(&name.group)?.get(&name.node)
    }

    /// The command that writes `value` to a metric.
    /// # Errors
    /// [`CommandError`].
    pub fn command(&self, address: &Address, value: &Value, now: Timestamp) -> Result<Message, CommandError> {
        let whose = || match &address.device {
            Some(device) => format!("{}/{device}", address.node),
            None => address.node.to_string(),
        };
        let table = self.node(&address.node).and_then(|node| node.online(address.device.as_deref()));
        let table = table.ok_or_else(|| CommandError::Offline(whose()))?;
        let (known, data_type) = table
            .metric(&address.metric)
            .and_then(|known| Some((known, known.data_type?)))
            .ok_or_else(|| CommandError::NoMetric(whose()))?;
        let at = Some(payload::millis(now));
        let metric = self.written(table, known, data_type, value::encode(value, data_type)?, at);
        let payload = Payload { timestamp: at, metrics: vec![metric], ..Payload::default() };
        let device = address.device.as_deref();
        let verb = if device.is_some() { Verb::DCmd } else { Verb::NCmd };
        Ok(Message { topic: node_topic(verb, &address.node, device), payload: payload.encode_to_vec() })
    }

    /// A metric of a command; a member of a template stands in an instance of that, by its name within it.
    fn written(
        &self,
        table: &Table,
        known: &Known,
        data_type: DataType,
        value: MetricValue,
        at: Option<u64>,
    ) -> Metric {
        let template = known.within.and_then(|place| table.metrics.get(place));
        let own = template.and_then(|template| known.name.strip_prefix(&*template.name)?.strip_prefix('/'));
        let alias = known.alias.filter(|_| template.is_none() && self.options.command_by == CommandBy::Alias);
        let metric = Metric {
            name: alias.is_none().then(|| own.unwrap_or(&known.name).to_owned()),
            alias,
            timestamp: at,
            datatype: Some(data_type.code()),
            value: Some(value),
            ..Metric::default()
        };
        let Some(template) = template else { return metric };
        let of = template.instance.as_deref();
        let instance = Template {
            version: of.and_then(|of| of.version.clone()),
            metrics: vec![metric],
            template_ref: of.and_then(|of| of.definition.clone()),
            is_definition: Some(false),
            ..Template::default()
        };
        // As deep as a birth may be: the name of what stands around is ever shorter.
        self.written(table, template, DataType::Template, MetricValue::Template(Box::new(instance)), at)
    }

    /// Which metrics somebody else's command writes, each with its value and in its order, of templates their members; `None` if it cannot be read, is
    /// over a bound, or has an alias that is not known for sure, or that is another metric's than the one it names: who gets it may go by either.
    #[must_use]
    pub fn wanted_by(&self, topic: &str, payload: &[u8]) -> Option<Vec<(Address, Value)>> {
        let Topic::Node { verb, group, node, device } = Topic::parse(topic)? else { return None };
        let name = NodeName::new(group, node).filter(|_| verb.is_command())?;
        let payload = payload::decode(payload, &self.options.limits).ok()?;
        let node = self.node(&name);
        let (table, online) = (node.and_then(|node| node.table(device)), node.and_then(|node| node.online(device)));
        let mut wanted = Vec::with_capacity(payload.metrics.len());
        let mut asked: Vec<(Option<Arc<str>>, &Metric)> =
            payload.metrics.iter().rev().map(|metric| (None, metric)).collect();
        while let Some((template, metric)) = asked.pop() {
            let by_alias = match metric.alias {
                Some(alias) => Some(online.and_then(|table| table.by_alias(alias))?),
                None => None,
            };
            let written: Arc<str> = match (&template, metric.name.as_deref()) {
                (Some(template), Some(name)) => member_name(template, name)?.into(),
                (None, Some(name)) => name.into(),
                (_, None) => by_alias.map(|known| known.name.clone())?,
            };
            if by_alias.is_some_and(|known| *known.name != *written) {
                return None;
            }
            let known = table.and_then(|table| table.metric(&written));
            let (born, declared) = (known.and_then(|known| known.data_type), metric.datatype.filter(|code| *code != 0));
            let whose = device.unwrap_or_default();
            // Who gets it may read it otherwise than we do: a value of another type than the metric's, a definition, parameters, nothing at all.
            // Then no tag is within it, or it is not passed on. What is made of it goes by the payload alone: it is the same for every host.
            let within = || self.targets.has_any_within(&name, whose, &written);
            if let Some(MetricValue::Template(template)) = &metric.value {
                let is_template = born.is_none_or(|kind| kind == DataType::Template)
                    && declared.is_none_or(|code| code == DataType::Template.code());
                let is_sure = is_template && template.is_definition != Some(true) && template.parameters.is_empty();
                if self.targets.of(&name, whose, &written).is_some() || !is_sure && within() {
                    return None;
                }
                // Of a template, its members are written.
                if !template.metrics.is_empty() {
                    let members = template.metrics.iter().rev();
                    asked.extend(members.map(|member| (Some(written.clone()), member)));
                    continue;
                }
            }
            if born.is_none_or(|kind| kind.tag_type().is_none()) && within() {
                return None;
            }
            if wanted.len() >= self.options.limits.metrics {
                return None;
            }
            let data_type = born.or_else(|| DataType::from_code(metric.datatype?));
            let value =
                data_type.filter(|t| t.tag_type().is_some()).map_or(Value::Null, |t| value::decode(metric, t).0);
            wanted.push((
                Address { node: name.clone(), device: device.map(Into::into), metric: (*written).into() },
                value,
            ));
        }
        Some(wanted)
    }

    /// How many edge nodes are online, and how many are known.
    #[must_use]
    pub fn online(&self) -> (usize, usize) {
        let nodes = || self.nodes.values().flat_map(HashMap::values);
        (nodes().filter(|node| node.online(None).is_some()).count(), nodes().count())
    }

    /// The edge nodes that are known, in no order.
    #[must_use]
    pub fn nodes(&self) -> Vec<Arc<NodeName>> {
        self.nodes.values().flat_map(HashMap::values).map(|node| node.name.clone()).collect()
    }

    /// The metrics that are known of an edge node and its devices, in the order of their births.
    #[must_use]
    pub fn found_of(&self, name: &NodeName) -> Vec<Found> {
        self.node(name).map(Node::found).unwrap_or_default()
    }

    /// How far the value of a metric can be trusted; `None`: it is not known.
    #[must_use]
    pub fn quality(&self, address: &Address) -> Option<StatusCode> {
        let table = self.node(&address.node)?.table(address.device.as_deref())?;
        Some(table.metric(&address.metric)?.quality)
    }

    /// All metrics that are known, by address.
    #[cfg(test)]
    fn found(&self) -> Vec<Found> {
        let mut found: Vec<Found> = self.nodes().iter().flat_map(|node| self.found_of(node)).collect();
        found.sort_by(|a, b| a.address.cmp(&b.address));
        found
    }

    /// An edge node, and after it its devices by name.
    #[must_use]
    pub fn states_of(&self, name: &NodeName) -> Vec<DeviceState> {
        self.node(name).map(Node::states).unwrap_or_default()
    }

    /// The edge nodes and devices that are known, by name.
    #[cfg(test)]
    fn states(&self) -> Vec<DeviceState> {
        let mut states: Vec<DeviceState> =
            self.nodes.values().flat_map(HashMap::values).flat_map(Node::states).collect();
        states.sort_by(|a, b| (&a.node, &a.device).cmp(&(&b.node, &b.device)));
        states
    }
}
