//! What an ERP asks for: orders as they are, and what became of them. Nothing is changed, so nothing is remembered.

use super::super::outbound::uses;
use super::super::report::{self, About, Known, id, text, time, unit};
use super::{Inbound, Sender, criteria};
use andon_api::ports::erp::{MessageProblem, Reply};
use andon_b2mml::area::ApplicationArea;
use andon_b2mml::performance::OperationsPerformance;
use andon_b2mml::schedule::{MaterialRequirement, OperationsRequest, OperationsSchedule, SegmentRequirement};
use andon_b2mml::value::Quantity as Amount;
use andon_b2mml::verb::{Show, Verb};
use andon_b2mml::{
    DataArea, Decimal, Identifier, MaterialUse, Message, OneOrMore, OperationsType, Priority, RequestState,
};
use andon_mes::job::{Ending, Interruption, JobState};
use andon_mes::order::JobOrder;
use andon_model::access::Action;
use andon_store::orders::OrderRow;
use std::collections::HashMap;

/// The most orders that are shown in one answer.
const MOST: usize = 500;

/// The orders that a question is about: those that its responses name, and where they name none, the responses' own ids.
pub fn numbers(performances: &[OperationsPerformance]) -> Vec<Identifier> {
    let of = |response: &andon_b2mml::performance::OperationsResponse| match &response.operations_request_ids[..] {
        [] => vec![response.id.clone()],
        named => named.to_vec(),
    };
    performances.iter().flat_map(|one| one.responses.iter()).flat_map(of).collect()
}

/// What is asked of orders.
#[derive(Clone, Copy)]
pub enum Asked {
    /// As they are planned.
    Schedule,
    /// What became of them.
    Performance,
}

/// What was found, and what not.
struct Found {
    orders: Vec<(OrderRow, Vec<JobOrder>)>,
    missing: Vec<Identifier>,
}

impl Inbound {
    async fn find(&self, mut numbers: Vec<Identifier>, by: &Sender) -> Result<Found, String> {
        numbers.sort();
        numbers.dedup();
        if numbers.len() > MOST {
            return Err(format!("{} orders are asked for; at most {MOST} are shown at once", numbers.len()));
        }
        let mut found = Found { orders: Vec::new(), missing: Vec::new() };
        for number in numbers {
            let known = self.mes.counted(number.as_str()).await.map_err(|problem| problem.to_string())?;
            let seen = known.and_then(|(order, mut jobs)| {
                let sees = |job: &JobOrder| {
                    let mut places = job.alternatives.iter().chain(&job.equipment);
                    places.any(|path| self.may(by, Action::View, path))
                };
                jobs.retain(sees);
                (!jobs.is_empty()).then_some((order, jobs))
            });
            match seen {
                Some(order) => found.orders.push(order),
                None => found.missing.push(number),
            }
        }
        Ok(found)
    }

    /// Answers a question about orders: what was not found is said in the answer's verb.
    pub(super) async fn show(
        &self,
        what: Asked,
        original: &ApplicationArea,
        numbers: Vec<Identifier>,
        by: &Sender,
    ) -> Result<Reply, MessageProblem> {
        let Found { orders, missing } = match self.find(numbers, by).await {
            Ok(found) => found,
            Err(why) => return self.refused(original, &why),
        };
        let unknown =
            |number: &Identifier| criteria(&(number.clone(), Err(format!("work order {number} is not known here"))));
        let verb = Verb::Show(Show {
            original_application_area: Some(original.clone()),
            response_criteria: missing.iter().map(unknown).collect(),
        });
        let bod_id = original.bod_id.as_ref().map_or("orders", Identifier::as_str);
        let data_area = match what {
            Asked::Schedule => self
                .schedule(bod_id, &orders)
                .map(|schedule| DataArea::OperationsSchedule(verb, OneOrMore::one(schedule))),
            Asked::Performance => self
                .performance(bod_id, orders)
                .await?
                .map(|performance| DataArea::OperationsPerformance(verb, OneOrMore::one(performance))),
        };
        let Some(data_area) = data_area else {
            return self.refused(original, "none of the orders that are asked for is known here");
        };
        let message = Message { application_area: self.own_head()?, data_area };
        Ok(Reply { accepted: missing.is_empty(), text: Some(message.write()) })
    }

    /// Orders as they are planned; `None`: there are none.
    fn schedule(&self, bod_id: &str, orders: &[(OrderRow, Vec<JobOrder>)]) -> Option<OperationsSchedule> {
        let requests = orders.iter().filter_map(|(order, jobs)| self.request(order, jobs)).collect();
        Some(OperationsSchedule {
            published_date: time(self.clock.now()),
            operations_type: Some(OperationsType::Production),
            ..OperationsSchedule::new(id(bod_id), OneOrMore::new(requests)?)
        })
    }

    /// What became of orders until now; `None`: there are none.
    async fn performance(
        &self,
        bod_id: &str,
        orders: Vec<(OrderRow, Vec<JobOrder>)>,
    ) -> Result<Option<OperationsPerformance>, MessageProblem> {
        let now = self.clock.now();
        let mut responses = Vec::new();
        for (order, jobs) in orders {
            let used = uses(&self.store, &jobs, now).await;
            let used = used.map_err(|problem| MessageProblem::Failed(problem.to_string()))?;
            responses.extend(report::response(&self.rules, &Known { order, jobs, used }, now, About::Order));
        }
        Ok(report::performance(bod_id, now, responses))
    }

    /// An order as a request.
    fn request(&self, order: &OrderRow, jobs: &[JobOrder]) -> Option<OperationsRequest> {
        let names: HashMap<_, _> = jobs.iter().map(|job| (job.id, &job.operation)).collect();
        let last =
            |job: &JobOrder| !jobs.iter().any(|other| other.after.contains(&job.id) && names.contains_key(&other.id));
        let segment = |job: &JobOrder| {
            let material = id(&order.material);
            let amount = Decimal::from_millionths(job.quantity.millionths());
            let made = MaterialRequirement {
                material_definition_ids: vec![material.clone()],
                material_use: Some(MaterialUse::Produced),
                quantities: vec![Amount::of(amount, unit(&self.rules, &order.unit))],
                ..MaterialRequirement::new(id("made"))
            };
            SegmentRequirement {
                description: text(&job.title).into_iter().collect(),
                earliest_start_time: job.planned.and_then(|(from, _)| time(from)),
                latest_end_time: job.planned.and_then(|(_, to)| time(to)),
                segment_state: Some(state_of(job.state)),
                materials: if last(job) { vec![made] } else { Vec::new() },
                ..SegmentRequirement::new(id(&job.number), id(&job.operation), material, id(&job.operation))
            }
        };
        let segments = OneOrMore::new(jobs.iter().map(segment).collect())?;
        Some(OperationsRequest {
            description: text(&order.note).into_iter().collect(),
            end_time: order.due.and_then(time),
            operations_type: Some(OperationsType::Production),
            priority: Some(Priority(self.their_priority(order.priority))),
            request_state: Some(request_state(&order.state)),
            operations_definition_id: Some(id(&order.material)),
            ..OperationsRequest::new(id(&order.number), segments)
        })
    }

    /// Our priority on the ERP's scale.
    fn their_priority(&self, priority: u8) -> i32 {
        let (low, high) = (i64::from(self.rules.priorities.0), i64::from(self.rules.priorities.1));
        let given = low + (high - low) * (i64::from(priority.clamp(1, 9)) - 1) / 8;
        i32::try_from(given).unwrap_or(self.rules.priorities.0)
    }
}

fn request_state(word: &str) -> RequestState {
    match word {
        "Released" => RequestState::Released,
        "Running" => RequestState::Running,
        "Completed" => RequestState::Completed,
        "Closed" => RequestState::Closed,
        "Cancelled" => RequestState::Cancelled,
        _ => RequestState::Forecast,
    }
}

const fn state_of(state: JobState) -> RequestState {
    match state {
        JobState::NotAllowedToStart(_) => RequestState::Forecast,
        JobState::AllowedToStart(_) => RequestState::Released,
        JobState::Running => RequestState::Running,
        JobState::Interrupted(Interruption::Held) => RequestState::Held,
        JobState::Interrupted(Interruption::Suspended) => RequestState::Suspended,
        JobState::Ended(Ending::Completed) => RequestState::Completed,
        JobState::Ended(Ending::Closed) => RequestState::Closed,
        JobState::Aborted => RequestState::Aborted,
    }
}
