//! Making a backup: what is new is copied, synced and read back; then the folders are synced; then the snapshot is named.

use crate::files::{Pace, Progress, copy, make_folder, read_back, replace, sync_folder};
use crate::repository::{BackupError, Repository, Writing, names};
use crate::snapshot::{Entry, FORMAT, Flawed, Snapshot, What, is_inside};
use std::collections::{BTreeSet, HashMap};
use std::fs::{File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::os::unix::fs::{MetadataExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// A file to be backed up.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Item {
    /// Where it stands, with `/` between folders.
    pub path: String,
    /// Where to read it.
    pub from: PathBuf,
    /// How many of its bytes, from the start, belong to the backup. They must not change any more.
    pub bytes: u64,
}

/// What was done.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Written {
    /// The finished backup.
    pub snapshot: Snapshot,
    /// Files that were copied; the others were there already.
    pub copied_files: u64,
    /// Their bytes.
    pub copied_bytes: u64,
}

/// Tells what is wrong with the file of this path, whose copy lies there: whether it was worth copying, in plain words. `None`: nothing,
/// or nobody can tell.
pub type Look<'a> = dyn FnMut(&str, &Path) -> Option<String> + 'a;

/// A file is the same when path, length, time of change and inode are.
type Known = HashMap<(String, u64, i128, u64), String>;

impl Writing {
    /// Makes a backup of `items`. What earlier backups, or one that was cut off, have of them is not copied again.
    /// Each file that the newest backup did not look at is shown to `look` once it is there; what is wrong with it stands in the snapshot.
    /// `now_ms` tells the time when all is there.
    /// # Errors
    /// See [`BackupError`]. What was copied stays for the next try; there is no new snapshot.
    pub fn backup(
        &self,
        what: What,
        items: &[Item],
        pace: &mut dyn Pace,
        look: &mut Look<'_>,
        now_ms: impl FnOnce() -> i64,
    ) -> Result<Written, BackupError> {
        self.clear_incoming()?;
        // Damaged ones are `verify`'s affair; here they only save nothing.
        let newest = self.repository.snapshot(None).ok();
        let seen = newest.as_ref().map(looked_at).unwrap_or_default();
        let known = self.known(newest)?;
        let mut journal = self.open_journal()?;
        let mut progress = Progress {
            files_total: items.len() as u64,
            bytes_total: items.iter().map(|item| item.bytes).sum(),
            ..Progress::default()
        };
        let (mut files, mut folders) = (Vec::with_capacity(items.len()), BTreeSet::new());
        let (mut copied_files, mut copied_bytes) = (0, 0);
        let mut flawed = Vec::new();
        for item in items {
            pace.progress(progress);
            let mut entry = look_at(item)?;
            let key = (entry.path.clone(), entry.bytes, entry.changed_ns, entry.inode);
            match known.get(&key).filter(|sum| self.has(sum, entry.bytes)) {
                Some(sum) => entry.sha256.clone_from(sum),
                None => {
                    entry.sha256 = self.take_in(item, pace)?;
                    note(&mut journal, &self.repository.journal(), &entry)?;
                    copied_files += 1;
                    copied_bytes += item.bytes;
                }
            }
            let what = match seen.get(&(entry.path.clone(), entry.sha256.clone())) {
                Some(what) => what.clone(),
                None => look(&entry.path, &self.repository.object(&entry.sha256)),
            };
            flawed.extend(what.map(|what| Flawed { path: entry.path.clone(), what }));
            // Also of those that were there: who copied them may have been stopped before this.
            folders.extend(self.repository.object(&entry.sha256).parent().map(Path::to_owned));
            files.push(entry);
            progress.files += 1;
            progress.bytes += item.bytes;
        }
        pace.progress(progress);
        folders.into_iter().try_for_each(|folder| sync_folder(&folder))?;
        sync_folder(&self.repository.objects())?;
        sync_folder(self.repository.dir())?;
        let snapshot = Snapshot {
            format: FORMAT,
            what,
            finished_ms: now_ms(),
            bytes: progress.bytes,
            files,
            flawed: Some(flawed),
            name: String::new(),
        };
        let (name, text) = snapshot.encode()?;
        replace(&self.repository.snapshots_folder().join(format!("{name}.json")), &text)?;
        drop(journal);
        let journal = self.repository.journal();
        std::fs::remove_file(&journal).map_err(|source| BackupError::io("remove", &journal, source))?;
        Ok(Written { snapshot: Snapshot { name, ..snapshot }, copied_files, copied_bytes })
    }

    /// Copies a file under the name of its checksum.
    fn take_in(&self, item: &Item, pace: &mut dyn Pace) -> Result<String, BackupError> {
        let part = self.repository.incoming().join("part");
        let taken = self.take_in_as(item, &part, pace);
        if taken.is_err() {
            let _ = std::fs::remove_file(&part); // A full disk is not kept full by what nobody needs.
        }
        taken
    }

    fn take_in_as(&self, item: &Item, part: &Path, pace: &mut dyn Pace) -> Result<String, BackupError> {
        let sum = copy(&item.from, item.bytes, part, pace)?;
        let back = read_back(part, pace).map_err(|source| BackupError::io("read back", part, source))?;
        if back != (item.bytes, sum.clone()) {
            let reason = "what was read back is not what was written: check this disk".to_owned();
            return Err(BackupError::Damaged { path: part.to_owned(), reason });
        }
        let object = self.repository.object(&sum);
        if let Some(folder) = object.parent() {
            make_folder(folder)?;
        }
        // One of that name is replaced: it has the same content, or was damaged.
        std::fs::rename(part, &object).map_err(|source| BackupError::io("name", &object, source))?;
        Ok(sum)
    }

    fn has(&self, sum: &str, bytes: u64) -> bool {
        std::fs::metadata(self.repository.object(sum)).is_ok_and(|meta| meta.len() == bytes)
    }

    /// Which files are there already: those of the finished backups that can be read, and of one that was cut off.
    fn known(&self, newest: Option<Snapshot>) -> Result<Known, BackupError> {
        let mut known = Known::new();
        let mut learn = |entry: Entry| {
            known.insert((entry.path, entry.bytes, entry.changed_ns, entry.inode), entry.sha256);
        };
        // What is damaged may have been made whole and given its old times again, so it is copied each time.
        let whole = |snapshot: &Snapshot, entry: &Entry| !snapshot.flawed().iter().any(|one| one.path == entry.path);
        if let Some(snapshot) = newest {
            snapshot.files.iter().filter(|entry| whole(&snapshot, entry)).cloned().for_each(&mut learn);
        }
        self.unfinished()?.into_iter().for_each(&mut learn);
        Ok(known)
    }

    fn unfinished(&self) -> Result<Vec<Entry>, BackupError> {
        unfinished(&self.repository)
    }

    fn open_journal(&self) -> Result<File, BackupError> {
        let path = self.repository.journal();
        let opened = OpenOptions::new().append(true).create(true).mode(0o600).open(&path);
        let mut journal = opened.map_err(|source| BackupError::io("open", &path, source))?;
        // A kill may have left half a line.
        journal.write_all(b"\n").map_err(|source| BackupError::io("write", &path, source))?;
        Ok(journal)
    }

    fn clear_incoming(&self) -> Result<(), BackupError> {
        let folder = self.repository.incoming();
        for name in names(&folder)? {
            let path = folder.join(name);
            std::fs::remove_file(&path).map_err(|source| BackupError::io("remove", &path, source))?;
        }
        Ok(())
    }
}

/// What a backup has found when it looked at its files, by path and checksum.
fn looked_at(snapshot: &Snapshot) -> HashMap<(String, String), Option<String>> {
    let Some(flawed) = &snapshot.flawed else { return HashMap::new() };
    let what = |entry: &Entry| flawed.iter().find(|one| one.path == entry.path).map(|one| one.what.clone());
    snapshot.files.iter().map(|entry| ((entry.path.clone(), entry.sha256.clone()), what(entry))).collect()
}

/// What a backup that was cut off has copied; a line that makes no sense is passed over, and its file copied again.
pub(crate) fn unfinished(repository: &Repository) -> Result<Vec<Entry>, BackupError> {
    let path = repository.journal();
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(BackupError::io("read", &path, error)),
    };
    let lines = BufReader::new(file).split(b'\n').map_while(Result::ok);
    let entries = lines.filter_map(|line| serde_json::from_slice::<Entry>(&line).ok());
    Ok(entries.filter(|entry| crate::files::is_sum(&entry.sha256)).collect())
}

fn look_at(item: &Item) -> Result<Entry, BackupError> {
    if !is_inside(&item.path) {
        let reason = "is not a path within the backup".to_owned();
        return Err(BackupError::Target { path: PathBuf::from(&item.path), reason });
    }
    let meta = std::fs::metadata(&item.from).map_err(|source| BackupError::io("read", &item.from, source))?;
    Ok(Entry {
        path: item.path.clone(),
        bytes: item.bytes,
        sha256: String::new(),
        changed_ns: i128::from(meta.mtime()) * 1_000_000_000 + i128::from(meta.mtime_nsec()),
        inode: meta.ino(),
    })
}

fn note(journal: &mut File, path: &Path, entry: &Entry) -> Result<(), BackupError> {
    let failed = |source| BackupError::io("write", path, source);
    let mut line = serde_json::to_vec(entry).map_err(|error| failed(error.into()))?;
    line.push(b'\n');
    journal.write_all(&line).map_err(failed)
}
