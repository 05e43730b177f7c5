"""The teacher of a run answers the training tweets, as a Ray task, before training."""

import time
from collections.abc import Sequence

from ray_jobs.cli import typed
from ray_jobs.cluster.connect import Resources
from ray_jobs.training.accelerator_task import run_there, task_options
from tweetelm.config.train_config import TrainConfig
from tweetelm.distillation import Answers, answers_folder, ask_teacher, keep_answers, teach
from tweetelm.training.prepare import Prepared

_INTERVAL_S = 10.0


def taught(config: TrainConfig, prepared: Prepared, resources: Resources) -> Prepared:
    """A prepared run with its teacher's answers, if it has a teacher.

    The teacher answers where the accelerator is. Its answers are kept in `run.storage`.

    Raises:
        FileNotFoundError: there is no such version.
        ValueError: the teacher does not suit the run, or a file is damaged.
    """

    name = config.distill.teacher

    def there(texts: Sequence[str]) -> Answers:
        options, threads = task_options(config, resources)
        print(f"teacher {name}: asking about {len(texts):,} tweets", flush=True)
        return run_there(_ask, options, config, texts, threads)

    def kept(texts: Sequence[str]) -> Answers:
        answers, before = keep_answers(config, texts, there)
        there_before = f", {before:,} of them from before" if before else ""
        place = typed(answers_folder(config))
        print(f"teacher {name}: {len(texts):,} answers in {place}{there_before}", flush=True)
        return answers

    return teach(config, prepared, kept)


def _ask(config: TrainConfig, texts: Sequence[str], threads: int) -> Answers:
    import torch
    from transformers.utils.logging import disable_progress_bar

    disable_progress_bar()
    torch.set_num_threads(threads)
    started = shown = time.monotonic()

    def watch(done: int) -> None:
        nonlocal shown
        now = time.monotonic()
        if now - shown > _INTERVAL_S:
            shown = now
            print(f"{done:,} of {len(texts):,} answers, {done / (now - started):.0f} tweets/s", flush=True)

    return ask_teacher(config, texts, watch)
