//! The key with which a node signs documents that leave the house: Ed25519 (RFC 8032), made at the first start, in a file that only its owner
//! can read. It never leaves that file; its public half is for everybody.

use crate::private_file;
use rcgen::{KeyPair, PKCS_ED25519};
use rustls::SignatureScheme;
use rustls::crypto::aws_lc_rs::sign::any_eddsa_type;
use rustls_pki_types::PrivatePkcs8KeyDer;
use rustls_pki_types::pem::PemObject;
use std::fs;
use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// Why there is no key.
#[derive(Debug, thiserror::Error)]
pub enum SigningKeyError {
    /// The file cannot be read or written.
    #[error("could not {doing} the signing key {path}")]
    Io {
        /// Read or write.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: io::Error,
    },
    /// The file holds something else.
    #[error(
        "{path} holds no private key of Ed25519 in PEM form: {reason}; put the right file back from a backup, for what was signed is verified with that key"
    )]
    Bad {
        /// Which file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// It does not sign.
    #[error("the signing key cannot be used: {0}")]
    Sign(String),
}

/// A private key, ready to sign.
pub struct SigningKey {
    key: Arc<dyn rustls::sign::SigningKey>,
    public: [u8; 32],
}

impl std::fmt::Debug for SigningKey {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("SigningKey(***)")
    }
}

impl SigningKey {
    /// The key of a file, made now if there is none.
    /// # Errors
    /// The disk refuses, or the file holds something else: then it is left alone.
    pub fn open(path: &Path) -> Result<Self, SigningKeyError> {
        let failed = |doing, source| SigningKeyError::Io { doing, path: path.to_owned(), source };
        match fs::read(path) {
            Ok(pem) => Self::of_pem(path, &pem),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let bad = |reason: String| SigningKeyError::Bad { path: path.to_owned(), reason };
                let pair = KeyPair::generate_for(&PKCS_ED25519).map_err(|error| bad(error.to_string()))?;
                let pem = pair.serialize_pem();
                if let Some(folder) = path.parent() {
                    fs::create_dir_all(folder).map_err(|source| failed("make the folder of", source))?;
                }
                private_file::replace(path, pem.as_bytes()).map_err(|source| failed("write", source))?;
                Self::of_pem(path, pem.as_bytes())
            }
            Err(source) => Err(failed("read", source)),
        }
    }

    fn of_pem(path: &Path, pem: &[u8]) -> Result<Self, SigningKeyError> {
        let bad = |reason: String| SigningKeyError::Bad { path: path.to_owned(), reason };
        let der = PrivatePkcs8KeyDer::from_pem_slice(pem).map_err(|error| bad(error.to_string()))?;
        let key = any_eddsa_type(&der).map_err(|error| bad(error.to_string()))?;
        let spki = key.public_key().ok_or_else(|| bad("it has no public half".to_owned()))?;
        // A SubjectPublicKeyInfo of Ed25519 ends with the key (RFC 8410, 4).
        let public = spki.last_chunk().copied().ok_or_else(|| bad("its public half is too short".to_owned()))?;
        Ok(Self { key, public })
    }

    /// The public half.
    #[must_use]
    pub const fn public(&self) -> [u8; 32] {
        self.public
    }

    /// Signs.
    /// # Errors
    /// The cryptographic library refuses.
    pub fn sign(&self, message: &[u8]) -> Result<[u8; 64], SigningKeyError> {
        let refused = |reason: String| SigningKeyError::Sign(reason);
        let signer = self.key.choose_scheme(&[SignatureScheme::ED25519]);
        let signer = signer.ok_or_else(|| refused("it is not of Ed25519".to_owned()))?;
        let signature = signer.sign(message).map_err(|error| refused(error.to_string()))?;
        <[u8; 64]>::try_from(signature).map_err(|_| refused("a signature has not 64 bytes".to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_made_once_and_only_its_owner_reads_it() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("tls/signing-key.pem");
        let key = SigningKey::open(&path).expect("made");
        let again = SigningKey::open(&path).expect("read");
        assert_eq!(key.public(), again.public());
        assert_eq!(key.sign(b"a").expect("signed"), again.sign(b"a").expect("signed"), "Ed25519 signs without chance");
        assert_ne!(key.sign(b"a").expect("signed"), key.sign(b"b").expect("signed"));
        let other = SigningKey::open(&folder.path().join("other.pem")).expect("made");
        assert_ne!(key.public(), other.public());
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt as _;
            let mode = fs::metadata(&path).expect("there").permissions().mode();
            assert_eq!(mode & 0o777, 0o600);
        }
        assert_eq!(format!("{key:?}"), "SigningKey(***)");
    }

    #[test]
    fn a_file_that_holds_something_else_is_left_alone_and_named() {
        let folder = tempfile::tempdir().expect("a folder");
        let path = folder.path().join("key.pem");
        for content in ["", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n"] {
            fs::write(&path, content).expect("written");
            let refused = SigningKey::open(&path).expect_err("it is no key").to_string();
            assert!(refused.contains("key.pem holds no private key of Ed25519"), "{refused}");
            assert_eq!(fs::read_to_string(&path).expect("there"), content);
        }
        let ecdsa = KeyPair::generate().expect("made").serialize_pem();
        fs::write(&path, &ecdsa).expect("written");
        assert!(matches!(SigningKey::open(&path), Err(SigningKeyError::Bad { .. })));
    }
}
