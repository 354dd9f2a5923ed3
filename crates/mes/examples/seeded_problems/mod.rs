//! Twenty problems that come from a seed: what the schedule is measured with.

use andon_mes::schedule::{Alternative, Changeovers, Equipment, EquipmentId, FamilyId, Job, Operation, Request, Span};
use andon_mes::unit::JobId;
use andon_model::Timestamp;
use std::collections::BTreeMap;
use std::num::NonZeroU16;
use std::time::Duration;

/// Minutes, the unit of all that follows.
const MINUTE: Duration = Duration::from_secs(60);
/// The seeds of each class.
pub const SEEDS: std::ops::RangeInclusive<u64> = 1..=5;

/// A kind of problem.
pub struct Class {
    /// What a table calls it.
    pub name: &'static str,
    /// Fewest and most job orders, operations of each, and equipment at each step of the routing.
    orders: (u64, u64),
    steps: u64,
    each: u64,
    /// Whether every order goes through the steps in its own order.
    shop: bool,
    /// How much of the load is due before it can be done, in percent; and how far due dates lie apart.
    late: u64,
    range: u64,
    /// Whether equipment works in two shifts of eight hours.
    shifts: bool,
}

/// 50 to 200 operations on 5 to 20 work units.
pub const CLASSES: [Class; 4] = [
    Class {
        name: "parallel, tight",
        orders: (50, 100),
        steps: 1,
        each: 5,
        shop: false,
        late: 60,
        range: 50,
        shifts: false,
    },
    Class {
        name: "parallel, loose, shifts",
        orders: (50, 100),
        steps: 1,
        each: 8,
        shop: false,
        late: 20,
        range: 60,
        shifts: true,
    },
    Class { name: "flow, tight", orders: (30, 60), steps: 3, each: 4, shop: false, late: 50, range: 50, shifts: false },
    Class {
        name: "job shop, loose, shifts",
        orders: (20, 40),
        steps: 5,
        each: 4,
        shop: true,
        late: 15,
        range: 60,
        shifts: true,
    },
];

/// 1,000 operations on 50 work units, for the time that it takes.
pub const LARGE: Class =
    Class { name: "large", orders: (200, 200), steps: 5, each: 10, shop: true, late: 30, range: 60, shifts: true };

/// Numbers from a seed (SplitMix64).
struct Random(u64);

impl Random {
    /// Both ends included.
    fn between(&mut self, least: u64, most: u64) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut bits = self.0;
        bits = (bits ^ (bits >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        bits = (bits ^ (bits >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        least + (bits ^ (bits >> 31)) % (most - least + 1)
    }
}

impl Class {
    /// The problem of a seed. Runs take 20 to 120 minutes, on some equipment up to a quarter longer, in steps of five; changeovers between six families 10 to 40.
    pub fn problem(&self, seed: u64) -> Request {
        let mut random = Random(seed);
        let orders = random.between(self.orders.0, self.orders.1);
        let from = Timestamp::from_millis(1_800_000_000_000);
        let equipment = (0..self.steps * self.each).map(|unit| self.equipment(from, unit, &mut random)).collect();
        let mut times = BTreeMap::new();
        for pair in (0..6).flat_map(|one| (0..6).map(move |other| (one, other))).filter(|(one, other)| one != other) {
            times.insert((FamilyId(pair.0), FamilyId(pair.1)), five_minutes(random.between(2, 8)));
        }
        let changeovers = Changeovers { otherwise: five_minutes(4), times, interruptible: true };
        let mut jobs: Vec<Job> = (0..orders).map(|number| self.job(number, &mut random)).collect();
        self.set_dates(from, &mut jobs, &mut random);
        Request { from, equipment, changeovers, jobs }
    }

    fn equipment(&self, from: Timestamp, unit: u64, random: &mut Random) -> Equipment {
        let nights = (0..60u32).map(|day| Span {
            from: from.plus(MINUTE * (day * 1440 + 960)),
            to: from.plus(MINUTE * (day * 1440 + 1440)),
        });
        Equipment {
            id: EquipmentId(u32::try_from(unit).unwrap_or(0)),
            set_to: Some(family(random)),
            closed: if self.shifts { nights.collect() } else { Vec::new() },
            changeovers: None,
        }
    }

    fn job(&self, number: u64, random: &mut Random) -> Job {
        let mut route: Vec<u64> = (0..self.steps).collect();
        if self.shop {
            for place in (1..route.len()).rev() {
                let other = random.between(0, place as u64);
                route.swap(place, usize::try_from(other).unwrap_or(0));
            }
        }
        let operations = route.into_iter().map(|step| {
            let run = random.between(4, 24);
            let count = if self.steps == 1 { self.each } else { random.between(1, 3) };
            let shift = random.between(0, self.each - 1);
            let alternative = |unit: u64, random: &mut Random| Alternative {
                equipment: EquipmentId(u32::try_from(step * self.each + (unit + shift) % self.each).unwrap_or(0)),
                run: five_minutes(run + random.between(0, run / 4)),
            };
            Operation {
                alternatives: (0..count).map(|unit| alternative(unit, random)).collect(),
                family: family(random),
                interruptible: true,
                wait: Duration::ZERO,
                material_ready: None,
                pin: None,
            }
        });
        let operations = operations.collect();
        let weight = u16::try_from(random.between(1, 5)).ok().and_then(NonZeroU16::new).unwrap_or(NonZeroU16::MIN);
        Job { id: JobId(number + 1), release: None, due: None, weight, operations }
    }

    /// Due dates around what the load lets expect: a mean of (1 − late) of its time, spread over the range.
    fn set_dates(&self, from: Timestamp, jobs: &mut [Job], random: &mut Random) {
        let shortest = |operation: &Operation| operation.alternatives.iter().map(|it| it.run).min().unwrap_or_default();
        let load: Duration = jobs.iter().flat_map(|job| &job.operations).map(shortest).sum();
        // With a sixth for changeovers, and a third of the day closed.
        let calendar = if self.shifts { 9 } else { 6 };
        let minutes = load.as_secs() / 60 / (self.steps * self.each) * 7 * calendar / 36;
        let middle = minutes * (100 - self.late) / 100;
        let half = minutes * self.range / 200;
        for job in jobs {
            let own: Duration = job.operations.iter().map(shortest).sum();
            let due = random.between(middle.saturating_sub(half), middle + half).max(own.as_secs() / 60);
            job.due = Some(from.plus(MINUTE * u32::try_from(due).unwrap_or(0)));
            let release = random.between(0, minutes / 4);
            job.release = (random.between(0, 2) == 0).then(|| from.plus(MINUTE * u32::try_from(release).unwrap_or(0)));
        }
    }
}

fn five_minutes(count: u64) -> Duration {
    MINUTE * 5 * u32::try_from(count).unwrap_or(0)
}

fn family(random: &mut Random) -> FamilyId {
    FamilyId(u32::try_from(random.between(0, 5)).unwrap_or(0))
}
