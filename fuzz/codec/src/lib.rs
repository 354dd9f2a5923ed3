//! Andon's MQTT codec against two others, `mqtt-protocol-core` and `rmqtt-codec`: the same bytes, the same verdict, the
//! same meaning.
//!
//! **Idea.** A foreign packet is turned, field by field, into our [`Packet`]; then two packets are equal or they are not.
//! What is written by us is read by them, and what they made of it is written by them and read by us. Then bytes that are
//! nearly a packet go to all three. Whoever accepts what another refuses, or reads something else, is a [`Disagreement`]:
//! our mistake, or one of the [`exceptions`], each with the clause that it rests on.
//!
//! Start reading at [`check_packet`] and [`check_bytes`].

pub mod choice;
pub mod corpus;
pub mod exceptions;
pub mod generate;
pub mod heard;
mod list;
pub mod mutate;
mod protocol_core;
mod rmqtt;

use andon_wire::mqtt::*;
use bytes::BytesMut;
pub use heard::Heard;
use std::fmt;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// The other codecs.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Other {
    /// `mqtt-protocol-core`: 3.1.1 and 5.0.
    ProtocolCore,
    /// `rmqtt-codec`: all three versions.
    Rmqtt,
}

impl Other {
    /// Both.
    pub const ALL: [Self; 2] = [Self::ProtocolCore, Self::Rmqtt];

    fn speaks(self, version: Version) -> bool {
        self == Self::Rmqtt || version != Version::V31
    }

    /// What it makes of these bytes, which are one packet with its header.
    #[must_use]
    pub fn read(self, heard: Heard, bytes: &[u8]) -> Theirs {
        // A foreign panic is a finding about them, not about us.
        let read = catch_unwind(AssertUnwindSafe(|| match self {
            Self::ProtocolCore => protocol_core::read(heard, bytes),
            Self::Rmqtt => rmqtt::read(heard, bytes),
        }));
        read.unwrap_or(Theirs::Panicked)
    }
}

/// What a foreign codec makes of bytes.
#[derive(Clone, Debug)]
pub enum Theirs {
    /// A packet, and its bytes as they write it.
    Packet(Box<Packet>, Vec<u8>),
    /// A packet that ours cannot hold, for ours checks more: which field.
    Unsayable(&'static str),
    /// No packet.
    Refused(String),
    /// More bytes are needed.
    Incomplete,
    /// It panicked.
    Panicked,
}

/// Two codecs are of two minds about bytes.
#[derive(Clone, Debug)]
pub struct Disagreement {
    /// In which situation.
    pub heard: Heard,
    /// With whom.
    pub other: Other,
    /// About what.
    pub bytes: Vec<u8>,
    /// In words.
    pub what: String,
}

impl fmt::Display for Disagreement {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{:?} and {:?}, {}\n  {}", self.heard, self.other, self.what, corpus::hex(&self.bytes))
    }
}

/// How often what was seen.
#[derive(Clone, Copy, Default, Debug, PartialEq, Eq)]
pub struct Counts {
    /// Packets that were written and read by all.
    pub packets: u64,
    /// Bytes that all accepted.
    pub accepted: u64,
    /// Bytes that all refused.
    pub refused: u64,
    /// Bytes on which an exception bears, per other codec.
    pub excepted: u64,
}

/// Most that a packet may have here.
const LIMITS: Limits = Limits { packet_bytes: 1 << 20, user_properties: 100_000 };

/// What our codec makes of bytes.
///
/// # Errors
/// It refuses them.
pub fn ours(heard: Heard, bytes: &[u8]) -> Result<Option<Packet>, DecodeError> {
    let mut buffer = BytesMut::from(bytes);
    let packet = match heard {
        Heard::First(_) => Decoder::server(LIMITS).decode(&mut buffer)?,
        Heard::FromServer(version) => Decoder::client(version, LIMITS).decode(&mut buffer)?,
        Heard::FromClient(version) => {
            let mut decoder = Decoder::server(LIMITS);
            let mut first = BytesMut::from(hello(version));
            decoder.decode(&mut first)?;
            decoder.decode(&mut buffer)?
        }
    };
    Ok(packet)
}

fn hello(version: Version) -> &'static [u8] {
    match version {
        Version::V31 => b"\x10\x0f\x00\x06MQIsdp\x03\x02\x00\x00\x00\x01x",
        Version::V311 => b"\x10\x0d\x00\x04MQTT\x04\x02\x00\x00\x00\x01x",
        Version::V5 => b"\x10\x0e\x00\x04MQTT\x05\x02\x00\x00\x00\x00\x01x",
    }
}

/// Bytes of a packet as we write them.
///
/// # Panics
/// When it cannot be written: none that is generated is too large.
#[must_use]
pub fn write(packet: &Packet, version: Version) -> Vec<u8> {
    let mut out = BytesMut::new();
    packet.encode(version, &mut out).expect("a packet of limited size");
    out.to_vec()
}

/// A packet that is right: what we write all read as it was meant, and what they write of it we read so.
///
/// # Errors
/// [`Disagreement`].
pub fn check_packet(heard: Heard, packet: &Packet, counts: &mut Counts) -> Result<(), Box<Disagreement>> {
    let bytes = write(packet, heard.version());
    for other in Other::ALL {
        let differs = |what: String| Err(Box::new(Disagreement { heard, other, bytes: bytes.clone(), what }));
        match ours(heard, &bytes) {
            Ok(Some(read)) if read == *packet => {}
            read => return differs(format!("ours does not read back {packet:?}\n  but {read:?}")),
        }
        if !other.speaks(heard.version()) {
            continue;
        }
        match other.read(heard, &bytes) {
            Theirs::Packet(theirs, written) => {
                let meant = exceptions::plain(other, packet.clone());
                if exceptions::plain(other, *theirs) != meant {
                    if exceptions::of_meaning(other, heard, packet).is_some() {
                        counts.excepted += 1;
                        continue;
                    }
                    return differs(format!("they read our {packet:?} as something else"));
                }
                match ours(heard, &written) {
                    Ok(Some(again)) if exceptions::plain(other, again.clone()) == meant => {}
                    _ if exceptions::of_writing(other, heard, packet).is_some() => counts.excepted += 1,
                    again => {
                        let written = corpus::hex(&written);
                        return differs(format!("they write {packet:?} so that we read {again:?}: {written}"));
                    }
                }
            }
            theirs => match exceptions::of_refusal(other, heard, packet) {
                Some(_) => counts.excepted += 1,
                None => return differs(format!("they do not read our {packet:?}: {theirs:?}")),
            },
        }
    }
    counts.packets += 1;
    Ok(())
}

/// Any bytes: all accept them and mean the same, or all refuse them.
///
/// # Errors
/// [`Disagreement`].
pub fn check_bytes(heard: Heard, bytes: &[u8], counts: &mut Counts) -> Result<(), Box<Disagreement>> {
    let ours = ours(heard, bytes);
    if let Ok(Some(packet)) = &ours {
        // What was accepted can be said again, and means the same.
        let again = self::ours(heard, &write(packet, heard.version()));
        let lost = exceptions::loses_words(heard.version(), packet);
        if heard.version() == said(packet, heard) && !lost && again.as_ref() != Ok(&Some(packet.clone())) {
            let what = format!("ours reads {packet:?}\n  and, said again, {again:?}");
            return Err(Box::new(Disagreement { heard, other: Other::ProtocolCore, bytes: bytes.to_vec(), what }));
        }
    }
    // Beyond the first packet, each has its own way.
    let whole = match framed(bytes) {
        Some(whole) => &bytes[..whole],
        None => bytes,
    };
    for other in Other::ALL {
        if !other.speaks(heard.version()) {
            continue;
        }
        let theirs = other.read(heard, whole);
        let same = match (&ours, &theirs) {
            (Ok(Some(a)), Theirs::Packet(b, _)) => {
                exceptions::plain(other, a.clone()) == exceptions::plain(other, *b.clone())
            }
            (Ok(None), Theirs::Incomplete) => true,
            (Err(_), Theirs::Refused(_) | Theirs::Incomplete) => true,
            // Not ours to judge: a packet of another version, or one for the other end.
            (Ok(Some(a)), _) if said(a, heard) != heard.version() => true,
            _ => false,
        };
        if same {
            match ours {
                Ok(_) => counts.accepted += 1,
                Err(_) => counts.refused += 1,
            }
        } else if exceptions::of_bytes(other, heard, whole, &ours, &theirs).is_some() {
            counts.excepted += 1;
        } else {
            let what = format!("ours: {ours:?}\n  theirs: {theirs:?}");
            return Err(Box::new(Disagreement { heard, other, bytes: bytes.to_vec(), what }));
        }
    }
    Ok(())
}

/// The version that a packet is of: of a CONNECT its own.
fn said(packet: &Packet, heard: Heard) -> Version {
    match packet {
        Packet::Connect(connect) => connect.version,
        _ => heard.version(),
    }
}

/// Where the first packet ends, if all of it is there.
fn framed(bytes: &[u8]) -> Option<usize> {
    let (header, remaining) = header(bytes)?;
    Some(header + remaining).filter(|whole| *whole <= bytes.len())
}

/// How long the header is, and how many bytes follow.
pub(crate) fn header(bytes: &[u8]) -> Option<(usize, usize)> {
    let mut value = 0;
    for (at, byte) in bytes.iter().skip(1).take(4).enumerate() {
        value |= usize::from(byte & 0x7F) << (7 * at);
        if byte & 0x80 == 0 {
            return Some((at + 2, value));
        }
    }
    None
}

/// One seed's worth of work: a packet, and `mutants` that are nearly one.
///
/// # Errors
/// [`Disagreement`].
pub fn run_seed(seed: u64, mutants: usize, counts: &mut Counts) -> Result<(), Box<Disagreement>> {
    let mut choice = choice::Choice::seeded(seed);
    let heard = choice.of(&Heard::ALL);
    let packet = generate::packet(&mut choice, heard);
    check_packet(heard, &packet, counts)?;
    let bytes = write(&packet, heard.version());
    for _ in 0..mutants {
        let mut mutant = bytes.clone();
        mutate::mutate(&mut choice, &mut mutant);
        check_bytes(heard, &mutant, counts)?;
    }
    Ok(())
}
