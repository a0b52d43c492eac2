"""Django's admin with PODI's own site."""

from django.contrib.admin.apps import AdminConfig as DjangoAdminConfig


class AdminConfig(DjangoAdminConfig):
    default_site = "podi.site.PodiAdminSite"
