//! How long a recall takes among a million units and ten million edges, and whether it is exact.
//!
//! `cargo run --release -p andon-store --example bench_trace -- [folder]`: builds a store there (2 GB; a temporary folder if none is
//! given, a store that is there already is taken), asks for the recall of twenty lots, and compares each answer with a plain walk in
//! memory. Beside it stands what a recursive statement takes for the same items, and how fast steps are taken in by such a store.
//!
//! The plant: a thousand lots of ten materials are each split into ten parts; a unit takes from ten parts, in half of the materials in the
//! order in which units are made, in the others from parts that are used all over the year. A fifth of the units goes into other units,
//! and one edge of a thousand was taken out again.

#![expect(clippy::unwrap_used, reason = "a benchmark that panics has failed, and says where")]
#![expect(clippy::cast_possible_truncation, reason = "numbers up to some millions")]

use andon_model::{Clock, SystemClock, Timestamp};
use andon_store::Store;
use andon_store::trace::{
    AsOf, ClosureWish, Direction, Disposition, ItemKind, ItemName, ItemRef, NewEdge, NewItem, NewPass, ONE, Step, Told,
    TraceRepository,
};
use serde_json::json;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqliteSynchronous};
use sqlx::{Connection, Row, SqliteConnection};
use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

const MATERIALS: u32 = 10;
const RAW: u32 = 1_000;
const PARTS: u32 = 10_000;
const UNITS: u32 = 1_000_000;
/// So many of the first units go into others.
const INNER: u32 = 200_000;
const FIRST_PART: u32 = RAW + 1;
const FIRST_UNIT: u32 = RAW + PARTS + 1;
const LAST: u32 = RAW + PARTS + UNITS;
const START: i64 = 1_780_000_000_000_000;
const END: i64 = START + 100 * 365 * 86_400_000_000;
/// Rows of one statement.
const ROWS: usize = 400;
const TIMES: usize = 5;

/// From, to, position.
type Edge = (u32, u32, u32);

#[tokio::main]
async fn main() {
    let temporary = tempfile::tempdir().unwrap();
    let folder = std::env::args().nth(1).map_or_else(|| temporary.path().to_owned(), PathBuf::from);
    let path = folder.join("trace.db");
    let edges = edges();
    println!("{} items, {} edges", LAST, edges.len());
    if !path.exists() {
        fill(&path, &edges).await;
    }
    println!("on disk: {} MB", std::fs::metadata(&path).unwrap().len() >> 20);
    let store = Store::open(&path, Arc::new(SystemClock)).await.unwrap();
    ask(&store, &path, &Graph::new(&edges)).await;
    take_in(&store).await;
    store.close().await.unwrap();
}

/// Every edge, in the order of the table.
fn edges() -> Vec<Edge> {
    let mut edges: Vec<Edge> = (0..PARTS).map(|part| (part / 10 + 1, FIRST_PART + part, 0)).collect();
    for unit in 0..UNITS {
        let scattered = (u64::from(unit) * 7_368_787 % u64::from(UNITS)) as u32;
        for material in 0..MATERIALS {
            let place = if material % 2 == 0 { unit } else { scattered };
            let part = material * (PARTS / MATERIALS) + place / (UNITS / (PARTS / MATERIALS));
            edges.push((FIRST_PART + part, FIRST_UNIT + unit, material + 1));
        }
        if unit < INNER {
            edges.push((FIRST_UNIT + unit, FIRST_UNIT + INNER + unit, 11));
        }
    }
    edges.sort_unstable();
    edges
}

/// One of a thousand was taken out again.
const fn is_out((from, to, _): &Edge) -> bool {
    (*from as u64 * 31 + *to as u64).is_multiple_of(1_000)
}

const fn made_at(key: u32) -> i64 {
    START + key as i64 * 1_000_000
}

fn id(key: u32) -> Uuid {
    uuid::Builder::from_unix_timestamp_millis((made_at(key) / 1000) as u64, &[7; 10])
        .into_uuid()
        .as_u128()
        .checked_add(u128::from(key))
        .map(Uuid::from_u128)
        .unwrap()
}

fn name(key: u32) -> ItemName {
    let (kind, material, number) = match key {
        ..FIRST_PART => (ItemKind::Lot, format!("material-{}", (key - 1) / (RAW / MATERIALS)), format!("L{key:07}")),
        FIRST_PART..FIRST_UNIT => {
            let part = key - FIRST_PART;
            let material = format!("material-{}", part / (PARTS / MATERIALS));
            (ItemKind::Sublot, material, format!("L{:07}/{}", part / 10 + 1, part % 10))
        }
        _ => (ItemKind::Unit, "pump".to_owned(), format!("S{key:010}")),
    };
    ItemName { kind, material, number }
}

/// Writes the same tables as the store does, without waiting for the disk. The index beside the edges is made at the end.
async fn fill(path: &Path, edges: &[Edge]) {
    let begun = SystemClock.monotonic();
    let store = Store::open(path, Arc::new(SystemClock)).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let options = SqliteConnectOptions::new()
        .filename(path)
        .journal_mode(SqliteJournalMode::Off)
        .synchronous(SqliteSynchronous::Off)
        .pragma("cache_size", "-500000");
    // The threads of the store let the file go a moment after it is closed.
    let mut db = loop {
        match SqliteConnection::connect_with(&options).await {
            Ok(db) => break db,
            Err(error) if (SystemClock.monotonic() - begun).as_secs() > 30 => panic!("{error}"),
            Err(_) => tokio::time::sleep(Duration::from_millis(20)).await,
        }
    };
    let (mut ins, mut outs, mut used, mut split) = (
        vec![0_i64; LAST as usize + 1],
        vec![0_i64; LAST as usize + 1],
        vec![0_i64; LAST as usize + 1],
        vec![0_i64; LAST as usize + 1],
    );
    for edge in edges {
        let quantity = if edge.2 == 0 { 1_000 } else { 1 };
        outs[edge.0 as usize] += 1;
        ins[edge.1 as usize] += 1;
        // A unit that is taken out is given back; what was used of a lot is not.
        used[edge.0 as usize] += if edge.2 == 11 && is_out(edge) { 0 } else { quantity };
        split[edge.1 as usize] += if edge.2 == 0 { quantity } else { 0 };
    }
    sqlx::query("BEGIN").execute(&mut db).await.unwrap();
    sqlx::query("DROP INDEX trace_edge_back").execute(&mut db).await.unwrap();
    for (number, word) in
        (1..).zip((0..MATERIALS).map(|n| format!("material-{n}")).chain(["pump".to_owned(), "works/dock".to_owned()]))
    {
        sqlx::query("INSERT INTO trace_word (number, text) VALUES (?, ?)")
            .bind(number)
            .bind(word)
            .execute(&mut db)
            .await
            .unwrap();
    }
    for number in 13..24 {
        sqlx::query("INSERT INTO trace_word (number, text) VALUES (?, ?)")
            .bind(number)
            .bind(format!("A{number}"))
            .execute(&mut db)
            .await
            .unwrap();
    }
    let keys: Vec<u32> = (1..=LAST).collect();
    for keys in keys.chunks(ROWS) {
        let sql = statement(
            "trace_item (key, id, kind, material, number, made, received, consumed, ins, outs, state, place, made_at)",
            "(?,?,?,?,?,?,?,?,?,?,0,?,?)",
            keys.len(),
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for key in keys {
            let name = name(*key);
            let (kind, material, made) = match name.kind {
                ItemKind::Lot => (0, (key - 1) / (RAW / MATERIALS) + 1, 10_500),
                ItemKind::Sublot => (1, (key - FIRST_PART) / (PARTS / MATERIALS) + 1, 0),
                _ => (2, 11, 1),
            };
            let k = *key as usize;
            query = query
                .bind(*key)
                .bind(id(*key).as_bytes().to_vec())
                .bind(kind)
                .bind(material)
                .bind(name.number)
                .bind(made * ONE);
            query =
                query.bind(split[k] * ONE).bind(used[k] * ONE).bind(ins[k]).bind(outs[k]).bind(12).bind(made_at(*key));
        }
        query.execute(&mut db).await.unwrap();
    }
    told(&mut db, "items", begun).await;
    for edges in edges.chunks(ROWS) {
        let sql = statement(
            "trace_edge (from_key, to_key, at, position, removed_at, quantity, adds, given_back, job, equipment, by_id)",
            "(?,?,?,?,?,?,?,?,13,14,15)",
            edges.len(),
        );
        let mut query = sqlx::query(sqlx::AssertSqlSafe(sql));
        for edge in edges {
            let (at, quantity) = (made_at(edge.1), if edge.2 == 0 { 1_000 } else { 1 } * ONE);
            let out = is_out(edge).then_some(at + 1_000_000);
            query = query.bind(edge.0).bind(edge.1).bind(at).bind(edge.2 + 12).bind(out).bind(quantity);
            query = query.bind(edge.2 == 0).bind(edge.2 == 11 && is_out(edge));
        }
        query.execute(&mut db).await.unwrap();
    }
    told(&mut db, "and edges", begun).await;
    sqlx::query("CREATE INDEX trace_edge_back ON trace_edge (to_key, from_key, at, position, removed_at)")
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::query("INSERT INTO trace_stock (item, place, quantity) SELECT key, 12, 1000000 FROM trace_item")
        .execute(&mut db)
        .await
        .unwrap();
    sqlx::query("COMMIT").execute(&mut db).await.unwrap();
    told(&mut db, "and the index for the way back, and stock", begun).await;
    db.close().await.unwrap();
}

fn statement(into: &str, row: &str, rows: usize) -> String {
    format!("INSERT INTO {into} VALUES {}", vec![row; rows].join(","))
}

async fn told(db: &mut SqliteConnection, what: &str, begun: Duration) {
    let pages: i64 = sqlx::query_scalar("PRAGMA page_count").fetch_one(db).await.unwrap();
    println!("{what}: {} MB after {:.0} s", (pages * 4096) >> 20, (SystemClock.monotonic() - begun).as_secs_f64());
}

/// The edges that hold at the end, for a walk in memory.
struct Graph {
    starts: Vec<u32>,
    to: Vec<u32>,
}

impl Graph {
    fn new(edges: &[Edge]) -> Self {
        let mut starts = vec![0; LAST as usize + 2];
        let held: Vec<&Edge> = edges.iter().filter(|edge| !is_out(edge)).collect();
        for edge in &held {
            starts[edge.0 as usize + 1] += 1;
        }
        for n in 1..starts.len() {
            starts[n] += starts[n - 1];
        }
        Self { starts, to: held.iter().map(|edge| edge.1).collect() }
    }

    fn next(&self, key: u32) -> &[u32] {
        &self.to[self.starts[key as usize] as usize..self.starts[key as usize + 1] as usize]
    }

    /// Everything that a key leads to, itself too.
    fn reach(&self, root: u32) -> BTreeSet<u32> {
        let (mut seen, mut waiting) = (BTreeSet::from([root]), vec![root]);
        while let Some(here) = waiting.pop() {
            waiting.extend(self.next(here).iter().copied().filter(|key| seen.insert(*key)));
        }
        seen
    }
}

async fn ask(store: &Store, path: &Path, graph: &Graph) {
    let mut db = SqliteConnection::connect_with(&SqliteConnectOptions::new().filename(path)).await.unwrap();
    let lots = [0_u32, 1, 4, 5].into_iter().flat_map(|material| [5, 25, 45, 65, 85].map(|n| material * 100 + n + 1));
    let as_of = AsOf::At(Timestamp::from_micros(END));
    let (mut recalls, mut firsts, mut closures, mut recursive, mut back) = (vec![], vec![], vec![], vec![], vec![]);
    for lot in lots {
        let reach = graph.reach(lot);
        let units: BTreeSet<u128> = reach
            .iter()
            .filter(|key| **key >= FIRST_UNIT && graph.next(**key).is_empty())
            .map(|key| id(*key).as_u128())
            .collect();
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let begun = SystemClock.monotonic();
            let recall = store.trace_recall(ItemRef::Name(name(lot)), as_of).await.unwrap().unwrap();
            times.push(SystemClock.monotonic() - begun);
            let found: BTreeSet<u128> = recall.units.iter().map(|row| row.item.id.as_u128()).collect();
            assert_eq!((recall.reached, recall.cut), (reach.len(), None), "of lot {lot}");
            assert!(found == units, "the units of lot {lot} are not those of a plain walk");
            // 500 of each lot are left, and all of its parts are used up.
            assert_eq!(recall.lots.iter().map(|row| row.item.id).collect::<Vec<_>>(), [id(lot)]);
        }
        firsts.push(times[0]);
        let (first, warm) = (times[0], median(&mut times));
        recalls.push(warm);
        let wish = ClosureWish::all(ItemRef::Name(name(lot)), Direction::Forward, as_of);
        let begun = SystemClock.monotonic();
        let closure = store.trace_closure(wish).await.unwrap().unwrap();
        closures.push(SystemClock.monotonic() - begun);
        let found: BTreeSet<u128> = closure.items.iter().map(|reached| reached.item.id.as_u128()).collect();
        assert!(found == reach.iter().map(|key| id(*key).as_u128()).collect(), "lot {lot}");
        let held: usize = reach.iter().map(|key| graph.next(*key).len()).sum();
        assert_eq!(closure.edges.len(), held);
        let mut times = Vec::new();
        for _ in 0..TIMES {
            let begun = SystemClock.monotonic();
            let rows = sqlx::query(RECURSIVE).bind(lot).bind(END).bind(END).fetch_all(&mut db).await.unwrap();
            let found: Vec<Uuid> = rows.iter().map(|row| Uuid::from_slice(row.get("id")).unwrap()).collect();
            times.push(SystemClock.monotonic() - begun);
            assert_eq!(found.len(), reach.len());
        }
        recursive.push(median(&mut times));
        let unit = *reach.last().unwrap();
        let wish = ClosureWish::all(ItemRef::Name(name(unit)), Direction::Backward, as_of);
        let begun = SystemClock.monotonic();
        store.trace_closure(wish).await.unwrap().unwrap();
        back.push(SystemClock.monotonic() - begun);
        println!("lot {lot:3}: {} items, {} units, first {}, median {}", reach.len(), units.len(), ms(first), ms(warm));
    }
    for (what, mut times) in [
        ("recall, the first time", firsts),
        ("recall, median of five", recalls),
        ("closure with edges", closures),
        ("recursive statement, items only", recursive),
        ("closure back from a unit", back),
    ] {
        times.sort_unstable();
        println!(
            "{what}: median {}, from {} to {}",
            ms(times[times.len() / 2]),
            ms(times[0]),
            ms(times[times.len() - 1])
        );
    }
}

const RECURSIVE: &str = "WITH RECURSIVE reach (key) AS (SELECT ? UNION SELECT e.to_key FROM reach r JOIN trace_edge e ON e.from_key = r.key \
    WHERE e.at <= ? AND (e.removed_at IS NULL OR e.removed_at > ?)) \
    SELECT i.key, i.id, i.kind, i.material, i.number, i.revision, i.made, i.received, i.consumed, i.ins, i.outs, i.state, i.place, \
    i.made_at, i.job FROM reach JOIN trace_item i ON i.key = reach.key";

/// New units with three parts each at a station, as machines tell them.
async fn take_in(store: &Store) {
    let (told, now) = (SystemClock.now(), Timestamp::from_micros(END + 1)); // After what is asked about, so that it can be asked again.
    let batch = |n: u32| {
        (0..500).flat_map(move |k| {
            let number = format!("N{}-{n}-{k}", told.micros());
            let unit = ItemName { kind: ItemKind::Unit, material: "pump".to_owned(), number };
            let made = NewItem {
                id: Uuid::from_u128(told.micros() as u128 * 1_000_000 + u128::from(n * 500 + k)),
                name: unit.clone(),
                revision: None,
                quantity: None,
                state: Disposition::Released,
                place: None,
                at: now,
                job: None,
                by: None,
                told_if_new: None,
            };
            let pass = NewPass {
                unit: ItemRef::Name(unit.clone()),
                equipment: "works/line/press".to_owned(),
                at: now,
                job: None,
                operation: None,
                passed: Some(true),
                measures: json!({ "force": 12.5 }).as_object().cloned().unwrap_or_default(),
                firmware: BTreeMap::new(),
                last: false,
            };
            let part = move |p: u32| NewEdge {
                from: ItemRef::Name(name(FIRST_PART + p * 1_000 + k)),
                to: ItemRef::Name(unit.clone()),
                quantity: ONE,
                position: format!("A{}", 13 + p),
                at: now,
                job: None,
                equipment: Some("works/line/press".to_owned()),
                by: None,
                adds: false,
                even_so: true,
                replaces: true,
            };
            let parts: Vec<Step> = (0..3).map(part).map(Step::Edge).collect();
            [Step::Item(made)].into_iter().chain(parts).chain([Step::Pass(pass)])
        })
    };
    let begun = SystemClock.monotonic();
    let mut taken = 0;
    for n in 0..4 {
        let report = store.trace_apply(Told::of(batch(n).collect(), None)).await.unwrap();
        assert_eq!(report.refused, []);
        taken += report.changed;
    }
    let seconds = (SystemClock.monotonic() - begun).as_secs_f64();
    println!("taken in: {taken} steps in {seconds:.2} s, {:.0} a second", f64::from(taken as u32) / seconds);
}

fn median(times: &mut [Duration]) -> Duration {
    times.sort_unstable();
    times[times.len() / 2]
}

fn ms(time: Duration) -> String {
    format!("{:.1} ms", time.as_secs_f64() * 1e3)
}
