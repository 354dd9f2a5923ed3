#!/usr/bin/env bash
# Andon's MQTT broker beside Mosquitto and rumqttd: the same load, one server after the other, in one run. Use:
# `tests/bench/mqtt.sh [--profile dist] [--only words] [--seconds 5] …`; --help shows the rest.
# ANDON_BIN: the binary to measure (otherwise it is built). ANDON_RUMQTTD: the peer's binary (otherwise it is built from its crate).
set -euo pipefail
cd "$(dirname "$0")/../.."

source tests/bench/binary.sh "$@"
build_andon_and_tests
# The generator is the same for all, so its own build matters little: what is counted is the servers' time.
cargo build --quiet --package andon-broker --example mqtt_load
export ANDON_MQTT_LOAD="$CARGO_TARGET_DIR/debug/examples/mqtt_load"
if [[ -z ${ANDON_RUMQTTD:-} ]]; then
    export ANDON_RUMQTTD="$cache/peers/bin/rumqttd"
    if [[ ! -x $ANDON_RUMQTTD ]]; then
        # Not --locked: a crate that it names does not compile with the Rust of today.
        CARGO_TARGET_DIR="$cache/peers/target" cargo install --quiet --version 0.20.0 --root "$cache/peers" rumqttd \
            || echo "rumqttd could not be built; it is left out" >&2
    fi
fi
exec "$ANDON_VENV/bin/python" -B tests/bench/mqtt/run.py "${arguments[@]}"
