//! What an item hangs together with.
//!
//! Breadth first, by batches of keys: one statement for some hundred items, which are then read in the order of the table. A recursive
//! statement does the same inside the database, but cannot tell the depth without going every way, nor stop in between; `bench_trace`
//! measures both. Items that nothing went into, or that went into nothing, know it themselves and are not looked up again.
//!
//! A way is followed whatever the order of its times: what was drawn from a lot before something was added to it counts as reached by what
//! was added. A recall may name too much, never too little; for vessels `andon-mes` knows better.

use super::row::{ASKED_AT_A_TIME, Row, find, items, names, push_keys, rows};
use super::words::Texts;
use crate::error::StoreError;
use crate::sql::{Columns, Link, Statement, sql};
use crate::store::Store;
use crate::trace::{
    AsOf, Closure, ClosureWish, Cut, DEPTH_MAX, Direction, Edge, Item, ItemKind, ItemName, ItemRef, ONE, PAGE_MAX,
    REACH_MAX, Reached, Recall, RecallRow,
};
use andon_model::Timestamp;
use std::collections::{HashMap, HashSet};
use uuid::Uuid;

/// The most edges of one answer.
const EDGES_MAX: usize = 4 * REACH_MAX;
/// The most edges that are followed from one depth to the next.
const LINKS_MAX: usize = 4_000_000;

/// Items that were reached.
struct Reach {
    /// The items, the root first, with their depths.
    rows: Vec<(Row, u32)>,
    /// Where in `rows` a key is.
    places: HashMap<i64, usize>,
    /// Whole things that are part of something, containers aside. On the way forward only.
    inner: HashSet<i64>,
    /// What lies in which container. On the way forward only.
    packed: Vec<(i64, i64)>,
    /// What went into what on the way, if that was asked for.
    edges: Vec<EdgeRow>,
    cut: Option<Cut>,
}

impl Store {
    pub(super) async fn closure(&self, wish: ClosureWish) -> Result<Option<Closure>, StoreError> {
        let mut reading = self.moment("follow what went into what").await?;
        let view = &mut reading.link();
        let Some(root) = find(view, &wish.root).await? else { return Ok(None) };
        let limits = (wish.depth_max.min(DEPTH_MAX), wish.items_max.clamp(1, REACH_MAX));
        let mut reach = reach(view, root, wish.direction, wish.as_of, limits, true).await?;
        let edges = edges(view, &mut reach).await?;
        let (rows, depths): (Vec<Row>, Vec<u32>) = reach.rows.into_iter().unzip();
        let items = items(view, &rows).await?.into_iter().zip(depths);
        let items = items.map(|(item, depth)| Reached { item, depth }).collect();
        Ok(Some(Closure { items, edges, cut: reach.cut }))
    }

    pub(super) async fn recall(&self, item: ItemRef, as_of: AsOf) -> Result<Option<Recall>, StoreError> {
        let mut reading = self.moment("follow what went into what").await?;
        let view = &mut reading.link();
        let Some(root) = find(view, &item).await? else { return Ok(None) };
        let limits = (DEPTH_MAX, REACH_MAX);
        let reach = reach(view, root.clone(), Direction::Forward, as_of, limits, false).await?;
        let reached = reach.rows.len();
        let is_left = |row: &Row| match row.kind() {
            ItemKind::Container => false,
            ItemKind::Unit => !reach.inner.contains(&row.key),
            ItemKind::Lot | ItemKind::Sublot => row.left().is_none_or(|left| left > 0),
        };
        let (rows, depths): (Vec<Row>, Vec<u32>) = reach.rows.into_iter().filter(|(row, _)| is_left(row)).unzip();
        let mut lying = lying(view, &rows).await?;
        let mut packed = packed(view, &reach.packed).await?;
        let root = items(view, std::slice::from_ref(&root)).await?.remove(0);
        let mut recall = Recall { root, reached, units: Vec::new(), lots: Vec::new(), cut: reach.cut };
        for ((item, row), depth) in items(view, &rows).await?.into_iter().zip(&rows).zip(depths) {
            let places = lying.remove(&row.key).unwrap_or_default();
            let packed_in = packed.remove(&row.key).unwrap_or_default();
            let list = if row.kind() == ItemKind::Unit { &mut recall.units } else { &mut recall.lots };
            list.push(RecallRow { item, depth, places, packed_in });
        }
        Ok(Some(recall))
    }
}

impl Store {
    /// What was put into an item itself.
    pub(super) async fn parts(&self, item: Uuid) -> Result<Vec<(Item, Edge)>, StoreError> {
        let mut reading = self.moment("read what went into an item").await?;
        let view = &mut reading.link();
        let Some(root) = find(view, &ItemRef::Id(item)).await? else { return Ok(Vec::new()) };
        let mut found = edge_rows(view, &[root.key], Direction::Backward, AsOf::Ever).await?;
        found.sort_unstable_by_key(|row| (row.at, row.from_key, row.to_key, row.position));
        // The newest of them.
        found.drain(..found.len().saturating_sub(usize::try_from(PAGE_MAX).unwrap_or(usize::MAX)));
        let mut keys: Vec<i64> = found.iter().map(|row| row.from_key).collect();
        keys.sort_unstable();
        keys.dedup();
        let rows = rows(view, &keys).await?;
        let known: HashMap<Uuid, Item> = items(view, &rows).await?.into_iter().map(|item| (item.id, item)).collect();
        let ids: HashMap<i64, Uuid> = rows.into_iter().chain([root]).map(|row| (row.key, row.id)).collect();
        let edges = in_words(view, found, |key| ids.get(key).copied()).await?;
        Ok(edges.into_iter().filter_map(|edge| Some((known.get(&edge.from)?.clone(), edge))).collect())
    }
}

async fn reach(
    view: &mut Link<'_>,
    root: Row,
    direction: Direction,
    as_of: AsOf,
    (depth_max, items_max): (u32, usize),
    with_edges: bool,
) -> Result<Reach, StoreError> {
    let mut reach = Reach {
        places: HashMap::from([(root.key, 0)]),
        rows: vec![(root, 0)],
        inner: HashSet::new(),
        packed: Vec::new(),
        edges: Vec::new(),
        cut: None,
    };
    let (mut level, mut depth) = (0, 0);
    while level < reach.rows.len() && reach.cut.is_none() {
        let goes_on = |row: &Row| match direction {
            Direction::Forward => row.outs > 0,
            Direction::Backward => row.ins > 0,
        };
        let keys: Vec<i64> =
            reach.rows[level..].iter().filter(|(row, _)| goes_on(row)).map(|(row, _)| row.key).collect();
        level = reach.rows.len();
        let links = if with_edges {
            let found = edge_rows(view, &keys, direction, as_of).await?;
            let links = found.iter().map(|row| row.link(direction, as_of)).collect();
            reach.edges.extend(found);
            if reach.edges.len() > EDGES_MAX {
                reach.cut = Some(Cut::Items);
            }
            links
        } else {
            let links = links(view, &keys, direction, as_of).await?;
            if links.len() > LINKS_MAX {
                reach.cut = Some(Cut::Items);
            }
            links
        };
        let mut next: Vec<i64> =
            links.iter().map(|link| link.there).filter(|key| !reach.places.contains_key(key)).collect();
        next.sort_unstable();
        next.dedup();
        if depth == depth_max && !next.is_empty() {
            reach.cut = Some(Cut::Depth);
            next.clear();
        } else if reach.rows.len() + next.len() > items_max {
            reach.cut = Some(Cut::Items);
            next.truncate(items_max - reach.rows.len());
        }
        depth += 1;
        let mut found = rows(view, &next).await?;
        found.sort_unstable_by_key(|row| row.key);
        for row in found {
            reach.places.insert(row.key, reach.rows.len());
            reach.rows.push((row, depth));
        }
        if direction == Direction::Forward {
            note_ends(&mut reach, &links);
        }
    }
    Ok(reach)
}

/// Notes which whole things are part of others, and what is packed.
fn note_ends(reach: &mut Reach, links: &[Step]) {
    for link in links.iter().filter(|link| link.holds) {
        let kind = |key| reach.places.get(key).map(|place| reach.rows[*place].0.kind());
        match (kind(&link.here), kind(&link.there)) {
            (_, Some(ItemKind::Container)) => reach.packed.push((link.here, link.there)),
            // One that was cut off is no container for sure, and the answer says that it is cut.
            (Some(ItemKind::Unit), _) => {
                reach.inner.insert(link.here);
            }
            _ => {}
        }
    }
}

/// A step of the way.
struct Step {
    here: i64,
    there: i64,
    /// It holds at the date that is asked for; at none, now.
    holds: bool,
}

async fn links(view: &mut Link<'_>, keys: &[i64], direction: Direction, as_of: AsOf) -> Result<Vec<Step>, StoreError> {
    let mut all = Vec::new();
    for keys in keys.chunks(ASKED_AT_A_TIME) {
        let mut query = sql(match direction {
            Direction::Forward => "SELECT from_key, to_key, removed_at FROM trace_edge WHERE from_key IN ",
            Direction::Backward => "SELECT to_key, from_key, removed_at FROM trace_edge WHERE to_key IN ",
        });
        push_keys(&mut query, keys);
        push_date(&mut query, as_of);
        query.push(" LIMIT ").push_bind(LINKS_MAX + 1 - all.len());
        let found: Vec<(i64, i64, Option<i64>)> = query.rows(view, "follow what went into what").await?;
        let link = |(here, there, removed_at): (i64, i64, Option<i64>)| Step {
            here,
            there,
            holds: removed_at.is_none() || as_of != AsOf::Ever,
        };
        all.extend(found.into_iter().map(link));
        if all.len() > LINKS_MAX {
            break;
        }
    }
    Ok(all)
}

fn push_date(query: &mut Statement, as_of: AsOf) {
    if let AsOf::At(at) = as_of {
        query.push(" AND at <= ").push_bind(at);
        query.push(" AND (removed_at IS NULL OR removed_at > ").push_bind(at).push(")");
    }
}

struct EdgeRow {
    from_key: i64,
    to_key: i64,
    quantity: i64,
    position: i64,
    at: i64,
    removed_at: Option<i64>,
    given_back: bool,
    adds: bool,
    job: Option<i64>,
    equipment: Option<i64>,
    by_id: Option<i64>,
    removed_by: Option<i64>,
    replaced_by: Option<i64>,
}

impl Columns for EdgeRow {
    fn of(row: &crate::sql::Row) -> Result<Self, StoreError> {
        Ok(Self {
            from_key: row.at(0)?,
            to_key: row.at(1)?,
            quantity: row.at(2)?,
            position: row.at(3)?,
            at: row.at(4)?,
            removed_at: row.at(5)?,
            given_back: row.at(6)?,
            adds: row.at(7)?,
            job: row.at(8)?,
            equipment: row.at(9)?,
            by_id: row.at(10)?,
            removed_by: row.at(11)?,
            replaced_by: row.at(12)?,
        })
    }
}

impl EdgeRow {
    fn link(&self, direction: Direction, as_of: AsOf) -> Step {
        let (here, there) = match direction {
            Direction::Forward => (self.from_key, self.to_key),
            Direction::Backward => (self.to_key, self.from_key),
        };
        Step { here, there, holds: self.removed_at.is_none() || as_of != AsOf::Ever }
    }
}

/// The edges from items, or to them.
async fn edge_rows(
    view: &mut Link<'_>,
    keys: &[i64],
    direction: Direction,
    as_of: AsOf,
) -> Result<Vec<EdgeRow>, StoreError> {
    let mut all = Vec::new();
    for keys in keys.chunks(ASKED_AT_A_TIME) {
        let mut query = sql(
            "SELECT from_key, to_key, quantity, position, at, removed_at, given_back, adds, job, equipment, by_id, removed_by, \
             replaced_by FROM trace_edge WHERE ",
        );
        query.push(match direction {
            Direction::Forward => "from_key IN ",
            Direction::Backward => "to_key IN ",
        });
        push_keys(&mut query, keys);
        push_date(&mut query, as_of);
        query.push(" LIMIT ").push_bind(EDGES_MAX + 1 - all.len());
        let rows: Vec<EdgeRow> = query.rows(view, "read what went into what").await?;
        all.extend(rows);
        if all.len() > EDGES_MAX {
            break;
        }
    }
    Ok(all)
}

/// What went into what among the items.
async fn edges(view: &mut Link<'_>, reach: &mut Reach) -> Result<Vec<Edge>, StoreError> {
    let mut found = std::mem::take(&mut reach.edges);
    found.retain(|row| reach.places.contains_key(&row.from_key) && reach.places.contains_key(&row.to_key));
    found.truncate(EDGES_MAX);
    let ids = |key: &i64| reach.places.get(key).map(|place| reach.rows[*place].0.id);
    in_words(view, found, ids).await
}

/// Edges as they are told; `ids` knows the items at their ends.
async fn in_words(
    view: &mut Link<'_>,
    mut found: Vec<EdgeRow>,
    ids: impl Fn(&i64) -> Option<Uuid>,
) -> Result<Vec<Edge>, StoreError> {
    found.sort_unstable_by_key(|row| (row.at, row.from_key, row.to_key, row.position));
    let mut texts = Texts::default();
    let words = |row: &EdgeRow| [Some(row.position), row.job, row.equipment, row.by_id, row.removed_by];
    texts.of(view, found.iter().flat_map(words).flatten().collect()).await?;
    let others: Vec<i64> = found.iter().filter_map(|row| row.replaced_by).collect();
    let others: HashMap<i64, Uuid> = rows(view, &others).await?.into_iter().map(|row| (row.key, row.id)).collect();
    let id = |key: &i64| {
        let reason = "an item at its end is not there".to_owned();
        ids(key).ok_or(StoreError::Damaged { what: "edge of traceability", reason })
    };
    found
        .iter()
        .map(|row| {
            Ok(Edge {
                from: id(&row.from_key)?,
                to: id(&row.to_key)?,
                quantity: row.quantity,
                position: texts.text(row.position),
                at: Timestamp::from_micros(row.at),
                removed_at: row.removed_at.map(Timestamp::from_micros),
                given_back: row.given_back,
                replaced_by: row.replaced_by.and_then(|key| others.get(&key)).copied(),
                adds: row.adds,
                job: texts.id(row.job),
                equipment: texts.perhaps(row.equipment),
                by: texts.id(row.by_id),
                removed_by: texts.id(row.removed_by),
            })
        })
        .collect()
}

/// Where items lie, and how much of them. One whole thing in one place knows it itself.
async fn lying(view: &mut Link<'_>, rows: &[Row]) -> Result<HashMap<i64, Vec<(String, i64)>>, StoreError> {
    let is_known = |row: &&Row| row.kind().is_whole() && row.place > 0;
    let mut found: Vec<(i64, i64, i64)> = rows.iter().filter(is_known).map(|row| (row.key, row.place, ONE)).collect();
    let asked: Vec<i64> = rows.iter().filter(|row| row.place != 0 && !is_known(row)).map(|row| row.key).collect();
    for keys in asked.chunks(ASKED_AT_A_TIME) {
        let mut query = sql("SELECT item, place, quantity FROM trace_stock WHERE item IN ");
        push_keys(&mut query, keys);
        query.push(" ORDER BY item, place");
        let more: Vec<(i64, i64, i64)> = query.rows(view, "look where items are").await?;
        found.extend(more);
    }
    let mut texts = Texts::default();
    texts.of(view, found.iter().map(|(_, place, _)| *place).collect()).await?;
    let mut lying: HashMap<i64, Vec<(String, i64)>> = HashMap::new();
    for (key, place, quantity) in found {
        lying.entry(key).or_default().push((texts.text(place), quantity));
    }
    Ok(lying)
}

/// The containers of items, from the inside out: a box, the pallet it stands on.
async fn packed(view: &mut Link<'_>, packed: &[(i64, i64)]) -> Result<HashMap<i64, Vec<ItemName>>, StoreError> {
    let mut containers: Vec<i64> = packed.iter().map(|(_, container)| *container).collect();
    containers.sort_unstable();
    containers.dedup();
    let names: HashMap<i64, ItemName> = containers.iter().copied().zip(names(view, &containers).await?).collect();
    let mut around: HashMap<i64, Vec<i64>> = HashMap::new();
    for (item, container) in packed {
        around.entry(*item).or_default().push(*container);
    }
    let outwards = |item: &i64| {
        let (mut all, mut next) = (Vec::new(), 0);
        all.extend(around[item].iter().copied());
        while let Some(container) = all.get(next).copied() {
            // One that was seen is not seen again: at no date is a circle possible, but over all dates it is.
            let more = around.get(&container).into_iter().flatten();
            let more: Vec<i64> = more.copied().filter(|key| !all.contains(key)).collect();
            all.extend(more);
            next += 1;
        }
        all
    };
    let named = |item: &i64| outwards(item).iter().filter_map(|key| names.get(key).cloned()).collect();
    Ok(around.keys().map(|item| (*item, named(item))).collect())
}
