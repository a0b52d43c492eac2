"""What import-linter cannot see: doors between apps, who writes a state, sizes, dotted strings, foreign keys."""

import ast
import importlib
import re
import subprocess
import sys
from collections.abc import Iterator

import pytest
from django.apps import apps
from django.conf import settings
from django.db.models import ForeignKey, ManyToManyField
from django.utils.module_loading import import_string

from podi.base.errors import PodiError
from tests.architecture.code import APPS, ROOT, app_of, module_name, parse, sources, where

MAX_MODULE_LINES = 400
MAX_FUNCTION_LINES = 50
TOO_LONG: dict[str, str] = {}
"""`path` or `path:function` of what may be longer, with the reason."""

PUBLIC = ("services", "models", "errors")
FORBIDDEN_NAMES = {"utils", "helpers", "common", "manager", "managers", "misc"}
LEVELS = {
    "base": 0,
    "events": 1,
    "executors": 2,
    "media": 2,
    "wallet": 2,
    "abilities": 3,
    "agents": 3,
    "coze_plugin": 4,
}


def test_every_import_contract_holds() -> None:
    done = subprocess.run([sys.executable, "-m", "importlinter.cli"], cwd=ROOT, text=True, capture_output=True)
    if "No module named" in done.stderr or not done.stdout:
        code = "from importlinter.cli import lint_imports; import sys; sys.exit(lint_imports())"
        done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, text=True, capture_output=True)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-2000:]


def imports_of_other_apps() -> Iterator[tuple[str, str, str]]:
    for path in sources(*{app.split(".")[0] for app in APPS}):
        home = app_of(module_name(path))
        if home is None:
            continue  # the roof may name everything
        for node in ast.walk(parse(path)):
            names = []
            if isinstance(node, ast.Import):
                names = [alias.name for alias in node.names]
            elif isinstance(node, ast.ImportFrom) and node.module:
                names = [f"{node.module}.{alias.name}" for alias in node.names]
            for name in names:
                target = app_of(name)
                if target not in (None, home, "podi.base", "coze_plugin"):
                    yield where(path, node), str(target), name


def test_of_another_app_only_services_models_and_errors_are_used() -> None:
    def is_public(app: str, name: str) -> bool:
        inner = name.removeprefix(app).lstrip(".")
        return inner.split(".")[0] in PUBLIC or (app == "executors" and inner.startswith("providers.base"))

    assert [f"{place} {name}" for place, app, name in imports_of_other_apps() if not is_public(app, name)] == []


def test_only_lifecycle_assigns_the_state_of_a_task() -> None:
    """Assignments to `.state` and `.update(state=...)` in the app that owns tasks."""
    offenders = []
    for path in sources("abilities"):
        if module_name(path).startswith(("abilities.lifecycle", "abilities.models")):
            continue
        for node in ast.walk(parse(path)):
            targets = node.targets if isinstance(node, ast.Assign) else []
            if any(isinstance(target, ast.Attribute) and target.attr == "state" for target in targets):
                offenders.append(where(path, node))
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "update":
                offenders += [where(path, node) for keyword in node.keywords if keyword.arg == "state"]
    assert offenders == []


def test_foreign_keys_point_down() -> None:
    wrong = []
    for model in apps.get_models():
        level = LEVELS.get(model._meta.app_label)
        if level is None:
            continue
        for field in model._meta.get_fields():
            if isinstance(field, ForeignKey | ManyToManyField) and isinstance(field.related_model, type):
                label = field.related_model._meta.app_label
                if label != model._meta.app_label and LEVELS.get(label, -1) >= level:
                    wrong.append(f"{model._meta.label}.{field.name} -> {field.related_model._meta.label}")
    assert wrong == []


def test_no_module_is_too_long() -> None:
    sizes = {str(path.relative_to(ROOT)): len(path.read_text().splitlines()) for path in sources()}
    assert {name: size for name, size in sizes.items() if size > MAX_MODULE_LINES and name not in TOO_LONG} == {}


def functions_that_are_too_long() -> Iterator[str]:
    for path in sources():
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                lines = (node.end_lineno or node.lineno) - node.lineno + 1
                if lines > MAX_FUNCTION_LINES:
                    yield f"{path.relative_to(ROOT)}:{node.name}"


def test_no_function_is_too_long() -> None:
    found = set(functions_that_are_too_long())
    assert found - set(TOO_LONG) == set()
    assert {name for name in TOO_LONG if ".py:" in name} - found == set(), "these became short: take them off the list"


def test_no_module_has_a_name_that_says_nothing() -> None:
    assert [str(path) for path in sources() if path.stem in FORBIDDEN_NAMES] == []


def test_every_module_says_what_is_in_it() -> None:
    silent = [
        str(path.relative_to(ROOT))
        for path in sources()
        if path.read_text().strip()
        and path.name not in {"apps.py", "__init__.py"}
        and not ast.get_docstring(parse(path))
    ]
    assert silent == []


def test_nothing_is_left_for_later() -> None:
    words = re.compile(r"\b(TODO|FIXME|XXX|HACK|Being written)\b|NotImplementedError\(\)")
    found = [str(path.relative_to(ROOT)) for path in sources() if words.search(path.read_text())]
    assert found == []


def dotted_strings() -> Iterator[str]:
    """The settings' dotted paths to our own code, and those our modules give to django-q2 or the poller."""
    pattern = re.compile(r"^(podi|media|wallet|executors|abilities|agents|coze_plugin)(\.[A-Za-z_]\w*){2,}$")

    def walk(value: object) -> Iterator[str]:
        if isinstance(value, str) and pattern.match(value):
            yield value
        elif isinstance(value, dict):
            for inner in value.values():
                yield from walk(inner)
        elif isinstance(value, list | tuple):
            for inner in value:
                yield from walk(inner)

    for name in dir(settings):
        if name.isupper():
            yield from walk(getattr(settings, name))
    for path in sources(*{app.split(".")[0] for app in APPS}):
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.Constant) and isinstance(node.value, str) and pattern.match(node.value):
                yield node.value


def _resolve(name: str) -> object:
    try:
        return importlib.import_module(name)
    except ModuleNotFoundError:
        return import_string(name)


def test_dotted_strings_resolve() -> None:
    unresolved = []
    for name in sorted(set(dotted_strings())):
        if name in {config.name for config in apps.get_app_configs()}:
            continue
        try:
            _resolve(name)
        except ImportError as error:
            unresolved.append(f"{name}: {error}")
    assert unresolved == []


def all_errors(root: type[PodiError] = PodiError) -> Iterator[type[PodiError]]:
    yield root
    for child in root.__subclasses__():
        yield from all_errors(child)


def test_error_codes_are_stable_words_and_unique() -> None:
    ours = [error for error in set(all_errors()) if error.__module__.split(".")[0] != "tests"]
    own_code = [error for error in ours if "code" in vars(error)]
    codes = [error.code for error in own_code]
    assert [code for code in codes if not re.fullmatch(r"[A-Z][A-Z0-9_]+", code)] == []
    assert sorted({code for code in codes if codes.count(code) > 1}) == []


def test_catch_all_stands_only_at_job_and_delivery_boundaries() -> None:
    """Elsewhere it cleans up and raises again, or gives its reason on its own line."""
    allowed = re.compile(r"(jobs|delivery|duties|sending|hub|consumers)(\.py|/)|runner/|poll")
    found = []
    for path in sources():
        lines = path.read_text().splitlines()
        for node in ast.walk(parse(path)):
            if isinstance(node, ast.ExceptHandler) and "# noqa: BLE001 - " not in lines[node.lineno - 1]:
                names = (
                    {name.id for name in ast.walk(node.type) if isinstance(name, ast.Name)} if node.type else {"bare"}
                )
                cleans_up = any(isinstance(inner, ast.Raise) and inner.exc is None for inner in ast.walk(node))
                if names & {"bare", "Exception", "BaseException"} and not cleans_up and not allowed.search(str(path)):
                    found.append(where(path, node))
    assert found == []


@pytest.mark.django_db
def test_no_migration_is_missing() -> None:
    from django.core.management import call_command

    call_command("makemigrations", "--check", "--dry-run", verbosity=0)
