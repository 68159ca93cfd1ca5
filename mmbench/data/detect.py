"""Which format the files at a path are in."""

from collections.abc import Callable
from pathlib import Path

from mmbench.config.data import Format, SourceSettings
from mmbench.config.errors import UserError
from mmbench.data.formats import coco_captions, daquar, easy_vqa, flickr, jsonl, karpathy, visual7w, vqa_v2
from mmbench.data.formats.parsed import read_json

_HOW = (
    "Recognised are: a .jsonl file (docs/data.md); *.token.txt with split files (Flickr8k, Flickr30k); "
    "dataset_*.json (Karpathy); annotations/captions_{train,val}*.json (COCO); *questions.json with "
    "*annotations.json (VQA v2); dataset_v7w_*.json (Visual7W); {train,test}/questions.json (easy-VQA); data.csv with "
    "{train,test}_images_list.txt (DAQUAR)"
)


def detect_format(path: str | Path) -> list[SourceSettings]:
    """The sources at a path: one, or several where a folder holds several formats (captions and questions).

    A folder with captions in two forms (token file and Karpathy's JSON, or a JSONL beside them) counts once: JSONL
    before Karpathy's JSON before the token file.

    Raises:
        UserError: there is nothing at the path, or nothing that is recognised.
    """
    place = Path(path).expanduser()
    if not place.exists():
        raise UserError(f"there is no data at '{path}'; give the folder or file of the data")
    found: list[Format] = _of_file(place) if place.is_file() else _of_folder(place)
    if not found:
        raise UserError(f"the data at '{path}' is in no known format. {_HOW}")
    return [SourceSettings(format=name, path=str(place)) for name in found]


def _of_folder(folder: Path) -> list[Format]:
    captions = _first(
        ("jsonl", lambda: bool(jsonl.jsonl_files(folder))),
        ("karpathy", lambda: karpathy.json_file(folder) is not None),
        ("flickr", lambda: bool(flickr.token_files(folder))),
        ("coco_captions", lambda: bool(coco_captions.caption_files(folder))),
    )
    if captions == ["jsonl"]:
        return captions
    questions = _first(
        ("vqa_v2", lambda: bool(vqa_v2.question_files(folder))),
        ("visual7w", lambda: visual7w.json_file(folder) is not None),
        ("easy_vqa", lambda: easy_vqa.is_easy_vqa(folder)),
        ("daquar", lambda: daquar.is_daquar(folder)),
    )
    return captions + questions


def _of_file(file: Path) -> list[Format]:
    name = file.name
    if name.endswith((".jsonl", ".ndjson")):
        return ["jsonl"]
    if name.endswith((".token.txt", ".token")):
        return ["flickr"]
    if name == "data.csv" and daquar.is_daquar(file.parent):
        return ["daquar"]
    if coco_captions.caption_files(file):
        return ["coco_captions"]
    if any(file in pair for pair in vqa_v2.question_files(file.parent)):
        return ["vqa_v2"]
    if name.endswith(".json"):
        content = read_json(file)
        return _first(
            ("karpathy", lambda: karpathy.is_karpathy(content)), ("visual7w", lambda: visual7w.is_visual7w(content))
        )
    return []


def _first(*formats: tuple[Format, Callable[[], bool]]) -> list[Format]:
    return next(([name] for name, holds in formats if holds()), [])
