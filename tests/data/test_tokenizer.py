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
from mmbench.data.tokenizer import TextTokenizer, load_tokenizer, tokenizer_from_str, train_tokenizer

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


CHAT = (
    "{{ bos_token }}{% for message in messages %}\n"
    "    {% if message['role'] not in ['system', 'user'] %}{{ raise_exception('who?') }}{% endif %}\n"
    "[{{ message['role'] }}] {{ message['content'] | trim }}{{ eos_token }}\n"
    "{% endfor %}\n"
    "{% if add_generation_prompt %}[assistant]{% endif %}"
)


@pytest.mark.parametrize("file", ["chat_template.jinja", "tokenizer_config.json", "several"])
def test_a_chat_template_is_read_from_beside_the_tokenizer(tmp_path: Path, file: str) -> None:
    TRAINED.save(tmp_path / "tokenizer.json")
    if file == "chat_template.jinja":
        (tmp_path / file).write_text(CHAT)
        (tmp_path / "tokenizer_config.json").write_text('{"chat_template": "not this one"}')
    else:
        several = [{"name": "tool_use", "template": "no"}, {"name": "default", "template": CHAT}]
        content = {"chat_template": CHAT if file == "tokenizer_config.json" else several}
        (tmp_path / "tokenizer_config.json").write_text(json.dumps(content))
    for path in (tmp_path, tmp_path / "tokenizer.json"):
        tokenizer = load_tokenizer(path)
        assert tokenizer.chat_template == CHAT
        assert tokenizer.chat_prompt(" hello ") == "[user] hello<eos>\n[assistant]"
        assert tokenizer.chat_prompt("a", system="b") == "[system] b<eos>\n[user] a<eos>\n[assistant]"
    again = tokenizer_from_str(tokenizer.to_str(), tokenizer.chat_template)
    assert again.chat_prompt("a") == tokenizer.chat_prompt("a")


def test_the_rendered_prompt_is_that_of_transformers(tmp_path: Path) -> None:
    transformers = pytest.importorskip("transformers")
    TRAINED.save(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer_config.json").write_text(
        json.dumps({"tokenizer_class": "PreTrainedTokenizerFast", "bos_token": "<bos>", "eos_token": "<eos>"})
    )
    (tmp_path / "chat_template.jinja").write_text(CHAT)
    theirs = transformers.PreTrainedTokenizerFast.from_pretrained(tmp_path)
    messages = [{"role": "user", "content": "What is \u00e4?"}]
    expected = theirs.apply_chat_template(messages, tokenize=False, add_generation_prompt=True)
    assert "<bos>" + load_tokenizer(tmp_path).chat_prompt("What is \u00e4?") == expected


def test_without_a_chat_template_there_is_no_prompt(tmp_path: Path) -> None:
    TRAINED.save(tmp_path / "tokenizer.json")
    assert load_tokenizer(tmp_path).chat_template is None
    with pytest.raises(UserError, match="no chat template"):
        TRAINED.chat_prompt("hello")


@pytest.mark.parametrize(
    "template",
    [
        "{{ raise_exception('no') }}",
        "{% for %}",
        "{{ messages.__class__.__mro__ }}",
        "{{ messages + 1 }}",
        "{{ 1 / 0 }}",
    ],
)
def test_a_template_that_fails_or_breaks_out_is_an_error(template: str) -> None:
    with pytest.raises(UserError, match="does not take these messages"):
        tokenizer_from_str(TRAINED.to_str(), template).chat_prompt("hello")


def test_a_malformed_configuration_beside_the_tokenizer(tmp_path: Path) -> None:
    TRAINED.save(tmp_path / "tokenizer.json")
    (tmp_path / "tokenizer_config.json").write_text("[]")
    with pytest.raises(UserError, match="no tokenizer configuration"):
        load_tokenizer(tmp_path)


def test_a_name_on_the_hub_offline(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("huggingface_hub.constants.HF_HUB_CACHE", str(tmp_path))
    with pytest.raises(UserError, match=r"tokenizer\.path 'somebody/some-model' is no folder here"):
        load_tokenizer("somebody/some-model", offline=True)
    snapshot = tmp_path / "models--somebody--some-model" / "snapshots" / ("0" * 40)
    snapshot.mkdir(parents=True)
    TRAINED.save(snapshot / "tokenizer.json")
    (snapshot.parents[1] / "refs").mkdir()
    (snapshot.parents[1] / "refs" / "main").write_text("0" * 40)
    assert load_tokenizer(Path("somebody/some-model"), offline=True).hash == TRAINED.hash
