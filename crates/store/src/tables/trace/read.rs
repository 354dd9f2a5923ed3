//! Lists: items, movements, stock, states, passes, certificates, findings.

use super::row::{ASKED_AT_A_TIME, COLUMNS, Row, find, items, kind_number, rows, state_number, state_of};
use super::words::{Texts, number_of};
use crate::error::StoreError;
use crate::sql::{Link, sql};
use crate::store::Store;
use crate::tables::from_json;
use crate::trace::{
    CertificateBrief, Finding, Item, ItemFilter, ItemKind, ItemRef, LyingMaterial, Move, ONE, PAGE_MAX, Packed, PassAt,
    StateSaid, StoredCertificate, Wrong,
};
use andon_model::Timestamp;
use std::collections::HashMap;
use uuid::Uuid;

/// As many findings of a check are told.
const WRONG_MAX: i64 = 1_000;

/// A row of `trace_pass`.
type PassRow = (i64, i64, i64, Option<i64>, Option<i64>, Option<i64>, String, String);
const PASS_COLUMNS: &str =
    "SELECT unit, at, equipment, job, operation, passed, measures, firmware FROM trace_pass WHERE ";

impl Store {
    pub(super) async fn one_item(&self, item: &ItemRef) -> Result<Option<Item>, StoreError> {
        let mut reading = self.reader("look an item up").await?;
        let view = &mut reading.link();
        match find(view, item).await? {
            Some(row) => Ok(items(view, &[row]).await?.pop()),
            None => Ok(None),
        }
    }

    pub(super) async fn items(&self, filter: ItemFilter) -> Result<Vec<Item>, StoreError> {
        let mut reading = self.reader("look for items").await?;
        let view = &mut reading.link();
        let mut query = sql("SELECT ");
        query.push(COLUMNS).push(" FROM trace_item WHERE 1 = 1");
        if let Some(material) = &filter.material {
            let Some(number) = number_of(view, material).await? else { return Ok(Vec::new()) };
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
            let Some(row) = find(view, &ItemRef::Id(before)).await? else { return Ok(Vec::new()) };
            query.push(" AND key < ").push_bind(row.key);
        }
        // What begins so, or is known by its number, is found by an index and sorted; everything else is read in the order of the keys.
        query.push(if begins.is_some() || filter.number.is_some() {
            " ORDER BY +key DESC LIMIT "
        } else {
            " ORDER BY key DESC LIMIT "
        });
        query.push_bind(filter.limit.min(PAGE_MAX));
        let found: Vec<Row> = query.rows(view, "look for items").await?;
        items(view, &found).await
    }

    pub(super) async fn numbered(&self, numbers: Vec<String>) -> Result<Vec<Item>, StoreError> {
        let mut reading = self.reader("look for units by their numbers").await?;
        let view = &mut reading.link();
        let mut found: Vec<Row> = Vec::new();
        for numbers in numbers.chunks(ASKED_AT_A_TIME) {
            let mut query = sql("SELECT ");
            query.push(COLUMNS).push(" FROM trace_item WHERE number IN ");
            query.push_list(numbers.iter().map(String::as_str));
            // As many as materials have these numbers: none may be missing.
            query.push(" AND +kind = ").push_bind(kind_number(ItemKind::Unit));
            query.push(" ORDER BY +key DESC");
            let more: Vec<Row> = query.rows(view, "look for units").await?;
            found.extend(more);
        }
        items(view, &found).await
    }

    pub(super) async fn moves(&self, item: Uuid, before: Option<Move>, limit: u32) -> Result<Vec<Move>, StoreError> {
        let mut reading = self.reader("read movements").await?;
        let view = &mut reading.link();
        let Some(row) = find(view, &ItemRef::Id(item)).await? else { return Ok(Vec::new()) };
        let mut last = (i64::MAX, i64::MAX, i64::MAX);
        if let Some(before) = before {
            let mut number = async |place: Option<String>| {
                Ok::<_, StoreError>(number_of(view, &place.unwrap_or_default()).await?.unwrap_or(0))
            };
            last = (before.at.micros(), number(before.from).await?, number(before.to).await?);
        }
        let found: Vec<(i64, i64, i64, i64, Option<i64>)> =
            sql("SELECT at, from_place, to_place, quantity, by_id FROM trace_move WHERE item = $1 \
             AND (at, from_place, to_place) < ($2, $3, $4) ORDER BY at DESC, from_place DESC, to_place DESC LIMIT $5")
            .bind(row.key)
            .bind(last.0)
            .bind(last.1)
            .bind(last.2)
            .bind(limit.min(PAGE_MAX))
            .rows(view, "read movements")
            .await?;
        let mut texts = Texts::default();
        let words = found.iter().flat_map(|(_, from, to, _, by)| [Some(*from), Some(*to), *by]).flatten().collect();
        texts.of(view, words).await?;
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
        sql("SELECT w.text, s.quantity FROM trace_item i JOIN trace_stock s ON s.item = i.key \
             JOIN trace_word w ON w.number = s.place WHERE i.id = $1 ORDER BY w.text")
        .bind(item)
        .rows(&mut self.reader("look how much is where").await?.link(), "look how much is where")
        .await
    }

    pub(super) async fn stock_in(
        &self,
        place: String,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<(Item, i64)>, StoreError> {
        let doing = "look what lies in a place";
        let mut reading = self.reader(doing).await?;
        let view = &mut reading.link();
        let Some(place) = number_of(view, &place).await? else { return Ok(Vec::new()) };
        let before = key_before(view, before).await?;
        let found: Vec<(i64, i64)> =
            sql("SELECT item, quantity FROM trace_stock WHERE place = $1 AND item < $2 ORDER BY item DESC LIMIT $3")
                .bind(place)
                .bind(before)
                .bind(limit.min(PAGE_MAX))
                .rows(view, doing)
                .await?;
        let keys: Vec<i64> = found.iter().map(|(key, _)| *key).collect();
        let items = newest_first(view, &keys).await?;
        Ok(items.into_iter().zip(found.into_iter().map(|(_, quantity)| quantity)).collect())
    }

    pub(super) async fn materials_in(&self, place: String, limit: u32) -> Result<Vec<LyingMaterial>, StoreError> {
        let doing = "add up what lies in a place";
        let mut reading = self.reader(doing).await?;
        let view = &mut reading.link();
        let Some(place) = number_of(view, &place).await? else { return Ok(Vec::new()) };
        // Whole units and millionths are summed apart, for the sum of many is beyond what a number of the database holds.
        type Row = (String, i64, i64, i64, i64, i64);
        let rows: Vec<Row> = sql(
            "SELECT w.text, count(*), CAST(sum(s.quantity / 1000000) AS BIGINT), CAST(sum(s.quantity % 1000000) AS BIGINT), \
             CAST(sum(CASE WHEN i.state = 0 THEN s.quantity / 1000000 ELSE 0 END) AS BIGINT), \
             CAST(sum(CASE WHEN i.state = 0 THEN s.quantity % 1000000 ELSE 0 END) AS BIGINT) \
             FROM trace_stock s JOIN trace_item i ON i.key = s.item JOIN trace_word w ON w.number = i.material \
             WHERE s.place = $1 GROUP BY w.text ORDER BY w.text LIMIT $2",
        )
        .bind(place)
        .bind(limit.min(PAGE_MAX))
        .rows(view, doing)
        .await?;
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
        let doing = "look where something lies";
        sql("SELECT w.text, s.items FROM (SELECT place, count(*) AS items FROM trace_stock GROUP BY place) s \
             JOIN trace_word w ON w.number = s.place ORDER BY w.text LIMIT $1")
        .bind(limit.min(PAGE_MAX))
        .rows(&mut self.reader(doing).await?.link(), doing)
        .await
    }

    pub(super) async fn contents(
        &self,
        container: Uuid,
        before: Option<Uuid>,
        limit: u32,
    ) -> Result<Vec<Packed>, StoreError> {
        let doing = "look what lies in a container";
        let mut reading = self.reader(doing).await?;
        let view = &mut reading.link();
        let Some(row) = find(view, &ItemRef::Id(container)).await? else { return Ok(Vec::new()) };
        let before = key_before(view, before).await?;
        let found: Vec<(i64, i64, i64)> =
            sql("SELECT from_key, CAST(sum(quantity) AS BIGINT), max(at) FROM trace_edge WHERE to_key = $1 \
             AND removed_at IS NULL AND from_key < $2 GROUP BY from_key ORDER BY from_key DESC LIMIT $3")
            .bind(row.key)
            .bind(before)
            .bind(limit.min(PAGE_MAX))
            .rows(view, doing)
            .await?;
        let keys: Vec<i64> = found.iter().map(|(key, ..)| *key).collect();
        let items = newest_first(view, &keys).await?;
        let packed = |(item, (_, quantity, at))| Packed { item, quantity, at: Timestamp::from_micros(at) };
        Ok(items.into_iter().zip(found).map(packed).collect())
    }

    pub(super) async fn states(&self, item: Uuid, after: Option<Timestamp>) -> Result<Vec<StateSaid>, StoreError> {
        let mut reading = self.reader("read what was decided").await?;
        let view = &mut reading.link();
        let found: Vec<(i64, i64, Option<i64>, String)> =
            sql("SELECT s.at, s.state, s.by_id, s.why FROM trace_item i JOIN trace_state s ON s.item = i.key \
             WHERE i.id = $1 AND s.at > $2 ORDER BY s.at LIMIT $3")
            .bind(item)
            .bind(after.map_or(i64::MIN, Timestamp::micros))
            .bind(PAGE_MAX)
            .rows(view, "read what was decided")
            .await?;
        let mut texts = Texts::default();
        texts.of(view, found.iter().filter_map(|(_, _, by, _)| *by).collect()).await?;
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
        let mut reading = self.reader("read where a unit was").await?;
        let view = &mut reading.link();
        let Some(row) = find(view, &ItemRef::Id(unit)).await? else { return Ok(Vec::new()) };
        let mut query = sql(PASS_COLUMNS);
        query.push("unit = ").push_bind(row.key);
        if let Some((at, equipment)) = after {
            let equipment = number_of(view, &equipment).await?.unwrap_or(0);
            query.push(" AND (at, equipment) > (").push_bind(at).push(", ").push_bind(equipment).push(")");
        }
        query.push(" ORDER BY at, equipment LIMIT ").push_bind(PAGE_MAX);
        let found: Vec<PassRow> = query.rows(view, "read where a unit was").await?;
        passes(view, found).await
    }

    pub(super) async fn passes_at(
        &self,
        equipment: String,
        (from, to): (Timestamp, Timestamp),
        before: Option<(Timestamp, Uuid)>,
        limit: u32,
    ) -> Result<Vec<PassAt>, StoreError> {
        let mut reading = self.reader("read which units were at a station").await?;
        let view = &mut reading.link();
        let Some(equipment) = number_of(view, &equipment).await? else { return Ok(Vec::new()) };
        let mut query = sql(PASS_COLUMNS);
        query.push("equipment = ").push_bind(equipment);
        query.push(" AND at >= ").push_bind(from).push(" AND at < ").push_bind(to);
        if let Some((at, unit)) = before {
            let unit = find(view, &ItemRef::Id(unit)).await?.map_or(0, |row| row.key);
            query.push(" AND (at, unit) < (").push_bind(at).push(", ").push_bind(unit).push(")");
        }
        query.push(" ORDER BY at DESC, unit DESC LIMIT ").push_bind(limit.min(PAGE_MAX));
        let found: Vec<PassRow> = query.rows(view, "read which units were at a station").await?;
        passes(view, found).await
    }

    pub(super) async fn pass_before(&self, equipment: String, at: Timestamp) -> Result<Option<PassAt>, StoreError> {
        let mut reading = self.reader("read which unit was at a station").await?;
        let view = &mut reading.link();
        let Some(equipment) = number_of(view, &equipment).await? else { return Ok(None) };
        let mut query = sql(PASS_COLUMNS);
        query.push("equipment = ").push_bind(equipment).push(" AND at < ").push_bind(at);
        query.push(" ORDER BY at DESC, unit DESC LIMIT 1");
        let found: Vec<PassRow> = query.rows(view, "read which unit was at a station").await?;
        Ok(passes(view, found).await?.pop())
    }

    pub(super) async fn certificate(&self, number: String) -> Result<Option<StoredCertificate>, StoreError> {
        let doing = "read a certificate";
        let row: Option<(Uuid, Vec<u8>)> = sql(
            "SELECT i.id, c.bytes FROM trace_certificate c JOIN trace_item i ON i.key = c.unit WHERE c.number = $1",
        )
        .bind(number.clone())
        .first(&mut self.reader(doing).await?.link(), doing)
        .await?;
        let Some((unit, bytes)) = row else { return Ok(None) };
        let brief = self.certificates(unit).await?.into_iter().find(|brief| brief.number == number);
        Ok(brief.map(|brief| StoredCertificate { unit, brief, bytes }))
    }

    pub(super) async fn last_key(&self) -> Result<Option<String>, StoreError> {
        sql("SELECT key_id FROM trace_certificate ORDER BY rowid DESC LIMIT 1")
            .first(&mut self.reader("look which key signed last").await?.link(), "look which key signed last")
            .await
    }

    pub(super) async fn certificates(&self, unit: Uuid) -> Result<Vec<CertificateBrief>, StoreError> {
        let rows: Vec<(String, Timestamp, [u8; 32], String)> =
            sql("SELECT c.number, c.issued_at, c.sha256, c.key_id FROM trace_item i \
             JOIN trace_certificate c ON c.unit = i.key WHERE i.id = $1 ORDER BY c.turn")
            .bind(unit)
            .rows(&mut self.reader("read the certificates of a unit").await?.link(), "read the certificates of a unit")
            .await?;
        let next: Vec<Option<String>> = rows.iter().skip(1).map(|row| Some(row.0.clone())).chain([None]).collect();
        rows.into_iter()
            .zip(next)
            .map(|((number, issued_at, sha256, key_id), superseded_by)| {
                Ok(CertificateBrief { number, issued_at, sha256, key_id, superseded_by })
            })
            .collect()
    }

    pub(super) async fn findings(&self, before: Option<i64>, limit: u32) -> Result<Vec<Finding>, StoreError> {
        type Row = (i64, String, Timestamp, Option<Uuid>, Option<Uuid>, String);
        let rows: Vec<Row> = sql(
            "SELECT f.number, f.what, f.at, i.id, o.id, f.text FROM trace_finding f LEFT JOIN trace_item i ON i.key = f.item \
             LEFT JOIN trace_item o ON o.key = f.other WHERE f.number < $1 ORDER BY f.number DESC LIMIT $2",
        )
        .bind(before.unwrap_or(i64::MAX))
        .bind(limit.min(PAGE_MAX))
        .rows(&mut self.reader("read the findings of traceability").await?.link(), "read the findings of traceability")
.await?;
        let finding = |(number, what, at, item, other, text)| Finding { number, what, at, item, other, text };
        Ok(rows.into_iter().map(finding).collect())
    }

    pub(super) async fn wrong_sums(&self) -> Result<Vec<Wrong>, StoreError> {
        let mut all = Vec::new();
        for (what, statement) in SUMS {
            let rows: Vec<(Uuid, i64, i64)> = sql(statement)
                .bind(WRONG_MAX)
                .rows(
                    &mut self.reader("check the sums of traceability").await?.link(),
                    "check the sums of traceability",
                )
                .await?;
            for (item, kept, summed) in rows {
                all.push(Wrong { what: (*what).to_owned(), item, kept, summed });
            }
        }
        Ok(all)
    }
}

/// Each kept sum beside the sum of its rows.
const SUMS: &[(&str, &str)] = &[
    (
        "consumed",
        "SELECT i.id, i.consumed, coalesce(s.total, 0) FROM trace_item i LEFT JOIN (SELECT e.from_key AS key, CAST(sum(e.quantity) AS BIGINT) AS total \
         FROM trace_edge e JOIN trace_item t ON t.key = e.to_key WHERE t.kind <> 3 AND e.given_back = 0 GROUP BY e.from_key) s \
         ON s.key = i.key WHERE i.consumed <> coalesce(s.total, 0) LIMIT $1",
    ),
    (
        "received",
        "SELECT i.id, i.received, coalesce(s.total, 0) FROM trace_item i LEFT JOIN (SELECT e.to_key AS key, CAST(sum(e.quantity) AS BIGINT) AS total \
         FROM trace_edge e WHERE e.adds = 1 AND e.given_back = 0 GROUP BY e.to_key) s \
         ON s.key = i.key WHERE i.received <> coalesce(s.total, 0) LIMIT $1",
    ),
    (
        "outs",
        "SELECT i.id, i.outs, coalesce(s.total, 0) FROM trace_item i LEFT JOIN (SELECT from_key AS key, count(*) AS total FROM trace_edge \
         GROUP BY from_key) s ON s.key = i.key WHERE i.outs <> coalesce(s.total, 0) LIMIT $1",
    ),
    (
        "ins",
        "SELECT i.id, i.ins, coalesce(s.total, 0) FROM trace_item i LEFT JOIN (SELECT to_key AS key, count(*) AS total FROM trace_edge \
         GROUP BY to_key) s ON s.key = i.key WHERE i.ins <> coalesce(s.total, 0) LIMIT $1",
    ),
    (
        "stock",
        "SELECT i.id, coalesce(k.quantity, 0), m.total FROM (SELECT item, place, CAST(sum(change) AS BIGINT) AS total FROM (SELECT item, to_place AS place, \
         quantity AS change FROM trace_move WHERE to_place <> 0 UNION ALL SELECT item, from_place, -quantity FROM trace_move \
         WHERE from_place <> 0 UNION ALL SELECT from_key, place, -quantity FROM trace_edge WHERE place <> 0 AND given_back = 0 \
         UNION ALL SELECT to_key, place, quantity FROM trace_edge WHERE place <> 0 AND given_back = 0 AND adds = 1) c GROUP BY item, place) m JOIN trace_item i ON i.key = m.item LEFT JOIN trace_stock k \
         ON k.item = m.item AND k.place = m.place WHERE coalesce(k.quantity, 0) <> m.total LIMIT $1",
    ),
];

/// The key of the last item of the page before; all keys lie before it where there is none.
async fn key_before(view: &mut Link<'_>, before: Option<Uuid>) -> Result<i64, StoreError> {
    match before {
        Some(id) => Ok(find(view, &ItemRef::Id(id)).await?.map_or(0, |row| row.key)),
        None => Ok(i64::MAX),
    }
}

/// Items by their keys, the last one first; each key is one.
async fn newest_first(view: &mut Link<'_>, keys: &[i64]) -> Result<Vec<Item>, StoreError> {
    let mut rows = rows(view, keys).await?;
    rows.sort_unstable_by_key(|row| std::cmp::Reverse(row.key));
    items(view, &rows).await
}

async fn passes(view: &mut Link<'_>, found: Vec<PassRow>) -> Result<Vec<PassAt>, StoreError> {
    let mut keys: Vec<i64> = found.iter().map(|row| row.0).collect();
    keys.sort_unstable();
    keys.dedup();
    let ids: HashMap<i64, Uuid> = rows(view, &keys).await?.into_iter().map(|row| (row.key, row.id)).collect();
    let mut texts = Texts::default();
    let words = found.iter().flat_map(|row| [Some(row.2), row.3, row.4]).flatten().collect();
    texts.of(view, words).await?;
    found
        .into_iter()
        .map(|(unit, at, equipment, job, operation, passed, measures, firmware)| {
            Ok(PassAt {
                unit: ids.get(&unit).copied().ok_or_else(no_unit)?,
                equipment: texts.text(equipment),
                at: Timestamp::from_micros(at),
                job: texts.id(job),
                operation: texts.perhaps(operation),
                passed: passed.map(|passed| passed == 1),
                measures: from_json(&measures, "measures of a unit")?,
                firmware: from_json(&firmware, "firmware of a unit")?,
            })
        })
        .collect()
}

fn no_unit() -> StoreError {
    StoreError::Damaged { what: "unit of a pass", reason: "there is no such unit".to_owned() }
}
