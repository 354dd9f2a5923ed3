//! What a message of the ERP says is done here, with the rights of who sent it, request by request, and answered as the edition has it.
//!
//! # Twice, and out of order
//! - A message of which everything was accepted is remembered under its sender and BODID, with its answer: the same again gets the same
//!   answer and does nothing. One of which something was refused is looked at again when it comes again: what was accepted is there then
//!   and is accepted alike, for an order is known by its number and content.
//! - Of each order, and of each definition, it is remembered when the last accepted message about it was made. An older one is refused.
//! - What is remembered is written after the orders are. A kill in between forgets it, and the message, not being answered, comes again.

mod ask;
mod define;
mod master;
mod wish;

use super::config::Rules;
use super::report::{head, id, text};
use crate::mes::Manufacturing;
use crate::plant_admin::to_the_end;
use andon_access::Accounts;
use andon_api::ports::PlantAdmin;
use andon_api::ports::erp::{MessageProblem, Reply};
use andon_api::ports::orders::{Current, OrderAction, OrderPatch, OrderView, OrderWish, Orders as _, OrdersProblem};
use andon_b2mml::area::ApplicationArea;
use andon_b2mml::schedule::{OperationsRequest, OperationsSchedule, SegmentRequirement};
use andon_b2mml::verb::{Acknowledge, ChangeStatus, Expression, Respond, ResponseCriteria, Verb};
use andon_b2mml::{
    ActionCode, ConfirmationCode, DataArea, DateTime, Identifier, Message, OneOrMore, ResponseCode, read,
};
use andon_bus::Bus;
use andon_bus::ids::new_id;
use andon_mes::calendar::Calendar;
use andon_model::access::{Action, Gate as _, Principal};
use andon_model::path::is_under;
use andon_model::{Clock, Timestamp};
use andon_store::Store;
use andon_store::erp::{ErpRepository as _, HeardMessage};
use anyhow::Context as _;
use ask::Asked;
use bytes::Bytes;
use master::{MOST_DEFINITIONS, Things};
use sha2::{Digest as _, Sha256};
use std::collections::HashMap;
use std::sync::{Arc, OnceLock};
use std::time::Duration;
use wish::{Wanted, wanted};

/// The most requests of a message.
const MOST_REQUESTS: usize = 5_000;
/// A message from further in the future than this is refused: all later ones would be older than it.
const AHEAD: Duration = Duration::from_secs(3600);

/// Who sent a message, and so what it may do.
#[derive(Clone)]
pub enum Sender {
    /// An account, with its rights.
    Account(Principal),
    /// Whoever can write into the folder of a link: everything on its branches.
    Files {
        /// The link.
        link: String,
        /// Its branches.
        branches: Vec<String>,
    },
}

/// What became of a request or a definition: done, and what else is to be said; or refused, and why.
type Outcome = (Identifier, Result<String, String>);

/// Takes messages, one after the other.
pub struct Inbound {
    rules: Arc<Rules>,
    zone: Option<Calendar>,
    mes: Arc<Manufacturing>,
    store: Store,
    bus: Arc<Bus>,
    /// Who changes the plant model, once it is there.
    admin: OnceLock<Arc<dyn PlantAdmin>>,
    accounts: Arc<Accounts>,
    clock: Arc<dyn Clock>,
    /// One message at a time: what it is compared with does not change under it.
    turn: tokio::sync::Mutex<()>,
}

/// What is to be remembered of a message.
struct Memory {
    key: [u8; 32],
    content: [u8; 32],
}

impl Inbound {
    /// # Errors
    /// The zone is not known.
    pub fn new(
        rules: Arc<Rules>,
        mes: Arc<Manufacturing>,
        store: Store,
        bus: Arc<Bus>,
        accounts: Arc<Accounts>,
        clock: Arc<dyn Clock>,
    ) -> anyhow::Result<Arc<Self>> {
        let zone = rules.zone.as_deref().map(|zone| Calendar::new(zone, Vec::new(), Vec::new())).transpose();
        let zone = zone.context("the time zone of [b2mml] cannot be used")?;
        let (admin, turn) = (OnceLock::new(), tokio::sync::Mutex::default());
        Ok(Arc::new(Self { rules, zone, mes, store, bus, admin, accounts, clock, turn }))
    }

    /// From now on definitions are taken, too.
    pub fn set_admin(&self, admin: Arc<dyn PlantAdmin>) {
        let _ = self.admin.set(admin);
    }

    /// Does what a message says, to its end, also when nobody waits for it any more.
    /// # Errors
    /// Its head cannot be read, or we failed.
    pub async fn receive(self: &Arc<Self>, bytes: Bytes, by: Sender) -> Result<Reply, MessageProblem> {
        let own = self.clone();
        to_the_end(async move { own.take(bytes, by).await }, MessageProblem::Failed).await
    }

    async fn take(&self, bytes: Bytes, by: Sender) -> Result<Reply, MessageProblem> {
        // A message of 16 MiB is a second of reading: not on the runtime's own threads.
        let message = tokio::task::spawn_blocking(move || read(&bytes)).await;
        let message = match message.map_err(|error| MessageProblem::Failed(error.to_string()))? {
            Ok(read) => read.message,
            Err(error) => {
                let words = error.to_string();
                let Some(original) = error.application_area else { return Err(MessageProblem::Unreadable(words)) };
                return self.refused(&original, &words);
            }
        };
        let _turn = self.turn.lock().await;
        let memory = memory(&message, &by);
        if let Some(memory) = &memory
            && let Some(before) = self.store.erp_message(memory.key).await.map_err(failed)?
        {
            if before.content != memory.content {
                return self.refused(&message.application_area, "another message was sent under this BODID before");
            }
            let answer = Some(before.answer).filter(|answer| !answer.is_empty());
            return Ok(Reply { accepted: true, text: answer });
        }
        let area = &message.application_area;
        let created = match self.time("CreationDateTime", area.creation_date_time) {
            Ok(created) => created,
            Err(why) => return self.refused(area, &why),
        };
        if created > self.clock.now().plus(AHEAD) {
            let why =
                format!("CreationDateTime {created} is more than an hour ahead of the clock here; set the clocks");
            return self.refused(area, &why);
        }
        match &message.data_area {
            DataArea::OperationsSchedule(Verb::Get(_), schedules) => {
                let numbers = schedules.iter().flat_map(|schedule| schedule.requests.iter()).map(|request| &request.id);
                self.show(Asked::Schedule, area, numbers.cloned().collect(), &by).await
            }
            DataArea::OperationsPerformance(Verb::Get(_), performances) => {
                self.show(Asked::Performance, area, ask::numbers(performances), &by).await
            }
            DataArea::OperationsSchedule(verb @ (Verb::Process(_) | Verb::Change(_) | Verb::Cancel(_)), schedules) => {
                let count: usize = schedules.iter().map(|schedule| schedule.requests.len()).sum();
                if count > MOST_REQUESTS {
                    let why = format!("the message has {count} requests; at most {MOST_REQUESTS} are taken");
                    return self.refused(area, &why);
                }
                let (outcomes, latest) = self.do_all(verb, schedules, created, &by).await?;
                let about = |verb| {
                    let brief = OneOrMore::new(schedules.iter().map(brief).collect());
                    brief.map(|schedules| DataArea::OperationsSchedule(verb, schedules))
                };
                let reply = self.answer(area, verb, &outcomes, about)?;
                self.remember(reply, memory, latest).await
            }
            DataArea::MaterialDefinition(verb @ (Verb::Process(_) | Verb::Change(_) | Verb::Sync(_)), all) => {
                self.defined(&message, verb, Things::Materials(all), created, &by, memory).await
            }
            DataArea::OperationsDefinition(verb @ (Verb::Process(_) | Verb::Change(_) | Verb::Sync(_)), all) => {
                self.defined(&message, verb, Things::Operations(all), created, &by, memory).await
            }
            other => {
                let why = format!(
                    "{} is not taken here; taken are Process, Change, Cancel and Get of OperationsSchedule, GetOperationsPerformance, \
                     and Process, Change and Sync of MaterialDefinition and of OperationsDefinition",
                    other.message_name()
                );
                self.refused(area, &why)
            }
        }
    }

    async fn defined(
        &self,
        message: &Message,
        verb: &Verb,
        things: Things<'_>,
        created: Timestamp,
        by: &Sender,
        memory: Option<Memory>,
    ) -> Result<Reply, MessageProblem> {
        let area = &message.application_area;
        let count = things.ids().len();
        if count > MOST_DEFINITIONS {
            let why =
                format!("the message has {count} definitions; at most {MOST_DEFINITIONS} are taken, so send several");
            return self.refused(area, &why);
        }
        let named = area.bod_id.as_ref().map_or_else(String::new, |id| format!(" {id}"));
        let reason = format!("{}{named}", message.data_area.message_name());
        let (outcomes, latest) = self.define((verb, &things), created, by, reason).await?;
        let reply = self.answer(area, verb, &outcomes, |verb| things.brief(verb))?;
        self.remember(reply, memory, latest).await
    }

    /// Keeps what a message came to before it is answered.
    async fn remember(
        &self,
        reply: Reply,
        memory: Option<Memory>,
        latest: Vec<(String, Timestamp)>,
    ) -> Result<Reply, MessageProblem> {
        let heard = memory.filter(|_| reply.accepted).map(|memory| HeardMessage {
            key: memory.key,
            content: memory.content,
            answer: reply.text.clone().unwrap_or_default(),
        });
        self.store.erp_remember(heard, latest, self.clock.now()).await.map_err(failed)?;
        Ok(reply)
    }

    /// A time of a message.
    fn time(&self, what: &str, time: DateTime) -> Result<Timestamp, String> {
        instant(self.zone.as_ref(), what, time)
    }

    /// Whether a sender may do something at a place.
    fn may(&self, by: &Sender, action: Action, path: &str) -> bool {
        match by {
            Sender::Account(who) => self.accounts.authorise(who, action, path).is_ok(),
            Sender::Files { branches, .. } => branches.iter().any(|branch| is_under(path, branch)),
        }
    }

    /// Everything that a message asks for. What failed of our own breaks it off; it can be sent again.
    async fn do_all(
        &self,
        verb: &Verb,
        schedules: &[OperationsSchedule],
        created: Timestamp,
        by: &Sender,
    ) -> Result<(Vec<Outcome>, Vec<(String, Timestamp)>), MessageProblem> {
        let mut requests: Vec<(&OperationsSchedule, &OperationsRequest)> = Vec::new();
        for schedule in schedules {
            for request in &schedule.requests {
                requests.push((schedule, request));
            }
        }
        let subjects = requests.iter().map(|(_, request)| subject(&request.id)).collect();
        let known = self.store.erp_latest(subjects).await.map_err(failed)?;
        let (mut outcomes, mut latest) = (Vec::new(), HashMap::new());
        for (schedule, request) in requests {
            let subject = subject(&request.id);
            let outcome = match known.get(&subject) {
                Some(last) if *last > created => Err(Stop::Refused(format!(
                    "a message of {last} about this order was accepted before, and this one, of {created}, is older"
                ))),
                _ => self.do_one(verb, schedule, request, by).await,
            };
            let outcome = match outcome {
                Ok(()) => {
                    latest.insert(subject, created);
                    Ok(String::new())
                }
                Err(Stop::Refused(why)) => Err(why),
                Err(Stop::Failed(why)) => {
                    // What was done of it so far is as new as it is.
                    let _ = self.store.erp_remember(None, latest.into_iter().collect(), self.clock.now()).await;
                    return Err(MessageProblem::Failed(why));
                }
            };
            outcomes.push((request.id.clone(), outcome));
        }
        Ok((outcomes, latest.into_iter().collect()))
    }

    async fn do_one(
        &self,
        verb: &Verb,
        schedule: &OperationsSchedule,
        request: &OperationsRequest,
        by: &Sender,
    ) -> Result<(), Stop> {
        let time = |what: &str, time| self.time(what, time);
        let wanted = wanted(&self.rules, schedule, request, &time)?;
        match verb {
            Verb::Process(_) => self.make(wanted, by).await,
            Verb::Change(_) => self.change(wanted, by).await,
            _ => self.cancel(&wanted.number, by).await,
        }
    }

    async fn make(&self, wanted: Wanted, by: &Sender) -> Result<(), Stop> {
        let wanted_unit = wanted.unit.clone();
        let wish = wanted.order()?;
        let places = self.mes.places(&wish.material, wish.revision.as_deref())?;
        self.configures(by, places.iter())?;
        self.fits_unit(&wish.material, wanted_unit.as_deref())?;
        let who = self.principal(by);
        match self.mes.make(wish.clone(), who.clone()).await {
            Ok(_) => Ok(()),
            Err(OrdersProblem::Conflict { current: Some(Current::Order(there)), .. }) => {
                // It may be there and only not be released yet.
                let same = wish.release && there.state == "Forecast";
                let waits = OrderWish { release: false, ..wish };
                if same && self.mes.make(waits, who.clone()).await.is_ok() {
                    let release = self.mes.act(there.number.clone(), OrderAction::Release, there.version, None, who);
                    return release.await.map(drop).map_err(Stop::from);
                }
                let why =
                    "an order of this number is there with other content; send ChangeOperationsSchedule to change it";
                Err(Stop::Refused(why.to_owned()))
            }
            Err(problem) => Err(problem.into()),
        }
    }

    /// Changes what is another, and nothing if nothing is.
    async fn change(&self, wanted: Wanted, by: &Sender) -> Result<(), Stop> {
        let there = self.order_of(&wanted.number, by).await?;
        if let Some((material, revision)) = &wanted.material
            && (*material != there.material
                || revision.as_ref().is_some_and(|one| Some(one) != there.revision.as_ref()))
        {
            let why = format!("the order is of {}; another material is another order", there.material);
            return Err(Stop::Refused(why));
        }
        self.fits_unit(&there.material, wanted.unit.as_deref())?;
        let due = wanted.due.filter(|due| Some(due.millis()) != there.due_ms);
        let patch = OrderPatch {
            version: there.version,
            quantity: wanted.quantity.map(andon_mes::quantity::Quantity::to_f64).filter(|one| *one != there.quantity),
            due: due.map(Some),
            priority: wanted.priority.filter(|priority| *priority != there.priority),
            note: wanted.note.filter(|note| *note != there.note),
        };
        let who = self.principal(by);
        let now = if patch == (OrderPatch { version: there.version, ..OrderPatch::default() }) {
            there
        } else {
            self.mes.change(wanted.number.clone(), patch, who.clone()).await?
        };
        let action = match (wanted.released, now.state.as_str()) {
            (Some(true), "Forecast") => OrderAction::Release,
            (Some(false), "Released") => OrderAction::Revoke,
            _ => return Ok(()),
        };
        self.mes.act(wanted.number, action, now.version, None, who).await?;
        Ok(())
    }

    async fn cancel(&self, number: &str, by: &Sender) -> Result<(), Stop> {
        let there = self.order_of(number, by).await?;
        if there.state == "Cancelled" {
            return Ok(());
        }
        let reason = Some("cancelled by the ERP".to_owned());
        let cancel = self.mes.act(number.to_owned(), OrderAction::Cancel, there.version, reason, self.principal(by));
        cancel.await.map(drop).map_err(Stop::from)
    }

    /// An order that the sender may change. One that it does not see is not there.
    async fn order_of(&self, number: &str, by: &Sender) -> Result<OrderView, Stop> {
        let unknown = || Stop::Refused(format!("work order {number} is not known here"));
        let order = match self.mes.order(number.to_owned(), self.principal(by).id).await {
            Err(OrdersProblem::Unknown(_)) => return Err(unknown()),
            order => order?,
        };
        let places = || order.jobs.iter().flat_map(|job| job.alternatives.iter().chain(&job.equipment));
        if !places().any(|path| self.may(by, Action::View, path)) {
            return Err(unknown());
        }
        self.configures(by, places())?;
        Ok(order)
    }

    fn configures<'p>(&self, by: &Sender, mut places: impl Iterator<Item = &'p String>) -> Result<(), Stop> {
        let closed = places.find(|path| !self.may(by, Action::Configure, path));
        closed.map_or(Ok(()), |path| {
            Err(Stop::Refused(format!(
                "the sender may not configure {path}, where the order can be made; give it that right"
            )))
        })
    }

    /// Refuses an amount in another unit than the material's: it would be another amount.
    fn fits_unit(&self, material: &str, unit: Option<&str>) -> Result<(), Stop> {
        let Some(unit) = unit else { return Ok(()) };
        let here = self.mes.materials().into_iter().filter(|one| one.name == material).map(|one| one.unit);
        let here: Vec<String> = here.filter(|here| !here.is_empty()).collect();
        let ours = self.rules.units.get(unit).map_or(unit, String::as_str);
        if here.is_empty() || here.iter().any(|here| here == ours) {
            return Ok(());
        }
        Err(Stop::Refused(format!(
            "the quantity is in {unit:?} and {material} is counted in {:?}; say in [b2mml] units of the settings that these are the same, or send the other",
            here[0]
        )))
    }

    /// Who is said to have done it.
    fn principal(&self, by: &Sender) -> Principal {
        match by {
            Sender::Account(who) => who.clone(),
            Sender::Files { .. } => Principal::SYSTEM,
        }
    }

    // ---- answers ----

    fn own_head(&self) -> Result<ApplicationArea, MessageProblem> {
        let mut area = head(&self.rules, &new_id(&*self.clock).to_string(), self.clock.now())
            .map_err(|problem| MessageProblem::Failed(problem.to_string()))?;
        if let Some(sender) = &mut area.sender {
            // An answer wants none.
            sender.confirmation_code = None;
        }
        Ok(area)
    }

    /// A message is refused as a whole. Also whoever wants no receipts is told, for nothing of it was done.
    fn refused(&self, original: &ApplicationArea, why: &str) -> Result<Reply, MessageProblem> {
        let why = text(why).ok_or_else(|| MessageProblem::Unreadable("it is refused".to_owned()))?;
        let message = Message::confirmation(self.own_head()?, original.clone(), Err(why));
        Ok(Reply { accepted: false, text: Some(message.write()) })
    }

    /// What the verb and the head ask for; whatever was refused is always told.
    fn answer(
        &self,
        original: &ApplicationArea,
        verb: &Verb,
        outcomes: &[Outcome],
        about: impl FnOnce(Verb) -> Option<DataArea>,
    ) -> Result<Reply, MessageProblem> {
        let accepted = outcomes.iter().all(|(_, outcome)| outcome.is_ok());
        let code = match verb {
            Verb::Process(process) => Some(process.acknowledge_code),
            Verb::Change(change) => Some(change.response_code),
            _ => None,
        };
        let confirmation = original.sender.as_ref().and_then(|sender| sender.confirmation_code);
        let by_verb = match code {
            None => false,
            Some(Some(ResponseCode::Always)) => true,
            Some(Some(ResponseCode::OnError)) => !accepted,
            // Nothing was said at all: an answer costs nothing here.
            Some(None) => confirmation.is_none() || (!accepted && confirmation == Some(ConfirmationCode::Never)),
        };
        let by_head = original.wants_confirmation(!accepted) || code.is_none() && (confirmation.is_none() || !accepted);
        let message = if by_verb {
            let response_criteria = outcomes.iter().map(criteria).collect();
            let original = Some(original.clone());
            let verb = match verb {
                Verb::Change(_) => Verb::Respond(Respond { original_application_area: original, response_criteria }),
                _ => Verb::Acknowledge(Acknowledge { original_application_area: original, response_criteria }),
            };
            let data_area = about(verb).ok_or_else(|| MessageProblem::Failed("a message of nothing".to_owned()))?;
            Message { application_area: self.own_head()?, data_area }
        } else if by_head {
            let why: Vec<String> = outcomes
                .iter()
                .filter_map(|(id, outcome)| outcome.as_ref().err().map(|why| format!("{id}: {why}")))
                .collect();
            let why = if accepted { None } else { text(&why.join("; ")) };
            Message::confirmation(self.own_head()?, original.clone(), why.map_or(Ok(()), Err))
        } else {
            return Ok(Reply { accepted, text: None });
        };
        Ok(Reply { accepted, text: Some(message.write()) })
    }
}

/// The instant of a time; one without a zone is what the clock of `zone` shows, and where it shows that twice, the first.
fn instant(zone: Option<&Calendar>, what: &str, time: DateTime) -> Result<Timestamp, String> {
    match (zone, time.timestamp()) {
        (_, Some(at)) => Ok(at),
        (Some(zone), None) => Ok(time.in_zone(|wall| {
            let minutes = (wall.micros() - zone.shown(wall).micros()) / 60_000_000;
            i16::try_from(minutes).unwrap_or_default()
        })),
        (None, None) => Err(format!(
            "{what} {time} says no zone; write one (Z, +01:00), or set time_zone in [b2mml] of the settings"
        )),
    }
}

/// Why a request was not done.
enum Stop {
    /// It is refused.
    Refused(String),
    /// We failed.
    Failed(String),
}

impl From<String> for Stop {
    fn from(why: String) -> Self {
        Self::Refused(why)
    }
}

impl From<OrdersProblem> for Stop {
    fn from(problem: OrdersProblem) -> Self {
        match problem {
            OrdersProblem::Failed(why) => Self::Failed(why),
            OrdersProblem::Refused(why, remedy) if !remedy.is_empty() => Self::Refused(format!("{why}; {remedy}")),
            other => Self::Refused(other.to_string()),
        }
    }
}

fn failed(error: andon_store::StoreError) -> MessageProblem {
    MessageProblem::Failed(andon_model::error::causes(&error))
}

fn subject(id: &Identifier) -> String {
    format!("order:{id}")
}

/// By what a message is known when it comes again; `None`: it has no id. What it says counts, not how it is spelled.
fn memory(message: &Message, by: &Sender) -> Option<Memory> {
    let area = &message.application_area;
    let bod_id = area.bod_id.as_ref()?;
    let sender = area.sender.as_ref().and_then(|sender| sender.logical_id.as_ref());
    let from = match by {
        Sender::Account(who) => who.id.to_string(),
        Sender::Files { link, .. } => format!("files {link}"),
    };
    let mut key = Sha256::new();
    for part in [from.as_str(), sender.map_or("", Identifier::as_str), bod_id.as_str()] {
        key.update((part.len() as u64).to_be_bytes());
        key.update(part.as_bytes());
    }
    Some(Memory { key: key.finalize().into(), content: Sha256::digest(message.write().as_bytes()).into() })
}

fn criteria((about, outcome): &Outcome) -> ResponseCriteria {
    let action = if outcome.is_ok() { ActionCode::Accepted } else { ActionCode::Rejected };
    let words = outcome.as_ref().unwrap_or_else(|why| why);
    let why = text(words).map(|words| ChangeStatus { description: vec![words], ..ChangeStatus::default() });
    ResponseCriteria {
        response_expression: Some(Expression { action, about: Some(about.clone()) }),
        change_status: why,
    }
}

/// A schedule with what the edition requires of it: which requests an answer is about, and not all that they said.
fn brief(schedule: &OperationsSchedule) -> OperationsSchedule {
    let request = |request: &OperationsRequest| {
        let first = request.segment_requirements.first().map(|one| {
            let SegmentRequirement { id, process_segment_id, operations_definition_id, operations_segment_id, .. } =
                one;
            SegmentRequirement::new(
                id.clone(),
                process_segment_id.clone(),
                operations_definition_id.clone(),
                operations_segment_id.clone(),
            )
        });
        let first = first.unwrap_or_else(|| SegmentRequirement::new(id("-"), id("-"), id("-"), id("-")));
        OperationsRequest::new(request.id.clone(), OneOrMore::one(first))
    };
    let requests: Vec<OperationsRequest> = schedule.requests.iter().map(request).collect();
    let requests = OneOrMore::new(requests).unwrap_or_else(|| schedule.requests.clone());
    OperationsSchedule::new(schedule.id.clone(), requests)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_time_without_a_zone_is_the_clock_on_the_wall_of_the_place() {
        let berlin = Calendar::new("Europe/Berlin", Vec::new(), Vec::new()).expect("a zone");
        let told = |zone, text: &str| {
            instant(zone, "EndTime", DateTime::parse(text).expect("a time")).map(|at| at.to_string())
        };
        for (text, expected) in [
            ("2026-12-01T14:00:00", "2026-12-01T13:00:00"),
            ("2026-07-01T14:00:00", "2026-07-01T12:00:00"),
            // With its own zone the place's does not matter.
            ("2026-07-01T14:00:00-05:00", "2026-07-01T19:00:00"),
            ("2026-07-01T14:00:00Z", "2026-07-01T14:00:00"),
            // Shown twice, the first; and the last minute before, the first after the hour that is left out.
            ("2026-10-25T02:30:00", "2026-10-25T00:30:00"),
            ("2026-03-29T01:59:00", "2026-03-29T00:59:00"),
            ("2026-03-29T03:00:00", "2026-03-29T01:00:00"),
        ] {
            let at = told(Some(&berlin), text).expect(text);
            assert!(at.starts_with(expected), "{text}: {at}");
        }
        let why = told(None, "2026-12-01T14:00:00").expect_err("no zone");
        assert!(why.contains("EndTime 2026-12-01T14:00:00 says no zone; write one"), "{why}");
    }
}
