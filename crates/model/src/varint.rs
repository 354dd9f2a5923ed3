//! Numbers of variable length: LEB128, seven bits a byte, lowest first, at most ten bytes; zigzag for signed ones. Used by every
//! binary format of ours; MQTT's own variable byte integer is another one.

/// Why bytes are not such a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum VarintError {
    /// The bytes end within it.
    #[error("the bytes end within a number")]
    Truncated,
    /// It does not fit into 64 bits.
    #[error("a number has more than 64 bits")]
    TooLong,
}

/// Adds a number's bytes: one to ten.
pub fn put(out: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        out.push((number & 0x7F) as u8 | 0x80);
        number >>= 7;
    }
    out.push((number & 0x7F) as u8);
}

/// Reads a number from the front of `rest` and moves `rest` behind it.
/// # Errors
/// [`VarintError`]; `rest` is then somewhere within the number.
#[inline]
pub fn take(rest: &mut &[u8]) -> Result<u64, VarintError> {
    // Most numbers have one byte.
    match rest.split_first() {
        Some((byte, after)) if *byte < 0x80 => {
            *rest = after;
            Ok(u64::from(*byte))
        }
        _ => take_long(rest),
    }
}

fn take_long(rest: &mut &[u8]) -> Result<u64, VarintError> {
    let mut number = 0_u64;
    for shift in (0..70).step_by(7) {
        let (byte, after) = rest.split_first().ok_or(VarintError::Truncated)?;
        *rest = after;
        let bits = u64::from(byte & 0x7F);
        if shift == 63 && bits > 1 {
            break;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Ok(number);
        }
    }
    Err(VarintError::TooLong)
}

/// Small numbers of either sign become small unsigned ones: 0, -1, 1, -2 → 0, 1, 2, 3.
#[must_use]
#[inline]
pub const fn zigzag(number: i64) -> u64 {
    ((number << 1) ^ (number >> 63)).cast_unsigned()
}

/// The other way.
#[must_use]
#[inline]
pub const fn unzigzag(number: u64) -> i64 {
    (number >> 1).cast_signed() ^ -((number & 1).cast_signed())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_come_back_and_what_is_none_is_refused() {
        for number in [0, 1, 127, 128, 300, u64::from(u32::MAX), u64::MAX] {
            let mut bytes = Vec::new();
            put(&mut bytes, number);
            assert_eq!(take(&mut bytes.as_slice()), Ok(number));
            let cut = bytes.len() - 1;
            assert_eq!(take(&mut &bytes[..cut]), Err(VarintError::Truncated));
        }
        assert_eq!(take(&mut [0xFF; 11].as_slice()), Err(VarintError::TooLong));
        assert_eq!(take(&mut [&[0x80; 9][..], &[2]].concat().as_slice()), Err(VarintError::TooLong));
        for number in [0, -1, 1, -2, i64::MIN, i64::MAX] {
            assert_eq!(unzigzag(zigzag(number)), number);
        }
    }
}
