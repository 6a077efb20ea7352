"""Writes report.html: what delayed the flights, as charts (SVG inside the page, no script) and a table.

The figures arrive in the environment, each as the JSON of another task's result. The last line of output is a summary.
"""

import html
import json
import os
import pathlib

BAR_COLOUR = "#2f6fde"
TEXT_COLOUR = "#5b6472"
STYLE = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #1d2430; background: #fff }
h1 { margin-bottom: 0 } h2 { margin-top: 2.5rem } p.lead { color: #5b6472; margin-top: .25rem }
svg { max-width: 100%; height: auto } .wide { overflow-x: auto }
table { border-collapse: collapse; width: 100% } td, th { padding: .35rem .6rem; text-align: left; border-bottom: 1px solid #e3e7ee }
td.number, th.number { text-align: right; font-variant-numeric: tabular-nums }
"""


def result(name):
    """The rows that another task left, as a list of objects."""
    return json.loads(os.environ[name])


def label(x, y, text, anchor):
    return (
        f'<text x="{x:.0f}" y="{y:.0f}" text-anchor="{anchor}" font-size="13" '
        f'font-family="system-ui, sans-serif" fill="{TEXT_COLOUR}">{html.escape(str(text))}</text>'
    )


def picture(title, width, height, parts):
    return (
        f'<svg viewBox="0 0 {width} {height}" width="{width}" height="{height}" role="img" '
        f'aria-label="{html.escape(title)}" xmlns="http://www.w3.org/2000/svg">{"".join(parts)}</svg>'
    )


def bars(title, rows, name):
    """Horizontal bars of the mean delay in minutes; early departures give a negative mean and no bar."""
    rows = [row for row in rows if row["mean_delay"] is not None]
    longest = max([row["mean_delay"] for row in rows] + [1])
    parts = []
    for at, row in enumerate(rows):
        y = 28 * at
        width = 440 * max(row["mean_delay"], 0) / longest
        parts.append(label(210, y + 19, row[name], "end"))
        parts.append(f'<rect x="220" y="{y + 4}" width="{width:.1f}" height="20" rx="3" fill="{BAR_COLOUR}"/>')
        parts.append(label(228 + width, y + 19, f"{row['mean_delay']:.1f} min", "start"))
    return picture(title, 760, 28 * len(rows) + 4, parts)


def columns(title, rows):
    """A column for each hour of the day, as high as the mean delay."""
    by_hour = {row["hour"]: row["mean_delay"] for row in rows if row["mean_delay"] is not None}
    highest = max(list(by_hour.values()) + [1])
    parts = []
    for hour in range(24):
        x = 10 + 31 * hour
        delay = by_hour.get(hour)
        if delay is not None:
            height = 180 * max(delay, 0) / highest
            parts.append(f'<rect x="{x}" y="{210 - height:.1f}" width="24" height="{height:.1f}" rx="3" fill="{BAR_COLOUR}"/>')
            parts.append(label(x + 12, 204 - height, f"{delay:.0f}", "middle"))
        parts.append(label(x + 12, 228, hour, "middle"))
    return picture(title, 760, 236, parts)


def table(rows):
    lines = [
        "<tr><th>From</th><th>To</th><th class=number>Flights</th><th class=number>Cancelled</th>"
        "<th class=number>Mean delay, min</th><th class=number>Late, %</th></tr>"
    ]
    for row in rows:
        names = [row["origin"], row["dest_name"]]
        averages = [row["mean_delay"], row["late_percent"]]
        numbers = [f"{row['flights']:,}", f"{row['cancelled']:,}"]
        numbers += ["-" if average is None else f"{average:.1f}" for average in averages]
        cells = [f"<td>{html.escape(name)}</td>" for name in names]
        cells += [f"<td class=number>{number}</td>" for number in numbers]
        lines.append(f"<tr>{''.join(cells)}</tr>")
    return f'<div class=wide><table>{"".join(lines)}</table></div>'


def page(raw, by_airline, by_hour, by_route, by_weather):
    lead = (
        f"{raw['row_count']:,} flights by {raw['airlines']} airlines from {raw['origins']} airports; "
        f"{raw['without_departure']:,} never left. Delays are minutes at departure."
    )
    sections = [
        ("By hour of planned departure", columns("Mean delay by hour", by_hour)),
        ("By airline", bars("Mean delay by airline", by_airline, "name")),
        ("By weather at the airport", bars("Mean delay by weather", by_weather, "weather")),
        ("The busiest routes", table(by_route)),
    ]
    body = "".join(f"<h2>{html.escape(title)}</h2>{content}" for title, content in sections)
    return (
        '<!doctype html><html lang="en"><head><meta charset="utf-8"><title>Delays at the New York airports</title>'
        f'<meta name="viewport" content="width=device-width, initial-scale=1"><style>{STYLE}</style></head><body>'
        f'<h1>Delays at the New York airports</h1><p class="lead">{html.escape(lead)}</p>{body}</body></html>\n'
    )


def main():
    raw = result("RAW")[0]
    by_airline = result("BY_AIRLINE")
    report = page(raw, by_airline, result("BY_HOUR"), result("BY_ROUTE"), result("BY_WEATHER"))
    to = pathlib.Path(os.environ["TRADEWIND_ARTIFACTS"], "report.html")
    to.write_text(report, encoding="utf-8")
    flown = [row for row in by_airline if row["mean_delay"] is not None]
    worst = flown[0]["name"] if flown else "nobody"
    print(f"{to.name}: {len(report):,} characters")
    print(f"{raw['row_count']:,} flights, {raw['without_departure']:,} cancelled, latest on average: {worst}")


main()
