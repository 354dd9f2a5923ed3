//! What stands in the ledger of a job: what was asked of it, as it was asked.

use super::count::Count;
use crate::job::Trigger;
use serde::{Deserialize, Serialize};

/// An entry's content. Its JSON is kept for ever: words are added, never changed.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// Something happened to the job.
    Trigger {
        /// What.
        trigger: Trigger,
        /// Why, as a person said it, or the name of a reason.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// Where, of a begin.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        equipment: Option<String>,
    },
    /// Somebody counted.
    Count {
        /// Good items, in millionths of the material's unit, as the next two.
        #[serde(default)]
        good_millionths: i64,
        /// Scrap.
        #[serde(default)]
        scrap_millionths: i64,
        /// Rework.
        #[serde(default)]
        rework_millionths: i64,
        /// Why it is scrap or rework.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
    },
    /// Somebody confirmed having seen an instruction.
    Seen {
        /// Its name.
        instruction: String,
        /// Its revision.
        revision: String,
        /// SHA-256 of what was seen, in lower-case hex.
        sha256: String,
    },
    /// It got another place in the plan.
    Plan {
        /// Where.
        equipment: String,
        /// From when, in ms since 1970.
        start_ms: i64,
        /// Until when.
        end_ms: i64,
        /// A person has put it there.
        pinned: bool,
    },
    /// Its order changed before it began.
    Change {
        /// How much is wanted now, in millionths.
        quantity_millionths: i64,
    },
}

impl From<&Count> for Content {
    fn from(count: &Count) -> Self {
        Self::Count {
            good_millionths: count.good.millionths(),
            scrap_millionths: count.scrap.millionths(),
            rework_millionths: count.rework.millionths(),
            reason: count.reason.clone(),
        }
    }
}
