//! What is taken out of something again, and what lies where.
//!
//! What is used lies no longer where it lay, and what is split off lies where the whole lies. From where something was used is noted with
//! its edge: the one place where it lies; of several, the station's own or one above it, else the one with the most of it.

use super::row::Row;
use super::words::Texts;
use super::write::Writing;
use crate::error::{StoreError, database};

/// An edge, by its key in the table.
#[derive(Clone, Copy)]
pub(super) struct Out {
    pub(super) from: i64,
    pub(super) to: i64,
    pub(super) at: i64,
    pub(super) position: i64,
}

impl Writing<'_> {
    /// Ends an edge that is in force.
    pub(super) async fn take_out(
        &mut self,
        out: &Out,
        removed_at: i64,
        given_back: bool,
        replaced_by: Option<i64>,
        by: Option<i64>,
    ) -> Result<(), StoreError> {
        let (quantity, adds, place): (i64, bool, i64) = sqlx::query_as(
            "UPDATE trace_edge SET removed_at = ?, given_back = ?, replaced_by = ?, removed_by = ? \
             WHERE from_key = ? AND to_key = ? AND at = ? AND position = ? RETURNING quantity, adds, place",
        )
        .bind(removed_at)
        .bind(i64::from(given_back))
        .bind(replaced_by)
        .bind(by)
        .bind(out.from)
        .bind(out.to)
        .bind(out.at)
        .bind(out.position)
        .fetch_one(&mut *self.tx)
        .await
        .map_err(database("record what was taken out"))?;
        let is_container: bool = sqlx::query_scalar("SELECT kind = 3 FROM trace_item WHERE key = ?")
            .bind(out.to)
            .fetch_one(&mut *self.tx)
            .await
            .map_err(database("look an item up"))?;
        if given_back && !is_container {
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
        let rows: Vec<(i64, i64, i64, Option<i64>)> = sqlx::query_as(
            "SELECT to_key, at, position, removed_at FROM trace_edge \
             WHERE from_key = ? AND (removed_at IS NULL OR removed_at > ?) ORDER BY at",
        )
        .bind(from.key)
        .bind(at)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(database("look where a unit is"))?;
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
        sqlx::query(
            "UPDATE trace_edge SET removed_at = ? WHERE from_key = ? AND to_key = ? AND at = ? AND position = ?",
        )
        .bind(removed_at)
        .bind(out.from)
        .bind(out.to)
        .bind(out.at)
        .bind(out.position)
        .execute(&mut *self.tx)
        .await
        .map_err(database("record what was taken out"))?;
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
        let found: Option<i64> = sqlx::query_scalar(
            "SELECT 1 FROM trace_edge WHERE from_key = ? AND to_key = ? AND position = ? AND at <= ? \
             AND (removed_at IS NULL OR removed_at > ?) LIMIT 1",
        )
        .bind(from.key)
        .bind(to.key)
        .bind(position)
        .bind(at)
        .bind(at)
        .fetch_optional(&mut *self.tx)
        .await
        .map_err(database("look what is in a position"))?;
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
        let rows: Vec<(i64, i64, Option<i64>, bool)> = sqlx::query_as(
            "SELECT e.from_key, e.at, e.removed_at, i.kind >= 2 FROM trace_edge e JOIN trace_item i ON i.key = e.from_key \
             WHERE e.to_key = ? AND e.position = ? AND (e.removed_at IS NULL OR e.removed_at > ?) ORDER BY e.at",
        )
        .bind(to.key)
        .bind(position)
        .bind(at)
        .fetch_all(&mut *self.tx)
        .await
        .map_err(database("look what is in a position"))?;
        let mut later = None;
        for (former, since, removed_at, is_whole) in rows {
            if since > at {
                later = later.or(Some(since));
            } else if removed_at.is_none() && since < at {
                let out = Out { from: former, to: to.key, at: since, position };
                self.take_out(&out, at, is_whole, Some(from.key), None).await?;
            }
        }
        Ok(later)
    }

    /// From which place something is used that lies there; 0: nobody knows where it lies.
    pub(super) async fn used_from(&mut self, from: &Row, equipment: Option<&str>) -> Result<i64, StoreError> {
        if from.place >= 0 {
            return Ok(from.place);
        }
        let lies: Vec<(i64, i64)> =
            sqlx::query_as("SELECT place, quantity FROM trace_stock WHERE item = ? ORDER BY quantity DESC, place")
                .bind(from.key)
                .fetch_all(&mut *self.tx)
                .await
                .map_err(database("look how much is there"))?;
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
        let used: i64 = sqlx::query_scalar(
            "SELECT coalesce(sum(e.quantity), 0) FROM trace_edge e JOIN trace_item i ON i.key = e.to_key \
             WHERE e.from_key = ? AND e.place = 0 AND e.given_back = 0 AND i.kind <> 3 AND e.adds = 0",
        )
        .bind(item)
        .fetch_one(&mut *self.tx)
        .await
        .map_err(database("look what was used"))?;
        sqlx::query(
            "UPDATE trace_edge SET place = ? WHERE from_key = ? AND place = 0 AND given_back = 0 AND adds = 0 \
             AND to_key IN (SELECT i.key FROM trace_item i WHERE i.kind <> 3)",
        )
        .bind(place)
        .bind(item)
        .execute(&mut *self.tx)
        .await
        .map_err(database("record from where it was used"))?;
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
        sqlx::query(
            "INSERT INTO trace_move (item, at, from_place, to_place, quantity, by_id) VALUES (?, ?, ?, ?, ?, ?) \
             ON CONFLICT (item, at, from_place, to_place) DO UPDATE SET quantity = trace_move.quantity + excluded.quantity",
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
        self.note_place(item).await
    }

    /// Notes with an item where it is.
    async fn note_place(&mut self, item: i64) -> Result<(), StoreError> {
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
    pub(super) async fn lies(&mut self, item: i64, place: i64) -> Result<i64, StoreError> {
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
}
