"""Karpathy's JSON of Flickr8k, Flickr30k and COCO: ``dataset_flickr8k.json``, ``dataset_coco.json``.

``images[]`` with ``filename``, ``filepath`` (COCO: ``train2014`` or ``val2014``), ``split`` (``train``, ``restval``,
``val``, ``test``) and ``sentences[].raw``. Karpathy and Fei-Fei 2015 (arXiv 1412.2306).
"""

from collections.abc import Iterator
from pathlib import Path
from typing import Any

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.example import TEST, TRAIN, VALIDATION, Example
from mmbench.data.formats.flickr import IMAGE_FOLDERS
from mmbench.data.formats.parsed import Parsed, existing, images_folder, read_json, with_validation

_SPLITS = {"train": TRAIN, "restval": TRAIN, "val": VALIDATION, "test": TEST}


def read(source: SourceSettings) -> Parsed:
    """Captions of all images; COCO's ``restval`` images are training images, as is usual."""
    path = existing(source.path)
    file = path if path.is_file() else json_file(path)
    if file is None:
        raise UserError(f"'{path}' has no dataset_*.json in Karpathy's form; give its path")
    content = read_json(file)
    if not is_karpathy(content):
        raise UserError(f"'{file}' is not in Karpathy's form: it needs images with filename, split and sentences")
    folder = images_folder(source, *IMAGE_FOLDERS)
    parsed = Parsed({})
    for number, image in enumerate(content["images"]):
        parsed.num_records += 1
        example = _example(image, folder)
        split = _SPLITS.get(image.get("split", "")) if isinstance(image, dict) else None
        if example is None or split is None:
            parsed.malformed(f"{file.name} images[{number}]", "no file name, or none of the known splits")
        else:
            parsed.splits.setdefault(split, []).append(example)
    parsed.splits = with_validation(parsed.splits)
    return parsed


def json_file(folder: Path) -> Path | None:
    """The folder's ``dataset*.json``, if there is one that is not Visual7W's."""
    files = sorted(file for file in folder.glob("dataset*.json") if not file.name.startswith("dataset_v7w_"))
    return next(iter(files), None)


def is_karpathy(content: Any) -> bool:
    """Whether a JSON's content has Karpathy's form."""
    images = content.get("images") if isinstance(content, dict) else None
    first = images[0] if isinstance(images, list) and images else None
    return isinstance(first, dict) and {"filename", "split", "sentences"} <= first.keys()


def _example(image: Any, folder: Path) -> Example | None:
    if not isinstance(image, dict) or not isinstance(image.get("filename"), str):
        return None
    name = image["filename"]
    nested = folder / str(image.get("filepath", "")) / name
    return Example(name, str(nested if nested.exists() else folder / name), list(_sentences(image.get("sentences"))))


def _sentences(sentences: Any) -> Iterator[str]:
    for sentence in sentences if isinstance(sentences, list) else []:
        raw = sentence.get("raw", "") if isinstance(sentence, dict) else ""
        yield raw.strip() if isinstance(raw, str) else ""
