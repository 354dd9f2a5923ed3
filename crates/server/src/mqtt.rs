//! MQTT joined to the rest: who may connect, what a message means, commands in both directions, listeners.

use crate::notes::Notes;
use andon_access::Accounts;
use andon_access::records::DeviceRecord;
use andon_broker::{
    AuthError, Broker, BrokerHooks, CommandRefusal, ConnectionEvent, DropReason, DropReport, EndReason, Message,
    NoRight, Peer,
};
use andon_bus::ids::new_id;
use andon_bus::{Arrival, Bus, Way};
use andon_model::access::{Action, Gate, Principal, PrincipalKind};
use andon_model::command::{Actuator, CommandDoor, CommandRequest, Via, WriteError, Written};
use andon_model::event::{ConnectionChange, Event, Step, What};
use andon_model::peer::Places;
use andon_model::plant::{Plant, TagDef};
use andon_model::record::Recorder;
use andon_model::text::{counted, shown};
use andon_model::{BoxFuture, Clock, DataType, Sample, TagId, Timestamp, Value};
use andon_wire::mqtt::{TopicFilter, TopicName, UserProperties};
use andon_wire::payload::Mapping;
use async_trait::async_trait;
use bytes::Bytes;
use std::borrow::Cow;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// The same trouble with a topic is told again after this long.
const TELL_AGAIN: Duration = Duration::from_secs(600);
/// Troubles remembered, so that each is told once in that time; what is new beyond them is not told until there is room.
const TROUBLES: usize = 1000;
/// So many different topics to which a device has no right are told of in [`TELL_AGAIN`]; refusals for further ones are counted.
const TOPICS_TOLD: usize = 16;
/// Devices whose such topics are remembered.
const DEVICES_TOLD: usize = 1000;
/// So many comings and goings of a client are told in [`TELL_AGAIN`]; further ones are counted.
const COMINGS_TOLD: u64 = 20;
/// Clients whose comings and goings are counted apart; what is new beyond them is counted together.
const CLIENTS_TOLD: usize = 10_000;
/// How many characters of a stranger's topic are told.
const TOPIC_SHOWN: usize = 200;
/// How long the readings of messages may take into the log before a snapshot of the broker is put off.
const SETTLE_WITHIN: Duration = Duration::from_secs(5);
/// How long a TLS handshake may take.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// What a device may publish and subscribe to.
struct Rights {
    publish: Vec<TopicFilter>,
    subscribe: Vec<TopicFilter>,
}

impl Rights {
    fn of(device: &DeviceRecord) -> Self {
        let parse = |filters: &[String]| filters.iter().filter_map(|f| TopicFilter::parse(f).ok()).collect();
        Self { publish: parse(&device.publish), subscribe: parse(&device.subscribe) }
    }
}

#[derive(Default)]
struct AllRights {
    as_of: u64,
    by_id: HashMap<Uuid, Rights>,
}

/// What went wrong lately, so that a device that sends nonsense every second does not fill the timeline.
#[derive(Default)]
struct Troubles(HashMap<String, Trouble>);

struct Trouble {
    told: Timestamp,
    untold: u64,
}

impl Troubles {
    /// Whether to tell of this trouble now, and how many like it were not told.
    fn tell(&mut self, about: &str, now: Timestamp) -> Option<u64> {
        if let Some(known) = self.0.get_mut(about) {
            if now.since(known.told) < TELL_AGAIN {
                known.untold += 1;
                return None;
            }
            let untold = known.untold;
            *known = Trouble { told: now, untold: 0 };
            return Some(untold);
        }
        if self.0.len() >= TROUBLES {
            self.0.retain(|_, known| now.since(known.told) < TELL_AGAIN);
        }
        if self.0.len() >= TROUBLES {
            return None;
        }
        self.0.insert(about.to_owned(), Trouble { told: now, untold: 0 });
        Some(0)
    }
}

/// The topics to which devices have no right, as far as they are told ([`begin_of`]): at most [`TOPICS_TOLD`] of at most
/// [`DEVICES_TOLD`] devices.
#[derive(Default)]
struct RefusedTopics(HashMap<Uuid, TopicsOfOne>);

#[derive(Default)]
struct TopicsOfOne {
    told: Vec<(NoRight, Box<str>, Trouble)>,
    /// Refusals for topics for which there was no room, since something was last told of this device.
    others: u64,
}

/// What was not told since the last time.
#[derive(Debug, PartialEq, Eq)]
struct Untold {
    /// Refusals of the same kind for the same topic.
    same: u64,
    /// Refusals for topics that were not told at all.
    others: u64,
}

impl RefusedTopics {
    /// Whether to tell of a refusal for this topic now, and what was not told before it.
    fn tell(&mut self, device: Uuid, what: NoRight, topic: &str, now: Timestamp) -> Option<Untold> {
        let fresh = |known: &Trouble| now.since(known.told) < TELL_AGAIN;
        if !self.0.contains_key(&device) && self.0.len() >= DEVICES_TOLD {
            self.0.retain(|_, one| one.told.iter().any(|(_, _, known)| fresh(known)));
            if self.0.len() >= DEVICES_TOLD {
                return None;
            }
        }
        let topic = begin_of(topic);
        let TopicsOfOne { told, others } = self.0.entry(device).or_default();
        let same = match told.iter_mut().find(|(asked, known, _)| *asked == what && **known == *topic) {
            Some((_, _, known)) if fresh(known) => {
                known.untold += 1;
                return None;
            }
            Some((_, _, known)) => std::mem::replace(known, Trouble { told: now, untold: 0 }).untold,
            None => {
                if told.len() >= TOPICS_TOLD {
                    let over: u64 =
                        told.extract_if(.., |(_, _, known)| !fresh(known)).map(|(_, _, known)| known.untold).sum();
                    *others += over;
                }
                if told.len() >= TOPICS_TOLD {
                    *others += 1;
                    return None;
                }
                told.push((what, topic.into(), Trouble { told: now, untold: 0 }));
                0
            }
        };
        Some(Untold { same, others: std::mem::take(others) })
    }
}

impl std::fmt::Display for Untold {
    /// Nothing, or a sentence with a space before it.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let others = || counted(self.others, "refusal", "refusals");
        match (self.same, self.others) {
            (0, 0) => Ok(()),
            (same, 0) => write!(f, " {same} more like it before."),
            (0, _) => write!(f, " And {} for other topics before.", others()),
            (same, _) => write!(f, " {same} more like it before, and {} for other topics.", others()),
        }
    }
}

/// The comings and goings of clients, so that one that comes again at once whenever it is closed does not fill the timeline.
#[derive(Default)]
struct Comings {
    by_client: HashMap<Box<str>, Coming>,
    /// Of the clients for which there was no room.
    others: Option<Coming>,
    /// When what is old was last forgotten.
    swept: Duration,
}

struct Coming {
    /// The first one of those in `told`, on the monotonic clock.
    since: Duration,
    told: u64,
    untold: u64,
}

/// A coming or going that is told.
#[derive(Debug, PartialEq, Eq)]
struct Told {
    /// How many before it were not.
    untold: u64,
    /// Whether those that follow are not, for a while.
    last: bool,
}

impl Comings {
    /// Whether to tell of this one.
    fn tell(&mut self, client: &str, now: Duration) -> Option<Told> {
        let old = |one: &Coming| now.saturating_sub(one.since) >= TELL_AGAIN;
        let full = self.by_client.len() >= CLIENTS_TOLD && !self.by_client.contains_key(client);
        // All are looked at, so not for each of a flood of clients.
        if full && now.saturating_sub(self.swept) >= Duration::from_secs(1) {
            self.by_client.retain(|_, one| !old(one));
            self.swept = now;
        }
        let new = || Coming { since: now, told: 0, untold: 0 };
        let one = if let Some(known) = self.by_client.get_mut(client) {
            known
        } else if self.by_client.len() < CLIENTS_TOLD {
            self.by_client.entry(client.into()).or_insert_with(new)
        } else {
            self.others.get_or_insert_with(new)
        };
        if old(one) {
            *one = Coming { untold: one.untold, ..new() };
        }
        if one.told >= COMINGS_TOLD {
            one.untold += 1;
            return None;
        }
        one.told += 1;
        Some(Told { untold: std::mem::take(&mut one.untold), last: one.told == COMINGS_TOLD })
    }
}

impl std::fmt::Display for Told {
    /// Nothing, or what follows a reason.
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let minutes = TELL_AGAIN.as_secs() / 60;
        if self.untold > 0 {
            let before = counted(self.untold, "coming or going", "comings and goings");
            write!(f, " ({before} before it left out: more than {COMINGS_TOLD} within {minutes} min)")?;
        }
        if self.last {
            write!(f, " (the last one told: more than {COMINGS_TOLD} within {minutes} min are only counted)")?;
        }
        Ok(())
    }
}

/// Under which name the comings and goings of a client are counted. The broker makes a new identifier for each connection of a
/// client that has none, so they are counted by who it is.
fn counted_as<'a>(client_id: &'a str, who: &Principal) -> Cow<'a, str> {
    if client_id.starts_with("auto-") { format!("auto-{}", who.id).into() } else { client_id.into() }
}

/// The broker's surroundings.
pub struct Hooks {
    accounts: Arc<Accounts>,
    bus: Arc<Bus>,
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    notes: Notes,
    mapping: RwLock<Arc<Mapping>>,
    rights: RwLock<AllRights>,
    door: OnceLock<Arc<dyn CommandDoor>>,
    troubles: Mutex<Troubles>,
    refused_topics: Mutex<RefusedTopics>,
    comings: Mutex<Comings>,
    replayed: Mutex<Vec<Sample>>,
}

impl Hooks {
    /// Hooks without a door; [`Hooks::set_door`] gives it before the listeners open.
    pub fn new(
        accounts: Arc<Accounts>,
        bus: Arc<Bus>,
        recorder: Arc<dyn Recorder>,
        clock: Arc<dyn Clock>,
        notes: Notes,
    ) -> Arc<Self> {
        Arc::new(Self {
            accounts,
            bus,
            recorder,
            clock,
            notes,
            mapping: RwLock::default(),
            rights: RwLock::default(),
            door: OnceLock::new(),
            troubles: Mutex::default(),
            refused_topics: Mutex::default(),
            comings: Mutex::default(),
            replayed: Mutex::default(),
        })
    }

    /// Gives the door for command topics.
    pub fn set_door(&self, door: Arc<dyn CommandDoor>) {
        let _ = self.door.set(door);
    }

    /// Follows the plant model.
    pub fn set_plant(&self, plant: &Plant) {
        match Mapping::of_plant(plant) {
            Ok(mapping) => *self.mapping.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(mapping),
            // The document check refuses such a model, so this is a model of another version of the program.
            Err(findings) => {
                let words = findings.first().map(ToString::to_string).unwrap_or_default();
                self.notes.say("", "mapping", format!("The topic mappings of the plant model cannot be used: {words}"));
            }
        }
    }

    /// The mapping in force.
    pub fn mapping(&self) -> Arc<Mapping> {
        self.mapping.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Samples from messages that were acknowledged after the last snapshot: they may not have reached the samples lane.
    pub fn take_replayed(&self) -> Vec<Sample> {
        std::mem::take(&mut *self.replayed.lock().unwrap_or_else(PoisonError::into_inner))
    }

    fn device_may(&self, id: Uuid, allows: impl Fn(&Rights) -> bool) -> bool {
        let now = self.accounts.devices_changed();
        {
            let rights = self.rights.read().unwrap_or_else(PoisonError::into_inner);
            if rights.as_of == now {
                return rights.by_id.get(&id).is_some_and(allows);
            }
        }
        let by_id: HashMap<_, _> = self.accounts.devices().iter().map(|d| (d.id, Rights::of(d))).collect();
        let may = by_id.get(&id).is_some_and(allows);
        *self.rights.write().unwrap_or_else(PoisonError::into_inner) = AllRights { as_of: now, by_id };
        may
    }

    fn samples_of(&self, message: &Message) -> Vec<Sample> {
        let mapped = self.mapping().map(message.topic.as_str(), &message.payload, message.received);
        let plant = self.bus.plant();
        for error in &mapped.errors {
            self.trouble(error.tag.as_deref().unwrap_or_default(), message.topic.as_str(), &error.message);
        }
        let sample = |reading: andon_wire::payload::Reading| {
            let tag = plant.id_of(&reading.tag)?;
            let (value, quality) = (reading.value, reading.quality);
            Some(Sample { tag, value, quality, source_ts: reading.source_ts, received_ts: message.received })
        };
        mapped.readings.into_iter().filter_map(sample).collect()
    }

    fn trouble(&self, path: &str, topic: &str, words: &str) {
        let topic = told_topic(topic);
        self.say_once(&topic, "mapping", path, || format!("A message on {topic} could not be read: {words}."));
    }
}

impl Hooks {
    /// Says that a client was refused: the client hears only "not authorised", so the one who installs it looks here. Once for a
    /// while from each address, without what the client sent as user name.
    fn not_let_in(&self, client_id: &str, peer: &Peer) {
        let from = peer.address.ip();
        let words = || {
            format!(
                "The MQTT client {} from {from} was refused: its user name, password and client identifier are not those of a device.",
                told_client(client_id)
            )
        };
        self.say_once(&format!("refused {from}"), "mqtt_refused", "", words);
    }

    /// Notes what is likely to happen again at once only once for a while.
    fn say_once(&self, about: &str, action: &'static str, path: &str, words: impl FnOnce() -> String) {
        let now = self.clock.now();
        let before = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).tell(about, now);
        match before {
            Some(0) => self.notes.say(path, action, words()),
            Some(more) => self.notes.say(path, action, format!("{} {more} more like it before.", words())),
            None => {}
        }
    }
}

#[async_trait]
impl BrokerHooks for Hooks {
    async fn authenticate(
        &self,
        client_id: &str,
        user: Option<&str>,
        password: Option<&[u8]>,
        peer: &Peer,
    ) -> Result<Principal, AuthError> {
        let password = match password.map(std::str::from_utf8) {
            None => None,
            Some(Ok(text)) => Some(text),
            Some(Err(_)) => {
                self.not_let_in(client_id, peer);
                return Err(AuthError::BadCredentials);
            }
        };
        self.accounts.authenticate_device(user, password, client_id).ok_or_else(|| {
            self.not_let_in(client_id, peer);
            AuthError::BadCredentials
        })
    }

    fn may_publish(&self, who: &Principal, topic: &str) -> bool {
        match who.kind {
            PrincipalKind::Anonymous => self.accounts.anonymous_mqtt(),
            _ => self.device_may(who.id, |rights| rights.publish.iter().any(|f| f.matches(topic))),
        }
    }

    fn refused(&self, client_id: &str, who: &Principal, what: NoRight, topic: &str) {
        let now = self.clock.now();
        let before = self.refused_topics.lock().unwrap_or_else(PoisonError::into_inner).tell(who.id, what, topic, now);
        if let Some(before) = before {
            let asked = if what == NoRight::Subscribe { "subscription" } else { "message" };
            let (client, why) = (told_client(client_id), no_right(what, topic));
            self.notes.say(
                "",
                "mqtt_refused",
                format!("A {asked} of the MQTT client {client} was refused: {why}.{before}"),
            );
        }
    }

    fn may_subscribe(&self, who: &Principal, filter: &str) -> bool {
        match who.kind {
            PrincipalKind::Anonymous => self.accounts.anonymous_mqtt(),
            _ => self.device_may(who.id, |rights| rights.subscribe.iter().any(|own| covers(own.as_str(), filter))),
        }
    }

    fn on_message(&self, message: &Message) -> Option<BoxFuture<'static, ()>> {
        let samples = self.samples_of(message);
        if samples.is_empty() {
            return None;
        }
        let bus = self.bus.clone();
        let arrival = Arrival::of(&samples);
        Some(Box::pin(async move {
            bus.publish(samples).await;
            bus.arrivals(Way::Mqtt).note(arrival, bus.all_stored_up_to());
        }))
    }

    /// The samples lane ends a moment before the messages lane. Only what is newer than its last value of a tag is
    /// published again: an older reading would raise an alarm that is long over.
    fn replayed(&self, message: &Message) {
        let unseen = |sample: &Sample| {
            let seen = self.bus.last(sample.tag);
            seen.is_none_or(|last| (sample.received_ts, sample.source_ts) > (last.received_ts, last.source_ts))
        };
        let samples = self.samples_of(message).into_iter().filter(unseen);
        self.replayed.lock().unwrap_or_else(PoisonError::into_inner).extend(samples);
    }

    async fn settled(&self) -> bool {
        tokio::time::timeout(SETTLE_WITHIN, self.bus.settled()).await.is_ok()
    }

    fn command_topic(&self, topic: &str) -> bool {
        self.mapping().command_for(topic).is_some()
    }

    async fn command(
        &self,
        by: &Principal,
        topic: &TopicName,
        payload: &Bytes,
        _: &UserProperties,
    ) -> Result<(), CommandRefusal> {
        let refused = |words: String| CommandRefusal::Refused(words);
        let wanted = self.mapping().parse_commands(topic.as_str(), payload).map_err(|e| refused(e.message))?;
        let Some(door) = self.door.get() else { return Err(refused("the node is starting".to_owned())) };
        for write in &wanted {
            self.accounts
                .authorise(by, Action::Operate, &write.tag)
                .map_err(|d| CommandRefusal::NotAuthorised(d.to_string()))?;
        }
        for write in wanted {
            let tag =
                self.bus.plant().id_of(&write.tag).ok_or_else(|| refused(format!("{} is not a tag", write.tag)))?;
            let request = CommandRequest {
                id: new_id(&*self.clock),
                tag,
                value: write.value,
                by: by.clone(),
                via: Via::Mqtt,
                reason: None,
                life: None,
            };
            let report = door.submit(request).await;
            if report.outcome != Step::Confirmed {
                let word = format!("{:?}", report.outcome).to_lowercase();
                return Err(refused(report.detail.map_or(word.clone(), |detail| format!("{word}: {detail}"))));
            }
        }
        Ok(())
    }

    fn connection(&self, event: ConnectionEvent) {
        let (client, now) = (counted_as(&event.client_id, &event.principal), self.clock.monotonic());
        let told = self.comings.lock().unwrap_or_else(PoisonError::into_inner).tell(&client, now);
        let Some(told) = told else { return };
        let reason = match event.reason {
            None => format!("from {}", event.address),
            Some(EndReason::MayNotPublish(topic)) => {
                format!("closed by the server: {}", no_right(NoRight::Publish, topic.as_str()))
            }
            Some(reason) => reason.to_string(),
        };
        let reason = format!("{reason}{told}");
        let name = shown(&event.client_id).into_owned();
        let change = ConnectionChange { protocol: "mqtt".to_owned(), name, connected: event.connected, reason };
        let event = Event {
            id: new_id(&*self.clock),
            at: self.clock.now(),
            source_at: None,
            path: String::new(),
            by: event.principal,
            what: What::Connection(change),
        };
        // Appended now; nobody waits for it to be durable.
        drop(self.recorder.record(event));
    }

    fn dropped(&self, report: DropReport) {
        let why = match report.reason {
            DropReason::QueueFull => "its queue is full",
            DropReason::SlowReader => "it does not read what is sent to it",
            DropReason::TooLargeForClient => "they are larger than it accepts",
        };
        let words = format!(
            "Messages for the MQTT client {} are dropped because {why}; the first on {}.",
            told_client(&report.client_id),
            told_topic(&report.topic)
        );
        self.notes.say("", "dropped", words);
    }
}

/// A client identifier in words: all of it is to be seen.
fn told_client(client_id: &str) -> String {
    format!("\"{}\"", shown(client_id))
}

/// A topic in words: its first [`TOPIC_SHOWN`] characters, and all of them are to be seen.
fn told_topic(topic: &str) -> String {
    let begin = begin_of(topic);
    let rest = if begin.len() < topic.len() { "…" } else { "" };
    format!("\"{}{rest}\"", shown(begin))
}

/// As much of a topic as is told.
fn begin_of(topic: &str) -> &str {
    topic.char_indices().nth(TOPIC_SHOWN).map_or(topic, |(end, _)| &topic[..end])
}

/// To what a device has no right, and what to do.
fn no_right(what: NoRight, topic: &str) -> String {
    let topic = told_topic(topic);
    let again = "add the device again under the same name";
    let place = "(Users & audit, MQTT devices); it gets a new password";
    match what {
        NoRight::Publish => format!(
            "it may not publish to {topic}, which none of its topic filters lets it. If it should, {again} with a filter \
             that does {place}"
        ),
        NoRight::Subscribe => format!(
            "it may not subscribe to {topic}, which none of its topic filters covers. If it should, {again} with a filter \
             that does {place}"
        ),
        NoRight::Command => format!(
            "it may not publish to {topic}, which operates a tag that it may not operate. If it should, {again} with the \
             right to operate there {place}"
        ),
        NoRight::CommandAsWill => {
            format!(
                "its will may not be published to {topic}, for that would be a command. Give it another topic there"
            )
        }
        NoRight::ServerTopic => {
            format!(
                "it may not publish to {topic}, for what begins with $ is the server's. Give it another topic there"
            )
        }
    }
}

/// Whether everything that `wanted` matches is matched by `own` too.
fn covers(own: &str, wanted: &str) -> bool {
    let (mut own, mut wanted) = (own.split('/'), wanted.split('/'));
    loop {
        match (own.next(), wanted.next()) {
            (Some("#"), _) | (None, None) => return true,
            (Some("+"), Some(level)) if level != "#" => {}
            (Some(a), Some(b)) if a == b => {}
            _ => return false,
        }
    }
}

/// Writes tags by sending the device its command message.
struct MqttActuator {
    broker: Arc<Broker>,
    hooks: Arc<Hooks>,
    clock: Arc<dyn Clock>,
    tag_path: String,
}

impl Actuator for MqttActuator {
    fn write(&self, _: TagId, value: Value, deadline: Timestamp) -> BoxFuture<'static, Result<Written, WriteError>> {
        let sent = self.send(&value, deadline);
        Box::pin(std::future::ready(sent))
    }
}

impl MqttActuator {
    fn send(&self, value: &Value, deadline: Timestamp) -> Result<Written, WriteError> {
        let left = deadline.since(self.clock.now());
        if left.is_zero() {
            return Err(WriteError::NotSent("its time ran out".to_owned()));
        }
        let no_message = || WriteError::NotSent(format!("the device has no message for {value}"));
        let outgoing = self.hooks.mapping().outgoing(&self.tag_path, value).ok_or_else(no_message)?;
        let topic = TopicName::parse(&outgoing.topic).map_err(|e| WriteError::NotSent(e.to_string()))?;
        match self.broker.send_command(&topic, outgoing.payload.into(), left) {
            Ok(_) => Ok(Written::Sent),
            Err(_) => Err(WriteError::NotConnected(format!("no device listens on \"{}\"", outgoing.topic))),
        }
    }
}

/// Whether a mapping has a message for this tag.
fn has_message(mapping: &Mapping, tag: &TagDef) -> bool {
    let candidates: Vec<Value> = match tag.data_type {
        DataType::Boolean => vec![Value::Boolean(true)],
        DataType::Int64 => tag.states.keys().copied().chain([0]).map(Value::Int64).collect(),
        DataType::Double => vec![Value::Double(0.0)],
        DataType::String => vec![Value::String("".into())],
    };
    candidates.iter().any(|value| mapping.outgoing(tag.path.as_str(), value).is_some())
}

/// Registers the devices' command messages as the way to write their tags.
pub fn set_actuators(bus: &Bus, broker: &Arc<Broker>, hooks: &Arc<Hooks>, clock: &Arc<dyn Clock>) {
    let view = bus.plant();
    let mapping = hooks.mapping();
    for (id, tag) in view.tags().filter(|(_, tag)| tag.write.is_some() && has_message(&mapping, tag)) {
        let actuator = MqttActuator {
            broker: broker.clone(),
            hooks: hooks.clone(),
            clock: clock.clone(),
            tag_path: tag.path.to_string(),
        };
        bus.set_actuator([id], Arc::new(actuator));
    }
}

/// Accepts MQTT connections until `stop`; the broker bounds their number, `places` that of each stranger.
pub async fn listen(
    listener: TcpListener,
    broker: Arc<Broker>,
    tls: Option<TlsAcceptor>,
    places: Arc<Places>,
    stop: CancellationToken,
) {
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Usually "too many open files": the others go on, and we try again shortly.
                tracing::warn!(%error, "could not accept an MQTT connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Before the handshake, which costs the most. Nothing can be said before a CONNECT names a version.
        let place = match places.take(address.ip()) {
            Ok(place) => place,
            Err(refused) => {
                if let Some(count) = refused.tell {
                    tracing::warn!(source = %refused.source, most = refused.most, count, "MQTT connections refused: the address has as many as it may");
                }
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let (broker, tls) = (broker.clone(), tls.clone());
        // Ends with its connection; `Broker::stop` ends all of them.
        tokio::spawn(async move {
            let _place = place;
            let peer = Peer { address, tls: tls.is_some(), websocket: false };
            match tls {
                None => broker.serve(stream, peer).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                        broker.serve(stream, peer).await;
                    }
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use super::{
        CLIENTS_TOLD, COMINGS_TOLD, Comings, DEVICES_TOLD, RefusedTopics, TOPIC_SHOWN, TOPICS_TOLD, TROUBLES, Told,
        Troubles, Untold, counted_as, covers, no_right,
    };
    use andon_broker::NoRight;
    use andon_model::Timestamp;
    use andon_model::access::Principal;
    use std::time::Duration;
    use uuid::Uuid;

    #[test]
    fn a_filter_is_covered_only_if_all_it_matches_is() {
        for (own, wanted) in
            [("#", "a/#"), ("a/#", "a/b/+"), ("a/#", "a"), ("a/+", "a/b"), ("a/+/c", "a/+/c"), ("a", "a")]
        {
            assert!(covers(own, wanted), "{own} covers {wanted}");
        }
        for (own, wanted) in
            [("a/+", "a/#"), ("a/+", "a"), ("a/b", "a/+"), ("a/b", "#"), ("a/+/c", "a/b/d"), ("a", "a/b")]
        {
            assert!(!covers(own, wanted), "{own} does not cover {wanted}");
        }
    }

    #[test]
    fn a_topic_of_a_stranger_is_told_so_far_and_all_of_it_is_seen() {
        assert!(
            no_right(NoRight::Publish, "meters/8/power").starts_with("it may not publish to \"meters/8/power\", which")
        );
        let turned = no_right(NoRight::Publish, "a\u{202e}b");
        assert!(turned.contains(r"a\u{202e}b") && !turned.contains('\u{202e}'), "{turned}");
        let long = no_right(NoRight::Publish, &"é".repeat(60_000));
        assert!(long.contains(&format!("\"{}…\"", "é".repeat(TOPIC_SHOWN))) && long.len() < 1000, "{long}");
    }

    #[test]
    fn the_same_trouble_is_told_again_after_a_while_with_its_number() {
        let mut troubles = Troubles::default();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        assert_eq!(troubles.tell("a/b", at(0)), Some(0));
        assert_eq!((troubles.tell("a/b", at(1)), troubles.tell("a/b", at(599))), (None, None));
        assert_eq!(troubles.tell("a/c", at(2)), Some(0), "another topic is another trouble");
        assert_eq!(troubles.tell("a/b", at(600)), Some(2));
        assert_eq!(troubles.tell("a/b", at(1_200)), Some(0));
    }

    #[test]
    fn each_of_a_few_refused_topics_is_told_once_and_of_many_the_rest_is_counted() {
        let mut refused = RefusedTopics::default();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        let (one, other) = (Uuid::from_u128(1), Uuid::from_u128(2));
        let first = Some(Untold { same: 0, others: 0 });
        for n in 0..TOPICS_TOLD {
            assert_eq!(refused.tell(one, NoRight::Publish, &format!("t/{n}"), at(0)), first, "topic {n}");
        }
        assert_eq!(
            (refused.tell(one, NoRight::Publish, "t/0", at(1)), refused.tell(one, NoRight::Publish, "t/0", at(2))),
            (None, None)
        );
        assert_eq!(
            (
                refused.tell(one, NoRight::Publish, "more/1", at(3)),
                refused.tell(one, NoRight::Publish, "more/2", at(3))
            ),
            (None, None)
        );
        assert_eq!(refused.tell(other, NoRight::Publish, "more/1", at(3)), first, "each device has its own");
        assert_eq!(refused.tell(one, NoRight::Publish, "t/0", at(600)), Some(Untold { same: 2, others: 2 }));
        assert_eq!(refused.tell(one, NoRight::Publish, "more/1", at(600)), first, "what is old makes room");
        assert_eq!(
            refused.tell(one, NoRight::Subscribe, "more/1", at(600)),
            first,
            "a subscription is another trouble"
        );
        assert_eq!(refused.0[&one].told.len(), 3);
    }

    #[test]
    fn what_is_remembered_of_refused_topics_is_bounded() {
        let mut refused = RefusedTopics::default();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        for n in 0..2 * DEVICES_TOLD as u128 {
            refused.tell(Uuid::from_u128(n), NoRight::Publish, &"é".repeat(30_000), at(0));
        }
        assert_eq!(refused.0.len(), DEVICES_TOLD);
        assert!(refused.0.values().all(|of| of.told[0].1.chars().count() == TOPIC_SHOWN));
        assert!(
            refused.tell(Uuid::from_u128(u128::MAX), NoRight::Publish, "a", at(600)).is_some(),
            "there is room again"
        );
        assert_eq!(refused.0.len(), 1);
    }

    #[test]
    fn what_was_not_told_is_a_sentence() {
        let words = |same, others| Untold { same, others }.to_string();
        assert_eq!(words(0, 0), "");
        assert_eq!(words(3, 0), " 3 more like it before.");
        assert_eq!(words(0, 1), " And 1 refusal for other topics before.");
        assert_eq!(words(3, 2), " 3 more like it before, and 2 refusals for other topics.");
    }

    #[test]
    fn of_many_comings_and_goings_of_a_client_the_rest_is_counted() {
        let mut comings = Comings::default();
        let at = Duration::from_secs;
        let plain = Some(Told { untold: 0, last: false });
        for n in 1..COMINGS_TOLD {
            assert_eq!(comings.tell("press-7", at(n)), plain, "the {n}th");
        }
        assert_eq!(comings.tell("press-7", at(30)), Some(Told { untold: 0, last: true }));
        for n in 0..10_000 {
            assert_eq!(comings.tell("press-7", at(31 + n / 20)), None);
        }
        assert_eq!(comings.tell("press-8", at(31)), plain, "another client is told as ever");
        assert_eq!(comings.tell("press-7", at(601)), Some(Told { untold: 10_000, last: false }));
        assert_eq!(comings.tell("press-7", at(602)), plain);
        assert_eq!(comings.tell("press-7", at(9_000)), plain, "after a quiet time");
    }

    #[test]
    fn comings_and_goings_of_more_clients_than_are_remembered_are_counted_together() {
        let mut comings = Comings::default();
        let mut told = |n: usize, now| comings.tell(&format!("client {n}"), Duration::from_secs(now)).is_some();
        assert!((0..CLIENTS_TOLD).all(|n| told(n, 5)));
        let most = usize::try_from(COMINGS_TOLD).expect("a small number");
        assert_eq!((0..CLIENTS_TOLD).filter(|n| told(CLIENTS_TOLD + n, 6)).count(), most);
        assert!(told(0, 6), "those that are remembered are told as ever");
        assert!(told(2 * CLIENTS_TOLD, 700));
        assert_eq!((comings.by_client.len(), comings.swept), (1, Duration::from_secs(700)), "what is old is forgotten");
    }

    #[test]
    fn clients_without_an_identifier_of_their_own_are_counted_by_who_they_are() {
        let principal = Principal::SYSTEM;
        assert_eq!(counted_as("press-7", &principal), "press-7");
        assert_eq!(counted_as("auto-1", &principal), counted_as("auto-2", &principal));
    }

    #[test]
    fn what_was_left_out_follows_the_reason() {
        assert_eq!(Told { untold: 0, last: false }.to_string(), "");
        let words = Told { untold: 9_980, last: false }.to_string();
        assert_eq!(words, " (9980 comings and goings before it left out: more than 20 within 10 min)");
        assert!(Told { untold: 0, last: true }.to_string().contains("are only counted"));
    }

    #[test]
    fn what_was_refused_is_told_with_what_to_do() {
        for (what, words) in [
            (NoRight::Subscribe, "it may not subscribe to \"a/#\""),
            (NoRight::Command, "with the right to operate"),
            (NoRight::CommandAsWill, "its will may not be published to \"a/#\""),
            (NoRight::ServerTopic, "begins with $ is the server's"),
        ] {
            assert!(no_right(what, "a/#").contains(words), "{words}");
        }
    }

    #[test]
    fn of_too_many_troubles_the_new_ones_wait_for_room() {
        let mut troubles = Troubles::default();
        let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
        for n in 0..TROUBLES {
            assert_eq!(troubles.tell(&format!("t/{n}"), at(0)), Some(0));
        }
        assert_eq!(troubles.tell("one more", at(599)), None);
        assert_eq!(troubles.tell("one more", at(600)), Some(0));
        assert_eq!(troubles.0.len(), 1, "what is old was forgotten");
    }
}
