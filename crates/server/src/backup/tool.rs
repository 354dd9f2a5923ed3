//! `andon backup` and `andon restore`: what a person or a timer runs.

use super::hold::Links;
use super::inspect::inspect;
use super::meter::Meter;
use super::{HOLDS, Last, RESTORED, Restored};
use crate::client::Client;
use crate::commands::{FOUND, client};
use crate::data_dir::{DataDir, DataDirError, write_private};
use crate::node::open_log_offline;
use crate::records;
use crate::say::{complain, say};
use crate::settings::Settings;
use andon_api::ports::{BackupDone, HeldFile, HeldState};
use andon_backup::{Flawed, Item, Repository, Snapshot, What, Writing, Written};
use andon_bus::ids::new_id;
use andon_historian::copy::Promise;
use andon_model::text::counted;
use andon_model::{Clock, SystemClock};
use anyhow::{Context as _, Result, bail};
use hyper::{Method, StatusCode};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;
use tokio::task::JoinHandle;
use uuid::Uuid;

/// How often the node hears that the backup goes on; it lets go after two minutes.
const KEEP_EVERY: Duration = Duration::from_secs(20);
/// How often to ask whether the state is settled.
const ASK_EVERY: Duration = Duration::from_millis(100);
/// How far above the backup's epoch a restored log begins at least.
const EPOCH_STEP: u64 = 1_000_000;

/// How a backup is to be made.
pub struct Wish {
    /// The folder of backups.
    pub dir: PathBuf,
    /// The settings file, which goes along.
    pub settings_file: PathBuf,
    /// MiB per second at most.
    pub max_rate: Option<u64>,
    /// Also the keys of certificates that the node made.
    pub keys: bool,
}

/// Makes a backup: of the running node, or of the data directory of one that does not run.
/// # Errors
/// The state could not be held, or the folder cannot be written. What was copied stays for the next try.
pub async fn make(settings: &Settings, wish: Wish) -> Result<ExitCode> {
    if !settings.data_dir.join("node-id").exists() {
        bail!("{} holds no data of Andon yet, so there is nothing to back up", settings.data_dir.display());
    }
    refuse_inside(&settings.data_dir, &wish.dir)?;
    let dir = wish.dir.clone();
    let writing = blocking(move || Ok(Repository::write(&dir)?)).await?;
    match DataDir::take(&settings.data_dir) {
        Ok(held) => make_offline(held, settings, &wish, writing).await,
        Err(DataDirError::InUse(_)) => make_online(settings, &wish, writing).await,
        Err(error) => Err(error.into()),
    }
}

/// A backup of itself would grow for ever, and a data directory in a repository would not be found by anybody.
fn refuse_inside(data_dir: &Path, dir: &Path) -> Result<()> {
    let data = data_dir.canonicalize().with_context(|| format!("could not look at {}", data_dir.display()))?;
    let there = dir.ancestors().find_map(|above| {
        let above = if above.as_os_str().is_empty() { Path::new(".") } else { above };
        above.canonicalize().ok()
    });
    if there.is_some_and(|there| there.starts_with(&data)) {
        bail!(
            "{} lies in the data directory; a backup belongs on another disk, or at least in another folder",
            dir.display()
        );
    }
    Ok(())
}

async fn make_online(settings: &Settings, wish: &Wish, writing: Writing) -> Result<ExitCode> {
    let client = client(settings)?
        .with_context(|| format!("an Andon on {} is starting or stopping; try again", settings.data_dir.display()))?;
    let begun = client.send(Method::POST, "/api/backups", Some(&json!({ "keys": wish.keys }))).await?.success()?.json();
    let id: Uuid = begun["id"].as_str().unwrap_or_default().parse().context("the node gave no id")?;
    let state = wait_for(&client, id).await?;
    let path = format!("/api/backups/{id}");
    let keeping = keep(client, format!("{path}/keep"));
    let written = copy(writing, &state, wish).await;
    keeping.abort();
    let client = self::client(settings)?.context("the node stopped while its backup was made");
    match written {
        Err(error) => {
            // What is held vanishes only so.
            let mut causes = error.chain().filter_map(|cause| cause.downcast_ref::<std::io::Error>());
            let gone = causes.any(|cause| cause.kind() == std::io::ErrorKind::NotFound);
            if let Ok(client) = client {
                let _ = client.send(Method::DELETE, &path, None).await; // Otherwise it lets go by itself.
            }
            if gone {
                return Err(error.context("the node was started anew meanwhile, or did not hear of this backup for two minutes; run it again, and it goes on"));
            }
            Err(error)
        }
        Ok(written) => {
            report(&written, &state, &wish.dir);
            let done = BackupDone {
                name: written.snapshot.name.clone(),
                bytes: written.snapshot.bytes,
                copied_bytes: written.copied_bytes,
            };
            let told = async {
                client?
                    .send(Method::POST, &format!("{path}/finish"), Some(&serde_json::to_value(&done)?))
                    .await?
                    .success()
            };
            if let Err(error) = told.await {
                complain!("andon: the backup is whole, but the node could not record it: {error:#}");
                return Ok(ExitCode::from(FOUND));
            }
            Ok(code(&written, &state))
        }
    }
}

async fn wait_for(client: &Client, id: Uuid) -> Result<HeldState> {
    loop {
        let answer = client.send(Method::GET, &format!("/api/backups/{id}"), None).await?.success()?;
        if answer.status != StatusCode::ACCEPTED {
            return serde_json::from_str(&answer.text).context("the node's answer cannot be understood");
        }
        tokio::time::sleep(ASK_EVERY).await;
    }
}

/// Tells the node again and again that the backup goes on; aborted at its end.
fn keep(client: Client, path: String) -> JoinHandle<()> {
    // Aborted by the caller.
    tokio::spawn(async move {
        loop {
            tokio::time::sleep(KEEP_EVERY).await;
            // A node that has gone is found by the copying, or at the end.
            let _ = client.send(Method::POST, &path, None).await;
        }
    })
}

async fn make_offline(held: DataDir, settings: &Settings, wish: &Wish, writing: Writing) -> Result<ExitCode> {
    let folder = held.join(HOLDS);
    super::hold::clear(&held)?;
    // Opening the log settles what a kill left behind; it is closed again before it is copied.
    let data_dir = settings.data_dir.clone();
    let (held, node, lanes) = blocking(move || {
        let (node, log) = open_log_offline(&held)?;
        let lanes = log.lane_files();
        log.close();
        Ok((held, node, lanes))
    })
    .await?;
    super::hold::private_folder(&folder).with_context(|| format!("could not create {}", folder.display()))?;
    let records_copy = folder.join(records::FILE);
    records::copy_offline(settings, &held, &records_copy).await?;
    let (keys, copied) = (wish.keys, records_copy.clone());
    let state = blocking(move || {
        let mut links = Links::in_place(&data_dir);
        links.small_files(keys)?;
        links.history()?;
        links.lanes(&lanes)?;
        links.add(records::FILE, &copied)?;
        Ok(links.state(new_id(&SystemClock), node, SystemClock.now().millis(), &lanes))
    })
    .await?;
    let written = copy(writing, &state, wish).await?;
    report(&written, &state, &wish.dir);
    let last = Last {
        name: written.snapshot.name.clone(),
        at_ms: written.snapshot.finished_ms,
        bytes: written.snapshot.bytes,
    };
    last.save(&settings.data_dir)?;
    super::hold::clear(&held)?;
    complain!("no node runs on this data directory, so the backup does not stand in its audit trail");
    Ok(code(&written, &state))
}

/// Copies what is held, and the settings file beside it.
async fn copy(writing: Writing, state: &HeldState, wish: &Wish) -> Result<Written> {
    let item = |file: &HeldFile| Item { path: file.path.clone(), from: PathBuf::from(&file.from), bytes: file.bytes };
    let mut items: Vec<Item> = state.files.iter().map(item).collect();
    if let Ok(meta) = std::fs::metadata(&wish.settings_file) {
        items.push(Item { path: "andon.toml".to_owned(), from: wish.settings_file.clone(), bytes: meta.len() });
    }
    let what = What {
        andon: env!("CARGO_PKG_VERSION").to_owned(),
        node: state.node.clone(),
        at_ms: state.at_ms,
        positions: state.positions.clone(),
        epoch: state.epoch,
        missing: state.missing.clone(),
    };
    let max_rate = wish.max_rate;
    blocking(move || {
        let mut meter = Meter::new("backup", max_rate);
        let now = || SystemClock.now().millis();
        let manifest = items.iter().find(|item| item.path == "history/manifest");
        let promise = manifest.map(|item| Promise::read(&item.from)).transpose()?;
        let mut look = |path: &str, copy: &Path| {
            let within = path.strip_prefix("history/")?;
            promise.as_ref()?.flaw(Path::new(within), copy)
        };
        Ok(writing.backup(what, &items, &mut meter, &mut look, now)?)
    })
    .await
}

fn report(written: &Written, state: &HeldState, dir: &Path) {
    let Written { snapshot, copied_files, copied_bytes } = written;
    say!("backup: {}", snapshot.name);
    say!(
        "files: {} with {} bytes, of which {copied_files} with {copied_bytes} bytes were copied",
        snapshot.files.len(),
        snapshot.bytes
    );
    for (lane, position) in &state.positions {
        say!("{lane}: up to {position}");
    }
    for path in &state.missing {
        complain!("missing: {path} should be there and is not; everything else is in the backup");
        older_copy(dir, snapshot, path);
    }
    for Flawed { path, what } in snapshot.flawed() {
        complain!("DAMAGED {path}: {what}; it is damaged on the node, and so it is in the backup");
        older_copy(dir, snapshot, path);
    }
    let wrong = snapshot.flawed().len() + state.missing.len();
    if wrong > 0 {
        let files = counted(wrong as u64, "file is", "files are");
        complain!(
            "the backup is made, but {files} damaged or missing on the node: put it right there, and back up again"
        );
    }
}

/// Says which older backup has a file that this one has not, or not whole.
fn older_copy(dir: &Path, newest: &Snapshot, path: &str) {
    let Ok(repository) = Repository::open(dir) else { return };
    let here = newest.entry(path).map(|entry| &entry.sha256);
    let has = |older: &Snapshot| {
        let flawed = older.flawed().iter().any(|flawed| flawed.path == path);
        !flawed && older.entry(path).is_some_and(|entry| Some(&entry.sha256) != here)
    };
    let names = repository.names().unwrap_or_default();
    let older = names.iter().rev().filter(|name| **name != newest.name);
    let found = older.filter_map(|name| repository.snapshot(Some(name)).ok()).find(has);
    if let Some(found) = found {
        complain!(
            "  the backup {} has another copy of it: andon restore {} --backup {} --only {path} --into FOLDER",
            found.name,
            dir.display(),
            found.name
        );
    }
}

fn code(written: &Written, state: &HeldState) -> ExitCode {
    let all_is_well = state.missing.is_empty() && written.snapshot.flawed().is_empty();
    if all_is_well { ExitCode::SUCCESS } else { ExitCode::from(FOUND) }
}

/// Lists the finished backups, oldest first.
/// # Errors
/// There is no repository.
pub async fn list(dir: &Path) -> Result<ExitCode> {
    let repository = Repository::open(dir)?;
    for name in repository.names()? {
        match repository.snapshot(Some(&name)) {
            Ok(snapshot) => say!(
                "{name}  {}, {} bytes, node {}{}",
                counted(snapshot.files.len() as u64, "file", "files"),
                snapshot.bytes,
                snapshot.what.node,
                match (snapshot.flawed().len() + snapshot.what.missing.len()) as u64 {
                    0 => String::new(),
                    wrong => {
                        let files = counted(wrong, "file", "files");
                        format!(", {files} damaged or missing already when copied")
                    }
                }
            ),
            Err(error) => say!("{name}  cannot be read: {error}"),
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads everything again, and looks into the newest backup, or the one named.
/// # Errors
/// There is no repository, or no such backup.
pub async fn verify(dir: &Path, name: Option<String>, max_rate: Option<u64>) -> Result<ExitCode> {
    let repository = Repository::open(dir)?;
    let names = repository.names()?;
    let here = repository.clone();
    let report = blocking(move || Ok(here.check(&mut Meter::new("verify", max_rate))?)).await?;
    let mut wrong = report.findings.len();
    for finding in &report.findings {
        let of = finding.path.as_ref().map(|path| format!(" ({path})")).unwrap_or_default();
        say!("DAMAGED {}{of} {}", finding.file.display(), finding.what);
    }
    say!(
        "read {} with {} bytes of {}",
        counted(report.files, "file", "files"),
        report.bytes,
        counted(names.len() as u64, "backup", "backups")
    );
    if report.left_over > 0 {
        say!(
            "{} of no backup, as one that was cut off leaves behind; `andon backup prune` removes what is left over",
            counted(report.left_over, "file", "files")
        );
    }
    match repository.snapshot(name.as_deref()) {
        Ok(snapshot) => {
            let inside = inspect(&repository, &snapshot).await?;
            say!("inside {}:", snapshot.name);
            inside.facts.iter().for_each(|fact| say!("  {fact}"));
            inside.findings.iter().for_each(|finding| say!("DAMAGED {finding}"));
            wrong += inside.findings.len();
        }
        Err(error) if names.is_empty() || name.is_some() => return Err(error.into()),
        // Told above.
        Err(_) => {}
    }
    if wrong == 0 {
        say!("all is well");
        return Ok(ExitCode::SUCCESS);
    }
    say!(
        "{}. Remove a damaged file under objects/ and back up again: what the node still has is copied anew",
        counted(wrong as u64, "finding", "findings")
    );
    Ok(ExitCode::from(FOUND))
}

/// Removes all but the newest backups.
/// # Errors
/// There is no repository, somebody writes there, or a backup to be kept cannot be read.
pub async fn prune(dir: &Path, keep: usize) -> Result<ExitCode> {
    Repository::open(dir)?;
    let dir = dir.to_owned();
    let pruned = blocking(move || Ok(Repository::write(&dir)?.prune(keep)?)).await?;
    pruned.snapshots.iter().for_each(|name| say!("removed: {name}"));
    for (name, paths) in &pruned.spared {
        let copies = counted(paths.len() as u64, "file that is", "files that are");
        say!(
            "kept:    {name}, which has the last whole copy of {copies} damaged or missing in the newer ones: {}",
            paths.join(", ")
        );
    }
    say!("removed {} with {} bytes", counted(pruned.objects, "file", "files"), pruned.bytes);
    Ok(ExitCode::SUCCESS)
}

/// What is to be restored.
pub struct RestoreWish {
    /// The folder of backups.
    pub dir: PathBuf,
    /// Where to; must be empty or not there.
    pub into: PathBuf,
    /// Which backup; the newest if `None`.
    pub name: Option<String>,
    /// Only this file or folder of it.
    pub only: Option<String>,
    /// MiB per second at most.
    pub max_rate: Option<u64>,
}

/// Restores a backup into a new data directory. What was damaged or missing already when it was made is a finding.
/// # Errors
/// The target holds something, or the backup is damaged; then there is no target.
pub async fn restore(wish: RestoreWish) -> Result<ExitCode> {
    let RestoreWish { dir, into, name, only, max_rate } = wish;
    let snapshot = blocking(move || {
        let repository = Repository::open(&dir)?;
        let snapshot = chosen(repository.snapshot(name.as_deref())?, only.as_deref())?;
        let restoring = repository.restore(&snapshot, &into, &mut Meter::new("restore", max_rate))?;
        if only.is_none() {
            become_another_life(restoring.folder(), &snapshot)?;
        }
        restoring.put_in_place()?;
        say!("restored: {} into {}", snapshot.name, into.display());
        Ok(snapshot)
    })
    .await?;
    say!("files: {} with {} bytes", snapshot.files.len(), snapshot.bytes);
    for path in &snapshot.what.missing {
        complain!("missing: {path} was missing already when the backup was made");
    }
    for Flawed { path, what } in snapshot.flawed() {
        complain!("DAMAGED {path}: {what}; it was damaged already when the backup was made");
    }
    let all_is_well = snapshot.what.missing.is_empty() && snapshot.flawed().is_empty();
    Ok(if all_is_well { ExitCode::SUCCESS } else { ExitCode::from(FOUND) })
}

fn chosen(snapshot: Snapshot, only: Option<&str>) -> Result<Snapshot> {
    let Some(only) = only.map(|only| only.trim_end_matches('/')) else { return Ok(snapshot) };
    let wanted = |path: &str| path == only || path.strip_prefix(only).is_some_and(|rest| rest.starts_with('/'));
    let (mut files, mut flawed, mut what) = (snapshot.files, snapshot.flawed, snapshot.what);
    what.missing.retain(|path| wanted(path));
    files.retain(|entry| wanted(&entry.path));
    flawed.iter_mut().for_each(|flawed| flawed.retain(|one| wanted(&one.path)));
    if files.is_empty() {
        bail!("{} holds no {only}", snapshot.name);
    }
    Ok(Snapshot { bytes: files.iter().map(|entry| entry.bytes).sum(), files, flawed, what, ..snapshot })
}

/// The restored log goes on in an epoch that no other life of the node has used. And the node will record whence it came.
fn become_another_life(folder: &Path, snapshot: &Snapshot) -> Result<()> {
    let epoch = epoch_of_another_life(SystemClock.now().millis(), snapshot.what.epoch);
    andon_log::raise_epoch(&folder.join("log"), epoch)?;
    let restored = Restored { name: snapshot.name.clone(), at_ms: snapshot.what.at_ms };
    Ok(write_private(&folder.join(RESTORED), &serde_json::to_string(&restored)?)?)
}

/// The seconds since 1970 are far above any count of openings. Where the clock is wrong, or was when an earlier life began, a
/// step above the backup's own epoch is: the original is not opened so often after it.
fn epoch_of_another_life(now_ms: i64, former: u64) -> u64 {
    u64::try_from(now_ms / 1000).unwrap_or_default().max(former.saturating_add(EPOCH_STEP))
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
    tokio::task::spawn_blocking(work).await.context("a part of the backup panicked")?
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn another_life_begins_above_the_former_one_whatever_the_clock_says() {
        let now = 1_700_000_000;
        for (now_ms, former, epoch) in [
            (now * 1000 + 999, 7, 1_700_000_000),
            (0, 7, 1_000_007),
            (-5_000, 7, 1_000_007),
            (now * 1000, 1_700_000_000, 1_701_000_000),
            (now * 1000, 1_900_000_000, 1_901_000_000),
            (now * 1000, u64::MAX, u64::MAX),
        ] {
            assert_eq!(epoch_of_another_life(now_ms, former), epoch, "{now_ms} after {former}");
        }
    }
}
