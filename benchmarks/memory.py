"""How much memory this process has used at the most."""

from __future__ import annotations

import sys
from pathlib import Path

_STATUS = Path("/proc/self/status")
_CLEAR = Path("/proc/self/clear_refs")


def peak_bytes() -> int:
    """The most that was resident since the start, or since `forget_peak`."""
    if _STATUS.is_file():
        return _from_status("VmHWM")
    import resource

    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
    return peak if sys.platform == "darwin" else 1024 * peak


def forget_peak() -> None:
    """Begin anew, where the system can: what loading took is not to hide what the work takes."""
    if _CLEAR.is_file():
        try:
            _CLEAR.write_text("5")
        except OSError:
            return


def _from_status(name: str) -> int:
    for line in _STATUS.read_text().splitlines():
        if line.startswith(name + ":"):
            return 1024 * int(line.split()[1])
    return 0
