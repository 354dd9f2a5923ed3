//! Times as PostgreSQL reads, turns and writes them.

use crate::plant::{Plant, SECOND, T0, World, works};
use andon_model::{Timestamp, Value};
use andon_sql::{Options, SqlError};

const PRESSURE: &str = "works/line1/filler/pressure";

#[tokio::test]
async fn a_time_is_understood_in_every_iso_spelling_wherever_it_stands() {
    let world = World::new();
    for time in [
        "'2026-01-01 00:10'",
        "'2026-01-01T00:10'",
        "'2026-01-01 0:10:00'",
        "'2026-01-01 00:10Z'",
        "'2026-01-01 01:10+01'",
        "'2026-01-01 01:10 +01:00'",
        "'20260101T001000'",
        "timestamptz '2026-01-01 00:10'",
        "timestamp '2026-01-01 00:10'",
        "timestamp with time zone '2026-01-01 01:10 Europe/Paris'",
        "'2026-01-01 00:10'::timestamptz",
        "CAST('2026-01-01 00:10' AS timestamp)",
        "'2026-01-01 00:10'::timestamptz(3)",
        "concat('2026-01-01 ', '00:10')::timestamptz",
    ] {
        let before = format!("SELECT count(*) FROM samples WHERE path = '{PRESSURE}' AND ts < {time}");
        world.scans();
        assert_eq!(world.rows(&before).await, ["600"], "{time}");
        let scans = world.scans();
        assert_eq!(scans.iter().map(|scan| scan.2).collect::<Vec<_>>(), [T0 + 600 * SECOND], "{time}: no more is read");
        let between =
            format!("SELECT count(*) FROM samples WHERE path = '{PRESSURE}' AND ts BETWEEN '2026-01-01' AND {time}");
        assert_eq!(world.rows(&between).await, ["601"], "{time}");
        let one = format!("SELECT value FROM samples WHERE path = '{PRESSURE}' AND ts IN ({time})");
        assert_eq!(world.rows(&one).await, ["0.1"], "{time}");
    }
    for (text, wanted) in [
        ("SELECT date '2026-01-01 08:00', '2026-01-01'::date", "2026-01-01|2026-01-01"),
        (
            "SELECT count(*) FROM thin('works/line1/filler/pressure', '2026-01-01 00:00', '2026-01-01 00:10', 5000)",
            "600",
        ),
        (
            "SELECT count(*) FROM resample('works/line1/filler/pressure', timestamptz '2026-01-01 00:00', '2026-01-01 01:10+01', '1 minute')",
            "10",
        ),
        ("SELECT TRY_CAST(path AS timestamptz) IS NULL FROM tags WHERE path = 'works/line1/state'", "true"),
        ("SELECT date_trunc('hour', '2026-01-01 08:15'::timestamp)::text", "2026-01-01T08:00:00"),
    ] {
        assert_eq!(world.rows(text).await, [wanted], "{text}");
    }
    for text in [
        "ts >= 'yesterday'",
        "ts >= timestamptz '2026-02-30'",
        "ts >= '2026-01-01 25:00'::timestamptz",
        "ts > '2026-01-01 8'",
        "path::timestamptz > ts",
    ] {
        let text = format!("SELECT count(*) FROM samples WHERE {text}");
        let error = world.try_rows(&world.anna, &text).await.expect_err(&text);
        assert!(
            matches!(error, SqlError::BadTime(_)) && error.to_string().contains("'2026-11-01 08:00'"),
            "{text}: {error}"
        );
    }
}

#[tokio::test]
async fn a_zone_shows_what_its_clocks_show() {
    let world = World::new();
    for (text, wanted) in [
        ("timestamptz '2026-11-25 22:30Z' AT TIME ZONE 'Europe/Paris'", "2026-11-25T23:30:00"),
        ("timestamp '2026-11-25 23:30' AT TIME ZONE 'Europe/Paris' = timestamptz '2026-11-25 22:30Z'", "true"),
        ("'2026-11-25 22:30' AT TIME ZONE 'Europe/Paris'", "2026-11-25T23:30:00"),
        ("(timestamptz '2026-11-25 22:30Z' AT TIME ZONE 'Europe/Paris')::timestamp", "2026-11-25T23:30:00"),
        ("timestamptz '2026-11-25 23:30Z' AT TIME ZONE INTERVAL '5 hours 30 minutes'", "2026-11-26T05:00:00"),
        ("date_trunc('day', timestamptz '2026-11-25 23:30Z' AT TIME ZONE 'Europe/Paris')", "2026-11-26T00:00:00"),
        (
            "date_trunc('day', timestamptz '2026-11-25 23:30Z', 'Europe/Paris') = timestamptz '2026-11-25 23:00Z'",
            "true",
        ),
        ("date_bin('15 minutes', timestamptz '2026-11-25 23:40Z' AT TIME ZONE 'Europe/Paris')", "2026-11-26T00:30:00"),
        ("extract(hour from timestamptz '2026-11-25 23:40Z' AT TIME ZONE 'Europe/Paris')", "0"),
        ("CAST(timestamptz '2026-11-25 23:40Z' AT TIME ZONE 'Europe/Paris' AS date)", "2026-11-26"),
        // The night in which an hour is missing, and the one in which one comes twice.
        ("timestamptz '2026-03-29 00:59:59Z' AT TIME ZONE 'Europe/Paris'", "2026-03-29T01:59:59"),
        ("timestamptz '2026-03-29 01:00Z' AT TIME ZONE 'Europe/Paris'", "2026-03-29T03:00:00"),
        ("timestamp '2026-03-29 02:30' AT TIME ZONE 'Europe/Paris' = timestamptz '2026-03-29 01:30Z'", "true"),
        ("timestamp '2026-10-25 02:30' AT TIME ZONE 'Europe/Paris' = timestamptz '2026-10-25 01:30Z'", "true"),
        ("timestamptz '2026-10-25 00:30Z' AT TIME ZONE 'Europe/Paris'", "2026-10-25T02:30:00"),
        ("timestamptz '2026-10-25 01:30Z' AT TIME ZONE 'Europe/Paris'", "2026-10-25T02:30:00"),
    ] {
        assert_eq!(world.rows(&format!("SELECT {text}")).await, [wanted], "{text}");
    }
    // 25 hours on the one day, 23 on the other, told by their own midnights.
    let hours = |day: &str, next: &str| {
        format!(
            "SELECT extract(epoch from (timestamp '{next}' AT TIME ZONE 'Europe/Paris') - (timestamp '{day}' AT TIME ZONE 'Europe/Paris')) / 3600"
        )
    };
    assert_eq!(world.rows(&hours("2026-10-25", "2026-10-26")).await, ["25.0"]);
    assert_eq!(world.rows(&hours("2026-03-29", "2026-03-30")).await, ["23.0"]);
    // Beside the time itself, without another name; grouped by days of the place.
    let beside =
        format!("SELECT ts, ts AT TIME ZONE 'Asia/Kolkata' FROM samples WHERE path = '{PRESSURE}' ORDER BY ts LIMIT 1");
    assert_eq!(world.rows(&beside).await, ["00:00:00|2026-01-01T05:30:00"]);
    let days = format!(
        "SELECT date_trunc('day', ts AT TIME ZONE 'America/New_York') AS day, count(*) FROM samples WHERE path = '{PRESSURE}' GROUP BY 1"
    );
    assert_eq!(world.rows(&days).await, ["2025-12-31T00:00:00|5000"]);
    for (zone, code) in [("'Europe/Nowhere'", "22023"), ("'+01:00'", "22023"), ("'CEST'", "22023")] {
        let text = format!("SELECT now() AT TIME ZONE {zone}");
        let error = world.try_rows(&world.anna, &text).await.expect_err(&text);
        assert_eq!(error.code(), code, "{text}: {error}");
    }
}

#[tokio::test]
async fn to_char_writes_a_time_by_its_pattern_or_refuses() {
    let world = World::new();
    for (text, wanted) in [
        ("SELECT to_char(timestamptz '2026-11-20 08:05:09.5Z', 'YYYY-MM-DD HH24:MI')", "2026-11-20 08:05"),
        (
            "SELECT to_char(timestamptz '2026-11-20 23:05Z' AT TIME ZONE 'Europe/Paris', 'FMDay DD FMMonth, HH12:MI am')",
            "Saturday 21 November, 12:05 am",
        ),
        ("SELECT to_char(date '2026-11-20', 'IYYY-\"W\"IW')", "2026-W47"),
        ("SELECT to_char(NULL::timestamptz, 'YYYY') IS NULL, to_char(now(), NULL) IS NULL", "true|true"),
        ("SELECT date_format(to_timestamp(0), '%Y')", "1970"),
        (
            "SELECT to_char(ts, 'HH24:MI') FROM samples WHERE path = 'works/line1/state' ORDER BY ts DESC LIMIT 1",
            "00:03",
        ),
        (
            "SELECT to_char(ts, 'MI'), count(*) FROM samples WHERE path = 'works/line1/state' GROUP BY 1 ORDER BY 1 LIMIT 1",
            "00|6",
        ),
    ] {
        assert_eq!(world.rows(text).await, [wanted], "{text}");
    }
    for (text, code, says) in [
        ("to_char(now(), '%Y-%m-%d')", "22023", "date_format"),
        ("to_char(now(), 'YYYY hello')", "22023", "\"hello\""),
        ("to_char(value, '999.99')", "0A000", "round"),
        ("to_char(now() - ts, 'HH24:MI')", "0A000", "extract"),
    ] {
        let text = format!("SELECT {text} FROM samples");
        let error = world.try_rows(&world.anna, &text).await.expect_err(&text);
        assert!(error.code() == code && error.to_string().contains(says), "{text}: {} {error}", error.code());
    }
}

fn at(text: &str) -> i64 {
    Timestamp::parse_rfc3339(text).expect("a time").micros()
}

/// A plant with readings of the first and the last year that can be told.
fn with_old_and_far(mut plant: Plant) -> Plant {
    plant.add("edge/old", false, vec![(at("0001-01-01T00:00:00Z"), Value::Double(1.0), 0)]);
    plant.add("edge/far", false, vec![(at("9999-12-31T23:59:59Z"), Value::Double(2.0), 0)]);
    plant
}

#[tokio::test]
async fn readings_of_the_first_and_the_last_year_break_no_question() {
    let world = World::with(with_old_and_far(works()), Options::default());
    for (text, wanted) in [
        ("SELECT count(now() - ts) FROM last_values", "9"),
        ("SELECT path FROM last_values WHERE now() - ts > INTERVAL '1 day' ORDER BY path", "edge/old"),
        (
            "SELECT path FROM last_values WHERE ts - now() > INTERVAL '1 year' AND now() > ts - INTERVAL '7980 years'",
            "edge/far",
        ),
        ("SELECT count(*) FROM last_values WHERE INTERVAL '400 years' > now() - ts", "8"),
        ("SELECT count(*) FROM last_values WHERE now() - ts BETWEEN INTERVAL '0 seconds' AND INTERVAL '1 day'", "7"),
        ("SELECT path FROM last_values ORDER BY now() - ts DESC LIMIT 1", "edge/old"),
        ("SELECT round(extract(epoch from max(now() - ts)) / 86400 / 365.2425) FROM last_values", "2025.0"),
        ("SELECT path FROM last_values WHERE ts > now() + INTERVAL '1 day'", "edge/far"),
        ("SELECT to_char(ts, 'YYYY') FROM last_values WHERE path LIKE 'edge/%' ORDER BY ts LIMIT 1", "0001"),
        ("SELECT date_trunc('year', ts) = timestamptz '9999-01-01' FROM last_values WHERE path = 'edge/far'", "true"),
        (
            "SELECT time_bucket('1 month', timestamptz '1600-05-05') = timestamptz '1600-05-01', time_bucket('3 months', timestamptz '2300-05-05') = timestamptz '2300-04-01'",
            "true|true",
        ),
        // As the engine has them in the years that it knows.
        (
            "SELECT date_bin(INTERVAL '5 months', timestamptz '1969-12-31') = timestamptz '1969-08-01', date_bin(INTERVAL '1 year', timestamptz '2026-11-26 08:00') = timestamptz '2026-01-01'",
            "true|true",
        ),
        ("SELECT count(DISTINCT time_bucket('1 hour', ts)) FROM samples WHERE path LIKE 'edge/%'", "2"),
        ("SELECT count(DISTINCT ts AT TIME ZONE 'Europe/Paris') FROM samples WHERE path LIKE 'edge/%'", "2"),
        ("SELECT count(*) FROM samples WHERE path LIKE 'edge/%' AND ts < timestamp '9999-12-31 23:59'", "1"),
        ("SELECT count(*) FROM samples WHERE path LIKE 'edge/%' AND ts <= now()", "1"),
        ("SELECT count(extract(year from ts)) FROM samples WHERE path LIKE 'edge/%'", "2"),
        ("SELECT count(*) FROM samples WHERE path LIKE 'edge/%' AND ts::date < current_date", "1"),
    ] {
        assert_eq!(world.rows(text).await, [wanted], "{text}");
    }
}

#[tokio::test]
async fn a_bucket_has_a_width() {
    let world = World::new();
    for width in ["-1 month", "0 months", "0 seconds", "-1 hour", "2147483647 months", "178956970 years"] {
        let text = format!("SELECT date_bin(INTERVAL '{width}', timestamptz '1965-02-03 12:00:00')");
        let error = world.try_rows(&world.anna, &text).await.expect_err(&text);
        assert_eq!(error.code(), "22023", "{text}: {error}");
    }
    let text =
        "SELECT date_bin(INTERVAL '10000 years', timestamptz '2026-02-03') = date_bin(INTERVAL '10000 years', now())";
    assert_eq!(world.rows(text).await, ["true"]);
}

/// One sample of the year 1, one of 2026 and one of the year 9999.
fn ages() -> World {
    let mut plant = works();
    let at = |text: &str| Timestamp::parse_rfc3339(text).expect("a time").micros();
    let times = ["0001-01-01T00:30:00Z", "2026-01-01T00:30:00Z", "9999-12-30T00:30:00Z"];
    plant.add("works/line1/age", false, times.map(|time| (at(time), Value::Double(1.0), 0)).to_vec());
    World::with(plant, Options::default())
}

#[tokio::test]
async fn a_time_before_1678_or_after_2262_is_compared_as_any_other() {
    let world = ages();
    for (wanted, condition) in [
        (3, "ts < '9999-12-31'"),
        (3, "'9999-12-31' > ts"),
        (3, "ts <> '9999-12-31'"),
        (3, "ts >= '0001-01-01'"),
        (2, "ts > '0001-01-01 00:30'"),
        (2, "ts BETWEEN '2000-01-01' AND '9999-12-31'"),
        (1, "ts NOT BETWEEN '2000-01-01' AND '9999-12-31'"),
        (3, "ts < date '9999-12-31'"),
        (3, "ts >= date '0001-01-01'"),
        (2, "ts IN ('0001-01-01 00:30', '9999-12-30 00:30')"),
        (3, "ts NOT IN ('0001-01-01', '9999-12-31')"),
        (3, "ts < concat('9999-12', '-31')::timestamptz"),
        (3, "coalesce(ts, timestamptz '9999-12-31') < '9999-12-31'"),
        (3, "CASE WHEN ts < '9999-12-31' THEN ts ELSE '9999-12-31' END < '9999-12-31'"),
        (3, "CASE WHEN ts < '2026-01-01' THEN '0001-01-01' ELSE ts END < '9999-12-31'"),
        (1, "ts > to_timestamp(1795642000)"),
        (3, "date_bin('1 hour', ts, timestamptz '2026-01-01') = ts - interval '30 minutes'"),
        (3, "date_bin('1 hour', ts, '2026-01-01 00:10') = ts - interval '20 minutes'"),
        (3, "ts <= greatest(ts, timestamptz '9999-12-31')"),
    ] {
        let query = format!("SELECT count(*) FROM samples WHERE path = 'works/line1/age' AND {condition}");
        assert_eq!(world.rows(&query).await, [wanted.to_string()], "{condition}");
    }
    let rows = world.rows("SELECT coalesce(NULL, ts, to_timestamp(0)) AT TIME ZONE 'UTC' FROM samples WHERE path = 'works/line1/age' ORDER BY ts").await;
    assert_eq!(rows, ["0001-01-01T00:30:00", "2026-01-01T00:30:00", "9999-12-30T00:30:00"]);
    let months = "SELECT date_bin('1 month', ts, timestamptz '2026-01-01') FROM samples";
    let refused = world.try_rows(&world.anna, months).await.expect_err("no width");
    assert_eq!(refused.code(), "0A000", "{refused}");
}

#[tokio::test]
async fn a_unit_is_truncated_in_a_zone_as_postgres_does_it() {
    let world = World::new();
    // As PostgreSQL 15 answers.
    for (unit, at, zone, wanted) in [
        ("hour", "2026-10-25 00:45Z", "Europe/Berlin", "2026-10-25T00:00:00"),
        ("hour", "2026-10-25 01:45Z", "Europe/Berlin", "2026-10-25T01:00:00"),
        ("minute", "2026-10-25 00:45:30Z", "Europe/Berlin", "2026-10-25T00:45:00"),
        ("hour", "2026-04-04 15:15Z", "Australia/Lord_Howe", "2026-04-04T14:30:00"),
        ("hour", "2026-07-01 12:15Z", "Asia/Kolkata", "2026-07-01T11:30:00"),
        ("day", "2026-10-25 12:00Z", "Europe/Berlin", "2026-10-24T22:00:00"),
        ("month", "2026-07-31 23:00Z", "Europe/Berlin", "2026-07-31T22:00:00"),
        ("week", "2026-03-29 12:00Z", "Europe/Berlin", "2026-03-22T23:00:00"),
        ("year", "2025-12-31 23:30Z", "Europe/Berlin", "2025-12-31T23:00:00"),
    ] {
        let query = format!("SELECT date_trunc('{unit}', timestamptz '{at}', '{zone}') AT TIME ZONE 'UTC'");
        assert_eq!(world.rows(&query).await, [wanted], "{query}");
    }
    let hours = "SELECT count(DISTINCT date_trunc('hour', t.at, 'Europe/Berlin')) FROM (VALUES (timestamptz '2026-10-25 00:45Z'), (timestamptz '2026-10-25 01:45Z')) AS t(at)";
    assert_eq!(world.rows(hours).await, ["2"], "the hour that there is twice is two");
    let unknown = "SELECT date_trunc('fortnight', ts, 'Europe/Berlin') FROM samples";
    assert_eq!(world.try_rows(&world.anna, unknown).await.expect_err("no unit").code(), "22023");
}

#[tokio::test]
async fn a_part_of_a_second_is_extracted_with_its_fraction() {
    let world = World::new();
    for (part, wanted) in [
        ("second", "1.25"),
        ("seconds", "1.25"),
        ("milliseconds", "1250.001"),
        ("millisecond", "1250.001"),
        ("microseconds", "1250001"),
        ("minute", "15"),
    ] {
        let micros = if part.starts_with("second") { "" } else { "0001" };
        for call in [format!("extract({part} from t.at)"), format!("date_part('{part}', t.at)")] {
            let query =
                format!("SELECT {call} FROM (VALUES (timestamptz '2026-01-01 07:15:01.25{micros}+00')) AS t(at)");
            let rows = world.rows(&query).await;
            assert_eq!(rows, [wanted], "{query}");
        }
    }
    assert_eq!(world.rows("SELECT extract(second from timestamptz '1960-01-01 00:00:01.25') * 2").await, ["2.5"]);
    assert_eq!(world.rows("SELECT extract(second from interval '1.5 seconds')").await, ["1.5"]);
}

#[tokio::test]
async fn words_for_times_are_told_what_to_write() {
    let world = World::new();
    for (text, says) in [
        ("infinity", "'9999-12-31'"),
        ("-infinity", "'0001-01-01'"),
        ("now", "now()"),
        ("today", "current_date"),
        ("epoch", "'1970-01-01'"),
    ] {
        let query = format!("SELECT count(*) FROM samples WHERE ts < '{text}'");
        let error = world.try_rows(&world.anna, &query).await.expect_err(text);
        assert!(error.code() == "22007" && error.to_string().contains(says), "{text}: {error}");
    }
    let america = "SELECT timestamptz '2026-07-01 12:00 America/New_York' AT TIME ZONE 'UTC'";
    assert_eq!(world.rows(america).await, ["2026-07-01T16:00:00"]);
    let winter = "SELECT timestamptz '2026-07-01 12:00' AT TIME ZONE 'CET'";
    let error = world.try_rows(&world.anna, winter).await.expect_err("two meanings");
    assert!(error.code() == "22023" && error.to_string().contains("Europe/Berlin"), "{error}");
}
