"""A separate process that uses the hub, because its client reads HF_ENDPOINT and HF_HOME only on import.

Each line of standard input is a call in JSON; each line of standard output is its result.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from tests.support.places import ROOT


class RefusedError(Exception):
    """The call raised an exception; the text is `ExceptionName: message`."""


class Client:
    """The connection to the process."""

    def __init__(self, process: "subprocess.Popen[str]") -> None:
        self.process = process

    def __call__(self, call: str, *arguments: Any) -> Any:
        assert self.process.stdin is not None
        assert self.process.stdout is not None
        self.process.stdin.write(json.dumps([call, *arguments]) + "\n")
        self.process.stdin.flush()
        answer = json.loads(self.process.stdout.readline())
        if "error" in answer:
            raise RefusedError(answer["error"])
        return answer["result"]


@contextmanager
def client(url: str, home: Path, **environment: str) -> Iterator[Client]:
    """Start the process, with `url` as the hub and its cache under `home`."""
    inherited = {
        key: value
        for key, value in os.environ.items()
        if not key.startswith(("HF_", "HUGGING", "TRANSFORMERS_")) and not key.lower().endswith("_proxy")
    }
    settings = {
        "HF_ENDPOINT": url,
        "HF_HOME": str(home),
        "OMP_NUM_THREADS": "1",
        "HF_HUB_DISABLE_TELEMETRY": "1",
    }
    settings |= {"PYTHONPATH": os.pathsep.join([str(ROOT), str(ROOT / "src")]), **environment}
    process = subprocess.Popen(
        [sys.executable, "-W", "error", "-m", "tests.support.hub_client"],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        env={**inherited, **settings},
        cwd=home,
        text=True,
    )
    with process:
        yield Client(process)
        assert process.stdin is not None
        process.stdin.close()


def fetch(name: str, revision: str | None = None) -> dict[str, Any]:
    from tweetelm.openelm.checkpoints.hub import fetch

    found = fetch(name, revision)
    files = sorted(path.name for path in found.folder.iterdir())
    return {"repo": found.repo, "commit": found.commit, "files": files}


def load(name: str, revision: str | None = None) -> dict[str, Any]:
    from tweetelm.openelm import OpenELMForCausalLM
    from tweetelm.openelm.checkpoints.hub import fetch
    from tweetelm.openelm.checkpoints.loading import load_weights

    return _describe(load_weights(OpenELMForCausalLM, fetch(name, revision).folder))


def load_with_transformers(name: str) -> dict[str, Any]:
    import torch
    from transformers import AutoModelForCausalLM

    import tweetelm.openelm  # noqa: F401  # registers the classes

    return _describe(AutoModelForCausalLM.from_pretrained(name, dtype=torch.float32))


def fetch_tokenizer(name: str) -> list[str]:
    from tweetelm.openelm.checkpoints.hub import fetch_tokenizer

    return sorted(path.name for path in fetch_tokenizer(name).iterdir())


def prepare(model: str, elsewhere: bool = False) -> dict[str, Any]:
    """Describe the initial state of training; `elsewhere`: on a machine without the fetched weights."""
    import torch

    from tweetelm.config.train_config import DataConfig, ModelConfig, TrainConfig
    from tweetelm.training.build_classifier import build_state
    from tweetelm.training.prepare import prepare

    settings = ModelConfig(name=model, max_tokens=32)
    config = TrainConfig(task="hate", data=DataConfig(root="sample", limit=8), model=settings)
    prepared = prepare(config)
    assert prepared.base is not None
    if elsewhere:
        shutil.rmtree(prepared.base.folder)
    state = build_state(config, prepared, torch.device("cpu"))
    tokens = [len(tweet) for tweet in prepared.train.sequences(range(8))]
    return {**_describe(state.model), "commit": prepared.base.commit, "tokens": tokens}


def classify(name: str, text: str) -> list[float]:
    import tweetelm

    return list(tweetelm.load(name, device="cpu", precision="float32").predict(text).probabilities)


def _describe(model: Any) -> dict[str, Any]:
    digests = {
        key: hashlib.sha256(value.detach().numpy().tobytes()).hexdigest()
        for key, value in model.named_parameters()
    }
    dtypes = sorted({str(value.dtype) for value in model.parameters()})
    return {"tensors": digests, "dtypes": dtypes}


def main() -> None:
    answers, sys.stdout = sys.stdout, sys.stderr
    calls = {f.__name__: f for f in (fetch, load, load_with_transformers, fetch_tokenizer, prepare, classify)}
    for line in sys.stdin:
        call, *arguments = json.loads(line)
        try:
            answer = {"result": calls[call](*arguments)}
        except Exception as error:  # noqa: BLE001  # returned to the test
            answer = {"error": f"{type(error).__name__}: {error}"}
        print(json.dumps(answer), file=answers, flush=True)


if __name__ == "__main__":
    main()
