//! A folder to back up, and a pace that stops at a chosen byte, as a kill would.

use andon_backup::{BackupError, Item, Look, Pace, Progress, Repository, What, Written};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use tempfile::TempDir;

/// Sources, a repository, a target.
pub struct Place {
    pub dir: TempDir,
}

impl Place {
    pub fn new() -> Self {
        let dir = tempfile::tempdir().unwrap();
        std::fs::create_dir_all(dir.path().join("data/log/samples")).unwrap();
        Self { dir }
    }

    pub fn data(&self) -> PathBuf {
        self.dir.path().join("data")
    }

    pub fn store(&self) -> PathBuf {
        self.dir.path().join("backups")
    }

    pub fn target(&self) -> PathBuf {
        self.dir.path().join("target")
    }

    pub fn write(&self, path: &str, content: &[u8]) {
        let path = self.data().join(path);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, content).unwrap();
    }

    /// All files of the sources.
    pub fn items(&self) -> Vec<Item> {
        let mut items: Vec<Item> = tree(&self.data())
            .into_iter()
            .map(|(path, content)| Item { from: self.data().join(&path), bytes: content.len() as u64, path })
            .collect();
        items.sort_by(|a, b| a.path.cmp(&b.path));
        items
    }

    pub fn backup(&self, at_ms: i64) -> Result<Written, BackupError> {
        self.backup_with(at_ms, &mut ())
    }

    pub fn backup_with(&self, at_ms: i64, pace: &mut dyn Pace) -> Result<Written, BackupError> {
        self.backup_looking(at_ms, pace, &mut |_, _| None)
    }

    pub fn backup_looking(&self, at_ms: i64, pace: &mut dyn Pace, look: &mut Look<'_>) -> Result<Written, BackupError> {
        let what = What { at_ms, node: "n".to_owned(), ..What::default() };
        Repository::write(&self.store())?.backup(what, &self.items(), pace, look, || at_ms + 1)
    }

    pub fn repository(&self) -> Repository {
        Repository::open(&self.store()).unwrap()
    }

    pub fn restore(&self) -> Result<(), BackupError> {
        let repository = self.repository();
        let snapshot = repository.snapshot(None)?;
        repository.restore(&snapshot, &self.target(), &mut ())?.put_in_place()
    }
}

/// Every file below a folder, by its path.
pub fn tree(top: &Path) -> BTreeMap<String, Vec<u8>> {
    let mut files = BTreeMap::new();
    let mut waiting = vec![top.to_owned()];
    while let Some(folder) = waiting.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                waiting.push(path);
            } else {
                let name = path.strip_prefix(top).unwrap().to_str().unwrap().to_owned();
                files.insert(name, std::fs::read(path).unwrap());
            }
        }
    }
    files
}

/// Panics when it has been asked so many times.
pub struct StopAfter(pub u32);

impl Pace for StopAfter {
    fn before(&mut self, _bytes: usize) {
        self.0 = self.0.checked_sub(1).expect("stopped");
    }
    fn progress(&mut self, _progress: Progress) {}
}
