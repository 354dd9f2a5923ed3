//! Tools: mountings, renewals, what was told.
//!
//! A change looks first and writes then, in one transaction of the only writer: no two mountings of a tool overlap, whatever the clock does.

use super::outbox::enqueue;
use super::{NEVER, push_below, some_end};
use crate::error::{StoreError, database};
use crate::sql::{Link, Row, Statement, sql, to_i64};
use crate::store::Store;
use crate::tools::{
    MOST_OF_A_TOOL, ToolDeed, ToolEntry, ToolLife, ToolRenewal, ToolRepository, ToolSpan, ToolStep, ToolTold,
    ToolWrite, ToolWritten,
};
use andon_model::Timestamp;
use andon_model::event::Event;
use async_trait::async_trait;
use std::collections::HashMap;

const SPAN: &str = "SELECT number, tool, machine, from_at, to_at, by_id, reason FROM tool_span";
/// So many tools are asked for at once.
const ASKED_AT_A_TIME: usize = 500;

fn span(row: &Row) -> Result<ToolSpan, StoreError> {
    Ok(ToolSpan {
        number: row.get("number")?,
        tool: row.get("tool")?,
        machine: row.get("machine")?,
        from: row.get("from_at")?,
        to: some_end(row.get("to_at")?),
        by: row.get("by_id")?,
        reason: row.get("reason")?,
    })
}

async fn spans(query: Statement, view: &mut Link<'_>, doing: &'static str) -> Result<Vec<ToolSpan>, StoreError> {
    query.all(view).await.map_err(database(doing))?.iter().map(span).collect()
}

#[async_trait]
impl ToolRepository for Store {
    async fn tool_write(&self, change: ToolWrite) -> Result<ToolWritten, StoreError> {
        self.write(move |mut tx| Box::pin(async move { write(&mut tx, change).await })).await
    }

    async fn tool_tell(&self, told: ToolTold, event: Event) -> Result<bool, StoreError> {
        self.write(move |mut tx| {
            Box::pin(async move {
                // It was renewed meanwhile: this is of the life before.
                if renewals_of(&mut tx, &told.tool).await? != told.renewal {
                    return Ok(false);
                }
                let statement = sql("INSERT INTO tool_told (tool, renewal, level, reached, at, event) \
                     VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING");
                let statement = statement.bind(told.tool).bind(told.renewal).bind(told.level).bind(told.reached);
                if statement.bind(told.at).bind(event.id).run(&mut tx, "note what was told of a tool").await? == 0 {
                    return Ok(false);
                }
                enqueue(&mut tx, &event).await?;
                Ok(true)
            })
        })
        .await
    }

    async fn tool_names(&self, after: &str, limit: u32) -> Result<Vec<String>, StoreError> {
        let doing = "read which tools there are";
        let query = sql("SELECT DISTINCT tool FROM tool_change WHERE tool > $1 ORDER BY tool LIMIT $2");
        query.bind(after).bind(limit).rows(&mut self.reader(doing).await?.link(), doing).await
    }

    async fn tool_lives(&self, tools: Vec<String>) -> Result<Vec<ToolLife>, StoreError> {
        let mut reading = self.moment("read the lives of tools").await?;
        let mut lives: HashMap<String, ToolLife> = HashMap::with_capacity(tools.len());
        for some in tools.chunks(ASKED_AT_A_TIME) {
            lives_of(&mut reading.link(), some, &mut lives).await?;
        }
        Ok(tools.iter().map(|tool| lives.get(tool).cloned().unwrap_or_default()).collect())
    }

    async fn tool_spans(&self, tool: &str) -> Result<Vec<ToolSpan>, StoreError> {
        let doing = "read where a tool was mounted";
        let mut query = sql(SPAN);
        query.push(" WHERE tool = ").push_bind(tool);
        query.push(" ORDER BY to_at DESC, number DESC LIMIT ").push_bind(MOST_OF_A_TOOL);
        spans(query, &mut self.reader(doing).await?.link(), doing).await
    }

    async fn tool_span(&self, tool: &str, number: u64) -> Result<Option<ToolSpan>, StoreError> {
        span_of(&mut self.reader("read where a tool was mounted").await?.link(), tool, number).await
    }

    async fn tool_mounted(&self, machine: &str) -> Result<Vec<ToolSpan>, StoreError> {
        let doing = "read which tools are mounted";
        let mut query = sql(SPAN);
        query.push(" WHERE to_at = ").push_bind(NEVER);
        if !machine.is_empty() {
            query.push(" AND ");
            push_below(&mut query, "machine", &[machine.to_owned()]);
        }
        query.push(" ORDER BY tool");
        spans(query, &mut self.reader(doing).await?.link(), doing).await
    }

    async fn tool_renewals(&self, tool: &str) -> Result<Vec<ToolRenewal>, StoreError> {
        let doing = "read when a tool was renewed";
        let query = sql("SELECT renewal, at, by_id, reason FROM tool_renewal WHERE tool = $1 \
             ORDER BY renewal DESC LIMIT $2");
        let query = query.bind(tool).bind(MOST_OF_A_TOOL);
        let rows = query.rows(&mut self.reader(doing).await?.link(), doing).await?;
        Ok(rows.into_iter().map(|(renewal, at, by, reason)| ToolRenewal { renewal, at, by, reason }).collect())
    }

    async fn tool_entries(&self, tool: &str) -> Result<Vec<ToolEntry>, StoreError> {
        let doing = "read what was done with a tool";
        let query = sql("SELECT number, kind, at, by_id, reason, span, was_from, was_to, cycles, run_time \
             FROM tool_change WHERE tool = $1 AND event IS NOT NULL ORDER BY number DESC LIMIT $2");
        let query = query.bind(tool).bind(MOST_OF_A_TOOL);
        let rows = query.all(&mut self.reader(doing).await?.link()).await.map_err(database(doing))?;
        rows.iter().map(entry).collect()
    }
}

fn entry(row: &Row) -> Result<ToolEntry, StoreError> {
    let word: String = row.get("kind")?;
    let unknown = || StoreError::Damaged { what: "change of a tool", reason: format!("{word:?} is no deed") };
    let was: (Option<Timestamp>, Option<Timestamp>) = (row.get("was_from")?, row.get("was_to")?);
    Ok(ToolEntry {
        number: row.get("number")?,
        deed: ToolDeed::ALL.into_iter().find(|deed| deed.word() == word).ok_or_else(unknown)?,
        at: row.get("at")?,
        by: row.get("by_id")?,
        reason: row.get("reason")?,
        span: row.get::<Option<i64>>("span")?.and_then(|number| u64::try_from(number).ok()),
        was: was.0.map(|from| (from, was.1.and_then(some_end))),
        cycles: row.get("cycles")?,
        run_time: row.get("run_time")?,
    })
}

/// Puts the present lives of these tools beside the others; of those that nothing is known of there is none.
async fn lives_of(
    view: &mut Link<'_>,
    tools: &[String],
    lives: &mut HashMap<String, ToolLife>,
) -> Result<(), StoreError> {
    let doing = "read the lives of tools";
    let mut query = sql("SELECT tool, renewal, at FROM tool_renewal AS one WHERE tool IN ");
    query.push_list(tools.iter().map(String::as_str));
    query.push(" AND renewal = (SELECT max(renewal) FROM tool_renewal WHERE tool = one.tool)");
    for (tool, renewals, at) in query.rows::<(String, u64, Timestamp)>(view, doing).await? {
        let life = lives.entry(tool).or_default();
        (life.renewals, life.since) = (renewals, Some(at));
    }
    let mut query = sql(SPAN);
    query.push(" WHERE tool IN ").push_list(tools.iter().map(String::as_str));
    // Of earlier lives there may be years.
    query.push(" AND to_at > coalesce((SELECT max(at) FROM tool_renewal WHERE tool = tool_span.tool), ");
    query.push_bind(Timestamp::from_micros(i64::MIN)).push(") ORDER BY from_at, number");
    for span in spans(query, view, doing).await? {
        lives.entry(span.tool.clone()).or_default().spans.push(span);
    }
    let mut query = sql("SELECT tool, cycles, run_time FROM tool_change WHERE kind = 'used' AND tool IN ");
    query.push_list(tools.iter().map(String::as_str));
    query.push(" AND renewal = coalesce((SELECT max(renewal) FROM tool_renewal WHERE tool = tool_change.tool), 0)");
    query.push(" ORDER BY number");
    for (tool, cycles, run_time) in query.rows::<(String, Option<i64>, Option<i64>)>(view, doing).await? {
        let life = lives.entry(tool).or_default();
        life.cycles = cycles.unwrap_or(life.cycles);
        life.run_time = run_time.unwrap_or(life.run_time);
    }
    let mut query = sql("SELECT tool, renewal, level, reached, at FROM tool_told WHERE tool IN ");
    query.push_list(tools.iter().map(String::as_str)).push(" ORDER BY at, level DESC, reached");
    for (tool, renewal, level, reached, at) in query.rows::<(String, u64, String, i64, Timestamp)>(view, doing).await? {
        let life = lives.entry(tool.clone()).or_default();
        if renewal == life.renewals {
            life.told.push(ToolTold { tool, renewal, level, reached, at });
        }
    }
    Ok(())
}

/// What a change does to the rows, and what stands in its entry.
#[derive(Default)]
struct Done {
    /// It was so already: the request is noted, so that it does nothing when it comes again, and nothing is told.
    is_so: bool,
    span: Option<u64>,
    /// What stood in it.
    was: Option<(Timestamp, Timestamp)>,
    cycles: Option<i64>,
    run_time: Option<i64>,
}

/// What becomes of a change; `Err`: nothing is written.
type Outcome = Result<Done, ToolWritten>;

async fn write(tx: &mut Link<'_>, change: ToolWrite) -> Result<ToolWritten, StoreError> {
    let question = sql("SELECT content FROM tool_change WHERE key = $1").bind(change.key.key);
    let known: Option<[u8; 32]> = question.first(tx, "look whether this was asked before").await?;
    if let Some(content) = known {
        return Ok(if content == change.key.content { ToolWritten::Before } else { ToolWritten::KeyUsed });
    }
    let done = match &change.step {
        ToolStep::Mount { machine, from, to } => mount(tx, &change, machine, *from, *to).await?,
        ToolStep::Unmount { machine, at } => unmount(tx, &change, machine, *at).await?,
        ToolStep::Correct { span, from, to } => correct(tx, &change.tool, *span, *from, *to).await?,
        ToolStep::Renew => renew(tx, &change).await?,
        ToolStep::Used { cycles, run_time } => Ok(Done { cycles: *cycles, run_time: *run_time, ..Done::default() }),
    };
    match done {
        Ok(done) => {
            let written = if done.is_so { ToolWritten::Before } else { ToolWritten::Now };
            note(tx, change, done).await.map(|()| written)
        }
        Err(refused) => Ok(refused),
    }
}

/// Writes down what was asked and done, with its event.
async fn note(tx: &mut Link<'_>, change: ToolWrite, done: Done) -> Result<(), StoreError> {
    let doing = "note what was done with a tool";
    // A renewal belongs to the life that it ends.
    let ended = u64::from(change.step == ToolStep::Renew);
    let renewals = renewals_of(tx, &change.tool).await?.saturating_sub(ended);
    let newest: u64 = sql("SELECT coalesce(max(number), 0) FROM tool_change").only(tx, doing).await?;
    sql("INSERT INTO tool_change (number, key, content, tool, kind, at, by_id, reason, renewal, span, was_from, was_to, cycles, run_time, event) \
         VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15)")
    .bind(newest + 1)
    .bind(change.key.key)
    .bind(change.key.content)
    .bind(change.tool)
    .bind(change.step.deed().word())
    .bind(change.at)
    .bind(change.by)
    .bind(change.reason)
    .bind(renewals)
    .bind(done.span.map(to_i64))
    .bind(done.was.map(|(from, _)| from))
    .bind(done.was.map(|(_, to)| to))
    .bind(done.cycles)
    .bind(done.run_time)
    .bind((!done.is_so).then_some(change.event.id))
    .run(tx, doing)
    .await?;
    if done.is_so { Ok(()) } else { enqueue(tx, &change.event).await }
}

async fn renewals_of(tx: &mut Link<'_>, tool: &str) -> Result<u64, StoreError> {
    let question = sql("SELECT coalesce(max(renewal), 0) FROM tool_renewal WHERE tool = $1").bind(tool);
    question.only(tx, "read how often a tool was renewed").await
}

/// The tool's mounting that ends last.
async fn last_of(tx: &mut Link<'_>, tool: &str) -> Result<Option<ToolSpan>, StoreError> {
    let mut query = sql(SPAN);
    query.push(" WHERE tool = ").push_bind(tool).push(" ORDER BY to_at DESC, number DESC LIMIT 1");
    Ok(spans(query, tx, "read where a tool is").await?.pop())
}

/// The tool's mounting of that number.
async fn span_of(view: &mut Link<'_>, tool: &str, number: u64) -> Result<Option<ToolSpan>, StoreError> {
    let mut query = sql(SPAN);
    query.push(" WHERE number = ").push_bind(number).push(" AND tool = ").push_bind(tool);
    Ok(spans(query, view, "read where a tool was mounted").await?.pop())
}

/// The first mounting of the tool but `number` that touches a time.
async fn overlapped(
    tx: &mut Link<'_>,
    tool: &str,
    number: u64,
    (from, to): (Timestamp, Timestamp),
) -> Result<Option<ToolSpan>, StoreError> {
    let mut query = sql(SPAN);
    query.push(" WHERE tool = ").push_bind(tool).push(" AND number <> ").push_bind(number);
    query.push(" AND to_at > ").push_bind(from).push(" AND from_at < ").push_bind(to);
    query.push(" ORDER BY from_at LIMIT 1");
    Ok(spans(query, tx, "look whether mountings overlap").await?.pop())
}

async fn mount(
    tx: &mut Link<'_>,
    change: &ToolWrite,
    machine: &str,
    from: Option<Timestamp>,
    to: Option<Timestamp>,
) -> Result<Outcome, StoreError> {
    let last = last_of(tx, &change.tool).await?;
    if to.is_none()
        && let Some(there) = last.as_ref().filter(|last| last.to.is_none())
    {
        if there.machine != machine {
            return Ok(Err(ToolWritten::Elsewhere(there.clone())));
        }
        // Where it is already, also since another moment; that is put right by a correction.
        return Ok(Ok(Done { is_so: true, span: Some(there.number), ..Done::default() }));
    }
    // The clock may have been set back since it was taken off.
    let now = || last.as_ref().and_then(|last| last.to).map_or(change.at, |to| change.at.max(to));
    let from = from.unwrap_or_else(now);
    let until = to.unwrap_or(NEVER);
    if until <= from {
        return Ok(Err(ToolWritten::Unfit));
    }
    if let Some(other) = overlapped(tx, &change.tool, 0, (from, until)).await? {
        return Ok(Err(ToolWritten::Overlaps(other)));
    }
    let doing = "mount a tool";
    let newest: u64 = sql("SELECT coalesce(max(number), 0) FROM tool_span").only(tx, doing).await?;
    let number = newest + 1;
    sql("INSERT INTO tool_span (number, tool, machine, from_at, to_at, by_id, reason) VALUES ($1, $2, $3, $4, $5, $6, $7)")
        .bind(number)
        .bind(change.tool.as_str())
        .bind(machine)
        .bind(from)
        .bind(until)
        .bind(change.by)
        .bind(change.reason.as_str())
        .run(tx, doing)
        .await?;
    Ok(Ok(Done { span: Some(number), ..Done::default() }))
}

async fn unmount(
    tx: &mut Link<'_>,
    change: &ToolWrite,
    machine: &str,
    at: Option<Timestamp>,
) -> Result<Outcome, StoreError> {
    let Some(last) = last_of(tx, &change.tool).await?.filter(|last| last.to.is_none()) else {
        return Ok(Err(ToolWritten::NotMounted));
    };
    if last.machine != machine {
        return Ok(Err(ToolWritten::Elsewhere(last)));
    }
    // Where no time is said, a clock that was set back ends it with its beginning.
    let to = at.unwrap_or_else(|| change.at.max(last.from));
    if to < last.from {
        return Ok(Err(ToolWritten::Unfit));
    }
    sql("UPDATE tool_span SET to_at = $1 WHERE number = $2")
        .bind(to)
        .bind(last.number)
        .run(tx, "take a tool off")
        .await?;
    Ok(Ok(Done { span: Some(last.number), ..Done::default() }))
}

async fn correct(
    tx: &mut Link<'_>,
    tool: &str,
    number: u64,
    from: Timestamp,
    to: Option<Timestamp>,
) -> Result<Outcome, StoreError> {
    let Some(was) = span_of(tx, tool, number).await? else { return Ok(Err(ToolWritten::NoSpan)) };
    let lasts_again = to.is_none() && was.to.is_some();
    let until = to.unwrap_or(NEVER);
    if lasts_again || until <= from {
        return Ok(Err(ToolWritten::Unfit));
    }
    if let Some(other) = overlapped(tx, tool, number, (from, until)).await? {
        return Ok(Err(ToolWritten::Overlaps(other)));
    }
    sql("UPDATE tool_span SET from_at = $1, to_at = $2 WHERE number = $3")
        .bind(from)
        .bind(until)
        .bind(number)
        .run(tx, "put a mounting right")
        .await?;
    Ok(Ok(Done { span: Some(number), was: Some((was.from, was.to.unwrap_or(NEVER))), ..Done::default() }))
}

async fn renew(tx: &mut Link<'_>, change: &ToolWrite) -> Result<Outcome, StoreError> {
    let doing = "renew a tool";
    let question = sql("SELECT max(at) FROM tool_renewal WHERE tool = $1").bind(change.tool.as_str());
    let last: Option<Timestamp> = question.only(tx, doing).await?;
    // Lives follow each other, also where the clock was set back.
    let at = last.map_or(change.at, |last| change.at.max(last));
    let renewal = renewals_of(tx, &change.tool).await? + 1;
    sql("INSERT INTO tool_renewal (tool, renewal, at, by_id, reason) VALUES ($1, $2, $3, $4, $5)")
        .bind(change.tool.as_str())
        .bind(renewal)
        .bind(at)
        .bind(change.by)
        .bind(change.reason.as_str())
        .run(tx, doing)
        .await?;
    Ok(Ok(Done::default()))
}
