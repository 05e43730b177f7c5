"""The parts of a training run's configuration: frozen dataclasses, each default and its help at the field."""

from dataclasses import dataclass
from typing import Literal

from tweetelm.config.checks import check_choices, check_rule, expand_places, require
from tweetelm.files.paths import located

SCRATCH = ("scratch-1m", "scratch-4m")  # the presets without published weights


@dataclass(frozen=True, kw_only=True)
class DataConfig:
    """Which rows are learned from."""

    root: str = "data"
    """Folder that `dvc pull` fills, a URL (s3://…) of its copy, which each machine fetches once, or `sample`
    for the embedded synthetic sample."""
    drop_overlap: bool = True
    """Leave out training rows whose normalized text also stands in validation or test (test rows are never
    dropped)."""
    limit: int | None = None
    """Use only this many training rows (a seeded random choice), for a quick look."""
    shuffle_labels: bool = False
    """Permute the training labels: a control that must stay at chance on validation."""
    hold_out: str | None = None
    """Keep rows of deepfake from training and validation and report on them apart: account:1/5 (the first of
    five groups of people, with all who imitate them) or generator:gpt2. Such a model is never served."""

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
    """Which model is fine-tuned and from which weights."""

    name: str = "openelm-270m"
    """A preset (openelm-270m, openelm-450m, …, scratch-1m, scratch-4m), a hub id, or a folder or URL (s3://…)
    with its files."""
    init: Literal["auto", "pretrained", "random"] = "auto"
    """auto: published weights, or a fresh start for the scratch presets, which have none. random: ignore
    published weights; every result is then marked as coming from random weights."""
    revision: str | None = None
    """Git revision of the hub repository; a preset pins its own."""
    tokenizer: str | None = None
    """A tokenizer.json, a SentencePiece tokenizer.model, a folder with either, a URL of one of these, or a
    hub id, in place of the model's own."""
    max_tokens: int = 256
    """Longer tweets are cut to this many tokens, the first (BOS) included."""
    pooling: Literal["last", "mean"] = "last"
    """Which states the classifier reads: the last token's, or the mean over the tweet."""
    dropout: float = 0.0
    """Dropout on the state that the classifier reads."""
    activation_checkpointing: bool = False
    """Recompute layer activations in the backward pass: less memory, about a third more time."""

    def __post_init__(self) -> None:
        check_choices(self, "model.")
        require(bool(self.name), "model.name is empty; expected a preset, a hub id or a folder")
        expand_places(self, "name", "tokenizer")
        require(0.0 <= self.dropout < 1.0, f"model.dropout is {self.dropout}; expected 0 <= dropout < 1")
        require(self.max_tokens >= 2, f"model.max_tokens is {self.max_tokens}; expected at least 2")
        require(
            not (self.scratch and self.init == "pretrained"),
            f"{self.name} has no published weights; leave out --model.init pretrained or name an "
            f"openelm-* preset",
        )

    @property
    def scratch(self) -> bool:
        """Whether this is one of our own small presets, which start from random weights by design."""
        return self.name in SCRATCH

    @property
    def random(self) -> bool:
        """Whether the weights start at random."""
        return self.scratch or self.init == "random"


@dataclass(frozen=True, kw_only=True)
class OptimConfig:
    """The optimizer (AdamW), its schedule, and the loss."""

    mode: Literal["full", "head", "lora"] = "full"
    """full: every weight learns. head: only the classifier does. lora: the classifier and low-rank updates of
    every projection do (arXiv 2106.09685), which are added into the weights of a checkpoint."""
    lora_rank: int = 16
    """Rank of those updates."""
    lora_alpha: int = 32
    """They are scaled by this over the rank."""
    lr: float | None = None
    """Peak learning rate; by default 3e-5 from pretrained weights (3e-4 with lora), 1e-3 from random ones or
    for the head alone."""
    schedule: Literal["cosine", "linear", "constant"] = "cosine"
    """Decay to zero after warm-up."""
    warmup: float = 0.1
    """Share of all steps in which the learning rate rises from zero."""
    weight_decay: float = 0.01
    """Decoupled weight decay on matrices; norms have none."""
    beta1: float = 0.9
    beta2: float = 0.98
    clip: float = 1.0
    """Largest gradient norm."""
    layer_decay: float = 1.0
    """Learning rate of each layer is that of the layer above times this."""
    class_weights: Literal["none", "balanced"] = "none"
    """balanced: weigh each class by the inverse of its frequency in training."""
    label_smoothing: float = 0.0

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
    """Causal language modeling on the training split's text, before classification is learned from it."""

    epochs: int = 0
    """How often the text is read; 0 leaves this out. With --optim.mode head, every weight learns here."""
    lr: float | None = None
    """Peak learning rate; by default 3e-5 from pretrained weights (3e-4 with lora), 1e-3 from random ones."""

    def __post_init__(self) -> None:
        require(self.epochs >= 0, f"pretrain.epochs is {self.epochs}; expected 0 or more")
        require(
            self.lr is None or self.lr > 0,
            f"pretrain.lr is {self.lr}; expected a positive number such as 3e-5",
        )


@dataclass(frozen=True, kw_only=True)
class LoopConfig:
    """How long to train and in what portions. Tokens count real tokens; nothing is padded."""

    epochs: int = 3
    """Passes over the training split."""
    batch_tokens: int = 4096
    """Tokens of one optimizer step, over all workers."""
    micro_tokens: int | None = None
    """Most tokens that one worker packs into one forward pass; bounds memory, changes no result. By default
    8192 on a GPU, 2048 on a CPU."""
    validate_every: int | None = None
    """Steps between validations; by default once per epoch."""
    checkpoint_every: int | None = None
    """Steps between checkpoints, beside the one at each validation."""
    patience: int | None = None
    """Stop after this many validations without improvement."""
    precision: Literal["auto", "bf16", "float32"] = "auto"
    """auto: bfloat16 autocast where the hardware multiplies bfloat16, else float32. Master weights are
    float32."""
    seed: int = 0

    def __post_init__(self) -> None:
        check_choices(self, "loop.")
        require(self.epochs >= 1, f"loop.epochs is {self.epochs}; expected at least 1")
        for name in ("batch_tokens", "micro_tokens"):
            value = getattr(self, name)
            require(value is None or value >= 64, f"loop.{name} is {value}; expected at least 64 tokens")
        for name in ("validate_every", "checkpoint_every", "patience"):
            value = getattr(self, name)
            require(value is None or value >= 1, f"loop.{name} is {value}; expected at least 1")


@dataclass(frozen=True, kw_only=True)
class RunConfig:
    """Where a run happens and what becomes of it. None of this changes what is learned."""

    workers: int = 1
    """Ray Train workers, each with one GPU, or one CPU where there is none."""
    min_workers: int | None = None
    """Start, and go on when machines are lost, with as few workers as this, and take more, up to
    --run.workers, when machines come. By default a run waits for all of its workers."""
    cpus: int | None = None
    """CPUs, and threads, of each worker; by default an equal share of this machine, 1 on a cluster."""
    gpu: Literal["auto", "yes", "no"] = "auto"
    """auto: GPUs if the cluster has any."""
    storage: str = "runs"
    """Folder or URL (s3://…, gs://…) for checkpoints and history; on several machines it must be shared."""
    registry: str = "models"
    """Folder or URL (s3://…, gs://…, az://…) for published models."""
    retries: int = 3
    """How often a run restarts from its last checkpoint after losing a worker without notice."""
    publish: bool = True
    """Publish the best checkpoint when training is done."""
    threshold: Literal["argmax", "validation"] = "argmax"
    """What the published model tells. argmax: the likeliest label. validation: the positive one from the
    probability on that gives the highest macro-F1 on validation."""
    replace: bool = False
    """Publish even if the model now served has a better validation metric."""

    @property
    def storage_folder(self) -> str:
        """Absolute path or URL of `storage`."""
        return located(self.storage)

    @property
    def registry_folder(self) -> str:
        """Absolute path or URL of `registry`."""
        return located(self.registry)

    @property
    def required_workers(self) -> int:
        """Workers that it takes at least."""
        return self.workers if self.min_workers is None else self.min_workers

    def __post_init__(self) -> None:
        check_choices(self, "run.")
        expand_places(self, "storage", "registry")
        require(self.workers >= 1, f"run.workers is {self.workers}; expected at least 1")
        require(
            self.min_workers is None or 1 <= self.min_workers <= self.workers,
            f"run.min_workers is {self.min_workers}; expected 1 to {self.workers}, which is run.workers",
        )
        require(self.cpus is None or self.cpus >= 1, f"run.cpus is {self.cpus}; expected at least 1")
        require(self.retries >= 0, f"run.retries is {self.retries}; expected 0 or more")


@dataclass(frozen=True, kw_only=True)
class TrackingConfig:
    """Where metrics go, beside the run's own history.jsonl."""

    wandb: Literal["auto", "online", "offline", "off"] = "auto"
    """auto: online if WANDB_API_KEY is set, else offline (`wandb sync` later); nothing if wandb is not
    installed. WANDB_MODE and WANDB_DISABLED win over this, but for off."""
    project: str = "tweetelm"
    group: str | None = None

    def __post_init__(self) -> None:
        check_choices(self, "tracking.")
