"""The chart: a bar for each contender and number of sagas in flight, as an SVG for light and dark pages without external parts."""

from xml.sax.saxutils import escape

WIDTH, LEFT, RIGHT = 760, 236, 64
BAR, GAP, GROUP_GAP = 13, 2, 12
TOP, BOTTOM = 58, 10

STYLE = """
  text { font: 13px system-ui, -apple-system, "Segoe UI", sans-serif; fill: #1f2328 }
  .title { font-weight: 600; font-size: 15px }
  .name { text-anchor: end }
  .rate { font-size: 11px; fill: #59636e }
  .bar0 { fill: #9ec5f4 } .bar1 { fill: #2f6fde }
  @media (prefers-color-scheme: dark) {
    text { fill: #f0f6fc }
    .rate { fill: #9198a1 }
    .bar0 { fill: #28518f } .bar1 { fill: #6ba4f8 }
  }
"""


def draw(title, rows):
    """`rows`: the name of each contender with its rates by sagas in flight. The fastest is drawn first."""
    counts = sorted({count for _, rates in rows for count in rates})
    most = max(rate for _, rates in rows for rate in rates.values())
    scale = (WIDTH - LEFT - RIGHT) / most
    parts, top = [text(8, 20, title, "title"), *legend(counts)], TOP
    for name, rates in sorted(rows, key=lambda row: -max(row[1].values())):
        height = len(counts) * (BAR + GAP) - GAP
        parts.append(text(LEFT - 10, top + height / 2 + 4.5, name, "name"))
        for index, count in enumerate(counts):
            if count in rates:
                parts += bar(top + index * (BAR + GAP), index, rates[count], scale)
        top += height + GROUP_GAP
    height = top - GROUP_GAP + BOTTOM
    label = escape("; ".join(f"{name}: {describe(rates)}" for name, rates in rows), {'"': "&quot;"})
    return "\n".join(
        [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height:g}" role="img" aria-label="{label}">',
            f"<style>{STYLE}</style>",
            *parts,
            "</svg>\n",
        ]
    )


def legend(counts):
    for index, count in enumerate(counts):
        left = LEFT + index * 130
        yield f'<rect class="bar{index % 2}" x="{left}" y="34" width="11" height="11" rx="2"/>'
        yield text(left + 17, 44, f"{count:,} in flight", "rate")


def bar(top, index, rate, scale):
    width = max(1.0, rate * scale)
    yield f'<rect class="bar{index % 2}" x="{LEFT}" y="{top:g}" width="{width:.1f}" height="{BAR}" rx="2"/>'
    yield text(LEFT + width + 6, top + BAR - 3, f"{rate:,.0f}", "rate")


def text(left, baseline, content, kind):
    return f'<text class="{kind}" x="{left:g}" y="{baseline:g}">{escape(content)}</text>'


def describe(rates):
    return ", ".join(f"{rate:,.0f} with {count:,} in flight" for count, rate in rates.items())
