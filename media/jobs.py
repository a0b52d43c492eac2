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
        if swept.unfinished or swept.unused:
            log.info("swept %d unfinished and %d unused files", swept.unfinished, swept.unused)
