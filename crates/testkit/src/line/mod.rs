//! The bottling line of the demo: five devices that speak real Modbus TCP on sockets of their own.
//!
//! | device | what | simulated or recorded |
//! | --- | --- | --- |
//! | filler | speed, filling pressure, flow, valve, tank, counts | simulated; set points and valve act |
//! | capper | torque, counts, motor temperature | the temperature is recorded (NAB), 300 times as fast |
//! | labeller | counts, labels left, recipe | simulated |
//! | conveyor | drive with speed and run command | simulated; acts on the whole line |
//! | energy | power, power factor, CO2, energy | recorded (steel plant), 300 times as fast |
//!
//! [`World`](world::World) is the line itself, pure; this module puts it into registers and takes set points out of
//! them, ten times a second. The devices refuse set points beyond their own limits with exception 0x03, as PLCs do.
//! The plant document that understands the registers is [`PLANT`].
//!
//! Start reading at [`Line::start`].

pub mod replay;
#[cfg(test)]
mod tests;
pub mod world;

use andon_connectors::modbus::config::Table::{Coil, Discrete, Holding, Input};
use andon_connectors::modbus::sim::{Bank, Simulator};
use std::io;
use std::net::{Ipv4Addr, SocketAddr};
use std::sync::Arc;
use tokio::task::JoinHandle;
use tokio::time::{MissedTickBehavior, interval};
use tokio_util::sync::CancellationToken;
use world::{CONVEYOR_MAX, Controls, PRESSURE_MAX, SPEED_MAX, STEP, TORQUE, World};

/// The document of the line: tree, tags, connectors and alarms, with `{filler}` and the like for the endpoints.
pub const PLANT: &str = include_str!("plant.toml");
/// The master data of the line, and what both lines share: calendar and reasons.
pub const MASTER: &str = include_str!("master.toml");

/// The names of the devices, as in the endpoints' placeholders.
pub const DEVICES: [&str; 5] = ["filler", "capper", "labeller", "conveyor", "energy"];

/// Where the devices listen, in the order of [`DEVICES`].
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Addresses(pub [SocketAddr; 5]);

impl Default for Addresses {
    /// Any free ports of this machine, seen from this machine only.
    fn default() -> Self {
        Self([SocketAddr::from((Ipv4Addr::LOCALHOST, 0)); 5])
    }
}

/// A device's place: where it listens, what it holds, and whether it is plugged in.
#[derive(Debug)]
struct Slot {
    name: &'static str,
    address: SocketAddr,
    bank: Arc<Bank>,
    device: Option<Simulator>,
}

/// The running line.
#[derive(Debug)]
pub struct Line {
    slots: Vec<Slot>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Line {
    /// Switches the line on.
    /// # Errors
    /// One of the addresses cannot be bound; nothing runs then.
    pub async fn start(addresses: Addresses) -> io::Result<Self> {
        let banks = Banks::new();
        let mut slots = Vec::with_capacity(DEVICES.len());
        for ((name, address), bank) in DEVICES.into_iter().zip(addresses.0).zip(banks.all()) {
            let device = Simulator::start(address, bank.clone()).await?;
            slots.push(Slot { name, address: device.address(), bank, device: Some(device) });
        }
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(banks, stop.clone()));
        Ok(Self { slots, stop, task })
    }

    /// A device that is plugged in, by its name in [`DEVICES`]: to make it misbehave, or to look into its registers.
    #[must_use]
    pub fn device(&self, name: &str) -> Option<&Simulator> {
        self.slots.iter().find(|slot| slot.name == name)?.device.as_ref()
    }

    /// The names of the devices and where each listens.
    #[must_use]
    pub fn endpoints(&self) -> Vec<(&'static str, SocketAddr)> {
        self.slots.iter().map(|slot| (slot.name, slot.address)).collect()
    }

    /// The plant document with the real endpoints in place of the placeholders.
    #[must_use]
    pub fn plant_document(&self) -> String {
        let put = |text: String, (name, address): (&str, SocketAddr)| {
            text.replace(&format!("{{{name}}}"), &address.to_string())
        };
        self.endpoints().into_iter().fold(PLANT.to_owned(), put)
    }

    /// Takes a device off the network, as if its plug were pulled; the line itself goes on. False if it was off already
    /// or there is no such device.
    pub async fn unplug(&mut self, name: &str) -> bool {
        let device = self.slots.iter_mut().find(|slot| slot.name == name).and_then(|slot| slot.device.take());
        match device {
            Some(device) => {
                device.stop().await;
                true
            }
            None => false,
        }
    }

    /// Puts an unplugged device back at its address. False if it was on already or there is no such device.
    /// # Errors
    /// Somebody else has taken its address.
    pub async fn plug(&mut self, name: &str) -> io::Result<bool> {
        let Some(slot) = self.slots.iter_mut().find(|slot| slot.name == name && slot.device.is_none()) else {
            return Ok(false);
        };
        slot.device = Some(Simulator::start(slot.address, slot.bank.clone()).await?);
        Ok(true)
    }

    /// Switches the line off and waits until its sockets are closed.
    pub async fn stop(self) {
        self.stop.cancel();
        for device in self.slots.into_iter().filter_map(|slot| slot.device) {
            device.stop().await;
        }
        // The task only ends; how it ended changes nothing now.
        let _ = self.task.await;
    }
}

/// Steps the world and keeps the registers up to date until told to stop.
async fn run(banks: Banks, stop: CancellationToken) {
    let mut world = World::new();
    let mut tick = interval(STEP);
    tick.set_missed_tick_behavior(MissedTickBehavior::Skip); // After a pause the line goes on where it was.
    loop {
        tokio::select! {
            () = stop.cancelled() => return,
            _ = tick.tick() => {
                world.step(&banks.controls());
                banks.show(&world);
            }
        }
    }
}

/// The registers of all devices. Their layout is the one in `plant.toml`.
struct Banks {
    filler: Arc<Bank>,
    capper: Arc<Bank>,
    labeller: Arc<Bank>,
    conveyor: Arc<Bank>,
    energy: Arc<Bank>,
}

impl Banks {
    fn new() -> Self {
        let banks = Self {
            filler: Bank::new(),
            capper: Bank::new(),
            labeller: Bank::new(),
            conveyor: Bank::new(),
            energy: Bank::new(),
        };
        let controls = Controls::default();
        banks.filler.set(Holding, 0, &[whole(controls.speed_setpoint), 0]);
        banks.filler.set_f32(Holding, 2, single(controls.pressure_setpoint));
        banks.filler.set_bit(Coil, 0, controls.valve_open);
        banks.capper.set(Holding, 0, &[whole(controls.torque_setpoint * 100.0)]);
        banks.labeller.set_text(Holding, 0, 8, "Water 0.5 l");
        banks.conveyor.set(Holding, 0, &[whole(controls.conveyor_setpoint * 10.0)]);
        banks.conveyor.set_bit(Coil, 0, controls.conveyor_run);
        banks.filler.on_write(Box::new(|table, address, words| match (table, address, words) {
            (Holding, 0, [speed]) => within(f64::from(*speed) <= SPEED_MAX),
            (Holding, 2, [high, low]) => {
                let pressure = f32::from_bits(u32::from(*high) << 16 | u32::from(*low));
                within((0.0..=PRESSURE_MAX).contains(&f64::from(pressure)))
            }
            (Coil, 0, [_]) => Ok(()),
            _ => Err(0x02),
        }));
        banks.capper.on_write(Box::new(|_, _, words| {
            within(words.iter().all(|word| TORQUE.contains(&(f64::from(*word) / 100.0))))
        }));
        banks.conveyor.on_write(Box::new(|table, _, words| {
            within(table == Coil || words.iter().all(|word| f64::from(*word) <= CONVEYOR_MAX * 10.0))
        }));
        banks.show(&World::new());
        banks
    }

    /// In the order of [`DEVICES`].
    fn all(&self) -> [Arc<Bank>; 5] {
        [&self.filler, &self.capper, &self.labeller, &self.conveyor, &self.energy].map(Arc::clone)
    }

    fn controls(&self) -> Controls {
        Controls {
            speed_setpoint: f64::from(self.filler.word(Holding, 0)),
            pressure_setpoint: f64::from(self.filler.f32(Holding, 2)),
            valve_open: self.filler.word(Coil, 0) != 0,
            torque_setpoint: f64::from(self.capper.word(Holding, 0)) / 100.0,
            conveyor_run: self.conveyor.word(Coil, 0) != 0,
            conveyor_setpoint: f64::from(self.conveyor.word(Holding, 0)) / 10.0,
        }
    }

    fn show(&self, world: &World) {
        let filler = &world.filler;
        self.filler.set(Input, 0, &[filler.state as u16]);
        self.filler.set_f32(Input, 1, single(filler.speed));
        self.filler.set_f32(Input, 3, single(filler.pressure));
        self.filler.set_f32(Input, 5, single(filler.flow));
        self.filler.set_u32(Input, 7, count(filler.bottles));
        self.filler.set_u32(Input, 9, count(filler.rejects));
        self.filler.set(Input, 11, &[whole(filler.tank_level * 10.0)]);
        self.filler.set_u32(Input, 12, count(filler.good));

        self.filler.set_bit(Discrete, 0, filler.pumping);

        let capper = &world.capper;
        self.capper.set(Input, 0, &[capper.state as u16]);
        self.capper.set_f32(Input, 1, single(capper.torque));
        self.capper.set_u32(Input, 3, count(capper.count));
        self.capper.set(Input, 5, &[signed(capper.motor_temperature * 100.0)]);

        let labeller = &world.labeller;
        self.labeller.set(Input, 0, &[labeller.state as u16]);
        self.labeller.set_u32(Input, 1, count(labeller.count));
        self.labeller.set(Input, 3, &[whole(labeller.stock)]);
        self.labeller.set_f32(Input, 4, single(labeller.speed));

        let full = world.conveyor_speed > 1.0 && !world.way_is_free();
        self.conveyor.set_f32(Input, 0, single(world.conveyor_speed));
        self.conveyor.set(Input, 2, &[u16::from(world.conveyor_speed > 1.0) | u16::from(full) << 1]);

        let row = world.meter.row;
        let power = single(row.energy_kwh * 4.0).to_bits();
        // This meter sends its power with the low word first and everything else with the high word first; such meters exist.
        let [high, low] = [power >> 16, power & 0xFFFF].map(|half| u16::try_from(half).unwrap_or(0));
        self.energy.set(Input, 0, &[low, high]);
        self.energy.set_f32(Input, 2, single(row.reactive_kvarh * 4.0));
        self.energy.set_f32(Input, 4, single(row.power_factor_pct));
        self.energy.set_f32(Input, 6, single(row.co2_t * 1000.0));
        self.energy.set_u32(Input, 8, count(world.meter.total_kwh * 100.0));
    }
}

fn within(yes: bool) -> Result<(), u8> {
    if yes { Ok(()) } else { Err(0x03) }
}

#[expect(clippy::cast_possible_truncation, reason = "a register is single precision")]
fn single(value: f64) -> f32 {
    value as f32
}

#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "`as` keeps within the register's ends")]
fn whole(value: f64) -> u16 {
    value.round() as u16
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "`as` keeps within the register's ends; the bits of an i16"
)]
fn signed(value: f64) -> u16 {
    (value.round() as i16) as u16
}

/// A counter of 32 bits that starts again from 0, as they do.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "counters wrap")]
fn count(value: f64) -> u32 {
    value.max(0.0) as u64 as u32
}
