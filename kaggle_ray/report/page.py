"""An HTML page that needs nothing but a browser, and the parts that such pages share."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from html import escape
from importlib.resources import files

from kaggle_ray.report.figures import Figure, Mark
from kaggle_ray.types import JsonValue

_FORBID_REQUESTS = (
    "default-src 'none'; script-src 'unsafe-inline'; style-src 'unsafe-inline'; img-src data: blob:; "
    "base-uri 'none'; form-action 'none'"
)


def document(title: str, body: str, figures: Mapping[str, Figure]) -> str:
    """Return the page: its figures, 1.2 MB of plotly.js that draw them if there are any, and never a request.

    Args:
        title: of the browser's window, as text.
        body: HTML.
        figures: id of an element of the body -> the figure to draw in it.
    """
    scripts = f"""
<script type="application/json" id="figures">{_json_in_html(dict(figures))}</script>
<script>{_asset("vendored/plotly-basic.min.js")}</script>
<script>{_asset("page.js")}</script>"""
    return f"""\
<!doctype html>
<html lang="en">
<head>
<meta charset="utf-8">
<meta http-equiv="Content-Security-Policy" content="{_FORBID_REQUESTS}">
<meta name="viewport" content="width=device-width, initial-scale=1">
<meta name="color-scheme" content="light dark">
<title>{escape(title)}</title>
<style>{_asset("page.css")}</style>
</head>
<body>
<main>
{body}
</main>{scripts if figures else ""}
</body>
</html>
"""


def tiles(shown: Iterable[tuple[str, str, str]]) -> str:
    """Return a row of tiles, each a label, a figure and a detail, as text."""
    drawn = (
        f'<div class="tile"><p class="label">{escape(label)}</p><p class="figure">{_breakable(figure)}</p>'
        f'<p class="detail">{escape(detail)}</p></div>'
        for label, figure, detail in shown
    )
    return f'<section class="tiles">{"".join(drawn)}</section>'


def _breakable(name: str) -> str:
    """Let a long name be broken after its underscores before anywhere else."""
    return escape(name).replace("_", "_<wbr>")


def section(title: str, content: str) -> str:
    """Return a card under a title, both HTML."""
    return f'<section class="card"><h2>{title}</h2>{content}</section>'


def table(head: Sequence[str], rows: Iterable[tuple[str, Sequence[str]]], *, css: str) -> str:
    """Return a table that scrolls sideways; ``rows`` are (class, cells), all cells HTML already."""
    titles = "".join(f'<th scope="col">{title}</th>' for title in head)
    lines = "".join(f'<tr class="{kind}">{"".join(f"<td>{cell}</td>" for cell in cells)}</tr>' for kind, cells in rows)
    return (
        f'<div class="scroll"><table class="{css}"><thead><tr>{titles}</tr></thead><tbody>{lines}</tbody></table></div>'
    )


def marked(name: str, mark_of: Mapping[str, Mark]) -> str:
    """Return the name of an experiment behind the mark that it has in the figures."""
    mark = mark_of[name]
    return f'<span class="mark" style="color:{mark.colour}" aria-hidden="true">{mark.glyph}</span>{escape(name)}'


def definitions(facts: Mapping[str, str]) -> str:
    """Return a list of labels and what they stand for, as text."""
    pairs = (f"<div><dt>{escape(label)}</dt><dd>{escape(text)}</dd></div>" for label, text in facts.items())
    return f"<dl>{''.join(pairs)}</dl>"


def _json_in_html(value: JsonValue) -> str:
    """Return JSON that cannot end the script element it stands in."""
    return json.dumps(value, allow_nan=False, separators=(",", ":")).replace("<", "\\u003c")


def _asset(name: str) -> str:
    return files("kaggle_ray.report").joinpath(name).read_text(encoding="utf-8")
