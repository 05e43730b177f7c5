"""Records the forward and backward pass of classification as a CUDA graph, for one GPU.

A pass has about 2,500 kernels. The CPU takes longer to launch them one by one than an H200 to run them. A
graph launches them all at once, but its shapes are fixed. A micro-batch is therefore filled up to a budget of
tokens and tweets; the fillers are tweets without a label. Gradients are added to those of the parameters,
which must stay in place between steps.

Shapes: B tweets of a micro-batch, R tweets and S tokens of the recorded pass, K labels.
"""

from collections.abc import Callable, Sequence

import torch
from torch import Tensor, nn

from tweetelm.config.train_config import TrainConfig
from tweetelm.encoding import pass_tokens
from tweetelm.openelm.attention import has_flash
from tweetelm.openelm.packing import packed_positions
from tweetelm.precision import choose
from tweetelm.training.encoded_rows import NO_LABEL
from tweetelm.training.objectives import Classification, Objective
from tweetelm.training.phases import Phase
from tweetelm.training.sampler import micro_batches
from tweetelm.training.strategy import DataParallel

_WARM_UP = 3  # passes before recording, in which libraries select kernels
_STEP = 64  # S is a multiple of it


class RecordedPass:
    """A pass of S tokens and R tweets with fixed inputs.

    Args:
        goal: the objective.
        module: the classifier.
        tokens: S.
        tweets: R.
        longest: maximum tokens of a tweet.
    """

    def __init__(
        self, goal: Classification, module: nn.Module, *, tokens: int, tweets: int, longest: int
    ) -> None:
        self.goal, self.module, self.longest = goal, module, longest
        device = goal.device
        self.ids = torch.zeros(1, tokens, dtype=torch.long, device=device)
        self.positions = torch.zeros_like(self.ids)
        self.starts = torch.zeros(tweets + 1, dtype=torch.int32, device=device)
        self.labels = torch.zeros(tweets, dtype=torch.long, device=device)
        teacher = goal.rows.teacher
        self.teacher = None if teacher is None else torch.zeros(tweets, teacher.shape[1], device=device)
        self.real = torch.zeros(tweets, device=device)
        self.scale = torch.ones((), device=device)
        self.loss = torch.zeros((), device=device)
        self._replay: Callable[[], None] = self._run

    def fits(self, share: Sequence[int]) -> bool:
        """Whether a micro-batch of rows fits into the pass."""
        return self._fillers(share) is not None

    def record(self, share: Sequence[int]) -> None:
        """Record the pass, with `share` as an example. Leaves gradients of zero."""
        self._load(share, 1)
        stream = torch.cuda.Stream()
        stream.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(stream):
            for _ in range(_WARM_UP):
                self._run()
        torch.cuda.current_stream().wait_stream(stream)
        graph = torch.cuda.CUDAGraph()
        with torch.cuda.graph(graph, capture_error_mode="thread_local"):
            self._run()
        self.module.zero_grad(set_to_none=False)
        self._replay = graph.replay

    def backward(self, share: Sequence[int], size: int) -> Tensor:
        """Add the gradients of a micro-batch that fits; returns its loss, divided by `size`."""
        self._load(share, size)
        self._replay()
        return self.loss.clone()

    def _run(self) -> None:
        tokens, starts = self.ids.shape[1], self.starts
        inputs = {"input_ids": self.ids, "position_ids": self.positions, "use_cache": False}
        inputs |= {"cu_seq_lens_q": starts, "cu_seq_lens_k": starts}
        longest = min(tokens, self.longest)
        logits = self.goal.logits(self.module, inputs | {"max_length_q": longest, "max_length_k": longest})
        loss = self.goal.loss_of(logits, self.labels, self.teacher, self.real) * self.scale
        loss.backward()
        self.loss.copy_(loss.detach())

    def _fillers(self, share: Sequence[int]) -> list[int] | None:
        """The lengths of the fillers, at least 1 and even; None if the micro-batch does not fit."""
        tweets = len(self.labels) - len(share)
        tokens = self.ids.shape[1] - sum(self.goal.rows.lengths[row] for row in share)
        if not share or not 0 <= tweets <= tokens <= tweets * self.longest:
            return None
        return [tokens // tweets + (index < tokens % tweets) for index in range(tweets)]

    def _load(self, share: Sequence[int], size: int) -> None:
        """Copy a micro-batch into the inputs."""
        rows, fillers = self.goal.rows, self._fillers(share)
        assert fillers is not None
        sequences = rows.sequences(share)
        ids = [token for sequence in sequences for token in sequence]
        ids += sequences[0][:1] * sum(fillers)
        lengths = torch.tensor([0, *map(len, sequences), *fillers], dtype=torch.int32)
        starts = lengths.cumsum(0, dtype=torch.int32)
        self.ids.copy_(torch.tensor([ids]))
        self.positions.copy_(packed_positions(starts, len(ids)))
        self.starts.copy_(starts)
        labels, teacher = self.goal.answers(share)
        self.labels.fill_(NO_LABEL)
        self.labels[: len(share)] = labels
        if self.teacher is not None and teacher is not None:
            self.teacher[: len(share)] = teacher
        self.real.zero_()
        self.real[: len(share)] = 1
        self.scale.fill_(1 / size)


def recorded_pass(
    goal: Objective, module: nn.Module, phase: Phase, config: TrainConfig, strategy: DataParallel
) -> RecordedPass | None:
    """Record the pass of a classification phase, if the configuration asks for it; else None.

    Raises:
        ValueError: the run is not on one GPU with bfloat16.
    """
    if not config.loop.cuda_graphs:
        return None
    if reason := _why_not(config, strategy):
        raise ValueError(f"--loop.cuda-graphs needs one GPU, bfloat16 and --model.pooling last; {reason}")
    if not isinstance(goal, Classification):
        return None
    most, lengths = pass_tokens(strategy.device, config.loop.micro_tokens), goal.rows.lengths
    shares = [
        share
        for step in phase.steps
        for share in micro_batches(step, lengths, rank=0, world=1, micro_tokens=most)
    ]
    longest, budget = config.model.max_tokens, min(most, config.loop.batch_tokens)
    tweets = max(map(len, shares)) + -(-2 * budget // longest)  # enough fillers for an almost empty pass
    tokens = -(-(budget + tweets) // _STEP) * _STEP  # a token for each filler of a full pass
    found = RecordedPass(goal, module, tokens=tokens, tweets=tweets, longest=longest)
    example = next((share for share in shares if found.fits(share)), None)
    if example is None:
        raise ValueError("--loop.cuda-graphs: no pass fits; raise --loop.batch-tokens")
    module.train()
    found.record(example)
    return found


def _why_not(config: TrainConfig, strategy: DataParallel) -> str:
    device = strategy.device
    if device.type != "cuda":
        return "this run has no GPU"
    if strategy.world > 1:
        return f"this run has {strategy.world} workers"
    if choose(config.loop.precision, device) != "bf16" or not has_flash(device):
        return "this run computes in float32"
    pooling = config.model.pooling
    return "" if pooling == "last" else f"this run has --model.pooling {pooling}"
