//! The broker's state and every way it changes. No I/O, no clock, no await: time is handed in with the operations.
//!
//! [`Core::apply`] runs an operation, live (with somebody to answer) or in a replay (without). What follows from it for
//! the outside (events, further operations) is collected in [`Effects`] and dealt with after the lock is released.

use crate::asks::Ask;
use crate::fetch::{AHEAD_BYTES, AWAY_BYTES, Fetch, Fetched};
use crate::frames::{Answer, Op, Published, SessionNo, SessionOp};
use crate::history::{History, Keeping};
use crate::hooks::{ConnectionEvent, DropReason, DropReport, EndReason};
use crate::index::{Index, Matches, Wish};
use crate::message::{Encodings, Message};
use crate::outbox::{Outbox, Wakes};
use crate::past::CatchUp;
use crate::quarantine::{Quarantine, Withheld};
use crate::queue::{Bounds, Entry};
use crate::retained::Retained;
use crate::router::Reply;
use crate::session::{Later, Session, Subscription};
use andon_model::Timestamp;
use andon_model::log::Seq;
use andon_wire::mqtt::{
    Ack, Filter, Packet, QoS, ReasonCode, RetainHandling, SubAck, Text, TopicFilter, TopicName, UnsubAck,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::sync::atomic::Ordering;

/// What is to be done outside the lock.
#[derive(Default)]
pub(crate) struct Effects {
    pub(crate) events: Vec<Told>,
    /// Operations that follow.
    pub(crate) todo: Vec<Op>,
    /// Clients' messages for the mapping hook.
    pub(crate) mapped: Vec<Arc<Message>>,
    /// Messages to be fetched from the log.
    pub(crate) fetches: Vec<Fetch>,
    /// Who has something to write.
    pub(crate) wakes: Wakes,
}

/// What the hooks are told.
pub(crate) enum Told {
    Connection(ConnectionEvent),
    Dropped(DropReport),
}

/// Counters since the start.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct Counters {
    pub(crate) received: u64,
    pub(crate) delivered: u64,
    pub(crate) dropped: u64,
    pub(crate) expired: u64,
    pub(crate) left_out: u64,
    pub(crate) connections: u64,
}

/// By number. The numbers are the broker's own, so a quick hash does.
type Sessions = HashMap<SessionNo, Box<Session>, foldhash::fast::RandomState>;

#[derive(Default)]
pub(crate) struct Core {
    /// What is to be kept of topics, and where.
    pub(crate) keeping: Option<Arc<dyn Keeping>>,
    pub(crate) history: Option<Arc<History>>,
    /// The message that is being handed out is kept.
    keeps: bool,
    pub(crate) sessions: Sessions,
    pub(crate) by_client: HashMap<Text, SessionNo>,
    pub(crate) index: Index,
    pub(crate) retained: Retained,
    pub(crate) quarantine: Quarantine,
    /// The newest message of each `$SYS` topic.
    pub(crate) sys: BTreeMap<TopicName, Arc<Message>>,
    pub(crate) bounds: Bounds,
    /// The latest time any operation of the lane named: what decides whether retained messages have expired.
    pub(crate) lane_time: Timestamp,
    /// The time that the last operation of the lane named, earlier than others where the clock was put back: what intervals of
    /// durable sessions go by, or a clock that was ahead once would silence them until it comes there again.
    pub(crate) lane_now: Timestamp,
    /// The last operation applied from the lane.
    pub(crate) applied: Seq,
    /// When to look after which session again.
    pub(crate) deadlines: BTreeSet<(Timestamp, SessionNo)>,
    /// Whose will is on its way through the log, so that it is not sent there twice.
    pub(crate) wills_under_way: BTreeSet<SessionNo>,
    pub(crate) counters: Counters,
    pub(crate) effects: Effects,
    /// The clock when the lock was taken.
    pub(crate) now: Timestamp,
    /// False while the log is replayed.
    pub(crate) live: bool,
    pub(crate) volatile_sessions: u64,
    /// Whose turn it is in shared subscriptions that leave nothing behind.
    turn: u64,
}

/// Sessions with the subscription that a message matched.
type Targets = Vec<(SessionNo, Wish)>;

/// What becomes of a subscriber's answer.
pub(crate) enum AckEffect {
    Nothing,
    /// Write it into the lane.
    Durable(Answer, u16),
}

/// The subscriber answered what it was not asked.
#[derive(Debug)]
pub(crate) struct WrongAnswer;

impl Core {
    /// Runs an operation. `seq` is its number in the lane, or 0 for sessions that leave nothing there.
    pub(crate) fn apply(&mut self, seq: Seq, op: &Op, reply: Reply) {
        if seq.0 != 0 {
            self.applied = seq;
            if let Some(time) = op.time() {
                (self.lane_now, self.lane_time) = (time, self.lane_time.max(time));
            }
        }
        match op {
            Op::Publish(published) => self.publish(seq, published, reply),
            Op::Session(op) => self.session_op(seq, op, reply),
        }
    }

    fn session_op(&mut self, seq: Seq, op: &SessionOp, reply: Reply) {
        match op {
            SessionOp::Open(open) => self.open(seq, open, reply),
            SessionOp::Gone { session, opened, at, expiry_s, keep_will } => {
                self.gone(*session, *opened, *at, *expiry_s, *keep_will);
            }
            SessionOp::Subscribe { session, id, filters, ask, .. } => {
                self.subscribe(*session, *id, filters, *ask, reply)
            }
            SessionOp::Unsubscribe { session, filters } => self.unsubscribe(*session, filters, reply),
            SessionOp::Acks { session, acks } => {
                acks.iter().for_each(|(answer, id)| self.settle(*session, *answer, *id));
                self.pump(*session, None);
            }
            SessionOp::Released { session, packet_id } => {
                if let Some(session) = self.sessions.get_mut(session) {
                    session.inbound.remove(packet_id);
                }
                if let Reply::Complete(outbox, id) = reply {
                    outbox.packet(&Packet::PubComp(Ack::new(id, ReasonCode::SUCCESS)));
                }
            }
            SessionOp::Ended { session, opened } => {
                let over = |s: &Session| s.opened == *opened && s.gone_at.is_some();
                if self.sessions.get(session).is_some_and(|session| over(session)) {
                    self.remove(*session);
                }
            }
            SessionOp::Due { session, .. } => self.due(*session),
            SessionOp::Withhold(withheld) => self.withhold(seq, withheld, reply),
            SessionOp::LetGo { withheld } => {
                let there = self.quarantine.take(*withheld).map(|_| 0);
                reply.decided(there);
            }
            SessionOp::Release { withheld, message } => {
                if self.quarantine.take(*withheld).is_none() {
                    return reply.decided(None);
                }
                let none = SessionNo::NODE;
                let published = Published { message: message.clone(), publisher: none, packet_id: 0, will_of: none };
                self.publish(seq, &published, reply);
            }
            SessionOp::Limits { messages, bytes } => self.bounds = Bounds { messages: *messages, bytes: *bytes },
        }
    }

    fn publish(&mut self, seq: Seq, published: &Published, reply: Reply) {
        let message = &published.message;
        self.will_published(published.will_of);
        let new = self.is_new(published.publisher, published.packet_id, message);
        // The publisher may be a subscriber too. It gets PUBREC before its own message, and PUBACK after it, as other
        // brokers do, for PUBACK says how many others there were.
        if let Reply::Publish(outbox, id, QoS::ExactlyOnce) = &reply {
            outbox.answered();
            outbox.received(*id);
        }
        let reached = if new {
            if message.retain {
                self.retained.set(message);
            }
            if self.live && message.publisher.is_some() {
                self.effects.mapped.push(message.clone());
            }
            self.keeps = self.keep(seq, message);
            let reached = self.route(seq, message, published.publisher);
            self.keeps = false;
            reached
        } else {
            0
        };
        match reply {
            Reply::Publish(outbox, id, QoS::AtLeastOnce) => {
                let reason = if reached == 0 { ReasonCode::NO_MATCHING_SUBSCRIBERS } else { ReasonCode::SUCCESS };
                outbox.answered();
                self.effects.wakes.puback(outbox, Ack::new(id, reason));
            }
            // Nobody waits any more: fine.
            Reply::Done(done) => drop(done.send(Ok(reached))),
            reply => reply.decided(Some(reached)),
        }
    }

    /// A message came; if it is the will of a session, that has none any more.
    fn will_published(&mut self, will_of: SessionNo) {
        self.counters.received += 1;
        self.wills_under_way.remove(&will_of);
        if let Some(session) = self.sessions.get_mut(&will_of).filter(|s| s.gone_at.is_some()) {
            session.will = None;
        }
    }

    /// False: a repetition over another connection; on the same one the connection itself notices. Another content is another
    /// message: of a client that came back without its memory.
    fn is_new(&mut self, publisher: SessionNo, packet_id: u16, message: &Message) -> bool {
        packet_id == 0
            || !publisher.is_durable()
            || self.sessions.get_mut(&publisher).is_none_or(|session| {
                let mark = message.mark();
                let before = session.inbound.insert(packet_id, mark);
                before.is_none_or(|before| before != 0 && before != mark)
            })
    }

    /// Keeps a message from everybody. Who published it hears that it was accepted, and with QoS 1 that nobody got it.
    fn withhold(&mut self, seq: Seq, withheld: &Withheld, reply: Reply) {
        self.will_published(withheld.will_of);
        if self.is_new(withheld.publisher, withheld.packet_id, &withheld.message) {
            self.quarantine.put(seq.0, Arc::new(withheld.clone()));
        }
        match reply {
            Reply::Publish(outbox, id, QoS::ExactlyOnce) => {
                outbox.answered();
                outbox.received(id);
            }
            Reply::Publish(outbox, id, _) => {
                outbox.answered();
                outbox.packet(&Packet::PubAck(Ack::new(id, ReasonCode::NO_MATCHING_SUBSCRIBERS)));
            }
            Reply::Done(done) => drop(done.send(Ok(0))),
            _ => {}
        }
    }

    /// Gives a message to be kept, if a rule says so.
    fn keep(&self, seq: Seq, message: &Arc<Message>) -> bool {
        let (Some(keeping), Some(history)) = (&self.keeping, &self.history) else { return false };
        if message.topic.is_server_owned() {
            return false;
        }
        let Some(keep) = keeping.of(message.topic.as_str()) else { return false };
        history.offer(seq, keep, message);
        true
    }

    /// Hands a message to everybody who subscribed; how many sessions have a matching subscription.
    ///
    /// One that is not in the lane (`seq` is 0) leaves nothing in a durable session either, for a replay would not know it: such a
    /// session gets it with QoS 0, or not at all while its client is away.
    pub(crate) fn route(&mut self, seq: Seq, message: &Arc<Message>, publisher: SessionNo) -> usize {
        self.turn = self.turn.wrapping_add(1);
        let (plain, shared) = self.targets(seq, message);
        let mut encodings = Encodings::new(message, self.now);
        let mut reached = 0;
        let mut rest = plain.as_slice();
        while let Some((session, _)) = rest.first() {
            let (same, others) = rest.split_at(rest.iter().take_while(|(s, _)| s == session).count());
            rest = others;
            // Somebody who does not want back what it published itself is a matching subscriber all the same.
            reached += 1;
            let wishes = same.iter().map(|(_, wish)| wish).filter(|w| !(w.no_local && publisher == *session));
            if let Some((wish, ids)) = merge(wishes) {
                let wish = self.leaving_nothing(seq, *session, wish, message);
                if self.keeps && self.past_takes(*session, message, wish.qos.min(message.qos)) {
                    continue;
                }
                self.deliver(*session, &mut encodings, seq, wish, wish.retain_as_published && message.retain, ids);
            }
        }
        for (session, wish) in shared {
            if let Some((wish, ids)) = merge(std::iter::once(&wish)) {
                let wish = self.leaving_nothing(seq, session, wish, message);
                self.deliver(session, &mut encodings, seq, wish, wish.retain_as_published && message.retain, ids);
                reached += 1;
            }
        }
        reached
    }

    /// What a session gets of a message that is not in the lane.
    fn leaving_nothing(&mut self, seq: Seq, number: SessionNo, wish: Wish, message: &Message) -> Wish {
        let waits = wish.qos != QoS::AtMostOnce && message.qos != QoS::AtMostOnce;
        if seq.0 != 0 || !number.is_durable() || !waits {
            return wish;
        }
        if let Some(session) = self.sessions.get_mut(&number).filter(|session| session.link.is_none()) {
            session.queue.dropped += 1;
            self.counters.dropped += 1;
        }
        Wish { qos: QoS::AtMostOnce, ..wish }
    }

    /// Matching subscriptions, sorted by session, and one member of each matching group.
    fn targets(&self, seq: Seq, message: &Message) -> (Targets, Targets) {
        let mut matches = Matches::default();
        self.index.matching(message.topic.as_str(), &mut matches);
        let shared = matches.shared.iter().filter_map(|members| self.pick(members, seq, message)).collect();
        let mut plain = matches.plain;
        plain.sort_by_key(|(session, _)| *session);
        (plain, shared)
    }

    /// The member of a shared subscription that gets the message.
    ///
    /// Where the message would wait in a durable session, the choice must come out the same in a replay. So it is made
    /// among the durable members alone, by what the lane says: those connected first, in turn by sequence number.
    fn pick(&self, members: &BTreeMap<SessionNo, Wish>, seq: Seq, message: &Message) -> Option<(SessionNo, Wish)> {
        let keeps = |session: &SessionNo, wish: &Wish| {
            seq.0 != 0 && session.is_durable() && wish.qos != QoS::AtMostOnce && message.qos != QoS::AtMostOnce
        };
        let durable: Vec<_> = members.iter().filter(|(s, w)| keeps(s, w)).collect();
        let (mut eligible, turn) = if durable.is_empty() {
            let linked = |s: &SessionNo| self.sessions.get(s).is_some_and(|s| s.link.is_some());
            (members.iter().filter(|(s, _)| linked(s)).collect::<Vec<_>>(), self.turn)
        } else {
            (durable, seq.0)
        };
        let here = |s: &SessionNo| self.sessions.get(s).is_some_and(|s| s.gone_at.is_none());
        if eligible.iter().any(|(s, _)| here(s)) {
            eligible.retain(|(s, _)| here(s));
        }
        let at = usize::try_from(turn % (eligible.len().max(1) as u64)).unwrap_or(0);
        eligible.get(at).map(|(session, wish)| (**session, **wish))
    }

    fn deliver(
        &mut self,
        number: SessionNo,
        encodings: &mut Encodings<'_>,
        seq: Seq,
        wish: Wish,
        retain: bool,
        ids: Box<[u32]>,
    ) {
        let message = encodings.message();
        let (qos, extra) = (wish.qos.min(message.qos), wish.ask.extra());
        let Some(session) = self.sessions.get(&number) else { return };
        let link = session.link.as_ref();
        let sifts = wish.ask.deliver.is_lossy() || session.sieve.is_some() || link.is_some_and(|l| l.sieve.is_some());
        if qos == QoS::AtMostOnce && !sifts {
            self.deliver_now(number, encodings, Later { message: message.clone(), retain, ids, extra }, false);
            return;
        }
        // What is written at once is nowhere else to wait.
        let seq = if qos == QoS::AtMostOnce { Seq(0) } else { seq };
        let mut entry = Entry::new(message, seq, qos, retain, ids, extra);
        if sifts {
            let Some(passed) = self.sift(number, wish.ask.deliver, entry) else { return };
            entry = passed;
        }
        let goes = if qos == QoS::AtMostOnce {
            let Entry { retain, ids, extra, .. } = entry;
            self.deliver_now(number, encodings, Later { message: message.clone(), retain, ids, extra }, false)
        } else {
            self.queue_up(number, encodings, entry)
        };
        if sifts && !goes {
            self.not_sent(number, qos, &message.topic);
        }
    }

    /// QoS 1 and 2: into the session's queue; false: it was dropped.
    fn queue_up(&mut self, number: SessionNo, encodings: &mut Encodings<'_>, entry: Entry) -> bool {
        let (bounds, live, message) = (self.bounds, self.live, encodings.message());
        let Some(session) = self.sessions.get_mut(&number) else { return false };
        if session.queue.push(entry, bounds) {
            // What stands behind others is sent when these move on.
            if session.queue.backlog().is_some() {
                return true;
            }
            self.pump(number, Some(encodings));
            if let Some(session) = self.sessions.get_mut(&number) {
                session.queue.let_go_beyond(if session.link.is_some() { AHEAD_BYTES } else { AWAY_BYTES });
            }
            return true;
        }
        self.counters.dropped += 1;
        if live && !std::mem::replace(&mut session.queue.full, true) {
            let report = drop_report(session, DropReason::QueueFull, message.topic.as_str());
            self.effects.events.push(Told::Dropped(report));
        }
        false
    }

    /// QoS 0: written to the connection if there is one with room. `owed`: a retained message for a new subscription,
    /// which waits for room instead of being dropped. False: it is not sent.
    fn deliver_now(&mut self, number: SessionNo, encodings: &mut Encodings<'_>, later: Later, owed: bool) -> bool {
        let (most, is_kept) = (usize::try_from(self.bounds.messages).unwrap_or(usize::MAX), self.keeps);
        let Some(session) = self.sessions.get_mut(&number) else { return false };
        let Some(link) = &mut session.link else { return false };
        let room = link.outbox.has_room();
        let (mut later, mut is_full) = (later, false);
        let behind = |catch_up: &&mut Box<_>| CatchUp::goes_before(catch_up, later.message.topic.as_str(), is_kept);
        if let Some(catch_up) = link.catch_up.as_mut().filter(behind) {
            match catch_up.put_behind(later) {
                Ok(()) => return true,
                Err(back) => (later, is_full) = (back, true),
            }
        }
        let waits = is_full || !link.later.is_empty() || (owed && !room);
        if waits && !is_full && link.later.len() < most {
            link.later.push_back(later);
            return true;
        }
        if room && !waits {
            if let Some(bytes) = link.encode(encodings, QoS::AtMostOnce, later.retain, &later.ids, later.extra) {
                self.effects.wakes.message(&link.outbox, &bytes, 0, false);
                link.slow = false;
                self.counters.delivered += 1;
                return true;
            }
            link.dropped += 1;
            self.counters.dropped += 1;
        } else {
            link.dropped += 1;
            self.counters.dropped += 1;
            if !std::mem::replace(&mut link.slow, true) {
                let report = drop_report(session, DropReason::SlowReader, later.message.topic.as_str());
                self.effects.events.push(Told::Dropped(report));
            }
        }
        false
    }

    /// Sends what window and room allow.
    pub(crate) fn pump(&mut self, number: SessionNo, mut encodings: Option<&mut Encodings<'_>>) {
        self.pump_later(number);
        self.pump_sieve(number);
        let (now, bounds) = (self.now, self.bounds);
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let Some(link) = &mut session.link else { return };
        if let Some(catch_up) = &link.catch_up {
            catch_up.wake.notify_one();
            if catch_up.follows {
                return;
            }
        }
        let mut given_up = Vec::new();
        while link.in_flight < link.window && link.outbox.has_room() {
            let Some((order, entry)) = session.queue.next_from(link.cursor) else { break };
            if entry.answered || entry.sent {
                link.cursor = order + 1;
                continue;
            }
            if entry.released {
                link.outbox.packet(&Packet::PubRel(Ack::new(entry.packet_id, ReasonCode::SUCCESS)));
            } else {
                let Some(message) = &entry.message else {
                    if !std::mem::replace(&mut link.fetching, true) {
                        let (connection, principal) = (link.connection, link.principal.clone());
                        let seqs = session.queue.missing(order, AHEAD_BYTES);
                        self.effects.fetches.push(Fetch { session: number, connection, principal, seqs });
                    }
                    break;
                };
                // An exchange that has begun is brought to its end. MQTT 5.0 [MQTT-4.3.3-7].
                let begun = entry.maybe_sent && entry.qos == QoS::ExactlyOnce;
                let bytes = if !begun && message.is_expired(now) {
                    self.counters.expired += 1;
                    None
                } else if link.denied.contains(&message.topic) {
                    self.counters.dropped += 1;
                    None
                } else {
                    let Entry { qos, retain, ids, extra, .. } = &*entry;
                    match encodings.as_mut().filter(|e| e.is_of(message)) {
                        Some(cache) => link.encode(cache, *qos, *retain, ids, *extra),
                        None => link.encode(&mut Encodings::new(message, now), *qos, *retain, ids, *extra),
                    }
                };
                let Some(bytes) = bytes else {
                    // Expired, too large for this client, or not for it any more: it counts as answered. MQTT 5.0 [MQTT-3.1.2-25].
                    entry.answered = true;
                    given_up.push((Answer::Done, entry.packet_id));
                    continue;
                };
                self.effects.wakes.message(&link.outbox, &bytes, entry.packet_id, entry.maybe_sent);
                self.counters.delivered += 1;
            }
            session.queue.sent(order);
            link.cursor = order + 1;
            link.in_flight += 1;
        }
        if session.queue.full && session.queue.is_relaxed(bounds) {
            session.queue.full = false;
        }
        self.give_up(number, given_up);
        self.look_for_due(number);
    }

    fn give_up(&mut self, session: SessionNo, acks: Vec<(Answer, u16)>) {
        if acks.is_empty() {
            return;
        }
        if session.is_durable() {
            self.effects.todo.push(Op::Session(SessionOp::Acks { session, acks }));
        } else {
            acks.iter().for_each(|(answer, id)| self.settle(session, *answer, *id));
            self.pump(session, None);
        }
    }

    /// Whether the connection is still there for which messages are to be fetched.
    pub(crate) fn awaits(&self, number: SessionNo, connection: u64) -> bool {
        let link = self.sessions.get(&number).and_then(|session| session.link.as_ref());
        link.is_some_and(|link| link.connection == connection)
    }

    /// Messages that a connection waits for came from the log.
    pub(crate) fn fetched(&mut self, number: SessionNo, connection: u64, asked: &[Seq], fetched: &Fetched) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let Some(link) = session.link.as_mut().filter(|link| link.connection == connection) else { return };
        link.fetching = false;
        let Fetched { found, denied } = fetched;
        session.queue.found(|seq| found.get(&seq).filter(|_| !denied.contains(&seq)).cloned());
        let mut given_up = session.queue.give_up(|seq| denied.contains(&seq));
        let lost = session.queue.give_up(|seq| asked.contains(&seq) && !found.contains_key(&seq));
        if !lost.is_empty() {
            session.queue.dropped += lost.len() as u64;
            let report = drop_report(session, DropReason::Unreadable, "");
            self.effects.events.push(Told::Dropped(report));
        }
        given_up.extend(lost);
        self.counters.dropped += given_up.len() as u64;
        self.give_up(number, given_up.into_iter().map(|id| (Answer::Done, id)).collect());
        self.pump(number, None);
    }

    /// The log could not be read just now: the connection ends, and the next one tries again.
    pub(crate) fn not_fetched(&self, number: SessionNo, connection: u64) {
        let link = self.sessions.get(&number).and_then(|session| session.link.as_ref());
        if let Some(link) = link.filter(|link| link.connection == connection) {
            link.outbox.close(ReasonCode::UNSPECIFIED);
        }
    }

    /// Which messages up to `last` wait in the log, and for whom.
    pub(crate) fn waiting_up_to(&self, last: Seq) -> Vec<(SessionNo, Vec<Seq>)> {
        let sessions = self.sessions.iter().filter(|(_, session)| session.oldest().is_some_and(|seq| seq <= last));
        sessions.map(|(number, session)| (*number, session.up_to(last))).collect()
    }

    /// Keeps messages in memory that the log is about to free.
    pub(crate) fn hold(&mut self, number: SessionNo, found: &HashMap<Seq, Arc<Message>>) {
        if let Some(session) = self.sessions.get_mut(&number) {
            session.queue.hold(|seq| found.get(&seq).cloned());
            session.sieve.iter_mut().for_each(|sieve| sieve.hold(|seq| found.get(&seq).cloned()));
        }
    }

    /// The first message that a session waits for in the log.
    pub(crate) fn oldest(&self) -> Option<Seq> {
        self.sessions.values().filter_map(|session| session.oldest()).min()
    }

    /// Sends what new subscriptions are still owed.
    fn pump_later(&mut self, number: SessionNo) {
        let Some(link) = self.sessions.get_mut(&number).and_then(|s| s.link.as_mut()) else { return };
        while !link.later.is_empty() && link.outbox.has_room() {
            let Some(later) = link.later.pop_front() else { return };
            if later.message.is_expired(self.now) {
                self.counters.expired += 1;
                continue;
            }
            let mut encodings = Encodings::new(&later.message, self.now);
            if let Some(bytes) = link.encode(&mut encodings, QoS::AtMostOnce, later.retain, &later.ids, later.extra) {
                self.effects.wakes.message(&link.outbox, &bytes, 0, false);
                self.counters.delivered += 1;
            }
        }
    }

    /// Takes a subscriber's answer off the connection, before it is durable: the window moves on at once.
    pub(crate) fn answer(
        &mut self,
        number: SessionNo,
        connection: u64,
        ack: &Packet,
    ) -> Result<AckEffect, WrongAnswer> {
        let Some(session) = self.sessions.get_mut(&number) else { return Ok(AckEffect::Nothing) };
        let Some(link) = session.link.as_mut().filter(|l| l.connection == connection) else {
            return Ok(AckEffect::Nothing);
        };
        let (Packet::PubAck(body) | Packet::PubRec(body) | Packet::PubComp(body)) = ack else {
            return Ok(AckEffect::Nothing);
        };
        let id = body.packet_id;
        let release = |outbox: &Outbox| outbox.packet(&Packet::PubRel(Ack::new(id, ReasonCode::SUCCESS)));
        let Some(entry) = session.queue.get_mut(id).filter(|e| e.sent) else {
            // Not ours: a leftover of an earlier session. The client may wait for PUBREL, so it gets one.
            if matches!(ack, Packet::PubRec(a) if a.reason.is_success()) {
                release(&link.outbox);
            }
            return Ok(AckEffect::Nothing);
        };
        let answer = match ack {
            Packet::PubAck(_) if entry.qos == QoS::AtLeastOnce => Answer::Done,
            Packet::PubRec(a) if entry.qos == QoS::ExactlyOnce && !a.reason.is_success() => Answer::Done,
            Packet::PubRec(_) if entry.qos == QoS::ExactlyOnce => Answer::Received,
            Packet::PubComp(_) if entry.qos == QoS::ExactlyOnce && entry.released => Answer::Done,
            _ => return Err(WrongAnswer),
        };
        match answer {
            Answer::Received if entry.released => {
                release(&link.outbox);
                return Ok(AckEffect::Nothing);
            }
            Answer::Received if entry.received => return Ok(AckEffect::Nothing),
            Answer::Received => entry.received = true,
            Answer::Done if entry.answered => return Ok(AckEffect::Nothing),
            Answer::Done => {
                entry.answered = true;
                link.in_flight = link.in_flight.saturating_sub(1);
            }
        }
        if number.is_durable() {
            if answer == Answer::Done {
                self.pump(number, None);
            }
            return Ok(AckEffect::Durable(answer, id));
        }
        self.settle(number, answer, id);
        self.pump(number, None);
        Ok(AckEffect::Nothing)
    }

    /// The answer holds: the message leaves the queue, or its PUBREL goes out.
    fn settle(&mut self, number: SessionNo, answer: Answer, id: u16) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        match answer {
            Answer::Done => {
                let Some(entry) = session.queue.done(id) else { return };
                // Sent again on a new connection before the answer from the old one was applied.
                if let Some(link) = session.link.as_mut().filter(|_| entry.sent && !entry.answered) {
                    link.in_flight = link.in_flight.saturating_sub(1);
                }
                self.let_in(number);
            }
            Answer::Received => {
                let Some(entry) = session.queue.get_mut(id) else { return };
                entry.released = true;
                if let Some(link) = session.link.as_ref().filter(|_| entry.received) {
                    link.outbox.packet(&Packet::PubRel(Ack::new(id, ReasonCode::SUCCESS)));
                }
            }
        }
    }

    fn subscribe(&mut self, number: SessionNo, id: u32, filters: &[Filter], ask: Ask, reply: Reply) {
        if let Reply::SubAck(outbox, packet_id, reasons, begin) = reply {
            outbox.packet(&Packet::SubAck(SubAck { packet_id, properties: Default::default(), reasons }));
            // The task that reads it hears when it may begin; if it does not, its connection is over.
            let _ = begin.is_some_and(|begin| self.begin_past(number, *begin));
        }
        for filter in filters {
            let Some(session) = self.sessions.get_mut(&number) else { return };
            // What asks for the same is the same subscription.
            let before = session.subscriptions.get(&filter.filter).filter(|before| before.ask == ask);
            let left_out = before.map_or(0, |before| before.left_out);
            session
                .subscriptions
                .insert(filter.filter.clone(), Subscription { filter: filter.clone(), id, ask, left_out });
            let wish = Wish::new(filter, id, ask);
            let new = self.index.insert(&filter.filter, number, wish);
            let wanted = match filter.retain_handling {
                RetainHandling::Send => true,
                RetainHandling::SendIfNew => new,
                RetainHandling::DoNotSend => false,
            };
            if wanted && filter.filter.share_group().is_none() {
                self.send_retained(number, &filter.filter, wish);
            }
        }
    }

    fn send_retained(&mut self, number: SessionNo, filter: &TopicFilter, wish: Wish) {
        // What a durable session gets must not depend on anything but the lane.
        let now = if number.is_durable() { self.lane_time } else { self.now };
        let mut messages = self.retained.matching(filter, now);
        if filter.pattern().starts_with('$') {
            messages.extend(self.sys.values().filter(|m| filter.matches(m.topic.as_str())).cloned());
        }
        let ids: Box<[u32]> = if wish.id == 0 { Box::default() } else { Box::new([wish.id]) };
        // Not even later does a client get its own back if it does not want it. MQTT 5.0 [MQTT-3.8.3-3].
        let client = self.sessions.get(&number).map(|s| s.client_id.clone());
        messages.retain(|m| !(wish.no_local && m.publisher == client));
        for message in &messages {
            let mut encodings = Encodings::new(message, self.now);
            if wish.qos.min(message.qos) == QoS::AtMostOnce {
                let later = Later { message: message.clone(), retain: true, ids: ids.clone(), extra: wish.ask.extra() };
                if !message.is_expired(self.now) {
                    self.deliver_now(number, &mut encodings, later, true);
                }
            } else {
                let qos = wish.qos.min(message.qos);
                let entry = Entry::new(message, Seq(0), qos, true, ids.clone(), wish.ask.extra());
                self.queue_up(number, &mut encodings, entry);
            }
        }
    }

    fn unsubscribe(&mut self, number: SessionNo, filters: &[TopicFilter], reply: Reply) {
        let mut reasons = Vec::with_capacity(filters.len());
        for filter in filters {
            let had = self.sessions.get_mut(&number).is_some_and(|s| s.subscriptions.remove(filter).is_some());
            if had {
                self.index.remove(filter, number);
            }
            self.past_without(number, filter);
            reasons.push(if had { ReasonCode::SUCCESS } else { ReasonCode::NO_SUBSCRIPTION_EXISTED });
        }
        match reply {
            Reply::UnsubAck(outbox, packet_id) => {
                outbox.packet(&Packet::UnsubAck(UnsubAck { packet_id, properties: Default::default(), reasons }));
            }
            Reply::Done(done) => drop(done.send(Ok(reasons.len()))),
            _ => {}
        }
    }

    /// The connection `connection` of a session is over: what is not durable goes at once, the rest is written down.
    pub(crate) fn detach(
        &mut self,
        number: SessionNo,
        connection: u64,
        end: EndReason,
        keep_will: bool,
        expiry: Option<u32>,
    ) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let Some(link) = session.link.take_if(|l| l.connection == connection) else { return };
        session.since = self.now;
        let (opened, at) = (session.opened, self.now);
        if !keep_will && !number.is_durable() {
            session.will = None;
        }
        session.queue.let_go_beyond(AWAY_BYTES);
        session.sieve.iter_mut().for_each(|sieve| sieve.let_go());
        self.effects.events.push(went(&session.client_id, &link.principal, link.address, end));
        if number.is_durable() {
            let gone = SessionOp::Gone { session: number, opened, at, expiry_s: expiry, keep_will };
            self.effects.todo.push(Op::Session(gone));
        } else {
            self.remove(number);
        }
    }

    fn gone(&mut self, number: SessionNo, opened: u64, at: Timestamp, expiry_s: Option<u32>, keep_will: bool) {
        let Some(session) = self.sessions.get_mut(&number).filter(|s| s.opened == opened) else { return };
        session.gone_at = Some(at);
        session.queue.suspect_sent(false);
        session.since = at;
        session.expiry_s = expiry_s.unwrap_or(session.expiry_s);
        if !keep_will {
            session.will = None;
            self.wills_under_way.remove(&number);
        }
        if session.expiry_s == 0 {
            self.remove(number);
            return;
        }
        let due = [session.will_at(), session.expires_at()];
        self.deadlines.extend(due.into_iter().flatten().map(|at| (at, number)));
        if self.live {
            self.look_after(number);
        }
    }

    /// Deals with every session whose will or end is due.
    pub(crate) fn keep_house(&mut self) {
        while let Some((at, number)) = self.deadlines.first().copied().filter(|(at, _)| *at <= self.now) {
            self.deadlines.remove(&(at, number));
            self.look_after(number);
        }
        self.retained.purge(self.lane_time);
    }

    fn look_after(&mut self, number: SessionNo) {
        let Some(session) = self.sessions.get(&number) else { return };
        if let Some(will) = session.will.as_ref().filter(|_| session.will_at().is_some_and(|at| at <= self.now))
            && self.wills_under_way.insert(number)
        {
            let message =
                Arc::new(Message::from_will(will, session.client_id.clone(), session.principal.clone(), self.now));
            self.effects.todo.push(Op::Publish(Published {
                message,
                publisher: number,
                packet_id: 0,
                will_of: number,
            }));
        }
        if session.expires_at().is_some_and(|at| at <= self.now) {
            let ended = SessionOp::Ended { session: number, opened: session.opened };
            self.effects.todo.push(Op::Session(ended));
        }
        self.tend(number);
    }

    /// What writes down that the will of a session is not to be published any more; `None`: nothing is to be written down.
    pub(crate) fn without_will(&self, number: SessionNo) -> Option<SessionOp> {
        let session = self.sessions.get(&number).filter(|_| number.is_durable())?;
        let (opened, at) = (session.opened, session.gone_at?);
        Some(SessionOp::Gone { session: number, opened, at, expiry_s: None, keep_will: false })
    }

    /// Forgets a session. A will that is still to be published is published now: the session ends.
    pub(crate) fn remove(&mut self, number: SessionNo) {
        let Some(mut session) = self.sessions.remove(&number) else { return };
        session.subscriptions.keys().for_each(|filter| self.index.remove(filter, number));
        if self.by_client.get(&session.client_id) == Some(&number) {
            self.by_client.remove(&session.client_id);
        }
        let under_way = self.wills_under_way.remove(&number);
        if let Some(will) = session.will.take().filter(|_| self.live && !under_way) {
            let message =
                Arc::new(Message::from_will(&will, session.client_id.clone(), session.principal.clone(), self.now));
            self.effects.todo.push(Op::Publish(Published {
                message,
                publisher: number,
                packet_id: 0,
                will_of: SessionNo::NODE,
            }));
        }
    }

    /// Hands a command to those connected now, at once, and keeps nothing of it; how many they were.
    pub(crate) fn send_command(&mut self, message: &Arc<Message>) -> usize {
        self.turn = self.turn.wrapping_add(1);
        let (plain, shared) = self.targets(Seq(0), message);
        let mut targets: BTreeMap<SessionNo, Vec<Wish>> = BTreeMap::new();
        plain.into_iter().chain(shared).for_each(|(s, wish)| targets.entry(s).or_default().push(wish));
        let mut encodings = Encodings::new(message, self.now);
        let mut reached = 0;
        for (number, wishes) in targets {
            let Some(link) = self.sessions.get_mut(&number).and_then(|s| s.link.as_mut()) else { continue };
            let Some((wish, ids)) = merge(wishes.iter()) else { continue };
            if link.outbox.has_room()
                && let Some(bytes) = link.encode(&mut encodings, QoS::AtMostOnce, false, &ids, wish.ask.extra())
            {
                link.outbox.message(&bytes, 0, false);
                self.counters.delivered += 1;
                reached += 1;
            }
        }
        reached
    }

    /// How many messages a connection has received and sent.
    pub(crate) fn traffic(session: &Session) -> (u64, u64) {
        session.link.as_ref().map_or((0, 0), |link| {
            (link.outbox.received.load(Ordering::Relaxed), link.outbox.sent.load(Ordering::Relaxed))
        })
    }
}

/// Overlapping subscriptions of one client make one delivery: the highest QoS, every identifier. `None`: none at all.
/// MQTT 5.0 §3.3.4.
pub(crate) fn merge<'a>(wishes: impl Iterator<Item = &'a Wish>) -> Option<(Wish, Box<[u32]>)> {
    let mut ids = Vec::new();
    let mut merged: Option<Wish> = None;
    for wish in wishes {
        if wish.id != 0 {
            ids.push(wish.id);
        }
        let so_far = merged.get_or_insert(*wish);
        so_far.qos = so_far.qos.max(wish.qos);
        so_far.retain_as_published |= wish.retain_as_published;
        so_far.ask = so_far.ask.with(wish.ask);
    }
    merged.map(|wish| (wish, ids.into_boxed_slice()))
}

fn drop_report(session: &Session, reason: DropReason, topic: &str) -> DropReport {
    DropReport {
        client_id: session.client_id.as_str().to_owned(),
        reason,
        topic: topic.to_owned(),
        dropped: session.queue.dropped + session.link.as_ref().map_or(0, |l| l.dropped),
    }
}

/// The event of a connection that ended.
pub(crate) fn went(
    client_id: &Text,
    principal: &andon_model::access::Principal,
    address: std::net::SocketAddr,
    end: EndReason,
) -> Told {
    Told::Connection(ConnectionEvent {
        client_id: client_id.as_str().to_owned(),
        connected: false,
        reason: Some(end),
        principal: principal.clone(),
        address,
    })
}

#[cfg(test)]
mod tests;
