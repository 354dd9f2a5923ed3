//! What the timeline is told of a bridge.

use crate::mqtt::telling::Troubles;
use crate::notes::{Notes, event, event_of};
use andon_broker::bridge::{Ears, Loss, Lost, Notice};
use andon_model::event::{ConnectionChange, What};
use andon_model::record::Recorder;
use andon_model::text::{counted, shown};
use andon_model::{BoxFuture, Clock};
use std::sync::{Arc, Mutex, PoisonError};

/// Hears one bridge.
pub struct Telling {
    pub name: String,
    pub endpoint: String,
    pub notes: Notes,
    pub recorder: Arc<dyn Recorder>,
    pub clock: Arc<dyn Clock>,
    pub troubles: Arc<Mutex<Troubles>>,
}

impl Telling {
    /// A link that comes and goes all the time does not fill the timeline.
    fn link(&self, connected: bool, reason: String) {
        let about = format!("bridge {} {connected}", self.name);
        let told = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).tell(&about, self.clock.monotonic());
        let Some(more) = told else { return };
        let reason = if more == 0 { reason } else { format!("{reason}; {more} more times before") };
        let (protocol, name) = ("mqtt_bridge".to_owned(), self.name.clone());
        let change = ConnectionChange { protocol, name, connected, reason: shown(&reason).into_owned() };
        // Appended now; nobody waits for it to be durable.
        drop(self.recorder.record(event_of(&*self.clock, "", What::Connection(change))));
    }
}

/// Why, for the end of a sentence.
const fn why(loss: Loss) -> &'static str {
    match loss {
        Loss::Full => "more waited, or for longer, than the bridge may keep",
        Loss::Freed => "the log had no room to keep them any longer ([limits] messages_mib)",
        Loss::Expired => "their message expiry had passed",
        Loss::TooLarge => "the other side takes no packet of their size",
        Loss::Refused => "the other side refused them",
        Loss::Unmappable => "they have no topic on the other side, or have come over too many bridges",
        Loss::TooManyProperties => "they have more user properties than the other side takes",
        Loss::NotTaken => "they came from the other side and cannot be taken here",
    }
}

impl Ears for Telling {
    fn lost(&self, lost: Lost) -> BoxFuture<'static, bool> {
        let Lost { why: loss, amount, from, to, detail, again } = lost;
        let first = if detail.is_empty() { String::new() } else { format!(" The first: {}.", shown(&detail)) };
        let lost = counted(amount.messages, "message", "messages");
        let what = if loss == Loss::NotTaken { "did not come over" } else { "did not go over" };
        let words =
            format!("{lost} received from {from} to {to} {what} the bridge {}: {}.{first}", self.name, why(loss));
        if !again {
            tracing::warn!(bridge = self.name, "{words}");
        }
        // Not by way of the notes, which may be too many: this one is told again until it is durable.
        let recorded = self.recorder.record(event(&*self.clock, "", "bridge_dropped", words));
        Box::pin(async move { recorded.await.is_ok() })
    }

    fn hear(&self, notice: Notice) {
        let name = &self.name;
        match notice {
            Notice::Connected { waiting } => {
                let waits = counted(waiting.messages, "message is", "messages are");
                self.link(true, format!("{}; {waits} to be caught up on", self.endpoint));
            }
            Notice::Lost(trouble) => self.link(false, format!("{}. {}", trouble.text, trouble.remedy)),
            Notice::Behind { oldest, waiting } => {
                let waits = counted(waiting.messages, "message waits", "messages wait");
                let (size, oldest) = (size_words(waiting.bytes), super::whole_ms(oldest));
                let words = format!("The bridge {name} is behind: {waits}{size}, the oldest since {oldest}.");
                self.notes.say("", "bridge_behind", words);
            }
            Notice::CaughtUp => {
                self.notes.say("", "bridge_caught_up", format!("The bridge {name} has caught up."));
            }
        }
    }
}

/// How much waits, behind how many do; nothing of nothing.
fn size_words(bytes: u64) -> String {
    match bytes {
        0 => String::new(),
        1..1024 => format!(" ({})", counted(bytes, "byte", "bytes")),
        _ => format!(" ({} KiB)", bytes / 1024),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::Timestamp;

    #[test]
    fn what_waits_is_told_in_numbers_that_say_something() {
        assert_eq!(
            [0, 1, 1023, 1024, 5000].map(size_words),
            ["", " (1 byte)", " (1023 bytes)", " (1 KiB)", " (4 KiB)"]
        );
        let oldest = super::super::whole_ms(Timestamp::from_micros(1_700_000_000_123_456));
        assert_eq!(oldest.to_string(), "2023-11-14T22:13:20.123Z");
    }
}
