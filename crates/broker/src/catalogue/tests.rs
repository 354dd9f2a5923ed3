//! The catalogue from outside its module: what is kept, in which bounds, who sees what of it.

use super::*;
use andon_wire::mqtt::{QoS, Text, TopicName};
use bytes::Bytes;

fn message(topic: &str, payload: &[u8], at_s: i64) -> Message {
    let name = TopicName::parse(topic).unwrap();
    let at = Timestamp::from_millis(at_s * 1000);
    let mut message = Message::internal(name, Bytes::copy_from_slice(payload), QoS::AtMostOnce, false, at);
    message.publisher = Some(Text::parse("press-7").unwrap());
    message
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn names(level: &Level) -> Vec<(&str, usize, bool)> {
    level.rows.iter().map(|row| (&*row.name, row.below, row.own.is_some())).collect()
}

#[test]
fn the_last_message_of_a_topic_is_told_with_its_count_and_interval() {
    let catalogue = Catalogue::new(10, 1 << 20);
    for second in 0..20 {
        catalogue.note(&message("plant/press-7/temperature", format!("{second}.5").as_bytes(), second * 10));
    }
    let info = catalogue.topic("plant/press-7/temperature", at(195)).unwrap();
    assert_eq!((info.count, info.size, &*info.payload, info.kind), (20, 4, &b"19.5"[..], PayloadKind::Number));
    assert_eq!((info.first, info.received), (at(0), at(190)));
    assert_eq!(info.publisher.unwrap().as_str(), "press-7");
    assert_eq!(info.usual_interval, Some(Duration::from_secs(10)));
    assert_eq!(info.silent_since, None);
    let later = catalogue.topic("plant/press-7/temperature", at(300)).unwrap();
    assert_eq!(later.silent_since, Some(at(190)));
    assert_eq!(catalogue.topic("plant/press-7", at(0)), None);
}

#[test]
fn of_a_long_payload_the_begin_is_kept_and_its_size_told() {
    let catalogue = Catalogue::new(10, 1 << 20);
    catalogue.note(&message("a", &vec![b'x'; 100_000], 0));
    let info = catalogue.topic("a", at(0)).unwrap();
    assert_eq!((info.size, info.payload.len(), info.is_whole()), (100_000, PAYLOAD_KEPT, false));
    catalogue.note(&message("a", b"short", 1));
    assert_eq!(catalogue.topic("a", at(0)).unwrap().payload, b"short");
}

#[test]
fn the_tree_is_listed_level_by_level_in_pages() {
    let catalogue = Catalogue::new(1000, 1 << 20);
    for topic in ["b/c", "b", "b/d/e", "a/x", "/y", "b/d"] {
        catalogue.note(&message(topic, b"1", 0));
    }
    let level = |under, skip, limit| catalogue.level(under, skip, limit, at(0), None);
    assert_eq!(names(&level(None, 0, 10)), [("", 1, false), ("a", 1, false), ("b", 3, true)]);
    assert_eq!(names(&level(Some("b"), 0, 10)), [("c", 0, true), ("d", 1, true)]);
    assert_eq!(names(&level(Some(""), 0, 10)), [("y", 0, true)]);
    assert_eq!(names(&level(Some("no"), 0, 10)), []);
    let first = level(None, 0, 2);
    assert_eq!((first.rows.len(), first.total), (2, 3));
    let second = level(None, 2, 2);
    assert_eq!((names(&second), second.total), (vec![("b", 3, true)], 3));
    catalogue.note(&message("c", b"1", 0));
    assert_eq!(level(None, 0, 10).total, 4, "what is new since the last look");
}

#[test]
fn who_may_not_see_a_topic_sees_neither_it_nor_its_count() {
    let catalogue = Catalogue::new(1000, 1 << 20);
    for topic in ["a/1", "a/2", "b/1", "a"] {
        catalogue.note(&message(topic, b"1", 0));
    }
    let sees = |topic: &str| topic == "a/2";
    let level = catalogue.level(None, 0, 10, at(0), Some(&sees));
    assert_eq!((names(&level), level.total), (vec![("a", 1, false)], 1));
    assert_eq!(catalogue.search("1", 10, at(0), Some(&sees)).1, 0);
    assert_eq!(catalogue.search("A/", 10, at(0), Some(&sees)).1, 1);
    let first = |topic: &str| topic.ends_with("/1");
    let level = catalogue.level(None, 1, 1, at(0), Some(&first));
    assert_eq!((names(&level), level.total), (vec![("b", 1, false)], 2), "what is skipped is what may be seen");
}

#[test]
fn beyond_the_most_topics_new_ones_are_counted_and_those_listed_go_on() {
    let catalogue = Catalogue::new(2, 1 << 20);
    for topic in ["a", "b", "c", "d", "a"] {
        catalogue.note(&message(topic, b"1", 0));
    }
    let figures = catalogue.figures();
    assert_eq!((figures.topics, figures.not_listed), (2, 2));
    assert_eq!(catalogue.topic("a", at(0)).unwrap().count, 2);
    assert!(catalogue.topic("c", at(0)).is_none());
    assert!(catalogue.keep_house(at(1)), "it is told");
    assert!(!catalogue.keep_house(at(2)), "once");
}

#[test]
fn where_there_is_no_room_what_has_been_silent_for_a_day_is_forgotten() {
    let catalogue = Catalogue::new(2, 1 << 20);
    catalogue.note(&message("old/1", &[b'x'; 500], 0));
    catalogue.note(&message("live", b"1", 90_000));
    assert_eq!(catalogue.level(None, 0, 10, at(0), None).total, 2);
    catalogue.note(&message("new", b"1", 90_001));
    assert!(catalogue.keep_house(at(90_002)));
    let figures = catalogue.figures();
    assert_eq!((figures.topics, figures.forgotten), (1, 1));
    assert!(figures.bytes < 600, "what it took is free: {}", figures.bytes);
    catalogue.note(&message("new", b"1", 90_003));
    let level = catalogue.level(None, 0, 10, at(90_003), None);
    assert_eq!(names(&level), [("live", 0, true), ("new", 0, true)]);
}

#[test]
fn payloads_and_names_take_no_more_than_they_may() {
    let most = 11_952;
    let catalogue = Catalogue::new(1_000_000, most);
    for n in 0..1000 {
        catalogue.note(&message(&format!("plant/{n}"), &[b'x'; 1500], 0));
        assert!(catalogue.figures().bytes <= most);
    }
    let figures = catalogue.figures();
    assert_eq!((figures.topics, figures.not_listed, figures.left_out), (6, 994, 1), "{figures:?}");
    let left_out = catalogue.level(Some("plant"), 0, 100, at(0), None).rows;
    let left_out = left_out.iter().filter_map(|row| row.own.as_ref()).find(|own| own.payload.is_empty()).unwrap();
    assert_eq!((left_out.size, left_out.is_whole()), (1500, false), "its size is told all the same");
}

#[test]
fn deep_names_and_content_types_count_and_are_cut() {
    let most = 100_000;
    let catalogue = Catalogue::new(1_000_000, most);
    for n in 0..1000 {
        let deep: Vec<String> = (0..31).map(|level| format!("{n}-{level}")).collect();
        let mut deep = message(&deep.join("/"), b"1", 0);
        deep.content_type = Text::parse(&format!("{}{n}", "é".repeat(1000))).ok();
        catalogue.note(&deep);
    }
    let figures = catalogue.figures();
    assert!(figures.bytes <= most && figures.topics < 30, "{figures:?}");
    let mut one = message("a", b"1", 0);
    let catalogue = Catalogue::new(10, 1 << 20);
    for (given, kept) in [("text/plain", 10), ("t", 1), (&*"é".repeat(1000), 256), (&*"é".repeat(2000), 256), ("", 0)]
    {
        one.content_type = Text::parse(given).ok();
        catalogue.note(&one);
        let info = catalogue.topic("a", at(0)).unwrap();
        assert_eq!(info.content_type.map(|text| text.as_bytes().len()), Some(kept));
    }
    one.content_type = None;
    catalogue.note(&one);
    assert_eq!(catalogue.topic("a", at(0)).unwrap().content_type, None);
    let bare = Catalogue::new(10, 1 << 20);
    bare.note(&one);
    assert_eq!(catalogue.figures().bytes, bare.figures().bytes, "what is replaced is given back");
}

#[test]
fn a_level_is_right_with_no_one_and_many_names_below() {
    let catalogue = Catalogue::new(100, 1 << 20);
    let listed = |catalogue: &Catalogue, under: Option<&str>| {
        names(&catalogue.level(under, 0, 10, at(0), None))
            .iter()
            .map(|(name, below, own)| (name.to_string(), *below, *own))
            .collect::<Vec<_>>()
    };
    let row = |name: &str, below: usize, own: bool| (name.to_owned(), below, own);
    catalogue.note(&message("a/b/c", b"1", 0));
    assert_eq!(listed(&catalogue, None), [row("a", 1, false)]);
    assert_eq!(listed(&catalogue, Some("a/b")), [row("c", 0, true)]);
    assert_eq!(listed(&catalogue, Some("a/b/c")), []);
    assert_eq!(listed(&catalogue, Some("a/x")), []);
    catalogue.note(&message("a/b", b"1", 0));
    catalogue.note(&message("a/a", b"1", 0));
    catalogue.note(&message("a//c", b"1", 0));
    assert_eq!(listed(&catalogue, None), [row("a", 4, false)]);
    assert_eq!(listed(&catalogue, Some("a")), [row("", 1, false), row("a", 0, true), row("b", 1, true)]);
    assert_eq!(listed(&catalogue, Some("a/")), [row("c", 0, true)]);
}

#[test]
fn the_servers_own_topics_are_not_listed() {
    let catalogue = Catalogue::new(10, 1 << 20);
    catalogue.note(&message("$SYS/broker/uptime", b"1", 0));
    assert_eq!((catalogue.figures().topics, catalogue.figures().not_listed), (0, 0));
}

#[test]
fn a_retained_message_from_before_the_start_is_the_last_one_and_counts_as_none() {
    let catalogue = Catalogue::new(10, 1 << 20);
    let mut old = message("a", b"1", 0);
    old.retain = true;
    catalogue.begin_with(&old);
    let info = catalogue.topic("a", at(1_000_000)).unwrap();
    assert_eq!((info.count, info.retained, info.received, info.per_second), (0, true, at(0), None));
    catalogue.note(&message("a", b"2", 1_000_000));
    let info = catalogue.topic("a", at(1_000_000)).unwrap();
    assert_eq!((info.count, info.retained, info.retain), (1, true, false), "the retained one is still there");
    let mut none = message("a", b"", 1_000_001);
    none.retain = true;
    catalogue.note(&none);
    assert!(!catalogue.topic("a", at(1_000_001)).unwrap().retained);
}

#[tokio::test]
async fn who_looks_sees_what_matches_and_is_told_what_was_skipped() {
    let catalogue = Catalogue::new(10, 1 << 20);
    let mut watch = catalogue.watch(TopicFilter::parse("a/+").unwrap()).unwrap();
    catalogue.note(&message("a/b", b"1", 0));
    catalogue.note(&message("c", b"2", 0));
    let seen = watch.next().await.unwrap();
    assert_eq!((&*seen.topic, &*seen.payload), ("a/b", &b"1"[..]));
    for n in 0..1000 {
        catalogue.note(&message("a/b", &[b'x'; 10_000], n));
    }
    let mut there = 0;
    while let Some(seen) = watch.try_next() {
        assert_eq!((seen.size, seen.payload.len()), (10_000, PAYLOAD_KEPT));
        there += 1;
    }
    assert_eq!(there + watch.take_skipped(), 1000);
    assert!((64..=256).contains(&there), "{there}");
    drop(watch);
    assert_eq!(catalogue.watching.load(Ordering::Relaxed), 0);
}

#[test]
fn only_so_many_may_look() {
    let catalogue = Catalogue::new(10, 1 << 20);
    let filter = || TopicFilter::parse("#").unwrap();
    let all: Vec<_> = (0..watch::WATCHES).map(|_| catalogue.watch(filter()).unwrap()).collect();
    assert_eq!(catalogue.watch(filter()).err(), Some(TooManyWatches));
    drop(all);
    assert!(catalogue.watch(filter()).is_ok());
}

#[test]
fn a_topic_that_somebody_sees_is_found_under_what_he_asks_and_what_it_is_about() {
    let catalogue = Catalogue::new(10, 1 << 20);
    ["a/1", "a/2", "b/1"].iter().for_each(|topic| catalogue.note(&message(topic, b"1", 0)));
    let filter = |filter: &str| [TopicFilter::parse(filter).unwrap()];
    let any =
        |asked: &str, own: &str, sees: &str| catalogue.any_under(&filter(asked), &filter(own), |topic| topic == sees);
    assert!(any("#", "a/#", "a/2") && any("+/1", "b/#", "b/1") && any("b/1", "#", "b/1"));
    assert!(!any("#", "a/#", "b/1") && !any("+/1", "a/#", "a/2") && !any("a/1", "b/#", "a/1"));
}
