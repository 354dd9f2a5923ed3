//! All text files: stray characters, and places that exist on one machine only.

use super::Finding;

/// Checks one file's text.
pub(super) fn check(name: &str, content: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (number, line) in content.split('\n').enumerate() {
        for what in line_findings(line) {
            findings.push(Finding::new(format!("{name}:{}", number + 1), what));
        }
    }
    if !content.is_empty() && !content.ends_with('\n') {
        findings.push(Finding::new(name, "does not end with a line break; add one"));
    }
    findings
}

fn line_findings(line: &str) -> Vec<&'static str> {
    // Put together here, so that this file does not find itself.
    let (beside, work, root_home) =
        (["..", "shared"].join("/"), ["", "work", ""].join("/"), ["", "root", ""].join("/"));
    let checks = [
        (line.ends_with('\r'), "ends with a carriage return; save it with plain line feeds"),
        (line.trim_end_matches('\r').ends_with([' ', '\t']), "ends with blanks; remove them"),
        (line.contains('\t'), "holds a tab; use spaces"),
        (line.contains(&beside), "names a folder beside the repository; say it here, or leave it out"),
        (
            line.contains(&work) || line.contains(&root_home) || names_a_home(line),
            "names a path of one machine; use a relative path or a variable",
        ),
    ];
    checks.into_iter().filter(|(found, _)| *found).map(|(_, what)| what).collect()
}

/// `/home/<somebody>/`, but not the home of our own service user or a placeholder.
fn names_a_home(line: &str) -> bool {
    let start = ["", "home", ""].join("/");
    line.match_indices(&start).any(|(at, _)| {
        let before = line.get(..at).and_then(|text| text.chars().next_back());
        let user: String = line
            .get(at + start.len()..)
            .unwrap_or_default()
            .chars()
            .take_while(|c| c.is_ascii_alphanumeric())
            .collect();
        // An address or a tag path with a part called "home" is not a folder.
        let is_part = before.is_some_and(|c| c.is_alphanumeric() || "/.#+>}".contains(c));
        let ends = line.get(at + start.len() + user.len()..).is_some_and(|rest| rest.starts_with('/'));
        !is_part && ends && !user.is_empty() && user != "andon"
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn found(content: &str) -> usize {
        check("x.md", content).len()
    }

    #[test]
    fn planted_characters_are_found() {
        assert_eq!(found("plain\n"), 0);
        assert_eq!(found(""), 0);
        assert_eq!(found("trailing \n"), 1);
        assert_eq!(found("a\ttab\n"), 1);
        assert_eq!(found("dos\r\n"), 1);
        assert_eq!(found("no end"), 1);
        assert_eq!(check("x.md", "one\ntwo \n")[0].at, "x.md:2");
    }

    #[test]
    fn paths_of_one_machine_are_found() {
        assert_eq!(found(&format!("see {}\n", ["..", "shared", "x.md"].join("/"))), 1);
        assert_eq!(found(&format!("in {}\n", ["", "root", ".cargo"].join("/"))), 1);
        assert_eq!(found(&format!("in {}\n", ["", "home", "ada", "code"].join("/"))), 1);
        assert_eq!(found("topic site/home/kitchen/lamp\n"), 0);
        assert_eq!(found("$HOME/.cache/andon\n"), 0);
    }
}
