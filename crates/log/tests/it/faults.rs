//! Every call of the reference workload fails once, and for ever: no false acknowledgement, no panic, and the log opens again.

use crate::support::{Ack, What, Workload, go_on, open_on, second_cut, settled, tiny};
use andon_log::sim::{Fault, FaultyDisk, RecordingDisk, SeededRandom};
use andon_log::{AppendError, Lane, Log, Seq};
use std::sync::Arc;

const SEED: u64 = 11;
const ACTIONS: usize = 45;

fn run(fail_at: u64, fault: Fault, for_ever: bool) -> (Workload, FaultyDisk) {
    let mut workload = Workload::new(SEED, Ack::WhenDurable);
    let faulty = FaultyDisk::new(workload.disk.clone(), fail_at, fault, for_ever);
    workload.faulty = Some(faulty.clone());
    workload.run(ACTIONS);
    (workload, faulty)
}

/// The process is killed and started again on the same machine: what it finds, it may promise again; then the power fails.
fn restart_then_cut(workload: &Workload) -> Result<(), String> {
    let disk = workload.disk.kill();
    let mut promises = settled(&workload.promises, usize::MAX);
    let log = promises.check(Arc::new(disk.clone()), usize::MAX)?;
    for lane in Lane::ALL {
        promises.note(0, What::Durable(lane, log.durable_seq(lane).0));
    }
    let before = disk.position();
    go_on(&log, &mut promises, &disk);
    let journal = disk.journal();
    for at in before..=disk.position() {
        let found = promises.check(Arc::new(journal.cut(at).worst()), at);
        found.map_err(|error| format!("then cut after {at} calls: {error}"))?;
    }
    Ok(())
}

fn sweep(fault: Fault, for_ever: bool) {
    let (_, whole) = run(0, fault, for_ever);
    let calls = whole.calls();
    assert!(calls > 300, "the workload is too small: {calls} calls");
    let random = SeededRandom::new(SEED);
    for fail_at in 1..=calls {
        let (workload, faulty) = run(fail_at, fault, for_ever);
        let place =
            |what: &str, error: String| format!("{fault:?} at call {fail_at} ({:?}), {what}: {error}", faulty.hit());
        let position = workload.disk.position();
        for state in workload.disk.journal().cut(position).states(6, &random) {
            let found = second_cut(&state, &workload.promises, position, &random);
            found.map_err(|error| place("power cut", error)).unwrap();
        }
        restart_then_cut(&workload).map_err(|error| place("restart", error)).unwrap();
    }
    println!("fault={fault:?} for_ever={for_ever} calls={calls} good=all");
}

#[test]
fn every_call_failing_once_with_an_io_error_loses_no_acknowledgement() {
    sweep(Fault::Eio, false);
}

#[test]
fn every_call_failing_for_ever_with_an_io_error_loses_no_acknowledgement() {
    sweep(Fault::Eio, true);
}

#[test]
fn every_call_finding_no_space_once_loses_no_acknowledgement() {
    sweep(Fault::Enospc, false);
}

#[test]
fn every_call_finding_no_space_for_ever_loses_no_acknowledgement() {
    sweep(Fault::Enospc, true);
}

#[test]
fn short_reads_and_writes_change_nothing() {
    sweep(Fault::Short, false);
    sweep(Fault::Short, true);
    let (workload, _) = run(0, Fault::Short, false);
    let (shortened, _) = run(1, Fault::Short, true);
    for lane in Lane::ALL {
        let durable = |workload: &Workload| workload.promises.durable(lane, usize::MAX);
        assert_eq!(durable(&workload), durable(&shortened));
    }
}

#[test]
fn a_fault_while_opening_after_a_power_cut_loses_no_acknowledgement() {
    let mut workload = Workload::new(SEED, Ack::WhenDurable);
    workload.run(ACTIONS);
    let random = SeededRandom::new(SEED);
    let journal = workload.disk.journal();
    let mut tried = 0;
    for cut in journal.cuts().step_by(29) {
        let Some(state) = cut.states(1 + random.below(20), &random).last() else { continue };
        for fault in [Fault::Eio, Fault::Enospc] {
            for fail_at in 1.. {
                let disk = RecordingDisk::over(&state);
                let faulty = FaultyDisk::new(disk.clone(), fail_at, fault, false);
                drop(open_on(Arc::new(faulty.clone()), tiny()));
                if faulty.hit().is_none() {
                    break;
                }
                tried += 1;
                let promises = settled(&workload.promises, cut.position());
                let found = promises.check(Arc::new(disk.journal().cut(disk.position()).worst()), 0);
                found.map_err(|error| format!("{fault:?} at call {fail_at} {:?}: {error}", faulty.hit())).unwrap();
                let found = promises.check(Arc::new(disk.kill()), 0);
                found.map_err(|error| format!("{fault:?} at call {fail_at}, killed: {error}")).unwrap();
            }
        }
    }
    assert!(tried > 500, "{tried}");
}

#[tokio::test]
async fn a_failed_sync_stops_the_lane_for_good_and_no_other() {
    let disk = RecordingDisk::new();
    drop(open_on(Arc::new(disk.clone()), tiny()).unwrap());
    // Find the call that is the group's sync.
    let mut poisoned = 0;
    for fail_at in 1..80 {
        let faulty = FaultyDisk::new(RecordingDisk::over(disk.memory()), fail_at, Fault::Eio, false);
        let Ok((log, _)) = open_on(Arc::new(faulty.clone()), tiny()) else { continue };
        let Ok(seq) = log.append(Lane::Messages, crate::support::KIND, b"x") else { continue };
        let waiting = tokio::spawn(log.durable(Lane::Messages, seq));
        tokio::task::yield_now().await;
        log.step();
        if log.durable_seq(Lane::Messages) == seq {
            continue;
        }
        poisoned += 1;
        assert!(matches!(waiting.await.unwrap(), Err(AppendError::Poisoned { lane: Lane::Messages, .. })));
        log.step();
        assert_eq!(log.durable_seq(Lane::Messages), Seq(0), "a failed sync is never tried again");
        assert!(matches!(log.append(Lane::Messages, crate::support::KIND, b"y"), Err(AppendError::Poisoned { .. })));
        assert!(log.append(Lane::Records, crate::support::KIND, b"z").is_ok());
        log.step();
        assert_eq!(log.durable_seq(Lane::Records), Seq(1));
    }
    assert!(poisoned >= 3, "writing, naming and syncing: {poisoned}");
}
