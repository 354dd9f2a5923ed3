//! What lies where: movements, containers, stock, units that passed a station, parts of units that are exchanged.
//!
//! Rights are those of lots and units: whoever may view a station sees all of it, whoever operates one may change it.

use super::trace::{NUMBER_LIMIT, PLACE_LIMIT, line, listed, may};
use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::stock::{
    ContainerView, ContainerWish, ExchangeWish, MoveWish, MovesPage, PackWish, PassesPage, PlacesView, StockPage,
};
use crate::ports::trace::{ItemsPage, Listed, LotView, UnitView};
use crate::problem::Problem;
use crate::routes::trace::ListQuery;
use andon_model::Timestamp;
use andon_model::access::Action;
use axum::Json;
use axum::extract::{Path, Query, State};
use serde::{Deserialize, Serialize};
use utoipa::{IntoParams, ToSchema};
use uuid::Uuid;

/// The longest `next` of a page, in bytes.
const NEXT_LIMIT: usize = 4_000;

pub(super) fn quantity(given: Option<f64>) -> Result<(), Problem> {
    match given {
        Some(quantity) if !(quantity > 0.0 && quantity <= 1e9) => {
            Err(Problem::bad_request("\"quantity\" must be more than 0 and at most 1,000,000,000"))
        }
        _ => Ok(()),
    }
}

pub(super) fn place(name: &str, given: Option<&str>) -> Result<(), Problem> {
    given.map_or(Ok(()), |place| line(name, place, PLACE_LIMIT))
}

fn after(given: Option<String>) -> Result<Option<String>, Problem> {
    match given {
        Some(text) if text.len() > NEXT_LIMIT => Err(Problem::bad_request("\"after\" is no \"next\" of a page")),
        given => Ok(given.filter(|text| !text.is_empty())),
    }
}

/// Something that is carried from one place to another.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Carried {
    /// Stands for this one movement: sent again with it, nothing happens a second time.
    key: Uuid,
    /// How much of a lot; left out for units and containers, which are carried as a whole.
    quantity: Option<f64>,
    /// From where; from outside if missing.
    from: Option<String>,
    /// To where; to outside if missing.
    to: Option<String>,
}

/// Carries a lot, a unit or a container with all that lies in it from one place to another.
#[utoipa::path(post, path = "/api/mes/lots/{id}/move", params(("id" = Uuid, Path)), request_body = Carried,
    responses((status = 200, body = LotView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn carry(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(wish): Json<Carried>,
) -> Result<Json<LotView>, Problem> {
    may(&app, &caller, Action::Operate)?;
    quantity(wish.quantity)?;
    place("from", wish.from.as_deref())?;
    place("to", wish.to.as_deref())?;
    if wish.from == wish.to {
        return Err(Problem::bad_request("it ends where it begins").remedy("give \"from\", \"to\", or both"));
    }
    let wish = MoveWish { key: wish.key, quantity: wish.quantity, from: wish.from, to: wish.to };
    Ok(Json(app.stock.carry(id, wish, caller.who.clone()).await?))
}

/// A container.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct NewContainer {
    /// Stands for this one container: sent again with it, nothing happens a second time.
    key: Uuid,
    /// The part number of what it is: a box, a pallet.
    material: String,
    /// Its number: an SSCC or a GRAI, as written or as a scanner reads it, or one of the house's own.
    number: String,
    /// Where it stands.
    place: Option<String>,
}

/// Records a container.
#[utoipa::path(post, path = "/api/mes/containers", request_body = NewContainer,
    responses((status = 200, body = ContainerView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn make_container(
    State(app): State<App>,
    caller: Caller,
    Json(new): Json<NewContainer>,
) -> Result<Json<ContainerView>, Problem> {
    may(&app, &caller, Action::Operate)?;
    line("material", &new.material, NUMBER_LIMIT)?;
    // A scanner reads a link, which is longer than the number in it.
    line("number", &new.number, PLACE_LIMIT)?;
    place("place", new.place.as_deref())?;
    let wish = ContainerWish { key: new.key, material: new.material, number: new.number, place: new.place };
    Ok(Json(app.stock.make_container(wish, caller.who.clone()).await?))
}

/// Containers, the newest first.
#[utoipa::path(get, path = "/api/mes/containers", params(ListQuery),
    responses((status = 200, body = ItemsPage), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn containers(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<ListQuery>,
) -> Result<Json<ItemsPage>, Problem> {
    listed(&app, &caller, query, Listed::Containers).await
}

/// More of what lies in a container.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct ContentsQuery {
    /// The `next` of the page before.
    after: Option<Uuid>,
}

/// A container: where it stands, and what lies in it, 500 at a time.
#[utoipa::path(get, path = "/api/mes/containers/{id}", params(("id" = Uuid, Path), ContentsQuery),
    responses((status = 200, body = ContainerView), (status = 404, body = Problem)))]
pub async fn container(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Query(query): Query<ContentsQuery>,
) -> Result<Json<ContainerView>, Problem> {
    may(&app, &caller, Action::View)?;
    Ok(Json(app.stock.container(id, query.after).await?))
}

/// Something that is put into a container.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct PackedItem {
    /// Stands for this one change: sent again with it, nothing happens a second time.
    key: Uuid,
    /// The lot, unit or container.
    item: Uuid,
    /// How much of a lot; left out for units and containers.
    quantity: Option<f64>,
}

/// Puts a lot, a unit or a container into a container. It lies from then on where that is, and goes where it goes.
#[utoipa::path(post, path = "/api/mes/containers/{id}/pack", params(("id" = Uuid, Path)), request_body = PackedItem,
    responses((status = 200, body = ContainerView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn pack(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(wish): Json<PackedItem>,
) -> Result<Json<ContainerView>, Problem> {
    may(&app, &caller, Action::Operate)?;
    quantity(wish.quantity)?;
    let wish = PackWish { key: wish.key, item: wish.item, quantity: wish.quantity };
    Ok(Json(app.stock.pack(id, wish, caller.who.clone()).await?))
}

/// Something that is taken out of a container.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct UnpackedItem {
    /// Stands for this one change: sent again with it, nothing happens a second time.
    key: Uuid,
    /// The lot, unit or container.
    item: Uuid,
    /// How much of a lot; all that lies in there if missing.
    quantity: Option<f64>,
}

/// Takes a lot, a unit or a container out of a container. It stays where that is.
#[utoipa::path(post, path = "/api/mes/containers/{id}/unpack", params(("id" = Uuid, Path)), request_body = UnpackedItem,
    responses((status = 200, body = ContainerView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn unpack(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(wish): Json<UnpackedItem>,
) -> Result<Json<ContainerView>, Problem> {
    may(&app, &caller, Action::Operate)?;
    quantity(wish.quantity)?;
    let wish = PackWish { key: wish.key, item: wish.item, quantity: wish.quantity };
    Ok(Json(app.stock.unpack(id, wish, caller.who.clone()).await?))
}

/// Where.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct StockQuery {
    /// The place, as it was written when something was put there; all places if missing.
    place: Option<String>,
    /// How many items, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<Uuid>,
}

/// What lies in a place; without one, where something lies.
#[derive(Serialize, ToSchema)]
#[serde(untagged)]
#[expect(missing_docs, reason = "each says what it is by what it holds")]
pub enum StockAnswer {
    Place(StockPage),
    Places(PlacesView),
}

/// What lies in a place, by material and item; without `place`, the places where something lies.
#[utoipa::path(get, path = "/api/mes/stock", params(StockQuery),
    responses((status = 200, body = StockAnswer), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn stock(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<StockQuery>,
) -> Result<Json<StockAnswer>, Problem> {
    may(&app, &caller, Action::View)?;
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    place("place", query.place.as_deref())?;
    Ok(Json(match query.place {
        Some(place) => StockAnswer::Place(app.stock.lying(place, query.after, limit).await?),
        None => StockAnswer::Places(app.stock.places().await?),
    }))
}

/// Of what.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct MovesQuery {
    /// The lot, unit or container.
    item: Uuid,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Where an item was carried, and by whom, the newest first. What stations used is no movement.
#[utoipa::path(get, path = "/api/mes/moves", params(MovesQuery),
    responses((status = 200, body = MovesPage), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn moves(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<MovesQuery>,
) -> Result<Json<MovesPage>, Problem> {
    may(&app, &caller, Action::View)?;
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    Ok(Json(app.stock.moves(query.item, after(query.after)?, limit).await?))
}

/// Where and when.
#[derive(Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
pub struct PassesQuery {
    /// The path of the station.
    equipment: String,
    /// From then on, in ms since 1970.
    from_ms: Option<i64>,
    /// Before then.
    to_ms: Option<i64>,
    /// How many, 1–500; 100 if missing.
    limit: Option<u32>,
    /// The `next` of the page before.
    after: Option<String>,
}

/// Units that passed a station, the newest first.
#[utoipa::path(get, path = "/api/mes/passes", params(PassesQuery),
    responses((status = 200, body = PassesPage), (status = 400, body = Problem), (status = 404, body = Problem)))]
pub async fn passes(
    State(app): State<App>,
    caller: Caller,
    Query(query): Query<PassesQuery>,
) -> Result<Json<PassesPage>, Problem> {
    may(&app, &caller, Action::View)?;
    let limit = asked::within("limit", query.limit, 100, 1..=500)?;
    asked::in_order(query.from_ms, query.to_ms)?;
    let bound = |name, given: Option<i64>, open| given.map_or(Ok(open), |ms| asked::time(name, ms));
    let from = bound("from_ms", query.from_ms, Timestamp::from_micros(i64::MIN))?;
    let to = bound("to_ms", query.to_ms, Timestamp::from_micros(i64::MAX))?;
    line("equipment", &query.equipment, PLACE_LIMIT)?;
    Ok(Json(app.stock.passes(query.equipment, (from, to), after(query.after)?, limit).await?))
}

/// A part of a unit that is taken out.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Exchange {
    /// Stands for this one exchange: sent again with it, nothing happens a second time.
    key: Uuid,
    /// The lot or unit that is taken out.
    part: Uuid,
    /// Where in the unit, as in its `as_maintained`.
    position: String,
    /// When it was put in, as in its `as_maintained` (`at_ms`).
    put_in_ms: i64,
    /// The lot or unit that comes in its place; nothing if missing.
    with: Option<Uuid>,
    /// Why, in one line of at most 500 bytes.
    reason: String,
}

/// Takes a part out of a unit, with or without another in its place. A part with a serial number is in quarantine from then on.
#[utoipa::path(post, path = "/api/mes/units/{id}/exchange", params(("id" = Uuid, Path)), request_body = Exchange,
    responses((status = 200, body = UnitView), (status = 400, body = Problem), (status = 403, body = Problem), (status = 404, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem), (status = 503, body = Problem)))]
pub async fn exchange(
    State(app): State<App>,
    caller: Caller,
    Path(id): Path<Uuid>,
    Json(wish): Json<Exchange>,
) -> Result<Json<UnitView>, Problem> {
    may(&app, &caller, Action::Operate)?;
    line("reason", &wish.reason, PLACE_LIMIT)?;
    if wish.position.len() > NUMBER_LIMIT {
        return Err(Problem::bad_request(format!("\"position\" is longer than {NUMBER_LIMIT} bytes")));
    }
    asked::time("put_in_ms", wish.put_in_ms)?;
    let Exchange { key, part, position, put_in_ms, with, reason } = wish;
    let wish = ExchangeWish { key, part, position, put_in_ms, with, reason };
    Ok(Json(app.stock.exchange(id, wish, caller.who.clone()).await?))
}
