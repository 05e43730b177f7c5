"""Provenance of model and results, and the command that reproduces the model."""

from tweetelm.data.mix.lineage import MixLineage
from tweetelm.evaluation.bootstrap import RESAMPLES, SEED
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.document import Cell, Section, Table
from tweetelm.registry.model_card import reproduce


def lineage(context: ReportContext) -> Section:
    """Provenance of data, model and code."""
    source, card = context.provenance, context.card
    rows: list[tuple[Cell, Cell]] = [
        ("data", context.task.dataset if not source.synthetic else "synthetic sample"),
        ("data md5", source.md5),
        *((f"{split} rows", count) for split, count in source.rows.items()),
        *_mix(source.mix),
        ("temperature", context.evaluation.temperature),
        ("threshold", context.evaluation.threshold),
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
        text.append(f"To train the same model: `{reproduce(card.config)}`")
    table = Table(columns=("item", "value"), rows=tuple(rows), caption="Data, model and code.")
    return Section(title="Provenance", text=tuple(text), tables=(table,))


def _mix(mix: MixLineage | None) -> list[tuple[Cell, Cell]]:
    """The recipe and the parts of a mixed dataset."""
    if mix is None:
        return []
    parts = {f"base {name}": md5 for name, md5 in mix.base.items()}
    parts |= {f"part {name}": digest for name, digest in mix.parts.items()}
    return [("dataset version", mix.version), ("recipe sha256", mix.recipe), *parts.items()]
