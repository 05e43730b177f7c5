import dataclasses

from tests.support.fakes import BASE, card
from tweetelm.registry.compare import differences, measures


def test_the_same_card_differs_in_nothing() -> None:
    assert differences(card(), card()) == []
    assert all(row[3] == "+0" for row in measures(card(), card()))


def test_differing_settings_are_compared_by_name() -> None:
    a, b = card(), card(base={**BASE, "name": "openelm-450m"}, libraries={"torch": "2.14"}, temperature=1.5)
    b = dataclasses.replace(b, config={**b.config, "optim": {**b.config["optim"], "lr": 1e-3}})
    rows = {name: (left, right) for name, left, right in differences(a, b)}
    assert rows.keys() >= {"config.optim.lr", "base.name", "temperature", "libraries.torch"}
    assert rows["base.name"] == ("openelm-270m", "openelm-450m")
    assert rows["config.optim.lr"][1] == "0.001"
    assert rows["temperature"] == ("1", "1.5")
    assert rows["libraries.python"][1] == "–"
    assert "base.source" not in rows


def _validation(value: float) -> dict[str, float]:
    return {"accuracy": 0.1, "macro_f1": value}


def test_metrics_stand_side_by_side_the_headline_first() -> None:
    a, b = (
        card(metrics={"test": {"n": 4, "macro_f1": 0.5}, "validation": _validation(v)}) for v in (0.7, 0.75)
    )
    b.metrics["test"]["groups"] = {"gpt2": {"accuracy": 0.25}}
    rows = measures(a, b)
    assert rows[0] == ("validation.macro_f1", "0.7", "0.75", "+0.05")
    assert rows[1] == ("test.macro_f1", "0.5", "0.5", "+0")
    assert ("test.groups.gpt2.accuracy", "–", "0.25", "") in rows
