//! One thing that a machine says of itself, and what comes of it when it comes late.

use crate::element::Seen;
use crate::packml::{Mode, State};
use crate::unit::{ReasonId, Said, UnitLog};
use andon_model::Timestamp;

/// One of the three things that a machine says, each by a tag of its own and at times of its own.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Word {
    /// Its state; `None`: it cannot be known.
    State(Option<State>),
    /// Its mode; `None`: it cannot be known.
    Mode(Option<Mode>),
    /// Why it is so; `None`: it does not say.
    Reason(Option<ReasonId>),
}

impl Word {
    /// What is said with this in it.
    const fn within(self, mut seen: Seen, mut reason: Option<ReasonId>) -> (Seen, Option<ReasonId>) {
        match self {
            Self::State(state) => seen.state = state,
            Self::Mode(mode) => seen.mode = mode,
            Self::Reason(why) => reason = why,
        }
        (seen, reason)
    }

    /// The part of what was said that this is about.
    const fn of(self, said: &Said) -> Self {
        match self {
            Self::State(_) => Self::State(said.seen.state),
            Self::Mode(_) => Self::Mode(said.seen.mode),
            Self::Reason(_) => Self::Reason(said.reason),
        }
    }

    /// A word about `at` that comes late. It holds until the machine said something else of the same kind than `old`, what it takes the
    /// place of (`None`: what the log says at `at`); the log then holds it. Returned is that, and when it ends; `None`: not before `end`.
    pub(super) fn late(
        self,
        log: &mut UnitLog,
        at: Timestamp,
        old: Option<Self>,
        end: Timestamp,
    ) -> (Option<Self>, Option<Timestamp>) {
        let said = log.recorded(at, end).said;
        let ends = said.iter().skip(1).map(|said| said.at).chain([end]);
        let old = old.or_else(|| said.first().map(|said| self.of(said)));
        for (said, to) in said.iter().zip(ends) {
            if Some(self.of(said)) != old {
                return (old, Some(said.at));
            }
            let (seen, reason) = self.within(said.seen, said.reason);
            log.was(said.at, to, seen, reason);
        }
        (old, None)
    }

    /// 0, 1, 2: which of the three it is.
    pub(super) const fn kind(self) -> usize {
        match self {
            Self::State(_) => 0,
            Self::Mode(_) => 1,
            Self::Reason(_) => 2,
        }
    }
}
