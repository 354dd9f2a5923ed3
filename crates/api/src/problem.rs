//! Errors as the outside sees them: RFC 9457 problem details, with what to do.

use crate::ports::NotDone;
use axum::Json;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// An error answer (`application/problem+json`, RFC 9457).
#[derive(Debug, Clone, Serialize, ToSchema)]
pub struct Problem {
    /// A stable name of the situation.
    #[serde(rename = "type")]
    pub kind: String,
    /// The situation in a few words.
    pub title: String,
    /// The HTTP status code.
    pub status: u16,
    /// What happened here.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub detail: Option<String>,
    /// What to do.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub remedy: Option<String>,
    /// Seconds after which trying again makes sense.
    #[serde(skip)]
    pub retry_after_s: Option<u64>,
}

impl Problem {
    /// A problem of this kind.
    #[must_use]
    pub fn new(status: StatusCode, kind: &str, title: &str) -> Self {
        Self {
            kind: format!("andon:{kind}"),
            title: title.to_owned(),
            status: status.as_u16(),
            detail: None,
            remedy: None,
            retry_after_s: None,
        }
    }
    /// Adds what happened.
    #[must_use]
    pub fn detail(mut self, text: impl ToString) -> Self {
        self.detail = Some(text.to_string());
        self
    }
    /// Adds what to do.
    #[must_use]
    pub fn remedy(mut self, text: &str) -> Self {
        self.remedy = Some(text.to_owned());
        self
    }
    /// Adds when to try again.
    #[must_use]
    pub fn retry_after(mut self, seconds: u64) -> Self {
        self.retry_after_s = Some(seconds);
        self
    }

    /// The request cannot be understood.
    #[must_use]
    pub fn bad_request(detail: impl ToString) -> Self {
        Self::new(StatusCode::BAD_REQUEST, "bad-request", "the request cannot be understood").detail(detail)
    }
    /// Nobody is logged in.
    #[must_use]
    pub fn unauthenticated() -> Self {
        Self::new(StatusCode::UNAUTHORIZED, "unauthenticated", "nobody is logged in")
            .remedy("log in, or send an API token as \"authorization: Bearer …\"")
    }
    /// No such thing, or not for this caller: the answer is the same.
    #[must_use]
    pub fn not_found(what: &str) -> Self {
        Self::new(StatusCode::NOT_FOUND, "not-found", "there is no such thing")
            .detail(format!("{what} is not known here"))
    }
    /// A part of the node cannot do it now.
    #[must_use]
    pub fn unavailable(detail: impl ToString) -> Self {
        Self::new(StatusCode::SERVICE_UNAVAILABLE, "unavailable", "this cannot be done at the moment")
            .detail(detail)
            .retry_after(5)
    }
    /// A failure of ours.
    #[must_use]
    pub fn internal(detail: impl ToString) -> Self {
        Self::new(StatusCode::INTERNAL_SERVER_ERROR, "internal", "the node failed to do this")
            .detail(detail)
            .remedy("look at the log of the server; if it stays, report it")
    }
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = StatusCode::from_u16(self.status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
        let retry = self.retry_after_s;
        let mut response = (status, Json(self)).into_response();
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        if let Some(seconds) = retry {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}

impl From<andon_model::access::Denied> for Problem {
    fn from(denied: andon_model::access::Denied) -> Self {
        Self::new(StatusCode::FORBIDDEN, "not-allowed", "not allowed")
            .detail(denied)
            .remedy("ask an administrator for this role")
    }
}

impl From<andon_access::accounts::AccountError> for Problem {
    fn from(error: andon_access::accounts::AccountError) -> Self {
        use andon_access::accounts::AccountError as E;
        let detail = error.to_string();
        match error {
            E::WrongLogin => Self::new(StatusCode::UNAUTHORIZED, "wrong-login", "log-in refused").detail(detail),
            E::WrongCode => Self::new(StatusCode::UNAUTHORIZED, "wrong-code", "code refused").detail(detail),
            E::Wait { wait } => {
                let seconds = wait.as_secs().max(1);
                Self::new(StatusCode::TOO_MANY_REQUESTS, "wait", "too many tries").detail(detail).retry_after(seconds)
            }
            E::Busy { after } => Self::new(StatusCode::SERVICE_UNAVAILABLE, "busy", "too busy, try again")
                .detail(detail)
                .retry_after(after.as_secs().max(1)),
            E::Password(_) | E::BadName(_) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "not accepted").detail(detail)
            }
            E::NameTaken(_) | E::LooksAlike(_) | E::LastAdministrator | E::TooMany | E::AlreadySetUp => {
                Self::new(StatusCode::CONFLICT, "conflict", "not possible").detail(detail)
            }
            E::Unknown => Self::not_found("this account"),
            E::Records(_) | E::Stopping => Self::unavailable(detail),
            E::Randomness(_) => Self::internal(detail),
        }
    }
}

impl From<NotDone> for Problem {
    fn from(reason: NotDone) -> Self {
        let detail = reason.to_string();
        match reason {
            NotDone::Unknown(what) => Self::not_found(&what),
            NotDone::Asked(_) => Self::bad_request(detail),
            NotDone::NotAllowed(_, remedy) => {
                Self::new(StatusCode::FORBIDDEN, "not-allowed", "not allowed").detail(detail).remedy(&remedy)
            }
            NotDone::Refused(_, remedy) => {
                Self::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "not accepted").detail(detail).remedy(&remedy)
            }
            NotDone::Conflict(_, remedy) => {
                Self::new(StatusCode::CONFLICT, "conflict", "not possible now").detail(detail).remedy(&remedy)
            }
            NotDone::Failed(_) => Self::unavailable(detail),
        }
    }
}
