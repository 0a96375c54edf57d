"""The report: all runs as JSON, the medians as a table, and the chart."""

import json
import os
from statistics import median

import chart
from contenders import PEERS
from measure import Run

TITLES = {"floor": "the floor, stores nothing", "snorri": "Snorri"} | {peer.key: peer.title for peer in PEERS}
# The setting of the columns that are given for one number in flight only.
TYPICAL = 200


class Results:
    def __init__(self, path, conditions):
        self.path, self.conditions = path, conditions
        self.runs, self.skipped, self.failures = [], {}, []

    @classmethod
    def begin(cls, path, append, warm_up_seconds, seconds):
        versions = {peer.key: peer.version() for peer in PEERS}
        conditions = {
            "cpus": os.cpu_count(),
            "warm_up_seconds": warm_up_seconds,
            "seconds": seconds,
            "versions": versions,
        }
        results = cls(path, conditions)
        if append and path.exists():
            earlier = json.loads(path.read_text())
            if earlier["conditions"] != conditions:
                raise SystemExit(f"peers: cannot append to {path}: it was measured under {earlier['conditions']}")
            results.runs = [Run(**run) for run in earlier["runs"]]
        return results

    def write(self):
        self.path.parent.mkdir(parents=True, exist_ok=True)
        content = {
            "conditions": self.conditions,
            "results": self.medians(),
            "skipped": self.skipped,
            "failures": self.failures,
            "runs": [run.record() for run in self.runs],
        }
        self.path.write_text(json.dumps(content, indent=2) + "\n")
        self.path.with_suffix(".md").write_text(self.table())
        rows = [(self.title(key), rates) for key, rates in self.rates() if rates]
        if rows:
            title = f"Order sagas of three steps, a second ({self.conditions['cpus']} cores for everything)"
            self.path.with_suffix(".svg").write_text(chart.draw(title, rows))

    def medians(self):
        """For each contender and setting, in the order of the titles."""
        return [
            {"contender": key, "in_flight": in_flight, "refused": refused, "rounds": len(runs), **summarize(runs)}
            for key in TITLES
            for in_flight, refused in sorted({(run.in_flight, run.refused) for run in self.runs}, key=lambda it: it[::-1])
            if (runs := self.runs_of(key, in_flight, refused))
        ]

    def runs_of(self, key, in_flight, refused):
        return [run for run in self.runs if (run.contender, run.in_flight, run.refused) == (key, in_flight, refused)]

    def title(self, key):
        version = self.conditions["versions"].get(key)
        name, comma, rest = TITLES[key].partition(",")
        return f"{name} {version}{comma}{rest}" if version else TITLES[key]

    def rates(self):
        """The rates of the chart: those with several sagas in flight of which none is refused."""
        counts = [count for count in sorted({run.in_flight for run in self.runs}) if count >= TYPICAL]
        for key in TITLES:
            runs = {count: self.runs_of(key, count, refused=False) for count in counts}
            yield key, {count: median(run.sagas_per_second for run in runs) for count, runs in runs.items() if runs}

    def table(self):
        plain = sorted({run.in_flight for run in self.runs if not run.refused})
        refused = sorted({run.in_flight for run in self.runs if run.refused})
        typical = TYPICAL if TYPICAL in plain else (plain or [None])[-1]
        header = ["", *(f"{count:,} in flight" for count in plain), *(f"{count:,}, all refused" for count in refused)]
        header += [*(f"p50 / p99 at {count:,}" for count in plain), f"CPU a saga at {typical:,}" if plain else "CPU"]
        lines = [header, ["---"] * len(header)]
        for key in TITLES:
            of = lambda count, refused: self.runs_of(key, count, refused)
            if not any(run.contender == key for run in self.runs):
                continue
            rates = [rate(of(count, False)) for count in plain] + [rate(of(count, True)) for count in refused]
            lines.append([self.title(key), *rates, *(times(of(count, False)) for count in plain), cpu(of(typical, False))])
        text = "".join(f"| {' | '.join(line)} |\n" for line in lines)
        notes = [f"Skipped: {self.title(key)}: {reason}\n" for key, reason in self.skipped.items()]
        notes += [f"Failed: {self.title(failure['contender'])}: {failure['reason']}\n" for failure in self.failures]
        return text + "".join(f"\n{note}" for note in notes)


def summarize(runs):
    numbers = ("sagas_per_second", "p50_ms", "p99_ms", "cpu_ms_per_saga", "elsewhere_cores")
    return {number: round(median(getattr(run, number) for run in runs), 3) for number in numbers}


def rate(runs):
    return f"{median(run.sagas_per_second for run in runs):,.0f}" if runs else ""


def times(runs):
    if not runs:
        return ""
    p50, p99 = (median(getattr(run, number) for run in runs) for number in ("p50_ms", "p99_ms"))
    return f"{p50:,.0f} / {p99:,.0f} ms"


def cpu(runs):
    return f"{median(run.cpu_ms_per_saga for run in runs):.2f} ms" if runs else ""
