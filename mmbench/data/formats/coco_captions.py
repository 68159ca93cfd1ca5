"""COCO captions in the official JSON: ``annotations/captions_train2017.json`` and ``captions_val2017.json``.

Top level ``images`` (``id``, ``file_name``) and ``annotations`` (``image_id``, ``caption``); 2014 has the same form.
The official test captions are not public: the val file serves as test, and a fixed tenth of the training images as
validation. A file whose name says ``test`` (a split of one's own) serves as test, and val then as validation.
Chen et al. 2015 (arXiv 1504.00325).
"""

from pathlib import Path
from typing import Any

from mmbench.config.data import SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.example import TEST, TRAIN, VALIDATION, Example
from mmbench.data.formats.parsed import Parsed, existing, read_json, with_validation

_SUFFIXES = (".json", ".json.gz")


def read(source: SourceSettings) -> Parsed:
    """Captions of the images of each file."""
    path = existing(source.path)
    files = caption_files(path)
    if not files:
        raise UserError(f"'{path}' has no captions_*.json in COCO's form, nor has its folder 'annotations'")
    folder = Path(source.images).expanduser() if source.images else None
    if folder is not None and not folder.is_dir():
        raise UserError(f"there is no image folder '{source.images}'; set the source's 'images' to a folder")
    parsed = Parsed({})
    has_test = any("test" in file.name for file in files)
    for file in files:
        parsed.splits.setdefault(_split(file, has_test), []).extend(_examples(file, folder, parsed))
    parsed.splits = with_validation(parsed.splits)
    return parsed


def caption_files(path: Path) -> list[Path]:
    """The caption files at a path: the file itself, or those of the folder and its ``annotations``."""
    if path.is_file():
        return [path] if _is_caption_file(path) else []
    folders = [folder for folder in (path, path / "annotations") if folder.is_dir()]
    return sorted(file for folder in folders for file in folder.iterdir() if _is_caption_file(file))


def is_coco_captions(content: Any) -> bool:
    """Whether a JSON's content has the form of COCO's captions."""
    if not isinstance(content, dict) or not isinstance(content.get("images"), list):
        return False
    annotations = content.get("annotations")
    return isinstance(annotations, list) and bool(annotations) and "caption" in annotations[0]


def _is_caption_file(file: Path) -> bool:
    return file.name.startswith("captions_") and file.name.endswith(_SUFFIXES)


def _split(file: Path, has_test: bool) -> str:
    if "train" in file.name:
        return TRAIN
    if "test" in file.name:
        return TEST
    if "val" in file.name:
        return VALIDATION if has_test else TEST
    raise UserError(f"'{file}' does not say in its name whether it is for train, val or test; rename it")


def _examples(file: Path, folder: Path | None, parsed: Parsed) -> list[Example]:
    content = read_json(file)
    if not is_coco_captions(content):
        raise UserError(f"'{file}' is not in COCO's form: it needs images and annotations with captions")
    kind = file.name.removeprefix("captions_").split(".")[0]  # train2017
    examples: dict[int, Example] = {}
    try:
        for image in content["images"]:
            examples[image["id"]] = Example(
                Path(image["file_name"]).stem, _image(file, folder, kind, image["file_name"])
            )
        for annotation in content["annotations"]:
            parsed.num_records += 1
            example = examples.get(annotation["image_id"])
            if example is None:
                parsed.malformed(f"{file.name} caption {annotation.get('id')}", "its image is not among the images")
            else:
                example.captions.append(str(annotation["caption"]).strip())
    except (KeyError, TypeError) as error:
        raise UserError(f"'{file}' is not in COCO's form: an image or annotation lacks {error}") from error
    return list(examples.values())


def _image(file: Path, folder: Path | None, kind: str, name: str) -> str:
    """Where an image lies: in a folder of the split's name (``train2017``), or all in one folder."""
    root = file.parent.parent if file.parent.name == "annotations" else file.parent
    roots = [folder] if folder is not None else [root, root / "images"]
    places = [place / name for root in roots for place in (root / kind, root)]
    return str(next((place for place in places if place.is_file()), places[0]))
