//! Whether a job may begin: where, by whom, and what is in the way.

use super::JobOrder;
use crate::job::{JobState, NotNow, Trigger};
use crate::quantity::Quantity;
use andon_model::Timestamp;
use std::fmt;
use uuid::Uuid;

/// What somebody is qualified for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct HeldSkill {
    /// The skill's name.
    pub skill: String,
    /// Until then, exclusively; `None`: without end.
    pub until: Option<Timestamp>,
}

/// A skill that is needed and that somebody does not have now.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MissingSkill {
    /// The skill's name.
    pub skill: String,
    /// When it expired; `None`: the person never had it.
    pub expired: Option<Timestamp>,
}

/// An instruction as it is in force.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instruction {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub revision: String,
    /// SHA-256 of its content, in lower-case hex.
    pub sha256: String,
}

/// That somebody has confirmed having seen an instruction for this job.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Seen {
    /// Its name.
    pub instruction: String,
    /// SHA-256 of what was seen, in lower-case hex.
    pub sha256: String,
    /// Who has seen it, by the id of the account.
    pub by: Uuid,
}

/// What stands on the equipment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Standing {
    /// The job.
    pub job: Uuid,
    /// Its number.
    pub number: String,
    /// Since when.
    pub since: Timestamp,
    /// Who put it there, by the id of the account.
    pub by: Uuid,
}

/// What a begin is decided by.
#[derive(Clone, Copy, Debug)]
pub struct Begin<'a> {
    /// The job.
    pub job: &'a JobOrder,
    /// All jobs of its order.
    pub order: &'a [JobOrder],
    /// Where it is to begin.
    pub equipment: &'a str,
    /// What stands there now.
    pub standing: Option<&'a Standing>,
    /// Who begins it, by the id of the account.
    pub operator: Uuid,
    /// What the operator is qualified for.
    pub held: &'a [HeldSkill],
    /// The job's instructions as they are in force.
    pub instructions: &'a [Instruction],
    /// What was confirmed for this job.
    pub seen: &'a [Seen],
    /// When.
    pub now: Timestamp,
}

/// Why a job does not begin.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum BeginError {
    /// Its state does not know it.
    #[error(transparent)]
    NotNow(#[from] NotNow),
    /// Nobody has said where.
    #[error("job {job} can be done on {}: say on which", list(.alternatives))]
    Where {
        /// Its number.
        job: String,
        /// Where it can be done.
        alternatives: Vec<String>,
    },
    /// It cannot be done there.
    #[error("job {job} cannot be done on {equipment}, but on {}", list(.alternatives))]
    NotThere {
        /// Its number.
        job: String,
        /// Where it was to begin.
        equipment: String,
        /// Where it can be done.
        alternatives: Vec<String>,
    },
    /// Another job stands there.
    #[error("job {} stands on {equipment} since {}; stop it there first", .standing.number, .standing.since)]
    Occupied {
        /// Where.
        equipment: String,
        /// What, since when, and by whom.
        standing: Standing,
    },
    /// The operator is not qualified.
    #[error("the operator is not qualified: {}", list(.0))]
    Skills(Vec<MissingSkill>),
    /// The operator has not confirmed having seen what is in force.
    #[error("not yet confirmed as seen: {}; open and confirm, then begin", list(.0))]
    Unseen(Vec<Instruction>),
}

/// What should be known when a job begins, though it may.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Warning {
    /// An operation before it has made nothing yet.
    NothingBefore {
        /// That operation's job.
        job: String,
        /// What it is in.
        state: JobState,
    },
    /// A tool at the machine has no life left.
    ToolAtEnd {
        /// The tool's name.
        tool: String,
        /// How much of its life is used, in words.
        used: String,
    },
}

fn list<T: fmt::Display>(all: &[T]) -> String {
    all.iter().map(T::to_string).collect::<Vec<_>>().join(", ")
}

impl fmt::Display for MissingSkill {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.expired {
            Some(at) => write!(f, "{} (expired {at})", self.skill),
            None => f.write_str(&self.skill),
        }
    }
}

impl fmt::Display for Instruction {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} {}", self.name, self.revision)
    }
}

impl fmt::Display for Warning {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::NothingBefore { job, state } => {
                write!(f, "job {job}, which comes before, is {state} and has made nothing yet")
            }
            Self::ToolAtEnd { tool, used } => {
                write!(f, "tool {tool} is at its end: {used} are used; renew it, or mount another")
            }
        }
    }
}

/// Where a job is to begin: where it is asked, else where that is decided.
///
/// # Errors
/// Nobody has said where, or it cannot be done there.
pub fn place<'a>(job: &'a JobOrder, asked: Option<&'a str>) -> Result<&'a str, BeginError> {
    let alternatives = || job.alternatives.clone();
    let Some(equipment) = asked.or(job.equipment.as_deref()) else {
        return Err(BeginError::Where { job: job.number.clone(), alternatives: alternatives() });
    };
    if !job.alternatives.is_empty() && !job.alternatives.iter().any(|path| path == equipment) {
        return Err(BeginError::NotThere {
            job: job.number.clone(),
            equipment: equipment.to_owned(),
            alternatives: alternatives(),
        });
    }
    Ok(equipment)
}

/// Looks whether a job may begin, in the order in which a person would want to hear of it.
///
/// # Errors
/// The first thing that is in the way.
pub fn look(begin: &Begin<'_>) -> Result<Vec<Warning>, BeginError> {
    let Begin { job, equipment, .. } = *begin;
    job.state.after(Trigger::Begin)?;
    place(job, Some(equipment))?;
    if let Some(standing) = begin.standing.filter(|standing| standing.job != job.id) {
        return Err(BeginError::Occupied { equipment: equipment.to_owned(), standing: standing.clone() });
    }
    let missing = missing_skills(&job.skills, begin.held, begin.now);
    if !missing.is_empty() {
        return Err(BeginError::Skills(missing));
    }
    let unseen = unseen(begin.instructions, begin.seen, begin.operator);
    if !unseen.is_empty() {
        return Err(BeginError::Unseen(unseen));
    }
    Ok(warnings(job, begin.order))
}

/// The skills that are needed and that somebody does not have now.
#[must_use]
pub fn missing_skills(needed: &[String], held: &[HeldSkill], now: Timestamp) -> Vec<MissingSkill> {
    let missing = |skill: &String| {
        let held = || held.iter().filter(|held| &held.skill == skill);
        if held().any(|held| held.until.is_none_or(|until| now < until)) {
            return None;
        }
        Some(MissingSkill { skill: skill.clone(), expired: held().filter_map(|held| held.until).max() })
    };
    needed.iter().filter_map(missing).collect()
}

/// The instructions of which this operator has not confirmed what is in force. Who has confirmed an older revision, or somebody
/// else's confirmation, does not count.
#[must_use]
pub fn unseen(instructions: &[Instruction], seen: &[Seen], operator: Uuid) -> Vec<Instruction> {
    let is_seen = |instruction: &Instruction| {
        seen.iter().any(|seen| {
            seen.by == operator && seen.instruction == instruction.name && seen.sha256 == instruction.sha256
        })
    };
    instructions.iter().filter(|instruction| !is_seen(instruction)).cloned().collect()
}

/// Operations that come before it and have made nothing yet: not forbidden, for material may come from elsewhere.
fn warnings(job: &JobOrder, order: &[JobOrder]) -> Vec<Warning> {
    let before = order.iter().filter(|other| job.after.contains(&other.id));
    let nothing = before.filter(|other| other.state != JobState::Aborted && other.totals.good == Quantity::ZERO);
    nothing.map(|other| Warning::NothingBefore { job: other.number.clone(), state: other.state }).collect()
}
