"""LeanSR: pictures upscaled fast on an ordinary CPU.

>>> import leansr
>>> sorted(leansr.__all__)
['Upscaler', 'upscale', 'variants']
"""

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from leansr.api import upscale, variants
    from leansr.runtime.upscaler import Upscaler

__all__ = ["Upscaler", "upscale", "variants"]
__version__ = "0.1.0"

_HOMES = {
    "Upscaler": "leansr.runtime.upscaler",
    "upscale": "leansr.api",
    "variants": "leansr.api",
}


def __getattr__(name: str) -> Any:
    # Loaded when first asked for, so that `import leansr` costs nothing.
    if name not in _HOMES:
        raise AttributeError(f"module 'leansr' has no attribute {name!r}")
    from importlib import import_module

    return getattr(import_module(_HOMES[name]), name)
