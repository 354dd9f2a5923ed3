//! Whether a backup is whole inside: frames of the log, audit trail, history, records; and whether they fit together.
//!
//! Checksums of files tell that a copy is what was copied. This tells that it was worth copying.

use andon_access::audit;
use andon_backup::{Repository, Snapshot};
use andon_historian::copy::Promise;
use andon_log::{LogCopy, snapshot_positions};
use andon_model::SystemClock;
use andon_model::log::{Lane, Log, Positions, Seq};
use andon_store::Store;
use anyhow::Result;
use std::path::Path;
use std::sync::Arc;

/// How much of a lane is read at a time.
const READ_BYTES: usize = 4 << 20;
/// How many damaged places of a lane are told.
const TOLD: usize = 5;

/// What a look inside has found.
#[derive(Debug, Default)]
pub struct Inside {
    /// What is there, one line each.
    pub facts: Vec<String>,
    /// What is wrong, one line each; empty if all is well.
    pub findings: Vec<String>,
}

/// Looks into one backup. Blocking but for the records.
/// # Errors
/// The task was cut short.
pub async fn inspect(repository: &Repository, snapshot: &Snapshot) -> Result<Inside> {
    let (repository, snapshot) = (repository.clone(), snapshot.clone());
    let (here, of) = (repository.clone(), snapshot.clone());
    let (mut inside, ends) = tokio::task::spawn_blocking(move || {
        let mut inside = Inside::default();
        inside
            .findings
            .extend(of.what.missing.iter().map(|path| format!("{path} was missing already when the backup was made")));
        let ends = inside.log(&here, &of);
        inside.history(&here, &of, ends.map(|ends| ends.samples));
        (inside, ends)
    })
    .await?;
    inside.records(&repository, &snapshot, ends.map(|ends| ends.records)).await;
    Ok(inside)
}

impl Inside {
    fn wrong(&mut self, text: String) {
        self.findings.push(text);
    }

    /// Reads every frame; gives the end of each lane.
    fn log(&mut self, repository: &Repository, snapshot: &Snapshot) -> Option<Positions> {
        let Some(node) = snapshot.entry("log/node") else {
            self.wrong("log/node is not in the backup".to_owned());
            return None;
        };
        let segments = Lane::ALL.into_iter().flat_map(|lane| {
            let folder = format!("{}/", super::lane_folder(lane));
            let of_lane =
                snapshot.files.iter().filter_map(move |entry| Some((entry, entry.path.strip_prefix(&folder)?)));
            of_lane.map(move |(entry, name)| (lane, name, repository.object(&entry.sha256)))
        });
        let log = match LogCopy::open(&repository.object(&node.sha256), segments, Arc::new(SystemClock)) {
            Ok(log) => log,
            Err(error) => {
                self.wrong(format!("the log cannot be read: {error}"));
                return None;
            }
        };
        for lane in Lane::ALL {
            self.lane(&log, lane, snapshot);
        }
        self.readers(&log, repository, snapshot);
        match audit::verify(&log, None) {
            Ok(report) if report.ok => self.facts.push(report.detail),
            Ok(report) => self.wrong(format!("audit trail: {}", report.detail)),
            Err(error) => self.wrong(format!("audit trail: {error}")),
        }
        let mut ends = Positions::default();
        Lane::ALL.into_iter().for_each(|lane| ends.set(lane, log.durable_seq(lane)));
        Some(ends)
    }

    fn lane(&mut self, log: &LogCopy, lane: Lane, snapshot: &Snapshot) {
        let (first, last, name) = (log.first_seq(lane), log.durable_seq(lane), lane.name());
        let promised = snapshot.what.positions.get(name).copied().unwrap_or_default();
        if last.0 < promised {
            self.wrong(format!("the log's {name} lane ends at frame {} and should reach {promised}", last.0));
        }
        let (mut next, mut frames, mut told) = (first.max(Seq(1)), 0_u64, 0);
        while next <= last {
            let batch = match log.read(lane, next, READ_BYTES) {
                Ok(batch) => batch,
                Err(error) => return self.wrong(error.to_string()),
            };
            frames += batch.frames.len() as u64;
            for gap in &batch.gaps {
                told += 1;
                if told <= TOLD {
                    self.wrong(format!("frames {} to {} of the {name} lane: {}", gap.from.0, gap.to.0, gap.reason));
                }
            }
            if batch.next <= next {
                return self.wrong(format!("the {name} lane cannot be read on from frame {}", next.0));
            }
            next = batch.next;
        }
        if told > TOLD {
            self.wrong(format!("and {} more damaged places of the {name} lane", told - TOLD));
        }
        self.facts.push(format!("{name} lane: {frames} frames, {} to {}", first.0, last.0));
    }

    /// No reader is ahead of the log, or it would pass over what comes next.
    fn readers(&mut self, log: &LogCopy, repository: &Repository, snapshot: &Snapshot) {
        for entry in &snapshot.files {
            let Some(name) = entry.path.strip_prefix("log/snapshots/") else { continue };
            let reader = name.strip_suffix('~').unwrap_or(name);
            match snapshot_positions(reader, &repository.object(&entry.sha256)) {
                Err(error) => self.wrong(format!("{}: {error}", entry.path)),
                Ok(positions) => {
                    for lane in Lane::ALL {
                        let (seen, end) = (positions.get(lane), log.durable_seq(lane));
                        if seen > end {
                            let lane = lane.name();
                            self.wrong(format!(
                                "{} has seen {} frames of the {lane} lane, which ends at {}",
                                entry.path, seen.0, end.0
                            ));
                        }
                    }
                }
            }
        }
    }

    fn history(&mut self, repository: &Repository, snapshot: &Snapshot, samples_end: Option<Seq>) {
        let Some(manifest) = snapshot.entry("history/manifest") else {
            self.wrong("history/manifest is not in the backup".to_owned());
            return;
        };
        let locate = |path: &Path| {
            let entry = snapshot.entry(&format!("history/{}", path.to_str()?))?;
            Some(repository.object(&entry.sha256))
        };
        match Promise::read(&repository.object(&manifest.sha256)).map(|promise| promise.check(locate)) {
            Err(error) => self.wrong(error.to_string()),
            Ok(report) => {
                for finding in report.findings {
                    let path = format!("history/{}", finding.file.display());
                    let before = snapshot.flawed().iter().any(|flawed| flawed.path == path);
                    let since = if before { "; it was damaged already when the backup was made" } else { "" };
                    if !snapshot.what.missing.contains(&path) {
                        self.wrong(format!("{path}: {}{since}", finding.what));
                    }
                }
                if samples_end.is_some_and(|end| report.position > end) {
                    self.wrong(format!("history reaches frame {}, which the log does not hold", report.position.0));
                }
                self.facts.push(format!("history: {} rows in files, up to frame {}", report.rows, report.position.0));
            }
        }
    }

    async fn records(&mut self, repository: &Repository, snapshot: &Snapshot, end: Option<Seq>) {
        let Some(entry) = snapshot.entry("records.sqlite") else {
            self.wrong("records.sqlite is not in the backup".to_owned());
            return;
        };
        match Store::check_copy(&repository.object(&entry.sha256)).await {
            Ok(offsets) => {
                for (reader, seen) in offsets {
                    if let Some(end) = end.filter(|end| seen > *end) {
                        self.wrong(format!(
                            "\"{reader}\" in records.sqlite has seen record {}, and the log ends at {}",
                            seen.0, end.0
                        ));
                    }
                }
                self.facts.push("records: every page and index is whole".to_owned());
            }
            Err(error) => self.wrong(format!("records.sqlite: {error}")),
        }
    }
}
