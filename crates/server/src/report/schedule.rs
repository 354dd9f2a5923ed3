//! Reports that the node makes by itself: of each shift or day that is over, once.
//!
//! What is due is worked out from the calendar and from what is kept; nothing else is remembered, so that a kill changes nothing. That a window
//! has one report is held by a unique index, whatever this does. What was missed while the node was down is made afterwards, the oldest first,
//! of the last [`CAUGHT_UP`]; a schedule that has made none yet begins with the window that ended last.

use super::{For, Of, Reports, in_utc};
use crate::records::complain_of;
use andon_api::ports::NotDone;
use andon_api::ports::reports::{NextReportView, ReportErrorView, ReportScheduleView};
use andon_mes::master::{MasterData, ReportKind, ReportSchedule};
use andon_model::Timestamp;
use andon_model::access::Principal;
use andon_model::believed::Believed;
use andon_store::report::ReportRepository as _;
use std::collections::{BTreeMap, BTreeSet};
use std::sync::{Arc, MutexGuard, PoisonError};
use std::time::Duration;
use tokio_util::sync::CancellationToken;

/// How often it is looked what is due.
const LOOK_EVERY: Duration = Duration::from_secs(10);
/// What was missed is made afterwards as long as it ended not longer ago.
pub(super) const CAUGHT_UP: Duration = Duration::from_secs(14 * 86_400);
/// The next window is looked for so far ahead.
const AHEAD: Duration = Duration::from_secs(14 * 86_400);
/// How often it is looked which reports are kept long enough, and so many go at once.
const FORGET_EVERY: Duration = Duration::from_secs(3600);
const FORGOTTEN: u32 = 100;
/// A clock that is more than two days ahead of the last time that counted deletes nothing until it has stood by it for a day.
const FAR: i64 = 2 * 86_400_000_000;
const BELIEVED_AFTER: Duration = Duration::from_secs(86_400);

/// What is remembered of schedules, by name.
#[derive(Default)]
pub(super) struct Memory {
    made: BTreeMap<String, Made>,
    /// What could not be done last, by what it was.
    errors: BTreeMap<(String, Doing), ReportErrorView>,
    /// When kept reports were looked through, by the monotonic clock.
    forgot: Option<Duration>,
    believed: Option<Believed>,
}

/// What is done for a schedule.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub(super) enum Doing {
    Make,
    Write,
}

/// Windows of which a schedule has made reports.
#[derive(Clone, Default)]
struct Made {
    windows: BTreeSet<(Timestamp, Timestamp)>,
    /// When the first one of all ended: nothing is made of what ended before.
    first: Option<Timestamp>,
}

/// A window that a schedule makes a report of.
#[derive(Clone, PartialEq, Eq, Debug)]
struct Ended {
    from: Timestamp,
    to: Timestamp,
    shift: Option<String>,
}

impl Reports {
    /// Makes what is due, until `stop`.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        loop {
            self.round(&stop).await;
            tokio::select! {
                () = stop.cancelled() => return,
                () = tokio::time::sleep(LOOK_EVERY) => {}
            }
        }
    }

    /// Makes what is due now, writes files, and deletes what was kept long enough.
    pub(super) async fn round(&self, stop: &CancellationToken) {
        let master = self.parts.mes.master_data();
        for (name, schedule) in &master.reports {
            if stop.is_cancelled() {
                return;
            }
            let done = self.make_due(name, schedule, &master, stop).await;
            self.note(name, Doing::Make, done);
        }
        self.memory().errors.retain(|(name, _), _| master.reports.contains_key(name));
        self.memory().made.retain(|name, _| master.reports.contains_key(name));
        if let Err(error) = self.write_files().await {
            complain_of("files of reports could not be written", &error);
        }
        if let Err(error) = self.forget(&master).await {
            complain_of("reports that were kept long enough could not be deleted", &error);
        }
    }

    pub(super) fn memory(&self) -> MutexGuard<'_, Memory> {
        self.memory.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Keeps what could not be done, and tells of it once.
    pub(super) fn note(&self, name: &str, doing: Doing, done: Result<(), NotDone>) {
        let at_ms = self.now().millis();
        let key = (name.to_owned(), doing);
        let mut memory = self.memory();
        let Err(problem) = done else {
            memory.errors.remove(&key);
            return;
        };
        let text = problem.to_string();
        if memory.errors.get(&key).is_none_or(|known| known.text != text) {
            let what = match doing {
                Doing::Make => "could not be made",
                Doing::Write => "could not be written to its folder",
            };
            self.parts.notes.say("", "report", format!("The report {name} {what}: {text}. It is tried again."));
        }
        memory.errors.insert(key, ReportErrorView { text, at_ms });
    }

    /// What could not be done last for a schedule.
    fn error_of(&self, name: &str) -> Option<ReportErrorView> {
        let memory = self.memory();
        [Doing::Make, Doing::Write].into_iter().find_map(|doing| memory.errors.get(&(name.to_owned(), doing)).cloned())
    }

    async fn make_due(
        &self,
        name: &str,
        schedule: &ReportSchedule,
        master: &MasterData,
        stop: &CancellationToken,
    ) -> Result<(), NotDone> {
        let now = self.now();
        let since = now.minus(CAUGHT_UP);
        let over = windows(schedule, master, since, now.minus(schedule.after))?;
        let over: Vec<_> =
            over.into_iter().filter(|window| window.to > since && window.to.plus(schedule.after) <= now).collect();
        let made = self.made(name, since).await?;
        for window in due(over, &made) {
            // What machines said until its end has to be on the floor.
            if stop.is_cancelled() || self.parts.mes.heard_until() < window.to {
                return Ok(());
            }
            let _turn = self.turn.lock().await;
            let key = (window.from, window.to);
            let of = Of {
                kind: schedule.kind.word(),
                path: schedule.at.clone(),
                order: String::new(),
                shift: window.shift,
                from: window.from,
                to: window.to,
            };
            let whom = For::Schedule { name: name.to_owned(), folder: schedule.folder.clone() };
            self.keep(of, whom, &Principal::SYSTEM).await?;
            let mut memory = self.memory();
            let made = memory.made.entry(name.to_owned()).or_default();
            made.windows.insert(key);
            made.first.get_or_insert(window.to);
        }
        Ok(())
    }

    /// Of which windows a schedule has made reports; read once after a start.
    async fn made(&self, name: &str, since: Timestamp) -> Result<Made, NotDone> {
        let known = {
            let mut memory = self.memory();
            memory.made.get_mut(name).map(|made| {
                made.windows.retain(|(_, to)| *to > since);
                made.clone()
            })
        };
        if let Some(made) = known {
            return Ok(made);
        }
        let windows = self.parts.store.report_windows(name, since).await?.into_iter().collect();
        let first = self.parts.store.report_first(name).await?.map(|row| row.to);
        let made = Made { windows, first };
        self.memory().made.insert(name.to_owned(), made.clone());
        Ok(made)
    }

    /// Deletes reports that their schedules keep no longer.
    async fn forget(&self, master: &MasterData) -> Result<(), andon_store::StoreError> {
        let monotonic = self.parts.clock.monotonic();
        let believed = {
            let mut memory = self.memory();
            if memory.forgot.is_some_and(|forgot| monotonic.saturating_sub(forgot) < FORGET_EVERY) {
                return Ok(());
            }
            memory.forgot = Some(monotonic);
            memory.believed
        };
        let mut believed = match believed {
            Some(believed) => believed,
            // The newest report tells how far the clock had come.
            None => Believed::new(self.newest(master).await?, FAR),
        };
        let now = believed.count(self.now().micros(), monotonic, BELIEVED_AFTER).at;
        self.memory().believed = Some(believed);
        for (name, schedule) in &master.reports {
            let Some(keep) = schedule.keep else { continue };
            let before = Timestamp::from_micros(now).minus(keep);
            let most = u64::from(FORGOTTEN);
            while self.parts.store.reports_forget(name, before, FORGOTTEN).await? >= most {}
        }
        Ok(())
    }

    /// When a schedule made the newest report of all.
    async fn newest(&self, master: &MasterData) -> Result<Option<i64>, andon_store::StoreError> {
        let mut newest = None;
        for name in master.reports.keys() {
            newest = newest.max(self.parts.store.report_last(name).await?.map(|row| row.made_at.micros()));
        }
        Ok(newest)
    }

    pub(super) async fn schedule_views(&self) -> Result<Vec<ReportScheduleView>, NotDone> {
        let (master, now) = (self.parts.mes.master_data(), self.now());
        let mut views = Vec::with_capacity(master.reports.len());
        for (name, schedule) in &master.reports {
            let last = self.parts.store.report_last(name).await?;
            let made = self.made(name, now.minus(CAUGHT_UP)).await?;
            let coming = windows(schedule, &master, now.minus(CAUGHT_UP), now.plus(AHEAD)).unwrap_or_default();
            let is_next = |window: &&Ended| {
                window.to.plus(schedule.after) > now && !made.windows.contains(&(window.from, window.to))
            };
            let next = coming.iter().filter(is_next).min_by_key(|window| window.to);
            views.push(ReportScheduleView {
                name: name.clone(),
                kind: schedule.kind.word().to_owned(),
                path: schedule.at.clone(),
                after_ms: i64::try_from(schedule.after.as_millis()).unwrap_or(i64::MAX),
                folder: schedule.folder.clone(),
                keep_days: schedule.keep.map(|keep| keep.as_secs() / 86_400),
                last: last.map(|row| self.view(row)),
                next: next.map(|window| NextReportView {
                    from_ms: window.from.millis(),
                    to_ms: window.to.millis(),
                    at_ms: window.to.plus(schedule.after).millis(),
                }),
                error: self.error_of(name),
            });
        }
        Ok(views)
    }
}

/// The windows of a schedule that touch a span, by when they end.
fn windows(
    schedule: &ReportSchedule,
    master: &MasterData,
    from: Timestamp,
    to: Timestamp,
) -> Result<Vec<Ended>, NotDone> {
    let calendar = master.calendar_at(&schedule.at);
    let mut all: Vec<Ended> = match schedule.kind {
        ReportKind::Day => {
            let days = calendar.map_or_else(|| in_utc().days(from, to), |calendar| calendar.days(from, to));
            days.into_iter().map(|(from, to)| Ended { from, to, shift: None }).collect()
        }
        ReportKind::Shift => {
            let calendar = calendar.ok_or_else(|| {
                NotDone::Refused(
                    format!("no machine at or below \"{}\" has a calendar, so that no shift ends there", schedule.at),
                    "name one in a [[machine]]: calendar = \"…\"".to_owned(),
                )
            })?;
            let shift = |shift: andon_mes::calendar::Shift<'_>| Ended {
                from: shift.from,
                to: shift.to,
                shift: Some(shift.name.to_owned()),
            };
            calendar.shifts(from, to).into_iter().map(shift).collect()
        }
    };
    all.sort_by_key(|window| (window.to, window.from));
    // Two shifts of one span are one window.
    all.dedup_by_key(|window| (window.to, window.from));
    Ok(all)
}

/// Of the windows that are over, those that a report is still to be made of.
fn due(over: Vec<Ended>, made: &Made) -> Vec<Ended> {
    let Some(first) = made.first else {
        return over.into_iter().next_back().into_iter().collect();
    };
    let is_due = |window: &Ended| window.to >= first && !made.windows.contains(&(window.from, window.to));
    over.into_iter().filter(is_due).collect()
}
