//! Readings of stations in every order, cut into frames anywhere, and passes as a plant engineer expects them.

use super::*;
use crate::master::{FirmwareTag, MeasureTag, ResultTag, Tracked};
use andon_model::StatusCode;
use proptest::prelude::*;
use serde_json::json;

const STATION: &str = "line/test";

fn path(name: &str) -> TagPath {
    TagPath::parse(&format!("{STATION}/{name}")).unwrap()
}

fn station(result: bool) -> Station {
    let part = |name: &str, by| PartTag { material: name.to_uppercase(), tag: path(name), by, quantity: None };
    Station {
        serial: path("serial"),
        product: Some(path("product")),
        result: result.then(|| ResultTag { tag: path("result"), pass: ["1".to_owned()].into() }),
        measures: vec![MeasureTag { characteristic: "flow".to_owned(), tag: path("flow") }],
        parts: vec![part("valve", Tracked::Lot), part("motor", Tracked::Serial)],
        draws: Vec::new(),
        firmware: vec![FirmwareTag {
            component: "controller".to_owned(),
            version: path("version"),
            sha256: Some(path("digest")),
        }],
        first: true,
        last: false,
    }
}

const TAGS: [&str; 8] = ["serial", "result", "flow", "valve", "motor", "product", "version", "digest"];

fn follower_of(station: Station, heard: BTreeMap<String, Heard>) -> Follower {
    let mut follower = Follower::new(heard);
    let id = |tag: &TagPath| {
        let number = TAGS.iter().position(|name| path(name) == *tag)?;
        u32::try_from(number).ok().map(TagId)
    };
    follower.set_stations([(STATION.to_owned(), station)].into(), id);
    follower
}

fn follower() -> Follower {
    follower_of(station(true), BTreeMap::new())
}

fn at(second: i64) -> Timestamp {
    Timestamp::from_millis(second * 1000)
}

fn sample(tag: u32, value: Value, second: i64) -> Sample {
    Sample {
        tag: TagId(tag),
        value,
        quality: StatusCode::GOOD,
        source_ts: at(second),
        received_ts: at(second.saturating_add(100_000)),
    }
}

/// `serial A`, `flow 4.5`, `result 1`, `valve V`, `motor M`, each with its second: `10 serial A`.
fn frame(said: &str) -> Vec<Sample> {
    let one = |said: &str| {
        let mut words = said.split_whitespace();
        let second = words.next().unwrap().parse().unwrap();
        let tag = words.next().unwrap();
        let value = words.next().unwrap_or_default();
        let value = match tag {
            "flow" => Value::Double(value.parse().unwrap()),
            "result" => Value::Int64(value.parse().unwrap()),
            _ => Value::String(value.into()),
        };
        let number = TAGS.iter().position(|name| *name == tag).unwrap();
        sample(u32::try_from(number).unwrap(), value, second)
    };
    said.split(',').map(str::trim).filter(|said| !said.is_empty()).map(one).collect()
}

fn shown(told: &Told) -> String {
    let pass = |pass: &Pass| {
        let mut words =
            vec![format!("{}{} @{}", if pass.more { "+" } else { "" }, pass.serial, pass.at.millis() / 1000)];
        words.extend(pass.product.clone());
        words.extend(pass.passed.map(|passed| if passed { "good" } else { "bad" }.to_owned()));
        words.extend(pass.measures.iter().map(|(name, value)| format!("{name}={value}")));
        words.extend(pass.parts.iter().map(|(part, number)| format!("{}:{number}", part.material)));
        words.join(" ")
    };
    told.passes.iter().map(pass).collect::<Vec<_>>().join("; ")
}

/// What frames come to, one after the other.
fn heard(frames: &[&str]) -> Vec<String> {
    let mut follower = follower();
    frames.iter().map(|said| shown(&follower.take(&frame(said)))).collect()
}

#[test]
fn a_message_is_a_pass_in_whatever_order_its_readings_stand() {
    let all = ["A @10 good flow=4.5 VALVE:V1 MOTOR:M1"];
    assert_eq!(heard(&["10 serial A, 10 result 1, 10 flow 4.5, 10 valve V1, 10 motor M1"]), all);
    assert_eq!(heard(&["10 motor M1, 10 flow 4.5, 10 result 1, 10 valve V1, 10 serial A"]), all);
}

/// Messages as [`frame`], each with the millisecond in which it came.
fn came(messages: &[(i64, &str)]) -> Vec<Sample> {
    let message = |(received, said): &(i64, &str)| {
        let received = Timestamp::from_millis(100_000_000 + received);
        frame(said).into_iter().map(move |sample| Sample { received_ts: received, ..sample })
    };
    messages.iter().flat_map(message).collect()
}

#[test]
fn units_that_a_coarse_clock_gives_one_instant_have_each_what_came_with_it() {
    let first = (1, "10 serial A, 10 product X, 10 motor M1, 10 valve V");
    let (second, third) = ((2, "10 motor M2, 10 serial B, 10 product Y"), (3, "10 serial C, 10 valve W"));
    let told = ["A @10 X VALVE:V MOTOR:M1", "B @10 Y MOTOR:M2", "C @10 Y VALVE:W"];
    assert_eq!(shown(&follower().take(&came(&[first, second, third]))), told.join("; "), "in one frame");
    let mut follower = follower();
    for (message, told) in [first, second, third].into_iter().zip(told) {
        assert_eq!(shown(&follower.take(&came(&[message]))), told, "in a frame of its own");
    }
    for (received, message) in [(4, first.1), (5, second.1), (6, third.1)] {
        assert_eq!(follower.take(&came(&[(received, message)])).passes, [], "sent again: {message}");
    }
    let said_alone = came(&[(1, "10 serial A"), (2, "10 motor M1"), (3, "11 serial B")]);
    assert_eq!(shown(&self::follower().take(&said_alone)), "A @10 MOTOR:M1; B @11", "alone at its instant");
}

#[test]
fn what_was_said_since_the_unit_before_belongs_to_it_and_the_last_of_it_counts() {
    let told =
        heard(&["8 flow 1, 10 serial A", "11 flow 2, 12 flow 3", "13 valve V, 14 result 0", "15 serial B, 16 flow 4"]);
    assert_eq!(told, ["A @10 flow=1.0", "", "", "B @15 bad flow=3.0 VALVE:V"]);
    assert_eq!(heard(&["10 serial A", "11 serial B"]), ["A @10", "B @11"], "what was not said is not invented");
}

#[test]
fn which_product_is_made_holds_until_another_is_said() {
    let told = heard(&[
        "1 product X",
        "10 serial A, 20 serial B",
        "25 product Y, 25 product Y",
        "30 serial C, 24 serial D",
        "22 valve V",
    ]);
    assert_eq!(told, ["", "A @10 X; B @20 X", "", "D @24 X; C @30 Y", "+D @24 X VALVE:V"]);
}

#[test]
fn the_rest_of_a_message_that_comes_in_a_frame_of_its_own_is_added() {
    assert_eq!(
        heard(&["10 serial A, 10 result 1", "10 flow 4.5, 10 valve V"]),
        ["A @10 good", "+A @10 flow=4.5 VALVE:V"]
    );
}

#[test]
fn a_message_that_is_sent_again_is_nothing_new() {
    let message = "10 serial A, 10 result 1, 10 flow 4.5";
    assert_eq!(heard(&[message, message, "11 serial B", message]), ["A @10 good flow=4.5", "", "B @11", ""]);
}

#[test]
fn tags_that_are_asked_every_second_say_one_pass_until_something_else_is_said() {
    let told = heard(&[
        "10 serial A, 10 result 1, 10 flow 4.5",
        "11 serial A, 11 result 1, 11 flow 4.5",
        "12 serial A, 12 flow 4.5, 12 valve V",
        "13 serial B, 13 flow 4.5",
        "14 serial A, 14 flow 4.5",
    ]);
    assert_eq!(told, ["A @10 good flow=4.5", "", "+A @10 VALVE:V", "B @13 flow=4.5", "A @14 flow=4.5"]);
}

#[test]
fn another_result_of_the_same_unit_is_another_attempt() {
    assert_eq!(heard(&["10 serial A, 10 result 0", "20 serial A, 20 result 1"]), ["A @10 bad", "A @20 good"]);
}

#[test]
fn what_comes_late_goes_where_its_time_puts_it_and_changes_nothing_that_was_told() {
    let mut follower = follower();
    follower.take(&frame("10 serial A, 10 flow 1"));
    follower.take(&frame("20 serial B, 20 flow 2"));
    assert_eq!(shown(&follower.take(&frame("15 serial C, 15 flow 3, 15 result 1"))), "C @15 good flow=3.0");
    assert_eq!(shown(&follower.take(&frame("18 valve V, 9 motor M"))), "+A @10 MOTOR:M; +B @20 VALVE:V");
    let told = follower.take(&frame("19 flow 9, 19 motor M2, 20 result 1, 5 flow 7"));
    assert_eq!(shown(&told), "+B @20 good MOTOR:M2");
    assert_eq!(told.remarks, [], "older than what was told of it");
    let mut later = follower_of(station(true), BTreeMap::new());
    later.take(&frame("18 flow 1, 20 serial B"));
    let told = later.take(&frame("19 flow 2"));
    let remark = Remark::Otherwise { serial: "B".to_owned(), at: at(20), said: "measure flow 2.0".to_owned() };
    assert_eq!((shown(&told), told.remarks), (String::new(), vec![(STATION.to_owned(), remark)]));
}

#[test]
fn bad_readings_and_empty_texts_say_nothing_and_what_is_no_number_is_told() {
    let mut follower = follower();
    let mut bad = frame("10 serial A, 10 flow 2");
    bad.iter_mut().for_each(|sample| sample.quality = StatusCode::BAD_NO_COMMUNICATION);
    assert_eq!(follower.take(&bad), Told::default());
    assert_eq!(shown(&follower.take(&frame("10 serial, 10 valve"))), "");
    let padded = [sample(0, Value::String(" A 7\0\0".into()), 12), sample(3, Value::String("V\t".into()), 12)];
    assert_eq!(shown(&follower.take(&padded)), "A 7 @12 VALVE:V");
    for text in ["x".repeat(129), "a\u{7}b".to_owned()] {
        let told = follower.take(&[sample(0, Value::String(text.as_str().into()), 13)]);
        assert!(matches!(&told.remarks[..], [(_, Remark::NoNumber { .. })]), "{told:?}");
        assert_eq!(told.passes, []);
    }
}

#[test]
fn which_program_was_loaded_is_of_the_unit_and_what_is_no_version_is_told() {
    let loaded = |told: &Told| told.passes.iter().flat_map(|pass| pass.firmware.clone()).collect::<Vec<_>>();
    let program = |version: Option<&str>, sha256: Option<String>| {
        vec![Loaded { component: "controller".to_owned(), version: version.map(str::to_owned), sha256 }]
    };
    let mut follower = follower();
    let told = follower.take(&frame("9 version 2.4.1, 10 serial A"));
    assert_eq!(loaded(&told), program(Some("2.4.1"), None));
    let told = follower.take(&frame(&format!("10 digest {}", "AB".repeat(32))));
    assert_eq!((loaded(&told), told.passes[0].more), (program(None, Some("ab".repeat(32))), true));
    assert_eq!(loaded(&follower.take(&frame("11 serial B, 11 version"))), [], "nothing is said of it");
    for (tag, text) in
        [(7, "ab".repeat(31)), (7, "no digest".to_owned()), (6, "x".repeat(65)), (6, "a\u{202e}b".to_owned())]
    {
        let told = follower.take(&[sample(tag, Value::String(text.as_str().into()), 12)]);
        assert!(matches!(&told.remarks[..], [(_, Remark::NoFirmware { .. })]), "{text}: {told:?}");
    }
    assert_eq!(loaded(&follower.take(&frame("12 serial C"))), []);
}

#[test]
fn where_no_result_is_said_all_that_passes_is_good() {
    let mut follower = follower_of(station(false), BTreeMap::new());
    assert_eq!(shown(&follower.take(&frame("10 serial A"))), "A @10 good");
    assert_eq!(shown(&follower.take(&frame("10 flow 1"))), "+A @10 flow=1.0");
}

#[test]
fn what_is_remembered_is_bounded_and_what_is_older_is_told() {
    let mut follower = follower();
    for n in 1..=200 {
        follower.take(&frame(&format!("{} serial S{n}, {} flow {n}", n * 10, n * 10)));
    }
    let told = follower.take(&frame("500 flow 7, 495 serial LATE"));
    assert_eq!(shown(&told), "LATE @495");
    assert!(matches!(&told.remarks[..], [(_, Remark::TooLate { .. })]), "{told:?}");
    for n in 0..10_000 {
        follower.take(&frame(&format!("{} flow {n}", 3_000 + n)));
    }
    let text = serde_json::to_string(follower.heard(STATION).unwrap()).unwrap();
    assert!(text.len() < 20_000, "{} bytes", text.len());
    assert_eq!(shown(&follower.take(&frame("20000 serial NEXT"))), "NEXT @20000 flow=9999.0");
}

#[test]
fn what_is_remembered_is_kept_in_words_that_later_versions_read() {
    let mut follower = follower();
    follower.take(&frame("10 serial A, 10 flow 4.5, 10 result 1, 11 valve V"));
    assert_eq!(
        json!(follower.heard(STATION).unwrap()),
        json!({
            "waiting": { "part line/test/valve": [[11_000_000, { "number": "V" }]] },
            "units": [{ "serial": "A", "at": 10_000_000, "upto": 10_000_000, "said": {
                "measure flow": [10_000_000, { "measured": 4.5 }], "result": [10_000_000, { "passed": true }] } }],
            "forgotten": null,
        })
    );
}

#[test]
fn an_id_is_of_its_words_and_time() {
    let id = item_id(at(10), &["unit", "HP-8", "A"]);
    assert_eq!(id, item_id(at(10), &["unit", "HP-8", "A"]));
    assert_eq!((id.get_version_num(), id.get_timestamp().map(|at| at.to_unix().0)), (7, Some(10)));
    for other in [item_id(at(11), &["unit", "HP-8", "A"]), item_id(at(10), &["unit", "HP-", "8A"])] {
        assert_ne!(id, other);
    }
}

/// What passes come to when they are recorded as the store does: by unit and time, what is known first stays.
fn recorded(told: &[Pass]) -> BTreeMap<(Timestamp, String), BTreeMap<String, String>> {
    let mut all: BTreeMap<_, BTreeMap<String, String>> = BTreeMap::new();
    for pass in told {
        let kept = all.entry((pass.at, pass.serial.clone())).or_default();
        let passed = pass.passed.map(|passed| ("passed".to_owned(), passed.to_string()));
        let measures = pass.measures.iter().map(|(name, value)| (name.clone(), value.to_string()));
        let parts = pass.parts.iter().map(|(part, number)| (part.material.clone(), number.clone()));
        let firmware =
            pass.firmware.iter().flat_map(|loaded| Some((loaded.component.clone(), loaded.version.clone()?)));
        for (name, value) in passed.into_iter().chain(measures).chain(parts).chain(firmware) {
            kept.entry(name).or_insert(value);
        }
    }
    all
}

fn said() -> impl Strategy<Value = Vec<Vec<Sample>>> {
    let reading = (0u32..7, 0i64..40, 0i64..4).prop_map(|(tag, second, value)| match tag {
        1 => sample(tag, Value::Int64(value % 2), second),
        2 => sample(tag, Value::Double(value as f64), second),
        _ => sample(tag, Value::String(format!("N{value}").into()), second),
    });
    // Each message comes after the one before.
    proptest::collection::vec(proptest::collection::vec(reading, 0..6), 0..30).prop_map(|mut messages| {
        for (sample, received) in
            messages.iter_mut().zip(100_000..).flat_map(|(message, n)| message.iter_mut().map(move |s| (s, n)))
        {
            sample.received_ts = at(received);
        }
        messages
    })
}

proptest! {
    #[test]
    fn wherever_it_is_stopped_and_taken_up_again_the_same_lane_gives_the_same_passes(frames in said(), stops in proptest::collection::vec(any::<bool>(), 30)) {
        let mut through = follower();
        let plain: Vec<Told> = frames.iter().map(|frame| through.take(frame)).collect();
        let mut kept: BTreeMap<String, Heard> = BTreeMap::new();
        let mut follower = follower();
        for (frame, (plain, stop)) in frames.iter().zip(plain.iter().zip(&stops)) {
            let told = follower.take(frame);
            prop_assert_eq!(&told, plain);
            for station in &told.changed {
                let text = serde_json::to_string(follower.heard(station).unwrap()).unwrap();
                kept.insert(station.clone(), serde_json::from_str(&text).unwrap());
            }
            if *stop {
                // Killed: what was kept with the frame is all there is.
                follower = follower_of(station(true), kept.clone());
            }
        }
    }

    #[test]
    fn a_lane_that_is_read_twice_records_nothing_else(frames in said()) {
        let mut follower = follower();
        let mut all = Vec::new();
        for frame in &frames {
            let told = follower.take(frame);
            let again = follower.take(frame);
            prop_assert_eq!(again.passes.iter().filter(|pass| !pass.more).count(), 0);
            all.extend(told.passes);
        }
        let once = recorded(&all);
        // Each pass is told as new at most once.
        let mut new: Vec<_> = all.iter().filter(|pass| !pass.more).map(|pass| (pass.at, pass.serial.clone())).collect();
        let count = new.len();
        new.sort();
        new.dedup();
        prop_assert_eq!(new.len(), count);
        prop_assert!(once.len() >= count);
    }
}
