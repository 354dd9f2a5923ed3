//! What is taken out of something again, and what lies where.
//!
//! What is used lies no longer where it lay, and what is split off lies where the whole lies. From where something was used is noted with
//! its edge: the one place where it lies; of several, the station's own or one above it, else the one with the most of it.

use super::row::{Row, kind_number};
use super::words::Texts;
use super::write::Writing;
use crate::error::StoreError;
use crate::sql::sql;
use crate::trace::ItemKind;

/// An edge, by its key in the table.
#[derive(Clone, Copy)]
pub(super) struct Out {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) at: i64,
    pub(super) position: i64,
}

impl Writing<'_, '_> {
    /// Ends an edge that is in force.
    pub(super) async fn take_out(
        &mut self,
        out: &Out,
        removed_at: i64,
        given_back: bool,
        replaced_by: Option<i64>,
        by: Option<i64>,
    ) -> Result<(), StoreError> {
        let (quantity, adds, place): (i64, bool, i64) =
            sql("UPDATE trace_edge SET removed_at = $1, given_back = $2, replaced_by = $3, removed_by = $4 \
             WHERE from_key = $5 AND to_key = $6 AND at = $7 AND position = $8 RETURNING quantity, adds, place")
            .bind(removed_at)
            .bind(given_back)
            .bind(replaced_by)
            .bind(by)
            .bind(out.from)
            .bind(out.to)
            .bind(out.at)
            .bind(out.position)
            .only(self.tx, "record what was taken out")
            .await?;
        let kind: i64 =
            sql("SELECT kind FROM trace_item WHERE key = $1").bind(out.to).only(self.tx, "look an item up").await?;
        if given_back && kind != kind_number(ItemKind::Container) {
            self.sums(out.from, -quantity, 0, [0, 0]).await?;
            if adds {
                self.sums(out.to, 0, -quantity, [0, 0]).await?;
            }
            self.shift(out.from, out.to, place, quantity, adds).await?;
        }
        Ok(())
    }

    /// Takes a unit out where it is at that time. If it came somewhere else later: when, and until then it is free.
    pub(super) async fn move_out(&mut self, from: &Row, at: i64) -> Result<Option<i64>, StoreError> {
        let rows: Vec<(i64, i64, i64, Option<i64>)> = sql("SELECT to_key, at, position, removed_at FROM trace_edge \
             WHERE from_key = $1 AND (removed_at IS NULL OR removed_at > $2) ORDER BY at")
        .bind(from.key)
        .bind(at)
        .rows(self.tx, "look where a unit is")
        .await?;
        let mut later = None;
        for (to, since, position, removed_at) in rows {
            if since > at {
                later = later.or(Some(since));
            } else if since < at {
                let out = Out { from: from.key, to, at: since, position };
                if removed_at.is_none() {
                    self.take_out(&out, at, true, None, None).await?;
                } else {
                    self.shorten(&out, at).await?;
                }
            } else {
                // Two said the same instant: what was said first holds for the shortest time there is.
                let out = Out { from: from.key, to, at: since, position };
                if removed_at.is_none() {
                    self.take_out(&out, at + 1, true, None, None).await?;
                } else {
                    self.shorten(&out, at + 1).await?;
                }
            }
        }
        Ok(later)
    }

    /// An edge that ended already ended earlier than was known.
    async fn shorten(&mut self, out: &Out, removed_at: i64) -> Result<(), StoreError> {
        sql("UPDATE trace_edge SET removed_at = $1 WHERE from_key = $2 AND to_key = $3 AND at = $4 AND position = $5")
            .bind(removed_at)
            .bind(out.from)
            .bind(out.to)
            .bind(out.at)
            .bind(out.position)
            .run(self.tx, "record what was taken out")
            .await?;
        Ok(())
    }

    /// Whether it is in that position at that time.
    pub(super) async fn is_in_there(
        &mut self,
        from: &Row,
        to: &Row,
        at: i64,
        position: i64,
    ) -> Result<bool, StoreError> {
        let found: Option<i64> =
            sql("SELECT quantity FROM trace_edge WHERE from_key = $1 AND to_key = $2 AND position = $3 AND at <= $4 \
             AND (removed_at IS NULL OR removed_at > $5) LIMIT 1")
            .bind(from.key)
            .bind(to.key)
            .bind(position)
            .bind(at)
            .bind(at)
            .first(self.tx, "look what is in a position")
            .await?;
        Ok(found.is_some())
    }

    /// Takes out what is in that position at that time. If something came there later: when.
    pub(super) async fn replace(
        &mut self,
        from: &Row,
        to: &Row,
        at: i64,
        position: i64,
    ) -> Result<Option<i64>, StoreError> {
        let rows: Vec<(i64, i64, Option<i64>, i64)> = sql(
            "SELECT e.from_key, e.at, e.removed_at, i.kind FROM trace_edge e JOIN trace_item i ON i.key = e.from_key \
             WHERE e.to_key = $1 AND e.position = $2 AND (e.removed_at IS NULL OR e.removed_at > $3) ORDER BY e.at",
        )
        .bind(to.key)
        .bind(position)
        .bind(at)
        .rows(self.tx, "look what is in a position")
        .await?;
        let mut later = None;
        for (former, since, removed_at, kind) in rows {
            if since > at {
                later = later.or(Some(since));
            } else if removed_at.is_none() && since < at {
                let is_whole = kind >= kind_number(ItemKind::Unit);
                let out = Out { from: former, to: to.key, at: since, position };
                self.take_out(&out, at, is_whole, Some(from.key), None).await?;
            }
        }
        Ok(later)
    }

    /// From which place something is used that lies there; 0: nobody knows where it lies.
    pub(super) async fn used_from(&mut self, from: &Row, equipment: Option<&str>) -> Result<i64, StoreError> {
        if from.place >= 0 {
            // What lies in a vessel is mixed with others: nobody uses it alone from there.
            return Ok(if self.is_vessel(from.place).await? { 0 } else { from.place });
        }
        let mut lies: Vec<(i64, i64)> =
            sql("SELECT place, quantity FROM trace_stock WHERE item = $1 ORDER BY quantity DESC, place")
                .bind(from.key)
                .rows(self.tx, "look how much is there")
                .await?;
        self.is_vessel(0).await?;
        lies.retain(|(place, _)| self.vessels.as_ref().is_none_or(|vessels| !vessels.contains(place)));
        let mut texts = Texts::default();
        texts.of(self.tx, lies.iter().map(|(place, _)| *place).collect()).await?;
        let is_at = |place: i64| {
            let place = texts.text(place);
            equipment
                .and_then(|path| path.strip_prefix(place.as_str()))
                .is_some_and(|rest| rest.is_empty() || rest.starts_with('/'))
        };
        let near = lies.iter().filter(|(place, _)| is_at(*place)).max_by_key(|(place, _)| texts.text(*place).len());
        Ok(near.or(lies.first()).map_or(0, |(place, _)| *place))
    }

    /// What was used before anybody said where it lay was used from there.
    pub(super) async fn was_used_from(&mut self, item: i64, place: i64) -> Result<(), StoreError> {
        let used: i64 = sql(
            "SELECT CAST(coalesce(sum(e.quantity), 0) AS BIGINT) FROM trace_edge e JOIN trace_item i ON i.key = e.to_key \
             WHERE e.from_key = $1 AND e.place = 0 AND e.given_back = 0 AND i.kind <> 3 AND e.adds = 0",
        )
        .bind(item)
        .only(self.tx, "look what was used")
.await?;
        sql("UPDATE trace_edge SET place = $1 WHERE from_key = $2 AND place = 0 AND given_back = 0 AND adds = 0 \
             AND to_key IN (SELECT i.key FROM trace_item i WHERE i.kind <> 3)")
        .bind(place)
        .bind(item)
        .run(self.tx, "record from where it was used")
        .await?;
        let lies = self.lies(item, place).await?.saturating_sub(used);
        self.set_stock(item, place, lies).await?;
        self.note_place(item).await
    }

    /// What was used lies no longer there, or again; what is split off lies there.
    pub(super) async fn shift(
        &mut self,
        from: i64,
        to: i64,
        place: i64,
        change: i64,
        adds: bool,
    ) -> Result<(), StoreError> {
        if place == 0 || change == 0 {
            return Ok(());
        }
        for (item, change) in [(from, change), (to, if adds { -change } else { 0 })] {
            if change != 0 {
                let lies = self.lies(item, place).await?.saturating_add(change);
                self.set_stock(item, place, lies).await?;
                self.note_place(item).await?;
            }
        }
        Ok(())
    }

    pub(super) async fn insert_move(
        &mut self,
        item: i64,
        at: i64,
        [from, to]: [i64; 2],
        quantity: i64,
        by: Option<i64>,
    ) -> Result<(), StoreError> {
        sql("INSERT INTO trace_move (item, at, from_place, to_place, quantity, by_id) VALUES ($1, $2, $3, $4, $5, $6) \
             ON CONFLICT (item, at, from_place, to_place) DO UPDATE SET quantity = trace_move.quantity + excluded.quantity")
        .bind(item)
        .bind(at)
        .bind(from)
        .bind(to)
        .bind(quantity)
        .bind(by)
        .run(self.tx, "record a movement")
        .await?;
        for (place, change) in [(from, -quantity), (to, quantity)] {
            if place != 0 {
                let lies = self.lies(item, place).await?.saturating_add(change);
                self.set_stock(item, place, lies).await?;
            }
        }
        self.note_place(item).await
    }

    /// Notes with an item where it is.
    async fn note_place(&mut self, item: i64) -> Result<(), StoreError> {
        let places: Vec<i64> = sql("SELECT place FROM trace_stock WHERE item = $1 LIMIT 2")
            .bind(item)
            .rows(self.tx, "look where something is")
            .await?;
        let place = match places.as_slice() {
            [] => 0,
            [place] => *place,
            _ => -1,
        };
        sql("UPDATE trace_item SET place = $1 WHERE key = $2")
            .bind(place)
            .bind(item)
            .run(self.tx, "record where something is")
            .await?;
        Ok(())
    }

    /// How much of an item lies in a place.
    pub(super) async fn lies(&mut self, item: i64, place: i64) -> Result<i64, StoreError> {
        let lies: Option<i64> = sql("SELECT quantity FROM trace_stock WHERE item = $1 AND place = $2")
            .bind(item)
            .bind(place)
            .first(self.tx, "look how much is there")
            .await?;
        Ok(lies.unwrap_or(0))
    }

    async fn set_stock(&mut self, item: i64, place: i64, quantity: i64) -> Result<(), StoreError> {
        let query = if quantity == 0 {
            sql("DELETE FROM trace_stock WHERE item = $1 AND place = $2").bind(item).bind(place)
        } else {
            sql("INSERT INTO trace_stock (item, place, quantity) VALUES ($1, $2, $3) \
                 ON CONFLICT (item, place) DO UPDATE SET quantity = excluded.quantity")
            .bind(item)
            .bind(place)
            .bind(quantity)
        };
        query.run(self.tx, "record how much is there").await?;
        Ok(())
    }
}
