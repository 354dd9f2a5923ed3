//! A plant in memory: tags, samples, people whose rights can be turned, and a count of what was read.

use andon_model::access::{Principal, PrincipalKind};
use andon_model::column::{Quality, StretchSum, Values};
use andon_model::{BoxFuture, Loss, StatusCode, TagId, Timestamp, Value};
use andon_sql::ports::{
    Blocks, Catalog, Equipment, EventQuery, EventRow, Gap, Gate, History, Last, LoginRefused, Pages, Ports,
    RecordColumn, RecordQuery, RecordRows, Records, Rows, Summed, Tag, Unreadable,
};
use andon_sql::{Engine, Options, SqlError};
use arrow::array::RecordBatch;
use arrow::util::display::{ArrayFormatter, FormatOptions};
use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use uuid::Uuid;

/// A sample: time in µs, value, StatusCode.
pub type Point = (i64, Value, u32);

pub const T0: i64 = 1_767_225_600_000_000; // 2026-01-01T00:00:00Z
pub const SECOND: i64 = 1_000_000;

pub fn person(n: u128) -> Principal {
    Principal { id: Uuid::from_u128(n), kind: PrincipalKind::Person }
}

/// A row of a view of the records: where it is seen, and its cells in the order of the view's columns.
#[derive(Clone, Debug)]
pub struct Record {
    pub place: &'static str,
    pub cells: Vec<Cell>,
}

#[derive(Clone, Debug)]
pub enum Cell {
    Text(Option<String>),
    Number(Option<i64>),
}

pub fn text(text: &str) -> Cell {
    Cell::Text(Some(text.to_owned()))
}

pub fn number(number: i64) -> Cell {
    Cell::Number(Some(number))
}

#[derive(Default)]
pub struct Plant {
    pub records: BTreeMap<&'static str, Vec<Record>>,
    /// Who sees one of them sees lots.
    pub stations: Mutex<Vec<String>>,
    /// What was asked of the records.
    pub asked: Mutex<Vec<RecordQuery>>,
    /// Pages of records that were handed out.
    pub pages: AtomicUsize,
    pub tags: Vec<Tag>,
    pub points: BTreeMap<u32, Vec<Point>>,
    pub events: Vec<EventRow>,
    pub rights: Mutex<Vec<(Principal, Vec<String>)>>,
    /// (tag, from, to) of each scan.
    pub scans: Mutex<Vec<(u32, i64, i64)>>,
    pub rows_read: AtomicUsize,
    /// How often all paths were asked for.
    pub all_paths: AtomicUsize,
    /// Blocks wait for this many milliseconds.
    pub slow_ms: AtomicUsize,
    pub block: usize,
    /// From its first row on nothing of history can be read.
    pub damaged: AtomicBool,
    /// Minutes are handed out added up.
    pub sums: AtomicBool,
    pub sums_read: AtomicUsize,
}

impl Plant {
    pub fn add(&mut self, path: &str, stepped: bool, points: Vec<Point>) {
        let id = u32::try_from(self.tags.len()).expect("few") + 1;
        self.tags.push(Tag {
            id: TagId(id),
            uuid: Uuid::from_u128(u128::from(id)).to_string(),
            path: path.into(),
            title: path.rsplit('/').next().unwrap_or(path).to_owned(),
            data_type: "double",
            unit: Some("bar".to_owned()),
            range: Some((0.0, 10.0)),
            digits: Some(1),
            stepped,
            description: String::new(),
        });
        self.points.insert(id, points);
    }

    pub fn grant(&self, who: &Principal, branches: &[&str]) {
        let mut rights = self.rights.lock().expect("lock");
        rights.retain(|(known, _)| known != who);
        rights.push((who.clone(), branches.iter().map(|b| (*b).to_owned()).collect()));
    }

    pub fn of(&self, path: &str) -> &[Point] {
        let tag = self.tags.iter().find(|tag| &*tag.path == path).expect("a tag");
        &self.points[&tag.id.0]
    }
}

/// Two lines with two machines each; numbers, a text, a tag with bad samples.
pub fn works() -> Plant {
    let mut plant = Plant { block: 1000, ..Plant::default() };
    for line in 1..=2 {
        for machine in ["filler", "capper"] {
            let ramp = |n: i64| {
                (
                    T0 + n * SECOND,
                    Value::Double(f64::from(i32::try_from(n % 60).expect("small")) + f64::from(line) / 10.0),
                    0,
                )
            };
            plant.add(&format!("works/line{line}/{machine}/pressure"), false, (0..5000).map(ramp).collect());
        }
    }
    let bad = |n: i64| match n % 10 {
        9 => (T0 + n * SECOND, Value::Double(9999.0), StatusCode::BAD_SENSOR_FAILURE.0),
        8 => (T0 + n * SECOND, Value::Null, StatusCode::BAD_NO_COMMUNICATION.0),
        7 => (T0 + n * SECOND, Value::Double(7.0), StatusCode::UNCERTAIN.0),
        rest => (T0 + n * SECOND, Value::Double(f64::from(i32::try_from(rest).expect("small"))), 0),
    };
    plant.add("works/line1/filler/level", true, (0..100).map(bad).collect());
    let words = |n: i64| (T0 + n * 10 * SECOND, Value::String(if n % 2 == 0 { "running" } else { "held" }.into()), 0);
    plant.add("works/line1/state", true, (0..20).map(words).collect());
    plant.add("home/hall/lamp", true, vec![(T0, Value::Boolean(true), 0), (T0 + SECOND, Value::Int64(i64::MAX), 0)]);
    plant.events = (0..2500)
        .map(|n| EventRow {
            seq: n + 1,
            id: Uuid::from_u128(u128::from(n)).to_string(),
            at: T0 + i64::try_from(n).expect("few") * SECOND,
            kind: "alarm",
            severity: 2,
            path: if n % 2 == 0 { "works/line1/filler".to_owned() } else { "home/hall".to_owned() },
            by: Uuid::nil().to_string(),
            detail: "{}".to_owned(),
        })
        .collect();
    plant
}

struct Scan {
    plant: Arc<Plant>,
    points: Vec<Point>,
    at: usize,
}

impl Scan {
    /// The rest of a minute that has no uncertain value and no text in it.
    fn minute(&mut self) -> Option<StretchSum> {
        let first = self.points.get(self.at)?.0;
        let minute = |ts: i64| ts.div_euclid(60 * SECOND);
        let rest = self.points[self.at..].iter().take_while(|point| minute(point.0) == minute(first));
        let rows: Vec<&Point> = rest.collect();
        if rows.iter().any(|row| StatusCode(row.2).is_uncertain() || matches!(row.1, Value::String(_))) {
            return None;
        }
        self.at += rows.len();
        self.plant.sums_read.fetch_add(1, Ordering::Relaxed);
        let numbers: Vec<f64> =
            rows.iter().filter(|row| !StatusCode(row.2).is_bad()).filter_map(|row| row.1.as_f64()).collect();
        let extremes = (!numbers.is_empty())
            .then(|| numbers.iter().fold((f64::MAX, f64::MIN), |(min, max), n| (min.min(*n), max.max(*n))));
        let (rows, count) = (rows.len() as u64, numbers.len() as u64);
        Some(StretchSum { first, rows, numbers: count, sum: numbers.iter().sum(), extremes })
    }
}

impl Blocks for Scan {
    fn begin(&mut self, tag: TagId, from_us: i64, to_us: i64) {
        self.plant.scans.lock().expect("lock").push((tag.0, from_us, to_us));
        let all = self.plant.points.get(&tag.0).cloned().unwrap_or_default();
        self.points = all.into_iter().filter(|point| (from_us..to_us).contains(&point.0)).collect();
        self.at = 0;
    }

    fn next_summed(&mut self, width_us: Option<i64>) -> Option<Result<Summed, Unreadable>> {
        let whole = width_us.is_none_or(|width| width % (60 * SECOND) == 0);
        let sum = if whole && self.plant.sums.load(Ordering::Relaxed) { self.minute() } else { None };
        match sum {
            Some(sum) => Some(Ok(Summed::Sums(vec![sum]))),
            None => Some(self.next()?.map(Summed::Rows)),
        }
    }

    fn next(&mut self) -> Option<Result<Rows, Unreadable>> {
        let wait = self.plant.slow_ms.load(Ordering::Relaxed);
        if wait > 0 {
            let (_keep, never) = std::sync::mpsc::channel::<()>();
            let _ = never.recv_timeout(std::time::Duration::from_millis(u64::try_from(wait).expect("small")));
        }
        if self.plant.damaged.load(Ordering::Relaxed) {
            return Some(Err(Unreadable("the history file h.parquet is damaged; restore it from a backup".to_owned())));
        }
        let rows = self.points.get(self.at..)?;
        let rows = &rows[..rows.len().min(self.plant.block)];
        if rows.is_empty() {
            return None;
        }
        self.at += rows.len();
        self.plant.rows_read.fetch_add(rows.len(), Ordering::Relaxed);
        let doubles: Option<Vec<f64>> =
            rows.iter().map(|(_, value, _)| if let Value::Double(d) = value { Some(*d) } else { None }).collect();
        let same = rows.iter().all(|row| row.2 == rows[0].2);
        Some(Ok(Rows {
            ts: rows.iter().map(|row| row.0).collect(),
            values: doubles
                .map_or_else(|| Values::Mixed(rows.iter().map(|row| row.1.clone()).collect()), Values::Double),
            quality: if same {
                Quality::Same(rows[0].2)
            } else {
                Quality::Each(rows.iter().map(|row| row.2).collect())
            },
        }))
    }
}

pub struct Shared(pub Arc<Plant>);

impl History for Shared {
    fn open(&self) -> Box<dyn Blocks> {
        Box::new(Scan { plant: self.0.clone(), points: Vec::new(), at: 0 })
    }
    fn gaps(&self) -> Vec<Gap> {
        let at = |seconds: i64| Timestamp::from_micros(T0 + seconds * SECOND);
        vec![Gap { from: at(-90), to: at(-60), reason: "Andon was not running".to_owned() }]
    }
    fn lost(&self, _: TagId) -> Vec<Loss> {
        let loss = |gap: Gap| Loss { from: gap.from, to: gap.to, goes_on: true, in_doubt: false };
        self.gaps().into_iter().map(loss).collect()
    }
}

impl Catalog for Shared {
    fn tags(&self) -> Vec<Tag> {
        self.0.tags.clone()
    }
    fn paths(&self) -> Vec<(TagId, Arc<str>)> {
        self.0.all_paths.fetch_add(1, Ordering::Relaxed);
        self.0.tags.iter().map(|tag| (tag.id, tag.path.clone())).collect()
    }
    fn at(&self, path: &str) -> Option<TagId> {
        self.0.tags.iter().find(|tag| &*tag.path == path).map(|tag| tag.id)
    }
    fn data_type(&self, tag: TagId) -> Option<&'static str> {
        self.0.tags.iter().find(|known| known.id == tag).map(|tag| tag.data_type)
    }
    fn equipment(&self) -> Vec<Equipment> {
        ["works", "works/line1", "works/line1/filler", "works/line2", "home", "home/hall"]
            .map(|path| Equipment {
                path: path.to_owned(),
                level: "area",
                title: path.to_owned(),
                parent: path.rsplit_once('/').map(|(above, _)| above.to_owned()),
            })
            .to_vec()
    }
    fn last(&self, tag: TagId) -> Option<Last> {
        let (ts, value, quality) = self.0.points.get(&tag.0)?.last()?.clone();
        Some(Last { tag, ts, value, quality: StatusCode(quality), stale: false })
    }
    fn events(&self, query: EventQuery) -> BoxFuture<'_, Result<Vec<EventRow>, String>> {
        let under = |path: &str| query.branches.iter().any(|branch| andon_model::path::is_under(path, branch));
        let fits = |event: &&EventRow| {
            under(&event.path)
                && query.from_us.is_none_or(|from| event.at >= from)
                && query.to_us.is_none_or(|to| event.at < to)
                && query.before.is_none_or(|before| event.seq < before)
        };
        let limit = usize::try_from(query.limit).expect("small");
        let page: Vec<_> = self.0.events.iter().rev().filter(fits).take(limit).cloned().collect();
        Box::pin(async move { Ok(page) })
    }
    fn now_us(&self) -> i64 {
        T0 + 86_400 * SECOND
    }
}

struct Paging {
    plant: Arc<Plant>,
    query: RecordQuery,
    at: usize,
}

impl Pages for Paging {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<RecordRows>, Unreadable>> {
        Box::pin(async move {
            let wait = self.plant.slow_ms.load(Ordering::Relaxed);
            tokio::time::sleep(std::time::Duration::from_millis(u64::try_from(wait).expect("small"))).await;
            if self.plant.damaged.load(Ordering::Relaxed) {
                return Err(Unreadable("the database gives no answer; try again once it is back".to_owned()));
            }
            let all = self.plant.records.get(self.query.view).map_or(&[][..], Vec::as_slice);
            if self.at >= all.len() {
                return Ok(None);
            }
            let page = &all[self.at..all.len().min(self.at + usize::try_from(self.query.page).expect("small"))];
            self.at += page.len();
            self.plant.pages.fetch_add(1, Ordering::Relaxed);
            let lots = matches!(self.query.view, "report_lots" | "report_genealogy");
            let sees = |record: &&Record| {
                lots || self.query.branches.iter().any(|branch| andon_model::path::is_under(record.place, branch))
            };
            let rows: Vec<&Record> = page.iter().filter(sees).collect();
            let schema = andon_sql::views::columns(self.query.view).expect("a view");
            let column = |name: &&str| {
                let at = schema.index_of(name).expect("a column");
                let texts =
                    || rows.iter().map(|row| if let Cell::Text(text) = &row.cells[at] { text.clone() } else { None });
                let numbers =
                    || rows.iter().map(|row| if let Cell::Number(number) = row.cells[at] { number } else { None });
                match schema.field(at).data_type() {
                    arrow::datatypes::DataType::Utf8View => RecordColumn::Texts(texts().collect()),
                    _ => RecordColumn::Numbers(numbers().collect()),
                }
            };
            Ok(Some(RecordRows { rows: rows.len(), columns: self.query.columns.iter().map(column).collect() }))
        })
    }
}

impl Records for Shared {
    fn open(&self, query: RecordQuery) -> Box<dyn Pages> {
        self.0.asked.lock().expect("lock").push(query.clone());
        Box::new(Paging { plant: self.0.clone(), query, at: 0 })
    }
    fn sees_lots(&self, branches: &[String]) -> bool {
        let stations = self.0.stations.lock().expect("lock");
        let sees = |path: &String| branches.iter().any(|branch| andon_model::path::is_under(path, branch));
        stations.iter().any(sees)
    }
}

impl Gate for Shared {
    fn log_in<'a>(
        &'a self,
        user: &'a str,
        password: &'a str,
        _: &'a str,
    ) -> BoxFuture<'a, Result<Principal, LoginRefused>> {
        let known = user == "anna" && password == "correct horse";
        Box::pin(async move {
            if known { Ok(person(1)) } else { Err(LoginRefused("name or password is wrong".to_owned())) }
        })
    }
    fn open(&self) -> Option<Principal> {
        None
    }
    fn name(&self, who: &Principal) -> Option<String> {
        ["anna", "bert"]
            .into_iter()
            .zip([person(1), person(2)])
            .find(|(_, known)| known == who)
            .map(|(name, _)| name.to_owned())
    }
    fn branches(&self, who: &Principal) -> Vec<String> {
        let rights = self.0.rights.lock().expect("lock");
        rights.iter().find(|(known, _)| known == who).map(|(_, branches)| branches.clone()).unwrap_or_default()
    }
}

/// A plant, its engine, Anna (1) who sees everything, Bert (2) who sees line 1.
pub struct World {
    pub plant: Arc<Plant>,
    pub engine: Arc<Engine>,
    pub anna: Principal,
    pub bert: Principal,
}

impl World {
    pub fn new() -> Self {
        Self::with(works(), Options::default())
    }

    pub fn with(plant: Plant, options: Options) -> Self {
        let plant = Arc::new(plant);
        let (anna, bert) = (person(1), person(2));
        plant.grant(&anna, &[""]);
        plant.grant(&bert, &["works/line1"]);
        let ports = Ports {
            history: Arc::new(Shared(plant.clone())),
            catalog: Arc::new(Shared(plant.clone())),
            records: Arc::new(Shared(plant.clone())),
            gate: Arc::new(Shared(plant.clone())),
        };
        let engine = Engine::start(ports, options).expect("threads");
        Self { plant, engine, anna, bert }
    }

    pub async fn batches(&self, who: &Principal, text: &str) -> Result<Vec<RecordBatch>, SqlError> {
        let mut answer = self.engine.run(who, text).await?;
        let mut batches = Vec::new();
        while let Some(batch) = answer.batches.recv().await {
            batches.push(batch?);
        }
        Ok(batches)
    }

    /// The rows in words: columns separated by `|`.
    pub async fn try_rows(&self, who: &Principal, text: &str) -> Result<Vec<String>, SqlError> {
        let options = FormatOptions::default().with_null("–").with_timestamp_tz_format(Some("%H:%M:%S%.f"));
        let mut rows = Vec::new();
        for batch in self.batches(who, text).await? {
            let columns: Vec<_> =
                batch.columns().iter().map(|c| ArrayFormatter::try_new(c, &options).expect("shown")).collect();
            for row in 0..batch.num_rows() {
                rows.push(columns.iter().map(|column| column.value(row).to_string()).collect::<Vec<_>>().join("|"));
            }
        }
        Ok(rows)
    }

    pub async fn rows(&self, text: &str) -> Vec<String> {
        self.try_rows(&self.anna, text).await.unwrap_or_else(|error| panic!("{text}: {error}"))
    }

    /// What was read since the last call.
    pub fn scans(&self) -> Vec<(u32, i64, i64)> {
        std::mem::take(&mut *self.plant.scans.lock().expect("lock"))
    }
}
