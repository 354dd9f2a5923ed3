//! What is asked of a plan, in the caller's words, not yet looked at: [`super::Problem::new`] does that.

use crate::unit::JobId;
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

/// A work unit, by its number.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct EquipmentId(pub u32);

/// What equipment is set up for: operations of one family follow each other without a changeover, unless one is given.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct FamilyId(pub u32);

/// One operation of a job order.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct OperationId {
    /// Its job order.
    pub job: JobId,
    /// Its place in the order's routing; the first is 0.
    pub step: usize,
}

/// From an instant to the first one after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Span {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

/// What is to be planned.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Request {
    /// Nothing is planned to begin before it, but what is pinned there. As a rule: now.
    pub from: Timestamp,
    /// What work is done on. At most [`super::MOST_EQUIPMENT`].
    pub equipment: Vec<Equipment>,
    /// The changeovers of equipment that has none of its own.
    pub changeovers: Changeovers,
    /// What is to be done. At most [`super::MOST_JOBS`], with [`super::MOST_OPERATIONS`] in all.
    pub jobs: Vec<Job>,
}

/// A work unit: it does one operation at a time.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Equipment {
    /// Its number.
    pub id: EquipmentId,
    /// What it is set up for at the beginning; `None`: for nothing that is known, so that the first operation needs a changeover.
    pub set_to: Option<FamilyId>,
    /// When it does not work, in any order; spans may overlap. At all other times it works, also beyond the last of them: so say as much of
    /// the calendar as the plan may reach. At most [`super::MOST_CLOSED`].
    pub closed: Vec<Span>,
    /// Its own changeovers; `None`: those of the request.
    pub changeovers: Option<Changeovers>,
}

/// How long it takes to go from one family to another.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Changeovers {
    /// Between families of which no time is given, and to the first one on equipment that is set up for nothing known.
    pub otherwise: Duration,
    /// From a family to another, or to itself. A family to itself takes no time unless it stands here.
    pub times: BTreeMap<(FamilyId, FamilyId), Duration>,
    /// Whether a changeover may stop while the equipment is closed and go on after it.
    pub interruptible: bool,
}

/// A job order: operations that follow each other.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Job {
    /// Its number.
    pub id: JobId,
    /// It may not begin before.
    pub release: Option<Timestamp>,
    /// It should have ended by then; `None`: whenever.
    pub due: Option<Timestamp>,
    /// How much a second of lateness of this order counts.
    pub weight: NonZeroU16,
    /// Its routing.
    pub operations: Vec<Operation>,
}

/// A step of a routing.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Operation {
    /// Where it can be done: at least one, at most [`super::MOST_ALTERNATIVES`].
    pub alternatives: Vec<Alternative>,
    /// What the equipment has to be set up for.
    pub family: FamilyId,
    /// Whether it may stop while the equipment is closed and go on after it. If not, it begins when there is time to end it.
    pub interruptible: bool,
    /// The least time from the end of the operations before it: transport, cooling. Of the first one: from the release.
    pub wait: Duration,
    /// Its material is not there before.
    pub material_ready: Option<Timestamp>,
    /// What a person or the shop floor has already decided.
    pub pin: Option<Pin>,
}

/// Equipment that an operation can be done on.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Alternative {
    /// The equipment.
    pub equipment: EquipmentId,
    /// How long the operation takes there, without changeover: more than zero, at most [`super::LONGEST`].
    pub run: Duration,
}

/// Where an operation stays, whatever else is planned.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Pin {
    /// On this equipment, one of its alternatives, and not before this instant.
    NotBefore {
        /// The equipment.
        equipment: EquipmentId,
        /// The earliest instant of its run.
        start: Timestamp,
    },
    /// On this equipment, one of its alternatives, from exactly this instant, for as long as its run time and the calendar say.
    Starts {
        /// The equipment.
        equipment: EquipmentId,
        /// The first instant of its run.
        start: Timestamp,
    },
    /// On this equipment, whether or not it is an alternative, over exactly this span: it runs already, or somebody else has planned it.
    Occupies {
        /// The equipment.
        equipment: EquipmentId,
        /// The span of its run.
        span: Span,
    },
}
