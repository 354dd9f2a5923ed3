//! Versions of the plant model and the identity of tags.

use crate::fakes::{Base, HandClock, on_both, plant, tag};
use andon_model::Timestamp;
use andon_model::access::{Principal, PrincipalKind};
use andon_model::event::{ConfigurationChange, What};
use andon_model::plant::Plant;
use andon_store::{ApplyError, OutboxRepository, PlantRepository, Store};
use std::collections::HashSet;
use uuid::Uuid;

on_both! {
    many_who_apply_at_once_lose_nothing
    a_new_store_has_the_empty_model
    a_change_makes_a_version_and_an_event_that_tell_who_what_and_why
    applying_the_same_model_again_changes_nothing
    of_two_who_start_from_the_same_version_the_second_is_told
    a_roll_back_is_a_new_version_with_the_old_ids
    a_number_is_never_given_to_another_tag
    a_rename_keeps_id_and_number_and_both_names_are_known_with_their_times
    a_model_that_hangs_in_the_air_is_refused
    an_event_of_very_many_changes_stays_small
}

const BY: Principal = Principal { id: Uuid::from_u128(77), kind: PrincipalKind::Person };

async fn apply(store: &Store, version: u64, plant: Plant) -> u64 {
    store.apply_plant(version, plant, BY, None).await.unwrap().version
}

async fn a_new_store_has_the_empty_model(base: Base) {
    let store = base.open().await;
    assert_eq!(store.current_plant().await.unwrap(), (Plant::default(), Vec::new()));
}

async fn a_change_makes_a_version_and_an_event_that_tell_who_what_and_why(base: Base) {
    let store = base.open().await;
    let applied = store.apply_plant(0, plant(&["b", "a"]), BY, Some("first".into())).await.unwrap();
    let lines: Vec<String> = applied.changes.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["+ equipment press", "+ tag press/a", "+ tag press/b"]);
    let events = store.outbox_pending(9).await.unwrap();
    assert_eq!(events.len(), 1);
    assert_eq!((Some(events[0].id), &events[0].by), (applied.event_id, &BY));
    let told = ConfigurationChange { version: 1, changes: lines, reason: Some("first".into()) };
    assert_eq!(events[0].what, What::Configuration(told));
    let version = &store.plant_versions(9).await.unwrap()[0];
    assert_eq!((version.version, &version.by, version.reason.as_deref()), (1, &BY, Some("first")));
    assert_eq!((version.event_id, &version.changes), (events[0].id, &applied.changes));
}

async fn applying_the_same_model_again_changes_nothing(base: Base) {
    let store = base.open().await;
    apply(&store, 0, plant(&["a"])).await;
    let again = store.apply_plant(1, plant(&["a"]), BY, None).await.unwrap();
    assert_eq!((again.version, again.changes.len(), again.event_id), (1, 0, None));
    assert_eq!(store.outbox_pending(9).await.unwrap().len(), 1);
}

async fn of_two_who_start_from_the_same_version_the_second_is_told(base: Base) {
    let store = base.open().await;
    apply(&store, 0, plant(&["a"])).await;
    let late = store.apply_plant(0, plant(&["b"]), BY, None).await.unwrap_err();
    assert!(matches!(late, ApplyError::Conflict { expected: 0, current: 1 }), "{late}");
    assert_eq!(store.current_plant().await.unwrap().0.tags[0].path.leaf(), "a");
    assert_eq!(store.outbox_pending(9).await.unwrap().len(), 1);
}

async fn many_who_apply_at_once_lose_nothing(base: Base) {
    let store = base.open().await;
    let mut tasks = tokio::task::JoinSet::new();
    for number in 0..8 {
        let store = store.clone();
        tasks.spawn(async move {
            // Each adds its own tag to whatever is there, until it gets through.
            loop {
                let (mut plant, _) = store.current_plant().await.unwrap();
                let (version, mine) = (plant.version, format!("tag{number}"));
                let (equipment, tags) = (crate::fakes::plant(&[]).equipment, plant.tags.clone());
                plant = Plant { equipment, tags, ..plant };
                plant.tags.push(tag(&mine));
                match store.apply_plant(version, plant, BY, None).await {
                    Ok(_) => return,
                    Err(ApplyError::Conflict { .. }) => {}
                    Err(error) => panic!("{error}"),
                }
            }
        });
    }
    while let Some(done) = tasks.join_next().await {
        done.unwrap();
    }
    let (plant, ids) = store.current_plant().await.unwrap();
    assert_eq!((plant.version, plant.tags.len()), (8, 8));
    assert_eq!(ids.iter().collect::<HashSet<_>>().len(), 8);
    assert_eq!(store.outbox_pending(99).await.unwrap().len(), 8);
}

async fn a_roll_back_is_a_new_version_with_the_old_ids(base: Base) {
    let store = base.open().await;
    apply(&store, 0, plant(&["a", "b"])).await;
    let (first, numbers) = store.current_plant().await.unwrap();
    apply(&store, 1, plant(&["c"])).await;
    let late = store.rollback(1, 1, BY, None).await;
    assert!(matches!(late, Err(ApplyError::Conflict { current: 2, .. })));
    let applied = store.rollback(1, 2, BY, Some("line stopped".into())).await.unwrap();
    let lines: Vec<String> = applied.changes.iter().map(ToString::to_string).collect();
    assert_eq!(
        (applied.version, lines),
        (3, vec!["+ tag press/a".into(), "+ tag press/b".into(), "- tag press/c".to_owned()])
    );
    let (plant, numbers_now) = store.current_plant().await.unwrap();
    assert_eq!((plant, numbers_now), (Plant { version: 3, ..first }, numbers));
    assert_eq!(store.plant_versions(1).await.unwrap()[0].reason.as_deref(), Some("back to version 1: line stopped"));
    assert!(matches!(store.rollback(9, 3, BY, None).await, Err(ApplyError::NoSuchVersion { version: 9 })));
    // Back to nothing at all.
    assert_eq!(store.rollback(0, 3, BY, None).await.unwrap().version, 4);
}

async fn a_number_is_never_given_to_another_tag(base: Base) {
    let store = base.open().await;
    apply(&store, 0, plant(&["a", "b"])).await;
    let (_, before) = store.current_plant().await.unwrap();
    apply(&store, 1, plant(&[])).await;
    apply(&store, 2, plant(&["c"])).await;
    let (_, after) = store.current_plant().await.unwrap();
    assert!(!before.contains(&after[0]), "{before:?} {after:?}");
    // The same path means the same tag again: its history goes on.
    apply(&store, 3, plant(&["a", "b"])).await;
    assert_eq!(store.current_plant().await.unwrap().1, before);
}

async fn a_rename_keeps_id_and_number_and_both_names_are_known_with_their_times(base: Base) {
    let clock = HandClock::new();
    let store = base.open_at(clock.clone()).await;
    let at = |seconds: i64| Timestamp::from_millis(seconds * 1000);
    clock.set(at(100));
    apply(&store, 0, plant(&["old"])).await;
    let (mut renamed, numbers) = store.current_plant().await.unwrap();
    let id = renamed.tags[0].id;
    renamed.tags[0].path = tag("new").path;
    clock.set(at(200));
    let applied = store.apply_plant(1, renamed, BY, None).await.unwrap();
    let lines: Vec<String> = applied.changes.iter().map(ToString::to_string).collect();
    assert_eq!(lines, ["~ tag press/new: path: \"press/old\" → \"press/new\""]);
    assert_eq!(store.current_plant().await.unwrap().1, numbers);
    // A new tag may take the old name.
    clock.set(at(50)); // The wall clock was set back; validity times do not run backwards.
    let (mut both, _) = store.current_plant().await.unwrap();
    both.tags.push(tag("old"));
    apply(&store, 2, both).await;
    let other = store.current_plant().await.unwrap().0.tags[1].id;
    assert_ne!(other, id);
    let names = store.tag_names(id).await.unwrap();
    assert_eq!(names.iter().map(|name| &*name.path).collect::<Vec<_>>(), ["press/old", "press/new"]);
    assert_eq!((names[0].until, names[1].until), (Some(names[1].from), None));
    assert_eq!(store.tag_at("press/old", at(150)).await.unwrap(), Some(id));
    assert_eq!(store.tag_at("press/old", at(300)).await.unwrap(), Some(other));
    assert_eq!(store.tag_at("press/new", at(150)).await.unwrap(), None);
}

async fn a_model_that_hangs_in_the_air_is_refused(base: Base) {
    let store = base.open().await;
    let mut orphan = plant(&["a"]);
    orphan.equipment.clear();
    let mut twice = plant(&["a", "a"]);
    twice.tags[0].id = Uuid::from_u128(1);
    let mut same_id = plant(&["a", "b"]);
    same_id.tags.iter_mut().for_each(|tag| tag.id = Uuid::from_u128(1));
    for bad in [orphan, twice, same_id] {
        let refused = store.apply_plant(0, bad, BY, None).await.unwrap_err();
        assert!(matches!(refused, ApplyError::Inconsistent { .. }), "{refused}");
    }
    assert_eq!(store.current_plant().await.unwrap().0.version, 0);
}

async fn an_event_of_very_many_changes_stays_small(base: Base) {
    let store = base.open().await;
    let names: Vec<String> = (0..3000).map(|number| format!("tag{number}")).collect();
    let applied = store.apply_plant(0, plant(&names.iter().map(|n| &**n).collect::<Vec<_>>()), BY, None).await.unwrap();
    assert_eq!(applied.changes.len(), 3001);
    let What::Configuration(change) = &store.outbox_pending(1).await.unwrap()[0].what else { panic!() };
    assert_eq!(change.changes.len(), 1001);
    assert_eq!(change.changes[1000], "… and 2001 more: see the version");
}
