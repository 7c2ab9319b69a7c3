"""Pages that people read in a browser: no action, but what reports are made of.

A page is one file that needs no script and nothing from elsewhere. Its colours follow the reader's light or dark, and
paper is white. Charts are SVG inside of it. All functions are pure: texts and numbers in, HTML out.
"""

import math
from html import escape

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 30, 34
TICKS = 4
WIDEST_BAR = 72
STYLE = """
:root { color-scheme: light dark;
  --paper: #fff; --ink: #1c2733; --faint: #5b6875; --line: #d8dee4; --panel: #f5f7f9;
  --s0: #0b62a4; --s1: #c2570c; --s2: #1a7f5a; --s3: #8a3ffc; --s4: #a8174a; --s5: #6b6b00; }
@media (prefers-color-scheme: dark) { :root {
  --paper: #12171c; --ink: #e4e9ee; --faint: #9aa7b4; --line: #313b45; --panel: #1a2128;
  --s0: #6cb6ff; --s1: #ff9d5c; --s2: #5fd3a3; --s3: #c4a1ff; --s4: #ff8fb0; --s5: #d8d860; } }
@media print { :root { color-scheme: light;
  --paper: #fff; --ink: #000; --faint: #444; --line: #bbb; --panel: #fff;
  --s0: #0b62a4; --s1: #c2570c; --s2: #1a7f5a; --s3: #8a3ffc; --s4: #a8174a; --s5: #6b6b00; }
  figure, tr, li { break-inside: avoid; } .scroll { overflow: visible; }
  table { font-size: .65rem !important; } td, th { white-space: normal !important; padding: .15rem .25rem !important;
  overflow-wrap: anywhere; } h2 { break-after: avoid; } }
* { box-sizing: border-box; }
body { margin: 0 auto; max-width: 68rem; padding: 1.5rem 1rem 3rem; background: var(--paper); color: var(--ink);
  font: 1rem/1.5 system-ui, "Segoe UI", "DejaVu Sans", sans-serif; }
h1 { font-size: 1.6rem; line-height: 1.2; margin: 0 0 .25rem; }
h2 { font-size: 1.15rem; margin: 2rem 0 .5rem; }
.faint { color: var(--faint); margin: 0 0 1rem; }
.important { border-left: 4px solid var(--s0); background: var(--panel); padding: .6rem .9rem; margin: .75rem 0; }
.problem { border-left-color: var(--s4); }
.charts { display: grid; grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); gap: 1rem; }
figure { margin: 0; padding: .5rem; background: var(--panel); border: 1px solid var(--line); border-radius: 6px; }
svg { display: block; width: 100%; height: auto; font: 13px system-ui, "DejaVu Sans", sans-serif; }
svg text { fill: var(--faint); } svg .title { fill: var(--ink); font-weight: 600; } svg .value { fill: var(--ink); }
svg .grid { stroke: var(--line); } svg .curve { fill: none; stroke-width: 2; }
.scroll { overflow-x: auto; margin-top: 1rem; }
li { margin: .3rem 0; }
table { border-collapse: collapse; width: 100%; font-size: .85rem; font-variant-numeric: tabular-nums; }
th, td { text-align: right; padding: .25rem .6rem; border-bottom: 1px solid var(--line); white-space: nowrap; }
th { color: var(--faint); font-weight: 600; } th.text, td.text { text-align: left; }
"""
# Curves differ by their dashes, too.
DASHES = ("none", "8 3", "3 3", "8 3 2 3", "12 4", "2 2")
STYLE += "\n".join(
    f"svg .f{n} {{ fill: var(--s{n}); }} svg .l{n} {{ stroke: var(--s{n}); stroke-dasharray: {dash}; }}"
    for n, dash in enumerate(DASHES)
)


def page(title, *parts):
    """Return a whole page: its title is text, its parts are HTML."""
    head = (
        '<!doctype html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n</head>\n"
    )
    return f"{head}<body>\n<main>\n<h1>{escape(title)}</h1>\n" + "\n".join(parts) + "\n</main>\n</body>\n</html>\n"


def section(title, *parts):
    return f"<section>\n<h2>{escape(title)}</h2>\n" + "\n".join(parts) + "\n</section>"


def paragraph(text, kind=""):
    """Return a paragraph; its kind is faint, important, or important problem."""
    return f'<p class="{kind}">{escape(text)}</p>' if kind else f"<p>{escape(text)}</p>"


def bullets(texts):
    return "<ul>\n" + "\n".join(f"<li>{escape(text)}</li>" for text in texts) + "\n</ul>"


def charts(*figures):
    return '<div class="charts">\n' + "\n".join(figures) + "\n</div>"


def table(header, rows):
    """Return a table: numbers are aligned by their ends, text by its beginning."""
    is_text = [any(isinstance(row[column], str) for row in rows) for column in range(len(header))]

    kinds = [' class="text"' if text else "" for text in is_text]

    def cells(tag, values):
        each = zip(kinds, map(shown, values), strict=True)
        return "".join(f"<{tag}{kind}>{escape(value)}</{tag}>" for kind, value in each)

    lines = [f"<tr>{cells('td', row)}</tr>" for row in rows]
    head = f"<thead><tr>{cells('th', header)}</tr></thead>"
    return f'<div class="scroll"><table>\n{head}\n<tbody>\n' + "\n".join(lines) + "\n</tbody>\n</table></div>"


def shown(value):
    """Return a number as people read it: three digits are enough to compare by."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def scale(highest):
    """Return the ticks of an axis from 0 on, each a round number, the last one not below what is highest."""
    if not highest > 0:
        return [0, 1]
    power = 10 ** math.floor(math.log10(highest / TICKS))
    step = next(factor * power for factor in (1, 2, 2.5, 5, 10) if factor * power * TICKS >= highest * 0.999999)
    return [number * step for number in range(math.ceil(highest / step - 1e-6) + 1)]


def line_chart(title, unit, labels, series, note=""):
    """Return a chart of curves over named steps. series are values, a number or None for each step, by their names."""
    axis, y = _axis(series)
    plot = WIDTH - LEFT - RIGHT
    xs = [LEFT + plot * (number + 0.5) / len(labels) for number in range(len(labels))]
    marks = []
    for number, values in enumerate(series.values()):
        points = [(x, y(value)) for x, value in zip(xs, values, strict=True) if value is not None]
        marks.append(f'<polyline class="curve l{number}" points="{" ".join(f"{a:.1f},{b:.1f}" for a, b in points)}"/>')
        marks += [f'<circle class="f{number}" cx="{a:.1f}" cy="{b:.1f}" r="3.5"/>' for a, b in points]
    return _figure(title, unit, axis, labels, xs, marks, series, note)


def bar_chart(title, unit, labels, series, note=""):
    """Return a chart of bars in named groups, each with its number. series are as those of a line chart."""
    axis, y = _axis(series)
    group = (WIDTH - LEFT - RIGHT) / len(labels)
    width = min(group * 0.8 / len(series), WIDEST_BAR)
    xs = [LEFT + group * (number + 0.5) for number in range(len(labels))]
    marks = []
    for number, values in enumerate(series.values()):
        for x, value in zip(xs, values, strict=True):
            if value is None:
                continue
            left, top = x + width * (number - len(series) / 2), y(value)
            size = f'width="{width * 0.92:.1f}" height="{HEIGHT - BOTTOM - top:.1f}"'
            marks.append(f'<rect class="f{number}" x="{left:.1f}" y="{top:.1f}" {size}/>')
            marks.append(_text(left + width * 0.46, top - 4, shown(value), "value", "middle"))
    return _figure(title, unit, axis, labels, xs, marks, series, note)


def _axis(series):
    axis = scale(max((value for values in series.values() for value in values if value is not None), default=0))
    return axis, lambda value: HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / axis[-1]


def _text(x, y, text, kind="", anchor="start"):
    return f'<text class="{kind}" x="{x:.1f}" y="{y:.1f}" text-anchor="{anchor}">{escape(text)}</text>'


def _figure(title, unit, axis, labels, xs, marks, series, note):
    """Return what all charts have: a title that says the unit, lines at round numbers, names of steps and of series."""
    below = HEIGHT - BOTTOM
    lines = []
    for tick in axis:
        y = below - (below - TOP) * tick / axis[-1]
        lines.append(f'<line class="grid" x1="{LEFT}" x2="{WIDTH - RIGHT}" y1="{y:.1f}" y2="{y:.1f}"/>')
        lines.append(_text(LEFT - 6, y + 4, f"{tick:g}", anchor="end"))
    names = [_text(x, below + 16, label, anchor="middle") for x, label in zip(xs, labels, strict=True)]
    note_line = [_text(WIDTH - RIGHT, HEIGHT - 4, note, anchor="end")] if note else []
    keys, height = _keys(series) if len(series) > 1 else ([], HEIGHT)
    heading = f"{title}, {unit}"
    drawn = "\n".join([_text(4, 16, heading, "title"), *lines, *names, *note_line, *marks, *keys])
    svg = f'<svg viewBox="0 0 {WIDTH} {height}" role="img" aria-label="{escape(heading)}">\n{drawn}\n</svg>'
    return f"<figure>\n{svg}\n</figure>"


def _keys(series):
    """Return which colour is whose, below the chart, in as many lines as it takes, and the height down to there."""
    keys, x, y = [], LEFT, HEIGHT + 12
    for number, name in enumerate(series):
        width = 26 + 7 * len(name)
        if x + width > WIDTH and x > LEFT:
            x, y = LEFT, y + 18
        keys.append(f'<rect class="f{number}" x="{x}" y="{y - 9}" width="12" height="10"/>')
        keys.append(_text(x + 17, y, name))
        x += width
    return keys, y + 8
