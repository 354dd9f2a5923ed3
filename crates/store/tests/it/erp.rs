//! What was heard from an ERP is known again, within bounds.

use crate::fakes::{Base, on_both};
use andon_model::Timestamp;
use andon_store::erp::{ErpRepository, HeardMessage, LATEST_FOR, MESSAGES_FOR, MOST_ANSWER, MOST_BYTES, MOST_MESSAGES};
use std::collections::HashMap;

on_both! {
    what_was_heard_is_known_and_never_becomes_older
    many_things_are_remembered_with_one_message
    what_is_old_is_forgotten
    beyond_a_number_and_beyond_a_size_the_oldest_go
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn heard(key: [u8; 32], answer: &str) -> Option<HeardMessage> {
    Some(HeardMessage { key, content: [7; 32], answer: answer.to_owned() })
}

fn order(created: i64) -> Vec<(String, Timestamp)> {
    vec![("order:4711".to_owned(), at(created))]
}

async fn what_was_heard_is_known_and_never_becomes_older(base: Base) {
    let store = base.open().await;
    store.erp_remember(heard([1; 32], "<a/>"), order(50), at(100)).await.unwrap();
    store.erp_remember(None, order(40), at(101)).await.unwrap();
    let asked = || vec!["order:4711".to_owned(), "order:4712".to_owned()];
    assert_eq!(store.erp_latest(asked()).await.unwrap(), HashMap::from([("order:4711".to_owned(), at(50))]));
    // Both times in one message, whichever stands first.
    store.erp_remember(None, [order(60), order(55)].concat(), at(102)).await.unwrap();
    assert_eq!(store.erp_latest(asked()).await.unwrap(), HashMap::from([("order:4711".to_owned(), at(60))]));
    // The first answer stands.
    store.erp_remember(heard([1; 32], "<b/>"), Vec::new(), at(102)).await.unwrap();
    store.close().await.unwrap();
    let store = base.open().await;
    assert_eq!(store.erp_message([1; 32]).await.unwrap(), heard([1; 32], "<a/>"));
    // Too long an answer is not remembered, and how new its message was is.
    store.erp_remember(heard([2; 32], &"x".repeat(MOST_ANSWER + 1)), order(70), at(103)).await.unwrap();
    assert_eq!(store.erp_message([2; 32]).await.unwrap(), None);
    assert_eq!(store.erp_latest(asked()).await.unwrap(), HashMap::from([("order:4711".to_owned(), at(70))]));
}

async fn many_things_are_remembered_with_one_message(base: Base) {
    let store = base.open().await;
    let latest: Vec<_> = (0..1_201).map(|number| (format!("order:{number}"), at(number))).collect();
    store.erp_remember(None, latest.clone(), at(2_000)).await.unwrap();
    let subjects = latest.iter().map(|(subject, _)| subject.clone()).collect();
    assert_eq!(store.erp_latest(subjects).await.unwrap(), latest.into_iter().collect());
}

async fn what_is_old_is_forgotten(base: Base) {
    let store = base.open().await;
    store.erp_remember(heard([1; 32], "<a/>"), order(50), at(100)).await.unwrap();
    let known = async || {
        let latest = store.erp_latest(vec!["order:4711".to_owned()]).await.unwrap();
        (store.erp_message([1; 32]).await.unwrap().is_some(), !latest.is_empty())
    };
    for (seconds, expected) in [(100, (true, true)), (101, (false, true))] {
        store.erp_remember(None, Vec::new(), at(seconds).plus(MESSAGES_FOR)).await.unwrap();
        assert_eq!(known().await, expected, "after {seconds} s and the time of messages");
    }
    for (seconds, expected) in [(100, (false, true)), (101, (false, false))] {
        store.erp_remember(None, Vec::new(), at(seconds).plus(LATEST_FOR)).await.unwrap();
        assert_eq!(known().await, expected, "after {seconds} s and the time of things");
    }
}

async fn beyond_a_number_and_beyond_a_size_the_oldest_go(base: Base) {
    let store = base.open().await;
    // As many as are remembered, past the store; the key of each is its number.
    let fill = match &base {
        Base::File(_) => {
            "INSERT INTO erp_message (number, key, content, at, bytes, answer) WITH RECURSIVE n (x) AS (SELECT 1 UNION ALL SELECT x + 1 FROM n \
             WHERE x < 10000) SELECT x, CAST(printf('%032d', x) AS BLOB), zeroblob(32), 0, 0, '' FROM n RETURNING answer"
        }
        Base::Server(_) => {
            "INSERT INTO erp_message (number, key, content, at, bytes, answer) SELECT x, convert_to(lpad(x::text, 32, '0'), 'UTF8'), \
             decode(repeat('00', 32), 'hex'), 0, 0, '' FROM generate_series(1, 10000) AS x RETURNING answer"
        }
    };
    assert_eq!(base.texts(fill).await.len(), MOST_MESSAGES as usize);
    let known = async |number: u32| {
        let key = format!("{number:032}").into_bytes().try_into().unwrap();
        store.erp_message(key).await.unwrap().is_some()
    };
    assert!(known(1).await);
    store.erp_remember(heard([1; 32], "xx"), Vec::new(), at(0)).await.unwrap();
    assert_eq!((known(1).await, known(2).await), (false, true), "one more has come");
    // The newest two are as large as may be remembered; then one that is older is a byte large.
    assert_eq!(MOST_BYTES, 268_435_456);
    base.texts("UPDATE erp_message SET bytes = 268435454 WHERE number = 10000 RETURNING answer").await;
    store.erp_remember(None, Vec::new(), at(0)).await.unwrap();
    assert_eq!((known(2).await, known(10_000).await), (true, true), "nothing is beyond a bound");
    base.texts("UPDATE erp_message SET bytes = 1 WHERE number = 5000 RETURNING answer").await;
    store.erp_remember(None, Vec::new(), at(0)).await.unwrap();
    assert_eq!((known(2).await, known(5_000).await, known(5_001).await), (false, false, true));
    assert!(store.erp_message([1; 32]).await.unwrap().is_some(), "the newest stays");
}
