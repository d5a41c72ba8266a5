from __future__ import annotations

import pytest


@pytest.fixture(scope="module")
def compared(random_checkpoints, phantom_case):
    """All random checkpoints and fusions on one phantom."""
    from brainseg.inference.comparing import compare

    return compare(phantom_case.scan, phantom_case.mask, random_checkpoints)
