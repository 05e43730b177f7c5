"""From a folder's files to a model, checked tensor by tensor before any is used.

Only safetensors are read, no code that comes with a checkpoint is run, and nothing is left to chance: a
tensor that is missing, unknown or of another shape is an error that names it.
"""

import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import safe_open
from safetensors.torch import load_file

from ..attention import VARLEN
from ..configuration_openelm import OpenELMConfig
from ..modeling_openelm import OpenELMPreTrainedModel
from .hub import WEIGHTS
from .weight_files import read_json, stored_shapes, weight_files

_UNREAD_HEAD = "transformer.classifier.weight"  # in untied official checkpoints, beside lm_head.weight
_HEAD, _EMBEDDING = "lm_head.weight", "transformer.token_embeddings.weight"
_log = logging.getLogger(__name__)
Model = TypeVar("Model", bound=OpenELMPreTrainedModel)


def read_config(folder: Path) -> OpenELMConfig:
    """The configuration in a checkpoint folder; its `auto_map` is ignored.

    Raises:
        FileNotFoundError: there is no config.json.
        ValueError: it is not JSON, or not an OpenELM configuration.
    """
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(
            f"{path} does not exist; expected a checkpoint folder with config.json and {WEIGHTS}"
        )
    values = read_json(path)
    if values.get("model_type") != "openelm":
        raise ValueError(
            f"{path} describes a {values.get('model_type')!r} model; only 'openelm' can be loaded"
        )
    try:
        return OpenELMConfig.from_dict(values)
    except (ValueError, TypeError, StrictDataclassError) as error:
        reason = " ".join(str(error).split())
        raise ValueError(f"{path} is no OpenELM configuration: {reason}") from error


def load_weights(
    model_class: type[Model],
    folder: Path,
    *,
    new: Collection[str] = (),
    replaced: Collection[str] = (),
    dtype: torch.dtype = torch.float32,
    **overrides: Any,
) -> Model:
    """A model with a folder's weights, every tensor accounted for.

    The language-model head of a checkpoint is left aside by models that have none, and so is a published
    version's temperature: `Predictor` takes it from the card, and training starts without one.

    Args:
        model_class: one of the OpenELM classes.
        folder: has config.json and safetensors.
        new: tensors that the folder may lack and that are then initialized, such as `score.weight`.
        replaced: those of `new` that are initialized even if the folder has them.
        dtype: of the parameters; float32 where they are to be master weights.
        **overrides: configuration values to set, such as id2label.

    Raises:
        FileNotFoundError: there are no safetensors.
        ValueError: a tensor is missing, unknown, has another shape or a value that is not finite, or a file
            is damaged or outside the folder.
    """
    config = read_config(folder)
    config.classifier_temperature = 1.0
    for key, value in overrides.items():
        setattr(config, key, value)
    _verify(model_class, config, folder, set(new), set(replaced))
    model = model_class.from_pretrained(
        None if replaced else folder,
        state_dict=_tensors(folder, set(replaced)) if replaced else None,
        config=config,
        dtype=dtype,
        attn_implementation=VARLEN,
        use_safetensors=True,
        local_files_only=True,
    )
    _check_finite(model, folder)
    return model


def _tensors(folder: Path, left_out: set[str]) -> dict[str, torch.Tensor]:
    """A folder's tensors but some: transformers reads a whole folder, or takes tensors."""
    stored = (load_file(path) for path in weight_files(folder))
    return {key: tensor for tensors in stored for key, tensor in tensors.items() if key not in left_out}


def _check_finite(model: torch.nn.Module, folder: Path) -> None:
    """Raise ValueError with the names of tensors that hold NaN or infinity."""
    bad = [name for name, tensor in model.state_dict().items() if not _is_finite(tensor)]
    if bad:
        more = f" and {len(bad) - 5} more" if len(bad) > 5 else ""
        raise ValueError(
            f"{folder} has values that are not finite (NaN or infinity) in {', '.join(bad[:5])}{more}: the "
            "model would answer nothing; use another checkpoint, or download or train it again"
        )


def _is_finite(tensor: torch.Tensor) -> bool:
    if not tensor.is_floating_point() or not tensor.numel():
        return True
    low, high = tensor.aminmax()  # both are NaN where any value is; nothing of the tensor's size is made
    return bool(torch.isfinite(low) and torch.isfinite(high))


def _verify(
    model_class: type[OpenELMPreTrainedModel],
    config: OpenELMConfig,
    folder: Path,
    new: set[str],
    replaced: set[str],
) -> None:
    with torch.device("meta"):
        model = model_class(config)
    tied = set(model.all_tied_weights_keys)
    expected = {_full(key): list(value.shape) for key, value in model.state_dict().items() if key not in tied}
    stored = {key: shape for key, shape in stored_shapes(folder).items() if key not in replaced}
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
        problems = [f"{_HEAD} differs from the embedding, which config.json says is the head, too"]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"{folder} does not fit {model_class.__name__}: {'; '.join(problems[:5])}{more}. Check that "
            "config.json belongs to these weights, or download the checkpoint again"
        )
    if _UNREAD_HEAD in found:
        _log.warning("%s: %s is left out; no model reads it", folder, _UNREAD_HEAD)


def _full(key: str) -> str:
    """A key as it is in a model with a head: a bare decoder's have no prefix."""
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
