"""Token loss and perplexity over batches and processes."""

from collections.abc import Sequence

from torch import Tensor

from mmbench.metrics.language_model.token_loss import TokenLosses, token_loss
from mmbench.metrics.modules.examples import Id
from mmbench.metrics.modules.numbers import NumberExamples, Numbers


class TokenLoss(NumberExamples):
    """Loss of a corpus in nats a token, and its perplexity: `{"token_loss": …, "perplexity": …}`.

    Every token weighs the same, so neither is a mean over `per_example()`; `num_tokens()` gives the weights.
    """

    higher_is_better = False

    def update(self, ids: Tensor | Sequence[Id], logits: Tensor, labels: Tensor, mask: Tensor) -> None:
        """Add a batch; the arguments after the ids, and the errors, are those of `token_loss`."""
        losses = token_loss(logits, labels, mask)
        self.add(ids, losses.num_tokens, losses.nats[:, None])

    def compute(self) -> dict[str, float]:
        """Both by name.

        Raises:
            ValueError: no samples; an id with two different losses.
        """
        losses = _losses(self.numbers())
        return {"token_loss": losses.token_loss(), "perplexity": losses.perplexity()}

    def per_example(self) -> dict[Id, float]:
        """Mean nats a token of each example."""
        numbers = self.gathered()
        return dict(zip(numbers.ids, numbers.values[:, 0].tolist(), strict=True))

    def num_tokens(self) -> dict[Id, int]:
        """Tokens of each example that were scored."""
        numbers = self.gathered()
        return dict(zip(numbers.ids, numbers.facts.tolist(), strict=True))


def _losses(numbers: Numbers) -> TokenLosses:
    return TokenLosses(numbers.values[:, 0], numbers.facts)
