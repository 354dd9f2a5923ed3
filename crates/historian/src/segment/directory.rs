//! Where each tag's rows are in a file: a short list in the file's own metadata, so that a read of one tag goes straight
//! to its rows and knows their class without decoding other columns.
//!
//! Base64 of varints: count, then for each tag, ascending: difference of the number from the one before · rows · class ·
//! first time (zigzag, difference from the first time before) · last minus first time.

use super::classify::Class;
use andon_model::varint::{put, take, unzigzag, zigzag};
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use std::ops::Range;

/// A tag's rows.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Entry {
    pub tag: u32,
    /// Of the whole file, counted from 0.
    pub first_row: u64,
    /// A file has fewer than 2^30 rows.
    pub rows: u32,
    pub kind: Kind,
    /// Whether every row's status code is Good (0).
    pub all_good: bool,
    /// First and last source time, µs.
    pub ts: (i64, i64),
}

impl Entry {
    /// Which rows of the file are the tag's.
    pub(super) fn rows(&self) -> Range<u64> {
        self.first_row..self.first_row + u64::from(self.rows)
    }
}

/// Of what class the values are.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Kind {
    /// Several, or one that is not worth a number of its own.
    Mixed,
    /// Whole numbers.
    Int,
    /// Doubles, all stored in the same way and without exceptions.
    Double(Class),
}

impl Kind {
    fn code(self) -> u64 {
        match self {
            Self::Mixed => 0,
            Self::Int => 1,
            Self::Double(Class::Float) => 2,
            Self::Double(Class::Double) => 3,
            Self::Double(Class::Scaled { exponent }) => 4 + u64::from(exponent),
        }
    }

    fn of(code: u64) -> Option<Self> {
        Some(match code {
            0 => Self::Mixed,
            1 => Self::Int,
            2 => Self::Double(Class::Float),
            3 => Self::Double(Class::Double),
            4..14 => Self::Double(Class::Scaled { exponent: u8::try_from(code - 4).ok()? }),
            _ => return None,
        })
    }
}

const GOOD: u64 = 0x20;

pub(super) fn encode(entries: &[Entry]) -> String {
    let mut out = Vec::with_capacity(entries.len() * 12 + 4);
    put(&mut out, entries.len() as u64);
    let (mut tag, mut first) = (0, 0_i64);
    for entry in entries {
        put(&mut out, u64::from(entry.tag.wrapping_sub(tag)));
        put(&mut out, u64::from(entry.rows));
        put(&mut out, entry.kind.code() | if entry.all_good { GOOD } else { 0 });
        put(&mut out, zigzag(entry.ts.0.wrapping_sub(first)));
        put(&mut out, entry.ts.1.wrapping_sub(entry.ts.0).cast_unsigned());
        (tag, first) = (entry.tag, entry.ts.0);
    }
    STANDARD_NO_PAD.encode(out)
}

/// `None` when it is not what [`encode`] writes.
pub(super) fn decode(text: &str) -> Option<Vec<Entry>> {
    let bytes = STANDARD_NO_PAD.decode(text).ok()?;
    let mut rest = bytes.as_slice();
    let count = usize::try_from(take(&mut rest).ok()?).ok().filter(|count| *count <= rest.len() / 5 + 1)?;
    let mut entries: Vec<Entry> = Vec::with_capacity(count);
    let (mut tag, mut first, mut row) = (0_u32, 0_i64, 0_u64);
    for _ in 0..count {
        let next = tag.checked_add(u32::try_from(take(&mut rest).ok()?).ok()?)?;
        if entries.last().is_some_and(|last| last.tag >= next) {
            return None;
        }
        let rows = u32::try_from(take(&mut rest).ok()?).ok()?;
        let code = take(&mut rest).ok()?;
        first = first.wrapping_add(unzigzag(take(&mut rest).ok()?));
        let last = first.wrapping_add(take(&mut rest).ok()?.cast_signed());
        let kind = Kind::of(code & !GOOD)?;
        entries.push(Entry { tag: next, first_row: row, rows, kind, all_good: code & GOOD != 0, ts: (first, last) });
        tag = next;
        row = row.checked_add(u64::from(rows))?;
    }
    rest.is_empty().then_some(entries)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn comes_back_as_written_also_at_the_ends_of_numbers() {
        let entries = [
            Entry { tag: 0, first_row: 0, rows: 1, kind: Kind::Mixed, all_good: true, ts: (i64::MIN, i64::MAX) },
            Entry { tag: 7, first_row: 1, rows: 5, kind: Kind::Int, all_good: false, ts: (i64::MAX, i64::MAX) },
            Entry {
                tag: u32::MAX,
                first_row: 6,
                rows: 1 << 30,
                kind: Kind::Double(Class::Scaled { exponent: 9 }),
                all_good: true,
                ts: (-5, 5),
            },
        ];
        assert_eq!(decode(&encode(&entries)).as_deref(), Some(&entries[..]));
        assert_eq!(decode(&encode(&[])), Some(Vec::new()));
    }

    proptest! {
        #[test]
        fn any_text_is_read_or_refused_and_nothing_else(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Some(entries) = decode(&STANDARD_NO_PAD.encode(&bytes)) {
                prop_assert!(entries.windows(2).all(|pair| pair[0].tag < pair[1].tag));
            }
        }
    }
}
