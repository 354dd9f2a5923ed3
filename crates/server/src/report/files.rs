//! Reports as files, for whoever takes them from a folder: the signed JSON, and each table as CSV.
//!
//! What is to be written is noted in the transaction that keeps the report, and noted no more when it is written. A kill in between writes the
//! same files again under the same names. Each file is there as a whole or not at all, the JSON last: whoever sees it sees all of them.

use super::schedule::Doing;
use super::{Reports, alarms, order, sections, signed_file};
use crate::erp::files::put;
use andon_api::ports::NotDone;
use andon_mes::master::MasterData;
use andon_model::text::csv_cell;
use andon_store::StoreError;
use andon_store::report::{ReportRepository as _, ReportRow, StoredReport};
use serde_json::Value;
use std::collections::BTreeMap;
use std::io;
use std::path::Path;
use tokio_util::sync::CancellationToken;

/// So many reports are written before anything else is done.
const AT_ONCE: u32 = 20;
/// The longest part of a file's name that comes of a name of people.
const NAME_LIMIT: usize = 64;

/// The tables of a report, each with its columns.
const TABLES: [(&str, &[&str]); 12] = [
    ("children", &sections::CHILD),
    ("orders", &sections::ORDER),
    ("jobs", &sections::JOB),
    ("alarms", &alarms::ALARM),
    ("logbook", &sections::ENTRY),
    ("handovers", &sections::HANDED_OVER),
    ("labour", &sections::LABOUR),
    ("maintenance", &sections::MAINTAINED),
    ("counts", &order::COUNT),
    ("consumption", &order::CONSUMED),
    ("units", &order::UNIT),
    ("kpis", &["id", "value", "numerator", "denominator", "target", "formula"]),
];
/// Of the figures, also these lists are tables.
const OF_KPIS: [(&str, &str, &[&str]); 2] =
    [("losses", "losses", &["id", "ms"]), ("downtime", "reasons", &["element", "reason", "ms", "stops"])];

/// Why the files of a report were not written.
enum Unwritten {
    /// No file can be written to its folder.
    Folder(String),
    /// It cannot be read.
    Report(String),
}

impl Reports {
    /// Writes the files of reports that are still to be written, until so many are. A folder that cannot be written is left until the next
    /// round, and holds up no other.
    pub(super) async fn write_files(&self, master: &MasterData, stop: &CancellationToken) -> Result<(), StoreError> {
        let (mut after, mut written, mut unwritable) = (None, 0, Vec::new());
        let mut outcomes: BTreeMap<String, Result<(), NotDone>> = BTreeMap::new();
        'all: while written < AT_ONCE {
            let page = self.parts.store.report_files(after, &unwritable, AT_ONCE).await?;
            if page.is_empty() {
                break;
            }
            for (id, folder) in page {
                if stop.is_cancelled() {
                    break 'all;
                }
                after = Some(id);
                if unwritable.contains(&folder) {
                    continue;
                }
                let Some(stored) = self.parts.store.report(id).await? else { continue };
                let name = stored.row.schedule.clone().unwrap_or_default();
                let done = match self.write_report(&folder, stored).await? {
                    Ok(()) => {
                        self.parts.store.report_written(id).await?;
                        written += 1;
                        Ok(())
                    }
                    Err(Unwritten::Folder(why)) => {
                        unwritable.push(folder);
                        Err(NotDone::Failed(why))
                    }
                    Err(Unwritten::Report(why)) => Err(NotDone::Failed(why)),
                };
                // What went wrong with one is told, whatever went well with others.
                let outcome = outcomes.entry(name).or_insert(Ok(()));
                *outcome = std::mem::replace(outcome, Ok(())).and(done);
            }
        }
        if written < AT_ONCE && unwritable.is_empty() && !stop.is_cancelled() {
            // Nothing waits but what has just failed.
            let failed = outcomes.iter().filter(|(_, outcome)| outcome.is_err()).map(|(name, _)| name.clone());
            self.written(&failed.collect());
        }
        for (name, outcome) in outcomes {
            // Of a schedule that was taken out of the documents nobody is told again and again.
            if master.reports.contains_key(&name) {
                self.note(&name, Doing::Write, outcome);
            }
        }
        Ok(())
    }

    async fn write_report(&self, folder: &str, stored: StoredReport) -> Result<Result<(), Unwritten>, StoreError> {
        let target = self.parts.folder.join(folder);
        let written = tokio::task::spawn_blocking(move || write(&target, &stored)).await;
        written.map_err(|fault| StoreError::Interrupted { reason: fault.to_string() })
    }
}

/// Writes a report into a folder. Blocking.
fn write(folder: &Path, stored: &StoredReport) -> Result<(), Unwritten> {
    let stem = stem(&stored.row);
    let unreadable = |why: &str| Unwritten::Report(format!("a report cannot be read: {why}"));
    let report: Value = serde_json::from_slice(&stored.content).map_err(|error| unreadable(&error.to_string()))?;
    let signed = signed_file(stored).map_err(|error| unreadable(&error))?;
    // Without the name of the file, which is another for each report: what stays the same is told once.
    let failed = |error: io::Error| Unwritten::Folder(format!("{}: {error}", folder.display()));
    for (table, text) in tables(&report["sections"]) {
        put(folder, &format!("{stem}.{table}.csv"), text.as_bytes()).map_err(failed)?;
    }
    put(folder, &format!("{stem}.json"), &signed).map_err(failed)
}

/// What the files of a report are called, without their ending: `line1-shift_20261128T060000Z_0195…`.
pub(super) fn stem(row: &ReportRow) -> String {
    let named = row.schedule.clone().unwrap_or_else(|| {
        if row.subject.is_empty() { format!("{}-{}", row.kind, row.path) } else { format!("order-{}", row.subject) }
    });
    let safe = |c: char| if c.is_ascii_alphanumeric() || "-.".contains(c) { c } else { '-' };
    let named: String = named.chars().take(NAME_LIMIT).map(safe).collect();
    // In UTC, to the second, without what some file systems refuse.
    let begins: String = row.from.to_string().chars().filter(char::is_ascii_alphanumeric).take(15).collect();
    format!("{}_{begins}Z_{}", named.trim_start_matches('.'), row.id)
}

/// The tables of the sections, in CSV by RFC 4180.
fn tables(sections: &Value) -> Vec<(&'static str, String)> {
    let of_sections = TABLES.iter().filter_map(|(name, columns)| {
        let section = &sections[*name];
        let rows = if *name == "kpis" { &section["kpis"] } else { &section["rows"] };
        Some((*name, csv(columns, rows.as_array()?)))
    });
    let of_kpis = OF_KPIS.iter().filter_map(|(name, list, columns)| {
        let rows = sections["kpis"][*list].as_array()?;
        Some((*name, csv(columns, rows)))
    });
    of_sections.chain(of_kpis).collect()
}

fn csv(columns: &[&str], rows: &[Value]) -> String {
    let mut table = columns.join(",");
    table.push_str("\r\n");
    for row in rows {
        let cells: Vec<String> = columns.iter().map(|column| cell(&row[*column])).collect();
        table.push_str(&cells.join(","));
        table.push_str("\r\n");
    }
    table
}

fn cell(value: &Value) -> String {
    match value {
        Value::Null => String::new(),
        Value::String(text) => csv_cell(text),
        value => csv_cell(&value.to_string()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn tables_are_csv_and_what_is_missing_is_none() {
        let sections = json!({
            "kpis": { "missing": "no machine" },
            "counts": { "rows": [{ "job": "4711/10", "at_ms": 5, "scrap": "2", "rework": null, "reason": "a,b", "by": "=1" }] },
            "units": { "rows": [], "truncated": false },
        });
        let told = tables(&sections);
        assert_eq!(
            told,
            [
                ("counts", "job,at_ms,scrap,rework,reason,by\r\n4711/10,5,2,,\"a,b\",'=1\r\n".to_owned()),
                ("units", "number,state,made_ms,certificate,sha256\r\n".to_owned()),
            ]
        );
    }
}
