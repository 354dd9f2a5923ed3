//! What meters counted: kept with how far that is, or not at all, and found again.

use crate::fakes::{Base, on_both};
use andon_model::log::{Lane, Seq};
use andon_store::OutboxRepository;
use andon_store::energy::{EnergyKeep, EnergyRepository, READER, StoredQuarter, StoredSum};

on_both! {
    a_meter_keeps_its_number_and_what_it_said
    many_meters_are_kept_at_once_each_with_what_it_said
    quarter_hours_are_replaced_and_found_by_meter_and_time
    what_cannot_be_kept_moves_nothing
}

fn names(names: &[&str]) -> Vec<String> {
    names.iter().map(|name| (*name).to_owned()).collect()
}

fn quarter(meter: u32, quarter: i64, energy: i64) -> StoredQuarter {
    StoredQuarter { meter, quarter, energy, estimated: 1, from_us: 2, to_us: 900_000_000, metered_us: 3 }
}

async fn a_meter_keeps_its_number_and_what_it_said(base: Base) {
    let store = base.open().await;
    let meters = store.energy_meters(names(&["main", "line", "main"])).await.unwrap();
    let numbers: Vec<u32> = meters.iter().map(|meter| meter.number).collect();
    assert_eq!(numbers, [1, 2, 1]);
    assert!(meters.iter().all(|meter| meter.heard.is_empty()));
    let heard = vec![(2, "{\"ä\":1}".to_owned())];
    store.energy_keep(EnergyKeep { heard, upto: Some(Seq(7)), ..EnergyKeep::default() }).await.unwrap();
    let meters = store.energy_meters(names(&["line", "gas"])).await.unwrap();
    assert_eq!((meters[0].number, meters[0].heard.as_str()), (2, "{\"ä\":1}"));
    assert_eq!((meters[1].number, meters[1].name.as_str()), (3, "gas"));
    assert_eq!(store.applied(READER, Lane::Samples).await.unwrap(), Seq(7));
}

async fn many_meters_are_kept_at_once_each_with_what_it_said(base: Base) {
    let store = base.open().await;
    let all: Vec<String> = (1..=150).map(|number| format!("m{number}")).collect();
    store.energy_meters(all.clone()).await.unwrap();
    // All but the last.
    let heard = (1..150).map(|number| (number, format!("{{\"said\":{number}}}"))).collect();
    store.energy_keep(EnergyKeep { heard, ..EnergyKeep::default() }).await.unwrap();
    for meter in store.energy_meters(all).await.unwrap() {
        let wanted = if meter.number < 150 { format!("{{\"said\":{}}}", meter.number) } else { String::new() };
        assert_eq!((&meter.name, meter.heard), (&format!("m{}", meter.number), wanted));
    }
}

async fn quarter_hours_are_replaced_and_found_by_meter_and_time(base: Base) {
    let store = base.open().await;
    store.energy_meters(names(&["main", "line"])).await.unwrap();
    let many: Vec<StoredQuarter> = (0..200).map(|number| quarter(1, number, number)).collect();
    let keep = |quarters: Vec<StoredQuarter>| EnergyKeep { quarters, upto: None, ..EnergyKeep::default() };
    store.energy_keep(keep(many)).await.unwrap();
    store.energy_keep(keep(vec![quarter(1, 5, 500), quarter(2, 5, 50), quarter(2, -3, 9)])).await.unwrap();
    let found = store.energy_quarters(&[1, 2], 4, 7).await.unwrap();
    assert_eq!(found, [quarter(1, 4, 4), quarter(1, 5, 500), quarter(2, 5, 50), quarter(1, 6, 6)]);
    assert_eq!(store.energy_quarters(&[2], i64::MIN, i64::MAX).await.unwrap(), [quarter(2, -3, 9), quarter(2, 5, 50)]);
    assert_eq!(store.energy_quarters(&[1], 0, 200).await.unwrap().len(), 200);
    assert_eq!(store.energy_quarters(&[], 0, 200).await.unwrap(), []);
    let sums = store.energy_sums(&[1, 2, 3], 4, 7).await.unwrap();
    let sum = |meter, energy, rows| StoredSum { meter, energy, estimated: rows, metered_us: 3 * rows };
    assert_eq!(sums, [sum(1, 510, 3), sum(2, 50, 1)]);
    assert_eq!(store.applied(READER, Lane::Samples).await.unwrap(), Seq(0), "they went before");
}

async fn what_cannot_be_kept_moves_nothing(base: Base) {
    let store = base.open().await;
    store.energy_meters(names(&["main"])).await.unwrap();
    let heard = vec![(1, "{}".to_owned())];
    // There is no meter 9.
    let keep = EnergyKeep { heard, quarters: vec![quarter(1, 1, 1), quarter(9, 1, 1)], upto: Some(Seq(4)) };
    assert!(store.energy_keep(keep).await.is_err());
    assert_eq!(store.energy_quarters(&[1, 9], 0, 10).await.unwrap(), []);
    assert_eq!(store.energy_meters(names(&["main"])).await.unwrap()[0].heard, "");
    assert_eq!(store.applied(READER, Lane::Samples).await.unwrap(), Seq(0));
}
