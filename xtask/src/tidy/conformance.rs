//! `docs/conformance/*.md` and `ARCHITECTURE.md`: every test and packet sequence that a table names is there.

use super::Finding;
use anyhow::{Context as _, Result};
use std::collections::{HashMap, HashSet};
use std::path::Path;

/// Where the packet sequences are, one a line.
const SEQUENCES: &str = "crates/broker/tests/conformance/sequences.jsonl";

/// A name of a test has at least so many `_`; fewer have settings and columns, too.
const WORDS: usize = 3;

/// Checks one page. Everything in backticks that looks like a test's name is taken for one: `crate::module::test`, or
/// `tests/e2e/file.py::test`; and `sequence` before a name in backticks.
pub(super) fn check(root: &Path, name: &str, content: &str) -> Result<Vec<Finding>> {
    let mut sources = HashMap::new();
    let sequences = std::fs::read_to_string(root.join(SEQUENCES)).unwrap_or_default();
    let mut findings = Vec::new();
    for (number, line) in content.split('\n').enumerate() {
        for (before, quoted) in quotes(line) {
            let found = if before.ends_with("sequence ") {
                sequences.contains(&format!("{{\"name\": \"{quoted}\","))
            } else if let Some((place, test)) = place_of(quoted) {
                if !sources.contains_key(&place) {
                    sources.insert(place.clone(), source(&root.join(&place))?);
                }
                sources.get(&place).is_some_and(|text| has_function(text, test))
            } else {
                continue;
            };
            if !found {
                let what = format!("names {quoted}, which is nowhere; give its present name, or write the test");
                findings.push(Finding::new(format!("{name}:{}", number + 1), what));
            }
        }
    }
    Ok(findings)
}

/// Checks the page that says what must stay true: whatever in backticks looks like the name of a test, being words with `_` between them,
/// stands somewhere in the sources of Rust and Python.
pub(super) fn check_promises(root: &Path, name: &str, content: &str) -> Result<Vec<Finding>> {
    let text = ["crates", "tests", "xtask"]
        .map(|folder| source(&root.join(folder)))
        .into_iter()
        .collect::<Result<String>>()?;
    let is_letter = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_';
    let known: HashSet<&str> = text.split(|c| !is_letter(c)).collect();
    let mut findings = Vec::new();
    for (number, line) in content.split('\n').enumerate() {
        for (_, quoted) in quotes(line) {
            let test = quoted.rsplit("::").next().unwrap_or_default();
            let is_one = test.chars().all(is_letter) && test.matches('_').count() >= WORDS;
            if is_one && !known.contains(test) {
                let what =
                    format!("names the test {quoted}, which is nowhere; give its present name, or write the test");
                findings.push(Finding::new(format!("{name}:{}", number + 1), what));
            }
        }
    }
    Ok(findings)
}

/// What stands in backticks, each with what stands before it.
fn quotes(line: &str) -> impl Iterator<Item = (&str, &str)> {
    let parts: Vec<&str> = line.split('`').collect();
    let pairs: Vec<_> = parts.chunks_exact(2).filter_map(|pair| Some((*pair.first()?, *pair.get(1)?))).collect();
    pairs.into_iter()
}

/// The file or folder that holds a test, and the test's name; `None`: these words name no test.
fn place_of(quoted: &str) -> Option<(String, &str)> {
    let (front, test) = quoted.rsplit_once("::")?;
    if front.ends_with(".py") {
        return Some((front.to_owned(), test));
    }
    let (package, _module) = front.split_once("::")?;
    let is_name = |word: &str| word.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'_');
    // The words that explain the notation are no test.
    (package != "crate" && is_name(package) && is_name(test)).then(|| (format!("crates/{package}"), test))
}

/// The text of a file, or of all Rust files below a folder; empty if there is no such place.
fn source(place: &Path) -> Result<String> {
    if !place.exists() {
        return Ok(String::new());
    }
    let files = if place.is_dir() { super::files(place)? } else { vec![place.to_owned()] };
    let mut text = String::new();
    for file in files.iter().filter(|file| file.extension().is_some_and(|ending| ending == "rs" || ending == "py")) {
        text += &std::fs::read_to_string(file).with_context(|| format!("could not read {}", file.display()))?;
    }
    Ok(text)
}

fn has_function(text: &str, test: &str) -> bool {
    [format!("fn {test}("), format!("def {test}(")].iter().any(|start| text.contains(start.as_str()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_test_or_sequence_that_is_nowhere_is_found() -> Result<()> {
        let root = std::env::temp_dir().join(format!("andon-conformance-{}", std::process::id()));
        let write = |name: &str, content: &str| -> Result<()> {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().context("a parent")?)?;
            Ok(std::fs::write(path, content)?)
        };
        write("crates/broker/tests/it/connect.rs", "async fn it_is_there() {}\n")?;
        write("tests/e2e/test_x.py", "    def test_there(self):\n")?;
        write(SEQUENCES, "{\"name\": \"v5.0   AUTH / F2\", \"steps\": []}\n")?;
        let page = "| `crate::module::test` | `#` | `broker::connect::it_is_there`, `tests/e2e/test_x.py::test_there` |\n\
                    | `broker::connect::it_is` |\n\
                    | sequence `v5.0   AUTH / F2`; sequence `v5.0 AUTH / F3` |\n\
                    | `nowhere::connect::it_is_there`; `tests/e2e/test_x.py::test_gone`; `tests/e2e/test_y.py::test_x` |\n";
        let findings = check(&root, "page.md", page)?;
        let places: Vec<&str> = findings.iter().map(|finding| finding.at.as_str()).collect();
        let page = "| true | x `it_is_there`, `connect::it_is_there`; e2e `test_there` |\n| `was_it_ever_there`, `history_days` |\n";
        let promises = check_promises(&root, "page.md", page)?;
        let broken: Vec<&str> = promises.iter().map(|finding| finding.at.as_str()).collect();
        std::fs::remove_dir_all(&root)?;
        assert_eq!(broken, ["page.md:2"]);
        assert_eq!(places, ["page.md:2", "page.md:3", "page.md:4", "page.md:4", "page.md:4"]);
        Ok(())
    }
}
