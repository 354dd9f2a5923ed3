//! What of kept messages is past its time, by a clock that may be wrong.

use super::{History, lock};
use andon_model::{Believed, Timestamp};
use serde::{Deserialize, Serialize};
use std::fs::File;
use std::io::{self, Write};
use std::path::{Path, PathBuf};
use std::time::Duration;

/// What the file is called.
const FILE: &str = "counted.json";
/// A time that is further ahead of the last one than this is not believed at once: as with readings.
const FAR_AHEAD: Duration = Duration::from_secs(2 * 86_400);
/// It counts once the clock has stood by it for so long.
const BELIEVE_AFTER: Duration = Duration::from_secs(86_400);
/// It is saved when it is so far behind.
const SAVE_EVERY: Duration = Duration::from_secs(3600);

/// The time from which the age of kept messages counts.
#[derive(Debug)]
pub(super) struct House {
    path: Option<PathBuf>,
    believed: Believed,
    saved: Option<i64>,
}

#[derive(Serialize, Deserialize)]
struct Saved {
    /// The time that counted last, µs since 1970.
    counted_us: i64,
}

impl House {
    /// As it was saved; where it was not, the time of the last message that is kept.
    pub(super) fn open(dir: Option<&Path>, last: Option<Timestamp>) -> Self {
        let path = dir.map(|dir| dir.join(FILE));
        let bytes = path.as_ref().and_then(|path| std::fs::read(path).ok());
        let saved = bytes.and_then(|bytes| serde_json::from_slice::<Saved>(&bytes).ok()).map(|saved| saved.counted_us);
        let far = i64::try_from(FAR_AHEAD.as_micros()).unwrap_or(i64::MAX);
        Self { path, believed: Believed::new(saved.or(last.map(Timestamp::micros)), far), saved }
    }

    /// The time that counts.
    fn count(&mut self, now: Timestamp, monotonic: Duration) -> Timestamp {
        let counted = self.believed.count(now.micros(), monotonic, BELIEVE_AFTER);
        if counted.doubted {
            tracing::warn!(
                hours = BELIEVE_AFTER.as_secs() / 3600,
                "the clock is far ahead of when messages were last kept; none is let go by it until it has stayed so for these hours"
            );
        }
        let at = Timestamp::from_micros(counted.at);
        let saved = self.saved.map(Timestamp::from_micros);
        if saved.is_none_or(|saved| at < saved || at.since(saved) >= SAVE_EVERY) {
            match self.save(counted.at) {
                Ok(()) => self.saved = Some(counted.at),
                Err(error) => tracing::error!(%error, "the time of kept MQTT messages could not be saved"),
            }
        }
        at
    }

    fn save(&self, counted_us: i64) -> io::Result<()> {
        let Some(path) = self.path.as_ref().filter(|path| path.parent().is_some_and(Path::is_dir)) else {
            return Ok(());
        };
        let new = path.with_extension("json~new");
        let mut file = File::create(&new)?;
        file.write_all(&serde_json::to_vec(&Saved { counted_us }).map_err(io::Error::other)?)?;
        file.sync_all()?;
        std::fs::rename(new, path)
    }
}

impl History {
    /// Lets go of what is past its time. Blocking.
    pub(crate) fn keep_house(&self, now: Timestamp, monotonic: Duration) {
        let mut stores = lock(&self.stores);
        // A node that keeps nothing has no folder for it.
        if stores.is_empty() {
            return;
        }
        let counted = lock(&self.house).count(now, monotonic);
        let rules = lock(&self.rules).all.clone();
        stores.retain(|rule, store| {
            let own = rules.iter().find(|keep| *keep.rule == **rule);
            let kept =
                own.map_or(Ok(()), |keep| store.set(keep)).and_then(|()| store.keep_house(now, counted, own.is_some()));
            kept.unwrap_or_else(|error| {
                tracing::error!(%rule, %error, "kept MQTT messages that are past their time could not be let go");
                true
            })
        });
        self.show(&stores);
    }
}
