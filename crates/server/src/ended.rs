//! How the node's last run ended: the log tells it at the next start, before anything new is written.
//!
//! A node that stops in order says so near the end of its events. One that was killed, crashed or lost its power could
//! not; then the newest frame of any lane is the last sign of life.

use andon_access::audit::decode;
use andon_model::Timestamp;
use andon_model::event::What;
use andon_model::log::{Lane, Log, ReadError, Seq, kind};
use std::time::Duration;

/// So many events are looked through for the last stop: after it, only notes and changes that waited are still recorded.
const TAIL: u64 = 4096;
/// How much is read from the log at once, in bytes.
const READ_BYTES: usize = 1 << 20;

/// When the node was last seen alive, if its last run did not end in order; `None` if it did, or if there was none.
/// Blocking.
/// # Errors
/// The log cannot be read.
pub fn last_alive_if_cut_off(log: &dyn Log) -> Result<Option<Timestamp>, ReadError> {
    if log.durable_seq(Lane::Records) == Seq(0) || stopped_in_order(log)? {
        return Ok(None);
    }
    let mut alive = None;
    for lane in Lane::ALL {
        let end = log.durable_seq(lane);
        if end > Seq(0) {
            alive = alive.max(log.read(lane, end, 1)?.frames.last().map(|frame| frame.received));
        }
    }
    Ok(alive)
}

/// Whether, of the newest events, the last that tells of a start or a stop is a stop.
fn stopped_in_order(log: &dyn Log) -> Result<bool, ReadError> {
    let end = log.durable_seq(Lane::Records);
    let mut at = Seq(end.0.saturating_sub(TAIL).max(log.first_seq(Lane::Records).0).max(1));
    let mut stopped = false;
    while at <= end {
        let batch = log.read(Lane::Records, at, READ_BYTES)?;
        for frame in batch.frames.iter().filter(|frame| frame.kind == kind::EVENT) {
            let Ok(sealed) = decode(frame.seq, &frame.payload) else { continue };
            let What::System(note) = sealed.event.what else { continue };
            stopped = match note.action.as_str() {
                "stopped" => true,
                "started" => false,
                _ => stopped,
            };
        }
        if batch.next <= at {
            break; // Durable, yet not to be read: what follows tells nothing.
        }
        at = batch.next;
    }
    Ok(stopped)
}

/// What people read at the start after a run that was cut off: first since when and for how long nothing ran.
pub fn words(last_alive: Timestamp, now: Timestamp) -> String {
    // To the second, and the length from that second on, so that the two agree.
    let (year, month, day, hour, minute, second, _) = last_alive.civil();
    let last_alive = last_alive.minus(Duration::from_micros(last_alive.micros().rem_euclid(1_000_000).unsigned_abs()));
    let from = format!("from {year:04}-{month:02}-{day:02} {hour:02}:{minute:02}:{second:02} UTC");
    let span = if now < last_alive {
        format!("{from}; for how long is not known, because the clock now stands before that")
    } else {
        format!("for {} at most, {from}", span_words(now.since(last_alive).as_micros().div_ceil(1_000_000)))
    };
    format!(
        "Andon was not running {span}: it was cut off, not stopped in an orderly way, and what was acknowledged is kept. \
         The power failed, or the program was killed, crashed or could not start to its end. If nobody cut the power, look \
         into the system's journal of that time for a crash, or a kill for lack of memory."
    )
}

/// The two biggest units of a time span.
fn span_words(seconds: u128) -> String {
    let (minutes, hours, days) = (seconds / 60, seconds / 3600, seconds / 86_400);
    match (days, hours, minutes) {
        (0, 0, 0) => format!("{seconds} s"),
        (0, 0, _) => format!("{minutes} min {} s", seconds % 60),
        (0, _, _) => format!("{hours} h {} min", minutes % 60),
        _ => format!("{days} d {} h", hours % 24),
    }
}

#[cfg(test)]
mod tests {
    use super::{last_alive_if_cut_off, span_words, words};
    use andon_access::AuditRecorder;
    use andon_bus::ids::new_id;
    use andon_log::{DurableLog, LogOptions, OsDisk};
    use andon_model::access::Principal;
    use andon_model::event::{Event, SystemNote, What};
    use andon_model::log::{FrameKind, Lane, Log};
    use andon_model::record::Recorder;
    use andon_model::{Clock, Timestamp};
    use andon_testkit::ManualClock;
    use std::path::Path;
    use std::sync::Arc;
    use uuid::Uuid;

    async fn record(log: &Arc<DurableLog>, clock: &ManualClock, actions: &[&str]) {
        let recorder = AuditRecorder::open(log.clone()).expect("a chain");
        for action in actions {
            let event = Event {
                id: new_id(clock),
                at: Timestamp::from_millis(0),
                source_at: None,
                path: String::new(),
                by: Principal::SYSTEM,
                what: What::System(SystemNote { action: (*action).to_owned(), text: String::new() }),
            };
            recorder.record(event).await.expect("recorded");
        }
    }

    fn open(folder: &Path, clock: &Arc<ManualClock>) -> Arc<DurableLog> {
        let options = LogOptions::default();
        DurableLog::open(folder, Uuid::from_u128(1), options, Arc::new(OsDisk), clock.clone()).expect("a log").0
    }

    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn a_run_without_an_orderly_stop_was_alive_when_it_last_wrote() {
        let folder = tempfile::tempdir().expect("a folder");
        let clock = Arc::new(ManualClock::new(Timestamp::from_millis(1_000_000)));
        let log = open(folder.path(), &clock);
        assert_eq!(last_alive_if_cut_off(&*log).expect("readable"), None, "the first start");
        record(&log, &clock, &["started", "backup"]).await;
        let alive = clock.now();
        assert_eq!(last_alive_if_cut_off(&*log).expect("readable"), Some(alive));
        clock.advance(std::time::Duration::from_secs(60));
        let seq = log.append(Lane::Samples, FrameKind { kind: 99, version: 1 }, b"readings").expect("taken");
        log.durable(Lane::Samples, seq).await.expect("durable");
        let alive = clock.now();
        log.close();
        clock.advance(std::time::Duration::from_secs(60));
        let log = open(folder.path(), &clock);
        assert_eq!(last_alive_if_cut_off(&*log).expect("readable"), Some(alive), "the newest frame of any lane");
        record(&log, &clock, &["started", "stopped", "gap"]).await;
        assert_eq!(last_alive_if_cut_off(&*log).expect("readable"), None, "a note may come after the stop");
        record(&log, &clock, &["started"]).await;
        assert!(last_alive_if_cut_off(&*log).expect("readable").is_some());
        log.close();
    }

    #[test]
    fn it_is_told_first_for_how_long_and_since_when_nothing_ran() {
        let (then, now) = (Timestamp::from_millis(1_800_000_000_750), Timestamp::from_millis(1_800_000_124_250));
        let told = words(then, now);
        let begin = "Andon was not running for 2 min 5 s at most, from 2027-01-15 08:00:00 UTC: it was cut off, not stopped in an \
                     orderly way";
        assert!(told.starts_with(begin) && told.matches(". ").count() == 2, "{told}");
        let set_back = words(now, then);
        assert!(
            set_back.starts_with("Andon was not running from 2027-01-15 08:02:04 UTC; for how long is not known"),
            "{set_back}"
        );
    }

    #[test]
    fn a_span_has_its_two_biggest_units() {
        for (seconds, wanted) in
            [(0, "0 s"), (59, "59 s"), (60, "1 min 0 s"), (3_725, "1 h 2 min"), (180_000, "2 d 2 h")]
        {
            assert_eq!(span_words(seconds), wanted);
        }
    }
}
