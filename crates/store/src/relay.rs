//! From the outbox to the records lane: each event once, in the order of the commits.
//!
//! An event is committed with the change it tells of, then recorded in the log, then taken out of the outbox. A kill
//! between the last two leaves it in both. So before anything is recorded, a starting relay reads the log from where it
//! knew it last and takes out of the outbox what stands there already. From then on, no waiting event stands in the
//! log: that is the invariant which the loop keeps.
//!
//! One relay runs at a time. It does not drop a recording that has begun: [`run`] looks at `stop` between events only.

use crate::error::StoreError;
use crate::repository::Repository;
use crate::store::Store;
use andon_model::event::{Event, SealedEvent};
use andon_model::log::{AppendError, Lane, Log, Positions, ReadError, Seq, SnapshotError, kind};
use andon_model::record::Recorder;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// Under which name the relay reads the log.
pub const READER: &str = "store.outbox";

/// Events recorded per transaction that takes them out.
const BATCH: u32 = 64;
/// Bytes per read of the log.
const READ_BYTES: usize = 1 << 20;
/// So many events of the log, or those of one read more, are looked for in the outbox with one change.
const IDS_AT_A_TIME: usize = 1_000;
/// When the log has grown by so much, the relay notes that it has seen it, so that its next start reads less.
const NOTE_AFTER: u64 = 10_000;
/// How long to wait when the database server is away.
const LOST_WAIT: Duration = Duration::from_secs(1);
/// How long to wait when the log's disk is full.
const FULL_WAIT: Duration = Duration::from_secs(5);

/// Why the relay ended before it was told to. The events wait in the outbox; nothing is lost.
#[derive(Debug, thiserror::Error)]
pub enum RelayError {
    /// The store refused.
    #[error("the relay could not use the store")]
    Store(#[from] StoreError),
    /// The log cannot be read.
    #[error("the relay could not read the log")]
    Read(#[from] ReadError),
    /// The log cannot keep the relay's offset.
    #[error("the relay could not keep its offset in the log")]
    Snapshot(#[from] SnapshotError),
    /// The log did not take an event; whether it is there is known after a restart.
    #[error("the log did not take event {event}; restart once the log is well again")]
    Record {
        /// The event.
        event: Uuid,
        /// The cause.
        source: AppendError,
    },
}

impl Store {
    /// Runs the relay until `stop`. See [`run`].
    /// # Errors
    /// [`RelayError`].
    pub async fn relay(
        &self,
        recorder: Arc<dyn Recorder>,
        log: Arc<dyn Log>,
        stop: CancellationToken,
    ) -> Result<(), RelayError> {
        run(Arc::new(self.clone()), recorder, log, stop).await
    }

    /// Waits until the relay has put the event into the log: `true`, or `false` when `within` has passed first.
    /// # Errors
    /// The store stopped or cannot be read.
    pub async fn relay_now(&self, event: Uuid, within: Duration) -> Result<bool, StoreError> {
        recorded(self, event, within).await
    }
}

/// Waits until the relay has put the event into the log: `true`, or `false` when `within` has passed first.
/// # Errors
/// The store cannot be read.
pub async fn recorded(repository: &dyn Repository, event: Uuid, within: Duration) -> Result<bool, StoreError> {
    let mut changes = repository.outbox_changes();
    let wait = async {
        while repository.outbox_waits(event).await? {
            if changes.changed().await.is_err() {
                return Ok(false);
            }
        }
        Ok(true)
    };
    tokio::time::timeout(within, wait).await.unwrap_or(Ok(false))
}

/// Records every waiting event and goes on until `stop`. While the database server is away it waits, and then looks again what of the
/// waiting stands in the log: what it had done may not have been taken out of the outbox.
/// # Errors
/// [`RelayError`]; start again only with a restart of the log, except for errors of the store.
pub async fn run(
    repository: Arc<dyn Repository>,
    recorder: Arc<dyn Recorder>,
    log: Arc<dyn Log>,
    stop: CancellationToken,
) -> Result<(), RelayError> {
    let relay = Relay { repository, recorder, log };
    relay.log.register_reader(READER, &[Lane::Records])?;
    while let Err(error) = relay.run(&stop).await {
        wait_for_server(error, &stop).await?;
    }
    Ok(())
}

/// Waits a while if `error` is one that passes, or until `stop`; else that is the end.
pub(crate) async fn wait_for_server(error: RelayError, stop: &CancellationToken) -> Result<(), RelayError> {
    match error {
        RelayError::Store(error) if error.passes() => {
            tokio::select! {
                () = stop.cancelled() => {}
                () = tokio::time::sleep(LOST_WAIT) => {}
            }
            Ok(())
        }
        error => Err(error),
    }
}

/// How a round of the relay ended.
enum Drained {
    All,
    DiskFull,
}

struct Relay {
    repository: Arc<dyn Repository>,
    recorder: Arc<dyn Recorder>,
    log: Arc<dyn Log>,
}

impl Relay {
    /// One life: until `stop`, or until something fails.
    async fn run(&self, stop: &CancellationToken) -> Result<(), RelayError> {
        if stop.is_cancelled() {
            return Ok(());
        }
        let mut changes = self.repository.outbox_changes();
        self.drop_recorded().await?;
        loop {
            changes.mark_unchanged();
            match self.drain(stop).await? {
                Drained::All => tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    changed = changes.changed() => if changed.is_err() { return Ok(()) },
                },
                Drained::DiskFull => tokio::select! {
                    () = stop.cancelled() => return Ok(()),
                    // The event may have been written after all: look before it is tried again.
                    () = tokio::time::sleep(FULL_WAIT) => self.drop_recorded().await?,
                },
            }
        }
    }

    /// Takes out of the outbox what stands in the log already.
    async fn drop_recorded(&self) -> Result<(), RelayError> {
        let seen = self.repository.applied(READER, Lane::Records).await?;
        let end = self.log.durable_seq(Lane::Records);
        if self.repository.outbox_pending(1).await?.is_empty() {
            return self.note(seen, end).await;
        }
        // A log that is shorter than what was seen was put back from a backup: read all of it.
        let mut next = if seen > end { self.log.first_seq(Lane::Records) } else { seen.next() };
        let (mut ids, mut noted) = (Vec::new(), next);
        while next <= end {
            let (more, after) = self.read_ids(next).await?;
            if after <= next {
                break;
            }
            ids.extend(more);
            next = after;
            if ids.len() >= IDS_AT_A_TIME {
                self.take_out(std::mem::take(&mut ids), next, end).await?;
                noted = next;
            }
        }
        if next > noted { self.take_out(ids, next, end).await } else { Ok(()) }
    }

    /// What the log has before `next` waits no longer.
    async fn take_out(&self, ids: Vec<Uuid>, next: Seq, end: Seq) -> Result<(), RelayError> {
        let upto = Seq(next.0.saturating_sub(1)).min(end);
        Ok(self.repository.outbox_done(ids, upto).await?)
    }

    /// The ids of the events in the log from `from` on, and where to go on.
    async fn read_ids(&self, from: Seq) -> Result<(Vec<Uuid>, Seq), RelayError> {
        let log = self.log.clone();
        let read = tokio::task::spawn_blocking(move || log.read(Lane::Records, from, READ_BYTES)).await;
        let batch = read.map_err(|fault| StoreError::Interrupted { reason: fault.to_string() })??;
        let events = batch.frames.iter().filter(|frame| frame.kind.kind == kind::EVENT.kind);
        let ids: HashSet<Uuid> = events.filter_map(|frame| event_id(&frame.payload)).collect();
        Ok((ids.into_iter().collect(), batch.next))
    }

    /// Records what waits, oldest first, until nothing waits.
    async fn drain(&self, stop: &CancellationToken) -> Result<Drained, RelayError> {
        loop {
            // No waiting event stands in the log (the invariant), so what is in it now need not be read again.
            let seen = self.repository.applied(READER, Lane::Records).await?;
            let end = self.log.durable_seq(Lane::Records);
            if end.0.saturating_sub(seen.0) >= NOTE_AFTER {
                self.note(seen, end).await?;
            }
            let waiting = self.repository.outbox_pending(BATCH).await?;
            if waiting.is_empty() || stop.is_cancelled() {
                return Ok(Drained::All);
            }
            let (done, failed) = self.record_all(waiting, stop).await;
            if let Some(upto) = done.iter().map(|sealed| sealed.seq).max() {
                let ids = done.iter().map(|sealed| sealed.event.id).collect();
                self.repository.outbox_done(ids, upto.max(seen)).await?;
            }
            match failed {
                None => {}
                Some((_, AppendError::DiskFull { .. })) => return Ok(Drained::DiskFull),
                Some((event, source)) => return Err(RelayError::Record { event, source }),
            }
        }
    }

    /// Records one event after the other; ends early at a failure or when told to stop.
    async fn record_all(
        &self,
        waiting: Vec<Event>,
        stop: &CancellationToken,
    ) -> (Vec<Arc<SealedEvent>>, Option<(Uuid, AppendError)>) {
        let mut done = Vec::with_capacity(waiting.len());
        for event in waiting {
            let id = event.id;
            match self.record(event, stop).await {
                Ok(Some(sealed)) => done.push(sealed),
                Ok(None) => break,
                Err(error) => return (done, Some((id, error))),
            }
        }
        (done, None)
    }

    /// Waits while the log is busy, which means that the event was not numbered; `None` when told to stop meanwhile.
    async fn record(&self, event: Event, stop: &CancellationToken) -> Result<Option<Arc<SealedEvent>>, AppendError> {
        while !stop.is_cancelled() {
            match self.recorder.record(event.clone()).await {
                Ok(sealed) => return Ok(Some(sealed)),
                Err(AppendError::Busy { .. }) => tokio::select! {
                    () = stop.cancelled() => {}
                    ready = self.log.ready(Lane::Records) => ready?,
                },
                Err(error) => return Err(error),
            }
        }
        Ok(None)
    }

    /// Notes that the log has been seen up to `end`, and lets it go of what lies before.
    async fn note(&self, seen: Seq, end: Seq) -> Result<(), RelayError> {
        if seen != end {
            self.repository.outbox_done(Vec::new(), end).await?;
        }
        save_offset(self.log.clone(), READER, end).await
    }
}

/// Tells the log how far `reader` has come; the truth stands in the store, so the snapshot may lag behind.
pub(crate) async fn save_offset(log: Arc<dyn Log>, reader: &'static str, seen: Seq) -> Result<(), RelayError> {
    let positions = Positions { records: seen, ..Positions::default() };
    let saved = tokio::task::spawn_blocking(move || log.save_snapshot(reader, positions, b"")).await;
    Ok(saved.map_err(|fault| StoreError::Interrupted { reason: fault.to_string() })??)
}

/// The id alone, without building the event.
fn event_id(payload: &[u8]) -> Option<Uuid> {
    #[derive(serde::Deserialize)]
    struct Sealed {
        event: Id,
    }
    #[derive(serde::Deserialize)]
    struct Id {
        id: Uuid,
    }
    serde_json::from_slice::<Sealed>(payload).ok().map(|sealed| sealed.event.id)
}
