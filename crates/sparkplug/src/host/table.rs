//! The metrics of an edge node or a device as they were born, and what data do to them.

use super::Outcome;
use super::node::Ctx;
use crate::payload;
use crate::proto::{Metric, MetricValue, Payload, Template};
use crate::topic::NodeName;
use crate::value::{self, DataType};
use andon_model::{Sample, StatusCode, TagId, Timestamp, Value};
use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// Texts longer than this are published, but not kept for lists.
const TEXT_KEPT: usize = 4096;
/// The most bytes of a member's name with those of all templates around it: they stand before each member's, and on the wire but once.
const MEMBER_NAME: usize = 256;
/// The most bytes that are kept of the name and the version of a definition; longer ones are forgotten.
const DEFINITION: usize = 256;
/// A value that is older than this when it comes is of a device whose clock is slow, or of long ago.
const SLOW: Duration = Duration::from_secs(10);

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
    /// Its unit, as the device writes it.
    pub unit: Option<Box<str>>,
    /// The place of the template of which it is a member. Whoever comes from an earlier run does not know it before it is born.
    pub within: Option<usize>,
    pub instance: Option<Box<Instance>>,
    /// It stands in the list of its template.
    live: bool,
    pub tag: Option<TagId>,
    pub value: Value,
    pub quality: StatusCode,
    pub at: Timestamp,
    /// Whether its value does not count until the next one comes.
    stale: bool,
    /// The latest time that its tag was told by our clock: what comes with an earlier one would be late, and so would everything from a device whose
    /// clock is slow ([`after_floor`]).
    floor: Option<Timestamp>,
    /// The value is a text too long to be kept.
    long: bool,
}

impl Known {
    /// From an earlier run: stale, of now.
    pub fn restored(
        name: &str,
        alias: Option<u64>,
        data_type: Option<DataType>,
        transient: bool,
        unit: Option<Box<str>>,
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
            unit,
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

    pub fn stale(&mut self, quality: StatusCode, ctx: &mut Ctx<'_>) {
        for known in &mut self.metrics {
            known.stale(quality, ctx.now.wall, ctx.out);
        }
    }

    /// As a birth says, as far as the bound for metrics lets it; what was there before and is not any more, or is nothing for a tag any more, is out
    /// of service.
    pub fn born(old: Self, name: &NodeName, device: &str, payload: &Payload, ctx: &mut Ctx<'_>) -> Self {
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
    pub fn data(&mut self, payload: &Payload, ctx: &mut Ctx<'_>) -> Option<String> {
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

    pub fn map_again(&mut self, name: &NodeName, device: &str, ctx: &mut Ctx<'_>) -> bool {
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
            unit: payload::unit(metric).map(Into::into),
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
