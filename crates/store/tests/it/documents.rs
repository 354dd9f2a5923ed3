//! Documents: golden cases, and the promise that what is exported reads back as the same model.
//!
//! A case is a folder: the files beside `base.toml` and `expected.txt` are the documents; `base.toml` is the model in
//! force; a folder whose name ends in `-prune` removes what the documents do not name. `expected.txt` holds the errors or,
//! where there are none, the plan. `UPDATE=1 cargo test -p andon-store` writes it anew: read the difference.

use crate::fakes::open;
use andon_model::access::Principal;
use andon_model::plant::{
    AlarmDef, CompressRule, Condition, ConnectorDef, Equipment, Finding, Interpolation, Level, MASTER_LIMIT, MasterDef,
    MasterFindings, MasterKind, Plant, Profile, SettingsCheck, TagDef, TopicDef, TopicRuleDef, WriteRule,
};
use andon_model::{DataType, EquipmentPath, TagPath, Unit};
use andon_store::documents::{self, Document, export, merge, parse, plan};
use andon_store::{ApplyError, PlantRepository};
use proptest::prelude::*;
use serde_json::{Value as Json, json};
use std::fmt::Write;
use std::path::Path;
use uuid::Uuid;

/// Stands for those who know settings: a `tag` and a `material` must exist, an `address` is at most 65535, a `password` is a secret.
struct Checks;

impl Checks {
    fn walk(settings: &Json, plant: &Plant, at: &mut Vec<String>, findings: &mut Vec<Finding>) {
        let mut found = |message: String, remedy: &str| {
            findings.push(Finding { pointer: at.clone(), message, remedy: remedy.into() });
        };
        match (at.last().map(String::as_str), settings) {
            (Some("tag"), Json::String(tag)) if !plant.tags.iter().any(|known| known.path.as_str() == tag) => {
                found(format!("there is no tag \"{tag}\""), "add the tag");
            }
            (Some("material"), Json::String(name))
                if !plant.master.iter().any(|known| known.kind == MasterKind::Material && known.name == *name) =>
            {
                found(format!("there is no material \"{name}\""), "add the material");
            }
            (Some("address"), Json::Number(address)) if address.as_i64().is_some_and(|address| address > 65_535) => {
                found(format!("the address {address} is above 65535"), "look at the device's register map");
            }
            // As a bridge says it: the documents have said so before.
            (Some("password"), Json::String(_)) => found("a password is named, not written".into(), "name it"),
            (_, Json::Object(map)) => {
                for (key, value) in map {
                    at.push(key.clone());
                    Self::walk(value, plant, at, findings);
                    at.pop();
                }
            }
            (_, Json::Array(list)) => {
                for (index, value) in list.iter().enumerate() {
                    at.push(index.to_string());
                    Self::walk(value, plant, at, findings);
                    at.pop();
                }
            }
            _ => {}
        }
    }

    fn findings(settings: &Json, plant: &Plant) -> Vec<Finding> {
        let mut findings = Vec::new();
        Self::walk(settings, plant, &mut Vec::new(), &mut findings);
        findings
    }
}

impl SettingsCheck for Checks {
    fn check_connector(&self, connector: &ConnectorDef, plant: &Plant) -> Vec<Finding> {
        Self::findings(&connector.settings, plant)
    }
    fn check_topic(&self, topic: &TopicDef, plant: &Plant) -> Vec<Finding> {
        Self::findings(&topic.settings, plant)
    }
    fn check_topic_rule(&self, rule: &TopicRuleDef, plant: &Plant) -> Vec<Finding> {
        Self::findings(&rule.settings, plant)
    }
    fn check_master(&self, plant: &Plant) -> Vec<MasterFindings> {
        let of = |def: &MasterDef| MasterFindings {
            kind: def.kind,
            name: def.name.clone(),
            findings: Self::findings(&def.settings, plant),
        };
        plant.master.iter().map(of).filter(|wrong| !wrong.findings.is_empty()).collect()
    }
}

fn toml(text: &str) -> Vec<Document> {
    vec![Document { name: "plant.toml".into(), text: text.into() }]
}

fn run(folder: &Path) -> String {
    let mut files: Vec<_> = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let document = |path: &Path| Document {
        name: path.file_name().unwrap().to_str().unwrap().to_owned(),
        text: std::fs::read_to_string(path).unwrap(),
    };
    let base = folder.join("base.toml");
    let mut base = if base.exists() { parse(&[document(&base)], &Checks).unwrap() } else { Plant::default() };
    // As the store gives them.
    base.tags.iter_mut().zip(1..).for_each(|(tag, number)| tag.id = Uuid::from_u128(number));
    let documents: Vec<Document> = files
        .iter()
        .filter(|path| !path.ends_with("base.toml") && !path.ends_with("expected.txt"))
        .map(|path| document(path))
        .collect();
    let mut out = String::new();
    match merge(&base, &documents, folder.to_str().unwrap().ends_with("-prune"), &Checks) {
        Ok(plant) => plan(&base, &plant).iter().for_each(|change| writeln!(out, "{change}").unwrap()),
        Err(errors) => errors.iter().for_each(|error| writeln!(out, "{error}").unwrap()),
    }
    out
}

#[test]
fn every_case_says_what_is_wrong_where_and_what_to_do_or_what_will_change() {
    let mut wrong = Vec::new();
    let mut count = 0;
    for entry in std::fs::read_dir(Path::new(env!("CARGO_MANIFEST_DIR")).join("cases")).unwrap() {
        let folder = entry.unwrap().path();
        let (found, expected) = (run(&folder), folder.join("expected.txt"));
        count += 1;
        if std::env::var_os("UPDATE").is_some() {
            std::fs::write(&expected, &found).unwrap();
        } else if std::fs::read_to_string(&expected).unwrap_or_default() != found {
            wrong.push(format!("{}\n{found}", folder.display()));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(count >= 15, "only {count} cases were found");
}

#[tokio::test]
async fn documents_go_into_the_store_and_come_out_the_same_and_the_second_time_nothing_changes() {
    let folder = tempfile::tempdir().unwrap();
    let store = open(folder.path()).await;
    let text = "[[equipment]]\npath='w'\nlevel='site'\n[[tag]]\npath='w/t'\ntype='double'\nrange=[0,9]\nwrite={}\n\
                [[alarm]]\ntag='w/t'\ncondition='high'\nlimit=5\npriority='high'\nmessage='hot'\n";
    let (base, _) = store.current_plant().await.unwrap();
    let first = merge(&base, &toml(text), false, &Checks).unwrap();
    store.apply_plant(base.version, first, Principal::SYSTEM, None).await.unwrap();
    let (base, _) = store.current_plant().await.unwrap();
    let again = merge(&base, &toml(text), true, &Checks).unwrap();
    assert_eq!((plan(&base, &again), &again), (vec![], &base));
    let exported = parse(&toml(&export(&base)), &Checks).unwrap();
    assert_eq!(Plant { version: base.version, ..exported }, base);
    // A rename by document keeps the id, the alarm follows, and the line may stay in the document.
    let renamed = text.replace("path='w/t'", "path='w/new'\nrenamed_from='w/t'").replace("tag='w/t'", "tag='w/new'");
    let plant = merge(&base, &toml(&renamed), false, &Checks).unwrap();
    assert_eq!(plant.tags.iter().map(|tag| (tag.id, tag.path.leaf())).collect::<Vec<_>>(), [(base.tags[0].id, "new")]);
    assert_eq!(plant.alarms.iter().map(|alarm| &*alarm.name).collect::<Vec<_>>(), ["w/new:high"]);
    store.apply_plant(base.version, plant, Principal::SYSTEM, None).await.unwrap();
    let (base, _) = store.current_plant().await.unwrap();
    assert_eq!(plan(&base, &merge(&base, &toml(&renamed), false, &Checks).unwrap()), []);
    // What was made for an older version is refused.
    let late = store.apply_plant(1, Plant::default(), Principal::SYSTEM, None).await;
    assert!(matches!(late, Err(ApplyError::Conflict { current: 2, .. })));
}

#[test]
fn too_much_is_refused_before_it_is_read() {
    let text = format!("# {}", "x".repeat(documents::BYTES_LIMIT));
    let errors = parse(&toml(&text), &Checks).unwrap_err();
    assert!(errors[0].message.contains("over the limit"), "{}", errors[0]);
}

#[test]
fn very_many_errors_are_counted_not_listed() {
    let text: String = (0..500).map(|number| format!("[[tag]]\npath = 'w/t{number}'\n")).collect();
    let errors = parse(&toml(&text), &Checks).unwrap_err();
    assert_eq!((errors.len(), errors[100].message.as_str()), (101, "and 400 more"));
}

/// Arbitrary models that keep the rules, as documents can write them.
fn any_plant() -> impl Strategy<Value = Plant> {
    let (line, text) = ("[a-zA-Z \"'\\\\#é°]{0,12}", "[a-zA-Z \"'\\\\#\n\té°]{0,12}");
    let settings = || prop::collection::btree_map("[a-z ]{1,5}", any_setting(), 0..4);
    let tag = (
        (any::<u8>(), 0..4_u8, line, text, prop::option::of(any_range()), prop::option::of(0..9_u8)),
        (
            prop::collection::btree_map(-3..9_i64, "[a-z]{1,5}", 0..3),
            any::<bool>(),
            prop::option::of(1..99_999_999_u64),
        ),
        (
            prop::option::of((any::<bool>(), 1..3_600_000_u64, 1..3_600_000_u64, 0.0..5.0)),
            prop::option::of("[a-z]{0,4}"),
        ),
    );
    let alarm = (any::<prop::sample::Index>(), 0..4_u8, 0.0..1.0, (0..9_u64, 0..99_999_u64), 1..5_u8, line, text);
    (
        any::<[bool; 4]>(),
        prop::collection::vec(tag, 0..8),
        prop::collection::btree_map("[a-z]{1,5}", (settings(), any::<bool>(), line), 0..3),
        prop::collection::btree_map("[a-z/]{1,5}", settings(), 0..3),
        prop::collection::vec(settings(), 0..3),
        prop::collection::btree_map(
            (0..6_usize, "[a-zA-Z0-9_./ é]{1,6}", prop::option::of("[A-Z0-9]{1,3}")),
            settings(),
            0..6,
        ),
        prop::collection::vec(alarm, 0..6),
    )
        .prop_map(|(homes, tags, connectors, topics, rules, master, alarms)| Plant {
            master: any_master(master),
            ..build(homes, tags, connectors, topics, rules, alarms)
        })
}

type TagParts = (
    (u8, u8, String, String, Option<(f64, f64)>, Option<u8>),
    (std::collections::BTreeMap<i64, String>, bool, Option<u64>),
    (Option<(bool, u64, u64, f64)>, Option<String>),
);
type Settings = std::collections::BTreeMap<String, Json>;
type MasterParts = std::collections::BTreeMap<(usize, String, Option<String>), Settings>;
type AlarmParts = (prop::sample::Index, u8, f64, (u64, u64), u8, String, String);

fn build(
    homes: [bool; 4],
    tags: Vec<TagParts>,
    connectors: std::collections::BTreeMap<String, (Settings, bool, String)>,
    topics: std::collections::BTreeMap<String, Settings>,
    rules: Vec<Settings>,
    alarms: Vec<AlarmParts>,
) -> Plant {
    let profile = |home: bool| if home { Profile::Home } else { Profile::Plant };
    let site = profile(homes[1]);
    let levels = [
        ("e", Level::Enterprise, profile(homes[0])),
        ("e/s", Level::Site, site),
        ("e/s/a", Level::Area, site),
        ("e/s/a/u", Level::WorkUnit, site),
    ];
    let equipment = levels.map(|(path, level, profile)| Equipment {
        path: EquipmentPath::parse(path).unwrap(),
        level,
        profile,
        title: format!("\"{path}\""),
        description: if homes[2] { "a\nb".into() } else { String::new() },
        keep_days: (homes[1] && level != Level::Site).then_some(if homes[2] { 0 } else { 90 }),
    });
    let mut tags: Vec<TagDef> = tags.into_iter().map(any_tag).collect();
    tags.sort_by(|a, b| a.path.cmp(&b.path));
    tags.dedup_by(|a, b| a.path == b.path);
    let mut alarms: Vec<AlarmDef> =
        alarms.into_iter().filter(|_| !tags.is_empty()).map(|parts| any_alarm(&tags, parts)).collect();
    alarms.sort_by(|a, b| a.name.cmp(&b.name));
    alarms.dedup_by(|a, b| a.name == b.name);
    let connectors = connectors.into_iter().map(|(name, (settings, enabled, title))| ConnectorDef {
        name,
        kind: "modbus".into(),
        title,
        enabled,
        settings: json!(settings),
    });
    let topics = topics.into_iter().map(|(filter, settings)| TopicDef { filter, settings: json!(settings) });
    let rule = |(number, settings)| TopicRuleDef {
        name: format!("rule-{number}"),
        filter: format!("plant/{number}/#"),
        settings: json!(settings),
    };
    let topic_rules = rules.into_iter().enumerate().map(rule).collect();
    Plant {
        version: 0,
        equipment: equipment.into(),
        tags,
        connectors: connectors.collect(),
        topics: topics.collect(),
        topic_rules,
        master: Vec::new(),
        alarms,
    }
}

fn any_master(parts: MasterParts) -> Vec<MasterDef> {
    let mut master = Vec::new();
    for ((kind, name, revision), settings) in parts {
        let kind = MasterKind::ALL[kind];
        let name = match kind {
            MasterKind::Machine | MasterKind::Vessel | MasterKind::Target => format!("e/u{}", master.len()),
            _ => MasterDef::joined(&name, revision.filter(|_| kind.has_revisions()).as_deref()),
        };
        master.push(MasterDef { kind, name, settings: json!(settings) });
    }
    master.sort_by(|a, b| (a.kind, &a.name).cmp(&(b.kind, &b.name)));
    master.dedup_by(|a, b| (a.kind, &a.name) == (b.kind, &b.name));
    master
}

fn tolerance_of(number: u8) -> f64 {
    f64::from(number) / 8.0 + 0.25
}

fn any_tag(
    ((number, kind, title, description, range, digits), (states, odd, stale_after_ms), (write, origin)): TagParts,
) -> TagDef {
    let data_type = [DataType::Double, DataType::Int64, DataType::Boolean, DataType::String][usize::from(kind)];
    let numeric = kind < 2;
    let states = if kind == 1 || kind == 2 { states } else { [].into() };
    let range = range.filter(|_| numeric);
    let usual =
        if numeric && (kind == 0 || states.is_empty()) { Interpolation::Sloped } else { Interpolation::Stepped };
    let other = if usual == Interpolation::Sloped { Interpolation::Stepped } else { Interpolation::Sloped };
    let (low, high) = range.unwrap_or((-1.5, 2.5));
    let write = write.map(|(needs_reason, life_ms, confirm_within_ms, tolerance)| WriteRule {
        min: numeric.then_some(if odd { low } else { low + (high - low) / 4.0 }),
        max: numeric.then_some(high),
        needs_reason,
        life_ms,
        tolerance: if numeric { tolerance } else { 0.0 },
        confirm_within_ms,
    });
    TagDef {
        id: Uuid::from_u128(u128::from(number) + 1),
        path: TagPath::parse(&format!("e/s/a/u/t{number}")).unwrap(),
        title,
        description,
        data_type,
        unit: (numeric && odd).then(|| Unit::parse("kW.h").unwrap()),
        range,
        digits: digits.filter(|_| numeric),
        states,
        interpolation: if odd { other } else { usual },
        compress: (numeric && odd).then(|| CompressRule {
            deviation: tolerance_of(number),
            at_least_every_ms: stale_after_ms.unwrap_or(600_000).max(1000),
        }),
        keep_days: (kind == 3 || odd).then_some(u32::from(number) % 20),
        stale_after_ms,
        write,
        origin,
    }
}

fn any_alarm(tags: &[TagDef], (index, kind, share, (deadband, ms), priority, message, cause): AlarmParts) -> AlarmDef {
    let tag = index.get(tags);
    let numeric = matches!(tag.data_type, DataType::Double | DataType::Int64);
    let (low, high) = tag.range.unwrap_or((0.0, 100.0));
    let (limit, deadband) = ((low + (high - low) * share).clamp(low, high), deadband as f64);
    let condition = match kind {
        0 if numeric => Condition::High { limit, deadband },
        1 if numeric => Condition::Low { limit, deadband },
        2 if matches!(tag.data_type, DataType::Boolean | DataType::Int64) => {
            let states: Vec<i64> = tag
                .states
                .keys()
                .copied()
                .filter(|state| tag.data_type == DataType::Int64 || matches!(state, 0 | 1))
                .collect();
            match (states.first(), tag.states.is_empty()) {
                (Some(equals), _) => Condition::State { equals: *equals },
                (None, true) => Condition::State { equals: 1 },
                (None, false) => Condition::Silent { after_ms: ms + 1 },
            }
        }
        _ => Condition::Silent { after_ms: ms + 1 },
    };
    let suffix = if ms % 2 == 0 { String::new() } else { format!("#{}", ms % 7) };
    AlarmDef {
        name: format!("{}:{}{suffix}", tag.path, condition.word()),
        tag: tag.path.clone(),
        condition,
        on_delay_ms: ms,
        off_delay_ms: ms / 3,
        priority,
        message,
        cause: cause.clone(),
        consequence: cause,
        action: String::new(),
    }
}

fn any_range() -> impl Strategy<Value = (f64, f64)> {
    (-1e9..1e9, 0.001..1e12).prop_map(|(low, width): (f64, f64)| (low, low + width))
}

fn any_setting() -> impl Strategy<Value = Json> {
    let leaf = prop_oneof![
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        any::<f64>().prop_filter("TOML has no use for them", |real| real.is_finite()).prop_map(Json::from),
        "[ -~é\n\t]{0,10}"
            .prop_filter("an address with a password is refused", |text| !text.contains("://"))
            .prop_map(Json::from),
        Just(json!({ "secret": "press-7" })),
    ];
    leaf.prop_recursive(3, 12, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map("[a-z. \"é]{0,5}", inner, 0..4).prop_map(|map| json!(map)),
        ]
    })
}

/// What an older version took and this one would not: nothing else is refused because of it, and it is refused itself when it is written anew.
#[test]
fn what_is_in_force_and_was_wrong_before_stops_no_other_change() {
    let plc = "[[connector]]\nname = \"plc\"\ntype = \"modbus\"\naddress = 70000\n";
    let base = parse(&toml(plc), &NoChecks).unwrap();
    let site = "[[equipment]]\npath = \"w\"\nlevel = \"site\"\n";
    let merged = merge(&base, &toml(site), false, &Checks).unwrap();
    assert_eq!((merged.equipment.len(), merged.connectors), (1, base.connectors.clone()));
    let told = |text: &str| {
        merge(&base, &toml(text), false, &Checks).unwrap_err().iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let again = told(&format!("{site}{plc}"));
    assert!(again.len() == 1 && again[0].contains("the address 70000 is above 65535"), "{again:?}");
}

#[test]
fn master_data_that_was_wrong_before_stops_no_other_change_and_what_breaks_it_is_told() {
    let bill = "[[material]]\nname = \"pump\"\nbill = [{ material = \"gone\", quantity = 1 }, { material = \"motor\", quantity = 1 }]\n";
    let motor = "[[material]]\nname = \"motor\"\n";
    let base = parse(&toml(&format!("{bill}{motor}")), &NoChecks).unwrap();
    let merged = merge(&base, &toml("[[reason]]\nname = \"Jam\"\n"), false, &Checks).unwrap();
    assert_eq!(merged.master.len(), 3);
    let told = |text: &str, prune| {
        let errors = merge(&base, &toml(text), prune, &Checks).unwrap_err();
        errors.iter().map(ToString::to_string).collect::<Vec<_>>()
    };
    let again = told(bill, false);
    assert!(again.len() == 1 && again[0].starts_with("plant.toml:3:"), "{again:?}");
    let pruned = told(bill, true);
    assert!(pruned.len() == 2 && pruned[1].contains("there is no material \"motor\""), "{pruned:?}");
}

#[test]
fn more_tables_of_a_kind_than_there_may_be_are_refused() {
    let text: String = (0..=MASTER_LIMIT).map(|number| format!("[[skill]]\nname = \"s{number}\"\n")).collect();
    let errors = parse(&toml(&text), &NoChecks).unwrap_err();
    assert_eq!(errors.len(), 1);
    assert_eq!(errors[0].message, "20001 tables [[skill]] are over the limit of 20000");
    assert_eq!(errors[0].line, 2 * MASTER_LIMIT + 1);
}

#[test]
fn the_example_of_the_manual_is_a_plant() {
    let manual = include_str!("../../../../docs/manual/master-data.md");
    let blocks = |fence: &str| {
        let begin = format!("```{fence}\n");
        let parts = manual.split(begin.as_str()).skip(1).map(|part| part.split("```").next().unwrap().to_owned());
        parts.collect::<Vec<_>>()
    };
    let plant = parse(&toml(&blocks("toml").concat()), &NoChecks).unwrap();
    assert_eq!(parse(&toml(&export(&plant)), &NoChecks).unwrap(), plant);
    let names: Vec<_> = plant.master.iter().map(|def| format!("{} {}", def.kind.word(), def.name)).collect();
    assert!(names.contains(&"material HP-8@B".to_owned()), "{names:?}");
    // The tables of the manual say the same as its documents.
    let tables = blocks("csv").into_iter().map(|text| {
        let (name, rows) = text.split_once('\n').unwrap();
        Document { name: name.trim_start_matches("# ").to_owned(), text: rows.to_owned() }
    });
    let tables: Vec<_> = tables.collect();
    assert_eq!(tables.len(), 4);
    let same = merge(&plant, &tables, false, &NoChecks).unwrap();
    assert_eq!(plan(&plant, &same), vec![]);
}

struct NoChecks;
impl SettingsCheck for NoChecks {
    fn check_connector(&self, _: &ConnectorDef, _: &Plant) -> Vec<Finding> {
        Vec::new()
    }
    fn check_topic(&self, _: &TopicDef, _: &Plant) -> Vec<Finding> {
        Vec::new()
    }
    fn check_topic_rule(&self, _: &TopicRuleDef, _: &Plant) -> Vec<Finding> {
        Vec::new()
    }
    fn check_master(&self, _: &Plant) -> Vec<MasterFindings> {
        Vec::new()
    }
}

proptest! {
    #[test]
    fn what_is_exported_reads_back_as_the_same_model(plant in any_plant()) {
        let text = export(&plant);
        let read = parse(&toml(&text), &NoChecks);
        let errors = |errors: Vec<documents::DocumentError>| TestCaseError::fail(format!("{}\n{text}", errors[0]));
        let read = read.map_err(errors)?;
        prop_assert_eq!(&read, &plant, "{}", text);
        prop_assert_eq!(export(&read), text);
        prop_assert_eq!(plan(&plant, &read), vec![]);
    }

    #[test]
    fn a_plan_is_empty_exactly_when_nothing_changes(old in any_plant(), new in any_plant()) {
        prop_assert_eq!(plan(&old, &new).is_empty(), old == new);
    }

    #[test]
    fn no_document_makes_it_panic(text in "(\\[\\[(tag|alarm|topic|topic_rule|connector|equipment|reason|material|machine)\\]\\]\n|(path|level|type|unit|range|write|limit|condition|tag|filter|states|id|name|revision|equipment|bill) = ('[a-z/#+]{0,9}'|\\[[0-9, ]{0,5}\\]|\\{[a-z= 0-9]{0,6}\\}|[0-9.e-]{1,5}|true)\n){0,12}") {
        let _ = parse(&toml(&text), &NoChecks);
        let yaml = Document { name: "x.yml".into(), text: text.replace(" = ", ": ").replace("[[", "").replace("]]", ":") };
        let _ = parse(&[yaml], &NoChecks);
    }

    #[test]
    fn no_table_makes_it_panic(name in "(material|bill|operation|x)s?\\.csv", text in "(name|material|component|quantity|operation|[,;\t\"\n|@é 0-9.-]){0,30}") {
        let table = |name: &str| Document { name: name.to_owned(), text: text.clone() };
        let _ = parse(&[table("materials.csv"), table(&name)], &NoChecks);
    }
}
