//! Steps into rows. Each looks at everything first and then writes, so that one that is refused has left nothing.

use super::circle::{Found, way_back};
use super::fit::{MEASURES, fit, unfit};
use super::row::{Row, find, kind_number, names, state_number};
use super::words::Words;
use crate::error::{StoreError, database};
use crate::sqlite::{from_json, to_id, to_json};
use crate::trace::{
    Disposition, FINDINGS_MAX, ItemKind, ItemName, ItemRef, NewCertificate, NewEdge, NewItem, NewMove, NewPass,
    NewRemoval, NewState, ONE, REACH_MAX, Report, Step, TraceRefusal, amount,
};
use serde_json::{Map, Value as Json};
use sqlx::SqliteConnection;
use uuid::Uuid;

/// What a step came to, unless the store failed.
type Outcome = Result<Result<(), TraceRefusal>, StoreError>;

/// Leaves a step with its refusal, for a good value goes on.
macro_rules! allowed {
    ($value:expr) => {
        match $value {
            Ok(value) => value,
            Err(refusal) => return Ok(Err(refusal)),
        }
    };
}

/// Steps on their way into one transaction.
pub(super) struct Writing<'t> {
    tx: &'t mut SqliteConnection,
    words: Words,
    pub(super) report: Report,
}

impl<'t> Writing<'t> {
    pub(super) fn new(tx: &'t mut SqliteConnection) -> Self {
        Self { tx, words: Words::default(), report: Report::default() }
    }

    pub(super) async fn step(&mut self, step: &Step) -> Outcome {
        allowed!(fit(step));
        match step {
            Step::Item(item) => self.item(item).await,
            Step::Edge(edge) => self.edge(edge).await,
            Step::Remove(removal) => self.remove(removal).await,
            Step::Move(moved) => self.carry(moved).await,
            Step::State(state) => self.state(state).await,
            Step::Pass(pass) => self.pass(pass).await,
            Step::Certificate(certificate) => self.certificate(certificate).await,
        }
    }

    /// Notes that a step could not be, for people to look into.
    pub(super) async fn refused(&mut self, place: usize, step: &Step, refusal: TraceRefusal) -> Result<(), StoreError> {
        let (item, other) = about(step);
        let mut keys = [0, 0];
        for (key, item) in keys.iter_mut().zip([item, other]) {
            if let Some(item) = item {
                *key = find(self.tx, item).await?.map_or(0, |row| row.key);
            }
        }
        self.finding("refused", step.at().micros(), keys, refusal.to_string()).await?;
        self.report.refused.push((place, refusal));
        Ok(())
    }

    async fn item(&mut self, new: &NewItem) -> Outcome {
        let made = if new.name.kind == ItemKind::Unit || new.name.kind == ItemKind::Container {
            Some(ONE)
        } else {
            new.quantity
        };
        let revision = self.words.perhaps(self.tx, new.revision.as_deref()).await?;
        if let Some(row) = find(self.tx, &ItemRef::Name(new.name.clone())).await? {
            self.report.items.push(to_id(&row.id, "item")?);
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
        let key: i64 = sqlx::query_scalar(
            "INSERT INTO trace_item (key, id, kind, material, number, revision, made, state, made_at, job) \
             SELECT coalesce(max(key), 0) + 1, ?, ?, ?, ?, ?, ?, ?, ?, ? FROM trace_item RETURNING key",
        )
        .bind(new.id.as_bytes().to_vec())
        .bind(kind_number(new.name.kind))
        .bind(material)
        .bind(new.name.number.clone())
        .bind(revision)
        .bind(made)
        .bind(state_number(new.state))
        .bind(new.at.micros())
        .bind(job)
        .fetch_one(&mut *self.tx)
        .await
        .map_err(database("record an item"))?;
        let by = self.id_word(new.by).await?;
        if new.state != Disposition::Released {
            self.say_state(key, new.at.micros(), new.state, by, "").await?;
        }
        if let (Some(place), Some(quantity)) = (&new.place, made.filter(|quantity| *quantity > 0)) {
            let place = self.words.number(self.tx, place).await?;
            self.insert_move(key, new.at.micros(), [0, place], quantity, by).await?;
        }
        self.report.items.push(new.id);
        self.report.changed += 1;
        Ok(Ok(()))
    }

    /// An item that is there already: what was not known of it is added.
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
        let (adds_made, adds_revision) =
            (row.made.is_none() && made.is_some(), row.revision.is_none() && revision.is_some());
        if !adds_made && !adds_revision {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        sqlx::query("UPDATE trace_item SET made = coalesce(made, ?), revision = coalesce(revision, ?) WHERE key = ?")
            .bind(made)
            .bind(revision)
            .bind(row.key)
            .execute(&mut *self.tx)
            .await
            .map_err(database("record more of an item"))?;
        if adds_made {
            let by = self.id_word(new.by).await?;
            if let (Some(place), Some(quantity), 0) = (&new.place, made.filter(|quantity| *quantity > 0), row.place) {
                let place = self.words.number(self.tx, place).await?;
                self.insert_move(row.key, new.at.micros(), [0, place], quantity, by).await?;
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
                    return Ok(Err(TraceRefusal::BuiltIn { item, into }));
                }
            }
        }
        let takes = to.kind() != ItemKind::Container;
        let mut findings = Vec::new();
        for refusal in [self.not_released(new, &from, &to).await?, self.short(new, &from, takes).await?] {
            match refusal {
                Some(refusal) if !new.even_so => return Ok(Err(refusal)),
                refusal => findings.extend(refusal),
            }
        }
        let consumed = if takes { from.consumed.checked_add(quantity) } else { Some(from.consumed) };
        let received = if new.adds { to.received.checked_add(quantity) } else { Some(to.received) };
        let (Some(consumed), Some(received)) = (consumed, received) else {
            return Ok(Err(unfit("quantity", "the sum of all that was used is beyond what can be counted")));
        };
        match way_back(self.tx, from.key, to.key, at).await? {
            Found::Nothing => {}
            Found::Way(way) => {
                let keys: Vec<i64> = std::iter::once(from.key).chain(way).collect();
                return Ok(Err(TraceRefusal::Circle { path: names(self.tx, &keys).await? }));
            }
            Found::TooMuch => {
                let item = self.name(&from).await?;
                return Ok(Err(TraceRefusal::Wide { item, max: REACH_MAX }));
            }
        }
        self.insert_edge(new, &from, &to, position).await?;
        self.sums(from.key, consumed, from.received, [0, 1]).await?;
        self.sums(to.key, to.consumed, received, [1, 0]).await?;
        for refusal in findings {
            let what = if matches!(refusal, TraceRefusal::Short { .. }) { "overdrawn" } else { "not_released" };
            self.finding(what, at, [from.key, to.key], refusal.to_string()).await?;
        }
        self.report.changed += 1;
        Ok(Ok(()))
    }

    async fn recorded_edge(
        &mut self,
        from: &Row,
        to: &Row,
        at: i64,
        position: i64,
    ) -> Result<Option<(i64, i64)>, StoreError> {
        sqlx::query_as(
            "SELECT quantity, adds FROM trace_edge WHERE from_key = ? AND to_key = ? AND at = ? AND position = ?",
        )
        .bind(from.key)
        .bind(to.key)
        .bind(at)
        .bind(position)
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(database("look what went into what"))
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
        let rows: Vec<(i64, i64, Option<i64>)> = sqlx::query_as(
            "SELECT to_key, position, removed_at FROM trace_edge WHERE from_key = ? AND (removed_at IS NULL OR removed_at > ?)",
        )
        .bind(from.key)
        .bind(at)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(database("look where a unit is"))?;
        let elsewhere = rows.iter().find(|row| **row != (to.key, position, None));
        Ok(match elsewhere {
            Some((into, ..)) => Lies::In(*into),
            None if rows.is_empty() => Lies::Free,
            None => Lies::There,
        })
    }

    /// Whether it may not be used. To pack something or to tell a part of it apart is no use, but a part is as good as the whole.
    async fn not_released(&mut self, new: &NewEdge, from: &Row, to: &Row) -> Result<Option<TraceRefusal>, StoreError> {
        let is_told_apart = new.adds && to.state() == from.state();
        if from.state() == Disposition::Released || to.kind() == ItemKind::Container || is_told_apart {
            return Ok(None);
        }
        Ok(Some(TraceRefusal::NotReleased { item: self.name(from).await?, state: from.state() }))
    }

    async fn short(&mut self, new: &NewEdge, from: &Row, takes: bool) -> Result<Option<TraceRefusal>, StoreError> {
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

    async fn insert_edge(&mut self, new: &NewEdge, from: &Row, to: &Row, position: i64) -> Result<(), StoreError> {
        let job = self.id_word(new.job).await?;
        let equipment = self.words.perhaps(self.tx, new.equipment.as_deref()).await?;
        let by = self.id_word(new.by).await?;
        sqlx::query(
            "INSERT INTO trace_edge (from_key, to_key, at, position, quantity, adds, job, equipment, by_id) \
             VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(from.key)
        .bind(to.key)
        .bind(new.at.micros())
        .bind(position)
        .bind(new.quantity)
        .bind(i64::from(new.adds))
        .bind(job)
        .bind(equipment)
        .bind(by)
        .execute(&mut *self.tx)
        .await
        .map_err(database("record what went into what"))?;
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
        let row: Option<(i64, i64, i64, Option<i64>)> = sqlx::query_as(
            "SELECT quantity, adds, given_back, removed_at FROM trace_edge WHERE from_key = ? AND to_key = ? AND at = ? AND position = ?",
        )
        .bind(from.key)
        .bind(to.key)
        .bind(at)
        .bind(position.unwrap_or(-1))
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(database("look what went into what"))?;
        let Some((quantity, adds, kept_back, kept_at)) = row else {
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
        if given_back && adds == 1 && to.left().is_some_and(|left| left < quantity) {
            let item = self.name(&to).await?;
            let (there_is, used) = (to.left().unwrap_or(0), to.consumed);
            return Ok(Err(TraceRefusal::Short { item, there_is, used, wanted: quantity }));
        }
        let by = self.id_word(new.by).await?;
        sqlx::query(
            "UPDATE trace_edge SET removed_at = ?, given_back = ?, replaced_by = ?, removed_by = ? \
             WHERE from_key = ? AND to_key = ? AND at = ? AND position = ?",
        )
        .bind(removed_at)
        .bind(i64::from(given_back))
        .bind(replaced_by)
        .bind(by)
        .bind(from.key)
        .bind(to.key)
        .bind(at)
        .bind(position.unwrap_or(-1))
        .execute(&mut *self.tx)
        .await
        .map_err(database("record what was taken out"))?;
        if given_back && to.kind() != ItemKind::Container {
            self.sums(from.key, from.consumed - quantity, from.received, [0, 0]).await?;
            if adds == 1 {
                self.sums(to.key, to.consumed, to.received - quantity, [0, 0]).await?;
            }
        }
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
        let kept: Option<i64> = sqlx::query_scalar(
            "SELECT quantity FROM trace_move WHERE item = ? AND at = ? AND from_place = ? AND to_place = ?",
        )
        .bind(item.key)
        .bind(at)
        .bind(from)
        .bind(to)
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(database("look where something was moved"))?;
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
        let mut finding = None;
        if from != 0 {
            let there_is = self.lies(item.key, from).await?;
            if there_is < new.quantity {
                let place = new.from.clone().unwrap_or_default();
                let refusal =
                    TraceRefusal::NotThere { item: self.name(&item).await?, place, there_is, wanted: new.quantity };
                if !new.even_so {
                    return Ok(Err(refusal));
                }
                finding = Some(refusal.to_string());
            }
        }
        if to != 0 && self.lies(item.key, to).await?.checked_add(new.quantity).is_none() {
            return Ok(Err(unfit("quantity", "the sum of what lies there is beyond what can be counted")));
        }
        let by = self.id_word(new.by).await?;
        self.insert_move(item.key, at, [from, to], new.quantity, by).await?;
        if let Some(text) = finding {
            self.finding("not_there", at, [item.key, 0], text).await?;
        }
        self.report.changed += 1;
        Ok(Ok(()))
    }

    async fn insert_move(
        &mut self,
        item: i64,
        at: i64,
        [from, to]: [i64; 2],
        quantity: i64,
        by: Option<i64>,
    ) -> Result<(), StoreError> {
        sqlx::query(
            "INSERT INTO trace_move (item, at, from_place, to_place, quantity, by_id) VALUES (?, ?, ?, ?, ?, ?)",
        )
        .bind(item)
        .bind(at)
        .bind(from)
        .bind(to)
        .bind(quantity)
        .bind(by)
        .execute(&mut *self.tx)
        .await
        .map_err(database("record a movement"))?;
        for (place, change) in [(from, -quantity), (to, quantity)] {
            if place != 0 {
                let lies = self.lies(item, place).await?.saturating_add(change);
                self.set_stock(item, place, lies).await?;
            }
        }
        let places: Vec<(i64,)> = sqlx::query_as("SELECT place FROM trace_stock WHERE item = ? LIMIT 2")
            .bind(item)
            .fetch_all(&mut *self.tx)
            .await
            .map_err(database("look where something is"))?;
        let place = match places.as_slice() {
            [] => 0,
            [(place,)] => *place,
            _ => -1,
        };
        sqlx::query("UPDATE trace_item SET place = ? WHERE key = ?")
            .bind(place)
            .bind(item)
            .execute(&mut *self.tx)
            .await
            .map_err(database("record where something is"))?;
        Ok(())
    }

    /// How much of an item lies in a place.
    async fn lies(&mut self, item: i64, place: i64) -> Result<i64, StoreError> {
        let lies: Option<i64> = sqlx::query_scalar("SELECT quantity FROM trace_stock WHERE item = ? AND place = ?")
            .bind(item)
            .bind(place)
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(database("look how much is there"))?;
        Ok(lies.unwrap_or(0))
    }

    async fn set_stock(&mut self, item: i64, place: i64, quantity: i64) -> Result<(), StoreError> {
        let query = if quantity == 0 {
            sqlx::query("DELETE FROM trace_stock WHERE item = ? AND place = ?").bind(item).bind(place)
        } else {
            sqlx::query(
                "INSERT INTO trace_stock (item, place, quantity) VALUES (?, ?, ?) \
                 ON CONFLICT (item, place) DO UPDATE SET quantity = excluded.quantity",
            )
            .bind(item)
            .bind(place)
            .bind(quantity)
        };
        query.execute(&mut *self.tx).await.map_err(database("record how much is there"))?;
        Ok(())
    }

    async fn state(&mut self, new: &NewState) -> Outcome {
        let item = allowed!(self.known(&new.item).await?);
        let at = new.at.micros();
        let kept: Option<i64> = sqlx::query_scalar("SELECT state FROM trace_state WHERE item = ? AND at = ?")
            .bind(item.key)
            .bind(at)
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(database("look what was decided"))?;
        if let Some(kept) = kept {
            if kept == state_number(new.state) {
                self.report.unchanged += 1;
                return Ok(Ok(()));
            }
            let what = format!("the state of {} at that time", self.name(&item).await?);
            let recorded = usize::try_from(kept).ok().and_then(|kept| Disposition::ALL.get(kept));
            let recorded = recorded.map_or("", |state| state.word()).to_owned();
            return Ok(Err(TraceRefusal::Differs { what, recorded, said: new.state.word().to_owned() }));
        }
        let by = self.id_word(new.by).await?;
        self.say_state(item.key, at, new.state, by, &new.why).await?;
        // What was decided last holds, in whatever order it is recorded.
        sqlx::query(
            "UPDATE trace_item SET state = (SELECT s.state FROM trace_state s WHERE s.item = trace_item.key ORDER BY s.at DESC LIMIT 1) WHERE key = ?",
        )
        .bind(item.key)
        .execute(&mut *self.tx)
        .await
        .map_err(database("record what may be done with an item"))?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    async fn say_state(
        &mut self,
        item: i64,
        at: i64,
        state: Disposition,
        by: Option<i64>,
        why: &str,
    ) -> Result<(), StoreError> {
        sqlx::query("INSERT INTO trace_state (item, at, state, by_id, why) VALUES (?, ?, ?, ?, ?)")
            .bind(item)
            .bind(at)
            .bind(state_number(state))
            .bind(by)
            .bind(why.to_owned())
            .execute(&mut *self.tx)
            .await
            .map_err(database("record what may be done with an item"))?;
        Ok(())
    }

    async fn pass(&mut self, new: &NewPass) -> Outcome {
        let unit = allowed!(self.known(&new.unit).await?);
        if unit.kind() != ItemKind::Unit {
            return Ok(Err(unfit("pass", "only a unit passes a station")));
        }
        let equipment = self.words.number(self.tx, &new.equipment).await?;
        let kept: Option<(Option<i64>, String)> =
            sqlx::query_as("SELECT passed, measures FROM trace_pass WHERE unit = ? AND at = ? AND equipment = ?")
                .bind(unit.key)
                .bind(new.at.micros())
                .bind(equipment)
                .fetch_optional(&mut *self.tx)
                .await
                .map_err(database("look whether a unit was at a station"))?;
        let passed = new.passed.map(i64::from);
        if let Some((kept, measures)) = kept {
            let measures: Map<String, Json> = from_json(&measures, "measures of a unit")?;
            return self.same_pass(new, &unit, equipment, (kept, measures)).await;
        }
        let job = self.id_word(new.job).await?;
        let operation = self.words.perhaps(self.tx, new.operation.as_deref()).await?;
        sqlx::query(
            "INSERT INTO trace_pass (unit, at, equipment, job, operation, passed, measures) VALUES (?, ?, ?, ?, ?, ?, ?)",
        )
        .bind(unit.key)
        .bind(new.at.micros())
        .bind(equipment)
        .bind(job)
        .bind(operation)
        .bind(passed)
        .bind(to_json(&new.measures, "measures of a unit")?)
        .execute(&mut *self.tx)
        .await
        .map_err(database("record a unit at a station"))?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    /// More of a pass that is there: the readings of one message may come in two batches.
    async fn same_pass(
        &mut self,
        new: &NewPass,
        unit: &Row,
        equipment: i64,
        (kept, mut measures): (Option<i64>, Map<String, Json>),
    ) -> Outcome {
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
        let is_more =
            (kept.is_none() && passed.is_some()) || new.measures.keys().any(|name| !measures.contains_key(name));
        if !is_more {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        measures.extend(new.measures.clone());
        let text = to_json(&measures, "measures of a unit")?;
        if text.len() > MEASURES {
            return Ok(Err(unfit("measures", "all measures of a pass are more than 64 KiB")));
        }
        sqlx::query(
            "UPDATE trace_pass SET passed = coalesce(passed, ?), measures = ? WHERE unit = ? AND at = ? AND equipment = ?",
        )
        .bind(passed)
        .bind(text)
        .bind(unit.key)
        .bind(new.at.micros())
        .bind(equipment)
        .execute(&mut *self.tx)
        .await
        .map_err(database("record more of a unit at a station"))?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    async fn certificate(&mut self, new: &NewCertificate) -> Outcome {
        let unit = allowed!(self.known(&new.unit).await?);
        if unit.kind() != ItemKind::Unit {
            return Ok(Err(unfit("certificate", "only a unit has one")));
        }
        let kept: Option<(i64, Vec<u8>)> = sqlx::query_as("SELECT unit, bytes FROM trace_certificate WHERE number = ?")
            .bind(new.number.clone())
            .fetch_optional(&mut *self.tx)
            .await
            .map_err(database("look a certificate up"))?;
        if let Some((kept, bytes)) = kept {
            if kept == unit.key && bytes == new.bytes {
                self.report.unchanged += 1;
                return Ok(Ok(()));
            }
            let what = format!("the certificate {}", new.number);
            let recorded = if kept == unit.key { "other bytes" } else { "another unit" }.to_owned();
            return Ok(Err(TraceRefusal::Differs { what, recorded, said: self.name(&unit).await?.to_string() }));
        }
        sqlx::query(
            "INSERT INTO trace_certificate (unit, turn, number, issued_at, sha256, key_id, bytes) \
             SELECT ?, coalesce(max(turn), 0) + 1, ?, ?, ?, ?, ? FROM trace_certificate WHERE unit = ?",
        )
        .bind(unit.key)
        .bind(new.number.clone())
        .bind(new.issued_at.micros())
        .bind(new.sha256.to_vec())
        .bind(new.key_id.clone())
        .bind(new.bytes.clone())
        .bind(unit.key)
        .execute(&mut *self.tx)
        .await
        .map_err(database("keep a certificate"))?;
        self.report.changed += 1;
        Ok(Ok(()))
    }

    async fn finding(&mut self, what: &str, at: i64, [item, other]: [i64; 2], text: String) -> Result<(), StoreError> {
        let done = sqlx::query(
            "INSERT INTO trace_finding (number, what, at, item, other, text) \
             SELECT coalesce(max(number), 0) + 1, ?, ?, ?, ?, ? FROM trace_finding WHERE true ON CONFLICT DO NOTHING",
        )
        .bind(what.to_owned())
        .bind(at)
        .bind(item)
        .bind(other)
        .bind(text)
        .execute(&mut *self.tx)
        .await
        .map_err(database("record a finding of traceability"))?;
        if done.rows_affected() > 0 {
            self.report.findings += 1;
            sqlx::query("DELETE FROM trace_finding WHERE number <= (SELECT max(f.number) FROM trace_finding f) - ?")
                .bind(FINDINGS_MAX)
                .execute(&mut *self.tx)
                .await
                .map_err(database("let an old finding go"))?;
        }
        Ok(())
    }

    async fn sums(&mut self, key: i64, consumed: i64, received: i64, [ins, outs]: [i64; 2]) -> Result<(), StoreError> {
        sqlx::query("UPDATE trace_item SET consumed = ?, received = ?, ins = ins + ?, outs = outs + ? WHERE key = ?")
            .bind(consumed)
            .bind(received)
            .bind(ins)
            .bind(outs)
            .bind(key)
            .execute(&mut *self.tx)
            .await
            .map_err(database("add up what was used"))?;
        Ok(())
    }

    async fn known(&mut self, item: &ItemRef) -> Result<Result<Row, TraceRefusal>, StoreError> {
        Ok(find(self.tx, item).await?.ok_or_else(|| TraceRefusal::Unknown { item: item.to_string() }))
    }

    async fn name(&mut self, row: &Row) -> Result<ItemName, StoreError> {
        let mut texts = super::words::Texts::default();
        texts.of(self.tx, vec![row.material]).await?;
        Ok(row.name(&texts))
    }

    /// Ids repeat as texts do, and a number is shorter.
    async fn id_word(&mut self, id: Option<Uuid>) -> Result<Option<i64>, StoreError> {
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
        Step::State(state) => (Some(&state.item), None),
        Step::Pass(pass) => (Some(&pass.unit), None),
        Step::Certificate(certificate) => (Some(&certificate.unit), None),
    }
}

fn both(names: Vec<ItemName>) -> Result<[ItemName; 2], StoreError> {
    let reason = "an item that was just there is gone".to_owned();
    <[ItemName; 2]>::try_from(names).map_err(|_| StoreError::Damaged { what: "items", reason })
}
