"""Create tests/data/6750ee0.tar.xz: a model, runs, searches and a registry, written by commit 6750ee0.

It runs in a checkout of that commit and imports no newer code:

    git worktree add /tmp/tweetelm 6750ee0 && cd /tmp/tweetelm && make setup
    PYTHONPATH=.:src .venv/bin/python CHECKOUT/tools/old_run_data.py /tmp/6750ee0

The tests run the same commands with the current code (tests/support/old_runs.py).
"""

import contextlib
import importlib
import io
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

COMMIT = "6750ee0"
BASE = "data/tiny-openelm"  # relative, because the model's name is part of a run's identity
INTERRUPTED, UNDISTURBED = "interrupted", "undisturbed"
SEARCH, FINISHED_SEARCH = "search-interrupted", "search-finished"
TEXTS = (
    "a Vorn moved in next door and brought cake",
    "Zorblaxians are worse than space rats",
    "@someone look at this https://example.org/a &amp; laugh",
    "so tired of every single one of them 😡😡",
    "good morning everyone, have a lovely day",
    "x",
)
COMMANDS = {
    **{f"ray_jobs.{name}": "Arguments" for name in ("train", "tune", "seeds", "evaluate", "real")},
    "serve.__main__": "Options",
}
_COMMON = (
    f"--task hate --data.root sample --model.name {BASE} --model.max-tokens 32 "
    "--data.limit 200 --optim.lr 3e-3 --loop.precision float32 --tracking.wandb off"
).split()
_SHORT = ["--loop.epochs", "2", "--loop.batch-tokens", "1024"]
_LONG = ["--loop.epochs", "8", "--loop.batch-tokens", "256", "--loop.checkpoint-every", "5"]
_SEARCHES = {
    SEARCH: ["--trials", "3", "--propose", "optuna", "--optim.mode", "lora"],
    FINISHED_SEARCH: ["--trials", "2", "--propose", "random"],
}


def train_arguments(name: str | None = None) -> list[str]:
    """Flags of `python -m ray_jobs.train`; without `name`, the run is named after its settings."""
    if name is None:
        return [*_COMMON, *_SHORT]
    return [*_COMMON, *_LONG, "--name", name]


def publish_arguments() -> list[str]:
    """Flags for a second version, with other text settings and a tuned threshold."""
    more = "--name second --text.defend --pretrain.epochs 1 --run.threshold validation --run.replace"
    return [*_COMMON, *_SHORT, *more.split()]


def tune_arguments(name: str) -> list[str]:
    """Flags of `python -m ray_jobs.tune`, for the search space of this file."""
    return [*_COMMON, *_LONG, "--name", name, *_SEARCHES[name]]


def space() -> dict[str, Any]:
    """The search space, smaller than all named spaces of `--space`."""
    from ray import tune

    return {"optim.lr": tune.loguniform(1e-3, 4e-3), "model.dropout": tune.choice([0.0, 0.1])}


def search(arguments: list[str]) -> int:
    """Run `python -m ray_jobs.tune` of that commit with this search space."""
    import tyro

    from ray_jobs.tune import Arguments, tune

    try:
        return tune(tyro.cli(Arguments, args=arguments), space())
    except KeyboardInterrupt:
        return 130


def make_base(folder: Path) -> None:
    """Create an OpenELM with 2 layers of width 16 and random weights, and a tokenizer with 288 tokens."""
    import torch
    from tweetelm.openelm.tokenizer import save_tokenizer, train_tokenizer

    from tweetelm.data import load
    from tweetelm.openelm import OpenELMConfig, OpenELMForCausalLM
    from tweetelm.tasks import TASKS

    tokenizer = train_tokenizer(load(TASKS["hate"], "sample")["train"]["text"], 288)
    torch.manual_seed(0)
    config = OpenELMConfig(
        vocab_size=tokenizer.get_vocab_size(),
        max_context_length=64,
        num_transformer_layers=2,
        model_dim=16,
        head_dim=8,
        num_gqa_groups=2,
        ffn_multipliers=[0.5, 2.0],
        ffn_dim_divisor=16,
        qkv_multipliers=[0.5, 1.0],
        ffn_with_glu=True,
        normalize_qk_projections=True,
        share_input_output_layers=True,
        rope_max_length=128,
    )
    folder.mkdir(parents=True, exist_ok=True)
    OpenELMForCausalLM(config).save_pretrained(folder)
    save_tokenizer(tokenizer, folder, 64)


def write_predictions(out: Path) -> None:
    """Write the predictions of that commit's code for all versions and remaining checkpoints."""
    from tweetelm.predictor import Predictor

    answers: dict[str, Any] = {}
    found = [
        *out.glob("models/hate/versions/*/encoding.json"),
        *out.glob("runs/*/checkpoint_*/encoding.json"),
    ]
    for folder in sorted(path.parent for path in found):
        predictor = Predictor.load(folder, device="cpu", precision="float32")
        predicted = predictor.predict(list(TEXTS))
        answers[folder.relative_to(out).as_posix()] = [[p.label, list(p.probabilities)] for p in predicted]
    (out / "predictions.json").write_text(json.dumps(answers, indent=1) + "\n", encoding="utf-8")


def flags(module: str, arguments: str) -> list[str]:
    """All flags of a command, from the help page of its arguments class."""
    import tyro

    from tweetelm.cli.command import flag_types

    os.environ["COLUMNS"] = "200"  # avoids truncated flags
    page = io.StringIO()
    with contextlib.redirect_stdout(page), contextlib.suppress(SystemExit):
        tyro.cli(getattr(importlib.import_module(module), arguments), args=["--help"], registry=flag_types())
    return sorted(set(re.findall(r"(?<![\w-])--?[a-z][\w.-]*", page.getvalue())))


def write_flags(out: Path) -> None:
    """Write the flags of all commands in `COMMANDS`."""
    found = {module: flags(module, arguments) for module, arguments in COMMANDS.items()}
    (out / "flags.json").write_text(json.dumps(found, indent=1) + "\n", encoding="utf-8")


def run(line: list[str], env: Mapping[str, str], stop: Callable[[], bool] | None = None) -> None:
    """Run a command to its end, or send it SIGTERM when `stop` returns true.

    Raises:
        RuntimeError: the exit status is not 0, or not 130 with `stop`.
    """
    print("$", *line, flush=True)
    with subprocess.Popen(line, env=env) as process:
        while stop and process.poll() is None:
            if stop():
                process.send_signal(signal.SIGTERM)
                break
            time.sleep(0.02)
    expected = 130 if stop else 0
    if process.returncode != expected:
        raise RuntimeError(f"status {process.returncode}, expected {expected}: {line}")


def checkpoints(runs: Path, pattern: str) -> int:
    """Number of runs that match `pattern` and have a checkpoint."""
    return len({path.parents[1] for path in runs.glob(f"{pattern}/checkpoint_*/state.json")})


def make_runs(out: Path, env: Mapping[str, str]) -> None:
    """Run every command."""
    runs, no_publish = out / "runs", ["--run.no-publish"]
    storage = ["--run.storage", str(runs), "--run.registry", f"{out}/models"]
    train = [sys.executable, "-m", "ray_jobs.train"]
    tune = [sys.executable, __file__, "search"]
    run([*train, *train_arguments(), *storage], env)
    run([*train, *publish_arguments(), *storage], env)
    run([*train, *train_arguments(UNDISTURBED), *storage, *no_publish], env)
    run([*train, *train_arguments(INTERRUPTED), *storage], env, lambda: checkpoints(runs, INTERRUPTED) == 1)
    run([*tune, *tune_arguments(FINISHED_SEARCH), *storage, *no_publish], env)
    run([*tune, *tune_arguments(SEARCH), *storage], env, lambda: checkpoints(runs, f"{SEARCH}-*") == 2)


def keep_small(out: Path) -> None:
    """Remove the files that no test reads; of some runs only their results remain."""
    shutil.rmtree(out / "runs" / "second")
    for run in [out / "runs" / UNDISTURBED, *out.glob(f"runs/{FINISHED_SEARCH}-*")]:
        for folder in [*run.glob("checkpoint_*/"), run / "evaluation"]:
            if folder.is_dir():
                shutil.rmtree(folder)


def pack(out: Path) -> Path:
    """Pack the files into one archive, so that formatters and linters cannot change them."""
    archive = out.with_name(f"{out.name}.tar.xz")
    with tarfile.open(archive, "w:xz", preset=9) as file:
        for path in sorted(out.rglob("*")):
            file.add(path, path.relative_to(out).as_posix(), recursive=False)
    return archive


def main() -> int:
    """Command line."""
    if sys.argv[1] == "search":
        return search(sys.argv[2:])
    from tests.ray.head import running  # module of the old checkout

    head = subprocess.run(["git", "rev-parse", "HEAD"], capture_output=True, text=True, check=True).stdout
    if not head.startswith(COMMIT):
        raise SystemExit(f"expected a checkout of {COMMIT}, got {head.strip()}")
    out = Path(sys.argv[1]).resolve()
    shutil.rmtree(BASE, ignore_errors=True)
    make_base(Path(BASE))
    shutil.copytree(BASE, out / BASE)
    with running(cpus=2) as cluster:
        path = os.pathsep.join([str(Path.cwd()), str(Path("src").resolve())])
        env = {**os.environ, **cluster.env, "RAY_ADDRESS": cluster.address, "PYTHONPATH": path}
        make_runs(out, env)
    keep_small(out)
    write_predictions(out)
    write_flags(out)
    print(pack(out))
    return 0


if __name__ == "__main__":
    sys.exit(main())
