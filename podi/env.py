"""Settings from the environment and `.env`: aliases, where state lives, and secrets that must be real.

Real environment variables win over `.env`. An empty value counts as not set.
"""

from __future__ import annotations

import os
import secrets
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

environ.Env.read_env(BASE_DIR / ".env")

PLACEHOLDERS = frozenset(
    {"change-me", "changeme", "super-secret", "secret", "placeholder", "example", "your-secret-here"}
)
MIN_SECRET_CHARS = 32


def text(*names: str, default: str = "") -> str:
    """The first of these variables that is set; the first name is the canonical one."""
    for name in names:
        if value := os.environ.get(name, "").strip():
            return value
    return default


def integer(*names: str, default: int, minimum: int | None = None, maximum: int | None = None) -> int:
    raw = text(*names)
    try:
        value = int(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{names[0]} must be a whole number, not {raw!r}.") from None
    if minimum is not None:
        value = max(value, minimum)
    if maximum is not None:
        value = min(value, maximum)
    return value


def number(*names: str, default: float) -> float:
    raw = text(*names)
    try:
        return float(raw) if raw else default
    except ValueError:
        raise ImproperlyConfigured(f"{names[0]} must be a number, not {raw!r}.") from None


def boolean(*names: str, default: bool = False) -> bool:
    raw = text(*names).lower()
    if not raw:
        return default
    if raw in {"1", "true", "yes", "on"}:
        return True
    if raw in {"0", "false", "no", "off"}:
        return False
    raise ImproperlyConfigured(f"{names[0]} must be true or false, not {raw!r}.")


def items(*names: str, default: str = "") -> list[str]:
    """A comma list without blanks."""
    return [part.strip() for part in text(*names, default=default).split(",") if part.strip()]


def secret(*names: str, debug: bool, data_dir: Path) -> str:
    """A signing secret. While DEBUG is on a random one is made once and kept under the data folder (mode 0600).

    With DEBUG off a missing, short or placeholder value refuses to start and names the variable.
    """
    value = text(*names)
    if value and value.lower() not in PLACEHOLDERS and len(value) >= MIN_SECRET_CHARS:
        return value
    if not debug:
        problem = "is a placeholder or shorter than 32 characters" if value else "is not set"
        raise ImproperlyConfigured(f"{names[0]} {problem}. Set it to a long random text (DEBUG is off).")
    if value:
        return value
    return _kept_secret(data_dir / "secrets" / names[0].lower())


def _kept_secret(path: Path) -> str:
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    try:
        handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
    except FileExistsError:
        return path.read_text().strip()
    with os.fdopen(handle, "w") as file:
        value = secrets.token_urlsafe(48)
        file.write(value)
    return value
