//! The node's certificate: given by the user, or made once and kept under the data directory; and what is asked of those who connect.
//!
//! TLS 1.3, unless the settings allow 1.2 for old clients. Clients are asked for a certificate where the settings name whose are good.
//!
//! The made certificate is self-signed for the host names given, valid from the first day of the year in which it is
//! made to the end of the second year after it, its key readable by the owner only. At a start less than 30 days before its end, or behind
//! it, a new one is made in its place; one that somebody else made is never touched.

use crate::certificate::fields;
use crate::entered::{Entered, Facts};
use crate::private_file;
use andon_model::Timestamp;
use rcgen::{CertificateParams, DnType, ExtendedKeyUsagePurpose, KeyPair};
use rustls::crypto::CryptoProvider;
use rustls::server::danger::ClientCertVerifier;
use rustls::server::{NoServerSessionStorage, WebPkiClientVerifier};
use rustls::{CertificateError, RootCertStore, ServerConfig};
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, PrivateKeyDer, UnixTime};
use std::fs;
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

/// The organization of a certificate that was made here, by which it is known again.
const MADE: &str = "Andon, made at set-up";
/// One that was made here and ends within this time is made anew.
pub const RENEW_WITHIN: Duration = Duration::from_secs(30 * 86_400);

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

/// When the first certificate of a PEM file ends: the last second in which it is good.
/// # Errors
/// [`TlsError`] names the file and what is wrong with it.
pub fn ends(file: &Path) -> Result<Timestamp, TlsError> {
    facts(file).map(|(facts, _)| facts.not_after)
}

/// What the first certificate of a file says, and whether it was made here.
fn facts(file: &Path) -> Result<(Facts, bool), TlsError> {
    let chain = certificates(file)?;
    let first = chain.first().and_then(|first| Facts::of(first).zip(fields(first)));
    let (facts, found) = first.ok_or_else(|| bad(file, "certificate", "it cannot be read"))?;
    let is_made =
        found.issuer == found.subject && found.subject.windows(MADE.len()).any(|part| part == MADE.as_bytes());
    Ok((facts, is_made))
}

/// The files under `dir`, made for `names` (host names and IP addresses) if they are not there yet, or if what was made there ends within
/// [`RENEW_WITHIN`]: then with when the former one ends or has ended. The key is a new one, too.
/// # Errors
/// The folder cannot be written, or a name is not one.
pub fn ensure(dir: &Path, names: &[String], now: Timestamp) -> Result<(Files, Option<Timestamp>), TlsError> {
    let files = Files { certificate: dir.join("certificate.pem"), key: dir.join("key.pem") };
    if !(files.certificate.exists() && files.key.exists()) {
        make(dir, &files, names, now)?;
        return Ok((files, None));
    }
    // What cannot be read is said by whoever uses it.
    let former =
        facts(&files.certificate).ok().filter(|(facts, is_made)| *is_made && facts.not_after <= now.plus(RENEW_WITHIN));
    if former.is_some() {
        make(dir, &files, names, now)?;
    }
    Ok((files, former.map(|(facts, _)| facts.not_after)))
}

fn make(dir: &Path, files: &Files, names: &[String], now: Timestamp) -> Result<(), TlsError> {
    let year = i32::try_from(now.civil().0).unwrap_or(2026);
    let make = |e: rcgen::Error| TlsError::Make(e.to_string());
    let mut params = CertificateParams::new(names.to_vec()).map_err(make)?;
    params.distinguished_name.push(DnType::CommonName, names.first().map_or("andon", String::as_str));
    params.distinguished_name.push(DnType::OrganizationName, MADE);
    params.extended_key_usages.push(ExtendedKeyUsagePurpose::ServerAuth);
    params.not_before = rcgen::date_time_ymd(year, 1, 1);
    params.not_after = rcgen::date_time_ymd(year + 3, 1, 1);
    let key = KeyPair::generate().map_err(make)?;
    let certificate = params.self_signed(&key).map_err(make)?;
    fs::create_dir_all(dir).map_err(|source| TlsError::Io { doing: "create", path: dir.to_owned(), source })?;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source| TlsError::Io { doing: "replace", path, source }
    };
    // A former certificate would not fit the key.
    private_file::remove(&files.certificate).map_err(failed(&files.certificate))?;
    private_file::replace(&files.key, key.serialize_pem().as_bytes()).map_err(failed(&files.key))?;
    private_file::replace(&files.certificate, certificate.pem().as_bytes()).map_err(failed(&files.certificate))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        Timestamp::parse_rfc3339(text).expect("a time")
    }

    /// As at a start in this year.
    fn ensure_in(dir: &Path, year: i64) -> Files {
        ensure(dir, &["localhost".to_owned(), "127.0.0.1".to_owned()], at(&format!("{year}-11-27T08:00:00Z")))
            .expect("made")
            .0
    }

    #[test]
    fn two_installs_share_no_key_and_the_key_is_private() {
        let dir = tempfile::tempdir().expect("dir");
        let a = ensure_in(&dir.path().join("a"), 2026);
        let b = ensure_in(&dir.path().join("b"), 2026);
        assert_ne!(fs::read(&a.key).expect("key"), fs::read(&b.key).expect("key"));
        assert_eq!(ensure_in(&dir.path().join("a"), 2027), a);
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
        let key = dir.path().join("key.pem");
        // The key alone, the certificate alone, and a part of a file that others may read.
        for left in ["key.pem", "certificate.pem", "key.pem~new", "certificate.pem~new"] {
            fs::write(dir.path().join(left), "-----BEGIN").expect("write");
            let made = ensure_in(dir.path(), 2026);
            server_config(&made, &[], &Rules::default()).expect(left);
            #[cfg(unix)]
            {
                let mode = fs::metadata(&key).expect("meta").permissions();
                assert_eq!(std::os::unix::fs::PermissionsExt::mode(&mode) & 0o777, 0o600, "{left}");
            }
            for file in ["key.pem", "certificate.pem", "key.pem~new", "certificate.pem~new"] {
                private_file::remove(&dir.path().join(file)).expect("removed");
            }
        }
    }

    #[test]
    fn one_that_was_made_here_is_made_anew_before_it_ends_and_no_other() {
        let dir = tempfile::tempdir().expect("dir");
        let names = ["localhost".to_owned()];
        let start = |time: &str| ensure(dir.path(), &names, at(time)).expect("usable");
        let (files, former) = start("2026-11-27T08:00:00Z");
        let content = || (fs::read(&files.certificate).expect("one"), fs::read(&files.key).expect("a key"));
        let first = content();
        assert_eq!((former, ends(&files.certificate).expect("an end")), (None, at("2029-01-01T00:00:00Z")));
        assert_eq!(start("2028-12-01T23:59:59Z").1, None);
        assert!(content() == first);
        assert_eq!(start("2028-12-02T00:00:00Z").1, Some(at("2029-01-01T00:00:00Z")));
        let second = content();
        assert!(second.0 != first.0 && second.1 != first.1);
        server_config(&files, &[], &Rules::default()).expect("they fit");
        assert_eq!(start("2028-12-02T00:00:01Z").1, None);
        assert!(content() == second);
        // Long after its end.
        assert_eq!(start("2040-05-05T00:00:00Z").1, Some(at("2031-01-01T00:00:00Z")));
        // Somebody put another's there.
        let mut params = CertificateParams::new(names.to_vec()).expect("a name");
        params.distinguished_name.push(DnType::OrganizationName, "Works");
        params.not_after = rcgen::date_time_ymd(2041, 1, 1);
        let key = KeyPair::generate().expect("a key");
        fs::write(&files.certificate, params.self_signed(&key).expect("one").pem()).expect("written");
        fs::write(&files.key, key.serialize_pem()).expect("written");
        let theirs = content();
        assert_eq!(start("2042-05-05T00:00:00Z").1, None);
        assert!(content() == theirs);
    }

    #[test]
    fn a_wrong_file_is_named() {
        let dir = tempfile::tempdir().expect("dir");
        let empty = dir.path().join("empty.pem");
        fs::write(&empty, "").expect("write");
        let error = server_config(&Files { certificate: empty.clone(), key: empty.clone() }, &[], &Rules::default());
        let error = error.expect_err("refused").to_string();
        assert!(error.contains("empty.pem holds no usable certificate"), "{error}");
        let own = ensure_in(dir.path(), 2026);
        let rules = Rules { clients: Some(ClientCa { file: empty, required: true }), ..Rules::default() };
        let error = server_config(&own, &[], &rules).expect_err("refused").to_string();
        assert!(error.contains("empty.pem holds no usable certificate"), "{error}");
    }
    /// What one end has written is read by the other.
    fn pump(from: &mut rustls::Connection, to: &mut rustls::Connection) {
        let mut bytes = Vec::new();
        from.write_tls(&mut bytes).expect("written");
        let mut bytes = &bytes[..];
        while !bytes.is_empty() {
            to.read_tls(&mut bytes).expect("read");
            to.process_new_packets().expect("good");
        }
    }

    #[test]
    fn who_comes_with_a_certificate_shows_it_every_time() {
        use rcgen::{BasicConstraints, IsCa, Issuer};
        use rustls::client::Resumption;
        use rustls::{ClientConfig, ClientConnection, Connection, HandshakeKind, ServerConnection};
        let dir = tempfile::tempdir().expect("dir");
        let own = ensure_in(dir.path(), 2026);
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let issuer_key = KeyPair::generate().expect("a key");
        let issuer_file = dir.path().join("ca.pem");
        fs::write(&issuer_file, params.self_signed(&issuer_key).expect("a certificate").pem()).expect("written");
        let issuer = Issuer::new(params, issuer_key);
        let mut params = CertificateParams::new(Vec::new()).expect("no names");
        params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
        let client_key = KeyPair::generate().expect("a key");
        let chain = vec![params.signed_by(&client_key, &issuer).expect("a certificate").der().clone()];
        let key = PrivateKeyDer::from_pem_slice(client_key.serialize_pem().as_bytes()).expect("a key");
        let mut roots = RootCertStore::empty();
        roots.add(certificates(&own.certificate).expect("one").remove(0)).expect("an authority");
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        for (clients, oldest, expected) in [
            (false, Oldest::V13, HandshakeKind::Resumed),
            (true, Oldest::V13, HandshakeKind::Full),
            (true, Oldest::V12, HandshakeKind::Full),
        ] {
            let ca = ClientCa { file: issuer_file.clone(), required: false };
            let rules = Rules { oldest, clients: clients.then_some(ca) };
            let server = server_config(&own, &[], &rules).expect("usable");
            let versions: &[_] =
                if oldest == Oldest::V12 { &[&rustls::version::TLS12] } else { &[&rustls::version::TLS13] };
            let builder = ClientConfig::builder_with_provider(provider.clone()).with_protocol_versions(versions);
            let client = builder.expect("versions").with_root_certificates(roots.clone());
            let mut client = client.with_client_auth_cert(chain.clone(), key.clone_key()).expect("a client");
            client.resumption = Resumption::in_memory_sessions(8);
            let client = Arc::new(client);
            let mut kinds = Vec::new();
            for _ in 0..2 {
                let name = rustls_pki_types::ServerName::try_from("localhost").expect("a name");
                let mut client = Connection::from(ClientConnection::new(client.clone(), name).expect("a client"));
                let mut server = Connection::from(ServerConnection::new(server.clone()).expect("a server"));
                while client.wants_write() || server.wants_write() {
                    pump(&mut client, &mut server);
                    pump(&mut server, &mut client);
                }
                let shown = server.peer_certificates().map(<[_]>::to_vec);
                assert_eq!(shown, clients.then(|| chain.clone()), "{clients} {oldest:?}");
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
