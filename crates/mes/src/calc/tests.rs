//! Tests of `calc`.

use super::*;
use serde_json::json;

const OEE: &str = include_str!("../../cases/oee.json");

fn fails(file: Value) -> String {
    run(&file.to_string(), oee::compute).expect_err("must be refused").to_string()
}

/// One case of a log, with its rows.
fn log(rows: Value) -> Value {
    json!({ "cases": [{ "id": "a", "input": { "log": rows } }] })
}

#[test]
fn the_cases_come_out_as_expected() {
    let outcome = run(OEE, oee::compute).expect("a case file");
    assert_eq!((outcome.differences, outcome.compared), (vec![], 6));
}

/// A case file of somebody else, if one is named by `ANDON_CASES`.
#[test]
fn the_cases_of_others_come_out_as_expected() {
    let Some(folder) = std::env::var_os("ANDON_CASES") else {
        return println!("skipped: ANDON_CASES names no folder of cases");
    };
    let file = std::path::Path::new(&folder).join("spc-reference/oee.json");
    let outcome = run(&std::fs::read_to_string(&file).expect("can be read"), oee::compute).expect("a case file");
    assert!(outcome.differences.is_empty() && outcome.compared > 4, "{outcome:?}");
}

#[test]
fn what_differs_is_told() {
    let mut file: Value = serde_json::from_str(OEE).expect("is JSON");
    file["cases"][0]["expected"]["oee_index"] = json!(0.7480);
    file["cases"][2]["expected"]["effectiveness"] = json!(0);
    file["cases"][4]["expected"]["beauty"] = json!(1);
    let told: Vec<_> = run(&file.to_string(), oee::compute)
        .expect("a case file")
        .differences
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(told.len(), 3);
    assert!(
        told[0].starts_with("eight hours as everywhere: oee_index is 0.74793650793")
            && told[0].ends_with(", expected 0.748"),
        "{}",
        told[0]
    );
    assert_eq!(told[1], "it stood all shift: effectiveness is null, expected 0");
    assert_eq!(told[2], "faster than planned: beauty is not computed from such an input, expected 1");
    file["tolerance"] = json!({ "rel": 0.001 });
    assert_eq!(run(&file.to_string(), oee::compute).expect("a case file").differences.len(), 2);
}

#[test]
fn what_is_no_case_file_says_so() {
    assert!(run("{", oee::compute).expect_err("must be refused").to_string().starts_with("this is no JSON: "));
    let form = "a case file is {\"cases\": [{\"id\": …, \"input\": {…}, \"expected\": {…}}]}";
    for (file, what) in [
        (json!([]), "the file is no object"),
        (json!({}), "the file has no case"),
        (json!({ "cases": 3 }), "`cases` is no list"),
        (json!({ "cases": [3] }), "case 0 is no object"),
        (json!({ "cases": [{ "input": {} }] }), "case 0 has no id"),
        (json!({ "cases": [{ "id": "a" }] }), "case \"a\" has no object `input`"),
        (json!({ "cases": [{ "id": "a", "input": {}, "expected": 1 }] }), "case \"a\": `expected` is no object"),
        (
            json!({ "cases": [{ "id": "a", "input": {}, "expectd": {} }] }),
            "case \"a\" has \"expectd\"; known are id, input and expected, and a note is a text",
        ),
        (json!({ "cases": [{ "id": "a", "input": {} }], "a": { "input": {} } }), "two cases have the id \"a\""),
    ] {
        assert_eq!(fails(file), format!("{what}; {form}"));
    }
}

#[test]
fn a_tolerance_that_lets_everything_pass_is_none() {
    let file =
        |tolerance: Value| json!({ "cases": [{ "id": "a", "input": {}, "note": "nothing" }], "tolerance": tolerance });
    for (tolerance, what) in [
        (json!(0.1), "`tolerance` is 0.1; "),
        (json!({ "rel": -1 }), "the tolerance rel is -1, and not from 0 to 1; "),
        (json!({ "rel": 1e9 }), "the tolerance rel is 1000000000.0, and not from 0 to 1; "),
        (json!({ "abs": "wide" }), "the tolerance abs is \"wide\", and not from 0 to "),
        (json!({ "relative": 0.1 }), "\"relative\" is no tolerance; known are rel and abs; "),
    ] {
        let told = fails(file(tolerance));
        assert!(told.starts_with(what), "{told}");
    }
    assert!(run(&file(json!({ "rel": 0.1, "abs": 5 })).to_string(), oee::compute).is_ok());
}

#[test]
fn what_cannot_be_computed_says_why() {
    let figures = |input: Value| fails(json!({ "cases": [{ "id": "a", "input": input }] }));
    assert!(figures(json!({ "BPT": 1 })).starts_with("a: \"BPT\" is no figure; known are CT, POT, PBT, "));
    assert_eq!(figures(json!({ "PBT": -1 })), "a: PBT is -1; times and amounts are not negative");
    assert_eq!(figures(json!({ "PBT": "8 h" })), "a: PBT is \"8 h\", and no number");
    assert_eq!(
        figures(json!({ "log": [], "PBT": 1 })),
        "a: \"PBT\" does not go with a log; PRI, PQ, GQ, SQ, RQ, rule and shift do"
    );
    assert_eq!(
        figures(json!({ "log": [["06:00", null, null]], "shift": ["14:00", "06:00"] })),
        "a: the log has no end; let its last row be [time, null, null]"
    );
    let end = json!(["07:00", null, null]);
    for (rows, what) in [
        (json!([]), "the log has no end; let its last row be [time, null, null]"),
        (json!([["06:00", "Running", null]]), "the log has no end; let its last row be [time, null, null]"),
        (json!([["06:00", "Running"], end]), "row 0 of the log is not [time, state, reason]"),
        (json!([["6", "Running", null], end]), "row 0 of the log begins at \"6\"; write 06:00 or 2026-01-31T06:00:00Z"),
        (
            json!([["25:00", "Running", null], end]),
            "row 0 of the log begins at \"25:00\"; write 06:00 or 2026-01-31T06:00:00Z",
        ),
        (
            json!([["06:30", "Running", null], ["06:30", "Down", null], end]),
            "row 1 of the log begins at \"06:30\", which is not after the row before it (06:30); put the rows in order, and write full dates for a log over midnight",
        ),
        (
            json!([["06:00", "Running", null], end, ["08:00", "Down", null]]),
            "row 2 of the log comes after the end: a row with null as its state",
        ),
        (
            json!([["06:00", 6, null], end]),
            "row 0 of the log has 6 and null where state and reason should be texts, or null",
        ),
        (
            json!([["06:00", null, "jam"], end]),
            "row 0 of the log has null and \"jam\" where state and reason should be texts, or null",
        ),
    ] {
        assert_eq!(fails(log(rows)), format!("a: {what}"));
    }
    let fancy = fails(log(json!([["06:00", "Dancing", null], ["07:00", null, null]])));
    assert!(fancy.starts_with(
        "a: row 0 of the log is in \"Dancing\", which is no state; known are Running, Down, Setup, Idle, Clearing, "
    ));
}

#[test]
fn a_log_may_go_over_midnight_and_speak_packml() {
    let rows = json!([
        ["2026-01-01T22:00:00Z", "Execute", null],
        ["2026-01-02T01:00:00Z", "Suspended", null],
        ["2026-01-02T02:00:00Z", "Execute", "noted: fine"],
        ["2026-01-02T06:00:00Z", null, null],
    ]);
    let outcome = run(&log(rows).to_string(), oee::compute).expect("a case file");
    let result = &outcome.results["a"];
    assert_eq!(
        (&result["PBT"], &result["APT"], &result["unplanned_downtime"]),
        (&json!(480.0), &json!(420.0), &json!(60.0))
    );
    assert_eq!(result.get("oee_index"), None, "nothing is known of what was made");
}
