//! One lane as all threads share it: the open group, who waits for what, the segments.
//!
//! Locks are held for a copy at most, never during file I/O or a wait. Order, where two are held: none.

use crate::frame;
use crate::lock;
use crate::notice::{LogNotice, Notices};
use crate::options::LogOptions;
use crate::segment::Segment;
use crate::stats::Counters;
use crate::tail::Tail;
use andon_model::log::{AppendError, FrameKind, Gap, Lane, Seq, kind};
use andon_model::{BoxFuture, Clock};
use std::collections::BTreeMap;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::task::{Context, Poll, Waker};
use std::time::Duration;
use tokio::sync::Notify;
use uuid::Uuid;

/// Frames that wait for the writer.
#[derive(Debug, Default)]
struct OpenGroup {
    bytes: Vec<u8>,
    next_seq: u64,
    /// Bytes the writer has taken and not yet finished.
    in_flight: usize,
    /// The largest frame that found no room, in bytes; 0 when none waits.
    no_room_for: usize,
    /// Why nothing is taken: full (passes), poisoned or closed (final).
    refuse: Option<AppendError>,
    /// The writer sleeps until there is work.
    asleep: bool,
    closing: bool,
}

/// Who waits for which number.
#[derive(Debug, Default)]
struct Waiters {
    by_seq: BTreeMap<(u64, u64), Waker>,
    next_id: u64,
    refuse: Option<AppendError>,
}

/// What the log's parts share of one lane.
#[derive(Debug)]
pub(crate) struct LaneCore {
    pub lane: Lane,
    pub options: Arc<LogOptions>,
    pub clock: ClockHandle,
    pub node: Uuid,
    pub epoch: u64,
    pub notices: Arc<Notices>,
    pub counters: Counters,
    pub tail: Mutex<Tail>,
    /// By first number. The last one is being written.
    pub segments: Mutex<BTreeMap<u64, Arc<Segment>>>,
    open: Mutex<OpenGroup>,
    work: Condvar,
    durable: AtomicU64,
    waiters: Mutex<Waiters>,
    room: Notify,
}

/// A clock that `Debug` can pass over.
#[derive(Clone)]
pub(crate) struct ClockHandle(pub Arc<dyn Clock>);

impl std::fmt::Debug for ClockHandle {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Clock")
    }
}

/// What the lane starts with after recovery.
pub(crate) struct LaneStart {
    pub lane: Lane,
    pub node: Uuid,
    pub epoch: u64,
    pub durable: u64,
    pub segments: BTreeMap<u64, Arc<Segment>>,
}

impl LaneCore {
    pub(crate) fn new(
        start: LaneStart,
        options: Arc<LogOptions>,
        clock: Arc<dyn Clock>,
        notices: Arc<Notices>,
    ) -> Self {
        let open = OpenGroup { next_seq: start.durable.saturating_add(1), ..OpenGroup::default() };
        Self {
            lane: start.lane,
            tail: Mutex::new(Tail::new(options.tail_bytes)),
            options,
            clock: ClockHandle(clock),
            node: start.node,
            epoch: start.epoch,
            notices,
            counters: Counters::default(),
            segments: Mutex::new(start.segments),
            open: Mutex::new(open),
            work: Condvar::new(),
            durable: AtomicU64::new(start.durable),
            waiters: Mutex::default(),
            room: Notify::new(),
        }
    }

    // --- what callers do ---------------------------------------------------------------------------------------------

    /// Numbers a frame and copies it into the open group. Budget: one copy of the payload, no allocation once warm.
    pub(crate) fn append(&self, kind: FrameKind, payload: &[u8]) -> Result<Seq, AppendError> {
        let limit = self.options.frame_limit();
        if payload.len() > limit {
            return Err(AppendError::TooLarge { bytes: payload.len(), limit });
        }
        let received = self.clock.0.now();
        let mut open = lock(&self.open);
        if let Some(reason) = &open.refuse {
            return Err(reason.clone());
        }
        if open.closing {
            return Err(AppendError::Closed);
        }
        let pending_bytes = open.bytes.len() + open.in_flight;
        let room = self.options.max_pending_bytes.saturating_sub(pending_bytes);
        let need = payload.len() + frame::FRAME_HEADER;
        // A frame over the whole bound is taken when nothing else waits, or it could never be.
        if need > room && pending_bytes > 0 {
            open.no_room_for = open.no_room_for.max(need);
            return Err(AppendError::Busy { lane: self.lane, pending_bytes });
        }
        let seq = open.next_seq;
        let before = open.bytes.len();
        frame::push(&mut open.bytes, kind, self.epoch, seq, received, payload);
        open.next_seq = seq.saturating_add(1);
        let full_group = before < self.options.group_bytes && open.bytes.len() >= self.options.group_bytes;
        let wake = open.asleep || full_group;
        drop(open);
        if wake {
            self.work.notify_one();
        }
        Ok(Seq(seq))
    }

    pub(crate) fn durable_seq(&self) -> u64 {
        self.durable.load(Ordering::Acquire)
    }

    pub(crate) fn durable(self: &Arc<Self>, seq: u64) -> BoxFuture<'static, Result<(), AppendError>> {
        Box::pin(Durable { lane: Arc::clone(self), seq, id: None })
    }

    pub(crate) fn ready(self: &Arc<Self>) -> BoxFuture<'static, Result<(), AppendError>> {
        let lane = Arc::clone(self);
        Box::pin(async move {
            loop {
                let changed = lane.room.notified();
                tokio::pin!(changed);
                changed.as_mut().enable();
                if lane.has_room()? {
                    return Ok(());
                }
                changed.await;
            }
        })
    }

    /// Whether there is room: for the largest frame that found none, and half the bound at least, so that whoever waited can
    /// put in more than one frame before it waits again.
    fn has_room(&self) -> Result<bool, AppendError> {
        let mut open = lock(&self.open);
        if let Some(reason) = &open.refuse {
            return Err(reason.clone());
        }
        if open.closing {
            return Err(AppendError::Closed);
        }
        let (pending, bound) = (open.bytes.len() + open.in_flight, self.options.max_pending_bytes);
        let room = pending == 0 || pending <= bound / 2 && pending.saturating_add(open.no_room_for) <= bound;
        if room {
            open.no_room_for = 0;
        }
        Ok(room)
    }

    /// The lowest number kept, 0 when there is none.
    pub(crate) fn first_seq(&self) -> u64 {
        let first = lock(&self.segments).first_key_value().map_or(0, |(first, _)| *first);
        if first <= self.durable_seq() { first } else { 0 }
    }

    /// Says that numbers are lost: to listeners, and in the lane itself, where it outlives the damaged file.
    pub(crate) fn report_damage(&self, gap: Gap) {
        if gap.from <= gap.to {
            self.append_gap(&gap);
        }
        self.notices.say(LogNotice::Damage { lane: self.lane, gap });
    }

    /// Puts a gap record into the lane. When the lane takes nothing, the notice alone tells.
    pub(crate) fn append_gap(&self, gap: &Gap) {
        if let Ok(json) = serde_json::to_vec(gap) {
            let _ = self.append(kind::GAP, &json);
        }
    }

    // --- what the writer does ----------------------------------------------------------------------------------------

    /// Waits until there is a group to write; `false` when the lane closes and nothing is left.
    ///
    /// `busy`: the disk was at work until now, so the group may gather for a moment: until it is large, old enough, or
    /// gets no further frame. An idle disk takes the first frame at once.
    pub(crate) fn wait_for_group(&self, busy: bool) -> bool {
        let mut open = lock(&self.open);
        let mut gather = busy;
        while open.bytes.is_empty() {
            if open.closing {
                return false;
            }
            gather = false;
            open.asleep = true;
            open = self.work.wait(open).unwrap_or_else(PoisonError::into_inner);
            open.asleep = false;
        }
        let idle = self.options.group_idle.max(Duration::from_micros(10));
        let mut left = self.options.group_delay;
        while gather && !left.is_zero() && open.bytes.len() < self.options.group_bytes && !open.closing {
            let before = open.bytes.len();
            open = self.work.wait_timeout(open, idle).unwrap_or_else(PoisonError::into_inner).0;
            left = left.saturating_sub(idle);
            gather = open.bytes.len() > before;
        }
        true
    }

    /// Waits for space on the disk: a second, or until something was freed, or the lane closes (then `false`).
    pub(crate) fn wait_for_space(&self) -> bool {
        let open = lock(&self.open);
        if open.closing {
            return false;
        }
        let (open, _) = self.work.wait_timeout(open, Duration::from_secs(1)).unwrap_or_else(PoisonError::into_inner);
        !open.closing
    }

    /// Wakes a writer that waits for space.
    pub(crate) fn kick(&self) {
        self.work.notify_all();
    }

    /// Takes the open group, leaving `empty` (an emptied buffer) in its place.
    pub(crate) fn take_group(&self, empty: Vec<u8>) -> Vec<u8> {
        let mut open = lock(&self.open);
        let group = std::mem::replace(&mut open.bytes, empty);
        open.in_flight = group.len();
        group
    }

    /// The group in flight is done.
    pub(crate) fn group_done(&self) {
        lock(&self.open).in_flight = 0;
        self.room.notify_waiters();
    }

    /// Tells that all frames up to `seq` are synced.
    pub(crate) fn publish(&self, seq: u64) {
        self.durable.store(seq, Ordering::Release);
        let mut due = {
            let mut waiters = lock(&self.waiters);
            let later = waiters.by_seq.split_off(&(seq.saturating_add(1), 0));
            std::mem::replace(&mut waiters.by_seq, later)
        };
        while let Some((_, waker)) = due.pop_first() {
            waker.wake();
        }
    }

    /// Refuses frames and tells all who wait. Poisoned and closed are final.
    pub(crate) fn refuse(&self, reason: &AppendError) {
        {
            let mut open = lock(&self.open);
            if matches!(open.refuse, Some(AppendError::Poisoned { .. } | AppendError::Closed)) {
                return;
            }
            open.refuse = Some(reason.clone());
        }
        let waiting = {
            let mut waiters = lock(&self.waiters);
            waiters.refuse = Some(reason.clone());
            std::mem::take(&mut waiters.by_seq)
        };
        waiting.into_values().for_each(Waker::wake);
        self.room.notify_waiters();
        self.work.notify_all();
        if let AppendError::Poisoned { lane, reason } = reason {
            self.notices.say(LogNotice::Poisoned { lane: *lane, reason: reason.clone() });
        }
    }

    /// Stops the lane after a failed write or sync.
    pub(crate) fn poison(&self, reason: String) {
        self.refuse(&AppendError::Poisoned { lane: self.lane, reason });
    }

    /// Takes frames again after the disk was full.
    pub(crate) fn accept_again(&self) {
        let passes = |refuse: &mut Option<AppendError>| {
            if matches!(refuse, Some(AppendError::DiskFull { .. })) {
                *refuse = None;
            }
        };
        passes(&mut lock(&self.open).refuse);
        passes(&mut lock(&self.waiters).refuse);
        self.room.notify_waiters();
    }

    /// Why the lane takes nothing, if so.
    pub(crate) fn refusal(&self) -> Option<AppendError> {
        lock(&self.open).refuse.clone()
    }

    /// Bytes that wait to be written.
    pub(crate) fn pending_bytes(&self) -> usize {
        let open = lock(&self.open);
        open.bytes.len() + open.in_flight
    }

    /// Asks the writer to finish what is pending and stop; new frames are refused.
    pub(crate) fn begin_close(&self) {
        lock(&self.open).closing = true;
        self.work.notify_all();
        self.room.notify_waiters();
    }
}

/// Resolves when a number is durable. Dropped early, it leaves nothing behind.
struct Durable {
    lane: Arc<LaneCore>,
    seq: u64,
    id: Option<u64>,
}

impl Future for Durable {
    type Output = Result<(), AppendError>;

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Self::Output> {
        if self.lane.durable_seq() >= self.seq {
            return Poll::Ready(Ok(()));
        }
        let seq = self.seq;
        let lane = Arc::clone(&self.lane);
        let mut waiters = lock(&lane.waiters);
        // Again under the lock: `publish` stores first, then takes this lock to wake.
        if lane.durable_seq() >= seq {
            return Poll::Ready(Ok(()));
        }
        if let Some(reason) = &waiters.refuse {
            return Poll::Ready(Err(reason.clone()));
        }
        let id = *self.id.get_or_insert_with(|| {
            waiters.next_id += 1;
            waiters.next_id
        });
        match waiters.by_seq.get_mut(&(seq, id)) {
            Some(waker) => waker.clone_from(context.waker()),
            None => drop(waiters.by_seq.insert((seq, id), context.waker().clone())),
        }
        Poll::Pending
    }
}

impl Drop for Durable {
    fn drop(&mut self) {
        if let Some(id) = self.id {
            lock(&self.lane.waiters).by_seq.remove(&(self.seq, id));
        }
    }
}
