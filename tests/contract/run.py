"""Tests a running `snorri serve` against its OpenAPI document, with schemathesis.

The server is the embedded default (SQLite, the broker within the process) on a free port, with definitions for sagas in many
states, and with authentication: the document requires a token for every route, and the check `ignored_auth` verifies that.
Arguments of the command line are passed to `schemathesis run`.
"""

import hashlib
import json
import os
import secrets
import socket
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent.parent
BINARY = ROOT / "target/debug/snorri"
TOKEN = secrets.token_hex(32)
SECONDS_TO_START = 30
CONFIG = """
[broker]
url = "local"
[database]
url = "{database}"
[definitions]
directory = "{definitions}"
[http]
# tests/api covers the limits.
requests_per_second = 0
[[http.auth.tokens]]
name = "contract"
role = "admin"
sha256 = "{sha256}"
[log]
filter = "error"
"""


class Unready(Exception):
    """The server or its seeds are not ready."""


def main() -> int:
    with tempfile.TemporaryDirectory(prefix="snorri-contract.") as home:
        port = free_port()
        base = f"http://127.0.0.1:{port}"
        log_file = Path(home) / "log"
        status = 1
        with open(log_file, "wb") as log:
            server = subprocess.Popen(command(Path(home), port), stdin=subprocess.DEVNULL, stdout=log, stderr=log)
            try:
                await_start(server, base)
                seed(base)
                status = schemathesis(base, Path(home))
                if server.poll() is not None:
                    print(f"contract: the server died: {server.returncode}", file=sys.stderr)
                    status = 1
            except Unready as why:
                print(f"contract: {why}", file=sys.stderr)
            finally:
                server.terminate()
                try:
                    server.wait(SECONDS_TO_START)
                except subprocess.TimeoutExpired:
                    server.kill()
        text = log_file.read_text()
        if status != 0 or "ERROR" in text or "panicked" in text:
            print("contract: the server's log ends with\n" + text[-5000:], file=sys.stderr)
            return status or 1
    return 0


def free_port() -> int:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def command(home: Path, port: int) -> list[str]:
    database = os.environ.get("SNORRI_CONTRACT_DATABASE_URL", f"sqlite://{home}/snorri.db?mode=rwc")
    digest = hashlib.sha256(TOKEN.encode()).hexdigest()
    text = CONFIG.format(database=database, definitions=HERE / "sagas", sha256=digest)
    (home / "snorri.toml").write_text(text)
    return [str(BINARY), "serve", "--config", str(home / "snorri.toml"), "--listen", f"127.0.0.1:{port}"]


def await_start(server: subprocess.Popen, base: str) -> None:
    until = time.monotonic() + SECONDS_TO_START
    while server.poll() is None and time.monotonic() < until:
        try:
            with urllib.request.urlopen(f"{base}/readyz"):
                return
        except OSError:
            time.sleep(0.05)
    raise Unready("the server does not start")


def ask(base: str, method: str, path: str, body: object = None) -> object:
    request = urllib.request.Request(base + path, method=method, headers={"authorization": f"Bearer {TOKEN}"})
    if body is not None:
        request.data = json.dumps(body).encode()
        request.add_header("content-type", "application/json")
    with urllib.request.urlopen(request) as answer:
        return json.load(answer)


def seed(base: str) -> None:
    """Creates sagas in every state, and dead letters: events without the key of the definition that they start."""

    def start(definition: str, body: dict) -> str:
        return ask(base, "POST", "/v1/sagas", {"definition": definition, "input": body})["id"]

    for number in range(3):
        start("order", {"orderId": f"waits-{number}", "customer": "ann"})
        start("order", {"orderId": f"lost-{number}"})
        start("assembly", {})
        start("invoice", {"number": number})
        start("note", {})
        start("note", {"long": True})
    paused = start("order", {"orderId": "paused"})
    ask(base, "POST", f"/v1/sagas/{paused}/pause", {"reason": "seed"})
    abandoned = start("invoice", {"number": 100})
    until = time.monotonic() + SECONDS_TO_START
    wanted = {"running", "stuck", "completed", "compensated"}
    while time.monotonic() < until:
        states = {count["status"] for count in ask(base, "GET", "/v1/sagas/counts")["counts"]}
        letters = ask(base, "GET", "/v1/dead-letters")["dead_letters"]
        stuck = ask(base, "GET", f"/v1/sagas/{abandoned}")["status"] == "stuck"
        if states >= wanted and len(letters) >= 3 and stuck:
            ask(base, "POST", f"/v1/sagas/{abandoned}/abandon", {"reason": "seed"})
            return
        time.sleep(0.1)
    raise Unready(f"the seeds are not ready: {states}, {len(letters)} dead letters")


def schemathesis(base: str, home: Path) -> int:
    # The configuration file selects the checks, the phases and the number of requests.
    tool = Path(sys.executable).with_name("schemathesis")
    run = [str(tool), "--config-file", str(HERE / "schemathesis.toml"), "run", f"{base}/v1/openapi.json", *sys.argv[1:]]
    # schemathesis writes its findings into the working directory, which is temporary.
    environment = os.environ | {"CONTRACT_TOKEN": TOKEN, "PYTHONPATH": str(HERE)}
    done = subprocess.run(run, cwd=home, env=environment, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True)
    # The summary suffices for a passed run: the rest are links out of empty lists.
    head, title, summary = done.stdout.rpartition("=================================== SUMMARY")
    print(title + summary if done.returncode == 0 and title else done.stdout, end="")
    return done.returncode


if __name__ == "__main__":
    sys.exit(main())
