//! From there to here. What comes is as untrusted as what any client sends.

use super::link::Arrival;
use super::sending::{Answer, Online, Taking, add_to_path};
use super::state::{Amount, Loss};
use super::status::{Trouble, brief, words};
use super::task::Task;
use super::{MARKS, PATH};
use crate::broker::PublishError;
use crate::message::Message;
use andon_model::access::Principal;
use andon_model::log::AppendError;
use andon_wire::mqtt::{Ack, Oversize, Packet, Publish, QoS, ReasonCode, TopicName};

impl Task {
    /// Handles every packet that has arrived.
    pub(super) async fn hear(&mut self, online: &mut Online) -> Result<(), Trouble> {
        let mut whole = false;
        while let Some(arrival) = online.link.take()? {
            whole = true;
            let packet = match arrival {
                Arrival::Packet(packet) => packet,
                Arrival::Oversize(over) => {
                    self.too_large(online, &over)?;
                    continue;
                }
            };
            match packet {
                Packet::PubAck(ack) => self.acknowledged(online, &ack)?,
                Packet::Publish(publish) => self.take(online, publish).await?,
                Packet::SubAck(ack) => self.granted(online, Answer::SubAck, ack.packet_id, &ack.reasons)?,
                Packet::UnsubAck(ack) => self.granted(online, Answer::UnsubAck, ack.packet_id, &ack.reasons)?,
                Packet::PingResp => Self::pong(online),
                Packet::Disconnect(disconnect) => {
                    online.thrown_out = may_be_about_a_message(disconnect.reason);
                    let more = words(disconnect.properties.reason_string.as_ref());
                    let text = format!("the other side ended the connection: {}{more}", disconnect.reason);
                    let remedy = match disconnect.reason {
                        ReasonCode::SESSION_TAKEN_OVER => "give every client of the other side its own `client_id`",
                        _ => "look into the other side's log",
                    };
                    return Err(Trouble::new(text, remedy));
                }
                other => {
                    let text = format!(
                        "the other side sent a packet that does not belong here: {}",
                        brief(&format!("{other:?}"))
                    );
                    return Err(Trouble::new(text, "look whether an MQTT broker of this version listens there"));
                }
            }
        }
        online.heard(whole);
        Ok(())
    }

    /// A message of the other side: into the log, and acknowledged once it is there; or not taken, which is told.
    async fn take(&mut self, online: &mut Online, publish: Publish) -> Result<(), Trouble> {
        not_asked_for(publish.qos)?;
        let (packet_id, qos) = (publish.packet_id, publish.qos);
        let Some(theirs) = publish.topic.clone() else {
            return Err(Trouble::new(
                "the other side used a topic alias, which was not allowed",
                "report it to its maker",
            ));
        };
        if self.was_here(&publish) {
            self.status.set(|report| report.looped += 1);
            online.answer_in_turn(packet_id, qos, ReasonCode::SUCCESS);
            return Ok(());
        }
        let message = match self.as_ours(online, publish, &theirs) {
            Ok(message) => message,
            Err((reason, words)) => {
                self.not_taken(&theirs, &words);
                online.answer_in_turn(packet_id, qos, reason);
                return Ok(());
            }
        };
        let retain = message.retain;
        let admitted = match self.broker.admit_message(message) {
            Ok(admitted) => admitted,
            Err(error) => {
                self.not_taken(&theirs, &error.to_string());
                online.answer_in_turn(packet_id, qos, reason_of(&error));
                return Ok(());
            }
        };
        self.status.received();
        // It must not overtake what is on its way into the log.
        let spared = admitted.is_volatile() && online.taking.is_empty();
        if admitted.breach().is_some() || (!retain && (qos == QoS::AtMostOnce || spared)) {
            return match self.broker.publish_admitted(admitted).await {
                Err(error) if qos != QoS::AtMostOnce => Err(not_kept(&error)),
                _ => {
                    online.answer_in_turn(packet_id, qos, ReasonCode::SUCCESS);
                    Ok(())
                }
            };
        }
        let done = self.broker.submit_own(admitted).await;
        online.taking.push_back(Taking { packet_id, reason: ReasonCode::SUCCESS, done: Some(done) });
        Ok(())
    }

    /// A message that is larger than what was read of it.
    fn too_large(&mut self, online: &mut Online, over: &Oversize) -> Result<(), Trouble> {
        not_asked_for(over.qos)?;
        let most = self.broker.options.payload_bytes;
        self.not_taken(&over.topic, &format!("its packet has {} bytes, and a payload at most {most}", over.bytes));
        online.answer_in_turn(over.packet_id, over.qos, ReasonCode::IMPLEMENTATION_SPECIFIC);
        Ok(())
    }

    /// Whether a message has left this node before.
    fn was_here(&self, publish: &Publish) -> bool {
        let own = self.options.node.to_string();
        let mut paths = publish.properties.user.iter().filter(|(name, _)| name.as_str() == PATH);
        paths.any(|(_, nodes)| nodes.as_str().split(',').any(|node| node == own))
    }

    /// The message as it is published here.
    fn as_ours(
        &self,
        online: &Online,
        mut publish: Publish,
        theirs: &TopicName,
    ) -> Result<Message, (ReasonCode, String)> {
        let rule = self.options.receive.iter().find(|rule| rule.filter.matches(theirs.as_str()));
        let rule = rule.ok_or_else(|| (ReasonCode::SUCCESS, "no rule of `receive` is for its topic".to_owned()))?;
        let topic = rule
            .map(theirs.as_str())
            .ok_or_else(|| (ReasonCode::TOPIC_NAME_INVALID, "its topic has no name here".to_owned()))?;
        let (most, has) = (self.broker.options.user_properties.saturating_add(MARKS), publish.properties.user.len());
        if has > most {
            let words = format!("it has {has} user properties, and at most {most} are taken");
            return Err((ReasonCode::IMPLEMENTATION_SPECIFIC, words));
        }
        if let Some(peer) = &online.peer {
            // It left that node on its way here.
            add_to_path(&mut publish.properties.user, peer);
        }
        Ok(Message::from_publish(publish, topic, self.sieve.own.clone(), Principal::SYSTEM, self.clock.now(), true))
    }

    fn not_taken(&mut self, topic: &TopicName, words: &str) {
        let detail = || format!("{}: {words}", topic.as_str());
        self.state.lose(Loss::NotTaken, Amount::of(topic.as_bytes().len() as u64), self.clock.now(), detail);
    }

    /// The first of the messages on their way into the log is there, or cannot be.
    pub(super) fn taken(&mut self, online: &mut Online, taken: Result<usize, AppendError>) -> Result<(), Trouble> {
        let Some(Taking { packet_id, reason, .. }) = online.taking.pop_front() else { return Ok(()) };
        match taken {
            Ok(_) if packet_id == 0 => Ok(()),
            // 3.1.1 has no "no"; unanswered, the other side would send it for ever.
            Ok(_) => online.send(&Packet::PubAck(Ack::new(packet_id, reason))),
            Err(error) => Err(not_kept(&error)),
        }
    }
}

/// A message with QoS 2 is for a subscription that is not ours.
fn not_asked_for(qos: QoS) -> Result<(), Trouble> {
    if qos != QoS::ExactlyOnce {
        return Ok(());
    }
    Err(Trouble::new(
        "the other side sent a message with QoS 2, which was not asked for",
        "end the old subscriptions of this client_id there, or choose another client_id",
    ))
}

fn not_kept(error: &dyn std::error::Error) -> Trouble {
    Trouble::new(
        format!("a message of the other side could not be kept: {error}"),
        "free space on the disk; the other side keeps the message and sends it again",
    )
}

/// Whether the other side may have ended the link over what it was sent, and not because it stops, is busy or prefers somebody else.
const fn may_be_about_a_message(reason: ReasonCode) -> bool {
    matches!(
        reason,
        ReasonCode::UNSPECIFIED
            | ReasonCode::MALFORMED_PACKET
            | ReasonCode::PROTOCOL_ERROR
            | ReasonCode::IMPLEMENTATION_SPECIFIC
            | ReasonCode::NOT_AUTHORIZED
            | ReasonCode::TOPIC_NAME_INVALID
            | ReasonCode::PACKET_TOO_LARGE
            | ReasonCode::QUOTA_EXCEEDED
            | ReasonCode::PAYLOAD_FORMAT_INVALID
            | ReasonCode::RETAIN_NOT_SUPPORTED
            | ReasonCode::QOS_NOT_SUPPORTED
    )
}

/// Why a message is not taken, for the other side.
const fn reason_of(error: &PublishError) -> ReasonCode {
    match error {
        PublishError::Topic(_) | PublishError::Levels { .. } => ReasonCode::TOPIC_NAME_INVALID,
        PublishError::TooLarge { .. } => ReasonCode::IMPLEMENTATION_SPECIFIC,
        PublishError::Command(_) => ReasonCode::NOT_AUTHORIZED,
        PublishError::Rule(_) => ReasonCode::PAYLOAD_FORMAT_INVALID,
        _ => ReasonCode::QUOTA_EXCEEDED,
    }
}
