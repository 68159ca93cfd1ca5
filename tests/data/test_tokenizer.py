import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tokenizers import Tokenizer, models, pre_tokenizers

from mmbench.config.errors import UserError
from mmbench.data.tokenizer import TextTokenizer, load_tokenizer, train_tokenizer

TEXTS = [f"Caption: a {colour} dog and {n} cats" for colour in ("red", "green", "blue") for n in range(60)]
TRAINED = train_tokenizer(TEXTS, 320)


@settings(max_examples=50, deadline=None)
@given(st.text())
def test_any_text_comes_back(text: str) -> None:
    assert TRAINED.decode(TRAINED.encode(text)) == text.strip()


def test_the_vocabulary_begins_with_the_special_tokens() -> None:
    assert (TRAINED.pad_id, TRAINED.bos_id, TRAINED.eos_id) == (0, 1, 2)
    assert TRAINED.vocab_size == 320
    assert TRAINED.decode([1, *TRAINED.encode(" yes"), 2, 0]) == "yes"


def test_encode_all_is_encode_of_each() -> None:
    texts = ["a dog", " yes", "a dog", ""]
    assert TRAINED.encode_all(texts) == [TRAINED.encode(text) for text in texts]


def test_training_gives_the_same_tokenizer_in_another_process() -> None:
    code = (
        "import json, sys; from mmbench.data.tokenizer import train_tokenizer;"
        "print(train_tokenizer(json.load(sys.stdin), 320).hash)"
    )
    root = Path(__file__).parents[2]
    done = subprocess.run(
        [sys.executable, "-c", code],
        input=json.dumps(TEXTS),
        capture_output=True,
        text=True,
        check=True,
        env={**os.environ, "PYTHONPATH": str(root), "PYTHONHASHSEED": "7"},
    )
    assert done.stdout.strip() == TRAINED.hash


def test_a_saved_tokenizer_is_the_same_tokenizer(tmp_path: Path) -> None:
    TRAINED.save(tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path).hash == TRAINED.hash
    assert load_tokenizer(tmp_path / "tokenizer.json").encode("a red dog") == TRAINED.encode("a red dog")


def test_a_small_vocabulary_is_refused() -> None:
    with pytest.raises(UserError, match="at least 260"):
        train_tokenizer(TEXTS, 100)


def test_eos_stands_in_for_bos_and_pad() -> None:
    tokenizer = Tokenizer(models.WordLevel({"dog": 0, "</s>": 1, "cat": 2}, unk_token="dog"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    wrapped = TextTokenizer(tokenizer)
    assert (wrapped.pad_id, wrapped.bos_id, wrapped.eos_id) == (1, 1, 1)


def test_a_tokenizer_without_an_end_is_refused(tmp_path: Path) -> None:
    Tokenizer(models.WordLevel({"dog": 0}, unk_token="dog")).save(str(tmp_path / "tokenizer.json"))
    with pytest.raises(UserError, match="no end-of-text token"):
        load_tokenizer(tmp_path)


@pytest.mark.parametrize("content", [None, "{}", "no json"])
def test_what_is_no_tokenizer_is_refused(tmp_path: Path, content: str | None) -> None:
    if content is not None:
        (tmp_path / "tokenizer.json").write_text(content)
    with pytest.raises(UserError, match="tokenizer"):
        load_tokenizer(tmp_path / "tokenizer.json")
