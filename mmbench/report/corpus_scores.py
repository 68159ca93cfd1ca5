"""BLEU-4, a sum over a corpus: it has no rows in ``scores.parquet`` and is made from the predictions."""

import pandas as pd

from mmbench.report.run_data import RunData


def corpus_scores(run: RunData) -> dict[str, dict[str, dict[str, float]]]:
    """By system, metric and seed. What ``cell.json`` states under ``corpus_scores`` is taken, the rest is computed."""
    found: dict[str, dict[str, dict[str, float]]] = {}
    captions = _captions(run.predictions)
    for cell in run.cells:
        stated = cell.content.get("corpus_scores")
        if stated is None:
            own = captions[(captions["system"] == cell.system) & (captions["seed"] == cell.seed)]
            stated = {"bleu_4": _bleu_4(own)} if len(own) else {}
        for metric, value in stated.items():
            found.setdefault(cell.system, {}).setdefault(metric, {})[str(cell.seed)] = float(value)
    return found


def _captions(predictions: pd.DataFrame) -> pd.DataFrame:
    """The captions of the test split."""
    if "task" not in predictions:
        return pd.DataFrame(columns=["system", "seed"])
    chosen = predictions["task"] == "caption"
    if "split" in predictions:
        chosen &= predictions["split"].isin(["test", ""]) | predictions["split"].isna()
    return predictions[chosen]


def _bleu_4(rows: pd.DataFrame) -> float:
    from mmbench.metrics import bleu  # loads the tokeniser's word lists, which a run without captions does not need

    references = {
        str(i): [str(text) for text in texts] for i, texts in zip(rows["example_id"], rows["references"], strict=True)
    }
    predictions = {str(i): str(text) for i, text in zip(rows["example_id"], rows["prediction"], strict=True)}
    return bleu(references, predictions).corpus[3]
