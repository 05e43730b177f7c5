"""`python -m ray_jobs.generate`: killed at any moment, it asks no answered request again."""

import csv
import json
import random
import signal
import time
from itertools import islice
from pathlib import Path

import pytest
import torch

from tests.support.chat_api import busiest, chat_api
from tests.support.job_commands import run, started
from tests.support.llamas import llama, save
from tests.support.ray_head import Cluster, ray_job
from tweetelm.generation.generator import Generator
from tweetelm.generation.human_tweets import read_human_tweets
from tweetelm.generation.journal import read_journal
from tweetelm.generation.plan import PlanSettings, requests
from tweetelm.generation.request import Request
from tweetelm.openelm.checkpoints.llama_import import import_llama
from tweetelm.tasks import DEEPFAKE

pytestmark = [pytest.mark.ray, pytest.mark.slow]
MODULE = "ray_jobs.generate"
PER_MINUTE = 3000


def plan(number: int) -> list[Request]:
    tweets, _ = read_human_tweets(DEEPFAKE, "sample", "human")
    return list(islice(requests(PlanSettings(), tweets), number))


def rows(folder: Path) -> list[dict[str, str]]:
    with (folder / "rows.csv").open(encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, delimiter=";"))


def test_killed_generation_repeats_no_answered_request(cluster: Cluster, tmp_path: Path) -> None:
    chance, seed_of = random.Random(0), {request.id: request.seed for request in plan(2000)}
    out = tmp_path / "part"
    with chat_api(delay=2.5, nonsense=10, refuse=40, fail=30) as api:
        flags = ["--out", str(out), "--root", "sample", "--rows", "250", "--endpoint", api.url]
        flags += ["--model", "talker", "--requests-per-minute", str(PER_MINUTE), "--workers", "2"]
        flags += ["--max-requests", "1000"]
        for _ in range(2):
            target = len(api.answered) + chance.randrange(20, 90)
            with started(cluster, MODULE, *flags) as process:
                while len(api.answered) < target:
                    assert process.poll() is None, process.communicate()[0]
                    time.sleep(0.01)
                process.send_signal(signal.SIGKILL)
            known = {seed_of[request] for request in read_journal(out / "answers")[0]}
            later = len(api.seeds)
        status, said = run(cluster, MODULE, *flags)
        assert status == 0, said
        assert "continuing:" in said
        assert len(known) > 20
        repeated = [seed for seed in api.seeds[later:] if seed in known]
        assert not repeated
        assert 45 <= api.most <= 50  # both workers at once, 25 each
        assert busiest(api.arrivals, 1.0) <= PER_MINUTE / 60 * 1.1 + 1
    answers, sent = read_journal(out / "answers")
    assert sent == len(api.arrivals)
    malformed = sum(answer.text is None for answer in answers.values())
    assert malformed == pytest.approx(len(answers) / 10, abs=10)
    table = rows(out)
    assert len(table) == 250
    assert list(table[0])[:4] == ["screen_name", "text", "account.type", "class_type"]
    assert {row["account.type"] for row in table} == {"bot"}
    ids = [row["prompt_id"] for row in table]
    order = {request: place for place, request in enumerate(seed_of)}
    assert [order[each] for each in ids] == sorted(order[each] for each in ids)
    manifest = json.loads((out / "manifest.json").read_text())
    assert (manifest["kind"], manifest["rows"]) == ("generated", 250)

    status, said = run(cluster, MODULE, *flags, "--seed", "1")
    assert (status, "seed: 0 -> 1" in said) == (2, True), said


def test_killed_local_model_gives_the_same_answers(cluster: Cluster, tmp_path: Path) -> None:
    save(llama(max_position_embeddings=512), tmp_path / "llama")
    import_llama(tmp_path / "llama", tmp_path / "tiny")
    out = tmp_path / "part"
    flags = ["--out", str(out), "--root", "sample", "--rows", "80", "--model", str(tmp_path / "tiny")]
    flags += [
        "--max-requests",
        "100",
        "--max-tokens",
        "40",
        "--batch-tokens",
        "800",
        "--precision",
        "float32",
    ]
    with started(cluster, MODULE, *flags) as process:
        while len(read_journal(out / "answers")[0]) < 10:
            assert process.poll() is None, process.communicate()[0]
            time.sleep(0.01)
        process.send_signal(signal.SIGKILL)
    written = {file: file.read_bytes() for file in (out / "answers").iterdir()}
    status, said = run(cluster, MODULE, *flags)
    assert status == 1, said
    assert "fewer rows than wanted" in said
    assert "Traceback" not in said
    for file, content in written.items():
        assert file.read_bytes().startswith(content)
    generator = Generator.load(
        tmp_path / "tiny", device=torch.device("cpu"), precision="float32", new_tokens=40, batch_tokens=800
    )
    answers, _ = read_journal(out / "answers")
    for request in plan(100):
        assert answers[request.id] == generator.answer([request])[0]


def test_submitted_generation_succeeds(cluster: Cluster, tmp_path: Path) -> None:
    with chat_api() as api:
        line = f"python -m {MODULE} --out {tmp_path / 'part'} --root sample --rows 20 --endpoint {api.url}"
        flags = ["--working-dir", ".", "--runtime-env", "runtime_env.yaml", "--"]
        done = ray_job(cluster, "submit", *flags, *line.split())
    assert done.returncode == 0, done.stdout
    assert len(rows(tmp_path / "part")) == 20
