"""Snorri and the floor, with the program of `make bench` (benches/orders)."""

import json
import shlex
from pathlib import Path

from measure import Run
from processes import Failed, run

ROOT = Path(__file__).parents[2]
COMMAND = "cargo bench --features jemalloc --locked --bench orders --"


class Orders:
    """Both at once: in the program they take turns."""

    key = "snorri"

    def __init__(self, command):
        self.command = shlex.split(command)

    def prepare(self, build):
        """Builds the program before anything is measured."""
        build.mkdir(parents=True, exist_ok=True)
        run([*self.command, "--help"], build / "orders.log", ROOT)

    def measure_each(self, settings, site):
        for setting in settings:
            output, log = site.directory / "orders.json", site.logs / "orders.log"
            options = {
                "backend": "amqp",
                "in-flight": setting.in_flight,
                "refused": 100 if setting.refused else 0,
                "repeated": 0,
                "replicas": 1,
                "rounds": 1,
                "warm-up": setting.warm_up_seconds,
                "seconds": setting.seconds,
                "starts": "false",
                "listing": "false",
                "memory": "false",
                "output": output,
            }
            run([*self.command, *(f"--{name}={value}" for name, value in options.items())], log, ROOT)
            for measured in json.loads(output.read_text())["runs"]:
                yield convert(measured, setting)


def convert(measured, setting):
    cpu = measured["cpu_ms_per_saga"]
    if None in cpu.values():
        raise Failed("the CPU of PostgreSQL is unknown: run this within tests/services.sh")
    counted = cpu["orchestrator"] + cpu["participant"] + cpu["rabbitmq"] + cpu["postgresql"]
    elsewhere = max(0.0, cpu["machine"] - counted - cpu["load"])
    return Run(
        contender=measured["contender"],
        in_flight=setting.in_flight,
        refused=setting.refused,
        sagas=measured["sagas"],
        seconds=measured["seconds"],
        sagas_per_second=measured["sagas_per_second"],
        p50_ms=measured["p50_ms"],
        p99_ms=measured["p99_ms"],
        cpu_ms_per_saga=counted,
        elsewhere_cores=elsewhere * measured["sagas_per_second"] / 1_000,
    )
