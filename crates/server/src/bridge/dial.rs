//! The way to the other side: TCP, and TLS unless the document says otherwise.

use super::config::{Config, Encryption, Word};
use crate::secrets::{Secret, Secrets, is_pem};
use crate::trust::{certificates, roots};
use andon_broker::bridge::{Dial, Stream, Trouble};
use async_trait::async_trait;
use rustls::ClientConfig;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{PrivateKeyDer, ServerName};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// Dials the endpoint of a bridge.
pub struct Line {
    host: String,
    port: u16,
    tls: Option<(TlsConnector, ServerName<'static>)>,
}

/// A bridge that cannot connect: a secret is missing, or holds something else.
pub struct NoLine(pub Trouble);

#[async_trait]
impl Dial for NoLine {
    async fn dial(&self) -> Result<Box<dyn Stream>, Trouble> {
        Err(self.0.clone())
    }
}

/// The text behind a word.
pub fn text_of(word: &Word, secrets: &Secrets) -> Result<String, Trouble> {
    match word {
        Word::Plain(text) => Ok(text.clone()),
        Word::Secret(name) => secrets.get(name).map(|secret| secret.reveal().to_owned()).ok_or_else(|| missing(name)),
    }
}

/// The password of this name. A key or a certificate is none: it would be shown to the other side.
pub fn password(name: &str, secrets: &Secrets) -> Result<Secret, Trouble> {
    match secrets.get(name) {
        Some(secret) if is_pem(secret.reveal()) => Err(Trouble::new(
            format!("the secret \"{name}\" holds a key or a certificate, and no password"),
            format!("name another secret, or set it anew: andon secret set {name}"),
        )),
        Some(secret) => Ok(secret),
        None => Err(missing(name)),
    }
}

fn missing(name: &str) -> Trouble {
    Trouble::new(format!("the secret \"{name}\" is not set"), format!("set it: andon secret set {name}"))
}

fn tls(encryption: &Encryption, secrets: &Secrets) -> Result<ClientConfig, Trouble> {
    const NEW: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13];
    const OLD: &[&rustls::SupportedProtocolVersion] = &[&rustls::version::TLS13, &rustls::version::TLS12];
    let unusable = |error: rustls::Error| {
        Trouble::new(format!("TLS cannot be set up: {error}"), "look at ca, certificate and key")
    };
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider);
    let builder = builder.with_protocol_versions(if encryption.old { OLD } else { NEW }).map_err(unusable)?;
    let ca = encryption.ca.as_ref().map(|word| text_of(word, secrets)).transpose()?;
    let builder = builder.with_root_certificates(roots(ca.as_deref())?);
    match &encryption.own {
        None => Ok(builder.with_no_client_auth()),
        Some((certificate, key)) => {
            let chain = certificates(&text_of(certificate, secrets)?, "certificate")?;
            let key = text_of(key, secrets)?;
            let key = PrivateKeyDer::from_pem_slice(key.as_bytes())
                .map_err(|_| Trouble::new("`key` holds no private key", "set its secret anew, in PEM"))?;
            builder.with_client_auth_cert(chain, key).map_err(unusable)
        }
    }
}

impl Line {
    /// # Errors
    /// A secret is missing, or holds something else.
    pub fn new(config: &Config, secrets: &Secrets) -> Result<Self, Trouble> {
        let tls = match &config.tls {
            None => None,
            Some(encryption) => {
                let config = tls(encryption, secrets)?;
                Some((TlsConnector::from(Arc::new(config)), encryption.server_name.clone()))
            }
        };
        Ok(Self { host: config.host.clone(), port: config.port, tls })
    }
}

#[async_trait]
impl Dial for Line {
    async fn dial(&self) -> Result<Box<dyn Stream>, Trouble> {
        let connected = TcpStream::connect((self.host.as_str(), self.port)).await;
        let stream = connected.map_err(|error| {
            let text = format!("{}:{} cannot be reached: {error}", self.host, self.port);
            Trouble::new(text, "look whether the other side is running, at `endpoint`, and at the network in between")
        })?;
        let _ = stream.set_nodelay(true);
        let Some((connector, name)) = &self.tls else { return Ok(Box::new(stream)) };
        let stream = connector.connect(name.clone(), stream).await.map_err(|error| {
            let text = format!("no encrypted connection came about: {error}");
            let certificate = error.get_ref().and_then(|inner| inner.downcast_ref::<rustls::Error>());
            let remedy = match certificate {
                Some(rustls::Error::InvalidCertificate(_)) => {
                    "give the certificate of the authority that vouches for the other side as `ca`, and its name as `server_name` if it has another than the host"
                }
                _ => "look whether the other side speaks TLS 1.3 on this port; oldest_tls = \"1.2\" allows the older one",
            };
            Trouble::new(text, remedy)
        })?;
        Ok(Box::new(stream))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_key_is_not_shown_as_a_password() {
        let folder = tempfile::tempdir().expect("a folder");
        let secrets = Secrets::open(folder.path()).expect("none yet");
        secrets.set("good", "over the hills").expect("kept");
        secrets.set("key", "-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n").expect("kept");
        let said = |name: &str| password(name, &secrets).map(|_| ()).map_err(|trouble| trouble.text);
        assert_eq!(said("good"), Ok(()));
        assert_eq!(said("none").unwrap_err(), "the secret \"none\" is not set");
        let key = said("key").unwrap_err();
        assert!(key.contains("holds a key") && !key.contains("AAAA"), "{key}");
    }
}
