//! What stands in the ledger of a maintenance order: what was asked of it, as it was asked.

use serde::{Deserialize, Serialize};

/// An entry's content. Its JSON is kept for ever: words are added, never changed. The same key is asked for with the same content.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum Content {
    /// It was made.
    Made {
        /// What was asked for, as JSON of whoever takes wishes; it is compared, and not read.
        wish: String,
    },
    /// It was asked for when it was there already: nothing was done.
    Asked {
        /// What was asked for, likewise.
        wish: String,
    },
    /// Something of it was changed.
    Changed {
        /// What was asked for, likewise.
        wish: String,
        /// What became another, in words.
        words: String,
    },
    /// A deed.
    Deed {
        /// Its word.
        deed: String,
        /// `Held`, `Suspended`, `Waiting`, `Ready`, `Loaded`, of a pause or a preparation.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        into: Option<String>,
        /// Why.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        reason: Option<String>,
        /// What a finish says of the failure, as JSON, likewise.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        wish: Option<String>,
    },
    /// A part was used, or put back.
    Part {
        /// The material.
        material: String,
        /// Its lot.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        lot: Option<String>,
        /// Its serial number.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        serial: Option<String>,
        /// How much, in millionths; below zero: put back.
        quantity_millionths: i64,
        /// What the person wrote about it.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        note: Option<String>,
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
}

impl Content {
    /// The word of the kind of entry.
    #[must_use]
    pub fn word(&self) -> &str {
        match self {
            Self::Made { .. } => "made",
            Self::Asked { .. } => "asked",
            Self::Changed { .. } => "changed",
            Self::Deed { deed, .. } => deed,
            Self::Part { .. } => "part",
            Self::Seen { .. } => "seen",
        }
    }
}
