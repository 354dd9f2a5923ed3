//! When a plan is due: how much of a turn is used, and when it will be over.
//!
//! A turn begins when the plan is first seen, and with the end of the work of the turn before. What is used is never stored: it is what the
//! shop floor comes to since then, so that corrections count.

use crate::master::MaintenancePlan;
use crate::quantity::Quantity;
use crate::wear::micros;
use andon_model::Timestamp;
use std::time::Duration;

/// By what a plan is due.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Hash)]
pub enum By {
    /// Calendar time.
    Time,
    /// Items that were produced.
    Cycles,
    /// Operating time.
    RunTime,
    /// An alarm.
    Condition,
}

impl By {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Time => "time",
            Self::Cycles => "cycles",
            Self::RunTime => "run_time",
            Self::Condition => "condition",
        }
    }

    /// The other way round.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Time, Self::Cycles, Self::RunTime, Self::Condition].into_iter().find(|by| by.word() == word)
    }
}

/// What the floor says of a turn; `None`: nothing is counted there.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Used {
    /// What was produced since the turn began.
    pub produced: Option<Quantity>,
    /// Operating time since then, in µs.
    pub operating: Option<i64>,
    /// An alarm of the plan stands, or stood, that no order of an earlier turn was for.
    pub alarm: bool,
}

/// How far one measure of a plan has come. Amounts in millionths of an item, or in µs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Measure {
    /// Which.
    pub by: By,
    /// How much is used; `None`: that is not known.
    pub used: Option<i64>,
    /// Of how much.
    pub every: i64,
    /// When it will be used up: exactly for time, at the rate of this turn for the others. `None`: nothing was used so far.
    pub forecast: Option<Timestamp>,
}

/// What a plan is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum State {
    /// There is time.
    Ok,
    /// It is due within its lead.
    Soon,
    /// It is due.
    Due,
    /// It is due, and was to be done by now.
    Overdue,
}

impl State {
    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Ok => "Ok",
            Self::Soon => "Soon",
            Self::Due => "Due",
            Self::Overdue => "Overdue",
        }
    }
}

/// Where a plan stands in its turn.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// What it is in.
    pub state: State,
    /// Its measures, as the plan has them.
    pub measures: Vec<Measure>,
    /// By what it is due now; `None`: it is not, by what is used now.
    pub due_by: Option<By>,
    /// When it will be due: the earliest of the measures.
    pub forecast: Option<Timestamp>,
}

/// Where a plan stands in a turn that began at `since`. `due_since`: when it was found to be due before; it stays due then, also where a
/// correction takes back what was used.
#[must_use]
pub fn look(
    plan: &MaintenancePlan,
    since: Timestamp,
    used: &Used,
    due_since: Option<Timestamp>,
    now: Timestamp,
) -> Standing {
    // A clock that was set back has used nothing, and no less than nothing.
    let elapsed = micros(now.since(since));
    let mut measures = Vec::new();
    if let Some(every) = plan.every {
        let forecast = Some(since.plus(every));
        measures.push(Measure { by: By::Time, used: Some(elapsed), every: micros(every), forecast });
    }
    if let Some(every) = plan.every_cycles {
        let used = used.produced.map(Quantity::millionths);
        measures.push(at_rate(By::Cycles, used, every.millionths(), elapsed, now));
    }
    if let Some(every) = plan.every_run_time {
        measures.push(at_rate(By::RunTime, used.operating, micros(every), elapsed, now));
    }
    let reached = measures.iter().find(|measure| measure.used.is_some_and(|used| used >= measure.every));
    let due_by = reached.map(|measure| measure.by).or(used.alarm.then_some(By::Condition));
    let forecast = measures.iter().filter_map(|measure| measure.forecast).min();
    let due = due_since.or(due_by.map(|_| now));
    let state = match due {
        Some(due) if now > due.plus(plan.within) => State::Overdue,
        Some(_) => State::Due,
        None if forecast.is_some_and(|at| at.minus(plan.lead) <= now && plan.lead > Duration::ZERO) => State::Soon,
        None => State::Ok,
    };
    Standing { state, measures, due_by, forecast }
}

fn at_rate(by: By, used: Option<i64>, every: i64, elapsed: i64, now: Timestamp) -> Measure {
    let forecast = used.filter(|used| *used > 0).map(|used| {
        let left = i128::from(every.saturating_sub(used).max(0));
        let micros = left * i128::from(elapsed) / i128::from(used);
        now.plus(Duration::from_micros(u64::try_from(micros).unwrap_or(u64::MAX)))
    });
    Measure { by, used, every, forecast }
}
