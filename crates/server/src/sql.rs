//! Adapters for the SQL face: history, catalogue, records and gate as `andon-sql` wants them, and the SQL face as `andon-api` does.
//!
//! The records are asked on the node's own threads: a connection to a server of records lives where it was made, and the threads of queries
//! know no sockets. What was asked there ends by itself, also when nobody waits for it any more: a page is short.

use crate::settings::SqlLimits;
use andon_access::{Accounts, table};
use andon_api::ports::trace::{Traces, sees_lots};
use andon_api::ports::{Sql, SqlAnswer, SqlFormat, SqlProblem};
use andon_bus::Bus;
use andon_historian::{Block, Historian, HistoryGap, Scan, Unread};
use andon_model::access::{Action, Principal};
use andon_model::error::causes;
use andon_model::log::Seq;
use andon_model::path::is_under;
use andon_model::plant::Interpolation;
use andon_model::{BoxFuture, Clock, Loss, TagId, Timestamp};
use andon_sql::output::{Format, Writer};
use andon_sql::ports::{
    Blocks, Catalog, Equipment, EventQuery, EventRow, Gap, Gate, History, Last, LoginRefused, Pages, Ports,
    RecordColumn, RecordQuery, RecordRows, Records, Rows, Summed, Tag, Unreadable,
};
use andon_sql::{Engine, Options, SqlError};
use andon_store::rows::{RowColumn, RowsFilter, RowsRepository, View};
use andon_store::{Store, StoreError, TimelineFilter, TimelineRepository};
use std::sync::Arc;
use std::time::Duration;
use tokio::runtime::Handle;

/// Starts the SQL face over the parts of a node, on whose threads it is called.
/// # Errors
/// The system has no threads left.
pub fn start(
    limits: &SqlLimits,
    historian: Arc<Historian>,
    bus: Arc<Bus>,
    store: Store,
    traces: Arc<dyn Traces>,
    accounts: Arc<Accounts>,
    clock: Arc<dyn Clock>,
) -> std::io::Result<Arc<Engine>> {
    let kept = Kept { store, node: Handle::current() };
    let ports = Ports {
        history: Arc::new(FromHistorian(historian)),
        catalog: Arc::new(FromPlant { bus, kept: kept.clone(), clock }),
        records: Arc::new(FromRecords { kept, traces }),
        gate: Arc::new(FromAccounts(accounts)),
    };
    let options = Options {
        memory_mib: limits.memory_mib,
        time: Duration::from_secs(limits.seconds),
        rows: limits.rows,
        queries: limits.queries,
        connections: limits.connections,
        known_sums: limits.use_rollups,
        ..Options::default()
    };
    Engine::start(ports, options)
}

struct FromHistorian(Arc<Historian>);

impl History for FromHistorian {
    fn open(&self) -> Box<dyn Blocks> {
        Box::new(FromScan { historian: Arc::clone(&self.0), scan: None })
    }

    fn gaps(&self) -> Vec<Gap> {
        let mut gaps = self.0.gaps();
        gaps.extend(self.0.given_up_gaps());
        gaps.sort_by_key(|gap| (gap.from, gap.to));
        gaps.into_iter().map(|HistoryGap { from, to, reason }| Gap { from, to, reason }).collect()
    }

    fn lost(&self, tag: TagId) -> Vec<Loss> {
        let loss = |gap: &HistoryGap, goes_on, in_doubt| Loss { from: gap.from, to: gap.to, goes_on, in_doubt };
        let given_up = self.0.given_up_of(tag);
        let gaps = self.0.gaps();
        let all = gaps.iter().map(|gap| loss(gap, true, false));
        Loss::in_order(all.chain(given_up.iter().map(|unread| loss(&unread.gap, false, unread.in_doubt))).collect())
    }
}

struct FromScan {
    historian: Arc<Historian>,
    scan: Option<Scan>,
}

impl Blocks for FromScan {
    fn begin(&mut self, tag: TagId, from_us: i64, to_us: i64) {
        let [from, to] = [from_us, to_us].map(Timestamp::from_micros);
        match &mut self.scan {
            Some(scan) => scan.turn_to(tag, from, to),
            None => self.scan = Some(self.historian.scan(tag, from, to)),
        }
    }

    fn next(&mut self) -> Option<Result<Rows, Unreadable>> {
        let scan = self.scan.as_mut()?;
        let block = scan.next();
        whole(scan).map(|()| block.map(rows)).transpose()
    }

    fn next_summed(&mut self, width_us: Option<i64>) -> Option<Result<Summed, Unreadable>> {
        let width = width_us.map(|us| Duration::from_micros(us.unsigned_abs()));
        let scan = self.scan.as_mut()?;
        let next = scan.next_summed(width).map(|next| match next {
            andon_historian::Summed::Points(block) => Summed::Rows(rows(block)),
            andon_historian::Summed::Sums(sums) => Summed::Sums(sums),
        });
        whole(scan).map(|()| next).transpose()
    }
}

/// In SQL there is no place beside the rows to say what is missing: an answer is whole, or there is none. Whoever gave up a file wants
/// an answer without it, and `gaps` names it.
fn whole(scan: &Scan) -> Result<(), Unreadable> {
    match scan.unreadable().iter().find(|unread| !unread.given_up) {
        None => Ok(()),
        Some(Unread { gap, .. }) => Err(Unreadable(format!(
            "what lies between {} and {} cannot be read: {}. Ask for other times meanwhile",
            gap.from, gap.to, gap.reason
        ))),
    }
}

fn rows(block: Block) -> Rows {
    Rows { ts: block.ts, values: block.values, quality: block.quality }
}

/// The records, asked on the node's own threads.
#[derive(Clone)]
struct Kept {
    store: Store,
    node: Handle,
}

impl Kept {
    async fn ask<T, W>(&self, work: impl FnOnce(Store) -> W) -> Result<T, String>
    where
        T: Send + 'static,
        W: Future<Output = Result<T, StoreError>> + Send + 'static,
    {
        // Ends by itself: it is one page.
        let answer = self.node.spawn(work(self.store.clone())).await;
        answer.map_err(|fault| format!("reading the records failed: {fault}"))?.map_err(|error| causes(&error))
    }
}

struct FromPlant {
    bus: Arc<Bus>,
    kept: Kept,
    clock: Arc<dyn Clock>,
}

impl Catalog for FromPlant {
    fn tags(&self) -> Vec<Tag> {
        let plant = self.bus.plant();
        let tag = |(id, tag): (TagId, &andon_model::plant::TagDef)| Tag {
            id,
            uuid: tag.id.to_string(),
            path: tag.path.as_str().into(),
            title: tag.title.clone(),
            data_type: tag.data_type.name(),
            unit: tag.unit.as_ref().map(andon_model::Unit::symbol),
            range: tag.range,
            digits: tag.digits,
            stepped: tag.interpolation == Interpolation::Stepped,
            description: tag.description.clone(),
        };
        plant.tags().map(tag).collect()
    }

    fn paths(&self) -> Vec<(TagId, Arc<str>)> {
        self.bus.plant().tags().map(|(id, tag)| (id, tag.path.as_str().into())).collect()
    }

    fn at(&self, path: &str) -> Option<TagId> {
        let plant = self.bus.plant();
        let id = plant.id_of(path)?;
        plant.tag(id).is_some_and(|tag| tag.path.as_str() == path).then_some(id)
    }

    fn data_type(&self, tag: TagId) -> Option<&'static str> {
        Some(self.bus.plant().tag(tag)?.data_type.name())
    }

    fn equipment(&self) -> Vec<Equipment> {
        let plant = self.bus.plant();
        let one = |equipment: &andon_model::plant::Equipment| Equipment {
            path: equipment.path.to_string(),
            level: equipment.level.word(equipment.profile),
            title: equipment.title.clone(),
            parent: equipment.path.parent().map(|parent| parent.to_string()),
        };
        plant.plant.equipment.iter().map(one).collect()
    }

    fn last(&self, tag: TagId) -> Option<Last> {
        let sample = self.bus.last(tag)?;
        Some(Last {
            tag,
            ts: sample.source_ts.micros(),
            stale: self.bus.stale(tag, self.clock.now()),
            value: sample.value,
            quality: sample.quality,
        })
    }

    fn events(&self, query: EventQuery) -> BoxFuture<'_, Result<Vec<EventRow>, String>> {
        Box::pin(async move {
            let filter = TimelineFilter {
                from: query.from_us.map(Timestamp::from_micros),
                to: query.to_us.map(Timestamp::from_micros),
                branches: query.branches,
                before: query.before.map(Seq),
                limit: query.limit,
                ..TimelineFilter::default()
            };
            let events = self.kept.ask(|store| async move { store.timeline_query(filter).await }).await?;
            let row = |sealed: andon_model::event::SealedEvent| EventRow {
                seq: sealed.seq.0,
                id: sealed.event.id.to_string(),
                at: sealed.event.at.micros(),
                kind: sealed.event.what.kind(),
                severity: sealed.event.what.severity(),
                by: sealed.event.by.id.to_string(),
                detail: serde_json::to_string(&sealed.event.what).unwrap_or_default(),
                path: sealed.event.path,
            };
            Ok(events.into_iter().map(row).collect())
        })
    }

    fn now_us(&self) -> i64 {
        self.clock.now().micros()
    }
}

struct FromRecords {
    kept: Kept,
    traces: Arc<dyn Traces>,
}

impl Records for FromRecords {
    fn open(&self, query: RecordQuery) -> Box<dyn Pages> {
        let filter = View::named(query.view).map(|view| RowsFilter {
            view,
            columns: query.columns,
            branches: query.branches,
            texts: query.texts,
            from_us: query.from_us,
            to_us: query.to_us,
            after: None,
            limit: query.page,
        });
        Box::new(FromPages { kept: self.kept.clone(), next: filter.ok_or_else(|| unknown(query.view)).map(Some) })
    }

    fn sees_lots(&self, branches: &[String]) -> bool {
        sees_lots(&self.traces.stations(), |path| branches.iter().any(|branch| is_under(path, branch)))
    }
}

fn unknown(view: &str) -> Unreadable {
    Unreadable(format!("the records know no {view}"))
}

struct FromPages {
    kept: Kept,
    /// What to ask for next; `None` at the end.
    next: Result<Option<RowsFilter>, Unreadable>,
}

impl Pages for FromPages {
    fn next(&mut self) -> BoxFuture<'_, Result<Option<RecordRows>, Unreadable>> {
        Box::pin(async move {
            let Some(filter) = self.next.clone()? else { return Ok(None) };
            let asked = filter.clone();
            let page = self.kept.ask(|store| async move { store.rows_page(asked).await }).await.map_err(Unreadable)?;
            self.next = Ok(page.next.map(|next| RowsFilter { after: Some(next), ..filter }));
            let column = |column| match column {
                RowColumn::Texts(texts) => RecordColumn::Texts(texts),
                RowColumn::Numbers(numbers) => RecordColumn::Numbers(numbers),
            };
            Ok(Some(RecordRows { rows: page.rows, columns: page.columns.into_iter().map(column).collect() }))
        })
    }
}

struct FromAccounts(Arc<Accounts>);

impl Gate for FromAccounts {
    fn log_in<'a>(
        &'a self,
        user: &'a str,
        password: &'a str,
        from: &'a str,
    ) -> BoxFuture<'a, Result<Principal, LoginRefused>> {
        Box::pin(async move {
            // Dashboards log in with an API token; it has rights of its own, whatever user is named.
            if let Some(who) = self.0.authenticate_token(password) {
                return Ok(who);
            }
            let checked = self.0.log_in_once(user, password, from, "logged_in_by_sql").await;
            checked.map_err(|error| LoginRefused(error.to_string()))
        })
    }

    fn open(&self) -> Option<Principal> {
        self.0.open_mode().then_some(Principal::ANONYMOUS)
    }

    fn name(&self, who: &Principal) -> Option<String> {
        if *who == Principal::ANONYMOUS { Some("anonymous".to_owned()) } else { self.0.name_of(who.id) }
    }

    fn branches(&self, who: &Principal) -> Vec<String> {
        let needed = table::needed(Action::View);
        self.0.grants(who).into_iter().filter(|grant| grant.role >= needed).map(|grant| grant.branch).collect()
    }
}

/// SQL over HTTP.
pub struct SqlOverHttp(pub Arc<Engine>);

fn problem(error: SqlError) -> SqlProblem {
    let detail = error.to_string();
    match error {
        SqlError::Busy { .. } | SqlError::Stopping => SqlProblem::Busy(detail),
        SqlError::NotAllowed(_) => SqlProblem::NotAllowed(detail),
        SqlError::Damaged(_) => SqlProblem::Damaged(detail),
        SqlError::Failed(_) => SqlProblem::Failed(detail),
        _ => SqlProblem::Refused(detail),
    }
}

impl Sql for SqlOverHttp {
    fn run(&self, who: Principal, text: String, format: SqlFormat) -> BoxFuture<'_, Result<SqlAnswer, SqlProblem>> {
        Box::pin(async move {
            let format = match format {
                SqlFormat::Json => Format::Json,
                SqlFormat::Csv => Format::Csv,
                SqlFormat::Arrow => Format::Arrow,
            };
            let mut answer = self.0.run(&who, &text).await.map_err(problem)?;
            answer.look_ahead().await.map_err(problem)?;
            let mut writer = Writer::new(answer, format);
            let (sender, pieces) = tokio::sync::mpsc::channel(2);
            // Ends with the answer, or when nobody reads it any more.
            tokio::spawn(async move {
                while let Some(piece) = writer.next().await {
                    if sender.send(piece.map_err(|error| error.to_string())).await.is_err() {
                        return;
                    }
                }
            });
            Ok(SqlAnswer { content_type: format.content_type(), pieces })
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_store::rows::ColumnKind;

    #[test]
    fn views_of_the_records_have_the_columns_that_the_records_give() {
        let shown = |name: &str| {
            let schema = andon_sql::views::columns(name).expect("a view");
            // A type is told with its unit behind a bracket.
            let word = |of: String| of.split('(').next().unwrap_or_default().to_owned();
            let fields = schema.fields().iter();
            fields.map(|field| (field.name().clone(), word(field.data_type().to_string()))).collect::<Vec<_>>()
        };
        let given = |view: View| {
            let word = |kind| match kind {
                ColumnKind::Text | ColumnKind::Id => "Utf8View",
                ColumnKind::Whole => "Int64",
                ColumnKind::Amount => "Float64",
                ColumnKind::Time => "Timestamp",
            };
            view.columns().map(|(name, kind)| (name.to_owned(), word(kind).to_owned())).collect::<Vec<_>>()
        };
        for view in View::ALL {
            assert_eq!(shown(view.name()), given(view), "{}", view.name());
        }
        let named = andon_sql::views::VIEWS.iter().filter(|(name, _)| name.starts_with("report_"));
        assert_eq!(named.map(|(name, _)| *name).collect::<Vec<_>>(), View::ALL.map(View::name));
    }
}
