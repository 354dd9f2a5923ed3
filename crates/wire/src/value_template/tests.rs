//! Templates beside what Jinja makes of them, and hostile ones.

use super::*;
use proptest::prelude::*;

fn template(text: &str) -> ValueTemplate {
    ValueTemplate::parse(text).unwrap_or_else(|error| panic!("{text}: {error}"))
}

fn render(text: &str, payload: &str) -> Result<Rendered, RenderError> {
    let json = serde_json::from_str(payload).ok();
    template(text).render(payload, json.as_ref())
}

/// What Home Assistant says of an answer: a text, or `null` for an error.
fn agrees(ours: &Result<Rendered, RenderError>, theirs: &Json) -> bool {
    match (ours, theirs.as_str()) {
        (Ok(Rendered::Nothing), Some("")) | (Ok(Rendered::Null), Some("None")) => true,
        (Ok(Rendered::Text(ours)), Some(theirs)) => ours == theirs,
        // Nothing comes of either.
        (Err(_), None | Some("")) => true,
        _ => false,
    }
}

/// What is refused here and taken there: texts that only Python takes for numbers, numbers beyond 2^53, and tables, lists or texts in the place of a
/// table or a number.
fn may_be_refused(text: &str, payload: &str, theirs: &str) -> bool {
    // A text times two is itself twice, and a text has none of a table's parts.
    let of_text = text.contains("* 2") || text.contains("['u']");
    let repeated = of_text && payload.contains(": \"");
    let strange =
        ["nan", "inf", "1_000", "1_0", "9007199254740993", "1e16", "1e22", "\"quoted\"", "[1, 2]", ": [", ": {"];
    repeated || strange.iter().any(|word| payload.contains(word)) || theirs.starts_with(['[', '{'])
}

#[test]
fn home_assistant_makes_the_same_of_every_message() {
    let judged: Json =
        serde_json::from_str(include_str!("../../cases/value_template/judged.json")).expect("the judged answers");
    let payloads = judged["payloads"].as_array().expect("a list");
    let (mut same, mut refused) = (0, Vec::new());
    for (text, row) in judged["results"].as_object().expect("a table") {
        let template = template(text);
        for (payload, theirs) in payloads.iter().zip(row.as_array().expect("a list")) {
            let payload = payload.as_str().expect("a text");
            let json = serde_json::from_str(payload).ok();
            let ours = template.render(payload, json.as_ref());
            if agrees(&ours, theirs) {
                same += 1;
            } else {
                let theirs = theirs.as_str();
                assert!(ours.is_err(), "{text} of {payload}: {ours:?}, and Home Assistant says {theirs:?}");
                refused.push(format!("{text} of {payload}: {ours:?}, {theirs:?}"));
                assert!(theirs.is_some_and(|theirs| may_be_refused(text, payload, theirs)), "{}", refused.join("\n"));
            }
        }
    }
    assert!(same > 6100, "{same} answers are the same");
    assert!(refused.len() < 273, "{} are refused here:\n{}", refused.len(), refused.join("\n"));
}

#[test]
fn what_is_not_understood_is_never_guessed() {
    for (text, why) in [
        ("{% if value_json.a %}1{% endif %}", "statements"),
        ("{% set x = 1 %}{{ x }}", "statements"),
        ("{{ value_json.get('a', 0) }}", ".get is a call"),
        ("{{ value_json.update.state }}", ".update is a call"),
        ("{{ states('sensor.x') }}", "`states` is none of"),
        ("{{ now() }}", "`now` is none of"),
        ("{{ value | regex_replace('a', 'b') }}", "`regex_replace` is not known"),
        ("{{ value | round(1, 'floor') }}", "with these arguments"),
        ("{{ value_json.a if value_json.b in [1, 2] else 0 }}", "`in` is not expected"),
        ("{{ {'a': 1}[value] }}", "'{' is not understood"),
        ("{{ 2 ** value | int }}", "`**` is not expected"),
        ("{{ value[1:] }}", "is not understood"),
        ("{{ value", "no }}"),
        ("{{ 'a }}", "not closed"),
        ("{{ }}", "something is missing"),
        ("ON", "the same whatever"),
        ("{{ value_json.a | }}", "stands a filter"),
        ("{{ value_json.a | default(007) }}", "007 with a zero before it"),
        ("{{ 1 < value | int < 3 }}", "several comparisons"),
        ("{{ value.strip() }}", "calls are not made"),
    ] {
        let error = ValueTemplate::parse(text).map(|_| ()).expect_err(text);
        assert!(error.to_string().contains(why), "{text}: {error}");
    }
    let deep = format!("{{{{ {}value{} }}}}", "(".repeat(40), ")".repeat(40));
    assert!(ValueTemplate::parse(&deep).is_err());
    let long = format!("{{{{ value }}}}{}", "x".repeat(MAX_TEMPLATE));
    assert!(ValueTemplate::parse(&long).is_err());
    let chain = format!("{{{{ value{} }}}}", " + 1".repeat(100));
    assert!(ValueTemplate::parse(&chain).is_err(), "a long chain is as deep as it is long");
}

#[test]
fn a_message_without_it_says_nothing() {
    assert_eq!(render("{{ value_json.a }}", r#"{"b":1}"#), Ok(Rendered::Nothing));
    assert_eq!(render("{{ value_json.a }}", r#"{"a":null}"#), Ok(Rendered::Null));
    assert_eq!(render("{{ value_json.a.b }}", r#"{"b":1}"#), Err(RenderError::Missing("a".to_owned())));
    assert_eq!(render("{{ value_json.a }}", "no JSON"), Err(RenderError::Missing("JSON".to_owned())));
    let long = format!("\"{}\"", "x".repeat(MAX_RENDERED + 1));
    assert!(render("{{ value_json }}", &long).is_err());
}

#[test]
fn the_way_to_a_value_is_told() {
    for (text, path) in [
        ("{{ value }}", Some(vec![])),
        ("{{ value_json.a['b c'].d }}", Some(vec!["a", "b c", "d"])),
        ("{{ value_json.a | is_defined }}", Some(vec!["a"])),
        ("{{ value_json.a | float / 10 }}", None),
        ("{{ value_json.a[0] }}", None),
    ] {
        assert_eq!(template(text).path(), path, "{text}");
    }
    for (text, places) in [
        ("{{ value }}", vec![""]),
        ("{{ value | lower }}", vec![""]),
        ("{{ value[0] }}", vec![""]),
        ("{{ value_json['a'].b[0] | float / 10 }}", vec!["a.b[0]"]),
        ("{{ 'ON' if value_json.a > 5 else value_json.a }}", vec!["a"]),
        ("{{ value_json.a | default(value_json.b) }}", vec!["a", "b"]),
        ("{{ value_json.a | float(value_json.b) }} {{ -value_json.c }}", vec!["a", "b", "c"]),
        ("{{ value_json.a - value_json.b }}", vec!["a", "b"]),
        ("{{ value_json.a if value_json.b is defined and not value_json.c else value_json }}", vec!["", "a", "b", "c"]),
        ("{{ (value_json.a or value_json.b).c }}", vec!["a", "b"]),
        ("{{ 1 }}", vec![]),
    ] {
        assert_eq!(template(text).looks_at().iter().collect::<Vec<_>>(), places, "{text}");
    }
    for (text, uses) in [
        ("{{ value }}", false),
        ("{{ value | float(1) }}", false),
        ("{{ value | default(value_json.a) }}", true),
        ("{{ 1 if value_json.a else 2 }}", true),
        ("{{ 1 if value else 2 }}", false),
    ] {
        assert_eq!(template(text).uses_json(), uses, "{text}");
    }
    let around = |text| template(text).around_value().map(|a| (a.before.to_owned(), a.behind.to_owned(), a.whole));
    let some = |before: &str, behind: &str, whole| Some((before.to_owned(), behind.to_owned(), whole));
    assert_eq!(around("{\"t\": {{ value | int }} }"), some("{\"t\": ", " }", true));
    assert_eq!(around("{{ value }}"), some("", "", false));
    assert_eq!(around("{{ value * 2 }}"), None);
    assert_eq!(around("{{ value }}{{ value }}"), None);
}

proptest! {
    #[test]
    fn no_text_panics(text in "[\\PC]{0,40}", payload in "[\\PC]{0,20}") {
        if let Ok(template) = ValueTemplate::parse(&text) {
            let _ = template.render(&payload, serde_json::from_str(&payload).ok().as_ref());
        }
    }

    /// From the tokens of real templates, so that most of it is nearly one.
    #[test]
    fn no_template_panics(
        tokens in proptest::collection::vec(proptest::sample::select(vec![
            "{{", "}}", "-}}", "{{-", "value", "value_json", ".t", "['t']", "[0]", "|", "float", "int", "round", "(1)", "(0)", "default", "(", ")",
            "+", "-", "*", "/", "//", "%", "~", "==", "<", "if", "else", "and", "or", "not", "is", "defined", "none", "'x'", "9223372036854775807", "0.5",
        ]), 0..24),
        payload in proptest::sample::select(vec!["", "1", "-9223372036854775808", "1e308", "{\"t\":1}", "{\"t\":[1]}", "[0]", "é"]),
    ) {
        let text = tokens.join(" ");
        for text in [text.clone(), format!("{{{{ {text} }}}}")] {
            if let Ok(template) = ValueTemplate::parse(&text) {
                let json = serde_json::from_str(payload).ok();
                let _ = (template.path(), template.around_value(), template.render(payload, json.as_ref()));
            }
        }
    }
}
