//! Items as they stand in the table.

use super::words::Texts;
use crate::error::StoreError;
use crate::sql::{Columns, Link, Statement, sql};
use crate::trace::{Disposition, Item, ItemKind, ItemName, ItemRef, Place};
use andon_model::Timestamp;
use uuid::Uuid;

/// So many items are asked for with one statement.
pub(super) const ASKED_AT_A_TIME: usize = 512;

/// The columns of a [`Row`].
pub(super) const COLUMNS: &str =
    "key, id, kind, material, number, revision, made, received, consumed, ins, outs, state, place, made_at, job";

/// An item in the table.
#[derive(Clone, Debug)]
pub(super) struct Row {
    pub(super) key: i64,
    pub(super) id: Uuid,
    pub(super) kind: i64,
    pub(super) material: i64,
    pub(super) number: String,
    pub(super) revision: Option<i64>,
    pub(super) made: Option<i64>,
    pub(super) received: i64,
    pub(super) consumed: i64,
    pub(super) ins: i64,
    pub(super) outs: i64,
    pub(super) state: i64,
    pub(super) place: i64,
    pub(super) made_at: i64,
    pub(super) job: Option<i64>,
}

impl Columns for Row {
    fn of(row: &crate::sql::Row) -> Result<Self, StoreError> {
        Ok(Self {
            key: row.at(0)?,
            id: row.at(1)?,
            kind: row.at(2)?,
            material: row.at(3)?,
            number: row.at(4)?,
            revision: row.at(5)?,
            made: row.at(6)?,
            received: row.at(7)?,
            consumed: row.at(8)?,
            ins: row.at(9)?,
            outs: row.at(10)?,
            state: row.at(11)?,
            place: row.at(12)?,
            made_at: row.at(13)?,
            job: row.at(14)?,
        })
    }
}

impl Row {
    pub(super) fn kind(&self) -> ItemKind {
        // The table's check lets nothing else in.
        usize::try_from(self.kind).ok().and_then(|kind| ItemKind::ALL.get(kind)).copied().unwrap_or(ItemKind::Lot)
    }

    pub(super) fn state(&self) -> Disposition {
        state_of(self.state)
    }

    /// How much is left; `None`: nobody has said how much there was.
    pub(super) fn left(&self) -> Option<i64> {
        self.made.map(|made| made.saturating_add(self.received).saturating_sub(self.consumed))
    }

    /// The numbers of the words it uses.
    pub(super) fn words(&self) -> impl Iterator<Item = i64> {
        [Some(self.material), self.revision, Some(self.place), self.job].into_iter().flatten()
    }

    pub(super) fn name(&self, texts: &Texts) -> ItemName {
        ItemName { kind: self.kind(), material: texts.text(self.material), number: self.number.clone() }
    }

    pub(super) fn item(&self, texts: &Texts) -> Result<Item, StoreError> {
        Ok(Item {
            id: self.id,
            name: self.name(texts),
            revision: texts.perhaps(self.revision),
            made: self.made,
            received: self.received,
            consumed: self.consumed,
            state: self.state(),
            place: match self.place {
                0 => Place::Nowhere,
                -1 => Place::Several,
                place => Place::In(texts.text(place)),
            },
            made_at: Timestamp::from_micros(self.made_at),
            job: texts.id(self.job),
        })
    }
}

/// The number of a kind in the store.
pub(super) const fn kind_number(kind: ItemKind) -> i64 {
    match kind {
        ItemKind::Lot => 0,
        ItemKind::Sublot => 1,
        ItemKind::Unit => 2,
        ItemKind::Container => 3,
    }
}

/// The number of a state in the store.
pub(super) const fn state_number(state: Disposition) -> i64 {
    match state {
        Disposition::Released => 0,
        Disposition::Quarantine => 1,
        Disposition::Hold => 2,
        Disposition::Scrapped => 3,
        Disposition::Shipped => 4,
    }
}

/// The state of a number in the store; one that this version does not know stops its use.
pub(super) fn state_of(number: i64) -> Disposition {
    usize::try_from(number).ok().and_then(|n| Disposition::ALL.get(n)).copied().unwrap_or(Disposition::Hold)
}

/// The item that is meant.
pub(super) async fn find(connection: &mut Link<'_>, item: &ItemRef) -> Result<Option<Row>, StoreError> {
    let mut query = sql("SELECT ");
    query.push(COLUMNS).push(" FROM trace_item WHERE ");
    match item {
        ItemRef::Id(id) => query.push("id = ").push_bind(*id),
        ItemRef::Name(name) => query
            .push("material = (SELECT w.number FROM trace_word w WHERE w.text = ")
            .push_bind(name.material.clone())
            .push(") AND kind = ")
            .push_bind(kind_number(name.kind))
            .push(" AND number = ")
            .push_bind(name.number.clone()),
    };
    query.first(connection, "look an item up").await
}

/// Items by their keys, in no order.
pub(super) async fn rows(connection: &mut Link<'_>, keys: &[i64]) -> Result<Vec<Row>, StoreError> {
    let mut all = Vec::with_capacity(keys.len());
    for keys in keys.chunks(ASKED_AT_A_TIME) {
        let mut query = sql("SELECT ");
        query.push(COLUMNS).push(" FROM trace_item WHERE key IN ");
        push_keys(&mut query, keys);
        let found: Vec<Row> = query.rows(connection, "read items").await?;
        all.extend(found);
    }
    Ok(all)
}

/// A list of keys in brackets, filled up to a power of two with 0, which is no key: so that few different statements are prepared.
pub(super) fn push_keys(query: &mut Statement, keys: &[i64]) {
    let filled = keys.len().next_power_of_two();
    query.push_list(keys.iter().copied().chain(std::iter::repeat(0)).take(filled));
}

/// Items in words.
pub(super) async fn items(connection: &mut Link<'_>, rows: &[Row]) -> Result<Vec<Item>, StoreError> {
    let mut texts = Texts::default();
    texts.of(connection, rows.iter().flat_map(Row::words).collect()).await?;
    rows.iter().map(|row| row.item(&texts)).collect()
}

/// The names of items, in the order of the keys.
pub(super) async fn names(connection: &mut Link<'_>, keys: &[i64]) -> Result<Vec<ItemName>, StoreError> {
    let rows = rows(connection, keys).await?;
    let mut texts = Texts::default();
    texts.of(connection, rows.iter().map(|row| row.material).collect()).await?;
    let by_key: std::collections::HashMap<i64, &Row> = rows.iter().map(|row| (row.key, row)).collect();
    Ok(keys.iter().filter_map(|key| by_key.get(key)).map(|row| row.name(&texts)).collect())
}
