//! What is written is read back, whatever is in it; what is damaged is an error and no panic.

use super::Random;
use crate::content::Content;
use crate::{DataArea, LeftOut, Message, read};
use proptest::prelude::*;

fn message(seed: u64) -> Message {
    let mut random = Random::new(seed);
    Message { application_area: Content::sample(&mut random), data_area: DataArea::sample(&mut random) }
}

/// Reads it and does with what came what a receiver would.
fn read_and_use(bytes: &[u8]) {
    match read(bytes) {
        Ok(read) => assert!(!read.message.write().is_empty()),
        Err(error) => assert!(error.to_string().len() < 2000, "{error}"),
    }
}

proptest! {
    #[test]
    fn what_is_written_is_read_back(seed: u64) {
        let message = message(seed);
        let text = message.write();
        let back = read(text.as_bytes());
        prop_assert_eq!(back.as_ref().map(|read| &read.message), Ok(&message), "{}", text);
        prop_assert_eq!(back.unwrap().left_out, LeftOut::default());
    }

    #[test]
    fn a_damaged_message_is_never_a_panic(seed: u64, hits in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..8)) {
        let mut bytes = message(seed).write().into_bytes();
        for (at, byte) in hits {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        read_and_use(&bytes);
    }

    #[test]
    fn pieces_in_the_wrong_place_are_never_a_panic(seed: u64, from: prop::sample::Index, length in 1usize..200, to: prop::sample::Index) {
        let bytes = message(seed).write().into_bytes();
        let from = from.index(bytes.len());
        let piece = bytes[from..(from + length).min(bytes.len())].to_vec();
        let mut moved = bytes.clone();
        let to = to.index(bytes.len());
        moved.splice(to..to, piece);
        read_and_use(&moved);
        read_and_use(&bytes[..from]);
    }

    #[test]
    fn no_bytes_are_a_panic(bytes: Vec<u8>) {
        read_and_use(&bytes);
    }
}
