//! Holds a plan against its request, rule by rule. It shares no code with what makes plans, so that both would have to be wrong alike.
//!
//! What it finds in a plan of ours is what pinned operations make impossible, and nothing else: a person is told of it and unpins.

use super::plan::{Placed, Plan};
use super::request::{Changeovers, Equipment, EquipmentId, Job, Operation, OperationId, Pin, Request, Span};
use crate::unit::JobId;
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::time::Duration;

/// What a plan does against its request.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Breach {
    /// An operation is not there, more than once, or not known.
    NotOnce(OperationId),
    /// It is on equipment on which it cannot be done.
    Elsewhere(OperationId),
    /// It is not where it is pinned.
    Moved(OperationId),
    /// It begins before the plan, its release, its material, its pin, or the operations before it and the wait after them let it.
    Early {
        /// What begins too early.
        operation: OperationId,
        /// When it could.
        earliest: Timestamp,
    },
    /// Its run is shorter or longer than it takes, or begins or ends while the equipment is closed.
    Length(OperationId),
    /// It, or its changeover, runs while the equipment is closed and may not.
    Closed(OperationId),
    /// It, or its changeover, begins before what is on the equipment before it has ended.
    Overlap {
        /// What begins too early.
        operation: OperationId,
        /// What has not ended.
        with: OperationId,
    },
    /// Its changeover is not as long as it takes, or not between the beginning of the plan and its run.
    Changeover {
        /// What it is for.
        operation: OperationId,
        /// How long it takes.
        needed: Duration,
    },
    /// What is said of a job order is not so.
    Outcome(JobId),
    /// What the plan is said to be worth is not so.
    Objective,
}

/// Everything that a plan does against its request.
#[must_use]
pub fn check(request: &Request, plan: &Plan) -> Vec<Breach> {
    let mut breaches = Vec::new();
    let mut placed: BTreeMap<OperationId, &Placed> = BTreeMap::new();
    for place in &plan.placed {
        if placed.insert(place.operation, place).is_some() {
            breaches.push(Breach::NotOnce(place.operation));
        }
    }
    let units: BTreeMap<EquipmentId, &Equipment> = request.equipment.iter().map(|unit| (unit.id, unit)).collect();
    let mut families = BTreeMap::new();
    let mut known = 0;
    for job in &request.jobs {
        let mut ready = job.release.unwrap_or(request.from).max(request.from);
        for (step, operation) in job.operations.iter().enumerate() {
            let id = OperationId { job: job.id, step };
            families.insert(id, operation.family);
            let Some(place) = placed.get(&id) else {
                breaches.push(Breach::NotOnce(id));
                continue;
            };
            known += 1;
            check_operation(request, &units, operation, place, ready, &mut breaches);
            ready = ready.max(place.run.to);
        }
    }
    let stray = placed.keys().filter(|id| !families.contains_key(id));
    breaches.extend(stray.map(|id| Breach::NotOnce(*id)));
    if known == placed.len() {
        let changed = units.values().map(|unit| check_unit(request, unit, &placed, &families, &mut breaches)).sum();
        check_outcomes(request, plan, &placed, changed, &mut breaches);
    }
    breaches
}

fn check_operation(
    request: &Request,
    units: &BTreeMap<EquipmentId, &Equipment>,
    operation: &Operation,
    place: &Placed,
    ready: Timestamp,
    breaches: &mut Vec<Breach>,
) {
    let (id, run) = (place.operation, place.run);
    let Some(unit) = units.get(&place.equipment) else { return breaches.push(Breach::Elsewhere(id)) };
    let mut earliest = ready.plus(operation.wait).max(operation.material_ready.unwrap_or(request.from));
    let takes = operation.alternatives.iter().find(|choice| choice.equipment == place.equipment).map(|it| it.run);
    let open = open(unit, run);
    let whole = run.to.since(run.from);
    match operation.pin {
        Some(Pin::Occupies { equipment, span }) => {
            if (place.equipment, run) != (equipment, span) {
                breaches.push(Breach::Moved(id));
            }
        }
        Some(Pin::Starts { equipment, start }) => {
            if (place.equipment, run.from) != (equipment, start) {
                breaches.push(Breach::Moved(id));
            }
            if takes != Some(if operation.interruptible { open } else { whole }) {
                breaches.push(Breach::Length(id));
            }
        }
        pin => {
            if let Some(Pin::NotBefore { equipment, start }) = pin {
                earliest = earliest.max(start);
                if place.equipment != equipment {
                    breaches.push(Breach::Moved(id));
                }
            }
            match takes {
                None => breaches.push(Breach::Elsewhere(id)),
                Some(takes) if takes != open || !begins_and_ends_open(unit, run) => breaches.push(Breach::Length(id)),
                Some(_) => {}
            }
        }
    }
    if run.from < earliest && !is_under_way(request, operation, run) {
        breaches.push(Breach::Early { operation: id, earliest });
    }
    if !operation.interruptible && open != whole && !is_under_way(request, operation, run) {
        breaches.push(Breach::Closed(id));
    }
}

/// Whether it began before the plan, as somebody has said: that is not for the plan to judge.
fn is_under_way(request: &Request, operation: &Operation, run: Span) -> bool {
    matches!(operation.pin, Some(Pin::Occupies { .. } | Pin::Starts { .. })) && run.from < request.from
}

/// Looks at what is on a unit, one after another. Returns the time of its changeovers.
fn check_unit(
    request: &Request,
    unit: &Equipment,
    placed: &BTreeMap<OperationId, &Placed>,
    families: &BTreeMap<OperationId, super::FamilyId>,
    breaches: &mut Vec<Breach>,
) -> Duration {
    let mut on: Vec<&Placed> = placed.values().copied().filter(|place| place.equipment == unit.id).collect();
    on.sort_by_key(|place| place.run);
    let changeovers = unit.changeovers.as_ref().unwrap_or(&request.changeovers);
    let (mut family, mut sum, mut last): (_, _, Option<&Placed>) = (unit.set_to, Duration::ZERO, None);
    for place in on {
        let id = place.operation;
        let begun = place.run.from < request.from;
        let needed = if begun { Duration::ZERO } else { takes(changeovers, family, families[&id]) };
        let begin = place.changeover.map_or(place.run.from, |span| span.from);
        if let Some(last) = last.filter(|last| begin < last.run.to) {
            breaches.push(Breach::Overlap { operation: id, with: last.operation });
        }
        let good = place.changeover.is_none_or(|span| {
            span.from < span.to && span.to <= place.run.from && span.from >= request.from && open(unit, span) == needed
        });
        if !good || (place.changeover.is_none() && !needed.is_zero()) {
            breaches.push(Breach::Changeover { operation: id, needed });
        }
        let whole = place.changeover.is_none_or(|span| open(unit, span) == span.to.since(span.from));
        if !changeovers.interruptible && !whole {
            breaches.push(Breach::Closed(id));
        }
        sum += needed;
        family = Some(families[&id]);
        if last.is_none_or(|last| last.run.to < place.run.to) {
            last = Some(place);
        }
    }
    sum
}

fn check_outcomes(
    request: &Request,
    plan: &Plan,
    placed: &BTreeMap<OperationId, &Placed>,
    changed: Duration,
    breaches: &mut Vec<Breach>,
) {
    if request.jobs.len() != plan.outcomes.len() {
        return breaches.push(Breach::Objective);
    }
    let end_of = |job: &Job| {
        let ends = (0..job.operations.len()).map(|step| placed[&OperationId { job: job.id, step }].run.to);
        ends.max().unwrap_or(request.from)
    };
    let (mut tardiness, mut end) = (0, request.from);
    for (job, outcome) in request.jobs.iter().zip(&plan.outcomes) {
        let ends = end_of(job);
        let late = job.due.map_or(Duration::ZERO, |due| ends.since(due));
        if (outcome.job, outcome.end, outcome.late.map_or(Duration::ZERO, |late| late.by)) != (job.id, ends, late) {
            breaches.push(Breach::Outcome(job.id));
        }
        tardiness += late.as_micros() * u128::from(job.weight.get());
        end = end.max(ends);
    }
    let said = plan.objective;
    if (said.weighted_tardiness_us, said.changeover, said.end) != (tardiness, changed, end) {
        breaches.push(Breach::Objective);
    }
}

fn takes(changeovers: &Changeovers, from: Option<super::FamilyId>, to: super::FamilyId) -> Duration {
    let Some(from) = from else { return changeovers.otherwise };
    let same = if from == to { Duration::ZERO } else { changeovers.otherwise };
    changeovers.times.get(&(from, to)).copied().unwrap_or(same)
}

/// Whether a unit works at the first and at the last instant of a span.
fn begins_and_ends_open(unit: &Equipment, span: Span) -> bool {
    let instant = Duration::from_micros(1);
    let ends = [(span.from, span.from.plus(instant)), (span.to.minus(instant), span.to)];
    ends.into_iter().all(|(from, to)| open(unit, Span { from, to }) == instant)
}

/// How long a unit works within a span.
fn open(unit: &Equipment, span: Span) -> Duration {
    let mut closed: Vec<&Span> = unit.closed.iter().filter(|it| it.from < span.to && span.from < it.to).collect();
    closed.sort();
    let (mut open, mut at) = (Duration::ZERO, span.from);
    for shut in closed {
        open += shut.from.since(at);
        at = at.max(shut.to);
    }
    open + span.to.since(at)
}
