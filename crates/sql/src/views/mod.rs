//! The views: what can be read.
//!
//! [`samples`] is the one that reads history, and [`stretches`] are queries over it; [`records`] are read page by page; the others are small and made in
//! memory when they are read, from what the caller sees.

pub(crate) mod beside;
pub(crate) mod like;
mod records;
pub mod samples;
mod scan;
mod steps;
mod stretches;
pub(crate) mod summary;
mod tables;
pub(crate) mod whole;

use crate::engine::Caller;
use arrow::datatypes::{DataType, SchemaRef, TimeUnit};
use async_trait::async_trait;
use datafusion::catalog::{SchemaProvider, TableProvider};
use datafusion::error::Result;
use std::sync::Arc;

/// The names of the views with what they hold.
pub const VIEWS: [(&str, &str); 16] = [
    ("samples", "History: one row for each sample of each tag."),
    ("samples_by_minute", "History summed up: one row for each minute of each tag."),
    ("samples_by_hour", "History summed up: one row for each hour of each tag."),
    ("samples_by_day", "History summed up: one row for each UTC day of each tag."),
    ("last_values", "The last value of each tag, as screens show it."),
    ("tags", "The tags: path, title, type, unit, range."),
    ("equipment", "The equipment: sites, areas, lines, machines, rooms."),
    ("gaps", "Where history is incomplete: when Andon was not running, or readings were lost."),
    ("events", "What happened: alarms, commands, connections, people, configuration."),
    ("report_orders", "Work orders."),
    ("report_jobs", "Job orders."),
    ("report_job_times", "When a job stood on a machine."),
    ("report_lots", "Lots, sublots, serial units and containers."),
    ("report_genealogy", "What went into what."),
    ("report_hours", "An hour of a machine, or of what lies above it: times, amounts and the terms of the KPIs."),
    ("report_days", "A day in UTC of a machine, or of what lies above it: times, amounts and the terms of the KPIs."),
];

/// Times are microseconds in UTC.
pub(crate) fn time() -> DataType {
    DataType::Timestamp(TimeUnit::Microsecond, Some("UTC".into()))
}

/// The columns of a view, `None` if there is no such view.
#[must_use]
pub fn columns(view: &str) -> Option<SchemaRef> {
    match view {
        "samples" => Some(samples::schema()),
        _ => stretches::columns(view).or_else(|| tables::columns(view)).or_else(|| records::columns(view)),
    }
}

/// The schema of the views, for one caller.
pub(crate) fn schema(caller: &Caller) -> Arc<dyn SchemaProvider> {
    Arc::new(Views { caller: caller.clone(), system: crate::pg::catalog::schema(caller) })
}

#[derive(Debug)]
struct Views {
    caller: Caller,
    /// As in PostgreSQL, the system's tables are found without their schema's name.
    system: Arc<dyn SchemaProvider>,
}

#[async_trait]
impl SchemaProvider for Views {
    fn table_names(&self) -> Vec<String> {
        VIEWS.iter().map(|(name, _)| (*name).to_owned()).collect()
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>> {
        if name == "samples" {
            return Ok(Some(Arc::new(samples::Samples::new(self.caller.clone()))));
        }
        if let Some(view) = stretches::view(name, &self.caller)? {
            return Ok(Some(view));
        }
        match tables::view(name, &self.caller).or_else(|| records::view(name, &self.caller)) {
            Some(view) => Ok(Some(view)),
            None => self.system.table(name).await,
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        columns(name).is_some() || self.system.table_exist(name)
    }
}
