//! Whole numbers that grow beyond what can be counted.

use crate::plant::World;

#[tokio::test]
async fn a_whole_number_beyond_its_type_is_an_error_and_never_another_number() {
    let world = World::new();
    for query in [
        "SELECT 10000000000 * 10000000000",
        "SELECT 9223372036854775807 + 1",
        "SELECT -9223372036854775807 - 2",
        "SELECT i * 3 FROM (VALUES (9223372036854775807)) AS t(i)",
        "SELECT i + 1 FROM (VALUES (9223372036854775807)) AS t(i)",
        "SELECT -i FROM (SELECT i - 1 AS i FROM (VALUES (-9223372036854775807)) AS t(i)) AS u",
        "SELECT count(*) FROM (VALUES (9223372036854775807)) AS t(i) WHERE i + 1 > 0",
        "SELECT CASE WHEN i > 0 THEN i * 3 END FROM (VALUES (9223372036854775807)) AS t(i)",
        "SELECT '9223372036854775807'::bigint * 3",
        "SELECT sum(i) FROM (VALUES (9223372036854775807), (1)) AS t(i)",
        "SELECT sum(i) FROM (VALUES (1, 9223372036854775807), (1, 1), (2, 2)) AS t(k, i) GROUP BY k",
        "SELECT sum(DISTINCT i) FROM (VALUES (9223372036854775807), (1), (1)) AS t(i)",
        "SELECT sum(i) OVER (ORDER BY i) FROM (VALUES (9223372036854775807), (1)) AS t(i)",
    ] {
        let outcome = world.try_rows(&world.anna, query).await;
        assert!(matches!(&outcome, Err(error) if error.code() == "22003"), "{query}: {outcome:?}");
    }
    for (query, wanted) in [
        ("SELECT 3000000000 * 3000000000", "9000000000000000000"),
        ("SELECT 9223372036854775806 + 1, 7 - 9, -(2 + 3)", "9223372036854775807|-2|-5"),
        // What is over on the way is not over at the end.
        (
            "SELECT sum(i) FROM (VALUES (9223372036854775807), (9223372036854775807), (-9223372036854775807)) AS t(i)",
            "9223372036854775807",
        ),
        ("SELECT sum(i) FROM (VALUES (1), (NULL), (3)) AS t(i)", "4"),
        ("SELECT sum(i) IS NULL FROM (VALUES (1)) AS t(i) WHERE i > 1", "true"),
        ("SELECT sum(DISTINCT i), sum(i) FILTER (WHERE i > 2) FROM (VALUES (3), (3), (2)) AS t(i)", "5|6"),
        ("SELECT sum(x) FROM (VALUES (1.5), (2.25)) AS t(x)", "3.75"),
    ] {
        assert_eq!(world.rows(query).await, [wanted], "{query}");
    }
    let windows = "SELECT sum(i) OVER (ORDER BY i ROWS BETWEEN 1 PRECEDING AND CURRENT ROW) FROM (VALUES (1), (2), (3)) AS t(i) ORDER BY i";
    assert_eq!(world.rows(windows).await, ["1", "3", "5"]);
    let groups = "SELECT k, sum(i + 1) FROM (VALUES (1, 1), (1, 5), (2, 2)) AS t(k, i) GROUP BY k ORDER BY sum(i + 1)";
    assert_eq!(world.rows(groups).await, ["2|3", "1|8"]);
    let of_group = "SELECT i + 1 FROM (VALUES (1), (1), (2)) AS t(i) GROUP BY i + 1 ORDER BY i + 1 LIMIT 1 + 1";
    assert_eq!(world.rows(of_group).await, ["2", "3"]);
}
