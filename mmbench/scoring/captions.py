"""Scores of captions: COCO's captions JSON and COCO's results JSON, over the images that have a result."""

import hashlib
import warnings
from collections.abc import Collection, Sequence
from pathlib import Path

from mmbench.config.errors import UserError
from mmbench.metrics.captions.bleu import score_bleu
from mmbench.metrics.captions.cider import score_cider
from mmbench.metrics.captions.corpus import check_captions, num_empty_predictions, tokenize_captions
from mmbench.metrics.captions.rouge import score_rouge_l
from mmbench.metrics.java.meteor import meteor
from mmbench.metrics.java.programs import JavaMetric, NotComputed, unavailable
from mmbench.metrics.java.spice import spice
from mmbench.scoring.files import read_json
from mmbench.scoring.rows import Id, ids, named, one_each, other_type, rows_of, rows_under, strings
from mmbench.scoring.scores import ExampleScores, Progress, Scores, counted, heard, mean, refusals, unheard

_STAGES = ("references", "results", "tokens", "BLEU", "CIDEr-D", "ROUGE-L")


def score_captions(
    references: Path,
    results: Path,
    all_images: bool = False,
    progress: Progress = unheard,
    with_java: Collection[JavaMetric] = (),
) -> Scores:
    """BLEU-1..4, ROUGE-L and CIDEr-D; METEOR and SPICE where they are asked for and can be computed.

    Images are taken in the order of their ids, and the references of an image in the order of the file: at a caption's
    end the tokeniser may look at the next one.

    Args:
        references: `{"annotations": [{"image_id", "caption"}, …]}`, or such a list by itself.
        results: `[{"image_id", "caption"}, …]`, one for an image.
        all_images: whether every image with references needs a result.
        progress: told of each stage.
        with_java: metrics that the reference's Java programs compute; where one cannot run, the scores say why.

    Raises:
        UserError: a file that cannot be read or has another shape; results for unknown images, two different ones for
            one image; missing ones where `all_images`; a caption that is not text.
    """
    stages = _Stages(progress, [*_STAGES, *with_java])
    stages.next()
    captions = _read_references(references)
    stages.next()
    given, repeated = _read_results(results)
    _check_images(captions, given, references, results, all_images)
    images = sorted(given)
    chosen = {image: captions[image] for image in images}
    predictions = {image: given[image] for image in images}
    notes = _notes_on_files(chosen, repeated)

    stages.next()
    with heard(notes):
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of each empty reference by itself
            check_captions(chosen, predictions)
        with refusals():
            words = tokenize_captions(chosen, predictions)
            tokens = tokenize_captions(chosen, predictions, split_tokens=False)
        if empty := num_empty_predictions(words):
            notes.append(f"{counted(empty, 'prediction')} of {len(images):,} have no words")
        stages.next()
        bleu, bleu_of_image = score_bleu(words)
        stages.next()
        cider_d = score_cider(words).tolist()
        stages.next()
        rouge_l = score_rouge_l(tokens)

    orders = range(1, len(bleu) + 1)
    values = {f"bleu_{order}": score for order, score in zip(orders, bleu.tolist(), strict=True)}
    by_metric = {f"bleu_{order}": bleu_of_image[:, order - 1].tolist() for order in orders}
    by_metric |= {"rouge_l": rouge_l, "cider_d": cider_d}
    values |= {"rouge_l": mean(rouge_l), "cider_d": mean(cider_d)}
    not_computed: dict[str, str] = {}
    for metric in with_java:
        stages.next()
        if reason := unavailable(metric):
            not_computed[metric] = reason
            continue
        try:
            values[metric], by_metric[metric] = _JAVA[metric](chosen, predictions)
        except NotComputed as error:
            not_computed[metric] = str(error)
    stages.end()
    return Scores(
        title=f"{results.name}: {counted(len(images), 'image')} (set {fingerprint(images)}), "
        f"{len(captions) - len(images):,} without a result",
        values=values,
        per_example=[ExampleScores(metric, images, images, scores) for metric, scores in by_metric.items()],
        notes=notes,
        not_computed=not_computed,
    )


def _meteor(references: dict[Id, list[str]], predictions: dict[Id, str]) -> tuple[float, list[float]]:
    scores = meteor(references, predictions)
    return scores.corpus, list(scores.per_image.values())


def _spice(references: dict[Id, list[str]], predictions: dict[Id, str]) -> tuple[float, list[float]]:
    scores = list(spice(references, predictions).values())
    return mean(scores), scores


_JAVA = {"meteor": _meteor, "spice": _spice}
"""The corpus's score, and that of each image."""


def fingerprint(images: Sequence[Id]) -> str:
    """A short hash of a set of ids: CIDEr-D can be compared only where it is the same."""
    return hashlib.sha256("\n".join(sorted(map(str, images))).encode(errors="surrogatepass")).hexdigest()[:12]


class _Stages:
    def __init__(self, progress: Progress, names: Sequence[str]) -> None:
        self._progress, self._names = progress, names
        self._done = -1

    def next(self) -> None:
        """The stage before has ended, another begins."""
        self._done += 1
        self._progress(self._names[self._done], self._done, len(self._names))

    def end(self) -> None:
        """All are done."""
        self._progress(self._names[-1], len(self._names), len(self._names))


def _read_references(path: Path) -> dict[Id, list[str]]:
    content = read_json(path)
    rows = rows_of(content, path) if isinstance(content, list) else rows_under(content, "annotations", path)
    images = ids(rows, "image_id", path)
    captions: dict[Id, list[str]] = {}
    for image, caption in zip(images, strings(rows, "caption", images, "image", path), strict=True):
        captions.setdefault(image, []).append(caption)
    return captions


def _read_results(path: Path) -> tuple[dict[Id, str], int]:
    rows = rows_of(read_json(path), path)
    images = ids(rows, "image_id", path)
    return one_each(images, strings(rows, "caption", images, "image", path), "image", path)


def _check_images(
    captions: dict[Id, list[str]], given: dict[Id, str], references: Path, results: Path, all_images: bool
) -> None:
    unknown = given.keys() - captions.keys()
    if unknown:
        raise UserError(
            f"{len(unknown):,} of {len(given):,} images in '{results}' have no captions in '{references}': "
            f"{named(unknown)}{other_type(given, captions)}"
        )
    absent = captions.keys() - given.keys()
    if absent and all_images:
        raise UserError(
            f"{len(absent):,} of {len(captions):,} images in '{references}' have no result in '{results}': "
            f"{named(absent)}; without --all-images they are left out"
        )


def _notes_on_files(chosen: dict[Id, list[str]], repeated: int) -> list[str]:
    notes = []
    if repeated:
        notes.append(f"{counted(repeated, 'row')} of the results repeat another and are dropped")
    empty = [image for image, texts in chosen.items() if not all(text.strip() for text in texts)]
    if empty:
        notes.append(f"{counted(len(empty), 'image')} with an empty reference: {named(empty)}")
    return notes
