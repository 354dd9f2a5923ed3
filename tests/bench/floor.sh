#!/usr/bin/env bash
# A large shop floor on the whole node: how soon its KPIs are live, and what they cost. Use: `tests/bench/floor.sh [--profile dist] [--seconds 60]`
# ANDON_BIN: the binary to measure (otherwise it is built).
set -euo pipefail
cd "$(dirname "$0")/../.."

source tests/bench/binary.sh "$@"
build_andon_and_tests
exec "$ANDON_VENV/bin/python" -B tests/bench/floor.py "${arguments[@]}"
