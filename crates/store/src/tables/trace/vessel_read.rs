//! What is in a vessel, or was: the content that was kept last before a time, and what flowed since.

use super::row::{Row, items, rows};
use super::vessel::KEPT_EVERY;
use super::words::{Texts, number_of};
use crate::error::StoreError;
use crate::sql::{Columns, Link, Statement, sql};
use crate::store::Store;
use crate::tables::from_json;
use crate::trace::vessel::{Content, Flow};
use crate::trace::{
    FlowKind, Flowed, InVessel, Item, Mixing, PAGE_MAX, VESSELS_MAX, VesselContent, VesselLevel, Wrong,
};
use andon_model::Timestamp;
use std::collections::{BTreeMap, HashMap};
use uuid::Uuid;

/// So many vessels are told, and compared at a time.
const WRONG_MAX: usize = 100;

/// What was in a vessel at a time.
pub(super) struct Then {
    pub(super) content: Content,
    at: i64,
}

/// What was in a vessel at a time, by all that was told until then; `None`: nothing had flowed.
pub(super) async fn content_at(view: &mut Link<'_>, vessel: i64, at: i64) -> Result<Option<Then>, StoreError> {
    let doing = "look what was in a vessel";
    let Some(last) = last_turn(view, vessel, at).await? else { return Ok(None) };
    let from = last - last % KEPT_EVERY;
    let mut then = Then { content: Content::default(), at: i64::MIN };
    if from > 0 {
        let kept: Option<(i64, Option<String>)> = kept_query(vessel, from).first(view, doing).await?;
        let reason = "it is not kept with every flow where it should be".to_owned();
        let Some((at, Some(content))) = kept else {
            return Err(StoreError::Damaged { what: "content of a vessel", reason });
        };
        then = Then { content: from_json(&content, "content of a vessel")?, at };
    }
    // Fewer than between two that are kept.
    let flows: Vec<FlowRow> = since_query(vessel, from, last).rows(view, doing).await?;
    for row in &flows {
        then.content.flow(&row.flow());
        then.at = row.at;
    }
    Ok(Some(then))
}

/// The last turn of a vessel until a time. Times never go back, so all before it were before.
async fn last_turn(view: &mut Link<'_>, vessel: i64, at: i64) -> Result<Option<i64>, StoreError> {
    last_query(vessel, at).first(view, "look when something flowed").await
}

fn last_query(vessel: i64, at: i64) -> Statement {
    sql("SELECT turn FROM trace_flow WHERE vessel = $1 AND at <= $2 ORDER BY at DESC, turn DESC LIMIT 1")
        .bind(vessel)
        .bind(at)
}

fn kept_query(vessel: i64, turn: i64) -> Statement {
    sql("SELECT at, content FROM trace_flow WHERE vessel = $1 AND turn = $2").bind(vessel).bind(turn)
}

fn since_query(vessel: i64, from: i64, last: i64) -> Statement {
    sql("SELECT turn, at, told, kind, plug, item, into_key, quantity, level, place, job, by_id, why FROM trace_flow \
         WHERE vessel = $1 AND turn > $2 AND turn <= $3 ORDER BY turn")
    .bind(vessel)
    .bind(from)
    .bind(last)
}

fn page_query(vessel: i64, before: i64, limit: u32) -> Statement {
    sql("SELECT turn, at, told, kind, plug, item, into_key, quantity, level, place, job, by_id, why FROM trace_flow \
         WHERE vessel = $1 AND turn < $2 ORDER BY turn DESC LIMIT $3")
    .bind(vessel)
    .bind(before)
    .bind(limit.min(PAGE_MAX))
}

/// A flow as it stands in the table.
struct FlowRow {
    turn: i64,
    at: i64,
    told: i64,
    kind: i64,
    plug: bool,
    item: i64,
    into: i64,
    quantity: i64,
    level: i64,
    place: i64,
    job: Option<i64>,
    by: Option<i64>,
    why: String,
}

impl Columns for FlowRow {
    fn of(row: &crate::sql::Row) -> Result<Self, StoreError> {
        Ok(Self {
            turn: row.at(0)?,
            at: row.at(1)?,
            told: row.at(2)?,
            kind: row.at(3)?,
            plug: row.at(4)?,
            item: row.at(5)?,
            into: row.at(6)?,
            quantity: row.at(7)?,
            level: row.at(8)?,
            place: row.at(9)?,
            job: row.at(10)?,
            by: row.at(11)?,
            why: row.at(12)?,
        })
    }
}

impl FlowRow {
    /// The table's check lets no other number in.
    fn kind(&self) -> FlowKind {
        usize::try_from(self.kind).ok().and_then(|kind| FlowKind::ALL.get(kind)).copied().unwrap_or(FlowKind::Fill)
    }

    const fn mixing(&self) -> Mixing {
        if self.plug { Mixing::Plug } else { Mixing::Ideal }
    }

    fn flow(&self) -> Flow {
        Flow {
            kind: self.kind(),
            mixing: self.mixing(),
            item: self.item,
            into: self.into,
            quantity: self.quantity,
            told: self.told,
        }
    }
}

impl Store {
    pub(super) async fn vessels(&self, limit: u32) -> Result<Vec<VesselLevel>, StoreError> {
        let doing = "list the vessels";
        let rows: Vec<(String, i64, i64, i64)> = sql("SELECT w.text, v.at, v.level, v.lots FROM trace_vessel v \
             JOIN trace_word w ON w.number = v.vessel ORDER BY w.text LIMIT $1")
        .bind(limit.min(VESSELS_MAX))
        .rows(&mut self.reader(doing).await?.link(), doing)
        .await?;
        let level = |(path, at, level, lots): (String, i64, i64, i64)| {
            // The table's check lets nothing less than nothing in.
            let lots = usize::try_from(lots).unwrap_or(0);
            VesselLevel { path, level, lots, at: Timestamp::from_micros(at) }
        };
        Ok(rows.into_iter().map(level).collect())
    }

    pub(super) async fn vessel(
        &self,
        path: String,
        at: Option<Timestamp>,
    ) -> Result<Option<VesselContent>, StoreError> {
        let doing = "look what is in a vessel";
        let mut reading = self.moment(doing).await?;
        let view = &mut reading.link();
        let Some(word) = number_of(view, &path).await? else { return Ok(None) };
        let row: Option<(i64, String)> =
            sql("SELECT at, content FROM trace_vessel WHERE vessel = $1").bind(word).first(view, doing).await?;
        let Some((now, content)) = row else { return Ok(None) };
        let mut then = Then { content: from_json(&content, "content of a vessel")?, at: now };
        if let Some(at) = at.map(Timestamp::micros).filter(|at| *at < now) {
            let empty = Then { content: Content::default(), at };
            then = content_at(view, word, at).await?.unwrap_or(empty);
        }
        let lots = then.content.lots();
        let known = by_key(view, lots.iter().map(|(item, _)| *item)).await?;
        let level = level_of(path, then.at, &then.content);
        let lot = |(key, quantity): (i64, i64)| {
            let reason = "a lot in it is not there".to_owned();
            let item = known.get(&key).cloned();
            Ok(InVessel { item: item.ok_or(StoreError::Damaged { what: "content of a vessel", reason })?, quantity })
        };
        let lots = lots.into_iter().map(lot).collect::<Result<_, StoreError>>()?;
        Ok(Some(VesselContent { level, lots }))
    }

    pub(super) async fn flows(
        &self,
        path: String,
        until: Option<Timestamp>,
        before: Option<i64>,
        limit: u32,
    ) -> Result<Vec<Flowed>, StoreError> {
        let doing = "read what flowed";
        let mut reading = self.moment(doing).await?;
        let view = &mut reading.link();
        let Some(word) = number_of(view, &path).await? else { return Ok(Vec::new()) };
        let mut before = before.unwrap_or(i64::MAX);
        if let Some(until) = until {
            let last = last_turn(view, word, until.micros()).await?.unwrap_or(0);
            before = before.min(last.saturating_add(1));
        }
        let found: Vec<FlowRow> = page_query(word, before, limit).rows(view, doing).await?;
        let known = by_key(view, found.iter().flat_map(|row| [row.item, row.into])).await?;
        let mut texts = Texts::default();
        texts.of(view, found.iter().flat_map(|row| [Some(row.place), row.job, row.by]).flatten().collect()).await?;
        let flowed = |row: FlowRow| Flowed {
            turn: row.turn,
            kind: row.kind(),
            mixing: row.mixing(),
            at: Timestamp::from_micros(row.at),
            told: Timestamp::from_micros(row.told),
            quantity: row.quantity,
            level: row.level,
            item: known.get(&row.item).cloned(),
            into: known.get(&row.into).cloned(),
            place: texts.perhaps(Some(row.place)),
            job: texts.id(row.job),
            by: texts.id(row.by),
            why: row.why,
        };
        Ok(found.into_iter().map(flowed).collect())
    }

    /// Where what is kept of a vessel, what lies there and what flowed do not come to the same.
    pub(super) async fn wrong_vessels(&self) -> Result<Vec<Wrong>, StoreError> {
        let doing = "check what is in the vessels";
        let mut reading = self.moment(doing).await?;
        let view = &mut reading.link();
        let vessels: Vec<(i64, i64, i64, String)> =
            sql("SELECT vessel, level, lots, content FROM trace_vessel ORDER BY vessel").rows(view, doing).await?;
        let mut all = Vec::new();
        for (vessel, level, lots, content) in vessels {
            let content: Content = from_json(&content, "content of a vessel")?;
            let told = [level, lots];
            let counted = [content.level(), i64::try_from(content.lots().len()).unwrap_or(i64::MAX)];
            let differ = told.into_iter().zip(counted).filter(|(kept, summed)| kept != summed);
            let level = |(kept, summed)| Wrong { what: "level".to_owned(), item: Uuid::nil(), kept, summed };
            all.extend(differ.map(level));
            let kept: BTreeMap<i64, i64> = content.lots().into_iter().filter(|(_, part)| *part != 0).collect();
            let lies: Vec<(i64, i64)> =
                sql("SELECT item, quantity FROM trace_stock WHERE place = $1").bind(vessel).rows(view, doing).await?;
            let flowed = content_at(view, vessel, i64::MAX).await?.map(|then| then.content.lots()).unwrap_or_default();
            for (what, summed) in [("vessel", lies), ("flows", flowed)] {
                let summed: BTreeMap<i64, i64> = summed.into_iter().filter(|(_, part)| *part != 0).collect();
                let differ = kept.keys().chain(summed.keys()).filter(|key| kept.get(key) != summed.get(key));
                let differ: Vec<i64> = differ.copied().take(WRONG_MAX).collect();
                let ids = by_key(view, differ.iter().copied()).await?;
                let of = |sums: &BTreeMap<i64, i64>, key| sums.get(&key).copied().unwrap_or(0);
                all.extend(differ.into_iter().map(|key| Wrong {
                    what: what.to_owned(),
                    item: ids.get(&key).map_or(Uuid::nil(), |item| item.id),
                    kept: of(&kept, key),
                    summed: of(&summed, key),
                }));
            }
        }
        Ok(all)
    }
}

fn level_of(path: String, at: i64, content: &Content) -> VesselLevel {
    let (level, lots) = (content.level(), content.lots().len());
    VesselLevel { path, level, lots, at: Timestamp::from_micros(at) }
}

/// Items by their keys; 0 is none.
async fn by_key(view: &mut Link<'_>, keys: impl Iterator<Item = i64>) -> Result<HashMap<i64, Item>, StoreError> {
    let mut keys: Vec<i64> = keys.filter(|key| *key > 0).collect();
    keys.sort_unstable();
    keys.dedup();
    let rows: Vec<Row> = rows(view, &keys).await?;
    let items = items(view, &rows).await?;
    Ok(rows.iter().map(|row| row.key).zip(items).collect())
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_model::SystemClock;
    use std::sync::Arc;

    #[tokio::test]
    async fn what_was_in_a_vessel_is_found_by_its_turns_and_not_by_looking_through_all_that_flowed() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("store.db"), Arc::new(SystemClock)).await.unwrap();
        let mut reading = store.reader("look").await.unwrap();
        for (query, wanted) in [
            (last_query(1, 2), "USING COVERING INDEX trace_flow_by_at (vessel=? AND at<?)"),
            (kept_query(1, 64), "USING PRIMARY KEY (vessel=? AND turn=?)"),
            (since_query(1, 64, 80), "USING PRIMARY KEY (vessel=? AND turn>? AND turn<?)"),
            (page_query(1, 64, 9), "USING PRIMARY KEY (vessel=? AND turn<?)"),
        ] {
            let rows = sql("EXPLAIN QUERY PLAN ").and(query.text()).all(&mut reading.link()).await.unwrap();
            let way: Vec<String> = rows.iter().map(|row| row.get("detail").unwrap()).collect();
            assert_eq!(way, [format!("SEARCH trace_flow {wanted}")], "{}", query.text());
        }
    }
}
