//! Habits that matter enough to be checked. A finding says where, what, and what to do.

mod arrows;
mod changelog;
mod conformance;
mod source;
mod text;

use anyhow::{Context as _, Result};
use std::fmt;
use std::path::{Path, PathBuf};
use std::process::ExitCode;

/// Folders that are not ours or not kept.
const SKIPPED: [&str; 7] = [".git", "target", "node_modules", "dist", ".venv", "__pycache__", ".svelte-kit"];
/// Names of folders that hold what other programs wrote, or what must stay byte for byte as it is.
const AS_IT_IS: [&str; 3] = ["testdata", "cases", "snapshots"];
/// A file made of other people's texts.
const FOREIGN: &str = "THIRD-PARTY-NOTICES.md";
/// File name endings that are text of ours.
const TEXT: [&str; 13] = ["rs", "toml", "md", "ts", "svelte", "css", "html", "mjs", "js", "sh", "py", "yml", "sql"];

/// Something to put right.
#[derive(Debug, PartialEq, Eq)]
pub(crate) struct Finding {
    /// `path` or `path:line`.
    at: String,
    /// What is wrong and what to do.
    what: String,
    /// A warning does not fail the check.
    warning: bool,
}

impl Finding {
    fn new(at: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { at: at.to_string(), what: what.to_string(), warning: false }
    }

    fn warning(at: impl fmt::Display, what: impl fmt::Display) -> Self {
        Self { warning: true, ..Self::new(at, what) }
    }
}

impl fmt::Display for Finding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let kind = if self.warning { "warning" } else { "error" };
        write!(f, "{kind}: {}: {}", self.at, self.what)
    }
}

/// Checks the whole repository and prints what it finds.
pub(crate) fn run(root: &Path) -> Result<ExitCode> {
    let mut findings = arrows::check(&crate::cargo_metadata(root, &["--no-deps"])?);
    let files = files(root)?;
    for path in &files {
        findings.extend(check_file(root, path)?);
    }
    findings.extend(missing_readmes(root)?);
    for finding in &findings {
        println!("{finding}");
    }
    let errors = findings.iter().filter(|finding| !finding.warning).count();
    println!("tidy: {} files, {errors} errors, {} warnings", files.len(), findings.len() - errors);
    Ok(if errors == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn check_file(root: &Path, path: &Path) -> Result<Vec<Finding>> {
    let name = relative(root, path);
    let mut findings = Vec::new();
    if let Some(entry) = name.strip_prefix("changelog.d/") {
        findings.extend(changelog::check(entry, &std::fs::read_to_string(path).unwrap_or_default()));
    }
    let ending = path.extension().and_then(|ending| ending.to_str()).unwrap_or_default();
    if name == FOREIGN || !TEXT.contains(&ending) || name.split('/').any(|part| AS_IT_IS.contains(&part)) {
        return Ok(findings);
    }
    let content = std::fs::read_to_string(path).with_context(|| format!("could not read {name}"))?;
    findings.extend(text::check(&name, &content));
    if ending == "md" && name.starts_with("docs/conformance/") {
        findings.extend(conformance::check(root, &name, &content)?);
    }
    if name == "ARCHITECTURE.md" {
        findings.extend(conformance::check_promises(root, &name, &content)?);
    }
    if ending == "rs" {
        findings.extend(source::check(&name, &content));
    }
    Ok(findings)
}

/// Every crate has a README.md: purpose, use, invariants, where to start, how to test.
fn missing_readmes(root: &Path) -> Result<Vec<Finding>> {
    let mut findings = Vec::new();
    for folder in std::fs::read_dir(root.join("crates")).context("could not list crates/")? {
        let folder = folder?.path();
        if folder.join("Cargo.toml").is_file() && !folder.join("README.md").is_file() {
            let what = "has no README.md; write its purpose in a sentence, ten lines of use, its invariants, where to start reading, how to test it alone";
            findings.push(Finding::new(relative(root, &folder), what));
        }
    }
    Ok(findings)
}

/// All files of ours, sorted.
fn files(root: &Path) -> Result<Vec<PathBuf>> {
    let (mut found, mut folders) = (Vec::new(), vec![root.to_owned()]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(&folder).with_context(|| format!("could not list {}", folder.display()))? {
            let entry = entry?;
            let (kind, name) = (entry.file_type()?, entry.file_name());
            if kind.is_dir() && !name.to_str().is_some_and(|name| SKIPPED.contains(&name)) {
                folders.push(entry.path());
            } else if kind.is_file() {
                found.push(entry.path());
            }
        }
    }
    found.sort();
    Ok(found)
}

/// With `/`, from the root.
fn relative(root: &Path, path: &Path) -> String {
    path.strip_prefix(root).unwrap_or(path).to_string_lossy().replace('\\', "/")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_what_is_planted_in_a_repository_and_leaves_foreign_files_alone() -> Result<()> {
        let root = std::env::temp_dir().join(format!("andon-tidy-{}", std::process::id()));
        let write = |name: &str, content: &str| -> Result<()> {
            let path = root.join(name);
            std::fs::create_dir_all(path.parent().context("a parent")?)?;
            Ok(std::fs::write(path, content)?)
        };
        write("crates/good/Cargo.toml", "[package]\n")?;
        write("crates/good/README.md", "Good.\n")?;
        write("crates/good/src/lib.rs", "//! Good.\n")?;
        write("crates/bare/Cargo.toml", "[package]\n")?;
        write("crates/bare/src/lib.rs", "fn no_doc() {}\n")?;
        write("crates/bare/testdata/as-it-is.md", "trailing \n")?;
        write("web/node_modules/foreign/index.js", "\ttabs \n")?;
        write("changelog.d/wrong-name.md", "x\n")?;
        write("THIRD-PARTY-NOTICES.md", "\ttheir layout \n")?;
        let mut findings = missing_readmes(&root)?;
        for path in files(&root)? {
            findings.extend(check_file(&root, &path)?);
        }
        let places: Vec<&str> = findings.iter().map(|finding| finding.at.as_str()).collect();
        std::fs::remove_dir_all(&root)?;
        assert_eq!(places, ["crates/bare", "changelog.d/wrong-name.md", "crates/bare/src/lib.rs"]);
        Ok(())
    }
}
