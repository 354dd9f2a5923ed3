#!/usr/bin/env bash
# Adds up the test results in a log: `scripts/counts.sh LOG` prints `<passed> <failed>`.
# Knows cargo test, vitest, and scripts that end with a line `N passed, N failed`.
set -euo pipefail

sed -E 's/\x1b\[[0-9;]*m//g' "${1:?use: scripts/counts.sh LOG}" | awk '
    function before(word,    i) {
        for (i = 2; i <= NF; i++) if ($i ~ "^" word "[;,]?$") return $(i - 1)
        return 0
    }
    /^test result: / || /^[0-9]+ passed, [0-9]+ failed$/ || /^ *Tests +[0-9]/ {
        passed += before("passed"); failed += before("failed")
    }
    END { print passed + 0, failed + 0 }'
