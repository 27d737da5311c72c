"""What the tests of clips share: they are skipped where PyAV is not installed."""

from __future__ import annotations

import pytest

pytest.importorskip("av")
