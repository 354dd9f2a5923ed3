//! The nearest known word: what somebody meant who mistyped.

/// Beyond so many candidates no nearest word is looked for.
const CANDIDATE_LIMIT: usize = 5_000;

/// The candidate that a typing mistake could have meant: few letters differ for its length, the case not counted. Of more than
/// 5,000 candidates the first ones are looked at.
#[must_use]
pub fn nearest<'c>(word: &str, candidates: impl IntoIterator<Item = &'c str>) -> Option<&'c str> {
    let allowed = (word.chars().count() / 3).clamp(1, 3);
    let near = candidates.into_iter().take(CANDIDATE_LIMIT).map(|candidate| (distance(word, candidate), candidate));
    near.filter(|(distance, _)| *distance <= allowed)
        .min_by_key(|(distance, _)| *distance)
        .map(|(_, candidate)| candidate)
}

/// How many letters must be put in, taken out, changed or swapped with their neighbour (optimal string alignment), without
/// regard to case.
fn distance(a: &str, b: &str) -> usize {
    let fold = |text: &str| text.chars().flat_map(char::to_lowercase).collect::<Vec<char>>();
    let (a, b) = (fold(a), fold(b));
    // rows[0] is the row being filled, rows[1] the one above it, rows[2] the one above that.
    let mut rows: [Vec<usize>; 3] = [(0..=b.len()).collect(), Vec::new(), Vec::new()];
    let cell = |row: &[usize], at: usize| row.get(at).copied().unwrap_or(usize::MAX / 2);
    for (i, x) in a.iter().enumerate() {
        rows.rotate_right(1);
        let [row, above, above2] = &mut rows;
        row.clear();
        row.push(i + 1);
        for (j, y) in b.iter().enumerate() {
            let mut least = (cell(above, j) + usize::from(x != y)).min(cell(above, j + 1) + 1).min(cell(row, j) + 1);
            let swapped = i > 0 && j > 0 && a.get(i - 1) == Some(y) && b.get(j - 1) == Some(x);
            if swapped {
                least = least.min(cell(above2, j - 1) + 1);
            }
            row.push(least);
        }
    }
    rows[0].last().copied().unwrap_or(0)
}

#[cfg(test)]
mod tests {
    use super::{distance, nearest};

    #[test]
    fn counts_the_letters_that_differ() {
        for (a, b, wanted) in [
            ("", "", 0),
            ("abc", "", 3),
            ("", "ab", 2),
            ("kitten", "sitting", 3),
            ("Unit", "unit", 0),
            ("titel", "title", 1),
        ] {
            assert_eq!(distance(a, b), wanted, "{a} {b}");
        }
    }

    #[test]
    fn finds_the_word_that_was_meant_and_none_when_far_off() {
        let known = ["path", "title", "unit", "stale_after"];
        assert_eq!(nearest("titel", known), Some("title"));
        assert_eq!(nearest("staleafter", known), Some("stale_after"));
        assert_eq!(nearest("colour", known), None);
    }
}
