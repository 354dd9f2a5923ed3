//! What comes from tags: out of order, over restarts, into hours that are kept; and that it is what plain reading gives.

use super::*;
use crate::counter::CounterRule;
use crate::element::{Element, Planned};
use crate::floor::{KeptHour, NodeId, kept_hour};
use crate::master::{CountTag, Counts, Meanings, StateTag};
use crate::rollup::Totals;
use crate::steps::Interval;
use crate::unit::{Job, JobId, Made, Rules};
use andon_model::{StatusCode, Value};
use proptest::prelude::*;
use std::collections::BTreeMap;

const BEGINS: i64 = 1_800_000_000_000_000 / 3_600_000_000 * 3_600_000_000;
const UNIT: UnitId = UnitId(7);
const LINE: NodeId = NodeId(1);

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_micros(BEGINS + seconds * 1_000_000)
}

fn path(text: &str) -> TagPath {
    TagPath::parse(text).expect("a path")
}

fn counts(tag: &str, made: Made, counter: Counts) -> CountTag {
    CountTag { tag: path(tag), made, counter }
}

fn follow(minor: u64) -> Follow {
    let rules = Rules {
        minor_stop_under: Duration::from_secs(minor),
        planned_run_time_per_item_ns: Some(1_000_000_000),
        ..Rules::default()
    };
    let machine = Machine {
        state: Some(StateTag { tag: path("u/state"), meanings: Meanings::Standard }),
        mode: Some(StateTag { tag: path("u/mode"), meanings: Meanings::Standard }),
        reason: None,
        counts: vec![
            counts("u/good", Made::Good, Counts::Total(CounterRule::default())),
            counts("u/scrap", Made::Scrap, Counts::Each { scale: 1.0 }),
        ],
        calendar: None,
        rules,
        changeovers: BTreeMap::new(),
        changeover_default: Duration::ZERO,
        station: None,
    };
    let tags = ["u/state", "u/mode", "u/good", "u/scrap"];
    Follow {
        unit: UNIT,
        settings: UnitSettings { rules, nodes: vec![LINE] },
        machine,
        tags: tags.iter().zip(0..).map(|(tag, id)| (path(tag), TagId(id))).collect(),
        silent_after: None,
        reasons: HashMap::new(),
    }
}

fn sample(tag: u32, value: Value, source: i64, received: i64) -> Sample {
    Sample {
        tag: TagId(tag),
        value,
        quality: StatusCode::GOOD,
        source_ts: at(source),
        received_ts: at(received).plus(Duration::from_millis(500)),
    }
}

const NOTHING_COUNTS: CountsAs<'static> = &|_| None;

/// What is kept, as a store would keep it.
#[derive(Default)]
struct Kept {
    until: i64,
    hours: BTreeMap<i64, (Vec<u8>, Vec<u8>)>,
    slots: HashMap<(NodeId, Slot), Totals>,
    position: Position,
    shown: HashMap<TagId, Shown>,
}

impl Kept {
    fn keep(&mut self, batch: &Batch) {
        for hour in &batch.hours {
            let begins = hour.hour.from();
            self.hours.insert(hour.hour.number, (hour.recorded.encode(begins), hour.derived.encode(begins)));
        }
        for (slot, totals) in &batch.added {
            *self.slots.entry(*slot).or_default() += totals;
        }
    }

    fn read(&self, window: Interval<()>) -> Vec<KeptHour> {
        let hours = Slot::of(Level::Hour, window.from).number..=Slot::of(Level::Hour, window.to).number;
        let read = |(hour, (recorded, derived)): (&i64, &(Vec<u8>, Vec<u8>))| {
            kept_hour(UNIT, *hour, recorded, derived).expect("was encoded")
        };
        self.hours.range(hours).map(read).collect()
    }

    fn totals(&self, floor: &Floor, from: Timestamp, to: Timestamp, now: Timestamp) -> Totals {
        let question = floor.question(LINE, from, to, now);
        let mut sum = Totals::default();
        for slot in &question.kept.slots {
            sum += &self.slots.get(&(LINE, *slot)).cloned().unwrap_or_default();
        }
        for edge in &question.kept.edges {
            for hour in self.read(Interval { from: edge.from, to: edge.to, value: () }) {
                sum += &hour.derived.totals(&hour.recorded.counts, edge.from, edge.to);
            }
        }
        floor.answer(&question, NOTHING_COUNTS, sum)
    }
}

fn start(kept: &Kept, minor: u64) -> Follower {
    let mut follower = Follower::new(at(kept.until), kept.position.seen);
    let last = kept.read(Interval { from: at(kept.until - 3600), to: at(kept.until - 1), value: () });
    let log = |_| {
        let mut log = UnitLog::new();
        last.iter().for_each(|hour| log.restore(&hour.recorded));
        log
    };
    follower.set_units(vec![follow(minor)], log, |tag| kept.shown.get(&tag).copied());
    follower
}

fn mend(follower: &mut Follower, kept: &mut Kept) {
    while let Some((unit, late)) = follower.next_late() {
        for mut mending in Mending::of(unit, &late) {
            while let Some(stretch) = mending.needs(follower) {
                let hours = kept.read(stretch.window);
                let batch = mending.step(follower, &stretch, &hours, Vec::new(), NOTHING_COUNTS);
                kept.keep(&batch);
            }
        }
        follower.mended(unit);
    }
    kept.shown.extend(follower.shown(at(kept.until)));
    kept.position = follower.position(at(kept.until));
}

/// A frame that came: when, and what is in it.
type Came = (FrameHead, Vec<Sample>);

fn feed(follower: &mut Follower, frames: &[Came], from: Seq) {
    for (head, samples) in frames {
        if head.seq >= from {
            follower.take(*head, samples);
        } else if head.seq.next() == from {
            follower.goes_on_after(*head);
        }
    }
}

/// Readings with the second they are of, and how late they come.
fn readings() -> impl Strategy<Value = Vec<Came>> {
    let late = prop_oneof![6 => 0i64..3, 2 => 0i64..400, 1 => 0i64..20_000];
    let reading = (1i64..30_000, 0u32..4, late);
    (proptest::collection::vec(reading, 1..60), 0i64..30_000, 1usize..5).prop_map(
        |(mut readings, restart, together)| {
            // What is said at one instant is said once.
            readings.sort_unstable();
            readings.dedup_by_key(|(second, tag, _)| (*second, *tag));
            // Each state once, and one from the beginning, so that nothing repeats what was before it: of those, the later is not kept as
            // a point of its own, and what comes late between them holds beyond it.
            let (mut state, mut total) = (0i64, 0i64);
            readings.retain(|(_, tag, _)| {
                state += i64::from(*tag == 0);
                *tag != 0 || state <= 16
            });
            (state, total) = (0, total);
            let mut mode = 0;
            let mut samples: Vec<Sample> = readings
                .iter()
                .enumerate()
                .map(|(n, (second, tag, late))| {
                    let value = match tag {
                        0 => {
                            state += 1;
                            Value::Int64(state)
                        }
                        1 => {
                            mode = mode % 29 + 1;
                            Value::Int64(mode)
                        }
                        2 => {
                            total += 1 + i64::try_from(n).expect("is small");
                            Value::Int64(total)
                        }
                        _ => Value::Double(1.0),
                    };
                    sample(*tag, value, *second, second + *late)
                })
                .collect();
            samples.sort_by_key(|sample| sample.received_ts);
            samples.splice(0..0, [sample(0, Value::Int64(17), 0, 0), sample(1, Value::Int64(30), 0, 0)]);
            samples
                .chunks(together)
                .zip(1..)
                .map(|(samples, seq)| {
                    let received = samples.iter().map(|sample| sample.received_ts).max().expect("not empty");
                    (
                        FrameHead { seq: Seq(seq), epoch: 1 + u64::from(received > at(restart)), received },
                        samples.to_vec(),
                    )
                })
                .collect()
        },
    )
}

/// What happens after a frame.
#[derive(Clone, Copy, Debug)]
enum Then {
    Nothing,
    Keep,
    Mend,
    Kill,
}

fn thens() -> impl Strategy<Value = Vec<Then>> {
    let then =
        prop_oneof![4 => Just(Then::Nothing), 3 => Just(Then::Keep), 2 => Just(Then::Mend), 1 => Just(Then::Kill)];
    proptest::collection::vec(then, 64)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 512, ..ProptestConfig::default() })]
    #[test]
    fn what_is_kept_and_read_again_is_what_plain_reading_gives(
        frames in readings(), thens in thens(), minor in 0u64..=3600, windows in proptest::collection::vec((0i64..60_000, 0i64..60_000), 4),
    ) {
        // Nothing is late for hours that are long over.
        let mut plain = start(&Kept { until: -36_000, ..Kept::default() }, minor);
        feed(&mut plain, &frames, Seq(1));
        let mut kept = Kept::default();
        let mut follower = start(&kept, minor);
        for (n, (frame, then)) in frames.iter().zip(thens).enumerate() {
            follower.take(frame.0, &frame.1);
            match then {
                Then::Nothing => {}
                Then::Mend => mend(&mut follower, &mut kept),
                Then::Keep => {
                    mend(&mut follower, &mut kept);
                    while let Some(batch) = follower.batch(NOTHING_COUNTS, frame.0.received) {
                        kept.until = (batch.until().expect("has hours").micros() - BEGINS) / 1_000_000;
                        kept.shown.extend(follower.shown(at(kept.until)));
                        kept.keep(&batch);
                        follower.kept(&batch);
                        kept.position = follower.position(at(kept.until));
                    }
                }
                Then::Kill => {
                    follower = start(&kept, minor);
                    let from = kept.position.from.max(Seq(1));
                    feed(&mut follower, &frames[..=n], from);
                }
            }
        }
        mend(&mut follower, &mut kept);
        let now = at(60_000);
        for (from, to) in windows.into_iter().map(|(a, b)| (a.min(b), a.max(b) + 1)).chain([(0, 60_000)]) {
            let plainly = plain.floor().log_of(UNIT).expect("is there").totals(follow(minor).settings.rules, NOTHING_COUNTS, at(from), at(to));
            prop_assert_eq!(kept.totals(follower.floor(), at(from), at(to), now), plainly, "from {} to {}", from, to);
        }
    }
}

#[test]
fn between_two_runs_nothing_is_known() {
    let mut follower = start(&Kept::default(), 0);
    let head = |seq, epoch, second| FrameHead { seq: Seq(seq), epoch, received: at(second) };
    follower.take(head(1, 1, 10), &[sample(0, Value::Int64(6), 10, 10)]);
    follower.take(head(2, 1, 100), &[]);
    follower.take(head(3, 2, 500), &[]);
    follower.take(head(4, 2, 600), &[sample(0, Value::Int64(6), 600, 600)]);
    let totals =
        follower.floor().log_of(UNIT).expect("is there").totals(Rules::default(), NOTHING_COUNTS, at(0), at(1000));
    // 10 s before the first word, and from the last sign of life to the next word.
    assert_eq!(totals.sums.micros(Element::Unknown), 510_000_000);
}

#[test]
fn a_machine_that_falls_silent_is_unknown_since_then() {
    let mut follow = follow(0);
    follow.silent_after = Some(Duration::from_secs(60));
    let mut follower = Follower::new(at(0), Seq(0));
    follower.set_units(vec![follow], |_| UnitLog::new(), |_| None);
    let head = |seq, second| FrameHead { seq: Seq(seq), epoch: 1, received: at(second) };
    follower.take(head(1, 10), &[sample(0, Value::Int64(6), 10, 10)]);
    follower.silence(at(90));
    assert_eq!(
        follower.floor().last(UNIT).and_then(|said| said.seen.state),
        Some(State::Execute),
        "it may be on its way"
    );
    follower.silence(at(101));
    let last = follower.floor().last(UNIT).expect("said something");
    assert_eq!((last.at, last.seen.state), (at(70), None));
    follower.take(head(2, 300), &[sample(0, Value::Int64(6), 300, 300)]);
    let totals =
        follower.floor().log_of(UNIT).expect("is there").totals(Rules::default(), NOTHING_COUNTS, at(10), at(400));
    assert_eq!(totals.sums.micros(Element::Unknown), 230_000_000);
}

#[test]
fn what_counters_and_values_do_that_is_odd_is_told_once_an_hour() {
    let mut follower = start(&Kept::default(), 0);
    let head = |seq| FrameHead { seq: Seq(seq), epoch: 1, received: at(10) };
    let samples: Vec<_> =
        [5, 2, 1, 9].iter().zip(10..).map(|(n, second)| sample(2, Value::Int64(*n), second, second)).collect();
    follower.take(head(1), &samples);
    follower.take(head(2), &[sample(0, Value::Int64(99), 20, 20), sample(0, Value::Int64(98), 21, 21)]);
    let told: Vec<_> = follower.take_remarks().into_iter().map(|(_, remark)| remark).collect();
    assert_eq!(
        told,
        [
            Remark::Counter { tag: path("u/good"), oddity: Oddity::Reset },
            Remark::NoMeaning { tag: path("u/state"), value: "99".to_owned() }
        ]
    );
    let totals =
        follower.floor().log_of(UNIT).expect("is there").totals(Rules::default(), NOTHING_COUNTS, at(0), at(100));
    // 2 and 1 since the resets, and 8 more.
    assert_eq!(totals.sums.amounts.good, crate::quantity::Quantity::pieces(11).expect("is small"));
}

#[test]
fn a_clock_that_is_ahead_says_nothing_of_what_is_to_come() {
    let mut follower = start(&Kept::default(), 0);
    follower.take(FrameHead { seq: Seq(1), epoch: 1, received: at(10) }, &[sample(0, Value::Int64(6), 90_000, 10)]);
    assert_eq!(follower.floor().last(UNIT).map(|said| said.at), Some(at(10).plus(Duration::from_millis(500))));
}

#[test]
fn an_order_and_a_calendar_of_kept_hours_stay_when_something_late_comes() {
    let mut kept = Kept::default();
    let mut follower = start(&kept, 0);
    let floor = follower.floor_mut();
    floor.plan(UNIT, at(0), at(1800), Planned::Break).expect("a span");
    floor
        .job(UNIT, at(2000), Some(Job { id: JobId(3), planned_run_time_per_item_ns: Some(2_000_000_000) }))
        .expect("in time");
    let head = |seq, second| FrameHead { seq: Seq(seq), epoch: 1, received: at(second) };
    follower.take(head(1, 2000), &[sample(0, Value::Int64(2), 10, 10), sample(0, Value::Int64(6), 2000, 2000)]);
    follower.take(head(2, 8000), &[]);
    while let Some(batch) = follower.batch(NOTHING_COUNTS, at(8000)) {
        kept.until = (batch.until().expect("has hours").micros() - BEGINS) / 1_000_000;
        kept.keep(&batch);
        follower.kept(&batch);
    }
    assert_eq!(kept.until, 7200);
    let made = |kept: &Kept, follower: &Follower| kept.totals(follower.floor(), at(0), at(7200), at(8000));
    assert_eq!(made(&kept, &follower).sums.micros(Element::PlannedDown), 1_800_000_000);
    follower.take(head(3, 8010), &[sample(0, Value::Int64(11), 2500, 8010), sample(3, Value::Double(2.0), 2600, 8010)]);
    mend(&mut follower, &mut kept);
    let sums = made(&kept, &follower).sums;
    assert_eq!(sums.micros(Element::PlannedDown), 1_800_000_000);
    assert_eq!(sums.micros(Element::Delay), (7200 - 2500) * 1_000_000);
    assert!((sums.work_produced_s() - 4.0).abs() < 1e-9, "two items of two seconds each, as the order said");
    assert_eq!(follower.floor().last(UNIT).and_then(|said| said.seen.state), Some(State::Held), "it holds on");
}

#[test]
fn what_a_tag_said_that_is_the_machines_no_more_does_not_hold() {
    let mut follower = start(&Kept::default(), 0);
    let head = |seq, second| FrameHead { seq: Seq(seq), epoch: 1, received: at(second) };
    follower.take(head(1, 20), &[sample(0, Value::Int64(6), 10, 20), sample(1, Value::Int64(2), 10, 20)]);
    let last = |follower: &Follower| follower.floor().last(UNIT).map(|said| said.seen);
    assert_eq!(last(&follower), Some(Seen { state: Some(State::Execute), mode: Some(Mode::Maintenance) }));
    let mut other = follow(0);
    other.machine.mode = None;
    assert_eq!(follower.set_units(vec![other], |_| UnitLog::new(), |_| None), [UNIT]);
    assert_eq!(last(&follower), Some(Seen { state: Some(State::Execute), mode: None }));
    let mut other = follow(0);
    (other.machine.mode, other.machine.state) =
        (None, Some(StateTag { tag: path("u/good"), meanings: Meanings::Above(0.5) }));
    let unsaid = follower.set_units(vec![other], |_| UnitLog::new(), |_| None);
    assert_eq!(last(&follower), Some(Seen { state: None, mode: None }));
    follower.hear_before(&unsaid, &|tag| (tag == TagId(2)).then(|| sample(2, Value::Int64(5), 3, 3)));
    assert_eq!(last(&follower).and_then(|seen| seen.state), Some(State::Execute), "the other tag has said something");
}

#[test]
fn a_source_whose_clock_is_behind_is_not_silent_for_that() {
    let mut follow = follow(0);
    follow.silent_after = Some(Duration::from_secs(5));
    let mut follower = Follower::new(at(0), Seq(0));
    follower.set_units(vec![follow], |_| UnitLog::new(), |_| None);
    for second in 0..60 {
        let head =
            FrameHead { seq: Seq(1 + u64::try_from(second).expect("is small")), epoch: 1, received: at(600 + second) };
        follower.take(head, &[sample(0, Value::Int64(6), 300 + second, 600 + second)]);
        follower.silence(at(601 + second));
    }
    assert_eq!(follower.floor().last(UNIT).and_then(|said| said.seen.state), Some(State::Execute));
    follower.silence(at(800));
    assert_eq!(follower.floor().last(UNIT).map(|said| (said.at, said.seen.state)), Some((at(364), None)));
}

#[test]
fn since_when_a_state_holds_is_known_beyond_what_is_kept_and_over_a_start() {
    let mut kept = Kept::default();
    let mut follower = start(&kept, 0);
    let head = |seq, second| FrameHead { seq: Seq(seq), epoch: 1, received: at(second) };
    follower.take(head(1, 700), &[sample(0, Value::Int64(6), 600, 700), sample(1, Value::Int64(1), 650, 700)]);
    follower.take(head(2, 20_000), &[sample(1, Value::Int64(2), 19_000, 20_000)]);
    while let Some(batch) = follower.batch(NOTHING_COUNTS, at(20_000)) {
        kept.until = (batch.until().expect("has hours").micros() - BEGINS) / 1_000_000;
        kept.keep(&batch);
        follower.kept(&batch);
    }
    assert_eq!((kept.until, follower.since(UNIT)), (18_000, Some(at(600))), "of the state, not of the mode");
    let mut log = UnitLog::new();
    kept.read(Interval { from: at(0), to: at(18_000), value: () }).iter().for_each(|hour| log.restore(&hour.recorded));
    let mut again = Follower::new(at(18_000), Seq(2));
    again.set_units(vec![follow(0)], |_| log.clone(), |_| None);
    assert_eq!(again.since(UNIT), Some(at(600)));
}

#[test]
fn what_an_earlier_run_told_is_not_told_again() {
    let kept = Kept { position: Position { from: Seq(1), seen: Seq(1) }, ..Kept::default() };
    let mut follower = start(&kept, 0);
    let head = |seq| FrameHead { seq: Seq(seq), epoch: 1, received: at(10) };
    let odd = |second| [sample(2, Value::Int64(5), second, second), sample(2, Value::Int64(2), second + 1, second + 1)];
    follower.take(head(1), &odd(10));
    assert_eq!(follower.take_remarks(), []);
    follower.take(head(2), &odd(4000));
    assert_eq!(follower.take_remarks().len(), 1);
}
