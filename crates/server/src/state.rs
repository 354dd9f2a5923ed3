//! Is the node ready, what must people be warned of, and its figures for Prometheus.

use crate::backup::hold::Holds;
use crate::bridge::Bridges;
use crate::certificate::End;
use crate::notes::Notes;
use andon_alarms::Engine;
use andon_api::ports::NodeState;
use andon_broker::Broker;
use andon_bus::Bus;
use andon_historian::Historian;
use andon_log::DurableLog;
use andon_model::pace::Pace;
use andon_model::peer::Places;
use andon_store::Store;
use std::fmt::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// What the state is read from.
pub struct State {
    /// The log.
    pub log: Arc<DurableLog>,
    /// The relational store.
    pub store: Store,
    /// Alarms.
    pub alarms: Arc<Engine>,
    /// The live plant.
    pub bus: Arc<Bus>,
    /// MQTT.
    pub broker: Arc<Broker>,
    /// Its surroundings, with the topic rules.
    pub hooks: Arc<crate::mqtt::Hooks>,
    /// History.
    pub historian: Arc<Historian>,
    /// States held for backups.
    pub holds: Arc<Holds>,
    /// HTTP connections of each stranger.
    pub http_places: Arc<Places>,
    /// MQTT connections of each stranger.
    pub mqtt_places: Arc<Places>,
    /// How often MQTT clients may come.
    pub mqtt_pace: Arc<Pace>,
    /// SQL connections of each stranger.
    pub sql_places: Arc<Places>,
    /// Notes that could not be recorded.
    pub notes: Notes,
    /// The time.
    pub clock: Arc<dyn andon_model::Clock>,
    /// Links to an ERP.
    pub erp: Arc<crate::erp::Erp>,
    /// Bridges to other brokers.
    pub bridges: Arc<Bridges>,
    /// Warnings of the settings.
    pub settings_warnings: Vec<String>,
    /// When the certificate ends with which the node runs.
    pub certificate: Option<End>,
    /// Set once everything runs.
    pub started: AtomicBool,
}

impl State {
    /// What no longer acknowledges.
    fn failures(&self) -> Vec<String> {
        let mut failures = Vec::new();
        for lane in self.log.stats().lanes {
            if let Some(why) = lane.refusing {
                failures.push(format!("The log's {} lane takes nothing: {why}", lane.lane.name()));
            }
        }
        if let Some(why) = self.store.failure() {
            failures.push(format!("The record store takes nothing until Andon restarts: {why}"));
        }
        if let Some(why) = self.store.unreachable() {
            failures.push(format!(
                "No records can be changed until the database server is back, which is tried again by itself: {why}"
            ));
        }
        failures.extend(self.alarms.failure());
        failures
    }
}

impl NodeState for State {
    fn ready(&self) -> Result<(), String> {
        if !self.started.load(Ordering::Acquire) {
            return Err("starting".to_owned());
        }
        self.failures().first().map_or(Ok(()), |why| Err(why.clone()))
    }

    fn warnings(&self) -> Vec<String> {
        let mut warnings = self.failures();
        warnings.extend(self.settings_warnings.iter().cloned());
        warnings.extend(self.certificate.as_ref().and_then(|end| end.warning(self.clock.now())));
        let history = self.historian.stats();
        warnings.extend(self.bridges.warnings());
        warnings.extend(self.erp.warnings());
        warnings.extend(history.last_error.map(|e| format!("History is not written to files: {e}")));
        warnings
    }

    fn metrics(&self) -> String {
        let mut out = String::with_capacity(4096);
        let mut metric = |name: &str, kind: &str, help: &str, rows: &[(String, f64)]| {
            let _ = writeln!(out, "# HELP andon_{name} {help}\n# TYPE andon_{name} {kind}");
            for (labels, value) in rows {
                let _ = writeln!(out, "andon_{name}{labels} {value}");
            }
        };
        let log = self.log.stats();
        let lanes = |value: &dyn Fn(&andon_log::LaneStats) -> u64| -> Vec<(String, f64)> {
            log.lanes.iter().map(|l| (format!("{{lane=\"{}\"}}", l.lane.name()), as_f64(value(l)))).collect()
        };
        let one = |value: u64| vec![(String::new(), as_f64(value))];
        metric(
            "ready",
            "gauge",
            "1 when sessions, alarms and commands are right and acknowledging.",
            &one(u64::from(self.ready().is_ok())),
        );
        metric("log_durable_frames", "counter", "The highest durable frame number.", &lanes(&|l| l.durable.0));
        metric("log_bytes_on_disk", "gauge", "Bytes of the lane's segments.", &lanes(&|l| l.bytes_on_disk));
        metric("log_pending_bytes", "gauge", "Bytes that wait to be written.", &lanes(&|l| l.pending_bytes as u64));
        metric("log_syncs_total", "counter", "Syncs done.", &lanes(&|l| l.syncs));
        metric("log_sync_microseconds_total", "counter", "Time spent in syncs.", &lanes(&|l| l.sync_micros));
        metric("log_damaged_stretches", "gauge", "Stretches of damage found.", &lanes(&|l| l.damaged as u64));
        let bus = self.bus.stats();
        metric("samples_published_total", "counter", "Samples published on the bus.", &one(bus.published));
        metric("samples_unfit_total", "counter", "Samples whose value did not fit its tag.", &one(bus.unfit));
        metric(
            "samples_unknown_tag_total",
            "counter",
            "Samples of tags that are not in the plant.",
            &one(bus.unknown_tag),
        );
        let mqtt = self.broker.stats();
        metric("mqtt_connected", "gauge", "Connected MQTT clients.", &one(mqtt.connected as u64));
        metric("mqtt_sessions", "gauge", "MQTT sessions.", &one(mqtt.sessions as u64));
        metric("mqtt_received_total", "counter", "Messages received.", &one(mqtt.received));
        metric("mqtt_delivered_total", "counter", "Messages handed to connections.", &one(mqtt.delivered));
        metric("mqtt_dropped_total", "counter", "Messages dropped, counted per receiver.", &one(mqtt.dropped));
        let words = "Messages left out for subscriptions that asked for less than all.";
        metric("mqtt_left_out_total", "counter", words, &one(mqtt.left_out));
        let kept = self.broker.history_figures();
        metric("mqtt_kept_bytes", "gauge", "Bytes of MQTT messages kept by topic rules.", &one(kept.bytes));
        let words = "MQTT messages that a topic rule keeps and that could not be kept.";
        metric("mqtt_kept_lost_total", "counter", words, &one(kept.lost));
        let topics = self.broker.catalogue().figures();
        metric("mqtt_topics", "gauge", "MQTT topics listed with their last message.", &one(topics.topics as u64));
        metric("mqtt_topics_bytes", "gauge", "Bytes that these take.", &one(topics.bytes as u64));
        let words = "Messages on topics that found no room and are not listed.";
        metric("mqtt_topics_not_listed_total", "counter", words, &one(topics.not_listed));
        let rules = crate::mqtt::counts(&self.hooks.topic_rules());
        let by_rule = |count: fn(&(String, u64, u64)) -> u64| {
            let row = |one: &(String, u64, u64)| (format!("{{rule=\"{}\"}}", one.0), as_f64(count(one)));
            rules.iter().map(row).collect::<Vec<_>>()
        };
        let words = "Messages that came under a topic rule.";
        metric("mqtt_rule_matched_total", "counter", words, &by_rule(|one| one.1));
        metric("mqtt_rule_broken_total", "counter", "Messages that broke a topic rule.", &by_rule(|one| one.2));
        let (kept, pushed_out) = self.broker.quarantine();
        metric("mqtt_quarantine_messages", "gauge", "Messages in quarantine.", &one(kept.len() as u64));
        let words = "Messages that had to leave the quarantine for others.";
        metric("mqtt_quarantine_pushed_out_total", "counter", words, &one(pushed_out));
        let words = "Messages of QoS 0 that were not taken into quarantine, for their publisher had its share there.";
        metric("mqtt_quarantine_not_taken_total", "counter", words, &one(self.broker.not_withheld()));
        let bridges = self.bridges.reports();
        let of_bridges = |value: &dyn Fn(&andon_broker::bridge::Report) -> f64| -> Vec<(String, f64)> {
            bridges.iter().map(|(name, report)| (format!("{{bridge=\"{name}\"}}"), value(report))).collect()
        };
        let now = self.clock.now();
        let connected = |r: &andon_broker::bridge::Report| r.state == andon_broker::bridge::LinkState::Connected;
        metric(
            "bridge_connected",
            "gauge",
            "1 while the other side answers.",
            &of_bridges(&|r| f64::from(u8::from(connected(r)))),
        );
        metric(
            "bridge_waiting_messages",
            "gauge",
            "Messages to be sent that were not acknowledged yet.",
            &of_bridges(&|r| as_f64(r.waiting.messages)),
        );
        metric("bridge_waiting_bytes", "gauge", "Bytes of these.", &of_bridges(&|r| as_f64(r.waiting.bytes)));
        metric(
            "bridge_lag_seconds",
            "gauge",
            "How long the oldest of these has waited.",
            &of_bridges(&|r| r.oldest.map_or(0.0, |oldest| now.since(oldest).as_secs_f64())),
        );
        metric("bridge_sent_total", "counter", "Messages sent.", &of_bridges(&|r| as_f64(r.sent)));
        metric(
            "bridge_received_total",
            "counter",
            "Messages taken from the other side.",
            &of_bridges(&|r| as_f64(r.received)),
        );
        metric(
            "bridge_lost_total",
            "counter",
            "Messages lost since there is the bridge.",
            &of_bridges(&|r| as_f64(r.lost.messages)),
        );
        let refused = [("http", &self.http_places), ("mqtt", &self.mqtt_places), ("sql", &self.sql_places)];
        metric(
            "connections_refused_total",
            "counter",
            "Connections closed because their address had as many as it may.",
            &refused.map(|(face, places)| (format!("{{face=\"{face}\"}}"), as_f64(places.refused()))),
        );
        metric(
            "mqtt_connects_refused_total",
            "counter",
            "MQTT connections refused because more began in a second than may.",
            &one(self.mqtt_pace.refused()),
        );
        let history = self.historian.stats();
        metric("history_points_total", "counter", "Points applied since the start.", &one(history.points));
        metric("history_buffered_points", "gauge", "Points not yet in files.", &one(history.buffered_points));
        metric("history_files", "gauge", "History files.", &one(history.files as u64));
        metric("history_file_bytes", "gauge", "Bytes of all history files.", &one(history.file_bytes));
        metric("history_damaged_files", "gauge", "History files found damaged.", &one(history.damage.len() as u64));
        metric("history_frames_behind", "gauge", "Durable frames not yet applied.", &one(history.frames_behind));
        // Without one there is no time: a rule on its absence finds that.
        let last = self.holds.last();
        let last_s = last.iter().map(|last| (String::new(), as_f64(u64::try_from(last.at_ms / 1000).unwrap_or(0))));
        metric(
            "backup_last_success_timestamp_seconds",
            "gauge",
            "When the last backup was finished; missing while there is none.",
            &last_s.collect::<Vec<_>>(),
        );
        metric(
            "notes_lost_total",
            "counter",
            "Notes about the node that could not be recorded.",
            &one(self.notes.lost()),
        );
        out
    }
}

#[expect(clippy::cast_precision_loss, reason = "Prometheus numbers are doubles")]
const fn as_f64(value: u64) -> f64 {
    value as f64
}
