//! Bytes on their way to one client.

use andon_wire::mqtt::{
    Ack, AckProperties, Disconnect, DisconnectProperties, EncodedPublish, Packet, QoS, ReasonCode, SubAck, Text,
    Version,
};
use bytes::BytesMut;
use futures_util::task::AtomicWaker;
use std::cell::RefCell;
use std::collections::{HashMap, VecDeque};
use std::future::poll_fn;
use std::pin::Pin;
use std::sync::atomic::{AtomicBool, AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};

/// What is to be written to a connection, and how its inbound quota stands. Written to by anybody, drained by the
/// connection's own task.
pub(crate) struct Outbox {
    pub(crate) version: Version,
    limit: usize,
    /// The largest packet the client takes, in bytes. MQTT 5.0 [MQTT-3.1.2-24].
    pub(crate) packet_bytes: usize,
    inner: Mutex<Inner>,
    /// The connection's own task, which writes, reads and waits: one, whatever it is woken for.
    task: AtomicWaker,
    /// That task looks into the buffer before it sleeps, so it need not be woken for what is put there.
    awake: AtomicBool,
    /// That task waits for room in the buffer or for answers to the client.
    waits: AtomicBool,
    /// Inbound QoS > 0 messages not yet answered.
    unanswered: AtomicUsize,
    /// In memory of its own, for many clients have none.
    exchanges: Mutex<Option<Box<Exchanges>>>,
    pub(crate) received: AtomicU64,
    pub(crate) sent: AtomicU64,
    closed: AtomicBool,
    /// Whether the client wants reason strings (MQTT 5.0 §3.1.2.11.7).
    problem_information: bool,
    /// The keep alive in force, in seconds; 0: none.
    pub(crate) keep_alive_s: u16,
}

/// Clients to whom something is to be written, and whose writers are not woken yet.
///
/// **Idea.** A writer that is woken by the first message of many writes that one alone, and the rest with a second call of the
/// system. So what is handed out together is first put into all outboxes, and then the writers are woken.
#[derive(Default)]
pub(crate) struct Wakes(Vec<Arc<Outbox>>);

impl Wakes {
    pub(crate) fn message(&mut self, outbox: &Arc<Outbox>, publish: &EncodedPublish, packet_id: u16, dup: bool) {
        if outbox.put_message(publish, packet_id, dup) {
            self.0.push(outbox.clone());
        }
    }

    /// Appends PUBACK.
    pub(crate) fn puback(&mut self, outbox: Arc<Outbox>, ack: Ack) {
        if outbox.put_packet(&Packet::PubAck(ack)) {
            self.0.push(outbox);
        }
    }

    pub(crate) fn append(&mut self, others: &mut Self) {
        self.0.append(&mut others.0);
    }

    /// Wakes them.
    pub(crate) fn wake(&mut self) {
        std::mem::take(&mut self.0).iter().for_each(|outbox| outbox.wake());
    }

    /// Leaves them to the next who is done on this thread: only within [`Wakes::after_each_poll`].
    pub(crate) fn leave(mut self) {
        LATER.with_borrow_mut(|later| later.append(&mut self));
    }

    /// Runs this, and whenever it is done or waits for something wakes those that it left.
    pub(crate) async fn after_each_poll<F: Future>(mut run: Pin<&mut F>) -> F::Output {
        poll_fn(|context| {
            let outcome = run.as_mut().poll(context);
            LATER.with_borrow_mut(Self::wake);
            outcome
        })
        .await
    }
}

thread_local! {
    static LATER: RefCell<Wakes> = RefCell::default();
}

/// The client's QoS 2 exchanges, by packet identifier.
#[derive(Default)]
struct Exchanges {
    /// Those of this connection, between PUBLISH and PUBREL.
    open: HashMap<u16, Exchange>,
    /// Those of earlier connections: we have the message, the client has not said PUBREL. With its mark; 0: not known.
    kept: HashMap<u16, u32>,
    /// The last [`REFUSALS`] that ended with our "no" and whose identifiers did not come again.
    refused: VecDeque<u16>,
}

/// A QoS 2 exchange as the receiver sees it.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Exchange {
    /// How often the client said PUBLISH.
    pub(crate) times: u8,
    /// It was answered with PUBREC.
    pub(crate) received: bool,
}

#[derive(Default)]
struct Inner {
    buffer: BytesMut,
    /// Somebody held messages back for want of room.
    starved: bool,
    close: Option<ReasonCode>,
}

/// How many refusals of QoS 2 messages a connection remembers; whoever takes them for a "yes" answers at once.
const REFUSALS: usize = 1024;
/// The most that stands around the words in an answer: header, identifier, reason, and the lengths before them.
const AROUND_WORDS: usize = 15;

impl Outbox {
    pub(crate) fn new(version: Version, limit: usize, packet_bytes: usize, problem_information: bool) -> Self {
        Self {
            version,
            limit,
            packet_bytes,
            inner: Mutex::default(),
            task: AtomicWaker::new(),
            awake: AtomicBool::new(false),
            waits: AtomicBool::new(false),
            unanswered: AtomicUsize::new(0),
            exchanges: Mutex::default(),
            received: AtomicU64::new(0),
            sent: AtomicU64::new(0),
            closed: AtomicBool::new(false),
            problem_information,
            keep_alive_s: 0,
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Appends a control packet; these are few and answer the client's own, so that holding back the reader bounds them.
    /// One that is larger than the client takes cannot be left out either: the connection ends.
    pub(crate) fn packet(&self, packet: &Packet) {
        if self.put_packet(packet) {
            self.wake();
        }
    }

    /// As [`Outbox::packet`]; true: the connection's task sleeps and is to be woken.
    #[must_use]
    fn put_packet(&self, packet: &Packet) -> bool {
        let mut inner = self.lock();
        let before = inner.buffer.len();
        if inner.close.is_some() || packet.encode(self.version, &mut inner.buffer).is_err() {
            return false;
        }
        if inner.buffer.len() - before <= self.packet_bytes {
            return self.sleeps();
        }
        inner.buffer.truncate(before);
        if matches!(packet, Packet::ConnAck(_)) {
            // Nothing may be said before CONNACK, so it ends without a word. MQTT 5.0 [MQTT-3.14.0-1].
            inner.close = Some(ReasonCode::PACKET_TOO_LARGE);
        }
        drop(inner);
        self.close(ReasonCode::PACKET_TOO_LARGE);
        false
    }

    /// Words that the client wants and that fit into a packet it takes.
    fn words(&self, words: Option<&str>) -> Option<Text> {
        let room = self.packet_bytes.saturating_sub(AROUND_WORDS);
        words.filter(|words| self.problem_information && words.len() <= room).and_then(|words| Text::parse(words).ok())
    }

    /// Appends a SUBACK that says no to all filters, and why.
    pub(crate) fn refuse_subscribe(&self, packet_id: u16, filters: usize, reason: ReasonCode, words: &str) {
        let fits = words.len() + filters + AROUND_WORDS <= self.packet_bytes;
        let properties =
            AckProperties { reason_string: self.words(Some(words).filter(|_| fits)), ..Default::default() };
        self.packet(&Packet::SubAck(SubAck { packet_id, properties, reasons: vec![reason; filters] }));
    }

    /// Appends a message.
    pub(crate) fn message(&self, publish: &EncodedPublish, packet_id: u16, dup: bool) {
        if self.put_message(publish, packet_id, dup) {
            self.wake();
        }
    }

    /// Appends a message; true: the connection's task sleeps and is to be woken, by [`Outbox::wake`], when more has come together.
    #[must_use]
    fn put_message(&self, publish: &EncodedPublish, packet_id: u16, dup: bool) -> bool {
        let mut inner = self.lock();
        if inner.close.is_some() {
            return false;
        }
        publish.write(packet_id, dup, &mut inner.buffer);
        let sleeps = self.sleeps();
        drop(inner);
        self.sent.fetch_add(1, Ordering::Relaxed);
        sleeps
    }

    /// Whether the connection's task sleeps; whoever is told so wakes it, and nobody else. Under the lock.
    fn sleeps(&self) -> bool {
        !self.awake.swap(true, Ordering::Relaxed)
    }

    /// Wakes the connection's task.
    fn wake(&self) {
        self.task.wake();
    }

    /// Has this task woken from now on: the connection's own, before it looks at anything.
    pub(crate) fn wakes(&self, context: &Context<'_>) {
        self.task.register(context.waker());
    }

    /// The connection's task looks into the buffer ([`Outbox::take`]) before it sleeps.
    pub(crate) fn stay_awake(&self) {
        self.awake.store(true, Ordering::Relaxed);
    }

    /// What is to be written next, in exchange for an empty buffer; if there is nothing, what else is to be done.
    pub(crate) fn take(&self, current: &mut BytesMut) -> Next {
        let mut inner = self.lock();
        if !inner.buffer.is_empty() {
            std::mem::swap(current, &mut inner.buffer);
            return Next::Write;
        }
        if inner.close.is_some() {
            return Next::Close;
        }
        if std::mem::take(&mut inner.starved) {
            return Next::Room;
        }
        self.awake.store(false, Ordering::Relaxed);
        // A silent client takes no memory for what it may get one day.
        (*current, inner.buffer) = (BytesMut::new(), BytesMut::new());
        Next::Sleep
    }

    /// The rest, to be written before the end.
    pub(crate) fn take_rest(&self) -> BytesMut {
        self.lock().buffer.split()
    }

    /// Whether more messages may be appended. If not, the writer will report when it has made room.
    pub(crate) fn has_room(&self) -> bool {
        let mut inner = self.lock();
        let room = inner.buffer.len() < self.limit;
        inner.starved |= !room;
        room
    }

    /// Asks the connection to end, telling a 5.0 client why.
    pub(crate) fn close(&self, reason: ReasonCode) {
        self.close_saying(reason, None);
    }

    /// As [`Outbox::close`], in words too.
    pub(crate) fn close_saying(&self, reason: ReasonCode, words: Option<&str>) {
        let mut inner = self.lock();
        if inner.close.is_none() {
            if self.version.is_v5() {
                let properties = DisconnectProperties { reason_string: self.words(words), ..Default::default() };
                // Nothing but checked strings: cannot fail.
                let _ = Packet::Disconnect(Disconnect { reason, properties }).encode(self.version, &mut inner.buffer);
            }
            inner.close = Some(reason);
        }
        drop(inner);
        self.closed.store(true, Ordering::Release);
        self.wake();
    }

    /// As [`Outbox::closing`], at a glance.
    pub(crate) fn is_closed(&self) -> bool {
        self.closed.load(Ordering::Acquire)
    }

    /// The reason given to [`Outbox::close`], if it was called.
    pub(crate) fn closing(&self) -> Option<ReasonCode> {
        self.lock().close
    }

    fn exchanges(&self) -> MutexGuard<'_, Option<Box<Exchanges>>> {
        self.exchanges.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// The session has these messages of the client already, from an earlier connection.
    pub(crate) fn keep_exchanges(&self, packet_ids: impl IntoIterator<Item = (u16, u32)>) {
        let mut packet_ids = packet_ids.into_iter().peekable();
        if packet_ids.peek().is_some() {
            self.exchanges().get_or_insert_default().kept.extend(packet_ids);
        }
    }

    /// The client says PUBLISH with QoS 2, of a message with this mark.
    pub(crate) fn begin_exchange(&self, packet_id: u16, mark: u32) -> Exchange {
        let mut exchanges = self.exchanges();
        let exchanges = exchanges.get_or_insert_default();
        exchanges.refused.retain(|id| *id != packet_id);
        let kept = exchanges.kept.get(&packet_id).is_some_and(|kept| *kept == 0 || *kept == mark);
        let exchange = exchanges.open.entry(packet_id).or_default();
        exchange.times = exchange.times.saturating_add(1);
        exchange.received |= kept;
        *exchange
    }

    /// The broker says PUBREC.
    pub(crate) fn received(&self, packet_id: u16) {
        if let Some(exchange) = self.exchanges().as_mut().and_then(|exchanges| exchanges.open.get_mut(&packet_id)) {
            exchange.received = true;
        }
        self.packet(&Packet::PubRec(Ack::new(packet_id, ReasonCode::SUCCESS)));
    }

    /// The broker says no to a message of QoS > 0, which ends the exchange. MQTT 5.0 [MQTT-4.3.3-9].
    pub(crate) fn refuse(&self, packet_id: u16, qos: QoS, reason: ReasonCode, words: Option<&str>) {
        self.answered();
        let mut ack = Ack::new(packet_id, reason);
        ack.properties.reason_string = self.words(words);
        if qos != QoS::ExactlyOnce {
            return self.packet(&Packet::PubAck(ack));
        }
        let mut guard = self.exchanges();
        let exchanges = guard.get_or_insert_default();
        exchanges.open.remove(&packet_id);
        if exchanges.refused.len() >= REFUSALS {
            exchanges.refused.pop_front();
        }
        exchanges.refused.push_back(packet_id);
        drop(guard);
        self.packet(&Packet::PubRec(ack));
    }

    /// The client says PUBREL, which ends the exchange. False: to this message we said no, so there is nothing to release. A
    /// client that takes our "no" for a "yes" must not hear "yes" now.
    pub(crate) fn release(&self, packet_id: u16) -> bool {
        let mut exchanges = self.exchanges();
        let Some(exchanges) = exchanges.as_mut() else { return true };
        exchanges.kept.remove(&packet_id);
        exchanges.open.remove(&packet_id);
        let refused = exchanges.refused.iter().position(|id| *id == packet_id);
        refused.and_then(|at| exchanges.refused.remove(at)).is_none()
    }

    /// How many QoS 2 exchanges of the client are open on this connection.
    pub(crate) fn open_exchanges(&self) -> usize {
        self.exchanges().as_ref().map_or(0, |exchanges| exchanges.open.len())
    }

    /// Counts an inbound message that awaits its answer; the number of those now open.
    pub(crate) fn question(&self) -> usize {
        self.unanswered.fetch_add(1, Ordering::SeqCst) + 1
    }

    pub(crate) fn unanswered(&self) -> usize {
        self.unanswered.load(Ordering::SeqCst)
    }

    /// An inbound message got its last answer.
    pub(crate) fn answered(&self) {
        let _ = self.unanswered.fetch_update(Ordering::SeqCst, Ordering::SeqCst, |n| Some(n.saturating_sub(1)));
        self.made_room();
    }

    /// Wakes the connection's task if it waits for room or answers.
    pub(crate) fn made_room(&self) {
        if self.waits.load(Ordering::SeqCst) && self.waits.swap(false, Ordering::SeqCst) {
            self.wake();
        }
    }

    /// Whether this holds; if not, [`Outbox::made_room`] wakes. Only for what becomes true with that call or with [`Outbox::close`].
    fn holds(&self, condition: impl Fn(&Self) -> bool) -> bool {
        if condition(self) {
            return true;
        }
        self.waits.store(true, Ordering::SeqCst);
        // It may have become true before we were seen waiting.
        condition(self)
    }

    /// Resolves when this holds: for the connection's own task.
    async fn until(&self, condition: impl Fn(&Self) -> bool) {
        poll_fn(|context| {
            self.wakes(context);
            if self.holds(&condition) { Poll::Ready(()) } else { Poll::Pending }
        })
        .await;
    }

    fn is_readable(&self, quota: usize) -> bool {
        let inner = self.lock();
        // A client of 5.0 knows its quota, and what needs none it may say at any time. MQTT 5.0 [MQTT-4.9.0-3].
        let may_say_more = self.version.is_v5() || self.unanswered() < quota;
        inner.close.is_some() || (inner.buffer.len() < self.limit && may_say_more)
    }

    /// Whether the client reads what it gets and, where it cannot be told a quota, fewer than `quota` of its messages await an answer; or
    /// the connection is to end. Until then nothing more is read from it. If not, the connection's task is woken when it may be so.
    pub(crate) fn may_read(&self, quota: usize) -> bool {
        self.holds(|outbox| outbox.is_readable(quota))
    }

    /// Resolves when [`Outbox::may_read`].
    pub(crate) async fn readable(&self, quota: usize) {
        self.until(|outbox| outbox.is_readable(quota)).await;
    }

    /// Resolves when at most `open` of the client's messages await their answer, or when the connection is to end.
    pub(crate) async fn answered_but(&self, open: usize) {
        self.until(|outbox| outbox.unanswered() <= open || outbox.closing().is_some()).await;
    }
}

/// What the connection's task does next.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Next {
    /// Write what it got.
    Write,
    /// There is room for messages held back: ask for them.
    Room,
    /// End.
    Close,
    /// Sleep until it is woken.
    Sleep,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::line::{TURNS, Writer};
    use tokio::io::{AsyncReadExt, duplex};

    fn answer(outbox: &Arc<Outbox>) -> Wakes {
        let mut wakes = Wakes::default();
        wakes.puback(outbox.clone(), Ack::new(7, ReasonCode::SUCCESS));
        wakes
    }

    #[tokio::test]
    async fn who_has_something_to_write_is_woken_when_its_cause_is_done_or_has_to_wait() {
        for waits in [false, true] {
            let (near, mut far) = duplex(1024);
            let outbox = Arc::new(Outbox::new(Version::V311, 1024, 1024, false));
            let writing = {
                let outbox = outbox.clone();
                let (mut near, mut writer) = (near, Writer::default());
                tokio::spawn(async move {
                    poll_fn(|context| writer.poll(&mut near, &outbox, &mut TURNS.clone(), context)).await
                })
            };
            // It sleeps.
            tokio::task::yield_now().await;
            let cause = async {
                answer(&outbox).leave();
                if waits {
                    std::future::pending::<()>().await;
                }
            };
            let mut got = [0; 4];
            let read = far.read_exact(&mut got);
            let both = async {
                let mut cause = std::pin::pin!(cause);
                let cause = Wakes::after_each_poll(cause.as_mut());
                tokio::select! {
                    biased;
                    () = async { cause.await; std::future::pending().await } => {}
                    read = read => assert_eq!(read.unwrap(), 4),
                }
            };
            tokio::time::timeout(std::time::Duration::from_secs(10), both).await.expect("the writer is woken");
            assert_eq!(got, [0x40, 2, 0, 7]);
            writing.abort();
        }
    }

    #[test]
    fn the_writer_is_woken_by_the_first_of_what_comes_together() {
        let outbox = Arc::new(Outbox::new(Version::V311, 1024, 1024, false));
        let mut wakes = answer(&outbox);
        wakes.append(&mut answer(&outbox));
        assert_eq!(wakes.0.len(), 1);
        assert_eq!(outbox.lock().buffer[..], [0x40, 2, 0, 7, 0x40, 2, 0, 7]);
        wakes.wake();
        assert!(wakes.0.is_empty());
        // Nothing is written to a connection that ends, and nobody woken.
        outbox.close(ReasonCode::UNSPECIFIED);
        assert!(answer(&outbox).0.is_empty());
    }
}
