import json
import re

from serve.observability.metrics import METRICS
from tests.support.places import ROOT

DASHBOARD = json.loads((ROOT / "serve" / "observability" / "grafana.json").read_text())
EXPRESSIONS = [target["expr"] for panel in DASHBOARD["panels"] for target in panel["targets"]]


def test_dashboard_shows_exactly_the_metrics() -> None:
    drawn = set()
    for name in re.findall(r"ray_(tweetelm_\w+)", " ".join(EXPRESSIONS)):
        drawn.add(name if name in METRICS else re.sub(r"_(bucket|sum|count)$", "", name))
    assert drawn == set(METRICS)


def test_dashboard_labels_exist() -> None:
    for expression in EXPRESSIONS:
        labels = {label for name in re.findall(r"ray_(tweetelm_\w+)", expression) for label in _labels(name)}
        used = {label.strip() for by in re.findall(r"by \(([^)]*)\)", expression) for label in by.split(",")}
        assert used <= labels | {"replica", "le"}, expression


def _labels(name: str) -> tuple[str, ...]:
    return METRICS[name if name in METRICS else re.sub(r"_(bucket|sum|count)$", "", name)].labels


def test_panels_do_not_overlap() -> None:
    positions = [(panel["gridPos"]["x"], panel["gridPos"]["y"]) for panel in DASHBOARD["panels"]]
    assert len(set(positions)) == len(positions) == 13
