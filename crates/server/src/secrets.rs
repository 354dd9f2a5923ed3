//! Secrets that connectors need to log in elsewhere: passwords, keys. Documents name them and never hold them.
//!
//! They stand in one file of the data directory that only its owner can read. Nothing hands a value out again: not the API, not an
//! export, not the audit trail, not the program's log, not a backup.

use crate::data_dir::replace_private;
use anyhow::{Context, Result};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

const FILE: &str = "secrets.json";
/// The most secrets.
const MOST: usize = 1000;
/// The longest value, in bytes: a chain of certificates fits.
pub const VALUE_BYTES: usize = 64 << 10;

/// A value; shown nowhere.
#[derive(Clone, PartialEq, Eq)]
pub struct Secret(Arc<str>);

impl Secret {
    /// The value, for whoever is to be convinced by it.
    pub fn reveal(&self) -> &str {
        &self.0
    }
}

impl std::fmt::Debug for Secret {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("***")
    }
}

/// Why a secret is not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refused {
    /// Not a name.
    #[error("a secret's name is 1 to 64 letters, digits, `_`, `-` and `.`")]
    Name,
    /// Empty or too long.
    #[error("a secret has 1 to {VALUE_BYTES} bytes")]
    Value,
    /// There is no room.
    #[error("there are {MOST} secrets, and no more can be kept; remove one")]
    TooMany,
    /// The disk refuses.
    #[error("the secrets could not be saved: {0}")]
    Disk(String),
}

/// All secrets of the node.
pub struct Secrets {
    file: PathBuf,
    all: Mutex<BTreeMap<String, Secret>>,
}

/// Whether a secret can be called so.
pub fn is_name(name: &str) -> bool {
    let allowed = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'-' | b'.');
    (1..=64).contains(&name.len()) && name.bytes().all(allowed)
}

impl Secrets {
    /// Those of the data directory.
    /// # Errors
    /// The file cannot be read.
    pub fn open(data_dir: &Path) -> Result<Arc<Self>> {
        let file = data_dir.join(FILE);
        let all: BTreeMap<String, String> = match std::fs::read(&file) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(|error| {
                // Not the error itself: it may quote the file.
                let (line, column) = (error.line(), error.column());
                anyhow::anyhow!(
                    "{} is damaged at {line}:{column}; move it away, start, and set the secrets again",
                    file.display()
                )
            })?,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => BTreeMap::new(),
            Err(error) => return Err(error).with_context(|| format!("could not read {}", file.display())),
        };
        let all = all.into_iter().map(|(name, value)| (name, Secret(value.into()))).collect();
        Ok(Arc::new(Self { file, all: Mutex::new(all) }))
    }

    /// A value.
    pub fn get(&self, name: &str) -> Option<Secret> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).get(name).cloned()
    }

    /// Their names.
    pub fn names(&self) -> Vec<String> {
        self.all.lock().unwrap_or_else(PoisonError::into_inner).keys().cloned().collect()
    }

    /// Whether [`Secrets::set`] would take it.
    /// # Errors
    /// [`Refused`].
    pub fn check(&self, name: &str, value: &str) -> Result<(), Refused> {
        if !is_name(name) {
            return Err(Refused::Name);
        }
        if value.is_empty() || value.len() > VALUE_BYTES {
            return Err(Refused::Value);
        }
        let all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        if all.len() >= MOST && !all.contains_key(name) { Err(Refused::TooMany) } else { Ok(()) }
    }

    /// Keeps a value. Blocking; on disk when it returns.
    /// # Errors
    /// [`Refused`]: it is as before.
    pub fn set(&self, name: &str, value: &str) -> Result<(), Refused> {
        self.check(name, value)?;
        self.change(|all| drop(all.insert(name.to_owned(), Secret(value.into()))))
    }

    /// Forgets a value. Blocking; gone from the disk when it returns.
    /// # Errors
    /// [`Refused`]: it is as before.
    pub fn remove(&self, name: &str) -> Result<(), Refused> {
        self.change(|all| drop(all.remove(name)))
    }

    fn change(&self, change: impl FnOnce(&mut BTreeMap<String, Secret>)) -> Result<(), Refused> {
        let mut all = self.all.lock().unwrap_or_else(PoisonError::into_inner);
        let mut new = all.clone();
        change(&mut new);
        let plain: BTreeMap<&str, &str> = new.iter().map(|(name, secret)| (name.as_str(), secret.reveal())).collect();
        let bytes = serde_json::to_vec(&plain).map_err(|error| Refused::Disk(error.to_string()))?;
        replace_private(&self.file, &bytes).map_err(|error| Refused::Disk(error.to_string()))?;
        *all = new;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_secret_is_kept_where_only_its_owner_reads_it_and_shown_nowhere() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(folder.path()).unwrap();
        secrets.set("head-office", "s3cr\"et").unwrap();
        secrets.set("other", "x").unwrap();
        assert_eq!(format!("{:?}", secrets.get("head-office").unwrap()), "***");
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let mode = std::fs::metadata(folder.path().join(FILE)).unwrap().permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        secrets.remove("other").unwrap();
        let again = Secrets::open(folder.path()).unwrap();
        assert_eq!(again.names(), ["head-office"]);
        assert_eq!(again.get("head-office").unwrap().reveal(), "s3cr\"et");
    }

    #[test]
    fn what_cannot_be_kept_is_refused_and_a_damaged_file_is_said_without_its_content() {
        let folder = tempfile::tempdir().unwrap();
        let secrets = Secrets::open(folder.path()).unwrap();
        assert_eq!(secrets.set("a b", "x"), Err(Refused::Name));
        assert_eq!(secrets.set("a", ""), Err(Refused::Value));
        assert_eq!(secrets.set("a", &"x".repeat(VALUE_BYTES + 1)), Err(Refused::Value));
        std::fs::write(folder.path().join(FILE), "{\"a\": hunter2}").unwrap();
        let error = Secrets::open(folder.path()).err().unwrap().to_string();
        assert!(error.contains("damaged") && !error.contains("hunter2"), "{error}");
    }
}
