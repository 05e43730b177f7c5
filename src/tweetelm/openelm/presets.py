"""Model presets: Apple's published checkpoints, and two small models that are trained from scratch."""

import copy
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .configuration_openelm import OpenELMConfig

LLAMA_TOKENIZER = "hf-internal-testing/llama-tokenizer"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named model.

    Attributes:
        name: the preset's name.
        config: keys of the configuration. In a scratch preset, `vocab_size` is the maximum vocabulary of its
            tokenizer.
        repo: hub repository of the published weights; None for a scratch preset.
        revision: git revision to download.
        tokenizer: hub repository of the tokenizer; None trains one on the training split.
    """

    name: str
    config: dict[str, Any]
    repo: str | None = None
    revision: str = "main"
    tokenizer: str | None = None


_PUBLISHED = {
    "vocab_size": 32000,
    "max_context_length": 2048,
    "num_gqa_groups": 4,
    "qkv_multipliers": [0.5, 1.0],
    "ffn_multipliers": [0.5, 4.0],
    "ffn_with_glu": True,
    "ffn_dim_divisor": 256,
    "normalize_qk_projections": True,
    "share_input_output_layers": True,
    "rope_max_length": 4096,
}
_SIZES = {  # name: (repository, layers, width, head width)
    "openelm-270m": ("apple/OpenELM-270M", 16, 1280, 64),
    "openelm-450m": ("apple/OpenELM-450M", 20, 1536, 64),
    "openelm-1.1b": ("apple/OpenELM-1_1B", 28, 2048, 64),
    "openelm-3b": ("apple/OpenELM-3B", 36, 3072, 128),
}
_SCRATCH = {  # name: (layers, width, vocabulary)
    "scratch-1m": (4, 128, 4096),
    "scratch-4m": (4, 256, 6144),
}


def _published() -> list[Preset]:
    presets = []
    for name, (repo, layers, width, head) in _SIZES.items():
        config = {**_PUBLISHED, "num_transformer_layers": layers, "model_dim": width, "head_dim": head}
        for suffix in ("", "-Instruct"):
            presets.append(
                Preset(
                    name=name + suffix.lower(), repo=repo + suffix, tokenizer=LLAMA_TOKENIZER, config=config
                )
            )
    return presets


def _scratch() -> list[Preset]:
    shape = {
        **_PUBLISHED,
        "max_context_length": 512,
        "num_gqa_groups": 2,
        "head_dim": 32,
        "ffn_dim_divisor": 32,
    }
    sizes = _SCRATCH.items()
    return [
        Preset(
            name=name,
            config={**shape, "num_transformer_layers": layers, "model_dim": width, "vocab_size": size},
        )
        for name, (layers, width, size) in sizes
    ]


PRESETS: dict[str, Preset] = {preset.name: preset for preset in [*_published(), *_scratch()]}


def find_preset(name: str) -> Preset | None:
    """The preset with this name or repository; None if `name` is a folder, a path or another hub id.

    Raises:
        ValueError: `name` is none of these; the message lists the presets and suggests the nearest.
    """
    if name in PRESETS:
        return PRESETS[name]
    if Path(name).expanduser().is_dir():
        return None
    if "/" in name or name.startswith((".", "~")):
        return next((preset for preset in PRESETS.values() if preset.repo == name), None)
    near = difflib.get_close_matches(name.lower(), PRESETS, n=1)
    hint = f" Did you mean {near[0]}?" if near else ""
    raise ValueError(
        f"there is no model {name!r}.{hint} Expected a preset ({', '.join(PRESETS)}), a hub id such as "
        "apple/OpenELM-270M, or a local folder such as ./my-model"
    )


def preset_config(name: str) -> OpenELMConfig:
    """The configuration of a preset.

    Raises:
        ValueError: there is no preset `name`.
    """
    preset = find_preset(name)
    if preset is None:
        raise ValueError(f"{name!r} is not a preset; expected one of {', '.join(PRESETS)}")
    return OpenELMConfig(**copy.deepcopy(preset.config))
