//! Reports that are kept: made of the node's own answers, signed, never changed.
//!
//! [`sections`] and [`order`] say what a report tells, [`alarms`] counts what was raised, [`schedule`] makes reports by itself when a shift or a
//! day is over, [`files`] writes them out. What is signed and how it is verified stands in `andon-mes` (`report`), what is kept in
//! `andon-store` (`report`).
//!
//! # Invariants
//! - A report holds ids of people and no names: what is signed cannot be erased, and a person can be.
//! - One report is made at a time ([`Reports::turn`]). It is there when its transaction is on disk, and never changed afterwards.
//! - Of a schedule and a window there is one report, over kills and restarts.
//! - Each section is bounded, so that a report is always within the bounds of its file.

mod alarms;
mod files;
mod order;
mod schedule;
mod sections;

use crate::maintenance::Maintenance;
use crate::mes::Manufacturing;
use crate::notes::Notes;
use crate::shift::{Shift, key_of};
use crate::verify::is_signed_by;
use andon_access::Accounts;
use andon_access::signing::SigningKey;
use andon_alarms::Engine;
use andon_api::ports::NotDone;
use andon_api::ports::reports::{
    ReportFile, ReportPlace, ReportScheduleView, ReportSubject, ReportView, Reported, ReportsPage, SignatureView,
    WholeReport,
};
use andon_bus::Bus;
use andon_bus::ids::new_id;
use andon_mes::calendar::Calendar;
use andon_mes::certificate::{ALGORITHM, Hex, PublicKey, Signature};
use andon_mes::report;
use andon_model::access::Principal;
use andon_model::event::{Event, Note, What};
use andon_model::log::{Lane, Log};
use andon_model::{Clock, Timestamp};
use andon_store::logbook::Key;
use andon_store::report::{NewReport, ReportFilter, ReportKept, ReportRepository, ReportRow, StoredReport};
use andon_store::timeline::READER;
use andon_store::{OutboxRepository as _, Store, StoreError};
use serde_json::{Map, Value, json};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use uuid::Uuid;

/// So far back the shift that was last is looked for.
const SHIFTS_BACK: Duration = Duration::from_secs(14 * 86_400);
/// What is still being read is waited for so long, and looked for so often.
const READ_WITHIN: Duration = Duration::from_secs(3);
const LOOK_EVERY: Duration = Duration::from_millis(20);
/// Members of a report that name a person.
const PEOPLE: [&str; 3] = ["by", "confirmed_by", "created_by"];

/// What it stands on.
pub struct Parts {
    /// The records.
    pub store: Store,
    /// What was recorded, of which the timeline is made.
    pub log: Arc<dyn Log>,
    /// Machines, calendars, orders.
    pub mes: Arc<Manufacturing>,
    /// The logbook and who is signed on.
    pub shift: Arc<Shift>,
    /// Maintenance.
    pub maintenance: Arc<Maintenance>,
    /// Alarms.
    pub alarms: Arc<Engine>,
    /// People.
    pub accounts: Arc<Accounts>,
    /// The live plant.
    pub bus: Arc<Bus>,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// What the node says about itself.
    pub notes: Notes,
    /// What signs: the key of the birth certificates.
    pub key: SigningKey,
    /// The node's own id.
    pub node: Uuid,
    /// Below it the files of schedules are written.
    pub folder: PathBuf,
}

/// Kept reports.
pub struct Reports {
    parts: Parts,
    /// Whoever makes a report waits here for its turn.
    turn: tokio::sync::Mutex<()>,
    memory: Mutex<schedule::Memory>,
}

/// What a report is of.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Of {
    kind: &'static str,
    path: String,
    /// The order's number; empty: of none.
    order: String,
    shift: Option<String>,
    from: Timestamp,
    to: Timestamp,
}

/// Who wants it.
enum For {
    Person(Uuid, Key),
    Schedule { name: String, folder: Option<String> },
}

impl Reports {
    /// Over these parts.
    pub fn new(parts: Parts) -> Arc<Self> {
        Arc::new(Self { parts, turn: tokio::sync::Mutex::default(), memory: Mutex::default() })
    }

    fn now(&self) -> Timestamp {
        self.parts.clock.now()
    }

    /// Now, to the millisecond, as a report tells it: what it is computed of and what it says of that are the same.
    fn whole_ms(&self) -> Timestamp {
        Timestamp::from_millis(self.now().millis())
    }

    /// Whether what machines said until a time is on the floor, and what is recorded by now is in the timeline; that is waited for a moment.
    async fn is_read(&self, until: Timestamp) -> Result<bool, StoreError> {
        let recorded = self.parts.log.durable_seq(Lane::Records);
        let read = async {
            loop {
                let applied = self.parts.store.applied(READER, Lane::Records).await?;
                // A timeline that is beyond the log is being made again.
                let is_filled = (recorded..=self.parts.log.durable_seq(Lane::Records)).contains(&applied);
                if is_filled && self.parts.mes.heard_until() >= until {
                    return Ok(true);
                }
                tokio::time::sleep(LOOK_EVERY).await;
            }
        };
        tokio::time::timeout(READ_WITHIN, read).await.unwrap_or(Ok(false))
    }

    fn public_key(&self) -> PublicKey {
        PublicKey(Hex(self.parts.key.public()))
    }

    async fn make_one(&self, key: Uuid, subject: ReportSubject, by: Principal) -> Result<(bool, ReportView), NotDone> {
        let _turn = self.turn.lock().await;
        let (person, asked) = (by.id.to_string(), asked(&subject));
        let parts: Vec<&str> = ["report", &person].into_iter().chain(asked.iter().map(String::as_str)).collect();
        let key = key_of(key, &parts);
        // Before anything is computed; the shift that was on then may be over.
        if let Some((asked, row)) = self.parts.store.report_of_key(key.key).await? {
            return if asked == key.content { Ok((false, self.view(row))) } else { Err(key_used()) };
        }
        let now = self.whole_ms();
        let of = self.meant(subject, now).await?;
        if !self.is_read(of.to.min(now)).await? {
            return Err(NotDone::Failed("records are still being read; try again in a moment".to_owned()));
        }
        match self.keep(of, For::Person(by.id, key), &by, now).await? {
            ReportKept::Now(row) => Ok((true, self.view(row))),
            ReportKept::Before(row) => Ok((false, self.view(row))),
            ReportKept::KeyUsed => Err(key_used()),
        }
    }

    /// What is meant, with its window.
    async fn meant(&self, subject: ReportSubject, now: Timestamp) -> Result<Of, NotDone> {
        match subject {
            ReportSubject::Order(number) => self.of_order(number, now).await,
            ReportSubject::Day(path, window) => {
                let day = || day_at(&self.calendar_of(&path), now);
                let (from, to) = window.or_else(day).ok_or_else(|| {
                    NotDone::Failed("the calendar has no day of now; look at the node's clock".to_owned())
                })?;
                Ok(Of { kind: "day", path, order: String::new(), shift: None, from, to })
            }
            ReportSubject::Shift(path, window) => {
                let master = self.parts.mes.master_data();
                let (looked_from, looked_to) = window.unwrap_or((now.minus(SHIFTS_BACK), now));
                let shifts = master
                    .calendar_at(&path)
                    .map(|calendar| calendar.shifts(looked_from, looked_to))
                    .unwrap_or_default();
                let shift = match window {
                    Some((from, to)) => shifts.into_iter().find(|shift| (shift.from, shift.to) == (from, to)),
                    None => Some(shifts.into_iter().next_back().ok_or_else(|| no_shift(&path))?),
                };
                let (from, to) = window
                    .or_else(|| shift.as_ref().map(|shift| (shift.from, shift.to)))
                    .ok_or_else(|| no_shift(&path))?;
                let shift = shift.map(|shift| shift.name.to_owned());
                Ok(Of { kind: "shift", path, order: String::new(), shift, from, to })
            }
        }
    }

    /// The calendar of a place; where there is none, days are those of UTC.
    fn calendar_of(&self, path: &str) -> Calendar {
        let master = self.parts.mes.master_data();
        master.calendar_at(path).cloned().unwrap_or_else(in_utc)
    }

    /// Makes a report, signs it and keeps it. In turn. `made_at` is of whole milliseconds.
    async fn keep(&self, of: Of, whom: For, by: &Principal, made_at: Timestamp) -> Result<ReportKept, NotDone> {
        let store = &self.parts.store;
        let window = of.order.is_empty().then_some((of.from, of.to));
        // Two schedules may tell of the same; a person's is of no schedule, and takes the place of any.
        let schedule = match &whom {
            For::Person(..) => None,
            For::Schedule { name, .. } => Some(name.as_str()),
        };
        let replaces = store.report_of_window(of.kind, &of.path, &of.order, window, schedule).await?.map(|row| row.id);
        let id = new_id(&*self.parts.clock);
        let sections = if of.order.is_empty() {
            self.window_sections(&of, made_at).await?
        } else {
            self.order_sections(&of.order, made_at).await?
        };
        let text = format!("{} was made and signed: report {id}", of_words(&of));
        let (person, schedule, key, folder) = match whom {
            For::Person(person, key) => (Some(person), None, Some(key), None),
            For::Schedule { name, folder } => (None, Some(name), None, folder),
        };
        let row = ReportRow {
            id,
            kind: of.kind.to_owned(),
            path: of.path,
            subject: of.order,
            shift: of.shift,
            from: of.from,
            to: of.to,
            made_at,
            by: person,
            schedule,
            replaces,
            replaced_by: None,
            size: 0,
        };
        let (content, signature) = self.signed(self.content(&row, sections)).await?;
        let event = Event {
            id: new_id(&*self.parts.clock),
            at: made_at,
            source_at: None,
            path: row.path.clone(),
            by: by.clone(),
            what: What::Note(Note { text, until: None }),
        };
        let key_id = self.public_key().to_string();
        Ok(store.report_keep(NewReport { row, key, content, signature, key_id, folder, event }).await?)
    }

    /// What is signed.
    fn content(&self, row: &ReportRow, sections: Map<String, Value>) -> Value {
        json!({
            "format": report::FORMAT,
            "version": report::VERSION,
            "id": row.id,
            "kind": row.kind,
            "path": row.path,
            "title": self.title(&row.path),
            "order": (!row.subject.is_empty()).then_some(&row.subject),
            "shift": row.shift,
            "from_ms": row.from.millis(),
            "to_ms": row.to.millis(),
            "goes_on": row.subject.is_empty() && row.to > row.made_at,
            "time_zone": self.calendar_of(&row.path).zone(),
            "made_ms": row.made_at.millis(),
            "by": row.by,
            "schedule": row.schedule,
            "replaces": row.replaces,
            "node": {
                "id": self.parts.node,
                "key_id": self.public_key().to_string(),
                "program": concat!("andon ", env!("CARGO_PKG_VERSION")),
            },
            "editions": { "kpis": crate::mes::EDITION },
            "sections": sections,
        })
    }

    /// The canonical form of a report and its signature. Off the threads that serve: it may have megabytes.
    async fn signed(&self, content: Value) -> Result<(Vec<u8>, [u8; 64]), NotDone> {
        let failed = |error: &dyn std::error::Error| NotDone::Failed(andon_model::error::causes(error));
        let made = tokio::task::spawn_blocking(move || report::canonical(&content)).await;
        let content = made.map_err(|error| failed(&error))?.map_err(|error| failed(&error))?;
        let signature = self.parts.key.sign(&content).map_err(|error| failed(&error))?;
        Ok((content, signature))
    }

    /// What people call a place.
    fn title(&self, path: &str) -> String {
        let view = self.parts.bus.plant();
        let found = view.plant.equipment.iter().find(|equipment| equipment.path.as_str() == path);
        found.map_or_else(|| path.to_owned(), |equipment| equipment.title.clone())
    }

    fn view(&self, row: ReportRow) -> ReportView {
        ReportView {
            id: row.id,
            kind: row.kind,
            path: row.path,
            order: Some(row.subject).filter(|order| !order.is_empty()),
            shift: row.shift,
            from_ms: row.from.millis(),
            to_ms: row.to.millis(),
            made_ms: row.made_at.millis(),
            by: row.by,
            by_name: row.by.and_then(|by| self.parts.accounts.name_of(by)),
            schedule: row.schedule,
            replaces: row.replaces,
            replaced_by: row.replaced_by,
            bytes: row.size,
        }
    }

    async fn stored(&self, id: Uuid) -> Result<StoredReport, NotDone> {
        self.parts.store.report(id).await?.ok_or_else(|| NotDone::Unknown("this report".to_owned()))
    }

    async fn stored_row(&self, id: Uuid) -> Result<ReportRow, NotDone> {
        self.parts.store.report_row(id).await?.ok_or_else(|| NotDone::Unknown("this report".to_owned()))
    }

    async fn page(&self, mut filter: ReportFilter) -> Result<ReportsPage, NotDone> {
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        // One more tells whether there is another page.
        filter.limit += 1;
        let mut rows = self.parts.store.reports(filter).await?;
        let more = rows.len() > limit;
        rows.truncate(limit);
        let next = rows.last().filter(|_| more).map(|row| row.id);
        Ok(ReportsPage { reports: rows.into_iter().map(|row| self.view(row)).collect(), next })
    }

    async fn whole(&self, id: Uuid) -> Result<WholeReport, NotDone> {
        let stored = self.stored(id).await?;
        let (row, key_id, own) = (stored.row.clone(), stored.key_id.clone(), self.public_key());
        let signature: Signature = Hex(stored.signature);
        // Off the threads that serve: it may have megabytes.
        let look = move || {
            let verified = is_verified(&stored, &own);
            serde_json::from_slice(&stored.content).map(|report: Value| (report, verified))
        };
        let looked = tokio::task::spawn_blocking(look).await;
        let looked = looked.map_err(|fault| NotDone::Failed(fault.to_string()))?;
        let (report, verified) =
            looked.map_err(|error| NotDone::Failed(format!("report {id} cannot be read: {error}")))?;
        let superseded = self.is_superseded(&row, &report).await;
        let mut people = BTreeMap::new();
        self.name_people(&report, &mut people);
        let signature = SignatureView { alg: ALGORITHM.to_owned(), key_id, value: signature.to_string() };
        Ok(WholeReport { row: self.view(row), report, signature, verified, superseded, people })
    }

    /// Whether the figures of a report come to something else now; `None`: that cannot be told.
    async fn is_superseded(&self, row: &ReportRow, report: &Value) -> Option<bool> {
        let (section, figures, now): (_, &[&str], _) = if row.subject.is_empty() {
            let kept = &report["sections"]["kpis"];
            let to = Timestamp::from_millis(kept["to_ms"].as_i64()?);
            ("kpis", &sections::FIGURES, self.kpis_of(&row.path, row.from, to).await.ok()?)
        } else {
            ("order", &order::FIGURES, self.order_now(&row.subject).await.ok()?)
        };
        let kept = report["sections"][section].as_object()?;
        let told = |value: Option<&Value>| report::canonical(value.unwrap_or(&Value::Null)).ok();
        Some(figures.iter().any(|figure| told(kept.get(*figure)) != told(now.get(*figure))))
    }

    /// The names of people whom a report names by their ids.
    fn name_people(&self, value: &Value, people: &mut BTreeMap<Uuid, String>) {
        match value {
            Value::Array(list) => list.iter().for_each(|item| self.name_people(item, people)),
            Value::Object(map) => {
                for (name, value) in map {
                    let id = value.as_str().filter(|_| PEOPLE.contains(&name.as_str()));
                    match id.and_then(|id| Uuid::parse_str(id).ok()) {
                        Some(id) => people.extend(self.parts.accounts.name_of(id).map(|name| (id, name))),
                        None => self.name_people(value, people),
                    }
                }
            }
            _ => {}
        }
    }

    async fn file_of(&self, id: Uuid) -> Result<ReportFile, NotDone> {
        let stored = self.stored(id).await?;
        let bytes = signed_file(&stored).map_err(NotDone::Failed)?;
        Ok(ReportFile { name: format!("{}.json", files::stem(&stored.row)), bytes })
    }
}

/// The file of a report, as it is verified.
fn signed_file(stored: &StoredReport) -> Result<Vec<u8>, String> {
    let key = PublicKey::parse(stored.key_id.as_bytes()).map_err(|error| error.to_string())?;
    Ok(report::file(&stored.content, &key, &Hex(stored.signature)))
}

/// Whether a report is the one that its row names, and signed under this key. What stands beside it vouches for nothing.
fn is_verified(stored: &StoredReport, own: &PublicKey) -> bool {
    let file = signed_file(stored).ok();
    let head = file.and_then(|file| report::verify(&file, std::slice::from_ref(own), is_signed_by).ok());
    let row = &stored.row;
    head.is_some_and(|head| {
        let said = (head.id, head.kind.as_str(), head.path.as_str(), head.order.as_deref().unwrap_or_default());
        said == (row.id, &row.kind, &row.path, &row.subject)
            && (head.from_ms, head.to_ms, head.made_ms) == (row.from.millis(), row.to.millis(), row.made_at.millis())
    })
}

/// What is asked, member by member: it is known by it when it comes again.
fn asked(subject: &ReportSubject) -> Vec<String> {
    let (kind, of, window) = match subject {
        ReportSubject::Shift(path, window) => ("shift", path, *window),
        ReportSubject::Day(path, window) => ("day", path, *window),
        ReportSubject::Order(number) => ("order", number, None),
    };
    let window = window.map(|(from, to)| [from.micros().to_string(), to.micros().to_string()]);
    [kind.to_owned(), of.clone()].into_iter().chain(window.into_iter().flatten()).collect()
}

/// What a report is of, in words.
fn of_words(of: &Of) -> String {
    if of.order.is_empty() {
        let named = of.shift.as_deref().map_or_else(String::new, |shift| format!(" {shift}"));
        format!("The report of the {}{named} from {} to {}", of.kind, of.from, of.to)
    } else {
        format!("The report of order {}", of.order)
    }
}

/// Days of UTC, and no shifts.
fn in_utc() -> Calendar {
    Calendar::new("UTC", Vec::new(), Vec::new()).expect("UTC is a zone")
}

fn day_at(calendar: &Calendar, at: Timestamp) -> Option<(Timestamp, Timestamp)> {
    calendar.days(at, at.plus(Duration::from_micros(1))).pop()
}

fn no_shift(path: &str) -> NotDone {
    let days = SHIFTS_BACK.as_secs() / 86_400;
    NotDone::Refused(
        format!("no shift of a calendar at or below \"{path}\" was on in the last {days} days"),
        "name a calendar with shifts in a [[machine]] there: calendar = \"…\"; or ask for from_ms and to_ms".to_owned(),
    )
}

fn key_used() -> NotDone {
    NotDone::Conflict(
        "something else was asked with this key".to_owned(),
        "make a new key for each request, and send it again only with the same request".to_owned(),
    )
}

/// A table of a report: rows, and that there are more.
fn table(rows: Vec<Value>, truncated: bool) -> Map<String, Value> {
    [("rows".to_owned(), Value::Array(rows)), ("truncated".to_owned(), Value::Bool(truncated))].into_iter().collect()
}

/// These members of an object; what is not there is null.
fn pick(value: &Value, names: &[&str]) -> Map<String, Value> {
    names.iter().map(|name| ((*name).to_owned(), value.get(*name).cloned().unwrap_or(Value::Null))).collect()
}

/// A view of the API as JSON.
fn told(view: &impl serde::Serialize) -> Result<Value, NotDone> {
    serde_json::to_value(view).map_err(|error| NotDone::Failed(error.to_string()))
}

impl andon_api::ports::reports::Reports for Reports {
    fn reports(&self, filter: ReportFilter) -> Reported<'_, ReportsPage> {
        Box::pin(self.page(filter))
    }

    fn place_of_report(&self, id: Uuid) -> Reported<'_, ReportPlace> {
        Box::pin(async move {
            let row = self.stored_row(id).await?;
            Ok(ReportPlace { path: row.path, is_of_order: !row.subject.is_empty() })
        })
    }

    fn place_of_order(&self, order: String) -> Reported<'_, String> {
        Box::pin(async move { Ok(self.of_order(order, self.whole_ms()).await?.path) })
    }

    fn report(&self, id: Uuid) -> Reported<'_, WholeReport> {
        Box::pin(self.whole(id))
    }

    fn file(&self, id: Uuid) -> Reported<'_, ReportFile> {
        Box::pin(self.file_of(id))
    }

    fn make(&self, key: Uuid, subject: ReportSubject, by: Principal) -> Reported<'_, (bool, ReportView)> {
        Box::pin(self.make_one(key, subject, by))
    }

    fn schedules(&self) -> Reported<'_, Vec<ReportScheduleView>> {
        Box::pin(self.schedule_views())
    }
}

#[cfg(test)]
mod tests;
