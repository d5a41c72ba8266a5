"""What tests of training share."""

from __future__ import annotations

import pytest
from accelerate.state import AcceleratorState


@pytest.fixture
def new_accelerators():
    """A function that makes Accelerate forget the first accelerator, whose state all later ones
    share; called at the end too."""
    yield AcceleratorState._reset_state
    AcceleratorState._reset_state()
