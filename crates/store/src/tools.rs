//! What is kept of tools: on which machine each was mounted, when it was renewed, what people said it had used besides, and what was told.
//!
//! Which machine, which time and whether it may is for the caller to say; that a tool is on one machine at a time, and that what is asked or
//! told twice is done once, this crate holds.

use crate::error::StoreError;
use crate::logbook::Key;
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use uuid::Uuid;

/// The most mountings, renewals and changes of a tool at once.
pub const MOST_OF_A_TOOL: u32 = 5_000;

/// A tool on a machine.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolSpan {
    /// Later than all that were written before it.
    pub number: u64,
    /// The tool's name.
    pub tool: String,
    /// The machine's path.
    pub machine: String,
    /// The first instant.
    pub from: Timestamp,
    /// The first instant after it; `None`: it is there.
    pub to: Option<Timestamp>,
    /// Who mounted it.
    pub by: Uuid,
    /// Why, as the person said it; may be empty.
    pub reason: String,
}

/// From then on a tool's life began anew.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolRenewal {
    /// 1 for the first.
    pub renewal: u64,
    /// When.
    pub at: Timestamp,
    /// By whom.
    pub by: Uuid,
    /// Why.
    pub reason: String,
}

/// That something was told of a tool's life.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolTold {
    /// The tool.
    pub tool: String,
    /// Of the life after so many renewals.
    pub renewal: u64,
    /// `warn` or `end`.
    pub level: String,
    /// At how much it is reached: millionths of a cycle, or µs.
    pub reached: i64,
    /// When.
    pub at: Timestamp,
}

/// What is known of a tool's present life.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct ToolLife {
    /// How often it was renewed.
    pub renewals: u64,
    /// When it was last; `None`: never.
    pub since: Option<Timestamp>,
    /// The mountings of this life, the oldest first.
    pub spans: Vec<ToolSpan>,
    /// What people said that this life had used besides, in millionths of a cycle.
    pub cycles: i64,
    /// Likewise, in µs.
    pub run_time: i64,
    /// What was told of it, in the order in which it was.
    pub told: Vec<ToolTold>,
}

impl ToolLife {
    /// The mounting that lasts.
    #[must_use]
    pub fn mounted(&self) -> Option<&ToolSpan> {
        self.spans.iter().find(|span| span.to.is_none())
    }
}

/// What people did with a tool.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug)]
pub enum ToolDeed {
    /// Mounted it.
    Mount,
    /// Took it off.
    Unmount,
    /// Put a mounting right.
    Correct,
    /// Renewed it.
    Renew,
    /// Said what its life had used besides.
    Used,
}

impl ToolDeed {
    /// Every deed.
    pub const ALL: [Self; 5] = [Self::Mount, Self::Unmount, Self::Correct, Self::Renew, Self::Used];

    /// The word, as in JSON.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Mount => "mount",
            Self::Unmount => "unmount",
            Self::Correct => "correct",
            Self::Renew => "renew",
            Self::Used => "used",
        }
    }
}

/// A change that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ToolEntry {
    /// Later than all before it.
    pub number: u64,
    /// What was done.
    pub deed: ToolDeed,
    /// When it was said.
    pub at: Timestamp,
    /// By whom.
    pub by: Uuid,
    /// Why; may be empty.
    pub reason: String,
    /// The mounting it is about.
    pub span: Option<u64>,
    /// What stood in a mounting that was put right: from when, and until when where it had ended.
    pub was: Option<(Timestamp, Option<Timestamp>)>,
    /// What was said to be used besides: millionths of a cycle.
    pub cycles: Option<i64>,
    /// Likewise, µs.
    pub run_time: Option<i64>,
}

/// What is to be done with a tool.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToolStep {
    /// It is mounted on a machine.
    Mount {
        /// Which.
        machine: String,
        /// From when; `None`: from now, or from the end of the last mounting where the clock was set back.
        from: Option<Timestamp>,
        /// Until when, of one that is over.
        to: Option<Timestamp>,
    },
    /// It is taken off the machine.
    Unmount {
        /// Where it is, as the caller knows it.
        machine: String,
        /// When; `None`: now.
        at: Option<Timestamp>,
    },
    /// A mounting was from then to then.
    Correct {
        /// Which.
        span: u64,
        /// The first instant.
        from: Timestamp,
        /// The first instant after it; `None`: it lasts, as it did.
        to: Option<Timestamp>,
    },
    /// Its life begins anew.
    Renew,
    /// What its life had used besides; `None`: as was said before.
    Used {
        /// Millionths of a cycle.
        cycles: Option<i64>,
        /// µs.
        run_time: Option<i64>,
    },
}

impl ToolStep {
    /// What is done.
    #[must_use]
    pub const fn deed(&self) -> ToolDeed {
        match self {
            Self::Mount { .. } => ToolDeed::Mount,
            Self::Unmount { .. } => ToolDeed::Unmount,
            Self::Correct { .. } => ToolDeed::Correct,
            Self::Renew => ToolDeed::Renew,
            Self::Used { .. } => ToolDeed::Used,
        }
    }
}

/// A change of a tool.
#[derive(Clone, PartialEq, Debug)]
pub struct ToolWrite {
    /// Of the request.
    pub key: Key,
    /// The tool's name.
    pub tool: String,
    /// What is done.
    pub step: ToolStep,
    /// When it is said.
    pub at: Timestamp,
    /// By whom.
    pub by: Uuid,
    /// Why; may be empty.
    pub reason: String,
    /// The event that tells of it.
    pub event: Event,
}

/// What became of it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ToolWritten {
    /// It is on disk.
    Now,
    /// The same was asked before, or it is mounted there: then the request is noted, and does nothing later either. Nothing changed.
    Before,
    /// Something else was asked under that key. Nothing was written.
    KeyUsed,
    /// It is not mounted. Nothing was written.
    NotMounted,
    /// It is on this machine. Nothing was written.
    Elsewhere(ToolSpan),
    /// It was on a machine at that time. Nothing was written.
    Overlaps(ToolSpan),
    /// There is no such mounting of the tool. Nothing was written.
    NoSpan,
    /// It ends before its beginning, or it is to last and has ended. Nothing was written.
    Unfit,
}

/// Tools. Anybody writes, anybody reads.
#[async_trait]
pub trait ToolRepository: Send + Sync + 'static {
    /// Makes a change, once.
    async fn tool_write(&self, change: ToolWrite) -> Result<ToolWritten, StoreError>;
    /// Notes that something was told of a tool, with its event, unless it was told before or is of an earlier life; whether it was noted
    /// now.
    async fn tool_tell(&self, told: ToolTold, event: Event) -> Result<bool, StoreError>;
    /// The tools that something is known of, by name, of those after a name.
    async fn tool_names(&self, after: &str, limit: u32) -> Result<Vec<String>, StoreError>;
    /// What is known of the present lives of these tools, in their order.
    async fn tool_lives(&self, tools: Vec<String>) -> Result<Vec<ToolLife>, StoreError>;
    /// The mountings of a tool, the newest first, at most [`MOST_OF_A_TOOL`].
    async fn tool_spans(&self, tool: &str) -> Result<Vec<ToolSpan>, StoreError>;
    /// The mounting of a tool that has this number.
    async fn tool_span(&self, tool: &str, number: u64) -> Result<Option<ToolSpan>, StoreError>;
    /// The mountings on machines that last.
    async fn tool_mounted(&self, machine: &str) -> Result<Vec<ToolSpan>, StoreError>;
    /// The renewals of a tool, the newest first, at most [`MOST_OF_A_TOOL`].
    async fn tool_renewals(&self, tool: &str) -> Result<Vec<ToolRenewal>, StoreError>;
    /// What people did with a tool, the newest first, at most [`MOST_OF_A_TOOL`].
    async fn tool_entries(&self, tool: &str) -> Result<Vec<ToolEntry>, StoreError>;
}
