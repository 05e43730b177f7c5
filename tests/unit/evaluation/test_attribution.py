import dataclasses
from pathlib import Path

import pytest
import torch

from tests.support.checkpoints import TWEETS, checkpoint
from tests.support.fakes import FakeProvenance, dataset
from tweetelm.evaluation.attribution import attribute, attributed, attributions, load_differentiable
from tweetelm.evaluation.evaluate import evaluate
from tweetelm.evaluation.report.context import ReportContext
from tweetelm.predictor import Predictor
from tweetelm.tasks import HATE

pytest.importorskip("captum", reason="captum is an extra: pip install captum")


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return checkpoint(tmp_path_factory.mktemp("checkpoint"), head=1.0)


def test_the_tokens_scores_sum_to_the_change_of_the_log_odds(folder: Path) -> None:
    model, encoder = load_differentiable(folder)
    for one in encoder.encode([TWEETS[2], TWEETS[6]]):
        found = attribute(model, one.ids, steps=100)
        logits = Predictor.load(folder, precision="float32").logits([one])[0]
        with torch.no_grad():
            start = model(input_ids=torch.full((1, len(one.ids)), one.ids[0]), use_cache=False).logits[0]
        change = float((logits[1] - logits[0]) - (start[1] - start[0]))
        assert len(found.scores) == len(one.ids)
        assert found.change == pytest.approx(change, abs=1e-4)
        assert sum(found.scores) == pytest.approx(change, abs=0.02 * abs(change) + 1e-3)
        assert found.error == pytest.approx(abs(sum(found.scores) - change), abs=1e-3)


def test_first_token_has_zero_attribution(folder: Path) -> None:
    model, encoder = load_differentiable(folder)
    scores = attribute(model, encoder.encode(["the cat took the biscuit"])[0].ids).scores
    assert scores[0] == 0
    assert max(map(abs, scores[1:])) > 1e-3


def test_the_stored_section_has_positions_and_no_token(folder: Path) -> None:
    rows = dataset(HATE, test=[(text, i % 2) for i, text in enumerate(TWEETS[2:])])
    made = evaluate(Predictor.load(folder, precision="float32"), rows, ["test"])
    context = ReportContext(evaluation=made, dataset=rows, provenance=FakeProvenance())
    found = attributed(*load_differentiable(folder), context)
    assert found
    assert "".join(found[0].pieces[1:])  # there are tokens to print
    section = attributions(found, context)
    assert {type(cell) for table in section.tables for row in table.rows for cell in row[1:]} == {int, float}
    assert len(section.tables[0].rows) == sum(min(6, len(one.pieces)) for one in found)


def test_many_labels_count_toward_the_predicted_one(tmp_path: Path) -> None:
    """The change is that of log P / (1 - P) of the predicted label, against the baseline."""
    task = dataclasses.replace(HATE, name="three", labels=("a", "b", "c"), suite=None, moderation=())
    folder = checkpoint(tmp_path / "three", task, head=1.0)
    model, encoder = load_differentiable(folder)
    (one,) = encoder.encode([TWEETS[2]])
    with torch.no_grad():
        tweet = model(input_ids=torch.tensor([list(one.ids)]), use_cache=False).logits[0].softmax(-1)
        start = (
            model(input_ids=torch.full((1, len(one.ids)), one.ids[0]), use_cache=False).logits[0].softmax(-1)
        )
    label = int(tweet.argmax())
    change = torch.logit(tweet[label]) - torch.logit(start[label])
    assert attribute(model, one.ids).change == pytest.approx(float(change), abs=1e-4)
