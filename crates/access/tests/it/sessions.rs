//! How long a log-in lasts, and what ends it.

use crate::fakes::{ADMIN, HERE, Node, PASSWORD};
use andon_access::accounts::{AccountError, AccountsOptions};
use andon_model::Clock;
use andon_model::access::Role;
use std::sync::atomic::Ordering;
use std::time::Duration;

const MINUTE: Duration = Duration::from_secs(60);

/// Waits for a condition; a test that would wait for ever fails instead.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(Duration::from_secs(20), wait).await.expect("it never came true");
}

/// Waits until the store holds a call back.
async fn until_held(node: &Node) {
    until(|| node.records.held.load(Ordering::SeqCst) > 0).await;
}

#[tokio::test]
async fn a_session_ends_an_hour_after_the_last_request() {
    let (node, _, cookie) = Node::set_up().await;
    for _ in 0..3 {
        node.clock.advance(59 * MINUTE);
        assert!(node.accounts.session(cookie.reveal()).await.is_some());
    }
    node.clock.advance(60 * MINUTE);
    assert_eq!(node.accounts.session(cookie.reveal()).await, None);
}

#[tokio::test]
async fn a_request_counts_even_when_it_is_not_saved_yet() {
    let options = AccountsOptions { session_idle: MINUTE, ..AccountsOptions::default() };
    let node = Node::with(options).await;
    let code = node.accounts.new_setup_code().unwrap();
    let cookie = node.accounts.set_up(code.reveal(), ADMIN, PASSWORD, HERE).await.unwrap();
    for _ in 0..20 {
        node.clock.advance(MINUTE / 2);
        let session = node.accounts.session(cookie.reveal()).await.expect("used half a minute ago");
        assert_eq!(session.expires, node.clock.now().plus(MINUTE));
    }
    node.clock.advance(MINUTE);
    assert_eq!(node.accounts.session(cookie.reveal()).await, None);
}

#[tokio::test]
async fn a_session_ends_after_twelve_hours_however_busy() {
    let (node, _, cookie) = Node::set_up().await;
    let begin = node.clock.now();
    for _ in 0..23 {
        node.clock.advance(30 * MINUTE);
        let session = node.accounts.session(cookie.reveal()).await.expect("busy");
        assert!(session.expires <= begin.plus(12 * 60 * MINUTE));
    }
    node.clock.advance(30 * MINUTE);
    assert_eq!(node.accounts.session(cookie.reveal()).await, None);
}

#[tokio::test]
async fn a_session_lives_over_a_restart_and_a_foreign_cookie_does_not() {
    let (node, admin, cookie) = Node::set_up().await;
    node.clock.advance(30 * MINUTE);
    node.accounts.session(cookie.reveal()).await.expect("alive, and the time is saved");
    let node = node.restart().await;
    node.clock.advance(59 * MINUTE);
    assert_eq!(node.accounts.session(cookie.reveal()).await.map(|s| s.principal), Some(admin));
    assert_eq!(node.accounts.session("").await, None);
    assert_eq!(node.accounts.session(&"0".repeat(64)).await, None);
}

#[tokio::test]
async fn the_cookie_is_not_what_is_kept() {
    let (node, _, cookie) = Node::set_up().await;
    let kept = node.records.sessions();
    assert_eq!(kept.len(), 1);
    assert_ne!(andon_access::secret::hex(&kept[0].digest), cookie.reveal());
    assert_eq!(kept[0].digest, andon_access::secret::digest(cookie.reveal()));
}

#[tokio::test]
async fn logging_out_ends_the_session_here_and_in_the_store() {
    let (node, _, cookie) = Node::set_up().await;
    let other = node.accounts.log_in(ADMIN, PASSWORD, HERE).await.unwrap();
    node.accounts.log_out(cookie.reveal()).await.unwrap();
    assert_eq!(node.accounts.session(cookie.reveal()).await, None);
    assert!(node.accounts.session(other.reveal()).await.is_some(), "the other one goes on");
    assert_eq!(node.records.sessions().len(), 1);
    node.accounts.log_out("unknown").await.expect("nothing to do");
}

#[tokio::test]
async fn the_seventeenth_session_ends_the_one_not_used_for_longest() {
    let (node, _, first) = Node::set_up().await;
    let mut cookies = Vec::new();
    for _ in 0..15 {
        node.clock.advance(MINUTE / 4);
        cookies.push(node.accounts.log_in(ADMIN, PASSWORD, HERE).await.unwrap());
    }
    node.clock.advance(MINUTE / 4);
    assert!(
        node.accounts.session(first.reveal()).await.is_some(),
        "sixteen at a time are fine, and this one is used now"
    );
    node.accounts.log_in(ADMIN, PASSWORD, HERE).await.unwrap();
    assert_eq!(node.accounts.session(cookies[0].reveal()).await, None);
    assert!(node.accounts.session(first.reveal()).await.is_some());
    assert_eq!(node.records.sessions().len(), 16);
}

#[tokio::test]
async fn a_request_at_the_moment_of_the_end_does_not_bring_the_session_back() {
    let (node, admin, _) = Node::set_up().await;
    let eva = node.person(&admin, "Eva", Role::Viewer, "").await;
    let cookie = node.accounts.log_in("Eva", "a sentence of four words", HERE).await.unwrap();
    node.clock.advance(10 * MINUTE); // The next request wants to save when it was.
    node.records.holds_next.store(true, Ordering::SeqCst);
    let accounts = node.accounts.clone();
    let ending = tokio::spawn(async move { accounts.change_user(&admin, eva.id, Some(false), None, None).await });
    until_held(&node).await;
    let accounts = node.accounts.clone();
    let request = tokio::spawn(async move { accounts.session(cookie.reveal()).await });
    tokio::task::yield_now().await;
    node.records.gate.0.add_permits(1);
    ending.await.unwrap().unwrap();
    request.await.unwrap();
    assert!(node.records.sessions().iter().all(|s| s.user != eva.id), "the session is back in the store");
}

#[tokio::test]
async fn a_log_in_at_the_moment_of_disabling_does_not_undo_it() {
    let (node, admin, _) = Node::set_up().await;
    let eva = node.person(&admin, "Eva", Role::Viewer, "").await;
    node.records.holds_next.store(true, Ordering::SeqCst);
    let accounts = node.accounts.clone();
    let disabling = tokio::spawn(async move { accounts.change_user(&admin, eva.id, Some(false), None, None).await });
    until_held(&node).await;
    let mut log_in = Box::pin(node.accounts.log_in("Eva", "a sentence of four words", HERE));
    let early = tokio::time::timeout(Duration::from_millis(500), &mut log_in).await;
    assert!(early.is_err(), "it waits for its turn");
    node.records.gate.0.add_permits(1);
    disabling.await.unwrap().unwrap();
    assert!(matches!(log_in.await, Err(AccountError::WrongLogin)));
    assert!(!node.records.user(eva.id).unwrap().enabled, "the store has the person enabled again");
}

#[tokio::test]
async fn a_log_in_that_was_refused_at_the_last_moment_does_not_count_as_recorded() {
    let (node, admin, _) = Node::set_up().await;
    let eva = node.person(&admin, "Eva", Role::Viewer, "").await;
    node.records.holds_next.store(true, Ordering::SeqCst);
    let (accounts, by, id) = (node.accounts.clone(), admin.clone(), eva.id);
    let disabling = tokio::spawn(async move { accounts.change_user(&by, id, Some(false), None, None).await });
    until_held(&node).await;
    let right = "a sentence of four words";
    let mut log_in = Box::pin(node.accounts.log_in_once("Eva", right, HERE, "logged_in_by_sql"));
    let early = tokio::time::timeout(Duration::from_millis(500), &mut log_in).await;
    assert!(early.is_err(), "it waits for its turn");
    node.records.gate.0.add_permits(1);
    disabling.await.unwrap().unwrap();
    assert!(matches!(log_in.await, Err(AccountError::WrongLogin)));
    node.accounts.change_user(&admin, eva.id, Some(true), None, None).await.unwrap();
    node.accounts.log_in_once("Eva", right, HERE, "logged_in_by_sql").await.unwrap();
    assert_eq!(node.actions().iter().filter(|action| *action == "logged_in_by_sql").count(), 1);
}

#[tokio::test]
async fn what_is_saved_takes_effect_even_when_the_caller_has_gone() {
    let (node, admin, _) = Node::set_up().await;
    let (id, secret) = node.accounts.create_token(&admin, "report", Vec::new()).await.unwrap();
    node.records.holds_next.store(true, Ordering::SeqCst);
    let (accounts, by) = (node.accounts.clone(), admin.clone());
    let caller = tokio::spawn(async move { accounts.remove_token(&by, id).await });
    until_held(&node).await;
    caller.abort();
    assert!(caller.await.unwrap_err().is_cancelled());
    node.records.gate.0.add_permits(1);
    until(|| node.records.tokens() == 0).await;
    // The next change has its turn only after the revocation has taken effect.
    node.accounts.create_token(&admin, "other", Vec::new()).await.unwrap();
    assert_eq!(node.accounts.authenticate_token(secret.reveal()), None);
}

#[tokio::test]
async fn a_log_in_for_one_connection_leaves_no_session_and_ends_nobody_elses() {
    let (node, admin, cookie) = Node::set_up().await;
    let before = node.records.sessions().len();
    for _ in 0..40 {
        let who = node.accounts.log_in_once(ADMIN, PASSWORD, HERE, "logged_in_by_sql").await.unwrap();
        assert_eq!(who, admin);
    }
    assert_eq!(node.records.sessions().len(), before);
    assert!(node.accounts.session(cookie.reveal()).await.is_some(), "the browser is still logged in");
    let recorded = |node: &Node| node.actions().iter().filter(|action| *action == "logged_in_by_sql").count();
    assert_eq!(recorded(&node), 1, "a pool of connections does not fill the records");
    node.accounts.log_in_once(ADMIN, PASSWORD, "192.0.2.9", "logged_in_by_sql").await.unwrap();
    assert_eq!(recorded(&node), 2, "from another address");
    node.clock.advance(60 * MINUTE);
    node.accounts.log_in_once(ADMIN, PASSWORD, HERE, "logged_in_by_sql").await.unwrap();
    assert_eq!(recorded(&node), 3, "an hour later");
    assert_eq!(node.records.user(admin.id).unwrap().last_login, Some(node.clock.now()));
}

#[tokio::test]
async fn a_wrong_log_in_for_one_connection_is_recorded_and_waits_as_every_other() {
    let (node, admin, _) = Node::set_up().await;
    let eva = node.person(&admin, "Eva", Role::Viewer, "").await;
    for _ in 0..5 {
        let wrong = node.accounts.log_in_once("Eva", "not this one at all", HERE, "logged_in_by_sql").await;
        assert!(matches!(wrong, Err(AccountError::WrongLogin)), "{wrong:?}");
    }
    assert_eq!(node.actions().iter().filter(|action| *action == "login_refused").count(), 5);
    // The right password waits too, on this way and in the browser.
    let right = "a sentence of four words";
    let waits = node.accounts.log_in_once("Eva", right, HERE, "logged_in_by_sql").await;
    assert!(matches!(waits, Err(AccountError::Wait { .. })), "{waits:?}");
    assert!(matches!(node.accounts.log_in("Eva", right, HERE).await, Err(AccountError::Wait { .. })));
    node.clock.advance(MINUTE);
    assert_eq!(node.accounts.log_in_once("Eva", right, HERE, "logged_in_by_sql").await.unwrap(), eva);
    node.accounts.change_user(&admin, eva.id, Some(false), None, None).await.unwrap();
    let disabled = node.accounts.log_in_once("Eva", right, HERE, "logged_in_by_sql").await;
    assert!(matches!(disabled, Err(AccountError::WrongLogin)), "{disabled:?}");
}
