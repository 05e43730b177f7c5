"""From a folder's files to a model, checked tensor by tensor before any is used.

Only safetensors are read, no code that comes with a checkpoint is run, and nothing is left to chance: a
tensor that is missing, unknown or of another shape is an error that names it.
"""

import json
import logging
from collections.abc import Collection
from pathlib import Path
from typing import Any, TypeVar

import torch
from huggingface_hub.errors import StrictDataclassError
from safetensors import SafetensorError, safe_open

from .attention import VARLEN
from .configuration_openelm import OpenELMConfig
from .hub import INDEX, WEIGHTS
from .modeling_openelm import OpenELMPreTrainedModel

_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
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
    values = _read_json(path)
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
    dtype: torch.dtype = torch.float32,
    **overrides: Any,
) -> Model:
    """A model with a folder's weights, every tensor accounted for.

    The language-model head of a checkpoint is left aside by models that have none, and so is a published
    version's temperature: `Predictor` takes it from the card, and training starts without one.

    Args:
        model_class: one of the OpenELM classes.
        folder: has config.json and safetensors.
        new: tensors that the folder may lack and that are then initialised, such as `score.weight`.
        dtype: of the parameters; float32 where they are to be master weights.
        **overrides: configuration values to set, such as id2label.

    Raises:
        FileNotFoundError: there are no safetensors.
        ValueError: a tensor is missing, unknown or has another shape, or a file is damaged.
    """
    config = read_config(folder)
    config.classifier_temperature = 1.0
    for key, value in overrides.items():
        setattr(config, key, value)
    _verify(model_class, config, folder, set(new))
    return model_class.from_pretrained(
        folder,
        config=config,
        dtype=dtype,
        attn_implementation=VARLEN,
        use_safetensors=True,
        local_files_only=True,
    )


def _verify(
    model_class: type[OpenELMPreTrainedModel], config: OpenELMConfig, folder: Path, new: set[str]
) -> None:
    with torch.device("meta"):
        model = model_class(config)
    tied = set(model.all_tied_weights_keys)
    expected = {_full(key): list(value.shape) for key, value in model.state_dict().items() if key not in tied}
    stored = stored_shapes(folder)
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
    for path in _weight_files(folder):
        with safe_open(path, framework="pt") as file:
            if key in file.keys():  # noqa: SIM118
                tensor: torch.Tensor = file.get_tensor(key)
                return tensor
    raise KeyError(key)


def stored_shapes(folder: Path) -> dict[str, list[int]]:
    """Name and shape of every tensor in a folder's safetensors files.

    Raises:
        FileNotFoundError: there are none, or not all.
        ValueError: one is damaged.
    """
    shapes: dict[str, list[int]] = {}
    for path in _weight_files(folder):
        try:
            with safe_open(path, framework="pt") as file:
                shapes |= {key: file.get_slice(key).get_shape() for key in file.keys()}  # noqa: SIM118
        except (SafetensorError, OSError) as error:
            raise ValueError(
                f"{path} is damaged ({error}); delete it and download or copy it again"
                + (" (it is a git-lfs pointer: `git lfs pull` fetches the file)" if _is_pointer(path) else "")
            ) from error
    return shapes


def _is_pointer(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(20).startswith(b"version https://git")


def _weight_files(folder: Path) -> list[Path]:
    """The files that transformers will read: one, or the shards that an index names."""
    index = folder / INDEX
    if (folder / WEIGHTS).is_file() or not index.is_file():
        names = [WEIGHTS]
    else:
        content = _read_json(index)
        if not content.get("weight_map") or "metadata" not in content:
            raise ValueError(f"{index} has no weight_map or no metadata; download the checkpoint again")
        names = sorted(set(content["weight_map"].values()))
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return [folder / name for name in names]
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise FileNotFoundError(
            f"{folder} has no {missing[0]}, only {', '.join(pickles)}: pickled weights can run code when "
            "loaded and are refused; convert them to safetensors in a place you trust"
        )
    raise FileNotFoundError(f"{folder} has no {missing[0]}; download or copy the checkpoint again")


def _read_json(path: Path) -> dict[str, Any]:
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); download the checkpoint again") from error
    if not isinstance(values, dict):
        raise ValueError(f"{path} is not a JSON object; download the checkpoint again")
    return values
