//! How much of its life a tool has used, and what is to be told of it.
//!
//! A life begins with the tool, and with each renewal. What is used of it is never stored: it is what the machines did while the tool was
//! mounted there ([`Wear`]), so that what comes late and what people put right count; and what people said that it had done elsewhere.

use crate::master::{Life, Tool};
use crate::quantity::Quantity;
use crate::wear::{Wear, micros};
use std::num::NonZeroU32;

/// What a life has used.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Used {
    /// Cycles: items that were made there, by the cavities.
    pub cycles: Quantity,
    /// Time of production (APT), in µs.
    pub run_time_us: i64,
}

impl Used {
    /// What machines did, and what people said that it had done besides. A correction may take back more than there is; less than nothing
    /// is not used.
    #[must_use]
    pub fn of(wear: &Wear, cavities: NonZeroU32, besides: Self) -> Self {
        let cycles = Quantity::from_millionths(wear.produced.millionths() / i64::from(cavities.get()));
        let cycles = (cycles + besides.cycles).max(Quantity::ZERO);
        Self { cycles, run_time_us: wear.production_us.saturating_add(besides.run_time_us).max(0) }
    }

    /// In the measure of a life: millionths of a cycle, or µs.
    const fn in_measure_of(&self, life: Life) -> i64 {
        match life {
            Life::Cycles(_) => self.cycles.millionths(),
            Life::RunTime(_) => self.run_time_us,
        }
    }
}

/// What a tool is in.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug, Hash)]
pub enum State {
    /// Nobody said how long it lasts.
    NoLife,
    /// There is time.
    Ok,
    /// It is near its end.
    Warn,
    /// Its life is used up. It stops nothing: people stop a line.
    End,
}

impl State {
    /// All of them.
    pub const ALL: [Self; 4] = [Self::NoLife, Self::Ok, Self::Warn, Self::End];

    /// The word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::NoLife => "no_life",
            Self::Ok => "ok",
            Self::Warn => "warn",
            Self::End => "end",
        }
    }

    /// The other way round.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|state| state.word() == word)
    }
}

/// Something that a tool has reached: which, and at how much it is reached, in the measure of its life.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Reached {
    /// [`State::Warn`] or [`State::End`].
    pub level: State,
    /// Millionths of a cycle, or µs.
    pub at: i64,
}

/// Where a tool stands in its life.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Standing {
    /// What it is in.
    pub state: State,
    /// What of its life is used: 1.0 is all of it; `None`: nobody said how long it lasts.
    pub share: Option<f64>,
    /// What it has reached; `None`: neither.
    pub reached: Option<Reached>,
}

/// Where a tool stands that has used so much.
#[must_use]
pub fn stand(tool: &Tool, used: &Used) -> Standing {
    let Some(life) = tool.life else { return Standing { state: State::NoLife, share: None, reached: None } };
    let (used, whole) = (used.in_measure_of(life), whole(life));
    let warn = part(whole, tool.warn);
    let reached = if used >= whole {
        Some(Reached { level: State::End, at: whole })
    } else {
        (used >= warn).then_some(Reached { level: State::Warn, at: warn })
    };
    Standing { state: reached.map_or(State::Ok, |reached| reached.level), share: Some(ratio(used, whole)), reached }
}

/// What is to be told now of what was told before in this life. Each is told once; where the document is changed, so that it lies elsewhere,
/// it is another. Whoever has heard of the end does not need the warning.
#[must_use]
pub fn to_tell(tool: &Tool, standing: &Standing, told: &[Reached]) -> Option<Reached> {
    let reached = standing.reached.filter(|reached| !told.contains(reached))?;
    let end = tool.life.map(|life| Reached { level: State::End, at: whole(life) });
    let is_told = end.is_some_and(|end| told.contains(&end));
    (!is_told).then_some(reached)
}

/// How much of a life is used, in words: `450000.25 of 500000 cycles`, `1800.5 of 2000 h`.
#[must_use]
pub fn words(life: Life, used: &Used) -> String {
    match life {
        Life::Cycles(cycles) => format!("{} of {cycles} cycles", used.cycles),
        Life::RunTime(span) => format!("{} of {} h", hours(used.run_time_us), hours(micros(span))),
    }
}

/// Hours to a hundredth, cut off rather than rounded up: what is not used is not told.
fn hours(micros: i64) -> String {
    let hundredths = micros.max(0) / 36_000_000;
    Quantity::from_millionths(hundredths.saturating_mul(10_000)).to_string()
}

/// A life in its measure.
fn whole(life: Life) -> i64 {
    match life {
        Life::Cycles(cycles) => cycles.millionths(),
        Life::RunTime(span) => micros(span),
    }
}

fn part(whole: i64, millionths: u32) -> i64 {
    // Not above the whole, for a share is not above one.
    i64::try_from(i128::from(whole) * i128::from(millionths) / 1_000_000).unwrap_or(whole)
}

#[expect(clippy::cast_precision_loss, reason = "it is shown")]
fn ratio(used: i64, whole: i64) -> f64 {
    used as f64 / whole.max(1) as f64
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::time::Duration;

    fn tool(life: Option<Life>, cavities: u32, warn: u32) -> Tool {
        let cavities = NonZeroU32::new(cavities).expect("some");
        let (title, kind) = ("Cap mould".to_owned(), "mould".to_owned());
        Tool { title, kind, machines: Vec::new(), cavities, life, warn }
    }

    fn pieces(count: i64) -> Quantity {
        Quantity::pieces(count).expect("a number")
    }

    fn made(count: i64) -> Wear {
        Wear { produced: pieces(count), production_us: count * 1_000_000, setup_us: 7 }
    }

    /// What a tool with four cavities and a life of 100 cycles says after so many items.
    fn after(items: i64) -> (String, &'static str) {
        let tool = tool(Some(Life::Cycles(pieces(100))), 4, 900_000);
        let used = Used::of(&made(items), tool.cavities, Used::default());
        (used.cycles.to_string(), stand(&tool, &used).state.word())
    }

    #[test]
    fn cycles_are_items_by_cavities_and_the_edges_of_a_life_belong_to_what_comes() {
        assert_eq!(after(0), ("0".to_owned(), "ok"));
        assert_eq!(after(1), ("0.25".to_owned(), "ok"));
        assert_eq!(after(359), ("89.75".to_owned(), "ok"));
        assert_eq!(after(360), ("90".to_owned(), "warn"));
        assert_eq!(after(399), ("99.75".to_owned(), "warn"));
        assert_eq!(after(400), ("100".to_owned(), "end"));
    }

    #[test]
    fn run_time_is_production_without_setup_and_what_was_done_elsewhere_counts() {
        let tool = tool(Some(Life::RunTime(Duration::from_secs(100))), 1, 500_000);
        let besides = Used { cycles: pieces(3), run_time_us: 40_000_000 };
        let used = Used::of(&made(9), tool.cavities, besides);
        assert_eq!((used.cycles, used.run_time_us), (pieces(12), 49_000_000));
        assert_eq!(stand(&tool, &used), Standing { state: State::Ok, share: Some(0.49), reached: None });
        let used = Used::of(&made(10), tool.cavities, besides);
        let at_warn = Reached { level: State::Warn, at: 50_000_000 };
        assert_eq!(stand(&tool, &used).reached, Some(at_warn));
        // Put right to less than nothing.
        let back = Used::of(&made(-90), tool.cavities, besides);
        assert_eq!(back, Used::default());
    }

    #[test]
    fn how_much_is_used_is_said_in_the_words_of_the_life() {
        let used = Used { cycles: Quantity::from_millionths(450_000_250_000), run_time_us: 6_481_999_999_999 };
        assert_eq!(words(Life::Cycles(pieces(500_000)), &used), "450000.25 of 500000 cycles");
        assert_eq!(words(Life::RunTime(Duration::from_secs(7_200_000)), &used), "1800.55 of 2000 h");
    }

    #[test]
    fn without_a_life_it_is_told_of_nothing() {
        let tool = tool(None, 1, 900_000);
        let standing = stand(&tool, &Used::of(&made(1_000_000), tool.cavities, Used::default()));
        assert_eq!((standing.state, standing.share), (State::NoLife, None));
        assert_eq!(to_tell(&tool, &standing, &[]), None);
    }

    #[test]
    fn each_level_is_told_once_and_no_warning_after_the_end() {
        let tool = tool(Some(Life::Cycles(pieces(100))), 1, 900_000);
        let tell = |items: i64, told: &[Reached]| {
            let used = Used::of(&made(items), tool.cavities, Used::default());
            to_tell(&tool, &stand(&tool, &used), told)
        };
        let warn = Reached { level: State::Warn, at: 90_000_000 };
        let end = Reached { level: State::End, at: 100_000_000 };
        assert_eq!(tell(89, &[]), None);
        assert_eq!(tell(95, &[]), Some(warn));
        assert_eq!(tell(95, &[warn]), None);
        assert_eq!(tell(100, &[warn]), Some(end));
        assert_eq!(tell(100, &[]), Some(end), "past both at once");
        assert_eq!(tell(95, &[end]), None, "a count was put right after the end");
        assert_eq!(tell(150, &[warn, end]), None);
        // The document gives it another life: that one is told of.
        let longer = Reached { level: State::Warn, at: 45_000_000 };
        assert_eq!(tell(95, &[longer]), Some(warn));
    }

    proptest! {
        #[test]
        fn what_is_used_is_the_same_however_a_span_is_cut(
            parts in proptest::collection::vec((0_i64..1_000_000_000, 0_i64..1_000_000_000), 1..8), cavities in 1_u32..200,
        ) {
            let cavities = NonZeroU32::new(cavities).expect("some");
            let mut all = Wear::default();
            for (produced, production_us) in &parts {
                all += Wear { produced: Quantity::from_millionths(*produced), production_us: *production_us, setup_us: 0 };
            }
            let used = Used::of(&all, cavities, Used::default());
            let items: i64 = parts.iter().map(|(produced, _)| produced).sum();
            prop_assert_eq!(used.cycles.millionths(), items / i64::from(cavities.get()));
            prop_assert_eq!(used.run_time_us, parts.iter().map(|(_, micros)| micros).sum::<i64>());
        }

        #[test]
        fn a_life_only_goes_on(life in 1_i64..9_000_000_000_000, warn in 10_000_u32..=1_000_000, used in 0_i64..i64::MAX, more in 0_i64..1_000_000) {
            let tool = tool(Some(Life::Cycles(Quantity::from_millionths(life))), 1, warn);
            let at = |cycles: i64| stand(&tool, &Used { cycles: Quantity::from_millionths(cycles), run_time_us: 0 }).state;
            prop_assert!(at(used) <= at(used.saturating_add(more)));
            prop_assert_eq!(at(used) == State::End, used >= life);
        }
    }
}
