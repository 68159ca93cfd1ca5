"""Numbers as a reader wants them: few digits, true minus signs, units."""

import math

DASH = "\N{EN DASH}"
"""Stands where a number is not known."""
MINUS = "\N{MINUS SIGN}"
TIMES = "\N{MULTIPLICATION SIGN}"
_SUPERSCRIPTS = str.maketrans("-0123456789", "⁻⁰¹²³⁴⁵⁶⁷⁸⁹")


def fixed(value: float | None, digits: int, sign: bool = False) -> str:
    """``value`` with so many decimals; a dash for what is not known; never "-0.0"."""
    if value is None or not math.isfinite(value):
        return DASH
    text = f"{value:+.{digits}f}" if sign else f"{value:.{digits}f}"
    if float(text) == 0:
        text = text.lstrip("+-")
    return text.replace("-", MINUS)


def interval(low: float | None, high: float | None, digits: int) -> str:
    """``[low, high]``; empty where there is none."""
    if low is None or high is None or not (math.isfinite(low) and math.isfinite(high)):
        return ""
    return f"[{fixed(low, digits)}, {fixed(high, digits)}]"


def digits_for(half_widths: list[float], at_least: int, at_most: int | None = None) -> int:
    """Decimals with which the shortest half interval still shows one digit, within bounds."""
    most = at_least + 1 if at_most is None else at_most
    known = [width for width in half_widths if math.isfinite(width) and width > 10 ** -(at_least + 3)]
    if not known:
        return at_least
    return min(max(at_least, -math.floor(math.log10(min(known)))), most)


def p_words(p: float | None) -> str:
    """``p = 0.003`` or ``p < 0.001``, not to be broken over lines."""
    text = p_value(p)
    words = f"p {text}" if text.startswith("<") else f"p = {text}"
    return words.replace(" ", "\N{NO-BREAK SPACE}")


def p_value(p: float | None) -> str:
    """A p value with three decimals, two above 0.1."""
    if p is None or not math.isfinite(p):
        return DASH
    if p < 0.001:
        return "< 0.001"
    return f"{p:.2f}" if p >= 0.1 else f"{p:.3f}"


def count(value: float | None) -> str:
    """A whole number with thousands set apart; powers of ten from a billion on."""
    if value is None or not math.isfinite(value):
        return DASH
    if abs(value) >= 1e9:
        return power(value)
    return f"{value:,.0f}" if value == int(value) or abs(value) >= 100 else f"{value:,.2f}"


def power(value: float | None) -> str:
    """A number as mantissa and power of ten: two decimals and a raised exponent."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0"
    exponent = math.floor(math.log10(abs(value)))
    mantissa = f"{value / 10**exponent:.2f}"
    if mantissa.startswith("10"):
        mantissa, exponent = "1.00", exponent + 1
    return f"{mantissa} {TIMES} 10{str(exponent).translate(_SUPERSCRIPTS)}"


def millions(value: float | None) -> str:
    """Parameters: ``2.31 M``, ``1.24 B``."""
    if value is None or not math.isfinite(value):
        return DASH
    if value >= 1e9:
        return f"{value / 1e9:.2f} B"
    return f"{value / 1e6:.2f} M" if value >= 1e4 else f"{value:,.0f}"


def seconds(value: float | None) -> str:
    """Three digits: ``61.0 s``, ``4.10 min``, ``1.30 h``; ``6.20 ms`` below a second."""
    if value is None or not math.isfinite(value):
        return DASH
    if value == 0:
        return "0 s"
    if value < 1:
        return f"{_three(value * 1e3)} ms"
    if value < 120:
        return f"{_three(value)} s"
    return f"{_three(value / 60)} min" if value < 7200 else f"{_three(value / 3600)} h"


def _three(value: float) -> str:
    """Three significant digits, zeros at the end too; whole numbers from 100 on."""
    return f"{value:,.0f}" if value >= 99.95 else f"{value:#.3g}"


def memory(value: float | None) -> str:
    """Bytes as MiB or GiB."""
    if value is None or not math.isfinite(value):
        return DASH
    return f"{value / 2**30:.2f} GiB" if value >= 2**30 else f"{value / 2**20:.0f} MiB"


def percent(fraction: float | None, digits: int = 1) -> str:
    """A fraction as percent."""
    return DASH if fraction is None or not math.isfinite(fraction) else fixed(100 * fraction, digits) + "%"


def join(words: list[str]) -> str:
    """``a``, ``a and b``, ``a, b and c``."""
    return words[0] if len(words) == 1 else ", ".join(words[:-1]) + (" and " if words else "") + (words or [""])[-1]
