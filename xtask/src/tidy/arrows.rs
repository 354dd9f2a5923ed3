//! The arrows between crates: readings flow right, commands flow left, nothing jumps.
//!
//! A domain crate knows `model`, `bus` and the traits in `model`, never another domain crate. When one needs what another has,
//! it declares a trait and `server` hands it over.

use super::Finding;
use serde_json::Value;

/// Crate → what it may depend on. A crate that is not here has no place on the map yet.
const ALLOWED: [(&str, &[&str]); 23] = [
    ("model", &[]),
    ("wire", &["model"]),
    ("log", &["model"]),
    ("backup", &["model"]),
    ("bus", &["model"]),
    ("store", &["model"]),
    ("access", &["model"]),
    ("historian", &["model", "bus"]),
    ("sparkplug", &["model"]),
    ("rules", &["model", "wire"]),
    ("mes", &["model"]),
    ("b2mml", &["model"]),
    ("discovery", &["model", "wire"]),
    ("sql", &["model"]),
    ("alarms", &["model", "bus"]),
    ("control", &["model", "bus"]),
    ("connectors", &["model", "bus", "wire"]),
    ("broker", &["model", "bus", "wire"]),
    ("testkit", &["model", "bus", "wire", "connectors"]),
    ("api", &["model", "bus", "wire", "access", "alarms", "broker", "connectors", "control", "historian", "store"]),
    (
        "server",
        &[
            "model",
            "bus",
            "wire",
            "log",
            "access",
            "alarms",
            "api",
            "b2mml",
            "backup",
            "broker",
            "connectors",
            "control",
            "discovery",
            "historian",
            "mes",
            "rules",
            "sparkplug",
            "sql",
            "store",
            "testkit",
        ],
    ),
    ("xtask", &[]),
    ("fuzz", &["wire", "model", "log"]),
];

/// Tests may also use the real log and the plant in a box.
const ALLOWED_IN_TESTS: [&str; 2] = ["log", "testkit"];

/// Checks the output of `cargo metadata --no-deps`.
pub(super) fn check(metadata: &Value) -> Vec<Finding> {
    let mut findings = Vec::new();
    for package in array(metadata, "packages") {
        let name = short(text(package, "name"));
        let Some((_, allowed)) = ALLOWED.iter().find(|(crate_name, _)| *crate_name == name) else {
            let what = "is not on the map; give it its arrows in xtask/src/tidy/arrows.rs and say in ARCHITECTURE.md what it leaves out";
            findings.push(Finding::new(format!("crates/{name}"), what));
            continue;
        };
        for dependency in array(package, "dependencies").filter(|dependency| dependency["path"].is_string()) {
            let target = short(text(dependency, "name"));
            let in_tests = dependency["kind"] == "dev" && ALLOWED_IN_TESTS.contains(&target);
            if !allowed.contains(&target) && !in_tests {
                let what = format!(
                    "depends on andon-{target}, and no arrow goes there; declare a trait in model (or in {name}) and let server hand it over"
                );
                findings.push(Finding::new(format!("crates/{name}/Cargo.toml"), what));
            }
        }
    }
    findings
}

fn array<'a>(value: &'a Value, key: &str) -> impl Iterator<Item = &'a Value> {
    value[key].as_array().into_iter().flatten()
}

fn text<'a>(value: &'a Value, key: &str) -> &'a str {
    value[key].as_str().unwrap_or_default()
}

/// `andon-bus` → `bus`.
fn short(name: &str) -> &str {
    name.strip_prefix("andon-").unwrap_or(name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn package(name: &str, dependencies: &[(&str, Value)]) -> Value {
        let dependencies: Vec<Value> =
            dependencies.iter().map(|(name, kind)| json!({"name": name, "kind": kind, "path": "/somewhere"})).collect();
        json!({"packages": [{"name": name, "dependencies": dependencies}]})
    }

    #[test]
    fn arrows_on_the_map_pass() {
        assert_eq!(check(&package("andon-historian", &[("andon-model", Value::Null), ("andon-bus", Value::Null)])), []);
        assert_eq!(check(&package("andon-historian", &[("andon-log", json!("dev"))])), []);
        let foreign = json!({"packages": [{"name": "andon-model", "dependencies": [{"name": "andon-serde", "kind": null, "path": null}]}]});
        assert_eq!(check(&foreign), [], "crates from the registry are not arrows");
    }

    #[test]
    fn a_jump_between_domain_crates_is_found() {
        let findings = check(&package("andon-alarms", &[("andon-historian", Value::Null)]));
        assert_eq!(findings.len(), 1);
        assert!(findings[0].at == "crates/alarms/Cargo.toml" && findings[0].what.contains("andon-historian"));
        assert_eq!(check(&package("andon-bus", &[("andon-log", Value::Null)])).len(), 1, "only tests may use the log");
        assert_eq!(check(&package("andon-bus", &[("andon-api", json!("dev"))])).len(), 1);
        assert_eq!(check(&package("andon-model", &[("andon-bus", json!("build"))])).len(), 1);
    }

    #[test]
    fn a_crate_without_a_place_is_found() {
        assert_eq!(check(&package("andon-misc", &[])).len(), 1);
    }

    #[test]
    fn the_map_has_no_circles() {
        for (name, allowed) in ALLOWED {
            for target in allowed {
                let back = ALLOWED.iter().find(|(other, _)| other == target).map_or(&[][..], |(_, allowed)| *allowed);
                assert!(!back.contains(&name), "{name} and {target} point at each other");
            }
        }
    }
}
