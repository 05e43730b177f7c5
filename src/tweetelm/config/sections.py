"""Settings that determine the trained weights: frozen dataclasses with defaults and help texts."""

from dataclasses import dataclass
from typing import Literal

from tweetelm.config.checks import check_choices, check_rule, check_tweet_files, expand_places, require

SCRATCH = ("scratch-1m", "scratch-4m")  # the presets without published weights


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Training data."""

    root: str = "data"
    """Data folder (`make data` fills it), URL (s3://…) of a copy, which each machine downloads once, or
    `sample` for the embedded synthetic sample."""
    drop_overlap: bool = True
    """Drop training rows whose normalized text is also in validation or test. Test rows are never dropped."""
    limit: int | None = None
    """Use only this many training rows, chosen at random with a fixed seed."""
    shuffle_labels: bool = False
    """Permute the training labels, as a control: validation scores must be at chance level."""
    hold_out: str | None = None
    """Hold out rows of deepfake from training and validation, and report on them separately: account:1/5 (the
    first of five groups of people, with their imitators) or generator:gpt2. Such a model is not promoted."""

    def __post_init__(self) -> None:
        expand_places(self, "root")
        require(
            self.limit is None or self.limit > 0,
            f"data.limit is {self.limit}; expected a positive number of rows",
        )
        if self.hold_out is not None:
            check_rule(self.hold_out)


@dataclass(frozen=True, kw_only=True)
class ModelConfig:
    """Base model and initial weights."""

    name: str = "openelm-270m"
    """A preset (openelm-270m, openelm-450m, smollm2-135m, scratch-1m, scratch-4m; an unknown name prints
    all), a hub id, or a folder or URL (s3://…) with its files."""
    init: Literal["auto", "pretrained", "random"] = "auto"
    """auto: published weights, or random weights for the scratch presets. random: ignore published weights;
    all results are then marked as from random weights."""
    revision: str | None = None
    """Git revision of the hub repository. Default: that of the preset, else main."""
    tokenizer: str | None = None
    """Tokenizer instead of the model's own: a tokenizer.json, a SentencePiece tokenizer.model, a folder or
    URL with either, or a hub id."""
    layers: int | None = None
    """Number of decoder layers to keep, from the first; the final norm is kept too. Default: all layers."""
    max_tokens: int = 256
    """Maximum tokens per tweet, including BOS; longer tweets are truncated."""
    pooling: Literal["last", "mean"] = "last"
    """Pooling of hidden states for the classifier: the last token, or the mean over the tweet."""
    dropout: float = 0.0
    """Dropout on the pooled hidden state."""
    activation_checkpointing: bool = False
    """Recompute activations in the backward pass: less memory, about a third more time."""

    def __post_init__(self) -> None:
        check_choices(self, "model.")
        require(bool(self.name), "model.name is empty; expected a preset, a hub id or a folder")
        expand_places(self, "name", "tokenizer")
        require(0.0 <= self.dropout < 1.0, f"model.dropout is {self.dropout}; expected 0 <= dropout < 1")
        require(
            self.layers is None or self.layers >= 1,
            f"model.layers is {self.layers}; expected at least 1, or omit it to use all layers",
        )
        require(self.max_tokens >= 2, f"model.max_tokens is {self.max_tokens}; expected at least 2")
        require(
            not (self.scratch and self.init == "pretrained"),
            f"{self.name} has no published weights; omit --model.init pretrained, or use an openelm-* preset",
        )

    @property
    def scratch(self) -> bool:
        """Whether the model is a scratch preset, which has no pretrained weights."""
        return self.name in SCRATCH

    @property
    def random(self) -> bool:
        """Whether the initial weights are random."""
        return self.scratch or self.init == "random"


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """The optimizer (AdamW), its schedule, and the loss."""

    mode: Literal["full", "head", "lora"] = "full"
    """full: train all weights. head: train the classifier only. lora: train the classifier and low-rank
    updates of every projection (arXiv 2106.09685), which checkpoints merge into the weights."""
    lora_rank: int = 16
    """Rank of the LoRA updates."""
    lora_alpha: int = 32
    """Scale of the LoRA updates, divided by the rank."""
    lr: float | None = None
    """Peak learning rate. Default: 3e-5 with pretrained weights, 3e-4 with lora, 1e-3 with random weights or
    for the head alone."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Learning-rate decay to zero after warm-up; constant: no decay."""
    warmup: float = 0.1
    """Share of steps with linear warm-up from zero."""
    weight_decay: float = 0.01
    """Decoupled weight decay of matrices; norms have none."""
    beta1: float = 0.9
    """AdamW's first beta."""
    beta2: float = 0.98
    """AdamW's second beta."""
    clip: float = 1.0
    """Maximum gradient norm."""
    layer_decay: float = 1.0
    """Learning-rate factor from each layer to the layer below it."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: weight each class by its inverse frequency in training."""
    label_smoothing: float = 0.0
    """Share of the label that is spread over all labels."""

    def __post_init__(self) -> None:
        check_choices(self, "optim.")
        require(
            self.lr is None or self.lr > 0, f"optim.lr is {self.lr}; expected a positive number such as 3e-5"
        )
        for name, low, high in (
            ("warmup", 0, 1),
            ("label_smoothing", 0, 1),
            ("beta1", 0, 1),
            ("beta2", 0, 1),
            ("weight_decay", 0, float("inf")),
        ):
            value = getattr(self, name)
            require(low <= value < high, f"optim.{name} is {value}; expected {low} <= {name} < {high}")
        require(
            0 < self.layer_decay <= 1,
            f"optim.layer_decay is {self.layer_decay}; expected 0 < layer_decay <= 1",
        )
        require(self.clip > 0, f"optim.clip is {self.clip}; expected a positive gradient norm")
        require(self.lora_rank >= 1, f"optim.lora_rank is {self.lora_rank}; expected at least 1")
        require(self.lora_alpha > 0, f"optim.lora_alpha is {self.lora_alpha}; expected a positive number")


@dataclass(frozen=True, kw_only=True)
class PretrainConfig:
    """Causal language modeling on the training texts, and on unlabeled tweets, before classification."""

    epochs: int = 0
    """Language-modeling epochs; 0 disables. With --optim.mode head, this phase trains all weights."""
    lr: float | None = None
    """Peak learning rate. Default: 3e-5 with pretrained weights, 3e-4 with lora, 1e-3 with random weights."""
    text: tuple[str, ...] = ()
    """Files of unlabeled tweets (paths, patterns, URLs): text with one tweet a line, CSV, TSV, JSON lines,
    Parquet. Tweets of validation or test and duplicates are left out."""
    column: str = "text"
    """Column of the tweet in these files; text files have none."""

    def __post_init__(self) -> None:
        check_tweet_files(self, "pretrain.")
        require(self.epochs >= 0, f"pretrain.epochs is {self.epochs}; expected 0 or more")
        require(
            self.lr is None or self.lr > 0,
            f"pretrain.lr is {self.lr}; expected a positive number such as 3e-5",
        )


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """Training loop: epochs, batch sizes, validation. Batches are counted in tokens, without padding."""

    epochs: int = 3
    """Passes over the training split."""
    batch_tokens: int = 4096
    """Tokens per optimizer step, over all workers."""
    micro_tokens: int | None = None
    """Maximum tokens per forward pass and worker. Limits memory, does not change results. Default: 8192 on a
    GPU, 2048 on a CPU."""
    validate_every: int | None = None
    """Steps between validations. Default: one epoch."""
    checkpoint_every: int | None = None
    """Steps between additional checkpoints; each validation also saves one."""
    patience: int | None = None
    """Stop after this many validations without improvement."""
    average: float = 0.0
    """Average the weights over this last share of the classification steps (SWA, arXiv 1803.05407); validate
    and publish the mean. 0 disables."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """auto: bfloat16 autocast if the hardware supports it, else float32. Master weights are float32."""
    cuda_graphs: bool = False
    """Record the passes of classification as a CUDA graph, on one GPU with bfloat16. Experimental."""
    seed: int = 0
    """Seed of row order, dropout and initial weights."""

    def __post_init__(self) -> None:
        check_choices(self, "loop.")
        require(
            0 <= self.average <= 1, f"loop.average is {self.average}; expected a share of the steps, 0 to 1"
        )
        require(self.epochs >= 1, f"loop.epochs is {self.epochs}; expected at least 1")
        for name in ("batch_tokens", "micro_tokens"):
            value = getattr(self, name)
            require(value is None or value >= 64, f"loop.{name} is {value}; expected at least 64 tokens")
        for name in ("validate_every", "checkpoint_every", "patience"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"loop.{name} is {value}; expected at least 1")
