"""A report context of a model with known predictions."""

from typing import Any

from datasets import DatasetDict

from tests.support.fakes import FakeProvenance, ShoutPredictor, dataset
from tweetelm.evaluation.evaluate import evaluate
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.document import Interval, Table
from tweetelm.tasks import HATE, Task

HATE_ROWS = dataset(
    HATE,
    train=[("You there", 0), ("GO home", 1), ("go   HOME", 0), ("see http://a.b", 0)],
    validation=[("peace", 0), ("WAR", 1), ("so SO", 1), ("GO AWAY now", 1)],
    test=[
        ("You there", 0),
        ("GO home", 0),
        ("see https://c.d", 0),
        ("@me STOP IT", 1),
        ("FINE", 0),
        ("new", 1),
    ],
)


def report_context(rows: DatasetDict = HATE_ROWS, task: Task = HATE, **changes: Any) -> ReportContext:
    splits = [name for name in rows if name != "train"]
    made = evaluate(ShoutPredictor(task), rows, splits)
    return ReportContext(evaluation=made, dataset=rows, provenance=FakeProvenance(), **changes)


def rows_of(table: Table) -> dict[Any, tuple[Any, ...]]:
    """Rows by their first cell; intervals are replaced by their values."""
    plain = [[cell.value if isinstance(cell, Interval) else cell for cell in row] for row in table.rows]
    return {row[0]: tuple(row[1:]) for row in plain}
