//! From the connections through the log to the state: append, wait for the commit, apply in order, answer.

use crate::broker::Broker;
use crate::core::Core;
use crate::frames::{Op, Published, SessionOp};
use crate::hooks::NoRight;
use crate::message::Message;
use crate::outbox::Outbox;
use crate::past::Begin;
use crate::ruling::{self, Origin, Ruling};
use crate::session::Arrival;
use andon_model::access::Principal;
use andon_model::log::{AppendError, Lane, Log, Positions, Seq};
use andon_wire::mqtt::{Packet, QoS, ReasonCode, SubAck, Text, UnsubAck};
use bytes::BytesMut;
use std::cell::RefCell;
use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::sync::{Notify, oneshot, watch};
use tokio::task::JoinHandle;

/// The broker's name as a reader of the log.
pub(crate) const READER: &str = "broker";
/// The name under which it holds on to messages that wait for a session.
pub(crate) const QUEUES: &str = "broker-queues";
/// How many operations are applied in one go, so that connections get at the state in between.
const BATCH: usize = 512;
/// How long to wait before asking again whether a full disk has room.
const DISK_FULL_PAUSE: Duration = Duration::from_millis(500);
/// A frame larger than this leaves no room behind for the next, in bytes.
const FRAME_KEPT: usize = 1 << 20;

thread_local! {
    /// Where a thread puts a frame together on its way into the log.
    static FRAME: RefCell<BytesMut> = RefCell::default();
}

/// Who waits for an operation, and for what.
#[derive(Debug)]
pub(crate) enum Reply {
    /// Nobody.
    None,
    /// PUBACK or PUBREC.
    Publish(Arc<Outbox>, u16, QoS),
    /// PUBCOMP.
    Complete(Arc<Outbox>, u16),
    /// CONNACK.
    Open(Box<Arrival>),
    /// SUBACK, with what is to stand in it, and what of the past is to be sent before what comes.
    SubAck(Arc<Outbox>, u16, Vec<ReasonCode>, Option<Box<Begin>>),
    /// UNSUBACK for so many filters is made up when they are removed.
    UnsubAck(Arc<Outbox>, u16),
    /// Somebody in this program: how many sessions the message reached.
    Done(oneshot::Sender<Result<usize, AppendError>>),
    /// Who decided on a message in quarantine: how many sessions it reached; `None`: it was there no more.
    Decided(oneshot::Sender<Result<Option<usize>, AppendError>>),
}

impl Reply {
    /// Tells who decided on a message in quarantine what came of it.
    pub(crate) fn decided(self, reached: Option<usize>) {
        if let Self::Decided(done) = self {
            // Nobody waits any more: fine.
            drop(done.send(Ok(reached)));
        }
    }

    /// The log did not take it: never a "yes", and a "no" where the protocol has one.
    fn refuse(self, op: &Op, error: &AppendError) {
        let (reason, fatal) = reason_of(error);
        let words = error.to_string();
        if fatal {
            return self.end(error);
        }
        match self {
            // Who sends with QoS 2 wants it delivered: it keeps the message, comes again, and is taken when there is room.
            Self::Publish(_, _, QoS::ExactlyOnce) if matches!(error, AppendError::DiskFull { .. }) => self.end(error),
            Self::Publish(outbox, id, qos) if outbox.version.is_v5() => outbox.refuse(id, qos, reason, Some(&words)),
            Self::SubAck(outbox, packet_id, reasons, _) => {
                let reasons = reasons.into_iter().map(|r| if r.is_success() { reason } else { r }).collect();
                outbox.packet(&Packet::SubAck(SubAck { packet_id, properties: Default::default(), reasons }));
            }
            Self::UnsubAck(outbox, packet_id) if outbox.version.is_v5() => {
                let count = match op {
                    Op::Session(crate::frames::SessionOp::Unsubscribe { filters, .. }) => filters.len(),
                    _ => 0,
                };
                let reasons = vec![ReasonCode::UNSPECIFIED; count];
                outbox.packet(&Packet::UnsubAck(UnsubAck { packet_id, properties: Default::default(), reasons }));
            }
            other => other.end(error),
        }
    }

    /// Nobody knows whether it will be durable in the end, or nothing works any more: no answer, the connection ends.
    /// The client repeats what it got no answer to, and QoS 2 tells the repetition from a new message.
    fn end(self, error: &AppendError) {
        let (reason, _) = reason_of(error);
        match self {
            Self::None => {}
            Self::Publish(outbox, ..)
            | Self::Complete(outbox, _)
            | Self::SubAck(outbox, ..)
            | Self::UnsubAck(outbox, _) => outbox.close_saying(reason, Some(&error.to_string())),
            Self::Open(arrival) => drop(arrival.admitted.send(Err(error.clone()))),
            Self::Done(done) => drop(done.send(Err(error.clone()))),
            Self::Decided(done) => drop(done.send(Err(error.clone()))),
        }
    }
}

/// The reason code for a failing log, and whether it is done for.
const fn reason_of(error: &AppendError) -> (ReasonCode, bool) {
    match error {
        AppendError::DiskFull { .. } | AppendError::TooLarge { .. } => (ReasonCode::QUOTA_EXCEEDED, false),
        AppendError::Closed => (ReasonCode::SERVER_SHUTTING_DOWN, true),
        AppendError::Busy { .. } | AppendError::Poisoned { .. } => (ReasonCode::UNSPECIFIED, true),
    }
}

/// An operation that is in the log but not yet durable, or durable but not yet applied.
struct Pending {
    seq: Seq,
    op: Op,
    reply: Reply,
}

#[derive(Default)]
struct Queues {
    /// In lane order, without a gap.
    pending: VecDeque<Pending>,
    /// Operations of the broker's own, to be appended by the router.
    todo: VecDeque<Op>,
}

/// Operations on their way through the log.
pub(crate) struct Pipeline {
    log: Arc<dyn Log>,
    queues: Mutex<Queues>,
    wake: Notify,
    since_snapshot: AtomicU64,
    /// How far the lane goes, for those who read it.
    lane: watch::Sender<u64>,
}

impl Pipeline {
    pub(crate) fn new(log: Arc<dyn Log>) -> Self {
        let lane = watch::Sender::new(log.durable_seq(Lane::Messages).0);
        Self { log, queues: Mutex::default(), wake: Notify::new(), since_snapshot: AtomicU64::new(0), lane }
    }

    /// Tells how far the lane goes, whenever operations of it were applied.
    pub(crate) fn lane(&self) -> watch::Receiver<u64> {
        self.lane.subscribe()
    }

    fn lane_grew(&self) {
        self.lane.send_replace(self.log.durable_seq(Lane::Messages).0);
    }

    pub(crate) const fn log(&self) -> &Arc<dyn Log> {
        &self.log
    }

    fn queues(&self) -> MutexGuard<'_, Queues> {
        self.queues.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends an operation; the reply is given when it is applied, or refused. Waits while the log is busy, which holds
    /// back whoever calls.
    pub(crate) async fn submit(&self, op: Op, reply: Reply) {
        let mut waiting = self.try_submit(op, reply);
        while let Some((op, reply)) = waiting {
            if let Err(error) = self.log.ready(Lane::Messages).await {
                return reply.refuse(&op, &error);
            }
            waiting = self.try_submit(op, reply);
        }
    }

    /// As [`Pipeline::submit`]; gives both back while the log is busy.
    fn try_submit(&self, op: Op, reply: Reply) -> Option<(Op, Reply)> {
        FRAME.with_borrow_mut(|frame| {
            frame.clear();
            let kind = op.encode(frame);
            let bytes = frame.len();
            // Numbering and queueing are one step, so that the queue is in lane order.
            let mut queues = self.queues();
            let appended = self.log.append(Lane::Messages, kind, frame);
            if bytes > FRAME_KEPT {
                *frame = BytesMut::new();
            }
            match appended {
                Ok(seq) => {
                    queues.pending.push_back(Pending { seq, op, reply });
                    let first = queues.pending.len() == 1;
                    drop(queues);
                    self.since_snapshot.fetch_add(bytes as u64, Ordering::Relaxed);
                    if first {
                        self.wake.notify_one();
                    }
                    None
                }
                Err(AppendError::Busy { .. }) => Some((op, reply)),
                Err(error) => {
                    drop(queues);
                    reply.refuse(&op, &error);
                    None
                }
            }
        })
    }

    /// Leaves operations to the router.
    pub(crate) fn leave(&self, ops: impl IntoIterator<Item = Op>) {
        self.queues().todo.extend(ops);
        self.wake.notify_one();
    }

    fn take_todo(&self) -> VecDeque<Op> {
        std::mem::take(&mut self.queues().todo)
    }

    fn first_pending(&self) -> Option<Seq> {
        self.queues().pending.front().map(|p| p.seq)
    }

    fn is_idle(&self) -> bool {
        let queues = self.queues();
        queues.pending.is_empty() && queues.todo.is_empty()
    }

    /// Up to [`BATCH`] operations that are durable.
    fn take_durable(&self) -> Vec<Pending> {
        let durable = self.log.durable_seq(Lane::Messages);
        let mut queues = self.queues();
        let count = queues.pending.iter().take(BATCH).take_while(|p| p.seq <= durable).count();
        queues.pending.drain(..count).collect()
    }

    /// Ends the connections of all who wait, and leaves the operations: once durable, they count.
    fn end_waiting(&self, error: &AppendError) {
        for pending in &mut self.queues().pending {
            std::mem::replace(&mut pending.reply, Reply::None).end(error);
        }
    }

    /// As [`Pipeline::end_waiting`], when nothing will ever be durable again in this run.
    fn give_up(&self, error: &AppendError) {
        self.end_waiting(error);
        let mut queues = self.queues();
        queues.pending.clear();
        queues.todo.clear();
    }
}

impl Broker {
    /// The router: one task, from start to stop.
    pub(crate) async fn route_commits(self: Arc<Self>) {
        let mut saving: Option<JoinHandle<()>> = None;
        loop {
            for op in self.pipeline.take_todo() {
                if let Some((op, volatile)) = self.as_ruled(op) {
                    self.run_own(op, volatile).await;
                }
            }
            let Some(first) = self.pipeline.first_pending() else {
                if self.finish.is_cancelled() && self.pipeline.is_idle() {
                    break;
                }
                tokio::select! {
                    () = self.pipeline.wake.notified() => {}
                    () = self.finish.cancelled(), if !self.finish.is_cancelled() => {}
                }
                continue;
            };
            match self.pipeline.log.durable(Lane::Messages, first).await {
                Ok(()) => self.apply_durable().await,
                Err(error) => {
                    self.pipeline.end_waiting(&error);
                    let full = matches!(error, AppendError::DiskFull { .. } | AppendError::Busy { .. });
                    tracing::error!(%error, "the log did not take MQTT messages; nothing is acknowledged");
                    if !full || self.finish.is_cancelled() {
                        self.refuse_from_now_on(error).await;
                        break;
                    }
                    let ready = self.pipeline.log.ready(Lane::Messages);
                    let _ = tokio::time::timeout(DISK_FULL_PAUSE, ready).await;
                    // The log may call itself ready for new frames while the old one still waits.
                    tokio::time::sleep(DISK_FULL_PAUSE / 10).await;
                }
            }
            self.save_if_due(&mut saving);
        }
        if let Some(saving) = saving {
            // A failed save was logged; the former snapshot stays valid.
            let _ = saving.await;
        }
    }

    /// The log is done for: what still comes is refused as it comes.
    async fn refuse_from_now_on(&self, error: AppendError) {
        loop {
            self.pipeline.give_up(&error);
            tokio::select! {
                () = self.pipeline.wake.notified() => {}
                () = self.finish.cancelled() => return,
            }
        }
    }

    async fn apply_durable(&self) {
        loop {
            let batch = self.pipeline.take_durable();
            if batch.is_empty() {
                return;
            }
            let ((), mapped) = self.with_core_mapped(|core| {
                for Pending { seq, op, reply } in batch {
                    core.apply(seq, &op, reply);
                }
            });
            self.pipeline.lane_grew();
            self.map(mapped, true).await;
        }
    }

    /// An operation of the broker's own: through the log, unless it is a message that leaves nothing behind.
    async fn run_own(&self, op: Op, volatile: bool) {
        let passes = |message: &Message| (message.qos == QoS::AtMostOnce || volatile) && !message.retain;
        match &op {
            Op::Publish(p) if passes(&p.message) && !p.will_of.is_durable() => {
                let ((), mapped) = self.with_core_mapped(|core| core.apply(Seq(0), &op, Reply::None));
                self.map(mapped, false).await;
            }
            _ => self.pipeline.submit(op, Reply::None).await,
        }
    }

    /// A will with the content of now, and whether it is volatile; what is to be done instead if the rule of its topic refuses it.
    fn as_ruled(&self, op: Op) -> Option<(Op, bool)> {
        let published = match self.as_of_now(op)? {
            Op::Publish(published) => published,
            other => return Some((other, false)),
        };
        match self.rule(&published.message) {
            Ruling::Durable => Some((Op::Publish(published), false)),
            Ruling::Volatile => Some((Op::Publish(published), true)),
            Ruling::Withheld { rule, words } => {
                let Published { message, publisher, packet_id, will_of } = published;
                let from = Origin { publisher, packet_id, will_of, by: uuid::Uuid::nil() };
                Some((Op::Session(SessionOp::Withhold(ruling::withheld(message, &from, &rule, &words))), false))
            }
            Ruling::Refused(_) => {
                let no_will = self.with_core(|core| core.without_will(published.will_of))?;
                Some((Op::Session(no_will), false))
            }
        }
    }

    /// The broker's own messages are wills. Their topics were asked for at CONNECT; one whose topic has become that of a command meanwhile
    /// is dropped, for it would pass by the door. Those around may give the others the content of now. `None`: nothing is to be done.
    fn as_of_now(&self, op: Op) -> Option<Op> {
        let Op::Publish(published) = op else { return Some(op) };
        if self.hooks.command_topic(published.message.topic.as_str()) {
            self.tell_dropped(&published.message);
            return self.with_core(|core| core.without_will(published.will_of)).map(Op::Session);
        }
        Some(match self.hooks.will(&published.message) {
            Some(payload) if payload.len() <= self.options.payload_bytes => {
                let message = Arc::new(Message { payload, ..(*published.message).clone() });
                Op::Publish(Published { message, ..published })
            }
            _ => Op::Publish(published),
        })
    }

    fn tell_dropped(&self, will: &Message) {
        let client_id = will.publisher.as_ref().map(Text::as_str).unwrap_or_default();
        let who = self.departures.principal(client_id).unwrap_or(Principal::ANONYMOUS);
        self.hooks.refused(client_id, &who, NoRight::CommandAsWill, will.topic.as_str());
    }

    /// Hands messages to the catalogue, to bridges and to the mapping hook. `in_lane`: they are in the log, where bridges find them.
    pub(crate) async fn map(&self, messages: Vec<Arc<Message>>, in_lane: bool) {
        for message in messages {
            self.catalogue().note(&message);
            self.taps.pass(&message, in_lane);
            if let Some(done) = self.hooks.on_message(&message) {
                done.await;
            }
        }
    }

    fn save_if_due(&self, saving: &mut Option<JoinHandle<()>>) {
        let due = self.pipeline.since_snapshot.load(Ordering::Relaxed) >= self.options.snapshot_bytes;
        if !due || saving.as_ref().is_some_and(|s| !s.is_finished()) {
            return;
        }
        self.pipeline.since_snapshot.store(0, Ordering::Relaxed);
        *saving = Some(tokio::spawn(self.save_settled()));
    }

    /// Saves the state as it is.
    pub(crate) async fn save_now(&self) {
        self.save_settled().await;
    }

    /// Takes the state now and saves it once everything made of its messages is durable elsewhere.
    fn save_settled(&self) -> impl Future<Output = ()> + Send + 'static {
        let (positions, waiting, state) = self.with_core(|core| state_of(core));
        let (log, hooks, history) = (self.pipeline.log.clone(), self.hooks.clone(), self.history.clone());
        async move {
            if !hooks.settled().await {
                tracing::warn!(
                    "the broker's snapshot is not saved, for readings cannot be stored; the former one stays valid"
                );
                return;
            }
            // What is kept of messages behind the snapshot would not be read from the lane again.
            if !history.settled().await {
                tracing::warn!(
                    "the broker's snapshot is not saved, for kept messages cannot be synced; the former one stays valid"
                );
                return;
            }
            let saved = tokio::task::spawn_blocking(move || save(&*log, positions, waiting, &state)).await;
            if let Err(error) = saved {
                tracing::error!(%error, "saving the broker's snapshot was interrupted");
            }
        }
    }
}

/// How far the state has come, before what in the lane nothing waits, and the state.
fn state_of(core: &Core) -> (Seq, Seq, BytesMut) {
    let before = core.oldest().map_or(core.applied, |oldest| Seq(oldest.0.saturating_sub(1)));
    (core.applied, before.min(core.applied), crate::snapshot::encode(core))
}

fn save(log: &dyn Log, applied: Seq, waiting: Seq, state: &[u8]) {
    let at = |messages| Positions { messages, ..Positions::default() };
    // In this order: what is let go of is in no snapshot that a start may begin with.
    let saved =
        log.save_snapshot(READER, at(applied), state).and_then(|()| log.save_snapshot(QUEUES, at(waiting), &[]));
    if let Err(error) = saved {
        tracing::error!(%error, "could not save the broker's snapshot; the former one stays valid");
    }
}
