"""What every test gets."""

from __future__ import annotations

from pathlib import Path

import pytest


@pytest.fixture
def tmp_path(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """pytest's own, with a short name: a unix socket below it may have a hundred bytes and no more."""
    return tmp_path_factory.mktemp("t")
