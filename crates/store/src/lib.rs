//! Relational records: the plant model in versions, accounts, the outbox to the log, and the timeline made from it.
//!
//! One SQLite file or one PostgreSQL database ([`Store`]) behind traits ([`repository`]). The plant model
//! is written by people as documents ([`documents`]) and read by everybody else as [`andon_model::plant::Plant`].
//!
//! **Invariants**
//! - When a change returns `Ok`, it is on disk (`synchronous=FULL`), and its event is in the outbox of the same commit.
//! - A failed write or commit stops a store in a file for good ([`Store::failure`]); nothing is retried, the page cache is no disk.
//!   A server comes back; a commit that it did not answer is told as such ([`StoreError::CutOff`]).
//! - An event reaches the records lane once, whatever step a kill falls between ([`relay`]).
//! - What the log does to the store is committed together with the reader's offset ([`timeline`]).
//! - A tag's number is never given twice; a rename keeps its id; secrets stand in documents as references only.
//! - One process owns the file, for `server` locks the data directory, or the database, which it locks itself.
//!
//! Start reading at [`repository`], then [`Store::open`], then [`documents`].

mod copy;
pub mod documents;
pub mod energy;
pub mod erp;
mod error;
pub mod floor;
mod ids;
pub mod labour;
pub mod logbook;
pub mod maintenance;
pub mod orders;
mod postgres;
pub mod relay;
pub mod report;
pub mod repository;
pub mod rows;
mod sql;
mod sqlite;
mod store;
mod tables;
pub mod timeline;
pub mod tools;
pub mod trace;

pub use copy::Counts;
pub use error::{ApplyError, Cause, OpenError, StoreError};
pub use postgres::{PostgresSettings, SettingsError, TakeOverError};
pub use repository::{
    AccountRepository, Applied, Change, Op, OutboxRepository, PlantRepository, PlantVersion, Repository,
    TimelineFilter, TimelineRepository,
};
pub use store::Store;
