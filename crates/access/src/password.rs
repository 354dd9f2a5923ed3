//! Passwords of people: argon2id (RFC 9106), 19 MiB, t = 2, p = 1, and the rule for choosing one.
//!
//! The rule follows OWASP ASVS 5.0 §6.2: length counts, composition does not, the commonest and the obvious are refused.

use argon2::password_hash::phc::PasswordHash;
use argon2::password_hash::{PasswordHasher, PasswordVerifier};
use argon2::{Algorithm, Argon2, Params, Version};

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

fn argon2() -> Result<Argon2<'static>, PasswordError> {
    let params = Params::new(19 * 1024, 2, 1, None).map_err(|e| PasswordError::Hash(e.to_string()))?;
    Ok(Argon2::new(Algorithm::Argon2id, Version::V0x13, params))
}

/// The PHC string of a password with a fresh salt. Blocking, about 20–60 ms and 19 MiB.
/// # Errors
/// [`PasswordError::Hash`].
pub fn hash(password: &str) -> Result<String, PasswordError> {
    let hashed = argon2()?.hash_password(password.as_bytes()).map_err(|e| PasswordError::Hash(e.to_string()))?;
    Ok(hashed.to_string())
}

/// Stands in for the hash of an unknown name: made with the same parameters, so that checking it takes as long.
const NOBODY: &str =
    "$argon2id$v=19$m=19456,t=2,p=1$bm9ib2R5IGhhcyB0aGlzIQ$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA";

/// Whether `password` belongs to `phc`; `None` (an unknown name) takes as long and is always false. Blocking.
#[must_use]
pub fn verify(password: &str, phc: Option<&str>) -> bool {
    let matches = PasswordHash::new(phc.unwrap_or(NOBODY))
        .is_ok_and(|parsed| argon2().is_ok_and(|argon2| argon2.verify_password(password.as_bytes(), &parsed).is_ok()));
    matches && phc.is_some()
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
        let phc = hash("correct horse battery").expect("hash");
        assert!(phc.starts_with("$argon2id$v=19$m=19456,t=2,p=1$"));
        assert!(verify("correct horse battery", Some(&phc)));
        assert!(!verify("correct horse batterz", Some(&phc)));
        assert!(!verify("correct horse battery", None));
    }

    #[test]
    fn an_unknown_name_is_checked_at_the_same_cost() {
        let cost = |phc: &str| phc.rsplitn(3, '$').nth(2).map(str::to_owned);
        assert_eq!(cost(NOBODY), cost(&hash("correct horse battery").expect("hash")));
        // It parses, so that the hash is really computed.
        let nobody = PasswordHash::new(NOBODY).expect("a hash");
        assert!(
            argon2().expect("argon2").verify_password(b"x", &nobody).is_err_and(|e| e.to_string().contains("password"))
        );
    }
}
