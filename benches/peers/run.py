#!/usr/bin/env python3
"""`make bench-peers`: the order saga on Snorri, on the floor, and on other orchestrators, on the same machine.

Writes target/bench/peers.json with all runs, and the table (peers.md) and the chart (peers.svg) of their medians. README.md, next
to this file, has the settings of each contender.
"""

import argparse
import signal
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import orders
import report
from contenders import PEERS
from measure import Setting
from processes import Failed
from services import PostgreSQL

TARGET = Path(__file__).parents[2] / "target"
BUILD = TARGET / "peers"
SNORRI = "snorri"


@dataclass
class Site:
    """Where a contender runs: PostgreSQL, a folder for data, and one for logs, which stay."""

    postgresql: PostgreSQL
    directory: Path
    logs: Path


def parse_arguments():
    peers = [SNORRI, *(peer.key for peer in PEERS)]
    parser = argparse.ArgumentParser(prog="run.py", description=__doc__.split("\n", 1)[0])
    parser.add_argument(
        "--peer", nargs="+", choices=peers, default=peers, help="contenders; snorri includes the floor (default: all)"
    )
    parser.add_argument("--in-flight", nargs="+", type=int, default=[10, 200, 1_000], help="sagas in flight at any moment")
    parser.add_argument("--refused", nargs="*", type=int, default=[200], help="sagas in flight where the last step refuses all")
    parser.add_argument("--rounds", type=int, default=3, help="rounds, in which the contenders take turns; medians are reported")
    parser.add_argument("--seconds", type=float, default=5.0, help="the least measured time of each run")
    parser.add_argument("--warm-up", type=float, default=5.0, help="the least warm-up of each run, in seconds")
    parser.add_argument(
        "--disturbed", type=float, metavar="CORES", help="discard runs in which others used more cores than this (default: none)"
    )
    parser.add_argument("--append", action="store_true", help="keep the runs of an earlier call, if it measured the same way")
    parser.add_argument("--orders", default=orders.COMMAND, metavar="COMMAND", help="the program of `make bench`")
    parser.add_argument("--output", type=Path, default=TARGET / "bench" / "peers.json", help="file for the JSON report")
    return parser.parse_args()


def main():
    arguments = parse_arguments()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit("peers: terminated"))  # so that what was started is stopped
    postgresql = PostgreSQL()
    results = report.Results.begin(arguments.output, arguments.append, arguments.warm_up, arguments.seconds)
    contenders = prepare(arguments, results)
    settings = [(count, False) for count in arguments.in_flight] + [(count, True) for count in arguments.refused]
    settings = [Setting(*setting, arguments.warm_up, arguments.seconds) for setting in settings]
    for number in range(arguments.rounds):
        # In turns, because a machine's speed drifts and one disturbs the next.
        for contender in contenders if number % 2 == 0 else reversed(contenders):
            measure(contender, settings, postgresql, results, arguments.disturbed)
            results.write()
    print(results.table())
    print(f"All of it: {arguments.output}")
    if results.failures:
        sys.exit("peers: some contenders failed; see above")


def prepare(arguments, results):
    """All that can be had here; the others are reported as skipped."""
    prepared = []
    for contender in [orders.Orders(arguments.orders), *PEERS]:
        if contender.key not in arguments.peer:
            continue
        log(f"{contender.key}: preparing")
        try:
            contender.prepare(BUILD)
            prepared.append(contender)
        except Failed as reason:
            log(f"{contender.key}: skipped: {reason}")
            results.skipped[contender.key] = str(reason)
    return prepared


def measure(contender, settings, postgresql, results, disturbed):
    """One round of one contender. A failure ends its round, not the campaign."""
    with tempfile.TemporaryDirectory(prefix=f"snorri-peers-{contender.key}-", ignore_cleanup_errors=True) as directory:
        try:
            for run in contender.measure_each(settings, Site(postgresql, Path(directory), BUILD)):
                is_disturbed = disturbed is not None and run.elsewhere_cores > disturbed
                log(describe(run) + (", discarded" if is_disturbed else ""))
                if not is_disturbed:
                    results.runs.append(run)
        except Failed as reason:
            log(f"{contender.key}: failed: {reason}")
            results.failures.append({"contender": contender.key, "reason": str(reason)})


def describe(run):
    refused = ", all refused" if run.refused else ""
    return (
        f"{run.contender}, {run.in_flight} in flight{refused}: {run.sagas_per_second:.0f} sagas/s,"
        f" p50 {run.p50_ms:.0f} ms, p99 {run.p99_ms:.0f} ms, {run.cpu_ms_per_saga:.2f} ms of CPU a saga,"
        f" {run.elsewhere_cores:.2f} cores busy elsewhere"
    )


def log(text):
    print(f"peers: {text}", file=sys.stderr, flush=True)


if __name__ == "__main__":
    main()
