//! The conversation by which a device proves who it is, with a client of our own making; a foreign one is in `tests/e2e`.

use crate::fakes::*;
use andon_access::NewDevice;
use andon_access::scram::{Exchange, Heard};
use andon_access::secret::Secret;
use andon_model::access::{Principal, PrincipalKind};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use hmac::{Hmac, KeyInit as _, Mac as _};
use sha2::{Digest as _, Sha256};
use uuid::Uuid;

fn mac(key: &[u8], data: &[u8]) -> Vec<u8> {
    let mut mac = Hmac::<Sha256>::new_from_slice(key).unwrap();
    mac.update(data);
    mac.finalize().into_bytes().to_vec()
}

fn xor(a: &[u8], b: &[u8]) -> Vec<u8> {
    a.iter().zip(b).map(|(a, b)| a ^ b).collect()
}

/// The client's last message and the server's answer that it expects. RFC 5802 §3, written a second time.
fn last_word(password: &str, gs2: &str, first_bare: &str, question: &[u8]) -> (String, String) {
    let question = std::str::from_utf8(question).unwrap();
    let field = |name: &str| question.split(',').find_map(|part| part.strip_prefix(name)).unwrap();
    let salt = BASE64.decode(field("s=")).unwrap();
    let rounds: u32 = field("i=").parse().unwrap();
    let mut round = mac(password.as_bytes(), &[&salt[..], &[0, 0, 0, 1]].concat());
    let mut salted = round.clone();
    for _ in 1..rounds {
        round = mac(password.as_bytes(), &round);
        salted = xor(&salted, &round);
    }
    let client_key = mac(&salted, b"Client Key");
    let without_proof = format!("c={},r={}", BASE64.encode(gs2), field("r="));
    let said = format!("{first_bare},{question},{without_proof}");
    let proof = xor(&client_key, &mac(&Sha256::digest(&client_key), said.as_bytes()));
    let expected = BASE64.encode(mac(&mac(&salted, b"Server Key"), said.as_bytes()));
    (format!("{without_proof},p={}", BASE64.encode(proof)), format!("v={expected}"))
}

async fn device(node: &Node, user: &str, client_id: Option<&str>) -> (Uuid, Secret) {
    let all = || vec!["#".to_owned()];
    let client_id = client_id.map(Into::into);
    let wanted =
        NewDevice { user: user.to_owned(), client_id, publish: all(), subscribe: all(), ..NewDevice::default() };
    node.accounts.create_device(&Principal::SYSTEM, wanted).await.unwrap()
}

/// Goes through the exchange with this password; what came of it.
fn prove(node: &Node, client_id: &str, user: &str, password: &str) -> Heard {
    let mut exchange = Exchange::new(node.accounts.clone(), client_id, None, None);
    let bare = format!("n={user},r=fyko+d2lbbFgONRv9qkxdawL");
    let Heard::Continue(question) = exchange.hear(format!("n,,{bare}").as_bytes()) else {
        panic!("whoever it is, it is asked")
    };
    let (last, expected) = last_word(password, "n,,", &bare, &question);
    let heard = exchange.hear(last.as_bytes());
    if let Heard::Done(_, said) = &heard {
        assert_eq!(said, expected.as_bytes(), "the node proves that it knows the password, too");
    }
    assert_eq!(exchange.hear(last.as_bytes()), Heard::Refused, "an exchange that is over stays over");
    heard
}

#[tokio::test]
async fn a_device_proves_its_password_without_sending_it() {
    let node = Node::fresh().await;
    let (id, password) = device(&node, "press-7", None).await;
    let who = Principal { id, kind: PrincipalKind::Device };
    let is_in = |heard: Heard| matches!(heard, Heard::Done(principal, _) if principal == who);
    assert!(is_in(prove(&node, "any", "press-7", password.reveal())));
    assert_eq!(prove(&node, "any", "press-7", "another"), Heard::Refused);
    assert_eq!(prove(&node, "any", "press-8", password.reveal()), Heard::Refused);
    // A new password, and the end of the credential.
    let (_, renewed) = device(&node, "press-7", None).await;
    assert_eq!(prove(&node, "any", "press-7", password.reveal()), Heard::Refused);
    assert!(is_in(prove(&node, "any", "press-7", renewed.reveal())));
    node.accounts.remove_device(&Principal::SYSTEM, id).await.unwrap();
    assert_eq!(prove(&node, "any", "press-7", renewed.reveal()), Heard::Refused);
}

#[tokio::test]
async fn a_client_identifier_that_is_bound_is_for_its_device_alone() {
    let node = Node::fresh().await;
    let (_, bound) = device(&node, "press-7", Some("press")).await;
    let (_, free) = device(&node, "press-8", None).await;
    assert!(matches!(prove(&node, "press", "press-7", bound.reveal()), Heard::Done(..)));
    assert_eq!(prove(&node, "another", "press-7", bound.reveal()), Heard::Refused);
    assert_eq!(prove(&node, "press", "press-8", free.reveal()), Heard::Refused);
}

#[tokio::test]
async fn what_is_asked_of_nobody_looks_like_what_is_asked_of_somebody() {
    let node = Node::fresh().await;
    device(&node, "press-7", None).await;
    let ask = |node: &Node, user: &str| {
        let mut exchange = Exchange::new(node.accounts.clone(), "any", None, None);
        let Heard::Continue(question) = exchange.hear(format!("n,,n={user},r=nonce").as_bytes()) else { panic!() };
        let text = String::from_utf8(question).unwrap();
        let (nonce, rest) = text.split_once(',').unwrap();
        (nonce.len(), rest.to_owned())
    };
    let (somebody, nobody) = (ask(&node, "press-7"), ask(&node, "press-8"));
    assert_eq!(ask(&node, "press-8"), nobody, "the same each time, as of somebody");
    assert_eq!(ask(&node, "press-7"), somebody);
    assert_eq!((somebody.0, somebody.1.len()), (nobody.0, nobody.1.len()));
    assert_ne!(ask(&node, "press-9").1, nobody.1);
    assert!(nobody.1.ends_with(",i=4096"));
    let later = node.restart().await;
    assert_eq!(ask(&later, "press-7"), somebody);
    assert_eq!(ask(&later, "press-8"), nobody, "the same after a restart, as of somebody");
    assert_ne!(ask(&Node::fresh().await, "press-8").1, nobody.1, "another node makes up others");
}

#[tokio::test]
async fn what_is_no_word_of_the_method_is_refused() {
    let node = Node::fresh().await;
    let (_, password) = device(&node, "press,7", None).await;
    let begin = |user: Option<&str>| Exchange::new(node.accounts.clone(), "any", user, None);
    let firsts: [&[u8]; 16] = [
        b"n,,n=press=2C7",
        b"n,,r=nonce",
        b"n,,n=press=2C7,r=",
        b"n,,n=press=2C7,r=no nce",
        b"n,,n=press,7,r=nonce",
        b"n,,n=press=7,r=nonce",
        b"n,,m=ext,n=press=2C7,r=nonce",
        b"p=tls-unique,,n=press=2C7,r=nonce",
        b"n,a=press-8,n=press=2C7,r=nonce",
        b"n,x,n=press=2C7,r=nonce",
        b"n=press=2C7,r=nonce",
        b",,n=press=2C7,r=nonce",
        b"\xFF",
        b"c=biws,r=nonce,p=AAAA",
        b"n,,n=press=2C7,r=\x00",
        &[b'n'; 3000],
    ];
    for first in firsts {
        let shown = String::from_utf8_lossy(first);
        assert_eq!(begin(None).hear(first), Heard::Refused, "{shown}");
    }
    assert_eq!(begin(Some("another")).hear(b"n,,n=press=2C7,r=nonce"), Heard::Refused, "two names");
    for (user, gs2) in [(None, "n,,"), (Some("press,7"), "y,,"), (None, "n,a=press=2C7,")] {
        let mut exchange = begin(user);
        assert_eq!(exchange.hear(b""), Heard::Continue(Vec::new()), "who waits to be asked is asked");
        let bare = "n=press=2C7,r=nonce,x=an extension";
        let Heard::Continue(question) = exchange.hear(format!("{gs2}{bare}").as_bytes()) else { panic!("{gs2}") };
        let (last, _) = last_word(password.reveal(), gs2, bare, &question);
        assert!(matches!(exchange.hear(last.as_bytes()), Heard::Done(..)), "{gs2}");
    }
    let changes: [(&str, &str); 6] = [
        ("c=biws", "c=eSws"),
        ("c=biws", "c="),
        ("r=nonce", "r=once"),
        (",p=", ",p=AAAA"),
        (",p=", ",q="),
        (",p=", ",more=1,p="),
    ];
    for (ours, other) in changes {
        let mut exchange = begin(None);
        let bare = "n=press=2C7,r=nonce";
        let Heard::Continue(question) = exchange.hear(format!("n,,{bare}").as_bytes()) else { panic!() };
        let (last, _) = last_word(password.reveal(), "n,,", bare, &question);
        assert_eq!(exchange.hear(last.replacen(ours, other, 1).as_bytes()), Heard::Refused, "{other}");
    }
}
