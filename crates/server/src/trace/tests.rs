//! A line of three stations whose clock a test turns by hand: units pass, the node is killed anywhere, certificates are made once.

use super::certify::WAITED;
use super::{Parts, Reading, Traceability};
use crate::adapters::StoredAccounts;
use crate::mes::testbed::{NODE, Testbed, begins};
use andon_access::signing::SigningKey;
use andon_access::{Accounts, AccountsOptions};
use andon_api::ports::NotDone;
use andon_api::ports::orders::{JobTrigger, OrderWish, Orders as _, SeenWish, TriggerWish};
use andon_api::ports::stock::{ContainerWish, ExchangeWish, MoveWish, Stock as _};
use andon_api::ports::trace::{DecisionWish, ItemsQuery, LabelForm, Listed, ReceiptWish, Traces, UnitView};
use andon_bus::ids::new_id;
use andon_mes::certificate::{Certificate, Identity, PublicKey, Trace, Verdict, verify};
use andon_model::access::{Principal, PrincipalKind};
use andon_model::event::What;
use andon_model::log::{Lane, Log, Seq, kind};
use andon_model::{Clock, Sample, StatusCode, Timestamp, Value};
use andon_store::OutboxRepository;
use andon_store::trace::{READER, TraceRepository};
use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;
use uuid::Uuid;

mod vessel;

const PLANT: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center" }, { path = "works/line/mount", level = "work_unit" }, { path = "works/line/test", level = "work_unit" }, { path = "works/line/pack", level = "work_unit" }]
tag = [
  { path = "works/line/mount/state", type = "int64" }, { path = "works/line/mount/serial", type = "string" }, { path = "works/line/mount/valve", type = "string" }, { path = "works/line/mount/motor", type = "string" },
  { path = "works/line/test/serial", type = "string" }, { path = "works/line/test/result", type = "int64" }, { path = "works/line/test/leak", type = "double", unit = "g" },
  { path = "works/line/test/version", type = "string" }, { path = "works/line/test/digest", type = "string" },
  { path = "works/line/pack/serial", type = "string" },
]
vessel = [{ equipment = "works/line", material = "RESIN", capacity = 100 }]

instruction = [{ name = "WI-1", revision = "B", text = "Arrow in the direction of flow." }]
[[machine]]
equipment = "works/line/mount"
state = { tag = "works/line/mount/state", packml = true }
unit = { serial = "works/line/mount/serial", part = [{ material = "VALVE", lot = "works/line/mount/valve" }, { material = "MOTOR", serial = "works/line/mount/motor" }], first = true }
[[machine]]
equipment = "works/line/test"
unit = { serial = "works/line/test/serial", result = { tag = "works/line/test/result" }, measure = [{ characteristic = "leak", tag = "works/line/test/leak" }], firmware = [{ component = "controller", version = "works/line/test/version", sha256 = "works/line/test/digest" }] }
[[machine]]
equipment = "works/line/pack"
unit = { serial = "works/line/pack/serial", last = true }
[[material]]
name = "VALVE"
tracked = "lot"
[[material]]
name = "MOTOR"
tracked = "serial"
[[material]]
name = "PUMP"
revision = "C"
gtin = "4012345000085"
tracked = "serial"
bill = [{ material = "VALVE", quantity = 2 }]
characteristic = [{ name = "leak", unit = "g", upper = 3 }]
operation = [{ name = "10", equipment = ["works/line/mount"], run_time = "6 s", instructions = ["WI-1"] }, { name = "20", equipment = ["works/line/test"], run_time = "6 s", after = [] }, { name = "30", equipment = ["works/line/pack"], run_time = "6 s", after = [] }]
[[material]]
name = "RESIN"
unit = "kg"
tracked = "lot"
[[material]]
name = "PASTE"
unit = "kg"
tracked = "lot"
[[material]]
name = "FAN"
tracked = "serial"
operation = [{ name = "10", equipment = ["works/line/mount"], run_time = "6 s" }]
"#;

/// So many seconds after the beginning.
fn at(second: i64) -> Timestamp {
    Timestamp::from_micros(begins().micros() + second * 1_000_000)
}

fn person() -> Principal {
    Principal { id: Uuid::from_u128(7), kind: PrincipalKind::Person }
}

fn key(number: u128) -> Uuid {
    Uuid::from_u128(0x7e55_0000 + number)
}

/// A node as far as it traces, and what it stands on.
struct Here {
    bed: Testbed,
    trace: Arc<Traceability>,
    reading: Reading,
}

impl Here {
    async fn new() -> Self {
        Self::over(Testbed::new_at(at(-600), PLANT).await).await
    }

    /// Traceability over a node that has read nothing yet.
    async fn over(bed: Testbed) -> Self {
        let options = AccountsOptions::default();
        let records = Arc::new(StoredAccounts { store: bed.store.clone(), session_life: options.session_life });
        let accounts = Accounts::load(records, bed.recorder.clone(), bed.clock.clone(), options, new_id).await;
        let parts = Parts {
            store: bed.store.clone(),
            log: bed.log.clone(),
            bus: bed.bus.clone(),
            clock: bed.clock.clone(),
            notes: bed.notes.clone(),
            accounts: accounts.expect("accounts"),
            mes: bed.mes.clone(),
            key: SigningKey::open(&bed.folder.path().join("tls/signing-key.pem")).expect("a key"),
            node: NODE,
        };
        let trace = Traceability::open(parts).await.expect("opened");
        trace.follow();
        let next = bed.store.applied(READER, Lane::Samples).await.expect("an offset").next();
        Self { bed, trace, reading: Reading::from(next) }
    }

    /// What stations say, as one frame that comes a second after the last of it: `10 mount serial P1`.
    async fn say(&self, said: &str) {
        let view = self.bed.bus.plant();
        let one = |said: &str| {
            let words: Vec<&str> = said.split_whitespace().collect();
            let [second, station, tag, value] = words[..] else { panic!("{said}") };
            let value = match tag {
                "leak" | "kwh" | "gas" => Value::Double(value.parse().expect("a number")),
                "result" | "state" => Value::Int64(value.parse().expect("a number")),
                _ => Value::String(value.into()),
            };
            let source_ts = at(second.parse().expect("a second"));
            let tag = view.id_of(&format!("works/line/{station}/{tag}")).expect("a tag");
            Sample { tag, value, quality: StatusCode::GOOD, source_ts, received_ts: source_ts }
        };
        let mut samples: Vec<_> = said.split(',').map(str::trim).map(one).collect();
        let received =
            samples.iter().map(|sample| sample.source_ts).max().expect("something").plus(Duration::from_secs(1));
        samples.iter_mut().for_each(|sample| sample.received_ts = received);
        self.bed.clock.set(received.max(self.bed.clock.now()));
        self.bed.take(&samples).await;
    }

    /// Reads what came and keeps it, and makes what is due.
    async fn go_on(&mut self) {
        self.bed.read().await;
        while self.trace.round(&mut self.reading, true).await.expect("a round") {}
    }

    async fn hear(&mut self, said: &str) {
        self.say(said).await;
        self.go_on().await;
    }

    async fn killed(self) -> Self {
        drop(self.trace);
        Self::over(self.bed.killed_before_it_reads().await).await
    }

    async fn unit(&self, serial: &str) -> UnitView {
        let query =
            ItemsQuery { kind: Listed::Units, number: Some(serial.to_owned()), limit: 10, ..ItemsQuery::default() };
        let found = self.trace.items(query).await.expect("a page").items;
        assert_eq!(found.len(), 1, "one unit {serial}: {found:?}");
        self.trace.unit(found[0].id).await.expect("a unit")
    }

    /// An order for pumps whose jobs run at all stations.
    async fn run_order(&self) {
        let mes = &self.bed.mes;
        let wish = OrderWish {
            number: "4711".to_owned(),
            material: "PUMP".to_owned(),
            revision: None,
            quantity: 100.0,
            due: None,
            priority: 5,
            note: String::new(),
            release: true,
            source: andon_api::ports::orders::BY_PERSON,
        };
        let (_, order) = mes.make(wish, person()).await.expect("an order");
        for job in order.jobs {
            if let Some(instruction) = job.instructions.first() {
                let seen = SeenWish {
                    instruction: instruction.name.clone(),
                    revision: instruction.revision.clone(),
                    sha256: instruction.sha256.clone(),
                };
                mes.seen(job.id, seen, person()).await.expect("seen");
            }
            let wish = TriggerWish {
                what: JobTrigger::Begin,
                version: job.version,
                key: new_id(&*self.bed.clock),
                reason: None,
                why: None,
                prepared: None,
                equipment: job.alternatives.first().cloned(),
            };
            mes.trigger(job.id, wish, person()).await.expect("begun");
        }
    }

    fn key(&self) -> PublicKey {
        self.trace.public_key()
    }

    async fn events(&self) -> Vec<(String, String, String)> {
        let read = self.bed.log.read(Lane::Records, Seq(1), 8 << 20).expect("the records");
        let mut told = Vec::new();
        for frame in read.frames.iter().filter(|frame| frame.kind == kind::EVENT) {
            let sealed: serde_json::Value = serde_json::from_slice(&frame.payload).expect("an event");
            if let Ok(What::Trace(change)) = serde_json::from_value(sealed["event"]["what"].clone()) {
                told.push((change.action, change.shown, change.detail.unwrap_or_default()));
            }
        }
        told
    }

    /// Waits until what was told stands in the records.
    async fn told(&self) -> Vec<(String, String, String)> {
        while !self.bed.store.outbox_pending(1).await.expect("the outbox").is_empty() {
            tokio::task::yield_now().await;
        }
        self.events().await
    }
}

/// The signature as `andon verify certificate` checks it.
fn checked(file: &[u8], key: PublicKey) -> Certificate {
    verify(file, &[key], crate::verify::is_signed_by).expect("a good certificate")
}

#[tokio::test]
async fn a_unit_passes_its_stations_and_is_born_with_all_that_is_known_of_it() {
    let mut here = Here::new().await;
    here.run_order().await;
    here.hear("9 mount state 6, 10 mount serial P0, 20 mount serial P1, 20 mount valve V-7, 20 mount motor M-1").await;
    let digest = "5A".repeat(32);
    here.hear("30 test serial P1, 30 test result 0, 30 test leak 3.5, 30 test version 2.4.0").await;
    here.hear("40 test serial P1, 40 test result 1, 40 test leak 2.5, 40 test version 2.4.1").await;
    here.hear(&format!("40 test digest {digest}")).await;
    here.hear("50 pack serial P1").await;
    let unit = here.unit("P1").await;
    let programs =
        |at: usize| unit.passes[at].firmware.iter().map(|one| (one.version.as_deref(), one.sha256.as_deref()));
    assert_eq!(programs(1).collect::<Vec<_>>(), [(Some("2.4.0"), None)]);
    assert_eq!(programs(2).collect::<Vec<_>>(), [(Some("2.4.1"), Some(digest.to_lowercase().as_str()))]);
    assert_eq!((unit.item.material.as_str(), unit.item.revision.as_deref()), ("PUMP", Some("C")));
    let passes: Vec<_> =
        unit.passes.iter().map(|pass| (pass.equipment.as_str(), pass.operation.as_deref(), pass.passed)).collect();
    assert_eq!(
        passes,
        [
            ("works/line/mount", Some("10"), Some(true)),
            ("works/line/test", Some("20"), Some(false)),
            ("works/line/test", Some("20"), Some(true)),
            ("works/line/pack", Some("30"), Some(true)),
        ]
    );
    let part = |part: &andon_api::ports::trace::PartView| {
        (part.item.number.clone(), format!("{} {}", part.quantity, part.position))
    };
    let parts: BTreeSet<_> = unit.as_built.iter().map(part).collect();
    let wanted = [("M-1", "1 motor"), ("V-7", "2 valve")].map(|(number, rest)| (number.to_owned(), rest.to_owned()));
    assert_eq!(parts, wanted.into());
    let finished = unit.finished.expect("it is finished");
    assert_eq!((finished.certificate.as_str(), finished.at_ms), ("due", at(50).millis()));

    // Made when others have had time to say what they know.
    here.bed.clock.set(at(50).plus(WAITED));
    here.go_on().await;
    here.go_on().await;
    let unit = here.unit("P1").await;
    assert_eq!(unit.certificates.len(), 1);
    let brief = &unit.certificates[0];
    assert_eq!((brief.superseded_by.as_deref(), brief.key_id.as_str()), (None, here.key().to_string().as_str()));
    let file = here.trace.certificate(brief.number.clone()).await.expect("the file");
    assert_eq!(file.serial, "P1");
    let certificate = checked(&file.bytes, here.key());
    let content = certificate.content();
    assert_eq!(
        (content.unit.serial.as_str(), content.unit.product.id.to_string().as_str()),
        ("P1", "GTIN 4012345000085")
    );
    assert_eq!(content.job_order.as_ref().map(|job| job.as_str()), Some("4711/30"));
    assert!(matches!(&content.identity, Some(Identity::Id(id)) if id.as_str() == unit.item.id.to_string()));
    let parts: Vec<_> = content
        .parts
        .iter()
        .map(|part| (part.component.as_str(), part.trace.clone(), part.quantity.to_string()))
        .collect();
    assert!(
        parts.iter().any(|(name, trace, quantity)| *name == "VALVE"
            && matches!(trace, Trace::Lot(lot) if lot.as_str() == "V-7")
            && quantity == "2"),
        "{parts:?}"
    );
    assert!(
        parts
            .iter()
            .any(|(name, trace, quantity)| *name == "MOTOR" && matches!(trace, Trace::Serial(_)) && quantity == "1")
    );
    let [firmware] = &content.firmware[..] else { panic!("{:?}", content.firmware) };
    assert_eq!((firmware.component.as_str(), firmware.version.as_str()), ("controller", "2.4.1"), "the last one");
    assert_eq!(firmware.sha256.map(|sha256| sha256.to_string()), Some(digest.to_lowercase()));
    let tests: Vec<_> = content
        .tests
        .iter()
        .map(|test| (test.characteristic.as_str(), test.value.to_string(), test.unit.code(), test.verdict()))
        .collect();
    assert_eq!(tests, [("leak", "2.5".to_owned(), "g", Verdict::Pass)], "the last attempt, against the limit");
    assert_eq!(
        content
            .documents
            .iter()
            .map(|document| (document.name.as_str(), document.revision.as_str()))
            .collect::<Vec<_>>(),
        [("WI-1", "B")]
    );
    assert_eq!(
        content.roles.iter().map(|role| (role.role.as_str(), role.person)).collect::<Vec<_>>(),
        [("operator", person().id)]
    );
    let states = serde_json::to_value(&content.states).expect("json");
    assert_eq!(states[0]["work_unit"], "works/line/mount");
    assert_eq!(
        states[0]["times_us"],
        serde_json::json!({ "production": 10_000_000 }),
        "since the unit before it left: {states}"
    );
    let told = here.told().await;
    assert_eq!(told.iter().filter(|(action, ..)| action == "certificate").count(), 1, "{told:?}");
    // One changed byte is seen.
    let place = file.bytes.iter().position(|byte| *byte == b'7').expect("a seven");
    let mut changed = file.bytes.clone();
    changed[place] = b'8';
    assert!(verify(&changed, &[here.key()], crate::verify::is_signed_by).is_err());
}

#[tokio::test]
async fn wherever_it_is_killed_every_unit_passes_once_and_is_born_once() {
    let mut here = Here::new().await;
    here.run_order().await;
    let key = here.key();
    for n in 0..12 {
        let t = 100 + n * 10;
        for said in [
            format!("{t} mount serial P{n}, {t} mount valve V-{}", n / 4),
            format!("{} test serial P{n}, {} test result 1, {} test leak 1.{n}", t + 2, t + 2, t + 2),
            format!("{} pack serial P{n}", t + 4),
        ] {
            here.say(&said).await;
            // Read or not, kept or not, made or not: killed.
            match (n + t) % 4 {
                0 => here.go_on().await,
                1 => drop(here.trace.read_once(here.reading.next, &mut here.reading.unkept).await.expect("read")),
                2 => {
                    let _ = here.trace.read_once(here.reading.next, &mut here.reading.unkept).await.expect("read");
                    here.trace.keep(&mut here.reading.unkept).await.expect("kept");
                }
                _ => {}
            }
            here = here.killed().await;
        }
    }
    here.go_on().await;
    here.bed.clock.advance(Duration::from_secs(60));
    here.go_on().await;
    here = here.killed().await;
    here.go_on().await;
    assert_eq!(here.key(), key, "the key outlives every kill");
    for n in 0..12 {
        let unit = here.unit(&format!("P{n}")).await;
        let stations: Vec<_> =
            unit.passes.iter().map(|pass| pass.equipment.rsplit('/').next().unwrap_or_default()).collect();
        assert_eq!((stations, unit.certificates.len()), (vec!["mount", "test", "pack"], 1), "P{n}");
        assert_eq!(unit.as_built.len(), 1);
        let file = here.trace.certificate(unit.certificates[0].number.clone()).await.expect("the file");
        assert_eq!(checked(&file.bytes, key).content().tests.len(), 1);
    }
    assert_eq!(here.bed.store.trace_check().await.expect("sums"), []);
    let told = here.told().await;
    assert_eq!(told.iter().filter(|(action, ..)| action == "certificate").count(), 12);
    assert_eq!(told.iter().filter(|(action, ..)| action == "not_known").count(), 3, "each lot once: {told:?}");
}

#[tokio::test]
async fn what_cannot_be_right_is_kept_and_told_with_what_to_do() {
    let mut here = Here::new().await;
    here.run_order().await;
    let receipt = |number: &str, state: &str, quantity| ReceiptWish {
        key: Uuid::from_u128(number.len() as u128),
        material: "VALVE".to_owned(),
        revision: None,
        number: number.to_owned(),
        quantity,
        place: Some("works/store".to_owned()),
        state: state.to_owned(),
    };
    here.trace.receive(receipt("GOOD", "Released", 3.0), person()).await.expect("received");
    here.trace.receive(receipt("HELD-", "Quarantine", 10.0), person()).await.expect("received");
    here.hear("10 mount serial P1, 10 mount valve GOOD, 10 mount motor M-1").await;
    assert_eq!(here.told().await.iter().filter(|(action, ..)| action != "received").count(), 0, "all as it should be");
    here.hear("20 mount serial P2, 20 mount valve GOOD, 20 mount motor M-1").await;
    here.hear("30 mount serial P3, 30 mount valve HELD-").await;
    here.hear("40 mount serial P4, 40 mount valve NEVER").await;
    here.hear("50 test serial STRAY, 50 test result 1").await;
    here.hear("60 pack serial P1, 70 pack serial P2, 71 pack serial P1").await;
    let told = here.told().await;
    let of = |action: &str| {
        told.iter()
            .filter(|(found, ..)| found == action)
            .map(|(_, shown, text)| format!("{shown}: {text}"))
            .collect::<Vec<_>>()
    };
    let [elsewhere] = &of("elsewhere")[..] else { panic!("{told:?}") };
    assert!(
        elsewhere.starts_with("PUMP P2: unit MOTOR M-1 is in unit PUMP P1 already")
            && elsewhere.contains("one of the two was scanned wrongly")
    );
    let [short] = &of("overdrawn")[..] else { panic!("{told:?}") };
    assert!(short.contains("of lot VALVE GOOD there is 1") && short.contains("count what is left"), "{short}");
    let [held] = &of("not_released")[..] else { panic!("{told:?}") };
    assert!(
        held.contains("VALVE HELD- may not be used: its state is Quarantine") && held.contains("stop the unit"),
        "{held}"
    );
    let unknown = of("not_known");
    assert!(
        unknown
            .iter()
            .any(|text| text.contains("lot VALVE NEVER went into unit PUMP P4") && text.contains("Receive it")),
        "{unknown:?}"
    );
    assert!(
        unknown
            .iter()
            .any(|text| text.contains("unit PUMP STRAY passed works/line/test, and no first station told of it")),
        "{unknown:?}"
    );
    let [again] = &of("finished")[..] else { panic!("{told:?}") };
    assert!(again.starts_with("PUMP P1: unit PUMP P1 passed again works/line/pack"), "{again}");
    // Nothing of it was dropped.
    for serial in ["P1", "P2", "P3", "P4", "STRAY"] {
        assert!(!here.unit(serial).await.passes.is_empty(), "{serial}");
    }
    assert_eq!(here.unit("P3").await.as_built[0].item.number, "HELD-");
    assert_eq!(here.trace.findings(None, 100).await.expect("findings").len(), 6);
    assert_eq!(here.bed.store.trace_check().await.expect("sums"), []);
}

#[tokio::test]
async fn a_unit_of_no_known_product_has_no_certificate_and_that_is_told_once() {
    let mut here = Here::new().await;
    here.hear("10 mount serial P1, 20 pack serial P1").await;
    here.bed.clock.advance(Duration::from_secs(60));
    here.go_on().await;
    here.go_on().await;
    let unit = here.unit("P1").await;
    assert_eq!((unit.item.material.as_str(), unit.certificates.len()), ("unknown", 0));
    let finished = unit.finished.expect("finished");
    assert_eq!(finished.certificate, "not_possible");
    assert!(finished.why.expect("why").contains("no job ran at its first station"));
    let told = here.told().await;
    assert_eq!(told.iter().filter(|(action, ..)| action == "not_certified").count(), 1, "{told:?}");
    let refused = Traces::certify(&*here.trace, unit.item.id, person()).await.expect_err("nothing has changed");
    assert!(matches!(refused, NotDone::Refused(..)), "{refused}");
}

#[tokio::test]
async fn what_comes_late_is_in_the_certificate_and_later_only_in_one_made_anew() {
    let mut here = Here::new().await;
    here.run_order().await;
    here.hear("10 mount serial P1").await;
    here.hear("30 pack serial P1").await;
    here.hear("20 test serial P1, 20 test result 1, 20 test leak 2").await;
    here.hear("34 test serial P1, 34 test result 0, 34 test leak 9").await;
    here.bed.clock.set(at(30).plus(WAITED));
    while here.trace.round(&mut here.reading, true).await.expect("a round") {}
    assert_eq!(here.unit("P1").await.certificates.len(), 0, "the shop floor has not read so far");
    here.go_on().await;
    let tests = async |here: &Here, n: usize| {
        let unit = here.unit("P1").await;
        let file = here.trace.certificate(unit.certificates[n].number.clone()).await.expect("the file");
        checked(&file.bytes, here.key()).content().tests.iter().map(|test| test.value.to_string()).collect::<Vec<_>>()
    };
    assert_eq!(tests(&here, 0).await, ["2"], "what came after it was finished is not in it");
    here.hear("60 test serial P1, 60 test result 1, 60 test leak 2.9").await;
    assert_eq!(here.unit("P1").await.certificates.len(), 1);
    let unit = here.unit("P1").await.item.id;
    Traces::certify(&*here.trace, unit, person()).await.expect("made anew");
    assert_eq!((tests(&here, 0).await, tests(&here, 1).await), (vec!["2".to_owned()], vec!["2.9".to_owned()]));
    let briefs = here.unit("P1").await.certificates;
    assert_eq!(briefs[0].superseded_by.as_deref(), Some(briefs[1].number.as_str()));
}

fn wish_of(lot: &str) -> ReceiptWish {
    ReceiptWish {
        key: Uuid::from_u128(1),
        material: "VALVE".to_owned(),
        revision: None,
        number: lot.to_owned(),
        quantity: 40.0,
        place: Some("works/store".to_owned()),
        state: "Released".to_owned(),
    }
}

#[tokio::test]
async fn people_receive_decide_trace_and_call_back() {
    let mut here = Here::new().await;
    here.run_order().await;
    let wish = wish_of("V-1");
    let lot = here.trace.receive(wish.clone(), person()).await.expect("received");
    assert_eq!(here.trace.receive(wish.clone(), person()).await.expect("again").item.id, lot.item.id);
    let other = here.trace.receive(ReceiptWish { quantity: 41.0, ..wish.clone() }, person()).await;
    assert!(matches!(other, Err(NotDone::Conflict(..))), "the same key for something else: {other:?}");
    let more = here.trace.receive(ReceiptWish { key: Uuid::from_u128(2), quantity: 41.0, ..wish }, person()).await;
    assert!(matches!(more, Err(NotDone::Conflict(..))), "another quantity of the same lot: {more:?}");
    here.hear("10 mount serial P1, 10 mount valve V-1, 20 mount serial P2, 20 mount valve V-1, 30 mount serial P3, 30 mount valve V-2").await;
    let lot = here.trace.lot(lot.item.id).await.expect("the lot");
    assert_eq!((lot.item.remaining, lot.stock[0].quantity), (Some(36.0), 36.0), "two valves a pump");
    let hold = DecisionWish { key: Uuid::from_u128(3), state: "Hold".to_owned(), reason: "leaks".to_owned() };
    let lot = here.trace.decide(lot.item.id, hold, person()).await.expect("decided");
    assert_eq!((lot.item.state.as_str(), lot.decisions[0].reason.as_str()), ("Hold", "leaks"));
    let recall = here.trace.recall(lot.item.id, None).await.expect("a recall");
    let numbers: BTreeSet<&str> = recall.units.iter().map(|row| row.item.number.as_str()).collect();
    assert_eq!((numbers, recall.cut.as_deref()), (["P1", "P2"].into(), None));
    assert_eq!(recall.lots[0].item.number, "V-1");
    let before = here.trace.recall(lot.item.id, Some(at(15))).await.expect("a recall");
    assert_eq!(before.units.len(), 1, "at that date");
    let back = here.trace.trace(here.unit("P3").await.item.id, false, None).await.expect("a trace");
    assert_eq!(back.items.iter().map(|reached| reached.item.number.as_str()).collect::<Vec<_>>(), ["P3", "V-2"]);
    assert_eq!((back.links.len(), back.links[0].quantity), (1, 2.0));
    let svg = here.trace.label(lot.item.id, LabelForm::Svg).await.expect("a code");
    let zpl = here.trace.label(lot.item.id, LabelForm::Zpl).await.expect("a label");
    assert!(svg.starts_with("<?xml") && zpl.starts_with("^XA"), "{zpl}");
    let nothing = ReceiptWish { key: Uuid::from_u128(4), number: "V-9".to_owned(), quantity: 1e-7, ..wish_of("V-9") };
    let nothing = here.trace.receive(nothing, person()).await;
    assert!(matches!(nothing, Err(NotDone::Refused(..))), "{nothing:?}");
    // One that was used before it came is the same one in its event.
    let used = here.trace.trace(here.unit("P3").await.item.id, false, None).await.expect("a trace").items[1].item.id;
    let came = here.trace.receive(ReceiptWish { key: Uuid::from_u128(5), ..wish_of("V-2") }, person()).await;
    assert_eq!(came.expect("received").item.id, used);
    let told = here.told().await;
    assert_eq!(told.iter().filter(|(action, ..)| action == "received" || action == "state").count(), 3, "{told:?}");
}

#[tokio::test]
async fn a_unit_is_given_its_credential_once_and_connects_with_it() {
    let mut here = Here::new().await;
    here.hear("10 mount serial P1").await;
    let unit = here.unit("P1").await.item.id;
    let given = here.trace.identify(unit, person()).await.expect("given");
    let again = here.trace.identify(unit, person()).await.expect_err("once");
    assert!(matches!(again, NotDone::Conflict(..)), "{again}");
    let accounts = &here.trace.parts.accounts;
    let comes = |password: &str, client: &str| {
        accounts.authenticate_device(Some(&given.user), Some(password), client, None).is_some()
    };
    assert!(comes(&given.password, &unit.to_string()));
    assert!(!comes(&given.password, "another") && !comes("guess", &unit.to_string()));
    assert!(here.unit("P1").await.identity_given_ms.is_some());
    assert_eq!(here.told().await.iter().filter(|(action, ..)| action == "identity").count(), 1);
}

#[tokio::test]
async fn two_movements_of_one_moment_are_two_and_one_that_is_asked_twice_is_one() {
    let here = Here::new().await;
    let receipt = ReceiptWish {
        key: new_id(&*here.bed.clock),
        material: "VALVE".to_owned(),
        revision: None,
        number: "V-7".to_owned(),
        quantity: 10.0,
        place: Some("store".to_owned()),
        state: "Released".to_owned(),
    };
    let lot = here.trace.receive(receipt, person()).await.expect("received").item.id;
    let wish = || MoveWish {
        key: new_id(&*here.bed.clock),
        quantity: Some(1.5),
        from: Some("store".to_owned()),
        to: Some("line".to_owned()),
    };
    // The clock stands still.
    let first = wish();
    for asked in [first.clone(), wish(), first.clone()] {
        here.trace.carry(lot, asked, person()).await.expect("carried");
    }
    let lies = here.trace.lot(lot).await.expect("the lot").stock;
    let lies: Vec<_> = lies.iter().map(|stock| (stock.place.as_str(), stock.quantity)).collect();
    assert_eq!(lies, [("line", 3.0), ("store", 7.0)]);
    let other = MoveWish { quantity: Some(2.0), ..first };
    assert!(matches!(here.trace.carry(lot, other, person()).await, Err(NotDone::Conflict(..))), "another of that key");
    let too_much = MoveWish { quantity: Some(7.5), ..wish() };
    assert!(matches!(here.trace.carry(lot, too_much, person()).await, Err(NotDone::Conflict(..))));
    let page = here.trace.moves(lot, None, 2).await.expect("a page");
    let rest = here.trace.moves(lot, page.next.clone(), 2).await.expect("the rest");
    let told: Vec<_> = page.moves.iter().chain(&rest.moves).map(|one| (one.from.as_deref(), one.quantity)).collect();
    assert_eq!((told, rest.next), (vec![(Some("store"), 1.5), (Some("store"), 1.5), (None, 10.0)], None));
    assert!(matches!(here.trace.moves(lot, Some("x".to_owned()), 2).await, Err(NotDone::Asked(_))));
    let moved = here.told().await.into_iter().filter(|(action, ..)| action == "moved").collect::<Vec<_>>();
    assert_eq!(moved.len(), 2, "each is told once: {moved:?}");
    assert_eq!(moved[0].2, "1.5 from store to line");
}

#[tokio::test]
async fn a_part_is_exchanged_and_what_is_taken_out_is_looked_at_before_it_is_used_again() {
    let mut here = Here::new().await;
    here.run_order().await;
    here.hear("9 mount state 6, 20 mount serial P1, 20 mount valve V-7, 20 mount motor M-1").await;
    here.hear("30 mount serial P2, 30 mount motor M-2").await;
    here.bed.clock.set(at(60));
    let unit = here.unit("P1").await;
    let motor = unit.as_maintained.iter().find(|part| part.position == "motor").expect("a motor");
    let spare = here.unit("P2").await;
    let other = spare.as_maintained.iter().find(|part| part.position == "motor").expect("a motor");
    let wish = |part: &andon_api::ports::trace::PartView, with| ExchangeWish {
        key: new_id(&*here.bed.clock),
        part: part.item.id,
        position: "motor".to_owned(),
        put_in_ms: part.at_ms,
        with,
        reason: "hums".to_owned(),
    };
    let id = unit.item.id;
    let with = Some(other.item.id);
    let refused = here.trace.exchange(id, wish(motor, with), person()).await;
    assert!(matches!(refused, Err(NotDone::Conflict(..))), "it is in the other pump: {refused:?}");
    assert_eq!(here.unit("P1").await.as_maintained.len(), 2, "and nothing was taken out");
    here.trace.exchange(spare.item.id, wish(other, None), person()).await.expect("taken out");
    let decision =
        DecisionWish { key: new_id(&*here.bed.clock), state: "Released".to_owned(), reason: "good".to_owned() };
    let asked = wish(motor, with);
    let refused = here.trace.exchange(id, asked.clone(), person()).await;
    assert!(matches!(refused, Err(NotDone::Conflict(..))), "it is in quarantine: {refused:?}");
    here.trace.decide(other.item.id, decision, person()).await.expect("decided");
    let done = here.trace.exchange(id, asked.clone(), person()).await.expect("exchanged");
    assert_eq!(here.trace.exchange(id, asked, person()).await.expect("the same again"), done);
    let now_in: BTreeSet<_> = done.as_maintained.iter().map(|part| part.item.number.as_str()).collect();
    assert_eq!(now_in, BTreeSet::from(["M-2", "V-7"]));
    let out = here.trace.lot(motor.item.id).await.expect("the old one");
    assert_eq!(
        (out.item.state.as_str(), out.decisions[0].reason.as_str()),
        ("Quarantine", "taken out of PUMP P1: hums")
    );
    assert_eq!(here.bed.store.trace_check().await.expect("checked"), []);
}

/// A meter at the test station alone, and one at the packing station that is not heard for long.
const METERS: &str = r#"
[[meter]]
name = "test"
at = "works/line/test"
tag = "works/line/test/kwh"
[[meter]]
name = "pack"
at = "works/line/pack"
tag = "works/line/pack/gas"
carrier = "gas"
factor = 10.0
"#;

#[tokio::test]
async fn a_certificate_tells_the_energy_of_the_stays_at_metered_stations() {
    let mut here = metered().await;
    let meters = here.bed.mes.meters().clone();
    // The test station draws a kWh in 100 s, from 0 to 300; P1 is there from 100 to 120, and so are 0.2 kWh of it.
    for second in (0..=300).step_by(20) {
        here.say(&format!("{second} test kwh {}", f64::from(second) / 100.0)).await;
    }
    here.say("0 pack gas 1").await;
    for said in ["100 test serial P0", "90 mount serial P1", "120 test serial P1", "140 pack serial P1"] {
        here.say(said).await;
    }
    here.go_on().await;
    here.bed.clock.set(at(400));
    here.go_on().await;
    assert!(here.unit("P1").await.certificates.is_empty(), "what meters said is not read yet");
    while meters.round(true).await.expect("a round") {}
    here.go_on().await;
    let told = energy_of(&here, "P1").await;
    assert_eq!(told, [told_of("0.2", "metered")], "gas was not heard until the end");
}

#[tokio::test]
async fn energy_of_a_stay_of_which_a_meter_was_not_heard_from_the_beginning_is_left_out() {
    let mut here = metered().await;
    let meters = here.bed.mes.meters().clone();
    // P1 is there from 100 to 120, and what was drawn until 110 nobody knows.
    for said in ["100 test serial P0", "90 mount serial P1", "120 test serial P1", "140 pack serial P1"] {
        here.say(said).await;
    }
    for second in (110..=300).step_by(10) {
        here.say(&format!("{second} test kwh {}", f64::from(second) / 100.0)).await;
    }
    while meters.round(true).await.expect("a round") {}
    here.go_on().await;
    here.bed.clock.set(at(7_200));
    here.go_on().await;
    assert_eq!(energy_of(&here, "P1").await, [], "a part is not told as if it were all");
}

/// Energy of a certificate, as its texts: carrier, quantity, unit, basis.
type Told = (String, String, String, Option<String>);

fn told_of(quantity: &str, basis: &str) -> Told {
    ("electricity".to_owned(), quantity.to_owned(), "kW.h".to_owned(), Some(basis.to_owned()))
}

/// The energy in the first certificate of a unit.
async fn energy_of(here: &Here, serial: &str) -> Vec<Told> {
    let unit = here.unit(serial).await;
    let brief = unit.certificates.first().expect("a certificate");
    let file = here.trace.certificate(brief.number.clone()).await.expect("the file");
    let certificate = checked(&file.bytes, here.key());
    let told = |energy: &andon_mes::certificate::Energy| {
        let basis = energy.basis.as_ref().map(|basis| basis.as_str().to_owned());
        (energy.carrier.as_str().to_owned(), energy.quantity.to_string(), energy.unit.code().to_owned(), basis)
    };
    certificate.content().energy.iter().map(told).collect()
}

/// A plant with meters at two of its stations, and its order.
async fn metered() -> Here {
    let tags = r#"tag = [{ path = "works/line/test/kwh", type = "double", unit = "kW.h" }, { path = "works/line/pack/gas", type = "double", unit = "m3" },"#;
    let plant = format!("{}{METERS}", PLANT.replace("tag = [\n", tags));
    let here = Here::over(Testbed::new_at(at(-600), &plant).await).await;
    here.run_order().await;
    here
}

/// Four units are tested, one a minute, while the station draws a kWh in the first of these minutes and nothing after it; certificates are
/// made as they become due. What they tell.
async fn one_a_minute(read_every: i32) -> Vec<Told> {
    let mut here = metered().await;
    let meters = here.bed.mes.meters().clone();
    here.say("0 test kwh 0").await;
    here.say("1 mount serial P1, 2 mount serial P2, 3 mount serial P3, 4 mount serial P4").await;
    for second in (5..=300).step_by(5) {
        let mut said = Vec::new();
        if (second - 5) % read_every == 0 {
            said.push(format!("{second} test kwh {}", f64::from((second - 5).min(50)) / 50.0));
        }
        if second % 60 == 0 && second <= 240 {
            said.push(format!("{second} test serial P{0}, {1} pack serial P{0}", second / 60, second + 2));
        }
        if said.is_empty() {
            continue;
        }
        here.say(&said.join(", ")).await;
        while meters.round(true).await.expect("a round") {}
        here.go_on().await;
    }
    let mut told = Vec::new();
    for serial in ["P1", "P2", "P3", "P4"] {
        told.extend(energy_of(&here, serial).await);
    }
    told
}

#[tokio::test]
async fn what_was_drawn_for_one_unit_is_in_the_certificate_of_no_other() {
    let nothing = || told_of("0", "metered");
    assert_eq!(one_a_minute(5).await, [told_of("1", "metered"), nothing(), nothing(), nothing()]);
    // Read seldom, what was counted where one stay ends and the next begins is shared: that is said, and nothing is told twice.
    let seldom = one_a_minute(25).await;
    let sum: f64 = seldom.iter().map(|(_, quantity, ..)| quantity.parse::<f64>().expect("a number")).sum();
    assert!(0.9 < sum && sum <= 1.0, "{seldom:?}");
    assert!(seldom.iter().all(|(.., basis)| basis.as_deref() == Some("estimated")), "{seldom:?}");
}

#[tokio::test]
async fn a_container_that_stands_elsewhere_is_refused_however_often_it_is_asked() {
    let here = Here::new().await;
    let make = |key: u128, number: &str, place: Option<&str>| {
        let (number, place) = (number.to_owned(), place.map(str::to_owned));
        let wish = ContainerWish { key: Uuid::from_u128(key), material: "BOX".to_owned(), number, place };
        here.trace.make_container(wish, person())
    };
    let made = make(1, "B-1", Some("hall")).await.expect("made");
    make(2, "B-2", None).await.expect("made, nobody knows where");
    for (key, number, words) in [(3, "B-1", "in hall"), (4, "B-2", "nobody has said where it stands")] {
        for _ in 0..2 {
            match make(key, number, Some("yard")).await {
                Err(NotDone::Conflict(text, _)) => assert!(text.contains(words), "{text}"),
                other => panic!("it is refused, but {other:?}"),
            }
        }
    }
    make(5, "B-1", Some("hall")).await.expect("it is there");
    // What was done before is no refusal when it is sent again, wherever the container has gone since.
    let carry = MoveWish { key: key(6), quantity: None, from: Some("hall".to_owned()), to: Some("yard".to_owned()) };
    here.trace.carry(made.lot.item.id, carry, person()).await.expect("carried");
    let again = make(1, "B-1", Some("hall")).await.expect("the same again");
    assert_eq!(again.lot.item.place.as_deref(), Some("yard"));
}
