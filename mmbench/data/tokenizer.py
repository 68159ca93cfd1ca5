"""The text's tokenizer: a byte-level BPE trained here, or any ``tokenizer.json``, of a folder or of the hub."""

import hashlib
from collections.abc import Iterable, Sequence
from pathlib import Path

from tokenizers import Tokenizer, decoders, models, pre_tokenizers, trainers

from mmbench.config.errors import UserError
from mmbench.config.hub import checkpoint_folder
from mmbench.data.chat_template import TEMPLATE_FILES, read_chat_template, render

PAD, BOS, EOS, IMAGE = "<pad>", "<bos>", "<eos>", "<image>"
SPECIAL_TOKENS = (PAD, BOS, EOS, IMAGE)
"""The first entries of a vocabulary trained here."""

_USUAL_NAMES = {
    "pad": (PAD, "[PAD]", "<|pad|>", "<|finetune_right_pad_id|>", "<pad_token>"),
    "bos": (BOS, "<s>", "[BOS]", "<|begin_of_text|>", "<|startoftext|>", "<|im_start|>", "<|endoftext|>", "[CLS]"),
    "eos": (EOS, "</s>", "[EOS]", "<|end_of_text|>", "<|im_end|>", "<|eot_id|>", "<|endoftext|>", "[SEP]"),
}
_FILE = "tokenizer.json"
_SMALLEST_VOCABULARY = 256 + len(SPECIAL_TOKENS)


class TextTokenizer:
    """Text to ids and back, with the special tokens that the models need.

    ``eos`` must be in the vocabulary; where it has no ``bos`` or ``pad``, ``eos`` stands in.
    """

    def __init__(self, tokenizer: Tokenizer, source: str = "the tokenizer", chat_template: str | None = None) -> None:
        self._tokenizer = tokenizer
        self.chat_template = chat_template
        """How a conversation is written for the model, as a Jinja template; None: it has none."""
        tokenizer.no_padding()
        tokenizer.no_truncation()
        self.vocab_size: int = tokenizer.get_vocab_size(with_added_tokens=True)
        eos = self._find("eos")
        if eos is None:
            names = ", ".join(_USUAL_NAMES["eos"])
            raise UserError(f"{source} has no end-of-text token; one of {names} must be in its vocabulary")
        bos, pad = self._find("bos"), self._find("pad")
        self.eos_id: int = eos
        self.bos_id: int = eos if bos is None else bos
        self.pad_id: int = eos if pad is None else pad
        self.hash: str = hashlib.sha256(tokenizer.to_str().encode()).hexdigest()
        """Of the whole tokenizer: vocabulary, merges and rules."""

    def encode(self, text: str) -> list[int]:
        """The ids of the text alone, without any special token."""
        return list(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def encode_all(self, texts: Sequence[str]) -> list[list[int]]:
        """`encode` of each text, many at once; a text that comes again costs nothing (its list is shared)."""
        different = list(dict.fromkeys(texts))
        encoded = self._tokenizer.encode_batch(different, add_special_tokens=False)
        ids = {text: list(one.ids) for text, one in zip(different, encoded, strict=True)}
        return [ids[text] for text in texts]

    def decode(self, ids: Sequence[int]) -> str:
        """The text of the ids, without special tokens and without white space at its ends."""
        text: str = self._tokenizer.decode([int(i) for i in ids], skip_special_tokens=True)
        return text.strip()

    def chat_prompt(self, user: str, system: str | None = None) -> str:
        """What is read before the model's turn, after one message of the user.

        Without the begin token, which the models put in front of every prompt themselves.

        Args:
            user: the message.
            system: a message of the system before it; None: what the template says by itself.

        Raises:
            UserError: there is no chat template, or it does not take these messages.
        """
        if self.chat_template is None:
            raise UserError("the tokenizer has no chat template: give the folder of an instruction-tuned model")
        messages = [{"role": "system", "content": system}] if system is not None else []
        messages.append({"role": "user", "content": user})
        bos, eos = (self._tokenizer.id_to_token(token) or "" for token in (self.bos_id, self.eos_id))
        return render(self.chat_template, messages, bos, eos).removeprefix(bos)

    def id_of(self, token: str) -> int | None:
        """The id of a whole entry of the vocabulary; None: it has none."""
        found: int | None = self._tokenizer.token_to_id(token)
        return found

    def to_str(self) -> str:
        """The content of a ``tokenizer.json``."""
        content: str = self._tokenizer.to_str()
        return content

    def save(self, path: Path) -> None:
        """Write a ``tokenizer.json``."""
        path.write_text(self.to_str(), encoding="utf-8")

    def _find(self, role: str) -> int | None:
        for name in _USUAL_NAMES[role]:
            token_id = self.id_of(name)
            if token_id is not None:
                return token_id
        return None


def train_tokenizer(texts: Iterable[str], vocab_size: int) -> TextTokenizer:
    """Train a byte-level BPE; the same texts in the same order give the same tokenizer.

    Args:
        texts: what it is trained on.
        vocab_size: entries, the special tokens and the 256 bytes included; fewer if the texts have no more pairs.

    Raises:
        UserError: the vocabulary is too small to hold every byte.
    """
    if vocab_size < _SMALLEST_VOCABULARY:
        raise UserError(
            f"tokenizer.vocab_size is {vocab_size}; it must be at least {_SMALLEST_VOCABULARY} "
            "(256 bytes and the special tokens)"
        )
    tokenizer = Tokenizer(models.BPE())
    tokenizer.pre_tokenizer = pre_tokenizers.ByteLevel(add_prefix_space=False)
    tokenizer.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocab_size,
        special_tokens=list(SPECIAL_TOKENS),
        initial_alphabet=sorted(pre_tokenizers.ByteLevel.alphabet()),
        show_progress=False,
    )
    tokenizer.train_from_iterator(texts, trainer)
    return TextTokenizer(tokenizer)


def tokenizer_from_str(content: str, chat_template: str | None = None) -> TextTokenizer:
    """The tokenizer whose `TextTokenizer.to_str` this is; its chat template stands beside."""
    return TextTokenizer(Tokenizer.from_str(content), chat_template=chat_template)


def load_tokenizer(path: str | Path, offline: bool = False) -> TextTokenizer:
    """Read a ``tokenizer.json``: the file, the one in a folder, or that of a name on the Hugging Face hub.

    The chat template is read from the files beside it, if there is one.

    Args:
        path: for instance ``tokenizer.json``, ``/data/SmolLM2-135M`` or ``HuggingFaceTB/SmolLM2-135M``.
        offline: never use the network; so does the environment variable ``HF_HUB_OFFLINE``.

    Raises:
        UserError: there is no such file, it is no tokenizer, or it lacks an end-of-text token.
    """
    file = _tokenizer_file(Path(path).expanduser(), offline)
    try:
        tokenizer = Tokenizer.from_file(str(file))
    except Exception as error:  # the library raises bare Exception for a file it cannot read
        raise UserError(f"'{file}' is not a tokenizer.json of the tokenizers library: {error}") from error
    template = read_chat_template(file.parent) if file.name == _FILE else None
    return TextTokenizer(tokenizer, f"tokenizer '{file}'", template)


def _tokenizer_file(path: Path, offline: bool) -> Path:
    if path.is_file():
        return path
    named = not path.is_dir() and not path.is_absolute() and len(path.parts) == 2 and path.suffix != ".json"
    if named:
        path = checkpoint_folder(str(path), [_FILE, *TEMPLATE_FILES], "tokenizer.path", offline)
    if not (path / _FILE).is_file():
        raise UserError(
            f"there is no tokenizer at '{path}'; give the path of a {_FILE}, a folder with one, or a name on the hub"
        )
    return path / _FILE
