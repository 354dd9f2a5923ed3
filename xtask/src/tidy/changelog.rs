//! `changelog.d/<topic>.<kind>.md`: one sentence a plant engineer understands.

use super::Finding;

const KINDS: [&str; 5] = ["added", "changed", "fixed", "removed", "security"];

/// Checks one file of `changelog.d/`; `name` is its name in there.
pub(super) fn check(name: &str, content: &str) -> Vec<Finding> {
    let at = format!("changelog.d/{name}");
    if name == "README.md" {
        return Vec::new();
    }
    let mut findings = Vec::new();
    let mut parts = name.split('.');
    let (topic, kind, ending) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default(), parts.next());
    let topic_is_fine =
        !topic.is_empty() && topic.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if !topic_is_fine || !KINDS.contains(&kind) || ending != Some("md") || parts.next().is_some() {
        let what =
            format!("is not named <topic>.<kind>.md with a topic of a-z, 0-9 and - and a kind of {}", KINDS.join(", "));
        findings.push(Finding::new(&at, what));
    }
    if content.trim().is_empty() {
        findings.push(Finding::new(&at, "is empty; write one sentence a plant engineer understands"));
    }
    findings
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_and_content_are_checked() {
        assert!(check("historian-restart.fixed.md", "Text.\n").is_empty());
        assert!(check("README.md", "").is_empty());
        for name in [
            "restart.md",
            "restart.improved.md",
            "Restart.fixed.md",
            ".fixed.md",
            "a.fixed.txt",
            "a.fixed.md.md",
            "sub/a.fixed.md",
        ] {
            assert_eq!(check(name, "Text.\n").len(), 1, "{name}");
        }
        assert_eq!(check("a.fixed.md", " \n").len(), 1);
    }
}
