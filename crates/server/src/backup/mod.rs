//! Backups of a node: the state of one moment, copied while the node goes on.
//!
//! The node holds a state still ([`hold`]), the tool copies it into a repository ([`tool`]) and looks whether a copy is whole
//! inside ([`inspect`]). `andon-backup` keeps the files and knows nothing of their meaning.
//!
//! **The order, and why.** Everything that follows the log must be in the backup no further than the log itself:
//! 1. From here on the log frees nothing.
//! 2. What the log's readers saved: sessions, last values, alarms, commands, how far history and timeline have come.
//! 3. History: manifest, files and open table, while none of them changes. Its manifest is no older than what 2 says of it.
//! 4. The records: the copy takes its view while nothing is committed, and in that moment
//! 5. the log's end is noted. So it holds the event of every change that the records hold, or the records' outbox does; and no
//!    event of a later one.
//! 6. The log's segments, up to that end. Then the log may free again.
//!
//! After a restore each reader replays what lies between its own position and the end, as after a kill at that moment.

pub mod hold;
pub mod inspect;
pub mod meter;
pub mod tool;

use andon_access::private_file;
use andon_model::log::Lane;
use andon_model::{Clock, SystemClock, Timestamp};
use serde::{Deserialize, Serialize};
use std::path::Path;

/// Where states are held, in the data directory.
pub const HOLDS: &str = "backup-hold";
/// What is known of the last backup, in the data directory.
const LAST: &str = "last-backup.json";
/// In a restored data directory, until its node has recorded that.
const RESTORED: &str = "restored.json";

/// The last backup that was finished.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct Last {
    /// How it is called.
    pub name: String,
    /// When it was finished, ms since 1970-01-01.
    pub at_ms: i64,
    /// Bytes of its files.
    pub bytes: u64,
}

impl Last {
    /// Of this data directory; `None` if there is none, or none that is known of.
    pub fn load(data_dir: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(data_dir.join(LAST)).ok()?).ok()
    }

    fn save(&self, data_dir: &Path) -> std::io::Result<()> {
        private_file::replace(&data_dir.join(LAST), serde_json::to_string(self)?.as_bytes())
    }

    /// How long ago it was, in days.
    pub fn days_ago(&self) -> i64 {
        SystemClock.now().since(Timestamp::from_millis(self.at_ms)).as_secs().try_into().map_or(0, |s: i64| s / 86_400)
    }
}

/// From which backup a data directory was restored.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
struct Restored {
    name: String,
    at_ms: i64,
}

/// What a node that starts says of the backup it was restored from, once.
pub fn take_restored(data_dir: &Path) -> Option<String> {
    let path = data_dir.join(RESTORED);
    let restored: Restored = serde_json::from_slice(&std::fs::read(&path).ok()?).ok()?;
    let at = Timestamp::from_millis(restored.at_ms);
    Some(format!(
        "restored from the backup {}, which holds the state of {at}; what came later is not here",
        restored.name
    ))
}

/// The start was recorded: it is not said again.
pub fn forget_restored(data_dir: &Path) {
    let _ = std::fs::remove_file(data_dir.join(RESTORED)); // Said again at the next start if it cannot be removed.
}

/// A lane's segments in a data directory.
fn lane_folder(lane: Lane) -> String {
    format!("log/{}", lane.name())
}
