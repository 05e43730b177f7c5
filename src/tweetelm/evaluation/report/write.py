"""A model's report: its sections in order, and the files they are written to. Same evidence, same bytes.

No file holds a tweet's text.
"""

import json
from collections.abc import Callable, Sequence
from pathlib import Path

from tweetelm.evaluation.report.context import Evidence
from tweetelm.evaluation.report.document import Document, Section
from tweetelm.evaluation.report.html import render_html
from tweetelm.evaluation.report.markdown import render_markdown
from tweetelm.evaluation.report.predictions import write_records
from tweetelm.evaluation.report.sections.calibration import calibration
from tweetelm.evaluation.report.sections.errors import bias, worst_errors
from tweetelm.evaluation.report.sections.headline import comparison, headline
from tweetelm.evaluation.report.sections.lineage import lineage
from tweetelm.evaluation.report.sections.shift import shift
from tweetelm.evaluation.report.sections.slices import overlap, parts
from tweetelm.evaluation.report.sections.splits import held_out, side_by_side
from tweetelm.files import atomic

SECTIONS: tuple[Callable[[Evidence], Section | None], ...] = (
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


def report(evidence: Evidence, probes: Sequence[Section] = ()) -> Document:
    """The document.

    Args:
        evidence: what the predictions show.
        probes: sections that needed the model itself, such as attributions; they stand before the lineage.
    """
    version = f" {evidence.evaluation.version}" if evidence.evaluation.version else ""
    found = (section(evidence) for section in SECTIONS)
    return Document(
        title=f"{evidence.task.name}{version}: evaluation",
        notices=evidence.notices,
        sections=(*(section for section in found if section), *probes, lineage(evidence)),
    )


def write(evidence: Evidence, folder: Path, probes: Sequence[Section] = ()) -> Document:
    """Write metrics.json, predictions and the report into `folder`, made if need be; files of the same names
    are replaced. `publish(evaluation=folder)` takes them along."""
    folder.mkdir(parents=True, exist_ok=True)
    write_records(evidence.evaluation, folder, evidence.provenance.md5, evidence.notices)
    document = report(evidence, probes)
    for name, text in document_files(document).items():
        atomic.write_text(folder / name, text)
    return document


def document_files(document: Document) -> dict[str, str]:
    """`report.json`, `.md` and `.html`, and the figures that the Markdown refers to: texts by file name."""
    content = json.dumps(document.to_dict(), indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    pages = {"json": content, "md": render_markdown(document), "html": render_html(document)}
    figures = [figure for section in document.sections for figure in section.figures]
    drawings = {f"{figure.name}.svg": figure.svg for figure in figures}
    return {f"report.{ending}": text for ending, text in pages.items()} | drawings
