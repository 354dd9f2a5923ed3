//! The durable state as one blob: what a restart begins with before it replays the lane.
//!
//! Bounds, lane time, a table of messages, retained messages, sessions. Of a message that waits in the log stands only where;
//! the others stand once, however many queues hold them. In version 1 all messages stood in the table; version 3 says as whom
//! clients were connected, what subscriptions ask for beyond MQTT, and what is in quarantine.

use crate::asks::{Ask, Extra};
use crate::backlog::Backlog;
use crate::core::Core;
use crate::frames::{
    FrameError, Input, SessionNo, blob, number, optional, put_ask, put_filter, put_message, put_principal, put_will,
    put_withheld,
};
use crate::index::Wish;
use crate::message::Message;
use crate::queue::{Bounds, Entry, Queue};
use crate::session::{Session, Subscription};
use crate::sieve::{Sieve, Track};
use andon_model::Timestamp;
use andon_model::log::Seq;
use andon_wire::mqtt::QoS;
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

/// The version this program writes.
const VERSION: u8 = 3;

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
    number(&mut body, core.quarantine.len() as u64);
    for (seq, withheld) in core.quarantine.iter() {
        number(&mut body, seq);
        put_withheld(&mut body, withheld);
    }
    let mut out = BytesMut::new();
    out.put_u8(VERSION);
    number(&mut out, core.bounds.messages);
    number(&mut out, core.bounds.bytes);
    out.put_i64(core.lane_time.micros());
    out.put_i64(core.lane_now.micros());
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
    optional(out, session.principal.as_ref(), put_principal);
    number(out, u64::from(session.window));
    number(out, session.inbound.len() as u64);
    for (id, mark) in &session.inbound {
        out.put_u16(*id);
        out.put_u32(*mark);
    }
    number(out, session.subscriptions.len() as u64);
    for Subscription { filter, id, ask, .. } in session.subscriptions.values() {
        put_filter(out, filter);
        number(out, u64::from(*id));
        put_ask(out, *ask);
    }
    put_sieve(out, session.sieve.as_deref(), table);
    out.put_u16(session.queue.last_id());
    number(out, session.queue.dropped);
    number(out, session.queue.front_len() as u64);
    for entry in session.queue.front() {
        number(out, entry.seq.0);
        match &entry.message {
            Some(message) if entry.seq.0 == 0 => number(out, table.place(message)),
            _ => number(out, u64::from(entry.weight)),
        }
        out.put_u16(entry.packet_id);
        out.put_u8(
            entry.qos as u8
                | u8::from(entry.retain) << 2
                | u8::from(entry.released) << 3
                | u8::from(entry.maybe_sent) << 4,
        );
        entry.extra.put(out);
        number(out, entry.ids.len() as u64);
        entry.ids.iter().for_each(|id| number(out, u64::from(*id)));
    }
    let Some(backlog) = session.queue.backlog() else { return number(out, 0) };
    let (len, (seq, weight), references, held) = backlog.parts();
    number(out, len as u64);
    number(out, seq);
    number(out, u64::from(weight));
    let references: Vec<u8> = references.collect();
    blob(out, &references);
    number(out, held.len() as u64);
    held.for_each(|message| number(out, table.place(message)));
}

/// What waits of subscriptions that asked for less than all.
fn put_sieve<'a>(out: &mut BytesMut, sieve: Option<&'a Sieve>, table: &mut Table<'a>) {
    let Some(sieve) = sieve else { return number(out, 0) };
    let (tracks, next_turn) = sieve.parts();
    number(out, tracks.len() as u64);
    number(out, next_turn);
    for (topic, track) in tracks {
        blob(out, topic.as_bytes());
        out.put_i64(track.until.micros());
        number(out, u64::from(track.every_ms));
        optional(out, track.value.as_ref(), |out, bits| out.put_u64(*bits));
        number(out, u64::from(track.left_out));
        out.put_i64(track.turn.0.micros());
        number(out, track.turn.1);
        let Some(entry) = &track.waiting else {
            out.put_u8(0);
            continue;
        };
        out.put_u8(1);
        number(out, entry.seq.0);
        match &entry.message {
            Some(message) if entry.seq.0 == 0 => number(out, table.place(message)),
            _ => number(out, u64::from(entry.weight)),
        }
        out.put_u8(entry.qos as u8 | u8::from(entry.retain) << 2);
        entry.extra.put(out);
        number(out, entry.ids.len() as u64);
        entry.ids.iter().for_each(|id| number(out, u64::from(*id)));
    }
}

fn sieve(
    input: &mut Input,
    look_up: &impl Fn(&mut Input) -> Result<Arc<Message>, FrameError>,
) -> Result<Option<Box<Sieve>>, FrameError> {
    let count = input.number()?;
    if count == 0 {
        return Ok(None);
    }
    let next_turn = input.number()?;
    let mut tracks = Vec::new();
    for _ in 0..count {
        let topic = input.topic_name()?;
        let until = input.time()?;
        let every_ms = input.small("interval")?;
        let value = input.optional(|i| i.0.try_get_u64().map_err(|_| FrameError::Truncated))?;
        let left_out = input.small("count")?;
        let turn = (input.time()?, input.number()?);
        let waiting = if input.flag()? { Some(waiting(input, look_up)?) } else { None };
        tracks.push((topic, Track { until, every_ms, value, left_out, turn, waiting }));
    }
    Ok(Some(Box::new(Sieve::restore(tracks, next_turn))))
}

fn waiting(
    input: &mut Input,
    look_up: &impl Fn(&mut Input) -> Result<Arc<Message>, FrameError>,
) -> Result<Entry, FrameError> {
    let seq = input.number()?;
    let (message, weight) = if seq == 0 {
        let message = look_up(input)?;
        let weight = u32::try_from(message.weight()).unwrap_or(u32::MAX);
        (Some(message), weight)
    } else {
        (None, input.small("weight")?)
    };
    let bits = input.byte()?;
    let extra = Extra::take(|| input.byte())?;
    let ids = input.list(|i| i.small("subscription identifier"))?.into_boxed_slice();
    let qos = QoS::from_bits(bits & 3).ok_or(FrameError::Field("QoS"))?;
    Ok(Entry { qos, retain: bits & 4 != 0, ids, extra, ..Entry::waiting(message, Seq(seq), weight) })
}

/// Reads a state into an empty core.
pub(crate) fn decode(state: Bytes, core: &mut Core) -> Result<(), FrameError> {
    let mut input = Input(state);
    let version = match input.byte()? {
        version @ 1..=VERSION => version,
        version => return Err(FrameError::Unknown { kind: 0, version }),
    };
    core.bounds = Bounds { messages: input.number()?, bytes: input.number()? };
    core.lane_time = input.time()?;
    core.lane_now = if version >= 3 { input.time()? } else { core.lane_time };
    let table = input.list(|i| i.message().map(Arc::new))?;
    let look_up = |i: &mut Input| {
        let place: usize = i.small("place")?;
        table.get(place).cloned().ok_or(FrameError::Field("place"))
    };
    for message in input.list(look_up)? {
        core.retained.set(&message);
    }
    for session in input.list(|i| session(i, version, &look_up))? {
        add(core, session);
    }
    if version >= 3 {
        for (seq, withheld) in input.list(|i| Ok((i.number()?, Arc::new(i.withheld()?))))? {
            core.quarantine.put(seq, withheld);
        }
    }
    if input.0.is_empty() { Ok(()) } else { Err(FrameError::Trailing) }
}

fn add(core: &mut Core, session: Session) {
    let number = session.number;
    for Subscription { filter, id, ask, .. } in session.subscriptions.values() {
        core.index.insert(&filter.filter, number, Wish::new(filter, *id, *ask));
    }
    core.deadlines.extend([session.will_at(), session.expires_at()].into_iter().flatten().map(|at| (at, number)));
    core.by_client.insert(session.client_id.clone(), number);
    core.sessions.insert(number, Box::new(session));
}

fn session(
    input: &mut Input,
    snapshot: u8,
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
    let newer = snapshot >= 3;
    let principal = if newer { input.optional(Input::principal)? } else { None };
    let window = if newer { input.small("window")? } else { 0 };
    let exchange = |i: &mut Input| Ok((i.two_bytes()?, if snapshot == 1 { 0 } else { i.four_bytes()? }));
    let inbound: BTreeMap<u16, u32> = input.list(exchange)?.into_iter().collect();
    let subscriptions: BTreeMap<_, _> = input
        .list(|i| {
            let filter = i.filter()?;
            let id = i.small("subscription identifier")?;
            let ask = if newer { i.ask()? } else { Ask::default() };
            Ok((filter.filter.clone(), Subscription { filter, id, ask, left_out: 0 }))
        })?
        .into_iter()
        .collect();
    let sieve = if newer { sieve(input, look_up)? } else { None };
    let (last_id, dropped) = (input.two_bytes()?, input.number()?);
    let entries = input.list(|i| entry(i, snapshot, look_up))?;
    let mut queue = if snapshot == 1 {
        let (front, rest): (Vec<_>, Vec<_>) = entries.into_iter().partition(|entry| entry.packet_id != 0);
        let mut backlog = Backlog::default();
        rest.into_iter().for_each(|entry| backlog.push(entry));
        Queue::restore(last_id, dropped, front, Some(backlog).filter(|backlog| backlog.len() > 0))
    } else {
        Queue::restore(last_id, dropped, entries, backlog(input, look_up)?)
    };
    // What was sent after this was saved is not known.
    queue.suspect_sent(gone_at.is_none());
    Ok(Session {
        number,
        client_id,
        user,
        principal,
        window,
        expiry_s,
        opened,
        subscriptions,
        queue,
        inbound,
        sieve,
        due_asked: Timestamp::default(),
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
    snapshot: u8,
    look_up: &impl Fn(&mut Input) -> Result<Arc<Message>, FrameError>,
) -> Result<Entry, FrameError> {
    let seq = if snapshot == 1 { 0 } else { input.number()? };
    let (message, weight) = if seq == 0 { (Some(look_up(input)?), 0) } else { (None, input.small("weight")?) };
    let packet_id = input.two_bytes()?;
    if snapshot != 1 && packet_id == 0 {
        return Err(FrameError::Field("packet identifier"));
    }
    let bits = input.byte()?;
    let extra = if snapshot >= 3 { Extra::take(|| input.byte())? } else { Extra::default() };
    let ids = input.list(|i| i.small("subscription identifier"))?;
    let weight = message.as_ref().map_or(weight, |m| u32::try_from(m.weight()).unwrap_or(u32::MAX));
    Ok(Entry {
        qos: QoS::from_bits(bits & 3).ok_or(FrameError::Field("QoS"))?,
        retain: bits & 4 != 0,
        ids: ids.into_boxed_slice(),
        extra,
        packet_id,
        released: bits & 8 != 0,
        maybe_sent: bits & 16 != 0,
        ..Entry::waiting(message, Seq(seq), weight)
    })
}

fn backlog(
    input: &mut Input,
    look_up: &impl Fn(&mut Input) -> Result<Arc<Message>, FrameError>,
) -> Result<Option<Backlog>, FrameError> {
    let len = input.small("number of messages")?;
    if len == 0 {
        return Ok(None);
    }
    let front = (input.number()?, input.small("weight")?);
    let references = input.blob()?;
    let held = input.list(look_up)?;
    Backlog::restore(len, front, &references, held.into()).map(Some).map_err(|_| FrameError::Field("backlog"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_wire::mqtt::{Text, TopicName, Version};

    fn message(text: &str) -> Message {
        let payload = Bytes::copy_from_slice(text.as_bytes());
        Message::internal(TopicName::parse("a").unwrap(), payload, QoS::AtLeastOnce, false, Timestamp::default())
    }

    /// Nothing retained, and how both old versions began the only session.
    fn begin_old_session(out: &mut BytesMut) {
        number(out, 0); // Retained.
        number(out, 1); // Sessions.
        number(out, 7);
        blob(out, b"old");
        optional(out, None::<&Text>, |_, _| {});
        number(out, 60);
        number(out, 7);
        optional(out, None, put_will);
        optional(out, Some(&Timestamp::default()), |out, at| out.put_i64(at.micros()));
        out.put_i64(0);
        out.put_u8(Version::V5.level());
    }

    /// A state as the first version wrote it: one session with as many messages, those of the front with identifiers.
    fn first_version(messages: u16, with_identifier: u16) -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(1);
        number(&mut out, 6);
        number(&mut out, 1 << 20);
        out.put_i64(0);
        number(&mut out, u64::from(messages));
        (0..messages).for_each(|n| put_message(&mut out, &message(&n.to_string())));
        begin_old_session(&mut out);
        number(&mut out, 0); // Exchanges of the client's.
        number(&mut out, 0); // Subscriptions.
        out.put_u16(with_identifier);
        number(&mut out, 3);
        number(&mut out, u64::from(messages));
        for n in 0..messages {
            number(&mut out, u64::from(n));
            out.put_u16(if n < with_identifier { n + 1 } else { 0 });
            out.put_u8(1);
            number(&mut out, 0);
        }
        out.freeze()
    }

    #[test]
    fn what_the_first_version_saved_is_there_and_is_saved_again_with_its_messages() {
        let mut core = Core::default();
        decode(first_version(6, 4), &mut core).unwrap();
        for _ in 0..2 {
            let queue = &core.sessions[&SessionNo(7)].queue;
            let text = |message: &Option<Arc<Message>>| message.as_ref().map(|m| m.payload.to_vec());
            let front: Vec<_> = queue.front().map(|e| (e.packet_id, e.seq.0, text(&e.message))).collect();
            let named = |n: u16| (n + 1, 0, Some(n.to_string().into_bytes()));
            assert_eq!(front, [0, 1, 2, 3].map(named));
            let behind: Vec<_> = queue.backlog().unwrap().iter().map(|e| (e.seq.0, text(&e.message))).collect();
            assert_eq!(behind, [(0, Some(b"4".to_vec())), (0, Some(b"5".to_vec()))]);
            assert_eq!((queue.dropped, queue.last_id(), core.oldest()), (3, 4, None));
            let again = encode(&core).freeze();
            core = Core::default();
            decode(again, &mut core).unwrap();
        }
    }

    /// A state as the second version wrote it: a session with a subscription, a message under way and one in the backlog.
    fn second_version() -> Bytes {
        let mut out = BytesMut::new();
        out.put_u8(2);
        number(&mut out, 6);
        number(&mut out, 1 << 20);
        out.put_i64(0);
        number(&mut out, 1);
        put_message(&mut out, &message("kept"));
        begin_old_session(&mut out);
        number(&mut out, 1); // Exchanges of the client's.
        out.put_u16(3);
        out.put_u32(4);
        number(&mut out, 1); // Subscriptions.
        blob(&mut out, b"a/#");
        out.put_u8(1);
        number(&mut out, 5);
        out.put_u16(2);
        number(&mut out, 0);
        number(&mut out, 2); // Entries: one held, one in the log.
        number(&mut out, 0);
        number(&mut out, 0);
        out.put_u16(1);
        out.put_u8(1);
        number(&mut out, 0);
        number(&mut out, 9);
        number(&mut out, 300);
        out.put_u16(2);
        out.put_u8(1 | 4);
        number(&mut out, 1);
        number(&mut out, 5);
        number(&mut out, 1); // Backlog: the next frame, of the same weight.
        number(&mut out, 9);
        number(&mut out, 300);
        blob(&mut out, &[16 | 32]);
        number(&mut out, 0);
        out.freeze()
    }

    #[test]
    fn what_the_second_version_saved_is_there_and_asks_for_nothing() {
        let mut core = Core::default();
        decode(second_version(), &mut core).unwrap();
        for _ in 0..2 {
            let session = &core.sessions[&SessionNo(7)];
            let subscription = session.subscriptions.values().next().unwrap();
            assert_eq!((subscription.id, subscription.ask), (5, Ask::default()));
            assert_eq!((session.inbound[&3], session.principal.clone(), session.window), (4, None, 0));
            let front: Vec<_> = session.queue.front().map(|e| (e.packet_id, e.seq.0, e.retain, e.extra)).collect();
            assert_eq!(front, [(1, 0, false, Extra::default()), (2, 9, true, Extra::default())]);
            let behind: Vec<_> = session.queue.backlog().unwrap().iter().map(|e| (e.seq.0, e.weight)).collect();
            assert_eq!(behind, [(10, 300)]);
            let again = encode(&core).freeze();
            core = Core::default();
            decode(again, &mut core).unwrap();
        }
    }

    #[test]
    fn a_state_that_is_cut_off_or_newer_is_refused() {
        let whole = first_version(6, 4);
        for length in 0..whole.len() {
            assert!(decode(whole.slice(..length), &mut Core::default()).is_err(), "{length}");
        }
        let newer = Bytes::from([&[VERSION + 1], &whole[1..]].concat());
        assert!(matches!(decode(newer, &mut Core::default()), Err(FrameError::Unknown { version: 4, .. })));
    }
}
