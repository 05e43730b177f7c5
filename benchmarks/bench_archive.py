"""Classify an archive with `ray_jobs.classify_files`: exactness after kills, memory, and speed.

1. A model with the shape of `--preset` classifies `--rows` rows. The command is killed `--kills` times at
   random moments. All results are compared with `Predictor`, row by row.
2. Everything but the model: the same code with a model that answers at once, on one core.
3. 270M parameters: distinct rows against a loop over a transformers pipeline with batches of 32, in turn; and
   rows with duplicates against distinct ones.
"""

import argparse
import gc
import json
import os
import random
import subprocess
import sys
import tempfile
import time
import uuid
from collections.abc import Sequence
from itertools import islice
from pathlib import Path

import psutil
import pyarrow.parquet as pq

from benchmarks.archive_rows import real_tweets, texts, write_archive
from benchmarks.peers import load_pipeline
from benchmarks.processes import MARKER, end, members
from benchmarks.published import publish as publish_model
from benchmarks.timing import ROUNDS, Variant, machine, publish, run_interleaved
from tweetelm.archive.classify_fragment import FragmentClassifier
from tweetelm.archive.dedup import Classifies, DedupClassifier
from tweetelm.archive.fragments import cut
from tweetelm.archive.inputs import find_inputs
from tweetelm.archive.result_set import ResultSet, Settings, name_fragments
from tweetelm.encoding import Encoded
from tweetelm.prediction.result_cache import ResultCache, default_capacity
from tweetelm.predictor import Prediction, Predictor
from tweetelm.registry import resolve

GIB = 2**30
LARGEST_DIFFERENCE = 1e-5
BATCH = 32


class Instant:
    """A model that answers at once; it encodes as a predictor does, or not at all."""

    def __init__(self, predictor: Predictor, *, encodes: bool) -> None:
        self.predictor, self.labels, self.encodes = predictor, predictor.labels, encodes
        self.precision = predictor.precision

    def encode(self, found: Sequence[str]) -> list[Encoded]:
        if self.encodes:
            return self.predictor.encode(found)
        return [Encoded((abs(hash(text)) % 2**32,), False) for text in found]

    def classify(self, encoded: Sequence[Encoded]) -> list[Prediction]:
        return [Prediction(self.labels[0], (0.75, 0.25), len(item.ids), item.truncated) for item in encoded]


class Watch:
    """The peak memory of the command and of its workers."""

    def __init__(self, mark: str) -> None:
        self.mark, self.peaks = mark, {"command": 0, "worker": 0}

    def look(self) -> None:
        for process in members(self.mark):
            try:
                line, rss = " ".join(process.cmdline()), process.memory_info().rss
            except psutil.Error:
                continue
            role = "worker" if "MapWorker" in line else "command" if "classify_files" in line else ""
            if role:
                self.peaks[role] = max(self.peaks[role], rss)


def run_with_kills(archive: Path, registry: Path, out: Path, kills: int, watch: Watch) -> list[str]:
    """Run the command, kill it at random moments, and run it until it ends; returns lines of the report."""
    line = [sys.executable, "-m", "ray_jobs.classify_files", str(archive), "--task", "hate"]
    line += ["--registry", str(registry), "--out", str(out)]
    home = out.parent / "home"
    home.mkdir()
    environment = {**os.environ, "HOME": str(home), "RAY_AUTH_MODE": "token", MARKER: watch.mark}
    chance, started = random.Random(0), time.monotonic()
    fragments = _fragments(archive)
    moments = sorted(chance.randrange(fragments) for _ in range(kills))
    with (out.parent / "log.txt").open("ab") as log:
        for moment in [*moments, fragments + 1]:
            process = subprocess.Popen(line, env=environment, stdout=log, stderr=subprocess.STDOUT)
            while process.poll() is None and _done(out) < moment:
                watch.look()
                time.sleep(0.2)
            time.sleep(chance.random())
            process.kill()
            process.wait()
            end(watch.mark)
    assert process.returncode == 0, f"see {out.parent}/log.txt"
    return [
        f"- killed at {moments} of {fragments} fragments; all together {time.monotonic() - started:.0f} s"
    ]


def _fragments(archive: Path) -> int:
    return sum(len(cut(file, text="text", rows=5000).fragments) for file in find_inputs([str(archive)]))


def _done(out: Path) -> int:
    return len(list(out.glob("*/done/*.json")))


def differences(out: Path, predictor: Predictor, wanted: list[str]) -> list[str]:
    """Compare all results with the input's texts and with `Predictor`."""
    (folder,) = out.iterdir()
    table = pq.read_table(folder / "rows", columns=["id", "text", "label", "prob_hate", "truncated"])
    assert table.column("id").to_pylist() == [str(10**18 + number) for number in range(len(wanted))]
    assert table.column("text").to_pylist() == wanted
    distinct = list(dict.fromkeys(wanted))
    expected = dict(zip(distinct, predictor.predict(distinct), strict=True))
    labels = largest = 0.0
    for row in table.to_pylist():
        prediction = expected[row["text"]]
        largest = max(largest, abs(row["prob_hate"] - prediction.probabilities[1]))
        labels += row["label"] != prediction.label or row["truncated"] != prediction.truncated
    assert largest <= LARGEST_DIFFERENCE, largest
    summary = json.loads((folder / "summary.json").read_text())
    return [
        f"- {len(wanted):,} rows in order, complete; largest difference in probability {largest:.1e}; "
        f"{labels:.0f} rows with another label or truncation",
        f"- {summary['duplicates']:,} duplicates not classified again, {summary['cpu_seconds']:,.0f} CPU "
        f"seconds, {summary['rows_per_second']:,.0f} rows/s in the last run",
    ]


def deduplicated(predictor: Classifies) -> DedupClassifier:
    return DedupClassifier(predictor, ResultCache(default_capacity(len(predictor.labels))))


def settings(predictor: Predictor) -> Settings:
    return Settings(
        task="hate", model="", version=predictor.version, labels=predictor.labels, text="text", prefix="",
        format="parquet", fragment_rows=5000, precision="auto",
    )  # fmt: skip


def without_model(archive: Path, predictor: Predictor, scratch: Path) -> list[str]:
    """MB/s of everything but the model, in CPU seconds of one core, with and without encoding."""
    began = time.process_time()
    files = [cut(file, text="text", rows=5000) for file in find_inputs([str(archive)])]
    cutting = time.process_time() - began
    named = name_fragments(fragment for file in files for fragment in file.fragments)
    mb = sum(each.fragment.end - each.fragment.start for each in named) / 1e6
    seconds = {}
    gc.collect()
    gc.freeze()  # as in a worker
    for encodes in (False, True):
        model = deduplicated(Instant(predictor, encodes=encodes))
        classify = FragmentClassifier(model, ResultSet(f"{scratch}-{encodes}", settings(predictor)))
        began = time.process_time()
        for each in named:
            classify(each)
        seconds[encodes] = time.process_time() - began
    return [
        f"- {mb:.0f} MB without compression; cutting {mb / cutting:.1f} MB/s per core",
        f"- reading, finding duplicates and writing {mb / seconds[False]:.1f} MB/s per core; with "
        f"normalization and tokenization {mb / seconds[True]:.1f} MB/s",
    ]


def against_pipeline(folder: Path, base: list[str], rows: int, rounds: int) -> list[str]:
    """Rates on distinct rows of ours and of a pipeline; and ours with duplicates."""
    predictor, pipe = Predictor.load(folder), load_pipeline(str(folder), "float32")
    distinct = random.Random(0).sample(base, rows)
    repeated = list(islice(texts(base, rows), rows))

    def loop() -> None:
        for start in range(0, rows, BATCH):
            pipe(distinct[start : start + BATCH], batch_size=BATCH)

    timings = run_interleaved(
        {
            "ours": Variant(lambda: deduplicated(predictor)(distinct), rows),
            "pipeline": Variant(loop, rows),
            "ours, a third retweets": Variant(lambda: deduplicated(predictor)(repeated), rows),
        },
        rounds,
    )
    lines = [f"- {name}: {timing.rate} rows/s" for name, timing in timings.items()]
    ours, again = timings["ours"], timings["ours, a third retweets"]
    return [
        *lines,
        f"- ours is {ours.faster_than(timings['pipeline'])} times as fast as the pipeline on distinct rows",
        f"- with duplicates, ours is {again.faster_than(ours)} times as fast as on distinct rows",
    ]


def main() -> None:
    """Command line."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the archive")
    parser.add_argument("--kills", type=int, default=5, help="kills of the command")
    parser.add_argument("--preset", default="scratch-1m", help="shape of the model of parts 1 and 2")
    parser.add_argument("--compared", type=int, default=512, help="rows of part 3; 0 leaves it out")
    parser.add_argument("--rounds", type=int, default=ROUNDS, help="rounds of part 3")
    parser.add_argument("--data", default="data", help="folder of the dataset, or sample")
    parser.add_argument("--out", type=Path, help="file of the report")
    arguments = parser.parse_args()
    lines, base = [machine(), ""], real_tweets(arguments.data)
    with tempfile.TemporaryDirectory(prefix="tw") as name:
        place, watch = Path(name), Watch(uuid.uuid4().hex)
        write_archive(place / "archive", base, arguments.rows)
        publish_model(place / "models", arguments.preset)
        predictor = Predictor.load(resolve("hate", registry=str(place / "models")), device="cpu")
        lines += [f"{arguments.preset}, {arguments.rows:,} rows:", ""]
        lines += run_with_kills(place / "archive", place / "models", place / "out", arguments.kills, watch)
        lines += differences(place / "out", predictor, list(texts(base, arguments.rows)))
        peaks = ", ".join(f"{role} {peak / GIB:.2f} GiB" for role, peak in watch.peaks.items())
        lines += [f"- peak memory: {peaks}", "", "Everything but the model:", ""]
        lines += without_model(place / "archive", predictor, place / "scratch")
        if arguments.compared:
            publish_model(place / "large", "openelm-270m")
            lines += ["", f"270M parameters, {arguments.compared} rows:", ""]
            folder = resolve("hate", registry=str(place / "large"))
            lines += against_pipeline(folder, base, arguments.compared, arguments.rounds)
    publish("Archives", lines, arguments.out)


if __name__ == "__main__":
    main()
