"""What of the suite runs where: the lab's half only where torch is installed."""

import importlib.util

HAS_TORCH = importlib.util.find_spec("torch") is not None
collect_ignore = [] if HAS_TORCH else ["src/leansr/lab", "tests/lab"]


def pytest_report_header() -> str:
    return f"leansr: torch is {'' if HAS_TORCH else 'not '}installed" + (
        "" if HAS_TORCH else ", the lab's tests are left out"
    )
