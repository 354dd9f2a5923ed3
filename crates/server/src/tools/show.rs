//! What is there: tools as they are shown, and the units that passed while they were mounted.

use super::Tools;
use crate::mes::ToolStands;
use andon_api::ports::NotDone;
use andon_api::ports::tools::{
    ToolChangeView, ToolCorrectionView, ToolDetail, ToolFilter, ToolLifeView, ToolRenewalView, ToolSpanView,
    ToolToldView, ToolUnitView, ToolUnitsPage, ToolUsedView, ToolView, ToolsPage,
};
use andon_mes::master::Life;
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::path::is_under;
use andon_store::tools::{ToolEntry, ToolRepository, ToolSpan};
use andon_store::trace::{PassAt, TraceRepository};
use std::collections::{BTreeSet, HashMap};
use uuid::Uuid;

/// So many mountings, renewals and changes are told of a tool.
pub(super) const LISTED: usize = 500;
/// So many tools are looked at for one page.
const LOOKED_AT: usize = 500;

impl Tools {
    /// Tools by name: those of the documents, and those that something is known of.
    pub(super) async fn page(&self, filter: ToolFilter) -> Result<ToolsPage, NotDone> {
        let names = self.names_after(&filter).await?;
        let more = names.len() > LOOKED_AT;
        let names: Vec<String> = names.into_iter().take(LOOKED_AT).collect();
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        let (mut tools, mut next) = (Vec::new(), names.last().filter(|_| more).cloned());
        // Not more at a time than the page may take.
        for some in names.chunks(limit.clamp(1, LOOKED_AT)) {
            for stands in self.parts.mes.tools_stand(some.to_vec()).await? {
                if tools.len() == limit {
                    // There may be more behind the last one that is told.
                    next = tools.last().map(|tool: &ToolView| tool.name.clone());
                    return Ok(ToolsPage { now_ms: self.parts.clock.now().millis(), tools, next });
                }
                let state = stands.standing.state.word();
                let view = self.view(stands).await?;
                let wanted = filter.states.is_empty() || filter.states.iter().any(|wanted| wanted == state);
                if wanted && is_seen(&view, &filter.branches) {
                    tools.push(view);
                }
            }
        }
        Ok(ToolsPage { now_ms: self.parts.clock.now().millis(), tools, next })
    }

    /// The names behind that of a filter, one more than is looked at.
    async fn names_after(&self, filter: &ToolFilter) -> Result<BTreeSet<String>, NotDone> {
        let most = LOOKED_AT + 1;
        if let Some(machine) = &filter.machine {
            let mounted = self.parts.store.tool_mounted(machine).await?.into_iter().map(|span| span.tool);
            return Ok(mounted.filter(|name| *name > filter.after).take(most).collect());
        }
        let limit = u32::try_from(most).unwrap_or(u32::MAX);
        let mut names: BTreeSet<String> =
            self.parts.store.tool_names(&filter.after, limit).await?.into_iter().collect();
        let master = self.parts.mes.master_data();
        let behind = (std::ops::Bound::Excluded(filter.after.clone()), std::ops::Bound::Unbounded);
        names.extend(master.tools.range(behind).take(most).map(|(name, _)| name.clone()));
        Ok(names.into_iter().take(most).collect())
    }

    async fn view(&self, stands: ToolStands) -> Result<ToolView, NotDone> {
        let ToolStands { name, tool, life, used, standing, unread, .. } = stands;
        let machines = match &tool {
            Some(tool) => tool.machines.clone(),
            None => self.parts.store.tool_spans(&name).await?.into_iter().take(1).map(|span| span.machine).collect(),
        };
        let mounted = life.mounted();
        let whole = tool.as_ref().and_then(|tool| tool.life);
        Ok(ToolView {
            title: tool.as_ref().map_or_else(|| name.clone(), |tool| tool.title.clone()),
            kind: tool.as_ref().map_or_else(|| "tool".to_owned(), |tool| tool.kind.clone()),
            in_documents: tool.is_some(),
            machines,
            cavities: tool.as_ref().map_or(1, |tool| tool.cavities.get()),
            machine: mounted.map(|span| span.machine.clone()),
            mounted_ms: mounted.map(|span| span.from.millis()),
            life: ToolLifeView {
                cycles: whole.and_then(|life| match life {
                    Life::Cycles(cycles) => Some(cycles.to_f64()),
                    Life::RunTime(_) => None,
                }),
                run_time_ms: whole.and_then(|life| match life {
                    Life::Cycles(_) => None,
                    Life::RunTime(span) => i64::try_from(span.as_millis()).ok(),
                }),
            },
            warn: tool.as_ref().map_or(1.0, |tool| f64::from(tool.warn) / 1e6),
            used: ToolUsedView { cycles: used.cycles.to_f64(), run_time_ms: used.run_time_us / 1_000 },
            share: standing.share,
            state: standing.state.word().to_owned(),
            renewals: life.renewals,
            renewed_ms: life.since.map(Timestamp::millis),
            told: life
                .told
                .iter()
                .map(|told| ToolToldView { level: told.level.clone(), at_ms: told.at.millis() })
                .collect(),
            warning: unread,
            name,
        })
    }

    pub(super) async fn detail(&self, name: String) -> Result<ToolDetail, NotDone> {
        let store = &self.parts.store;
        let entries = store.tool_entries(&name).await?;
        let is_known = !entries.is_empty() || self.parts.mes.master_data().tools.contains_key(&name);
        let stands = self.parts.mes.tools_stand(vec![name.clone()]).await?.pop().filter(|_| is_known);
        let stands = stands.ok_or_else(|| NotDone::Unknown("this tool".to_owned()))?;
        let (spans, renewals) = (store.tool_spans(&name).await?, store.tool_renewals(&name).await?);
        let machines: HashMap<u64, String> = spans.iter().map(|span| (span.number, span.machine.clone())).collect();
        let mut corrections: HashMap<u64, Vec<ToolCorrectionView>> = HashMap::new();
        for (entry, span) in entries.iter().filter_map(|entry| Some((entry, entry.span?))) {
            corrections.entry(span).or_default().extend(correction_view(entry));
        }
        let renewal = |renewal: andon_store::tools::ToolRenewal| ToolRenewalView {
            number: renewal.renewal,
            at_ms: renewal.at.millis(),
            by: renewal.by,
            by_name: None,
            reason: renewal.reason,
        };
        let span = |span: ToolSpan| ToolSpanView {
            number: span.number,
            machine: span.machine,
            from_ms: span.from.millis(),
            to_ms: span.to.map(Timestamp::millis),
            by: span.by,
            by_name: None,
            reason: span.reason,
            corrections: corrections.remove(&span.number).unwrap_or_default(),
        };
        let spans = spans.into_iter().take(LISTED).map(span).collect();
        Ok(ToolDetail {
            tool: self.view(stands).await?,
            spans,
            renewals_done: renewals.into_iter().take(LISTED).map(renewal).collect(),
            changes: entries.into_iter().take(LISTED).map(|entry| change_view(entry, &machines)).collect(),
        })
    }

    /// Units that passed machines on or below these branches while the tool was mounted there, the newest first.
    pub(super) async fn units_of(
        &self,
        name: String,
        branches: Vec<String>,
        after: Option<String>,
        limit: u32,
    ) -> Result<ToolUnitsPage, NotDone> {
        let no_page = || {
            let remedy = "send the \"next\" of an answer as it is".to_owned();
            NotDone::Refused("\"after\" is no place in these units".to_owned(), remedy)
        };
        let before = after.map(|text| pass_of(&text).ok_or_else(no_page)).transpose()?;
        let now = self.parts.clock.now();
        let most = usize::try_from(limit).unwrap_or(usize::MAX);
        let mut found: Vec<PassAt> = Vec::new();
        // No two mountings overlap: those that begin later have all the later passes.
        let mut spans = self.parts.store.tool_spans(&name).await?;
        spans.sort_by_key(|span| std::cmp::Reverse(span.from));
        let seen = |span: &&ToolSpan| branches.iter().any(|branch| is_under(&span.machine, branch));
        for span in spans.iter().filter(seen).filter(|span| before.is_none_or(|(at, _)| span.from <= at)) {
            if found.len() > most {
                break;
            }
            let wanted = u32::try_from(most + 1 - found.len()).unwrap_or(u32::MAX);
            // Up to now and with it.
            let to = span.to.unwrap_or_else(|| Timestamp::from_micros(now.micros().saturating_add(1)));
            let passes = self.parts.store.trace_passes_at(span.machine.clone(), span.from, to, before, wanted).await?;
            found.extend(passes);
        }
        let more = found.len() > most;
        found.truncate(most);
        let next = found.last().filter(|_| more).map(|pass| format!("{}.{}", pass.at.micros(), pass.unit));
        let unit = |pass: PassAt| ToolUnitView {
            unit: pass.unit,
            machine: pass.equipment,
            at_ms: pass.at.millis(),
            job: pass.job,
            operation: pass.operation,
            passed: pass.passed,
        };
        Ok(ToolUnitsPage { units: found.into_iter().map(unit).collect(), next })
    }
}

/// Whether somebody sees a tool who views these branches.
fn is_seen(tool: &ToolView, branches: &[String]) -> bool {
    let views = |path: &String| branches.iter().any(|branch| is_under(path, branch));
    match &tool.machine {
        Some(machine) => views(machine),
        None if tool.machines.is_empty() => !branches.is_empty(),
        None => tool.machines.iter().any(views),
    }
}

fn correction_view(entry: &ToolEntry) -> Option<ToolCorrectionView> {
    let (from, to) = entry.was?;
    Some(ToolCorrectionView {
        at_ms: entry.at.millis(),
        by: entry.by,
        by_name: None,
        was_from_ms: from.millis(),
        was_to_ms: to.map(Timestamp::millis),
        reason: entry.reason.clone(),
    })
}

fn change_view(entry: ToolEntry, machines: &HashMap<u64, String>) -> ToolChangeView {
    ToolChangeView {
        number: entry.number,
        kind: entry.deed.word().to_owned(),
        at_ms: entry.at.millis(),
        by: entry.by,
        by_name: None,
        reason: entry.reason,
        machine: entry.span.and_then(|span| machines.get(&span).cloned()),
        cycles: entry.cycles.map(|cycles| Quantity::from_millionths(cycles).to_f64()),
        run_time_ms: entry.run_time.map(|micros| micros / 1_000),
    }
}

/// A place in a list of passes: when, and of which unit.
fn pass_of(token: &str) -> Option<(Timestamp, Uuid)> {
    let (at, unit) = token.split_once('.')?;
    Some((Timestamp::from_micros(at.parse().ok()?), unit.parse().ok()?))
}
