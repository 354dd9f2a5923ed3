//! What a client sends, packet by packet.

use crate::asks::{self, AskError, Asked};
use crate::broker::Broker;
use crate::connection::FAREWELL;
use crate::core::{AckEffect, WrongAnswer};
use crate::frames::{Answer, Op, Published, SessionNo, SessionOp};
use crate::hooks::{CommandRefusal, NoRight};
use crate::line::{Deadline, Input, Line, TURNS, Writer, WriterPause};
use crate::message::{Message, mark};
use crate::outbox::{Outbox, Wakes};
use crate::past::{Begin, CatchUp, Past, Reader};
use crate::proof::Proof;
use crate::router::Reply;
use crate::ruling::{self, Offer, Origin, Ruling};
use andon_model::access::Principal;
use andon_model::log::{AppendError, Seq};
use andon_wire::mqtt::{
    Ack, Auth, Disconnect, Filter, Packet, Publish, QoS, ReasonCode, RetainHandling, SubAck, Subscribe, Text,
    TopicName, Unsubscribe,
};
use std::collections::{HashMap, HashSet};
use std::future::poll_fn;
use std::pin::{Pin, pin};
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::sync::{Notify, Semaphore, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// How many answers of a subscriber are taken at once.
const ANSWERS: usize = 64;

/// Why a connection ends.
#[derive(Debug)]
pub(crate) enum End {
    /// The client said DISCONNECT.
    Client { reason: ReasonCode, keep_will: bool, expiry_s: Option<u32> },
    /// We end it, with this reason.
    Server(ReasonCode),
    /// We end it because it published here, which it may not.
    MayNotPublish(TopicName),
    /// We end it because a message of its breaks the rule of this topic.
    BrokeRule(TopicName),
    /// The outbox was asked to close; it knows the reason.
    Asked,
    /// The network.
    Lost(String),
}

/// A client that was admitted.
pub(crate) struct Client {
    broker: Arc<Broker>,
    pub(crate) session: SessionNo,
    pub(crate) connection: u64,
    pub(crate) outbox: Arc<Outbox>,
    principal: Principal,
    client_id: Text,
    /// The keep alive in force, in seconds; 0: none.
    keep_alive_s: u16,
    /// The session expiry that CONNECT asked for.
    expiry_s: u32,
    /// How it proved who it is, if not by a password.
    proof: Option<Box<Proof>>,
    /// Made with the first.
    aliases: Option<Box<Aliases>>,
    /// Those that are to be in the log and are not yet.
    acks: Vec<(Answer, u16)>,
    /// QoS 0 messages to be retained that are on their way through the log; made with the first.
    kept: Option<Box<Kept>>,
    /// Topics of messages that are on their way through the log and that volatile ones must not overtake; made with the first.
    ahead: Option<Box<Ahead>>,
    /// Places for commands under way; made with the first.
    commands: Option<Arc<Semaphore>>,
    /// What it asked for of the past is on its way.
    looks_back: Option<CancellationToken>,
}

/// What the client's topic aliases stand for.
#[derive(Default)]
struct Aliases(HashMap<u16, TopicName>);

/// QoS 0 messages that are to be retained go through the log, others do not: nothing may overtake them on their topic.
/// MQTT 5.0 [MQTT-4.6.0-6]; MQTT 3.1.1 the same.
struct Kept {
    topics: HashSet<TopicName>,
    /// Resolves when the last of them has been handed out, and with it all of them.
    last: oneshot::Receiver<Result<usize, AppendError>>,
}

/// Topics of messages that are on their way through the log.
#[derive(Default)]
struct Ahead(HashSet<TopicName>);

/// The most topics in [`Kept`] and [`Ahead`]; with one more, reading waits for the log.
const KEPT: usize = 1024;

/// What writes to the client while its connection is attended to.
struct Hand<'a, S> {
    broker: Arc<Broker>,
    session: SessionNo,
    outbox: Arc<Outbox>,
    io: &'a mut S,
    writer: &'a mut Writer,
    silence: Deadline,
    farewell: Deadline,
    /// A client that does not read cannot be told goodbye; it is not waited for any longer.
    gives_up: Option<Instant>,
}

impl<'a, S: AsyncWrite + Unpin> Hand<'a, S> {
    fn new(client: &Client, io: &'a mut S, writer: &'a mut Writer) -> Self {
        Self {
            broker: client.broker.clone(),
            session: client.session,
            outbox: client.outbox.clone(),
            io,
            writer,
            silence: Deadline::default(),
            farewell: Deadline::default(),
            gives_up: None,
        }
    }

    /// Writes what there is; ready when the connection is to end.
    fn poll(&mut self, context: &mut Context<'_>) -> Poll<End> {
        let mut turns = TURNS;
        while let Poll::Ready(pause) = self.writer.poll(self.io, &self.outbox, &mut turns, context) {
            match pause {
                WriterPause::Room => self.broker.with_core(|core| core.pump(self.session, None)),
                WriterPause::Close => return Poll::Ready(End::Asked),
                WriterPause::Broken(error) => return Poll::Ready(End::Lost(error.to_string())),
            }
        }
        if !self.outbox.is_closed() {
            return Poll::Pending;
        }
        let gives_up = *self.gives_up.get_or_insert_with(|| Instant::now() + FAREWELL);
        self.farewell.poll(gives_up, context).map(|()| End::Asked)
    }

    /// Goes on writing until this is done, which a connection that was asked to end waits for no longer than for its last words.
    async fn beside(&mut self, mut work: Pin<Box<impl Future<Output = ()>>>) {
        poll_fn(|context| match work.as_mut().poll(context) {
            Poll::Ready(()) => Poll::Ready(()),
            Poll::Pending => match self.poll(context) {
                Poll::Ready(_) if self.outbox.is_closed() => Poll::Ready(()),
                _ => Poll::Pending,
            },
        })
        .await;
    }
}

impl Client {
    #[expect(clippy::too_many_arguments, reason = "one call, right where all of this is made")]
    pub(crate) fn new(
        broker: Arc<Broker>,
        session: SessionNo,
        connection: u64,
        outbox: Arc<Outbox>,
        principal: Principal,
        client_id: Text,
        keep_alive_s: u16,
        expiry_s: u32,
        proof: Option<Box<Proof>>,
    ) -> Self {
        Self {
            broker,
            session,
            connection,
            outbox,
            principal,
            client_id,
            keep_alive_s,
            expiry_s,
            proof,
            aliases: None,
            acks: Vec::new(),
            kept: None,
            ahead: None,
            commands: None,
            looks_back: None,
        }
    }

    /// Reads and handles packets, and writes what is for the client, until the connection ends.
    pub(crate) async fn attend<S: AsyncRead + AsyncWrite + Unpin>(&mut self, line: &mut Line<S>) -> End {
        let Line { io, input, writer } = line;
        let quota = usize::from(self.broker.options.receive_maximum.max(1));
        let mut hand = Hand::new(self, io, writer);
        let mut deadline = self.deadline();
        loop {
            // In memory of its own: while nothing comes, a connection needs none of that.
            let mut handling = Box::pin(self.handle_all(input));
            let handled = poll_fn(|context| {
                hand.outbox.wakes(context);
                // What is put into it meanwhile is written at once, or else before the next wait.
                hand.outbox.stay_awake();
                match handling.as_mut().poll(context) {
                    Poll::Ready(handled) => Poll::Ready(Ok(handled)),
                    Poll::Pending => hand.poll(context).map(Err),
                }
            })
            .await;
            drop(handling);
            match handled {
                Ok(Ok(Some(later))) => deadline = later,
                Ok(Ok(None)) => {}
                Ok(Err(end)) => {
                    hand.beside(Box::pin(self.write_acks())).await;
                    return end;
                }
                Err(end) => return end,
            }
            let (until, overdue) = match (deadline, self.proof.as_ref().and_then(|proof| proof.until())) {
                (Some(deadline), Some(proof)) if deadline < proof => (Some(deadline), ReasonCode::KEEP_ALIVE_TIMEOUT),
                (_, Some(proof)) => (Some(proof), ReasonCode::NOT_AUTHORIZED),
                (deadline, None) => (deadline, ReasonCode::KEEP_ALIVE_TIMEOUT),
            };
            let waited = poll_fn(|context| {
                if let Poll::Ready(end) = hand.poll(context) {
                    // Who hears nothing any more may have said goodbye before: that is read first.
                    if matches!(end, End::Lost(_)) && matches!(input.poll_fill(hand.io, context), Poll::Ready(Ok(1..)))
                    {
                        return Poll::Ready(Ok(()));
                    }
                    return Poll::Ready(Err(end));
                }
                if hand.outbox.may_read(quota)
                    && let Poll::Ready(filled) = input.poll_fill(hand.io, context)
                {
                    return Poll::Ready(match filled {
                        Ok(0) => Err(End::Lost("closed by the client".to_owned())),
                        Ok(_) => Ok(()),
                        Err(error) => Err(End::Lost(error.to_string())),
                    });
                }
                match until.map(|until| hand.silence.poll(until, context)) {
                    Some(Poll::Ready(())) => Poll::Ready(Err(End::Server(overdue))),
                    _ => Poll::Pending,
                }
            });
            if let Err(end) = waited.await {
                return end;
            }
        }
    }

    /// Handles what has arrived; when the client must be heard again at the latest, if there was a packet.
    async fn handle_all(&mut self, input: &mut Input) -> Result<Option<Option<Instant>>, End> {
        Wakes::after_each_poll(pin!(self.handle_packets(input))).await
    }

    async fn handle_packets(&mut self, input: &mut Input) -> Result<Option<Option<Instant>>, End> {
        let mut heard = false;
        let mut answers = Vec::new();
        loop {
            let packet = match input.next() {
                Ok(Some(packet)) => packet,
                Ok(None) => break,
                Err(error) => {
                    tracing::debug!(client = %self.client_id, %error, "a packet that cannot be accepted");
                    // What it answered before counts.
                    self.answered(&mut answers)?;
                    return Err(End::Server(error.reason()));
                }
            };
            self.outbox.received.fetch_add(1, Ordering::Relaxed);
            heard = true;
            if matches!(packet, Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubComp(_)) {
                answers.push(packet);
                if answers.len() >= ANSWERS {
                    self.answered(&mut answers)?;
                }
                continue;
            }
            self.answered(&mut answers)?;
            self.handle(packet).await?;
        }
        self.answered(&mut answers)?;
        self.write_acks().await;
        Ok(heard.then(|| self.deadline()))
    }

    /// When it has been silent for one and a half times the keep alive. MQTT 5.0 [MQTT-3.1.2-22].
    fn deadline(&self) -> Option<Instant> {
        let silence = Duration::from_millis(u64::from(self.keep_alive_s) * 1500);
        (!silence.is_zero()).then(|| Instant::now() + silence)
    }

    async fn handle(&mut self, packet: Packet) -> Result<(), End> {
        match packet {
            Packet::Publish(publish) => self.publish(publish).await,
            Packet::PubRel(ack) => {
                self.released(ack.packet_id).await;
                Ok(())
            }
            Packet::Subscribe(subscribe) => {
                self.subscribe(subscribe).await;
                Ok(())
            }
            Packet::Unsubscribe(unsubscribe) => {
                self.unsubscribe(unsubscribe).await;
                Ok(())
            }
            Packet::PingReq => {
                self.outbox.packet(&Packet::PingResp);
                Ok(())
            }
            Packet::Disconnect(disconnect) => Err(self.disconnect(&disconnect)),
            Packet::Auth(auth) => self.prove_again(&auth),
            // These the decoder lets nobody send.
            _ => Err(End::Server(ReasonCode::PROTOCOL_ERROR)),
        }
    }

    /// Re-authentication; without a method agreed on in CONNECT there is none. MQTT 5.0 §4.12.1, [MQTT-4.12.0-7].
    fn prove_again(&mut self, auth: &Auth) -> Result<(), End> {
        let proof = self.proof.as_mut().ok_or(End::Server(ReasonCode::PROTOCOL_ERROR))?;
        let until = Instant::now() + self.broker.options.authenticate_deadline;
        let heard = proof.hear(auth, &*self.broker.hooks, &self.client_id, &self.principal, until);
        self.outbox.packet(&heard.map_err(End::Server)?);
        Ok(())
    }

    fn disconnect(&self, disconnect: &Disconnect) -> End {
        let asked = disconnect.properties.session_expiry_s;
        // A session that was to end with its connection cannot be kept after all. MQTT 5.0 [MQTT-3.14.2-2].
        if self.expiry_s == 0 && asked.is_some_and(|s| s > 0) {
            return End::Server(ReasonCode::PROTOCOL_ERROR);
        }
        let expiry_s = asked.map(|s| s.min(self.broker.options.session_expiry_max_s));
        let keep_will = disconnect.reason != ReasonCode::SUCCESS;
        End::Client { reason: disconnect.reason, keep_will, expiry_s }
    }

    /// Runs an operation of the client's session: through the log if that outlives the connection, else at once.
    async fn run(&mut self, op: SessionOp, reply: Reply) {
        let op = Op::Session(op);
        if self.session.is_durable() {
            self.write_acks().await;
            self.broker.pipeline.submit(op, reply).await;
        } else {
            self.broker.with_core(|core| core.apply(Seq(0), &op, reply));
        }
    }

    /// Puts the subscriber's answers into the log; nobody waits for them.
    async fn write_acks(&mut self) {
        if !self.acks.is_empty() {
            let acks = std::mem::take(&mut self.acks);
            let op = Op::Session(SessionOp::Acks { session: self.session, acks });
            self.broker.pipeline.submit(op, Reply::None).await;
        }
    }

    /// Takes the answers that came one behind the other, all under one lock.
    fn answered(&mut self, answers: &mut Vec<Packet>) -> Result<(), End> {
        if answers.is_empty() {
            return Ok(());
        }
        let (session, connection) = (self.session, self.connection);
        let Self { broker, acks, .. } = self;
        let taken = broker.with_core(|core| {
            answers.drain(..).try_for_each(|packet| {
                if let AckEffect::Durable(answer, id) = core.answer(session, connection, &packet)? {
                    acks.push((answer, id));
                }
                Ok::<_, WrongAnswer>(())
            })
        });
        taken.map_err(|_| End::Server(ReasonCode::PROTOCOL_ERROR))
    }

    async fn released(&mut self, packet_id: u16) {
        if !self.outbox.release(packet_id) {
            let ack = Ack::new(packet_id, ReasonCode::PACKET_IDENTIFIER_NOT_FOUND);
            return self.outbox.packet(&Packet::PubComp(ack));
        }
        let session = self.session;
        let reply = Reply::Complete(self.outbox.clone(), packet_id);
        self.run(SessionOp::Released { session, packet_id }, reply).await;
    }

    async fn publish(&mut self, mut publish: Publish) -> Result<(), End> {
        let topic = self.topic(&mut publish)?;
        if publish.payload.len() > self.broker.options.payload_bytes {
            return Err(End::Server(ReasonCode::PACKET_TOO_LARGE));
        }
        if publish.qos != QoS::AtMostOnce && !self.take_quota(&publish, &topic).await? {
            return Ok(());
        }
        if let Err(reason) = self.check_topic(&topic) {
            return self.refuse(&publish, reason, None);
        }
        if self.broker.hooks.command_topic(topic.as_str()) {
            return self.command(publish, topic);
        }
        if !self.broker.hooks.may_publish(&self.principal, topic.as_str()) {
            return self.may_not_publish(&publish, topic);
        }
        if publish.retain && !publish.payload.is_empty() && self.retained_is_full(&topic) {
            return self.refuse(&publish, ReasonCode::QUOTA_EXCEEDED, Some("no more retained messages can be kept"));
        }
        let volatile = match self.rule(&publish, &topic) {
            Ruling::Durable => false,
            Ruling::Volatile => true,
            Ruling::Refused(refused) => {
                let told = self.refuse(&publish, refused.reason(), Some(&refused.words));
                return told.map_err(|_| End::BrokeRule(topic));
            }
            Ruling::Withheld { rule, words } => {
                self.withhold(publish, topic, &rule, &words).await;
                return Ok(());
            }
        };
        self.accept(publish, topic, volatile).await;
        Ok(())
    }

    /// Resolves the topic alias. MQTT 5.0 §3.3.2.3.4.
    fn topic(&mut self, publish: &mut Publish) -> Result<TopicName, End> {
        let Some(alias) = publish.properties.topic_alias.take() else {
            return publish.topic.take().ok_or(End::Server(ReasonCode::PROTOCOL_ERROR));
        };
        if alias == 0 || alias > self.broker.options.topic_alias_maximum {
            return Err(End::Server(ReasonCode::TOPIC_ALIAS_INVALID));
        }
        match publish.topic.take() {
            Some(topic) => {
                self.aliases.get_or_insert_default().0.insert(alias, topic.compact());
                Ok(topic)
            }
            None => self
                .aliases
                .as_ref()
                .and_then(|known| known.0.get(&alias))
                .cloned()
                .ok_or(End::Server(ReasonCode::PROTOCOL_ERROR)),
        }
    }

    /// Counts a QoS > 0 message against the receive maximum; false: a repetition whose answer is already on its way.
    async fn take_quota(&self, publish: &Publish, topic: &TopicName) -> Result<bool, End> {
        let quota = usize::from(self.broker.options.receive_maximum.max(1));
        if publish.qos == QoS::ExactlyOnce {
            let exchange = self.outbox.begin_exchange(publish.packet_id, mark(topic, &publish.payload));
            match exchange.times {
                // Accepted over an earlier connection: whatever is asked now, it is ours.
                1 if exchange.received => {
                    self.outbox.received(publish.packet_id);
                    return Ok(false);
                }
                1 => {}
                // Repeating on the same connection is not done; some do it once all the same, and 3.1.1 lets them.
                times if times == 2 || !self.outbox.version.is_v5() => {
                    if exchange.received {
                        self.outbox.received(publish.packet_id);
                    }
                    return Ok(false);
                }
                _ => return Err(End::Server(ReasonCode::PROTOCOL_ERROR)),
            }
        }
        if !self.outbox.version.is_v5() {
            // These clients cannot be told a limit, so reading waits.
            self.outbox.readable(quota).await;
        }
        let open = self.outbox.question();
        let exchanges = self.outbox.open_exchanges();
        if self.outbox.version.is_v5() && open.max(exchanges) > quota {
            return Err(End::Server(ReasonCode::RECEIVE_MAXIMUM_EXCEEDED));
        }
        Ok(true)
    }

    fn check_topic(&self, topic: &TopicName) -> Result<(), ReasonCode> {
        if topic.is_server_owned() {
            self.tell_refused(NoRight::ServerTopic, topic.as_str());
            return Err(ReasonCode::NOT_AUTHORIZED);
        }
        if topic.levels() > self.broker.options.topic_levels {
            return Err(ReasonCode::TOPIC_NAME_INVALID);
        }
        Ok(())
    }

    fn retained_is_full(&self, topic: &TopicName) -> bool {
        let most = self.broker.options.retained_messages;
        self.broker.with_core(|core| core.retained.len() >= most && !core.retained.has(topic))
    }

    /// Says no: with a reason code in 5.0, by closing in 3.1.1, which has no "no". A QoS 0 message is just dropped.
    fn refuse(&self, publish: &Publish, reason: ReasonCode, words: Option<&str>) -> Result<(), End> {
        if publish.qos == QoS::AtMostOnce {
            self.broker.with_core(|core| core.counters.dropped += 1);
            return Ok(());
        }
        say_no(&self.outbox, publish.packet_id, publish.qos, reason, words).map_err(|()| End::Server(reason))
    }

    fn may_not_publish(&self, publish: &Publish, topic: TopicName) -> Result<(), End> {
        self.tell_refused(NoRight::Publish, topic.as_str());
        self.refuse(publish, ReasonCode::NOT_AUTHORIZED, None).map_err(|_| End::MayNotPublish(topic))
    }

    fn rule(&self, publish: &Publish, topic: &TopicName) -> Ruling {
        let (topic, payload, retain) = (topic.as_str(), &*publish.payload, publish.retain);
        let offer = Offer { client_id: self.client_id.as_str(), who: Some(&self.principal), topic, payload, retain };
        self.broker.hooks.rule(&offer)
    }

    /// Writes down a message that is kept from everybody, with every QoS; of QoS 0 as far as there is room for it.
    async fn withhold(&mut self, publish: Publish, topic: TopicName, rule: &str, words: &str) {
        let (qos, packet_id) = (publish.qos, publish.packet_id);
        let now = self.broker.clock.now();
        let message =
            Arc::new(Message::from_publish(publish, topic, self.client_id.clone(), self.principal.clone(), now, true));
        let (publisher, will_of, by) = (self.session, SessionNo::NODE, self.principal.id);
        let withheld = ruling::withheld(message, &Origin { publisher, packet_id, will_of, by }, rule, words);
        if !self.broker.with_core(|core| core.quarantine.takes(&withheld)) {
            return;
        }
        let op = Op::Session(SessionOp::Withhold(withheld));
        if qos == QoS::AtMostOnce {
            // The next one is judged by what is there, not by what is still on its way. They are few.
            let (written, wait) = oneshot::channel();
            self.broker.pipeline.submit(op, Reply::Done(written)).await;
            let _ = wait.await;
        } else {
            self.broker.pipeline.submit(op, Reply::Publish(self.outbox.clone(), packet_id, qos)).await;
        }
    }

    fn tell_refused(&self, what: NoRight, topic: &str) {
        self.broker.hooks.refused(self.client_id.as_str(), &self.principal, what, topic);
    }

    async fn accept(&mut self, publish: Publish, topic: TopicName, volatile: bool) {
        let (qos, packet_id) = (publish.qos, publish.packet_id);
        let keep = (qos != QoS::AtMostOnce && !volatile) || publish.retain;
        if self.kept.as_ref().is_some_and(|kept| kept.topics.len() >= KEPT || (!keep && kept.topics.contains(&topic)))
            && let Some(kept) = self.kept.take()
        {
            // A log that is done for ends this connection otherwise.
            let _ = kept.last.await;
        }
        if volatile && qos != QoS::AtMostOnce {
            self.keep_behind(&topic, keep).await;
        }
        let now = self.broker.clock.now();
        let own = keep || qos != QoS::AtMostOnce;
        let message =
            Arc::new(Message::from_publish(publish, topic, self.client_id.clone(), self.principal.clone(), now, own));
        let retained = (qos == QoS::AtMostOnce && keep).then(|| message.topic.clone());
        let exchange = if qos == QoS::ExactlyOnce { packet_id } else { 0 };
        let will_of = SessionNo::NODE;
        let op = Op::Publish(Published { message, publisher: self.session, packet_id: exchange, will_of });
        if keep {
            let reply = match retained {
                Some(topic) => self.keep_in_order(topic),
                None => Reply::Publish(self.outbox.clone(), packet_id, qos),
            };
            self.broker.pipeline.submit(op, reply).await;
        } else {
            let reply = match qos {
                QoS::AtMostOnce => Reply::None,
                _ => Reply::Publish(self.outbox.clone(), packet_id, qos),
            };
            let mut wakes = Wakes::default();
            let ((), mapped) = self.broker.with_core_waking(&mut wakes, |core| core.apply(Seq(0), &op, reply));
            wakes.leave();
            self.broker.map(mapped, false).await;
        }
    }

    /// Of the messages with QoS 1 and 2 on a volatile topic those that are to be retained go through the log (`keep`), and none may
    /// overtake them on their topic. MQTT 5.0 [MQTT-4.6.0-6].
    async fn keep_behind(&mut self, topic: &TopicName, keep: bool) {
        let waits = |Ahead(topics): &Ahead| topics.len() >= KEPT || (!keep && topics.contains(topic));
        if self.ahead.as_deref().is_some_and(waits) {
            // All but this one.
            self.outbox.answered_but(1).await;
            self.ahead = None;
        }
        if keep {
            self.ahead.get_or_insert_default().0.insert(topic.compact());
        }
    }

    /// What tells when this message, which is to be retained, has been handed out.
    fn keep_in_order(&mut self, topic: TopicName) -> Reply {
        let (done, last) = oneshot::channel();
        let kept =
            self.kept.get_or_insert_with(|| Box::new(Kept { topics: HashSet::new(), last: oneshot::channel().1 }));
        // Once the former one was handed out, or given up, so were all before it.
        if !matches!(kept.last.try_recv(), Err(oneshot::error::TryRecvError::Empty)) {
            kept.topics.clear();
        }
        kept.topics.insert(topic);
        kept.last = last;
        Reply::Done(done)
    }

    /// A PUBLISH to a command topic: through the command lane, answered with its outcome, beside other packets.
    fn command(&mut self, publish: Publish, topic: TopicName) -> Result<(), End> {
        if publish.dup {
            return self.repeated_command(&publish);
        }
        let most = self.broker.options.commands;
        let places = self.commands.get_or_insert_with(|| Arc::new(Semaphore::new(most)));
        let Ok(permit) = places.clone().try_acquire_owned() else {
            return self.refuse(&publish, ReasonCode::QUOTA_EXCEEDED, Some("too many commands are under way"));
        };
        let (broker, outbox, principal) = (self.broker.clone(), self.outbox.clone(), self.principal.clone());
        let client_id = self.client_id.clone();
        self.broker.clients.spawn(async move {
            let user = &publish.properties.user;
            let outcome = broker.hooks.command(&principal, &topic, &publish.payload, user).await;
            drop(permit);
            if let Err(CommandRefusal::NotAuthorised(_)) = outcome {
                broker.hooks.refused(client_id.as_str(), &principal, NoRight::Command, topic.as_str());
            }
            if publish.qos == QoS::AtMostOnce {
                return;
            }
            let (reason, words) = match outcome {
                Ok(()) => return say_yes(&outbox, publish.packet_id, publish.qos),
                Err(CommandRefusal::NotAuthorised(words)) => (ReasonCode::NOT_AUTHORIZED, words),
                // Without a "no" the connection would have to end, and some clients then repeat the command as if it were another.
                Err(CommandRefusal::Ended(_)) if !outbox.version.is_v5() => {
                    return say_yes(&outbox, publish.packet_id, publish.qos);
                }
                Err(CommandRefusal::Refused(words) | CommandRefusal::Ended(words)) => {
                    (ReasonCode::IMPLEMENTATION_SPECIFIC, words)
                }
            };
            if say_no(&outbox, publish.packet_id, publish.qos, reason, Some(&words)).is_err() {
                outbox.close(reason);
            }
        });
        Ok(())
    }

    /// A command is carried out once. A repetition may follow an attempt that was, so it is not carried out; 3.1.1 clients,
    /// which would repeat it on every connection, get the acknowledgement that ends this.
    fn repeated_command(&self, publish: &Publish) -> Result<(), End> {
        tracing::warn!(client = %self.client_id, "a repeated command was not carried out");
        if self.outbox.version.is_v5() {
            let words = "a repeated command is not carried out; send it anew";
            return self.refuse(publish, ReasonCode::IMPLEMENTATION_SPECIFIC, Some(words));
        }
        say_yes(&self.outbox, publish.packet_id, publish.qos);
        Ok(())
    }

    async fn subscribe(&mut self, subscribe: Subscribe) {
        let shared = subscribe.filters.iter().any(|filter| filter.filter.share_group().is_some());
        let asked = asks::parse(&subscribe.properties.user, shared, self.broker.clock.now());
        let asked = asked.and_then(|asked| self.may_look_back(&asked).map(|()| asked));
        let Asked { ask, past } = match asked {
            Ok(asked) => asked,
            Err(error) => {
                let (reason, count) = (ReasonCode::IMPLEMENTATION_SPECIFIC, subscribe.filters.len());
                return self.outbox.refuse_subscribe(subscribe.packet_id, count, reason, &error.to_string());
            }
        };
        let reasons = self.judge(&subscribe.filters);
        let accepted = subscribe.filters.into_iter().zip(&reasons).filter(|(_, reason)| reason.is_success());
        // What is retained is in the past, too.
        let handling = |f: &Filter| if past.is_some() { RetainHandling::DoNotSend } else { f.retain_handling };
        let filters: Vec<Filter> =
            accepted.map(|(f, _)| Filter { filter: f.filter.compact(), retain_handling: handling(&f), ..f }).collect();
        let packet_id = subscribe.packet_id;
        if filters.is_empty() {
            let sub_ack = SubAck { packet_id, properties: Default::default(), reasons };
            return self.outbox.packet(&Packet::SubAck(sub_ack));
        }
        let id = subscribe.properties.subscription_id.first().copied().unwrap_or(0);
        let mut begin = past.map(|past| self.look_back(past, &filters, id));
        // What ends is no subscription: it is read, and that is all.
        if let Some(begin) = begin.take_if(|begin| !begin.catch_up.follows) {
            let sub_ack = SubAck { packet_id, properties: Default::default(), reasons };
            self.outbox.packet(&Packet::SubAck(sub_ack));
            self.broker.with_core(|core| core.begin_past(self.session, begin));
            return;
        }
        let op = SessionOp::Subscribe { session: self.session, at: self.broker.clock.now(), id, filters, ask };
        let reply = Reply::SubAck(self.outbox.clone(), packet_id, reasons, begin.map(Box::new));
        self.run(op, reply).await;
    }

    /// Whether what it asks for of the past can be had now.
    fn may_look_back(&self, asked: &Asked) -> Result<(), AskError> {
        match asked.past {
            None => Ok(()),
            Some(_) if self.looks_back.as_ref().is_some_and(|over| !over.is_cancelled()) => Err(AskError::Busy),
            Some(Past::History { .. }) if !self.broker.history.is_any() => Err(AskError::NothingKept),
            Some(_) => Ok(()),
        }
    }

    /// Has a task of its own bring what was asked for of the past, once that has begun.
    fn look_back(&mut self, past: Past, filters: &[Filter], id: u32) -> Begin {
        let (wake, over) = (Arc::new(Notify::new()), CancellationToken::new());
        let catch_up = CatchUp::new(&past, filters, id, wake.clone(), over.clone().drop_guard());
        self.looks_back = Some(over.clone());
        let reader = Reader {
            session: self.session,
            connection: self.connection,
            principal: self.principal.clone(),
            filters: filters.iter().map(|filter| filter.filter.clone()).collect(),
            wake,
            over,
        };
        let (begun, begins) = oneshot::channel();
        let broker = self.broker.clone();
        self.broker.clients.spawn(broker.catch_up(reader, past, begins));
        Begin { connection: self.connection, catch_up, begun }
    }

    /// A reason code for each filter; one refusal leaves the others standing.
    fn judge(&self, filters: &[Filter]) -> Vec<ReasonCode> {
        let options = &self.broker.options;
        let new: Vec<bool> = self.broker.with_core(|core| {
            let session = core.sessions.get(&self.session);
            let known = |f: &Filter| session.is_some_and(|s| s.subscriptions.contains_key(&f.filter));
            filters.iter().map(|f| !known(f)).collect()
        });
        let mut count =
            self.broker.with_core(|core| core.sessions.get(&self.session).map_or(0, |s| s.subscriptions.len()));
        let mut asked = 0;
        let mut judge_one = |(filter, new): (&Filter, bool)| {
            // So many it cannot have, and nobody is asked and told about each of half a million.
            asked += 1;
            if asked > options.subscriptions {
                return ReasonCode::QUOTA_EXCEEDED;
            }
            if filter.filter.levels() > options.topic_levels {
                return ReasonCode::TOPIC_FILTER_INVALID;
            }
            if !self.broker.hooks.may_subscribe(&self.principal, filter.filter.pattern()) {
                self.tell_refused(NoRight::Subscribe, filter.filter.as_str());
                return ReasonCode::NOT_AUTHORIZED;
            }
            count += usize::from(new);
            if new && count > options.subscriptions {
                return ReasonCode::QUOTA_EXCEEDED;
            }
            ReasonCode(filter.qos as u8)
        };
        filters.iter().zip(new).map(&mut judge_one).collect()
    }

    async fn unsubscribe(&mut self, unsubscribe: Unsubscribe) {
        let reply = Reply::UnsubAck(self.outbox.clone(), unsubscribe.packet_id);
        let filters = unsubscribe.filters.iter().map(andon_wire::mqtt::TopicFilter::compact).collect();
        self.run(SessionOp::Unsubscribe { session: self.session, filters }, reply).await;
    }
}

fn say_yes(outbox: &Outbox, packet_id: u16, qos: QoS) {
    outbox.answered();
    if qos == QoS::ExactlyOnce {
        outbox.received(packet_id);
    } else {
        outbox.packet(&Packet::PubAck(Ack::new(packet_id, ReasonCode::SUCCESS)));
    }
}

/// A negative answer, which ends the exchange; `Err` where the protocol has none.
fn say_no(outbox: &Outbox, packet_id: u16, qos: QoS, reason: ReasonCode, words: Option<&str>) -> Result<(), ()> {
    if !outbox.version.is_v5() {
        return Err(());
    }
    outbox.refuse(packet_id, qos, reason, words);
    Ok(())
}
