//! A message inside the broker, and its bytes for each kind of receiver.

use crate::asks::Extra;
use crate::origin::{self, Names};
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_wire::mqtt::{
    EncodedPublish, Publish, PublishProperties, QoS, Text, TopicName, UserProperties, Version, Will,
};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;

/// A message as the broker keeps and routes it. Shared, never changed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Message {
    /// Where it was published to.
    pub topic: TopicName,
    /// The content.
    pub payload: Bytes,
    /// As published.
    pub qos: QoS,
    /// As published.
    pub retain: bool,
    /// The client that published it; `None`: this node itself.
    pub publisher: Option<Text>,
    /// As whom that client was connected; `None`: not known (of a message from an earlier version), or this node itself.
    pub user: Option<Principal>,
    /// When the broker received it.
    pub received: Timestamp,
    /// When it stops being of use; never delivered after that.
    pub expires: Option<Timestamp>,
    /// MQTT 5.0 payload format indicator: true for UTF-8 text.
    pub payload_format: Option<bool>,
    /// MQTT 5.0 content type.
    pub content_type: Option<Text>,
    /// MQTT 5.0 response topic.
    pub response_topic: Option<TopicName>,
    /// MQTT 5.0 correlation data.
    pub correlation_data: Option<Bytes>,
    /// MQTT 5.0 user properties, in order.
    pub user_properties: UserProperties,
}

impl Message {
    /// A message of the node itself.
    #[must_use]
    pub fn internal(topic: TopicName, payload: Bytes, qos: QoS, retain: bool, received: Timestamp) -> Self {
        Self {
            topic,
            payload,
            qos,
            retain,
            publisher: None,
            user: None,
            received,
            expires: None,
            payload_format: None,
            content_type: None,
            response_topic: None,
            correlation_data: None,
            user_properties: Vec::new(),
        }
    }

    /// From a client's PUBLISH; `keep`: in memory of its own, since it will outlive the packet.
    pub(crate) fn from_publish(
        publish: Publish,
        topic: TopicName,
        publisher: Text,
        user: Principal,
        received: Timestamp,
        keep: bool,
    ) -> Self {
        let p = publish.properties;
        let text = |t: Text| if keep { t.compact() } else { t };
        let name = |t: TopicName| if keep { t.compact() } else { t };
        let blob = |b: Bytes| if keep { Bytes::copy_from_slice(&b) } else { b };
        Self {
            topic: name(topic),
            payload: blob(publish.payload),
            qos: publish.qos,
            retain: publish.retain,
            publisher: Some(publisher),
            user: Some(user),
            received,
            expires: p.message_expiry_s.map(|s| received.plus(Duration::from_secs(u64::from(s)))),
            payload_format: p.payload_format,
            content_type: p.content_type.map(text),
            response_topic: p.response_topic.map(name),
            correlation_data: p.correlation_data.map(blob),
            user_properties: p.user.into_iter().map(|(n, v)| (text(n), text(v))).collect(),
        }
    }

    /// From a will, at the moment it is published.
    pub(crate) fn from_will(will: &Will, publisher: Text, user: Option<Principal>, now: Timestamp) -> Self {
        let p = &will.properties;
        Self {
            topic: will.topic.clone(),
            payload: will.payload.clone(),
            qos: will.qos,
            retain: will.retain,
            publisher: Some(publisher),
            user,
            received: now,
            expires: p.message_expiry_s.map(|s| now.plus(Duration::from_secs(u64::from(s)))),
            payload_format: p.payload_format,
            content_type: p.content_type.clone(),
            response_topic: p.response_topic.clone(),
            correlation_data: p.correlation_data.clone(),
            user_properties: p.user.clone(),
        }
    }

    /// What it counts for against a queue's bound: its content and about what the bookkeeping takes. Part of the lane's format: it
    /// decides what a full queue drops, which a replay must decide in the same way.
    pub(crate) fn weight(&self) -> usize {
        let user: usize = self.user_properties.iter().map(|(n, v)| n.as_bytes().len() + v.as_bytes().len() + 64).sum();
        self.topic.as_bytes().len() + self.payload.len() + user + 256
    }

    /// About what it takes in memory, in bytes. Unlike [`Message::weight`], by which a replay decides, it may change with the program.
    pub(crate) fn size(&self) -> usize {
        let text = |text: Option<usize>| text.unwrap_or(0);
        self.weight()
            + text(self.content_type.as_ref().map(|t| t.as_bytes().len()))
            + text(self.response_topic.as_ref().map(|t| t.as_bytes().len()))
            + text(self.correlation_data.as_ref().map(Bytes::len))
    }

    /// Tells one message of a client from another under the same packet identifier. Part of the snapshot's format.
    pub(crate) fn mark(&self) -> u32 {
        mark(&self.topic, &self.payload)
    }

    pub(crate) fn is_expired(&self, now: Timestamp) -> bool {
        self.expires.is_some_and(|at| at <= now)
    }

    fn to_publish(&self, qos: QoS, how: How<'_>, now: Timestamp) -> Publish {
        // What is left of its life, rounded up so that a live message never says 0. MQTT 5.0 [MQTT-3.3.2-6].
        // Of what is past it says nothing: who asks for it wants it all the same.
        let left = self.expires.filter(|_| !how.extra.past).map(|at| {
            let micros = at.since(now).as_micros();
            u32::try_from(micros.div_ceil(1_000_000)).unwrap_or(u32::MAX)
        });
        Publish {
            dup: false,
            qos,
            retain: how.retain,
            topic: Some(self.topic.clone()),
            packet_id: 0,
            properties: PublishProperties {
                payload_format: self.payload_format,
                message_expiry_s: left,
                topic_alias: None,
                response_topic: self.response_topic.clone(),
                correlation_data: self.correlation_data.clone(),
                content_type: self.content_type.clone(),
                user: self.told(how),
                subscription_ids: how.ids.to_vec(),
            },
            payload: self.payload.clone(),
        }
    }

    /// The user properties for a receiver.
    fn told(&self, how: How<'_>) -> UserProperties {
        if !how.extra.asked {
            return self.user_properties.clone();
        }
        let mut user = origin::without_ours(self);
        if how.extra.origin {
            origin::tell(self, how.names, &mut user);
        }
        if how.extra.past
            && let (Ok(name), Ok(yes)) = (Text::parse("andon-history"), Text::parse("yes"))
        {
            user.push((name, yes));
        }
        if how.extra.left_out > 0
            && let (Ok(name), Ok(count)) = (Text::parse("andon-left-out"), Text::parse(&how.extra.left_out.to_string()))
        {
            user.push((name, count));
        }
        user
    }
}

/// How a receiver gets a message, beside its QoS.
#[derive(Clone, Copy, Debug)]
pub(crate) struct How<'a> {
    pub(crate) retain: bool,
    /// Subscription identifiers.
    pub(crate) ids: &'a [u32],
    /// What it is told besides.
    pub(crate) extra: Extra,
    /// What publishers are called, if it may know.
    pub(crate) names: Option<&'a Names>,
}

/// [`Message::mark`] of a message with this topic and content; never 0.
pub(crate) fn mark(topic: &TopicName, payload: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(topic.as_bytes()), payload).max(1)
}

/// A number that stands for a topic on one connection. MQTT 5.0 §3.3.2.3.4.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Alias {
    pub(crate) number: u16,
    /// The receiver does not know it yet.
    pub(crate) is_new: bool,
}

/// One message's bytes, written once per kind of receiver while it is being handed out.
pub(crate) struct Encodings<'a> {
    message: &'a Arc<Message>,
    now: Timestamp,
    done: [Option<EncodedPublish>; 12],
    /// Those that tell where the message comes from; in memory of their own, for few ask for that.
    with_origin: Option<Box<[Option<EncodedPublish>; 12]>>,
}

impl<'a> Encodings<'a> {
    pub(crate) const fn new(message: &'a Arc<Message>, now: Timestamp) -> Self {
        Self { message, now, done: [const { None }; 12], with_origin: None }
    }

    pub(crate) fn is_of(&self, message: &Arc<Message>) -> bool {
        Arc::ptr_eq(self.message, message)
    }

    pub(crate) const fn message(&self) -> &'a Arc<Message> {
        self.message
    }

    pub(crate) fn topic(&self) -> &TopicName {
        &self.message.topic
    }

    /// The bytes for a 5.0 receiver that knows an alias for the topic, or learns it from them.
    pub(crate) fn aliased(&self, qos: QoS, how: How<'_>, alias: Alias) -> Option<EncodedPublish> {
        let mut publish = self.message.to_publish(qos, how, self.now);
        publish.properties.topic_alias = Some(alias.number);
        if !alias.is_new {
            publish.topic = None;
        }
        EncodedPublish::new(&publish, Version::V5).ok()
    }

    /// The bytes for a receiver; `None` if MQTT cannot carry the message (its parts were checked, so this is a packet
    /// over 256 MiB).
    pub(crate) fn get(&mut self, version: Version, qos: QoS, how: How<'_>) -> Option<EncodedPublish> {
        let v5 = version.is_v5();
        let kind = usize::from(how.retain) * 3 + usize::from(qos as u8);
        // Older versions carry neither identifiers nor properties.
        let place = match how.extra {
            _ if !v5 => self.done.get_mut(kind),
            _ if !how.ids.is_empty() => None,
            Extra { asked: false, .. } => self.done.get_mut(6 + kind),
            Extra { origin: true, left_out: 0, past: false, .. } => {
                let all = self.with_origin.get_or_insert_with(|| Box::new([const { None }; 12]));
                all.get_mut(usize::from(how.names.is_some()) * 6 + kind)
            }
            _ => None,
        };
        let encode = || EncodedPublish::new(&self.message.to_publish(qos, how, self.now), version).ok();
        let Some(place) = place else { return encode() };
        if place.is_none() {
            *place = encode();
        }
        place.clone()
    }
}
