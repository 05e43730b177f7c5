"""Threads by load: `Predictor` with one thread, with a thread per CPU, and with threads fitted to the load.

All three run in turn in one process, on an idle machine and beside busy loops. Run it with nothing else.
"""

import argparse
import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import torch

from benchmarks.published import tokenizer_of
from benchmarks.timing import machine, publish
from tweetelm import forward as module
from tweetelm import threads
from tweetelm.config.text_config import TextConfig
from tweetelm.data import SAMPLE, load
from tweetelm.encoding import Encoder
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.presets import preset_config
from tweetelm.predictor import Predictor
from tweetelm.tasks import HATE

SIDES = ("one thread", "a thread per CPU", "fitted")
BUSY = "while True: pass"


def model(preset: str) -> Predictor:
    """A random model: its speed does not depend on the weights."""
    config = preset_config(preset)
    torch.manual_seed(0)
    tokenizer = tokenizer_of(preset)
    config.vocab_size = tokenizer.get_vocab_size()
    encoder = Encoder(tokenizer=tokenizer, text=TextConfig(), max_tokens=256)
    network = OpenELMForSequenceClassification(config).eval()
    return Predictor(model=network, encoder=encoder, task=HATE)


@contextmanager
def busy(loops: int) -> Iterator[None]:
    """Run busy loops in other processes."""
    processes = [subprocess.Popen([sys.executable, "-c", BUSY]) for _ in range(loops)]
    try:
        yield
    finally:
        for process in processes:
            process.kill()
            process.wait()


def rate(predictor: Predictor, texts: list[str], side: str, seconds: float) -> float:
    """Tweets per second over at least `seconds`, after as long a warm-up."""
    cpus = threads.usable_cpus()
    torch.set_num_threads(1 if side == SIDES[0] else cpus)
    module.fit_threads = threads.fit_threads if side == "fitted" else lambda: None
    for _ in range(2):
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + seconds:
            predictor.predict(texts)
            count += len(texts)
        found = count / (time.perf_counter() - start)
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="scratch-1m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--loops", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    predictor, texts = model(arguments.preset), list(load(HATE, SAMPLE)["train"]["text"])
    lines = [machine(), "", f"{arguments.preset}, {len(texts)} tweets of the embedded sample.", ""]
    heads = ("busy loops", *SIDES, "fitted / per CPU", "fitted / one")
    lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for loops in arguments.loops:
        with busy(loops):
            found: dict[str, list[float]] = {side: [] for side in SIDES}
            for _ in range(arguments.rounds):
                for side in SIDES:
                    found[side].append(rate(predictor, texts, side, arguments.seconds))
        best = {side: sorted(rates)[len(rates) // 2] for side, rates in found.items()}
        ratios = [best["fitted"] / best[side] for side in (SIDES[1], SIDES[0])]
        cells = [f"{best[side]:.0f} tweets/s" for side in SIDES] + [f"{ratio:.2f}" for ratio in ratios]
        lines.append(f"| {loops} | " + " | ".join(cells) + " |")
    publish("threads", lines, arguments.out)


if __name__ == "__main__":
    main()
