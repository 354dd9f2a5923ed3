//! New UUIDv7: the time from the clock handed in, the rest from the operating system.

use andon_model::Clock;
use uuid::Uuid;

/// A new id that sorts by time.
pub(crate) fn new_id(clock: &dyn Clock) -> Uuid {
    let mut random = [0_u8; 10];
    // Without randomness two nodes could give the same id; there is nothing sensible to go on with.
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    let millis = u64::try_from(clock.now().millis()).unwrap_or(0);
    uuid::Builder::from_unix_timestamp_millis(millis, &random).into_uuid()
}

/// Sixteen random bytes.
pub(crate) fn random_bytes() -> [u8; 16] {
    let mut random = [0_u8; 16];
    // As above.
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    random
}

/// Eight random letters and digits.
pub(crate) fn random_word() -> String {
    let mut random = [0_u8; 4];
    // As above.
    getrandom::fill(&mut random).expect("the operating system gives random bytes");
    random.iter().map(|byte| format!("{byte:02x}")).collect()
}
