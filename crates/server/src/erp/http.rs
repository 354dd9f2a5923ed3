//! A message on its way to an ERP over HTTP, and what its answer means.

use super::config::Remote;
use crate::secrets::Secrets;
use crate::trust::roots;
use andon_b2mml::verb::{ResponseCriteria, Verb};
use andon_b2mml::{ActionCode, DataArea};
use andon_broker::bridge::Trouble;
use base64::Engine as _;
use http_body_util::{BodyExt as _, Full, Limited};
use hyper::body::Bytes;
use hyper::{Request, StatusCode, header};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use rustls_pki_types::ServerName;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpStream;
use tokio_rustls::TlsConnector;

/// From the first packet to the end of the answer.
const WITHIN: Duration = Duration::from_secs(60);
/// Of an answer, so much is looked at, in bytes.
const MOST_ANSWER: usize = 1 << 20;
/// So many characters of an answer are told.
const TOLD: usize = 300;

/// Why a message was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotTaken {
    /// It may be taken later: the other side is away, busy, or does not know us.
    Later(String),
    /// This message is refused.
    Never(String),
}

fn later(what: &str, error: impl std::fmt::Display) -> NotTaken {
    NotTaken::Later(format!("{what}: {error}"))
}

fn in_trouble(trouble: Trouble) -> NotTaken {
    NotTaken::Later(format!("{}; {}", trouble.text, trouble.remedy))
}

/// Sends a message, and returns when the other side has taken it.
pub async fn send(remote: &Remote, secrets: &Secrets, message: String) -> Result<(), NotTaken> {
    match tokio::time::timeout(WITHIN, exchange(remote, secrets, message)).await {
        Ok(outcome) => outcome,
        Err(_) => Err(NotTaken::Later(format!("no answer within {} s", WITHIN.as_secs()))),
    }
}

async fn exchange(remote: &Remote, secrets: &Secrets, message: String) -> Result<(), NotTaken> {
    let authorization = authorization(remote, secrets)?;
    let stream = TcpStream::connect((remote.host.as_str(), remote.port))
        .await
        .map_err(|error| later(&format!("{}:{} cannot be reached", remote.host, remote.port), error))?;
    let _ = stream.set_nodelay(true);
    if !remote.tls {
        return post(stream, remote, authorization, message).await;
    }
    let connector = TlsConnector::from(Arc::new(trust(remote).await?));
    let name = ServerName::try_from(remote.host.clone()).map_err(|error| later("the host's name", error))?;
    let stream = connector.connect(name, stream).await;
    post(stream.map_err(|error| later("no encrypted connection came about", error))?, remote, authorization, message)
        .await
}

/// What is shown to the other side.
fn authorization(remote: &Remote, secrets: &Secrets) -> Result<Option<String>, NotTaken> {
    let Some(name) = &remote.secret else { return Ok(None) };
    let secret = crate::bridge::password(name, secrets).map_err(in_trouble)?;
    Ok(Some(match &remote.user {
        Some(user) => {
            let both = format!("{user}:{}", secret.reveal());
            format!("Basic {}", base64::engine::general_purpose::STANDARD.encode(both))
        }
        None => format!("Bearer {}", secret.reveal()),
    }))
}

/// Reads certificates: not on the runtime's own threads.
async fn trust(remote: &Remote) -> Result<ClientConfig, NotTaken> {
    let ca = remote.ca.clone();
    let roots = tokio::task::spawn_blocking(move || -> Result<RootCertStore, NotTaken> {
        let read =
            |file: &PathBuf| std::fs::read_to_string(file).map_err(|error| later(&file.display().to_string(), error));
        let pem = ca.as_ref().map(read).transpose()?;
        roots(pem.as_deref()).map_err(in_trouble)
    });
    let roots = roots.await.map_err(|error| later("certificates", error))??;
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions();
    let builder = builder.map_err(|error| later("TLS cannot be set up", error))?;
    Ok(builder.with_root_certificates(roots).with_no_client_auth())
}

async fn post<S>(stream: S, remote: &Remote, authorization: Option<String>, message: String) -> Result<(), NotTaken>
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let (mut sender, connection) = hyper::client::conn::http1::handshake(TokioIo::new(stream))
        .await
        .map_err(|error| later("the connection broke off", error))?;
    // Ends with the exchange: the sender is dropped with the answer.
    tokio::spawn(connection);
    let host = if remote.host.contains(':') { format!("[{}]", remote.host) } else { remote.host.clone() };
    let mut request = Request::post(&remote.path)
        .header(header::HOST, format!("{host}:{}", remote.port))
        .header(header::CONTENT_TYPE, "application/xml; charset=utf-8")
        .header(header::ACCEPT, "application/xml")
        .header(header::USER_AGENT, concat!("andon/", env!("CARGO_PKG_VERSION")));
    if let Some(authorization) = authorization {
        request = request.header(header::AUTHORIZATION, authorization);
    }
    let request = request.body(Full::new(Bytes::from(message))).map_err(|_| {
        // Not the error: the value it is about may be the secret.
        NotTaken::Later("the secret, or the url, cannot stand in a request; set the secret anew".to_owned())
    })?;
    let answer = sender.send_request(request).await.map_err(|error| later("the connection broke off", error))?;
    let status = answer.status();
    let body = Limited::new(answer.into_body(), MOST_ANSWER).collect().await.map(http_body_util::Collected::to_bytes);
    meaning(status, &body.unwrap_or_default())
}

/// What an answer means. What is not about this message (who we are, where it goes, how busy it is there) can be another later.
fn meaning(status: StatusCode, body: &[u8]) -> Result<(), NotTaken> {
    if status.is_success() {
        return refusal_in(body).map_or(Ok(()), |words| Err(NotTaken::Never(words)));
    }
    let said: String = String::from_utf8_lossy(body).trim().chars().take(TOLD).collect();
    let said = andon_model::text::shown(&said).into_owned();
    let words = if said.is_empty() { format!("it answered {status}") } else { format!("it answered {status}: {said}") };
    let of_message = matches!(status.as_u16(), 400 | 406 | 409 | 410 | 411 | 413 | 415 | 422);
    Err(if of_message { NotTaken::Never(refusal_in(body).unwrap_or(words)) } else { NotTaken::Later(words) })
}

/// What a message in an answer refuses, in words.
fn refusal_in(body: &[u8]) -> Option<String> {
    let message = andon_b2mml::read(body).ok()?.message;
    let (criteria, mut words): (&[ResponseCriteria], Vec<String>) = match &message.data_area {
        DataArea::Confirm(confirm, bods) => (
            &confirm.response_criteria,
            bods.iter().flat_map(|bod| &bod.description).map(ToString::to_string).collect(),
        ),
        DataArea::OperationsPerformance(Verb::Acknowledge(verb), _) => (&verb.response_criteria, Vec::new()),
        DataArea::OperationsPerformance(Verb::Respond(verb), _) => (&verb.response_criteria, Vec::new()),
        _ => return None,
    };
    let refused = |one: &&ResponseCriteria| {
        one.response_expression.as_ref().is_some_and(|expression| expression.action == ActionCode::Rejected)
    };
    let refused: Vec<&ResponseCriteria> = criteria.iter().filter(refused).collect();
    if refused.is_empty() {
        return None;
    }
    let status = refused.iter().filter_map(|one| one.change_status.as_ref());
    words.extend(status.flat_map(|status| &status.description).map(ToString::to_string));
    let words: String = words.join("; ").chars().take(TOLD).collect();
    Some(if words.is_empty() {
        "it rejected the message".to_owned()
    } else {
        format!("it rejected the message: {words}")
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_b2mml::area::ApplicationArea;
    use andon_b2mml::{DateTime, Message, Text};

    #[test]
    fn what_an_answer_means_for_the_message() {
        let head = || ApplicationArea::new(DateTime::parse("2026-11-27T06:00:00Z").expect("a time"));
        let no = Message::confirmation(head(), head(), Err(Text::new("no such order").expect("a text"))).write();
        let yes = Message::confirmation(head(), head(), Ok(())).write();
        let of = |status: u16, body: &str| meaning(StatusCode::from_u16(status).expect("a status"), body.as_bytes());
        assert_eq!(of(200, ""), Ok(()));
        assert_eq!(of(202, &yes), Ok(()));
        assert_eq!(of(200, "<html>fine</html>"), Ok(()));
        let rejected = NotTaken::Never("it rejected the message: no such order".to_owned());
        assert_eq!((of(200, &no), of(422, &no)), (Err(rejected.clone()), Err(rejected)));
        for status in [400, 409, 413, 422] {
            assert!(matches!(of(status, "bad\u{202e}"), Err(NotTaken::Never(_))), "{status}");
        }
        // Also a redirection: messages and secrets go where the settings say, and nowhere else.
        for status in [301, 307, 401, 403, 404, 408, 429, 500, 502, 503] {
            assert!(matches!(of(status, ""), Err(NotTaken::Later(_))), "{status}");
        }
    }
}
