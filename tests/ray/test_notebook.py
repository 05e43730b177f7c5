"""The notebook of the docs runs from top to bottom in a fresh kernel, with a real endpoint."""

import nbformat
import pytest

from tools.notebook import TOUR, executed, results

pytestmark = [pytest.mark.ray, pytest.mark.slow]


def test_the_notebook_runs_and_serves_what_it_published() -> None:
    found = results(executed(TOUR))
    assert found[-2].endswith("True)")  # over HTTP: the probabilities of the loaded model
    assert found[-1] == "0"  # the server ended
    assert sum(each.startswith("FineTuned(hate-scratch-1m-") for each in found) == 2
    assert any(each.startswith("Comparison(macro_f1 ") for each in found)


def test_the_committed_notebook_has_small_outputs() -> None:
    stored = nbformat.read(TOUR, as_version=4)
    assert TOUR.stat().st_size < 40_000
    assert "" not in results(stored)
