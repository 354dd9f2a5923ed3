#!/usr/bin/env bash
# End-to-end tests: the real binary judged by foreign clients. `tests/e2e/run.sh [WORD…]` runs the tests whose names hold a WORD.
# ANDON_BIN: the binary to test (otherwise it is built); ANDON_LONG=1: the long forms; ANDON_LEDGER=FILE: adds a line of figures there
# (1: to docs/ledger.jsonl). The last line is `N passed, N failed`.
set -euo pipefail
cd "$(dirname "$0")/../.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/andon/target}"
export ANDON_VENV="${ANDON_VENV:-${XDG_CACHE_HOME:-$HOME/.cache}/andon/venv}"
export ANDON_PEERS="${ANDON_PEERS:-${XDG_CACHE_HOME:-$HOME/.cache}/andon/peers}"
export ANDON_NODE_RED="${ANDON_NODE_RED:-${XDG_CACHE_HOME:-$HOME/.cache}/andon/node-red}"
if [[ -z ${ANDON_BIN:-} ]]; then
    # The same features as in all other builds, so that nothing is built twice.
    cargo build --quiet --workspace --bin andon --example modbus_sim --example b2mml_sample
    export ANDON_BIN="$CARGO_TARGET_DIR/debug/andon"
fi
if [[ ! -x $ANDON_VENV/bin/python ]]; then scripts/setup.sh test; fi
exec "$ANDON_VENV/bin/python" -B tests/e2e/run.py "$@"
