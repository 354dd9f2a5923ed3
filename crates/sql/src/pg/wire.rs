//! PostgreSQL's messages (protocol 3.0; PostgreSQL 17 documentation §54.7), bytes in and bytes out. No sockets here.
//!
//! What comes from outside is read with a check at every step: no bytes make it panic or take more memory than they are.

use bytes::{BufMut, Bytes, BytesMut};

/// The longest message before a log-in, in bytes.
pub const MAX_STARTUP: usize = 10_000;
/// The longest message after it: a statement of 256 KiB and its parameters.
pub const MAX_MESSAGE: usize = 1 << 20;

/// What the first message of a connection wants.
#[derive(Debug, PartialEq, Eq)]
pub enum Opening {
    /// Encryption.
    Tls,
    /// Kerberos, which there is not.
    Gss,
    /// To cancel a query of another connection.
    Cancel {
        /// Whose.
        pid: i32,
        /// The secret it was given.
        secret: i32,
    },
    /// To begin.
    Startup {
        /// The minor version of the protocol.
        minor: u16,
        /// `user`, `database`, …
        parameters: Vec<(String, String)>,
    },
    /// Another protocol.
    Unknown,
}

/// A message of a client.
#[derive(Debug, PartialEq, Eq)]
pub enum Front {
    /// A simple query.
    Query(String),
    /// Prepares a statement.
    Parse {
        /// Its name; empty: the unnamed one.
        name: String,
        /// Its text.
        query: String,
        /// The types of its parameters, 0 where unknown.
        types: Vec<u32>,
    },
    /// Gives a statement its parameters.
    Bind {
        /// The portal's name.
        portal: String,
        /// The statement's name.
        statement: String,
        /// None, one for all, or one for each: 0 text, 1 binary.
        parameter_formats: Vec<i16>,
        /// The parameters.
        parameters: Vec<Option<Bytes>>,
        /// As above, for the columns of the answer.
        result_formats: Vec<i16>,
    },
    /// Asks for the columns of a statement (`S`) or portal (`P`).
    Describe(u8, String),
    /// Runs a portal, for at most so many rows (0: all).
    Execute(String, usize),
    /// Forgets a statement or portal.
    Close(u8, String),
    /// Ends a series of messages.
    Sync,
    /// Asks for what is ready.
    Flush,
    /// Ends the connection.
    Terminate,
    /// A password.
    Password(String),
    /// Something for which there is no use here.
    Other(u8),
}

/// The bytes do not make a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the message is malformed")]
pub struct Malformed;

struct Reader<'a>(&'a [u8]);

impl<'a> Reader<'a> {
    fn take(&mut self, len: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.0.split_at_checked(len).ok_or(Malformed)?;
        self.0 = rest;
        Ok(taken)
    }
    fn u8(&mut self) -> Result<u8, Malformed> {
        Ok(self.take(1)?[0])
    }
    fn i16(&mut self) -> Result<i16, Malformed> {
        Ok(i16::from_be_bytes(self.take(2)?.try_into().map_err(|_| Malformed)?))
    }
    fn i32(&mut self) -> Result<i32, Malformed> {
        Ok(i32::from_be_bytes(self.take(4)?.try_into().map_err(|_| Malformed)?))
    }
    fn text(&mut self) -> Result<String, Malformed> {
        let end = self.0.iter().position(|byte| *byte == 0).ok_or(Malformed)?;
        let text = std::str::from_utf8(&self.0[..end]).map_err(|_| Malformed)?.to_owned();
        self.0 = &self.0[end + 1..];
        Ok(text)
    }
    fn count(&mut self) -> Result<usize, Malformed> {
        usize::try_from(self.i16()?).map_err(|_| Malformed)
    }
    fn formats(&mut self) -> Result<Vec<i16>, Malformed> {
        (0..self.count()?).map(|_| self.i16()).collect()
    }
}

/// Reads the first message, without its length.
/// # Errors
/// [`Malformed`].
pub fn opening(body: &[u8]) -> Result<Opening, Malformed> {
    let mut reader = Reader(body);
    Ok(match reader.i32()? {
        80_877_103 => Opening::Tls,
        80_877_104 => Opening::Gss,
        80_877_102 => Opening::Cancel { pid: reader.i32()?, secret: reader.i32()? },
        version if version >> 16 == 3 => {
            let mut parameters = Vec::new();
            while reader.0.first().is_some_and(|byte| *byte != 0) {
                parameters.push((reader.text()?, reader.text()?));
            }
            Opening::Startup { minor: u16::try_from(version & 0xFFFF).unwrap_or(0), parameters }
        }
        _ => Opening::Unknown,
    })
}

/// Reads a message of this kind, without its length.
/// # Errors
/// [`Malformed`].
pub fn front(kind: u8, body: &Bytes) -> Result<Front, Malformed> {
    let mut reader = Reader(body);
    Ok(match kind {
        b'Q' => Front::Query(reader.text()?),
        b'P' => {
            let (name, query) = (reader.text()?, reader.text()?);
            let types = (0..reader.count()?).map(|_| reader.i32().map(i32::cast_unsigned)).collect::<Result<_, _>>()?;
            Front::Parse { name, query, types }
        }
        b'B' => {
            let (portal, statement) = (reader.text()?, reader.text()?);
            let parameter_formats = reader.formats()?;
            let mut parameters = Vec::new();
            for _ in 0..reader.count()? {
                parameters.push(match reader.i32()? {
                    -1 => None,
                    len => Some(body.slice_ref(reader.take(usize::try_from(len).map_err(|_| Malformed)?)?)),
                });
            }
            Front::Bind { portal, statement, parameter_formats, parameters, result_formats: reader.formats()? }
        }
        b'D' => Front::Describe(reader.u8()?, reader.text()?),
        b'E' => Front::Execute(reader.text()?, usize::try_from(reader.i32()?).unwrap_or(0)),
        b'C' => Front::Close(reader.u8()?, reader.text()?),
        b'S' => Front::Sync,
        b'H' => Front::Flush,
        b'X' => Front::Terminate,
        b'p' => Front::Password(reader.text()?),
        other => Front::Other(other),
    })
}

/// An error's severity and fields.
pub fn error(out: &mut BytesMut, severity: &str, code: &str, message: &str) {
    message_with(out, b'E', |out| {
        for (kind, text) in [(b'S', severity), (b'V', severity), (b'C', code), (b'M', message)] {
            out.put_u8(kind);
            text_into(out, text);
        }
        out.put_u8(0);
    });
}

/// Writes text and its end; a NUL inside would end it early.
pub fn text_into(out: &mut BytesMut, text: &str) {
    out.extend(text.bytes().filter(|byte| *byte != 0));
    out.put_u8(0);
}

/// Writes a message: its kind, its length, and what `body` writes.
pub fn message_with(out: &mut BytesMut, kind: u8, body: impl FnOnce(&mut BytesMut)) {
    out.put_u8(kind);
    let at = out.len();
    out.put_i32(0);
    body(out);
    let len = i32::try_from(out.len() - at).unwrap_or(i32::MAX);
    out[at..at + 4].copy_from_slice(&len.to_be_bytes());
}

/// A message without a body.
pub fn empty(out: &mut BytesMut, kind: u8) {
    message_with(out, kind, |_| {});
}

/// A column of an answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Field {
    /// Its name.
    pub name: String,
    /// Its type.
    pub oid: u32,
    /// 0 text, 1 binary.
    pub format: i16,
}

/// Describes the columns.
pub fn row_description(out: &mut BytesMut, fields: &[Field]) {
    message_with(out, b'T', |out| {
        out.put_i16(i16::try_from(fields.len()).unwrap_or(i16::MAX));
        for field in fields {
            text_into(out, &field.name);
            out.put_i32(0);
            out.put_i16(0);
            out.put_u32(field.oid);
            out.put_i16(super::values::size_of(field.oid));
            out.put_i32(-1);
            out.put_i16(field.format);
        }
    });
}

/// Says that a statement is done.
pub fn complete(out: &mut BytesMut, tag: &str) {
    message_with(out, b'C', |out| text_into(out, tag));
}

/// Says that the next statement may come.
pub fn ready(out: &mut BytesMut, status: u8) {
    message_with(out, b'Z', |out| out.put_u8(status));
}

/// Tells a setting.
pub fn parameter(out: &mut BytesMut, name: &str, value: &str) {
    message_with(out, b'S', |out| {
        text_into(out, name);
        text_into(out, value);
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(parts: &[&[u8]]) -> Bytes {
        Bytes::from(parts.concat())
    }

    #[test]
    fn messages_are_read() {
        assert_eq!(front(b'Q', &bytes(&[b"SELECT 1\0"])), Ok(Front::Query("SELECT 1".into())));
        let parse = bytes(&[b"s\0", b"SELECT $1\0", &[0, 1], &[0, 0, 0, 20]]);
        assert_eq!(
            front(b'P', &parse),
            Ok(Front::Parse { name: "s".into(), query: "SELECT $1".into(), types: vec![20] })
        );
        let bind = bytes(&[b"\0", b"s\0", &[0, 1, 0, 1], &[0, 2], &[0, 0, 0, 1, 7], &[255, 255, 255, 255], &[0, 0]]);
        assert_eq!(
            front(b'B', &bind),
            Ok(Front::Bind {
                portal: String::new(),
                statement: "s".into(),
                parameter_formats: vec![1],
                parameters: vec![Some(Bytes::from_static(&[7])), None],
                result_formats: vec![]
            })
        );
        assert_eq!(front(b'E', &bytes(&[b"\0", &[0, 0, 0, 5]])), Ok(Front::Execute(String::new(), 5)));
        let startup = bytes(&[&[0, 3, 0, 0], b"user\0anna\0database\0andon\0\0"]);
        let parameters = vec![("user".into(), "anna".into()), ("database".into(), "andon".into())];
        assert_eq!(opening(&startup), Ok(Opening::Startup { minor: 0, parameters }));
    }

    #[test]
    fn no_bytes_make_it_panic() {
        let mut state = 7_u64;
        for round in 0..20_000_usize {
            let body: Vec<u8> = (0..round % 40)
                .map(|_| {
                    state = state.wrapping_mul(6_364_136_223_846_793_005).wrapping_add(1_442_695_040_888_963_407);
                    state.to_be_bytes()[0]
                })
                .collect();
            let body = Bytes::from(body);
            let _ = opening(&body);
            for kind in *b"QPBDECSHXpd" {
                let _ = front(kind, &body);
            }
        }
    }
}
