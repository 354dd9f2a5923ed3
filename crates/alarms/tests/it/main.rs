//! The engine with a plant, a bus and a journal made for the test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod journal;

use andon_alarms::{AcknowledgeError, AlarmStatus, Engine};
use andon_bus::Bus;
use andon_model::access::{Principal, PrincipalKind};
use andon_model::event::{AlarmState, Event, What};
use andon_model::plant::Plant;
use andon_model::{Clock, Sample, StatusCode, SystemClock, TagId, Timestamp, Value};
use journal::{Journal, JournalRef};
use serde_json::{Value as Json, json};
use std::sync::Arc;
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const OPERATOR: Principal = Principal { id: Uuid::from_u128(77), kind: PrincipalKind::Person };

fn high(limit: f64) -> Json {
    json!({"name": "m/level:high", "tag": "m/level", "condition": "high", "limit": limit, "deadband": 1.0, "priority": 2, "message": "Level high"})
}

fn silent(after_ms: u64) -> Json {
    json!({"name": "m/door:silent", "tag": "m/door", "condition": "silent", "after_ms": after_ms, "priority": 3, "message": "Door is silent"})
}

fn open() -> Json {
    json!({"name": "m/door:state", "tag": "m/door", "condition": "state", "equals": 1, "priority": 1, "message": "Door open"})
}

struct Stand {
    bus: Arc<Bus>,
    journal: Arc<Journal>,
    engine: Arc<Engine>,
    stop: CancellationToken,
    task: Option<tokio::task::JoinHandle<()>>,
}

impl Stand {
    /// A node that starts with these alarms and this journal, and runs.
    fn start(alarms: &[Json], journal: &Arc<Journal>) -> Self {
        let clock = Arc::new(SystemClock);
        let bus = Bus::new(clock.clone());
        let (recorder, log) = (Arc::new(JournalRef(journal.clone())), Arc::new(JournalRef(journal.clone())));
        let engine = Engine::new(bus.clone(), recorder, log, clock);
        let mut stand = Self { bus, journal: journal.clone(), engine, stop: CancellationToken::new(), task: None };
        stand.set_alarms(alarms);
        stand.engine.recover().unwrap();
        stand.task = Some(tokio::spawn(stand.engine.clone().run(stand.stop.clone())));
        stand
    }

    fn with(alarms: &[Json]) -> Self {
        Self::start(alarms, &Journal::new())
    }

    fn set_alarms(&self, alarms: &[Json]) {
        let tags = json!([
            {"id": Uuid::from_u128(1), "path": "m/level", "title": "", "data_type": "double"},
            {"id": Uuid::from_u128(2), "path": "m/door", "title": "", "data_type": "boolean"},
        ]);
        let plant = json!({"tags": tags, "alarms": alarms});
        let plant: Plant = serde_json::from_value(plant).unwrap();
        self.bus.set_plant(Arc::new(plant), vec![TagId(0), TagId(1)]);
        self.engine.set_plant(&self.bus.plant());
    }

    async fn level(&self, value: f64) {
        self.bus.publish(vec![sample(TagId(0), Value::Double(value))]).await;
    }

    async fn door(&self, open: bool) {
        self.bus.publish(vec![sample(TagId(1), Value::Boolean(open))]).await;
    }

    /// The list as `name state` lines.
    fn list(&self) -> String {
        let line = |status: &AlarmStatus| format!("{} {:?}", status.name, status.state);
        self.engine.list().iter().map(line).collect::<Vec<_>>().join("\n")
    }

    /// Waits for the list to be so.
    async fn shows(&self, list: &str) {
        let mut changes = self.engine.subscribe();
        let wait = async {
            while self.list() != list {
                changes.changed().await.unwrap();
            }
        };
        let in_time = tokio::time::timeout(Duration::from_secs(10), wait).await;
        assert!(in_time.is_ok(), "wanted: {list}\n   got: {}", self.list());
    }

    async fn acknowledge(&self, occurrence: Uuid) -> Result<AlarmState, AcknowledgeError> {
        let note = Some("seen".to_owned());
        let done = self.engine.acknowledge("m/level:high", occurrence, OPERATOR, note);
        tokio::time::timeout(Duration::from_secs(10), done).await.unwrap()
    }

    fn occurrence(&self) -> Uuid {
        self.engine.list()[0].occurrence
    }

    async fn stop(mut self) -> Arc<Journal> {
        self.stop.cancel();
        self.task.take().unwrap().await.unwrap();
        self.journal.clone()
    }
}

fn sample(tag: TagId, value: Value) -> Sample {
    let now = SystemClock.now();
    Sample { tag, value, quality: StatusCode::GOOD, source_ts: now, received_ts: now }
}

async fn until(what: &str, condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    };
    tokio::time::timeout(Duration::from_secs(10), wait).await.unwrap_or_else(|_| panic!("never: {what}"));
}

#[tokio::test]
async fn an_alarm_is_shown_only_once_it_is_durable() {
    let stand = Stand::with(&[high(80.0)]);
    stand.journal.set_open(false);
    stand.level(79.0).await;
    stand.level(85.5).await;
    tokio::time::timeout(Duration::from_millis(30), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!((stand.list().as_str(), stand.journal.changes().len()), ("", 0));
    stand.journal.set_open(true);
    stand.shows("m/level:high Unacknowledged").await;
    let change = &stand.journal.changes()[0];
    assert_eq!((change.from, change.to), (AlarmState::Normal, AlarmState::Unacknowledged));
    assert_eq!((&change.value, change.limit, change.condition.as_str()), (&Value::Double(85.5), Some(80.0), "high"));
    let event = stand.journal.events.lock().unwrap()[0].clone();
    assert_eq!((event.by, event.path.as_str()), (Principal::SYSTEM, "m/level"));
    assert_eq!(event.source_at, stand.bus.last(TagId(0)).map(|last| last.source_ts));
}

#[tokio::test]
async fn an_acknowledgement_says_who_and_what_they_wrote_and_ends_with_the_alarm() {
    let stand = Stand::with(&[high(80.0)]);
    stand.level(81.0).await;
    stand.shows("m/level:high Unacknowledged").await;
    let first = stand.occurrence();
    assert_eq!(stand.acknowledge(first).await, Ok(AlarmState::Acknowledged));
    assert_eq!(stand.engine.list()[0].acknowledged_by, Some(OPERATOR));
    let change = stand.journal.changes()[1].clone();
    assert_eq!((change.note.as_deref(), change.occurrence), (Some("seen"), first));
    insta::assert_snapshot!(stand.acknowledge(first).await.unwrap_err(), @r#""m/level:high" is already acknowledged"#);
    stand.level(78.0).await;
    stand.shows("").await;
    stand.level(81.0).await;
    stand.shows("m/level:high Unacknowledged").await;
    assert_ne!(stand.occurrence(), first);
    insta::assert_snapshot!(stand.acknowledge(first).await.unwrap_err(), @r#""m/level:high" has changed since you saw it: that occurrence is over; look at the list again"#);
    assert_eq!(stand.engine.list()[0].acknowledged_by, None);
}

#[tokio::test]
async fn an_occurrence_keeps_its_id_until_it_is_normal_again() {
    let stand = Stand::with(&[high(80.0)]);
    for (value, state) in [(81.0, "Unacknowledged"), (70.0, "ReturnedToNormalUnacknowledged"), (81.0, "Unacknowledged")]
    {
        stand.level(value).await;
        stand.shows(&format!("m/level:high {state}")).await;
    }
    let ids: Vec<_> = stand.journal.changes().iter().map(|change| change.occurrence).collect();
    assert!(ids.iter().all(|id| *id == ids[0]), "{ids:?}");
    let events = stand.journal.events.lock().unwrap().clone();
    assert_eq!(stand.engine.list()[0].raised_at, events[2].at, "what an operator sees is the last time");
    assert_eq!(stand.engine.list()[0].changed_at, events[2].at);
}

#[tokio::test]
async fn what_cannot_be_acknowledged_says_why() {
    let stand = Stand::with(&[high(80.0)]);
    insta::assert_snapshot!(stand.acknowledge(Uuid::nil()).await.unwrap_err(), @r#""m/level:high" has changed since you saw it: that occurrence is over; look at the list again"#);
    let missing = stand.engine.acknowledge("m/none:high", Uuid::nil(), OPERATOR, None).await;
    insta::assert_snapshot!(missing.unwrap_err(), @r#"there is no alarm "m/none:high" any more"#);
    let long = stand.engine.acknowledge("m/level:high", Uuid::nil(), OPERATOR, Some("x".repeat(1001))).await;
    assert_eq!(long, Err(AcknowledgeError::NoteTooLong));
}

#[tokio::test]
async fn of_two_people_only_one_acknowledges() {
    let stand = Stand::with(&[high(80.0)]);
    stand.level(81.0).await;
    stand.shows("m/level:high Unacknowledged").await;
    let id = stand.occurrence();
    let (a, b) = tokio::join!(stand.acknowledge(id), stand.acknowledge(id));
    assert_eq!(a, Ok(AlarmState::Acknowledged));
    assert_eq!(b, Err(AcknowledgeError::Already { name: "m/level:high".to_owned() }));
    assert_eq!(stand.journal.changes().len(), 2);
}

#[tokio::test]
async fn the_most_urgent_comes_first() {
    let stand = Stand::with(&[high(80.0), open()]);
    stand.level(81.0).await;
    stand.door(true).await;
    stand.shows("m/door:state Unacknowledged\nm/level:high Unacknowledged").await;
}

#[tokio::test]
async fn a_silent_device_is_noticed_without_any_sample_and_its_first_word_ends_it() {
    let stand = Stand::with(&[silent(20)]);
    stand.shows("m/door:silent Unacknowledged").await;
    stand.door(false).await;
    until("it is silent again", || stand.journal.changes().len() >= 3).await;
    let states: Vec<_> = stand.journal.changes().iter().take(3).map(|change| change.to).collect();
    let returned = AlarmState::ReturnedToNormalUnacknowledged;
    assert_eq!(states, [AlarmState::Unacknowledged, returned, AlarmState::Unacknowledged]);
}

#[tokio::test]
async fn a_delay_ends_without_a_further_sample() {
    let mut delayed = high(80.0);
    delayed["on_delay_ms"] = json!(30);
    let stand = Stand::with(&[delayed]);
    stand.level(81.0).await;
    let received = stand.bus.last(TagId(0)).unwrap().received_ts;
    stand.shows("m/level:high Unacknowledged").await;
    let raised = stand.engine.list()[0].raised_at.since(received);
    assert!(
        raised >= Duration::from_millis(29) && raised < Duration::from_millis(500),
        "at the end of the delay: {raised:?}"
    );
}

#[tokio::test]
async fn a_late_sample_changes_nothing() {
    let stand = Stand::with(&[high(80.0), open()]);
    stand.level(70.0).await;
    let old = Sample { source_ts: Timestamp::from_millis(1), ..sample(TagId(0), Value::Double(99.0)) };
    stand.bus.publish(vec![old]).await;
    stand.door(true).await;
    stand.shows("m/door:state Unacknowledged").await;
}

#[tokio::test]
async fn after_a_restart_an_acknowledged_alarm_is_still_acknowledged() {
    let stand = Stand::with(&[high(80.0), open()]);
    stand.level(81.0).await;
    stand.shows("m/level:high Unacknowledged").await;
    stand.acknowledge(stand.occurrence()).await.unwrap();
    stand.door(true).await;
    stand.shows("m/door:state Unacknowledged\nm/level:high Acknowledged").await;
    let before = stand.engine.list();
    let journal = stand.journal.clone();

    // The node is gone without a word; the next one knows it from the events.
    let second = Stand::start(&[high(80.0), open()], &journal);
    assert_eq!(second.engine.list(), before);
    second.level(85.0).await;
    second.door(true).await;
    // An orderly stop saves a snapshot; the next start needs no event for it.
    second.stop().await;
    let events = std::mem::take(&mut *journal.events.lock().unwrap());
    assert_eq!(events.len(), 3, "the alarms still stand: nothing to record");
    stand.stop().await;
    let third = Stand::start(&[high(80.0), open()], &journal);
    assert_eq!(third.engine.list(), before);
    // The condition has gone meanwhile: the first sample tells.
    third.level(20.0).await;
    third.door(false).await;
    third.shows("m/door:state ReturnedToNormalUnacknowledged").await;
}

#[tokio::test]
async fn a_restart_passes_over_alarms_that_are_no_longer_in_the_plant() {
    let stand = Stand::with(&[high(80.0), open()]);
    stand.level(81.0).await;
    stand.door(true).await;
    stand.shows("m/door:state Unacknowledged\nm/level:high Unacknowledged").await;
    let second = Stand::start(&[open()], &stand.journal);
    assert_eq!(second.list(), "m/door:state Unacknowledged");
}

#[tokio::test]
async fn an_alarm_taken_out_of_the_plant_ends_with_an_event_and_the_others_keep_their_state() {
    let stand = Stand::with(&[high(80.0), open()]);
    stand.level(81.0).await;
    stand.door(true).await;
    stand.shows("m/door:state Unacknowledged\nm/level:high Unacknowledged").await;
    let kept = stand.engine.list().remove(0);
    stand.set_alarms(&[open()]);
    stand.shows("m/door:state Unacknowledged").await;
    assert_eq!(stand.engine.list(), [kept]);
    let last = stand.journal.changes().pop().unwrap();
    assert_eq!((last.alarm.as_str(), last.to), ("m/level:high", AlarmState::Normal));
    assert_eq!(last.note.as_deref(), Some("taken out of the plant model"));
    // It comes back as a new one, and looks at the value as it is.
    stand.set_alarms(&[open(), high(80.0)]);
    stand.shows("m/door:state Unacknowledged\nm/level:high Unacknowledged").await;
}

#[tokio::test]
async fn a_changed_limit_holds_at_once() {
    let stand = Stand::with(&[high(80.0)]);
    stand.level(75.0).await;
    stand.set_alarms(&[high(70.0)]);
    stand.shows("m/level:high Unacknowledged").await;
    stand.set_alarms(&[high(90.0)]);
    stand.shows("m/level:high ReturnedToNormalUnacknowledged").await;
}

#[tokio::test]
async fn while_the_disk_is_full_alarms_wait_under_their_ids_and_the_banner_says_so() {
    let stand = Stand::with(&[high(80.0)]);
    let tried = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = tried.clone();
    stand.journal.refuse(move |event: &Event| {
        seen.lock().unwrap().push(event.id);
        true
    });
    stand.level(81.0).await;
    until("it was tried twice", || tried.lock().unwrap().len() >= 2).await;
    assert_eq!(stand.list(), "");
    insta::assert_snapshot!(stand.engine.failure().unwrap(), @"alarms cannot be recorded: no space left for the log's records lane; free space on the node's disk; the list may be behind the plant until then");
    stand.journal.accept_all();
    stand.shows("m/level:high Unacknowledged").await;
    assert_eq!(stand.engine.failure(), None);
    let id = stand.journal.events.lock().unwrap()[0].id;
    assert!(tried.lock().unwrap().iter().all(|tried| *tried == id));
}

#[tokio::test]
async fn an_acknowledgement_that_cannot_be_recorded_does_not_count() {
    let stand = Stand::with(&[high(80.0)]);
    stand.level(81.0).await;
    stand.shows("m/level:high Unacknowledged").await;
    stand.journal.refuse(|_| true);
    insta::assert_snapshot!(stand.acknowledge(stand.occurrence()).await.unwrap_err(), @"the acknowledgement could not be recorded, so it does not count: no space left for the log's records lane");
    assert_eq!(stand.list(), "m/level:high Unacknowledged");
    stand.level(70.0).await;
    stand.journal.accept_all();
    stand.shows("m/level:high ReturnedToNormalUnacknowledged").await;
    assert_eq!(stand.acknowledge(stand.occurrence()).await, Ok(AlarmState::Normal));
    insta::assert_snapshot!(stand.journal.story(), @"
    m/level:high Unacknowledged
    m/level:high ReturnedToNormalUnacknowledged
    m/level:high Normal
    ");
}

#[tokio::test]
async fn chatter_while_the_disk_is_full_is_bounded_and_the_state_comes_right() {
    let stand = Stand::with(&[high(80.0)]);
    stand.journal.refuse(|_| true);
    for round in 0..200 {
        stand.level(if round % 2 == 0 { 81.0 } else { 70.0 }).await;
    }
    stand.level(82.5).await;
    until("it was refused", || stand.engine.failure().is_some()).await;
    stand.journal.accept_all();
    let settled = || {
        let list = stand.engine.list();
        list.first()
            .is_some_and(|alarm| alarm.state == AlarmState::Unacknowledged && alarm.value == Value::Double(82.5))
    };
    until("the newest value is looked at", settled).await;
    let changes = stand.journal.changes();
    assert!(changes.len() <= 18, "{}", changes.len());
    assert!(changes.windows(2).all(|pair| pair[0].to == pair[1].from), "an unbroken chain");
}

#[tokio::test]
async fn the_records_tell_the_steps_of_each_alarm_as_an_unbroken_chain() {
    let stand = Stand::with(&[high(80.0), open()]);
    let batch: Vec<_> = (0..14)
        .map(|n| sample(TagId(0), Value::Double(if n % 2 == 0 { 81.0 } else { 70.0 })))
        .chain([sample(TagId(1), Value::Boolean(true))])
        .collect();
    stand.bus.publish(batch).await;
    stand.shows("m/door:state Unacknowledged\nm/level:high ReturnedToNormalUnacknowledged").await;
    until("all are recorded", || stand.journal.changes().len() == 15).await;
    let level: Vec<_> = stand.journal.changes().into_iter().filter(|change| change.alarm == "m/level:high").collect();
    assert!(level.windows(2).all(|pair| pair[0].to == pair[1].from));
    let ids: std::collections::HashSet<_> = stand.journal.events.lock().unwrap().iter().map(|event| event.id).collect();
    assert_eq!(ids.len(), 15);
    assert!(stand.journal.events.lock().unwrap().iter().all(|event| matches!(event.what, What::Alarm(_))));
}
