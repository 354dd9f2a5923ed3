//! What only a server can do: go away, be somebody else's, be the wrong one.

use crate::fakes::{Base, FateRecorder, HandClock, MemLog, note, plant};
use crate::server;
use andon_model::Timestamp;
use andon_model::access::{Grant, Principal, Role};
use andon_model::log::Log;
use andon_store::repository::{AccountChange as C, Token};
use andon_store::trace::TraceRepository;
use andon_store::{
    AccountRepository, OpenError, OutboxRepository, PlantRepository, PostgresSettings, Store, StoreError,
    TimelineRepository,
};
use andon_store::{relay, timeline};
use sqlx::{Connection, SqliteConnection};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const AT_ONCE: Duration = Duration::from_millis(200);
const SOON: Duration = Duration::from_secs(60);

async fn open(url: &str) -> Result<Store, OpenError> {
    let settings = PostgresSettings::parse(url, None).unwrap().waiting(AT_ONCE);
    Store::open_postgres(&settings, HandClock::new()).await
}

/// A store on a database of its own, and the address; `None`: there is no PostgreSQL here.
async fn store() -> Option<(Store, String)> {
    let Base::Server(url) = Base::server().await? else { unreachable!() };
    Some((open(&url).await.unwrap(), url))
}

fn token(number: u64) -> Vec<C> {
    let mut secret_sha256 = [0; 32];
    secret_sha256[..8].copy_from_slice(&number.to_be_bytes());
    vec![C::PutToken(Token {
        id: Uuid::from_u128(number.into()),
        name: number.to_string(),
        secret_sha256,
        grants: vec![Grant { role: Role::Viewer, branch: String::new() }],
        created: Timestamp::from_micros(1),
        revoked: None,
        last_used: None,
    })]
}

/// Ends the sessions of everybody else in the database, as a network that breaks.
async fn break_connections(url: &str) {
    let end = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
    server::execute(url, end).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_nodes_never_have_one_database() {
    let Some((one, url)) = store().await else { return };
    one.change_accounts(token(1), None).await.unwrap();
    let refused = open(&url).await.unwrap_err();
    assert!(matches!(refused, OpenError::Held { .. }), "{refused:?}");
    assert!(refused.to_string().contains("from a socket of the server's machine, since 20"), "{refused}");
    one.close().await.unwrap();
    let other = open(&url).await.unwrap();
    assert_eq!(other.accounts().await.unwrap().tokens.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_node_whose_connection_broke_never_writes_again_once_another_has_had_the_database() {
    let Some((one, url)) = store().await else { return };
    break_connections(&url).await;
    let other = open(&url).await.unwrap();
    other.change_accounts(token(1), None).await.unwrap();
    let refused = one.change_accounts(token(2), None).await.unwrap_err();
    let StoreError::Unreachable { source, .. } = refused else { panic!("{refused:?}") };
    assert!(source.to_string().contains("another node has the records"), "{source}");
    assert!(one.unreachable().unwrap().contains("another node"));
    assert_eq!(other.accounts().await.unwrap().tokens.len(), 1);
    other.close().await.unwrap();
    // What it has in memory is of before: it has to begin anew.
    let stopped = tokio::time::timeout(SOON, async {
        loop {
            match one.change_accounts(token(2), None).await.unwrap_err() {
                StoreError::Unreachable { .. } => tokio::time::sleep(AT_ONCE).await,
                stopped => return stopped,
            }
        }
    });
    let stopped = stopped.await.unwrap();
    assert!(stopped.to_string().contains("another node has had its database since"), "{stopped}");
    assert!(one.failure().is_some());
    assert!(one.applied("a reader", andon_model::log::Lane::Records).await.is_err());
    let again = open(&url).await.unwrap();
    assert_eq!(again.accounts().await.unwrap().tokens.len(), 1);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_was_put_back_to_an_earlier_moment_is_not_gone_on_with() {
    let Some((store, url)) = store().await else { return };
    store.change_accounts(token(1), None).await.unwrap();
    store.change_accounts(token(2), None).await.unwrap();
    server::execute(&url, "UPDATE writer SET commits = commits - 1").await;
    let stopped = store.change_accounts(token(3), None).await.unwrap_err();
    assert!(stopped.to_string().contains("holds 1 changes of this node instead of 2"), "{stopped}");
    assert!(store.failure().is_some());
    assert_eq!(open_after(&store, &url).await.accounts().await.unwrap().tokens.len(), 2);
}

/// The next life.
async fn open_after(store: &Store, url: &str) -> Store {
    store.close().await.unwrap();
    open(url).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_whose_answer_was_lost_is_known_to_be_made() {
    let Some((proxy, url)) = server::proxied().await else { return };
    let store = open(&url).await.unwrap();
    store.change_accounts(token(1), None).await.unwrap();
    proxy.lose_the_next_commit();
    let mut changes = store.outbox_changes();
    changes.mark_unchanged();
    store.change_accounts(token(2), Some(note(1, ""))).await.unwrap();
    assert_eq!(proxy.lost(), 1, "its answer was lost");
    assert!(changes.has_changed().unwrap(), "the relay looks whether there is something");
    assert_eq!(store.outbox_pending(9).await.unwrap().len(), 1);
    store.change_accounts(token(3), None).await.unwrap();
    assert_eq!(store.accounts().await.unwrap().tokens.len(), 3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn four_reads_that_were_broken_off_keep_nobody_from_reading() {
    let Some((store, url)) = store().await else { return };
    store.accounts().await.unwrap();
    let mut holder = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE timeline_gap IN ACCESS EXCLUSIVE MODE").execute(&mut holder).await.unwrap();
    for _ in 0..8 {
        // Nobody waits for the answer, which does not come.
        let asked = tokio::time::timeout(AT_ONCE, store.timeline_gaps()).await;
        assert!(asked.is_err());
    }
    tokio::time::timeout(Duration::from_secs(4), store.accounts()).await.unwrap().unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_is_not_as_it_was_asked_to_be_is_refused() {
    let Some((store, url)) = store().await else { return };
    store.close().await.unwrap();
    for (sql, said, back) in [(
        "CREATE SCHEMA other; ALTER DATABASE {} SET search_path = other, public",
        "the records lie in the schema public, and search_path begins with other",
        "ALTER DATABASE {} RESET search_path",
    )] {
        let name = url.rsplit('/').next().unwrap();
        server::execute(&url, &sql.replace("{}", name)).await;
        let refused = open(&url).await.unwrap_err();
        assert!(refused.to_string().contains(said), "{refused}");
        server::execute(&url, &back.replace("{}", name)).await;
        open(&url).await.unwrap().close().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_connection_that_broke_in_between_is_made_anew() {
    let Some((store, url)) = store().await else { return };
    store.change_accounts(token(1), None).await.unwrap();
    store.accounts().await.unwrap();
    break_connections(&url).await;
    store.change_accounts(token(2), Some(note(1, ""))).await.unwrap();
    assert_eq!(store.accounts().await.unwrap().tokens.len(), 2);
    assert_eq!((store.failure(), store.unreachable()), (None, None));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_a_broken_connection_kept_from_being_made_is_known_not_to_be() {
    let Some((store, url)) = store().await else { return };
    let at_commit = "CREATE FUNCTION cut() RETURNS trigger LANGUAGE plpgsql AS \
        'BEGIN PERFORM pg_terminate_backend(pg_backend_pid()); PERFORM pg_sleep(5); RETURN NULL; END'; \
        CREATE CONSTRAINT TRIGGER cut AFTER INSERT ON token DEFERRABLE INITIALLY DEFERRED FOR EACH ROW EXECUTE FUNCTION cut()";
    server::execute(&url, at_commit).await;
    let mut changes = store.outbox_changes();
    changes.mark_unchanged();
    let cut = store.change_accounts(token(1), Some(note(1, ""))).await.unwrap_err();
    assert!(matches!(cut, StoreError::Unreachable { doing: "commit a change", .. }), "{cut:?}");
    assert!(changes.has_changed().unwrap(), "the relay looks whether there is something");
    server::execute(&url, "DROP TRIGGER cut ON token").await;
    store.change_accounts(token(2), None).await.unwrap();
    let names: Vec<_> = store.accounts().await.unwrap().tokens.into_iter().map(|token| token.name).collect();
    assert_eq!(names, ["2"]);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn relay_and_timeline_go_on_when_the_server_is_back_and_lose_and_double_nothing() {
    let Some(mut server) = server::start() else { return };
    let url = server::database(&server).await;
    let (store, log) = (open(&url).await.unwrap(), MemLog::new());
    let stop = CancellationToken::new();
    let shared: Arc<dyn Log> = log.clone();
    let recorder = FateRecorder::new(&log, []);
    let relay = tokio::spawn(relay::run(Arc::new(store.clone()), recorder, shared.clone(), stop.clone()));
    let timeline = tokio::spawn(timeline::run_timeline(Arc::new(store.clone()), shared, stop.clone()));
    let (mut acknowledged, mut unknown) = (Vec::new(), Vec::new());
    for number in 1..=60_u128 {
        if number % 20 == 10 {
            // While the relay is at work.
            server.stop();
            let refused = store.change_accounts(Vec::new(), Some(note(1_000 + number, ""))).await.unwrap_err();
            assert!(matches!(refused, StoreError::Unreachable { .. }), "{refused:?}");
            assert!(store.unreachable().is_some());
            server.start();
        }
        // A change that could not begin was not made: it is asked again.
        loop {
            match store.change_accounts(Vec::new(), Some(note(number, ""))).await {
                Ok(()) => acknowledged.push(Uuid::from_u128(number)),
                Err(StoreError::CutOff { .. }) => unknown.push(Uuid::from_u128(number)),
                Err(StoreError::Unreachable { .. }) => {
                    tokio::time::sleep(AT_ONCE).await;
                    continue;
                }
                Err(other) => panic!("{other:?}"),
            }
            break;
        }
    }
    let last = async {
        while store.change_accounts(Vec::new(), Some(note(99, ""))).await.is_err() {
            tokio::time::sleep(AT_ONCE).await;
        }
        let end = Uuid::from_u128(99);
        while log.event_ids().last() != Some(&end)
            || store.applied(timeline::READER, andon_model::log::Lane::Records).await.ok()
                != Some(log.durable_seq(andon_model::log::Lane::Records))
        {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, last).await.unwrap();
    stop.cancel();
    relay.await.unwrap().unwrap();
    timeline.await.unwrap().unwrap();
    acknowledged.push(Uuid::from_u128(99));
    let logged: Vec<Uuid> = log.event_ids().into_iter().filter(|id| !unknown.contains(id)).collect();
    assert_eq!(logged, acknowledged);
    assert!(acknowledged.len() >= 58, "{}", acknowledged.len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_wrong_with_a_server_is_said_with_what_to_do() {
    let Some(server) = server::shared() else { return };
    let admin = server::url(&server.folder, "postgres");
    let name = server::new_name();
    let make = [
        format!("CREATE DATABASE {name}_ascii ENCODING 'SQL_ASCII' LOCALE 'C' LOCALE_PROVIDER libc TEMPLATE template0"),
        format!("CREATE DATABASE {name}_foreign"),
        format!("CREATE DATABASE {name}_poor"),
        format!("CREATE ROLE {name}_poor LOGIN"),
    ];
    for sql in make {
        server::execute(&admin, &sql).await;
    }
    let url = |end: &str| server::url(&server.folder, &format!("{name}_{end}"));
    server::execute(&url("foreign"), "CREATE TABLE recipe (name TEXT)").await;
    for (url, said) in [
        (url("ascii"), "keeps texts as SQL_ASCII; make one with ENCODING 'UTF8'"),
        (url("foreign"), "is a database of another program; choose another one"),
        (url("missing"), "make the database: CREATE DATABASE andon"),
        (url("poor").replace("postgres@", &format!("{name}_poor@")), "give its user the right to make tables"),
        (url("poor").replace("postgres@", "nobody_knows@"), "check the user of `url`"),
        (server::url(Path::new("/nowhere"), "andon"), "check that the server runs there"),
    ] {
        let refused = open(&url).await.expect_err(said);
        assert!(
            refused.to_string().contains(said),
            "{refused}: {:?}",
            std::error::Error::source(&refused).map(ToString::to_string)
        );
    }
    // The foreign one has nothing but its own table.
    server::execute(
        &url("foreign"),
        "DO $$ BEGIN ASSERT (SELECT count(*) FROM pg_tables WHERE schemaname = 'public') = 1; END $$",
    )
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_of_a_newer_version_is_refused_and_left_alone() {
    let Some((store, url)) = store().await else { return };
    store.close().await.unwrap();
    let later = "INSERT INTO _sqlx_migrations (version, description, success, checksum, execution_time) VALUES (9999, 'later', true, '\\x00', 0)";
    server::execute(&url, later).await;
    let refused = open(&url).await.unwrap_err();
    assert!(matches!(refused, OpenError::Newer { found: 9999, .. }), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn records_are_those_of_one_node() {
    let Some(Base::Server(url)) = Base::server().await else { return };
    let of = |node: u128| PostgresSettings::parse(&url, None).unwrap().of_node(Uuid::from_u128(node)).waiting(AT_ONCE);
    let open = async |node| Store::open_postgres(&of(node), HandClock::new()).await;
    open(1).await.unwrap().close().await.unwrap();
    let refused = open(2).await.unwrap_err();
    assert!(matches!(refused, OpenError::OfAnother { found, .. } if found == Uuid::from_u128(1)), "{refused:?}");
    open(1).await.unwrap().change_accounts(token(1), None).await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_is_looked_at_beside_its_node_and_an_older_one_left_as_it_is() {
    let Some((store, url)) = store().await else { return };
    let settings = PostgresSettings::parse(&url, None).unwrap().waiting(AT_ONCE);
    Store::examine_postgres(&settings).await.unwrap();
    store.change_accounts(token(1), None).await.unwrap();
    assert!(store.bytes().await.unwrap() > 1 << 20);
    store.close().await.unwrap();
    let last = "DELETE FROM _sqlx_migrations WHERE version = (SELECT max(version) FROM _sqlx_migrations)";
    server::execute(&url, last).await;
    let refused = Store::open_postgres(&settings.as_it_is(), HandClock::new()).await.unwrap_err();
    assert!(matches!(refused, OpenError::Older { found, known, .. } if found < known), "{refused:?}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_goes_away_is_noticed_while_nobody_asks_for_anything() {
    let Some(mut server) = server::start() else { return };
    let store = open(&server::database(&server).await).await.unwrap();
    let stop = CancellationToken::new();
    let watch = tokio::spawn(store.clone().watch_server(stop.clone()));
    let until = async |away: bool| {
        let seen = async {
            while store.unreachable().is_some() != away {
                tokio::time::sleep(AT_ONCE).await;
            }
        };
        tokio::time::timeout(SOON, seen).await.unwrap();
    };
    server.stop();
    until(true).await;
    server.start();
    until(false).await;
    stop.cancel();
    watch.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn more_changes_than_there_are_places_in_the_line_are_refused_and_the_others_made() {
    let Some((store, url)) = store().await else { return };
    store.accounts().await.unwrap();
    let mut holder = sqlx::PgConnection::connect(&url).await.unwrap();
    sqlx::raw_sql("BEGIN; LOCK TABLE token IN ACCESS EXCLUSIVE MODE").execute(&mut holder).await.unwrap();
    let made: Vec<_> = (0..1_100)
        .map(|number| {
            let store = store.clone();
            tokio::spawn(async move { store.change_accounts(token(number), None).await })
        })
        .collect();
    let refused = async {
        while made.iter().filter(|task| task.is_finished()).count() < 1_100 - 1_024 {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    tokio::time::timeout(SOON, refused).await.unwrap();
    sqlx::raw_sql("COMMIT").execute(&mut holder).await.unwrap();
    let (mut done, mut busy) = (0, 0);
    for task in made {
        match task.await.unwrap() {
            Ok(()) => done += 1,
            Err(StoreError::Busy { .. }) => busy += 1,
            Err(other) => panic!("{other:?}"),
        }
    }
    assert_eq!((done, busy), (1_024, 1_100 - 1_024));
    assert_eq!(store.accounts().await.unwrap().tokens.len(), done);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_text_with_a_zero_character_is_refused_and_nothing_of_its_change_is_kept() {
    let Some((store, _)) = store().await else { return };
    let mut changes = token(1);
    changes.extend(token(2));
    if let C::PutToken(token) = &mut changes[1] {
        token.name = "a\0b".into();
    }
    let refused = store.change_accounts(changes, None).await.unwrap_err();
    assert!(matches!(refused, StoreError::Database { .. }), "{refused:?}");
    assert!(store.accounts().await.unwrap().tokens.is_empty());
    store.change_accounts(token(3), None).await.unwrap();
}

/// Every table of a file as text, sorted.
async fn whole(path: &Path) -> Vec<(String, Vec<String>)> {
    let mut file = SqliteConnection::connect(path.to_str().unwrap()).await.unwrap();
    let tables: Vec<String> =
        sqlx::query_scalar("SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite%' AND name NOT LIKE '\\_%' ESCAPE '\\' ORDER BY name")
            .fetch_all(&mut file)
            .await
            .unwrap();
    let mut all = Vec::new();
    for table in tables {
        let columns: Vec<String> =
            sqlx::query_scalar("SELECT name FROM pragma_table_info(?) WHERE name <> 'position' OR ?1 <> 'outbox'")
                .bind(&table)
                .fetch_all(&mut file)
                .await
                .unwrap();
        let row = columns.iter().map(|name| format!("quote(\"{name}\")")).collect::<Vec<_>>().join(" || ',' || ");
        let rows = sqlx::AssertSqlSafe(format!("SELECT {row} AS row FROM {table} ORDER BY row"));
        all.push((table, sqlx::query_scalar(rows).fetch_all(&mut file).await.unwrap()));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_file_is_taken_over_by_a_server_and_a_backup_of_it_is_the_same_file_again() {
    let Some(Base::Server(url)) = Base::server().await else { return };
    let folder = tempfile::tempdir().unwrap();
    crate::older::fill(folder.path()).await;
    crate::older::fill_newer(folder.path()).await;
    let file = folder.path().join("store.db");
    let before = whole(&file).await;
    for (table, rows) in &before {
        assert!(!rows.is_empty(), "{table} is tried empty");
    }
    let store = open(&url).await.unwrap();
    assert!(store.is_new().await.unwrap());
    let counts = store.take_over(&file).await.unwrap().expect("it was empty");
    let (of_file, of_copy): (usize, u64) =
        (before.iter().map(|(_, rows)| rows.len()).sum(), counts.iter().map(|(_, rows)| rows).sum());
    assert_eq!(of_file as u64, of_copy, "{counts:?}");
    assert!(!store.is_new().await.unwrap());
    assert_eq!(store.take_over(&file).await.unwrap(), None, "what is kept is never replaced");
    let copy = folder.path().join("copy.db");
    assert_eq!(store.backup(&copy, || 7).await.unwrap(), 7);
    assert!(store.backup(&copy, || ()).await.is_err(), "it never overwrites");
    assert_eq!(whole(&copy).await, before);
    assert_eq!(Store::check_copy(&copy).await.unwrap().len(), 1);
    // Which was written last is not told by any number that people see.
    assert_eq!(store.trace_last_key().await.unwrap().as_deref(), Some("k1"));
    // And goes on: numbers follow those that were there.
    let (model, ids) = store.current_plant().await.unwrap();
    let mut tags: Vec<&str> = model.tags.iter().map(|tag| tag.path.leaf()).collect();
    tags.push("new");
    let reopened = Store::open(&copy, HandClock::new()).await.unwrap();
    for store in [&store, &reopened] {
        store.apply_plant(model.version, plant(&tags), Principal::SYSTEM, None).await.unwrap();
    }
    let (_, after) = store.current_plant().await.unwrap();
    assert_eq!(reopened.current_plant().await.unwrap().1, after);
    assert!(after.iter().filter(|id| !ids.contains(id)).count() == 1, "{ids:?} {after:?}");
    assert_eq!(store.outbox_pending(9).await.unwrap().len(), reopened.outbox_pending(9).await.unwrap().len());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[expect(clippy::disallowed_methods, reason = "nothing tells when something else would have been committed")]
async fn nothing_is_committed_between_a_backup_and_its_moment() {
    let Some((store, _)) = store().await else { return };
    let folder = tempfile::tempdir().unwrap();
    let stop = CancellationToken::new();
    let done = Arc::new(std::sync::atomic::AtomicU64::new(0));
    let writing = tokio::spawn({
        let (store, stop, done) = (store.clone(), stop.clone(), done.clone());
        async move {
            for number in 1_u64.. {
                if stop.is_cancelled() {
                    break;
                }
                store.change_accounts(token(number), None).await.unwrap();
                done.store(number, std::sync::atomic::Ordering::SeqCst);
            }
        }
    });
    for number in 0..5 {
        let target = folder.path().join(format!("copy{number}.db"));
        let at_moment = store.backup(&target, || {
            // Long enough for what is not held up to be committed.
            std::thread::sleep(Duration::from_millis(50));
            done.load(std::sync::atomic::Ordering::SeqCst)
        });
        let at_moment = at_moment.await.unwrap();
        let copied =
            Store::open(&target, HandClock::new()).await.unwrap().accounts().await.unwrap().tokens.len() as u64;
        assert!((at_moment..=at_moment + 1).contains(&copied), "{copied} in the copy, {at_moment} at its moment");
    }
    stop.cancel();
    writing.await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn beyond_the_machine_a_server_must_show_a_trusted_certificate_of_its_name() {
    let folder = tempfile::tempdir().unwrap();
    let made = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    let other = rcgen::generate_simple_self_signed(vec!["localhost".to_owned()]).unwrap();
    std::fs::write(folder.path().join("server.crt"), made.cert.pem()).unwrap();
    std::fs::write(folder.path().join("server.key"), made.signing_key.serialize_pem()).unwrap();
    std::fs::write(folder.path().join("other.crt"), other.cert.pem()).unwrap();
    let Some((_server, port)) = server::start_with_tls(folder.path()) else { return };
    let url = |host: &str, authority: &str| {
        let root = folder.path().join(authority).display().to_string();
        format!("postgres://postgres@{host}:{port}/postgres?sslmode=verify-full&sslrootcert={root}")
    };
    let store = open(&url("localhost", "server.crt")).await.unwrap();
    store.change_accounts(token(1), None).await.unwrap();
    for (host, authority) in [("localhost", "other.crt"), ("127.0.0.1", "server.crt")] {
        let refused = open(&url(host, authority)).await.unwrap_err();
        assert!(matches!(refused, OpenError::Refused { .. }), "{refused:?}");
        assert!(refused.to_string().contains("name the file of who issued it in `ca`"), "{refused}");
    }
}
