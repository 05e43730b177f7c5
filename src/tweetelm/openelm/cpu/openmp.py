"""Runs compiled functions on the OpenMP threads of torch.

After a matrix product, torch's threads wait for the next one actively, for milliseconds. Threads of another
pool would compete with them for the CPUs; on torch's own, a function starts within microseconds.
"""

import ctypes
from collections.abc import Callable
from typing import Any

import torch
from llvmlite import binding, ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

_SYMBOL = "tweetelm_openmp_parallel"
BODY = ctypes.CFUNCTYPE(None, ctypes.c_void_p)
_PARALLEL = ctypes.CFUNCTYPE(None, ctypes.c_void_p, ctypes.c_void_p, ctypes.c_uint, ctypes.c_uint)


@_PARALLEL
def in_this_thread(body: int, data: int, threads: int, flags: int) -> None:
    """Do the work of all threads."""
    BODY(body)(data)


def _parallel() -> Any:
    """`GOMP_parallel` of the library that torch uses; the OpenMP libraries of GNU, LLVM and Intel have it.
    Without it, as on Windows, a function that does all parts in the calling thread."""
    try:
        return ctypes.CDLL(torch._C.__file__).GOMP_parallel  # found among the libraries that torch has loaded
    except (OSError, AttributeError):
        return in_this_thread


binding.add_symbol(_SYMBOL, ctypes.cast(_parallel(), ctypes.c_void_p).value)


@intrinsic
def each_part(context: Any, kernel: Any, threads: Any, parts: Any, rows: Any, arguments: Any) -> Any:
    """Call kernel(part, start, stop, *arguments) for each part of the rows, from several threads.

    Each thread takes the next part until none is left. `arguments` is a tuple. To be called from compiled
    functions only. If a part fails, the others still run, and RuntimeError is raised.
    """
    function = kernel.dispatcher

    def one(part, parts, rows, arguments):  # type: ignore[no-untyped-def]
        function(part, rows * part // parts, rows * (part + 1) // parts, *arguments)

    whole = types.int64
    called = types.void(whole, whole, whole, arguments)

    def generate(context: Any, builder: Any, signature: Any, values: Any) -> Any:
        _, threads, parts, rows, given = values
        number = ir.IntType(64)
        shared = ir.LiteralStructType([number, number, number, number, given.type])
        data = cgutils.alloca_once(builder, shared)
        for index, value in enumerate((number(0), number(0), parts, rows, given)):
            builder.store(value, cgutils.gep_inbounds(builder, data, 0, index))
        body = _loop(context, builder.module, shared, called, one)
        parallel = cgutils.get_or_insert_function(
            builder.module,
            ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t, cgutils.voidptr_t, *[ir.IntType(32)] * 2]),
            _SYMBOL,
        )
        pointers = [builder.bitcast(each, cgutils.voidptr_t) for each in (body, data)]
        builder.call(parallel, [*pointers, builder.trunc(threads, ir.IntType(32)), ir.IntType(32)(0)])
        failed = builder.load(cgutils.gep_inbounds(builder, data, 0, 1))
        with cgutils.if_unlikely(builder, builder.icmp_signed("!=", failed, number(0))):
            context.call_conv.return_user_exc(builder, RuntimeError, (f"{function.__name__} failed",))
        return context.get_dummy_value()

    return types.void(kernel, whole, whole, whole, arguments), generate


def _loop(context: Any, module: Any, shared: Any, called: Any, one: Callable[..., None]) -> Any:
    """The function of a thread: takes the number of the next part, until there is none."""
    name = module.get_unique_name("each_part")
    body = ir.Function(module, ir.FunctionType(ir.VoidType(), [cgutils.voidptr_t]), name)
    body.linkage = "internal"
    entry, head, work, end = (body.append_basic_block() for _ in range(4))
    builder = ir.IRBuilder(entry)
    data = builder.bitcast(body.args[0], shared.as_pointer())
    following, failed, *fields = (cgutils.gep_inbounds(builder, data, 0, index) for index in range(5))
    parts, rows, given = map(builder.load, fields)
    builder.branch(head)
    builder.position_at_end(head)
    part = builder.atomic_rmw("add", following, ir.IntType(64)(1), "monotonic")
    builder.cbranch(builder.icmp_signed("<", part, parts), work, end)
    builder.position_at_end(work)
    compiled = context.compile_subroutine(builder, one, called)
    status, _ = context.call_internal_no_propagate(
        builder, compiled.fndesc, called, (part, parts, rows, given)
    )
    with cgutils.if_unlikely(builder, status.is_error):
        builder.atomic_rmw("add", failed, ir.IntType(64)(1), "monotonic")
    builder.branch(head)
    builder.position_at_end(end)
    builder.ret_void()
    return body
