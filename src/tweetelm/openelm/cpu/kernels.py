"""Fused CPU kernels between the matrix products of a decoder layer, compiled by numba.

torch runs a norm, a rotary embedding or a gate as several operations, each of which reads and writes all
values. Each kernel here reads and writes once. Results go to the type of the next matrix product: bfloat16
(as uint16), float32, or int8 with one scale per row, so that a tweet's result does not depend on its batch.

Shapes: N tokens, D width of a row, H heads of queries and keys, A heads of queries, keys and values, d head
width. `start` and `stop` select rows, for several threads.
"""

from collections.abc import Callable
from typing import Any

import numba
import numpy as np
from llvmlite import ir
from numba import types
from numba.extending import intrinsic, overload

from .openmp import each_part
from .products import ZERO
from .vectors import AT_ONCE, blend, scores

F = np.float32
# LLVM vectorizes a loop that writes if its arrays lie far from each other, and takes single elements
# otherwise. If both rounded differently, a result would depend on where the arrays lie, and a resumed run
# would differ from an undisturbed one. So only sums may change the order of operations, in loops that write
# nothing (and in the last step of `vectors`' sums, which has no loop).
_EXACT = {"nnan", "ninf", "nsz", "contract"}
_OPTIONS: dict[str, Any] = {"nogil": True, "error_model": "numpy", "fastmath": _EXACT}
_SUM_OPTIONS = {**_OPTIONS, "fastmath": _EXACT | {"reassoc"}}
_ROUND = F(12582912.0)  # 1.5 * 2**23: adding it leaves a number, rounded to even, in the lowest bits
_BIASED_ROUND = F(12582912.0 + 127)
_ZERO = np.uint32(ZERO)  # as 128 is the highest bit, xor adds it to a signed byte
_MAGNITUDE = np.uint32(0x7FFFFFFF)  # as integers, magnitudes of floats have the same order, and vectorize


def compiled(function: Callable[..., None]) -> Callable[..., None]:
    """Compile at the first call; keep the result beside the source or in the user's cache folder.

    numba compiles again only after a change of the function's own file. After a change of a file that it
    imports, such as `vectors`, delete numba's files (`*.nbi`, `*.nbc`) in that folder.
    """
    try:
        found: Callable[..., None] = numba.njit(cache=True, **_OPTIONS)(function)
    except RuntimeError:  # neither folder is writable
        found = numba.njit(**_OPTIONS)(function)
    return found


@intrinsic
def _float(context: Any, bits: Any) -> Any:
    """The float32 with these 32 bits."""
    return types.float32(types.uint32), lambda c, builder, s, args: builder.bitcast(args[0], ir.FloatType())


@intrinsic
def _bits(context: Any, value: Any) -> Any:
    """The 32 bits of a float32."""
    return types.uint32(types.float32), lambda c, builder, s, args: builder.bitcast(args[0], ir.IntType(32))


def wide(value):  # type: ignore[no-untyped-def]
    """The float32 of a bfloat16 or float32."""


@overload(wide, inline="always")
def _wide_typed(value):  # type: ignore[no-untyped-def]
    if value == types.uint16:
        return lambda value: _float(np.uint32(value) << np.uint32(16))
    return lambda value: value


def write(row, peak, out):  # type: ignore[no-untyped-def]
    """Write a float32 row (D,) as the type of `out`; returns its scale. `peak`: the largest magnitude."""


@overload(write, inline="always")
def _write_typed(row, peak, out):  # type: ignore[no-untyped-def]
    if out.dtype == types.uint8:

        def write_int8(row, peak, out):  # type: ignore[no-untyped-def]
            factor = F(127) / max(peak, F(1e-20))
            for j in range(out.shape[0]):
                out[j] = np.uint8((_bits(row[j] * factor + _ROUND) & np.uint32(0xFF)) ^ _ZERO)
            return peak * F(1 / 127)

        return write_int8
    if out.dtype == types.uint16:

        def write_bf16(row, peak, out):  # type: ignore[no-untyped-def]
            for j in range(out.shape[0]):
                u = _bits(row[j])
                odd = (u >> np.uint32(16)) & np.uint32(1)
                out[j] = np.uint16((u + np.uint32(0x7FFF) + odd) >> np.uint32(16))
            return F(1)

        return write_bf16

    def write_float(row, peak, out):  # type: ignore[no-untyped-def]
        for j in range(out.shape[0]):
            out[j] = row[j]
        return F(1)

    return write_float


@numba.njit(**_OPTIONS, inline="always")
def exponential(x):  # type: ignore[no-untyped-def]
    """exp, as 2**whole * 2**part; the polynomial is that of Cephes' expf. Vectorizes, unlike `np.exp`."""
    power = min(max(x * F(1.44269504), F(-120)), F(120))
    whole = np.floor(power + F(0.5))
    part = (power - whole) * F(0.69314718)
    p = F(1.9875691500e-4)
    p = p * part + F(1.3981999507e-3)
    p = p * part + F(8.3334519073e-3)
    p = p * part + F(4.1665795894e-2)
    p = p * part + F(1.6666665459e-1)
    p = p * part + F(5.0000001201e-1)
    exponent = _bits(whole + _BIASED_ROUND) << np.uint32(23)
    return (p * part * part + part + F(1)) * _float(exponent)


@numba.njit(**_SUM_OPTIONS)
def sum_of(values):  # type: ignore[no-untyped-def]
    """The sum of values (D,)."""
    found = F(0)
    for j in range(values.shape[0]):
        found += values[j]
    return found


@numba.njit(**_SUM_OPTIONS)
def sum_of_products(values, factors):  # type: ignore[no-untyped-def]
    """The sum of values (D,) times factors."""
    found = F(0)
    for j in range(values.shape[0]):
        found += values[j] * factors[j]
    return found


@numba.njit(**_SUM_OPTIONS)
def moments(values, weights, changes):  # type: ignore[no-untyped-def]
    """The sum of the squares of values (D,), and that of values * weights * changes."""
    square, product = F(0), F(0)
    for j in range(values.shape[0]):
        value = wide(values[j])
        square += value * value
        product += wide(changes[j]) * weights[j] * value
    return square, product


@compiled
def norm_part(part, start, stop, x, weight, eps, out, scales):  # type: ignore[no-untyped-def]
    """RMSNorm of x (N, D) float32."""
    width = x.shape[1]
    row = np.empty(width, np.float32)
    for i in range(start, stop):
        source, peak = x[i], np.uint32(0)
        inverse = F(1) / np.sqrt(sum_of_products(source, source) / F(width) + eps)
        for j in range(width):
            value = source[j] * inverse * weight[j]
            row[j] = value
            size = _bits(value) & _MAGNITUDE
            peak = size if size > peak else peak
        scales[i] = write(row, _float(peak), out[i])


@compiled
def add_part(part, start, stop, x, y, scales):  # type: ignore[no-untyped-def]
    """x (N, D) float32 += y (N, D), whose rows are multiplied by their scales (N,)."""
    for i in range(start, stop):
        target, source, scale = x[i], y[i], scales[i]
        for j in range(target.shape[0]):
            target[j] += wide(source[j]) * scale


@compiled
def gate_part(part, start, stop, hidden, in_scales, out, scales):  # type: ignore[no-untyped-def]
    """SiLU of the first half of hidden (N, 2D), multiplied by the second half."""
    width = out.shape[1]
    row = np.empty(width, np.float32)
    for i in range(start, stop):
        first, second, scale = hidden[i, :width], hidden[i, width:], in_scales[i]
        peak = np.uint32(0)
        for j in range(width):
            value = wide(first[j]) * scale
            value = value / (F(1) + exponential(-value)) * wide(second[j]) * scale
            row[j] = value
            size = _bits(value) & _MAGNITUDE
            peak = size if size > peak else peak
        scales[i] = write(row, _float(peak), out[i])


@compiled
def rotate_part(part, start, stop, heads, in_scales, weights, eps, cos, sin, out):  # type: ignore[no-untyped-def]
    """Norm and rotary embedding of the first H of heads (N, A, d), into out (N, A, d) float32.

    weights: (H, d), of the norm; eps: below 0 for no norm. cos, sin: (N, d), with the signs of
    `rotary_table`.
    """
    rotated, width = weights.shape
    half = width // 2
    row = np.empty(width, np.float32)
    for i in range(start, stop):
        scale, c, s = in_scales[i], cos[i], sin[i]
        for head in range(heads.shape[1]):
            source, target = heads[i, head], out[i, head]
            for j in range(width):
                row[j] = wide(source[j]) * scale
            if head < rotated:
                if eps >= 0:
                    inverse = F(1) / np.sqrt(sum_of_products(row, row) / F(width) + eps)
                    for j in range(width):
                        row[j] = row[j] * inverse * weights[head, j]
                for j in range(half):
                    target[j] = row[j] * c[j] + row[half + j] * s[j]
                    target[half + j] = row[half + j] * c[half + j] + row[j] * s[half + j]
            else:
                for j in range(width):
                    target[j] = row[j]


@numba.njit(**_OPTIONS)
def trace(path, count, token, parents):  # type: ignore[no-untyped-def]
    """Write the rows of the first `count` tokens of a tweet, of which `token` is the last one, into path; and
    after them the last one, so that AT_ONCE more can be read."""
    path[count : count + AT_ONCE - 1] = token
    for t in range(count - 1, -1, -1):
        path[t] = token
        token = parents[token]


@numba.njit(**_OPTIONS)
def normalize(weights, count):  # type: ignore[no-untyped-def]
    """Softmax of the first `count` weights, in place; returns nothing."""
    most = F(-3.0e38)
    for t in range(count):
        most = max(most, weights[t])
    for t in range(count):
        weights[t] = exponential(weights[t] - most)
    share = F(1) / sum_of(weights[:count])
    for t in range(count):
        weights[t] *= share


@compiled
def attend_part(  # type: ignore[no-untyped-def]
    part, start, stop, queries, others, heads, groups, rows, parents, positions, scaling, out, scales
):
    """Causal attention within each tweet.

    queries: (Q, …, d), of which the first `heads` are queries. others: (N, …, d), of which the last
    2 * `groups` are keys and values. rows: (Q,), the row of each query in `others`; positions: (Q,), its
    position in its tweet. parents: (N,), the row of the token before each one. out: (Q, heads * d).
    """
    width, shared = queries.shape[2], heads // groups
    key_head = others.shape[1] - 2 * groups
    result = np.empty((1, heads, width), np.float32)
    row = result.reshape(heads * width)
    longest = np.max(positions[start:stop]) + AT_ONCE
    weights, path = np.empty(longest, np.float32), np.empty(longest, np.int64)
    for i in range(start, stop):
        count = positions[i] + 1
        trace(path, count, rows[i], parents)
        for head in range(heads):
            key_of = key_head + head // shared
            for t in range(0, count, AT_ONCE):
                scores(weights, t, scaling, queries, i, head, others, path, key_of)
            normalize(weights, count)
            blend(result, 0, head, weights, count, others, path, key_of + groups)
        peak = np.uint32(0)
        for j in range(heads * width):
            size = _bits(row[j]) & _MAGNITUDE
            peak = size if size > peak else peak
        scales[i] = write(row, _float(peak), out[i])


@compiled
def norm(threads, parts, total, *arguments):  # type: ignore[no-untyped-def]
    """Run `norm_part` on all rows."""
    each_part(norm_part, threads, parts, total, arguments)


@compiled
def add(threads, parts, total, *arguments):  # type: ignore[no-untyped-def]
    """Run `add_part` on all rows."""
    each_part(add_part, threads, parts, total, arguments)


@compiled
def gate(threads, parts, total, *arguments):  # type: ignore[no-untyped-def]
    """Run `gate_part` on all rows."""
    each_part(gate_part, threads, parts, total, arguments)


@compiled
def rotate(threads, parts, total, *arguments):  # type: ignore[no-untyped-def]
    """Run `rotate_part` on all rows."""
    each_part(rotate_part, threads, parts, total, arguments)


@compiled
def attend(threads, parts, total, *arguments):  # type: ignore[no-untyped-def]
    """Run `attend_part` on all rows."""
    each_part(attend_part, threads, parts, total, arguments)
