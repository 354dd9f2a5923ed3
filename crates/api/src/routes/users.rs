//! People, API tokens, device credentials, and the audit trail. All of it needs the administrator's role on the whole node.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::problem::Problem;
use crate::routes::device_certificates::CertificateView;
use crate::views::GrantView;
use andon_access::certificate::NoCertificateName;
use andon_model::access::{Action, Grant};
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// The most topic filters of a device, to publish and to subscribe each.
const MAX_FILTERS: usize = 64;
/// The longest client identifier, in bytes, as the broker takes it.
const MAX_CLIENT_ID: usize = 1024;

/// A person.
#[derive(Serialize, ToSchema)]
pub struct UserView {
    id: Uuid,
    name: String,
    enabled: bool,
    grants: Vec<GrantView>,
    last_login_ms: Option<i64>,
}

/// All people.
#[derive(Serialize, ToSchema)]
pub struct Users {
    users: Vec<UserView>,
}

/// A new person.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewUser {
    name: String,
    /// At least 12 characters.
    password: String,
    grants: Vec<GrantView>,
}

/// A change; what is missing stays.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UserPatch {
    enabled: Option<bool>,
    grants: Option<Vec<GrantView>>,
    password: Option<String>,
}

/// The id of something new.
#[derive(Serialize, ToSchema)]
pub struct Created {
    id: Uuid,
}

fn refused(detail: impl ToString) -> Problem {
    Problem::new(StatusCode::UNPROCESSABLE_ENTITY, "refused", "not accepted").detail(detail)
}

fn known_branch(app: &App, branch: &str) -> Result<(), Problem> {
    let view = app.bus.plant();
    if branch.is_empty() || view.plant.equipment.iter().any(|e| e.path.as_str() == branch) {
        return Ok(());
    }
    let shown: String = branch.chars().take(255).collect();
    Err(refused(format!("{shown:?} is not a branch of the tree"))
        .remedy("name an equipment path, or nothing for everywhere"))
}

fn checked(app: &App, grants: Vec<GrantView>) -> Result<Vec<Grant>, Problem> {
    if grants.len() > 64 {
        return Err(Problem::bad_request("more than 64 grants"));
    }
    for grant in &grants {
        known_branch(app, &grant.branch)?;
    }
    Ok(grants.into_iter().map(Grant::from).collect())
}

/// Lists people.
#[utoipa::path(get, path = "/api/users", responses((status = 200, body = Users), (status = 403, body = Problem)))]
pub async fn list_users(State(app): State<App>, caller: Caller) -> Result<Json<Users>, Problem> {
    caller.may(&app, Action::Administer, "")?;
    let view = |u: andon_access::records::UserRecord| UserView {
        id: u.id,
        name: u.name,
        enabled: u.enabled,
        grants: u.grants.into_iter().map(GrantView::from).collect(),
        last_login_ms: u.last_login.map(andon_model::Timestamp::millis),
    };
    Ok(Json(Users { users: app.accounts.users().into_iter().map(view).collect() }))
}

/// Creates a person.
#[utoipa::path(post, path = "/api/users", request_body = NewUser, responses((status = 201, body = Created), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn create_user(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<NewUser>,
) -> Result<(StatusCode, Json<Created>), Problem> {
    caller.may(&app, Action::Administer, "")?;
    let grants = checked(&app, body.grants)?;
    let id = app.accounts.create_user(&caller.who, &body.name, &body.password, grants).await?;
    Ok((StatusCode::CREATED, Json(Created { id })))
}

/// Changes a person.
#[utoipa::path(patch, path = "/api/users/{id}", request_body = UserPatch, responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn change_user(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<UserPatch>,
) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    let grants = body.grants.map(|g| checked(&app, g)).transpose()?;
    app.accounts.change_user(&caller.who, id, body.enabled, grants, body.password.as_deref()).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a person and erases the name.
#[utoipa::path(delete, path = "/api/users/{id}", responses((status = 204), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn remove_user(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    app.accounts.remove_user(&caller.who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// An API token, without its secret.
#[derive(Serialize, ToSchema)]
pub struct TokenView {
    id: Uuid,
    name: String,
    grants: Vec<GrantView>,
    created_ms: i64,
}

/// All tokens.
#[derive(Serialize, ToSchema)]
pub struct Tokens {
    tokens: Vec<TokenView>,
}

/// A new token.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewToken {
    name: String,
    grants: Vec<GrantView>,
}

/// A token with its secret, shown this once.
#[derive(Serialize, ToSchema)]
pub struct TokenSecret {
    id: Uuid,
    token: String,
}

/// Lists tokens.
#[utoipa::path(get, path = "/api/tokens", responses((status = 200, body = Tokens)))]
pub async fn list_tokens(State(app): State<App>, caller: Caller) -> Result<Json<Tokens>, Problem> {
    caller.may(&app, Action::Administer, "")?;
    let view = |t: andon_access::records::TokenRecord| TokenView {
        id: t.id,
        name: t.name,
        grants: t.grants.into_iter().map(GrantView::from).collect(),
        created_ms: t.created.millis(),
    };
    Ok(Json(Tokens { tokens: app.accounts.tokens().into_iter().map(view).collect() }))
}

/// Makes a token.
#[utoipa::path(post, path = "/api/tokens", request_body = NewToken, responses((status = 201, body = TokenSecret)))]
pub async fn create_token(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<NewToken>,
) -> Result<(StatusCode, Json<TokenSecret>), Problem> {
    caller.may(&app, Action::Administer, "")?;
    let grants = checked(&app, body.grants)?;
    let (id, secret) = app.accounts.create_token(&caller.who, &body.name, grants).await?;
    Ok((StatusCode::CREATED, Json(TokenSecret { id, token: secret.reveal().to_owned() })))
}

/// Revokes a token.
#[utoipa::path(delete, path = "/api/tokens/{id}", responses((status = 204), (status = 404, body = Problem)))]
pub async fn remove_token(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    app.accounts.remove_token(&caller.who, id).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The MQTT credential of a device, without its password.
#[derive(Serialize, ToSchema)]
pub struct DeviceView {
    id: Uuid,
    user: String,
    client_id: Option<String>,
    /// The common name of the certificate with which it comes, or its SHA-256 in hexadecimal; `null`: it comes with its password alone.
    certificate: Option<String>,
    /// What the certificate says that was entered for it; `null`: none, or its name alone was given.
    certificate_entered: Option<CertificateView>,
    /// Whether it may prove that it has the password without sending it (SCRAM-SHA-256).
    scram: bool,
    publish: Vec<String>,
    subscribe: Vec<String>,
    operate: Option<String>,
    created_ms: i64,
}

/// All devices.
#[derive(Serialize, ToSchema)]
pub struct Devices {
    devices: Vec<DeviceView>,
    /// Whether MQTT clients are asked for a certificate; if not, no device can come with one.
    certificates_asked_for: bool,
}

/// A new device, or a new password for one with the same user name.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewDevice {
    /// The MQTT user name.
    name: String,
    /// Binds the credential to one client identifier.
    client_id: Option<String>,
    /// The certificate without which it is not let in, and with which it needs no password: the common name of its subject, or its
    /// SHA-256 in hexadecimal.
    certificate: Option<String>,
    /// Topic filters it may publish to; all topics if missing. Nobody may publish to those that begin with `$`.
    publish: Option<Vec<String>>,
    /// Topic filters it may subscribe to; all topics if missing, but for those that begin with `$`: these are named.
    subscribe: Option<Vec<String>>,
    /// The branch whose tags it may command.
    operate: Option<String>,
}

/// A credential, shown this once.
#[derive(Serialize, ToSchema)]
pub struct DeviceSecret {
    id: Uuid,
    user: String,
    password: String,
}

/// Lists devices.
#[utoipa::path(get, path = "/api/devices", responses((status = 200, body = Devices)))]
pub async fn list_devices(State(app): State<App>, caller: Caller) -> Result<Json<Devices>, Problem> {
    caller.may(&app, Action::Administer, "")?;
    let view = |d: andon_access::records::DeviceRecord| DeviceView {
        id: d.id,
        user: d.user,
        client_id: d.client_id,
        certificate: d.certificate.map(|name| name.to_string()),
        certificate_entered: d.certificate_entered.as_deref().and_then(CertificateView::of),
        scram: d.scram.is_some(),
        publish: d.publish,
        subscribe: d.subscribe,
        operate: d.operate,
        created_ms: d.created.millis(),
    };
    let devices = app.accounts.devices().into_iter().map(view).collect();
    Ok(Json(Devices { devices, certificates_asked_for: app.mqtt_certificates.is_some() }))
}

/// What a device may be let in with and to, as far as the words of it go.
fn check_device(
    app: &App,
    client_id: Option<&str>,
    filters: [&[String]; 2],
    operate: Option<&str>,
) -> Result<(), Problem> {
    if filters.iter().any(|list| list.len() > MAX_FILTERS) {
        return Err(refused(format!("more than {MAX_FILTERS} topic filters")));
    }
    let filters = || filters.into_iter().flatten().map(String::as_str);
    for text in filters().chain(client_id) {
        if let Err(hidden) = andon_model::text::check_line(text) {
            return Err(refused(format!("in {:?}, {hidden}", text.chars().take(255).collect::<String>())));
        }
    }
    for filter in filters() {
        if let Err(error) = andon_wire::mqtt::TopicFilter::parse(filter) {
            let shown: String = filter.chars().take(255).collect();
            return Err(refused(format!("{shown:?}: {error}")));
        }
    }
    if let Some(branch) = operate {
        known_branch(app, branch)?;
    }
    if client_id.is_some_and(|id| id.is_empty() || id.len() > MAX_CLIENT_ID) {
        return Err(refused(format!("a client identifier has 1 to {MAX_CLIENT_ID} bytes")));
    }
    Ok(())
}

/// Makes a credential.
#[utoipa::path(post, path = "/api/devices", request_body = NewDevice, responses((status = 201, body = DeviceSecret)))]
pub async fn create_device(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<NewDevice>,
) -> Result<(StatusCode, Json<DeviceSecret>), Problem> {
    caller.may(&app, Action::Administer, "")?;
    let all = || vec!["#".to_owned()];
    let (publish, subscribe) = (body.publish.unwrap_or_else(all), body.subscribe.unwrap_or_else(all));
    check_device(&app, body.client_id.as_deref(), [&publish, &subscribe], body.operate.as_deref())?;
    let certificate = body.certificate.map(|text| text.parse()).transpose();
    let certificate = certificate.map_err(|error: NoCertificateName| refused(error.to_string()))?;
    let user = body.name.clone();
    let wanted = andon_access::NewDevice {
        user,
        client_id: body.client_id,
        certificate,
        publish,
        subscribe,
        operate: body.operate,
    };
    let (id, secret) = app.accounts.create_device(&caller.who, wanted).await?;
    app.broker.disconnect_principal(id); // Whoever is connected with a former password.
    Ok((StatusCode::CREATED, Json(DeviceSecret { id, user: body.name, password: secret.reveal().to_owned() })))
}

/// A change of a device; what is missing stays. Its user name stays, and so does its password; its certificate has a path of its own.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct DevicePatch {
    /// Binds the credential to one client identifier; `null`: to none.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    client_id: Option<Option<String>>,
    /// Topic filters it may publish to, all of them.
    publish: Option<Vec<String>>,
    /// Topic filters it may subscribe to, all of them.
    subscribe: Option<Vec<String>>,
    /// The branch whose tags it may command, empty: everywhere; `null`: none.
    #[serde(default, deserialize_with = "said")]
    #[schema(value_type = Option<String>)]
    operate: Option<Option<String>>,
}

/// A key that is there, if with `null`, says something; one that is missing says nothing.
fn said<'de, D: serde::Deserializer<'de>>(deserializer: D) -> Result<Option<Option<String>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Changes what a device may and with which client identifier it comes, and leaves it its password and its certificate. It counts at
/// once. Where it loses topics to which it may subscribe, or gets a client identifier, its connection is closed: it comes again with what it may.
#[utoipa::path(patch, path = "/api/devices/{id}", request_body = DevicePatch,
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn change_device(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<DevicePatch>,
) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    let filters = [&body.publish, &body.subscribe].map(|list| list.as_deref().unwrap_or_default());
    let [client_id, operate] =
        [&body.client_id, &body.operate].map(|key| key.as_ref().and_then(|value| value.as_deref()));
    check_device(&app, client_id, filters, operate)?;
    let DevicePatch { client_id, publish, subscribe, operate } = body;
    let change = andon_access::DeviceChange { client_id, publish, subscribe, operate };
    let changing = async move {
        if app.accounts.change_device(&caller.who, id, change).await? {
            app.broker.disconnect_principal(id);
        }
        Ok::<_, Problem>(())
    };
    // A task that ends with its second step, whatever the browser does: no connection may stay with what was taken.
    tokio::spawn(changing).await.map_err(Problem::internal)??;
    Ok(StatusCode::NO_CONTENT)
}

/// Removes a credential; a connection that uses it is closed.
#[utoipa::path(delete, path = "/api/devices/{id}", responses((status = 204), (status = 404, body = Problem)))]
pub async fn remove_device(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    app.accounts.remove_device(&caller.who, id).await?;
    app.broker.disconnect_principal(id);
    Ok(StatusCode::NO_CONTENT)
}

/// A head hash noted earlier.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Against {
    against: Option<String>,
}

/// Checks the hash chain of the audit trail.
#[utoipa::path(get, path = "/api/audit/verify", params(("against" = Option<String>, Query, description = "a head hash noted earlier, 64 hex digits")), responses((status = 200, body = Object), (status = 400, body = Problem)))]
pub async fn verify_audit(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<Against>,
) -> Result<Json<andon_access::audit::AuditReport>, Problem> {
    caller.may(&app, Action::Administer, "")?;
    asked::hash("against", query.against.as_deref())?;
    let log = app.log.clone();
    let checked = tokio::task::spawn_blocking(move || andon_access::audit::verify(&*log, query.against.as_deref()));
    let report = checked.await.map_err(Problem::internal)?.map_err(Problem::unavailable)?;
    Ok(Json(report))
}
