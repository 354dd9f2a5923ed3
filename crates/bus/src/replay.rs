//! Reading back what happened: the events of the records lane, for those who rebuild their state from them.

use andon_model::event::{Event, SealedEvent};
use andon_model::log::{Gap, Lane, Log, ReadError, Seq, kind};

/// About how much is read from the log at a time.
pub(crate) const READ_BYTES: usize = 1 << 20;

/// How a replay went.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub struct Replayed {
    /// The last number dealt with.
    pub up_to: Seq,
    /// Events handed out.
    pub events: u64,
    /// Event frames that could not be understood; they were skipped.
    pub unreadable: u64,
    /// What is no longer in the log.
    pub gaps: Vec<Gap>,
}

/// Hands out every durable event of the records lane after `after`, in order. Blocking file I/O.
/// # Errors
/// The log cannot be read at all. Gaps and events that cannot be understood are counted, not errors.
pub fn events(log: &dyn Log, after: Seq, mut each: impl FnMut(Seq, Event)) -> Result<Replayed, ReadError> {
    let mut done = Replayed { up_to: after, ..Replayed::default() };
    loop {
        let batch = log.read(Lane::Records, done.up_to.next(), READ_BYTES)?;
        for frame in batch.frames {
            if frame.kind.kind != kind::EVENT.kind {
                continue;
            }
            match event_of(&frame.payload) {
                Some(event) => {
                    done.events += 1;
                    each(frame.seq, event);
                }
                None => done.unreadable += 1,
            }
        }
        done.gaps.extend(batch.gaps);
        if batch.next <= done.up_to.next() {
            return Ok(done);
        }
        done.up_to = Seq(batch.next.0 - 1);
    }
}

/// The event in a frame: sealed into the chain, as the recorder writes it, or bare.
fn event_of(payload: &[u8]) -> Option<Event> {
    serde_json::from_slice::<SealedEvent>(payload)
        .map(|sealed| sealed.event)
        .or_else(|_| serde_json::from_slice::<Event>(payload))
        .ok()
}
