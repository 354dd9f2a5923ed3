//! Nights of two or three clients against the real broker, with an oracle beside it that knows the standard and nothing
//! of the broker.
//!
//! And any bytes at all in every state of a connection (`raw`).
//!
//! `ANDON_FUZZ_NIGHTS`: how many nights (short form: [`NIGHTS`]); `ANDON_FUZZ_ATTACKS`: how many connections that are told
//! anything (short form: [`ATTACKS`]); `ANDON_FUZZ_SEED`: the seed of the first of each. A failure prints its seed and the
//! shortest form that still fails.

#![allow(clippy::unwrap_used, clippy::expect_used, reason = "in a test a panic is the report")]

#[allow(dead_code, reason = "what others need of it")]
#[path = "../../../../fuzz/codec/src/choice.rs"]
mod choice;
mod client;
#[path = "../../../../fuzz/codec/src/generate.rs"]
mod generate;
#[allow(dead_code, reason = "made for the other tests too")]
#[path = "../it/harness.rs"]
mod harness;
#[allow(dead_code, reason = "what others need of it")]
#[path = "../../../../fuzz/codec/src/heard.rs"]
mod heard;
#[path = "../../../../fuzz/codec/src/mutate.rs"]
mod mutate;
mod ops;
mod oracle;
mod raw;
mod world;

use proptest::test_runner::{Config, RngSeed, TestCaseError, TestError, TestRunner};
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::time::Duration;

/// How many nights there are in the short form.
const NIGHTS: u64 = 300;

/// How many connections are told anything in the short form.
const ATTACKS: u64 = 12_000;
/// How many of them one broker gets.
const ATTACKS_PER_BROKER: u64 = 200;
/// By how much all of them may let this process grow: what a few brokers and their logs take, not what each leaves behind.
const GROWTH_BYTES: usize = 96 << 20;

fn setting(name: &str, otherwise: u64) -> u64 {
    std::env::var(name).ok().map_or(otherwise, |text| text.parse().expect("a number"))
}

static PANICS: AtomicUsize = AtomicUsize::new(0);

static FAILED: AtomicBool = AtomicBool::new(false);

/// How long any single wait may take before it has failed. Less once something has, for the shortest form is looked for.
fn patience() -> Duration {
    if FAILED.load(Ordering::Relaxed) { Duration::from_millis(300) } else { harness::PATIENCE }
}

fn in_runtime<T>(work: impl Future<Output = T>) -> T {
    tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime").block_on(work)
}

/// One night. A panic in one of the broker's tasks is a failure too.
fn run(night: &[ops::Op]) -> Result<(), String> {
    let before = PANICS.load(Ordering::Relaxed);
    let result = in_runtime(async { world::World::new().await.run(night).await });
    let result = match PANICS.load(Ordering::Relaxed) - before {
        0 => result,
        panics => Err(format!("{panics} panics; {result:?}")),
    };
    FAILED.fetch_or(result.is_err(), Ordering::Relaxed);
    result
}

/// Counts the panics of other tasks, which nobody else would hear of.
fn count_panics() {
    static ONCE: std::sync::Once = std::sync::Once::new();
    ONCE.call_once(|| {
        let usual = std::panic::take_hook();
        std::panic::set_hook(Box::new(move |panic| {
            PANICS.fetch_add(1, Ordering::Relaxed);
            usual(panic);
        }));
    });
}

#[test]
fn clients_get_what_they_are_owed_and_nothing_else() {
    count_panics();
    let (first, nights) = (setting("ANDON_FUZZ_SEED", 1), setting("ANDON_FUZZ_NIGHTS", NIGHTS));
    for seed in first..first + nights {
        let config = Config {
            cases: 1,
            rng_seed: RngSeed::Fixed(seed),
            max_shrink_iters: 400,
            failure_persistence: None,
            ..Config::default()
        };
        let outcome = TestRunner::new(config).run(&ops::night(), |night| run(&night).map_err(TestCaseError::fail));
        match outcome {
            Ok(()) => {}
            Err(TestError::Fail(reason, night)) => {
                let steps: String = night.iter().map(|op| format!("\n  {op:?}")).collect();
                panic!("ANDON_FUZZ_SEED={seed}: {reason}{steps}");
            }
            Err(failure) => panic!("ANDON_FUZZ_SEED={seed}: {failure}"),
        }
    }
    println!("fuzz: nights={nights} from seed {first}");
}

fn attack_alone(attack: &raw::Attack) -> Result<(), String> {
    in_runtime(async {
        let mut stage = raw::Stage::new().await;
        stage.attack(attack).await
    })
}

/// Takes pieces away as long as it still fails.
fn shortest(mut attack: raw::Attack) -> raw::Attack {
    while let Some(shorter) = attack.shorter().find(|shorter| attack_alone(shorter).is_err()) {
        attack = shorter;
    }
    attack
}

#[test]
fn nothing_that_is_said_in_any_state_does_harm() {
    count_panics();
    let (first, attacks) = (setting("ANDON_FUZZ_SEED", 1), setting("ANDON_FUZZ_ATTACKS", ATTACKS));
    let mut seeds = first..first + attacks;
    let mut before = None;
    while !seeds.is_empty() {
        let failed = in_runtime(async {
            let mut stage = raw::Stage::new().await;
            for seed in seeds.by_ref().take(usize::try_from(ATTACKS_PER_BROKER).unwrap()) {
                let attack = raw::Attack::of_seed(seed);
                if let Err(error) = stage.attack(&attack).await {
                    FAILED.store(true, Ordering::Relaxed);
                    return Err((seed, attack, error));
                }
            }
            stage.stop().await;
            Ok(())
        });
        if let Err((seed, attack, error)) = failed {
            panic!("ANDON_FUZZ_SEED={seed}: {error}\n{:02x?}", shortest(attack));
        }
        assert_eq!(PANICS.load(Ordering::Relaxed), 0, "a task panicked before seed {}", seeds.start);
        // The first broker is what a broker takes.
        let base = *before.get_or_insert_with(raw::resident);
        let grown = raw::resident().saturating_sub(base);
        assert!(grown < GROWTH_BYTES, "{grown} bytes more before seed {}", seeds.start);
    }
    println!("fuzz: attacks={attacks} from seed {first}");
}
