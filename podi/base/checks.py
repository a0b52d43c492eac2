"""What `manage.py check` says about the environment. A variable that is set and ignored costs somebody a day."""

from __future__ import annotations

from typing import Any

from django.core import checks

from podi import env


@checks.register()
def check_environment(**kwargs: Any) -> list[checks.CheckMessage]:
    return [
        checks.Warning(f"The environment variable {name} has no effect.", hint=hint, id="podi.W001")
        for name, hint in env.find_ignored()
    ]
