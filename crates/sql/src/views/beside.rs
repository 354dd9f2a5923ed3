//! Tags of equipment side by side: one row for each time at which one of them has a reading.
//!
//! History is read tag by tag, each in the order of time, so that rows of one equipment come together by walking along its tags
//! together: nothing is looked up by path or time, and what one tag lacks at a time is null.
//!
//! **Rights.** Only tags that the caller sees are put side by side; each block of rows asks again.

use super::like::{is_plain, like};
use super::samples::{self, Span, about_path, kept, span_of, taken_exactly};
use super::scan::{Feed, Parts, ScanExec};
use super::time;
use crate::engine::Caller;
use crate::ports::{Blocks, Rows, Unreadable};
use andon_model::TagId;
use arrow::array::{ArrayRef, BooleanBufferBuilder, TimestampMicrosecondArray, UInt32Array, new_null_array};
use arrow::buffer::NullBuffer;
use arrow::compute::take;
use arrow::datatypes::{DataType, Field, Schema, SchemaRef};
use async_trait::async_trait;
use datafusion::catalog::{Session, TableProvider};
use datafusion::error::{DataFusionError, Result};
use datafusion::logical_expr::{Expr, TableProviderFilterPushDown, TableType};
use datafusion::physical_plan::ExecutionPlan;
use std::collections::BTreeMap;
use std::fmt;
use std::ops::Range;
use std::sync::Arc;

/// Rows of each tag that are put together in one go.
const STRIDE: usize = crate::engine::BATCH;

/// An equipment with the tags that are asked for, in their order; `None` where it has no such tag.
#[derive(Debug, Clone)]
pub(crate) struct Equipment {
    pub(crate) path: Arc<str>,
    pub(crate) tags: Arc<[Option<TagId>]>,
}

/// What is asked for.
#[derive(Debug)]
pub(crate) struct Asked {
    pub(crate) caller: Caller,
    /// In the order of their paths.
    pub(crate) equipment: Vec<Equipment>,
    /// `path`, then what comes with it, then a column for each tag: text where one of them is a text tag.
    pub(crate) schema: SchemaRef,
    names: Vec<String>,
}

impl Asked {
    /// The equipment whose path is like `pattern`, with its tags of these names (the last parts of their paths).
    /// # Errors
    /// A name with which the caller sees no tag there.
    pub(crate) fn find(caller: &Caller, pattern: &str, names: Vec<String>, with: &[Field]) -> Result<Self> {
        let equipment = found(caller, pattern, &names);
        let mut fields = vec![Field::new("path", DataType::Utf8View, false)];
        fields.extend_from_slice(with);
        for (place, name) in names.iter().enumerate() {
            let tags: Vec<TagId> = equipment.iter().filter_map(|one| *one.tags.get(place)?).collect();
            if tags.is_empty() {
                // What may not be seen looks like what does not exist.
                return Err(DataFusionError::Plan(format!("there is no tag \"{name}\" below \"{pattern}\"")));
            }
            let text = tags.iter().any(|tag| caller.ports.catalog.data_type(*tag) == Some("string"));
            fields.push(Field::new(name, if text { DataType::Utf8View } else { DataType::Float64 }, true));
        }
        Ok(Self { caller: caller.clone(), equipment, schema: Arc::new(Schema::new(fields)), names })
    }

    /// The type of a tag's column.
    pub(crate) fn data_type(&self, place: usize) -> &DataType {
        self.schema.field(self.schema.fields().len() - self.names.len() + place).data_type()
    }
}

fn found(caller: &Caller, pattern: &str, names: &[String]) -> Vec<Equipment> {
    let catalog = &caller.ports.catalog;
    if is_plain(pattern) {
        let tag = |name: &String| {
            let path = format!("{pattern}/{name}");
            catalog.at(&path).filter(|_| caller.sees(&path))
        };
        return vec![Equipment { path: pattern.into(), tags: names.iter().map(tag).collect() }];
    }
    let mut all: BTreeMap<Box<str>, Vec<Option<TagId>>> = BTreeMap::new();
    for (id, path) in catalog.paths() {
        for (place, name) in names.iter().enumerate() {
            let above = path.strip_suffix(name.as_str()).and_then(|above| above.strip_suffix('/'));
            if let Some(above) = above.filter(|above| like(pattern, above) && caller.sees(&path)) {
                let tags = match all.get_mut(above) {
                    Some(tags) => tags,
                    None => all.entry(above.into()).or_insert_with(|| vec![None; names.len()]),
                };
                if let Some(tag) = tags.get_mut(place) {
                    *tag = Some(id);
                }
            }
        }
    }
    all.into_iter().map(|(path, tags)| Equipment { path: path.into(), tags: tags.into() }).collect()
}

/// History side by side.
#[derive(Debug)]
pub(crate) struct Beside {
    pub(crate) asked: Arc<Asked>,
    pub(crate) span: Span,
}

impl Beside {
    /// The columns between the path and the tags.
    pub(crate) fn fields() -> [Field; 1] {
        [Field::new("ts", time(), false)]
    }
}

#[async_trait]
impl TableProvider for Beside {
    fn schema(&self) -> SchemaRef {
        self.asked.schema.clone()
    }

    fn table_type(&self) -> TableType {
        TableType::View
    }

    fn supports_filters_pushdown(&self, filters: &[&Expr]) -> Result<Vec<TableProviderFilterPushDown>> {
        Ok(taken_exactly(filters, |filter| about_path(filter) || span_of(filter).is_some()))
    }

    async fn scan(
        &self,
        state: &dyn Session,
        projection: Option<&Vec<usize>>,
        filters: &[Expr],
        limit: Option<usize>,
    ) -> Result<Arc<dyn ExecutionPlan>> {
        let (of_path, of_time): (Vec<&Expr>, Vec<&Expr>) = filters.iter().partition(|filter| about_path(filter));
        let span = of_time.into_iter().filter_map(span_of).fold(self.span, Span::and);
        let mut equipment = if span.is_empty() { Vec::new() } else { self.asked.equipment.clone() };
        let paths: Vec<&str> = equipment.iter().map(|one| &*one.path).collect();
        let mut keep = kept(state, &paths, &of_path)?.into_iter();
        equipment.retain(|_| keep.next().unwrap_or(false));
        let parts = Parts::new(&equipment, state.config().target_partitions());
        let source = Source { asked: self.asked.clone(), parts, span };
        Ok(Arc::new(ScanExec::new(Feed::Beside(source), projection, limit)?))
    }
}

/// What is read: equipment, in partitions of neighbours, and the range of times.
#[derive(Debug, Clone)]
pub(crate) struct Source {
    pub(super) asked: Arc<Asked>,
    pub(super) parts: Parts<Equipment>,
    pub(super) span: Span,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "equipment={}, tags=[{}]{}", self.parts.count(), self.asked.names.join(", "), self.span)
    }
}

// ---- reading ----

/// Walks along the tags of an equipment.
pub(super) struct Merging {
    tags: Vec<Walk>,
    types: Vec<DataType>,
}

/// How far one tag has been walked along.
struct Walk {
    blocks: Box<dyn Blocks>,
    /// Whether there may be more rows.
    open: bool,
    rows: Arc<Rows>,
    /// The first row that is not yet handed out.
    at: usize,
}

/// Rows of several tags.
pub(super) struct Merged {
    /// At which one of them has a reading, ascending.
    pub(super) ts: Vec<i64>,
    tags: Vec<Stretch>,
}

/// Rows of one tag, and where they stand.
struct Stretch {
    rows: Arc<Rows>,
    range: Range<usize>,
    /// Which of them belongs to each time; `None`: one to each.
    places: Option<UInt32Array>,
    data_type: DataType,
}

impl Merging {
    pub(super) fn new(source: &Source, open: impl Fn() -> Box<dyn Blocks>) -> Self {
        let places = 0..source.asked.names.len();
        let types = places.clone().map(|place| source.asked.data_type(place).clone()).collect();
        let none = Arc::new(samples::no_rows());
        Self { tags: places.map(|_| Walk { blocks: open(), open: false, rows: none.clone(), at: 0 }).collect(), types }
    }

    pub(super) fn begin(&mut self, equipment: &Equipment, span: Span) {
        let none = Arc::new(samples::no_rows());
        for (walk, tag) in self.tags.iter_mut().zip(&*equipment.tags) {
            if let Some(tag) = tag {
                walk.blocks.begin(*tag, span.from, span.to);
            }
            (walk.open, walk.rows, walk.at) = (tag.is_some(), none.clone(), 0);
        }
    }

    /// The next rows, `None` at the end. Blocks.
    pub(super) fn next(&mut self) -> Option<std::result::Result<Merged, Unreadable>> {
        for walk in &mut self.tags {
            if let Err(reason) = walk.fill() {
                return Some(Err(reason));
            }
        }
        // What lies behind the last known row of a tag may yet come between.
        let reached = |walk: &Walk| walk.left().get(..STRIDE).unwrap_or(walk.left()).last().copied();
        let end = self.tags.iter().filter_map(reached).min()?;
        let mut stretches = Vec::with_capacity(self.tags.len());
        for (walk, data_type) in self.tags.iter_mut().zip(&self.types) {
            let upto = walk.at + walk.left().partition_point(|ts| *ts <= end);
            let range = walk.at..upto;
            walk.at = upto;
            stretches.push(Stretch { rows: walk.rows.clone(), range, places: None, data_type: data_type.clone() });
        }
        Some(Ok(Merged::of(stretches)))
    }
}

impl Walk {
    /// Sees to it that there are rows, unless there are no more.
    fn fill(&mut self) -> std::result::Result<(), Unreadable> {
        while self.open && self.left().is_empty() {
            match self.blocks.next().transpose()? {
                Some(rows) => (self.rows, self.at) = (Arc::new(rows), 0),
                None => self.open = false,
            }
        }
        Ok(())
    }

    fn left(&self) -> &[i64] {
        self.rows.ts.get(self.at..).unwrap_or_default()
    }
}

impl Stretch {
    fn ts(&self) -> &[i64] {
        self.rows.ts.get(self.range.clone()).unwrap_or_default()
    }

    fn array(&self) -> ArrayRef {
        let Range { start, end } = self.range;
        match self.data_type {
            DataType::Utf8View => samples::texts(&self.rows, start, end),
            _ => samples::values(&self.rows, start, end),
        }
    }
}

impl Merged {
    fn of(mut tags: Vec<Stretch>) -> Self {
        let mut ts: Vec<i64> = Vec::new();
        for stretch in &tags {
            if stretch.ts() != ts {
                ts = together(&ts, stretch.ts());
            }
        }
        for stretch in &mut tags {
            if stretch.range.len() != ts.len() {
                stretch.places = Some(places(&ts, stretch.ts()));
            }
        }
        Self { ts, tags }
    }

    /// A column but the path, between two rows: times, then the tags.
    pub(super) fn column(&self, column: usize, at: usize, to: usize) -> ArrayRef {
        let Some(stretch) = column.checked_sub(2).and_then(|place| self.tags.get(place)) else {
            return Arc::new(TimestampMicrosecondArray::from(self.ts[at..to].to_vec()).with_timezone("UTC"));
        };
        let array = stretch.array();
        match &stretch.places {
            None => array.slice(at, to - at),
            Some(_) if array.is_empty() => new_null_array(&stretch.data_type, to - at),
            // Every place is one of the array's.
            Some(places) => take(&array, &places.slice(at, to - at), None)
                .unwrap_or_else(|_| new_null_array(&stretch.data_type, to - at)),
        }
    }
}

/// Two ascending lists of times as one, each time once.
fn together(a: &[i64], b: &[i64]) -> Vec<i64> {
    let mut all = Vec::with_capacity(a.len().max(b.len()));
    let (mut left, mut right) = (0, 0);
    while left < a.len() && right < b.len() {
        let (one, other) = (a[left], b[right]);
        all.push(one.min(other));
        left += usize::from(one <= other);
        right += usize::from(other <= one);
    }
    all.extend_from_slice(&a[left..]);
    all.extend_from_slice(&b[right..]);
    all
}

/// For each time which of `mine`, which are among them, it is; null where it is none.
fn places(all: &[i64], mine: &[i64]) -> UInt32Array {
    let (mut places, mut known) = (Vec::with_capacity(all.len()), BooleanBufferBuilder::new(all.len()));
    let mut next = 0;
    for ts in all {
        let here = next < mine.len() && mine[next] == *ts;
        places.push(u32::try_from(next).unwrap_or(u32::MAX));
        known.append(here);
        next += usize::from(here);
    }
    UInt32Array::new(places.into(), Some(NullBuffer::new(known.finish())))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::collections::BTreeSet;

    proptest! {
        #[test]
        fn times_come_together_and_each_keeps_its_place(a in proptest::collection::btree_set(0..40_i64, 0..30), b in proptest::collection::btree_set(0..40_i64, 0..30)) {
            let list = |set: &BTreeSet<i64>| set.iter().copied().collect::<Vec<_>>();
            let all = together(&list(&a), &list(&b));
            prop_assert_eq!(&all, &list(&a.union(&b).copied().collect()));
            let mine = list(&b);
            for (ts, place) in all.iter().zip(&places(&all, &mine)) {
                prop_assert_eq!(place.map(|place| mine[place as usize]), b.get(ts).copied());
            }
        }
    }
}
