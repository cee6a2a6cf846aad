"""What rankings are: the shipped ones against what the papers print, and what is refused."""

import pytest

from leansr.errors import UsageError
from leansr.lab import papers
from leansr.lab.train import recipe
from leansr.lab.train.ranking import load, overlaid, variant_of
from leansr.lab.train.recipe import shipped

FOUR_SETS = ("set5_psnr", "set14_psnr", "b100_psnr", "urban100_psnr")
# ranking: paper, table, and the columns whose mean is the printed figure
TABLES = {
    "study-blocks": ("study", "1", FOUR_SETS),
    "study-places": ("study", "2", FOUR_SETS),
    "bsrn-activations": ("bsrn", "3", ("div2k_val_psnr",)),
}
# SESR prints these in the text of section 4.4 alone.
SECTION_4_4 = {
    "sesr-m11": 35.45,
    "sesr-m11-hw": 35.35,
    "sesr-m11-no-linear-block": 35.25,
    "sesr-m11-no-short-residual": 33.65,
}

GOOD = """
title = "two spaces"
source = "ours"

[base]
variant = "sesr-m3"
scale = 2
space = "direct"
compile = false
validate_every = 2
data = {lr_crop = 8, batch = 2}
optimizer = {name = "adam", lr = 1e-3}
schedule = {name = "cosine", steps = 4}

[[rows]]
name = "one"

[[rows]]
name = "other"
changes.space = "collapsed"
changes.optimizer.lr = 2e-3
"""


@pytest.mark.parametrize("name", shipped("ranking"))
def test_shipped_rankings_can_be_run(name):
    ranking = load(name)
    recipes = [ranking.recipe(row, 7) for row in ranking.rows]
    assert {one.seed for one in recipes} == {7}
    # Every row is another recipe, but for the seed, and is measured once, at its end.
    assert all(recipes.count(one) == 1 for one in recipes)
    assert {one.validate_every for one in recipes} == {ranking.steps}


@pytest.mark.parametrize("name", ["fmen-blocks", "sesr-parts", *TABLES])
def test_rows_of_a_paper_differ_in_the_network_alone(name):
    for row in load(name).rows:
        assert row.changes.keys() <= {"variant", "space"}, row.name


@pytest.mark.parametrize("name", TABLES)
def test_printed_figures_are_those_of_the_paper(name):
    paper, table, columns = TABLES[name]
    ranking = load(name)
    scale = str(ranking.recipe(ranking.rows[0], 0).scale)
    printed = {
        row["variant"]: sum(float(row[column]) for column in columns) / len(columns)
        for row in papers.rows(paper)
        if (row["table"], row["scale"]) == (table, scale)
    }
    ours = {ranking.recipe(row, 0).variant: row.printed for row in ranking.rows}
    assert ours == pytest.approx(printed, abs=1e-6)


def test_printed_figures_of_sesr_are_those_of_its_text():
    ranking = load("sesr-parts")
    ours = {ranking.recipe(r, 0).variant: r.printed for r in ranking.rows if r.printed}
    assert ours == SECTION_4_4
    (m11,) = (r for r in papers.rows("sesr") if (r["variant"], r["scale"]) == ("sesr-m11", "2"))
    assert float(m11["div2k_val_psnr"]) == ours["sesr-m11"]


def test_our_ablations_start_from_our_recipe():
    ranking = load("sesr-m5-recipe")
    base = ranking.recipe(ranking.rows[0], 0)
    ours = recipe.load("sesr-m5_x2")
    for part in ("variant", "scale", "space", "precision", "data", "optimizer", "ema", "loss"):
        assert getattr(base, part) == getattr(ours, part), part
    assert base.schedule.warmup_steps == ours.schedule.warmup_steps


def test_changes_reach_into_tables():
    base = {"a": {"b": {"c": 1, "d": 2}}, "e": 3}
    assert overlaid(base, {"a": {"b": {"c": 4}}}) == {"a": {"b": {"c": 4, "d": 2}}, "e": 3}
    assert overlaid(base, {"a": 5, "f": {"g": 6}}) == {"a": 5, "e": 3, "f": {"g": 6}}
    assert base == {"a": {"b": {"c": 1, "d": 2}}, "e": 3}


def test_changed_networks_are_of_another_size(tmp_path):
    path = tmp_path / "ranking.toml"
    path.write_text(GOOD + '[[rows]]\nname = "wide"\nchanges.network = {channels = 20}\n')
    *_, wide = load(str(path)).rows
    assert variant_of(load(str(path)).recipe(wide, 0)).arguments["channels"] == 20


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (('"ours"\n', '"ours"\nseed = 2\n'), "unknown field `seed`; did you mean seeds?"),
        (('name = "other"', 'name = "one"'), "there are two rows one"),
        (('name = "other"', 'name = "../other"'), "matching regex"),
        (('name = "one"', 'name = "one"\nprinted = 3.0'), "printed figures need to be said"),
        (("[[rows]]\n", "[[rose]]\n"), "rose"),
        (("lr_crop = 8", "lr_corp = 8"), "row one: "),
        (("lr_crop = 8", "lr_corp = 8"), "did you mean lr_crop?"),
        (("optimizer.lr = 2e-3", "optimiser.lr = 2e-3"), "did you mean optimizer?"),
        (("optimizer.lr = 2e-3", "seed = 3"), "row other: seed is no row's own"),
        (("optimizer.lr = 2e-3", 'variant = "sesr-m4"'), "row other: sesr-m4: no such variant"),
        (("optimizer.lr = 2e-3", "schedule.steps = 5"), "schedule.steps is 5, but 4 in one"),
        (("optimizer.lr = 2e-3", "scale = 4"), "scale is 4, but 2 in one"),
        (("optimizer.lr = 2e-3", 'variant = "fmen"'), "colour is rgb, but y in one"),
        (("optimizer.lr = 2e-3", "network.chanels = 8"), "did you mean channels?"),
        (("optimizer.lr = 2e-3", "network.channels = -1"), "row other: sesr-m3: network.channels"),
        (
            ('space = "collapsed"', 'space = "direct"\nchanges.variant = "edsr-baseline"'),
            "it has none",
        ),
        (("steps = 4", "minutes = 4"), "row one: a ranking needs a budget of steps"),
        (
            ("optimizer.lr = 2e-3", 'teacher.weights = "none.safetensors"'),
            "row other: none.safetensors: no such file",
        ),
        (
            ("optimizer.lr = 2e-3", 'teacher.weights = "fmen-s_x4"'),
            "teaches rgb x4, and sesr-m3 learns y x2",
        ),
        (
            ("optimizer.lr = 2e-3", 'start.weights = "sesr-m5_x2"'),
            "row other: sesr-m5_x2: does not fit the network: ",
        ),
    ],
)
def test_what_is_wrong_is_named_before_anything_is_trained(tmp_path, change, words):
    path = tmp_path / "ranking.toml"
    path.write_text(GOOD)
    assert [row.name for row in load(str(path)).rows] == ["one", "other"]
    path.write_text(GOOD.replace(*change))
    with pytest.raises(UsageError) as raised:
        load(str(path))
    assert str(raised.value).startswith(f"{path}: ")
    assert words in str(raised.value)
    assert "\n" not in str(raised.value)


def test_figures_and_places_do_not_mix(tmp_path):
    path = tmp_path / "ranking.toml"
    placed = GOOD.replace('name = "one"', 'name = "one"\nplace = 1')
    path.write_text(placed)
    assert load(str(path)).rows[0].place == 1
    printed = placed.replace('name = "other"', 'name = "other"\nprinted = 3.0')
    path.write_text(printed.replace('"ours"', '"ours"\nfigure = "PSNR"'))
    with pytest.raises(UsageError, match="printed figures or places"):
        load(str(path))


def test_unknown_rankings():
    with pytest.raises(UsageError, match=r"no such ranking; a path to a \.toml, or sesr-parts"):
        load("sesr-part")
