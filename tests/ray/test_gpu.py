"""Training and serving on a GPU."""

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import psutil
import pytest
import torch

from tests.ray.test_train import configuration, final, same_bits, seen
from tests.support.ray_head import wait_for
from tests.support.ray_service import ROOT, TEXTS, private_ray, publish, serving
from tweetelm import registry as versions
from tweetelm.config.train_config import TrainConfig
from tweetelm.predictor import Predictor
from tweetelm.tracking.trackers import read_history

pytestmark = [
    pytest.mark.ray,
    pytest.mark.slow,
    pytest.mark.gpu,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="no CUDA device here"),
]


def command(config: TrainConfig) -> list[str]:
    """Return a configuration in half precision on one GPU."""
    loop, run, model = config.loop, config.run, config.model
    flags = {
        "task": config.task,
        "name": config.run_name,
        "data.root": config.data.root,
        "data.limit": config.data.limit,
        "model.name": model.name,
        "model.max-tokens": model.max_tokens,
        "optim.lr": config.optim.lr,
        "loop.epochs": loop.epochs,
        "loop.batch-tokens": loop.batch_tokens,
        "loop.micro-tokens": loop.micro_tokens,
        "loop.checkpoint-every": loop.checkpoint_every,
        "run.gpu": "yes",
        "run.storage": run.storage,
        "run.registry": run.registry,
        "tracking.wandb": "off",
    }
    line = [sys.executable, "-m", "ray_jobs.train", "--run.no-publish"]
    return line + [part for flag, value in flags.items() for part in (f"--{flag}", str(value))]


def test_killed_gpu_run_resumes_bit_identically(tmp_path: Path) -> None:
    whole, cut = (configuration(tmp_path, name, workers=1) for name in ("whole", "cut"))
    with private_ray() as env:
        subprocess.run(command(whole), cwd=ROOT, env=env, check=True, timeout=300)
        steps = read_history(Path(whole.folder) / "history.jsonl")
        last = max(line.get("step", 0) for line in steps)
        at = random.randrange(2, last - 3)
        with subprocess.Popen(command(cut), cwd=ROOT, env=env, start_new_session=True) as process:
            wait_for(f"step {at}", lambda: seen(cut, at))
            family = [
                process.pid,
                *(child.pid for child in psutil.Process(process.pid).children(recursive=True)),
            ]
            for pid in family:
                os.kill(pid, signal.SIGKILL)
        subprocess.run(command(cut), cwd=ROOT, env=env, check=True, timeout=300)
    assert same_bits(final(whole), final(cut)), f"killed after step {at}"


def test_gpu_service_matches_cpu(tmp_path: Path) -> None:
    registry = tmp_path / "models"
    publish(registry, tmp_path / "checkpoint", seed=1)
    local = Predictor.load(
        versions.resolve("hate", registry=str(registry)), device="cpu", precision="float32"
    )
    expected = [prediction.probabilities for prediction in local.predict(TEXTS)]
    with private_ray() as env, serving(registry, env) as service:
        assert service.info()["models"]["hate"]["device"] == "cuda"
        for one, probabilities in zip(service.classify(TEXTS), expected, strict=True):
            assert one["probs"] == pytest.approx(probabilities, abs=1e-5)
