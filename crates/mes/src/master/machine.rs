//! `[[machine]]`: which tags say what a work unit does, what their values mean, and how it is counted.

use super::index::Index;
use super::station::{self, Station};
use super::{limited, needed};
use crate::counter::CounterRule;
use crate::element::{Counting, StartUp};
use crate::packml::{Mode, State};
use crate::quantity::Quantity;
use crate::unit::{Made, Rules};
use andon_model::plant::{MasterKind, TagDef};
use andon_model::settings::Table;
use andon_model::{DataType, Sample, StatusCode, TagPath, Value};
use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

/// The most values whose meaning is said.
const VALUES_LIMIT: usize = 1_000;
/// The most changeovers that take a time of their own.
const CHANGEOVERS: usize = 10_000;
/// The longest changeover.
const LONGEST_CHANGEOVER: Duration = Duration::from_secs(7 * 86_400);

/// How a machine is followed.
#[derive(Clone, PartialEq, Debug)]
pub struct Machine {
    /// What says its state; `None`: people book it.
    pub state: Option<StateTag<State>>,
    /// What says its mode; `None`: it produces.
    pub mode: Option<StateTag<Mode>>,
    /// What says why it stands, as names of reasons.
    pub reason: Option<StateTag<String>>,
    /// What counts what it makes.
    pub counts: Vec<CountTag>,
    /// When it is meant to work; `None`: always.
    pub calendar: Option<String>,
    /// How it is counted.
    pub rules: Rules,
    /// How long it takes to go from one family of materials to another, or to the same one again.
    pub changeovers: BTreeMap<(String, String), Duration>,
    /// From one family to another of which no time is given.
    pub changeover_default: Duration,
    /// Which tags say what unit passes it; `None`: none do.
    pub station: Option<Station>,
}

impl Machine {
    /// How long it takes to set it up for a family, after another one. `None`: materials of no family, or set up for nothing known. A
    /// family to itself takes no time, unless a time is given.
    #[must_use]
    pub fn changeover(&self, from: Option<&str>, to: Option<&str>) -> Duration {
        let given = from.zip(to).and_then(|(from, to)| self.changeovers.get(&(from.to_owned(), to.to_owned())));
        let otherwise = if from == to { Duration::ZERO } else { self.changeover_default };
        given.copied().unwrap_or(otherwise)
    }
}

/// A tag, and what its values mean.
#[derive(Clone, PartialEq, Debug)]
pub struct StateTag<T> {
    /// The tag.
    pub tag: TagPath,
    /// What its values mean.
    pub meanings: Meanings<T>,
}

/// What values mean.
#[derive(Clone, PartialEq, Debug)]
pub enum Meanings<T> {
    /// Numbers as the standard has them.
    Standard,
    /// Each value by itself, as text: `6`, `true`, `RUN`.
    Table(BTreeMap<String, T>),
    /// More than this is Execute, else Stopped: for a machine that only draws current, or turns.
    Above(f64),
}

/// A tag that counts.
#[derive(Clone, PartialEq, Debug)]
pub struct CountTag {
    /// The tag.
    pub tag: TagPath,
    /// What it counts.
    pub made: Made,
    /// How.
    pub counter: Counts,
}

/// How a tag counts.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Counts {
    /// It shows how many there were in all.
    Total(CounterRule),
    /// Each value is so many more.
    Each {
        /// How much one is, in the item's unit.
        scale: f64,
    },
}

impl<T> StateTag<T> {
    /// Whether a reading says what is now, be its meaning known or not.
    #[must_use]
    pub fn says_something(&self, sample: &Sample) -> bool {
        good(sample).is_some()
    }
}

impl StateTag<State> {
    /// The state that a reading says; `None`: the reading is not good, or what it means is not said.
    #[must_use]
    pub fn state(&self, sample: &Sample) -> Option<State> {
        let value = good(sample)?;
        match &self.meanings {
            Meanings::Standard => whole(value).and_then(State::from_number),
            Meanings::Table(table) => table.get(&key(value)?).copied(),
            Meanings::Above(limit) => Some(if value.as_f64()? > *limit { State::Execute } else { State::Stopped }),
        }
    }
}

impl StateTag<Mode> {
    /// The mode that a reading says.
    #[must_use]
    pub fn mode(&self, sample: &Sample) -> Option<Mode> {
        let value = good(sample)?;
        match &self.meanings {
            Meanings::Table(table) => table.get(&key(value)?).copied(),
            Meanings::Standard | Meanings::Above(_) => whole(value).and_then(Mode::from_number),
        }
    }
}

impl StateTag<String> {
    /// The name of the reason that a reading says; `None`: it says none.
    #[must_use]
    pub fn reason(&self, sample: &Sample) -> Option<&str> {
        match &self.meanings {
            Meanings::Table(table) => table.get(&key(good(sample)?)?).map(String::as_str),
            Meanings::Standard | Meanings::Above(_) => None,
        }
    }
}

/// The value of a reading that says what is now: not a bad one, nor the last that was known of a source that is gone.
pub(crate) fn good(sample: &Sample) -> Option<&Value> {
    let says = !sample.quality.is_bad() && sample.quality != StatusCode::UNCERTAIN_LAST_USABLE_VALUE;
    Some(&sample.value).filter(|value| says && !matches!(value, Value::Null))
}

fn whole(value: &Value) -> Option<i64> {
    match value.coerce(DataType::Int64)? {
        Value::Int64(number) => Some(number),
        _ => None,
    }
}

/// A value as documents write it.
pub(super) fn key(value: &Value) -> Option<String> {
    match value {
        Value::Double(_) => Some(whole(value)?.to_string()),
        Value::Null => None,
        other => Some(other.to_string()),
    }
}

const WORDS: &[&str] = &[
    "state",
    "mode",
    "reason",
    "good",
    "scrap",
    "rework",
    "calendar",
    "minor_stop",
    "run_time",
    "start_up",
    "orders",
    "changeover",
    "changeover_default",
    "unit",
];

pub(super) fn read(table: &mut Table<'_, '_>, name: &str, index: &Index<'_>) -> Option<Machine> {
    table.only(WORDS);
    if let Err((message, remedy)) = index.machine(name) {
        table.found("equipment", message, &remedy);
    }
    let state = table.table("state", |table| {
        table.only(&["tag", "values", "packml", "runs_above"]);
        let tag = tag_at(table, "tag", index);
        let meanings = meanings(table, &["values", "packml", "runs_above"], |text| {
            State::from_name(text).ok_or_else(|| {
                let names: Vec<_> = State::ALL.iter().map(|state| state.name()).collect();
                format!("known are {}", names.join(", "))
            })
        });
        fits(table, tag.zip(meanings))
    });
    let mode = table.table("mode", |table| {
        table.only(&["tag", "values", "packml"]);
        let tag = tag_at(table, "tag", index);
        let meanings = meanings(table, &["values", "packml"], |text| {
            mode_of(text).ok_or_else(|| "known are production, maintenance, manual and 4 to 31".to_owned())
        });
        fits(table, tag.zip(meanings))
    });
    let reason = table.table("reason", |table| {
        table.only(&["tag", "values"]);
        let tag = tag_at(table, "tag", index);
        let meanings = meanings(table, &["values"], |text| {
            index.has(MasterKind::Reason, text).map(|()| text.to_owned()).map_err(|(_, remedy)| remedy)
        });
        fits(table, tag.zip(meanings))
    });
    let counts = [("good", Made::Good), ("scrap", Made::Scrap), ("rework", Made::Rework)];
    let counts: Vec<_> = counts
        .into_iter()
        .filter_map(|(key, made)| table.table(key, |table| count(table, made, index)).flatten())
        .collect();
    let calendar = table.text("calendar", |_| Ok(()));
    if let Some(Err((message, remedy))) = calendar.as_deref().map(|name| index.has(MasterKind::Calendar, name)) {
        table.found("calendar", message, &remedy);
    }
    let day = Duration::from_secs(86_400);
    let minor_stop = table.span("minor_stop", &(Duration::from_secs(1)..=Duration::from_secs(3600)));
    let run_time = table.span("run_time", &(Duration::from_millis(1)..=day));
    let start_up = table.word("start_up", &[("setup", StartUp::Setup), ("delay", StartUp::Delay)]);
    let orders = if table.map.contains_key("orders") { table.flag("orders") } else { true };
    let rules = Rules {
        counting: Counting { start_up: start_up.unwrap_or_default(), without_orders: !orders },
        minor_stop_under: minor_stop.unwrap_or_default(),
        planned_run_time_per_item_ns: run_time.and_then(|span| u64::try_from(span.as_nanos()).ok()),
    };
    let changeovers = changeovers(table, index);
    let changeover_default = table.span("changeover_default", &(Duration::ZERO..=LONGEST_CHANGEOVER));
    let station = table.table("unit", |table| station::read(table, index));
    Some(Machine {
        state: state.flatten(),
        mode: mode.flatten(),
        reason: reason.flatten(),
        counts,
        calendar,
        rules,
        changeovers,
        changeover_default: changeover_default.unwrap_or_default(),
        station: station.flatten(),
    })
}

fn changeovers(table: &mut Table<'_, '_>, index: &Index<'_>) -> BTreeMap<(String, String), Duration> {
    if limited(table, "changeover", CHANGEOVERS).is_none() {
        return BTreeMap::new();
    }
    let mut seen = BTreeSet::new();
    let all = table.tables("changeover", |table| {
        table.only(&["from", "to", "takes"]);
        let [from, to] = ["from", "to"].map(|key| {
            let family = needed(table, key, "write the family of a material")?;
            if let Err((message, remedy)) = index.family(&family) {
                table.found(key, message, &remedy);
            }
            Some(family)
        });
        let takes = table.span("takes", &(Duration::ZERO..=LONGEST_CHANGEOVER));
        if !table.map.contains_key("takes") {
            table.found_here("\"takes\" is missing".to_owned(), "write how long it takes: takes = \"15 min\"");
        }
        let pair = (from?, to?);
        if !seen.insert(pair.clone()) {
            table.found_here(format!("the changeover from {:?} to {:?} is there twice", pair.0, pair.1), "keep one");
        }
        Some((pair, takes?))
    });
    all.into_iter().flatten().collect()
}

fn mode_of(text: &str) -> Option<Mode> {
    match text {
        "production" => Some(Mode::Production),
        "maintenance" => Some(Mode::Maintenance),
        "manual" => Some(Mode::Manual),
        number => number.parse().ok().and_then(Mode::from_number),
    }
}

/// The tag whose path stands at a key.
pub(super) fn tag_at<'p>(table: &mut Table<'_, '_>, key: &str, index: &Index<'p>) -> Option<&'p TagDef> {
    let path = needed(table, key, "write the path of a tag")?;
    let found = index.tag(&path);
    found.map_err(|(message, remedy)| table.found(key, message, &remedy)).ok()
}

/// What values mean: one of `ways` has to be written.
fn meanings<T>(
    table: &mut Table<'_, '_>,
    ways: &[&str],
    meaning: impl Fn(&str) -> Result<T, String>,
) -> Option<Meanings<T>> {
    let written: Vec<_> = ways.iter().copied().filter(|way| table.map.contains_key(*way)).collect();
    match written[..] {
        ["packml"] => {
            let standard = table.flag("packml");
            if standard { Some(Meanings::Standard) } else { table.wrong("packml", "true, or take it out") }
        }
        ["runs_above"] => table.number("runs_above", -1e300, 1e300).map(Meanings::Above),
        ["values"] => {
            let read = |table: &mut Table<'_, '_>| {
                let mut values = BTreeMap::new();
                for (value, word) in table.map {
                    match word.as_str().map(&meaning) {
                        Some(Ok(meaning)) => drop(values.insert(value.clone(), meaning)),
                        Some(Err(known)) => table.found(value, format!("{word} is not known here"), &known),
                        None => drop(table.wrong::<()>(value, "a text in quotes")),
                    }
                }
                values
            };
            let count = table.map.get("values").and_then(|values| values.as_object()).map(serde_json::Map::len);
            let values = table.table("values", read)?;
            if !count.is_some_and(|count| (1..=VALUES_LIMIT).contains(&count)) {
                return table.wrong("values", &format!("what 1 to {VALUES_LIMIT} values mean"));
            }
            Some(Meanings::Table(values))
        }
        _ => {
            let words: Vec<_> = ways.iter().map(|way| format!("`{way}`")).collect();
            table.found_here(
                "what the tag's values mean is not said, or said twice".to_owned(),
                &format!("write one of {}", words.join(", ")),
            );
            None
        }
    }
}

/// Whether the tag can have such values.
fn fits<T>(table: &mut Table<'_, '_>, found: Option<(&TagDef, Meanings<T>)>) -> Option<StateTag<T>> {
    let (tag, meanings) = found?;
    let number = matches!(tag.data_type, DataType::Int64 | DataType::Double);
    let wrong: Option<String> = match &meanings {
        Meanings::Standard => (!number).then(|| "numbers of the standard".to_owned()),
        Meanings::Above(_) => (!number).then(|| "numbers above a limit".to_owned()),
        Meanings::Table(values) => {
            let fits = |value: &&String| value_fits(tag.data_type, value);
            values.keys().find(|value| !fits(value)).map(|value| format!("the value {value:?}"))
        }
    };
    if let Some(wrong) = wrong {
        let message = format!("a {} tag never has {wrong}", tag.data_type.name());
        table.found_here(message, "write values that the tag can have");
        return None;
    }
    Some(StateTag { tag: tag.path.clone(), meanings })
}

/// Whether a tag of the type can have a value that is written so.
pub(super) fn value_fits(data_type: DataType, value: &str) -> bool {
    match data_type {
        DataType::Boolean => matches!(value, "true" | "false"),
        DataType::Int64 | DataType::Double => value.parse::<i64>().is_ok_and(|number| number.to_string() == value),
        DataType::String => true,
    }
}

fn count(table: &mut Table<'_, '_>, made: Made, index: &Index<'_>) -> Option<CountTag> {
    table.only(&["tag", "counts", "rolls_over_at", "scale", "at_most"]);
    let tag = tag_at(table, "tag", index);
    if tag.is_some_and(|tag| tag.data_type == DataType::String) {
        table.found("tag", "a string tag does not count".to_owned(), "write a tag with numbers");
    }
    let each = table.word("counts", &[("total", false), ("each", true)]).unwrap_or(false);
    let scale = table.number("scale", 1e-6, 1e6).unwrap_or(1.0);
    let rolls_over_at = table.number("rolls_over_at", 2.0, 1e16);
    let at_most = table.number("at_most", 1e-6, 9e12).and_then(|most| Quantity::from_f64(most).ok());
    if each {
        for key in ["rolls_over_at", "at_most"] {
            if table.map.contains_key(key) {
                table.found(key, "only a tag that counts the total rolls over or jumps".to_owned(), "take it out");
            }
        }
    }
    let counter =
        if each { Counts::Each { scale } } else { Counts::Total(CounterRule { rolls_over_at, scale, at_most }) };
    Some(CountTag { tag: tag?.path.clone(), made, counter })
}
