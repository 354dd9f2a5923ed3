//! How a client gets its session: made, resumed, taken over.

use crate::core::{Core, Told, went};
use crate::frames::{Op, Open, Published, SessionNo};
use crate::hooks::{ConnectionEvent, EndReason};
use crate::message::Message;
use crate::queue::Queue;
use crate::router::Reply;
use crate::session::{Admission, Aliases, Arrival, Link, Session};
use andon_model::Timestamp;
use andon_model::log::Seq;
use andon_wire::mqtt::{Packet, ReasonCode};
use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;

impl Core {
    /// A client connected (live), or did once (replay). MQTT 5.0 §3.1.4, [MQTT-3.1.2-4] to -6.
    pub(crate) fn open(&mut self, seq: Seq, open: &Open, reply: Reply) {
        let found = self.by_client.get(&open.client_id).copied();
        // A session without a life of its own ends with its connection, which is now.
        let resumed = found.filter(|number| !open.clean_start && number.is_durable());
        if let Some(number) = found {
            self.take_over(number, resumed.is_some());
        }
        let arrival = match reply {
            Reply::Open(arrival) => Some(arrival),
            _ => None,
        };
        let Some(number) = resumed.or_else(|| self.new_number(seq, open, arrival.is_some())) else { return };
        let opened = if seq.0 == 0 { number.0 } else { seq.0 };
        let live = self.live;
        let session = self.sessions.entry(number).or_insert_with(|| Box::new(new_session(number, open)));
        session.user.clone_from(&open.user);
        session.principal.clone_from(&open.principal);
        session.window = open.window;
        session.expiry_s = open.expiry_s;
        session.opened = opened;
        session.will = open.will.clone().map(Box::new);
        session.gone_at = None;
        session.since = open.at;
        session.version = open.version;
        if !live {
            session.queue.suspect_sent(true);
        }
        // It may take more than before.
        self.let_in(number);
        self.wills_under_way.remove(&number);
        self.by_client.insert(open.client_id.clone(), number);
        if let Some(arrival) = arrival {
            self.attach(number, *arrival, resumed.is_some());
        }
    }

    /// The number of a new session: the frame's if it is to outlive its connection, else one that no frame has.
    fn new_number(&mut self, seq: Seq, open: &Open, live: bool) -> Option<SessionNo> {
        if open.expiry_s > 0 && seq.0 != 0 {
            return Some(SessionNo(seq.0));
        }
        live.then(|| {
            self.volatile_sessions += 1;
            SessionNo(SessionNo::VOLATILE + self.volatile_sessions)
        })
    }

    /// Ends the former connection of a session, and the session too if it is not resumed.
    fn take_over(&mut self, number: SessionNo, resumed: bool) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        if let Some(link) = session.link.take() {
            link.outbox.close(ReasonCode::SESSION_TAKEN_OVER);
            let end = EndReason::Server(ReasonCode::SESSION_TAKEN_OVER);
            self.effects.events.push(went(&session.client_id, &link.principal, link.address, end));
            // The will stands, unless it has a delay and the client is back within it. MQTT 5.0 [MQTT-3.1.3-9].
            let cancelled =
                resumed && session.will.as_ref().is_some_and(|w| w.properties.delay_s.is_some_and(|d| d > 0));
            let will = session.will.take().filter(|_| !cancelled && self.live);
            if let Some(will) = will {
                let message =
                    Arc::new(Message::from_will(&will, session.client_id.clone(), session.principal.clone(), self.now));
                let will_of = SessionNo::NODE;
                self.effects.todo.push(Op::Publish(Published { message, publisher: number, packet_id: 0, will_of }));
            }
        }
        if resumed {
            // A delayed will of a client that came back in time is not published.
            session.will = None;
        } else {
            self.remove(number);
        }
    }

    /// Ties a connection to its session: CONNACK first, then what has been waiting.
    fn attach(&mut self, number: SessionNo, arrival: Arrival, session_present: bool) {
        let Some(session) = self.sessions.get_mut(&number) else { return };
        let mut conn_ack = arrival.conn_ack;
        conn_ack.session_present = session_present;
        arrival.outbox.keep_exchanges(session.inbound.iter().map(|(id, mark)| (*id, *mark)));
        arrival.outbox.packet(&Packet::ConnAck(Box::new(conn_ack)));
        session.address = Some(arrival.address);
        session.queue.restart();
        session.link = Some(Box::new(Link {
            outbox: arrival.outbox,
            connection: arrival.connection,
            principal: arrival.principal.clone(),
            address: arrival.address,
            window: arrival.window,
            in_flight: 0,
            cursor: 0,
            fetching: false,
            later: VecDeque::new(),
            catch_up: None,
            sieve: None,
            slow: false,
            dropped: 0,
            denied: arrival.denied,
            aliases: Aliases::new(arrival.aliases),
            names: arrival.names,
        }));
        self.counters.connections += 1;
        self.effects.events.push(Told::Connection(ConnectionEvent {
            client_id: session.client_id.as_str().to_owned(),
            connected: true,
            reason: None,
            principal: arrival.principal,
            address: arrival.address,
        }));
        if arrival.admitted.send(Ok(Admission { session: number })).is_err() {
            // The connection broke while its session was being opened.
            self.detach(number, arrival.connection, EndReason::Lost("before it was admitted".to_owned()), true, None);
            return;
        }
        self.pump(number, None);
    }
}

fn new_session(number: SessionNo, open: &Open) -> Session {
    Session {
        number,
        client_id: open.client_id.clone(),
        user: None,
        principal: None,
        window: 0,
        expiry_s: 0,
        opened: 0,
        subscriptions: BTreeMap::new(),
        queue: Queue::default(),
        inbound: BTreeMap::new(),
        sieve: None,
        due_asked: Timestamp::default(),
        will: None,
        gone_at: None,
        since: open.at,
        version: open.version,
        address: None,
        link: None,
    }
}
