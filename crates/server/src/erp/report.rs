//! What is told to an ERP of an order: its operations response, as the order was at an instant.
//!
//! Pure. States and times are those of the instant of the event that is told of, also when the message is made later; amounts are what
//! is known when it is made.

use andon_api::ports::orders::OrdersProblem;
use andon_b2mml::area::{ApplicationArea, Sender};
use andon_b2mml::performance::{
    EquipmentActual, MaterialActual, OperationsPerformance, OperationsResponse, SegmentResponse,
};
use andon_b2mml::value::Quantity as Amount;
use andon_b2mml::{
    Code, ConfirmationCode, DateTime, Decimal, Identifier, MaterialUse, OneOrMore, OperationsType, ResponseState, Text,
};
use andon_mes::job::{Ending, Interruption, JobState};
use andon_mes::order::{JobOrder, made};
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::text::shown;
use andon_store::orders::OrderRow;
use andon_store::trace::JobUse;
use std::collections::HashMap;
use uuid::Uuid;

use super::config::Rules;

/// The longest text for people, in bytes.
const TEXT: usize = 3_800;

/// An id of ours as the edition has it. What cannot be one there (nothing that is checked here is) is a dash.
pub fn id(text: &str) -> Identifier {
    Identifier::new(text).unwrap_or_else(|_| Identifier::new("-").expect("a dash is an identifier"))
}

/// A text for people, cut where it is too long.
pub fn text(words: &str) -> Option<Text> {
    let words = shown(words);
    let mut end = words.len().min(TEXT);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    Text::new(&words[..end]).ok()
}

/// A time as it is written.
pub fn time(at: Timestamp) -> Option<DateTime> {
    DateTime::utc(at)
}

/// The head of a message from here.
pub fn head(rules: &Rules, bod_id: &str, at: Timestamp) -> Result<ApplicationArea, OrdersProblem> {
    let at =
        time(at).ok_or_else(|| OrdersProblem::Failed("the clock shows a time that no date can tell".to_owned()))?;
    let sender = Sender {
        logical_id: Identifier::new(&rules.sender).ok(),
        confirmation_code: Some(ConfirmationCode::OnError),
        ..Sender::default()
    };
    let mut area = ApplicationArea::new(at);
    (area.sender, area.bod_id) = (Some(sender), Some(id(bod_id)));
    Ok(area)
}

/// An order with its jobs, as it is now.
pub struct Known {
    /// The order.
    pub order: OrderRow,
    /// Its jobs, with what people and counters counted.
    pub jobs: Vec<JobOrder>,
    /// What went into what each job made, where units are traced.
    pub used: HashMap<Uuid, Vec<JobUse>>,
}

/// What is told of an order.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum About {
    /// One job, and all of them when the order is complete with it; what the job is in then.
    Job(Uuid, JobState),
    /// All jobs.
    Order,
}

/// What a job was in at an instant.
fn state_at(job: &JobOrder, at: Timestamp) -> ResponseState {
    let begun = job.started.is_some_and(|started| started <= at);
    let ended = job.ended.is_some_and(|ended| ended <= at);
    match job.state {
        JobState::Ended(ending) if ended => of_ending(ending),
        JobState::Aborted if ended => ResponseState::Aborted,
        JobState::Interrupted(why) if begun => of_interruption(why),
        _ if begun => ResponseState::Running,
        _ => ResponseState::Waiting,
    }
}

const fn of_ending(ending: Ending) -> ResponseState {
    match ending {
        Ending::Completed => ResponseState::Completed,
        Ending::Closed => ResponseState::Closed,
    }
}

const fn of_interruption(why: Interruption) -> ResponseState {
    match why {
        Interruption::Held => ResponseState::Held,
        Interruption::Suspended => ResponseState::Suspended,
    }
}

/// The edition's word for a state.
pub const fn word_of(state: JobState) -> ResponseState {
    match state {
        JobState::NotAllowedToStart(_) | JobState::AllowedToStart(_) => ResponseState::Waiting,
        JobState::Running => ResponseState::Running,
        JobState::Interrupted(why) => of_interruption(why),
        JobState::Ended(ending) => of_ending(ending),
        JobState::Aborted => ResponseState::Aborted,
    }
}

/// What an order was in, of what its jobs were in.
fn state_of(jobs: &[ResponseState]) -> ResponseState {
    let all = |wanted: &[ResponseState]| jobs.iter().all(|state| wanted.contains(state));
    use ResponseState::{Aborted, Closed, Completed, Running, Waiting};
    if all(&[Aborted]) {
        Aborted
    } else if all(&[Closed, Aborted]) {
        Closed
    } else if all(&[Completed, Closed, Aborted]) {
        Completed
    } else if all(&[Waiting, Aborted]) {
        Waiting
    } else {
        Running
    }
}

/// The response to an order as it was at an instant; `None`: it has no jobs.
pub fn response(rules: &Rules, known: &Known, at: Timestamp, about: About) -> Option<OperationsResponse> {
    let states: Vec<ResponseState> = known
        .jobs
        .iter()
        .map(|job| match about {
            About::Job(own, state) if own == job.id => word_of(state),
            _ => state_at(job, at),
        })
        .collect();
    let order = state_of(&states);
    let whole = about == About::Order || !matches!(order, ResponseState::Waiting | ResponseState::Running);
    let told = known.jobs.iter().zip(&states).filter(|(job, _)| match about {
        About::Job(own, _) => whole || own == job.id,
        About::Order => true,
    });
    let segments = told.map(|(job, state)| segment(rules, known, job, state.clone(), at)).collect();
    let begun = known.jobs.iter().filter_map(|job| job.started.filter(|started| *started <= at)).min();
    let ended = known.jobs.iter().filter_map(|job| job.ended).max();
    let totals = made(&known.jobs);
    let words = format!(
        "{} {} of {}: {} good, {} scrap, {} rework",
        known.order.number, known.order.title, known.order.material, totals.good, totals.scrap, totals.rework
    );
    Some(OperationsResponse {
        description: text(&words).into_iter().collect(),
        start_time: begun.and_then(time),
        end_time: ended.filter(|_| is_over(&order)).and_then(time),
        operations_type: Some(OperationsType::Production),
        operations_request_ids: vec![id(&known.order.number)],
        operations_definition_ids: vec![id(&known.order.material)],
        response_state: Some(order),
        ..OperationsResponse::new(id(&known.order.number), OneOrMore::new(segments)?)
    })
}

const fn is_over(state: &ResponseState) -> bool {
    matches!(state, ResponseState::Completed | ResponseState::Closed | ResponseState::Aborted)
}

fn segment(rules: &Rules, known: &Known, job: &JobOrder, state: ResponseState, at: Timestamp) -> SegmentResponse {
    let over = is_over(&state);
    let waiting = state == ResponseState::Waiting;
    let equipment = job
        .equipment
        .iter()
        .filter(|_| !waiting)
        .map(|path| EquipmentActual { equipment_ids: vec![id(path)], ..EquipmentActual::new(id(path)) });
    SegmentResponse {
        description: text(&job.title).into_iter().collect(),
        actual_start_time: job.started.filter(|started| !waiting && *started <= at).and_then(time),
        actual_end_time: job.ended.filter(|_| over).and_then(time),
        operations_type: Some(OperationsType::Production),
        process_segment_ids: vec![id(&job.operation)],
        operations_request_ids: vec![id(&known.order.number)],
        operations_definition_ids: vec![id(&known.order.material)],
        operations_segment_ids: vec![id(&job.operation)],
        job_response_ids: vec![id(&job.number)],
        segment_state: Some(state),
        equipment: equipment.collect(),
        materials: materials(rules, known, job),
        ..SegmentResponse::new(id(&job.number))
    }
}

/// What a job made and what it took.
fn materials(rules: &Rules, known: &Known, job: &JobOrder) -> Vec<MaterialActual> {
    let unit = unit(rules, &known.order.unit);
    let own = |word: &str| MaterialUse::Other(Code::new(word).ok());
    let totals = job.totals;
    let came = [
        ("good", MaterialUse::Produced, totals.good),
        ("scrap", own("Scrap"), totals.scrap),
        ("rework", own("Rework"), totals.rework),
    ];
    let came = came.into_iter().map(|(word, what, amount)| MaterialActual {
        material_definition_ids: vec![id(&known.order.material)],
        material_use: Some(what),
        quantities: vec![amount_of(amount, unit.clone())],
        ..MaterialActual::new(id(word))
    });
    let used = known.used.get(&job.id).into_iter().flatten().enumerate().map(|(place, one)| MaterialActual {
        material_definition_ids: vec![id(&one.material)],
        material_lot_ids: vec![id(&one.number)],
        material_use: Some(MaterialUse::Consumed),
        quantities: vec![amount_of(Quantity::from_millionths(one.quantity), None)],
        ..MaterialActual::new(id(&format!("used-{}", place + 1)))
    });
    came.chain(used).collect()
}

fn amount_of(amount: Quantity, unit: Option<Code>) -> Amount {
    Amount::of(Decimal::from_millionths(amount.millionths()), unit)
}

/// The ERP's word for a unit of the plant's.
pub fn unit(rules: &Rules, unit: &str) -> Option<Code> {
    let theirs = rules.units.iter().find(|(_, ours)| *ours == unit).map_or(unit, |(theirs, _)| theirs);
    Code::new(theirs).ok()
}

/// A report of responses; `None`: there are none.
pub fn performance(
    bod_id: &str,
    published: Timestamp,
    responses: Vec<OperationsResponse>,
) -> Option<OperationsPerformance> {
    Some(OperationsPerformance {
        published_date: time(published),
        operations_type: Some(OperationsType::Production),
        ..OperationsPerformance::new(id(bod_id), OneOrMore::new(responses)?)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_mes::order::Totals;
    use std::time::Duration;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_millis(1_800_000_000_000 + second * 1000)
    }

    fn job(number: u128, state: JobState, started: Option<i64>, ended: Option<i64>) -> JobOrder {
        JobOrder {
            id: Uuid::from_u128(number),
            number: format!("4711/{number}"),
            operation: number.to_string(),
            title: "Press".to_owned(),
            state,
            alternatives: vec!["works/press".to_owned()],
            equipment: Some("works/press".to_owned()),
            quantity: Quantity::from_millionths(5_000_000),
            totals: Totals { good: Quantity::from_millionths(2_500_000), ..Totals::default() },
            run_time_ns: 1,
            setup: Duration::ZERO,
            planned: None,
            pinned: false,
            started: started.map(at),
            ended: ended.map(at),
            after: Vec::new(),
            skills: Vec::new(),
            instructions: Vec::new(),
        }
    }

    fn known(jobs: Vec<JobOrder>) -> Known {
        let order = OrderRow {
            id: Uuid::nil(),
            number: "4711".to_owned(),
            material: "BOLT".to_owned(),
            revision: None,
            title: "Bolt".to_owned(),
            unit: "pcs".to_owned(),
            quantity: 5_000_000,
            due: None,
            priority: 5,
            state: "Running".to_owned(),
            source: "erp".to_owned(),
            note: String::new(),
            created: at(0),
            version: 1,
        };
        let used = JobUse { material: "STEEL".to_owned(), number: "L-1".to_owned(), quantity: 1_250_000 };
        let used = jobs.iter().map(|job| (job.id, vec![used.clone()])).collect();
        Known { order, jobs, used }
    }

    fn states(told: &OperationsResponse) -> (ResponseState, Vec<(String, ResponseState, bool)>) {
        let segments = told.segment_responses.iter().map(|segment| {
            (segment.id.to_string(), segment.segment_state.clone().unwrap(), segment.actual_end_time.is_some())
        });
        (told.response_state.clone().unwrap(), segments.collect())
    }

    const DONE: JobState = JobState::Ended(Ending::Completed);

    /// Both jobs have ended by the time at which the messages are made.
    #[test]
    fn what_is_told_of_an_event_is_as_it_was_then_also_when_it_is_told_later() {
        let known = known(vec![job(10, DONE, Some(10), Some(20)), job(20, DONE, Some(15), Some(30))]);
        let told = |second, job: u128, state| {
            states(&response(&Rules::default(), &known, at(second), About::Job(Uuid::from_u128(job), state)).unwrap())
        };
        let one = |number: &str, state, ended| (number.to_owned(), state, ended);
        use ResponseState::{Completed, Running};
        assert_eq!(told(10, 10, JobState::Running), (Running, vec![one("4711/10", Running, false)]));
        assert_eq!(told(20, 10, DONE), (Running, vec![one("4711/10", Completed, true)]));
        // With the last job the order is complete, and all of it is told.
        let both = vec![one("4711/10", Completed, true), one("4711/20", Completed, true)];
        assert_eq!(told(30, 20, DONE), (Completed, both));
    }

    #[test]
    fn amounts_are_exact_and_what_was_used_has_its_lot() {
        let rules = Rules { units: [("PCE".to_owned(), "pcs".to_owned())].into(), ..Rules::default() };
        let told = response(&rules, &known(vec![job(10, JobState::Running, Some(1), None)]), at(9), About::Order);
        let segments = told.unwrap().segment_responses.into_vec();
        let materials: Vec<_> = segments[0]
            .materials
            .iter()
            .map(|one| {
                let quantity = &one.quantities[0];
                let lot = one.material_lot_ids.first().map(ToString::to_string);
                let unit = quantity.unit_of_measure.as_ref().map(ToString::to_string);
                (one.id.to_string(), quantity.amount.0.unwrap().to_string(), unit, lot)
            })
            .collect();
        let one = |id: &str, amount: &str, unit: Option<&str>, lot: Option<&str>| {
            (id.to_owned(), amount.to_owned(), unit.map(str::to_owned), lot.map(str::to_owned))
        };
        let pieces = Some("PCE");
        assert_eq!(
            materials,
            [
                one("good", "2.5", pieces, None),
                one("scrap", "0", pieces, None),
                one("rework", "0", pieces, None),
                one("used-1", "1.25", None, Some("L-1"))
            ]
        );
    }

    #[test]
    fn an_order_that_is_given_up_before_it_begins_is_aborted() {
        let told =
            response(&Rules::default(), &known(vec![job(10, JobState::Aborted, None, Some(5))]), at(5), About::Order);
        let wanted = vec![("4711/10".to_owned(), ResponseState::Aborted, true)];
        assert_eq!(states(&told.unwrap()), (ResponseState::Aborted, wanted));
    }
}
