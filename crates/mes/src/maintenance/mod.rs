//! Maintenance: what is done to equipment and by whom ([`work`]), when it is due ([`due`]), and what failures come to ([`figures`]).
//!
//! A maintenance order goes through the states of a job order ([`crate::job`]). Pure, as all of this crate: times and who asks are handed in.

pub mod due;
pub mod figures;
pub mod ledger;
pub mod work;

#[cfg(test)]
mod tests;

/// Why an order is there.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Kind {
    /// Something failed.
    Corrective,
    /// A plan by time, cycles or operating time.
    Preventive,
    /// A plan by an alarm. It is preventive too: it is done before something fails.
    ConditionBased,
}

impl Kind {
    /// All of them.
    pub const ALL: [Self; 3] = [Self::Corrective, Self::Preventive, Self::ConditionBased];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Corrective => "corrective",
            Self::Preventive => "preventive",
            Self::ConditionBased => "condition_based",
        }
    }

    /// The other way round.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.word() == word)
    }
}
