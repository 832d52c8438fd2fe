"""The command: `python -m peers --help`, or better `make bench`, which installs what this needs."""

import argparse
import fnmatch
import os
import re
import shutil
import sys
from pathlib import Path

from . import packages


def arguments() -> argparse.Namespace:
    """As make passes them on."""
    parser = argparse.ArgumentParser(prog="peers", description="omma beside its peers, on this machine, now")
    parser.add_argument(
        "--only",
        default="",
        metavar="nms,resize,…",
        help="operators or families; OPERATOR/PATTERN for rows, e.g. 'nms/1000*'",
    )
    parser.add_argument("--threads", default="1,2", metavar="1,2", help="numbers of threads, one column each")
    parser.add_argument("--peers", default="", metavar="all", help="packages; all adds torch and torchvision")
    parser.add_argument("--quick", action="store_true", help="a tenth of the time, more noise")
    parser.add_argument("--out", type=Path, required=True, metavar="FOLDER", help="where the report goes")
    parser.add_argument("--publish", type=Path, metavar="FOLDER", help="copies the report and the ratios there")
    return parser.parse_args()


def selected(only: str) -> list:
    """The rows that `only` names, in their order."""
    from .operators import all_rows

    families = all_rows()
    # Names of rows have commas too, with a space behind.
    tokens = [token for token in re.split(r",(?! )", only) if token]
    if not tokens:
        return [row for rows in families.values() for row in rows]

    def wanted(token: str, family: str, row) -> bool:
        operator, _, pattern = token.partition("/")
        return operator in (family, row.operator) and (not pattern or fnmatch.fnmatch(row.name, pattern))

    found = []
    used = set()
    for family, rows in families.items():
        for row in rows:
            matching = [token for token in tokens if wanted(token, family, row)]
            used.update(matching)
            if matching:
                found.append(row)
    if unknown := [token for token in tokens if token not in used]:
        operators = dict.fromkeys(row.operator for rows in families.values() for row in rows)
        sys.exit(f"no row is named {', '.join(unknown)}; there are {', '.join([*families, *operators])}")
    return found


def peers(names: str) -> list[str]:
    """Packages."""
    if names in ("", "default"):
        return packages.DEFAULT
    if names == "all":
        return list(packages.PACKAGES)
    chosen = [name.strip() for name in names.split(",") if name.strip()]
    if unknown := [name for name in chosen if name not in packages.PACKAGES]:
        sys.exit(f"no peer is named {', '.join(unknown)}; there are {', '.join(packages.PACKAGES)}")
    if "torchvision" in chosen and "torch" not in chosen:
        chosen.append("torch")
    return chosen


def main() -> int:
    """0 when every result agreed."""
    options = arguments()
    threads = [int(t) for t in options.threads.split(",")]
    if min(threads) < 1:
        sys.exit("a number of threads is 1 or more")
    packages.restrain(max(threads))

    from tqdm import tqdm

    from . import harness, native, plots, report
    from .operators import not_yet

    settings = harness.Settings(threads, peers(options.peers), options.quick)
    rows = selected(options.only)
    for package in settings.peers:
        packages.load(package)
    for package, why in packages.missing.items():
        print(f"{package} is missing: {why}", flush=True)
    for t in threads:
        native.machine(t, settings.quick)

    runner, outcomes = harness.Runner(settings), []
    # What is left is told by weight: rows of sweeps are shorter.
    weights = [1 if row.axis else 2 for row in rows]
    with tqdm(
        total=sum(weights) * len(threads),
        bar_format="{l_bar}{bar}| {elapsed} gone, {remaining} to go{postfix}",
        mininterval=0.2 if sys.stderr.isatty() else 15,
        dynamic_ncols=True,
    ) as bar:
        for row, weight in zip(rows, weights, strict=True):
            for t in threads:
                bar.set_postfix_str(f"{row.operator} {row.name}, {t}", refresh=False)
                outcome = runner.run(row, t)
                outcomes.append(outcome)
                for label, text in outcome.mismatches.items():
                    bar.write(f"MISMATCH {row.operator} {row.name}, {t} threads, {label}: {text}")
                bar.update(weight)

    options.out.mkdir(parents=True, exist_ok=True)
    report.write(outcomes, settings, options.out)
    plots.write(outcomes, settings, options.out)
    print((options.out / "report.md").read_text().split("\n## Operators that omma does not have yet")[0])
    print(f"{options.out}: report.json, report.md, {len(list(options.out.glob('*.svg')))} SVG pictures")
    if options.publish:
        options.publish.mkdir(parents=True, exist_ok=True)
        for old in options.publish.glob("bench-*.svg"):
            old.unlink()
        shutil.copy(options.out / "report.md", options.publish / "bench.md")
        for picture in [*options.out.glob("ratio*.svg"), *options.out.glob("time-*.svg")]:
            shutil.copy(picture, options.publish / f"bench-{picture.name}")
        print(f"published to {options.publish}: bench.md and bench-*.svg")

    failed = any(outcome.mismatches for outcome in outcomes)
    if failed:
        print("some results differ: see above")
    if stale := not_yet.stale():
        print(f"omma has {', '.join(stale)}: move the lines of operators/not_yet.py to rows of a family")
        failed = True
    sys.stdout.flush()
    return int(failed)


if __name__ == "__main__":
    code = main()
    # Some peers' thread pools do not come down in peace.
    sys.stderr.flush()
    os._exit(code)
