//! Bytes that reach new code, to all codecs. The first byte says in which situation they are heard.
#![no_main]

use andon_codec_fuzz::{Counts, Heard, check_bytes};
use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| {
    let Some((first, bytes)) = data.split_first() else { return };
    let heard = Heard::ALL[usize::from(*first) % Heard::ALL.len()];
    if let Err(disagreement) = check_bytes(heard, bytes, &mut Counts::default()) {
        panic!("{disagreement}");
    }
});
