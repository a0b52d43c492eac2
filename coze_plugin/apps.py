from django.apps import AppConfig
from django.utils.translation import gettext_lazy as _


class CozePluginConfig(AppConfig):
    name = "coze_plugin"
    label = "coze_plugin"
    verbose_name = _("Coze plugin")
    duties = ("coze_plugin.jobs.RefusalRetention",)

    def ready(self) -> None:
        from coze_plugin import checks  # noqa: F401  # registers itself
