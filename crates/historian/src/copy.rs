//! The files of history at one moment, for whoever copies them, and whether a copy is whole.
//!
//! Every file here is written under a temporary name, synced and renamed, and never changed again; the manifest and the
//! open table's pointer are replaced by renaming. So a hard link holds what it held when it was made.

use crate::delta::log_folder;
use crate::historian::Historian;
use crate::manifest::{FileInfo, Manifest, ManifestError};
use crate::rollup::{self, RollupIndex};
use crate::segment::verify;
use andon_model::error::causes;
use andon_model::log::Seq;
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
/// within [`Historian::while_still`], or while nothing runs. Files that only earlier versions of the open table list are left out.
/// A folder without a manifest has no files.
/// # Errors
/// The manifest cannot be used, or a folder cannot be listed.
pub fn files(dir: &Path) -> Result<Vec<PathBuf>, ManifestError> {
    let Some(manifest) = Manifest::load(dir)? else { return Ok(Vec::new()) };
    let mut files = vec![Manifest::path(dir)];
    for info in &manifest.files {
        files.extend(paths_of(dir, info));
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

/// What is wrong with a copy.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyFinding {
    /// The file, by its path in the history folder.
    pub file: PathBuf,
    /// What is wrong with it.
    pub what: String,
}

/// How a copy is.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CopyReport {
    /// The last frame of the samples lane whose content is in the files.
    pub position: Seq,
    /// Rows in all files.
    pub rows: u64,
    /// What is wrong.
    pub findings: Vec<CopyFinding>,
}

/// Compares the files that a copied manifest names with the checksums it holds. `locate` tells where the copy of a file lies, by
/// its path in the history folder; `None`: the copy has none. Reads everything. Blocking.
/// # Errors
/// The manifest cannot be used.
pub fn check_copy(manifest: &Path, locate: impl Fn(&Path) -> Option<PathBuf>) -> Result<CopyReport, ManifestError> {
    let bytes = std::fs::read(manifest).map_err(|source| ManifestError::Io { path: manifest.to_owned(), source })?;
    let manifest = Manifest::decode(&bytes, manifest)?;
    let mut report = CopyReport { position: manifest.position, rows: 0, findings: Vec::new() };
    for info in &manifest.files {
        report.rows += info.rows;
        for file in paths_of(Path::new(""), info) {
            let is_rows = file.extension().is_some_and(|ending| ending == "parquet");
            let what = match locate(&file) {
                None => Some("it is missing".to_owned()),
                Some(path) if is_rows => verify(&path, info).err().map(|error| causes(&error)),
                Some(path) => info.rollup.and_then(|rollup| {
                    let loaded = std::fs::File::open(&path).and_then(|file| RollupIndex::load(&file, &rollup));
                    loaded.err().map(|error| error.to_string())
                }),
            };
            report.findings.extend(what.map(|what| CopyFinding { file, what }));
        }
    }
    Ok(report)
}
