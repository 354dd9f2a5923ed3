//! What the broker writes into the log's `messages` lane: every operation that changes durable state.
//!
//! Compact and versioned by the frame's kind ([`kind::PUBLISH`], [`kind::SESSION`]). Version 2 says as whom a client was
//! connected, how much it takes, and what a subscription asks for beyond MQTT; what says none of it is written as
//! version 1, which all programs read. Numbers are
//! unsigned LEB128 unless said otherwise; strings and blobs have their length in front. A tag once given keeps its meaning.
//!
//! **Invariant**: applying the same operations in the same order gives the same state. So an operation carries its own
//! time, and a session is named by the number of the frame that made it.

use crate::asks::{Ask, Deliver};
use crate::message::Message;
use crate::quarantine::Withheld;
use andon_model::Timestamp;
use andon_model::access::{Principal, PrincipalKind};
use andon_model::log::{FrameKind, kind};
use andon_model::varint;
use andon_wire::mqtt::{
    Filter, QoS, RetainHandling, Text, TopicFilter, TopicName, UserProperties, Version, Will, WillProperties,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::sync::Arc;

/// Names a durable session: the number of the frame that made it. Sessions that end with their connection have numbers
/// from [`SessionNo::VOLATILE`] on, which appear in the lane as publishers only.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Default)]
pub struct SessionNo(pub u64);

impl SessionNo {
    /// The first number of sessions that end with their connection.
    pub const VOLATILE: u64 = 1 << 63;
    /// The node itself.
    pub const NODE: Self = Self(0);

    /// True if it outlives its connection.
    #[must_use]
    pub const fn is_durable(self) -> bool {
        self.0 != 0 && self.0 < Self::VOLATILE
    }
}

/// One operation on the broker's state.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Op {
    /// A message was published. Frame [`kind::PUBLISH`].
    Publish(Published),
    /// Anything else. Frame [`kind::SESSION`].
    Session(SessionOp),
}

/// A published message.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Published {
    /// The message.
    pub message: Arc<Message>,
    /// The session it came from.
    pub publisher: SessionNo,
    /// With QoS 2 the packet identifier to remember until PUBREL; else 0.
    pub packet_id: u16,
    /// The session whose will it is, which has none from now on.
    pub will_of: SessionNo,
}

/// A change of a session.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum SessionOp {
    /// A client connected, and a durable session is made, resumed or discarded.
    Open(Box<Open>),
    /// The connection that `opened` began is over.
    Gone {
        /// Which session.
        session: SessionNo,
        /// The number of the frame that began the connection.
        opened: u64,
        /// When.
        at: Timestamp,
        /// A new session expiry, in seconds.
        expiry_s: Option<u32>,
        /// The client went without saying so: its will stands.
        keep_will: bool,
    },
    /// Subscriptions were made or replaced.
    Subscribe {
        /// Which session.
        session: SessionNo,
        /// When; decides which retained messages are still good.
        at: Timestamp,
        /// The subscription identifier; 0: none.
        id: u32,
        /// The filters.
        filters: Vec<Filter>,
        /// What all of them ask for beyond MQTT.
        ask: Ask,
    },
    /// Subscriptions were ended.
    Unsubscribe {
        /// Which session.
        session: SessionNo,
        /// The filters.
        filters: Vec<TopicFilter>,
    },
    /// The subscriber answered, or the broker gave messages up for it (expired, too large for the client).
    Acks {
        /// Which session.
        session: SessionNo,
        /// What was answered.
        acks: Vec<(Answer, u16)>,
    },
    /// The publisher released a QoS 2 packet identifier (PUBREL).
    Released {
        /// Which session.
        session: SessionNo,
        /// Which identifier.
        packet_id: u16,
    },
    /// A session's time is over.
    Ended {
        /// Which session.
        session: SessionNo,
        /// The number of the frame that began its last connection: a client that came back in between keeps it.
        opened: u64,
    },
    /// What waits in a session for its time, of subscriptions that asked for an interval, is let into its queue.
    Due {
        /// Which session.
        session: SessionNo,
        /// What is due by then.
        at: Timestamp,
    },
    /// The bounds of session queues from here on.
    Limits {
        /// The most messages.
        messages: u64,
        /// The most bytes.
        bytes: u64,
    },
    /// A message was accepted that is kept from everybody.
    Withhold(Box<Withheld>),
    /// One of these was decided on.
    LetGo {
        /// The number of the operation that brought it.
        withheld: u64,
    },
    /// One of these is published, if it is still there; else nothing happens.
    Release {
        /// The number of the operation that brought it.
        withheld: u64,
        /// What is published: the message as one of now and of the person who decided.
        message: Arc<Message>,
    },
}

/// What a subscriber said about a message.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Answer {
    /// It is done with it: PUBACK, PUBCOMP, or a PUBREC that refuses.
    Done,
    /// PUBREC: it has it; PUBREL comes next.
    Received,
}

/// A client connected.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Open {
    /// Which client.
    pub client_id: Text,
    /// Forget any earlier session.
    pub clean_start: bool,
    /// Seconds the session outlives this connection; 0: not at all; `u32::MAX`: for ever.
    pub expiry_s: u32,
    /// When.
    pub at: Timestamp,
    /// The will.
    pub will: Option<Will>,
    /// The user name, for display.
    pub user: Option<Text>,
    /// The protocol version spoken, for display.
    pub version: Version,
    /// As whom it was let in.
    pub principal: Option<Principal>,
    /// How many QoS > 0 messages it takes at a time; 0: not known.
    pub window: u16,
}

/// Bytes that are no frame of the broker's.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// It ends within a field.
    #[error("the frame ends within a field")]
    Truncated,
    /// A field holds what it must not.
    #[error("the frame's {0} cannot be used")]
    Field(&'static str),
    /// There is more behind the last field.
    #[error("the frame has bytes behind its last field")]
    Trailing,
    /// A kind or version this program does not know; it was written by a newer one.
    #[error("the frame's kind {kind} version {version} is not known")]
    Unknown {
        /// The kind.
        kind: u16,
        /// Its version.
        version: u8,
    },
}

impl Op {
    /// Writes it behind what is in `out`, and says what kind of frame it is.
    pub fn encode(&self, out: &mut BytesMut) -> FrameKind {
        match self {
            Self::Publish(published) => {
                published.encode(out);
                FrameKind { version: if published.message.user.is_some() { 2 } else { 1 }, ..kind::PUBLISH }
            }
            Self::Session(op) => {
                op.encode(out);
                FrameKind { version: op.version(), ..kind::SESSION }
            }
        }
    }

    /// The message that it publishes.
    pub(crate) fn into_message(self) -> Option<Arc<Message>> {
        match self {
            Self::Publish(published) => Some(published.message),
            Self::Session(SessionOp::Release { message, .. }) => Some(message),
            Self::Session(_) => None,
        }
    }

    /// When it happened, if it says so.
    pub(crate) fn time(&self) -> Option<Timestamp> {
        match self {
            Self::Publish(published) => Some(published.message.received),
            Self::Session(SessionOp::Open(open)) => Some(open.at),
            Self::Session(SessionOp::Gone { at, .. } | SessionOp::Subscribe { at, .. } | SessionOp::Due { at, .. }) => {
                Some(*at)
            }
            Self::Session(SessionOp::Withhold(withheld)) => Some(withheld.message.received),
            Self::Session(SessionOp::Release { message, .. }) => Some(message.received),
            Self::Session(_) => None,
        }
    }

    /// Reads a frame's payload.
    /// # Errors
    /// [`FrameError`].
    pub fn decode(frame: FrameKind, payload: Bytes) -> Result<Self, FrameError> {
        let mut input = Input(payload);
        let op = match frame {
            FrameKind { kind: PUBLISH, version: 1..=2 } => Self::Publish(Published::decode(&mut input)?),
            FrameKind { kind: SESSION, version: version @ 1..=2 } => {
                Self::Session(SessionOp::decode(&mut input, version)?)
            }
            FrameKind { kind, version } => return Err(FrameError::Unknown { kind, version }),
        };
        if input.0.is_empty() { Ok(op) } else { Err(FrameError::Trailing) }
    }
}

impl Published {
    fn encode(&self, out: &mut BytesMut) {
        number(out, self.publisher.0);
        number(out, u64::from(self.packet_id));
        number(out, self.will_of.0);
        put_message(out, &self.message);
    }

    fn decode(input: &mut Input) -> Result<Self, FrameError> {
        let publisher = SessionNo(input.number()?);
        let packet_id = input.small("packet identifier")?;
        let will_of = SessionNo(input.number()?);
        Ok(Self { message: Arc::new(input.message()?), publisher, packet_id, will_of })
    }
}

mod tag {
    pub(super) const OPEN: u8 = 1;
    pub(super) const GONE: u8 = 2;
    pub(super) const SUBSCRIBE: u8 = 3;
    pub(super) const UNSUBSCRIBE: u8 = 4;
    pub(super) const ACKS: u8 = 5;
    pub(super) const RELEASED: u8 = 6;
    pub(super) const ENDED: u8 = 7;
    pub(super) const LIMITS: u8 = 8;
    pub(super) const DUE: u8 = 9;
    pub(super) const WITHHOLD: u8 = 10;
    pub(super) const LET_GO: u8 = 11;
    pub(super) const RELEASE: u8 = 12;
}

const PUBLISH: u16 = kind::PUBLISH.kind;
const SESSION: u16 = kind::SESSION.kind;

impl SessionOp {
    /// The version that can say this.
    fn version(&self) -> u8 {
        match self {
            Self::Open(open) if open.principal.is_some() || open.window != 0 => 2,
            Self::Subscribe { ask, .. } if ask.is_any() => 2,
            Self::Due { .. } | Self::Withhold(_) | Self::LetGo { .. } | Self::Release { .. } => 2,
            _ => 1,
        }
    }

    fn encode(&self, out: &mut BytesMut) {
        match self {
            Self::Open(open) => {
                out.put_u8(tag::OPEN);
                blob(out, open.client_id.as_bytes());
                out.put_u8(u8::from(open.clean_start));
                number(out, u64::from(open.expiry_s));
                out.put_i64(open.at.micros());
                optional(out, open.will.as_ref(), put_will);
                optional(out, open.user.as_ref(), |out, user| blob(out, user.as_bytes()));
                out.put_u8(open.version.level());
                if self.version() >= 2 {
                    optional(out, open.principal.as_ref(), put_principal);
                    number(out, u64::from(open.window));
                }
            }
            Self::Gone { session, opened, at, expiry_s, keep_will } => {
                out.put_u8(tag::GONE);
                number(out, session.0);
                number(out, *opened);
                out.put_i64(at.micros());
                optional(out, expiry_s.as_ref(), |out, s| number(out, u64::from(*s)));
                out.put_u8(u8::from(*keep_will));
            }
            Self::Subscribe { session, at, id, filters, ask } => {
                out.put_u8(tag::SUBSCRIBE);
                number(out, session.0);
                out.put_i64(at.micros());
                number(out, u64::from(*id));
                number(out, filters.len() as u64);
                filters.iter().for_each(|f| put_filter(out, f));
                if self.version() >= 2 {
                    put_ask(out, *ask);
                }
            }
            Self::Unsubscribe { session, filters } => {
                out.put_u8(tag::UNSUBSCRIBE);
                number(out, session.0);
                number(out, filters.len() as u64);
                filters.iter().for_each(|f| blob(out, f.as_str().as_bytes()));
            }
            Self::Acks { session, acks } => {
                out.put_u8(tag::ACKS);
                number(out, session.0);
                number(out, acks.len() as u64);
                for (answer, id) in acks {
                    out.put_u8(u8::from(*answer == Answer::Received));
                    out.put_u16(*id);
                }
            }
            Self::Released { session, packet_id } => {
                out.put_u8(tag::RELEASED);
                number(out, session.0);
                out.put_u16(*packet_id);
            }
            Self::Ended { session, opened } => {
                out.put_u8(tag::ENDED);
                number(out, session.0);
                number(out, *opened);
            }
            Self::Due { session, at } => {
                out.put_u8(tag::DUE);
                number(out, session.0);
                out.put_i64(at.micros());
            }
            Self::Limits { messages, bytes } => {
                out.put_u8(tag::LIMITS);
                number(out, *messages);
                number(out, *bytes);
            }
            Self::Withhold(withheld) => {
                out.put_u8(tag::WITHHOLD);
                put_withheld(out, withheld);
            }
            Self::LetGo { withheld } => {
                out.put_u8(tag::LET_GO);
                number(out, *withheld);
            }
            Self::Release { withheld, message } => {
                out.put_u8(tag::RELEASE);
                number(out, *withheld);
                put_message(out, message);
            }
        }
    }

    fn decode(input: &mut Input, version: u8) -> Result<Self, FrameError> {
        let newer = version >= 2;
        Ok(match input.byte()? {
            tag::OPEN => Self::Open(Box::new(Open {
                client_id: input.text()?,
                clean_start: input.flag()?,
                expiry_s: input.small("session expiry")?,
                at: input.time()?,
                will: input.optional(Input::will)?,
                user: input.optional(Input::text)?,
                version: input.version()?,
                principal: if newer { input.optional(Input::principal)? } else { None },
                window: if newer { input.small("window")? } else { 0 },
            })),
            tag::GONE => Self::Gone {
                session: SessionNo(input.number()?),
                opened: input.number()?,
                at: input.time()?,
                expiry_s: input.optional(|i| i.small("session expiry"))?,
                keep_will: input.flag()?,
            },
            tag::SUBSCRIBE => Self::Subscribe {
                session: SessionNo(input.number()?),
                at: input.time()?,
                id: input.small("subscription identifier")?,
                filters: input.list(Input::filter)?,
                ask: if newer { input.ask()? } else { Ask::default() },
            },
            tag::UNSUBSCRIBE => {
                Self::Unsubscribe { session: SessionNo(input.number()?), filters: input.list(Input::topic_filter)? }
            }
            tag::ACKS => Self::Acks {
                session: SessionNo(input.number()?),
                acks: input.list(|i| {
                    let answer = if i.flag()? { Answer::Received } else { Answer::Done };
                    Ok((answer, i.two_bytes()?))
                })?,
            },
            tag::RELEASED => Self::Released { session: SessionNo(input.number()?), packet_id: input.two_bytes()? },
            tag::ENDED => Self::Ended { session: SessionNo(input.number()?), opened: input.number()? },
            tag::DUE => Self::Due { session: SessionNo(input.number()?), at: input.time()? },
            tag::LIMITS => Self::Limits { messages: input.number()?, bytes: input.number()? },
            tag::WITHHOLD => Self::Withhold(Box::new(input.withheld()?)),
            tag::LET_GO => Self::LetGo { withheld: input.number()? },
            tag::RELEASE => Self::Release { withheld: input.number()?, message: Arc::new(input.message()?) },
            _ => return Err(FrameError::Field("tag")),
        })
    }
}

/// The topic of the message that a frame publishes, without the rest; `None`: it publishes none.
pub(crate) fn peek(frame: FrameKind, payload: &[u8]) -> Option<&str> {
    let (numbers, mut rest) = match frame.kind {
        // Publisher, packet identifier, whose will.
        PUBLISH => (3, payload),
        // Which of those in quarantine.
        SESSION if payload.first() == Some(&tag::RELEASE) => (1, payload.get(1..)?),
        _ => return None,
    };
    for _ in 0..numbers {
        varint::take(&mut rest).ok()?;
    }
    let (_bits, mut rest) = rest.split_first()?;
    let length = usize::try_from(varint::take(&mut rest).ok()?).ok()?;
    std::str::from_utf8(rest.get(..length)?).ok()
}

pub(crate) fn put_withheld(out: &mut BytesMut, withheld: &Withheld) {
    number(out, withheld.publisher.0);
    number(out, u64::from(withheld.packet_id));
    number(out, withheld.will_of.0);
    out.put_u128(withheld.by.as_u128());
    blob(out, withheld.rule.as_bytes());
    blob(out, withheld.words.as_bytes());
    put_message(out, &withheld.message);
}

pub(crate) fn number(out: &mut BytesMut, value: u64) {
    let mut rest = value;
    while rest >= 0x80 {
        out.put_u8((rest & 0x7F) as u8 | 0x80);
        rest >>= 7;
    }
    out.put_u8(rest as u8);
}

pub(crate) fn blob(out: &mut BytesMut, bytes: &[u8]) {
    number(out, bytes.len() as u64);
    out.extend_from_slice(bytes);
}

pub(crate) fn optional<T>(out: &mut BytesMut, value: Option<&T>, put: impl FnOnce(&mut BytesMut, &T)) {
    out.put_u8(u8::from(value.is_some()));
    if let Some(value) = value {
        put(out, value);
    }
}

fn put_user(out: &mut BytesMut, user: &UserProperties) {
    number(out, user.len() as u64);
    for (name, value) in user {
        blob(out, name.as_bytes());
        blob(out, value.as_bytes());
    }
}

/// The fields a message and a will have in common, in one bit each when absent.
struct Extras<'a> {
    payload_format: Option<bool>,
    content_type: Option<&'a Text>,
    response_topic: Option<&'a TopicName>,
    correlation_data: Option<&'a Bytes>,
    user: &'a UserProperties,
}

fn put_extras(out: &mut BytesMut, extras: &Extras<'_>) {
    let bits = u8::from(extras.payload_format.is_some())
        | u8::from(extras.payload_format == Some(true)) << 1
        | u8::from(extras.content_type.is_some()) << 2
        | u8::from(extras.response_topic.is_some()) << 3
        | u8::from(extras.correlation_data.is_some()) << 4
        | u8::from(!extras.user.is_empty()) << 5;
    out.put_u8(bits);
    if let Some(text) = extras.content_type {
        blob(out, text.as_bytes());
    }
    if let Some(topic) = extras.response_topic {
        blob(out, topic.as_bytes());
    }
    if let Some(data) = extras.correlation_data {
        blob(out, data);
    }
    if !extras.user.is_empty() {
        put_user(out, extras.user);
    }
}

pub(crate) fn put_message(out: &mut BytesMut, m: &Message) {
    out.reserve(m.topic.as_bytes().len() + m.payload.len() + 64);
    out.put_u8(
        m.qos as u8
            | u8::from(m.retain) << 2
            | u8::from(m.expires.is_some()) << 3
            | u8::from(m.publisher.is_some()) << 4
            | u8::from(m.user.is_some()) << 5,
    );
    blob(out, m.topic.as_bytes());
    out.put_i64(m.received.micros());
    if let Some(expires) = m.expires {
        out.put_i64(expires.micros());
    }
    if let Some(publisher) = &m.publisher {
        blob(out, publisher.as_bytes());
    }
    if let Some(user) = &m.user {
        put_principal(out, user);
    }
    put_extras(
        out,
        &Extras {
            payload_format: m.payload_format,
            content_type: m.content_type.as_ref(),
            response_topic: m.response_topic.as_ref(),
            correlation_data: m.correlation_data.as_ref(),
            user: &m.user_properties,
        },
    );
    blob(out, &m.payload);
}

/// Who somebody is; the numbers of the kinds are forever.
pub(crate) fn put_principal(out: &mut BytesMut, who: &Principal) {
    out.put_u8(match who.kind {
        PrincipalKind::Person => 0,
        PrincipalKind::Token => 1,
        PrincipalKind::Device => 2,
        PrincipalKind::System => 3,
        PrincipalKind::Anonymous => 4,
    });
    out.put_u128(who.id.as_u128());
}

/// What a subscription asks for: a byte of bits, and what its kind of delivery goes by.
pub(crate) fn put_ask(out: &mut BytesMut, ask: Ask) {
    let origin = u8::from(ask.origin);
    match ask.deliver {
        Deliver::All => out.put_u8(origin),
        Deliver::Latest => out.put_u8(origin | 1 << 1),
        Deliver::Every { ms } => {
            out.put_u8(origin | 2 << 1);
            out.put_u32(ms);
        }
        Deliver::Deadband { bits } => {
            out.put_u8(origin | 3 << 1);
            out.put_u64(bits);
        }
    }
}

pub(crate) fn put_will(out: &mut BytesMut, will: &Will) {
    out.put_u8(will.qos as u8 | u8::from(will.retain) << 2);
    blob(out, will.topic.as_bytes());
    let p = &will.properties;
    number(out, u64::from(p.delay_s.unwrap_or(0)));
    optional(out, p.message_expiry_s.as_ref(), |out, s| number(out, u64::from(*s)));
    put_extras(
        out,
        &Extras {
            payload_format: p.payload_format,
            content_type: p.content_type.as_ref(),
            response_topic: p.response_topic.as_ref(),
            correlation_data: p.correlation_data.as_ref(),
            user: &p.user,
        },
    );
    blob(out, &will.payload);
}

pub(crate) fn put_filter(out: &mut BytesMut, f: &Filter) {
    blob(out, f.filter.as_str().as_bytes());
    out.put_u8(
        f.qos as u8 | u8::from(f.no_local) << 2 | u8::from(f.retain_as_published) << 3 | (f.retain_handling as u8) << 4,
    );
}

/// What is left to read. Nothing is allocated on the word of a length that the bytes do not bear out.
pub(crate) struct Input(pub(crate) Bytes);

impl Input {
    pub(crate) fn byte(&mut self) -> Result<u8, FrameError> {
        self.0.try_get_u8().map_err(|_| FrameError::Truncated)
    }

    pub(crate) fn flag(&mut self) -> Result<bool, FrameError> {
        Ok(self.byte()? != 0)
    }

    pub(crate) fn two_bytes(&mut self) -> Result<u16, FrameError> {
        self.0.try_get_u16().map_err(|_| FrameError::Truncated)
    }

    pub(crate) fn four_bytes(&mut self) -> Result<u32, FrameError> {
        self.0.try_get_u32().map_err(|_| FrameError::Truncated)
    }

    pub(crate) fn time(&mut self) -> Result<Timestamp, FrameError> {
        self.0.try_get_i64().map(Timestamp::from_micros).map_err(|_| FrameError::Truncated)
    }

    pub(crate) fn number(&mut self) -> Result<u64, FrameError> {
        let mut value = 0_u64;
        for at in 0..10 {
            let byte = self.byte()?;
            value |= u64::from(byte & 0x7F).checked_shl(7 * at).unwrap_or(0);
            if byte & 0x80 == 0 {
                return Ok(value);
            }
        }
        Err(FrameError::Field("number"))
    }

    pub(crate) fn small<T: TryFrom<u64>>(&mut self, what: &'static str) -> Result<T, FrameError> {
        T::try_from(self.number()?).map_err(|_| FrameError::Field(what))
    }

    pub(crate) fn blob(&mut self) -> Result<Bytes, FrameError> {
        let length: usize = self.small("length")?;
        if length > self.0.len() {
            return Err(FrameError::Truncated);
        }
        Ok(self.0.split_to(length))
    }

    pub(crate) fn optional<T>(
        &mut self,
        read: impl FnOnce(&mut Self) -> Result<T, FrameError>,
    ) -> Result<Option<T>, FrameError> {
        if self.flag()? { read(self).map(Some) } else { Ok(None) }
    }

    pub(crate) fn list<T>(
        &mut self,
        mut read: impl FnMut(&mut Self) -> Result<T, FrameError>,
    ) -> Result<Vec<T>, FrameError> {
        let count = self.number()?;
        let mut list = Vec::new();
        for _ in 0..count {
            list.push(read(self)?);
        }
        Ok(list)
    }

    /// A string in memory of its own, since frames are read many at a time.
    pub(crate) fn text(&mut self) -> Result<Text, FrameError> {
        let bytes = self.blob()?;
        Text::from_bytes(Bytes::copy_from_slice(&bytes)).map_err(|_| FrameError::Field("text"))
    }

    pub(crate) fn topic_name(&mut self) -> Result<TopicName, FrameError> {
        TopicName::from_text(self.text()?).map_err(|_| FrameError::Field("topic name"))
    }

    pub(crate) fn topic_filter(&mut self) -> Result<TopicFilter, FrameError> {
        TopicFilter::from_text(self.text()?).map_err(|_| FrameError::Field("topic filter"))
    }

    pub(crate) fn version(&mut self) -> Result<Version, FrameError> {
        match self.byte()? {
            3 => Ok(Version::V31),
            4 => Ok(Version::V311),
            5 => Ok(Version::V5),
            _ => Err(FrameError::Field("protocol level")),
        }
    }

    fn qos(bits: u8) -> Result<QoS, FrameError> {
        QoS::from_bits(bits & 3).ok_or(FrameError::Field("QoS"))
    }

    pub(crate) fn filter(&mut self) -> Result<Filter, FrameError> {
        let filter = self.topic_filter()?;
        let bits = self.byte()?;
        let retain_handling = match bits >> 4 {
            0 => RetainHandling::Send,
            1 => RetainHandling::SendIfNew,
            2 => RetainHandling::DoNotSend,
            _ => return Err(FrameError::Field("retain handling")),
        };
        Ok(Filter {
            filter,
            qos: Self::qos(bits)?,
            no_local: bits & 4 != 0,
            retain_as_published: bits & 8 != 0,
            retain_handling,
        })
    }

    pub(crate) fn withheld(&mut self) -> Result<Withheld, FrameError> {
        let publisher = SessionNo(self.number()?);
        let packet_id = self.small("packet identifier")?;
        let will_of = SessionNo(self.number()?);
        if self.0.len() < 16 {
            return Err(FrameError::Truncated);
        }
        let by = uuid::Uuid::from_u128(self.0.get_u128());
        let (rule, words) = (self.text()?, self.text()?);
        let message = Arc::new(self.message()?);
        Ok(Withheld { message, publisher, packet_id, will_of, by, rule, words })
    }

    pub(crate) fn message(&mut self) -> Result<Message, FrameError> {
        let bits = self.byte()?;
        let topic = self.topic_name()?;
        let received = self.time()?;
        let expires = if bits & 8 != 0 { Some(self.time()?) } else { None };
        let publisher = if bits & 16 != 0 { Some(self.text()?) } else { None };
        let user = if bits & 32 != 0 { Some(self.principal()?) } else { None };
        let extras = self.byte()?;
        Ok(Message {
            topic,
            qos: Self::qos(bits)?,
            retain: bits & 4 != 0,
            publisher,
            user,
            received,
            expires,
            payload_format: (extras & 1 != 0).then_some(extras & 2 != 0),
            content_type: if extras & 4 != 0 { Some(self.text()?) } else { None },
            response_topic: if extras & 8 != 0 { Some(self.topic_name()?) } else { None },
            correlation_data: if extras & 16 != 0 { Some(self.own_blob()?) } else { None },
            user_properties: if extras & 32 != 0 { self.user()? } else { Vec::new() },
            payload: self.own_blob()?,
        })
    }

    pub(crate) fn principal(&mut self) -> Result<Principal, FrameError> {
        let kind = match self.byte()? {
            0 => PrincipalKind::Person,
            1 => PrincipalKind::Token,
            2 => PrincipalKind::Device,
            3 => PrincipalKind::System,
            4 => PrincipalKind::Anonymous,
            _ => return Err(FrameError::Field("principal")),
        };
        let id = self.0.try_get_u128().map_err(|_| FrameError::Truncated)?;
        Ok(Principal { id: uuid::Uuid::from_u128(id), kind })
    }

    pub(crate) fn ask(&mut self) -> Result<Ask, FrameError> {
        let bits = self.byte()?;
        let deliver = match bits >> 1 {
            0 => Deliver::All,
            1 => Deliver::Latest,
            2 => Deliver::Every { ms: self.four_bytes()? },
            3 => Deliver::Deadband { bits: self.0.try_get_u64().map_err(|_| FrameError::Truncated)? },
            _ => return Err(FrameError::Field("ask")),
        };
        Ok(Ask { origin: bits & 1 != 0, deliver })
    }

    pub(crate) fn will(&mut self) -> Result<Will, FrameError> {
        let bits = self.byte()?;
        let topic = self.topic_name()?;
        let delay: u32 = self.small("will delay")?;
        let message_expiry_s = self.optional(|i| i.small("message expiry"))?;
        let extras = self.byte()?;
        let properties = WillProperties {
            delay_s: (delay > 0).then_some(delay),
            message_expiry_s,
            payload_format: (extras & 1 != 0).then_some(extras & 2 != 0),
            content_type: if extras & 4 != 0 { Some(self.text()?) } else { None },
            response_topic: if extras & 8 != 0 { Some(self.topic_name()?) } else { None },
            correlation_data: if extras & 16 != 0 { Some(self.own_blob()?) } else { None },
            user: if extras & 32 != 0 { self.user()? } else { Vec::new() },
        };
        Ok(Will { topic, payload: self.own_blob()?, qos: Self::qos(bits)?, retain: bits & 4 != 0, properties })
    }

    fn own_blob(&mut self) -> Result<Bytes, FrameError> {
        Ok(Bytes::copy_from_slice(&self.blob()?))
    }

    fn user(&mut self) -> Result<UserProperties, FrameError> {
        self.list(|i| Ok((i.text()?, i.text()?)))
    }
}

#[cfg(test)]
mod tests;
