"""The study's figures in words."""

# By file: title, and what it shows in words for whom cannot see it.
CAPTIONS = {
    "dice.png": (
        "Dice of each patient",
        "Dots of each patient's Dice in one row per model, with the mean and its 95 % interval; "
        "the figures are in the leaderboard.",
    ),
    "size.png": (
        "Dice against the size of the tumour",
        "Scatter plot of Dice against the number of tumour pixels, one marker per model.",
    ),
    "differences.png": (
        "Paired differences",
        "Mean paired differences in Dice with their 95 % intervals, one row per comparison; the "
        "figures are in the claims table.",
    ),
    "reliability.png": (
        "Reliability",
        "For each model the share of pixels with tumour against the probability given, before and "
        "after temperature scaling, beside the diagonal.",
    ),
    "gflop.png": (
        "Dice against operations",
        "Mean Dice with its interval against GFLOP per slice; the front of models that nothing "
        "cheaper beats is dashed.",
    ),
    "latency.png": (
        "Dice against time",
        "Mean Dice with its interval against milliseconds per slice on a CPU; the front is dashed.",
    ),
    "phantoms.png": (
        "Best, median and worst phantom of each model",
        "Computed heads, not patients, with each model's mask in orange and the truth outlined in "
        "blue.",
    ),
}
