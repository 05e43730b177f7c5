"""Kernels give the same bits wherever their arrays lie and wherever their code comes from; else a resumed run
would differ from an undisturbed one."""

import ctypes
import hashlib
import os
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import numba
import numpy as np
import pytest
from numpy.typing import NDArray

from tweetelm.openelm.cpu import gradients, kernels

F = np.float32
ROWS, WIDTH, HEADS, GROUPS, HEAD = 21, 128, 2, 1, 32
ALL_HEADS = HEADS + 2 * GROUPS


def arguments() -> dict[str, list[Any]]:
    """Return arguments of each kernel by name, without threads, parts and rows; the last are its results."""
    random = np.random.default_rng(0)

    def some(*shape: int) -> NDArray[np.float32]:
        return random.standard_normal(shape, dtype=F)

    def ones() -> NDArray[np.float32]:
        return np.ones(ROWS, F)

    positions = np.arange(ROWS) % 8
    parents = np.where(positions > 0, np.arange(ROWS) - 1, -1)
    tree = [np.arange(ROWS), parents, positions, F(0.2)]
    table = [F(1e-6), some(ROWS, HEAD), some(ROWS, HEAD)]
    heads, grad_heads, weights = some(ROWS, ALL_HEADS, HEAD), some(ROWS, ALL_HEADS, HEAD), some(HEADS, HEAD)
    queries, others = some(ROWS, HEADS, HEAD), some(ROWS, 2 * GROUPS, HEAD)
    attended = some(ROWS, HEADS * HEAD)
    x, given, weight = some(ROWS, WIDTH), some(ROWS, WIDTH), some(WIDTH)
    hidden = some(ROWS, 2 * WIDTH)
    return {
        "norm": [x, weight, F(1e-6), np.empty_like(x), ones()],
        "add": [x.copy(), given, ones()],
        "gate": [hidden, ones(), np.empty_like(x), ones()],
        "rotate": [heads, ones(), weights, *table, np.empty_like(heads)],
        "attend": [queries, others, HEADS, GROUPS, *tree, np.empty_like(attended), ones()],
        "norm_gradient": [x, weight, F(1e-6), given, x, np.empty_like(x), np.zeros((1, WIDTH), F)],
        "gate_gradient": [hidden, given, np.empty_like(x), np.empty_like(hidden)],
        "rotate_gradient": [
            *(heads, weights, *table, grad_heads),
            *(np.empty_like(heads), np.zeros((1, HEADS, HEAD), F)),
        ],
        "attend_gradient": [
            *(queries, others, *tree, attended),
            *(np.empty_like(queries), np.zeros((1, *others.shape), F)),
        ],
    }


def hashed(arrays: list[Any]) -> str:
    return hashlib.sha256(b"".join(v.tobytes() for v in arrays if isinstance(v, np.ndarray))).hexdigest()


def bits(name: str, given: list[Any]) -> str:
    """Run a kernel; return a hash of all its arrays."""
    kernel: Callable[..., None] = getattr(gradients if name.endswith("gradient") else kernels, name)
    kernel(1, 1, ROWS, *given)
    return hashed(given)


@numba.njit
def own_place(elements: int) -> int:
    """Return the address that a kernel's next float32 array of this size gets."""
    return np.empty(elements, np.float32).ctypes.data  # type: ignore[no-any-return]


@contextmanager
def comb(size: int, between: int) -> Iterator[list[int]]:
    """Take many blocks of two sizes in turn, and free the last ones of `between` bytes, which the next arrays
    of this size get; yields the addresses of the others, of `size` bytes."""
    libc = ctypes.CDLL(None)
    libc.malloc.restype = ctypes.c_void_p
    libc.malloc.argtypes = [ctypes.c_size_t]
    libc.free.argtypes = [ctypes.c_void_p]
    blocks = [libc.malloc(each) for _ in range(500) for each in (size, between)]
    for block in blocks[-5::2]:
        libc.free(block)
    yield blocks[::2]
    for block in (*blocks[::2], *blocks[-7::-2]):
        libc.free(block)


@pytest.mark.skipif(sys.platform != "linux", reason="places arrays with Linux's malloc")
def test_rotated_heads_do_not_depend_on_where_the_weights_lie() -> None:
    expected, near = bits("rotate", arguments()["rotate"]), 0
    size = arguments()["rotate"][2].nbytes
    for between in [*range(HEAD * 4, HEAD * 4 + 256, 16)] * 4:
        given = arguments()["rotate"]
        weights = given[2]
        with comb(size + 8, between) as places:
            place = own_place(HEAD)
            before = max((each for each in places if each < place), default=places[0])
            memory = (ctypes.c_char * size).from_address(before)
            given[2] = np.frombuffer(memory, F).reshape(weights.shape)
            given[2][...] = weights
            kernels.rotate(1, 1, ROWS, *given)
            near += 0 < place - before < size + 128 and own_place(HEAD) == place
            given[2] = weights
        assert hashed(given) == expected, between
    if not near:
        pytest.skip("malloc placed no array of the kernel beside the weights")


HASHES = """
from tests.unit.openelm.test_same_bits import arguments, bits
for name, given in arguments().items():
    print(name, bits(name, given))
"""


def test_results_do_not_depend_on_where_the_code_comes_from(tmp_path: Path) -> None:
    """The first process compiles; the second one loads; the third one compiles what calls loaded code."""
    env = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path), "NUMBA_CACHE_DIR": str(tmp_path)}
    found = []
    for _ in range(2):
        found.append(subprocess.check_output([sys.executable, "-c", HASHES], env=env, text=True))
    callers = [path for path in tmp_path.rglob("*.nb?") if "_part" not in path.name]
    for path in callers:
        path.unlink()
    assert callers
    assert list(tmp_path.rglob("*_part*.nbi"))
    found.append(subprocess.check_output([sys.executable, "-c", HASHES], env=env, text=True))
    assert found[0].count("\n") == len(arguments())
    assert found[1:] == found[:1] * 2
