//! Functions that make text: as the engine's, and within bounds.

use crate::plant::World;
use andon_sql::SqlError;

#[tokio::test]
async fn text_that_would_take_all_memory_is_refused_before_it_is_made() {
    let world = World::new();
    for text in [
        "SELECT length(repeat('x', 1000000000))",
        "SELECT repeat('x', 9223372036854775807)",
        "SELECT lpad('x', 1000000000)",
        "SELECT rpad('x', 1000000000, 'ab')",
        "SELECT sum(length(repeat(raw, 20000000))) FROM samples",
        "SELECT replace(repeat('x', 1000000), 'x', repeat('y', 1000))",
        "SELECT regexp_replace(repeat('x', 1000000), 'x', repeat('y', 1000), 'g')",
        "SELECT length(concat(a, a)) FROM (SELECT repeat('x', 10000000) AS a) t",
        "SELECT length(concat_ws(',', a, a)) FROM (SELECT repeat('x', 10000000) AS a) t",
        "SELECT length(a || a) FROM (SELECT repeat('x', 10000000) AS a) t",
        "SELECT length(encode(a, 'hex')) FROM (SELECT repeat('x', 10000000) AS a) t",
        "SELECT to_char(now(), repeat(path, 30000)) FROM tags",
        "SELECT date_format(now(), repeat(path, 30000)) FROM tags",
        "SELECT length(a || a) FROM (SELECT a || a AS a FROM (SELECT repeat(path, 2000000) AS a FROM tags) t) u",
    ] {
        let refused = world.try_rows(&world.anna, text).await.expect_err(text).to_string();
        assert!(refused.contains("bytes of text") && refused.contains("make shorter texts"), "{text}: {refused}");
    }
    let many = (0..65).map(|n| format!("repeat(path, {n})")).collect::<Vec<_>>().join(", ");
    let refused =
        world.try_rows(&world.anna, &format!("SELECT {many} FROM tags")).await.expect_err("too many").to_string();
    assert!(refused.contains("65 times") && refused.contains("at most 64"), "{refused}");
}

#[tokio::test]
async fn calls_that_make_text_share_what_a_statement_may_make() {
    let world = World::new();
    let calls = |count: usize| {
        let all = (0..count).map(|n| format!("length(repeat(path, 20000 + {n}))")).collect::<Vec<_>>();
        format!("SELECT {} FROM tags", all.join(" + "))
    };
    assert_eq!(world.rows(&calls(8)).await.len(), world.plant.tags.len());
    let refused = world.try_rows(&world.anna, &calls(64)).await.expect_err("more than all may make together");
    assert!(refused.to_string().contains("and at most 2097152 are allowed"), "{refused}");
}

#[tokio::test]
async fn a_text_of_the_statement_is_not_copied_for_every_row() {
    let world = World::new();
    let long = "x".repeat(20_000);
    let labels =
        (0..400).map(|n| format!("WHEN value = {n} THEN 'the state number {n:03}'")).collect::<Vec<_>>().join(" ");
    let paths = (0..2000).map(|n| format!("'works/line{n}/filler/pressure'")).collect::<Vec<_>>().join(", ");
    for text in [
        format!("SELECT '{long}', ts FROM samples"),
        format!("SELECT ts FROM samples ORDER BY concat(path, '{long}')"),
        format!("SELECT max('{long}' || path) FROM samples"),
        format!("SELECT CASE WHEN value > 1 THEN '{long}' ELSE path END FROM samples"),
        format!("SELECT t.x, s.ts FROM samples s, (VALUES ('{long}')) AS t(x)"),
        format!("SELECT s.ts, t.x FROM samples s, (SELECT '{long}' AS x) t"),
        "SELECT ts, repeat('x', 20000) FROM samples".to_owned(),
        format!("SELECT {} FROM samples", (0..1665).map(|n| format!("{n} AS c{n}")).collect::<Vec<_>>().join(", ")),
    ] {
        let refused = world.try_rows(&world.anna, &text).await;
        assert!(
            matches!(refused, Err(SqlError::TooBig { .. })),
            "{}: {:?}",
            text.replace(&long, "…"),
            refused.map(|rows| rows.len())
        );
    }
    for text in [
        format!("SELECT '{long}'"),
        format!("SELECT length('{long}' || 'x')"),
        format!("SELECT count(*) FROM samples WHERE raw = '{long}' OR raw LIKE '{long}%'"),
        format!("SELECT path IN ({paths}) FROM tags"),
        format!("SELECT CASE {labels} END FROM last_values"),
    ] {
        world.rows(&text).await;
    }
}

#[tokio::test]
async fn text_of_usual_length_is_as_the_engine_makes_it() {
    let world = World::new();
    for (text, expected) in [
        ("SELECT repeat('ab', 3), repeat('ab', 0), repeat('ab', -1)", "ababab||"),
        ("SELECT lpad('7', 3, '0'), rpad('7', 3), lpad('täst', 2)", "007|7  |tä"),
        ("SELECT replace('a-b-c', '-', '/'), regexp_replace('a1b22', '[0-9]+', '#', 'g')", "a/b/c|a#b#"),
        ("SELECT concat('a', NULL, 1, 2.5), concat_ws('/', 'a', NULL, 'b')", "a12.5|a/b"),
        ("SELECT encode('ab', 'hex'), to_char(to_timestamp(0), 'YYYY')", "6162|1970"),
        ("SELECT 'a' || 'b' || 1, 1 || 'x', 'a' || true", "ab1|1x|atrue"),
        ("SELECT count(*) FROM (SELECT 1 AS one WHERE ('a' || NULL) IS NULL AND (NULL || 'b') IS NULL) t", "1"),
        ("SELECT count(DISTINCT path || '/' || title) = count(DISTINCT path) FROM tags", "true"),
    ] {
        assert_eq!(world.rows(text).await, [expected], "{text}");
    }
}

#[tokio::test]
async fn similar_to_follows_the_patterns_of_the_standard() {
    let world = World::new();
    // As PostgreSQL 15 answers.
    for (condition, wanted) in [
        ("'abc' SIMILAR TO 'a%'", true),
        ("'abc' SIMILAR TO 'abc'", true),
        ("'abc' SIMILAR TO 'a'", false),
        ("'abc' SIMILAR TO '%(b|d)%'", true),
        ("'abc' SIMILAR TO '(b|c)%'", false),
        ("'abc' SIMILAR TO 'a.c'", false),
        ("'a.c' SIMILAR TO 'a.c'", true),
        ("'abc' NOT SIMILAR TO 'a_c'", false),
        ("'a%' SIMILAR TO 'a#%' ESCAPE '#'", true),
        ("'ab' SIMILAR TO 'a#%' ESCAPE '#'", false),
        ("'a12' SIMILAR TO 'a[0-9]{2}'", true),
        ("'xyz' SIMILAR TO '%x|y%'", false),
    ] {
        assert_eq!(world.rows(&format!("SELECT {condition}")).await, [wanted.to_string()], "{condition}");
    }
    let of_row = "SELECT count(*) FROM tags WHERE path SIMILAR TO title";
    assert_eq!(world.try_rows(&world.anna, of_row).await.expect_err("not written out").code(), "0A000");
}
