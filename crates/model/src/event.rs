//! Everything that happened: one record type for alarms, commands, connections, people and configuration.
//!
//! An event carries a principal's id, never a name. It is written to the records lane as JSON of [`SealedEvent`],
//! and leaves the node only after it is synced.

use crate::access::Principal;
use crate::log::Seq;
use crate::{StatusCode, Timestamp, Value};
use serde::{Deserialize, Serialize};
use uuid::Uuid;

/// Something that happened.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Event {
    /// UUIDv7; the same fact is never recorded under two ids.
    pub id: Uuid,
    /// When this node learned of it.
    pub at: Timestamp,
    /// When the source says it was so, if it says.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_at: Option<Timestamp>,
    /// The tag or equipment it is about; empty for the node as a whole.
    #[serde(default)]
    pub path: String,
    /// Who did it.
    pub by: Principal,
    /// What it was.
    pub what: What,
}

/// An event in its place in the hash chain.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SealedEvent {
    /// Its number in the records lane.
    #[serde(skip)]
    pub seq: Seq,
    /// The event.
    pub event: Event,
    /// SHA-256 of the sealed event before it, in lower-case hex; 64 zeros for the first.
    pub prev: String,
    /// SHA-256 over `prev` and the event's JSON, in lower-case hex.
    pub hash: String,
}

/// The kinds of events. Spelled in JSON as `{"kind": "alarm", …}`.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "snake_case")]
pub enum What {
    /// A transition of an alarm's state machine.
    Alarm(AlarmChange),
    /// A step of a command.
    Command(CommandStep),
    /// A device, a connector or a client came or went.
    Connection(ConnectionChange),
    /// Somebody logged in, was refused, was created, changed or removed.
    User(UserChange),
    /// The plant model or a setting changed.
    Configuration(ConfigurationChange),
    /// The node itself: started, stopped, a gap, a full disk, a failed sync.
    System(SystemNote),
    /// What a person wrote about a time and a place; [`Event::source_at`] is the time it is about.
    Note(Note),
    /// A person put right what a machine is said to have been in, or said why it was so; [`Event::source_at`] is the beginning of the span.
    Machine(MachineCorrection),
    /// A work order was made, changed, released, given up or closed.
    Order(OrderChange),
    /// A job order changed its state or its place in the plan, or somebody counted what came of it; [`Event::path`] is the equipment.
    Job(JobChange),
    /// A lot, a serial unit or a container was made, moved, built in, taken out, or what may be done with it was decided.
    Trace(TraceChange),
    /// A maintenance order was made, worked on, changed or given up; [`Event::path`] is the equipment.
    Maintenance(MaintenanceChange),
    /// A tool was mounted, taken off, renewed, or has come near its end; [`Event::path`] is the machine.
    Tool(ToolChange),
}

impl What {
    /// Every word that [`What::kind`] gives.
    pub const KINDS: [&'static str; 13] = [
        "alarm",
        "command",
        "connection",
        "user",
        "configuration",
        "system",
        "note",
        "machine",
        "order",
        "job",
        "trace",
        "maintenance",
        "tool",
    ];

    /// The kind, as in JSON.
    #[must_use]
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Alarm(_) => "alarm",
            Self::Command(_) => "command",
            Self::Connection(_) => "connection",
            Self::User(_) => "user",
            Self::Configuration(_) => "configuration",
            Self::System(_) => "system",
            Self::Note(_) => "note",
            Self::Machine(_) => "machine",
            Self::Order(_) => "order",
            Self::Job(_) => "job",
            Self::Trace(_) => "trace",
            Self::Maintenance(_) => "maintenance",
            Self::Tool(_) => "tool",
        }
    }

    /// How grave it is, wherever it is shown: 1 critical, 2 high, 3 medium, 4 low, like an alarm's priority; 0 for the
    /// record only.
    ///
    /// An alarm that is raised is as grave as its priority, and its further steps are for the record. A trouble of the
    /// node itself is high, and so is whatever it says that this rule does not know as being in order. A device that is
    /// not connected, a command that failed or may have, and a tool at its end are medium; a tool near its end, what was
    /// refused and what came too late are low, also what was refused to an MQTT client. MQTT clients come and go, which is for the record.
    #[must_use]
    pub fn severity(&self) -> u8 {
        match self {
            Self::Alarm(change) if change.to == AlarmState::Unacknowledged => change.priority,
            Self::Command(step) => match step.step {
                Step::Failed | Step::Unknown => 3,
                Step::Expired | Step::Refused => 4,
                Step::Intent | Step::Confirmed => 0,
            },
            Self::Connection(change) if !change.connected && change.protocol != "mqtt" => 3,
            Self::User(change) if change.action == "login_refused" => 4,
            // Without roll-ups answers take longer, and they are made anew.
            Self::System(note)
                if matches!(
                    note.action.as_str(),
                    "mqtt_refused" | "rollups_damaged" | "topic_rules" | "topics_not_listed"
                ) =>
            {
                4
            }
            Self::System(note) if !IN_ORDER.contains(&note.action.as_str()) => 2,
            Self::Tool(change) => match change.action.as_str() {
                "end" => 3,
                "warn" => 4,
                _ => 0,
            },
            Self::Alarm(_)
            | Self::Connection(_)
            | Self::User(_)
            | Self::System(_)
            | Self::Configuration(_)
            | Self::Note(_)
            | Self::Machine(_)
            | Self::Order(_)
            | Self::Job(_)
            | Self::Trace(_)
            | Self::Maintenance(_) => 0,
        }
    }
}

/// The actions of a [`SystemNote`] that tell of no trouble.
const IN_ORDER: [&str; 19] = [
    "erp_in_order",
    "erp_skipped",
    "bridge_caught_up",
    "secret_set",
    "secret_removed",
    "started",
    "stopped",
    "restored",
    "backup",
    "import",
    "imported",
    "history_delete",
    "history_deleted",
    "history_compacted",
    "samples_resumed",
    "space_again",
    "mqtt_published",
    "mqtt_disconnected",
    "mqtt_quarantine",
];

/// ISA-18.2 states (IEC 62682:2022 §5.4), as far as this node knows them.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum AlarmState {
    /// In order.
    Normal,
    /// Active and not yet acknowledged.
    Unacknowledged,
    /// Active and acknowledged.
    Acknowledged,
    /// Back in order, but nobody has acknowledged it.
    ReturnedToNormalUnacknowledged,
}

/// A transition of an alarm, with the value that caused it.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AlarmChange {
    /// The alarm's name in the plant model, unique in the node: `<tag path>:<condition>`.
    pub alarm: String,
    /// The occurrence: a new id at each annunciation, kept until back to normal.
    pub occurrence: Uuid,
    /// The state before.
    pub from: AlarmState,
    /// The state after.
    pub to: AlarmState,
    /// 1 critical, 2 high, 3 medium, 4 low.
    pub priority: u8,
    /// `high`, `low`, `silent`, `state`.
    pub condition: String,
    /// What the operator reads.
    pub message: String,
    /// The value that caused it.
    pub value: Value,
    /// Its quality.
    pub quality: StatusCode,
    /// The limit, where there is one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limit: Option<f64>,
    /// What the person who acknowledged wrote.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// A step of a command: its intent before the wire, or its outcome.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct CommandStep {
    /// The command.
    pub command: Uuid,
    /// Intent or outcome.
    pub step: Step,
    /// What was asked for.
    pub value: Value,
    /// The value just before, if it was known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub before: Option<Value>,
    /// What was read back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub read_back: Option<Value>,
    /// Why, as the person wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// Through which door: `ui`, `api`, `mqtt`.
    pub via: String,
    /// In plain words: why it was refused, failed or is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// The steps of a command.
#[derive(Clone, Copy, PartialEq, Eq, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Step {
    /// Authorised and within limits; about to go to the wire.
    Intent,
    /// Never went to the wire: not allowed, out of limits, interlocked.
    Refused,
    /// The device holds the wanted value.
    Confirmed,
    /// It did not take effect.
    Failed,
    /// Its time ran out before it was sent.
    Expired,
    /// It may or may not have taken effect; it is never sent again by itself.
    Unknown,
}

/// A device, connector or client came or went.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConnectionChange {
    /// `modbus`, `mqtt`, …
    pub protocol: String,
    /// The connector's or client's name.
    pub name: String,
    /// Whether it is connected now.
    pub connected: bool,
    /// Why, in plain words.
    pub reason: String,
}

/// Something about a person, a device credential or a token.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct UserChange {
    /// `logged_in`, `logged_in_by_sql`, `login_refused`, `logged_out`, `created`, `changed`, `disabled`, `removed`, `token_created`, `token_revoked`, …
    pub action: String,
    /// Whom it is about (an id, never a name).
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub subject: Option<Uuid>,
    /// From where: the peer's address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// More, in plain words, without names.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A change of the plant model.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ConfigurationChange {
    /// The version after the change.
    pub version: u64,
    /// What changed, one line each: `+ tag …`, `~ alarm …`, `- connector …`.
    pub changes: Vec<String>,
    /// Why, as the person wrote it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
}

/// What a person wrote about a time, or a stretch of time.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct Note {
    /// As it was written.
    pub text: String,
    /// The end of the stretch it is about; none: it is about an instant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<Timestamp>,
}

/// What a person says of a span of a machine; the record of before stays.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MachineCorrection {
    /// Its number: later ones lie over earlier ones.
    pub number: u32,
    /// The first instant after the span.
    pub until: Timestamp,
    /// What is said, in words: `reason Mechanical/Jam`, `state Held`, `as recorded`.
    pub says: String,
    /// What the person wrote about it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub note: Option<String>,
}

/// Something about a work order (ISA-95).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct OrderChange {
    /// The order.
    pub order: Uuid,
    /// Its number, as people say it.
    pub number: String,
    /// `created`, `changed`, `released`, `revoked`, `cancelled`, `closed`, …
    pub action: String,
    /// What it is in then: `Released`, …
    pub state: String,
    /// More, in plain words, without names of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Something about a job order (ISA-95).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct JobChange {
    /// The job order.
    pub job: Uuid,
    /// Its number, as people say it: `4711/10`.
    pub number: String,
    /// What happened: `begin`, `pause`, `stop`, `count`, `seen`, `plan`, …
    pub action: String,
    /// What it is in then: `Running`, `Interrupted (Held)`, …
    pub state: String,
    /// Good items that were counted, in millionths of the material's unit; negative where a count was put right.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub good_millionths: i64,
    /// Scrap, likewise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub scrap_millionths: i64,
    /// Rework, likewise.
    #[serde(default, skip_serializing_if = "is_zero")]
    pub rework_millionths: i64,
    /// Why, as the person said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// More, in plain words, without names of people: which revision was seen, when it is planned.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde asks with a reference")]
const fn is_zero(number: &i64) -> bool {
    *number == 0
}

/// What a person changed about where something came from and where it went.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct TraceChange {
    /// `made`, `built_in`, `taken_out`, `split`, `merged`, `moved`, `state`, `certificate`, …
    pub action: String,
    /// The lot, unit or container it is about.
    pub item: Uuid,
    /// Its material and number, so that the line can be read without looking it up: `4711 L-0815`.
    pub shown: String,
    /// More, in plain words, without names of people.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Something about a maintenance order (ISA-95).
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct MaintenanceChange {
    /// The order.
    pub order: Uuid,
    /// Its number, as people say it: `M-12`.
    pub number: String,
    /// What happened: `made`, `begin`, `join`, `finish`, `part`, `seen`, …
    pub action: String,
    /// What it is in then: `Running`, `Interrupted (Held)`, …
    pub state: String,
    /// Why, as the person said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// More, in plain words, without names of people: what was changed, which part was used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// Something about a tool, a mould, a die.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct ToolChange {
    /// Its name.
    pub tool: String,
    /// What happened: `mount`, `unmount`, `correct`, `renew`, `used`; or what it has come to: `warn`, `end`.
    pub action: String,
    /// Why, as the person said it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub reason: Option<String>,
    /// More, in plain words, without names of people: how much of its life is used.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
}

/// A note of the node about itself.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SystemNote {
    /// `started`, `stopped`, `gap`, `disk_full`, `sync_failed`, `dropped`, …
    pub action: String,
    /// In plain words, with what to do.
    pub text: String,
}

#[cfg(test)]
mod tests {
    use super::{
        AlarmChange, AlarmState, CommandStep, ConfigurationChange, ConnectionChange, JobChange, MachineCorrection,
        MaintenanceChange, Note, OrderChange, Step, SystemNote, ToolChange, TraceChange, UserChange, What,
    };
    use crate::{StatusCode, Timestamp, Value};
    use uuid::Uuid;

    fn alarm(priority: u8, to: AlarmState) -> What {
        What::Alarm(AlarmChange {
            alarm: "works/line1/pressure:high".to_owned(),
            occurrence: Uuid::nil(),
            from: AlarmState::Normal,
            to,
            priority,
            condition: "high".to_owned(),
            message: "pressure high".to_owned(),
            value: Value::Double(8.0),
            quality: StatusCode::GOOD,
            limit: None,
            note: None,
        })
    }

    fn maintenance(action: &str) -> What {
        What::Maintenance(MaintenanceChange {
            order: Uuid::from_u128(3),
            number: "M-12".to_owned(),
            action: action.to_owned(),
            state: "Running".to_owned(),
            reason: None,
            detail: None,
        })
    }

    fn tool(action: &str) -> What {
        What::Tool(ToolChange { tool: "M-17".to_owned(), action: action.to_owned(), reason: None, detail: None })
    }

    fn command(step: Step) -> What {
        let (value, via) = (Value::Boolean(true), "ui".to_owned());
        let (before, read_back, reason, detail) = (None, None, None, None);
        What::Command(CommandStep { command: Uuid::nil(), step, value, before, read_back, reason, via, detail })
    }

    fn connection(protocol: &str, connected: bool) -> What {
        let (name, reason) = ("press-7".to_owned(), "no answer".to_owned());
        What::Connection(ConnectionChange { protocol: protocol.to_owned(), name, connected, reason })
    }

    fn user(action: &str) -> What {
        What::User(UserChange { action: action.to_owned(), subject: None, from: None, detail: None })
    }

    fn system(action: &str) -> What {
        What::System(SystemNote { action: action.to_owned(), text: "words".to_owned() })
    }

    fn order(action: &str) -> What {
        What::Order(OrderChange {
            order: Uuid::from_u128(1),
            number: "4711".to_owned(),
            action: action.to_owned(),
            state: "Released".to_owned(),
            detail: None,
        })
    }

    fn job(action: &str, good: i64, scrap: i64, reason: Option<&str>) -> What {
        What::Job(JobChange {
            job: Uuid::from_u128(2),
            number: "4711/10".to_owned(),
            action: action.to_owned(),
            state: "Running".to_owned(),
            good_millionths: good,
            scrap_millionths: scrap,
            rework_millionths: 0,
            reason: reason.map(str::to_owned),
            detail: None,
        })
    }

    #[test]
    fn how_grave_an_event_is() {
        for (wanted, what) in [
            (1, alarm(1, AlarmState::Unacknowledged)),
            (4, alarm(4, AlarmState::Unacknowledged)),
            (0, alarm(1, AlarmState::Acknowledged)),
            (0, alarm(1, AlarmState::Normal)),
            (3, command(Step::Failed)),
            (3, command(Step::Unknown)),
            (4, command(Step::Expired)),
            (4, command(Step::Refused)),
            (0, command(Step::Intent)),
            (0, command(Step::Confirmed)),
            (3, connection("modbus", false)),
            (3, tool("end")),
            (4, tool("warn")),
            (0, tool("mount")),
            (0, connection("modbus", true)),
            (0, connection("mqtt", false)),
            (4, user("login_refused")),
            (0, user("created")),
            (0, system("started")),
            (0, system("stopped")),
            (0, system("space_again")),
            (0, system("history_compacted")),
            (2, system("history_compact_failed")),
            (2, system("gap")),
            (4, system("mqtt_refused")),
            (2, system("damage")),
            (4, system("rollups_damaged")),
            (2, system("a word of a later version")),
            (0, What::Configuration(ConfigurationChange { version: 1, changes: Vec::new(), reason: None })),
            (0, What::Note(Note { text: "belt changed".to_owned(), until: None })),
            (0, order("cancelled")),
            (0, job("abort", 0, 0, None)),
        ] {
            assert_eq!(what.severity(), wanted, "{what:?}");
        }
    }

    #[test]
    fn the_kind_is_the_word_in_json() {
        let all = [
            alarm(1, AlarmState::Normal),
            command(Step::Intent),
            connection("mqtt", true),
            user("created"),
            What::Configuration(ConfigurationChange { version: 1, changes: Vec::new(), reason: None }),
            system("started"),
            What::Note(Note { text: "belt changed".to_owned(), until: None }),
            What::Machine(MachineCorrection {
                number: 1,
                until: Timestamp::default(),
                says: "state Held".to_owned(),
                note: None,
            }),
            order("created"),
            job("begin", 0, 0, None),
            What::Trace(TraceChange {
                action: "made".to_owned(),
                item: Uuid::nil(),
                shown: "4711 L-0815".to_owned(),
                detail: None,
            }),
            maintenance("begin"),
            tool("mount"),
        ];
        assert_eq!(all.each_ref().map(What::kind), What::KINDS);
        for what in all {
            let json = serde_json::to_value(&what).expect("an event is JSON");
            assert_eq!(json["kind"], what.kind());
        }
    }
    #[test]
    fn the_json_of_orders_and_jobs_stays_as_it_is() {
        for (what, wanted) in [
            (
                order("released"),
                r#"{"kind":"order","order":"00000000-0000-0000-0000-000000000001","number":"4711","action":"released","state":"Released"}"#,
            ),
            (
                job("begin", 0, 0, None),
                r#"{"kind":"job","job":"00000000-0000-0000-0000-000000000002","number":"4711/10","action":"begin","state":"Running"}"#,
            ),
            (
                maintenance("begin"),
                r#"{"kind":"maintenance","order":"00000000-0000-0000-0000-000000000003","number":"M-12","action":"begin","state":"Running"}"#,
            ),
            (tool("end"), r#"{"kind":"tool","tool":"M-17","action":"end"}"#),
            (
                job("count", 12_000_000, 500_000, Some("Jam")),
                r#"{"kind":"job","job":"00000000-0000-0000-0000-000000000002","number":"4711/10","action":"count","state":"Running","good_millionths":12000000,"scrap_millionths":500000,"reason":"Jam"}"#,
            ),
        ] {
            assert_eq!(serde_json::to_string(&what).expect("an event is JSON"), wanted);
            assert_eq!(serde_json::from_str::<What>(wanted).expect("it reads back"), what);
        }
    }
}
