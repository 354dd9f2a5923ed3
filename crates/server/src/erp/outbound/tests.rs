//! A link over hours and months that a test turns by hand: what is sent, what waits, what is given up.

use super::*;
use crate::mes::testbed::{EXECUTE, Testbed, at};
use crate::notes::Note;
use andon_api::ports::orders::{BY_PERSON, JobTrigger, OrderView, OrderWish, TriggerWish};
use andon_model::event::OrderChange;
use std::path::PathBuf;
use tokio::sync::mpsc;

fn event(what: What) -> Event {
    let (id, at) = (Uuid::nil(), Timestamp::default());
    Event { id, at, source_at: None, path: String::new(), by: Principal::SYSTEM, what }
}

fn job(action: &str, state: JobState) -> Event {
    event(What::Job(JobChange {
        job: Uuid::nil(),
        number: "4711/10".to_owned(),
        action: action.to_owned(),
        state: state.to_string(),
        good_millionths: 0,
        scrap_millionths: 0,
        rework_millionths: 0,
        reason: None,
        detail: None,
    }))
}

#[test]
fn an_erp_is_told_of_beginnings_and_ends_and_of_what_is_put_right_after() {
    use andon_mes::job::{Ending, Interruption};
    let ended = JobState::Ended(Ending::Completed);
    for (action, state, told) in [
        ("begin", JobState::Running, true),
        ("pause", JobState::Interrupted(Interruption::Held), false),
        ("count", JobState::Running, false),
        ("stop", ended, true),
        ("count", ended, true),
        ("abort", JobState::Aborted, true),
        ("close", JobState::Ended(Ending::Closed), true),
        ("seen", JobState::Running, false),
    ] {
        let wanted = told.then_some(About::Job(Uuid::nil(), state));
        assert_eq!(about(&job(action, state)), wanted, "{action} {state}");
    }
    let order = |action: &str| {
        let (number, state) = ("4711".to_owned(), "Closed".to_owned());
        about(&event(What::Order(OrderChange {
            order: Uuid::nil(),
            number,
            action: action.to_owned(),
            state,
            detail: None,
        })))
    };
    assert_eq!([order("created"), order("closed"), order("cancelled")], [None, Some(About::Order), Some(About::Order)]);
}

const PLANT: &str = r#"
equipment = [{ path = "works", level = "site" }, { path = "works/line", level = "work_center" }, { path = "works/line/press", level = "work_unit" }, { path = "works/line/saw", level = "work_unit" }]
tag = [{ path = "works/line/press/state", type = "int64" }, { path = "works/line/press/good", type = "int64" }]
[[machine]]
equipment = "works/line/press"
state = { tag = "works/line/press/state", packml = true }
good = { tag = "works/line/press/good" }
[[machine]]
equipment = "works/line/saw"
[[material]]
name = "BOLT"
operation = [{ name = "10", equipment = ["works/line/press"], run_time = "6 s" }]
[[material]]
name = "ROD"
operation = [{ name = "10", equipment = ["works/line/saw"], run_time = "6 s" }]
"#;

/// A link to a folder.
struct Here {
    bed: Testbed,
    link: Arc<Outbound>,
    place: Place,
    folder: PathBuf,
    said: mpsc::Receiver<Note>,
}

impl Here {
    async fn new(counts: Option<Duration>) -> Self {
        let bed = Testbed::new(PLANT).await;
        let folder = bed.folder.path().join("out");
        let link = Link {
            name: "files".to_owned(),
            target: Some(Target::Folder(folder.clone())),
            in_folder: None,
            branches: vec![String::new()],
            verb: Said::Process,
            counts,
            all_orders: false,
            keep: Duration::from_secs(90 * 86_400),
        };
        let (notes, said) = Notes::new();
        let parts = Parts {
            rules: Arc::default(),
            log: bed.log.clone(),
            store: bed.store.clone(),
            mes: bed.mes.clone(),
            secrets: Secrets::open(bed.folder.path()).expect("no secrets"),
            recorder: bed.recorder.clone(),
            clock: bed.clock.clone(),
            notes,
        };
        let link = Outbound::new(link, parts);
        let place = link.begin().await.expect("a place");
        Self { bed, link, place, folder, said }
    }

    /// An order of the ERP's or of a person's begins.
    async fn begins(&self, number: &str, material: &str, source: &'static str) {
        let wish = OrderWish {
            number: number.to_owned(),
            material: material.to_owned(),
            revision: None,
            quantity: 10.0,
            due: None,
            priority: 5,
            note: String::new(),
            release: true,
            source,
        };
        let order: OrderView = self.bed.mes.make(wish, Principal::SYSTEM).await.expect("made").1;
        let job = &order.jobs[0];
        let begin = TriggerWish {
            what: JobTrigger::Begin,
            version: job.version,
            key: job.id,
            reason: None,
            why: None,
            prepared: None,
            equipment: None,
        };
        self.bed.mes.trigger(job.id, begin, Principal::SYSTEM).await.expect("begun");
    }

    /// Goes on until there is nothing to be done at once.
    async fn goes_on(&mut self) {
        while self.link.step(&mut self.place).await == Next::Now {}
    }

    /// What has come so far: in each message which orders, with how many good items.
    fn came(&self) -> Vec<Vec<(String, String)>> {
        let mut names: Vec<_> =
            std::fs::read_dir(&self.folder).into_iter().flatten().map(|entry| entry.expect("a file").path()).collect();
        names.sort();
        let told = |path: &PathBuf| {
            let message = andon_b2mml::read(&std::fs::read(path).expect("read")).expect("a message").message;
            let DataArea::OperationsPerformance(_, all) = message.data_area else { panic!("no performance") };
            let good = |response: &OperationsResponse| {
                let segment = &response.segment_responses.iter().next().expect("a segment");
                (response.id.to_string(), segment.materials[0].quantities[0].amount.0.expect("an amount").to_string())
            };
            all.iter().flat_map(|one| one.responses.iter().map(good)).collect()
        };
        names.iter().map(told).collect()
    }
}

fn one(number: &str, good: &str) -> Vec<(String, String)> {
    vec![(number.to_owned(), good.to_owned())]
}

#[tokio::test]
async fn counts_of_what_runs_go_out_at_each_full_interval_in_which_nothing_newer_was_told() {
    let mut here = Here::new(Some(Duration::from_secs(900))).await;
    here.bed.at_minute(1, &[("press/state", EXECUTE), ("press/good", 100)]).await;
    here.goes_on().await;
    assert_eq!(here.came(), [[]; 0], "nothing runs");
    here.bed.at_minute(16, &[]).await;
    here.begins("A", "BOLT", BY_ERP).await;
    here.goes_on().await;
    assert_eq!(here.came(), [one("A", "0")]);
    here.bed.at_minute(29, &[("press/good", 103)]).await;
    here.goes_on().await;
    assert_eq!(here.came().len(), 1, "the interval is not over");
    for _ in 0..2 {
        here.bed.at_minute(31, &[]).await;
        here.goes_on().await;
        assert_eq!(here.came(), [one("A", "0"), one("A", "3")], "once for each interval");
    }
    // What a person has made is not the ERP's.
    here.begins("B", "ROD", BY_PERSON).await;
    here.bed.at_minute(44, &[("press/good", 105)]).await;
    here.bed.at_minute(46, &[]).await;
    here.goes_on().await;
    assert_eq!(here.came().last(), Some(&one("A", "5")));
    assert_eq!(here.came().len(), 3);
    assert_eq!(here.link.view().sent, 3);
}

#[tokio::test]
async fn what_waits_for_too_long_is_given_up_and_told_and_only_what_would_have_been_sent() {
    let mut here = Here::new(None).await;
    here.bed.at_minute(1, &[("press/state", EXECUTE), ("press/good", 100)]).await;
    // A file stands where the folder should be.
    std::fs::write(&here.folder, "in the way").expect("written");
    here.begins("A", "BOLT", BY_ERP).await;
    here.begins("B", "ROD", BY_PERSON).await;
    here.goes_on().await;
    assert_eq!((&*here.link.view().state, here.link.view().dropped), ("failing", 0));
    here.bed.clock.set(at(89 * 1440));
    here.goes_on().await;
    assert_eq!(here.link.view().dropped, 0, "it is kept for ninety days");
    here.bed.clock.set(at(91 * 1440));
    here.goes_on().await;
    let view = here.link.view();
    assert_eq!(
        (&*view.state, view.dropped, view.waiting),
        ("in_order", 1, 0),
        "the person's order was never to be sent"
    );
    let mut dropped = 0;
    while let Ok(note) = here.said.try_recv() {
        dropped += usize::from(note.action == "erp_dropped");
    }
    assert_eq!(dropped, 1);
    // Where it stands over a restart, and what comes then is sent.
    here.place = here.link.begin().await.expect("a place");
    std::fs::remove_file(&here.folder).expect("out of the way");
    let job = andon_api::ports::orders::Orders::order(&*here.bed.mes, "A".to_owned(), Uuid::nil())
        .await
        .expect("A")
        .jobs
        .remove(0);
    let stop = TriggerWish {
        what: JobTrigger::Stop,
        version: job.version,
        key: Uuid::from_u128(9),
        reason: None,
        why: None,
        prepared: None,
        equipment: None,
    };
    here.bed.mes.trigger(job.id, stop, Principal::SYSTEM).await.expect("stopped");
    here.goes_on().await;
    assert_eq!(here.came(), [one("A", "0")]);
    assert_eq!(here.link.view().dropped, 1);
}
