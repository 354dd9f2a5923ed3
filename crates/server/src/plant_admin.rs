//! Changing the plant model: documents → one transaction → everything that runs follows.

use crate::adapters::ChecksAndSecrets;
use crate::bridge::Bridges;
use crate::discovery::Discovery;
use crate::erp::config::Link;
use crate::mes::Manufacturing;
use crate::mqtt::{Hooks, set_actuators};
use crate::secrets::{Refused, Secrets};
use crate::sparkplug::Sparkplug;
use crate::trace::Traceability;
use andon_alarms::Engine;
use andon_api::ports::{
    Author, ChangeView, DocumentErrorView, DocumentView, PlanView, PlantAdmin, PlantError, SecretError, SecretKeeper,
    SecretView, VersionView,
};
use andon_broker::Broker;
use andon_bus::Bus;
use andon_connectors::Runner;
use andon_historian::{Compression, Compressions, Historian, Keep, Retentions};
use andon_model::plant::{Interpolation, Plant, TagDef};
use andon_model::{BoxFuture, Clock, TagId};
use andon_store::documents::{self, Document, DocumentError};
use andon_store::{Applied, ApplyError, Change, PlantRepository, Store, StoreError};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// How long the answer waits for the event of a change to be in the records lane.
const RECORDED_WITHIN: Duration = Duration::from_secs(10);
/// How long the answer waits for the event of what people did to be there.
pub const TOLD_WITHIN: Duration = Duration::from_secs(5);
/// The most versions listed.
const VERSIONS: u32 = 1000;

/// Everything that follows the plant model.
pub struct Followers {
    /// The live plant.
    pub bus: Arc<Bus>,
    /// Alarms.
    pub alarms: Arc<Engine>,
    /// The broker, for command messages.
    pub broker: Arc<Broker>,
    /// History, for what is compressed and how long it is kept.
    pub historian: Arc<Historian>,
    /// Topic mappings.
    pub hooks: Arc<Hooks>,
    /// Field connectors.
    pub connectors: Arc<Runner>,
    /// Sparkplug's hosts and edge nodes.
    pub sparkplug: Arc<Sparkplug>,
    /// What devices announce.
    pub discovery: Arc<Discovery>,
    /// Bridges to other brokers.
    pub bridges: Arc<Bridges>,
    /// Manufacturing execution.
    pub mes: Arc<Manufacturing>,
    /// Traceability.
    pub trace: Arc<Traceability>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

impl Followers {
    /// Makes everything follow the model in force.
    pub async fn follow(&self, store: &Store) -> Result<(), StoreError> {
        let (plant, ids) = store.current_plant().await?;
        let plant = Arc::new(plant);
        let former: Vec<_> = self.bus.plant().tags().map(|(id, _)| id).collect();
        self.bus.set_plant(plant.clone(), ids);
        self.alarms.set_plant(&self.bus.plant());
        self.historian.compress(compressions(&self.bus));
        self.historian.keep(retentions(&self.bus));
        self.mes.follow().await?;
        self.trace.follow();
        self.hooks.set_plant(&plant);
        let now: std::collections::HashSet<_> = self.bus.plant().tags().map(|(id, _)| id).collect();
        self.sparkplug.release();
        self.bus.clear_actuators(former.into_iter().filter(|id| !now.contains(id)));
        set_actuators(&self.bus, &self.broker, &self.hooks, &self.clock);
        self.connectors.apply(&plant).await;
        self.sparkplug.apply(&plant).await;
        self.discovery.apply(&plant).await;
        self.bridges.apply(&plant).await;
        Ok(())
    }
}

/// The tags whose history is compressed.
pub fn compressions(bus: &Bus) -> Compressions {
    let rule = |(id, tag): (TagId, &TagDef)| {
        let rule = tag.compress?;
        let every = i64::try_from(rule.at_least_every_ms).unwrap_or(i64::MAX).saturating_mul(1000);
        let stepped = tag.interpolation == Interpolation::Stepped;
        Some((id.0, Compression { deviation: rule.deviation, at_least_every_us: every, stepped }))
    };
    bus.plant().tags().filter_map(rule).collect()
}

/// How long history is kept, of the tags for which the model says it.
pub fn retentions(bus: &Bus) -> Retentions {
    let view = bus.plant();
    let ids: Vec<TagId> = view.tags().map(|(id, _)| id).collect();
    let mut retentions = Retentions::new();
    for kept in view.plant.kept() {
        let keep = match kept.keep_days {
            0 => Keep::ForEver,
            days => Keep::Days(days),
        };
        retentions.extend(kept.tags.iter().filter_map(|at| Some((ids.get(*at)?.0, keep))));
    }
    retentions
}

/// The one way to change the plant model.
///
/// A change runs in a task of its own: whoever asked for it may go, by a closed connection or by a time limit, and everything follows all
/// the same.
#[derive(Clone)]
pub struct Admin {
    store: Store,
    followers: Arc<Followers>,
    secrets: Arc<Secrets>,
    links: Vec<Link>,
    /// The secret that is the password of the records.
    records_secret: Option<String>,
    /// One change at a time is followed.
    turn: Arc<tokio::sync::Mutex<()>>,
}

/// Runs to its end, also when nobody waits for it any more.
pub async fn to_the_end<T, E>(
    change: impl Future<Output = Result<T, E>> + Send + 'static,
    fault: impl FnOnce(String) -> E,
) -> Result<T, E>
where
    T: Send + 'static,
    E: Send + 'static,
{
    // Ends with the change. Where the process ends first, the next start follows what was committed.
    tokio::spawn(change).await.unwrap_or_else(|error| Err(fault(error.to_string())))
}

/// Makes a change to its end ([`to_the_end`]), and waits for the event that tells of it; whether something was done now. Without an event
/// nothing was done that was not done before.
pub async fn to_its_event<T, E>(
    store: &Store,
    change: impl Future<Output = Result<(T, Option<Uuid>), E>> + Send + 'static,
    fault: impl FnOnce(String) -> E,
) -> Result<(T, bool), E>
where
    T: Send + 'static,
    E: From<StoreError> + Send + 'static,
{
    let (done, event) = to_the_end(change, fault).await?;
    if let Some(event) = event {
        store.relay_now(event, TOLD_WITHIN).await?;
    }
    Ok((done, event.is_some()))
}

impl Admin {
    /// An admin over `store`; `links` to an ERP may name secrets as well as connectors do, and so
    /// may the database of the records.
    pub fn new(
        store: Store,
        followers: Followers,
        secrets: Arc<Secrets>,
        links: Vec<Link>,
        records_secret: Option<&str>,
    ) -> Arc<Self> {
        let records_secret = records_secret.map(str::to_owned);
        Arc::new(Self { store, followers: Arc::new(followers), secrets, links, records_secret, turn: Arc::default() })
    }

    /// What names a secret: its kind in words, and its name.
    fn user_of(&self, secret: &str) -> Option<(&'static str, String)> {
        let connector = Bridges::user_of(&self.followers.bus.plant().plant, secret);
        let user = connector.map(|name| ("connector", name)).or_else(|| {
            let link = self.links.iter().find(|link| link.secret() == Some(secret))?;
            Some(("link to the ERP", link.name.clone()))
        });
        user.or_else(|| {
            let is_password = self.records_secret.as_deref() == Some(secret);
            is_password.then(|| ("settings' database", "[records]".to_owned()))
        })
    }

    /// Makes everything follow the model in force; at start.
    pub async fn follow(&self) -> Result<(), StoreError> {
        self.followers.follow(&self.store).await
    }

    #[cfg(test)]
    pub(crate) fn bridge_names(&self) -> Vec<String> {
        self.followers.bridges.reports().into_iter().map(|(name, _)| name).collect()
    }

    /// The present model, and what the documents make of it.
    async fn merged(&self, given: Vec<DocumentView>, prune: bool) -> Result<(Plant, Plant), PlantError> {
        let (base, _) = self.store.current_plant().await.map_err(|e| failed(&e))?;
        // Checking 100,000 tags takes a second: not on the runtime's own threads.
        let checks = ChecksAndSecrets(self.secrets.clone());
        let merged = tokio::task::spawn_blocking(move || {
            let given: Vec<_> = given.into_iter().map(|d| Document { name: d.name, text: d.text }).collect();
            let new = documents::merge(&base, &given, prune, &checks);
            new.map(|new| (base, new))
                .map_err(|errors| PlantError::Invalid(errors.into_iter().map(error_view).collect()))
        });
        merged.await.map_err(|e| PlantError::Failed(e.to_string()))?
    }

    /// In turn.
    async fn done(&self, applied: Applied) -> Result<u64, PlantError> {
        self.follow().await.map_err(|e| failed(&e))?;
        if let Some(event) = applied.event_id
            && !self.store.relay_now(event, RECORDED_WITHIN).await.map_err(|e| failed(&e))?
        {
            tracing::warn!(version = applied.version, "the plant model is changed; its event still waits for the log");
        }
        Ok(applied.version)
    }
}

fn failed(error: &StoreError) -> PlantError {
    PlantError::Failed(error.to_string())
}

fn may_send_secrets(base: &Plant, new: &Plant, by: &Author) -> Result<(), PlantError> {
    let sends = if by.administers { None } else { crate::secrets::sent_elsewhere(base, new) };
    sends.map_or(Ok(()), |connector| Err(PlantError::NotAllowed(connector)))
}

fn refused(error: ApplyError) -> PlantError {
    match error {
        ApplyError::Conflict { current, .. } => PlantError::Conflict { current },
        ApplyError::NoSuchVersion { version } => PlantError::NoSuchVersion(version),
        other => PlantError::Failed(other.to_string()),
    }
}

fn error_view(error: DocumentError) -> DocumentErrorView {
    DocumentErrorView {
        document: error.document,
        line: error.line,
        column: error.column,
        message: error.message,
        remedy: error.remedy,
    }
}

fn change_view(change: Change) -> ChangeView {
    ChangeView { op: change.op.sign().to_string(), kind: change.kind, name: change.name, detail: change.detail }
}

impl PlantAdmin for Admin {
    fn plan(&self, given: Vec<DocumentView>, prune: bool) -> BoxFuture<'_, Result<PlanView, PlantError>> {
        Box::pin(async move {
            match self.merged(given, prune).await {
                Ok((base, new)) => {
                    let changes = documents::plan(&base, &new).into_iter().map(change_view).collect();
                    Ok(PlanView { version: base.version, changes, errors: Vec::new() })
                }
                Err(PlantError::Invalid(errors)) => {
                    Ok(PlanView { version: self.followers.bus.plant().plant.version, changes: Vec::new(), errors })
                }
                Err(other) => Err(other),
            }
        })
    }

    fn apply(
        &self,
        given: Vec<DocumentView>,
        prune: bool,
        expected_version: u64,
        by: Author,
        reason: Option<String>,
    ) -> BoxFuture<'_, Result<u64, PlantError>> {
        Box::pin(async move {
            let own = self.clone();
            let change = async move {
                // Checked in turn, too: a secret that the documents name is there until they are in force.
                let _turn = own.turn.lock().await;
                let (base, new) = own.merged(given, prune).await?;
                if base.version != expected_version {
                    return Err(PlantError::Conflict { current: base.version });
                }
                may_send_secrets(&base, &new, &by)?;
                let applied = own.store.apply_plant(expected_version, new, by.who, reason).await.map_err(refused)?;
                own.done(applied).await
            };
            to_the_end(change, PlantError::Failed).await
        })
    }

    fn versions(&self) -> BoxFuture<'_, Result<Vec<VersionView>, PlantError>> {
        Box::pin(async move {
            let versions = self.store.plant_versions(VERSIONS).await.map_err(|e| failed(&e))?;
            let view = |v: andon_store::PlantVersion| VersionView {
                version: v.version,
                at_ms: v.at.millis(),
                by: Some(v.by.id.to_string()),
                reason: v.reason,
                changes: v.changes.iter().map(ToString::to_string).collect(),
            };
            Ok(versions.into_iter().map(view).collect())
        })
    }

    fn roll_back(
        &self,
        version: u64,
        expected_version: u64,
        by: Author,
        reason: Option<String>,
    ) -> BoxFuture<'_, Result<u64, PlantError>> {
        Box::pin(async move {
            let own = self.clone();
            let change = async move {
                let _turn = own.turn.lock().await;
                let (base, _) = own.store.current_plant().await.map_err(|e| failed(&e))?;
                if base.version != expected_version {
                    return Err(PlantError::Conflict { current: base.version });
                }
                // One that there is not is refused below.
                if let Some(former) = own.store.plant_at_version(version).await.map_err(|e| failed(&e))? {
                    may_send_secrets(&base, &former, &by)?;
                }
                let applied = own.store.rollback(version, expected_version, by.who, reason).await.map_err(refused)?;
                own.done(applied).await
            };
            to_the_end(change, PlantError::Failed).await
        })
    }

    fn export(&self) -> String {
        documents::export(&self.followers.bus.plant().plant)
    }
}

fn not_kept(refused: Refused) -> SecretError {
    match refused {
        Refused::Disk(_) => SecretError::Failed(refused.to_string()),
        Refused::Name | Refused::Value | Refused::TooMany => SecretError::Refused(refused.to_string()),
    }
}

impl SecretKeeper for Admin {
    fn names(&self) -> Vec<SecretView> {
        let view = |name: String| SecretView { used_by: self.user_of(&name).map(|(_, user)| user), name };
        self.secrets.names().into_iter().map(view).collect()
    }

    fn check(&self, name: &str, value: &str) -> Result<(), SecretError> {
        self.secrets.check(name, value).map_err(not_kept)
    }

    fn may_remove(&self, name: &str) -> Result<(), SecretError> {
        if self.secrets.get(name).is_none() {
            return Err(SecretError::Unknown);
        }
        match self.user_of(name) {
            None => Ok(()),
            Some((kind, user)) => Err(SecretError::Used(format!("the {kind} \"{user}\""))),
        }
    }

    fn change(&self, name: String, value: Option<String>) -> BoxFuture<'_, Result<(), SecretError>> {
        Box::pin(async move {
            let own = self.clone();
            let change = async move {
                let _turn = own.turn.lock().await;
                if value.is_none() {
                    // A document may have come to name it since it was asked.
                    own.may_remove(&name)?;
                }
                let secrets = own.secrets.clone();
                let kept = tokio::task::spawn_blocking(move || match value {
                    Some(value) => secrets.set(&name, &value),
                    None => secrets.remove(&name),
                });
                kept.await.map_err(|error| SecretError::Failed(error.to_string()))?.map_err(not_kept)?;
                own.followers.bridges.apply(&own.followers.bus.plant().plant).await;
                Ok(())
            };
            to_the_end(change, SecretError::Failed).await
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::adapters::Checks;
    use andon_model::SystemClock;

    #[test]
    fn history_is_kept_by_the_numbers_of_the_tags_that_have_a_limit() {
        let text = r#"
            equipment = [{ path = "w", level = "site", keep_days = 30 }, { path = "w/a", level = "area", keep_days = 0 }, { path = "x", level = "site" }]
            tag = [{ path = "w/t", type = "double" }, { path = "w/a/t", type = "double" }, { path = "w/a/u", type = "double", keep_days = 7 }, { path = "x/t", type = "double" }]
        "#;
        let document = Document { name: "plant.toml".to_owned(), text: text.to_owned() };
        let plant = documents::parse(&[document], &Checks).expect("a good model");
        let bus = Bus::new(Arc::new(SystemClock));
        // By path: w/a/t, w/a/u, w/t, x/t.
        bus.set_plant(Arc::new(plant), [40, 10, 30, 20].map(TagId).to_vec());
        let expected = [(40, Keep::ForEver), (10, Keep::Days(7)), (30, Keep::Days(30))];
        assert_eq!(retentions(&bus), Retentions::from(expected));
    }
}
