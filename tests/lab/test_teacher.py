import msgspec
import pytest
import torch

from leansr import zoo
from leansr.errors import UsageError
from leansr.lab.nets import build
from leansr.lab.train.recipe import Loss, Teacher
from leansr.lab.train.teacher import Lesson, self_ensemble
from leansr.lab.train.trainer import Run
from leansr.lab.weights import load_strictly, read_tensors
from leansr.zoo.release import release_of

CPU = torch.device("cpu")


def quiet(line):
    pass


def test_self_ensemble_sees_eight_ways():
    """A network that looks to one side only has no side left, and the mean is of eight."""
    seen = []

    def shifted(lr):
        seen.append(lr)
        return lr.roll(1, dims=3)

    lr = torch.rand(2, 1, 5, 5)
    sr = self_ensemble(shifted, lr)
    assert len({crop.numpy().tobytes() for crop in seen}) == 8
    ways = [lr.roll(step, dims=dim) for dim in (2, 3) for step in (-1, 1)]
    torch.testing.assert_close(sr, sum(ways) / 4)


def test_a_release_and_a_run_teach(tmp_path, pictures_folder, tiny):
    variant = zoo.find("sesr-m3", 2)
    lr = torch.rand(1, 1, 9, 8)
    release = Lesson(Teacher(weights="sesr-m5_x2"), variant, 2, CPU)
    expected = build(zoo.find("sesr-m5", 2), 2, "direct")
    load_strictly(expected, read_tensors(release_of("sesr-m5", 2).tensors), "release")
    torch.testing.assert_close(release(lr), expected(lr).detach())
    assert not release(lr).requires_grad
    Run(tiny, tmp_path / "run", pictures_folder, report=quiet).train()
    path = str(tmp_path / "run" / "weights.safetensors")
    trained = Lesson(Teacher(weights=path), variant, 2, CPU)
    own = build(variant, 2, "direct")
    load_strictly(own, read_tensors(tmp_path / "run" / "weights.safetensors"), "run")
    torch.testing.assert_close(trained(lr), own(lr).detach())


def test_a_teacher_of_something_else():
    settings = Teacher(weights="sesr-m5_x2")
    with pytest.raises(UsageError, match=r"teaches y x2, and fmen learns rgb x2"):
        Lesson(settings, zoo.find("fmen", 2), 2, CPU)
    with pytest.raises(UsageError, match=r"teaches y x2, and sesr-m3 learns y x4"):
        Lesson(settings, zoo.find("sesr-m3", 4), 4, CPU)


def test_the_share_of_a_lesson(tmp_path, pictures_folder, tiny):
    """A lesson of weight 1 by the network itself leaves nothing to learn; 0 leaves HR alone."""
    losses = {}
    for weight in (0.0, 0.25, 1.0):
        teacher = Teacher(weights="sesr-m5_x2", weight=weight)
        recipe = msgspec.structs.replace(
            tiny, variant="sesr-m5", teacher=teacher, start=None, loss=Loss()
        )
        run = Run(recipe, tmp_path / str(weight), pictures_folder, report=quiet)
        load_strictly(run.network, read_tensors(release_of("sesr-m5", 2).tensors), "release")
        losses[weight] = float(run._step())
    assert losses[1.0] < 1e-6 < losses[0.0]
    assert losses[0.25] == pytest.approx(0.75 * losses[0.0], rel=1e-5)


def test_a_run_goes_on_with_the_teacher_it_had(tmp_path, pictures_folder, tiny):
    Run(tiny, tmp_path / "teacher", pictures_folder, report=quiet).train()
    path = tmp_path / "teacher" / "weights.safetensors"
    recipe = msgspec.structs.replace(tiny, teacher=Teacher(weights=str(path)))
    Run(recipe, tmp_path / "run", pictures_folder, report=quiet).train(max_minutes=1e-9)
    assert Run(recipe, tmp_path / "run", pictures_folder, report=quiet).progress.step == 1
    other = msgspec.structs.replace(tiny, seed=1)
    Run(other, tmp_path / "other", pictures_folder, report=quiet).train()
    path.write_bytes((tmp_path / "other" / "weights.safetensors").read_bytes())
    with pytest.raises(UsageError, match="is a run with another teacher"):
        Run(recipe, tmp_path / "run", pictures_folder, report=quiet)
