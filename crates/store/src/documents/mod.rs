//! The plant model as documents: what people write, keep in version control and exchange.
//!
//! TOML and YAML become one tree whose every key and value knows its line ([`node`]); one reader ([`read`]) and one set
//! of rules ([`assemble`]) follow, so both formats are checked the same way; tables of master data in CSV ([`csv`]) join them. All errors are collected, each with its
//! line, its column and what to do. [`export`] prints the canonical TOML; reading it gives the same model.
//!
//! Documents are merged into the model in force: each `[[…]]` adds or replaces the part of its name; what the documents
//! do not name stays, unless `prune` is asked for. Secrets are named, never written: `password = { secret = "name" }`.
//!
//! Everything here is pure and takes as long as the documents are large (some seconds for 100,000 tags): call it from
//! `spawn_blocking`.

mod assemble;
mod check;
mod csv;
mod export;
mod form;
mod node;
mod plan;
mod read;
mod report;
mod settings;
mod yaml;

pub(crate) use check::order_and_check;
pub use export::export;
pub use plan::plan;
pub use report::DocumentError;

use andon_model::plant::{Plant, SettingsCheck};
use node::Node;
use report::{Place, Report};

/// The most bytes that documents may have together.
pub const BYTES_LIMIT: usize = 8 << 20;
/// The most documents at once.
pub const DOCUMENTS_LIMIT: usize = 1_000;

/// A document as handed in.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Document {
    /// A file name, for messages; `.yaml` and `.yml` are read as YAML, `.csv` as a table of the kind that its name begins with,
    /// everything else as TOML.
    pub name: String,
    /// Its text.
    pub text: String,
}

/// Reads documents as a whole model of their own.
///
/// Tags without an `id` have the nil id; the store gives them theirs when the model is applied.
/// # Errors
/// Everything that is wrong, in the order of the documents, at most 100 of it.
pub fn parse(documents: &[Document], checks: &dyn SettingsCheck) -> Result<Plant, Vec<DocumentError>> {
    merge(&Plant::default(), documents, false, checks)
}

/// Reads documents into the model `base`: what they name is added or replaced; with `prune`, the rest is removed.
///
/// The result has `base`'s version, which is the one to expect when it is applied. A tag keeps the id of its path or of
/// the path it was renamed from.
/// # Errors
/// As [`parse`]. References may point into `base`.
pub fn merge(
    base: &Plant,
    documents: &[Document],
    prune: bool,
    checks: &dyn SettingsCheck,
) -> Result<Plant, Vec<DocumentError>> {
    let mut report = Report::new(documents.iter().map(|document| document.name.clone()).collect());
    let total: usize = documents.iter().map(|document| document.text.len()).sum();
    if total > BYTES_LIMIT || documents.len() > DOCUMENTS_LIMIT {
        report.add(
            Place::NONE,
            format!("{} documents of {total} bytes are over the limit of {DOCUMENTS_LIMIT} documents of {BYTES_LIMIT} bytes", documents.len()),
            "apply them in several steps",
        );
        return Err(report.finish());
    }
    let mut trees: Vec<Node> = Vec::with_capacity(documents.len());
    let mut tables = csv::Tables::default();
    let mut unreadable = false;
    for (number, document) in documents.iter().enumerate() {
        if csv::is_table(&document.name) {
            unreadable |= !tables.read(number, &document.name, &document.text, &mut report);
            continue;
        }
        let is_yaml = [".yaml", ".yml"].iter().any(|end| document.name.to_ascii_lowercase().ends_with(end));
        let tree = if is_yaml { yaml::tree(number, &document.text) } else { node::tree(number, &document.text) };
        match tree {
            Ok(tree) => trees.push(tree),
            Err((place, message, remedy)) => {
                unreadable = true;
                report.add(place, message, remedy);
            }
        }
    }
    trees.extend(tables.finish(&mut report));
    let draft = read::Draft { unreadable, ..read::read(trees, &mut report) };
    let plant = assemble::assemble(base, draft, prune, checks, &mut report);
    if report.is_empty() { Ok(plant) } else { Err(report.finish()) }
}
