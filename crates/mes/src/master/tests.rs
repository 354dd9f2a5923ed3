//! Tests of `master`.

use super::*;
use crate::element::{Element, Planned};
use crate::packml::{Mode, State};
use crate::quantity::Quantity;
use crate::unit::Made;
use andon_model::plant::{Equipment, Interpolation, Level, Profile, TagDef};
use andon_model::{DataType, EquipmentPath, Sample, StatusCode, TagId, TagPath, Timestamp, Value};
use serde_json::json;

pub(super) fn plant(master: Vec<MasterDef>) -> Plant {
    let equipment = |path: &str, level| Equipment {
        path: EquipmentPath::parse(path).expect("a path"),
        level,
        profile: Profile::Plant,
        title: String::new(),
        description: String::new(),
        keep_days: None,
    };
    let tag = |path: &str, data_type| TagDef {
        id: uuid::Uuid::nil(),
        path: TagPath::parse(path).expect("a path"),
        title: String::new(),
        description: String::new(),
        data_type,
        unit: None,
        range: None,
        digits: None,
        states: BTreeMap::new(),
        interpolation: Interpolation::Stepped,
        compress: None,
        keep_days: None,
        stale_after_ms: None,
        write: None,
        origin: None,
    };
    Plant {
        equipment: vec![equipment("works", Level::Site), equipment("works/line/filler", Level::WorkUnit)],
        tags: vec![
            tag("works/line/filler/state", DataType::Int64),
            tag("works/line/filler/mode", DataType::Int64),
            tag("works/line/filler/on", DataType::Boolean),
            tag("works/line/filler/word", DataType::String),
            tag("works/line/filler/amps", DataType::Double),
            tag("works/line/filler/bottles", DataType::Int64),
        ],
        master,
        ..Plant::default()
    }
}

pub(super) fn def(kind: MasterKind, name: &str, settings: Json) -> MasterDef {
    MasterDef { kind, name: name.to_owned(), settings }
}

pub(super) fn sample(value: Value) -> Sample {
    Sample {
        tag: TagId(1),
        value,
        quality: StatusCode::GOOD,
        source_ts: Timestamp::default(),
        received_ts: Timestamp::default(),
    }
}

/// What is said of a table in a plant that has all the others.
pub(super) fn told_of(mut plant: Plant, kind: MasterKind, name: &str, settings: Json) -> Vec<String> {
    plant.master.retain(|def| (def.kind, &*def.name) != (kind, name));
    plant.master.push(def(kind, name, settings));
    let told = check(&plant).into_iter().filter(|told| told.kind == kind && told.name == name);
    told.flat_map(|told| told.findings)
        .map(|finding| format!("{}: {}; {}", finding.pointer.join("."), finding.message, finding.remedy))
        .collect()
}

fn whole_plant() -> Plant {
    plant(vec![
        def(MasterKind::Reason, "Mechanical/Jam", json!({ "action": "open the guard" })),
        def(MasterKind::Reason, "Changeover", json!({ "counts_as": "setup" })),
        def(
            MasterKind::Calendar,
            "Two shifts",
            json!({
                "time_zone": "Europe/Berlin",
                "shift": [
                    { "name": "Early", "days": "mon-fri", "from": "06:00", "to": "14:00", "breaks": ["09:00-09:15", "12:00-12:30"] },
                    { "name": "Late", "days": "mon-fri", "from": "14:00", "to": "22:00", "weeks": [1, 3], "turn": 4, "since": "2026-01-05" },
                ],
                "exception": [{ "name": "Christmas", "from": "2026-12-24", "to": "2026-12-26" }, { "name": "Overhaul", "from": "2026-11-02 08:00", "to": "2026-11-02 12:00", "planned": "maintenance" }],
            }),
        ),
        def(
            MasterKind::Machine,
            "works/line/filler",
            json!({
                "state": { "tag": "works/line/filler/state", "packml": true },
                "mode": { "tag": "works/line/filler/mode", "values": { "0": "production", "1": "maintenance", "7": "12" } },
                "reason": { "tag": "works/line/filler/word", "values": { "E17": "Mechanical/Jam" } },
                "good": { "tag": "works/line/filler/bottles", "rolls_over_at": 65536, "at_most": 5000 },
                "scrap": { "tag": "works/line/filler/on", "counts": "each", "scale": 0.5 },
                "calendar": "Two shifts", "minor_stop": "2min", "run_time": "120ms", "start_up": "delay", "orders": false,
            }),
        ),
    ])
}

#[test]
fn what_is_written_is_read() {
    let (data, wrong) = MasterData::of_plant(&whole_plant());
    assert_eq!(wrong, []);
    assert_eq!(
        data.reasons["Mechanical/Jam"],
        Reason { counts_as: Element::Delay, is_outside: false, action: "open the guard".to_owned() }
    );
    assert_eq!(data.reasons["Changeover"].counts_as, Element::Setup);
    let is_outside = |settings: serde_json::Value| {
        let mut plant = whole_plant();
        plant.master.push(def(MasterKind::Reason, "Flow/Starved", settings));
        MasterData::of_plant(&plant).0.reasons["Flow/Starved"].is_outside
    };
    assert!(!is_outside(json!({})), "inside, where nothing is said");
    assert!(is_outside(json!({ "cause": "outside" })));
    assert!(is_outside(json!({ "counts_as": "planned_down" })));
    assert!(!is_outside(json!({ "counts_as": "idle", "cause": "inside" })));

    let at = |text| Timestamp::parse_rfc3339(text).expect("a time");
    let planned = |text| *data.calendars["Two shifts"].planned(at(text), at("2027-01-01T00:00:00Z")).at(at(text));
    assert_eq!(planned("2026-11-03T08:05:00Z"), Planned::Break, "nine in the morning, there");
    assert_eq!(planned("2026-11-02T08:05:00Z"), Planned::Maintenance);
    assert_eq!(planned("2026-12-26T10:00:00Z"), Planned::Off, "to the end of the last day");
    assert_eq!(planned("2026-12-23T10:00:00Z"), Planned::Busy);

    let machine = &data.machines["works/line/filler"];
    let state = |value| machine.state.as_ref().and_then(|tag| tag.state(&sample(value)));
    assert_eq!(
        (state(Value::Int64(6)), state(Value::Double(4.0)), state(Value::Int64(99))),
        (Some(State::Execute), Some(State::Idle), None)
    );
    assert_eq!(state(Value::Null), None);
    let mode = |value| machine.mode.as_ref().and_then(|tag| tag.mode(&sample(Value::Int64(value))));
    assert_eq!([0, 1, 7, 3].map(mode), [Some(Mode::Production), Some(Mode::Maintenance), Some(Mode::User(12)), None]);
    let said = sample(Value::String("E17".into()));
    assert_eq!(machine.reason.as_ref().and_then(|tag| tag.reason(&said)), Some("Mechanical/Jam"));
    let [good, scrap] = &machine.counts[..] else { panic!("two count") };
    let rule =
        crate::counter::CounterRule { rolls_over_at: Some(65_536.0), scale: 1.0, at_most: Quantity::pieces(5000) };
    assert_eq!((good.made, good.counter), (Made::Good, Counts::Total(rule)));
    assert_eq!((scrap.made, scrap.counter), (Made::Scrap, Counts::Each { scale: 0.5 }));
    assert_eq!(machine.rules.planned_run_time_per_item_ns, Some(120_000_000));
    assert_eq!((machine.rules.minor_stop_under.as_secs(), machine.rules.counting.without_orders), (120, true));
}

#[test]
fn a_bad_reading_says_nothing() {
    let (data, _) = MasterData::of_plant(&whole_plant());
    for quality in [StatusCode::BAD_NO_COMMUNICATION, StatusCode::UNCERTAIN_LAST_USABLE_VALUE] {
        let bad = Sample { quality, ..sample(Value::Int64(6)) };
        assert_eq!(data.machines["works/line/filler"].state.as_ref().and_then(|tag| tag.state(&bad)), None);
    }
}

#[test]
fn a_machine_that_says_little_is_followed_too() {
    let machine = |state: Json| {
        let def = def(MasterKind::Machine, "works/line/filler", json!({ "state": state }));
        let (data, wrong) = MasterData::of_plant(&plant(vec![def]));
        assert_eq!(wrong, []);
        data.machines["works/line/filler"].state.clone().expect("has a state")
    };
    let draws = machine(json!({ "tag": "works/line/filler/amps", "runs_above": 2.5 }));
    assert_eq!(
        [2.4, 2.5, 2.6].map(|amps| draws.state(&sample(Value::Double(amps)))),
        [Some(State::Stopped), Some(State::Stopped), Some(State::Execute)]
    );
    let runs = machine(json!({ "tag": "works/line/filler/on", "values": { "true": "Execute", "false": "Stopped" } }));
    assert_eq!(runs.state(&sample(Value::Boolean(true))), Some(State::Execute));
    let says = machine(json!({ "tag": "works/line/filler/word", "values": { "RUN": "execute", "ERR": "Aborted" } }));
    assert_eq!(says.state(&sample(Value::String("ERR".into()))), Some(State::Aborted));
    assert_eq!(says.state(&sample(Value::String("run".into()))), None, "what is not said is not known");
}

#[test]
fn what_is_wrong_is_told_with_its_place() {
    let told = |kind, name: &str, settings: Json| told_of(whole_plant(), kind, name, settings);
    let reason = |name: &str, settings| told(MasterKind::Reason, name, settings);
    assert!(reason("a//b", json!({}))[0].starts_with("name: \"a//b\" is no name of a reason; write one to 4 names"));
    assert_eq!(reason("a/b/c/d/e", json!({})).len(), 1);
    assert_eq!(
        reason("a", json!({ "counts_as": "pause", "colour": 1 })),
        [
            "colour: \"colour\" is not a word that can stand here; known are: counts_as, cause, action",
            "counts_as: this cannot stand at \"counts_as\"; write \"delay\" or \"setup\" or \"planned_down\" or \"idle\"",
        ]
    );

    let calendar = |settings| told(MasterKind::Calendar, "c", settings);
    assert_eq!(
        calendar(json!({})),
        [": \"time_zone\" is missing; write one of the IANA names: time_zone = \"Europe/Berlin\""]
    );
    assert_eq!(
        calendar(json!({ "time_zone": "Berlin" })),
        [": \"Berlin\" is no time zone; write one of the IANA names, such as Europe/Berlin; mend it"]
    );
    assert_eq!(
        calendar(
            json!({ "time_zone": "UTC", "shift": [{ "name": "a", "from": "6:00", "to": "14:00", "weeks": [1], "days": "mo" }, 5] })
        ),
        [
            "shift.0.days: \"mo\" is no day; mon, tue, wed, thu, fri, sat and sun are; mend it",
            "shift.0.from: this cannot stand at \"from\"; write a time of day, such as \"06:00\"",
            "shift.0.weeks: how many weeks a turn has is not said; add `turn = 2`",
            "shift.1: this is no table; write a table in braces",
        ]
    );
    assert_eq!(
        calendar(json!({ "time_zone": "UTC", "exception": [{ "name": "a", "from": "2026-12-24", "to": "24.12." }] })),
        [
            "exception.0.to: this cannot stand at \"to\"; write a date, \"2026-12-24\", or with the time, \"2026-12-24 14:00\""
        ]
    );

    let target = |path: &str, settings| told(MasterKind::Target, path, settings);
    assert_eq!(target("works", json!({ "oee_index": 0.85, "scrap_ratio": 0 })), [""; 0]);
    assert_eq!(target("works", json!({})), [": this names no KPI; write for instance `oee_index = 0.85` for 85 %"]);
    assert_eq!(
        target("works", json!({ "oee_index": 85 })),
        ["oee_index: this cannot stand at \"oee_index\"; write a number from 0 to 2"]
    );
    assert!(
        target("works", json!({ "oee": 0.85 }))[0]
            .starts_with("oee: \"oee\" is not a word that can stand here; known are: oee_index, ")
    );
    assert!(
        target("wroks", json!({ "oee_index": 0.85 }))[0]
            .starts_with("equipment: there is no equipment \"wroks\"; did you mean \"works\"?")
    );

    let machine = |settings| told(MasterKind::Machine, "works/line/filler", settings);
    assert_eq!(
        told(MasterKind::Machine, "works/x", json!({})),
        [
            "equipment: there is no equipment \"works/x\"; did you mean \"works\"? Or write the path of a work unit, or add an [[equipment]] of it"
        ]
    );
    assert_eq!(
        told(MasterKind::Machine, "works", json!({})),
        ["equipment: \"works\" is a site and no machine; write the path of a work unit"]
    );
    assert_eq!(
        machine(json!({ "state": { "tag": "works/line/filler/word", "packml": true } })),
        ["state: a string tag never has numbers of the standard; write values that the tag can have"]
    );
    assert_eq!(
        machine(json!({ "state": { "tag": "works/line/filler/on", "values": { "1": "Execute" } } })),
        ["state: a boolean tag never has the value \"1\"; write values that the tag can have"]
    );
    assert!(
        machine(json!({ "state": { "tag": "works/line/filler/state", "values": { "1": "Runing" } } }))[0]
            .starts_with("state.values.1: \"Runing\" is not known here; known are Clearing, ")
    );
    assert_eq!(
        machine(json!({ "state": { "tag": "works/line/filler/state" } })),
        ["state: what the tag's values mean is not said, or said twice; write one of `values`, `packml`, `runs_above`"]
    );
    assert_eq!(
        machine(json!({ "state": { "tag": "x" }, "good": {}, "calendar": "None", "minor_stop": "2h" })),
        [
            "state.tag: there is no tag \"x\"; write the path of a tag, or add a [[tag]] of it",
            "state: what the tag's values mean is not said, or said twice; write one of `values`, `packml`, `runs_above`",
            "good: \"tag\" is missing; write the path of a tag",
            "calendar: there is no calendar \"None\"; add a [[calendar]] of it",
            "minor_stop: this cannot stand at \"minor_stop\"; write a time from \"1s\" to \"1h\"",
        ]
    );
    assert_eq!(
        machine(json!({ "good": { "tag": "works/line/filler/word", "counts": "each", "at_most": 5 } })),
        [
            "good.tag: a string tag does not count; write a tag with numbers",
            "good.at_most: only a tag that counts the total rolls over or jumps; take it out"
        ]
    );
    assert_eq!(
        machine(json!({ "reason": { "tag": "works/line/filler/word", "values": { "E1": "Electric" } } })),
        ["reason.values.E1: \"Electric\" is not known here; add a [[reason]] of it"]
    );
}

#[test]
fn a_maintenance_plan_names_what_is_there_and_says_when_it_is_due() {
    let alarm = andon_model::plant::AlarmDef {
        name: "works/line/filler/amps:high".to_owned(),
        ..serde_json::from_value(json!({
            "name": "x", "tag": "works/line/filler/amps", "condition": "high", "limit": 5.0, "deadband": 0.0,
            "on_delay_ms": 0, "off_delay_ms": 0, "priority": 2, "message": "", "cause": "", "consequence": "", "action": "",
        }))
        .expect("an alarm")
    };
    let mut plant = whole_plant();
    plant.alarms.push(alarm);
    let told = |settings: Json| told_of(plant.clone(), MasterKind::MaintenancePlan, "oil", settings);
    let path = "works/line/filler";
    assert_eq!(told(json!({ "equipment": path, "every": "30 d", "lead": "1 d" })), [""; 0]);
    assert_eq!(told(json!({ "equipment": path, "every_cycles": 5000, "every_run_time": "200 h" })), [""; 0]);
    assert_eq!(told(json!({ "equipment": path, "condition": "works/line/filler/amps:high" })), [""; 0]);
    for (settings, wanted) in [
        (json!({ "equipment": path }), "nothing says when this is due"),
        (json!({ "every": "30 d" }), "\"equipment\" is missing"),
        (json!({ "equipment": "works/line/fillr", "every": "30 d" }), "did you mean"),
        (json!({ "equipment": path, "every": "1 s" }), "every"),
        (json!({ "equipment": path, "condition": "works/line/filler/amps:hgh" }), "did you mean"),
        (json!({ "equipment": path, "every": "1 d", "begins": "yesterday" }), "begins"),
        (json!({ "equipment": path, "every": "1 d", "parts": [{ "material": "seal" }] }), "there is no material"),
        (json!({ "equipment": path, "every": "1 d", "skills": ["Brazng"] }), "there is no skill"),
        (json!({ "equipment": path, "every": "1 d", "evry": "1 d" }), "is not a word"),
    ] {
        let told = told(settings.clone());
        assert!(told.len() == 1 && told[0].contains(wanted), "{settings}: {told:?}");
    }
}

#[test]
fn a_tool_says_where_it_may_be_mounted_and_how_long_it_lasts() {
    let told = |settings: Json| told_of(whole_plant(), MasterKind::Tool, "M-17", settings);
    let path = "works/line/filler";
    assert_eq!(told(json!({})), [""; 0]);
    assert_eq!(told(json!({ "machines": [path], "cavities": 4, "life": { "run_time": "2000 h" } })), [""; 0]);
    for (settings, wanted) in [
        (json!({ "machines": ["works/line/fillr"] }), "did you mean"),
        (json!({ "machines": [path, path] }), "stands here twice"),
        (json!({ "cavities": 0 }), "cavities"),
        (json!({ "life": {} }), "write either `cycles = 500000` or `run_time"),
        (json!({ "life": { "cycles": 5, "run_time": "2 h" } }), "said twice"),
        (json!({ "life": { "cycles": 0 } }), "life.cycles"),
        (json!({ "life": { "run_time": "1 s" } }), "life.run_time"),
        (json!({ "warn": 1.1 }), "warn"),
        (json!({ "wrn": 1 }), "is not a word"),
    ] {
        let told = told(settings.clone());
        assert!(told.len() == 1 && told[0].contains(wanted), "{settings}: {told:?}");
    }
    let mut plant = whole_plant();
    let settings =
        json!({ "kind": "mould", "machines": [path], "cavities": 4, "life": { "cycles": 500_000 }, "warn": 0.85 });
    plant.master.push(def(MasterKind::Tool, "M-17", settings));
    let (data, wrong) = MasterData::of_plant(&plant);
    assert_eq!(wrong, []);
    let tool = &data.tools["M-17"];
    let whole = Quantity::pieces(500_000).map(Life::Cycles);
    assert_eq!(
        (&*tool.title, &*tool.kind, tool.cavities.get(), tool.life, tool.warn),
        ("M-17", "mould", 4, whole, 850_000)
    );
    assert_eq!((tool.fits(path), tool.fits("works/line/oven")), (true, false));
}

fn metered_plant() -> Plant {
    let mut plant = whole_plant();
    let amps = plant.tags.iter().find(|tag| tag.path.as_str() == "works/line/filler/amps").expect("a tag").clone();
    for (name, unit) in [("kwh", Some("kW.h")), ("kw", Some("kW")), ("gas", Some("m3")), ("none", None)] {
        let path = TagPath::parse(&format!("works/line/filler/{name}")).expect("a path");
        let unit = unit.map(|unit| andon_model::unit::Unit::parse(unit).expect("a unit"));
        plant.tags.push(TagDef { path, unit, ..amps.clone() });
    }
    plant
}

#[test]
fn a_meter_is_understood_by_the_unit_of_its_tag() {
    let plant = metered_plant();
    let tag = |name: &str| format!("works/line/filler/{name}");
    let meter = |settings: Json| {
        let mut plant = plant.clone();
        plant.master.push(MasterDef { kind: MasterKind::Meter, name: "m".to_owned(), settings });
        let (data, wrong) = MasterData::of_plant(&plant);
        data.meters.get("m").map(|meter| (meter.rule.reads.word(), meter.rule.factor)).ok_or(wrong)
    };
    let at = "works";
    assert_eq!(meter(json!({ "at": at, "tag": tag("kwh") })), Ok(("energy", 1.0)));
    assert_eq!(meter(json!({ "at": at, "tag": tag("kw") })), Ok(("power", 1.0)));
    assert_eq!(meter(json!({ "at": at, "tag": tag("gas"), "carrier": "gas", "factor": 10.3 })), Ok(("energy", 10.3)));
    assert_eq!(meter(json!({ "at": at, "tag": tag("none"), "reads": "power", "factor": 0.23 })), Ok(("power", 0.23)));
    assert_eq!(meter(json!({ "at": at, "tag": tag("kwh"), "rolls_over_at": 1e9 })), Ok(("energy", 1.0)));
    let told = |settings: Json| told_of(plant.clone(), MasterKind::Meter, "m", settings);
    for (settings, wanted) in [
        (json!({ "at": at, "tag": tag("gas") }), "how much energy one is"),
        (json!({ "at": at, "tag": tag("kwh"), "factor": 2 }), "says already"),
        (json!({ "at": at, "tag": tag("kwh"), "reads": "power" }), "which is no power"),
        (json!({ "at": at, "tag": tag("kw"), "reads": "energy" }), "which is no energy"),
        (json!({ "at": at, "tag": tag("kw"), "rolls_over_at": 100 }), "does not roll over"),
        (json!({ "at": at, "tag": tag("kwh"), "rolls_over_at": 1e10 }), "0.000001 to 1000000000 kWh"),
        (json!({ "at": at, "tag": tag("gas"), "factor": 1e-9, "rolls_over_at": 100 }), "0.000001 to 1000000000 kWh"),
        (json!({ "at": at, "tag": tag("kwh"), "carrier": "coal" }), "carrier"),
        (json!({ "at": "wrks", "tag": tag("kwh") }), "did you mean"),
        (json!({ "at": at }), "\"tag\" is missing"),
        (json!({ "at": at, "tag": tag("kwh"), "factr": 2 }), "is not a word"),
    ] {
        let told = told(settings.clone());
        assert!(told.len() == 1 && told[0].contains(wanted), "{settings}: {told:?}");
    }
}

#[test]
fn a_tariff_says_when_what_costs_how_much() {
    let good = || json!({ "at": "works", "currency": "EUR", "time_zone": "Europe/Berlin", "price": 0.2 });
    let told = |key: &str, value: Json| {
        let mut settings = good();
        settings[key] = value;
        told_of(whole_plant(), MasterKind::Tariff, "grid", settings)
    };
    let window = |from: &str, price: Json| json!([{ "name": "peak", "days": "mon-fri", "from": from, "to": "20:00", "price": price }]);
    assert_eq!(told("window", window("07:00", json!(0.3))), [""; 0]);
    assert_eq!(told("valid_from", json!("2026-01-01")), [""; 0]);
    for (key, value, wanted) in [
        ("currency", json!("Euro"), "ISO 4217"),
        ("time_zone", json!("Berlin"), "IANA"),
        ("price", json!(-1), "price"),
        ("price", json!(null), "price"),
        ("window", window("07:10", json!(0.3)), "quarter hour"),
        ("window", window("07:00", json!("much")), "price"),
        ("at", json!("wrks"), "did you mean"),
        ("valid_from", json!("soon"), "a date"),
        ("windows", json!([]), "is not a word"),
    ] {
        let told = told(key, value.clone());
        assert!(told.len() == 1 && told[0].contains(wanted), "{key} {value}: {told:?}");
    }
}

#[test]
fn a_report_is_of_a_place_with_machines_and_its_folder_stays_below_the_nodes() {
    let told = |settings: Json| told_of(whole_plant(), MasterKind::Report, "line-shift", settings);
    assert_eq!(told(json!({ "kind": "shift", "at": "works/line/filler" })), [""; 0]);
    let whole = json!({ "kind": "day", "at": "works", "after": "1 h", "folder": "line1/days", "keep": "400 d" });
    assert_eq!(told(whole), [""; 0]);
    for (settings, wanted) in [
        (json!({ "at": "works/line/filler" }), "\"kind\" is missing"),
        (json!({ "kind": "shift" }), "\"at\" is missing"),
        (json!({ "kind": "week", "at": "works" }), "write \"shift\" or \"day\""),
        (json!({ "kind": "day", "at": "works/line/fillr" }), "did you mean"),
        (json!({ "kind": "day", "at": "works", "after": "3 d" }), "after"),
        (json!({ "kind": "day", "at": "works", "keep": "29 d" }), "keep"),
        (json!({ "kind": "day", "at": "works", "folder": "../x" }), "folder"),
        (json!({ "kind": "day", "at": "works", "folder": "/srv" }), "folder"),
        (json!({ "kind": "day", "at": "works", "folder": "a/./b" }), "folder"),
        (json!({ "kind": "day", "at": "works", "folder": "a\\b" }), "folder"),
        (json!({ "kind": "day", "at": "works", "every": "1 d" }), "is not a word"),
    ] {
        let told = told(settings.clone());
        assert!(told.len() == 1 && told[0].contains(wanted), "{settings}: {told:?}");
    }
}

#[test]
fn a_vessel_names_its_equipment_and_what_goes_in() {
    let mut plant = whole_plant();
    plant.master.push(def(MasterKind::Material, "RESIN", json!({ "unit": "kg" })));
    let path = "works/line/filler";
    plant.master.push(def(MasterKind::Vessel, path, json!({ "mixing": "plug", "capacity": 2.5, "material": "RESIN" })));
    let (data, wrong) = MasterData::of_plant(&plant);
    assert_eq!(wrong, []);
    let capacity = Some(crate::quantity::Quantity::from_millionths(2_500_000));
    let vessel = Vessel { mixing: Mixing::Plug, capacity, material: Some("RESIN".to_owned()) };
    assert_eq!(data.vessels.get(path), Some(&vessel));
    let told = |name: &str, settings: Json| told_of(plant.clone(), MasterKind::Vessel, name, settings);
    assert_eq!(told(path, json!({})), [""; 0]);
    for (name, settings, wanted) in [
        ("works/line/tank", json!({}), "there is no equipment"),
        (path, json!({ "mixing": "stirred" }), "\"ideal\" or \"plug\""),
        (path, json!({ "capacity": 0 }), "a number from"),
        (path, json!({ "capacity": "full" }), "a number from"),
        (path, json!({ "material": "RSIN" }), "there is no material"),
        (path, json!({ "material": "RESIN@B" }), "every revision"),
        (path, json!({ "volume": 5 }), "is not a word"),
    ] {
        let told = told(name, settings.clone());
        assert!(told.len() == 1 && told[0].contains(wanted), "{settings}: {told:?}");
    }
    let unit = |draw: Json| json!({ "unit": { "serial": "works/line/filler/word", "draw": draw } });
    let told = |draw: Json| told_of(plant.clone(), MasterKind::Machine, path, unit(draw));
    assert_eq!(told(json!([{ "vessel": path, "quantity": 0.35 }])), [""; 0]);
    for (draw, wanted) in [
        (json!([{ "vessel": "works/line", "quantity": 1 }]), "there is no vessel"),
        (json!([{ "vessel": path }]), "\"quantity\" is missing"),
        (json!([{ "vessel": path, "quantity": 0 }]), "quantity"),
        (json!([{ "quantity": 1 }]), "vessel"),
        (json!([{ "vessel": path, "quantity": 1 }, { "vessel": path, "quantity": 2 }]), "two vessels are called"),
    ] {
        let told = told(draw.clone());
        assert!(told.len() == 1 && told[0].contains(wanted), "{draw}: {told:?}");
    }
}
