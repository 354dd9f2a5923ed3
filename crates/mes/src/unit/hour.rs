//! One hour of one unit as it is kept: what was recorded, and what it came to. And its bytes.
//!
//! What was recorded is the source; the pieces are made from it with orders, calendar and corrections, and can be made again at any time.

use super::{JobId, Moment, Piece, ReasonId};
use crate::element::{Element, Planned, Seen};
use crate::packml::{Mode, State};
use crate::quantity::Quantity;
use crate::rollup::Totals;
use crate::sums::{Amounts, Sums};
use andon_model::Timestamp;
use andon_model::varint::{self, VarintError};

/// What an amount is.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Made {
    /// Good.
    Good,
    /// Scrap.
    Scrap,
    /// To be reworked.
    Rework,
}

impl Made {
    const ALL: [Self; 3] = [Self::Good, Self::Scrap, Self::Rework];
}

/// An amount that was made, or taken back (negative: a correction).
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Count {
    /// When it was counted.
    pub at: Timestamp,
    /// What it is.
    pub made: Made,
    /// How much.
    pub quantity: Quantity,
    /// A person counted it, and no counter.
    pub by_person: bool,
}

impl Count {
    /// As amounts.
    #[must_use]
    pub fn amounts(&self) -> Amounts {
        let none = Amounts::default();
        match self.made {
            Made::Good => Amounts { good: self.quantity, ..none },
            Made::Scrap => Amounts { scrap: self.quantity, ..none },
            Made::Rework => Amounts { rework: self.quantity, ..none },
        }
    }

    /// What it adds to sums, with the planned run time of an item in ns.
    #[must_use]
    pub fn sums(&self, planned_run_time_per_item_ns: Option<u64>) -> Sums {
        let mut sums = Sums::of_amounts(self.amounts(), planned_run_time_per_item_ns);
        if self.by_person {
            sums.booked = sums.amounts;
        }
        sums
    }
}

/// A change of what the machine says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Said {
    /// Since when.
    pub at: Timestamp,
    /// What it is in.
    pub seen: Seen,
    /// Why, if it knows.
    pub reason: Option<ReasonId>,
}

/// An hour as it was recorded.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RecordedHour {
    /// What the machine said at the beginning of the hour, and each change after it, in order of time. The first is at the beginning.
    pub said: Vec<Said>,
    /// What was counted, in order of time.
    pub counts: Vec<Count>,
}

/// What an hour comes to.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct DerivedHour {
    /// What held: without gap, as long as the hour.
    pub pieces: Vec<Piece>,
    /// PRI in ns of what is made: at the beginning, and each change after it.
    pub run_times: Vec<(Timestamp, Option<u64>)>,
}

impl DerivedHour {
    /// What a part of the hour comes to, with what was counted in it.
    #[must_use]
    pub fn totals(&self, counts: &[Count], from: Timestamp, to: Timestamp) -> Totals {
        let within = self.pieces.iter().filter(|piece| piece.from < to && from < piece.to).map(|piece| Piece {
            from: piece.from.max(from),
            to: piece.to.min(to),
            begins_stop: piece.begins_stop && piece.from >= from,
            ..*piece
        });
        let made = counts
            .iter()
            .filter(|count| from <= count.at && count.at < to)
            .map(|count| count.sums(self.run_time(count.at)));
        Totals::of_pieces(&within.collect::<Vec<_>>()) + &Totals::of_sums(made.sum())
    }

    /// PRI in ns of what is made at an instant; `None`: nobody has said.
    #[must_use]
    pub fn run_time(&self, at: Timestamp) -> Option<u64> {
        let since = self.run_times.partition_point(|(since, _)| *since <= at);
        since.checked_sub(1).and_then(|at| self.run_times.get(at)).and_then(|(_, run_time)| *run_time)
    }

    /// As bytes: about five a piece.
    #[must_use]
    pub fn encode(&self, begins: Timestamp) -> Vec<u8> {
        let mut words = Words::default();
        let numbers: Vec<_> = self.pieces.iter().map(|piece| words.of(piece_word(piece))).collect();
        let mut out = words.begin(self.pieces.len());
        for (piece, word) in self.pieces.iter().zip(numbers) {
            varint::put(&mut out, u64::try_from(piece.micros()).unwrap_or(0));
            varint::put(&mut out, word);
        }
        varint::put(&mut out, self.run_times.len() as u64);
        let mut before = begins;
        for (at, run_time) in &self.run_times {
            put_time(&mut out, &mut before, *at);
            varint::put(&mut out, run_time.map_or(0, |ns| ns.saturating_add(1)));
        }
        out
    }

    /// From bytes.
    ///
    /// # Errors
    /// They are not what [`DerivedHour::encode`] writes.
    pub fn decode(begins: Timestamp, bytes: &[u8]) -> Result<Self, HourError> {
        let (words, count, mut rest) = read_begin(bytes, PIECE_FIELDS)?;
        let rest = &mut rest;
        let pieces = take_pieces(rest, &words, count, begins)?;
        let (mut run_times, mut before) = (Vec::new(), begins);
        for _ in 0..varint::take(rest)? {
            let at = take_time(rest, &mut before)?;
            run_times.push((at, varint::take(rest)?.checked_sub(1)));
        }
        if rest.is_empty() { Ok(Self { pieces, run_times }) } else { Err(HourError::Content("more than an hour")) }
    }
}

/// Why bytes are no hour.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum HourError {
    /// A number in them is none.
    #[error("an hour that cannot be read: {0}")]
    Number(#[from] VarintError),
    /// It was written by a later version.
    #[error("an hour of format {0}, which this version does not know; start the version that wrote it")]
    Version(u8),
    /// It holds what no hour holds.
    #[error("an hour that holds {0}")]
    Content(&'static str),
}

const VERSION: u8 = 1;
/// Beside what was made: a person counted it.
const BY_PERSON: u8 = 4;

impl RecordedHour {
    /// As bytes: about three a change, five a count.
    #[must_use]
    pub fn encode(&self, begins: Timestamp) -> Vec<u8> {
        let mut words = Words::default();
        let said: Vec<_> = self.said.iter().map(|said| (said.at, words.of(said_word(said)))).collect();
        let mut out = words.begin(said.len());
        let mut before = begins;
        for (at, word) in said {
            put_time(&mut out, &mut before, at);
            varint::put(&mut out, word);
        }
        varint::put(&mut out, self.counts.len() as u64);
        before = begins;
        for count in &self.counts {
            put_time(&mut out, &mut before, count.at);
            out.push(count.made as u8 | if count.by_person { BY_PERSON } else { 0 });
            varint::put(&mut out, varint::zigzag(count.quantity.millionths()));
        }
        out
    }

    /// From bytes.
    ///
    /// # Errors
    /// They are not what [`RecordedHour::encode`] writes.
    pub fn decode(begins: Timestamp, bytes: &[u8]) -> Result<Self, HourError> {
        let (words, count, mut rest) = read_begin(bytes, SAID_FIELDS)?;
        let rest = &mut rest;
        let (mut said, mut before) = (Vec::new(), begins);
        for _ in 0..count {
            let at = take_time(rest, &mut before)?;
            let [state, mode, reason] = word_at::<SAID_FIELDS>(&words, varint::take(rest)?)?;
            said.push(Said { at, seen: seen_of(state, mode)?, reason: reason_of(reason)? });
        }
        let (mut counts, mut before) = (Vec::new(), begins);
        for _ in 0..varint::take(rest)? {
            let at = take_time(rest, &mut before)?;
            let (made, after) = rest.split_first().ok_or(VarintError::Truncated)?;
            *rest = after;
            let by_person = made & BY_PERSON != 0;
            let made = Made::ALL.get(usize::from(made & !BY_PERSON)).copied();
            let made = made.ok_or(HourError::Content("an amount of no kind"))?;
            let quantity = Quantity::from_millionths(varint::unzigzag(varint::take(rest)?));
            counts.push(Count { at, made, quantity, by_person });
        }
        if rest.is_empty() { Ok(Self { said, counts }) } else { Err(HourError::Content("more than an hour")) }
    }
}

fn take_pieces(rest: &mut &[u8], words: &[u64], count: u64, begins: Timestamp) -> Result<Vec<Piece>, HourError> {
    let (mut pieces, mut at) = (Vec::new(), begins);
    for _ in 0..count {
        let from = at;
        take_time(rest, &mut at)?;
        let [state, mode, reason, element, job, planned, corrected, begins_stop] =
            word_at::<PIECE_FIELDS>(words, varint::take(rest)?)?;
        let place = |number: u64| usize::try_from(number).unwrap_or(usize::MAX);
        let moment = Moment {
            seen: seen_of(state, mode)?,
            reason: reason_of(reason)?,
            job: job.checked_sub(1).map(JobId),
            planned: *PLANNED.get(place(planned)).ok_or(HourError::Content("a calendar that there is not"))?,
            corrected: small(corrected, "a correction that there is not")?,
        };
        let element = *Element::ALL.get(place(element)).ok_or(HourError::Content("an element that there is not"))?;
        pieces.push(Piece { from, to: at, moment, element, begins_stop: begins_stop != 0 });
    }
    Ok(pieces)
}

const SAID_FIELDS: usize = 3;
const PIECE_FIELDS: usize = 8;
const PLANNED: [Planned; 4] = [Planned::Off, Planned::Busy, Planned::Break, Planned::Maintenance];

fn said_word(said: &Said) -> Vec<u64> {
    vec![state_number(said.seen), mode_number(said.seen), reason_number(said.reason)]
}

fn piece_word(piece: &Piece) -> Vec<u64> {
    let moment = &piece.moment;
    vec![
        state_number(moment.seen),
        mode_number(moment.seen),
        reason_number(moment.reason),
        piece.element.index() as u64,
        moment.job.map_or(0, |job| job.0.saturating_add(1)),
        PLANNED.iter().position(|planned| *planned == moment.planned).unwrap_or(0) as u64,
        moment.corrected.map_or(0, |number| u64::from(number) + 1),
        u64::from(piece.begins_stop),
    ]
}

fn state_number(seen: Seen) -> u64 {
    seen.state.map_or(0, |state| u64::from(state.number()))
}

fn mode_number(seen: Seen) -> u64 {
    seen.mode.map_or(0, |mode| u64::from(mode.number()))
}

fn reason_number(reason: Option<ReasonId>) -> u64 {
    reason.map_or(0, |reason| u64::from(reason.0) + 1)
}

fn seen_of(state: u64, mode: u64) -> Result<Seen, HourError> {
    let number = |number: u64| i64::try_from(number).unwrap_or(i64::MAX);
    let state = match state {
        0 => None,
        state => Some(State::from_number(number(state)).ok_or(HourError::Content("a state that there is not"))?),
    };
    let mode = match mode {
        0 => None,
        mode => Some(Mode::from_number(number(mode)).ok_or(HourError::Content("a mode that there is not"))?),
    };
    Ok(Seen { state, mode })
}

fn reason_of(number: u64) -> Result<Option<ReasonId>, HourError> {
    Ok(small(number, "a reason that there is not")?.map(ReasonId))
}

/// `0`: none; else a number that was one less.
fn small(number: u64, what: &'static str) -> Result<Option<u32>, HourError> {
    number.checked_sub(1).map(|number| u32::try_from(number).map_err(|_| HourError::Content(what))).transpose()
}

/// The different things that are said in an hour, which are few: each is written once and then named by its number.
#[derive(Default)]
struct Words {
    all: Vec<Vec<u64>>,
}

impl Words {
    fn of(&mut self, word: Vec<u64>) -> u64 {
        let known = self.all.iter().rposition(|known| *known == word);
        let at = known.unwrap_or_else(|| {
            self.all.push(word);
            self.all.len() - 1
        });
        at as u64
    }

    /// The version, the words, and how many things follow.
    fn begin(self, count: usize) -> Vec<u8> {
        let mut out = vec![VERSION];
        varint::put(&mut out, self.all.len() as u64);
        self.all.into_iter().flatten().for_each(|number| varint::put(&mut out, number));
        varint::put(&mut out, count as u64);
        out
    }
}

/// The words, `fields` numbers each; how many things follow; and their bytes.
fn read_begin(bytes: &[u8], fields: usize) -> Result<(Vec<u64>, u64, &[u8]), HourError> {
    let (version, mut rest) = bytes.split_first().ok_or(HourError::Content("nothing"))?;
    if *version != VERSION {
        return Err(HourError::Version(*version));
    }
    let mut words = Vec::new();
    for _ in 0..varint::take(&mut rest)? {
        for _ in 0..fields {
            words.push(varint::take(&mut rest)?);
        }
    }
    let count = varint::take(&mut rest)?;
    Ok((words, count, rest))
}

fn word_at<const FIELDS: usize>(words: &[u64], number: u64) -> Result<[u64; FIELDS], HourError> {
    let word = usize::try_from(number).ok().and_then(|number| words.chunks_exact(FIELDS).nth(number));
    word.and_then(|word| word.try_into().ok()).ok_or(HourError::Content("a word that there is not"))
}

fn put_time(out: &mut Vec<u8>, before: &mut Timestamp, at: Timestamp) {
    varint::put(out, u64::try_from(at.micros() - before.micros()).unwrap_or(0));
    *before = at;
}

fn take_time(rest: &mut &[u8], before: &mut Timestamp) -> Result<Timestamp, HourError> {
    let step = i64::try_from(varint::take(rest)?).ok().and_then(|step| before.micros().checked_add(step));
    *before = Timestamp::from_micros(step.ok_or(HourError::Content("a time that there is not"))?);
    Ok(*before)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const BEGINS: Timestamp = Timestamp::from_micros(1_782_000_000_000_000);

    fn seen() -> impl Strategy<Value = Seen> {
        let mode = (1i64..=31).prop_map(|number| Mode::from_number(number).expect("is a mode"));
        let state = proptest::sample::select(State::ALL.to_vec());
        (proptest::option::of(state), proptest::option::of(mode)).prop_map(|(state, mode)| Seen { state, mode })
    }

    fn recorded() -> impl Strategy<Value = RecordedHour> {
        let said = (0i64..1 << 33, seen(), proptest::option::of(any::<u32>().prop_map(ReasonId)));
        let count = (0i64..1 << 33, proptest::sample::select(Made::ALL.to_vec()), any::<i64>(), any::<bool>());
        (proptest::collection::vec(said, 0..20), proptest::collection::vec(count, 0..20)).prop_map(|(said, counts)| {
            let (mut said_at, mut counted_at) = (BEGINS.micros(), BEGINS.micros());
            let next = |at: &mut i64, step: i64| {
                *at += step;
                Timestamp::from_micros(*at)
            };
            RecordedHour {
                said: said
                    .into_iter()
                    .map(|(step, seen, reason)| Said { at: next(&mut said_at, step), seen, reason })
                    .collect(),
                counts: counts
                    .into_iter()
                    .map(|(step, made, n, by_person)| Count {
                        at: next(&mut counted_at, step),
                        made,
                        quantity: Quantity::from_millionths(n),
                        by_person,
                    })
                    .collect(),
            }
        })
    }

    fn derived() -> impl Strategy<Value = DerivedHour> {
        let moment = (
            seen(),
            proptest::option::of(any::<u32>().prop_map(ReasonId)),
            proptest::option::of((0u64..u64::MAX).prop_map(JobId)),
            0usize..4,
            proptest::option::of(any::<u32>()),
        );
        let piece = (1i64..1 << 33, moment, proptest::sample::select(Element::ALL.to_vec()), any::<bool>());
        let run_time = (0i64..1 << 33, proptest::option::of(0u64..u64::MAX));
        let all = (proptest::collection::vec(piece, 0..20), proptest::collection::vec(run_time, 0..4));
        all.prop_map(|(pieces, run_times)| {
            let mut at = BEGINS;
            let piece = |(long, (seen, reason, job, planned, corrected), element, begins_stop): (i64, _, _, _)| {
                let from = at;
                at = Timestamp::from_micros(at.micros() + long);
                Piece {
                    from,
                    to: at,
                    moment: Moment { seen, reason, job, planned: PLANNED[planned], corrected },
                    element,
                    begins_stop,
                }
            };
            let pieces = pieces.into_iter().map(piece).collect();
            let mut at = BEGINS;
            let run_time = |(step, run_time): (i64, Option<u64>)| {
                at = Timestamp::from_micros(at.micros() + step);
                (at, run_time)
            };
            DerivedHour { pieces, run_times: run_times.into_iter().map(run_time).collect() }
        })
    }

    proptest! {
        #[test]
        fn bytes_give_an_hour_back(hour in recorded(), derived in derived()) {
            prop_assert_eq!(RecordedHour::decode(BEGINS, &hour.encode(BEGINS)), Ok(hour));
            prop_assert_eq!(DerivedHour::decode(BEGINS, &derived.encode(BEGINS)), Ok(derived));
        }

        #[test]
        fn no_bytes_are_a_panic(bytes in proptest::collection::vec(any::<u8>(), 0..60), hour in recorded(), derived in derived(), at in any::<usize>(), byte in any::<u8>()) {
            let _ = (RecordedHour::decode(BEGINS, &bytes), DerivedHour::decode(BEGINS, &bytes));
            let decodes: [fn(&[u8]) -> bool; 2] = [|bytes| RecordedHour::decode(BEGINS, bytes).is_ok(), |bytes| DerivedHour::decode(BEGINS, bytes).is_ok()];
            for (mut bytes, decodes) in [hour.encode(BEGINS), derived.encode(BEGINS)].into_iter().zip(decodes) {
                let at = at % bytes.len();
                prop_assert!(!decodes(&bytes[..at]), "a beginning is no whole");
                bytes[at] = byte;
                decodes(&bytes);
            }
        }
    }

    #[test]
    fn an_hour_of_a_change_a_second_takes_few_bytes() {
        let states = [State::Execute, State::Held, State::Suspended];
        let said: Vec<_> = (0..3600)
            .map(|n| Said {
                at: Timestamp::from_micros(BEGINS.micros() + n * 1_000_000),
                seen: Seen::producing(states[usize::try_from(n).expect("is small") % 3]),
                reason: None,
            })
            .collect();
        let hour = RecordedHour { said, counts: Vec::new() };
        assert!(hour.encode(BEGINS).len() < 15_000, "{}", hour.encode(BEGINS).len());
    }
}
