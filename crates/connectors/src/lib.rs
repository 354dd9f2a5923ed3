//! Field connectors, one folder per protocol; all with the face of [`modbus`].
//!
//! [`check`] judges a connector's settings before they enter the plant model. A [`Runner`] keeps one task per
//! enabled connector, restarts only what a new plant model changed, and writes through the bus's actuators.
//!
//! **Invariants**: the settings' words are checked once, here, and held in types; no panic on anything a device or a
//! document says; every queue and every wait on the outside has a bound.
//!
//! Start reading at [`Runner::apply`], then [`modbus`].

pub mod health;
pub mod modbus;
pub mod runner;
pub mod settings;

pub use health::{BridgeFigures, ConnectorHealth, ConnectorState, LastError};
pub use runner::{FoundNode, FoundValue, FoundValues, Guests, Runner, TestReport};

use andon_model::plant::{ConnectorDef, Finding, Plant};

/// The kinds of connectors that a [`Runner`] runs.
pub const KINDS: [&str; 1] = [modbus::KIND];
/// The kinds that need the MQTT broker, and are run by who has it. A runner only shows them, see [`Guests`].
pub const GUEST_KINDS: [&str; 5] =
    ["sparkplug_host", "sparkplug_edge", "mqtt_discovery", "mqtt_announce", "mqtt_bridge"];

/// Everything that is wrong with a connector's settings; empty when it can run.
#[must_use]
pub fn check(connector: &ConnectorDef, plant: &Plant) -> Vec<Finding> {
    match connector.kind.as_str() {
        modbus::KIND => modbus::config::parse(connector, plant).err().unwrap_or_default(),
        other => {
            let known = [&KINDS[..], &GUEST_KINDS[..]].concat();
            let remedy = settings::nearest(&other.replace('-', "_"), &known).map_or_else(
                || format!("use one of: {}", known.join(", ")),
                |near| format!("did you mean \"{near}\"?"),
            );
            let message = format!("there is no connector of the type \"{other}\"");
            vec![Finding { pointer: vec!["type".to_owned()], message, remedy }]
        }
    }
}

/// Whether there is a connector of this type.
#[must_use]
pub fn is_known(kind: &str) -> bool {
    KINDS.contains(&kind) || GUEST_KINDS.contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_unknown_type_of_connector_names_the_nearest_one() {
        let of = |kind: &str| {
            let settings = serde_json::json!({});
            let def =
                ConnectorDef { name: "c".into(), kind: kind.into(), title: String::new(), enabled: true, settings };
            check(&def, &Plant::default()).remove(0)
        };
        let finding = of("mqtt-bridge");
        assert_eq!(finding.pointer, ["type"]);
        assert_eq!(finding.message, "there is no connector of the type \"mqtt-bridge\"");
        assert_eq!(finding.remedy, "did you mean \"mqtt_bridge\"?");
        assert_eq!(of("Modbus").remedy, "did you mean \"modbus\"?");
        assert!(of("fax").remedy.starts_with("use one of: modbus, "), "{}", of("fax").remedy);
        assert!(is_known("mqtt_bridge") && is_known("modbus") && !is_known("mqtt-bridge"));
    }
}
