//! Tools and moulds on a running node: people mount, take off and renew them, and what their lives come to is told once.
//!
//! What a life has used is not kept: it is added up anew from what the shop floor keeps ([`crate::mes`]), so that what comes late and what is
//! put right counts. What was told is kept with its event in one transaction, so a kill neither forgets nor doubles it. The end of a life stops
//! nothing: people stop a line.

mod show;
#[cfg(test)]
mod tests;

use crate::looking::look_every;
use crate::mes::{Manufacturing, ToolStands};
use crate::plant_admin::to_its_event;
use crate::shift::key_of;
use andon_api::ports::NotDone;
use andon_api::ports::tools::{ToolAnswer, ToolDetail, ToolFilter, ToolUnitsPage, ToolWish, Tools as Port, ToolsPage};
use andon_bus::ids::new_id;
use andon_mes::quantity::Quantity;
use andon_mes::tool::{Reached, State, to_tell, words};
use andon_model::access::Principal;
use andon_model::event::{Event, ToolChange, What};
use andon_model::{Clock, Timestamp};
use andon_store::Store;
use andon_store::tools::{ToolRepository, ToolSpan, ToolStep, ToolTold, ToolWrite, ToolWritten};
use std::sync::{Arc, Weak};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

/// How often it is looked what lives have come to.
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// So many tools are looked at at a time.
const AT_A_TIME: usize = 100;

/// What tools stand on.
pub struct Parts {
    /// The records.
    pub store: Store,
    /// Machines and master data.
    pub mes: Arc<Manufacturing>,
    /// The time.
    pub clock: Arc<dyn Clock>,
}

/// Tools.
pub struct Tools {
    /// Itself, for changes that outlive whoever asked for them.
    own: Weak<Self>,
    parts: Parts,
    /// Whoever changes something waits here for its turn.
    turn: tokio::sync::Mutex<()>,
}

/// The event that tells of what was done; `None`: nothing was done that was not done before.
type Done = Result<Option<Uuid>, NotDone>;

impl Tools {
    /// Over what is there.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new_cyclic(|own| Self { own: own.clone(), parts, turn: tokio::sync::Mutex::default() })
    }

    /// Looks what lives have come to, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        look_every(LOOK_EVERY, &stop, "it cannot be looked how much of the life of tools is used", || self.tick())
            .await;
    }

    /// Tells of lives that are near their end, or at it.
    /// # Errors
    /// The records cannot be read or written. What was told so far stays.
    pub(crate) async fn tick(&self) -> Result<(), NotDone> {
        let master = self.parts.mes.master_data();
        let with_life = master.tools.iter().filter(|(_, tool)| tool.life.is_some());
        let names: Vec<String> = with_life.map(|(name, _)| name.clone()).collect();
        for some in names.chunks(AT_A_TIME) {
            for stands in self.parts.mes.tools_stand(some.to_vec()).await? {
                // What is told is told for good.
                if stands.is_sure {
                    self.tell(&stands).await?;
                }
            }
        }
        Ok(())
    }

    async fn tell(&self, stands: &ToolStands) -> Result<(), NotDone> {
        let Some(tool) = &stands.tool else { return Ok(()) };
        let Some(life) = tool.life else { return Ok(()) };
        let told: Vec<Reached> = stands.life.told.iter().filter_map(reached_of).collect();
        let Some(reached) = to_tell(tool, &stands.standing, &told) else { return Ok(()) };
        let now = self.parts.clock.now();
        let level = reached.level.word();
        let path = self.path_of(&stands.name).await?;
        let detail = format!("{} are used", words(life, &stands.used));
        let event = self.event(now, path, &Principal::SYSTEM, (&stands.name, level), None, Some(detail));
        let told = ToolTold {
            tool: stands.name.clone(),
            renewal: stands.life.renewals,
            level: level.to_owned(),
            reached: reached.at,
            at: now,
        };
        self.parts.store.tool_tell(told, event).await?;
        Ok(())
    }

    fn event(
        &self,
        at: Timestamp,
        path: String,
        by: &Principal,
        (tool, action): (&str, &str),
        reason: Option<String>,
        detail: Option<String>,
    ) -> Event {
        let what = What::Tool(ToolChange { tool: tool.to_owned(), action: action.to_owned(), reason, detail });
        Event { id: new_id(&*self.parts.clock), at, source_at: None, path, by: by.clone(), what }
    }

    /// Makes a change to its end, whoever waits for it, and waits for its event.
    async fn acted(
        &self,
        name: String,
        wish: ToolWish,
        reason: String,
        key: Uuid,
        by: Principal,
    ) -> Result<(bool, ToolDetail), NotDone> {
        let own = self.own.upgrade();
        let own = own.ok_or_else(|| NotDone::Failed("what keeps tools has stopped".to_owned()))?;
        let tool = name.clone();
        let change = async move { own.act_in_turn(tool, wish, reason, key, by).await.map(|event| ((), event)) };
        let ((), now) = to_its_event(&self.parts.store, change, NotDone::Failed).await?;
        Ok((now, self.detail(name).await?))
    }

    async fn act_in_turn(&self, tool: String, wish: ToolWish, reason: String, key: Uuid, by: Principal) -> Done {
        let _turn = self.turn.lock().await;
        let now = self.parts.clock.now();
        let asker = by.id.to_string();
        let asked = asked(&wish);
        let mut content = vec!["tool", &asker, &tool, &reason];
        content.extend(asked.iter().map(String::as_str));
        let key = key_of(key, &content);
        let (step, path, detail) = self.step(&tool, wish, now).await?;
        let said = (!reason.is_empty()).then(|| reason.clone());
        let event = self.event(now, path, &by, (&tool, step.deed().word()), said, detail);
        let id = event.id;
        let write = ToolWrite { key, tool, step, at: now, by: by.id, reason, event };
        written(self.parts.store.tool_write(write).await?, id)
    }

    /// What is to be written, where it happens, and more of it in words.
    async fn step(
        &self,
        tool: &str,
        wish: ToolWish,
        now: Timestamp,
    ) -> Result<(ToolStep, String, Option<String>), NotDone> {
        let ahead = |at: Option<Timestamp>| at.is_some_and(|at| at > now);
        match wish {
            ToolWish::Mount { machine, at, until } => {
                self.fits(tool, &machine)?;
                if ahead(at) || ahead(until) {
                    return Err(not_yet());
                }
                let span = at.map(|at| match until {
                    Some(until) => format!("from {at} until {until}"),
                    None => format!("from {at}"),
                });
                Ok((ToolStep::Mount { machine: machine.clone(), from: at, to: until }, machine, span))
            }
            ToolWish::Unmount { machine, at } => {
                if ahead(at) {
                    return Err(not_yet());
                }
                let when = at.map(|at| format!("at {at}"));
                Ok((ToolStep::Unmount { machine: machine.clone(), at }, machine, when))
            }
            ToolWish::Correct { span, from, to } => {
                if ahead(Some(from)) || ahead(to) {
                    return Err(not_yet());
                }
                let machine = self.machine_of(tool, span).await?;
                let until = to.map_or_else(|| "it lasts".to_owned(), |to| format!("until {to}"));
                Ok((ToolStep::Correct { span, from, to }, machine, Some(format!("from {from}, {until}"))))
            }
            ToolWish::Renew => Ok((ToolStep::Renew, self.path_of(tool).await?, None)),
            ToolWish::Used { cycles, run_time_ms } => {
                let cycles = cycles.map(Quantity::from_f64).transpose().map_err(|error| {
                    NotDone::Refused(error.to_string(), "write cycles with at most six decimals".to_owned())
                })?;
                let cycles_said = cycles.map(|cycles| format!("{cycles} cycles"));
                let time_said =
                    run_time_ms.map(|ms| format!("{} s", Quantity::from_millionths(ms.saturating_mul(1_000))));
                let said: Vec<String> = cycles_said.into_iter().chain(time_said).collect();
                let run_time = run_time_ms.map(|ms| ms.saturating_mul(1_000));
                let step = ToolStep::Used { cycles: cycles.map(Quantity::millionths), run_time };
                Ok((step, self.path_of(tool).await?, Some(said.join(", "))))
            }
        }
    }

    /// That a tool may be mounted on a machine.
    fn fits(&self, tool: &str, machine: &str) -> Result<(), NotDone> {
        let master = self.parts.mes.master_data();
        let Some(known) = master.tools.get(tool) else {
            let text = format!("tool {tool} is not in the documents any more");
            return Err(NotDone::Refused(text, "add a [[tool]] of it".to_owned()));
        };
        if !master.machines.contains_key(machine) {
            let text = format!("{machine} is no machine that is followed");
            return Err(NotDone::Refused(text, "name a machine, or add a [[machine]] of it".to_owned()));
        }
        if !known.fits(machine) {
            let text = format!("tool {tool} is not for {machine}, but for {}", known.machines.join(", "));
            return Err(NotDone::Refused(text, "name one of them, or add it to `machines` of the [[tool]]".to_owned()));
        }
        Ok(())
    }

    /// The machine of a mounting.
    async fn machine_of(&self, tool: &str, span: u64) -> Result<String, NotDone> {
        let span = self.parts.store.tool_span(tool, span).await?;
        span.map(|span| span.machine).ok_or_else(|| NotDone::Unknown("this mounting".to_owned()))
    }

    /// Where a tool is, or was last, or may be.
    async fn path_of(&self, tool: &str) -> Result<String, NotDone> {
        let last = self.parts.store.tool_spans(tool).await?.into_iter().next().map(|span| span.machine);
        let may_be = || self.parts.mes.master_data().tools.get(tool).and_then(|tool| tool.machines.first().cloned());
        Ok(last.or_else(may_be).unwrap_or_default())
    }
}

/// What is asked, in words and numbers: what a request is known by does not change with the names in this program. Times are µs.
fn asked(wish: &ToolWish) -> Vec<String> {
    let time = |at: Option<Timestamp>| at.map_or_else(String::new, |at| at.micros().to_string());
    match wish {
        ToolWish::Mount { machine, at, until } => vec!["mount".to_owned(), machine.clone(), time(*at), time(*until)],
        ToolWish::Unmount { machine, at } => vec!["unmount".to_owned(), machine.clone(), time(*at)],
        ToolWish::Correct { span, from, to } => {
            vec!["correct".to_owned(), span.to_string(), time(Some(*from)), time(*to)]
        }
        ToolWish::Renew => vec!["renew".to_owned()],
        ToolWish::Used { cycles, run_time_ms } => {
            let cycles = cycles.map_or_else(String::new, |cycles| cycles.to_string());
            let run_time = run_time_ms.map_or_else(String::new, |ms| ms.to_string());
            vec!["used".to_owned(), cycles, run_time]
        }
    }
}

/// What was told, as the rules know it.
fn reached_of(told: &ToolTold) -> Option<Reached> {
    Some(Reached { level: State::from_word(&told.level)?, at: told.reached })
}

fn written(written: ToolWritten, event: Uuid) -> Done {
    let conflict = |text: String, remedy: &str| Err(NotDone::Conflict(text, remedy.to_owned()));
    match written {
        ToolWritten::Now => Ok(Some(event)),
        ToolWritten::Before => Ok(None),
        ToolWritten::KeyUsed => conflict(
            "something else was asked with this key".to_owned(),
            "make a new key for each request, and send it again only with the same request",
        ),
        ToolWritten::NotMounted => {
            conflict("it is not mounted anywhere".to_owned(), "mount it first; a mounting that is over is put right")
        }
        ToolWritten::Elsewhere(span) => conflict(
            format!("it is mounted on {} since {}", span.machine, span.from),
            "take it off there first, or put that mounting right",
        ),
        // Where is not said: who asks may not see that machine.
        ToolWritten::Overlaps(span) => conflict(
            format!("it was mounted from {} until {}", span.from, end_of(&span)),
            "put that mounting right first, or choose other times",
        ),
        ToolWritten::NoSpan => Err(NotDone::Unknown("this mounting".to_owned())),
        ToolWritten::Unfit => Err(NotDone::Refused(
            "a mounting that ended does not last again, and none ends before it begins".to_owned(),
            "write an end after the beginning".to_owned(),
        )),
    }
}

fn end_of(span: &ToolSpan) -> String {
    span.to.map_or_else(|| "now".to_owned(), |to| to.to_string())
}

fn not_yet() -> NotDone {
    NotDone::Refused("this is later than now".to_owned(), "say it when it is done".to_owned())
}

impl Port for Tools {
    fn list(&self, filter: ToolFilter) -> ToolAnswer<'_, ToolsPage> {
        Box::pin(self.page(filter))
    }

    fn tool(&self, name: String) -> ToolAnswer<'_, ToolDetail> {
        Box::pin(self.detail(name))
    }

    fn mounting(&self, name: String, number: u64) -> ToolAnswer<'_, String> {
        Box::pin(async move { self.machine_of(&name, number).await })
    }

    fn act(
        &self,
        name: String,
        wish: ToolWish,
        reason: String,
        key: Uuid,
        by: Principal,
    ) -> ToolAnswer<'_, (bool, ToolDetail)> {
        Box::pin(self.acted(name, wish, reason, key, by))
    }

    fn units(
        &self,
        name: String,
        branches: Vec<String>,
        after: Option<String>,
        limit: u32,
    ) -> ToolAnswer<'_, ToolUnitsPage> {
        Box::pin(self.units_of(name, branches, after, limit))
    }
}
