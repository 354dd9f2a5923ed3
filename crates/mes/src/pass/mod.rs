//! From what the tags of a station say to which unit passed it, with what result, what measured values and what parts.
//!
//! # Which readings belong to a unit
//! Each good reading of the serial number is one unit that passes at that time. To it belongs, of each other tag, the last good reading
//! after the unit before it and not after it: said together with the serial number, in one message, or said since the unit before. So a
//! station says the serial number last, or all at once. Times are those of the source, never later than when the reading came. Where a
//! coarse clock gives one instant to several units, what came with a unit or before it, and after the one before, is its own.
//!
//! - Which product is made is said until something else is said: the last reading not after the unit counts, however old.
//! - A serial number that is said again at once, with nothing else that differs, is the same pass said again: polled tags say everything
//!   every second. With another result, value or part it is a further attempt, and so it is after another unit.
//! - What comes late belongs where its time puts it: to a unit that passed before it is added, as far as it was not known. It never changes
//!   what was told.
//!
//! # Exactly once
//! A [`Follower`] looks at no clock and draws no numbers. What it has to remember of a station is a [`Heard`], which whoever records the
//! passes keeps with them, in one step with how far the lane was read. From there the same lane gives the same passes.

mod heard;
#[cfg(test)]
mod tests;

pub use heard::{Heard, Reading};

use crate::certificate::{Id, Sha256};
use crate::master::{PartTag, Station, good};
use andon_model::{Sample, TagId, TagPath, Timestamp, Value};
use serde_json::{Map, Number, Value as Json};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::{Builder, Uuid};

/// The longest serial number and lot number that is taken, in bytes.
const NUMBER_LIMIT: usize = 128;

/// A unit that passed a station, or what more is known of one that did.
#[derive(Clone, PartialEq, Debug)]
pub struct Pass {
    /// The path of the station.
    pub station: String,
    /// The unit's serial number.
    pub serial: String,
    /// When.
    pub at: Timestamp,
    /// Which product it is, as the station says: `name` or `name@revision`.
    pub product: Option<String>,
    /// Whether it was good; `None`: that is not said, or was said before.
    pub passed: Option<bool>,
    /// What was measured, by characteristic.
    pub measures: Map<String, Json>,
    /// What was put in: the tag that says it, and the number of its lot or its serial number.
    pub parts: Vec<(PartTag, String)>,
    /// Which programs were loaded.
    pub firmware: Vec<Loaded>,
    /// More of a pass that was told before.
    pub more: bool,
}

/// A program that was loaded into a unit, as far as it is told.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Loaded {
    /// What it runs on.
    pub component: String,
    /// Its version.
    pub version: Option<String>,
    /// The SHA-256 of the file, in lower-case hexadecimal digits.
    pub sha256: Option<String>,
}

/// Something that people should hear of.
#[derive(Clone, PartialEq, Debug)]
pub enum Remark {
    /// A number that cannot be one of a lot or unit.
    NoNumber {
        /// The tag.
        tag: TagPath,
        /// When.
        at: Timestamp,
        /// How it begins.
        begin: String,
    },
    /// What is no version of a program, or no SHA-256.
    NoFirmware {
        /// The tag.
        tag: TagPath,
        /// When.
        at: Timestamp,
        /// How it begins.
        begin: String,
    },
    /// Something came late and is other than what was told of that unit. What was told stays.
    Otherwise {
        /// The unit.
        serial: String,
        /// When it passed.
        at: Timestamp,
        /// What is said of it now.
        said: String,
    },
    /// Something came so late that it is not remembered which unit it belongs to.
    TooLate {
        /// The tag.
        tag: TagPath,
        /// Of when it is.
        at: Timestamp,
    },
}

/// What a tag says of a station.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Role {
    Serial,
    Product,
    Result,
    Measure(usize),
    Part(usize),
    Version(usize),
    Digest(usize),
}

impl Role {
    /// Under which word it is remembered.
    fn word(&self, station: &Station) -> String {
        match self {
            Self::Serial => "serial".to_owned(),
            Self::Product => "product".to_owned(),
            Self::Result => "result".to_owned(),
            Self::Measure(at) => format!("measure {}", station.measures[*at].characteristic),
            Self::Part(at) => format!("part {}", station.parts[*at].tag),
            Self::Version(at) => format!("firmware {}", station.firmware[*at].component),
            Self::Digest(at) => format!("digest {}", station.firmware[*at].component),
        }
    }
}

/// Follows the stations of a plant.
#[derive(Default)]
pub struct Follower {
    stations: BTreeMap<String, Station>,
    uses: HashMap<TagId, Vec<(String, Role)>>,
    heard: BTreeMap<String, Heard>,
}

/// What came of a frame.
#[derive(Clone, PartialEq, Debug, Default)]
pub struct Told {
    /// Passes, in the order of time at each station.
    pub passes: Vec<Pass>,
    /// What people should hear, by station.
    pub remarks: Vec<(String, Remark)>,
    /// Of which stations something else is to be remembered now.
    pub changed: BTreeSet<String>,
}

impl Follower {
    /// One that remembers what was kept of stations.
    #[must_use]
    pub fn new(heard: BTreeMap<String, Heard>) -> Self {
        Self { heard, ..Self::default() }
    }

    /// These stations and no others are followed, each by its path with the tags that there are.
    pub fn set_stations(&mut self, stations: BTreeMap<String, Station>, id: impl Fn(&TagPath) -> Option<TagId>) {
        self.uses.clear();
        for (path, station) in &stations {
            let mut uses = |tag: &TagPath, role: Role| {
                if let Some(tag) = id(tag) {
                    self.uses.entry(tag).or_default().push((path.clone(), role));
                }
            };
            uses(&station.serial, Role::Serial);
            station.product.iter().for_each(|tag| uses(tag, Role::Product));
            station.result.iter().for_each(|result| uses(&result.tag, Role::Result));
            station.measures.iter().enumerate().for_each(|(at, measure)| uses(&measure.tag, Role::Measure(at)));
            station.parts.iter().enumerate().for_each(|(at, part)| uses(&part.tag, Role::Part(at)));
            for (at, firmware) in station.firmware.iter().enumerate() {
                uses(&firmware.version, Role::Version(at));
                firmware.sha256.iter().for_each(|tag| uses(tag, Role::Digest(at)));
            }
        }
        self.stations = stations;
    }

    /// The stations that are followed.
    #[must_use]
    pub const fn stations(&self) -> &BTreeMap<String, Station> {
        &self.stations
    }

    /// What is to be remembered of a station.
    #[must_use]
    pub fn heard(&self, station: &str) -> Option<&Heard> {
        self.heard.get(station)
    }

    /// Takes up the samples of a frame.
    pub fn take(&mut self, samples: &[Sample]) -> Told {
        let mut told = Told::default();
        let mut by_station: BTreeMap<&String, Vec<(heard::When, &Role, &Sample)>> = BTreeMap::new();
        for sample in samples {
            // What was received cannot be of later: the source's clock is ahead.
            let when = (sample.source_ts.min(sample.received_ts), sample.received_ts);
            for (station, role) in self.uses.get(&sample.tag).into_iter().flatten() {
                by_station.entry(station).or_default().push((when, role, sample));
            }
        }
        for (path, readings) in by_station {
            let Some(station) = self.stations.get(path) else { continue };
            let heard = self.heard.entry(path.clone()).or_default();
            let before = heard.clone();
            let (mut serials, mut products, mut others) = (Vec::new(), Vec::new(), Vec::new());
            for (when, role, sample) in readings {
                match understood(station, role, when.0, sample) {
                    Ok(None) => {}
                    Ok(Some(Reading::Number(serial))) if *role == Role::Serial => serials.push((when, serial)),
                    Ok(Some(Reading::Number(product))) if *role == Role::Product => products.push((when, product)),
                    Ok(Some(reading)) => others.push((when, role.word(station), reading, tag_of(station, role))),
                    Err(remark) => told.remarks.push((path.clone(), remark)),
                }
            }
            heard.makes(products);
            let (passes, remarks) = heard.take(serials, others);
            told.remarks.extend(remarks.into_iter().map(|remark| (path.clone(), remark)));
            told.passes.extend(passes.into_iter().map(|pass| shaped(path, station, pass)));
            if *heard != before {
                told.changed.insert(path.clone());
            }
        }
        told
    }
}

/// The id of something that a machine told of first: the same words at the same time give the same one. A UUIDv7.
#[must_use]
pub fn item_id(at: Timestamp, words: &[&str]) -> Uuid {
    use sha2::{Digest as _, Sha256};
    let mut digest = Sha256::new();
    for word in words {
        // Each with its length, so that no two lists of words run together.
        digest.update((word.len() as u64).to_be_bytes());
        digest.update(word.as_bytes());
    }
    let digest = digest.finalize();
    let mut random = [0; 10];
    random.copy_from_slice(&digest[..10]);
    Builder::from_unix_timestamp_millis(u64::try_from(at.millis()).unwrap_or(0), &random).into_uuid()
}

fn tag_of<'s>(station: &'s Station, role: &Role) -> &'s TagPath {
    match role {
        Role::Serial => &station.serial,
        Role::Product => station.product.as_ref().unwrap_or(&station.serial),
        Role::Result => station.result.as_ref().map_or(&station.serial, |result| &result.tag),
        Role::Measure(at) => &station.measures[*at].tag,
        Role::Part(at) => &station.parts[*at].tag,
        Role::Version(at) => &station.firmware[*at].version,
        Role::Digest(at) => station.firmware[*at].sha256.as_ref().unwrap_or(&station.firmware[*at].version),
    }
}

/// What a reading says; `Ok(None)`: nothing.
fn understood(station: &Station, role: &Role, at: Timestamp, sample: &Sample) -> Result<Option<Reading>, Remark> {
    let Some(value) = good(sample) else { return Ok(None) };
    match (role, value) {
        (Role::Result, _) => Ok(station.result.as_ref().and_then(|result| result.passed(sample)).map(Reading::Passed)),
        (Role::Measure(_), Value::Double(value)) => Ok(Number::from_f64(*value).map(Reading::Measured)),
        (Role::Measure(_), Value::Int64(value)) => Ok(Some(Reading::Measured(Number::from(*value)))),
        (Role::Version(_) | Role::Digest(_), Value::String(text)) => {
            let text = unpadded(text);
            if text.is_empty() {
                return Ok(None);
            }
            let said = match role {
                Role::Digest(_) => Sha256::parse(&text.to_ascii_lowercase()).ok().map(|digest| digest.to_string()),
                _ => Id::parse(text).ok().map(|version| version.as_str().to_owned()),
            };
            match said {
                Some(said) => Ok(Some(Reading::Number(said))),
                None => Err(Remark::NoFirmware { tag: tag_of(station, role).clone(), at, begin: begin_of(text) }),
            }
        }
        (Role::Serial | Role::Product | Role::Part(_), Value::String(text)) => {
            let number = unpadded(text);
            if number.is_empty() {
                return Ok(None);
            }
            if number.len() > NUMBER_LIMIT || number.chars().any(char::is_control) {
                return Err(Remark::NoNumber { tag: tag_of(station, role).clone(), at, begin: begin_of(number) });
            }
            Ok(Some(Reading::Number(number.to_owned())))
        }
        _ => Ok(None),
    }
}

/// A text without what controllers fill their texts up with: spaces or zeros.
fn unpadded(text: &str) -> &str {
    text.trim_matches(|c: char| c.is_whitespace() || c == '\0')
}

fn begin_of(text: &str) -> String {
    text.chars().filter(|c| !c.is_control()).take(40).collect()
}

/// A pass in the words of the station.
fn shaped(path: &str, station: &Station, pass: heard::Passed) -> Pass {
    let mut shaped = Pass {
        station: path.to_owned(),
        serial: pass.serial,
        at: pass.at,
        product: pass.product,
        // Who says no result says that all that passes is good.
        passed: (station.result.is_none() && !pass.more).then_some(true),
        measures: Map::new(),
        parts: Vec::new(),
        firmware: Vec::new(),
        more: pass.more,
    };
    let mut said = pass.said;
    if let Some(Reading::Passed(passed)) = said.remove("result") {
        shaped.passed = Some(passed);
    }
    for (at, measure) in station.measures.iter().enumerate() {
        if let Some(Reading::Measured(value)) = said.remove(&Role::Measure(at).word(station)) {
            shaped.measures.insert(measure.characteristic.clone(), Json::Number(value));
        }
    }
    for (at, part) in station.parts.iter().enumerate() {
        if let Some(Reading::Number(number)) = said.remove(&Role::Part(at).word(station)) {
            shaped.parts.push((part.clone(), number));
        }
    }
    for (at, firmware) in station.firmware.iter().enumerate() {
        let [version, sha256] =
            [Role::Version(at), Role::Digest(at)].map(|role| match said.remove(&role.word(station)) {
                Some(Reading::Number(text)) => Some(text),
                _ => None,
            });
        if version.is_some() || sha256.is_some() {
            shaped.firmware.push(Loaded { component: firmware.component.clone(), version, sha256 });
        }
    }
    shaped
}
