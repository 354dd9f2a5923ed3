//! The live plant: last value of every tag, bounded subscriptions, the command lane.
//!
//! Everything that learns a value calls [`Bus::publish`]; everything that wants values asks [`Bus::last`] or
//! subscribes. Readings flow through here at once; [`spool`] writes them to the log's samples lane beside that.
//! Who must not answer before they are durable uses [`direct`].
//!
//! **Invariants**
//! - The last value of a tag is the newest by source time; a late sample does not replace it, but still reaches
//!   those who want every sample.
//! - Every queue has a bound and a policy: [`NewestSubscription`] keeps the newest value of each tag and never holds
//!   up a publisher; [`AllSubscription`] loses nothing, and a full one makes publishers wait.
//! - A value is always of its tag's type and finite: what does not fit becomes null with a bad quality.
//! - Commands are not queued here: [`Bus::actuator`] only says who can write a tag now.
//!
//! Start reading at [`Bus`], then [`spool`].

mod arrivals;
mod bus;
pub mod direct;
pub mod ids;
pub mod last;
pub mod plant;
pub mod replay;
pub mod spool;
mod stored;
mod subscribe;

pub use andon_model::sample_codec as codec;
pub use arrivals::{Arrival, Arrivals, Arrived, Way};
pub use bus::{Bus, BusStats, is_late};
pub use plant::PlantView;
pub use subscribe::{AllSubscription, NewestSubscription};
