//! What subscriptions asked to be spared, where messages are handed out: who waits, and who is let in when.

use crate::asks::Deliver;
use crate::core::Core;
use crate::fetch::AHEAD_BYTES;
use crate::frames::{Op, SessionNo, SessionOp};
use crate::message::Encodings;
use crate::queue::Entry;
use andon_wire::mqtt::{QoS, TopicName};
use std::time::Duration;

/// How long the lane is waited for before it is asked again to let in what is due.
const ASK_AGAIN: Duration = Duration::from_secs(1);

impl Core {
    /// The message as it goes on its way; `None`: it waits for its turn, or is left out.
    pub(crate) fn sift(&mut self, number: SessionNo, deliver: Deliver, entry: Entry) -> Option<Entry> {
        let (now, lane_now) = (self.now, self.lane_now);
        let session = self.sessions.get_mut(&number)?;
        let topic = entry.message.as_ref()?.topic.clone();
        let offered = if entry.qos == QoS::AtMostOnce {
            let link = session.link.as_mut()?;
            if !deliver.is_lossy() && link.sieve.is_none() {
                return Some(entry);
            }
            let room = link.outbox.has_room() && link.is_free();
            let sieve = link.sieve.get_or_insert_default();
            let offered = sieve.offer(deliver, entry, now, room, 0);
            link.sieve.take_if(|sieve| sieve.is_empty());
            offered
        } else {
            if !deliver.is_lossy() && session.sieve.is_none() {
                return Some(entry);
            }
            let (room, spare) = (session.has_room(), if session.link.is_some() { AHEAD_BYTES } else { 0 });
            // What a durable session gets must not depend on anything but the lane.
            let now = if number.is_durable() { lane_now } else { now };
            let sieve = session.sieve.get_or_insert_default();
            let offered = sieve.offer(deliver, entry, now, room, spare);
            session.sieve.take_if(|sieve| sieve.is_empty());
            offered
        };
        if offered.left_out {
            self.count_left_out(number, &topic);
        }
        if offered.pass.is_none() {
            self.look_for_due(number);
        }
        offered.pass
    }

    /// What was to pass was dropped: nothing is told from it.
    pub(crate) fn not_sent(&mut self, number: SessionNo, qos: QoS, topic: &TopicName) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let sieve = if qos == QoS::AtMostOnce {
            session.link.as_mut().map(|link| &mut link.sieve)
        } else {
            Some(&mut session.sieve)
        };
        if let Some(sieve) = sieve {
            sieve.iter_mut().for_each(|sieve| sieve.forget(topic));
            sieve.take_if(|sieve| sieve.is_empty());
        }
    }

    fn count_left_out(&mut self, number: SessionNo, topic: &TopicName) {
        if !self.live {
            return;
        }
        self.counters.left_out += 1;
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let lossy = session.subscriptions.values_mut().filter(|own| own.ask.deliver.is_lossy());
        lossy.filter(|own| own.filter.filter.matches(topic.as_str())).for_each(|own| own.left_out += 1);
    }

    /// Lets into the queue what waits for room there and whose time has come.
    pub(crate) fn let_in(&mut self, number: SessionNo) {
        let bounds = self.bounds;
        let now = if number.is_durable() { self.lane_now } else { self.now };
        let Some(session) = self.sessions.get_mut(&number).filter(|session| session.sieve.is_some()) else { return };
        while session.has_room() {
            let Some((topic, entry)) = session.sieve.as_mut().and_then(|sieve| sieve.next(now)) else { break };
            if !session.queue.push(entry, bounds) {
                self.counters.dropped += 1;
                session.sieve.iter_mut().for_each(|sieve| sieve.forget(&topic));
            }
        }
        session.sieve.take_if(|sieve| sieve.is_empty());
    }

    /// The time of what waits in a durable session has come, as the lane says.
    pub(crate) fn due(&mut self, number: SessionNo) {
        if let Some(session) = self.sessions.get_mut(&number) {
            session.due_asked = andon_model::Timestamp::default();
        }
        self.let_in(number);
        self.pump(number, None);
    }

    /// Sees to it that what waits is let go when its time comes.
    pub(crate) fn look_for_due(&mut self, number: SessionNo) {
        let now = self.now;
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let Some(link) = session.link.as_ref().filter(|_| self.live) else { return };
        let written = link.sieve.as_ref().and_then(|sieve| sieve.first_due()).filter(|due| *due > now);
        self.deadlines.extend(written.map(|due| (due, number)));
        let Some(due) = session.sieve.as_ref().and_then(|sieve| sieve.first_due()) else { return };
        if !session.has_room() {
            // What makes room lets it in.
        } else if due > now {
            self.deadlines.insert((due, number));
        } else if number.is_durable() && now.since(session.due_asked) >= ASK_AGAIN {
            session.due_asked = now;
            self.effects.todo.push(Op::Session(SessionOp::Due { session: number, at: now }));
            self.deadlines.insert((now.plus(ASK_AGAIN), number));
        }
    }

    /// A time has come for which something may wait.
    pub(crate) fn tend(&mut self, number: SessionNo) {
        let waits = |number| {
            let session = self.sessions.get(&number)?;
            let link = session.link.as_ref()?;
            Some(session.sieve.is_some() || link.sieve.is_some())
        };
        if waits(number).unwrap_or(false) {
            if !number.is_durable() {
                self.let_in(number);
            }
            self.pump(number, None);
        }
    }

    /// Writes what waits with QoS 0 as far as there is room.
    pub(crate) fn pump_sieve(&mut self, number: SessionNo) {
        let now = self.now;
        let Some(link) = self.sessions.get_mut(&number).and_then(|session| session.link.as_mut()) else { return };
        while link.sieve.is_some() && link.is_free() && link.outbox.has_room() {
            let Some((topic, entry)) = link.sieve.as_mut().and_then(|sieve| sieve.next(now)) else { break };
            link.sieve.take_if(|sieve| sieve.is_empty());
            let Some(message) = &entry.message else { continue };
            if message.is_expired(now) {
                self.counters.expired += 1;
                link.sieve.iter_mut().for_each(|sieve| sieve.forget(&topic));
                continue;
            }
            let mut encodings = Encodings::new(message, now);
            let bytes = link.encode(&mut encodings, QoS::AtMostOnce, entry.retain, &entry.ids, entry.extra);
            if let Some(bytes) = bytes {
                link.outbox.message(&bytes, 0, false);
                self.counters.delivered += 1;
            } else {
                link.dropped += 1;
                self.counters.dropped += 1;
                link.sieve.iter_mut().for_each(|sieve| sieve.forget(&topic));
            }
        }
    }
}
