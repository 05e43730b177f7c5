"""Worker processes that publish and promote until killed, and checks of the registry afterwards.

Run as a module, this is a worker. From the project it imports only the registry.
"""

import argparse
import dataclasses
import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from tests.support.places import ROOT
from tweetelm import registry
from tweetelm.registry import verify
from tweetelm.registry.card import Card
from tweetelm.registry.store import open_store
from tweetelm.registry.versions import version_names

TASK = "hate"
CARD = Card(
    task=TASK,
    labels=("not-hate", "hate"),
    created="2026-11-21T10:00:00+00:00",
    data={"root": "data", "md5": "0" * 32 + ".dir", "synthetic": False, "rows": {"train": 3}},
    git=None,
    config={"task": TASK},
    libraries={},
    base={
        "name": "scratch-1m",
        "init": "scratch",
        "source": "none",
        "revision": None,
        "weights_sha256": None,
        "tokenizer_sha256": None,
    },
    metrics={"validation": {"macro_f1": 0.5}},
    metric="macro_f1",
    text={},
    max_tokens=24,
    run="run",
)


def checkpoint(folder: Path, weights: bytes) -> Path:
    """Write the required files of a checkpoint."""
    folder.mkdir(parents=True, exist_ok=True)
    for name in ("config.json", "tokenizer.json", "tokenizer_config.json", "encoding.json"):
        (folder / name).write_text("{}")
    (folder / "model.safetensors").write_bytes(weights)
    return folder


def publish_one(place: str, folder: Path, validation: float, weights: bytes) -> tuple[str, bool]:
    """Publish a model with this metric; returns its version and whether it was promoted."""
    card = dataclasses.replace(CARD, metrics={"validation": {"macro_f1": validation}})
    published = registry.publish(checkpoint(folder, weights), card, registry=place)
    return published.version, published.promoted


def work(place: str, seed: int, rounds: int, mixed: bool) -> None:
    """Publish models with random metrics and print each published one.

    If `mixed`, sometimes promote a random version or roll back.
    """
    rng = random.Random(seed)
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(rounds):
            choice = rng.random()
            cards = registry.list_versions(TASK, registry=place) if mixed else []
            if cards and choice < 0.3:
                registry.promote(TASK, rng.choice(cards).version, registry=place)
            elif mixed and choice < 0.5:
                with _ignore_no_previous():
                    registry.rollback(TASK, registry=place)
            value = round(rng.random(), 6)
            version, promoted = publish_one(place, Path(folder), value, rng.randbytes(50_000))
            print(json.dumps([version, value, promoted]), flush=True)


@contextmanager
def _ignore_no_previous() -> Iterator[None]:
    try:
        yield
    except ValueError as error:
        if "no previous version" not in str(error):
            raise


@dataclass
class Campaign:
    """Rounds of killed workers on one registry."""

    place: str
    environment: Mapping[str, str] = field(default_factory=dict)
    mixed: bool = False
    seed: int = 0
    acknowledged: dict[str, float] = field(default_factory=dict)
    verified: set[str] = field(default_factory=set)

    def start(self, count: int, rounds: int = 1_000_000) -> "list[subprocess.Popen[str]]":
        """Start workers and wait until each has published once or ended."""
        processes = [self.launch(rounds) for _ in range(count)]
        for process in processes:
            assert process.stdout is not None
            self._record(process.stdout.readline())
        return processes

    def finish(self, process: "subprocess.Popen[str]") -> None:
        """Wait until a worker ends, and record the versions that it printed."""
        assert process.stdout is not None
        for line in process.stdout:
            self._record(line)
        process.wait()
        process.stdout.close()

    def kill_some(self, count: int, delay: float) -> None:
        """One round: start `count` workers, kill them after `delay` seconds and check the registry."""
        processes = self.start(count)
        time.sleep(delay)
        for process in processes:
            process.kill()
        for process in processes:
            self.finish(process)
            assert process.returncode == -signal.SIGKILL, "a worker ended without being killed"
        self.check()

    def check(self) -> None:
        """Check that no acknowledged version is lost and that none is partly visible.

        Raises:
            AssertionError: a version is lost, damaged or partly visible, or the current one is wrong.
        """
        store = open_store(self.place)
        listed = {card.version: card for card in registry.list_versions(TASK, registry=self.place)}
        lost = self.acknowledged.keys() - listed.keys()
        assert not lost, f"lost: {lost}"
        partial = {*version_names(store, TASK)} - listed.keys() - {*verify.unfinished(store, TASK)}
        assert not partial, f"partly visible: {partial}"
        for version in listed.keys() - self.verified:
            faults = verify.verify(store, TASK, version)
            assert not faults, f"{version} is damaged: {faults}"
            self.verified.add(version)
        fault = verify.pointer_fault(store, TASK)
        assert fault is None, fault
        current = registry.current_version(TASK, registry=self.place)
        assert current in listed, f"current is {current!r}"
        best = max(self.acknowledged.values())
        value = listed[current].validation
        assert self.mixed or (value is not None and value >= best), (
            f"the current version has {value}, the best published has {best}"
        )
        with tempfile.TemporaryDirectory() as cache:
            assert registry.resolve(TASK, registry=self.place, cache=Path(cache)).name == current

    def launch(self, rounds: int) -> "subprocess.Popen[str]":
        """Start a worker with the next seed."""
        self.seed += 1
        command = [sys.executable, "-W", "error", "-m", "tests.support.registry_workers", self.place]
        command += ["--seed", str(self.seed), "--rounds", str(rounds), *["--mixed"] * self.mixed]
        path = os.pathsep.join([str(ROOT), str(ROOT / "src")])
        environment = {**os.environ, **self.environment, "PYTHONPATH": path}
        return subprocess.Popen(command, stdout=subprocess.PIPE, env=environment, text=True)

    def _record(self, line: str) -> None:
        if line.endswith("\n"):  # the line of a killed worker may be cut
            version, value, _ = json.loads(line)
            self.acknowledged[version] = value


def main() -> None:
    """Run a worker until it is killed or has done its rounds."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("registry")
    parser.add_argument("--seed", type=int, required=True)
    parser.add_argument("--rounds", type=int, required=True)
    parser.add_argument("--mixed", action="store_true")
    arguments = parser.parse_args()
    work(arguments.registry, arguments.seed, arguments.rounds, arguments.mixed)


if __name__ == "__main__":
    main()
