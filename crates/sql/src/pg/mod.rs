//! The PostgreSQL wire protocol: `psql`, drivers, dashboards.
//!
//! Users and rights are Andon's. A password travels in clear inside TLS, or over loopback; beyond loopback a
//! connection without TLS is refused. [`wire`] knows the bytes, [`session`] the conversation, [`values`] the types, [`catalog`]
//! what clients ask about the schema.

pub mod catalog;
pub(crate) mod functions;
mod session;
pub mod values;
pub mod wire;

use crate::Engine;
use andon_model::peer::Places;
use bytes::BytesMut;
use session::{Session, Stream};
use std::collections::HashMap;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;
use tokio_util::sync::CancellationToken;
use wire::Opening;

/// How long a connection may take until it is logged in.
const LOGGED_IN_WITHIN: Duration = Duration::from_secs(20);
/// Connections that are told that there is no place, at a time.
const REFUSING: usize = 64;

/// Who can be asked to cancel: process number → secret and bell.
#[derive(Debug, Default)]
struct Cancels(Mutex<HashMap<i32, (i32, watch::Sender<u64>)>>);

impl Cancels {
    fn lock(&self) -> std::sync::MutexGuard<'_, HashMap<i32, (i32, watch::Sender<u64>)>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn ring(&self, pid: i32, secret: i32) {
        if let Some((known, bell)) = self.lock().get(&pid)
            && *known == secret
        {
            bell.send_modify(|times| *times += 1);
        }
    }
}

/// A place in [`Cancels`], given back at the end.
#[derive(Debug)]
struct Ticket {
    cancels: Arc<Cancels>,
    pid: i32,
    secret: i32,
    bell: watch::Receiver<u64>,
}

impl Ticket {
    fn new(cancels: &Arc<Cancels>) -> Option<Self> {
        let mut all = cancels.lock();
        for _ in 0..100 {
            let mut random = [0; 8];
            getrandom::fill(&mut random).ok()?;
            let number = u64::from_ne_bytes(random);
            let pid = i32::try_from(number >> 33).ok()?;
            let secret = i32::try_from(number & 0x7FFF_FFFF).ok()?;
            if pid != 0 && !all.contains_key(&pid) {
                let (sender, bell) = watch::channel(0);
                all.insert(pid, (secret, sender));
                drop(all);
                return Some(Self { cancels: cancels.clone(), pid, secret, bell });
            }
        }
        None
    }
}

impl Drop for Ticket {
    fn drop(&mut self) {
        self.cancels.lock().remove(&self.pid);
    }
}

/// Accepts connections until `stop`; `strangers` bounds how many of them one address has.
pub async fn serve(
    listener: TcpListener,
    engine: Arc<Engine>,
    tls: Option<Arc<rustls::ServerConfig>>,
    strangers: Arc<Places>,
    stop: CancellationToken,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let cancels = Arc::new(Cancels::default());
    let places = Arc::new(Semaphore::new(engine.options().connections.max(1)));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            () = stop.cancelled() => break,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            accepted = listener.accept() => accepted,
        };
        let (stream, peer) = match accepted {
            Ok(accepted) => accepted,
            Err(error) => {
                // Usually "too many open files": the others go on, and we try again shortly.
                tracing::warn!(%error, "could not accept an SQL connection");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        let stranger = match strangers.take(peer.ip()) {
            Ok(stranger) => stranger,
            Err(refused) => {
                if let Some(count) = refused.tell {
                    tracing::warn!(source = %refused.source, most = refused.most, count, "SQL connections refused: the address has as many as it may");
                }
                continue;
            }
        };
        let _ = stream.set_nodelay(true);
        let place = places.clone().try_acquire_owned().ok();
        if place.is_none() && connections.len() > engine.options().connections + REFUSING {
            continue;
        }
        let (engine, acceptor, cancels, stop) = (engine.clone(), acceptor.clone(), cancels.clone(), stop.clone());
        connections.spawn(async move {
            let full = place.is_none();
            let talk = connection(stream, peer, &engine, acceptor, &cancels, full);
            tokio::select! {
                () = talk => {}
                () = stop.cancelled() => {}
            }
            drop((place, stranger));
        });
    }
    drop(listener);
    connections.shutdown().await;
}

/// Reads the first message of a stream; `None` when it is none.
async fn opening<S: AsyncReadExt + Unpin>(stream: &mut S) -> Option<Opening> {
    let len = usize::try_from(stream.read_i32().await.ok()?).ok()?;
    if !(8..=wire::MAX_STARTUP).contains(&len) {
        return None;
    }
    let mut body = vec![0; len - 4];
    stream.read_exact(&mut body).await.ok()?;
    wire::opening(&body).ok()
}

/// A connection from the first byte on.
async fn connection(
    stream: TcpStream,
    peer: SocketAddr,
    engine: &Arc<Engine>,
    acceptor: Option<TlsAcceptor>,
    cancels: &Arc<Cancels>,
    full: bool,
) {
    let local = peer.ip().to_canonical().is_loopback();
    let begun = tokio::time::timeout(LOGGED_IN_WITHIN, async {
        let (mut stream, secure, opening) = open(stream, acceptor, cancels).await?;
        let Opening::Startup { minor, parameters } = opening else { return None };
        let refusal = if full {
            Some((
                "53300",
                "there are as many SQL connections as are allowed; close one, or raise [sql] connections in the settings",
            ))
        } else if !secure && !local {
            Some(("28000", "a connection from another machine must be encrypted; connect with sslmode=require"))
        } else {
            None
        };
        if let Some((code, words)) = refusal {
            refuse(&mut stream, code, words).await;
            return None;
        }
        let ticket = Ticket::new(cancels)?;
        Session::begin(stream, peer, engine.clone(), ticket, minor, parameters).await
    });
    if let Ok(Some(session)) = begun.await {
        session.run().await;
    }
}

async fn refuse(stream: &mut Stream, code: &str, words: &str) {
    let mut out = BytesMut::new();
    wire::error(&mut out, "FATAL", code, words);
    let _ = stream.write_all(&out).await;
    let _ = stream.shutdown().await;
}

/// Encryption or not, until the client begins. The second item: whether it is encrypted.
async fn open(
    mut stream: TcpStream,
    acceptor: Option<TlsAcceptor>,
    cancels: &Cancels,
) -> Option<(Stream, bool, Opening)> {
    loop {
        // Read byte by byte as long as nothing is encrypted, so that nothing sent in clear is taken for encrypted.
        match opening(&mut stream).await? {
            Opening::Tls => match &acceptor {
                None => stream.write_all(b"N").await.ok()?,
                Some(acceptor) => {
                    stream.write_all(b"S").await.ok()?;
                    let mut stream: Stream = Box::new(acceptor.accept(stream).await.ok()?);
                    let opening = opening(&mut stream).await?;
                    if let Opening::Cancel { pid, secret } = opening {
                        cancels.ring(pid, secret);
                        return None;
                    }
                    return Some((stream, true, opening));
                }
            },
            Opening::Gss => stream.write_all(b"N").await.ok()?,
            Opening::Cancel { pid, secret } => {
                cancels.ring(pid, secret);
                return None;
            }
            Opening::Unknown => {
                refuse(
                    &mut (Box::new(stream) as Stream),
                    "0A000",
                    "only version 3 of the PostgreSQL protocol is spoken here",
                )
                .await;
                return None;
            }
            startup @ Opening::Startup { .. } => return Some((Box::new(stream), false, startup)),
        }
    }
}
