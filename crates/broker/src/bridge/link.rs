//! A connection to another broker, as its client: CONNECT, and packets in both directions.

use super::status::{Trouble, words};
use super::{BridgeOptions, Dial, NODE, Stream};
use andon_wire::mqtt::{
    ConnAck, Connect, ConnectProperties, DecodeError, Decoder, Disconnect, Limits, Oversize, Packet, ReasonCode, Size,
    Text,
};
use bytes::{Buf, Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt, ReadHalf, WriteHalf};
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use tokio::time::timeout;

/// So much may wait to be written before no more messages are sent.
const OUT_BYTES: usize = 256 << 10;
/// So many packets may wait to be written. With more, which are no messages, the link is given up.
const OUT_PACKETS: usize = 8192;
/// The places among them that are for answers and questions.
const OUT_RESERVED: usize = 1024;
/// The largest packet that is taken from the other side beside its payload: topic and properties.
const BESIDE_PAYLOAD: usize = 1 << 17;
/// How many messages may be on their way to us.
pub(super) const RECEIVE: u16 = 100;
/// How long goodbye may take.
const FAREWELL: Duration = Duration::from_secs(1);

/// What came from the other side.
#[derive(Debug)]
pub(super) enum Arrival {
    Packet(Packet),
    /// A message that is larger than anything that is taken; it was read away.
    Oversize(Oversize),
}

/// Why nothing more comes.
#[derive(Debug)]
pub(super) struct Cut {
    pub(super) trouble: Trouble,
    /// The other side has closed, as far as can be seen, and not the network in between failed.
    pub(super) by_other_side: bool,
}

impl From<Cut> for Trouble {
    fn from(cut: Cut) -> Self {
        cut.trouble
    }
}

/// How far writing is.
#[derive(Default)]
struct Written {
    /// Bytes that wait to be written. Messages stop at [`OUT_BYTES`]; answers to the other side's packets are as many as those.
    waiting: AtomicUsize,
    /// Nothing can be written any more, for the other side has closed.
    is_cut: AtomicBool,
}

/// The link to the other side.
pub(super) struct Link {
    read: ReadHalf<Box<dyn Stream>>,
    arrived: BytesMut,
    decoder: Decoder,
    /// A message that is being read away, and how many bytes of it are still to come.
    skipping: Option<(Oversize, usize)>,
    out: mpsc::Sender<Bytes>,
    written: Arc<Written>,
    writer: JoinHandle<()>,
    version: andon_wire::mqtt::Version,
    pub(super) conn_ack: ConnAck,
}

impl Drop for Link {
    fn drop(&mut self) {
        self.writer.abort();
    }
}

impl std::fmt::Debug for Link {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Link").finish_non_exhaustive()
    }
}

/// Writes until there is no sender any more, or nothing can be written.
async fn write_out(write: WriteHalf<Box<dyn Stream>>, mut packets: mpsc::Receiver<Bytes>, written: Arc<Written>) {
    if let Err(error) = write_all(write, &mut packets, &written.waiting).await {
        // Before anybody is told, by the end of `packets`, that nothing is written.
        written.is_cut.store(is_of_other_side(error.kind()), Ordering::Release);
    }
}

async fn write_all(
    mut write: WriteHalf<Box<dyn Stream>>,
    packets: &mut mpsc::Receiver<Bytes>,
    waiting: &AtomicUsize,
) -> io::Result<()> {
    let mut together = BytesMut::new();
    while let Some(packet) = packets.recv().await {
        together.clear();
        together.extend_from_slice(&packet);
        while together.len() < OUT_BYTES
            && let Ok(packet) = packets.try_recv()
        {
            together.extend_from_slice(&packet);
        }
        write.write_all(&together).await?;
        write.flush().await?;
        waiting.fetch_sub(together.len(), Ordering::AcqRel);
    }
    write.shutdown().await
}

impl Link {
    /// Connects and is let in, within `answer_within` for each of the two.
    pub(super) async fn open(
        options: &BridgeOptions,
        dial: &dyn Dial,
        clean_start: bool,
        payload_bytes: usize,
    ) -> Result<Self, Trouble> {
        let within = options.answer_within;
        let silent = |what: &str| {
            let text = format!("the other side {what} within {} s", within.as_secs_f64());
            Trouble::new(text, "look whether it is running and whether a firewall is in between")
        };
        let stream = timeout(within, dial.dial()).await.map_err(|_| silent("did not take the connection"))??;
        let (read, write) = tokio::io::split(stream);
        let (out, packets) = mpsc::channel(OUT_PACKETS);
        let written = Arc::new(Written::default());
        let packet_bytes = payload_bytes.saturating_add(BESIDE_PAYLOAD);
        // A message with more properties than we take is answered so, and no reason to end the link: the packet's size bounds them.
        let limits = Limits { packet_bytes, user_properties: usize::MAX };
        let mut link = Self {
            read,
            arrived: BytesMut::new(),
            decoder: Decoder::client(options.version, limits),
            skipping: None,
            out,
            written: written.clone(),
            writer: tokio::spawn(write_out(write, packets, written)),
            version: options.version,
            conn_ack: ConnAck::default(),
        };
        link.send(&connect(options, clean_start, packet_bytes))?;
        let first =
            timeout(within, link.next()).await.map_err(|_| silent("took the connection and did not answer"))??;
        let Arrival::Packet(Packet::ConnAck(answer)) = first else {
            return Err(Trouble::new(
                "the other side answered CONNECT with another packet",
                "look whether an MQTT broker listens there",
            ));
        };
        if !answer.reason.is_success() {
            return Err(refused(&answer));
        }
        link.conn_ack = *answer;
        Ok(link)
    }

    /// The next packet.
    async fn next(&mut self) -> Result<Arrival, Trouble> {
        loop {
            if let Some(packet) = self.take()? {
                return Ok(packet);
            }
            self.fill().await?;
        }
    }

    /// The next packet that has arrived wholly.
    pub(super) fn take(&mut self) -> Result<Option<Arrival>, Trouble> {
        if self.skipping.is_none() {
            match self.decoder.size(&self.arrived) {
                Size::Within => {}
                Size::Unknown => return Ok(None),
                Size::Over(over) => {
                    let bytes = over.bytes;
                    self.skipping = Some((over, bytes));
                }
            }
        }
        if let Some((over, left)) = self.skipping.take() {
            let here = left.min(self.arrived.len());
            self.arrived.advance(here);
            if here < left {
                self.skipping = Some((over, left - here));
                return Ok(None);
            }
            return Ok(Some(Arrival::Oversize(over)));
        }
        let packet = self.decoder.decode(&mut self.arrived).map_err(|error| {
            self.say_bye(error.reason());
            malformed(&error)
        })?;
        Ok(packet.map(Arrival::Packet))
    }

    /// Reads more. May be dropped at any time.
    pub(super) async fn fill(&mut self) -> Result<(), Cut> {
        let error = match self.read.read_buf(&mut self.arrived).await {
            Ok(0) => {
                let trouble = Trouble::new(
                    "the other side closed the connection",
                    "look into its log; another client with the same client_id would have this effect",
                );
                return Err(Cut { trouble, by_other_side: true });
            }
            Ok(_) => return Ok(()),
            Err(error) => error,
        };
        let by_other_side = is_of_other_side(error.kind());
        let text = format!("the connection broke: {error}");
        Err(Cut { trouble: Trouble::new(text, "look at the network in between"), by_other_side })
    }

    /// Hands a packet to the writer.
    pub(super) fn send(&self, packet: &Packet) -> Result<(), Trouble> {
        let mut bytes = BytesMut::new();
        packet.encode(self.version, &mut bytes).map_err(|error| {
            Trouble::new(format!("a packet could not be written: {error}"), "shorten client_id, user or filters")
        })?;
        self.send_bytes(bytes.freeze())
    }

    pub(super) fn send_bytes(&self, bytes: Bytes) -> Result<(), Trouble> {
        self.written.waiting.fetch_add(bytes.len(), Ordering::AcqRel);
        self.out.try_send(bytes).map_err(|error| match error {
            mpsc::error::TrySendError::Closed(_) => {
                Trouble::new("the connection broke", "look at the network in between")
            }
            mpsc::error::TrySendError::Full(_) => {
                Trouble::new("the other side does not read what it is sent", "look whether it is overloaded")
            }
        })
    }

    /// Whether writing found that the other side has closed.
    pub(super) fn is_cut(&self) -> bool {
        self.written.is_cut.load(Ordering::Acquire)
    }

    /// Whether one more message may be written.
    pub(super) fn has_room(&self) -> bool {
        self.written.waiting.load(Ordering::Acquire) < OUT_BYTES && self.out.capacity() > OUT_RESERVED
    }

    /// The server's limit for a packet, in bytes.
    pub(super) fn packet_bytes(&self) -> usize {
        let most = self.conn_ack.properties.maximum_packet_size;
        most.map_or(usize::MAX, |most| usize::try_from(most).unwrap_or(usize::MAX))
    }

    fn say_bye(&self, reason: ReasonCode) {
        if self.version.is_v5() || reason == ReasonCode::SUCCESS {
            let _ = self.send(&Packet::Disconnect(Disconnect { reason, ..Disconnect::default() }));
        }
    }

    /// Says goodbye and closes.
    pub(super) async fn close(self) {
        self.say_bye(ReasonCode::SUCCESS);
        self.finish().await;
    }

    /// Closes once what was said is written, if that does not take long.
    pub(super) async fn finish(mut self) {
        // Without a sender the writer ends once all is written.
        self.out = mpsc::channel(1).0;
        let _ = timeout(FAREWELL, &mut self.writer).await;
    }
}

/// Whether a connection breaks so when its other end closes it. TLS calls an end without goodbye an unexpected one.
const fn is_of_other_side(kind: io::ErrorKind) -> bool {
    use io::ErrorKind::{BrokenPipe, ConnectionAborted, ConnectionReset, UnexpectedEof};
    matches!(kind, BrokenPipe | ConnectionAborted | ConnectionReset | UnexpectedEof)
}

fn connect(options: &BridgeOptions, clean_start: bool, packet_bytes: usize) -> Packet {
    let mut properties = ConnectProperties::default();
    if options.version.is_v5() {
        properties.session_expiry_s = (!clean_start).then_some(options.session_expiry_s);
        properties.receive_maximum = Some(RECEIVE);
        properties.maximum_packet_size = u32::try_from(packet_bytes).ok();
        if let (Ok(name), Ok(node)) = (Text::parse(NODE), Text::parse(&options.node.to_string())) {
            properties.user.push((name, node));
        }
    }
    Packet::Connect(Box::new(Connect {
        version: options.version,
        clean_start,
        keep_alive_s: options.keep_alive_s,
        client_id: options.client_id.clone(),
        will: None,
        user_name: options.user.clone(),
        password: options.password.as_ref().map(|password| password.0.clone()),
        properties,
    }))
}

fn malformed(error: &DecodeError) -> Trouble {
    Trouble::new(
        format!("the other side sent what is no acceptable packet: {error}"),
        "look whether an MQTT broker of this version listens there",
    )
}

/// A refusal in words, with what to try.
fn refused(answer: &ConnAck) -> Trouble {
    let more = words(answer.properties.reason_string.as_ref());
    let text = format!("the other side refused the connection: {}{more}", answer.reason);
    let remedy = match answer.reason {
        ReasonCode::BAD_USER_NAME_OR_PASSWORD => {
            "correct `user`, or set the password's secret anew: andon secret set NAME"
        }
        ReasonCode::NOT_AUTHORIZED | ReasonCode::BANNED => {
            // Some say so of a wrong password.
            "allow this user and client_id at the other side, or set the password's secret anew: andon secret set NAME"
        }
        ReasonCode::CLIENT_IDENTIFIER_NOT_VALID => "choose another `client_id`",
        ReasonCode::UNSUPPORTED_PROTOCOL_VERSION => "set `version` to the other version",
        _ => "look into the other side's log",
    };
    Trouble::new(text, remedy)
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::duplex;

    #[tokio::test]
    async fn that_the_other_side_has_closed_is_known_before_writing_is_told_to_be_over() {
        for closes in [true, false] {
            let (near, far) = duplex(1024);
            let (_, write) = tokio::io::split(Box::new(near) as Box<dyn Stream>);
            let (out, packets) = mpsc::channel(1);
            let written = Arc::new(Written::default());
            let far = (!closes).then_some(far);
            let writing = tokio::spawn(write_out(write, packets, written.clone()));
            out.send(Bytes::from_static(b"packet")).await.unwrap();
            if closes {
                timeout(FAREWELL, out.closed()).await.expect("writing is over");
            } else {
                drop(out);
            }
            assert_eq!(written.is_cut.load(Ordering::Acquire), closes);
            writing.await.unwrap();
            drop(far);
        }
    }
}
