"""Plans the steps of a run before it starts: language modeling first, if requested, then classification."""

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from tweetelm.config.train_config import TrainConfig
from tweetelm.training.sampler import epoch_steps

PRETRAIN: Literal["pretrain"] = "pretrain"
CLASSIFY: Literal["classify"] = "classify"
PhaseName = Literal["pretrain", "classify"]


@dataclass(frozen=True, kw_only=True)
class Phase:
    """Consecutive steps with one objective and one learning-rate schedule.

    Attributes:
        name: the objective.
        start: steps of the run before this phase.
        steps: rows of each step.
        ends: number of finished steps of this phase at the end of each epoch.
        peak: learning rate after warm-up.
        mode: which weights are trained, see `OptimConfig.mode`.
        average_after: step of the run after which the weights are averaged.
    """

    name: PhaseName
    start: int
    steps: list[list[int]]
    ends: list[int]
    peak: float
    mode: str
    average_after: float = math.inf

    @property
    def end(self) -> int:
        """Finished steps of the run at the end of this phase."""
        return self.start + len(self.steps)

    def epoch(self, step: int) -> float:
        """Finished epochs of this phase after `step` of its steps, as a fraction."""
        start = 0
        for number, end in enumerate(self.ends):
            if step <= end:
                return number + (step - start) / (end - start)
            start = end
        return float(len(self.ends))


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All phases of a run, in order."""

    phases: tuple[Phase, ...]

    @property
    def total(self) -> int:
        """Optimizer steps of the whole run."""
        return self.phases[-1].end

    def phase(self, step: int) -> Phase:
        """The phase of the run after `step` finished steps; the last phase if the run is over."""
        return next((phase for phase in self.phases if step < phase.end), self.phases[-1])


def plan(lengths: list[int], config: TrainConfig, unlabeled: Sequence[int] = ()) -> Plan:
    """Plan a run over rows of the given lengths in tokens; language modeling also reads unlabeled tweets.

    Epoch numbers continue across phases, so that every epoch has its own order of rows.
    """
    before, loop = config.pretrain.epochs, config.loop
    phases: list[Phase] = []
    if before:
        steps, ends = _epochs([*lengths, *unlabeled], config, range(before))
        mode = "lora" if config.optim.mode == "lora" else "full"
        phases.append(
            Phase(name=PRETRAIN, start=0, steps=steps, ends=ends, peak=config.pretrain_rate, mode=mode)
        )
    steps, ends = _epochs(lengths, config, range(before, before + loop.epochs))
    start, peak = (phases[-1].end if phases else 0), config.learning_rate
    last = max(1, round(loop.average * len(steps))) if loop.average else -math.inf
    phases.append(
        Phase(
            name=CLASSIFY,
            start=start,
            steps=steps,
            ends=ends,
            peak=peak,
            mode=config.optim.mode,
            average_after=start + len(steps) - last,
        )
    )
    return Plan(phases=tuple(phases))


def _epochs(lengths: list[int], config: TrainConfig, epochs: range) -> tuple[list[list[int]], list[int]]:
    loop, steps, ends = config.loop, list[list[int]](), list[int]()
    for epoch in epochs:
        steps += epoch_steps(lengths, batch_tokens=loop.batch_tokens, seed=loop.seed, epoch=epoch)
        ends.append(len(steps))
    return steps, ends
