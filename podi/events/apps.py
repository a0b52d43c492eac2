from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class EventsConfig(AppConfig):
    name = "podi.events"
    label = "events"
    verbose_name = _("Events")
    duties = ("podi.events.jobs.Deliveries", "podi.events.jobs.Sequence", "podi.events.jobs.Retention")
