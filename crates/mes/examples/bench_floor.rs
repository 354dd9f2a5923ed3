//! A big plant at full speed: what its KPIs cost, live.
//!
//! `cargo run --release -p andon-mes --example bench_floor [SECONDS]`: 50 lines of 20 units, each with a change of state a second, and 200 counts a second in
//! all; after each second everything is settled and every node's OEE made. Hours that are over are encoded and added to slots as they would be kept.

use andon_mes::element::Seen;
use andon_mes::floor::{Floor, NodeId, UnitId, UnitSettings};
use andon_mes::kpi::{Figures, Kpi};
use andon_mes::packml::State;
use andon_mes::quantity::Quantity;
use andon_mes::rollup::{Slot, Totals};
use andon_mes::unit::{Count, Made, Rules, UnitLog};
use andon_model::Timestamp;
use std::collections::HashMap;
use std::time::Duration;

const LINES: u32 = 50;
const UNITS: u32 = 20;
const COUNTS: u32 = 200;
const SITE: NodeId = NodeId(100_000);

/// CPU time of this process, in seconds.
fn cpu() -> f64 {
    let stat = std::fs::read_to_string("/proc/self/stat").unwrap_or_default();
    let fields: Vec<f64> = stat
        .rsplit(')')
        .next()
        .unwrap_or_default()
        .split_whitespace()
        .map(|field| field.parse().unwrap_or(0.0))
        .collect();
    // utime and stime, in hundredths; the first field after the name is the third of the line.
    (fields.get(11).unwrap_or(&0.0) + fields.get(12).unwrap_or(&0.0)) / 100.0
}

fn main() {
    let seconds: i64 = std::env::args().nth(1).and_then(|text| text.parse().ok()).unwrap_or(7200);
    let begins = 1_780_000_000 / 3600 * 3600;
    let at = |second: i64, micros: i64| Timestamp::from_micros((begins + second) * 1_000_000 + micros);
    let mut floor = Floor::new(at(0, 0));
    let rules = Rules {
        minor_stop_under: Duration::from_secs(60),
        planned_run_time_per_item_ns: Some(1_000_000_000),
        ..Rules::default()
    };
    for unit in 0..LINES * UNITS {
        let nodes = vec![NodeId(unit), NodeId(50_000 + unit / UNITS), SITE];
        floor.set_unit(UnitId(unit), UnitSettings { rules, nodes }, UnitLog::new);
    }
    let states = [State::Execute, State::Held, State::Execute, State::Suspended, State::Execute, State::Starting];
    let counts_as = |_| None;
    let mut slots: HashMap<(NodeId, Slot), Totals> = HashMap::new();
    let mut bytes = 0;
    let mut worst = Duration::ZERO;
    let (started, mut oee) = (cpu(), 0.0);
    for second in 0..seconds {
        let clock = stopwatch();
        for unit in 0..LINES * UNITS {
            let state = states[(usize::try_from(second).unwrap_or(0) + unit as usize) % states.len()];
            floor
                .observe(UnitId(unit), at(second, i64::from(unit) * 997), Seen::producing(state), None)
                .expect("comes in time");
        }
        for n in 0..COUNTS {
            let count = Count {
                at: at(second, i64::from(n) * 4999),
                made: Made::Good,
                quantity: Quantity::from_millionths(1_000_000),
                by_person: false,
            };
            floor.count(UnitId(n * 5 % (LINES * UNITS)), count).expect("comes in time");
        }
        let now = at(second + 1, 0);
        floor.settle(&counts_as, now);
        for totals in floor.here(&counts_as, now).values() {
            oee += Kpi::Oee.of(&Figures::from(&totals.sums)).and_then(|oee| oee.value).unwrap_or(0.0);
        }
        if let Some(batch) = floor.batch(&counts_as, now) {
            for hour in &batch.hours {
                bytes += hour.recorded.encode(hour.hour.from()).len() + hour.derived.encode(hour.hour.from()).len();
            }
            for (key, added) in &batch.added {
                *slots.entry(*key).or_default() += added;
            }
            floor.kept(&batch);
        }
        worst = worst.max(clock());
    }
    let used = cpu() - started;
    println!(
        "live: {:.1} % of a core; {} units, {} nodes, a change a second each, {COUNTS} counts a second; longest second {worst:?}",
        used / seconds as f64 * 100.0,
        LINES * UNITS,
        LINES * UNITS + LINES + 1
    );
    println!(
        "kept: {:.1} bytes a change",
        bytes as f64 / (seconds / 3600 * 3600).max(1) as f64 / f64::from(LINES * UNITS)
    );
    std::hint::black_box(oee);
}

/// How long something takes.
#[expect(clippy::disallowed_methods, reason = "a benchmark measures real time")]
fn stopwatch() -> impl Fn() -> Duration {
    let started = std::time::Instant::now();
    move || started.elapsed()
}
