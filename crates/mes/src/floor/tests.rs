//! Tests of `floor`.

use super::*;
use crate::element::Element;
use crate::packml::State;
use crate::quantity::Quantity;
use crate::unit::{Change, JobId, Made};
use proptest::prelude::*;
use std::collections::HashMap;
use uuid::Uuid;

const SITE: NodeId = NodeId(100);
const LINE: [NodeId; 2] = [NodeId(10), NodeId(11)];
const HOURS: i64 = 30;

fn counts_as(reason: ReasonId) -> Option<Element> {
    (reason == ReasonId(2)).then_some(Element::Setup)
}

fn at(second: i64) -> Timestamp {
    // Not at the beginning of a day, so that days and groups of days begin within.
    Timestamp::from_micros((1_782_000_000 / 3600 * 3600 + second) * 1_000_000)
}

/// Three units on two lines, each with a limit for minor stops of its own.
fn settings(unit: u32) -> UnitSettings {
    let rules = Rules {
        minor_stop_under: Duration::from_secs(u64::from(unit) * 1700),
        planned_run_time_per_item_ns: Some(1_000_000_000),
        ..Rules::default()
    };
    UnitSettings { rules, nodes: vec![NodeId(unit), LINE[usize::from(unit == 2)], SITE] }
}

/// Somebody who keeps what is to be kept, as bytes.
#[derive(Default)]
struct Keeper {
    hours: HashMap<(UnitId, Slot), (Vec<u8>, Vec<u8>)>,
    slots: HashMap<(NodeId, Slot), Vec<u8>>,
}

impl Keeper {
    fn keep(&mut self, batch: &Batch) {
        for hour in &batch.hours {
            let begins = hour.hour.from();
            self.hours.insert((hour.unit, hour.hour), (hour.recorded.encode(begins), hour.derived.encode(begins)));
        }
        for (key, added) in &batch.added {
            let before =
                self.slots.get(key).map(|bytes| Totals::decode(bytes).expect("are totals")).unwrap_or_default();
            self.slots.insert(*key, (before + added).encode());
        }
    }

    fn hour(&self, unit: UnitId, hour: Slot) -> Option<KeptHour> {
        let (recorded, derived) = self.hours.get(&(unit, hour))?;
        let recorded = RecordedHour::decode(hour.from(), recorded).expect("is an hour");
        let derived = DerivedHour::decode(hour.from(), derived).expect("is an hour");
        let totals = derived.totals(&recorded.counts, hour.from(), hour.to());
        Some(KeptHour { unit, hour, recorded, derived, totals })
    }

    fn answer(&self, floor: &Floor, node: NodeId, from: Timestamp, to: Timestamp, now: Timestamp) -> Totals {
        let question = floor.question(node, from, to, now);
        let mut kept = Totals::default();
        for slot in &question.kept.slots {
            if let Some(bytes) = self.slots.get(&(node, *slot)) {
                kept += &Totals::decode(bytes).expect("are totals");
            }
        }
        for edge in &question.kept.edges {
            for unit in floor.units_of(node) {
                if let Some(hour) = self.hour(unit, Slot::of(Level::Hour, edge.from)) {
                    kept += &hour.derived.totals(&hour.recorded.counts, edge.from, edge.to);
                }
            }
        }
        floor.answer(&question, &counts_as, kept)
    }
}

/// What happens on the floor, at random: seconds since the happening before.
#[derive(Clone, Debug)]
enum Happens {
    Seen(u32, i64, State, bool),
    Made(u32, i64, Made, i64),
    Job(u32, i64, Option<u64>),
    Plan(u32, i64, i64, Planned),
    Correct(u32, i64, i64, bool),
    /// A machine was not heard, and says late what it was in.
    Late(u32, i64, State),
    Settle,
    Keep,
}

fn happenings() -> impl Strategy<Value = Vec<Happens>> {
    let state = || {
        proptest::sample::select(vec![
            State::Execute,
            State::Held,
            State::Suspended,
            State::Starting,
            State::Aborted,
            State::Idle,
        ])
    };
    let planned = proptest::sample::select(vec![Planned::Off, Planned::Busy, Planned::Break]);
    let made = proptest::sample::select(vec![Made::Good, Made::Scrap, Made::Rework]);
    let one = prop_oneof![
        8 => (0u32..3, 0i64..2000, state(), any::<bool>()).prop_map(|(unit, step, state, reason)| Happens::Seen(unit, step, state, reason)),
        4 => (0u32..3, 0i64..2000, made, -5_000_000i64..90_000_000).prop_map(|(unit, step, made, n)| Happens::Made(unit, step, made, n)),
        1 => (0u32..3, 0i64..2000, proptest::option::of(1u64..9)).prop_map(|(unit, step, job)| Happens::Job(unit, step, job)),
        1 => (0u32..3, -50_000i64..9000, 1i64..30_000, planned).prop_map(|(unit, from, long, planned)| Happens::Plan(unit, from, long, planned)),
        2 => (0u32..3, 0i64..150_000, 1i64..20_000, any::<bool>()).prop_map(|(unit, ago, long, reason)| Happens::Correct(unit, ago, long, reason)),
        1 => (0u32..3, 0i64..100_000, state()).prop_map(|(unit, ago, state)| Happens::Late(unit, ago, state)),
        2 => Just(Happens::Keep),
        2 => Just(Happens::Settle),
    ];
    proptest::collection::vec(one, 0..150)
}

/// The floor, who keeps for it, and beside them logs that forget nothing.
struct Stand {
    floor: Floor,
    keeper: Keeper,
    all: Vec<UnitLog>,
    now: i64,
}

impl Stand {
    fn new() -> Self {
        let mut floor = Floor::new(at(0));
        (0..3).for_each(|unit| floor.set_unit(UnitId(unit), settings(unit), UnitLog::new));
        Self { floor, keeper: Keeper::default(), all: vec![UnitLog::new(); 3], now: 0 }
    }

    /// The log of a unit over a window, from the records that are kept and those that are here, and what people, orders and calendars said: that comes
    /// from elsewhere, here from the log that forgets nothing.
    fn log(&self, unit: u32, from: Timestamp, to: Timestamp) -> UnitLog {
        let mut log = self.all[unit as usize].without_records();
        let mut hour = Slot::of(Level::Hour, from);
        while hour.from() < to {
            match self.keeper.hour(UnitId(unit), hour) {
                Some(kept) => log.restore(&kept.recorded),
                None => self
                    .floor
                    .recorded(UnitId(unit), hour.from(), hour.to())
                    .iter()
                    .for_each(|recorded| log.restore(recorded)),
            }
            hour = Slot::of(Level::Hour, hour.to());
        }
        log
    }

    /// Changes what is kept of a span.
    fn change(&mut self, unit: u32, from: Timestamp, to: Timestamp, lay: impl FnOnce(&mut UnitLog)) {
        let settings = settings(unit);
        let (slots, window) = touched(settings.rules, from, to, self.floor.kept_until());
        let mut log = self.log(unit, window.from, window.to);
        lay(&mut log);
        let before: Vec<_> = slots.iter().filter_map(|slot| self.keeper.hour(UnitId(unit), *slot)).collect();
        self.keeper.keep(&change(UnitId(unit), &settings, &log, &counts_as, &before));
    }

    fn happens(&mut self, happening: Happens, number: u32) {
        match happening {
            Happens::Seen(unit, step, state, reason) => {
                self.now += step;
                let (seen, reason) = (Seen::producing(state), reason.then_some(ReasonId(number % 3)));
                self.floor.observe(UnitId(unit), at(self.now), seen, reason).expect("is not kept");
                self.all[unit as usize].observe(at(self.now), seen, reason);
            }
            Happens::Made(unit, step, made, millionths) => {
                self.now += step;
                let quantity = Quantity::from_millionths(millionths);
                let count = Count { at: at(self.now), made, quantity, by_person: number.is_multiple_of(3) };
                self.floor.count(UnitId(unit), count).expect("is not kept");
                self.all[unit as usize].count(count);
            }
            Happens::Job(unit, step, job) => {
                self.now += step;
                let job = job.map(|job| Job {
                    id: JobId(job),
                    planned_run_time_per_item_ns: (job > 2).then_some(job * 100_000_000),
                });
                self.floor.job(UnitId(unit), at(self.now), job).expect("is not kept");
                self.all[unit as usize].job(at(self.now), job).expect("comes in order");
            }
            Happens::Plan(unit, ahead, long, planned) => {
                let (from, to) = (at(self.now + ahead), at(self.now + ahead + long));
                self.floor.plan(UnitId(unit), from, to, planned).expect("is a span");
                self.all[unit as usize].plan(from, to, planned).expect("is a span");
                self.change(unit, from, to, |_| ());
            }
            Happens::Correct(unit, ago, long, reason) => {
                let (from, to) = (at((self.now - ago).max(0)), at((self.now - ago + long).min(self.now)));
                let change = if reason {
                    Change::Reason(ReasonId(number % 3))
                } else {
                    Change::State(Seen::producing(State::Suspended))
                };
                let correction = Correction { from, to, change, by: Uuid::nil(), at: at(self.now) };
                if self.all[unit as usize].correct(number, correction.clone()).is_ok() {
                    self.floor.correct(UnitId(unit), number, correction).expect("as there");
                    self.change(unit, from, to, |_| ());
                }
            }
            Happens::Late(unit, ago, state) => {
                let when = at((self.now - ago).max(0));
                let seen = Seen::producing(state);
                if self.floor.observe(UnitId(unit), when, seen, None).is_err() {
                    let ends = self.log(unit, when, at(self.now + 1)).next_change(when).unwrap_or(Timestamp::MAX);
                    self.change(unit, when, ends.min(at(self.now)), |log| log.was(when, ends, seen, None));
                    self.floor.late(UnitId(unit), when, ends, seen, None);
                }
                self.all[unit as usize].observe(when, seen, None);
            }
            Happens::Settle => self.floor.settle(&counts_as, at(self.now)),
            Happens::Keep => {
                if let Some(batch) = self.floor.batch(&counts_as, at(self.now)) {
                    self.keeper.keep(&batch);
                    self.floor.kept(&batch);
                }
            }
        }
    }
}

proptest! {
    /// The totals of any node over any window, after whatever happened, are those that the rows give when they are added up anew.
    #[test]
    fn every_answer_is_what_the_rows_give(happenings in happenings(), windows in proptest::collection::vec((0i64..HOURS * 3600, 0i64..HOURS * 3600), 4)) {
        let mut stand = Stand::new();
        for (number, happening) in (0u32..).zip(happenings) {
            stand.happens(happening, number);
        }
        let now = at(stand.now);
        let here = stand.floor.here(&counts_as, now);
        for node in [NodeId(1), LINE[0], SITE] {
            let told = stand.keeper.answer(&stand.floor, node, stand.floor.kept_until(), now, now);
            prop_assert_eq!(here.get(&node).cloned().unwrap_or_default(), told);
        }
        for (a, b) in windows.into_iter().chain([(0, stand.now)]) {
            let (from, to, now) = (at(a.min(b)), at(a.max(b)), at(stand.now));
            for node in [NodeId(0), NodeId(1), NodeId(2), LINE[0], LINE[1], SITE] {
                let told = stand.keeper.answer(&stand.floor, node, from, to, now);
                let rows = (0..3u32).filter(|unit| settings(*unit).nodes.contains(&node)).map(|unit| {
                    stand.all[unit as usize].totals(settings(unit).rules, &counts_as, from, to.min(now))
                });
                let rows = rows.fold(Totals::default(), |sum, totals| sum + &totals);
                prop_assert_eq!(told, rows, "{:?} from {} to {}, kept until {}", node, from, to, stand.floor.kept_until());
            }
        }
    }
}
