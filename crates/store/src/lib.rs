//! Relational records: the plant model in versions, accounts, the outbox to the log, and the timeline made from it.
//!
//! One SQLite file ([`Store`]) behind traits ([`repository`]), so that PostgreSQL can stand there later. The plant model
//! is written by people as documents ([`documents`]) and read by everybody else as [`andon_model::plant::Plant`].
//!
//! **Invariants**
//! - When a change returns `Ok`, it is on disk (`synchronous=FULL`), and its event is in the outbox of the same commit.
//! - A failed write or commit stops the store for good ([`Store::failure`]); nothing is retried, the page cache is no disk.
//! - An event reaches the records lane once, whatever step a kill falls between ([`relay`]).
//! - What the log does to the store is committed together with the reader's offset ([`timeline`]).
//! - A tag's number is never given twice; a rename keeps its id; secrets stand in documents as references only.
//! - One process owns the file: `server` locks the data directory.
//!
//! Start reading at [`repository`], then [`Store::open`], then [`documents`].

pub mod documents;
pub mod erp;
mod error;
pub mod floor;
mod ids;
pub mod labour;
pub mod logbook;
pub mod maintenance;
pub mod orders;
pub mod relay;
pub mod repository;
mod sqlite;
pub mod timeline;
pub mod trace;

pub use error::{ApplyError, Cause, OpenError, StoreError};
pub use repository::{
    AccountRepository, Applied, Change, Op, OutboxRepository, PlantRepository, PlantVersion, Repository,
    TimelineFilter, TimelineRepository,
};
pub use sqlite::Store;
