//! The log of one work unit: what it was in, what was on it, what the calendar said, what people put right; and what that comes to.
//!
//! What machines, orders and calendars say is never changed. A [`Correction`] lies over it, in the order in which corrections were made,
//! so that what was recorded, and what each person said of it, can be read for ever.

pub mod hour;
mod pieces;

pub use hour::{Count, DerivedHour, Made, RecordedHour, Said};
pub use pieces::{Cause, Piece, Stop};

use crate::element::{self, Counting, Element, Planned, Seen};
use crate::rollup::Totals;
use crate::steps::Steps;
use crate::sums::Sums;
use andon_model::Timestamp;
use std::time::Duration;

/// A reason of the plant's reason tree, by its number there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct ReasonId(pub u32);

/// A job order, by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct JobId(pub u64);

/// A job order on a unit.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// PRI in ns: how long an item of it should take on this unit. `None`: nobody has said.
    pub planned_run_time_per_item_ns: Option<u64>,
}

/// What holds at a moment.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Moment {
    /// The machine.
    pub seen: Seen,
    /// Why it is so, if that is known.
    pub reason: Option<ReasonId>,
    /// The order on it.
    pub job: Option<JobId>,
    /// The calendar.
    pub planned: Planned,
    /// The number of the last correction that says so; `None`: it is as it was recorded.
    pub corrected: Option<u32>,
}

/// What a person says of a span. `None` leaves what it was.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Change {
    /// Why it was so.
    Reason(ReasonId),
    /// What the machine was in.
    State(Seen),
    /// Earlier corrections of this span do not hold any more: it is as it was recorded.
    AsRecorded,
}

/// A person's word on a span.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Correction {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// What is said.
    pub change: Change,
    /// Who says so, by the id of the account.
    pub by: uuid::Uuid,
    /// When it was said.
    pub at: Timestamp,
}

/// Why something is not taken into the log.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum LogError {
    /// It is older than what is already there: the span has to be read anew from history.
    #[error("{at} is before {last}, the last that the unit said; read the span from its history")]
    Late {
        /// When it was.
        at: Timestamp,
        /// The last that is there.
        last: Timestamp,
    },
    /// A span that ends before it begins, or is empty.
    #[error("the span ends at {to}, which is not after its beginning {from}")]
    NoSpan {
        /// Its beginning.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
    },
    /// A span that is not over.
    #[error("the span ends at {to}, which is later than now, {now}; end it at the latest now")]
    NotOver {
        /// Its end.
        to: Timestamp,
        /// Now.
        now: Timestamp,
    },
}

/// How a unit is counted.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Rules {
    /// Which time a state belongs to.
    pub counting: Counting,
    /// A delay that is shorter is a minor stop. Zero: there are none.
    pub minor_stop_under: Duration,
    /// PRI in ns of what is made without an order. `None`: nobody has said.
    pub planned_run_time_per_item_ns: Option<u64>,
}

/// What a reason counts as; `None`: what the state counts as.
pub type CountsAs<'a> = &'a dyn Fn(ReasonId) -> Option<Element>;

/// The log of one work unit.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct UnitLog {
    seen: Steps<(Seen, Option<ReasonId>)>,
    pub(crate) jobs: Steps<Option<Job>>,
    planned: Steps<Planned>,
    /// With their numbers, in the order in which they were made.
    corrections: Vec<(u32, Correction)>,
    /// In order of time.
    pub(crate) counts: Vec<Count>,
}

impl Default for UnitLog {
    fn default() -> Self {
        Self::new()
    }
}

impl UnitLog {
    /// A unit of which nothing is known, with no order and no calendar: it is meant to work always.
    #[must_use]
    pub const fn new() -> Self {
        Self {
            seen: Steps::new((Seen::NOTHING, None)),
            jobs: Steps::new(None),
            planned: Steps::new(Planned::Busy),
            corrections: Vec::new(),
            counts: Vec::new(),
        }
    }

    /// The machine says what it is in, and why if it knows. What comes late holds until what it said after that; said a second time, it
    /// changes nothing.
    pub fn observe(&mut self, at: Timestamp, seen: Seen, reason: Option<ReasonId>) {
        self.seen.insert(at, (seen, reason));
    }

    /// What the machine was in over a span, whatever it said of it.
    pub fn was(&mut self, from: Timestamp, to: Timestamp, seen: Seen, reason: Option<ReasonId>) {
        self.seen.paint(from, to, (seen, reason));
    }

    /// Every change of what the machine said that is here, in order of time.
    pub fn said(&self) -> impl Iterator<Item = Said> {
        self.seen.iter().map(|(at, (seen, reason))| Said { at, seen: *seen, reason: *reason })
    }

    /// What the machine said last.
    #[must_use]
    pub fn last(&self) -> Option<Said> {
        let (seen, reason) = *self.seen.last();
        self.seen.last_change().map(|at| Said { at, seen, reason })
    }

    /// An order comes onto the unit, or leaves it.
    ///
    /// # Errors
    /// [`LogError::Late`]: one came or left later.
    pub fn job(&mut self, at: Timestamp, job: Option<Job>) -> Result<(), LogError> {
        not_late(self.jobs.last_change(), at)?;
        self.jobs.set(at, job);
        Ok(())
    }

    /// What the calendar says of a span. It may be said anew, for what was and for what comes.
    ///
    /// # Errors
    /// [`LogError::NoSpan`].
    pub fn plan(&mut self, from: Timestamp, to: Timestamp, planned: Planned) -> Result<(), LogError> {
        span(from, to)?;
        self.planned.paint(from, to, planned);
        Ok(())
    }

    /// A person puts a span right. [`Moment::corrected`] names it by its number, which is later than all before it.
    ///
    /// # Errors
    /// [`LogError::NoSpan`], [`LogError::NotOver`].
    pub fn correct(&mut self, number: u32, correction: Correction) -> Result<(), LogError> {
        span(correction.from, correction.to)?;
        if correction.to > correction.at {
            return Err(LogError::NotOver { to: correction.to, now: correction.at });
        }
        self.corrections.push((number, correction));
        Ok(())
    }

    /// Something was made. Counters of one unit may speak in any order.
    pub fn count(&mut self, count: Count) {
        self.counts.insert(self.counts.partition_point(|earlier| earlier.at <= count.at), count);
    }

    /// Every correction that touches a window, with its number, in the order in which they were made.
    pub fn corrections(&self, from: Timestamp, to: Timestamp) -> impl Iterator<Item = (u32, &Correction)> {
        let touching =
            self.corrections.iter().filter(move |(_, correction)| correction.from < to && from < correction.to);
        touching.map(|(number, correction)| (*number, correction))
    }

    /// What a window comes to.
    #[must_use]
    pub fn derive(&self, rules: Rules, counts_as: CountsAs<'_>, from: Timestamp, to: Timestamp) -> DerivedHour {
        let run_times = self.jobs.within(from, to).map(|piece| (piece.from, run_time(rules, *piece.value)));
        DerivedHour { pieces: self.pieces(rules, counts_as, from, to), run_times: run_times.collect() }
    }

    /// PRI in ns of what is made at an instant; `None`: nobody has said.
    #[must_use]
    pub fn run_time(&self, rules: Rules, at: Timestamp) -> Option<u64> {
        run_time(rules, *self.jobs.at(at))
    }

    /// All that a window comes to, added up.
    #[must_use]
    pub fn totals(&self, rules: Rules, counts_as: CountsAs<'_>, from: Timestamp, to: Timestamp) -> Totals {
        let first = self.counts.partition_point(|count| count.at < from);
        let counts = self.counts.get(first..).unwrap_or_default();
        self.derive(rules, counts_as, from, to).totals(counts, from, to)
    }

    /// A window as it was recorded.
    #[must_use]
    pub fn recorded(&self, from: Timestamp, to: Timestamp) -> RecordedHour {
        let said =
            self.seen.within(from, to).map(|piece| Said { at: piece.from, seen: piece.value.0, reason: piece.value.1 });
        let counts = self.counts.iter().filter(|count| from <= count.at && count.at < to);
        RecordedHour { said: said.collect(), counts: counts.copied().collect() }
    }

    /// The same without what the machine said and what was counted: orders, calendar and corrections.
    #[must_use]
    pub fn without_records(&self) -> Self {
        Self { seen: Steps::new((Seen::NOTHING, None)), counts: Vec::new(), ..self.clone() }
    }

    /// When the machine said something else after an instant; `None`: not since.
    #[must_use]
    pub fn next_change(&self, at: Timestamp) -> Option<Timestamp> {
        self.seen.next_change(at)
    }

    /// Takes up what was recorded of a window. After its end the last that the machine said in it holds, unless more is there.
    pub fn restore(&mut self, hour: &RecordedHour) {
        hour.said.iter().for_each(|said| self.observe(said.at, said.seen, said.reason));
        hour.counts.iter().for_each(|count| self.count(*count));
    }

    /// Forgets what was before an instant, but for what still holds.
    pub fn forget_before(&mut self, at: Timestamp) {
        self.seen.forget_before(at);
        self.jobs.forget_before(at);
        self.planned.forget_before(at);
        self.corrections.retain(|(_, correction)| correction.to > at);
        self.counts.drain(..self.counts.partition_point(|count| count.at < at));
    }

    /// What holds over a window, corrections included, each moment with the time that it belongs to: without gap, without overlap, and as
    /// long as the window.
    #[must_use]
    pub fn pieces(&self, rules: Rules, counts_as: CountsAs<'_>, from: Timestamp, to: Timestamp) -> Vec<Piece> {
        pieces::of(self, rules, counts_as, from, to)
    }

    /// The stops of a window, each from its beginning, be it before the window, to its end or that of the window.
    #[must_use]
    pub fn stops(&self, rules: Rules, counts_as: CountsAs<'_>, from: Timestamp, to: Timestamp) -> Vec<Stop> {
        pieces::stops(self, rules, counts_as, from, to)
    }

    /// The times of a window, added up.
    #[must_use]
    pub fn times(&self, rules: Rules, counts_as: CountsAs<'_>, from: Timestamp, to: Timestamp) -> Sums {
        self.pieces(rules, counts_as, from, to).iter().map(|piece| Sums::of_time(piece.element, piece.micros())).sum()
    }

    /// What holds over a window; as it was recorded, or with corrections.
    #[must_use]
    pub fn moments(&self, from: Timestamp, to: Timestamp, corrected: bool) -> Steps<Moment> {
        let mut all = Steps::new(Moment::default());
        let mut edges: Vec<Timestamp> = Vec::new();
        edges.extend(self.seen.within(from, to).map(|piece| piece.from));
        edges.extend(self.jobs.within(from, to).map(|piece| piece.from));
        edges.extend(self.planned.within(from, to).map(|piece| piece.from));
        edges.sort_unstable();
        edges.dedup();
        for at in edges {
            let (seen, reason) = *self.seen.at(at);
            all.set(
                at,
                Moment {
                    seen,
                    reason,
                    job: self.jobs.at(at).map(|job| job.id),
                    planned: *self.planned.at(at),
                    corrected: None,
                },
            );
        }
        if corrected {
            for (number, correction) in self.corrections(from, to) {
                self.lay_over(&mut all, number, correction, from, to);
            }
        }
        all
    }

    fn lay_over(&self, all: &mut Steps<Moment>, number: u32, correction: &Correction, from: Timestamp, to: Timestamp) {
        let (from, to) = (correction.from.max(from), correction.to.min(to));
        let base = if correction.change == Change::AsRecorded { &self.moments(from, to, false) } else { &*all };
        let new: Vec<_> = base
            .within(from, to)
            .map(|piece| {
                let mut moment = Moment { corrected: Some(number), ..*piece.value };
                match correction.change {
                    Change::Reason(reason) => moment.reason = Some(reason),
                    Change::State(seen) => (moment.seen, moment.reason) = (seen, None),
                    Change::AsRecorded => moment.corrected = None,
                }
                (piece.from, piece.to, moment)
            })
            .collect();
        for (from, to, moment) in new {
            all.paint(from, to, moment);
        }
    }

    fn element(rules: Rules, counts_as: CountsAs<'_>, moment: &Moment) -> Element {
        let reason = moment.reason.and_then(counts_as);
        element::element(rules.counting, moment.seen, reason, moment.job.is_some(), moment.planned)
    }
}

fn run_time(rules: Rules, job: Option<Job>) -> Option<u64> {
    job.map_or(rules.planned_run_time_per_item_ns, |job| job.planned_run_time_per_item_ns)
}

fn not_late(last: Option<Timestamp>, at: Timestamp) -> Result<(), LogError> {
    last.filter(|last| at < *last).map_or(Ok(()), |last| Err(LogError::Late { at, last }))
}

fn span(from: Timestamp, to: Timestamp) -> Result<(), LogError> {
    if from < to { Ok(()) } else { Err(LogError::NoSpan { from, to }) }
}

#[cfg(test)]
mod tests;
