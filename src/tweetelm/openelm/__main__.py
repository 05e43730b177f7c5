"""`python -m tweetelm.openelm describe|check|import MODEL`: shape and cost, check of the files, import."""

import argparse
import copy
import math
import shlex
import sys
from pathlib import Path

from tweetelm.cli import command
from tweetelm.cli.program_name import program_name
from tweetelm.files.origin import ORIGIN_FILE

from .checkpoints.first_layers import keep_first_layers
from .checkpoints.inspection import inspect
from .checkpoints.llama_import import import_llama
from .checkpoints.llama_presets import find_source
from .checkpoints.loading import read_config
from .checkpoints.weight_files import read_json, stored_shapes
from .configuration_openelm import OpenELMConfig
from .flops import activation_bytes, cost
from .presets import PRESETS, find_preset, preset_config

GIB = 2**30
_LLAMAS = " or ".join(name for name, preset in PRESETS.items() if preset.llama)


def describe(name: str, config: OpenELMConfig, tokens: int, layers: int | None = None) -> str:
    """Describe a configuration, one property per line.

    Args:
        name: a preset or a folder.
        config: its configuration.
        tokens: packed tokens, for the memory of training.
        layers: describe the model with its first layers only, as `--model.layers` trains it.

    Raises:
        ValueError: the model has fewer layers.
    """
    whole, work = config.num_transformer_layers, _work_by_layers(config)
    if layers is not None:
        config = copy.deepcopy(config)
        keep_first_layers(config, layers)
    size = cost(config)
    preset = find_preset(name)
    weights = (preset.repo or "none; trained from scratch") if preset else name
    training = size.optimizer_bytes + activation_bytes(config, tokens)
    checkpointed = size.optimizer_bytes + activation_bytes(config, tokens, checkpointing=True)
    rows = [
        ("weights", weights),
        ("layers", whole if layers is None else f"the first {layers} of {whole}"),
        ("width", config.model_dim),
        ("head width", config.head_dim),
        ("query heads", _listed(config.num_query_heads)),
        ("key-value heads", _listed(config.num_kv_heads)),
        ("feed-forward", _listed(config.ffn_dims)),
        ("vocabulary", f"{config.vocab_size:,}"),
        ("context", f"{config.max_context_length:,} tokens"),
        ("parameters", f"{size.parameters:,} ({size.embedding:,} of them embedding)"),
        ("forward", f"{size.flops_per_token / 1e9:.3f} GFLOP per token"),
        ("work by layers", ", ".join(f"first {k}: {work[k]:.0%}" for k in _shown(whole))),
        (
            "training",
            f"{size.training_flops_per_token / 1e9:.3f} GFLOP per token, last layer for last tokens only",
        ),
        (
            "memory to serve",
            f"{2 * size.parameters / GIB:.2f} GiB bfloat16, {4 * size.parameters / GIB:.2f} GiB float32, "
            "weights only",
        ),
        (
            "memory to train",
            f"about {training / GIB:.1f} GiB with AdamW, bfloat16 autocast and {tokens:,} packed tokens,",
        ),
        ("", f"about {checkpointed / GIB:.1f} GiB with activation checkpointing"),
    ]
    return "\n".join([name, *(f"  {label:<16} {value}" for label, value in rows)])


def _work_by_layers(config: OpenELMConfig) -> dict[int, float]:
    """By number of first layers, their share of the FLOPs of a forward pass."""
    found: dict[int, float] = {}
    for layers in range(1, config.num_transformer_layers + 1):
        smaller = copy.deepcopy(config)
        keep_first_layers(smaller, layers)
        found[layers] = cost(smaller).linear / cost(config).linear
    return found


def _shown(layers: int) -> list[int]:
    """Two, three and four fifths of the layers, and all."""
    return sorted({max(1, round(layers * share / 5)) for share in (2, 3, 4, 5)})


def _listed(values: int | list[int] | tuple[int, ...] | None) -> str:
    """A per-layer list as text; repeated values are written as value x count."""
    items = list(values) if isinstance(values, list | tuple) else [values or 0]
    runs: list[list[int]] = []
    for value in items:
        if runs and runs[-1][0] == value:
            runs[-1][1] += 1
        else:
            runs.append([value, 1])
    return " ".join(f"{value}x{count}" if count > 1 else str(value) for value, count in runs)


def _imported(folder: Path) -> str:
    shapes = stored_shapes(folder)
    origin = read_json(folder / ORIGIN_FILE)
    return (
        f"{folder}: {sum(map(math.prod, shapes.values())):,} parameters in {len(shapes)} tensors, imported "
        f"from {origin.get('repository', origin['base'])} (quantization {origin['quantization']}, license "
        f"{origin.get('license', 'not stated')})\n"
        f"next: python -m ray_jobs.train --task hate --model.name {shlex.quote(str(folder))}"
    )


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens; expected at least 1")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Run a command. If it fails, print the reason to standard error and return exit status 2."""
    parser = argparse.ArgumentParser(
        prog=program_name("tweetelm.openelm"),
        description="Describe and check OpenELM models; import Llama models.",
    )
    commands = parser.add_subparsers(dest="command", required=True)
    one = commands.add_parser("describe", help="print layers, heads, widths, parameters, memory, FLOPs")
    one.add_argument("model", help=f"a preset ({', '.join(PRESETS)}) or a folder with config.json")
    one.add_argument(
        "--tokens",
        type=_positive,
        default=4096,
        help="packed tokens per pass, for the memory estimate (default: %(default)s)",
    )
    one.add_argument(
        "--layers", type=int, metavar="K", help="the first K layers only, as --model.layers K trains them"
    )
    two = commands.add_parser(
        "check", help="download a checkpoint and verify its tensors and parameter count"
    )
    two.add_argument("model", help="a preset, a hub id or a folder")
    two.add_argument("--revision", help="git revision on the hub")
    two.add_argument("--tokenizer", help="file, folder or hub id (default: the preset's)")
    three = commands.add_parser(
        "import", help="write a Llama model, such as SmolLM2, as an OpenELM one, tensor for tensor"
    )
    three.add_argument("model", metavar="SOURCE", help=f"a GGUF file, a folder, a hub id, or {_LLAMAS}")
    three.add_argument("--to", type=Path, required=True, metavar="FOLDER", help="the new folder")
    three.add_argument("--revision", help="git revision on the hub")
    three.add_argument(
        "--start-token",
        help="token that starts a text (default: the one that the tokenizer prepends, else <|endoftext|>)",
    )
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "import":
            found = find_source(arguments.model, arguments.revision)
            import_llama(found.path, arguments.to, start=arguments.start_token, **found.origin)
            print(_imported(arguments.to))
            return 0
        if arguments.command == "check":
            print(inspect(arguments.model, arguments.revision, arguments.tokenizer))
            return 0
        known = find_preset(arguments.model) is not None
        config = preset_config(arguments.model) if known else read_config(Path(arguments.model).expanduser())
        print(describe(arguments.model, config, arguments.tokens, arguments.layers))
        return 0
    except command.EXPLAINED as error:
        print(f"error: {command.message(error)}", file=sys.stderr)
        return 2


if __name__ == "__main__":
    command.run(main, interrupted="")
