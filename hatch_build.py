"""Builds the native engine into the package, where there is a C++ compiler; else a pure wheel."""

import os
import platform
import shlex
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path
from typing import Any

from hatchling.builders.hooks.plugin.interface import BuildHookInterface

ROOT = Path(__file__).parent
SOURCES = ROOT / "native"
# Not *.so, which Python would take for a module of its own; loaders do not mind.
LIBRARY = Path("src/leansr/runtime/engine.library")
COMPILERS = ("c++", "g++", "clang++")
# No -ffast-math: sums may be fused, not reordered.
FLAGS = ["-std=c++20", "-O3", "-fPIC", "-fvisibility=hidden", "-ffp-contract=fast"]
WARNINGS = ["-Wall", "-Wextra"]
# Namespace of kernels.cpp: what it is compiled for. dispatch.cpp asks the processor for the same.
PORTABLE: dict[str, list[str]] = {"portable": []}
AVX2 = ["-mavx2", "-mfma"]
AVX512 = [*("-mavx512f", "-mavx512bw", "-mavx512vl", "-mavx512dq"), "-mprefer-vector-width=512"]
X86 = PORTABLE | {
    "avx2": AVX2,
    "avx512": [*AVX2, *AVX512],
    "avx512vnni": [*AVX2, *AVX512, "-mavx512vnni"],
    "avx512bf16": [*AVX2, *AVX512, "-mavx512vnni", "-mavx512bf16"],
}


class EngineHook(BuildHookInterface):  # type: ignore[type-arg]
    """For wheels and editable installs alike; LEANSR_NATIVE=0 leaves the engine out."""

    def initialize(self, version: str, build_data: dict[str, Any]) -> None:
        if os.environ.get("LEANSR_NATIVE") == "0":
            (ROOT / LIBRARY).unlink(missing_ok=True)
            return
        problem = build(ROOT / LIBRARY)
        if problem:
            self.app.display_warning(f"without the native engine: {problem}")
            return
        build_data["artifacts"].append(LIBRARY.as_posix())
        build_data["pure_python"] = False
        # No Python is in it, so one library serves every version.
        system = sysconfig.get_platform().replace("-", "_").replace(".", "_")
        build_data["tag"] = f"py3-none-{system}"


def build(library: Path, extra: tuple[str, ...] = ()) -> str | None:
    """Compiles and links `library`; why not, if it cannot be, and then there is no such file."""
    library.unlink(missing_ok=True)
    compiler = os.environ.get("CXX") or next(filter(None, map(shutil.which, COMPILERS)), None)
    if compiler is None:
        return f"no C++ compiler ({', '.join(COMPILERS)}, or $CXX) was found"
    is_x86 = platform.machine().lower() in ("x86_64", "amd64") and sys.maxsize > 2**32
    command = [*shlex.split(compiler), *FLAGS, *WARNINGS, *extra]
    with tempfile.TemporaryDirectory() as folder:
        steps, objects = [], []
        for isa, flags in (X86 if is_x86 else PORTABLE).items():
            objects.append(str(Path(folder) / f"{isa}.o"))
            only = ["-fno-exceptions", "-fno-rtti", f"-DISA={isa}", *flags]
            kernels = str(SOURCES / "kernels.cpp")
            steps.append([*command, *only, "-c", kernels, "-o", objects[-1]])
        engine = [str(path) for path in sorted(SOURCES.glob("*.cpp")) if path.stem != "kernels"]
        linked = Path(folder) / library.name
        # What is missing is to be missed here, not when it is loaded.
        whole = ["-Wl,-z,defs"] if sys.platform == "linux" else []
        link = ["-shared", "-pthread", *whole, *engine, *objects, "-o", str(linked)]
        steps.append([*command, *link])
        for step in steps:
            try:
                subprocess.run(step, check=True, capture_output=True, text=True)
            except OSError as cause:
                return f"{compiler} cannot be started ({cause})"
            except subprocess.CalledProcessError as cause:
                return f"{compiler} failed:\n{cause.stderr}"
        # A process that loads it meanwhile gets all of it or none.
        beside = library.with_name(f"{library.name}.{os.getpid()}")
        shutil.copy(linked, beside)
        os.replace(beside, library)
    return None


if __name__ == "__main__":
    if trouble := build(ROOT / LIBRARY, tuple(sys.argv[1:])):
        sys.exit(trouble)
