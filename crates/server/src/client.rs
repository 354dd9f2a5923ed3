//! The command line's way to the running node: its own HTTP API on this machine, with the token that the node left in
//! its data directory for whoever may read it.

use crate::node::Addresses;
use anyhow::{Context, Result, bail};
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::{Bytes, Incoming};
use hyper::client::conn::http1::SendRequest;
use hyper::header::HeaderName;
use hyper::{Method, Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls_pki_types::pem::PemObject;
use rustls_pki_types::{CertificateDer, ServerName};
use serde_json::Value;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// The largest answer taken, in bytes.
const MAX_ANSWER: usize = 64 << 20;

/// A link to the node that runs on a data directory.
pub struct Client {
    addresses: Addresses,
    token: String,
    certificate: PathBuf,
    name: String,
}

/// An answer of the node.
pub struct Answer {
    /// The HTTP status.
    pub status: StatusCode,
    /// The body.
    pub text: String,
}

impl Answer {
    /// The body as JSON; null when it is none.
    pub fn json(&self) -> Value {
        serde_json::from_str(&self.text).unwrap_or_default()
    }

    /// Fails with the problem in words unless the status is 2xx.
    /// # Errors
    /// The problem.
    pub fn success(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        let problem = self.json();
        let word = |key: &str| problem[key].as_str().map(str::to_owned);
        let detail = word("detail").or_else(|| word("title")).unwrap_or_else(|| self.status.to_string());
        match word("remedy") {
            Some(remedy) => bail!("{detail}\n  try: {remedy}"),
            None => bail!("{detail}"),
        }
    }
}

impl Client {
    /// Finds the node that runs on `data_dir`; `None` if none does.
    /// # Errors
    /// It runs, but its token cannot be read.
    pub fn find(data_dir: &Path, certificate: Option<&Path>, names: &[String]) -> Result<Option<Self>> {
        let path = data_dir.join("addresses.json");
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let words = format!("could not read {}; run this as the user that runs Andon", path.display());
                return Err(error).context(words);
            }
        };
        let addresses = serde_json::from_str(&text).context("addresses.json in the data directory is damaged")?;
        let path = data_dir.join("cli.token");
        let token = std::fs::read_to_string(&path)
            .with_context(|| format!("could not read {}; run this as the user that runs Andon", path.display()))?;
        let certificate = certificate.map_or_else(|| data_dir.join("tls/certificate.pem"), Path::to_owned);
        Ok(Some(Self {
            addresses,
            token,
            certificate,
            name: names.first().cloned().unwrap_or_else(|| "localhost".to_owned()),
        }))
    }

    /// Sends a request and reads the answer.
    /// # Errors
    /// The node cannot be reached.
    pub async fn send(&self, method: Method, path: &str, body: Option<&Value>) -> Result<Answer> {
        let body = body.map(Value::to_string).unwrap_or_default();
        self.open(method, path, &[(header::CONTENT_TYPE, "application/json")], body.into()).await?.whole().await
    }

    /// Sends a body of another kind and reads the answer.
    /// # Errors
    /// The node cannot be reached.
    pub async fn post(&self, path: &str, headers: &[(HeaderName, &str)], body: Bytes) -> Result<Answer> {
        self.open(Method::POST, path, headers, body).await?.whole().await
    }

    /// Asks for an answer that is read piece by piece.
    /// # Errors
    /// The node cannot be reached.
    pub async fn get(&self, path: &str) -> Result<Stream> {
        self.open(Method::GET, path, &[], Bytes::new()).await
    }

    async fn open(&self, method: Method, path: &str, headers: &[(HeaderName, &str)], body: Bytes) -> Result<Stream> {
        if let Some(address) = self.addresses.http {
            let stream =
                TcpStream::connect(address).await.with_context(|| format!("could not reach Andon at {address}"))?;
            return self.exchange(stream, method, path, headers, body).await;
        }
        let Some(address) = self.addresses.https else {
            bail!("the node has no HTTP listener; switch [http] listen or tls_listen on");
        };
        let stream =
            TcpStream::connect(address).await.with_context(|| format!("could not reach Andon at {address}"))?;
        let stream = self.tls()?.connect(ServerName::try_from(self.name.clone())?, stream).await?;
        self.exchange(stream, method, path, headers, body).await
    }

    /// Trusts exactly the node's own certificate.
    fn tls(&self) -> Result<TlsConnector> {
        let mut roots = rustls::RootCertStore::empty();
        let pem = std::fs::read(&self.certificate)
            .with_context(|| format!("could not read {}", self.certificate.display()))?;
        for certificate in CertificateDer::pem_slice_iter(&pem) {
            roots.add(certificate?.into_owned())?;
        }
        let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
        let config = rustls::ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()?
            .with_root_certificates(roots)
            .with_no_client_auth();
        Ok(TlsConnector::from(Arc::new(config)))
    }

    async fn exchange<S>(
        &self,
        stream: S,
        method: Method,
        path: &str,
        headers: &[(HeaderName, &str)],
        body: Bytes,
    ) -> Result<Stream>
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream)).await?;
        // Ends with the exchange: the sender is dropped with the answer.
        tokio::spawn(connection);
        let mut request = Request::builder()
            .method(method)
            .uri(path)
            .header(header::HOST, "localhost")
            .header(header::AUTHORIZATION, format!("Bearer {}", self.token.trim()));
        for (name, value) in headers {
            request = request.header(name, *value);
        }
        let answer =
            sender.send_request(request.body(Full::new(body))?).await.context("the node closed the connection")?;
        Ok(Stream { status: answer.status(), body: answer.into_body(), _sender: sender })
    }
}

/// An answer that is read piece by piece.
pub struct Stream {
    /// The HTTP status.
    pub status: StatusCode,
    body: Incoming,
    _sender: SendRequest<Full<Bytes>>,
}

impl Stream {
    async fn whole(self) -> Result<Answer> {
        let body = Limited::new(self.body, MAX_ANSWER).collect().await;
        let body = body.map_err(|e| anyhow::anyhow!("the answer could not be read: {e}"))?.to_bytes();
        Ok(Answer { status: self.status, text: String::from_utf8_lossy(&body).into_owned() })
    }

    /// Goes on if the status is 2xx.
    /// # Errors
    /// The problem in words.
    pub async fn success(self) -> Result<Self> {
        if self.status.is_success() {
            return Ok(self);
        }
        self.whole().await?.success()?;
        bail!("the node refused")
    }

    /// The next bytes; `None` at the end.
    /// # Errors
    /// The answer broke off.
    pub async fn next(&mut self) -> Result<Option<Bytes>> {
        loop {
            match self.body.frame().await {
                None => return Ok(None),
                Some(Ok(frame)) => {
                    if let Ok(data) = frame.into_data() {
                        return Ok(Some(data));
                    }
                }
                Some(Err(error)) => return Err(error).context("the answer broke off"),
            }
        }
    }
}
