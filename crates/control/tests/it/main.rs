//! The door with a plant, a journal and a device made for the test.

#![expect(clippy::unwrap_used, reason = "a test may panic")]

mod journal;

use andon_bus::{Bus, ids};
use andon_control::Door;
use andon_model::access::{Action, Denied, Gate, Principal, Role};
use andon_model::command::*;
use andon_model::event::{Step, What};
use andon_model::plant::Plant;
use andon_model::{BoxFuture, Clock, Sample, StatusCode, SystemClock, TagId, Timestamp, Value};
use journal::{Journal, JournalRef};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

const SETPOINT: TagId = TagId(0);
const PUMP: TagId = TagId(1);
const READ_ONLY: TagId = TagId(2);

/// The setpoint takes 0 to 80 °C and wants a reason; the pump is off (0), on (1) or auto (2).
fn plant() -> Arc<Plant> {
    let write = |min: f64, max: f64, needs_reason: bool| serde_json::json!({"min": min, "max": max, "needs_reason": needs_reason, "life_ms": 60_000, "tolerance": 0.25, "confirm_within_ms": 250});
    let tags = serde_json::json!([
        {"id": Uuid::from_u128(1), "path": "m/setpoint", "title": "", "data_type": "double", "unit": "Cel", "range": [-20.0, 80.0], "write": write(0.0, 500.0, true)},
        {"id": Uuid::from_u128(2), "path": "m/pump", "title": "", "data_type": "int64", "states": {"0": "off", "1": "on", "2": "auto"}, "write": write(0.0, 2.0, false)},
        {"id": Uuid::from_u128(3), "path": "m/temperature", "title": "", "data_type": "double"},
    ]);
    Arc::new(Plant { tags: serde_json::from_value(tags).unwrap(), ..Plant::default() })
}

struct OnlyTheSystem;
impl Gate for OnlyTheSystem {
    fn authorise(&self, who: &Principal, action: Action, branch: &str) -> Result<(), Denied> {
        let denied = Denied { action, branch: branch.to_owned(), needed: Role::Operator };
        if *who == Principal::SYSTEM && action == Action::Operate { Ok(()) } else { Err(denied) }
    }
}

type Script = dyn Fn(TagId, Value, Timestamp) -> BoxFuture<'static, Result<Written, WriteError>> + Send + Sync;

/// A device that does as it is told here, and says so in the journal's trace.
struct Device {
    trace: Arc<Mutex<Vec<String>>>,
    script: Box<Script>,
}
impl Actuator for Device {
    fn write(&self, tag: TagId, value: Value, deadline: Timestamp) -> BoxFuture<'static, Result<Written, WriteError>> {
        self.trace.lock().unwrap().push(format!("write {value}"));
        (self.script)(tag, value, deadline)
    }
}

struct Stand {
    bus: Arc<Bus>,
    journal: Arc<Journal>,
    door: Arc<Door>,
}

impl Stand {
    /// A node that has just started, with this journal.
    fn start(journal: Arc<Journal>) -> Self {
        let clock = Arc::new(SystemClock);
        let bus = Bus::new(clock.clone());
        bus.set_plant(plant(), vec![SETPOINT, PUMP, READ_ONLY]);
        let (recorder, log) = (Arc::new(JournalRef(journal.clone())), Arc::new(JournalRef(journal.clone())));
        let door = Door::new(bus.clone(), recorder, Arc::new(OnlyTheSystem), clock, log);
        Self { bus, journal, door }
    }

    /// With a device that answers by `script`.
    async fn with(script: Box<Script>) -> Self {
        let stand = Self::start(Journal::new());
        stand.door.recover().await.unwrap();
        stand.connect(script);
        stand
    }

    fn connect(&self, script: Box<Script>) {
        let device = Device { trace: self.journal.trace.clone(), script };
        self.bus.set_actuator([SETPOINT, PUMP, READ_ONLY], Arc::new(device));
    }

    async fn submit(&self, request: CommandRequest) -> CommandReport {
        tokio::time::timeout(Duration::from_secs(10), self.door.submit(request)).await.unwrap()
    }

    /// Submits and shows the outcome as a person sees it.
    async fn says(&self, request: CommandRequest) -> String {
        let report = self.submit(request).await;
        match report.detail {
            Some(detail) => format!("{:?}: {detail}", report.outcome),
            None => format!("{:?}", report.outcome),
        }
    }
}

fn sample(tag: TagId, value: Value) -> Sample {
    let now = SystemClock.now();
    Sample { tag, value, quality: StatusCode::GOOD, source_ts: now, received_ts: now }
}

/// Holds what is written.
fn obedient() -> Box<Script> {
    Box::new(|tag, value, _| Box::pin(async move { Ok(Written::ReadBack(sample(tag, value))) }))
}

fn answers(answer: Result<Written, WriteError>) -> Box<Script> {
    Box::new(move |_, _, _| {
        let answer = answer.clone();
        Box::pin(async move { answer })
    })
}

fn never_answers() -> Box<Script> {
    Box::new(|_, _, _| Box::pin(std::future::pending()))
}

fn command(tag: TagId, value: Value) -> CommandRequest {
    CommandRequest {
        id: ids::new_id(&SystemClock),
        tag,
        value,
        by: Principal::SYSTEM,
        via: Via::Ui,
        reason: Some("test run".to_owned()),
        life: None,
    }
}

fn heat(celsius: f64) -> CommandRequest {
    command(SETPOINT, Value::Double(celsius))
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
async fn the_intent_is_durable_before_the_wire_and_the_outcome_before_the_report() {
    let stand = Stand::with(obedient()).await;
    stand.bus.publish(vec![sample(SETPOINT, Value::Double(20.0))]).await;
    stand.journal.set_open(false);
    let report = tokio::spawn(stand.door.submit(heat(55.0)));
    tokio::time::timeout(Duration::from_millis(50), std::future::pending::<()>()).await.unwrap_err();
    assert_eq!((stand.journal.trace().as_str(), report.is_finished()), ("", false), "nothing while it is not durable");
    stand.journal.set_open(true);
    assert_eq!(report.await.unwrap().outcome, Step::Confirmed);
    assert_eq!(stand.journal.trace(), "Intent durable, write 55, Confirmed durable");
    let steps = stand.journal.steps();
    assert_eq!((steps[0].before.clone(), steps[0].via.as_str()), (Some(Value::Double(20.0)), "ui"));
    assert_eq!((steps[1].read_back.clone(), steps[1].reason.as_deref()), (Some(Value::Double(55.0)), Some("test run")));
}

#[tokio::test]
async fn what_is_refused_says_why_is_recorded_and_goes_nowhere() {
    let stand = Stand::with(obedient()).await;
    let stranger = CommandRequest { by: Principal::ANONYMOUS, ..heat(50.0) };
    let mute = CommandRequest { reason: Some("  ".to_owned()), ..heat(50.0) };
    let chatty = CommandRequest { reason: Some("x".repeat(1001)), ..heat(50.0) };
    let cases = [
        command(TagId(77), Value::Double(1.0)),
        command(READ_ONLY, Value::Double(1.0)),
        stranger,
        command(SETPOINT, Value::String("hot".into())),
        command(SETPOINT, Value::Double(f64::NAN)),
        command(SETPOINT, Value::Null),
        heat(80.5),
        heat(-0.5),
        mute,
        chatty,
        command(PUMP, Value::Double(0.5)),
        command(PUMP, Value::Int64(7)),
    ];
    let count = cases.len();
    let mut said = Vec::new();
    for case in cases {
        said.push(stand.says(case).await);
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
        Refused: there is no such tag; it may have been removed
        Refused: "m/temperature" is read-only: it has no write rule
        Refused: not allowed: Operate on "m/setpoint" needs the role Operator there
        Refused: hot is not a value of type double, which the tag has
        Refused: NaN is not a value of type double, which the tag has
        Refused: – is not a value of type double, which the tag has
        Refused: 80.5 °C is outside the limits 0 to 80 °C
        Refused: -0.5 °C is outside the limits 0 to 80 °C
        Refused: a reason is required for this tag
        Refused: the reason is longer than 1000 characters
        Refused: 0.5 is not a value of type int64, which the tag has
        Refused: 7 is outside the limits 0 to 2
    "#);
    assert_eq!(stand.journal.kinds(), vec![Step::Refused; count]);
    assert!(!stand.journal.trace().contains("write"));
}

#[tokio::test]
async fn a_state_without_a_name_is_refused() {
    let tags = serde_json::json!([{"id": Uuid::from_u128(2), "path": "m/pump", "title": "", "data_type": "int64", "states": {"0": "off", "2": "auto"},
        "write": {"life_ms": 1000, "confirm_within_ms": 1000}}]);
    let stand = Stand::with(obedient()).await;
    stand
        .bus
        .set_plant(Arc::new(Plant { tags: serde_json::from_value(tags).unwrap(), ..Plant::default() }), vec![PUMP]);
    insta::assert_snapshot!(stand.says(command(PUMP, Value::Int64(1))).await, @"Refused: 1 is not one of the states 0 (off), 2 (auto)");
    assert_eq!(stand.submit(command(PUMP, Value::Int64(2))).await.outcome, Step::Confirmed);
}

#[tokio::test]
async fn what_the_device_does_becomes_the_outcome() {
    let silent = Sample { quality: StatusCode::BAD_NO_COMMUNICATION, ..sample(SETPOINT, Value::Null) };
    let cases = [
        Ok(Written::ReadBack(sample(SETPOINT, Value::Double(50.2)))),
        Ok(Written::ReadBack(sample(SETPOINT, Value::Double(40.0)))),
        Ok(Written::ReadBack(silent)),
        Ok(Written::Sent),
        Err(WriteError::NotConnected("no route to 10.0.0.7:502".to_owned())),
        Err(WriteError::Refused("exception 2, illegal data address".to_owned())),
        Err(WriteError::NotSent("the queue was full".to_owned())),
        Err(WriteError::NoAnswer("timeout after 1 s".to_owned())),
    ];
    let mut said = Vec::new();
    for case in cases {
        let stand = Stand::with(answers(case)).await;
        said.push(stand.says(heat(50.0)).await);
        assert_eq!(stand.journal.kinds()[0], Step::Intent);
        assert_eq!(stand.journal.kinds().len(), 2);
    }
    insta::assert_snapshot!(said.join("\n"), @r#"
        Confirmed
        Failed: 50 °C was written, but the device holds 40 °C
        Unknown: sent, but what was read back is bad: no communication with the device
        Unknown: sent, but the device did not report the new value within 250 ms
        Failed: not connected: no route to 10.0.0.7:502
        Failed: the device refused: exception 2, illegal data address
        Failed: not sent: the queue was full
        Unknown: no answer: timeout after 1 s
    "#);
}

#[tokio::test]
async fn a_tag_that_nobody_writes_fails_and_is_audited() {
    let stand = Stand::with(obedient()).await;
    stand.bus.clear_actuators([SETPOINT]);
    insta::assert_snapshot!(stand.says(heat(50.0)).await, @"Failed: not connected: nothing writes this tag at the moment; is its connector enabled?");
    assert_eq!(stand.journal.kinds(), [Step::Intent, Step::Failed]);
}

/// A device that takes the command and reports these values on the bus afterwards.
fn reports(bus: &Arc<Bus>, values: Vec<f64>, answer: Result<Written, WriteError>) -> Box<Script> {
    let bus = bus.clone();
    Box::new(move |tag, _, _| {
        let (bus, values, answer) = (bus.clone(), values.clone(), answer.clone());
        Box::pin(async move {
            tokio::spawn(async move {
                for value in values {
                    bus.publish(vec![sample(tag, Value::Double(value))]).await;
                    tokio::time::sleep(Duration::from_millis(5)).await;
                }
            });
            answer
        })
    })
}

#[tokio::test]
async fn a_sent_command_is_confirmed_by_the_devices_own_report() {
    let stand = Stand::with(obedient()).await;
    stand.connect(reports(&stand.bus, vec![20.0, 35.0, 50.1], Ok(Written::Sent)));
    let report = stand.submit(heat(50.0)).await;
    assert_eq!((report.outcome, report.read_back.map(|s| s.value)), (Step::Confirmed, Some(Value::Double(50.1))));
}

#[tokio::test]
async fn a_report_from_before_the_command_does_not_confirm_it() {
    let stand = Stand::with(answers(Ok(Written::Sent))).await;
    stand.bus.publish(vec![sample(SETPOINT, Value::Double(50.0))]).await;
    assert_eq!(stand.submit(heat(50.0)).await.outcome, Step::Unknown);
}

#[tokio::test]
async fn a_device_that_reports_another_value_leaves_the_outcome_unknown_and_says_what_is_seen() {
    let stand = Stand::with(obedient()).await;
    stand.connect(reports(&stand.bus, vec![21.5], Ok(Written::Sent)));
    insta::assert_snapshot!(stand.says(heat(50.0)).await, @"Unknown: sent, but the device did not report the new value within 250 ms; since then the device says 21.5 °C");
}

#[tokio::test]
async fn after_no_answer_the_outcome_stays_unknown_even_if_the_value_is_seen() {
    let stand = Stand::with(obedient()).await;
    stand.connect(reports(&stand.bus, vec![50.0], Err(WriteError::NoAnswer("timeout after 1 s".to_owned()))));
    insta::assert_snapshot!(stand.says(heat(50.0)).await, @"Unknown: no answer: timeout after 1 s; since then the device says 50 °C");
    assert_eq!(stand.journal.trace(), "Intent durable, write 50, Unknown durable");
}

#[tokio::test]
async fn a_command_is_not_sent_after_its_life() {
    let stand = Stand::with(obedient()).await;
    let stillborn = CommandRequest { life: Some(Duration::ZERO), ..heat(50.0) };
    insta::assert_snapshot!(stand.says(stillborn).await, @"Expired: not sent: its life of 0 ms ran out before");
    assert_eq!(stand.journal.kinds(), [Step::Expired]);

    // Its life runs out while the disk keeps the intent waiting.
    stand.journal.set_open(false);
    let short = CommandRequest { life: Some(Duration::from_millis(5)), ..heat(50.0) };
    let report = tokio::spawn(stand.door.submit(short));
    let begun = SystemClock.monotonic();
    until("its life is over", || SystemClock.monotonic() - begun > Duration::from_millis(20)).await;
    stand.journal.set_open(true);
    assert_eq!(report.await.unwrap().outcome, Step::Expired);
    assert_eq!(stand.journal.trace(), "Expired durable, Intent durable, Expired durable");
}

#[tokio::test]
async fn the_device_is_given_a_deadline_no_later_than_the_tags_life() {
    let deadlines = Arc::new(Mutex::new(Vec::new()));
    let seen = deadlines.clone();
    let stand = Stand::with(Box::new(move |tag, value, deadline| {
        seen.lock().unwrap().push(deadline);
        Box::pin(async move { Ok(Written::ReadBack(sample(tag, value))) })
    }))
    .await;
    stand.submit(CommandRequest { life: Some(Duration::from_secs(86_400)), ..heat(50.0) }).await;
    assert!(deadlines.lock().unwrap()[0] <= SystemClock.now().plus(Duration::from_secs(60)));
}

#[tokio::test]
async fn the_same_id_is_carried_out_once_and_gets_the_same_report() {
    let stand = Stand::with(obedient()).await;
    let request = heat(50.0);
    let first = stand.submit(request.clone()).await;
    assert_eq!(stand.submit(request.clone()).await, first);
    let (a, b) = tokio::join!(stand.submit(heat(51.0)), stand.submit(request.clone()));
    assert_eq!((a.outcome, b), (Step::Confirmed, first));
    assert_eq!(stand.journal.trace().matches("write 50").count(), 1);
    // With another wish under the same id it is a mistake, and says so.
    let other = CommandRequest { value: Value::Double(60.0), ..request };
    insta::assert_snapshot!(stand.says(other).await, @"Refused: this id was used before for another command; give each command its own");
}

#[tokio::test]
async fn two_at_once_with_the_same_id_are_one() {
    let stand = Stand::with(obedient()).await;
    let request = heat(50.0);
    let (a, b) = tokio::join!(stand.submit(request.clone()), stand.submit(request));
    assert_eq!((a.outcome, &a), (Step::Confirmed, &b));
    assert_eq!(stand.journal.trace(), "Intent durable, write 50, Confirmed durable");
}

#[tokio::test]
async fn a_second_command_for_a_busy_tag_is_refused_aloud_and_other_tags_go_on() {
    let stand = Stand::with(never_answers()).await;
    let first = tokio::spawn(stand.door.submit(heat(50.0)));
    until("the first is on the wire", || stand.journal.trace().contains("write 50")).await;
    insta::assert_snapshot!(stand.says(heat(60.0)).await, @"Refused: another command for this tag is under way; wait for its outcome");
    stand.connect(obedient());
    assert_eq!(stand.submit(command(PUMP, Value::Int64(1))).await.outcome, Step::Confirmed);
    first.abort();
}

#[tokio::test]
async fn a_tag_is_free_again_after_each_outcome() {
    let stand = Stand::with(obedient()).await;
    for celsius in [10.0, 900.0, 20.0] {
        stand.submit(heat(celsius)).await;
    }
    assert_eq!(stand.submit(heat(30.0)).await.outcome, Step::Confirmed);
}

#[tokio::test]
async fn when_the_intent_cannot_be_recorded_nothing_is_sent() {
    let stand = Stand::with(obedient()).await;
    stand.journal.refuse(|_| true);
    insta::assert_snapshot!(stand.says(heat(50.0)).await, @"Refused: it could not be recorded, so nothing was sent: no space left for the log's records lane");
    assert_eq!(stand.journal.trace(), "");
}

fn is_outcome(event: &andon_model::event::Event) -> bool {
    matches!(&event.what, What::Command(step) if step.step != Step::Intent)
}

#[tokio::test]
async fn when_the_outcome_cannot_be_recorded_it_is_unknown_and_the_next_start_says_so() {
    let stand = Stand::with(obedient()).await;
    stand.journal.refuse(is_outcome);
    let request = heat(50.0);
    insta::assert_snapshot!(stand.says(request.clone()).await, @"Unknown: the outcome (confirmed) could not be recorded: no space left for the log's records lane");
    // A snapshot taken meanwhile must not hide the intent from the next start.
    let stop = CancellationToken::new();
    stop.cancel();
    stand.door.clone().run(stop).await;
    stand.journal.accept_all();
    let next = Stand::start(stand.journal.clone());
    assert_eq!(next.door.recover().await.unwrap().unknown, 1);
    assert_eq!(next.submit(request).await.outcome, Step::Unknown);
}

#[tokio::test]
async fn a_crash_between_intent_and_outcome_is_unknown_at_the_next_start_and_is_never_sent_again() {
    let stand = Stand::with(never_answers()).await;
    let request = heat(50.0);
    let lost = tokio::spawn(stand.door.submit(request.clone()));
    until("it is on the wire", || stand.journal.trace().contains("write 50")).await;
    // The node is gone: another one starts from the same journal.
    lost.abort();
    let next = Stand::start(stand.journal.clone());
    next.connect(obedient());
    let recovered = next.door.recover().await.unwrap();
    assert_eq!((recovered.unknown, recovered.finished), (1, 1));
    let steps = next.journal.steps();
    assert_eq!((steps[0].command, steps[1].command), (request.id, request.id));
    insta::assert_snapshot!(steps[1].detail.clone().unwrap(), @"the node stopped before the outcome was known; look at the device before you send it again");
    assert_eq!(next.submit(request).await.outcome, Step::Unknown);
    assert_eq!(next.journal.trace().matches("write").count(), 1);
    // Started once more, there is nothing left to settle.
    let third = Stand::start(stand.journal.clone());
    assert_eq!(third.door.recover().await.unwrap().unknown, 0);
}

#[tokio::test]
async fn the_same_id_gets_the_same_report_after_a_restart_from_events_and_from_a_snapshot() {
    let stand = Stand::with(obedient()).await;
    let request = heat(50.0);
    let report = stand.submit(request.clone()).await;
    let from_events = Stand::start(stand.journal.clone());
    from_events.door.recover().await.unwrap();
    let again = from_events.submit(request.clone()).await;
    assert_eq!((again.outcome, again.read_back.map(|s| s.value)), (report.outcome, Some(Value::Double(50.0))));

    let stop = CancellationToken::new();
    stop.cancel();
    stand.door.clone().run(stop).await;
    stand.journal.events.lock().unwrap().clear();
    let from_snapshot = Stand::start(stand.journal.clone());
    from_snapshot.door.recover().await.unwrap();
    assert_eq!(from_snapshot.submit(request).await, report);
    assert_eq!(stand.journal.trace().matches("write").count(), 1);
}

#[tokio::test]
async fn a_caller_who_goes_away_does_not_stop_the_command() {
    let stand = Stand::with(obedient()).await;
    stand.journal.set_open(false);
    let request = heat(50.0);
    let caller = tokio::spawn(stand.door.submit(request.clone()));
    let impatient = tokio::time::timeout(Duration::from_millis(20), std::future::pending::<()>()).await;
    assert!(impatient.is_err());
    caller.abort();
    stand.journal.set_open(true);
    until("the outcome is recorded", || stand.journal.kinds() == [Step::Intent, Step::Confirmed]).await;
}

#[tokio::test]
async fn a_connector_that_panics_leaves_an_outcome() {
    let stand = Stand::with(Box::new(|_, _, _| panic!("planted: a defect in a connector"))).await;
    insta::assert_snapshot!(stand.says(heat(50.0)).await, @"Unknown: a part of the program failed while the command was under way");
    assert_eq!(stand.journal.kinds(), [Step::Intent, Step::Unknown]);
    stand.connect(obedient());
    assert_eq!(stand.submit(heat(50.0)).await.outcome, Step::Confirmed, "the tag is free again");
}

#[tokio::test]
async fn before_recovery_and_after_the_stop_every_command_is_refused() {
    let stand = Stand::start(Journal::new());
    stand.connect(obedient());
    insta::assert_snapshot!(stand.says(heat(50.0)).await, @"Refused: not yet: the node is starting and has not yet settled how earlier commands ended");
    stand.door.recover().await.unwrap();
    let stop = CancellationToken::new();
    stop.cancel();
    stand.door.clone().run(stop).await;
    insta::assert_snapshot!(stand.says(heat(50.0)).await, @"Refused: the node is stopping");
}

#[tokio::test]
async fn too_many_at_once_are_refused() {
    let stand = Stand::with(obedient()).await;
    stand.journal.set_open(false);
    let running: Vec<_> = (0..256).map(|_| tokio::spawn(stand.door.submit(heat(50.0)))).collect();
    tokio::task::yield_now().await;
    let one_more = tokio::spawn(stand.door.submit(heat(50.0)));
    tokio::task::yield_now().await;
    stand.journal.set_open(true);
    insta::assert_snapshot!(one_more.await.unwrap().detail.unwrap(), @"too many commands are under way; try again in a moment");
    for task in running {
        task.await.unwrap();
    }
}
