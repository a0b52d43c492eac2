"""What every wallet endpoint does around its service call: whose account, which hold, once per Idempotency-Key."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Final, TypeVar

from django.db import OperationalError, transaction
from rest_framework.request import Request

from podi.base import idempotency
from podi.base.access import ADMIN_SCOPE
from podi.base.api.permissions import caller
from wallet import services as wallet
from wallet.errors import WalletAccountForbidden, WalletServiceUnavailable
from wallet.models import Hold

Answer = TypeVar("Answer")

TRIES: Final = 4
PAUSE_S: Final = 0.05


def is_operator(request: Request) -> bool:
    """Operators and the service token act on any account; an operator's API token only with the scope `admin`."""
    user, access = caller(request)
    return user.is_staff and ADMIN_SCOPE in access.scopes


def check_owner(request: Request, user_id: str) -> str:
    """The user id, if this caller may use its account. Raises WalletAccountForbidden, whether it exists or not."""
    if user_id != str(caller(request)[0].pk) and not is_operator(request):
        raise WalletAccountForbidden
    return user_id


def find_own_hold(request: Request, reference: str) -> Hold:
    """The hold a client took and may settle.

    Raises WalletHoldNotFound for another's, WalletHoldManaged for a task's.
    """
    owner_id = None if is_operator(request) else str(caller(request)[0].pk)
    return wallet.find_external_hold(reference, owner_id=owner_id)


def run_once(request: Request, command: Callable[[], Answer], *, subject: Callable[[Answer], str]) -> Answer:
    """Run a command in one transaction, with the request's Idempotency-Key if it has one.

    The commands repeat harmlessly by their business keys; the header adds that a key is refused with another body.
    When the database gives up (deadlock, lock wait) nothing was changed: tried again, then WalletServiceUnavailable.
    """
    for remaining in range(TRIES - 1, -1, -1):
        try:
            return _run(request, command, subject)
        except OperationalError as error:
            if not remaining:
                raise WalletServiceUnavailable(retry_after_s=1) from error
            time.sleep(PAUSE_S)
        except idempotency.AlreadyRemembered:
            continue  # its twin committed first; now `find` knows the key
    raise WalletServiceUnavailable(retry_after_s=1)


def _run(request: Request, command: Callable[[], Answer], subject: Callable[[Answer], str]) -> Answer:
    user, _ = caller(request)
    key = idempotency.read_key(request.headers)
    mark = idempotency.fingerprint(str(request.method), request.path, request.data)
    with transaction.atomic():
        is_known = key is not None and idempotency.find(user, key, fingerprint=mark) is not None
        answer = command()
        if key is not None and not is_known:
            idempotency.remember(user, key, fingerprint=mark, subject=("wallet", subject(answer)))
    return answer
