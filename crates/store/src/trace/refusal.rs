//! Why something cannot be recorded.

use super::{Disposition, ItemName};

/// Why a step cannot be. Quantities are millionths.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
pub enum TraceRefusal {
    /// Too many steps.
    #[error("{steps} steps at once are too many; send at most {max}")]
    Many {
        /// How many came.
        steps: usize,
        /// How many may.
        max: usize,
    },
    /// The key stands for something else.
    #[error("under this key another change was made; give each change a key of its own")]
    OtherChange,
    /// It is so already.
    #[error("nothing changes by it: it is so already, or the same is told of just that time")]
    Nothing,
    /// A text or number that nothing can have.
    #[error("the {what} cannot be: {reason}")]
    Unfit {
        /// Which one.
        what: &'static str,
        /// What is wrong with it.
        reason: String,
    },
    /// There is no such item.
    #[error("there is no {item}; record it first")]
    Unknown {
        /// How it was named.
        item: String,
    },
    /// The same thing was recorded before, and other than now.
    #[error("{what} stands recorded with {recorded}, and now {said} is said; what is recorded stays")]
    Differs {
        /// What is the same.
        what: String,
        /// What stands there.
        recorded: String,
        /// What comes now.
        said: String,
    },
    /// It would be part of itself.
    #[error("{} would end in itself: {}", path[0], shown(path))]
    Circle {
        /// The way around, from what would go in, over what it would go into, back to it.
        path: Vec<ItemName>,
    },
    /// What it is in, or what is in it, is too much to be looked through for a circle.
    #[error("{item} hangs together with more than {max} items, too many to be sure that it does not end in itself")]
    Wide {
        /// What would go in.
        item: ItemName,
        /// How many are looked at.
        max: usize,
    },
    /// More of a lot than there is. What was used once cannot be used again.
    #[error(
        "of {item} there is {}, the other {} are used already; {} cannot be taken",
        amount(*there_is), amount(*used), amount(*wanted)
    )]
    Short {
        /// The lot.
        item: ItemName,
        /// How much is left.
        there_is: i64,
        /// How much was taken before.
        used: i64,
        /// How much was to be taken.
        wanted: i64,
    },
    /// A unit is in one place at a time.
    #[error("{item} is in {into} already; take it out there first")]
    BuiltIn {
        /// The unit.
        item: ItemName,
        /// Where it is.
        into: ItemName,
    },
    /// A container that is there already stands where it stands.
    #[error("{item} is there already, {}", where_it_is(place.as_deref()))]
    Elsewhere {
        /// The container.
        item: ItemName,
        /// Where it stands; `None`: nobody has said.
        place: Option<String>,
    },
    /// It may not be used.
    #[error("{item} may not be used: its state is {}", state.word())]
    NotReleased {
        /// What was to be used.
        item: ItemName,
        /// Its state.
        state: Disposition,
    },
    /// It is not in there.
    #[error("{item} did not go into {into} at that position and time")]
    NotIn {
        /// What was to be taken out.
        item: ItemName,
        /// From what.
        into: ItemName,
    },
    /// There is more of it in that place, but it is packed.
    #[error(
        "of {item} {} lie loose and {} are packed; {} cannot be taken from there",
        amount(*loose), amount(*packed), amount(*wanted)
    )]
    Packed {
        /// The lot.
        item: ItemName,
        /// How much of it lies there in no container.
        loose: i64,
        /// How much lies in containers.
        packed: i64,
        /// How much was to be taken.
        wanted: i64,
    },
    /// It does not lie in that container, or not so much of it.
    #[error("in {into} there is {} of {item}; {} cannot be taken out", amount(*there_is), amount(*wanted))]
    NotPacked {
        /// What was to be taken out.
        item: ItemName,
        /// The container.
        into: Box<ItemName>,
        /// How much lies in there.
        there_is: i64,
        /// How much was to be taken out.
        wanted: i64,
    },
    /// More would lie around than there is.
    #[error(
        "of {item} there is {}, and {} of it lie somewhere already; {} more cannot come from outside",
        amount(*there_is), amount(*placed), amount(*wanted)
    )]
    Placed {
        /// The lot.
        item: ItemName,
        /// How much is left of it.
        there_is: i64,
        /// How much of that lies in known places.
        placed: i64,
        /// How much was to come.
        wanted: i64,
    },
    /// It lies in a vessel, mixed with others.
    #[error("{place} is a vessel: what comes in is filled in, and what goes out is drawn")]
    InVessel {
        /// The vessel.
        place: String,
    },
    /// There is not so much in the vessel.
    #[error("in {vessel} there is {}; {} cannot be drawn", amount(*there_is), amount(*wanted))]
    Low {
        /// The vessel.
        vessel: String,
        /// How much is in it.
        there_is: i64,
        /// How much was to be drawn.
        wanted: i64,
    },
    /// The vessel does not hold so much.
    #[error("{vessel} holds {}, and {} is in it; {} more does not go in", amount(*capacity), amount(*there_is), amount(*wanted))]
    Overfull {
        /// The vessel.
        vessel: String,
        /// How much it holds.
        capacity: i64,
        /// How much is in it.
        there_is: i64,
        /// How much was to come.
        wanted: i64,
    },
    /// Something else belongs into the vessel.
    #[error("into {vessel} goes {material}, and not {item}")]
    OtherMaterial {
        /// The vessel.
        vessel: String,
        /// What belongs there.
        material: String,
        /// What was to come.
        item: ItemName,
    },
    /// There is not so much in that place.
    #[error("in {place} there is {} of {item}; {} cannot be carried away from there", amount(*there_is), amount(*wanted))]
    NotThere {
        /// What was to be moved.
        item: ItemName,
        /// From where.
        place: String,
        /// How much lies there.
        there_is: i64,
        /// How much was to be moved.
        wanted: i64,
    },
}

impl TraceRefusal {
    /// The word of the finding, where it is recorded all the same.
    pub(crate) const fn finding_word(&self) -> &'static str {
        match self {
            Self::Low { .. } | Self::Short { .. } => "overdrawn",
            Self::BuiltIn { .. } => "elsewhere",
            Self::Wide { .. } => "unseen",
            Self::OtherMaterial { .. } => "other_material",
            Self::Overfull { .. } => "overfull",
            Self::NotReleased { .. } => "not_released",
            _ => "not_there",
        }
    }
}

/// A quantity as people write it.
pub(crate) fn amount(millionths: i64) -> String {
    let sign = if millionths < 0 { "-" } else { "" };
    let (whole, part) = (millionths.unsigned_abs() / 1_000_000, millionths.unsigned_abs() % 1_000_000);
    if part == 0 {
        return format!("{sign}{whole}");
    }
    format!("{sign}{whole}.{}", format!("{part:06}").trim_end_matches('0'))
}

fn where_it_is(place: Option<&str>) -> String {
    place.map_or_else(|| "and nobody has said where it stands".to_owned(), |place| format!("in {place}"))
}

/// The longest way is shown by its ends.
fn shown(path: &[ItemName]) -> String {
    const ENDS: usize = 8;
    let names = |part: &[ItemName]| part.iter().map(ToString::to_string).collect::<Vec<_>>().join(" → ");
    if path.len() <= 2 * ENDS {
        return names(path);
    }
    let left_out = path.len() - 2 * ENDS;
    format!("{} → ({left_out} more) → {}", names(&path[..ENDS]), names(&path[path.len() - ENDS..]))
}
