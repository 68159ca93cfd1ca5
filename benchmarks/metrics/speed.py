"""How fast the metrics are, as ratios to their references within one run: `python benchmarks/metrics/speed.py`.

Needs Java and PyPI's pycocoevalcap for the captions, captions to draw from (`--captions`, a COCO captions JSON, or
gzip of one), and for VQA the official annotations (`--annotations`, gzip or not) and, to compare with, a checkout
of the official evaluation (`--vqa-official`, or MMBENCH_VQA_OFFICIAL in the environment: its folder
`PythonEvaluationTools/vqaEvaluation`). Measurements alternate between ours and theirs; the median of the ratios is
printed.
"""

import argparse
import copy
import gzip
import json
import random
import resource
import statistics
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from official_vqa import evaluate_official, load_official, official_folder


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--captions", type=Path, help="COCO captions JSON to draw captions from")
    parser.add_argument("--annotations", type=Path, help="official VQA annotations")
    parser.add_argument(
        "--vqa-official", type=Path, default=official_folder(), help="folder with the official vqaEval.py"
    )
    parser.add_argument("--num-images", type=int, default=40_504, help="images of the caption benchmark")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each")
    options = parser.parse_args()
    compare_recall(options.repeats)
    if options.captions:
        compare_captions(options.captions, options.num_images, options.repeats)
    if options.annotations and options.vqa_official:
        compare_vqa(options.annotations, options.vqa_official, options.repeats)


def compare(name: str, ours: Callable[[], Any], theirs: Callable[[], Any], repeats: int, unit: str) -> None:
    """Alternate the two and print the median times and the median of the ratios."""
    pairs = []
    for _ in range(repeats):
        pairs.append((seconds(ours), seconds(theirs)))
    medians = [statistics.median(times) for times in zip(*pairs, strict=True)]
    ratio = statistics.median(other / own for own, other in pairs)
    print(f"{name}: {medians[0]:.2f} s, {unit} {medians[1]:.2f} s: ratio {ratio:.2f} ({repeats} rounds)", flush=True)


def seconds(work: Callable[[], Any]) -> float:
    start = time.perf_counter()
    work()
    return time.perf_counter() - start


def compare_recall(repeats: int) -> None:
    """Recall both ways over 5,000 images and 25,000 captions, D = 512, against the bare matrix product."""
    import torch

    from mmbench.metrics import cross_modal_recall

    generator = torch.Generator().manual_seed(0)
    images = torch.randn(5_000, 512, generator=generator)
    owner = torch.arange(25_000) // 5
    texts = images[owner] + 3 * torch.randn(25_000, 512, generator=generator)
    before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    cross_modal_recall(images, texts, owner)
    extra = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
    print(f"recall: {extra:.0f} MiB above the embeddings, {torch.get_num_threads()} threads", flush=True)
    compare(
        "recall", lambda: cross_modal_recall(images, texts, owner), lambda: images @ texts.T, repeats, "bare product"
    )


def compare_captions(path: Path, num_images: int, repeats: int) -> None:
    """Raw text to CIDEr-D with five references an image; the reference's tokeniser counts on its side."""
    from pycocoevalcap.cider.cider import Cider
    from pycocoevalcap.tokenizer.ptbtokenizer import PTBTokenizer

    from mmbench.metrics import cider_d

    texts = [annotation["caption"] for annotation in read_json(path)["annotations"]]
    rng = random.Random(0)
    references = {image: rng.sample(texts, 5) for image in range(num_images)}
    predictions = {image: rng.choice(texts) for image in range(num_images)}

    def reference() -> Any:
        truth = PTBTokenizer().tokenize({k: [{"caption": text} for text in v] for k, v in references.items()})
        given = PTBTokenizer().tokenize({k: [{"caption": text}] for k, text in predictions.items()})
        return Cider().compute_score(truth, given)[1]

    difference = np.abs(np.array(list(cider_d(references, predictions).values())) - reference()).max()
    print(f"CIDEr-D of {num_images} images: largest difference {difference:.1e}", flush=True)
    compare("CIDEr-D", lambda: cider_d(references, predictions), reference, repeats, "reference")


def compare_vqa(annotations: Path, official: Path, repeats: int) -> None:
    """VQA accuracy of answers drawn from the people's own, against the official code."""
    from mmbench.metrics import vqa_accuracy

    questions = {item["question_id"]: item for item in read_json(annotations)["annotations"]}
    rng = random.Random(0)
    predictions = {question: rng.choice(item["answers"])["answer"] for question, item in questions.items()}
    answers = {question: [each["answer"] for each in item["answers"]] for question, item in questions.items()}
    evaluation = load_official(official)
    copies = [copy.deepcopy(questions) for _ in range(repeats)]  # it changes its input

    def reference() -> None:
        evaluate_official(evaluation, copies.pop(), predictions)

    compare("VQA accuracy", lambda: vqa_accuracy(predictions, answers), reference, repeats, "official")


def read_json(path: Path) -> Any:
    data = path.read_bytes()
    return json.loads(gzip.decompress(data) if path.suffix == ".gz" else data)


if __name__ == "__main__":
    main()
