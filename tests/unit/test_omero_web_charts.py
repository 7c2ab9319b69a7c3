"""Charts and tables of figures: HTML and SVG that need nothing else, and in which no text is taken for markup."""

import re
import runpy
from pathlib import Path
from types import SimpleNamespace
from xml.etree import ElementTree

import pytest

PLUGIN = Path(__file__).parents[2] / "roles/omero-web/action_plugins/omero_web_charts.py"
charts = SimpleNamespace(**runpy.run_path(str(PLUGIN)))
pages = charts.pages
ODD = "<script>alert('1 & 2')</script>"


def drawing(figure):
    """The chart inside of a figure, as XML, which is stricter than HTML."""
    return ElementTree.fromstring(figure)[0]


def marks(figure, tag, attribute, of="f0"):
    return [float(mark.get(attribute)) for mark in drawing(figure).iter(tag) if mark.get("class") == of]


def texts(figure, of=None):
    return [text.text for text in drawing(figure).iter("text") if of is None or text.get("class") == of]


@pytest.mark.parametrize(
    "highest, ticks",
    [
        (0, [0, 1]),
        (1, [0, 0.25, 0.5, 0.75, 1]),
        (3, [0, 1, 2, 3]),
        (10, [0, 2.5, 5, 7.5, 10]),
        (101, [0, 50, 100, 150]),
        (383, [0, 100, 200, 300, 400]),
        (0.012, [0, 0.005, 0.01, 0.015]),
    ],
)
def test_axis_has_round_numbers_and_none_too_many(highest, ticks):
    assert charts.scale(highest) == pytest.approx(ticks)


def test_axis_ends_where_the_highest_is_or_above():
    for value in range(1, 5000, 13):
        ticks = charts.scale(value / 7)
        assert ticks[-1] >= value / 7 * 0.99999 > ticks[-2] * 0.99999
        assert len(ticks) <= charts.TICKS + 1


@pytest.mark.parametrize(
    "value, text",
    [(1234.5, "1,234"), (123.4, "123"), (12.34, "12.3"), (1.234, "1.23"), (5, "5"), (5.0, "5"), (None, ""), ("a", "a")],
)
def test_numbers_are_shown_as_people_compare_them(value, text):
    assert pages.shown(value) == text


def test_bars_are_as_high_as_their_values():
    figure = charts.bar_chart("login page", "requests/s", ["1", "5"], {"served": [50, 100]})
    low, high = marks(figure, "rect", "height")
    assert high == pytest.approx(2 * low)
    assert high == charts.HEIGHT - charts.BOTTOM - charts.TOP
    assert texts(figure, "value") == ["50", "100"]
    assert drawing(figure).get("aria-label") == "login page, requests/s"


def test_bars_of_a_group_are_beside_each_other_and_in_the_chart():
    series = {name: [1, 2, 3] for name in "abcd"}
    figure = charts.bar_chart("t", "u", ["x", "y", "z"], series)
    lefts = [marks(figure, "rect", "x", f"f{number}")[:3] for number in range(4)]
    assert [tuple(sorted(group)) == group for group in zip(*lefts, strict=True)] == [True, True, True]
    assert min(map(min, lefts)) >= charts.LEFT and max(map(max, lefts)) < charts.WIDTH - charts.RIGHT
    # Each with its name, in its colour.
    assert [text for text in texts(figure, "") if text in series] == list(series)


def test_curves_go_through_their_values_and_leave_out_what_is_missing():
    figure = charts.line_chart("t", "ms", ["1", "5", "20"], {"median": [10, None, 20], "95 %": [None, 5, 0]}, "at once")
    below = charts.HEIGHT - charts.BOTTOM
    assert marks(figure, "circle", "cy") == [(charts.TOP + below) / 2, charts.TOP]
    assert marks(figure, "circle", "cy", "f1")[-1] == below
    first, second = (line.get("points").split() for line in drawing(figure).iter("polyline"))
    assert (len(first), len(second)) == (2, 2)
    assert {"median", "95 %", "at once"} <= set(texts(figure))


def test_a_chart_without_any_value():
    figure = charts.bar_chart("t", "u", ["x"], {"a": [None]})
    assert marks(figure, "rect", "x") == []


def test_many_names_take_more_lines_and_stay_inside():
    series = {f"{number} workers of many threads": [1] for number in range(6)}
    figure = drawing(charts.line_chart("t", "u", ["x"], series))
    height = float(figure.get("viewBox").split()[3])
    keys = [text for text in figure.iter("text") if text.text in series]
    assert len({text.get("y") for text in keys}) > 1
    assert all(float(text.get("y")) < height for text in keys)


def test_no_text_is_taken_for_markup():
    parts = [
        pages.heading(ODD, "ok", ODD),
        pages.listing([ODD]),
        pages.table([ODD], [[ODD]]),
        charts.bar_chart(ODD, ODD, [ODD], {ODD: [1], ODD + "2": [1]}, ODD),
        charts.line_chart(ODD, ODD, [ODD], {ODD: [1]}, ODD),
    ]
    page = pages.page(ODD, *parts)
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&#x27;1 &amp; 2&#x27;)&lt;/script&gt;") == 20


def test_a_page_needs_nothing_else():
    chart = charts.bar_chart("t", "u", ["x"], {"a": [1]})
    page = pages.page("Title", charts.beside_each_other(chart), style=charts.STYLE)
    assert not re.search(r"https?://|src=|href=|url\(|@import|<script|\son\w+=", page)
    assert page.startswith("<!DOCTYPE html>")
    assert "color-scheme: light dark" in page and "prefers-color-scheme: dark" in page and "@media print" in page


def test_numbers_of_a_table_are_aligned_by_their_ends():
    table = pages.table(["page", "ms"], [["login", 1.25], ["api", None]])
    assert '<th class="text">page</th><th>ms</th>' in table
    assert '<td class="text">login</td><td>1.25</td>' in table
    assert '<td class="text">api</td><td></td>' in table
