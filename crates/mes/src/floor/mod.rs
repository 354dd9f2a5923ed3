//! The whole shop floor: every unit's log since the last whole hour that was kept, and the totals of the tree above.
//!
//! What is before [`Floor::kept_until`] is kept by others, by hour and unit and as totals of slots; a [`Batch`] is what they have to keep,
//! all of it or nothing. What is after it is here, and goes with the process: it is read again from the log. A state that is taken up a second time changes nothing; a count would count twice, so whoever reads the log
//! goes on from where the last batch ended.
//!
//! A question about a window is one about slots, about hours that are cut, and about what is here ([`Question`]): whoever keeps the
//! first two answers them, and [`Floor::answer`] adds the rest.

mod past;

pub use past::{kept_hour, past};

use crate::element::{Planned, Seen};
use crate::rollup::{Cover, Level, Slot, Totals, cover};
use crate::steps::Interval;
use crate::unit::{
    Correction, Count, CountsAs, DerivedHour, Job, LogError, Moment, ReasonId, RecordedHour, Rules, Said, UnitLog,
};
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// A work unit, by its number on this node.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct UnitId(pub u32);

/// A node of the tree of equipment, by its number on this node: a work unit, a line, a site.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct NodeId(pub u32);

/// What a unit is counted by, and under what it stands.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitSettings {
    /// How it is counted.
    pub rules: Rules,
    /// The nodes whose totals it is a part of: its own, its line, its area, … in any order, none twice.
    pub nodes: Vec<NodeId>,
}

struct Unit {
    settings: UnitSettings,
    log: UnitLog,
    /// What the time since the last kept hour comes to, up to an instant: so that a question about now looks at the last minutes only.
    settled: Option<(Timestamp, Totals)>,
}

/// An hour of a unit, to be kept.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct KeptHour {
    /// The unit.
    pub unit: UnitId,
    /// The hour.
    pub hour: Slot,
    /// What was recorded.
    pub recorded: RecordedHour,
    /// What it comes to.
    pub derived: DerivedHour,
    /// And added up.
    pub totals: Totals,
}

/// What is to be kept together: all of it or nothing.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Batch {
    /// Hours.
    pub hours: Vec<KeptHour>,
    /// What is to be added to the totals of slots.
    pub added: BTreeMap<(NodeId, Slot), Totals>,
}

/// What somebody has to look up for an answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Question {
    /// The node.
    pub node: NodeId,
    /// Slots of it whose totals are asked for, and hours that are cut.
    pub kept: Cover,
    /// What is here.
    here: Interval<()>,
}

/// The shop floor.
#[derive(Default)]
pub struct Floor {
    units: BTreeMap<UnitId, Unit>,
    kept_until: Timestamp,
    /// What comes is new, and not what the log says again after a start.
    caught_up: bool,
}

impl Floor {
    /// A floor without units; everything before the hour of `kept_until` is kept.
    #[must_use]
    pub fn new(kept_until: Timestamp) -> Self {
        Self { units: BTreeMap::new(), kept_until: Slot::of(Level::Hour, kept_until).from(), caught_up: false }
    }

    /// All that was here before the start is here again. From now on what comes just after [`Floor::kept_until`] is late, for it decides on
    /// stops that are kept.
    pub const fn caught_up(&mut self) {
        self.caught_up = true;
    }

    /// Whether all that was here before the start is here again.
    #[must_use]
    pub const fn is_caught_up(&self) -> bool {
        self.caught_up
    }

    /// Until when everything is kept: a whole hour.
    #[must_use]
    pub const fn kept_until(&self) -> Timestamp {
        self.kept_until
    }

    /// A unit, new or with other settings, which hold from the last whole hour that was kept. What its log was at that instant is handed in for a new one.
    pub fn set_unit(&mut self, unit: UnitId, settings: UnitSettings, log: impl FnOnce() -> UnitLog) {
        match self.units.get_mut(&unit) {
            Some(known) => (known.settings, known.settled) = (settings, None),
            None => {
                self.units.insert(unit, Unit { settings, log: log(), settled: None });
            }
        }
    }

    /// A unit is no more. What was kept of it stays.
    pub fn remove_unit(&mut self, unit: UnitId) {
        self.units.remove(&unit);
    }

    /// The units under a node.
    pub fn units_of(&self, node: NodeId) -> impl Iterator<Item = UnitId> {
        self.units.iter().filter(move |(_, unit)| unit.settings.nodes.contains(&node)).map(|(id, _)| *id)
    }

    /// The machine says what it is in. What is said a second time changes nothing.
    ///
    /// # Errors
    /// [`LogError::Late`]: it belongs to what is kept: see [`change`].
    pub fn observe(
        &mut self,
        unit: UnitId,
        at: Timestamp,
        seen: Seen,
        reason: Option<ReasonId>,
    ) -> Result<(), LogError> {
        self.log(unit, at, true)?.into_iter().for_each(|log| log.observe(at, seen, reason));
        Ok(())
    }

    /// What a unit was in over a span of which the beginning is kept, and which was changed there ([`change`]).
    pub fn late(&mut self, unit: UnitId, from: Timestamp, to: Timestamp, seen: Seen, reason: Option<ReasonId>) {
        let begins =
            self.kept_until.minus(self.units.get(&unit).map_or(Duration::ZERO, |unit| margin(unit.settings.rules)));
        if let Some(unit) = self.units.get_mut(&unit) {
            unit.log.was(from.max(begins), to, seen, reason);
            unit.settled = None;
        }
    }

    /// Something was made.
    ///
    /// # Errors
    /// [`LogError::Late`]: it belongs to what is kept: see [`change`].
    pub fn count(&mut self, unit: UnitId, count: Count) -> Result<(), LogError> {
        self.log(unit, count.at, false)?.into_iter().for_each(|log| log.count(count));
        Ok(())
    }

    /// An order comes onto a unit, or leaves it.
    ///
    /// # Errors
    /// [`LogError::Late`].
    pub fn job(&mut self, unit: UnitId, at: Timestamp, job: Option<Job>) -> Result<(), LogError> {
        self.log(unit, at, true)?.map_or(Ok(()), |log| log.job(at, job))
    }

    /// What the calendar says of a span, as far as it is not kept.
    ///
    /// # Errors
    /// [`LogError::NoSpan`].
    pub fn plan(&mut self, unit: UnitId, from: Timestamp, to: Timestamp, planned: Planned) -> Result<(), LogError> {
        self.units.get_mut(&unit).map_or(Ok(()), |unit| {
            unit.changes(from);
            unit.log.plan(from, to, planned)
        })
    }

    /// A person puts a span right. What of it is kept has to be changed beside: see [`change`].
    ///
    /// # Errors
    /// [`LogError::NoSpan`], [`LogError::NotOver`].
    pub fn correct(&mut self, unit: UnitId, number: u32, correction: Correction) -> Result<(), LogError> {
        self.units.get_mut(&unit).map_or(Ok(()), |unit| {
            unit.changes(correction.from);
            unit.log.correct(number, correction)
        })
    }

    /// The log of a unit for something at an instant; `None`: there is no such unit any more. What decides on stops decides also on those
    /// that were kept just before it: whether one that goes on is a minor stop was seen when it was kept.
    fn log(&mut self, unit: UnitId, at: Timestamp, decides_on_stops: bool) -> Result<Option<&mut UnitLog>, LogError> {
        let Some(unit) = self.units.get_mut(&unit) else { return Ok(None) };
        let near = if decides_on_stops { margin(unit.settings.rules) } else { Duration::ZERO };
        let earliest = if self.caught_up { self.kept_until.plus(near) } else { self.kept_until };
        if at < earliest {
            return Err(LogError::Late { at, last: earliest });
        }
        unit.changes(at);
        Ok(Some(&mut unit.log))
    }

    /// What a unit is in, at the end of what it said.
    #[must_use]
    pub fn last(&self, unit: UnitId) -> Option<Said> {
        self.units.get(&unit)?.log.last()
    }

    /// What is here of a window, as it was recorded; `None`: nothing of it is.
    #[must_use]
    pub fn recorded(&self, unit: UnitId, from: Timestamp, to: Timestamp) -> Option<RecordedHour> {
        let from = from.max(self.kept_until);
        self.units.get(&unit).filter(|_| from < to).map(|unit| unit.log.recorded(from, to))
    }

    /// What held of a unit over a window, as far as it is here, as it was recorded.
    #[must_use]
    pub fn moments(&self, unit: UnitId, from: Timestamp, to: Timestamp) -> Vec<Interval<Moment>> {
        let Some(unit) = self.units.get(&unit) else { return Vec::new() };
        let moments = unit.log.moments(from, to, false);
        let copied = |piece: Interval<&Moment>| Interval { from: piece.from, to: piece.to, value: *piece.value };
        moments.within(from, to).map(copied).collect()
    }

    /// The log of a unit, as far as it is here.
    #[must_use]
    pub fn log_of(&self, unit: UnitId) -> Option<&UnitLog> {
        self.units.get(&unit).map(|unit| &unit.log)
    }

    /// How a unit is counted, and under what it stands.
    #[must_use]
    pub fn settings_of(&self, unit: UnitId) -> Option<&UnitSettings> {
        self.units.get(&unit).map(|unit| &unit.settings)
    }

    /// What an answer about a window needs; `now` ends it.
    #[must_use]
    pub fn question(&self, node: NodeId, from: Timestamp, to: Timestamp, now: Timestamp) -> Question {
        let to = to.min(now);
        let kept = cover(from, to.min(self.kept_until));
        Question { node, kept, here: Interval { from: from.max(self.kept_until), to, value: () } }
    }

    /// The totals of a window: what is kept, and what is here.
    #[must_use]
    pub fn answer(&self, question: &Question, counts_as: CountsAs<'_>, kept: Totals) -> Totals {
        let Interval { from, to, .. } = question.here;
        let units = self.units.values().filter(|unit| unit.settings.nodes.contains(&question.node));
        units.fold(
            kept,
            |sum, unit| if from < to { unit.add_totals(sum, counts_as, self.kept_until, from, to) } else { sum },
        )
    }

    /// What every node comes to between the last kept hour and now: for screens that show it all the time.
    #[must_use]
    pub fn here(&self, counts_as: CountsAs<'_>, now: Timestamp) -> BTreeMap<NodeId, Totals> {
        let mut all: BTreeMap<NodeId, Totals> = BTreeMap::new();
        for unit in self.units.values() {
            let totals = unit.add_totals(
                Totals::default(),
                counts_as,
                self.kept_until,
                self.kept_until,
                now.max(self.kept_until),
            );
            unit.settings.nodes.iter().for_each(|node| *all.entry(*node).or_default() += &totals);
        }
        all
    }

    /// Adds up what cannot change any more by what comes in time. To be called every second or so, before questions about now.
    pub fn settle(&mut self, counts_as: CountsAs<'_>, now: Timestamp) {
        for unit in self.units.values_mut() {
            let to = now.minus(margin(unit.settings.rules));
            let (from, mut totals) = unit.settled.take().unwrap_or((self.kept_until, Totals::default()));
            if from < to {
                totals += &unit.log.totals(unit.settings.rules, counts_as, from, to);
            }
            unit.settled = Some((from.max(to), totals));
        }
    }

    /// All that is to be kept of the hours that are over, and settled: nothing that comes in time can change them any more. `None`: nothing yet.
    /// Once it is kept, [`Floor::kept`] is to be told.
    #[must_use]
    pub fn batch(&self, counts_as: CountsAs<'_>, now: Timestamp) -> Option<Batch> {
        let until = self.settled_until(now);
        if until <= self.kept_until {
            return None;
        }
        let mut batch = Batch::default();
        for (id, unit) in &self.units {
            let mut from = self.kept_until;
            while from < until {
                let hour = Slot::of(Level::Hour, from);
                batch.add(
                    keep(*id, &unit.settings, &unit.log, counts_as, hour),
                    &unit.settings.nodes,
                    &Totals::default(),
                );
                from = hour.to();
            }
        }
        Some(batch)
    }

    /// A batch is kept: what is before its end is forgotten here.
    pub fn kept(&mut self, batch: &Batch) {
        self.caught_up = true;
        self.kept_until = batch.until().unwrap_or(self.kept_until).max(self.kept_until);
        for unit in self.units.values_mut() {
            unit.log.forget_before(self.kept_until.minus(margin(unit.settings.rules)));
            unit.settled = None;
        }
    }

    /// A floor without units keeps nothing, and what it could keep of the time until now is over.
    pub fn idle(&mut self, now: Timestamp) {
        if self.units.is_empty() {
            self.kept_until = self.kept_until.max(Slot::of(Level::Hour, now).from());
        }
    }

    /// The last hour's end after which enough time has passed to see whether a stop across it is a minor one.
    fn settled_until(&self, now: Timestamp) -> Timestamp {
        let longest = self.units.values().map(|unit| margin(unit.settings.rules)).max().unwrap_or_default();
        Slot::of(Level::Hour, now.minus(longest)).from()
    }
}

impl Unit {
    /// Something at an instant is about to change: what was settled after it is not.
    fn changes(&mut self, at: Timestamp) {
        let at = at.minus(margin(self.settings.rules));
        self.settled.take_if(|(until, _)| at < *until);
    }

    /// A sum, and what a window here comes to.
    fn add_totals(
        &self,
        sum: Totals,
        counts_as: CountsAs<'_>,
        kept_until: Timestamp,
        from: Timestamp,
        to: Timestamp,
    ) -> Totals {
        let rest = |from| self.log.totals(self.settings.rules, counts_as, from, to);
        match &self.settled {
            Some((until, totals)) if from == kept_until && *until <= to => sum + totals + &rest(*until),
            _ => sum + &rest(from),
        }
    }
}

impl Batch {
    /// The end of the last hour in it.
    #[must_use]
    pub fn until(&self) -> Option<Timestamp> {
        self.hours.iter().map(|hour| hour.hour.to()).max()
    }

    /// Adds an hour, and to the slots above what it differs by from what was kept of it.
    fn add(&mut self, hour: KeptHour, nodes: &[NodeId], before: &Totals) {
        let difference = hour.totals.clone() - before;
        for node in nodes {
            for level in Level::ALL {
                *self.added.entry((*node, Slot::of(level, hour.hour.from()))).or_default() += &difference;
            }
        }
        self.hours.push(hour);
    }
}

/// What has to be kept of an hour.
fn keep(unit: UnitId, settings: &UnitSettings, log: &UnitLog, counts_as: CountsAs<'_>, hour: Slot) -> KeptHour {
    let derived = log.derive(settings.rules, counts_as, hour.from(), hour.to());
    let recorded = log.recorded(hour.from(), hour.to());
    let totals = derived.totals(&recorded.counts, hour.from(), hour.to());
    KeptHour { unit, hour, recorded, derived, totals }
}

/// How much before and after a window decides whether a stop in it is a minor one.
fn margin(rules: Rules) -> Duration {
    rules.minor_stop_under.max(Duration::from_micros(1))
}

/// The kept hours that a change between two instants touches, and the window whose records [`change`] needs for them.
#[must_use]
pub fn touched(rules: Rules, from: Timestamp, to: Timestamp, kept_until: Timestamp) -> (Vec<Slot>, Interval<()>) {
    let margin = margin(rules);
    let (mut slots, end) = (Vec::new(), to.plus(margin).min(kept_until));
    let mut at = Slot::of(Level::Hour, from.minus(margin)).from();
    let begin = at;
    while at < end {
        let slot = Slot::of(Level::Hour, at);
        slots.push(slot);
        at = slot.to();
    }
    (slots, Interval { from: begin.minus(margin), to: at.plus(margin), value: () })
}

/// Kept hours of a unit anew: something late came, a person put something right, an order was booked. `log` holds the window that [`touched`]
/// named, with the change; `before` what is kept of each hour. They are counted by the settings of today, for those of then are not kept.
/// Hours that come to the same are left out.
#[must_use]
pub fn change(
    unit: UnitId,
    settings: &UnitSettings,
    log: &UnitLog,
    counts_as: CountsAs<'_>,
    before: &[KeptHour],
) -> Batch {
    let mut batch = Batch::default();
    for kept in before {
        let hour = keep(unit, settings, log, counts_as, kept.hour);
        if hour != *kept {
            batch.add(hour, &settings.nodes, &kept.totals);
        }
    }
    batch
}

#[cfg(test)]
mod tests;
