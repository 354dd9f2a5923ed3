//! Kept reports: once for a request and once for a window, found by branch and page, as they were signed; and the units of an order.

use crate::fakes::{Base, note, on_both};
use crate::trace::{at, id, made, make, take_all, unit};
use andon_model::Timestamp;
use andon_store::logbook::Key;
use andon_store::report::{NewReport, OwedReport, ReportFilter, ReportKept, ReportRepository, ReportRow};
use andon_store::trace::{CertificateState, NewCertificate, NewItem, NewPass, Step, TraceRepository};
use andon_store::{OutboxRepository, Store};
use serde_json::Map;
use std::collections::BTreeMap;
use uuid::Uuid;

on_both! {
    a_report_is_kept_once_for_a_request_and_comes_back_as_it_was_signed
    a_schedule_has_one_report_of_a_window_and_knows_its_last
    what_could_not_be_made_is_owed_until_it_is_made_or_too_old
    the_time_that_counts_is_saved
    files_are_told_page_by_page_and_without_folders_that_failed
    reports_are_found_by_branch_kind_order_window_and_page
    what_is_kept_long_enough_goes_the_oldest_first_and_the_rest_stays
    units_of_an_order_are_listed_page_by_page_with_the_certificate_that_holds
}

fn us(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros)
}

/// A report of a window of 100 µs.
fn report(number: u128, path: &str, from: i64) -> NewReport {
    NewReport {
        row: ReportRow {
            id: Uuid::from_u128(number),
            kind: "shift".to_owned(),
            path: path.to_owned(),
            subject: String::new(),
            shift: Some("Früh".to_owned()),
            from: us(from),
            to: us(from + 100),
            made_at: us(from + 150),
            by: Some(Uuid::from_u128(5)),
            schedule: None,
            replaces: None,
            replaced_by: None,
            size: 0,
        },
        key: Some(Key { key: Uuid::from_u128(number), content: [7; 32] }),
        content: format!("{{\"n\":{number}}}").into_bytes(),
        signature: [u8::try_from(number).unwrap(); 64],
        key_id: "00ff".to_owned(),
        folder: None,
        event: note(number, path),
    }
}

fn of_schedule(number: u128, from: i64) -> NewReport {
    let mut new = report(number, "works/line", from);
    (new.row.by, new.row.schedule, new.key) = (None, Some("line".to_owned()), None);
    new.folder = Some("shifts".to_owned());
    new
}

async fn kept(store: &Store, new: NewReport) -> ReportRow {
    match store.report_keep(new).await.unwrap() {
        ReportKept::Now(row) => row,
        other => panic!("{other:?}"),
    }
}

async fn found(store: &Store, filter: ReportFilter) -> Vec<u128> {
    store.reports(filter).await.unwrap().iter().map(|row| row.id.as_u128()).collect()
}

fn of(branches: &[&str]) -> ReportFilter {
    ReportFilter::of(branches.iter().map(|branch| (*branch).to_owned()).collect(), 100)
}

async fn a_report_is_kept_once_for_a_request_and_comes_back_as_it_was_signed(base: Base) {
    let store = base.open().await;
    let first = kept(&store, report(1, "works/line", 0)).await;
    assert_eq!((first.size, first.replaced_by), (7, None));
    let waiting = store.outbox_pending(10).await.unwrap().len();
    let mut again = report(2, "works/line", 0);
    again.key = report(1, "works/line", 0).key;
    assert_eq!(store.report_keep(again.clone()).await.unwrap(), ReportKept::Before(first.clone()));
    again.key = again.key.map(|key| Key { content: [8; 32], ..key });
    assert_eq!(store.report_keep(again).await.unwrap(), ReportKept::KeyUsed);
    assert_eq!(store.outbox_pending(10).await.unwrap().len(), waiting, "nothing was told twice");

    let mut second = report(3, "works/line", 0);
    second.row.replaces = Some(first.id);
    kept(&store, second).await;
    store.close().await.unwrap();
    let store = base.open().await;
    let whole = store.report(first.id).await.unwrap().unwrap();
    assert_eq!(
        (whole.content.as_slice(), whole.signature, whole.key_id.as_str()),
        (&b"{\"n\":1}"[..], [1; 64], "00ff")
    );
    assert_eq!(whole.row.replaced_by, Some(Uuid::from_u128(3)));
    assert_eq!(whole.row.shift.as_deref(), Some("Früh"));
    let newest = store.report_of_window("shift", "works/line", "", Some((us(0), us(100))), None).await.unwrap();
    assert_eq!(newest.map(|row| row.id), Some(Uuid::from_u128(3)));
    assert_eq!(store.report_of_window("shift", "works/line", "", Some((us(0), us(99))), None).await.unwrap(), None);
    assert_eq!(store.report_of_window("day", "works/line", "", None, None).await.unwrap(), None);
    assert_eq!(store.report(Uuid::from_u128(9)).await.unwrap(), None);
    let (asked, row) = store.report_of_key(Uuid::from_u128(1)).await.unwrap().unwrap();
    assert_eq!((asked, row.id), ([7; 32], first.id));
}

async fn a_schedule_has_one_report_of_a_window_and_knows_its_last(base: Base) {
    let store = base.open().await;
    assert_eq!(store.report_upto("line", us(999)).await.unwrap(), None);
    let first = kept(&store, of_schedule(1, 0)).await;
    assert_eq!(store.report_keep(of_schedule(2, 0)).await.unwrap(), ReportKept::Before(first));
    kept(&store, of_schedule(3, 100)).await;
    // A person's of the same window is another.
    kept(&store, report(4, "works/line", 100)).await;
    let id = |row: Option<ReportRow>| row.map(|row| row.id.as_u128());
    for (latest, upto) in [(99, None), (100, Some(100)), (199, Some(100)), (200, Some(200)), (999, Some(200))] {
        assert_eq!(store.report_upto("line", us(latest)).await.unwrap(), upto.map(us), "{latest}");
    }
    assert_eq!(id(store.report_last("line").await.unwrap()), Some(3));
    let all = store.report_windows("line", us(0)).await.unwrap();
    assert_eq!(all, [(us(0), us(100)), (us(100), us(200))]);
    assert_eq!(store.report_windows("line", us(101)).await.unwrap(), [(us(100), us(200))]);
    let waiting = |id: u128| (Uuid::from_u128(id), "shifts".to_owned());
    assert_eq!(store.report_files(None, &[], 10).await.unwrap(), [waiting(1), waiting(3)]);
    store.report_written(Uuid::from_u128(1)).await.unwrap();
    assert_eq!(store.report_files(None, &[], 10).await.unwrap(), [waiting(3)]);
    // A schedule takes the place of none of another's; a person may.
    let of_window = |schedule| store.report_of_window("shift", "works/line", "", Some((us(0), us(100))), schedule);
    assert_eq!(id(of_window(Some("line")).await.unwrap()), Some(1));
    assert_eq!(id(of_window(Some("other")).await.unwrap()), None);
    assert_eq!(id(of_window(None).await.unwrap()), Some(1));
}

async fn what_could_not_be_made_is_owed_until_it_is_made_or_too_old(base: Base) {
    let store = base.open().await;
    let owed =
        |from, shift: Option<&str>| OwedReport { from: us(from), to: us(from + 100), shift: shift.map(str::to_owned) };
    for row in [owed(100, None), owed(0, Some("Früh")), owed(0, Some("Früh"))] {
        store.report_owe("line", row).await.unwrap();
    }
    assert_eq!(store.reports_owed("line", us(0)).await.unwrap(), [owed(0, Some("Früh")), owed(100, None)]);
    assert_eq!(store.reports_owed("other", us(0)).await.unwrap(), []);
    kept(&store, of_schedule(1, 0)).await;
    assert_eq!(store.reports_owed("line", us(0)).await.unwrap(), [owed(100, None)], "the other was made");
    assert_eq!(store.reports_owed("line", us(201)).await.unwrap(), [], "nobody waits for it any more");
    assert_eq!(store.reports_owed("line", us(0)).await.unwrap(), []);
}

async fn the_time_that_counts_is_saved(base: Base) {
    let store = base.open().await;
    assert_eq!(store.report_counted().await.unwrap(), None);
    store.report_count(us(7)).await.unwrap();
    store.report_count(us(5)).await.unwrap();
    store.close().await.unwrap();
    assert_eq!(base.open().await.report_counted().await.unwrap(), Some(us(5)));
}

async fn files_are_told_page_by_page_and_without_folders_that_failed(base: Base) {
    let store = base.open().await;
    for (number, folder) in [(1, "a"), (2, "a"), (3, "b"), (4, "c")] {
        let new = of_schedule(number, i64::try_from(number).unwrap() * 100);
        kept(&store, NewReport { folder: Some(folder.to_owned()), ..new }).await;
    }
    let told = async |after: Option<u128>, without: &[&str], most| {
        let without: Vec<String> = without.iter().map(|folder| (*folder).to_owned()).collect();
        let files = store.report_files(after.map(Uuid::from_u128), &without, most).await.unwrap();
        files.into_iter().map(|(id, _)| id.as_u128()).collect::<Vec<_>>()
    };
    assert_eq!(told(None, &[], 3).await, [1, 2, 3]);
    assert_eq!(told(Some(3), &[], 3).await, [4]);
    assert_eq!(told(None, &["a"], 3).await, [3, 4]);
    assert_eq!(told(Some(3), &["a", "c"], 3).await, [] as [u128; 0]);
}

async fn reports_are_found_by_branch_kind_order_window_and_page(base: Base) {
    let store = base.open().await;
    kept(&store, report(1, "works/line1", 0)).await;
    kept(&store, report(2, "works/line10", 100)).await;
    let mut day = report(3, "works", 200);
    day.row.kind = "day".to_owned();
    kept(&store, day).await;
    let mut order = report(4, "works/line1/press", 300);
    (order.row.kind, order.row.subject) = ("order".to_owned(), "4711".to_owned());
    kept(&store, order).await;
    kept(&store, of_schedule(5, 400)).await;
    assert_eq!(found(&store, of(&[""])).await, [5, 4, 3, 2, 1]);
    assert_eq!(found(&store, of(&["works/line1"])).await, [4, 1]);
    assert_eq!(found(&store, of(&["works/line1", "works/line10"])).await, [4, 2, 1]);
    assert_eq!(found(&store, of(&[])).await, [] as [u128; 0]);
    assert_eq!(found(&store, ReportFilter { kinds: vec!["day".to_owned()], ..of(&["works"]) }).await, [3]);
    assert_eq!(found(&store, ReportFilter { subject: Some("4711".to_owned()), ..of(&[""]) }).await, [4]);
    assert_eq!(found(&store, ReportFilter { schedule: Some("line".to_owned()), ..of(&[""]) }).await, [5]);
    // A window touches with its first instant and not with the first after it.
    assert_eq!(found(&store, ReportFilter { window: (us(100), us(201)), ..of(&[""]) }).await, [3, 2]);
    assert_eq!(found(&store, ReportFilter { limit: 2, ..of(&[""]) }).await, [5, 4]);
    assert_eq!(found(&store, ReportFilter { after: Some(Uuid::from_u128(4)), limit: 2, ..of(&[""]) }).await, [3, 2]);
}

async fn what_is_kept_long_enough_goes_the_oldest_first_and_the_rest_stays(base: Base) {
    let store = base.open().await;
    for (number, from) in [(1, 0), (2, 100), (3, 200)] {
        kept(&store, of_schedule(number, from)).await;
    }
    kept(&store, report(4, "works/line", 0)).await;
    assert_eq!(store.reports_forget("line", us(300), 1).await.unwrap(), 1);
    assert_eq!(found(&store, of(&["works"])).await, [4, 3, 2]);
    assert_eq!(store.reports_forget("line", us(300), 10).await.unwrap(), 1);
    assert_eq!(store.reports_forget("line", us(300), 10).await.unwrap(), 0);
    assert_eq!(found(&store, of(&[""])).await, [4, 3], "nobody's schedule keeps what a person asked for");
    let left: Vec<_> =
        store.report_files(None, &[], 10).await.unwrap().into_iter().map(|(id, _)| id.as_u128()).collect();
    assert_eq!(left, [3]);
}

async fn units_of_an_order_are_listed_page_by_page_with_the_certificate_that_holds(base: Base) {
    let store = base.open().await;
    let of_job =
        |number: &str, key: u128, job: Option<Uuid>| Step::Item(NewItem { job, ..made(&unit(number), key, Some(1)) });
    let pass = |number: &str| {
        Step::Pass(NewPass {
            unit: unit(number),
            equipment: "works/line/test".to_owned(),
            at: at(5),
            job: Some(id(77)),
            operation: None,
            passed: Some(true),
            measures: Map::new(),
            firmware: BTreeMap::new(),
            last: true,
        })
    };
    let steps = vec![
        of_job("U1", 1, Some(id(77))),
        of_job("U2", 2, Some(id(78))),
        of_job("U3", 3, Some(id(77))),
        of_job("U4", 4, Some(id(99))),
        of_job("U5", 5, None),
        make(&crate::trace::lot("L"), 6, Some(9)),
        pass("U1"),
        pass("U3"),
    ];
    take_all(&store, steps).await;
    for (turn, number) in [(8, "C-1"), (9, "C-2")] {
        let certificate = NewCertificate {
            unit: unit("U1"),
            number: number.to_owned(),
            issued_at: at(turn),
            sha256: [u8::try_from(turn).unwrap(); 32],
            key_id: "k".to_owned(),
            bytes: b"{}".to_vec(),
        };
        store.trace_certify(certificate, true, note(u128::from(turn.unsigned_abs()) + 500, "works")).await.unwrap();
    }
    let jobs = vec![id(77), id(78), id(12345)];
    let all = store.trace_units_of(jobs.clone(), None, 100).await.unwrap();
    let told: Vec<_> = all
        .iter()
        .map(|unit| {
            let certificate = unit.certificate.as_ref().map(|brief| (brief.number.as_str(), brief.sha256[0]));
            (unit.item.name.number.as_str(), unit.finished.clone(), certificate)
        })
        .collect();
    assert_eq!(
        told,
        [
            ("U3", Some((at(5), CertificateState::Due)), None),
            ("U2", None, None),
            ("U1", Some((at(5), CertificateState::Issued)), Some(("C-2", 9))),
        ]
    );
    let names = |units: Vec<andon_store::trace::UnitOfJob>| {
        units.into_iter().map(|unit| unit.item.name.number).collect::<Vec<_>>()
    };
    assert_eq!(names(store.trace_units_of(jobs.clone(), None, 2).await.unwrap()), ["U3", "U2"]);
    assert_eq!(names(store.trace_units_of(jobs.clone(), Some(id(2)), 2).await.unwrap()), ["U1"]);
    assert_eq!(names(store.trace_units_of(jobs, Some(id(1)), 2).await.unwrap()), [] as [&str; 0]);
    assert_eq!(names(store.trace_units_of(Vec::new(), None, 2).await.unwrap()), [] as [&str; 0]);
}
