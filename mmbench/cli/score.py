"""``mmbench score``: score result files that were made elsewhere."""

import gc
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Any

from jsonargparse import Namespace

from mmbench.cli.bar import bar
from mmbench.cli.options import writable_folder
from mmbench.cli.parser import CommandParser
from mmbench.config.errors import UserError

if TYPE_CHECKING:
    from mmbench.metrics.java.programs import JavaMetric
    from mmbench.scoring.scores import Progress, Scores

_INPUTS = {
    "captions": ("references", "results"),
    "vqa": ("questions", "annotations", "results"),
    "retrieval": ("similarity", "image_embeddings", "text_embeddings", "caption_image"),
}
_NEEDED = {
    "captions": ("references", "results"),
    "vqa": ("questions", "annotations", "results"),
    "retrieval": ("caption_image",),
}
_TIES = ("optimistic", "pessimistic")


def add_parser(commands: Any) -> None:
    """Add the command, and its three subcommands, to those of ``mmbench``."""
    parser = CommandParser(description="Score result files that were made elsewhere, as the field's tools score them.")
    commands.add_subcommand("score", parser, help="score result files that were made elsewhere")
    tasks = parser.add_subcommands(dest="task", required=True)

    captions = CommandParser(
        description="BLEU-1 to 4, ROUGE-L and CIDEr-D over images that have a result. Files may be compressed (.gz)."
    )
    _add_file(captions, "--references", 'COCO captions: {"annotations": [{"image_id", "caption"}, ...]}')
    _add_file(captions, "--results", 'COCO results: [{"image_id", "caption"}, ...]')
    captions.add_argument("--all-images", action="store_true", help="demand a result for each image with references")
    captions.add_argument("--meteor", action="store_true", help="METEOR as well; needs mmbench[java] and Java")
    captions.add_argument(
        "--spice", action="store_true", help="SPICE as well; needs mmbench[java], Java and its models"
    )
    _add_outputs(captions)
    tasks.add_subcommand("captions", captions, help="captions of images")

    vqa = CommandParser(
        description="The official VQA accuracy, overall and by answer type. Files may be compressed (.gz)."
    )
    _add_file(vqa, "--questions", 'official questions: {"questions": [{"question_id", "image_id"}, ...]}')
    _add_file(
        vqa, "--annotations", 'official annotations: {"annotations": [{"question_id", "answers", "answer_type"}, ...]}'
    )
    _add_file(vqa, "--results", 'official results: [{"question_id", "answer"}, ...], one for each question')
    vqa.add_argument("--question-types", action="store_true", help="the accuracy of each question type as well")
    _add_outputs(vqa)
    tasks.add_subcommand("vqa", vqa, help="answers to questions")

    retrieval = CommandParser(
        description="Recall@K and ranks, from captions to images and from images to captions. Give either a matrix of "
        "similarities or embeddings of both. Files may be compressed (.gz)."
    )
    _add_file(retrieval, "--similarity", "array [captions, images]")
    _add_file(retrieval, "--image-embeddings", "array [images, width]")
    _add_file(retrieval, "--text-embeddings", "array [captions, width]")
    _add_file(retrieval, "--caption-image", "array [captions]: the place of each caption's image, from 0")
    retrieval.add_argument(
        "--normalize",
        action="store_true",
        help="divide embeddings by their length: cosines; default: dot products of the embeddings as they are",
    )
    retrieval.add_argument(
        "--ks", type=int, nargs="+", default=[1, 5, 10], metavar="K", help="the K of Recall@K; default: 1 5 10"
    )
    _add_outputs(retrieval)
    tasks.add_subcommand("retrieval", retrieval, help="images and captions that find each other")


def run(arguments: Namespace) -> int:
    """Score, write what was asked for, print the table."""
    task: str = arguments.task
    asked = arguments[task]
    files = {name: Path(asked[name]).expanduser() for name in _INPUTS[task] if asked[name] is not None}
    _check_given(task, files)
    if task == "retrieval":
        _check_retrieval(asked, files)
    json_file = _output("--json", asked.json, files)
    example_file = _output("--per-example", asked.per_example, files)
    if example_file is not None and example_file.suffix != ".parquet":
        raise UserError(
            f"--per-example is '{asked.per_example}'; a parquet file is written: its name must end in .parquet"
        )

    with bar() as progress, _without_garbage_collection():
        scores = _SCORERS[task](asked, files, progress)
        if json_file is not None:
            scores.write_json(json_file)
        if example_file is not None:
            scores.write_per_example(example_file)
    _print(scores, task)
    return 0


def _add_file(parser: CommandParser, option: str, what: str) -> None:
    # What is missing is found by `_check_given`, whose words are plainer than the parser's.
    parser.add_argument(option, metavar="FILE", help=what)


def _add_outputs(parser: CommandParser) -> None:
    parser.add_argument("--json", metavar="FILE", help="write {metric: value} here, unrounded")
    parser.add_argument(
        "--per-example",
        metavar="FILE",
        help="write the score of each example here, as parquet: metric, example_id, cluster_id, score",
    )


def _check_given(task: str, files: dict[str, Path]) -> None:
    missing = [name for name in _NEEDED[task] if name not in files]
    if missing:
        options = ", ".join(f"--{name.replace('_', '-')}" for name in missing)
        raise UserError(f"{options} {'is' if len(missing) == 1 else 'are'} missing (see 'mmbench score {task} --help')")


def _check_retrieval(asked: Namespace, files: dict[str, Path]) -> None:
    embeddings = [f"--{name}-embeddings" for name in ("image", "text") if f"{name}_embeddings" in files]
    if "similarity" in files:
        if embeddings or asked.normalize:
            more = " and ".join(embeddings) or "--normalize"
            raise UserError(f"--similarity and {more} are given; give similarities or embeddings, not both")
    elif len(embeddings) < 2:
        raise UserError("give --similarity, or --image-embeddings and --text-embeddings")
    for k in asked.ks:
        if k < 1:
            raise UserError(f"--ks has {k}; every K must be at least 1")


def _output(option: str, text: str | None, files: dict[str, Path]) -> Path | None:
    """Where to write, before the work is done; None where nothing is to be written."""
    if text is None:
        return None
    path = Path(text).expanduser().resolve()  # the file that a link leads to, so that the link stays
    if path.exists() and not path.is_file():
        raise UserError(f"{option} is '{text}', which is not a file")
    for name, file in files.items():
        if path == file.resolve():
            raise UserError(f"{option} would overwrite --{name.replace('_', '-')}, '{file}'; give another name")
    writable_folder(str(path.parent))
    return path


def _score_captions(asked: Namespace, files: dict[str, Path], progress: "Progress") -> "Scores":
    from mmbench.scoring.captions import score_captions

    wanted: list[tuple[JavaMetric, bool]] = [("meteor", asked.meteor), ("spice", asked.spice)]
    with_java = [metric for metric, asked_for in wanted if asked_for]
    return score_captions(files["references"], files["results"], asked.all_images, progress, with_java)


def _score_vqa(asked: Namespace, files: dict[str, Path], progress: "Progress") -> "Scores":
    from mmbench.scoring.vqa import score_vqa

    return score_vqa(files["questions"], files["annotations"], files["results"], asked.question_types, progress)


def _score_retrieval(asked: Namespace, files: dict[str, Path], progress: "Progress") -> "Scores":
    from mmbench.scoring.retrieval import score_embeddings, score_similarity

    if "similarity" in files:
        return score_similarity(files["similarity"], files["caption_image"], asked.ks, progress)
    return score_embeddings(
        files["image_embeddings"],
        files["text_embeddings"],
        files["caption_image"],
        asked.ks,
        asked.normalize,
        progress,
    )


_SCORERS: dict[str, Callable[[Namespace, dict[str, Path], "Progress"], "Scores"]] = {
    "captions": _score_captions,
    "vqa": _score_vqa,
    "retrieval": _score_retrieval,
}


@contextmanager
def _without_garbage_collection() -> Iterator[None]:
    """Large files become millions of small objects, all in use: to look for garbage among them takes a third more."""
    was_on = gc.isenabled()
    gc.disable()
    try:
        yield
    finally:
        if was_on:
            gc.enable()


def _print(scores: "Scores", task: str) -> None:
    """The table on stdout, the notes on stderr."""
    from mmbench.cli.terminal import result_console, result_table

    ties = _TIES if task == "retrieval" else ()
    table = result_table(["metric", "score", *ties])
    variants = {f"{name}/{end}" for name in scores.values for end in ties}
    for name in scores.values:
        if name not in variants:
            cells = [scores.values.get(key) for key in (name, *(f"{name}/{end}" for end in ties))]
            table.add_row(name, *("" if value is None else _shown(task, name, value) for value in cells))
    for name in scores.not_computed:
        table.add_row(name, "not computed")
    console = result_console()
    console.print(scores.title, style="bold", markup=False, highlight=False)
    console.print(table)
    for note in [*scores.notes, *(f"{name} was not computed: {why}" for name, why in scores.not_computed.items())]:
        print(f"note: {' '.join(note.split())}", file=sys.stderr)


def _shown(task: str, name: str, value: float) -> str:
    """Percent, rounded as the official tools do; ranks as they are."""
    if name.endswith("_rank"):
        return f"{value:.1f}"
    if task == "vqa":
        return f"{round(100 * value, 2):.2f}"
    if task == "captions":
        # COCO's evaluation prints three decimals of the fraction.
        return f"{100 * float(f'{value:.3f}'):.1f}"
    return f"{100 * value:.1f}"
