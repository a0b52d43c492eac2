"""Django's admin with PODI's own site."""

from django.apps import apps
from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig
from django.utils.translation import gettext_lazy


class AdminConfig(DjangoAdminConfig):
    default_site = "podi.site.PodiAdminSite"

    def ready(self) -> None:
        super().ready()
        _translate_attribute_names()


def _translate_attribute_names() -> None:
    """What nobody gave a label is called after its class or attribute; these names are translated like labels.

    Migrations look at what was written in the model and see nothing of it.
    """
    for model in apps.get_models():
        if isinstance(model._meta.verbose_name, str):
            model._meta.verbose_name = gettext_lazy(model._meta.verbose_name)
        for field in model._meta.fields:
            if isinstance(field.verbose_name, str):
                field.verbose_name = gettext_lazy(field.verbose_name)
