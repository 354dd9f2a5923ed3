//! What it costs to find the rule of a topic, and to hold a message against it, in ns; and at the worst, in ms.
//!
//! `cargo run -p andon-rules --example bench_rules`

use andon_model::plant::{Plant, TopicRuleDef};
use andon_model::{Clock, SystemClock, Timestamp};
use andon_rules::{Offered, TopicRules};
use serde_json::{Value as Json, json};
use std::hint::black_box;

const ROUNDS: u32 = 200_000;
const TOPIC: &str = "plant/hall-2/line-4/press-7/temperature";

fn rules(defs: impl IntoIterator<Item = (String, Json)>) -> TopicRules {
    let def = |(number, (filter, settings)): (usize, _)| TopicRuleDef { name: format!("r{number}"), filter, settings };
    let topic_rules = defs.into_iter().enumerate().map(def).collect();
    let plant = Plant { topic_rules, ..Plant::default() };
    TopicRules::of_plant(&plant, |_| Ok(()), &TopicRules::default(), Timestamp::default())
        .unwrap_or_else(|(name, finding)| panic!("{name}: {}", finding.message))
}

fn measure(what: &str, mut run: impl FnMut()) {
    let begin = SystemClock.monotonic();
    (0..ROUNDS).for_each(|_| run());
    println!("{what}: {:.0} ns", (SystemClock.monotonic() - begin).as_secs_f64() * 1e9 / f64::from(ROUNDS));
}

fn main() {
    let schema = json!({"type": "object", "required": ["t"], "properties": {"t": {"type": "number", "maximum": 90}, "unit": {"enum": ["Cel", "[degF]"]}}});
    let none = rules([]);
    let thousand = rules((0..1_000).map(|n| (format!("plant/+/line-{n}/#"), json!({}))));
    let strict = rules([(
        "plant/#".to_owned(),
        json!({"payload": {"json_schema": schema}, "naming": {"pattern": "[a-z0-9-]+", "skip": 1}}),
    )]);
    measure("no rule", || _ = black_box(none.of(black_box(TOPIC))));
    measure("one of 1,000 rules", || _ = black_box(thousand.of(black_box(TOPIC))));
    let payload = br#"{"t": 41.5, "unit": "Cel"}"#;
    let offered = Offered { topic: TOPIC, payload, retain: false };
    measure("one rule with names and a schema", || {
        let rule = strict.of(black_box(TOPIC));
        assert!(rule.is_some_and(|rule| rule.check(black_box(&offered)).is_ok()));
    });
    let kinds: Vec<Json> = (2..12).map(|number| json!({"const": number})).collect();
    let numbers = format!("[{}1]", "1,".repeat(100_000));
    worst("many alternatives", json!({"not": {"contains": {"anyOf": kinds}}}), numbers.as_bytes());
    let uniques: Vec<Json> = (0..20).map(|_| json!({"not": {"uniqueItems": true}})).collect();
    let unlike = json!((0..30_000).map(|at| at.to_string()).collect::<Vec<_>>()).to_string();
    worst("different elements", json!({"not": {"anyOf": uniques}}), unlike.as_bytes());
    let words = json!("ab".repeat(100_000)).to_string();
    worst("a simple pattern", json!({"pattern": "^[a-z]+$"}), words.as_bytes());
    for bytes in [1_000, 10_000, 30_000] {
        let text = json!("ab".repeat(bytes / 2)).to_string();
        worst("a pattern with many ways", json!({"pattern": "(a|b)*a(a|b){2000}c"}), text.as_bytes());
        worst("another one", json!({"pattern": "^.*(a.{0,500}){1,2}c$"}), text.as_bytes());
    }
}

/// One payload held against a schema.
fn worst(what: &str, schema: Json, payload: &[u8]) {
    let rules = rules([("#".to_owned(), json!({"payload": {"json_schema": schema}}))]);
    let begin = SystemClock.monotonic();
    let offered = Offered { topic: TOPIC, payload, retain: false };
    let verdict = rules.of(TOPIC).map(|rule| rule.check(&offered));
    let took = (SystemClock.monotonic() - begin).as_secs_f64() * 1e3;
    println!(
        "{what}, {} bytes: {took:.1} ms, {}",
        payload.len(),
        verdict.map_or_else(String::new, |v| format!("{v:?}"))
    );
}
