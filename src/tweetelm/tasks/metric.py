"""Names of headline metrics: `macro_f1`, `accuracy`, `macro_recall`, `f1:LABEL`, `mean_f1:LABEL,LABEL`."""

from collections.abc import Sequence

OF_ALL = ("macro_f1", "accuracy", "macro_recall")
OF_SOME = ("f1", "mean_f1")
FORMS = "macro_f1, accuracy, macro_recall, f1:LABEL or mean_f1:LABEL,LABEL"


def parse_metric(metric: str, labels: Sequence[str]) -> tuple[str, tuple[int, ...]]:
    """A metric's kind, and the ids of the labels that it averages over.

    Raises:
        ValueError: the name has none of the forms, or names an unknown label.
    """
    kind, colon, named = metric.partition(":")
    if metric in OF_ALL:
        return metric, tuple(range(len(labels)))
    chosen = [each.strip() for each in named.split(",")] if kind == "mean_f1" else [named.strip()]
    if kind not in OF_SOME or not colon or not named.strip():
        raise ValueError(f"metric is {metric!r}; expected {FORMS}")
    if unknown := [each for each in chosen if each not in labels]:
        raise ValueError(
            f"metric is {metric!r}, but {', '.join(map(repr, unknown))} is no label; expected labels of "
            f"{', '.join(labels)}"
        )
    return kind, tuple(labels.index(each) for each in chosen)
