//! Set-up, log-in and log-out.

use crate::App;
use crate::auth::{Caller, From, PLAIN_COOKIE, Peer, SECURE_COOKIE};
use crate::problem::Problem;
use crate::views::{ByView, GrantView};
use andon_access::secret::Secret;
use andon_model::access::{Action, PrincipalKind};
use axum::Json;
use axum::extract::State;
use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;

/// What everybody may know.
#[derive(Serialize, ToSchema)]
pub struct Status {
    /// `Andon`.
    name: &'static str,
    /// The version of the program.
    version: &'static str,
    /// No administrator exists yet.
    setup_needed: bool,
    /// This is the demo.
    demo: bool,
    /// What is simulated and what is replayed.
    demo_text: Option<String>,
    /// Warnings for the banner.
    warnings: Vec<String>,
}

/// The node in a few words; needs no log-in.
#[utoipa::path(get, path = "/api/status", responses((status = 200, body = Status)))]
pub async fn status(State(app): State<App>) -> Json<Status> {
    Json(Status {
        name: "Andon",
        version: app.version,
        setup_needed: app.accounts.setup_needed() && !app.accounts.open_mode(),
        demo: app.demo_text.is_some(),
        demo_text: app.demo_text.clone(),
        warnings: app.node.warnings(),
    })
}

/// The first administrator.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Setup {
    /// The code printed at the start.
    code: String,
    /// The name to log in with.
    name: String,
    /// At least 12 characters.
    password: String,
}

/// Name and password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Login {
    /// The name.
    name: String,
    /// The password.
    password: String,
}

/// A code from a link.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Link {
    /// The code.
    code: String,
}

/// A change of one's own password.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewPassword {
    /// The present one.
    current: String,
    /// The new one.
    new: String,
}

fn with_cookie(app: &App, peer: Peer, cookie: &Secret) -> Result<Response, Problem> {
    let age = app.session_life.as_secs();
    let value = cookie.reveal();
    let text = if peer.tls {
        format!("{SECURE_COOKIE}={value}; Path=/; Secure; HttpOnly; SameSite=Strict; Max-Age={age}")
    } else {
        format!("{PLAIN_COOKIE}={value}; Path=/; HttpOnly; SameSite=Strict; Max-Age={age}")
    };
    let header_value = HeaderValue::from_str(&text).map_err(Problem::internal)?;
    Ok((StatusCode::NO_CONTENT, [(header::SET_COOKIE, header_value)]).into_response())
}

/// Creates the first administrator with the one-time code.
#[utoipa::path(post, path = "/api/setup", request_body = Setup, responses((status = 204), (status = 401, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn setup(State(app): State<App>, From(peer): From, Json(body): Json<Setup>) -> Result<Response, Problem> {
    let cookie = app.accounts.set_up(&body.code, &body.name, &body.password, &peer.address.ip().to_string()).await?;
    with_cookie(&app, peer, &cookie)
}

/// Logs in with name and password.
#[utoipa::path(post, path = "/api/login", request_body = Login, responses((status = 204), (status = 401, body = Problem), (status = 429, body = Problem), (status = 503, body = Problem)))]
pub async fn login(State(app): State<App>, From(peer): From, Json(body): Json<Login>) -> Result<Response, Problem> {
    let cookie = app.accounts.log_in(&body.name, &body.password, &peer.address.ip().to_string()).await?;
    with_cookie(&app, peer, &cookie)
}

/// Logs in with the code of a link.
#[utoipa::path(post, path = "/api/login-link", request_body = Link, responses((status = 204), (status = 401, body = Problem)))]
pub async fn login_link(State(app): State<App>, From(peer): From, Json(body): Json<Link>) -> Result<Response, Problem> {
    let cookie = app.accounts.log_in_by_link(&body.code, &peer.address.ip().to_string()).await?;
    with_cookie(&app, peer, &cookie)
}

/// Logs out.
#[utoipa::path(post, path = "/api/logout", responses((status = 204)))]
pub async fn logout(State(app): State<App>, caller: Caller) -> Result<StatusCode, Problem> {
    if let Some(cookie) = &caller.cookie {
        app.accounts.log_out(cookie).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Changes one's own password; ends all one's sessions.
#[utoipa::path(post, path = "/api/password", request_body = NewPassword, responses((status = 204), (status = 401, body = Problem), (status = 422, body = Problem)))]
pub async fn password(
    State(app): State<App>,
    From(peer): From,
    caller: Caller,
    Json(body): Json<NewPassword>,
) -> Result<StatusCode, Problem> {
    if caller.who.kind != PrincipalKind::Person {
        return Err(Problem::bad_request("only a person has a password"));
    }
    app.accounts.change_password(caller.who.id, &body.current, &body.new, &peer.address.ip().to_string()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// What the caller may do somewhere, so that a screen need not offer what would be refused.
#[derive(Serialize, ToSchema)]
pub struct May {
    acknowledge: bool,
    operate: bool,
    configure: bool,
    administer: bool,
}

/// The log-in.
#[derive(Serialize, ToSchema)]
pub struct Session {
    /// Who.
    user: ByView,
    /// What they may do where.
    grants: Vec<GrantView>,
    /// The same in short.
    may: May,
    /// When it ends at the latest.
    expires_ms: Option<i64>,
}

/// Who is logged in.
#[utoipa::path(get, path = "/api/session", responses((status = 200, body = Session), (status = 401, body = Problem)))]
pub async fn session(State(app): State<App>, caller: Caller) -> Json<Session> {
    let grants = app.accounts.grants(&caller.who);
    let somewhere = |action| grants.iter().any(|g| g.role >= andon_access::table::needed(action));
    let name = app
        .accounts
        .name_of(caller.who.id)
        .or_else(|| (caller.who.kind == PrincipalKind::Anonymous).then(|| "everybody (open mode)".to_owned()));
    Json(Session {
        user: ByView::new(&caller.who, name),
        may: May {
            acknowledge: somewhere(Action::Acknowledge),
            operate: somewhere(Action::Operate),
            configure: somewhere(Action::Configure),
            administer: caller.may(&app, Action::Administer, "").is_ok(),
        },
        grants: grants.into_iter().map(GrantView::from).collect(),
        expires_ms: caller.expires.map(andon_model::Timestamp::millis),
    })
}
