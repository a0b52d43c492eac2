"""The one root of everything PODI refuses, and the refusals that belong to no single app.

An error is data: a stable `code`, an HTTP `status`, whether a retry can help, and a sentence for people. Services raise
these and nothing of HTTP or DRF; `podi.base.api.envelope` turns them into REST answers, `coze_plugin.translate` into
Coze's, and the admin shows the sentence. `docs/errors.md` is generated from the classes.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar, Literal

from django.utils import translation
from django.utils.functional import Promise
from django.utils.translation import gettext_lazy as _

Fault = Literal["caller", "operator", "provider", "podi"]


class PodiError(Exception):
    """A refusal with a stable code.

    `suffix` is appended to the code in `detail` (`ABILITY_PROVIDER_UNSUPPORTED:<p>`); `fields` names what was wrong,
    field by field; `details` are facts a program can use. None of them may carry a secret.
    """

    code: ClassVar[str] = "INTERNAL_ERROR"
    status: ClassVar[int] = 500
    retryable: ClassVar[bool] = False
    fault: ClassVar[Fault] = "podi"
    charged: ClassVar[bool] = False
    message: ClassVar[str | Promise] = _("Something went wrong inside PODI.")

    def __init__(
        self,
        message: str | Promise | None = None,
        *,
        suffix: str = "",
        fields: Mapping[str, str | Promise] | None = None,
        retry_after_s: float | None = None,
        **details: Any,
    ) -> None:
        self.text = message or self.message
        self.suffix = suffix
        self.fields = dict(fields or {})
        self.retry_after_s = retry_after_s
        self.details = details
        super().__init__(self.detail)

    @property
    def stored_text(self) -> str:
        """The sentence as it is written down with a task: in English, told in each reader's language (`phrases`)."""
        with translation.override("en"):
            return str(self.text)

    @property
    def detail(self) -> str:
        """What the contract's `detail` key carries."""
        return f"{self.code}:{self.suffix}" if self.suffix else self.code

    def __str__(self) -> str:
        return f"{self.detail}: {self.text}"


class InvalidInput(PodiError):
    code = "INVALID_INPUT"
    status = 422
    fault = "caller"
    message = _("Some fields are wrong; see `fields`.")


class MalformedJson(PodiError):
    code = "MALFORMED_JSON"
    status = 400
    fault = "caller"
    message = _("The body is not valid JSON.")


class NotFound(PodiError):
    code = "NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("There is no such thing here.")


class PayloadTooLarge(PodiError):
    code = "PAYLOAD_TOO_LARGE"
    status = 413
    fault = "caller"
    message = _("The body is larger than PODI accepts. Send a URL of the file in its place.")


class UnsupportedMediaType(PodiError):
    code = "UNSUPPORTED_MEDIA_TYPE"
    status = 415
    fault = "caller"
    message = _("Send the body as application/json.")


class NotAcceptable(PodiError):
    code = "NOT_ACCEPTABLE"
    status = 406
    fault = "caller"
    message = _("PODI answers application/json; accept it.")


class MethodNotAllowed(PodiError):
    code = "METHOD_NOT_ALLOWED"
    status = 405
    fault = "caller"
    message = _("This address does not know this method.")


class Forbidden(PodiError):
    code = "FORBIDDEN"
    status = 403
    fault = "caller"
    message = _("You may not do this.")


class BadRequest(PodiError):
    code = "BAD_REQUEST"
    status = 400
    fault = "caller"
    message = _("PODI cannot read this request.")


class Conflict(PodiError):
    code = "CONFLICT"
    status = 409
    fault = "caller"
    message = _("This contradicts what is already there.")


class IdempotencyKeyReused(PodiError):
    code = "IDEMPOTENCY_KEY_REUSED"
    status = 409
    fault = "caller"
    message = _("This Idempotency-Key was used with another request. Use a new key.")


class IdempotencyInProgress(PodiError):
    code = "IDEMPOTENCY_IN_PROGRESS"
    status = 409
    retryable = True
    fault = "caller"
    message = _("The first request with this Idempotency-Key is still being answered. Try again shortly.")


class AuthorizationRequired(PodiError):
    code = "AUTHORIZATION_REQUIRED"
    status = 401
    fault = "caller"
    message = _("Send `Authorization: Bearer <token>`.")


class InvalidToken(PodiError):
    code = "INVALID_TOKEN"
    status = 401
    fault = "caller"
    message = _("The token is wrong, expired or revoked.")


class InvalidTokenPayload(PodiError):
    code = "INVALID_TOKEN_PAYLOAD"
    status = 401
    fault = "caller"
    message = _("The token names no user.")


class InvalidCredentials(PodiError):
    code = "INVALID_CREDENTIALS"
    status = 401
    fault = "caller"
    message = _("User name or password is wrong.")


class InvalidRefreshToken(PodiError):
    code = "INVALID_REFRESH_TOKEN"
    status = 401
    fault = "caller"
    message = _("This is not a usable refresh token. Log in again.")


class LoginIdentifierRequired(PodiError):
    code = "LOGIN_IDENTIFIER_REQUIRED"
    status = 400
    fault = "caller"
    message = _("Send `username` or `email`.")


class UserNotFound(PodiError):
    code = "USER_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("The user of this token no longer exists.")


class UserInactive(PodiError):
    code = "USER_INACTIVE"
    status = 403
    fault = "operator"
    message = _("This user is not active.")


class AdminOnly(PodiError):
    code = "ADMIN_ONLY"
    status = 403
    fault = "caller"
    message = _("Only operators may do this.")


class ScopeMissing(PodiError):
    code = "TOKEN_SCOPE_MISSING"
    status = 403
    fault = "caller"
    message = _("This API token does not carry the scope that is needed.")


class AddressNotAllowed(PodiError):
    code = "TOKEN_ADDRESS_NOT_ALLOWED"
    status = 403
    fault = "caller"
    message = _("This API token may not be used from this address.")


class RateLimited(PodiError):
    code = "RATE_LIMITED"
    status = 429
    retryable = True
    fault = "caller"
    message = _("Too many requests. Wait as long as Retry-After says.")


class ConcurrencyLimited(PodiError):
    code = "CONCURRENCY_LIMITED"
    status = 429
    retryable = True
    fault = "caller"
    message = _("Too many calls of this API token are open at once.")


class UrlForbidden(PodiError):
    code = "URL_FORBIDDEN"
    status = 400
    fault = "caller"
    message = _("PODI does not fetch this address.")


class Unavailable(PodiError):
    code = "SERVICE_UNAVAILABLE"
    status = 503
    retryable = True
    fault = "podi"
    message = _("PODI cannot do this right now. Try again.")
