"""Gradients of the kernels in `kernels`, compiled by numba. Each reads and writes its values once.

Sums over rows, such as the gradients of a norm's weight, are kept apart by thread: `part` is its number. The
inputs of products, and the gradients of their results, are bfloat16 (as uint16) or float32; others float32.

Shapes: N tokens, Q queries, D width of a row, H heads, d head width, G key-value heads, P threads. `start`
and `stop` select rows.
"""

import numpy as np

from .kernels import F, compiled, exponential, trace, wide, write


@compiled
def norm_gradient(part, start, stop, x, weight, eps, given, base, out, sums):  # type: ignore[no-untyped-def]
    """out (N, D) = base (N, D) + the gradient of RMSNorm of x (N, D), from that of its result, given (N, D).

    sums: (P, D), the gradient of the weight is added to sums[part].
    """
    width = x.shape[1]
    for i in range(start, stop):
        source, gradient, target, before = x[i], given[i], out[i], base[i]
        square, dot = F(0), F(0)
        for j in range(width):
            square += source[j] * source[j]
            dot += wide(gradient[j]) * weight[j] * source[j]
        inverse = F(1) / np.sqrt(square / F(width) + eps)
        factor = inverse * inverse * inverse * dot / F(width)
        total = sums[part]
        for j in range(width):
            change = wide(gradient[j]) * inverse
            target[j] = before[j] + change * weight[j] - source[j] * factor
            total[j] += change * source[j]


@compiled
def gate_gradient(part, start, stop, hidden, given, gated, out):  # type: ignore[no-untyped-def]
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
def rotate_gradient(part, start, stop, heads, weights, eps, cos, sin, given, out, sums):  # type: ignore[no-untyped-def]
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
                square, dot = F(0), F(0)
                for j in range(width):
                    value = wide(source[j])
                    square += value * value
                    dot += row[j] * weight[j] * value
                inverse = F(1) / np.sqrt(square / F(width) + eps)
                factor = inverse * inverse * inverse * dot / F(width)
                for j in range(width):
                    value, change = wide(source[j]), row[j] * inverse
                    total[j] += change * value
                    row[j] = change * weight[j] - value * factor
            write(row, F(1), out[i, head])


@compiled
def attend_gradient(part, start, stop, queries, others, rows, parents, positions, scaling, given, out, sums):  # type: ignore[no-untyped-def]
    """Gradient of `attend`, from that of its result, given (Q, H * d).

    queries: (Q, H, d). others: (N, 2G, d), keys and values. rows, parents, positions: as in `attend`. out:
    (Q, H, d), of the queries. sums: (P, N, 2G, d), of keys and values, is added to sums[part].
    """
    heads, width = queries.shape[1:]
    groups = others.shape[1] // 2
    shared = heads // groups
    total = sums[part]
    gradient = np.empty(heads * width, np.float32)
    longest = np.max(positions[start:stop]) + 1
    weights, changes = np.empty(longest, np.float32), np.empty(longest, np.float32)
    path = np.empty(longest, np.int64)
    for i in range(start, stop):
        count = positions[i] + 1
        trace(path, count, rows[i], parents)
        for j in range(heads * width):
            gradient[j] = wide(given[i, j])
        for head in range(heads):
            query, target, group = queries[i, head], out[i, head], head // shared
            above = gradient[head * width : (head + 1) * width]
            most = F(-3.0e38)
            for t in range(count):
                key, value = others[path[t], group], others[path[t], groups + group]
                score, change = F(0), F(0)
                for j in range(width):
                    score += query[j] * key[j]
                    change += above[j] * value[j]
                weights[t], changes[t] = score * scaling, change
                most = max(most, weights[t])
            mass, mean = F(0), F(0)
            for t in range(count):
                weights[t] = exponential(weights[t] - most)
                mass += weights[t]
                mean += weights[t] * changes[t]
            mean /= mass
            target[:] = F(0)
            for t in range(count):
                token = path[t]
                key, of_key, of_value = (
                    others[token, group],
                    total[token, group],
                    total[token, groups + group],
                )
                weight = weights[t] / mass
                change = weight * (changes[t] - mean) * scaling
                for j in range(width):
                    target[j] += change * key[j]
                    of_key[j] += change * query[j]
                    of_value[j] += weight * above[j]
