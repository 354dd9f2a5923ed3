//! One statement for one principal: parse, plan, check, run within limits.

use crate::dialect;
use crate::error::SqlError;
use crate::functions::texts::Share;
use crate::guard;
use crate::ports::Ports;
use crate::views::summary::{Summaries, Takes};
use crate::{functions, pg, views, yielding};
use andon_model::access::Principal;
use arrow::datatypes::SchemaRef;
use arrow::record_batch::RecordBatch;
use arrow::temporal_conversions::timestamp_us_to_datetime;
use datafusion::catalog::{CatalogProvider, MemoryCatalogProvider, MemoryCatalogProviderList};
use datafusion::execution::SessionStateBuilder;
use datafusion::execution::disk_manager::{DiskManagerBuilder, DiskManagerMode};
use datafusion::execution::memory_pool::GreedyMemoryPool;
use datafusion::execution::object_store::ObjectStoreUrl;
use datafusion::execution::runtime_env::RuntimeEnvBuilder;
use datafusion::execution::session_state::SessionState;
use datafusion::logical_expr::LogicalPlan;
use datafusion::physical_optimizer::PhysicalOptimizerRule;
use datafusion::physical_optimizer::optimizer::PhysicalOptimizer;
use datafusion::physical_plan::execute_stream;
use datafusion::prelude::SessionConfig;
use datafusion::sql::parser::Statement;
use futures_util::StreamExt;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::runtime::Runtime;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

/// The database's name in catalogues.
pub const DATABASE: &str = "andon";
/// The schema of the views.
pub const SCHEMA: &str = "public";
/// How often a running query's rights are looked at again.
const LOOK_AGAIN: Duration = Duration::from_millis(250);
/// Deep statements are walked by recursion; memory is only taken as it is used.
const STACK: usize = 64 << 20;
/// Rows of a batch, at most.
pub(crate) const BATCH: usize = 32 * 1024;

/// Bounds that a site may move.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Options {
    /// Memory of one query, in MiB.
    pub memory_mib: usize,
    /// Time of one query until its last row is taken.
    pub time: Duration,
    /// Rows of one answer.
    pub rows: u64,
    /// Queries at a time.
    pub queries: usize,
    /// Queries that wait for their turn.
    pub waiting: usize,
    /// How long a query waits for its turn.
    pub wait: Duration,
    /// PostgreSQL connections at a time.
    pub connections: usize,
    /// Whether `avg`, `min`, `max`, `sum` and `count` may take what history knows of whole minutes and hours in place of rows.
    pub known_sums: bool,
}

impl Default for Options {
    fn default() -> Self {
        Self {
            memory_mib: 256,
            time: Duration::from_secs(60),
            rows: 10_000_000,
            queries: 2,
            waiting: 32,
            wait: Duration::from_secs(30),
            connections: 64,
            known_sums: true,
        }
    }
}

/// The rows of a statement, on their way. Dropping it ends the query.
#[derive(Debug)]
pub struct Answer {
    /// The columns.
    pub schema: SchemaRef,
    /// The rows; an error is the last item.
    pub batches: mpsc::Receiver<Result<RecordBatch, SqlError>>,
    /// The first rows, once they were looked at.
    first: Option<RecordBatch>,
    caller: Caller,
    /// When the caller's rights were last looked at.
    looked: Instant,
    _ends_with_us: tokio_util::sync::DropGuard,
}

impl Answer {
    /// Waits for the first rows; they still come next.
    /// # Errors
    /// It ended without any, for this reason.
    pub async fn look_ahead(&mut self) -> Result<(), SqlError> {
        if self.first.is_none() {
            self.first = self.batches.recv().await.transpose()?;
        }
        Ok(())
    }

    /// The next rows, `None` at the end. Rows that were made while the caller had a right are not handed out without it.
    pub async fn next(&mut self) -> Option<Result<RecordBatch, SqlError>> {
        let batch = match self.first.take() {
            Some(first) => Ok(first),
            None => self.batches.recv().await?,
        };
        Some(self.still().and(batch))
    }

    /// What the caller saw when it began.
    pub(crate) const fn branches(&self) -> &Arc<[String]> {
        &self.caller.branches
    }

    /// Whether its rows may still be handed out; to be asked before each slice of them.
    pub(crate) fn still(&mut self) -> Result<(), SqlError> {
        if self.looked.elapsed() >= LOOK_AGAIN {
            self.caller.still()?;
            self.looked = Instant::now();
        }
        Ok(())
    }
}

/// For whom a query runs, and what they saw when it was planned.
#[derive(Debug, Clone)]
pub(crate) struct Caller {
    pub(crate) ports: Ports,
    pub(crate) who: Principal,
    /// The branches at the start; a query sees never more than these.
    pub(crate) branches: Arc<[String]>,
}

impl Caller {
    fn new(ports: &Ports, who: &Principal) -> Result<Self, SqlError> {
        let branches: Arc<[String]> = ports.gate.branches(who).into();
        if branches.is_empty() {
            return Err(SqlError::NotAllowed(
                "you may not look at anything here; an administrator can give you a role on a branch".to_owned(),
            ));
        }
        Ok(Self { ports: ports.clone(), who: who.clone(), branches })
    }

    /// Whether the path may be looked at.
    pub(crate) fn sees(&self, path: &str) -> bool {
        crate::ports::sees(&self.branches, path)
    }

    /// What they are called; the id of somebody whose name is erased.
    pub(crate) fn name(&self) -> String {
        self.ports.gate.name(&self.who).unwrap_or_else(|| self.who.id.to_string())
    }

    /// Whether everything that could be seen at the start still can.
    pub(crate) fn still(&self) -> Result<(), SqlError> {
        let now = self.ports.gate.branches(&self.who);
        if self.branches.iter().all(|branch| crate::ports::sees(&now, branch)) {
            return Ok(());
        }
        Err(SqlError::NotAllowed("your rights were changed while the query ran; run it again".to_owned()))
    }
}

/// Plans and runs statements.
#[derive(Debug)]
pub struct Engine {
    ports: Ports,
    options: Options,
    template: SessionState,
    places: Arc<Semaphore>,
    waiting: AtomicUsize,
    stop: CancellationToken,
    /// `None` only while it is dropped.
    runtime: Option<Runtime>,
}

impl Drop for Engine {
    fn drop(&mut self) {
        self.stop.cancel();
        if let Some(runtime) = self.runtime.take() {
            runtime.shutdown_background();
        }
    }
}

/// Takes a step back behind ingest and screens, which matter more when the processor is short.
fn lower_priority() {
    #[cfg(target_os = "linux")]
    {
        let me = rustix::thread::gettid();
        if let Err(error) = rustix::process::setpriority_process(Some(me), 10) {
            tracing::debug!(%error, "the priority of a query thread stays as it is");
        }
    }
}

fn config() -> SessionConfig {
    let mut config = SessionConfig::new()
        .with_target_partitions(2)
        .with_batch_size(8192)
        .with_information_schema(false)
        .with_default_catalog_and_schema(DATABASE, SCHEMA)
        .with_create_default_catalog_and_schema(false);
    let options = config.options_mut();
    options.sql_parser.dialect = datafusion::config::Dialect::PostgreSQL;
    options.sql_parser.map_string_types_to_utf8view = true;
    options.execution.time_zone = Some("UTC".to_owned());
    // Few tags are read at a time: what a scan gives is what there is, without shuffling it first.
    options.optimizer.enable_round_robin_repartition = false;
    config
}

/// The engine's own rules between ours.
fn physical_rules(known_sums: bool) -> Vec<Arc<dyn PhysicalOptimizerRule + Send + Sync>> {
    let ours = |takes| -> Arc<dyn PhysicalOptimizerRule + Send + Sync> { Arc::new(Summaries { known_sums, takes }) };
    let mut rules = PhysicalOptimizer::new().rules;
    rules.insert(0, ours(Takes::Whole));
    rules.push(ours(Takes::FirstStage));
    rules
}

impl Engine {
    /// Makes the threads.
    /// # Errors
    /// The system has no threads left.
    pub fn start(ports: Ports, options: Options) -> std::io::Result<Arc<Self>> {
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(2)
            // Reads from disk: at most two at a time, whatever is asked.
            .max_blocking_threads(2)
            .thread_name("sql")
            .thread_stack_size(STACK)
            .on_thread_start(lower_priority)
            .enable_time()
            .build()?;
        let builder = SessionStateBuilder::new().with_config(config()).with_default_features();
        let builder = builder.with_file_formats(Vec::new()).with_analyzer_rule(Arc::new(functions::casts::Times));
        let builder = builder.with_analyzer_rule(Arc::new(functions::exact::Exact));
        let builder = builder.with_analyzer_rule(Arc::new(functions::lengths::Lengths));
        let mut template = builder.with_physical_optimizer_rules(physical_rules(options.known_sums)).build();
        functions::register(&mut template);
        Ok(Arc::new(Self {
            ports,
            options,
            template,
            places: Arc::new(Semaphore::new(options.queries.max(1))),
            waiting: AtomicUsize::new(0),
            stop: CancellationToken::new(),
            runtime: Some(runtime),
        }))
    }

    /// The limits in force.
    #[must_use]
    pub const fn options(&self) -> &Options {
        &self.options
    }

    /// What is handed in.
    #[must_use]
    pub const fn ports(&self) -> &Ports {
        &self.ports
    }

    /// Ends all queries.
    pub fn stop(&self) {
        self.stop.cancel();
    }

    /// Runs one statement for `who`; returns as soon as its columns are known.
    /// # Errors
    /// It cannot be understood, is refused, or there is no place for it.
    pub async fn run(self: &Arc<Self>, who: &Principal, text: &str) -> Result<Answer, SqlError> {
        let mut statements = dialect::parse(text)?;
        match (statements.pop(), statements.is_empty()) {
            (None, _) => Err(SqlError::Invalid("there is no statement".to_owned())),
            (Some(statement), true) => self.run_statement(who, statement).await,
            (Some(_), false) => Err(SqlError::Invalid("one statement at a time, please".to_owned())),
        }
    }

    /// Runs one parsed statement.
    /// # Errors
    /// See [`Engine::run`].
    pub(crate) async fn run_statement(
        self: &Arc<Self>,
        who: &Principal,
        statement: Statement,
    ) -> Result<Answer, SqlError> {
        let caller = Caller::new(&self.ports, who)?;
        let place = self.place().await?;
        let (started, start) = oneshot::channel();
        let (out, batches) = mpsc::channel(2);
        let end = CancellationToken::new();
        let (engine, cancelled, runs_for) = (self.clone(), end.clone(), caller.clone());
        self.spawn(async move {
            let work = engine.work(runs_for, statement, started, &out);
            let outcome = tokio::select! {
                outcome = tokio::time::timeout(engine.options.time, work) => {
                    outcome.unwrap_or(Err(SqlError::TimedOut(engine.options.time)))
                }
                () = cancelled.cancelled() => Err(SqlError::Cancelled),
                () = engine.stop.cancelled() => Err(SqlError::Stopping),
            };
            drop((place, engine));
            if let Err(error) = outcome {
                // Whoever asks for the next rows, however late, hears why there are none: an answer that is cut off must
                // not look whole. The wait ends with the answer.
                let _ = out.send(Err(error)).await;
            }
        })?;
        let guard = end.drop_guard();
        match start.await {
            Ok(schema) => Ok(Answer {
                schema: schema?,
                batches,
                first: None,
                caller,
                looked: Instant::now(),
                _ends_with_us: guard,
            }),
            Err(_) => {
                let mut batches = batches;
                match batches.recv().await {
                    Some(Err(error)) => Err(error),
                    _ => Err(SqlError::Failed("the query ended unexpectedly; the service's log says more".to_owned())),
                }
            }
        }
    }

    /// The columns of a statement and the types of its parameters, without running it.
    pub(crate) async fn describe(
        self: &Arc<Self>,
        who: &Principal,
        statement: Statement,
    ) -> Result<LogicalPlan, SqlError> {
        let caller = Caller::new(&self.ports, who)?;
        let (done, answer) = oneshot::channel();
        let engine = self.clone();
        self.spawn(async move {
            let planned = engine.plan(&caller, statement).await.map(|(_, plan)| plan);
            let _ = done.send(planned);
        })?;
        answer.await.map_err(|_| {
            SqlError::Failed("the statement could not be planned; the service's log says more".to_owned())
        })?
    }

    fn spawn(&self, work: impl Future<Output = ()> + Send + 'static) -> Result<(), SqlError> {
        // Owned by the runtime, which ends with the engine; every query has its deadline.
        self.runtime.as_ref().ok_or(SqlError::Stopping)?.spawn(work);
        Ok(())
    }

    /// Waits for a turn, within bounds.
    async fn place(&self) -> Result<OwnedSemaphorePermit, SqlError> {
        if let Ok(place) = self.places.clone().try_acquire_owned() {
            return Ok(place);
        }
        struct Waiting<'a>(&'a AtomicUsize);
        impl Drop for Waiting<'_> {
            fn drop(&mut self) {
                self.0.fetch_sub(1, Ordering::Relaxed);
            }
        }
        let before = self.waiting.fetch_add(1, Ordering::Relaxed);
        let _waiting = Waiting(&self.waiting);
        let busy = SqlError::Busy { running: self.options.queries, waiting: before };
        if before >= self.options.waiting {
            return Err(busy);
        }
        tokio::select! {
            place = tokio::time::timeout(self.options.wait, self.places.clone().acquire_owned()) => {
                place.map_err(|_| busy)?.map_err(|_| SqlError::Stopping)
            }
            () = self.stop.cancelled() => Err(SqlError::Stopping),
        }
    }

    /// A session for one statement: its own catalogue, memory and rights.
    fn session(&self, caller: &Caller, share: &Share) -> Result<SessionState, SqlError> {
        let runtime = RuntimeEnvBuilder::new()
            .with_memory_pool(Arc::new(GreedyMemoryPool::new(self.options.memory_mib << 20)))
            .with_disk_manager_builder(DiskManagerBuilder::default().with_mode(DiskManagerMode::Disabled))
            .build_arc()
            .map_err(|error| self.say(&error))?;
        // The engine comes with a way to the disk; nothing here may have one.
        if let Ok(files) = ObjectStoreUrl::parse("file://") {
            let _ = runtime.deregister_object_store(files.as_ref());
        }
        let catalog = MemoryCatalogProvider::new();
        let schemas = [
            (SCHEMA, views::schema(caller)),
            ("pg_catalog", pg::catalog::schema(caller)),
            ("information_schema", pg::catalog::information_schema()),
        ];
        for (name, schema) in schemas {
            catalog.register_schema(name, schema).map_err(|error| self.say(&error))?;
        }
        let catalogs = MemoryCatalogProviderList::new();
        datafusion::catalog::CatalogProviderList::register_catalog(&catalogs, DATABASE.to_owned(), Arc::new(catalog));
        let builder = SessionStateBuilder::new_from_existing(self.template.clone())
            .with_catalog_list(Arc::new(catalogs))
            .with_runtime_env(runtime);
        let mut state = builder.build();
        functions::register_for(&mut state, caller, share);
        state.mark_start_execution();
        // `now()` is the clock that is handed in.
        let now = timestamp_us_to_datetime(caller.ports.catalog.now_us());
        state.execution_props_mut().query_execution_start_time = now.map(|now| now.and_utc());
        Ok(state)
    }

    async fn plan(&self, caller: &Caller, statement: Statement) -> Result<(SessionState, LogicalPlan), SqlError> {
        let share = Share::default();
        let state = self.session(caller, &share)?;
        let statement = dialect::adapt(statement)?;
        let plan = state.statement_to_plan(statement).await.map_err(|error| self.say(&error))?;
        guard::check(&plan)?;
        functions::texts::check_calls(&plan, &share)?;
        functions::constants::check(&plan)?;
        Ok((state, plan))
    }

    fn say(&self, error: &datafusion::error::DataFusionError) -> SqlError {
        SqlError::from_engine(error, self.options.memory_mib)
    }

    async fn work(
        &self,
        caller: Caller,
        statement: Statement,
        started: oneshot::Sender<Result<SchemaRef, SqlError>>,
        out: &mpsc::Sender<Result<RecordBatch, SqlError>>,
    ) -> Result<(), SqlError> {
        let begun = async {
            let (state, plan) = self.plan(&caller, statement).await?;
            let plan = state.optimize(&plan).map_err(|error| self.say(&error))?;
            guard::check(&plan)?;
            // What was calculated of constants is one now.
            functions::constants::check(&plan)?;
            let schema: SchemaRef = Arc::new(plan.schema().as_arrow().clone());
            let physical = state.query_planner().create_physical_plan(&plan, &state).await;
            let physical = physical.map_err(|error| self.say(&error))?;
            let physical = yielding::with_breaks(physical).map_err(|error| self.say(&error))?;
            let stream = execute_stream(physical, state.task_ctx()).map_err(|error| self.say(&error))?;
            Ok((schema, stream))
        };
        let (schema, mut stream) = match begun.await {
            Ok(begun) => begun,
            Err(error) => {
                let _ = started.send(Err(error));
                return Ok(());
            }
        };
        if started.send(Ok(schema)).is_err() {
            return Ok(());
        }
        let mut rows = 0_u64;
        let mut look = tokio::time::interval(LOOK_AGAIN);
        look.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Skip);
        loop {
            let batch = tokio::select! {
                batch = stream.next() => batch,
                _ = look.tick() => {
                    caller.still()?;
                    continue;
                }
                () = out.closed() => return Ok(()),
            };
            let Some(batch) = batch else { return Ok(()) };
            let batch = batch.map_err(|error| self.say(&error))?;
            rows = rows.saturating_add(batch.num_rows() as u64);
            if rows > self.options.rows {
                return Err(SqlError::TooManyRows(self.options.rows));
            }
            caller.still()?;
            let full = Instant::now();
            let room = loop {
                tokio::select! {
                    room = out.reserve() => break room,
                    _ = look.tick() => {
                        caller.still()?;
                        // Whoever waits is told off after as long: they get the place before that.
                        if full.elapsed() >= self.options.wait && self.waiting.load(Ordering::Relaxed) > 0 {
                            return Err(SqlError::NotTaken(self.options.wait));
                        }
                    }
                }
            };
            let Ok(room) = room else { return Ok(()) };
            room.send(Ok(batch));
        }
    }
}
