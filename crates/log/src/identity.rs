//! Small files that are replaced whole: `node` (who writes here, how often opened, the salt) and the list of readers.
//!
//! They are text with a checksum in the last line, so that a person can read them. A new version is written beside the old
//! one, synced, renamed, and the folder synced: a power cut leaves the old one or the new one.

use crate::disk::{Disk, OpenMode, read_bounded, write_full_at};
use std::fmt::Write as _;
use std::io;
use std::path::Path;
use uuid::Uuid;

/// No such file is longer than this.
const LIMIT: u64 = 1 << 20;

/// Why a small file could not be read.
#[derive(Debug)]
pub(crate) enum TextError {
    Missing,
    Unknown(String),
    Damaged(String),
    Io(io::Error),
}

/// Replaces the file `name` in `dir` by `bytes`, synced.
pub(crate) fn replace(disk: &dyn Disk, dir: &Path, name: &str, bytes: &[u8]) -> io::Result<()> {
    let fresh = dir.join(format!("{name}~new"));
    write_new(disk, &fresh, bytes)?;
    disk.rename(&fresh, &dir.join(name))?;
    disk.sync_dir(dir)
}

/// Writes and syncs a new file, removing a leftover of that name.
pub(crate) fn write_new(disk: &dyn Disk, path: &Path, bytes: &[u8]) -> io::Result<()> {
    match disk.remove(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        _ => {}
    }
    let file = disk.open(path, OpenMode::CreateNew)?;
    write_full_at(&*file, bytes, 0)?;
    file.sync_data()
}

/// Adds the head and the checksum to `body`.
fn seal(kind: &str, body: &str) -> String {
    let mut text = format!("andon-log {kind} {}\n{body}", crate::FORMAT_VERSION);
    let crc = crc32c::crc32c(text.as_bytes());
    let _ = writeln!(text, "crc {crc:08x}"); // Writing to a string cannot fail.
    text
}

/// Reads a sealed file; gives its body.
fn unseal(disk: &dyn Disk, path: &Path, kind: &str) -> Result<String, TextError> {
    let bytes = read_bounded(disk, path, LIMIT).map_err(|error| match error.kind() {
        io::ErrorKind::NotFound => TextError::Missing,
        io::ErrorKind::FileTooLarge => TextError::Damaged(error.to_string()),
        _ => TextError::Io(error),
    })?;
    let damaged = |what: &str| TextError::Damaged(what.to_owned());
    let text = String::from_utf8(bytes).map_err(|_| damaged("it is not text"))?;
    let (head, rest) = text.split_once('\n').ok_or_else(|| damaged("it has no first line"))?;
    let version = head.strip_prefix("andon-log ").and_then(|rest| rest.strip_prefix(kind)).map(str::trim);
    match version.and_then(|version| version.parse::<u16>().ok()) {
        Some(crate::FORMAT_VERSION) => {}
        Some(other) => return Err(TextError::Unknown(format!("format version {other}"))),
        None => return Err(damaged("its first line is not ours")),
    }
    let (body, crc) = rest.rsplit_once("crc ").ok_or_else(|| damaged("it has no checksum"))?;
    let found = u32::from_str_radix(crc.trim_end(), 16).map_err(|_| damaged("its checksum is not a number"))?;
    let covered = text.get(..head.len() + 1 + body.len()).unwrap_or_default();
    if crc32c::crc32c(covered.as_bytes()) == found {
        Ok(body.to_owned())
    } else {
        Err(damaged("its checksum does not match"))
    }
}

/// Who writes here.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Identity {
    pub node: Uuid,
    pub epoch: u64,
    pub salt: u64,
}

impl Identity {
    pub(crate) fn load(disk: &dyn Disk, dir: &Path) -> Result<Self, TextError> {
        Self::load_from(disk, &dir.join("node"))
    }

    pub(crate) fn load_from(disk: &dyn Disk, path: &Path) -> Result<Self, TextError> {
        let body = unseal(disk, path, "node")?;
        let field = |name: &str| body.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
        let parse = || {
            let node = Uuid::parse_str(field("node")?).ok()?;
            Some(Self {
                node,
                epoch: field("epoch")?.parse().ok()?,
                salt: u64::from_str_radix(field("salt")?, 16).ok()?,
            })
        };
        parse().ok_or_else(|| TextError::Damaged("a line is missing".to_owned()))
    }

    pub(crate) fn save(&self, disk: &dyn Disk, dir: &Path) -> io::Result<()> {
        let body = format!("node {}\nepoch {}\nsalt {:016x}\n", self.node, self.epoch, self.salt);
        replace(disk, dir, "node", seal("node", &body).as_bytes())
    }
}

/// Saves lines of text under `name`, which is also the file's kind.
pub(crate) fn save_lines(disk: &dyn Disk, dir: &Path, name: &str, body: &str) -> io::Result<()> {
    replace(disk, dir, name, seal(name, body).as_bytes())
}

/// Loads what [`save_lines`] saved.
pub(crate) fn load_lines(disk: &dyn Disk, dir: &Path, name: &str) -> Result<String, TextError> {
    unseal(disk, &dir.join(name), name)
}
