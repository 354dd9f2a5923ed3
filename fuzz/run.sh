#!/usr/bin/env bash
# Andon's MQTT codec against two others, and against bytes that reach new code.
#   fuzz/run.sh                     the short form, the same every time (about 20 seconds after the first build)
#   ANDON_FUZZ_PACKETS=N fuzz/run.sh   N packets, each with a dozen that are nearly one: 50 million take two CPU-hours
#   fuzz/run.sh guided [SECONDS]    guided by coverage, until it finds something or the time is over; needs rustup's nightly
# Builds go to a folder of their own beside those of the product.
set -euo pipefail
cd "$(dirname "$0")"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/andon"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}/fuzz"

if [[ ${1:-} == guided ]]; then
    seconds="${2:-600}"
    found="$CARGO_TARGET_DIR/found"
    seeds="$CARGO_TARGET_DIR/seeds"
    mkdir -p "$found" "$seeds"
    cargo run --quiet --package andon-codec-fuzz --example seeds "$seeds"
    export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
        -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
        -Cllvm-args=-sanitizer-coverage-trace-compares -Clink-dead-code -Ccodegen-units=1"
    export CARGO_TARGET_DIR="$CARGO_TARGET_DIR/guided"
    # With a target named, build scripts and macros are built without these flags.
    cargo +nightly run --quiet --package andon-fuzz-guided --bin codec --target "$(rustc -vV | sed -n 's/^host: //p')" -- \
        "$seeds" -artifact_prefix="$found/" -max_len=1024 -max_total_time="$seconds" -print_final_stats=1
    exit
fi

cargo test --locked --package andon-codec-fuzz -- --nocapture
