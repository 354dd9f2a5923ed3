//! Samples whose sender waits for the disk: durable first, then published, and stored once.
//!
//! Everything else goes the other way round, over the bus to the [`crate::spool`]. The spool leaves out what comes from
//! here. A snapshot of last values must not claim a frame whose samples the bus has not seen yet; [`Unpublished`] holds
//! its position back.

use crate::Bus;
use andon_model::Sample;
use andon_model::log::{AppendError, Lane, Log, Seq, kind};
use andon_model::sample_codec::encode_samples;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

/// How long to wait for room in the lane.
const ROOM_WITHIN: Duration = Duration::from_secs(2);

/// Makes the samples durable as one frame, all or nothing, then publishes them, as [`Bus::publish`] would.
///
/// Runs to its end also when the caller goes away: what became durable is published.
/// # Errors
/// [`AppendError`]: nothing was published. After [`AppendError::Poisoned`] they may be in the log all the same.
pub async fn store(bus: Arc<Bus>, log: Arc<dyn Log>, mut samples: Vec<Sample>) -> Result<(), AppendError> {
    // What is stored is what is published.
    bus.make_fit(&mut samples);
    if samples.is_empty() {
        return Ok(());
    }
    // Ends with the disk's answer, which the log always gives.
    let task = tokio::spawn(async move {
        let payload = encode_samples(&samples);
        let unpublished = Unpublished::begin(&bus, &*log);
        let seq = append_when_ready(&*log, &payload).await?;
        log.durable(Lane::Samples, seq).await?;
        bus.publish_stored(samples, unpublished).await;
        Ok(())
    });
    task.await.unwrap_or(Err(AppendError::Closed))
}

async fn append_when_ready(log: &dyn Log, payload: &[u8]) -> Result<Seq, AppendError> {
    match log.append(Lane::Samples, kind::SAMPLES, payload) {
        Err(busy @ AppendError::Busy { .. }) => {
            let waited = tokio::time::timeout(ROOM_WITHIN, log.ready(Lane::Samples)).await;
            waited.map_err(|_| busy)??;
            log.append(Lane::Samples, kind::SAMPLES, payload)
        }
        other => other,
    }
}

/// How far the lane was when each frame that is not published yet was begun; the frame itself lies behind that.
#[derive(Debug, Default)]
pub(crate) struct Floors(Mutex<BTreeMap<Seq, usize>>);

impl Floors {
    fn with<T>(&self, change: impl FnOnce(&mut BTreeMap<Seq, usize>) -> T) -> T {
        change(&mut self.0.lock().unwrap_or_else(PoisonError::into_inner))
    }

    /// The lowest. Ask after the position that it is to hold back was read.
    pub(crate) fn lowest(&self) -> Option<Seq> {
        self.with(|floors| floors.keys().next().copied())
    }
}

/// A frame that will be durable before the bus has seen its samples.
pub(crate) struct Unpublished {
    bus: Arc<Bus>,
    floor: Seq,
}

impl Unpublished {
    /// Begin before appending.
    fn begin(bus: &Arc<Bus>, log: &dyn Log) -> Self {
        // Read while the floors are locked: whoever reads a position and then the floors finds this one, or a position
        // from before the frame.
        let floor = bus.floors.with(|floors| {
            let floor = log.durable_seq(Lane::Samples);
            *floors.entry(floor).or_default() += 1;
            floor
        });
        Self { bus: bus.clone(), floor }
    }
}

impl Drop for Unpublished {
    fn drop(&mut self) {
        self.bus.floors.with(|floors| {
            if let Some(count) = floors.get_mut(&self.floor) {
                *count -= 1;
                if *count == 0 {
                    floors.remove(&self.floor);
                }
            }
        });
    }
}
