//! Steps into rows. Each looks at everything first and then writes, so that one that is refused has left nothing.

use super::fit::{MEASURES, fit, unfit};
use super::pack::Brings;
use super::row::{Row, find, kind_number, names, state_number, state_of};
use super::stock::Out;
use super::words::Words;
use crate::error::StoreError;
use crate::sql::{Link, sql};
use crate::tables::outbox::enqueue;
use crate::tables::{from_json, to_json};
use crate::trace::{
    Disposition, FINDINGS_MAX, Finding, Firmware, ItemKind, ItemName, ItemRef, NewCertificate, NewEdge, NewItem,
    NewMove, NewPass, NewRemoval, NewState, ONE, Report, Step, Tell, TraceRefusal, amount,
};
use andon_model::Timestamp;
use serde_json::{Map, Value as Json};
use std::collections::BTreeSet;
use std::sync::Arc;
use uuid::Uuid;

/// What a step came to, unless the store failed.
pub(super) type Outcome = Result<Result<(), TraceRefusal>, StoreError>;

/// Leaves a step with its refusal, for a good value goes on.
macro_rules! allowed {
    ($value:expr) => {
        match $value {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
}
pub(super) use allowed;

/// Steps on their way into one transaction.
pub(super) struct Writing<'t, 'c> {
    pub(super) tx: &'t mut Link<'c>,
    pub(super) words: Words,
    pub(super) report: Report,
    /// The places that are vessels, once they have been looked at.
    pub(super) vessels: Option<BTreeSet<i64>>,
    /// Where in the batch the step stands that is looked at.
    place: usize,
    tell: Option<Arc<Tell>>,
}

impl<'t, 'c> Writing<'t, 'c> {
    pub(super) fn new(tx: &'t mut Link<'c>, tell: Option<Arc<Tell>>) -> Self {
        Self { tx, words: Words::default(), report: Report::default(), vessels: None, place: 0, tell }
    }

    /// Takes a step up; of one that is refused nothing is left.
    pub(super) async fn step(&mut self, place: usize, step: &Step) -> Outcome {
        self.place = place;
        allowed!(fit(step));
        self.words.begin();
        let outcome = self.take(step).await?;
        if outcome.is_err() {
            self.words.undo(self.tx).await?;
        }
        Ok(outcome)
    }

    async fn take(&mut self, step: &Step) -> Outcome {
        match step {
            Step::Item(item) => self.item(item).await,
            Step::Edge(edge) => self.edge(edge).await,
            Step::Remove(removal) => self.remove(removal).await,
            Step::Move(moved) => self.carry(moved).await,
            Step::Unpack(unpacking) => self.unpack(unpacking).await,
            Step::Fill(fill) => self.fill(fill).await,
            Step::Draw(draw) => self.draw(draw).await,
            Step::Empty(emptying) => self.empty(emptying).await,
            Step::Level(level) => self.level(level).await,
            Step::State(state) => self.state(state).await,
            Step::Pass(pass) => self.pass(pass).await,
            Step::Certificate(certificate) => self.certificate(certificate).await,
        }
    }

    /// Notes that a step could not be, for people to look into.
    pub(super) async fn refused(&mut self, step: &Step, refusal: TraceRefusal) -> Result<(), StoreError> {
        let (item, other) = about(step);
        let mut keys = [0, 0];
        for (key, item) in keys.iter_mut().zip([item, other]) {
            if let Some(item) = item {
                *key = find(self.tx, item).await?.map_or(0, |row| row.key);
            }
        }
        self.finding("refused", step.at().micros(), keys, refusal.to_string()).await?;
        self.report.refused.push((self.place, refusal));
        Ok(())
    }

    async fn item(&mut self, new: &NewItem) -> Outcome {
        let made = if new.name.kind == ItemKind::Unit || new.name.kind == ItemKind::Container {
            Some(ONE)
        } else {
            new.quantity
        };
        let revision = self.words.perhaps(self.tx, new.revision.as_deref()).await?;
        if let Some(place) = &new.place {
            allowed!(self.no_vessel(place).await?);
        }
        if let Some(row) = find(self.tx, &ItemRef::Name(new.name.clone())).await? {
            self.report.items.push(row.id);
            return self.same_item(new, &row, made, revision).await;
        }
        if let Some(row) = find(self.tx, &ItemRef::Id(new.id)).await? {
            let recorded = self.name(&row).await?.to_string();
            return Ok(Err(TraceRefusal::Differs {
                what: format!("the id {}", new.id),
                recorded,
                said: new.name.to_string(),
            }));
        }
        let material = self.words.number(self.tx, &new.name.material).await?;
        let job = self.id_word(new.job).await?;
        let key: i64 =
            sql("INSERT INTO trace_item (key, id, kind, material, number, revision, made, state, made_at, job) \
             SELECT coalesce(max(key), 0) + 1, $1, $2, $3, $4, $5, $6, $7, $8, $9 FROM trace_item RETURNING key")
            .bind(new.id)
            .bind(kind_number(new.name.kind))
            .bind(material)
            .bind(new.name.number.clone())
            .bind(revision)
            .bind(made)
            .bind(state_number(new.state))
            .bind(new.at)
            .bind(job)
            .only(self.tx, "record an item")
            .await?;
        let by = self.id_word(new.by).await?;
        if new.state != Disposition::Released {
            self.say_state(key, new.at.micros(), new.state, by, "").await?;
        }
        if let (Some(place), Some(quantity)) = (&new.place, made.filter(|quantity| *quantity > 0)) {
            let place = self.words.number(self.tx, place).await?;
            self.insert_move(key, new.at.micros(), [0, place], quantity, by).await?;
        }
        if let Some(text) = &new.told_if_new {
            self.finding("not_known", new.at.micros(), [key, 0], text.clone()).await?;
        }
        self.report.items.push(new.id);
        self.report.changed += 1;
        Ok(Ok(()))
    }

    /// An item that is there already: what was not known of it is added, and it may be used no more if that is said now.
    async fn same_item(&mut self, new: &NewItem, row: &Row, made: Option<i64>, revision: Option<i64>) -> Outcome {
        let differs = |recorded: String, said: String| {
            Ok(Err(TraceRefusal::Differs { what: new.name.to_string(), recorded, said }))
        };
        if let (Some(kept), Some(said)) = (row.made, made)
            && kept != said
        {
            return differs(format!("a quantity of {}", amount(kept)), amount(said));
        }
        if let (Some(kept), Some(said)) = (row.revision, revision)
            && kept != said
        {
            return differs("another revision".to_owned(), new.revision.clone().unwrap_or_default());
        }
        if new.name.kind == ItemKind::Container
            && let Some(place) = &new.place
            && self.words.known(self.tx, place).await? != Some(row.place)
        {
            let place = Some(self.place_text(row.place).await?).filter(|place| !place.is_empty());
            return Ok(Err(TraceRefusal::Elsewhere { item: new.name.clone(), place }));
        }
        let (adds_made, adds_revision) =
            (row.made.is_none() && made.is_some(), row.revision.is_none() && revision.is_some());
        let at = new.at.micros();
        let is_held = new.state != Disposition::Released && self.state_at(row, at).await? != new.state;
        if is_held && self.state_said(row.key, at).await?.is_some() {
            return differs("another state at that time".to_owned(), new.state.word().to_owned());
        }
        if !adds_made && !adds_revision && !is_held {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        if is_held {
            let by = self.id_word(new.by).await?;
            self.say_state(row.key, at, new.state, by, "").await?;
            self.state_is_the_last(row.key).await?;
        }
        sql("UPDATE trace_item SET made = coalesce(made, $1), revision = coalesce(revision, $2) WHERE key = $3")
            .bind(made)
            .bind(revision)
            .bind(row.key)
            .run(self.tx, "record more of an item")
            .await?;
        if adds_made {
            let by = self.id_word(new.by).await?;
            if let (Some(place), Some(quantity), 0) = (&new.place, made.filter(|quantity| *quantity > 0), row.place) {
                let place = self.words.number(self.tx, place).await?;
                self.insert_move(row.key, at, [0, place], quantity, by).await?;
                self.was_used_from(row.key, place).await?;
            }
            let left = made.unwrap_or(0).saturating_add(row.received).saturating_sub(row.consumed);
            if left < 0 {
                let text = format!("{} was used by {} more than there was of it", new.name, amount(-left));
                self.finding("overdrawn", new.at.micros(), [row.key, 0], text).await?;
            }
        }
        self.report.changed += 1;
        Ok(Ok(()))
    }

    async fn edge(&mut self, new: &NewEdge) -> Outcome {
        let from = allowed!(self.known(&new.from).await?);
        let to = allowed!(self.known(&new.to).await?);
        let (at, quantity) = (new.at.micros(), new.quantity);
        if from.kind().is_whole() && quantity != ONE {
            let reason = format!("{} is one whole, and {} of it went nowhere", new.from, amount(quantity));
            return Ok(Err(TraceRefusal::Unfit { what: "quantity", reason }));
        }
        if new.adds && (from.kind().is_whole() || to.kind().is_whole() || from.material != to.material) {
            let reason = "a lot is split into and merged with lots of the same material only".to_owned();
            return Ok(Err(TraceRefusal::Unfit { what: "split or merge", reason }));
        }
        let position = self.words.number(self.tx, &new.position).await?;
        if let Some((kept, adds)) = self.recorded_edge(&from, &to, at, position).await? {
            return self.same_edge(new, &from, &to, kept, adds).await;
        }
        if new.replaces && self.is_in_there(&from, &to, at, position).await? {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        let mut findings = Vec::new();
        let mut elsewhere = false;
        if from.kind().is_whole() {
            match self.lies_in(&from, &to, at, position).await? {
                Lies::Free => {}
                Lies::There => {
                    self.report.unchanged += 1;
                    return Ok(Ok(()));
                }
                Lies::In(into) => {
                    let names = names(self.tx, &[from.key, into]).await?;
                    let [item, into] = both(names)?;
                    let refusal = TraceRefusal::BuiltIn { item, into };
                    if !new.even_so {
                        return Ok(Err(refusal));
                    }
                    (elsewhere, findings) = (true, vec![refusal]);
                }
            }
        }
        let takes = to.kind() != ItemKind::Container;
        let short = if elsewhere { None } else { self.short(new, &from, takes).await? };
        for refusal in [self.not_released(new, &from, &to).await?, short] {
            match refusal {
                Some(refusal) if !new.even_so => return Ok(Err(refusal)),
                refusal => findings.extend(refusal),
            }
        }
        let mut brings = Brings::default();
        if !takes {
            match self.packing(new, &from, &to).await? {
                Ok(wanted) => brings = wanted,
                Err(refusal) if !new.even_so => return Ok(Err(refusal)),
                Err(refusal) => findings.push(refusal),
            }
        }
        let used = if takes { quantity } else { 0 };
        let received = if new.adds { quantity } else { 0 };
        if from.consumed.checked_add(used).is_none() || to.received.checked_add(received).is_none() {
            return Ok(Err(unfit("quantity", "the sum of all that was used is beyond what can be counted")));
        }
        match self.circle(&from, &to, at).await? {
            Some(refusal) if !(new.even_so && matches!(refusal, TraceRefusal::Wide { .. })) => return Ok(Err(refusal)),
            refusal => findings.extend(refusal),
        }
        // From then on it is elsewhere; and before, if it is said to have come elsewhere later.
        let mut removed_at = if elsewhere { self.move_out(&from, at).await? } else { None };
        if new.replaces {
            let later = self.replace(&from, &to, at, position).await?;
            removed_at = [removed_at, later].into_iter().flatten().min();
        }
        let place = if takes { self.used_from(&from, new.equipment.as_deref()).await? } else { 0 };
        self.insert_edge(new, &from, &to, position, place).await?;
        self.sums(from.key, used, 0, [0, 1]).await?;
        self.sums(to.key, 0, received, [1, 0]).await?;
        self.shift(from.key, to.key, place, -quantity, new.adds).await?;
        self.bring(&brings, new).await?;
        if let Some(removed_at) = removed_at {
            let out = Out { from: from.key, to: to.key, at, position };
            self.take_out(&out, removed_at, from.kind().is_whole(), None, None).await?;
        }
        for refusal in findings {
            self.finding(refusal.finding_word(), at, [from.key, to.key], refusal.to_string()).await?;
        }
        self.report.changed += 1;
        Ok(Ok(()))
    }

    pub(super) async fn recorded_edge(
        &mut self,
        from: &Row,
        to: &Row,
        at: i64,
        position: i64,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        sql("SELECT quantity, adds FROM trace_edge WHERE from_key = $1 AND to_key = $2 AND at = $3 AND position = $4")
            .bind(from.key)
            .bind(to.key)
            .bind(at)
            .bind(position)
            .first(self.tx, "look what went into what")
            .await
    }

    async fn same_edge(&mut self, new: &NewEdge, from: &Row, to: &Row, kept: i64, adds: i64) -> Outcome {
        if kept == new.quantity && adds == i64::from(new.adds) {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        let [from, to] = both(names(self.tx, &[from.key, to.key]).await?)?;
        let kind = |adds: bool| if adds { "split or merged" } else { "used" };
        Ok(Err(TraceRefusal::Differs {
            what: format!("that {from} went into {to}"),
            recorded: format!("{} {}", amount(kept), kind(adds == 1)),
            said: format!("{} {}", amount(new.quantity), kind(new.adds)),
        }))
    }

    /// Where a unit is from then on.
    async fn lies_in(&mut self, from: &Row, to: &Row, at: i64, position: i64) -> Result<Lies, StoreError> {
        let rows: Vec<(i64, i64, Option<i64>)> = sql(
            "SELECT to_key, position, removed_at FROM trace_edge WHERE from_key = $1 AND (removed_at IS NULL OR removed_at > $2)",
        )
        .bind(from.key)
        .bind(at)
        .rows(self.tx, "look where a unit is")
.await?;
        let elsewhere = rows.iter().find(|row| **row != (to.key, position, None));
        Ok(match elsewhere {
            Some((into, ..)) => Lies::In(*into),
            None if rows.is_empty() => Lies::Free,
            None => Lies::There,
        })
    }

    /// Whether it might not be used then. To pack something or to tell a part of it apart is no use, but a part is as good as the whole.
    pub(super) async fn not_released(
        &mut self,
        new: &NewEdge,
        from: &Row,
        to: &Row,
    ) -> Result<Option<TraceRefusal>, StoreError> {
        let at = new.at.micros();
        let state = self.state_at(from, at).await?;
        if state == Disposition::Released || to.kind() == ItemKind::Container {
            return Ok(None);
        }
        if new.adds && self.state_at(to, at).await? == state {
            return Ok(None);
        }
        Ok(Some(TraceRefusal::NotReleased { item: self.name(from).await?, state }))
    }

    pub(super) async fn short(
        &mut self,
        new: &NewEdge,
        from: &Row,
        takes: bool,
    ) -> Result<Option<TraceRefusal>, StoreError> {
        match from.left() {
            Some(left) if takes && left < new.quantity => Ok(Some(TraceRefusal::Short {
                item: self.name(from).await?,
                there_is: left,
                used: from.consumed,
                wanted: new.quantity,
            })),
            _ => Ok(None),
        }
    }

    pub(super) async fn insert_edge(
        &mut self,
        new: &NewEdge,
        from: &Row,
        to: &Row,
        position: i64,
        place: i64,
    ) -> Result<(), StoreError> {
        let job = self.id_word(new.job).await?;
        let equipment = self.words.perhaps(self.tx, new.equipment.as_deref()).await?;
        let by = self.id_word(new.by).await?;
        sql("INSERT INTO trace_edge (from_key, to_key, at, position, quantity, adds, job, equipment, by_id, place) \
             VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10)")
        .bind(from.key)
        .bind(to.key)
        .bind(new.at)
        .bind(position)
        .bind(new.quantity)
        .bind(new.adds)
        .bind(job)
        .bind(equipment)
        .bind(by)
        .bind(place)
        .run(self.tx, "record what went into what")
        .await?;
        Ok(())
    }

    async fn remove(&mut self, new: &NewRemoval) -> Outcome {
        let from = allowed!(self.known(&new.from).await?);
        let to = allowed!(self.known(&new.to).await?);
        let replaced_by = match &new.replaced_by {
            Some(item) => Some(allowed!(self.known(item).await?).key),
            None => None,
        };
        let (at, removed_at) = (new.at.micros(), new.removed_at.micros());
        let given_back = new.given_back || from.kind().is_whole();
        let position = self.words.known(self.tx, &new.position).await?;
        let row: Option<(i64, i64, i64, Option<i64>, i64)> = sql(
            "SELECT quantity, adds, given_back, removed_at, place FROM trace_edge WHERE from_key = $1 AND to_key = $2 AND at = $3 AND position = $4",
        )
        .bind(from.key)
        .bind(to.key)
        .bind(at)
        .bind(position.unwrap_or(-1))
        .first(self.tx, "look what went into what")
.await?;
        let Some((quantity, adds, kept_back, kept_at, place)) = row else {
            let [item, into] = both(names(self.tx, &[from.key, to.key]).await?)?;
            return Ok(Err(TraceRefusal::NotIn { item, into }));
        };
        if let Some(kept_at) = kept_at {
            if kept_at == removed_at && kept_back == i64::from(given_back) {
                self.report.unchanged += 1;
                return Ok(Ok(()));
            }
            let [from, to] = both(names(self.tx, &[from.key, to.key]).await?)?;
            let said = |at: i64, back: bool| format!("{} µs{}", at, if back { ", given back" } else { "" });
            return Ok(Err(TraceRefusal::Differs {
                what: format!("that {from} was taken out of {to}"),
                recorded: said(kept_at, kept_back == 1),
                said: said(removed_at, given_back),
            }));
        }
        if removed_at <= at {
            return Ok(Err(unfit("time", "nothing is taken out before or when it goes in")));
        }
        if given_back && self.is_vessel(place).await? {
            let reason = "what was drawn from a vessel is not given back: fill it in again";
            return Ok(Err(unfit("removal", reason)));
        }
        if given_back && adds == 1 && to.left().is_some_and(|left| left < quantity) {
            let item = self.name(&to).await?;
            let (there_is, used) = (to.left().unwrap_or(0), to.consumed);
            return Ok(Err(TraceRefusal::Short { item, there_is, used, wanted: quantity }));
        }
        let by = self.id_word(new.by).await?;
        let out = Out { from: from.key, to: to.key, at, position: position.unwrap_or(-1) };
        self.take_out(&out, removed_at, given_back, replaced_by, by).await?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    async fn carry(&mut self, new: &NewMove) -> Outcome {
        let item = allowed!(self.known(&new.item).await?);
        let at = new.at.micros();
        if item.kind().is_whole() && new.quantity != ONE {
            return Ok(Err(unfit("quantity", "a unit or container is carried as a whole")));
        }
        let from = self.words.number(self.tx, new.from.as_deref().unwrap_or_default()).await?;
        let to = self.words.number(self.tx, new.to.as_deref().unwrap_or_default()).await?;
        if from == to {
            return Ok(Err(unfit("movement", "it ends where it begins")));
        }
        for place in new.from.iter().chain(&new.to) {
            allowed!(self.no_vessel(place).await?);
        }
        let kept: Option<i64> =
            sql("SELECT quantity FROM trace_move WHERE item = $1 AND at = $2 AND from_place = $3 AND to_place = $4")
                .bind(item.key)
                .bind(at)
                .bind(from)
                .bind(to)
                .first(self.tx, "look where something was moved")
                .await?;
        if let Some(kept) = kept {
            if kept == new.quantity {
                self.report.unchanged += 1;
                return Ok(Ok(()));
            }
            let what = format!("a movement of {}", self.name(&item).await?);
            return Ok(Err(TraceRefusal::Differs { what, recorded: amount(kept), said: amount(new.quantity) }));
        }
        if item.kind().is_whole() && from == 0 && item.place != 0 {
            return Ok(Err(unfit("movement", "it lies somewhere already: say that it comes from there")));
        }
        let finding = match self.not_loose(new, &item, from).await? {
            Some(refusal) if !new.even_so => return Ok(Err(refusal)),
            refusal => refusal.map(|refusal| refusal.to_string()),
        };
        let inside = match item.kind() {
            ItemKind::Container => allowed!(self.inside(&item).await?),
            _ => Vec::new(),
        };
        if to != 0 && self.lies(item.key, to).await?.checked_add(new.quantity).is_none() {
            return Ok(Err(unfit("quantity", "the sum of what lies there is beyond what can be counted")));
        }
        let by = self.id_word(new.by).await?;
        self.insert_move(item.key, at, [from, to], new.quantity, by).await?;
        self.carry_along(&inside, at, [from, to], by).await?;
        if let Some(text) = finding {
            self.finding("not_there", at, [item.key, 0], text).await?;
        }
        self.report.changed += 1;
        Ok(Ok(()))
    }

    async fn state(&mut self, new: &NewState) -> Outcome {
        let item = allowed!(self.known(&new.item).await?);
        let at = new.at.micros();
        if let Some(kept) = self.state_said(item.key, at).await? {
            if kept == new.state {
                self.report.unchanged += 1;
                return Ok(Ok(()));
            }
            let what = format!("the state of {} at that time", self.name(&item).await?);
            let recorded = kept.word().to_owned();
            return Ok(Err(TraceRefusal::Differs { what, recorded, said: new.state.word().to_owned() }));
        }
        let by = self.id_word(new.by).await?;
        self.say_state(item.key, at, new.state, by, &new.why).await?;
        self.state_is_the_last(item.key).await?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    /// What was decided last holds, in whatever order it is recorded.
    async fn state_is_the_last(&mut self, item: i64) -> Result<(), StoreError> {
        sql(
            "UPDATE trace_item SET state = (SELECT s.state FROM trace_state s WHERE s.item = trace_item.key ORDER BY s.at DESC LIMIT 1) WHERE key = $1",
        )
        .bind(item)
        .run(self.tx, "record what may be done with an item")
.await?;
        Ok(())
    }

    /// What was decided at just that time.
    async fn state_said(&mut self, item: i64, at: i64) -> Result<Option<Disposition>, StoreError> {
        let kept: Option<i64> = sql("SELECT state FROM trace_state WHERE item = $1 AND at = $2")
            .bind(item)
            .bind(at)
            .first(self.tx, "look what was decided")
            .await?;
        Ok(kept.map(state_of))
    }

    /// What might be done with an item then. A machine whose clock is behind uses it before it came: then, what held when it came.
    pub(super) async fn state_at(&mut self, item: &Row, at: i64) -> Result<Disposition, StoreError> {
        let state: Option<i64> =
            sql("SELECT state FROM trace_state WHERE item = $1 AND at <= $2 ORDER BY at DESC LIMIT 1")
                .bind(item.key)
                .bind(at.max(item.made_at))
                .first(self.tx, "look what was decided")
                .await?;
        Ok(state.map_or(Disposition::Released, state_of))
    }

    async fn say_state(
        &mut self,
        item: i64,
        at: i64,
        state: Disposition,
        by: Option<i64>,
        why: &str,
    ) -> Result<(), StoreError> {
        sql("INSERT INTO trace_state (item, at, state, by_id, why) VALUES ($1, $2, $3, $4, $5)")
            .bind(item)
            .bind(at)
            .bind(state_number(state))
            .bind(by)
            .bind(why)
            .run(self.tx, "record what may be done with an item")
            .await?;
        Ok(())
    }

    async fn pass(&mut self, new: &NewPass) -> Outcome {
        let unit = allowed!(self.known(&new.unit).await?);
        if unit.kind() != ItemKind::Unit {
            return Ok(Err(unfit("pass", "only a unit passes a station")));
        }
        let equipment = self.words.number(self.tx, &new.equipment).await?;
        let kept: Option<(Option<i64>, String, String)> =
            sql("SELECT passed, measures, firmware FROM trace_pass WHERE unit = $1 AND at = $2 AND equipment = $3")
                .bind(unit.key)
                .bind(new.at)
                .bind(equipment)
                .first(self.tx, "look whether a unit was at a station")
                .await?;
        let passed = new.passed.map(i64::from);
        if let Some((passed, measures, firmware)) = kept {
            let (measures, firmware) =
                (from_json(&measures, "measures of a unit")?, from_json(&firmware, "firmware of a unit")?);
            return self.same_pass(new, &unit, equipment, Kept { passed, measures, firmware }).await;
        }
        let job = self.id_word(new.job).await?;
        let operation = self.words.perhaps(self.tx, new.operation.as_deref()).await?;
        sql(
            "INSERT INTO trace_pass (unit, at, equipment, job, operation, passed, measures, firmware) VALUES ($1, $2, $3, $4, $5, $6, $7, $8)",
        )
        .bind(unit.key)
        .bind(new.at)
        .bind(equipment)
        .bind(job)
        .bind(operation)
        .bind(passed)
        .bind(to_json(&new.measures, "measures of a unit")?)
        .bind(to_json(&new.firmware, "firmware of a unit")?)
        .run(self.tx, "record a unit at a station")
.await?;
        self.passed(new, &unit, equipment).await?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    /// More of a pass that is there: the readings of one message may come in two batches.
    async fn same_pass(&mut self, new: &NewPass, unit: &Row, equipment: i64, kept: Kept) -> Outcome {
        let Kept { passed: kept, mut measures, mut firmware } = kept;
        let what = format!("{} at {}", self.name(unit).await?, new.equipment);
        let passed = new.passed.map(i64::from);
        if let (Some(kept), Some(passed)) = (kept, passed)
            && kept != passed
        {
            let word = |passed: i64| if passed == 1 { "passed" } else { "failed" }.to_owned();
            return Ok(Err(TraceRefusal::Differs { what, recorded: word(kept), said: word(passed) }));
        }
        for (name, value) in &new.measures {
            if let Some(kept) = measures.get(name).filter(|kept| *kept != value) {
                let [recorded, said] = [kept, value].map(|value| format!("{name} = {value}"));
                return Ok(Err(TraceRefusal::Differs { what, recorded, said }));
            }
        }
        let is_loaded = match add(&mut firmware, &new.firmware) {
            Ok(is_loaded) => is_loaded,
            Err([recorded, said]) => return Ok(Err(TraceRefusal::Differs { what, recorded, said })),
        };
        let is_more = (kept.is_none() && passed.is_some())
            || is_loaded
            || new.measures.keys().any(|name| !measures.contains_key(name));
        if !is_more {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        measures.extend(new.measures.clone());
        let text = to_json(&measures, "measures of a unit")?;
        if text.len() > MEASURES {
            return Ok(Err(unfit("measures", "all measures of a pass are more than 64 KiB")));
        }
        let programs = to_json(&firmware, "firmware of a unit")?;
        if programs.len() > MEASURES {
            return Ok(Err(unfit("firmware", "all firmware of a pass is more than 64 KiB")));
        }
        sql(
            "UPDATE trace_pass SET passed = coalesce(passed, $1), measures = $2, firmware = $3 WHERE unit = $4 AND at = $5 AND equipment = $6",
        )
        .bind(passed)
        .bind(text)
        .bind(programs)
        .bind(unit.key)
        .bind(new.at)
        .bind(equipment)
        .run(self.tx, "record more of a unit at a station")
.await?;
        self.passed(new, unit, equipment).await?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    pub(super) async fn certificate(&mut self, new: &NewCertificate) -> Outcome {
        let unit = allowed!(self.known(&new.unit).await?);
        if unit.kind() != ItemKind::Unit {
            return Ok(Err(unfit("certificate", "only a unit has one")));
        }
        let kept: Option<(i64, Vec<u8>)> = sql("SELECT unit, bytes FROM trace_certificate WHERE number = $1")
            .bind(new.number.clone())
            .first(self.tx, "look a certificate up")
            .await?;
        if let Some((kept, bytes)) = kept {
            if kept == unit.key && bytes == new.bytes {
                self.report.unchanged += 1;
                return Ok(Ok(()));
            }
            let what = format!("the certificate {}", new.number);
            let recorded = if kept == unit.key { "other bytes" } else { "another unit" }.to_owned();
            return Ok(Err(TraceRefusal::Differs { what, recorded, said: self.name(&unit).await?.to_string() }));
        }
        sql("INSERT INTO trace_certificate (unit, turn, number, issued_at, sha256, key_id, bytes) \
             SELECT $1, coalesce(max(turn), 0) + 1, $2, $3, $4, $5, $6 FROM trace_certificate WHERE unit = $7")
        .bind(unit.key)
        .bind(new.number.clone())
        .bind(new.issued_at)
        .bind(new.sha256)
        .bind(new.key_id.clone())
        .bind(new.bytes.clone())
        .bind(unit.key)
        .run(self.tx, "keep a certificate")
        .await?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    pub(super) async fn finding(
        &mut self,
        what: &str,
        at: i64,
        [item, other]: [i64; 2],
        text: String,
    ) -> Result<(), StoreError> {
        let number: Option<i64> = sql(
            "INSERT INTO trace_finding (number, what, at, item, other, text) \
             SELECT coalesce(max(number), 0) + 1, $1, $2, $3, $4, $5 FROM trace_finding WHERE true ON CONFLICT DO NOTHING RETURNING number",
        )
        .bind(what)
        .bind(at)
        .bind(item)
        .bind(other)
        .bind(text.clone())
        .first(self.tx, "record a finding of traceability")
.await?;
        if let Some(number) = number {
            self.report.findings += 1;
            if let Some(tell) = self.tell.clone() {
                let [item, other] = [self.id_of(item).await?, self.id_of(other).await?];
                let finding =
                    Finding { number, what: what.to_owned(), at: Timestamp::from_micros(at), item, other, text };
                enqueue(self.tx, &tell(self.place, &finding)).await?;
            }
            sql("DELETE FROM trace_finding WHERE number <= (SELECT max(f.number) FROM trace_finding f) - $1")
                .bind(FINDINGS_MAX)
                .run(self.tx, "let an old finding go")
                .await?;
        }
        Ok(())
    }

    async fn id_of(&mut self, key: i64) -> Result<Option<Uuid>, StoreError> {
        sql("SELECT id FROM trace_item WHERE key = $1").bind(key).first(self.tx, "look an item up").await
    }

    /// Adds to what is kept of an item: what was used, what came to it, edges to it and from it.
    pub(super) async fn sums(
        &mut self,
        key: i64,
        consumed: i64,
        received: i64,
        [ins, outs]: [i64; 2],
    ) -> Result<(), StoreError> {
        sql(
            "UPDATE trace_item SET consumed = consumed + $1, received = received + $2, ins = ins + $3, outs = outs + $4 WHERE key = $5",
        )
            .bind(consumed)
            .bind(received)
            .bind(ins)
            .bind(outs)
            .bind(key)
            .run(self.tx, "add up what was used")
.await?;
        Ok(())
    }

    pub(super) async fn known(&mut self, item: &ItemRef) -> Result<Result<Row, TraceRefusal>, StoreError> {
        Ok(find(self.tx, item).await?.ok_or_else(|| TraceRefusal::Unknown { item: item.to_string() }))
    }

    pub(super) async fn name(&mut self, row: &Row) -> Result<ItemName, StoreError> {
        let mut texts = super::words::Texts::default();
        texts.of(self.tx, vec![row.material]).await?;
        Ok(row.name(&texts))
    }

    /// Ids repeat as texts do, and a number is shorter.
    pub(super) async fn id_word(&mut self, id: Option<Uuid>) -> Result<Option<i64>, StoreError> {
        let text = id.map(|id| id.to_string());
        self.words.perhaps(self.tx, text.as_deref()).await
    }
}

/// Where a unit is.
enum Lies {
    /// Nowhere.
    Free,
    /// Where it is to go.
    There,
    /// In another.
    In(i64),
}

/// The items that a step is about.
fn about(step: &Step) -> (Option<&ItemRef>, Option<&ItemRef>) {
    match step {
        Step::Item(_) => (None, None),
        Step::Edge(edge) => (Some(&edge.from), Some(&edge.to)),
        Step::Remove(removal) => (Some(&removal.from), Some(&removal.to)),
        Step::Move(moved) => (Some(&moved.item), None),
        Step::Unpack(unpacking) => (Some(&unpacking.item), Some(&unpacking.container)),
        Step::Fill(fill) => (Some(&fill.item), None),
        Step::Draw(draw) => (Some(&draw.into), None),
        Step::Empty(_) | Step::Level(_) => (None, None),
        Step::State(state) => (Some(&state.item), None),
        Step::Pass(pass) => (Some(&pass.unit), None),
        Step::Certificate(certificate) => (Some(&certificate.unit), None),
    }
}

pub(super) fn both(names: Vec<ItemName>) -> Result<[ItemName; 2], StoreError> {
    let reason = "an item that was just there is gone".to_owned();
    <[ItemName; 2]>::try_from(names).map_err(|_| StoreError::Damaged { what: "items", reason })
}

/// What is kept of a pass.
struct Kept {
    passed: Option<i64>,
    measures: Map<String, Json>,
    firmware: Firmware,
}

/// Adds what more is said of programs, and tells whether it was anything.
///
/// # Errors
/// What is kept, and what is said that is other.
fn add(kept: &mut Firmware, said: &Firmware) -> Result<bool, [String; 2]> {
    let mut is_more = false;
    for (component, said) in said {
        let kept = kept.entry(component.clone()).or_default();
        for (name, kept, said) in [
            ("firmware", &mut kept.version, &said.version),
            ("SHA-256 of the firmware", &mut kept.sha256, &said.sha256),
        ] {
            match (&kept, said) {
                (Some(kept), Some(said)) if kept != said => {
                    return Err([kept, said].map(|text| format!("{name} of {component} = {text}")));
                }
                (None, Some(_)) => (*kept, is_more) = (said.clone(), true),
                _ => {}
            }
        }
    }
    Ok(is_more)
}
