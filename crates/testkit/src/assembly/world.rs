//! The assembly line itself, step by step. Pure: no socket, no clock.
//!
//! Four stations in a row, each with one bench, and one place between neighbours. A unit is mounted, tested for leaks,
//! tested electrically and packed, in this order and at one station at a time. What fails a test is repaired once where
//! it is; what fails again is scrap. A station that waits for a neighbour is Suspended, one with a fault of its own is
//! Held or Aborted, and each says why.
//!
//! **Invariants**: no unit is lost or doubled: [`World::begun`] is what was packed, scrapped and is on the line. The
//! same seed and the same controls at the same steps give the same shift. A station changes its state at most once a
//! step, and only along the edges of PackML's base model.
//!
//! Start reading at [`World::step`].

use super::parts::{self, Measured, Parts, Product, Random, Unit};
use super::state::{Reason, State};

/// Steps in which the line makes a unit, while nothing stands.
pub const CYCLE: u32 = 240;

/// Steps that a change of state takes.
const ACTING: u32 = 10;
/// A station that waits less than this does not say that it is suspended.
const PATIENCE: u32 = 100;
/// What a unit takes at each station beside coming and going, which take a step each.
const WORK: [u32; 4] = [CYCLE - 2, 222, 214, 160];
/// What it takes to set a station up for another product.
const SETUP: [u32; 4] = [5 * CYCLE, 2 * CYCLE, 2 * CYCLE, CYCLE];
/// What a station draws at work, and whenever it is on, in W.
const AT_WORK: [u64; 4] = [3_200, 4_500, 9_800, 2_100];
const ON: u64 = 400;
/// Steps in an hour.
const STEPS_AN_HOUR: u64 = 36_000;
/// What a repair takes before the second test.
const REPAIR: u32 = 240;

/// A station, in the order in which units pass.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
#[repr(usize)]
pub enum Place {
    /// Compressor and valve are mounted.
    Mount = 0,
    /// Leak test.
    Leak = 1,
    /// Electrical test at the end of the line.
    Eol = 2,
    /// Into the carton.
    Pack = 3,
}

impl Place {
    /// All of them, in the order in which units pass.
    pub const ALL: [Self; 4] = [Self::Mount, Self::Leak, Self::Eol, Self::Pack];

    /// The last level of its path.
    #[must_use]
    pub const fn name(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Leak => "leak",
            Self::Eol => "eol",
            Self::Pack => "pack",
        }
    }

    const fn before(self) -> Option<usize> {
        (self as usize).checked_sub(1)
    }

    /// Its own faults: how often a unit meets one, what it is, and how long it takes at least and at most.
    const fn fault(self) -> (f64, Reason, u32, u32) {
        match self {
            Self::Mount => (0.03, Reason::ScrewJam, 150, 700),
            Self::Leak => (0.012, Reason::VacuumPump, 600, 2400),
            Self::Eol => (0.015, Reason::TestAdapter, 200, 900),
            Self::Pack => (0.04, Reason::StrappingBand, 300, 1200),
        }
    }
}

/// How often a unit meets an open guard, which aborts the station.
const GUARD_SHARE: f64 = 0.002;

/// What people can set.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Controls {
    /// Whether `mount` begins units.
    pub run: bool,
    /// What it makes.
    pub product: Product,
}

impl Default for Controls {
    /// Nothing is made until somebody says so.
    fn default() -> Self {
        Self { run: false, product: Product::Hp8 }
    }
}

/// What came of a unit at a station.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u8)]
pub enum Verdict {
    /// It is repaired and tested again.
    Failed = 0,
    /// It goes on.
    Passed = 1,
    /// It leaves the line.
    Scrapped = 2,
}

/// A unit that was worked on or tested.
#[derive(Clone, PartialEq, Debug)]
pub struct Report {
    /// The unit.
    pub unit: Unit,
    /// What came of it.
    pub verdict: Verdict,
    /// 1, or 2 after a repair.
    pub attempt: u8,
    /// What was measured.
    pub measured: Measured,
}

/// What a station has to tell.
#[derive(Clone, PartialEq, Debug)]
pub enum Said {
    /// A unit passed, or failed to.
    Unit(Report),
    /// The station's state is another now.
    State(State, Reason),
    /// How many units it made since the start, and what that took.
    Counts {
        /// Passed.
        good: u64,
        /// Scrapped.
        scrap: u64,
        /// Its energy meter, in Wh.
        energy: u64,
    },
}

/// What is on a bench.
#[derive(Debug)]
struct Job {
    unit: Unit,
    /// Steps of work left; 0: it waits to go on.
    left: u32,
    attempt: u8,
    /// How many steps before the end something goes wrong, what, and for how long.
    fault: Option<(u32, Reason, u32)>,
}

#[derive(Debug)]
struct Station {
    state: State,
    reason: Reason,
    /// Steps until the state is over, where its end is a matter of time.
    left: u32,
    bench: Option<Job>,
    /// Steps that it has waited without saying so.
    waited: u32,
    /// Steps that its present fault takes.
    fault: u32,
    tooled: Product,
    good: u64,
    scrap: u64,
    /// What it has drawn since the start, in watts times steps.
    drawn: u64,
}

/// The whole line.
#[derive(Debug)]
pub struct World {
    stations: [Station; 4],
    /// What waits behind each station but the last.
    between: [Option<Unit>; 3],
    parts: Parts,
    random: Random,
    packed: u64,
    said: Vec<(Place, Said)>,
}

impl World {
    /// A line that is ready and has nothing to do. The first unit gets the number `first_unit`.
    #[must_use]
    pub fn new(seed: u64, first_unit: u64) -> Self {
        let station = |_| Station {
            state: State::Idle,
            reason: Reason::Nothing,
            left: 0,
            bench: None,
            waited: 0,
            fault: 0,
            tooled: Product::Hp8,
            good: 0,
            scrap: 0,
            drawn: 0,
        };
        Self {
            stations: Place::ALL.map(station),
            between: [None, None, None],
            parts: Parts::new(first_unit, CYCLE),
            random: Random::new(seed),
            packed: 0,
            said: Vec::new(),
        }
    }

    /// One step further. `room` says of each station whether what it will tell can be kept: one that cannot, begins no
    /// unit. Returns what the stations have to tell.
    pub fn step(&mut self, controls: Controls, room: [bool; 4]) -> Vec<(Place, Said)> {
        self.parts.step();
        // From the end, so that a place that becomes free is seen by who waits for it.
        for place in Place::ALL.into_iter().rev() {
            self.advance(place, controls, room[place as usize]);
        }
        std::mem::take(&mut self.said)
    }

    /// State and reason of a station.
    #[must_use]
    pub fn state(&self, place: Place) -> (State, Reason) {
        let station = &self.stations[place as usize];
        (station.state, station.reason)
    }

    /// What a station made since the start: good and scrap.
    #[must_use]
    pub fn counts(&self, place: Place) -> (u64, u64) {
        let station = &self.stations[place as usize];
        (station.good, station.scrap)
    }

    /// Units that were begun.
    #[must_use]
    pub const fn begun(&self) -> u64 {
        self.parts.begun()
    }

    /// Units that left the line in their cartons.
    #[must_use]
    pub const fn packed(&self) -> u64 {
        self.packed
    }

    /// Units that are on a bench or between two stations.
    #[must_use]
    pub fn in_process(&self) -> usize {
        let benches = self.stations.iter().filter(|station| station.bench.is_some()).count();
        benches + self.between.iter().flatten().count()
    }

    fn advance(&mut self, place: Place, controls: Controls, room: bool) {
        let station = &mut self.stations[place as usize];
        station.drawn += if station.state == State::Execute { AT_WORK[place as usize] } else { ON };
        match (station.state, station.reason) {
            (State::Execute, _) => self.work(place, controls, room),
            (State::Idle, _) => self.wake(place, controls),
            (State::Suspended, reason) => {
                if !self.lasts(place, reason, controls) {
                    self.enter(place, State::Unsuspending, reason, ACTING);
                }
            }
            (State::Held, Reason::NoRecord) if !room => {}
            (state, reason) => {
                station.left = station.left.saturating_sub(1);
                if let Some(next) = state.then().filter(|_| station.left == 0) {
                    self.follow(place, next, reason);
                }
            }
        }
    }

    /// What comes when a state's time is over.
    fn follow(&mut self, place: Place, next: State, reason: Reason) {
        let station = &mut self.stations[place as usize];
        // A fault takes as long as was drawn when it came; everything else is a short way.
        let left = if matches!(next, State::Held | State::Aborted) { station.fault } else { ACTING };
        station.waited = 0;
        let over = matches!(next, State::Execute | State::Idle);
        self.enter(place, next, if over { Reason::Nothing } else { reason }, left);
    }

    fn enter(&mut self, place: Place, state: State, reason: Reason, left: u32) {
        let station = &mut self.stations[place as usize];
        (station.state, station.reason, station.left) = (state, reason, left);
        self.said.push((place, Said::State(state, reason)));
    }

    /// Starts an idle station for which there is something to do, and sets it up where it has to be.
    fn wake(&mut self, place: Place, controls: Controls) {
        let station = &self.stations[place as usize];
        let wanted = match place.before() {
            // After an open guard the unit is still on the bench.
            _ if station.bench.is_some() => Some(station.tooled),
            None => controls.run.then_some(controls.product),
            Some(before) => self.between[before].as_ref().map(|unit| unit.product),
        };
        let Some(product) = wanted else { return };
        let station = &mut self.stations[place as usize];
        if station.tooled == product {
            self.enter(place, State::Starting, Reason::Nothing, ACTING);
        } else {
            station.tooled = product;
            self.enter(place, State::Starting, Reason::Changeover, SETUP[place as usize]);
        }
    }

    fn work(&mut self, place: Place, controls: Controls, room: bool) {
        let Some(job) = &mut self.stations[place as usize].bench else {
            return self.begin(place, controls, room);
        };
        if job.left == 0 {
            return self.hand_over(place, controls);
        }
        if let Some((_, reason, steps)) = job.fault.take_if(|(at, ..)| *at == job.left) {
            return self.break_down(place, reason, steps);
        }
        job.left -= 1;
        if job.left == 0 {
            self.judge(place);
        }
    }

    fn break_down(&mut self, place: Place, reason: Reason, steps: u32) {
        let state = if reason == Reason::GuardOpen { State::Aborting } else { State::Holding };
        self.stations[place as usize].fault = steps;
        self.enter(place, state, reason, ACTING);
    }

    /// Takes the next unit, or says why there is none.
    fn begin(&mut self, place: Place, controls: Controls, room: bool) {
        if !room {
            return self.break_down(place, Reason::NoRecord, ACTING);
        }
        let tooled = self.stations[place as usize].tooled;
        let unit = match place.before() {
            None if !controls.run || controls.product != tooled => {
                return self.enter(place, State::Completing, Reason::Nothing, ACTING);
            }
            None if !self.parts.are_there() => return self.wait(place, Reason::NoValves),
            None => self.parts.next_unit(tooled, &mut self.random),
            Some(before) => match self.between[before].take_if(|unit| unit.product == tooled) {
                Some(unit) => unit,
                None if self.between[before].is_some() || self.dry(place, controls) => {
                    return self.enter(place, State::Completing, Reason::Nothing, ACTING);
                }
                None => return self.wait(place, Reason::Starved),
            },
        };
        let left = WORK[place as usize];
        let fault = self.next_fault(place, left);
        let station = &mut self.stations[place as usize];
        station.bench = Some(Job { unit, left, attempt: 1, fault });
        station.waited = 0;
    }

    fn next_fault(&mut self, place: Place, left: u32) -> Option<(u32, Reason, u32)> {
        let (share, reason, least, most) = place.fault();
        let (own, guard) = (self.random.chance(share), self.random.chance(GUARD_SHARE));
        let (at, steps) = (self.random.steps(1, left), self.random.steps(least, most));
        match (guard, own) {
            (true, _) => Some((at, Reason::GuardOpen, steps)),
            (false, true) => Some((at, reason, steps)),
            (false, false) => None,
        }
    }

    /// The work is done: was it well done?
    fn judge(&mut self, place: Place) {
        let station = &mut self.stations[place as usize];
        let Some(job) = &mut station.bench else { return };
        let (again, random) = (job.attempt > 1, &mut self.random);
        let measured = match place {
            Place::Mount => parts::mount(random),
            Place::Leak => parts::leak(&job.unit, again, random),
            Place::Eol => parts::eol(job.unit.product, again, random),
            Place::Pack => parts::pack(job.unit.product, random),
        };
        let verdict = match (measured.passes(), again) {
            (true, _) => Verdict::Passed,
            (false, false) => Verdict::Failed,
            (false, true) => Verdict::Scrapped,
        };
        let report = Report { unit: job.unit.clone(), verdict, attempt: job.attempt, measured };
        match verdict {
            Verdict::Passed => station.good += 1,
            Verdict::Failed => (job.attempt, job.left) = (2, REPAIR + WORK[place as usize]),
            Verdict::Scrapped => {
                station.scrap += 1;
                station.bench = None;
            }
        }
        let energy = station.drawn / STEPS_AN_HOUR;
        let counts = Said::Counts { good: station.good, scrap: station.scrap, energy };
        self.said.push((place, Said::Unit(report)));
        if verdict != Verdict::Failed {
            self.said.push((place, counts));
        }
    }

    /// Gives the unit on, or waits until it can.
    fn hand_over(&mut self, place: Place, controls: Controls) {
        if self.lasts(place, Reason::Blocked, controls) {
            return self.wait(place, Reason::Blocked);
        }
        let station = &mut self.stations[place as usize];
        station.waited = 0;
        let Some(job) = station.bench.take() else { return };
        match self.between.get_mut(place as usize) {
            Some(behind) => *behind = Some(job.unit),
            None => self.packed += 1,
        }
    }

    fn wait(&mut self, place: Place, reason: Reason) {
        let station = &mut self.stations[place as usize];
        station.waited += 1;
        if station.waited >= PATIENCE {
            station.waited = 0;
            self.enter(place, State::Suspending, reason, ACTING);
        }
    }

    /// Whether what a station waits for is still not there.
    fn lasts(&self, place: Place, reason: Reason, controls: Controls) -> bool {
        match (reason, place.before()) {
            (Reason::Blocked, _) => self.between.get(place as usize).is_some_and(Option::is_some),
            (Reason::Starved, Some(before)) => self.between[before].is_none() && !self.dry(place, controls),
            (Reason::NoValves, _) => !self.parts.are_there(),
            _ => false,
        }
    }

    /// Whether nothing more will come to a station: nobody begins units, and there is none before it.
    fn dry(&self, place: Place, controls: Controls) -> bool {
        let before = place as usize;
        let benches = self.stations[..before].iter().any(|station| station.bench.is_some());
        let places = self.between[..before].iter().any(Option::is_some);
        !controls.run && !benches && !places
    }
}
