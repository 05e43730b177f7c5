"""`python -m tweetelm.openelm describe|check openelm-270m`: shape and cost of a model; check of its files."""

import argparse
import sys
from pathlib import Path

from tweetelm.cli import command
from tweetelm.cli.program_name import program_name

from .checkpoints.inspection import inspect
from .checkpoints.loading import read_config
from .configuration_openelm import OpenELMConfig
from .flops import activation_bytes, cost
from .presets import PRESETS, find_preset, preset_config

GIB = 2**30


def describe(name: str, config: OpenELMConfig, tokens: int) -> str:
    """Describe a configuration, one property per line. Training memory is for `tokens` packed tokens."""
    size = cost(config)
    preset = find_preset(name)
    weights = (preset.repo or "none; trained from scratch") if preset else name
    training = size.optimizer_bytes + activation_bytes(config, tokens)
    checkpointed = size.optimizer_bytes + activation_bytes(config, tokens, checkpointing=True)
    rows = [
        ("weights", weights),
        ("layers", config.num_transformer_layers),
        ("width", config.model_dim),
        ("head width", config.head_dim),
        ("query heads", _listed(config.num_query_heads)),
        ("key-value heads", _listed(config.num_kv_heads)),
        ("feed-forward", _listed(config.ffn_dims)),
        ("vocabulary", f"{config.vocab_size:,}"),
        ("context", f"{config.max_context_length:,} tokens"),
        ("parameters", f"{size.parameters:,} ({size.embedding:,} of them embedding)"),
        ("forward", f"{size.flops_per_token / 1e9:.3f} GFLOP per token"),
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


def _positive(text: str) -> int:
    if not text.isdecimal() or int(text) == 0:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of tokens; expected at least 1")
    return int(text)


def main(argv: list[str] | None = None) -> int:
    """Run a command. If it fails, print the reason to standard error and return exit status 2."""
    parser = argparse.ArgumentParser(
        prog=program_name("tweetelm.openelm"), description="Describe and check OpenELM models."
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
    two = commands.add_parser(
        "check", help="download a checkpoint and verify its tensors and parameter count"
    )
    two.add_argument("model", help="a preset, a hub id or a folder")
    two.add_argument("--revision", help="git revision on the hub")
    two.add_argument("--tokenizer", help="file, folder or hub id (default: the preset's)")
    arguments = parser.parse_args(argv)
    try:
        if arguments.command == "check":
            print(inspect(arguments.model, arguments.revision, arguments.tokenizer))
            return 0
        known = find_preset(arguments.model) is not None
        config = preset_config(arguments.model) if known else read_config(Path(arguments.model).expanduser())
    except command.EXPLAINED as error:
        print(f"error: {command.message(error)}", file=sys.stderr)
        return 2
    print(describe(arguments.model, config, arguments.tokens))
    return 0


if __name__ == "__main__":
    command.run(main, interrupted="")
