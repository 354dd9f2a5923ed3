//! What MQTT devices announce about themselves, and what tags announce to a Home Assistant.
//!
//! In: [`Announcements`] keeps what was announced, within bounds; [`read`] makes [`Item`]s of it: what could become tags, or why not;
//! [`propose`] holds them against the plant model in force and gives a list and the parts of a model that would take them. Out: [`announce`] makes the
//! retained messages by which a Home Assistant finds the tags of a branch.
//!
//! **Invariants**: no I/O, no clock; nothing that was announced panics or passes the bounds; an announcement never makes anything take effect: it becomes
//! a proposal, and what in it would take a topic from somebody is left out with the reason.
//!
//! Start at [`read`], then [`propose`].

pub mod announce;
mod announcements;
mod home_assistant;
mod item;
pub mod owed;
mod propose;
mod shelly;
mod tasmota;
mod text;
pub mod units;
mod zigbee2mqtt;

pub use announcements::{Announcement, Announcements, Limits, Noted};
pub use item::{Command, Device, Family, Item, Point, Source, Wanted};
pub use propose::{Listed, Proposal, State, propose};

use andon_wire::mqtt::TopicFilter;
use std::sync::Arc;

/// The most items of one family that are read; that there are further ones is told.
pub const MAX_ITEMS: usize = 5000;
/// The most of one family that were taken back.
pub const MAX_GONE: usize = 250;

/// Where devices announce themselves.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Places {
    /// The first levels of Home Assistant's discovery.
    pub prefix: String,
    /// How the second level begins of what this Andon announces itself ([`announce::own`]), which is not read back.
    pub own: String,
    /// Zigbee2MQTT's base topic, if it is listened to.
    pub zigbee2mqtt: Option<String>,
    /// Tasmota's discovery topic, if it is listened to.
    pub tasmota: Option<String>,
    /// Whether Shelly devices are looked for.
    pub shelly: bool,
}

/// What a topic is to discovery.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Kind {
    /// A configuration of Home Assistant's discovery; an empty one takes it back.
    HomeAssistant,
    /// Zigbee2MQTT's list of devices.
    Zigbee2Mqtt,
    /// Tasmota's configuration or sensors of a device.
    Tasmota,
    /// A report of a Shelly device.
    Shelly,
}

impl Kind {
    /// How many there are.
    pub(crate) const COUNT: usize = 4;

    /// Its place among them, from 0.
    pub(crate) const fn place(self) -> usize {
        match self {
            Self::HomeAssistant => 0,
            Self::Zigbee2Mqtt => 1,
            Self::Tasmota => 2,
            Self::Shelly => 3,
        }
    }
}

impl Places {
    /// What a message on this topic is to discovery; asked for every message, so without memory.
    #[must_use]
    pub fn kind_of(&self, topic: &str) -> Option<Kind> {
        let below = |base: &str| topic.strip_prefix(base).and_then(|rest| rest.strip_prefix('/'));
        if let Some(rest) = below(&self.prefix) {
            return rest.ends_with("/config").then_some(Kind::HomeAssistant);
        }
        if let Some(rest) = self.zigbee2mqtt.as_deref().and_then(below) {
            return (rest == "bridge/devices").then_some(Kind::Zigbee2Mqtt);
        }
        if let Some(rest) = self.tasmota.as_deref().and_then(below) {
            let last = rest.split_once('/').map(|(_, last)| last);
            return matches!(last, Some("config" | "sensors")).then_some(Kind::Tasmota);
        }
        (self.shelly && shelly::is_report(topic)).then_some(Kind::Shelly)
    }

    /// The same, but for what this Andon announces itself.
    #[must_use]
    pub fn announces(&self, topic: &str) -> Option<Kind> {
        let own = || topic.strip_prefix(&self.prefix).and_then(|rest| rest.split('/').nth(2));
        self.kind_of(topic)
            .filter(|kind| *kind != Kind::HomeAssistant || !own().is_some_and(|node| node.starts_with(&self.own)))
    }

    /// The filters under which retained announcements stand.
    #[must_use]
    pub fn filters(&self) -> Vec<TopicFilter> {
        let mut filters = vec![format!("{}/#", self.prefix)];
        filters.extend(self.zigbee2mqtt.iter().map(|base| format!("{base}/bridge/devices")));
        filters.extend(self.tasmota.iter().map(|base| format!("{base}/+/+")));
        if self.shelly {
            filters.extend(["shellies/+/#".to_owned(), "+/status/+".to_owned(), "+/events/rpc".to_owned()]);
        }
        filters.iter().filter_map(|filter| TopicFilter::parse(filter).ok()).collect()
    }
}

/// What could become tags, by family and in the order in which it was announced; and how many more there are at least. `most`: of each family, such as
/// [`MAX_ITEMS`]. Nothing further is made before it is left out.
#[must_use]
pub fn read(places: &Places, announcements: &Announcements, most: usize) -> (Vec<Arc<Item>>, usize) {
    let (mut items, mut more) = (Vec::new(), 0);
    // A family's own word comes before what it says to Home Assistant.
    let mut zigbee = Vec::new();
    for announcement in announcements.by_arrival().filter(|it| it.kind == Kind::Zigbee2Mqtt) {
        zigbee.extend(zigbee2mqtt::read(
            &announcement.topic,
            &announcement.payload,
            (most + 1).saturating_sub(zigbee.len()),
        ));
    }
    take(zigbee, most, &mut items, &mut more);
    if let Some(base) = &places.tasmota {
        take(tasmota::read(base, announcements, most + 1), most, &mut items, &mut more);
    }
    take(shelly::read(announcements, most + 1), most, &mut items, &mut more);
    let mut room = most;
    for announcement in announcements.by_arrival().filter(|it| it.kind == Kind::HomeAssistant) {
        if room == 0 {
            more += 1;
            continue;
        }
        let found = home_assistant::read(&places.prefix, &announcement.topic, &announcement.payload);
        let count = found.len();
        take(found, room, &mut items, &mut more);
        room = room.saturating_sub(count);
    }
    (items, more)
}

fn take(found: Vec<Item>, room: usize, items: &mut Vec<Arc<Item>>, more: &mut usize) {
    *more += found.len().saturating_sub(room);
    items.extend(found.into_iter().take(room).map(Arc::new));
}
