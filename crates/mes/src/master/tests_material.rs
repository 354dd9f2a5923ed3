//! Tests of `master`: materials, instructions, skills, and what machines say of units and changeovers.

use super::tests::{def, plant, sample, told_of};
use super::*;
use andon_model::plant::Equipment;
use andon_model::{EquipmentPath, Value};
use proptest::prelude::*;
use serde_json::json;
use std::time::Duration;

/// A heat pump from two parts, one with two revisions, and a machine that tightens and tests it.
fn heat_pumps() -> Plant {
    let mut plant = plant(vec![
        def(MasterKind::Skill, "Brazing", json!({ "title": "Brazing to EN 13585" })),
        def(MasterKind::Instruction, "braze@3", json!({ "title": "Braze", "text": "# Nitrogen first" })),
        def(
            MasterKind::Instruction,
            "test",
            json!({ "steps": [{ "title": "Close", "text": "Both valves" }, { "text": "Read" }] }),
        ),
        def(MasterKind::Material, "compressor@9", json!({ "tracked": "serial", "unit": "pcs" })),
        def(MasterKind::Material, "compressor@10", json!({ "tracked": "serial" })),
        def(MasterKind::Material, "r290", json!({ "tracked": "lot", "unit": "kg" })),
        def(
            MasterKind::Material,
            "HP-8@B",
            json!({
                "title": "Heat pump 8 kW", "tracked": "serial", "gtin": "4006381333931", "family": "small",
                "bill": [
                    { "material": "compressor", "quantity": 1, "operation": "10" },
                    { "material": "r290", "quantity": 0.65, "operation": "20" },
                ],
                "characteristic": [{ "name": "Pressure", "unit": "bar", "lower": 12, "target": 12.5, "upper": 13, "operation": "20" }],
                "operation": [
                    { "name": "10", "title": "Braze", "equipment": ["works/line/filler"], "run_time": "12 min", "setup": "5min", "skills": ["Brazing"], "instructions": ["braze"] },
                    { "name": "20", "equipment": ["works/line/filler"], "run_time": "0.3 s", "instructions": ["test"] },
                    { "name": "30", "equipment": ["works/line/filler"], "run_time": "1s", "after": [] },
                ],
            }),
        ),
        def(
            MasterKind::Material,
            "HP-12",
            json!({ "family": "large", "bill": [{ "material": "compressor@9", "quantity": 2 }] }),
        ),
        def(
            MasterKind::Machine,
            "works/line/filler",
            json!({
                "changeover": [{ "from": "small", "to": "large", "takes": "15 min" }], "changeover_default": "5 min",
                "unit": {
                    "serial": "works/line/filler/word",
                    "result": { "tag": "works/line/filler/on" },
                    "measure": [{ "characteristic": "Pressure", "tag": "works/line/filler/amps" }],
                    "part": [{ "material": "compressor", "serial": "works/line/filler/word" }, { "material": "r290", "lot": "works/line/filler/word", "quantity": 0.65 }],
                    "first": true,
                },
            }),
        ),
    ]);
    plant.equipment[1].title = "Filler".to_owned();
    plant
}

#[test]
fn a_product_is_read_with_all_that_it_names() {
    let (data, wrong) = MasterData::of_plant(&heat_pumps());
    assert_eq!(wrong, []);
    let pump = data.material("HP-8", None).expect("there");
    assert_eq!((pump.name.as_str(), pump.revision.as_deref(), pump.tracked), ("HP-8", Some("B"), Tracked::Serial));
    assert_eq!(pump.gtin.as_ref().map(ToString::to_string).as_deref(), Some("4006381333931"));
    let bill: Vec<_> = pump.bill.iter().map(|line| (&*line.material, line.quantity.millionths())).collect();
    assert_eq!(bill, [("compressor", 1_000_000), ("r290", 650_000)]);
    let after: Vec<_> = pump.operations.iter().map(|one| (&*one.name, one.after.clone(), one.run_time)).collect();
    assert_eq!(
        after,
        [
            ("10", vec![], Duration::from_secs(720)),
            ("20", vec!["10".to_owned()], Duration::from_millis(300)),
            ("30", vec![], Duration::from_secs(1)),
        ]
    );
    assert_eq!((pump.operations[0].title.as_str(), pump.operations[1].title.as_str()), ("Braze", "20"));
    assert_eq!(pump.characteristics[0].unit.as_ref().map(andon_model::Unit::code), Some("bar"));

    let machine = &data.machines["works/line/filler"];
    let minutes = |from, to| machine.changeover(from, to).as_secs() / 60;
    assert_eq!([minutes(Some("small"), Some("large")), minutes(Some("large"), Some("small"))], [15, 5]);
    assert_eq!([minutes(Some("small"), Some("small")), minutes(None, Some("small")), minutes(None, None)], [0, 5, 0]);
    let station = machine.station.as_ref().expect("has one");
    assert_eq!((station.first, station.last, station.parts.len()), (true, false, 2));
    assert_eq!(
        (station.parts[1].by, station.parts[1].quantity),
        (Tracked::Lot, Some(crate::quantity::Quantity::from_millionths(650_000)))
    );
    let passed = |value| station.result.as_ref().and_then(|result| result.passed(&sample(value)));
    assert_eq!([true, false].map(|value| passed(Value::Boolean(value))), [Some(true), Some(false)]);
    assert_eq!(passed(Value::Null), None);
}

#[test]
fn without_a_revision_it_is_the_greatest_one() {
    let (mut data, _) = MasterData::of_plant(&heat_pumps());
    let revision = |data: &MasterData, wanted| data.material("compressor", wanted).map(|one| one.revision.clone());
    assert_eq!(revision(&data, None), Some(Some("10".to_owned())), "10 comes after 9");
    assert_eq!(revision(&data, Some("9")), Some(Some("9".to_owned())));
    assert_eq!((revision(&data, Some("11")), revision(&data, Some(""))), (None, None));
    assert_eq!(data.named("compressor").map(|(key, _)| key), Some("compressor@10"));
    assert_eq!(data.named("compressor@9").map(|(key, _)| key), Some("compressor@9"));
    // A neighbour in the order of names, and one without a revision, which comes before all.
    let plain = Material { revision: None, ..data.material("compressor", None).cloned().expect("there") };
    data.materials.insert("compressor".to_owned(), plain.clone());
    data.materials.insert("compressor-2@99".to_owned(), plain);
    assert_eq!((revision(&data, None), revision(&data, Some(""))), (Some(Some("10".to_owned())), Some(None)));
    data.materials.retain(|key, _| !key.starts_with("compressor@"));
    assert_eq!(revision(&data, None), Some(None));
    assert_eq!(data.instruction("braze", None).map(|one| one.revision.clone()), Some(Some("3".to_owned())));
    assert_eq!(data.instruction_named("braze@3").map(|one| &*one.title), Some("Braze"));
}

#[test]
fn a_digest_changes_with_whatever_is_read_and_with_nothing_else() {
    let digest = |name: &str, settings: Json| {
        let (data, wrong) = MasterData::of_plant(&plant(vec![def(MasterKind::Instruction, name, settings)]));
        assert_eq!(wrong, []);
        data.instructions[name].sha256
    };
    let first = digest("a@1", json!({ "title": "A", "text": "x" }));
    assert_eq!(first, digest("b@2", json!({ "text": "x", "title": "A" })), "which revision it is stands beside it");
    assert_ne!(first, digest("a@1", json!({ "title": "A", "text": "y" })));
    assert_ne!(first, digest("a@1", json!({ "title": "B", "text": "x" })));
    let steps = |title: &str| json!({ "steps": [{ "title": title, "text": "x" }] });
    assert_ne!(digest("a", steps("1")), digest("a", steps("2")));
}

#[test]
fn what_is_wrong_with_a_material_is_told_with_its_place() {
    let material = |settings| told_of(heat_pumps(), MasterKind::Material, "HP-8@B", settings);
    let here = "works/line/filler";
    assert_eq!(
        material(json!({
            "gtin": "4006381333932", "tracked": "yes", "unit": "", "colour": 1,
            "bill": [
                { "material": "compresor", "quantity": 1 },
                { "material": "HP-9000", "quantity": 0.1234567 },
                { "material": "r290" },
                { "material": "r290", "quantity": 0, "operation": "15" },
            ],
            "characteristic": [{ "name": "A", "lower": 5, "target": 4, "upper": 3, "unit": "foo bar" }, { "name": "A" }],
        })),
        [
            "colour: \"colour\" is not a word that can stand here; known are: title, description, unit, gtin, tracked, family, bill, characteristic, operation",
            "unit: a unit is 1 to 16 bytes, such as \"pcs\", \"kg\" or \"l\"; mend it",
            "gtin: the GTIN 4006381333932 ends with 2, but its check digit is 1; mend it",
            "tracked: this cannot stand at \"tracked\"; write \"serial\" or \"lot\" or \"none\"",
            "bill.0.material: there is no material \"compresor\"; did you mean \"compressor\"? Or add a [[material]] of it",
            "bill.1.material: there is no material \"HP-9000\"; add a [[material]] of it",
            "bill.1.quantity: this cannot stand at \"quantity\"; write a number with at most six decimals, or choose a smaller unit",
            "bill.2: \"quantity\" is missing; write how much goes into one: quantity = 2",
            "bill.3.quantity: this cannot stand at \"quantity\"; write a number from 0.000001 to 1000000000",
            "bill.3.operation: there is no operation \"15\" in this material; add an `operation` of it, or take it out",
            "characteristic.0.unit: \"foo bar\" is not a UCUM unit: \" \" cannot stand in a unit; write a UCUM code, as for tags: mm, bar, g, Cel, N.m; mend it",
            "characteristic.0.upper: this goes from 5 to 3, which is below it; write lower, target and upper so that none is below the one before",
            "characteristic.0.target: this goes from 5 to 4, which is below it; write lower, target and upper so that none is below the one before",
            "characteristic.0.upper: this goes from 4 to 3, which is below it; write lower, target and upper so that none is below the one before",
            "characteristic.1.name: the characteristic \"A\" is there twice; keep one",
        ]
    );
    assert_eq!(
        material(json!({ "operation": [
            { "name": "10", "equipment": ["works/line/fillr", "works", here], "run_time": "0s", "skills": ["Welding"], "instructions": ["braze@2"] },
            { "name": "10", "equipment": [], "run_time": "1s" },
            { "name": "a b", "run_time": "1s", "equipment": [here, here], "after": ["11", "a b"] },
        ] })),
        [
            "operation.0.equipment.0: there is no equipment \"works/line/fillr\"; did you mean \"works/line/filler\"? Or write the path of a work unit, or add an [[equipment]] of it",
            "operation.0.equipment.1: \"works\" is a site and no machine; write the path of a work unit",
            "operation.0.run_time: this cannot stand at \"run_time\"; write a time from \"1ms\" to \"720h\"",
            "operation.0.skills.0: there is no skill \"Welding\"; add a [[skill]] of it",
            "operation.0.instructions.0: there is no instruction \"braze@2\"; did you mean \"braze@3\"? Or add an [[instruction]] of it",
            "operation.1.name: the operation \"10\" is there twice; give one another name",
            "operation.1: nothing says on which equipment this is done; write the paths of work units: equipment = [\"works/line1/filler\"]",
            "operation.2.name: \"a b\" is no name of an operation; write 1 to 16 letters, digits, `.`, `_` and `-`, such as \"10\"",
            "operation.2.equipment.1: \"works/line/filler\" stands here twice; keep one",
            "operation.2.after.0: there is no operation \"11\" in this material; did you mean \"10\"?",
            "operation.2.after.1: an operation does not wait for itself; take it out",
        ]
    );
    let step =
        |name: &str, after: &[&str]| json!({ "name": name, "equipment": [here], "run_time": "1s", "after": after });
    assert_eq!(
        material(
            json!({ "operation": [step("10", &[]), step("20", &["10", "40"]), step("30", &["20"]), step("40", &["30"]), step("50", &["40"])] })
        ),
        [
            "operation.1.after: the operations 20, 30, 40 wait for each other, so none can begin; take one of them out of the `after` of another"
        ]
    );
    let many: Vec<_> = (0..201).map(|number| step(&number.to_string(), &[])).collect();
    assert_eq!(
        material(json!({ "operation": many })),
        ["operation: 201 are over the limit of 200; take some out, or make several tables of it"]
    );
    let told = |kind, name: &str, settings| told_of(heat_pumps(), kind, name, settings);
    assert_eq!(
        told(MasterKind::Material, "a b@x y", json!({})),
        [
            "name: \"a b\" is no name of a material; write 1 to 64 letters (a to z), digits, `.`, `_` and `-`, and begin with a letter or a digit",
            "revision: \"x y\" is no revision of a material; write 1 to 16 letters (a to z), digits, `.`, `_` and `-`, and begin with a letter or a digit",
        ]
    );
    assert_eq!(
        told(MasterKind::Instruction, "i", json!({ "text": "a", "steps": [] })),
        [": what is to be done is not said, or said twice; write either `text` or `steps`"]
    );
    let long = "x".repeat(TEXT_LIMIT / 2 + 1);
    assert_eq!(
        told(MasterKind::Instruction, "i", json!({ "steps": [{ "text": long }, { "text": long }] })),
        ["steps: the steps have 65538 bytes, which is over the limit of 65536; make several instructions of it"]
    );
    assert_eq!(told(MasterKind::Skill, " a", json!({})).len(), 1);
}

#[test]
fn nothing_is_made_with_itself() {
    let bill = |names: &[&str]| {
        let lines: Vec<_> = names.iter().map(|name| json!({ "material": name, "quantity": 1 })).collect();
        json!({ "bill": lines })
    };
    let (data, wrong) = MasterData::of_plant(&plant(vec![
        def(MasterKind::Material, "a", bill(&["b", "d"])),
        def(MasterKind::Material, "b", bill(&["c"])),
        def(MasterKind::Material, "c@1", bill(&["a"])),
        def(MasterKind::Material, "d", bill(&[])),
        def(MasterKind::Material, "e", bill(&["e"])),
        def(MasterKind::Material, "f@1", bill(&[])),
        def(MasterKind::Material, "f@2", bill(&["f@1"])),
        def(MasterKind::Material, "g", bill(&["a"])),
    ]));
    let told: Vec<_> = wrong.iter().map(|wrong| format!("{}: {}", wrong.name, wrong.findings[0].message)).collect();
    assert_eq!(
        told,
        [
            "a: \"a\" is made with \"b\", which in the end is made with \"a\"",
            "b: \"b\" is made with \"c\", which in the end is made with \"b\"",
            "c@1: \"c@1\" is made with \"a\", which in the end is made with \"c@1\"",
            "e: \"e\" is made with itself",
        ]
    );
    assert!(
        wrong.iter().all(|wrong| wrong.findings.len() == 1 && wrong.findings[0].pointer == ["bill", "0", "material"])
    );
    assert_eq!(
        data.materials.keys().collect::<Vec<_>>(),
        ["d", "f@1", "f@2", "g"],
        "a rebuilt one is made from the one before"
    );
}

#[test]
fn what_is_wrong_with_a_station_is_told_with_its_place() {
    let machine = |settings| told_of(heat_pumps(), MasterKind::Machine, "works/line/filler", settings);
    let (word, amps) = ("works/line/filler/word", "works/line/filler/amps");
    assert_eq!(
        machine(json!({
            "changeover": [{ "from": "smal", "to": "large", "takes": "15 min" }, { "from": "small", "to": "large" }, { "from": "small", "to": "large", "takes": "8d" }],
            "changeover_default": "soon",
            "unit": {
                "serial": amps,
                "result": { "tag": word },
                "measure": [{ "characteristic": "Presure", "tag": word }],
                "part": [
                    { "material": "r290", "serial": word },
                    { "material": "compressor", "serial": word, "quantity": 2 },
                    { "material": "compressor", "serial": word, "lot": word },
                    { "lot": "works/line/filler/wort" },
                ],
                "firmware": [
                    { "component": "controller" },
                    { "component": "controller", "version": word, "sha256": amps },
                    { "component": "x".repeat(129), "version": word },
                    { "component": "drive", "version": word },
                    { "component": "drive", "version": word },
                ],
            },
        })),
        [
            "changeover.0.from: no material is of the family \"smal\"; did you mean \"small\"?",
            "changeover.1: \"takes\" is missing; write how long it takes: takes = \"15 min\"",
            "changeover.2.takes: this cannot stand at \"takes\"; write a time from \"0s\" to \"168h\"",
            "changeover.2: the changeover from \"small\" to \"large\" is there twice; keep one",
            "changeover_default: this cannot stand at \"changeover_default\"; write a time from \"0s\" to \"168h\"",
            "unit.serial: works/line/filler/amps is a double tag, and what names something is a text; write a string tag",
            "unit.result: which texts of works/line/filler/word mean that the unit passed is not said; write them: pass = [\"OK\"]",
            "unit.measure.0.tag: a string tag measures nothing; write a tag with numbers",
            "unit.measure.0.characteristic: no material has a characteristic \"Presure\"; did you mean \"Pressure\"?",
            "unit.part.0.serial: the material \"r290\" is not told apart by its serial; write `tracked = \"serial\"` in the material, or another word here",
            "unit.part.1.quantity: what has a serial number is one; take `quantity` out",
            "unit.part.2: which tag says what was put in is not said, or said twice; write either `lot` or `serial`, with the path of a string tag",
            "unit.part.3: \"material\" is missing; write the name of a material",
            "unit.part.3.lot: there is no tag \"works/line/filler/wort\"; did you mean \"works/line/filler/word\"? Or write the path of a tag, or add a [[tag]] of it",
            "unit.firmware.0: \"version\" is missing; write the tag that says which version was loaded",
            "unit.firmware.1.sha256: works/line/filler/amps is a double tag, and what names something is a text; write a string tag",
            "unit.firmware.2.component: a component's name has at most 128 bytes, and this has 129; write a shorter one",
            "unit.firmware.4.component: two programs run on \"drive\" here; keep one, or call one of them otherwise",
        ]
    );
    assert_eq!(
        machine(json!({ "unit": { "serial": word, "result": { "tag": "works/line/filler/on", "pass": ["OK"] } } })),
        ["unit.result.pass: a boolean tag never has the value \"OK\"; write values that the tag can have"]
    );
    assert_eq!(
        machine(json!({ "unit": { "serial": word, "product": amps } })),
        [
            "unit.product: works/line/filler/amps is a double tag, and what names something is a text; write a string tag"
        ]
    );
    assert_eq!(machine(json!({ "unit": { "serial": word, "product": word } })), [""; 0]);
    let mut plant = heat_pumps();
    let amps = plant.tags.iter_mut().find(|tag| tag.path.as_str() == amps).expect("there");
    amps.unit = andon_model::Unit::parse("kPa").ok();
    let settings = json!({ "unit": { "serial": word, "measure": [{ "characteristic": "Pressure", "tag": "works/line/filler/amps" }] } });
    assert_eq!(
        told_of(plant, MasterKind::Machine, "works/line/filler", settings),
        ["unit.measure.0.tag: the tag is in kPa, and the characteristic in bar; give both the same unit"]
    );
}

#[test]
fn the_largest_plant_is_checked_in_little_time() {
    // Every material names twenty others that are not there, one letter off: what was meant is looked for a few times, not a million times.
    let line = |number: usize| json!({ "material": format!("m{number:05}x"), "quantity": 1 });
    let bill: Vec<_> = (0..20).map(line).collect();
    let settings = json!({ "bill": bill });
    let of = |number: usize| def(MasterKind::Material, &format!("m{number:05}"), settings.clone());
    let mut plant = plant((0..1_000).map(of).collect());
    let unit = plant.equipment[1].clone();
    plant.equipment.extend((0..2_000).map(|number| Equipment {
        path: EquipmentPath::parse(&format!("works/line/u{number}")).expect("a path"),
        ..unit.clone()
    }));
    let wrong = check(&plant);
    assert_eq!(wrong.iter().map(|wrong| wrong.findings.len()).sum::<usize>(), 20_000);
    let guessed = wrong.iter().flat_map(|wrong| &wrong.findings).filter(|one| one.remedy.starts_with("did you mean"));
    assert_eq!(guessed.count(), 50);
}

/// Settings with the words of all kinds and values of any shape.
fn any_settings() -> impl Strategy<Value = Json> {
    let word = prop::sample::select(vec![
        "name",
        "title",
        "text",
        "steps",
        "bill",
        "material",
        "quantity",
        "operation",
        "characteristic",
        "lower",
        "upper",
        "target",
        "unit",
        "equipment",
        "run_time",
        "after",
        "skills",
        "instructions",
        "gtin",
        "tracked",
        "family",
        "changeover",
        "from",
        "to",
        "takes",
        "serial",
        "product",
        "result",
        "tag",
        "pass",
        "measure",
        "part",
        "lot",
        "state",
        "values",
        "first",
    ]);
    let leaf = prop_oneof![
        Just(json!(null)),
        any::<bool>().prop_map(Json::from),
        any::<i64>().prop_map(Json::from),
        (-1e12..1e12).prop_map(Json::from),
        prop::sample::select(vec![
            "",
            "10",
            "a",
            "serial",
            "lot",
            "5 min",
            "works/line/filler",
            "works/line/filler/word",
            "HP-8",
            "HP-8@B",
            "bar"
        ])
        .prop_map(Json::from),
        "[ -~é\n]{0,6}".prop_map(Json::from),
    ];
    leaf.prop_recursive(4, 40, 5, move |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Json::from),
            prop::collection::btree_map(word.clone(), inner, 0..6).prop_map(|map| json!(map)),
        ]
    })
}

proptest! {
    #[test]
    fn nothing_that_stands_there_makes_it_panic(kind in 0..6_usize, name in "[a-z@/ .é]{0,6}", settings in any_settings()) {
        let mut plant = heat_pumps();
        let kind = MasterKind::ALL[kind];
        plant.master.push(MasterDef { kind, name, settings });
        let (data, wrong) = MasterData::of_plant(&plant);
        prop_assert!(wrong.iter().all(|wrong| !wrong.findings.is_empty()));
        let read = data.reasons.len() + data.calendars.len() + data.skills.len() + data.instructions.len() + data.materials.len() + data.machines.len();
        prop_assert!(read + wrong.len() >= 9, "what is not read is told");
    }
}
