//! Passwords of people: argon2id (RFC 9106), 19 MiB, t = 2, p = 1, and the rule for choosing one.
//!
//! The rule follows OWASP ASVS 5.0 §6.2: length counts, composition does not, the commonest and the obvious are refused.

use argon2::password_hash::phc::{Output, ParamsString, PasswordHash, Salt};
use argon2::{Algorithm, Argon2, Block, Params, Version};
use subtle::ConstantTimeEq;

/// The fewest characters of a password.
pub const MIN_CHARS: usize = 12;
/// The most characters of a password.
pub const MAX_CHARS: usize = 128;

/// Why a password is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PasswordError {
    /// Too short.
    #[error("a password needs at least {MIN_CHARS} characters; a sentence is fine")]
    TooShort,
    /// Too long.
    #[error("a password has at most {MAX_CHARS} characters")]
    TooLong,
    /// Everybody would try it.
    #[error("this password is too easy to guess; a sentence of four or more words is better")]
    Obvious,
    /// The hash could not be made.
    #[error("the password could not be hashed: {0}")]
    Hash(String),
}

/// The stems of the commonest long passwords; a password that is little more than one of them is refused.
const COMMON: [&str; 22] = [
    "password",
    "passwort",
    "123456789012",
    "qwertyuiop",
    "qwertzuiop",
    "administrator",
    "letmein",
    "iloveyou",
    "welcome",
    "changeme",
    "andon",
    "abcdefghijkl",
    "111111111111",
    "000000000000",
    "1q2w3e4r5t6y",
    "sunshine",
    "princess",
    "football",
    "baseball",
    "superman",
    "trustno",
    "asdfghjkl",
];

/// Checks a new password against the rule.
/// # Errors
/// [`PasswordError`] in words for the person.
pub fn check_new(password: &str, name: &str) -> Result<(), PasswordError> {
    let chars = password.chars().count();
    if chars < MIN_CHARS {
        return Err(PasswordError::TooShort);
    }
    if chars > MAX_CHARS {
        return Err(PasswordError::TooLong);
    }
    let lower = password.to_lowercase();
    let name = name.to_lowercase();
    let mut distinct: Vec<char> = lower.chars().collect();
    distinct.sort_unstable();
    distinct.dedup();
    let left_over = |stem: &str| lower.replace(stem, "").chars().filter(|c| c.is_alphabetic()).count();
    let obvious = COMMON.iter().any(|stem| lower.contains(stem) && left_over(stem) < 6)
        || (name.chars().count() >= 3 && lower.contains(&name) && left_over(&name) < 6)
        || distinct.len() < 5;
    if obvious { Err(PasswordError::Obvious) } else { Ok(()) }
}

/// Memory of one hash, in KiB.
const MEMORY_KIB: u32 = 19 * 1024;
/// Passes over the memory.
const PASSES: u32 = 2;

/// The memory that a hash is computed in: 19 MiB from the first hash on. Only [`crate::hashing`] makes it, twice.
pub struct Memory(Vec<Block>);

impl Memory {
    pub(crate) const fn new() -> Self {
        Self(Vec::new())
    }

    pub(crate) fn give_back(&mut self) {
        self.0 = Vec::new();
    }

    #[cfg(test)]
    pub(crate) fn address(&mut self) -> usize {
        self.blocks().as_ptr() as usize
    }

    fn blocks(&mut self) -> &mut [Block] {
        self.0.resize(MEMORY_KIB as usize, Block::new());
        &mut self.0
    }
}

/// The raw hash with these parameters.
fn compute(password: &str, salt: &[u8], params: Params, memory: &mut Memory) -> Result<[u8; 32], PasswordError> {
    let mut out = [0; 32];
    Argon2::new(Algorithm::Argon2id, Version::V0x13, params)
        .hash_password_into_with_memory(password.as_bytes(), salt, &mut out, memory.blocks())
        .map_err(|e| PasswordError::Hash(e.to_string()))?;
    Ok(out)
}

/// The PHC string of a password with a fresh salt. Blocking, about 20–60 ms.
/// # Errors
/// [`PasswordError::Hash`].
pub fn hash(password: &str, memory: &mut Memory) -> Result<String, PasswordError> {
    let failed = |e: &dyn std::fmt::Display| PasswordError::Hash(e.to_string());
    let params = Params::new(MEMORY_KIB, PASSES, 1, None).map_err(|e| failed(&e))?;
    let mut salt = [0; 16];
    getrandom::fill(&mut salt).map_err(|e| failed(&e))?;
    let hashed = compute(password, &salt, params.clone(), memory)?;
    let phc = PasswordHash {
        algorithm: Algorithm::Argon2id.ident(),
        version: Some(Version::V0x13.into()),
        params: ParamsString::try_from(params).map_err(|e| failed(&e))?,
        salt: Some(Salt::new(&salt).map_err(|e| failed(&e))?),
        hash: Some(Output::new(&hashed).map_err(|e| failed(&e))?),
    };
    Ok(phc.to_string())
}

/// Stands in for the hash of an unknown name: made with the same parameters, so that checking it takes as long.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Whether `password` belongs to `phc`; `None` (an unknown name) takes as long and is always false. Blocking.
#[must_use]
pub fn verify(password: &str, phc: Option<&str>, memory: &mut Memory) -> bool {
    let matches = matches(password, phc.unwrap_or(NOBODY), memory).unwrap_or(false);
    matches && phc.is_some()
}

/// `None` for what is no hash of ours: a damaged file must not make us take more memory or time than our own hashes do.
fn matches(password: &str, phc: &str, memory: &mut Memory) -> Option<bool> {
    let stored = PasswordHash::new(phc).ok()?;
    let params = Params::try_from(&stored).ok()?;
    let ours = stored.algorithm == Algorithm::Argon2id.ident()
        && stored.version == Some(Version::V0x13.into())
        && params.m_cost() <= MEMORY_KIB
        && params.t_cost() <= PASSES
        && params.p_cost() == 1;
    if !ours {
        return None;
    }
    let computed = compute(password, stored.salt.as_ref()?.as_ref(), params, memory).ok()?;
    Some(computed.ct_eq(stored.hash.as_ref()?.as_bytes()).into())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_rule_refuses_the_short_and_the_obvious_and_asks_for_no_symbols() {
        assert_eq!(check_new("short", "eva"), Err(PasswordError::TooShort));
        assert_eq!(check_new(&"x".repeat(129), "eva"), Err(PasswordError::TooLong));
        for bad in ["Password1234", "aaaaaaaaaaaaaa", "andonandonandon1", "evaschmidt12"] {
            assert_eq!(check_new(bad, "evaschmidt"), Err(PasswordError::Obvious), "{bad}");
        }
        for good in ["correct horse battery", "vier flaschen milch", "my password is a long one"] {
            assert_eq!(check_new(good, "eva"), Ok(()), "{good}");
        }
    }

    #[test]
    fn verifies_only_the_right_password_of_somebody() {
        let memory = &mut Memory::new();
        let phc = hash("correct horse battery", memory).expect("hash");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse battery", Some(&phc), memory));
        assert!(!verify("correct horse batterz", Some(&phc), memory));
        assert!(!verify("correct horse battery", None, memory));
        assert_ne!(phc, hash("correct horse battery", memory).expect("hash"), "each has its own salt");
    }

    #[test]
    fn a_hash_that_another_program_made_is_verified() {
        // By the reference implementation in C, salt "sixteen bytes ok".
        let phc = "$argon2id$v=19$m=19456,t=2,p=1$c2l4dGVlbiBieXRlcyBvaw$RJ1sY/uLSiHi0TP1oW8rw19AvL2Hwpt7ELvhU4n7eXg";
        assert!(verify("correct horse battery", Some(phc), &mut Memory::new()));
        assert!(!verify("correct horse batterz", Some(phc), &mut Memory::new()));
    }

    #[test]
    fn a_damaged_hash_is_refused_without_the_memory_or_time_it_asks_for() {
        let phc = hash("correct horse battery", &mut Memory::new()).expect("hash");
        for (ours, other) in [
            ("m=19456", "m=4194304"),
            ("t=2", "t=4294967295"),
            ("p=1", "p=16777215"),
            ("v=19", "v=16"),
            ("argon2id", "argon2i"),
            ("$v=19$", "$"),
            ("argon2id", "x"),
        ] {
            let damaged = phc.replacen(ours, other, 1);
            let memory = &mut Memory::new();
            assert!(!verify("correct horse battery", Some(&damaged), memory), "{damaged}");
            assert!(memory.0.is_empty(), "{damaged}");
        }
        for damaged in
            ["", "$", "$argon2id$v=19$m=19456,t=2,p=1$", "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ"]
        {
            assert!(!verify("", Some(damaged), &mut Memory::new()), "{damaged}");
        }
    }

    #[test]
    fn an_unknown_name_is_checked_at_the_same_cost() {
        let cost = |phc: &str| phc.rsplitn(3, '$').nth(2).map(str::to_owned);
        assert_eq!(cost(NOBODY), cost(&hash("correct horse battery", &mut Memory::new()).expect("hash")));
        // It parses, so that the hash is really computed.
        assert_eq!(matches("x", NOBODY, &mut Memory::new()), Some(false));
    }
}
