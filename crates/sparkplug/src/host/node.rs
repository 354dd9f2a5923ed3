//! One edge node as a host application sees it: its session, its devices, their metrics.

use super::table::{Known, Table};
use super::{Counts, DeviceState, Found, HostOptions, Note, Outcome, Taken, Targets};
use crate::payload;
use crate::proto::Payload;
use crate::topic::{NodeName, Verb, node_topic};
use crate::value::DataType;
use crate::{Message, Now};
use andon_model::{StatusCode, Timestamp};
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

/// A message further ahead than this is not waited for: it is behind.
const AHEAD: u8 = 127;
/// The longest time between two requests for a birth.
const REBIRTH_AT_LEAST: Duration = Duration::from_secs(300);

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

/// A payload as it came, and what it says.
pub(super) struct Came<'b> {
    pub bytes: &'b [u8],
    pub payload: Payload,
}

/// The number of a message.
pub(super) fn number(payload: &Payload) -> Option<u8> {
    payload.seq.and_then(|seq| u8::try_from(seq).ok())
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
    /// As it came: decoded, it may take a hundred times as much.
    payload: Box<[u8]>,
}

impl Held {
    /// What it counts.
    fn bytes(payload: &[u8]) -> usize {
        payload.len() + 256
    }
}

/// When a birth is asked for.
#[derive(Default, Debug)]
struct Pace {
    due: Option<Duration>,
    last: Option<Duration>,
    /// Between two requests; doubled by each, until data are taken in their turn again.
    wait: Duration,
    /// The request that is due is for a birth that fits the data better.
    for_better: bool,
    /// Between two such requests; doubled by each, until there was no need for one for twice as long.
    wait_for_better: Duration,
}

/// An edge node.
#[derive(Debug)]
pub(super) struct Node {
    pub name: Arc<NodeName>,
    session: Session,
    /// Since when it is online or offline; of one that was not born since the start, since when its name is known.
    pub since: Timestamp,
    bd_seq: Option<u64>,
    next_seq: u8,
    table: Table,
    devices: BTreeMap<Box<str>, Device>,
    held: BTreeMap<u8, Held>,
    gap_since: Option<Duration>,
    pace: Pace,
    /// Since its last birth a bound kept one of its devices from being known.
    cut: bool,
    /// How often a birth was asked for since the start.
    asked: u64,
    /// The last thing that was odd about it.
    trouble: Option<(Timestamp, Note)>,
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
            pace: Pace::default(),
            cut: false,
            asked: 0,
            trouble: None,
        }
    }

    /// Whether it was born in this run and has not died since.
    pub fn is_there(&self) -> bool {
        matches!(self.session, Session::Online | Session::Unsure)
    }

    /// Whether it was ever born, as far as is known; else it is a name that somebody said.
    pub fn was_born(&self) -> bool {
        self.is_there() || self.bd_seq.is_some() || !self.table.metrics.is_empty() || !self.devices.is_empty()
    }

    /// Its devices, and the metrics of all of it.
    pub fn taken(&self) -> Taken {
        let of_devices: usize = self.devices.values().map(|device| device.table.metrics.len()).sum();
        Taken { devices: self.devices.len(), metrics: self.table.metrics.len() + of_devices }
    }

    /// Whether a message of this number is its next one, or one that waits for those before it.
    pub fn waits_for(&self, payload: &Payload) -> bool {
        self.session == Session::Online && number(payload).is_some_and(|seq| seq.wrapping_sub(self.next_seq) <= AHEAD)
    }

    /// It is forgotten: what it counts for is free again.
    pub fn give_back(&mut self, counts: &mut Counts) {
        let Taken { devices, metrics } = self.taken();
        counts.devices -= devices;
        counts.metrics -= metrics;
        counts.held_bytes -= self.held.values().map(|held| Held::bytes(&held.payload)).sum::<usize>();
        self.held.clear();
    }

    /// A message of this node, in the order of arrival.
    pub fn receive(&mut self, ctx: &mut Ctx<'_>, topic: &str, verb: Verb, device: Option<&str>, came: &Came<'_>) {
        match verb {
            Verb::NBirth => self.born(ctx, topic, &came.payload),
            Verb::NDeath => self.died(ctx, &came.payload),
            _ => self.in_turn(ctx, topic, verb, device, came),
        }
        self.ask_if_due(ctx);
    }

    fn odd(&mut self, ctx: &mut Ctx<'_>, note: Note) {
        self.trouble = Some((ctx.now.wall, note.clone()));
        ctx.out.notes.push(note);
    }

    fn born(&mut self, ctx: &mut Ctx<'_>, topic: &str, payload: &Payload) {
        let Some(seq) = number(payload) else {
            return self.odd(ctx, Note::Refused(topic.to_owned(), "a birth without a sequence number of 0 to 255"));
        };
        self.forget_held(ctx);
        let bd_seq = payload::bd_seq(payload);
        let same_session = self.session != Session::Offline && self.session != Session::Unborn && bd_seq == self.bd_seq;
        (self.session, self.since, self.bd_seq) = (Session::Online, ctx.now.wall, bd_seq);
        self.next_seq = seq.wrapping_add(1);
        (self.pace.due, self.pace.for_better, self.cut) = (None, false, false);
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
        if self.table.cut {
            self.odd(ctx, Note::TooMany("metrics", ctx.options.metrics));
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

    fn in_turn(&mut self, ctx: &mut Ctx<'_>, topic: &str, verb: Verb, device: Option<&str>, came: &Came<'_>) {
        if self.session != Session::Online {
            if self.session != Session::Unsure {
                self.odd(ctx, Note::Unborn((*self.name).clone(), None));
            }
            return self.ask(ctx);
        }
        let Some(seq) = number(&came.payload) else {
            return self.odd(ctx, Note::Refused(topic.to_owned(), "it has no sequence number of 0 to 255"));
        };
        match seq.wrapping_sub(self.next_seq) {
            0 => {
                self.apply(ctx, verb, device, &came.payload);
                self.next_seq = self.next_seq.wrapping_add(1);
                self.apply_held(ctx);
            }
            1..=AHEAD => {
                let bytes = Held::bytes(came.bytes);
                if ctx.counts.held_bytes + bytes > ctx.options.held_bytes || self.held.contains_key(&seq) {
                    return self.unsure(ctx);
                }
                ctx.counts.held_bytes += bytes;
                self.held.insert(seq, Held { verb, device: device.map(Into::into), payload: came.bytes.into() });
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
            ctx.counts.held_bytes -= Held::bytes(&held.payload);
            // It could be read when it came.
            let Ok(payload) = payload::decode(&held.payload, &ctx.options.limits) else { return self.unsure(ctx) };
            self.apply(ctx, held.verb, held.device.as_deref(), &payload);
            self.next_seq = self.next_seq.wrapping_add(1);
        }
        // The next gap has its own time [tck-id-operational-behavior-host-reordering-success].
        self.gap_since = (!self.held.is_empty()).then_some(ctx.now.mono);
    }

    fn forget_held(&mut self, ctx: &mut Ctx<'_>) {
        for held in std::mem::take(&mut self.held).into_values() {
            ctx.counts.held_bytes -= Held::bytes(&held.payload);
        }
        self.gap_since = None;
    }

    /// Messages are lost for good.
    fn unsure(&mut self, ctx: &mut Ctx<'_>) {
        self.odd(ctx, Note::Gap((*self.name).clone(), self.next_seq));
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
            (Verb::DData, Some(device)) => match self.devices.get_mut(device) {
                Some(known) if known.alive == Alive::Yes => {
                    let unknown = known.table.data(payload, ctx);
                    self.data_taken(ctx, unknown);
                }
                None if self.cut => {}
                _ => {
                    self.odd(ctx, Note::Unborn((*self.name).clone(), Some(device.into())));
                    self.ask_for_better(ctx);
                }
            },
            (Verb::NData, None) => {
                let unknown = self.table.data(payload, ctx);
                self.data_taken(ctx, unknown);
            }
            _ => {}
        }
    }

    fn data_taken(&mut self, ctx: &mut Ctx<'_>, unknown: Option<String>) {
        self.pace.wait = Duration::ZERO;
        if let Some(what) = unknown {
            self.odd(ctx, Note::Unknown((*self.name).clone(), what));
            self.ask_for_better(ctx);
        }
    }

    fn device_born(&mut self, ctx: &mut Ctx<'_>, device: &str, payload: &Payload) {
        if !self.devices.contains_key(device) {
            if ctx.counts.devices >= ctx.options.devices {
                self.cut = true;
                return self.odd(ctx, Note::TooMany("devices", ctx.options.devices));
            }
            ctx.counts.devices += 1;
            let new = Device { table: Table::default(), alive: Alive::No, since: ctx.now.wall };
            self.devices.insert(device.into(), new);
        }
        let Some(born) = self.devices.get_mut(device) else { return };
        (born.alive, born.since) = (Alive::Yes, ctx.now.wall);
        born.table = Table::born(std::mem::take(&mut born.table), &self.name, device, payload, ctx);
        let (metrics, cut) = (born.table.metrics.len(), born.table.cut);
        if cut {
            self.odd(ctx, Note::TooMany("metrics", ctx.options.metrics));
        }
        ctx.out.notes.push(Note::DeviceBorn((*self.name).clone(), device.into(), metrics));
    }

    /// Asks for a birth soon, unless one was seen in this run.
    pub fn expect_birth(&mut self, now: Now) {
        if self.session == Session::Unborn {
            self.pace.due.get_or_insert(now.mono);
        }
    }

    fn ask(&mut self, ctx: &mut Ctx<'_>) {
        let wait = self.pace.wait.max(ctx.options.rebirth_every);
        let earliest = self.pace.last.map_or(ctx.now.mono, |last| last + wait).max(ctx.now.mono);
        self.pace.due = Some(self.pace.due.map_or(earliest, |due| due.min(earliest)));
    }

    /// Asks for a birth that fits the data. Where births do not mend that, they are asked for ever less often.
    fn ask_for_better(&mut self, ctx: &mut Ctx<'_>) {
        let (now, pace) = (ctx.now.mono, &mut self.pace);
        if pace.due.is_some() {
            return;
        }
        if pace.last.is_none_or(|last| now > last + pace.wait_for_better * 2) {
            pace.wait_for_better = Duration::ZERO;
        }
        let earliest = pace.last.map_or(now, |last| last + pace.wait_for_better.max(ctx.options.rebirth_every));
        (pace.due, pace.for_better) = (Some(earliest.max(now)), true);
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
        let every = ctx.options.rebirth_every;
        let doubled = |wait: Duration| if wait >= REBIRTH_AT_LEAST { wait } else { (wait * 2).min(REBIRTH_AT_LEAST) };
        let wait = self.pace.wait.max(every);
        self.pace.last = Some(now);
        self.pace.wait = doubled(wait);
        if std::mem::take(&mut self.pace.for_better) {
            self.pace.wait_for_better = doubled(self.pace.wait_for_better.max(every));
        }
        // Until it is born, it is asked again: a request may get lost as well.
        self.pace.due = (self.session != Session::Online).then_some(now + wait);
        self.asked += 1;
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
            tag_type: known.data_type.and_then(DataType::tag_type),
            tag: known.tag,
            transient: known.transient,
            unit: known.unit.clone(),
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
            births_asked: if device.is_none() { self.asked } else { 0 },
            trouble: self.trouble.as_ref().filter(|_| device.is_none()).map(|(at, note)| (*at, note.to_string())),
        };
        let online = self.session == Session::Online;
        let own = node(None, online, self.since, self.table.metrics.len());
        let all = self
            .devices
            .iter()
            .map(|(device, it)| node(Some(device), online && it.alive == Alive::Yes, it.since, it.table.metrics.len()));
        std::iter::once(own).chain(all).collect()
    }

    /// The number that its next message must have.
    #[cfg(test)]
    pub fn next_seq(&self) -> u8 {
        self.next_seq
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
