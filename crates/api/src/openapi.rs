//! The OpenAPI 3.1 description of the whole API.

use crate::routes::{
    alarms, backup, commands, connectors, device_certificates, erp, health, history, influx, ingest, kept, maintenance,
    mes, mqtt_clients, mqtt_rules, notes, orders, plant, secrets, session, sql, storage, timeline, topics, trace,
    transfer, users, values, ws,
};
use axum::Json;
use utoipa::OpenApi;

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Andon",
        description = "Values, history, alarms, events, commands and the plant model. Times are milliseconds since 1970-01-01T00:00:00Z. \
            Log in with a session cookie (changing requests then need the header `x-andon: 1`) or send `authorization: Bearer <token>`.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    paths(
        session::status,
        session::setup,
        session::login,
        session::login_link,
        session::logout,
        session::password,
        session::session,
        plant::plant,
        plant::plan,
        plant::apply,
        plant::versions,
        plant::roll_back,
        plant::export,
        values::values,
        values::history,
        history::aggregate,
        history::aggregates,
        history::delete,
        history::compact,
        history::give_up,
        notes::create,
        storage::storage,
        transfer::export,
        transfer::begin_import,
        transfer::end_import,
        ingest::ingest,
        influx::write_2,
        influx::write_1,
        influx::ping,
        influx::health,
        sql::query,
        alarms::list,
        alarms::acknowledge,
        timeline::timeline,
        commands::submit,
        maintenance::list,
        maintenance::make,
        maintenance::one,
        maintenance::change,
        maintenance::act,
        maintenance::part,
        maintenance::seen,
        maintenance::ledger,
        maintenance::plans,
        maintenance::figures,
        mes::machines,
        mes::reasons,
        mes::kpis,
        mes::children,
        mes::series,
        mes::states,
        mes::stops,
        mes::why,
        mes::corrections,
        mes::correct,
        orders::list,
        orders::make,
        orders::one,
        orders::change,
        orders::act,
        orders::jobs,
        orders::ledger,
        orders::count,
        orders::seen,
        orders::place,
        orders::trigger,
        orders::materials,
        orders::instruction,
        orders::schedule,
        orders::plan,
        orders::skills,
        trace::units,
        trace::unit,
        trace::certify,
        trace::identify,
        trace::lots,
        trace::receive,
        trace::lot,
        trace::decide,
        trace::trace,
        trace::recall,
        trace::recall_table,
        trace::label,
        trace::findings,
        trace::certificate,
        trace::certificate_key,
        orders::qualify,
        orders::disqualify,
        connectors::list,
        connectors::test,
        topics::level,
        topics::search,
        topics::topic,
        topics::value,
        kept::kept_messages,
        topics::publish,
        mqtt_clients::clients,
        mqtt_clients::client,
        mqtt_clients::departures,
        mqtt_clients::disconnect,
        mqtt_clients::subscriptions,
        mqtt_clients::permission,
        mqtt_rules::violations,
        mqtt_rules::quarantine,
        mqtt_rules::release,
        mqtt_rules::discard,
        mqtt_rules::discard_all,
        erp::receive,
        erp::links,
        erp::decide,
        connectors::found,
        secrets::list,
        secrets::set,
        secrets::remove,
        users::list_users,
        users::create_user,
        users::change_user,
        users::remove_user,
        users::list_tokens,
        users::create_token,
        users::remove_token,
        users::list_devices,
        users::create_device,
        users::change_device,
        users::remove_device,
        device_certificates::check,
        device_certificates::bind,
        device_certificates::unbind,
        users::verify_audit,
        backup::begin,
        backup::state,
        backup::keep,
        backup::finish,
        backup::give_up,
        ws::open,
        health::healthz,
        health::readyz,
        health::metrics,
    )
)]
struct Description;

/// The description as JSON.
pub async fn document() -> Json<utoipa::openapi::OpenApi> {
    Json(Description::openapi())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_route_is_described() {
        let description = serde_json::to_value(Description::openapi()).expect("json");
        assert_eq!(description["openapi"].as_str().map(|v| &v[..3]), Some("3.1"));
        let source = include_str!("lib.rs");
        for line in source.lines().filter(|l| l.contains(".route(\"/")) {
            let path = line.split('"').nth(1).expect("a path");
            if !matches!(path, "/api/openapi.json" | "/mqtt") {
                assert!(description["paths"].get(path).is_some(), "{path} is not described");
            }
        }
    }
}
