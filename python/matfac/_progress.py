"""What is shown while a fit runs."""

from __future__ import annotations

import sys
from typing import Any

#: Work shorter than this shows nothing.
_DELAY_SECONDS = 1.5


class Progress:
    """A progress bar over iterations: in a terminal or a notebook, for work that takes a while."""

    def __init__(self, total: int, show: bool | None) -> None:
        self._bar: Any = None
        if not (is_interactive() if show is None else show):
            return
        from tqdm.auto import tqdm

        self._bar = tqdm(total=total, desc="fit", unit="iteration", delay=_DELAY_SECONDS)

    def update(self, info: dict[str, Any]) -> None:
        """Show an iteration's numbers."""
        if self._bar is None:
            return
        shown = {
            key: f"{value:.4f}"
            for key, value in info.items()
            if key.startswith(("train_", "eval_"))
        }
        self._bar.set_postfix(shown, refresh=False)
        self._bar.update()

    def close(self) -> None:
        """Leave the last state on the screen."""
        if self._bar is not None:
            self._bar.close()


def is_interactive() -> bool:
    """Whether somebody is likely to be watching: a terminal, or a notebook."""
    if "ipykernel" in sys.modules:
        return True
    return bool(sys.stderr is not None and sys.stderr.isatty())
