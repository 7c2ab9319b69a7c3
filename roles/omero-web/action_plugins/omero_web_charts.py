"""Charts of curves and of bars: no action, but what the page of a benchmark shows, as SVG that needs nothing else."""

import math
import runpy
from pathlib import Path
from types import SimpleNamespace

pages = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_page.py"))))
element, shown = pages.element, pages.shown

WIDTH, HEIGHT = 480, 240
LEFT, RIGHT, TOP, BOTTOM = 52, 14, 30, 34
TICKS = 4
WIDEST_BAR = 72
# Each series has a colour, and curves differ by their dashes, too.
LIGHT = ("#0b62a4", "#c2570c", "#1a7f5a", "#8a3ffc", "#a8174a", "#6b6b00")
DARK = ("#6cb6ff", "#ff9d5c", "#5fd3a3", "#c4a1ff", "#ff8fb0", "#d8d860")
DASHES = ("none", "8 3", "3 3", "8 3 2 3", "12 4", "2 2")


def _colours(colours):
    return ":root { " + " ".join(f"--s{number}: {colour};" for number, colour in enumerate(colours)) + " }"


# What a page with charts needs beside the style of every page.
STYLE = f"""
{_colours(LIGHT)}
@media (prefers-color-scheme: dark) {{ {_colours(DARK)} }}
@media print {{ {_colours(LIGHT)} figure {{ break-inside: avoid; }} }}
.charts {{ display: grid; gap: 1rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(22rem, 100%), 1fr)); }}
figure {{ margin: 0; }}
figure svg {{ height: auto; font: 13px system-ui, sans-serif; }}
svg text {{ fill: var(--quiet); }} svg .title {{ fill: var(--text); font-weight: 600; }}
svg .value {{ fill: var(--text); }} svg .grid {{ stroke: var(--line); }} svg .curve {{ fill: none; stroke-width: 2; }}
""".lstrip() + "".join(
    f"svg .f{number} {{ fill: var(--s{number}); }}\n"
    f"svg .l{number} {{ stroke: var(--s{number}); stroke-dasharray: {dash}; }}\n"
    for number, dash in enumerate(DASHES)
)


def beside_each_other(*figures):
    """Return charts, as many in a line as there is room for; nothing without any."""
    return element("div", *figures, class_="charts") if figures else ""


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
        line = " ".join(f"{a:.1f},{b:.1f}" for a, b in points)
        marks.append(element("polyline", class_=f"curve l{number}", points=line))
        marks += [element("circle", class_=f"f{number}", cx=f"{a:.1f}", cy=f"{b:.1f}", r=3.5) for a, b in points]
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
            marks.append(_rect(f"f{number}", left, top, width * 0.92, HEIGHT - BOTTOM - top))
            marks.append(_text(left + width * 0.46, top - 4, shown(value), "value", "middle"))
    return _figure(title, unit, axis, labels, xs, marks, series, note)


def _axis(series):
    axis = scale(max((value for values in series.values() for value in values if value is not None), default=0))
    return axis, lambda value: HEIGHT - BOTTOM - (HEIGHT - BOTTOM - TOP) * value / axis[-1]


def _text(x, y, text, kind="", anchor="start"):
    return element("text", text, class_=kind, x=f"{x:.1f}", y=f"{y:.1f}", text_anchor=anchor)


def _rect(kind, x, y, width, height):
    return element("rect", class_=kind, x=f"{x:.1f}", y=f"{y:.1f}", width=f"{width:.1f}", height=f"{height:.1f}")


def _figure(title, unit, axis, labels, xs, marks, series, note):
    """Return what all charts have: a title that says the unit, lines at round numbers, names of steps and of series."""
    below = HEIGHT - BOTTOM
    lines = []
    for tick in axis:
        y = below - (below - TOP) * tick / axis[-1]
        lines.append(element("line", class_="grid", x1=LEFT, x2=WIDTH - RIGHT, y1=f"{y:.1f}", y2=f"{y:.1f}"))
        lines.append(_text(LEFT - 6, y + 4, f"{tick:g}", anchor="end"))
    names = [_text(x, below + 16, label, anchor="middle") for x, label in zip(xs, labels, strict=True)]
    note_line = [_text(WIDTH - RIGHT, HEIGHT - 4, note, anchor="end")] if note else []
    keys, height = _keys(series) if len(series) > 1 else ([], HEIGHT)
    heading = f"{title}, {unit}"
    drawn = [_text(4, 16, heading, "title"), *lines, *names, *note_line, *marks, *keys]
    return element("figure", element("svg", *drawn, viewBox=f"0 0 {WIDTH} {height}", role="img", aria_label=heading))


def _keys(series):
    """Return which colour is whose, below the chart, in as many lines as it takes, and the height down to there."""
    keys, x, y = [], LEFT, HEIGHT + 12
    for number, name in enumerate(series):
        width = 26 + 7 * len(name)
        if x + width > WIDTH and x > LEFT:
            x, y = LEFT, y + 18
        keys.append(_rect(f"f{number}", x, y - 9, 12, 10))
        keys.append(_text(x + 17, y, name))
        x += width
    return keys, y + 8
