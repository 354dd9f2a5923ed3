//! The bus with a log behind it.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod mem_log;

use andon_bus::spool::{self, SpoolNotice, SpoolOptions};
use andon_bus::{Bus, direct, last, replay};
use andon_model::access::Principal;
use andon_model::event::{Event, SealedEvent, SystemNote, What};
use andon_model::log::{AppendError, Lane, Log, Seq, kind};
use andon_model::plant::Plant;
use andon_model::sample_codec::decode_samples;
use andon_model::{DataType, Sample, StatusCode, SystemClock, TagId, Timestamp, Value};
use mem_log::MemLog;
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

fn bus(tags: u32) -> Arc<Bus> {
    let tag = |n: u32| {
        let text = serde_json::json!({"id": Uuid::from_u128(n.into()), "path": format!("m/t{n}"), "title": "", "data_type": "double"});
        serde_json::from_value(text).unwrap()
    };
    let plant = Plant { tags: (0..tags).map(tag).collect(), ..Plant::default() };
    assert!(plant.tags.iter().all(|tag: &andon_model::plant::TagDef| tag.data_type == DataType::Double));
    let bus = Bus::new(Arc::new(SystemClock));
    bus.set_plant(Arc::new(plant), (0..tags).map(TagId).collect());
    bus
}

fn sample(tag: u32, value: f64, ms: i64) -> Sample {
    let time = Timestamp::from_millis(ms);
    Sample {
        tag: TagId(tag),
        value: Value::Double(value),
        quality: StatusCode::GOOD,
        source_ts: time,
        received_ts: time,
    }
}

fn stored(log: &MemLog) -> Vec<Sample> {
    log.frames(Lane::Samples).iter().flat_map(|frame| decode_samples(&frame.payload).unwrap()).collect()
}

/// A running spool, and what it said.
struct Spool {
    stop: CancellationToken,
    task: tokio::task::JoinHandle<()>,
    notices: Arc<Mutex<Vec<SpoolNotice>>>,
}

impl Spool {
    fn start(bus: &Arc<Bus>, log: &Arc<MemLog>, options: SpoolOptions) -> Self {
        let (stop, notices) = (CancellationToken::new(), Arc::new(Mutex::new(Vec::new())));
        let said = notices.clone();
        let on_notice = Arc::new(move |notice| said.lock().unwrap().push(notice));
        let task = tokio::spawn(spool::run(bus.clone(), log.clone(), options, on_notice, stop.clone()));
        Self { stop, task, notices }
    }
    fn notices(&self) -> Vec<SpoolNotice> {
        self.notices.lock().unwrap().clone()
    }
    async fn stop(self) -> Vec<SpoolNotice> {
        self.stop.cancel();
        self.task.await.unwrap();
        self.notices.lock().unwrap().clone()
    }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

const DISK_FULL: AppendError = AppendError::DiskFull { lane: Lane::Samples };

#[tokio::test]
async fn samples_are_stored_within_the_delay_and_the_marks_follow() {
    let (bus, log) = (bus(2), MemLog::new());
    let spool = Spool::start(&bus, &log, SpoolOptions::default());
    assert_eq!((bus.stored_up_to(TagId(0)), bus.all_stored_up_to()), (None, None));
    bus.publish(vec![sample(0, 1.0, 10), sample(1, 2.0, 20)]).await;
    until("both are stored", || bus.all_stored_up_to() == Some(Timestamp::from_millis(20))).await;
    assert_eq!(stored(&log), [sample(0, 1.0, 10), sample(1, 2.0, 20)]);
    assert_eq!(bus.stored_up_to(TagId(0)), Some(Timestamp::from_millis(10)));
    assert_eq!(spool.stop().await, []);
}

#[tokio::test]
async fn settled_waits_for_what_was_published_and_not_for_what_comes_later() {
    let (bus, log) = (bus(1), MemLog::new());
    bus.publish(vec![sample(0, 0.0, 0)]).await;
    bus.settled().await; // Nobody stores it.
    let options = SpoolOptions { batch_samples: 2, batch_delay: Duration::from_secs(3600), ..SpoolOptions::default() };
    let spool = Spool::start(&bus, &log, options);
    bus.settled().await;
    bus.publish(vec![sample(0, 1.0, 1)]).await;
    let first = bus.settled();
    let mut early = Box::pin(bus.settled());
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut early).await.is_err(), "it waits for its batch");
    bus.publish(vec![sample(0, 2.0, 2), sample(0, 3.0, 3)]).await; // One batch, and one sample that waits.
    first.await;
    assert_eq!(stored(&log).first(), Some(&sample(0, 1.0, 1)));
    let last = bus.settled();
    assert_eq!(spool.stop().await, []);
    last.await;
    bus.publish(vec![sample(0, 4.0, 4)]).await;
    bus.settled().await;
}

#[tokio::test]
async fn settled_waits_out_a_full_disk_and_ends_when_the_samples_are_told_lost() {
    let (bus, log) = (bus(1), MemLog::new());
    let spool =
        Spool::start(&bus, &log, SpoolOptions { batch_delay: Duration::from_millis(1), ..SpoolOptions::default() });
    log.set_health(Err(DISK_FULL));
    bus.publish(vec![sample(0, 1.0, 1)]).await;
    until("the outage is told", || !spool.notices().is_empty()).await;
    let mut settled = Box::pin(bus.settled());
    assert!(tokio::time::timeout(Duration::from_millis(20), &mut settled).await.is_err());
    spool.stop().await;
    settled.await;
}

#[tokio::test]
async fn a_full_batch_does_not_wait_for_its_delay_and_a_stop_stores_the_rest() {
    let (bus, log) = (bus(1), MemLog::new());
    let options = SpoolOptions { batch_samples: 4, batch_delay: Duration::from_secs(3600), ..SpoolOptions::default() };
    let spool = Spool::start(&bus, &log, options);
    let all: Vec<_> = (0..10).map(|ms| sample(0, 0.5, ms)).collect();
    bus.publish(all.clone()).await;
    until("two full batches are stored", || log.frames(Lane::Samples).len() == 2).await;
    assert_eq!(spool.stop().await, []);
    assert_eq!(stored(&log), all);
}

#[tokio::test]
async fn a_full_disk_loses_nothing_that_fits_the_buffer() {
    let (bus, log) = (bus(1), MemLog::new());
    let spool =
        Spool::start(&bus, &log, SpoolOptions { batch_delay: Duration::from_millis(1), ..SpoolOptions::default() });
    log.set_health(Err(DISK_FULL));
    bus.publish(vec![sample(0, 1.0, 1)]).await;
    until("the outage is told", || !spool.notices().is_empty()).await;
    bus.publish(vec![sample(0, 2.0, 2)]).await;
    log.set_health(Ok(()));
    until("both are stored", || bus.all_stored_up_to() == Some(Timestamp::from_millis(2))).await;
    assert_eq!(stored(&log), [sample(0, 1.0, 1), sample(0, 2.0, 2)]);
    assert_eq!(spool.stop().await, [SpoolNotice::Refused { error: DISK_FULL, waiting: 0 }, SpoolNotice::Resumed]);
}

#[tokio::test]
async fn what_overflows_the_buffer_during_an_outage_is_told_with_its_times() {
    let (bus, log) = (bus(1), MemLog::new());
    log.set_health(Err(DISK_FULL));
    let options = SpoolOptions { batch_delay: Duration::from_millis(1), buffer_samples: 3, ..SpoolOptions::default() };
    let spool = Spool::start(&bus, &log, options);
    bus.publish(vec![sample(0, 0.0, 0)]).await;
    until("the outage is told", || !spool.notices().is_empty()).await;
    bus.publish((1..6).map(|ms| sample(0, 0.0, ms)).collect()).await;
    let lost = SpoolNotice::Lost {
        from: Timestamp::from_millis(0),
        to: Timestamp::from_millis(2),
        samples: 3,
        reason: DISK_FULL.to_string(),
    };
    until("the loss is told", || spool.notices().contains(&lost)).await;
    log.set_health(Ok(()));
    until("the rest is stored", || stored(&log).len() == 3).await;
    spool.stop().await;
    assert_eq!(stored(&log), [sample(0, 0.0, 3), sample(0, 0.0, 4), sample(0, 0.0, 5)]);
}

#[tokio::test]
async fn a_stop_during_an_outage_says_what_was_never_stored() {
    let (bus, log) = (bus(1), MemLog::new());
    log.set_health(Err(AppendError::Closed));
    let spool = Spool::start(&bus, &log, SpoolOptions::default());
    bus.publish(vec![sample(0, 1.0, 1), sample(0, 1.0, 2)]).await;
    let notices = spool.stop().await;
    assert!(matches!(notices.last(), Some(SpoolNotice::Lost { samples: 2, .. })), "{notices:?}");
}

#[tokio::test]
async fn while_the_log_is_busy_publishers_wait_and_nothing_is_lost() {
    let (bus, log) = (bus(1), MemLog::new());
    log.set_health(Err(AppendError::Busy { lane: Lane::Samples, pending_bytes: 1 }));
    let options = SpoolOptions { batch_samples: 1, buffer_samples: 2, ..SpoolOptions::default() };
    let spool = Spool::start(&bus, &log, options);
    let publisher = tokio::spawn({
        let bus = bus.clone();
        async move {
            for ms in 0..200 {
                bus.publish(vec![sample(0, 0.0, ms)]).await;
            }
        }
    });
    until("the queue is full", || bus.last(TagId(0)).is_some_and(|last| last.source_ts.millis() > 60)).await;
    assert!(!publisher.is_finished());
    log.set_health(Ok(()));
    publisher.await.unwrap();
    assert_eq!(spool.stop().await, []);
    assert_eq!(stored(&log).len(), 200);
}

#[tokio::test]
async fn a_batch_over_the_frame_limit_is_halved_until_it_fits() {
    let (bus, log) = (bus(1), MemLog::new());
    log.set_frame_bytes_max(100);
    let spool = Spool::start(&bus, &log, SpoolOptions::default());
    let all: Vec<_> = (0..100).map(|ms| sample(0, 0.5, ms)).collect();
    bus.publish(all.clone()).await;
    assert_eq!(spool.stop().await, []);
    assert_eq!(stored(&log), all);
}

#[tokio::test]
async fn last_values_survive_a_restart_with_what_was_stored_after_the_snapshot() {
    let (first, log) = (bus(3), MemLog::new());
    let spool = Spool::start(&first, &log, SpoolOptions::default());
    first.publish(vec![sample(0, 1.0, 1), sample(1, 1.0, 1)]).await;
    last::save(&first, &*log).unwrap();
    for ms in 2..12 {
        first.publish(vec![sample(1, 2.0, ms)]).await;
    }
    spool.stop().await;

    let second = bus(2);
    let restored = last::restore(&second, &*log).unwrap();
    assert_eq!(second.last_all(), [sample(0, 1.0, 1), sample(1, 2.0, 11)]);
    assert_eq!(restored.from_snapshot, 2);
}

#[tokio::test]
async fn the_snapshot_task_saves_at_stop() {
    let (first, log) = (bus(1), MemLog::new());
    first.publish(vec![sample(0, 1.0, 1)]).await;
    let stop = CancellationToken::new();
    let task = tokio::spawn(last::run(first, log.clone(), stop.clone()));
    stop.cancel();
    task.await.unwrap();
    let second = bus(1);
    last::restore(&second, &*log).unwrap();
    assert_eq!(second.last(TagId(0)), Some(sample(0, 1.0, 1)));
}

#[tokio::test]
async fn what_is_stored_directly_is_in_the_lane_once_and_everybody_sees_it() {
    let (bus, log) = (bus(2), MemLog::new());
    let options = SpoolOptions { batch_delay: Duration::from_millis(1), ..SpoolOptions::default() };
    let spool = Spool::start(&bus, &log, options);
    let mut alarms = bus.subscribe_all(4);
    let mut screen = bus.subscribe_newest(None);
    direct::store(bus.clone(), log.clone(), vec![sample(0, 1.0, 1), sample(1, 2.0, 1)]).await.unwrap();
    assert_eq!(stored(&log).len(), 2, "durable when it is answered");
    assert_eq!(alarms.next().await.unwrap().len(), 2);
    assert_eq!(screen.next().await.len(), 2);
    assert_eq!(bus.last(TagId(0)), Some(sample(0, 1.0, 1)));
    assert_eq!(bus.stored_up_to(TagId(1)), Some(Timestamp::from_millis(1)));
    bus.publish(vec![sample(0, 3.0, 2)]).await;
    bus.settled().await;
    assert_eq!(spool.stop().await, []);
    assert_eq!(stored(&log), [sample(0, 1.0, 1), sample(1, 2.0, 1), sample(0, 3.0, 2)]);
    assert_eq!(log.frames(Lane::Samples).len(), 2, "all or nothing: one frame each");
}

#[tokio::test]
async fn what_cannot_be_stored_directly_is_seen_by_nobody() {
    let (bus, log) = (bus(1), MemLog::new());
    let mut alarms = bus.subscribe_all(4);
    for refusal in [DISK_FULL, AppendError::Closed] {
        log.set_health(Err(refusal.clone()));
        assert_eq!(direct::store(bus.clone(), log.clone(), vec![sample(0, 1.0, 1)]).await, Err(refusal));
    }
    log.set_health(Ok(()));
    log.set_frame_bytes_max(1);
    let refused = direct::store(bus.clone(), log.clone(), vec![sample(0, 1.0, 1)]).await;
    assert!(matches!(refused, Err(AppendError::TooLarge { .. })));
    assert_eq!((bus.last_all().len(), alarms.try_next()), (0, None));
}

#[tokio::test]
async fn a_snapshot_between_the_sync_and_the_publishing_loses_no_last_value() {
    let (first, log) = (bus(1), MemLog::new());
    direct::store(first.clone(), log.clone(), vec![sample(0, 1.0, 1)]).await.unwrap();
    let answer = log.hold_next_answer();
    let caller = tokio::spawn(direct::store(first.clone(), log.clone(), vec![sample(0, 2.0, 2)]));
    until("the second is in the lane", || log.frames(Lane::Samples).len() == 2).await;
    last::save(&first, &*log).unwrap();
    let second = bus(1);
    last::restore(&second, &*log).unwrap();
    assert_eq!(second.last(TagId(0)), Some(sample(0, 2.0, 2)));

    // The caller goes away; what is durable is published all the same.
    caller.abort();
    answer.notify_one();
    until("it is published", || first.last(TagId(0)) == Some(sample(0, 2.0, 2))).await;
    last::save(&first, &*log).unwrap();
    assert_eq!(last::restore(&bus(1), &*log).unwrap().replayed, 0, "nothing holds the position back any more");
}

#[test]
fn replay_hands_out_sealed_and_bare_events_and_counts_the_rest() {
    let log = MemLog::new();
    let event = |text: &str| Event {
        id: Uuid::nil(),
        at: Timestamp::from_millis(1),
        source_at: None,
        path: String::new(),
        by: Principal::SYSTEM,
        what: What::System(SystemNote { action: "started".to_owned(), text: text.to_owned() }),
    };
    let append = |payload: &[u8]| log.append(Lane::Records, kind::EVENT, payload).unwrap();
    append(&serde_json::to_vec(&event("skipped, for it lies before")).unwrap());
    let sealed = SealedEvent { seq: Seq(9), event: event("sealed"), prev: String::new(), hash: String::new() };
    append(&serde_json::to_vec(&sealed).unwrap());
    append(b"nonsense");
    append(&serde_json::to_vec(&event("bare")).unwrap());
    let mut seen = Vec::new();
    let done = replay::events(&*log, Seq(1), |seq, event| seen.push((seq, event))).unwrap();
    assert_eq!(seen, [(Seq(2), event("sealed")), (Seq(4), event("bare"))]);
    assert_eq!((done.up_to, done.events, done.unreadable), (Seq(4), 2, 1));
}

#[tokio::test]
async fn outside_the_instruments_range_is_uncertain_and_kept_whichever_way_it_came() {
    let tag = |n: u128, data_type: &str| {
        let text = serde_json::json!({"id": Uuid::from_u128(n), "path": format!("m/t{n}"), "title": "", "data_type": data_type, "range": [0.0, 100.0]});
        serde_json::from_value(text).unwrap()
    };
    let plant = Plant { tags: vec![tag(0, "double"), tag(1, "int64")], ..Plant::default() };
    let bus = Bus::new(Arc::new(SystemClock));
    bus.set_plant(Arc::new(plant), vec![TagId(0), TagId(1)]);
    let log = MemLog::new();
    let over = StatusCode::UNCERTAIN_ENGINEERING_UNITS_EXCEEDED;
    let mut ms = 0;
    for (value, quality, expected) in [
        (0.0, StatusCode::GOOD, StatusCode::GOOD),
        (100.0, StatusCode::GOOD, StatusCode::GOOD),
        (100.5, StatusCode::GOOD, over),
        (-0.5, StatusCode::GOOD_LOCAL_OVERRIDE, over),
        (999.0, StatusCode::BAD_SENSOR_FAILURE, StatusCode::BAD_SENSOR_FAILURE),
        (999.0, StatusCode::UNCERTAIN_INITIAL_VALUE, StatusCode::UNCERTAIN_INITIAL_VALUE),
    ] {
        ms += 1;
        bus.publish(vec![Sample { quality, ..sample(0, value, ms) }]).await;
        let last = bus.last(TagId(0)).unwrap();
        assert_eq!((last.value, last.quality), (Value::Double(value), expected), "published {value}");
        ms += 1;
        direct::store(bus.clone(), log.clone(), vec![Sample { quality, ..sample(0, value, ms) }]).await.unwrap();
        assert_eq!(bus.last(TagId(0)).unwrap().quality, expected, "ingested {value}");
        assert_eq!(stored(&log).last().unwrap().quality, expected, "stored {value}");
    }
    bus.publish(vec![Sample { value: Value::Int64(101), ..sample(1, 0.0, 1) }]).await;
    assert_eq!(bus.last(TagId(1)).unwrap().quality, over);
}
