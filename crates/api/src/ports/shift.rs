//! What the API needs of the shift logbook, of hand-overs, and of who is signed on where.

use crate::ports::NotDone;
use andon_model::access::Principal;
use andon_model::{BoxFuture, Timestamp};
use andon_store::logbook::EntryFilter;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// A shift of a calendar.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
#[schema(as = LogbookShift)]
pub struct ShiftSpan {
    /// What people call it.
    pub name: String,
    /// Its first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first instant after it.
    pub to_ms: i64,
}

/// What an entry is about.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Links {
    /// The number of a work order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// A job order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    /// The name of an alarm.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// The number of a maintenance order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub maintenance: Option<String>,
    /// The path of a machine.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub machine: Option<String>,
}

/// An entry of the logbook.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntryView {
    /// Later than all before it.
    pub number: u64,
    /// The place.
    pub path: String,
    /// `note`, `safety`, `quality`, `production`, `material`, `maintenance`, `handover`.
    pub kind: String,
    /// What was written.
    pub text: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// Who wrote it.
    pub by: Uuid,
    /// Their name; `null`: erased.
    pub by_name: Option<String>,
    /// The shift there then; `null`: no calendar there, or off shift.
    pub shift: Option<ShiftSpan>,
    /// It was to be handed over.
    pub pinned: bool,
    /// It still is, or it is a hand-over that nobody has confirmed.
    pub open: bool,
    /// The entry that it puts right.
    pub corrects: Option<u64>,
    /// The entry that puts it right.
    pub corrected_by: Option<u64>,
    /// What it is about.
    pub links: Links,
    /// It is a hand-over: more of it under `/api/mes/handovers`.
    pub handover: bool,
}

/// A page of entries, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct EntriesPage {
    /// They.
    pub entries: Vec<EntryView>,
    /// Send it as `after` for the next page; `null`: this is the last one.
    pub next: Option<u64>,
}

/// Something that is open at a hand-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, ToSchema)]
pub struct OpenItem {
    /// `job`, `alarm`, `stop`, `entry`, `handover`.
    pub kind: String,
    /// Where.
    pub path: String,
    /// In words.
    pub title: String,
    /// Since when, in ms since 1970.
    pub since_ms: i64,
    /// `Running`, `Interrupted (Held)`; `unacknowledged`, …; `null` of others.
    pub state: Option<String>,
    /// The job order.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub job: Option<Uuid>,
    /// Its order's number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub order: Option<String>,
    /// The alarm's name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub alarm: Option<String>,
    /// The number of the entry, or of the hand-over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub entry: Option<u64>,
}

/// What is open at a place now.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct ProposedHandover {
    /// The place.
    pub path: String,
    /// Now.
    pub now_ms: i64,
    /// The shift there.
    pub shift: Option<ShiftSpan>,
    /// From when on stops are looked at.
    pub from_ms: i64,
    /// At most 200.
    pub items: Vec<OpenItem>,
    /// There are more.
    pub truncated: bool,
}

/// A hand-over.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HandoverView {
    /// Its number, also in the logbook.
    pub number: u64,
    /// The place.
    pub path: String,
    /// The shift that left.
    pub shift: Option<ShiftSpan>,
    /// What it wrote.
    pub summary: String,
    /// When, in ms since 1970.
    pub at_ms: i64,
    /// Who wrote it.
    pub by: Uuid,
    /// Their name.
    pub by_name: Option<String>,
    /// What was open then.
    pub items: Vec<OpenItem>,
    /// There was more.
    pub truncated: bool,
    /// Entries that stay open after it is confirmed.
    pub kept: Vec<u64>,
    /// `waiting`, `confirmed`.
    pub state: String,
    /// When it was confirmed.
    pub confirmed_at_ms: Option<i64>,
    /// By whom.
    pub confirmed_by: Option<Uuid>,
    /// Their name.
    pub confirmed_by_name: Option<String>,
    /// What they wrote.
    pub note: String,
}

/// A page of hand-overs, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct HandoversPage {
    /// They.
    pub handovers: Vec<HandoverView>,
    /// Send it as `after` for the next page.
    pub next: Option<u64>,
}

/// A new entry.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EntryWish {
    /// By which the request is known when it comes again.
    pub key: Uuid,
    /// The place.
    pub path: String,
    /// What it is.
    pub kind: String,
    /// What was written.
    pub text: String,
    /// It is to be handed over.
    pub pinned: bool,
    /// The entry that it puts right.
    pub corrects: Option<u64>,
    /// What it is about.
    pub links: Links,
}

/// A new hand-over.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HandoverWish {
    /// By which the request is known when it comes again.
    pub key: Uuid,
    /// The place.
    pub path: String,
    /// What the leaving shift writes.
    pub summary: String,
    /// Entries that stay open after it is confirmed.
    pub keep: Vec<u64>,
}

/// What was put right of a sign-on: what stood there before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SpanCorrectionView {
    /// When it was put right, in ms since 1970.
    pub at_ms: i64,
    /// By whom.
    pub by: Uuid,
    /// Their name.
    pub by_name: Option<String>,
    /// When it began before.
    pub was_from_ms: i64,
    /// When it ended before; `null`: it lasted.
    pub was_to_ms: Option<i64>,
    /// Why.
    pub reason: String,
}

/// A span in which somebody was signed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LabourSpanView {
    /// Its number.
    pub number: u64,
    /// Who.
    pub person: Uuid,
    /// Their name; `null`: erased.
    pub name: Option<String>,
    /// Where.
    pub path: String,
    /// The first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first instant after it; `null`: it lasts.
    pub to_ms: Option<i64>,
    /// `self`, `elsewhere`, `rule`, `supervisor`.
    pub ended: Option<String>,
    /// When it ends if nobody ends it.
    pub ends_by_ms: i64,
    /// What was put right of it.
    pub corrections: Vec<SpanCorrectionView>,
}

/// Spans, the newest first.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct LabourSpans {
    /// They.
    pub spans: Vec<LabourSpanView>,
    /// There are more.
    pub truncated: bool,
}

/// Somebody who is signed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PresentView {
    /// Who.
    pub person: Uuid,
    /// Their name.
    pub name: Option<String>,
    /// Since when, in ms since 1970.
    pub since_ms: i64,
}

/// How many are signed on at a place.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PresentAtView {
    /// The place.
    pub path: String,
    /// How many.
    pub people: usize,
    /// Those of them whom one sees.
    pub persons: Vec<PresentView>,
}

/// Who is signed on.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct PresentAnswer {
    /// Now.
    pub now_ms: i64,
    /// Places where somebody is.
    pub places: Vec<PresentAtView>,
    /// Where one is oneself, anywhere.
    pub me: Option<LabourSpanView>,
}

/// What a place comes to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LabourPlaceView {
    /// The place.
    pub path: String,
    /// How many people were there.
    pub people: usize,
    /// APAT: signed on, without breaks.
    pub attendance_ms: i64,
    /// APWT: of that, while a job order stood there.
    pub working_ms: i64,
    /// APWT / APAT; `null`: nobody attended.
    pub worker_efficiency: Option<f64>,
}

/// What a person comes to.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LabourPersonView {
    /// Who.
    pub person: Uuid,
    /// Their name.
    pub name: Option<String>,
    /// APAT.
    pub attendance_ms: i64,
    /// APWT.
    pub working_ms: i64,
    /// APWT / APAT; `null`: did not attend.
    pub worker_efficiency: Option<f64>,
}

/// Attendance and work over a window.
#[derive(Debug, Clone, PartialEq, Serialize, ToSchema)]
pub struct LabourAnswer {
    /// The place.
    pub path: String,
    /// The window's first instant, in ms since 1970.
    pub from_ms: i64,
    /// The first instant after it.
    pub to_ms: i64,
    /// Now: what is after it is not counted.
    pub now_ms: i64,
    /// How many people.
    pub people: usize,
    /// APAT.
    pub attendance_ms: i64,
    /// APWT.
    pub working_ms: i64,
    /// APWT / APAT; `null`: nobody attended.
    pub worker_efficiency: Option<f64>,
    /// Every node at and below the path where somebody was, at most 1,000.
    pub places: Vec<LabourPlaceView>,
    /// Those whom one sees, at most 1,000.
    pub persons: Vec<LabourPersonView>,
    /// There are more.
    pub truncated: bool,
}

/// A supervisor.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, ToSchema)]
pub struct SupervisorView {
    /// Who.
    pub person: Uuid,
    /// Their name.
    pub name: Option<String>,
    /// Where, with everything below.
    pub branch: String,
}

/// What a supervisor says of a sign-on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SpanWish {
    /// By which the request is known when it comes again.
    pub key: Uuid,
    /// When it began.
    pub from: Timestamp,
    /// When it ended; `None`: it lasts.
    pub to: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// An answer.
pub type Answer<'a, T> = BoxFuture<'a, Result<T, NotDone>>;

/// The logbook. Rights at a place are looked at before; `bool` of what is made: it was made now.
pub trait Logbook: Send + Sync + 'static {
    /// Entries, the newest first.
    fn entries(&self, filter: EntryFilter) -> Answer<'_, EntriesPage>;
    /// One entry.
    fn entry(&self, number: u64) -> Answer<'_, EntryView>;
    /// Writes an entry.
    fn write(&self, wish: EntryWish, by: Principal) -> Answer<'_, (bool, EntryView)>;
    /// What is open at a place now.
    fn proposed(&self, path: String, who: Principal) -> Answer<'_, ProposedHandover>;
    /// Hands over what is open.
    fn hand_over(&self, wish: HandoverWish, by: Principal) -> Answer<'_, (bool, HandoverView)>;
    /// Hand-overs, the newest first.
    fn handovers(&self, filter: EntryFilter) -> Answer<'_, HandoversPage>;
    /// One hand-over.
    fn handover(&self, number: u64) -> Answer<'_, HandoverView>;
    /// Confirms a hand-over.
    fn confirm(&self, number: u64, key: Uuid, note: String, by: Principal) -> Answer<'_, HandoverView>;
}

/// Who is signed on where. That who asks may view the place is looked at before; whom they see there is looked at here.
pub trait Labour: Send + Sync + 'static {
    /// Signs somebody on, who asks or another; who asks may operate the place.
    fn sign_on(
        &self,
        path: String,
        person: Option<Uuid>,
        key: Uuid,
        by: Principal,
    ) -> Answer<'_, (bool, LabourSpanView)>;
    /// Signs somebody off.
    fn sign_off(&self, person: Option<Uuid>, key: Uuid, by: Principal) -> Answer<'_, LabourSpanView>;
    /// Who is signed on at or below a path.
    fn present(&self, path: String, who: Principal) -> Answer<'_, PresentAnswer>;
    /// What a window comes to.
    fn worked(&self, path: String, window: (Timestamp, Timestamp), who: Principal) -> Answer<'_, LabourAnswer>;
    /// Spans that touch a window.
    fn spans(
        &self,
        path: String,
        window: (Timestamp, Timestamp),
        person: Option<Uuid>,
        who: Principal,
    ) -> Answer<'_, LabourSpans>;
    /// Puts a span right.
    fn correct(&self, number: u64, wish: SpanWish, by: Principal) -> Answer<'_, LabourSpanView>;
    /// Every supervisor.
    fn supervisors(&self) -> Answer<'_, Vec<SupervisorView>>;
    /// Makes a person a supervisor of a branch, or takes that back.
    fn supervise(&self, person: Uuid, branch: String, is_one: bool, by: Principal) -> Answer<'_, ()>;
}
