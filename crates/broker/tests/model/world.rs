//! The real broker, its clients, and the oracle beside them.

use crate::client::{Client, Half, Line as Connection};
use crate::harness::{Site, TurnedClock, open_log};
use crate::ops::*;
use crate::oracle::{Message, Oracle, Session, Subscription, Will as OracleWill, split_share};
use andon_broker::BrokerOptions;
use andon_log::DurableLog;
use andon_wire::mqtt::{self, *};
use bytes::Bytes;
use std::sync::Arc;
use std::time::Duration;
use tokio::time::{Instant, sleep};

const THOUSAND_S: u64 = 1000;
/// By how much every delay is longer than full thousands.
const HALF: u64 = 500;

type Done = Result<(), String>;

/// Everything.
pub struct World {
    folder: tempfile::TempDir,
    log: Arc<DurableLog>,
    site: Site,
    clients: [Client; CLIENTS],
    oracle: Oracle,
    number: u64,
}

fn options() -> BrokerOptions {
    BrokerOptions { sys_interval: Duration::ZERO, ..BrokerOptions::default() }
}

fn name_of(client: usize) -> &'static str {
    ["one", "two", "three"][client]
}

fn is_received(packet: &Packet, id: u16) -> bool {
    matches!(packet, Packet::PubRec(ack) if ack.packet_id == id && ack.reason.is_success())
}

/// Waits until something holds.
async fn until(what: &str, mut holds: impl FnMut() -> bool) -> Done {
    let end = Instant::now() + crate::patience();
    while !holds() {
        if Instant::now() > end {
            return Err(format!("{what}: did not happen"));
        }
        sleep(Duration::from_micros(200)).await;
    }
    Ok(())
}

impl World {
    pub async fn new() -> Self {
        // Where nothing is written to a disk, if there is such a place: what is tried here is order, not durability.
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a temporary folder");
        let log = open_log(folder.path());
        let site = Site::on(log.clone(), options()).await;
        let clients = Default::default();
        Self { folder, log, site, clients, oracle: Oracle::default(), number: 0 }
    }

    /// Takes all steps, then everybody comes and takes what is left.
    pub async fn run(&mut self, ops: &[Op]) -> Done {
        for (at, op) in ops.iter().enumerate() {
            self.step(op).await.map_err(|error| format!("step {at}, {op:?}: {error}"))?;
        }
        self.finish().await.map_err(|error| format!("in the end: {error}"))
    }

    async fn step(&mut self, op: &Op) -> Done {
        match op {
            Op::Connect { client, profile } => self.connect(*client, profile).await?,
            Op::Leave { client, how } => self.leave(*client, *how).await?,
            Op::Subscribe { client, lines, id } => self.subscribe(*client, lines, *id).await?,
            Op::Unsubscribe { client, filter } => self.unsubscribe(*client, FILTERS[*filter]).await?,
            Op::Publish { client, messages } => self.publish(*client, messages).await?,
            Op::Finish { client } => self.finish_halves(*client).await?,
            Op::Answer { client, how } => self.answer(*client, *how).await?,
            Op::Wait { thousands } => self.wait(thousands * THOUSAND_S).await?,
            Op::Restart { kill, settled } => self.restart(*kill, *settled).await?,
        }
        self.settle_all().await
    }

    /// Everything that was said to the broker has been dealt with, and what follows has come.
    async fn settle_all(&mut self) -> Done {
        self.barrier().await?;
        for client in 0..CLIENTS {
            self.settle(client).await.map_err(|error| format!("{}: {error}", name_of(client)))?;
        }
        Ok(())
    }

    /// What is in the lane by now has been applied.
    async fn barrier(&self) -> Done {
        let sent =
            self.site.broker.publish_internal("$model/barrier", Bytes::from_static(b"x"), QoS::AtLeastOnce, false);
        sent.await.map(|_| ()).map_err(|error| error.to_string())
    }

    /// The client has everything that is its due, and its answers are on disk.
    async fn settle(&mut self, client: usize) -> Done {
        if self.clients[client].line.is_none() {
            return Ok(());
        }
        self.ping(client).await?;
        // What waited in the log comes when it was read; whose it is nobody can say if it is a group's.
        while self.site.broker.stats().fetching > 0 {
            until("what is being read from the log", || self.site.broker.stats().fetching == 0).await?;
            self.ping(client).await?;
        }
        if !self.clients[client].silent {
            while let Some(owed) = self.oracle.outstanding(client) {
                let owed = format!("{:?} of QoS {:?} under {:?}", owed.message, owed.qos, owed.sent);
                let packet = self.next(client).await.map_err(|error| format!("{owed} did not come: {error}"))?;
                self.take(client, packet).await?;
            }
        }
        // The first may be answered before the acknowledgements that came with it are in the lane, the second not.
        self.ping(client).await?;
        self.ping(client).await?;
        self.barrier().await?;
        self.oracle.settled(client);
        Ok(())
    }

    async fn next(&mut self, client: usize) -> Result<Packet, String> {
        let line = self.clients[client].line.as_mut().ok_or("not connected")?;
        line.next().await?.ok_or_else(|| "the broker closed the connection".to_owned())
    }

    async fn send(&mut self, client: usize, packets: &[Packet]) -> Done {
        let line = self.clients[client].line.as_mut().ok_or("not connected")?;
        line.send(packets).await
    }

    async fn ping(&mut self, client: usize) -> Done {
        self.send(client, &[Packet::PingReq]).await?;
        loop {
            match self.next(client).await? {
                Packet::PingResp => return Ok(()),
                packet => self.take(client, packet).await?,
            }
        }
    }

    /// Takes what comes unasked: messages, and PUBREL for them.
    async fn take(&mut self, client: usize, packet: Packet) -> Done {
        let answer = match &packet {
            Packet::Publish(publish) => {
                let this = &mut self.clients[client];
                let line = this.line.as_mut().ok_or("not connected")?;
                let came = line.came(publish)?;
                let known = came.qos == QoS::ExactlyOnce && this.open.contains(&came.packet_id);
                self.oracle.comes(client, &came, known)?;
                match came.qos {
                    QoS::AtMostOnce => return Ok(()),
                    QoS::AtLeastOnce => Packet::PubAck(Ack::new(came.packet_id, ReasonCode::SUCCESS)),
                    QoS::ExactlyOnce => {
                        self.clients[client].open.insert(came.packet_id);
                        Packet::PubRec(Ack::new(came.packet_id, ReasonCode::SUCCESS))
                    }
                }
            }
            Packet::PubRel(ack) => {
                self.oracle.released(client, ack.packet_id)?;
                self.clients[client].open.remove(&ack.packet_id);
                Packet::PubComp(Ack::new(ack.packet_id, ReasonCode::SUCCESS))
            }
            Packet::PubAck(_) | Packet::PubRec(_) | Packet::PubComp(_) => {
                self.clients[client].answers.push(packet);
                return Ok(());
            }
            other => return Err(format!("{other:?} was not expected")),
        };
        if self.clients[client].silent {
            self.clients[client].later.push(answer);
            return Ok(());
        }
        self.say(client, answer).await
    }

    async fn say(&mut self, client: usize, answer: Packet) -> Done {
        let (id, last) = match &answer {
            Packet::PubAck(ack) | Packet::PubComp(ack) => (ack.packet_id, true),
            Packet::PubRec(ack) => (ack.packet_id, false),
            other => return Err(format!("{other:?} is no answer")),
        };
        self.oracle.answered(client, id, last);
        let times = if self.clients[client].twice { 2 } else { 1 };
        self.send(client, &vec![answer; times]).await
    }

    async fn connect(&mut self, client: usize, profile: &Profile) -> Done {
        let version = if profile.v5 { Version::V5 } else { Version::V311 };
        let mut published = Vec::new();
        let taken_over = self.clients[client].line.is_some();
        let mut own_will = None;
        if taken_over {
            // A will without delay is published even if the session goes on, and then its client gets it too.
            let session = self.oracle.sessions[client].as_mut().filter(|s| s.expiry != Some(0) && !profile.clean);
            own_will = session.and_then(|s| s.will.take_if(|will| will.delay == 0));
            published.extend(self.oracle.leave(client, true, false));
        }
        let expiry = match (profile.v5, profile.clean) {
            (true, _) => Some(profile.expiry.map_or(0, |thousands| thousands * THOUSAND_S + HALF)),
            (false, true) => Some(0),
            (false, false) => None,
        };
        let will = profile.will.as_ref().map(|plan| self.will(client, plan, profile.v5));
        let theirs = will.as_ref().map(|will| mqtt::Will {
            topic: TopicName::parse(will.message.topic).expect("a topic"),
            payload: Bytes::copy_from_slice(will.message.payload.as_bytes()),
            qos: will.message.qos,
            retain: will.message.retain,
            properties: WillProperties {
                delay_s: u32::try_from(will.delay).ok().filter(|s| *s > 0),
                ..WillProperties::default()
            },
        });
        let (present, more) = self.oracle.connect(client, profile.v5, profile.clean, expiry, will);
        published.extend(more);
        if let Some(will) = own_will {
            self.oracle.publish(&will.message);
            self.oracle.need_not_come_yet(client, &will.message);
            published.push(will.message.payload);
        }
        let properties = ConnectProperties {
            session_expiry_s: expiry.and_then(|s| u32::try_from(s).ok()).filter(|s| *s > 0),
            receive_maximum: profile.receive_maximum,
            topic_alias_maximum: profile.aliases.then_some(2),
            ..ConnectProperties::default()
        };
        let connect = Connect {
            version,
            clean_start: profile.clean,
            keep_alive_s: 0,
            client_id: Text::parse(name_of(client)).expect("a name"),
            will: theirs,
            user_name: None,
            password: None,
            properties: if profile.v5 { properties } else { ConnectProperties::default() },
        };
        let mut line = Connection::dial(&self.site, version);
        line.send(&[Packet::Connect(Box::new(connect))]).await?;
        let former = self.clients[client].line.replace(line);
        let Packet::ConnAck(ack) = self.next(client).await? else { return Err("no CONNACK first".to_owned()) };
        if ack.reason != ReasonCode::SUCCESS || ack.session_present != present {
            return Err(format!("{ack:?}, a session should be there: {present}"));
        }
        if let Some(former) = former {
            self.taken_over(client, former).await?;
        }
        self.clients[client].later.clear();
        self.clients[client].answers.clear();
        (self.clients[client].silent, self.clients[client].twice) = (false, false);
        self.until_mapped(&published).await?;
        if present {
            return self.resume(client).await;
        }
        self.clients[client].forget();
        Ok(())
    }

    /// The former connection says what it has to say, and that it was taken over.
    async fn taken_over(&mut self, client: usize, mut former: Connection) -> Done {
        let v5 = former.version.is_v5();
        let mut told = !v5;
        while let Some(packet) = former.next().await? {
            match packet {
                // For a message that may have been answered before a kill, and was answered again since.
                Packet::PubRel(ack) => self.oracle.released(client, ack.packet_id)?,
                Packet::Disconnect(bye) if v5 && bye.reason == ReasonCode::SESSION_TAKEN_OVER => told = true,
                other => return Err(format!("{}'s former connection got {other:?}", name_of(client))),
            }
        }
        if told { Ok(()) } else { Err("the former connection was not told".to_owned()) }
    }

    /// What a client does that finds its session again: it repeats what was not answered. MQTT 5.0 [MQTT-4.4.0-1].
    async fn resume(&mut self, client: usize) -> Done {
        for at in 0..self.clients[client].halves.len() {
            // Every other one as if PUBREC had not arrived.
            if at % 2 == 0 {
                let publish = Publish { dup: true, ..self.clients[client].halves[at].publish.clone() };
                let id = publish.packet_id;
                self.send(client, &[Packet::Publish(publish)]).await?;
                self.expect(client, |p| is_received(p, id)).await?;
            }
        }
        Ok(())
    }

    /// Waits for an answer; takes what else comes.
    async fn expect(&mut self, client: usize, wanted: impl Fn(&Packet) -> bool) -> Done {
        loop {
            let answers = &mut self.clients[client].answers;
            if let Some(at) = answers.iter().position(&wanted) {
                answers.remove(at);
                return Ok(());
            }
            let packet = match self.next(client).await {
                Ok(packet) => packet,
                Err(error) => return Err(format!("{error}; answers so far: {:?}", self.clients[client].answers)),
            };
            self.take(client, packet).await?;
        }
    }

    /// All is answered: what is left are the second answers to messages said twice.
    fn no_more_answers(&mut self, client: usize) -> Done {
        let mut left = std::mem::take(&mut self.clients[client].answers).into_iter();
        match left.find(|answer| !matches!(answer, Packet::PubRec(ack) if ack.reason.is_success())) {
            Some(answer) => Err(format!("{answer:?} was not asked for")),
            None => Ok(()),
        }
    }

    fn will(&mut self, client: usize, plan: &WillPlan, v5: bool) -> OracleWill {
        self.number += 1;
        let message = Message {
            topic: TOPICS[plan.topic],
            payload: format!("will {}", self.number),
            qos: plan.qos,
            retain: plan.retain,
            expires: None,
            by: client,
        };
        let delay = plan.delay.filter(|_| v5).map_or(0, |thousands| thousands * THOUSAND_S + HALF);
        OracleWill { message, delay, due: None }
    }

    /// These wills have been published.
    async fn until_mapped(&self, payloads: &[String]) -> Done {
        for payload in payloads {
            let there =
                || self.site.hooks.mapped.lock().is_ok_and(|all| all.iter().any(|m| m.payload == payload.as_bytes()));
            until(&format!("the publishing of {payload:?}"), there).await?;
        }
        Ok(())
    }

    async fn until_away(&self, client: usize) -> Done {
        let away = || !self.site.broker.clients().iter().any(|c| c.client_id == name_of(client) && c.connected);
        until("the end of the connection", away).await?;
        if self.oracle.sessions[client].is_none() {
            let gone = || !self.site.broker.clients().iter().any(|c| c.client_id == name_of(client));
            until("the end of the session", gone).await?;
        }
        Ok(())
    }

    async fn leave(&mut self, client: usize, how: Leave) -> Done {
        let Some(line) = &self.clients[client].line else { return Ok(()) };
        let v5 = line.version.is_v5();
        let bye = match how {
            Leave::Normally => Some(Disconnect::default()),
            Leave::WithWill if v5 => {
                Some(Disconnect { reason: ReasonCode::DISCONNECT_WITH_WILL, ..Disconnect::default() })
            }
            Leave::ForGood => {
                let properties = DisconnectProperties { session_expiry_s: Some(0), ..Default::default() };
                Some(Disconnect { properties: if v5 { properties } else { Default::default() }, ..Default::default() })
            }
            Leave::WithWill | Leave::Broken => None,
        };
        let keep_will = bye.as_ref().is_none_or(|bye| bye.reason != ReasonCode::SUCCESS);
        if let Some(bye) = bye {
            // What it had not answered yet it answers in the same breath, and that counts.
            let mut last_words = std::mem::take(&mut self.clients[client].later);
            for answer in &last_words {
                let (Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubComp(ack)) = answer else { continue };
                self.oracle.answered(client, ack.packet_id, !matches!(answer, Packet::PubRec(_)));
            }
            last_words.push(Packet::Disconnect(bye));
            self.send(client, &last_words).await?;
            // What was on its way when the broker read it.
            while let Some(packet) = self.clients[client].line.as_mut().ok_or("gone")?.next().await? {
                match packet {
                    Packet::PubRel(ack) => self.oracle.released(client, ack.packet_id)?,
                    Packet::Publish(publish) if !last_words.is_empty() => self.came_last(client, &publish)?,
                    other => return Err(format!("{other:?} after DISCONNECT")),
                }
            }
        }
        self.clients[client].line = None;
        self.clients[client].later.clear();
        let published = self.oracle.leave(client, keep_will, how == Leave::ForGood && v5);
        self.until_away(client).await?;
        self.barrier().await?;
        self.oracle.settled(client);
        self.until_mapped(&published).await
    }

    /// A message that an answer made room for, while the client was on its way out: it came, and will come again.
    fn came_last(&mut self, client: usize, publish: &Publish) -> Done {
        let line = self.clients[client].line.as_mut().ok_or("gone")?;
        let came = line.came(publish)?;
        let known = came.qos == QoS::ExactlyOnce && self.clients[client].open.contains(&came.packet_id);
        self.oracle.comes(client, &came, known)?;
        if came.qos == QoS::ExactlyOnce {
            self.clients[client].open.insert(came.packet_id);
        }
        Ok(())
    }

    async fn subscribe(&mut self, client: usize, lines: &[Line], id: Option<u32>) -> Done {
        let Some(line) = &self.clients[client].line else { return Ok(()) };
        let v5 = line.version.is_v5();
        // Of one group at a time: of two, nobody could say for which of them a message came.
        let session = self.oracle.sessions[client].iter();
        let mut group = session.flat_map(|s| s.subscriptions.keys()).copied().find(|f| split_share(f).0.is_some());
        let mut lines = lines.to_vec();
        lines.retain(|line| {
            let filter = FILTERS[line.filter];
            split_share(filter).0.is_none() || *group.get_or_insert(filter) == filter
        });
        if lines.is_empty() {
            return Ok(());
        }
        let mut filters = Vec::new();
        for line in &lines {
            let filter = TopicFilter::parse(FILTERS[line.filter]).map_err(|error| error.to_string())?;
            let shared = filter.share_group().is_some();
            filters.push(Filter {
                filter,
                qos: line.qos,
                no_local: v5 && line.no_local && !shared,
                retain_as_published: v5 && line.retain_as_published,
                retain_handling: if v5 { line.handling } else { RetainHandling::Send },
            });
        }
        let id = id.filter(|_| v5);
        for (line, filter) in lines.iter().zip(&filters) {
            let subscription = Subscription {
                qos: filter.qos,
                no_local: filter.no_local,
                retain_as_published: filter.retain_as_published,
                id,
            };
            self.oracle.subscribe(client, FILTERS[line.filter], subscription, filter.retain_handling);
        }
        let granted: Vec<_> = filters.iter().map(|f| ReasonCode(f.qos as u8)).collect();
        let properties = SubscribeProperties { subscription_id: id.into_iter().collect(), ..Default::default() };
        let packet_id = self.clients[client].packet_id();
        self.send(client, &[Packet::Subscribe(Subscribe { packet_id, properties, filters })]).await?;
        loop {
            match self.next(client).await? {
                Packet::SubAck(ack) if ack.packet_id == packet_id && ack.reasons == granted => return Ok(()),
                packet => self.take(client, packet).await?,
            }
        }
    }

    async fn unsubscribe(&mut self, client: usize, filter: &'static str) -> Done {
        let Some(line) = &self.clients[client].line else { return Ok(()) };
        let v5 = line.version.is_v5();
        let had = self.oracle.sessions[client].as_mut().is_some_and(|s| s.subscriptions.remove(filter).is_some());
        let packet_id = self.clients[client].packet_id();
        let filters = vec![TopicFilter::parse(filter).map_err(|error| error.to_string())?];
        self.send(client, &[Packet::Unsubscribe(Unsubscribe { packet_id, properties: Default::default(), filters })])
            .await?;
        let reason = if had { ReasonCode::SUCCESS } else { ReasonCode::NO_SUBSCRIPTION_EXISTED };
        let wanted = if v5 { vec![reason] } else { Vec::new() };
        loop {
            match self.next(client).await? {
                Packet::UnsubAck(ack) if ack.packet_id == packet_id && ack.reasons == wanted => return Ok(()),
                packet => self.take(client, packet).await?,
            }
        }
    }

    /// Messages one after the other without waiting; then all their answers.
    async fn publish(&mut self, client: usize, posts: &[Post]) -> Done {
        let Some(line) = &self.clients[client].line else { return Ok(()) };
        let v5 = line.version.is_v5();
        let mut packets = Vec::new();
        let mut asked = Vec::new();
        for post in posts {
            self.number += 1;
            let payload = if post.empty { String::new() } else { format!("message {}", self.number) };
            let expiry_s = post.expiry.filter(|_| v5).map(|thousands| thousands * THOUSAND_S + HALF);
            let message = Message {
                topic: TOPICS[post.topic],
                payload,
                qos: post.qos,
                retain: post.retain,
                expires: expiry_s.map(|s| self.oracle.now + s),
                by: client,
            };
            let packet_id = if post.qos == QoS::AtMostOnce { 0 } else { self.clients[client].packet_id() };
            let publish = Publish {
                dup: false,
                qos: post.qos,
                retain: post.retain,
                topic: Some(TopicName::parse(message.topic).map_err(|error| error.to_string())?),
                packet_id,
                properties: PublishProperties {
                    message_expiry_s: expiry_s.and_then(|s| u32::try_from(s).ok()),
                    ..PublishProperties::default()
                },
                payload: Bytes::copy_from_slice(message.payload.as_bytes()),
            };
            let reached = self.oracle.publish(&message);
            packets.push(Packet::Publish(publish.clone()));
            if post.qos == QoS::ExactlyOnce && post.twice {
                packets.push(Packet::Publish(Publish { dup: true, ..publish.clone() }));
            }
            asked.push((publish, reached, post.half));
        }
        self.send(client, &packets).await?;
        for (publish, reached, half) in asked {
            let id = publish.packet_id;
            match publish.qos {
                QoS::AtMostOnce => {}
                QoS::AtLeastOnce => {
                    let right = |reason: ReasonCode| match reached {
                        0 => v5 && reason == ReasonCode::NO_MATCHING_SUBSCRIBERS || reason == ReasonCode::SUCCESS,
                        _ => reason == ReasonCode::SUCCESS,
                    };
                    let wanted =
                        |p: &Packet| matches!(p, Packet::PubAck(ack) if ack.packet_id == id && right(ack.reason));
                    self.expect(client, wanted).await.map_err(|e| format!("{reached} reached: {e}"))?;
                }
                QoS::ExactlyOnce => {
                    self.expect(client, |p| is_received(p, id)).await?;
                    self.clients[client].halves.push_back(Half { publish });
                    if !half {
                        self.release_last(client).await?;
                    }
                }
            }
        }
        // QoS 0 is over when the connection has been read so far, and what is retained when the lane is.
        self.ping(client).await?;
        self.no_more_answers(client)?;
        self.barrier().await
    }

    async fn release_last(&mut self, client: usize) -> Done {
        let Some(half) = self.clients[client].halves.pop_back() else { return Ok(()) };
        self.release(client, half.publish.packet_id).await
    }

    async fn release(&mut self, client: usize, id: u16) -> Done {
        self.send(client, &[Packet::PubRel(Ack::new(id, ReasonCode::SUCCESS))]).await?;
        let wanted = Packet::PubComp(Ack::new(id, ReasonCode::SUCCESS));
        self.expect(client, |packet| *packet == wanted).await
    }

    async fn finish_halves(&mut self, client: usize) -> Done {
        if self.clients[client].line.is_none() {
            return Ok(());
        }
        while let Some(half) = self.clients[client].halves.pop_front() {
            self.release(client, half.publish.packet_id).await?;
        }
        Ok(())
    }

    async fn answer(&mut self, client: usize, how: Answering) -> Done {
        if self.clients[client].line.is_none() {
            return Ok(());
        }
        self.clients[client].twice = how == Answering::Twice;
        self.clients[client].silent = how == Answering::NotAtAll;
        if how != Answering::NotAtAll {
            for answer in std::mem::take(&mut self.clients[client].later) {
                self.say(client, answer).await?;
            }
        }
        Ok(())
    }

    async fn wait(&mut self, seconds: u64) -> Done {
        self.site.clock.turn(Duration::from_secs(seconds));
        let published = self.oracle.wait(seconds);
        self.until_mapped(&published).await?;
        for client in (0..CLIENTS).filter(|client| self.oracle.sessions[*client].is_none()) {
            let gone = || !self.site.broker.clients().iter().any(|c| c.client_id == name_of(client));
            until("the end of a session whose time is over", gone).await?;
        }
        Ok(())
    }

    async fn restart(&mut self, kill: bool, settled: bool) -> Done {
        // Nobody can say whether the will of a session that was not to last is published after a kill.
        let doubtful = |s: &Session| s.connected && s.expiry == Some(0) && s.will.is_some();
        if self.oracle.wills_collide() || (kill && self.oracle.sessions.iter().flatten().any(doubtful)) {
            return Ok(());
        }
        let ahead = self.oracle.now;
        if kill {
            if !settled {
                // Answers that may get to the disk or not.
                for client in 0..CLIENTS {
                    for answer in std::mem::take(&mut self.clients[client].later) {
                        if self.clients[client].line.is_some() {
                            self.say(client, answer).await?;
                        }
                    }
                }
            }
            self.log.close();
        }
        let new_log;
        let mut due = Vec::new();
        let former: Vec<_> = self.clients.iter_mut().map(|c| (c.line.take().is_some(), c.later.clear()).0).collect();
        {
            // The wills of those who were there: with a stop at once, after a kill with the next start.
            if kill {
                self.oracle.killed();
                for client in (0..CLIENTS).filter(|client| former[*client]) {
                    due.extend(self.oracle.leave(client, true, false));
                }
            } else {
                for client in (0..CLIENTS).filter(|client| former[*client]) {
                    self.oracle.leave(client, true, false);
                }
                self.site.broker.stop().await;
                self.log.close();
            }
            new_log = open_log(self.folder.path());
        }
        let clock = Arc::new(TurnedClock::default());
        clock.turn(Duration::from_secs(ahead));
        let site = Site::at(new_log.clone(), options(), clock).await;
        std::mem::replace(&mut self.site, site).abandon();
        self.log = new_log;
        self.until_mapped(&due).await?;
        for client in (0..CLIENTS).filter(|client| self.oracle.sessions[*client].is_none()) {
            let gone = || !self.site.broker.clients().iter().any(|c| c.client_id == name_of(client));
            until("the end of a session that was not to outlive its connection", gone).await?;
        }
        Ok(())
    }

    /// Everybody comes and takes what is left; then nothing is left.
    async fn finish(&mut self) -> Done {
        for client in 0..CLIENTS {
            if self.clients[client].line.is_none() {
                let profile = Profile {
                    v5: true,
                    clean: false,
                    expiry: Some(3),
                    receive_maximum: None,
                    aliases: false,
                    will: None,
                };
                self.connect(client, &profile).await?;
            }
            self.answer(client, Answering::AtOnce).await?;
        }
        self.settle_all().await?;
        for client in 0..CLIENTS {
            self.finish_halves(client).await?;
        }
        self.settle_all().await?;
        if let Some(unclaimed) = self.oracle.unclaimed() {
            return Err(format!("nobody of its group got {unclaimed:?}"));
        }
        let left = self.site.broker.stats().queued;
        // What nobody need get may still wait.
        let optional = self.oracle.sessions.iter().flatten().flat_map(|s| &s.owed).filter(|o| !o.done).count();
        if left > optional {
            return Err(format!("{left} messages wait for clients that answered everything"));
        }
        self.site.broker.stop().await;
        self.log.close();
        Ok(())
    }
}
