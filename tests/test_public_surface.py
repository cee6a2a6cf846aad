import importlib
import pkgutil
from pathlib import Path

import pytest

import leansr
from leansr import errors
from leansr.errors import LeanSRError

ROOT = Path(__file__).parents[1]


def test_every_exported_name_is_there_and_documented():
    for name in leansr.__all__:
        assert getattr(leansr, name).__doc__
    with pytest.raises(AttributeError, match="no attribute 'downscale'"):
        _ = leansr.downscale


def test_error_tree_is_the_one_drawn():
    drawn = {line.split()[1] for line in errors.__doc__.splitlines() if line[:1] in "├└" and line}
    assert drawn == {error.__name__ for error in LeanSRError.__subclasses__()}
    assert {error.exit_code for error in LeanSRError.__subclasses__()} == {1, 2}


def test_every_module_says_what_it_is():
    outside = [
        module.name
        for module in pkgutil.walk_packages(leansr.__path__, "leansr.")
        if ".lab" not in module.name and not module.name.endswith("__main__")
    ]
    assert "leansr.runtime.upscaler" in outside
    for name in outside:
        assert importlib.import_module(name).__doc__, name


def test_docs_links_lead_somewhere():
    import re

    for page in (ROOT / "README.md", *(ROOT / "docs").glob("*.md")):
        for link in re.findall(r"\]\(([^)#]+)\)", page.read_text(encoding="utf-8")):
            if not link.startswith("http"):
                assert (page.parent / link).exists(), f"{page.name}: {link}"
