"""Loads tokenizers from tokenizer.json, converts them from SentencePiece, or trains them.

All tokenizers prepend BOS, the checkpoint's token that starts a text. They append nothing, and treat special
tokens in a tweet, such as `<s>`, as text.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

from .weight_files import read_json

TOKENIZER_FILE = "tokenizer.json"
TOKENIZER_CONFIG = "tokenizer_config.json"
SENTENCEPIECE_FILE = "tokenizer.model"
TOKENIZER_FILES = (TOKENIZER_FILE, SENTENCEPIECE_FILE, TOKENIZER_CONFIG)
UNK, BOS, EOS = "<unk>", "<s>", "</s>"
SEPARATOR = "<|endoftext|>"
_SPACE = "▁"
_NORMAL, _CONTROL, _USER_DEFINED, _BYTE = 1, 3, 4, 6  # piece types of SentencePiece's model format
_BPE = 2  # algorithm number in SentencePiece's model format


def load_tokenizer(path: Path) -> Tokenizer:
    """Load a tokenizer from a tokenizer.json, a SentencePiece tokenizer.model, or a folder with one of them.

    In a folder with both, tokenizer.json is used.

    Raises:
        FileNotFoundError: there is neither file.
        ValueError: the file is not a tokenizer, cannot be converted (see `from_sentencepiece`), or has no BOS
            token.
    """
    found = _find(path)
    tokenizer = read_any_tokenizer(path)
    bos = start_token(tokenizer, named_tokens(found.parent).get("bos_token"))
    if bos is None:
        raise ValueError(
            f"{found} has no token that starts a text; expected a tokenizer that prepends one, such as "
            f"{BOS!r}, or a bos_token in {TOKENIZER_CONFIG} beside it"
        )
    return with_bos(tokenizer, bos)


def start_token(tokenizer: Tokenizer, named: str | None) -> str | None:
    """The token that starts a text: the one that the tokenizer prepends, else `<|endoftext|>`, which
    separates documents in the pretraining of such models, else `named`. None if it has none of them."""
    choices = (bos_token(tokenizer), SEPARATOR, named)
    return next((token for token in choices if token and tokenizer.token_to_id(token) is not None), None)


def read_any_tokenizer(path: Path) -> Tokenizer:
    """Read or convert a tokenizer as `load_tokenizer` does, whether or not it has a BOS token."""
    found = _find(path)
    return from_sentencepiece(found) if found.suffix == ".model" else read_tokenizer(found)


def _find(path: Path) -> Path:
    """The tokenizer's file."""
    candidates = [path / TOKENIZER_FILE, path / SENTENCEPIECE_FILE] if path.is_dir() else [path]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no tokenizer at {path}: expected {TOKENIZER_FILE} or {SENTENCEPIECE_FILE}")
    return found


def read_tokenizer(file: Path) -> Tokenizer:
    """Read a tokenizer.json, without its padding and truncation.

    Raises:
        ValueError: the file is not a tokenizer.
    """
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises a bare Exception on a bad file
        raise ValueError(f"{file} is not a tokenizer ({error}); copy or download it again") from error
    tokenizer.no_padding()
    tokenizer.no_truncation()
    return tokenizer


def bos_token(tokenizer: Tokenizer) -> str | None:
    """The special token that a tokenizer prepends to texts; None if it prepends none."""
    alone, before_text = tokenizer.encode("").tokens[:1], tokenizer.encode("a").tokens[:1]
    special = {token.content for token in tokenizer.get_added_tokens_decoder().values() if token.special}
    return alone[0] if alone == before_text and special.issuperset(alone) and alone else None


def named_tokens(folder: Path) -> dict[str, str]:
    """The tokens and the chat template in a folder's tokenizer_config.json; empty if it has none."""
    if not (folder / TOKENIZER_CONFIG).is_file():
        return {}
    named = {}
    for key, value in read_json(folder / TOKENIZER_CONFIG).items():
        token = value.get("content") if isinstance(value, dict) else value
        if (key.endswith("_token") or key == "chat_template") and isinstance(token, str):
            named[key] = token
    return named


def with_bos(tokenizer: Tokenizer, bos: str) -> Tokenizer:
    """Configure a tokenizer: BOS first, no EOS, special tokens in texts as text."""
    tokenizer.post_processor = processors.TemplateProcessing(
        single=[bos, "$A"], pair=None, special_tokens=[(bos, tokenizer.token_to_id(bos))]
    )
    tokenizer.encode_special_tokens = True
    return tokenizer


def from_sentencepiece(path: Path) -> Tokenizer:
    """Convert a SentencePiece BPE model, such as Llama's, to a tokenizer with the same tokenization.

    Merges are ranked by the score of the resulting piece. Another ranking, as in transformers 5.23 for a
    folder with tokenizer.model only, tokenizes double spaces differently.

    Raises:
        ValueError: the file is damaged or has a feature that cannot be converted: an algorithm other than
            BPE, text normalization, or user-defined pieces.
    """
    model = _read_sentencepiece(path)
    vocabulary = {piece.piece: index for index, piece in enumerate(model.pieces)}
    normal = [piece for piece in model.pieces if piece.type == _NORMAL]
    merges = []
    for piece in sorted(normal, key=lambda p: -p.score):
        text = piece.piece
        splits = ((text[:i], text[i:]) for i in range(1, len(text)))
        merges += [pair for pair in splits if pair[0] in vocabulary and pair[1] in vocabulary]
    fallback = any(piece.type == _BYTE for piece in model.pieces)
    tokenizer = Tokenizer(
        models.BPE(vocab=vocabulary, merges=merges, unk_token=UNK, fuse_unk=True, byte_fallback=fallback)
    )
    tokenizer.normalizer = normalizers.Sequence(
        [normalizers.Prepend(_SPACE), normalizers.Replace(" ", _SPACE)]
    )
    tokenizer.decoder = decoders.Sequence(
        [
            decoders.Replace(_SPACE, " "),
            decoders.ByteFallback(),
            decoders.Fuse(),
            decoders.Strip(content=" ", left=1),
        ]
    )
    tokenizer.add_special_tokens([UNK, BOS, EOS])
    return with_bos(tokenizer, BOS)


def _read_sentencepiece(path: Path) -> Any:
    try:
        from sentencepiece import sentencepiece_model_pb2
    except ImportError as error:
        raise ModuleNotFoundError(
            f"reading {path} needs the packages sentencepiece and protobuf ({error}); run `pip install "
            f"sentencepiece protobuf`, or use a {TOKENIZER_FILE} instead"
        ) from error
    model = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # generated at import
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:  # of protobuf; its module depends on the version
        raise ValueError(
            f"{path} is not a SentencePiece model ({error}); copy or download it again"
        ) from error
    normal = model.normalizer_spec
    kinds = {piece.type for piece in model.pieces}
    expected = {
        "pieces": bool(model.pieces),
        "the BPE algorithm": model.trainer_spec.model_type == _BPE,
        "no normalization of text": not normal.precompiled_charsmap,
        "white space as it is": not normal.remove_extra_whitespaces and normal.escape_whitespaces,
        "a space before every text": normal.add_dummy_prefix
        and not model.trainer_spec.treat_whitespace_as_suffix,
        f"{BOS} as a control piece": any(p.piece == BOS and p.type == _CONTROL for p in model.pieces),
        "no pieces defined by hand": _USER_DEFINED not in kinds,
    }
    for feature, present in expected.items():
        if not present:
            raise ValueError(
                f"{path} cannot be converted: expected {feature}, as in Llama's tokenizer; use a "
                f"{TOKENIZER_FILE} instead"
            )
    return model


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> Tokenizer:
    """Train a byte-level BPE of at most `vocab_size` tokens. UNK, BOS, EOS have ids 0, 1, 2, as in Llama."""
    tokenizer = Tokenizer(models.BPE(unk_token=UNK))
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=True)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        min_frequency=2,
        special_tokens=[UNK, BOS, EOS],
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return with_bos(tokenizer, BOS)


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_tokens: int, **more: str) -> None:
    """Write tokenizer.json, and tokenizer_config.json for transformers.

    OpenELM has no padding token. `<unk>` is used instead, or BOS if there is none; the attention mask hides
    it. `more` are further entries of tokenizer_config.json, such as `eos_token`.
    """
    tokenizer.save(str(folder / TOKENIZER_FILE))
    bos = bos_token(tokenizer)
    assert bos is not None, "with_bos has configured every tokenizer"
    present = {
        name: token
        for name, token in (("unk_token", UNK), ("eos_token", EOS))
        if tokenizer.token_to_id(token) is not None
    }
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        **present,
        "bos_token": bos,
        "pad_token": present.get("unk_token", bos),
        "padding_side": "right",
        "model_max_length": max_tokens,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # tokenizes `<s>` in a tweet as text
        **more,
    }
    text = json.dumps(config, indent=2) + "\n"
    (folder / TOKENIZER_CONFIG).write_text(text, encoding="utf-8")
