# Sourced by the comparisons, with their arguments: chooses and builds the program to measure. Sets ANDON_BIN, CARGO_TARGET_DIR, cache,
# and arguments: those that are left.
cache="${XDG_CACHE_HOME:-$HOME/.cache}/andon"
export CARGO_TARGET_DIR="${CARGO_TARGET_DIR:-$cache/target}"
profile=dev folder=debug
arguments=()
while [[ $# -gt 0 ]]; do
    case $1 in
        --profile) profile="${2:?--profile needs a name: dev, dist}"; shift ;;
        --profile=*) profile="${1#*=}" ;;
        *) arguments+=("$1") ;;
    esac
    shift
done
if [[ $profile != dev ]]; then folder="$profile"; fi

# Call it when everything that a build needs is there.
build_andon() {
    if [[ -n ${ANDON_BIN:-} || " ${arguments[*]} " == *" --help "* ]]; then return; fi
    cargo build --quiet --workspace --bin andon --profile "$profile"
    export ANDON_BIN="$CARGO_TARGET_DIR/$folder/andon"
}

# The same with what the end-to-end tests need: their Python is ANDON_VENV.
build_andon_and_tests() {
    export ANDON_VENV="${ANDON_VENV:-$cache/venv}"
    scripts/setup.sh test
    build_andon
}
