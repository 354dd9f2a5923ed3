//! Vessels in which lots mix: people fill, draw, clean and put right, and look what is in there.

use super::Traceability;
use super::change::{counted, digest, refused, shown};
use super::show::{amount, failed, item_view};
use andon_api::ports::NotDone;
use andon_api::ports::trace::Traced;
use andon_api::ports::vessel::{
    DrawWish, EmptyWish, FillWish, FlowView, InVesselView, IntoWish, LevelWish, VesselContentView, VesselQuery,
    VesselView, Vessels, VesselsView,
};
use andon_bus::ids::new_id;
use andon_mes::master::{self, MasterData};
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_store::orders::OrderRepository;
use andon_store::trace::{
    Change, Disposition, Flowed, ItemKind, ItemName, ItemRef, Mixing, NewDraw, NewEmptying, NewFill, NewItem, NewLevel,
    Step, TraceRefusal, TraceRepository, VESSELS_MAX, Vessel, VesselContent, VesselLevel,
};
use std::collections::BTreeMap;
use uuid::Uuid;

/// So many flows are told with what was changed.
const FLOWS: u32 = 100;

/// What something is drawn into.
struct Into {
    item: ItemRef,
    id: Uuid,
    shown: String,
    /// It is made for the draw.
    made: Option<NewItem>,
    job: Option<Uuid>,
}

impl Traceability {
    /// A vessel of the plant model, or one that was taken out of it: what is in that can still be drawn, put right and poured out.
    async fn vessel_of(&self, path: &str) -> Result<Vessel, NotDone> {
        if let Some(vessel) = vessel_in(&self.parts.mes.master_data(), path) {
            return Ok(vessel);
        }
        let last = self.parts.store.trace_flows(path.to_owned(), None, None, 1).await.map_err(failed)?;
        let Some(last) = last.first() else { return Err(NotDone::Unknown("this vessel".to_owned())) };
        Ok(Vessel { path: path.to_owned(), mixing: last.mixing, capacity: None, material: None })
    }

    /// All vessels, of those that something was told of so many.
    pub(super) async fn all_vessels(&self, most: u32) -> Result<VesselsView, NotDone> {
        let master = self.parts.mes.master_data();
        let told = self.parts.store.trace_vessels(most).await.map_err(failed)?;
        let truncated = told.len() >= usize::try_from(most).unwrap_or(usize::MAX);
        let mut all: BTreeMap<String, Option<VesselLevel>> = BTreeMap::new();
        if !truncated {
            // Else one of which something was told and that is left out would be shown as empty.
            all.extend(master.vessels.keys().map(|path| (path.clone(), None)));
        }
        all.extend(told.into_iter().map(|level| (level.path.clone(), Some(level))));
        let vessels = all.into_iter().map(|(path, level)| self.vessel_view(path, level.as_ref())).collect();
        Ok(VesselsView { vessels, truncated })
    }

    fn vessel_view(&self, path: String, level: Option<&VesselLevel>) -> VesselView {
        let master = self.parts.mes.master_data();
        let declared = master.vessels.get(&path);
        let material = declared.and_then(|vessel| vessel.material.clone());
        let unit = material.as_deref().and_then(|name| master.material(name, None));
        VesselView {
            mixing: declared.map(|vessel| match vessel.mixing {
                master::Mixing::Ideal => "ideal".to_owned(),
                master::Mixing::Plug => "plug".to_owned(),
            }),
            unit: unit.map(|material| material.unit.clone()),
            material,
            capacity: declared.and_then(|vessel| vessel.capacity).map(Quantity::to_f64),
            level: level.map_or(0.0, |level| amount(level.level)),
            lots: level.map_or(0, |level| level.lots),
            changed_ms: level.map(|level| level.at.millis()),
            path,
        }
    }

    async fn content_of(&self, query: VesselQuery) -> Result<VesselContentView, NotDone> {
        let VesselQuery { path, at, before, limit } = query;
        // To the end of the millisecond that is asked for.
        let until = at.map(|at| Timestamp::from_micros(at.micros().saturating_add(999)));
        let found = self.parts.store.trace_vessel(path.clone(), until).await.map_err(failed)?;
        if found.is_none() && !self.parts.mes.master_data().vessels.contains_key(&path) {
            return Err(NotDone::Unknown("this vessel".to_owned()));
        }
        let flows = self.parts.store.trace_flows(path.clone(), until, before, limit + 1).await.map_err(failed)?;
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let more = flows.len() > most;
        let flows: Vec<FlowView> = flows.into_iter().take(most).map(|flow| self.flow_view(flow)).collect();
        let level = found.as_ref().map(|found| &found.level);
        Ok(VesselContentView {
            vessel: self.vessel_view(path, level),
            at_ms: at.map(Timestamp::millis),
            contents: found.as_ref().map(contents).unwrap_or_default(),
            next: flows.last().filter(|_| more).map(|flow| flow.turn),
            flows,
        })
    }

    fn flow_view(&self, flow: Flowed) -> FlowView {
        FlowView {
            turn: flow.turn,
            kind: flow.kind.word().to_owned(),
            at_ms: flow.at.millis(),
            told_ms: flow.told.millis(),
            quantity: amount(flow.quantity),
            level: amount(flow.level),
            item: flow.item.as_ref().map(item_view),
            into: flow.into.as_ref().map(item_view),
            place: flow.place,
            job: flow.job,
            by: flow.by,
            by_name: flow.by.and_then(|by| self.parts.accounts.name_of(by)),
            reason: flow.why,
        }
    }

    /// When it was: now, or at a time that is past. What is told of one millisecond is told apart.
    fn time_of(&self, at: Option<Timestamp>) -> Result<Timestamp, NotDone> {
        let now = self.moment();
        let Some(at) = at else { return Ok(now) };
        if at.millis() > now.millis() {
            return Err(NotDone::Asked("\"at_ms\" is a time that is still to come".to_owned()));
        }
        Ok(Timestamp::from_micros(at.micros().saturating_add(now.micros().rem_euclid(1000))))
    }

    /// Makes a change of a vessel, tells of it there, and says what is in it now.
    async fn flow(&self, vessel: &Vessel, mut change: Change) -> Result<VesselContentView, NotDone> {
        change.event.path.clone_from(&vessel.path);
        self.change_or(change, cannot_flow).await?;
        self.content_of(VesselQuery { path: vessel.path.clone(), at: None, before: None, limit: FLOWS }).await
    }

    async fn filled(&self, path: String, wish: FillWish, by: Principal) -> Result<VesselContentView, NotDone> {
        let vessel = self.vessel_of(&path).await?;
        if !self.parts.mes.master_data().vessels.contains_key(&path) {
            let text = format!("{path} is a vessel no longer: the plant model has taken it out");
            return Err(NotDone::Conflict(
                text,
                "put the [[vessel]] into the plant model again, or fill another".to_owned(),
            ));
        }
        let item = self.item(wish.item).await?;
        let content = digest(&["fill", &path, &format!("{wish:?}")]);
        let quantity = counted(wish.quantity)?;
        let (at, now) = (self.time_of(wish.at)?, wish.at.is_none());
        let detail = format!("{} into {path}", amount(quantity));
        let event = self.change_event(at, &by, "filled", item.id, shown(&item), detail);
        let step = Step::Fill(NewFill {
            vessel: vessel.clone(),
            item: ItemRef::Id(item.id),
            quantity,
            from: wish.from,
            at,
            now,
            job: None,
            by: Some(by.id),
            spare: new_id(&*self.parts.clock),
            even_so: wish.happened,
        });
        self.flow(&vessel, Change::new(wish.key, content, vec![step], event)).await
    }

    async fn drawn(&self, path: String, wish: DrawWish, by: Principal) -> Result<VesselContentView, NotDone> {
        let vessel = self.vessel_of(&path).await?;
        let content = digest(&["draw", &path, &format!("{wish:?}")]);
        let quantity = counted(wish.quantity)?;
        let (at, now) = (self.time_of(wish.at)?, wish.at.is_none());
        let into = self.into(wish.into, at, &by).await?;
        let detail = format!("{} drawn from {path}", amount(quantity));
        let event = self.change_event(at, &by, "drawn", into.id, into.shown, detail);
        // How much a lot is that comes of an order is counted elsewhere, and of what is counted in another unit the quantity says nothing.
        let makes = into.job.is_none() && into.made.as_ref().is_some_and(|made| self.is_of_one_unit(&vessel, made));
        let draw = Step::Draw(NewDraw {
            vessel: vessel.clone(),
            quantity,
            into: into.item,
            position: wish.position,
            place: wish.place,
            at,
            now,
            job: into.job,
            by: Some(by.id),
            spare: new_id(&*self.parts.clock),
            even_so: wish.happened,
            once: false,
            makes,
        });
        let steps = into.made.map(Step::Item).into_iter().chain([draw]).collect();
        self.flow(&vessel, Change::new(wish.key, content, steps, event)).await
    }

    /// Whether what a vessel holds and what is made of it are counted in one unit, as far as the master data says.
    fn is_of_one_unit(&self, vessel: &Vessel, made: &NewItem) -> bool {
        let master = self.parts.mes.master_data();
        let unit_of = |material: &str| master.material(material, None).map(|material| material.unit.clone());
        let held = vessel.material.as_deref().and_then(unit_of);
        held.zip(unit_of(&made.name.material)).is_none_or(|(held, made)| held == made)
    }

    /// What is drawn into. How much a lot is that is made for it shows when it is drawn.
    async fn into(&self, wish: IntoWish, at: Timestamp, by: &Principal) -> Result<Into, NotDone> {
        let (name, revision, job) = match wish {
            IntoWish::Item(id) => {
                let item = self.item(id).await?;
                return Ok(Into { item: ItemRef::Id(id), id, shown: shown(&item), made: None, job: None });
            }
            IntoWish::Lot { material, revision, number } => {
                (ItemName { kind: ItemKind::Lot, material, number }, revision, None)
            }
            IntoWish::Job(job) => {
                let stored = self.parts.store.order_of_job(job).await.map_err(failed)?;
                let order = stored.ok_or_else(|| NotDone::Unknown("this job order".to_owned()))?.order;
                let name = ItemName { kind: ItemKind::Lot, material: order.material, number: order.number };
                (name, order.revision, Some(job))
            }
        };
        let shown = format!("{} {}", name.material, name.number);
        let item = ItemRef::Name(name.clone());
        if let Some(known) = self.parts.store.trace_item(item.clone()).await.map_err(failed)? {
            return Ok(Into { item, id: known.id, shown, made: None, job });
        }
        let made = NewItem {
            id: new_id(&*self.parts.clock),
            name,
            revision,
            quantity: None,
            state: Disposition::Released,
            place: None,
            at,
            job,
            by: Some(by.id),
            told_if_new: None,
        };
        Ok(Into { item, id: made.id, shown, made: Some(made), job })
    }

    async fn emptied(&self, path: String, wish: EmptyWish, by: Principal) -> Result<VesselContentView, NotDone> {
        let vessel = self.vessel_of(&path).await?;
        let content = digest(&["empty", &path, &format!("{wish:?}")]);
        let at = self.moment();
        let event = self.change_event(at, &by, "emptied", Uuid::nil(), path, wish.reason.clone());
        let step =
            Step::Empty(NewEmptying { vessel: vessel.clone(), at, now: true, by: Some(by.id), why: wish.reason });
        self.flow(&vessel, Change::new(wish.key, content, vec![step], event)).await
    }

    async fn levelled(&self, path: String, wish: LevelWish, by: Principal) -> Result<VesselContentView, NotDone> {
        let vessel = self.vessel_of(&path).await?;
        let content = digest(&["level", &path, &format!("{wish:?}")]);
        let level = Quantity::from_f64(wish.level)
            .map_err(|error| NotDone::Refused(error.to_string(), "write a level that can be counted".to_owned()))?;
        let at = self.moment();
        let detail = format!("the level is {}: {}", level.to_f64(), wish.reason);
        let event = self.change_event(at, &by, "level", Uuid::nil(), path, detail);
        let step = Step::Level(NewLevel {
            vessel: vessel.clone(),
            level: level.millionths(),
            at,
            now: true,
            by: Some(by.id),
            why: wish.reason,
            spare: new_id(&*self.parts.clock),
        });
        self.flow(&vessel, Change::new(wish.key, content, vec![step], event)).await
    }
}

/// A vessel of the master data, as the store knows it.
pub(super) fn vessel_in(master: &MasterData, path: &str) -> Option<Vessel> {
    let vessel = master.vessels.get(path)?;
    let mixing = match vessel.mixing {
        master::Mixing::Ideal => Mixing::Ideal,
        master::Mixing::Plug => Mixing::Plug,
    };
    let capacity = vessel.capacity.map(Quantity::millionths);
    Some(Vessel { path: path.to_owned(), mixing, capacity, material: vessel.material.clone() })
}

/// The lots in a vessel, each with its share.
fn contents(found: &VesselContent) -> Vec<InVesselView> {
    let whole = amount(found.level.level);
    let lot = |lot: &andon_store::trace::InVessel| InVesselView {
        item: item_view(&lot.item),
        quantity: amount(lot.quantity),
        share: if whole > 0.0 { amount(lot.quantity) / whole } else { 0.0 },
    };
    found.lots.iter().map(lot).collect()
}

/// Why something cannot flow, and what to do. What has flowed all the same is recorded, if that is said.
fn cannot_flow(refusal: &TraceRefusal) -> NotDone {
    let said = "if it flowed all the same, say \"happened\": true";
    let (text, with) = (refusal.to_string(), |remedy: &str| format!("{remedy}; {said}"));
    match refusal {
        TraceRefusal::Low { .. } => {
            NotDone::Conflict(text, with("look how full it is, and put its level right first"))
        }
        TraceRefusal::Overfull { .. } | TraceRefusal::OtherMaterial { .. } => {
            NotDone::Conflict(text, with("fill in what belongs there, and no more than it holds"))
        }
        TraceRefusal::NotReleased { .. } => {
            NotDone::Conflict(text, with("use another, or have somebody release it"))
        }
        TraceRefusal::NotThere { .. } | TraceRefusal::Placed { .. } | TraceRefusal::Packed { .. } => {
            NotDone::Conflict(text, with("look what lies where (GET /api/mes/stock), and move or unpack it first"))
        }
        TraceRefusal::Short { .. } => NotDone::Refused(text, with("look what was used of it")),
        TraceRefusal::Wide { .. } => NotDone::Refused(text, with("look by hand that it is not made of itself")),
        TraceRefusal::Circle { .. } => NotDone::Refused(
            text,
            "look which of these was said wrongly; what is drawn goes into a lot of a number of its own".to_owned(),
        ),
        TraceRefusal::Differs { .. } => NotDone::Conflict(
            text,
            "look which of the two is right; another flow has a time of its own (\"at_ms\"), another lot a number of its own".to_owned(),
        ),
        other => refused(other),
    }
}

impl Vessels for Traceability {
    fn all(&self) -> Traced<'_, VesselsView> {
        Box::pin(self.all_vessels(VESSELS_MAX))
    }

    fn vessel(&self, query: VesselQuery) -> Traced<'_, VesselContentView> {
        Box::pin(self.content_of(query))
    }

    fn fill(&self, path: String, wish: FillWish, by: Principal) -> Traced<'_, VesselContentView> {
        Box::pin(self.filled(path, wish, by))
    }

    fn draw(&self, path: String, wish: DrawWish, by: Principal) -> Traced<'_, VesselContentView> {
        Box::pin(self.drawn(path, wish, by))
    }

    fn empty(&self, path: String, wish: EmptyWish, by: Principal) -> Traced<'_, VesselContentView> {
        Box::pin(self.emptied(path, wish, by))
    }

    fn level(&self, path: String, wish: LevelWish, by: Principal) -> Traced<'_, VesselContentView> {
        Box::pin(self.levelled(path, wish, by))
    }
}
