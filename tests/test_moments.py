"""Whatever disturbs a wait, and whenever: what was waited for reaches whom it is due to."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import moments
import pytest

pytestmark = pytest.mark.core


@pytest.mark.parametrize("way", moments.WAYS)
@pytest.mark.parametrize("moment", moments.MOMENTS, ids=lambda moment: moment.__name__)
@pytest.mark.parametrize("name", moments.CASES)
def test_nothing_is_lost(name: str, moment: Callable[..., Any], way: str) -> None:
    moments.check(name, moment, way)
