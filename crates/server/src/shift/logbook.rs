//! The logbook, and what is handed over.

use super::{Done, Shift, key_of, key_used, shift_view};
use andon_api::ports::NotDone;
use andon_api::ports::mes::{Mes as _, MesProblem, Window};
use andon_api::ports::orders::{Orders as _, OrdersProblem};
use andon_api::ports::shift::{
    Answer, EntriesPage, EntryView, EntryWish, HandoverView, HandoverWish, HandoversPage, Logbook, OpenItem,
    ProposedHandover,
};
use andon_model::Timestamp;
use andon_model::access::{Principal, PrincipalKind};
use andon_model::event::{AlarmState, Note, What};
use andon_model::path::is_under;
use andon_store::logbook::{
    Confirmation, Confirmed, EntryFilter, HANDOVER, LogbookRepository, NewEntry, StoredEntry, Told, Written,
};
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

/// The most items of a hand-over.
const MOST_ITEMS: usize = 200;
/// Without a shift, stops are looked at from the last hand-over on, and not longer than this.
const LOOKED_BACK: Duration = Duration::from_secs(24 * 3600);

impl Shift {
    async fn page(&self, mut filter: EntryFilter) -> Result<(Vec<StoredEntry>, Option<u64>), NotDone> {
        let limit = usize::try_from(filter.limit).unwrap_or(usize::MAX);
        // One more tells whether there is another page.
        filter.limit += 1;
        let mut entries = self.parts.store.logbook_entries(filter).await?;
        let more = entries.len() > limit;
        entries.truncate(limit);
        let next = entries.last().map(|entry| entry.number).filter(|_| more);
        Ok((entries, next))
    }

    async fn stored(&self, number: u64, what: &str) -> Result<StoredEntry, NotDone> {
        let unknown = || NotDone::Unknown(format!("this {what}"));
        self.parts.store.logbook_entry(number).await?.ok_or_else(unknown)
    }

    fn entry_view(&self, entry: StoredEntry) -> Result<EntryView, NotDone> {
        let unread = |error: serde_json::Error| NotDone::Failed(format!("entry {}: {error}", entry.number));
        Ok(EntryView {
            number: entry.number,
            links: serde_json::from_value(entry.links).map_err(unread)?,
            path: entry.path,
            handover: entry.kind == HANDOVER,
            kind: entry.kind,
            text: entry.text,
            at_ms: entry.at.millis(),
            by: entry.by,
            by_name: self.name_of(entry.by),
            shift: entry.shift.map(shift_view),
            pinned: entry.pinned,
            open: entry.open,
            corrects: entry.corrects,
            corrected_by: entry.corrected_by,
        })
    }

    fn handover_view(&self, entry: StoredEntry) -> Result<HandoverView, NotDone> {
        let handover = entry.handover.ok_or_else(|| NotDone::Unknown("this hand-over".to_owned()))?;
        let unread = |error: serde_json::Error| NotDone::Failed(format!("hand-over {}: {error}", entry.number));
        let (at, by) = handover.confirmed.unzip();
        Ok(HandoverView {
            number: entry.number,
            path: entry.path,
            shift: entry.shift.map(shift_view),
            summary: entry.text,
            at_ms: entry.at.millis(),
            by: entry.by,
            by_name: self.name_of(entry.by),
            items: serde_json::from_value(handover.told.items).map_err(unread)?,
            truncated: handover.told.truncated,
            kept: handover.told.kept,
            state: if at.is_some() { "confirmed" } else { "waiting" }.to_owned(),
            confirmed_at_ms: at.map(Timestamp::millis),
            confirmed_by: by,
            confirmed_by_name: by.and_then(|by| self.name_of(by)),
            note: handover.note,
        })
    }

    async fn write_in_turn(&self, wish: EntryWish, by: Principal) -> Done<EntryView> {
        let _turn = self.turn.lock().await;
        let asked = [by.id.to_string(), format!("{wish:?}")];
        let key = key_of(wish.key, &["entry", &asked[0], &asked[1]]);
        if let Some(number) = wish.corrects {
            let wrong = self.stored(number, "entry").await?;
            if wrong.kind == HANDOVER || wrong.path != wish.path {
                return Err(NotDone::Refused(
                    format!("entry {number} cannot be corrected by this one"),
                    "correct an entry of the same place that is no hand-over; of a hand-over, write a new one"
                        .to_owned(),
                ));
            }
        }
        let now = self.now();
        let links = serde_json::to_value(&wish.links).map_err(|error| NotDone::Failed(error.to_string()))?;
        let event = self.event(now, &wish.path, &by, What::Note(Note { text: wish.text.clone(), until: None }));
        let told = event.id;
        let entry = NewEntry {
            key,
            shift: self.shift_at(&wish.path, now),
            path: wish.path,
            kind: wish.kind,
            text: wish.text,
            links,
            at: now,
            by: by.id,
            pinned: wish.pinned,
            corrects: wish.corrects,
            told: None,
            event,
        };
        match self.parts.store.logbook_write(entry).await? {
            Written::Now(entry) => Ok((self.entry_view(entry)?, Some(told))),
            Written::Before(entry) => Ok((self.entry_view(entry)?, None)),
            Written::KeyUsed => Err(key_used()),
            Written::Corrected(by) => Err(NotDone::Conflict(
                format!("it has been corrected by entry {by}"),
                format!("look at entry {by}, and correct that one"),
            )),
        }
    }

    /// What is open at a place, and from when on stops were looked at.
    async fn open_at(&self, path: &str, who: &Principal) -> Result<(Vec<OpenItem>, bool, Timestamp), NotDone> {
        let now = self.now();
        let open = EntryFilter { open: Some(true), ..EntryFilter::of(vec![path.to_owned()], 500) };
        let (open, more) = self.page(open).await?;
        let from = match self.shift_at(path, now) {
            Some(shift) => shift.from,
            None => self.last_handover(path).await?.unwrap_or_default().max(now.minus(LOOKED_BACK)).min(now),
        };
        let (mut items, jobs_cut) = self.jobs_at(path, who).await?;
        items.extend(self.alarms_at(path));
        let (stops, stops_cut) = self.stops_at(path, from, now).await?;
        items.extend(stops);
        let (handovers, entries): (Vec<_>, Vec<_>) = open.into_iter().partition(|entry| entry.kind == HANDOVER);
        items.extend(entries.into_iter().chain(handovers).map(item_of));
        let truncated = jobs_cut || stops_cut || more.is_some() || items.len() > MOST_ITEMS;
        items.truncate(MOST_ITEMS);
        Ok((items, truncated, from))
    }

    /// When something was handed over last at this very place.
    async fn last_handover(&self, path: &str) -> Result<Option<Timestamp>, NotDone> {
        let filter = EntryFilter { kinds: vec![HANDOVER.to_owned()], ..EntryFilter::of(vec![path.to_owned()], 100) };
        let (entries, _) = self.page(filter).await?;
        Ok(entries.into_iter().find(|entry| entry.path == path).map(|entry| entry.at))
    }

    async fn jobs_at(&self, path: &str, who: &Principal) -> Result<(Vec<OpenItem>, bool), NotDone> {
        let states = ["Running", "Interrupted"].map(str::to_owned).to_vec();
        let list = self.parts.mes.jobs(None, states, vec![path.to_owned()], who.id).await;
        let list = list.map_err(|problem: OrdersProblem| NotDone::Failed(problem.to_string()))?;
        let item = |job: andon_api::ports::orders::JobView| {
            let equipment = job.equipment.filter(|equipment| is_under(equipment, path))?;
            let state = job.substate.map_or(job.state.clone(), |substate| format!("{} ({substate})", job.state));
            Some(OpenItem {
                kind: "job".to_owned(),
                path: equipment,
                title: format!("{} {}, {} of {}", job.number, job.title, job.good, job.quantity),
                since_ms: job.started_ms.unwrap_or_default(),
                state: Some(state),
                job: Some(job.id),
                order: Some(job.order),
                alarm: None,
                entry: None,
            })
        };
        Ok((list.jobs.into_iter().filter_map(item).collect(), list.truncated))
    }

    fn alarms_at(&self, path: &str) -> Vec<OpenItem> {
        let below =
            |alarm: &andon_alarms::AlarmStatus| alarm.equipment.is_under(path) || is_under(alarm.tag.as_str(), path);
        let item = |alarm: andon_alarms::AlarmStatus| OpenItem {
            kind: "alarm".to_owned(),
            path: alarm.equipment.to_string(),
            title: alarm.message,
            since_ms: alarm.raised_at.millis(),
            state: Some(alarm_word(alarm.state).to_owned()),
            job: None,
            order: None,
            alarm: Some(alarm.name),
            entry: None,
        };
        self.parts.alarms.list().into_iter().filter(below).map(item).collect()
    }

    /// Stops that nobody has explained.
    async fn stops_at(&self, path: &str, from: Timestamp, to: Timestamp) -> Result<(Vec<OpenItem>, bool), NotDone> {
        if from >= to {
            return Ok((Vec::new(), false));
        }
        let stops = match self.parts.mes.stops(path.to_owned(), Window { from, to }).await {
            Ok(stops) => stops,
            // No machine stands there.
            Err(MesProblem::NoMachine(_)) => return Ok((Vec::new(), false)),
            // So many machines are not looked through at once: that there may be more is told.
            Err(MesProblem::Refused(..)) => return Ok((Vec::new(), true)),
            Err(problem) => return Err(NotDone::Failed(problem.to_string())),
        };
        let unexplained = stops.into_iter().filter(|stop| stop.reason.is_none() && !stop.minor);
        let item = |stop: andon_api::ports::mes::StopView| OpenItem {
            kind: "stop".to_owned(),
            title: format!(
                "{} for {} min, nobody has said why",
                stop.state.unwrap_or_else(|| "stopped".to_owned()),
                (stop.to_ms - stop.from_ms) / 60_000
            ),
            path: stop.unit,
            since_ms: stop.from_ms,
            state: None,
            job: None,
            order: None,
            alarm: None,
            entry: None,
        };
        Ok((unexplained.map(item).collect(), false))
    }

    async fn hand_over_in_turn(&self, wish: HandoverWish, by: Principal) -> Done<HandoverView> {
        let _turn = self.turn.lock().await;
        let asked = [by.id.to_string(), format!("{wish:?}")];
        let key = key_of(wish.key, &["hand-over", &asked[0], &asked[1]]);
        // What was open then may be open no more.
        if let Some((content, entry)) = self.parts.store.logbook_of_key(wish.key).await? {
            return if content == key.content { Ok((self.handover_view(entry)?, None)) } else { Err(key_used()) };
        }
        let now = self.now();
        let (items, truncated, _) = self.open_at(&wish.path, &by).await?;
        let is_open = |number: &u64| items.iter().any(|item| item.kind == "entry" && item.entry == Some(*number));
        if let Some(number) = wish.keep.iter().find(|number| !is_open(number)) {
            return Err(NotDone::Refused(
                format!("entry {number} is not among what is open here"),
                "keep only entries that the proposal names".to_owned(),
            ));
        }
        let shift = self.shift_at(&wish.path, now);
        let named = shift.as_ref().map_or_else(String::new, |shift| format!(" of {}", shift.name));
        let text = format!("hand-over{named}: {}", wish.summary);
        let event = self.event(now, &wish.path, &by, What::Note(Note { text, until: None }));
        let id = event.id;
        let items = serde_json::to_value(&items).map_err(|error| NotDone::Failed(error.to_string()))?;
        let entry = NewEntry {
            key,
            path: wish.path,
            kind: HANDOVER.to_owned(),
            text: wish.summary,
            links: serde_json::json!({}),
            at: now,
            by: by.id,
            shift,
            pinned: false,
            corrects: None,
            told: Some(Told { items, truncated, kept: wish.keep }),
            event,
        };
        match self.parts.store.logbook_write(entry).await? {
            Written::Now(entry) => Ok((self.handover_view(entry)?, Some(id))),
            Written::Before(entry) => Ok((self.handover_view(entry)?, None)),
            Written::KeyUsed | Written::Corrected(_) => Err(key_used()),
        }
    }

    async fn confirm_in_turn(&self, number: u64, key: Uuid, note: String, by: Principal) -> Done<HandoverView> {
        let _turn = self.turn.lock().await;
        let entry = self.stored(number, "hand-over").await?;
        let (writer, path) = (entry.by, entry.path.clone());
        let handover = self.handover_view(entry)?;
        // Where nobody logs in, nobody can be told from another.
        if writer == by.id && by.kind != PrincipalKind::Anonymous {
            return Err(NotDone::Refused(
                "who has handed over does not confirm it".to_owned(),
                "have somebody of the coming shift confirm it".to_owned(),
            ));
        }
        let now = self.now();
        let entries = handover.items.iter().filter(|item| item.kind == "entry").filter_map(|item| item.entry);
        let settles = entries.filter(|number| !handover.kept.contains(number)).collect();
        let more = if note.is_empty() { String::new() } else { format!(": {note}") };
        let text = format!("hand-over {number} confirmed{more}");
        let event = self.event(now, &path, &by, What::Note(Note { text, until: None }));
        let told = event.id;
        let key = key_of(key, &["confirm", &by.id.to_string(), &number.to_string(), &note]);
        let confirmation = Confirmation { key, number, at: now, by: by.id, note, settles, event };
        match self.parts.store.logbook_confirm(confirmation).await? {
            Confirmed::Now(entry) => Ok((self.handover_view(entry)?, Some(told))),
            Confirmed::Before(entry) => Ok((self.handover_view(entry)?, None)),
            Confirmed::KeyUsed => Err(key_used()),
            Confirmed::Already(entry) => {
                let view = self.handover_view(entry)?;
                let who = view.confirmed_by_name.unwrap_or_else(|| "somebody".to_owned());
                Err(NotDone::Conflict(
                    format!("{who} has confirmed it already"),
                    "look at the hand-over as it is now".to_owned(),
                ))
            }
        }
    }
}

const fn alarm_word(state: AlarmState) -> &'static str {
    match state {
        AlarmState::Normal => "normal",
        AlarmState::Unacknowledged => "unacknowledged",
        AlarmState::Acknowledged => "acknowledged",
        AlarmState::ReturnedToNormalUnacknowledged => "returned_to_normal_unacknowledged",
    }
}

fn item_of(entry: StoredEntry) -> OpenItem {
    let first = entry.text.lines().next().unwrap_or_default().to_owned();
    let is_handover = entry.kind == HANDOVER;
    OpenItem {
        kind: if is_handover { HANDOVER } else { "entry" }.to_owned(),
        path: entry.path,
        title: if is_handover { format!("not confirmed: {first}") } else { first },
        since_ms: entry.at.millis(),
        state: None,
        job: None,
        order: None,
        alarm: None,
        entry: Some(entry.number),
    }
}

impl Logbook for Shift {
    fn entries(&self, filter: EntryFilter) -> Answer<'_, EntriesPage> {
        Box::pin(async move {
            let (entries, next) = self.page(filter).await?;
            let entries = entries.into_iter().map(|entry| self.entry_view(entry)).collect::<Result<_, _>>()?;
            Ok(EntriesPage { entries, next })
        })
    }

    fn entry(&self, number: u64) -> Answer<'_, EntryView> {
        Box::pin(async move { self.entry_view(self.stored(number, "entry").await?) })
    }

    fn write(&self, wish: EntryWish, by: Principal) -> Answer<'_, (bool, EntryView)> {
        Box::pin(self.made(|own: Arc<Self>| async move { own.write_in_turn(wish, by).await }))
    }

    fn proposed(&self, path: String, who: Principal) -> Answer<'_, ProposedHandover> {
        Box::pin(async move {
            let now = self.now();
            let (items, truncated, from) = self.open_at(&path, &who).await?;
            let shift = self.shift_at(&path, now).map(shift_view);
            Ok(ProposedHandover { path, now_ms: now.millis(), shift, from_ms: from.millis(), items, truncated })
        })
    }

    fn hand_over(&self, wish: HandoverWish, by: Principal) -> Answer<'_, (bool, HandoverView)> {
        Box::pin(self.made(|own: Arc<Self>| async move { own.hand_over_in_turn(wish, by).await }))
    }

    fn handovers(&self, filter: EntryFilter) -> Answer<'_, HandoversPage> {
        Box::pin(async move {
            let (entries, next) = self.page(filter).await?;
            let handovers = entries.into_iter().map(|entry| self.handover_view(entry)).collect::<Result<_, _>>()?;
            Ok(HandoversPage { handovers, next })
        })
    }

    fn handover(&self, number: u64) -> Answer<'_, HandoverView> {
        Box::pin(async move { self.handover_view(self.stored(number, "hand-over").await?) })
    }

    fn confirm(&self, number: u64, key: Uuid, note: String, by: Principal) -> Answer<'_, HandoverView> {
        Box::pin(async move {
            let confirm = |own: Arc<Self>| async move { own.confirm_in_turn(number, key, note, by).await };
            Ok(self.made(confirm).await?.1)
        })
    }
}
