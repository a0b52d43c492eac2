from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class ExecutorsConfig(AppConfig):
    name = "executors"
    label = "executors"
    verbose_name = _("Executors")
    duties = ("executors.jobs.ProbeExecutors",)
