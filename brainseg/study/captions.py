"""The study's figures in words."""

# By file: title, and what it shows in words for whom cannot see it. The app shows it too, so it
# names tables by what they hold, which is the same on both pages.
CAPTIONS = {
    "dice.png": (
        "Dice of each patient",
        "One row per model or fusion, best on top: a dot for each patient's Dice, and a diamond "
        "for the mean with its 95 % interval. Means and intervals are in the leaderboard.",
    ),
    "size.png": (
        "Dice against the size of the tumour",
        "Scatter plot: each patient's Dice upwards, the true size of the tumour in pixels to the "
        "right on a logarithmic scale, one kind of marker per model.",
    ),
    "differences.png": (
        "Paired differences that the claims rest on",
        "One row per difference that was tested: the mean difference in Dice over the same "
        "patients as a diamond, filled if p is below 0.05 after Holm's correction, with its 95 % "
        "interval beside a line at zero. The numbers are in the table of every difference.",
    ),
    "reliability.png": (
        "Reliability",
        "One panel per model or fusion: the share of pixels with tumour against the probability "
        "given, as trained and after temperature scaling, beside the diagonal on which both are "
        "equal. Below the diagonal a model is too sure.",
    ),
    "gflop.png": (
        "Dice against operations",
        "One marker per model: mean Dice with its 95 % interval upwards, GFLOP per slice to the "
        "right; models of about the same cost stand side by side. A dashed line joins those that "
        "nothing cheaper beats.",
    ),
    "latency.png": (
        "Dice against time",
        "One marker per model: mean Dice with its 95 % interval upwards, milliseconds per slice on "
        "a CPU to the right; models about as fast stand side by side. A dashed line joins those "
        "that nothing faster beats.",
    ),
    "few-labels.png": (
        "Dice against patients with masks",
        "One line per model and method: mean Dice of test patients with its 95 % interval upwards, "
        "the number of training patients whose masks were used to the right on a logarithmic "
        "scale. The numbers are in the table on few masks.",
    ),
    "phantoms.png": (
        "Best, median and worst phantom of each model",
        "One row of three pictures per model: slices of computed heads, not of patients, with the "
        "model's mask in orange, the truth outlined in blue, and the Dice of the head above.",
    ),
}
