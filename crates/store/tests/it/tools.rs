//! Tools: what is asked twice is done once, a tool is on one machine at a time, lives begin anew, and what was told is told once.

use crate::fakes::{Base, note, on_both};
use andon_model::Timestamp;
use andon_model::event::Event;
use andon_store::logbook::Key;
use andon_store::tools::{ToolDeed, ToolLife, ToolRepository, ToolSpan, ToolStep, ToolTold, ToolWrite, ToolWritten};
use andon_store::{OutboxRepository, Store};
use proptest::prelude::*;
use proptest::test_runner::TestRunner;
use std::sync::atomic::{AtomicU64, Ordering};
use uuid::Uuid;

on_both! {
    a_tool_is_on_one_machine_at_a_time_and_what_is_asked_twice_is_done_once
    a_mounting_is_put_right_and_what_stood_there_stays
    a_renewal_begins_a_life_of_which_nothing_is_used_or_told
    what_is_told_is_told_once_with_its_event
    whatever_people_do_no_two_mountings_of_a_tool_overlap
}

/// One that no other is.
fn event() -> Event {
    static LAST: AtomicU64 = AtomicU64::new(1);
    note(u128::from(LAST.fetch_add(1, Ordering::Relaxed)), "works")
}

fn us(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

async fn ask(store: &Store, request: u128, tool: &str, at: i64, step: ToolStep) -> ToolWritten {
    let write = ToolWrite {
        key: Key { key: Uuid::from_u128(request), content: [7; 32] },
        tool: tool.to_owned(),
        step,
        at: us(at),
        by: Uuid::from_u128(5),
        reason: "worn".to_owned(),
        event: event(),
    };
    store.tool_write(write).await.unwrap()
}

fn mount(machine: &str, from: Option<i64>, to: Option<i64>) -> ToolStep {
    ToolStep::Mount { machine: machine.to_owned(), from: from.map(us), to: to.map(us) }
}

fn unmount(machine: &str, at: Option<i64>) -> ToolStep {
    ToolStep::Unmount { machine: machine.to_owned(), at: at.map(us) }
}

async fn life(store: &Store, tool: &str) -> ToolLife {
    store.tool_lives(vec![tool.to_owned()]).await.unwrap().remove(0)
}

/// The newest first: the machine, from when, until when.
async fn spans(store: &Store, tool: &str) -> Vec<(String, i64, Option<i64>)> {
    let all = store.tool_spans(tool).await.unwrap().into_iter();
    all.map(|span| (span.machine, span.from.micros(), span.to.map(Timestamp::micros))).collect()
}

fn was(machine: &str, from: i64, to: Option<i64>) -> (String, i64, Option<i64>) {
    (machine.to_owned(), from, to)
}

async fn a_tool_is_on_one_machine_at_a_time_and_what_is_asked_twice_is_done_once(base: Base) {
    let store = base.open().await;
    assert_eq!(ask(&store, 1, "M", 10, unmount("press", None)).await, ToolWritten::NotMounted);
    assert_eq!(ask(&store, 1, "M", 10, mount("press", None, None)).await, ToolWritten::Now);
    assert_eq!(ask(&store, 1, "M", 10, mount("press", None, None)).await, ToolWritten::Before, "the same key");
    let other = ToolWrite {
        key: Key { key: Uuid::from_u128(1), content: [8; 32] },
        tool: "M".to_owned(),
        step: unmount("press", None),
        at: us(11),
        by: Uuid::from_u128(5),
        reason: String::new(),
        event: event(),
    };
    assert_eq!(store.tool_write(other).await.unwrap(), ToolWritten::KeyUsed);
    assert_eq!(ask(&store, 2, "M", 12, mount("press", None, None)).await, ToolWritten::Before, "it is there");
    let elsewhere = ask(&store, 3, "M", 12, mount("oven", None, None)).await;
    assert!(matches!(elsewhere, ToolWritten::Elsewhere(span) if span.machine == "press" && span.from == us(10)));
    // Another tool on the same machine is none of its business.
    assert_eq!(ask(&store, 4, "N", 12, mount("press", None, None)).await, ToolWritten::Now);
    let mounted = |all: Vec<ToolSpan>| all.into_iter().map(|span| span.tool).collect::<Vec<_>>();
    assert_eq!(mounted(store.tool_mounted("press").await.unwrap()), ["M", "N"]);
    let somebody_else = ask(&store, 5, "M", 20, unmount("oven", None)).await;
    assert!(matches!(somebody_else, ToolWritten::Elsewhere(span) if span.machine == "press"), "it stays there");
    assert_eq!(ask(&store, 6, "M", 20, unmount("press", Some(9))).await, ToolWritten::Unfit);
    assert_eq!(ask(&store, 7, "M", 20, unmount("press", None)).await, ToolWritten::Now);
    assert_eq!(ask(&store, 2, "M", 21, mount("press", None, None)).await, ToolWritten::Before, "it was there then");
    assert_eq!(mounted(store.tool_mounted("").await.unwrap()), ["N"], "and does nothing later");
    // The clock was set back: it comes where it ended.
    assert_eq!(ask(&store, 8, "M", 15, mount("oven", None, None)).await, ToolWritten::Now);
    assert_eq!(ask(&store, 9, "M", 30, unmount("oven", Some(25))).await, ToolWritten::Now);
    let overlaps = ask(&store, 10, "M", 30, mount("mill", Some(24), None)).await;
    assert!(matches!(overlaps, ToolWritten::Overlaps(span) if span.machine == "oven"));
    // One that is over, before the others.
    let overlaps = ask(&store, 11, "M", 30, mount("mill", Some(5), Some(11))).await;
    assert!(matches!(overlaps, ToolWritten::Overlaps(span) if span.machine == "press"));
    assert_eq!(ask(&store, 12, "M", 30, mount("mill", Some(5), Some(5))).await, ToolWritten::Unfit);
    assert_eq!(ask(&store, 13, "M", 30, mount("mill", Some(5), Some(10))).await, ToolWritten::Now);
    let wanted = [was("oven", 20, Some(25)), was("press", 10, Some(20)), was("mill", 5, Some(10))];
    assert_eq!(spans(&store, "M").await, wanted);
    let deeds: Vec<ToolDeed> = store.tool_entries("M").await.unwrap().iter().map(|entry| entry.deed).collect();
    let (m, u) = (ToolDeed::Mount, ToolDeed::Unmount);
    assert_eq!(deeds, [m, u, m, u, m], "what was refused is none");
    assert_eq!(store.outbox_pending(99).await.unwrap().len(), 6, "each that was done, with its event");
    assert_eq!(store.tool_names("", 9).await.unwrap(), ["M", "N"]);
    assert_eq!(store.tool_names("M", 9).await.unwrap(), ["N"]);
}

async fn a_mounting_is_put_right_and_what_stood_there_stays(base: Base) {
    let store = base.open().await;
    let correct = |span, from, to: Option<i64>| ToolStep::Correct { span, from: us(from), to: to.map(us) };
    ask(&store, 1, "M", 10, mount("press", None, None)).await;
    ask(&store, 2, "M", 20, unmount("press", None)).await;
    ask(&store, 3, "M", 30, mount("oven", None, None)).await;
    ask(&store, 4, "N", 30, mount("oven", None, None)).await;
    let overlaps = ask(&store, 5, "M", 40, correct(1, 10, Some(31))).await;
    assert!(matches!(overlaps, ToolWritten::Overlaps(span) if span.number == 2));
    assert_eq!(ask(&store, 6, "M", 40, correct(1, 10, None)).await, ToolWritten::Unfit, "it has ended");
    assert_eq!(ask(&store, 7, "M", 40, correct(1, 10, Some(10))).await, ToolWritten::Unfit);
    assert_eq!(ask(&store, 8, "M", 40, correct(3, 1, Some(2))).await, ToolWritten::NoSpan, "that is the other's");
    assert_eq!(ask(&store, 9, "M", 40, correct(1, 5, Some(30))).await, ToolWritten::Now);
    assert_eq!(ask(&store, 10, "M", 40, correct(2, 31, None)).await, ToolWritten::Now, "it lasts");
    assert_eq!(spans(&store, "M").await, [was("oven", 31, None), was("press", 5, Some(30))]);
    let entries = store.tool_entries("M").await.unwrap();
    let kept: Vec<_> = entries.iter().filter_map(|entry| Some((entry.span?, entry.was?))).collect();
    assert_eq!(kept, [(2, (us(30), None)), (1, (us(10), Some(us(20))))]);
    let machine = async |tool: &str, number| store.tool_span(tool, number).await.unwrap().map(|span| span.machine);
    assert_eq!((machine("M", 1).await.as_deref(), machine("N", 1).await), (Some("press"), None));
}

async fn a_renewal_begins_a_life_of_which_nothing_is_used_or_told(base: Base) {
    let store = base.open().await;
    let used = |cycles, run_time| ToolStep::Used { cycles, run_time };
    assert_eq!(life(&store, "M").await, ToolLife::default());
    ask(&store, 1, "M", 10, mount("press", None, None)).await;
    ask(&store, 2, "M", 20, unmount("press", None)).await;
    ask(&store, 3, "M", 21, used(Some(5_000_000), None)).await;
    ask(&store, 4, "M", 22, used(None, Some(9))).await;
    ask(&store, 5, "M", 23, used(Some(4_000_000), None)).await;
    let told = ToolTold { tool: "M".to_owned(), renewal: 0, level: "warn".to_owned(), reached: 9, at: us(24) };
    assert!(store.tool_tell(told.clone(), event()).await.unwrap());
    let first = life(&store, "M").await;
    assert_eq!((first.cycles, first.run_time, first.renewals, first.since), (4_000_000, 9, 0, None));
    assert_eq!((first.spans.len(), first.told), (1, vec![told]));
    ask(&store, 6, "M", 30, mount("oven", None, None)).await;
    assert_eq!(ask(&store, 7, "M", 40, ToolStep::Renew).await, ToolWritten::Now);
    let second = life(&store, "M").await;
    assert_eq!((second.cycles, second.run_time, second.told.len()), (0, 0, 0));
    assert_eq!((second.renewals, second.since), (1, Some(us(40))));
    let there: Vec<_> = second.spans.iter().map(|span| &*span.machine).collect();
    assert_eq!((there, second.mounted().map(|span| span.from)), (vec!["oven"], Some(us(30))), "it stays mounted");
    ask(&store, 8, "M", 41, used(Some(1), None)).await;
    // A clock that was set back makes no life end before it began.
    ask(&store, 9, "M", 35, ToolStep::Renew).await;
    let third = life(&store, "M").await;
    assert_eq!((third.renewals, third.since, third.cycles), (2, Some(us(40)), 0));
    let renewals = store.tool_renewals("M").await.unwrap();
    let renewals: Vec<_> = renewals.iter().map(|renewal| (renewal.renewal, &*renewal.reason)).collect();
    assert_eq!(renewals, [(2, "worn"), (1, "worn")]);
    // Many at once, in their order, and one that nobody knows.
    let lives = store.tool_lives(vec!["N".to_owned(), "M".to_owned()]).await.unwrap();
    assert_eq!(lives, [ToolLife::default(), third]);
}

async fn what_is_told_is_told_once_with_its_event(base: Base) {
    let store = base.open().await;
    let told = |level: &str, reached| ToolTold {
        tool: "M".to_owned(),
        renewal: 0,
        level: level.to_owned(),
        reached,
        at: us(1),
    };
    assert!(store.tool_tell(told("warn", 90), event()).await.unwrap());
    assert!(!store.tool_tell(told("warn", 90), event()).await.unwrap());
    assert_eq!(store.outbox_pending(9).await.unwrap().len(), 1);
    store.close().await.unwrap();
    drop(store);
    let store = base.open().await;
    assert!(!store.tool_tell(told("warn", 90), event()).await.unwrap(), "also after a restart");
    assert!(store.tool_tell(told("end", 100), event()).await.unwrap());
    assert!(store.tool_tell(told("warn", 80), event()).await.unwrap(), "another life by the documents");
    assert_eq!(store.outbox_pending(9).await.unwrap().len(), 3);
    assert_eq!(life(&store, "M").await.told.len(), 3);
    // It was looked at, and renewed before it was told.
    ask(&store, 1, "M", 30, ToolStep::Renew).await;
    assert!(!store.tool_tell(told("end", 110), event()).await.unwrap(), "that is of the life before");
    let of_this_life = ToolTold { renewal: 1, ..told("end", 110) };
    assert!(store.tool_tell(of_this_life, event()).await.unwrap());
}

/// What people do: with which tool, where, when (the clock may go back), and what.
fn deeds() -> impl Strategy<Value = Vec<(u8, u8, i64, u8)>> {
    proptest::collection::vec((0_u8..2, 0_u8..3, 0_i64..2_000, 0_u8..7), 1..40)
}

/// One store for all cases, for a database takes its time to come about: each case has tools and requests of its own.
async fn whatever_people_do_no_two_mountings_of_a_tool_overlap(base: Base) {
    let store = base.open().await;
    let (runtime, cases, mounted) = (tokio::runtime::Handle::current(), AtomicU64::new(0), AtomicU64::new(0));
    let config = ProptestConfig { cases: 24, failure_persistence: None, ..ProptestConfig::default() };
    let run = TestRunner::new(config).run(&deeds(), |deeds| {
        let case = cases.fetch_add(1, Ordering::Relaxed);
        for all in tokio::task::block_in_place(|| runtime.block_on(done(&store, case, deeds))) {
            mounted.fetch_add(all.len() as u64, Ordering::Relaxed);
            for a in &all {
                let end = |span: &ToolSpan| span.to.unwrap_or(us(i64::MAX));
                prop_assert!(a.from <= end(a));
                for b in all.iter().filter(|b| b.number != a.number) {
                    prop_assert!(end(a) <= b.from || end(b) <= a.from, "{a:?} and {b:?}");
                }
            }
        }
        Ok(())
    });
    run.unwrap();
    assert!(cases.into_inner() >= 24 && mounted.into_inner() > 24);
}

/// What people did, and all mountings of each tool then.
async fn done(store: &Store, case: u64, deeds: Vec<(u8, u8, i64, u8)>) -> Vec<Vec<ToolSpan>> {
    let name = |tool: u8| format!("{case}-{tool}");
    for (request, (tool, place, at, deed)) in (1 + u128::from(case) * 1_000..).zip(deeds) {
        let machine = format!("press{place}");
        let known = store.tool_spans(&name(tool)).await.unwrap();
        let step = match deed {
            0 | 1 => mount(&machine, None, None),
            2 => mount(&machine, Some(at - 100), Some(at)),
            3 => ToolStep::Renew,
            4 => unmount(known.first().map_or("", |span| &span.machine), (place > 0).then_some(at)),
            _ => {
                let Some(span) = known.get(usize::from(place)) else { continue };
                let to = (at % 3 > 0).then(|| us(at + i64::from(place) * 100));
                ToolStep::Correct { span: span.number, from: us(at - 50), to }
            }
        };
        ask(store, request, &name(tool), at, step).await;
    }
    let mut all = Vec::new();
    for tool in 0..2 {
        all.push(store.tool_spans(&name(tool)).await.unwrap());
    }
    all
}
