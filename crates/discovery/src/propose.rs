//! What was found, held against the plant model in force: what is a tag already, and a document's parts for the rest.
//!
//! An announcement comes from whoever may publish there. So nothing of it takes effect by itself, and in a proposal no announcement gets a topic that is
//! somebody else's: a topic that commands a tag is no state, a topic on which anybody reports is no command, and a command's topic has one owner.

use crate::item::{Command, Item, Point, Source};
use crate::text::{level, line};
use andon_model::plant::{Equipment, Interpolation, Level, Plant, Profile, TagDef, TopicDef};
use andon_model::{DataType, EquipmentPath, TagPath};
use andon_wire::mqtt::TopicFilter;
use andon_wire::payload::Mapping;
use andon_wire::value_template::ValueTemplate;
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use uuid::Uuid;

/// The most tags in one proposal.
pub const MAX_TAGS: usize = 10_000;

/// What becomes of an item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// The document makes a tag of it.
    Proposed,
    /// It would be a tag, but there is no place for it or a topic is somebody else's.
    Refused,
    /// It cannot be a tag.
    NotUnderstood,
    /// A tag takes it.
    Mapped,
    /// It was taken back.
    Gone,
}

impl State {
    /// Its word.
    #[must_use]
    pub const fn word(self) -> &'static str {
        match self {
            Self::Proposed => "proposed",
            Self::Refused => "refused",
            Self::NotUnderstood => "not understood",
            Self::Mapped => "mapped",
            Self::Gone => "gone",
        }
    }
}

/// An item and what becomes of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed {
    /// The item.
    pub item: Item,
    /// What becomes of it.
    pub state: State,
    /// The tag that takes it or would.
    pub tag: Option<TagPath>,
    /// Why not, and what of it is left out.
    pub why: String,
}

/// The list, and what would take those that are proposed.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Proposal {
    /// All items.
    pub listed: Vec<Listed>,
    /// The equipment, tags and topics that are new or changed; nothing else of a model.
    pub parts: Plant,
}

/// Holds items against the model. `place`: the equipment below which tags are proposed; without it only the list is made. `taken`: why a topic is not to be had
/// as state or command, beyond what the model says (such as the topics of other connectors). `new_id` gives identifiers of tags.
#[must_use]
pub fn propose(
    items: &[Item],
    gone: &[Item],
    plant: &Plant,
    place: Option<&EquipmentPath>,
    taken: &dyn Fn(&str) -> Option<String>,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Proposal {
    let mut proposer = Proposer::new(items, plant, place, taken);
    let mut listed: Vec<Listed> = items.iter().map(|item| proposer.first(item, new_id)).collect();
    for (at, item) in items.iter().enumerate() {
        if let (Some(listed), Some(second)) = (listed.get_mut(at), proposer.without_state(item, new_id)) {
            *listed = second;
        }
    }
    listed.extend(gone.iter().map(|item| Listed {
        item: item.clone(),
        state: State::Gone,
        tag: proposer.mapped(item),
        why: "it was taken back".to_owned(),
    }));
    Proposal { listed, parts: proposer.parts() }
}

struct Proposer<'p> {
    plant: &'p Plant,
    place: Option<&'p Equipment>,
    taken: &'p dyn Fn(&str) -> Option<String>,
    mapping: Mapping,
    /// The filters on which anybody reports, of the model and of what was found: those of one topic, and those of several.
    reports: HashSet<String>,
    wide_reports: Vec<(TopicFilter, String)>,
    /// The model's mappings by their filters.
    mapped_topics: HashMap<&'p str, &'p TopicDef>,
    /// Who commands on a topic: the announcement that asked first.
    commands: HashMap<String, String>,
    /// Paths that are used.
    paths: HashSet<String>,
    rooms: HashMap<String, EquipmentPath>,
    devices: HashMap<String, EquipmentPath>,
    equipment: BTreeMap<String, Equipment>,
    tags: Vec<TagDef>,
    topics: BTreeMap<String, TopicDef>,
    /// Where a value stands that a tag takes or would: filter and path or template.
    places: HashMap<(String, String), TagPath>,
    /// The same of filters of several topics: by path or template.
    wide_places: HashMap<String, Vec<(TopicFilter, TagPath)>>,
    /// The rooms that devices name, in any of their announcements.
    areas: HashMap<String, String>,
    /// The equipment of this proposal's devices.
    used: HashSet<String>,
    /// The first filter of a device.
    filters: HashMap<String, String>,
}

impl<'p> Proposer<'p> {
    fn new(
        items: &[Item],
        plant: &'p Plant,
        place: Option<&EquipmentPath>,
        taken: &'p dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let (mut reports, mut wide_reports) = (HashSet::new(), Vec::new());
        let found = items
            .iter()
            .filter_map(|item| item.what.as_ref().ok()?.source.as_ref())
            .map(|source| source.filter.as_str());
        for filter in plant.topics.iter().map(|topic| topic.filter.as_str()).chain(found) {
            if reports.insert(filter.to_owned())
                && filter.contains(['+', '#'])
                && let Ok(parsed) = TopicFilter::parse(filter)
            {
                wide_reports.push((parsed, filter.to_owned()));
            }
        }
        let mut proposer = Self {
            plant,
            place: place.and_then(|place| plant.equipment.iter().find(|item| item.path == *place)),
            taken,
            mapping: Mapping::of_plant(plant).unwrap_or_default(),
            reports,
            wide_reports,
            mapped_topics: plant.topics.iter().map(|topic| (topic.filter.as_str(), topic)).collect(),
            commands: HashMap::new(),
            paths: plant.tags.iter().map(|tag| tag.path.to_string()).collect(),
            rooms: HashMap::new(),
            devices: HashMap::new(),
            equipment: BTreeMap::new(),
            tags: Vec::new(),
            topics: BTreeMap::new(),
            places: HashMap::new(),
            wide_places: HashMap::new(),
            areas: items.iter().filter_map(|item| Some((item.device.id.clone(), item.device.area.clone()?))).collect(),
            used: HashSet::new(),
            filters: HashMap::new(),
        };
        for topic in &plant.topics {
            for (at, tag) in fields_of(&topic.settings) {
                if let Ok(tag) = TagPath::parse(&tag) {
                    proposer.takes(&topic.filter, &at, tag);
                }
            }
        }
        proposer
    }

    /// Notes that a tag takes what stands there.
    fn takes(&mut self, filter: &str, at: &str, tag: TagPath) {
        if filter.contains(['+', '#'])
            && let Ok(parsed) = TopicFilter::parse(filter)
        {
            self.wide_places.entry(at.to_owned()).or_default().push((parsed, tag.clone()));
        }
        self.places.insert((filter.to_owned(), at.to_owned()), tag);
    }

    /// The tag that takes the item, in the model or in this proposal.
    fn mapped(&self, item: &Item) -> Option<TagPath> {
        let wanted = item.what.as_ref().ok()?;
        let Some(source) = &wanted.source else {
            let topic = wanted.command.as_ref()?.topic.as_deref()?;
            return TagPath::parse(&self.mapping.command_for(topic)?).ok();
        };
        let exact = self.places.get(&(source.filter.clone(), source.at.clone()));
        exact.cloned().or_else(|| {
            // The same place in the message, by another format's words.
            let path = ValueTemplate::parse(&source.at).ok()?.path()?.join(".");
            let wide = self.wide_places.get(&path);
            let wide = || wide?.iter().find(|(filter, _)| filter.matches(&source.filter)).map(|(_, tag)| tag.clone());
            self.places.get(&(source.filter.clone(), path.clone())).cloned().or_else(wide)
        })
    }

    fn first(&mut self, item: &Item, new_id: &mut dyn FnMut() -> Uuid) -> Listed {
        let listed = |state, tag, why: String| Listed { item: item.clone(), state, tag, why };
        let wanted = match &item.what {
            Err(why) => return listed(State::NotUnderstood, None, why.clone()),
            Ok(wanted) => wanted,
        };
        if let Some(tag) = self.mapped(item) {
            return listed(State::Mapped, Some(tag), item.left_out.join("; "));
        }
        let Some(source) = &wanted.source else {
            return listed(
                State::Refused,
                None,
                "nobody tells its state, and no other value of its device is proposed".to_owned(),
            );
        };
        if let Some(why) = self.no_state(source) {
            return listed(State::Refused, None, why);
        }
        let (command, no_command) = self.command(item, wanted.command.as_ref(), &source.filter);
        let why = item.left_out.iter().cloned().chain(no_command).collect::<Vec<_>>().join("; ");
        match self.add(item, &wanted.point, Some(source), command, new_id) {
            Ok(tag) => listed(State::Proposed, Some(tag), why),
            Err(no_place) => listed(State::Refused, None, no_place),
        }
    }

    /// What can be commanded and not seen stands beside another value of its device.
    fn without_state(&mut self, item: &Item, new_id: &mut dyn FnMut() -> Uuid) -> Option<Listed> {
        let wanted = item.what.as_ref().ok().filter(|wanted| wanted.source.is_none())?;
        if self.mapped(item).is_some() {
            return None;
        }
        let filter = self.filters.get(&item.device.id)?.clone();
        let (command, why) = self.command(item, wanted.command.as_ref(), &filter);
        let Some(command) = command else {
            return Some(Listed { item: item.clone(), state: State::Refused, tag: None, why: why.unwrap_or_default() });
        };
        let added = self.add_command(item, &wanted.point, &filter, command, new_id);
        let unknown = "nobody tells its state, so whether a write had an effect stays unknown".to_owned();
        Some(match added {
            Ok(tag) => Listed { item: item.clone(), state: State::Proposed, tag: Some(tag), why: unknown },
            Err(why) => Listed { item: item.clone(), state: State::Refused, tag: None, why },
        })
    }

    /// Why the topic is no state that a tag may have.
    fn no_state(&self, source: &Source) -> Option<String> {
        if let Some(tag) = self.mapping.command_for(&source.filter) {
            return Some(format!("the topic {} commands the tag {tag}", source.filter));
        }
        if let Some(why) = (self.taken)(&source.filter) {
            return Some(format!("the topic {}: {why}", source.filter));
        }
        let there = self.topics.get(&source.filter).or_else(|| self.mapped_topics.get(&*source.filter).copied());
        let format = there.and_then(|topic| topic.settings.get("format")).and_then(Json::as_str);
        format.filter(|format| *format != source.format).map(|other| {
            format!("the topic {} is mapped with the format {other} already; add the value there", source.filter)
        })
    }

    /// The command, if its topic is nobody else's; and why not.
    fn command(&mut self, item: &Item, command: Option<&Command>, filter: &str) -> (Option<Command>, Option<String>) {
        let Some(command) = command else { return (None, None) };
        let Some(topic) = &command.topic else { return (Some(command.clone()), None) };
        let refused = |why: String| (None, Some(format!("not writable: {why}")));
        if let Some(why) = (self.taken)(topic) {
            return refused(format!("the topic {topic}: {why}"));
        }
        if let Some(tag) = self.mapping.command_for(topic)
            && !self.mapped_topics.get(filter).is_some_and(|known| commands_of(&known.settings).contains(&&*tag))
        {
            return refused(format!("the topic {topic} commands the tag {tag} already"));
        }
        let wide = || self.wide_reports.iter().find(|(parsed, own)| own != filter && parsed.matches(topic));
        if let Some(own) = self.reports.get(topic).or_else(|| wide().map(|(_, own)| own)) {
            return refused(format!("somebody reports on {topic} ({own})"));
        }
        let owner = self.commands.entry(topic.clone()).or_insert_with(|| item.topic.clone());
        if *owner != item.topic {
            return refused(format!("the topic {topic} was asked for by {owner} already"));
        }
        (Some(command.clone()), None)
    }

    fn add(
        &mut self,
        item: &Item,
        point: &Point,
        source: Option<&Source>,
        command: Option<Command>,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Result<TagPath, String> {
        let tag = self.tag(item, point, command.is_some(), new_id)?;
        let Some(source) = source else { return Ok(tag) };
        let mut field =
            Map::from_iter([(source.key().to_owned(), json!(source.at)), ("tag".to_owned(), json!(tag.as_str()))]);
        field.extend(source.words.clone());
        let known = self.mapped_topics.get(&*source.filter).map(|known| (*known).clone());
        let topic = self.topics.entry(source.filter.clone()).or_insert_with(|| {
            known.unwrap_or_else(|| {
                let mut settings =
                    Map::from_iter([("format".to_owned(), json!(source.format)), ("fields".to_owned(), json!([]))]);
                settings.extend(source.base.iter().map(|base| ("base".to_owned(), json!(base))));
                if let Some(availability) = &source.availability {
                    settings.insert("availability".to_owned(), availability.clone());
                }
                TopicDef { filter: source.filter.clone(), settings: Json::Object(settings) }
            })
        });
        if let Some(fields) = topic.settings.get_mut("fields").and_then(Json::as_array_mut) {
            fields.push(Json::Object(field));
        }
        if let Some(command) = command {
            push_command(topic, &tag, command);
        }
        self.takes(&source.filter, &source.at, tag.clone());
        self.filters.entry(item.device.id.clone()).or_insert_with(|| source.filter.clone());
        Ok(tag)
    }

    fn add_command(
        &mut self,
        item: &Item,
        point: &Point,
        filter: &str,
        command: Command,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Result<TagPath, String> {
        let tag = self.tag(item, point, true, new_id)?;
        if let Some(topic) = self.topics.get_mut(filter) {
            push_command(topic, &tag, command);
        }
        Ok(tag)
    }

    /// A tag for it, in the equipment of its device.
    fn tag(
        &mut self,
        item: &Item,
        point: &Point,
        writable: bool,
        new_id: &mut dyn FnMut() -> Uuid,
    ) -> Result<TagPath, String> {
        if self.tags.len() >= MAX_TAGS {
            return Err(format!("a proposal has at most {MAX_TAGS} tags; apply it, and look again"));
        }
        let equipment = self.device(item)?;
        let wish = format!("{equipment}/{}", point.leaf);
        let free = numbered(&wish).find(|path| !self.paths.contains(path));
        let path = free
            .and_then(|path| TagPath::parse(&path).ok())
            .ok_or_else(|| format!("{wish} is too long or too deep for a tag"))?;
        self.paths.insert(path.to_string());
        let number = matches!(point.data_type, DataType::Double | DataType::Int64);
        self.tags.push(TagDef {
            id: new_id(),
            title: line(&item.name, 80),
            description: format!("Announced on {}", line(&item.topic, 200)),
            data_type: point.data_type,
            unit: point.unit.clone().filter(|_| number),
            range: point.range.filter(|_| number),
            digits: point.digits.filter(|_| number),
            states: point.states.clone(),
            interpolation: if number && point.states.is_empty() {
                Interpolation::Sloped
            } else {
                Interpolation::Stepped
            },
            compress: None,
            keep_days: None,
            stale_after_ms: point.stale_after_ms,
            write: writable.then(|| point.write.clone()),
            origin: None,
            path: path.clone(),
        });
        Ok(path)
    }

    /// The equipment of its device: place / room / device.
    fn device(&mut self, item: &Item) -> Result<EquipmentPath, String> {
        let place = self.place.ok_or("no `place` is set below which it could stand")?;
        if let Some(path) = self.devices.get(&item.device.id) {
            return Ok(path.clone());
        }
        let area = self.areas.get(&item.device.id).cloned();
        let room = match &area {
            Some(area) if place.level < Level::WorkCenter => Some(self.room(place, area)?),
            _ => None,
        };
        let above = room.unwrap_or_else(|| place.path.clone());
        let wish = format!("{above}/{}", level(&item.device.name));
        let path = numbered(&wish).find(|path| !self.used.contains(path) && !self.paths.contains(path));
        let path = path
            .and_then(|path| EquipmentPath::parse(&path).ok())
            .ok_or_else(|| format!("{wish} is too long or too deep"))?;
        self.equip(&path, Level::WorkUnit.max(place.level), &item.device.name, &item.device.model);
        self.used.insert(path.to_string());
        self.devices.insert(item.device.id.clone(), path.clone());
        Ok(path)
    }

    /// The room of this name, one that is there if there is one.
    fn room(&mut self, place: &Equipment, area: &str) -> Result<EquipmentPath, String> {
        let leaf = level(area);
        if let Some(path) = self.rooms.get(&leaf) {
            return Ok(path.clone());
        }
        let is = |item: &&Equipment| {
            item.path.parent().as_ref() == Some(&place.path)
                && (item.path.leaf() == leaf || item.title.to_lowercase() == area.to_lowercase())
        };
        let known = self
            .plant
            .equipment
            .iter()
            .find(is)
            .filter(|item| item.level <= Level::WorkCenter)
            .map(|item| item.path.clone());
        let path = match known {
            Some(path) => path,
            None => EquipmentPath::parse(&format!("{}/{leaf}", place.path)).map_err(|error| error.to_string())?,
        };
        self.equip(&path, Level::WorkCenter, area, "");
        self.rooms.insert(leaf, path.clone());
        Ok(path)
    }

    fn equip(&mut self, path: &EquipmentPath, level: Level, title: &str, description: &str) {
        if self.plant.equipment.iter().any(|item| item.path == *path) {
            return;
        }
        let profile = self.place.map_or(Profile::Home, |place| place.profile);
        let equipment = Equipment {
            path: path.clone(),
            level,
            profile,
            title: line(title, 80),
            description: line(description, 200),
            keep_days: None,
        };
        self.equipment.insert(path.to_string(), equipment);
    }

    fn parts(mut self) -> Plant {
        self.tags.sort_by(|a, b| a.path.as_str().cmp(b.path.as_str()));
        Plant {
            equipment: self.equipment.into_values().collect(),
            tags: self.tags,
            topics: self.topics.into_values().collect(),
            ..Plant::default()
        }
    }
}

/// A path, and the same with numbers behind it.
fn numbered(wish: &str) -> impl Iterator<Item = String> {
    (1..1000).map(move |n| if n == 1 { wish.to_owned() } else { format!("{wish}_{n}") })
}

fn push_command(topic: &mut TopicDef, tag: &TagPath, command: Command) {
    let mut words = Map::from_iter([("tag".to_owned(), json!(tag.as_str()))]);
    words.extend(command.topic.map(|topic| ("topic".to_owned(), json!(topic))));
    words.extend(command.words);
    let Some(settings) = topic.settings.as_object_mut() else { return };
    let mut list = match settings.remove("command") {
        None => Vec::new(),
        Some(Json::Array(list)) => list,
        Some(one) => vec![one],
    };
    list.push(Json::Object(words));
    settings.insert("command".to_owned(), Json::Array(list));
}

/// Where the fields of a mapping stand, and their tags.
fn fields_of(settings: &Json) -> Vec<(String, String)> {
    let text = |json: &Json, key: &str| json.get(key).and_then(Json::as_str).map(str::to_owned);
    let of = |field: &Json| Some((text(field, "template").or_else(|| text(field, "path"))?, text(field, "tag")?));
    let mut fields: Vec<_> =
        settings.get("fields").and_then(Json::as_array).into_iter().flatten().filter_map(of).collect();
    // The payload itself.
    if settings.get("format").and_then(Json::as_str) == Some("value") {
        fields.extend(text(settings, "tag").map(|tag| ("{{ value }}".to_owned(), tag)));
    }
    fields
}

/// The tags that a mapping commands.
fn commands_of(settings: &Json) -> Vec<&str> {
    let list = match settings.get("command") {
        Some(Json::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    };
    list.into_iter().filter_map(|command| command.get("tag")?.as_str()).collect()
}

#[cfg(test)]
mod tests;
