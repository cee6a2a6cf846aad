"""Photo weights: which pictures get them, and that they lie beside the clean ones."""

import json
import re

import numpy as np
import pytest
from PIL import Image

import leansr
from leansr import Upscaler, cli
from leansr.errors import UsageError, WeightsError
from leansr.image.picture import Picture
from leansr.runtime import batch
from leansr.runtime.choice import INPUTS, PHOTO_QUALITY, Upscalers
from leansr.zoo import release
from leansr.zoo.release import KINDS, every_release, release_of, releases, stem

MODEL = "sesr-m5"


@pytest.fixture
def with_photo_weights(tmp_path, monkeypatch):
    """A folder of releases in which SESR-M5 x2 has photo weights.

    Those of SESR-XL, renamed, and for the engine its own with one of them changed.
    """
    folder = tmp_path / "releases"
    folder.mkdir()
    clean, other = release_of(MODEL, 2), release_of("sesr-xl", 2)
    for path in (clean.onnx, clean.tensors, clean.onnx.with_suffix(".json")):
        (folder / path.name).write_bytes(path.read_bytes())
    name = stem(MODEL, 2, "photo")
    assert name == "sesr-m5-photo_x2"
    # Names of the same length: the graph's metadata can be changed in place.
    content = other.onnx.read_bytes().replace(b"sesr-xl", b"sesr-m5")
    (folder / f"{name}.onnx").write_bytes(content)
    content = clean.tensors.read_bytes()[:-4] + np.float32(0.5).tobytes()
    (folder / f"{name}.safetensors").write_bytes(content)
    card = other.card | {
        "variant": MODEL,
        "input": "photo",
        "onnx": {"file": f"{name}.onnx"},
        "tensors": {"file": f"{name}.safetensors"},
    }
    (folder / f"{name}.json").write_text(json.dumps(card))
    monkeypatch.setattr(release, "folder", lambda: folder)
    return folder


def picture(quality):
    return Picture(np.zeros((2, 2, 3), np.uint8), "RGB", jpeg_quality=quality)


def run(capsys, *arguments):
    """Exit code, stdout and stderr of the command line, in this process."""
    with pytest.raises(SystemExit) as exit_:
        cli.main(["upscale", *map(str, arguments)])
    out, err = capsys.readouterr()
    return exit_.value.code, out, err


def test_both_kinds_side_by_side(with_photo_weights):
    assert {r.onnx.name for r in every_release()} == {"sesr-m5_x2.onnx", "sesr-m5-photo_x2.onnx"}
    for kind in KINDS:
        assert releases(kind).keys() == {(MODEL, 2)}
        assert release_of(MODEL, 2, kind).kind == kind
        assert release_of(MODEL, 2, kind).onnx.name == f"{stem(MODEL, 2, kind)}.onnx"


@pytest.mark.parametrize(
    ("input", "quality", "kind", "words"),
    [
        ("auto", 30, "photo", f"a JPEG of quality 30, not above {PHOTO_QUALITY}"),
        ("auto", PHOTO_QUALITY, "photo", f"quality {PHOTO_QUALITY}, not above"),
        ("auto", PHOTO_QUALITY + 1, "clean", f"above {PHOTO_QUALITY}"),
        ("auto", None, "clean", "no JPEG"),
        ("clean", 30, "clean", "as asked for"),
        ("photo", None, "photo", "as asked for"),
    ],
)
def test_what_is_chosen(with_photo_weights, input, quality, kind, words):
    choice = Upscalers(MODEL, 2, input).choose(picture(quality))
    assert choice.kind == kind
    assert choice.words.startswith(f"{kind} weights, ")
    assert words in choice.words


def test_clean_weights_where_there_are_no_others():
    choice = Upscalers("sesr-m5", 2).choose(picture(30))
    assert choice.kind == "clean"
    assert "sesr-m5 x2 has no photo weights" in choice.words
    given = Upscalers("sesr-m5", 2, weights=release_of("sesr-m5", 2).onnx)
    assert given.choose(picture(30)).words == "weights as given"


def test_a_batch_of_both(with_photo_weights, tmp_path, photo, capsys):
    source = tmp_path / "in"
    source.mkdir()
    crop = Image.fromarray(photo[:20, :30])
    crop.save(source / "clean.png")
    crop.save(source / "good.jpg", quality=PHOTO_QUALITY + 1)
    crop.save(source / "poor.jpg", quality=60)
    crop.save(source / "strong.webp", quality=60)
    upscalers = Upscalers(MODEL, 2)
    outcomes = list(batch.run(batch.plan([source], tmp_path / "out", 2), upscalers, "error"))
    kinds = {o.job.source.name: o.choice.kind for o in outcomes}
    assert kinds == {
        "clean.png": "clean",
        "good.jpg": "clean",
        "poor.jpg": "photo",
        "strong.webp": "clean",
    }
    assert upscalers.of("photo") is upscalers.of("photo")
    seen = np.asarray(Image.open(source / "poor.jpg"))
    results = {kind: Upscaler(MODEL, 2, input=kind)(seen) for kind in KINDS}
    assert not np.array_equal(results["clean"], results["photo"])
    for kind, arguments in (("photo", []), ("clean", ["--input", "clean"])):
        target = tmp_path / f"{kind}.png"
        code, out, err = run(capsys, source / "poor.jpg", "-o", target, *arguments)
        assert (code, out.strip(), err) == (0, str(target), "")
        np.testing.assert_array_equal(np.asarray(Image.open(target)), results[kind])
        again = leansr.upscale(source / "poor.jpg", target, overwrite=True, input=kind)
        np.testing.assert_array_equal(np.asarray(Image.open(again)), results[kind])
    by_default = leansr.upscale(source / "poor.jpg", target, overwrite=True)
    np.testing.assert_array_equal(np.asarray(Image.open(by_default)), results["photo"])


def test_verbose_says_one_line_a_picture(with_photo_weights, tmp_path, photo, capsys):
    for name, options in (("a.jpg", {"quality": 50}), ("b.png", {}), ("c.jpg", {"quality": 97})):
        Image.fromarray(photo[:20, :30]).save(tmp_path / name, **options)
    (tmp_path / "d.jpg").write_text("no picture")
    names = [tmp_path / name for name in ("a.jpg", "b.png", "c.jpg", "d.jpg")]
    code, out, err = run(capsys, *names, "-o", tmp_path / "out", "-v")
    assert (code, len(out.splitlines())) == (1, 3)
    engine, *told, summary = err.splitlines()
    assert engine == f"leansr: {Upscaler(MODEL, 2).runner.words(np.uint8)}"
    assert told == [
        f"{names[0]}: photo weights, as it is a JPEG of quality 50, not above {PHOTO_QUALITY}",
        f"{names[1]}: clean weights, as it is no JPEG that tells its quality",
        f"{names[2]}: clean weights, as it is a JPEG of quality 97, above {PHOTO_QUALITY}",
        f"leansr: {names[3]}: is not a picture that can be decoded",
    ]
    assert re.fullmatch(r"leansr: 3 done \(.*\); 1 failed, each named above", summary)


def test_models_tells_of_both(with_photo_weights, capsys):
    with pytest.raises(SystemExit):
        cli.main(["models", "--json"])
    rows = json.loads(capsys.readouterr().out)["models"]
    inputs = {(row["variant"], row["scale"]): row["inputs"] for row in rows}
    assert inputs[MODEL, 2] == ["clean", "photo"]
    assert inputs[MODEL, 4] == []
    with pytest.raises(SystemExit):
        cli.main(["models"])
    assert re.search(r"^sesr-m5 +x2 .* clean, photo$", capsys.readouterr().out, re.MULTILINE)


@pytest.mark.parametrize(
    ("make", "error", "words"),
    [
        (lambda: Upscalers(MODEL, 2, "raw"), UsageError, "raw: no such input; one of auto, clean"),
        (lambda: Upscalers(MODEL, 4, "photo"), WeightsError, "those that have them: sesr-m5 x2"),
        (lambda: Upscaler(MODEL, 4, input="photo"), WeightsError, "x4: has no photo weights"),
        (lambda: Upscaler(MODEL, 2, input="auto"), UsageError, "auto: pixels are one of clean"),
        (
            lambda: Upscaler(MODEL, input="photo", weights="w.onnx"),
            UsageError,
            "exclude each other",
        ),
        (lambda: Upscalers(MODEL, 2, "photo", weights="w.onnx"), UsageError, "exclude each other"),
        (lambda: Upscaler("sesr-m5-photo", 2), UsageError, "--model sesr-m5 --input photo"),
    ],
)
def test_wrong_inputs(with_photo_weights, make, error, words):
    with pytest.raises(error, match=words) as raised:
        make()
    assert "\n" not in str(raised.value)


def test_every_input_is_a_kind_or_auto():
    assert set(INPUTS) == {"auto", *KINDS}


@pytest.mark.parametrize(("variant", "scale"), releases("photo"))
@pytest.mark.parametrize("quality", [40, 80])
def test_released_photo_weights_are_better_on_compressed_pictures(photo, variant, scale, quality):
    """Than bicubic and than the clean weights, on luma, where they are needed."""
    import io
    from fractions import Fraction

    from leansr.image import codecs
    from leansr.image.quality import compare
    from leansr.image.resize import resize

    original = photo[:480, :480]
    file = io.BytesIO()
    Image.fromarray(resize(original, Fraction(1, scale))).save(file, "JPEG", quality=quality)
    lr = codecs.decode(file.getvalue(), "a.jpg").pixels
    ours = compare(Upscaler(variant, scale, input="photo")(lr), original, border=scale)["psnr_y"]
    for other in (resize(lr, scale), Upscaler(variant, scale)(lr)):
        assert ours > compare(other, original, border=scale)["psnr_y"]
