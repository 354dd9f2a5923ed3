//! What the log says aloud.

use andon_model::log::{Gap, Lane};
use std::fmt;
use std::sync::Mutex;
use tokio::sync::broadcast;

/// How many notices wait for a slow listener; beyond, it misses the oldest and is told how many.
const NOTICES: usize = 256;

/// Something a person or an alarm should hear of. Each is said once per cause, and written to the program's log.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum LogNotice {
    /// A write or sync failed: the lane refuses everything until the process restarts.
    Poisoned {
        /// Which lane.
        lane: Lane,
        /// What failed.
        reason: String,
    },
    /// No space for the lane's next segment. `refusing`: the lane has come to its end and refuses frames.
    DiskFull {
        /// Which lane.
        lane: Lane,
        /// Whether frames are refused already; otherwise this is the early warning.
        refusing: bool,
    },
    /// There is space again.
    SpaceAgain {
        /// Which lane.
        lane: Lane,
    },
    /// The records lane lives on its reserve.
    ReserveInUse {
        /// How many reserve segments are left.
        segments_left: usize,
    },
    /// Bytes on disk do not match their checksum, or a file is missing. The rest is served.
    Damage {
        /// Which lane.
        lane: Lane,
        /// What is lost; `from` after `to` when only a file's head was hurt and no frame is lost.
        gap: Gap,
    },
    /// A reader fell behind the lane's retention limit: it will miss these frames.
    ReaderGap {
        /// Which reader.
        reader: String,
        /// Which lane.
        lane: Lane,
        /// What it misses.
        gap: Gap,
    },
    /// A snapshot could not be used.
    SnapshotUnusable {
        /// Which reader.
        reader: String,
        /// Why, and what was used in its place.
        reason: String,
    },
    /// A file could not be removed or read while tidying; tried again later.
    Untidy {
        /// Which lane.
        lane: Lane,
        /// What failed.
        reason: String,
    },
}

impl fmt::Display for LogNotice {
    /// For people: what happened, what it means, what to do.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Poisoned { lane, reason } => {
                write!(
                    f,
                    "The log's {} lane stopped: {reason}. Nothing more is acknowledged there. Check the disk, then restart Andon.",
                    lane.name()
                )
            }
            Self::DiskFull { lane, refusing: true } => {
                write!(
                    f,
                    "The disk is full: the {} lane refuses everything. Free space; it goes on by itself.",
                    lane.name()
                )
            }
            Self::DiskFull { lane, refusing: false } => {
                write!(f, "The disk is nearly full for the {} lane. Free space before it refuses.", lane.name())
            }
            Self::SpaceAgain { lane } => write!(f, "The {} lane has space again.", lane.name()),
            Self::ReserveInUse { segments_left } => {
                write!(
                    f,
                    "The disk is full; events live on their reserve, {segments_left} segments are left. Free space."
                )
            }
            Self::Damage { lane, gap } if gap.from > gap.to => {
                write!(
                    f,
                    "A file of the {} lane is damaged at its head; nothing was lost. Check the disk.",
                    lane.name()
                )
            }
            Self::Damage { lane, gap } => {
                write!(
                    f,
                    "Frames {} to {} of the {} lane are damaged and lost: {}. The rest is served. Put the log's folder back from a backup if you need them, and check the disk.",
                    gap.from.0,
                    gap.to.0,
                    lane.name(),
                    gap.reason
                )
            }
            Self::ReaderGap { reader, lane, gap } => {
                write!(
                    f,
                    "\"{reader}\" fell behind the retention of the {} lane and misses frames {} to {}.",
                    lane.name(),
                    gap.from.0,
                    gap.to.0
                )
            }
            Self::SnapshotUnusable { reader, reason } => {
                write!(f, "The saved state of \"{reader}\" could not be used: {reason}.")
            }
            Self::Untidy { lane, reason } => {
                write!(f, "The {} lane could not be tidied: {reason}. It is tried again.", lane.name())
            }
        }
    }
}

/// Receives [`LogNotice`]s: `recv().await`; a listener that is more than 256 behind is told how many it missed.
pub type NoticeReceiver = broadcast::Receiver<LogNotice>;

/// Tells all listeners, and the program's log.
#[derive(Debug)]
pub(crate) struct Notices {
    sender: broadcast::Sender<LogNotice>,
    /// While the log opens: what to put into the report.
    early: Mutex<Option<Vec<LogNotice>>>,
}

impl Notices {
    pub(crate) fn new() -> Self {
        Self { sender: broadcast::channel(NOTICES).0, early: Mutex::new(Some(Vec::new())) }
    }

    pub(crate) fn say(&self, notice: LogNotice) {
        match &notice {
            LogNotice::SpaceAgain { .. } => tracing::info!("{notice}"),
            LogNotice::Untidy { .. } | LogNotice::ReserveInUse { .. } => tracing::warn!("{notice}"),
            _ => tracing::error!("{notice}"),
        }
        if let Some(early) = crate::lock(&self.early).as_mut() {
            early.push(notice.clone());
        }
        // No listener is not an error: the program's log has it.
        let _ = self.sender.send(notice);
    }

    pub(crate) fn subscribe(&self) -> NoticeReceiver {
        self.sender.subscribe()
    }

    /// Ends the opening: gives what was said so far.
    pub(crate) fn take_early(&self) -> Vec<LogNotice> {
        crate::lock(&self.early).take().unwrap_or_default()
    }
}
