"""Figures: they are beside their text, have the numbers as text, and are deterministic."""

import dataclasses
import re

from tests.support.fakes import FakeProvenance, card
from tests.support.report import report_context
from tweetelm.evaluation.report.document import Figure, Interval
from tweetelm.evaluation.report.html import render_html
from tweetelm.evaluation.report.interval_plots import Change, Row, bar_figure, change_figure, dot_figure
from tweetelm.evaluation.report.plots import standalone
from tweetelm.evaluation.report.write import document_files, report

ROWS = [
    Row(label="this model", value=Interval(value=0.5, low=0.4, high=0.6), strong=True),
    Row(label="a baseline with a name that is too long for a single line of a phone", value=0.367),
]


def texts(figure: Figure) -> str:
    return " ".join(re.findall(r"<text[^>]*>([^<]*)</text>", figure.svg))


def test_each_section_has_its_figures_in_the_page() -> None:
    document = report(report_context(card=card()))
    figures = {section.title: [figure.name for figure in section.figures] for section in document.sections}
    assert figures["Headline"] == ["headline"]
    assert figures["Validation and test side by side"] == ["confusion-validation", "confusion-test"]
    assert figures["Errors by slice"] == ["slices"]
    assert figures["Calibration and threshold"] == ["reliability", "roc", "precision-recall"]
    page = render_html(document)
    assert page.count("<figure") == page.count("<svg") == sum(map(len, figures.values()))
    first = page[page.index('id="s0"') : page.index("<nav>")]
    assert first.index("<p>") < first.index("<svg") < first.index("<details>")


def test_headline_figure_has_all_published_systems() -> None:
    real = FakeProvenance(synthetic=False)
    context = dataclasses.replace(report_context(), provenance=real)
    figure = report(context).sections[0].figures[0]
    assert all(system.system.split()[0] in texts(figure) for system in context.task.published)


def test_headline_compares_with_a_constant_baseline() -> None:
    context = dataclasses.replace(report_context(), provenance=FakeProvenance(synthetic=True))
    section = report(context).sections[0]
    assert "Baseline (always not-hate): 0.400." in section.text[0]


def test_rows_have_label_number_and_interval_as_text() -> None:
    for figure in (dot_figure("a", "", ROWS, axis="x"), bar_figure("a", "", ROWS, axis="x")):
        assert "this model" in texts(figure)
        assert "0.500 [0.400, 0.600]" in texts(figure)
        assert "0.367" in texts(figure)
    change = change_figure("c", "", [Change(label="word", first=0.1, last=0.2)], axis="x")
    assert "0.100 → 0.200" in texts(change)


def test_same_input_gives_the_same_files() -> None:
    made, again = (document_files(report(report_context(card=card()))) for _ in range(2))
    assert made == again


def test_figures_take_the_text_color_of_the_page() -> None:
    figure = dot_figure("a", "", ROWS, axis="x")
    assert "currentColor" in figure.svg
    assert "#010203" not in figure.svg


def test_figure_files_have_colors_for_light_and_dark() -> None:
    svg = standalone(dot_figure("a", "", ROWS, axis="x").svg)
    assert svg.count("<svg") == svg.count("<style>") == 1
    assert "prefers-color-scheme: dark" in svg
    assert svg.index("<svg") < svg.index("<style>")
