//! The historian: columns, sorted Parquet files, roll-ups, range reads and aggregates. A reader of the log.
//!
//! Samples reach it only through the log's samples lane, so they are durable before it sees them. It keeps them in a
//! columnar [buffer](buffer), and every 64 MiB or 10 minutes writes them to sorted Parquet files, one per UTC day, with
//! [roll-ups](rollup) beside them. A [scan] merges files and buffer; the last writer by sequence wins.
//!
//! **Invariants**
//! - Order on disk: file synced, renamed, folder synced, then the [manifest](manifest), and only then the snapshot that
//!   lets the log free its samples. A stop between any two steps loses nothing and doubles nothing.
//! - Other programs read the same files as a [Delta table](delta), which is brought up to date after all that.
//! - A row's sequence needs no column: sequence ranges of files of one day never overlap, and the buffer is newest.
//! - What cannot be read is said: a lost frame or a damaged file is a [`HistoryGap`] in every answer it touches.
//! - Rows go by [age](keep) tag by tag, oldest files first; nothing that is not past its time goes with them.
//! - Memory is bounded: the buffer by bytes (reading the log pauses), answers by points, cached footers by bytes.
//! - Nothing here reads the wall clock or knows another domain crate; Arrow and Parquet types stay inside [`segment`].
//!
//! Start reading at [`Historian`], then `flush`, then `scan`.

pub mod aggregate;
mod block;
mod buffer;
mod compress;
pub mod copy;
mod damage;
mod decimal;
mod delete;
mod delta;
mod disk;
mod flush;
mod follow;
mod give_up;
mod historian;
mod keep;
mod manifest;
mod merge;
mod period;
mod point;
mod query;
mod rate;
mod read;
mod rollup;
mod scan;
mod segment;
mod thin;
mod upkeep;

pub use block::Block;
pub use compress::{Compression, Compressions};
pub use damage::{Damage, Holds};
pub use delete::DeleteError;
pub use disk::{Hook, NoHook, Step};
pub use flush::FlushError;
pub use follow::FollowError;
pub use give_up::{GiveUpError, GivenUp};
pub use historian::{Historian, HistorianStats, OpenError, Options};
pub use keep::{Keep, Overdue, Retentions};
pub use manifest::ManifestError;
pub use point::{HistoryGap, Point, Range};
pub use query::{AggregateReadError, Aggregated};
pub use rate::Rates;
pub use read::RangeError;
pub use scan::{Scan, Summed, Unread};
pub use segment::SegmentError;
pub use upkeep::CompactError;
