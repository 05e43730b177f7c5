"""A saved model loads with its own code without tweetelm, and with the installed code with tweetelm."""

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import torch
from tokenizers import Tokenizer, models, pre_tokenizers, processors
from transformers import AutoConfig, AutoModelForCausalLM, AutoModelForSequenceClassification, pipeline

from tests.support.openelm_models import classifier, language_model
from tweetelm.openelm import OpenELMForCausalLM, OpenELMForSequenceClassification

TEXTS = ["good morning all", "you are bad", "all you good bad people are good", "morning"]
WORDS = ["<unk>", "<s>", "</s>", *sorted({word for text in TEXTS for word in text.split()})]
# OpenELM has no pad token. Any id can be used for padding, because the attention mask hides it.
TOKENIZER = {
    "tokenizer_class": "PreTrainedTokenizerFast",
    "unk_token": "<unk>",
    "bos_token": "<s>",
    "eos_token": "</s>",
    "pad_token": "<unk>",
    "model_input_names": ["input_ids", "attention_mask"],
}

ELSEWHERE = """
import json, sys
sys.modules["tweetelm"] = None  # makes its import fail, even if it is installed
folder, again, texts = sys.argv[1], sys.argv[2], json.loads(sys.argv[3])
from transformers import pipeline

def scores(folder, **options):
    pipe = pipeline("text-classification", model=folder, trust_remote_code=True, top_k=None, **options)
    assert type(pipe.model).__module__.startswith("transformers_modules."), type(pipe.model).__module__
    found = pipe(texts)
    return pipe, [{one["label"]: one["score"] for one in text} for text in found]

pipe, single = scores(folder)
_, batched = scores(folder, batch_size=4)
pipe.model.save_pretrained(again)
pipe.tokenizer.save_pretrained(again)
_, exported_again = scores(again, batch_size=3)
print(json.dumps([single, batched, exported_again]))
"""


def write_tokenizer(folder: Path) -> None:
    """A word-level tokenizer that prepends <s>."""
    tokenizer = Tokenizer(models.WordLevel({word: i for i, word in enumerate(WORDS)}, unk_token="<unk>"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.post_processor = processors.TemplateProcessing(single="<s> $A", special_tokens=[("<s>", 1)])
    tokenizer.save(str(folder / "tokenizer.json"))
    (folder / "tokenizer_config.json").write_text(json.dumps(TOKENIZER))


def export(folder: Path) -> OpenELMForSequenceClassification:
    model = classifier("sdpa", id2label={0: "good", 1: "bad", 2: "odd"})
    model.save_pretrained(folder)
    write_tokenizer(folder)
    return model


def expected_scores(model: OpenELMForSequenceClassification) -> list[dict[str, float]]:
    """Probabilities by label of the texts, each run in its own pass."""
    found = []
    for text in TEXTS:
        ids = torch.tensor([[1, *(WORDS.index(word) for word in text.split())]])
        probabilities = model(input_ids=ids).logits.softmax(-1)[0].tolist()
        found.append(dict(zip(("good", "bad", "odd"), probabilities, strict=True)))
    return found


def run_elsewhere(folder: Path, private: Path) -> Any:
    """The output of `ELSEWHERE` in a process without tweetelm and without our caches."""
    environment = os.environ | {
        "HF_HOME": str(private / "hf"),
        "HF_MODULES_CACHE": str(private / "modules"),
        "HF_HUB_OFFLINE": "1",
        "PYTHONWARNINGS": "ignore",
    }
    command = [sys.executable, "-c", ELSEWHERE, str(folder), str(private / "again"), json.dumps(TEXTS)]
    run = subprocess.run(command, env=environment, cwd=private, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    return json.loads(run.stdout.splitlines()[-1])


@pytest.mark.slow
def test_a_process_without_tweetelm_gives_the_same_scores(tmp_path: Path) -> None:
    model = export(tmp_path / "export")
    (tmp_path / "private").mkdir()
    answers = run_elsewhere(tmp_path / "export", tmp_path / "private")
    for name, answer in zip(("one by one", "batched", "exported again"), answers, strict=True):
        for text, ours, theirs in zip(TEXTS, expected_scores(model), answer, strict=True):
            assert theirs == pytest.approx(ours, abs=1e-5), (name, text)


def test_an_export_carries_its_code_and_names_it(tmp_path: Path) -> None:
    export(tmp_path)
    config = json.loads((tmp_path / "config.json").read_text())
    assert config["auto_map"] == {
        "AutoConfig": "configuration_openelm.OpenELMConfig",
        "AutoModelForSequenceClassification": "classifier.OpenELMForSequenceClassification",
    }
    for file in ("configuration_openelm", "classifier", "modeling_openelm", "layers", "attention", "pooling"):
        assert (tmp_path / f"{file}.py").is_file(), file


@pytest.mark.parametrize("trust", [None, False, True])
def test_export_loads_without_flag_if_imported(tmp_path: Path, trust: bool | None) -> None:
    model = export(tmp_path)
    pipe = pipeline(
        "text-classification", model=str(tmp_path), trust_remote_code=trust, top_k=None, batch_size=4
    )
    assert type(pipe.model) is OpenELMForSequenceClassification
    for ours, theirs in zip(expected_scores(model), pipe(TEXTS), strict=True):
        assert {one["label"]: one["score"] for one in theirs} == pytest.approx(ours, abs=1e-5)


def test_an_export_of_an_export_names_only_code_that_it_carries(tmp_path: Path) -> None:
    export(tmp_path / "first")
    AutoModelForSequenceClassification.from_pretrained(tmp_path / "first").save_pretrained(
        tmp_path / "second"
    )
    assert json.loads((tmp_path / "second" / "config.json").read_text())["auto_map"] == {
        "AutoConfig": "configuration_openelm.OpenELMConfig",
        "AutoModelForSequenceClassification": "classifier.OpenELMForSequenceClassification",
    }
    assert type(AutoModelForSequenceClassification.from_pretrained(tmp_path / "second")).__name__ == (
        "OpenELMForSequenceClassification"
    )


@pytest.mark.parametrize("where", ["", "apple/OpenELM-270M--"])
def test_code_that_a_downloaded_folder_brings_is_never_run(tmp_path: Path, where: str) -> None:
    theirs, out = tmp_path / "theirs", tmp_path / "out"
    language_model().save_pretrained(theirs)
    config = json.loads((theirs / "config.json").read_text())
    config["auto_map"] = {
        "AutoConfig": f"{where}configuration_openelm.OpenELMConfig",
        "AutoModelForCausalLM": f"{where}modeling_openelm.OpenELMForCausalLM",
        "AutoModel": f"{where}somewhere_else.Model",
    }
    (theirs / "config.json").write_text(json.dumps(config))
    for code in theirs.glob("*.py"):
        code.write_text("raise SystemExit('remote code ran')\n")
    assert AutoConfig.from_pretrained(theirs, trust_remote_code=True).model_dim == 32
    for load in (AutoModelForCausalLM.from_pretrained, OpenELMForCausalLM.from_pretrained):
        model = load(theirs, trust_remote_code=True)
        assert type(model) is OpenELMForCausalLM
    model.save_pretrained(out)
    assert json.loads((out / "config.json").read_text())["auto_map"] == {
        "AutoConfig": "configuration_openelm.OpenELMConfig",
        "AutoModelForCausalLM": "modeling_openelm.OpenELMForCausalLM",
    }
    assert "remote code ran" not in (out / "modeling_openelm.py").read_text()
