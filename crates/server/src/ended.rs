//! How the node's last run ended: the log tells it at the next start, before anything new is written.
//!
//! A node that stops in order says so near the end of its events. One that was killed, crashed or lost its power could
//! not; then the newest frame of any lane is the last sign of life.

use andon_access::audit::decode;
use andon_model::Timestamp;
use andon_model::event::What;
use andon_model::log::{Lane, Log, ReadError, Seq, kind};

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

/// What people read at the start after a run that was cut off.
pub fn words(last_alive: Timestamp, now: Timestamp) -> String {
    let span = if now < last_alive {
        "for how long it was not running is not known, because the clock now stands before that".to_owned()
    } else {
        format!("it was not running for {} at most", span_words(now.since(last_alive).as_millis().div_ceil(1000)))
    };
    format!(
        "Andon had not been stopped in an orderly way: the power failed, or the program was killed, crashed or could not start \
         to its end. It was last seen alive at {last_alive}, when it last wrote to its log; {span}. What was acknowledged is \
         kept. If nobody cut the power, look into the system's journal of that time: it tells of a crash, and of a kill for \
         lack of memory."
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
    fn it_is_told_when_it_was_alive_and_for_how_long_it_did_not_run() {
        let (then, now) = (Timestamp::from_millis(1_800_000_000_000), Timestamp::from_millis(1_800_000_125_000));
        let told = words(then, now);
        assert!(told.contains("not been stopped in an orderly way"), "{told}");
        assert!(told.contains("2027-01-15T08:00:00Z") && told.contains("not running for 2 min 5 s"), "{told}");
        assert!(words(now, then).contains("is not known"), "the clock was set back");
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
