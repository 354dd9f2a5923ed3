//! Frames without samples, so that history knows when readings could be recorded and when not.
//!
//! What lies between the last frame of one run and the first of the next is a gap in history. Where readings are rare these would be
//! hours apart though the node was down for seconds. So a run begins and ends with an empty frame, and an hour without readings has
//! one each half minute. No two frames are then more than a minute apart: after a power cut the gap is a minute too long at most.

use andon_model::log::{Lane, Log, kind};
use andon_model::sample_codec;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;

/// How often it is looked whether a reading came since the last time; if none did, an empty frame is written. A reading that came just
/// after a look is found at the next, so frames are up to twice as far apart.
pub const EVERY: Duration = Duration::from_secs(30);

/// Writes them until `stop`, the first at once and the last at the end.
pub async fn run(log: Arc<dyn Log>, every: Duration, stop: CancellationToken) {
    let mut tick = tokio::time::interval(every);
    tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
    tell(&*log).await;
    tick.tick().await; // The first is over at once.
    let mut seen = log.durable_seq(Lane::Samples);
    while stop.run_until_cancelled(tick.tick()).await.is_some() {
        if seen == log.durable_seq(Lane::Samples) {
            tell(&*log).await;
        }
        seen = log.durable_seq(Lane::Samples);
    }
    tell(&*log).await;
}

/// A log that cannot be written refuses readings as well: then it is right that nothing is told.
async fn tell(log: &dyn Log) {
    if let Ok(seq) = log.append(Lane::Samples, kind::SAMPLES, &sample_codec::encode_samples(&[])) {
        let _ = log.durable(Lane::Samples, seq).await;
    }
}

#[cfg(test)]
mod tests {
    use super::run;
    use andon_log::{DurableLog, LogOptions, OsDisk};
    use andon_model::log::{Lane, Log, Seq};
    use andon_model::{SystemClock, sample_codec};
    use std::sync::Arc;
    use std::time::Duration;
    use tokio_util::sync::CancellationToken;
    use uuid::Uuid;

    async fn wait_for(log: &DurableLog, seq: u64) {
        while log.durable_seq(Lane::Samples) < Seq(seq) {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_run_begins_and_ends_with_an_empty_frame_and_has_them_where_there_is_no_reading() {
        let folder = tempfile::tempdir().expect("a folder");
        let (disk, clock) = (Arc::new(OsDisk), Arc::new(SystemClock));
        let (log, _) =
            DurableLog::open(folder.path(), Uuid::from_u128(1), LogOptions::default(), disk, clock).expect("a log");
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(log.clone(), Duration::from_millis(5), stop.clone()));
        wait_for(&log, 4).await;
        stop.cancel();
        task.await.expect("it ends");
        let told = log.durable_seq(Lane::Samples);
        // Within an hour only the beginning and the end are told.
        let stop = CancellationToken::new();
        let task = tokio::spawn(run(log.clone(), Duration::from_hours(1), stop.clone()));
        wait_for(&log, told.0 + 1).await;
        stop.cancel();
        task.await.expect("it ends");
        assert_eq!(log.durable_seq(Lane::Samples), Seq(told.0 + 2));
        let read = log.read(Lane::Samples, Seq(1), 1 << 20).expect("the frames");
        let empty = |payload: &[u8]| sample_codec::decode_samples(payload).is_ok_and(|samples| samples.is_empty());
        assert!(read.frames.iter().all(|frame| empty(&frame.payload)));
    }
}
