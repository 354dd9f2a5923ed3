//! What the node says about itself: log notices, lost samples, dropped messages, unreadable payloads. They become
//! system events in the records lane, where people see them in the timeline.

use andon_bus::ids::new_id;
use andon_bus::spool::SpoolNotice;
use andon_historian::{Damage, Holds};
use andon_log::{LogNotice, NoticeReceiver};
use andon_model::Clock;
use andon_model::access::Principal;
use andon_model::event::{Event, SystemNote, What};
use andon_model::record::Recorder;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// The most notes that wait to be recorded; further ones are counted.
const WAITING: usize = 1024;

/// A note about something, with the path it concerns.
pub struct Note {
    /// The tag or equipment; empty for the node.
    pub path: String,
    /// The action word.
    pub action: &'static str,
    /// In plain words, without the name of anybody.
    pub text: String,
    /// Who did it; the node itself, mostly. Whoever reads the timeline sees the name.
    pub by: Principal,
}

/// Takes notes from anywhere without blocking.
#[derive(Clone)]
pub struct Notes {
    sender: mpsc::Sender<Note>,
    lost: Arc<AtomicU64>,
}

impl Notes {
    /// Notes, and the end from which [`run`] records them.
    pub fn new() -> (Self, mpsc::Receiver<Note>) {
        let (sender, receiver) = mpsc::channel(WAITING);
        (Self { sender, lost: Arc::default() }, receiver)
    }

    /// Notes something. When too many wait it is only counted and written to the program's log.
    pub fn say(&self, path: &str, action: &'static str, text: String) {
        tracing::warn!(action, path, "{text}");
        self.keep(path, action, text);
    }

    /// Notes what somebody did, with who that is. When too many wait it is only counted and written to the program's log.
    pub fn say_of(&self, by: &Principal, action: &'static str, text: String) {
        tracing::warn!(action, by = %by.id, "{text}");
        if !self.try_note(Note { path: String::new(), action, text, by: by.clone() }) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes something that the program's log has already. When too many wait it is only counted.
    fn keep(&self, path: &str, action: &'static str, text: String) {
        if !self.try_keep(path, action, text) {
            self.lost.fetch_add(1, Ordering::Relaxed);
        }
    }

    /// Notes something; `false` when too many wait.
    fn try_keep(&self, path: &str, action: &'static str, text: String) -> bool {
        self.try_note(Note { path: path.to_owned(), action, text, by: Principal::SYSTEM })
    }

    fn try_note(&self, note: Note) -> bool {
        self.sender.try_send(note).is_ok()
    }

    /// How many notes could not be recorded.
    pub fn lost(&self) -> u64 {
        self.lost.load(Ordering::Relaxed)
    }
}

/// Makes an event of the node's own, with words.
pub fn event(clock: &dyn Clock, path: &str, action: &str, text: String) -> Event {
    event_of(clock, path, What::System(SystemNote { action: action.to_owned(), text }))
}

/// Makes an event of the node's own.
pub fn event_of(clock: &dyn Clock, path: &str, what: What) -> Event {
    let (id, at, path) = (new_id(clock), clock.now(), path.to_owned());
    Event { id, at, source_at: None, path, by: Principal::SYSTEM, what }
}

/// Records notes until `stop`.
pub async fn run(
    mut notes: mpsc::Receiver<Note>,
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    stop: CancellationToken,
) {
    loop {
        let note = tokio::select! {
            () = stop.cancelled() => return,
            note = notes.recv() => note,
        };
        let Some(note) = note else { return };
        let event = Event { by: note.by, ..event(&*clock, &note.path, note.action, note.text) };
        if let Err(error) = recorder.record(event).await {
            tracing::error!(%error, action = note.action, "a note about the node could not be recorded");
        }
    }
}

/// Turns the log's notices into notes until `stop`, first those of its opening. The log itself has written them to the
/// program's log.
pub async fn hear_log(early: Vec<LogNotice>, mut notices: NoticeReceiver, notes: Notes, stop: CancellationToken) {
    for notice in early {
        notes.keep("", action_of(&notice), notice.to_string());
    }
    loop {
        let notice = tokio::select! {
            () = stop.cancelled() => return,
            notice = notices.recv() => notice,
        };
        match notice {
            Ok(notice) => notes.keep("", action_of(&notice), notice.to_string()),
            Err(tokio::sync::broadcast::error::RecvError::Lagged(_)) => {}
            Err(tokio::sync::broadcast::error::RecvError::Closed) => return,
        }
    }
}

const fn action_of(notice: &LogNotice) -> &'static str {
    match notice {
        LogNotice::Poisoned { .. } => "sync_failed",
        LogNotice::DiskFull { .. } | LogNotice::ReserveInUse { .. } => "disk_full",
        LogNotice::SpaceAgain { .. } => "space_again",
        LogNotice::Damage { .. } => "damage",
        LogNotice::ReaderGap { .. } => "gap",
        LogNotice::SnapshotUnusable { .. } => "snapshot_unusable",
        LogNotice::Untidy { .. } => "untidy",
    }
}

/// A damaged file of history in words, with what to do. The historian writes it to the program's log, and tells it again later if this
/// is `false`: too many notes wait.
pub fn history_damage(notes: &Notes, history: &Path, damage: &Damage) -> bool {
    let path = Path::new("history").join(damage.file.strip_prefix(history).unwrap_or(&damage.file));
    match damage.holds {
        Holds::Readings => {
            let path = path.display();
            let text = format!(
                "{damage}. Put it back from a backup: `andon restore BACKUP --only {path} --into FOLDER`, then move it to its place; \
                 `andon doctor` looks at every file of history. If there is no backup of it: `andon history give-up {path} --reason WHY`"
            );
            notes.try_keep("", "damage", text)
        }
        Holds::Rollups => notes.try_keep("", "rollups_damaged", format!("{damage}. The next tidying makes it anew")),
    }
}

/// A notice of the sample spool in words.
pub fn spool(notes: &Notes, notice: &SpoolNotice) {
    match notice {
        SpoolNotice::Refused { error, waiting } => {
            notes.say("", "samples_wait", format!("Readings cannot be stored: {error}. {waiting} wait in memory."));
        }
        SpoolNotice::Lost { from, to, samples, reason } => {
            notes.say("", "gap", format!("{samples} readings received from {from} to {to} were lost: {reason}."));
        }
        SpoolNotice::Resumed => notes.say("", "samples_resumed", "Readings are stored again.".to_owned()),
    }
}
