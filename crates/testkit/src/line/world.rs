//! The bottling line itself: what its set points and switches do, step by step. Pure: no socket, no clock.
//!
//! Simple physics, so that acting is seen to act: speeds ramp, the pressure follows its set point like a first-order
//! lag, flow follows speed, bottles follow flow, and capper and labeller get the bottles some seconds later. The
//! capper's motor temperature and the energy meter are recordings ([`super::replay`]); when the recorded machine falls
//! below [`CAPPER_TRIP_C`] the simulated capper stops, and the line with it.

use super::replay::{EnergyRow, Replay, energy, machine};
use std::collections::VecDeque;
use std::time::Duration;

/// The size of a step.
pub const STEP: Duration = Duration::from_millis(100);
/// The filler's own upper limit, in bottles/h.
pub const SPEED_MAX: f64 = 20_000.0;
/// The filler's own upper limit of the pressure set point, in bar.
pub const PRESSURE_MAX: f64 = 6.0;
/// The conveyor drive's own upper limit, in m/min.
pub const CONVEYOR_MAX: f64 = 60.0;
/// The capper's own limits of the torque set point, in N·m.
pub const TORQUE: std::ops::RangeInclusive<f64> = 0.5..=3.0;
/// At or below this motor temperature the capper trips, in °C.
pub const CAPPER_TRIP_C: f64 = 5.0;
/// Above this it runs again, in °C.
pub const CAPPER_CLEAR_C: f64 = 15.0;

/// Product in one bottle, in litres.
const BOTTLE_L: f64 = 0.5;
/// The filler's tank, in litres.
const TANK_L: f64 = 500.0;
/// What the supply pump brings, in L/min: enough for 16,800 bottles/h, not for more.
const SUPPLY_L_MIN: f64 = 140.0;
/// How fast the filler changes speed, in bottles/h per second.
const SPEED_RAMP: f64 = 2000.0;
/// How fast the conveyor changes speed, in m/min per second.
const CONVEYOR_RAMP: f64 = 10.0;
/// The time constant of the filling pressure, in s.
const PRESSURE_LAG_S: f64 = 4.0;
/// What is left of a roll of labels when it is changed, and what a new one holds.
const ROLL: (u32, u32) = (300, 6000);
/// Steps that a bottle takes from the filler to the capper, and from there to the labeller.
const TRAVEL_STEPS: usize = 40;

/// What a machine is doing; the numbers stand in the registers.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
#[repr(u16)]
pub enum State {
    /// Its speed is set to zero.
    Stopped = 0,
    /// At work.
    Running = 1,
    /// Nothing comes in.
    Starved = 2,
    /// Nothing can go out.
    Blocked = 3,
    /// It tripped.
    Faulted = 4,
}

/// What people can set.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Controls {
    /// In bottles/h.
    pub speed_setpoint: f64,
    /// In bar.
    pub pressure_setpoint: f64,
    /// The filling valve; closed, nothing flows.
    pub valve_open: bool,
    /// In N·m.
    pub torque_setpoint: f64,
    /// Whether the conveyor should run.
    pub conveyor_run: bool,
    /// In m/min.
    pub conveyor_setpoint: f64,
}

impl Default for Controls {
    fn default() -> Self {
        Self {
            speed_setpoint: 12_000.0,
            pressure_setpoint: 2.5,
            valve_open: true,
            torque_setpoint: 1.8,
            conveyor_run: true,
            conveyor_setpoint: 24.0,
        }
    }
}

/// The filler.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Filler {
    /// What it is doing.
    pub state: State,
    /// In bottles/h.
    pub speed: f64,
    /// In bar.
    pub pressure: f64,
    /// In L/min.
    pub flow: f64,
    /// Filled since the start.
    pub bottles: f64,
    /// Of these, thrown out for their level.
    pub rejects: f64,
    /// And those that were not: counted by itself, for a difference of two counters can go back.
    pub good: f64,
    /// In %.
    pub tank_level: f64,
    /// Whether the supply pump is on.
    pub pumping: bool,
}

/// The capper.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Capper {
    /// What it is doing.
    pub state: State,
    /// Of the last cap, in N·m.
    pub torque: f64,
    /// Bottles capped since the start.
    pub count: f64,
    /// Recorded, in °C.
    pub motor_temperature: f64,
}

/// The labeller.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Labeller {
    /// What it is doing.
    pub state: State,
    /// Bottles labelled since the start.
    pub count: f64,
    /// In bottles/h.
    pub speed: f64,
    /// Labels left on the roll.
    pub stock: f64,
}

/// The energy meter.
#[derive(Clone, Copy, PartialEq, Debug)]
pub struct Meter {
    /// The recorded quarter hour.
    pub row: EnergyRow,
    /// The sum of all rows since the start, in kWh.
    pub total_kwh: f64,
    rows: usize,
}

/// The whole line.
#[derive(Debug)]
pub struct World {
    /// The filler.
    pub filler: Filler,
    /// The capper.
    pub capper: Capper,
    /// The labeller.
    pub labeller: Labeller,
    /// The conveyor's speed, in m/min.
    pub conveyor_speed: f64,
    /// The energy meter of the utilities.
    pub meter: Meter,
    elapsed: Duration,
    to_capper: VecDeque<f64>,
    to_labeller: VecDeque<f64>,
    noise: u32,
    machine: Replay<f64>,
    energy: Replay<EnergyRow>,
}

impl Default for World {
    fn default() -> Self {
        Self::new()
    }
}

impl World {
    /// A line that has just come up to speed.
    #[must_use]
    pub fn new() -> Self {
        let controls = Controls::default();
        let (machine, energy) = (machine(), energy());
        let nothing = EnergyRow { energy_kwh: 0.0, reactive_kvarh: 0.0, co2_t: 0.0, power_factor_pct: 100.0 };
        Self {
            filler: Filler {
                state: State::Running,
                speed: controls.speed_setpoint,
                pressure: controls.pressure_setpoint,
                flow: 0.0,
                bottles: 0.0,
                rejects: 0.0,
                good: 0.0,
                tank_level: 70.0,
                pumping: true,
            },
            capper: Capper {
                state: State::Running,
                torque: controls.torque_setpoint,
                count: 0.0,
                motor_temperature: machine.at(Duration::ZERO).unwrap_or_default(),
            },
            labeller: Labeller { state: State::Running, count: 0.0, speed: 0.0, stock: f64::from(ROLL.1) },
            conveyor_speed: controls.conveyor_setpoint,
            meter: Meter { row: energy.at(Duration::ZERO).unwrap_or(nothing), total_kwh: 0.0, rows: 0 },
            elapsed: Duration::ZERO,
            to_capper: VecDeque::from(vec![0.0; TRAVEL_STEPS]),
            to_labeller: VecDeque::from(vec![0.0; TRAVEL_STEPS]),
            noise: 1,
            machine,
            energy,
        }
    }

    /// One [`STEP`] further.
    pub fn step(&mut self, controls: &Controls) {
        self.elapsed += STEP;
        let seconds = STEP.as_secs_f64();
        let wanted = if controls.conveyor_run { controls.conveyor_setpoint } else { 0.0 };
        self.conveyor_speed = ramp(self.conveyor_speed, wanted, CONVEYOR_RAMP * seconds);
        self.trip_capper();
        let good = self.fill(controls, seconds);
        self.cap_and_label(controls, good);
        self.read_meter();
    }

    /// True when bottles can leave the filler.
    #[must_use]
    pub fn way_is_free(&self) -> bool {
        self.conveyor_speed > 1.0 && self.capper.state != State::Faulted
    }

    fn trip_capper(&mut self) {
        let capper = &mut self.capper;
        capper.motor_temperature = self.machine.at(self.elapsed).unwrap_or(capper.motor_temperature);
        if capper.motor_temperature <= CAPPER_TRIP_C {
            capper.state = State::Faulted;
        } else if capper.motor_temperature > CAPPER_CLEAR_C && capper.state == State::Faulted {
            capper.state = State::Running;
        }
    }

    /// Fills for a step; returns how many good bottles left.
    fn fill(&mut self, controls: &Controls, seconds: f64) -> f64 {
        let jitter = self.jitter();
        let free = self.way_is_free();
        let filler = &mut self.filler;
        // An empty tank must fill a little before it is worth starting again.
        let empty = if filler.state == State::Starved { 10.0 } else { 2.0 };
        filler.state = match () {
            () if controls.speed_setpoint <= 0.0 => State::Stopped,
            () if !controls.valve_open || !free => State::Blocked,
            () if filler.tank_level <= empty => State::Starved,
            () => State::Running,
        };
        // A closed valve or a full conveyor stops the flow at once; everything else is a ramp.
        let running = filler.state == State::Running;
        let wanted = if running { controls.speed_setpoint } else { 0.0 };
        filler.speed = if running || filler.state == State::Stopped {
            ramp(filler.speed, wanted, SPEED_RAMP * seconds)
        } else {
            0.0
        };
        let made = filler.speed / 3600.0 * seconds;
        filler.flow = filler.speed / 60.0 * BOTTLE_L;
        // With nothing flowing the pressure settles a little higher.
        let target = controls.pressure_setpoint * if filler.flow > 0.0 { 1.0 } else { 1.05 };
        filler.pressure += (target - filler.pressure) * seconds / PRESSURE_LAG_S + jitter * 0.004;
        filler.pressure = filler.pressure.max(0.0);
        filler.bottles += made;
        // Three in a thousand, and many more when the pressure is away from what the bottle was tried at.
        let share = (0.003 + 0.02 * ((filler.pressure - 2.5).abs() - 0.3).max(0.0)).min(1.0);
        filler.rejects += made * share;
        filler.good += made * (1.0 - share);
        if filler.tank_level < 40.0 {
            filler.pumping = true;
        } else if filler.tank_level > 85.0 {
            filler.pumping = false;
        }
        let supply = if filler.pumping { SUPPLY_L_MIN } else { 0.0 };
        filler.tank_level =
            (filler.tank_level + (supply - filler.flow) / 60.0 * seconds / TANK_L * 100.0).clamp(0.0, 100.0);
        made * (1.0 - share)
    }

    fn cap_and_label(&mut self, controls: &Controls, good: f64) {
        let jitter = self.jitter();
        // Bottles only travel while the conveyor moves and the capper works.
        if self.way_is_free() {
            self.to_capper.push_back(good);
            let capped = self.to_capper.pop_front().unwrap_or_default();
            self.to_labeller.push_back(capped);
            let labelled = self.to_labeller.pop_front().unwrap_or_default();
            self.capper.count += capped;
            self.capper.state = if capped > 0.0 { State::Running } else { State::Starved };
            if capped > 0.0 {
                self.capper.torque += (controls.torque_setpoint - self.capper.torque) * 0.2 + jitter * 0.01;
            }
            self.labeller.count += labelled;
            self.labeller.speed = labelled / STEP.as_secs_f64() * 3600.0;
            self.labeller.stock -= labelled;
            if self.labeller.stock <= f64::from(ROLL.0) {
                self.labeller.stock = f64::from(ROLL.1);
            }
            self.labeller.state = if labelled > 0.0 { State::Running } else { State::Starved };
            return;
        }
        if self.capper.state != State::Faulted {
            self.capper.state = State::Blocked;
        }
        self.labeller.speed = 0.0;
        self.labeller.state = if self.conveyor_speed > 1.0 { State::Starved } else { State::Blocked };
    }

    fn read_meter(&mut self) {
        let rows = self.energy.number(self.elapsed);
        if let Some(row) = self.energy.at(self.elapsed) {
            // A row counts when its quarter hour is over, which is when the next one begins.
            if rows > self.meter.rows {
                self.meter.total_kwh += self.meter.row.energy_kwh;
                self.meter.rows = rows;
            }
            self.meter.row = row;
        }
    }

    /// A number from -1 to 1 that looks random and is the same in each run (a linear congruential generator).
    fn jitter(&mut self) -> f64 {
        self.noise = self.noise.wrapping_mul(1_664_525).wrapping_add(1_013_904_223);
        f64::from(self.noise >> 8) / f64::from(1_u32 << 23) - 1.0
    }
}

fn ramp(now: f64, wanted: f64, step: f64) -> f64 {
    now + (wanted - now).clamp(-step, step)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn run(world: &mut World, controls: &Controls, seconds: u32) {
        for _ in 0..seconds * 10 {
            world.step(controls);
        }
    }

    #[test]
    fn the_speed_set_point_ramps_the_speed_and_the_count_follows() {
        let (mut world, mut controls) = (World::new(), Controls::default());
        controls.speed_setpoint = 6000.0;
        run(&mut world, &controls, 1);
        assert!((world.filler.speed - 10_000.0).abs() < 1.0, "a ramp: {}", world.filler.speed);
        run(&mut world, &controls, 9);
        assert!((world.filler.speed - 6000.0).abs() < 1.0);
        let before = world.filler.bottles;
        run(&mut world, &controls, 60);
        assert!((world.filler.bottles - before - 100.0).abs() < 1.0, "6000 an hour are 100 a minute");
    }

    #[test]
    fn the_pressure_follows_its_set_point_with_a_lag() {
        let (mut world, mut controls) = (World::new(), Controls::default());
        controls.pressure_setpoint = 4.0;
        run(&mut world, &controls, 4);
        let after_one_time_constant = 2.5 + 1.5 * 0.632;
        assert!((world.filler.pressure - after_one_time_constant).abs() < 0.1, "{}", world.filler.pressure);
        run(&mut world, &controls, 30);
        assert!((world.filler.pressure - 4.0).abs() < 0.05, "{}", world.filler.pressure);
    }

    #[test]
    fn a_closed_valve_stops_the_flow_and_blocks_the_filler() {
        let (mut world, mut controls) = (World::new(), Controls::default());
        run(&mut world, &controls, 5);
        controls.valve_open = false;
        world.step(&controls);
        assert_eq!((world.filler.flow, world.filler.state), (0.0, State::Blocked));
        run(&mut world, &controls, 20);
        assert_eq!(world.capper.state, State::Starved);
        controls.valve_open = true;
        run(&mut world, &controls, 20);
        assert_eq!(
            (world.filler.state, world.capper.state, world.labeller.state),
            (State::Running, State::Running, State::Running)
        );
    }

    #[test]
    fn a_stopped_conveyor_blocks_everything_before_it() {
        let (mut world, mut controls) = (World::new(), Controls::default());
        run(&mut world, &controls, 20);
        controls.conveyor_run = false;
        run(&mut world, &controls, 5);
        assert_eq!(
            (world.filler.state, world.capper.state, world.labeller.state),
            (State::Blocked, State::Blocked, State::Blocked)
        );
    }

    #[test]
    fn more_than_the_supply_brings_drains_the_tank() {
        let (mut world, mut controls) = (World::new(), Controls::default());
        controls.speed_setpoint = 20_000.0;
        // The machine record would trip the capper; the tank is looked at before that, and then long after.
        run(&mut world, &controls, 140);
        assert!(world.filler.tank_level < 60.0, "{}", world.filler.tank_level);
        let mut level = f64::MAX;
        for _ in 0..20 {
            run(&mut world, &controls, 60);
            level = level.min(world.filler.tank_level);
        }
        assert!(level < 20.0, "{level}");
    }

    #[test]
    fn the_recorded_excursion_trips_the_capper_and_the_line_comes_back() {
        let (mut world, controls) = (World::new(), Controls::default());
        let mut trips = Vec::new();
        let mut faulted = false;
        for second in 0..3456 {
            run(&mut world, &controls, 1);
            let now = world.capper.state == State::Faulted;
            if now != faulted {
                trips.push((second, now));
                faulted = now;
            }
        }
        assert_eq!(trips.iter().map(|(_, now)| *now).collect::<Vec<_>>(), [true, false, true, false], "{trips:?}");
        assert!((200..280).contains(&trips[0].0), "{trips:?}");
    }

    #[test]
    fn every_bottle_is_somewhere() {
        let (mut world, controls) = (World::new(), Controls::default());
        run(&mut world, &controls, 600);
        let on_the_way: f64 = world.to_capper.iter().chain(&world.to_labeller).sum();
        let total = world.labeller.count + on_the_way + world.filler.rejects;
        assert!((world.filler.bottles - total).abs() < 1e-6);
    }

    #[test]
    fn the_meter_counts_the_recorded_energy() {
        let (mut world, controls) = (World::new(), Controls::default());
        run(&mut world, &controls, 31);
        let expected: f64 = (0..10).map(|row| energy().at(Duration::from_secs(row * 3)).unwrap().energy_kwh).sum();
        assert!((world.meter.total_kwh - expected).abs() < 1e-9);
    }
}
