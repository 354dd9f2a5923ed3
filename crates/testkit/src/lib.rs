//! A plant in a box: simulated devices, real process data, a hand-driven clock.

pub mod assembly;
pub mod clock;
pub mod house;
pub mod line;
pub mod mqtt_client;

pub use clock::ManualClock;
