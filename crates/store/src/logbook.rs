//! What is kept of the shift logbook and of hand-overs. Kinds, links and what is open are the caller's words.
//!
//! Entries are only added. What changes is what stands open: a pinned entry until it is corrected or handed over, a hand-over until it is
//! confirmed.

use crate::error::StoreError;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use serde_json::Value;
use uuid::Uuid;

/// The longest page of entries.
pub const MOST_ENTRIES: u32 = 500;
/// The kind of an entry that is a hand-over.
pub const HANDOVER: &str = "handover";

/// By which a request is known when it comes again.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Key {
    /// From who asks.
    pub key: Uuid,
    /// A digest of what is asked: the same key with another is refused.
    pub content: [u8; 32],
}

/// The shift in which something was written.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct InShift {
    /// What people call it.
    pub name: String,
    /// Its first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
}

/// What a hand-over tells beside its summary.
#[derive(Clone, PartialEq, Debug)]
pub struct Told {
    /// What is open: JSON.
    pub items: Value,
    /// There is more.
    pub truncated: bool,
    /// The entries that stay open when it is confirmed.
    pub kept: Vec<u64>,
}

/// A new entry.
#[derive(Clone, PartialEq, Debug)]
pub struct NewEntry {
    /// Of the request.
    pub key: Key,
    /// The place.
    pub path: String,
    /// `note`, …; [`HANDOVER`] with `told`, and no other.
    pub kind: String,
    /// What was written.
    pub text: String,
    /// What it is about: a JSON object.
    pub links: Value,
    /// When.
    pub at: Timestamp,
    /// Who wrote it.
    pub by: Uuid,
    /// The shift there.
    pub shift: Option<InShift>,
    /// It is to be handed over.
    pub pinned: bool,
    /// The entry that it puts right.
    pub corrects: Option<u64>,
    /// Of a hand-over.
    pub told: Option<Told>,
    /// The event that tells of it.
    pub event: Event,
}

/// A hand-over as it stands.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredHandover {
    /// What it told.
    pub told: Told,
    /// When and by whom it was confirmed.
    pub confirmed: Option<(Timestamp, Uuid)>,
    /// What who confirmed it wrote.
    pub note: String,
}

/// An entry.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredEntry {
    /// Later than all before it.
    pub number: u64,
    /// The place.
    pub path: String,
    /// `note`, …
    pub kind: String,
    /// What was written.
    pub text: String,
    /// What it is about.
    pub links: Value,
    /// When.
    pub at: Timestamp,
    /// Who wrote it.
    pub by: Uuid,
    /// The shift there.
    pub shift: Option<InShift>,
    /// It was to be handed over.
    pub pinned: bool,
    /// It still is, or it is a hand-over that nobody has confirmed.
    pub open: bool,
    /// The entry that it puts right.
    pub corrects: Option<u64>,
    /// The entry that puts it right.
    pub corrected_by: Option<u64>,
    /// Of a hand-over.
    pub handover: Option<StoredHandover>,
}

/// What became of an entry.
#[derive(Clone, PartialEq, Debug)]
pub enum Written {
    /// It is on disk.
    Now(StoredEntry),
    /// The same was asked before; it stands so now.
    Before(StoredEntry),
    /// Something else was asked under that key. Nothing was written.
    KeyUsed,
    /// What it is to put right has been put right by this entry. Nothing was written.
    Corrected(u64),
}

/// That a hand-over is confirmed.
#[derive(Clone, PartialEq, Debug)]
pub struct Confirmation {
    /// Of the request.
    pub key: Key,
    /// The hand-over.
    pub number: u64,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Uuid,
    /// What they wrote.
    pub note: String,
    /// Entries that are open no more by it.
    pub settles: Vec<u64>,
    /// The event that tells of it.
    pub event: Event,
}

/// What became of a confirmation.
#[derive(Clone, PartialEq, Debug)]
pub enum Confirmed {
    /// It is on disk.
    Now(StoredEntry),
    /// The same was asked before.
    Before(StoredEntry),
    /// Something else was asked under that key. Nothing was written.
    KeyUsed,
    /// It had been confirmed. Nothing was written.
    Already(StoredEntry),
}

/// Which entries. Everything that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EntryFilter {
    /// On or below one of these paths, none of which is below another; `""` is the whole tree. An empty list finds nothing.
    pub branches: Vec<String>,
    /// Of one of these kinds; empty: all.
    pub kinds: Vec<String>,
    /// Open, or not; `None`: either.
    pub open: Option<bool>,
    /// Written in this window, from its first instant to the first after it.
    pub window: (Timestamp, Timestamp),
    /// Stands in the text, without regard to case.
    pub text: Option<String>,
    /// Only entries before this one: the last of the page before.
    pub after: Option<u64>,
    /// How many, 1 to [`MOST_ENTRIES`] and one more.
    pub limit: u32,
}

impl EntryFilter {
    /// Every entry of these branches.
    #[must_use]
    pub const fn of(branches: Vec<String>, limit: u32) -> Self {
        let window = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        Self { branches, kinds: Vec::new(), open: None, window, text: None, after: None, limit }
    }
}

/// The shift logbook. Anybody writes, anybody reads.
#[async_trait]
pub trait LogbookRepository: Send + Sync + 'static {
    /// Writes an entry; the one that it corrects is open no more.
    /// # Errors
    /// [`StoreError::Damaged`]: what it corrects is not there.
    async fn logbook_write(&self, entry: NewEntry) -> Result<Written, StoreError>;
    /// Confirms a hand-over, and with it what it settles.
    /// # Errors
    /// [`StoreError::Damaged`]: there is no such hand-over.
    async fn logbook_confirm(&self, confirmation: Confirmation) -> Result<Confirmed, StoreError>;
    /// One entry.
    async fn logbook_entry(&self, number: u64) -> Result<Option<StoredEntry>, StoreError>;
    /// The entry that a request has made or confirmed, and the digest of what was asked; `None`: the key is new.
    async fn logbook_of_key(&self, key: Uuid) -> Result<Option<([u8; 32], StoredEntry)>, StoreError>;
    /// Entries, the newest first.
    async fn logbook_entries(&self, filter: EntryFilter) -> Result<Vec<StoredEntry>, StoreError>;
}
