"""Gradients of the kernels in `kernels`, compiled by numba. Each reads and writes its values once.

Sums over rows, such as the gradients of a norm's weight, have one array per part; `part` is its number. The
inputs of products, and the gradients of their results, are bfloat16 (as uint16) or float32; others float32.

Shapes: N tokens, Q queries, D width of a row, H heads, d head width, G key-value heads, P parts. `start`
and `stop` select rows.
"""

import numpy as np

from .kernels import F, compiled, exponential, moments, normalize, sum_of_products, trace, wide, write
from .openmp import each_part
from .vectors import AT_ONCE, blend, scores, spread


@compiled
def norm_gradient_part(part, start, stop, x, weight, eps, given, base, out, sums):  # type: ignore[no-untyped-def]
    """out (N, D) = base (N, D) + the gradient of RMSNorm of x (N, D), from that of its result, given (N, D).

    sums: (P, D), the gradient of the weight is added to sums[part].
    """
    width = x.shape[1]
    for i in range(start, stop):
        source, gradient, target, before = x[i], given[i], out[i], base[i]
        square, dot = moments(source, weight, gradient)
        inverse = F(1) / np.sqrt(square / F(width) + eps)
        factor = inverse * inverse * inverse * dot / F(width)
        total = sums[part]
        for j in range(width):
            change = wide(gradient[j]) * inverse
            target[j] = before[j] + change * weight[j] - source[j] * factor
            total[j] += change * source[j]


@compiled
def gate_gradient_part(part, start, stop, hidden, given, gated, out):  # type: ignore[no-untyped-def]
    """Gradient of SiLU of the first half of hidden (N, 2D), times the second half, from that of the product,
    given (N, D), into out (N, 2D). The product itself goes into gated (N, D)."""
    width = given.shape[1]
    product, first, second = (
        np.empty(width, np.float32),
        np.empty(width, np.float32),
        np.empty(width, np.float32),
    )
    for i in range(start, stop):
        one, other, gradient = hidden[i, :width], hidden[i, width:], given[i]
        for j in range(width):
            x, y, g = wide(one[j]), wide(other[j]), wide(gradient[j])
            sigmoid = F(1) / (F(1) + exponential(-x))
            silu = x * sigmoid
            product[j] = silu * y
            first[j] = g * y * sigmoid * (F(1) + x - silu)
            second[j] = g * silu
        write(product, F(1), gated[i])
        write(first, F(1), out[i, :width])
        write(second, F(1), out[i, width:])


@compiled
def rotate_gradient_part(part, start, stop, heads, weights, eps, cos, sin, given, out, sums):  # type: ignore[no-untyped-def]
    """Gradient of `rotate`: from that of its result, given (N, A, d), to that of heads (N, A, d), into out.

    weights: (H, d), of the norm of the first H heads, which are rotated; eps: below 0 for no norm. cos, sin:
    (N, d). sums: (P, H, d), the gradient of the weights is added to sums[part].
    """
    rotated, width = weights.shape
    half = width // 2
    row = np.empty(width, np.float32)
    for i in range(start, stop):
        c, s = cos[i], sin[i]
        for head in range(heads.shape[1]):
            gradient = given[i, head]
            if head >= rotated:
                write(gradient, F(1), out[i, head])
                continue
            for j in range(half):
                row[j] = gradient[j] * c[j] + gradient[half + j] * s[half + j]
                row[half + j] = gradient[half + j] * c[half + j] + gradient[j] * s[j]
            if eps >= 0:
                source, weight, total = heads[i, head], weights[head], sums[part, head]
                square, dot = moments(source, weight, row)
                inverse = F(1) / np.sqrt(square / F(width) + eps)
                factor = inverse * inverse * inverse * dot / F(width)
                for j in range(width):
                    value, change = wide(source[j]), row[j] * inverse
                    total[j] += change * value
                    row[j] = change * weight[j] - value * factor
            write(row, F(1), out[i, head])


@compiled
def attend_gradient_part(  # type: ignore[no-untyped-def]
    part, start, stop, queries, others, rows, parents, positions, scaling, given, out, sums
):
    """Gradient of `attend`, from that of its result, given (Q, H * d).

    queries: (Q, H, d). others: (N, 2G, d), keys and values. rows, parents, positions: as in `attend`. out:
    (Q, H, d), of the queries. sums: (P, N, 2G, d), of keys and values, is added to sums[part].
    """
    heads, width = queries.shape[1:]
    groups = others.shape[1] // 2
    shared = heads // groups
    total = sums[part]
    above = np.empty((1, heads, width), np.float32)
    gradient = above.reshape(heads * width)
    longest = np.max(positions[start:stop]) + AT_ONCE
    weights, changes = np.empty(longest, np.float32), np.empty(longest, np.float32)
    path = np.empty(longest, np.int64)
    for i in range(start, stop):
        count = positions[i] + 1
        trace(path, count, rows[i], parents)
        for j in range(heads * width):
            gradient[j] = wide(given[i, j])
        for head in range(heads):
            key_of = head // shared
            value_of = groups + key_of
            for t in range(0, count, AT_ONCE):
                scores(weights, t, scaling, queries, i, head, others, path, key_of)
                scores(changes, t, F(1), above, 0, head, others, path, value_of)
            normalize(weights, count)
            spread(total, path, value_of, weights, count, above, 0, head)
            mean = sum_of_products(weights[:count], changes)
            for t in range(count):
                changes[t] = weights[t] * (changes[t] - mean) * scaling
            blend(out, i, head, changes, count, others, path, key_of)
            spread(total, path, key_of, changes, count, queries, i, head)


@compiled
def norm_gradient(threads, parts, total, *arguments):  # type: ignore[no-untyped-def]
    """Run `norm_gradient_part` on all rows."""
    each_part(norm_gradient_part, threads, parts, total, arguments)


@compiled
def gate_gradient(threads, parts, total, *arguments):  # type: ignore[no-untyped-def]
    """Run `gate_gradient_part` on all rows."""
    each_part(gate_gradient_part, threads, parts, total, arguments)


@compiled
def rotate_gradient(threads, parts, total, *arguments):  # type: ignore[no-untyped-def]
    """Run `rotate_gradient_part` on all rows."""
    each_part(rotate_gradient_part, threads, parts, total, arguments)


@compiled
def attend_gradient(threads, parts, total, *arguments):  # type: ignore[no-untyped-def]
    """Run `attend_gradient_part` on all rows."""
    each_part(attend_gradient_part, threads, parts, total, arguments)
