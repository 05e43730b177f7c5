"""Loads tokenizers from tokenizer.json, converts them from SentencePiece, or trains them.

All tokenizers prepend BOS, append nothing, and treat special tokens in a tweet, such as `<s>`, as text.
"""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from tokenizers import Tokenizer, decoders, models, normalizers, pre_tokenizers, processors, trainers

TOKENIZER_FILE = "tokenizer.json"
SENTENCEPIECE_FILE = "tokenizer.model"
UNK, BOS, EOS = "<unk>", "<s>", "</s>"
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
    candidates = [path / TOKENIZER_FILE, path / SENTENCEPIECE_FILE] if path.is_dir() else [path]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no tokenizer at {path}: expected {TOKENIZER_FILE} or {SENTENCEPIECE_FILE}")
    if found.suffix == ".model":
        return _configured(from_sentencepiece(found), str(found))
    try:
        tokenizer = Tokenizer.from_file(str(found))
    except Exception as error:  # the library raises a bare Exception on a bad file
        raise ValueError(f"{found} is not a tokenizer ({error}); copy or download it again") from error
    return _configured(tokenizer, str(found))


def _configured(tokenizer: Tokenizer, origin: str) -> Tokenizer:
    """Configure a tokenizer: BOS first, no EOS, padding or truncation, special tokens in texts as text."""
    bos = tokenizer.token_to_id(BOS)
    if bos is None:
        raise ValueError(f"{origin} has no {BOS!r} token; expected one, because OpenELM prepends it to texts")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=None, special_tokens=[(BOS, bos)]
    )
    tokenizer.no_padding()
    tokenizer.no_truncation()
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
    return tokenizer


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
    return _configured(tokenizer, "the trained tokenizer")


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_tokens: int) -> None:
    """Write tokenizer.json, and tokenizer_config.json for transformers.

    OpenELM has no padding token; `<unk>` is used instead, and the attention mask hides it.
    """
    tokenizer.save(str(folder / TOKENIZER_FILE))
    config = {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "unk_token": UNK,
        "bos_token": BOS,
        "eos_token": EOS,
        "pad_token": UNK,
        "padding_side": "right",
        "model_max_length": max_tokens,
        "clean_up_tokenization_spaces": False,
        "split_special_tokens": True,  # tokenizes `<s>` in a tweet as text
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
