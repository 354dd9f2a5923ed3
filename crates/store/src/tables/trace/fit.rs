//! Texts and numbers that can be, before anything else is looked at.

use crate::trace::{ONE, Step, TraceRefusal, Vessel, amount};

/// The longest number, material, revision, position, operation.
const SHORT: usize = 128;
/// The longest path and reason, in bytes.
const LONG: usize = 2_000;
/// The largest JSON of measures, in bytes.
pub(super) const MEASURES: usize = 64 << 10;
/// The largest certificate, in bytes.
const CERTIFICATE: usize = 8 << 20;

/// Looks at texts and numbers, before anything else does.
pub(super) fn fit(step: &Step) -> Result<(), TraceRefusal> {
    match step {
        Step::Item(item) => {
            text("material", &item.name.material, 1, SHORT)?;
            text("number", &item.name.number, 1, SHORT)?;
            optional("revision", item.revision.as_deref(), SHORT)?;
            optional("place", item.place.as_deref(), LONG)?;
            amount_is("quantity", item.quantity.unwrap_or(0), 0)
        }
        Step::Edge(edge) => {
            text("position", &edge.position, 0, SHORT)?;
            optional("equipment", edge.equipment.as_deref(), LONG)?;
            amount_is("quantity", edge.quantity, 0)
        }
        Step::Remove(removal) => text("position", &removal.position, 0, SHORT),
        Step::Move(moved) => {
            optional("place", moved.from.as_deref(), LONG)?;
            optional("place", moved.to.as_deref(), LONG)?;
            amount_is("quantity", moved.quantity, 1)
        }
        Step::Unpack(unpacking) => amount_is("quantity", unpacking.quantity.unwrap_or(ONE), 1),
        Step::Fill(fill) => {
            vessel(&fill.vessel)?;
            optional("place", fill.from.as_deref(), LONG)?;
            amount_is("quantity", fill.quantity, 1)
        }
        Step::Draw(draw) => {
            vessel(&draw.vessel)?;
            text("position", &draw.position, 0, SHORT)?;
            optional("place", draw.place.as_deref(), LONG)?;
            amount_is("quantity", draw.quantity, 1)
        }
        Step::Empty(emptying) => {
            vessel(&emptying.vessel)?;
            text("reason", &emptying.why, 0, LONG)
        }
        Step::Level(level) => {
            vessel(&level.vessel)?;
            text("reason", &level.why, 0, LONG)?;
            amount_is("level", level.level, 0)
        }
        Step::State(state) => text("reason", &state.why, 0, LONG),
        Step::Pass(pass) => {
            text("equipment", &pass.equipment, 1, LONG)?;
            optional("operation", pass.operation.as_deref(), SHORT)?;
            let bytes = serde_json::to_string(&pass.measures).map_or(usize::MAX, |json| json.len());
            if bytes > MEASURES {
                return Err(unfit("measures", "they are more than 64 KiB"));
            }
            let bytes = serde_json::to_string(&pass.firmware).map_or(usize::MAX, |json| json.len());
            if bytes > MEASURES { Err(unfit("firmware", "it is more than 64 KiB")) } else { Ok(()) }
        }
        Step::Certificate(certificate) => {
            text("number", &certificate.number, 1, SHORT)?;
            text("key", &certificate.key_id, 1, SHORT)?;
            let bytes = certificate.bytes.len();
            if bytes > CERTIFICATE { Err(unfit("certificate", "it is more than 8 MiB")) } else { Ok(()) }
        }
    }
}

fn vessel(vessel: &Vessel) -> Result<(), TraceRefusal> {
    text("vessel", &vessel.path, 1, LONG)
}

fn optional(what: &'static str, value: Option<&str>, longest: usize) -> Result<(), TraceRefusal> {
    value.map_or(Ok(()), |value| text(what, value, 1, longest))
}

fn text(what: &'static str, value: &str, shortest: usize, longest: usize) -> Result<(), TraceRefusal> {
    if value.len() < shortest {
        return Err(unfit(what, "it is empty"));
    }
    if value.len() > longest {
        return Err(TraceRefusal::Unfit { what, reason: format!("it has {} bytes, more than {longest}", value.len()) });
    }
    // PostgreSQL's texts hold no NUL.
    if value.contains('\0') { Err(unfit(what, "it holds the character U+0000")) } else { Ok(()) }
}

fn amount_is(what: &'static str, value: i64, least: i64) -> Result<(), TraceRefusal> {
    if value < least {
        return Err(TraceRefusal::Unfit { what, reason: format!("{} is too little", amount(value)) });
    }
    Ok(())
}

/// A refusal of a text or number.
pub(super) fn unfit(what: &'static str, reason: &str) -> TraceRefusal {
    TraceRefusal::Unfit { what, reason: reason.to_owned() }
}
