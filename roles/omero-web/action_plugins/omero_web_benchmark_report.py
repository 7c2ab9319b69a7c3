"""What a benchmark has found: no action, but the sentences, the table and the page that the action writes of it.

All functions are pure. A report is plain data: what the module omero_web_benchmark has measured, and of which site.
"""

import csv
import io
import math
import runpy
from pathlib import Path
from types import SimpleNamespace

charts = SimpleNamespace(**runpy.run_path(str(Path(__file__).with_name("omero_web_charts.py"))))
pages = charts.pages
element, shown = pages.element, pages.shown

# A difference of less is for nothing, even on a host that does nothing else.
LEAST = 0.1
# Where two runs of the same differ by more, nobody can tell what they say.
MOST = 0.5
# What takes less time says little, in seconds.
SHORTEST = 3
# More requests at once are for nothing where so much of the best is served without.
NEARLY = 0.9
COLUMNS = ("kind", "round", "target", "path", "tool", "concurrency", "rate")
COLUMNS += ("requests", "errors", "seconds", "per_second")
PERCENTILES = ("50", "90", "95", "99", "100")


def in_ms(row, percent):
    return row["percentiles"].get(percent)


def targets_in(rows):
    return list(dict.fromkeys(row["target"] for row in rows))


def steps(rows, target, kind=""):
    """Return the steps of more and more requests at once, for one target."""
    return [row for row in rows if (row["target"], row["kind"]) == (target, kind) and row["concurrency"]]


def steady(rows, target, kind=""):
    """Return the step of so many requests in a second, for one target; None if there is none."""
    found = [row for row in rows if (row["target"], row["kind"]) == (target, kind) and row["rate"]]
    return found[0] if found else None


def best(rows):
    return max(rows, key=lambda row: row["per_second"])


# --- what is said -----------------------------------------------------------------------------------------------------


def says_of_target(rows, target):
    """Say how much of a target the site serves and how fast."""
    measured = steps(rows, target)
    most = best(measured)
    enough = [row for row in measured if row["per_second"] >= NEARLY * most["per_second"]][0]
    text = (
        f"{target}: at most {shown(most['per_second'])} requests/s. {enough['concurrency']} at once are enough for "
        f"{shown(enough['per_second'])}"
    )
    last = measured[-1]
    if last["concurrency"] > enough["concurrency"] and "95" in last["percentiles"]:
        slow = shown(in_ms(last, "95"))
        text += f"; {last['concurrency']} at once wait for each other, 95 of 100 no longer than {slow} ms"
    yield text + "."
    row = steady(rows, target)
    if row and row["percentiles"]:
        yield (
            f"{target}: where {shown(row['rate'])} are asked for in a second, half are there within "
            f"{shown(in_ms(row, '50'))} ms, 99 of 100 within {shown(in_ms(row, '99'))} ms, the slowest after "
            f"{shown(in_ms(row, '100'))} ms."
        )


def mean(values):
    return sum(values) / len(values)


def mean_rows(rows):
    """Return the rows of all rounds as those of one, whose figures are their means."""
    alike = {}
    for row in rows:
        alike.setdefault((row["kind"], row["target"], row["concurrency"], row["rate"]), []).append(row)
    return [
        {
            **some[0],
            **{name: sum(row[name] for row in some) for name in ("requests", "errors", "seconds")},
            "per_second": mean([row["per_second"] for row in some]),
            "percentiles": {
                name: mean([row["percentiles"][name] for row in some])
                for name in PERCENTILES
                if all(name in row["percentiles"] for row in some)
            },
        }
        for some in alike.values()
    ]


def complete_kinds(report):
    """Return the names of the kinds of workers that served all that was asked for, in each round."""
    names = [kind["name"] for kind in report["kinds"] if not kind["problem"]]
    numbers = {name: sum(row["kind"] == name for row in report["rows"]) for name in names}
    return [name for name, number in numbers.items() if number == max(numbers.values()) > 0]


def throughputs(rows, kind):
    """Return the best requests per second of a kind of workers, by target."""
    found = {target: steps(rows, target, kind) for target in targets_in(rows)}
    return {target: best(measured)["per_second"] for target, measured in found.items() if measured}


def difference_of_rounds(rows, kinds):
    """Return by how much two runs of the same kind differ at most, 0.1 for a tenth."""
    ratios = [1]
    for kind in kinds:
        own = [row for row in rows if row["kind"] == kind]
        rounds = [throughputs([row for row in own if row["round"] == number], kind) for number in (1, 2)]
        pairs = [[one[target] for one in rounds] for target in rounds[0] if target in rounds[1]]
        ratios += [max(pair) / min(pair) for pair in pairs if min(pair)]
    return max(ratios) - 1


def gain(one, other):
    """Return how many times as much one serves as the other, of all targets together."""
    ratios = [one[target] / other[target] for target in one if other.get(target) and one[target]]
    return math.exp(mean([math.log(ratio) for ratio in ratios])) if ratios else 0


def verdict(kinds, served, noise):
    """Return which kind of workers to take, in a sentence, where two runs of the same differ by so much."""
    names = list(served)
    current = next((name for name in names if kinds[name]["is_current"]), names[0])
    stay = f"Keep {current}" if kinds[current]["is_current"] else f"{current} will do"
    winner = max(names, key=lambda name: gain(served[name], served[current]))
    more = gain(served[winner], served[current]) - 1
    loses = [target for target in served[winner] if served[winner][target] * (1 + noise) < served[current][target]]
    if noise > MOST:
        return f"No advice on workers: two runs of the same differ by {noise:.0%}; compare again on a quiet host."
    if winner == current or more < noise:
        return f"{stay}: no other kind serves {noise:.0%} more, and two runs of the same differ by up to that."
    if loses:
        return f"{stay}: {winner} serve {more:.0%} more of all, but less of the {' and the '.join(loses)}."
    return f"Take {winner} ({kinds[winner]['variables']}): they serve {more:.0%} more than {current}."


def advice(report):
    """Return what to do about workers, and why, in one paragraph; empty where kinds of workers were not compared."""
    complete = complete_kinds(report)
    if not report["kinds"]:
        return ""
    if report["stopped"]:
        return "No advice on workers: the comparison did not come to its end."
    if len(complete) < 2:
        return "No advice on workers: fewer than two kinds of them served all that was asked for."
    rows = mean_rows(report["rows"])
    kinds = {kind["name"]: kind for kind in report["kinds"]}
    served = {name: throughputs(rows, name) for name in complete}
    text = verdict(kinds, served, max(difference_of_rounds(report["rows"], complete), LEAST))
    shortest = min(row["seconds"] for row in report["rows"] if row["kind"] in complete)
    if shortest < SHORTEST:
        text += f" It rests on steps of {shown(shortest)} s; omero_web_benchmark_requests makes them longer."
    evidence = "; ".join(
        f"{target} " + ", ".join(f"{shown(served[name][target])} ({name})" for name in complete)
        for target in served[complete[0]]
    )
    memory = ", ".join(f"{kinds[name]['memory_mb']} MiB ({name})" for name in complete)
    return (
        f"{text} Requests/s at most: {evidence}. Memory: {memory}. This is of pages that take as long as they do now; "
        "for many slow downloads, or an OMERO.server that lets users wait, threads and gevent serve more at once."
    )


def findings(report):
    """Return what was found, in sentences: what is to be known first comes first."""
    rows = report["rows"]
    if report["stopped"]:
        yield f"Stopped before its end: {report['stopped']}."
    if advice(report):
        yield advice(report)
    for target in targets_in(rows):
        if steps(rows, target):
            yield from says_of_target(rows, target)
    for kind in report["kinds"]:
        if kind["problem"]:
            yield f"{kind['name']} could not be measured: {kind['problem']}."
    yield (
        f"Whoever asked meanwhile whether the site is well waited {shown(report['slowest_ms'])} ms at most, and "
        f"{shown(report['rest_ms'])} ms at rest."
    )
    if not report["kinds"]:
        yield "Whether other workers would serve more is told by omero_web_benchmark_compare."


# --- files ------------------------------------------------------------------------------------------------------------


def as_csv(report):
    """Return a line for each step."""
    text = io.StringIO()
    writer = csv.writer(text)
    writer.writerow([*COLUMNS, *(f"ms_{percent}" for percent in PERCENTILES)])
    for row in report["rows"]:
        writer.writerow([*(row[name] for name in COLUMNS), *(in_ms(row, percent) for percent in PERCENTILES)])
    return text.getvalue()


def table_of(rows, has_kinds=False):
    header = ["page", *(["workers"] if has_kinds else []), "tool", "asked for", "requests/s"]
    header += ["median, ms", "90 %", "95 %", "99 %", "slowest", "answers", "errors"]
    return pages.table(header, [
        [
            row["target"],
            *([row["kind"]] if has_kinds else []),
            row["tool"],
            f"{shown(row['rate'])} in a second" if row["rate"] else f"{row['concurrency']} at once",
            row["per_second"],
            *(in_ms(row, percent) for percent in PERCENTILES),
            row["requests"],
            row["errors"],
        ]
        for row in rows
    ])  # fmt: skip


def charts_of_target(rows, target):
    measured = steps(rows, target)
    labels = [str(row["concurrency"]) for row in measured]
    if not measured:
        return []
    latency = {
        name: [in_ms(row, percent) for row in measured]
        for name, percent in (("median", "50"), ("95 %", "95"), ("99 %", "99"))
    }
    note = "requests at once"
    served = {"requests/s": [row["per_second"] for row in measured]}
    return [
        charts.bar_chart(target, "requests/s", labels, served, note),
        charts.line_chart(f"{target}: time of an answer", "ms", labels, latency, note),
    ]


def charts_of_kinds(report):
    """Return charts of kinds of workers beside each other."""
    rows, names = mean_rows(report["rows"]), complete_kinds(report)
    targets = [target for target in targets_in(rows) if any(steps(rows, target, name) for name in names)]
    if not targets:
        return []
    served = {name: [throughputs(rows, name).get(target) for target in targets] for name in names}
    memory = {kind["name"]: kind["memory_mb"] for kind in report["kinds"]}
    figures = [charts.bar_chart("Served at most", "requests/s", targets, served)]
    for target in targets:
        labels = [str(row["concurrency"]) for row in steps(rows, target, names[0])]
        times = {name: [in_ms(row, "95") for row in steps(rows, target, name)] for name in names}
        figures.append(charts.line_chart(f"{target}: 95 % within", "ms", labels, times, "requests at once"))
    figures.append(charts.bar_chart("Memory", "MiB", ["all processes"], {name: [memory[name]] for name in names}))
    return figures


def as_page(report):
    """Return the report for a browser."""
    site_rows = [row for row in report["rows"] if not row["kind"]]
    kind_rows = mean_rows([row for row in report["rows"] if row["kind"]])
    first, *others = report["says"]
    about = (
        f"{report['time']}, {report['title']} {report['release']}, generation {report['generation']}, "
        f"{report['cores']} cores, asked at {report['url']} from {report['from']}, by {report['by']}"
    )
    title = f"OMERO.web benchmark of {report['host']}"
    sections = []
    if kind_rows:
        sections.append(("Kinds of workers", charts_of_kinds(report), table_of(kind_rows, has_kinds=True)))
    figures = [figure for target in targets_in(site_rows) for figure in charts_of_target(site_rows, target)]
    if figures:
        sections.append(("The site", figures, table_of(site_rows)))
    return pages.page(
        title,
        pages.heading(title, "down" if report["stopped"] else "ok", about),
        element("section", element("p", first), pages.listing(others)),
        *(
            element("section", element("h2", name), charts.beside_each_other(*figures), table)
            for name, figures, table in sections
        ),
        style=charts.STYLE,
    )
