#!/usr/bin/env bash
# Licences, sources and known holes of all dependencies, by cargo-deny and deny.toml. Says so aloud when it cannot.
set -euo pipefail
cd "$(dirname "$0")/.."

if cargo deny --version >/dev/null 2>&1; then
    cargo deny check
else
    echo "NOT CHECKED: licences and advisories, since cargo-deny is not installed (cargo install cargo-deny --locked)"
fi
