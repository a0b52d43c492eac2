"""Send one real task through the whole path and say where its result lies, or which part does not work."""

from __future__ import annotations

import base64
import io
import time
from typing import Any

from django.core.management.base import BaseCommand, CommandError, CommandParser
from django.utils.translation import gettext as _
from PIL import Image, ImageDraw

from abilities import results, services
from abilities.models import Task
from podi.base.errors import PodiError
from podi.base.phrases import tell
from podi.base.services import ensure_service_user

ABILITY_ID = "podi_upscale_resize"


class Command(BaseCommand):
    help = "A picture made on the spot, through podi/upscale_resize, by the queue."

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--timeout", type=float, default=60.0, help="seconds to wait for the end")

    def handle(self, *args: Any, **options: Any) -> None:
        user = ensure_service_user()
        try:
            call = services.Call(inputs={"max_long_edge": 512}, pictures=(_picture(),))
            created = services.create_task(user, services.prepare(ABILITY_ID, call), source=Task.Source.SELF_CHECK)
        except PodiError as error:
            raise CommandError(_("the task could not be created: %(error)s") % {"error": error}) from error
        task = self._wait(created.task, options["timeout"])
        link = results.invoke_response(task, log_id=None)["images"][0]["ossUrl"]
        note = _("self-check: task %(task)s succeeded in %(ms)s ms") % {
            "task": task.id,
            "ms": results.duration_ms(task),
        }
        self.stdout.write(f"{note}\n  {link}")

    def _wait(self, task: Task, timeout_s: float) -> Task:
        deadline = time.monotonic() + timeout_s
        while time.monotonic() < deadline:
            task.refresh_from_db()
            if task.state == Task.State.SUCCEEDED:
                return task
            if task.is_terminal:
                cause = f"{task.error_code} {tell(task.error_message)}"
                raise CommandError(
                    _("the task ended as %(state)s: %(cause)s") % {"state": task.get_state_display(), "cause": cause}
                )
            time.sleep(0.1)
        if task.state == Task.State.QUEUED:
            raise CommandError(_("the task still waits: is the worker (manage.py qcluster) running?"))
        note = _("the task is still %(state)s after %(seconds)d s: see the worker's and poller's log")
        raise CommandError(note % {"state": task.get_state_display(), "seconds": timeout_s})


def _picture() -> str:
    """A small cup print: transparent ground, a ring and a dot."""
    image = Image.new("RGBA", (256, 256), (255, 255, 255, 0))
    draw = ImageDraw.Draw(image)
    draw.ellipse((24, 24, 232, 232), outline=(200, 60, 40, 255), width=18)
    draw.ellipse((96, 96, 160, 160), fill=(40, 90, 200, 255))
    buffer = io.BytesIO()
    image.save(buffer, "PNG")
    return base64.b64encode(buffer.getvalue()).decode()
