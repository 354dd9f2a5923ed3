//! A request that was looked at: everything has its place in a list, every time its range, and every operation somewhere to go.

use super::calendar::Calendar;
use super::request::{Changeovers, Equipment, EquipmentId, FamilyId, Operation, OperationId, Pin, Request, Span};
use crate::unit::JobId;
use andon_model::Timestamp;
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most work units of a request.
pub const MOST_EQUIPMENT: usize = 500;
/// The most job orders of a request.
pub const MOST_JOBS: usize = 5_000;
/// The most operations of a request, all job orders together.
pub const MOST_OPERATIONS: usize = 10_000;
/// The most alternatives of an operation.
pub const MOST_ALTERNATIVES: usize = 64;
/// The most closed spans of a work unit: five years with three breaks a day.
pub const MOST_CLOSED: usize = 6_000;
/// The most changeover times, counted as families × families × (equipment with its own changeovers + 1).
pub const MOST_CHANGEOVERS: usize = 4_000_000;
/// The longest run, wait or changeover: a year. With the most operations, no sum of them leaves the range of a time.
pub const LONGEST: Duration = Duration::from_secs(366 * 86_400);

/// No due date, and no family that is known.
pub(super) const NEVER: i64 = i64::MAX;

/// Why a request cannot be planned. That a due date cannot be met is no such reason: the plan says so.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum ProblemError {
    /// There is more of something than can be planned.
    #[error("{count} {what}; at most {most} can be planned at once")]
    TooMany {
        /// Of what.
        what: &'static str,
        /// How many there are.
        count: usize,
        /// How many there may be.
        most: usize,
    },
    /// Two things have one number.
    #[error("{what} {number} is there twice; give each its own number")]
    Twice {
        /// What they are.
        what: &'static str,
        /// Their number.
        number: u64,
    },
    /// An instant that no calendar can write.
    #[error("{what}: {instant} is not in the years 0000 to 9999")]
    NoDate {
        /// Where it stands.
        what: String,
        /// The instant.
        instant: Timestamp,
    },
    /// A span that ends before it begins, or is empty.
    #[error("{what}: the span ends at {to}, which is not after its beginning {from}")]
    NoSpan {
        /// Where it stands.
        what: String,
        /// Its beginning.
        from: Timestamp,
        /// Its end.
        to: Timestamp,
    },
    /// A time that is zero where it may not be, or longer than a year.
    #[error("{what}: {length:?} is no time for it; {least:?} to {LONGEST:?} is")]
    NoLength {
        /// Where it stands.
        what: String,
        /// The time.
        length: Duration,
        /// The shortest.
        least: Duration,
    },
    /// A job order without operations.
    #[error("job order {} has no operations; leave it out, or give it its routing", .0.0)]
    NoOperations(JobId),
    /// An operation that can be done nowhere.
    #[error("{} has no equipment; give at least one alternative", said(*.0))]
    NoEquipment(OperationId),
    /// Equipment that the request does not have.
    #[error("{} names equipment {}, which is not in the request", said(*.operation), .equipment.0)]
    UnknownEquipment {
        /// Who names it.
        operation: OperationId,
        /// Its number.
        equipment: EquipmentId,
    },
    /// A pin to equipment on which the operation cannot be done.
    #[error("{} is pinned to equipment {}, which is none of its alternatives; pin it to one of them, or give its span", said(*.operation), .equipment.0)]
    NotAnAlternative {
        /// What is pinned.
        operation: OperationId,
        /// Where to.
        equipment: EquipmentId,
    },
}

/// How an operation is called in a message; people count from one.
fn said(operation: OperationId) -> String {
    format!("operation {} of job order {}", operation.step + 1, operation.job.0)
}

/// A request that can be planned.
#[derive(Clone, Debug)]
pub struct Problem {
    pub(super) from: i64,
    pub(super) units: Vec<Unit>,
    pub(super) jobs: Vec<Job>,
    /// The operations of the first job order, then those of the second one, and so on.
    pub(super) operations: Vec<Op>,
    changes: Vec<Change>,
}

/// A work unit.
#[derive(Clone, Debug)]
pub(super) struct Unit {
    pub(super) id: EquipmentId,
    pub(super) family: Option<usize>,
    pub(super) calendar: Calendar,
    /// What is fixed on it, in the order of its beginning.
    pub(super) fixed: Vec<usize>,
    change: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Job {
    pub(super) id: JobId,
    pub(super) release: i64,
    pub(super) due: i64,
    pub(super) weight: u16,
    /// Its operations' places in [`Problem::operations`].
    pub(super) first: usize,
    pub(super) after: usize,
}

#[derive(Clone, Debug)]
pub(super) struct Op {
    pub(super) job: usize,
    pub(super) family: usize,
    pub(super) interruptible: bool,
    pub(super) wait: i64,
    pub(super) material: i64,
    /// A person does not want it before; else the beginning of time.
    pub(super) not_before: i64,
    /// Empty when it is fixed.
    pub(super) choices: Vec<Choice>,
    pub(super) fixed: Option<Fixed>,
}

/// Where an operation can be done, and how long.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Choice {
    pub(super) unit: usize,
    pub(super) run: i64,
}

/// The place of an operation that does not move.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Fixed {
    pub(super) unit: usize,
    pub(super) from: i64,
    pub(super) to: i64,
}

/// Times between families, as a square table.
#[derive(Clone, Debug)]
struct Change {
    otherwise: i64,
    families: usize,
    times: Vec<i64>,
    interruptible: bool,
}

impl Problem {
    /// Looks at a request.
    ///
    /// # Errors
    /// What is wrong with it: the first thing that is found.
    pub fn new(request: &Request) -> Result<Self, ProblemError> {
        let operations = request.jobs.iter().map(|job| job.operations.len()).sum();
        at_most("work units", request.equipment.len(), MOST_EQUIPMENT)?;
        at_most("job orders", request.jobs.len(), MOST_JOBS)?;
        at_most("operations", operations, MOST_OPERATIONS)?;
        let families = families(request);
        let own = request.equipment.iter().filter(|unit| unit.changeovers.is_some()).count();
        at_most("changeover times", families.len() * families.len() * (own + 1), MOST_CHANGEOVERS)?;

        let mut problem = Self {
            from: dated("the beginning of the plan", request.from)?,
            units: Vec::with_capacity(request.equipment.len()),
            jobs: Vec::with_capacity(request.jobs.len()),
            operations: Vec::with_capacity(operations),
            changes: vec![Change::new(&request.changeovers, &families)?],
        };
        let mut places = BTreeMap::new();
        for equipment in &request.equipment {
            if places.insert(equipment.id, problem.units.len()).is_some() {
                return Err(ProblemError::Twice { what: "equipment", number: u64::from(equipment.id.0) });
            }
            problem.add_equipment(equipment, &families)?;
        }
        let mut known = BTreeSet::new();
        for job in &request.jobs {
            if !known.insert(job.id.0) {
                return Err(ProblemError::Twice { what: "job order", number: job.id.0 });
            }
            problem.add_job(job, &places, &families)?;
        }
        problem.sort_fixed();
        Ok(problem)
    }

    fn add_equipment(&mut self, unit: &Equipment, families: &[FamilyId]) -> Result<(), ProblemError> {
        let what = || format!("the calendar of equipment {}", unit.id.0);
        at_most("closed spans of one work unit", unit.closed.len(), MOST_CLOSED)?;
        let closed = unit.closed.iter().map(|span| spanned(&what, *span)).collect::<Result<_, _>>()?;
        let change = match &unit.changeovers {
            None => 0,
            Some(own) => {
                self.changes.push(Change::new(own, families)?);
                self.changes.len() - 1
            }
        };
        let family = unit.set_to.and_then(|family| families.binary_search(&family).ok());
        self.units.push(Unit { id: unit.id, family, calendar: Calendar::without(closed), fixed: Vec::new(), change });
        Ok(())
    }

    fn add_job(
        &mut self,
        job: &super::request::Job,
        places: &BTreeMap<EquipmentId, usize>,
        families: &[FamilyId],
    ) -> Result<(), ProblemError> {
        let what = |which: &str| format!("the {which} of job order {}", job.id.0);
        if job.operations.is_empty() {
            return Err(ProblemError::NoOperations(job.id));
        }
        let first = self.operations.len();
        for (step, operation) in job.operations.iter().enumerate() {
            let id = OperationId { job: job.id, step };
            let op = self.operation(id, operation, places, families)?;
            self.operations.push(op);
        }
        let mut release = job.release.map_or(Ok(self.from), |release| dated(&what("release"), release))?.max(self.from);
        let fixed = self.operations[first..].iter().map(|op| op.fixed.map(|fixed| fixed.to));
        if let Some(end) = fixed.min().flatten() {
            // Nothing of it waits for its release: all is fixed.
            release = release.min(end);
        }
        self.jobs.push(Job {
            id: job.id,
            release,
            due: job.due.map_or(Ok(NEVER), |due| dated(&what("due date"), due))?,
            weight: job.weight.get(),
            first,
            after: self.operations.len(),
        });
        Ok(())
    }

    fn operation(
        &self,
        id: OperationId,
        operation: &Operation,
        places: &BTreeMap<EquipmentId, usize>,
        families: &[FamilyId],
    ) -> Result<Op, ProblemError> {
        let what = || said(id);
        let place = |equipment: EquipmentId| {
            places.get(&equipment).copied().ok_or(ProblemError::UnknownEquipment { operation: id, equipment })
        };
        at_most("alternatives of one operation", operation.alternatives.len(), MOST_ALTERNATIVES)?;
        let mut choices = Vec::with_capacity(operation.alternatives.len());
        for alternative in &operation.alternatives {
            let choice = Choice {
                unit: place(alternative.equipment)?,
                run: length(&what, alternative.run, Duration::from_micros(1))?,
            };
            if choices.iter().any(|other: &Choice| other.unit == choice.unit) {
                return Err(ProblemError::Twice { what: "alternative", number: u64::from(alternative.equipment.0) });
            }
            choices.push(choice);
        }
        let chosen = |equipment: EquipmentId| {
            let unit = place(equipment)?;
            let choice = choices.iter().find(|choice| choice.unit == unit).copied();
            choice.ok_or(ProblemError::NotAnAlternative { operation: id, equipment })
        };
        let mut op = Op {
            job: self.jobs.len(),
            family: families.binary_search(&operation.family).unwrap_or(0),
            interruptible: operation.interruptible,
            wait: length(&what, operation.wait, Duration::ZERO)?,
            material: operation.material_ready.map_or(Ok(self.from), |at| dated(&said(id), at))?.max(self.from),
            not_before: self.from,
            choices: Vec::new(),
            fixed: None,
        };
        match operation.pin {
            None if choices.is_empty() => return Err(ProblemError::NoEquipment(id)),
            None => op.choices = choices,
            Some(Pin::NotBefore { equipment, start }) => {
                op.choices = vec![chosen(equipment)?];
                op.not_before = dated(&said(id), start)?.max(self.from);
            }
            Some(Pin::Starts { equipment, start }) => {
                let Choice { unit, run } = chosen(equipment)?;
                let from = dated(&said(id), start)?;
                // Where it begins is decided, open or not; what the calendar still says is how long it takes.
                let to = if op.interruptible { self.units[unit].calendar.place(from, run, true).1 } else { from + run };
                op.fixed = Some(Fixed { unit, from, to });
            }
            Some(Pin::Occupies { equipment, span }) => {
                let (from, to) = spanned(&what, span)?;
                op.fixed = Some(Fixed { unit: place(equipment)?, from, to });
            }
        }
        Ok(op)
    }

    fn sort_fixed(&mut self) {
        for (number, op) in self.operations.iter().enumerate() {
            if let Some(fixed) = op.fixed {
                self.units[fixed.unit].fixed.push(number);
            }
        }
        let operations = &self.operations;
        for unit in &mut self.units {
            unit.fixed.sort_by_key(|op| operations[*op].fixed.map(|fixed| (fixed.from, fixed.to)));
        }
    }

    /// How long a unit takes from a family to another, in µs.
    pub(super) fn changeover(&self, unit: usize, from: Option<usize>, to: usize) -> i64 {
        let change = &self.changes[self.units[unit].change];
        from.map_or(change.otherwise, |from| change.times[from * change.families + to])
    }

    /// Whether a changeover of this unit may be interrupted by a closed time.
    pub(super) fn changeover_is_interruptible(&self, unit: usize) -> bool {
        self.changes[self.units[unit].change].interruptible
    }

    /// The name of an operation.
    pub(super) fn id(&self, op: usize) -> OperationId {
        let job = &self.jobs[self.operations[op].job];
        OperationId { job: job.id, step: op - job.first }
    }

    /// The earliest run of an operation when it is ready, by the calendar alone.
    pub(super) fn run(&self, op: usize, choice: Choice, ready: i64) -> (i64, i64) {
        self.units[choice.unit].calendar.place(ready, choice.run, self.operations[op].interruptible)
    }
}

impl Change {
    fn new(changeovers: &Changeovers, families: &[FamilyId]) -> Result<Self, ProblemError> {
        let what = || "a changeover".to_owned();
        let otherwise = length(&what, changeovers.otherwise, Duration::ZERO)?;
        let count = families.len();
        let mut times = vec![otherwise; count * count];
        for family in 0..count {
            times[family * count + family] = 0;
        }
        for ((from, to), time) in &changeovers.times {
            let time = length(&what, *time, Duration::ZERO)?;
            if let (Ok(from), Ok(to)) = (families.binary_search(from), families.binary_search(to)) {
                times[from * count + to] = time;
            }
        }
        Ok(Self { otherwise, families: count, times, interruptible: changeovers.interruptible })
    }
}

/// The families that play a part, in order.
fn families(request: &Request) -> Vec<FamilyId> {
    let wanted = request.jobs.iter().flat_map(|job| &job.operations).map(|operation| operation.family);
    let set = request.equipment.iter().filter_map(|unit| unit.set_to);
    wanted.chain(set).collect::<BTreeSet<_>>().into_iter().collect()
}

fn at_most(what: &'static str, count: usize, most: usize) -> Result<(), ProblemError> {
    if count > most { Err(ProblemError::TooMany { what, count, most }) } else { Ok(()) }
}

fn dated(what: &str, instant: Timestamp) -> Result<i64, ProblemError> {
    if instant.has_date() { Ok(instant.micros()) } else { Err(ProblemError::NoDate { what: what.to_owned(), instant }) }
}

fn spanned(what: &dyn Fn() -> String, span: Span) -> Result<(i64, i64), ProblemError> {
    let (from, to) = (dated(&what(), span.from)?, dated(&what(), span.to)?);
    if from < to { Ok((from, to)) } else { Err(ProblemError::NoSpan { what: what(), from: span.from, to: span.to }) }
}

fn length(what: &dyn Fn() -> String, length: Duration, least: Duration) -> Result<i64, ProblemError> {
    match i64::try_from(length.as_micros()) {
        Ok(micros) if (least..=LONGEST).contains(&length) => Ok(micros),
        _ => Err(ProblemError::NoLength { what: what(), length, least }),
    }
}
