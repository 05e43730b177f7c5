"""The OpenELM configuration, with Apple's keys.

Source: Mehta et al., "OpenELM: An Efficient Language Model Family with Open Training and Inference Framework"
(arXiv 2404.14619), and the published config.json files.
"""

from typing import Any

from huggingface_hub.dataclasses import strict
from transformers import PreTrainedConfig
from transformers.activations import ACT2FN

_MOST_LAYERS = 256
_LIMITS: dict[str, tuple[float, float, bool]] = {  # minimum, maximum, integer; beyond all published models
    "vocab_size": (1, 2**24, True),
    "max_context_length": (1, 2**20, True),
    "num_transformer_layers": (1, _MOST_LAYERS, True),
    "model_dim": (1, 2**17, True),
    "head_dim": (2, 2**13, True),
    "qkv_multipliers": (1e-3, 1e3, False),
    "num_query_heads": (0, 2**13, True),
    "num_kv_heads": (0, 2**13, True),
    "num_gqa_groups": (1, 2**13, True),
    "ffn_multipliers": (1e-3, 1e3, False),
    "ffn_dim_divisor": (1, 2**17, True),
    "rope_freq_constant": (1e-3, 1e12, False),
    "rope_max_length": (1, 2**20, True),
    "rms_norm_eps": (0, 1, False),
    "initializer_range": (0, 100, False),
    "classifier_dropout": (0, 1, False),
}


def make_divisible(value: float, divisor: int) -> int:
    """The multiple of `divisor` nearest to `value`, at least `divisor`, and at most 10 % below `value`."""
    nearest = max(divisor, int(value + divisor / 2) // divisor * divisor)
    return nearest + divisor if nearest < 0.9 * value else nearest


def _per_layer(bounds: list[float], layers: int) -> list[float]:
    """`layers` evenly spaced values from the first to the last of `bounds`, rounded to two decimals."""
    low, high = bounds[0], bounds[-1]
    step = (high - low) / (layers - 1) if layers > 1 else 0.0
    return [round(low + step * layer, 2) for layer in range(layers)]


@strict
class OpenELMConfig(PreTrainedConfig):
    """Configuration of an OpenELM model.

    Heads and feed-forward widths differ by layer. `qkv_multipliers` and `ffn_multipliers` are two numbers,
    for the first and the last layer, or one number per layer. `num_query_heads` and `num_kv_heads` have one
    number per layer; by default, they are computed from `qkv_multipliers`.

    Three keys are additions for the classifier: `classifier_pooling` ("last": the state of the last token,
    "mean": the mean over the tokens), `classifier_dropout`, and `classifier_temperature`, which divides the
    logits.

    Raises:
        ValueError: the length of a per-layer list is not `num_transformer_layers`, query heads are not a
            multiple of key-value heads, a number is out of range, or a name (activation, norm, pooling) is
            unknown.
    """

    model_type = "openelm"
    keys_to_ignore_at_inference = ["past_key_values"]
    attribute_map = {
        "hidden_size": "model_dim",
        "num_hidden_layers": "num_transformer_layers",
        "max_position_embeddings": "max_context_length",
        "tie_word_embeddings": "share_input_output_layers",
    }

    vocab_size: int = 32000
    max_context_length: int = 2048
    num_transformer_layers: int = 12
    model_dim: int = 2048
    head_dim: int = 128
    qkv_multipliers: float | int | list[float | int] | tuple[float | int, ...] = 1.0
    num_query_heads: int | list[int] | tuple[int, ...] | None = None
    num_kv_heads: int | list[int] | tuple[int, ...] | None = None
    num_gqa_groups: int = 1
    ffn_multipliers: float | int | list[float | int] | tuple[float | int, ...] = 4.0
    ffn_with_glu: bool = True
    ffn_dim_divisor: int = 256
    activation_fn_name: str = "swish"
    normalization_layer_name: str = "rms_norm"
    normalize_qk_projections: bool = False
    share_input_output_layers: bool = False
    rope_freq_constant: float | int = 10000
    rope_max_length: int = 4096
    rms_norm_eps: float = 1e-6
    initializer_range: float = 0.02
    use_cache: bool = True
    bos_token_id: int | None = 1
    eos_token_id: int | list[int] | None = 2
    pad_token_id: int | None = None
    classifier_pooling: str = "last"
    classifier_dropout: float | int = 0.0
    classifier_temperature: float | int = 1.0

    def __post_init__(self, **kwargs: Any) -> None:
        self._keep_own_code(kwargs)
        self._check_numbers()
        self._spread_over_layers()
        self._check()
        super().__post_init__(**kwargs)

    @property
    def ffn_dims(self) -> list[int]:
        """Width of each layer's feed-forward block."""
        return [make_divisible(m * self.model_dim, self.ffn_dim_divisor) for m in self.ffn_multipliers]  # type: ignore[union-attr]

    def _keep_own_code(self, loaded: dict[str, Any]) -> None:
        """Remove foreign code from the `auto_map` of a loaded config.json; an export contains this code."""
        if type(self).__module__.startswith("transformers_modules"):
            return  # this module was loaded from an export through its auto_map
        own = {"AutoConfig": f"{type(self).__module__.rpartition('.')[2]}.{type(self).__name__}"}
        auto_map = loaded.pop("auto_map", None) or {}
        if kept := {name: code for name, code in auto_map.items() if own.get(name) == code}:
            loaded["auto_map"] = kept

    def _check_numbers(self) -> None:
        """Raise ValueError for numbers out of range, before tensors of that size are allocated."""
        for name, (low, high, whole) in _LIMITS.items():
            given = getattr(self, name)
            each = list(given) if isinstance(given, list | tuple) else [given]
            if len(each) > _MOST_LAYERS:
                raise ValueError(f"{name} has {len(each)} values; expected at most {_MOST_LAYERS}")
            for value in each:
                wrong = isinstance(value, bool) or not isinstance(value, int if whole else int | float)
                if value is not None and (wrong or not low <= value <= high):
                    kind = "an integer" if whole else "a number"
                    raise ValueError(f"{name} is {str(given)[:80]}; expected {kind} from {low:g} to {high:g}")

    def _spread_over_layers(self) -> None:
        layers = self.num_transformer_layers
        self.ffn_multipliers = self._one_each("ffn_multipliers", self.ffn_multipliers)
        if self.num_query_heads is None:
            unit = self.head_dim * self.num_gqa_groups
            widths = self._one_each("qkv_multipliers", self.qkv_multipliers)
            self.num_query_heads = [make_divisible(self.model_dim * m, unit) // self.head_dim for m in widths]
        if self.num_kv_heads is None:
            self.num_kv_heads = [q // self.num_gqa_groups for q in self._list("num_query_heads", layers)]
        self.num_query_heads = self._list("num_query_heads", layers)
        self.num_kv_heads = self._list("num_kv_heads", layers)

    def _one_each(self, name: str, value: Any) -> list[float]:
        layers = self.num_transformer_layers
        if isinstance(value, int | float):
            return [float(value)] * layers
        if len(value) == 2 and layers != 2:
            return _per_layer(list(value), layers)
        if len(value) != layers:
            raise ValueError(
                f"{name} has {len(value)} values; expected one number, two numbers, or one for each of "
                f"{layers} layers"
            )
        return list(value)

    def _list(self, name: str, layers: int) -> list[int]:
        value = getattr(self, name)
        heads = [value] * layers if isinstance(value, int) else list(value)
        if len(heads) != layers:
            raise ValueError(f"{name} has {len(heads)} values; expected one for each of {layers} layers")
        return heads

    def _check(self) -> None:
        for layer, (q, kv) in enumerate(zip(self.num_query_heads, self.num_kv_heads, strict=True)):  # type: ignore[arg-type]
            if kv < 1 or q % kv:
                raise ValueError(
                    f"layer {layer} has {q} query heads and {kv} key-value heads; expected key-value heads "
                    "that divide the query heads"
                )
        if self.head_dim % 2:
            raise ValueError(f"head_dim is {self.head_dim}; expected an even number for rotary embeddings")
        if self.normalization_layer_name != "rms_norm":
            raise ValueError(
                f"normalization_layer_name is {self.normalization_layer_name!r}; expected 'rms_norm'"
            )
        if self.activation_fn_name not in ACT2FN:
            raise ValueError(
                f"activation_fn_name is {self.activation_fn_name!r}; expected one of {sorted(ACT2FN)}"
            )
        if not 0 <= self.classifier_dropout < 1:
            raise ValueError(
                f"classifier_dropout is {self.classifier_dropout}; expected at least 0 and below 1"
            )
        if not 0 < self.classifier_temperature < float("inf"):
            raise ValueError(
                f"classifier_temperature is {self.classifier_temperature}; expected a positive number"
            )
        if self.classifier_pooling not in ("last", "mean"):
            raise ValueError(f"classifier_pooling is {self.classifier_pooling!r}; expected 'last' or 'mean'")


__all__ = ["OpenELMConfig"]
