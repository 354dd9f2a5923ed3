//! Reading a repository again: is every file of every backup there, whole, and nothing else?

use crate::files::{Pace, Progress, is_sum, read_back};
use crate::repository::{BackupError, MARK, Repository, names};
use crate::snapshot::Snapshot;
use crate::write::unfinished;
use std::collections::{BTreeMap, BTreeSet};
use std::io;
use std::path::{Path, PathBuf};

/// Something that is not as it should be.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file in the repository.
    pub file: PathBuf,
    /// What it is in the backups, where it is one.
    pub path: Option<String>,
    /// What is wrong, in plain words.
    pub what: String,
}

/// What was found.
#[derive(Clone, PartialEq, Eq, Debug, Default)]
pub struct Report {
    /// The backups that could be read, oldest first.
    pub snapshots: Vec<Snapshot>,
    /// Files that were read.
    pub files: u64,
    /// Their bytes.
    pub bytes: u64,
    /// Files that no backup has, left by one that was cut off or whose backup was removed; they do no harm.
    pub left_over: u64,
    /// What is wrong; empty if all is well.
    pub findings: Vec<Finding>,
}

impl Repository {
    /// Reads every file of every backup and compares it with its checksum. Blocking and long.
    /// # Errors
    /// The folder cannot be listed. What is damaged or missing is a finding.
    pub fn check(&self, pace: &mut dyn Pace) -> Result<Report, BackupError> {
        let mut report = Report::default();
        for name in self.names()? {
            match self.snapshot(Some(&name)) {
                Ok(snapshot) => report.snapshots.push(snapshot),
                Err(error) => {
                    let file = self.snapshots_folder().join(format!("{name}.json"));
                    let what = match error {
                        BackupError::Damaged { reason, .. } => reason,
                        other => other.to_string(),
                    };
                    report.findings.push(Finding { file, path: None, what });
                }
            }
        }
        let mut wanted: BTreeMap<&str, (u64, &str)> = BTreeMap::new();
        for entry in report.snapshots.iter().flat_map(|snapshot| &snapshot.files) {
            wanted.insert(&entry.sha256, (entry.bytes, &entry.path));
        }
        let mut progress = Progress {
            files_total: wanted.len() as u64,
            // One backup's bytes have a bound, all together have none.
            bytes_total: wanted.values().fold(0, |total: u64, (bytes, _)| total.saturating_add(*bytes)),
            ..Progress::default()
        };
        let mut found = Vec::new();
        for (sum, (bytes, path)) in &wanted {
            pace.progress(progress);
            let file = self.object(sum);
            if let Some(what) = problem(&file, *bytes, sum, pace) {
                found.push(Finding { file, path: Some((*path).to_owned()), what });
            }
            progress.files += 1;
            progress.bytes = progress.bytes.saturating_add(*bytes);
        }
        pace.progress(progress);
        // Those of a backup that was cut off are waited for.
        let mut expected: BTreeSet<String> = wanted.keys().map(|sum| (*sum).to_owned()).collect();
        expected.extend(unfinished(self)?.into_iter().map(|entry| entry.sha256));
        (report.files, report.bytes) = (progress.files, progress.bytes);
        report.findings.extend(found);
        let (strangers, left_over) = self.strangers(&expected)?;
        report.findings.extend(strangers);
        report.left_over = left_over;
        Ok(report)
    }

    /// Files that are none of ours, and how many objects no backup has.
    fn strangers(&self, expected: &BTreeSet<String>) -> Result<(Vec<Finding>, u64), BackupError> {
        let (mut found, mut left_over) = (Vec::new(), 0);
        let mut stranger = |file: PathBuf| {
            found.push(Finding { file, path: None, what: "does not belong here".to_owned() });
        };
        let ours = [MARK, "lock", "objects", "incoming", "unfinished", "snapshots", "lost+found"];
        for name in names(self.dir())?.into_iter().filter(|name| !ours.contains(&name.as_str())) {
            stranger(self.dir().join(name));
        }
        for name in names(&self.snapshots_folder())?.into_iter().filter(|name| !name.ends_with(".json")) {
            stranger(self.snapshots_folder().join(name));
        }
        for folder in names(&self.objects())? {
            let folder = self.objects().join(folder);
            if !folder.is_dir() {
                stranger(folder);
                continue;
            }
            for name in names(&folder)? {
                let file = folder.join(&name);
                if !is_sum(&name) || self.object(&name) != file {
                    stranger(file);
                } else if !expected.contains(&name) {
                    left_over += 1;
                }
            }
        }
        Ok((found, left_over))
    }
}

/// What is wrong with an object.
fn problem(file: &Path, bytes: u64, sum: &str, pace: &mut dyn Pace) -> Option<String> {
    match read_back(file, pace) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => Some("is missing".to_owned()),
        Err(error) => Some(format!("cannot be read: {error}")),
        Ok((found, _)) if found != bytes => Some(format!("has {found} bytes instead of {bytes}")),
        Ok((_, found)) if found != sum => Some("is damaged: its content does not fit its checksum".to_owned()),
        Ok(_) => None,
    }
}
