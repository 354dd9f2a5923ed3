//! Reading the lane of samples.

use super::Manufacturing;
use andon_mes::follow::{FrameHead, Mending, Oddity, Remark};
use andon_model::error::causes;
use andon_model::log::{Frame, Lane, Seq, kind};
use andon_model::sample_codec::decode_samples;
use andon_store::StoreError;
use std::sync::Arc;
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
                    tracing::error!("the shop floor cannot go on: {error:#}");
                    AFTER_ERROR
                }
            };
            let now = self.clock.monotonic();
            if now.saturating_sub(kept_at) >= KEEP_EVERY || stop.is_cancelled() {
                kept_at = now;
                // While an earlier run is caught up with, nothing is over yet.
                if pause > Duration::ZERO
                    && let Err(error) = self.tick().await
                {
                    tracing::error!("the shop floor cannot be kept: {}", causes(&error));
                }
            }
            let is_due = let_go_at.is_none_or(|at| now.saturating_sub(at) >= LET_GO_EVERY);
            if pause > Duration::ZERO && (is_due || stop.is_cancelled()) {
                let_go_at = Some(now);
                if let Err(error) = self.let_go_while_idle().await {
                    tracing::error!("how far the shop floor has come cannot be kept: {}", causes(&error));
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

    /// Reads frames from here on; returns where to go on. `None`: there are none.
    pub(super) async fn read_once(&self, from: Seq) -> anyhow::Result<Option<Seq>> {
        if self.log.durable_seq(Lane::Samples) < from {
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
        self.mend().await?;
        self.tell();
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
                    follower.take(head, &[]);
                    follower.lost(head.seq);
                }
            },
            kind::GAP => {
                follower.take(head, &[]);
                follower.lost(head.seq);
            }
            _ => follower.take(head, &[]),
        }
    }

    /// Takes what came late into what is kept.
    async fn mend(&self) -> Result<(), StoreError> {
        if !self.state().follower.has_late() {
            return Ok(());
        }
        let _turn = self.turn.write().await;
        let late = self.state().follower.take_late();
        for (unit, late) in late {
            for mut mending in Mending::of(unit, &late) {
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
        }
        self.keep_progress().await
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
        let mut state = self.state();
        let counts_as = state.counts_as();
        state.follower.floor_mut().settle(&counts_as, now);
        Ok(())
    }
}
