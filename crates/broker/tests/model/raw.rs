//! Anything at all in every state of a connection: the broker says why and closes, or goes on; a client beside it does
//! not notice; nothing panics, and nothing grows.

use crate::choice::Choice;
use crate::client::Line;
use crate::generate;
use crate::harness::{Site, filter, open_log, publish};
use crate::heard::Heard;
use crate::mutate::mutate;
use andon_broker::BrokerOptions;
use andon_wire::mqtt::*;
use bytes::BytesMut;
use std::time::Duration;

/// How far a connection has come before anything is said to it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum State {
    /// Nothing was said.
    New,
    /// A part of a CONNECT was said.
    HalfConnect,
    /// CONNECT was said, and what follows comes before CONNACK.
    Hasty,
    /// Connected, nothing more.
    Idle,
    /// Connected to a session that outlives the connection.
    Lasting,
    /// A message with QoS 1 has come and waits for PUBACK.
    OwesPubAck,
    /// A message with QoS 2 has come and waits for PUBREC.
    OwesPubRec,
    /// PUBREL has come and waits for PUBCOMP.
    OwesPubComp,
    /// The broker has said PUBREC and waits for PUBREL.
    OwesPubRel,
    /// DISCONNECT was said.
    Left,
}

const STATES: [State; 10] = [
    State::New,
    State::HalfConnect,
    State::Hasty,
    State::Idle,
    State::Lasting,
    State::OwesPubAck,
    State::OwesPubRec,
    State::OwesPubComp,
    State::OwesPubRel,
    State::Left,
];

/// What is said, piece by piece.
#[derive(Clone, Debug)]
pub struct Attack {
    pub version: Version,
    pub state: State,
    pub pieces: Vec<Vec<u8>>,
}

impl Attack {
    pub fn of_seed(seed: u64) -> Self {
        let mut choice = Choice::seeded(seed);
        let version = choice.of(&[Version::V31, Version::V311, Version::V5, Version::V5]);
        let state = choice.of(&STATES);
        let pieces = (0..choice.below(6) + 1).map(|_| piece(&mut choice, version)).collect();
        Self { version, state, pieces }
    }

    /// The same with one piece less, for each.
    pub fn shorter(&self) -> impl Iterator<Item = Self> + use<> {
        let whole = self.clone();
        (0..self.pieces.len()).map(move |at| {
            let mut shorter = whole.clone();
            shorter.pieces.remove(at);
            shorter
        })
    }
}

/// A packet that is right but perhaps not now, one of the other end, one that is nearly right, or noise.
fn piece(choice: &mut Choice<'_>, version: Version) -> Vec<u8> {
    let heard = match choice.below(8) {
        0 => Heard::First(choice.of(&[Version::V31, Version::V311, Version::V5])),
        1 => Heard::FromServer(version),
        _ => Heard::FromClient(version),
    };
    let mut packet = generate::packet(choice, heard);
    // Identifiers that are open are the ones to hit.
    let near = u16::try_from(choice.below(3)).unwrap_or(0) + 1;
    match &mut packet {
        Packet::PubAck(ack) | Packet::PubRec(ack) | Packet::PubRel(ack) | Packet::PubComp(ack) if choice.once_in(2) => {
            ack.packet_id = near;
        }
        Packet::Publish(publish) if publish.qos != QoS::AtMostOnce && choice.once_in(2) => publish.packet_id = near,
        _ => {}
    }
    let mut bytes = BytesMut::new();
    packet.encode(heard.version(), &mut bytes).expect("a packet of limited size");
    let mut bytes = bytes.to_vec();
    match choice.below(6) {
        0..3 => {}
        3 | 4 => mutate(choice, &mut bytes),
        _ => bytes = (0..choice.below(40)).map(|_| choice.byte()).collect(),
    }
    bytes
}

/// A broker with a client on it that is not to be disturbed.
pub struct Stage {
    _folder: tempfile::TempDir,
    site: Site,
    witness: Line,
    number: usize,
}

type Done = Result<(), String>;

fn hello(version: Version, lasting: bool) -> Connect {
    let properties = ConnectProperties { session_expiry_s: lasting.then_some(3600), ..Default::default() };
    Connect {
        version,
        clean_start: !lasting,
        properties: if version.is_v5() { properties } else { Default::default() },
        ..crate::harness::hello("attacker")
    }
}

impl Stage {
    pub async fn new() -> Self {
        let memory = std::path::Path::new("/dev/shm");
        let folder = if memory.is_dir() { tempfile::tempdir_in(memory) } else { tempfile::tempdir() };
        let folder = folder.expect("a temporary folder");
        let options = BrokerOptions {
            sys_interval: Duration::ZERO,
            payload_bytes: 70_000,
            retained_messages: 20,
            subscriptions: 20,
            queue_messages: 50,
            receive_maximum: 5,
            ..BrokerOptions::default()
        };
        let site = Site::on(open_log(folder.path()), options).await;
        let mut witness = Line::dial(&site, Version::V5);
        let connect = Packet::Connect(Box::new(crate::harness::hello("witness")));
        let properties = SubscribeProperties::default();
        let filters = vec![filter("witness/only", QoS::AtLeastOnce)];
        let subscribe = Packet::Subscribe(Subscribe { packet_id: 1, properties, filters });
        witness.send(&[connect, subscribe]).await.expect("the broker reads");
        for _ in 0..2 {
            witness.next().await.expect("an answer").expect("no end");
        }
        Self { _folder: folder, site, witness, number: 0 }
    }

    pub async fn stop(self) {
        self.site.stop().await;
    }

    /// One connection with all that is said on it, and what is left afterwards.
    pub async fn attack(&mut self, attack: &Attack) -> Done {
        self.converse(attack).await?;
        self.undisturbed().await?;
        // Whoever it was can come again.
        let mut again = Line::dial(&self.site, Version::V311);
        let connect = hello(Version::V311, false);
        again.send(&[Packet::Connect(Box::new(connect)), Packet::PingReq]).await?;
        match again.next().await? {
            Some(Packet::ConnAck(ack)) if ack.reason.is_success() => {}
            other => return Err(format!("afterwards nobody gets in: {other:?}")),
        }
        match again.next().await? {
            Some(Packet::PingResp) => Ok(()),
            other => Err(format!("afterwards a new session gets {other:?}")),
        }
    }

    /// The witness says something and hears it, and nothing else.
    async fn undisturbed(&mut self) -> Done {
        self.number += 1;
        let payload = format!("{}", self.number);
        self.witness.send(&[Packet::Publish(publish("witness/only", &payload, QoS::AtLeastOnce, 7))]).await?;
        let (mut heard, mut answered) = (false, false);
        while !(heard && answered) {
            match self.witness.next().await? {
                Some(Packet::Publish(publish)) if publish.payload == payload.as_bytes() && !heard => {
                    heard = true;
                    let ack = Ack::new(publish.packet_id, ReasonCode::SUCCESS);
                    self.witness.send(&[Packet::PubAck(ack)]).await?;
                }
                Some(Packet::PubAck(ack)) if ack.packet_id == 7 && ack.reason == ReasonCode::SUCCESS => answered = true,
                other => return Err(format!("the other client got {other:?}")),
            }
        }
        Ok(())
    }

    async fn converse(&self, attack: &Attack) -> Done {
        let mut line = Line::dial(&self.site, attack.version);
        let connected = self.prepare(&mut line, attack).await?;
        let mut said: Vec<u8> = Vec::new();
        for piece in &attack.pieces {
            said.extend(piece);
            if line.send_bytes(piece).await.is_err() {
                break;
            }
        }
        line.no_more().await;
        if !connected {
            // In which version it is told anything, the bytes say.
            return line.drain().await;
        }
        let mut last = None;
        while let Some(packet) = line.next().await? {
            if let Some(Packet::Disconnect(_)) = &last {
                return Err(format!("{packet:?} after DISCONNECT"));
            }
            last = Some(packet);
        }
        if attack.version.is_v5() {
            told(&said, last.as_ref())?;
        }
        if let Some(Packet::Disconnect(bye)) = &last
            && bye.reason.is_success()
        {
            return Err(format!("closed with {bye:?}"));
        }
        Ok(())
    }

    /// Brings a connection where it is to be; whether it is connected then.
    async fn prepare(&self, line: &mut Line, attack: &Attack) -> Result<bool, String> {
        let lasting = attack.state == State::Lasting;
        let connect = Packet::Connect(Box::new(hello(attack.version, lasting)));
        let wrong = |packet: Option<Packet>| Err(format!("while {:?} is made ready: {packet:?}", attack.state));
        match attack.state {
            State::New => return Ok(false),
            State::HalfConnect => {
                let mut bytes = BytesMut::new();
                connect.encode(attack.version, &mut bytes).expect("small");
                line.send_bytes(&bytes[..bytes.len() / 2]).await?;
                return Ok(false);
            }
            State::Hasty => {
                line.send(&[connect]).await?;
                return Ok(true);
            }
            _ => line.send(&[connect]).await?,
        }
        match line.next().await? {
            Some(Packet::ConnAck(ack)) if ack.reason.is_success() => {}
            other => return wrong(other),
        }
        let qos = match attack.state {
            State::OwesPubAck => QoS::AtLeastOnce,
            State::OwesPubRec | State::OwesPubComp => QoS::ExactlyOnce,
            State::OwesPubRel => {
                line.send(&[Packet::Publish(publish("t", "x", QoS::ExactlyOnce, 1))]).await?;
                return match line.next().await? {
                    Some(Packet::PubRec(_)) => Ok(true),
                    other => wrong(other),
                };
            }
            State::Left => {
                line.send(&[Packet::Disconnect(Disconnect::default())]).await?;
                return Ok(false);
            }
            _ => return Ok(true),
        };
        let filters = vec![filter("own", qos)];
        line.send(&[Packet::Subscribe(Subscribe { packet_id: 1, properties: Default::default(), filters })]).await?;
        match line.next().await? {
            Some(Packet::SubAck(_)) => {}
            other => return wrong(other),
        }
        line.send(&[Packet::Publish(publish("own", "x", qos, 1))]).await?;
        let mut id = None;
        for _ in 0..2 {
            match line.next().await? {
                Some(Packet::Publish(publish)) => id = Some(publish.packet_id),
                Some(Packet::PubAck(_) | Packet::PubRec(_)) => {}
                other => return wrong(other),
            }
        }
        if attack.state == State::OwesPubComp {
            line.send(&[Packet::PubRec(Ack::new(id.unwrap_or(0), ReasonCode::SUCCESS))]).await?;
            match line.next().await? {
                Some(Packet::PubRel(_)) => {}
                other => return wrong(other),
            }
        }
        Ok(true)
    }
}

/// A 5.0 client that said something wrong was told so. What is wrong is judged here from the bytes alone.
fn told(said: &[u8], last: Option<&Packet>) -> Done {
    let mut decoder = Decoder::server(Limits { packet_bytes: 70_000 + (1 << 17), user_properties: 64 });
    let mut buffer = BytesMut::new();
    let connect = Packet::Connect(Box::new(hello(Version::V5, false)));
    connect.encode(Version::V5, &mut buffer).expect("small");
    buffer.extend_from_slice(said);
    loop {
        match decoder.decode(&mut buffer) {
            // Whoever leaves is told nothing any more.
            Ok(Some(Packet::Disconnect(_)) | None) => return Ok(()),
            Ok(Some(_)) => {}
            Err(error) => {
                return match last {
                    Some(Packet::Disconnect(bye)) if !bye.reason.is_success() => Ok(()),
                    other => Err(format!("{error}, and the last word was {other:?}")),
                };
            }
        }
    }
}

/// How much memory this process has, in bytes; 0 where that cannot be told.
pub fn resident() -> usize {
    let text = std::fs::read_to_string("/proc/self/statm").unwrap_or_default();
    text.split_whitespace().nth(1).and_then(|pages| pages.parse::<usize>().ok()).map_or(0, |pages| pages * 4096)
}
