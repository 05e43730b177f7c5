"""The sequence classifier: the logits of a tweet do not depend on the layout of the batch."""

import random
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor, nn
from transformers import AutoModelForSequenceClassification

from tests.support.openelm_models import TWEETS, checkpoint_activations, classifier, language_model, pad
from tweetelm.openelm import OpenELMForSequenceClassification
from tweetelm.openelm.packing import pack

CLOSE = {"rtol": 0.0, "atol": 1e-5}
LABELS = torch.tensor([0, 2, 1, 1, 0])
both_poolings = pytest.mark.parametrize("pooling", ["last", "mean"])


def alone(model: OpenELMForSequenceClassification) -> Tensor:
    """(B, K) logits of the tweets, each run in its own pass without padding."""
    return torch.cat([model(input_ids=torch.tensor([tweet])).logits for tweet in TWEETS])


def gradients(model: nn.Module, inputs: dict[str, Any]) -> dict[str, Tensor]:
    model.zero_grad()
    model(**inputs, labels=LABELS).loss.backward()
    return {name: p.grad.clone() for name, p in model.named_parameters() if p.grad is not None}


@both_poolings
@pytest.mark.parametrize("implementation", ["sdpa", "eager", "varlen"])
def test_packed_padded_and_alone_agree(implementation: str, pooling: str) -> None:
    model = classifier(implementation, classifier_pooling=pooling)
    expected = alone(classifier("eager", classifier_pooling=pooling))
    assert expected.std() > 0.3
    torch.testing.assert_close(alone(model), expected, **CLOSE)
    torch.testing.assert_close(model(**pack(TWEETS).inputs()).logits, expected, **CLOSE)
    for side in ("left", "right"):
        torch.testing.assert_close(model(**pad(TWEETS, side)).logits, expected, **CLOSE)


def test_pad_token_replaces_a_missing_mask() -> None:
    model = classifier("sdpa", pad_token_id=63)
    ids = pad(TWEETS, "right", pad_id=63)["input_ids"]
    torch.testing.assert_close(model(input_ids=ids).logits, alone(model), **CLOSE)


@pytest.mark.parametrize("pad_id", [0, 7, 63])
def test_what_stands_at_padded_places_does_not_matter(pad_id: int) -> None:
    model = classifier("sdpa")
    torch.testing.assert_close(model(**pad(TWEETS, "left", pad_id)).logits, alone(model), **CLOSE)


def test_last_token_shortcut_equals_full_computation() -> None:
    model = classifier()
    inputs = pack(TWEETS).inputs()
    rows: list[int] = []
    watch = model.transformer.layers[-1].ffn.register_forward_pre_hook(
        lambda _, args: rows.append(args[0].shape[1])
    )
    short, short_gradients = model(**inputs).logits, gradients(model, inputs)
    whole = model(**inputs, output_hidden_states=True).logits
    whole_gradients = gradients(model, inputs | {"output_hidden_states": True})
    watch.remove()
    assert rows == [5, 5, 21, 21]
    torch.testing.assert_close(short, whole, **CLOSE)
    assert short_gradients.keys() == whole_gradients.keys()
    for name, gradient in whole_gradients.items():
        torch.testing.assert_close(short_gradients[name], gradient, **CLOSE)


@both_poolings
@pytest.mark.parametrize("seed", [1, 2, 3])
def test_the_order_of_tweets_in_a_packed_row_does_not_matter(pooling: str, seed: int) -> None:
    model = classifier(classifier_pooling=pooling)
    order = random.Random(seed).sample(range(len(TWEETS)), len(TWEETS))
    ordered = model(**pack(TWEETS).inputs(), labels=LABELS)
    shuffled = model(**pack([TWEETS[i] for i in order]).inputs(), labels=LABELS[order])
    torch.testing.assert_close(shuffled.logits, ordered.logits[order], **CLOSE)
    torch.testing.assert_close(shuffled.loss, ordered.loss, **CLOSE)


def test_splitting_a_row_in_two_does_not_change_the_summed_loss() -> None:
    model = classifier()
    whole = model(**pack(TWEETS).inputs(), labels=LABELS).loss * 5
    first = model(**pack(TWEETS[:2]).inputs(), labels=LABELS[:2]).loss * 2
    rest = model(**pack(TWEETS[2:]).inputs(), labels=LABELS[2:]).loss * 3
    torch.testing.assert_close(first + rest, whole, **CLOSE)


def test_gradient_checkpointing_gives_the_same_gradients() -> None:
    inputs = pack(TWEETS).inputs()
    plain = gradients(classifier().train(), inputs)
    model = classifier().train()
    checkpoint_activations(model)
    checkpointed = gradients(model, inputs)
    assert plain.keys() == checkpointed.keys()
    for name, gradient in plain.items():
        torch.testing.assert_close(checkpointed[name], gradient, **CLOSE)


def test_the_loss_is_the_mean_cross_entropy() -> None:
    model = classifier()
    out = model(**pack(TWEETS).inputs(), labels=LABELS)
    assert out.logits.shape == (5, 3)
    torch.testing.assert_close(out.loss, nn.functional.cross_entropy(out.logits, LABELS), **CLOSE)
    assert model.accepts_loss_kwargs is False  # the Trainer divides the loss when it accumulates steps


def test_several_labels_for_a_tweet_use_binary_cross_entropy() -> None:
    model = classifier(problem_type="multi_label_classification")
    labels = torch.eye(3)[LABELS]
    out = model(**pack(TWEETS).inputs(), labels=labels)
    expected = nn.functional.binary_cross_entropy_with_logits(out.logits, labels)
    torch.testing.assert_close(out.loss, expected, **CLOSE)


def test_dropout_acts_in_training_alone() -> None:
    model = classifier(classifier_dropout=0.5)
    inputs = pack(TWEETS).inputs()
    still = classifier()(**inputs).logits
    torch.testing.assert_close(model(**inputs).logits, still, **CLOSE)
    assert not torch.allclose(model.train()(**inputs).logits, still, atol=1e-2)


def test_no_cache_is_built_unless_asked_for() -> None:
    model = classifier("sdpa")
    batch = pad(TWEETS, "right")
    assert model(**batch).past_key_values is None
    assert model(**batch, use_cache=True).past_key_values.get_seq_length() == 8


class LowRank(nn.Linear):
    """A fake adapter: a linear layer that adds a low-rank term to its output."""

    def __init__(self, base: nn.Linear) -> None:
        super().__init__(base.in_features, base.out_features, bias=False)
        self.weight = base.weight
        self.down = nn.Linear(base.in_features, 2, bias=False)
        self.up = nn.Linear(2, base.out_features, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        return super().forward(x) + self.up(self.down(x))


def test_an_adapter_on_the_last_layer_is_not_bypassed() -> None:
    model = classifier()
    before = model(**pack(TWEETS).inputs()).logits
    attention = model.transformer.layers[-1].attn
    attention.qkv_proj = LowRank(attention.qkv_proj)
    packed = model(**pack(TWEETS).inputs()).logits
    assert (packed - before).abs().max() > 1e-2
    torch.testing.assert_close(packed, alone(model), **CLOSE)


def test_saving_and_loading_changes_nothing(tmp_path: Path) -> None:
    model = classifier(id2label={0: "a", 1: "b", 2: "c"})
    model.save_pretrained(tmp_path)
    loaded = AutoModelForSequenceClassification.from_pretrained(tmp_path, attn_implementation="varlen").eval()
    assert type(loaded) is OpenELMForSequenceClassification
    assert loaded.config.id2label == {0: "a", 1: "b", 2: "c"}
    inputs = pack(TWEETS).inputs()
    assert torch.equal(loaded(**inputs).logits, model(**inputs).logits)


def test_a_language_models_checkpoint_lacks_only_the_score(tmp_path: Path) -> None:
    language_model().save_pretrained(tmp_path)
    _, report = OpenELMForSequenceClassification.from_pretrained(
        tmp_path, num_labels=2, output_loading_info=True
    )
    assert set(report["missing_keys"]) == {"score.weight"}
    assert not report["unexpected_keys"]


def test_bfloat16_weights_give_finite_logits_near_float32() -> None:
    model = classifier()
    exact = model(**pack(TWEETS).inputs()).logits
    rounded = model.to(torch.bfloat16)(**pack(TWEETS).inputs()).logits
    assert torch.isfinite(rounded).all()
    assert (rounded.float() - exact).abs().max() < 0.1 * exact.std()


def test_autocast_leaves_the_score_in_float32() -> None:
    model = classifier()
    with torch.autocast("cpu", dtype=torch.bfloat16):
        out = model(**pack(TWEETS).inputs(), labels=LABELS)
    assert out.logits.dtype == torch.float32
    out.loss.backward()
    assert torch.isfinite(model.score.weight.grad).all()  # type: ignore[arg-type]
