//! Kept messages in a folder: what is written is read, what goes is told, and damage is no silence.

use super::*;
use andon_wire::mqtt::{QoS, TopicName};
use bytes::Bytes;

pub(super) fn keep(bytes: u64) -> Arc<Keep> {
    let filter = TopicFilter::parse("#").unwrap();
    Arc::new(Keep { rule: "press/7 ü".into(), filter, age: Duration::from_secs(3600), bytes })
}

pub(super) fn at(s: i64) -> Timestamp {
    Timestamp::from_millis(1_000_000_000 + s * 1000)
}

pub(super) fn message(topic: &str, n: u64, s: i64) -> Arc<Message> {
    let payload = Bytes::from(format!("{n:08}{}", "x".repeat(1000)));
    Arc::new(Message::internal(TopicName::parse(topic).unwrap(), payload, QoS::AtLeastOnce, false, at(s)))
}

pub(super) fn query(filter: &str) -> HistoryQuery {
    let (from, until) = (Timestamp::from_micros(i64::MIN), Timestamp::from_micros(i64::MAX));
    HistoryQuery {
        filters: vec![TopicFilter::parse(filter).unwrap()],
        from,
        until,
        after: 0,
        limit: 100,
        bytes: 1 << 20,
    }
}

/// All of it, page by page: numbers in payloads, and what is missing.
pub(super) fn all(history: &History, mut query: HistoryQuery) -> (Vec<u64>, Vec<Missing>) {
    let (mut numbers, mut missing) = (Vec::new(), Vec::new());
    loop {
        let page = history.page(&query).unwrap();
        assert!(page.messages.len() <= query.limit && page.next >= query.after);
        numbers.extend(page.messages.iter().map(|kept| number(&kept.message)));
        missing.extend(page.missing);
        query.after = page.next;
        if page.end {
            return (numbers, missing);
        }
    }
}

fn number(message: &Message) -> u64 {
    std::str::from_utf8(&message.payload[..8]).unwrap().parse().unwrap()
}

pub(super) fn write(history: &History, now: Timestamp) {
    let Taken { waiting, lost, last_no } = history.take();
    history.write(waiting.into(), lost, last_no, true, now);
}

pub(super) fn with(dir: &Path, bytes: u64, now: Timestamp) -> History {
    History::open(Some(dir), vec![keep(bytes)], now)
}

#[test]
fn what_is_kept_is_read_by_topic_time_and_number_also_by_the_next_run() {
    let folder = tempfile::tempdir().unwrap();
    let mut history = with(folder.path(), 64 << 20, at(0));
    for n in 1..=900 {
        let topic = if n % 3 == 0 { "a/b" } else { "a" };
        history.offer(Seq(n * 2), keep(64 << 20), &message(topic, n, n as i64));
        if n % 100 == 0 {
            write(&history, at(n as i64));
        }
        if n == 450 {
            // A run that was killed: nothing is closed, and half a record stands at the end.
            drop(history);
            let dir = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
            let mut files: Vec<_> = std::fs::read_dir(dir).unwrap().map(|e| e.unwrap().path()).collect();
            files.retain(|file| file.extension().is_some_and(|e| e == "log"));
            files.sort();
            let mut torn = std::fs::File::options().append(true).open(files.last().unwrap()).unwrap();
            std::io::Write::write_all(&mut torn, &[200, 4, 0, 0, 1, 2, 3, 4, 5]).unwrap();
            history = with(folder.path(), 64 << 20, at(450));
            // What was in the line is read from the lane again, and what is there already is not kept twice.
            history.begin_replay(Seq(200), Seq(900));
            (101..=450).for_each(|n| {
                history.offer(Seq(n * 2), keep(64 << 20), &message(if n % 3 == 0 { "a/b" } else { "a" }, n, n as i64));
            });
            history.end_replay();
        }
    }
    let (numbers, missing) = all(&history, query("#"));
    assert_eq!((numbers, missing.len()), ((1..=900).collect(), 1));
    assert_eq!(missing[0].why, "not kept yet");
    let (numbers, _) = all(&history, query("a/+"));
    assert_eq!(numbers, (1..=900).filter(|n| n % 3 == 0).collect::<Vec<_>>());
    let within = HistoryQuery { from: at(100), until: at(700), limit: 7, ..query("a") };
    let (numbers, missing) = all(&history, within);
    assert_eq!(numbers, (100..700).filter(|n| n % 3 != 0).collect::<Vec<_>>());
    assert!(missing.is_empty());
    // The last so many, also within a time that begins and ends within files.
    for (filter, from, until, most) in
        [("#", 0, 1000, 5), ("a/b", 0, 1000, 301), ("a", 100, 700, 10), ("a", 100, 700, 5000)]
    {
        let asked = HistoryQuery { from: at(from), until: at(until), ..query(filter) };
        let after = history.before_the_last(&asked, most).unwrap();
        let matches = |n: &u64| filter == "#" || n.is_multiple_of(3) == (filter == "a/b");
        let all_of_it: Vec<u64> = (1..=900).filter(|n| matches(n) && (from..until).contains(&(*n as i64))).collect();
        let wanted = all_of_it.len().saturating_sub(most);
        assert_eq!(all(&history, HistoryQuery { after, ..asked }).0, all_of_it[wanted..]);
    }
    let few = history.page(&HistoryQuery { bytes: 5000, ..query("#") }).unwrap();
    assert_eq!((few.messages.len(), few.end), (4, false), "about as many bytes as asked for");
}

#[test]
fn what_is_beyond_the_bound_or_past_its_time_goes_the_oldest_first_and_that_is_told() {
    let folder = tempfile::tempdir().unwrap();
    let bound = 1 << 20;
    let history = with(folder.path(), bound, at(0));
    for n in 1..=3000 {
        history.offer(Seq(n), keep(bound), &message("a", n, 1));
        if n % 20 == 0 {
            write(&history, at(1));
        }
    }
    history.keep_house(at(1), Duration::ZERO);
    assert!(history.figures().bytes <= bound, "{:?}", history.figures());
    let (numbers, missing) = all(&history, query("#"));
    assert_eq!(numbers, (*numbers.first().unwrap()..=3000).collect::<Vec<_>>());
    assert!(numbers.len() > 600 && numbers.len() < 1050, "{}", numbers.len());
    assert_eq!(missing.iter().map(|m| m.why.as_str()).collect::<Vec<_>>(), ["no longer kept"]);
    // An hour later all of it is past its time, and with its rule gone the folder too.
    history.keep_house(at(3000), Duration::ZERO);
    history.set_rules(Vec::new());
    history.keep_house(at(7300), Duration::ZERO);
    let folders = std::fs::read_dir(folder.path()).unwrap().filter(|entry| entry.as_ref().unwrap().path().is_dir());
    assert_eq!(folders.count(), 0);
    assert!(all(&history, query("#")).0.is_empty());
}

#[test]
fn damage_is_told_and_costs_no_more_than_it_must() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), 64 << 20, at(0));
    (1..=10).for_each(|n| history.offer(Seq(n), keep(64 << 20), &message("a", n, n as i64)));
    write(&history, at(10));
    drop(history);
    // The next run makes the index; then the disk damages a message.
    drop(with(folder.path(), 64 << 20, at(11)));
    let dir = std::fs::read_dir(folder.path()).unwrap().next().unwrap().unwrap().path();
    let file = dir.join(format!("{:020}.log", 1));
    let mut bytes = std::fs::read(&file).unwrap();
    let middle = bytes.len() * 11 / 20;
    bytes[middle] ^= 1;
    std::fs::write(&file, &bytes).unwrap();
    let (numbers, missing) = all(&with(folder.path(), 64 << 20, at(12)), HistoryQuery { from: at(1), ..query("a") });
    assert_eq!(numbers.len(), 9);
    let topics = vec![TopicFilter::parse("a").unwrap()];
    assert_eq!(missing, [Missing { until: at(5), messages: Some(1), why: "damaged on the disk".to_owned(), topics }]);
    // Without its index, what stands behind the damage is found by its records.
    std::fs::remove_file(file.with_extension("idx")).unwrap();
    let (numbers, missing) = all(&with(folder.path(), 64 << 20, at(12)), HistoryQuery { from: at(1), ..query("a") });
    assert_eq!(numbers, [1, 2, 3, 4, 5, 7, 8, 9, 10]);
    assert_eq!(missing.iter().map(|m| m.why.as_str()).collect::<Vec<_>>(), ["damaged on the disk"]);
}

#[test]
fn more_than_the_line_has_room_for_is_lost_and_written_down_in_its_place() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), 64 << 20, at(0));
    let large = |n: u64| {
        let payload = Bytes::from(format!("{n:08}{}", "x".repeat(1 << 20)));
        Arc::new(Message::internal(TopicName::parse("a").unwrap(), payload, QoS::AtMostOnce, false, at(1)))
    };
    (1..=10).for_each(|n| history.offer(Seq(0), keep(64 << 20), &large(n)));
    write(&history, at(2));
    history.offer(Seq(0), keep(64 << 20), &large(11));
    write(&history, at(3));
    let (numbers, missing) = all(&history, HistoryQuery { from: at(0), bytes: 64 << 20, ..query("a") });
    assert_eq!(numbers, [1, 2, 3, 4, 5, 6, 7, 11]);
    let why = "came faster than the disk took them".to_owned();
    let topics = vec![TopicFilter::parse("#").unwrap()];
    assert_eq!(missing, [Missing { until: at(2), messages: Some(3), why, topics }]);
    assert_eq!(history.figures().lost, 3);
}

#[test]
fn a_clock_that_jumps_ahead_takes_nothing_until_it_has_stood_by_it_for_a_day() {
    const HOUR: Duration = Duration::from_secs(3600);
    const YEARS: i64 = 10 * 365 * 86_400;
    let folder = tempfile::tempdir().unwrap();
    let mut history = with(folder.path(), 64 << 20, at(0));
    let ten = |history: &History, first: u64, now: i64| {
        (first..first + 10).for_each(|n| history.offer(Seq(n), keep(64 << 20), &message("a", n, now)));
        write(history, at(now));
    };
    ten(&history, 1, 0);
    history.keep_house(at(600), HOUR);
    // Also where a run begins with that clock, which has another monotonic one, and where nobody saved what counted.
    for forget in [false, true, false] {
        history.keep_house(at(YEARS), HOUR * 2);
        history.keep_house(at(YEARS), HOUR * 25);
        assert_eq!(all(&history, query("a")).0, (1..=10).collect::<Vec<_>>());
        drop(history);
        if forget {
            std::fs::remove_file(folder.path().join("counted.json")).unwrap();
        }
        history = with(folder.path(), 64 << 20, at(YEARS));
    }
    // What came with the wrong time is kept as well, and once the clock is right all goes on as before.
    ten(&history, 11, YEARS);
    history.keep_house(at(YEARS), HOUR);
    drop(history);
    let history = with(folder.path(), 64 << 20, at(YEARS));
    history.keep_house(at(YEARS), HOUR);
    assert_eq!(all(&history, query("a")).0, (1..=20).collect::<Vec<_>>());
    history.keep_house(at(1200), HOUR * 2);
    history.keep_house(at(YEARS), HOUR * 3);
    history.keep_house(at(YEARS), HOUR * 26);
    assert_eq!(all(&history, query("a")).0, (1..=20).collect::<Vec<_>>());
    // It was no jump but a long silence.
    history.keep_house(at(YEARS), HOUR * 27);
    assert_eq!(all(&history, query("a")).0, (11..=20).collect::<Vec<_>>());
}

#[test]
fn a_file_that_was_begun_by_a_clock_ahead_is_finished_when_it_is_right() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), 64 << 20, at(0));
    history.offer(Seq(1), keep(64 << 20), &message("a", 1, 0));
    write(&history, at(10 * 365 * 86_400));
    history.keep_house(at(0), Duration::ZERO);
    history.keep_house(at(3700), Duration::ZERO);
    assert_eq!(all(&history, query("a")).0, [0; 0]);
}

#[test]
fn what_is_missing_is_told_to_who_asks_for_what_it_may_be_of_and_once() {
    let folder = tempfile::tempdir().unwrap();
    let rule = |name: &str, filter: &str| {
        let filter = TopicFilter::parse(filter).unwrap();
        Arc::new(Keep { rule: name.into(), filter, age: Duration::from_secs(3600), bytes: 64 << 20 })
    };
    let (one, two) = (rule("one", "a/#"), rule("two", "b/+/c"));
    let open = |rules: &[&Arc<Keep>]| {
        History::open(Some(folder.path()), rules.iter().map(|keep| (*keep).clone()).collect(), at(0))
    };
    let history = open(&[&one, &two]);
    let told = |history: &History, filter: &str| {
        let (_, missing) = all(history, query(filter));
        missing.iter().map(|m| (m.why.clone(), m.topics.iter().map(ToString::to_string).collect())).collect::<Vec<_>>()
    };
    let since = |filters: &[&str]| ("not kept yet".to_owned(), filters.iter().map(ToString::to_string).collect());
    let (of_one, of_two): ((_, Vec<String>), _) = (since(&["a/#"]), since(&["b/+/c"]));
    assert_eq!(told(&history, "#"), [of_one.clone(), of_two.clone()]);
    assert_eq!(told(&history, "a/x"), std::slice::from_ref(&of_one));
    assert_eq!(told(&history, "b/#"), std::slice::from_ref(&of_two));
    for none in ["b/x", "c", "$SYS/#", "b/x/d"] {
        assert_eq!(told(&history, none), [], "{none}");
    }
    // What is lost and what is damaged as well.
    let mut line = lock(&history.line);
    line.last_no = 3;
    line.lost.insert(two.rule.clone(), (two.clone(), 3));
    drop(line);
    write(&history, at(2));
    history.offer(Seq(4), one.clone(), &message("a/x", 4, 4));
    history.offer(Seq(5), one.clone(), &message("a/y", 5, 5));
    write(&history, at(5));
    assert_eq!((told(&history, "a/#").len(), told(&history, "b/#").len()), (1, 2));
    drop(history);
    let history = open(&[&one, &two]);
    // With another filter the rule may have what came under both.
    let wider = rule("two", "d");
    history.offer(Seq(6), wider.clone(), &message("d", 6, 6));
    write(&history, at(6));
    let both: (String, Vec<String>) = since(&["b/+/c", "d"]);
    assert_eq!(told(&history, "d")[0], both);
    assert_eq!(told(&history, "b/#").len(), 2);
    // Who goes on where it ended is told nothing twice.
    let page = history.page(&query("#")).unwrap();
    assert!(page.end && page.missing.len() == 3, "{page:?}");
    let next = history.page(&HistoryQuery { after: page.next, ..query("#") }).unwrap();
    assert_eq!((next.messages.len(), next.missing), (0, vec![]));
}
