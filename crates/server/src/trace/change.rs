//! What people change: receipts, decisions, certificates made anew, credentials of units.

use super::Traceability;
use super::certify::Fault;
use super::show::{amount, disposition, failed};
use super::steps::{remedy, tells_of};
use andon_access::NewDevice;
use andon_access::accounts::AccountError;
use andon_api::ports::NotDone;
use andon_api::ports::trace::{DecisionWish, LotView, ReceiptWish, UnitCredential, UnitView};
use andon_bus::ids::new_id;
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_model::error::causes;
use andon_model::event::{Event, TraceChange, What};
use andon_store::StoreError;
use andon_store::trace::{
    Change, Disposition, Identity, Item, ItemKind, ItemName, ItemRef, NewItem, NewState, Report, Step, Tell,
    TraceRefusal, TraceRepository,
};
use sha2::Digest as _;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;
use uuid::Uuid;

/// How long the answer waits for the event to be in the records lane.
const RECORDED_WITHIN: Duration = Duration::from_secs(5);

impl Traceability {
    /// A lot comes. Known already, it is added what was not known of it.
    pub(super) async fn received(&self, wish: ReceiptWish, by: Principal) -> Result<LotView, NotDone> {
        let content = digest(&["receipt", &format!("{wish:?}")]);
        let ReceiptWish { key, material, revision, number, quantity, place, state } = wish;
        let now = self.moment();
        let name = ItemName { kind: ItemKind::Lot, material, number };
        let counted = counted(quantity)?;
        let state = disposition(&state).unwrap_or(Disposition::Quarantine);
        let shown = format!("{} {}", name.material, name.number);
        let whereto = place.as_deref().map(|place| format!(", at {place}")).unwrap_or_default();
        let detail = format!("{} received, {}{whereto}", amount(counted), state.word());
        // One that was used before it came has an id already.
        let known = self.parts.store.trace_item(ItemRef::Name(name.clone())).await.map_err(failed)?;
        let id = known.map_or_else(|| new_id(&*self.parts.clock), |item| item.id);
        let step = Step::Item(NewItem {
            id,
            name: name.clone(),
            revision,
            quantity: Some(counted),
            state,
            place: place.clone(),
            at: now,
            job: None,
            by: Some(by.id),
            told_if_new: None,
        });
        let event = self.change_event(now, &by, "received", id, shown, detail);
        self.change(Change::new(key, content, vec![step], event)).await?;
        let item = self.parts.store.trace_item(ItemRef::Name(name)).await.map_err(failed)?;
        let item = item.ok_or_else(|| NotDone::Failed("the lot is not in the records".to_owned()))?;
        self.lot_view(item.id).await
    }

    /// Somebody decides what may be done with an item.
    pub(super) async fn decided(&self, id: Uuid, wish: DecisionWish, by: Principal) -> Result<LotView, NotDone> {
        let item = self.item(id).await?;
        let content = digest(&["decision", &id.to_string(), &wish.state, &wish.reason]);
        let state = disposition(&wish.state).ok_or_else(|| {
            NotDone::Refused(format!("{} is no state", wish.state), "write Released or Hold".to_owned())
        })?;
        let now = self.moment();
        let step =
            Step::State(NewState { item: ItemRef::Id(id), state, at: now, by: Some(by.id), why: wish.reason.clone() });
        let detail = format!("{} → {}: {}", item.state.word(), state.word(), wish.reason);
        let event = self.change_event(now, &by, "state", id, shown(&item), detail);
        self.change(Change::new(wish.key, content, vec![step], event)).await?;
        self.lot_view(id).await
    }

    pub(super) async fn change(&self, change: Change) -> Result<Report, NotDone> {
        self.change_or(change, refused).await
    }

    /// Makes a change, and tells of what it finds. Why it cannot be is said in these words.
    pub(super) async fn change_or(
        &self,
        change: Change,
        refused: fn(&TraceRefusal) -> NotDone,
    ) -> Result<Report, NotDone> {
        let event = change.event.id;
        let change = Change { tell: Some(self.tell_of(&change.event)), ..change };
        let report = self.parts.store.trace_change(change).await.map_err(|error| match error {
            StoreError::Refused(refusal) => refused(&refusal),
            other => failed(other),
        })?;
        if report.changed > 0 {
            self.parts.store.relay_now(event, RECORDED_WITHIN).await.map_err(failed)?;
        }
        Ok(report)
    }

    /// What people are to hear of what is found with a change: who made it, where, and what to do.
    fn tell_of(&self, event: &Event) -> Arc<Tell> {
        let (clock, event) = (self.parts.clock.clone(), event.clone());
        Arc::new(move |_, found| {
            let shown = match &event.what {
                What::Trace(change) => change.shown.clone(),
                _ => String::new(),
            };
            tells_of(found, remedy_of(&found.what), &*clock, event.path.clone(), event.by.clone(), shown)
        })
    }

    /// The time of a change, later than that of every change before: what is said twice of one time is taken for one.
    pub(super) fn moment(&self) -> Timestamp {
        let now = self.parts.clock.now().micros();
        let next = |last: i64| now.max(last.saturating_add(1));
        let last = self.changed_at.fetch_update(Ordering::Relaxed, Ordering::Relaxed, |last| Some(next(last)));
        Timestamp::from_micros(next(last.unwrap_or(now)))
    }

    /// What all stations stand under: whoever sees all of that hears of lots.
    fn branch(&self) -> String {
        let state = self.state();
        let mut paths = state.follower.stations().keys().map(|path| path.split('/').collect::<Vec<_>>());
        let Some(mut common) = paths.next() else { return String::new() };
        for path in paths {
            let same = common.iter().zip(&path).take_while(|(a, b)| a == b).count();
            common.truncate(same);
        }
        common.join("/")
    }

    pub(super) fn change_event(
        &self,
        at: Timestamp,
        by: &Principal,
        action: &str,
        item: Uuid,
        shown: String,
        detail: String,
    ) -> Event {
        let what = TraceChange { action: action.to_owned(), item, shown, detail: Some(detail) };
        let id = new_id(&*self.parts.clock);
        Event { id, at, source_at: None, path: self.branch(), by: by.clone(), what: What::Trace(what) }
    }

    /// Makes the certificate of a finished unit of what stands recorded now.
    pub(super) async fn certified_anew(&self, id: Uuid, by: Principal) -> Result<UnitView, NotDone> {
        self.item(id).await?;
        let finished = self.parts.store.trace_finished(id).await.map_err(failed)?.ok_or_else(|| {
            NotDone::Conflict(
                "the unit is not finished".to_owned(),
                "its certificate is made when it passes a station with `last = true`".to_owned(),
            )
        })?;
        match self.certify(&finished, true, &by).await {
            Ok(()) => self.unit_view(id).await,
            Err(Fault::NotPossible(why)) => {
                Err(NotDone::Refused(why, "put that right, then ask for the certificate again".to_owned()))
            }
            Err(Fault::Failed(why)) => Err(NotDone::Failed(why)),
        }
    }

    /// Gives a unit the credential to connect with. A kill between the account and the note of it leaves an account whose password nobody
    /// was told; asked again, it is renewed and told.
    pub(super) async fn identified(&self, id: Uuid, by: Principal) -> Result<UnitCredential, NotDone> {
        let item = self.item(id).await?;
        if item.name.kind != ItemKind::Unit {
            return Err(NotDone::Unknown("this serial unit".to_owned()));
        }
        // One at a time, so that the second of two is told that it was given.
        let _turn = self.turn.lock().await;
        let given = || {
            NotDone::Conflict(
                "the unit was given its credential before; it is told once".to_owned(),
                format!("make a new password for the device {id} among the devices, if the first one is lost"),
            )
        };
        if self.parts.store.trace_identity(id).await.map_err(failed)?.is_some() {
            return Err(given());
        }
        let user = id.to_string();
        let topics = format!("units/{id}/#");
        let wanted = NewDevice {
            user: user.clone(),
            client_id: Some(user.clone()),
            publish: vec![topics.clone()],
            subscribe: vec![topics.clone()],
            ..NewDevice::default()
        };
        let made = self.parts.accounts.create_device(&by, wanted).await;
        let (device, secret) = made.map_err(|error: AccountError| NotDone::Failed(causes(&error)))?;
        let now = self.parts.clock.now();
        let identity = Identity { device, at: now, by: Some(by.id) };
        let detail = "its credential was given out".to_owned();
        let event = self.change_event(now, &by, "identity", id, shown(&item), detail);
        let event_id = event.id;
        if !self.parts.store.trace_identify(id, identity, event).await.map_err(failed)? {
            return Err(given());
        }
        self.parts.store.relay_now(event_id, RECORDED_WITHIN).await.map_err(failed)?;
        Ok(UnitCredential { device, user, password: secret.reveal().to_owned(), topics })
    }
}

pub(super) fn shown(item: &Item) -> String {
    format!("{} {}", item.name.material, item.name.number)
}

/// A digest of what was asked for.
pub(super) fn digest(words: &[&str]) -> [u8; 32] {
    let mut digest = sha2::Sha256::new();
    for word in words {
        digest.update((word.len() as u64).to_be_bytes());
        digest.update(word.as_bytes());
    }
    digest.finalize().into()
}

/// A quantity in millionths.
pub(super) fn counted(quantity: f64) -> Result<i64, NotDone> {
    let uncountable = |text: String| NotDone::Refused(text, "write a quantity that can be counted".to_owned());
    let counted = Quantity::from_f64(quantity).map_err(|error| uncountable(error.to_string()))?;
    if counted == Quantity::ZERO {
        return Err(uncountable("less than a millionth is nothing".to_owned()));
    }
    Ok(counted.millionths())
}

/// What is to be done about a finding of what people have done.
fn remedy_of(what: &str) -> &'static str {
    match what {
        "not_released" => "; decide about the lot, and about what it went into",
        "not_there" => "; look where it lies, and put the places right",
        "overfull" | "other_material" => "; look what is in the vessel: put its level right, or empty and clean it",
        other => remedy(other),
    }
}

pub(super) fn refused(refusal: &TraceRefusal) -> NotDone {
    let text = refusal.to_string();
    match refusal {
        TraceRefusal::Differs { .. } => NotDone::Conflict(
            text,
            "look whether it is the same lot; another delivery of it gets a lot number of its own".to_owned(),
        ),
        TraceRefusal::OtherChange => NotDone::Conflict(text, "send it with a new key".to_owned()),
        TraceRefusal::Nothing => {
            NotDone::Conflict(text, "look at what flowed; if it is another one, give it another time".to_owned())
        }
        TraceRefusal::Elsewhere { .. } => NotDone::Conflict(
            text,
            "move it (POST /api/mes/lots/{id}/move); if it is another one, give it a number of its own".to_owned(),
        ),
        TraceRefusal::Unknown { item } => NotDone::Unknown(item.clone()),
        TraceRefusal::NotThere { .. } | TraceRefusal::Placed { .. } => NotDone::Conflict(
            text,
            "look what lies where (GET /api/mes/stock), and move first what lies elsewhere".to_owned(),
        ),
        TraceRefusal::Packed { .. } => {
            NotDone::Conflict(text, "move the container, or take out what is needed first".to_owned())
        }
        TraceRefusal::NotPacked { .. } => {
            NotDone::Conflict(text, "look what lies in the container as it is now".to_owned())
        }
        TraceRefusal::BuiltIn { .. } => {
            NotDone::Conflict(text, "take it out there first, or move the container".to_owned())
        }
        TraceRefusal::InVessel { place } => {
            let path = format!("POST /api/mes/vessels/{}", place.replace('/', "%2F"));
            NotDone::Conflict(
                text,
                format!(
                    "draw what is in it ({path}/draw) or empty it ({path}/empty); what comes is filled in ({path}/fill), or goes to another \
                     place if the plant model has the vessel no longer"
                ),
            )
        }
        TraceRefusal::NotReleased { .. } => {
            NotDone::Conflict(text, "use another, or have somebody release it".to_owned())
        }
        _ => NotDone::Refused(text, "put that right and send it again".to_owned()),
    }
}
