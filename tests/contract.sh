#!/usr/bin/env bash
# Holds the admin API to its own OpenAPI document: schemathesis, all phases (also the stateful one) and all checks, against
# `snorri serve` of target/debug. What tests/contract/ has: run.py starts and seeds the server, schemathesis.toml says how much is
# asked and why some answers are right, hooks.py what an OpenAPI document cannot say, requirements.txt the versions.
#
#   tests/contract.sh                          as `make test` does: the same requests each time
#   tests/contract.sh --seed 7 -n 200          other requests, and more; what is given goes on to `schemathesis run`
#
# No operation and no check is left out. Without authentication `ignored_auth` could not hold, so there is one; tests/api has
# what is different without. Streams that have no end are read for a moment.

set -euo pipefail
cd "$(dirname "$0")/.."
readonly HOME_OF_TOOLS=target/contract
readonly PYTHON=$HOME_OF_TOOLS/venv/bin/python REQUIREMENTS=tests/contract/requirements.txt

# Anew when the versions are others. Two at once would be in each other's way.
install() {
    mkdir -p "$HOME_OF_TOOLS"
    exec 9>"$HOME_OF_TOOLS/lock"
    flock 9
    if ! cmp -s "$REQUIREMENTS" "$HOME_OF_TOOLS/installed"; then
        echo 'contract: installing schemathesis' >&2
        rm -rf "$HOME_OF_TOOLS/venv" "$HOME_OF_TOOLS/installed"
        tests/services.sh install python3-venv
        /usr/bin/python3 -m venv "$HOME_OF_TOOLS/venv"
        "$PYTHON" -m pip install --quiet --disable-pip-version-check --no-deps --requirement "$REQUIREMENTS"
        cp "$REQUIREMENTS" "$HOME_OF_TOOLS/installed"
    fi
    exec 9>&-
}

install
cargo build --quiet --locked --bin snorri
exec "$PYTHON" tests/contract/run.py --no-color "$@"
