//! Lists: items, movements, stock, states, passes, certificates, findings.

use super::row::{ASKED_AT_A_TIME, COLUMNS, Row, find, items, kind_number, rows, state_number, state_of};
use super::words::{Texts, number_of};
use crate::error::{StoreError, database};
use crate::sqlite::{Store, from_json, to_id};
use crate::trace::{
    CertificateBrief, Finding, Item, ItemFilter, ItemKind, ItemRef, LyingMaterial, Move, ONE, PAGE_MAX, Packed, PassAt,
    StateSaid, StoredCertificate, Wrong,
};
use andon_model::Timestamp;
use sqlx::pool::PoolConnection;
use sqlx::sqlite::Sqlite;
use sqlx::{QueryBuilder, SqliteConnection};
use std::collections::HashMap;
use uuid::Uuid;

/// As many findings of a check are told.
const WRONG_MAX: i64 = 1_000;

/// A row of `trace_pass`.
type PassRow = (i64, i64, i64, Option<i64>, Option<i64>, Option<i64>, String);
const PASS_COLUMNS: &str = "SELECT unit, at, equipment, job, operation, passed, measures FROM trace_pass WHERE ";

impl Store {
    async fn view(&self, doing: &'static str) -> Result<PoolConnection<Sqlite>, StoreError> {
        self.readers().acquire().await.map_err(database(doing))
    }

    pub(super) async fn one_item(&self, item: &ItemRef) -> Result<Option<Item>, StoreError> {
        let mut view = self.view("look an item up").await?;
        match find(&mut view, item).await? {
            Some(row) => Ok(items(&mut view, &[row]).await?.pop()),
            None => Ok(None),
        }
    }

    pub(super) async fn items(&self, filter: ItemFilter) -> Result<Vec<Item>, StoreError> {
        let mut view = self.view("look for items").await?;
        let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
        query.push(COLUMNS).push(" FROM trace_item WHERE 1 = 1");
        if let Some(material) = &filter.material {
            let Some(number) = number_of(&mut view, material).await? else { return Ok(Vec::new()) };
            query.push(" AND material = ").push_bind(number);
        }
        let begins = filter.begins.as_deref().filter(|begins| !begins.is_empty());
        if let Some(kind) = filter.kind {
            // Without a beginning, the index of names would give everything of a material, to be sorted: the plus keeps it out.
            query.push(if begins.is_some() { " AND kind = " } else { " AND +kind = " }).push_bind(kind_number(kind));
        }
        if let Some(state) = filter.state {
            query.push(" AND state = ").push_bind(state_number(state));
        }
        if let Some(begins) = begins {
            // From it to before the first text that does not begin so, which an index understands.
            query.push(" AND number >= ").push_bind(begins.to_owned());
            query.push(" AND number < ").push_bind(format!("{begins}{}", char::MAX));
        }
        if let Some(number) = &filter.number {
            query.push(" AND number = ").push_bind(number.clone());
        }
        if let Some(before) = filter.before {
            let Some(row) = find(&mut view, &ItemRef::Id(before)).await? else { return Ok(Vec::new()) };
            query.push(" AND key < ").push_bind(row.key);
        }
        // What begins so, or is known by its number, is found by an index and sorted; everything else is read in the order of the keys.
        query.push(if begins.is_some() || filter.number.is_some() {
            " ORDER BY +key DESC LIMIT "
        } else {
            " ORDER BY key DESC LIMIT "
        });
        query.push_bind(i64::from(filter.limit.min(PAGE_MAX)));
        let found: Vec<Row> = query.build_query_as().fetch_all(&mut *view).await.map_err(database("look for items"))?;
        items(&mut view, &found).await
    }

    pub(super) async fn numbered(&self, numbers: Vec<String>) -> Result<Vec<Item>, StoreError> {
        let mut view = self.view("look for units by their numbers").await?;
        let mut found: Vec<Row> = Vec::new();
        for numbers in numbers.chunks(ASKED_AT_A_TIME) {
            let mut query = QueryBuilder::<Sqlite>::new("SELECT ");
            query.push(COLUMNS).push(" FROM trace_item WHERE number IN (");
            let mut list = query.separated(", ");
            for number in numbers {
                list.push_bind(number.clone());
            }
            // As many as materials have these numbers: none may be missing.
            query.push(") AND +kind = ").push_bind(kind_number(ItemKind::Unit));
            query.push(" ORDER BY +key DESC");
            let more: Vec<Row> =
                query.build_query_as().fetch_all(&mut *view).await.map_err(database("look for units"))?;
            found.extend(more);
        }
        items(&mut view, &found).await
    }

    pub(super) async fn moves(&self, item: Uuid, before: Option<Move>, limit: u32) -> Result<Vec<Move>, StoreError> {
        let mut view = self.view("read movements").await?;
        let Some(row) = find(&mut view, &ItemRef::Id(item)).await? else { return Ok(Vec::new()) };
        let mut last = (i64::MAX, i64::MAX, i64::MAX);
        if let Some(before) = before {
            let mut number = async |place: Option<String>| {
                Ok::<_, StoreError>(number_of(&mut view, &place.unwrap_or_default()).await?.unwrap_or(0))
            };
            last = (before.at.micros(), number(before.from).await?, number(before.to).await?);
        }
        let found: Vec<(i64, i64, i64, i64, Option<i64>)> = sqlx::query_as(
            "SELECT at, from_place, to_place, quantity, by_id FROM trace_move WHERE item = ? \
             AND (at, from_place, to_place) < (?, ?, ?) ORDER BY at DESC, from_place DESC, to_place DESC LIMIT ?",
        )
        .bind(row.key)
        .bind(last.0)
        .bind(last.1)
        .bind(last.2)
        .bind(i64::from(limit.min(PAGE_MAX)))
        .fetch_all(&mut *view)
        .await
        .map_err(database("read movements"))?;
        let mut texts = Texts::default();
        let words = found.iter().flat_map(|(_, from, to, _, by)| [Some(*from), Some(*to), *by]).flatten().collect();
        texts.of(&mut view, words).await?;
        let moved = |(at, from, to, quantity, by)| Move {
            quantity,
            from: texts.perhaps(Some(from)),
            to: texts.perhaps(Some(to)),
            at: Timestamp::from_micros(at),
            by: texts.id(by),
        };
        Ok(found.into_iter().map(moved).collect())
    }

    pub(super) async fn stock(&self, item: Uuid) -> Result<Vec<(String, i64)>, StoreError> {
        sqlx::query_as(
            "SELECT w.text, s.quantity FROM trace_item i JOIN trace_stock s ON s.item = i.key \
             JOIN trace_word w ON w.number = s.place WHERE i.id = ? ORDER BY w.text",
        )
        .bind(item.as_bytes().to_vec())
        .fetch_all(self.readers())
        .await
        .map_err(database("look how much is where"))
    }

    pub(super) async fn stock_in(
        &self,
        place: String,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<(Item, i64)>, StoreError> {
        let mut view = self.view("look what lies in a place").await?;
        let Some(place) = number_of(&mut view, &place).await? else { return Ok(Vec::new()) };
        let before = key_before(&mut view, before).await?;
        let found: Vec<(i64, i64)> = sqlx::query_as(
            "SELECT item, quantity FROM trace_stock WHERE place = ? AND item < ? ORDER BY item DESC LIMIT ?",
        )
        .bind(place)
        .bind(before)
        .bind(i64::from(limit.min(PAGE_MAX)))
        .fetch_all(&mut *view)
        .await
        .map_err(database("look what lies in a place"))?;
        let keys: Vec<i64> = found.iter().map(|(key, _)| *key).collect();
        let items = newest_first(&mut view, &keys).await?;
        Ok(items.into_iter().zip(found.into_iter().map(|(_, quantity)| quantity)).collect())
    }

    pub(super) async fn materials_in(&self, place: String, limit: u32) -> Result<Vec<LyingMaterial>, StoreError> {
        let mut view = self.view("look what lies in a place").await?;
        let Some(place) = number_of(&mut view, &place).await? else { return Ok(Vec::new()) };
        // Whole units and millionths are summed apart, for the sum of many is beyond what a number of the database holds.
        type Row = (String, i64, i64, i64, i64, i64);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT w.text, count(*), sum(s.quantity / 1000000), sum(s.quantity % 1000000), \
             sum(CASE WHEN i.state = 0 THEN s.quantity / 1000000 ELSE 0 END), \
             sum(CASE WHEN i.state = 0 THEN s.quantity % 1000000 ELSE 0 END) \
             FROM trace_stock s JOIN trace_item i ON i.key = s.item JOIN trace_word w ON w.number = i.material \
             WHERE s.place = ? GROUP BY w.text ORDER BY w.text LIMIT ?",
        )
        .bind(place)
        .bind(i64::from(limit.min(PAGE_MAX)))
        .fetch_all(&mut *view)
        .await
        .map_err(database("add up what lies in a place"))?;
        let sum = |whole: i64, part: i64| i128::from(whole) * i128::from(ONE) + i128::from(part);
        let lying = |(material, items, whole, part, good_whole, good_part): Row| LyingMaterial {
            material,
            items,
            quantity: sum(whole, part),
            released: sum(good_whole, good_part),
        };
        Ok(rows.into_iter().map(lying).collect())
    }

    pub(super) async fn places(&self, limit: u32) -> Result<Vec<(String, i64)>, StoreError> {
        sqlx::query_as(
            "SELECT w.text, s.items FROM (SELECT place, count(*) AS items FROM trace_stock GROUP BY place) s \
             JOIN trace_word w ON w.number = s.place ORDER BY w.text LIMIT ?",
        )
        .bind(i64::from(limit.min(PAGE_MAX)))
        .fetch_all(self.readers())
        .await
        .map_err(database("look where something lies"))
    }

    pub(super) async fn contents(
        &self,
        container: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Packed>, StoreError> {
        let mut view = self.view("look what lies in a container").await?;
        let Some(row) = find(&mut view, &ItemRef::Id(container)).await? else { return Ok(Vec::new()) };
        let before = key_before(&mut view, before).await?;
        let found: Vec<(i64, i64, i64)> = sqlx::query_as(
            "SELECT from_key, sum(quantity), max(at) FROM trace_edge WHERE to_key = ? AND removed_at IS NULL \
             AND from_key < ? GROUP BY from_key ORDER BY from_key DESC LIMIT ?",
        )
        .bind(row.key)
        .bind(before)
        .bind(i64::from(limit.min(PAGE_MAX)))
        .fetch_all(&mut *view)
        .await
        .map_err(database("look what lies in a container"))?;
        let keys: Vec<i64> = found.iter().map(|(key, ..)| *key).collect();
        let items = newest_first(&mut view, &keys).await?;
        let packed = |(item, (_, quantity, at))| Packed { item, quantity, at: Timestamp::from_micros(at) };
        Ok(items.into_iter().zip(found).map(packed).collect())
    }

    pub(super) async fn states(&self, item: Uuid, after: Option<Timestamp>) -> Result<Vec<StateSaid>, StoreError> {
        let mut view = self.view("read what was decided").await?;
        let found: Vec<(i64, i64, Option<i64>, String)> = sqlx::query_as(
            "SELECT s.at, s.state, s.by_id, s.why FROM trace_item i JOIN trace_state s ON s.item = i.key \
             WHERE i.id = ? AND s.at > ? ORDER BY s.at LIMIT ?",
        )
        .bind(item.as_bytes().to_vec())
        .bind(after.map_or(i64::MIN, Timestamp::micros))
        .bind(i64::from(PAGE_MAX))
        .fetch_all(&mut *view)
        .await
        .map_err(database("read what was decided"))?;
        let mut texts = Texts::default();
        texts.of(&mut view, found.iter().filter_map(|(_, _, by, _)| *by).collect()).await?;
        let said = |(at, state, by, why): (i64, i64, Option<i64>, String)| StateSaid {
            state: state_of(state),
            at: Timestamp::from_micros(at),
            by: texts.id(by),
            why,
        };
        Ok(found.into_iter().map(said).collect())
    }

    pub(super) async fn passes(
        &self,
        unit: Uuid,
        after: Option<(Timestamp, String)>,
    ) -> Result<Vec<PassAt>, StoreError> {
        let mut view = self.view("read where a unit was").await?;
        let Some(row) = find(&mut view, &ItemRef::Id(unit)).await? else { return Ok(Vec::new()) };
        let mut query = QueryBuilder::<Sqlite>::new(PASS_COLUMNS);
        query.push("unit = ").push_bind(row.key);
        if let Some((at, equipment)) = after {
            let equipment = number_of(&mut view, &equipment).await?.unwrap_or(0);
            query.push(" AND (at, equipment) > (").push_bind(at.micros()).push(", ").push_bind(equipment).push(")");
        }
        query.push(" ORDER BY at, equipment LIMIT ").push_bind(i64::from(PAGE_MAX));
        let found: Vec<PassRow> =
            query.build_query_as().fetch_all(&mut *view).await.map_err(database("read where a unit was"))?;
        passes(&mut view, found).await
    }

    pub(super) async fn passes_at(
        &self,
        equipment: String,
        (from, to): (Timestamp, Timestamp),
        before: Option<(Timestamp, Uuid)>,
        limit: u32,
    ) -> Result<Vec<PassAt>, StoreError> {
        let mut view = self.view("read which units were at a station").await?;
        let Some(equipment) = number_of(&mut view, &equipment).await? else { return Ok(Vec::new()) };
        let mut query = QueryBuilder::<Sqlite>::new(PASS_COLUMNS);
        query.push("equipment = ").push_bind(equipment);
        query.push(" AND at >= ").push_bind(from.micros()).push(" AND at < ").push_bind(to.micros());
        if let Some((at, unit)) = before {
            let unit = find(&mut view, &ItemRef::Id(unit)).await?.map_or(0, |row| row.key);
            query.push(" AND (at, unit) < (").push_bind(at.micros()).push(", ").push_bind(unit).push(")");
        }
        query.push(" ORDER BY at DESC, unit DESC LIMIT ").push_bind(i64::from(limit.min(PAGE_MAX)));
        let found: Vec<PassRow> = query
            .build_query_as()
            .fetch_all(&mut *view)
            .await
            .map_err(database("read which units were at a station"))?;
        passes(&mut view, found).await
    }

    pub(super) async fn pass_before(&self, equipment: String, at: Timestamp) -> Result<Option<PassAt>, StoreError> {
        let mut view = self.view("read which unit was at a station").await?;
        let Some(equipment) = number_of(&mut view, &equipment).await? else { return Ok(None) };
        let mut query = QueryBuilder::<Sqlite>::new(PASS_COLUMNS);
        query.push("equipment = ").push_bind(equipment).push(" AND at < ").push_bind(at.micros());
        query.push(" ORDER BY at DESC, unit DESC LIMIT 1");
        let found: Vec<PassRow> =
            query.build_query_as().fetch_all(&mut *view).await.map_err(database("read which unit was at a station"))?;
        Ok(passes(&mut view, found).await?.pop())
    }

    pub(super) async fn certificate(&self, number: String) -> Result<Option<StoredCertificate>, StoreError> {
        let doing = "read a certificate";
        let row: Option<(Vec<u8>, Vec<u8>)> = sqlx::query_as(
            "SELECT i.id, c.bytes FROM trace_certificate c JOIN trace_item i ON i.key = c.unit WHERE c.number = ?",
        )
        .bind(number.clone())
        .fetch_optional(self.readers())
        .await
        .map_err(database(doing))?;
        let Some((unit, bytes)) = row else { return Ok(None) };
        let unit = to_id(&unit, "item")?;
        let brief = self.certificates(unit).await?.into_iter().find(|brief| brief.number == number);
        Ok(brief.map(|brief| StoredCertificate { unit, brief, bytes }))
    }

    pub(super) async fn last_key(&self) -> Result<Option<String>, StoreError> {
        sqlx::query_scalar("SELECT key_id FROM trace_certificate ORDER BY rowid DESC LIMIT 1")
            .fetch_optional(self.readers())
            .await
            .map_err(database("look which key signed last"))
    }

    pub(super) async fn certificates(&self, unit: Uuid) -> Result<Vec<CertificateBrief>, StoreError> {
        let rows: Vec<(String, i64, Vec<u8>, String)> = sqlx::query_as(
            "SELECT c.number, c.issued_at, c.sha256, c.key_id FROM trace_item i \
             JOIN trace_certificate c ON c.unit = i.key WHERE i.id = ? ORDER BY c.turn",
        )
        .bind(unit.as_bytes().to_vec())
        .fetch_all(self.readers())
        .await
        .map_err(database("read the certificates of a unit"))?;
        let next: Vec<Option<String>> = rows.iter().skip(1).map(|row| Some(row.0.clone())).chain([None]).collect();
        rows.into_iter()
            .zip(next)
            .map(|((number, issued_at, sha256, key_id), superseded_by)| {
                let reason = "its digest has not 32 bytes".to_owned();
                let sha256 = sha256.try_into().map_err(|_| StoreError::Damaged { what: "certificate", reason })?;
                let issued_at = Timestamp::from_micros(issued_at);
                Ok(CertificateBrief { number, issued_at, sha256, key_id, superseded_by })
            })
            .collect()
    }

    pub(super) async fn findings(&self, before: Option<i64>, limit: u32) -> Result<Vec<Finding>, StoreError> {
        type Row = (i64, String, i64, Option<Vec<u8>>, Option<Vec<u8>>, String);
        let rows: Vec<Row> = sqlx::query_as(
            "SELECT f.number, f.what, f.at, i.id, o.id, f.text FROM trace_finding f LEFT JOIN trace_item i ON i.key = f.item \
             LEFT JOIN trace_item o ON o.key = f.other WHERE f.number < ? ORDER BY f.number DESC LIMIT ?",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(i64::from(limit.min(PAGE_MAX)))
        .fetch_all(self.readers())
        .await
        .map_err(database("read the findings of traceability"))?;
        rows.into_iter()
            .map(|(number, what, at, item, other, text)| {
                let id = |bytes: Option<Vec<u8>>| bytes.map(|bytes| to_id(&bytes, "item")).transpose();
                let at = Timestamp::from_micros(at);
                Ok(Finding { number, what, at, item: id(item)?, other: id(other)?, text })
            })
            .collect()
    }

    pub(super) async fn wrong_sums(&self) -> Result<Vec<Wrong>, StoreError> {
        let mut all = Vec::new();
        for (what, sql) in SUMS {
            let rows: Vec<(Vec<u8>, i64, i64)> = sqlx::query_as(*sql)
                .bind(WRONG_MAX)
                .fetch_all(self.readers())
                .await
                .map_err(database("check the sums of traceability"))?;
            for (item, kept, summed) in rows {
                all.push(Wrong { what: (*what).to_owned(), item: to_id(&item, "item")?, kept, summed });
            }
        }
        Ok(all)
    }
}

/// Each kept sum beside the sum of its rows.
const SUMS: &[(&str, &str)] = &[
    (
        "consumed",
        "SELECT i.id, i.consumed, coalesce(s.total, 0) FROM trace_item i LEFT JOIN (SELECT e.from_key AS key, sum(e.quantity) AS total \
         FROM trace_edge e JOIN trace_item t ON t.key = e.to_key WHERE t.kind <> 3 AND e.given_back = 0 GROUP BY e.from_key) s \
         ON s.key = i.key WHERE i.consumed <> coalesce(s.total, 0) LIMIT ?",
    ),
    (
        "received",
        "SELECT i.id, i.received, coalesce(s.total, 0) FROM trace_item i LEFT JOIN (SELECT e.to_key AS key, sum(e.quantity) AS total \
         FROM trace_edge e WHERE e.adds = 1 AND e.given_back = 0 GROUP BY e.to_key) s \
         ON s.key = i.key WHERE i.received <> coalesce(s.total, 0) LIMIT ?",
    ),
    (
        "outs",
        "SELECT i.id, i.outs, coalesce(s.total, 0) FROM trace_item i LEFT JOIN (SELECT from_key AS key, count(*) AS total FROM trace_edge \
         GROUP BY from_key) s ON s.key = i.key WHERE i.outs <> coalesce(s.total, 0) LIMIT ?",
    ),
    (
        "ins",
        "SELECT i.id, i.ins, coalesce(s.total, 0) FROM trace_item i LEFT JOIN (SELECT to_key AS key, count(*) AS total FROM trace_edge \
         GROUP BY to_key) s ON s.key = i.key WHERE i.ins <> coalesce(s.total, 0) LIMIT ?",
    ),
    (
        "stock",
        "SELECT i.id, coalesce(k.quantity, 0), m.total FROM (SELECT item, place, sum(change) AS total FROM (SELECT item, to_place AS place, \
         quantity AS change FROM trace_move WHERE to_place <> 0 UNION ALL SELECT item, from_place, -quantity FROM trace_move \
         WHERE from_place <> 0 UNION ALL SELECT from_key, place, -quantity FROM trace_edge WHERE place <> 0 AND given_back = 0 \
         UNION ALL SELECT to_key, place, quantity FROM trace_edge WHERE place <> 0 AND given_back = 0 AND adds = 1) c GROUP BY item, place) m JOIN trace_item i ON i.key = m.item LEFT JOIN trace_stock k \
         ON k.item = m.item AND k.place = m.place WHERE coalesce(k.quantity, 0) <> m.total LIMIT ?",
    ),
];

/// The key of the last item of the page before; all keys lie before it where there is none.
async fn key_before(view: &mut SqliteConnection, before: Option<Uuid>) -> Result<i64, StoreError> {
    match before {
        Some(id) => Ok(find(view, &ItemRef::Id(id)).await?.map_or(0, |row| row.key)),
        None => Ok(i64::MAX),
    }
}

/// Items by their keys, the last one first; each key is one.
async fn newest_first(view: &mut SqliteConnection, keys: &[i64]) -> Result<Vec<Item>, StoreError> {
    let mut rows = rows(view, keys).await?;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.key));
    items(view, &rows).await
}

async fn passes(view: &mut SqliteConnection, found: Vec<PassRow>) -> Result<Vec<PassAt>, StoreError> {
    let mut keys: Vec<i64> = found.iter().map(|row| row.0).collect();
    keys.sort_unstable();
    keys.dedup();
    let ids: HashMap<i64, Vec<u8>> = rows(view, &keys).await?.into_iter().map(|row| (row.key, row.id)).collect();
    let mut texts = Texts::default();
    let words = found.iter().flat_map(|row| [Some(row.2), row.3, row.4]).flatten().collect();
    texts.of(view, words).await?;
    found
        .into_iter()
        .map(|(unit, at, equipment, job, operation, passed, measures)| {
            Ok(PassAt {
                unit: to_id(ids.get(&unit).map_or(&[], Vec::as_slice), "unit of a pass")?,
                equipment: texts.text(equipment),
                at: Timestamp::from_micros(at),
                job: texts.id(job),
                operation: texts.perhaps(operation),
                passed: passed.map(|passed| passed == 1),
                measures: from_json(&measures, "measures of a unit")?,
            })
        })
        .collect()
}
