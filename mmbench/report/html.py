"""The report's first page as one HTML file for sharing: no scripts, nothing loaded from elsewhere, all text escaped."""

import re
from html import escape
from itertools import takewhile
from pathlib import Path
from typing import Any

from mmbench.report.document import Document

_STYLE = """
body{font:16px/1.45 Georgia,'Noto Serif',serif;max-width:62rem;margin:2rem auto;padding:0 1rem;color:#1a1a1a}
table{border-collapse:collapse;font-size:.85rem;width:100%;border-top:2px solid;border-bottom:2px solid}
caption{text-align:left;padding:.4rem 0}th,td{padding:.25rem .5rem;text-align:left;overflow-wrap:anywhere}
thead{border-bottom:1px solid}.number{text-align:right}.below,.small,.muted,footer{color:#666;font-size:.85em}
.below{display:block}.flag{color:#B03A00;font-weight:bold}.rule td{border-top:1px solid #999}
.notice{border-left:3px solid #B03A00;background:#FBF3EE;padding:.5rem 1rem}.wide{overflow-x:auto}
svg{max-width:100%;height:auto}
"""


def html_page(document: Document) -> str:
    """What stands before the first heading of the report, and its first figure."""
    content = document.content()
    first = list(takewhile(lambda block: block["type"] != "heading", content["blocks"]))
    if not any(block["type"] == "figure" for block in first):
        first += [block for block in content["blocks"] if block["type"] == "figure"][:1]
    colours = content["colours"]
    body = "\n".join(_block(block, colours, document.pictures) for block in first)
    title = _spans(content["title_spans"], colours)
    note = f'<p class="notice">{escape(content["note"])}</p>' if content["note"] else ""
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; style-src 'unsafe-inline'\">"
        f'<meta name="viewport" content="width=device-width"><title>{escape(content["title"])}</title>'
        f"<style>{_STYLE}</style></head><body>\n<h1>{title}</h1><p>{escape(content['subtitle'])}</p>{note}\n{body}\n"
        f"<footer>First page of the report {escape(content['name'])}, mmbench {escape(content['version'])}.</footer>"
        "</body></html>\n"
    )


def _block(block: dict[str, Any], colours: dict[str, str], pictures: list[Path]) -> str:
    kind = block["type"]
    if kind == "lead":
        return f"<p><b>{escape(block['label'])}.</b> {_spans(block['spans'], colours)}</p>"
    if kind == "notice":
        return f'<p class="notice">{_spans(block["spans"], colours)}</p>'
    if kind == "paragraph":
        return f'<p class="{"small" if block["small"] else "text"}">{_spans(block["spans"], colours)}</p>'
    if kind == "bullets":
        return "<ul>" + "".join(f"<li>{_spans(item, colours)}</li>" for item in block["items"]) + "</ul>"
    if kind == "table":
        return _table(block, colours)
    if kind == "figure":
        return f"<figure>{_svg(block, pictures)}<figcaption>{escape(block['caption'])}</figcaption></figure>"
    return ""


def _spans(spans: list[dict[str, str]], colours: dict[str, str]) -> str:
    return "".join(_styled(span["t"], span["s"], colours) for span in spans)


def _styled(words: str, style: str, colours: dict[str, str]) -> str:
    # Names of any script stand apart from the direction of the text around them.
    shown = escape(words)
    if style == "system":
        return f'<b style="color:{colours.get(words, "#000000")}"><bdi>{shown}</bdi></b>'
    if style in ("bold", "code"):
        return f"<b>{shown}</b>" if style == "bold" else f"<code>{shown}</code>"
    return f'<span class="{style}">{shown}</span>' if style in ("muted", "flag") else shown


def _table(block: dict[str, Any], colours: dict[str, str]) -> str:
    sides = ['class="number"' if side == "right" else "" for side in block["align"]]
    groups = "".join(f'<th colspan="{group["n"]}">{escape(group["t"])}</th>' for group in block["groups"])
    head = "".join(f"<th {side}>{escape(words)}</th>" for words, side in zip(block["header"], sides, strict=True))
    rows = []
    for number, row in enumerate(block["rows"]):
        cells = []
        for cell, side in zip(row, sides, strict=True):
            below = f'<span class="below">{escape(cell["b"])}</span>' if cell["b"] else ""
            cells.append(f"<td {side}>{_styled(cell['t'], cell['s'], colours)}{below}</td>")
        kind = ' class="rule"' if number and number in block["rules"] else ""
        rows.append(f"<tr{kind}>{''.join(cells)}</tr>")
    above = f"<tr>{groups}</tr>" if groups else ""
    return (
        f'<div class="wide"><table><caption>{escape(block["title"])}</caption><thead>{above}<tr>{head}</tr></thead>'
        f"<tbody>{''.join(rows)}</tbody></table></div>"
    )


def _svg(block: dict[str, Any], pictures: list[Path]) -> str:
    """The figure itself, without the lines that only a file of its own needs."""
    number = re.sub(r"\D", "", block["path"].partition(".")[0])
    return re.sub(r"^.*?(?=<svg)", "", pictures[int(number)].read_text(encoding="utf-8"), count=1, flags=re.DOTALL)
