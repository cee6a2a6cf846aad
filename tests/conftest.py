from pathlib import Path

import numpy as np
import pytest
from hypothesis import settings
from PIL import Image

# No test asserts a time: these machines are shared.
settings.register_profile("leansr", deadline=None)
settings.load_profile("leansr")

SHARED = Path(__file__).parents[2] / "shared" / "data"


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The pictures beside the repository; the test is skipped where they are not."""
    if not SHARED.is_dir():
        pytest.skip("no ../shared/data beside the repository")
    return SHARED


@pytest.fixture(scope="session")
def photo() -> np.ndarray:
    """The repository's own photo, RGB `(576, 576, 3)`."""
    path = Path(__file__).parents[1] / "demo" / "flowers.png"
    return np.asarray(Image.open(path).convert("RGB"))
