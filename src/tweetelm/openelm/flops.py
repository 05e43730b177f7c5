"""What a model costs: parameters, memory, arithmetic. Counted from the configuration; nothing is
allocated."""

from dataclasses import dataclass

from .configuration_openelm import OpenELMConfig

_MASTER_WEIGHT_BYTES = 4 + 4 + 8  # weight, gradient and AdamW's two moments, float32 each
_PROCESS_BYTES = 1_250_000_000  # interpreter, libraries, and what a step allocates in passing: measured


@dataclass(frozen=True, kw_only=True)
class Cost:
    """Sizes of a model.

    Attributes:
        parameters: of the decoder, a tied head counted once, an untied one included.
        embedding: parameters of the token embedding.
        linear: weights that take part in matrix products, once per token and direction.
        last_layer_saved: linear weights of the last layer that a packed classifier needs for last tokens
        only.
    """

    parameters: int
    embedding: int
    linear: int
    last_layer_saved: int

    @property
    def flops_per_token(self) -> int:
        """Floating-point operations of a forward pass per token, attention scores left out (under 1 % at
        tweet length)."""
        return 2 * self.linear

    @property
    def training_flops_per_token(self) -> int:
        """Forward and backward of the packed classifier, per token."""
        return 6 * (self.linear - self.last_layer_saved)

    @property
    def optimizer_bytes(self) -> int:
        """Weights, gradients and AdamW state of full fine-tuning."""
        return _MASTER_WEIGHT_BYTES * self.parameters


def cost(config: OpenELMConfig) -> Cost:
    """Count a configuration."""
    width, head = config.model_dim, config.head_dim
    linear = norms = saved = 0
    for q, kv, ffn in zip(config.num_query_heads, config.num_kv_heads, config.ffn_dims, strict=True):  # type: ignore[arg-type]
        feed_forward = (3 if config.ffn_with_glu else 2) * ffn * width
        linear += (q + 2 * kv) * head * width + q * head * width + feed_forward
        norms += 2 * width + (2 * head if config.normalize_qk_projections else 0)
        saved = 2 * q * head * width + feed_forward
    embedding = config.vocab_size * width
    head_weights = 0 if config.share_input_output_layers else embedding
    total = linear + norms + width + embedding + head_weights
    return Cost(parameters=total, embedding=embedding, linear=linear, last_layer_saved=saved)


def activation_bytes(config: OpenELMConfig, tokens: int, *, checkpointing: bool = False) -> int:
    """Estimated memory of a training process beside `Cost.optimizer_bytes`: activations of one packed pass of
    `tokens` under bfloat16 autocast, the weights' bfloat16 copies, and the process itself.

    The factors (bytes per unit of width) are those of the tensors that autograd keeps. Whole processes of the
    270M shape were measured within a tenth of the sum.
    """
    kept = largest = 0
    for q, kv, ffn in zip(config.num_query_heads, config.num_kv_heads, config.ffn_dims, strict=True):  # type: ignore[arg-type]
        layer = 20 * config.model_dim + (16 * q + 6 * kv) * config.head_dim + 8 * ffn
        kept += 4 * config.model_dim if checkpointing else layer
        largest = max(largest, layer)
    per_token = kept + (largest if checkpointing else 0)
    return tokens * per_token + 2 * cost(config).linear + _PROCESS_BYTES
