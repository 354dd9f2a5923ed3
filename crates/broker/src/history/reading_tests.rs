//! Reading while somebody writes and lets go.

use super::tests::{all, at, keep, message, query, with, write};
use super::*;
use std::sync::mpsc;
use std::thread;

#[test]
fn who_reads_does_not_wait_for_who_writes() {
    let folder = tempfile::tempdir().unwrap();
    let history = with(folder.path(), 64 << 20, at(0));
    (1..=5).for_each(|n| history.offer(Seq(n), keep(64 << 20), &message("a", n, n as i64)));
    write(&history, at(5));
    // As while the disk takes its time.
    let writing = lock(&history.stores);
    thread::scope(|scope| {
        let (done, is_done) = mpsc::channel();
        let history = &history;
        scope.spawn(move || {
            let read = all(history, query("a")).0;
            let after = history.before_the_last(&query("a"), 2).unwrap();
            history.set_rules(vec![keep(32 << 20)]);
            done.send((read, after, history.figures().bytes > 5000, history.is_any())).unwrap();
        });
        let got = is_done.recv_timeout(Duration::from_secs(20));
        drop(writing);
        assert_eq!(got.unwrap(), (vec![1, 2, 3, 4, 5], 3, true, true));
    });
}

#[test]
fn over_several_rules_messages_come_in_order_and_whole_while_they_are_written() {
    const ALL: u64 = 2000;
    let folder = tempfile::tempdir().unwrap();
    let filter = |name: &str| TopicFilter::parse(name).unwrap();
    let rule = |name: &str| {
        let (age, bytes) = (Duration::from_secs(3600), 64 << 20);
        Arc::new(Keep { rule: name.into(), filter: filter(&format!("{name}/#")), age, bytes })
    };
    let rules = ["a", "b", "c"].map(rule);
    let history = History::open(Some(folder.path()), rules.to_vec(), at(0));
    thread::scope(|scope| {
        let history = &history;
        scope.spawn(move || {
            for n in 1..=ALL {
                let rule = &rules[(n * n % 3 + n / 7 % 2) as usize];
                history.offer(Seq(n), rule.clone(), &message(&format!("{}/x", rule.rule), n, n as i64));
                if n % 11 == 0 || n == ALL {
                    let Taken { waiting, lost, last_no } = history.take();
                    history.write(waiting.into(), lost, last_no, false, at(n as i64));
                }
            }
        });
        let (mut numbers, mut after) = (Vec::new(), 0);
        while numbers.len() < ALL as usize {
            let page = history.page(&HistoryQuery { after, limit: 500, ..query("#") }).unwrap();
            assert!(page.next >= after);
            after = page.next;
            numbers.extend(page.messages.iter().map(|kept| kept.no));
            assert!(numbers.last().is_none_or(|last| *last <= after));
            if after == ALL {
                break;
            }
        }
        assert_eq!(numbers, (1..=ALL).collect::<Vec<_>>());
    });
}

#[test]
fn what_is_let_go_while_it_is_read_is_no_damage() {
    const ALL: u64 = 3000;
    let folder = tempfile::tempdir().unwrap();
    let bound = 1 << 20;
    let history = with(folder.path(), bound, at(0));
    thread::scope(|scope| {
        let history = &history;
        let writer = scope.spawn(move || {
            for n in 1..=ALL {
                history.offer(Seq(n), keep(bound), &message("a", n, 1));
                if n % 20 == 0 {
                    write(history, at(1));
                    history.keep_house(at(1), Duration::ZERO);
                }
            }
        });
        let mut looked = 0;
        while !writer.is_finished() || looked < 20 {
            looked += 1;
            let (numbers, missing) = all(history, query("a"));
            assert!(numbers.is_sorted());
            assert!(missing.iter().all(|missing| missing.why != "damaged on the disk"), "{missing:?}");
        }
    });
    let (numbers, _) = all(&history, query("a"));
    assert_eq!(numbers, (*numbers.first().unwrap()..=ALL).collect::<Vec<_>>());
}
