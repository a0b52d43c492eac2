from typing import ClassVar

from django.apps import AppConfig
from django.conf import settings
from django.utils.translation import gettext_lazy as _


class MediaConfig(AppConfig):
    name = "media"
    label = "media"
    verbose_name = _("Media")
    duties: ClassVar[tuple[str, ...]] = ("media.jobs.Sweep", "media.jobs.WorkOffUploads")

    def ready(self) -> None:
        """Pillow's own guard stands behind ours, at the same limit (it warns there and refuses at twice of it)."""
        from PIL import Image

        Image.MAX_IMAGE_PIXELS = settings.MAX_IMAGE_PIXELS
