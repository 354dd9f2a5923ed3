//! Names of people, tokens and devices: no two look alike, and none hides anything.
//!
//! The name of a person is what others see beside an alarm that was acknowledged, so it must not be mistaken for another
//! one's. It is of one script, of letters in everyday use (Unicode UTS #39), and its skeleton (what it looks like)
//! is that of no other.

use andon_model::text::{Hidden, check_line};
use unicode_normalization::UnicodeNormalization;
use unicode_security::confusable_detection::skeleton;
use unicode_security::{GeneralSecurityProfile, MixedScript};

/// The most characters of a name.
const MAX_CHARS: usize = 64;
/// What may stand between letters and digits.
const BETWEEN: [char; 7] = [' ', '.', '_', '-', '\'', '@', '+'];

/// Why a name cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NameError {
    /// Empty or too long.
    #[error("a name has 1 to {MAX_CHARS} characters")]
    Length,
    /// A space at an end, or two in a row: it would look like a name without.
    #[error("a name neither begins nor ends with a space, nor has two in a row")]
    Spaces,
    /// Something that cannot be seen.
    #[error("in the name, {0}")]
    Hidden(#[from] Hidden),
    /// A character that names do not have.
    #[error("character {at} of the name is {shown} (U+{:04X}): use letters, digits, spaces and . _ - \' @ +", u32::from(*.character))]
    Character {
        /// Its place, from 1.
        at: usize,
        /// The character.
        character: char,
        /// As it can be shown.
        shown: String,
    },
    /// Letters of several scripts.
    #[error(
        "the name mixes letters of several scripts, such as Latin and Cyrillic, so it could look like another one: use one script"
    )]
    Scripts,
}

/// Checks the name of a token or a device.
/// # Errors
/// [`NameError`].
pub fn check(name: &str) -> Result<(), NameError> {
    check_line(name)?;
    if !(1..=MAX_CHARS).contains(&name.chars().count()) {
        return Err(NameError::Length);
    }
    if name.trim() != name || name.contains("  ") {
        return Err(NameError::Spaces);
    }
    Ok(())
}

/// Checks the name of a person and gives it with composed letters.
/// # Errors
/// [`NameError`].
pub fn check_person(name: &str) -> Result<String, NameError> {
    check(name)?;
    let name: String = name.nfc().collect();
    for (at, character) in name.chars().enumerate() {
        if !character.identifier_allowed() && !BETWEEN.contains(&character) {
            return Err(NameError::Character { at: at + 1, character, shown: format!("{character:?}") });
        }
    }
    if name.is_single_script() { Ok(name) } else { Err(NameError::Scripts) }
}

/// What a name is found under: without regard to case, width and composition.
#[must_use]
pub fn key(name: &str) -> String {
    name.nfkc().collect::<String>().to_lowercase().nfkc().collect()
}

/// Whether two names could be taken for each other: as they are written, or without regard to case.
#[must_use]
pub fn look_alike(a: &str, b: &str) -> bool {
    let same = |a: &str, b: &str| skeleton(a).eq(skeleton(b));
    let (low_a, low_b) = (key(a), key(b));
    low_a == low_b || same(&low_a, &low_b) || same(a, b)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_all_scripts_are_taken() {
        for name in [
            "Ada Maier",
            "eva",
            "J\u{fc}rgen O\'Neill",
            "a.b_c-d",
            "eva@works.example",
            "Анна",
            "Γιώργος",
            "محمد",
            "שרה",
            "प्रिया",
            "田中 さくら",
            "김민준",
            "สมชาย",
            "operator 2",
        ] {
            assert_eq!(check_person(name).as_deref(), Ok(name));
        }
        assert_eq!(check_person("Ju\u{308}rgen").as_deref(), Ok("J\u{fc}rgen"), "composed");
    }

    #[test]
    fn what_could_deceive_is_refused() {
        for name in [
            "",
            " a",
            "a ",
            "a  b",
            "a\u{202e}b",
            "a\u{200b}",
            "a\nb",
            "\u{feff}a",
            "ev\u{430}",
            "\u{ff45}va",
            "a/b",
            "a\u{2044}b",
            "\u{1d404}va",
            "e\u{301}\u{301}\u{2063}",
        ] {
            assert!(check_person(name).is_err(), "{name:?}");
        }
        assert!(check_person(&"x".repeat(65)).is_err());
        let mixed = check_person("ev\u{430}").map_err(|e| e.to_string());
        assert!(mixed.is_err_and(|e| e.contains("several scripts")));
        let hidden = check_person("ev\u{200b}a").map_err(|e| e.to_string());
        assert_eq!(hidden, Err("in the name, character 3 is U+200B, a character that cannot be seen".to_owned()));
    }

    #[test]
    fn names_that_look_alike_are_found() {
        // Latin and Cyrillic "aec", l and I and 1, 0 and O, rn and m, composed and not, wide and narrow.
        for (a, b) in [
            ("aec", "\u{430}\u{435}\u{441}"),
            ("paul", "pau1"),
            ("paul", "pauI"),
            ("R0b", "ROb"),
            ("Arno", "Amo"),
            ("J\u{fc}rgen", "ju\u{308}rgen"),
            ("eva", "\u{ff45}va"),
            ("EVA", "eva"),
        ] {
            assert!(look_alike(a, b), "{a} and {b}");
        }
        for (a, b) in [("eva", "ada"), ("ian", "lan"), ("operator 1", "operator 2"), ("Анна", "Инна")] {
            assert!(!look_alike(a, b), "{a} and {b}");
        }
    }
}
