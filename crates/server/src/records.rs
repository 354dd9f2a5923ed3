//! Where the records are kept: in a file of the data directory, or in a PostgreSQL database that `[records]` names.
//!
//! A node never begins anew beside a log that holds events: without its records everybody would be a stranger, and tags would get numbers
//! under which history holds the values of others.

use crate::data_dir::DataDir;
use crate::node::node_id;
use crate::say::say;
use crate::secrets::{self, Secrets};
use crate::settings::Settings;
use andon_model::error::causes;
use andon_model::text::counted;
use andon_model::{Clock, SystemClock};
use andon_store::{OpenError, PostgresSettings, Store, StoreError, TakeOverError};
use anyhow::{Context as _, Result, bail};
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::sync::Arc;
use toml::Spanned;
use uuid::Uuid;

/// The file of the data directory.
pub const FILE: &str = "records.sqlite";
/// What it is called once a database holds what was in it.
const COPIED: &str = "records.sqlite.copied";
/// What may lie beside it.
const ENDINGS: [&str; 3] = ["", "-wal", "-shm"];

/// Where the records are kept.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub enum Place {
    /// In a file of the data directory.
    #[default]
    File,
    /// In a database of a PostgreSQL server.
    Server(Server),
}

/// A database of a PostgreSQL server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Server {
    /// Where it is, without a password.
    url: String,
    /// The name of the secret that is its password.
    secret: Option<String>,
    /// Whose certificates are trusted beside the public authorities'.
    ca: Option<PathBuf>,
}

/// `[records]` as it is written.
#[derive(Deserialize, Default)]
#[serde(deny_unknown_fields, default)]
pub struct RawRecords {
    url: Option<Spanned<String>>,
    secret: Option<Spanned<String>>,
    ca: Option<Spanned<String>>,
}

/// What is wrong: where in the text, what, and what to do.
pub type Wrong = (usize, String, &'static str);

impl RawRecords {
    /// Checked; relative paths are taken from `base`.
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(self, base: &Path) -> Result<Place, Wrong> {
        let Some(url) = self.url else {
            return match self.secret.or(self.ca) {
                None => Ok(Place::File),
                Some(alone) => {
                    let message = "[records] says how to get into a database, and not which".to_owned();
                    let remedy =
                        "add url = \"postgres://USER@HOST/DATABASE\", or leave [records] out to keep them in a file";
                    Err((alone.span().start, message, remedy))
                }
            };
        };
        if let Some(secret) = self.secret.as_ref().filter(|secret| !secrets::is_name(secret.get_ref())) {
            let remedy = "give the name of a secret here, and the password by `andon secret set NAME`";
            return Err((secret.span().start, secrets::Refused::Name.to_string(), remedy));
        }
        let at = url.span().start;
        let server = Server {
            url: url.into_inner(),
            secret: self.secret.map(Spanned::into_inner),
            ca: self.ca.map(|ca| base.join(ca.into_inner())),
        };
        match PostgresSettings::parse(&server.url, None) {
            Ok(_) => Ok(Place::Server(server)),
            Err(error) => {
                let remedy = "the manual says how a database is named: docs/manual/records.md";
                Err((at, format!("[records] url: {error}"), remedy))
            }
        }
    }
}

impl Place {
    /// The secret that is a password of ours, which nobody may take away.
    pub fn secret(&self) -> Option<&str> {
        match self {
            Self::File => None,
            Self::Server(server) => server.secret.as_deref(),
        }
    }
}

impl Server {
    /// With the password, for this node.
    fn settings(&self, data_dir: &Path, node: Option<Uuid>) -> Result<PostgresSettings> {
        let password = match &self.secret {
            None => None,
            Some(name) => Some(Secrets::open(data_dir)?.get(name).with_context(|| {
                format!("the secret \"{name}\" of [records] is not set; set it: andon secret set {name} < FILE")
            })?),
        };
        let mut settings = PostgresSettings::parse(&self.url, password.as_ref().map(secrets::Secret::reveal))?;
        if let Some(ca) = &self.ca {
            settings = settings.trusting(ca);
        }
        Ok(node.map_or_else(|| settings.clone(), |node| settings.clone().of_node(node)))
    }
}

/// Opens the records of a node whose log holds so many events.
/// # Errors
/// They cannot be opened, or they are missing.
pub async fn open(place: &Place, data_dir: &Path, node: Uuid, events: u64, clock: Arc<dyn Clock>) -> Result<Store> {
    let path = data_dir.join(FILE);
    let server = match place {
        Place::File => {
            refuse_missing_file(&path, events)?;
            return Store::open(&path, clock).await.map_err(|error| match error {
                OpenError::Damaged { .. } => unusable_file(&path, &error),
                other => other.into(),
            });
        }
        Place::Server(server) => server,
    };
    let settings = server.settings(data_dir, Some(node))?;
    let store = Store::open_postgres(&settings, clock).await?;
    if events > 0 && store.is_new().await? {
        let found = settings.place();
        store.close().await?;
        return Err(empty_database(&found, events, &path));
    }
    if path.exists() {
        tracing::warn!(
            "{} lies there and is not read: the records are in {}. `andon records copy` brings a file into an empty database; otherwise \
             move it away",
            path.display(),
            settings.place()
        );
    }
    Ok(store)
}

/// A node whose log holds events has had records.
fn empty_database(place: &str, events: u64, file: &Path) -> anyhow::Error {
    let remedy = if file.exists() {
        "bring those of the file there: andon records copy".to_owned()
    } else {
        format!(
            "name the database that holds them. If it is lost, bring back those of the last backup:\n    \
             andon restore BACKUP --only {FILE} --into FOLDER\n    andon records copy --from FOLDER/{FILE}"
        )
    };
    anyhow::anyhow!("the database at {place} is empty, but the log holds {events} events of this node\n  try: {remedy}")
}

/// What a failed first look at the records means.
pub fn unusable(place: &Place, data_dir: &Path, error: StoreError) -> anyhow::Error {
    match (place, error) {
        (Place::File, error @ (StoreError::Damaged { .. } | StoreError::Database { .. })) => {
            unusable_file(&data_dir.join(FILE), &error)
        }
        (_, other) => other.into(),
    }
}

fn refuse_missing_file(path: &Path, events: u64) -> Result<()> {
    let there = std::fs::metadata(path).is_ok_and(|meta| meta.len() > 0);
    if there || events == 0 {
        return Ok(());
    }
    let copied = path.with_file_name(COPIED);
    if copied.exists() {
        bail!(
            "{} is missing: `andon records copy` has brought the records into a database, and the settings name none\n  \
             try: name it again in [records] url. What {} holds is as old as that copy",
            path.display(),
            copied.display()
        );
    }
    let error =
        anyhow::anyhow!("{} is missing or empty, but the log holds {events} events of this node", path.display());
    Err(unusable_file(path, &*error))
}

/// Says that something cannot go on. Of a database server that is away the store tells once, and once that it is back.
pub fn complain_of(what: &str, error: &(dyn std::error::Error + 'static)) {
    let mut causes_of = std::iter::successors(Some(error), |error| error.source());
    if causes_of.any(|cause| cause.downcast_ref().is_some_and(StoreError::passes)) {
        tracing::debug!("{what}: {}", causes(error));
    } else {
        tracing::error!("{what}: {}", causes(error));
    }
}

/// For a tool that runs while no node does: whether a node could start with these records.
/// # Errors
/// It could not, and what to do.
pub async fn examine(settings: &Settings) -> Result<String> {
    match &settings.records {
        Place::File => examine_file(&settings.data_dir.join(FILE)).await,
        Place::Server(server) => {
            let settings = server.settings(&settings.data_dir, None)?;
            let place = settings.place();
            Store::examine_postgres(&settings).await.map_err(|error| anyhow::anyhow!(causes(&error)))?;
            Ok(format!("the records are in PostgreSQL at {place}, which is fit for them"))
        }
    }
}

async fn examine_file(path: &Path) -> Result<String> {
    let begun = path.with_file_name("log").is_dir();
    match Store::examine(path).await {
        Ok(()) if path.exists() => Ok(format!("{} is whole", path.display())),
        Ok(()) if begun => {
            let error = anyhow::anyhow!("{} is missing, but there is a log beside it", path.display());
            Err(unusable_file(path, &*error))
        }
        Ok(()) => Ok("nothing was stored here yet".to_owned()),
        Err(error) => Err(unusable_file(path, &error)),
    }
}

/// What is wrong with the file of records, and what to do.
fn unusable_file(path: &Path, error: &(dyn std::error::Error + 'static)) -> anyhow::Error {
    let what = causes(error);
    let (file, folder) = (path.display(), path.parent().unwrap_or(path).display());
    anyhow::anyhow!(
        "{what}\n  \
         what it holds: the plant model, people, tokens and devices. The log with all events and the history beside it are separate files and were not touched\n  \
         try: put it back from the last backup. First move what is there aside, all of it, for a left-over -wal would spoil the copy:\n    \
         for f in {file}*; do mv \"$f\" \"$f.damaged\"; done\n    \
         andon restore BACKUP --only {FILE} --into {folder}/records-back\n    \
         mv {folder}/records-back/{FILE} {folder}/\n  \
         without a backup: move {folder} aside as a whole, start with an empty one, and apply your documents again. In the old \
         one `andon audit verify` still proves the events, and history/ stays readable as Parquet"
    )
}

/// Writes the records of a node that does not run into a file, for a backup.
/// # Errors
/// They cannot be read, or the file cannot be written.
pub async fn copy_offline(settings: &Settings, held: &DataDir, target: &Path) -> Result<()> {
    match &settings.records {
        Place::File => Ok(Store::copy_closed(&held.join(FILE), target).await?),
        Place::Server(server) => {
            let node = node_id(held, &SystemClock)?;
            let settings = server.settings(&settings.data_dir, Some(node))?.as_it_is();
            let store = Store::open_postgres(&settings, Arc::new(SystemClock)).await?;
            let copied = store.backup(target, || ()).await;
            store.close().await?;
            Ok(copied?)
        }
    }
}

/// Brings the records of a file into the database that the settings name, while no node runs.
/// # Errors
/// A node runs, there is no such file, or the database holds records already; then nothing is changed.
pub async fn copy(settings: &Settings, from: Option<PathBuf>) -> Result<ExitCode> {
    let Place::Server(server) = &settings.records else {
        bail!(
            "the settings name no database; add [records] url = \"postgres://USER@HOST/DATABASE\", then run this again"
        );
    };
    let held = DataDir::take(&settings.data_dir)?;
    let node = node_id(&held, &SystemClock)?;
    let own = held.join(FILE);
    let file = from.unwrap_or_else(|| own.clone());
    if !file.exists() {
        bail!("there is no {}; name the file with --from", file.display());
    }
    let postgres = server.settings(&settings.data_dir, Some(node))?;
    let place = postgres.place();
    let store = Store::open_postgres(&postgres, Arc::new(SystemClock)).await?;
    let copied = store.take_over(&file).await;
    store.close().await?;
    let tables = match copied {
        Ok(Some(tables)) => tables,
        Ok(None) => bail!(
            "the database at {place} holds records already, and they are not replaced; make an empty one and name it in [records] url"
        ),
        Err(error @ TakeOverError::Store(StoreError::CutOff { .. })) => {
            return Err(anyhow::Error::from(error)
                .context("whether the records are there is not known: run this again, and it says so if they are"));
        }
        Err(error) => return Err(error.into()),
    };
    for (table, rows) in tables.iter().filter(|(_, rows)| *rows > 0) {
        say!("{table}: {}", counted(*rows, "row", "rows"));
    }
    let rows: u64 = tables.iter().map(|(_, rows)| rows).sum();
    say!("copied: {} into {place}; every table was counted on both sides", counted(rows, "row", "rows"));
    if file == own {
        // Otherwise a node without [records] would go on with what is old by then.
        set_aside(&held)?;
        say!("{} is called {COPIED} from now on", own.display());
    }
    Ok(ExitCode::SUCCESS)
}

fn set_aside(held: &DataDir) -> Result<()> {
    for ending in ENDINGS {
        let (from, to) = (held.join(&format!("{FILE}{ending}")), held.join(&format!("{COPIED}{ending}")));
        match std::fs::rename(&from, &to) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                return Err(error)
                    .with_context(|| format!("the records are copied, but {} could not be renamed", from.display()));
            }
            _ => {}
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(text: &str) -> Result<Place, String> {
        let raw: RawRecords = toml::from_str(text).expect("TOML");
        raw.check(Path::new("/etc/andon")).map_err(|(at, message, remedy)| format!("{at}: {message}; {remedy}"))
    }

    #[test]
    fn a_database_is_named_without_its_password() {
        assert_eq!(check(""), Ok(Place::File));
        let place =
            check("url = \"postgres://andon@db.works/andon\"\nsecret = \"records\"\nca = \"works.pem\"").expect("fine");
        assert_eq!(place.secret(), Some("records"));
        let Place::Server(server) = place else { panic!("a file") };
        assert_eq!(server.ca.as_deref(), Some(Path::new("/etc/andon/works.pem")));
    }

    #[test]
    fn what_is_no_database_or_not_safe_is_refused() {
        for (text, expected) in [
            ("secret = \"records\"", "9: [records] says how to get into a database, and not which"),
            ("url = \"mysql://a@b/c\"", "6: [records] url: it is no address of a database"),
            ("url = \"postgres://a:b@c/d\"", "the password stands in the address"),
            ("url = \"postgres://a@c/d?sslmode=require\"", "c is another machine"),
            ("url = \"postgres://a@c/d\"\nsecret = \"a b\"", "a secret's name is"),
        ] {
            let error = check(text).expect_err(text);
            assert!(error.contains(expected), "{text}: {error}");
        }
    }

    #[test]
    fn what_was_copied_is_not_gone_on_with_and_nothing_begins_anew() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join(FILE);
        refuse_missing_file(&path, 0).unwrap();
        let error = refuse_missing_file(&path, 3).unwrap_err().to_string();
        assert!(error.contains("the log holds 3 events") && error.contains("restore BACKUP"), "{error}");
        std::fs::write(folder.path().join(COPIED), "x").unwrap();
        let error = refuse_missing_file(&path, 3).unwrap_err().to_string();
        assert!(error.contains("name it again in [records] url"), "{error}");
    }
}
