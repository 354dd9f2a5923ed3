//! What people, tokens and devices may do, how that ends, and what is recorded of it.

use crate::fakes::{ADMIN, HERE, Node, PASSWORD, grant};
use andon_access::accounts::{AccountError, AccountsOptions, LOCAL};
use andon_access::certificate::Certificate;
use andon_access::records::{AccountRecords as _, Change};
use andon_access::{DeviceCertificate, DeviceChange, NewDevice};
use andon_model::access::{Action, Principal, PrincipalKind, Role};

const EVA_PASSWORD: &str = "a sentence of four words";

#[tokio::test]
async fn disabling_or_removing_a_person_ends_sessions_and_rights_at_once() {
    let (node, admin, _) = Node::set_up().await;
    let eva = node.person(&admin, "Eva", Role::Operator, "works/line1").await;
    for removed in [false, true] {
        let cookie = node.accounts.log_in("Eva", EVA_PASSWORD, HERE).await.unwrap();
        assert!(node.may(&eva, Action::Operate, "works/line1/filler/speed"));
        if removed {
            node.accounts.remove_user(&admin, eva.id).await.unwrap();
        } else {
            node.accounts.change_user(&admin, eva.id, Some(false), None, None).await.unwrap();
        }
        assert!(!node.may(&eva, Action::View, "works/line1"));
        assert_eq!(node.accounts.session(cookie.reveal()).await, None);
        let restarted = node.restart().await;
        assert_eq!(restarted.accounts.session(cookie.reveal()).await, None);
        assert!(!restarted.may(&eva, Action::View, "works/line1"));
        if !removed {
            node.accounts.change_user(&admin, eva.id, Some(true), None, None).await.unwrap();
            assert_eq!(node.accounts.session(cookie.reveal()).await, None, "enabling brings no old session back");
        }
    }
    assert_eq!(node.accounts.name_of(eva.id), None, "the name is erased");
    assert!(matches!(node.accounts.log_in("Eva", EVA_PASSWORD, HERE).await, Err(AccountError::WrongLogin)));
}

#[tokio::test]
async fn other_grants_and_a_new_password_hold_from_the_next_question_on() {
    let (node, admin, _) = Node::set_up().await;
    let eva = node.person(&admin, "Eva", Role::Engineer, "works").await;
    let cookie = node.accounts.log_in("Eva", EVA_PASSWORD, HERE).await.unwrap();
    node.accounts.change_user(&admin, eva.id, None, Some(vec![grant(Role::Viewer, "works")]), None).await.unwrap();
    assert!(node.may(&eva, Action::View, "works/line1") && !node.may(&eva, Action::Operate, "works/line1"));
    assert!(node.accounts.session(cookie.reveal()).await.is_some(), "other rights do not end the session");
    node.accounts.change_user(&admin, eva.id, None, None, Some("another long sentence")).await.unwrap();
    assert_eq!(node.accounts.session(cookie.reveal()).await, None, "a new password does");
}

#[tokio::test]
async fn the_last_administrator_cannot_be_removed_disabled_or_demoted() {
    let (node, admin, _) = Node::set_up().await;
    let stays = |result: Result<(), AccountError>| matches!(result, Err(AccountError::LastAdministrator));
    let branch_only = vec![grant(Role::Administrator, "works")];
    for round in ["alone", "beside the administrator of a branch", "beside a disabled one"] {
        assert!(stays(node.accounts.remove_user(&admin, admin.id).await), "{round}");
        assert!(stays(node.accounts.change_user(&admin, admin.id, Some(false), None, None).await), "{round}");
        assert!(
            stays(node.accounts.change_user(&admin, admin.id, None, Some(branch_only.clone()), None).await),
            "{round}"
        );
        assert!(stays(node.accounts.change_user(&admin, admin.id, None, Some(Vec::new()), None).await), "{round}");
        match round {
            "alone" => {
                node.person(&admin, "Branch", Role::Administrator, "works").await;
            }
            _ => {
                let off = node.person(&admin, &format!("Off {round}"), Role::Administrator, "").await;
                node.accounts.change_user(&admin, off.id, Some(false), None, None).await.unwrap();
            }
        }
    }
    let second = node.person(&admin, "Second", Role::Administrator, "").await;
    node.accounts.remove_user(&admin, admin.id).await.expect("another one is there now");
    assert!(stays(node.accounts.remove_user(&second, second.id).await));
}

#[tokio::test]
async fn of_two_administrators_who_remove_each_other_at_once_one_stays() {
    let (node, admin, _) = Node::set_up().await;
    let second = node.person(&admin, "Second", Role::Administrator, "").await;
    let (a, b) =
        tokio::join!(node.accounts.remove_user(&admin, second.id), node.accounts.remove_user(&second, admin.id));
    assert!(a.is_ok() != b.is_ok());
    assert!(!node.accounts.setup_needed());
}

#[tokio::test]
async fn a_token_has_its_own_rights_and_is_revoked_at_once() {
    let (node, admin, _) = Node::set_up().await;
    let (id, secret) = node.accounts.create_token(&admin, "report", vec![grant(Role::Viewer, "works")]).await.unwrap();
    let who = node.accounts.authenticate_token(secret.reveal()).expect("known");
    assert_eq!(who, Principal { id, kind: PrincipalKind::Token });
    assert!(node.may(&who, Action::View, "works/line1") && !node.may(&who, Action::Operate, "works/line1"));
    assert!(!node.may(&who, Action::View, "house"));
    for wrong in ["", "andon_", &secret.reveal()[..69], &secret.reveal().to_uppercase()] {
        assert_eq!(node.accounts.authenticate_token(wrong), None, "{wrong}");
    }
    let twin = node.accounts.create_token(&admin, "report", Vec::new()).await;
    assert!(matches!(twin, Err(AccountError::NameTaken(_))));
    node.accounts.remove_token(&admin, id).await.unwrap();
    assert_eq!(node.accounts.authenticate_token(secret.reveal()), None);
    assert!(!node.may(&who, Action::View, "works/line1"), "a link that is open already has lost its rights too");
    assert_eq!(node.restart().await.accounts.authenticate_token(secret.reveal()), None);
    assert!(matches!(node.accounts.remove_token(&admin, id).await, Err(AccountError::Unknown)));
}

#[tokio::test]
async fn the_token_of_the_command_line_ends_with_the_process() {
    let (node, _, _) = Node::set_up().await;
    let secret = node.accounts.new_local_token().unwrap();
    assert_eq!(node.accounts.authenticate_token(secret.reveal()), Some(LOCAL));
    assert!(node.may(&LOCAL, Action::Administer, ""));
    assert_eq!(node.restart().await.accounts.authenticate_token(secret.reveal()), None);
}

async fn device(node: &Node, by: &Principal, user: &str, client_id: Option<&str>) -> (Principal, String) {
    let all = || vec!["#".to_owned()];
    let client_id = client_id.map(str::to_owned);
    let wanted =
        NewDevice { user: user.to_owned(), client_id, publish: all(), subscribe: all(), ..NewDevice::default() };
    let (id, secret) = node.accounts.create_device(by, wanted).await.unwrap();
    (Principal { id, kind: PrincipalKind::Device }, secret.reveal().to_owned())
}

#[tokio::test]
async fn a_device_comes_with_its_own_password_and_client_id_only() {
    let (node, admin, _) = Node::set_up().await;
    let (pump, secret) = device(&node, &admin, "pump", Some("pump-1")).await;
    let (lamp, lamp_secret) = device(&node, &admin, "lamp", None).await;
    let try_it = |user, password, client| node.accounts.authenticate_device(user, password, client, None);
    assert_eq!(try_it(Some("pump"), Some(&secret), "pump-1"), Some(pump));
    assert_eq!(try_it(Some("lamp"), Some(&lamp_secret), "any-name"), Some(lamp));
    for (user, password, client, why) in [
        (Some("pump"), Some(secret.as_str()), "pump-2", "a client id that is not its own"),
        (Some("lamp"), Some(lamp_secret.as_str()), "pump-1", "a client id bound to another device"),
        (Some("pump"), Some(lamp_secret.as_str()), "pump-1", "another device's password"),
        (Some("pump"), Some(""), "pump-1", "an empty password"),
        (Some("pump"), None, "pump-1", "no password"),
        (Some("nobody"), Some(secret.as_str()), "pump-1", "an unknown user"),
        (Some(""), Some(secret.as_str()), "pump-1", "an empty user"),
        (None, Some(secret.as_str()), "pump-1", "no user"),
        (None, None, "anything", "nobody"),
    ] {
        assert_eq!(try_it(user, password, client), None, "{why}");
    }
    let fan = NewDevice { user: "fan".to_owned(), client_id: Some("pump-1".to_owned()), ..NewDevice::default() };
    let taken = node.accounts.create_device(&admin, fan).await;
    assert!(matches!(taken, Err(AccountError::NameTaken(name)) if name == "pump-1"));
}

#[tokio::test]
async fn a_password_that_is_longer_than_any_of_ours_is_not_looked_at() {
    let (node, admin, _) = Node::set_up().await;
    let wanted = NewDevice { user: "pump".to_owned(), ..NewDevice::default() };
    let (id, _) = node.accounts.create_device(&admin, wanted).await.unwrap();
    for (length, is_in) in [(256, true), (257, false), (60_000, false)] {
        let password = "x".repeat(length);
        let mut device = node.accounts.device(id).unwrap();
        device.digest = andon_access::secret::digest(&password);
        node.records.change(vec![Change::PutDevice(Box::new(device))], None).await.unwrap();
        let node = node.restart().await;
        let found = node.accounts.authenticate_device(Some("pump"), Some(&password), "x", None);
        assert_eq!(found.is_some(), is_in, "{length} bytes");
    }
}

#[tokio::test]
async fn a_renewed_device_keeps_its_id_and_loses_its_old_password() {
    let (node, admin, _) = Node::set_up().await;
    let (pump, old) = device(&node, &admin, "pump", Some("pump-1")).await;
    let before = node.accounts.devices_changed();
    let (again, new) = device(&node, &admin, "pump", Some("pump-1")).await;
    assert_eq!(pump, again);
    assert!(node.accounts.devices_changed() > before);
    assert_eq!(node.accounts.authenticate_device(Some("pump"), Some(&old), "pump-1", None), None);
    assert_eq!(node.accounts.authenticate_device(Some("pump"), Some(&new), "pump-1", None), Some(pump.clone()));
    node.accounts.remove_device(&admin, pump.id).await.unwrap();
    assert_eq!(node.accounts.authenticate_device(Some("pump"), Some(&new), "pump-1", None), None);
    assert!(node.accounts.device(pump.id).is_none());
}

#[tokio::test]
async fn a_device_is_changed_and_keeps_its_password_and_its_certificate() {
    let (node, admin, _) = Node::set_up().await;
    let (pump, password) = device(&node, &admin, "pump", None).await;
    device(&node, &admin, "fan", Some("fan-1")).await;
    let certificate = DeviceCertificate { name: "pump.example".parse().unwrap(), entered: b"DER".to_vec() };
    node.accounts.bind_device(&admin, pump.id, Some(certificate)).await.unwrap();
    let shown = Certificate { fingerprint: [1; 32], common_name: Some("pump.example".to_owned()) };
    let is_in = |node: &Node, client_id: &str| {
        node.accounts.authenticate_device(Some("pump"), Some(&password), client_id, Some(&shown)).is_some()
    };
    let list = |filters: &[&str]| Some(filters.iter().map(|&filter| filter.to_owned()).collect::<Vec<_>>());
    let before = node.accounts.device(pump.id).unwrap();
    // (what is changed, whether the connection is to be closed)
    let cases = [
        (DeviceChange { publish: list(&["a/#"]), subscribe: list(&["a", "b"]), ..Default::default() }, true),
        (DeviceChange { subscribe: list(&["a", "b", "c"]), ..Default::default() }, false),
        (DeviceChange { publish: list(&[]), operate: Some(Some("works".to_owned())), ..Default::default() }, false),
        (DeviceChange { subscribe: list(&["c", "a"]), ..Default::default() }, true),
        (DeviceChange { client_id: Some(Some("pump-1".to_owned())), ..Default::default() }, true),
        (DeviceChange { client_id: Some(None), operate: Some(None), ..Default::default() }, false),
        (DeviceChange { client_id: Some(Some("pump-2".to_owned())), ..Default::default() }, true),
        (DeviceChange { client_id: Some(Some("pump-2".to_owned())), ..Default::default() }, false),
        (DeviceChange::default(), false),
    ];
    for (number, (change, closed)) in cases.into_iter().enumerate() {
        let asked = format!("{number}: {change:?}");
        assert_eq!(node.accounts.change_device(&admin, pump.id, change).await.unwrap(), closed, "{asked}");
    }
    let taken = DeviceChange { client_id: Some(Some("fan-1".to_owned())), ..Default::default() };
    let taken = node.accounts.change_device(&admin, pump.id, taken).await;
    assert!(matches!(taken, Err(AccountError::NameTaken(name)) if name == "fan-1"));
    let gone = node.accounts.change_device(&admin, admin.id, DeviceChange::default()).await;
    assert!(matches!(gone, Err(AccountError::Unknown)));
    let node = node.restart().await;
    let after = node.accounts.device(pump.id).unwrap();
    assert_eq!((after.publish.as_slice(), after.operate.as_deref()), (&[][..], None));
    assert_eq!((after.subscribe.join(" ").as_str(), after.client_id.as_deref()), ("c a", Some("pump-2")));
    assert!(after.digest == before.digest && after.scram == before.scram, "the secret is the same");
    assert_eq!((after.certificate, after.certificate_entered), (before.certificate, before.certificate_entered));
    assert!(is_in(&node, "pump-2") && !is_in(&node, "another"));
    let told = node.changes().into_iter().filter(|(_, change)| change.action == "device_changed");
    let told: Vec<_> = told.map(|(event, c)| (event.by.id, c.subject, c.detail.unwrap())).collect();
    let words = [
        "publish +a/#, -#; subscribe +a, +b, -#",
        "subscribe +c",
        "publish -a/#; command nothing → works",
        "subscribe -b",
        "client identifier: bound to another",
        "command works → nothing; client identifier: any",
        "client identifier: bound to another",
    ];
    assert_eq!(told, words.map(|words| (admin.id, Some(pump.id), words.to_owned())));
}

#[tokio::test]
async fn a_device_may_operate_its_branch_and_nothing_else() {
    let (node, admin, _) = Node::set_up().await;
    let operate = Some("house/kitchen".to_owned());
    let panel = NewDevice { user: "panel".to_owned(), operate, ..NewDevice::default() };
    let (id, _) = node.accounts.create_device(&admin, panel).await.unwrap();
    let panel = Principal { id, kind: PrincipalKind::Device };
    assert!(node.may(&panel, Action::Operate, "house/kitchen/lamp/on"));
    assert!(!node.may(&panel, Action::Operate, "house/hall/lamp/on"));
    assert!(!node.may(&panel, Action::Configure, "house/kitchen"));
    let (mute, _) = device(&node, &admin, "sensor", None).await;
    assert!(!node.may(&mute, Action::View, "house/kitchen"));
}

#[tokio::test]
async fn a_device_is_bound_to_a_certificate_and_freed_again_and_keeps_its_password() {
    let (node, admin, _) = Node::set_up().await;
    let (pump, password) = device(&node, &admin, "pump", None).await;
    let shown = Certificate { fingerprint: [1; 32], common_name: Some("pump.example".to_owned()) };
    let by_name = |name: &str| DeviceCertificate { name: name.parse().unwrap(), entered: b"DER".to_vec() };
    let is_in = |node: &Node, password: Option<&str>, shown: Option<&Certificate>| {
        node.accounts.authenticate_device(Some("pump"), password, "any", shown).is_some()
    };
    assert!(is_in(&node, Some(&password), None));
    node.accounts.bind_device(&admin, pump.id, Some(by_name("pump.example"))).await.unwrap();
    let before = node.accounts.devices_changed();
    assert!(!is_in(&node, Some(&password), None), "the password alone is not enough");
    assert!(is_in(&node, None, Some(&shown)));
    let (fan, _) = device(&node, &admin, "fan", None).await;
    let taken = node.accounts.bind_device(&admin, fan.id, Some(by_name("pump.example"))).await;
    assert!(matches!(taken, Err(AccountError::NameTaken(name)) if name == "pump.example"));
    // Bound to the same again: one that was renewed.
    node.accounts.bind_device(&admin, pump.id, Some(by_name("pump.example"))).await.unwrap();
    assert!(
        !node.accounts.device_is_as_it_was(pump.id, before),
        "rights that were looked up before are looked up again"
    );
    let node = node.restart().await;
    let kept = node.accounts.device(pump.id).unwrap();
    assert_eq!((kept.certificate_entered.as_deref(), kept.user.as_str()), (Some(&b"DER"[..]), "pump"));
    // A new password, for the same certificate and for none.
    for (certificate, entered) in [(Some("pump.example"), true), (None, false)] {
        let certificate = certificate.map(|name| name.parse().unwrap());
        let wanted = NewDevice { user: "pump".to_owned(), certificate, ..NewDevice::default() };
        node.accounts.create_device(&admin, wanted).await.unwrap();
        assert_eq!(node.accounts.device(pump.id).unwrap().certificate_entered.is_some(), entered);
    }
    let this = DeviceCertificate { name: "ab".repeat(32).parse().unwrap(), entered: b"DER".to_vec() };
    node.accounts.bind_device(&admin, pump.id, Some(this)).await.unwrap();
    node.accounts.bind_device(&admin, pump.id, None).await.unwrap();
    let freed = node.accounts.device(pump.id).unwrap();
    assert_eq!((freed.certificate, freed.certificate_entered), (None, None));
    let gone = node.accounts.bind_device(&admin, admin.id, None).await;
    assert!(matches!(gone, Err(AccountError::Unknown)));
    let der = andon_access::secret::hex(&andon_access::secret::digest("DER"));
    let any = format!("any with the common name of SHA-256 {der}");
    let told = node.changes().into_iter().filter(|(_, c)| c.action.starts_with("device_certificate"));
    let told: Vec<_> = told.map(|(event, c)| (event.by.id, c.subject, c.action, c.detail.unwrap())).collect();
    let bound = |detail: String| (admin.id, Some(pump.id), "device_certificate_bound".to_owned(), detail);
    assert_eq!(
        told,
        [
            bound(format!("none → {any}")),
            bound(format!("{any} → {any}")),
            bound(format!("none → SHA-256 {}", "ab".repeat(32))),
            (
                admin.id,
                Some(pump.id),
                "device_certificate_removed".to_owned(),
                format!("SHA-256 {} → none", "ab".repeat(32))
            ),
        ]
    );
}

#[tokio::test]
async fn nobody_is_let_in_anonymously_unless_the_settings_say_so() {
    let node = Node::fresh().await;
    assert_eq!(node.accounts.authenticate_device(None, None, "x", None), None);
    assert!(!node.may(&Principal::ANONYMOUS, Action::View, "works"));
    let node = Node::with(AccountsOptions { anonymous_mqtt: true, ..AccountsOptions::default() }).await;
    let (_, secret) = device(&node, &Principal::SYSTEM, "pump", Some("pump-1")).await;
    assert_eq!(node.accounts.authenticate_device(None, None, "x", None), Some(Principal::ANONYMOUS));
    assert_eq!(node.accounts.authenticate_device(None, None, "pump-1", None), None, "a bound client id stays bound");
    assert_eq!(
        node.accounts.authenticate_device(Some("pump"), Some("wrong"), "x", None),
        None,
        "a wrong password is no anonymity"
    );
    assert!(node.accounts.authenticate_device(Some("pump"), Some(secret.as_str()), "pump-1", None).is_some());
    assert!(!node.may(&Principal::ANONYMOUS, Action::View, "works"), "it says nothing about people");
    let node = Node::with(AccountsOptions { open: true, ..AccountsOptions::default() }).await;
    assert!(node.may(&Principal::ANONYMOUS, Action::Administer, ""));
}

#[tokio::test]
async fn everything_about_accounts_is_recorded_with_who_did_it_to_whom() {
    let (node, admin, cookie) = Node::set_up().await;
    let eva = node.person(&admin, "Eva", Role::Viewer, "works").await;
    node.accounts.change_user(&admin, eva.id, Some(false), None, None).await.unwrap();
    let _ = node.accounts.log_in("Eva", EVA_PASSWORD, HERE).await;
    let _ = node.accounts.log_in("nobody", EVA_PASSWORD, HERE).await;
    let _ = node.accounts.change_password(admin.id, "not the right one", "x", HERE).await;
    node.accounts.remove_user(&admin, eva.id).await.unwrap();
    let (token, _) = node.accounts.create_token(&admin, "report", Vec::new()).await.unwrap();
    node.accounts.remove_token(&admin, token).await.unwrap();
    let (pump, _) = device(&node, &admin, "pump", None).await;
    device(&node, &admin, "pump", None).await;
    node.accounts.remove_device(&admin, pump.id).await.unwrap();
    node.accounts.log_out(cookie.reveal()).await.unwrap();
    let link = node.accounts.new_login_link(admin.id).unwrap();
    node.accounts.log_in_by_link(link.reveal(), HERE).await.unwrap();
    let _ = node.accounts.log_in_by_link("guess", HERE).await;

    let (nobody, system) = (Principal::ANONYMOUS, Principal::SYSTEM);
    let recorded: Vec<_> =
        node.changes().into_iter().map(|(event, c)| (c.action, event.by, c.subject, c.from.is_some())).collect();
    let expected = [
        ("created", system, Some(admin.id), false),
        ("logged_in", admin.clone(), Some(admin.id), true),
        ("created", admin.clone(), Some(eva.id), false),
        ("changed", admin.clone(), Some(eva.id), false),
        ("login_refused", nobody.clone(), Some(eva.id), true),
        ("login_refused", nobody.clone(), None, true),
        ("password_refused", nobody.clone(), Some(admin.id), true),
        ("removed", admin.clone(), Some(eva.id), false),
        ("token_created", admin.clone(), Some(token), false),
        ("token_revoked", admin.clone(), Some(token), false),
        ("device_created", admin.clone(), Some(pump.id), false),
        ("device_renewed", admin.clone(), Some(pump.id), false),
        ("device_removed", admin.clone(), Some(pump.id), false),
        ("logged_out", admin.clone(), Some(admin.id), false),
        ("logged_in_by_link", admin.clone(), Some(admin.id), true),
        ("login_refused", nobody, None, true),
    ];
    let expected: Vec<_> = expected.into_iter().map(|(a, by, on, from)| (a.to_owned(), by, on, from)).collect();
    assert_eq!(recorded, expected);
}

#[tokio::test]
async fn no_event_carries_a_name_or_a_secret() {
    let node = Node::fresh().await;
    let code = node.accounts.new_setup_code().unwrap();
    let _ = node.accounts.set_up("WRONG-CODE", ADMIN, PASSWORD, HERE).await;
    let cookie = node.accounts.set_up(code.reveal(), ADMIN, PASSWORD, HERE).await.unwrap();
    let admin = node.accounts.session(cookie.reveal()).await.unwrap().principal;
    let eva = node.person(&admin, "Evelina", Role::Viewer, "works").await;
    let _ = node.accounts.log_in("Evelina", "wrong password here", HERE).await;
    let _ = node.accounts.log_in("Unbekannt", "wrong password here", HERE).await;
    node.accounts
        .change_user(
            &admin,
            eva.id,
            Some(true),
            Some(vec![grant(Role::Operator, "works")]),
            Some("another long sentence"),
        )
        .await
        .unwrap();
    let (token, token_secret) = node.accounts.create_token(&admin, "monthly-report", Vec::new()).await.unwrap();
    node.accounts.remove_token(&admin, token).await.unwrap();
    let (pump, pump_secret) = device(&node, &admin, "pump-user", Some("pump-client")).await;
    node.accounts.remove_device(&admin, pump.id).await.unwrap();
    node.accounts.remove_user(&admin, eva.id).await.unwrap();
    node.accounts.log_out(cookie.reveal()).await.unwrap();

    let events = serde_json::to_string(&*node.records.events.lock().unwrap()).unwrap().to_lowercase();
    assert!(events.len() > 1000);
    for hidden in [
        ADMIN,
        "Evelina",
        "Unbekannt",
        "monthly-report",
        "pump-user",
        "pump-client",
        PASSWORD,
        EVA_PASSWORD,
        "wrong password here",
        "another long sentence",
        "WRONG-CODE",
        code.reveal(),
        cookie.reveal(),
        token_secret.reveal(),
        &pump_secret,
        "argon2",
    ] {
        assert!(!events.contains(&hidden.to_lowercase()), "{hidden} stands in an event");
    }
    for secret in [code.reveal(), cookie.reveal(), token_secret.reveal(), &pump_secret] {
        let digest = andon_access::secret::hex(&andon_access::secret::digest(secret));
        assert!(!events.contains(&digest), "the digest of a secret stands in an event");
    }
}

#[tokio::test]
async fn a_device_with_a_certificate_comes_with_it_and_in_no_other_way() {
    let (node, admin, _) = Node::set_up().await;
    let shown = |name: &str, byte: u8| Certificate { fingerprint: [byte; 32], common_name: Some(name.to_owned()) };
    let with = async |user: &str, certificate: &str, client_id: Option<&str>| {
        let (user, client_id) = (user.to_owned(), client_id.map(str::to_owned));
        let certificate = Some(certificate.parse().unwrap());
        node.accounts.create_device(&admin, NewDevice { user, client_id, certificate, ..NewDevice::default() }).await
    };
    let (press, secret) = with("press-7", "press-7.works.example", Some("press")).await.unwrap();
    let exact = "ab".repeat(32);
    let (exactly, _) = with("oven", &exact, None).await.unwrap();
    let (_, lamp_secret) = device(&node, &admin, "lamp", None).await;
    let own = shown("press-7.works.example", 1);
    let is = |id, user, password, client: &str, certificate: &Certificate| {
        let found = node.accounts.authenticate_device(user, password, client, Some(certificate));
        found == Some(Principal { id, kind: PrincipalKind::Device })
    };
    assert!(is(press, None, None, "press", &own), "it needs neither name nor password");
    assert!(is(press, Some("press-7"), None, "press", &own));
    assert!(is(press, Some("press-7"), Some(secret.reveal()), "press", &own));
    assert!(is(press, None, None, "press", &shown("press-7.works.example", 2)), "also a renewed one");
    assert!(is(exactly, None, None, "any", &shown("whoever", 0xAB)));
    assert!(is(exactly, None, None, "any", &shown("press-7.works.example", 0xAB)), "the exact one comes first");
    let lamp = node.accounts.authenticate_device(Some("lamp"), Some(&lamp_secret), "any", Some(&own));
    assert!(lamp.is_some(), "who is asked for none may show one");
    let other = shown("press-8.works.example", 3);
    for (user, password, client, certificate, why) in [
        (Some("press-7"), Some(secret.reveal()), "press", None, "the password alone"),
        (Some("press-7"), Some(secret.reveal()), "press", Some(&other), "another's certificate"),
        (Some("press-7"), Some("wrong"), "press", Some(&own), "a wrong password"),
        (Some("lamp"), None, "any", Some(&own), "another's name"),
        (Some("lamp"), None, "any", Some(&other), "a certificate of nobody"),
        (None, None, "press", Some(&other), "a certificate of nobody"),
        (None, None, "another", Some(&own), "a client id that is not its own"),
        (None, None, "press", Some(&shown("whoever", 0xAB)), "a client id bound to another device"),
        (None, None, "press", None, "nothing"),
    ] {
        assert_eq!(node.accounts.authenticate_device(user, password, client, certificate), None, "{why}");
    }
    let taken = with("press-9", "press-7.works.example", None).await;
    assert!(matches!(taken, Err(AccountError::NameTaken(name)) if name == "press-7.works.example"));
    // Over a restart, and gone with the device.
    let node = node.restart().await;
    assert!(node.accounts.authenticate_device(None, None, "press", Some(&own)).is_some());
    node.accounts.remove_device(&admin, press).await.unwrap();
    assert_eq!(node.accounts.authenticate_device(None, None, "press", Some(&own)), None);
}

#[tokio::test]
async fn who_is_removed_or_renewed_while_coming_in_is_found() {
    let (node, admin, _) = Node::set_up().await;
    let (pump, _) = device(&node, &admin, "pump", None).await;
    let began = node.accounts.devices_changed();
    device(&node, &admin, "lamp", None).await;
    assert!(node.accounts.device_is_as_it_was(pump.id, began), "others' changes are not its own");
    device(&node, &admin, "pump", None).await;
    assert!(!node.accounts.device_is_as_it_was(pump.id, began), "renewed meanwhile");
    assert!(node.accounts.device_is_as_it_was(pump.id, node.accounts.devices_changed()));
    node.accounts.remove_device(&admin, pump.id).await.unwrap();
    assert!(!node.accounts.device_is_as_it_was(pump.id, node.accounts.devices_changed()));
}
