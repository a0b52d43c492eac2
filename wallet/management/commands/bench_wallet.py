"""`manage.py bench_wallet`: freeze and confirm pairs, on one hot account and on a thousand, as ratios."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from django.core.management.base import BaseCommand, CommandParser
from django.db import connection, transaction
from django.db.models import F
from django.test.utils import CaptureQueriesContext, override_settings

from podi.base.models import User
from wallet import services as wallet
from wallet.models import Account

ACCOUNTS = 1000
GRANT = 1_000_000_000

Pair = Callable[[int], None]


class Command(BaseCommand):
    help = (
        "Measure the wallet in a throw-away database beside the configured one. 1.00 is a pair of the smallest "
        "transactions this database can do (one UPDATE of one row each, a thousand rows), by as many threads."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--seconds", type=float, default=3.0, help="time for each measurement")
        parser.add_argument("--threads", type=int, nargs="*", default=[1, 8])

    def handle(self, *args: Any, **options: Any) -> None:
        name = connection.settings_dict["NAME"]
        connection.creation.create_test_db(verbosity=0, autoclobber=True)
        try:
            with override_settings(DEBUG=False):  # else Django keeps every statement, and that is what is measured
                self._measure(options["seconds"], options["threads"])
        finally:
            connection.creation.destroy_test_db(name, verbosity=0)

    def _measure(self, seconds: float, thread_counts: list[int]) -> None:
        owners = _open_accounts()
        accounts = list(Account.objects.filter(owner_id__in=owners).values_list("pk", flat=True))
        counter = itertools.count()
        hot: Pair = lambda _: _pair(owners[0], next(counter))  # noqa: E731
        wide: Pair = lambda number: _pair(owners[number % ACCOUNTS], next(counter))  # noqa: E731
        with CaptureQueriesContext(connection) as queries:
            _pair(owners[0], next(counter))
        self.stdout.write(f"{connection.vendor}: one freeze and confirm pair is {len(queries)} statements")
        for threads in thread_counts:
            base = _rate(lambda number: _smallest_pair(accounts[number % ACCOUNTS]), seconds, threads)
            for label, pair in (("one hot account", hot), (f"{ACCOUNTS} accounts", wide)):
                rate = _rate(pair, seconds, threads)
                self.stdout.write(
                    f"  {threads:3d} threads, {label:16s} {rate:8.0f} pairs/s  {rate / base:.2f} of the smallest pair"
                )
        report = wallet.audit()
        self.stdout.write(f"  audit of {report.transfers} transfers: {len(report.differences)} differences")


def _open_accounts() -> list[str]:
    users = [User(username=f"bench-{number}") for number in range(ACCOUNTS)]
    User.objects.bulk_create(users)
    with transaction.atomic():
        for user in users:
            wallet.grant(None, owner_id=user.pk, points=GRANT, reason="benchmark", key=f"bench:{user.pk}")
    return [user.pk for user in users]


def _pair(owner_id: str, number: int) -> None:
    hold = wallet.hold(owner_id=owner_id, points=1, key=f"bench:{number}", subject=("bench", str(number)))
    wallet.confirm(hold.pk)


def _smallest_pair(account_id: str) -> None:
    for change in (1, -1):
        with transaction.atomic():
            Account.objects.filter(pk=account_id).update(held=F("held") + change)


def _rate(pair: Pair, seconds: float, threads: int) -> float:
    """Pairs per second by so many threads, each with its own connection."""
    numbers = itertools.count()
    end = time.monotonic() + seconds

    def work(_: int) -> int:
        done = 0
        try:
            while time.monotonic() < end:
                pair(next(numbers))
                done += 1
        finally:
            if threads > 1:
                connection.close()
        return done

    begun = time.monotonic()
    if threads == 1:
        return work(0) / (time.monotonic() - begun)
    with ThreadPoolExecutor(threads) as pool:
        return sum(pool.map(work, range(threads))) / (time.monotonic() - begun)
