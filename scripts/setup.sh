#!/usr/bin/env bash
# Sees to it that what a make target needs is there: `scripts/setup.sh run|test|bench`.
# As root on a system with apt-get it installs what is missing; otherwise it names it and stops.
set -euo pipefail
cd "$(dirname "$0")/.."

purpose="${1:?use: scripts/setup.sh run|test|bench}"

fail() {
    echo "setup: $*" >&2
    exit 1
}

# What Debian cannot give in the version we need.
need_rust_and_node() {
    command -v cargo >/dev/null || fail "cargo is missing; install Rust from https://rustup.rs"
    command -v npm >/dev/null || fail "npm is missing; install Node.js 20.19 or later from https://nodejs.org"
    node -e 'const [a, b] = process.versions.node.split(".").map(Number); process.exit(a > 20 || (a === 20 && b >= 19) ? 0 : 1)' \
        || fail "Node.js $(node --version) is too old; 20.19 or later is needed"
    for component in fmt clippy; do
        cargo "$component" --version >/dev/null 2>&1 && continue
        command -v rustup >/dev/null || fail "cargo $component is missing; install it with your Rust toolchain"
        rustup component add "${component/fmt/rustfmt}"
    done
}

missing=()
# want COMMAND PACKAGE: notes the Debian package when the command is not there.
want() {
    command -v "$1" >/dev/null || missing+=("$2")
}

# Debian starts a freshly installed service at once; a second broker on port 1883 is not what a test wants.
install_without_starting_services() {
    local policy=/usr/sbin/policy-rc.d made=""
    if [[ ! -e $policy ]]; then
        printf '#!/bin/sh\nexit 101\n' >"$policy"
        chmod +x "$policy"
        made=1
    fi
    local status=0
    DEBIAN_FRONTEND=noninteractive apt-get install -y --no-install-recommends "$@" || status=$?
    if [[ -n $made ]]; then rm -f "$policy"; fi
    return "$status"
}

install_missing() {
    [[ ${#missing[@]} -gt 0 ]] || return 0
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        fail "missing: ${missing[*]} (names of Debian packages); install them and try again"
    fi
    echo "setup: installing ${missing[*]}"
    apt-get update -qq
    install_without_starting_services "${missing[@]}" || fail "apt-get could not install ${missing[*]}"
}

# The other databases that the benchmarks ask. Without them the benchmarks run all the same and name who is missing.
want_peers() {
    missing=()
    want influxd influxdb
    want victoria-metrics victoria-metrics
    [[ ${#missing[@]} -gt 0 ]] || return 0
    if [[ $(id -u) -ne 0 ]] || ! command -v apt-get >/dev/null; then
        echo "setup: without ${missing[*]} (names of Debian packages) the comparison leaves them out"
        return 0
    fi
    echo "setup: installing ${missing[*]}"
    apt-get update -qq
    if ! install_without_starting_services "${missing[@]}"; then
        echo "setup: apt-get could not install ${missing[*]}; the comparison leaves them out" >&2
        return 0
    fi
    # They are run by the benchmarks and by nobody else.
    if command -v systemctl >/dev/null; then systemctl --quiet disable "${missing[@]}" || true; fi
}

# make_venv LIST FOLDER: the Python packages of a list, pinned; made again when the list changes.
make_venv() {
    local list="$1" venv="$2"
    [[ -f $list ]] || return 0
    if cmp -s "$list" "$venv/requirements.txt"; then return 0; fi
    echo "setup: making the Python environment in $venv"
    rm -rf "$venv"
    python3 -m venv "$venv" || fail "python3 -m venv failed; install python3-venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check --requirement "$list"
    cp "$list" "$venv/requirements.txt"
}

# make_peers LIST FOLDER: the foreign clients of npm that the end-to-end tests drive, pinned; installed again when the list changes. Where that fails,
# their tests are skipped and say so.
make_peers() {
    local list="$1" folder="$2"
    if cmp -s "$list/package-lock.json" "$folder/package-lock.json"; then return 0; fi
    echo "setup: installing the clients of $list in $folder"
    rm -rf "$folder"
    mkdir -p "$folder"
    cp "$list/package.json" "$list/package-lock.json" "$folder"
    if ! (cd "$folder" && npm ci --no-audit --no-fund --silent); then
        echo "setup: npm could not install $list; the tests that need it are skipped" >&2
        rm -rf "$folder"
    fi
}

need_rust_and_node
want cc build-essential
want pkg-config pkg-config
if [[ $purpose == test ]]; then
    want mosquitto mosquitto
    want mosquitto_pub mosquitto-clients
    want chromium chromium
    want psql postgresql-client
    # Its programs are not on the path; the tests run a server of their own, as a user who is not root.
    compgen -G '/usr/lib/postgresql/*/bin/initdb' >/dev/null || missing+=(postgresql)
    want java default-jre-headless
    want odbcinst unixodbc
    odbcinst -q -d -n "PostgreSQL Unicode" >/dev/null 2>&1 || missing+=(odbc-postgresql)
    [[ -e /usr/share/java/postgresql.jar ]] || missing+=(libpostgresql-jdbc-java)
fi
if [[ $purpose == test || $purpose == bench ]]; then
    want python3 python3
    if command -v python3 >/dev/null; then
        python3 -c 'import ensurepip, venv' 2>/dev/null || missing+=(python3-venv)
    else
        missing+=(python3-venv)
    fi
fi
install_missing
case $purpose in
    test)
        make_venv tests/e2e/requirements.txt "${ANDON_VENV:?set by the Makefile}"
        make_venv tests/e2e/sparkplug/requirements.txt "$ANDON_VENV-sparkplug"
        make_venv tests/e2e/homeassistant/requirements.txt "$ANDON_VENV-homeassistant"
        make_peers tests/e2e/sparkplug "$(dirname "$ANDON_VENV")/npm-sparkplug"
        make_peers tests/e2e/peers "${ANDON_PEERS:?set by the Makefile}"
        make_peers tests/e2e/node-red "${ANDON_NODE_RED:?set by the Makefile}"
        ;;
    bench)
        want_peers
        make_venv tests/bench/requirements.txt "${ANDON_BENCH_VENV:?set by tests/bench/history.sh}"
        ;;
esac
