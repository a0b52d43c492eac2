"""Settings come from the environment under the names that are documented, and nothing is ignored in silence (R22)."""

import ast
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest
from django.conf import settings
from django.core.checks import run_checks
from django.core.exceptions import ImproperlyConfigured

from podi import env

ROOT = Path(__file__).resolve().parents[2]
SECRETS = ("SECRET_KEY", "JWT_SECRET_KEY", "UPLOAD_TOKEN_SECRET", "FIELD_ENCRYPTION_KEY")


def documented() -> dict[str, str]:
    """Each variable of .env.example with the comment above its group."""
    found, comment = {}, ""
    for line in (ROOT / ".env.example").read_text().splitlines():
        if match := re.match(r"#?([A-Z][A-Z0-9_]*)=", line):
            found[match[1]] = comment
        else:
            comment = line.strip("# -")
    return found


def read_by_settings() -> list[tuple[str, ...]]:
    """The names of each call of env in the settings: the first is canonical, the others are aliases."""
    tree = ast.parse((ROOT / "podi" / "settings.py").read_text())
    calls = [node for node in ast.walk(tree) if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute)]
    ours = [call for call in calls if isinstance(call.func.value, ast.Name) and call.func.value.id == "env"]
    return [tuple(str(argument.value) for argument in call.args if isinstance(argument, ast.Constant)) for call in ours]


def python(code: str, **environment: str) -> subprocess.CompletedProcess[str]:
    clean = {name: os.environ[name] for name in ("PATH", "HOME", "PODI_ENV_FILE") if name in os.environ}
    return subprocess.run(
        [sys.executable, *code.split("|")], cwd=ROOT, env={**clean, **environment}, text=True, capture_output=True
    )


def test_R22_every_variable_that_is_read_is_documented_and_every_documented_one_is_read() -> None:
    read = {name for names in read_by_settings() for name in names}
    assert read
    assert set(documented()) == read | env.RESERVED


def test_every_documented_variable_has_a_comment() -> None:
    assert [name for name, comment in documented().items() if not comment] == []


@pytest.mark.parametrize("names", [names for names in read_by_settings() if len(names) > 1], ids=lambda names: names[0])
def test_R22_every_alias_works_alone_and_the_first_name_wins(
    names: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in names:
        monkeypatch.delenv(name, raising=False)
    for name in reversed(names):
        monkeypatch.setenv(name, f"value of {name}")
        assert env.text(*names) == f"value of {name}"


def test_an_empty_variable_counts_as_not_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODI_PUBLIC_URL", " ")
    assert env.text("PODI_PUBLIC_URL", default="fallback") == "fallback"


@pytest.mark.parametrize(
    ("read", "value", "says"),
    [
        (lambda: env.integer("PORT", default=1), "80a", "PORT must be a whole number"),
        (lambda: env.number("POLLER_TICK_S", default=1), "fast", "POLLER_TICK_S must be a number"),
        (lambda: env.boolean("DEBUG"), "maybe", "DEBUG must be true or false"),
    ],
)
def test_a_value_of_the_wrong_kind_is_refused_by_name(
    read, value: str, says: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv(says.split()[0], value)
    with pytest.raises(ImproperlyConfigured, match=says):
        read()


def test_R22_a_variable_that_is_set_and_ignored_is_reported(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PODI_DATADIR", "/somewhere")
    monkeypatch.setenv("AGENT_DEBUG_TOKENS", "invented-key-id")
    ignored = dict(env.find_ignored())
    assert "PODI_DATA_DIR" in ignored["PODI_DATADIR"]
    assert "not in this version" in ignored["AGENT_DEBUG_TOKENS"]
    messages = [str(message.msg) for message in run_checks() if message.id == "podi.W010"]
    assert any("PODI_DATADIR" in message for message in messages)
    assert not any("invented-key-id" in message for message in messages)


def test_names_of_other_programs_are_nobodys_business(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("SOME_OTHER_PROGRAM", "1")
    assert "SOME_OTHER_PROGRAM" not in dict(env.find_ignored())


@pytest.mark.parametrize("missing", SECRETS)
def test_with_debug_off_a_missing_secret_refuses_to_start_and_is_named(missing: str, tmp_path: Path) -> None:
    given = {name: f"an-invented-{name.lower()}-for-this-test-only" for name in SECRETS if name != missing}
    done = python("manage.py|check", PODI_DATA_DIR=str(tmp_path), DEBUG="0", **given)
    assert done.returncode != 0
    assert f"{missing} is not set" in done.stderr
    assert list(tmp_path.rglob("*secret*")) == [] or not any((tmp_path / "secrets").iterdir())


@pytest.mark.parametrize("weak", ["change-me", "short-text"])
def test_with_debug_off_a_placeholder_refuses_to_start(weak: str, tmp_path: Path) -> None:
    given = {name: f"an-invented-{name.lower()}-for-this-test-only" for name in SECRETS}
    done = python("manage.py|check", PODI_DATA_DIR=str(tmp_path), DEBUG="0", **{**given, "JWT_SECRET_KEY": weak})
    assert done.returncode != 0
    assert "JWT_SECRET_KEY is a placeholder or shorter than 32 characters" in done.stderr


def test_secrets_of_a_development_machine_are_made_once_and_private(tmp_path: Path) -> None:
    first = env.secret("AN_INVENTED_SECRET", debug=True, data_dir=tmp_path)
    kept = tmp_path / "secrets" / "an_invented_secret"
    assert env.secret("AN_INVENTED_SECRET", debug=True, data_dir=tmp_path) == first == kept.read_text()
    assert kept.stat().st_mode & 0o777 == 0o600
    assert len(first) >= env.MIN_SECRET_CHARS
    env.known.discard("AN_INVENTED_SECRET")


def test_mysql_without_its_client_says_how_to_get_it(tmp_path: Path) -> None:
    (tmp_path / "MySQLdb.py").write_text("raise ImportError('no headers, no client')")
    done = python(
        "manage.py|check",
        PODI_DATA_DIR=str(tmp_path),
        DEBUG="1",
        DATABASE_URL="mysql://nobody:nothing@127.0.0.1:1/none",
        PYTHONPATH=str(tmp_path),
    )
    assert done.returncode != 0
    assert "libmariadb-dev" in done.stderr
    assert "brew install" in done.stderr


def test_all_state_is_under_the_data_folder() -> None:
    places = [settings.STATIC_ROOT, settings.MEDIA_FILES_DIR]
    assert [place for place in places if not Path(place).is_relative_to(settings.DATA_DIR)] == []
