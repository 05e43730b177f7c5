"""Exports a version to other formats. Each export is checked against `Predictor` before it is kept."""

from typing import Literal

Format = Literal["tweetelm", "transformers", "torch_export", "onnx"]
