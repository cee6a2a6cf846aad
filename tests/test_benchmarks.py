import os
from pathlib import Path

import pytest

from leansr.errors import DataError, UsageError
from leansr.runtime.benchmarks import (
    KNOWN,
    AbsentError,
    Benchmark,
    Pair,
    find,
    known_name,
    open_folder,
)
from leansr.runtime.config import config_file, data_root

# A benchmark and scale, the files of a layout, and the pairs that are to be found in it.
LAYOUTS = {
    "ours": ("Set5", 4, {"Set5/x4/HR/baby.png": "Set5/x4/LR/baby.png"}),
    "ours without LR": ("Set14", 2, {"Set14/x2/HR/a.png": None}),
    "EDSR's archive": (
        "Set5",
        2,
        {"benchmark/Set5/HR/b.png": "benchmark/Set5/LR_bicubic/X2/bx2.png"},
    ),
    "by scale": ("B100", 3, {"B100/HR/x3/1.png": "B100/LR_bicubic/X3/1x3.png"}),
    "one LR folder a scale": ("B100", 3, {"BSD100/HR/1.png": "BSD100/LR/x3/1.png"}),
    "BSDS100": ("B100", 4, {"BSDS100/1.png": None}),
    "mod4": ("Set5", 4, {"Set5/HR_mod4/a.png": None}),
    "mod12 with LR": ("Set5", 3, {"set5/GTmod12/a.png": "set5/LRbicx3/a.png"}),
    "originals as JPEG": ("Urban100", 4, {"urban100/original/a.jpg": None}),
    "SelfExSR": (
        "Urban100",
        4,
        {
            "Urban100/image_SRF_4/img_1_SRF_4_HR.png": "Urban100/image_SRF_4/img_1_SRF_4_LR.png",
            "Urban100/image_SRF_4/img_2_SRF_4_HR.png": "Urban100/image_SRF_4/img_2_SRF_4_LR.png",
        },
    ),
    "SelfExSR without LR": ("Set5", 2, {"Set5/image_SRF_2/img_1_SRF_2_HR.png": None}),
    "DIV2K at the root": (
        "DIV2K",
        4,
        {"DIV2K_valid_HR/0801.png": "DIV2K_valid_LR_bicubic/X4/0801x4.png"},
    ),
    "DIV2K in its folder": (
        "DIV2K",
        3,
        {"DIV2K/DIV2K_valid_HR/0801.png": "DIV2K/DIV2K_valid_LR_bicubic/X3/0801x3.png"},
    ),
    "DIV2K_val": ("DIV2K", 2, {"DIV2K_val/HR/0801.png": None}),
    "one's own": ("Mine", 2, {"mine/HR/a.webp": "mine/LR/a.png"}),
}


def lay(root, *files):
    for file in files:
        (root / file).parent.mkdir(parents=True, exist_ok=True)
        (root / file).touch()


def found_in(root, benchmark):
    """The pairs as paths below the root."""
    return {
        p.hr.relative_to(root).as_posix(): p.lr and p.lr.relative_to(root).as_posix()
        for p in benchmark.pairs
    }


@pytest.mark.parametrize("layout", LAYOUTS)
def test_every_layout_is_found(tmp_path, layout):
    name, scale, pairs = LAYOUTS[layout]
    lay(tmp_path, *pairs, *filter(None, pairs.values()))
    benchmark = find(tmp_path, name, scale)
    assert (benchmark.name, benchmark.scale) == (name, scale)
    assert found_in(tmp_path, benchmark) == pairs
    assert benchmark.has_lr == (None not in pairs.values())
    assert benchmark.resizer == ("as given" if benchmark.has_lr else "by MATLAB's bicubic")
    assert find(tmp_path, name.lower(), scale).pairs == benchmark.pairs


def test_results_of_others_beside_the_originals_are_passed_over(tmp_path):
    folder = "Urban100/image_SRF_4/img_001_SRF_4_"
    lay(tmp_path, *(f"{folder}{end}.png" for end in ("HR", "LR", "bicubic", "SRCNN")))
    (pair,) = find(tmp_path, "Urban100", 4).pairs
    assert pair.name == "img_001"


def test_other_files_are_passed_over(tmp_path):
    lay(tmp_path, *(f"Set5/{name}" for name in ("b.png", "a.JPG", "._b.png", "notes.txt")))
    assert [pair.name for pair in find(tmp_path, "Set5", 2).pairs] == ["a", "b"]


def test_pictures_of_other_formats_are_not_passed_over(tmp_path):
    """They are there to fail; an LR of such a format is taken where there is no other."""
    lay(tmp_path, "HR/a.png", "HR/b.jp2", "HR/c.png", "LR/a.ico", "LR/a.png", "LR/c.psd")
    assert found_in(tmp_path, open_folder(tmp_path, 2)) == {
        "HR/a.png": "LR/a.png",
        "HR/b.jp2": "LR/b.jp2",
        "HR/c.png": "LR/c.psd",
    }


def test_whole_is_what_a_standard_set_is_known_for(tmp_path):
    lay(tmp_path, *(f"Set5/{i}.png" for i in range(4)), "Set5/4.jp2", "mine/a.png")
    benchmark = find(tmp_path, "set5", 2)
    assert (benchmark.expected, benchmark.is_whole) == (5, False)
    lay(tmp_path, "Set5/5.png")
    assert find(tmp_path, "set5", 2).is_whole
    lay(tmp_path, "Set5/6.png")
    assert not find(tmp_path, "set5", 2).is_whole
    for own in (find(tmp_path, "mine", 2), open_folder(tmp_path / "Set5", 2)):
        assert (own.expected, own.is_whole) == (None, True)


@pytest.mark.parametrize(
    ("files", "two"),
    [
        (("HR/baby.png", "HR/baby.jpg"), r"HR/baby\.jpg and \S*HR/baby\.png"),
        (("HR/a.png", "LR/a.png", "LR/a.webp"), r"LR/a\.png and \S*LR/a\.webp"),
        (
            [f"image_SRF_2/a_SRF_2_{end}" for end in ("HR.png", "LR.jpg", "LR.png")],
            r"a_SRF_2_LR\.jpg and \S*a_SRF_2_LR\.png",
        ),
    ],
)
def test_two_pictures_of_one_name(tmp_path, files, two):
    lay(tmp_path, *(f"Set5/{file}" for file in files))
    for search in (
        lambda: find(tmp_path, "Set5", 2),
        lambda: open_folder(tmp_path / "Set5", 2),
    ):
        with pytest.raises(DataError, match=rf"{two}: have one name"):
            search()


def test_two_of_one_name_do_not_matter_where_nothing_is_taken(tmp_path):
    lay(tmp_path, "HR/a.png", "a.png", "a.jpg", "LR/a.png", "LR/c.jpg", "LR/c.png")
    assert found_in(tmp_path, open_folder(tmp_path, 2)) == {"HR/a.png": "LR/a.png"}


@pytest.mark.parametrize("closed", [".", "Set5", "Set5/HR", "Set5/LR"])
@pytest.mark.parametrize("mode", [0o000, 0o444])
def test_a_folder_that_cannot_be_read_is_named(tmp_path, closed, mode):
    lay(tmp_path, "Set5/HR/a.png", "Set5/LR/a.png")
    folder = tmp_path / closed
    folder.chmod(mode)
    try:
        if os.access(folder, os.X_OK):
            pytest.skip("this user may read every folder")
        if mode and closed.count("/"):
            # Its pictures are listed, and fail one by one.
            assert find(tmp_path, "Set5", 2).has_lr
            return
        with pytest.raises(DataError, match=f"{folder}.*: cannot be read \\(Permission") as caught:
            find(tmp_path, "Set5", 2)
        assert not isinstance(caught.value, AbsentError)
    finally:
        folder.chmod(0o755)


def test_a_link_that_leads_nowhere_is_no_folder(tmp_path):
    lay(tmp_path, "Set5/HR/a.png")
    (tmp_path / "Set5" / "LR").symlink_to("LR")
    assert not find(tmp_path, "Set5", 2).has_lr


def test_what_comes_with_lr_is_preferred(tmp_path):
    lay(tmp_path, "Set5/original/a.png", "Set5/GTmod12/a.png")
    assert find(tmp_path, "Set5", 2).pairs[0].hr.parent.name == "original"
    lay(tmp_path, "Set5/LRbicx2/a.png")
    assert find(tmp_path, "Set5", 2).pairs[0].hr.parent.name == "GTmod12"


def test_cut_to_a_multiple_of_another_scale_is_of_no_use(tmp_path):
    lay(tmp_path, "Set5/GTmod4/a.png")
    assert find(tmp_path, "Set5", 2).pairs
    with pytest.raises(DataError, match="has no Set5 x3"):
        find(tmp_path, "Set5", 3)


def test_lr_that_is_missing_is_expected_all_the_same(tmp_path):
    """So that the picture fails, and is not measured by another LR than its neighbours'."""
    lay(tmp_path, "HR/a.png", "HR/b.png", "LR/a.png")
    assert found_in(tmp_path, open_folder(tmp_path, 2)) == {
        "HR/a.png": "LR/a.png",
        "HR/b.png": "LR/b.png",
    }


def test_missing_says_what_was_looked_for(tmp_path):
    with pytest.raises(AbsentError) as caught:
        find(tmp_path, "b100", 4)
    message = str(caught.value)
    assert message.startswith(f"{tmp_path}: has no B100 x4; looked for pictures in ")
    assert all(word in message for word in ("BSDS100", "x4/HR", "image_SRF_4", "GTmod12"))
    with pytest.raises(DataError, match=f"{tmp_path}: has no pictures for x2"):
        open_folder(tmp_path, 2)


def test_pictures_of_other_formats_are_named(tmp_path):
    lay(tmp_path, "Set14/HR/a.jp2", "Set14/HR/readme.txt")
    for search in (
        lambda: find(tmp_path, "Set14", 2),
        lambda: open_folder(tmp_path / "Set14", 2),
    ):
        match = r"not supported: .*HR \(\.jp2\); supported are"
        with pytest.raises(DataError, match=match) as caught:
            search()
        assert not isinstance(caught.value, AbsentError)


def test_a_folder_of_a_name_is_not_another_one(tmp_path):
    lay(tmp_path, "a.png", "Set5/notes.txt")
    with pytest.raises(DataError, match="has no DIV2K"):
        find(tmp_path, "DIV2K", 2)
    with pytest.raises(DataError, match="has no Set5"):
        find(tmp_path, "Set5", 2)
    with pytest.raises(DataError, match="has no"):
        find(tmp_path / "Set5", "../", 2)


def test_bad_combinations_are_refused():
    with pytest.raises(ValueError, match="no set"):
        Benchmark("Set5", 2, ())
    with pytest.raises(ValueError, match="some pictures have LR"):
        Benchmark("Set5", 2, (Pair("a", Path("a"), None), Pair("b", Path("b"), Path("c"))))


@pytest.mark.shared_data
@pytest.mark.parametrize("scale", [2, 3, 4])
def test_the_real_sets(shared_data, scale):
    for root in (shared_data, shared_data / "benchmarks"):
        for name, has_lr in (("Set5", True), ("Set14", False)):
            benchmark = find(root, name, scale)
            assert len(benchmark.pairs) == KNOWN[name].pictures
            assert benchmark.has_lr == has_lr
            assert all(p.lr is None or p.lr.exists() for p in benchmark.pairs)


def test_known_names():
    assert known_name("manga109") == "Manga109"
    assert known_name("mine") == "mine"
    with pytest.raises(UsageError, match="an empty name is no benchmark"):
        known_name("")
    assert [known.pictures for known in KNOWN.values()] == [5, 14, 100, 100, 109, 100]


@pytest.fixture
def settings(tmp_path, monkeypatch):
    """A user without settings; a function that writes the config file."""
    monkeypatch.delenv("LEANSR_DATA", raising=False)
    monkeypatch.delenv("XDG_CONFIG_HOME", raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("USERPROFILE", str(tmp_path))

    def write(text):
        config_file().parent.mkdir(parents=True, exist_ok=True)
        config_file().write_text(text, encoding="utf-8")

    return write


def test_the_flag_goes_before_the_variable_before_the_file(tmp_path, settings, monkeypatch):
    for name in ("flag", "variable", "file"):
        (tmp_path / name).mkdir()
    assert data_root() is None
    monkeypatch.setenv("LEANSR_DATA", "")
    assert data_root() is None
    settings('data_root = "~/file"')
    assert data_root() == tmp_path / "file"
    monkeypatch.setenv("LEANSR_DATA", str(tmp_path / "variable"))
    assert data_root() == tmp_path / "variable"
    assert data_root(tmp_path / "flag") == tmp_path / "flag"


def test_where_the_config_file_is(tmp_path, settings, monkeypatch):
    assert config_file() == tmp_path / ".config" / "leansr" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", "relative")
    assert config_file() == tmp_path / ".config" / "leansr" / "config.toml"
    monkeypatch.setenv("XDG_CONFIG_HOME", str(tmp_path / "xdg"))
    assert config_file() == tmp_path / "xdg" / "leansr" / "config.toml"
    settings('data_root = "../pictures"')
    (tmp_path / "xdg" / "pictures").mkdir()
    assert os.path.samefile(data_root(), tmp_path / "xdg" / "pictures")


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('data_roots = "/"', "config.toml: data_roots: no such key; known is data_root"),
        ("data_root = /", "config.toml: is not TOML"),
        ("data_root = 3", "config.toml: data_root is a folder in quotes"),
        ('data_root = "/nowhere"', "config.toml: /nowhere is not a folder"),
    ],
)
def test_what_is_wrong_in_the_config_file(settings, text, words):
    settings(text)
    with pytest.raises(UsageError, match=words):
        data_root()


def test_a_root_that_is_no_folder_says_who_named_it(tmp_path, settings, monkeypatch):
    with pytest.raises(UsageError, match=r"--data-root: .* is not a folder"):
        data_root(tmp_path / "none")
    monkeypatch.setenv("LEANSR_DATA", str(tmp_path / "none"))
    with pytest.raises(UsageError, match=r"LEANSR_DATA: .* is not a folder"):
        data_root()
