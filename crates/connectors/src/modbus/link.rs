//! One connection to one device: every request bounded in time, and none after a failure.
//!
//! A Modbus answer that comes late is taken for the answer to the next question (tokio-modbus #324, #60), so a connection on which
//! anything went wrong must never be used again. [`Link`] makes that unsayable: it takes its context out before each
//! request and puts it back only when the right answer has come. A timeout, an I/O error, a wrong header, a wrong length
//! or a dropped future leave it empty, and the socket closes.

use super::config::{Config, Table, place};
use super::value::{Raw, RawWrite};
use std::borrow::Cow;
use std::io;
use std::time::Duration;
use tokio::net::TcpStream;
use tokio_modbus::client::{Client, Context, tcp};
use tokio_modbus::{Request, Response, Slave};

/// Why the connection is gone.
#[derive(Debug, thiserror::Error)]
pub enum LinkError {
    /// Nobody answered at the address, or it said no.
    #[error("could not connect to {endpoint}: {}", io_words(source))]
    Connect {
        /// Where.
        endpoint: String,
        /// The cause.
        source: io::Error,
    },
    /// The connection was not made in time.
    #[error("could not connect to {endpoint} within {after:?}")]
    ConnectTimeout {
        /// Where.
        endpoint: String,
        /// The time limit.
        after: Duration,
    },
    /// The device did not answer in time.
    #[error("no answer to \"{asked}\" within {after:?}")]
    NoAnswer {
        /// What was asked.
        asked: String,
        /// The time limit.
        after: Duration,
    },
    /// The network or the device ended the connection.
    #[error("lost the connection during \"{asked}\": {}", io_words(source))]
    Lost {
        /// What was asked.
        asked: String,
        /// The cause.
        source: io::Error,
    },
    /// The answer does not belong to the question.
    #[error("the answer to \"{asked}\" does not fit: {detail}")]
    Protocol {
        /// What was asked.
        asked: String,
        /// What is wrong with it.
        detail: String,
    },
    /// An earlier request failed or was abandoned.
    #[error("the connection was dropped after an earlier failure")]
    Dropped,
}

impl LinkError {
    /// What to try.
    #[must_use]
    pub fn remedy(&self) -> &'static str {
        match self {
            Self::Connect { .. } | Self::ConnectTimeout { .. } => {
                "check that the device is on and on the network, that its Modbus TCP server is enabled, and that endpoint is its address and port"
            }
            Self::NoAnswer { .. } => {
                "check unit_id (gateways answer only for the units behind them), or raise timeout if the device is slow"
            }
            Self::Lost { .. } => "check the network; some devices allow only one or two connections at a time",
            Self::Protocol { .. } => {
                "check that a Modbus TCP device is at this address, and nothing else shares its connection"
            }
            Self::Dropped => "wait for the next connection",
        }
    }
}

/// The operating system's words, without its number where we have our own.
fn io_words(error: &io::Error) -> String {
    match error.kind() {
        io::ErrorKind::ConnectionRefused => "connection refused".to_owned(),
        io::ErrorKind::ConnectionReset | io::ErrorKind::ConnectionAborted => {
            "the device reset the connection".to_owned()
        }
        io::ErrorKind::BrokenPipe | io::ErrorKind::UnexpectedEof => "the device closed the connection".to_owned(),
        io::ErrorKind::TimedOut => "the network gave up".to_owned(),
        io::ErrorKind::HostUnreachable => "the host cannot be reached".to_owned(),
        io::ErrorKind::NetworkUnreachable => "the network cannot be reached".to_owned(),
        _ => error.to_string(),
    }
}

/// An I/O error during a request. The client library reports an orderly close by the device as "the last OS error",
/// which is then that of some unrelated earlier call; garbage on the wire comes as invalid data.
fn lost(asked: String, source: io::Error) -> LinkError {
    use io::ErrorKind as Kind;
    match source.kind() {
        Kind::InvalidData => LinkError::Protocol { asked, detail: source.to_string() },
        Kind::ConnectionReset | Kind::ConnectionAborted | Kind::BrokenPipe | Kind::TimedOut => {
            LinkError::Lost { asked, source }
        }
        Kind::HostUnreachable | Kind::NetworkUnreachable | Kind::UnexpectedEof => LinkError::Lost { asked, source },
        _ => LinkError::Lost { asked, source: Kind::UnexpectedEof.into() },
    }
}

/// The device understood and said no (Modbus Application Protocol V1.1b3 §7). The connection is still good.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the device refused \"{asked}\": {}", exception_words(*code))]
pub struct Refused {
    /// What was asked.
    pub asked: String,
    /// The exception code.
    pub code: u8,
}

impl Refused {
    /// True when a smaller request may be answered: the fault may lie in one address of the block.
    #[must_use]
    pub const fn may_concern_one_address(&self) -> bool {
        matches!(self.code, 0x02..=0x04)
    }

    /// True when asking again soon makes sense.
    #[must_use]
    pub const fn passes_by_itself(&self) -> bool {
        matches!(self.code, 0x05 | 0x06)
    }

    /// What to try.
    #[must_use]
    pub const fn remedy(&self) -> &'static str {
        match self.code {
            0x01 => "the device does not know this function: check `table`",
            0x02 => "check `table` and `address` against the device's register map; addresses here count from zero",
            0x03 => "check `type`, or lower `max_read`: the device refuses this many registers at once",
            0x05 | 0x06 => "the device is busy: raise `poll`",
            0x0A | 0x0B => "check unit_id and the cable behind the gateway",
            _ => "look at the device's own diagnosis",
        }
    }
}

/// An exception code in words: `exception 0x02 illegal data address`.
#[must_use]
pub fn exception_words(code: u8) -> String {
    let words = match code {
        0x01 => "illegal function",
        0x02 => "illegal data address",
        0x03 => "illegal data value",
        0x04 => "server device failure",
        0x05 => "acknowledge, still working",
        0x06 => "server device busy",
        0x08 => "memory parity error",
        0x0A => "gateway path unavailable",
        0x0B => "gateway target device failed to respond",
        _ => "unknown to the specification",
    };
    format!("exception {code:#04x} {words}")
}

/// What a read brought.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Data {
    /// Of a holding or input table, exactly as many as asked.
    Words(Vec<u16>),
    /// Of a coil or discrete table, exactly as many as asked.
    Bits(Vec<bool>),
}

impl Data {
    /// The part from `offset` on, `width` wide; `None` beyond the end.
    #[must_use]
    pub fn part(&self, offset: usize, width: usize) -> Option<Raw<'_>> {
        match self {
            Self::Words(words) => words.get(offset..offset.checked_add(width)?).map(Raw::Words),
            Self::Bits(bits) => bits.get(offset).copied().map(Raw::Bit),
        }
    }
}

/// The answer of a device that is there: what was asked for, or an exception.
pub type Answer<T> = Result<T, Refused>;

/// One connection. See the module's doc for the rule it keeps.
#[derive(Debug)]
pub struct Link {
    context: Option<Quiet>,
    timeout: Duration,
}

/// The library's context has no `Debug`.
struct Quiet(Context);

impl std::fmt::Debug for Quiet {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Context")
    }
}

impl Link {
    /// Connects, within the device's timeout.
    /// # Errors
    /// [`LinkError::Connect`] or [`LinkError::ConnectTimeout`].
    pub async fn connect(config: &Config) -> Result<Self, LinkError> {
        let endpoint = || config.endpoint.clone();
        let stream = match tokio::time::timeout(config.timeout, TcpStream::connect(&config.endpoint)).await {
            Err(_) => return Err(LinkError::ConnectTimeout { endpoint: endpoint(), after: config.timeout }),
            Ok(Err(source)) => return Err(LinkError::Connect { endpoint: endpoint(), source }),
            Ok(Ok(stream)) => stream,
        };
        // Requests are tiny and each waits for its answer, so nothing is gained by collecting them.
        stream.set_nodelay(true).map_err(|source| LinkError::Connect { endpoint: endpoint(), source })?;
        let context = tcp::attach_slave(stream, Slave(config.unit_id));
        Ok(Self { context: Some(Quiet(context)), timeout: config.timeout })
    }

    /// One request, one answer. On any error the link is empty from then on.
    async fn call(&mut self, request: Request<'_>, asked: impl Fn() -> String) -> Result<Answer<Response>, LinkError> {
        let mut context = self.context.take().ok_or(LinkError::Dropped)?;
        let answer = match tokio::time::timeout(self.timeout, context.0.call(request)).await {
            Err(_) => return Err(LinkError::NoAnswer { asked: asked(), after: self.timeout }),
            Ok(Err(tokio_modbus::Error::Transport(source))) => return Err(lost(asked(), source)),
            Ok(Err(tokio_modbus::Error::Protocol(error))) => {
                return Err(LinkError::Protocol { asked: asked(), detail: protocol_words(&error) });
            }
            Ok(Ok(answer)) => answer,
        };
        self.context = Some(context);
        Ok(answer.map_err(|code| Refused { asked: asked(), code: code.into() }))
    }

    /// The answer was well formed but is not the one to this question: out of step, so never again.
    fn misfit(&mut self, asked: String, detail: impl Into<String>) -> LinkError {
        self.context = None;
        LinkError::Protocol { asked, detail: detail.into() }
    }

    /// Reads `count` registers or bits from `start` on.
    /// # Errors
    /// [`LinkError`]: the connection is gone.
    pub async fn read(&mut self, table: Table, start: u16, count: u16) -> Result<Answer<Data>, LinkError> {
        let asked = || format!("read {}", place(table, start, count));
        let request = match table {
            Table::Coil => Request::ReadCoils(start, count),
            Table::Discrete => Request::ReadDiscreteInputs(start, count),
            Table::Holding => Request::ReadHoldingRegisters(start, count),
            Table::Input => Request::ReadInputRegisters(start, count),
        };
        let response = match self.call(request, asked).await? {
            Ok(response) => response,
            Err(refused) => return Ok(Err(refused)),
        };
        let wanted = usize::from(count);
        match response {
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) if words.len() == wanted => {
                Ok(Ok(Data::Words(words)))
            }
            // Bits come in whole bytes; the last ones are filling.
            Response::ReadCoils(mut bits) | Response::ReadDiscreteInputs(mut bits)
                if bits.len().div_ceil(8) == wanted.div_ceil(8) =>
            {
                bits.truncate(wanted);
                Ok(Ok(Data::Bits(bits)))
            }
            Response::ReadHoldingRegisters(words) | Response::ReadInputRegisters(words) => {
                Err(self.misfit(asked(), format!("{} registers came instead of {wanted}", words.len())))
            }
            Response::ReadCoils(bits) | Response::ReadDiscreteInputs(bits) => {
                Err(self.misfit(asked(), format!("{} bits came instead of {wanted}", bits.len())))
            }
            _ => Err(self.misfit(asked(), "another function answered")),
        }
    }

    /// Writes once. The device's echo must match what was sent.
    /// # Errors
    /// [`LinkError`]: the connection is gone, and nobody knows whether the write took effect.
    pub async fn write(&mut self, table: Table, address: u16, raw: &RawWrite) -> Result<Answer<()>, LinkError> {
        let (request, width) = match raw {
            RawWrite::Coil(on) => (Request::WriteSingleCoil(address, *on), 1),
            RawWrite::Bit { bit, on } => {
                let mask = 1_u16 << (bit & 15);
                (Request::MaskWriteRegister(address, !mask, if *on { mask } else { 0 }), 1)
            }
            RawWrite::Words(words) => match words.as_slice() {
                [word] => (Request::WriteSingleRegister(address, *word), 1),
                words => (Request::WriteMultipleRegisters(address, Cow::Borrowed(words)), words.len()),
            },
        };
        let width = u16::try_from(width).unwrap_or(u16::MAX);
        let asked = || format!("write {}", place(table, address, width));
        let expected = request.clone();
        let response = match self.call(request, asked).await? {
            Ok(response) => response,
            Err(refused) => return Ok(Err(refused)),
        };
        if echoes(&expected, &response) {
            Ok(Ok(()))
        } else {
            Err(self.misfit(asked(), "the echo differs from what was sent"))
        }
    }
}

fn echoes(request: &Request<'_>, response: &Response) -> bool {
    match (request, response) {
        (Request::WriteSingleCoil(at, on), Response::WriteSingleCoil(at_echo, on_echo)) => {
            at == at_echo && on == on_echo
        }
        (Request::WriteSingleRegister(at, word), Response::WriteSingleRegister(at_echo, word_echo)) => {
            at == at_echo && word == word_echo
        }
        (Request::WriteMultipleRegisters(at, words), Response::WriteMultipleRegisters(at_echo, count)) => {
            at == at_echo && words.len() == usize::from(*count)
        }
        (Request::MaskWriteRegister(at, and, or), Response::MaskWriteRegister(at_echo, and_echo, or_echo)) => {
            at == at_echo && and == and_echo && or == or_echo
        }
        _ => false,
    }
}

fn protocol_words(error: &tokio_modbus::ProtocolError) -> String {
    match error {
        tokio_modbus::ProtocolError::HeaderMismatch { .. } => "it belongs to another request".to_owned(),
        tokio_modbus::ProtocolError::FunctionCodeMismatch { request, .. } => {
            format!("another function than {request} answered")
        }
    }
}
