#!/usr/bin/env bash
# The long forms: many more cases per property, the long end-to-end runs. Adds one line to docs/ledger.jsonl, good or bad.
set -euo pipefail
cd "$(dirname "$0")/.."

cases="${PROPTEST_CASES:-5000}"
# Two CPU-hours are 50 million packets.
packets="${ANDON_FUZZ_PACKETS:-3000000}"
nights="${ANDON_FUZZ_NIGHTS:-5000}"
attacks="${ANDON_FUZZ_ATTACKS:-200000}"
# Other seeds each time; what fails prints its own.
seed="${ANDON_FUZZ_SEED:-$((SRANDOM))}"
log="$(mktemp)"
trap 'rm -f "$log"' EXIT
start=$SECONDS
status=0

run() {
    "$@" 2>&1 | tee -a "$log" || status=1
}
run env PROPTEST_CASES="$cases" cargo test --workspace --no-fail-fast
run cargo test --workspace -- --ignored a_year
run env ANDON_FUZZ_SEED="$seed" ANDON_FUZZ_PACKETS="$packets" fuzz/run.sh
run env ANDON_FUZZ_SEED="$seed" ANDON_FUZZ_NIGHTS="$nights" ANDON_FUZZ_ATTACKS="$attacks" \
    cargo test --package andon-broker --test model -- --nocapture
if [[ -x tests/e2e/run.sh ]]; then run env ANDON_LONG=1 tests/e2e/run.sh; fi

# What was really done, by the lines that say it at the end of each; 0 if that was not reached.
done_of() {
    local count
    count="$(sed -n "s/.*fuzz: .*\\b$1=\\([0-9]*\\).*/\\1/p" "$log" | tail -n 1)"
    echo "${count:-0}"
}

read -r passed failed < <(scripts/counts.sh "$log")
changed=false
if [[ -n $(git status --porcelain 2>/dev/null) ]]; then changed=true; fi
commit="$(git rev-parse --short HEAD 2>/dev/null || echo unknown)"
mkdir -p docs
printf '{"at":"%s","commit":"%s","changed":%s,"property_cases":%s,"fuzz_seed":%s,"fuzz_packets":%s,"fuzz_near_packets":%s,"fuzz_nights":%s,"fuzz_attacks":%s,"passed":%s,"failed":%s,"ok":%s,"seconds":%s}\n' \
    "$(date -u +%Y-%m-%dT%H:%M:%SZ)" "$commit" "$changed" "$cases" \
    "$seed" "$(done_of packets)" "$(done_of mutants)" "$(done_of nights)" "$(done_of attacks)" "$passed" "$failed" \
    "$([[ $status -eq 0 ]] && echo true || echo false)" "$((SECONDS - start))" >>docs/ledger.jsonl
tail -n 1 docs/ledger.jsonl
exit "$status"
