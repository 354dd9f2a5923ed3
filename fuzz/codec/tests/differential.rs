//! Seeds without end, and the corpus.
//!
//! `ANDON_FUZZ_PACKETS`: how many packets (short form: [`PACKETS`]), each with [`MUTANTS`] that are nearly one;
//! `ANDON_FUZZ_SEED`: the seed of the first. A failure prints the seed and the bytes: put them into `corpus/`.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

use andon_codec_fuzz::{Counts, check_bytes, corpus, run_seed};
use std::path::Path;

const PACKETS: u64 = 60_000;
const MUTANTS: usize = 12;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

/// Foreign panics are caught and judged; their words would only fill the screen.
fn quietly() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            let foreign = panic.location().is_some_and(|at| !at.file().starts_with("codec/"));
            if !foreign {
                usual(panic);
            }
        }));
    });
}

#[test]
fn packets_and_what_is_nearly_one_mean_the_same_to_all() {
    quietly();
    let (first, packets) = (setting("ANDON_FUZZ_SEED", 1), setting("ANDON_FUZZ_PACKETS", PACKETS));
    let threads = std::thread::available_parallelism().map_or(1, |n| n.get() as u64).min(8);
    // Each thread has its own seeds; which thread takes which does not matter to any of them.
    let work = |thread: u64| {
        let mut counts = Counts::default();
        for seed in (first..first + packets).filter(|seed| seed % threads == thread) {
            if let Err(disagreement) = run_seed(seed, MUTANTS, &mut counts) {
                panic!(
                    "ANDON_FUZZ_SEED={seed}: {disagreement}\n  {}",
                    corpus::line(disagreement.heard, &disagreement.bytes)
                );
            }
        }
        counts
    };
    let total = std::thread::scope(|scope| {
        let running: Vec<_> = (0..threads).map(|thread| scope.spawn(move || work(thread))).collect();
        running.into_iter().fold(Counts::default(), |sum, thread| {
            let counts = thread.join().expect("a disagreement, told above");
            Counts {
                packets: sum.packets + counts.packets,
                accepted: sum.accepted + counts.accepted,
                refused: sum.refused + counts.refused,
                excepted: sum.excepted + counts.excepted,
            }
        })
    });
    println!(
        "fuzz: packets={} mutants={} accepted={} refused={} excepted={}",
        total.packets,
        packets * MUTANTS as u64,
        total.accepted,
        total.refused,
        total.excepted
    );
    assert_eq!(total.packets, packets);
    // Were one of these rare, the mutants would be no good.
    assert!(total.accepted > packets && total.refused > packets, "{total:?}");
}

#[test]
fn the_corpus_means_the_same_to_all() {
    quietly();
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("../corpus");
    let mut lines = 0;
    for file in std::fs::read_dir(folder).expect("the corpus") {
        let path = file.expect("an entry").path();
        let text = std::fs::read_to_string(&path).expect("text");
        for (heard, bytes) in corpus::parse(&text).unwrap_or_else(|line| panic!("{}: {line}", path.display())) {
            lines += 1;
            if let Err(disagreement) = check_bytes(heard, &bytes, &mut Counts::default()) {
                panic!("{}: {disagreement}", path.display());
            }
        }
    }
    assert!(lines > 0, "the corpus is empty");
}
