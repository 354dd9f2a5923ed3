#!/usr/bin/env bash
# Andon's MQTT codec against two others.
#   fuzz/run.sh                     the short form, the same every time (about 20 seconds after the first build)
#   ANDON_FUZZ_PACKETS=N fuzz/run.sh   N packets, each with a dozen that are nearly one: 50 million take two CPU-hours
# Builds go to a folder of their own beside those of the product.
set -euo pipefail
cd "$(dirname "$0")"

cache="${XDG_CACHE_HOME:-$HOME/.cache}/andon"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}/fuzz"

cargo test --locked --package andon-codec-fuzz -- --nocapture
