"""Tokenizers as one tokenizer.json: loaded, converted from SentencePiece, or trained.

Every tokenizer here prepends BOS, appends nothing, and treats the text `<s>` in a tweet as text.
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
_BPE = 2  # its number of the algorithm


def load_tokenizer(path: Path) -> Tokenizer:
    """A tokenizer from a tokenizer.json, a SentencePiece tokenizer.model, or a folder with one of them.

    tokenizer.json wins, so that a folder with both gives what the file says.

    Raises:
        FileNotFoundError: there is neither.
        ValueError: the file is no tokenizer, or one that cannot be used as it must be (see
            `from_sentencepiece`), or it has no BOS token.
    """
    candidates = [path / TOKENIZER_FILE, path / SENTENCEPIECE_FILE] if path.is_dir() else [path]
    found = next((file for file in candidates if file.is_file()), None)
    if found is None:
        raise FileNotFoundError(f"no tokenizer at {path}: expected {TOKENIZER_FILE} or {SENTENCEPIECE_FILE}")
    if found.suffix == ".model":
        return _as_we_use_it(from_sentencepiece(found), str(found))
    try:
        tokenizer = Tokenizer.from_file(str(found))
    except Exception as error:  # the library raises a bare Exception on a bad file
        raise ValueError(f"{found} is not a tokenizer ({error}); copy or download it again") from error
    return _as_we_use_it(tokenizer, str(found))


def _as_we_use_it(tokenizer: Tokenizer, origin: str) -> Tokenizer:
    """BOS first and nothing last, no padding, no truncation, special tokens in the text taken as text."""
    bos = tokenizer.token_to_id(BOS)
    if bos is None:
        raise ValueError(f"{origin} has no {BOS!r} token, which OpenELM puts before every text")
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", pair=None, special_tokens=[(BOS, bos)]
    )
    tokenizer.no_padding()
    tokenizer.no_truncation()
    tokenizer.encode_special_tokens = True
    return tokenizer


def from_sentencepiece(path: Path) -> Tokenizer:
    """Convert a SentencePiece BPE model, Llama's for one, so that it tokenizes exactly alike.

    Merges are ranked by the score of the piece they make. Ranking them in another way (transformers 5.23
    does when it finds only a tokenizer.model) tokenizes double spaces differently.

    Raises:
        ValueError: the file is damaged, or does what is not converted: another algorithm than BPE, text
            normalization of its own, pieces that win over merges.
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
            f"reading {path} needs the packages sentencepiece and protobuf ({error}): `pip install "
            f"sentencepiece protobuf`, or use a {TOKENIZER_FILE} instead"
        ) from error
    model = sentencepiece_model_pb2.ModelProto()  # type: ignore[attr-defined]  # made at import
    try:
        model.ParseFromString(path.read_bytes())
    except Exception as error:  # protobuf's, whose module depends on its version
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
    """A byte-level BPE of at most `vocab_size` pieces. Ids of unk, BOS and EOS are 0, 1, 2, as in Llama's."""
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
    return _as_we_use_it(tokenizer, "the trained tokenizer")


def save_tokenizer(tokenizer: Tokenizer, folder: Path, max_tokens: int) -> None:
    """Write tokenizer.json and the tokenizer_config.json that transformers wants beside it.

    OpenELM has no padding token; `<unk>` stands in for it, hidden by the attention mask.
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
        "split_special_tokens": True,  # the text `<s>` is text
    }
    (folder / "tokenizer_config.json").write_text(json.dumps(config, indent=2) + "\n", encoding="utf-8")
