"""The summary of a finished run: scores, location of the model, and the next commands."""

import shlex
from dataclasses import dataclass

from ray_jobs.cli import typed
from ray_jobs.run_dir import FINISHED_FILE, Finished
from tweetelm.config.sections import DataConfig
from tweetelm.config.train_config import TrainConfig
from tweetelm.files.paths import located
from tweetelm.registry.versions import DEFAULT_REGISTRY, current_version, read_card
from tweetelm.tasks import shown_metrics


def summary(config: TrainConfig, finished: Finished) -> str:
    """Return the scores, the location of the model and the next commands, for a terminal."""
    lines = ["", *(f"! {notice}" for notice in finished.notices)]
    scores = finished.scores
    names = shown_metrics(config.task.metric)
    titles = list(names.values())
    lines.append(" ".join([f"{'split':<12}", *(f"{title:>9}" for title in titles)]))
    for split, found in scores.items():
        values = ("-" if found[name] is None else f"{found[name]:.4f}" for name in names)
        cells = (f"{value:>{max(9, len(title))}}" for value, title in zip(values, titles, strict=True))
        lines.append(" ".join([f"{split:<12}", *cells]))
    return "\n".join([*lines, *(_published(config, finished) if finished.version else _unpublished(config))])


def _unpublished(config: TrainConfig) -> list[str]:
    lines = [f"not published; the best checkpoint is in {typed(config.folder)}"]
    return [*lines, _publish_again(config, "it")] if config.run.publish else lines


def _published(config: TrainConfig, finished: Finished) -> list[str]:
    version = _Version.of(config, finished)
    place = typed(f"{version.registry}/{version.task}/versions/{version.name}")
    lines = [f"published    {place} ({version.state(finished)})"]
    asked = config.run.registry_folder
    if config.run.publish and version.registry != asked:
        lines.append(f"             not in {typed(asked)}: this run was already published")
        lines.append(_publish_again(config, f"it in {typed(asked)} too"))
    return [*lines, "next:", *(f"  {line}" for line in version.next_commands(config))]


def _publish_again(config: TrainConfig, what: str) -> str:
    file = f"{config.folder}/{FINISHED_FILE}"
    return f"             to publish {what}, delete {shlex.quote(typed(file))} and run the command again"


@dataclass(frozen=True)
class _Version:
    """A run's published version; `registry` is an absolute path or a URL."""

    registry: str
    task: str
    name: str

    @classmethod
    def of(cls, config: TrainConfig, finished: Finished) -> "_Version":
        name, end = finished.version or "", f"/{config.task.name}/versions/{finished.version}"
        stored = finished.path or ""
        place = stored.removesuffix(end) if stored.endswith(end) else config.run.registry
        return cls(located(place), config.task.name, name)

    def state(self, finished: Finished) -> str:
        """Return whether the version is the current one in the registry."""
        try:
            current = current_version(self.task, registry=self.registry)
            read_card(self.task, registry=self.registry, version=self.name)
        except FileNotFoundError:
            return "no longer in the registry"
        except (OSError, ValueError) as error:
            return f"at publication; now: {error}"
        if current == self.name:
            return "now served"
        if finished.promoted:
            return f"stored; {current} is served now" if current else "stored; nothing is served now"
        return f"stored, not promoted: {finished.reason}"

    def next_commands(self, config: TrainConfig) -> list[str]:
        """Return shell commands for the working directory."""
        registry = shlex.quote(typed(self.registry))
        place = "" if self.registry == located(DEFAULT_REGISTRY) else f" --registry {registry}"
        root = config.data.root
        data = "" if root == DataConfig().root else f" --data {shlex.quote(root)}"
        return [
            f"python -m ray_jobs.evaluate --task {self.task} --version {self.name}{data}{place}",
            f"python -m tweetelm.registry show {self.task} {self.name}{place}",
            f"python -m serve --registry {registry}",
        ]
