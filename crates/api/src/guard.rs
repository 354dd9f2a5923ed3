//! What holds for every request: a size that is said is believed at once, nothing takes for ever, and every refusal under
//! `/api/` is a problem in JSON, or a message of its own in XML, also those that the framework makes.

use crate::MAX_BODY;
use crate::problem::Problem;
use axum::body::to_bytes;
use axum::extract::Request;
use axum::http::{StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse, Response};
use std::time::Duration;

/// The longest that a request may take, its body included. Commands end sooner by their own deadlines.
const ANSWER_WITHIN: Duration = Duration::from_secs(60);
/// The most of a framework's refusal that is passed on, in bytes.
const MAX_WORDS: usize = 4096;

/// Guards a request.
pub(crate) async fn guard(request: Request, next: Next) -> Response {
    let said = request.headers().get(header::CONTENT_LENGTH).and_then(|v| v.to_str().ok()).and_then(|v| v.parse().ok());
    if said.is_some_and(|bytes: u64| bytes > MAX_BODY as u64) {
        return too_large().into_response();
    }
    let is_api = request.uri().path().starts_with("/api/");
    match tokio::time::timeout(ANSWER_WITHIN, next.run(request)).await {
        Ok(response) if is_api => as_problem(response).await,
        Ok(response) => response,
        Err(_) => Problem::new(StatusCode::REQUEST_TIMEOUT, "too-slow", "the request took too long")
            .detail(format!("it was not complete within {} s", ANSWER_WITHIN.as_secs()))
            .into_response(),
    }
}

/// Tells refusals of the framework before an answer is packed: what is packed has no words any more.
pub(crate) async fn told(request: Request, next: Next) -> Response {
    as_problem(next.run(request).await).await
}

fn over_limit() -> Problem {
    Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request is too large")
}

fn too_large() -> Problem {
    over_limit().detail(format!("a body has at most {MAX_BODY} bytes")).remedy("send it in several requests")
}

/// A refusal in plain text becomes a problem with the same status and words.
async fn as_problem(response: Response) -> Response {
    let kind = response.headers().get(header::CONTENT_TYPE).and_then(|v| v.to_str().ok()).unwrap_or_default();
    // A message of an ERP is answered with a message, also where it is refused.
    let is_told = kind.contains("json") || kind.contains("xml");
    if !response.status().is_client_error() || is_told {
        return response;
    }
    let status = response.status();
    if status == StatusCode::PAYLOAD_TOO_LARGE {
        return over_limit().detail("the body is over the limit of this request").into_response();
    }
    let allow = response.headers().get(header::ALLOW).cloned();
    let words = to_bytes(response.into_body(), MAX_WORDS).await.unwrap_or_default();
    let title = status.canonical_reason().unwrap_or("refused").to_lowercase();
    let problem = Problem::new(status, "refused", &title);
    let words = String::from_utf8_lossy(&words).into_owned();
    let mut answer = if words.is_empty() { problem } else { problem.detail(words) }.into_response();
    if let Some(allow) = allow {
        answer.headers_mut().insert(header::ALLOW, allow);
    }
    answer
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_refusal_of_the_framework_becomes_a_problem() {
        let plain = (StatusCode::UNPROCESSABLE_ENTITY, "missing field `tag`").into_response();
        let answer = as_problem(plain).await;
        assert_eq!(answer.status(), StatusCode::UNPROCESSABLE_ENTITY);
        assert_eq!(answer.headers()[header::CONTENT_TYPE], "application/problem+json");
        let body = to_bytes(answer.into_body(), MAX_WORDS).await.expect("body");
        assert!(String::from_utf8_lossy(&body).contains("missing field `tag`"));
    }

    #[tokio::test]
    async fn a_good_answer_stays_as_it_is() {
        let answer = as_problem((StatusCode::OK, "x").into_response()).await;
        assert_eq!(to_bytes(answer.into_body(), MAX_WORDS).await.expect("body"), "x");
    }
}
