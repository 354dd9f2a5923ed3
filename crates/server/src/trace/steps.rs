//! What stations said, as steps of the store, and what people are to hear of it.

use super::vessel::vessel_in;
use super::{Traceability, Unkept};
use andon_bus::ids::new_id;
use andon_mes::master::{MasterData, Material, PartTag, Station, Tracked};
use andon_mes::pass::{Loaded, Pass, Remark, item_id};
use andon_mes::quantity::Quantity;
use andon_model::access::Principal;
use andon_model::event::{Event, TraceChange, What};
use andon_model::log::Seq;
use andon_model::plant::{MasterDef, MasterKind};
use andon_model::{Clock, Timestamp};
use andon_store::StoreError;
use andon_store::orders::{OrderRepository, SpanFilter};
use andon_store::trace::{
    Disposition, Finding, ItemKind, ItemName, ItemRef, NewDraw, NewEdge, NewItem, NewPass, ONE, Program, STEPS_MAX,
    Step, Told, TraceRepository,
};
use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use uuid::Uuid;

/// What a unit is of which nobody knows the product.
pub(super) const UNKNOWN: &str = "unknown";
/// The longest position in a unit, in bytes.
const POSITION: usize = 128;

/// The job that stood on a station when a unit passed it.
#[derive(Clone, Debug)]
pub(super) struct JobHere {
    pub(super) id: Uuid,
    pub(super) operation: String,
    pub(super) material: String,
    pub(super) revision: Option<String>,
}

/// A step, where it is about, and what it is about in words.
struct Placed {
    step: Step,
    station: String,
    shown: String,
}

impl Traceability {
    /// Records what was read, up to a frame of the lane.
    pub(super) async fn record(&self, unkept: &Unkept, upto: Seq) -> Result<(), StoreError> {
        let (master, stations, heard) = {
            let state = self.state();
            let heard = unkept.changed.iter().filter_map(|path| {
                let heard = state.follower.heard(path)?;
                Some((path.clone(), serde_json::to_string(heard).ok()?))
            });
            let heard: Vec<_> = heard.collect();
            (state.master.clone(), state.follower.stations().clone(), heard)
        };
        let mut steps = self.steps_of(&master, &stations, &unkept.passes).await?;
        // Too many for one transaction: said again, the first ones change nothing, so they may go before.
        while steps.len() > STEPS_MAX {
            let rest = steps.split_off(STEPS_MAX);
            self.apply(std::mem::replace(&mut steps, rest), None, Vec::new(), Vec::new()).await?;
        }
        let events = self.remarks(unkept);
        self.apply(steps, Some(upto), heard, events).await
    }

    async fn apply(
        &self,
        placed: Vec<Placed>,
        upto: Option<Seq>,
        stations: Vec<(String, String)>,
        events: Vec<Event>,
    ) -> Result<(), StoreError> {
        let (mut steps, mut places) = (Vec::with_capacity(placed.len()), Vec::with_capacity(placed.len()));
        for Placed { step, station, shown } in placed {
            steps.push(step);
            places.push((station, shown));
        }
        let clock = self.parts.clock.clone();
        let tell = move |place: usize, found: &Finding| {
            let (station, shown) = places.get(place).cloned().unwrap_or_default();
            tells_of(found, remedy(&found.what), &*clock, station, Principal::SYSTEM, shown)
        };
        let told = Told { steps, upto, stations, events, tell: Some(Arc::new(tell)) };
        self.parts.store.trace_apply(told).await?;
        Ok(())
    }

    /// Remarks as events.
    fn remarks(&self, unkept: &Unkept) -> Vec<Event> {
        let event = |station: &str, action: &str, shown: String, detail: String| Event {
            id: new_id(&*self.parts.clock),
            at: self.parts.clock.now(),
            source_at: None,
            path: station.to_owned(),
            by: Principal::SYSTEM,
            what: What::Trace(TraceChange {
                action: action.to_owned(),
                item: Uuid::nil(),
                shown,
                detail: Some(detail),
            }),
        };
        let one = |(station, remark): &(String, Remark)| match remark {
            Remark::NoNumber { tag, at, begin } => event(
                station,
                "no_number",
                tag.to_string(),
                format!(
                    "at {at} it said what no serial or lot number is: {begin:?}; look what the scanner or the controller writes there"
                ),
            ),
            Remark::NoFirmware { tag, at, begin } => event(
                station,
                "no_firmware",
                tag.to_string(),
                format!(
                    "at {at} it said {begin:?}, which is no version of at most 64 characters, or no SHA-256 of 64 hexadecimal digits; \
                     it is left out: look what the programming station writes there"
                ),
            ),
            Remark::Otherwise { serial, at, said } => event(
                station,
                "otherwise",
                format!("unit {serial}"),
                format!(
                    "late, and other than what is recorded of its pass at {at}: {said}; what is recorded stays. The station should say the serial number last, or all at once"
                ),
            ),
            Remark::TooLate { tag, at } => event(
                station,
                "too_late",
                tag.to_string(),
                format!(
                    "a reading of {at} came so late that it is not known any more which unit it belongs to; look at the clock of the station"
                ),
            ),
        };
        let mut events: Vec<Event> = unkept.remarks.iter().map(one).collect();
        if unkept.more_remarks > 0 {
            let detail = format!("{} more remarks about stations were left out", unkept.more_remarks);
            events.push(event("", "remarks", "stations".to_owned(), detail));
        }
        events
    }

    async fn steps_of(
        &self,
        master: &MasterData,
        stations: &BTreeMap<String, Station>,
        passes: &[Pass],
    ) -> Result<Vec<Placed>, StoreError> {
        let serials: BTreeSet<String> = passes.iter().map(|pass| pass.serial.clone()).collect();
        // What is known with each number: the material and its revision.
        let mut known: HashMap<String, Vec<(String, Option<String>)>> = HashMap::new();
        if !serials.is_empty() {
            for item in self.parts.store.trace_numbered(serials.into_iter().collect()).await? {
                known.entry(item.name.number).or_default().push((item.name.material, item.revision));
            }
        }
        let mut steps = Vec::new();
        for pass in passes {
            let job = self.job_at(&pass.station, pass.at).await?;
            let made_here = made_here(master, &pass.station);
            let of_serial = known.entry(pass.serial.clone()).or_default();
            let said = pass.product.as_deref().map(|product| MasterDef::split(MasterKind::Material, product));
            let Some(station) = stations.get(&pass.station) else { continue };
            let wanted = said.map(|(name, _)| name).or(job.as_ref().map(|job| job.material.as_str()));
            let material = match said {
                // Where units are made, one of another product with the same number is another unit.
                Some((name, _)) if station.first => name.to_owned(),
                _ => material_of(of_serial, wanted, &made_here),
            };
            // A revision that neither the station nor the job says is the one in force.
            let revision = said.filter(|(name, _)| *name == material).and_then(|(_, revision)| revision);
            let of_job = job.as_ref().filter(|job| job.material == material).and_then(|job| job.revision.as_deref());
            let in_force = master.material(&material, None).and_then(|material| material.revision.as_deref());
            let there = of_serial.iter().find(|(known, _)| *known == material).map(|(_, revision)| revision.clone());
            let is_new = there.is_none();
            let revision = there.unwrap_or_else(|| revision.or(of_job).or(in_force).map(str::to_owned));
            if is_new {
                of_serial.push((material.clone(), revision.clone()));
            }
            let unit = ItemName { kind: ItemKind::Unit, material, number: pass.serial.clone() };
            of_pass(master, station, pass, job.as_ref(), &Passing { name: unit, revision, is_new }, &mut steps);
        }
        Ok(steps)
    }

    /// The job that stood on a station at a time; `None`: none did.
    pub(super) async fn job_at(&self, station: &str, at: Timestamp) -> Result<Option<JobHere>, StoreError> {
        let after = Timestamp::from_micros(at.micros().saturating_add(1));
        let filter = SpanFilter { unit: Some(station.to_owned()), limit: 10, ..SpanFilter::of(at, after) };
        let spans = self.parts.store.job_spans(filter).await?;
        let Some(span) = spans.iter().find(|span| span.from <= at && span.to.is_none_or(|to| to > at)) else {
            return Ok(None);
        };
        let Some(stored) = self.parts.store.order_of_job(span.job).await? else { return Ok(None) };
        let Some(job) = stored.jobs.iter().find(|job| job.id == span.job) else { return Ok(None) };
        Ok(Some(JobHere {
            id: job.id,
            operation: job.operation.clone(),
            material: stored.order.material.clone(),
            revision: stored.order.revision.clone(),
        }))
    }
}

/// The materials with serial numbers that a station works on, by the operations of the master data.
fn made_here(master: &MasterData, station: &str) -> Vec<String> {
    let is_here = |material: &&Material| {
        material.tracked == Tracked::Serial
            && material.operations.iter().any(|operation| operation.equipment.iter().any(|path| path == station))
    };
    let names: BTreeSet<&str> =
        master.materials.values().filter(is_here).map(|material| material.name.as_str()).collect();
    names.into_iter().map(str::to_owned).collect()
}

/// What a unit with this serial number is: one that there is, before all of what is wanted, then of what is made here; a new one is
/// what is wanted, or what alone is made here. Wanted is what the station says, else what the job makes.
fn material_of(known: &[(String, Option<String>)], wanted: Option<&str>, made_here: &[String]) -> String {
    let is_made = |material: &&String| made_here.contains(*material) || *material == UNKNOWN || made_here.is_empty();
    let mut materials = known.iter().map(|(material, _)| material);
    let there =
        materials.clone().find(|material| Some(material.as_str()) == wanted).or_else(|| materials.find(is_made));
    if let Some(there) = there {
        return there.clone();
    }
    match (wanted, made_here) {
        (Some(wanted), _) => wanted.to_owned(),
        (None, [only]) => only.clone(),
        (None, _) => UNKNOWN.to_owned(),
    }
}

/// The unit of a pass.
struct Passing {
    name: ItemName,
    revision: Option<String>,
    /// It is recorded for the first time.
    is_new: bool,
}

/// The steps of a pass.
fn of_pass(
    master: &MasterData,
    station: &Station,
    pass: &Pass,
    job: Option<&JobHere>,
    passing: &Passing,
    steps: &mut Vec<Placed>,
) {
    let unit = &passing.name;
    let shown = format!("{} {}", unit.material, unit.number);
    let mut put = |step: Step| steps.push(Placed { step, station: pass.station.clone(), shown: shown.clone() });
    // One that was there before it was read here keeps all that is known of it.
    if passing.is_new {
        let unseen = format!(
            "{unit} passed {}, and no first station told of it; it is recorded as new. Look why the first station said nothing, \
             or whether the serial number was read right",
            pass.station
        );
        put(Step::Item(NewItem {
            revision: passing.revision.clone(),
            told_if_new: (!station.first).then_some(unseen),
            job: job.map(|job| job.id),
            ..item(unit.clone(), pass.at)
        }));
    }
    for (part, number) in &pass.parts {
        let (material, revision) = MasterDef::split(MasterKind::Material, &part.material);
        let kind = if part.by == Tracked::Serial { ItemKind::Unit } else { ItemKind::Lot };
        let name = ItemName { kind, material: material.to_owned(), number: number.clone() };
        let is_bought = master.material(material, revision).is_none_or(|material| material.operations.is_empty());
        // Bought parts with a serial number of their own come without a list of them; what is made here and lots are to be known.
        let unseen = format!(
            "{name} went into {unit}, and nobody has told of it before; it is recorded without a quantity. Receive it, \
             or look whether its label was read right"
        );
        let told_if_new = (kind == ItemKind::Lot || !is_bought).then_some(unseen);
        put(Step::Item(NewItem { told_if_new, ..item(name.clone(), pass.at) }));
        put(Step::Edge(NewEdge {
            from: ItemRef::Name(name),
            to: ItemRef::Name(unit.clone()),
            quantity: quantity(master, passing, part).millionths(),
            position: position(part),
            at: pass.at,
            job: job.map(|job| job.id),
            equipment: Some(pass.station.clone()),
            by: None,
            adds: false,
            even_so: true,
            replaces: true,
        }));
    }
    for draw in &station.draws {
        let Some(vessel) = vessel_in(master, &draw.vessel) else { continue };
        put(Step::Draw(NewDraw {
            vessel,
            quantity: draw.quantity.millionths(),
            into: ItemRef::Name(unit.clone()),
            position: position_of_vessel(&draw.vessel),
            // What is drawn here counts here, whatever other stations draw of the same vessel.
            place: Some(pass.station.clone()),
            at: pass.at,
            now: false,
            job: job.map(|job| job.id),
            by: None,
            spare: item_id(pass.at, &["draw", &draw.vessel, &unit.material, &unit.number]),
            even_so: true,
            once: true,
            makes: false,
        }));
    }
    put(Step::Pass(NewPass {
        unit: ItemRef::Name(unit.clone()),
        equipment: pass.station.clone(),
        at: pass.at,
        job: job.map(|job| job.id),
        operation: job.map(|job| job.operation.clone()),
        passed: pass.passed,
        measures: pass.measures.clone(),
        firmware: pass.firmware.iter().map(program).collect(),
        last: station.last,
    }));
}

fn program(loaded: &Loaded) -> (String, Program) {
    (loaded.component.clone(), Program { version: loaded.version.clone(), sha256: loaded.sha256.clone() })
}

fn item(name: ItemName, at: Timestamp) -> NewItem {
    let id = item_id(at, &[name.kind.word(), &name.material, &name.number]);
    NewItem {
        id,
        name,
        revision: None,
        quantity: None,
        state: Disposition::Released,
        place: None,
        at,
        job: None,
        by: None,
        told_if_new: None,
    }
}

/// How much of a part goes in: as the station says, as the bill of the unit's own revision says, or one.
fn quantity(master: &MasterData, unit: &Passing, part: &PartTag) -> Quantity {
    let one = Quantity::from_millionths(ONE);
    if part.by == Tracked::Serial {
        return one;
    }
    let bill = master
        .material(&unit.name.material, unit.revision.as_deref())
        .map(|material| material.bill.as_slice())
        .unwrap_or_default();
    let name = |material: &str| MasterDef::split(MasterKind::Material, material).0.to_owned();
    let line = bill.iter().find(|line| name(&line.material) == name(&part.material));
    part.quantity.or(line.map(|line| line.quantity)).unwrap_or(one)
}

/// Where a part goes: the name of the tag that says it, for a station has a tag for each position.
fn position(part: &PartTag) -> String {
    let path = part.tag.as_str();
    short(path.rsplit('/').next().unwrap_or(path))
}

/// Where what is drawn of a vessel goes: its whole path, for other vessels and tags of parts end in the same word. Of a long one the end.
fn position_of_vessel(path: &str) -> String {
    let least = path.len().saturating_sub(POSITION);
    let begin = (least..=path.len()).find(|begin| path.is_char_boundary(*begin)).unwrap_or(path.len());
    path[begin..].to_owned()
}

/// As much of a name as fits.
fn short(name: &str) -> String {
    let end = (0..=POSITION.min(name.len())).rev().find(|end| name.is_char_boundary(*end)).unwrap_or(0);
    name[..end].to_owned()
}

/// The event that tells of a finding, and what is to be done about it.
pub(super) fn tells_of(
    found: &Finding,
    remedy: &str,
    clock: &dyn Clock,
    path: String,
    by: Principal,
    shown: String,
) -> Event {
    let what = TraceChange {
        action: found.what.clone(),
        item: found.item.unwrap_or_default(),
        shown,
        detail: Some(format!("{}{remedy}", found.text)),
    };
    Event { id: new_id(clock), at: clock.now(), source_at: Some(found.at), path, by, what: What::Trace(what) }
}

/// What is to be done about a finding.
pub(super) fn remedy(what: &str) -> &'static str {
    match what {
        "overdrawn" => "; count what is left of it, and look whether another lot was used",
        "not_released" => "; it is built in all the same: stop the unit at the next station, and decide about the lot",
        "elsewhere" => "; it is recorded as moved: one of the two was scanned wrongly, look which",
        "refused" => "; it is not recorded, and stays in the list of findings",
        _ => "",
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_unit_is_comes_from_what_there_is_then_from_what_is_said_then_from_what_is_made_here() {
        let names = |names: &[&str]| names.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>();
        let there = |known: &[String]| known.iter().map(|name| (name.clone(), None)).collect::<Vec<_>>();
        let both = names(&["HP-12", "HP-8"]);
        for (known, job, made, material) in [
            (names(&[]), Some("HP-8"), both.clone(), "HP-8"),
            (names(&["HP-8"]), Some("HP-12"), both.clone(), "HP-8"),
            (names(&["HP-12", "HP-8"]), Some("HP-8"), both.clone(), "HP-8"),
            (names(&["CP-290"]), Some("HP-8"), both.clone(), "HP-8"),
            (names(&[]), None, names(&["HP-8"]), "HP-8"),
            (names(&[]), None, both.clone(), UNKNOWN),
            (names(&[UNKNOWN]), None, both.clone(), UNKNOWN),
            (names(&["X"]), None, names(&[]), "X"),
            (names(&[]), None, names(&[]), UNKNOWN),
        ] {
            assert_eq!(material_of(&there(&known), job, &made), material, "{known:?} {job:?} {made:?}");
        }
    }
}
