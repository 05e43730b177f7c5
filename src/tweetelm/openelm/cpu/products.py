"""Matrix products of inference on a CPU: weights packed once for oneDNN, torch's matrix library there.

oneDNN reads weights in its own blocked layout. It would convert the weights of an `nn.Linear` at each call,
which is most expensive relative to the work for a single tweet.

Shapes: N rows, `in` and `out` the widths of a weight.
"""

import os
from collections.abc import Callable
from functools import cache
from typing import Literal

import torch
from torch import Tensor

# Number of kernels in oneDNN's cache; read when the first kernel is made. The default is 1,024, but the 270M
# model needs 80 for each size of rows (`packing.few_sizes`): with AMX 1,920, of about 1 MB each.
os.environ.setdefault("ONEDNN_PRIMITIVE_CACHE_CAPACITY", "4096")
_FLOAT = torch.ops.mkldnn  # used by torch's compiler for frozen weights
_INT8 = torch.ops.onednn  # used by torch's compiler for quantized models
ZERO = 128  # int8 rows are unsigned: a byte is its value plus 128
Precision = Literal["int8", "bf16", "float32"]
Product = Callable[[Tensor], Tensor]
"""(N, in) -> (N, out)."""
ROWS: dict[Precision, torch.dtype] = {
    "int8": torch.uint8,
    "bf16": torch.bfloat16,
    "float32": torch.float32,
}
"""The type of a product's rows."""


def why_no_products(device: torch.device, precision: Precision) -> str:
    """Why a device has no products of this precision; "" if it has them."""
    if device.type != "cpu":
        return "products of oneDNN run on CPUs only"
    names = [(_FLOAT, "_reorder_linear_weight"), (_FLOAT, "_linear_pointwise"), (_INT8, "qlinear_prepack")]
    if not torch.backends.mkldnn.is_available() or not all(hasattr(*name) for name in names):
        return "this build of torch has no products of oneDNN"
    if not torch.cpu._is_avx2_supported():
        return "this processor has no AVX2"  # oneDNN would compute int8 a thousand times slower
    if precision == "bf16" and not _has_bf16():
        return "this processor has no products in bfloat16"
    return ""


def _has_bf16() -> bool:
    return bool(_FLOAT._is_mkldnn_bf16_supported())


def most_exact() -> Precision:
    """The precision for the parts of an int8 model that int8 would harm most: bfloat16 if it is fast."""
    return "bf16" if _has_bf16() else "float32"


def product(weight: Tensor, precision: Precision) -> Product:
    """The product of rows of type ROWS[precision] and a float32 weight (out, in)."""
    return Int8Product(weight) if precision == "int8" else FloatProduct(weight, ROWS[precision])


class FloatProduct:
    """The product of rows and a weight (out, in), both of one floating-point type, as are the results."""

    def __init__(self, weight: Tensor, dtype: torch.dtype) -> None:
        self.packed = _FLOAT._reorder_linear_weight(weight.detach().to(dtype).contiguous(), None)

    def __call__(self, x: Tensor) -> Tensor:
        return _FLOAT._linear_pointwise(x, self.packed, None, "none", [], "")


class Int8Product:
    """The product of int8 rows, stored as unsigned bytes around ZERO, and a weight (out, in).

    Signed rows are fast with AMX only: elsewhere, oneDNN multiplies them a thousand times slower. Results are
    to be multiplied by the scales of the rows.
    """

    def __init__(self, weight: Tensor) -> None:
        limit = largest_weight()
        self.scales = weight.abs().amax(1).clamp(min=1e-20) / limit
        rounded = (weight / self.scales[:, None]).round().to(torch.int8)
        self.packed = _INT8.qlinear_prepack(rounded, None)
        self.zeros = torch.zeros(len(weight), dtype=torch.int32)
        self.out_dtype = torch.bfloat16 if _has_bf16() else torch.float32  # bfloat16 is half the bytes

    def __call__(self, x: Tensor) -> Tensor:
        """(N, in) uint8 -> (N, out) in bfloat16, or in float32 on a CPU without bfloat16."""
        return _multiply(x, self.packed, self.scales, self.zeros, self.out_dtype)


def _multiply(x: Tensor, packed: Tensor, scales: Tensor, zeros: Tensor, dtype: torch.dtype) -> Tensor:
    return _INT8.qlinear_pointwise(x, 1.0, ZERO, packed, scales, zeros, None, 1.0, 0, dtype, "none", [], "")


@cache
def largest_weight() -> int:
    """The largest int8 weight with which this processor multiplies exactly: 127, or 63.

    Without VNNI, two products are added in 16 bits, where 255 * 127 twice does not fit; 255 * 63 does.
    """
    rows = torch.full((64, 256), 255, dtype=torch.uint8)
    weight = torch.full((64, 256), 127, dtype=torch.int8)
    ones, zeros = torch.ones(64), torch.zeros(64, dtype=torch.int32)
    found = _multiply(rows, _INT8.qlinear_prepack(weight, None), ones, zeros, torch.float32)
    return 127 if bool((found == (255 - ZERO) * 127 * 256).all()) else 63
