"""Turns the flags of a generation into a job and a way to ask; checks everything before the first request."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from ray_jobs.generation.arguments import Arguments
from ray_jobs.generation.ask import ask_endpoint, ask_local, limits, spent
from ray_jobs.generation.endpoint import expected_tokens
from ray_jobs.generation.job import Job, generate
from ray_jobs.generation.spending import announcement
from tweetelm.config.overrides import difference
from tweetelm.data.provenance import provenance
from tweetelm.files import atomic
from tweetelm.files.json_file import parse_object
from tweetelm.generation.filters import Filters
from tweetelm.generation.generator import FoundGenerator, check_not_shared, find_generator
from tweetelm.generation.human_tweets import read_human_tweets
from tweetelm.generation.plan import PlanSettings
from tweetelm.generation.request import Request
from tweetelm.generation.result import summary, write_result
from tweetelm.tasks import Task, find_task

SETTINGS_FILE = "settings.json"
_SAMPLE = 200  # requests whose prompts are measured for the announcement


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """A checked generation.

    Attributes:
        arguments: the flags.
        key: of the endpoint.
        task: with the human tweets.
        job: what to generate.
        settings: what the answers depend on.
        generator: the files of a local model; None for an endpoint.
    """

    arguments: Arguments
    key: str
    task: Task
    job: Job
    settings: dict[str, Any]
    generator: FoundGenerator | None

    def lines(self) -> list[str]:
        """What will be asked, and what it may cost."""
        flags, tweets = self.arguments, self.job.tweets
        lines = [
            f"prompts: {len(tweets.texts):,} human tweets of {self.task.name}'s training split",
            f"generator: {self.generator.name} ({self.generator.sha256[:12]})"
            if self.generator
            else f"generator: {flags.model} at {flags.endpoint}, {flags.requests_per_minute:g} requests/min",
            f"wanted: {self.job.rows:,} rows, at most {self.job.most:,} requests",
        ]
        if self.generator is None:
            sample = [expected_tokens(request) for request in self.job.first(_SAMPLE)]
            prompt = round(sum(sample) / len(sample))
            lines.append(
                announcement(
                    limits(flags), spent(self.job.journal, flags.max_tokens, prompt), prompt, flags.max_tokens
                )
            )
        return lines

    def run(self) -> int:
        """Generate and write the results. Returns the exit status: 1 if rows are missing."""
        self.record_settings()
        outcome, answers, why = generate(self.job, self._ask)
        described = self.generator or FoundGenerator(name=self.arguments.model, folder=Path(), sha256="")
        write_result(
            self.job.folder,
            outcome,
            answers,
            self.settings,
            label=_machine(self.task, _human(self.task, self.arguments.human)),
            generator={"name": described.name, "sha256": described.sha256, "license": described.license},
        )
        print("\n".join(summary(outcome)))
        print(f"rows in {self.job.folder}/rows.csv, card in {self.job.folder}/README.md")
        if why:
            print(f"fewer rows than wanted: {why}")
        return 1 if why else 0

    def _ask(self, missing: Sequence[Request]) -> str:
        if self.generator is None:
            return ask_endpoint(self.arguments, self.key, self.job.journal, missing)
        return ask_local(self.arguments, self.generator, self.job.journal, missing)

    def record_settings(self) -> None:
        """Record the settings in the folder, or compare them. Raises the error of `check_settings`."""
        self.check_settings()
        path = self.job.folder / SETTINGS_FILE
        if not path.is_file():
            atomic.write_text(path, json.dumps(self.settings, indent=2) + "\n")

    def check_settings(self) -> None:
        """Compare the settings with those of the folder, if it has some.

        Raises:
            ValueError: the folder belongs to a generation with other settings.
        """
        path = self.job.folder / SETTINGS_FILE
        if not path.is_file():
            return
        stored = parse_object(path.read_bytes(), path, "choose another folder with --out")
        if changes := difference(stored, json.loads(json.dumps(self.settings))):
            raise ValueError(
                f"{self.job.folder} belongs to a generation with other settings ({'; '.join(changes)}); "
                "repeat those, or choose another folder with --out"
            )


def prepare(arguments: Arguments, key: str) -> Prepared:
    """Check the flags, read the human tweets and find the generator.

    Raises:
        FileNotFoundError: data or model are missing.
        ValueError: a flag, the data or the model is unsuitable.
    """
    task = find_task(arguments.task)
    human = _human(task, arguments.human)
    tweets, others = read_human_tweets(task, arguments.root, human, arguments.account)
    plan = PlanSettings(
        strategies=arguments.strategies, temperatures=arguments.temperatures, seed=arguments.seed
    )
    found = None
    if arguments.endpoint is not None and not arguments.force and arguments.model == arguments.classifier:
        raise ValueError(
            f"--model and --classifier are both {arguments.model}; the generator must have other weights: "
            "change one of them, or add --force"
        )
    if arguments.endpoint is None:
        found = find_generator(arguments.model, arguments.revision)
        if not arguments.force:
            check_not_shared(found, arguments.classifier)
    settings = {
        "task": task.name,
        "data": provenance(task, arguments.root).md5,
        "human": human,
        "model": arguments.model,
        "sha256": found.sha256 if found else "",
        "strategies": list(plan.strategies),
        "temperatures": list(plan.temperatures),
        "seed": plan.seed,
        "max_tokens": arguments.max_tokens,
        "precision": arguments.precision if found else "",
        **({"account": arguments.account} if arguments.account else {}),
    }
    job = Job(
        folder=Path(arguments.out).expanduser().absolute(),
        settings=plan,
        rows=arguments.rows,
        most=arguments.most,
        tweets=tweets,
        filters=Filters(tweets.texts, others),
    )
    return Prepared(arguments=arguments, key=key, task=task, job=job, settings=settings, generator=found)


def _human(task: Task, named: str | None) -> str:
    if named is not None and named not in task.labels:
        raise ValueError(f"--human is {named!r}; expected one of {', '.join(task.labels)}")
    return named or task.labels[0]


def _machine(task: Task, human: str) -> str:
    """The label of generated rows: the task's other one, or `bot`."""
    others = [label for label in task.labels if label != human]
    return others[0] if len(others) == 1 else "bot"
