//! Listeners: HTTP/1.1 and HTTP/2, plain or TLS, bounded in number, in all and for each stranger, with a deadline for the
//! first request and for a client that [takes nothing](crate::socket).

use crate::auth::Peer;
pub use crate::socket::listen;
use crate::socket::{Cut, Intake, OverTcp, Socket, TAKES_WITHIN};
use andon_model::peer::{Place, Places};
use axum::Router;
use axum::extract::ConnectInfo;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use tower::ServiceExt;

/// How long a TLS handshake or the head of a request may take.
const HEAD_WITHIN: Duration = Duration::from_secs(10);
/// How often a silent HTTP/2 peer is asked whether it is still there.
const PING_EVERY: Duration = Duration::from_secs(20);
/// How long open requests may take to end at a stop.
const STOP_WITHIN: Duration = Duration::from_secs(3);

/// What a stranger over the limit is told, if there is a moment for it.
const BUSY: &[u8] =
    b"HTTP/1.1 503 Service Unavailable\r\nretry-after: 5\r\nconnection: close\r\ncontent-length: 0\r\n\r\n";

/// How many connections there may be.
#[derive(Debug, Clone)]
pub struct Bounds {
    /// Of one listener; the next one waits in the system's queue.
    pub connections: usize,
    /// Of one stranger, over all listeners; the next one is closed.
    pub per_address: Arc<Places>,
}

/// The places that a connection holds. An upgraded one (WebSocket) takes them along, for it outlives the request.
#[derive(Clone)]
pub(crate) struct Held {
    _places: Arc<(OwnedSemaphorePermit, Place)>,
}

/// Accepts connections until `stop`.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<rustls::ServerConfig>>,
    bounds: Bounds,
    stop: CancellationToken,
) {
    serve_patiently(listener, router, tls, bounds, TAKES_WITHIN, stop).await;
}

/// As [`serve`], with a client that takes nothing for so long cut off.
async fn serve_patiently(
    listener: TcpListener,
    router: Router,
    tls: Option<Arc<rustls::ServerConfig>>,
    bounds: Bounds,
    takes_within: Duration,
    stop: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(bounds.connections));
    let mut connections = JoinSet::new();
    loop {
        let place = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            place = places.clone().acquire_owned() => place,
        };
        let Ok(place) = place else { break };
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            accepted = listener.accept() => accepted,
        };
        let (stream, address) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Usually "too many open files": the others go on, and we try again shortly.
                tracing::warn!(%error, "could not accept an HTTP connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let own = match bounds.per_address.take(address.ip()) {
            Ok(own) => own,
            Err(refused) => {
                if let Some(count) = refused.tell {
                    tracing::warn!(source = %refused.source, most = refused.most, count, "HTTP connections refused: the address has as many as it may");
                }
                if acceptor.is_none() {
                    let _ = stream.try_write(BUSY);
                }
                continue;
            }
        };
        let held = Held { _places: Arc::new((place, own)) };
        let _ = stream.set_nodelay(true);
        let (router, stop, acceptor) = (router.clone(), stop.clone(), acceptor.clone());
        connections.spawn(async move {
            match acceptor {
                None => connection(stream, router, Peer { address, tls: false }, held, false, takes_within, stop).await,
                Some(acceptor) => {
                    if let Ok(Ok(stream)) = tokio::time::timeout(HEAD_WITHIN, acceptor.accept(stream)).await {
                        let http2 = stream.get_ref().1.alpn_protocol() == Some(b"h2");
                        let peer = Peer { address, tls: true };
                        connection(stream, router, peer, held, http2, takes_within, stop).await;
                    }
                }
            }
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(STOP_WITHIN, async { while connections.join_next().await.is_some() {} }).await;
}

/// Serves one connection. The version is known beforehand (HTTP/2 only where ALPN agreed on it), so that the deadline for
/// the first request runs from the first moment and a silent peer does not hold its place.
async fn connection<S>(
    stream: S,
    router: Router,
    peer: Peer,
    held: Held,
    http2: bool,
    takes_within: Duration,
    stop: CancellationToken,
) where
    S: AsyncRead + AsyncWrite + OverTcp + Unpin + Send + 'static,
{
    let (cut, intake) = (Cut::default(), Intake::default());
    let stream = Socket::new(stream, peer.address, cut.clone(), intake.clone(), takes_within);
    let own = cut.clone();
    let asked = Arc::new(AtomicBool::new(false));
    let first = asked.clone();
    let service = hyper::service::service_fn(move |mut request: Request<Incoming>| {
        first.store(true, Ordering::Relaxed);
        request.extensions_mut().insert(ConnectInfo(peer));
        request.extensions_mut().insert(held.clone());
        request.extensions_mut().insert(own.clone());
        request.extensions_mut().insert(intake.clone());
        router.clone().oneshot(request)
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder.http1().timer(TokioTimer::new()).header_read_timeout(HEAD_WITHIN);
    let mut two = builder.http2();
    two.timer(TokioTimer::new()).max_concurrent_streams(256);
    two.keep_alive_interval(PING_EVERY).keep_alive_timeout(HEAD_WITHIN);
    let builder = if http2 { builder.http2_only() } else { builder.http1_only() };
    let connection = builder.serve_connection_with_upgrades(TokioIo::new(stream), service);
    tokio::pin!(connection);
    // hyper's own deadline starts with the first byte; this one starts now.
    tokio::select! {
        _ = connection.as_mut() => return,
        () = cut.happened() => return,
        () = stop.cancelled() => {}
        () = tokio::time::sleep(HEAD_WITHIN) => {
            if !asked.load(Ordering::Relaxed) {
                return;
            }
            tokio::select! {
                _ = connection.as_mut() => return,
                () = cut.happened() => return,
                () = stop.cancelled() => {}
            }
        }
    }
    connection.as_mut().graceful_shutdown();
    tokio::select! {
        _ = tokio::time::timeout(STOP_WITHIN, connection) => {}
        () = cut.happened() => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::outgoing;
    use andon_model::SystemClock;
    use axum::Extension;
    use axum::body::Body;
    use axum::extract::ws::WebSocketUpgrade;
    use axum::routing::get;
    use futures_util::StreamExt as _;
    use std::net::SocketAddr;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::TcpStream;

    const TAKES_WITHIN: Duration = Duration::from_millis(500);
    const PIECE: usize = 64 << 10;

    /// An answer without end, and whether its body is gone.
    fn endless(still: Arc<AtomicBool>, cut: Option<Extension<Cut>>, gone: CancellationToken) -> Body {
        let guard = gone.drop_guard();
        let pieces = futures_util::stream::repeat_with(move || {
            let _until_the_body_ends = &guard;
            Ok(vec![b'x'; PIECE].into())
        });
        outgoing::body(pieces, move || still.load(Ordering::Relaxed), cut.map(|cut| cut.0))
    }

    /// Connects to a server of an endless answer and asks for it. The stop at the end of the test is up to the caller.
    async fn ask_endless(
        still: &Arc<AtomicBool>,
        takes_within: Duration,
    ) -> (TcpStream, CancellationToken, Arc<Places>, CancellationToken) {
        let (gone, still) = (CancellationToken::new(), Arc::clone(still));
        let body_gone = gone.clone();
        let answer = move |cut: Option<Extension<Cut>>| async move { endless(still, cut, body_gone) };
        let listener = super::listen("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let per_address = Places::counting_loopback(1, Arc::new(SystemClock));
        let bounds = Bounds { connections: 100, per_address: per_address.clone() };
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(answer));
        tokio::spawn(serve_patiently(listener, router, None, bounds, takes_within, stop.clone()));
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        stream.write_all(b"GET / HTTP/1.1\r\nhost: x\r\n\r\n").await.expect("asked");
        (stream, gone, per_address, stop)
    }

    /// Reads until the connection is over; how much came.
    async fn drain(stream: &mut TcpStream) -> (usize, Option<std::io::ErrorKind>) {
        let (mut bytes, mut buffer) = (0, vec![0; PIECE]);
        loop {
            match tokio::time::timeout(Duration::from_secs(10), stream.read(&mut buffer)).await.expect("an end") {
                Ok(0) => return (bytes, None),
                Ok(read) => bytes += read,
                Err(error) => return (bytes, Some(error.kind())),
            }
        }
    }

    #[tokio::test]
    async fn a_client_that_takes_nothing_is_cut_off_and_its_place_is_free() {
        let (mut client, gone, _, stop) = ask_endless(&Arc::new(AtomicBool::new(true)), TAKES_WITHIN).await;
        let address = client.peer_addr().expect("an address");
        tokio::time::timeout(Duration::from_secs(10), gone.cancelled()).await.expect("the answer is given up");
        let (taken, end) = drain(&mut client).await;
        assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset), "it does not look like the end of an answer");
        assert!(taken > 0, "what was sent before is there");
        // Its one place is free again.
        until_let_in(address).await;
        stop.cancel();
    }

    #[tokio::test]
    async fn a_client_that_reads_slowly_but_steadily_goes_on() {
        let (mut client, gone, _, stop) = ask_endless(&Arc::new(AtomicBool::new(true)), TAKES_WITHIN).await;
        let (mut taken, mut buffer, began) = (0, vec![0; PIECE], tokio::time::Instant::now());
        while began.elapsed() < TAKES_WITHIN * 5 {
            taken += client.read(&mut buffer).await.expect("it goes on");
            // Its pace, not a wait for something.
            tokio::time::sleep(TAKES_WITHIN / 20).await;
        }
        assert!(!gone.is_cancelled() && taken > 0);
        stop.cancel();
    }

    #[tokio::test]
    async fn nothing_that_waits_is_sent_once_the_right_is_gone() {
        let still = Arc::new(AtomicBool::new(true));
        let (mut client, gone, _, stop) = ask_endless(&still, TAKES_WITHIN * 1_000).await;
        client.readable().await.expect("the answer begins");
        let taken_away = tokio::time::Instant::now();
        still.store(false, Ordering::Relaxed);
        // A client that reads on sees the end as one that does not.
        tokio::time::timeout(Duration::from_secs(10), gone.cancelled()).await.expect("the answer is given up");
        let took = taken_away.elapsed();
        assert!(took < Duration::from_secs(1), "{took:?}");
        let (_, end) = drain(&mut client).await;
        assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset));
        stop.cancel();
    }

    #[tokio::test]
    async fn the_end_of_an_answer_is_not_sent_either_once_the_right_is_gone() {
        // All of it is taken ahead at once; some is with the system, and the rest waits for the client.
        const PIECES: usize = 6;
        let still = Arc::new(AtomicBool::new(true));
        let asked = still.clone();
        let made = CancellationToken::new();
        let all_made = made.clone();
        let answer = move |cut: Option<Extension<Cut>>| async move {
            let guard = made.drop_guard();
            let pieces = futures_util::stream::iter(0..PIECES).map(move |_| {
                let _until_the_body_ends = &guard;
                Ok(vec![b'x'; PIECE].into())
            });
            outgoing::body(pieces, move || asked.load(Ordering::Relaxed), cut.map(|cut| cut.0))
        };
        let listener = super::listen("127.0.0.1:0".parse().expect("an address")).expect("a port");
        let address = listener.local_addr().expect("an address");
        let bounds = Bounds { connections: 100, per_address: Places::counting_loopback(1, Arc::new(SystemClock)) };
        let stop = CancellationToken::new();
        let router = Router::new().route("/", get(answer));
        tokio::spawn(serve_patiently(listener, router, None, bounds, TAKES_WITHIN * 1_000, stop.clone()));
        let socket = tokio::net::TcpSocket::new_v4().expect("a socket");
        socket.set_recv_buffer_size(8 << 10).expect("a small buffer");
        let mut client = socket.connect(address).await.expect("a connection");
        client.write_all(b"GET / HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n").await.expect("asked");
        client.readable().await.expect("the answer begins");
        tokio::time::timeout(Duration::from_secs(10), all_made.cancelled()).await.expect("all of it is made");
        still.store(false, Ordering::Relaxed);
        // Its pace, not a wait for something.
        tokio::time::sleep(Duration::from_secs(3)).await;
        let (taken, end) = drain(&mut client).await;
        assert_eq!(end, Some(std::io::ErrorKind::ConnectionReset), "{taken} of {} bytes came", PIECES * PIECE);
        stop.cancel();
    }

    /// A listener on which a stranger has two places; loopback is a stranger here.
    async fn listen() -> (SocketAddr, Arc<Places>, CancellationToken) {
        let hold = |Extension(held): Extension<Held>, upgrade: WebSocketUpgrade| async move {
            upgrade.on_upgrade(move |mut socket| async move {
                let _held = held;
                while socket.recv().await.is_some_and(|message| message.is_ok()) {}
            })
        };
        let router = Router::new().route("/", get(|| async { "here" })).route("/ws", get(hold));
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
        let address = listener.local_addr().expect("an address");
        let per_address = Places::counting_loopback(2, Arc::new(SystemClock));
        let bounds = Bounds { connections: 100, per_address: per_address.clone() };
        let stop = CancellationToken::new();
        tokio::spawn(serve(listener, router, None, bounds, stop.clone()));
        (address, per_address, stop)
    }

    /// Sends a request on a fresh connection and reads the first line of the answer.
    async fn ask(address: SocketAddr, path: &str, more: &str) -> (TcpStream, String) {
        let mut stream = TcpStream::connect(address).await.expect("a connection");
        let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\n{more}\r\n");
        let _ = stream.write_all(request.as_bytes()).await;
        let mut answer = vec![0; 256];
        let read = tokio::time::timeout(Duration::from_secs(10), stream.read(&mut answer)).await.expect("in time");
        let text = String::from_utf8_lossy(&answer[..read.unwrap_or(0)]).into_owned();
        (stream, text.lines().next().unwrap_or_default().to_owned())
    }

    const UPGRADE: &str = "connection: upgrade\r\nupgrade: websocket\r\nsec-websocket-version: 13\r\nsec-websocket-key: dGhlIHNhbXBsZSBub25jZQ==\r\n";

    async fn until_let_in(address: SocketAddr) {
        let again = async { while ask(address, "/", "connection: close\r\n").await.1 != "HTTP/1.1 200 OK" {} };
        tokio::time::timeout(Duration::from_secs(10), again).await.expect("a place is given back");
    }

    #[tokio::test]
    async fn a_stranger_with_all_its_places_taken_is_closed_and_counted_and_let_in_again() {
        let (address, places, stop) = listen().await;
        let (first, said) = ask(address, "/", "").await;
        assert_eq!(said, "HTTP/1.1 200 OK");
        let (_second, said) = ask(address, "/", "").await;
        assert_eq!(said, "HTTP/1.1 200 OK", "kept open, so both places are taken");
        let (_, said) = ask(address, "/", "").await;
        // Whether the words arrive before the reset is up to the network.
        assert!(said.is_empty() || said == "HTTP/1.1 503 Service Unavailable", "{said}");
        assert_eq!(places.refused(), 1);
        drop(first);
        until_let_in(address).await;
        stop.cancel();
    }

    #[tokio::test]
    async fn a_web_socket_holds_its_place_as_long_as_it_lives() {
        let (address, places, stop) = listen().await;
        let (first, said) = ask(address, "/ws", UPGRADE).await;
        let (_second, _) = ask(address, "/ws", UPGRADE).await;
        assert_eq!(said, "HTTP/1.1 101 Switching Protocols");
        for _ in 0..20 {
            let (_, said) = ask(address, "/", "connection: close\r\n").await;
            assert!(said.is_empty() || said.contains("503"), "{said}");
        }
        assert_eq!(places.refused(), 20);
        drop(first);
        until_let_in(address).await;
        stop.cancel();
    }
}
