"""Prepares a run on the driver: encoded rows, tokenizer, base model."""

from dataclasses import dataclass

from tweetelm.config.train_config import TrainConfig
from tweetelm.data import Provenance
from tweetelm.encoding import Encoder
from tweetelm.files.origin import read_origin
from tweetelm.openelm import OpenELMConfig
from tweetelm.openelm.checkpoints.hub import Checkpoint
from tweetelm.openelm.flops import Cost, cost
from tweetelm.training.base_model import find_base_model
from tweetelm.training.encoded_rows import NO_LABEL, Rows, Tweets
from tweetelm.training.training_data import read_training_data


@dataclass(frozen=True, kw_only=True)
class Prepared:
    """The input of the workers. The driver makes it once, before the workers start.

    Attributes:
        train: encoded training rows, then the tweets of `distill.text`, without labels.
        validation: encoded validation rows.
        unlabeled: encoded unlabeled tweets for language modeling; None if there are none.
        tokenizer: the content of tokenizer.json.
        architecture: the model's configuration, without the classifier's settings.
        cost: parameters, memory and FLOPs of the model.
        base: the pretrained weights; None if weights are random.
        origin: the origin.json of an imported base model.
        head: why a new classifier replaces the checkpoint's; empty if it does not.
        provenance: the files that the rows come from, with their hash.
        left_out: number of dropped training rows by reason.
        questions: the texts of `train`, in order, until a teacher has answered them; else empty.
        teacher: `version` and `content`, name and digest of the teacher's version; None without one.
    """

    train: Rows
    validation: Rows
    unlabeled: Tweets | None = None
    tokenizer: str
    architecture: OpenELMConfig
    cost: Cost
    base: Checkpoint | None
    origin: dict[str, str] | None = None
    head: str = ""
    provenance: Provenance
    left_out: dict[str, int]
    questions: tuple[str, ...] = ()
    teacher: dict[str, str] | None = None


def prepare(config: TrainConfig, *, weights: bool = True) -> Prepared:
    """Read and check the data, find tokenizer and weights, and encode the rows.

    `weights=False` plans a run: pretrained weights are neither downloaded nor checked.

    Raises:
        FileNotFoundError: data, weights or tokenizer are missing.
        ValueError: data, weights or tokenizer are damaged, or tokenizer and weights do not match.
    """
    data = read_training_data(config)
    model = find_base_model(config, data.train["text"], weights=weights)
    texts = [*data.train["text"], *data.distilled]
    encoder = Encoder(tokenizer=model.tokenizer, text=config.text, max_tokens=config.model.max_tokens)
    return Prepared(
        train=Rows.of(encoder.encode(texts), [*data.labels, *[NO_LABEL] * len(data.distilled)]),
        validation=Rows.of(encoder.encode(data.validation["text"]), data.validation["label"]),
        unlabeled=Tweets.encoded(encoder.encode(data.unlabeled)) if data.unlabeled else None,
        tokenizer=model.tokenizer.to_str(),
        architecture=model.architecture,
        cost=cost(model.architecture),
        base=model.checkpoint,
        origin=read_origin(model.checkpoint.folder) if model.checkpoint else None,
        head=model.head,
        provenance=data.provenance,
        left_out=data.left_out,
        questions=tuple(texts) if config.distill.teacher else (),
    )
