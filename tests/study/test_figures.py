"""The study's figures as they are drawn: nothing is cut off, and all can be read on a wall."""

import numpy as np
import pytest
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.text import Text

from brainseg.study import figures

SHORT = ("unet-bce", "fusion_all")
LONG = (
    "deeplabv3plus_efficientnet-hybrid",
    "unetpp_efficientnet-dice",
    "unet_resnet34-hybrid",
    "unetpp_efficientnet-hybrid",
    "deeplabv3plus_efficientnet-bce",
    "fusion_weighted",
)


def draw(kind: str, names):
    rng = np.random.default_rng(0)
    dice = {name: rng.uniform(0.3, 0.95, 12) for name in names}
    gap = {"difference": 0.03, "low": -0.01, "high": 0.06, "p_holm": 0.2}
    if kind == "dice":
        means = {name: {"mean": v.mean(), "low": 0.5, "high": 0.9} for name, v in dice.items()}
        return figures.dice_figure(dice, means)
    if kind == "size":
        return figures.size_figure(dice, rng.integers(500, 80_000, 12))
    if kind == "differences":
        others = [{"other": name, **gap} for name in names]
        claims = [{"better": name, "comparisons": others} for name in names]
        return figures.difference_figure(claims)
    if kind == "reliability":
        line = [{"mean_probability": x, "tumour_share": x / 2} for x in (0.1, 0.5, 0.9)]
        return figures.reliability_figure({name: {False: line, True: line} for name in names})
    if kind == "few labels":
        mean = {"mean": 0.7, "low": 0.6, "high": 0.8}
        return figures.label_figure([
            {"checkpoint": name, "method": method, "with_masks": number, "dice": mean}
            for name in names for method in ("supervised", "mean-teacher")
            for number in (4, 8, 16, 32, 51.5)
        ])  # fmt: skip
    points = [
        {"name": name, "dice": 0.8, "low": 0.7, "high": 0.9, "parameters": 57_900_000, "cost": cost}
        for name, cost in zip(names, (30, 31, 57, 57, 20, 10), strict=False)
    ]
    return figures.pareto_figure(points, "cost", "milliseconds per slice, bases included")


@pytest.mark.parametrize("names", [SHORT, LONG], ids=["short", "long"])
@pytest.mark.parametrize(
    "kind", ["dice", "size", "differences", "reliability", "cost", "few labels"]
)
def test_all_that_is_drawn_is_on_the_canvas_and_large(kind, names):
    figure = draw(kind, names)
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    width, height = figure.get_size_inches()
    box = figure.get_tightbbox(canvas.get_renderer())  # inches, of all that is drawn
    assert box.x0 >= 0 and box.y0 >= 0 and box.x1 <= width and box.y1 <= height, box
    texts = [text for text in figure.findobj(Text) if text.get_text().strip()]
    assert min(text.get_fontsize() for text in texts) * 8 / width >= 12
    shown = "".join(text.get_text().replace("\n", "") for text in texts)
    assert all(name in shown for name in names)


def test_every_model_is_within_the_axes_of_costs():
    (axes,) = draw("cost", LONG).axes
    (left, right), (bottom, top) = axes.get_xlim(), axes.get_ylim()
    assert left < 10 and right > 57 and bottom < 0.7 and top > 0.9
