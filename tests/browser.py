"""Where Chromium is. Tests marked `browser` skip only where none can be had; with PODI_REQUIRE_BROWSER=1 they fail."""

import os
import shutil
from pathlib import Path

NAMES = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
MAC = Path("/Applications/Google Chrome.app/Contents/MacOS/Google Chrome")


def find_chromium() -> str | None:
    found = next((path for name in NAMES if (path := shutil.which(name))), None)
    return found or (str(MAC) if MAC.exists() else None)


def is_required() -> bool:
    return os.environ.get("PODI_REQUIRE_BROWSER") == "1"
