"""Two ways to ask a generator for the missing answers: models on this cluster, and an endpoint."""

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import ray

from ray_jobs.cluster.actor_pool import Pool, pool, run_on
from ray_jobs.cluster.connect import connect
from ray_jobs.generation.arguments import Arguments
from ray_jobs.generation.endpoint import AskEndpoint, Endpoint, expected_tokens
from ray_jobs.generation.job import JournalWatch, chunks
from ray_jobs.generation.local_model import AskLocalModel
from ray_jobs.generation.spending import Ledger, Limits, Spent
from tweetelm.generation.generator import FoundGenerator
from tweetelm.generation.journal import read_journal
from tweetelm.generation.request import Request

_CHUNK = 128  # requests that an actor with a local model gets at once


def ask_local(flags: Arguments, generator: FoundGenerator, journal: Path, missing: Sequence[Request]) -> str:
    """Answer requests with a model on this machine or cluster.

    Returns:
        Nothing: an empty reason to stop.

    Raises:
        ValueError: no worker fits, or a worker cannot load the model.
    """
    weights = sum(path.stat().st_size for path in generator.folder.glob("model*.safetensors"))
    items = chunks(missing, _CHUNK)
    actors = pool(connect(), weights, len(items), gpu=flags.gpu, cpus=flags.cpus, workers=flags.workers)
    settings = {
        "model": flags.model,
        "revision": flags.revision,
        "sha256": generator.sha256,
        "pool": actors,
        "journal": journal,
        "precision": flags.precision,
        "new_tokens": flags.max_tokens,
        "batch_tokens": flags.batch_tokens,
    }
    with JournalWatch(journal, len(missing)):
        for _ in run_on(actors, AskLocalModel, items, settings):
            pass  # the answers are in the journal
    return ""


def ask_endpoint(flags: Arguments, key: str, journal: Path, missing: Sequence[Request]) -> str:
    """Answer requests with an OpenAI-compatible endpoint.

    Returns:
        The ceiling that ended the job; empty if none did.

    Raises:
        ValueError: the endpoint refuses all requests.
    """
    assert flags.endpoint is not None
    connect()
    workers = min(flags.workers or 1, flags.in_flight, len(missing))
    endpoint = Endpoint(
        url=flags.endpoint,
        model=flags.model,
        key=key,
        new_tokens=flags.max_tokens,
        timeout_s=flags.timeout,
        in_flight=flags.in_flight // workers,
    )
    remote: Any = ray.remote(Ledger)
    ledger = remote.options(num_cpus=0, max_concurrency=2 * flags.in_flight).remote(
        limits(flags), spent(journal, flags.max_tokens, expected_tokens(missing[0]))
    )
    settings = {"endpoint": endpoint, "ledger": ledger, "journal": journal}
    shares = [list(missing[worker::workers]) for worker in range(workers)]
    with JournalWatch(journal, len(missing)):
        actors = Pool(size=workers, cpus=1, gpus=0, tasks=1)
        outcomes = list(run_on(actors, AskEndpoint, shares, settings))
    unanswered = sum(outcome["unanswered"] for outcome in outcomes)
    stopped = next((outcome["stopped"] for outcome in outcomes if outcome["stopped"]), "")
    if unanswered and not stopped:
        last = next((each["last_error"] for each in outcomes if each["last_error"]), "")
        print(f"{unanswered:,} requests got no answer (the last error: {last or 'none'})", flush=True)
    return stopped


def limits(flags: Arguments) -> Limits:
    """The limits that the flags set."""
    return Limits(
        per_minute=flags.requests_per_minute,
        requests=flags.most,
        tokens=flags.max_total_tokens,
        dollars=flags.max_dollars,
        price_in=flags.price_in,
        price_out=flags.price_out,
    )


def spent(journal: Path, new_tokens: int, prompt_tokens: int) -> Spent:
    """What earlier commands spent.

    A request without an answer counts as one with the longest answer and a prompt of the mean length; without
    any answer yet, of `prompt_tokens`.
    """
    answers, sent = read_journal(journal)
    prompt = sum(answer.prompt_tokens for answer in answers.values())
    completion = sum(answer.completion_tokens for answer in answers.values())
    lost = max(sent - len(answers), 0)
    mean = round(prompt / len(answers)) if answers else prompt_tokens
    return Spent(
        requests=max(sent, len(answers)),
        prompt=prompt + lost * mean,
        completion=completion + lost * new_tokens,
        answers=len(answers),
    )
