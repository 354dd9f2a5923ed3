//! The folder of the table's log: names, reading back, cleaning up.

use super::{Known, PublishError, commit};
use crate::disk::Disk;
use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

/// Says which checkpoint is the newest.
pub(super) const POINTER: &str = "_last_checkpoint";
const COMMIT: &str = ".json";
const CHECKPOINT: &str = ".checkpoint.parquet";

pub(super) fn commit_name(version: u64) -> String {
    format!("{version:020}{COMMIT}")
}

pub(super) fn checkpoint_name(version: u64) -> String {
    format!("{version:020}{CHECKPOINT}")
}

/// Which versions are there.
#[derive(Default)]
pub(super) struct Listing {
    pub commits: BTreeSet<u64>,
    pub checkpoints: BTreeSet<u64>,
}

impl Listing {
    /// A folder that is not there is empty.
    fn read(folder: &Path) -> Result<Self, PublishError> {
        let failed = |source| PublishError::Read { path: folder.to_owned(), source };
        let entries = match std::fs::read_dir(folder) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Self::default()),
            entries => entries.map_err(failed)?,
        };
        let mut listing = Self::default();
        for entry in entries {
            let name = entry.map_err(failed)?.file_name();
            let Some(name) = name.to_str() else { continue };
            let version = |ending: &str| name.strip_suffix(ending).filter(|digits| digits.len() == 20)?.parse().ok();
            if let Some(version) = version(COMMIT) {
                listing.commits.insert(version);
            } else if let Some(version) = version(CHECKPOINT) {
                listing.checkpoints.insert(version);
            }
        }
        Ok(listing)
    }
}

/// What is known, with the commits the log has beyond it. A log that was removed begins anew.
pub(super) fn read_back(folder: &Path, mut known: Known) -> Result<Known, PublishError> {
    let listing = Listing::read(folder)?;
    let damaged = |reason: String| PublishError::Damaged { path: folder.to_owned(), reason };
    known.checkpoint = listing.checkpoints.last().copied();
    let Some(newest) = listing.commits.last().copied() else {
        if listing.checkpoints.is_empty() {
            known.published = None;
            return Ok(known);
        }
        return Err(damaged("it has checkpoints but no commit".to_owned()));
    };
    let version = known.published.as_ref().map(|published| published.version);
    if version.is_some_and(|version| newest < version) {
        return Err(damaged(format!("it ends at version {newest}, but later ones were published")));
    }
    for version in version.map_or(0, |version| version + 1)..=newest {
        let path = folder.join(commit_name(version));
        let text = match std::fs::read_to_string(&path) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                return Err(damaged(format!("version {version} is missing")));
            }
            text => text.map_err(|source| PublishError::Read { path: path.clone(), source })?,
        };
        commit::apply(&mut known, version, &text, &path)?;
    }
    Ok(known)
}

/// Removes what lies before the newest checkpoint that was made before `before_ms`: whoever reads a version that is not
/// older than that finds all it needs.
pub(super) fn clean_up(folder: &Path, before_ms: i64, disk: &Disk) -> Result<(), PublishError> {
    let listing = Listing::read(folder)?;
    let is_old = |version: u64| {
        let text = std::fs::read_to_string(folder.join(commit_name(version)));
        text.ok().and_then(|text| commit::made_ms(&text)).is_some_and(|made| made <= before_ms)
    };
    let Some(first_kept) = listing.checkpoints.iter().rev().copied().find(|version| is_old(*version)) else {
        return Ok(());
    };
    let commits = listing.commits.range(..first_kept).map(|version| commit_name(*version));
    let checkpoints = listing.checkpoints.range(..first_kept).map(|version| checkpoint_name(*version));
    let paths: Vec<PathBuf> = commits.chain(checkpoints).map(|name| folder.join(name)).collect();
    paths.into_iter().try_for_each(|path| disk.remove(&path).map_err(|source| PublishError::Io { path, source }))
}
