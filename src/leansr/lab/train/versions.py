"""Which versions of its LR pictures a recipe trains on, and which its weights are chosen by."""

import zlib

import numpy as np

from leansr.image.arrays import Pixels
from leansr.lab.train import degradation, pictures
from leansr.lab.train.pictures import Versions
from leansr.lab.train.recipe import Data


def trained(data: Data) -> Versions:
    """The versions of an LR picture that a recipe trains on, the same at every start."""
    if data.degradation == "bicubic":
        return pictures.alone

    def versions(name: str, lr: Pixels) -> list[Pixels]:
        seed = zlib.crc32(name.encode())
        randoms = [np.random.default_rng((seed, version)) for version in range(data.versions)]
        return [degradation.degrade(lr, random, data.untouched) for random in randoms]

    return versions


def validated(data: Data) -> Versions:
    """The versions of an LR picture that weights are chosen by."""
    if data.degradation == "bicubic":
        return pictures.alone
    return lambda name, lr: [degradation.under(lr, each) for each in degradation.CONDITIONS]
