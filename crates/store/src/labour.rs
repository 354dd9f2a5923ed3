//! What is kept of who was signed on where. Which place and which time is for the caller to say; that a person is in one place at a time,
//! this crate holds.

use crate::error::StoreError;
use crate::logbook::Key;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use uuid::Uuid;

/// The most spans at once.
pub const MOST_SPANS: u32 = 50_000;

/// Why a span ended.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum Ended {
    /// The person signed off.
    Myself,
    /// The person signed on elsewhere.
    Elsewhere,
    /// Nobody had ended it when it had to end.
    Rule,
    /// A supervisor put its end right.
    Supervisor,
}

impl Ended {
    /// Every reason.
    pub const ALL: [Self; 4] = [Self::Myself, Self::Elsewhere, Self::Rule, Self::Supervisor];

    /// The word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Myself => "self",
            Self::Elsewhere => "elsewhere",
            Self::Rule => "rule",
            Self::Supervisor => "supervisor",
        }
    }
}

/// A span in which a person was signed on at a place.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabourSpan {
    /// Later than all before it.
    pub number: u64,
    /// Who.
    pub person: Uuid,
    /// Where.
    pub path: String,
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it; `None`: it lasts.
    pub to: Option<Timestamp>,
    /// When it ends if nobody ends it.
    pub ends_by: Timestamp,
    /// Why it ended.
    pub ended: Option<Ended>,
}

/// What stood in a span before a supervisor put it right.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabourCorrection {
    /// The span.
    pub span: u64,
    /// When it was put right.
    pub at: Timestamp,
    /// By whom.
    pub by: Uuid,
    /// When it began before.
    pub was_from: Timestamp,
    /// When it ended before; `None`: it lasted.
    pub was_to: Option<Timestamp>,
    /// Why.
    pub reason: String,
}

/// Somebody signs on.
#[derive(Clone, PartialEq, Debug)]
pub struct SignOn {
    /// Of the request.
    pub key: Key,
    /// Who.
    pub person: Uuid,
    /// Where.
    pub path: String,
    /// When; later where the clock was set back into the person's last span.
    pub at: Timestamp,
    /// When it ends if nobody ends it.
    pub ends_by: Timestamp,
    /// The event that tells of it. Its detail becomes the number of the span, which is known only when it is written.
    pub event: Event,
}

/// Somebody signs off.
#[derive(Clone, PartialEq, Debug)]
pub struct SignOff {
    /// Of the request.
    pub key: Key,
    /// Who.
    pub person: Uuid,
    /// When.
    pub at: Timestamp,
    /// The event that tells of it, as of a sign-on.
    pub event: Event,
}

/// A supervisor puts a span right.
#[derive(Clone, PartialEq, Debug)]
pub struct SpanChange {
    /// Of the request.
    pub key: Key,
    /// The span.
    pub number: u64,
    /// When it began.
    pub from: Timestamp,
    /// When it ended; `None`: it lasts, as it did.
    pub to: Option<Timestamp>,
    /// When that is said.
    pub at: Timestamp,
    /// By whom.
    pub by: Uuid,
    /// Why.
    pub reason: String,
    /// The event that tells of it.
    pub event: Event,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Signed {
    /// It is on disk.
    Now(LabourSpan),
    /// The same was asked before, or the person is signed on there. Nothing was written but the key.
    Before(LabourSpan),
    /// Something else was asked under that key. Nothing was written.
    KeyUsed,
    /// The person is not signed on. Nothing was written.
    NotThere,
    /// It would overlap this span of the person. Nothing was written.
    Overlaps(LabourSpan),
    /// It ends not after its beginning, or it is to last and has ended. Nothing was written.
    Unfit,
}

/// Which spans: those that touch a window.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct LabourFilter {
    /// On or below this path; `""` is the whole tree.
    pub path: String,
    /// Of this person.
    pub person: Option<Uuid>,
    /// The window's first instant.
    pub from: Timestamp,
    /// The first instant after it.
    pub to: Timestamp,
    /// How many, 1 to [`MOST_SPANS`] and one more.
    pub limit: u32,
}

/// Who was signed on where. Anybody writes, anybody reads.
#[async_trait]
pub trait LabourRepository: Send + Sync + 'static {
    /// Signs a person on; where they are signed on elsewhere, that ends with it.
    async fn labour_sign_on(&self, sign: SignOn) -> Result<Signed, StoreError>;
    /// Signs a person off.
    async fn labour_sign_off(&self, sign: SignOff) -> Result<Signed, StoreError>;
    /// Puts a span right, and keeps what stood there.
    async fn labour_correct(&self, change: SpanChange) -> Result<Signed, StoreError>;
    /// Ends a span when it had to end, if it still lasts; whether it did.
    async fn labour_end_by_rule(&self, number: u64, event: Event) -> Result<bool, StoreError>;
    /// What lasts, and was to end until then.
    async fn labour_overdue(&self, until: Timestamp) -> Result<Vec<LabourSpan>, StoreError>;
    /// What lasts on or below a path.
    async fn labour_lasting(&self, path: &str) -> Result<Vec<LabourSpan>, StoreError>;
    /// What a request made or changed, if it was done before.
    async fn labour_of_key(&self, key: Key) -> Result<Option<LabourSpan>, StoreError>;
    /// One span.
    async fn labour_span(&self, number: u64) -> Result<Option<LabourSpan>, StoreError>;
    /// Spans, the newest first.
    async fn labour_spans(&self, filter: LabourFilter) -> Result<Vec<LabourSpan>, StoreError>;
    /// What was put right of these spans, in the order in which it was done.
    async fn labour_corrections(&self, spans: Vec<u64>) -> Result<Vec<LabourCorrection>, StoreError>;
    /// Supervisors with their branches.
    async fn labour_supervisors(&self) -> Result<Vec<(Uuid, String)>, StoreError>;
    /// Makes a person a supervisor of a branch; is one: nothing changes but that it is told.
    /// # Errors
    /// [`StoreError::Missing`]: there is no such person.
    async fn labour_supervisor_put(&self, person: Uuid, branch: &str, event: Event) -> Result<(), StoreError>;
    /// Takes that back.
    /// # Errors
    /// [`StoreError::Missing`]: the person is none of that branch.
    async fn labour_supervisor_remove(&self, person: Uuid, branch: &str, event: Event) -> Result<(), StoreError>;
}
