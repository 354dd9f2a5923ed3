//! `LIKE` over paths, decided without building anything: a pattern is looked at once for each tag, in every query.

/// Whether a text is as the pattern says: `%` stands for any text, `_` for one character, and `\` takes the meaning of the
/// character behind it.
pub(crate) fn like(pattern: &str, text: &str) -> bool {
    let (mut pattern, mut text) = (pattern, text);
    // The pattern behind the last `%`, and the text from which on it was tried.
    let mut last: Option<(&str, &str)> = None;
    loop {
        if let Some(behind) = pattern.strip_prefix('%') {
            if behind.is_empty() {
                return true;
            }
            (pattern, last) = (behind, Some((behind, text)));
        } else if pattern.is_empty() && text.is_empty() {
            return true;
        } else if let Some(rest) = one(pattern, text) {
            (pattern, text) = rest;
        } else {
            // The last `%` stands for one character more.
            let Some((behind, tried)) = last else { return false };
            let mut left = tried.chars();
            if left.next().is_none() {
                return false;
            }
            (pattern, text, last) = (behind, left.as_str(), Some((behind, left.as_str())));
        }
    }
}

/// What is left of both when the first character of the pattern stands for the first of the text.
fn one<'a, 'b>(pattern: &'a str, text: &'b str) -> Option<(&'a str, &'b str)> {
    let (mut wanted, mut left) = (pattern.chars(), text.chars());
    let found = left.next()?;
    let fits = match wanted.next()? {
        '_' => true,
        '\\' => match wanted.next() {
            Some(escaped) => escaped == found,
            None => found == '\\',
        },
        plain => plain == found,
    };
    fits.then_some((wanted.as_str(), left.as_str()))
}

/// Whether a pattern stands for one text only.
pub(crate) fn is_plain(pattern: &str) -> bool {
    !pattern.contains(['%', '_', '\\'])
}

#[cfg(test)]
mod tests {
    use super::*;
    use arrow::array::{Scalar, StringArray};
    use proptest::prelude::*;

    #[test]
    fn stars_and_blanks_stand_for_what_they_should() {
        for (pattern, text, fits) in [
            ("works/%/pressure", "works/line1/filler/pressure", true),
            ("works/%/pressure", "works/pressure", false),
            ("%pressure", "works/line1/pressure", true),
            ("line_", "line1", true),
            ("line_", "line", false),
            ("line\\_", "line1", false),
            ("line\\_", "line_", true),
            ("%", "", true),
            ("", "", true),
            ("", "a", false),
            ("a%", "a", true),
            ("%a%b", "aab", true),
            ("%é_", "caféx", true),
        ] {
            assert_eq!(like(pattern, text), fits, "{pattern} {text}");
        }
    }

    proptest! {
        #[test]
        fn it_is_what_the_engine_takes_for_alike(pattern in "[ab%_é/]{0,8}(\\\\[ab%_\\\\é])?[ab%]{0,4}", texts in proptest::collection::vec("[abé/%_\\\\]{0,10}", 1..20)) {
            let engines = arrow::compute::like(&StringArray::from(texts.clone()), &Scalar::new(StringArray::from(vec![pattern.clone()])));
            let engines = engines.expect("texts");
            for (at, text) in texts.iter().enumerate() {
                prop_assert_eq!(like(&pattern, text), engines.value(at), "{} {}", pattern, text);
            }
        }
    }
}
