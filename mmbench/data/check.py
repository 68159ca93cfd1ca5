"""What data holds and what is broken in it: ``mmbench data check PATH``."""

import hashlib
import io
import os
from collections import Counter, defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from mmbench.config.data import DataSettings, RowSettings
from mmbench.config.errors import UserError
from mmbench.config.model import TokenizerSettings
from mmbench.data.canvas import Canvas
from mmbench.data.dataset import check_malformed, fingerprint_of, finish, read_sources
from mmbench.data.detect import detect_format
from mmbench.data.example import TRAIN, Dataset, Example, Split
from mmbench.data.images import BROKEN_IMAGE_ERRORS, decode
from mmbench.data.prompts import CAPTION_PROMPT, continuation, question_prompt
from mmbench.data.tokenizer import train_tokenizer
from mmbench.data.training_texts import training_texts

MISSING, CORRUPT = "missing images", "corrupt images"
EMPTY_CAPTIONS, UNANSWERED, NO_QUESTION = "empty captions", "questions without answers", "questions without text"
SAME_CAPTION, SAME_IMAGE, LEAKED = (
    "captions given twice for an image",
    "pairs of images of the same content",
    "pairs of images of the same content in different splits",
)
CUT = "texts that are cut"

_CANVAS = Canvas(32)
_NUM_EXAMPLES = 3


@dataclass
class DataCheck:
    """What a check found."""

    name: str
    """The data's name or path."""
    formats: list[str]
    """The format of each source."""
    counts: dict[str, dict[str, int]]
    """``{split: {"images", "captions", "questions"}}`` of what would be used, broken images still included."""
    tasks: tuple[str, ...]
    """What it can train and test."""
    kinds: dict[str, int]
    """Questions by kind, the most frequent first."""
    num_choices: int
    """Questions that are a multiple choice."""
    labels: dict[str, int]
    """Images by label, the most frequent first; empty without labels."""
    left_out: dict[str, int]
    """What was read and is not used."""
    problems: dict[str, list[str]] = field(default_factory=dict)
    """What is wrong, by kind: the items, each by its id or place."""
    examples: list[tuple[str, Example]] = field(default_factory=list)
    """A few examples with the name of their split."""
    unusable: str = ""
    """Why a comparison would refuse the data; empty if it would not."""


def check_data(
    data: str | Path | DataSettings,
    progress: Callable[[int, int], None] | None = None,
    max_text_tokens: int = RowSettings().max_text_tokens,
) -> DataCheck:
    """Read everything, decode every image, and note what is wrong.

    Args:
        data: a path whose format is recognised, or settings.
        progress: called with (done, all) while images are decoded.
        max_text_tokens: longer texts would be cut; counted with a tokenizer of the default vocabulary.

    Raises:
        UserError: the data cannot be read at all. What it lacks is said in the result.
    """
    settings = data if isinstance(data, DataSettings) else DataSettings(name=str(data), sources=detect_format(data))
    parsed = read_sources(settings)
    problems: dict[str, list[str]] = defaultdict(list)
    for problem in parsed.problems:
        problems[problem.what].append(f"{problem.where}: {problem.why}" if problem.why else problem.where)
    everything = [(split, example) for split, examples in parsed.splits.items() for example in examples]
    _check_texts([example for _, example in everything], problems)
    refused: list[UserError] = []
    _attempt(lambda: check_malformed(settings, parsed), refused)
    finish(parsed)
    used = [(split, example) for split, examples in parsed.splits.items() for example in examples]
    _check_images(used, problems, progress)
    splits = {name: Split(name, examples) for name, examples in parsed.splits.items()}
    dataset = Dataset(settings.name, splits, parsed.redistributable, fingerprint_of(parsed.splits), parsed.left_out)
    _attempt(dataset.require_splits, refused)
    _attempt(lambda: _check_share(problems, len(used), settings.max_broken_share), refused)
    _check_cuts(splits, problems, max_text_tokens)
    kinds = Counter(question.kind for _, example in used for question in example.questions)
    return DataCheck(
        name=settings.name,
        formats=[source.format for source in settings.sources],
        counts=dataset.report(),
        tasks=dataset.tasks(),
        kinds=dict(kinds.most_common()),
        num_choices=sum(bool(question.choices) for _, example in used for question in example.questions),
        labels=dict(Counter(example.label for _, example in used if example.label).most_common()),
        left_out=dict(parsed.left_out),
        problems={what: items for what, items in problems.items() if items},
        examples=_spread(used),
        unusable=str(refused[0]) if refused else "",
    )


def _check_texts(examples: list[Example], problems: dict[str, list[str]]) -> None:
    for example in examples:
        seen: set[str] = set()
        for number, caption in enumerate(example.captions):
            name = f"{example.image_id}#caption{number}"
            if not caption.strip():
                problems[EMPTY_CAPTIONS].append(name)
            elif caption in seen:
                problems[SAME_CAPTION].append(name)
            seen.add(caption)
        for question in example.questions:
            if not any(answer.strip() for answer in question.answers):
                problems[UNANSWERED].append(question.id)
            if not question.text.strip():
                problems[NO_QUESTION].append(question.id)


def _check_images(
    examples: list[tuple[str, Example]],
    problems: dict[str, list[str]],
    progress: Callable[[int, int], None] | None,
) -> None:
    """Decode all image files, in threads; compare their bytes."""
    files = [(split, example, example.image) for split, example in examples if isinstance(example.image, str)]
    first: dict[bytes, tuple[str, Example]] = {}
    with ThreadPoolExecutor(os.cpu_count() or 1) as threads:
        for done, ((split, example, _), (digest, why)) in enumerate(
            zip(files, threads.map(_inspect, [path for _, _, path in files]), strict=True), start=1
        ):
            if digest is None:
                problems[MISSING].append(f"{example.image_id}: {why}")
            elif why:
                problems[CORRUPT].append(f"{example.image_id}: {why}")
            else:
                first_split, same = first.setdefault(digest, (split, example))
                if same is not example:
                    what = SAME_IMAGE if first_split == split else LEAKED
                    problems[what].append(f"{same.image_id} ({first_split}) and {example.image_id} ({split})")
            if progress is not None and (done % 100 == 0 or done == len(files)):
                progress(done, len(files))


def _inspect(path: str) -> tuple[bytes | None, str]:
    """(hash of the file, what is wrong with the image); no hash if the file cannot be read."""
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        return None, f"{path} ({error.strerror})"
    try:
        decode(io.BytesIO(content), _CANVAS)
    except BROKEN_IMAGE_ERRORS as error:
        return hashlib.sha256(content).digest(), f"{path} ({type(error).__name__}: {error})"
    return hashlib.sha256(content).digest(), ""


def _check_share(problems: dict[str, list[str]], num_images: int, max_share: float) -> None:
    num_broken = len(problems[MISSING]) + len(problems[CORRUPT])
    if num_broken > max_share * num_images:
        raise UserError(
            f"{num_broken} of {num_images} images are missing or corrupt, more than data.max_broken_share = "
            f"{max_share:g} allows"
        )


def _check_cuts(splits: dict[str, Split], problems: dict[str, list[str]], max_text_tokens: int) -> None:
    """Note the texts that are longer than a row lets them be; images are never cut."""
    train = splits[TRAIN].examples if TRAIN in splits else []
    if not train:
        return
    tokenizer = train_tokenizer(training_texts(train), TokenizerSettings().vocab_size)
    texts: list[tuple[str, str]] = []
    for example in train:
        prompted = [CAPTION_PROMPT + continuation(caption) for caption in example.captions]
        texts += [(f"{example.image_id}#caption{k}", text) for k, text in enumerate(prompted)]
        for question in example.questions:
            longest = max(question.answers, key=len)
            texts.append((question.id, question_prompt(question.text) + continuation(longest)))
    lengths = [len(ids) for ids in tokenizer.encode_all([text for _, text in texts])]
    problems[CUT] += [
        f"{name} ({length} tokens)"
        for (name, _), length in zip(texts, lengths, strict=True)
        if length > max_text_tokens
    ]


def _attempt(check: Callable[[], None], refused: list[UserError]) -> None:
    try:
        check()
    except UserError as error:
        refused.append(error)


def _spread(examples: list[tuple[str, Example]]) -> list[tuple[str, Example]]:
    """A few examples, evenly spread over all of them."""
    step = max(1, len(examples) // _NUM_EXAMPLES)
    return examples[step // 2 :: step][:_NUM_EXAMPLES]


def render(check: DataCheck, most: int = 5) -> str:
    """The check as plain text.

    Args:
        check: what was found.
        most: items listed of each kind of problem, and texts of each example.
    """
    lines = [f"{check.name} ({', '.join(check.formats)})", ""]
    lines += _table(check.counts)
    lines += ["", f"Tasks: {', '.join(check.tasks) or 'none'}"]
    if check.kinds:
        shown = [f"{kind} {count:,}" for kind, count in list(check.kinds.items())[: 4 * most]]
        more = len(check.kinds) - len(shown)
        lines.append(f"Kinds of questions: {', '.join(shown)}" + (f", and {more} more" if more > 0 else ""))
    if check.num_choices:
        lines.append(f"Multiple choice: {check.num_choices:,} questions")
    if check.labels:
        shown = [f"{label} {count:,}" for label, count in list(check.labels.items())[: 4 * most]]
        more = len(check.labels) - len(shown)
        lines.append(f"Labels: {', '.join(shown)}" + (f", and {more} more" if more > 0 else ""))
    lines += [f"Left out: {count:,} {what}" for what, count in check.left_out.items()]
    lines.append("")
    if not check.problems:
        lines.append("Nothing is broken.")
    for what, items in check.problems.items():
        lines.append(f"{len(items):,} {what}:")
        lines += [f"  {item}" for item in items[:most]]
        lines += [f"  … and {len(items) - most:,} more"] * (len(items) > most)
    for split, example in check.examples:
        lines += ["", f"{example.image_id} ({split})"]
        lines += [f"  label: {example.label}"] * bool(example.label)
        lines += [f"  caption: {caption}" for caption in example.captions[:most]]
        for question in example.questions[:most]:
            answers = Counter(question.answers).most_common(most)
            told = ", ".join(f"{answer} x{count}" if count > 1 else answer for answer, count in answers)
            lines.append(f"  question: {question.text} -> {told} [{question.kind}]")
            lines += [f"    choices: {', '.join(question.choices)}"] * bool(question.choices)
    lines += ["", f"A comparison refuses this: {check.unusable}" if check.unusable else "Ready for a comparison."]
    return "\n".join(lines)


def _table(counts: dict[str, dict[str, int]]) -> Iterable[str]:
    columns = ("images", "captions", "questions")
    yield f"{'split':<12}" + "".join(f"{column:>12}" for column in columns)
    for split, numbers in counts.items():
        yield f"{split:<12}" + "".join(f"{numbers[column]:>12,}" for column in columns)
