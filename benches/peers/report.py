"""What a run leaves behind: report.json with every figure, and report.md for people."""

import datetime
import json
import math
import os
import platform
import statistics
from collections.abc import Iterable, Sequence
from pathlib import Path
from typing import Any

from . import native, packages
from .harness import Outcome, Settings
from .operators import not_yet


def cpu() -> str:
    """The CPU as its maker calls it."""
    try:
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    except OSError:
        pass
    return platform.processor() or platform.machine()


def cores() -> int:
    """CPUs that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def environment(settings: Settings) -> dict[str, Any]:
    """Where and with what it was measured."""
    import omma

    there = [package for package in settings.peers if packages.load(package) is not None]
    limits = {t: native.machine(t, settings.quick) for t in settings.threads}
    return {
        "date": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
        "quick": settings.quick,
        "cpu": cpu(),
        "cores": cores(),
        "architecture": platform.machine(),
        "system": platform.platform(),
        "isa": omma.isa(),
        "omma": omma.__version__,
        "commit": os.environ.get("OMMA_COMMIT", ""),
        "python": platform.python_version(),
        "peers": {package: packages.version(package) for package in there},
        "missing": dict(packages.missing),
        "limits": {
            str(t): {"flops_per_second": m.flops, "bytes_per_second": [list(pair) for pair in m.bandwidth]}
            for t, m in limits.items()
        },
    }


def as_json(outcomes: Iterable[Outcome], where: dict[str, Any]) -> dict[str, Any]:
    """Times are seconds a call; a ratio is the peer's time over omma's."""
    rows = [
        {
            "operator": o.row.operator,
            "name": o.row.name,
            "axis": o.row.axis,
            "size": o.row.size,
            "threads": o.threads,
            "flops": o.row.flops,
            "bytes": o.row.bytes,
            "limit": o.limit,
            "scratch": o.scratch,
            "times": o.times,
            "ratios": o.ratios,
            "agreement": o.agreement,
            "mismatches": o.mismatches,
            "absent": o.absent,
        }
        for o in outcomes
    ]
    absent = [{"operator": operator, "name": name, "peers": peers} for operator, name, peers in not_yet.NOT_YET]
    return {"version": 1, "environment": where, "rows": rows, "not_yet": absent}


def milliseconds(seconds: float) -> str:
    """Three digits."""
    value = seconds * 1e3
    if value == 0:
        return "0"
    return f"{value:.{max(0, 2 - math.floor(math.log10(value)))}f}"


def ratio(value: float) -> str:
    """Two digits after the point, fewer when it is large."""
    return f"{value:.2f}" if value < 10 else f"{value:.0f}"


def geometric_mean(values: Sequence[float]) -> float:
    """Of ratios."""
    return statistics.geometric_mean(values)


def cells(outcome: Outcome | None) -> list[str]:
    """omma's time with half the distance of its quartiles, the limit's part of it, the best peer, the ratio with its
    quartiles."""
    if outcome is None or "omma" not in outcome.times:
        return ["", "", "", ""]
    time = outcome.times["omma"]
    half = (time["q3"] - time["q1"]) / 2 / time["median"]
    ours = f"{milliseconds(time['median'])} ±{half:.0%}"
    reached = f"{outcome.limit / time['median']:.0%}"
    if outcome.best is None:
        return [ours, reached, "none", ""]
    best = outcome.ratios[outcome.best]
    theirs = f"{milliseconds(outcome.times[outcome.best]['median'])} {outcome.best}"
    return [ours, reached, theirs, f"**{ratio(best['median'])}** ({ratio(best['q1'])}–{ratio(best['q3'])})"]


def pairs(outcomes: Iterable[Outcome]) -> dict[tuple[str, str, str], dict[int, Outcome]]:
    """The same row at each number of threads."""
    found: dict[tuple[str, str, str], dict[int, Outcome]] = {}
    for o in outcomes:
        found.setdefault((o.row.operator, o.row.axis, o.row.name), {})[o.threads] = o
    return found


def table(outcomes: Iterable[Outcome], threads: Sequence[int]) -> list[str]:
    """A line for each row, the numbers of threads side by side."""
    head = ["operator", "work"]
    for t in threads:
        noun = "thread" if t == 1 else "threads"
        head += [f"omma ms, {t} {noun}", "of the limit", "best peer ms", "peer / omma"]
    head += ["scratch KiB", f"other peers ms, {threads[0]} thread" + ("s" if threads[0] > 1 else "")]
    lines = ["| " + " | ".join(head) + " |", "|" + "---|" * len(head)]
    last = ""
    for (operator, _, name), by_threads in pairs(outcomes).items():
        line = ["" if operator == last else f"`{operator}`", name]
        for t in threads:
            line += cells(by_threads.get(t))
        line += [" / ".join(f"{by_threads[t].scratch / 1024:.0f}" for t in threads if t in by_threads)]
        first = by_threads.get(threads[0])
        others = []
        if first is not None:
            slower = sorted((first.times[p]["median"], p) for p in first.ratios if p != first.best)
            others = [f"{milliseconds(time)} {label}" for time, label in slower]
        lines.append("| " + " | ".join([*line, ", ".join(others)]) + " |")
        last = operator
    return lines


def notes(outcomes: Iterable[Outcome]) -> tuple[list[str], list[str]]:
    """Mismatches; and who did not take part, with the reason, each said once."""
    wrong, absent = [], {}
    for o in outcomes:
        what = f"`{o.row.operator}` {o.row.name}"
        wrong += [f"- {what}, {o.threads} threads, {label}: {text}" for label, text in o.mismatches.items()]
        for label, text in o.absent.items():
            absent.setdefault((label, o.row.operator, text), []).append(o.row.name)
    said = [
        f"- {label}, `{operator}` {'; '.join(dict.fromkeys(names))}: {text.splitlines()[0][:300]}"
        for (label, operator, text), names in absent.items()
        if not text.endswith("is missing") and label.split()[0] not in packages.missing
    ]
    return wrong, said


def as_markdown(outcomes: Sequence[Outcome], where: dict[str, Any], settings: Settings) -> str:
    """The tables, and everything that is not in them."""
    threads = list(settings.threads)
    peers = ", ".join(f"{name} {version}" for name, version in where["peers"].items())
    lines = [
        "# omma beside its peers",
        "",
        f"{where['cpu']}, {where['cores']} cores, `{where['isa']}`; omma {where['omma']}"
        + (f" ({where['commit']})" if where["commit"] else "")
        + f", Python {where['python']}, {where['date'][:10]}"
        + (", a quick run" if settings.quick else "")
        + ".",
        "",
        f"Peers: {peers}.",
        "",
    ]
    for t in threads:
        limit = where["limits"][str(t)]
        memory = limit["bytes_per_second"][-1][1]
        lines.append(
            f"Limits of the machine with {t} thread{'s' * (t > 1)}: {limit['flops_per_second'] / 1e9:.0f} Gflop/s of "
            f"multiply-adds in registers, {memory / 1e9:.0f} GB/s from memory."
        )
    lines += [
        "",
        "Medians of turns taken in one process. ± is half the distance of the quartiles; the ratio is the median of the",
        "ratios within each round, its quartiles in brackets: above 1 omma is faster. The limit is the time that the",
        "operations of the definition or the bytes of inputs and outputs take at the rates above, whichever is longer (what needs",
        "fewer operations can be past it); scratch is all the memory that a call of omma takes beyond inputs, outputs and plan,",
        "for each number of threads.",
    ]
    if threads[-1] > where["cores"]:
        lines += ["", f"**{threads[-1]} threads shared {where['cores']} core(s)**: those columns say nothing about speed."]
    wrong, absent = notes(outcomes)
    if wrong:
        lines += ["", "## Results that differ", "", "Not timed.", "", *wrong]
    main = [o for o in outcomes if not o.row.axis]
    if main:
        lines += ["", "## Operators", "", *table(main, threads)]
    if missing := where["missing"]:
        lines += ["", "## Peers that are missing", "", *(f"- {name}: {why}" for name, why in missing.items())]
    if absent:
        lines += ["", "## Peers that did not take part", "", *absent]
    lines += ["", "## Operators that omma does not have yet", ""]
    later: dict[tuple[str, str], list[str]] = {}
    for operator, name, best in not_yet.NOT_YET:
        later.setdefault((operator, best), []).append(name)
    lines += [f"- `{operator}` ({best}): {'; '.join(names)}" for (operator, best), names in later.items()]
    sweeps = [o for o in outcomes if o.row.axis]
    if sweeps:
        lines += ["", "## How cost grows"]
        for axis in dict.fromkeys((o.row.operator, o.row.axis) for o in sweeps):
            lines += ["", f"`{axis[0]}`: {axis[1]}", ""]
            lines += table([o for o in sweeps if (o.row.operator, o.row.axis) == axis], threads)
    return "\n".join(lines) + "\n"


def write(outcomes: Sequence[Outcome], settings: Settings, folder: Path) -> None:
    """report.json and report.md."""
    where = environment(settings)
    (folder / "report.json").write_text(json.dumps(as_json(outcomes, where), indent=1, ensure_ascii=False) + "\n")
    (folder / "report.md").write_text(as_markdown(outcomes, where, settings))
