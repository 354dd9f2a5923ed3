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

/// Tells on standard error.
pub struct Progress {
    terminal: bool,
    last: Duration,
}

impl Progress {
    /// Begins.
    pub fn new() -> Self {
        Self { terminal: std::io::stderr().is_terminal(), last: SystemClock.monotonic() }
    }

    /// Tells how far it is, of 0 to 1, if it is time to.
    pub fn tell(&mut self, share: f64, words: impl FnOnce() -> String) {
        let now = SystemClock.monotonic();
        if now.saturating_sub(self.last) < if self.terminal { RENEW } else { SAY } {
            return;
        }
        self.last = now;
        let line = line(share, &words(), self.terminal);
        // A closed standard error is no reason to stop.
        let _ = if self.terminal {
            write!(std::io::stderr(), "\r\x1b[K{line}")
        } else {
            writeln!(std::io::stderr(), "{line}")
        };
        let _ = std::io::stderr().flush();
    }

    /// Takes the line away.
    pub fn end(self) {
        if self.terminal {
            let _ = write!(std::io::stderr(), "\r\x1b[K");
        }
    }
}

fn line(share: f64, words: &str, bar: bool) -> String {
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
        assert_eq!(line(0.5, "3 points", false), "50 %: 3 points");
        assert_eq!(line(0.5, "x", true), format!("[{}{}]  50 %  x", "#".repeat(15), "-".repeat(15)));
        assert_eq!(line(f64::INFINITY, "x", false), "100 %: x");
    }
}
