"""`make manage ARGS="..."`: manage.py with the defaults of `make run`, so that both speak of the same database."""

from __future__ import annotations

import os
import sys

from deploy.install import BASE_DIR, VENV_PYTHON, ensure_installed
from deploy.run import enter_venv, settle


def main() -> None:
    os.chdir(BASE_DIR)
    ensure_installed()
    enter_venv("deploy.manage")
    settle(demo=False)
    os.execv(VENV_PYTHON, [str(VENV_PYTHON), "manage.py", *sys.argv[1:]])


if __name__ == "__main__":
    main()
