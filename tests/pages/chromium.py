"""Where Chromium is: LLMHIVE_CHROMIUM, or the first one on the PATH. ``python -m tests.pages.chromium`` prints it."""

from __future__ import annotations

import os
import shutil
import sys

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")


def found() -> str | None:
    """Its path; None where there is none."""
    named = os.environ.get("LLMHIVE_CHROMIUM")
    return next(filter(None, map(shutil.which, [named] if named else NAMES)), None)


if __name__ == "__main__":
    sys.exit(print(found()) if found() else "there is no Chromium")
