//! Prints messages for readers in other languages: `cargo run -p andon-b2mml --example b2mml_sample`.
//!
//! Without arguments: one of each kind that this crate writes on its own account, each followed by a line of just `----`. With `read`: the
//! message on standard input as we write it, or the error.

use andon_b2mml::area::{ApplicationArea, Sender};
use andon_b2mml::performance::{
    EquipmentActual, MaterialActual, OperationsPerformance, OperationsResponse, PersonnelActual, SegmentData,
    SegmentResponse,
};
use andon_b2mml::schedule::{MaterialRequirement, OperationsRequest, OperationsSchedule, SegmentRequirement};
use andon_b2mml::value::{HierarchyLevel, HierarchyScope, Quantity, Value};
use andon_b2mml::verb::{
    Acknowledge, ActionCriteria, Expression, Process, Respond, ResponseCriteria, Show, Sync, Verb,
};
use andon_b2mml::{
    ActionCode, Code, ConfirmationCode, DataArea, DateTime, Decimal, EquipmentLevel, Identifier, MaterialUse, Message,
    Nillable, OneOrMore, OperationsType, Priority, RequestState, ResponseCode, ResponseState, Text, WrongValue, read,
};
use std::io::Read;
use std::process::ExitCode;

fn id(text: &str) -> Result<Identifier, WrongValue> {
    Identifier::new(text)
}

fn head(bod_id: &str) -> Result<ApplicationArea, WrongValue> {
    let sender = Sender {
        logical_id: Some(id("andon")?),
        confirmation_code: Some(ConfirmationCode::OnError),
        ..Sender::default()
    };
    let mut head = ApplicationArea::new(DateTime::parse("2026-11-27T10:01:00Z")?);
    head.sender = Some(sender);
    head.bod_id = Some(id(bod_id)?);
    Ok(head)
}

fn kilograms(amount: &str) -> Result<Vec<Quantity>, WrongValue> {
    Ok(vec![Quantity::of(Decimal::parse(amount)?, Some(Code::new("kg")?))])
}

fn report() -> Result<OperationsPerformance, WrongValue> {
    let used = MaterialActual {
        material_definition_ids: vec![id("honey")?],
        material_lot_ids: vec![id("drum-88")?],
        material_use: Some(MaterialUse::Consumed),
        quantities: kilograms("1249.75")?,
        ..MaterialActual::new(id("m1")?)
    };
    let made = MaterialActual {
        material_definition_ids: vec![id("jar-500")?],
        material_lot_ids: vec![id("L-331")?, id("L-332")?],
        material_use: Some(MaterialUse::Produced),
        quantities: vec![Quantity::of(Decimal::parse("2487")?, None)],
        ..MaterialActual::new(id("m2")?)
    };
    let carrier = MaterialActual {
        material_use: Some(MaterialUse::Other(Some(Code::new("Carrier")?))),
        quantities: vec![Quantity::new(Nillable(None))],
        ..MaterialActual::new(id("m3")?)
    };
    let step = SegmentResponse {
        actual_start_time: Some(DateTime::parse("2026-11-27T05:02:00.25Z")?),
        actual_end_time: Some(DateTime::parse("2026-11-27T09:40:00Z")?),
        segment_requirement_ids: vec![id("4711-10")?],
        segment_state: Some(ResponseState::Completed),
        data: vec![SegmentData {
            values: vec![Value::new(Nillable(Some(Text::new("38.4 °C & <steady>\nall day")?)))],
            ..SegmentData::new(id("temperature")?)
        }],
        personnel: vec![PersonnelActual { person_ids: vec![id("17")?], ..PersonnelActual::new(id("p1")?) }],
        equipment: vec![EquipmentActual { equipment_ids: vec![id("filler")?], ..EquipmentActual::new(id("e1")?) }],
        materials: vec![used, made, carrier],
        ..SegmentResponse::new(id("4711-10-r")?)
    };
    let response = OperationsResponse {
        operations_request_ids: vec![id("4711")?],
        response_state: Some(ResponseState::Completed),
        ..OperationsResponse::new(id("4711-r")?, OneOrMore::one(step))
    };
    let level = HierarchyLevel { equipment_id: id("works")?, level: EquipmentLevel::Site };
    let line = HierarchyLevel { equipment_id: id("line2")?, level: EquipmentLevel::ProductionLine };
    Ok(OperationsPerformance {
        end_time: Some(DateTime::parse("2026-11-27T09:40:00Z")?),
        hierarchy_scope: OneOrMore::new(vec![level, line]).map(HierarchyScope),
        operations_type: Some(OperationsType::Production),
        ..OperationsPerformance::new(id("report-1")?, OneOrMore::one(response))
    })
}

fn schedule() -> Result<OperationsSchedule, WrongValue> {
    let jars = MaterialRequirement {
        material_use: Some(MaterialUse::ByProductProduced),
        quantities: kilograms("0.5")?,
        ..MaterialRequirement::new(id("m1")?)
    };
    let step = SegmentRequirement {
        duration: Some(andon_b2mml::Duration::parse("PT3H30M")?),
        materials: vec![jars],
        ..SegmentRequirement::new(id("4711-10")?, id("fill")?, id("honey-500")?, id("10")?)
    };
    let request = OperationsRequest {
        start_time: Some(DateTime::parse("2026-11-27T06:00:00")?),
        priority: Some(Priority(20)),
        request_state: Some(RequestState::Released),
        ..OperationsRequest::new(id("4711")?, OneOrMore::one(step))
    };
    Ok(OperationsSchedule::new(id("week-48")?, OneOrMore::one(request)))
}

fn messages() -> Result<Vec<Message>, WrongValue> {
    let original = head("bod-0001")?;
    let rejected = ResponseCriteria {
        response_expression: Some(Expression { action: ActionCode::Rejected, about: Some(id("/OperationsSchedule")?) }),
        ..ResponseCriteria::default()
    };
    let added = ActionCriteria {
        action_expressions: vec![Expression { action: ActionCode::Add, about: None }],
        ..ActionCriteria::default()
    };
    let acknowledge =
        Acknowledge { original_application_area: Some(original.clone()), response_criteria: vec![rejected.clone()] };
    let respond = Respond { original_application_area: None, response_criteria: vec![rejected] };
    let show = Show { original_application_area: Some(original.clone()), ..Show::default() };
    let process = Process { acknowledge_code: Some(ResponseCode::OnError), ..Process::default() };
    let areas = [
        DataArea::OperationsPerformance(Verb::Process(process), OneOrMore::one(report()?)),
        DataArea::OperationsPerformance(Verb::Show(show.clone()), OneOrMore::one(report()?)),
        DataArea::OperationsPerformance(Verb::Sync(Sync { action_criteria: vec![added] }), OneOrMore::one(report()?)),
        DataArea::OperationsSchedule(Verb::Acknowledge(acknowledge), OneOrMore::one(schedule()?)),
        DataArea::OperationsSchedule(Verb::Respond(respond), OneOrMore::one(schedule()?)),
        DataArea::OperationsSchedule(Verb::Show(show), OneOrMore::one(schedule()?)),
    ];
    let mut messages = Vec::new();
    for (number, data_area) in areas.into_iter().enumerate() {
        messages.push(Message { application_area: head(&format!("out-{number}"))?, data_area });
    }
    messages.push(Message::confirmation(head("out-c1")?, original.clone(), Ok(())));
    let why = Text::new("OperationsRequest[2]/Priority: \"high\" is no whole number")?;
    messages.push(Message::confirmation(head("out-c2")?, original, Err(why)));
    Ok(messages)
}

fn said() -> Result<String, Box<dyn std::error::Error>> {
    if std::env::args().nth(1).as_deref() == Some("read") {
        let mut bytes = Vec::new();
        std::io::stdin().read_to_end(&mut bytes)?;
        return Ok(read(&bytes)?.message.write());
    }
    Ok(messages()?.iter().map(|message| format!("{}----\n", message.write())).collect())
}

fn main() -> ExitCode {
    match said() {
        Ok(text) => print!("{text}"),
        Err(error) => {
            eprintln!("{error}");
            return ExitCode::FAILURE;
        }
    }
    ExitCode::SUCCESS
}
