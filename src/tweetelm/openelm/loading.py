"""Getting weights: from the hub or a folder, checked tensor by tensor before any is used.

Only safetensors are read, no code that comes with a checkpoint is run, and nothing is left to chance: a
tensor that is missing, unknown or of another shape is an error that names it.
"""

import json
from collections.abc import Collection
from dataclasses import dataclass
from pathlib import Path
from typing import Any, TypeVar

import torch
from safetensors import SafetensorError, safe_open

from .attention import VARLEN
from .configuration_openelm import OpenELMConfig
from .modeling_openelm import OpenELMPreTrainedModel
from .presets import find_preset

WEIGHTS = "model.safetensors"
_INDEX = "model.safetensors.index.json"
_PICKLES = ("*.bin", "*.pt", "*.pth", "*.ckpt", "*.pkl")
_IGNORED = {"transformer.classifier.weight"}  # the unused duplicate head of untied official checkpoints
Model = TypeVar("Model", bound=OpenELMPreTrainedModel)


@dataclass(frozen=True, kw_only=True)
class Checkpoint:
    """A model's files on this machine, and where they came from: `repo` and `commit` are None for a local
    folder."""

    folder: Path
    repo: str | None = None
    commit: str | None = None


def fetch(name: str, revision: str | None = None) -> Checkpoint:
    """The files of a preset, a hub id or a local folder, through the ordinary hub client and its cache.

    Args:
        name: a preset such as openelm-270m, a hub id such as apple/OpenELM-270M, or a folder.
        revision: git revision on the hub; by default the preset's.

    Raises:
        FileNotFoundError: the hub cannot be reached or has no such repository; the folder is not a
        checkpoint.
        ValueError: `name` is no preset, hub id or folder, or a preset without published weights.
    """
    if Path(name).is_dir():
        return Checkpoint(folder=Path(name))
    preset = find_preset(name)
    if preset is None and (name.startswith((".", "/")) or name.count("/") != 1):
        raise FileNotFoundError(
            f"there is no folder {name}; expected a checkpoint folder, a preset or a hub id"
        )
    if preset is not None and preset.repo is None:
        raise ValueError(f"{name} has no published weights; it is trained from scratch")
    repo = name if preset is None or preset.repo is None else preset.repo
    return _download(repo, revision or (preset.revision if preset else "main"))


def _download(repo: str, revision: str) -> Checkpoint:
    from huggingface_hub import snapshot_download
    from huggingface_hub.errors import HfHubHTTPError, LocalEntryNotFoundError

    patterns = ["config.json", "*.safetensors", _INDEX, "tokenizer.json", "tokenizer.model"]
    try:
        folder = Path(snapshot_download(repo, revision=revision, allow_patterns=patterns))
    except (HfHubHTTPError, LocalEntryNotFoundError, OSError) as error:
        raise FileNotFoundError(
            f"could not get {repo} at revision {revision} from the model hub: {type(error).__name__}: "
            f"{_first_line(error)}\nIf this machine has no internet, download it elsewhere with `hf download "
            f"{repo}` and pass the folder as --model.name, or start from random weights with --model.init "
            f"random"
        ) from error
    return Checkpoint(folder=folder, repo=repo, commit=folder.name)


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
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise ValueError(f"{path} is not JSON ({error}); download the checkpoint again") from error
    if values.get("model_type") != "openelm":
        raise ValueError(
            f"{path} describes a {values.get('model_type')!r} model; only 'openelm' can be loaded"
        )
    return OpenELMConfig.from_dict(values)


def load_weights(
    model_class: type[Model],
    folder: Path,
    *,
    new: Collection[str] = (),
    dtype: torch.dtype = torch.float32,
    **overrides: Any,
) -> Model:
    """A model with a folder's weights, every tensor accounted for.

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
    expected = {key: list(value.shape) for key, value in model.state_dict().items() if key not in tied}
    found = stored_shapes(folder)
    problems = [f"{key} is missing" for key in sorted(expected.keys() - found.keys() - new)]
    unknown = found.keys() - expected.keys() - _IGNORED - tied - {"lm_head.weight"}
    problems += [f"{key} is unknown" for key in sorted(unknown)]
    problems += [
        f"{key} has shape {found[key]}, expected {expected[key]}"
        for key in sorted(found.keys() & expected.keys())
        if found[key] != expected[key]
    ]
    if problems:
        more = f" and {len(problems) - 5} more" if len(problems) > 5 else ""
        raise ValueError(
            f"{folder} does not fit {model_class.__name__}: {'; '.join(problems[:5])}{more}. Check that "
            f"config.json "
            "belongs to these weights, or download the checkpoint again"
        )


def stored_shapes(folder: Path) -> dict[str, list[int]]:
    """Name and shape of every tensor in a folder's safetensors files.

    Raises:
        FileNotFoundError: there are none.
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
            ) from error
    return shapes


def _weight_files(folder: Path) -> list[Path]:
    if (folder / _INDEX).is_file():
        index = json.loads((folder / _INDEX).read_text(encoding="utf-8"))
        names = sorted(set(index["weight_map"].values()))
    else:
        names = [WEIGHTS]
    missing = [name for name in names if not (folder / name).is_file()]
    if not missing:
        return [folder / name for name in names]
    pickles = sorted(path.name for pattern in _PICKLES for path in folder.glob(pattern))
    if pickles:
        raise FileNotFoundError(
            f"{folder} has no {missing[0]}, only {', '.join(pickles)}: pickled weights can run code when "
            f"loaded and "
            "are refused; convert them to safetensors in a place you trust"
        )
    raise FileNotFoundError(f"{folder} has no {missing[0]}; download or copy the checkpoint again")


def _first_line(error: BaseException) -> str:
    return (str(error).strip().splitlines() or [""])[0]
