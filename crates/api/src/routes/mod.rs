//! One file per subject; each handler asks the gate first.

pub mod alarms;
pub mod backup;
pub mod commands;
pub mod connectors;
pub mod device_certificates;
pub mod health;
pub mod history;
pub mod influx;
pub mod ingest;
pub mod kept;
pub mod mqtt;
pub mod mqtt_clients;
pub mod mqtt_rules;
pub mod notes;
pub mod plant;
pub mod secrets;
pub mod session;
pub mod sql;
pub mod storage;
pub mod timeline;
pub mod topics;
mod topics_live;
pub mod transfer;
pub mod ui;
pub mod users;
pub mod values;
pub mod ws;
