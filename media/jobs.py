"""What media does by the clock."""

from __future__ import annotations

import logging

from django.utils import timezone

from media import services as media
from podi.base.duties import Duty

log = logging.getLogger(__name__)


class Sweep(Duty):
    """Clears away unfinished and unused files, an hour apart."""

    name = "media-sweep"
    interval_s = 3600.0

    def run(self) -> None:
        swept = media.sweep(timezone.now())
        if swept.unfinished or swept.unused or swept.too_old:
            log.info(
                "swept %d unfinished, %d unused and %d too old files", swept.unfinished, swept.unused, swept.too_old
            )


class WorkOffUploads(Duty):
    """Looks into uploads that OSS reported, and ends those that never came. Each is claimed by one process."""

    name = "media-uploads"
    interval_s = 3.0

    def run(self) -> None:
        media.work_off_uploads(timezone.now())
