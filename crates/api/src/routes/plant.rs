//! The plant model: what there is, and changing it by documents.

use crate::App;
use crate::asked;
use crate::auth::Caller;
use crate::ports::{Author, DocumentView, PlanView, PlantError, VersionView};
use crate::problem::Problem;
use crate::views::{EquipmentView, SourceView, TagView};
use andon_model::access::Action;
use andon_model::plant::{AlarmDef, Plant};
use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use utoipa::ToSchema;

/// The model as far as the caller may see it.
#[derive(Serialize, ToSchema)]
pub struct PlantAnswer {
    version: u64,
    equipment: Vec<EquipmentView>,
    tags: Vec<TagView>,
    #[schema(value_type = Vec<Object>)]
    alarms: Vec<AlarmDef>,
}

/// Finds `"tag": "…"` anywhere in settings.
fn tags_in(settings: &serde_json::Value, found: &mut dyn FnMut(&str)) {
    match settings {
        serde_json::Value::Object(map) => {
            for (key, value) in map {
                match value.as_str() {
                    Some(text) if key == "tag" => found(text),
                    _ => tags_in(value, found),
                }
            }
        }
        serde_json::Value::Array(items) => items.iter().for_each(|item| tags_in(item, found)),
        _ => {}
    }
}

/// Which connector or topic gives each tag.
fn sources(plant: &Plant) -> HashMap<String, (String, String)> {
    let mut map = HashMap::new();
    for connector in &plant.connectors {
        tags_in(&connector.settings, &mut |tag| {
            map.insert(tag.to_owned(), (connector.kind.clone(), connector.name.clone()));
        });
    }
    for topic in &plant.topics {
        tags_in(&topic.settings, &mut |tag| {
            map.insert(tag.to_owned(), ("mqtt".to_owned(), topic.filter.clone()));
        });
    }
    map
}

/// The tree, its tags and alarms.
#[utoipa::path(get, path = "/api/plant", responses((status = 200, body = PlantAnswer)))]
pub async fn plant(State(app): State<App>, caller: Caller) -> Json<PlantAnswer> {
    let view = app.bus.plant();
    let plant = &view.plant;
    let sources = sources(plant);
    let kept: HashMap<usize, u32> =
        plant.kept().iter().flat_map(|kept| kept.tags.iter().map(|at| (*at, kept.keep_days))).collect();
    let tags: Vec<_> = plant.tags.iter().enumerate().filter(|(_, t)| caller.sees(&app, t.path.as_str())).collect();
    // Equipment above something visible is shown too, so that the tree has its trunk.
    let mut shown: HashSet<String> = HashSet::new();
    for path in plant.equipment.iter().filter(|e| caller.sees(&app, e.path.as_str())).map(|e| e.path.clone()) {
        let mut at = Some(path);
        while let Some(path) = at {
            at = path.parent();
            shown.insert(path.into());
        }
    }
    Json(PlantAnswer {
        version: plant.version,
        equipment: plant.equipment.iter().filter(|e| shown.contains(e.path.as_str())).map(EquipmentView::new).collect(),
        tags: tags
            .into_iter()
            .map(|(at, t)| {
                let source = sources.get(t.path.as_str()).cloned();
                let source = source.map(|(protocol, name)| SourceView { protocol, name });
                TagView::new(t, source, kept.get(&at).copied())
            })
            .collect(),
        alarms: plant.alarms.iter().filter(|a| caller.sees(&app, a.tag.as_str())).cloned().collect(),
    })
}

/// Documents to try or to apply.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Documents {
    documents: Vec<DocumentView>,
    /// Remove what the documents do not name.
    #[serde(default)]
    prune: bool,
}

/// Documents to apply to a version.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct Apply {
    documents: Vec<DocumentView>,
    /// Remove what the documents do not name.
    #[serde(default)]
    prune: bool,
    /// The version that the caller has seen.
    expected_version: u64,
    /// Why.
    reason: Option<String>,
}

/// A version to go back to.
#[derive(Deserialize, ToSchema)]
#[serde(deny_unknown_fields)]
pub struct RollBack {
    version: u64,
    /// The version that the caller has seen.
    expected_version: u64,
    /// Why.
    reason: Option<String>,
}

/// The new version.
#[derive(Serialize, ToSchema)]
pub struct Version {
    version: u64,
}

/// All versions.
#[derive(Serialize, ToSchema)]
pub struct Versions {
    versions: Vec<VersionView>,
}

fn refused(error: PlantError) -> Response {
    let detail = error.to_string();
    match error {
        PlantError::Conflict { .. } => Problem::new(StatusCode::CONFLICT, "conflict", "somebody else was faster")
            .detail(detail)
            .remedy("look at the differences again, then apply to the present version")
            .into_response(),
        PlantError::Invalid(errors) => {
            let body = serde_json::json!({
                "type": "andon:invalid-documents", "title": "the documents have errors", "status": 422, "detail": detail, "errors": errors
            });
            (StatusCode::UNPROCESSABLE_ENTITY, [(header::CONTENT_TYPE, "application/problem+json")], body.to_string())
                .into_response()
        }
        PlantError::NoSuchVersion(_) => Problem::not_found("this version").detail(detail).into_response(),
        PlantError::NotAllowed(_) => Problem::new(StatusCode::FORBIDDEN, "forbidden", "this is not allowed")
            .detail(detail)
            .remedy("ask an administrator to apply this change")
            .into_response(),
        PlantError::Failed(_) => Problem::unavailable(detail).into_response(),
    }
}

/// Who asks, and whether secrets may be sent elsewhere at their word.
fn author(app: &App, caller: &Caller) -> Author {
    Author { who: caller.who.clone(), administers: caller.may(app, Action::Administer, "").is_ok() }
}

/// A dry run: what would change, and what is wrong where.
#[utoipa::path(post, path = "/api/plant/plan", request_body = Documents, responses((status = 200, body = PlanView)))]
pub async fn plan(State(app): State<App>, caller: Caller, Json(body): Json<Documents>) -> Result<Response, Problem> {
    caller.may(&app, Action::Configure, "")?;
    Ok(match app.plant_admin.plan(body.documents, body.prune).await {
        Ok(plan) => Json(plan).into_response(),
        Err(error) => refused(error),
    })
}

/// Applies documents. What decides where a secret goes is for administrators.
#[utoipa::path(post, path = "/api/plant/apply", request_body = Apply, responses((status = 200, body = Version), (status = 403, body = Problem), (status = 409, body = Problem), (status = 422, body = Problem)))]
pub async fn apply(State(app): State<App>, caller: Caller, Json(body): Json<Apply>) -> Result<Response, Problem> {
    caller.may(&app, Action::Configure, "")?;
    asked::reason("reason", body.reason.as_deref())?;
    let by = author(&app, &caller);
    let done = app.plant_admin.apply(body.documents, body.prune, body.expected_version, by, body.reason).await;
    Ok(done.map_or_else(refused, |version| Json(Version { version }).into_response()))
}

/// Lists the versions, newest first.
#[utoipa::path(get, path = "/api/plant/versions", responses((status = 200, body = Versions)))]
pub async fn versions(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.may(&app, Action::Configure, "")?;
    let all = app.plant_admin.versions().await;
    Ok(all.map_or_else(refused, |versions| Json(Versions { versions }).into_response()))
}

/// Goes back to an earlier version by making a new one that equals it.
#[utoipa::path(post, path = "/api/plant/rollback", request_body = RollBack, responses((status = 200, body = Version), (status = 403, body = Problem), (status = 409, body = Problem)))]
pub async fn roll_back(
    State(app): State<App>,
    caller: Caller,
    Json(body): Json<RollBack>,
) -> Result<Response, Problem> {
    caller.may(&app, Action::Configure, "")?;
    asked::reason("reason", body.reason.as_deref())?;
    let by = author(&app, &caller);
    let done = app.plant_admin.roll_back(body.version, body.expected_version, by, body.reason).await;
    Ok(done.map_or_else(refused, |version| Json(Version { version }).into_response()))
}

/// The whole model as one TOML document, secrets by reference only.
#[utoipa::path(get, path = "/api/plant/export", responses((status = 200, content_type = "application/toml", body = String)))]
pub async fn export(State(app): State<App>, caller: Caller) -> Result<Response, Problem> {
    caller.may(&app, Action::Configure, "")?;
    Ok(([(header::CONTENT_TYPE, "application/toml; charset=utf-8")], app.plant_admin.export()).into_response())
}
