//! The certificates with which devices come: looked at before they count, bound to a device, taken from it. All of it needs the
//! administrator's role on the whole node.

use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use andon_access::DeviceCertificate;
use andon_access::certificate::CertificateName;
use andon_access::entered::{Entered, Facts};
use andon_access::secret::hex;
use andon_access::tls::NotGood;
use andon_model::access::Action;
use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use serde::{Deserialize, Serialize};
use utoipa::ToSchema;
use uuid::Uuid;

/// What a certificate says.
#[derive(Debug, Serialize, ToSchema)]
pub struct CertificateView {
    /// The common name of its subject; `null`: it has none by which a device could be known.
    common_name: Option<String>,
    /// Whose it is, such as `CN=press-7, O=Works`.
    subject: String,
    /// Who issued it.
    issuer: String,
    /// SHA-256 of the whole, 64 hexadecimal digits.
    sha256: String,
    /// From when it is good.
    not_before_ms: i64,
    /// Until when.
    not_after_ms: i64,
}

impl CertificateView {
    /// Of DER form; `None`: it is none.
    pub(crate) fn of(der: &[u8]) -> Option<Self> {
        Facts::of(der).map(Self::from)
    }
}

impl From<Facts> for CertificateView {
    fn from(facts: Facts) -> Self {
        Self {
            common_name: facts.certificate.common_name,
            subject: facts.subject,
            issuer: facts.issuer,
            sha256: hex(&facts.certificate.fingerprint),
            not_before_ms: facts.not_before.millis(),
            not_after_ms: facts.not_after.millis(),
        }
    }
}

/// A certificate in PEM form.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct CertificateText {
    /// Begins with `-----BEGIN CERTIFICATE-----`; those of its issuers may follow.
    pem: String,
}

/// A certificate that was looked at.
#[derive(Serialize, ToSchema)]
pub struct CheckedCertificate {
    /// What it says.
    certificate: CertificateView,
    /// The device that comes with it already, by user name; `null`: none.
    device: Option<String>,
}

/// How a certificate is bound.
#[derive(Debug, Clone, Copy, Deserialize, ToSchema)]
#[serde(rename_all = "snake_case")]
pub enum BoundBy {
    /// By its SHA-256: this one and no other.
    Sha256,
    /// By the common name of its subject: this one and, when it is renewed, every other with the same name.
    CommonName,
}

/// With which certificate a device is to come.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Binding {
    /// The certificate, as in a check.
    pem: String,
    /// How it is bound.
    by: BoundBy,
}

fn refused(problem: impl ToString) -> Problem {
    Problem::new(StatusCode::BAD_REQUEST, "certificate", "this is no certificate for a device").detail(problem)
}

/// Reads a certificate, and asks whether a client with it would be let in.
fn good(app: &App, pem: &str) -> Result<Entered, Problem> {
    let Some(check) = &app.mqtt_certificates else {
        return Err(Problem::new(StatusCode::CONFLICT, "no-certificates", "MQTT clients are asked for no certificate here")
            .detail("a device that is bound to one could not come")
            .remedy("name the file with the certificates of those who issue your devices', as [mqtt] client_ca in the settings, and start again"));
    };
    let entered = Entered::read(pem).map_err(refused)?;
    check.check(&entered, app.clock.now()).map_err(|why| not_good(&why, &entered.facts))?;
    Ok(entered)
}

fn not_good(why: &NotGood, facts: &Facts) -> Problem {
    let problem = |detail: String| refused(detail);
    match why {
        NotGood::Expired => problem(format!("{why}: it was good until {}", facts.not_after)),
        NotGood::NotYet => problem(format!("{why}: it will be from {}", facts.not_before))
            .remedy("look at this node's clock if that is past"),
        NotGood::UnknownIssuer => problem(format!("{why}: it is from {}", facts.issuer))
            .remedy("[mqtt] client_ca in the settings says whose count; certificates between may be entered below it"),
        NotGood::NotForClients | NotGood::OfAnIssuer | NotGood::Other(_) => problem(why.to_string()),
    }
}

/// Says what a certificate says, and whether a client with it would be let in. Changes nothing.
#[utoipa::path(post, path = "/api/devices/certificate", request_body = CertificateText,
    responses((status = 200, body = CheckedCertificate), (status = 400, body = Problem), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn check(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<CertificateText>,
) -> Result<Json<CheckedCertificate>, Problem> {
    caller.may(&app, Action::Administer, "")?;
    let facts = good(&app, &body.pem)?.facts;
    let device = app.accounts.device_of_certificate(&facts.certificate).map(|device| device.user);
    Ok(Json(CheckedCertificate { certificate: facts.into(), device }))
}

/// Binds a device to a certificate: it comes with that one from now on, over TLS, and in no other way. Its connection is closed.
#[utoipa::path(put, path = "/api/devices/{id}/certificate", request_body = Binding,
    responses((status = 200, body = CertificateView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn bind(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(body): Json<Binding>,
) -> Result<Json<CertificateView>, Problem> {
    caller.may(&app, Action::Administer, "")?;
    let entered = good(&app, &body.pem)?;
    let certificate = &entered.facts.certificate;
    let name = match (body.by, &certificate.common_name) {
        (BoundBy::Sha256, _) => CertificateName::Fingerprint(certificate.fingerprint),
        (BoundBy::CommonName, Some(name)) => name.parse().map_err(refused)?,
        (BoundBy::CommonName, None) => {
            return Err(refused("its subject has no common name by which the device could be known")
                .remedy("bind it by its SHA-256"));
        }
    };
    let certificate = DeviceCertificate { name, entered: entered.der().to_vec() };
    app.accounts.bind_device(&caller.who, id, Some(certificate)).await?;
    app.broker.disconnect_principal(id);
    Ok(Json(entered.facts.into()))
}

/// Lets a device come with its password alone again. Its connection is closed.
#[utoipa::path(delete, path = "/api/devices/{id}/certificate",
    responses((status = 204), (status = 403, body = Problem), (status = 404, body = Problem)))]
pub async fn unbind(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<StatusCode, Problem> {
    caller.may(&app, Action::Administer, "")?;
    app.accounts.bind_device(&caller.who, id, None).await?;
    app.broker.disconnect_principal(id);
    Ok(StatusCode::NO_CONTENT)
}
