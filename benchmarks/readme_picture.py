"""README.md's picture: all networks of a stored study, what the search won, and the published networks by name.

    python benchmarks/readme_picture.py [docs/results/cifar10_random.csv] [--out docs/pictures/front.png] [--trial N]

Reads the table that `archsearch pareto --csv` writes, and leaves out networks whose latency did not converge. `--trial`
is the network that is compared with the published one nearest in latency; by default the fastest on the front. Needs
the extra `png` and a Chromium or Chrome.
"""

from __future__ import annotations

import argparse
import csv
import math
from pathlib import Path

import plotly.graph_objects as go

from archsearch.plots import style
from archsearch.plots.image import write_png

WIDTH, HEIGHT = 900, 440
NAMED = ("x0_5", "x1_0", "x1_5", "x2_0")  # of many published networks these have their names in the picture


def name_of(variant: str) -> str:
    """`ShuffleNetV2 x0.5`, of `shufflenet_v2_x0_5`."""
    return variant.replace("shufflenet_v2_x", "ShuffleNetV2 x").replace("_", ".")


def picture(rows: list[dict[str, str]], trial: int | None) -> go.Figure:
    """Top-1 against latency, on a logarithmic axis."""
    points = {int(row["trial"]): (float(row["latency_ms"]), float(row["top1_percent"])) for row in rows}
    published = {int(row["trial"]): row["variant"] for row in rows if row["variant"]}
    front = [int(row["trial"]) for row in rows if row["on_front"] == "True"]  # fastest first, as in the table
    taken = front[0] if trial is None else trial
    nearest = min(published, key=lambda each: abs(points[each][0] - points[taken][0]))
    others = [each for each in points if each not in front and each not in published]
    figure = go.Figure()
    for name, trials, marker in (
        (f"{len(others)} networks of the space", others, {"size": 7, "color": style.DOTS, "opacity": 0.5}),
        ("published networks", list(published), {"size": 12, "color": style.ORANGE, "symbol": "square"}),
        ("front", front, {"size": 12, "color": style.BLUE}),
    ):
        x, y = zip(*(points[each] for each in trials), strict=True)
        marker["line"] = {"width": 1, "color": "white"}
        figure.add_scatter(x=x, y=y, mode="markers", name=name, marker=marker)
    for each, variant in published.items():
        if len(published) <= len(NAMED) or variant.removeprefix("shufflenet_v2_") in NAMED:
            x, y = points[each]
            below = {"showarrow": False, "yshift": -17, "bgcolor": style.VEIL}
            figure.add_annotation(x=math.log10(x), y=y, text=name_of(variant), **below)
    (x, y), (other_x, other_y) = points[taken], points[nearest]
    won = f"<b>{y - other_y:+.1f} points, {100 * (1 - x / other_x):.0f} % faster</b>"
    won += f"<br>than {name_of(published[nearest])}"
    above = {"ax": 0, "ay": -44, "arrowhead": 0, "arrowcolor": style.BLUE, "align": "left", "xanchor": "left"}
    figure.add_annotation(x=math.log10(x), y=y, text=won, **above)
    figure.update_layout(
        **style.base_layout(WIDTH),
        margin={"l": 70, "r": 20, "t": 60, "b": 60},
        legend={"orientation": "h", "x": 1, "xanchor": "right", "y": 1.02, "yanchor": "bottom"},
    )
    lowest, highest = (extreme(top1 for _, top1 in points.values()) for extreme in (min, max))
    figure.update_xaxes(**style.axis("Latency on this device (ms, log scale)", width=WIDTH, type="log"))
    figure.update_yaxes(**style.axis("Validation top-1 (%)", width=WIDTH, range=[lowest - 2, highest + 8]))
    return figure


def main() -> None:
    """Draw it."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("table", type=Path, nargs="?", default=Path("docs/results/cifar10_random.csv"))
    parser.add_argument("--out", type=Path, default=Path("docs/pictures/front.png"))
    parser.add_argument("--trial", type=int)
    arguments = parser.parse_args()
    with arguments.table.open(newline="", encoding="utf-8") as file:
        rows = [row for row in csv.DictReader(file) if row["converged"] == "True"]
    arguments.out.parent.mkdir(parents=True, exist_ok=True)
    write_png(picture(rows, arguments.trial), arguments.out, width=WIDTH, height=HEIGHT, scale=2)


if __name__ == "__main__":
    main()
