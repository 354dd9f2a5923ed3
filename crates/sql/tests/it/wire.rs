//! The protocol, byte by byte, over a real socket. Foreign clients are tried in the end-to-end tests.

use crate::plant::World;
use andon_model::SystemClock;
use andon_model::peer::Places;
use bytes::{Buf, BufMut, BytesMut};
use std::sync::Arc;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;

struct Client {
    stream: TcpStream,
    buffer: BytesMut,
}

async fn listen(world: &World) -> (std::net::SocketAddr, CancellationToken) {
    listen_for(world, Places::new(16, Arc::new(SystemClock))).await
}

async fn listen_for(world: &World, strangers: Arc<Places>) -> (std::net::SocketAddr, CancellationToken) {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let address = listener.local_addr().expect("an address");
    let stop = CancellationToken::new();
    tokio::spawn(andon_sql::pg::serve(listener, world.engine.clone(), None, strangers, stop.clone()));
    (address, stop)
}

impl Client {
    async fn begin(address: std::net::SocketAddr) -> Self {
        let mut stream = TcpStream::connect(address).await.expect("connected");
        let mut out = BytesMut::new();
        let body = b"\0\x03\0\0user\0anna\0database\0andon\0\0";
        out.put_i32(i32::try_from(body.len() + 4).expect("short"));
        out.put_slice(body);
        stream.write_all(&out).await.expect("sent");
        Self { stream, buffer: BytesMut::new() }
    }

    async fn log_in(address: std::net::SocketAddr) -> Self {
        let mut client = Self::begin(address).await;
        assert_eq!(client.next().await.map(|m| m.0), Some(b'R'));
        client.send(b'p', b"correct horse\0").await;
        client.until(b'Z').await;
        client
    }

    async fn send(&mut self, kind: u8, body: &[u8]) {
        let mut out = BytesMut::new();
        out.put_u8(kind);
        out.put_i32(i32::try_from(body.len() + 4).expect("short"));
        out.put_slice(body);
        self.stream.write_all(&out).await.expect("sent");
    }

    async fn next(&mut self) -> Option<(u8, Vec<u8>)> {
        loop {
            if let [kind, a, b, c, d, ..] = self.buffer[..] {
                let len = usize::try_from(i32::from_be_bytes([a, b, c, d])).expect("a length");
                if self.buffer.len() > len {
                    self.buffer.advance(5);
                    return Some((kind, self.buffer.split_to(len - 4).to_vec()));
                }
            }
            if self.stream.read_buf(&mut self.buffer).await.ok()? == 0 {
                return None;
            }
        }
    }

    /// Messages up to and with one of this kind.
    async fn until(&mut self, kind: u8) -> Vec<(u8, Vec<u8>)> {
        let mut all = Vec::new();
        loop {
            let message = self.next().await.unwrap_or_else(|| panic!("closed after {all:?}"));
            let last = message.0 == kind;
            all.push(message);
            if last {
                return all;
            }
        }
    }
}

fn kinds(messages: &[(u8, Vec<u8>)]) -> String {
    messages.iter().map(|(kind, _)| char::from(*kind)).collect()
}

fn text(message: &(u8, Vec<u8>)) -> String {
    String::from_utf8_lossy(&message.1).into_owned()
}

#[tokio::test]
async fn a_wrong_password_is_told_and_the_connection_closed() {
    let world = World::new();
    let (address, _stop) = listen(&world).await;
    let mut client = Client::begin(address).await;
    client.next().await;
    client.send(b'p', b"wrong\0").await;
    let refused = client.next().await.expect("an error");
    assert!(refused.0 == b'E' && text(&refused).contains("28P01"), "{refused:?}");
    assert_eq!(client.next().await, None);
}

#[tokio::test]
async fn one_address_has_so_many_connections_and_is_let_in_again() {
    let world = World::new();
    let strangers = Places::counting_loopback(1, Arc::new(SystemClock));
    let (address, _stop) = listen_for(&world, strangers.clone()).await;
    let first = Client::log_in(address).await;
    assert_eq!(Client::begin(address).await.next().await, None);
    assert_eq!(strangers.refused(), 1);
    drop(first);
    while Client::begin(address).await.next().await.is_none() {
        tokio::task::yield_now().await;
    }
}

#[tokio::test]
async fn statements_are_answered_in_order_and_an_error_ends_the_rest() {
    let world = World::new();
    let (address, _stop) = listen(&world).await;
    let mut client = Client::log_in(address).await;
    client.send(b'Q', b"SELECT 1 AS a; SET x = 1; SELECT count(*) FROM samples\0").await;
    assert_eq!(kinds(&client.until(b'Z').await), "TDCCTDCZ");
    client.send(b'Q', b"SELECT 1; DROP TABLE samples; SELECT 2\0").await;
    let answers = client.until(b'Z').await;
    assert_eq!(kinds(&answers), "TDCEZ");
    assert!(text(&answers[3]).contains("25006"), "{}", text(&answers[3]));
    client.send(b'Q', b"BEGIN; SELECT nonsense\0").await;
    let answers = client.until(b'Z').await;
    assert_eq!(answers.last().map(|m| m.1.clone()), Some(b"E".to_vec()));
    client.send(b'Q', b"ROLLBACK\0").await;
    assert_eq!(client.until(b'Z').await.last().map(|m| m.1.clone()), Some(b"I".to_vec()));
    client.send(b'Q', b"\0").await;
    assert_eq!(kinds(&client.until(b'Z').await), "IZ");
}

#[tokio::test]
async fn a_portal_gives_its_rows_in_portions() {
    let world = World::new();
    let (address, _stop) = listen(&world).await;
    let mut client = Client::log_in(address).await;
    client
        .send(b'P', b"s\0SELECT ts FROM samples WHERE path = $1 ORDER BY ts LIMIT $2\0\0\x02\0\0\0\x19\0\0\0\x17")
        .await;
    client.send(b'D', b"Ss\0").await;
    client
        .send(b'B', b"\0s\0\0\x02\0\0\0\x01\0\x02\0\0\0\x1bworks/line1/filler/pressure\0\0\0\x04\0\0\0\x05\0\x01\0\x01")
        .await;
    client.send(b'E', b"\0\0\0\0\x03").await;
    client.send(b'E', b"\0\0\0\0\x00").await;
    client.send(b'S', b"").await;
    let answers = client.until(b'Z').await;
    assert_eq!(kinds(&answers), "1tT2DDDsDDCZ");
    assert_eq!(&answers[4].1[..6], [0, 1, 0, 0, 0, 8], "binary, as asked");
    client.send(b'E', b"nowhere\0\0\0\0\0").await;
    client.send(b'P', b"\0SELECT 1\0\0\0").await;
    client.send(b'S', b"").await;
    assert_eq!(kinds(&client.until(b'Z').await), "EZ", "what follows an error is left out up to Sync");
}

#[tokio::test]
async fn who_goes_away_or_cancels_ends_the_query() {
    use std::sync::atomic::Ordering;
    let world = World::with(crate::plant::works(), andon_sql::Options { queries: 1, ..andon_sql::Options::default() });
    let (address, _stop) = listen(&world).await;
    world.plant.slow_ms.store(50, Ordering::Relaxed);
    let mut first = Client::log_in(address).await;
    first.send(b'Q', b"SELECT count(*) FROM samples a, samples b, samples c WHERE a.value + b.value > c.value\0").await;
    let started = async {
        while world.plant.rows_read.load(Ordering::Relaxed) == 0 {
            tokio::task::yield_now().await;
        }
    };
    tokio::time::timeout(std::time::Duration::from_secs(10), started).await.expect("it runs");
    drop(first);
    let next = tokio::time::timeout(std::time::Duration::from_secs(5), world.try_rows(&world.anna, "SELECT 1")).await;
    assert_eq!(next.expect("the place is free"), Ok(vec!["1".to_owned()]));
    // A request to cancel, with the secret that the connection was given.
    let mut client = Client::begin(address).await;
    client.next().await;
    client.send(b'p', b"correct horse\0").await;
    let greeting = client.until(b'Z').await;
    let key = greeting.iter().find(|m| m.0 == b'K').expect("a key").1.clone();
    client
        .send(b'Q', b"SELECT count(*) FROM samples a, samples b, samples c WHERE a.value + b.value > c.value\0")
        .await;
    let asked = async {
        loop {
            let mut other = TcpStream::connect(address).await.expect("connected");
            let mut out = BytesMut::new();
            out.put_i32(16);
            out.put_i32(80_877_102);
            out.put_slice(&key);
            other.write_all(&out).await.expect("sent");
            tokio::select! {
                answers = client.until(b'Z') => break answers,
                () = tokio::time::sleep(std::time::Duration::from_millis(200)) => {}
            }
        }
    };
    let answers = tokio::time::timeout(std::time::Duration::from_secs(10), asked).await.expect("ended");
    assert!(answers.iter().any(|m| m.0 == b'E' && text(m).contains("57014")), "{answers:?}");
}

#[tokio::test]
async fn a_right_that_is_taken_away_ends_cursors_and_portals_within_a_second() {
    let world = World::new();
    let (address, _stop) = listen(&world).await;
    let mut cursor = Client::log_in(address).await;
    // A short answer is all made by then, and lies ready; a long one waits to be taken, and keeps its place of two.
    let declare = b"BEGIN; DECLARE short CURSOR FOR SELECT ts FROM samples WHERE path = 'works/line1/filler/level'; \
        DECLARE long CURSOR WITH HOLD FOR SELECT ts FROM samples; FETCH 1 FROM short; FETCH 1 FROM long\0";
    cursor.send(b'Q', declare).await;
    assert_eq!(kinds(&cursor.until(b'Z').await), "CCCTDCTDCZ");
    let mut portal = Client::log_in(address).await;
    portal.send(b'P', b"\0SELECT ts FROM samples WHERE path = 'works/line1/filler/pressure'\0\0\0").await;
    portal.send(b'B', b"\0\0\0\0\0\0\0\0").await;
    portal.send(b'E', b"\0\0\0\0\x03").await;
    portal.send(b'H', b"").await;
    assert_eq!(kinds(&portal.until(b's').await), "12DDDs");
    world.plant.grant(&world.anna, &["works/line2"]);
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    for name in ["short", "long"] {
        cursor.send(b'Q', format!("FETCH 20000 FROM {name}\0").as_bytes()).await;
        let answers = cursor.until(b'Z').await;
        assert_eq!(kinds(&answers), "TEZ", "{name}");
        assert!(text(&answers[1]).contains("42501") && text(&answers[1]).contains("rights"), "{}", text(&answers[1]));
        cursor.send(b'Q', b"ROLLBACK\0").await;
        cursor.until(b'Z').await;
        cursor.send(b'Q', format!("FETCH 1 FROM {name}\0").as_bytes()).await;
        assert!(text(&cursor.until(b'Z').await[0]).contains("34000"), "the cursor is gone");
    }
    portal.send(b'E', b"\0\0\0\0\0").await;
    portal.send(b'S', b"").await;
    let answers = portal.until(b'Z').await;
    assert_eq!(kinds(&answers), "EZ");
    assert!(text(&answers[0]).contains("42501"), "{}", text(&answers[0]));
}

#[tokio::test]
async fn rows_that_wait_for_their_client_are_not_sent_once_their_right_is_gone() {
    let world = World::new();
    let (address, _stop) = listen(&world).await;
    for flush in [b'H', b'S'] {
        world.plant.grant(&world.anna, &[""]);
        let mut client = Client::log_in(address).await;
        client.send(b'P', b"\0SELECT ts FROM samples WHERE path = 'works/line1/filler/pressure'\0\0\0").await;
        client.send(b'B', b"\0\0\0\0\0\0\0\0").await;
        client.send(b'H', b"").await;
        assert_eq!(kinds(&client.until(b'2').await), "12");
        // The rows are made, and sent only when the client says so.
        client.send(b'E', b"\0\0\0\0\x03").await;
        tokio::time::sleep(std::time::Duration::from_secs(1)).await;
        world.plant.grant(&world.anna, &["works/line2"]);
        client.send(flush, b"").await;
        assert_eq!(client.next().await, None, "the connection ends without a row");
    }
}

#[tokio::test]
async fn rows_that_wait_for_their_client_are_sent_when_a_right_was_added() {
    let world = World::new();
    let (address, _stop) = listen(&world).await;
    world.plant.grant(&world.anna, &["works/line1"]);
    let mut client = Client::log_in(address).await;
    client.send(b'P', b"\0SELECT ts FROM samples WHERE path = 'works/line1/filler/pressure'\0\0\0").await;
    client.send(b'B', b"\0\0\0\0\0\0\0\0").await;
    client.send(b'E', b"\0\0\0\0\x03").await;
    tokio::time::sleep(std::time::Duration::from_secs(1)).await;
    world.plant.grant(&world.anna, &["works"]);
    client.send(b'S', b"").await;
    assert_eq!(kinds(&client.until(b'Z').await), "12DDDsZ");
}
