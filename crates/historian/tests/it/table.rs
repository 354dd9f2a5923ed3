//! The open table, read as a stranger would: by a small reader of Delta's protocol that shares no code with the writer.

use crate::memory_log::MemoryLog;
use crate::model::{DAY, Model, PowerCut, TestClock, sample};
use andon_historian::{Historian, Hook, NoHook, Options, Step};
use andon_model::{TagId, Timestamp, Value};
use parquet::file::reader::{FileReader as _, SerializedFileReader};
use parquet::record::{Field, Row};
use serde_json::Value as Json;
use std::collections::{BTreeMap, BTreeSet};
use std::fs::File;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// A table as its log describes it.
#[derive(Default, Debug)]
pub struct Table {
    pub version: u64,
    /// Path and size.
    pub files: BTreeMap<String, i64>,
    pub txn: i64,
    pub columns: Vec<String>,
}

/// A row's value and status code, by tag and time.
pub type Rows = BTreeMap<(u32, i64), (Value, u32)>;

fn log_folder(dir: &Path) -> std::path::PathBuf {
    dir.join("parquet/_delta_log")
}

fn commit(dir: &Path, version: u64) -> Option<Vec<Json>> {
    let text = std::fs::read_to_string(log_folder(dir).join(format!("{version:020}.json"))).ok()?;
    Some(text.lines().map(|line| serde_json::from_str(line).unwrap()).collect())
}

/// The newest version; `None` while there is no table.
pub fn read(dir: &Path) -> Option<Table> {
    let mut table = Table::default();
    let mut next = 0;
    if let Ok(pointer) = std::fs::read(log_folder(dir).join("_last_checkpoint")) {
        let pointer: Json = serde_json::from_slice(&pointer).unwrap();
        let version = pointer["version"].as_u64().unwrap();
        let actions = table.read_checkpoint(&log_folder(dir).join(format!("{version:020}.checkpoint.parquet")));
        assert_eq!(pointer["size"].as_u64(), Some(actions));
        assert_eq!(pointer["numOfAddFiles"].as_u64(), Some(table.files.len() as u64));
        next = version + 1;
    }
    while let Some(actions) = commit(dir, next) {
        actions.iter().for_each(|action| table.apply(action, next));
        table.version = next;
        next += 1;
    }
    let newest = std::fs::read_dir(log_folder(dir))
        .ok()?
        .filter_map(|entry| entry.unwrap().file_name().to_str()?.strip_suffix(".json")?.parse::<u64>().ok());
    let newest = newest.max()?;
    assert_eq!(newest + 1, next, "no commit stands behind a gap");
    Some(table)
}

impl Table {
    fn apply(&mut self, action: &Json, version: u64) {
        if let Some(added) = action.get("add") {
            let stats: Json = serde_json::from_str(added["stats"].as_str().unwrap()).unwrap();
            assert!(stats["numRecords"].as_i64().unwrap() > 0);
            let path = added["path"].as_str().unwrap().to_owned();
            assert!(self.files.insert(path, added["size"].as_i64().unwrap()).is_none(), "added twice");
        } else if let Some(removed) = action.get("remove") {
            let path = removed["path"].as_str().unwrap();
            assert!(self.files.remove(path).is_some(), "{path} was not there to be removed");
            assert!(removed["deletionTimestamp"].is_i64());
        } else if let Some(txn) = action.get("txn") {
            self.set_txn(txn["version"].as_i64().unwrap());
            assert_eq!(txn["appId"], "andon-historian");
        } else if let Some(metadata) = action.get("metaData") {
            self.set_schema(metadata["schemaString"].as_str().unwrap());
        } else if let Some(protocol) = action.get("protocol") {
            assert_eq!(
                (&protocol["minReaderVersion"], &protocol["minWriterVersion"]),
                (&Json::from(1), &Json::from(2))
            );
        } else {
            assert!(action.get("commitInfo").is_some(), "{action} in version {version}");
        }
    }

    fn set_txn(&mut self, txn: i64) {
        assert!(txn >= self.txn, "txn went back from {} to {txn}", self.txn);
        self.txn = txn;
    }

    fn set_schema(&mut self, schema: &str) {
        let schema: Json = serde_json::from_str(schema).unwrap();
        let fields = schema["fields"].as_array().unwrap();
        self.columns = fields.iter().map(|field| field["name"].as_str().unwrap().to_owned()).collect();
    }

    /// Returns how many actions there were.
    fn read_checkpoint(&mut self, path: &Path) -> u64 {
        let reader = SerializedFileReader::new(File::open(path).unwrap()).unwrap();
        let mut actions = 0;
        for row in reader.get_row_iter(None).unwrap() {
            let row = row.unwrap();
            let set: Vec<(&String, &Field)> =
                row.get_column_iter().filter(|(_, field)| **field != Field::Null).collect();
            let [(name, Field::Group(action))] = set[..] else { panic!("{row}") };
            match name.as_str() {
                "add" => {
                    let (Field::Str(path), Field::Long(size)) = (field(action, "path"), field(action, "size")) else {
                        panic!("{action}")
                    };
                    self.files.insert(path.clone(), *size);
                }
                "txn" => match field(action, "version") {
                    Field::Long(txn) => self.set_txn(*txn),
                    other => panic!("{other}"),
                },
                "metaData" => match field(action, "schemaString") {
                    Field::Str(schema) => self.set_schema(schema),
                    other => panic!("{other}"),
                },
                "remove" | "protocol" => {}
                other => panic!("{other}"),
            }
            actions += 1;
        }
        actions
    }

    /// All rows; none may be there twice, and every file must be.
    pub fn rows(&self, dir: &Path) -> Rows {
        let mut rows = Rows::new();
        for (path, size) in &self.files {
            let path = dir.join("parquet").join(path);
            let file = File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
            assert_eq!(i64::try_from(file.metadata().unwrap().len()), Ok(*size));
            let reader = SerializedFileReader::new(file).unwrap();
            for row in reader.get_row_iter(None).unwrap() {
                let (key, value) = point(&row.unwrap());
                assert!(rows.insert(key, value).is_none(), "{key:?} is in the table twice");
            }
        }
        rows
    }
}

fn field<'a>(row: &'a Row, name: &str) -> &'a Field {
    row.get_column_iter().find(|(column, _)| *column == name).unwrap().1
}

fn point(row: &Row) -> ((u32, i64), (Value, u32)) {
    let long = |name: &str| match field(row, name) {
        Field::Long(number) => *number,
        Field::Short(number) => i64::from(*number),
        other => panic!("{name} is {other}"),
    };
    #[expect(clippy::cast_precision_loss, reason = "as a reader's SQL does it")]
    let value = match (field(row, "v_int"), field(row, "scale")) {
        (Field::Long(whole), Field::Double(scale)) => Value::Double(*whole as f64 / scale),
        (Field::Long(whole), _) => Value::Int64(*whole),
        _ => match (field(row, "v_float"), field(row, "v_double"), field(row, "v_bool"), field(row, "v_text")) {
            (Field::Float(value), ..) => Value::Double(f64::from(*value)),
            (_, Field::Double(value), ..) => Value::Double(*value),
            (.., Field::Bool(value), _) => Value::Boolean(*value),
            (.., Field::Str(text)) => Value::String(text.as_str().into()),
            _ => Value::Null,
        },
    };
    let key = (u32::try_from(long("tag")).unwrap(), long("ts_ms") * 1000 + long("ts_us"));
    (key, (value, u32::try_from(long("quality")).unwrap()))
}

/// Reads the table with all its rows, and with it what it promises at every point.
pub fn check(dir: &Path) -> (Option<Table>, Rows) {
    let table = read(dir);
    let rows = table.as_ref().map(|table| table.rows(dir)).unwrap_or_default();
    (table, rows)
}

fn open(
    dir: &Path,
    log: &Arc<MemoryLog>,
    clock: &Arc<TestClock>,
    publish: bool,
    hook: Arc<dyn Hook>,
) -> Arc<Historian> {
    let options = Options { max_files_per_day: 3, publish, ..Options::default() };
    Historian::open_with(dir, Arc::clone(log) as _, Arc::clone(clock) as _, options, hook).unwrap()
}

/// A historian, its log, its clock and what history should be.
struct Plant {
    folder: tempfile::TempDir,
    log: Arc<MemoryLog>,
    clock: Arc<TestClock>,
    model: Model,
    historian: Arc<Historian>,
}

impl Plant {
    fn new() -> Self {
        let folder = tempfile::tempdir().unwrap();
        let (log, clock) = (Arc::default(), Arc::default());
        let historian = open(folder.path(), &log, &clock, true, Arc::new(NoHook));
        Self { folder, log, clock, model: Model::default(), historian }
    }

    fn restart(&mut self, publish: bool, hook: Arc<dyn Hook>) {
        self.historian = open(self.folder.path(), &self.log, &self.clock, publish, hook);
    }

    /// Writes whole numbers and flushes them.
    async fn flush(&mut self, rows: &[(u32, i64, i64)]) {
        let samples: Vec<_> = rows.iter().map(|(tag, ts, value)| sample(*tag, *ts, Value::Int64(*value))).collect();
        self.model.write(&samples);
        self.log.write(&samples);
        self.historian.catch_up().await.unwrap();
        self.historian.flush().await.unwrap();
    }

    async fn tidy(&self) {
        self.historian.tidy_files().await.unwrap();
    }

    fn dir(&self) -> &Path {
        self.folder.path()
    }

    fn table(&self) -> (Table, Rows) {
        let (table, rows) = check(self.dir());
        (table.unwrap(), rows)
    }

    fn assert_whole(&self) {
        assert_eq!(self.table().1, self.model.rows());
        let stats = self.historian.stats();
        assert_eq!((stats.held_back_files, stats.table_error), (0, None));
    }

    /// Whether each add and remove of a commit changes data.
    fn changes(&self, version: u64) -> BTreeSet<(String, bool)> {
        let of =
            |action: &Json, kind: &str| Some((kind.to_owned(), action.get(kind)?["dataChange"].as_bool().unwrap()));
        let actions = commit(self.dir(), version).unwrap();
        actions.iter().filter_map(|action| of(action, "add").or_else(|| of(action, "remove"))).collect()
    }
}

/// Fails in the table's log while it is set.
#[derive(Default)]
struct NoTable(AtomicBool);

impl Hook for NoTable {
    fn before(&self, _: Step, path: &Path) -> std::io::Result<()> {
        let hit = self.0.load(Ordering::Relaxed) && path.components().any(|part| part.as_os_str() == "_delta_log");
        if hit { Err(std::io::Error::other("disk full")) } else { Ok(()) }
    }
}

#[tokio::test]
async fn an_empty_history_is_an_empty_table_with_all_columns() {
    let plant = Plant::new();
    let (table, rows) = plant.table();
    assert_eq!((table.version, rows.len()), (0, 0));
    assert_eq!(
        table.columns.join(" "),
        "tag ts_ms ts_us v_int scale v_float v_double v_bool v_text quality received_ms received_at_ms"
    );
}

#[tokio::test]
async fn a_row_that_replaces_an_older_one_is_held_back_until_both_are_merged() {
    let mut plant = Plant::new();
    plant.flush(&[(1, 10, 1), (1, 20, 1), (2, 5, 1)]).await;
    // Between and around the times of the first file, but never the same.
    plant.flush(&[(1, 15, 2), (1, 30, 2), (3, 10, 2)]).await;
    plant.assert_whole();
    assert_eq!(plant.table().0.files.len(), 2, "no row in common: in the table at once");
    plant.flush(&[(1, 20, 3), (2, 6, 3)]).await;
    let (table, rows) = plant.table();
    assert_eq!((table.version, rows.len()), (2, 6), "the older row is still the one to see");
    assert_eq!(plant.historian.stats().held_back_files, 1);
    plant.flush(&[(1, 40, 4)]).await;
    assert_eq!(plant.table().1.len(), 7, "what comes after and replaces nothing is not held up");
    plant.tidy().await;
    plant.assert_whole();
    let version = plant.table().0.version;
    assert_eq!(plant.changes(version), BTreeSet::from([("add".to_owned(), true), ("remove".to_owned(), true)]));
}

#[tokio::test]
async fn what_may_collide_with_a_damaged_file_waits_until_that_is_restored() {
    let mut plant = Plant::new();
    plant.flush(&[(1, 10, 1), (1, 20, 1)]).await;
    let path = plant.dir().join("parquet").join(plant.table().0.files.keys().next().unwrap());
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, vec![0; good.len()]).unwrap();
    plant.restart(true, Arc::new(NoHook));
    plant.flush(&[(1, 20, 2)]).await;
    plant.flush(&[(1, 30, 3)]).await;
    plant.tidy().await;
    assert_eq!(plant.historian.stats().held_back_files, 1);
    assert_eq!(read(plant.dir()).unwrap().files.len(), 2, "the damaged one stays: its loss must not look like no data");
    std::fs::write(&path, good).unwrap();
    plant.restart(true, Arc::new(NoHook));
    plant.tidy().await;
    plant.assert_whole();
}

#[tokio::test]
async fn what_was_given_up_is_not_for_outside_readers_until_it_is_whole_again() {
    let mut plant = Plant::new();
    plant.flush(&[(1, 10, 1), (1, 20, 1), (2, 15, 1)]).await;
    let name = plant.table().0.files.keys().next().unwrap().clone();
    let path = plant.dir().join("parquet").join(&name);
    plant.flush(&[(1, 20, 2)]).await;
    let good = std::fs::read(&path).unwrap();
    std::fs::write(&path, vec![0; good.len()]).unwrap();
    plant.historian.give_up(Path::new(&name)).await.unwrap();
    // A row that may replace one of it was held back, and need not be any more.
    plant.tidy().await;
    let lost = [(1, 10), (2, 15)];
    let without = |plant: &Plant| {
        let mut rows = plant.model.rows();
        lost.iter().for_each(|row| assert!(rows.remove(row).is_some()));
        rows
    };
    assert_eq!(plant.table().1, without(&plant));
    plant.flush(&[(1, 10, 3), (1, 40, 4)]).await;
    let now = plant.model.rows();
    assert_eq!(plant.table().1.len(), now.len() - 1, "what comes later is not held back");
    let stats = plant.historian.stats();
    assert_eq!((stats.held_back_files, stats.given_up.len()), (0, 1));
    // Not even when nobody can need it any more for an older version of the table.
    plant.clock.0.store(8 * DAY, Ordering::Relaxed);
    plant.tidy().await;
    plant.restart(true, Arc::new(NoHook));
    plant.tidy().await;
    assert!(path.exists(), "it is history, and may be mended");
    assert_eq!(plant.table().1.len(), now.len() - 1);

    // Put back after all: newer rows win, and nobody sees two of one time.
    std::fs::write(&path, good).unwrap();
    plant.historian.compact().await.unwrap();
    plant.assert_whole();
    assert_eq!(plant.historian.stats().given_up, []);
    for tag in [1, 2] {
        let read = plant.historian.range(TagId(tag), Timestamp::MIN, Timestamp::MAX, None).await.unwrap();
        assert_eq!((read.points, read.gaps), (plant.model.range(tag, i64::MIN, i64::MAX), vec![]));
    }
}

#[tokio::test]
async fn a_merge_says_that_no_data_changed() {
    let mut plant = Plant::new();
    for n in 0..4 {
        plant.flush(&[(1, n, n)]).await;
        assert_eq!(plant.changes(plant.table().0.version), BTreeSet::from([("add".to_owned(), true)]));
    }
    plant.tidy().await;
    plant.assert_whole();
    let table = plant.table().0;
    assert_eq!((table.files.len(), table.version), (1, 5));
    assert_eq!(plant.changes(5), BTreeSet::from([("add".to_owned(), false), ("remove".to_owned(), false)]));
    // Deleted rows are seen outside until they were worked into the files; then the data did change.
    plant.log.delete(1, 1, 3);
    plant.model.delete(1, 1, 3);
    plant.historian.catch_up().await.unwrap();
    plant.historian.flush().await.unwrap();
    assert_eq!(plant.table().1.len(), 4);
    plant.tidy().await;
    plant.assert_whole();
    assert_eq!(plant.changes(6), BTreeSet::from([("add".to_owned(), true), ("remove".to_owned(), true)]));
}

#[tokio::test]
async fn merges_that_could_not_be_published_are_still_no_change_of_data() {
    let mut plant = Plant::new();
    let hook = Arc::new(NoTable::default());
    plant.restart(true, hook.clone());
    for n in 0..8 {
        plant.flush(&[(1, n, n)]).await;
        if n == 3 {
            hook.0.store(true, Ordering::Relaxed);
            plant.tidy().await;
        }
    }
    plant.tidy().await;
    let stats = plant.historian.stats();
    assert!(stats.table_error.unwrap().contains("disk full") && stats.last_error.is_none());
    assert_eq!((stats.table_version, plant.log.kept()), (Some(4), 0), "history went on without the table");
    assert_eq!(plant.table().1.len(), 4, "what was seen last is still whole");
    hook.0.store(false, Ordering::Relaxed);
    plant.tidy().await;
    plant.assert_whole();
    assert_eq!(plant.table().0.version, 5, "one commit for all that was missed");
}

#[tokio::test]
async fn replaced_files_stay_for_seven_days_also_over_restarts() {
    let mut plant = Plant::new();
    let count = |plant: &Plant| std::fs::read_dir(plant.dir().join("parquet/1970-01-01")).unwrap().count();
    for n in 0..4 {
        plant.flush(&[(1, n, n)]).await;
    }
    plant.tidy().await;
    assert_eq!((count(&plant), plant.historian.stats().removed_files), (5, 4));
    plant.clock.0.store(7 * DAY - 1_000, Ordering::Relaxed);
    plant.restart(true, Arc::new(NoHook));
    plant.tidy().await;
    assert_eq!(count(&plant), 5);
    plant.clock.0.store(7 * DAY, Ordering::Relaxed);
    plant.restart(true, Arc::new(NoHook));
    assert_eq!(count(&plant), 5, "not by the start, by tidying");
    plant.tidy().await;
    assert_eq!((count(&plant), plant.historian.stats().removed_files), (1, 0));
    plant.assert_whole();
    plant.restart(true, Arc::new(NoHook));
    plant.assert_whole();
}

#[tokio::test]
async fn checkpoints_make_old_commits_superfluous() {
    let mut plant = Plant::new();
    let names = |plant: &Plant| -> BTreeSet<String> {
        let entries = std::fs::read_dir(log_folder(plant.dir())).unwrap();
        entries.map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect()
    };
    for n in 0..104_i64 {
        plant.flush(&[(1, n, n)]).await;
        if n % 10 == 0 {
            plant.tidy().await;
            plant.assert_whole();
        }
        if n == 70 {
            plant.restart(true, Arc::new(NoHook));
        }
    }
    let before = names(&plant);
    let checkpoints = before.iter().filter(|name| name.ends_with(".checkpoint.parquet")).count();
    let version = plant.table().0.version;
    assert_eq!(checkpoints as u64, version / 50, "{before:?}");
    assert!(before.contains("_last_checkpoint") && before.contains("00000000000000000000.json"));
    plant.clock.0.store(8 * DAY, Ordering::Relaxed);
    for n in 104..160_i64 {
        plant.flush(&[(1, n, n)]).await;
    }
    plant.tidy().await;
    plant.assert_whole();
    let after = names(&plant);
    let newest_old = format!("{:020}.checkpoint.parquet", version / 50 * 50);
    assert!(
        after.contains(&newest_old)
            && after.iter().all(|name| *name >= format!("{:020}", version / 50 * 50) || name == "_last_checkpoint"),
        "{after:?}"
    );
    plant.restart(true, Arc::new(NoHook));
    plant.assert_whole();
}

#[tokio::test]
async fn a_power_cut_before_any_step_of_a_commit_is_made_good_at_the_next_start() {
    // The steps of an opening alone are another test's.
    let opening = PowerCut::after(u64::MAX);
    let mut plant = Plant::new();
    plant.flush(&[(1, 1, 1)]).await;
    plant.restart(true, opening.clone());
    let first = opening.seen.lock().unwrap().len() as u64;
    let mut cut = first;
    loop {
        let mut plant = Plant::new();
        plant.flush(&[(1, 1, 1)]).await;
        plant.log.write(&[sample(1, 2, Value::Int64(2))]);
        plant.model.write(&[sample(1, 2, Value::Int64(2))]);
        let hook = PowerCut::after(cut);
        plant.restart(true, hook.clone());
        plant.historian.catch_up().await.unwrap();
        let flushed = plant.historian.flush().await.is_ok();
        let done = hook.seen.lock().unwrap().len() as u64 == cut && plant.historian.stats().table_error.is_none();
        check(plant.dir());
        plant.restart(true, Arc::new(NoHook));
        if flushed {
            plant.assert_whole();
            let published = plant.table().0.version;
            assert_eq!(published, 2, "cut before step {cut}: committed once");
        }
        plant.historian.catch_up().await.unwrap();
        plant.historian.flush().await.unwrap();
        plant.assert_whole();
        if flushed && done {
            break;
        }
        cut += 1;
    }
    assert!(cut > first + 10, "{first} to {cut}");
}

#[tokio::test]
async fn a_log_that_was_removed_begins_anew_and_a_lost_commit_is_made_again() {
    let mut plant = Plant::new();
    for n in 0..3 {
        plant.flush(&[(1, n, n)]).await;
    }
    std::fs::remove_dir_all(log_folder(plant.dir())).unwrap();
    plant.flush(&[(1, 3, 3)]).await;
    plant.assert_whole();
    assert_eq!(plant.table().0.version, 0);
    plant.flush(&[(1, 4, 4)]).await;
    std::fs::remove_file(log_folder(plant.dir()).join(format!("{:020}.json", 1))).unwrap();
    plant.restart(true, Arc::new(NoHook));
    plant.assert_whole();
    assert_eq!(plant.table().0.version, 1);
}

#[tokio::test]
async fn a_damaged_log_is_named_with_a_remedy_and_history_goes_on() {
    for (damage, said) in [("torn", "is damaged"), ("cut", "it ends at version 1"), ("hole", "version 3 is missing")] {
        let mut plant = Plant::new();
        for n in 0..3 {
            plant.flush(&[(1, n, n)]).await;
        }
        let commit = |version: u64| log_folder(plant.dir()).join(format!("{version:020}.json"));
        match damage {
            "torn" => std::fs::write(commit(3), "{\"add\":{\"path").unwrap(),
            "cut" => [2, 3].iter().for_each(|version| std::fs::remove_file(commit(*version)).unwrap()),
            _ => std::fs::rename(commit(3), commit(4)).unwrap(),
        }
        plant.restart(true, Arc::new(NoHook));
        plant.flush(&[(1, 3, 3)]).await;
        let error = plant.historian.stats().table_error.unwrap();
        assert!(error.contains(said) && error.contains("Remove the folder"), "{damage}: {error}");
        assert_eq!((plant.log.kept(), plant.historian.stats().last_error), (0, None));
        std::fs::remove_dir_all(log_folder(plant.dir())).unwrap();
        plant.tidy().await;
        plant.assert_whole();
    }
}

#[tokio::test]
async fn what_another_program_commits_is_put_right() {
    let mut plant = Plant::new();
    plant.flush(&[(1, 0, 0)]).await;
    let ours = plant.table().0.files.keys().next().unwrap().clone();
    let foreign = format!(
        "{{\"remove\":{{\"path\":\"{ours}\",\"deletionTimestamp\":0,\"dataChange\":false}}}}\n{{\"add\":{{\"path\":\"theirs.parquet\",\
         \"partitionValues\":{{}},\"size\":1,\"modificationTime\":0,\"dataChange\":false,\"stats\":\"{{\\\"numRecords\\\":1}}\"}}}}\n"
    );
    std::fs::write(log_folder(plant.dir()).join(format!("{:020}.json", 2)), foreign).unwrap();
    std::fs::write(plant.dir().join("parquet/theirs.parquet"), b"x").unwrap();
    plant.flush(&[(1, 1, 1)]).await;
    assert!(plant.historian.stats().table_error.unwrap().contains("another program writes"));
    plant.tidy().await;
    plant.assert_whole();
    // Neither their file nor ours, which they took out, is deleted by us.
    plant.clock.0.store(30 * DAY, Ordering::Relaxed);
    plant.tidy().await;
    plant.assert_whole();
    assert!(plant.dir().join("parquet/theirs.parquet").exists());
}

#[tokio::test]
async fn switched_off_the_table_is_empty_and_switched_on_it_is_whole_again() {
    let mut plant = Plant::new();
    plant.flush(&[(1, 0, 0)]).await;
    plant.restart(false, Arc::new(NoHook));
    assert!(plant.table().1.is_empty());
    plant.flush(&[(1, 0, 1), (1, 2, 2)]).await;
    plant.clock.0.store(30 * DAY, Ordering::Relaxed);
    plant.tidy().await;
    assert!(plant.historian.verify().is_empty(), "files that are history are not deleted");
    plant.restart(true, Arc::new(NoHook));
    plant.tidy().await;
    plant.assert_whole();

    let never = tempfile::tempdir().unwrap();
    let historian = open(never.path(), &Arc::default(), &Arc::default(), false, Arc::new(NoHook));
    historian.tidy_files().await.unwrap();
    assert!(read(never.path()).is_none());
}

#[tokio::test]
async fn a_manifest_from_before_a_merge_takes_the_table_back_to_what_it_knows() {
    let mut plant = Plant::new();
    for n in 0..5 {
        plant.flush(&[(1, n, n)]).await;
    }
    let manifest = plant.dir().join("manifest");
    let backup = std::fs::read(&manifest).unwrap();
    plant.historian.tidy_files().await.unwrap();
    assert_eq!(plant.historian.stats().files, 1);
    let txn = plant.table().0.txn;
    std::fs::write(&manifest, backup).unwrap();
    // The merged files are kept for those who read the earlier table, so they are still there.
    plant.restart(true, Arc::new(NoHook));
    assert_eq!(plant.historian.stats().files, 5);
    assert_eq!(plant.table().1, plant.model.rows());
    assert!(plant.table().0.txn >= txn);
    plant.historian.tidy_files().await.unwrap();
    plant.assert_whole();
}
