from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class AbilitiesConfig(AppConfig):
    name = "abilities"
    label = "abilities"
    verbose_name = _("Abilities and tasks")
    duties = (
        "abilities.jobs.PollDuty",
        "abilities.jobs.WatchDuty",
        "abilities.jobs.SweepDuty",
        "abilities.jobs.LeaseDuty",
    )
