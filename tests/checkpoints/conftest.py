from __future__ import annotations

import pytest


@pytest.fixture
def module():
    from making import network

    return network("unet", None)
