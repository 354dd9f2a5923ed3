//! The log of a unit over hours that are kept, as it was when they were kept: to change something in them.

use super::{Floor, KeptHour, UnitId};
use crate::element::Seen;
use crate::rollup::{Level, Slot};
use crate::steps::Interval;
use crate::unit::{Correction, DerivedHour, Job, LogError, RecordedHour, UnitLog};

/// The log of a window, from what is kept of its hours and from what is on the floor after them. Of an hour that is not kept nothing is known: the
/// unit was not followed then.
#[must_use]
pub fn past(
    floor: &Floor,
    unit: UnitId,
    window: Interval<()>,
    hours: &[KeptHour],
    corrections: Vec<(u32, Correction)>,
) -> UnitLog {
    let mut log = UnitLog::new();
    let mut end = Slot::of(Level::Hour, window.from).from();
    for kept in hours {
        if end < kept.hour.from() {
            log.was(end, kept.hour.from(), Seen::NOTHING, None);
            log.jobs.set(end, None);
        }
        log.restore(&kept.recorded);
        log.restore_around(&kept.derived);
        end = kept.hour.to();
    }
    let here = floor.kept_until().max(end);
    if here < window.to {
        if let Some(recorded) = floor.recorded(unit, here, window.to) {
            log.restore(&recorded);
        }
        for piece in floor.moments(unit, here, window.to) {
            let _ = log.plan(piece.from, piece.to, piece.value.planned);
        }
        if let Some(live) = floor.log_of(unit) {
            live.jobs.within(here, window.to).for_each(|piece| log.jobs.set(piece.from, *piece.value));
        }
    }
    corrections.into_iter().for_each(|(number, correction)| {
        // They were taken when they were made.
        let _: Result<(), LogError> = log.correct(number, correction);
    });
    log
}

impl UnitLog {
    /// Takes up which orders were on the unit in an hour, and what the calendar said.
    pub fn restore_around(&mut self, hour: &DerivedHour) {
        for piece in &hour.pieces {
            let _ = self.plan(piece.from, piece.to, piece.moment.planned);
            let run_time = hour.run_time(piece.from);
            let job = piece.moment.job.map(|id| Job { id, planned_run_time_per_item_ns: run_time });
            self.jobs.set(piece.from, job);
        }
    }

    /// Whether exactly this was counted: a reading that comes twice counts once.
    #[must_use]
    pub fn has_counted(&self, count: &super::Count) -> bool {
        self.counts.iter().any(|known| known == count)
    }
}

/// What is kept of an hour, from its bytes.
///
/// # Errors
/// They are none of an hour.
pub fn kept_hour(
    unit: UnitId,
    hour: i64,
    recorded: &[u8],
    derived: &[u8],
) -> Result<KeptHour, crate::unit::hour::HourError> {
    let hour = Slot { level: Level::Hour, number: hour };
    let recorded = RecordedHour::decode(hour.from(), recorded)?;
    let derived = DerivedHour::decode(hour.from(), derived)?;
    let totals = derived.totals(&recorded.counts, hour.from(), hour.to());
    Ok(KeptHour { unit, hour, recorded, derived, totals })
}
