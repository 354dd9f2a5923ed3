//! Tests of `unit`.

use super::*;
use crate::packml::State;
use proptest::prelude::*;
use uuid::Uuid;

const JAM: ReasonId = ReasonId(1);
const CHANGEOVER: ReasonId = ReasonId(2);

fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(second * 1_000_000)
}

fn counts_as(reason: ReasonId) -> Option<Element> {
    match reason {
        CHANGEOVER => Some(Element::Setup),
        _ => None,
    }
}

fn job(number: u64) -> Job {
    Job { id: JobId(number), planned_run_time_per_item_ns: Some(number * 1_000_000) }
}

fn rules(minor_s: u64) -> Rules {
    Rules { minor_stop_under: Duration::from_secs(minor_s), ..Rules::default() }
}

/// A log from `second State[:reason number], …`, with an order on the unit all the time.
fn log(text: &str) -> UnitLog {
    let mut log = UnitLog::new();
    log.job(at(-1_000_000), Some(job(4711))).expect("is the first");
    for step in text.split(", ") {
        let (second, state) = step.split_once(' ').expect("second and state");
        let (state, reason) =
            state.split_once(':').map_or((state, None), |(state, reason)| (state, reason.parse().ok().map(ReasonId)));
        let seen = State::from_name(state).map_or(Seen::NOTHING, Seen::producing);
        log.observe(at(second.parse().expect("a second")), seen, reason);
    }
    log
}

fn correction(from: i64, to: i64, change: Change) -> Correction {
    Correction { from: at(from), to: at(to), change, by: Uuid::from_u128(7), at: at(1_000_000) }
}

fn shown(log: &UnitLog, minor_s: u64, from: i64, to: i64) -> String {
    let pieces = log.pieces(rules(minor_s), &counts_as, at(from), at(to));
    let word = |piece: &Piece| {
        let state = piece.moment.seen.state.map_or("-", State::name);
        format!("{}..{} {state} {:?}", piece.from.micros() / 1_000_000, piece.to.micros() / 1_000_000, piece.element)
    };
    pieces.iter().map(word).collect::<Vec<_>>().join(", ")
}

#[test]
fn a_shift_is_read_as_it_was() {
    let mut unit = log("0 Execute, 60 Holding, 65 Held, 120 Unholding, 125 Execute, 130 Suspended, 150 Execute, 200 -");
    unit.job(at(180), None).expect("comes in order");
    unit.plan(at(140), at(160), Planned::Break).expect("is a span");
    assert_eq!(
        shown(&unit, 30, 0, 210),
        "0..60 Execute Production, 60..65 Holding Delay, 65..120 Held Delay, 120..125 Unholding Delay, 125..130 Execute Production, \
         130..140 Suspended MinorStop, 140..150 Suspended PlannedDown, 150..160 Execute Production, 160..180 Execute Production, \
         180..200 Execute Production, 200..210 - Unknown"
    );
    assert_eq!(shown(&unit, 0, 128, 132), "128..130 Execute Production, 130..132 Suspended Delay");
    assert_eq!(shown(&unit, 0, 132, 132), "");
}

/// Cut anywhere, a stop is short or not by its own length and not by that of the piece.
#[test]
fn a_stop_is_minor_by_its_whole_length() {
    let unit = log("0 Execute, 100 Held, 140 Execute, 200 Stopped, 210 Execute");
    for (from, to) in [(0, 300), (110, 120), (139, 141), (100, 140), (99, 101)] {
        assert!(!shown(&unit, 30, from, to).contains("Held MinorStop"), "{from}..{to}: {}", shown(&unit, 30, from, to));
        assert!(!shown(&unit, 41, from, to).contains("Held Delay"), "{from}..{to}: {}", shown(&unit, 41, from, to));
    }
    assert_eq!(shown(&unit, 30, 205, 206), "205..206 Stopped MinorStop");
}

#[test]
fn stops_say_where_they_came_from_and_how_long_they_were() {
    let mut unit = log("0 Execute, 60 Holding, 65 Held, 120 Execute, 130 Suspending:1, 150 Execute, 190 Aborted");
    let stops = |unit: &UnitLog, from, to| {
        let word = |stop: &Stop| {
            let (from, to) = (stop.from.micros() / 1_000_000, stop.to.micros() / 1_000_000);
            let goes_on = if stop.goes_on { "…" } else { "" };
            let minor = if stop.is_minor { " minor" } else { "" };
            format!(
                "{from}..{to}{goes_on} {} {:?} {:?}{minor}",
                stop.state.map_or("-", State::name),
                stop.cause,
                stop.reason.map(|r| r.0)
            )
        };
        unit.stops(rules(30), &counts_as, at(from), at(to)).iter().map(word).collect::<Vec<_>>()
    };
    assert_eq!(
        stops(&unit, 0, 300),
        [
            "60..120 Holding Some(Inside) None",
            "130..150 Suspending Some(Outside) Some(1) minor",
            "190..300… Aborted Some(Inside) None",
        ]
    );
    assert_eq!(
        stops(&unit, 100, 140),
        ["60..120 Holding Some(Inside) None", "130..140… Suspending Some(Outside) Some(1) minor"]
    );
    // A person says why: half of the last stop was a changeover, which is no stop.
    unit.correct(1, correction(60, 120, Change::Reason(JAM))).expect("is over");
    unit.correct(2, correction(200, 300, Change::Reason(CHANGEOVER))).expect("is over");
    assert_eq!(stops(&unit, 0, 300)[0], "60..120 Holding Some(Inside) Some(1)");
    assert_eq!(stops(&unit, 0, 300)[2], "190..200 Aborted Some(Inside) None minor");
}

#[test]
fn a_correction_lies_over_what_was_recorded_and_both_stay() {
    let mut unit = log("0 Execute, 100 Held, 160 Execute");
    let recorded = unit.moments(at(0), at(200), false);
    unit.correct(1, correction(90, 130, Change::State(Seen::producing(State::Suspended)))).expect("is over");
    unit.correct(2, correction(120, 150, Change::Reason(CHANGEOVER))).expect("is over");
    assert_eq!(
        shown(&unit, 0, 0, 200),
        "0..90 Execute Production, 90..120 Suspended Delay, 120..130 Suspended Setup, 130..150 Held Setup, 150..160 Held Delay, \
         160..200 Execute Production"
    );
    assert_eq!(unit.moments(at(0), at(200), false), recorded, "what was recorded is not changed");
    let numbers: Vec<_> =
        unit.pieces(rules(0), &counts_as, at(0), at(200)).iter().map(|piece| piece.moment.corrected).collect();
    assert_eq!(numbers, [None, Some(1), Some(2), Some(2), None, None]);

    unit.correct(3, correction(0, 125, Change::AsRecorded)).expect("is over");
    assert_eq!(
        shown(&unit, 0, 0, 200),
        "0..100 Execute Production, 100..125 Held Delay, 125..130 Suspended Setup, 130..150 Held Setup, 150..160 Held Delay, \
         160..200 Execute Production"
    );
    assert_eq!(unit.corrections(at(0), at(200)).count(), 3, "what people said is kept");
    assert_eq!(unit.corrections(at(150), at(200)).count(), 0);
}

#[test]
fn what_cannot_be_is_refused() {
    let mut unit = log("0 Execute, 100 Held");
    assert_eq!(unit.job(at(-2_000_000), None), Err(LogError::Late { at: at(-2_000_000), last: at(-1_000_000) }));
    assert_eq!(unit.plan(at(5), at(5), Planned::Off), Err(LogError::NoSpan { from: at(5), to: at(5) }));
    assert_eq!(unit.correct(1, correction(9, 5, Change::AsRecorded)), Err(LogError::NoSpan { from: at(9), to: at(5) }));
    let tomorrow = correction(5, 2_000_000, Change::Reason(JAM));
    assert_eq!(unit.correct(1, tomorrow), Err(LogError::NotOver { to: at(2_000_000), now: at(1_000_000) }));
    assert_eq!(shown(&unit, 0, 0, 120), "0..100 Execute Production, 100..120 Held Delay");
}

/// What happens to a unit, at random.
#[derive(Clone, Debug)]
enum Happens {
    Seen(i64, Option<State>, Option<u32>),
    Job(i64, Option<u64>),
    Plan(i64, i64, Planned),
    Correct(i64, i64, u8, State),
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let state = proptest::sample::select(State::ALL.to_vec());
    let planned = proptest::sample::select(vec![Planned::Off, Planned::Busy, Planned::Break, Planned::Maintenance]);
    let seen = (0i64..20, proptest::option::weighted(0.9, state.clone()), proptest::option::weighted(0.2, 1u32..3));
    let one = prop_oneof![
        4 => seen.prop_map(|(step, state, reason)| Happens::Seen(step, state, reason)),
        1 => (0i64..30, proptest::option::of(1u64..4)).prop_map(|(step, job)| Happens::Job(step, job)),
        1 => (0i64..200, 0i64..60, planned).prop_map(|(from, long, planned)| Happens::Plan(from, from + long, planned)),
        1 => (0i64..200, 0i64..60, 0u8..3, state).prop_map(|(from, long, kind, state)| Happens::Correct(from, from + long, kind, state)),
    ];
    proptest::collection::vec(one, 0..40)
}

/// The log, and beside it a list with what holds in each second.
fn build(happenings: Vec<Happens>) -> (UnitLog, Vec<Moment>) {
    let (mut unit, mut list) = (UnitLog::new(), vec![Moment::default(); 400]);
    let (mut seen_at, mut job_at) = (0, 0);
    let mut corrections = Vec::new();
    let slots = |from: i64, to: i64| usize::try_from(from).unwrap()..usize::try_from(to).unwrap().min(400);
    for happening in happenings {
        match happening {
            Happens::Seen(step, state, reason) => {
                seen_at = (seen_at + step).min(399);
                let seen = state.map_or(Seen::NOTHING, Seen::producing);
                unit.observe(at(seen_at), seen, reason.map(ReasonId));
                list[slots(seen_at, 400)].iter_mut().for_each(|m| (m.seen, m.reason) = (seen, reason.map(ReasonId)));
            }
            Happens::Job(step, job) => {
                job_at = (job_at + step).min(399);
                unit.job(at(job_at), job.map(self::job)).expect("comes in order");
                list[slots(job_at, 400)].iter_mut().for_each(|m| m.job = job.map(JobId));
            }
            Happens::Plan(from, to, planned) => {
                assert_eq!(unit.plan(at(from), at(to), planned).is_ok(), from < to);
                list[slots(from, to)].iter_mut().for_each(|m| m.planned = planned);
            }
            Happens::Correct(from, to, kind, state) => {
                let change = match kind {
                    0 => Change::Reason(JAM),
                    1 => Change::State(Seen::producing(state)),
                    _ => Change::AsRecorded,
                };
                let number = u32::try_from(corrections.len()).expect("is small");
                if unit.correct(number, correction(from, to, change.clone())).is_ok() {
                    corrections.push((slots(from, to), number, change));
                }
            }
        }
    }
    let recorded = list.clone();
    for (slots, number, change) in corrections {
        for slot in slots {
            let moment = &mut list[slot];
            match change {
                Change::Reason(reason) => (moment.reason, moment.corrected) = (Some(reason), Some(number)),
                Change::State(seen) => (moment.seen, moment.reason, moment.corrected) = (seen, None, Some(number)),
                Change::AsRecorded => *moment = recorded[slot],
            }
        }
    }
    (unit, list)
}

proptest! {
    /// Whatever happened: contiguous, as long as the window, and in each second what a plain list says.
    #[test]
    fn a_window_is_covered_exactly_and_says_what_was(happenings in happenings(), from in 0i64..380, long in 0i64..100, minor in 0u64..40) {
        let (unit, list) = build(happenings);
        let to = (from + long).min(399);
        let (mut end, mut sum) = (at(from), 0);
        for piece in unit.pieces(rules(minor), &counts_as, at(from), at(to)) {
            prop_assert_eq!(piece.from, end, "a gap or an overlap");
            prop_assert!(piece.micros() > 0);
            for second in piece.from.micros() / 1_000_000..piece.to.micros() / 1_000_000 {
                let moment = list[usize::try_from(second).unwrap()];
                prop_assert_eq!(piece.moment, moment, "in second {}", second);
                let plain = UnitLog::element(rules(0), &counts_as, &moment);
                prop_assert!(piece.element == plain || (plain, piece.element) == (Element::Delay, Element::MinorStop));
            }
            (end, sum) = (piece.to, sum + piece.micros());
        }
        prop_assert_eq!(sum, (to - from).max(0) * 1_000_000);
        prop_assert_eq!(unit.times(rules(minor), &counts_as, at(from), at(to)).all_micros(), sum);
    }

    /// A window's sums are those of its parts, wherever it is cut.
    #[test]
    fn a_window_is_the_sum_of_its_parts(happenings in happenings(), from in 0i64..150, first in 0i64..80, second in 0i64..80, minor in 0u64..40) {
        let (unit, _) = build(happenings);
        let times = |from, to| unit.times(rules(minor), &counts_as, at(from), at(to));
        let (middle, to) = (from + first, from + first + second);
        prop_assert_eq!(times(from, middle) + times(middle, to), times(from, to));
    }
}
