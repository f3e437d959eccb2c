"""What the benchmarks ran on, and what that machine can do."""

from __future__ import annotations

import os
import platform
import sys
from importlib import metadata
from pathlib import Path
from typing import Any

PACKAGES = (
    "numpy",
    "scipy",
    "pandas",
    "implicit",
    "cmfrec",
    "scikit-surprise",
    "torch",
    "faiss-cpu",
    "threadpoolctl",
    "matplotlib",
)


def describe() -> dict[str, Any]:
    """The processor, the system, and the versions of all that takes part."""
    import matfac as mf

    info = mf.runtime_info()
    return {
        "processor": processor(),
        "processors": processors(),
        "memory_gigabytes": memory_gigabytes(),
        "load_average": list(os.getloadavg()) if hasattr(os, "getloadavg") else None,
        "system": platform.platform(),
        "python": sys.version.split()[0],
        "matfac": info,
        "instruction_set_forced": os.environ.get("MATFAC_ISA"),
        "blas": blas(),
        "packages": {name: version(name) for name in PACKAGES},
    }


def is_forced_lower(info: dict[str, Any]) -> bool:
    """Whether the kernels are of a lower level than the machine has."""
    return bool(info["instruction_set"] != info["instruction_sets"][-1])


def processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    if cpuinfo.is_file():
        for line in cpuinfo.read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()


def processors() -> int:
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1


def memory_gigabytes() -> float | None:
    try:
        return round(os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30, 1)
    except (AttributeError, ValueError, OSError):
        return None


def blas() -> str:
    """The library behind NumPy's matrix products."""
    import numpy as np

    built_with = np.show_config(mode="dicts")["Build Dependencies"]["blas"]
    return f"{built_with.get('name')} {built_with.get('version')}"


def version(package: str) -> str | None:
    try:
        return metadata.version(package)
    except metadata.PackageNotFoundError:
        return None
