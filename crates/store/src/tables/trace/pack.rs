//! What is packed lies where its container lies, and goes where it goes.
//!
//! So a place knows all that lies in it, packed or loose, and what lies in a container is not carried away or packed a second time before it
//! is taken out.

use super::row::{ASKED_AT_A_TIME, Row, kind_number, names, push_keys};
use super::stock::Out;
use super::words::Texts;
use super::write::{Outcome, Writing, allowed, both};
use crate::error::StoreError;
use crate::sql::sql;
use crate::trace::{CARRIED_MAX, ItemKind, ItemName, NewEdge, NewMove, NewUnpacking, ONE, TraceRefusal};
use std::collections::BTreeMap;

/// Something in a container.
#[derive(Clone, Copy)]
pub(super) struct Inside {
    key: i64,
    quantity: i64,
    is_whole: bool,
    place: i64,
}

/// What has to be brought, and to where, so that something and its container lie in one place.
#[derive(Default)]
pub(super) struct Brings {
    place: i64,
    moves: Vec<(i64, i64)>,
    inside: Vec<Inside>,
}

impl Writing<'_, '_> {
    /// Why so much of something cannot be carried away from a place; 0: from outside.
    pub(super) async fn not_loose(
        &mut self,
        new: &NewMove,
        item: &Row,
        from: i64,
    ) -> Result<Option<TraceRefusal>, StoreError> {
        let wanted = new.quantity;
        if item.kind().is_whole()
            && let Some(into) = self.is_inside(item.key).await?
        {
            let [item, into] = both(names(self.tx, &[item.key, into]).await?)?;
            return Ok(Some(TraceRefusal::BuiltIn { item, into }));
        }
        if from == 0 {
            let unplaced = if item.kind().is_whole() { None } else { self.unplaced(item).await? };
            return Ok(match unplaced {
                Some(unplaced) if unplaced < wanted => {
                    let there_is = item.left().unwrap_or(0);
                    let placed = there_is.saturating_sub(unplaced);
                    Some(TraceRefusal::Placed { item: self.name(item).await?, there_is, placed, wanted })
                }
                _ => None,
            });
        }
        let there_is = self.lies(item.key, from).await?;
        if there_is < wanted {
            let place = new.from.clone().unwrap_or_default();
            return Ok(Some(TraceRefusal::NotThere { item: self.name(item).await?, place, there_is, wanted }));
        }
        let packed = self.packed(item).await?.at(from);
        let loose = there_is.saturating_sub(packed);
        if loose < wanted {
            return Ok(Some(TraceRefusal::Packed { item: self.name(item).await?, loose, packed, wanted }));
        }
        Ok(None)
    }

    /// What something is in now.
    async fn is_inside(&mut self, item: i64) -> Result<Option<i64>, StoreError> {
        sql("SELECT to_key FROM trace_edge WHERE from_key = $1 AND removed_at IS NULL LIMIT 1")
            .bind(item)
            .first(self.tx, "look where a unit is")
            .await
    }

    /// How much of a lot lies in no known place; `None`: nobody has said how much there was.
    async fn unplaced(&mut self, item: &Row) -> Result<Option<i64>, StoreError> {
        let Some(left) = item.left() else { return Ok(None) };
        let lies: Vec<i64> = sql("SELECT quantity FROM trace_stock WHERE item = $1")
            .bind(item.key)
            .rows(self.tx, "look how much is there")
            .await?;
        Ok(Some(lies.into_iter().fold(left, i64::saturating_sub)))
    }

    /// How much of a lot lies in containers, by their places.
    async fn packed(&mut self, item: &Row) -> Result<PackedIn, StoreError> {
        if item.kind().is_whole() {
            return Ok(PackedIn::default());
        }
        let rows = sql("SELECT c.place, e.quantity FROM trace_edge e JOIN trace_item c ON c.key = e.to_key \
             WHERE e.from_key = $1 AND e.removed_at IS NULL AND c.kind = $2")
        .bind(item.key)
        .bind(kind_number(ItemKind::Container))
        .rows(self.tx, "look what is packed")
        .await?;
        Ok(PackedIn(rows))
    }

    /// All that lies in a container, also in those that lie in it.
    pub(super) async fn inside(&mut self, container: &Row) -> Result<Result<Vec<Inside>, TraceRefusal>, StoreError> {
        let mut all: BTreeMap<i64, Inside> = BTreeMap::new();
        let mut next = vec![container.key];
        while !next.is_empty() {
            let mut found: Vec<(i64, i64, i64, i64)> = Vec::new();
            for keys in next.chunks(ASKED_AT_A_TIME) {
                let mut query = sql(
                    "SELECT e.from_key, e.quantity, i.kind, i.place FROM trace_edge e JOIN trace_item i ON i.key = e.from_key \
                     WHERE e.removed_at IS NULL AND e.to_key IN ",
                );
                push_keys(&mut query, keys);
                query.push(" LIMIT ").push_bind(CARRIED_MAX + 1);
                let more: Vec<(i64, i64, i64, i64)> = query.rows(self.tx, "look what lies in a container").await?;
                found.extend(more);
                if found.len() > CARRIED_MAX {
                    break;
                }
            }
            next.clear();
            // Of a lot that was packed piece by piece each piece counts, for no more rows were read.
            let is_cut = found.len() > CARRIED_MAX;
            for (key, quantity, kind, place) in found {
                if kind == kind_number(ItemKind::Container) && !all.contains_key(&key) {
                    next.push(key);
                }
                let is_whole = kind >= kind_number(ItemKind::Unit);
                let one = all.entry(key).or_insert(Inside { key, quantity: 0, is_whole, place });
                one.quantity = if is_whole { ONE } else { one.quantity.saturating_add(quantity) };
            }
            if is_cut || all.len() > CARRIED_MAX {
                let reason = format!("more than {CARRIED_MAX} things lie in it; carry a part of them at a time");
                return Ok(Err(TraceRefusal::Unfit { what: "container", reason }));
            }
        }
        Ok(Ok(all.into_values().collect()))
    }

    /// Carries what lies in a container along with it.
    pub(super) async fn carry_along(
        &mut self,
        inside: &[Inside],
        at: i64,
        [from, to]: [i64; 2],
        by: Option<i64>,
    ) -> Result<(), StoreError> {
        for one in inside {
            // A whole thing knows where it lies, also if that is not where its container was thought to be.
            let from = if one.is_whole && one.place >= 0 { one.place } else { from };
            if from == to {
                continue;
            }
            let there_is = if from == 0 { one.quantity } else { self.lies(one.key, from).await? };
            if there_is < one.quantity {
                let text = self.not_there(one, from, there_is).await?.to_string();
                self.finding("not_there", at, [one.key, 0], text).await?;
            }
            self.insert_move(one.key, at, [from, to], one.quantity, by).await?;
        }
        Ok(())
    }

    async fn not_there(&mut self, one: &Inside, place: i64, there_is: i64) -> Result<TraceRefusal, StoreError> {
        let item = self.one_name(one.key).await?;
        Ok(TraceRefusal::NotThere { item, place: self.place_text(place).await?, there_is, wanted: one.quantity })
    }

    async fn one_name(&mut self, key: i64) -> Result<ItemName, StoreError> {
        let reason = "an item that was just there is gone".to_owned();
        let name = names(self.tx, &[key]).await?.pop();
        name.ok_or(StoreError::Damaged { what: "items", reason })
    }

    pub(super) async fn place_text(&mut self, place: i64) -> Result<String, StoreError> {
        let mut texts = Texts::default();
        texts.of(self.tx, vec![place]).await?;
        Ok(texts.text(place))
    }

    /// What has to be brought so that something can be packed: what nobody has said the place of lies where the other of the two lies.
    pub(super) async fn packing(
        &mut self,
        new: &NewEdge,
        item: &Row,
        container: &Row,
    ) -> Result<Result<Brings, TraceRefusal>, StoreError> {
        let (wanted, is_whole) = (new.quantity, item.kind().is_whole());
        let packed = self.packed(item).await?;
        if let (Some(left), false) = (item.left(), is_whole)
            && left.saturating_sub(packed.all()) < wanted
        {
            let (loose, packed) = (left.saturating_sub(packed.all()), packed.all());
            return Ok(Err(TraceRefusal::Packed { item: self.name(item).await?, loose, packed, wanted }));
        }
        let place = if container.place == 0 { item.place } else { container.place };
        if place < 0 {
            let reason = "it lies in no one place: say first where it is".to_owned();
            return Ok(Err(TraceRefusal::Unfit { what: "container", reason }));
        }
        if place == 0 {
            return Ok(Ok(Brings::default()));
        }
        if self.is_vessel(place).await? {
            return Ok(Err(TraceRefusal::InVessel { place: self.place_text(place).await? }));
        }
        if container.place == 0 && self.is_inside(container.key).await?.is_some() {
            let reason = "it lies in another of which nobody has said where it is: say that first".to_owned();
            return Ok(Err(TraceRefusal::Unfit { what: "container", reason }));
        }
        let lies = if is_whole { 0 } else { self.lies(item.key, place).await? };
        let loose = match is_whole {
            true => i64::from(item.place == place) * ONE,
            false => lies.saturating_sub(packed.at(place)),
        };
        let missing = wanted.saturating_sub(loose.max(0));
        let can_come = match (is_whole, self.unplaced(item).await?) {
            (true, _) => item.place == 0,
            (false, Some(unplaced)) => unplaced >= missing,
            (false, None) => item.place == 0 || lies != 0,
        };
        if missing > 0 && !can_come {
            let (item, place) = (self.name(item).await?, self.place_text(place).await?);
            return Ok(Err(TraceRefusal::NotThere { item, place, there_is: loose, wanted }));
        }
        let mut brings = Brings { place, ..Brings::default() };
        for (row, quantity) in [(item, missing), (container, i64::from(container.place == 0) * ONE)] {
            if quantity > 0 {
                brings.moves.push((row.key, quantity));
                if row.kind() == ItemKind::Container {
                    brings.inside = allowed!(self.inside(row).await?);
                }
            }
        }
        Ok(Ok(brings))
    }

    /// Brings what has to be.
    pub(super) async fn bring(&mut self, brings: &Brings, new: &NewEdge) -> Result<(), StoreError> {
        let (at, way) = (new.at.micros(), [0, brings.place]);
        let by = self.id_word(new.by).await?;
        for (item, quantity) in &brings.moves {
            self.insert_move(*item, at, way, *quantity, by).await?;
        }
        self.carry_along(&brings.inside, at, way, by).await
    }

    /// Takes something out of a container.
    pub(super) async fn unpack(&mut self, new: &NewUnpacking) -> Outcome {
        let item = allowed!(self.known(&new.item).await?);
        let container = allowed!(self.known(&new.container).await?);
        if container.kind() != ItemKind::Container {
            let reason = "it is none: a part of a unit is exchanged".to_owned();
            return Ok(Err(TraceRefusal::Unfit { what: "container", reason }));
        }
        let at = new.at.micros();
        let rows: Vec<(i64, i64, i64, Option<i64>)> =
            sql("SELECT at, position, quantity, removed_at FROM trace_edge WHERE from_key = $1 AND to_key = $2 \
             AND (removed_at IS NULL OR removed_at = $3) ORDER BY at DESC, position")
            .bind(item.key)
            .bind(container.key)
            .bind(at)
            .rows(self.tx, "look what lies in a container")
            .await?;
        if rows.iter().any(|(.., removed_at)| removed_at.is_some()) {
            self.report.unchanged += 1;
            return Ok(Ok(()));
        }
        let there_is = rows.iter().fold(0_i64, |sum, (_, _, quantity, _)| sum.saturating_add(*quantity));
        let wanted = new.quantity.unwrap_or(there_is);
        if rows.is_empty() || there_is < wanted || (item.kind().is_whole() && wanted != ONE) {
            let [item, into] = both(names(self.tx, &[item.key, container.key]).await?)?;
            let wanted = new.quantity.unwrap_or(ONE);
            return Ok(Err(TraceRefusal::NotPacked { item, into: Box::new(into), there_is, wanted }));
        }
        if rows.iter().any(|(since, ..)| *since >= at) {
            let reason = "nothing is taken out before or when it goes in".to_owned();
            return Ok(Err(TraceRefusal::Unfit { what: "time", reason }));
        }
        let by = self.id_word(new.by).await?;
        let mut wanted = wanted;
        for (since, position, quantity, _) in rows {
            if wanted <= 0 {
                break;
            }
            let out = Out { from: item.key, to: container.key, at: since, position };
            self.take_out(&out, at, true, None, by).await?;
            if quantity > wanted {
                self.leave_inside(new, &item, &container, position, quantity - wanted).await?;
            }
            wanted = wanted.saturating_sub(quantity);
        }
        self.report.changed += 1;
        Ok(Ok(()))
    }

    /// What of a lot stays in there is packed from now on.
    async fn leave_inside(
        &mut self,
        new: &NewUnpacking,
        item: &Row,
        container: &Row,
        position: i64,
        quantity: i64,
    ) -> Result<(), StoreError> {
        let stays = NewEdge {
            from: new.item.clone(),
            to: new.container.clone(),
            quantity,
            position: String::new(),
            at: new.at,
            job: None,
            equipment: None,
            by: new.by,
            adds: false,
            even_so: false,
            replaces: false,
        };
        self.insert_edge(&stays, item, container, position, 0).await?;
        self.sums(item.key, 0, 0, [0, 1]).await?;
        self.sums(container.key, 0, 0, [1, 0]).await
    }
}

/// How much of a lot lies in containers: place and quantity of each.
#[derive(Default)]
struct PackedIn(Vec<(i64, i64)>);

impl PackedIn {
    fn all(&self) -> i64 {
        self.0.iter().fold(0, |sum, (_, quantity)| sum.saturating_add(*quantity))
    }

    fn at(&self, place: i64) -> i64 {
        self.0.iter().filter(|(at, _)| *at == place).fold(0, |sum, (_, quantity)| sum.saturating_add(*quantity))
    }
}
