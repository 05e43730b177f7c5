"""Settings of distillation: a small model learns the probabilities of a published one."""

from dataclasses import dataclass

from tweetelm.config.checks import check_tweet_files, require
from tweetelm.files.names import is_name


@dataclass(frozen=True, kw_only=True)
class DistillConfig:
    """Learning from a published version, the teacher (arXiv 1503.02531)."""

    teacher: str | None = None
    """Published version of the same task in --run.registry, such as 20261129-95171a. It answers every
    training tweet once, before training; --run.storage keeps the answers."""
    temperature: float = 2.0
    """Divides the log-probabilities of teacher and student; above 1, unlikely labels weigh more."""
    weight: float = 0.7
    """Share of the teacher in the loss of a labeled tweet; the label has the rest. Tweets without a label
    have the teacher only."""
    text: tuple[str, ...] = ()
    """Files of unlabeled tweets that the teacher answers too (paths, patterns, URLs), as in --pretrain.text
    above. Tweets of validation or test and duplicates are left out."""
    column: str = "text"
    """Column of the tweet in these files; text files have none."""

    def __post_init__(self) -> None:
        require(
            self.teacher is None or is_name(self.teacher),
            f"distill.teacher is {self.teacher!r}; expected the name of a published version, such as "
            "20261129-95171a: `tweetelm registry list` prints them",
        )
        require(
            0 < self.temperature < float("inf"),
            f"distill.temperature is {self.temperature}; expected a positive number such as 2",
        )
        require(
            0 < self.weight <= 1,
            f"distill.weight is {self.weight}; expected a share above 0 and at most 1, or omit the teacher",
        )
        check_tweet_files(self, "distill.")
