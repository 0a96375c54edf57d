"""Processes of a contender: starting, awaiting and stopping them, and the CPU that they use, from /proc."""

import contextlib
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

PATIENCE_SECONDS = 60  # for a process to start or to stop
TICKS_PER_SECOND = os.sysconf("SC_CLK_TCK")


class Failed(Exception):
    """A contender cannot be prepared, started or measured."""


@contextlib.contextmanager
def running(command, log, environment=None, stdout=None):
    """A process in a session of its own, which ends with this context. Its output goes to the file `log`."""
    with open(log, "ab") as output:
        process = subprocess.Popen(
            [str(part) for part in command],
            stdin=subprocess.DEVNULL,
            stdout=stdout or output,
            stderr=output,
            env={**os.environ, **(environment or {})},
            start_new_session=True,
        )
    try:
        yield process
    finally:
        stop(process)


def stop(process):
    """Terminates a process and its descendants, then kills those that are left."""
    for number, patience in ((signal.SIGTERM, PATIENCE_SECONDS), (signal.SIGKILL, PATIENCE_SECONDS)):
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, number)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(patience)
    if process.stdout:
        process.stdout.close()


def await_port(process, port, log):
    """Waits until the process listens on a port."""

    def listens():
        with contextlib.suppress(OSError), socket.create_connection(("127.0.0.1", port), timeout=1):
            return True
        return False

    await_condition(process, listens, f"it does not listen on port {port}", log)


def await_condition(process, condition, complaint, log):
    deadline = time.monotonic() + PATIENCE_SECONDS
    while not condition():
        if process.poll() is not None:
            raise Failed(f"{process.args[0]} ended with {process.returncode}: {tail(log)}")
        if time.monotonic() > deadline:
            raise Failed(f"{process.args[0]} is not ready after {PATIENCE_SECONDS} s, {complaint}: {tail(log)}")
        time.sleep(0.1)


def run(command, log, directory=None, environment=None):
    """Runs a command to its end."""
    with open(log, "ab") as output:
        done = subprocess.run(
            [str(part) for part in command],
            cwd=directory,
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env={**os.environ, **(environment or {})},
        )
    if done.returncode != 0:
        raise Failed(f"`{' '.join(map(str, command))}` ended with {done.returncode}: {tail(log)}")


def tail(log, lines=5):
    """The end of a log, and where the rest is."""
    text = Path(log).read_text(errors="replace").strip().splitlines()[-lines:] if Path(log).exists() else []
    return " | ".join(line[:200] for line in text) + f" (all of it: {log})"


def free_ports(count):
    """Below the range from which the kernel takes the ports of clients, so that none is taken meanwhile."""
    ports = []
    for port in range(20_000, 32_000):
        with contextlib.suppress(OSError), socket.socket() as candidate:
            candidate.bind(("127.0.0.1", port))
            ports.append(port)
        if len(ports) == count:
            return ports
    raise Failed(f"there are no {count} free ports from 20000 to 32000")


def cpu_seconds(roots):
    """The CPU seconds of processes and all their descendants. Ended ones are in their parent, so this never decreases."""
    table = {}
    for entry in Path("/proc").glob("[0-9]*/stat"):
        with contextlib.suppress(OSError):
            # The name, in parentheses, may contain anything. After it: state, parent, ... utime, stime, cutime, cstime.
            fields = entry.read_text().rpartition(")")[2].split()
            table[int(entry.parent.name)] = (int(fields[1]), sum(map(int, fields[11:15])))
    children = {}
    for process, (parent, _) in table.items():
        children.setdefault(parent, []).append(process)

    def ticks(process):
        own = table[process][1] if process in table else 0
        return own + sum(ticks(child) for child in children.get(process, ()))

    return sum(ticks(root) for root in roots) / TICKS_PER_SECOND


def machine_seconds():
    """The busy CPU seconds of the machine: user, nice, system, irq, softirq and steal."""
    numbers = [int(text) for text in Path("/proc/stat").read_text().splitlines()[0].split()[1:]]
    return sum(numbers[index] for index in (0, 1, 2, 5, 6, 7)) / TICKS_PER_SECOND
