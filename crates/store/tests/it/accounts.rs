//! People, tokens, devices, log-ins, codes.

use crate::fakes::{Base, note, on_both};
use andon_model::Timestamp;
use andon_model::access::{Grant, Role};
use andon_store::repository::{AccountChange as C, Accounts, Code, Device, Session, Token, User};
use andon_store::{AccountRepository, OutboxRepository, StoreError};
use uuid::Uuid;

on_both! {
    what_stands_in_for_names_that_there_are_not_stays_and_is_another_in_each_store
    every_account_comes_back_as_it_was_put
    a_name_is_unique_without_regard_to_case_and_a_refused_change_leaves_nothing_behind
    a_removed_person_is_erased_with_name_sessions_and_links
    removing_what_is_not_there_says_so
    a_device_has_its_user_and_its_client_id_for_itself
    a_code_is_good_once_for_its_purpose_and_in_its_time
    what_has_expired_can_be_swept_out
}

fn at(seconds: i64) -> Timestamp {
    Timestamp::from_millis(seconds * 1000)
}

fn user(number: u128, name: &str) -> User {
    User {
        id: Uuid::from_u128(number),
        name: name.into(),
        password_hash: "$argon2id$…".into(),
        enabled: true,
        grants: vec![Grant { role: Role::Operator, branch: "press".into() }],
        created: at(1),
        last_login: None,
    }
}

fn session(number: u8, user: u128) -> Session {
    Session { id_sha256: [number; 32], user: Uuid::from_u128(user), created: at(1), last_seen: at(2), expires: at(100) }
}

fn code(number: u8, user: Option<u128>) -> Code {
    let user = user.map(Uuid::from_u128);
    Code { code_sha256: [number; 32], purpose: "login".into(), user, expires: at(100), used: None }
}

fn device(number: u128, user: &str, client_id: Option<&str>) -> Device {
    Device {
        id: Uuid::from_u128(number),
        user: user.into(),
        secret_sha256: [7; 32],
        scram: client_id.map(|id| format!("a verifier of {id}")),
        client_id: client_id.map(Into::into),
        certificate: client_id.map(|id| format!("{id}.works.example")),
        certificate_der: client_id.map(|id| id.as_bytes().to_vec()),
        branch: Some("press".into()),
        publish: vec!["press/#".into()],
        subscribe: vec![],
        enabled: true,
        created: at(1),
    }
}

fn use_code(number: u8, seconds: i64) -> Vec<C> {
    vec![C::UseCode { code_sha256: [number; 32], purpose: "login".into(), at: at(seconds) }]
}

async fn every_account_comes_back_as_it_was_put(base: Base) {
    let store = base.open().await;
    let token = Token {
        id: Uuid::from_u128(3),
        name: "reports".into(),
        secret_sha256: [3; 32],
        grants: vec![Grant { role: Role::Viewer, branch: String::new() }],
        created: at(1),
        revoked: Some(at(3)),
        last_used: Some(at(2)),
    };
    let wanted = Accounts {
        users: vec![user(1, "Ann"), User { last_login: Some(at(9)), enabled: false, ..user(2, "Öhm") }],
        tokens: vec![token.clone()],
        devices: vec![device(4, "pump", Some("pump-1"))],
        sessions: vec![session(5, 1)],
        codes: vec![code(6, Some(1)), code(7, None)],
        nobody: store.accounts().await.unwrap().nobody,
    };
    let changes = vec![
        C::PutUser(user(1, "Ann")),
        C::PutUser(wanted.users[1].clone()),
        C::PutToken(token),
        C::PutDevice(wanted.devices[0].clone()),
        C::PutSession(session(5, 1)),
        C::PutCode(code(6, Some(1))),
        C::PutCode(code(7, None)),
    ];
    store.change_accounts(changes.clone(), Some(note(1, ""))).await.unwrap();
    assert_eq!(store.accounts().await.unwrap(), wanted);
    assert_eq!(store.outbox_pending(9).await.unwrap(), [note(1, "")]);
    // A second put replaces; codes are made once.
    store.change_accounts(changes[..5].to_vec(), None).await.unwrap();
    assert_eq!(store.accounts().await.unwrap(), wanted);
}

async fn what_stands_in_for_names_that_there_are_not_stays_and_is_another_in_each_store(base: Base) {
    let store = base.open().await;
    let nobody = store.accounts().await.unwrap().nobody;
    store.close().await.unwrap();
    assert_eq!(base.open().await.accounts().await.unwrap().nobody, nobody);
    assert_ne!(base.other().await.open().await.accounts().await.unwrap().nobody, nobody);
}

async fn a_name_is_unique_without_regard_to_case_and_a_refused_change_leaves_nothing_behind(base: Base) {
    let store = base.open().await;
    store.change_accounts(vec![C::PutUser(user(1, "Ömer"))], None).await.unwrap();
    let changes = vec![C::PutUser(user(2, "Zoe")), C::PutUser(user(3, "öMER"))];
    let refused = store.change_accounts(changes, Some(note(1, ""))).await.unwrap_err();
    assert!(matches!(&refused, StoreError::Taken { what: "user", name } if name == "öMER"), "{refused}");
    assert_eq!(store.accounts().await.unwrap().users.len(), 1);
    assert!(store.outbox_pending(9).await.unwrap().is_empty(), "no event of a change that was not made");
    // Writing one's own name differently is allowed.
    store.change_accounts(vec![C::PutUser(user(1, "ömer"))], None).await.unwrap();
}

async fn a_removed_person_is_erased_with_name_sessions_and_links(base: Base) {
    let store = base.open().await;
    let name = "Wilhelmina-Unforgettable";
    let all = vec![C::PutUser(user(1, name)), C::PutSession(session(1, 1)), C::PutCode(code(1, Some(1)))];
    store.change_accounts(all, None).await.unwrap();
    store.change_accounts(vec![C::RemoveUser(Uuid::from_u128(1))], None).await.unwrap();
    let left = store.accounts().await.unwrap();
    assert_eq!(left, Accounts { nobody: left.nobody, ..Accounts::default() });
    store.close().await.unwrap();
    drop(store);
    // What a server does with its files is its own matter.
    let Base::File(folder) = base else { return };
    let bytes = std::fs::read(folder.path().join("store.db")).unwrap();
    assert!(!bytes.windows(name.len()).any(|window| window == name.as_bytes()));
}

async fn removing_what_is_not_there_says_so(base: Base) {
    let store = base.open().await;
    let id = Uuid::from_u128(9);
    for change in [C::RemoveUser(id), C::RemoveToken(id), C::RemoveDevice(id), C::PutSession(session(1, 9))] {
        let refused = store.change_accounts(vec![change.clone()], None).await.unwrap_err();
        assert!(matches!(refused, StoreError::Missing { id: found, .. } if found == id), "{change:?}: {refused}");
    }
}

async fn a_device_has_its_user_and_its_client_id_for_itself(base: Base) {
    let store = base.open().await;
    let first = vec![C::PutDevice(device(1, "pump", Some("c"))), C::PutDevice(device(2, "fan", None))];
    store.change_accounts(first, None).await.unwrap();
    store.change_accounts(vec![C::PutDevice(device(3, "lamp", None))], None).await.unwrap();
    for taken in [device(4, "pump", None), device(4, "door", Some("c"))] {
        let refused = store.change_accounts(vec![C::PutDevice(taken)], None).await.unwrap_err();
        assert!(matches!(refused, StoreError::Taken { .. }), "{refused}");
    }
}

async fn a_code_is_good_once_for_its_purpose_and_in_its_time(base: Base) {
    let store = base.open().await;
    let codes = vec![C::PutUser(user(1, "Ann")), C::PutCode(code(1, Some(1))), C::PutCode(code(2, Some(1)))];
    store.change_accounts(codes, None).await.unwrap();
    let wrong = vec![C::UseCode { code_sha256: [1; 32], purpose: "setup".into(), at: at(50) }];
    let mut late = use_code(2, 100);
    late.insert(0, C::PutSession(session(1, 1)));
    for bad in [wrong, late, use_code(3, 50)] {
        assert!(matches!(store.change_accounts(bad, None).await, Err(StoreError::BadCode)));
    }
    assert!(store.accounts().await.unwrap().sessions.is_empty(), "what stood beside a bad code was not done");
    let (a, b) =
        tokio::join!(store.change_accounts(use_code(1, 50), None), store.change_accounts(use_code(1, 50), None));
    assert!(a.is_ok() != b.is_ok(), "of two at the same time one gets in");
}

async fn what_has_expired_can_be_swept_out(base: Base) {
    let store = base.open().await;
    let young = Session { expires: at(300), ..session(2, 1) };
    let all = vec![
        C::PutUser(user(1, "Ann")),
        C::PutSession(session(1, 1)),
        C::PutSession(young.clone()),
        C::PutCode(code(1, None)),
    ];
    store.change_accounts(all, None).await.unwrap();
    store.change_accounts(vec![C::RemoveExpired(at(200))], None).await.unwrap();
    let left = store.accounts().await.unwrap();
    assert_eq!((left.sessions, left.codes), (vec![young], vec![]));
    store.change_accounts(vec![C::RemoveSession([2; 32])], None).await.unwrap();
    assert!(store.accounts().await.unwrap().sessions.is_empty());
}
