"""One line of text into tokens, by the longest rule at each place."""

from mmbench.metrics.ptb.rules import RULES


def lex(text: str, following: str = "") -> list[str]:
    """Lower-case tokens of one line, without the punctuation that caption metrics drop.

    Args:
        text: one line (no line breaks).
        following: the start of the next line, since a single letter with a period looks across the line's end.
    """
    source = f"{text}\n{following}\n"
    tokens: list[str] = []
    position = 0
    while position < len(text):
        longest, end, token = 0, position + 1, ""
        for pattern, rewrite in RULES:
            match = pattern.match(source, position)
            if match and match.end() - position > longest:
                longest, end = match.end() - position, match.end(1)
                token = rewrite(source[position:end])
        if token:
            tokens.append(token.lower())
        position = end
    return tokens
