"""What the poller does for the Coze door: refusals are forgotten after COZE_REFUSAL_RETENTION_DAYS."""

from __future__ import annotations

from datetime import timedelta
from typing import ClassVar

from django.conf import settings
from django.utils import timezone

from coze_plugin import services
from podi.base.duties import Duty


class RefusalRetention(Duty):
    name: ClassVar[str] = "coze-refusals"
    interval_s = 3600.0

    def run(self) -> None:
        services.forget_refusals(timezone.now() - timedelta(days=settings.COZE_REFUSAL_RETENTION_DAYS))
