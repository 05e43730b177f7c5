"""Threads by load: one thread, a thread per CPU, and threads fitted to the load.

All three run in turn in one process, on an idle machine and beside busy loops, for each kind of work:
`Predictor`, an archive, serving (64 requests at a time, without HTTP) and an evaluation with its intervals.
Run it with nothing else.
"""

import argparse
import asyncio
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from pathlib import Path

import torch
from datasets import Dataset

import tweetelm
from benchmarks.published import tokenizer_of
from benchmarks.timing import machine, publish
from serve.inference.engine import Engine
from tweetelm import forward as module
from tweetelm import threads
from tweetelm.archive.dedup import DedupClassifier
from tweetelm.config.text_config import TextConfig
from tweetelm.data import SAMPLE, load
from tweetelm.encoding import Encoder
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.presets import preset_config
from tweetelm.predictor import Predictor
from tweetelm.tasks import HATE

SIDES = ("one thread", "a thread per CPU", "fitted")
BUSY = "while True: pass"
CALLERS = 64


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


def predict(predictor: Predictor, rows: Dataset) -> None:
    predictor.predict(rows["text"])


def archive(predictor: Predictor, rows: Dataset) -> None:
    DedupClassifier(predictor, None)(rows["text"])


def evaluate(predictor: Predictor, rows: Dataset) -> None:
    tweetelm.evaluate(predictor, rows)


def serving(predictor: Predictor, rows: Dataset) -> None:
    async def ask(engine: Engine) -> None:
        texts = list(rows["text"])
        for start in range(0, len(texts), CALLERS):
            await asyncio.gather(
                *(engine.classify(predictor, [text]) for text in texts[start : start + CALLERS])
            )

    asyncio.run(ask(Engine({"hate": predictor})))


WORK: dict[str, Callable[[Predictor, Dataset], None]] = {
    "Predictor": predict,
    "archive": archive,
    "serving": serving,
    "evaluation": evaluate,
}


def rate(work: Callable[[], None], tweets: int, side: str, seconds: float) -> float:
    """Tweets per second over at least `seconds`, after as long a warm-up."""
    torch.set_num_threads(1 if side == SIDES[0] else threads.usable_cpus())
    module.fit_threads = threads.fit_threads if side == "fitted" else lambda: None
    for _ in range(2):
        start, count = time.perf_counter(), 0
        while time.perf_counter() < start + seconds:
            work()
            count += tweets
        found = count / (time.perf_counter() - start)
    return found


def _row(name: str, loops: int, found: dict[str, list[float]]) -> str:
    median = {side: sorted(rates)[len(rates) // 2] for side, rates in found.items()}
    ratios = [median["fitted"] / median[side] for side in (SIDES[1], SIDES[0])]
    cells = [f"{median[side]:.0f} tweets/s" for side in SIDES] + [f"{ratio:.2f}" for ratio in ratios]
    return f"| {name} | {loops} | " + " | ".join(cells) + " |"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--preset", default="scratch-1m")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--seconds", type=float, default=4.0)
    parser.add_argument("--loops", type=int, nargs="*", default=[0, 1, 2])
    parser.add_argument("--work", nargs="*", choices=list(WORK), default=list(WORK))
    parser.add_argument("--out", type=Path)
    arguments = parser.parse_args()
    predictor, rows = model(arguments.preset), load(HATE, SAMPLE)["train"]
    lines = [machine(), "", f"{arguments.preset}, {len(rows)} tweets of the embedded sample.", ""]
    heads = ("work", "busy loops", *SIDES, "fitted / per CPU", "fitted / one")
    lines += ["| " + " | ".join(heads) + " |", "|---" * len(heads) + "|"]
    for loops in arguments.loops:
        with busy(loops):
            for name in arguments.work:
                work = partial(WORK[name], predictor, rows)
                found: dict[str, list[float]] = {side: [] for side in SIDES}
                for _ in range(arguments.rounds):
                    for side in SIDES:
                        found[side].append(rate(work, len(rows), side, arguments.seconds))
                lines.append(_row(name, loops, found))
    publish("threads", lines, arguments.out)


if __name__ == "__main__":
    main()
