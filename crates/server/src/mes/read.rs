//! Reading the lane of samples.

use super::Manufacturing;
use crate::records::complain_of;
use andon_mes::floor::UnitId;
use andon_mes::follow::{FrameHead, Late, Mending, Oddity, Remark};
use andon_model::error::causes;
use andon_model::log::{Frame, Lane, Seq, kind};
use andon_model::sample_codec::decode_samples;
use andon_store::StoreError;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// Bytes of log at a time.
const READ_BYTES: usize = 1 << 20;
/// How often to look whether the log has grown, and to add up what can no longer change.
const LOOK_EVERY: Duration = Duration::from_millis(200);
/// How often what is over is kept, and silent machines are looked for.
const KEEP_EVERY: Duration = Duration::from_secs(1);
/// How often the log hears how far a floor without machines has read.
const LET_GO_EVERY: Duration = Duration::from_secs(600);
/// How long after a failure it is tried again.
const AFTER_ERROR: Duration = Duration::from_secs(5);

impl Manufacturing {
    /// Follows until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut next = self.first();
        let (mut kept_at, mut let_go_at) = (self.clock.monotonic(), None);
        loop {
            let pause = match self.read_once(next).await {
                Ok(Some(after)) => {
                    next = after;
                    Duration::ZERO
                }
                Ok(None) => LOOK_EVERY,
                Err(error) => {
                    complain_of("the shop floor cannot go on", &*error);
                    AFTER_ERROR
                }
            };
            let now = self.clock.monotonic();
            if now.saturating_sub(kept_at) >= KEEP_EVERY || stop.is_cancelled() {
                kept_at = now;
                // While an earlier run is caught up with, nothing is over yet.
                if pause == LOOK_EVERY
                    && let Err(error) = self.tick().await
                {
                    complain_of("the shop floor cannot be kept", &error);
                }
            }
            let is_due = let_go_at.is_none_or(|at| now.saturating_sub(at) >= LET_GO_EVERY);
            if pause == LOOK_EVERY && (is_due || stop.is_cancelled()) {
                let_go_at = Some(now);
                if let Err(error) = self.let_go_while_idle().await {
                    complain_of("how far the shop floor has come cannot be kept", &error);
                }
            }
            if stop.is_cancelled() {
                return;
            }
            if pause > Duration::ZERO {
                tokio::select! {
                    () = stop.cancelled() => {}
                    () = tokio::time::sleep(pause) => {}
                }
            }
        }
    }

    /// Reads frames from here on; returns where to go on. `None`: there are none. What came late before is taken in first, so no more
    /// than what one reading brings ever waits for a store that does not write.
    pub(super) async fn read_once(&self, from: Seq) -> anyhow::Result<Option<Seq>> {
        self.mend().await?;
        if from > self.left.next() {
            // A frame of this run is in the floor, and what it says of the time before it is mended.
            self.times_are_known.store(true, Ordering::Release);
        }
        // What comes after this is not known to have been read.
        let now = self.clock.now();
        if self.log.durable_seq(Lane::Samples) < from {
            self.heard_until.fetch_max(now.micros(), Ordering::AcqRel);
            return Ok(None);
        }
        let log = self.log.clone();
        let batch = tokio::task::spawn_blocking(move || log.read(Lane::Samples, from, READ_BYTES)).await??;
        if batch.next <= from {
            return Ok(None);
        }
        {
            let mut state = self.state();
            let mut gaps = batch.gaps.iter().peekable();
            for frame in &batch.frames {
                while let Some(gap) = gaps.next_if(|gap| gap.from < frame.seq) {
                    // What machines said in it is lost: nothing is known until they say something again.
                    state.follower.lost(gap.to);
                }
                self.take(&mut state.follower, frame);
            }
            gaps.for_each(|gap| state.follower.lost(gap.to));
        }
        self.tell();
        if let Some(last) = batch.frames.last() {
            self.heard_until.fetch_max(last.received.min(now).micros(), Ordering::AcqRel);
        }
        Ok(Some(batch.next))
    }

    fn take(&self, follower: &mut andon_mes::follow::Follower, frame: &Frame) {
        let head = FrameHead { seq: frame.seq, epoch: frame.epoch, received: frame.received };
        if frame.seq < follower.begins() {
            return follower.goes_on_after(head);
        }
        match frame.kind {
            kind::SAMPLES => match decode_samples(&frame.payload) {
                Ok(samples) => follower.take(head, &samples),
                Err(error) => {
                    tracing::error!(seq = frame.seq.0, %error, "a frame of samples cannot be read");
                    follower.lost(head.seq);
                    follower.take(head, &[]);
                }
            },
            // What is missing is told by the reading itself; what a gap in the lane says is about other readers.
            _ => follower.take(head, &[]),
        }
    }

    /// Takes what came late into what is kept.
    async fn mend(&self) -> Result<(), StoreError> {
        if !self.state().follower.has_late() {
            return Ok(());
        }
        let _turn = self.turn.write().await;
        loop {
            let Some((unit, late)) = self.state().follower.next_late() else { break };
            match self.mend_unit(unit, &late).await {
                // What is kept of one machine cannot be read: the others go on.
                Err(error @ StoreError::Damaged { .. }) => {
                    let path = self.state().paths.get(&unit).cloned().unwrap_or_default();
                    let words = format!("{} readings that came late are in no total: {}", late.len(), causes(&error));
                    self.notes.say(&path, "machine_damaged", words);
                }
                other => other?,
            }
            self.state().follower.mended(unit);
        }
        self.keep_progress().await.map(|_| ())
    }

    async fn mend_unit(&self, unit: UnitId, late: &[Late]) -> Result<(), StoreError> {
        for mut mending in Mending::of(unit, late) {
            loop {
                let needs = mending.needs(&self.state().follower);
                let Some(stretch) = needs else { break };
                let hours = self.kept_hours(unit, stretch.window).await?;
                let corrections = self.said_of(unit, stretch.window).await?;
                let batch = {
                    let mut state = self.state();
                    let counts_as = state.counts_as();
                    mending.step(&mut state.follower, &stretch, &hours, corrections, &counts_as)
                };
                self.keep(&batch, Vec::new()).await?;
            }
        }
        Ok(())
    }

    /// Tells people what counters and values did that is odd.
    fn tell(&self) {
        let remarks = {
            let mut state = self.state();
            let remarks = state.follower.take_remarks();
            remarks
                .into_iter()
                .filter_map(|(unit, remark)| Some((state.paths.get(&unit)?.clone(), remark)))
                .collect::<Vec<_>>()
        };
        for (path, remark) in remarks {
            let words = match remark {
                Remark::Counter { tag, oddity: Oddity::Reset } => {
                    format!(
                        "the counter {tag} went back and is taken to have been reset; what it shows was counted since"
                    )
                }
                Remark::Counter { tag, oddity: Oddity::NotBelieved(amount) } => format!(
                    "the counter {tag} went up by {} at once, which is more than `at_most`; nothing was counted, and it goes on from there",
                    amount.to_f64()
                ),
                Remark::Counter { tag, oddity: Oddity::NoCount } => {
                    format!("{tag} showed what no counter shows; the reading was left out")
                }
                Remark::NoMeaning { tag, value } => {
                    format!(
                        "{tag} is {value:?}, and what that means is not said in the [[machine]]; the state is unknown until it says something else"
                    )
                }
            };
            self.notes.say(&path, "machine", words);
        }
    }

    /// What is to be done every second.
    pub(super) async fn tick(&self) -> Result<(), StoreError> {
        let now = self.clock.now();
        {
            let mut state = self.state();
            state.follower.silence(now);
            if state.planned_until < now.plus(super::PLANNED_AHEAD / 2) {
                self.plan(&mut state);
            }
        }
        self.mend().await?;
        self.keep_what_is_over(now).await?;
        self.make_figures().await?;
        let mut state = self.state();
        let counts_as = state.counts_as();
        state.follower.floor_mut().settle(&counts_as, now);
        Ok(())
    }
}
