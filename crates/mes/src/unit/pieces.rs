//! From what held to what it counts as, and to the stops that people explain.

use super::{CountsAs, Moment, ReasonId, Rules, UnitLog};
use crate::element::Element;
use crate::packml::State;
use andon_model::Timestamp;

/// A span in which one thing held, and what it counts as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Piece {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// What held.
    pub moment: Moment,
    /// The time that it belongs to.
    pub element: Element,
    /// Whether a stop begins with it.
    pub begins_stop: bool,
}

impl Piece {
    /// How long it is, in µs.
    #[must_use]
    pub const fn micros(&self) -> i64 {
        self.to.micros() - self.from.micros()
    }
}

/// Where the cause of a stop is, as the machine's states say it (PackML: Hold is from inside, Suspend from outside).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Cause {
    /// In the machine itself.
    Inside,
    /// Before it or behind it: it is starved or blocked.
    Outside,
}

/// A time in which an order was held up, for one reason.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Stop {
    /// When it began.
    pub from: Timestamp,
    /// When it ended; that of the window if it has not ended by then.
    pub to: Timestamp,
    /// Whether it goes on at the window's end.
    pub goes_on: bool,
    /// The state in which it began: the first cause. `None`: nothing was known, and a person says that it stood.
    pub state: Option<State>,
    /// Where that cause is; `None` as for the state.
    pub cause: Option<Cause>,
    /// Why; `None`: nobody has said.
    pub reason: Option<ReasonId>,
    /// Shorter than the unit's limit.
    pub is_minor: bool,
}

/// See [`UnitLog::pieces`].
pub(super) fn of(log: &UnitLog, rules: Rules, counts_as: CountsAs<'_>, from: Timestamp, to: Timestamp) -> Vec<Piece> {
    if to <= from {
        return Vec::new();
    }
    // Whether a delay is short can be seen only if what is before and behind the window is looked at as well.
    let margin = rules.minor_stop_under.max(std::time::Duration::from_micros(1));
    let wide = (from.minus(margin), to.plus(margin));
    let moments = log.moments(wide.0, wide.1, true);
    let mut pieces: Vec<Piece> = moments
        .within(wide.0, wide.1)
        .map(|piece| Piece {
            from: piece.from,
            to: piece.to,
            moment: *piece.value,
            element: UnitLog::element(rules, counts_as, piece.value),
            begins_stop: false,
        })
        .collect();
    let limit = i64::try_from(rules.minor_stop_under.as_micros()).unwrap_or(i64::MAX);
    for stop in pieces.chunk_by_mut(is_one_stop) {
        stop[0].begins_stop = stop[0].element == Element::Delay && stop[0].from > wide.0;
        if stop.iter().map(Piece::micros).sum::<i64>() < limit {
            stop.iter_mut()
                .filter(|piece| piece.element == Element::Delay)
                .for_each(|piece| piece.element = Element::MinorStop);
        }
    }
    pieces.retain_mut(|piece| {
        piece.begins_stop &= piece.from >= from;
        (piece.from, piece.to) = (piece.from.max(from), piece.to.min(to));
        piece.from < piece.to
    });
    pieces
}

/// Whether two pieces that follow each other are one stop: a delay goes on, for the same reason and with the same order.
fn is_one_stop(a: &Piece, b: &Piece) -> bool {
    let is_delay = |piece: &Piece| matches!(piece.element, Element::Delay | Element::MinorStop);
    is_delay(a) && is_delay(b) && a.moment.reason == b.moment.reason && a.moment.job == b.moment.job
}

/// See [`UnitLog::stops`].
pub(super) fn stops(log: &UnitLog, rules: Rules, counts_as: CountsAs<'_>, from: Timestamp, to: Timestamp) -> Vec<Stop> {
    let from = begin_of_stop(log, rules, counts_as, from);
    let pieces = of(log, rules, counts_as, from, to);
    let runs = pieces.chunk_by(is_one_stop).filter(|run| matches!(run[0].element, Element::Delay | Element::MinorStop));
    runs.filter_map(|run| {
        let (first, last) = (run.first()?, run.last()?);
        let state = first.moment.seen.state;
        Some(Stop {
            from: first.from,
            to: last.to,
            goes_on: last.to == to,
            state,
            cause: state.map(|state| match state {
                State::Suspending | State::Suspended | State::Unsuspending => Cause::Outside,
                _ => Cause::Inside,
            }),
            reason: first.moment.reason,
            is_minor: first.element == Element::MinorStop,
        })
    })
    .collect()
}

/// Where the stop begins that holds at `from`; `from` itself if none does. At most a week is looked back, for a machine may stand for years.
fn begin_of_stop(log: &UnitLog, rules: Rules, counts_as: CountsAs<'_>, from: Timestamp) -> Timestamp {
    let earliest = from.minus(std::time::Duration::from_secs(7 * 86_400));
    let at_from = of(log, rules, counts_as, from, Timestamp::from_micros(from.micros().saturating_add(1)));
    let before = of(log, rules, counts_as, earliest, from);
    let chain: Vec<Piece> = before.into_iter().chain(at_from).collect();
    match chain.chunk_by(is_one_stop).next_back() {
        Some([first, _, ..]) => first.from,
        _ => from,
    }
}
