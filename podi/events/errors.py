"""What events and deliveries refuse."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from podi.base.errors import PodiError


class CallbackUrlInvalid(PodiError):
    code = "CALLBACK_URL_INVALID"
    status = 400
    fault = "caller"
    message = _(
        "The callback address must be an http or https URL of at most 512 characters, without a password in it."
    )


class CallbackHeadersInvalid(PodiError):
    code = "CALLBACK_HEADERS_INVALID"
    status = 400
    fault = "caller"
    message = _("The callback headers are not usable; see `fields`.")


class DeliveryNotFound(PodiError):
    code = "DELIVERY_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("There is no such delivery among yours.")


class DeliveryUnderWay(PodiError):
    code = "DELIVERY_UNDER_WAY"
    status = 409
    retryable = True
    fault = "caller"
    message = _("This delivery is being sent right now. Look again in a minute.")
