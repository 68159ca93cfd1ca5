"""Flickr8k and Flickr30k as distributed: a token file with captions, and split files that name the images.

Token file (``*.token.txt``, ``*.token``): lines ``NAME.jpg#K<TAB>caption``. Split files: one image name a line, with
or without ``.jpg``; a file serves the split that its name tells (``Flickr_8k.trainImages.txt``, ``train.txt``,
``flickr30k_val.txt``). Hodosh, Young and Hockenmaier 2013 (JAIR 47); Young et al. 2014 (TACL 2).
"""

import re
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.example import TEST, TRAIN, VALIDATION, Example
from mmbench.data.formats.parsed import Parsed, Problem, existing, images_folder, read_text, with_validation

IMAGE_FOLDERS = (
    "Images",
    "images",
    "Flicker8k_Dataset",
    "Flickr8k_Dataset",
    "flickr30k-images",
    "flickr30k_images",
)
"""Usual names of the images' folder."""

_LINE = re.compile(r"^(?P<image>.+?)#\d+\s+(?P<caption>.*)$")
_SPLIT_WORDS = ((TRAIN, r"train"), (VALIDATION, r"dev|val"), (TEST, r"test"))


def read(source: SourceSettings) -> Parsed:
    """Captions of the images that a split file names; those of other images are counted and left out."""
    tokens = _token_file(existing(source.path))
    splits = split_files(tokens.parent)
    if TRAIN not in splits or TEST not in splits:
        raise UserError(
            f"'{tokens.parent}' has no {' and no '.join(s for s in (TRAIN, TEST) if s not in splits)} split file; put "
            "one image name a line into Flickr_8k.trainImages.txt, …devImages.txt and …testImages.txt beside the "
            "captions"
        )
    images = images_folder(source, *IMAGE_FOLDERS)
    parsed = Parsed({})
    captions = _captions(tokens, parsed)
    for split, file in splits.items():
        names = _names(file, captions)
        parsed.splits[split] = [Example(name, str(images / name), captions.get(name, [])) for name in names]
    _claim_once(parsed)
    used = {example.image_id for examples in parsed.splits.values() for example in examples}
    unused = [name for name in captions if name not in used]
    parsed.left_out += Counter(
        {
            "images in no split file": len(unused),
            "captions of images in no split file": sum(len(captions[name]) for name in unused),
        }
    )
    parsed.splits = with_validation(parsed.splits)
    return parsed


def token_files(folder: Path) -> list[Path]:
    """The token files of a folder; where Flickr30k's release has several, only the captions as written count."""
    found = [*folder.glob("*.token.txt"), *folder.glob("*.token")]
    return sorted(file for file in found if "lemma" not in file.name.lower())


def split_files(folder: Path) -> dict[str, Path]:
    """The split files of a folder, by split: text files whose name says train, dev or val, or test."""
    found: dict[str, Path] = {}
    for file in sorted(folder.glob("*.txt")):
        if file.name.endswith(".token.txt") or "readme" in file.name.lower():
            continue
        split = next((split for split, words in _SPLIT_WORDS if re.search(words, file.name.lower())), None)
        if split is not None:
            found.setdefault(split, file)
    return found


def _token_file(path: Path) -> Path:
    if path.is_file():
        return path
    files = token_files(path)
    if len(files) != 1:
        seen = ", ".join(file.name for file in files) or "none"
        raise UserError(f"'{path}' must hold one caption file *.token.txt or *.token ({seen} found); give its path")
    return files[0]


def _captions(file: Path, parsed: Parsed) -> dict[str, list[str]]:
    """Captions by image name; lines of another form are noted."""
    captions: dict[str, list[str]] = {}
    for number, line in enumerate(read_text(file).splitlines(), start=1):
        parsed.num_records += bool(line.strip())
        match = _LINE.match(line)
        if match:
            captions.setdefault(match["image"], []).append(match["caption"].strip())
        elif line.strip():
            parsed.malformed(f"{file.name} line {number}", "not NAME.jpg#0<TAB>caption")
    if not captions:
        raise UserError(f"'{file}' holds no line of the form NAME.jpg#0<TAB>caption")
    return captions


def _names(file: Path, captions: dict[str, list[str]]) -> Sequence[str]:
    """The image names of a split file, each once; ``.jpg`` is added where the file leaves it out."""
    lines = [line.strip() for line in read_text(file).splitlines()]
    names = [line if line in captions or "." in line else f"{line}.jpg" for line in lines if line]
    return list(dict.fromkeys(names))


def _claim_once(parsed: Parsed) -> None:
    """An image that several split files name stays in the first of test, validation and train."""
    seen: set[str] = set()
    for split in (TEST, VALIDATION, TRAIN):
        examples = parsed.splits.get(split, [])
        for example in examples:
            if example.image_id in seen:
                parsed.problems.append(Problem("images in several split files", example.image_id))
        parsed.left_out["images that another split file names too"] += sum(e.image_id in seen for e in examples)
        if split in parsed.splits:
            parsed.splits[split] = [example for example in examples if example.image_id not in seen]
        seen |= {example.image_id for example in examples}
