//! The durable state as one blob: what a restart begins with before it replays the lane.
//!
//! Version 1: bounds, lane time, a table of messages, retained messages, sessions. Messages stand once, however many
//! queues hold them.

use crate::core::Core;
use crate::frames::{FrameError, Input, SessionNo, blob, number, optional, put_filter, put_message, put_will};
use crate::index::Wish;
use crate::message::Message;
use crate::queue::{Bounds, Entry, Queue};
use crate::session::Session;
use andon_wire::mqtt::QoS;
use bytes::{BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;

/// The version this program writes.
const VERSION: u8 = 1;

/// Messages in the order of their first use, each once.
#[derive(Default)]
struct Table<'a> {
    places: HashMap<*const Message, u64>,
    messages: Vec<&'a Message>,
}

impl<'a> Table<'a> {
    fn place(&mut self, message: &'a Arc<Message>) -> u64 {
        let next = self.messages.len() as u64;
        *self.places.entry(Arc::as_ptr(message)).or_insert_with(|| {
            self.messages.push(message);
            next
        })
    }
}

/// Writes the durable part of the state.
pub(crate) fn encode(core: &Core) -> BytesMut {
    let mut sessions: Vec<&Session> =
        core.sessions.values().map(|session| &**session).filter(|s| s.number.is_durable()).collect();
    sessions.sort_by_key(|s| s.number);
    let mut table = Table::default();
    let mut body = BytesMut::new();
    number(&mut body, core.retained.len() as u64);
    for message in core.retained.iter() {
        let place = table.place(message);
        number(&mut body, place);
    }
    number(&mut body, sessions.len() as u64);
    for session in sessions {
        put_session(&mut body, session, &mut table);
    }
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    number(&mut out, core.bounds.messages);
    number(&mut out, core.bounds.bytes);
    out.put_i64(core.lane_time.micros());
    number(&mut out, table.messages.len() as u64);
    table.messages.iter().for_each(|m| put_message(&mut out, m));
    out.extend_from_slice(&body);
    out
}

fn put_session<'a>(out: &mut BytesMut, session: &'a Session, table: &mut Table<'a>) {
    number(out, session.number.0);
    blob(out, session.client_id.as_bytes());
    optional(out, session.user.as_ref(), |out, user| blob(out, user.as_bytes()));
    number(out, u64::from(session.expiry_s));
    number(out, session.opened);
    optional(out, session.will.as_deref(), put_will);
    optional(out, session.gone_at.as_ref(), |out, at| out.put_i64(at.micros()));
    out.put_i64(session.since.micros());
    out.put_u8(session.version.level());
    number(out, session.inbound.len() as u64);
    session.inbound.iter().for_each(|id| out.put_u16(*id));
    number(out, session.subscriptions.len() as u64);
    for (filter, id) in session.subscriptions.values() {
        put_filter(out, filter);
        number(out, u64::from(*id));
    }
    out.put_u16(session.queue.last_id());
    number(out, session.queue.dropped);
    number(out, session.queue.len() as u64);
    for entry in session.queue.iter() {
        let place = table.place(&entry.message);
        number(out, place);
        out.put_u16(entry.packet_id);
        out.put_u8(
            entry.qos as u8
                | u8::from(entry.retain) << 2
                | u8::from(entry.released) << 3
                | u8::from(entry.maybe_sent) << 4,
        );
        number(out, entry.ids.len() as u64);
        entry.ids.iter().for_each(|id| number(out, u64::from(*id)));
    }
}

/// Reads a state into an empty core.
pub(crate) fn decode(state: Bytes, core: &mut Core) -> Result<(), FrameError> {
    let mut input = Input(state);
    match input.byte()? {
        VERSION => {}
        version => return Err(FrameError::Unknown { kind: 0, version }),
    }
    core.bounds = Bounds { messages: input.number()?, bytes: input.number()? };
    core.lane_time = input.time()?;
    let table = input.list(|i| i.message().map(Arc::new))?;
    let look_up = |i: &mut Input| {
        let place: usize = i.small("place")?;
        table.get(place).cloned().ok_or(FrameError::Field("place"))
    };
    for message in input.list(look_up)? {
        core.retained.set(&message);
    }
    for session in input.list(|i| session(i, &look_up))? {
        add(core, session);
    }
    if input.0.is_empty() { Ok(()) } else { Err(FrameError::Trailing) }
}

fn add(core: &mut Core, session: Session) {
    let number = session.number;
    for (filter, id) in session.subscriptions.values() {
        core.index.insert(&filter.filter, number, Wish::new(filter, *id));
    }
    core.deadlines.extend([session.will_at(), session.expires_at()].into_iter().flatten().map(|at| (at, number)));
    core.by_client.insert(session.client_id.clone(), number);
    core.sessions.insert(number, Box::new(session));
}

fn session(
    input: &mut Input,
    look_up: &impl Fn(&mut Input) -> Result<Arc<Message>, FrameError>,
) -> Result<Session, FrameError> {
    let number = SessionNo(input.number()?);
    let client_id = input.text()?;
    let user = input.optional(Input::text)?;
    let expiry_s = input.small("session expiry")?;
    let opened = input.number()?;
    let will = input.optional(Input::will)?;
    let gone_at = input.optional(Input::time)?;
    let since = input.time()?;
    let version = input.version()?;
    let inbound: BTreeSet<u16> = input.list(Input::two_bytes)?.into_iter().collect();
    let subscriptions: BTreeMap<_, _> = input
        .list(|i| {
            let filter = i.filter()?;
            Ok((filter.filter.clone(), (filter, i.small("subscription identifier")?)))
        })?
        .into_iter()
        .collect();
    let (last_id, dropped) = (input.two_bytes()?, input.number()?);
    let entries = input.list(|i| entry(i, look_up))?;
    let queue = Queue::restore(last_id, dropped, entries);
    Ok(Session {
        number,
        client_id,
        user,
        expiry_s,
        opened,
        subscriptions,
        queue,
        inbound,
        will: will.map(Box::new),
        gone_at,
        since,
        version,
        address: None,
        link: None,
    })
}

fn entry(
    input: &mut Input,
    look_up: &impl Fn(&mut Input) -> Result<Arc<Message>, FrameError>,
) -> Result<Entry, FrameError> {
    let message = look_up(input)?;
    let packet_id = input.two_bytes()?;
    let bits = input.byte()?;
    let ids = input.list(|i| i.small("subscription identifier"))?;
    Ok(Entry {
        message,
        qos: QoS::from_bits(bits & 3).ok_or(FrameError::Field("QoS"))?,
        retain: bits & 4 != 0,
        ids: ids.into_boxed_slice(),
        packet_id,
        released: bits & 8 != 0,
        maybe_sent: bits & 16 != 0,
        sent: false,
        answered: false,
        received: false,
    })
}
