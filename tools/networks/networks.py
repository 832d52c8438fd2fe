"""Writes src/image/median/networks.rs: `python3 networks.py > ../../src/image/median/networks.rs`.

Sorting networks for the columns of a median's window are the known ones of least exchanges; merges are Batcher's
odd-even merge, cut back to what the ranks that are asked for depend on.
"""

SORT = {
    4: "0 2, 1 3, 0 1, 2 3, 1 2",
    5: "0 3, 1 4, 0 2, 1 3, 0 1, 2 4, 1 2, 3 4, 2 3",
    6: "0 5, 1 3, 2 4, 1 2, 3 4, 0 3, 2 5, 0 1, 2 3, 4 5, 1 2, 3 4",
    7: "0 6, 2 3, 4 5, 0 2, 1 4, 3 6, 0 1, 2 5, 3 4, 1 2, 4 6, 2 3, 4 5, 1 2, 3 4, 5 6",
    8: "0 2, 1 3, 4 6, 5 7, 0 4, 1 5, 2 6, 3 7, 0 1, 2 3, 4 5, 6 7, 2 4, 3 5, 1 4, 3 6, 1 2, 3 4, 5 6",
    9: "0 3, 1 7, 2 5, 4 8, 0 7, 2 4, 3 8, 5 6, 0 2, 1 3, 4 5, 7 8, 1 4, 3 6, 5 7, 0 1, 2 4, 3 5, 6 8, 2 3, 4 5, 6 7, "
    "1 2, 3 4, 5 6",
}


def pairs(text: str) -> list[tuple[int, int]]:
    return [tuple(map(int, pair.split())) for pair in text.split(",")]


def merge(a: list[int], b: list[int], exchanges: list[tuple[int, int]]) -> list[int]:
    """Appends the exchanges that merge the sorted wires `a` and `b`; returns the wires in order."""
    if not a or not b:
        return a + b
    if len(a) == len(b) == 1:
        exchanges.append((a[0], b[0]))
        return a + b
    even = merge(a[::2], b[::2], exchanges)
    odd = merge(a[1::2], b[1::2], exchanges)
    order = even[:1]
    for i in range(max(len(odd), len(even) - 1)):
        here = odd[i : i + 1] + even[i + 1 : i + 2]
        if len(here) == 2:
            exchanges.append((here[0], here[1]))
        order += here
    return order


def needed(exchanges: list[tuple[int, int]], wires: list[int]) -> list[tuple[int, int]]:
    """Without the exchanges that none of the wires depends on."""
    live, kept = set(wires), []
    for pair in reversed(exchanges):
        if live & set(pair):
            live |= set(pair)
            kept.append(pair)
    return kept[::-1]


def check(inputs: list[int], exchanges: list[tuple[int, int]], wires: list[int], ranks: range) -> None:
    """Every merge of sorted zeros and ones comes out right, and so by the 0-1 principle does everything."""

    def runs(lengths: list[int]) -> list[list[int]]:
        if not lengths:
            return [[]]
        first = [[0] * (lengths[0] - ones) + [1] * ones for ones in range(lengths[0] + 1)]
        return [a + rest for a in first for rest in runs(lengths[1:])]

    for values in runs(inputs):
        sorted_values, v = sorted(values), list(values)
        for i, j in exchanges:
            v[i], v[j] = min(v[i], v[j]), max(v[i], v[j])
        assert [v[w] for w in wires] == [sorted_values[r] for r in ranks]


def wrapped(items: list[str], indent: str) -> str:
    lines, line = [], indent
    for item in items:
        if len(line) + len(item) + 2 > 116:
            lines.append(line.rstrip())
            line = indent
        line += item + ", "
    return "\n".join([*lines, line.rstrip(", ")])


def write(name: str, words: str, inputs: list[int], exchanges: list[tuple[int, int]], wires: list[int], ranks: range) -> None:
    exchanges = needed(exchanges, wires)
    check(inputs, exchanges, wires, ranks)
    print(f"\nnetwork! {{\n    /// {words}")
    loads = [f"{which} {i}" for which, length in enumerate(inputs) for i in range(length)]
    print(f"    {name}\n    loads {{\n{wrapped(loads, '        ')}\n    }}")
    print(f"    exchanges {{\n{wrapped([f'{i} {j}' for i, j in exchanges], '        ')}\n    }}")
    print(f"    results {len(wires)} {{\n{wrapped([str(w) for w in wires], '        ')}\n    }}\n}}")


def sorter(k: int) -> None:
    inputs, wires = [1] * k, list(range(k))
    write(f"sort{k}", f"Sorts {k} vectors.", inputs, pairs(SORT[k]), wires, range(k))


def merger(name: str, inputs: list[int], ranks: range) -> None:
    exchanges: list[tuple[int, int]] = []
    order, start = list(range(inputs[0])), inputs[0]
    for length in inputs[1:]:
        order = merge(order, list(range(start, start + length)), exchanges)
        start += length
    words = f"Ranks {ranks.start} to {ranks.stop - 1} of sorted lists of {' and '.join(map(str, inputs))}."
    write(name, words, inputs, exchanges, [order[r] for r in ranks], ranks)


print(
    """//! The networks of [`small`](super::small), written by `tools/networks/networks.py`.

use super::order::{Ordered, Run};
use crate::simd::Narrow;

/// A function that loads vectors, sends them through exchanges, and returns some of them.
macro_rules! network {
    (
        #[doc = $words:literal]
        $name:ident
        loads { $($which:literal $plane:literal),* }
        exchanges { $($i:literal $j:literal),* }
        results $count:literal { $($wire:literal),* }
    ) => {
        #[doc = $words]
        ///
        /// # Safety
        /// Every run is readable for a vector in each of its planes.
        #[inline(always)]
        pub(super) unsafe fn $name<T: Ordered, S: Narrow, R: Run<T>>(simd: S, from: &[R]) -> [T::Vector<S>; $count] {
            // SAFETY: the caller's promise.
            let mut v = unsafe { [$(from[$which].vector(simd, $plane)),*] };
            $(
                let (a, b) = (v[$i], v[$j]);
                (v[$i], v[$j]) = (T::min(simd, a, b), T::max(simd, a, b));
            )*
            [$(v[$wire]),*]
        }
    };
}"""
)
for k in SORT:
    sorter(k)
# What two windows, one below the other, share are k columns of k - 1 values; each has a row of k of its own. The ranks that can be the
# median of either are k + 1.
merger("pair5", [4, 4], range(8))
merger("most5", [8, 8, 4], range(7, 13))
merger("pair7", [6, 6], range(12))
# Of three pairs with the last column, ranks 17 to 24 of 42.
merger("four7", [12, 12], range(24))
merger("most7", [24, 12, 6], range(17, 25))
merger("pair9", [8, 8], range(16))
merger("four9", [16, 16], range(32))
merger("most9", [32, 32, 8], range(31, 41))
