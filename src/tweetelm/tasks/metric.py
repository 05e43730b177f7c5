"""Names of headline metrics: `macro_f1`, `accuracy`, `macro_recall`, `f1:LABEL`, `mean_f1:LABEL,LABEL`."""

from collections.abc import Sequence

OF_ALL = ("macro_f1", "accuracy", "macro_recall")
OF_SOME = ("f1", "mean_f1")
FORMS = "macro_f1, accuracy, macro_recall, f1:LABEL or mean_f1:LABEL,LABEL"


NAMES = {"macro_f1": "macro-F1", "accuracy": "accuracy", "auroc": "AUROC", "macro_recall": "macro recall"}
ALWAYS = ("macro_f1", "accuracy", "auroc")  # shown for every task


def metric_name(metric: str) -> str:
    """A metric in words, such as `macro-F1` or `F1 of irony`."""
    kind, _, named = metric.partition(":")
    labels = ", ".join(each.strip() for each in named.split(","))
    return NAMES.get(metric) or {"f1": f"F1 of {labels}", "mean_f1": f"mean F1 of {labels}"}[kind]


def shown_metrics(metric: str) -> dict[str, str]:
    """Names in words of the metrics that are shown for a task with this headline metric, which is first if
    it is not one of those that are always shown."""
    own = () if metric in ALWAYS else (metric,)
    return {name: metric_name(name) for name in (*own, *ALWAYS)}


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
