//! Lots, serial units, what went into what, and birth certificates.
//!
//! A lot goes through many stations and a recall must be whole, so there is no part of it that one sees and another that one does not:
//! whoever may view a station sees lots and units. Receiving and deciding needs `Operate` at a station; having a certificate made anew needs
//! `Configure` there, and giving a unit a credential needs `Administer`, as any device does.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::trace::{
    CertificateFile, DecisionWish, FindingView, ItemsPage, ItemsQuery, LabelForm, Listed, LotView, RecallRowView,
    RecallView, ReceiptWish, TraceView, UnitView, sees_lots,
};
use crate::problem::Problem;
use andon_model::Timestamp;
use andon_model::access::Action;
use andon_model::text::csv_cell;
use axum::Json;
use axum::extract::{Path, Query, State};
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::fmt::Write as _;
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// What an item is in.
const STATES: [&str; 5] = ["Released", "Quarantine", "Hold", "Scrapped", "Shipped"];
/// The longest number, material, revision, in bytes.
pub(super) const NUMBER_LIMIT: usize = 128;
/// The longest place.
pub(super) const PLACE_LIMIT: usize = 500;

/// That the caller may do something at one of the stations; where there is none, there is nothing.
pub(super) fn may(app: &App, caller: &Caller, action: Action) -> Result<(), Problem> {
    let stations = app.traces.stations();
    if !sees_lots(&stations, |path| caller.sees(app, path)) {
        return Err(Problem::not_found("traceability").remedy(
            "say in a [[machine]] which tags tell of its units, and have somebody give you the right to view it",
        ));
    }
    if action == Action::View || stations.iter().any(|path| caller.may(app, action, path).is_ok()) {
        return Ok(());
    }
    caller.may(app, action, stations.first().map_or("", String::as_str))
}

pub(super) fn line(name: &str, text: &str, limit: usize) -> Result<(), Problem> {
    if text.is_empty() || text.len() > limit || text.trim() != text {
        let detail = format!("\"{name}\" must be 1 to {limit} bytes, without white space around");
        return Err(Problem::bad_request(detail));
    }
    andon_model::text::check_line(text).map_err(|hidden| Problem::bad_request(format!("in \"{name}\", {hidden}")))
}

pub(super) fn date(at_ms: Option<i64>) -> Result<Option<Timestamp>, Problem> {
    let Some(ms) = at_ms else { return Ok(None) };
    let at = Timestamp::from_millis(ms);
    if ms >= 0 && at.has_date() {
        return Ok(Some(at));
    }
    Err(Problem::bad_request("\"at_ms\" must be a time from 1970 on, in milliseconds since 1970".to_owned()))
}

fn state(word: Option<String>) -> Result<Option<String>, Problem> {
    let Some(word) = word else { return Ok(None) };
    asked::words("state", Some(&word), &STATES)?;
    Ok(Some(word).filter(|word| !word.is_empty()))
}

/// Which units, lots or containers.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ListQuery {
    /// The number begins so.
    text: Option<String>,
    /// With just this number, or what a scanner reads of a label with it.
    number: Option<String>,
    /// Of this material.
    material: Option<String>,
    /// `Released`, `Quarantine`, `Hold`, `Scrapped` or `Shipped`.
    state: Option<String>,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    before: Option<Uuid>,
}

pub(super) async fn listed(
    app: &App,
    caller: &Caller,
    query: ListQuery,
    kind: Listed,
) -> Result<Json<ItemsPage>, Problem> {
    may(app, caller, Action::View)?;
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let query = ItemsQuery {
        kind,
        material: given(query.material),
        state: state(query.state)?,
        text: given(query.text),
        number: given(query.number),
        before: query.before,
        limit,
    };
    Ok(Json(app.traces.items(query).await?))
}

/// Serial units, the newest first.
#[utoipa::path(get, path = "/api/mes/units", params(ListQuery),
    responses((status = 200, body = ItemsPage), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn units(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<ItemsPage>, Problem> {
    listed(&app, &caller, query, Listed::Units).await
}

/// Lots, the newest first.
#[utoipa::path(get, path = "/api/mes/lots", params(ListQuery),
    responses((status = 200, body = ItemsPage), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn lots(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<ItemsPage>, Problem> {
    listed(&app, &caller, query, Listed::Lots).await
}

/// A unit: where it was, what it is made of, its certificates.
#[utoipa::path(get, path = "/api/mes/units/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = UnitView), (status = 404, body = Problem)))]
pub async fn unit(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<UnitView>, Problem> {
    may(&app, &caller, Action::View)?;
    Ok(Json(app.traces.unit(id).await?))
}

/// A lot: where it lies, and what was decided about it.
#[utoipa::path(get, path = "/api/mes/lots/{id}", params(("id" = Uuid, Path)),
    responses((status = 200, body = LotView), (status = 404, body = Problem)))]
pub async fn lot(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<LotView>, Problem> {
    may(&app, &caller, Action::View)?;
    Ok(Json(app.traces.lot(id).await?))
}

/// A lot that comes.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Receipt {
    /// Stands for this one receipt: sent again with it, nothing happens a second time.
    key: Uuid,
    /// The part number.
    material: String,
    /// Its revision.
    revision: Option<String>,
    /// The lot number.
    number: String,
    /// How much, in the material's unit: more than 0, at most 1,000,000,000.
    quantity: f64,
    /// Where it is put.
    place: Option<String>,
    /// `Released` (if missing), `Quarantine` or `Hold`.
    state: Option<String>,
}

/// Receives a lot.
#[utoipa::path(post, path = "/api/mes/lots", request_body = Receipt,
    responses((status = 200, body = LotView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn receive(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<Receipt>,
) -> Result<Json<LotView>, Problem> {
    may(&app, &caller, Action::Operate)?;
    line("material", &new.material, NUMBER_LIMIT)?;
    line("number", &new.number, NUMBER_LIMIT)?;
    new.revision.as_deref().map_or(Ok(()), |revision| line("revision", revision, NUMBER_LIMIT))?;
    new.place.as_deref().map_or(Ok(()), |place| line("place", place, PLACE_LIMIT))?;
    if !(new.quantity > 0.0 && new.quantity <= 1e9) {
        return Err(Problem::bad_request("\"quantity\" must be more than 0 and at most 1,000,000,000".to_owned()));
    }
    let state = state(new.state)?.unwrap_or_else(|| "Released".to_owned());
    if !matches!(state.as_str(), "Released" | "Quarantine" | "Hold") {
        return Err(
            Problem::bad_request(format!("what comes is not {state}")).remedy("write Released, Quarantine or Hold")
        );
    }
    let wish = ReceiptWish {
        key: new.key,
        material: new.material,
        revision: new.revision,
        number: new.number,
        quantity: new.quantity,
        place: new.place,
        state,
    };
    Ok(Json(app.traces.receive(wish, caller.who.clone()).await?))
}

/// What may be done with an item from now on.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Decision {
    /// Stands for this one decision: sent again with it, nothing happens a second time.
    key: Uuid,
    /// `Released`, `Quarantine`, `Hold`, `Scrapped` or `Shipped`.
    state: String,
    /// Why, in one line of at most 500 bytes.
    reason: String,
}

/// Decides what may be done with a lot or unit.
#[utoipa::path(post, path = "/api/mes/lots/{id}/state", params(("id" = Uuid, Path)), request_body = Decision,
    responses((status = 200, body = LotView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn decide(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(wish): Json<Decision>,
) -> Result<Json<LotView>, Problem> {
    may(&app, &caller, Action::Operate)?;
    line("reason", &wish.reason, PLACE_LIMIT)?;
    let word = state(Some(wish.state))?.ok_or_else(|| Problem::bad_request("\"state\" is empty".to_owned()))?;
    let wish = DecisionWish { key: wish.key, state: word, reason: wish.reason };
    Ok(Json(app.traces.decide(id, wish, caller.who.clone()).await?))
}

/// At which date.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct DateQuery {
    /// What was in there then, in ms since 1970; what was ever in there, taken out again or not, if missing.
    at_ms: Option<i64>,
}

/// What an item went into (`forward`), or what went into it (`backward`), at any depth.
#[utoipa::path(get, path = "/api/mes/lots/{id}/trace/{direction}",
    params(("id" = Uuid, Path), ("direction" = String, Path, description = "`forward` or `backward`"), DateQuery),
    responses((status = 200, body = TraceView), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn trace(
    State(app): State<App>,
    caller: Caller,
    Path((id, direction)): Path<(Uuid, String)>,
    Query(query): Query<DateQuery>,
) -> Result<Json<TraceView>, Problem> {
    may(&app, &caller, Action::View)?;
    let forward = match direction.as_str() {
        "forward" => true,
        "backward" => false,
        _ => return Err(Problem::not_found("this address")),
    };
    Ok(Json(app.traces.trace(id, forward, date(query.at_ms)?).await?))
}

/// What has to be called back if a lot or unit is bad.
#[utoipa::path(get, path = "/api/mes/lots/{id}/recall", params(("id" = Uuid, Path), DateQuery),
    responses((status = 200, body = RecallView), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn recall(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<DateQuery>,
) -> Result<Json<RecallView>, Problem> {
    may(&app, &caller, Action::View)?;
    Ok(Json(app.traces.recall(id, date(query.at_ms)?).await?))
}

/// The same list as a table.
#[utoipa::path(get, path = "/api/mes/lots/{id}/recall.csv", params(("id" = Uuid, Path), DateQuery),
    responses((status = 200, content_type = "text/csv", body = String), (status = 400, body = Problem), (status = 404, body = Problem), (status = 413, body = Problem)))]
pub async fn recall_table(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<DateQuery>,
) -> Result<Response, Problem> {
    may(&app, &caller, Action::View)?;
    let recall = app.traces.recall(id, date(query.at_ms)?).await?;
    // A table has no place to say that it is not whole, and somebody would work by it.
    if let Some(cut) = &recall.cut {
        let problem = Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-much", "the list is not whole");
        return Err(problem
            .detail(format!("there is more than can be followed: {cut}"))
            .remedy("ask for the parts one by one"));
    }
    Ok(file("text/csv; charset=utf-8", "recall.csv", csv(&recall).into_bytes()))
}

/// The table: one row each, what is reached nearer first.
fn csv(recall: &RecallView) -> String {
    let mut table = "kind,material,revision,number,state,remaining,places,packed_in,steps,id\r\n".to_owned();
    for RecallRowView { item, depth, stock, packed_in } in recall.units.iter().chain(&recall.lots) {
        let places: Vec<String> = stock.iter().map(|stock| format!("{} ({})", stock.place, stock.quantity)).collect();
        let remaining = item.remaining.map(|left| left.to_string()).unwrap_or_default();
        let cells = [
            &item.kind,
            &item.material,
            item.revision.as_deref().unwrap_or_default(),
            &item.number,
            &item.state,
            &remaining,
            &places.join("; "),
            &packed_in.join("; "),
        ];
        for cell in cells {
            table.push_str(&csv_cell(cell));
            table.push(',');
        }
        // Writing into a text cannot fail.
        let _ = write!(table, "{depth},{}\r\n", item.id);
    }
    table
}

fn file(content_type: &'static str, name: &str, bytes: Vec<u8>) -> Response {
    let safe: String =
        name.chars().map(|c| if c.is_ascii_alphanumeric() || "-._".contains(c) { c } else { '_' }).collect();
    let disposition = format!("attachment; filename=\"{safe}\"");
    ([(header::CONTENT_TYPE, content_type.to_owned()), (header::CONTENT_DISPOSITION, disposition)], bytes)
        .into_response()
}

/// What cannot be right.
#[derive(Serialize, ToSchema)]
pub struct Findings {
    /// They, the newest first.
    findings: Vec<FindingView>,
}

/// Which findings.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct FindingsQuery {
    /// Before this number.
    before: Option<i64>,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
}

/// What stations said that cannot be right, for people to look into.
#[utoipa::path(get, path = "/api/mes/findings", params(FindingsQuery),
    responses((status = 200, body = Findings), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn findings(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<FindingsQuery>,
) -> Result<Json<Findings>, Problem> {
    may(&app, &caller, Action::View)?;
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    Ok(Json(Findings { findings: app.traces.findings(query.before, limit).await? }))
}

/// A birth certificate, byte for byte as it was signed.
#[utoipa::path(get, path = "/api/mes/certificates/{number}", params(("number" = String, Path)),
    responses((status = 200, content_type = "application/json", body = Vec<u8>), (status = 404, body = Problem)))]
pub async fn certificate(
    State(app): State<App>,
    caller: Caller,
    Path(number): Path<String>,
) -> Result<Response, Problem> {
    may(&app, &caller, Action::View)?;
    let CertificateFile { serial, bytes } = app.traces.certificate(number).await?;
    Ok(file("application/json", &format!("{serial}.json"), bytes))
}

/// The public key that verifies the node's certificates, in PEM. It is no secret: who is logged in may have it.
#[utoipa::path(get, path = "/api/mes/certificate-key",
    responses((status = 200, content_type = "application/x-pem-file", body = String)))]
pub async fn certificate_key(State(app): State<App>, _caller: Caller) -> Response {
    file("application/x-pem-file", "andon-certificates.pem", app.traces.public_key().into_bytes())
}

/// Has the certificate of a finished unit made anew, of what stands recorded now; it takes the place of the one before.
#[utoipa::path(post, path = "/api/mes/units/{id}/certificate", params(("id" = Uuid, Path)),
    responses((status = 200, body = UnitView), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn certify(State(app): State<App>, caller: Caller, Path(id): Path<Uuid>) -> Result<Json<UnitView>, Problem> {
    may(&app, &caller, Action::Configure)?;
    Ok(Json(app.traces.certify(id, caller.who.clone()).await?))
}

/// What a unit connects with over MQTT.
#[derive(Serialize, ToSchema)]
pub struct Credential {
    /// The device's account.
    device: Uuid,
    /// User name and client identifier: the unit's id, as in its certificate.
    user: String,
    /// The password: it is told this once.
    password: String,
    /// What it may publish and subscribe to.
    topics: String,
}

/// Gives a unit the credential with which it connects as an MQTT device. Once: afterwards it is renewed as any device's.
#[utoipa::path(post, path = "/api/mes/units/{id}/identity", params(("id" = Uuid, Path)),
    responses((status = 200, body = Credential), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem)))]
pub async fn identify(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
) -> Result<Json<Credential>, Problem> {
    may(&app, &caller, Action::View)?;
    caller.may(&app, Action::Administer, "")?;
    let given = app.traces.identify(id, caller.who.clone()).await?;
    Ok(Json(Credential { device: given.device, user: given.user, password: given.password, topics: given.topics }))
}

/// A label of a lot or unit: `label.svg`, a QR code for screens, or `label.zpl` for printers.
#[utoipa::path(get, path = "/api/mes/lots/{id}/{label}",
    params(("id" = Uuid, Path), ("label" = String, Path, description = "`label.svg` or `label.zpl`")),
    responses((status = 200, content_type = "image/svg+xml", body = String), (status = 404, body = Problem), (status = 422, body = Problem)))]
pub async fn label(
    State(app): State<App>,
    caller: Caller,
    Path((id, label)): Path<(Uuid, String)>,
) -> Result<Response, Problem> {
    may(&app, &caller, Action::View)?;
    let (form, content_type) = match label.as_str() {
        "label.svg" => (LabelForm::Svg, "image/svg+xml"),
        "label.zpl" => (LabelForm::Zpl, "application/vnd.zebra.zpl"),
        _ => return Err(Problem::not_found("this address")),
    };
    let text = app.traces.label(id, form).await?;
    Ok(([(header::CONTENT_TYPE, content_type)], text).into_response())
}
