//! What clients are owed, worked out from the words of the standard alone: no index, no queue, no log.
//!
//! Every step is over before the next one begins, so that there is one right answer to most of them. Where there is more
//! than one (which member of a group, what an acknowledgement on its way to a broken disk was good for), each is allowed.

use crate::ops::{CLIENTS, FILTERS};
use andon_wire::mqtt::{QoS, RetainHandling};
use std::collections::BTreeMap;

/// A message as it was published. Payloads differ, except for empty ones.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    pub topic: &'static str,
    pub payload: String,
    pub qos: QoS,
    pub retain: bool,
    /// When it stops being of use.
    pub expires: Option<u64>,
    /// Which client published it.
    pub by: usize,
}

/// A message on its way to a client.
#[derive(Clone, Debug)]
pub struct Owed {
    pub message: Message,
    pub qos: QoS,
    /// The flag it comes with; `None`: either.
    pub retain: Option<bool>,
    /// Subscription identifiers, sorted.
    pub ids: Vec<u32>,
    /// It came because a subscription was made: stands outside the order of what is published.
    pub kept: bool,
    /// It need not come.
    pub optional: bool,
    /// One of several clients gets it.
    pub group: Option<usize>,
    /// The packet identifier it came with.
    pub sent: Option<u16>,
    /// It came on the present connection.
    pub here: bool,
    /// QoS 2: PUBREC was said.
    pub received: bool,
    /// The last answer was given.
    pub done: bool,
    /// The answers so far are on disk.
    pub settled: bool,
    /// The node has started anew since: it may think that it has sent this.
    pub suspect: bool,
}

#[derive(Clone, Debug)]
pub struct Subscription {
    pub qos: QoS,
    pub no_local: bool,
    pub retain_as_published: bool,
    pub id: Option<u32>,
}

#[derive(Clone, Debug)]
pub struct Will {
    pub message: Message,
    pub delay: u64,
    /// Seconds the message is good for.
    pub due: Option<u64>,
}

#[derive(Clone, Debug, Default)]
pub struct Session {
    /// Seconds it outlives its connection; `None`: for ever.
    pub expiry: Option<u64>,
    pub v5: bool,
    pub connected: bool,
    pub gone_at: u64,
    /// Counts departures, for those at the same time.
    pub gone_number: u64,
    pub subscriptions: BTreeMap<&'static str, Subscription>,
    pub owed: Vec<Owed>,
    pub will: Option<Will>,
}

/// A message that one member of a group gets.
#[derive(Clone, Debug)]
pub struct GroupMessage {
    pub taken_by: Option<usize>,
    pub optional: bool,
    pub what: String,
}

/// All that there is.
#[derive(Default)]
pub struct Oracle {
    pub now: u64,
    pub sessions: [Option<Session>; CLIENTS],
    pub retained: BTreeMap<&'static str, Message>,
    pub groups: Vec<GroupMessage>,
    departures: u64,
}

/// MQTT 5.0 §4.7, as the words say it.
pub fn matches(filter: &str, topic: &str) -> bool {
    fn levels(filter: &[&str], topic: &[&str]) -> bool {
        match (filter, topic) {
            (["#"], _) => true,
            (["+", filter @ ..], [_, topic @ ..]) => levels(filter, topic),
            ([a, filter @ ..], [b, topic @ ..]) => a == b && levels(filter, topic),
            ([], []) => true,
            _ => false,
        }
    }
    levels(&filter.split('/').collect::<Vec<_>>(), &topic.split('/').collect::<Vec<_>>())
}

/// The group and the filter proper.
pub fn split_share(filter: &str) -> (Option<&str>, &str) {
    match filter.strip_prefix("$share/").and_then(|rest| rest.split_once('/')) {
        Some((group, filter)) => (Some(group), filter),
        None => (None, filter),
    }
}

impl Oracle {
    /// A message is published; how many sessions have a subscription that it matches.
    pub fn publish(&mut self, message: &Message) -> usize {
        if message.retain {
            if message.payload.is_empty() {
                self.retained.remove(message.topic);
            } else {
                self.retained.insert(message.topic, message.clone());
            }
        }
        let mut reached = 0;
        for client in 0..CLIENTS {
            let Some(session) = &mut self.sessions[client] else { continue };
            let all: Vec<_> = session
                .subscriptions
                .iter()
                .filter(|(filter, _)| split_share(filter).0.is_none() && matches(filter, message.topic))
                .map(|(_, subscription)| subscription.clone())
                .collect();
            reached += usize::from(!all.is_empty());
            let wanted: Vec<_> = all.into_iter().filter(|s| !(s.no_local && message.by == client)).collect();
            if !wanted.is_empty() {
                session.owe(message, &wanted, None);
            }
        }
        // Each group is served for itself, one member of it.
        let groups: std::collections::BTreeSet<&'static str> =
            FILTERS.iter().copied().filter(|f| split_share(f).0.is_some()).collect();
        for filter in groups.into_iter().filter(|filter| matches(split_share(filter).1, message.topic)) {
            let may = |session: &Session| {
                session
                    .subscriptions
                    .get(filter)
                    .is_some_and(|s| session.connected || s.qos.min(message.qos) != QoS::AtMostOnce)
            };
            let members: Vec<usize> =
                (0..CLIENTS).filter(|client| self.sessions[*client].as_ref().is_some_and(may)).collect();
            if members.is_empty() {
                continue;
            }
            reached += 1;
            let group = self.groups.len();
            let what = format!("{:?} for {filter}", message.payload);
            self.groups.push(GroupMessage { taken_by: None, optional: false, what });
            for client in members {
                if let Some(session) = &mut self.sessions[client] {
                    let subscription = session.subscriptions.get(filter).cloned();
                    session.owe(message, &subscription.into_iter().collect::<Vec<_>>(), Some(group));
                }
            }
        }
        reached
    }

    /// A subscription is made: what is retained is due, as the handling says.
    pub fn subscribe(
        &mut self,
        client: usize,
        filter: &'static str,
        subscription: Subscription,
        handling: RetainHandling,
    ) {
        let Some(session) = &mut self.sessions[client] else { return };
        let new = session.subscriptions.insert(filter, subscription.clone()).is_none();
        let wanted = match handling {
            RetainHandling::Send => true,
            RetainHandling::SendIfNew => new,
            RetainHandling::DoNotSend => false,
        };
        if !wanted || split_share(filter).0.is_some() {
            return;
        }
        for message in self.retained.values() {
            let expired = message.expires.is_some_and(|at| at <= self.now);
            let own = subscription.no_local && message.by == client;
            if matches(filter, message.topic) && !expired && !own {
                session.owe(message, std::slice::from_ref(&subscription), None);
                if let Some(owed) = session.owed.last_mut() {
                    (owed.retain, owed.kept) = (Some(true), true);
                }
            }
        }
    }

    /// CONNECT: whether a session is present, and the wills that are published now. The caller has ended the former
    /// connection.
    pub fn connect(
        &mut self,
        client: usize,
        v5: bool,
        clean: bool,
        expiry: Option<u64>,
        will: Option<Will>,
    ) -> (bool, Vec<String>) {
        let published = if clean { self.end(client) } else { Vec::new() };
        let present = self.sessions[client].is_some();
        let session = self.sessions[client].get_or_insert_default();
        (session.expiry, session.v5, session.connected, session.will) = (expiry, v5, true, will);
        session.owed.iter_mut().for_each(|owed| owed.here = false);
        (present, published)
    }

    /// The connection is over. Gives the wills that are published now.
    pub fn leave(&mut self, client: usize, keep_will: bool, ends: bool) -> Vec<String> {
        let now = self.now;
        let Some(session) = self.sessions[client].as_mut().filter(|s| s.connected) else { return Vec::new() };
        self.departures += 1;
        (session.connected, session.gone_at, session.gone_number) = (false, now, self.departures);
        if !keep_will {
            session.will = None;
        }
        if ends {
            session.expiry = Some(0);
        }
        // What was under way with QoS 0 is lost.
        let lost: Vec<usize> =
            session.owed.iter().filter(|o| o.qos == QoS::AtMostOnce).filter_map(|o| o.group).collect();
        session.owed.retain(|owed| owed.qos != QoS::AtMostOnce);
        if let Some(will) = &mut session.will {
            will.due = Some(now + session.expiry.map_or(will.delay, |expiry| expiry.min(will.delay)));
        }
        lost.into_iter().for_each(|group| self.forgive(group));
        self.pass(client)
    }

    /// What is due by now of this client's: its will, its end.
    fn pass(&mut self, client: usize) -> Vec<String> {
        let now = self.now;
        let mut published = Vec::new();
        let Some(session) = self.sessions[client].as_mut().filter(|s| !s.connected) else { return published };
        let over = session.expiry.is_some_and(|expiry| session.gone_at + expiry <= now);
        if let Some(will) = session.will.take_if(|will| over || will.due.is_some_and(|at| at <= now)) {
            published.push(will.message.payload.clone());
            self.publish(&will.message);
        }
        if over {
            self.end(client);
        }
        published
    }

    /// Time goes by. Gives the wills that are published.
    pub fn wait(&mut self, seconds: u64) -> Vec<String> {
        let end = self.now + seconds;
        let mut published = Vec::new();
        while let Some((at, _, client)) = (0..CLIENTS).filter_map(|client| self.next_due(client)).min() {
            if at > end {
                break;
            }
            self.now = at;
            published.extend(self.pass(client));
        }
        self.now = end;
        published
    }

    /// When something is due of a client that is gone.
    fn next_due(&self, client: usize) -> Option<(u64, u64, usize)> {
        let session = self.sessions[client].as_ref().filter(|session| !session.connected)?;
        let over = session.expiry.map(|expiry| session.gone_at + expiry);
        let will = session.will.as_ref().and_then(|will| will.due);
        Some((over.into_iter().chain(will).min()?, session.gone_number, client))
    }

    /// Whether two wills that are kept would come for the same topic, so that nobody can say which stays.
    pub fn wills_collide(&self) -> bool {
        let wills = || self.sessions.iter().flatten().filter_map(|s| s.will.as_ref()).map(|will| &will.message);
        wills().enumerate().any(|(at, a)| a.retain && wills().skip(at + 1).any(|b| b.retain && a.topic == b.topic))
    }

    /// The session ends; a will that was still to come comes now.
    pub fn end(&mut self, client: usize) -> Vec<String> {
        let Some(session) = self.sessions[client].take() else { return Vec::new() };
        // Its share is nobody's now: others may get it or not.
        session.owed.iter().filter_map(|owed| owed.group).for_each(|group| self.forgive(group));
        let Some(will) = session.will else { return Vec::new() };
        self.publish(&will.message);
        vec![will.message.payload]
    }

    fn forgive(&mut self, group: usize) {
        if let Some(group) = self.groups.get_mut(group).filter(|group| group.taken_by.is_none()) {
            group.optional = true;
        }
    }

    /// This message with QoS 0 may have gone to the former connection of its client, or come to the new one.
    pub fn need_not_come_yet(&mut self, client: usize, message: &Message) {
        for owed in self.sessions[client].iter_mut().flat_map(|session| &mut session.owed) {
            owed.optional |= owed.qos == QoS::AtMostOnce && owed.message == *message;
        }
    }

    /// The node was killed: answers that were not on disk may count or not.
    pub fn killed(&mut self) {
        for session in self.sessions.iter_mut().flatten() {
            for owed in &mut session.owed {
                owed.suspect = true;
                if !owed.settled && (owed.done || owed.received) {
                    owed.optional = true;
                    owed.done = false;
                }
            }
        }
    }

    /// A PUBLISH came; `Err`: it should not have. `known`: the client has a QoS 2 message with this identifier open.
    pub fn comes(&mut self, client: usize, came: &Came, known: bool) -> Result<(), String> {
        let now = self.now;
        let taken = |groups: &[GroupMessage], owed: &Owed| {
            owed.group.is_some_and(|g| groups.get(g).and_then(|g| g.taken_by).is_some_and(|by| by != client))
        };
        let session = self.sessions[client].as_mut().ok_or("a message for a client without a session")?;
        let same = |owed: &Owed| {
            owed.message.topic == came.topic
                && owed.message.payload == came.payload
                && owed.qos == came.qos
                && owed.retain.is_none_or(|retain| retain == came.retain)
                && (!session.v5 || owed.ids == came.ids)
        };
        let again = |o: &Owed| came.qos != QoS::AtMostOnce && o.sent == Some(came.packet_id) && !o.done && same(o);
        if let Some(at) = session.owed.iter().position(again) {
            let owed = &mut session.owed[at];
            if owed.here {
                return Err(format!("{came:?} came twice on one connection"));
            }
            if !came.dup {
                return Err(format!("{came:?} came again without DUP"));
            }
            if owed.received && owed.settled {
                return Err(format!("{came:?} came again after PUBREC"));
            }
            (owed.here, owed.received) = (true, false);
            if came.qos == QoS::ExactlyOnce && !known {
                return Err(format!("{came:?} is new to the client although it came before"));
            }
            return Ok(());
        }
        let fresh = |o: &Owed| o.sent.is_none() && !o.done && same(o) && !taken(&self.groups, o);
        let Some(at) = session.owed.iter().position(fresh) else {
            return Err(format!("{came:?} is not owed"));
        };
        if came.dup && !session.owed[at].suspect {
            return Err(format!("{came:?} came first with DUP"));
        }
        if session.owed[at].message.expires.is_some_and(|expires| expires <= now) {
            return Err(format!("{came:?} came after its time"));
        }
        let message = session.owed[at].message.clone();
        if let Some(expires) = message.expires.filter(|_| session.v5) {
            let left = came.expiry_s.ok_or_else(|| format!("{came:?} does not say how long it is good for"))?;
            if u64::from(left) > expires - now || u64::from(left) + 400 < expires - now {
                return Err(format!("{came:?} is good for {} s", expires - now));
            }
        }
        // MQTT 5.0 [MQTT-4.6.0-6]; MQTT 3.1.1 the same: by topic, QoS (as published and as delivered) and publisher.
        let overtaken = session.owed[..at].iter().find(|o| {
            let stream = (o.message.topic, o.message.qos, o.qos, o.message.by)
                == (message.topic, message.qos, came.qos, message.by);
            let waits = !o.done && !o.here && !o.received && !o.optional && !taken(&self.groups, o);
            let expired = o.message.expires.is_some_and(|expires| expires <= now);
            stream && waits && !expired && !o.kept && o.group.is_none() && !session.owed[at].kept
        });
        if let Some(overtaken) = overtaken {
            return Err(format!("{came:?} came before {:?}", overtaken.message));
        }
        if let Some(group) = session.owed[at].group {
            self.groups[group].taken_by = Some(client);
        }
        let owed = &mut session.owed[at];
        (owed.here, owed.sent) = (true, Some(came.packet_id).filter(|_| came.qos != QoS::AtMostOnce));
        if came.qos == QoS::AtMostOnce {
            owed.done = true;
        }
        if came.qos == QoS::ExactlyOnce && known {
            return Err(format!("{came:?} is new, but the client has this identifier open"));
        }
        Ok(())
    }

    /// The client answers a message, for good or (PUBREC) for now.
    pub fn answered(&mut self, client: usize, packet_id: u16, last: bool) {
        let Some(session) = &mut self.sessions[client] else { return };
        if let Some(owed) = session.owed.iter_mut().find(|o| o.sent == Some(packet_id) && !o.done) {
            owed.received |= !last;
            owed.done |= last;
            owed.settled = false;
        }
    }

    /// PUBREL came; `Err`: it should not have.
    pub fn released(&mut self, client: usize, packet_id: u16) -> Result<(), String> {
        let session = self.sessions[client].as_ref().ok_or("PUBREL for a client without a session")?;
        let due = |o: &&Owed| o.sent == Some(packet_id) && o.qos == QoS::ExactlyOnce && o.received;
        match session.owed.iter().find(due) {
            Some(_) => Ok(()),
            None => Err(format!("PUBREL {packet_id} was not asked for")),
        }
    }

    /// All answers so far are on disk; what is done is forgotten.
    pub fn settled(&mut self, client: usize) {
        if let Some(session) = &mut self.sessions[client] {
            session.owed.iter_mut().for_each(|owed| owed.settled = true);
            session.owed.retain(|owed| !owed.done);
        }
    }

    /// What must still come to this client, if it answers everything: a message, or PUBREL for one.
    pub fn outstanding(&self, client: usize) -> Option<&Owed> {
        let session = self.sessions[client].as_ref().filter(|session| session.connected)?;
        session.owed.iter().find(|owed| {
            let begun = owed.qos == QoS::ExactlyOnce && owed.sent.is_some();
            let expired = !begun && owed.message.expires.is_some_and(|at| at <= self.now);
            !owed.done && !owed.optional && !expired && (owed.group.is_none() || owed.sent.is_some())
        })
    }

    /// A group's message that nobody got, while every session is connected and answers.
    pub fn unclaimed(&self) -> Option<&str> {
        let expired = |g: usize| {
            self.sessions
                .iter()
                .flatten()
                .flat_map(|s| &s.owed)
                .any(|o| o.group == Some(g) && o.message.expires.is_some_and(|at| at <= self.now))
        };
        self.groups
            .iter()
            .enumerate()
            .find(|(g, group)| group.taken_by.is_none() && !group.optional && !expired(*g))
            .map(|(_, g)| g.what.as_str())
    }
}

/// A PUBLISH as it came.
#[derive(Clone, Debug)]
pub struct Came {
    pub topic: String,
    pub payload: String,
    pub qos: QoS,
    pub retain: bool,
    pub dup: bool,
    pub packet_id: u16,
    pub ids: Vec<u32>,
    pub expiry_s: Option<u32>,
}

impl Session {
    fn owe(&mut self, message: &Message, wanted: &[Subscription], group: Option<usize>) {
        let highest = wanted.iter().map(|s| s.qos).max().unwrap_or_default();
        let qos = highest.min(message.qos);
        if qos == QoS::AtMostOnce && !self.connected {
            return;
        }
        // With overlapping subscriptions that want it differently the standard does not say which holds.
        let as_published = wanted.iter().filter(|s| s.retain_as_published).count();
        let retain = match (message.retain, as_published) {
            (false, _) | (_, 0) => Some(false),
            (true, n) if n == wanted.len() => Some(true),
            _ => None,
        };
        let mut ids: Vec<u32> = wanted.iter().filter_map(|s| s.id).collect();
        ids.sort_unstable();
        self.owed.push(Owed {
            message: message.clone(),
            qos,
            retain,
            ids,
            kept: false,
            optional: false,
            group,
            sent: None,
            here: false,
            received: false,
            done: false,
            settled: false,
            suspect: false,
        });
    }
}
