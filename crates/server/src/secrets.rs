//! Secrets that connectors need to log in elsewhere: passwords, keys. Documents name them and never hold them.
//!
//! They stand in one file of the data directory that only its owner can read. Nothing hands a value out again: not the API, not an
//! export, not the audit trail, not the program's log, not a backup. A connector shows a secret to the other side that it is for, so
//! which secrets it names and what the other side is, is for administrators to say: [`sent_elsewhere`].

use crate::adapters::named_secrets;
use andon_access::private_file;
use andon_model::plant::{ConnectorDef, Plant};
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
        private_file::replace(&self.file, &bytes).map_err(|error| Refused::Disk(error.to_string()))?;
        *all = new;
        Ok(())
    }
}

/// What decides to whom a connector shows its secrets, and who may read along.
const WHERE: [&str; 5] = ["endpoint", "server_name", "ca", "oldest_tls", "user"];

/// The first connector that the new plant lets show a secret to somebody to whom the former did not: it names one for the first time or
/// for something else, or its other side is another.
pub fn sent_elsewhere(former: &Plant, new: &Plant) -> Option<String> {
    let sends = |def: &&ConnectorDef| {
        let named = named_secrets(&def.settings);
        let before = former.connectors.iter().find(|other| other.name == def.name && other.kind == def.kind);
        let known = |before: &ConnectorDef| {
            let known = named_secrets(&before.settings);
            named.iter().all(|secret| known.contains(secret))
                && WHERE.iter().all(|key| before.settings.get(key) == def.settings.get(key))
        };
        !named.is_empty() && !before.is_some_and(known)
    };
    new.connectors.iter().find(sends).map(|def| def.name.clone())
}

/// Whether a value is a key or a certificate, which is no password.
pub fn is_pem(value: &str) -> bool {
    value.contains("-----BEGIN ")
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

    #[test]
    fn who_sees_a_secret_is_said_by_the_other_side_and_by_what_is_named() {
        use crate::adapters::Checks;
        use andon_store::documents::{self, Document};
        let plant = |text: &str| {
            let document = Document { name: "plant.toml".to_owned(), text: text.to_owned() };
            documents::parse(&[document], &Checks).expect("a good model")
        };
        let bridge = |name: &str, host: &str, more: &str| {
            format!(
                "[[connector]]\nname = \"{name}\"\ntype = \"mqtt_bridge\"\nendpoint = \"mqtts://{host}\"\nclient_id = \"{name}\"\n{more}"
            )
        };
        let (rule, wide) = ("send = [{ filter = \"a\" }]\n", "send = [{ filter = \"#\" }]\n");
        let log_in = |secret: &str| format!("user = \"u\"\npassword = {{ secret = \"{secret}\" }}\n{rule}");
        let base = bridge("b", "head", &log_in("head"));
        for (what, new, expected) in [
            ("nothing", base.clone(), None),
            ("what is sent", base.replace(rule, wide), None),
            ("no secret any more", bridge("b", "mine", rule), None),
            ("another without a secret", format!("{base}{}", bridge("c", "mine", rule)), None),
            ("another host", bridge("b", "mine", &log_in("head")), Some("b")),
            ("another secret", bridge("b", "head", &log_in("other")), Some("b")),
            ("another bridge", format!("{base}{}", bridge("c", "mine", &log_in("head"))), Some("c")),
            ("another name", bridge("c", "head", &log_in("head")), Some("c")),
            ("another certificate", format!("{base}server_name = \"mine\"\n"), Some("b")),
            ("another authority", format!("{base}ca = \"mine\"\n"), Some("b")),
            ("as something else", format!("{base}ca = {{ secret = \"head\" }}\n"), Some("b")),
        ] {
            assert_eq!(sent_elsewhere(&plant(&base), &plant(&new)).as_deref(), expected, "{what}");
        }
        // A first one, and one that comes back.
        assert_eq!(sent_elsewhere(&plant(""), &plant(&base)).as_deref(), Some("b"));
    }
}
