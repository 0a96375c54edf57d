#!/usr/bin/env bash
# Tests the admin API against its OpenAPI document: schemathesis, all phases (including the stateful one) and all checks, on
# `snorri serve` of target/debug. In tests/contract/, run.py starts and seeds the server, schemathesis.toml sets the number of
# requests and the accepted responses, hooks.py adds rules that OpenAPI cannot express, requirements.txt pins the versions.
#
#   tests/contract.sh                          as in `make test`: the same requests each time
#   tests/contract.sh --seed 7 -n 200          other and more requests; arguments are passed to `schemathesis run`
#
# No operation and no check is omitted. The check `ignored_auth` needs authentication; tests/api covers the API without it.
# Unbounded streams are read for a moment.

set -euo pipefail
cd "$(dirname "$0")/.."
readonly HOME_OF_TOOLS=target/contract
readonly PYTHON=$HOME_OF_TOOLS/venv/bin/python REQUIREMENTS=tests/contract/requirements.txt

# Reinstalls when the versions change. The lock prevents concurrent installations.
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
