"""SVG pictures of a run: ratios as bars, and time against size above what the machine allows."""

import re
from collections.abc import Sequence
from pathlib import Path

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt  # noqa: E402
from matplotlib.ticker import FuncFormatter  # noqa: E402

from . import native  # noqa: E402
from .harness import Outcome, Settings  # noqa: E402
from .report import cpu, geometric_mean, ratio  # noqa: E402

OMMA = "#c8102e"
# Contestants keep their colour in every picture.
COLOURS = {
    "opencv": "#1f77b4",
    "opencv dnn": "#1f77b4",
    "opencv numpy": "#1f77b4",
    "opencv planes": "#6baed6",
    "opencv blobFromImage": "#9ecae1",
    "onnxruntime": "#7f5fc7",
    "openvino": "#17a2b8",
    "torch": "#ee8a2a",
    "torch packed": "#a8560c",
    "torchvision": "#ee8a2a",
    "numpy": "#5b8c3a",
    "scipy": "#3f6e9e",
    "matrixmultiply": "#8c564b",
}
matplotlib.rcParams.update(
    {
        "svg.fonttype": "none",
        # The same figures give the same file.
        "svg.hashsalt": "omma",
        "font.family": "sans-serif",
        "font.size": 10,
        "axes.spines.top": False,
        "axes.spines.right": False,
    }
)


def save(figure: plt.Figure, path: Path) -> None:
    """White behind it: it is also read on dark pages."""
    figure.savefig(path, format="svg", bbox_inches="tight", facecolor="white", metadata={"Date": None})
    plt.close(figure)


def caption(threads: int) -> str:
    """Where it was measured."""
    return f"{cpu()}, {threads} thread{'s' * (threads > 1)}"


def bars(path: Path, title: str, entries: Sequence[tuple[str, float, Sequence[float], str]]) -> None:
    """An entry is a name, a ratio, smaller points around it, and what stands behind the bar."""
    figure, axes = plt.subplots(figsize=(8, 0.9 + 0.3 * len(entries)))
    for place, (_, value, points, text) in enumerate(entries):
        colour = OMMA if value >= 1 else "#8a8a8a"
        axes.barh(place, value - 1, left=1, height=0.62, color=colour, alpha=0.85, linewidth=0)
        if len(points) > 1:
            axes.plot(points, [place] * len(points), ".", color="black", markersize=4, alpha=0.6)
        axes.annotate(
            f"{ratio(value)}×" + (f"  {text}" if text else ""),
            (max(value, 1, *points), place),
            xytext=(6, 0),
            textcoords="offset points",
            va="center",
            fontsize=8.5,
        )
    axes.set_xscale("log")
    low = min([1.0, *(min(v, *p) for _, v, p, _ in entries)])
    high = max([1.0, *(max(v, *p) for _, v, p, _ in entries)])
    # Room for the words behind the longest bar.
    axes.set_xlim(low / 1.25, max(high, 2) * (1.3 * max(high, 2) / low) ** 0.3)
    axes.axvline(1, color="black", linewidth=1)
    axes.set_yticks(range(len(entries)), [name for name, *_ in entries])
    axes.set_ylim(len(entries) - 0.4, -0.6)
    axes.tick_params(axis="y", length=0)
    axes.xaxis.set_major_formatter(FuncFormatter(lambda v, _: f"{v:g}"))
    axes.xaxis.set_minor_formatter(FuncFormatter(lambda v, _: f"{v:g}" if f"{v:g}".strip("0.") in ("2", "5") else ""))
    axes.tick_params(axis="x", which="minor", labelsize=8)
    axes.grid(axis="x", which="both", color="#dddddd", linewidth=0.5)
    axes.set_axisbelow(True)
    axes.set_xlabel("time of the fastest peer / time of omma   (right of 1: omma is faster)")
    axes.set_title(title, loc="left", fontsize=11)
    save(figure, path)


def ratios(outcomes: Sequence[Outcome], threads: int, folder: Path) -> None:
    """One picture of operators, one of rows."""
    by_operator: dict[str, list[Outcome]] = {}
    for o in outcomes:
        if not o.row.axis and o.threads == threads and o.best is not None:
            by_operator.setdefault(o.row.operator, []).append(o)
    if not by_operator:
        return
    suffix = "" if threads == 1 else f"-{threads}"
    best = lambda o: o.ratios[o.best]["median"]
    operators = []
    for operator, of in by_operator.items():
        peers = ", ".join(dict.fromkeys(o.best for o in of))
        operators.append((operator, geometric_mean([best(o) for o in of]), [best(o) for o in of], peers))
    bars(folder / f"ratio{suffix}.svg", f"omma beside the fastest peer of each operator\n{caption(threads)}", operators)
    rows = [
        (f"{operator}  {o.row.name}", best(o), [o.ratios[o.best]["q1"], o.ratios[o.best]["q3"]], o.best)
        for operator, of in by_operator.items()
        for o in of
    ]
    bars(folder / f"ratio-rows{suffix}.svg", f"omma beside the fastest peer\n{caption(threads)}", rows)


def slug(text: str) -> str:
    """A file's name."""
    return re.sub(r"[^a-z0-9]+", "-", text.lower().replace("²", "")).strip("-")


def growth(outcomes: Sequence[Outcome], threads: Sequence[int], folder: Path, quick: bool) -> None:
    """Time against size, the numbers of threads side by side; below the grey area nobody can come."""
    sweeps: dict[tuple[str, str], list[Outcome]] = {}
    for o in outcomes:
        if o.row.axis and o.row.drawn and "omma" in o.times:
            sweeps.setdefault((o.row.operator, o.row.axis), []).append(o)
    for (operator, axis), of in sweeps.items():
        figure, panels = plt.subplots(
            1, len(threads), figsize=(5.2 * len(threads), 4), sharey=True, squeeze=False, layout="constrained"
        )
        shown: list[float] = []
        for panel, t in zip(panels[0], threads, strict=True):
            mine = sorted((o for o in of if o.threads == t), key=lambda o: o.row.size)
            sizes = [o.row.size for o in mine]
            limits = [o.limit * 1e3 for o in mine]
            labels = dict.fromkeys(label for o in mine for label in o.times)
            for label in labels:
                points = [(o.row.size, o.times[label]) for o in mine if label in o.times]
                medians = [p["median"] * 1e3 for _, p in points]
                ours = label == "omma"
                colour = OMMA if ours else COLOURS.get(label, "#555555")
                xs = [size for size, _ in points]
                panel.plot(xs, medians, "o-", markersize=3, color=colour, label=label, lw=2.2 if ours else 1.2, zorder=3 if ours else 2)
                low, high = ([p[q] * 1e3 for _, p in points] for q in ("q1", "q3"))
                panel.fill_between(xs, low, high, color=colour, alpha=0.2, linewidth=0)
            panel.plot(sizes, limits, "--", color="black", linewidth=1, label="limit of the machine")
            panel.set_xscale("log")
            panel.set_yscale("log")
            # Far below what any panel shows.
            panel.fill_between(sizes, [v * 1e-9 for v in limits], limits, color="#000000", alpha=0.08, linewidth=0)
            shown += [*limits, *(time["q3"] * 1e3 for o in mine for time in o.times.values())]
            panel.set_xticks(sizes, [f"{size:g}" if size < 1e5 else f"{size / 1e6:.2g}M" for size in sizes])
            panel.minorticks_off()
            panel.grid(color="#e4e4e4", linewidth=0.5)
            panel.set_xlabel(axis)
            machine = native.machine(t, quick)
            rates = f"{machine.flops / 1e9:.0f} Gflop/s, memory {machine.bandwidth[-1][1] / 1e9:.0f} GB/s"
            panel.set_title(f"{caption(t)}: {rates}", loc="left", fontsize=9)
        panels[0][0].set_ylim(min(shown) / 2, max(shown) * 2)
        panels[0][0].set_ylabel("milliseconds a call")
        panels[0][0].legend(fontsize=8, frameon=False)
        figure.suptitle(operator, x=0.01, ha="left", fontsize=12)
        save(figure, folder / f"time-{slug(operator + ' ' + axis)}.svg")


def write(outcomes: Sequence[Outcome], settings: Settings, folder: Path) -> None:
    """All pictures, in place of those of an earlier run."""
    for old in [*folder.glob("ratio*.svg"), *folder.glob("time-*.svg")]:
        old.unlink()
    for threads in settings.threads:
        ratios(outcomes, threads, folder)
    growth(outcomes, settings.threads, folder, settings.quick)
