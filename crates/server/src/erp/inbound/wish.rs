//! What a request of a schedule asks for, in our words. Pure.

use super::super::config::Rules;
use andon_api::ports::orders::{BY_ERP, OrderWish, is_number};
use andon_b2mml::schedule::{MaterialRequirement, OperationsRequest, OperationsSchedule};
use andon_b2mml::{DateTime, MaterialUse, OperationsType, RequestState};
use andon_mes::quantity::Quantity;
use andon_model::Timestamp;
use andon_model::text::shown;

/// The longest note, in bytes.
const NOTE: usize = 1_000;

/// What is asked for; what was not said is left out.
#[derive(Debug, PartialEq)]
pub struct Wanted {
    pub number: String,
    pub material: Option<(String, Option<String>)>,
    pub quantity: Option<Quantity>,
    pub unit: Option<String>,
    pub due: Option<Timestamp>,
    pub priority: Option<u8>,
    /// Whether it may begin.
    pub released: Option<bool>,
    pub note: Option<String>,
}

impl Wanted {
    /// As a new order.
    /// # Errors
    /// What it needs was not said.
    pub fn order(self) -> Result<OrderWish, String> {
        let missing = "no SegmentRequirement names what is produced: a MaterialRequirement with MaterialUse Produced, MaterialDefinitionID and Quantity";
        let (material, revision) = self.material.ok_or_else(|| missing.to_owned())?;
        let quantity = self.quantity.ok_or_else(|| format!("no quantity of {material} is said"))?;
        Ok(OrderWish {
            number: self.number,
            material,
            revision,
            quantity: quantity.to_f64(),
            due: self.due,
            priority: self.priority.unwrap_or(5),
            note: self.note.unwrap_or_default(),
            release: self.released.unwrap_or(false),
            source: BY_ERP,
        })
    }
}

/// Reads a request. `time` gives a time its zone.
/// # Errors
/// It cannot be meant, and why.
pub fn wanted(
    rules: &Rules,
    schedule: &OperationsSchedule,
    request: &OperationsRequest,
    time: &impl Fn(&str, DateTime) -> Result<Timestamp, String>,
) -> Result<Wanted, String> {
    let number = request.id.as_str();
    if !is_number(number) {
        return Err(
            "its ID is no number of an order: 1 to 64 letters (a-z, A-Z), digits, \"-\", \".\", \"_\" and \"~\", the first a letter or a digit"
                .to_owned(),
        );
    }
    let kind = request.operations_type.as_ref().or(schedule.operations_type.as_ref());
    if let Some(kind) = kind.filter(|kind| !matches!(kind, OperationsType::Production | OperationsType::Mixed)) {
        return Err(format!("its OperationsType is {}; only Production is made here", kind.word()));
    }
    let produced = produced(request);
    let material = produced.and_then(|one| one.material_definition_ids.first()).map(|name| named(name.as_str()));
    let (quantity, unit) = match produced.and_then(|one| one.quantities.first()) {
        None => (None, None),
        Some(said) => {
            let Some(amount) = said.amount.0 else { return Err("the quantity of what is produced is nil".to_owned()) };
            let fits = amount.millionths().filter(|millionths| *millionths > 0);
            let millionths = fits.ok_or_else(|| {
                format!("{amount} is no quantity of an order: more than 0, in millionths at the finest")
            })?;
            let unit = said.unit_of_measure.as_ref().map(ToString::to_string);
            (Some(Quantity::from_millionths(millionths)), unit)
        }
    };
    let due = match request.end_time {
        Some(end) => Some(time("EndTime", end)?),
        None => None,
    };
    let priority = request.priority.map(|priority| mapped(rules, priority.0)).transpose()?;
    let note = request.description.first().map(|words| cut(&shown(words.as_str())));
    Ok(Wanted {
        number: number.to_owned(),
        material,
        quantity,
        unit,
        due,
        priority,
        released: released(request.request_state.as_ref().or(schedule.schedule_state.as_ref()))?,
        note,
    })
}

/// What comes out in the end: the first produced material of the last segment that has one.
fn produced(request: &OperationsRequest) -> Option<&MaterialRequirement> {
    let produces = |one: &&MaterialRequirement| {
        matches!(one.material_use, Some(MaterialUse::Produced | MaterialUse::MaterialProduced))
    };
    request.segment_requirements.iter().rev().find_map(|segment| segment.materials.iter().find(produces))
}

/// `BOLT-8@B` is revision B.
fn named(name: &str) -> (String, Option<String>) {
    match name.split_once('@') {
        Some((name, revision)) if !revision.is_empty() => (name.to_owned(), Some(revision.to_owned())),
        _ => (name.to_owned(), None),
    }
}

/// The ERP's priority on our scale of 1 low to 9 high.
fn mapped(rules: &Rules, priority: i32) -> Result<u8, String> {
    let (low, high) = rules.priorities;
    let (low, high, given) = (i64::from(low), i64::from(high), i64::from(priority));
    if given < low.min(high) || given > low.max(high) {
        return Err(format!(
            "its Priority {given} is not from {low} (low) to {high} (high), as [b2mml] priorities of the settings has it"
        ));
    }
    let span = (high - low).abs().max(1);
    // Rounded to the nearest.
    let step = ((given - low).abs() * 16 + span) / (span * 2);
    u8::try_from(1 + step).map_err(|error| error.to_string())
}

fn released(state: Option<&RequestState>) -> Result<Option<bool>, String> {
    match state {
        None => Ok(None),
        Some(RequestState::Released | RequestState::Ready) => Ok(Some(true)),
        Some(RequestState::Forecast | RequestState::Waiting) => Ok(Some(false)),
        Some(other) => Err(format!("its RequestState is {}; an order comes as Forecast or Released", other.word())),
    }
}

fn cut(words: &str) -> String {
    let mut end = words.len().min(NOTE);
    while !words.is_char_boundary(end) {
        end -= 1;
    }
    words[..end].trim().to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use andon_b2mml::{DataArea, read};

    fn of(inside: &str, materials: &str) -> Result<Wanted, String> {
        let text = format!(
            "<ProcessOperationsSchedule xmlns=\"http://www.mesa.org/xml/B2MML\" releaseID=\"7.01\"><ApplicationArea>\
             <CreationDateTime>2026-11-27T06:00:00Z</CreationDateTime></ApplicationArea><DataArea><Process/><OperationsSchedule><ID>s</ID>\
             <OperationsRequest>{inside}<SegmentRequirement><ID>10</ID><ProcessSegmentID>p</ProcessSegmentID><OperationsDefinitionID>d</OperationsDefinitionID>\
             <OperationsSegmentID>10</OperationsSegmentID>{materials}</SegmentRequirement></OperationsRequest></OperationsSchedule></DataArea></ProcessOperationsSchedule>"
        );
        let message = read(text.as_bytes()).map_err(|error| error.to_string())?.message;
        let DataArea::OperationsSchedule(_, schedules) = message.data_area else {
            return Err("no schedule".to_owned());
        };
        let time = |what: &str, time: DateTime| time.timestamp().ok_or_else(|| format!("{what} has no zone"));
        wanted(&Rules { priorities: (999, 1), ..Rules::default() }, &schedules[0], &schedules[0].requests[0], &time)
    }

    fn made(material: &str, quantity: &str) -> String {
        format!(
            "<MaterialRequirement><ID>c</ID><MaterialDefinitionID>STEEL</MaterialDefinitionID><MaterialUse>Consumed</MaterialUse></MaterialRequirement>\
             <MaterialRequirement><ID>m</ID><MaterialDefinitionID>{material}</MaterialDefinitionID><MaterialUse>Produced</MaterialUse>\
             <Quantity><QuantityString>{quantity}</QuantityString><UnitOfMeasure>PCE</UnitOfMeasure></Quantity></MaterialRequirement>"
        )
    }

    #[test]
    fn a_request_is_an_order() {
        let inside = "<ID>4711</ID><Description>by truck</Description><EndTime>2026-12-01T06:00:00+01:00</EndTime><Priority>1</Priority>\
                      <RequestState>Released</RequestState>";
        let wish = of(inside, &made("BOLT-8@B", "12.5")).and_then(Wanted::order).expect("an order");
        assert_eq!((&*wish.number, &*wish.material, wish.revision.as_deref()), ("4711", "BOLT-8", Some("B")));
        assert_eq!((wish.quantity, wish.priority, wish.release, &*wish.note), (12.5, 9, true, "by truck"));
        assert_eq!(wish.due, Timestamp::parse_rfc3339("2026-12-01T05:00:00Z"));
        let wish = of("<ID>4712</ID>", &made("BOLT-8", "1")).and_then(Wanted::order).expect("an order");
        assert_eq!((wish.priority, wish.release, wish.due), (5, false, None));
    }

    #[test]
    fn what_cannot_be_is_refused_and_says_why() {
        for (inside, materials, why) in [
            ("<ID>47/11</ID>", made("B", "1"), "is no number of an order"),
            ("<ID>1</ID>", made("B", "-5"), "-5 is no quantity"),
            ("<ID>1</ID>", made("B", "0"), "0 is no quantity"),
            ("<ID>1</ID>", made("B", "0.0000001"), "is no quantity"),
            ("<ID>1</ID>", made("B", "99999999999999999999"), "is no quantity"),
            ("<ID>1</ID>", made("B", "ten"), "\"ten\""),
            ("<ID>1</ID>", String::new(), "names what is produced"),
            ("<ID>1</ID><Priority>1000</Priority>", made("B", "1"), "Priority 1000"),
            ("<ID>1</ID><EndTime>2026-12-01T06:00:00</EndTime>", made("B", "1"), "EndTime has no zone"),
            ("<ID>1</ID><EndTime>soon</EndTime>", made("B", "1"), "soon"),
            ("<ID>1</ID><RequestState>Completed</RequestState>", made("B", "1"), "RequestState is Completed"),
            ("<ID>1</ID><OperationsType>Maintenance</OperationsType>", made("B", "1"), "OperationsType is Maintenance"),
        ] {
            let error = of(inside, &materials).and_then(Wanted::order).expect_err(inside);
            assert!(error.contains(why), "{inside}: {error}");
        }
    }

    #[test]
    fn priorities_keep_their_order_whichever_end_is_urgent() {
        let with = |priorities| Rules { priorities, ..Rules::default() };
        let all = |priorities, given: &[i32]| {
            given.iter().map(|one| mapped(&with(priorities), *one)).collect::<Result<Vec<_>, _>>()
        };
        assert_eq!(all((1, 9), &[1, 2, 5, 9]), Ok(vec![1, 2, 5, 9]));
        assert_eq!(all((9, 1), &[9, 5, 1]), Ok(vec![1, 5, 9]));
        assert_eq!(all((999, 1), &[999, 500, 1]), Ok(vec![1, 5, 9]));
        assert_eq!(all((0, 1), &[0, 1]), Ok(vec![1, 9]));
        assert_eq!(all((i32::MIN, i32::MAX), &[i32::MIN, i32::MAX]), Ok(vec![1, 9]));
        assert!(mapped(&with((1, 9)), 0).is_err());
    }
}
