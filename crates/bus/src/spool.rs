//! From the bus to the samples lane: batches of at most 4,096 samples or 250 ms, whichever comes first.
//!
//! Several batches may be under way to the disk at once; [`Bus::stored_up_to`] moves when one is durable, and
//! [`Bus::settled`] waits for all that was published so far.
//!
//! **When the log does not take them**
//! - busy (the disk is slower than the samples): they wait here; once the buffer is full, publishers wait.
//! - full, failed or closed: they wait here while it is tried again every second; once the buffer is full, the oldest
//!   are dropped, and [`SpoolNotice::Lost`] says which time is missing. Never silently.
//!
//! A batch whose sync failed may be in the log after all; it is appended again when the log takes samples again, so
//! the same sample may stand there twice, equal in tag and times. A sample is never missing without a notice.

use crate::Bus;
use crate::subscribe::AllSubscription;
use andon_model::log::{AppendError, Lane, Log, kind};
use andon_model::sample_codec::encode_samples;
use andon_model::{BoxFuture, Sample, Timestamp, Value};
use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// Batches that may be on their way to the disk at once.
const IN_FLIGHT_MAX: usize = 16;
/// Batches that may wait between the bus and the spool.
const SUBSCRIPTION_BATCHES: usize = 64;
/// How long to wait after the log has refused, other than for being busy.
const RETRY_AFTER: Duration = Duration::from_secs(1);
/// While samples are being lost, this often is it told how many.
const TELL_EVERY: Duration = Duration::from_secs(10);
/// How long storing the rest may take when stopping.
const STOP_WITHIN: Duration = Duration::from_secs(5);

/// The sizes of the spool.
#[derive(Debug, Clone, Copy)]
pub struct SpoolOptions {
    /// The most samples in a batch.
    pub batch_samples: usize,
    /// The longest that a sample waits for its batch to fill.
    pub batch_delay: Duration,
    /// The most samples that wait while the log does not take any.
    pub buffer_samples: usize,
    /// The most memory that those may take.
    pub buffer_bytes: usize,
}

impl Default for SpoolOptions {
    fn default() -> Self {
        Self {
            batch_samples: 4096,
            batch_delay: Duration::from_millis(250),
            buffer_samples: 1_000_000,
            buffer_bytes: 128 << 20,
        }
    }
}

/// What a person should know about the storing of samples.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SpoolNotice {
    /// The log refuses samples; they wait in memory and would be lost by a power cut. Said once for each outage.
    Refused {
        /// Why.
        error: AppendError,
        /// How many samples wait.
        waiting: usize,
    },
    /// History has a gap: these samples will never be stored. Repeated every ten seconds with what came on top.
    Lost {
        /// When the first of them was received.
        from: Timestamp,
        /// When the last of them was received.
        to: Timestamp,
        /// How many.
        samples: u64,
        /// Why, in plain words.
        reason: String,
    },
    /// The log takes samples again.
    Resumed,
}

/// Is told notices. Must not block.
pub type OnNotice = Arc<dyn Fn(SpoolNotice) + Send + Sync>;

/// Stores every sample published from this call on, until `stop`; then stores what waits, for at most five seconds.
/// Stop the sources first.
pub fn run(
    bus: Arc<Bus>,
    log: Arc<dyn Log>,
    options: SpoolOptions,
    on_notice: OnNotice,
    stop: CancellationToken,
) -> impl Future<Output = ()> + Send + 'static {
    // Subscribed here and not at the first poll, so that nothing published in between is missed.
    let samples = bus.subscribe_to_store(SUBSCRIPTION_BATCHES);
    let spool = Spool {
        bus,
        log,
        options,
        on_notice,
        waiting: Waiting::default(),
        due: None,
        batch_limit: options.batch_samples.max(1),
        in_flight: VecDeque::new(),
        blocked: None,
        outage: None,
        loss: None,
        told_loss: None,
    };
    spool.run(samples, stop)
}

struct Spool {
    bus: Arc<Bus>,
    log: Arc<dyn Log>,
    options: SpoolOptions,
    on_notice: OnNotice,
    waiting: Waiting,
    /// When what waits must be appended, full batch or not.
    due: Option<Instant>,
    /// Smaller than the option after the log found a batch too large.
    batch_limit: usize,
    in_flight: VecDeque<InFlight>,
    /// Resolves when the log may be tried again.
    blocked: Option<BoxFuture<'static, Result<(), AppendError>>>,
    /// Why the log refuses, from the first refusal until a batch is durable again.
    outage: Option<AppendError>,
    /// Lost and not yet told.
    loss: Option<Loss>,
    told_loss: Option<Instant>,
}

struct InFlight {
    samples: Vec<Sample>,
    durable: BoxFuture<'static, Result<(), AppendError>>,
}

struct Loss {
    from: Timestamp,
    to: Timestamp,
    samples: u64,
    reason: String,
}

impl Spool {
    async fn run(mut self, mut samples: AllSubscription, stop: CancellationToken) {
        loop {
            self.append_batches();
            let taking = self.outage.is_some() || !self.waiting.is_full(&self.options);
            let blocked = self.blocked.is_some();
            let due = self.due.unwrap_or_else(Instant::now);
            tokio::select! {
                biased;
                () = stop.cancelled() => break,
                result = first_durable(&mut self.in_flight) => self.settle(result),
                result = unblocked(&mut self.blocked) => self.try_again(result),
                batch = samples.next(), if taking => match batch {
                    Some(batch) => self.take_in(&batch),
                    None => break,
                },
                () = tokio::time::sleep_until(due), if !blocked && self.can_append() && self.due.is_some() => {}
            }
        }
        while let Some(batch) = samples.try_next() {
            self.take_in(&batch);
        }
        drop(samples);
        self.finish().await;
    }

    fn can_append(&self) -> bool {
        !self.waiting.is_empty() && self.in_flight.len() < IN_FLIGHT_MAX
    }

    fn take_in(&mut self, batch: &[Sample]) {
        if self.due.is_none() {
            self.due = Some(Instant::now() + self.options.batch_delay);
        }
        self.waiting.extend(batch);
        if let Some(error) = &self.outage {
            let reason = error.to_string();
            let dropped = self.waiting.drop_oldest_over(&self.options);
            self.lose(&dropped, &reason);
        }
    }

    /// Appends full batches, and the last one when its time has come.
    fn append_batches(&mut self) {
        while self.blocked.is_none() && self.can_append() {
            let due = self.due.is_none_or(|due| due <= Instant::now());
            if !due && self.waiting.len() < self.batch_limit {
                return;
            }
            self.append_batch();
            // What is left begins its own time.
            self.due = (!self.waiting.is_empty() && self.waiting.len() < self.batch_limit)
                .then(|| Instant::now() + self.options.batch_delay)
                .filter(|_| self.blocked.is_none());
        }
    }

    fn append_batch(&mut self) {
        let samples = self.waiting.take(self.batch_limit);
        match self.log.append(Lane::Samples, kind::SAMPLES, &encode_samples(&samples)) {
            Ok(seq) => {
                let durable = self.log.durable(Lane::Samples, seq);
                self.in_flight.push_back(InFlight { samples, durable });
                return;
            }
            Err(AppendError::Busy { .. }) => self.blocked = Some(self.log.ready(Lane::Samples)),
            Err(error @ AppendError::TooLarge { .. }) if samples.len() <= 1 => {
                self.lose(&samples, &error.to_string());
                return;
            }
            Err(AppendError::TooLarge { .. }) => self.batch_limit = samples.len() / 2,
            Err(error) => self.refused(error),
        }
        self.waiting.put_back(samples);
    }

    /// The oldest batch under way is durable, or will not be.
    fn settle(&mut self, result: Result<(), AppendError>) {
        match result {
            Ok(()) => {
                if let Some(batch) = self.in_flight.pop_front() {
                    self.bus.stored.advance(&batch.samples);
                }
                self.batch_limit = self.options.batch_samples.max(1);
                if self.outage.take().is_some() {
                    self.tell_loss();
                    (self.on_notice)(SpoolNotice::Resumed);
                }
            }
            Err(error) => {
                while let Some(batch) = self.in_flight.pop_back() {
                    self.waiting.put_back(batch.samples);
                }
                self.refused(error);
            }
        }
    }

    fn try_again(&mut self, ready: Result<(), AppendError>) {
        self.blocked = None;
        self.due = Some(Instant::now());
        if let Err(error) = ready {
            self.refused(error);
        }
    }

    fn refused(&mut self, error: AppendError) {
        if self.outage.is_none() {
            (self.on_notice)(SpoolNotice::Refused { error: error.clone(), waiting: self.waiting.len() });
        }
        self.outage = Some(error);
        self.blocked = Some(Box::pin(async {
            tokio::time::sleep(RETRY_AFTER).await;
            Ok(())
        }));
    }

    fn lose(&mut self, samples: &[Sample], reason: &str) {
        self.bus.stored.settle(samples.len());
        let received = || samples.iter().map(|sample| sample.received_ts);
        let (Some(from), Some(to)) = (received().min(), received().max()) else { return };
        let loss = self.loss.get_or_insert_with(|| Loss { from, to, samples: 0, reason: reason.to_owned() });
        loss.from = loss.from.min(from);
        loss.to = loss.to.max(to);
        loss.samples += samples.len() as u64;
        if self.told_loss.is_none_or(|told| told.elapsed() >= TELL_EVERY) {
            self.tell_loss();
        }
    }

    fn tell_loss(&mut self) {
        if let Some(Loss { from, to, samples, reason }) = self.loss.take() {
            self.told_loss = Some(Instant::now());
            (self.on_notice)(SpoolNotice::Lost { from, to, samples, reason });
        }
    }

    /// Stores what waits, as far as the log takes it in time; says what is lost.
    async fn finish(mut self) {
        let store = async {
            while !self.waiting.is_empty() || !self.in_flight.is_empty() {
                self.due = None;
                self.append_batches();
                if self.outage.is_some() {
                    return;
                }
                tokio::select! {
                    result = first_durable(&mut self.in_flight) => self.settle(result),
                    result = unblocked(&mut self.blocked) => self.try_again(result),
                }
            }
        };
        let in_time = tokio::time::timeout(STOP_WITHIN, store).await.is_ok();
        while let Some(batch) = self.in_flight.pop_back() {
            self.waiting.put_back(batch.samples);
        }
        let left = self.waiting.take(usize::MAX);
        let reason = match &self.outage {
            Some(error) => error.to_string(),
            None if in_time => String::new(),
            None => "the log did not take the last samples before the stop".to_owned(),
        };
        self.lose(&left, &reason);
        self.tell_loss();
        self.bus.stored.end();
    }
}

/// Resolves when the oldest batch under way is settled; never while there is none.
async fn first_durable(in_flight: &mut VecDeque<InFlight>) -> Result<(), AppendError> {
    match in_flight.front_mut() {
        Some(batch) => batch.durable.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Resolves when the log may be tried again; never while nothing is in the way.
async fn unblocked(blocked: &mut Option<BoxFuture<'static, Result<(), AppendError>>>) -> Result<(), AppendError> {
    match blocked {
        Some(ready) => ready.as_mut().await,
        None => std::future::pending().await,
    }
}

/// Samples that wait to be appended, oldest first, and what they weigh.
#[derive(Default)]
struct Waiting {
    samples: VecDeque<Sample>,
    bytes: usize,
}

fn weight(sample: &Sample) -> usize {
    let text = if let Value::String(text) = &sample.value { text.len() } else { 0 };
    size_of::<Sample>() + text
}

impl Waiting {
    fn len(&self) -> usize {
        self.samples.len()
    }

    fn is_empty(&self) -> bool {
        self.samples.is_empty()
    }

    fn is_full(&self, options: &SpoolOptions) -> bool {
        self.samples.len() >= options.buffer_samples || self.bytes >= options.buffer_bytes
    }

    fn extend(&mut self, batch: &[Sample]) {
        self.bytes += batch.iter().map(weight).sum::<usize>();
        self.samples.extend(batch.iter().cloned());
    }

    fn put_back(&mut self, batch: Vec<Sample>) {
        self.bytes += batch.iter().map(weight).sum::<usize>();
        batch.into_iter().rev().for_each(|sample| self.samples.push_front(sample));
    }

    fn take(&mut self, at_most: usize) -> Vec<Sample> {
        let batch: Vec<_> = self.samples.drain(..at_most.min(self.samples.len())).collect();
        self.bytes -= batch.iter().map(weight).sum::<usize>();
        batch
    }

    fn drop_oldest_over(&mut self, options: &SpoolOptions) -> Vec<Sample> {
        let mut dropped = Vec::new();
        while self.samples.len() > options.buffer_samples || self.bytes > options.buffer_bytes {
            let Some(sample) = self.samples.pop_front() else { break };
            self.bytes -= weight(&sample);
            dropped.push(sample);
        }
        dropped
    }
}
