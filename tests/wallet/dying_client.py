"""A process that moves points and is killed: `python -m tests.wallet.dying_client <owner> <pause>`.

It prints a line before each pause point it reaches; with `pause` "never" it works until it is killed.
"""

import os
import random
import sys
import time

import django

django.setup()

from django.db import transaction  # noqa: E402

from wallet import services as wallet  # noqa: E402


def say(word: str) -> None:
    print(word, flush=True)


def reach(point: str, pause: str) -> None:
    if point == pause:
        say(point)
        time.sleep(60)


def live_once(owner_id: str, pause: str) -> None:
    key = f"task:{random.getrandbits(64)}"
    with transaction.atomic():
        held = wallet.hold(owner_id=owner_id, points=7, key=key, subject=("task", key[:64]))
        reach("held", pause)
    reach("between", pause)
    with transaction.atomic():
        if random.random() < 0.3:
            wallet.release(held.pk)
        else:
            wallet.confirm(held.pk, points=random.randint(1, 7))
        reach("settled", pause)


if __name__ == "__main__":
    owner, where = sys.argv[1:]
    say(f"started {os.getpid()}")
    for _ in range(10_000):
        live_once(owner, where)
        say("turn")
