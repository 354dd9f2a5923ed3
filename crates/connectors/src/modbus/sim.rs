//! A Modbus TCP device that answers: for tests, for the demo, and for foreign clients to read.
//!
//! A [`Bank`] holds the registers that exist; any other address is refused with exception 0x02, as devices do. A
//! [`Simulator`] serves a bank on a real socket. On request it misbehaves: late answers ([`Fault::Delay`]), a refused
//! address ([`Fault::Refuse`]), a connection cut in the middle of an answer ([`Fault::Vanish`]).
//!
//! **Invariants**: the bank's lock is never held across an await; nothing is served after [`Simulator::stop`].

use super::config::Table;
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::pin::Pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::task::{Context, Poll};
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Notify;
use tokio::task::JoinHandle;
use tokio_modbus::server::Service;
use tokio_modbus::server::tcp::Server;
use tokio_modbus::{ExceptionCode, Request, Response, SlaveRequest};
use tokio_util::sync::CancellationToken;

/// Asked before a write is taken: the table, the first address and the new contents (bits as 0 and 1).
/// An error is the exception code that the device answers with.
pub type WriteHook = Box<dyn Fn(Table, u16, &[u16]) -> Result<(), u8> + Send + Sync>;

/// A misbehaviour.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Fault {
    /// Each answer comes this much later.
    Delay(Duration),
    /// Requests that touch this address are refused with this exception code.
    Refuse {
        /// The table.
        table: Table,
        /// The zero-based address.
        address: u16,
        /// The exception code.
        code: u8,
    },
    /// The connection is cut in the middle of the next answer, once.
    Vanish,
}

/// The registers of a device.
#[derive(Default)]
pub struct Bank {
    cells: Mutex<BTreeMap<(Table, u16), u16>>,
    hook: Mutex<Option<WriteHook>>,
}

impl std::fmt::Debug for Bank {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Bank").field("cells", &lock(&self.cells).len()).finish_non_exhaustive()
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl Bank {
    /// A device without registers.
    #[must_use]
    pub fn new() -> Arc<Self> {
        Arc::default()
    }

    /// Sets registers from `address` on, and makes them exist. What lies beyond 65535 is left out.
    pub fn set(&self, table: Table, address: u16, words: &[u16]) {
        let mut cells = lock(&self.cells);
        for (address, word) in (address..=u16::MAX).zip(words) {
            cells.insert((table, address), *word);
        }
    }

    /// Sets one bit of a coil or discrete table, and makes it exist.
    pub fn set_bit(&self, table: Table, address: u16, on: bool) {
        self.set(table, address, &[u16::from(on)]);
    }

    /// Sets a 32-bit number, the high word first.
    #[expect(clippy::cast_possible_truncation, reason = "the two halves")]
    pub fn set_u32(&self, table: Table, address: u16, value: u32) {
        self.set(table, address, &[(value >> 16) as u16, value as u16]);
    }

    /// Sets a single-precision number, the high word first.
    pub fn set_f32(&self, table: Table, address: u16, value: f32) {
        self.set_u32(table, address, value.to_bits());
    }

    /// Sets a text in `width` registers, filled up with NUL, cut where there is no more room.
    pub fn set_text(&self, table: Table, address: u16, width: u16, text: &str) {
        let mut bytes: Vec<u8> = text.bytes().take(usize::from(width) * 2).collect();
        bytes.resize(usize::from(width) * 2, 0);
        let words: Vec<u16> =
            bytes.chunks_exact(2).map(|pair| pair.iter().fold(0, |word, byte| word << 8 | u16::from(*byte))).collect();
        self.set(table, address, &words);
    }

    /// `count` registers from `address` on; `None` if one of them does not exist.
    #[must_use]
    pub fn get(&self, table: Table, address: u16, count: u16) -> Option<Vec<u16>> {
        let cells = lock(&self.cells);
        (0..count).map(|step| cells.get(&(table, address.checked_add(step)?)).copied()).collect()
    }

    /// One register or bit; 0 if it does not exist.
    #[must_use]
    pub fn word(&self, table: Table, address: u16) -> u16 {
        lock(&self.cells).get(&(table, address)).copied().unwrap_or(0)
    }

    /// A single-precision number, the high word first; 0 if it does not exist.
    #[must_use]
    pub fn f32(&self, table: Table, address: u16) -> f32 {
        let (high, low) = (self.word(table, address), self.word(table, address.saturating_add(1)));
        f32::from_bits(u32::from(high) << 16 | u32::from(low))
    }

    /// Asks `hook` before each write from the network.
    pub fn on_write(&self, hook: WriteHook) {
        *lock(&self.hook) = Some(hook);
    }

    /// A write from the network: all addresses must exist, and the hook must agree.
    fn write(&self, table: Table, address: u16, words: &[u16]) -> Result<(), ExceptionCode> {
        let count = u16::try_from(words.len()).map_err(|_| ExceptionCode::IllegalDataValue)?;
        self.get(table, address, count).ok_or(ExceptionCode::IllegalDataAddress)?;
        if let Some(hook) = lock(&self.hook).as_ref() {
            hook(table, address, words).map_err(ExceptionCode::new)?;
        }
        self.set(table, address, words);
        Ok(())
    }
}

/// What a simulator and its connections share.
#[derive(Debug)]
struct Shared {
    bank: Arc<Bank>,
    faults: Mutex<Vec<Fault>>,
    requests: AtomicU64,
    kick: Notify,
}

/// A device on a socket.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    shared: Arc<Shared>,
    stop: CancellationToken,
    task: JoinHandle<()>,
}

impl Simulator {
    /// Listens on `address` (port 0: any free one) and serves `bank` to any unit id.
    /// # Errors
    /// The address cannot be bound.
    pub async fn start(address: SocketAddr, bank: Arc<Bank>) -> io::Result<Self> {
        let listener = TcpListener::bind(address).await?;
        let address = listener.local_addr()?;
        let shared =
            Arc::new(Shared { bank, faults: Mutex::default(), requests: AtomicU64::new(0), kick: Notify::new() });
        let stop = CancellationToken::new();
        let task = tokio::spawn(serve(Server::new(listener), shared.clone(), stop.clone()));
        Ok(Self { address, shared, stop, task })
    }

    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Its registers.
    #[must_use]
    pub fn bank(&self) -> &Arc<Bank> {
        &self.shared.bank
    }

    /// How many requests it has been asked since the start.
    #[must_use]
    pub fn requests(&self) -> u64 {
        self.shared.requests.load(Ordering::Relaxed)
    }

    /// Misbehaves from now on.
    pub fn misbehave(&self, fault: Fault) {
        lock(&self.shared.faults).push(fault);
    }

    /// Behaves well from now on.
    pub fn behave(&self) {
        lock(&self.shared.faults).clear();
    }

    /// Closes all connections; new ones are taken.
    pub fn close_connections(&self) {
        self.shared.kick.notify_one();
    }

    /// Closes the socket and all connections, and waits until they are closed.
    pub async fn stop(self) {
        self.stop.cancel();
        // The task only ends; that it was cancelled or panicked changes nothing for a device that goes away.
        let _ = self.task.await;
    }
}

async fn serve(server: Server, shared: Arc<Shared>, stop: CancellationToken) {
    let on_connected = |stream: TcpStream, _peer: SocketAddr| {
        let shared = shared.clone();
        async move {
            // Without it small answers wait for the peer's delayed acknowledgement.
            stream.set_nodelay(true)?;
            Ok(Some((Device { shared: shared.clone() }, Socket { stream, shared, cut: false })))
        }
    };
    loop {
        // Dropping `serve` closes its connections but not the listener.
        tokio::select! {
            () = stop.cancelled() => return,
            () = shared.kick.notified() => {}
            served = server.serve(&on_connected, |error| tracing::debug!("a connection to a simulated device ended: {error}")) => {
                if let Err(error) = served {
                    tracing::debug!("a simulated device could not take a connection: {error}");
                }
            }
        }
    }
}

/// The device behind one connection.
struct Device {
    shared: Arc<Shared>,
}

impl Service for Device {
    type Request = SlaveRequest<'static>;
    type Response = Response;
    type Exception = ExceptionCode;
    type Future = Pin<Box<dyn Future<Output = Result<Response, ExceptionCode>> + Send>>;

    fn call(&self, request: Self::Request) -> Self::Future {
        let shared = self.shared.clone();
        Box::pin(async move {
            shared.requests.fetch_add(1, Ordering::Relaxed);
            let answer = refusal(&shared, &request.request).map_or_else(|| answer(&shared.bank, &request.request), Err);
            let delay = lock(&shared.faults)
                .iter()
                .find_map(|fault| if let Fault::Delay(span) = fault { Some(*span) } else { None });
            if let Some(span) = delay {
                tokio::time::sleep(span).await;
            }
            answer
        })
    }
}

fn answer(bank: &Bank, request: &Request<'_>) -> Result<Response, ExceptionCode> {
    let read = |table: Table, address: u16, count: u16, limit: u16| match count {
        0 => Err(ExceptionCode::IllegalDataValue),
        _ if count > limit => Err(ExceptionCode::IllegalDataValue),
        _ => bank.get(table, address, count).ok_or(ExceptionCode::IllegalDataAddress),
    };
    let bits = |words: Vec<u16>| words.into_iter().map(|word| word != 0).collect();
    Ok(match request {
        Request::ReadCoils(at, count) => Response::ReadCoils(bits(read(Table::Coil, *at, *count, 2000)?)),
        Request::ReadDiscreteInputs(at, count) => {
            Response::ReadDiscreteInputs(bits(read(Table::Discrete, *at, *count, 2000)?))
        }
        Request::ReadHoldingRegisters(at, count) => {
            Response::ReadHoldingRegisters(read(Table::Holding, *at, *count, 125)?)
        }
        Request::ReadInputRegisters(at, count) => Response::ReadInputRegisters(read(Table::Input, *at, *count, 125)?),
        Request::WriteSingleCoil(at, on) => {
            bank.write(Table::Coil, *at, &[u16::from(*on)])?;
            Response::WriteSingleCoil(*at, *on)
        }
        Request::WriteMultipleCoils(at, on) => {
            let words: Vec<u16> = on.iter().map(|on| u16::from(*on)).collect();
            bank.write(Table::Coil, *at, &words)?;
            Response::WriteMultipleCoils(*at, u16::try_from(words.len()).unwrap_or(u16::MAX))
        }
        Request::WriteSingleRegister(at, word) => {
            bank.write(Table::Holding, *at, &[*word])?;
            Response::WriteSingleRegister(*at, *word)
        }
        Request::WriteMultipleRegisters(at, words) => {
            bank.write(Table::Holding, *at, words)?;
            Response::WriteMultipleRegisters(*at, u16::try_from(words.len()).unwrap_or(u16::MAX))
        }
        Request::MaskWriteRegister(at, and, or) => {
            let word = read(Table::Holding, *at, 1, 1)?.into_iter().next().unwrap_or_default();
            bank.write(Table::Holding, *at, &[(word & and) | (or & !and)])?;
            Response::MaskWriteRegister(*at, *and, *or)
        }
        Request::ReadWriteMultipleRegisters(from, count, at, words) => {
            bank.write(Table::Holding, *at, words)?;
            Response::ReadWriteMultipleRegisters(read(Table::Holding, *from, *count, 125)?)
        }
        _ => return Err(ExceptionCode::IllegalFunction),
    })
}

/// The exception that a fault asks for.
fn refusal(shared: &Shared, request: &Request<'_>) -> Option<ExceptionCode> {
    let (table, start, count) = match request {
        Request::ReadCoils(at, count) => (Table::Coil, *at, usize::from(*count)),
        Request::ReadDiscreteInputs(at, count) => (Table::Discrete, *at, usize::from(*count)),
        Request::ReadHoldingRegisters(at, count) => (Table::Holding, *at, usize::from(*count)),
        Request::ReadInputRegisters(at, count) => (Table::Input, *at, usize::from(*count)),
        Request::WriteSingleCoil(at, _) => (Table::Coil, *at, 1),
        Request::WriteMultipleCoils(at, on) => (Table::Coil, *at, on.len()),
        Request::WriteSingleRegister(at, _) | Request::MaskWriteRegister(at, ..) => (Table::Holding, *at, 1),
        Request::WriteMultipleRegisters(at, words) => (Table::Holding, *at, words.len()),
        _ => return None,
    };
    let span = usize::from(start)..usize::from(start).saturating_add(count);
    lock(&shared.faults).iter().find_map(|fault| match fault {
        Fault::Refuse { table: of, address, code } if *of == table && span.contains(&usize::from(*address)) => {
            Some(ExceptionCode::new(*code))
        }
        _ => None,
    })
}

/// A stream that can be cut in the middle of an answer.
#[derive(Debug)]
struct Socket {
    stream: TcpStream,
    shared: Arc<Shared>,
    cut: bool,
}

impl AsyncRead for Socket {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_read(context, buffer)
    }
}

impl AsyncWrite for Socket {
    fn poll_write(mut self: Pin<&mut Self>, context: &mut Context<'_>, bytes: &[u8]) -> Poll<io::Result<usize>> {
        if self.cut {
            return Poll::Ready(Err(io::ErrorKind::BrokenPipe.into()));
        }
        let vanish = {
            let mut faults = lock(&self.shared.faults);
            faults.iter().position(|fault| *fault == Fault::Vanish).map(|index| faults.remove(index)).is_some()
        };
        if vanish {
            self.cut = true;
            let half = bytes.split_at(bytes.len() / 2).0;
            return Pin::new(&mut self.stream).poll_write(context, half);
        }
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }
    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }
    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}
