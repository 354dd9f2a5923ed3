//! Chores of the repository: `cargo xtask tidy` checks habits that no compiler checks, `cargo xtask notices` lists the
//! licences of everything that goes into the binary.
//!
//! Start reading at [`tidy`]. Each checker is a pure function from text to findings, tested with planted violations.

mod notices;
mod tidy;

use anyhow::{Context as _, Result, bail};
use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode};

const HELP: &str = "cargo xtask <command>

  tidy      check what no compiler checks: arrows between crates, module docs, READMEs, banned calls, stray characters
  notices   write THIRD-PARTY-NOTICES.md from the licences of all dependencies
";

fn main() -> ExitCode {
    match run(std::env::args().nth(1).as_deref()) {
        Ok(code) => code,
        Err(error) => {
            eprintln!("xtask: {error:#}");
            ExitCode::FAILURE
        }
    }
}

fn run(command: Option<&str>) -> Result<ExitCode> {
    match command {
        Some("tidy") => Ok(tidy::run(&root()?)?),
        Some("notices") => notices::run(&root()?).map(|()| ExitCode::SUCCESS),
        None | Some("help" | "--help" | "-h") => {
            print!("{HELP}");
            Ok(ExitCode::SUCCESS)
        }
        Some(other) => bail!("there is no command \"{other}\"; see `cargo xtask help`"),
    }
}

/// The repository's root: the folder above this crate.
fn root() -> Result<PathBuf> {
    let here = Path::new(env!("CARGO_MANIFEST_DIR"));
    here.parent().map(Path::to_owned).context("xtask lies in the repository's root")
}

/// What `cargo metadata` says; `--no-deps` leaves out everything but the workspace.
fn cargo_metadata(root: &Path, arguments: &[&str]) -> Result<serde_json::Value> {
    let cargo = std::env::var("CARGO").unwrap_or_else(|_| "cargo".to_owned());
    let output = Command::new(cargo)
        .args(["metadata", "--format-version", "1"])
        .args(arguments)
        .current_dir(root)
        .output()
        .context("could not start cargo metadata")?;
    if !output.status.success() {
        bail!("cargo metadata failed: {}", String::from_utf8_lossy(&output.stderr));
    }
    serde_json::from_slice(&output.stdout).context("cargo metadata did not answer with JSON")
}
