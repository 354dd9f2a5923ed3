//! The node's certificate: given by the user, or made once and kept under the data directory; and what is asked of those who connect.
//!
//! TLS 1.3, unless the settings allow 1.2 for old clients. Clients are asked for a certificate where the settings name whose are good.
//!
//! The made certificate is self-signed for the host names given, valid from the first day of the year in which it is
//! made to the end of the second year after it, its key readable by the owner only.

use crate::entered::Entered;
use andon_model::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

/// Why there is no usable certificate.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file cannot be read or written.
    #[error("could not {doing} {path}")]
    Io {
        /// Read or write.
        doing: &'static str,
        /// Which file.
        path: PathBuf,
        /// The cause.
        source: std::io::Error,
    },
    /// A file holds no usable PEM.
    #[error("{path} holds no usable {what} in PEM form: {reason}")]
    BadPem {
        /// Which file.
        path: PathBuf,
        /// `certificate` or `private key`.
        what: &'static str,
        /// What is wrong.
        reason: String,
    },
    /// Certificate and key do not work together.
    #[error("the certificate {certificate} and its key cannot be used: {reason}")]
    Unusable {
        /// The certificate's file.
        certificate: PathBuf,
        /// Why.
        reason: String,
    },
    /// A certificate could not be made.
    #[error("a certificate could not be made: {0}")]
    Make(String),
}

/// Where certificate chain and key stand.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Files {
    /// PEM, leaf first.
    pub certificate: PathBuf,
    /// PEM, PKCS#8, PKCS#1 or SEC1.
    pub key: PathBuf,
}

/// The oldest version of TLS that is spoken.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Oldest {
    /// TLS 1.3 alone.
    #[default]
    V13,
    /// TLS 1.2, too.
    V12,
}

/// Whose certificates are good for clients.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClientCa {
    /// PEM: the certificates of those who issue them.
    pub file: PathBuf,
    /// Whether a client without one is turned away.
    pub required: bool,
}

/// What is asked of those who connect.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rules {
    /// The oldest version of TLS.
    pub oldest: Oldest,
    /// `None`: clients are asked for no certificate.
    pub clients: Option<ClientCa>,
}

fn bad(path: &Path, what: &'static str, reason: impl ToString) -> TlsError {
    TlsError::BadPem { path: path.to_owned(), what, reason: reason.to_string() }
}

fn read(path: &Path) -> Result<Vec<u8>, TlsError> {
    fs::read(path).map_err(|source| TlsError::Io { doing: "read", path: path.to_owned(), source })
}

fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let found = CertificateDer::pem_slice_iter(&read(path)?)
        .map(|item| item.map(CertificateDer::into_owned))
        .collect::<Result<Vec<_>, _>>()
        .map_err(|e| bad(path, "certificate", e))?;
    if found.is_empty() { Err(bad(path, "certificate", "it is empty")) } else { Ok(found) }
}

fn verifier(ca: &ClientCa, provider: Arc<CryptoProvider>) -> Result<Arc<dyn ClientCertVerifier>, TlsError> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(&ca.file)? {
        roots.add(certificate).map_err(|e| bad(&ca.file, "certificate", e))?;
    }
    let builder = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), provider);
    let builder = if ca.required { builder } else { builder.allow_unauthenticated() };
    builder.build().map_err(|e| bad(&ca.file, "certificate", e))
}

/// Why a client with this certificate would be turned away.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotGood {
    /// It is over.
    #[error("it has expired")]
    Expired,
    /// It has not begun.
    #[error("it is not valid yet")]
    NotYet,
    /// Nobody whose certificates count has issued it.
    #[error("nobody whose certificates count here has issued it")]
    UnknownIssuer,
    /// It is for servers, or for something else.
    #[error("it is not for clients: its extended key usage does not name client authentication")]
    NotForClients,
    /// It is that of an issuer.
    #[error("it is the certificate of an issuer, not of a device")]
    OfAnIssuer,
    /// Whatever else TLS has against it.
    #[error("TLS would refuse it: {0}")]
    Other(String),
}

/// Says whether a client would be let in with a certificate, by the code that says so when one comes.
#[derive(Debug, Clone)]
pub struct ClientCheck(Arc<dyn ClientCertVerifier>);

impl ClientCheck {
    /// For those whose certificates count.
    /// # Errors
    /// The file cannot be read, or holds no certificates.
    pub fn of(ca: &ClientCa) -> Result<Self, TlsError> {
        verifier(ca, Arc::new(rustls::crypto::aws_lc_rs::default_provider())).map(Self)
    }

    /// Asks at a time.
    /// # Errors
    /// [`NotGood`] says what is wrong with it.
    pub fn check(&self, entered: &Entered, now: Timestamp) -> Result<(), NotGood> {
        let Some((own, issuers)) = entered.parts() else { return Err(NotGood::UnknownIssuer) };
        let seconds = u64::try_from(now.micros() / 1_000_000).unwrap_or_default();
        let now = UnixTime::since_unix_epoch(Duration::from_secs(seconds));
        match self.0.verify_client_cert(own, issuers, now) {
            Ok(_) => Ok(()),
            Err(rustls::Error::InvalidCertificate(error)) => Err(match error {
                CertificateError::Expired | CertificateError::ExpiredContext { .. } => NotGood::Expired,
                CertificateError::NotValidYet | CertificateError::NotValidYetContext { .. } => NotGood::NotYet,
                CertificateError::UnknownIssuer | CertificateError::BadSignature => NotGood::UnknownIssuer,
                CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
                    NotGood::NotForClients
                }
                CertificateError::Other(other) if other.to_string().contains("CaUsedAsEndEntity") => {
                    NotGood::OfAnIssuer
                }
                other => NotGood::Other(other.to_string()),
            }),
            Err(other) => Err(NotGood::Other(other.to_string())),
        }
    }
}

/// A server configuration from PEM files; `alpn` such as `http/1.1`, empty for MQTT.
/// # Errors
/// [`TlsError`] names the file and what is wrong with it.
pub fn server_config(files: &Files, alpn: &[&str], rules: &Rules) -> Result<Arc<ServerConfig>, TlsError> {
    let chain = certificates(&files.certificate)?;
    let key = PrivateKeyDer::from_pem_slice(&read(&files.key)?).map_err(|e| bad(&files.key, "private key", e))?;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let unusable =
        |e: rustls::Error| TlsError::Unusable { certificate: files.certificate.clone(), reason: e.to_string() };
    let versions: &[_] = match rules.oldest {
        Oldest::V13 => &[&rustls::version::TLS13],
        Oldest::V12 => &[&rustls::version::TLS13, &rustls::version::TLS12],
    };
    let builder =
        ServerConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions).map_err(unusable)?;
    let builder = match &rules.clients {
        None => builder.with_no_client_auth(),
        Some(ca) => builder.with_client_cert_verifier(verifier(ca, provider)?),
    };
    let mut config = builder.with_single_cert(chain, key).map_err(unusable)?;
    if rules.clients.is_some() {
        // A session that is taken up again does not show the certificate again, which may be over by now.
        config.session_storage = Arc::new(NoServerSessionStorage {});
        config.send_tls13_tickets = 0;
    }
    config.alpn_protocols = alpn.iter().map(|name| name.as_bytes().to_vec()).collect();
    Ok(Arc::new(config))
}

/// The files under `dir`, made for `names` (host names and IP addresses) if they are not there yet.
/// # Errors
/// The folder cannot be written, or a name is not one.
pub fn ensure(dir: &Path, names: &[String], year: i32) -> Result<Files, TlsError> {
    let files = Files { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
    if files.certificate.exists() && files.key.exists() {
        return Ok(files);
    }
    let make = |e: rcgen::Error| TlsError::Make(e.to_string());
    let mut params = CertificateParams::new(names.to_vec()).map_err(make)?;
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("andon", String::as_str));
    params.distinguished_name.push(DnType::OrganizationName, "Andon, made at set-up");
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + 3, 1, 1);
    let key = KeyPair::generate().map_err(make)?;
    let certificate = params.self_signed(&key).map_err(make)?;
    fs::create_dir_all(dir).map_err(|source| TlsError::Io { doing: "create", path: dir.to_owned(), source })?;
    // A certificate of an earlier try would not fit the key.
    remove(&files.certificate)?;
    replace_private(&files.key, key.serialize_pem().as_bytes())?;
    replace_private(&files.certificate, certificate.pem().as_bytes())?;
    Ok(files)
}

fn remove(path: &Path) -> Result<(), TlsError> {
    match fs::remove_file(path) {
        Err(source) if source.kind() != std::io::ErrorKind::NotFound => {
            Err(TlsError::Io { doing: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

/// Puts a file that only its owner can read in its place as a whole: after a kill or a power cut there is none, or all of it.
fn replace_private(path: &Path, content: &[u8]) -> Result<(), TlsError> {
    let failed = |source| TlsError::Io { doing: "write", path: path.to_owned(), source };
    let mut fresh = path.as_os_str().to_owned();
    fresh.push("~new");
    let fresh = PathBuf::from(fresh);
    // One that is left over may be readable by others.
    remove(&fresh)?;
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let mut file = options.open(&fresh).map_err(failed)?;
    file.write_all(content).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    fs::rename(&fresh, path).map_err(failed)?;
    let folder = path.parent().unwrap_or(Path::new("."));
    fs::File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_installs_share_no_key_and_the_key_is_private() {
        let dir = tempfile::tempdir().expect("dir");
        let names = ["localhost".to_owned(), "127.0.0.1".to_owned()];
        let a = ensure(&dir.path().join("a"), &names, 2026).expect("made");
        let b = ensure(&dir.path().join("b"), &names, 2026).expect("made");
        assert_ne!(fs::read(&a.key).expect("key"), fs::read(&b.key).expect("key"));
        assert_eq!(ensure(&dir.path().join("a"), &names, 2027).expect("kept"), a);
        server_config(&a, &["http/1.1"], &Rules::default()).expect("usable");
        #[cfg(unix)]
        assert_eq!(
            std::os::unix::fs::PermissionsExt::mode(&fs::metadata(&a.key).expect("meta").permissions()) & 0o777,
            0o600
        );
    }

    #[test]
    fn what_a_kill_left_while_the_certificate_was_made_does_not_stand_in_the_way() {
        let dir = tempfile::tempdir().expect("dir");
        let names = ["localhost".to_owned()];
        let key = dir.path().join("key.pem");
        // The key alone, the certificate alone, and a part of a file that others may read.
        for left in ["key.pem", "certificate.pem", "key.pem~new", "certificate.pem~new"] {
            fs::write(dir.path().join(left), "-----BEGIN").expect("write");
            let made = ensure(dir.path(), &names, 2026).expect("made");
            server_config(&made, &[], &Rules::default()).expect(left);
            #[cfg(unix)]
            {
                let mode = fs::metadata(&key).expect("meta").permissions();
                assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600, "{left}");
            }
            for file in ["key.pem", "certificate.pem", "key.pem~new", "certificate.pem~new"] {
                remove(&dir.path().join(file)).expect("removed");
            }
        }
    }

    #[test]
    fn a_wrong_file_is_named() {
        let dir = tempfile::tempdir().expect("dir");
        let empty = dir.path().join("empty.pem");
        fs::write(&empty, "").expect("write");
        let error = server_config(&Files { certificate: empty.clone(), key: empty.clone() }, &[], &Rules::default());
        let error = error.expect_err("refused").to_string();
        assert!(error.contains("empty.pem holds no usable certificate"), "{error}");
        let own = ensure(dir.path(), &["localhost".to_owned()], 2026).expect("made");
        let rules = Rules { clients: Some(ClientCa { file: empty, required: true }), ..Rules::default() };
        let error = server_config(&own, &[], &rules).expect_err("refused").to_string();
        assert!(error.contains("empty.pem holds no usable certificate"), "{error}");
    }
    #[test]
    fn who_comes_with_a_certificate_shows_it_every_time() {
        use rustls::client::Resumption;
        use rustls::{ClientConfig, ClientConnection, HandshakeKind, ServerConnection};
        let dir = tempfile::tempdir().expect("dir");
        let own = ensure(dir.path(), &["localhost".to_owned()], 2026).expect("made");
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&own.certificate).expect("one").remove(0)).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        for (clients, oldest, expected) in [
            (false, Oldest::V13, HandshakeKind::Resumed),
            (true, Oldest::V13, HandshakeKind::Full),
            (true, Oldest::V12, HandshakeKind::Full),
        ] {
            let ca = ClientCa { file: own.certificate.clone(), required: false };
            let rules = Rules { oldest, clients: clients.then_some(ca) };
            let server = server_config(&own, &[], &rules).expect("usable");
            let versions: &[_] =
                if oldest == Oldest::V12 { &[&rustls::version::TLS12] } else { &[&rustls::version::TLS13] };
            let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
            let mut client = builder.expect("versions").with_root_certificates(roots.clone()).with_no_client_auth();
            client.resumption = Resumption::in_memory_sessions(8);
            let client = Arc::new(client);
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
                let mut client = ClientConnection::new(client.clone(), name).expect("a client");
                let mut server = ServerConnection::new(server.clone()).expect("a server");
                let mut bytes = Vec::new();
                while client.wants_write() || server.wants_write() {
                    bytes.clear();
                    client.write_tls(&mut bytes).expect("written");
                    let mut from = &bytes[..];
                    while !from.is_empty() {
                        server.read_tls(&mut from).expect("read");
                        server.process_new_packets().expect("good");
                    }
                    bytes.clear();
                    server.write_tls(&mut bytes).expect("written");
                    let mut from = &bytes[..];
                    while !from.is_empty() {
                        client.read_tls(&mut from).expect("read");
                        client.process_new_packets().expect("good");
                    }
                }
                kinds.push(server.handshake_kind());
            }
            let plain = |kind: HandshakeKind| if kind == HandshakeKind::Resumed { kind } else { HandshakeKind::Full };
            assert_eq!(kinds.last().copied().flatten().map(plain), Some(expected), "{clients} {oldest:?}");
        }
    }

    #[test]
    fn a_certificate_is_good_as_long_as_tls_would_take_it_and_else_it_is_said_why() {
        use rcgen::{BasicConstraints, IsCa, Issuer, date_time_ymd};
        let dir = tempfile::tempdir().expect("dir");
        let key = || KeyPair::generate().expect("a key");
        let issuer = |name: &str| {
            let mut params = CertificateParams::new(Vec::new()).expect("no names");
            params.distinguished_name.push(DnType::CommonName, name);
            params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
            params
        };
        let (root, root_key) = (issuer("Root"), key());
        let root_pem = root.self_signed(&root_key).expect("a certificate").pem();
        let root = Issuer::new(root, root_key);
        let (middle, middle_key) = (issuer("Middle"), key());
        let middle_pem = middle.signed_by(&middle_key, &root).expect("a certificate").pem();
        let middle = Issuer::new(middle, middle_key);
        let file = dir.path().join("ca.pem");
        fs::write(&file, &root_pem).expect("write");
        let check = ClientCheck::of(&ClientCa { file, required: false }).expect("a check");
        let of = |purposes: Vec<ExtendedKeyUsagePurpose>, issuer: &Issuer<'_, KeyPair>| {
            let mut params = CertificateParams::new(Vec::new()).expect("no names");
            params.extended_key_usages = purposes;
            params.not_before = date_time_ymd(2026, 1, 1);
            params.not_after = date_time_ymd(2027, 1, 1);
            params.signed_by(&key(), issuer).expect("a certificate").pem()
        };
        let client = || vec![ExtendedKeyUsagePurpose::ClientAuth];
        let own = of(client(), &root);
        let below = of(client(), &middle);
        let (stranger, stranger_key) = (issuer("Root"), key());
        let stranger = Issuer::new(stranger, stranger_key);
        for (what, text, at, wanted) in [
            ("its own", own.clone(), "2026-06-01T00:00:00Z", Ok(())),
            ("for any purpose", of(Vec::new(), &root), "2026-06-01T00:00:00Z", Ok(())),
            ("below one between", format!("{below}{middle_pem}"), "2026-06-01T00:00:00Z", Ok(())),
            ("the last second", own.clone(), "2027-01-01T00:00:00Z", Ok(())),
            ("over", own.clone(), "2027-01-01T00:00:01Z", Err(NotGood::Expired)),
            ("to come", own, "2025-12-31T23:59:59Z", Err(NotGood::NotYet)),
            ("the one between missing", below, "2026-06-01T00:00:00Z", Err(NotGood::UnknownIssuer)),
            ("another's of the name", of(client(), &stranger), "2026-06-01T00:00:00Z", Err(NotGood::UnknownIssuer)),
            (
                "a server's",
                of(vec![ExtendedKeyUsagePurpose::ServerAuth], &root),
                "2026-06-01T00:00:00Z",
                Err(NotGood::NotForClients),
            ),
            ("the issuer's", root_pem, "2026-06-01T00:00:00Z", Err(NotGood::OfAnIssuer)),
        ] {
            let entered = Entered::read(&text).expect(what);
            let at = Timestamp::parse_rfc3339(at).expect("a time");
            assert_eq!(check.check(&entered, at), wanted, "{what}");
        }
    }
}
