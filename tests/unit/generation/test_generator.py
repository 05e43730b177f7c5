"""Any causal language model generates: ours, imported ones, and transformers' own."""

import json
from itertools import islice
from pathlib import Path

import pytest
import torch
from transformers import GPT2Config, GPT2LMHeadModel, PreTrainedTokenizerFast

from tests.support.checkpoints import small_tokenizer
from tests.support.human_tweets import human_tweets
from tests.support.llamas import llama, save, write_gguf
from tweetelm.generation.generator import Generator, check_not_shared, find_generator
from tweetelm.generation.plan import PlanSettings, requests
from tweetelm.generation.request import Request
from tweetelm.openelm.checkpoints.llama_import import import_llama


@pytest.fixture(scope="module")
def openelm(tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("generator")
    save(llama(max_position_embeddings=512), place / "llama")
    import_llama(place / "llama", place / "tiny")
    return place / "tiny"


@pytest.fixture(scope="module")
def gpt2(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("gpt2")
    torch.manual_seed(0)
    config = GPT2Config(vocab_size=320, n_positions=512, n_embd=32, n_layer=2, n_head=2, eos_token_id=2)
    GPT2LMHeadModel(config).save_pretrained(folder)
    PreTrainedTokenizerFast(tokenizer_object=small_tokenizer(), eos_token="</s>").save_pretrained(folder)
    return folder


def asked(number: int = 6) -> list[Request]:
    return list(islice(requests(PlanSettings(), human_tweets()), number))


def load(folder: Path) -> Generator:
    return Generator.load(
        folder, device=torch.device("cpu"), precision="float32", new_tokens=8, batch_tokens=1500
    )


@pytest.mark.parametrize("kind", ["openelm", "gpt2"])
def test_answers_do_not_depend_on_the_batch(kind: str, request: pytest.FixtureRequest) -> None:
    generator = load(request.getfixturevalue(kind))
    batches = list(generator.batches(asked()))
    assert len(batches) > 1
    together = {answer.id: answer for batch in batches for answer in generator.answer(batch)}
    alone = {answer.id: answer for each in asked() for answer in generator.answer([each])}
    assert together == alone
    assert all(answer.completion_tokens and answer.prompt_tokens > 20 for answer in alone.values())


def test_the_chat_template_is_the_models(openelm: Path) -> None:
    path = openelm / "tokenizer_config.json"
    content = json.loads(path.read_text())
    template = "{% for m in messages %}[{{ m['role'] }}]{{ m['content'] }}{% endfor %}[assistant]"
    path.write_text(json.dumps({**content, "chat_template": template}))
    generator, first = load(openelm), asked(1)[0]
    path.write_text(json.dumps(content))
    prompt = generator.tokenizer.decode(generator._prompt(first))
    assert prompt.replace(" ", "") == (
        f"[system]{first.system}[user]{first.user}[assistant]{first.begin}".replace(" ", "")
    )


def test_a_gguf_file_is_imported(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HOME", str(tmp_path))
    file = write_gguf(llama(), tmp_path / "tiny-chat.gguf")
    found = find_generator(str(file))
    assert found.name == "tiny-chat"
    assert load(found.folder).answer(asked(1))[0].completion_tokens > 0


def test_what_is_no_language_model_is_refused(tmp_path: Path) -> None:
    (tmp_path / "config.json").write_text('{"model_type": "vit"}')
    (tmp_path / "model.safetensors").write_bytes(b"")
    with pytest.raises(ValueError, match="not a causal language model"):
        load(tmp_path)
    with pytest.raises(FileNotFoundError, match=r"config\.json does not exist"):
        load(tmp_path / "none")


def test_generator_with_the_classifiers_weights_is_refused(openelm: Path, gpt2: Path, tmp_path: Path) -> None:
    found = find_generator(str(openelm))
    copy = tmp_path / "another-name"
    copy.mkdir()
    for file in openelm.iterdir():
        (copy / file.name).write_bytes(file.read_bytes())
    with pytest.raises(ValueError, match="have the same weights; choose another"):
        check_not_shared(found, str(copy))
    check_not_shared(found, str(gpt2))
    check_not_shared(found, "openelm-270m")
