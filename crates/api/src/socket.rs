//! The socket of an HTTP connection, with an end for a client that takes nothing and for one who may no longer see what is sent.
//!
//! A client that does not read holds its connection, what the answer holds (the place of an export, rows in memory), and for how long is
//! up to it. So a write that has made no headway for a while fails, and the connection with it. One that reads slowly but steadily goes
//! on: each byte that the system takes is headway. So that it takes some often, its [buffer](listen) is kept small.

use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::sync::watch;
use tokio::time::{Sleep, sleep};
use tokio_rustls::server::TlsStream;
use tokio_util::sync::CancellationToken;

/// What the system may hold of an answer that a client does not take, in bytes; it doubles that, and takes more when a third of it is
/// free: so a client that reads some 1.5 kB/s makes headway within [`TAKES_WITHIN`]. Over a long line (50 ms) it still gives 5 MB/s.
const SEND_BUFFER: u32 = 128 << 10;
/// Connections that wait to be accepted.
const BACKLOG: u32 = 1024;

/// Listens at an address, for answers that clients take at their own pace.
/// # Errors
/// The address is taken, or not ours.
pub fn listen(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = if address.is_ipv4() { TcpSocket::new_v4()? } else { TcpSocket::new_v6()? };
    // As `TcpListener::bind` does: a restart need not wait for the connections of the last run to be forgotten.
    socket.set_reuseaddr(cfg!(unix))?;
    // Every accepted connection has it, too.
    socket.set_send_buffer_size(SEND_BUFFER)?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// A client that takes nothing for so long is gone.
pub(crate) const TAKES_WITHIN: Duration = Duration::from_secs(60);

/// Cuts a connection off: nothing that waits to be sent is sent any more, not even by the system.
#[derive(Clone, Debug, Default)]
pub struct Cut {
    off: CancellationToken,
    flushes: Arc<watch::Sender<u64>>,
}

/// There is no connection any more.
const CLOSED: u64 = u64::MAX;

impl Cut {
    /// Now.
    pub(crate) fn off(&self) {
        self.off.cancel();
    }

    /// Waits for it.
    pub(crate) async fn happened(&self) {
        self.off.cancelled().await;
    }

    /// How often everything was with the system that was to be sent. HTTP flushes a connection only when it holds nothing back itself.
    pub(crate) fn flushes(&self) -> u64 {
        *self.flushes.borrow()
    }

    /// Waits until that was once more the case, or the connection is gone.
    pub(crate) async fn flushed_after(&self, before: u64) {
        let mut flushes = self.flushes.subscribe();
        // We hold the sender ourselves, so it does not fail.
        let _ = flushes.wait_for(|now| *now == CLOSED || *now > before).await;
    }

    fn flushed(&self) {
        self.flushes.send_modify(|count| *count += 1);
    }

    fn closed(&self) {
        self.flushes.send_replace(CLOSED);
    }
}

/// How much more is read of a client: without bound, until one is [set](Self::set). What a layer above gathers of a message whose end has
/// not come (a WebSocket does) is bounded so for as long as nobody knows who sends it.
#[derive(Clone, Debug)]
pub(crate) struct Intake(Arc<AtomicUsize>);

/// As much as it likes.
const NO_BOUND: usize = usize::MAX;

impl Default for Intake {
    fn default() -> Self {
        Self(Arc::new(AtomicUsize::new(NO_BOUND)))
    }
}

impl Intake {
    /// So many bytes more; what comes beyond them, less than one read, ends the connection.
    pub(crate) fn set(&self, bytes: usize) {
        self.0.store(bytes, Ordering::Relaxed);
    }

    /// As much as it likes.
    pub(crate) fn open(&self) {
        self.0.store(NO_BOUND, Ordering::Relaxed);
    }

    /// So many came. Only one task reads, and sets what it may read.
    fn take(&self, bytes: usize) -> io::Result<()> {
        let left = self.0.load(Ordering::Relaxed);
        if left == NO_BOUND {
            return Ok(());
        }
        let left = left.checked_sub(bytes);
        self.0.store(left.unwrap_or_default(), Ordering::Relaxed);
        left.map(drop)
            .ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "more came than is taken of a stranger"))
    }
}

/// Whatever has a TCP connection inside.
pub(crate) trait OverTcp {
    /// The connection.
    fn tcp(&self) -> &TcpStream;
}

impl OverTcp for TcpStream {
    fn tcp(&self) -> &TcpStream {
        self
    }
}

impl OverTcp for TlsStream<TcpStream> {
    fn tcp(&self) -> &TcpStream {
        self.get_ref().0
    }
}

/// The socket.
pub(crate) struct Socket<S: OverTcp> {
    stream: S,
    peer: SocketAddr,
    cut: Cut,
    intake: Intake,
    takes_within: Duration,
    /// Runs while a write waits.
    waits: Option<Pin<Box<Sleep>>>,
}

impl<S: OverTcp> Socket<S> {
    pub(crate) const fn new(stream: S, peer: SocketAddr, cut: Cut, intake: Intake, takes_within: Duration) -> Self {
        Self { stream, peer, cut, intake, takes_within, waits: None }
    }

    /// A write that waits too long fails.
    fn headway<T>(&mut self, cx: &mut Context<'_>, written: Poll<io::Result<T>>) -> Poll<io::Result<T>> {
        if written.is_ready() {
            self.waits = None;
            return written;
        }
        let within = self.takes_within;
        ready!(self.waits.get_or_insert_with(|| Box::pin(sleep(within))).as_mut().poll(cx));
        self.cut.off();
        tracing::warn!(peer = %self.peer, "a client was cut off: it asked for something and has taken none of it for {} s", within.as_secs());
        Poll::Ready(Err(io::ErrorKind::TimedOut.into()))
    }
}

impl<S: OverTcp> Drop for Socket<S> {
    fn drop(&mut self) {
        self.cut.closed();
        if self.cut.off.is_cancelled() {
            // What the system has not sent yet goes with the connection.
            let _ = self.stream.tcp().set_zero_linger();
        }
    }
}

impl<S: AsyncRead + OverTcp + Unpin> AsyncRead for Socket<S> {
    fn poll_read(mut self: Pin<&mut Self>, cx: &mut Context<'_>, into: &mut ReadBuf<'_>) -> Poll<io::Result<()>> {
        let before = into.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(cx, into))?;
        Poll::Ready(self.intake.take(into.filled().len() - before))
    }
}

impl<S: AsyncWrite + OverTcp + Unpin> AsyncWrite for Socket<S> {
    fn poll_write(mut self: Pin<&mut Self>, cx: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write(cx, bytes);
        self.headway(cx, written)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        let written = Pin::new(&mut self.stream).poll_write_vectored(cx, pieces);
        self.headway(cx, written)
    }

    fn is_write_vectored(&self) -> bool {
        self.stream.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let flushed = Pin::new(&mut self.stream).poll_flush(cx);
        if let Poll::Ready(Ok(())) = flushed {
            self.cut.flushed();
        }
        self.headway(cx, flushed)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        let shut = Pin::new(&mut self.stream).poll_shutdown(cx);
        self.headway(cx, shut)
    }
}
