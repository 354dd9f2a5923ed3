//! One Delta commit: what it says, as the JSON lines of its file, and read back.

use super::{Known, PublishError};
use crate::manifest::FileInfo;
use serde_json::{Value, json};
use std::path::Path;

/// Who we are in the table's log.
pub(super) const APP_ID: &str = "andon-historian";

const DESCRIPTION: &str = "History of Andon, written by Andon alone. value = coalesce(v_int / coalesce(scale, 1.0), v_float, v_double), \
     or v_bool, or v_text; time = ts_ms milliseconds and ts_us microseconds since 1970-01-01 UTC; at most one row per tag and time";

/// Counts the changes of `COLUMNS`: 0, without `received_at_ms`.
pub(super) const SCHEMA: u32 = 1;

/// Name, type, whether it may be null, meaning. The types as `segment::layout` stores them.
const COLUMNS: [(&str, &str, bool, &str); 12] = [
    ("tag", "long", false, "number of the tag in its node"),
    ("ts_ms", "long", false, "source time, ms since 1970-01-01 UTC, rounded down"),
    ("ts_us", "short", false, "microseconds beyond ts_ms, 0 to 999"),
    ("v_int", "long", true, "a whole number, or a decimal one times scale"),
    ("scale", "double", true, "a power of ten: the value is v_int / scale; null: v_int is a whole number"),
    ("v_float", "float", true, "a number that a single precision float holds exactly"),
    ("v_double", "double", true, "any other number"),
    ("v_bool", "boolean", true, ""),
    ("v_text", "string", true, ""),
    ("quality", "long", false, "OPC UA StatusCode; 0 is Good"),
    ("received_ms", "long", true, "received minus source time, ms; of what came within an hour of its time"),
    ("received_at_ms", "long", true, "when it was received, ms since 1970-01-01 UTC; of all others"),
];

/// What a commit changes.
pub(super) struct Change {
    /// The version it makes.
    pub version: u64,
    /// Says what the table is: in its first version, and when it gets other columns.
    pub describes: bool,
    /// When the table began, ms since 1970-01-01.
    pub created_ms: i64,
    pub id: String,
    /// Of the manifest that is published.
    pub number: u64,
    pub now_ms: i64,
    pub added: Vec<Added>,
    pub removed: Vec<Removed>,
}

pub(super) struct Added {
    pub info: FileInfo,
    /// Whether it has rows that were not in the table; not so for a merge.
    pub new_rows: bool,
}

pub(super) struct Removed {
    pub path: String,
    pub at_ms: i64,
    /// Whether its rows leave the table; not so for a merge.
    pub rows_gone: bool,
}

impl Change {
    /// A description is worth a commit even without files.
    pub(super) fn is_empty(&self) -> bool {
        !self.describes && self.added.is_empty() && self.removed.is_empty()
    }

    /// The commit's file: one action a line.
    pub(super) fn encode(&self) -> String {
        let mut lines = vec![json!({"commitInfo": {
            "timestamp": self.now_ms,
            "operation": self.operation(),
            "operationParameters": {},
            "isBlindAppend": self.removed.is_empty(),
            "engineInfo": concat!("andon-historian/", env!("CARGO_PKG_VERSION")),
        }})];
        if self.version == 0 {
            lines.push(json!({"protocol": {"minReaderVersion": 1, "minWriterVersion": 2}}));
        }
        if self.describes {
            lines.push(json!({"metaData": {
                "id": self.id,
                "name": "history",
                "description": DESCRIPTION,
                "format": {"provider": "parquet", "options": {}},
                "schemaString": schema(),
                "partitionColumns": [],
                "configuration": {},
                "createdTime": self.created_ms,
            }}));
        }
        lines.push(json!({"txn": {"appId": APP_ID, "version": self.number, "lastUpdated": self.now_ms}}));
        lines.extend(self.removed.iter().map(|removed| {
            json!({"remove": {
                "path": removed.path,
                "deletionTimestamp": removed.at_ms,
                "dataChange": removed.rows_gone,
            }})
        }));
        lines.extend(self.added.iter().map(|added| {
            json!({"add": {
                "path": added.info.table_path(),
                "partitionValues": {},
                "size": added.info.bytes,
                "modificationTime": self.now_ms,
                "dataChange": added.new_rows,
                "stats": stats(&added.info),
            }})
        }));
        lines.iter().map(|line| format!("{line}\n")).collect()
    }

    fn operation(&self) -> &'static str {
        let merge =
            self.added.iter().all(|added| !added.new_rows) && self.removed.iter().all(|removed| !removed.rows_gone);
        match (self.version, self.added.is_empty(), self.removed.is_empty()) {
            (0, ..) => "CREATE TABLE",
            (_, true, true) => "CHANGE COLUMN",
            (_, false, true) => "WRITE",
            (_, true, false) => "DELETE",
            _ if merge => "OPTIMIZE",
            _ => "MERGE",
        }
    }
}

/// The table's columns as Delta writes them.
pub(super) fn schema() -> String {
    let fields: Vec<Value> = COLUMNS
        .iter()
        .map(|(name, kind, nullable, meaning)| {
            let metadata = if meaning.is_empty() { json!({}) } else { json!({"comment": meaning}) };
            json!({"name": name, "type": kind, "nullable": nullable, "metadata": metadata})
        })
        .collect();
    json!({"type": "struct", "fields": fields}).to_string()
}

/// Which columns a table has, as [`SCHEMA`] counts.
fn schema_of(text: &str) -> u32 {
    if text == schema() { SCHEMA } else { 0 }
}

/// What lets a reader skip a file.
pub(super) fn stats(info: &FileInfo) -> String {
    let (first, last) = (info.ts.0.div_euclid(1000), info.ts.1.div_euclid(1000));
    json!({
        "numRecords": info.rows,
        "minValues": {"tag": info.tags.0, "ts_ms": first},
        "maxValues": {"tag": info.tags.1, "ts_ms": last},
        "nullCount": {"tag": 0, "ts_ms": 0},
    })
    .to_string()
}

pub(super) const fn description() -> &'static str {
    DESCRIPTION
}

/// Takes a commit that is in the log into what is known.
pub(super) fn apply(known: &mut Known, version: u64, text: &str, path: &Path) -> Result<(), PublishError> {
    let published = known.published.get_or_insert_default();
    published.version = version;
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let action: Value = serde_json::from_str(line)
            .map_err(|error| PublishError::Damaged { path: path.to_owned(), reason: error.to_string() })?;
        let path_of = |action: &Value| action.get("path").and_then(Value::as_str).map(ToOwned::to_owned);
        let number_of = |action: &Value, name: &str| action.get(name).and_then(Value::as_i64).unwrap_or(0);
        if let Some(metadata) = action.get("metaData") {
            published.id = metadata.get("id").and_then(Value::as_str).unwrap_or_default().to_owned();
            published.created_ms = number_of(metadata, "createdTime");
            published.schema = schema_of(metadata.get("schemaString").and_then(Value::as_str).unwrap_or_default());
        }
        if let Some(added) = action.get("add")
            && let Some(path) = path_of(added)
        {
            known.removed.remove(&path);
            published.files.insert(path, number_of(added, "modificationTime"));
        }
        if let Some(removed) = action.get("remove")
            && let Some(path) = path_of(removed)
        {
            published.files.remove(&path);
            known.removed.entry(path).or_insert_with(|| number_of(removed, "deletionTimestamp"));
        }
        if let Some(txn) = action.get("txn").filter(|txn| txn.get("appId").and_then(Value::as_str) == Some(APP_ID)) {
            known.number = known.number.max(txn.get("version").and_then(Value::as_u64).unwrap_or(0));
        }
    }
    Ok(())
}

/// When a commit was made, ms since 1970-01-01; `None` when it does not say.
pub(super) fn made_ms(text: &str) -> Option<i64> {
    let first: Value = serde_json::from_str(text.lines().next()?).ok()?;
    first.get("commitInfo")?.get("timestamp")?.as_i64()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::period::Period;
    use andon_model::log::Seq;

    #[test]
    fn a_commit_is_read_back_as_it_was_meant() {
        let info = FileInfo {
            rows: 3,
            bytes: 99,
            tags: (1, 4),
            ts: (-1, 5_999),
            ..FileInfo::empty(Period::day(0), Seq(1), Seq(2))
        };
        let change = Change {
            version: 0,
            describes: true,
            created_ms: 12,
            id: "an-id".to_owned(),
            number: 7,
            now_ms: 12,
            added: vec![Added { info: info.clone(), new_rows: true }],
            removed: vec![Removed { path: "1970-01-01/1-1.parquet".to_owned(), at_ms: 5, rows_gone: false }],
        };
        let text = change.encode();
        assert_eq!(made_ms(&text), Some(12));
        let mut known = Known::default();
        apply(&mut known, 0, &text, Path::new("0.json")).unwrap();
        let published = known.published.unwrap();
        assert_eq!((published.id.as_str(), published.created_ms, published.version, known.number), ("an-id", 12, 0, 7));
        assert_eq!(published.schema, SCHEMA);
        assert_eq!(published.files.into_iter().collect::<Vec<_>>(), [(info.table_path(), 12)]);
        assert_eq!(known.removed.into_iter().collect::<Vec<_>>(), [("1970-01-01/1-1.parquet".to_owned(), 5)]);
        assert!(
            text.contains(r#"\"minValues\":{\"tag\":1,\"ts_ms\":-1}"#) && text.contains(r#"\"ts_ms\":5}"#),
            "{text}"
        );
        assert!(apply(&mut Known::default(), 0, "{\"add\":", Path::new("0.json")).is_err());
    }
}
