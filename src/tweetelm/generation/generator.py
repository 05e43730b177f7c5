"""Loads a generator (any causal language model) and answers requests with it."""

import json
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, cast

import torch
from transformers import AutoModelForCausalLM, AutoTokenizer, PreTrainedModel, PreTrainedTokenizerFast

from tweetelm.files.json_file import parse_object
from tweetelm.files.origin import read_origin
from tweetelm.generation.request import Answer, Request
from tweetelm.generation.sampling import batches_of_like_length, sample
from tweetelm.openelm import OpenELMForCausalLM
from tweetelm.openelm.checkpoints.download import download, without_downloads
from tweetelm.openelm.checkpoints.hub import MODEL_FILES, fetch
from tweetelm.openelm.checkpoints.llama_presets import find_source, import_once
from tweetelm.openelm.checkpoints.loading import load_weights
from tweetelm.openelm.checkpoints.weight_files import weights_sha256
from tweetelm.openelm.presets import find_preset
from tweetelm.precision import Precision, choose

FALLBACK_TEMPLATE = (
    "{% for message in messages %}{{ message['content'] + '\n\n' }}{% endfor %}"
    "{% if add_generation_prompt %}{{ 'Tweet: ' }}{% endif %}"
)
"""For models without a chat template, such as GPT-2."""


@dataclass(frozen=True, kw_only=True)
class FoundGenerator:
    """A generator's files on this machine.

    Attributes:
        name: what the user named, for class_type and the card.
        folder: with config.json, weights and tokenizer.
        sha256: of the weights from which it comes; of the source for imported models.
        license: as far as it is known.
    """

    name: str
    folder: Path
    sha256: str
    license: str = "not stated"


def find_generator(name: str, revision: str | None = None) -> FoundGenerator:
    """Find a generator and download or import it if necessary.

    Args:
        name: a preset, a hub id, a folder, or a GGUF file of a Llama model.
        revision: git revision on the hub.

    Raises:
        FileNotFoundError: it does not exist, or the hub is unreachable.
        ValueError: it is damaged, or the GGUF file is not of a Llama model.
    """
    path = Path(name).expanduser()
    if path.suffix == ".gguf":
        found = find_source(name)
        return _described(path.stem, import_once(found, path.stem))
    if path.is_dir():
        return _described(path.resolve().name, path)
    if find_preset(name) is not None:
        return _described(name, fetch(name, revision).folder)
    return _described(name, download(name, revision or "main", MODEL_FILES, "--model"))


def check_not_shared(generator: FoundGenerator, classifier: str) -> None:
    """Raise ValueError if the classifier to be trained has the generator's weights.

    A classifier with the weights of the generator recognizes its own probabilities, which no other
    generator's tweets have.
    """
    try:
        with without_downloads():
            sha256 = find_generator(classifier).sha256
    except (FileNotFoundError, ValueError):  # not on this machine: only the name can be compared
        sha256 = ""
    if sha256 == generator.sha256 or classifier == generator.name:
        raise ValueError(
            f"the generator {generator.name} and the classifier {classifier} have the same weights; choose "
            "another --model or --classifier, or add --force"
        )


def _described(name: str, folder: Path) -> FoundGenerator:
    origin = read_origin(folder) or {}
    digest = origin.get("sha256") or weights_sha256(folder)
    return FoundGenerator(
        name=name, folder=folder, sha256=digest, license=origin.get("license", "not stated")
    )


@dataclass(kw_only=True)
class Generator:
    """A loaded generator.

    Attributes:
        model: the language model, ready for inference.
        tokenizer: with a chat template.
        end: ids of the tokens that end an answer.
        new_tokens: maximum number of tokens of an answer.
        batch_tokens: maximum number of tokens of a batch.
    """

    model: PreTrainedModel
    tokenizer: Any
    end: tuple[int, ...]
    new_tokens: int = 80
    batch_tokens: int = 16384

    @staticmethod
    def load(
        folder: Path,
        *,
        device: torch.device,
        precision: Precision = "auto",
        new_tokens: int,
        batch_tokens: int,
    ) -> "Generator":
        """Load the model of a folder.

        Raises:
            FileNotFoundError: a file is missing.
            ValueError: the model is not a causal language model, or a file is damaged.
        """
        dtype = torch.bfloat16 if choose(precision, device) == "bf16" else torch.float32
        model, tokenizer = _load_openelm(folder, dtype) if _is_openelm(folder) else _load_other(folder, dtype)
        if not tokenizer.chat_template:
            tokenizer.chat_template = FALLBACK_TEMPLATE
        end = _end_tokens(model, tokenizer)
        return Generator(
            model=cast(Any, model).to(device).eval(),
            tokenizer=tokenizer,
            end=end,
            new_tokens=new_tokens,
            batch_tokens=batch_tokens,
        )

    def batches(self, requests: Sequence[Request]) -> Iterator[list[Request]]:
        """Divide requests into batches of prompts of like lengths."""
        lengths = [len(self._prompt(request)) for request in requests]
        for rows in batches_of_like_length(lengths, self.batch_tokens, self.new_tokens):
            yield [requests[row] for row in rows]

    def answer(self, batch: Sequence[Request]) -> list[Answer]:
        """Answer the requests of one batch."""
        prompts = [self._prompt(request) for request in batch]
        found = sample(
            self.model,
            prompts,
            [request.temperature for request in batch],
            [request.seed for request in batch],
            end=self.end,
            new_tokens=self.new_tokens,
        )
        return [
            Answer(
                id=request.id,
                text=self.tokenizer.decode(tokens, skip_special_tokens=False),
                finished=len(tokens) < self.new_tokens,
                prompt_tokens=len(prompt),
                completion_tokens=len(tokens),
            )
            for request, prompt, tokens in zip(batch, prompts, found, strict=True)
        ]

    def _prompt(self, request: Request) -> list[int]:
        """The tokens of a prompt; a beginning of the tweet stands at the start of the answer."""
        text = self.tokenizer.apply_chat_template(
            request.messages, tokenize=False, add_generation_prompt=True
        )
        ids: list[int] = self.tokenizer(text + request.begin, add_special_tokens=False)["input_ids"]
        return ids


def _is_openelm(folder: Path) -> bool:
    path = folder / "config.json"
    if not path.is_file():
        raise FileNotFoundError(f"{path} does not exist; expected the folder of a causal language model")
    return parse_object(path.read_bytes(), path, "copy the model again").get("model_type") == "openelm"


def _load_openelm(folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, Any]:
    path = folder / "tokenizer_config.json"
    named = json.loads(path.read_text("utf-8")) if path.is_file() else {}
    tokenizer = PreTrainedTokenizerFast(
        tokenizer_file=str(folder / "tokenizer.json"),
        chat_template=named.get("chat_template"),
        eos_token=named.get("eos_token"),
    )
    return load_weights(OpenELMForCausalLM, folder, dtype=dtype), tokenizer


def _load_other(folder: Path, dtype: torch.dtype) -> tuple[PreTrainedModel, Any]:
    try:
        model = AutoModelForCausalLM.from_pretrained(folder, dtype=dtype, local_files_only=True)
        tokenizer = AutoTokenizer.from_pretrained(folder, local_files_only=True)
    except (ValueError, KeyError) as error:
        reason = " ".join(str(error).split())[:300]
        raise ValueError(
            f"{folder} is not a causal language model that transformers can load: {reason}"
        ) from error
    return model, tokenizer


def _end_tokens(model: PreTrainedModel, tokenizer: Any) -> tuple[int, ...]:
    """The ids that end an answer: the model's and the tokenizer's."""
    named = model.config.eos_token_id
    ids = list(named) if isinstance(named, list) else [named]
    found = tuple(dict.fromkeys(each for each in [*ids, tokenizer.eos_token_id] if each is not None))
    if not found:
        raise ValueError("the model names no token that ends a text; set eos_token_id in its config.json")
    return found
