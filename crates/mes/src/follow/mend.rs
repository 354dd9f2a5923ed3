//! Taking what came late into hours that are kept, a stretch of them at a time.

use super::{Follower, Late, Word};
use crate::floor::{Batch, KeptHour, UnitId, change, past, touched};
use crate::rollup::{Level, Slot};
use crate::steps::Interval;
use crate::unit::{Correction, CountsAs};
use andon_model::Timestamp;
use std::collections::VecDeque;
use std::time::Duration;

/// So much is looked at in one go.
const STRETCH: Duration = Duration::from_secs(24 * 3600);

/// A word that holds on beyond the last stretch, and what it takes the place of.
#[derive(Clone, Copy)]
struct Carried {
    word: Word,
    old: Option<Word>,
}

/// What came late of one unit, in order of time, on its way into what is kept.
pub struct Mending {
    unit: UnitId,
    late: VecDeque<Late>,
    carried: [Option<Carried>; 3],
    /// Where the carried words go on.
    at: Timestamp,
}

/// The kept hours that are needed next.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stretch {
    /// The first hour that may change, and the first after the last.
    pub hours: (i64, i64),
    /// What has to be known to change them: kept hours in it, and corrections.
    pub window: Interval<()>,
    /// Where the next stretch begins.
    end: Timestamp,
}

impl Late {
    /// What it is about.
    #[must_use]
    pub const fn at(&self) -> Timestamp {
        match self {
            Self::Word { at, .. } => *at,
            Self::Count(count) => count.at,
        }
    }
}

impl Mending {
    /// What came late of a unit, in the order in which it came: as many of these as it has runs in order of time.
    #[must_use]
    pub fn of(unit: UnitId, late: &[Late]) -> Vec<Self> {
        late.chunk_by(|a, b| a.at() <= b.at())
            .map(|run| Self { unit, late: run.iter().copied().collect(), carried: [None; 3], at: Timestamp::default() })
            .collect()
    }

    /// What has to be read of what is kept; `None`: all is taken in.
    #[must_use]
    pub fn needs(&self, follower: &Follower) -> Option<Stretch> {
        let rules = follower.floor().settings_of(self.unit)?.rules;
        let carries = self.carried.iter().any(Option::is_some).then_some(self.at);
        let from = carries.or_else(|| self.late.front().map(Late::at))?;
        let kept = follower.floor().kept_until();
        let end = Slot::of(Level::Hour, from).from().plus(STRETCH);
        // What is just after the kept hours decides on stops in the last of them, and is late for that.
        let end = if end < kept { end } else { kept.plus(follower.margin(self.unit)) };
        // What came behind something late, and is not late itself, needs nothing of what is kept.
        let (slots, window) = touched(rules, from.min(end), end, kept);
        let hours = slots.first().zip(slots.last()).map(|(first, last)| (first.number, last.number + 1));
        Some(Stretch { hours: hours.unwrap_or_default(), window, end })
    }

    /// Takes in what lies in a stretch. `hours` are those of its window that are kept, in order. What is returned has to be kept.
    pub fn step(
        &mut self,
        follower: &mut Follower,
        stretch: &Stretch,
        hours: &[KeptHour],
        corrections: Vec<(u32, Correction)>,
        counts_as: CountsAs<'_>,
    ) -> Batch {
        let mut log = past(follower.floor(), self.unit, stretch.window, hours, corrections);
        for kind in 0..self.carried.len() {
            if let Some(Carried { word, old }) = self.carried[kind].take() {
                self.say(follower, &mut log, self.at, word, old, stretch.end);
            }
        }
        let is_last = stretch.end > follower.floor().kept_until();
        while let Some(late) = self.late.pop_front_if(|late| is_last || late.at() < stretch.end) {
            match late {
                Late::Word { at, word } if at >= stretch.end => follower.holds(self.unit, at, word),
                Late::Word { at, word } => self.say(follower, &mut log, at, word, None, stretch.end),
                Late::Count(count) if log.has_counted(&count) => {}
                Late::Count(count) => log.count(count),
            }
        }
        self.at = stretch.end;
        let Some(settings) = follower.floor().settings_of(self.unit) else { return Batch::default() };
        let within = |hour: &&KeptHour| (stretch.hours.0..stretch.hours.1).contains(&hour.hour.number);
        let before: Vec<_> = hours.iter().filter(within).cloned().collect();
        change(self.unit, settings, &log, counts_as, &before)
    }

    fn say(
        &mut self,
        follower: &mut Follower,
        log: &mut crate::unit::UnitLog,
        at: Timestamp,
        word: Word,
        old: Option<Word>,
        end: Timestamp,
    ) {
        let kept = follower.floor().kept_until();
        let (was, until) = word.late(log, at, old, end);
        if until.is_none_or(|until| until > kept) && end > kept {
            follower.holds(self.unit, at.max(kept), word);
        } else if until.is_none() {
            // One that came before in this stretch, and was carried, ends where this one begins: what stands after the stretch is what that took the place of.
            let earlier = self.carried[word.kind()];
            self.carried[word.kind()] = Some(Carried { word, old: earlier.map_or(was, |earlier| earlier.old) });
        }
    }
}
