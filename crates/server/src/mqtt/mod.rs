//! MQTT joined to the rest: who may connect, what a message means, commands in both directions, listeners.

mod keeping;
mod rules;
pub(crate) mod telling;
mod topic_rules;

pub use self::rules::Rules;
pub use self::topic_rules::counts;

use self::telling::{
    Comings, Refusal, RefusedTopics, Strangers, ToldOf, Troubles, counted_as, no_right, told_client, told_topic,
};
use crate::discovery::Discovery;
use crate::notes::Notes;
use crate::sparkplug::{Sparkplug, Then};
use andon_access::Accounts;
use andon_access::certificate::Certificate;
use andon_access::records::DeviceRecord;
use andon_access::scram;
use andon_broker::{
    AuthError, Broker, BrokerHooks, CommandRefusal, ConnectionEvent, DropReason, DropReport, EndReason, Exchange,
    Heard, Keeping, Message, NoRight, Offer, Peer, Ruling,
};
use andon_bus::ids::new_id;
use andon_bus::{Arrival, Bus, Way};
use andon_model::access::{Action, Gate, Principal, PrincipalKind};
use andon_model::command::{Actuator, CommandDoor, CommandRequest, Via, WriteError, Written};
use andon_model::event::{ConnectionChange, Event, Step, What};
use andon_model::pace::Pace;
use andon_model::peer::Places;
use andon_model::plant::{Plant, TagDef};
use andon_model::record::Recorder;
use andon_model::text::shown;
use andon_model::{BoxFuture, Clock, DataType, Sample, TagId, Timestamp, Value};
use andon_rules::TopicRules;
use andon_wire::mqtt::{ReasonCode, TopicFilter, TopicName, UserProperties};
use andon_wire::payload::Mapping;
use arc_swap::ArcSwap;
use async_trait::async_trait;
use bytes::Bytes;
use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, OnceLock, PoisonError, RwLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

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

/// The broker's surroundings.
pub struct Hooks {
    accounts: Arc<Accounts>,
    bus: Arc<Bus>,
    recorder: Arc<dyn Recorder>,
    clock: Arc<dyn Clock>,
    notes: Notes,
    mapping: RwLock<Arc<Mapping>>,
    keeping: RwLock<keeping::InForce>,
    topic_rules: ArcSwap<TopicRules>,
    rights: RwLock<AllRights>,
    door: OnceLock<Arc<dyn CommandDoor>>,
    broker: OnceLock<Arc<Broker>>,
    sparkplug: Arc<Sparkplug>,
    discovery: OnceLock<Arc<Discovery>>,
    troubles: Mutex<Troubles>,
    strangers: Mutex<Strangers>,
    refused_topics: Mutex<RefusedTopics>,
    /// Who broke which topic rule.
    breaches: Mutex<RefusedTopics>,
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
        sparkplug: Arc<Sparkplug>,
    ) -> Arc<Self> {
        Arc::new(Self {
            accounts,
            bus,
            recorder,
            clock,
            notes,
            mapping: RwLock::default(),
            keeping: RwLock::default(),
            topic_rules: ArcSwap::default(),
            rights: RwLock::default(),
            door: OnceLock::new(),
            broker: OnceLock::new(),
            sparkplug,
            discovery: OnceLock::new(),
            troubles: Mutex::default(),
            strangers: Mutex::default(),
            refused_topics: Mutex::default(),
            breaches: Mutex::default(),
            comings: Mutex::default(),
            replayed: Mutex::default(),
        })
    }

    /// Gives the door for command topics.
    pub fn set_door(&self, door: Arc<dyn CommandDoor>) {
        let _ = self.door.set(door);
    }

    /// The tag that messages on this topic command, where it was announced to others with the topic.
    pub fn announced(&self, topic: &str) -> Option<TagId> {
        self.discovery.get()?.commanded(topic)
    }

    /// Gives what listens to announcements, before the broker.
    pub fn set_discovery(&self, discovery: Arc<Discovery>) {
        let _ = self.discovery.set(discovery);
    }

    /// Gives the broker, before anybody connects.
    pub fn set_broker(&self, broker: Arc<Broker>) {
        if let Some(discovery) = self.discovery.get() {
            discovery.set_broker(broker.clone());
        }
        self.sparkplug.set_broker(broker.clone());
        let _ = self.broker.set(broker);
    }

    /// Follows the plant model.
    pub fn set_plant(&self, plant: &Plant) {
        self.set_topic_rules(plant);
        self.keep_as(plant);
        match Mapping::of_plant(plant) {
            Ok(mapping) => *self.mapping.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(mapping),
            // The document check refuses such a model, so this is a model of another version of the program.
            Err(findings) => {
                let words = findings.first().map(ToString::to_string).unwrap_or_default();
                self.notes.say("", "mapping", format!("The topic mappings of the plant model cannot be used: {words}"));
            }
        }
    }

    /// What is kept of topics, where the rules are new.
    fn keep_as(&self, plant: &Plant) {
        let mut held = self.keeping.write().unwrap_or_else(PoisonError::into_inner);
        if held.rules == plant.topic_rules {
            return;
        }
        let keeping = keeping::of_rules(self.topic_rules());
        *held = keeping::InForce { rules: plant.topic_rules.clone(), keeping: keeping.clone() };
        drop(held);
        if let Some(broker) = self.broker.get() {
            broker.set_keeping(keeping);
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
    /// Writes tags through the door, one after the other, if all of them may be written.
    async fn write_all(&self, by: &Principal, writes: Vec<(TagId, Value)>) -> Result<(), CommandRefusal> {
        let refused = |words: String| CommandRefusal::Refused(words);
        let Some(door) = self.door.get() else { return Err(refused("the node is starting".to_owned())) };
        let plant = self.bus.plant();
        for (tag, _) in &writes {
            let path = plant.tag(*tag).map(|tag| tag.path.as_str()).unwrap_or_default();
            self.accounts
                .authorise(by, Action::Operate, path)
                .map_err(|d| CommandRefusal::NotAuthorised(d.to_string()))?;
        }
        for (tag, value) in writes {
            let request = CommandRequest {
                id: new_id(&*self.clock),
                tag,
                value,
                by: by.clone(),
                via: Via::Mqtt,
                reason: None,
                life: None,
            };
            let report = door.submit(request).await;
            if report.outcome != Step::Confirmed {
                let word = format!("{:?}", report.outcome).to_lowercase();
                let words = report.detail.map_or(word.clone(), |detail| format!("{word}: {detail}"));
                let is_begun = report.outcome != Step::Refused;
                return Err(if is_begun { CommandRefusal::Ended(words) } else { CommandRefusal::Refused(words) });
            }
        }
        Ok(())
    }

    /// What writes tags goes through the door; a birth that is asked for, and what is for somebody else and concerns no tag, needs the right to
    /// publish there.
    async fn sparkplug_command(
        &self,
        by: &Principal,
        topic: &TopicName,
        payload: &Bytes,
        planned: crate::sparkplug::Planned,
    ) -> Result<(), CommandRefusal> {
        if !matches!(planned.then, Then::Nothing) && !self.may_publish(by, topic.as_str()) {
            return Err(CommandRefusal::NotAuthorised("it may not publish there".to_owned()));
        }
        self.write_all(by, planned.writes).await?;
        match planned.then {
            Then::Nothing => Ok(()),
            Then::Rebirth(rebirth) => {
                rebirth.ask();
                Ok(())
            }
            Then::PassOn => {
                let gone =
                    || CommandRefusal::Ended(format!("no device listens on \"{topic}\"", topic = topic.as_str()));
                let broker = self.broker.get().ok_or_else(gone)?;
                let life = crate::sparkplug::REQUEST_LIFE;
                broker.send_command(topic, payload.clone(), life).map(|_| ()).map_err(|_| gone())
            }
        }
    }

    /// Says that a client was refused: the client hears only "not authorised", so the one who installs it looks here. Once for a
    /// while from each [stranger](Strangers), without what the client sent as user name.
    fn not_let_in(&self, client_id: &str, peer: &Peer) {
        let from = peer.address.ip();
        let words = || {
            format!(
                "The MQTT client {} from {from} was refused: its user name, password, certificate and client identifier are not those of a device.",
                told_client(client_id)
            )
        };
        self.tell_of_stranger(Refusal::Credentials, from, words);
    }

    /// Says that a client's certificate was refused, for it hears as little. What strangers try otherwise is not worth a word.
    fn not_agreed(&self, from: IpAddr, error: &std::io::Error) {
        let tls = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
        if let Some(error @ (rustls::Error::InvalidCertificate(_) | rustls::Error::NoCertificatesPresented)) = tls {
            let words = || format!("An MQTT client from {from} was refused before it said who it is: {error}.");
            self.tell_of_stranger(Refusal::Certificate, from, words);
        }
    }

    fn tell_of_stranger(&self, refusal: Refusal, from: IpAddr, words: impl FnOnce() -> String) {
        let now = self.clock.monotonic();
        let told = self.strangers.lock().unwrap_or_else(PoisonError::into_inner).tell(refusal, from, now);
        let words = match told {
            Some(ToldOf::One { untold: 0 }) => words(),
            Some(ToldOf::One { untold }) => format!("{} {untold} more like it before.", words()),
            Some(ToldOf::Others { untold }) => telling::others_refused(untold),
            None => return,
        };
        self.notes.say("", "mqtt_refused", words);
    }

    /// Notes what is likely to happen again at once only once for a while.
    fn say_once(&self, about: &str, action: &'static str, path: &str, words: impl FnOnce() -> String) {
        let now = self.clock.monotonic();
        let before = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).tell(about, now);
        match before {
            Some(0) => self.notes.say(path, action, words()),
            Some(more) => self.notes.say(path, action, format!("{} {more} more like it before.", words())),
            None => {}
        }
    }
}

/// A device's proof that it knows its password.
struct Scram(scram::Exchange);

impl Exchange for Scram {
    fn hear(&mut self, data: &[u8]) -> Heard {
        match self.0.hear(data) {
            scram::Heard::Continue(question) => Heard::Continue(question.into()),
            scram::Heard::Done(principal, last_word) => Heard::Done(principal, last_word.into()),
            scram::Heard::Refused => Heard::Refused(AuthError::BadCredentials),
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
        let certificate = peer.certificate.as_deref().map(Certificate::of);
        self.accounts.authenticate_device(user, password, client_id, certificate.as_ref()).ok_or_else(|| {
            self.not_let_in(client_id, peer);
            AuthError::BadCredentials
        })
    }

    fn exchange(&self, method: &str, client_id: &str, user: Option<&str>, peer: &Peer) -> Option<Box<dyn Exchange>> {
        let certificate = || peer.certificate.as_deref().map(Certificate::of);
        let begin = || Scram(scram::Exchange::new(self.accounts.clone(), client_id, user, certificate()));
        (method == scram::METHOD).then(|| Box::new(begin()) as Box<dyn Exchange>)
    }

    fn access_as_of(&self) -> u64 {
        self.accounts.devices_changed()
    }

    fn is_still_let_in(&self, who: &Principal, as_of: u64) -> bool {
        who.kind != PrincipalKind::Device || self.accounts.device_is_as_it_was(who.id, as_of)
    }

    fn unproven(&self, client_id: &str, peer: &Peer) {
        self.not_let_in(client_id, peer);
    }

    fn may_publish(&self, who: &Principal, topic: &str) -> bool {
        match who.kind {
            PrincipalKind::Anonymous => self.accounts.anonymous_mqtt(),
            _ => self.device_may(who.id, |rights| rights.publish.iter().any(|f| f.matches(topic))),
        }
    }

    fn refused(&self, client_id: &str, who: &Principal, what: NoRight, topic: &str) {
        let now = self.clock.monotonic();
        let before = self.refused_topics.lock().unwrap_or_else(PoisonError::into_inner).tell(who.id, what, topic, now);
        if let Some(before) = before {
            let asked = if what == NoRight::Subscribe { "subscription" } else { "message" };
            let (client, why) = (told_client(client_id), no_right(what, topic));
            let words = format!("A {asked} of the MQTT client {client} was refused: {why}.{before}");
            self.notes.say_of(who, "mqtt_refused", words);
        }
    }

    fn rule(&self, offer: &Offer<'_>) -> Ruling {
        self.ruling(offer)
    }

    fn may_subscribe(&self, who: &Principal, filter: &str) -> bool {
        match who.kind {
            PrincipalKind::Anonymous => self.accounts.anonymous_mqtt(),
            _ => self.device_may(who.id, |rights| rights.subscribe.iter().any(|own| covers(own.as_str(), filter))),
        }
    }

    fn keeping(&self) -> Option<Arc<dyn Keeping>> {
        self.keeping.read().unwrap_or_else(PoisonError::into_inner).keeping.clone()
    }

    fn name_of(&self, who: &Principal) -> Option<String> {
        self.accounts.name_of(who.id)
    }

    fn will(&self, message: &Message) -> Option<Bytes> {
        Sparkplug::will(message)
    }

    fn on_message(&self, message: &Message) -> Option<BoxFuture<'static, ()>> {
        let mut samples = self.samples_of(message);
        if let Some(discovery) = self.discovery.get() {
            discovery.message(message);
        }
        samples.append(&mut self.sparkplug.message(message));
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
            || self.sparkplug.command_topic(topic)
            || self.announced(topic).is_some()
    }

    async fn command(
        &self,
        by: &Principal,
        topic: &TopicName,
        payload: &Bytes,
        _: &UserProperties,
    ) -> Result<(), CommandRefusal> {
        let refused = |words: String| CommandRefusal::Refused(words);
        if let Some(planned) = self.sparkplug.command(topic.as_str(), payload) {
            return self.sparkplug_command(by, topic, payload, planned.map_err(refused)?).await;
        }
        if let Some(wanted) = self.discovery.get().and_then(|discovery| discovery.command(topic.as_str(), payload)) {
            return self.write_all(by, vec![wanted.map_err(refused)?]).await;
        }
        let wanted = self.mapping().parse_commands(topic.as_str(), payload).map_err(|e| refused(e.message))?;
        let plant = self.bus.plant();
        let tag = |path: &str| plant.id_of(path).ok_or_else(|| refused(format!("{path} is not a tag")));
        let writes: Result<Vec<_>, _> = wanted.into_iter().map(|write| Ok((tag(&write.tag)?, write.value))).collect();
        self.write_all(by, writes?).await
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
            DropReason::Unreadable => "they waited for it on disk and cannot be read any more",
        };
        let words = format!(
            "Messages for the MQTT client {} are dropped because {why}; the first on {}.",
            told_client(&report.client_id),
            told_topic(&report.topic)
        );
        self.notes.say("", "dropped", words);
    }

    fn topics_not_listed(&self, most: usize) {
        let words = || {
            format!(
                "Messages came on more topics than are listed (at most {most}, within the bytes they may take): what is new is not \
                 listed, and everything else is as ever. Raise [limits] mqtt_topics_listed, or look for a device that puts \
                 numbers that change into its topics."
            )
        };
        self.say_once("topics not listed", "topics_not_listed", "", words);
    }
}

/// Whether everything that `wanted` matches is matched by `own` too. A filter that begins with a wildcard matches no topic that begins
/// with `$` ([MQTT-4.7.2-1], in 5.0 and 3.1.1), so such topics are granted by name.
fn covers(own: &str, wanted: &str) -> bool {
    if wanted.starts_with('$') && !own.starts_with('$') {
        return false;
    }
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

/// What every listener for MQTT needs. The broker bounds the number of connections.
#[derive(Clone)]
pub struct Entrance {
    /// Who serves them.
    pub broker: Arc<Broker>,
    /// Its surroundings.
    pub hooks: Arc<Hooks>,
    /// How many each stranger may have.
    pub places: Arc<Places>,
    /// How often they may come.
    pub pace: Arc<Pace>,
}

/// Accepts MQTT connections until `stop`.
pub async fn listen(listener: TcpListener, entrance: Entrance, tls: Option<TlsAcceptor>, stop: CancellationToken) {
    let Entrance { broker, hooks, places, pace } = entrance;
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
        let too_fast = pace.take(address.ip()).err();
        if let Some((refused, count)) = too_fast.and_then(|refused| Some((refused, refused.tell?))) {
            tracing::warn!(count, "MQTT connections refused: {refused}");
        }
        // A handshake costs more than everything else, and before it nothing can be said.
        if too_fast.is_some() && tls.is_some() {
            continue;
        }
        // Nothing can be said before a CONNECT names a version.
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
        let (broker, hooks, tls) = (broker.clone(), hooks.clone(), tls.clone());
        let peer = Peer { address, tls: tls.is_some(), websocket: false, certificate: None };
        // Ends with its connection; `Broker::stop` ends all of them. A task takes as much memory as the larger way would, so each is
        // one of its own.
        match tls {
            None if too_fast.is_some() => drop(tokio::spawn(async move {
                let _place = place;
                broker.decline(stream, ReasonCode::CONNECTION_RATE_EXCEEDED).await;
            })),
            None => drop(tokio::spawn(broker.serve(stream, peer, place))),
            Some(acceptor) => drop(tokio::spawn(async move {
                let accepting = Box::pin(tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)));
                match accepting.await {
                    Ok(Ok(stream)) => {
                        let shown = stream.get_ref().1.peer_certificates().and_then(<[_]>::first);
                        let certificate = shown.map(|der| Bytes::copy_from_slice(der));
                        broker.serve(stream, Peer { certificate, ..peer }, place).await;
                    }
                    Ok(Err(error)) => hooks.not_agreed(address.ip(), &error),
                    Err(_) => {}
                }
            })),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::covers;
    use andon_wire::mqtt::TopicFilter;

    #[test]
    fn a_filter_is_covered_only_if_all_it_matches_is() {
        for (own, wanted) in
            [("#", "a/#"), ("a/#", "a/b/+"), ("a/#", "a"), ("a/+", "a/b"), ("a/+/c", "a/+/c"), ("a", "a")]
        {
            assert!(covers(own, wanted), "{own} covers {wanted}");
        }
        for (own, wanted) in [("$SYS/#", "$SYS/broker/+"), ("$SYS/#", "$SYS/#"), ("#", "a/$b"), ("#", "+/#")] {
            assert!(covers(own, wanted), "{own} covers {wanted}");
        }
        // What a filter does not match, it does not cover either.
        for own in ["#", "+/#", "+/broker/+", "+/broker/uptime"] {
            assert!(!TopicFilter::parse(own).expect("a filter").matches("$SYS/broker/uptime"), "{own}");
            for wanted in ["$SYS/#", "$SYS/broker/+", "$SYS/broker/uptime", "$sparkplug/certificates/#"] {
                assert!(!covers(own, wanted), "{own} does not cover {wanted}");
            }
        }
        for (own, wanted) in
            [("a/+", "a/#"), ("a/+", "a"), ("a/b", "a/+"), ("a/b", "#"), ("a/+/c", "a/b/d"), ("a", "a/b")]
        {
            assert!(!covers(own, wanted), "{own} does not cover {wanted}");
        }
    }
}
