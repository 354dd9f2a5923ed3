//! One edge node as a host application sees it: its session, its devices, their metrics.

use super::{Counts, DeviceState, Found, HostOptions, Note, Outcome, Targets};
use crate::payload;
use crate::proto::{Metric, Payload};
use crate::topic::{NodeName, Verb, node_topic};
use crate::value::{self, DataType};
use crate::{Message, Now};
use andon_model::{Sample, StatusCode, TagId, Timestamp, Value};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;
use std::time::Duration;

/// A message further ahead than this is not waited for: it is behind.
const AHEAD: u8 = 127;
/// The longest time between two requests for a birth.
const REBIRTH_AT_LEAST: Duration = Duration::from_secs(300);
/// Texts longer than this are published, but not kept for lists.
const TEXT_KEPT: usize = 4096;

/// What a node needs of the host while something happens to it.
pub(super) struct Ctx<'h> {
    pub options: &'h HostOptions,
    pub targets: &'h Targets,
    pub counts: &'h mut Counts,
    pub out: &'h mut Outcome,
    pub now: Now,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Session {
    /// No birth was seen in this run.
    Unborn,
    /// Born, and all messages since were seen.
    Online,
    /// Messages were lost.
    Unsure,
    /// Dead.
    Offline,
}

/// A metric as it was born.
#[derive(Debug)]
pub(super) struct Known {
    pub name: Arc<str>,
    pub alias: Option<u64>,
    pub data_type: Option<DataType>,
    pub transient: bool,
    tag: Option<TagId>,
    value: Value,
    quality: StatusCode,
    at: Timestamp,
    /// Since when its value does not count; a value from before that holds from the time it was received.
    stale_at: Option<Timestamp>,
    /// The value is a text too long to be kept.
    long: bool,
}

impl Known {
    fn publish(&self, value: Value, at: Timestamp, received: Timestamp, out: &mut Outcome) {
        if let Some(tag) = self.tag {
            out.samples.push(Sample { tag, value, quality: self.quality, source_ts: at, received_ts: received });
        }
    }

    /// Takes a value; `sent`: when the message was.
    fn take(&mut self, metric: &Metric, sent: Option<Timestamp>, now: Timestamp, out: &mut Outcome) {
        let Some(data_type) = self.data_type.filter(|t| t.tag_type().is_some()) else { return };
        let (value, quality) = value::decode(metric, data_type);
        let quality = if quality.is_good() { payload::quality(metric) } else { quality };
        let mut at = payload::time(metric.timestamp).or(sent).unwrap_or(now);
        if metric.is_historical == Some(true) {
            if let Some(tag) = self.tag {
                out.samples.push(Sample { tag, value, quality, source_ts: at, received_ts: now });
            }
            return;
        }
        if let Some(stale) = self.stale_at.take()
            && at <= stale
        {
            at = now.max(stale);
        }
        self.long = matches!(&value, Value::String(text) if text.len() > TEXT_KEPT);
        self.value = if self.long { Value::Null } else { value.clone() };
        (self.quality, self.at) = (quality, at);
        self.publish(value, at, now, out);
    }

    fn stale(&mut self, quality: StatusCode, now: Timestamp, out: &mut Outcome) {
        // What is uncertain keeps its value, what is bad has none.
        let value = if quality.is_bad() { Value::Null } else { self.value.clone() };
        if self.quality == quality && self.stale_at.is_some() {
            return;
        }
        if quality.is_bad() {
            self.value = Value::Null;
        }
        (self.quality, self.at, self.stale_at) = (quality, now, Some(now));
        self.publish(value, now, now, out);
    }
}

/// The metrics of an edge node or a device.
#[derive(Default, Debug)]
pub(super) struct Table {
    pub metrics: Vec<Known>,
    by_name: HashMap<Arc<str>, usize>,
    by_alias: HashMap<u64, usize>,
}

impl Table {
    pub fn metric(&self, name: &str) -> Option<&Known> {
        self.metrics.get(*self.by_name.get(name)?)
    }

    fn place(&self, metric: &Metric) -> Option<usize> {
        match (&metric.name, metric.alias) {
            (Some(name), _) => self.by_name.get(name.as_str()),
            (None, Some(alias)) => self.by_alias.get(&alias),
            (None, None) => None,
        }
        .copied()
    }

    pub fn find(&self, metric: &Metric) -> Option<&Known> {
        self.metrics.get(self.place(metric)?)
    }

    /// Adds a metric; one whose name is there already replaces it, and an alias that two have stands for neither.
    pub fn add(&mut self, known: Known) {
        if let Some(old) = self.by_name.get(&known.name) {
            let old = *old;
            self.by_alias.retain(|_, place| *place != old);
            if let Some(place) = self.metrics.get_mut(old) {
                *place = known;
            }
            self.learn_alias(old);
            return;
        }
        self.by_name.insert(known.name.clone(), self.metrics.len());
        self.metrics.push(known);
        self.learn_alias(self.metrics.len() - 1);
    }

    fn learn_alias(&mut self, place: usize) {
        let Some(alias) = self.metrics.get(place).and_then(|known| known.alias) else { return };
        let Some(other) = self.by_alias.insert(alias, place) else { return };
        self.by_alias.remove(&alias);
        for twin in [place, other] {
            if let Some(known) = self.metrics.get_mut(twin) {
                known.alias = None;
            }
        }
    }

    fn stale(&mut self, quality: StatusCode, ctx: &mut Ctx<'_>) {
        for known in &mut self.metrics {
            known.stale(quality, ctx.now.wall, ctx.out);
        }
    }

    /// As a birth says; what was there before and is not any more is out of service. `None`: too many metrics.
    fn born(old: Self, name: &NodeName, device: &str, payload: &Payload, ctx: &mut Ctx<'_>) -> Self {
        ctx.counts.metrics -= old.metrics.len();
        let mut old_by_name: HashMap<Arc<str>, Known> =
            old.metrics.into_iter().map(|known| (known.name.clone(), known)).collect();
        let (sent, now) = (payload::time(payload.timestamp), ctx.now.wall);
        let mut table = Self::default();
        for metric in &payload.metrics {
            let Some(metric_name) = metric.name.as_deref() else { continue };
            let fresh = !table.by_name.contains_key(metric_name);
            if fresh && ctx.counts.metrics + table.metrics.len() >= ctx.options.metrics {
                ctx.out.notes.push(Note::TooMany("metrics", ctx.options.metrics));
                break;
            }
            let before = old_by_name.remove(metric_name);
            let mut known = Known {
                name: before.as_ref().map_or_else(|| metric_name.into(), |known| known.name.clone()),
                alias: metric.alias,
                data_type: metric.datatype.and_then(DataType::from_code),
                transient: metric.is_transient == Some(true),
                tag: ctx.targets.of(name, device, metric_name),
                value: Value::Null,
                quality: StatusCode::BAD_NO_DATA,
                at: now,
                stale_at: before.and_then(|known| known.stale_at),
                long: false,
            };
            known.take(metric, sent, now, ctx.out);
            table.add(known);
        }
        let mut gone: Vec<Known> = old_by_name.into_values().filter(|known| known.tag.is_some()).collect();
        gone.sort_by(|a, b| a.name.cmp(&b.name));
        for known in &mut gone {
            known.stale(StatusCode::BAD_OUT_OF_SERVICE, now, ctx.out);
        }
        ctx.counts.metrics += table.metrics.len();
        table
    }

    /// Takes the values of a data message; tells the first metric that is not as it was born.
    fn data(&mut self, payload: &Payload, ctx: &mut Ctx<'_>) -> Option<String> {
        let (sent, now) = (payload::time(payload.timestamp), ctx.now.wall);
        let mut unknown = None;
        for metric in &payload.metrics {
            let place = self.place(metric);
            let known = place.and_then(|place| self.metrics.get_mut(place));
            let same = |known: &&mut Known| {
                metric.datatype.is_none_or(|code| code == 0 || DataType::from_code(code) == known.data_type)
            };
            match known.filter(same) {
                Some(known) => known.take(metric, sent, now, ctx.out),
                None => {
                    unknown.get_or_insert_with(|| match (&metric.name, metric.alias) {
                        (Some(name), _) => format!("the metric {name:?}"),
                        (None, Some(alias)) => format!("a metric by the alias {alias}"),
                        (None, None) => "a metric without a name".to_owned(),
                    });
                }
            }
        }
        unknown
    }

    fn map_again(&mut self, name: &NodeName, device: &str, ctx: &mut Ctx<'_>) -> bool {
        let mut missing = false;
        for known in &mut self.metrics {
            let tag = ctx.targets.of(name, device, &known.name);
            if tag == known.tag {
                continue;
            }
            known.tag = tag;
            if known.long {
                missing |= tag.is_some();
            } else if known.data_type.is_some_and(|t| t.tag_type().is_some()) {
                known.publish(known.value.clone(), known.at, ctx.now.wall, ctx.out);
            }
        }
        missing
    }
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Alive {
    Yes,
    No,
    /// Its edge node was born again within a session and has until then to bring it along.
    Awaited(Duration),
}

#[derive(Debug)]
struct Device {
    table: Table,
    alive: Alive,
    since: Timestamp,
}

/// A message that came before one that was sent earlier.
#[derive(Debug)]
struct Held {
    verb: Verb,
    device: Option<Box<str>>,
    payload: Payload,
    bytes: usize,
}

/// When a birth is asked for.
#[derive(Debug)]
struct Pace {
    due: Option<Duration>,
    last: Option<Duration>,
    wait: Duration,
}

/// An edge node.
#[derive(Debug)]
pub(super) struct Node {
    pub name: Arc<NodeName>,
    session: Session,
    since: Timestamp,
    bd_seq: Option<u64>,
    next_seq: u8,
    table: Table,
    devices: BTreeMap<Box<str>, Device>,
    held: BTreeMap<u8, Held>,
    gap_since: Option<Duration>,
    pace: Pace,
}

impl Node {
    pub fn new(name: Arc<NodeName>, now: Now) -> Self {
        Self {
            name,
            session: Session::Unborn,
            since: now.wall,
            bd_seq: None,
            next_seq: 0,
            table: Table::default(),
            devices: BTreeMap::new(),
            held: BTreeMap::new(),
            gap_since: None,
            pace: Pace { due: None, last: None, wait: Duration::ZERO },
        }
    }

    /// A message of this node, in the order of arrival.
    pub fn receive(&mut self, ctx: &mut Ctx<'_>, topic: &str, verb: Verb, device: Option<&str>, payload: Payload) {
        match verb {
            Verb::NBirth => self.born(ctx, topic, &payload),
            Verb::NDeath => self.died(ctx, &payload),
            _ => self.in_turn(ctx, topic, verb, device, payload),
        }
        self.ask_if_due(ctx);
    }

    fn born(&mut self, ctx: &mut Ctx<'_>, topic: &str, payload: &Payload) {
        let Some(seq) = payload.seq.and_then(|seq| u8::try_from(seq).ok()) else {
            ctx.out.notes.push(Note::Refused(topic.to_owned(), "a birth without a sequence number of 0 to 255"));
            return;
        };
        self.forget_held(ctx);
        let bd_seq = payload::bd_seq(payload);
        let same_session = self.session != Session::Offline && self.session != Session::Unborn && bd_seq == self.bd_seq;
        (self.session, self.since, self.bd_seq) = (Session::Online, ctx.now.wall, bd_seq);
        self.next_seq = seq.wrapping_add(1);
        self.pace.due = None;
        self.pace.wait = ctx.options.rebirth_every;
        self.table = Table::born(std::mem::take(&mut self.table), &self.name, "", payload, ctx);
        let until = ctx.now.mono + ctx.options.reorder_timeout;
        for device in self.devices.values_mut().filter(|device| device.alive != Alive::No) {
            if same_session {
                device.alive = Alive::Awaited(until);
            } else {
                device.alive = Alive::No;
                device.since = ctx.now.wall;
                device.table.stale(StatusCode::BAD_NO_COMMUNICATION, ctx);
            }
        }
        ctx.out.notes.push(Note::Born((*self.name).clone(), self.table.metrics.len()));
    }

    fn died(&mut self, ctx: &mut Ctx<'_>, payload: &Payload) {
        let death = payload::bd_seq(payload);
        // Some libraries leave on purpose with the bdSeq of their next birth; a late death of an earlier birth never names that.
        let next = self.bd_seq.map(|born| (born + 1) % 256);
        if death.is_some() && self.bd_seq.is_some() && death != self.bd_seq && death != next {
            ctx.out.notes.push(Note::OldDeath((*self.name).clone()));
            return;
        }
        if self.session == Session::Offline {
            return;
        }
        self.go(Session::Offline, StatusCode::BAD_NO_COMMUNICATION, ctx);
        self.pace.due = None;
        ctx.out.notes.push(Note::Died((*self.name).clone()));
    }

    /// Leaves the session: what is known is not known any more.
    fn go(&mut self, session: Session, quality: StatusCode, ctx: &mut Ctx<'_>) {
        self.forget_held(ctx);
        (self.session, self.since) = (session, ctx.now.wall);
        self.table.stale(quality, ctx);
        for device in self.devices.values_mut() {
            if session == Session::Offline && device.alive != Alive::No {
                (device.alive, device.since) = (Alive::No, ctx.now.wall);
            }
            if session == Session::Offline || device.alive != Alive::No {
                device.table.stale(quality, ctx);
            }
        }
    }

    pub fn lost(&mut self, ctx: &mut Ctx<'_>) {
        if self.session != Session::Offline {
            self.go(Session::Offline, StatusCode::BAD_NO_COMMUNICATION, ctx);
        }
        self.pace.due = None;
    }

    fn in_turn(&mut self, ctx: &mut Ctx<'_>, topic: &str, verb: Verb, device: Option<&str>, payload: Payload) {
        if self.session != Session::Online {
            if self.session != Session::Unsure {
                ctx.out.notes.push(Note::Unborn((*self.name).clone(), None));
            }
            return self.ask(ctx);
        }
        let Some(seq) = payload.seq.and_then(|seq| u8::try_from(seq).ok()) else {
            ctx.out.notes.push(Note::Refused(topic.to_owned(), "it has no sequence number of 0 to 255"));
            return;
        };
        match seq.wrapping_sub(self.next_seq) {
            0 => {
                self.apply(ctx, verb, device, &payload);
                self.next_seq = self.next_seq.wrapping_add(1);
                self.apply_held(ctx);
            }
            1..=AHEAD => {
                let bytes = prost::Message::encoded_len(&payload) + 256;
                if ctx.counts.held_bytes + bytes > ctx.options.held_bytes || self.held.contains_key(&seq) {
                    return self.unsure(ctx);
                }
                ctx.counts.held_bytes += bytes;
                self.held.insert(seq, Held { verb, device: device.map(Into::into), payload, bytes });
                self.gap_since.get_or_insert(ctx.now.mono);
                if ctx.options.reorder_timeout.is_zero() {
                    self.unsure(ctx);
                }
            }
            _ => self.unsure(ctx),
        }
    }

    fn apply_held(&mut self, ctx: &mut Ctx<'_>) {
        while let Some(held) = self.held.remove(&self.next_seq) {
            ctx.counts.held_bytes -= held.bytes;
            self.apply(ctx, held.verb, held.device.as_deref(), &held.payload);
            self.next_seq = self.next_seq.wrapping_add(1);
        }
        // The next gap has its own time [tck-id-operational-behavior-host-reordering-success].
        self.gap_since = (!self.held.is_empty()).then_some(ctx.now.mono);
    }

    fn forget_held(&mut self, ctx: &mut Ctx<'_>) {
        for held in std::mem::take(&mut self.held).into_values() {
            ctx.counts.held_bytes -= held.bytes;
        }
        self.gap_since = None;
    }

    /// Messages are lost for good.
    fn unsure(&mut self, ctx: &mut Ctx<'_>) {
        ctx.out.notes.push(Note::Gap((*self.name).clone(), self.next_seq));
        self.go(Session::Unsure, StatusCode::UNCERTAIN_LAST_USABLE_VALUE, ctx);
        self.ask(ctx);
    }

    fn apply(&mut self, ctx: &mut Ctx<'_>, verb: Verb, device: Option<&str>, payload: &Payload) {
        match (verb, device) {
            (Verb::DBirth, Some(device)) => self.device_born(ctx, device, payload),
            (Verb::DDeath, Some(device)) => {
                let Some(dead) = self.devices.get_mut(device).filter(|known| known.alive != Alive::No) else { return };
                (dead.alive, dead.since) = (Alive::No, ctx.now.wall);
                dead.table.stale(StatusCode::BAD_NO_COMMUNICATION, ctx);
                ctx.out.notes.push(Note::DeviceDied((*self.name).clone(), device.into()));
            }
            (Verb::DData, Some(device)) => {
                let unknown = match self.devices.get_mut(device) {
                    Some(known) if known.alive == Alive::Yes => known.table.data(payload, ctx),
                    _ => {
                        ctx.out.notes.push(Note::Unborn((*self.name).clone(), Some(device.into())));
                        return self.ask(ctx);
                    }
                };
                self.not_as_born(ctx, unknown);
            }
            (Verb::NData, None) => {
                let unknown = self.table.data(payload, ctx);
                self.not_as_born(ctx, unknown);
            }
            _ => {}
        }
    }

    fn not_as_born(&mut self, ctx: &mut Ctx<'_>, unknown: Option<String>) {
        if let Some(what) = unknown {
            ctx.out.notes.push(Note::Unknown((*self.name).clone(), what));
            self.ask(ctx);
        }
    }

    fn device_born(&mut self, ctx: &mut Ctx<'_>, device: &str, payload: &Payload) {
        if !self.devices.contains_key(device) {
            if ctx.counts.devices >= ctx.options.devices {
                ctx.out.notes.push(Note::TooMany("devices", ctx.options.devices));
                return;
            }
            ctx.counts.devices += 1;
            let new = Device { table: Table::default(), alive: Alive::No, since: ctx.now.wall };
            self.devices.insert(device.into(), new);
        }
        let Some(born) = self.devices.get_mut(device) else { return };
        (born.alive, born.since) = (Alive::Yes, ctx.now.wall);
        born.table = Table::born(std::mem::take(&mut born.table), &self.name, device, payload, ctx);
        let metrics = born.table.metrics.len();
        ctx.out.notes.push(Note::DeviceBorn((*self.name).clone(), device.into(), metrics));
    }

    /// Asks for a birth soon, unless one was seen in this run.
    pub fn expect_birth(&mut self, now: Now) {
        if self.session == Session::Unborn {
            self.pace.due.get_or_insert(now.mono);
        }
    }

    fn ask(&mut self, ctx: &mut Ctx<'_>) {
        if self.pace.due.is_none() {
            let earliest = self.pace.last.map_or(ctx.now.mono, |last| last + self.pace.wait);
            self.pace.due = Some(earliest.max(ctx.now.mono));
        }
    }

    fn ask_if_due(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono;
        if self.pace.due.is_none_or(|due| due > now) {
            return;
        }
        if !ctx.counts.asks.take(now) {
            self.pace.due = Some(now + Duration::from_secs(1));
            return;
        }
        let wait = self.pace.wait.max(ctx.options.rebirth_every);
        self.pace.last = Some(now);
        self.pace.wait = if wait >= REBIRTH_AT_LEAST { wait } else { (wait * 2).min(REBIRTH_AT_LEAST) };
        // Until it is born, it is asked again: a request may get lost as well.
        self.pace.due = (self.session != Session::Online).then_some(now + wait);
        ctx.out.send.push(Message {
            topic: node_topic(Verb::NCmd, &self.name, None),
            payload: payload::rebirth_request(ctx.now.wall),
        });
    }

    pub fn tick(&mut self, ctx: &mut Ctx<'_>) {
        let now = ctx.now.mono;
        if self.gap_since.is_some_and(|since| now >= since + ctx.options.reorder_timeout) {
            self.unsure(ctx);
        }
        if self.session == Session::Online {
            for (device, awaited) in &mut self.devices {
                if matches!(awaited.alive, Alive::Awaited(until) if until <= now) {
                    (awaited.alive, awaited.since) = (Alive::No, ctx.now.wall);
                    awaited.table.stale(StatusCode::BAD_NO_COMMUNICATION, ctx);
                    ctx.out.notes.push(Note::DeviceDied((*self.name).clone(), device.clone()));
                }
            }
        }
        self.ask_if_due(ctx);
    }

    pub fn map_again(&mut self, ctx: &mut Ctx<'_>) {
        let mut missing = self.table.map_again(&self.name, "", ctx);
        for (device, known) in &mut self.devices {
            missing |= known.table.map_again(&self.name, device, ctx);
        }
        if missing {
            self.ask(ctx);
        }
        self.ask_if_due(ctx);
    }

    pub fn table(&self, device: Option<&str>) -> Option<&Table> {
        match device {
            None => Some(&self.table),
            Some(device) => self.devices.get(device).map(|known| &known.table),
        }
    }

    /// The metrics of the node or a device that is there for sure.
    pub fn online(&self, device: Option<&str>) -> Option<&Table> {
        let alive = device.is_none_or(|device| self.devices.get(device).is_some_and(|known| known.alive == Alive::Yes));
        self.table(device).filter(|_| alive && self.session == Session::Online)
    }

    pub fn found(&self) -> Vec<Found> {
        let of = |device: Option<&str>, known: &Known| Found {
            address: super::Address {
                node: (*self.name).clone(),
                device: device.map(Into::into),
                metric: (*known.name).into(),
            },
            data_type: known.data_type,
            alias: known.alias,
            tag_type: known.data_type.and_then(DataType::tag_type),
            tag: known.tag,
            transient: known.transient,
            value: known.value.clone(),
            quality: known.quality,
            at: known.at,
        };
        let own = self.table.metrics.iter().map(|known| of(None, known));
        let all =
            self.devices.iter().flat_map(|(device, it)| it.table.metrics.iter().map(|known| of(Some(device), known)));
        own.chain(all).collect()
    }

    pub fn states(&self) -> Vec<DeviceState> {
        let node = |device: Option<&str>, online, since, metrics| DeviceState {
            node: (*self.name).clone(),
            device: device.map(Into::into),
            online,
            since,
            metrics,
        };
        let online = self.session == Session::Online;
        let own = node(None, online, self.since, self.table.metrics.len());
        let all = self
            .devices
            .iter()
            .map(|(device, it)| node(Some(device), online && it.alive == Alive::Yes, it.since, it.table.metrics.len()));
        std::iter::once(own).chain(all).collect()
    }

    pub fn bd_seq(&self) -> Option<u64> {
        self.bd_seq
    }

    pub fn devices(&self) -> impl Iterator<Item = (&str, &Table)> {
        self.devices.iter().map(|(name, device)| (&**name, &device.table))
    }

    /// A node from an earlier run: its metrics are known by name and type, and nothing counts before it is born again.
    pub fn restored(
        name: Arc<NodeName>,
        bd_seq: Option<u64>,
        table: Table,
        devices: Vec<(Box<str>, Table)>,
        now: Now,
    ) -> Self {
        let device = |table| Device { table, alive: Alive::No, since: now.wall };
        let devices = devices.into_iter().map(|(name, table)| (name, device(table))).collect();
        Self { bd_seq, table, devices, ..Self::new(name, now) }
    }
}

impl Known {
    /// From an earlier run: stale, of now.
    pub fn restored(
        name: &str,
        alias: Option<u64>,
        data_type: Option<DataType>,
        transient: bool,
        tag: Option<TagId>,
        now: Timestamp,
    ) -> Self {
        let quality = StatusCode::BAD_NO_COMMUNICATION;
        let (value, stale_at) = (Value::Null, Some(now));
        Self { name: name.into(), alias, data_type, transient, tag, value, quality, at: now, stale_at, long: false }
    }

    /// Tells its tag that it is stale.
    pub fn tell(&self, out: &mut Outcome) {
        if self.data_type.is_some_and(|t| t.tag_type().is_some()) {
            self.publish(Value::Null, self.at, self.at, out);
        }
    }
}
