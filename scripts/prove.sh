#!/usr/bin/env bash
# The long forms: many more cases per property, the long end-to-end runs. Adds one line to docs/ledger.jsonl, good or bad.
set -euo pipefail
cd "$(dirname "$0")/.."

cases="${PROPTEST_CASES:-5000}"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
start=$SECONDS
status=0

run() {
    "$@" 2>&1 | tee -a "$log" || status=1
}
run env PROPTEST_CASES="$cases" cargo test --workspace --no-fail-fast
if [[ -x tests/e2e/run.sh ]]; then run env ANDON_LONG=1 tests/e2e/run.sh; fi

read -r passed failed < <(scripts/counts.sh "$log")
changed=false
if [[ -n $(git status --porcelain 2>/dev/null) ]]; then changed=true; fi
commit="$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
mkdir -p docs
printf '{"at":"%s","commit":"%s","changed":%s,"property_cases":%s,"passed":%s,"failed":%s,"ok":%s,"seconds":%s}\n' \
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$commit" "$changed" "$cases" "$passed" "$failed" \
    "$([[ $status -eq 0 ]] && echo true || echo false)" "$((SECONDS - start))" >>docs/ledger.jsonl
tail -n 1 docs/ledger.jsonl
exit "$status"
