"""The measurement of one contender with one setting: the same for all peers."""

import contextlib
import json
import subprocess
import threading
from dataclasses import asdict, dataclass

from processes import Failed, cpu_seconds, machine_seconds, running, tail

# Warm-up and measured time last until the next full turn of the orders in flight, but no longer than this.
LIMIT_SECONDS = 90
# Beyond these times: for the start and the end, which the loads limit themselves.
GRACE_SECONDS = 420


@dataclass(frozen=True)
class Setting:
    in_flight: int
    refused: bool
    warm_up_seconds: float
    seconds: float

    def plan(self):
        """For the loads, which are programs in other languages."""
        return json.dumps(
            {
                "inFlight": self.in_flight,
                "refused": self.refused,
                "warmUpSeconds": self.warm_up_seconds,
                "seconds": self.seconds,
                "limitSeconds": LIMIT_SECONDS,
            }
        )


@dataclass
class Run:
    """The result of one contender with one setting."""

    contender: str
    in_flight: int
    refused: bool
    sagas: int
    seconds: float
    sagas_per_second: float
    p50_ms: float
    p99_ms: float
    # Of all processes but the load, in milliseconds.
    cpu_ms_per_saga: float
    # What else the machine was busy with, in cores: a large number means a disturbed run.
    elsewhere_cores: float

    def record(self):
        return asdict(self)


def measure(contender, setting, load, counted, log, counts_load=False):
    """Runs a load to its end. `counted` are the processes whose CPU counts, with their descendants; where the orchestrator is a
    library, the load is a part of its process and counts too."""
    limit = 2 * LIMIT_SECONDS + GRACE_SECONDS
    with running(load, log, stdout=subprocess.PIPE) as process, limited(process, limit):
        roots = [*counted, process.pid] if counts_load else counted
        expect(process, "warm", log)
        before = sample(roots, [*counted, process.pid])
        expect(process, "measured", log)
        after = sample(roots, [*counted, process.pid])
        result = expect(process, "result", log)
    sagas, seconds = result["sagas"], result["seconds"]
    counted_seconds, all_seconds, machine = (now - then for now, then in zip(after, before))
    if sagas == 0:
        raise Failed(f"no order ended within {seconds:.1f} s; measure for longer")
    return Run(
        contender=contender,
        in_flight=setting.in_flight,
        refused=setting.refused,
        sagas=sagas,
        seconds=seconds,
        sagas_per_second=sagas / seconds,
        p50_ms=result["p50_ms"],
        p99_ms=result["p99_ms"],
        cpu_ms_per_saga=counted_seconds * 1_000 / sagas,
        elsewhere_cores=max(0.0, machine - all_seconds) / seconds,
    )


@contextlib.contextmanager
def limited(process, seconds):
    """Kills a process that is still there after so long."""
    timer = threading.Timer(seconds, process.kill)
    timer.start()
    try:
        yield
    finally:
        timer.cancel()


def sample(counted, all_of_it):
    return cpu_seconds(counted), cpu_seconds(all_of_it), machine_seconds()


def expect(process, name, log):
    line = process.stdout.readline()
    if not line:
        raise Failed(f"the load ended before it was {name}: {tail(log)}")
    event = json.loads(line)
    if event["event"] != name:
        raise Failed(f"the load sent {event} instead of `{name}`")
    return event
