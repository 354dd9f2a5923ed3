//! How fast copying may go, and how far it has come.

use crate::progress::Line;
use andon_backup::{Pace, Progress};
use andon_model::{Clock, SystemClock};
use std::time::Duration;
use tokio::runtime::Handle;

/// Bounds the rate and tells the progress on standard error.
pub struct Meter {
    doing: &'static str,
    bytes_per_s: Option<u64>,
    began: Duration,
    /// When the next piece may be moved. Time that was not used is not made up for.
    due: Duration,
    line: Line,
    progress: Progress,
    runtime: Handle,
}

impl Meter {
    /// `max_mib_per_s` bounds what is read and written together. To be called within the runtime, on a thread for blocking work.
    pub fn new(doing: &'static str, max_mib_per_s: Option<u64>) -> Self {
        let now = SystemClock.monotonic();
        Self {
            doing,
            bytes_per_s: max_mib_per_s.map(|mib| mib << 20),
            began: now,
            due: now,
            line: Line::new(),
            progress: Progress::default(),
            runtime: Handle::current(),
        }
    }

    fn tell(&mut self, now: Duration) {
        let Progress { files, files_total, bytes, bytes_total } = self.progress;
        let seconds = now.saturating_sub(self.began).as_secs().max(1);
        let doing = self.doing;
        self.line.tell(|| {
            let (done, all, rate) = (bytes >> 20, bytes_total >> 20, (bytes / seconds) >> 20);
            format!("{doing}: {done} of {all} MiB, {files} of {files_total} files, {rate} MiB/s")
        });
    }
}

impl Pace for Meter {
    fn before(&mut self, bytes: usize) {
        let now = SystemClock.monotonic();
        self.tell(now);
        let Some(rate) = self.bytes_per_s else { return };
        // On a thread for blocking work, where nobody else waits.
        self.runtime.block_on(tokio::time::sleep(self.due.saturating_sub(now)));
        let micros = (bytes as u64).saturating_mul(1_000_000) / rate.max(1);
        self.due = self.due.max(now) + Duration::from_micros(micros);
    }

    fn progress(&mut self, progress: Progress) {
        self.progress = progress;
        self.tell(SystemClock.monotonic());
    }
}
