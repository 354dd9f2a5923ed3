//! The files of history at one moment, for whoever copies them, and whether they, or a copy, are whole.
//!
//! Every file here is written under a temporary name, synced and renamed, and never changed again; the manifest and the
//! open table's pointer are replaced by renaming. So a hard link holds what it held when it was made.

use crate::delta::log_folder;
use crate::historian::{Historian, our_files};
use crate::manifest::{FileInfo, Manifest, ManifestError};
use crate::rollup;
use crate::segment::flaws;
use andon_model::Timestamp;
use andon_model::log::Seq;
use andon_model::text::counted;
use std::collections::HashSet;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::PoisonError;

impl Historian {
    /// Runs `work` while no file of history is added, merged or removed; writing waits, following the log goes on. Blocking.
    pub fn while_still<T>(&self, work: impl FnOnce() -> T) -> T {
        let _alone = self.writing.lock().unwrap_or_else(PoisonError::into_inner);
        work()
    }
}

/// The files of the history in `dir`, by their path in it: the manifest, what it names, and the log of the open table. Call it
/// within [`Historian::while_still`], or while nothing runs. Files that only earlier versions of the open table list are left out, and
/// such as were given up and are gone.
/// A folder without a manifest has no files.
/// # Errors
/// The manifest cannot be used, or a folder cannot be listed.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let Some(manifest) = Manifest::load(dir)? else { return Ok(Vec::new()) };
    let mut files = vec![Manifest::path(dir)];
    for info in &manifest.files {
        files.extend(paths_of(dir, info).filter(|path| !info.given_up || path.exists()));
    }
    let log = log_folder(dir);
    match std::fs::read_dir(&log) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => {}
        entries => {
            let failed = |source| ManifestError::Io { path: log.clone(), source };
            for entry in entries.map_err(failed)? {
                let path = entry.map_err(failed)?.path();
                if path.extension().is_none_or(|ending| ending != "tmp") {
                    files.push(path);
                }
            }
        }
    }
    Ok(files.into_iter().filter_map(|path| path.strip_prefix(dir).ok().map(Path::to_owned)).collect())
}

fn paths_of(dir: &Path, info: &FileInfo) -> impl Iterator<Item = PathBuf> {
    let rows = info.path(dir);
    let rollup = info.rollup.map(|_| rollup::path_of(&rows));
    std::iter::once(rows).chain(rollup)
}

/// What is wrong with a file of history.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Finding {
    /// The file, by its path in the history folder.
    pub file: PathBuf,
    /// What is wrong with it, and which readings it concerns.
    pub what: String,
}

/// How a history is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Report {
    /// The last frame of the samples lane whose content is in the files.
    pub position: Seq,
    /// How many files of readings and of roll-ups the manifest names.
    pub files: usize,
    /// Rows in all files.
    pub rows: u64,
    /// What is wrong, but for files that were given up.
    pub findings: Vec<Finding>,
    /// The files of readings that were given up, and whether they are whole again.
    pub given_up: Vec<(PathBuf, bool)>,
}

/// What a manifest says of the files it names, to compare copies with.
#[derive(Debug)]
pub struct Promise(Manifest);

impl Promise {
    /// Reads a manifest, wherever it lies.
    /// # Errors
    /// It cannot be used.
    pub fn read(manifest: &Path) -> Result<Self, ManifestError> {
        let bytes =
            std::fs::read(manifest).map_err(|source| ManifestError::Io { path: manifest.to_owned(), source })?;
        Manifest::decode(&bytes, manifest).map(Self)
    }

    /// What is wrong with the copy of one file, which lies at `there`; `path` is its path in the history folder. `None`: it is byte
    /// for byte what was written, was given up, or is none that the manifest names. Reads all of it. Blocking.
    #[must_use]
    pub fn flaw(&self, path: &Path, there: &Path) -> Option<String> {
        let dir = Path::new("");
        let info = self.0.files.iter().find(|info| paths_of(dir, info).any(|named| named == path))?;
        if info.given_up { None } else { flaw(info, path, Some(there)) }
    }

    /// Compares all files that it names. `locate` tells where each lies, by its path in the history folder; `None`: there is none.
    /// Reads everything. Blocking.
    #[must_use]
    pub fn check(&self, locate: impl Fn(&Path) -> Option<PathBuf>) -> Report {
        let Self(manifest) = self;
        let (lost, waited_for): (Vec<_>, Vec<_>) = manifest.files.iter().partition(|info| info.given_up);
        let rows = waited_for.iter().map(|info| info.rows).sum();
        let mut report =
            Report { position: manifest.position, files: 0, rows, findings: Vec::new(), given_up: Vec::new() };
        for info in lost {
            let file = info.path(Path::new(""));
            let is_whole = flaw(info, &file, locate(&file).as_deref()).is_none();
            report.given_up.push((file, is_whole));
        }
        for info in waited_for {
            for file in paths_of(Path::new(""), info) {
                report.files += 1;
                let what = flaw(info, &file, locate(&file).as_deref());
                report.findings.extend(what.map(|what| Finding { file, what }));
            }
        }
        report
    }
}

/// Compares every file of the history in `dir` with what the manifest says of it. A node may run on it meanwhile: what is wrong with a
/// file that has left the history since is not told. `None`: there is no history. Reads everything. Blocking.
/// # Errors
/// The manifest cannot be used, or is missing beside history files.
pub fn check(dir: &Path) -> Result<Option<Report>, ManifestError> {
    let Some(manifest) = known(dir)? else { return Ok(None) };
    let mut report = Promise(manifest).check(|file| Some(dir.join(file)));
    if !report.findings.is_empty() {
        let now = known(dir)?.unwrap_or_default();
        let named: HashSet<PathBuf> = now.files.iter().flat_map(|info| paths_of(Path::new(""), info)).collect();
        report.findings.retain(|finding| named.contains(&finding.file));
    }
    Ok(Some(report))
}

fn known(dir: &Path) -> Result<Option<Manifest>, ManifestError> {
    let manifest = Manifest::load(dir)?;
    let path = || Manifest::path(dir);
    match our_files(dir) {
        Ok(files) if manifest.is_none() && !files.is_empty() => Err(ManifestError::Missing { path: path() }),
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(ManifestError::Io { path: path(), source }),
        _ => Ok(manifest),
    }
}

fn flaw(info: &FileInfo, path: &Path, there: Option<&Path>) -> Option<String> {
    let is_rows = path.extension().is_some_and(|ending| ending == "parquet");
    let what = match (there, info.rollup) {
        (None, _) => "it is missing".to_owned(),
        (Some(there), _) if is_rows => flaws(there, info).join("; "),
        (Some(there), Some(rollup)) => match rollup::verify(there, &rollup) {
            Ok(()) => String::new(),
            Err(error) if error.kind() == io::ErrorKind::NotFound => "it is missing".to_owned(),
            Err(error) => error.to_string(),
        },
        (Some(_), None) => String::new(),
    };
    if what.is_empty() {
        return None;
    }
    let [from, to] = [info.ts.0, info.ts.1].map(Timestamp::from_micros);
    let readings = counted(info.rows, "reading", "readings");
    let concerns = if is_rows { "written with" } else { "sums up" };
    Some(format!("{what} ({concerns} {readings} from {from} to {to})"))
}
