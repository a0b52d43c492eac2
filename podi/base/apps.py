from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class BaseConfig(AppConfig):
    name = "podi.base"
    label = "base"
    verbose_name = _("Accounts and access")
    duties = ("podi.base.heartbeats.HeartbeatDuty", "podi.base.jobs.SweepDuty")

    def ready(self) -> None:
        from podi.base import checks  # noqa: F401  # registers itself
        from podi.base.api import schema  # noqa: F401  # likewise
