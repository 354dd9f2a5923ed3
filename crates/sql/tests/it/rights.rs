//! Rights lie inside the scans.

use crate::plant::World;
use andon_sql::SqlError;
use std::collections::BTreeSet;
use std::sync::atomic::Ordering;

const HERS: [&str; 4] =
    ["works/line1/capper/pressure", "works/line1/filler/level", "works/line1/filler/pressure", "works/line1/state"];

/// The ids of what Bert may read.
fn his_ids(world: &World) -> BTreeSet<u32> {
    world.plant.tags.iter().filter(|tag| tag.path.starts_with("works/line1/")).map(|tag| tag.id.0).collect()
}

#[tokio::test]
async fn nobody_gets_around_the_rights() {
    let world = World::new();
    let bert = &world.bert;
    for statement in [
        "SELECT DISTINCT path FROM samples",
        "SELECT DISTINCT path FROM samples WHERE path LIKE '%' OR 1 = 1",
        "SELECT DISTINCT path FROM samples WHERE path = 'works/line2/filler/pressure' OR path LIKE 'works/%'",
        "SELECT DISTINCT path FROM (SELECT * FROM samples UNION ALL SELECT * FROM samples) AS both_of_them",
        "SELECT DISTINCT path FROM samples WHERE path IN (SELECT path FROM tags)",
        "SELECT DISTINCT path FROM samples UNION SELECT path FROM last_values UNION SELECT path FROM tags",
        "WITH s AS (SELECT * FROM samples) SELECT DISTINCT path FROM s",
        "SELECT DISTINCT a.path FROM samples a JOIN samples b ON a.ts = b.ts AND a.path = b.path",
        "SELECT DISTINCT path FROM public.samples",
        "SELECT DISTINCT path FROM andon.public.samples",
        "SELECT DISTINCT path FROM samples WHERE NOT (path LIKE 'works/line1/%') IS NULL OR path > 'a'",
    ] {
        let mut paths = world.try_rows(bert, statement).await.unwrap_or_else(|e| panic!("{statement}: {e}"));
        paths.sort();
        assert_eq!(paths, HERS, "{statement}");
    }
    for statement in [
        "SELECT * FROM samples WHERE path = 'works/line2/filler/pressure'",
        "SELECT * FROM samples WHERE path LIKE 'home/%'",
        "SELECT * FROM last_values WHERE path LIKE 'home/%'",
        "SELECT * FROM tags WHERE path LIKE 'works/line2%'",
        "SELECT * FROM equipment WHERE path = 'works'",
        "SELECT * FROM events WHERE path LIKE 'home%'",
        "SELECT path FROM samples WHERE path = (SELECT max(path) FROM tags WHERE path LIKE 'works/line2%')",
    ] {
        assert_eq!(world.try_rows(bert, statement).await, Ok(vec![]), "{statement}");
    }
    let hidden = world
        .try_rows(bert, "SELECT * FROM thin('works/line2/filler/pressure', '2026-01-01', '2026-01-02', 100)")
        .await;
    let missing = world.try_rows(bert, "SELECT * FROM thin('works/line9/x', '2026-01-01', '2026-01-02', 100)").await;
    let words = |outcome: Result<Vec<String>, SqlError>| {
        outcome.expect_err("refused").to_string().replace("line2/filler/pressure", "line9/x")
    };
    assert_eq!(words(hidden), words(missing), "what may not be seen looks like what does not exist");
    let read: BTreeSet<u32> = world.scans().into_iter().map(|scan| scan.0).collect();
    assert!(read.is_subset(&his_ids(&world)), "only what he may see was read: {read:?}");
}

#[tokio::test]
async fn an_explanation_tells_nothing_of_what_is_hidden() {
    let world = World::new();
    for statement in [
        "EXPLAIN SELECT * FROM samples",
        "EXPLAIN ANALYZE SELECT count(*) FROM samples",
        "EXPLAIN VERBOSE SELECT * FROM samples",
    ] {
        let words = world.try_rows(&world.bert, statement).await.expect("explained").join("\n");
        assert!(!words.contains("line2") && !words.contains("home"), "{words}");
        assert!(words.contains("tags=4") || words.contains("SamplesExec"), "{words}");
    }
}

#[tokio::test]
async fn without_rights_there_is_nothing() {
    let world = World::new();
    world.plant.grant(&world.bert, &[]);
    for statement in ["SELECT 1", "SELECT * FROM samples", "SHOW TABLES"] {
        let outcome = world.try_rows(&world.bert, statement).await;
        assert!(matches!(outcome, Err(SqlError::NotAllowed(_))), "{outcome:?}");
    }
}

#[tokio::test]
async fn a_right_that_is_taken_away_ends_the_query_within_a_second() {
    let world = World::new();
    world.plant.slow_ms.store(50, Ordering::Relaxed);
    for statement in ["SELECT * FROM samples", "SELECT count(*) FROM samples a, samples b, samples c"] {
        world.plant.grant(&world.bert, &["works/line1"]);
        let mut answer = world.engine.run(&world.bert, statement).await.expect("runs");
        world.plant.grant(&world.bert, &["works/line1/state"]);
        let end = async {
            loop {
                match answer.batches.recv().await {
                    Some(Ok(_)) => {}
                    other => break other,
                }
            }
        };
        let end = tokio::time::timeout(std::time::Duration::from_secs(1), end).await.expect("within a second");
        assert!(matches!(end, Some(Err(SqlError::NotAllowed(_)))), "{statement}: {end:?}");
    }
}

#[tokio::test]
async fn a_right_that_is_given_while_a_query_runs_adds_nothing_to_it() {
    let world = World::new();
    let mut answer = world.engine.run(&world.bert, "SELECT path FROM samples").await.expect("runs");
    world.plant.grant(&world.bert, &[""]);
    let mut rows = 0;
    while let Some(batch) = answer.batches.recv().await {
        rows += batch.expect("fine").num_rows();
    }
    assert_eq!(rows, HERS.iter().map(|path| world.plant.of(path).len()).sum::<usize>());
}
