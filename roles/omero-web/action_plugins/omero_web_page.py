"""Pages for a browser: no action, but what the reports of this role are made of.

A page is one file without scripts that loads nothing, for screens of every width, in light and dark, and for paper.
"""

import html
import re

# What would not be shown, would be shown in another order than it is written in, or cannot be written as UTF-8.
INVISIBLE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u2028-\u202e\u2066-\u2069\ud800-\udfff]")
POLICY = "default-src 'none'; style-src 'unsafe-inline'; base-uri 'none'; form-action 'none'"
STYLE = """
:root { color-scheme: light dark; --back: #f4f5f7; --card: #fff; --text: #1c2430; --quiet: #5b6675; --line: #dde1e7;
  --ok: #17803d; --attention: #a85b00; --down: #c0202b; --unknown: #6b4fa0; --bar: #2f6fb3; --track: #e6e9ee; }
@media (prefers-color-scheme: dark) { :root { --back: #12161c; --card: #1b212a; --text: #e6eaf0; --quiet: #9aa6b5;
  --line: #2e3742; --ok: #4cc27a; --attention: #f0a94a; --down: #ff7b7f; --unknown: #b79cf0; --bar: #6aa9ea;
  --track: #2b333e; } }
* { box-sizing: border-box; }
body { margin: 0 auto; padding: 1.5rem 1rem 3rem; max-width: 72rem; background: var(--back); color: var(--text);
  font: 1rem/1.5 system-ui, sans-serif; overflow-wrap: anywhere; }
h1 { margin: 0; font-size: 1.7rem; line-height: 1.25; text-wrap: balance; }
h2 { margin: 0; font-size: 1.25rem; }
h3 { margin: 0 0 .4rem; font-size: .8rem; letter-spacing: .05em; text-transform: uppercase; color: var(--quiet); }
p, ul { margin: .25rem 0; }
ul { padding: 0; list-style: none; }
li + li { margin-top: .4rem; }
a { color: inherit; }
code { padding: .1rem .35rem; border-radius: .25rem; background: var(--track);
  font: .85em/1.5 ui-monospace, monospace; }
header { padding: 1.25rem; border-left: .5rem solid; border-radius: .5rem; background: var(--card); }
header p, .quiet { color: var(--quiet); }
section, article { margin-top: 1.25rem; padding: 1.25rem; border: 1px solid var(--line); border-radius: .5rem;
  background: var(--card); }
.parts { display: grid; gap: 1.25rem; margin-top: 1rem;
  grid-template-columns: repeat(auto-fit, minmax(min(100%, 20rem), 1fr)); }
.wide { grid-column: 1 / -1; }
.title { display: flex; flex-wrap: wrap; gap: .25rem .75rem; align-items: center; }
.mark { padding: .05rem .6rem; border: 1px solid; border-radius: 1rem; font-size: .85rem; font-weight: 600;
  white-space: nowrap; }
.ok { color: var(--ok); } .attention { color: var(--attention); } .down { color: var(--down); }
.unknown { color: var(--unknown); }
header > * { color: var(--text); }
table { width: 100%; border-collapse: collapse; }
th { font-size: .85rem; font-weight: 600; color: var(--quiet); }
th, td { padding: .4rem .75rem .4rem 0; border-top: 1px solid var(--line); text-align: left; vertical-align: top; }
thead th { border: 0; }
.scroll { overflow-x: auto; margin-top: 1rem; }
.numbers { font-size: .85rem; font-variant-numeric: tabular-nums; }
.numbers th, .numbers td { padding: .25rem .6rem; text-align: right; white-space: nowrap; }
.numbers .text { text-align: left; }
.ends { display: flex; justify-content: space-between; gap: 1rem; }
.number { white-space: nowrap; font-variant-numeric: tabular-nums; }
.small { font-size: .85rem; }
svg { display: block; width: 100%; height: .5rem; }
svg .track { fill: var(--track); } svg .part { fill: var(--bar); } svg .down { fill: var(--down); }
svg .attention { fill: var(--attention); }
@media (max-width: 40rem) {
  .records thead { display: none; }
  .records tr { display: block; padding: .5rem 0; border-top: 1px solid var(--line); }
  .records td { display: flex; gap: .75rem; padding: .1rem 0; border: 0; }
  .records td:has(span:empty) { display: none; }
  .records td::before { content: attr(data-label); flex: 0 0 6rem; color: var(--quiet); }
}
@media print {
  :root { color-scheme: light; --back: #fff; --card: #fff; --text: #000; --quiet: #444; --line: #bbb; --track: #eee;
    --ok: #17803d; --attention: #a85b00; --down: #c0202b; --unknown: #6b4fa0; --bar: #2f6fb3; }
  body { padding: 0; max-width: none; font-size: 10pt; }
  article, .parts > div, tr { break-inside: avoid; }
  .scroll { overflow: visible; }
  .numbers { font-size: .65rem; }
  .numbers th, .numbers td { padding: .15rem .25rem; white-space: normal; }
  svg, code, header { print-color-adjust: exact; -webkit-print-color-adjust: exact; }
}
""".strip()


class Markup(str):
    """Text that is HTML already. Any other text is escaped where it becomes a part of an element."""


def escaped(value):
    if isinstance(value, Markup):
        return value
    return Markup(html.escape(INVISIBLE.sub("\N{REPLACEMENT CHARACTER}", str(value))))


def element(name, *content, **attributes):
    """Return an element. An attribute that Python has a word for ends with an underscore (class_); of others it is a
    hyphen (aria_label). One without a value is left out."""
    known = {key.rstrip("_").replace("_", "-"): value for key, value in attributes.items() if value is not None}
    words = "".join(f' {key}="{escaped(str(value))}"' for key, value in known.items())
    return Markup(f"<{name}{words}>{joined(content)}</{name}>")


def joined(parts):
    return Markup("".join(escaped(part) for part in parts))


def page(title, *content, style=""):
    """Return a whole page; one that a mistake let foreign markup into still runs and loads nothing."""
    head = (
        f'<!DOCTYPE html>\n<html lang="en">\n<head>\n<meta charset="utf-8">\n<title>{escaped(title)}</title>\n'
        f'<meta http-equiv="Content-Security-Policy" content="{POLICY}">\n'
        '<meta name="viewport" content="width=device-width, initial-scale=1">\n'
        f"<style>\n{STYLE}\n{style}</style>\n</head>\n<body>\n"
    )
    return f"{head}{joined(content)}\n</body>\n</html>\n"


def heading(title, verdict, *lines):
    """Return what a page begins with: what it comes to, coloured by how good that is."""
    return element("header", element("h1", title), *(element("p", line) for line in lines), class_=verdict)


def mark(word):
    return element("span", word, class_=f"mark {word}")


def part(title, *content, wide=False):
    """Return one of the parts that stand beside each other where there is room; none without content."""
    return element("div", element("h3", title), *content, class_="wide" if wide else None) if any(content) else ""


def listing(items):
    """Return a list; nothing without items."""
    return element("ul", *(element("li", item) for item in items)) if items else ""


def records(columns, rows):
    """Return a table that is a list of records on a narrow screen."""
    head = element("thead", element("tr", *(element("th", column) for column in columns)))
    body = (
        element("tr", *(
            element("td", element("span", cell), data_label=column) for column, cell in zip(columns, row, strict=True)
        ))
        for row in rows
    )  # fmt: skip
    return element("table", head, element("tbody", *body), class_="records")


def table(columns, rows):
    """Return a table of figures: numbers are aligned by their ends, text by its beginning."""
    kinds = ["text" if any(isinstance(row[number], str) for row in rows) else None for number in range(len(columns))]

    def line(name, values):
        cells = (element(name, shown(value), class_=kind) for value, kind in zip(values, kinds, strict=True))
        return element("tr", *cells)

    head, body = element("thead", line("th", columns)), element("tbody", *(line("td", row) for row in rows))
    return element("div", element("table", head, body, class_="numbers"), class_="scroll")


def shown(value):
    """Return a number as people read it: three digits are enough to compare by."""
    if value is None:
        return ""
    if isinstance(value, str):
        return value
    if abs(value) >= 100 or value == int(value):
        return f"{value:,.0f}"
    return f"{value:.1f}" if abs(value) >= 10 else f"{value:.2f}"


def bar_of(share, label, kind="part"):
    """Return a bar for a share from 0 to 1, as SVG: as wide as there is room for it."""
    width = f"{min(max(100 * share, 1), 100):.1f}%"
    track = element("rect", class_="track", width="100%", height="100%", rx=3)
    filled = element("rect", class_=kind, width=width, height="100%", rx=3)
    return element("svg", track, filled, role="img", aria_label=label)


def bars(rows):
    """Return a chart of bars: each row is a name, a share from 0 to 1, what it stands for, its kind, and a remark."""
    return listing([
        joined((
            element("div", element("span", name), element("span", label, class_="number"), class_="ends"),
            bar_of(share, f"{name}: {label}", kind),
            element("div", remark, class_="quiet small"),
        ))
        for name, share, label, kind, remark in rows
    ])  # fmt: skip
