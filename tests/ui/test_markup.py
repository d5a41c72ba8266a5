import numpy as np
import pytest

from brainseg.ui import markup

ONE, OTHER, THIRD = (np.full((4, 4), grey, np.uint8) for grey in (10, 20, 30))


@pytest.mark.parametrize(
    ("planes", "told"),
    [
        ((ONE, ONE, ONE), "The three are equal: one sequence stands in for all."),
        ((ONE, OTHER, ONE), "T1 and T1c are equal: one sequence stands in for both."),
        ((OTHER, ONE, ONE), "FLAIR and T1c are equal: one sequence stands in for both."),
        ((ONE, OTHER, THIRD), ""),
    ],
)
def test_what_the_network_sees_says_which_sequences_are_the_same(planes, told):
    html = markup.seen(np.hstack(planes), 3, [4])
    assert told in html and ("stands in" in html) is bool(told)
