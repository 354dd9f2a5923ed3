#!/usr/bin/env bash
# Andon's history beside InfluxDB, VictoriaMetrics, DuckDB, chdb, DataFusion and Polars: the same data, the same questions, in one run. Use:
# `tests/bench/history.sh [--quick] [--profile dist] [--docs docs/performance.md] …`; --help shows the rest.
# ANDON_BIN: the binary to measure (otherwise it is built).
set -euo pipefail
cd "$(dirname "$0")/../.."

source tests/bench/binary.sh "$@"
# What the table calls the build.
if [[ $profile != dev ]]; then arguments+=(--profile "$profile"); fi
export ANDON_BENCH_VENV="${ANDON_BENCH_VENV:-$cache/bench-venv}"

scripts/setup.sh bench
build_andon
"$ANDON_BENCH_VENV/bin/python" -B tests/bench/history/selftest.py
exec "$ANDON_BENCH_VENV/bin/python" -B tests/bench/history/run.py "${arguments[@]}"
