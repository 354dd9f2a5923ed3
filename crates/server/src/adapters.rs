//! Ten-line adapters: where one crate declares what it needs and another has it.

use crate::bridge::config as bridge;
use crate::discovery::config as discovery;
use crate::secrets::Secrets;
use crate::sparkplug::config as sparkplug;
use andon_access::certificate::NoCertificateName;
use andon_access::records::{
    AccountRecords, AllAccounts, Change, DeviceRecord, RecordsError, SessionRecord, TokenRecord, UserRecord,
};
use andon_api::ports::Ingest;
use andon_bus::Bus;
use andon_connectors::settings::two_sources;
use andon_model::event::Event;
use andon_model::log::{AppendError, Log};
use andon_model::plant::{ConnectorDef, Finding, MasterFindings, Plant, SettingsCheck, TopicDef, TopicRuleDef};
use andon_model::{BoxFuture, Sample};
use andon_store::repository::{AccountChange, AccountRepository, Device, Session, Token, User};
use andon_store::{Store, StoreError};
use serde_json::Value as Json;
use std::sync::Arc;
use std::time::Duration;

/// Accounts are kept in the relational store.
pub struct StoredAccounts {
    /// The store.
    pub store: Store,
    /// How long a session may live, for its row.
    pub session_life: Duration,
}

fn failed(error: StoreError) -> RecordsError {
    RecordsError(error.to_string())
}

impl StoredAccounts {
    fn row(&self, change: Change, created: andon_model::Timestamp) -> AccountChange {
        match change {
            Change::PutUser(u) => AccountChange::PutUser(User {
                id: u.id,
                name: u.name,
                password_hash: u.password_hash,
                enabled: u.enabled,
                grants: u.grants,
                created,
                last_login: u.last_login,
            }),
            Change::RemoveUser(id) => AccountChange::RemoveUser(id),
            Change::PutToken(t) => AccountChange::PutToken(Token {
                id: t.id,
                name: t.name,
                secret_sha256: t.digest,
                grants: t.grants,
                created: t.created,
                revoked: None,
                last_used: None,
            }),
            Change::RemoveToken(id) => AccountChange::RemoveToken(id),
            Change::PutDevice(d) => AccountChange::PutDevice(Device {
                id: d.id,
                user: d.user,
                secret_sha256: d.digest,
                scram: d.scram.map(|verifier| verifier.to_string()),
                client_id: d.client_id,
                certificate: d.certificate.map(|name| name.to_string()),
                certificate_der: d.certificate_entered,
                branch: d.operate,
                publish: d.publish,
                subscribe: d.subscribe,
                enabled: true,
                created: d.created,
            }),
            Change::RemoveDevice(id) => AccountChange::RemoveDevice(id),
            Change::PutSession(s) => AccountChange::PutSession(Session {
                id_sha256: s.digest,
                user: s.user,
                created: s.created,
                last_seen: s.last_seen,
                expires: s.created.plus(self.session_life),
            }),
            Change::RemoveSession(digest) => AccountChange::RemoveSession(digest),
            Change::RemoveSessionsOf(id) => AccountChange::RemoveSessionsOf(id),
        }
    }
}

impl AccountRecords for StoredAccounts {
    fn load(&self) -> BoxFuture<'_, Result<AllAccounts, RecordsError>> {
        Box::pin(async {
            let all = self.store.accounts().await.map_err(failed)?;
            let user = |u: User| UserRecord {
                id: u.id,
                name: u.name,
                password_hash: u.password_hash,
                enabled: u.enabled,
                grants: u.grants,
                last_login: u.last_login,
            };
            let token = |t: Token| TokenRecord {
                id: t.id,
                name: t.name,
                digest: t.secret_sha256,
                grants: t.grants,
                created: t.created,
            };
            // A binding that cannot be read must not let anybody in.
            let certificate = |text: Option<String>| text.map(|text| text.parse()).transpose();
            let device = |d: Device| {
                Ok(DeviceRecord {
                    id: d.id,
                    user: d.user,
                    digest: d.secret_sha256,
                    // One that cannot be read is as good as none: the password still works.
                    scram: d.scram.and_then(|text| text.parse().ok()),
                    client_id: d.client_id,
                    certificate: certificate(d.certificate)
                        .map_err(|e: NoCertificateName| RecordsError(format!("a device: {e}")))?,
                    certificate_entered: d.certificate_der,
                    publish: d.publish,
                    subscribe: d.subscribe,
                    operate: d.branch,
                    created: d.created,
                })
            };
            let session = |s: Session| SessionRecord {
                digest: s.id_sha256,
                user: s.user,
                created: s.created,
                last_seen: s.last_seen,
            };
            Ok(AllAccounts {
                users: all.users.into_iter().map(user).collect(),
                tokens: all.tokens.into_iter().filter(|t| t.revoked.is_none()).map(token).collect(),
                devices: all
                    .devices
                    .into_iter()
                    .filter(|d| d.enabled)
                    .map(device)
                    .collect::<Result<_, RecordsError>>()?,
                sessions: all.sessions.into_iter().map(session).collect(),
                nobody: all.nobody,
            })
        })
    }

    fn change(&self, changes: Vec<Change>, event: Option<Event>) -> BoxFuture<'_, Result<(), RecordsError>> {
        Box::pin(async move {
            let created = event.as_ref().map_or(andon_model::Timestamp::MIN, |e| e.at);
            let rows = changes.into_iter().map(|c| self.row(c, created)).collect();
            self.store.change_accounts(rows, event).await.map_err(failed)
        })
    }
}

/// Settings that only a connector or the payload mapper understands.
pub struct Checks;

impl SettingsCheck for Checks {
    fn check_connector(&self, connector: &ConnectorDef, plant: &Plant) -> Vec<Finding> {
        match connector.kind.as_str() {
            bridge::KIND => bridge::check(connector, plant),
            sparkplug::HOST | sparkplug::EDGE => {
                told_first(unused_secrets(&connector.settings), sparkplug::check(connector, plant))
            }
            discovery::DISCOVERY | discovery::ANNOUNCE => {
                told_first(unused_secrets(&connector.settings), discovery::check(connector, plant))
            }
            // What its settings would be is not known.
            unknown if !andon_connectors::is_known(unknown) => andon_connectors::check(connector, plant),
            _ => told_first(unused_secrets(&connector.settings), andon_connectors::check(connector, plant)),
        }
    }
    fn check_topic(&self, topic: &TopicDef, plant: &Plant) -> Vec<Finding> {
        let mut findings = andon_wire::payload::check_topic(topic, plant);
        findings.extend(two_sources(andon_wire::payload::tags_written(topic), &plant.connectors));
        told_first(unused_secrets(&topic.settings), findings)
    }
    fn check_topic_rule(&self, rule: &TopicRuleDef, plant: &Plant) -> Vec<Finding> {
        told_first(unused_secrets(&rule.settings), andon_rules::check_rule(rule, plant))
    }
    fn check_master(&self, plant: &Plant) -> Vec<MasterFindings> {
        let mut wrong = andon_mes::master::check(plant);
        for def in &plant.master {
            let secrets = unused_secrets(&def.settings);
            if secrets.is_empty() {
                continue;
            }
            match wrong.iter_mut().find(|wrong| wrong.kind == def.kind && wrong.name == def.name) {
                Some(wrong) => wrong.findings = told_first(secrets, std::mem::take(&mut wrong.findings)),
                None => wrong.push(MasterFindings { kind: def.kind, name: def.name.clone(), findings: secrets }),
            }
        }
        wrong
    }
}

/// [`Checks`], and every secret that is named must be set.
pub struct ChecksAndSecrets(pub Arc<Secrets>);

impl SettingsCheck for ChecksAndSecrets {
    fn check_connector(&self, connector: &ConnectorDef, plant: &Plant) -> Vec<Finding> {
        let mut findings = Checks.check_connector(connector, plant);
        if connector.kind == bridge::KIND {
            let named = named_secrets(&connector.settings).into_iter();
            findings.extend(named.filter(|(_, name)| self.0.get(name).is_none()).map(|(pointer, name)| Finding {
                pointer,
                message: format!("the secret \"{name}\" is not set"),
                remedy: format!("set it first: andon secret set {name}"),
            }));
        }
        findings
    }
    fn check_topic(&self, topic: &TopicDef, plant: &Plant) -> Vec<Finding> {
        Checks.check_topic(topic, plant)
    }
    fn check_topic_rule(&self, rule: &TopicRuleDef, plant: &Plant) -> Vec<Finding> {
        Checks.check_topic_rule(rule, plant)
    }
    fn check_master(&self, plant: &Plant) -> Vec<MasterFindings> {
        Checks.check_master(plant)
    }
}

/// What is said about a secret is the better word for the same place.
fn told_first(mut secrets: Vec<Finding>, mut others: Vec<Finding>) -> Vec<Finding> {
    others.retain(|other| secrets.iter().all(|secret| !other.pointer.starts_with(&secret.pointer)));
    secrets.append(&mut others);
    secrets
}

/// Every `{ secret = "name" }` where nothing asks for one.
fn unused_secrets(settings: &Json) -> Vec<Finding> {
    let finding = |(pointer, name): (Vec<String>, String)| Finding {
        pointer,
        message: format!("nothing here uses a secret, so \"{name}\" would never be filled in"),
        remedy: "take the key out; bridges to other brokers (mqtt_bridge) use secrets".to_owned(),
    };
    named_secrets(settings).into_iter().map(finding).collect()
}

/// Every `{ secret = "name" }`, with its place.
pub fn named_secrets(settings: &Json) -> Vec<(Vec<String>, String)> {
    let mut found = Vec::new();
    find_secrets(settings, &mut Vec::new(), &mut found);
    found
}

fn find_secrets(value: &Json, at: &mut Vec<String>, found: &mut Vec<(Vec<String>, String)>) {
    let inner: Vec<(String, &Json)> = match value {
        Json::Object(map) => match map.get("secret").and_then(Json::as_str) {
            Some(name) if map.len() == 1 => return found.push((at.clone(), name.to_owned())),
            _ => map.iter().map(|(key, inner)| (key.clone(), inner)).collect(),
        },
        Json::Array(items) => items.iter().enumerate().map(|(index, inner)| (index.to_string(), inner)).collect(),
        _ => return,
    };
    for (key, inner) in inner {
        at.push(key);
        find_secrets(inner, at, found);
        at.pop();
    }
}

/// Readings by HTTP: one frame, so all or nothing; published once they are durable.
pub struct DurableIngest {
    /// Where they are published.
    pub bus: Arc<Bus>,
    /// Where they are kept.
    pub log: Arc<dyn Log>,
}

impl Ingest for DurableIngest {
    fn store(&self, samples: Vec<Sample>) -> BoxFuture<'_, Result<(), AppendError>> {
        Box::pin(andon_bus::direct::store(self.bus.clone(), self.log.clone(), samples))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_store::documents::{Document, parse};

    #[test]
    fn a_secret_that_nothing_would_fill_in_is_refused_at_its_place() {
        let errors = |text: &str| {
            let document = Document { name: "plant.toml".to_owned(), text: text.to_owned() };
            let errors = parse(&[document], &Checks).expect_err("refused");
            errors
                .into_iter()
                .map(|e| e.to_string())
                .filter(|e| e.contains("would never be filled in"))
                .collect::<Vec<_>>()
        };
        let said = errors(
            "[[connector]]\nname = \"press-7\"\ntype = \"modbus\"\nhost = { secret = \"host\" }\nlogin = { user = \"me\", password = { secret = \"press-7\" } }\n",
        );
        assert_eq!(said.len(), 2, "{said:?}");
        assert!(said[0].starts_with("plant.toml:4:8: nothing here"), "{said:?}");
        assert!(said[1].starts_with("plant.toml:5:") && said[1].contains("\"press-7\" would never"), "{said:?}");
        let topic = errors("[[topic]]\nfilter = \"a/#\"\nformat = [{ secret = \"x\" }]\n");
        assert!(topic[0].starts_with("plant.toml:3:11: nothing here"), "{topic:?}");
    }

    #[test]
    fn a_bridge_that_names_a_secret_that_is_not_set_is_refused_at_its_place() {
        let folder = tempfile::tempdir().expect("a folder");
        let secrets = Secrets::open(folder.path()).expect("no secrets yet");
        let text = "[[connector]]\nname = \"b\"\ntype = \"mqtt_bridge\"\nendpoint = \"mqtts://a\"\nclient_id = \"c\"\nuser = \"u\"\npassword = { secret = \"head\" }\nsend = [{ filter = \"a\" }]\n";
        let document = || Document { name: "plant.toml".to_owned(), text: text.to_owned() };
        let errors = parse(&[document()], &ChecksAndSecrets(secrets.clone())).expect_err("refused");
        let said = errors[0].to_string();
        assert!(said.starts_with("plant.toml:7:12: the secret \"head\" is not set"), "{said}");
        assert!(said.contains("andon secret set head"), "{said}");
        secrets.set("head", "x").expect("kept");
        parse(&[document()], &ChecksAndSecrets(secrets)).expect("taken");
    }

    #[test]
    fn a_tag_that_a_topic_and_a_connector_write_is_refused_and_both_are_named() {
        let text = "[[equipment]]\npath = \"a\"\nlevel = \"site\"\n[[tag]]\npath = \"a/b\"\ntype = \"double\"\n[[topic]]\nfilter = \"a\"\nformat = \"value\"\ntag = \"a/b\"\n[[connector]]\nname = \"press\"\ntype = \"modbus\"\nendpoint = \"127.0.0.1:502\"\nregister = [{ tag = \"a/b\", table = \"holding\", address = 0, type = \"u16\" }]\n";
        let parsed = |text: String| parse(&[Document { name: "plant.toml".to_owned(), text }], &Checks);
        let errors = parsed(text.to_owned()).expect_err("two sources");
        let said: Vec<String> = errors.iter().map(ToString::to_string).collect();
        assert_eq!(said.len(), 1, "{said:?}");
        assert!(said[0].starts_with("plant.toml:10:7: the tag \"a/b\" has two sources"), "{said:?}");
        assert!(said[0].contains("the connector \"press\" in its `register` number 1"), "{said:?}");
        let off = text.replace("type = \"modbus\"", "type = \"modbus\"\nenabled = false");
        parsed(off).expect("a connector that is switched off reads nothing");
    }
}
