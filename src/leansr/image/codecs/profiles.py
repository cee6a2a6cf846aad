"""ICC profiles for colours that a file tells in numbers: H.273's codes, PNG's gAMA and cHRM.

Built as ICC.1:2022 has it: three primaries and a curve, adapted to D50 by Bradford's matrix.
"""

import struct
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

# x and y of red, green, blue and white.
Chromaticities = Sequence[float]
_D65 = (0.3127, 0.3290)
SRGB_PRIMARIES = (0.640, 0.330, 0.300, 0.600, 0.150, 0.060, *_D65)

# ITU-T H.273, tables 2 and 3, as far as a curve and three primaries can say it.
PRIMARIES: dict[int, Chromaticities] = {
    4: (0.67, 0.33, 0.21, 0.71, 0.14, 0.08, 0.310, 0.316),
    5: (0.64, 0.33, 0.29, 0.60, 0.15, 0.06, *_D65),
    6: (0.630, 0.340, 0.310, 0.595, 0.155, 0.070, *_D65),
    9: (0.708, 0.292, 0.170, 0.797, 0.131, 0.046, *_D65),
    11: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, 0.314, 0.351),
    12: (0.680, 0.320, 0.265, 0.690, 0.150, 0.060, *_D65),
}
GAMMAS = {4: 2.2, 5: 2.8, 8: 1.0}
# 1 is BT.709, 2 is unknown, 6 and 14 are BT.709's curve: shown as sRGB by browsers.
_SRGB_PRIMARIES, _SRGB_CURVES = (1, 2), (1, 2, 6, 13, 14, 15)

# sRGB's curve (IEC 61966-2-1): gamma, a, b, c, d of ICC's parametric curve of type 3.
_SRGB_CURVE = (2.4, 1 / 1.055, 0.055 / 1.055, 1 / 12.92, 0.04045)
_BRADFORD = np.array(
    [[0.8951, 0.2664, -0.1614], [-0.7502, 1.7135, 0.0367], [0.0389, -0.0685, 1.0296]]
)
_D50 = np.array([0.9642, 1.0, 0.8249])

Matrix = npt.NDArray[np.float64]


def of_codes(primaries: int, transfer: int) -> bytes | None:
    """The profile for codes of H.273, None if it is sRGB; ValueError if none can say it."""
    if primaries in _SRGB_PRIMARIES and transfer in _SRGB_CURVES:
        return None
    if primaries not in (*_SRGB_PRIMARIES, *PRIMARIES) or transfer not in (*_SRGB_CURVES, *GAMMAS):
        raise ValueError(f"colour of H.273's primaries {primaries} and transfer {transfer}")
    return rgb(PRIMARIES.get(primaries, SRGB_PRIMARIES), GAMMAS.get(transfer))


def of_png(chunks: Mapping[bytes, bytes], is_grey: bool) -> bytes | None:
    """The profile for what PNG's chunks on colour say, None if it is sRGB.

    ValueError if no profile can say it, or they are damaged.
    """
    try:
        if b"cICP" in chunks:
            return of_codes(chunks[b"cICP"][0], chunks[b"cICP"][1])
        if b"sRGB" in chunks or b"gAMA" not in chunks:
            return None
        gamma = 100_000 / struct.unpack(">L", chunks[b"gAMA"])[0]
        primaries: Chromaticities = SRGB_PRIMARIES
        if b"cHRM" in chunks and not is_grey:
            numbers = [n / 100_000 for n in struct.unpack(">8L", chunks[b"cHRM"])]
            primaries = [*numbers[2:], *numbers[:2]]
    except (struct.error, IndexError, ZeroDivisionError) as cause:
        raise ValueError("damaged chunks on colour") from cause
    is_srgb = np.allclose(primaries, SRGB_PRIMARIES, atol=2e-3)
    # 1 / 2.2 is what stands for sRGB's curve (PNG, 11.3.2.2).
    if is_srgb and abs(gamma - 2.2) < 0.03:
        return None
    return grey(gamma) if is_grey else rgb(primaries, None if abs(gamma - 2.2) < 0.03 else gamma)


def rgb(primaries: Chromaticities, gamma: float | None = None) -> bytes:
    """The profile of three primaries and a gamma, or sRGB's curve without one.

    ValueError if the primaries span nothing.
    """
    xyz = _to_d50(primaries)
    columns = {name: _xyz(xyz[:, i]) for i, name in enumerate((b"rXYZ", b"gXYZ", b"bXYZ"))}
    curve = _curve(gamma)
    return _profile(b"RGB ", columns | {b"rTRC": curve, b"gTRC": curve, b"bTRC": curve})


def grey(gamma: float) -> bytes:
    """The profile of a grey with a gamma."""
    return _profile(b"GRAY", {b"kTRC": _curve(gamma)})


def _to_d50(primaries: Chromaticities) -> Matrix:
    """The matrix from linear RGB to XYZ under D50."""
    points = np.reshape(primaries, (4, 2)).astype(np.float64)
    if points[:, 1].min() <= 0:
        raise ValueError("primaries that span nothing")
    xyz = np.stack([points[:, 0] / points[:, 1], np.ones(4), (1 - points.sum(1)) / points[:, 1]])
    try:
        shares = np.linalg.solve(xyz[:, :3], xyz[:, 3])
    except np.linalg.LinAlgError as cause:
        raise ValueError("primaries that span nothing") from cause
    cones = _BRADFORD @ np.stack([_D50, xyz[:, 3]], 1)
    adaptation = np.linalg.inv(_BRADFORD) @ np.diag(cones[:, 0] / cones[:, 1]) @ _BRADFORD
    matrix: Matrix = adaptation @ (xyz[:, :3] * shares)
    if np.abs(matrix).max() > 30000:
        raise ValueError("primaries that span nothing")
    return matrix


def _curve(gamma: float | None) -> bytes:
    numbers = _SRGB_CURVE if gamma is None else (gamma,)
    kind = 3 if gamma is None else 0
    return struct.pack(">4sLHH", b"para", 0, kind, 0) + b"".join(map(_fixed, numbers))


def _xyz(values: Matrix) -> bytes:
    return b"XYZ \0\0\0\0" + b"".join(_fixed(value) for value in values)


def _fixed(value: float) -> bytes:
    return struct.pack(">l", round(float(value) * 65536))


def _text(text: str) -> bytes:
    encoded = text.encode("utf-16-be")
    return struct.pack(">4sLLL4sLL", b"mluc", 0, 1, 12, b"enUS", len(encoded), 28) + encoded


def _profile(space: bytes, values: Mapping[bytes, bytes]) -> bytes:
    tags = {
        b"desc": _text("as the picture said"),
        b"cprt": _text("No copyright, use freely"),
        b"wtpt": _xyz(_D50),
        **values,
    }
    start = 128 + 4 + 12 * len(tags)
    table, data = struct.pack(">L", len(tags)), b""
    for name, value in tags.items():
        table += struct.pack(">4sLL", name, start + len(data), len(value))
        data += value + b"\0" * (-len(value) % 4)
    # Size, version 4.3, a display's profile, connected by XYZ, made 2026, signature, D50.
    head = struct.pack(
        ">L4sL4s4s4s", start + len(data), b"\0" * 4, 0x04300000, b"mntr", space, b"XYZ "
    )
    head += struct.pack(">6H4s", 2026, 1, 1, 0, 0, 0, b"acsp") + b"\0" * 28
    head += b"".join(_fixed(value) for value in _D50)
    return head.ljust(128, b"\0") + table + data
