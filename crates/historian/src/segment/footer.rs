//! Footers of files read lately, and which of their bytes were found to be as written.

use super::bytes::Pages;
use super::directory::{self, Entry};
use super::first::FirstFooter;
use super::layout::{DIRECTORY_KEY, FORMAT, FORMAT_2, FORMAT_KEY};
use super::{SegmentError, first};
use crate::manifest::FileInfo;
use crate::rollup::{RollupIndex, RollupInfo};
use parquet::file::metadata::{PageIndexPolicy, ParquetMetaData, ParquetMetaDataReader};
use std::collections::HashMap;
use std::fs::File;
use std::io;
use std::os::unix::fs::{FileExt as _, MetadataExt as _};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

/// A footer, by the format of its file.
#[derive(Clone)]
pub(super) enum Footer {
    First(Arc<FirstFooter>),
    Current(Arc<CurrentFooter>),
    /// The index of a roll-up file.
    Rollups(Arc<RollupIndex>),
}

/// Footer, page index and directory of a file of format 2 or 3.
pub(super) struct CurrentFooter {
    pub parquet: ParquetMetaData,
    pub directory: Vec<Entry>,
    pub sound: Sound,
    /// Whether the file is of format 3, with a column `received_at_ms`.
    pub received_at: bool,
}

impl CurrentFooter {
    /// Where a tag's rows are.
    pub(super) fn entry(&self, tag: u32) -> Option<Entry> {
        let at = self.directory.binary_search_by_key(&tag, |entry| entry.tag).ok()?;
        self.directory.get(at).copied()
    }
}

/// Which row groups were compared with their checksum, and of which state of the file that is known.
pub(super) struct Sound(Mutex<Compared>);

struct Compared {
    state: Option<FileState>,
    groups: Vec<bool>,
}

/// Changes with every write to a file, also with one that leaves its length and puts back its time of change.
type FileState = (u64, u64, u64, [i64; 4]);

impl Sound {
    pub(super) fn new(groups: usize) -> Self {
        Self(Mutex::new(Compared { state: None, groups: vec![false; groups] }))
    }

    /// Checks a row group's bytes, unless that was done before and nobody wrote to the file since. Asks the disk about the file
    /// for every block of rows that is decoded (some 0.3 µs).
    pub(super) fn check(&self, path: &Path, info: &FileInfo, file: &File, group: usize) -> Result<(), SegmentError> {
        let meta = file.metadata().map_err(|error| SegmentError::io(path, error))?;
        let changed = [meta.mtime(), meta.mtime_nsec(), meta.ctime(), meta.ctime_nsec()];
        let state = (meta.dev(), meta.ino(), meta.len(), changed);
        {
            let mut compared = self.lock();
            if compared.state != Some(state) {
                compared.state = Some(state);
                compared.groups.fill(false);
            }
            if compared.groups.get(group).is_none_or(|sound| *sound) {
                return Ok(());
            }
        }
        check_piece(path, info, file, group)?;
        let mut compared = self.lock();
        if compared.state == Some(state)
            && let Some(sound) = compared.groups.get_mut(group)
        {
            *sound = true;
        }
        Ok(())
    }

    fn lock(&self) -> MutexGuard<'_, Compared> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Footer {
    /// Checks the footer's bytes, then understands them.
    fn load(path: &Path, info: &FileInfo, file: &File) -> Result<Self, SegmentError> {
        let groups = info.pieces.len().saturating_sub(1);
        check_piece(path, info, file, groups)?;
        let pages = Pages {
            file: Arc::new(file.try_clone().map_err(|error| SegmentError::io(path, error))?),
            bytes: info.bytes,
        };
        let parquet = ParquetMetaDataReader::new()
            .with_page_index_policy(PageIndexPolicy::Optional)
            .parse_and_finish(&pages)
            .map_err(|error| SegmentError::damaged(path, error))?;
        if parquet.num_row_groups() != groups {
            return Err(SegmentError::damaged(path, "it has another number of row groups than the manifest says"));
        }
        match value_of(&parquet, FORMAT_KEY) {
            Some(format @ (FORMAT | FORMAT_2)) => {
                let received_at = format == FORMAT;
                let directory = value_of(&parquet, DIRECTORY_KEY).and_then(directory::decode);
                let directory =
                    directory.ok_or_else(|| SegmentError::damaged(path, "its list of tags cannot be read"))?;
                Ok(Self::Current(Arc::new(CurrentFooter {
                    parquet,
                    directory,
                    sound: Sound::new(groups),
                    received_at,
                })))
            }
            Some(first::FORMAT) => FirstFooter::load(path, file, groups).map(|footer| Self::First(Arc::new(footer))),
            found => Err(SegmentError::UnknownFormat { path: path.to_owned(), found: found.map(ToOwned::to_owned) }),
        }
    }

    fn memory_size(&self) -> usize {
        match self {
            Self::First(footer) => footer.memory_size(),
            Self::Rollups(index) => index.memory_size(),
            Self::Current(footer) => footer.parquet.memory_size() + footer.directory.len() * size_of::<Entry>(),
        }
    }
}

fn value_of<'a>(parquet: &'a ParquetMetaData, key: &str) -> Option<&'a str> {
    let pairs = parquet.file_metadata().key_value_metadata()?;
    pairs.iter().find(|pair| pair.key == key)?.value.as_deref()
}

/// Compares one piece of a file with its checksum.
pub(super) fn check_piece(path: &Path, info: &FileInfo, file: &File, piece: usize) -> Result<(), SegmentError> {
    let start = piece.checked_sub(1).and_then(|before| info.pieces.get(before)).map_or(0, |before| before.end);
    let piece =
        info.pieces.get(piece).ok_or_else(|| SegmentError::damaged(path, "the manifest has no checksum for it"))?;
    let (mut at, mut buffer, mut crc) = (start, vec![0; 256 * 1024], 0);
    while at < piece.end {
        let want = usize::try_from(piece.end - at).unwrap_or(usize::MAX).min(buffer.len());
        let read = file
            .read_at(buffer.get_mut(..want).unwrap_or_default(), at)
            .map_err(|error| SegmentError::io(path, error))?;
        if read == 0 {
            break;
        }
        crc = crc32c::crc32c_append(crc, buffer.get(..read).unwrap_or_default());
        at += read as u64;
    }
    if at == piece.end && crc == piece.crc32c {
        Ok(())
    } else {
        Err(SegmentError::damaged(path, "a checksum does not fit its content"))
    }
}

/// Footers up to a number of bytes; the one not used for longest goes first.
pub(crate) struct Footers {
    limit_bytes: usize,
    kept: Mutex<Kept>,
}

#[derive(Default)]
struct Kept {
    by_path: HashMap<PathBuf, (Footer, usize, u64)>,
    bytes: usize,
    uses: u64,
}

impl Footers {
    pub(crate) fn new(limit_bytes: usize) -> Self {
        Self { limit_bytes, kept: Mutex::default() }
    }

    pub(super) fn get(&self, path: &Path, info: &FileInfo, file: &File) -> Result<Footer, SegmentError> {
        if let Some(known) = self.known(path) {
            return Ok(known);
        }
        let footer = Footer::load(path, info, file)?;
        self.keep(path, &footer);
        Ok(footer)
    }

    /// A roll-up file and its index.
    pub(crate) fn rollups(&self, path: &Path, info: &RollupInfo) -> io::Result<(File, Arc<RollupIndex>)> {
        let file = File::open(path)?;
        if let Some(Footer::Rollups(index)) = self.known(path) {
            return Ok((file, index));
        }
        let index = Arc::new(RollupIndex::load(&file, info)?);
        self.keep(path, &Footer::Rollups(Arc::clone(&index)));
        Ok((file, index))
    }

    pub(super) fn known(&self, path: &Path) -> Option<Footer> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.uses += 1;
        let uses = kept.uses;
        let (footer, _, used) = kept.by_path.get_mut(path)?;
        *used = uses;
        Some(footer.clone())
    }

    fn keep(&self, path: &Path, footer: &Footer) {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let bytes = footer.memory_size();
        let uses = kept.uses;
        if let Some((_, replaced, _)) = kept.by_path.insert(path.to_owned(), (footer.clone(), bytes, uses)) {
            kept.bytes = kept.bytes.saturating_sub(replaced);
        }
        kept.bytes = kept.bytes.saturating_add(bytes);
        while kept.bytes > self.limit_bytes && kept.by_path.len() > 1 {
            let oldest = kept.by_path.iter().min_by_key(|(_, (_, _, used))| *used).map(|(path, _)| path.clone());
            let Some(oldest) = oldest else { break };
            kept.forget(&oldest);
        }
    }

    /// The file is gone or replaced.
    pub(crate) fn forget(&self, path: &Path) {
        self.kept.lock().unwrap_or_else(PoisonError::into_inner).forget(path);
    }

    #[cfg(test)]
    pub(super) fn held(&self) -> (usize, usize) {
        let kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        (kept.by_path.len(), kept.bytes)
    }
}

impl Kept {
    fn forget(&mut self, path: &Path) {
        if let Some((_, bytes, _)) = self.by_path.remove(path) {
            self.bytes = self.bytes.saturating_sub(bytes);
        }
    }
}
