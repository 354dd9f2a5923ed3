//! One edge node as a host application sees it: its session, its devices, their metrics.

use super::{Counts, DeviceState, Found, HostOptions, Note, Outcome, Taken, Targets};
use crate::payload;
use crate::proto::{Metric, MetricValue, Payload, Template};
use crate::topic::{NodeName, Verb, node_topic};
use crate::value::{self, DataType};
use crate::{Message, Now};
use andon_model::{Sample, StatusCode, TagId, Timestamp, Value};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// A message further ahead than this is not waited for: it is behind.
const AHEAD: u8 = 127;
/// The longest time between two requests for a birth.
const REBIRTH_AT_LEAST: Duration = Duration::from_secs(300);
/// Texts longer than this are published, but not kept for lists.
const TEXT_KEPT: usize = 4096;
/// The most bytes of a member's name with those of all templates around it: they stand before each member's, and on the wire but once.
const MEMBER_NAME: usize = 256;
/// A value that is older than this when it comes is of a device whose clock is slow, or of long ago.
const SLOW: Duration = Duration::from_secs(10);

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

/// A metric of a payload; a member of a template with what it has from that where it says nothing itself.
#[derive(Clone, Copy)]
struct Reading<'p> {
    metric: &'p Metric,
    at: Option<u64>,
    quality: Option<StatusCode>,
    historical: bool,
    transient: bool,
}

impl<'p> Reading<'p> {
    fn of(metric: &'p Metric) -> Self {
        Self {
            metric,
            at: metric.timestamp,
            quality: payload::quality(metric),
            historical: metric.is_historical == Some(true),
            transient: metric.is_transient == Some(true),
        }
    }

    fn member(&self, metric: &'p Metric) -> Self {
        let own = Self::of(metric);
        Self {
            metric,
            at: own.at.or(self.at),
            quality: own.quality.or(self.quality),
            historical: own.historical || self.historical,
            transient: own.transient || self.transient,
        }
    }
}

/// The template that a metric is an instance of; `None`: it is another kind of metric, or the definition of a template.
pub(super) fn instance(metric: &Metric) -> Option<&Template> {
    match &metric.value {
        Some(MetricValue::Template(template)) if template.is_definition != Some(true) => Some(template),
        _ => None,
    }
}

/// What a member of a template is called among the metrics; `None`: with all that stands before it, it is longer than [`MEMBER_NAME`], and left
/// out.
pub(super) fn member_name(template: &str, member: &str) -> Option<String> {
    (template.len() + 1 + member.len() <= MEMBER_NAME).then(|| format!("{template}/{member}"))
}

/// The most bytes that are kept of the name and the version of a definition; longer ones are forgotten.
const DEFINITION: usize = 256;

/// What is known of an instance of a template.
#[derive(Debug)]
pub(super) struct Instance {
    /// The definition that it names.
    pub definition: Option<String>,
    pub version: Option<String>,
    /// Places of members that have something: what is gone when the instance is null. One that stands here is marked as [`Known::live`].
    live: Vec<usize>,
}

impl Instance {
    fn of(template: &Template) -> Box<Self> {
        let short = |text: &Option<String>| text.clone().filter(|text| text.len() <= DEFINITION);
        Box::new(Self {
            definition: short(&template.template_ref),
            version: short(&template.version),
            live: Vec::new(),
        })
    }
}

/// How many metrics these are, each member of an instance counted as one; `within`: bytes of the name around them.
pub(super) fn count(metrics: &[Metric], within: Option<usize>) -> usize {
    let of = |metric: &Metric| {
        let name = metric.name.as_ref().map_or(0, String::len);
        let full = within.map_or(name, |around| around + 1 + name);
        if metric.name.is_none() || within.is_some() && full > MEMBER_NAME {
            return 0;
        }
        1 + instance(metric).map_or(0, |template| count(&template.metrics, Some(full)))
    };
    metrics.iter().map(of).sum()
}

/// A metric as it was born, or a member of one that is a template.
#[derive(Debug)]
pub(super) struct Known {
    pub name: Arc<str>,
    pub alias: Option<u64>,
    pub data_type: Option<DataType>,
    pub transient: bool,
    /// The place of the template of which it is a member. Whoever comes from an earlier run does not know it before it is born.
    pub within: Option<usize>,
    pub instance: Option<Box<Instance>>,
    /// It stands in the list of its template.
    live: bool,
    tag: Option<TagId>,
    value: Value,
    pub quality: StatusCode,
    at: Timestamp,
    /// Whether its value does not count until the next one comes.
    stale: bool,
    /// The latest time that its tag was told by our clock: what comes with an earlier one would be late, and so would everything from a device whose
    /// clock is slow ([`after_floor`]).
    floor: Option<Timestamp>,
    /// The value is a text too long to be kept.
    long: bool,
}

impl Known {
    fn fits_a_tag(&self) -> bool {
        self.data_type.is_some_and(|data_type| data_type.tag_type().is_some())
    }

    fn publish(&self, value: Value, at: Timestamp, received: Timestamp, out: &mut Outcome) {
        if let Some(tag) = self.tag {
            out.samples.push(Sample { tag, value, quality: self.quality, source_ts: at, received_ts: received });
        }
    }

    /// Takes a value; `sent`: when the message was.
    fn take(&mut self, reading: &Reading<'_>, sent: Option<Timestamp>, now: Timestamp, out: &mut Outcome) {
        let Some(data_type) = self.data_type.filter(|t| t.tag_type().is_some()) else { return };
        let (value, quality) = value::decode(reading.metric, data_type);
        let quality = if quality.is_good() { reading.quality.unwrap_or(StatusCode::GOOD) } else { quality };
        self.set(value, quality, reading, sent, now, out);
    }

    fn set(
        &mut self,
        value: Value,
        quality: StatusCode,
        reading: &Reading<'_>,
        sent: Option<Timestamp>,
        now: Timestamp,
        out: &mut Outcome,
    ) {
        let mut at = payload::time(reading.at).or(sent).unwrap_or(now);
        if reading.historical {
            if let Some(tag) = self.tag {
                out.samples.push(Sample { tag, value, quality, source_ts: at, received_ts: now });
            }
            return;
        }
        if let Some(floor) = self.floor
            && at <= floor
        {
            at = after_floor(floor, at, now);
            self.floor = Some(at);
        }
        self.stale = false;
        self.long = matches!(&value, Value::String(text) if text.len() > TEXT_KEPT);
        self.value = if self.long { Value::Null } else { value.clone() };
        (self.quality, self.at) = (quality, at);
        self.publish(value, at, now, out);
    }

    fn stale(&mut self, quality: StatusCode, now: Timestamp, out: &mut Outcome) {
        if self.quality == quality && self.stale {
            return;
        }
        self.stale = true;
        // What was bad is no better for not being sure.
        if quality.is_uncertain() && self.quality.is_bad() {
            return;
        }
        // What is uncertain keeps its value, what is bad has none.
        if quality.is_bad() {
            self.value = Value::Null;
        }
        self.quality = quality;
        self.publish_now(now, out);
    }

    /// Tells its tag, by our clock, what there is.
    fn publish_now(&mut self, now: Timestamp, out: &mut Outcome) {
        self.at = self.floor.map_or(now, |floor| now.max(floor));
        self.floor = Some(self.at);
        self.publish(self.value.clone(), self.at, now, out);
    }
}

/// The time of a value that is not later than what its tag was told by our clock: that at which it was received, if the value is older than
/// [`SLOW`]; else the next one after `floor`, so that a device that is late by less has its own times again as soon as they are past `floor`.
fn after_floor(floor: Timestamp, at: Timestamp, now: Timestamp) -> Timestamp {
    let next = if now.since(at) > SLOW { now } else { floor.plus(Duration::from_millis(1)).min(now) };
    next.max(floor)
}

/// The number of a message.
pub(super) fn number(payload: &Payload) -> Option<u8> {
    payload.seq.and_then(|seq| u8::try_from(seq).ok())
}

/// The metrics of an edge node or a device.
#[derive(Default, Debug)]
pub(super) struct Table {
    pub metrics: Vec<Known>,
    by_name: HashMap<Arc<str>, usize>,
    /// `None`: an alias that several have stands for none of them.
    by_alias: HashMap<u64, Option<usize>>,
    /// Aliases that are a metric's and, against the specification, a member's of a template too: in data they are the metric's, in commands nobody's.
    doubtful: HashSet<u64>,
    /// A bound cut its birth off, so that there are metrics of which nothing is known.
    pub cut: bool,
}

impl Table {
    pub fn metric(&self, name: &str) -> Option<&Known> {
        self.metrics.get(*self.by_name.get(name)?)
    }

    fn place(&self, metric: &Metric) -> Option<usize> {
        match (&metric.name, metric.alias) {
            (Some(name), _) => self.by_name.get(name.as_str()).copied(),
            (None, Some(alias)) => self.by_alias.get(&alias).copied().flatten(),
            (None, None) => None,
        }
    }

    /// The metric with this alias, if it is that of one alone.
    pub fn by_alias(&self, alias: u64) -> Option<&Known> {
        let place = (*self.by_alias.get(&alias)?)?;
        self.metrics.get(place).filter(|_| !self.doubtful.contains(&alias))
    }

    /// Takes over the aliases of members of templates, behind all others: those that are another metric's are none of theirs.
    fn learn_aliases(&mut self, members: Vec<(usize, u64)>) {
        let taken: HashSet<u64> = self.by_alias.keys().copied().collect();
        for (place, alias) in members {
            if taken.contains(&alias) {
                self.doubtful.insert(alias);
            } else if let Some(known) = self.metrics.get_mut(place) {
                known.alias = Some(alias);
                self.learn_alias(place);
            }
        }
    }

    /// Adds a metric; one whose name is there already replaces it, and an alias that several have stands for none of them.
    pub fn add(&mut self, known: Known) {
        let place = self.by_name.get(&known.name).copied().unwrap_or(self.metrics.len());
        match self.metrics.get_mut(place) {
            Some(former) => {
                if let Some(alias) = std::mem::replace(former, known).alias {
                    self.by_alias.remove(&alias);
                }
            }
            None => {
                self.by_name.insert(known.name.clone(), place);
                self.metrics.push(known);
            }
        }
        self.learn_alias(place);
    }

    fn learn_alias(&mut self, place: usize) {
        let Some(alias) = self.metrics.get(place).and_then(|known| known.alias) else { return };
        let Some(other) = self.by_alias.insert(alias, Some(place)) else { return };
        self.by_alias.insert(alias, None);
        for twin in [Some(place), other].into_iter().flatten() {
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

    /// As a birth says, as far as the bound for metrics lets it; what was there before and is not any more, or is nothing for a tag any more, is out
    /// of service.
    fn born(old: Self, name: &NodeName, device: &str, payload: &Payload, ctx: &mut Ctx<'_>) -> Self {
        ctx.counts.metrics -= old.metrics.len();
        let mut birth = Birth {
            name,
            device,
            sent: payload::time(payload.timestamp),
            before: old.metrics.into_iter().map(|known| (known.name.clone(), known)).collect(),
            table: Self::default(),
            gone: Vec::new(),
            aliases: Vec::new(),
        };
        for metric in &payload.metrics {
            let Some(metric_name) = metric.name.as_deref() else { continue };
            if !birth.add(metric_name, &Reading::of(metric), None, ctx) {
                birth.table.cut = true;
                break;
            }
        }
        let Birth { mut table, before, mut gone, aliases, .. } = birth;
        table.learn_aliases(aliases);
        gone.extend(before.into_values().filter(|known| known.tag.is_some()));
        gone.sort_by(|a, b| a.name.cmp(&b.name));
        for known in &mut gone {
            known.stale(StatusCode::BAD_OUT_OF_SERVICE, ctx.now.wall, ctx.out);
        }
        ctx.counts.metrics += table.metrics.len();
        table
    }

    /// Takes the values of a data message; tells the first metric that is not as it was born, unless a bound kept it from being known.
    fn data(&mut self, payload: &Payload, ctx: &mut Ctx<'_>) -> Option<String> {
        let mut came = Data { sent: payload::time(payload.timestamp), unknown: None };
        for metric in &payload.metrics {
            self.take(self.place(metric), None, &Reading::of(metric), &mut came, ctx);
        }
        came.unknown
    }

    /// Takes one value; `full`: the name of a member with that of its template.
    fn take(
        &mut self,
        place: Option<usize>,
        full: Option<&str>,
        reading: &Reading<'_>,
        came: &mut Data,
        ctx: &mut Ctx<'_>,
    ) {
        let Reading { metric, .. } = reading;
        let known = place.and_then(|place| Some((place, self.metrics.get_mut(place)?)));
        let same = |known: &Known| {
            metric.datatype.is_none_or(|code| code == 0 || DataType::from_code(code) == known.data_type)
        };
        match known.filter(|(_, known)| same(known)) {
            Some((place, known)) if known.data_type == Some(DataType::Template) => {
                let name = known.name.clone();
                let members = instance(metric).map(|template| template.metrics.as_slice()).unwrap_or_default();
                if let Some(quality) = said_of_all(reading, members).filter(|_| !reading.historical) {
                    self.gone(place, quality, reading, came, ctx);
                }
                for member in members {
                    let full = member.name.as_deref().map(|member| member_name(&name, member));
                    let place = match &full {
                        Some(Some(full)) => self.by_name.get(full.as_str()).copied(),
                        Some(None) => continue,
                        None => self.place(member),
                    };
                    self.take(place, full.flatten().as_deref(), &reading.member(member), came, ctx);
                }
            }
            Some((place, known)) => {
                known.take(reading, came.sent, ctx.now.wall, ctx.out);
                self.lives(place);
            }
            None if place.is_none() && self.cut => {}
            None => {
                came.unknown.get_or_insert_with(|| match (full.or(metric.name.as_deref()), metric.alias) {
                    (Some(name), _) => format!("the metric {name:?}"),
                    (None, Some(alias)) => format!("a metric by the alias {alias}"),
                    (None, None) => "a metric without a name".to_owned(),
                });
            }
        }
    }

    /// Enters a metric that has something now with its template, and that with its own.
    fn lives(&mut self, mut place: usize) {
        while let Some(known) = self.metrics.get_mut(place).filter(|known| !known.live) {
            let Some(within) = known.within else { return };
            known.live = true;
            let template = self.metrics.get_mut(within).and_then(|known| known.instance.as_mut());
            // It came as another metric of the same name meanwhile.
            let Some(template) = template else { return };
            template.live.push(place);
            place = within;
        }
    }

    /// What is said of a template counts for each of its members that has something: it has nothing any more. What that costs was paid when they got it.
    fn gone(&mut self, place: usize, quality: StatusCode, reading: &Reading<'_>, came: &Data, ctx: &mut Ctx<'_>) {
        let template = self.metrics.get_mut(place).and_then(|known| known.instance.as_mut());
        for member in template.map(|template| std::mem::take(&mut template.live)).unwrap_or_default() {
            let Some(known) = self.metrics.get_mut(member).filter(|known| known.within == Some(place)) else {
                continue;
            };
            known.live = false;
            if known.fits_a_tag() {
                known.set(Value::Null, quality, reading, came.sent, ctx.now.wall, ctx.out);
            } else if known.instance.is_some() {
                self.gone(member, quality, reading, came, ctx);
            }
        }
    }

    fn map_again(&mut self, name: &NodeName, device: &str, ctx: &mut Ctx<'_>) -> bool {
        let mut missing = false;
        for known in &mut self.metrics {
            let tag = ctx.targets.of(name, device, &known.name);
            if tag == known.tag {
                continue;
            }
            known.tag = tag;
            if tag.is_none() {
                continue;
            }
            // Its tag was the metric of somebody else, or the tag of none.
            known.floor = Some(known.floor.map_or(ctx.now.wall, |floor| floor.max(ctx.now.wall)));
            if known.long {
                missing = true;
            } else if known.fits_a_tag() {
                known.publish_now(ctx.now.wall, ctx.out);
            }
        }
        missing
    }
}

/// What a data message has come to.
struct Data {
    sent: Option<Timestamp>,
    /// The first metric that is not as it was born.
    unknown: Option<String>,
}

/// What an instance says of all its members: it is null, or says of itself that it is not good and names none.
fn said_of_all(reading: &Reading<'_>, members: &[Metric]) -> Option<StatusCode> {
    match &reading.metric.value {
        _ if reading.metric.is_null == Some(true) => Some(StatusCode::BAD_NO_DATA),
        None => Some(StatusCode::BAD_NO_DATA),
        Some(_) => reading.quality.filter(|quality| members.is_empty() && !quality.is_good()),
    }
}

/// A birth that is being read.
struct Birth<'b> {
    name: &'b NodeName,
    device: &'b str,
    sent: Option<Timestamp>,
    /// What was there before and was not met yet.
    before: HashMap<Arc<str>, Known>,
    table: Table,
    /// What was something for a tag and is not any more.
    gone: Vec<Known>,
    /// The aliases of members of templates.
    aliases: Vec<(usize, u64)>,
}

impl Birth<'_> {
    /// Adds a metric, and behind it its members where it is an instance of a template. False: a bound is reached.
    fn add(&mut self, name: &str, reading: &Reading<'_>, within: Option<usize>, ctx: &mut Ctx<'_>) -> bool {
        let (metric, now) = (reading.metric, ctx.now.wall);
        let place = self.table.by_name.get(name).copied();
        if place.is_none() && ctx.counts.metrics + self.table.metrics.len() >= ctx.options.metrics {
            return false;
        }
        let before = self.before.remove(name);
        let tag = ctx.targets.of(self.name, self.device, name);
        let template = instance(metric);
        let mut known = Known {
            name: before.as_ref().map_or_else(|| name.into(), |known| known.name.clone()),
            alias: metric.alias.filter(|_| within.is_none()),
            data_type: metric.datatype.and_then(DataType::from_code),
            transient: reading.transient,
            within,
            instance: template.map(Instance::of),
            live: false,
            tag,
            value: Value::Null,
            quality: StatusCode::BAD_NO_DATA,
            at: now,
            stale: false,
            // Who is new may have been there in an earlier birth, or its tag the metric of somebody else.
            floor: match &before {
                Some(before) if before.fits_a_tag() => before.floor,
                _ => tag.map(|_| now),
            },
            long: false,
        };
        self.gone.extend(before.filter(|before| before.fits_a_tag() && !known.fits_a_tag()));
        known.take(reading, self.sent, now, ctx.out);
        let (place, own_name) = (place.unwrap_or(self.table.metrics.len()), known.name.clone());
        self.table.add(known);
        self.table.lives(place);
        self.aliases.extend(metric.alias.filter(|_| within.is_some()).map(|alias| (place, alias)));
        for member in template.into_iter().flat_map(|template| &template.metrics) {
            let full = member.name.as_deref().and_then(|member| member_name(&own_name, member));
            if full.is_some_and(|full| !self.add(&full, &reading.member(member), Some(place), ctx)) {
                return false;
            }
        }
        true
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
        let (value, floor) = (Value::Null, Some(now));
        Self {
            name: name.into(),
            alias,
            data_type,
            transient,
            within: None,
            instance: None,
            live: false,
            tag,
            value,
            quality,
            at: now,
            stale: true,
            floor,
            long: false,
        }
    }

    /// Tells its tag that it is stale.
    pub fn tell(&self, out: &mut Outcome) {
        if self.fits_a_tag() {
            self.publish(Value::Null, self.at, self.at, out);
        }
    }
}
