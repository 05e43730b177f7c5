"""The flags of `python -m ray_jobs.generate`."""

from dataclasses import dataclass
from math import inf
from pathlib import Path
from typing import Annotated, Literal

import tyro

from tweetelm.files.paths import is_url


@dataclass(frozen=True, kw_only=True)
class Arguments:
    """Write machine-made tweets with a language model, prompted by human tweets of the training split.

    The model runs here (--model) or behind an OpenAI-compatible endpoint (--endpoint). Filters remove
    refusals, echoes of the prompt, copies of human tweets and repetitions. The folder gets rows.csv in
    TweepFake's columns, manifest.json and a card, README.md. Run the same command again to complete an
    interrupted one, or a larger --rows to continue.
    """

    out: str
    """Folder for the rows and the answers. One folder holds one generation."""
    rows: int = 1000
    """Wanted number of rows after the filters."""
    task: str = "deepfake"
    """Task with the human tweets: a built-in one, or the TOML file of your own."""
    root: str = "data"
    """Folder or URL of the datasets, or `sample`."""
    human: str | None = None
    """Label of the human tweets. Default: the task's first label."""
    account: str | None = None
    """Column with the account, for the strategy imitate. Default: screen_name if the data has it."""
    model: str = "smollm2-135m"
    """Generator: a preset, a hub id, a folder or a GGUF file; with --endpoint, the model's name there."""
    revision: str | None = None
    """Git revision of a hub id."""
    classifier: str = "openelm-270m"
    """Base model of the classifier to be trained on the rows. A generator with its weights is refused."""
    force: bool = False
    """Generate even if the generator has the weights of --classifier."""
    strategies: Annotated[tuple[str, ...], tyro.conf.arg(metavar="NAME …")] = (
        "continue",
        "imitate",
        "paraphrase",
        "answer",
        "topic",
    )
    """How prompts are made, in turn: continue, imitate, paraphrase, answer, topic."""
    temperatures: tuple[float, ...] = (0.7, 0.9, 1.1)
    """Sampling temperatures, in turn."""
    seed: int = 0
    """Seed of the prompts and of the sampling."""
    max_tokens: int = 80
    """Maximum number of tokens of an answer."""
    max_requests: int | None = None
    """Ceiling on the requests, retries included. Default: four times --rows."""
    batch_tokens: int = 16384
    """Tokens per batch of a local model, padding and answers included."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """Precision of a local model; auto is bfloat16 if the hardware supports it."""
    gpu: Literal["auto", "yes", "no"] = "auto"
    """Give each worker a GPU. auto: if the cluster has one."""
    cpus: int | None = None
    """CPUs per worker of a local model. Default: 1, or 4 for a large model without a GPU."""
    workers: int | None = None
    """Number of workers. Default: as many as fit; one for an endpoint."""
    endpoint: str | None = None
    """Base URL of an OpenAI-compatible API, such as http://127.0.0.1:8000/v1."""
    api_key_file: str | None = None
    """File with the API key. Default: the environment's OPENAI_API_KEY."""
    requests_per_minute: float = 600
    """Rate limit of the endpoint, for all workers together."""
    in_flight: int = 50
    """Requests in flight at the endpoint, for all workers together."""
    timeout: float = 120
    """Seconds to wait for an answer of the endpoint."""
    max_total_tokens: int | None = None
    """Ceiling on the endpoint's prompt and answer tokens, over all commands of this folder."""
    max_dollars: float | None = None
    """Ceiling on the price of these tokens."""
    price_in: float = 0.0
    """Dollars per million prompt tokens."""
    price_out: float = 0.0
    """Dollars per million answer tokens."""
    plan: bool = False
    """Print what would be asked and what it may cost, and stop."""

    def __post_init__(self) -> None:
        for name in ("rows", "max_tokens", "max_requests", "batch_tokens", "cpus", "workers", "in_flight"):
            value = getattr(self, name)
            if value is not None and value < 1:
                raise ValueError(f"--{name.replace('_', '-')} is {value}; expected at least 1")
        for name in ("requests_per_minute", "timeout", "max_total_tokens", "max_dollars"):
            value = getattr(self, name)
            if value is not None and not 0 < value < inf:
                raise ValueError(f"--{name.replace('_', '-')} is {value}; expected more than 0")
        for name in ("price_in", "price_out"):
            if not 0 <= getattr(self, name) < inf:
                raise ValueError(f"--{name.replace('_', '-')} is {getattr(self, name)}; expected dollars")
        if not all(0 < value < inf for value in self.temperatures) or not self.temperatures:
            raise ValueError(
                f"--temperatures is {self.temperatures}; expected numbers above 0, such as 0.7 1.1"
            )
        if self.endpoint is not None and not self.endpoint.startswith(("http://", "https://")):
            raise ValueError(
                f"--endpoint is {self.endpoint}; expected a URL such as http://127.0.0.1:8000/v1"
            )
        if Path(self.out).expanduser().is_file():
            raise ValueError(f"--out is {self.out}, a file; expected a folder")
        if self.max_dollars is not None and not (self.price_in or self.price_out):
            raise ValueError("--max-dollars needs the prices of the endpoint: --price-in and --price-out")
        if is_url(self.out):
            raise ValueError(f"--out is {self.out}; expected a folder: answers are appended to files there")

    @property
    def most(self) -> int:
        """Ceiling on the requests."""
        return self.max_requests or 4 * self.rows
