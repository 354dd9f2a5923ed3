//! Names that are numbers of parts, and which of two revisions is the newer one.

use andon_model::plant::{MasterDef, MasterKind};
use andon_model::settings::Table;
use std::cmp::Ordering;

/// The longest name of a material or an instruction, in bytes.
const NAME_LIMIT: usize = 64;
/// The longest revision, and the longest name of an operation, in bytes.
pub(super) const SHORT_LIMIT: usize = 16;

/// Whether it can stand in a path, a bar code and a file name: `[A-Za-z0-9][A-Za-z0-9._-]*`, at most so many bytes.
pub(super) fn is_id(text: &str, most: usize) -> bool {
    let inner = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'.' | b'_' | b'-');
    text.len() <= most && text.starts_with(|c: char| c.is_ascii_alphanumeric()) && text.bytes().all(inner)
}

/// Checks the name and the revision of a table.
pub(super) fn read(table: &mut Table<'_, '_>, kind: MasterKind, full: &str) -> (String, Option<String>) {
    let (name, revision) = MasterDef::split(kind, full);
    for (key, text, most) in [("name", Some(name), NAME_LIMIT), ("revision", revision, SHORT_LIMIT)] {
        if let Some(text) = text.filter(|text| !is_id(text, most)) {
            let remedy = format!(
                "write 1 to {most} letters (a to z), digits, `.`, `_` and `-`, and begin with a letter or a digit"
            );
            table.found(key, format!("{text:?} is no {key} of {} {}", article(kind), kind.word()), &remedy);
        }
    }
    (name.to_owned(), revision.map(str::to_owned))
}

const fn article(kind: MasterKind) -> &'static str {
    if matches!(kind, MasterKind::Instruction) { "an" } else { "a" }
}

/// Which of two revisions is the greater, by natural order.
///
/// They are compared part by part: digits as a number (`2` before `10`), letters as drawings are counted, so that fewer come first (`B`
/// before `Z` before `AA`), in either case; all else is a sign between them. Where parts of different kinds meet, the end comes first,
/// then signs, then digits, then letters: `1`, `1-2`, `1A`. No revision comes before all others. Two that are written
/// differently are never equal: `01` comes before `1`.
#[must_use]
pub fn order(a: Option<&str>, b: Option<&str>) -> Ordering {
    a.map(parts).cmp(&b.map(parts)).then(a.cmp(&b))
}

#[derive(PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Sign(char),
    /// Without zeros before it: how many digits, and which.
    Number(usize, String),
    Letters(usize, String),
}

fn parts(text: &str) -> Vec<Part> {
    let mut rest = text;
    let mut parts = Vec::new();
    while let Some(first) = rest.chars().next() {
        let run = |is: fn(&char) -> bool| rest.chars().take_while(is).count();
        let length = match first {
            '0'..='9' => {
                let digits = run(char::is_ascii_digit);
                let number = rest.get(..digits).unwrap_or_default().trim_start_matches('0');
                parts.push(Part::Number(number.len(), number.to_owned()));
                digits
            }
            'a'..='z' | 'A'..='Z' => {
                let letters = run(char::is_ascii_alphabetic);
                parts.push(Part::Letters(letters, rest.get(..letters).unwrap_or_default().to_ascii_lowercase()));
                letters
            }
            sign => {
                parts.push(Part::Sign(sign));
                sign.len_utf8()
            }
        };
        rest = rest.get(length..).unwrap_or_default();
    }
    parts
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn revisions_are_in_the_order_in_which_people_count() {
        let counted = [
            None,
            Some("0"),
            Some("1"),
            Some("1-2"),
            Some("1-10"),
            Some("1A"),
            Some("2"),
            Some("10"),
            Some("2026-11"),
            Some("A"),
            Some("b"),
            Some("Z"),
            Some("AA"),
        ];
        for (at, a) in counted.iter().enumerate() {
            for (other, b) in counted.iter().enumerate() {
                assert_eq!(order(*a, *b), at.cmp(&other), "{a:?} {b:?}");
            }
        }
        assert_eq!(order(Some("01"), Some("1")), Ordering::Less);
        assert_eq!(order(Some("a"), Some("A")), Ordering::Greater, "written differently, so one has to come first");
        let long = |digit: &str| digit.repeat(16);
        assert_eq!(order(Some(&long("9")), Some(&format!("1{}", long("0")))), Ordering::Less, "no number is too long");
    }

    proptest! {
        #[test]
        fn it_is_an_order(a in "[0-2ab.-]{0,4}", b in "[0-2ab.-]{0,4}", c in "[0-2ab.-]{0,4}") {
            let order = |a: &str, b: &str| order(Some(a), Some(b));
            prop_assert_eq!(order(&a, &b), order(&b, &a).reverse());
            prop_assert_eq!(order(&a, &b).is_eq(), a == b);
            if order(&a, &b).is_le() && order(&b, &c).is_le() {
                prop_assert!(order(&a, &c).is_le());
            }
        }
    }
}
