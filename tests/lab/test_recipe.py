import itertools
import tomllib

import msgspec
import pytest

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.nets import build
from leansr.lab.train.recipe import Recipe, Schedule, load, shipped
from leansr.lab.train.schedule import rate
from leansr.zoo.release import releases

GOOD = """
variant = "sesr-m3"
scale = 2
space = "direct"
data = {lr_crop = 8, batch = 2}
optimizer = {name = "muon", lr = 1e-3}
schedule = {warmup_steps = 2, decay = 0.5, steps = 9}
"""


@pytest.mark.parametrize("name", shipped())
def test_shipped_recipes_are_complete(name):
    recipe = load(name)
    variant = zoo.find(recipe.variant, recipe.scale)
    build(variant, recipe.scale, space=recipe.space)
    assert name.startswith(f"{recipe.variant}_x{recipe.scale}")
    assert msgspec.json.decode(msgspec.json.encode(recipe), type=Recipe) == recipe
    written = tomllib.loads(shipped()[name].read_text(encoding="utf-8"))
    assert all_keys(msgspec.to_builtins(recipe)) == all_keys(written)


def all_keys(table):
    """Every key that has a value; TOML has no null."""
    keys = set()
    for key, value in table.items():
        inner = {f"{key}.{name}" for name in all_keys(value)} if isinstance(value, dict) else {key}
        keys |= set() if value is None else inner
    return keys


@pytest.mark.parametrize("release", releases().values(), ids=lambda r: r.onnx.stem)
def test_what_a_recipe_expects_is_what_its_release_has(release):
    # The release was made by a shipped recipe, and that recipe states the release's figures.
    told = msgspec.convert(release.card["training"]["recipe"], type=Recipe)
    names = [name for name in shipped() if plain(load(name)) == plain(told)]
    assert len(names) == 1
    expect = load(names[0]).expect
    assert expect.set5_psnr_y == pytest.approx(release.psnr_y("Set5"), abs=0.006)
    assert expect.set14_psnr_y == pytest.approx(release.psnr_y("Set14"), abs=0.006)


def plain(recipe):
    """But for what it expects, and for where the same tensors to start from are."""
    start = recipe.start and msgspec.structs.replace(recipe.start, weights="")
    return msgspec.structs.replace(recipe, expect=None, start=start)


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (("lr_crop", "lr_corp"), "unknown field `lr_corp` - at `$.data`; did you mean lr_crop?"),
        (("variant", "varaint"), "did you mean variant?"),
        (("steps = 9", "steps = 0"), "`int` >= 1"),
        (("steps = 9", "steps = 9, minutes = 1"), "steps or minutes, and not both"),
        ((", steps = 9", ""), "steps or minutes"),
        (('"muon"', '"moun"'), "Invalid enum value 'moun'"),
        (("scale = 2\n", ""), "missing required field `scale`"),
        (("scale = 2", "scale = 'two'"), "Expected `int`"),
        (("scale = 2", "scale == 2"), "recipe.toml"),
    ],
)
def test_what_is_wrong_is_named(tmp_path, change, words):
    path = tmp_path / "recipe.toml"
    path.write_text(GOOD)
    assert load(str(path)).data.batch == 2
    path.write_text(GOOD.replace(*change))
    with pytest.raises(UsageError) as raised:
        load(str(path))
    assert str(raised.value).startswith(f"{path}: ")
    assert words in str(raised.value)


def test_unknown_recipes(tmp_path):
    with pytest.raises(UsageError, match=r"no such recipe; a path to a \.toml, or sesr-m11_x2"):
        load("sesr-m5")
    with pytest.raises(UsageError, match="cannot be read"):
        load(str(tmp_path / "none.toml"))


def test_rate_over_a_run():
    schedule = Schedule(warmup_steps=10, decay=0.5, steps=100)
    rates = [rate(schedule, step, step / 100) for step in range(101)]
    assert rates[0] == pytest.approx(1 / 11)
    assert rates[10:50] == [1.0] * 40
    assert rates[75] == pytest.approx(0.5)
    assert rates[100] == pytest.approx(0)
    assert all(a >= b for a, b in itertools.pairwise(rates[10:]))


def test_rate_without_decay_stays():
    schedule = Schedule(warmup_steps=0, decay=0, minutes=1)
    assert [rate(schedule, step, step / 10) for step in range(11)] == [1.0] * 11
