//! Whose a topic is. All of the model and everything that was found is looked at before the first item is judged, so that nobody gains anything by a name
//! that comes first in the alphabet.
//!
//! Each item is tried as a mapping of its own, by the same check that reads documents: what that refuses is not understood, and what it takes says which
//! topics the item reads, also those on which its device says that it is there, and on which it is commanded.

use super::{command_words, field_words, new_mapping};
use crate::item::{Family, Item, Source, Wanted};
use andon_model::DataType;
use andon_model::plant::{Plant, TopicDef};
use andon_model::text::{check_line, check_lines, password_in_url};
use andon_wire::payload::{Filters, Mapping};
use andon_wire::value_template::{MAX_TEMPLATE, ValueTemplate};
use serde_json::{Map, Value as Json};
use std::collections::HashMap;
use std::sync::Arc;

/// The longest word that stands for a state, in bytes.
pub(crate) const MAX_WORD: usize = 256;
/// The filter of an item without a state, which stands in another one's mapping.
const NOWHERE: &str = "$nowhere";

/// What trying an item showed.
#[derive(Default)]
struct Tried {
    /// Why no mapping can hold it.
    fault: Option<String>,
    /// Where it is commanded; or why it cannot be.
    command: Option<Result<String, String>>,
    /// Why it cannot be told whose its topic is.
    conflict: Option<String>,
}

/// Somebody who reads a topic.
struct Reader {
    /// The filter of the mapping.
    filter: String,
    /// Whether the mapping is the model's.
    of_model: bool,
}

/// Whose topics are.
pub(super) struct Owners {
    tried: Vec<Tried>,
    filters: Filters,
    readers: Vec<Reader>,
    /// The first item that asks for a topic as its command's.
    commands: HashMap<String, usize>,
    /// How the device says that it is there, by topic and format: as who says most.
    availability: HashMap<(String, &'static str), Arc<Json>>,
}

/// Where a value stands: the topic, and the part of the message whatever is made of it.
pub(super) fn place_of(filter: &str, format: &str, at: &str) -> (String, String) {
    let looks_at = || ValueTemplate::parse(at).ok()?.looks_at();
    let part = if format == "template" || format == "value" { looks_at() } else { None };
    (filter.to_owned(), part.unwrap_or_else(|| at.to_owned()))
}

impl Owners {
    pub(super) fn new(items: &[Arc<Item>], plant: &Plant, model: &Mapping) -> Self {
        let mut owners = Self {
            tried: Vec::with_capacity(items.len()),
            filters: Filters::default(),
            readers: Vec::new(),
            commands: HashMap::new(),
            availability: HashMap::new(),
        };
        for topic in &plant.topics {
            owners.reads(&topic.filter, &topic.filter, true);
        }
        for (number, filter) in model.read_filters() {
            if let Some(topic) = plant.topics.get(number).filter(|topic| topic.filter != filter) {
                owners.reads(filter, &topic.filter, true);
            }
        }
        for (number, item) in items.iter().enumerate() {
            let tried = item.what.as_ref().map_or_else(|_| Tried::default(), |wanted| owners.attempt(wanted));
            if let Some(Ok(topic)) = &tried.command {
                owners.commands.entry(topic.clone()).or_insert(number);
            }
            owners.tried.push(tried);
        }
        owners.find_conflicts(items);
        owners
    }

    fn reads(&mut self, filter: &str, of: &str, of_model: bool) {
        self.filters.insert(filter, self.readers.len());
        self.readers.push(Reader { filter: of.to_owned(), of_model });
    }

    /// Tries an item, and notes what it reads.
    fn attempt(&mut self, wanted: &Wanted) -> Tried {
        let own = wanted.source.as_ref().map(|source| source.filter.as_str());
        let asked = wanted.command.as_ref().and_then(|command| command.topic.as_deref());
        // That it reports where it is commanded is told as what it is, below.
        let itself = own.is_some() && own == asked;
        let with = (wanted.command.is_some() && !itself).then(|| trial(wanted, true));
        let (mapping, no_command) = match with {
            Some(Ok(mapping)) => (Ok(mapping), None),
            Some(Err(why)) => (trial(wanted, false), Some(why)),
            None => (trial(wanted, false), None),
        };
        let mapping = match mapping {
            Ok(mapping) => mapping,
            Err(fault) => return Tried { fault: Some(fault), ..Tried::default() },
        };
        if let Some(own) = own {
            self.reads(own, own, false);
            for (_, filter) in mapping.read_filters().filter(|(_, filter)| *filter != own) {
                self.reads(filter, own, false);
            }
        }
        let command = match no_command {
            Some(why) if wanted.source.is_none() => return Tried { fault: Some(why), ..Tried::default() },
            Some(why) => Some(Err(why)),
            None if itself => asked.map(|topic| Ok(topic.to_owned())),
            None => mapping.command_filters().next().map(|(_, filter)| Ok(filter.to_owned())),
        };
        Tried { command, ..Tried::default() }
    }

    /// Two announcements of one value that would have it commanded in different ways: whose it is cannot be told, so nobody gets it. The same of one
    /// topic, whose mapping has one way only in which the device says that it is there: whoever says most of it says all that the others say, word for
    /// word, and adds only topics beside the reported one ([`adds_its_own`]); else nobody gets the topic.
    fn find_conflicts(&mut self, items: &[Arc<Item>]) {
        type Claims<'i> = HashMap<(String, String, &'static str), Vec<(usize, &'i Item)>>;
        let (mut topics, mut places): (Claims<'_>, Claims<'_>) = (HashMap::new(), HashMap::new());
        for (number, item) in items.iter().enumerate() {
            let source = item.what.as_ref().ok().and_then(|wanted| wanted.source.as_ref());
            if let Some(source) = source.filter(|_| self.fault(number).is_none()) {
                let (filter, part) = place_of(&source.filter, source.format, &source.at);
                topics.entry((filter.clone(), String::new(), source.format)).or_default().push((number, item));
                places.entry((filter, part, source.format)).or_default().push((number, item));
            }
        }
        let command = |item: &Item| item.what.as_ref().ok().and_then(|wanted| wanted.command.clone());
        for ((filter, _, format), claims) in &topics {
            // Of those who say as much the first.
            let Some((_, most)) = claims.iter().rev().max_by_key(|(_, item)| entries(availability(item)).len()) else {
                continue;
            };
            self.compare(claims, most, "say differently whether the device is there", |most, less| {
                adds_its_own(filter, availability(less), availability(most))
            });
            let most = availability(most).cloned();
            self.availability.extend(most.map(|most| ((filter.clone(), *format), most)));
        }
        for claims in places.values() {
            let Some((_, first)) = claims.first() else { continue };
            self.compare(claims, first, "want it commanded differently", |a, b| command(a) == command(b));
        }
    }

    /// Refuses all of these, if they come from two announcements or more and one of them does not agree with `judge`, one of them too.
    fn compare(&mut self, claims: &[(usize, &Item)], judge: &Item, how: &str, agrees: impl Fn(&Item, &Item) -> bool) {
        let Some((_, other)) = claims.iter().find(|(_, item)| !agrees(judge, item)) else { return };
        // One announcement may have many parts, also such as agree with somebody else's.
        let two = claims.iter().find(|(_, item)| item.topic != judge.topic);
        let Some(other) = two.map(|(_, two)| if other.topic == judge.topic { two } else { other }) else { return };
        let topic = source(judge).map(|source| source.filter.as_str()).unwrap_or_default();
        let why = format!(
            "{} and {} both report the topic {topic} and {how}: whose it is cannot be told, so map it by hand, or remove one of the two",
            crate::text::line(&judge.topic, 200),
            crate::text::line(&other.topic, 200)
        );
        for (number, _) in claims {
            if let Some(tried) = self.tried.get_mut(*number) {
                tried.conflict.get_or_insert_with(|| why.clone());
            }
        }
    }

    /// How the device of a topic says that it is there, by what is announced for this format of it.
    pub(super) fn availability(&self, filter: &str, format: &'static str) -> Option<&Arc<Json>> {
        self.availability.get(&(filter.to_owned(), format))
    }

    /// Why no mapping can hold the item.
    pub(super) fn fault(&self, number: usize) -> Option<&str> {
        self.tried.get(number)?.fault.as_deref()
    }

    /// Why it cannot be told whose the item's topic is.
    pub(super) fn conflict(&self, number: usize) -> Option<&str> {
        self.tried.get(number)?.conflict.as_deref()
    }

    /// Where the item is commanded, or why it cannot be.
    pub(super) fn command(&self, number: usize) -> Option<&Result<String, String>> {
        self.tried.get(number)?.command.as_ref()
    }

    /// The first item that asks for a topic as its command's.
    pub(super) fn commander(&self, topic: &str) -> Option<usize> {
        self.commands.get(topic).copied()
    }

    /// The mapping of somebody else who reads a topic; of a family's own command only the model is asked, for what others announce on its topics is refused.
    pub(super) fn reader(&self, topic: &str, own: &str, of_family: bool) -> Option<&str> {
        let mut readers = self.filters.matches(topic).into_iter().filter_map(|number| self.readers.get(number));
        let wide = own.contains(['+', '#']);
        let other = readers.find(|reader| !(wide && reader.filter == own) && (reader.of_model || !of_family));
        other.map(|reader| reader.filter.as_str())
    }
}

/// Whether two items come from one announcer: one announcement, or one device of a family, whose announcements are several.
pub(super) fn same_announcer(a: &Item, b: &Item) -> bool {
    let family = a.family != Family::HomeAssistant && a.family == b.family;
    let filters = (source(a).map(|source| &source.filter), source(b).map(|source| &source.filter));
    a.topic == b.topic || (family && filters.0.is_some() && filters.0 == filters.1)
}

/// The entries of an availability: each with its topic, and with its words and template where it has some.
fn entries(availability: Option<&Arc<Json>>) -> Vec<&Json> {
    match availability.map(|it| &**it) {
        Some(Json::Array(list)) => list.iter().collect(),
        one => one.into_iter().collect(),
    }
}

/// Whether `more` says all that `less` says, in the same words, and beyond it names only topics that stand beside the one that is reported: whoever may
/// publish there may as well report falsely.
fn adds_its_own(filter: &str, less: Option<&Arc<Json>>, more: Option<&Arc<Json>>) -> bool {
    let (less, more) = (entries(less), entries(more));
    let topic = |entry: &'_ Json| entry.as_str().or_else(|| entry.get("topic")?.as_str()).map(str::to_owned);
    let said: Vec<Option<String>> = less.iter().map(|entry| topic(entry)).collect();
    let parent = filter.rsplit_once('/').map(|(parent, _)| parent).filter(|parent| !parent.is_empty());
    let beside =
        |topic: &str| parent.and_then(|parent| topic.strip_prefix(parent)).is_some_and(|it| it.starts_with('/'));
    let mut added = more.iter().filter(|entry| !less.contains(entry)).map(|entry| topic(entry));
    less.iter().all(|entry| more.contains(entry))
        && added.all(|topic| topic.as_deref().is_some_and(beside) && !said.contains(&topic))
}

/// How the device of an item says that it is there.
fn availability(item: &Item) -> Option<&Arc<Json>> {
    source(item)?.availability.as_ref()
}

fn source(item: &Item) -> Option<&Source> {
    item.what.as_ref().ok()?.source.as_ref()
}

/// An item as the only mapping of a plant.
fn trial(wanted: &Wanted, with_command: bool) -> Result<Mapping, String> {
    let mut topic = match &wanted.source {
        Some(source) => {
            let mut topic = new_mapping(source);
            if let Some(fields) = topic.settings.get_mut("fields").and_then(Json::as_array_mut) {
                fields.push(Json::Object(field_words(source, "found/value")));
            }
            topic
        }
        None => {
            TopicDef { filter: NOWHERE.to_owned(), settings: serde_json::json!({ "format": "template", "fields": [] }) }
        }
    };
    if let Some(command) = wanted.command.as_ref().filter(|_| with_command)
        && let Some(settings) = topic.settings.as_object_mut()
    {
        settings.insert("command".to_owned(), Json::Object(command_words(command, "found/value")));
    }
    check_line(&topic.filter).map_err(|hidden| format!("in its topic, {hidden}"))?;
    check_words("", &topic.settings)?;
    let data_type: DataType = wanted.point.data_type;
    let mapping = Mapping::compile(std::slice::from_ref(&topic), Arc::new(move |_| Some(data_type)));
    mapping.map_err(|findings| {
        let first = findings.into_iter().next().map(|finding| finding.finding);
        first.map_or_else(String::new, |finding| {
            format!("no mapping can hold it: {}", crate::text::line(&finding.message, 300))
        })
    })
}

/// What a document does not take, by its own checks of texts.
fn check_words(key: &str, json: &Json) -> Result<(), String> {
    match json {
        Json::String(text) => {
            let state = ["true", "false", "on", "off", "online", "offline"].contains(&key);
            let most = if state { MAX_WORD } else { MAX_TEMPLATE };
            if text.len() > most {
                return Err(format!("its word for `{key}` has more than {most} bytes"));
            }
            check_lines(text).map_err(|hidden| format!("in its word for `{key}`, {hidden}"))?;
            if password_in_url(text) {
                return Err(format!("its word for `{key}` is an address with a password"));
            }
            Ok(())
        }
        Json::Number(number) if number.as_i64().is_none() && !number.is_f64() => {
            Err(format!("its number for `{key}` is too large"))
        }
        Json::Array(list) => list.iter().try_for_each(|one| check_words(key, one)),
        Json::Object(map) => check_table(map),
        _ => Ok(()),
    }
}

fn check_table(map: &Map<String, Json>) -> Result<(), String> {
    map.iter().try_for_each(|(key, value)| {
        if key.len() > MAX_WORD {
            return Err(format!("one of its words has more than {MAX_WORD} bytes"));
        }
        check_line(key).map_err(|hidden| format!("in one of its words, {hidden}"))?;
        check_words(key, value)
    })
}
