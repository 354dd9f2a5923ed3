//! Every legal state of the disk after a power cut is a prefix that holds every acknowledgement.

use crate::support::{Ack, Workload, second_cut};
use andon_log::sim::SeededRandom;
use std::sync::Arc;

/// States tried at one moment.
const STATES_PER_CUT: usize = 48;
/// Every so many states, the log goes on and the power fails again.
const SECOND_CUT_EVERY: usize = 5;

/// Tries states until `target` are good; the first that is not ends it.
fn enumerate(target: usize, ack: Ack, skip_syncs: bool) -> Result<usize, String> {
    let mut states = 0;
    for seed in 1.. {
        let mut workload = Workload::new(seed, ack);
        if skip_syncs {
            workload.disk.skip_syncs();
        }
        workload.run(70);
        let random = SeededRandom::new(seed);
        for cut in workload.disk.journal().cuts() {
            for state in cut.states(STATES_PER_CUT, &random) {
                states += 1;
                let place = |error| format!("seed {seed}, after {} calls, state {states}: {error}", cut.position());
                if states % SECOND_CUT_EVERY == 0 {
                    second_cut(&state, &workload.promises, cut.position(), &random).map_err(place)?;
                } else {
                    workload.promises.check(Arc::new(state), cut.position()).map_err(place)?;
                }
                if states >= target {
                    return Ok(states);
                }
            }
        }
    }
    Ok(states)
}

#[test]
fn after_any_power_cut_every_acknowledgement_is_there() {
    assert_eq!(enumerate(20_000, Ack::WhenDurable, false), Ok(20_000));
}

/// The long form: `ANDON_PROVE_STATES=2000000 cargo test -p andon-log --test it -- --ignored prove`.
#[test]
#[ignore = "takes minutes; the number of states is in ANDON_PROVE_STATES (default 500,000)"]
fn prove_after_any_power_cut_every_acknowledgement_is_there() {
    let target = std::env::var("ANDON_PROVE_STATES").ok().and_then(|text| text.parse().ok()).unwrap_or(500_000);
    assert_eq!(enumerate(target, Ack::WhenDurable, false), Ok(target));
}

#[test]
fn the_proof_finds_a_disk_that_does_not_sync() {
    let found = enumerate(20_000, Ack::WhenDurable, true).expect_err("a log without syncs loses acknowledgements");
    assert!(found.contains("acknowledged") || found.contains("epoch") || found.contains("snapshot"), "{found}");
}

#[test]
fn the_proof_finds_an_acknowledgement_before_the_sync() {
    let found = enumerate(20_000, Ack::WhenAppended, false).expect_err("an early acknowledgement can be lost");
    assert!(found.contains("was acknowledged"), "{found}");
}
