"""Where the model and the numbers come from, and the command that makes them again."""

from tweetelm.evaluation.bootstrap import RESAMPLES, SEED
from tweetelm.evaluation.report.context import Evidence
from tweetelm.evaluation.report.document import Cell, Section, Table
from tweetelm.registry.model_card import reproduce


def lineage(evidence: Evidence) -> Section:
    """Model, data, code."""
    source, card = evidence.provenance, evidence.card
    rows: list[tuple[Cell, Cell]] = [
        ("data", evidence.task.dataset if not source.synthetic else "synthetic sample"),
        ("data md5", source.md5),
        *((f"{split} rows", count) for split, count in source.rows.items()),
        ("temperature", evidence.evaluation.temperature),
        ("threshold", evidence.evaluation.threshold),
        ("resamples", RESAMPLES),
        ("seed of the resamples", str(SEED)),
    ]
    text = []
    if card is not None:
        rows += [("base model", card.base["name"]), ("weights", card.base["init"])]
        rows += [("base revision", card.base["revision"]), ("run", card.run)]
        commit = (
            f"{card.git['commit']}{' with local changes' if card.git['dirty'] else ''}" if card.git else None
        )
        rows += [("git commit", commit), *((f"version of {k}", v) for k, v in card.libraries.items())]
        text.append(f"The same model again: `{reproduce(card.config)}`")
    table = Table(columns=("what", "value"), rows=tuple(rows))
    return Section(title="Where this comes from", text=tuple(text), tables=(table,))
