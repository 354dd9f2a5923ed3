//! The schema checker beside the official test suite, and its bounds.

use super::*;
use serde_json::json;
use std::path::Path;

#[test]
fn every_case_of_the_official_suite_has_its_verdict_or_the_schema_is_refused() {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("cases/json-schema");
    let (mut cases, mut refused, mut wrong) = (0, Vec::new(), Vec::new());
    for entry in std::fs::read_dir(folder).expect("the suite") {
        let path = entry.expect("a file").path();
        if path.extension().is_none_or(|end| end != "json") {
            continue;
        }
        let file = path.file_stem().expect("a name").to_string_lossy().into_owned();
        let groups: Json = serde_json::from_slice(&std::fs::read(&path).expect("readable")).expect("JSON");
        for group in groups.as_array().expect("a list") {
            let about = format!("{file}: {}", group["description"].as_str().expect("words"));
            let schema = match compile(&group["schema"]) {
                Ok(schema) => schema,
                Err(faults) => {
                    refused.push(format!("{about}: {}", faults[0].message));
                    continue;
                }
            };
            for case in group["tests"].as_array().expect("a list") {
                cases += 1;
                let verdict = schema.check(&case["data"]);
                if verdict.is_ok() != case["valid"].as_bool().expect("a verdict") {
                    wrong.push(format!("{about}: {}: {verdict:?}", case["description"]));
                }
            }
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
    assert!(cases > 700, "only {cases} cases");
    let expected = include_str!("../../cases/json-schema/refused.txt");
    refused.sort();
    assert_eq!(refused.join("\n"), expected.trim_end(), "what is refused");
}

fn faults(schema: Json) -> Vec<String> {
    let faults = compile(&schema).err().unwrap_or_default();
    faults.into_iter().map(|fault| format!("/{}: {}", fault.at.join("/"), fault.message)).collect()
}

#[test]
fn what_would_take_without_bound_is_refused() {
    let itself = json!({"properties": {"a": {"$ref": "#"}}});
    assert!(faults(itself)[0].contains("refers to itself"));
    let circle = json!({"$defs": {"a": {"allOf": [{"$ref": "#/$defs/b"}]}, "b": {"items": {"$ref": "#/$defs/a"}}}});
    assert!(faults(circle)[0].contains("refers to itself"));
    // Each level refers to the next one twice: 2^20 parts when written out.
    let mut doubling = json!({"$ref": "#/$defs/l0", "$defs": {"l20": {"type": "null"}}});
    for level in 0..20 {
        let next = json!({"$ref": format!("#/$defs/l{}", level + 1)});
        doubling["$defs"][format!("l{level}")] = json!({"allOf": [next, next]});
    }
    assert!(faults(doubling)[0].contains("too large"));
    let mut chain = json!({"$defs": {"l99": {"type": "null"}}});
    for level in 0..99 {
        chain["$defs"][format!("l{level}")] = json!({"$ref": format!("#/$defs/l{}", level + 1)});
    }
    assert!(faults(chain)[0].contains("too large"));
    // So many calls within each other would end the program, were they only counted on the way back.
    let mut long = json!({"$ref": "#/$defs/l0", "$defs": {"l9999": {"type": "null"}}});
    for level in 0..9_999 {
        long["$defs"][format!("l{level}")] = json!({"$ref": format!("#/$defs/l{}", level + 1)});
    }
    assert!(faults(long)[0].contains("too large"));
    let deep = (0..200).fold(json!(true), |inner, _| json!({"not": inner}));
    assert!(faults(deep)[0].contains("too large"));
}

#[test]
fn as_many_levels_as_are_allowed_are_taken_and_no_more() {
    let levels = |count| (1..count).fold(json!({"type": "null"}), |inner, _| json!({"items": inner}));
    assert_eq!(faults(levels(DEPTH_LIMIT)), Vec::<String>::new());
    assert!(faults(levels(DEPTH_LIMIT + 1))[0].contains("too large"));
}

#[test]
fn patterns_have_a_bound_together() {
    let words = |count: usize| {
        let named = |at| (format!("m{at}"), json!({"pattern": format!("^\\w{{1,{}}}$", 4 + at % 5)}));
        json!({"properties": (0..count).map(named).collect::<serde_json::Map<_, _>>()})
    };
    assert_eq!(faults(words(8)), Vec::<String>::new());
    assert!(faults(words(200)).iter().any(|fault| fault.contains("take more than 16 MiB together")));
    let simple = (0..2_000).map(|at| (format!("m{at}"), json!({"pattern": format!("^[a-z]+-{at}$")})));
    assert_eq!(faults(json!({"properties": simple.collect::<serde_json::Map<_, _>>()})), Vec::<String>::new());
}

fn held(schema: Json, payload: &Json) -> Result<(), String> {
    compile(&schema).expect("a good schema").check(payload)
}

#[test]
fn a_payload_that_takes_too_much_to_check_breaks_the_rule() {
    let too_much = Err("the payload is too much to check: it takes more than 1000000 steps; send less at once, or ask less in the schema".to_owned());
    let many = Json::Array(vec![json!(1); 120_000]);
    // Ten alternatives for each of 120,000 elements, and only the last one fits.
    let kinds: Vec<Json> = (2..11).map(|number| json!({"const": number})).chain([json!({"type": "number"})]).collect();
    assert_eq!(held(json!({"items": {"anyOf": kinds}}), &many), too_much);
    assert_eq!(
        held(json!({"not": {"contains": {"not": {"oneOf": kinds}}}}), &many),
        too_much,
        "within alternatives, too"
    );
    assert_eq!(
        held(
            json!({"items": {"type": "integer"}, "uniqueItems": true}),
            &Json::Array((0..120_000).map(Json::from).collect())
        ),
        Ok(())
    );
    // Sixteen alternatives, each of which looks at all of a large payload.
    let large = Json::Array((0..60_000).map(|at| json!(at)).collect());
    let all: Vec<Json> =
        (0..16).map(|at| json!({"allOf": [{"uniqueItems": true}, {"minItems": 60_001 + at}]})).collect();
    assert_eq!(held(json!({"oneOf": all}), &large), too_much);
    // One pattern that has many ways to go on at each place.
    let text = json!("ab".repeat(60_000));
    assert_eq!(held(json!({"pattern": "^[a-z]+$"}), &text), Ok(()));
    assert_eq!(held(json!({"pattern": "(a|b)*a(a|b){2000}c"}), &text), too_much);
    // A large value is not walked for each that it might equal.
    let values: Vec<Json> = (0..900).map(|at| json!([at])).collect();
    let each: Vec<Json> = values.iter().map(|value| json!({"const": value})).chain([json!({"minItems": 1})]).collect();
    assert_eq!(held(json!({"anyOf": each, "not": {"enum": values}}), &large), Ok(()));
}

#[test]
fn equal_values_are_found_among_many() {
    let values: Vec<Json> = (0..500)
        .flat_map(|at| {
            [json!(at), json!(f64::from(at) + 0.5), json!(at.to_string()), json!([at]), json!({"a": at, "b": null})]
        })
        .collect();
    let schema = compile(&json!({"enum": values})).expect("a good schema");
    for value in &values {
        assert_eq!(schema.check(value), Ok(()), "{value}");
    }
    for (value, fits) in [
        (json!(7.0), true),
        (json!([7.0]), true),
        (json!({"b": null, "a": 7.0}), true),
        (json!(-0.0), true),
        (json!("500"), false),
        (json!([1, 1]), false),
        (json!({"a": 7}), false),
        (json!(true), false),
        (json!(1e300), false),
    ] {
        assert_eq!(schema.check(&value).is_ok(), fits, "{value}");
    }
    let twice = json!([{"a": 1, "b": [1.0]}, 0.5, {"b": [1], "a": 1.0}]);
    assert_eq!(held(json!({"uniqueItems": true}), &twice), Err("the payload at /2: is there twice".to_owned()));
}

#[test]
fn what_is_not_known_is_refused_and_not_passed_over() {
    for (schema, words) in [
        (json!({"propertys": {}}), "/propertys: \"propertys\" is not a keyword of JSON Schema that is checked here"),
        (
            json!({"$ref": "https://example.com/a.json"}),
            "/$ref: a reference leads within the schema, for nothing is fetched from elsewhere",
        ),
        (json!({"$ref": "#/$defs/no"}), "/$defs/no: there is nothing in the schema to which this refers"),
        (json!({"properties": {"a": {"type": "float"}}}), "/properties/a/type: this is not a type"),
        (json!({"items": [true]}), "/items: since 2020-12 a list of schemas is `prefixItems`"),
        (
            json!({"pattern": "(?=a)"}),
            "/pattern: the pattern cannot be used: look-around, including look-ahead and look-behind, is not supported",
        ),
        (
            json!({"$schema": "http://json-schema.org/draft-07/schema#"}),
            "/$schema: this schema is for another edition than https://json-schema.org/draft/2020-12/schema",
        ),
        (json!({"minimum": "0"}), "/minimum: this should be a number"),
        (json!(3), "/: a schema is a table, true or false"),
    ] {
        assert!(faults(schema).iter().any(|fault| fault == words), "{words}");
    }
}

#[test]
fn a_breach_says_where_and_what() {
    let schema = compile(&json!({
        "type": "object",
        "properties": {
            "t": {"type": "number", "maximum": 90},
            "state": {"enum": ["on", "off"]},
            "list": {"items": {"type": "string", "maxLength": 2}},
            "a/b": {"type": "null"},
        },
        "required": ["t"],
        "additionalProperties": false,
    }))
    .expect("a good schema");
    for (payload, words) in [
        (json!({"t": 90}), None),
        (json!({"t": "hot"}), Some("the payload at /t: \"hot\" is not a number")),
        (json!({"t": 91}), Some("the payload at /t: 91 is above the most 90")),
        (json!({}), Some("the payload: \"t\" is missing")),
        (json!([1]), Some("the payload: a list is not an object")),
        (json!({"t": 1, "x": 1}), Some("the payload at /x: nothing may stand here")),
        (
            json!({"t": 1, "state": "of"}),
            Some("the payload at /state: \"of\" is not one of the values that may stand here"),
        ),
        (
            json!({"t": 1, "list": ["a", "abc"]}),
            Some("the payload at /list/1: 3 characters, and it should be at most 2"),
        ),
        (json!({"t": 1, "a/b": 1}), Some("the payload at /a~1b: 1 is not null")),
    ] {
        assert_eq!(schema.check(&payload).err().as_deref(), words, "{payload}");
    }
}
