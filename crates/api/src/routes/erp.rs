//! B2MML messages from an ERP, and the links on which messages go to one.

use crate::App;
use crate::auth::Caller;
use crate::ports::erp::{Decision, DecisionProblem, LinkView, MessageProblem};
use crate::problem::Problem;
use andon_model::access::Action;
use axum::Json;
use axum::body::Bytes;
use axum::extract::{Path, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;
use utoipa::ToSchema;

/// Whether a body is said to be XML.
fn is_xml(headers: &HeaderMap) -> bool {
    let given = headers.get(header::CONTENT_TYPE).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let kind = given.split(';').next().unwrap_or_default().trim().to_ascii_lowercase();
    matches!(kind.as_str(), "application/xml" | "text/xml") || kind.ends_with("+xml")
}

/// Takes a message of B2MML 7.01, at most 16 MiB, and answers with the message that its verb and its head ask for. 200: all of it was
/// accepted; 422: something was not, and the answer says what and why; 204: accepted, and no answer is wanted. The same message (BODID)
/// again changes nothing and is answered alike.
#[utoipa::path(post, path = "/api/b2mml", request_body(content = String, content_type = "application/xml"),
    responses((status = 200, body = String, content_type = "application/xml"), (status = 204), (status = 400, body = Problem), (status = 415, body = Problem), (status = 422, body = String, content_type = "application/xml"), (status = 503, body = Problem)))]
pub async fn receive(
    State(app): State<App>,
    caller: Caller,
    headers: HeaderMap,
    body: Bytes,
) -> Result<Response, Problem> {
    if !is_xml(&headers) {
        return Err(Problem::new(StatusCode::UNSUPPORTED_MEDIA_TYPE, "not-xml", "only XML is taken here")
            .remedy("send the message with content-type: application/xml"));
    }
    let reply = app.erp.receive(body, caller.who.clone()).await.map_err(|problem| match problem {
        MessageProblem::Unreadable(words) => {
            Problem::bad_request(words).remedy("send a message of B2MML 7.01; docs/manual/erp.md has examples")
        }
        MessageProblem::Failed(words) => Problem::unavailable(words),
    })?;
    let status = match (&reply.text, reply.accepted) {
        (_, false) => StatusCode::UNPROCESSABLE_ENTITY,
        (Some(_), true) => StatusCode::OK,
        (None, true) => StatusCode::NO_CONTENT,
    };
    let Some(text) = reply.text else { return Ok(status.into_response()) };
    Ok((status, [(header::CONTENT_TYPE, "application/xml; charset=utf-8")], text).into_response())
}

/// The links to an ERP.
#[derive(Serialize, ToSchema)]
pub struct Links {
    links: Vec<LinkView>,
}

/// The links to an ERP, and what waits there.
#[utoipa::path(get, path = "/api/erp", responses((status = 200, body = Links), (status = 403, body = Problem)))]
pub async fn links(State(app): State<App>, caller: Caller) -> Result<Json<Links>, Problem> {
    caller.may(&app, Action::View, "")?;
    Ok(Json(Links { links: app.erp.links() }))
}

/// Sends the message at which a link stands again, or gives it up.
#[utoipa::path(post, path = "/api/erp/{name}/{action}",
    params(("name" = String, Path), ("action" = String, Path, description = "`retry` or `skip`")),
    responses((status = 200, body = LinkView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn decide(
    State(app): State<App>,
    caller: Caller,
    Path((name, action)): Path<(String, String)>,
) -> Result<Json<LinkView>, Problem> {
    let what = match action.as_str() {
        "retry" => Decision::Retry,
        "skip" => Decision::Skip,
        _ => return Err(Problem::not_found("this address")),
    };
    caller.may(&app, Action::Administer, "")?;
    let decided = app.erp.decide(name, what, caller.who.clone()).await;
    Ok(Json(decided.map_err(|problem| match problem {
        DecisionProblem::Unknown(_) => Problem::not_found("this link to an ERP"),
        DecisionProblem::Nothing(_) => {
            Problem::new(StatusCode::CONFLICT, "conflict", "there is nothing to decide").detail(problem)
        }
    })?))
}
