#!/usr/bin/env bash
# Andon's history beside InfluxDB, VictoriaMetrics, DuckDB, chdb, DataFusion and Polars: the same data, the same questions, in one run. Use:
# `tests/bench/history.sh [--quick] [--profile dist] [--docs docs/performance.md] …`; --help shows the rest.
# ANDON_BIN: the binary to measure (otherwise it is built).
set -euo pipefail
cd "$(dirname "$0")/../.."

cache="${XDG_CACHE_HOME:-$HOME/.cache}/andon"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
export ANDON_BENCH_VENV="${ANDON_BENCH_VENV:-$cache/bench-venv}"
profile=dev folder=debug
arguments=("$@")
while [[ $# -gt 0 ]]; do
    case $1 in
        --profile) profile="${2:?--profile needs a name: dev, dist}" ;;
        --profile=*) profile="${1#*=}" ;;
    esac
    shift
done
if [[ $profile != dev ]]; then folder="$profile"; fi

scripts/setup.sh bench
if [[ -z ${ANDON_BIN:-} && " ${arguments[*]} " != *" --help "* ]]; then
    cargo build --quiet --workspace --bin andon --profile "$profile"
    export ANDON_BIN="$CARGO_TARGET_DIR/$folder/andon"
fi
"$ANDON_BENCH_VENV/bin/python" -B tests/bench/history/selftest.py
exec "$ANDON_BENCH_VENV/bin/python" -B tests/bench/history/run.py "${arguments[@]}"
