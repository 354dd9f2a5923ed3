//! `andon calc`: case files through the formulas of the service, so that anybody can check them with figures of their own.

use crate::commands::FOUND;
use crate::say::{self, complain};
use andon_mes::calc::{self, Compute, FILE_MAX};
use andon_model::text::counted;
use anyhow::{Context, Result, bail};
use std::io::Read as _;
use std::path::Path;
use std::process::ExitCode;

/// What can be computed.
#[derive(Clone, Copy, clap::ValueEnum)]
pub enum Kind {
    /// KPIs of ISO 22400-2, from times and amounts or from a log of states; times in minutes.
    Oee,
}

impl Kind {
    fn compute(self) -> Compute {
        match self {
            Self::Oee => calc::oee::compute,
        }
    }
}

/// Prints what comes of each case as one JSON object; what differs from what was expected goes to standard error.
/// # Errors
/// The file cannot be read or is no case file, or a case cannot be understood.
pub fn calc(file: &Path, kind: Kind) -> Result<ExitCode> {
    let mut text = String::new();
    let reading = || format!("could not read {}", file.display());
    std::fs::File::open(file)
        .with_context(reading)?
        .take(FILE_MAX + 1)
        .read_to_string(&mut text)
        .with_context(reading)?;
    if text.len() as u64 > FILE_MAX {
        bail!("{} is larger than {} MiB; split it", file.display(), FILE_MAX >> 20);
    }
    let outcome = calc::run(&text, kind.compute()).with_context(|| format!("could not compute {}", file.display()))?;
    say::all(&format!("{}\n", serde_json::to_string_pretty(&outcome.results)?))?;
    for difference in &outcome.differences {
        complain!("{difference}");
    }
    if outcome.differences.is_empty() {
        return Ok(ExitCode::SUCCESS);
    }
    let compared = counted(outcome.compared as u64, "case", "cases");
    complain!(
        "{} in {compared} with expectations",
        counted(outcome.differences.len() as u64, "difference", "differences")
    );
    Ok(ExitCode::from(FOUND))
}
