"""Other engines for the same model: OpenVINO and ONNX Runtime, in float32, bfloat16 and int8.

int8 in OpenVINO: NNCF's quantization after training, with one scale per tensor of activations, calibrated on
tweets of the benchmark. int8 in ONNX Runtime: dynamic quantization, with one scale per tensor, found in each
pass.
"""

import copy
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from benchmarks.shapes import Rows, padded
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.registry.exports import graph

Engine = Callable[[Tensor, Tensor], Tensor]
"""Token ids and mask (B, T) -> probabilities (B, K)."""
CALIBRATION = 64  # tweets
LONGEST = 256  # tokens


def sdpa(model: OpenELMForSequenceClassification) -> graph.PaddedClassifier:
    """A float32 copy of a model with torch's own attention, for tracing."""
    other = copy.deepcopy(model)
    other.set_attn_implementation("sdpa")
    return graph.PaddedClassifier(other, 1.0).eval()


def openvino_engines(model: OpenELMForSequenceClassification, rows: Rows, *, bf16: bool) -> dict[str, Engine]:
    """OpenVINO in each precision; int8 is calibrated on some of `rows`."""
    import nncf
    import openvino

    every = max(1, len(rows) // CALIBRATION)
    batches = [_numpy(*inputs(batch)) for batch in padded(rows[::every], 8)]
    example = dict(zip(graph.INPUTS, inputs(next(padded([[1, 5, 6], [1, 7]], 2))), strict=True))
    with torch.no_grad():
        converted = openvino.convert_model(sdpa(model), example_input=example)
    quantized = nncf.quantize(
        converted,
        nncf.Dataset(batches),
        model_type=nncf.ModelType.TRANSFORMER,
        subset_size=len(batches),
    )

    def compiled(source: Any, precision: str) -> Engine:
        hint = {"INFERENCE_PRECISION_HINT": precision, "PERFORMANCE_HINT": "LATENCY"}
        running = openvino.compile_model(source, "CPU", hint)
        return lambda ids, mask: torch.from_numpy(next(iter(running(_numpy(ids, mask)).values())).copy())

    kinds = {"float32": (converted, "f32"), "int8": (quantized, "f32")}
    if bf16:
        kinds |= {"bfloat16": (converted, "bf16"), "int8 and bfloat16": (quantized, "bf16")}
    return {f"OpenVINO {name}": compiled(*kind) for name, kind in kinds.items()}


def onnx_engines(model: OpenELMForSequenceClassification) -> dict[str, Engine]:
    """ONNX Runtime in float32 and int8."""
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        target = Path(folder)
        float32 = graph.save_onnx(sdpa(model), target, LONGEST)
        quantize_dynamic(target / graph.ONNX_FILE, target / "int8.onnx", weight_type=QuantType.QInt8)
        session = onnxruntime.InferenceSession(target / "int8.onnx", providers=["CPUExecutionProvider"])

    def int8(ids: Tensor, mask: Tensor) -> Tensor:
        return torch.from_numpy(session.run([graph.OUTPUT], _numpy(ids, mask))[0])

    return {"ONNX Runtime float32": float32, "ONNX Runtime int8": int8}


def inputs(batch: dict[str, Any]) -> tuple[Tensor, Tensor]:
    """Ids and mask of a batch of `padded`."""
    return batch["input_ids"], batch["attention_mask"]


def _numpy(ids: Tensor, mask: Tensor) -> dict[str, Any]:
    return dict(zip(graph.INPUTS, (ids.numpy(), mask.numpy()), strict=True))
