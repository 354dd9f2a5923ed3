//! Whose a topic is. All of the model and everything that was found is looked at before the first item is judged, so that nobody gains anything by a name
//! that comes first in the alphabet.
//!
//! Each item is tried as a mapping of its own, by the same check that reads documents: what that refuses is not understood, and what it takes says which
//! topics the item reads, also those on which its device says that it is there, and on which it is commanded.

use super::{command_words, field_words, new_mapping};
use crate::item::{Command, Family, Item, Source, Wanted};
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
    /// Why it cannot be told whose the topic is on which it is commanded.
    rival: Option<String>,
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

/// The places in the messages of a topic in which a value stands, whatever is made of it: steps joined by dots, an empty one for all of it. Several where a
/// template looks at several; all of it where it looks at none, for it speaks whenever there is a message.
pub(super) fn places_of(format: &str, at: &str) -> Vec<String> {
    let steps = |path: &str| {
        let steps = path.trim_start_matches('$').split(['.', '[', ']', '\'', '"']).filter(|step| !step.is_empty());
        steps.collect::<Vec<_>>().join(".")
    };
    let template = (format == "template" || format == "value").then(|| ValueTemplate::parse(at).ok()).flatten();
    let Some(template) = template else { return vec![steps(at)] };
    let mut places: Vec<String> = template.looks_at().iter().map(|place| steps(place)).collect();
    if places.is_empty() {
        places.push(String::new());
    }
    places
}

/// A place and those in which it stands, from the inside out. Two places clash if one of them is among those of the other.
pub(super) fn with_those_above(place: &str) -> impl Iterator<Item = &str> {
    std::iter::successors(Some(place), |place| match place.rsplit_once('.') {
        Some((above, _)) => Some(above),
        None => (!place.is_empty()).then_some(""),
    })
}

/// Those who claim the same.
struct Claims<'i> {
    /// Whether two come from one announcer.
    one: fn(&Item, &Item) -> bool,
    /// Whether two want the same.
    agree: fn(&Item, &Item) -> bool,
    /// All, by their numbers.
    all: Vec<usize>,
    /// The first, one of another announcer, and one that wants something else: enough to see whether all agree.
    telling: Vec<&'i Item>,
}

impl<'i> Claims<'i> {
    fn new(one: fn(&Item, &Item) -> bool, agree: fn(&Item, &Item) -> bool) -> Self {
        Self { one, agree, all: Vec::new(), telling: Vec::new() }
    }

    fn push(&mut self, number: usize, item: &'i Item) {
        self.all.push(number);
        let (mut two, mut differ) = (false, false);
        for told in &self.telling {
            two |= !(self.one)(told, item);
            differ |= !(self.agree)(told, item);
        }
        let told_two = two_who_differ(&self.telling, self.one, |_, _| false).is_some();
        let told_differ = two_who_differ(&self.telling, |_, _| false, self.agree).is_some();
        if self.telling.is_empty() || (two && !told_two) || (differ && !told_differ) {
            self.telling.push(item);
        }
    }

    /// Two announcers of these or of the others, if not all want the same.
    fn differ<'a>(&'a self, others: &'a Self) -> Option<[&'i Item; 2]> {
        let telling: Vec<&'i Item> = self.telling.iter().chain(&others.telling).copied().collect();
        two_who_differ(&telling, self.one, self.agree)
    }
}

/// Two of them, from two announcers, if one of them does not agree with the first: one announcement may have many parts, of which some agree with somebody
/// else's, and once there are two announcers all of their words count.
fn two_who_differ<'i>(
    claims: &[&'i Item],
    one: impl Fn(&Item, &Item) -> bool,
    agree: impl Fn(&Item, &Item) -> bool,
) -> Option<[&'i Item; 2]> {
    let (first, others) = claims.split_first()?;
    let differs = others.iter().find(|item| !agree(first, item))?;
    let two = others.iter().find(|item| !one(first, item))?;
    Some([first, if one(first, differs) { two } else { differs }])
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
    /// word, and adds only topics beside the reported one ([`adds_its_own`]); else nobody gets the topic. And of two that ask for one topic as their
    /// command's nobody has the command.
    fn find_conflicts(&mut self, items: &[Arc<Item>]) {
        let mut topics: HashMap<(&str, &'static str), Vec<(usize, &Item)>> = HashMap::new();
        // By topic, format and places: the same ones, and those that can be commanded by each of theirs.
        let (mut same, mut commanded) = (HashMap::new(), HashMap::new());
        for (number, item) in items.iter().enumerate().filter(|(number, _)| self.fault(*number).is_none()) {
            let Some(source) = source(item) else { continue };
            let key = |place: String| (source.filter.as_str(), source.format, place);
            let claims = || Claims::new(same_announcement, |a, b| command(a) == command(b));
            topics.entry((&source.filter, source.format)).or_default().push((number, &**item));
            let places = places_of(source.format, &source.at);
            same.entry(key(places.join("\n"))).or_insert_with(claims).push(number, item);
            if command(item).is_some() {
                places.into_iter().for_each(|it| commanded.entry(key(it)).or_insert_with(claims).push(number, item));
            }
        }
        for ((filter, format), claims) in &topics {
            // Of those who say as much the first.
            let Some((_, most)) = claims.iter().rev().max_by_key(|(_, item)| entries(availability(item)).len()) else {
                continue;
            };
            let with_most: Vec<&Item> = [*most].into_iter().chain(claims.iter().map(|(_, item)| *item)).collect();
            let adds = |most: &Item, less: &Item| adds_its_own(filter, availability(less), availability(most));
            if let Some(two) = two_who_differ(&with_most, same_announcement, adds) {
                let how = format!("report the topic {filter} and say differently whether the device is there");
                self.refuse(claims.iter().map(|(number, _)| *number), &both(two, &how));
            }
            let most = availability(most).cloned();
            self.availability.extend(most.map(|most| (((*filter).to_owned(), *format), most)));
        }
        let how = |filter: &str| format!("report the topic {filter} and want it commanded differently");
        for ((filter, ..), claims) in &same {
            if let Some(two) = claims.differ(claims) {
                self.refuse(claims.all.iter().copied(), &both(two, &how(filter)));
            }
        }
        let mut clashes = HashMap::new();
        for (key, claims) in &commanded {
            let (filter, format, place) = key;
            for above in with_those_above(place) {
                let above = commanded.get_key_value(&(*filter, *format, above.to_owned()));
                let two = above.and_then(|(above, others)| Some((above, claims.differ(others)?)));
                if let Some((above, two)) = two {
                    clashes.entry(key).or_insert(two);
                    clashes.entry(above).or_insert(two);
                }
            }
        }
        for (key, two) in clashes {
            if let Some(claims) = commanded.get(key) {
                self.refuse(claims.all.iter().copied(), &both(two, &how(key.0)));
            }
        }
        self.find_rivals(items);
    }

    /// Of two that ask for one topic as their command's nobody has it, unless they ask for the very same value by the very same words: who came first does
    /// not outlive a restart. Only what a family says of its own topics comes before what others ask for.
    fn find_rivals(&mut self, items: &[Arc<Item>]) {
        let mut topics: HashMap<&str, Claims<'_>> = HashMap::new();
        for (number, (tried, item)) in self.tried.iter().zip(items).enumerate() {
            let Some(Ok(topic)) = &tried.command else { continue };
            let first = self.commander(topic).and_then(|number| items.get(number));
            if first.is_none_or(|first| first.family == Family::HomeAssistant || first.family == item.family) {
                topics.entry(topic).or_insert_with(|| Claims::new(same_announcer, same_wish)).push(number, item);
            }
        }
        let rivals: Vec<(Vec<usize>, String)> = topics
            .into_iter()
            .filter_map(|(topic, claims)| {
                let why = both(claims.differ(&claims)?, &format!("ask for the topic {topic}"));
                Some((claims.all, why))
            })
            .collect();
        for (numbers, why) in rivals {
            for number in numbers {
                if let Some(tried) = self.tried.get_mut(number) {
                    tried.rival = Some(why.clone());
                }
            }
        }
    }

    fn refuse(&mut self, numbers: impl Iterator<Item = usize>, why: &str) {
        for number in numbers {
            if let Some(tried) = self.tried.get_mut(number) {
                tried.conflict.get_or_insert_with(|| why.to_owned());
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

    /// Why it cannot be told whose the topic is on which the item is commanded.
    pub(super) fn rival(&self, number: usize) -> Option<&str> {
        self.tried.get(number)?.rival.as_deref()
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

fn same_announcement(a: &Item, b: &Item) -> bool {
    a.topic == b.topic
}

/// Whether two would make the same tag of the same value, commanded by the same words.
fn same_wish(a: &Item, b: &Item) -> bool {
    let at = |item: &Item| source(item).map(|source| (source.filter.clone(), source.format, source.at.clone()));
    at(a).is_some() && at(a) == at(b) && command(a) == command(b)
}

/// That two do the same, in words.
fn both([one, other]: [&Item; 2], how: &str) -> String {
    let shown = |item: &Item| crate::text::line(&item.topic, 200);
    format!(
        "{} and {} both {how}: whose it is cannot be told, so map it by hand, or remove one of the two",
        shown(one),
        shown(other)
    )
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

/// How an item would be commanded.
fn command(item: &Item) -> Option<&Command> {
    item.what.as_ref().ok()?.command.as_ref()
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
