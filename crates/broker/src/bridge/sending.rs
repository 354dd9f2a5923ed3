//! From here to there.

use super::link::{Link, RECEIVE};
use super::scouting::{Flight, Run};
use super::sieve::Item;
use super::state::{Loss, STRETCHES, Stretch};
use super::status::{Trouble, words};
use super::task::{Suspect, Task, Which};
use super::{HOPS, MARKS, NODE, PATH, TIME};
use crate::message::Message;
use andon_model::log::AppendError;
use andon_wire::mqtt::{
    Ack, EncodedPublish, Filter, Packet, Publish, PublishProperties, QoS, ReasonCode, RetainHandling, Subscribe, Text,
    TopicFilter, TopicName, Unsubscribe, UserProperties,
};
use bytes::BytesMut;
use std::collections::{HashMap, HashSet, VecDeque};
use std::time::Duration;
use tokio::sync::oneshot;
use tokio::time::Instant;

/// What may be sent beyond the catch-up rate in one breath.
const BURST: f64 = 1000.0;
/// The most topic filters in one SUBSCRIBE or UNSUBSCRIBE.
const FILTERS: usize = 100;

/// So many messages of a stretch that were sent may wait for the first of them to be answered.
const WINDOW: usize = 16_384;

/// What is known while there is a link.
pub(super) struct Online {
    pub(super) link: Link,
    /// Every subscription was granted: messages are sent.
    pub(super) ready: bool,
    /// Messages that may still be sent now, where a rate is set.
    pub(super) tokens: f64,
    /// Messages of the other side that are on their way into the log, in order: whom to acknowledge once they are there.
    pub(super) taking: VecDeque<Taking>,
    /// SUBSCRIBE and UNSUBSCRIBE that were not answered yet, and since when.
    asked: HashMap<u16, (Asked, Instant)>,
    /// Retained messages that the other side does not have yet.
    pub(super) owed: Option<Run>,
    in_flight: usize,
    window: usize,
    /// The identifiers of what is under way, also over the former link.
    ids: Ids,
    /// The node at the other side, if it is one of ours.
    pub(super) peer: Option<String>,
    keep_alive: Duration,
    /// The other side ended the link, maybe over what it was sent.
    pub(super) thrown_out: bool,
    sent_at: Instant,
    /// What we send says nothing about whether the other side is there.
    heard_at: Instant,
    /// What came last was a part of a packet only.
    in_pieces: bool,
    /// When bytes last came of a packet that came in several pieces. Answers stand behind it.
    pieces_at: Instant,
    ping_at: Option<Instant>,
}

/// What the other side was asked for.
#[derive(Debug)]
enum Asked {
    /// SUBSCRIBE, with the filters and how much is to be granted for each.
    Subscribed(Vec<(TopicFilter, QoS)>),
    /// UNSUBSCRIBE, with so many filters.
    Ended(usize),
}

/// Which packet answers.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Answer {
    SubAck,
    UnsubAck,
}

/// Packet identifiers in use.
#[derive(Debug, Default)]
struct Ids {
    used: HashSet<u16>,
    last: u16,
}

impl Ids {
    /// One that nothing has; `None`: all 65,535 are in use.
    fn take(&mut self) -> Option<u16> {
        for _ in 0..=u16::MAX {
            self.last = self.last.checked_add(1).unwrap_or(1);
            if self.used.insert(self.last) {
                return Some(self.last);
            }
        }
        None
    }

    fn free(&mut self, id: u16) {
        self.used.remove(&id);
    }
}

/// Where a message has been.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Way {
    /// It may be sent.
    Open,
    /// It was at the other side, or has left this node before.
    Ring,
    /// It has gone over too many bridges.
    TooFar,
}

/// A message of the other side on its way into the log.
pub(super) struct Taking {
    /// 0: nobody waits for an answer.
    pub(super) packet_id: u16,
    /// What is answered once it is there.
    pub(super) reason: ReasonCode,
    /// `None`: it is not on its way anywhere; the answer waits for those before it.
    pub(super) done: Option<oneshot::Receiver<Result<usize, AppendError>>>,
}

/// Notes that a message has left this node.
pub(super) fn add_to_path(user: &mut UserProperties, node: &str) {
    let at = user.iter().position(|(name, _)| name.as_str() == PATH);
    let former = at.and_then(|at| user.get(at)).map(|(_, nodes)| nodes.as_str().to_owned());
    if former.as_ref().is_some_and(|nodes| nodes.split(',').any(|known| known == node)) {
        return;
    }
    let nodes = former.map_or_else(|| node.to_owned(), |nodes| format!("{nodes},{node}"));
    if let (Ok(name), Ok(nodes)) = (Text::parse(PATH), Text::parse(&nodes)) {
        user.retain(|(name, _)| name.as_str() != PATH);
        user.push((name, nodes));
    }
}

/// Whether a subscription was granted as it was asked for.
fn is_granted(filter: &TopicFilter, qos: QoS, reason: ReasonCode) -> Result<(), Trouble> {
    if !reason.is_success() {
        let text = format!("the other side refused the subscription to \"{filter}\": {reason}");
        return Err(Trouble::new(text, "allow it there, or take it out of `receive`"));
    }
    if QoS::from_bits(reason.0).is_none_or(|granted| granted < qos) {
        let text = format!("the other side grants \"{filter}\" with QoS 0 only: messages may be lost on the way");
        return Err(Trouble::new(text, "allow QoS 1 there, or write qos = 0 in this rule of `receive`"));
    }
    Ok(())
}

/// What became of the first message on its way into the log. May be dropped at any time.
pub(super) async fn next_taken(taking: &mut VecDeque<Taking>) -> Result<usize, AppendError> {
    match taking.front_mut() {
        Some(Taking { done: Some(done), .. }) => done.await.unwrap_or(Err(AppendError::Closed)),
        Some(_) => Ok(0),
        None => std::future::pending().await,
    }
}

impl Online {
    /// Whether more may be read: what came before is not stuck on its way into the log.
    pub(super) fn may_read(&self) -> bool {
        self.taking.len() < usize::from(RECEIVE)
    }

    /// Answers a message that is not taken, after those before it. MQTT 5.0 [MQTT-4.6.0-2]; MQTT 3.1.1 the same.
    pub(super) fn answer_in_turn(&mut self, packet_id: u16, qos: QoS, reason: ReasonCode) {
        if qos != QoS::AtMostOnce {
            self.taking.push_back(Taking { packet_id, reason, done: None });
        }
    }

    pub(super) fn refill(&mut self, per_second: Option<u32>, elapsed: Duration) {
        if let Some(rate) = per_second.map(f64::from) {
            self.tokens = (self.tokens + rate * elapsed.as_secs_f64()).min(rate + BURST);
        }
    }

    /// Bytes came, and with them the end of a packet or not.
    pub(super) fn heard(&mut self, whole: bool) {
        self.heard_at = Instant::now();
        if self.in_pieces || !whole {
            self.pieces_at = self.heard_at;
        }
        self.in_pieces = !whole;
    }

    pub(super) fn send(&mut self, packet: &Packet) -> Result<(), Trouble> {
        self.sent_at = Instant::now();
        self.link.send(packet)
    }

    fn next_id(&mut self) -> Result<u16, Trouble> {
        self.ids.take().ok_or_else(|| {
            Trouble::new(
                "all packet identifiers are in use",
                "the link is begun anew by itself; report this if it comes back",
            )
        })
    }
}

impl Task {
    /// What follows CONNACK: subscriptions, and what is to be sent.
    pub(super) fn begin(&mut self, link: Link) -> Result<Online, Trouble> {
        let answer = &link.conn_ack.properties;
        if answer.maximum_qos == Some(false) {
            let text = "the other side takes messages with QoS 0 only, which may be lost";
            return Err(Trouble::new(text, "allow QoS 1 there; a bridge sends nothing that may be lost unasked"));
        }
        let peer = answer.user.iter().find(|(name, _)| name.as_str() == NODE).map(|(_, id)| id.as_str().to_owned());
        // Where the server asks for nothing, we ask all the same whether it is there.
        let theirs = answer.server_keep_alive_s.filter(|theirs| *theirs > 0).unwrap_or(u16::MAX);
        let keep_alive_s = theirs.min(self.options.keep_alive_s);
        let window = usize::from(answer.receive_maximum.unwrap_or(u16::MAX).min(self.options.in_flight)).max(1);
        let known = link.conn_ack.session_present;
        // An identifier is kept only for what will be sent again.
        let state = &self.state;
        self.under_way.retain(|seq, _| known && state.wants(*seq));
        let is_wanted = |which: &Which| match which {
            Which::Frame(seq) => state.wants(*seq),
            Which::Retained(_) => !state.retained_due.is_empty(),
        };
        self.suspect.take_if(|suspect| !is_wanted(&suspect.which));
        let mut online = Online {
            link,
            ready: false,
            tokens: 0.0,
            taking: VecDeque::new(),
            asked: HashMap::new(),
            owed: None,
            in_flight: 0,
            window,
            ids: Ids { used: self.under_way.values().copied().collect(), last: 0 },
            peer,
            keep_alive: Duration::from_secs(u64::from(keep_alive_s)),
            thrown_out: false,
            sent_at: Instant::now(),
            heard_at: Instant::now(),
            in_pieces: false,
            pieces_at: Instant::now(),
            ping_at: None,
        };
        self.ask(&mut online, known)?;
        self.split();
        online.owed = self.owed();
        if online.asked.is_empty() {
            self.ready(&mut online);
        }
        Ok(online)
    }

    fn ready(&mut self, online: &mut Online) {
        online.ready = true;
        if !self.options.version.is_v5() {
            let wanted = self.wanted();
            self.dirty |= self.state.granted != wanted;
            self.state.granted = wanted;
        }
        self.is_ready();
    }

    /// Subscribes to what is to come here, and ends subscriptions that are no longer wanted.
    fn ask(&mut self, online: &mut Online, known: bool) -> Result<(), Trouble> {
        let wanted: Vec<&TopicFilter> = self.options.receive.iter().map(|rule| &rule.filter).collect();
        let is_wanted = |text: &str| wanted.iter().any(|filter| filter.as_str() == text);
        let former: Vec<TopicFilter> = if known {
            let old = self.state.subscribed.iter().filter(|text| !is_wanted(text));
            old.filter_map(|text| TopicFilter::parse(text).ok()).collect()
        } else {
            Vec::new()
        };
        for filters in former.chunks(FILTERS) {
            let packet_id = online.next_id()?;
            online.asked.insert(packet_id, (Asked::Ended(filters.len()), Instant::now()));
            let unsubscribe = Unsubscribe { packet_id, properties: Default::default(), filters: filters.to_vec() };
            online.send(&Packet::Unsubscribe(unsubscribe))?;
        }
        // 3.1.1 cannot say that retained messages are for new subscriptions only: each SUBSCRIBE would bring them all again.
        if known && !self.options.version.is_v5() && former.is_empty() && self.state.granted == self.wanted() {
            return Ok(());
        }
        let filters: Vec<Filter> = self
            .options
            .receive
            .iter()
            .map(|rule| Filter {
                filter: rule.filter.clone(),
                qos: rule.qos,
                // Not back to us what we sent; kept messages as such, and not again at every link. 3.1.1 has none of these.
                no_local: self.options.version.is_v5(),
                retain_as_published: self.options.version.is_v5(),
                retain_handling: if self.options.version.is_v5() {
                    RetainHandling::SendIfNew
                } else {
                    RetainHandling::Send
                },
            })
            .collect();
        for filters in filters.chunks(FILTERS) {
            let packet_id = online.next_id()?;
            let names = filters.iter().map(|filter| (filter.filter.clone(), filter.qos)).collect();
            online.asked.insert(packet_id, (Asked::Subscribed(names), Instant::now()));
            let subscribe = Subscribe { packet_id, properties: Default::default(), filters: filters.to_vec() };
            online.send(&Packet::Subscribe(subscribe))?;
        }
        let subscribed: Vec<String> = wanted.iter().map(|filter| filter.as_str().to_owned()).collect();
        if self.state.subscribed != subscribed {
            self.state.subscribed = subscribed;
            self.dirty = true;
        }
        Ok(())
    }

    /// SUBACK or UNSUBACK.
    pub(super) fn granted(
        &mut self,
        online: &mut Online,
        answer: Answer,
        id: u16,
        reasons: &[ReasonCode],
    ) -> Result<(), Trouble> {
        let Some((asked, _)) = online.asked.remove(&id) else { return Ok(()) };
        online.ids.free(id);
        let wrong = |what: &str| {
            let text = format!("the other side answered {what}");
            Err(Trouble::new(text, "look whether an MQTT broker of this version listens there"))
        };
        match (asked, answer) {
            (Asked::Subscribed(filters), Answer::SubAck) if filters.len() == reasons.len() => {
                filters
                    .iter()
                    .zip(reasons)
                    .try_for_each(|((filter, qos), reason)| is_granted(filter, *qos, *reason))?;
            }
            (Asked::Subscribed(_), Answer::SubAck) => return wrong("SUBSCRIBE for another number of filters"),
            (Asked::Subscribed(_), Answer::UnsubAck) => return wrong("SUBSCRIBE with UNSUBACK"),
            (Asked::Ended(_), Answer::SubAck) => return wrong("UNSUBSCRIBE with SUBACK"),
            // 3.1.1 answers for all together.
            (Asked::Ended(count), Answer::UnsubAck) if self.options.version.is_v5() && count != reasons.len() => {
                return wrong("UNSUBSCRIBE for another number of filters");
            }
            (Asked::Ended(_), Answer::UnsubAck) => {
                if let Some(reason) = reasons.iter().find(|reason| !reason.is_success()) {
                    let text = format!("the other side does not end a former subscription: {reason}");
                    return Err(Trouble::new(text, "end it there, or choose another client_id"));
                }
            }
        }
        if online.asked.is_empty() && !online.ready {
            self.ready(online);
        }
        Ok(())
    }

    /// Newest first: what has waited becomes a stretch of its own, behind what comes from now on.
    fn split(&mut self) {
        let end = self.state.scouted + 1;
        let waits = self.state.waiting.messages > 0 && self.options.newest_first;
        if !waits || self.state.stretches.len() >= STRETCHES {
            return;
        }
        let Some(last) = self.state.stretches.last_mut().filter(|last| last.to.is_none() && last.from < end) else {
            return;
        };
        last.to = Some(end);
        let stretch = Stretch { from: end, to: None };
        self.runs.push(Run::of(&stretch));
        self.state.stretches.push(stretch);
        self.dirty = true;
    }

    /// Retained messages that were there before the bridge, or before it had these filters.
    fn owed(&self) -> Option<Run> {
        let mut ready: Vec<Item> = Vec::new();
        for (filter, until) in &self.state.retained_due {
            let Ok(filter) = TopicFilter::parse(filter) else { continue };
            let own = Some(&self.sieve.own);
            let there = self.broker.retained(&filter).into_iter();
            let there = there.filter(|message| message.received <= *until && message.publisher.as_ref() != own);
            let there = there.filter(|message| !self.passed_over.contains(&message.topic));
            ready.extend(there.filter_map(|message| {
                let rule = self.sieve.rule(message.topic.as_str())?;
                Some(Item { seq: 0, message, rule })
            }));
        }
        ready.sort_by_key(|item| item.message.received);
        (!self.state.retained_due.is_empty()).then(|| Run { ready: ready.into(), ..Run::default() })
    }

    /// Sends what may be sent.
    pub(super) async fn pump(&mut self, online: &mut Online) -> Result<(), Trouble> {
        if self.state.recount.is_some() {
            // What is under way may be among what is gone: all is found out anew before anything is sent.
            let text = "the log has freed messages that were still to be sent";
            return Err(Trouble::new(text, "raise [limits] messages_mib, or lower `keep_mib`"));
        }
        if !online.ready {
            return Ok(());
        }
        if let Some(mut owed) = online.owed.take() {
            while self.may_send(online, true)
                && let Some(item) = owed.ready.pop_front()
            {
                let flight = self.send_item(online, item)?;
                if let Some(suspect) = self.suspect.take_if(|it| flight.lost && it.is(0, flight.retained.as_ref()))
                    && let Which::Retained(topic) = suspect.which
                {
                    self.passed_over.push(topic);
                }
                owed.window.push_back(flight);
            }
            owed.window.retain(|flight| !flight.done);
            if !(owed.ready.is_empty() && owed.window.is_empty()) {
                online.owed = Some(owed);
                return Ok(());
            }
            self.state.retained_due.clear();
            self.passed_over.clear();
            self.dirty = true;
        }
        let last = self.runs.len().saturating_sub(1);
        if self.options.newest_first && last > 0 {
            self.pump_run(online, last, false).await?;
        }
        // A stretch that is done makes place for the next one.
        let mut stretches = usize::MAX;
        while self.runs.len() < stretches {
            stretches = self.runs.len();
            let limited = !(self.options.newest_first && stretches == 1);
            self.pump_run(online, 0, limited).await?;
        }
        Ok(())
    }

    fn may_send(&self, online: &Online, limited: bool) -> bool {
        let in_rate = !limited || self.options.catch_up_per_second.is_none() || online.tokens >= 1.0;
        let window = if self.is_one_alone() { 1 } else { online.window };
        in_rate && online.in_flight < window && online.link.has_room()
    }

    /// Whether one message goes alone, with nothing beside it that the other side may end the link over.
    fn is_one_alone(&self) -> bool {
        self.suspect.as_ref().is_some_and(Suspect::is_alone)
    }

    async fn pump_run(&mut self, online: &mut Online, index: usize, limited: bool) -> Result<(), Trouble> {
        while self.may_send(online, limited) && self.runs.get(index).is_some_and(|run| run.window.len() < WINDOW) {
            let Some(item) = self.runs.get_mut(index).and_then(|run| run.ready.pop_front()) else {
                if self.read_more(index, Some(&mut *online)).await {
                    continue;
                }
                break;
            };
            if limited {
                online.tokens -= 1.0;
            }
            let flight = self.send_item(online, item)?;
            if flight.lost {
                self.pass_over(index, &flight);
            } else if let Some(run) = self.runs.get_mut(index) {
                run.window.push_back(flight);
            }
        }
        self.settle(index);
        Ok(())
    }

    fn way(&self, online: &Online, message: &Message) -> Way {
        let path = message.user_properties.iter().find(|(name, _)| name.as_str() == PATH);
        let nodes: Vec<&str> = path.map(|(_, nodes)| nodes.as_str().split(',').collect()).unwrap_or_default();
        let own = self.options.node.to_string();
        if nodes.iter().any(|node| *node == own || Some(*node) == online.peer.as_deref()) {
            return Way::Ring;
        }
        if nodes.len() >= HOPS { Way::TooFar } else { Way::Open }
    }

    /// Writes a message, or finds that it cannot be sent, which is as good as done.
    fn send_item(&mut self, online: &mut Online, item: Item) -> Result<Flight, Trouble> {
        // Over a link that goes on with the former session, it has the identifier that it had. MQTT 5.0 [MQTT-4.4.0-1].
        let again = self.under_way.remove(&item.seq).filter(|_| item.seq != 0);
        let flight = self.write_item(online, item, again)?;
        if let Some(id) = again.filter(|id| *id != flight.packet_id) {
            online.ids.free(id);
        }
        Ok(flight)
    }

    fn write_item(&mut self, online: &mut Online, item: Item, again: Option<u16>) -> Result<Flight, Trouble> {
        let amount = item.amount();
        let Item { seq, message, rule } = item;
        let (received, now) = (message.received, Instant::now());
        let weight = super::sieve::amount(&message);
        let retained = (seq == 0).then(|| message.topic.clone());
        let mut flight =
            Flight { seq, retained, packet_id: 0, done: true, lost: false, amount, weight, received, sent_at: now };
        let lost = |task: &mut Self, flight: Flight, why| {
            task.state.lose(why, weight, received, || message.topic.as_str().to_owned());
            Flight { lost: true, ..flight }
        };
        match self.way(online, &message) {
            Way::Open => {}
            Way::TooFar => {
                return Ok(lost(self, flight, Loss::Unmappable));
            }
            Way::Ring => {
                self.status.set(|report| report.looped += 1);
                return Ok(flight);
            }
        }
        if message.is_expired(self.clock.now()) {
            return Ok(lost(self, flight, Loss::Expired));
        }
        let Some((topic, qos)) = self.mapped(&message, rule, seq != 0) else {
            return Ok(lost(self, flight, Loss::Unmappable));
        };
        // A topic that became a command topic since.
        if self.broker.hooks.command_topic(message.topic.as_str()) {
            return Ok(flight);
        }
        let is_suspect = |suspect: &Suspect| suspect.is_certain() && suspect.is(seq, flight.retained.as_ref());
        if self.options.skip_refused && self.suspect.as_ref().is_some_and(is_suspect) {
            return Ok(lost(self, flight, Loss::Refused));
        }
        let publish = self.publish(online, &message, topic, qos);
        if !self.fits_peer(online, &publish) {
            return Ok(lost(self, flight, Loss::TooManyProperties));
        }
        let encoded = EncodedPublish::new(&publish, self.options.version).ok();
        let Some(encoded) = encoded.filter(|encoded| encoded.size() <= online.link.packet_bytes()) else {
            return Ok(lost(self, flight, Loss::TooLarge));
        };
        if qos != QoS::AtMostOnce {
            flight.packet_id = again.map_or_else(|| online.next_id(), Ok)?;
            flight.done = false;
            online.in_flight += 1;
        }
        let mut bytes = BytesMut::with_capacity(encoded.size());
        encoded.write(flight.packet_id, again == Some(flight.packet_id), &mut bytes);
        online.sent_at = now;
        online.link.send_bytes(bytes.freeze())?;
        if flight.done {
            self.status.sent(None);
        }
        Ok(flight)
    }

    fn mapped(&self, message: &Message, rule: usize, in_lane: bool) -> Option<(TopicName, QoS)> {
        let rule = self.sieve.rules.get(rule)?;
        // What is in the log, as a retained message is whatever its QoS was, is kept for the other side as well.
        let qos = if in_lane || message.retain { QoS::AtLeastOnce } else { message.qos };
        Some((rule.map(message.topic.as_str())?, qos.min(rule.qos)))
    }

    /// Whether another node would take so many user properties; what others take is theirs to say.
    fn fits_peer(&self, online: &Online, publish: &Publish) -> bool {
        let most = self.broker.options.user_properties.saturating_add(MARKS);
        online.peer.is_none() || publish.properties.user.len() <= most
    }

    fn publish(&self, online: &Online, message: &Message, topic: TopicName, qos: QoS) -> Publish {
        let retains = online.link.conn_ack.properties.retain_available.unwrap_or(true);
        let mut properties = PublishProperties::default();
        if self.options.version.is_v5() {
            // What is left of its life, rounded up so that a live message never says 0.
            let left = message.expires.map(|at| at.since(self.clock.now()).as_micros().div_ceil(1_000_000));
            properties = PublishProperties {
                payload_format: message.payload_format,
                message_expiry_s: left.map(|left| u32::try_from(left).unwrap_or(u32::MAX)),
                response_topic: message.response_topic.clone(),
                correlation_data: message.correlation_data.clone(),
                content_type: message.content_type.clone(),
                user: self.marked(message),
                ..PublishProperties::default()
            };
        }
        let (retain, payload) = (message.retain && retains, message.payload.clone());
        Publish { dup: false, qos, retain, topic: Some(topic), packet_id: 0, properties, payload }
    }

    /// The message's user properties with where it has been and of when it is.
    fn marked(&self, message: &Message) -> UserProperties {
        let mut user = message.user_properties.clone();
        add_to_path(&mut user, &self.options.node.to_string());
        if !user.iter().any(|(name, _)| name.as_str() == TIME)
            && let (Ok(name), Ok(time)) = (Text::parse(TIME), Text::parse(&message.received.to_string()))
        {
            user.push((name, time));
        }
        user
    }

    /// A message that is not kept passes by.
    pub(super) fn pass(&mut self, online: &mut Online, item: &Item) -> Result<(), Trouble> {
        if !online.ready || self.is_one_alone() || !online.link.has_room() {
            self.missed();
            return Ok(());
        }
        if self.way(online, &item.message) == Way::Ring {
            self.status.set(|report| report.looped += 1);
            return Ok(());
        }
        // Commands are nobody's business over there, and are not counted as missed.
        if self.broker.hooks.command_topic(item.message.topic.as_str()) {
            return Ok(());
        }
        let mapped =
            self.mapped(&item.message, item.rule, false).filter(|_| self.way(online, &item.message) == Way::Open);
        let Some((topic, _)) = mapped else {
            self.missed();
            return Ok(());
        };
        let publish = self.publish(online, &item.message, topic, QoS::AtMostOnce);
        match EncodedPublish::new(&publish, self.options.version) {
            Ok(encoded) if self.fits_peer(online, &publish) && encoded.size() <= online.link.packet_bytes() => {
                let mut bytes = BytesMut::with_capacity(encoded.size());
                encoded.write(0, false, &mut bytes);
                online.sent_at = Instant::now();
                self.status.sent(None);
                online.link.send_bytes(bytes.freeze())
            }
            _ => {
                self.missed();
                Ok(())
            }
        }
    }

    /// PUBACK.
    pub(super) fn acknowledged(&mut self, online: &mut Online, ack: &Ack) -> Result<(), Trouble> {
        let stretches = self.runs.len();
        let runs = self.runs.iter_mut().chain(&mut online.owed);
        let found = runs.enumerate().find_map(|(index, run)| {
            let flight = run.window.iter_mut().find(|flight| flight.packet_id == ack.packet_id && !flight.done)?;
            Some((index, flight))
        });
        let Some((index, flight)) = found else { return Ok(()) };
        let (latency, received, weight) = (flight.sent_at.elapsed(), flight.received, flight.weight);
        if !ack.reason.is_success() && !self.options.skip_refused {
            let reason = ack.reason;
            let more = words(ack.properties.reason_string.as_ref());
            let text = format!("the other side refused a message: {reason}{more}");
            let remedy =
                "allow there what `send` names; or let the bridge pass over such messages: when_refused = \"skip\"";
            return Err(Trouble::new(text, remedy));
        }
        self.suspect.take_if(|suspect| suspect.is(flight.seq, flight.retained.as_ref()));
        online.ids.free(ack.packet_id);
        online.in_flight = online.in_flight.saturating_sub(1);
        if ack.reason.is_success() {
            flight.done = true;
            self.status.sent(Some(latency));
        } else {
            // A retained message that waits nowhere is only done.
            flight.done = index >= stretches;
            self.state.lose(Loss::Refused, weight, received, || ack.reason.to_string());
            self.lose_flight(index, ack.packet_id);
        }
        if index < self.runs.len() {
            self.settle(index);
        }
        Ok(())
    }

    /// Whether the other side still answers; asks it when nothing was said for a while.
    pub(super) fn watch(&mut self, online: &mut Online) -> Result<(), Trouble> {
        let within = self.options.answer_within;
        let runs = self.runs.iter().chain(&online.owed);
        let flights = runs.filter_map(|run| run.window.iter().find(|flight| !flight.done)).map(|flight| flight.sent_at);
        let asked = online.asked.values().map(|(_, at)| *at);
        let since = flights.chain(asked).chain(online.ping_at).min();
        if since.is_some_and(|since| since.max(online.pieces_at).elapsed() > within) {
            let text = format!("the other side has not answered for {} s", within.as_secs_f64());
            return Err(Trouble::new(text, "look whether it is overloaded or the network in between stalls"));
        }
        let quiet = online.sent_at.min(online.heard_at).elapsed() >= online.keep_alive / 2;
        if quiet && online.ping_at.is_none() {
            online.ping_at = Some(Instant::now());
            online.send(&Packet::PingReq)?;
        }
        Ok(())
    }

    pub(super) fn pong(online: &mut Online) {
        online.ping_at = None;
    }
}

#[cfg(test)]
mod tests {
    use super::Ids;

    #[test]
    fn identifiers_are_given_once_and_again_when_they_are_free() {
        let mut ids = Ids::default();
        let all: std::collections::BTreeSet<u16> = (0..65_535).filter_map(|_| ids.take()).collect();
        assert_eq!((all.len(), all.first(), all.last()), (65_535, Some(&1), Some(&65_535)));
        assert_eq!(ids.take(), None, "no search without an end");
        ids.free(7);
        assert_eq!((ids.take(), ids.take()), (Some(7), None));
    }
}
