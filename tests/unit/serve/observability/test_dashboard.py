import json
import re

from serve.observability.metrics import METRICS
from tests.support.places import ROOT

DASHBOARD = json.loads((ROOT / "serve" / "observability" / "grafana.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_every_number_drawn_is_one_that_is_kept_and_every_one_kept_is_drawn() -> None:
    drawn = set()
    for name in re.findall(r"ray_(tweetelm_\w+)", " ".join(EXPRESSIONS)):
        drawn.add(name if name in METRICS else re.sub(r"_(bucket|sum|count)$", "", name))
    assert drawn == set(METRICS)


def test_every_label_asked_for_is_one_that_the_metric_has() -> None:
    for expression in EXPRESSIONS:
        labels = {label for name in re.findall(r"ray_(tweetelm_\w+)", expression) for label in _labels(name)}
        asked = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")}
        assert asked <= labels | {"replica", "le"}, expression


def _labels(name: str) -> tuple[str, ...]:
    return METRICS[name if name in METRICS else re.sub(r"_(bucket|sum|count)$", "", name)].labels


def test_panels_do_not_overlap() -> None:
    places = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(places)) == len(places) == 12
