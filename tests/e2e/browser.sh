#!/usr/bin/env bash
# A browser at the real demo: log-in, live value, trend, acknowledge, write, timeline. ANDON_BIN: the binary (otherwise it is built).
set -euo pipefail
cd "$(dirname "$0")/../.."

export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-${XDG_CACHE_HOME:-$HOME/.cache}/andon/target}"
if [[ -z ${ANDON_BIN:-} ]]; then
    cargo build --quiet --workspace --bin andon
    ANDON_BIN="$CARGO_TARGET_DIR/debug/andon"
fi
work="$(mktemp -d)"
demo=""
finish() {
    if [[ -n $demo ]]; then
        kill -TERM "$demo" 2>/dev/null || true
        wait "$demo" 2>/dev/null || true
    fi
    rm -rf "$work"
}
trap finish EXIT

"$ANDON_BIN" demo --data-dir "$work/data" --http 127.0.0.1:0 --mqtt 127.0.0.1:0 >"$work/out" 2>"$work/err" &
demo=$!
for _ in {1..300}; do
    grep -q '^open:' "$work/out" && break
    kill -0 "$demo" 2>/dev/null || break
    sleep 0.1
done
link="$(sed -n 's/^open: *//p' "$work/out")"
if [[ -z $link ]]; then
    echo "the demo did not start:" >&2
    cat "$work/err" >&2
    exit 1
fi
cd web
ANDON_URL="${link%%/login*}" ANDON_LINK="$link" node --test e2e/flow.test.mjs
