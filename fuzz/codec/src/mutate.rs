//! Bytes that are nearly a packet.

use crate::choice::Choice;

/// Changes a packet in one to four places. Mostly its length is put right afterwards, so that what is wrong is inside.
pub fn mutate(choice: &mut Choice<'_>, bytes: &mut Vec<u8>) {
    for _ in 0..choice.below(4) + 1 {
        change(choice, bytes);
    }
    if !choice.once_in(6) {
        put_length_right(bytes);
    }
}

fn change(choice: &mut Choice<'_>, bytes: &mut Vec<u8>) {
    const EDGES: [u8; 16] = [0, 1, 2, 3, 0x0B, 0x1F, 0x21, 0x23, 0x26, 0x2B, 0x7F, 0x80, 0x81, 0xC0, 0xED, 0xFF];
    if bytes.is_empty() {
        return bytes.push(choice.byte());
    }
    // The front is where the fields are, so it is hit more often.
    let reach = if choice.once_in(2) { bytes.len().min(24) } else { bytes.len() };
    let at = choice.below(reach);
    match choice.below(10) {
        0 => bytes[at] ^= 1 << choice.below(8),
        1 => bytes[at] = choice.byte(),
        2 => bytes[at] = choice.of(&EDGES),
        3 => bytes[at] = bytes[at].wrapping_add(1),
        4 => bytes[at] = bytes[at].wrapping_sub(1),
        5 => bytes.insert(at, choice.of(&EDGES)),
        6 => drop(bytes.remove(at)),
        7 => bytes.truncate(at),
        8 => {
            let end = (at + choice.below(12) + 1).min(bytes.len());
            let part = bytes[at..end].to_vec();
            bytes.splice(end..end, part);
        }
        _ => {
            let end = (at + choice.below(12) + 1).min(bytes.len());
            bytes.drain(at..end);
        }
    }
}

/// Writes the remaining length as it is, in its shortest form.
pub fn put_length_right(bytes: &mut Vec<u8>) {
    if bytes.len() < 2 {
        return;
    }
    let old = bytes.iter().skip(1).take(4).take_while(|byte| **byte & 0x80 != 0).count() + 1;
    let body = bytes.split_off(bytes.len().min(1 + old));
    bytes.truncate(1);
    let mut rest = body.len();
    loop {
        let low = u8::try_from(rest & 0x7F).unwrap_or(0);
        rest >>= 7;
        bytes.push(if rest == 0 { low } else { low | 0x80 });
        if rest == 0 {
            break;
        }
    }
    bytes.extend(body);
}
