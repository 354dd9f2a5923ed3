//! Stores of older versions: taken over with everything that is in them.

use crate::fakes::{HandClock, note, open, plant};
use andon_model::access::{Grant, Principal, Role};
use andon_model::{Clock, Timestamp};
use andon_store::erp::ErpRepository;
use andon_store::floor::FloorRepository;
use andon_store::orders::{OrderFilter, OrderRepository};
use andon_store::repository::{AccountChange as C, Code, Device, Session, Token, User};
use andon_store::trace::{ItemFilter, TraceRepository};
use andon_store::{AccountRepository, OutboxRepository, PlantRepository, Store};
use sqlx::migrate::Migrator;
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use std::path::Path;
use uuid::Uuid;

static MIGRATIONS: Migrator = sqlx::migrate!("./migrations");

/// What no call puts there without a log beside it.
const READ_FROM_A_LOG: &str = "
    INSERT INTO timeline (seq, id, at, kind, path, by_id, by_kind, severity, json)
        VALUES (4, x'00112233445566778899aabbccddeeff', 1, 'system', 'press', x'00', 'system', 1, '{}');
    INSERT INTO timeline_gap (from_seq, to_seq, reason) VALUES (1, 3, 'it was gone');
    INSERT INTO applied (reader, lane, seq) VALUES ('timeline', 'records', 4);";

/// A store of today with something in each table of version 6.
pub async fn fill(folder: &Path) {
    let store = open(folder).await;
    store.apply_plant(0, plant(&["a", "b"]), Principal::SYSTEM, Some("first".into())).await.unwrap();
    store.apply_plant(1, plant(&["b", "c"]), Principal::SYSTEM, None).await.unwrap();
    let (created, expires) = (HandClock::new().now(), Timestamp::from_millis(9_000_000_000_000));
    let (id, grants) = (Uuid::from_u128, vec![Grant { role: Role::Operator, branch: "press".into() }]);
    let user = User {
        id: id(1),
        name: "Öhm".into(),
        password_hash: "$argon2id$…".into(),
        enabled: true,
        grants: grants.clone(),
        created,
        last_login: None,
    };
    let token = Token {
        id: id(2),
        name: "reports".into(),
        secret_sha256: [2; 32],
        grants,
        created,
        revoked: None,
        last_used: None,
    };
    let device = Device {
        id: id(3),
        user: "pump".into(),
        secret_sha256: [3; 32],
        scram: Some("a verifier".into()),
        client_id: None,
        certificate: Some("pump.works.example".into()),
        certificate_der: Some(vec![3; 9]),
        branch: None,
        publish: vec!["press/#".into()],
        subscribe: vec![],
        enabled: true,
        created,
    };
    let session = Session { id_sha256: [4; 32], user: id(1), created, last_seen: created, expires };
    let code = Code { code_sha256: [5; 32], purpose: "login".into(), user: Some(id(1)), expires, used: None };
    let changes =
        vec![C::PutUser(user), C::PutToken(token), C::PutDevice(device), C::PutSession(session), C::PutCode(code)];
    store.change_accounts(changes, Some(note(1, ""))).await.unwrap();
    store.close().await.unwrap();
    drop(store);
    let mut whole = connect(&folder.join("store.db")).await;
    sqlx::raw_sql(READ_FROM_A_LOG).execute(&mut whole).await.unwrap();
    whole.close().await.unwrap();
}

/// Something in each table that came after.
pub async fn fill_newer(folder: &Path) {
    let mut whole = connect(&folder.join("store.db")).await;
    sqlx::raw_sql(
        "INSERT INTO floor_number (kind, name, number) VALUES ('node', 'press', 0), ('reason', 'Jam', 4294967295);
        INSERT INTO floor_hour (unit, hour, recorded, derived) WITH RECURSIVE n (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < 200)
            SELECT x % 3, x, randomblob(x), x'' FROM n;
        INSERT INTO floor_slot (node, level, number, totals) WITH RECURSIVE n (x) AS (SELECT 0 UNION ALL SELECT x + 1 FROM n WHERE x < 130)
            SELECT x % 2, x % 3, x - 60, x'00ff' FROM n;
        INSERT INTO floor_figure (node, level, number, production, setup, delay, minor_stop, idle, unknown, planned_down, off_shift, good, scrap,
            rework, work_produced, work_good) VALUES (0, 1, 7, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13);
        INSERT INTO floor_correction (number, unit, from_at, to_at, change, by_id, key, at, event)
            VALUES (1, 0, -5, 5, '{\"a\":\"ä\"}', x'01', x'02', 9, x'03');
        INSERT INTO floor_counter (tag, shown) VALUES (1, '7');
        INSERT INTO floor_progress (id, kept_until, first_seq, seen_seq) VALUES (1, 3600000000, 1, 2);
        INSERT INTO trace_word (number, text) VALUES (1, '4711'), (2, 'works/dock');
        INSERT INTO trace_item (key, id, kind, material, number, made, state, place, made_at)
            VALUES (1, x'00112233445566778899aabbccddeef1', 0, 1, 'L', 9000000, 0, 2, 1),
                (2, x'00112233445566778899aabbccddeef2', 2, 1, 'U', 1000000, 2, 0, 2);
        INSERT INTO trace_edge (from_key, to_key, at, position, quantity, adds) VALUES (1, 2, 3, 0, 1000000, 0);
        INSERT INTO trace_move (item, at, from_place, to_place, quantity) VALUES (1, 1, 0, 2, 9000000);
        INSERT INTO trace_stock (item, place, quantity) VALUES (1, 2, 8000000);
        INSERT INTO trace_state (item, at, state, why) VALUES (2, 4, 2, 'ä');
        INSERT INTO trace_pass (unit, at, equipment, passed, measures) VALUES (2, 3, 2, 1, '{}');
        INSERT INTO trace_certificate (unit, turn, number, issued_at, sha256, key_id, bytes)
            VALUES (2, 1, 'C2', 5, zeroblob(32), 'k2', x'02'), (1, 1, 'C1', 6, zeroblob(32), 'k1', x'01');
        INSERT INTO trace_finding (number, what, at, item, other, text) VALUES (1, 'unseen', 1, 1, 2, 't');
        INSERT INTO trace_change (key, content, event, at) VALUES (x'01', zeroblob(32), x'02', 1);
        INSERT INTO trace_finished (unit, at, equipment, state, why) VALUES (2, 3, 2, 1, '');
        INSERT INTO trace_station (equipment, heard) VALUES ('works/line', '{}');
        INSERT INTO trace_identity (unit, device, at) VALUES (2, x'00112233445566778899aabbccddeef3', 7);
        INSERT INTO trace_vessel (vessel, turn, at, level, lots, content) VALUES (2, 2, 6, 0, 0, '{}');
        INSERT INTO trace_flow (vessel, turn, at, told, kind, plug, item, into_key, quantity, level, place, why, content)
            VALUES (2, 1, 5, 5, 0, 0, 1, 0, 9, 9, 0, '', NULL), (2, 2, 6, 4, 1, 1, 0, 2, 9, 0, 0, 'ä', '{}');
        INSERT INTO erp_message (number, key, content, at, bytes, answer) VALUES (1, randomblob(32), zeroblob(32), 5, 4, '<ä/>');
        INSERT INTO erp_latest (subject, created, at) VALUES ('order:4711', 4, 5);
        INSERT INTO resource_key (key, content, number, at) VALUES (x'00112233445566778899aabbccddeef4', zeroblob(32), 1, 5);
        INSERT INTO logbook_entry (number, path, kind, text, fold, links, at, by_id, pinned, corrects, event)
            VALUES (1, 'works', 'note', 'Ä', 'ä', '{}', 5, x'01', 1, NULL, x'02'), (2, 'works', 'handover', 'b', 'b', '{}', 6, x'01', 0, 1, x'03');
        INSERT INTO logbook_branch (branch, entry, kind) VALUES ('', 1, 'note'), ('works', 1, 'note'), ('works', 2, 'handover');
        INSERT INTO logbook_open (branch, entry, kind) VALUES ('works', 2, 'handover');
        INSERT INTO handover (entry, items, truncated, kept, note) VALUES (2, '[]', 0, '[1]', '');
        INSERT INTO labour_span (number, person, path, from_at, to_at, ends_by, event) VALUES (1, x'05', 'works', 1, 9223372036854775807, 9, x'04');
        INSERT INTO labour_correction (number, span, at, by_id, was_from, was_to, reason, event) VALUES (1, 1, 7, x'06', 0, 8, 'ä', x'05');
        INSERT INTO labour_supervisor (person, branch) SELECT id, 'works' FROM person;
        INSERT INTO maintenance_order (id, number, ordinal, kind, equipment, title, note, priority, source, state, is_open, failed, restored,
            cause, remedy, skills, instructions, parts, fold, created, created_by, version)
            VALUES (x'00112233445566778899aabbccddeef5', 'M-1', 1, 'corrective', 'works', 'ä', '', 5, 'person', 'Running', 1, 5,
                9223372036854775807, '', '', '[]', '[]', '[]', 'm-1 ä works', 6, x'00112233445566778899aabbccddeef6', 2);
        INSERT INTO maintenance_ledger (number, key, order_id, at, kind, content, state, by_id, event)
            VALUES (1, x'07', x'00112233445566778899aabbccddeef5', 6, 'made', '{}', 'Running', x'01', x'06');
        INSERT INTO maintenance_work (number, order_id, equipment, kind, person, from_at, to_at)
            VALUES (1, x'00112233445566778899aabbccddeef5', 'works', 'corrective', x'05', 7, 9223372036854775807);
        INSERT INTO maintenance_part (order_id, material, lot, serial, quantity)
            VALUES (x'00112233445566778899aabbccddeef5', 'SEAL', 'ä', '', 1), (x'00112233445566778899aabbccddeef5', 'SEAL', '', '', 2);
        INSERT INTO maintenance_turn (plan, turn, since) VALUES ('oil', 1, 5);
        INSERT INTO tool_span (number, tool, machine, from_at, to_at, by_id, reason) VALUES (1, 'M-17', 'works', 5, 9223372036854775807, x'01', 'ä');
        INSERT INTO tool_renewal (tool, renewal, at, by_id, reason) VALUES ('M-17', 1, 4, x'01', 'ä');
        INSERT INTO tool_told (tool, renewal, level, reached, at, event) VALUES ('M-17', 1, 'warn', 900000, 6, x'07');
        INSERT INTO tool_change (number, key, content, tool, kind, at, by_id, reason, renewal, span, event)
            VALUES (1, x'00112233445566778899aabbccddeef7', zeroblob(32), 'M-17', 'mount', 5, x'01', 'ä', 1, 1, x'08');
        INSERT INTO energy_meter (number, name, heard) VALUES (1, 'main', '{}'), (2, 'line', '');
        INSERT INTO energy_quarter (meter, quarter, energy, estimated, from_us, to_us, metered_us)
            VALUES (1, 1977000, 9000000000000000000, 1, 0, 900000000, 900000000), (2, -1, 0, 0, 5, 6, 1);
        INSERT INTO report (id, kind, path, subject, from_at, to_at, made_at, schedule, event, key_id, signature, size, content)
            VALUES (x'00112233445566778899aabbccddeef7', 'shift', 'works', '', 1, 2, 3, 'ä', x'07', 'k', zeroblob(64), 2, x'7b7d');
        INSERT INTO report_branch (branch, report, kind) VALUES ('', x'00112233445566778899aabbccddeef7', 'shift');
        INSERT INTO report_file (report, folder) VALUES (x'00112233445566778899aabbccddeef7', 'works');
        INSERT INTO report_owed (schedule, from_at, to_at, shift) VALUES ('ä', 1, 2, 'Früh'), ('ä', 2, 3, NULL);
        INSERT INTO report_counted (one, at) VALUES (1, 9);
        INSERT INTO person_skill (person, skill, until) SELECT id, 'welding', NULL FROM person;",
    )
    .execute(&mut whole)
    .await
    .unwrap();
    whole.close().await.unwrap();
    crate::orders::fill(&open(folder).await).await;
}

async fn connect(path: &Path) -> SqliteConnection {
    SqliteConnection::connect(&format!("sqlite://{}?mode=rwc", path.to_str().unwrap())).await.unwrap()
}

async fn texts(db: &mut SqliteConnection, sql: String) -> Vec<String> {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_all(db).await.unwrap()
}

async fn number(db: &mut SqliteConnection, sql: String) -> i64 {
    sqlx::query_scalar(AssertSqlSafe(sql)).fetch_one(db).await.unwrap()
}

async fn attach(db: &mut SqliteConnection, whole: &Path) {
    let sql = format!("PRAGMA foreign_keys = off; ATTACH '{}' AS whole", whole.display());
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(db).await.unwrap();
}

/// A store as that version left it, holding what `whole` has of what there was then; its tables, each with its columns.
async fn older(path: &Path, whole: &Path, version: i64) -> Vec<(String, String)> {
    let mut db = connect(path).await;
    let then = MIGRATIONS.iter().filter(|migration| migration.version <= version).cloned().collect();
    Migrator::with_migrations(then).run(&mut db).await.unwrap();
    attach(&mut db, whole).await;
    let mark = number(&mut db, "PRAGMA whole.application_id".to_owned()).await;
    let mut filled = Vec::new();
    let mut sql = format!("PRAGMA application_id = {mark};");
    let tables = "SELECT name FROM main.sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_%' ESCAPE '\\'";
    for table in texts(&mut db, tables.to_owned()).await {
        let columns = texts(&mut db, format!("SELECT name FROM pragma_table_info('{table}', 'main')")).await.join(", ");
        sql += &format!(
            "DELETE FROM main.{table}; INSERT INTO main.{table} ({columns}) SELECT {columns} FROM whole.{table};"
        );
        filled.push((table, columns));
    }
    sqlx::raw_sql(AssertSqlSafe(sql)).execute(&mut db).await.unwrap();
    db.close().await.unwrap();
    filled
}

#[tokio::test]
async fn a_store_of_any_older_version_is_taken_over_with_all_that_is_in_it() {
    let folder = tempfile::tempdir().unwrap();
    fill(folder.path()).await;
    let whole = folder.path().join("store.db");
    for version in MIGRATIONS.iter().map(|migration| migration.version) {
        let path = folder.path().join(format!("version{version}.db"));
        let tables = older(&path, &whole, version).await;
        let store = Store::open(&path, HandClock::new()).await.unwrap();
        assert_eq!(store.current_plant().await.unwrap().0.version, 2);
        assert_eq!(store.accounts().await.unwrap().users[0].name, "Öhm");
        assert_eq!(store.outbox_pending(9).await.unwrap().len(), 3);
        assert_eq!(store.orders(OrderFilter::default()).await.unwrap().orders, []);
        assert_eq!(store.trace_items(ItemFilter::default()).await.unwrap(), []);
        assert_eq!(store.floor_progress().await.unwrap(), None);
        assert_eq!(store.erp_message([1; 32]).await.unwrap(), None);
        store.close().await.unwrap();
        drop(store);
        let mut db = connect(&path).await;
        attach(&mut db, &whole).await;
        for (table, columns) in tables {
            let count = number(&mut db, format!("SELECT count(*) FROM main.{table}")).await;
            assert_eq!(
                count,
                number(&mut db, format!("SELECT count(*) FROM whole.{table}")).await,
                "{table} of {version}"
            );
            assert!(count > 0 || version > 6, "{table} was tried empty");
            let differ = format!(
                "SELECT count(*) FROM (SELECT {columns} FROM main.{table} EXCEPT SELECT {columns} FROM whole.{table})"
            );
            assert_eq!(number(&mut db, differ).await, 0, "{table} of version {version}");
        }
        let schema = |which| format!("SELECT sql FROM {which}.sqlite_schema WHERE sql IS NOT NULL ORDER BY name");
        assert_eq!(texts(&mut db, schema("main")).await, texts(&mut db, schema("whole")).await);
        assert_eq!(number(&mut db, "SELECT count(*) FROM pragma_foreign_key_check".to_owned()).await, 0);
        assert_eq!(texts(&mut db, "PRAGMA main.integrity_check".to_owned()).await, ["ok"]);
    }
}
