//! The server settings file (`andon.toml`): listeners, TLS, data directory, limits. Not the plant model.
//!
//! Every key is known or refused, with its line. What is not safe is refused, not corrected: a plain listener, open
//! access or anonymous MQTT beyond loopback.

use crate::erp::config as erp;
use crate::records;
use andon_access::tls::{ClientCa, Oldest};
use serde::Deserialize;
use std::fmt;
use std::net::SocketAddr;
use std::ops::Range;
use std::path::{Path, PathBuf};
use toml::Spanned;

/// The most connections that can be counted.
const MOST_PLACES: usize = 1 << 24;

/// A listener's address, or nowhere.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Listen {
    /// Switched off.
    Off,
    /// At this address; port 0 takes a free one.
    At(SocketAddr),
}

impl Listen {
    /// The address, if there is one.
    pub const fn address(self) -> Option<SocketAddr> {
        match self {
            Self::Off => None,
            Self::At(address) => Some(address),
        }
    }
}

/// Who is let in.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum AccessMode {
    /// People log in, programs send tokens, devices have credentials.
    Login,
    /// Everybody may do everything; loopback only.
    Open,
}

/// The checked settings.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where everything is kept.
    pub data_dir: PathBuf,
    /// HTTP, WebSocket and UI.
    pub http: Listen,
    /// The same over TLS.
    pub https: Listen,
    /// MQTT.
    pub mqtt: Listen,
    /// MQTT over TLS.
    pub mqtts: Listen,
    /// MQTT clients without credentials may come; loopback only.
    pub allow_anonymous: bool,
    /// Whose certificates are good for clients of MQTT over TLS; `None`: they are asked for none.
    pub mqtt_client_ca: Option<ClientCa>,
    /// The PostgreSQL protocol; beyond loopback only encrypted connections are taken.
    pub sql: Listen,
    /// Bounds of SQL queries.
    pub sql_limits: SqlLimits,
    /// Who is let in.
    pub access: AccessMode,
    /// Certificate chain and key given by the user; otherwise made at the first start.
    pub certificate: Option<(PathBuf, PathBuf)>,
    /// Host names and addresses of the certificate that is made.
    pub names: Vec<String>,
    /// The oldest version of TLS that is spoken, on every listener.
    pub oldest_tls: Oldest,
    /// Where the records are kept.
    pub records: records::Place,
    /// History as a table for other programs.
    pub open_table: OpenTable,
    /// How messages of an ERP are understood.
    pub b2mml: erp::Rules,
    /// Links to an ERP.
    pub erp: Vec<erp::Link>,
    /// Limits.
    pub limits: Limits,
}

/// Bounds that a site may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Limits {
    /// HTTP connections of one listener at a time.
    pub http_connections: usize,
    /// HTTP connections of one address (of IPv6: one /64 network) at a time.
    pub http_connections_per_address: usize,
    /// MQTT connections at a time.
    pub mqtt_connections: usize,
    /// MQTT connections of one address (of IPv6: one /64 network) at a time.
    pub mqtt_connections_per_address: usize,
    /// MQTT connections that begin in a second.
    pub mqtt_connects_per_second: u32,
    /// MQTT connections that begin in a second from one address (of IPv6: one /64 network).
    pub mqtt_connects_per_second_per_address: u32,
    /// SQL connections of one address (of IPv6: one /64 network) at a time.
    pub sql_connections_per_address: usize,
    /// The largest MQTT payload, in bytes.
    pub mqtt_payload_bytes: usize,
    /// The most MQTT topics that are listed with their last message; 0: none.
    pub mqtt_topics_listed: usize,
    /// The `messages` lane keeps at most this, in MiB.
    pub messages_mib: u64,
    /// The `records` lane keeps events for at least this, in days.
    pub records_days: u32,
    /// History is kept for this, in days; 0: for ever.
    pub history_days: u32,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            http_connections: 4096,
            http_connections_per_address: 256,
            mqtt_connections: 10_000,
            mqtt_connections_per_address: 1000,
            mqtt_connects_per_second: 5000,
            mqtt_connects_per_second_per_address: 200,
            sql_connections_per_address: 16,
            mqtt_payload_bytes: 1 << 20,
            mqtt_topics_listed: 100_000,
            messages_mib: 4096,
            records_days: 3650,
            history_days: 0,
        }
    }
}

/// Bounds of SQL queries, on every face.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SqlLimits {
    /// Memory of one query, in MiB.
    pub memory_mib: usize,
    /// Time of one query, in seconds.
    pub seconds: u64,
    /// Rows of one answer.
    pub rows: u64,
    /// Queries at a time; further ones wait.
    pub queries: usize,
    /// PostgreSQL connections at a time.
    pub connections: usize,
    /// Whether sums and averages are taken from roll-ups where these give the same answer.
    pub use_rollups: bool,
}

impl Default for SqlLimits {
    fn default() -> Self {
        Self { memory_mib: 256, seconds: 60, rows: 10_000_000, queries: 2, connections: 64, use_rollups: true }
    }
}

/// History as a table for other programs.
#[derive(Deserialize, Debug, Clone, Copy, PartialEq, Eq)]
#[serde(deny_unknown_fields, default)]
pub struct OpenTable {
    /// Whether other programs may read history as a Delta table.
    pub publish: bool,
    /// How long files that left the table stay on disk, in days; at least 1.
    pub keep_removed_days: u16,
}

impl Default for OpenTable {
    fn default() -> Self {
        Self { publish: true, keep_removed_days: 7 }
    }
}

/// What is wrong with the settings, where, and what to do.
#[derive(Debug)]
pub struct SettingsError {
    /// The file.
    pub file: String,
    /// From 1; `None` where the file as a whole is meant.
    pub line: Option<usize>,
    /// What is wrong.
    pub message: String,
    /// What to do.
    pub remedy: String,
}

impl fmt::Display for SettingsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.line {
            Some(line) => write!(f, "{}, line {line}: {}\n  try: {}", self.file, self.message, self.remedy),
            None => write!(f, "{}: {}\n  try: {}", self.file, self.message, self.remedy),
        }
    }
}

impl std::error::Error for SettingsError {}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct Raw {
    data_dir: Option<Spanned<String>>,
    http: RawHttp,
    mqtt: RawMqtt,
    sql: RawSql,
    access: RawAccess,
    tls: RawTls,
    records: records::RawRecords,
    history: OpenTable,
    b2mml: erp::RawRules,
    erp: Vec<erp::RawLink>,
    limits: Limits,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawHttp {
    listen: Option<Spanned<String>>,
    tls_listen: Option<Spanned<String>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawMqtt {
    listen: Option<Spanned<String>>,
    tls_listen: Option<Spanned<String>>,
    allow_anonymous: Option<Spanned<bool>>,
    client_ca: Option<Spanned<String>>,
    client_certificate: Option<Spanned<ClientCertificate>>,
}

/// Whether a client must show a certificate.
#[derive(Deserialize, Clone, Copy, PartialEq, Eq)]
#[serde(rename_all = "lowercase")]
enum ClientCertificate {
    Optional,
    Required,
}

#[derive(Deserialize, Clone, Copy)]
enum TlsVersion {
    #[serde(rename = "1.2")]
    V12,
    #[serde(rename = "1.3")]
    V13,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawSql {
    listen: Option<Spanned<String>>,
    memory_mib: Option<usize>,
    seconds: Option<u64>,
    rows: Option<u64>,
    queries: Option<usize>,
    connections: Option<usize>,
    use_rollups: Option<bool>,
}

impl RawSql {
    /// The bounds; `None` when one of them would let nothing through.
    fn limits(&self) -> Option<SqlLimits> {
        let default = SqlLimits::default();
        let limits = SqlLimits {
            memory_mib: self.memory_mib.unwrap_or(default.memory_mib),
            seconds: self.seconds.unwrap_or(default.seconds),
            rows: self.rows.unwrap_or(default.rows),
            queries: self.queries.unwrap_or(default.queries),
            connections: self.connections.unwrap_or(default.connections),
            use_rollups: self.use_rollups.unwrap_or(default.use_rollups),
        };
        let none = limits.memory_mib == 0
            || limits.seconds == 0
            || limits.rows == 0
            || limits.queries == 0
            || limits.connections == 0;
        (!none).then_some(limits)
    }
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawAccess {
    mode: Option<Spanned<AccessMode>>,
}

#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
struct RawTls {
    certificate: Option<Spanned<String>>,
    key: Option<Spanned<String>>,
    names: Option<Vec<String>>,
    oldest: Option<TlsVersion>,
}

struct Reader<'a> {
    file: &'a str,
    text: &'a str,
}

impl Reader<'_> {
    fn line(&self, at: usize) -> usize {
        self.text.bytes().take(at).filter(|b| *b == b'\n').count() + 1
    }

    fn error(&self, at: Option<usize>, message: impl Into<String>, remedy: &str) -> SettingsError {
        SettingsError {
            file: self.file.to_owned(),
            line: at.map(|at| self.line(at)),
            message: message.into(),
            remedy: remedy.to_owned(),
        }
    }

    /// In place of "expected u32": which key, what stands there, and what may.
    fn number_wanted(&self, value: Range<usize>, message: &str) -> Option<SettingsError> {
        let (_, wanted) = message.rsplit_once("expected ")?;
        let most = match wanted.trim() {
            "u32" => u64::from(u32::MAX),
            // Numbers of TOML end there.
            "u64" | "usize" => i64::MAX.unsigned_abs(),
            _ => return None,
        };
        let key = self.text.get(..value.start)?.trim_end().strip_suffix('=')?.split_whitespace().next_back()?;
        let key = key.trim_start_matches(['{', ',']);
        let given = self.text.get(value.clone())?.trim();
        let (least, most) = match key {
            "history_days" => ("0 (for ever)", most),
            "http_connections" | "mqtt_connections" => ("1", MOST_PLACES as u64),
            _ => ("1", most),
        };
        let remedy = format!("give a whole number from {least} to {most}, without quotes");
        Some(self.error(Some(value.start), format!("{key} = {given} is not a number that it can be"), &remedy))
    }

    fn listen(&self, key: &str, given: Option<&Spanned<String>>, default: Listen) -> Result<Listen, SettingsError> {
        let Some(given) = given else { return Ok(default) };
        match given.get_ref().as_str() {
            "off" => Ok(Listen::Off),
            text => text.parse().map(Listen::At).map_err(|_| {
                let remedy = "write an address with a port, such as \"127.0.0.1:8080\" or \"[::]:8443\", or \"off\"";
                self.error(Some(given.span().start), format!("\"{text}\" is not an address for {key}"), remedy)
            }),
        }
    }

    fn plain(&self, key: &str, given: Option<&Spanned<String>>, default: Listen) -> Result<Listen, SettingsError> {
        let listen = self.listen(key, given, default)?;
        match (listen, given) {
            (Listen::At(address), Some(given)) if !address.ip().is_loopback() => Err(self.error(
                Some(given.span().start),
                format!("{key} = \"{address}\" would be readable on the network"),
                "use tls_listen for this address, and keep listen on 127.0.0.1 or switch it \"off\"",
            )),
            _ => Ok(listen),
        }
    }
}

/// Reads and checks settings from text; relative paths are taken from `base`.
/// # Errors
/// The first thing that is wrong, with its line and a remedy.
pub fn parse(file: &str, text: &str, base: &Path) -> Result<Settings, SettingsError> {
    let reader = Reader { file, text };
    let raw: Raw = toml::from_str(text).map_err(|e| {
        let first_line = e.message().lines().next().unwrap_or_default().to_owned();
        let number = e.span().and_then(|span| reader.number_wanted(span, &first_line));
        number.unwrap_or_else(|| {
            reader.error(e.span().map(|s| s.start), first_line, "the manual lists every key: docs/manual/settings.md")
        })
    })?;
    let local = |port| Listen::At(SocketAddr::from(([127, 0, 0, 1], port)));
    let http = reader.plain("[http] listen", raw.http.listen.as_ref(), local(8080))?;
    let https = reader.listen("[http] tls_listen", raw.http.tls_listen.as_ref(), Listen::Off)?;
    let mqtt = reader.plain("[mqtt] listen", raw.mqtt.listen.as_ref(), local(1883))?;
    let mqtts = reader.listen("[mqtt] tls_listen", raw.mqtt.tls_listen.as_ref(), Listen::Off)?;
    // Encrypted beyond loopback: the protocol agrees on TLS within the connection.
    let sql = reader.listen("[sql] listen", raw.sql.listen.as_ref(), local(5442))?;
    let Some(sql_limits) = raw.sql.limits() else {
        return Err(reader.error(
            None,
            "a limit of 0 in [sql] would answer nothing",
            "give a number above 0, or switch [sql] listen \"off\"",
        ));
    };
    let beyond = |listen: Listen| listen.address().is_some_and(|a| !a.ip().is_loopback());
    let access = raw.access.mode.as_ref().map_or(AccessMode::Login, |m| *m.get_ref());
    let allow_anonymous = raw.mqtt.allow_anonymous.as_ref().is_some_and(|a| *a.get_ref());
    if access == AccessMode::Open && (beyond(https) || beyond(mqtts) || beyond(sql)) {
        let at = raw.access.mode.as_ref().map(|m| m.span().start);
        return Err(reader.error(
            at,
            "mode = \"open\" lets everybody in, and a listener is beyond loopback",
            "use mode = \"login\", or keep every listener on loopback",
        ));
    }
    if allow_anonymous && (beyond(mqtts) || beyond(https)) {
        let at = raw.mqtt.allow_anonymous.as_ref().map(|a| a.span().start);
        return Err(reader.error(
            at,
            "allow_anonymous = true, and a listener is beyond loopback",
            "give each device a credential, or keep every listener on loopback",
        ));
    }
    let mqtt_client_ca = match (&raw.mqtt.client_ca, &raw.mqtt.client_certificate) {
        (None, None) => None,
        (None, Some(asked)) => {
            return Err(reader.error(
                Some(asked.span().start),
                "client_certificate says nothing without client_ca",
                "name the file with the certificates of those who issue your clients', in client_ca",
            ));
        }
        (Some(ca), _) if mqtts == Listen::Off => {
            return Err(reader.error(
                Some(ca.span().start),
                "client_ca, but MQTT is not spoken over TLS",
                "give [mqtt] tls_listen an address, such as \"0.0.0.0:8883\"",
            ));
        }
        (Some(ca), asked) => {
            let required = asked.as_ref().is_some_and(|asked| *asked.get_ref() == ClientCertificate::Required);
            Some(ClientCa { file: base.join(ca.get_ref()), required })
        }
    };
    let certificate = match (raw.tls.certificate, raw.tls.key) {
        (Some(certificate), Some(key)) => Some((base.join(certificate.get_ref()), base.join(key.get_ref()))),
        (None, None) => None,
        (Some(one), None) | (None, Some(one)) => {
            return Err(reader.error(
                Some(one.span().start),
                "[tls] needs both certificate and key",
                "name both files, or neither to have a certificate made",
            ));
        }
    };
    if raw.limits.records_days == 0
        || raw.limits.messages_mib == 0
        || raw.limits.http_connections == 0
        || raw.limits.http_connections_per_address == 0
        || raw.limits.mqtt_connections == 0
        || raw.limits.mqtt_connections_per_address == 0
        || raw.limits.mqtt_connects_per_second == 0
        || raw.limits.mqtt_connects_per_second_per_address == 0
        || raw.limits.sql_connections_per_address == 0
        || raw.limits.mqtt_payload_bytes == 0
    {
        return Err(reader.error(
            None,
            "a limit of 0 in [limits] would keep or accept nothing",
            "give a number above 0; only history_days may be 0, for ever, and mqtt_topics_listed, for none",
        ));
    }
    if raw.history.keep_removed_days == 0 {
        return Err(reader.error(
            None,
            "[history] keep_removed_days = 0 would take files away from programs that read them",
            "give 1 or more days",
        ));
    }
    if raw.limits.http_connections > MOST_PLACES || raw.limits.mqtt_connections > MOST_PLACES {
        return Err(reader.error(
            None,
            format!("[limits] allows more than {MOST_PLACES} connections"),
            "give a number that the machine has open files and memory for",
        ));
    }
    let wrong = |(at, message, remedy): erp::Wrong| reader.error(Some(at), message, remedy);
    let b2mml = raw.b2mml.check().map_err(wrong)?;
    let links = erp::check(raw.erp, base).map_err(wrong)?;
    let records = raw.records.check(base).map_err(wrong)?;
    let data_dir = match &raw.data_dir {
        Some(given) if given.get_ref().is_empty() => {
            return Err(reader.error(
                Some(given.span().start),
                "data_dir is empty",
                "name a folder, such as \"/var/lib/andon\"",
            ));
        }
        Some(given) => base.join(given.get_ref()),
        None => return Err(reader.error(None, "data_dir is missing", "add: data_dir = \"/var/lib/andon\"")),
    };
    Ok(Settings {
        data_dir,
        http,
        https,
        mqtt,
        mqtts,
        allow_anonymous,
        mqtt_client_ca,
        sql,
        sql_limits,
        access,
        certificate,
        names: raw.tls.names.unwrap_or_else(|| vec!["localhost".to_owned(), "127.0.0.1".to_owned()]),
        oldest_tls: match raw.tls.oldest {
            Some(TlsVersion::V12) => Oldest::V12,
            Some(TlsVersion::V13) | None => Oldest::V13,
        },
        records,
        open_table: raw.history,
        b2mml,
        erp: links,
        limits: raw.limits,
    })
}

impl Settings {
    /// Whether SQL is offered to other machines.
    pub fn sql_beyond_loopback(&self) -> bool {
        self.sql.address().is_some_and(|address| !address.ip().is_loopback())
    }
}

/// Reads and checks a settings file.
/// # Errors
/// As [`parse`]; or the file cannot be read.
pub fn read(path: &Path) -> Result<Settings, SettingsError> {
    let file = path.display().to_string();
    let text = std::fs::read_to_string(path).map_err(|e| SettingsError {
        file: file.clone(),
        line: None,
        message: format!("cannot be read: {e}"),
        remedy: "name the settings file with --config".to_owned(),
    })?;
    // Whole, for a tool that runs in another folder is told of files by it.
    let whole = std::path::absolute(path).unwrap_or_else(|_| path.to_owned());
    parse(&file, &text, whole.parent().unwrap_or(Path::new(".")))
}

impl Settings {
    /// What a person must be warned of as long as it is so.
    pub fn warnings(&self) -> Vec<String> {
        let mut warnings = Vec::new();
        if self.access == AccessMode::Open {
            warnings.push("Open mode: everybody on this machine may see and operate everything.".to_owned());
        }
        if self.allow_anonymous {
            warnings.push("MQTT clients without credentials are let in on this machine.".to_owned());
        }
        warnings
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Settings, String> {
        parse("andon.toml", text, Path::new("/etc/andon")).map_err(|e| e.to_string())
    }

    #[test]
    fn the_defaults_are_loopback_and_log_in() {
        let settings = check("data_dir = \"data\"").expect("fine");
        assert_eq!(settings.data_dir, Path::new("/etc/andon/data"));
        assert_eq!(settings.http, Listen::At("127.0.0.1:8080".parse().expect("address")));
        assert_eq!((settings.https, settings.mqtts), (Listen::Off, Listen::Off));
        assert_eq!(settings.sql, Listen::At("127.0.0.1:5442".parse().expect("address")));
        assert_eq!(settings.sql_limits, SqlLimits::default());
        assert_eq!(settings.open_table, OpenTable { publish: true, keep_removed_days: 7 });
        assert_eq!((settings.access, settings.allow_anonymous), (AccessMode::Login, false));
        assert_eq!((settings.oldest_tls, settings.mqtt_client_ca), (Oldest::V13, None));
    }

    #[test]
    fn all_keys_are_read() {
        let text = "data_dir = \"/d\"\n[http]\nlisten = \"127.0.0.1:0\"\ntls_listen = \"0.0.0.0:8443\"\n[mqtt]\nlisten = \"off\"\ntls_listen = \"[::]:8883\"\nclient_ca = \"ca.pem\"\nclient_certificate = \"required\"\n\
                    [sql]\nlisten = \"0.0.0.0:5442\"\nseconds = 5\n[access]\nmode = \"login\"\n[tls]\ncertificate = \"c.pem\"\nkey = \"k.pem\"\noldest = \"1.2\"\n[limits]\nmessages_mib = 64\n[history]\npublish = false\nkeep_removed_days = 2\n";
        let settings = check(text).expect("fine");
        assert_eq!(settings.mqtt, Listen::Off);
        assert_eq!(settings.sql, Listen::At("0.0.0.0:5442".parse().expect("address")));
        assert_eq!(settings.sql_limits, SqlLimits { seconds: 5, ..SqlLimits::default() });
        assert_eq!(settings.oldest_tls, Oldest::V12);
        assert_eq!(settings.mqtt_client_ca, Some(ClientCa { file: "/etc/andon/ca.pem".into(), required: true }));
        assert_eq!(settings.certificate, Some(("/etc/andon/c.pem".into(), "/etc/andon/k.pem".into())));
        assert_eq!(settings.limits, Limits { messages_mib: 64, ..Limits::default() });
        assert_eq!(settings.open_table, OpenTable { publish: false, keep_removed_days: 2 });
    }

    #[test]
    fn errors_name_the_line_and_the_remedy() {
        for (text, expected) in [
            ("", "data_dir is missing"),
            (
                "data_dir = \"d\"\n[http]\nlisten = \"0.0.0.0:80\"",
                "line 3: [http] listen = \"0.0.0.0:80\" would be readable",
            ),
            ("data_dir = \"d\"\n[mqtt]\nlisten = \"nowhere\"", "line 3: \"nowhere\" is not an address"),
            ("data_dir = \"d\"\n\n[htp]\nlisten = \"off\"", "line 3: unknown field `htp`"),
            (
                "data_dir = \"d\"\n[access]\nmode = \"open\"\n[http]\ntls_listen = \"0.0.0.0:443\"",
                "line 3: mode = \"open\" lets everybody in",
            ),
            (
                "data_dir = \"d\"\n[mqtt]\nallow_anonymous = true\ntls_listen = \"0.0.0.0:8883\"",
                "line 3: allow_anonymous = true",
            ),
            (
                "data_dir = \"d\"\n[access]\nmode = \"open\"\n[sql]\nlisten = \"0.0.0.0:5442\"",
                "line 3: mode = \"open\" lets everybody in",
            ),
            ("data_dir = \"d\"\n[sql]\nqueries = 0", "a limit of 0 in [sql]"),
            ("data_dir = \"d\"\n[tls]\nkey = \"k\"", "line 3: [tls] needs both"),
            ("data_dir = \"d\"\n[tls]\noldest = \"1.1\"", "line 3: unknown variant `1.1`, expected `1.2` or `1.3`"),
            ("data_dir = \"d\"\n[mqtt]\nclient_ca = \"ca.pem\"", "line 3: client_ca, but MQTT is not spoken over TLS"),
            ("data_dir = \"d\"\n[mqtt]\nclient_certificate = \"required\"", "line 3: client_certificate says nothing"),
            ("data_dir = \"d\"\n[limits]\nrecords_days = 0", "a limit of 0"),
            ("data_dir = \"d\"\n[limits]\nhttp_connections_per_address = 0", "a limit of 0"),
            ("data_dir = \"d\"\n[limits]\nsql_connections_per_address = 0", "a limit of 0"),
            ("data_dir = \"d\"\n[limits]\nmqtt_connects_per_second = 0", "a limit of 0"),
            (
                "data_dir = \"d\"\n[limits]\nhistory_days = -3",
                "line 3: history_days = -3 is not a number that it can be\n  try: give a whole number from 0 (for ever) to 4294967295",
            ),
            (
                "data_dir = \"d\"\nlimits = { records_days = 5000000000 }",
                "line 2: records_days = 5000000000 is not a number that it can be\n  try: give a whole number from 1 to 4294967295",
            ),
            (
                "data_dir = \"d\"\n[sql]\nqueries = \"2\"",
                "line 3: queries = \"2\" is not a number that it can be\n  try: give a whole number from 1 to 9223372036854775807",
            ),
            ("data_dir = \"d\"\n[limits]\nmqtt_connections = -1", "line 3: mqtt_connections = -1 is not a number"),
            ("data_dir = \"d\"\n[limits]\nmqtt_connections_per_address = -1", "from 1 to 9223372036854775807"),
            ("data_dir = \"d\"\n[limits]\nhttp_connections = 9223372036854775807", "more than 16777216 connections"),
            ("data_dir = \"d\"\n[history]\nkeep_removed_days = 0", "keep_removed_days = 0 would take files away"),
            ("data_dir = \"d\"\n[history]\nkeep_removed_days = 70000", "line 3"),
            (
                "data_dir = \"d\"\n[records]\nurl = \"postgres://a@10.0.0.5/b?sslmode=disable\"",
                "line 3: [records] url: 10.0.0.5 is another machine",
            ),
            ("data_dir = ", "line 1"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.contains(expected) && error.contains("try:"), "{text:?}: {error}");
        }
    }
}
