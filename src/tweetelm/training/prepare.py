"""From a configuration to what the workers need: encoded rows, a tokenizer, the base model."""

from dataclasses import dataclass

from tweetelm.config.train_config import TrainConfig
from tweetelm.data import Provenance
from tweetelm.encoding import Encoder
from tweetelm.openelm import OpenELMConfig
from tweetelm.openelm.checkpoints.hub import Checkpoint
from tweetelm.openelm.flops import Cost, cost
from tweetelm.training.base_model import find_base_model
from tweetelm.training.rows import Rows
from tweetelm.training.training_data import read_training_data


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """What the workers need. The driver makes it once, before any of them starts.

    Attributes:
        train: encoded training rows.
        validation: encoded validation rows.
        tokenizer: the text of a tokenizer.json.
        architecture: the model's configuration, before it becomes a classifier.
        cost: parameters, memory and arithmetic of the model.
        base: the pretrained weights; None where weights are random.
        head: why the checkpoint's classifier is replaced by a new one; empty if it is not.
        provenance: which files the rows come from.
        left_out: training rows that were dropped, by reason.
    """

    train: Rows
    validation: Rows
    tokenizer: str
    architecture: OpenELMConfig
    cost: Cost
    base: Checkpoint | None
    head: str = ""
    provenance: Provenance
    left_out: dict[str, int]


def prepare(config: TrainConfig, *, weights: bool = True) -> Prepared:
    """Read and check the data, find tokenizer and weights, encode.

    `weights=False` plans a run: pretrained weights are neither downloaded nor checked.

    Raises:
        FileNotFoundError: data, weights or tokenizer are missing.
        ValueError: one of them is damaged or does not fit the others.
    """
    data = read_training_data(config)
    model = find_base_model(config, data.train["text"], weights=weights)
    encoder = Encoder(tokenizer=model.tokenizer, text=config.text, max_tokens=config.model.max_tokens)
    return Prepared(
        train=Rows.of(encoder.encode(data.train["text"]), data.labels),
        validation=Rows.of(encoder.encode(data.validation["text"]), data.validation["label"]),
        tokenizer=model.tokenizer.to_str(),
        architecture=model.architecture,
        cost=cost(model.architecture),
        base=model.checkpoint,
        head=model.head,
        provenance=data.provenance,
        left_out=data.left_out,
    )
