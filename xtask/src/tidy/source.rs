//! Rust sources: module docs, and calls that have a better way here.

use super::Finding;

/// A file over this length should be cut where it has a seam.
const LONG_FILE_LINES: usize = 1_000;

/// A call that has a better way, where it is still right, and the better way.
struct Banned {
    call: &'static str,
    /// Must the line begin with it (the result is dropped then)?
    as_statement: bool,
    fine_in: &'static [&'static str],
    remedy: &'static str,
}

const BANNED: [Banned; 7] = [
    Banned {
        call: "println!(",
        as_statement: false,
        fine_in: &["server", "xtask"],
        remedy: "use tracing, or return the text to server",
    },
    Banned {
        call: "print!(",
        as_statement: false,
        fine_in: &["server", "xtask"],
        remedy: "use tracing, or return the text to server",
    },
    Banned {
        call: "tokio::spawn(",
        as_statement: true,
        fine_in: &[],
        remedy: "a task without an owner: keep its handle in a JoinSet and give it a stop token, or say right above who ends it",
    },
    Banned {
        call: "unbounded_channel",
        as_statement: false,
        fine_in: &["xtask"],
        remedy: "every queue has a bound and says what happens when it is full",
    },
    Banned {
        call: "process::exit(",
        as_statement: false,
        fine_in: &["server", "xtask"],
        remedy: "return an error; only server ends the process, after closing the log",
    },
    Banned {
        call: "env::var(",
        as_statement: false,
        fine_in: &["server", "xtask", "testkit"],
        remedy: "take the setting as an argument; server reads the environment",
    },
    Banned {
        call: "thread::sleep(",
        as_statement: false,
        fine_in: &["xtask"],
        remedy: "wait for a condition, never for a while",
    },
];

/// Checks one Rust file; `name` is its path from the root, with `/`.
pub(super) fn check(name: &str, content: &str) -> Vec<Finding> {
    let mut findings = Vec::new();
    let in_src = name.contains("/src/");
    if in_src && !has_module_doc(content) {
        findings.push(Finding::new(
            name,
            "begins without `//!`; say its purpose, its idea, its invariants, where to start",
        ));
    }
    if content.lines().count() > LONG_FILE_LINES {
        findings.push(Finding::warning(
            name,
            format!("is longer than {LONG_FILE_LINES} lines; cut it where it has a seam"),
        ));
    }
    if in_src && !is_test_file(name) {
        findings.extend(banned_calls(name, content));
    }
    findings
}

fn has_module_doc(content: &str) -> bool {
    let first = content.lines().map(str::trim).find(|line| !line.is_empty() && !line.starts_with("#!["));
    first.is_some_and(|line| line.starts_with("//!"))
}

fn is_test_file(name: &str) -> bool {
    name.ends_with("/tests.rs") || name.contains("/tests/")
}

fn banned_calls(name: &str, content: &str) -> Vec<Finding> {
    let owner = name.strip_prefix("crates/").unwrap_or(name).split('/').next().unwrap_or_default();
    let mut findings = Vec::new();
    // Tests stand at the end of a file, so everything from their `#[cfg(test)]` on is theirs.
    let code = content.lines().take_while(|line| *line != "#[cfg(test)]");
    let mut above = "";
    for (number, line) in code.enumerate() {
        let line = line.trim_start();
        // A dropped result is fine when a comment right above says why.
        let explained = std::mem::replace(&mut above, line).starts_with("//");
        if line.starts_with("//") {
            continue;
        }
        for banned in BANNED.iter().filter(|banned| !banned.fine_in.contains(&owner)) {
            if calls(line, banned) && !(banned.as_statement && explained) {
                let at = format!("{name}:{}", number + 1);
                findings.push(Finding::new(at, format!("`{}`: {}", banned.call.trim_end_matches('('), banned.remedy)));
            }
        }
    }
    findings
}

fn calls(line: &str, banned: &Banned) -> bool {
    if banned.as_statement {
        return [line, line.trim_start_matches("let _ = ")].iter().any(|line| line.starts_with(banned.call));
    }
    // Not as the end of a longer name: `eprintln!` is its own entry of the list, if any.
    line.match_indices(banned.call).any(|(at, _)| !line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(name: &str, content: &str) -> Vec<String> {
        check(name, content).into_iter().map(|finding| finding.at).collect()
    }

    #[test]
    fn a_module_without_a_doc_is_found() {
        assert_eq!(at("crates/bus/src/last.rs", "use x;\n"), ["crates/bus/src/last.rs"]);
        assert!(at("crates/bus/src/last.rs", "#![no_std]\n\n//! Last values.\nuse x;\n").is_empty());
        assert!(at("crates/bus/tests/it/main.rs", "use x;\n").is_empty());
    }

    #[test]
    fn banned_calls_are_found_where_they_are_banned() {
        let file = |line: &str| format!("//! Doc.\nfn f() {{\n    {line}\n}}\n");
        for line in [
            "println!(\"x\");",
            "tokio::spawn(run());",
            "let _ = tokio::spawn(run());",
            "let (a, b) = mpsc::unbounded_channel();",
            "std::process::exit(1);",
            "let home = std::env::var(\"HOME\");",
            "std::thread::sleep(d);",
        ] {
            assert_eq!(at("crates/bus/src/x.rs", &file(line)), ["crates/bus/src/x.rs:3"], "{line}");
        }
        for line in [
            "tasks.push(tokio::spawn(run()));",
            "// println!(\"x\");",
            "myprintln!(\"x\");",
            "let t = tokio::spawn(run());",
        ] {
            assert!(at("crates/bus/src/x.rs", &file(line)).is_empty(), "{line}");
        }
        assert!(
            at("crates/bus/src/x.rs", &file("// It ends with the connection.\n    tokio::spawn(run());")).is_empty()
        );
        assert!(at("crates/server/src/x.rs", &file("println!(\"x\");")).is_empty());
        assert!(at("xtask/src/x.rs", &file("println!(\"x\");")).is_empty());
    }

    #[test]
    fn tests_and_examples_may_print() {
        let content = "//! Doc.\nfn f() {}\n\n#[cfg(test)]\nmod tests {\n    fn g() { println!(\"x\"); }\n}\n";
        assert!(at("crates/bus/src/x.rs", content).is_empty());
        assert!(at("crates/bus/examples/x.rs", "//! Doc.\nfn f() { println!(\"x\"); }\n").is_empty());
        assert!(at("crates/bus/src/x/tests.rs", "//! Doc.\nfn f() { println!(\"x\"); }\n").is_empty());
    }

    #[test]
    fn a_long_file_is_a_warning_only() {
        let findings = check("crates/bus/src/x.rs", &format!("//! Doc.\n{}", "fn f() {}\n".repeat(1_000)));
        assert!(findings.len() == 1 && findings[0].warning);
    }
}
