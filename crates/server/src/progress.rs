//! How far a long task has come: one line that renews itself on a terminal, a line now and then elsewhere.

use andon_model::{Clock as _, SystemClock};
use std::io::{IsTerminal as _, Write as _};
use std::time::Duration;

/// How often the line is renewed on a terminal.
const RENEW: Duration = Duration::from_millis(200);
/// How often a line is written elsewhere.
const SAY: Duration = Duration::from_secs(10);
/// Width of the bar, in characters.
const WIDTH: usize = 30;

/// A line on standard error. It is gone from a terminal when this is dropped.
pub struct Line {
    terminal: bool,
    last: Duration,
}

impl Line {
    /// Begins; the first words come after a while.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), last: SystemClock.monotonic() }
    }

    /// Says how far the task is, if it is time to.
    pub fn tell(&mut self, words: impl FnOnce() -> String) {
        let now = SystemClock.monotonic();
        if now.saturating_sub(self.last) < if self.terminal { RENEW } else { SAY } {
            return;
        }
        self.last = now;
        let words = words();
        let mut out = std::io::stderr().lock();
        // A closed standard error is no reason to stop.
        let _ = if self.terminal { write!(out, "\r\x1b[K{words}") } else { writeln!(out, "{words}") };
        let _ = out.flush();
    }

    /// The same with a bar where a person looks on; `share` of 0 to 1.
    pub fn tell_share(&mut self, share: f64, words: impl FnOnce() -> String) {
        let bar = self.terminal;
        self.tell(|| with_share(share, &words(), bar));
    }
}

impl Drop for Line {
    fn drop(&mut self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn with_share(share: f64, words: &str, bar: bool) -> String {
    let share = share.clamp(0.0, 1.0);
    if !bar {
        return format!("{:.0} %: {words}", share * 100.0);
    }
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "0 to the width")]
    let full = (share * WIDTH as f64) as usize;
    format!("[{}{}] {:3.0} %  {words}", "#".repeat(full), "-".repeat(WIDTH - full), share * 100.0)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_tells_the_share() {
        assert_eq!(with_share(0.5, "3 points", false), "50 %: 3 points");
        assert_eq!(with_share(0.5, "x", true), format!("[{}{}]  50 %  x", "#".repeat(15), "-".repeat(15)));
        assert_eq!(with_share(f64::INFINITY, "x", false), "100 %: x");
    }
}
