//! Readings by HTTP: line protocol in, durable when answered.

use crate::App;
use crate::auth::Caller;
use crate::problem::Problem;
use andon_model::access::Action;
use andon_model::log::AppendError;
use andon_model::{Sample, StatusCode as Quality, Value};
use andon_wire::line_protocol::{self, FieldValue, Precision};
use axum::body::Bytes;
use axum::extract::{Query, State};
use axum::http::StatusCode;
use serde::Deserialize;

/// The unit of the timestamps: `ns` (default), `us`, `ms`, `s`.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
pub struct IngestQuery {
    precision: Option<String>,
}

/// Takes line protocol; a measurement is an equipment path and each field a tag below it:
/// `works/line1/filler pressure=3.1,speed=12000i 1700000000000000000`. All lines or none.
#[utoipa::path(post, path = "/api/ingest", request_body(content = String, content_type = "text/plain"), params(("precision" = Option<String>, Query)),
    responses((status = 204), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 413, body = Problem), (status = 503, body = Problem)))]
pub async fn ingest(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<IngestQuery>,
    body: Bytes,
) -> Result<StatusCode, Problem> {
    let word = query.precision.as_deref().unwrap_or("ns");
    let precision = Precision::parse(word)
        .ok_or_else(|| Problem::bad_request(format!("\"{word}\" is not a precision: ns, us, ms or s")))?;
    let text = std::str::from_utf8(&body).map_err(|_| Problem::bad_request("the body is not UTF-8"))?;
    let received = app.clock.now();
    let plant = app.bus.plant();
    let mut samples = Vec::new();
    for point in line_protocol::parse(text, precision) {
        let point = point.map_err(Problem::bad_request)?;
        for (field, value) in &point.fields {
            let path = format!("{}/{field}", point.measurement);
            caller.may(&app, Action::Publish, &path)?;
            let unknown = || Problem::not_found(&path).remedy("add the tag to the plant model first");
            let id = plant.id_of(&path).ok_or_else(unknown)?;
            let wanted = plant.tag(id).map(|t| t.data_type).ok_or_else(unknown)?;
            let value = as_value(value).and_then(|v| v.coerce(wanted)).ok_or_else(|| {
                Problem::bad_request(format!("line {}: the value of {path} is not a {}", point.line, wanted.name()))
            })?;
            samples.push(Sample {
                tag: id,
                value,
                quality: Quality::GOOD,
                source_ts: point.time.unwrap_or(received),
                received_ts: received,
            });
        }
    }
    app.ingest.store(samples).await.map_err(not_stored)?;
    Ok(StatusCode::NO_CONTENT)
}

fn not_stored(error: AppendError) -> Problem {
    match error {
        AppendError::TooLarge { .. } => {
            Problem::new(StatusCode::PAYLOAD_TOO_LARGE, "too-large", "the request is too large")
                .detail(error)
                .remedy("send the readings in several requests")
        }
        _ => Problem::unavailable(error).remedy("send the same request again later"),
    }
}

/// A field as a value; `None` for an unsigned number beyond 63 bits.
fn as_value(field: &FieldValue<'_>) -> Option<Value> {
    Some(match field {
        FieldValue::Float(f) => Value::Double(*f),
        FieldValue::Integer(i) => Value::Int64(*i),
        FieldValue::Unsigned(u) => Value::Int64(i64::try_from(*u).ok()?),
        FieldValue::Boolean(b) => Value::Boolean(*b),
        FieldValue::Text(t) => Value::String(t.as_ref().into()),
    })
}
