//! Functions that make text: as the engine's, and within bounds.

use crate::plant::World;

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
