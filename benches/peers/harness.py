"""Runs rows: makes the contestants, compares results, then times them in turns.

In each round every contestant has one turn, in an order that moves on by one from round to round; a slow moment of the
machine hits all of them. A turn begins when the threads of the one before have come to rest, with a call that
is not counted (unless it is long), so that data is in the caches if it fits, and then times so many calls at once that
they take a millisecond or more. The ratio of two contestants is the median of the ratios of their turns in the same round. Who takes
seconds has no turn but the call that was compared: noise is small beside it, and rounds of it would be all of a run.
"""

import contextlib
import gc
import math
import statistics
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from . import native, packages
from .rows import Contestant, Mismatch, NotApplicable, Row, context

SAMPLE = 1e-3
# What a call finds in the caches at its beginning is nothing beside this.
LONG = 50e-3
MOST_ROUNDS = 400
FEWEST_ROUNDS = 3


@dataclass
class Settings:
    """How long, how many threads, who."""

    threads: Sequence[int]
    peers: Sequence[str]
    quick: bool

    def budget(self, row: Row) -> float:
        """Seconds for each contestant of a row."""
        return 0.1 if self.quick else 0.5 if row.axis else 1.0

    @property
    def fewest_rounds(self) -> int:
        """Up to twice the budget."""
        return FEWEST_ROUNDS if self.quick else 7

    @property
    def patience(self) -> float:
        """Seconds a call from which the compared call of a peer is its only one."""
        return 1.0 if self.quick else 10.0

    @property
    def too_slow(self) -> float:
        """Seconds a call from which a contestant of a sweep stays behind."""
        return 0.1 if self.quick else 1.5


def others_run() -> bool:
    """Whether another thread of this process computes. The clocks do not tell: the system adds up what a thread on
    another CPU has used every few milliseconds only."""
    own = threading.get_native_id()
    for thread in Path("/proc/self/task").iterdir():
        if int(thread.name) != own:
            with contextlib.suppress(OSError):
                if (thread / "stat").read_text().rpartition(") ")[2].startswith("R"):
                    return True
    return False


def rest(longest: float = 0.25) -> None:
    """Waits until no other thread of this process is busy: pools keep turning for a while after their work is done,
    in the time and on the cores of whoever comes next."""
    end = time.perf_counter() + longest
    time.sleep(5e-4)
    while sys.platform == "linux" and others_run() and time.perf_counter() < end:
        time.sleep(5e-4)


def measure(calls: Mapping[str, Callable[[], Any]], seconds: float, fewest: int) -> dict[str, list[float]]:
    """Seconds a call, turn by turn, of calls that have run before; `seconds` is for all of them together, and is
    exceeded only for as many rounds as medians and quartiles need."""
    clock = time.perf_counter

    def batch(call: Callable[[], Any], count: int) -> float:
        start = clock()
        for _ in range(count):
            call()
        return (clock() - start) / count

    begin = clock()
    counts = {}
    warm = {}
    for label, call in calls.items():
        once = batch(call, 1)
        # The first estimate of a short call is mostly noise.
        once = batch(call, 10) if once < SAMPLE / 10 else once
        counts[label] = max(1, math.ceil(SAMPLE / max(once, 1e-8)))
        warm[label] = once < LONG
    labels = list(calls)
    samples: dict[str, list[float]] = {label: [] for label in labels}
    gc.collect()
    gc.disable()
    try:
        for number in range(MOST_ROUNDS):
            spent = clock() - begin
            if number >= FEWEST_ROUNDS and spent >= seconds and (number >= fewest or spent >= 2 * seconds):
                break
            first = number % len(labels)
            for label in labels[first:] + labels[:first]:
                call = calls[label]
                rest()
                if warm[label]:
                    call()
                samples[label].append(batch(call, counts[label]))
    finally:
        gc.enable()
    return samples


def quartiles(values: Sequence[float]) -> dict[str, float]:
    """Median, first and third quartile."""
    first, median, third = statistics.quantiles(values, n=4, method="inclusive")
    return {"median": median, "q1": first, "q3": third}


@dataclass
class Outcome:
    """What became of a row at a number of threads."""

    row: Row
    threads: int
    limit: float
    # Bytes that omma held beyond inputs, outputs and plans.
    scratch: int = 0
    # label -> median, q1, q3 in seconds, rounds
    times: dict[str, dict[str, float]] = field(default_factory=dict)
    # label of a peer -> its time over omma's: median, q1, q3
    ratios: dict[str, dict[str, float]] = field(default_factory=dict)
    agreement: dict[str, str] = field(default_factory=dict)
    mismatches: dict[str, str] = field(default_factory=dict)
    # label -> why it did not run
    absent: dict[str, str] = field(default_factory=dict)

    @property
    def best(self) -> str | None:
        """The fastest peer."""
        return min(self.ratios, key=lambda label: self.times[label]["median"], default=None)


class Runner:
    """Runs rows one after the other and remembers who is too slow for the rest of a sweep."""

    def __init__(self, settings: Settings) -> None:
        self.settings = settings
        self.slow: dict[tuple[str, str, int, str], str] = {}

    def run(self, row: Row, threads: int) -> Outcome:
        """Compares and times one row."""
        settings = self.settings
        limit = native.machine(threads, settings.quick).seconds(row.flops, row.bytes)
        outcome = Outcome(row, threads, limit)
        packages.limit(list(settings.peers), threads)
        # A context of its own, so that what it holds is what this row needs.
        context.cache_clear()
        contestants = self.contestants(row, threads, outcome)
        calls, once = self.compare(row, contestants, outcome)
        outcome.scratch = context(threads).scratch_bytes
        if "omma" not in calls:
            return outcome
        budget = settings.budget(row) * len(calls)
        samples = measure(calls, budget, settings.fewest_rounds)
        ours = samples["omma"]
        rounds = {label: len(theirs) for label, theirs in samples.items()} | dict.fromkeys(once, 1)
        samples |= {label: [seconds] * len(ours) for label, seconds in once.items()}
        for label, theirs in samples.items():
            outcome.times[label] = quartiles(theirs) | {"rounds": rounds[label]}
            if label != "omma":
                outcome.ratios[label] = quartiles([b / a for a, b in zip(ours, theirs, strict=True)])
            median = outcome.times[label]["median"]
            if row.axis and median > settings.too_slow:
                self.slow[row.operator, row.axis, threads, label] = f"{median:.1f} s at {row.name}"
        return outcome

    def contestants(self, row: Row, threads: int, outcome: Outcome) -> dict[str, Contestant]:
        """Those that are there and can do it."""
        made: dict[str, Contestant] = {}
        for label, make in row.contestants().items():
            package = label.split()[0]
            if package != "omma":
                if package not in self.settings.peers:
                    continue
                if packages.load(package) is None:
                    outcome.absent[label] = f"{package} is missing: {packages.missing[package]}"
                    continue
                if slow := self.slow.get((row.operator, row.axis, threads, label)):
                    outcome.absent[label] = f"too slow to go on: {slow}"
                    continue
            try:
                made[label] = make(threads)
            except Exception as error:
                if package == "omma":
                    raise
                # A peer that cannot do this work, or no longer can, is named, and the others go on.
                outcome.absent[label] = str(error) if isinstance(error, NotApplicable) else f"{type(error).__name__}: {error}"
        return made

    def compare(
        self, row: Row, contestants: Mapping[str, Contestant], outcome: Outcome
    ) -> tuple[dict[str, Callable[[], Any]], dict[str, float]]:
        """Whose results are those of omma may be timed; and the seconds of those who have had their only call."""
        ours = contestants["omma"].result()
        calls = {"omma": contestants["omma"].call}
        once = {}
        for label, contestant in contestants.items():
            if label == "omma":
                continue
            rest()
            start = time.perf_counter()
            try:
                theirs = contestant.result()
            except Exception as error:
                outcome.absent[label] = f"{type(error).__name__}: {error}"
                continue
            seconds = time.perf_counter() - start
            try:
                outcome.agreement[label] = row.agree(ours, theirs)
                if seconds > self.settings.patience:
                    once[label] = seconds
                else:
                    calls[label] = contestant.call
            except Mismatch as error:
                outcome.mismatches[label] = str(error)
        return calls, once
