//! Vessels in which lots mix: what comes in, what is drawn, and what is put right.
//!
//! What is in a vessel is its stock as of any place, and its content beside that, in the order of the flows that made it. What is drawn are
//! edges as of any use, so that what follows them needs to know nothing of vessels. Lots are made here for what no lot was told of: traces
//! of many lots, and what was found in a vessel beyond what was counted.
//!
//! # Told late
//! Flows count in the order in which they are told. A fill that is told late is in the vessel from then on; what was drawn meanwhile gets an
//! edge of it without a quantity, for nobody knows how much it holds. A draw that is told late takes of what is there, and gets such an edge
//! of what was in there at its time and is no longer.

use super::circle::{Found, way_back};
use super::fit::unfit;
use super::row::{Row, find, kind_number, names, rows};
use super::write::{Outcome, Writing, allowed, both};
use crate::error::StoreError;
use crate::sql::sql;
use crate::tables::{from_json, to_json};
use crate::trace::vessel::{Content, Flow, Part, divided};
use crate::trace::{
    CIRCLE_MAX, Disposition, FlowKind, ItemKind, ItemRef, LAYERS_MAX, Mixing, NewDraw, NewEdge, NewEmptying, NewFill,
    NewLevel, NewMove, TraceRefusal, Vessel, amount,
};
use andon_model::Timestamp;
use std::collections::{BTreeMap, BTreeSet, HashMap};
use uuid::Uuid;

/// What is in a vessel is kept with every so many-th flow, so that what was in it at a time is found from there.
pub(super) const KEPT_EVERY: i64 = 64;
/// The most draws between a fill and when it is told.
const LATE_MAX: usize = 1_000;
/// So much that is missing in a place is put right at a time.
const BALANCED_AT_A_TIME: usize = 500;
/// The material of what was in a vessel of which nobody knows anything.
const UNKNOWN: &str = "unknown";
/// The longest part of a vessel's path in the number of a lot that is made for it, in bytes.
const LEAF: usize = 64;

/// A vessel on the way through a step.
pub(super) struct Held {
    pub(super) word: i64,
    pub(super) turn: i64,
    /// When something flowed last.
    pub(super) at: i64,
    pub(super) content: Content,
    /// What lay in the place before it became a vessel; it is filled in with the first step.
    adopted: Option<Vec<Part>>,
}

impl Held {
    /// When something is said to flow. A clock that was set back holds nobody up who says what is so now.
    fn when(&self, at: Timestamp, now: bool) -> Timestamp {
        if now { Timestamp::from_micros(at.micros().max(self.at.saturating_add(1))) } else { at }
    }
}

/// What is said with a flow.
#[derive(Clone, Copy, Default)]
struct Said<'s> {
    place: i64,
    job: Option<i64>,
    by: Option<i64>,
    why: &'s str,
}

/// Ids of lots that have to be made, counted from one that was handed in.
struct Spare {
    from: Uuid,
    given: u128,
}

impl Spare {
    fn next(&mut self) -> Uuid {
        self.given += 1;
        Uuid::from_u128(self.from.as_u128() ^ self.given)
    }
}

impl Writing<'_, '_> {
    /// Whether a place is a vessel.
    pub(super) async fn is_vessel(&mut self, place: i64) -> Result<bool, StoreError> {
        if self.vessels.is_none() {
            let all: Vec<i64> =
                sql("SELECT vessel FROM trace_vessel").rows(self.tx, "look which places are vessels").await?;
            self.vessels = Some(all.into_iter().collect::<BTreeSet<_>>());
        }
        Ok(self.vessels.as_ref().is_some_and(|vessels| vessels.contains(&place)))
    }

    /// Refuses what would lie in a vessel or come from there without flowing.
    pub(super) async fn no_vessel(&mut self, place: &str) -> Outcome {
        match self.words.known(self.tx, place).await? {
            Some(word) if self.is_vessel(word).await? => Ok(Err(TraceRefusal::InVessel { place: place.to_owned() })),
            _ => Ok(Ok(())),
        }
    }

    pub(super) async fn fill(&mut self, new: &NewFill) -> Outcome {
        let mut held = allowed!(self.held(&new.vessel).await?);
        let new = &NewFill { at: held.when(new.at, new.now), ..new.clone() };
        let item = allowed!(self.known(&new.item).await?);
        let (told, quantity) = (new.at.micros(), new.quantity);
        if item.kind().is_whole() {
            return Ok(Err(unfit("fill", "only lots are filled into a vessel")));
        }
        if let Some(kept) = self.flow_said(held.word, told, FlowKind::Fill, item.key).await? {
            return self.same_flow(&new.vessel, kept, quantity);
        }
        let from = self.words.number(self.tx, new.from.as_deref().unwrap_or_default()).await?;
        if from == held.word || self.is_vessel(from).await? {
            let place = new.from.clone().unwrap_or_default();
            return Ok(Err(TraceRefusal::InVessel { place }));
        }
        let mut findings = Vec::new();
        for refusal in self.unfillable(new, &held, &item, from).await? {
            if !new.even_so {
                return Ok(Err(refusal));
            }
            findings.push(refusal);
        }
        if held.content.is_full() {
            let reason = format!("{LAYERS_MAX} lots are in it; empty it before another comes");
            return Ok(Err(TraceRefusal::Unfit { what: "vessel", reason }));
        }
        let lies = self.lies(item.key, held.word).await?;
        if held.content.level().checked_add(quantity).is_none() || lies.checked_add(quantity).is_none() {
            return Ok(Err(unfit("quantity", "the sum of what is in the vessel is beyond what can be counted")));
        }
        let late = allowed!(self.drawn_since(&held, &item, told).await?);
        self.start(&mut held, told).await?;
        let by = self.id_word(new.by).await?;
        let job = self.id_word(new.job).await?;
        self.insert_move(item.key, told, [from, held.word], quantity, by).await?;
        for (into, at) in late {
            let edge = edge_of(&new.vessel, &item, &into, 0, Timestamp::from_micros(at), new.job, new.by);
            self.put(&edge, &item, &into, 0, 0).await?;
        }
        let flow = Flow { kind: FlowKind::Fill, mixing: new.vessel.mixing, item: item.key, into: 0, quantity, told };
        self.flowed(&mut held, &flow, Said { place: from, job, by, why: "" }).await?;
        self.fade(&mut held, &new.vessel, &mut Spare { from: new.spare, given: 0 }).await?;
        self.keep(&held).await?;
        self.tell(findings, told, [item.key, 0]).await?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    /// What speaks against a fill.
    async fn unfillable(
        &mut self,
        new: &NewFill,
        held: &Held,
        item: &Row,
        from: i64,
    ) -> Result<Vec<TraceRefusal>, StoreError> {
        let mut all = Vec::new();
        let (vessel, name) = (new.vessel.path.clone(), self.name(item).await?);
        if let Some(material) = new.vessel.material.clone().filter(|material| *material != name.material) {
            all.push(TraceRefusal::OtherMaterial { vessel: vessel.clone(), material, item: name.clone() });
        }
        let state = self.state_at(item, new.at.micros()).await?;
        if state != Disposition::Released {
            all.push(TraceRefusal::NotReleased { item: name, state });
        }
        let there_is = held.content.level();
        if let Some(capacity) = new.vessel.capacity.filter(|capacity| there_is.saturating_add(new.quantity) > *capacity)
        {
            all.push(TraceRefusal::Overfull { vessel: vessel.clone(), capacity, there_is, wanted: new.quantity });
        }
        let moved = NewMove {
            item: new.item.clone(),
            quantity: new.quantity,
            from: new.from.clone(),
            to: Some(vessel),
            at: new.at,
            by: new.by,
            even_so: new.even_so,
        };
        all.extend(self.not_loose(&moved, item, from).await?);
        Ok(all)
    }

    /// What was drawn from the vessel since a fill that is told late, and when.
    async fn drawn_since(
        &mut self,
        held: &Held,
        item: &Row,
        told: i64,
    ) -> Result<Result<Vec<(Row, i64)>, TraceRefusal>, StoreError> {
        if told >= held.at {
            return Ok(Ok(Vec::new()));
        }
        let found: Vec<(i64, i64)> =
            sql("SELECT DISTINCT into_key, told FROM trace_flow WHERE vessel = $1 AND told >= $2 \
             AND kind = 1 AND into_key <> 0 ORDER BY told, into_key LIMIT $3")
            .bind(held.word)
            .bind(told)
            .bind(LATE_MAX + 1)
            .rows(self.tx, "look what was drawn since")
            .await?;
        if found.len() > LATE_MAX {
            let reason = format!("more than {LATE_MAX} draws were told since; fill it in with a later time");
            return Ok(Err(TraceRefusal::Unfit { what: "time", reason }));
        }
        let known = self.by_key(found.iter().map(|(into, _)| *into)).await?;
        let mut late = Vec::new();
        for (key, at) in found {
            let Some(into) = known.get(&key) else { continue };
            if self.recorded_edge(item, into, at, 0).await?.is_some() {
                continue;
            }
            if let Some(refusal) = self.circle(item, into, at).await? {
                return Ok(Err(refusal));
            }
            late.push((into.clone(), at));
        }
        Ok(Ok(late))
    }

    pub(super) async fn draw(&mut self, new: &NewDraw) -> Outcome {
        let mut held = allowed!(self.held(&new.vessel).await?);
        let new = &NewDraw { at: held.when(new.at, new.now), ..new.clone() };
        let into = allowed!(self.known(&new.into).await?);
        let (told, quantity) = (new.at.micros(), new.quantity);
        if into.kind() == ItemKind::Container {
            return Ok(Err(unfit("draw", "it goes into a lot or a unit; pack that into the container")));
        }
        if let Some(kept) = self.flow_said(held.word, told, FlowKind::Draw, into.key).await? {
            return self.same_flow(&new.vessel, kept, quantity);
        }
        let position = self.words.number(self.tx, &new.position).await?;
        let place = self.words.number(self.tx, new.place.as_deref().unwrap_or_default()).await?;
        if new.once && self.was_drawn(held.word, into.key, place).await? {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        // What goes into a unit lies nowhere by itself.
        if !into.kind().is_whole() && (place == held.word || self.is_vessel(place).await?) {
            let place = new.place.clone().unwrap_or_default();
            return Ok(Err(TraceRefusal::InVessel { place }));
        }
        let missing = quantity.saturating_sub(held.content.level()).max(0);
        let mut findings = Vec::new();
        if missing > 0 {
            let (vessel, there_is) = (new.vessel.path.clone(), held.content.level());
            let refusal = TraceRefusal::Low { vessel, there_is, wanted: quantity };
            if !new.even_so {
                return Ok(Err(refusal));
            }
            findings.push((held.word, refusal));
        }
        let mut parts = held.content.drawn(quantity, new.vessel.mixing);
        self.add_gone(&held, told, &mut parts).await?;
        findings.extend(allowed!(self.undrawable(new, &into, position, &parts).await?));
        if into.received.checked_add(quantity).is_none() {
            return Ok(Err(unfit("quantity", "the sum of what came to it is beyond what can be counted")));
        }
        self.start(&mut held, told).await?;
        let by = self.id_word(new.by).await?;
        let job = self.id_word(new.job).await?;
        let mut spare = Spare { from: new.spare, given: 0 };
        if missing > 0 {
            let found =
                Surplus { material: new.vessel.material.clone(), at: told, by, why: "more was drawn than was in it" };
            let otherwise =
                if into.kind().is_whole() { self.words.number(self.tx, UNKNOWN).await? } else { into.material };
            self.surplus(&mut held, &new.vessel, missing, otherwise, &found, &mut spare).await?;
            parts = held.content.drawn(quantity, new.vessel.mixing);
            self.add_gone(&held, told, &mut parts).await?;
        }
        let came = self.give(new, &held, &into, position, &parts).await?;
        if new.makes && into.made.is_none() && into.ins == 0 {
            self.is_made_of(into.key, quantity - came).await?;
        }
        if came > 0 {
            // What is drawn into a lot of the same material does not stay in the vessel.
            self.insert_move(into.key, told, [held.word, place], came, by).await?;
        }
        let flow = Flow { kind: FlowKind::Draw, mixing: new.vessel.mixing, item: 0, into: into.key, quantity, told };
        self.flowed(&mut held, &flow, Said { place, job, by, why: "" }).await?;
        self.fade(&mut held, &new.vessel, &mut spare).await?;
        self.keep(&held).await?;
        for (from, refusal) in findings {
            let about = if matches!(refusal, TraceRefusal::Low { .. }) { [into.key, 0] } else { [from, into.key] };
            self.tell(vec![refusal], told, about).await?;
        }
        self.report.changed += 1;
        Ok(Ok(()))
    }

    /// Adds what was in the vessel at the time of a draw that is told late, and is no longer.
    async fn add_gone(&mut self, held: &Held, told: i64, parts: &mut Vec<Part>) -> Result<(), StoreError> {
        if told >= held.at {
            return Ok(());
        }
        let then = super::vessel_read::content_at(self.tx, held.word, told).await?;
        let known: BTreeSet<i64> = parts.iter().map(|(item, _)| *item).collect();
        let gone = then.map(|then| then.content.lots()).unwrap_or_default().into_iter();
        parts.extend(gone.filter(|(item, _)| !known.contains(item)).map(|(item, _)| (item, 0)));
        Ok(())
    }

    /// Looks at all that is to be drawn before anything is written: what cannot be at all, and what is told as findings.
    async fn undrawable(
        &mut self,
        new: &NewDraw,
        into: &Row,
        position: i64,
        parts: &[Part],
    ) -> Result<Result<Vec<(i64, TraceRefusal)>, TraceRefusal>, StoreError> {
        let mut findings = Vec::new();
        let known = self.by_key(parts.iter().map(|(item, _)| *item)).await?;
        for (key, part) in parts {
            let Some(item) = known.get(key) else { continue };
            let edge = edge_of(&new.vessel, item, into, *part, new.at, new.job, new.by);
            if let Some((kept, _)) = self.recorded_edge(item, into, new.at.micros(), position).await? {
                let [from, to] = both(names(self.tx, &[item.key, into.key]).await?)?;
                let what = format!("that {from} went into {to}");
                return Ok(Err(TraceRefusal::Differs { what, recorded: amount(kept), said: amount(*part) }));
            }
            if item.consumed.checked_add(*part).is_none() {
                return Ok(Err(unfit("quantity", "the sum of all that was used is beyond what can be counted")));
            }
            if let Some(refusal) = self.circle(item, into, new.at.micros()).await? {
                if !(new.even_so && matches!(refusal, TraceRefusal::Wide { .. })) {
                    return Ok(Err(refusal));
                }
                findings.push((item.key, refusal));
            }
            let speaks = [self.not_released(&edge, item, into).await?, self.short(&edge, item, true).await?];
            for refusal in speaks.into_iter().flatten() {
                if !new.even_so {
                    return Ok(Err(refusal));
                }
                findings.push((item.key, refusal));
            }
        }
        Ok(Ok(findings))
    }

    /// Why something cannot go into something: it would end in itself, or it is too much to be sure of.
    pub(super) async fn circle(&mut self, from: &Row, to: &Row, at: i64) -> Result<Option<TraceRefusal>, StoreError> {
        Ok(match way_back(self.tx, from.key, to.key, at).await? {
            Found::Nothing => None,
            Found::Way(way) => {
                let keys: Vec<i64> = std::iter::once(from.key).chain(way).collect();
                Some(TraceRefusal::Circle { path: names(self.tx, &keys).await? })
            }
            Found::TooMuch => Some(TraceRefusal::Wide { item: self.name(from).await?, max: CIRCLE_MAX }),
        })
    }

    /// Whether something was drawn from a vessel into an item, at that place or nobody has said where.
    async fn was_drawn(&mut self, vessel: i64, into: i64, place: i64) -> Result<bool, StoreError> {
        let found: Option<i64> = sql(
            "SELECT turn FROM trace_flow WHERE into_key = $1 AND vessel = $2 AND kind = $3 AND (place = 0 OR place = $4) LIMIT 1",
        )
        .bind(into)
        .bind(vessel)
        .bind(flow_number(FlowKind::Draw))
        .bind(place)
        .first(self.tx, "look what was drawn into something")
        .await?;
        Ok(found.is_some())
    }

    /// Lets each part go into what it is drawn into; returns how much of that is more of the same.
    async fn give(
        &mut self,
        new: &NewDraw,
        held: &Held,
        into: &Row,
        position: i64,
        parts: &[Part],
    ) -> Result<i64, StoreError> {
        let known = self.by_key(parts.iter().map(|(item, _)| *item)).await?;
        let mut came = 0;
        for (key, part) in parts {
            let Some(item) = known.get(key) else { continue };
            let edge = edge_of(&new.vessel, item, into, *part, new.at, new.job, new.by);
            came += if edge.adds { *part } else { 0 };
            self.put(&edge, item, into, position, if *part > 0 { held.word } else { 0 }).await?;
        }
        Ok(came)
    }

    /// A new lot is so much to begin with.
    async fn is_made_of(&mut self, key: i64, made: i64) -> Result<(), StoreError> {
        sql("UPDATE trace_item SET made = $1 WHERE key = $2")
            .bind(made)
            .bind(key)
            .run(self.tx, "record how much a lot is")
            .await?;
        Ok(())
    }

    /// Records an edge that was looked at, with the sums.
    async fn put(&mut self, edge: &NewEdge, from: &Row, to: &Row, position: i64, place: i64) -> Result<(), StoreError> {
        self.insert_edge(edge, from, to, position, place).await?;
        self.sums(from.key, edge.quantity, 0, [0, 1]).await?;
        self.sums(to.key, 0, if edge.adds { edge.quantity } else { 0 }, [1, 0]).await?;
        self.shift(from.key, to.key, place, -edge.quantity, edge.adds).await
    }

    pub(super) async fn empty(&mut self, new: &NewEmptying) -> Outcome {
        let mut held = allowed!(self.held(&new.vessel).await?);
        let told = held.when(new.at, new.now).micros();
        if self.flow_said(held.word, told, FlowKind::Empty, 0).await?.is_some() {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        allowed!(not_late(&held, told));
        self.start(&mut held, told).await?;
        let (by, quantity) = (self.id_word(new.by).await?, held.content.level());
        let flow = Flow { kind: FlowKind::Empty, mixing: new.vessel.mixing, item: 0, into: 0, quantity, told };
        let parts = self.flowed(&mut held, &flow, Said { by, why: &new.why, ..Said::default() }).await?;
        self.pour_out(&held, &parts, told, by).await?;
        self.keep(&held).await?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    pub(super) async fn level(&mut self, new: &NewLevel) -> Outcome {
        let mut held = allowed!(self.held(&new.vessel).await?);
        let told = held.when(new.at, new.now).micros();
        let there_is = held.content.level();
        if new.level == there_is {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        allowed!(not_late(&held, told));
        if let Some(capacity) = new.vessel.capacity.filter(|capacity| new.level > (*capacity).max(there_is)) {
            let reason = format!(
                "{} holds no more than {}: read it again, or put `capacity` right",
                new.vessel.path,
                amount(capacity)
            );
            return Ok(Err(unfit("level", &reason)));
        }
        let word = match &new.vessel.material {
            Some(material) => self.words.number(self.tx, material).await?,
            None => 0,
        };
        if new.level > there_is && word == 0 && held.content.origins().is_empty() {
            let reason = "nothing was ever in it, so nobody knows what it is: fill a lot in";
            return Ok(Err(unfit("level", reason)));
        }
        self.start(&mut held, told).await?;
        let by = self.id_word(new.by).await?;
        let mut spare = Spare { from: new.spare, given: 0 };
        if new.level > there_is {
            let found = Surplus { material: new.vessel.material.clone(), at: told, by, why: &new.why };
            self.surplus(&mut held, &new.vessel, new.level - there_is, word, &found, &mut spare).await?;
        } else {
            let quantity = there_is - new.level;
            let flow = Flow { kind: FlowKind::Loss, mixing: new.vessel.mixing, item: 0, into: 0, quantity, told };
            let parts = self.flowed(&mut held, &flow, Said { by, why: &new.why, ..Said::default() }).await?;
            self.pour_out(&held, &parts, told, by).await?;
        }
        self.fade(&mut held, &new.vessel, &mut spare).await?;
        self.keep(&held).await?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    async fn pour_out(&mut self, held: &Held, parts: &[Part], at: i64, by: Option<i64>) -> Result<(), StoreError> {
        for (item, part) in parts.iter().filter(|(_, part)| *part > 0) {
            self.insert_move(*item, at, [held.word, 0], *part, by).await?;
        }
        Ok(())
    }

    /// What is found in a vessel beyond what was counted is a lot of its own, for each material in there by its proportion. All of that
    /// material that is in there, or was in it last, went into it, nobody knows how much.
    async fn surplus(
        &mut self,
        held: &mut Held,
        vessel: &Vessel,
        quantity: i64,
        otherwise: i64,
        found: &Surplus<'_>,
        spare: &mut Spare,
    ) -> Result<(), StoreError> {
        let origins = held.content.origins();
        let known = self.by_key(origins.iter().map(|(item, _)| *item)).await?;
        let mut materials: BTreeMap<i64, (i64, Vec<&Row>)> = BTreeMap::new();
        for (key, part) in &origins {
            let Some(item) = known.get(key) else { continue };
            let of = materials.entry(item.material).or_default();
            of.0 = of.0.saturating_add(*part);
            of.1.push(item);
        }
        if materials.is_empty() {
            // Nobody knows where it comes from.
            let word = match &found.material {
                Some(material) => self.words.number(self.tx, material).await?,
                None => otherwise,
            };
            materials.insert(word, (1, Vec::new()));
        }
        let held_of: Vec<i64> = materials.values().map(|(held, _)| *held).collect();
        let mut shares = divided(&held_of, quantity);
        if shares.iter().all(|share| *share == 0)
            && let Some(first) = shares.first_mut()
        {
            *first = quantity;
        }
        for ((material, (_, items)), share) in materials.into_iter().zip(shares) {
            let lot = self.new_lot(vessel, "surplus", material, Some(share), found.at, spare.next()).await?;
            for item in items {
                let at = Timestamp::from_micros(found.at);
                let edge = NewEdge { adds: false, ..edge_of(vessel, item, &lot, 0, at, None, None) };
                self.put(&edge, item, &lot, 0, 0).await?;
            }
            if share > 0 {
                self.insert_move(lot.key, found.at, [0, held.word], share, found.by).await?;
            }
            let (mixing, told) = (vessel.mixing, found.at);
            let flow = Flow { kind: FlowKind::Surplus, mixing, item: lot.key, into: 0, quantity: share, told };
            self.flowed(held, &flow, Said { by: found.by, why: found.why, ..Said::default() }).await?;
        }
        Ok(())
    }

    /// Lets lots of which next to nothing is left become part of the traces. One that may not be used stays what it is, for then nothing
    /// is drawn of it; so does one that the traces are in already.
    async fn fade(&mut self, held: &mut Held, vessel: &Vessel, spare: &mut Spare) -> Result<(), StoreError> {
        if vessel.mixing == Mixing::Plug {
            return Ok(());
        }
        let faint = held.content.faint();
        if faint.is_empty() {
            return Ok(());
        }
        held.content.turn_over();
        let known = self.by_key(faint.iter().map(|(item, _)| *item)).await?;
        for (key, left) in faint {
            let Some(item) = known.get(&key).filter(|item| item.state() == Disposition::Released) else { continue };
            let traces = match held.content.traces_of(item.material) {
                Some(traces) => self.by_key([traces].into_iter()).await?.remove(&traces),
                None => {
                    let lot = self.new_lot(vessel, "traces", item.material, Some(0), held.at, spare.next()).await?;
                    held.content.set_traces(item.material, lot.key);
                    Some(lot)
                }
            };
            let Some(traces) = traces else { continue };
            let is_there = self.recorded_edge(item, &traces, held.at, 0).await?.is_some();
            if is_there || way_back(self.tx, item.key, traces.key, held.at).await? != Found::Nothing {
                continue;
            }
            let edge = edge_of(vessel, item, &traces, left, Timestamp::from_micros(held.at), None, None);
            self.put(&edge, item, &traces, 0, if left > 0 { held.word } else { 0 }).await?;
            let (kind, told) = (FlowKind::Traces, held.at);
            let flow = Flow { kind, mixing: vessel.mixing, item: key, into: traces.key, quantity: left, told };
            self.flowed(held, &flow, Said::default()).await?;
        }
        Ok(())
    }

    /// A lot that stands for what no lot was told of.
    async fn new_lot(
        &mut self,
        vessel: &Vessel,
        what: &str,
        material: i64,
        made: Option<i64>,
        at: i64,
        id: Uuid,
    ) -> Result<Row, StoreError> {
        let mut leaf = vessel.path.rsplit('/').next().unwrap_or_default();
        while leaf.len() > LEAF {
            leaf = leaf.char_indices().next_back().map_or("", |(end, _)| &leaf[..end]);
        }
        sql("INSERT INTO trace_item (key, id, kind, material, number, made, state, made_at) \
             SELECT coalesce(max(key), 0) + 1, $1, 0, $2, $3, $4, 0, $5 FROM trace_item")
        .bind(id)
        .bind(material)
        .bind(format!("{leaf} {what} {id}"))
        .bind(made)
        .bind(at)
        .run(self.tx, "record a lot of a vessel")
        .await?;
        find(self.tx, &ItemRef::Id(id)).await?.ok_or_else(gone)
    }

    /// The vessel as it is now. Nothing is written yet.
    async fn held(&mut self, vessel: &Vessel) -> Result<Result<Held, TraceRefusal>, StoreError> {
        let word = self.words.number(self.tx, &vessel.path).await?;
        let row: Option<(i64, i64, String)> = sql("SELECT turn, at, content FROM trace_vessel WHERE vessel = $1")
            .bind(word)
            .first(self.tx, "look what is in a vessel")
            .await?;
        if let Some((turn, at, content)) = row {
            let content = from_json(&content, "content of a vessel")?;
            return Ok(Ok(Held { word, turn, at, content, adopted: None }));
        }
        let lies: Vec<(i64, i64, i64)> = sql("SELECT s.item, s.quantity, i.kind FROM trace_stock s \
             JOIN trace_item i ON i.key = s.item WHERE s.place = $1 AND s.quantity > 0 ORDER BY s.item LIMIT $2")
        .bind(word)
        .bind(LAYERS_MAX)
        .rows(self.tx, "look what lies in a vessel")
        .await?;
        if lies.iter().any(|(.., kind)| *kind >= kind_number(ItemKind::Unit)) {
            return Ok(Err(unfit("vessel", "units or containers lie in it: carry them away first")));
        }
        if lies.len() >= LAYERS_MAX {
            let reason = format!("{LAYERS_MAX} lots or more lie in it: carry some of them away first");
            return Ok(Err(TraceRefusal::Unfit { what: "vessel", reason }));
        }
        let mut content = Content::default();
        let adopted: Vec<Part> = lies.into_iter().map(|(item, quantity, _)| (item, quantity)).collect();
        for part in &adopted {
            content.flow(&adopting(vessel.mixing, *part, i64::MIN));
        }
        Ok(Ok(Held { word, turn: 0, at: i64::MIN, content, adopted: Some(adopted) }))
    }

    /// Begins to write: what lay in a place that becomes a vessel is its first content.
    async fn start(&mut self, held: &mut Held, at: i64) -> Result<(), StoreError> {
        let Some(adopted) = held.adopted.take() else { return Ok(()) };
        sql("INSERT INTO trace_vessel (vessel, turn, at, level, lots, content) VALUES ($1, 0, $2, 0, 0, '{}')")
            .bind(held.word)
            .bind(at)
            .run(self.tx, "record a vessel")
            .await?;
        self.is_vessel(held.word).await?;
        if let Some(vessels) = &mut self.vessels {
            vessels.insert(held.word);
        }
        held.content = Content::default();
        for part in adopted {
            let flow = adopting(Mixing::Ideal, part, at);
            self.flowed(held, &flow, Said { place: held.word, ..Said::default() }).await?;
        }
        self.balance(held.word, at).await
    }

    /// Where more was taken from a place than was known to lie there, nobody can carry that away: when the place becomes a vessel, what
    /// is missing counts as come from outside, and is told.
    async fn balance(&mut self, place: i64, at: i64) -> Result<(), StoreError> {
        loop {
            let missing: Vec<(i64, i64)> =
                sql("SELECT item, quantity FROM trace_stock WHERE place = $1 AND quantity < 0 ORDER BY item LIMIT $2")
                    .bind(place)
                    .bind(BALANCED_AT_A_TIME)
                    .rows(self.tx, "look what is missing in a vessel")
                    .await?;
            if missing.is_empty() {
                return Ok(());
            }
            for (item, quantity) in missing {
                // The table lets nothing else in than a sum of quantities, which is far from its end.
                let quantity = quantity.saturating_neg();
                self.insert_move(item, at, [0, place], quantity, None).await?;
                let path = self.place_text(place).await?;
                let [name] = names(self.tx, &[item]).await?.try_into().map_err(|_| gone())?;
                let text = format!(
                    "{} more of {name} was taken from {path} than was known to lie there; it is a vessel now, and so much counts as come \
                     from outside before that",
                    amount(quantity)
                );
                self.finding("overdrawn", at, [item, 0], text).await?;
            }
        }
    }

    /// Lets something flow and records it.
    async fn flowed(&mut self, held: &mut Held, flow: &Flow, said: Said<'_>) -> Result<Vec<Part>, StoreError> {
        let parts = held.content.flow(flow);
        held.turn += 1;
        held.at = held.at.max(flow.told);
        let content = match held.turn % KEPT_EVERY {
            0 => Some(to_json(&held.content, "content of a vessel")?),
            _ => None,
        };
        sql("INSERT INTO trace_flow (vessel, turn, at, told, kind, plug, item, into_key, quantity, level, place, job, by_id, why, content) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)")
        .bind(held.word)
        .bind(held.turn)
        .bind(held.at)
        .bind(flow.told)
        .bind(flow_number(flow.kind))
        .bind(flow.mixing == Mixing::Plug)
        .bind(flow.item)
        .bind(flow.into)
        .bind(flow.quantity)
        .bind(held.content.level())
        .bind(said.place)
        .bind(said.job)
        .bind(said.by)
        .bind(said.why)
        .bind(content)
        .run(self.tx, "record what flowed")
        .await?;
        Ok(parts)
    }

    /// Keeps what is in a vessel.
    async fn keep(&mut self, held: &Held) -> Result<(), StoreError> {
        sql("UPDATE trace_vessel SET turn = $1, at = $2, level = $3, lots = $4, content = $5 WHERE vessel = $6")
            .bind(held.turn)
            .bind(held.at)
            .bind(held.content.level())
            .bind(held.content.lots().len())
            .bind(to_json(&held.content, "content of a vessel")?)
            .bind(held.word)
            .run(self.tx, "record what is in a vessel")
            .await?;
        Ok(())
    }

    /// How much of it flowed at just that time, if it is recorded.
    async fn flow_said(
        &mut self,
        vessel: i64,
        told: i64,
        kind: FlowKind,
        about: i64,
    ) -> Result<Option<i64>, StoreError> {
        sql("SELECT quantity FROM trace_flow WHERE vessel = $1 AND told = $2 AND kind = $3 AND item + into_key = $4 LIMIT 1")
            .bind(vessel)
            .bind(told)
            .bind(flow_number(kind))
            .bind(about)
            .first(self.tx, "look what flowed")
            .await
    }

    fn same_flow(&mut self, vessel: &Vessel, kept: i64, said: i64) -> Outcome {
        if kept == said {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        let what = format!("what flowed at that time, {},", vessel.path);
        Ok(Err(TraceRefusal::Differs { what, recorded: amount(kept), said: amount(said) }))
    }

    async fn by_key(&mut self, keys: impl Iterator<Item = i64>) -> Result<HashMap<i64, Row>, StoreError> {
        let mut keys: Vec<i64> = keys.collect();
        keys.sort_unstable();
        keys.dedup();
        Ok(rows(self.tx, &keys).await?.into_iter().map(|row| (row.key, row)).collect())
    }

    /// Records what speaks against something that happened all the same.
    async fn tell(&mut self, findings: Vec<TraceRefusal>, at: i64, about: [i64; 2]) -> Result<(), StoreError> {
        for refusal in findings {
            self.finding(refusal.finding_word(), at, about, refusal.to_string()).await?;
        }
        Ok(())
    }
}

/// What was found in a vessel, and by whom.
struct Surplus<'f> {
    material: Option<String>,
    at: i64,
    by: Option<i64>,
    why: &'f str,
}

/// What is drawn into a lot of the same material is more of that.
fn edge_of(
    vessel: &Vessel,
    from: &Row,
    into: &Row,
    quantity: i64,
    at: Timestamp,
    job: Option<Uuid>,
    by: Option<Uuid>,
) -> NewEdge {
    NewEdge {
        from: ItemRef::Id(from.id),
        to: ItemRef::Id(into.id),
        quantity,
        position: String::new(),
        at,
        job,
        equipment: Some(vessel.path.clone()),
        by,
        adds: !into.kind().is_whole() && from.material == into.material,
        even_so: false,
        replaces: false,
    }
}

fn gone() -> StoreError {
    StoreError::Damaged { what: "items", reason: "a lot that was just there is gone".to_owned() }
}

fn adopting(mixing: Mixing, (item, quantity): Part, told: i64) -> Flow {
    Flow { kind: FlowKind::Fill, mixing, item, into: 0, quantity, told }
}

/// What flows all at once is not told late: what came meanwhile would be lost.
fn not_late(held: &Held, told: i64) -> Result<(), TraceRefusal> {
    if told < held.at {
        return Err(unfit("time", "something that flowed later is recorded already: say what is so now"));
    }
    Ok(())
}

/// The number of a kind of flow in the store.
pub(super) fn flow_number(kind: FlowKind) -> i64 {
    FlowKind::ALL.iter().position(|known| *known == kind).and_then(|place| i64::try_from(place).ok()).unwrap_or(0)
}
