"""How rows stand to each other: places, margins and verdicts, by hand and by another formula."""

import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from leansr.lab.train import standing, standing_text
from leansr.lab.train.ranking import load
from leansr.lab.train.standing import Entry
from leansr.zoo.costs import Cost

MEASURED = sorted((Path(__file__).parents[2] / "docs" / "measured").glob("ranking-*.json"))


def entry(name, psnr, printed=None, place=None):
    values = dict(enumerate(psnr))
    minutes = dict.fromkeys(values, 1.5)
    cost = Cost(10, 8, 2_000_000_000, 100)
    return Entry(name, f"v-{name}", cost, printed, place, values, minutes)


def verdicts(entries):
    return {(pair.first, pair.second): pair.verdict for pair in standing.pairs(entries)}


def test_verdicts_by_hand():
    rows = [
        entry("c", [29.0, 29.1, 29.2], printed=35.25),
        entry("a", [30.0, 30.1, 30.2], printed=35.45),
        entry("b", [30.1, 30.25, 30.4], printed=35.35),
    ]
    assert standing.places(rows) == [3, 1, 2]
    assert standing.own_places(rows) == [3, 2, 1]
    assert verdicts(rows) == {
        # 0.15 dB worse, but b alone deviates by as much.
        ("a", "b"): "cannot be told apart",
        ("a", "c"): "holds",
        ("b", "c"): "holds",
    }
    (pair, _) = standing.neighbours(rows)
    assert (pair.first, pair.second) == ("a", "b")
    assert pair.difference == pytest.approx(-0.15)
    assert pair.printed == pytest.approx(0.1)
    assert pair.margin == pytest.approx(3 * 0.15 * (1 / 3 + 1 / 3) ** 0.5)
    assert standing.kendall(rows) == pytest.approx((2 - 1) / 3)
    rows[2] = entry("b", [30.6, 30.6, 30.6], printed=35.35)
    assert verdicts(rows)["a", "b"] == "reversed"


def test_a_pair_is_no_surer_than_most_rows_are():
    lucky = [entry("a", [30.0, 30.001], 2.0), entry("b", [29.95, 29.951], 1.0)]
    assert verdicts(lucky) == {("a", "b"): "holds"}
    others = [entry(name, [20.0, 20.1], 0.0) for name in "cde"]
    assert verdicts(lucky + others)["a", "b"] == "cannot be told apart"


def test_one_seed_tells_nothing():
    rows = [entry("a", [30.0], 2.0), entry("b", [20.0], 1.0), entry("c", [], 0.5)]
    (pair,) = standing.pairs(rows)
    assert (pair.margin, pair.verdict) == (None, "cannot be told apart")
    assert standing.own_places(rows) == [1, 2, None]


@pytest.mark.parametrize(("seeds", "most"), [(2, 0.08), (3, 0.04)])
def test_rows_that_are_the_same_are_seldom_told_apart(seeds, most):
    random = np.random.default_rng(0)
    found = []
    for _ in range(400):
        psnr = random.normal(35, 0.02, (4, seeds))
        rows = [entry(str(i), one.tolist(), float(i)) for i, one in enumerate(psnr)]
        found.append(standing.pairs(rows)[0].verdict != "cannot be told apart")
    assert 0 < np.mean(found) < most


def test_only_seeds_that_both_have_are_compared():
    rows = [entry("a", [30.0, 30.2, 10.0], 2.0), entry("b", [29.0, 29.1], 1.0)]
    (pair,) = standing.pairs(rows)
    assert pair.difference == pytest.approx(1.05)
    by_hand = 3 * np.median([np.std([30, 30.2, 10], ddof=1), np.std([29, 29.1], ddof=1)])
    assert pair.margin == pytest.approx(by_hand)
    # A seed that one of them has alone says nothing of the two, where most rows lie together.
    others = [entry(name, [20.0, 20.1]) for name in "cdef"]
    (pair,) = standing.pairs(rows + others)
    assert pair.margin == pytest.approx(3 * np.std([30, 30.2], ddof=1))
    rows[1] = entry("b", [29.0], 1.0)
    (pair,) = standing.pairs(rows)
    assert (pair.margin, pair.verdict) == (None, "cannot be told apart")


def test_equal_places_are_a_claim_of_their_own():
    rows = [
        entry("pb", [27.0, 27.1], place=3),
        entry("erb", [28.0, 28.1], place=1),
        entry("rb", [28.05, 28.1], place=1),
        entry("ours", [29.0, 29.1]),
    ]
    assert verdicts(rows) == {
        ("erb", "rb"): "equal",
        ("erb", "pb"): "holds",
        ("rb", "pb"): "holds",
    }
    assert standing.kendall(rows) == 1
    assert [(p.first, p.second) for p in standing.neighbours(rows)] == [
        ("erb", "rb"),
        ("rb", "pb"),
    ]
    rows[2] = entry("rb", [26.0, 26.1], place=1)
    assert verdicts(rows)["erb", "rb"] == "better"


def test_without_an_order_rows_are_held_against_the_first():
    rows = [entry("base", [30, 30.1]), entry("x", [30.4, 30.5]), entry("y", [29, 29.1])]
    assert verdicts(rows) == {("x", "base"): "better", ("y", "base"): "worse"}
    assert standing.neighbours(rows) == standing.pairs(rows)
    assert standing.kendall(rows) is None


def test_kendall_is_that_of_the_definition():
    random = np.random.default_rng(0)
    for _ in range(20):
        printed, ours = random.permutation(7), random.permutation(7)
        rows = [
            entry(str(i), [float(mine)], float(theirs))
            for i, (mine, theirs) in enumerate(zip(ours, printed, strict=True))
        ]
        products = [
            np.sign(printed[i] - printed[j]) * np.sign(ours[i] - ours[j])
            for i, j in itertools.combinations(range(7), 2)
        ]
        assert standing.kendall(rows) == pytest.approx(np.mean(products))


def test_text_says_what_the_json_says():
    rows = [entry("b", [30.0, 30.1], 35.2), entry("a", [30.5, 30.6], 35.4)]
    value = standing.as_json(rows)
    head, *lines = standing_text.cells(value)
    assert [line[0] for line in lines] == ["a", "b"]
    told = dict(zip(head, lines[0], strict=True))
    assert told == {
        "row": "a",
        "parameters": "10",
        "Multi-Adds, G": "2.00",
        "validation, dB": "30.550",
        "over seeds": "30.500 to 30.600",
        "runs": "2",
        "minutes": "3.0",
        "place": "1",
        "printed, dB": "35.40",
        "printed place": "1",
    }
    assert list(standing_text.verdict_lines(value)) == [
        "a over b: holds (+0.500 dB, margin 0.212, printed +0.20)",
        "of all 1 pairs: 1 holds; Kendall's tau 1.00",
    ]


@pytest.mark.parametrize("path", MEASURED, ids=lambda path: path.stem)
def test_what_was_measured_is_what_the_ranking_is(path):
    value = json.loads(path.read_text(encoding="utf-8"))
    ranking = load(path.stem.removeprefix("ranking-"))
    assert (value["schema"], value["title"], value["steps"]) == (1, ranking.title, ranking.steps)
    told = [(row["name"], row["variant"], row["printed"]) for row in value["rows"]]
    recipes = [(row, ranking.recipe(row, 0)) for row in ranking.rows]
    assert told == [(row.name, recipe.variant, row.printed) for row, recipe in recipes]
    rows = [
        entry(row["name"], row["psnr"].values(), row["printed"], own.place)
        for row, own in zip(value["rows"], ranking.rows, strict=True)
    ]
    assert [pair["verdict"] for pair in value["pairs"]] == [p.verdict for p in standing.pairs(rows)]
