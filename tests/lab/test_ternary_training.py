"""From one phase of training to the next, and from a trained float network."""

import msgspec
import pytest
import torch
from run_folders import quiet
from ternary_networks import SMALL, small

from leansr import zoo
from leansr.errors import ExportError, UsageError
from leansr.lab import papers
from leansr.lab import weights as weights_file
from leansr.lab.export.release import export
from leansr.lab.nets import build
from leansr.lab.quantize.sum_product import SumProductConv2d
from leansr.lab.train import ranking as rankings
from leansr.lab.train import recipe as recipes
from leansr.lab.train.recipe import Data, Optimizer, Schedule, Start
from leansr.lab.train.trainer import Run
from leansr.lab.weights import open_network, read_tensors
from leansr.zoo.release import release_of


@pytest.fixture
def phase(tiny):
    """The recipe of a phase, for a network that takes a moment."""
    return msgspec.structs.replace(
        tiny,
        variant="rcan-bl-ternary-r2",
        network={"changes": SMALL},
        optimizer=Optimizer(name="adam", lr=1e-3),
        schedule=Schedule(steps=4),
        data=Data(lr_crop=8, batch=1),
    )


@pytest.mark.parametrize("optimizer", ["adam", "muon"])
def test_three_phases_in_a_row(tmp_path, pictures_folder, phase, optimizer):
    start, networks = None, {}
    settings = msgspec.structs.replace(phase.optimizer, name=optimizer)
    for space in ("float", "ternary", "fixed"):
        recipe = msgspec.structs.replace(phase, space=space, start=start, optimizer=settings)
        folder = tmp_path / space
        run = Run(recipe, folder, pictures_folder, report=quiet)
        before = {name: t.clone() for name, t in run.network.state_dict().items()}
        run.train()
        path = str(folder / "weights.safetensors")
        networks[space], facts = weights_file.load_network(
            folder / "weights.safetensors", "rcan-bl-ternary-r2", 2
        )
        assert facts.space == space
        start = Start(weights=path)
    trained = {n for n, t in run.network.state_dict().items() if not torch.equal(t, before[n])}
    layers = {n for n, m in run.network.named_modules() if isinstance(m, SumProductConv2d)}
    assert {f"{n}.vector" for n in layers} <= trained
    assert not trained & {f"{n}.{part}.weight" for n in layers for part in ("features", "mix")}
    assert networks["fixed"].network.head.features.weight.unique().tolist() == [-1, 0, 1]
    lr = torch.rand(1, 3, 12, 10)
    for space in ("ternary", "fixed"):
        network = networks[space].eval()
        torch.testing.assert_close(network.deploy()(lr), network(lr))
    with pytest.raises(ExportError, match="start a run in the space ternary"):
        networks["float"].deploy()


def test_a_fixed_run_goes_on_bit_equal(tmp_path, pictures_folder, phase):
    recipe = msgspec.structs.replace(phase, space="fixed")
    whole = Run(recipe, tmp_path / "whole", pictures_folder, report=quiet)
    whole.train()
    Run(recipe, tmp_path / "cut", pictures_folder, report=quiet).train(max_minutes=1e-9)
    again = Run(recipe, tmp_path / "cut", pictures_folder, report=quiet)
    again.train()
    for name, tensor in whole.network.state_dict().items():
        assert torch.equal(tensor, again.network.state_dict()[name]), name


def test_float_weights_are_not_released(tmp_path, phase):
    recipe = msgspec.structs.replace(phase, network={}, space="float", variant="sesr-m5-ternary-r1")
    facts = weights_file.Trained(
        variant="sesr-m5-ternary-r1",
        scale=2,
        space="float",
        recipe=recipe,
        start_sha256="",
        steps=1,
        minutes=0.1,
        validation_psnr=None,
        data="ours",
        data_licence="CC0",
        torch="2",
    )
    path = tmp_path / "w.safetensors"
    network = build(zoo.find("sesr-m5-ternary-r1", 2), 2, "float")
    weights_file.save_weights(path, network.state_dict(), facts)
    with pytest.raises(ExportError, match="still float"):
        export(path, "sesr-m5-ternary-r1", 2, tmp_path / "a.onnx", {}, "CC0")
    assert not (tmp_path / "a.onnx").exists()


def test_a_released_network_is_where_float_starts():
    release = release_of("sesr-m5", 2)
    trained, _, _ = open_network(release.tensors)
    tensors = read_tensors(release.tensors)
    lr = torch.rand(2, 1, 14, 17, generator=torch.Generator().manual_seed(0))
    differences = []
    with torch.no_grad():
        expected = trained(lr)
        for rank in (1, 2, 4, 6):
            for space in ("float", "ternary"):
                network = small(space, of="sesr-m5", rank=rank, changes={})
                weights_file.load_strictly(network, network.adopted(tensors), "sesr-m5_x2")
                differences.append((network(lr) - expected).square().mean().item())
    exact, ternary = differences[::2], differences[1::2]
    assert max(exact) < 1e-10
    assert ternary == sorted(ternary, reverse=True)
    own = network.state_dict()
    assert network.adopted(own) is own


def test_a_network_with_groups_starts_afresh():
    of = build(zoo.find("rcan-bl", 2), 2).state_dict()
    with pytest.raises(UsageError, match="with groups starts afresh"):
        small(groups=2, changes={}).adopted(of)


def test_a_run_starts_from_a_release(tmp_path, pictures_folder, phase):
    start = Start(weights="sesr-m5_x2")
    recipe = msgspec.structs.replace(
        phase, variant="sesr-m5-ternary-r2", network={}, space="ternary", start=start
    )
    run = Run(recipe, tmp_path / "run", pictures_folder, report=quiet)
    assert run.start_sha256
    assert run.network.network.first.mix.weight.unique().tolist() == [0, 1]


def test_the_paper_s_three_recipes():
    """Section 3: epochs of 1000 steps; 300 at 1e-4, halved at 200, 40 at 5e-5, 10 at 2.5e-5."""
    name = "rcan-bl-ternary-r1_x2-paper"
    found = [recipes.load(f"{name}{suffix}") for suffix in ("-float", "-ternary", "")]
    assert [one.space for one in found] == ["float", "ternary", "fixed"]
    assert [one.schedule.steps for one in found] == [300_000, 40_000, 10_000]
    assert [one.optimizer.lr for one in found] == [1e-4, 5e-5, 2.5e-5]
    starts = [one.start and one.start.weights for one in found]
    assert starts == [None] + [
        f"runs/{name}-{phase}/weights.safetensors" for phase in ("float", "ternary")
    ]
    alike = [
        msgspec.structs.replace(
            one, space=None, start=None, schedule=found[0].schedule, optimizer=found[0].optimizer
        )
        for one in found
    ]
    assert alike[0] == alike[1] == alike[2]
    bl = recipes.load("rcan-bl_x2-paper")
    assert (found[0].schedule, found[0].data) == (bl.schedule, bl.data)


def test_the_ranking_has_table_5_s_figures():
    """Of the study's bl, at the ranks at which the ranking trains a smaller network."""
    four = ("set5_psnr", "set14_psnr", "b100_psnr", "urban100_psnr")
    printed = {
        row["rank"] or "0": sum(float(row[column]) for column in four) / 4
        for row in papers.rows("study")
        if (row["table"], row["scale"]) == ("5", "2")
    }
    ranking = rankings.load("study-ternary")
    found = {}
    for row in ranking.rows:
        recipe = ranking.recipe(row, 0)
        assert recipe.start == Start(weights="sesr-m5_x2")
        found[str(rankings.variant_of(recipe).arguments.get("rank", 0))] = row.printed
    assert found == pytest.approx(printed, abs=1e-6)
