//! Frames without samples, so that history knows when readings could be recorded and when not.
//!
//! What lies between the last frame of one run and the first of the next is a gap in history. Where readings are rare these would be
//! hours apart though the node was down for seconds. So a run begins and ends with an empty frame, and an hour without readings has
//! one each minute: after a power cut the gap is a minute too long at most.

use andon_model::log::{Lane, Log, kind};
use andon_model::sample_codec;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// Without a reading for so long, an empty frame is written.
const EVERY: Duration = Duration::from_mins(1);

/// Writes them until `stop`, the first at once and the last at the end.
pub async fn run(log: Arc<dyn Log>, stop: CancellationToken) {
    let mut tick = tokio::time::interval(EVERY);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut seen = None;
    loop {
        let ends = tokio::select! {
            _ = tick.tick() => false,
            () = stop.cancelled() => true,
        };
        if ends || seen == Some(log.durable_seq(Lane::Samples)) || seen.is_none() {
            tell(&*log).await;
        }
        if ends {
            return;
        }
        seen = Some(log.durable_seq(Lane::Samples));
    }
}

/// A log that cannot be written refuses readings as well: then it is right that nothing is told.
async fn tell(log: &dyn Log) {
    if let Ok(seq) = log.append(Lane::Samples, kind::SAMPLES, &sample_codec::encode_samples(&[])) {
        let _ = log.durable(Lane::Samples, seq).await;
    }
}
