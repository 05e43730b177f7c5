"""Builds a model's report and writes its files. The same input gives the same bytes.

No file contains a tweet's text.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tweetelm.evaluation.report.context import ReportContext
from tweetelm.evaluation.report.document import Document, Section
from tweetelm.evaluation.report.html import render_html
from tweetelm.evaluation.report.markdown import render_markdown
from tweetelm.evaluation.report.paired_errors import errors_file, paired_errors, write_errors
from tweetelm.evaluation.report.plots import standalone
from tweetelm.evaluation.report.prediction_files import write_records
from tweetelm.evaluation.report.sections.calibration import calibration
from tweetelm.evaluation.report.sections.comparison import comparison
from tweetelm.evaluation.report.sections.errors import bias, worst_errors
from tweetelm.evaluation.report.sections.headline import headline
from tweetelm.evaluation.report.sections.provenance import lineage
from tweetelm.evaluation.report.sections.shift import shift
from tweetelm.evaluation.report.sections.slices import overlap, parts
from tweetelm.evaluation.report.sections.splits import held_out, side_by_side
from tweetelm.files import atomic

SECTIONS: tuple[Callable[[ReportContext], Section | None], ...] = (
    headline,
    comparison,
    side_by_side,
    held_out,
    overlap,
    parts,
    shift,
    calibration,
    bias,
    worst_errors,
)


def report(context: ReportContext, probes: Sequence[Section] = ()) -> Document:
    """The report as a document.

    Args:
        context: evaluation, data and card.
        probes: sections that need the model itself, such as attributions; they come before the lineage.
    """
    version = f" {context.evaluation.version}" if context.evaluation.version else ""
    found = (section(context) for section in SECTIONS)
    return Document(
        title=f"{context.task.name}{version}: evaluation",
        notices=context.notices,
        sections=(*(section for section in found if section), *probes, lineage(context)),
    )


def write(context: ReportContext, folder: Path, probes: Sequence[Section] = ()) -> Document:
    """Write metrics.json, predictions and the report into `folder`, which is created if it does not exist.

    With a rival, also the rows on which one of the two errs.

    Existing files with the same names are replaced. `publish(evaluation=folder)` publishes them.
    """
    folder.mkdir(parents=True, exist_ok=True)
    write_records(context.evaluation, folder, context.provenance.md5, context.notices)
    if context.rival:
        errors = paired_errors(context.result, context.rival.predicted)
        write_errors(errors, folder / errors_file(context.final))
    document = report(context, probes)
    for name, text in document_files(document).items():
        atomic.write_text(folder / name, text)
    return document


def document_files(document: Document) -> dict[str, str]:
    """File contents by name: `report.json`, `.md` and `.html`, and the figures that the Markdown links to."""
    content = json.dumps(document.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    pages = {"json": content, "md": render_markdown(document), "html": render_html(document)}
    figures = [figure for section in document.sections for figure in section.figures]
    drawings = {f"{figure.name}.svg": standalone(figure.svg) for figure in figures}
    return {f"report.{ending}": text for ending, text in pages.items()} | drawings
