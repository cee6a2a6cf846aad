import click
import pytest

from leansr import zoo
from leansr.cli import options
from leansr.errors import UsageError
from leansr.lab.nets import build, changed


def made(model, **arguments):
    variant = zoo.VARIANTS[model]
    return build(changed(variant, arguments), variant.scales[0])


@pytest.mark.parametrize(
    ("model", "name", "values", "wanted"),
    [
        ("sesr-m3", "channels", ["four", 0, -3, (4, 4), True], "a positive integer"),
        ("sesr-m3", "blocks", ["four", 0, -3, (4, 4), False], "a positive integer"),
        ("sesr-m3", "linear_blocks", ["no", 0, 1], "true or false"),
        ("sesr-m3", "activation", ["four", 0, True], "one of prelu, relu"),
        ("mdrn", "spatial", [4, True], "a name"),
        ("fmen", "attention_blocks", [4, "four", (4, 0), ()], "a list of positive integers"),
    ],
)
def test_arguments_of_the_wrong_kind(model, name, values, wanted):
    for value in values:
        with pytest.raises(UsageError) as raised:
            changed(zoo.VARIANTS[model], {name: value})
        assert str(raised.value) == f"{model}: network.{name} is {wanted}, not {value!r}"


@pytest.mark.parametrize(
    ("model", "arguments", "told"),
    [
        ("bsrn", {"channels": 1}, "network.channels 1 "),
        ("fmen", {"attention_channels": (4, 4)}, r"network.attention_channels \(4, 4\) "),
        ("mdrn", {"spatial": "four"}, "network.spatial four "),
        ("rcan-bl", {"reduction": 100}, "network.reduction 100 "),
    ],
)
def test_arguments_that_no_network_is_built_with(model, arguments, told):
    with pytest.raises(UsageError, match=f"^{model}: cannot be built with {told}") as raised:
        made(model, **arguments)
    assert "\n" not in str(raised.value)


def test_arguments_that_fit():
    assert made("sesr-m3", channels=4, blocks=1, activation="relu", input_residual=False)
    assert made("fmen", channels=8, attention_channels=(4, 4), attention_blocks=(1, 1))


def test_the_rows_are_of_their_own_kinds():
    for variant in zoo.VARIANTS.values():
        plain = {n: v for n, v in variant.arguments.items() if not isinstance(v, dict)}
        assert changed(variant, plain).arguments == variant.arguments


@pytest.mark.parametrize("text", ["nan", "inf", "0", "-1"])
def test_amounts_are_positive_and_finite(text):
    with pytest.raises(click.BadParameter):
        options.Amount().convert(text, None, None)
    assert options.Amount().convert("0.5", None, None) == 0.5
