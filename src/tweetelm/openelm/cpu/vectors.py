"""Attention over the tokens of a tweet, in vector instructions.

LLVM vectorizes numba's loops over a head badly: these take half the time. LLVM adapts the vectors to the
processor.

Arrays are float32 and C-contiguous, of shape (rows, heads, d); d is a multiple of NARROW. `path`: the rows of
a tweet's tokens.
"""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .launch import HEAD_DIVISOR

AT_ONCE = 4  # scores
NARROW, WIDE = HEAD_DIVISOR, 32  # elements of a vector
_FLOAT, _WHOLE = ir.FloatType(), ir.IntType(64)
_EXACT = ("nnan", "ninf", "nsz", "contract")  # as in `kernels`
Value = Any  # of LLVM, or an array of numba


@intrinsic
def scores(context, out, first, scaling, queries, i, head, others, path, other):  # type: ignore[no-untyped-def]
    """out[t] = scaling * queries[i, head] · others[path[t], other], for AT_ONCE tokens t from `first` on."""

    def body(code: "_Code", out: Value, first: Value, scaling: Value, *rest: Value) -> None:
        queries, i, head, others, path, other = rest
        query, tokens = code.row(queries, i, head), [code.plus(first, n) for n in range(AT_ONCE)]
        rows = [code.row(others, code.load(code.at(path, t), _WHOLE), other) for t in tokens]
        totals = [code.variable(_FLOAT) for _ in tokens]
        for vector, columns in code.strips(queries, WIDE // 2):
            sums = [code.variable(vector) for _ in tokens]
            with columns as column:
                shared = code.load(code.plus_pointer(query, column), vector)
                for row, total in zip(rows, sums, strict=True):
                    code.add(total, shared, code.load(code.plus_pointer(row, column), vector))
            for total, part in zip(totals, sums, strict=True):
                code.add(total, code.sum(code.load(part, vector)))
        for t, total in zip(tokens, totals, strict=True):
            code.store(code.times(code.load(total, _FLOAT), scaling), code.at(out, t))

    return _function(body, out, first, scaling, queries, i, head, others, path, other)


@intrinsic
def blend(context, out, i, head, weights, count, others, path, other):  # type: ignore[no-untyped-def]
    """out[i, head] = the sum of weights[t] * others[path[t], other] over the first `count` tokens t."""

    def body(
        code: "_Code", out: Value, i: Value, head: Value, weights: Value, count: Value, *rest: Value
    ) -> None:
        others, path, other = rest
        target = code.row(out, i, head)
        for vector, columns in code.strips(out, WIDE):
            total = code.variable(vector)
            with columns as column:
                code.store(vector(None), total)
                with code.each(count) as t:
                    row = code.row(others, code.load(code.at(path, t), _WHOLE), other)
                    weight = code.spread(code.load(code.at(weights, t), _FLOAT), vector)
                    code.add(total, weight, code.load(code.plus_pointer(row, column), vector))
                code.store(code.load(total, vector), code.plus_pointer(target, column))

    return _function(body, out, i, head, weights, count, others, path, other)


@intrinsic
def spread(context, out, path, other, weights, count, source, i, head):  # type: ignore[no-untyped-def]
    """out[path[t], other] += weights[t] * source[i, head], for the first `count` tokens t."""

    def body(
        code: "_Code", out: Value, path: Value, other: Value, weights: Value, count: Value, *rest: Value
    ) -> None:
        given = code.row(*rest)
        for vector, columns in code.strips(out, WIDE):
            with columns as column:
                added = code.load(code.plus_pointer(given, column), vector)
                with code.each(count) as t:
                    row = code.row(out, code.load(code.at(path, t), _WHOLE), other)
                    weight = code.spread(code.load(code.at(weights, t), _FLOAT), vector)
                    code.add(code.plus_pointer(row, column), weight, added)

    return _function(body, out, path, other, weights, count, source, i, head)


def _function(body: Callable[..., None], *kinds: Any) -> Any:
    """The type and the code of a function without result; `body` gets the arguments."""

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        given = [
            context.make_array(kind)(context, builder, value) if isinstance(kind, types.Array) else value
            for kind, value in zip(signature.args, values, strict=True)
        ]
        body(_Code(builder), *given)
        return context.get_dummy_value()

    # whole numbers become 64-bit, whatever numba inferred
    return types.void(*(types.int64 if isinstance(k, types.Integer) else k for k in kinds)), generate


class _Code:
    """Writes instructions of LLVM."""

    def __init__(self, builder: Any) -> None:
        self._builder = builder

    def row(self, array: Value, i: Value, head: Value) -> Value:
        """The address of array[i, head]."""
        _, heads, width = cgutils.unpack_tuple(self._builder, array.shape)
        index = self._builder.add(self._builder.mul(i, heads), head)
        return self._builder.gep(array.data, [self._builder.mul(index, width)])

    def at(self, array: Value, index: Value) -> Value:
        """The address of array[index]."""
        return self._builder.gep(array.data, [index])

    def plus(self, number: Value, more: int) -> Value:
        return self._builder.add(number, _WHOLE(more))

    def plus_pointer(self, pointer: Value, elements: Value) -> Value:
        return self._builder.gep(pointer, [elements])

    def variable(self, kind: Any) -> Value:
        """The address of a local variable, which is 0 now."""
        address = cgutils.alloca_once(self._builder, kind)
        self._builder.store(kind(None if isinstance(kind, ir.VectorType) else 0), address)
        return address

    def load(self, address: Value, kind: Any) -> Value:
        size = 8 if kind == _WHOLE else 4
        return self._builder.load(self._builder.bitcast(address, kind.as_pointer()), align=size)

    def store(self, value: Value, address: Value) -> None:
        self._builder.store(value, self._builder.bitcast(address, value.type.as_pointer()), align=4)

    def times(self, one: Value, other: Value) -> Value:
        return self._builder.fmul(one, other, flags=_EXACT)

    def add(self, address: Value, one: Value, factor: Value | None = None) -> None:
        """Add one * factor to a variable."""
        product = one if factor is None else self.times(one, factor)
        self.store(self._builder.fadd(self.load(address, one.type), product, flags=_EXACT), address)

    def sum(self, vector: Value) -> Value:
        """The sum of a vector's elements."""
        name = f"llvm.vector.reduce.fadd.v{vector.type.count}f32"
        kind = ir.FunctionType(_FLOAT, [_FLOAT, vector.type])
        function = cgutils.get_or_insert_function(self._builder.module, kind, name)
        return self._builder.call(function, [_FLOAT(-0.0), vector], fastmath=(*_EXACT, "reassoc"))

    def spread(self, value: Value, kind: Any) -> Value:
        """A vector of equal elements."""
        nothing = kind(ir.Undefined)
        first = self._builder.insert_element(nothing, value, ir.IntType(32)(0))
        return self._builder.shuffle_vector(first, nothing, ir.VectorType(ir.IntType(32), kind.count)(None))

    def strips(self, array: Value, size: int) -> Iterator[tuple[Any, Any]]:
        """The vector types, and for each the loop over the columns of a head where its vectors begin."""
        width = cgutils.unpack_tuple(self._builder, array.shape)[2]
        whole = self._builder.and_(width, _WHOLE(-size))
        yield ir.VectorType(_FLOAT, size), self._columns(_WHOLE(0), whole, size)
        yield ir.VectorType(_FLOAT, NARROW), self._columns(whole, width, NARROW)

    @contextmanager
    def _columns(self, start: Value, stop: Value, step: int) -> Iterator[Value]:
        with cgutils.for_range_slice(self._builder, start, stop, _WHOLE(step), intp=_WHOLE) as (index, _):
            yield index

    @contextmanager
    def each(self, count: Value) -> Iterator[Value]:
        """A loop from 0 to count - 1."""
        with cgutils.for_range(self._builder, count, intp=_WHOLE) as loop:
            yield loop.index
