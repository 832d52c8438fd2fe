"""What a row of the comparison is: one piece of work, and how omma and each peer do it.

An operator's file in `operators` makes rows; the harness runs them. Contestants are named by a label whose first
word is the package that must be there (`opencv`, `torch packed`); `omma` is one of them. Arrays and models
are made when the row's turn comes, and freed after it.
"""

import functools
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np


class Contestant(NamedTuple):
    """`call` is what is timed; `result` gives what the last call made, as numpy, for the comparison."""

    call: Callable[[], Any]
    result: Callable[[], Any]


class NotApplicable(Exception):
    """Why a contestant does not take part in a row; the report says it."""


class Mismatch(Exception):
    """Results differ by more than the row allows."""


# From a number of threads to a contestant.
Maker = Callable[[int], Contestant]
# (omma's result, a peer's result) to what the report says of their difference; raises Mismatch.
Agreement = Callable[[Any, Any], str]


@dataclass(frozen=True)
class Row:
    """`operator` is what ONLY= selects; `name` is the work, as the report shows it."""

    operator: str
    name: str
    contestants: Callable[[], Mapping[str, Maker]]
    agree: Agreement
    # Operations (two a multiply-add) that the definition takes, and bytes that must be read or written at
    # least once: together the least time that the machine allows. 0 operations: only bytes limit.
    flops: float
    bytes: float
    # Rows of a sweep: what grows, and how large it is here.
    axis: str = ""
    size: float = 0
    # The sweep becomes a picture.
    drawn: bool = True


def returning(call: Callable[[], Any], convert: Callable[[Any], Any] = np.asarray) -> Contestant:
    """A contestant whose result is what the call returns."""
    kept: list[Any] = [None]

    def result() -> Any:
        # The call is deterministic, so it need not keep what it made in the measured time.
        kept[0] = convert(call())
        return kept[0]

    return Contestant(call, result)


def writing(call: Callable[[], Any], out: np.ndarray) -> Contestant:
    """A contestant that writes to `out`."""

    def result() -> np.ndarray:
        out.fill(0)
        call()
        return out

    return Contestant(call, result)


@functools.cache
def context(threads: int) -> Any:
    """omma's context of so many threads."""
    import omma

    return omma.Context(num_threads=threads)


def close(atol: float, rtol: float = 0.0) -> Agreement:
    """Elementwise within `atol + rtol * |expected|`."""

    def agree(got: Any, expected: Any) -> str:
        got, expected = np.asarray(got), np.asarray(expected)
        if got.shape != expected.shape:
            raise Mismatch(f"shape {got.shape} and {expected.shape}")
        # In float64: bytes must not wrap.
        difference = np.abs(got.astype(np.float64) - expected)
        worst = float(difference.max(initial=0))
        if not np.all(difference <= atol + rtol * np.abs(expected.astype(np.float64))):
            raise Mismatch(f"largest difference {worst:.3g}, allowed {atol:.3g} + {rtol:.3g} of the value")
        return f"largest difference {worst:.2g} of {atol:.2g}" + (f" + {rtol:.2g} of the value" if rtol else "")

    return agree


def same(got: Any, expected: Any) -> str:
    """The same numbers in the same order."""
    got, expected = np.asarray(got), np.asarray(expected)
    if got.shape != expected.shape:
        raise Mismatch(f"shape {got.shape} and {expected.shape}")
    if not np.array_equal(got, expected):
        raise Mismatch(f"{np.count_nonzero(got != expected)} of {got.size} differ")
    return "identical"
