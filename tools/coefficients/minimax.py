"""Minimax polynomials of src/simd/math.rs.

Prints, for every table there, coefficients that are floats already: the
weighted error is minimised (Remez exchange), the highest coefficient is rounded
to f32, the rest is fitted again to what that left, and so on down.
"""
import struct
import sys

from mpmath import mp, mpf, matrix, lu_solve, exp, expm1, log1p, log, erfc, tanh, sqrt, pi, cos

mp.dps = 50


def f32(v):
    """The float nearest to v, as mpf."""
    return mpf(struct.unpack("f", struct.pack("f", float(v)))[0])


def remez(target, weight, low, high, powers, rounds=12, grid=2000):
    """Coefficients c of sum(c[i] x^powers[i]) that minimise the largest
    |weight(x) (sum - target(x))| on [low, high], and that error."""
    n = len(powers)
    xs = [(low + high) / 2 - (high - low) / 2 * cos(pi * k / grid) for k in range(grid + 1)]
    f = [target(x) for x in xs]
    w = [weight(x) for x in xs]
    rows = [[x**p for p in powers] for x in xs]
    usable = [i for i in range(grid + 1) if w[i] != 0]
    nodes = [usable[round(k * (len(usable) - 1) / n)] for k in range(n + 1)]
    coefficients = worst = None
    for _ in range(rounds):
        a = matrix(n + 1, n + 1)
        b = matrix(n + 1, 1)
        for r, i in enumerate(nodes):
            for c in range(n):
                a[r, c] = w[i] * rows[i][c]
            a[r, n] = (-1) ** r
            b[r] = w[i] * f[i]
        solution = lu_solve(a, b)
        coefficients = [solution[c] for c in range(n)]
        level = abs(solution[n])
        error = [w[i] * (sum(rows[i][c] * coefficients[c] for c in range(n)) - f[i]) for i in range(grid + 1)]
        # One extremum for each run of equal sign; keep the n + 1 neighbours
        # that hold the largest ones.
        extrema = []
        for i in usable:
            if extrema and (error[i] > 0) == (error[extrema[-1]] > 0):
                if abs(error[i]) > abs(error[extrema[-1]]):
                    extrema[-1] = i
            else:
                extrema.append(i)
        while len(extrema) > n + 1:
            extrema.pop(0 if abs(error[extrema[0]]) < abs(error[extrema[-1]]) else -1)
        worst = max(abs(e) for e in error)
        if len(extrema) < n + 1 or worst < level * (1 + mpf(10) ** -6):
            break
        nodes = extrema
    return coefficients, worst


def table(name, target, weight, low, high, count):
    """Fits, rounds and prints one table."""
    low, high = mpf(low), mpf(high)
    powers = range(count)
    _, ideal = remez(target, weight, low, high, powers)
    # From the highest power down: what is left to fit keeps 1, x, x^2, …,
    # on which the exchange converges, and makes up for the rounding.
    fixed = []
    for k in range(len(powers), 0, -1):
        done = list(fixed)
        rest = lambda x: target(x) - sum(c * x**p for p, c in done)
        coefficients, _ = remez(rest, weight, low, high, powers[:k])
        fixed.insert(0, (powers[k - 1], f32(coefficients[-1])))
    xs = [low + (high - low) * k / 5000 for k in range(5001)]
    final = max(abs(weight(x) * (sum(c * x**p for p, c in fixed) - target(x))) for x in xs)
    print(f"// {name}: error 2^{float(log(final, 2)):.2f}, 2^{float(log(ideal, 2)):.2f} before rounding")
    for p, c in fixed:
        print(f"    {struct.unpack('I', struct.pack('f', float(c)))[0]:#010x} {float(c)!r:>24} x^{p}")


def expm1_tail(x):
    """(e^x - 1 - x) / x^2."""
    if abs(x) < mpf(10) ** -12:
        return mpf(1) / 2 + x / 6
    return (expm1(x) - x) / x**2


def exp2_tail(x):
    """(2^x - 1) / x."""
    if abs(x) < mpf(10) ** -20:
        return log(mpf(2))
    return expm1(x * log(mpf(2))) / x


def log1p_tail(x):
    """(ln(1 + x) - x + x^2 / 2) / x^3."""
    if abs(x) < mpf(10) ** -10:
        return mpf(1) / 3 - x / 4
    return (log1p(x) - x + x**2 / 2) / x**3


def erf_exponent(x):
    """-ln(erfc(x)) / x - 1, whose value at 0 is 2 / sqrt(pi) - 1."""
    if abs(x) < mpf(10) ** -20:
        return 2 / sqrt(pi) - 1
    return -log(erfc(x)) / x - 1


def tail_exponent(x):
    """(-log2(erfc(x / sqrt 2) / 2) - 1) / x."""
    if x < mpf(10) ** -12:
        return sqrt(2 / pi) / log(mpf(2))
    return (-log(erfc(x / sqrt(mpf(2))) / 2, 2) - 1) / x


def gelu_weight(x):
    """What an error of that costs in the result, and a little where the result is next to nothing."""
    return x * (max(x, 1) * erfc(x / sqrt(mpf(2))) / 2 + mpf("5e-5")) * log(mpf(2))


def tanh_tail(u):
    """(tanh(x) / x - 1) / x^2 as a function of u = x^2."""
    if u < mpf(10) ** -15:
        return -mpf(1) / 3 + u * 2 / 15
    return (tanh(sqrt(u)) / sqrt(u) - 1) / u


half_ln2 = log(mpf(2)) / 2 * mpf("1.0001")
TABLES = {
    # e^r - 1 stands alone for -r = t < ln 2 / 2 in erf; elsewhere it meets a power of two.
    "EXP": (expm1_tail, lambda r: r**2 / -expm1(r) if r < 0 else mpf("1.7") * r**2, -half_ln2, half_ln2, 5),
    # In units of the last place, which are half as large below 1.
    "EXP2": (exp2_tail, lambda r: abs(r) * (2 if r < 0 else 1), -mpf("0.50001"), mpf("0.50001"), 5),
    "GELU": (tail_exponent, gelu_weight, 0, 7, 8),
    "TANH": (tanh_tail, lambda u: u * sqrt(u) / tanh(sqrt(u)) if u else mpf(0), 0, mpf("0.625") ** 2, 5),
    "ERF": (erf_exponent, lambda x: erfc(x) * x / (1 - erfc(x)) if x else sqrt(pi) / 2, 0, mpf("3.95"), 10),
    "LOG": (log1p_tail, lambda f: abs(f**3 / log1p(f)) if f else mpf(0), -mpf(1) / 3, mpf(1) / 3, 8),
}

for name in sys.argv[1:] or TABLES:
    table(name, *TABLES[name])
