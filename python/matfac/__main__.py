"""``python -m matfac`` is the command line."""

from __future__ import annotations

import sys

from matfac._cli import main

sys.exit(main())
