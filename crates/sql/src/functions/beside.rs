//! `side_by_side(equipment, from, to, tag, …)` and `last_side_by_side(equipment, tag, …)`: tags of equipment as columns.
//!
//! The first argument is the path of an equipment, or a pattern as for `LIKE`; the tags are named by what follows it in their paths.

use super::series::{bad, text_of, time_of};
use crate::engine::Caller;
use crate::ports::Last;
use crate::views::beside::{Asked, Beside};
use crate::views::samples::Span;
use crate::views::whole::{Make, Whole};
use andon_model::Value;
use arrow::array::{ArrayRef, Float64Array, StringViewArray};
use arrow::datatypes::{DataType, SchemaRef};
use arrow::record_batch::RecordBatch;
use datafusion::catalog::{TableFunctionArgs, TableFunctionImpl, TableProvider};
use datafusion::error::Result;
use datafusion::logical_expr::Expr;
use std::sync::Arc;

/// The most tags of one equipment.
const MAX_TAGS: usize = 64;

/// Which function.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Kind {
    /// History.
    Samples,
    /// Last values.
    Last,
}

impl Kind {
    /// Its name in SQL.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Samples => "side_by_side",
            Self::Last => "last_side_by_side",
        }
    }

    const fn called(self) -> &'static str {
        match self {
            Self::Samples => "side_by_side is called as side_by_side('equipment', from, to, 'tag', …)",
            Self::Last => "last_side_by_side is called as last_side_by_side('equipment', 'tag', …)",
        }
    }
}

/// The function, for one caller.
#[derive(Debug)]
pub(crate) struct SideBySide {
    pub(crate) caller: Caller,
    pub(crate) kind: Kind,
}

impl TableFunctionImpl for SideBySide {
    fn call_with_args(&self, args: TableFunctionArgs<'_, '_>) -> Result<Arc<dyn TableProvider>> {
        let called = || bad(self.kind.called());
        let [equipment, rest @ ..] = args.exprs() else { return Err(called()) };
        let pattern = text_of(equipment).ok_or_else(called)?.trim_end_matches('/');
        if self.kind == Kind::Last {
            let asked = Asked::find(&self.caller, pattern, self.names(rest)?, &[])?;
            return Ok(Arc::new(Whole(LastValues(Arc::new(asked)))));
        }
        let [from, to, tags @ ..] = rest else { return Err(called()) };
        let at = |expr: &Expr, which: &str| {
            time_of(expr).ok_or_else(|| bad(format!("the {which} argument of side_by_side is a time, such as '2026-11-25T06:00:00Z' or now() - INTERVAL '1 day'")))
        };
        let (from, to) = (at(from, "second")?, at(to, "third")?);
        if from >= to {
            return Err(bad("the times of side_by_side run backwards"));
        }
        let asked = Asked::find(&self.caller, pattern, self.names(tags)?, &Beside::fields())?;
        Ok(Arc::new(Beside { asked: Arc::new(asked), span: Span { from, to } }))
    }
}

impl SideBySide {
    /// The names of the tags, each of which becomes a column.
    fn names(&self, tags: &[Expr]) -> Result<Vec<String>> {
        let mut names: Vec<String> = Vec::new();
        for tag in tags {
            let name = text_of(tag).filter(|name| !name.is_empty()).ok_or_else(|| bad(self.kind.called()))?;
            if names.iter().any(|known| known == name) || ["path", "ts"].contains(&name) {
                return Err(bad(format!("{} would have two columns \"{name}\"", self.kind.name())));
            }
            names.push(name.to_owned());
        }
        match names.len() {
            0 => Err(bad(self.kind.called())),
            1..=MAX_TAGS => Ok(names),
            _ => Err(bad(format!("{} takes at most {MAX_TAGS} tags", self.kind.name()))),
        }
    }
}

/// Last values side by side.
#[derive(Debug, Clone)]
struct LastValues(Arc<Asked>);

impl Make for LastValues {
    fn schema(&self) -> &SchemaRef {
        &self.0.schema
    }

    async fn make(self) -> Result<RecordBatch> {
        let asked = &*self.0;
        asked.caller.still()?;
        let catalog = &asked.caller.ports.catalog;
        let paths: StringViewArray = asked.equipment.iter().map(|one| Some(&*one.path)).collect();
        let mut columns: Vec<ArrayRef> = vec![Arc::new(paths)];
        for place in 0..asked.schema.fields().len() - 1 {
            let last = asked.equipment.iter().map(|one| {
                let tag = one.tags.get(place).copied().flatten();
                tag.and_then(|tag| catalog.last(tag)).filter(|last| !last.quality.is_bad())
            });
            columns.push(match asked.data_type(place) {
                DataType::Utf8View => Arc::new(last.map(text).collect::<StringViewArray>()),
                _ => Arc::new(last.map(|last| last?.value.as_f64()).collect::<Float64Array>()),
            });
        }
        Ok(RecordBatch::try_new(asked.schema.clone(), columns)?)
    }
}

fn text(last: Option<Last>) -> Option<Arc<str>> {
    match last?.value {
        Value::String(text) => Some(text),
        _ => None,
    }
}
