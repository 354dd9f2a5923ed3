//! What MQTT devices announce about themselves, joined to the rest: messages come from the broker's hooks as they pass through and from its retained
//! ones; what was found is a list and a proposed document. Nothing that is announced takes effect by itself.
//!
//! **Invariant**: a hook only notes what passes by; it is read when somebody asks.

mod announcer;
pub mod config;
mod health;
mod latest;

use self::announcer::Announcer;
use self::config::{ANNOUNCE, AnnounceConfig, DISCOVERY, SeekerConfig};
use self::latest::Latest;
use crate::mqtt::telling::Troubles;
use crate::notes::Notes;
use crate::sparkplug::Sparkplug;
use andon_broker::{Broker, Message};
use andon_bus::Bus;
use andon_bus::ids::new_id;
use andon_connectors::health::{Broken, ConnectorState, Health};
use andon_discovery::announce::{self, Entity};
use andon_discovery::{Announcements, Kind, Limits, MAX_GONE, MAX_ITEMS, Noted, Places, Proposal, State};
use andon_model::plant::TagDef;
use andon_model::plant::{ConnectorDef, Plant};
use andon_model::text::shown;
use andon_model::{Clock, TagId, Timestamp, Value};
use std::collections::HashSet;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError, RwLock, Weak};
use std::time::Duration;
use tokio_util::task::TaskTracker;
use uuid::Uuid;

/// What was announced is made a list of at most so often for those who only look at how it is going.
const LOOK_EVERY: Duration = Duration::from_secs(5);

/// A running connector that listens to announcements.
struct Seeker {
    def: ConnectorDef,
    config: SeekerConfig,
    health: Health,
    heard: Mutex<Heard>,
    /// What was made of it, of which generation and version of the plant model.
    made: Latest<(u64, u64), Made>,
}

#[derive(Default)]
struct Heard {
    announcements: Arc<Announcements>,
    /// Counts what was new.
    generation: u64,
}

/// The list, how many further items there are, and figures of it.
struct Made {
    proposal: Proposal,
    more: usize,
    devices: usize,
    mapped: usize,
    proposed: usize,
}

impl Made {
    fn of(proposal: Proposal, more: usize) -> Self {
        let listed = &proposal.listed;
        let count = |state: State| listed.iter().filter(|listed| listed.state == state).count();
        let there = listed.iter().filter(|it| it.state != State::Gone);
        let devices = there.map(|it| &*it.item.device.id).collect::<HashSet<&str>>().len();
        let (mapped, proposed) = (count(State::Mapped), count(State::Proposed));
        Self { proposal, more, devices, mapped, proposed }
    }
}

impl Seeker {
    fn heard(&self) -> MutexGuard<'_, Heard> {
        self.heard.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Discovery in this node.
pub struct Discovery {
    me: Weak<Self>,
    node: Uuid,
    bus: Arc<Bus>,
    clock: Arc<dyn Clock>,
    notes: Notes,
    sparkplug: Arc<Sparkplug>,
    broker: OnceLock<Arc<Broker>>,
    seekers: RwLock<Vec<Arc<Seeker>>>,
    announcers: RwLock<Vec<Arc<Announcer>>>,
    broken: RwLock<Vec<Broken>>,
    troubles: Mutex<Troubles>,
    /// Lists that are made for those who only look; none is begun once the node stops.
    looks: TaskTracker,
    /// Two changes of the plant are applied one after the other.
    applying: tokio::sync::Mutex<()>,
}

impl Discovery {
    /// Nothing of it runs yet.
    pub fn new(node: Uuid, bus: Arc<Bus>, clock: Arc<dyn Clock>, notes: Notes, sparkplug: Arc<Sparkplug>) -> Arc<Self> {
        Arc::new_cyclic(|me| Self {
            me: me.clone(),
            node,
            bus,
            clock,
            notes,
            sparkplug,
            broker: OnceLock::new(),
            seekers: RwLock::default(),
            announcers: RwLock::default(),
            broken: RwLock::default(),
            troubles: Mutex::default(),
            looks: TaskTracker::new(),
            applying: tokio::sync::Mutex::default(),
        })
    }

    /// Gives the broker, before anybody connects.
    pub fn set_broker(&self, broker: Arc<Broker>) {
        let _ = self.broker.set(broker);
    }

    fn seekers(&self) -> Vec<Arc<Seeker>> {
        self.seekers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    fn announcers(&self) -> Vec<Arc<Announcer>> {
        self.announcers.read().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what is likely to happen again only once for a while.
    fn say(&self, about: &str, words: impl FnOnce() -> String) {
        let told = self.troubles.lock().unwrap_or_else(PoisonError::into_inner).tell(about, self.clock.monotonic());
        match told {
            Some(0) => self.notes.say("", "discovery", words()),
            Some(more) => self.notes.say("", "discovery", format!("{} {more} more like it before.", words())),
            None => {}
        }
    }

    /// A message that passed through the broker. Budget of one that announces nothing: some comparisons of its topic's beginning.
    pub fn message(&self, message: &Message) {
        let topic = message.topic.as_str();
        for seeker in self.seekers.read().unwrap_or_else(PoisonError::into_inner).iter() {
            if let Some(kind) = seeker.config.places.announces(topic) {
                self.note(seeker, topic, kind, &message.payload, message.received);
            }
        }
        if topic.ends_with("/status") && &*message.payload == b"online" {
            let announcers = self.announcers.read().unwrap_or_else(PoisonError::into_inner);
            announcers.iter().filter(|it| it.config.options.birth_topic() == topic).for_each(|it| it.say_again());
        }
    }

    /// The tag that messages on this topic command, if one was announced with it.
    pub fn commanded(&self, topic: &str) -> Option<TagId> {
        if !topic.ends_with("/set") {
            return None;
        }
        let announcers = self.announcers.read().unwrap_or_else(PoisonError::into_inner);
        announcers.iter().find_map(|announcer| announcer.commanded(topic))
    }

    /// What a message on a topic that was announced asks for; `None` if the topic commands none of our tags.
    /// # Errors
    /// In plain words: nothing of it is carried out.
    pub fn command(&self, topic: &str, payload: &[u8]) -> Option<Result<(TagId, Value), String>> {
        let id = self.commanded(topic)?;
        let plant = self.bus.plant();
        let tag = plant.tag(id)?;
        Some(announce::wanted(tag, payload).map(|value| (id, value)))
    }

    fn note(&self, seeker: &Seeker, topic: &str, kind: Kind, payload: &[u8], at: Timestamp) {
        let noted = {
            let mut heard = seeker.heard();
            if heard.announcements.knows(topic, kind, payload) {
                return;
            }
            let noted = Arc::make_mut(&mut heard.announcements).note(topic, kind, payload, at);
            if matches!(noted, Noted::New | Noted::Gone) {
                heard.generation += 1;
            }
            noted
        };
        let name = &seeker.def.name;
        match noted {
            Noted::New => {
                seeker.health.brought(0);
                seeker.health.enter(ConnectorState::Connected);
            }
            Noted::Same => {}
            Noted::Gone => self.say(&format!("{name} gone {topic}"), || {
                format!("What was announced on {} was taken back.", shown(topic))
            }),
            Noted::Full | Noted::TooLong => self.say(&format!("{name} full"), || {
                let Limits { count, bytes, payload, .. } = Limits::default();
                format!(
                    "An announcement on {} is left out: of each family at most {count} of {bytes} bytes together are kept, each of at most {payload} bytes.",
                    shown(topic)
                )
            }),
        }
    }

    /// Follows the plant model, after all others do.
    pub async fn apply(self: &Arc<Self>, plant: &Plant) {
        let _turn = self.applying.lock().await;
        let (mut broken, now) = (Vec::new(), self.clock.now());
        let former = self.seekers();
        let mut seekers = Vec::new();
        for def in plant.connectors.iter().filter(|def| def.kind == DISCOVERY) {
            match (def.enabled, config::seeker(def, plant, self.node)) {
                (false, _) => broken.push(Broken::new(def, Vec::new(), now)),
                (true, Err(findings)) => broken.push(Broken::new(def, findings, now)),
                (true, Ok(config)) => {
                    let same = former.iter().find(|known| known.def == *def && known.config == config);
                    seekers.push(same.cloned().unwrap_or_else(|| self.begin(def, config)));
                }
            }
        }
        *self.seekers.write().unwrap_or_else(PoisonError::into_inner) = seekers;
        let mut announced = Vec::new();
        for def in plant.connectors.iter().filter(|def| def.kind == ANNOUNCE) {
            match (def.enabled, config::announcer(def, plant, self.node)) {
                (false, _) => broken.push(Broken::new(def, Vec::new(), now)),
                (true, Err(findings)) => broken.push(Broken::new(def, findings, now)),
                (true, Ok(config)) => announced.push((def, config)),
            }
        }
        self.apply_announcers(plant, announced).await;
        *self.broken.write().unwrap_or_else(PoisonError::into_inner) = broken;
    }

    async fn apply_announcers(self: &Arc<Self>, plant: &Plant, wanted: Vec<(&ConnectorDef, AnnounceConfig)>) {
        let former = self.announcers();
        let (mut running, mut fresh) = (Vec::new(), Vec::new());
        for (def, config) in wanted {
            let entities = self.entities(plant, &config);
            let same =
                former.iter().find(|known| known.def == *def && known.config == config && known.entities == entities);
            running.push(same.cloned().unwrap_or_else(|| {
                let announcer = Announcer::new(self, def.clone(), config, entities);
                fresh.push(announcer.clone());
                announcer
            }));
        }
        for old in former.iter().filter(|old| !running.iter().any(|run| Arc::ptr_eq(run, old))) {
            // What goes on under other settings leaves what its successor says anew.
            let goes_on = running.iter().any(|run| {
                let (new, old) = (&run.config.options, &old.config.options);
                (&new.prefix, &new.base, new.node_level()) == (&old.prefix, &old.base, old.node_level())
            });
            old.end(self, !goes_on).await;
        }
        *self.announcers.write().unwrap_or_else(PoisonError::into_inner) = running;
        fresh.iter().for_each(|announcer| announcer.start(self));
    }

    fn entities(&self, plant: &Plant, config: &AnnounceConfig) -> Vec<(TagId, TagDef, Entity)> {
        let view = self.bus.plant();
        let with_tag = |entity: Entity| {
            let id = view.id_of(&entity.path)?;
            Some((id, view.tag(id)?.clone(), entity))
        };
        announce::entities(&config.options, plant).into_iter().filter_map(with_tag).collect()
    }

    /// Says to whoever was told of tags that they go; before the broker stops.
    pub async fn stop(&self) {
        let announcers = std::mem::take(&mut *self.announcers.write().unwrap_or_else(PoisonError::into_inner));
        for announcer in announcers {
            announcer.end(self, false).await;
        }
        // One that is begun makes its list to the end: nobody can cut that off.
        self.looks.close();
        self.looks.wait().await;
    }

    /// A connector that has heard what is retained.
    fn begin(&self, def: &ConnectorDef, config: SeekerConfig) -> Arc<Seeker> {
        let seeker = Arc::new(Seeker {
            def: def.clone(),
            config,
            health: Health::new(ConnectorState::Connecting, self.clock.clone()),
            heard: Mutex::new(Heard { announcements: Arc::new(Announcements::new(Limits::default())), generation: 0 }),
            made: Latest::default(),
        });
        if let Some(broker) = self.broker.get() {
            for filter in seeker.config.places.filters() {
                for message in broker.retained(&filter) {
                    let topic = message.topic.as_str();
                    if let Some(kind) = seeker.config.places.announces(topic) {
                        self.note(&seeker, topic, kind, &message.payload, message.received);
                    }
                }
            }
        }
        seeker
    }

    fn version(&self, seeker: &Seeker) -> (u64, u64) {
        let version = self.bus.plant().plant.version;
        (seeker.heard().generation, version)
    }

    /// What is made of what was heard; made anew when it or the plant model has changed, by one at a time. Takes its time: not for a worker of the runtime.
    fn made(&self, seeker: &Seeker) -> Arc<Made> {
        seeker.made.get(|| self.version(seeker), || self.make(seeker))
    }

    /// What was last made of it, at once. A newer one is made meanwhile, where there is one and nobody was just told so.
    fn last_made(&self, seeker: &Arc<Seeker>) -> Option<Arc<Made>> {
        if seeker.made.is_due(&self.version(seeker), self.clock.monotonic(), LOOK_EVERY)
            && !self.looks.is_closed()
            && let (Some(this), Ok(runtime)) = (self.me.upgrade(), tokio::runtime::Handle::try_current())
        {
            let seeker = seeker.clone();
            self.looks.spawn_blocking_on(move || this.made(&seeker), &runtime);
        }
        seeker.made.last()
    }

    fn make(&self, seeker: &Seeker) -> Made {
        let view = self.bus.plant();
        let plant = &view.plant;
        // Shared, so that no message waits meanwhile; what comes as long as it is read makes a copy of its own.
        let announcements = seeker.heard().announcements.clone();
        let places = &seeker.config.places;
        let (items, more) = andon_discovery::read(places, &announcements, MAX_ITEMS);
        let (gone, _) = andon_discovery::read(places, &announcements.gone(), MAX_GONE);
        let taken = |topic: &str| self.whose(places, topic);
        let place = seeker.config.place.as_ref();
        let proposal = andon_discovery::propose(&items, &gone, plant, place, &taken, &mut || new_id(&*self.clock));
        Made::of(proposal, more)
    }

    /// Whose a topic is that no device can have.
    fn whose(&self, places: &Places, topic: &str) -> Option<String> {
        if topic.starts_with("spBv1.0/") || self.sparkplug.command_topic(topic) {
            return Some("it is Sparkplug's".to_owned());
        }
        if self.announcers().iter().any(|announcer| announcer.owns(topic)) {
            return Some("tags of Andon are announced there".to_owned());
        }
        if places.kind_of(topic).is_some_and(|kind| kind != Kind::Shelly) {
            return Some("announcements stand there".to_owned());
        }
        None
    }
}
