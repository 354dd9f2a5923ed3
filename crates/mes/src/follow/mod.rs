//! From what tags say to the floor: which unit is in which state, what was counted, and what came too late to be simply taken in.
//!
//! A [`Follower`] reads the lane of samples frame by frame, in its order. The same frames give the same floor, however often it is started:
//! it never looks at a clock. Each of the things that a machine says (state, mode, reason) has steps of its own, so that one
//! that comes out of order changes its own kind only.
//!
//! **Going on after a start.** Of what is kept ([`Floor::kept_until`]) nothing is taken in a second time: of frames up to
//! [`Position::seen`] what is about kept hours was taken in before. What is about later hours is read again, from
//! [`Position::from`] on.

mod counts;
mod mend;
mod word;

pub use counts::{Oddity, Shown};
pub use mend::{Mending, Stretch};
pub use word::Word;

use crate::element::Seen;
use crate::floor::{Batch, Floor, UnitId, UnitSettings};
use crate::master::{CountTag, Machine};
use crate::packml::{Mode, State};
use crate::rollup::{Level, Slot};
use crate::steps::Steps;
use crate::unit::{Count, CountsAs, LogError, ReasonId, UnitLog};
use andon_model::log::Seq;
use andon_model::{Sample, TagId, TagPath, Timestamp};
use counts::{Tallied, Tally};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

/// The most things that wait to be told to people; more are left out, for they say the same.
const REMARKS: usize = 1_000;
/// What is on its way is waited for so long, before an hour is kept or a machine is said to be silent.
const GRACE: Duration = Duration::from_secs(30);

/// How far the lane was read.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Position {
    /// The first frame of which something is not kept.
    pub from: Seq,
    /// The last frame that was read.
    pub seen: Seq,
}

/// A machine and who its tags are.
pub struct Follow {
    /// The unit.
    pub unit: UnitId,
    /// How it is counted, and under what it stands.
    pub settings: UnitSettings,
    /// How it is followed.
    pub machine: Machine,
    /// Its tags, and after how long a silence of the one that says the state nothing is known.
    pub tags: HashMap<TagPath, TagId>,
    /// See there.
    pub silent_after: Option<Duration>,
    /// Reasons by name.
    pub reasons: HashMap<String, ReasonId>,
}

/// What came too late for the floor alone: it is about hours that are kept.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Late {
    /// The machine said something.
    Word {
        /// When.
        at: Timestamp,
        /// What.
        word: Word,
    },
    /// Something was counted.
    Count(Count),
}

/// Something that people should hear of.
#[derive(Clone, PartialEq, Debug)]
pub enum Remark {
    /// A counter did not count on.
    Counter {
        /// Its tag.
        tag: TagPath,
        /// What it did.
        oddity: Oddity,
    },
    /// A value came whose meaning is not said.
    NoMeaning {
        /// The tag.
        tag: TagPath,
        /// The value.
        value: String,
    },
}

/// Where a tag is used.
#[derive(Clone, Copy)]
struct Use {
    unit: UnitId,
    role: Role,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Role {
    State,
    Mode,
    Reason,
    Count(usize),
}

impl Role {
    /// That nothing is said by it; a count says none.
    const fn silence(self) -> Word {
        match self {
            Self::Mode => Word::Mode(None),
            Self::Reason => Word::Reason(None),
            Self::State | Self::Count(_) => Word::State(None),
        }
    }
}

struct Unit {
    machine: Machine,
    reasons: HashMap<String, ReasonId>,
    silent_after: Option<Duration>,
    margin: Duration,
    state: Steps<Option<State>>,
    /// When the state began that held when the steps before it were forgotten; `None`: that is not known.
    since: Option<Timestamp>,
    mode: Steps<Option<Mode>>,
    reason: Steps<Option<ReasonId>>,
    /// When the state was last heard, by the source's clock and by ours; `None`: not since the start.
    heard: Option<(Timestamp, Timestamp)>,
    tallies: Vec<Tally>,
}

/// The frame that is read.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct FrameHead {
    /// Its number.
    pub seq: Seq,
    /// Which run of the node wrote it.
    pub epoch: u64,
    /// When it came.
    pub received: Timestamp,
}

/// Follows the tags of all machines.
pub struct Follower {
    floor: Floor,
    units: BTreeMap<UnitId, Unit>,
    uses: HashMap<TagId, Arc<[Use]>>,
    last: Option<FrameHead>,
    /// Of what is not kept: the first frame that speaks of each hour.
    first: BTreeMap<i64, Seq>,
    /// Up to here what is about kept hours was taken in by an earlier run.
    known: Seq,
    /// The first frame of which something is taken in.
    begins: Seq,
    late: BTreeMap<UnitId, Vec<Late>>,
    remarks: Vec<(UnitId, Remark)>,
    remarked: HashSet<(TagId, i64)>,
}

impl Follower {
    /// Everything before the hour of `kept_until` is kept, and frames up to `known` were read before.
    #[must_use]
    pub fn new(kept_until: Timestamp, known: Seq) -> Self {
        Self {
            floor: Floor::new(kept_until),
            units: BTreeMap::new(),
            uses: HashMap::new(),
            last: None,
            first: BTreeMap::new(),
            known,
            begins: Seq(0),
            late: BTreeMap::new(),
            remarks: Vec::new(),
            remarked: HashSet::new(),
        }
    }

    /// The first frame of which something is not kept. One before it is taken for when it came ([`Follower::goes_on_after`]).
    pub const fn begins_at(&mut self, first: Seq) {
        self.begins = first;
    }

    /// See [`Follower::begins_at`].
    #[must_use]
    pub const fn begins(&self) -> Seq {
        self.begins
    }

    /// The floor.
    #[must_use]
    pub const fn floor(&self) -> &Floor {
        &self.floor
    }

    /// The floor, for what does not come from tags: orders, calendars, people.
    pub const fn floor_mut(&mut self) -> &mut Floor {
        &mut self.floor
    }

    /// These machines and no others are followed. Of one that was not, `log` gives what is kept of it, and `shown` what its counters showed
    /// then; a machine that stays goes on, also when its settings are others now. What a tag said that is not its any more does not hold
    /// longer; returned are the machines of which that is so.
    pub fn set_units(
        &mut self,
        follows: Vec<Follow>,
        mut log: impl FnMut(UnitId) -> UnitLog,
        shown: impl Fn(TagId) -> Option<Shown>,
    ) -> Vec<UnitId> {
        let (mut uses, mut unsaid) = (HashMap::new(), Vec::new());
        let mut former = std::mem::take(&mut self.units);
        for follow in follows {
            let Follow { unit: id, settings, machine, tags, silent_after, reasons } = follow;
            name_uses(&mut uses, id, &machine, &tags);
            let margin = settings.rules.minor_stop_under.max(Duration::from_micros(1));
            let mut unit = former.remove(&id).unwrap_or_else(|| {
                let log = log(id);
                let unit = Unit::after(&log, &machine);
                self.floor.set_unit(id, settings.clone(), || log);
                unit
            });
            self.floor.set_unit(id, settings, UnitLog::new);
            unsaid.extend(unit.words_without(&machine).into_iter().map(|word| (id, word)));
            let mut former_tallies = std::mem::take(&mut unit.tallies);
            let tally = |rule: &CountTag| {
                let same = |tally: &Tally| tally.rule.tag == rule.tag && tally.rule.made == rule.made;
                match former_tallies.iter().position(same) {
                    Some(at) => former_tallies.swap_remove(at).with(rule.clone()),
                    None => Tally::new(rule.clone(), tags.get(&rule.tag).and_then(|tag| shown(*tag))),
                }
            };
            unit.tallies = machine.counts.iter().map(tally).collect();
            (unit.machine, unit.reasons, unit.silent_after, unit.margin) = (machine, reasons, silent_after, margin);
            self.units.insert(id, unit);
        }
        former.into_keys().for_each(|gone| self.floor.remove_unit(gone));
        self.uses = uses.into_iter().map(|(tag, uses): (TagId, Vec<Use>)| (tag, uses.into())).collect();
        for (unit, word) in &unsaid {
            let said = self.units.get(unit).map(|unit| unit.last_change(*word));
            let read = self.last.map(|head| head.received);
            let at = self.in_time_from(self.margin(*unit)).max(said.max(read).unwrap_or_default());
            self.holds(*unit, at, *word);
        }
        unsaid.into_iter().map(|(unit, _)| unit).collect()
    }

    /// Takes up a frame and the samples in it. Between two runs of the node nothing is known of any machine.
    pub fn take(&mut self, head: FrameHead, samples: &[Sample]) {
        if head.seq > self.known {
            self.floor.caught_up();
        }
        if let Some(last) = self.last.filter(|last| last.epoch != head.epoch) {
            self.nothing_known(last.received, head.seq);
        }
        self.last = Some(head);
        for sample in samples {
            let Some(uses) = self.uses.get(&sample.tag).cloned() else { continue };
            // What was received cannot be of later: the source's clock is ahead.
            let at = sample.source_ts.min(sample.received_ts);
            let again = head.seq <= self.known && at < self.floor.kept_until();
            if again {
                continue;
            }
            uses.iter().for_each(|used| self.hear(*used, at, sample));
            self.is_about(at, head.seq);
        }
    }

    /// The frame before the first that is read: whether another run of the node wrote that one is seen by it.
    pub const fn goes_on_after(&mut self, head: FrameHead) {
        self.last = Some(head);
    }

    /// What was said up to a frame, since the last that was taken in, is lost; before the first, since what is kept.
    pub fn lost(&mut self, upto: Seq) {
        let since = self.last.map_or(self.floor.kept_until(), |last| last.received);
        self.nothing_known(since, upto);
    }

    /// What these machines said last, before they were followed: it still holds.
    pub fn hear_before(&mut self, units: &[UnitId], last: &dyn Fn(TagId) -> Option<Sample>) {
        let mut heard: Vec<(Timestamp, Use, Sample)> = Vec::new();
        for (tag, uses) in &self.uses {
            // A counter begins with the first reading that the lane has: what it shows now is read there, too.
            let says = |used: &&Use| units.contains(&used.unit) && !matches!(used.role, Role::Count(_));
            let of_these = uses.iter().filter(says);
            for used in of_these {
                heard.extend(last(*tag).map(|sample| (sample.source_ts.min(sample.received_ts), *used, sample)));
            }
        }
        heard.sort_by_key(|(at, ..)| *at);
        for (at, used, sample) in heard {
            // Not before what it said by another tag ended.
            let ended = self.units.get(&used.unit).map(|unit| unit.last_change(used.role.silence()));
            let begins = self.in_time_from(self.margin(used.unit)).max(ended.unwrap_or_default());
            self.hear(used, at.max(begins), &sample);
        }
    }

    /// From an instant on nothing is known of any machine, until it is heard again.
    pub fn nothing_known(&mut self, at: Timestamp, seq: Seq) {
        if seq <= self.known && at < self.floor.kept_until() {
            return;
        }
        let units: Vec<_> =
            self.units.iter().filter(|(_, unit)| unit.machine.state.is_some()).map(|(id, _)| *id).collect();
        for unit in units {
            self.say(unit, at, Word::State(None));
        }
        self.is_about(at, seq);
    }

    fn is_about(&mut self, at: Timestamp, seq: Seq) {
        if at >= self.floor.kept_until() {
            self.first.entry(Slot::of(Level::Hour, at).number).or_insert(seq);
        }
    }

    fn hear(&mut self, Use { unit: id, role }: Use, at: Timestamp, sample: &Sample) {
        let Some(unit) = self.units.get_mut(&id) else { return };
        match role {
            Role::State => {
                let Some(tag) = &unit.machine.state else { return };
                let state = tag.state(sample);
                let remark = (state.is_none() && tag.says_something(sample))
                    .then(|| Remark::NoMeaning { tag: tag.tag.clone(), value: sample.value.to_string() });
                let silent_from = unit.heard.zip(unit.silent_after).map(|((heard, _), after)| heard.plus(after));
                unit.heard = Some((unit.heard.map_or(at, |(heard, _)| heard.max(at)), sample.received_ts));
                if let Some(from) = silent_from.filter(|from| *from < at) {
                    self.say(id, from, Word::State(None));
                }
                self.say(id, at, Word::State(state));
                self.remark(id, sample, remark);
            }
            Role::Mode => {
                let Some(tag) = &unit.machine.mode else { return };
                let mode = tag.mode(sample);
                let remark = (mode.is_none() && tag.says_something(sample))
                    .then(|| Remark::NoMeaning { tag: tag.tag.clone(), value: sample.value.to_string() });
                self.say(id, at, Word::Mode(mode));
                self.remark(id, sample, remark);
            }
            Role::Reason => {
                let Some(tag) = &unit.machine.reason else { return };
                let reason = tag.reason(sample).and_then(|name| unit.reasons.get(name).copied());
                self.say(id, at, Word::Reason(reason));
            }
            Role::Count(number) => {
                let Some(tally) = unit.tallies.get_mut(number) else { return };
                let (count, oddity) = match tally.read(at, sample) {
                    Tallied::Nothing => return,
                    Tallied::Count(count) => (Some(count), None),
                    Tallied::Odd(count, oddity) => (count, Some(oddity)),
                };
                let remark = oddity.map(|oddity| Remark::Counter { tag: tally.rule.tag.clone(), oddity });
                if let Some(count) = count
                    && let Err(LogError::Late { .. }) = self.floor.count(id, count)
                {
                    self.late.entry(id).or_default().push(Late::Count(count));
                }
                self.remark(id, sample, remark);
            }
        }
    }

    /// At most one of a tag and an hour, for a counter that is reset every second says nothing new; and none of what an earlier run read.
    fn remark(&mut self, unit: UnitId, sample: &Sample, remark: Option<Remark>) {
        let Some(remark) = remark.filter(|_| self.last.is_some_and(|head| head.seq > self.known)) else { return };
        let hour = Slot::of(Level::Hour, sample.received_ts).number;
        if self.remarks.len() < REMARKS && self.remarked.insert((sample.tag, hour)) {
            self.remarks.push((unit, remark));
        }
        if self.remarked.len() > REMARKS {
            self.remarked.retain(|(_, at)| *at == hour);
        }
    }

    /// How near to what is kept a word decides on stops in it.
    fn margin(&self, unit: UnitId) -> Duration {
        self.units.get(&unit).map_or(Duration::ZERO, |unit| unit.margin)
    }

    /// Whether a word about this instant goes through what is kept.
    fn is_late(&self, margin: Duration, at: Timestamp) -> bool {
        at < self.in_time_from(margin)
    }

    /// What is about this instant or a later one does not touch what is kept.
    fn in_time_from(&self, margin: Duration) -> Timestamp {
        let kept = self.floor.kept_until();
        if self.floor.is_caught_up() { kept.plus(margin) } else { kept }
    }

    fn say(&mut self, id: UnitId, at: Timestamp, word: Word) {
        let Some(unit) = self.units.get_mut(&id) else { return };
        // What comes after something late waits behind it: whether it says anything new is known only then.
        if let Some(late) = self.late.get_mut(&id) {
            return late.push(Late::Word { at, word });
        }
        // Nearly every reading repeats the one before it, which holds.
        if at >= unit.last_change(word) && unit.says(word) {
            return;
        }
        let margin = unit.margin;
        if self.is_late(margin, at) {
            self.late.entry(id).or_default().push(Late::Word { at, word });
        } else {
            self.holds(id, at, word);
        }
    }

    /// A word holds from an instant, of which nothing is kept, until the next of its kind.
    fn holds(&mut self, id: UnitId, at: Timestamp, word: Word) {
        let Some(unit) = self.units.get_mut(&id) else { return };
        let until = unit.insert(at, word);
        for (from, to, seen, reason) in unit.combined(at, until) {
            let kept = self.floor.kept_until();
            let open = kept.plus(unit.margin);
            let late = self.floor.is_caught_up() && from < open;
            if late {
                self.floor.late(id, from, to.unwrap_or(open).min(open), seen, reason);
            }
            if !late || to.is_none_or(|to| open < to) {
                // After `open` nothing is late.
                let _ = self.floor.observe(id, from.max(if late { open } else { from }), seen, reason);
            }
        }
    }

    /// Since when a machine says what it is in; `None`: it has said nothing, or it has held for longer than what is here.
    #[must_use]
    pub fn since(&self, unit: UnitId) -> Option<Timestamp> {
        self.units.get(&unit).and_then(|unit| unit.state.last_change().or(unit.since))
    }

    /// What came late of one of the units, in the order in which it came; to be taken into what is kept before anything else is kept
    /// and before more is read. It stays until [`Follower::mended`], for taking it in a second time changes nothing.
    #[must_use]
    pub fn next_late(&self) -> Option<(UnitId, Vec<Late>)> {
        self.late.first_key_value().map(|(unit, late)| (*unit, late.clone()))
    }

    /// All that came late of a unit is taken into what is kept, or cannot be.
    pub fn mended(&mut self, unit: UnitId) {
        self.late.remove(&unit);
    }

    /// Whether something came late.
    #[must_use]
    pub fn has_late(&self) -> bool {
        !self.late.is_empty()
    }

    /// What people should hear of.
    pub fn take_remarks(&mut self) -> Vec<(UnitId, Remark)> {
        std::mem::take(&mut self.remarks)
    }

    /// Machines that have been silent for too long are in an unknown state since. To be called every second or so.
    pub fn silence(&mut self, now: Timestamp) {
        let silent: Vec<_> = self
            .units
            .iter()
            .filter_map(|(id, unit)| {
                let (heard, received) = unit.heard?;
                let from = heard.plus(unit.silent_after?);
                // What is on its way is waited for, and a source whose clock is behind is not silent for that.
                (received.plus(unit.silent_after?).plus(GRACE) < now
                    && unit.state.last().is_some()
                    && unit.state.last_change() < Some(from))
                .then_some((*id, from))
            })
            .collect();
        for (unit, from) in silent {
            self.say(unit, from, Word::State(None));
        }
    }

    /// The hour that is to be kept next, if it is over long enough.
    #[must_use]
    pub fn batch(&self, counts_as: CountsAs<'_>, now: Timestamp) -> Option<Batch> {
        // One hour at a time, also after a long time without the node. What is looked at behind it is as long as the longest minor stop.
        let longest = self.units.values().map(|unit| unit.margin).max().unwrap_or_default();
        let soon = self.floor.kept_until().plus(longest + Duration::from_secs(2 * 3600 - 1));
        self.floor.batch(counts_as, now.minus(GRACE).min(soon))
    }

    /// Where no machine is followed, nothing has to be kept.
    pub fn idle(&mut self, now: Timestamp) {
        if self.units.is_empty() {
            self.floor.idle(now.minus(GRACE));
            self.first.clear();
        }
    }

    /// What counters showed when everything before an hour was kept; to be kept with it, and with what comes late for it.
    #[must_use]
    pub fn shown(&self, until: Timestamp) -> Vec<(TagId, Shown)> {
        let tally = |used: &Use| match used.role {
            Role::Count(at) => self.units.get(&used.unit)?.tallies.get(at)?.shown_at(until),
            _ => None,
        };
        self.uses.iter().filter_map(|(tag, uses)| Some((*tag, uses.iter().find_map(tally)?))).collect()
    }

    /// How far the lane is read, once everything before `kept_until` is kept.
    #[must_use]
    pub fn position(&self, kept_until: Timestamp) -> Position {
        let seen = self.last.map_or(self.known, |last| last.seq.max(self.known));
        let hour = Slot::of(Level::Hour, kept_until).number;
        let first = self.first.range(hour..).map(|(_, seq)| *seq).min().unwrap_or(seen.next()).min(seen.next());
        // Until all of what an earlier run had read is read again, what that run had to begin with is where to begin.
        let is_read_again = self.last.map_or(self.known == Seq(0), |last| last.seq >= self.known);
        let from = if is_read_again { first } else { self.begins.min(first) };
        Position { from, seen }
    }

    /// A batch is kept.
    pub fn kept(&mut self, batch: &Batch) {
        self.floor.kept(batch);
        let until = self.floor.kept_until();
        self.first = self.first.split_off(&Slot::of(Level::Hour, until).number);
        for unit in self.units.values_mut() {
            let from = until.minus(unit.margin);
            unit.since = unit.state.iter().take_while(|(at, _)| *at <= from).last().map(|(at, _)| at).or(unit.since);
            unit.state.forget_before(from);
            unit.mode.forget_before(from);
            unit.reason.forget_before(from);
            unit.tallies.iter_mut().for_each(|tally| tally.kept(until));
        }
    }
}

/// Where a machine's tags are used.
fn name_uses(uses: &mut HashMap<TagId, Vec<Use>>, unit: UnitId, machine: &Machine, tags: &HashMap<TagPath, TagId>) {
    let mut name = |tag: &TagPath, role| {
        if let Some(id) = tags.get(tag) {
            uses.entry(*id).or_default().push(Use { unit, role });
        }
    };
    machine.state.iter().for_each(|state| name(&state.tag, Role::State));
    machine.mode.iter().for_each(|mode| name(&mode.tag, Role::Mode));
    machine.reason.iter().for_each(|reason| name(&reason.tag, Role::Reason));
    machine.counts.iter().enumerate().for_each(|(at, count)| name(&count.tag, Role::Count(at)));
}

impl Unit {
    /// A unit of which a log is kept. What held when an hour began that is the first in the log holds for longer than the log tells.
    fn after(log: &UnitLog, machine: &Machine) -> Self {
        let mut said = log.said().peekable();
        let first = said.next_if(|said| Slot::of(Level::Hour, said.at).from() == said.at);
        let mut unit = Self {
            machine: machine.clone(),
            reasons: HashMap::new(),
            silent_after: None,
            margin: Duration::ZERO,
            state: Steps::new(first.and_then(|said| said.seen.state)),
            since: None,
            mode: Steps::new(first.and_then(|said| said.seen.mode)),
            reason: Steps::new(first.and_then(|said| said.reason)),
            heard: None,
            tallies: Vec::new(),
        };
        for said in said {
            unit.state.set(said.at, said.seen.state);
            unit.mode.set(said.at, said.seen.mode);
            unit.reason.set(said.at, said.reason);
        }
        unit
    }

    /// What it said by tags that this machine does not have, or has with another meaning.
    fn words_without(&self, machine: &Machine) -> Vec<Word> {
        let mut words = Vec::new();
        if self.state.last().is_some() && (machine.state.is_none() || self.machine.state != machine.state) {
            words.push(Word::State(None));
        }
        if self.mode.last().is_some() && (machine.mode.is_none() || self.machine.mode != machine.mode) {
            words.push(Word::Mode(None));
        }
        if self.reason.last().is_some() && (machine.reason.is_none() || self.machine.reason != machine.reason) {
            words.push(Word::Reason(None));
        }
        words
    }

    fn says(&self, word: Word) -> bool {
        match word {
            Word::State(state) => *self.state.last() == state,
            Word::Mode(mode) => *self.mode.last() == mode,
            Word::Reason(reason) => *self.reason.last() == reason,
        }
    }

    fn last_change(&self, word: Word) -> Timestamp {
        let at = match word {
            Word::State(_) => self.state.last_change(),
            Word::Mode(_) => self.mode.last_change(),
            Word::Reason(_) => self.reason.last_change(),
        };
        at.unwrap_or(Timestamp::from_micros(i64::MIN))
    }

    /// From an instant to the next word of its kind, which is returned; `None`: it holds now.
    fn insert(&mut self, at: Timestamp, word: Word) -> Option<Timestamp> {
        fn put<T: Clone + PartialEq>(steps: &mut Steps<T>, at: Timestamp, value: T) -> Option<Timestamp> {
            let next = steps.next_change(at);
            steps.insert(at, value);
            next
        }
        match word {
            Word::State(state) => put(&mut self.state, at, state),
            Word::Mode(mode) => put(&mut self.mode, at, mode),
            Word::Reason(reason) => put(&mut self.reason, at, reason),
        }
    }

    /// What is said of a span, in pieces; the last may be open.
    fn combined(
        &self,
        from: Timestamp,
        until: Option<Timestamp>,
    ) -> Vec<(Timestamp, Option<Timestamp>, Seen, Option<ReasonId>)> {
        let mut edges = vec![from];
        for next in
            [&|at| self.state.next_change(at), &|at| self.mode.next_change(at), &|at| self.reason.next_change(at)]
                as [&dyn Fn(Timestamp) -> Option<Timestamp>; 3]
        {
            let mut at = from;
            while let Some(edge) = next(at).filter(|edge| until.is_none_or(|until| *edge < until)) {
                edges.push(edge);
                at = edge;
            }
        }
        edges.sort_unstable();
        edges.dedup();
        let ends = edges.iter().skip(1).map(|edge| Some(*edge)).chain([until]);
        let piece = |(from, to): (&Timestamp, Option<Timestamp>)| {
            let seen = Seen { state: *self.state.at(*from), mode: *self.mode.at(*from) };
            (*from, to, seen, *self.reason.at(*from))
        };
        edges.iter().zip(ends).map(piece).collect()
    }
}

#[cfg(test)]
mod tests;
