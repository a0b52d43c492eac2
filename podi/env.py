"""Settings from the environment and `.env`: aliases, where state lives, and secrets that must be real.

Real environment variables win over `.env` (PODI_ENV_FILE names another file). An empty value counts as not set.
"""

from __future__ import annotations

import difflib
import os
import re
import secrets
from collections.abc import Iterator
from pathlib import Path

import environ
from django.core.exceptions import ImproperlyConfigured

BASE_DIR = Path(__file__).resolve().parent.parent

_env_file = Path(os.environ.get("PODI_ENV_FILE") or BASE_DIR / ".env")
if _env_file.is_file():
    environ.Env.read_env(_env_file)

PLACEHOLDERS = frozenset(
    {"change-me", "changeme", "super-secret", "secret", "placeholder", "example", "your-secret-here"}
)
MIN_SECRET_CHARS = 32

known: set[str] = set()
"""Every name that was asked for, aliases included."""
_reserved = """
COZE_LOOP_BASE_URL AGENT_JWT_SECRETS AGENT_JWT_DEFAULT_KID AGENT_TASK_TOKEN_TTL
AGENT_HEARTBEAT_TOKEN_TTL AGENT_TASK_TIMEOUT_SECONDS AGENT_MANIFEST_BASE_URL AGENT_DEBUG_TOKENS BAIDU_API_KEY
BAIDU_SECRET_KEY BAIDU_BASE_URL VOLCENGINE_API_KEY VOLCENGINE_BASE_URL KIE_API_KEY KIE_TASK_TIMEOUT_SECONDS
COMFYUI_REPO_URL COMFYUI_REPO_API_BASE COMFYUI_REPO_API_TOKEN
"""
RESERVED = frozenset(_reserved.split())
"""Names of the contract whose part is not built yet; setting one gives a warning instead of silence."""
_INTERNAL = frozenset({"PODI_ENV_FILE", "PODI_DEMO_COMFYUI_URL", "PODI_REQUIRE_BROWSER"})
_OURS = ("PODI_", "OSS_", "COZE_", "AGENT_", "COMFYUI_", "JWT_", "UPLOAD_TOKEN_", "ABILITY_TASK_", "FETCH_")


def text(*names: str, default: str = "") -> str:
    """The first of these variables that is set; the first name is the canonical one."""
    known.update(names)
    for name in names:
        if value := os.environ.get(name, "").strip():
            return value
    return default


def find_ignored() -> Iterator[tuple[str, str]]:
    """Variables that somebody set for PODI and that change nothing, each with a sentence what to do."""
    file_text = _env_file.read_text() if _env_file.is_file() else ""
    in_file = set(re.findall(r"^\s*(?:export\s+)?([A-Za-z_]\w*)\s*=", file_text, re.MULTILINE))
    ours = {name for name, value in os.environ.items() if name.startswith(_OURS) and value.strip()}
    for name in sorted((ours | in_file) - known - _INTERNAL):
        if name in RESERVED:
            yield name, "Its part of the contract is not in this version yet; nothing reads it."
        elif close := difflib.get_close_matches(name, known | RESERVED, n=1):
            yield name, f"PODI knows no such variable. Did you mean {close[0]}? All names are in .env.example."
        else:
            yield name, "PODI knows no such variable. All names are in .env.example."


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
