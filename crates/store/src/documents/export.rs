//! The model as one canonical TOML document: the same model gives the same text, and the text gives the same model.

use super::form::{self, Form};
use andon_model::plant::Plant;
use serde_json::Value as Json;
use std::fmt::Write;

/// Prints the model: equipment, tags, connectors, topics, topic rules, master data by its kind, alarms, each sorted by name, defaults
/// left out. Secrets stand as references, as they do in the model.
#[must_use]
pub fn export(plant: &Plant) -> String {
    let mut out = String::from("# The plant model of Andon. Apply it with `andon apply`.\nformat = 1\n");
    let above = form::inherited(plant);
    for item in &plant.equipment {
        let inherited = above.get(item.path.as_str()).copied().unwrap_or_default();
        table(&mut out, "equipment", &form::equipment(item, inherited));
    }
    plant.tags.iter().for_each(|item| table(&mut out, "tag", &form::tag(item)));
    plant.connectors.iter().for_each(|item| table(&mut out, "connector", &form::connector(item)));
    plant.topics.iter().for_each(|item| table(&mut out, "topic", &form::topic(item)));
    plant.topic_rules.iter().for_each(|item| table(&mut out, "topic_rule", &form::topic_rule(item)));
    plant.master.iter().for_each(|item| table(&mut out, item.kind.word(), &form::master(item)));
    plant.alarms.iter().for_each(|item| table(&mut out, "alarm", &form::alarm(item)));
    out
}

fn table(out: &mut String, name: &str, form: &Form) {
    let _ = write!(out, "\n[[{name}]]\n");
    for (key, json) in form.iter().filter(|(_, json)| !json.is_null()) {
        let _ = write!(out, "{} = ", toml_edit::Key::new(key.as_str()));
        match json {
            // A list of tables gets a line for each.
            Json::Array(list) if list.iter().any(Json::is_object) => {
                out.push_str("[\n");
                for item in list.iter().filter(|item| !item.is_null()) {
                    out.push_str("  ");
                    value(out, item);
                    out.push_str(",\n");
                }
                out.push(']');
            }
            other => value(out, other),
        }
        out.push('\n');
    }
}

/// TOML has no null: a key without a value is left out.
fn value(out: &mut String, json: &Json) {
    match json {
        Json::Null => {}
        Json::Bool(boolean) => out.push_str(if *boolean { "true" } else { "false" }),
        Json::Number(number) => match (number.as_i64(), number.as_f64()) {
            (Some(whole), _) => _ = write!(out, "{whole}"),
            (None, Some(real)) => _ = write!(out, "{}", toml_edit::Value::from(real)),
            (None, None) => _ = write!(out, "{number}"),
        },
        Json::String(text) => _ = write!(out, "{}", toml_edit::Value::from(text.as_str())),
        Json::Array(list) => {
            out.push('[');
            separated(out, list.iter().filter(|item| !item.is_null()), value);
            out.push(']');
        }
        Json::Object(map) if map.is_empty() => out.push_str("{}"),
        Json::Object(map) => {
            out.push_str("{ ");
            separated(out, map.iter().filter(|(_, json)| !json.is_null()), |out, (key, json)| {
                let _ = write!(out, "{} = ", toml_edit::Key::new(key.as_str()));
                value(out, json);
            });
            out.push_str(" }");
        }
    }
}

fn separated<T>(out: &mut String, items: impl Iterator<Item = T>, mut print: impl FnMut(&mut String, T)) {
    for (index, item) in items.enumerate() {
        if index > 0 {
            out.push_str(", ");
        }
        print(out, item);
    }
}
