//! What is kept of reports: each as it was signed, and which of their files are still to be written. What a report says is the caller's.
//!
//! A report is never changed. One made again is another, which names the one that it takes the place of. Of one schedule and one window there
//! is one report, whatever the caller does. Reports are deleted by [`ReportRepository::reports_forget`] alone.

use crate::error::StoreError;
use crate::logbook::Key;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use uuid::Uuid;

/// The longest page of reports.
pub const MOST_REPORTS: u32 = 500;

/// A report without its content.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportRow {
    /// UUIDv7: sorts by when it was made.
    pub id: Uuid,
    /// `shift`, `day`, `order`.
    pub kind: String,
    /// The place; of an order, the branch that holds all its jobs.
    pub path: String,
    /// The number of the order; empty: of none.
    pub subject: String,
    /// What people call the shift.
    pub shift: Option<String>,
    /// The first instant of its window.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// When it was made.
    pub made_at: Timestamp,
    /// Who asked; `None`: a schedule.
    pub by: Option<Uuid>,
    /// The schedule.
    pub schedule: Option<String>,
    /// The report that it takes the place of.
    pub replaces: Option<Uuid>,
    /// The report that takes its place.
    pub replaced_by: Option<Uuid>,
    /// How many bytes its content has.
    pub size: u64,
}

/// A report to be kept.
#[derive(Clone, PartialEq, Debug)]
pub struct NewReport {
    /// Which; its size and what replaces it are not looked at.
    pub row: ReportRow,
    /// Of the request; `None`: a schedule.
    pub key: Option<Key>,
    /// What is signed.
    pub content: Vec<u8>,
    /// By Ed25519.
    pub signature: [u8; 64],
    /// The public key that verifies it, in hexadecimal.
    pub key_id: String,
    /// Its files are to be written there.
    pub folder: Option<String>,
    /// The event that tells of it.
    pub event: Event,
}

/// A window that was over, and of which its schedule could make no report yet.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct OwedReport {
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// What people call the shift.
    pub shift: Option<String>,
}

/// A report as it was signed.
#[derive(Clone, PartialEq, Debug)]
pub struct StoredReport {
    /// Which.
    pub row: ReportRow,
    /// What is signed.
    pub content: Vec<u8>,
    /// By Ed25519.
    pub signature: [u8; 64],
    /// The public key that verifies it, in hexadecimal.
    pub key_id: String,
}

/// What became of a report.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ReportKept {
    /// It is on disk.
    Now(ReportRow),
    /// The same was asked before, or its schedule has one of this window; nothing was written.
    Before(ReportRow),
    /// Something else was asked under that key. Nothing was written.
    KeyUsed,
}

/// Which reports. Everything that is given must hold.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ReportFilter {
    /// On or below one of these paths, none of which is below another; `""` is the whole tree. An empty list finds nothing.
    pub branches: Vec<String>,
    /// Of one of these kinds; empty: all.
    pub kinds: Vec<String>,
    /// Of this order.
    pub subject: Option<String>,
    /// Of this schedule.
    pub schedule: Option<String>,
    /// Whose window touches this one, from its first instant to the first after it.
    pub window: (Timestamp, Timestamp),
    /// Only reports made before this one: the last of the page before.
    pub after: Option<Uuid>,
    /// How many, 1 to [`MOST_REPORTS`] and one more.
    pub limit: u32,
}

impl ReportFilter {
    /// Every report of these branches.
    #[must_use]
    pub const fn of(branches: Vec<String>, limit: u32) -> Self {
        let window = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
        Self { branches, kinds: Vec::new(), subject: None, schedule: None, window, after: None, limit }
    }
}

/// Kept reports. One task makes them; anybody reads.
#[async_trait]
pub trait ReportRepository: Send + Sync + 'static {
    /// Keeps a report, and that its files are to be written.
    async fn report_keep(&self, new: NewReport) -> Result<ReportKept, StoreError>;
    /// One report, whole.
    async fn report(&self, id: Uuid) -> Result<Option<StoredReport>, StoreError>;
    /// One report, without its content.
    async fn report_row(&self, id: Uuid) -> Result<Option<ReportRow>, StoreError>;
    /// The report that a request has made, and the digest of what was asked; `None`: the key is new.
    async fn report_of_key(&self, key: Uuid) -> Result<Option<([u8; 32], ReportRow)>, StoreError>;
    /// Reports, the newest first.
    async fn reports(&self, filter: ReportFilter) -> Result<Vec<ReportRow>, StoreError>;
    /// The newest report of this kind, place, order and window: the one that none takes the place of. With a schedule, those of other
    /// schedules are left out.
    async fn report_of_window(
        &self,
        kind: &str,
        path: &str,
        subject: &str,
        window: Option<(Timestamp, Timestamp)>,
        schedule: Option<&str>,
    ) -> Result<Option<ReportRow>, StoreError>;
    /// Windows that end at a time or later and of which a schedule has made a report, by when they end: at most 10,000.
    async fn report_windows(
        &self,
        schedule: &str,
        ends_from: Timestamp,
    ) -> Result<Vec<(Timestamp, Timestamp)>, StoreError>;
    /// When the last window ended of which a schedule has made a report, of those that ended not later than a time.
    async fn report_upto(&self, schedule: &str, latest: Timestamp) -> Result<Option<Timestamp>, StoreError>;
    /// Notes that a schedule could not make the report of a window. It is forgotten when that is made.
    async fn report_owe(&self, schedule: &str, owed: OwedReport) -> Result<(), StoreError>;
    /// Windows of which a schedule could make no report yet, by when they end, at most 1,000. Those that ended before a time are forgotten.
    async fn reports_owed(&self, schedule: &str, ends_from: Timestamp) -> Result<Vec<OwedReport>, StoreError>;
    /// The time from which the age of reports counted last, as it was saved.
    async fn report_counted(&self) -> Result<Option<Timestamp>, StoreError>;
    /// Saves it.
    async fn report_count(&self, at: Timestamp) -> Result<(), StoreError>;
    /// The report that a schedule made last.
    async fn report_last(&self, schedule: &str) -> Result<Option<ReportRow>, StoreError>;
    /// Deletes reports of a schedule that were made before a time, at most so many; how many.
    async fn reports_forget(&self, schedule: &str, made_before: Timestamp, most: u32) -> Result<u64, StoreError>;
    /// Reports whose files are still to be written, each with the folder, the oldest first, at most so many: those after a report, and
    /// none of these folders.
    async fn report_files(
        &self,
        after: Option<Uuid>,
        without: &[String],
        most: u32,
    ) -> Result<Vec<(Uuid, String)>, StoreError>;
    /// Notes that the files of a report are written.
    async fn report_written(&self, id: Uuid) -> Result<(), StoreError>;
}
