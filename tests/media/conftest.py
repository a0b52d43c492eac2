from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest
from pytest_django import Settings

from podi.base.models import User
from tests.simulators.files import FileServer


@pytest.fixture(autouse=True)
def files_folder(settings: Settings, tmp_path: Path) -> Path:
    """Every test keeps its files in a folder of its own."""
    settings.MEDIA_FILES_DIR = tmp_path / "files"
    return tmp_path / "files"


@pytest.fixture
def owner(db: None) -> User:
    return User.objects.create_user("ann")


@pytest.fixture
def stranger(db: None) -> User:
    return User.objects.create_user("bob")


@pytest.fixture
def operator(db: None) -> User:
    return User.objects.create_superuser("op")


@pytest.fixture
def server() -> Iterator[FileServer]:
    with FileServer() as running:
        yield running


def stored_files(folder: Path) -> list[Path]:
    """Every file under the folder, also drafts and thumbnails."""
    return [path for path in folder.rglob("*") if path.is_file()] if folder.exists() else []
