//! A start after a kill: what the lane has behind the snapshot is kept, and nothing of it twice.

use super::damage_tests::{begins, files, folder_in};
use super::tests::{all, at, message, query, write};
use super::*;

fn rule(name: &str, bytes: u64) -> Arc<Keep> {
    let filter = TopicFilter::parse("#").unwrap();
    Arc::new(Keep { rule: name.into(), filter, age: Duration::from_secs(3600), bytes })
}

fn open(dir: &Path, rules: &[&Arc<Keep>]) -> History {
    History::open(Some(dir), rules.iter().map(|keep| (*keep).clone()).collect(), at(0))
}

fn offer(history: &History, keep: &Arc<Keep>, numbers: impl IntoIterator<Item = u64>) {
    numbers.into_iter().for_each(|n| history.offer(Seq(n), keep.clone(), &message("a", n, n as i64)));
}

/// Replays places in the lane behind a snapshot; what is kept then.
fn replay(history: &History, keep: &Arc<Keep>, numbers: std::ops::RangeInclusive<u64>, durable: u64) -> Vec<u64> {
    history.begin_replay(Seq(numbers.start() - 1), Seq(durable));
    offer(history, keep, numbers);
    write(history, at(20));
    history.end_replay();
    all(history, query("a")).0
}

/// A run that kept the first `last` messages and ended.
fn earlier_run(dir: &Path, own: &Arc<Keep>, last: u64) {
    let history = open(dir, &[own]);
    offer(&history, own, 1..=last);
    write(&history, at(10));
}

#[test]
fn a_rule_that_came_after_the_snapshot_does_not_keep_again_what_another_has() {
    let folder = tempfile::tempdir().unwrap();
    let (old, new) = (rule("old", 64 << 20), rule("new", 64 << 20));
    let history = open(folder.path(), &[&old]);
    offer(&history, &old, 1..=6);
    write(&history, at(10));
    // These were in the line when the rule went and the kill came.
    offer(&history, &old, 7..=9);
    drop(history);
    let history = open(folder.path(), &[&new]);
    assert_eq!(replay(&history, &new, 3..=9, 9), (1..=9).collect::<Vec<_>>());
    assert_eq!(history.last_no(), 9);
    // Live, a place in the lane is a new one.
    offer(&history, &new, 10..=11);
    write(&history, at(20));
    assert_eq!(all(&history, query("a")).0, (1..=11).collect::<Vec<_>>());
}

#[test]
fn that_another_rule_has_later_ones_does_not_make_up_for_those_that_a_cut_took() {
    let folder = tempfile::tempdir().unwrap();
    let (one, other) = (rule("one", 64 << 20), rule("other", 64 << 20));
    let history = open(folder.path(), &[&one, &other]);
    // Messages 2 and 4 of the other rule were not on the disk yet.
    offer(&history, &one, [1, 3, 5]);
    write(&history, at(10));
    drop(history);
    let history = open(folder.path(), &[&one, &other]);
    history.begin_replay(Seq(0), Seq(5));
    (1..=5).for_each(|n| offer(&history, if n % 2 == 1 { &one } else { &other }, [n]));
    write(&history, at(20));
    let (mut numbers, _) = all(&history, query("a"));
    numbers.sort_unstable();
    assert_eq!(numbers, [1, 2, 3, 4, 5]);
}

#[test]
fn what_a_power_cut_took_out_of_the_middle_is_kept_again() {
    let folder = tempfile::tempdir().unwrap();
    let own = rule("own", 64 << 20);
    earlier_run(folder.path(), &own, 10);
    let file = files(&folder_in(folder.path()), ".log").remove(0);
    let mut bytes = std::fs::read(&file).unwrap();
    let begins = begins(&bytes);
    bytes[begins[3]..begins[6]].fill(0);
    std::fs::write(&file, bytes).unwrap();
    let history = open(folder.path(), &[&own]);
    assert_eq!(replay(&history, &own, 2..=10, 10), [1, 2, 3, 7, 8, 9, 10, 4, 5, 6]);
}

#[test]
fn what_was_let_go_is_not_kept_again() {
    let folder = tempfile::tempdir().unwrap();
    let own = rule("own", 64 << 20);
    let history = open(folder.path(), &[&own]);
    offer(&history, &own, 1..=5);
    write(&history, at(5));
    history.keep_house(at(400), Duration::ZERO);
    offer(&history, &own, 6..=7);
    write(&history, at(400));
    history.keep_house(at(3700), Duration::ZERO);
    assert_eq!(all(&history, query("a")).0, [0; 0]);
    offer(&history, &own, 8..=9);
    drop(history);
    let history = open(folder.path(), &[&own]);
    assert_eq!(replay(&history, &own, 1..=9, 9), [8, 9]);
}

#[test]
fn places_in_a_lane_that_was_taken_away_say_nothing_about_those_of_another() {
    let folder = tempfile::tempdir().unwrap();
    let own = rule("own", 64 << 20);
    earlier_run(folder.path(), &own, 9);
    let history = open(folder.path(), &[&own]);
    assert_eq!(replay(&history, &own, 1..=3, 3), [1, 2, 3, 4, 5, 6, 7, 8, 9, 1, 2, 3]);
}
