//! What a definition of the ERP says of a material, in the words of the plant model. Pure.
//!
//! What a message does not say stays as the plant has it: an ERP knows the bill and the times, and the plant its skills, instructions
//! and limits.

use super::super::config::{PROPERTIES, Rules};
use andon_b2mml::definition::{MaterialSpecification, OperationsDefinition, OperationsSegment};
use andon_b2mml::material::MaterialDefinition;
use andon_b2mml::value::Quantity as Amount;
use andon_b2mml::verb::Verb;
use andon_b2mml::{ActionCode, DateTime, Duration as Span, Identifier, MaterialUse};
use andon_mes::quantity::Quantity;
use andon_model::plant::{MasterDef, MasterKind};
use andon_model::text::shown;
use andon_model::{Timestamp, duration};
use serde_json::{Map, Value as Json, json};
use std::collections::BTreeMap;
use std::time::Duration;

/// The materials of the plant, by their joined names.
pub type Known<'p> = BTreeMap<&'p str, &'p MasterDef>;

/// What is to become of a material.
#[derive(Debug, PartialEq)]
pub struct Defined {
    /// Its joined name.
    pub name: String,
    /// As it is to be; `None`: it is to be removed.
    pub def: Option<MasterDef>,
    /// What was said and is not kept here.
    pub left_out: Vec<String>,
}

/// By what definitions are read.
pub struct Reader<'r, T> {
    pub rules: &'r Rules,
    pub known: &'r Known<'r>,
    pub now: Timestamp,
    /// Gives a time its zone.
    pub time: T,
}

impl<T: Fn(&str, DateTime) -> Result<Timestamp, String>> Reader<'_, T> {
    /// A material: its title, unit, number in trade, how it is tracked, and its family.
    /// # Errors
    /// It cannot be meant, and why.
    pub fn material(&self, one: &MaterialDefinition, delete: bool) -> Result<Defined, String> {
        let (name, revision) = named(one.id.as_str());
        let joined = MasterDef::joined(name, revision.or(one.version.as_ref().map(Identifier::as_str)));
        let there = self.known.get(joined.as_str());
        if delete {
            let there = there.ok_or_else(|| format!("material {joined} is not known here"))?;
            return Ok(Defined { name: there.name.clone(), def: None, left_out: Vec::new() });
        }
        let mut left_out = self.holds(one.effective_start_date, one.effective_end_date)?;
        let mut settings = there.map(|there| there.settings.clone()).unwrap_or_else(|| json!({}));
        let map = object(&mut settings)?;
        say(map, "title", one.description.first().map(|words| shown(words.as_str()).into_owned()));
        say(map, "description", one.description.get(1).map(|words| words.as_str().to_owned()));
        for property in &one.properties {
            let id = property.id.as_str();
            let own = id.to_ascii_lowercase();
            let key = self.rules.properties.get(id).map_or(own.as_str(), String::as_str);
            let value = property.values.first().and_then(|value| value.value.0.as_ref());
            match value.filter(|_| PROPERTIES.contains(&key)).map(|value| value.as_str()) {
                None => left_out.push(format!("property {id}")),
                Some(unit) if key == "unit" => say(map, key, Some(self.unit(unit).to_owned())),
                Some(word) if key == "tracked" => say(map, key, Some(word.to_ascii_lowercase())),
                Some(value) => say(map, key, Some(value.to_owned())),
            }
        }
        left_out.extend(one.material_class_ids.iter().map(|class| format!("class {class}")));
        if !one.assembly.is_empty() {
            left_out.push(
                "AssemblyDefinition, which has no quantities (the bill comes with an OperationsDefinition)".to_owned(),
            );
        }
        Ok(Defined { def: Some(defined(&joined, settings)), name: joined, left_out })
    }

    /// How a material is made, and its bill.
    /// # Errors
    /// It cannot be meant, and why.
    pub fn operations(&self, one: &OperationsDefinition, delete: bool) -> Result<Defined, String> {
        let there = self.made_by(one)?;
        let mut settings = there.settings.clone();
        let map = object(&mut settings)?;
        let mut left_out = Vec::new();
        if delete {
            map.remove("operation");
            map.remove("bill");
        } else {
            left_out = self.holds(one.effective_start_date, one.effective_end_date)?;
            if one.segments.is_empty() {
                return Err("it has no OperationsSegment, so nothing says how it is made".to_owned());
            }
            let before = tables(map, "operation");
            let (mut steps, mut bill) = (Vec::new(), Vec::new());
            for segment in &one.segments {
                let at = |why: String| format!("segment {}: {why}", segment.id);
                let for_one = produced(segment).map_err(at)?;
                steps.push(self.step(segment, for_one, &before, &mut left_out).map_err(at)?);
                for line in segment.materials.iter().filter(|line| consumed(line)) {
                    bill.push(self.line(line, segment, for_one).map_err(at)?);
                }
            }
            if steps.iter().map(|step| step.get("name")).ne(before.iter().map(|step| step.get("name"))) {
                // They wait for operations of the former list.
                steps.iter_mut().for_each(|step| drop(step.remove("after")));
            }
            map.insert("operation".to_owned(), Json::from_iter(steps));
            if !bill.is_empty() {
                map.insert("bill".to_owned(), Json::from_iter(bill));
            }
        }
        let name = there.name.clone();
        Ok(Defined { def: Some(defined(&name, settings)), name, left_out })
    }

    /// The material that a definition is of: what its last segment that produces something produces, or what it is called like.
    fn made_by(&self, one: &OperationsDefinition) -> Result<&MasterDef, String> {
        let mut outputs =
            one.segments.iter().rev().flat_map(|segment| segment.materials.iter().filter(|line| produces(line)));
        let output = outputs.find_map(|line| line.material_definition_ids.first());
        let wanted = output.unwrap_or(&one.id).as_str();
        let (name, revision) = named(wanted);
        if let Some(there) = self.known.get(wanted) {
            return Ok(there);
        }
        let of_name =
            |known: &&&MasterDef| revision.is_none() && MasterDef::split(MasterKind::Material, &known.name).0 == name;
        let mut revisions = self.known.values().filter(of_name);
        match (revisions.next(), revisions.next()) {
            (Some(only), None) => Ok(only),
            (Some(_), Some(_)) => Err(format!("material {name} has several revisions; say which: {name}@REVISION")),
            (None, _) => Err(format!("material {wanted} is not known here; send its MaterialDefinition first")),
        }
    }

    fn step(
        &self,
        segment: &OperationsSegment,
        for_one: i64,
        before: &[Map<String, Json>],
        left_out: &mut Vec<String>,
    ) -> Result<Map<String, Json>, String> {
        if !segment.children.is_empty() {
            return Err("it has segments within it; send each operation as a segment of its own".to_owned());
        }
        let name = segment.id.as_str();
        let there = before.iter().find(|step| step.get("name").and_then(Json::as_str) == Some(name));
        let mut step = there.cloned().unwrap_or_default();
        say(&mut step, "name", Some(name.to_owned()));
        say(&mut step, "title", segment.description.first().map(|words| shown(words.as_str()).into_owned()));
        match segment.duration {
            Some(duration) => {
                let each = i128::from(fixed("Duration", duration)?) * 1_000_000;
                let micros = u64::try_from(rounded(each, for_one)).unwrap_or(u64::MAX);
                say(&mut step, "run_time", Some(written(micros)));
            }
            None if step.contains_key("run_time") => {}
            None => return Err("it has no Duration, and nothing else says how long it takes".to_owned()),
        }
        for parameter in &segment.parameters {
            let value = parameter.values.first().and_then(|value| value.value.0.as_ref());
            match value.filter(|_| parameter.id.as_str().eq_ignore_ascii_case("setup")) {
                Some(text) => {
                    let setup =
                        Span::parse(text.as_str()).map_err(|wrong| format!("parameter {}: {wrong}", parameter.id))?;
                    let micros = u64::try_from(fixed("the setup", setup)?).unwrap_or_default();
                    say(&mut step, "setup", Some(written(micros)));
                }
                None => left_out.push(format!("parameter {} of segment {name}", parameter.id)),
            }
        }
        let paths: Vec<&str> =
            segment.equipment.iter().flat_map(|one| &one.equipment_ids).map(|id| self.path(id)).collect();
        if !paths.is_empty() {
            step.insert("equipment".to_owned(), json!(paths));
        }
        let classes = segment.personnel.iter().flat_map(|one| &one.personnel_class_ids);
        let skills: Vec<&str> = classes.map(Identifier::as_str).collect();
        if !skills.is_empty() {
            step.insert("skills".to_owned(), json!(skills));
        }
        Ok(step)
    }

    /// A line of the bill.
    fn line(&self, line: &MaterialSpecification, segment: &OperationsSegment, for_one: i64) -> Result<Json, String> {
        let [material] = line.material_definition_ids.as_slice() else {
            return Err(format!("material {} has to name one MaterialDefinitionID", line.id));
        };
        let said = line.quantities.first().ok_or_else(|| format!("no quantity of {material} is said"))?;
        let millionths = amount(said).ok_or_else(|| format!("the quantity of {material} is no number above 0"))?;
        let each = rounded(i128::from(millionths) * 1_000_000, for_one);
        let each = i64::try_from(each).ok().filter(|each| *each > 0);
        let each =
            each.ok_or_else(|| format!("the quantity of {material} for one is not from a millionth to 10^12"))?;
        let there =
            self.known.get(material.as_str()).and_then(|there| there.settings.get("unit")).and_then(Json::as_str);
        if let (Some(unit), Some(there)) = (&said.unit_of_measure, there)
            && self.unit(unit.as_str()) != there
        {
            return Err(format!(
                "the quantity of {material} is in {unit} and it is counted in {there}; say in [b2mml] units of the settings that these are the same, or send the other"
            ));
        }
        let quantity = Quantity::from_millionths(each).to_f64();
        Ok(json!({ "material": material.as_str(), "quantity": quantity, "operation": segment.id.as_str() }))
    }

    fn unit<'t>(&'t self, unit: &'t str) -> &'t str {
        self.rules.units.get(unit).map_or(unit, String::as_str)
    }

    fn path<'t>(&'t self, id: &'t Identifier) -> &'t str {
        self.rules.equipment.get(id.as_str()).map_or(id.as_str(), String::as_str)
    }

    /// The model has no dates: what does not hold now is not taken, and that it ends one day is not kept.
    fn holds(&self, from: Option<DateTime>, to: Option<DateTime>) -> Result<Vec<String>, String> {
        let at = |what: &str, time: Option<DateTime>| time.map(|time| (self.time)(what, time)).transpose();
        if let Some(from) = at("EffectiveStartDate", from)?.filter(|from| *from > self.now) {
            return Err(format!("it holds from {from} on; send it then"));
        }
        match at("EffectiveEndDate", to)? {
            Some(to) if to <= self.now => Err(format!("it held until {to}; send Delete if it is to go")),
            to => Ok(to.map(|to| format!("its end at {to}")).into_iter().collect()),
        }
    }
}

/// Whether a thing is to go, by what the message says is to be done with it.
/// # Errors
/// An action that is not known here.
pub fn deletes(verb: &Verb, id: &Identifier) -> Result<bool, String> {
    let criteria = match verb {
        Verb::Process(verb) => &verb.action_criteria,
        Verb::Change(verb) => &verb.action_criteria,
        Verb::Sync(verb) => &verb.action_criteria,
        _ => return Ok(false),
    };
    let about = criteria.iter().flat_map(|one| &one.action_expressions);
    let mut own = about.filter(|one| one.about.as_ref().is_none_or(|about| about == id));
    let action = own.next().map(|one| &one.action);
    if own.any(|other| Some(&other.action) != action) {
        return Err("the message has two different actions for it".to_owned());
    }
    match action {
        None | Some(ActionCode::Add | ActionCode::Change | ActionCode::Replaced) => Ok(false),
        Some(ActionCode::Delete) => Ok(true),
        Some(other) => Err(format!("its action is {other:?}; taken are Add, Change, Replaced and Delete")),
    }
}

/// `BOLT-8@B` is revision B.
fn named(name: &str) -> (&str, Option<&str>) {
    MasterDef::split(MasterKind::Material, name)
}

fn defined(name: &str, settings: Json) -> MasterDef {
    MasterDef { kind: MasterKind::Material, name: name.to_owned(), settings }
}

fn object(settings: &mut Json) -> Result<&mut Map<String, Json>, String> {
    settings.as_object_mut().ok_or_else(|| "the material cannot be read; apply its document again".to_owned())
}

fn say(map: &mut Map<String, Json>, key: &str, value: Option<String>) {
    if let Some(value) = value {
        map.insert(key.to_owned(), Json::String(value));
    }
}

fn tables(map: &Map<String, Json>, key: &str) -> Vec<Map<String, Json>> {
    let list = map.get(key).and_then(Json::as_array);
    list.into_iter().flatten().filter_map(Json::as_object).cloned().collect()
}

fn produces(line: &MaterialSpecification) -> bool {
    matches!(line.material_use, Some(MaterialUse::Produced | MaterialUse::MaterialProduced))
}

fn consumed(line: &MaterialSpecification) -> bool {
    matches!(line.material_use, Some(MaterialUse::Consumed | MaterialUse::MaterialConsumed | MaterialUse::Consumable))
}

/// How many millionths a segment is for: what it produces, or one.
fn produced(segment: &OperationsSegment) -> Result<i64, String> {
    let said = segment.materials.iter().find(|line| produces(line)).and_then(|line| line.quantities.first());
    said.map_or(Ok(1_000_000), |said| {
        amount(said).ok_or_else(|| "the quantity of what it produces is no number above 0".to_owned())
    })
}

fn amount(said: &Amount) -> Option<i64> {
    said.amount.0.and_then(andon_b2mml::Decimal::millionths).filter(|millionths| *millionths > 0)
}

/// To the nearest.
const fn rounded(all: i128, parts: i64) -> i128 {
    let parts = parts as i128;
    (all + parts / 2) / parts
}

/// In microseconds.
fn fixed(what: &str, span: Span) -> Result<i64, String> {
    let micros = span.micros().filter(|micros| *micros >= 0);
    micros.ok_or_else(|| format!("{what} has to be days, hours, minutes and seconds, and not below 0"))
}

/// As documents have it.
fn written(micros: u64) -> String {
    if micros.is_multiple_of(1_000) {
        return duration::show(Duration::from_micros(micros));
    }
    format!("{}.{:03}ms", micros / 1_000, micros % 1_000)
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_b2mml::{DataArea, read};

    fn message(noun: &str, inside: &str) -> DataArea {
        let text = format!(
            "<Sync{noun} xmlns=\"http://www.mesa.org/xml/B2MML\" releaseID=\"7.01\"><ApplicationArea>\
             <CreationDateTime>2026-11-27T06:00:00Z</CreationDateTime></ApplicationArea><DataArea><Sync/><{noun}>{inside}</{noun}></DataArea></Sync{noun}>"
        );
        read(text.as_bytes()).unwrap_or_else(|error| panic!("{error}: {text}")).message.data_area
    }

    fn plant() -> Vec<MasterDef> {
        let made = json!({
            "title": "Bolt", "unit": "pcs", "characteristic": [{ "name": "Torque", "upper": 3 }],
            "bill": [{ "material": "ROD", "quantity": 1, "operation": "10" }],
            "operation": [
                { "name": "10", "equipment": ["w/press"], "run_time": "1s", "skills": ["Press"], "instructions": ["press"] },
                { "name": "20", "equipment": ["w/oven"], "run_time": "2s", "after": [] },
            ],
        });
        vec![
            defined("BOLT", made),
            defined("ROD", json!({ "unit": "kg" })),
            defined("NUT@A", json!({})),
            defined("NUT@B", json!({})),
            defined("PIN@A", json!({})),
        ]
    }

    fn of(noun: &str, inside: &str, delete: bool) -> Result<Defined, String> {
        let plant = plant();
        let known: Known<'_> = plant.iter().map(|def| (def.name.as_str(), def)).collect();
        let mut rules = Rules::default();
        rules.units.insert("KGM".to_owned(), "kg".to_owned());
        rules.properties.insert("EAN".to_owned(), "gtin".to_owned());
        rules.equipment.insert("WC-1".to_owned(), "w/press".to_owned());
        let now = Timestamp::parse_rfc3339("2026-11-27T06:00:00Z").expect("a time");
        let time = |what: &str, time: DateTime| time.timestamp().ok_or_else(|| format!("{what} has no zone"));
        let reader = Reader { rules: &rules, known: &known, now, time };
        match message(noun, inside) {
            DataArea::MaterialDefinition(_, things) => reader.material(&things[0], delete),
            DataArea::OperationsDefinition(_, things) => reader.operations(&things[0], delete),
            other => panic!("{other:?}"),
        }
    }

    fn settings(defined: &Defined) -> &Json {
        &defined.def.as_ref().expect("it is there").settings
    }

    #[test]
    fn a_material_is_changed_where_the_message_says_something_and_stays_elsewhere() {
        let inside = "<ID>BOLT</ID><Description>Bolt M8</Description><MaterialDefinitionProperty><ID>Unit</ID><Value><ValueString>KGM</ValueString></Value></MaterialDefinitionProperty>\
                      <MaterialDefinitionProperty><ID>EAN</ID><Value><ValueString>4006381333931</ValueString></Value></MaterialDefinitionProperty>\
                      <MaterialDefinitionProperty><ID>Colour</ID><Value><ValueString>red</ValueString></Value></MaterialDefinitionProperty><MaterialClassID>FERT</MaterialClassID>";
        let bolt = of("MaterialDefinition", inside, false).expect("it can be");
        let mut wanted = plant()[0].settings.clone();
        wanted["title"] = json!("Bolt M8");
        wanted["unit"] = json!("kg");
        wanted["gtin"] = json!("4006381333931");
        assert_eq!(settings(&bolt), &wanted);
        assert_eq!(bolt.left_out, ["property Colour", "class FERT"]);
        // A new one, of a version.
        let new = of("MaterialDefinition", "<ID>SCREW</ID><Version>C</Version>", false).expect("it can be");
        assert_eq!((new.name.as_str(), settings(&new)), ("SCREW@C", &json!({})));
        let gone = of("MaterialDefinition", "<ID>ROD</ID>", true).expect("it is there");
        assert_eq!((gone.name.as_str(), gone.def), ("ROD", None));
    }

    fn segment(id: &str, more: &str) -> String {
        format!("<OperationsSegment><ID>{id}</ID>{more}</OperationsSegment>")
    }

    fn taken(material: &str, quantity: &str, how: &str) -> String {
        format!(
            "<MaterialSpecification><ID>m</ID><MaterialDefinitionID>{material}</MaterialDefinitionID><MaterialUse>{how}</MaterialUse>\
             <Quantity><QuantityString>{quantity}</QuantityString><UnitOfMeasure>KGM</UnitOfMeasure></Quantity></MaterialSpecification>"
        )
    }

    #[test]
    fn operations_come_with_times_and_bill_for_one_and_keep_what_the_plant_knows() {
        let first = segment(
            "10",
            &format!(
                "<Description>Press</Description><Duration>PT1H</Duration><ParameterSpecification><ID>Setup</ID><Value><ValueString>PT10M</ValueString></Value></ParameterSpecification>\
                 <EquipmentSpecification><ID>e</ID><EquipmentID>WC-1</EquipmentID></EquipmentSpecification>{}{}",
                taken("ROD", "45", "Consumed"),
                taken("BOLT", "3000", "Produced"),
            ),
        );
        let all = format!("<ID>R-1</ID>{first}{}", segment("20", "<Duration>PT7S</Duration>"));
        let bolt = of("OperationsDefinition", &all, false).expect("it can be");
        let got = settings(&bolt);
        assert_eq!(bolt.name, "BOLT");
        assert_eq!(got["bill"], json!([{ "material": "ROD", "quantity": 0.015, "operation": "10" }]));
        assert_eq!(
            got["operation"],
            json!([
                { "name": "10", "title": "Press", "equipment": ["w/press"], "run_time": "1200ms", "setup": "10min", "skills": ["Press"], "instructions": ["press"] },
                { "name": "20", "equipment": ["w/oven"], "run_time": "7s", "after": [] },
            ])
        );
        assert_eq!(got["characteristic"], plant()[0].settings["characteristic"]);
        // Another list of operations: what waits for which is the list's order again. A third of a millisecond is told to the microsecond.
        let other = format!(
            "<ID>BOLT</ID>{}",
            segment("20", &format!("<Duration>PT0.001S</Duration>{}", taken("BOLT", "3", "Produced")))
        );
        let other = of("OperationsDefinition", &other, false).expect("it can be");
        assert_eq!(
            settings(&other)["operation"],
            json!([{ "name": "20", "equipment": ["w/oven"], "run_time": "0.333ms" }])
        );
        assert_eq!(settings(&other)["bill"], plant()[0].settings["bill"]);
        let none = of("OperationsDefinition", "<ID>BOLT</ID>", true).expect("it is there");
        assert_eq!((settings(&none).get("operation"), settings(&none).get("bill")), (None, None));
        assert_eq!(of("OperationsDefinition", "<ID>PIN</ID>", true).expect("its only revision").name, "PIN@A");
    }

    #[test]
    fn what_cannot_be_is_refused_and_says_why() {
        let later = "<ID>BOLT</ID><EffectiveStartDate>2027-01-01T00:00:00Z</EffectiveStartDate>";
        let ended = "<ID>BOLT</ID><EffectiveEndDate>2026-01-01T00:00:00Z</EffectiveEndDate>";
        let operations = |id: &str, more: &str| format!("<ID>{id}</ID>{}", segment("10", more));
        for (noun, inside, delete, why) in [
            ("MaterialDefinition", later.to_owned(), false, "send it then"),
            ("MaterialDefinition", ended.to_owned(), false, "send Delete"),
            ("MaterialDefinition", "<ID>SCREW</ID>".to_owned(), true, "SCREW is not known here"),
            ("OperationsDefinition", "<ID>BOLT</ID>".to_owned(), false, "no OperationsSegment"),
            (
                "OperationsDefinition",
                operations("SCREW", "<Duration>PT1S</Duration>"),
                false,
                "SCREW is not known here; send",
            ),
            ("OperationsDefinition", operations("NUT", "<Duration>PT1S</Duration>"), false, "several revisions"),
            ("OperationsDefinition", operations("NUT@A", ""), false, "segment 10: it has no Duration"),
            (
                "OperationsDefinition",
                operations("BOLT", "<Duration>P1M</Duration>"),
                false,
                "segment 10: Duration has to be days",
            ),
            ("OperationsDefinition", operations("BOLT", "<Duration>-PT1S</Duration>"), false, "not below 0"),
            (
                "OperationsDefinition",
                operations("BOLT", &taken("BOLT", "0", "Produced")),
                false,
                "is no number above 0",
            ),
            (
                "OperationsDefinition",
                operations("BOLT", &taken("ROD", "0.0000001", "Consumed")),
                false,
                "the quantity of ROD",
            ),
            (
                "OperationsDefinition",
                operations("BOLT", &taken("BOLT", "1", "Consumed")),
                false,
                "is in KGM and it is counted in pcs",
            ),
            (
                "OperationsDefinition",
                operations("BOLT", "<OperationsSegmentChild><ID>1</ID></OperationsSegmentChild>"),
                false,
                "segments within",
            ),
        ] {
            let error = of(noun, &inside, delete).expect_err(&inside);
            assert!(error.contains(why), "{inside}: {error}");
        }
    }

    #[test]
    fn an_action_is_for_the_things_that_it_names_or_for_all() {
        let verb = |actions: &str| {
            let text = format!(
                "<SyncMaterialDefinition xmlns=\"http://www.mesa.org/xml/B2MML\" releaseID=\"7.01\"><ApplicationArea><CreationDateTime>2026-11-27T06:00:00Z</CreationDateTime></ApplicationArea>\
                 <DataArea><Sync><ActionCriteria>{actions}</ActionCriteria></Sync><MaterialDefinition><ID>A</ID></MaterialDefinition></DataArea></SyncMaterialDefinition>"
            );
            match read(text.as_bytes()).expect("a message").message.data_area {
                DataArea::MaterialDefinition(verb, _) => verb,
                other => panic!("{other:?}"),
            }
        };
        let id = |text: &str| Identifier::new(text).expect("an id");
        let one = verb(
            "<ActionExpression actionCode=\"Delete\">A</ActionExpression><ActionExpression actionCode=\"Add\">B</ActionExpression>",
        );
        assert_eq!(["A", "B", "C"].map(|name| deletes(&one, &id(name))), [Ok(true), Ok(false), Ok(false)]);
        assert_eq!(deletes(&verb("<ActionExpression actionCode=\"Delete\"/>"), &id("C")), Ok(true));
        assert!(deletes(&verb("<ActionExpression actionCode=\"Scrap\"/>"), &id("A")).is_err());
        let both = "<ActionExpression actionCode=\"Delete\"/><ActionExpression actionCode=\"Add\">A</ActionExpression>";
        assert!(deletes(&verb(both), &id("A")).is_err());
    }
}
