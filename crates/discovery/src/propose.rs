//! What was found, held against the plant model in force: what is a tag already, and a document's parts for the rest.
//!
//! An announcement comes from whoever may publish there. So nothing of it takes effect by itself, and in a proposal no announcement gets a topic that is
//! somebody else's ([`owners`]): a topic that commands a tag is no state; a topic on which anybody reports, or says that it is there, is no command; a
//! command's topic for which two ask has no owner; and of a value that two announcements would have commanded differently nobody gets anything.

mod owners;

pub(crate) use owners::MAX_WORD;

use crate::item::{Command, Family, Item, Point, Source};
use crate::text::{level, line};
use andon_model::plant::{Equipment, Interpolation, Level, Plant, Profile, TagDef, TopicDef};
use andon_model::{DataType, EquipmentPath, TagPath};
use andon_wire::payload::{Filters, Mapping};
use andon_wire::value_template::ValueTemplate;
use owners::{Owners, places_of, same_announcer, with_those_above};
use serde_json::{Map, Value as Json, json};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::sync::Arc;
use uuid::Uuid;

/// The most tags of one family in one proposal.
pub const MAX_TAGS: usize = 2500;

/// What becomes of an item.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub enum State {
    /// The document makes a tag of it.
    Proposed,
    /// It would be a tag, but there is no place for it or a topic is somebody else's.
    Refused,
    /// It cannot be a tag.
    NotUnderstood,
    /// Another proposal takes the same value.
    Same,
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
            Self::Same => "same",
            Self::Mapped => "mapped",
            Self::Gone => "gone",
        }
    }
}

/// An item and what becomes of it.
#[derive(Clone, PartialEq, Debug)]
pub struct Listed {
    /// The item.
    pub item: Arc<Item>,
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
    items: &[Arc<Item>],
    gone: &[Arc<Item>],
    plant: &Plant,
    place: Option<&EquipmentPath>,
    taken: &dyn Fn(&str) -> Option<String>,
    new_id: &mut dyn FnMut() -> Uuid,
) -> Proposal {
    let mut proposer = Proposer::new(items, plant, place, taken);
    let mut listed: Vec<Listed> = items.iter().enumerate().map(|(at, item)| proposer.first(at, item, new_id)).collect();
    for (at, item) in items.iter().enumerate() {
        if let (Some(listed), Some(second)) = (listed.get_mut(at), proposer.without_state(at, item, new_id)) {
            *listed = second;
        }
    }
    proposer.leave_out_what_fails(&mut listed);
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
    items: &'p [Arc<Item>],
    mapping: Mapping,
    owners: Owners,
    /// The model's mappings by their filters.
    mapped_topics: HashMap<&'p str, &'p TopicDef>,
    /// Paths that are used.
    paths: HashSet<String>,
    rooms: HashMap<String, EquipmentPath>,
    devices: HashMap<String, EquipmentPath>,
    equipment: BTreeMap<String, Equipment>,
    tags: Vec<TagDef>,
    topics: BTreeMap<String, TopicDef>,
    /// Where a value stands that a tag of the model takes: filter and path or template.
    places: HashMap<(String, String), TagPath>,
    /// The same of filters of several topics: by path or template; numbers are indices of the tags.
    wide_places: HashMap<String, (Filters, Vec<TagPath>)>,
    /// The places in messages at which tags of the model look, whatever is made of them, and those in which these stand.
    places_taken: HashMap<(String, String), TagPath>,
    places_above: HashMap<(String, String), TagPath>,
    /// Those that tags of this proposal would take, and who announced them.
    proposed: HashMap<(String, String), (TagPath, String)>,
    /// The rooms that devices name, in any of their announcements.
    areas: HashMap<String, String>,
    /// The equipment of this proposal's devices.
    used: HashSet<String>,
    /// The last number behind a path.
    numbers: HashMap<String, u32>,
    /// How many tags of a family there are.
    counts: HashMap<Family, usize>,
    /// The model's equipment right below the place, and the paths of all of it.
    below: Vec<&'p Equipment>,
    there: HashSet<&'p str>,
    /// The first filter of a device.
    filters: HashMap<String, String>,
}

impl<'p> Proposer<'p> {
    fn new(
        items: &'p [Arc<Item>],
        plant: &'p Plant,
        place: Option<&EquipmentPath>,
        taken: &'p dyn Fn(&str) -> Option<String>,
    ) -> Self {
        let mapping = Mapping::of_plant(plant).unwrap_or_default();
        let mut proposer = Self {
            plant,
            place: place.and_then(|place| plant.equipment.iter().find(|item| item.path == *place)),
            taken,
            items,
            owners: Owners::new(items, plant, &mapping),
            mapping,
            mapped_topics: plant.topics.iter().map(|topic| (topic.filter.as_str(), topic)).collect(),
            paths: plant.tags.iter().map(|tag| tag.path.to_string()).collect(),
            rooms: HashMap::new(),
            devices: HashMap::new(),
            equipment: BTreeMap::new(),
            tags: Vec::new(),
            topics: BTreeMap::new(),
            places: HashMap::new(),
            wide_places: HashMap::new(),
            places_taken: HashMap::new(),
            places_above: HashMap::new(),
            proposed: HashMap::new(),
            areas: items.iter().filter_map(|item| Some((item.device.id.clone(), item.device.area.clone()?))).collect(),
            used: HashSet::new(),
            numbers: HashMap::new(),
            counts: HashMap::new(),
            below: plant.equipment.iter().filter(|item| item.path.parent().as_ref() == place).collect(),
            there: plant.equipment.iter().map(|item| item.path.as_str()).collect(),
            filters: HashMap::new(),
        };
        for topic in &plant.topics {
            let format = topic.settings.get("format").and_then(Json::as_str).unwrap_or_default();
            for (at, tag) in fields_of(&topic.settings) {
                if let Ok(tag) = TagPath::parse(&tag) {
                    proposer.takes(&topic.filter, format, &at, tag);
                }
            }
        }
        proposer
    }

    /// Notes that a tag of the model takes what stands there.
    fn takes(&mut self, filter: &str, format: &str, at: &str, tag: TagPath) {
        if filter.contains(['+', '#']) {
            let (filters, tags) = self.wide_places.entry(at.to_owned()).or_default();
            filters.insert(filter, tags.len());
            tags.push(tag.clone());
        }
        for place in places_of(format, at) {
            for above in with_those_above(&place).skip(1) {
                self.places_above.insert((filter.to_owned(), above.to_owned()), tag.clone());
            }
            self.places_taken.insert((filter.to_owned(), place), tag.clone());
        }
        self.places.insert((filter.to_owned(), at.to_owned()), tag);
    }

    /// The tag of the model that takes the item.
    fn mapped(&self, item: &Item) -> Option<TagPath> {
        let wanted = item.what.as_ref().ok()?;
        let Some(source) = &wanted.source else {
            let topic = wanted.command.as_ref()?.topic.as_deref()?;
            return TagPath::parse(&self.mapping.command_for(topic)?).ok();
        };
        let exact = self.places.get(&(source.filter.clone(), source.at.clone()));
        exact.cloned().or_else(|| {
            let path = path_of(source)?;
            let wide = || {
                let (filters, tags) = self.wide_places.get(&path)?;
                filters.matches(&source.filter).first().and_then(|number| tags.get(*number)).cloned()
            };
            self.places.get(&(source.filter.clone(), path.clone())).cloned().or_else(wide)
        })
    }

    /// The tag that another proposal makes of the same value, and who announced it.
    fn same(&self, source: &Source) -> Option<&(TagPath, String)> {
        let exact = self.proposed.get(&(source.filter.clone(), source.at.clone()));
        exact.or_else(|| self.proposed.get(&(source.filter.clone(), path_of(source)?)))
    }

    fn first(&mut self, number: usize, item: &Arc<Item>, new_id: &mut dyn FnMut() -> Uuid) -> Listed {
        let listed = |state, tag, why: String| Listed { item: item.clone(), state, tag, why };
        let wanted = match &item.what {
            Err(why) => return listed(State::NotUnderstood, None, why.clone()),
            Ok(wanted) => wanted,
        };
        if let Some(why) = self.owners.fault(number) {
            return listed(State::NotUnderstood, None, why.to_owned());
        }
        if let Some(tag) = self.mapped(item) {
            return listed(State::Mapped, Some(tag), item.left_out.join("; "));
        }
        if let Some(why) = self.owners.conflict(number) {
            return listed(State::Refused, None, why.to_owned());
        }
        let Some(source) = &wanted.source else {
            return listed(
                State::Refused,
                None,
                "nobody tells its state, and no other value of its device is proposed".to_owned(),
            );
        };
        if let Some((tag, by)) = self.same(source) {
            let why = format!("the same value is proposed as {} announced it", line(by, 200));
            return listed(State::Same, Some(tag.clone()), why);
        }
        if let Some(why) = self.no_state(source) {
            return listed(State::Refused, None, why);
        }
        let (command, no_command) = self.command(number, item, wanted.command.as_ref(), Some(source), &source.filter);
        let other = self.other_availability(source);
        let why = item.left_out.iter().cloned().chain(no_command).chain(other).collect::<Vec<_>>().join("; ");
        match self.add(item, &wanted.point, Some(source), command, new_id) {
            Ok(tag) => listed(State::Proposed, Some(tag), why),
            Err(no_place) => listed(State::Refused, None, no_place),
        }
    }

    /// What can be commanded and not seen stands beside another value of its device.
    fn without_state(&mut self, number: usize, item: &Arc<Item>, new_id: &mut dyn FnMut() -> Uuid) -> Option<Listed> {
        let wanted = item.what.as_ref().ok().filter(|wanted| wanted.source.is_none())?;
        if self.mapped(item).is_some() || self.owners.fault(number).is_some() {
            return None;
        }
        let filter = self.filters.get(&item.device.id)?.clone();
        let (command, why) = self.command(number, item, wanted.command.as_ref(), None, &filter);
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
        // What a family says of its own topics comes before what others say of them.
        let commander = self.owners.commander(&source.filter).and_then(|number| self.items.get(number));
        if let Some(item) = commander.filter(|item| item.family != Family::HomeAssistant) {
            return Some(format!(
                "the topic {} commands {} ({})",
                source.filter,
                item.device.name,
                line(&item.topic, 200)
            ));
        }
        let there = self.topics.get(&source.filter).or_else(|| self.mapped_topics.get(&*source.filter).copied());
        let format = there.and_then(|topic| topic.settings.get("format")).and_then(Json::as_str);
        format.filter(|format| *format != source.format).map(|other| {
            format!("the topic {} is mapped with the format {other} already; add the value there", source.filter)
        })
    }

    /// That a mapping of the model hears otherwise whether the device is there.
    fn other_availability(&self, source: &Source) -> Option<String> {
        let known = self.mapped_topics.get(&*source.filter)?.settings.get("availability");
        let wanted = source.availability.as_deref().filter(|wanted| known != Some(*wanted));
        wanted.map(|_| "the mapping that is there keeps its own way to tell whether the device is there".to_owned())
    }

    /// The command, if its topic is nobody else's; and why not. `filter`: of the mapping in which it would stand.
    fn command(
        &self,
        number: usize,
        item: &Item,
        command: Option<&Command>,
        source: Option<&Source>,
        filter: &str,
    ) -> (Option<Command>, Option<String>) {
        let Some(command) = command else { return (None, None) };
        let refused = |why: String| (None, Some(format!("not writable: {why}")));
        let topic = match self.owners.command(number) {
            Some(Ok(topic)) => topic,
            Some(Err(why)) => return refused(why.clone()),
            None => return (None, None),
        };
        let family = command.topic.is_none();
        if let Some(why) = (self.taken)(topic) {
            return refused(format!("the topic {topic}: {why}"));
        }
        if let Some(tag) = self.mapping.command_for(topic)
            && !(family && source.is_some_and(|source| self.has_another_key(source, &tag)))
        {
            return refused(format!("the topic {topic} commands the tag {tag} already"));
        }
        if let Some(tag) = source.and_then(|source| self.tag_there(source)) {
            return refused(format!("what it reports is the tag {tag} already"));
        }
        let first = self.owners.commander(topic).and_then(|number| self.items.get(number));
        if let Some(first) = first.filter(|it| it.family != Family::HomeAssistant && !same_announcer(it, item)) {
            return refused(format!("the topic {topic} was asked for by {} already", line(&first.topic, 200)));
        }
        if let Some(why) = self.owners.rival(number) {
            return refused(why.to_owned());
        }
        if let Some(own) = self.owners.reader(topic, filter, family) {
            return refused(format!("somebody reports on {topic} ({own})"));
        }
        (Some(command.clone()), None)
    }

    /// The tag of the model that looks at a place at which this source looks, or at one in it, or at one in which it is.
    fn tag_there(&self, source: &Source) -> Option<&TagPath> {
        let at = |place: &str| (source.filter.clone(), place.to_owned());
        places_of(source.format, &source.at).iter().find_map(|place| {
            let above = || with_those_above(place).find_map(|above| self.places_taken.get(&at(above)));
            self.places_above.get(&at(place)).or_else(above)
        })
    }

    /// Whether the model commands the item's topic only as the item's family does, and by other keys of the same message: one relay has one tag.
    fn has_another_key(&self, source: &Source, tag: &str) -> bool {
        let Some(known) = self.mapped_topics.get(&*source.filter) else { return false };
        let same_family = known.settings.get("format").and_then(Json::as_str) == Some(source.format);
        let fields = fields_of(&known.settings);
        let other = |command: &&Json| {
            let text = |key: &str| command.get(key).and_then(Json::as_str);
            let of_field =
                || fields.iter().find(|(_, tag)| Some(tag.as_str()) == text("tag")).map(|(at, _)| at.as_str());
            let key = text("path").or_else(of_field);
            command.get("topic").is_none() && key.is_some_and(|key| key != source.at)
        };
        same_family && commands_of(&known.settings).contains(&tag) && command_list(&known.settings).iter().all(other)
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
        let field = field_words(source, tag.as_str());
        let topic = self.topics.entry(source.filter.clone()).or_insert_with(|| {
            self.mapped_topics.get(&*source.filter).map_or_else(
                || {
                    let availability = self.owners.availability(&source.filter, source.format).cloned();
                    new_mapping(&Source { availability, ..source.clone() })
                },
                |known| (*known).clone(),
            )
        });
        if let Some(fields) = topic.settings.get_mut("fields").and_then(Json::as_array_mut) {
            fields.push(Json::Object(field));
        }
        if let Some(command) = command {
            push_command(topic, &tag, &command);
        }
        let by = (tag.clone(), item.topic.clone());
        self.proposed.insert((source.filter.clone(), source.at.clone()), by);
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
            push_command(topic, &tag, &command);
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
        let count = self.counts.get(&item.family).copied().unwrap_or_default();
        if count >= MAX_TAGS {
            return Err(format!("a proposal has at most {MAX_TAGS} tags of one family; apply it, and look again"));
        }
        let equipment = self.device(item)?;
        let wish = format!("{equipment}/{}", point.leaf);
        let path = self
            .free(&wish)
            .and_then(|path| TagPath::parse(&path).ok())
            .ok_or_else(|| format!("{wish} is too long or too deep for a tag"))?;
        self.paths.insert(path.to_string());
        self.counts.insert(item.family, count + 1);
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

    /// A path that nothing has yet: as wished, or with the next number behind it.
    fn free(&mut self, wish: &str) -> Option<String> {
        let last = self.numbers.entry(wish.to_owned()).or_default();
        for number in *last + 1..1000 {
            let path = if number == 1 { wish.to_owned() } else { format!("{wish}_{number}") };
            *last = number;
            if !self.used.contains(&path) && !self.paths.contains(&path) {
                return Some(path);
            }
        }
        None
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
        let path = self
            .free(&wish)
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
        let lower = area.to_lowercase();
        let is = |item: &&&Equipment| item.path.leaf() == leaf || item.title.to_lowercase() == lower;
        let known =
            self.below.iter().find(is).filter(|item| item.level <= Level::WorkCenter).map(|item| item.path.clone());
        let path = match known {
            Some(path) => path,
            None => EquipmentPath::parse(&format!("{}/{leaf}", place.path)).map_err(|error| error.to_string())?,
        };
        self.equip(&path, Level::WorkCenter, area, "");
        self.rooms.insert(leaf, path.clone());
        Ok(path)
    }

    fn equip(&mut self, path: &EquipmentPath, level: Level, title: &str, description: &str) {
        if self.there.contains(path.as_str()) {
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

    /// What is proposed passes the check of documents, mapping by mapping: one that does not is left out with all that stands in it.
    fn leave_out_what_fails(&mut self, listed: &mut [Listed]) {
        let types: HashMap<String, DataType> =
            self.plant.tags.iter().chain(&self.tags).map(|tag| (tag.path.to_string(), tag.data_type)).collect();
        let types: Arc<HashMap<String, DataType>> = Arc::new(types);
        let mut failed: HashMap<String, String> = HashMap::new();
        self.topics.retain(|_, topic| {
            let types = types.clone();
            let checked = Mapping::compile(std::slice::from_ref(topic), Arc::new(move |path| types.get(path).copied()));
            let Some(first) = checked.err().and_then(|findings| findings.into_iter().next()) else { return true };
            let why =
                format!("the mapping of {} would not be taken: {}", topic.filter, line(&first.finding.message, 300));
            let tags = fields_of(&topic.settings).into_iter().map(|(_, tag)| tag);
            let tags: Vec<String> = tags.chain(commands_of(&topic.settings).into_iter().map(str::to_owned)).collect();
            failed.extend(tags.into_iter().map(|tag| (tag, why.clone())));
            false
        });
        if failed.is_empty() {
            return;
        }
        self.tags.retain(|tag| !failed.contains_key(tag.path.as_str()));
        for one in listed.iter_mut().filter(|one| matches!(one.state, State::Proposed | State::Same)) {
            if let Some(why) = one.tag.as_ref().and_then(|tag| failed.get(tag.as_str())) {
                (one.state, one.why, one.tag) = (State::Refused, why.clone(), None);
            }
        }
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

/// The mapping of a topic without its fields.
fn new_mapping(source: &Source) -> TopicDef {
    let mut settings = Map::from_iter([("format".to_owned(), json!(source.format)), ("fields".to_owned(), json!([]))]);
    settings.extend(source.base.iter().map(|base| ("base".to_owned(), json!(base))));
    if let Some(availability) = &source.availability {
        settings.insert("availability".to_owned(), (**availability).clone());
    }
    TopicDef { filter: source.filter.clone(), settings: Json::Object(settings) }
}

/// The field of a mapping that gives a value to a tag.
fn field_words(source: &Source, tag: &str) -> Map<String, Json> {
    let mut field = Map::from_iter([(source.key().to_owned(), json!(source.at)), ("tag".to_owned(), json!(tag))]);
    field.extend(source.words.clone());
    field
}

/// The command of a mapping that writes a tag.
fn command_words(command: &Command, tag: &str) -> Map<String, Json> {
    let mut words = Map::from_iter([("tag".to_owned(), json!(tag))]);
    words.extend(command.topic.iter().map(|topic| ("topic".to_owned(), json!(topic))));
    words.extend(command.words.clone());
    words
}

fn push_command(topic: &mut TopicDef, tag: &TagPath, command: &Command) {
    let Some(settings) = topic.settings.as_object_mut() else { return };
    let mut list = match settings.remove("command") {
        None => Vec::new(),
        Some(Json::Array(list)) => list,
        Some(one) => vec![one],
    };
    list.push(Json::Object(command_words(command, tag.as_str())));
    settings.insert("command".to_owned(), Json::Array(list));
}

/// The path of a template that is nothing but the way to a value, as other formats write it.
fn path_of(source: &Source) -> Option<String> {
    Some(ValueTemplate::parse(&source.at).ok()?.path()?.join("."))
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

/// The commands of a mapping.
fn command_list(settings: &Json) -> Vec<&Json> {
    match settings.get("command") {
        Some(Json::Array(list)) => list.iter().collect(),
        Some(one) => vec![one],
        None => Vec::new(),
    }
}

/// The tags that a mapping commands.
fn commands_of(settings: &Json) -> Vec<&str> {
    command_list(settings).into_iter().filter_map(|command| command.get("tag")?.as_str()).collect()
}

#[cfg(test)]
mod tests;
