"""Loads a model from a folder, after checking every tensor.

Only safetensors files are read, and no code of a checkpoint is run. A tensor that is missing, unknown or of
another shape is an error with its name.
"""

import logging
from collections.abc import Collection, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open

from ..attention import VARLEN
from ..configuration_openelm import OpenELMConfig
from ..modeling_openelm import OpenELMPreTrainedModel
from .first_layers import is_above, keep_first_layers
from .weight_files import WEIGHTS, read_json, stored_shapes, weight_files

_UNREAD_HEAD = "transformer.classifier.weight"  # in untied official checkpoints, besides lm_head.weight
_HEAD, _EMBEDDING = "lm_head.weight", "transformer.token_embeddings.weight"
_log = logging.getLogger(__name__)
Model = TypeVar("Model", bound=OpenELMPreTrainedModel)


def read_config(folder: Path) -> OpenELMConfig:
    """Read the configuration of a checkpoint folder; ignores its `auto_map`.

    Raises:
        FileNotFoundError: config.json does not exist.
        ValueError: config.json is not JSON, or not an OpenELM configuration.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist; expected a checkpoint folder with config.json and {WEIGHTS}"
        )
    values = read_json(path)
    if values.get("model_type") != "openelm":
        hint = f"; type `python -m tweetelm.openelm import {folder} --to FOLDER`, and use that folder"
        raise ValueError(
            f"{path} has model_type {values.get('model_type')!r}; expected 'openelm'"
            + (hint if values.get("model_type") == "llama" else "")
        )
    try:
        return OpenELMConfig.from_dict(values)
    except (ValueError, TypeError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is not an OpenELM configuration: {reason}") from error


def load_weights(
    model_class: type[Model],
    folder: Path,
    *,
    new: Collection[str] = (),
    replaced: Collection[str] = (),
    layers: int | None = None,
    dtype: torch.dtype = torch.float32,
    **overrides: Any,
) -> Model:
    """Load a model with the weights of a folder, after checking every tensor.

    Models without a language-model head ignore the head of the checkpoint. `classifier_temperature` is reset
    to 1: `Predictor` reads the temperature from the card, and training starts without one.

    Args:
        model_class: one of the OpenELM classes.
        folder: contains config.json and safetensors files.
        new: tensors to initialize if the folder lacks them, such as `score.weight`.
        replaced: those of `new` to initialize even if the folder has them.
        layers: number of layers to keep, from the first; by default, all. Others are not read.
        dtype: data type of the parameters; float32 for training.
        **overrides: configuration values to set, such as id2label.

    Raises:
        FileNotFoundError: there are no safetensors files.
        ValueError: a tensor is missing, unknown, of another shape or not finite, or a file is damaged or
            outside the folder, or the model has fewer than `layers` layers.
    """
    config = read_config(folder)
    if layers is not None:
        keep_first_layers(config, layers)
    config.classifier_temperature = 1.0
    for key, value in overrides.items():
        setattr(config, key, value)
    shapes = stored_shapes(folder)
    left_out = {key for key in shapes if key in replaced or is_above(key, layers)}
    _verify(model_class, config, folder, {k: v for k, v in shapes.items() if k not in left_out}, set(new))
    with _without_load_report():  # `_verify` has reported every difference
        model = model_class.from_pretrained(
            None if left_out or replaced else folder,
            state_dict=_tensors(folder, left_out) if left_out or replaced else None,
            config=config,
            dtype=dtype,
            attn_implementation=VARLEN,
            use_safetensors=True,
            local_files_only=True,
        )
    _check_finite(model, folder)
    return model


@contextmanager
def _without_load_report() -> Iterator[None]:
    """Hide transformers' report about tensors that are to be initialized."""

    def keep(record: logging.LogRecord) -> bool:
        return "LOAD REPORT" not in record.getMessage()

    logger = logging.getLogger("transformers.modeling_utils")
    logger.addFilter(keep)
    try:
        yield
    finally:
        logger.removeFilter(keep)


def _tensors(folder: Path, left_out: set[str]) -> dict[str, torch.Tensor]:
    """The tensors of a folder, except those in `left_out`; transformers can only load whole folders."""
    tensors: dict[str, torch.Tensor] = {}
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            tensors |= {key: file.get_tensor(key) for key in file.keys() if key not in left_out}  # noqa: SIM118
    return tensors


def _check_finite(model: torch.nn.Module, folder: Path) -> None:
    """Raise ValueError if a tensor contains NaN or infinity; the message names it."""
    bad = [name for name, tensor in model.state_dict().items() if not _is_finite(tensor)]
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise ValueError(
            f"{folder} has values that are not finite (NaN or infinity) in {', '.join(bad[:5])}{more}; "
            "expected finite weights; use another checkpoint, or download or train it again"
        )


def _is_finite(tensor: torch.Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    low, high = tensor.aminmax()  # both are NaN if any value is; allocates no tensor of this size
    return bool(torch.isfinite(low) and torch.isfinite(high))


def _verify(
    model_class: type[OpenELMPreTrainedModel],
    config: OpenELMConfig,
    folder: Path,
    stored: dict[str, list[int]],
    new: set[str],
) -> None:
    """Raise ValueError unless the stored shapes are those of the model, except for tensors in `new`."""
    with torch.device("meta"):
        model = model_class(config)
    tied = set(model.all_tied_weights_keys)
    expected = {_full(key): list(value.shape) for key, value in model.state_dict().items() if key not in tied}
    found = {key if key in expected else _full(key): shape for key, shape in stored.items()}
    problems = [f"{key} is missing" for key in sorted(expected.keys() - found.keys() - new)]
    unknown = found.keys() - expected.keys() - {_UNREAD_HEAD, _HEAD}
    problems += [f"{key} is unknown" for key in sorted(unknown)]
    problems += [
        f"{key} has shape {found[key]}, expected {expected[key]}"
        for key in sorted(found.keys() & expected.keys())
        if found[key] != expected[key]
    ]
    if (
        not problems
        and config.share_input_output_layers
        and _HEAD in found
        and not _same_head(folder, stored)
    ):
        problems = [f"{_HEAD} differs from the embedding, to which config.json ties it"]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"{folder} does not match {model_class.__name__}: {'; '.join(problems[:5])}{more}. Check that "
            "config.json belongs to these weights, or download the checkpoint again"
        )
    if _UNREAD_HEAD in found:
        _log.warning("%s: ignored %s, which no model uses", folder, _UNREAD_HEAD)


def _full(key: str) -> str:
    """The name of a tensor in a model with a head; tensors of a decoder without head lack the prefix."""
    return f"transformer.{key}" if key.startswith(("token_embeddings.", "layers.", "norm.")) else key


def _same_head(folder: Path, stored: Collection[str]) -> bool:
    embedding = _EMBEDDING if _EMBEDDING in stored else _EMBEDDING.removeprefix("transformer.")
    return torch.equal(_tensor(folder, _HEAD), _tensor(folder, embedding))


def _tensor(folder: Path, key: str) -> torch.Tensor:
    for path in weight_files(folder):
        with safe_open(path, framework="pt") as file:
            if key in file.keys():  # noqa: SIM118
                tensor: torch.Tensor = file.get_tensor(key)
                return tensor
    raise KeyError(key)
