"""`manage.py coze_bridge`: leads chats with a bot and runs the local tools it calls; writes the files of the plugin."""

from __future__ import annotations

import asyncio
import signal
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from django.conf import settings
from django.core.management.base import BaseCommand, CommandError, CommandParser

from coze_plugin.bridge import serving
from coze_plugin.bridge.plugin import write_plugin
from coze_plugin.bridge.talking import Desk
from coze_plugin.models import BridgeChat
from podi.base.errors import PodiError


class Command(BaseCommand):
    help = (
        "Without --ask: leads every chat that was asked for or left open, until it is stopped. "
        "With --ask: opens one chat and prints the bot's answer."
    )

    def add_arguments(self, parser: CommandParser) -> None:
        parser.add_argument("--ask", metavar="TEXT", help="Open a chat with this question; - asks each line of stdin.")
        parser.add_argument("--bot", default=settings.COZE_BOT_ID, help="Default: COZE_BOT_ID.")
        parser.add_argument("--user", default="podi", help="The user's id at Coze, chosen by you.")
        parser.add_argument("--conversation", default="", help="Go on in this conversation.")
        parser.add_argument("--abilities", nargs="+", default=[], metavar="NAME", help="Ids, provider/key, tools.")
        parser.add_argument("--wait", type=float, default=serving.DEFAULT_WAIT_S, help="Seconds a tool may wait.")
        parser.add_argument("--at-once", type=int, default=8, help="Chats led at the same time.")
        parser.add_argument("--once", action="store_true", help="Lead what is open now, then end.")
        parser.add_argument("--write-plugin", type=Path, metavar="FOLDER", help="Write the plugin's files and end.")
        parser.add_argument("--contact", default="", help="Contact address in the plugin's manifest.")

    def handle(self, *args: Any, **options: Any) -> None:
        try:
            if options["write_plugin"]:
                self._write(options)
            elif options["ask"] is not None:
                self._ask(options)
            else:
                self._serve(options)
        except PodiError as error:
            raise CommandError(f"{error.detail}: {error.text}") from error
        except KeyError as error:
            raise CommandError(f"No ability offered to Coze is called {error.args[0]!r}.") from error

    def _write(self, options: dict[str, Any]) -> None:
        tools = serving.chosen_tools(options["abilities"])
        folder = options["write_plugin"]
        for path in write_plugin(folder, tools, contact=options["contact"], address=settings.PUBLIC_URL):
            self.stdout.write(str(path))
        self.stdout.write(
            f"{len(tools)} tools. Upload both plugin files as a local plugin; see docs/coze-workflows.md."
        )

    def _ask(self, options: dict[str, Any]) -> None:
        if not options["bot"]:
            raise CommandError("Name the bot: --bot, or COZE_BOT_ID.")
        desk = serving.open_desk(options["abilities"], wait_s=options["wait"])
        row = asyncio.run(self._talk(desk, options))
        if row is not None:
            self.stderr.write(f"conversation {row.conversation_id}")

    async def _talk(self, desk: Desk, options: dict[str, Any]) -> BridgeChat | None:
        """Question by question in one conversation; each answer is printed as it comes."""
        row = None
        for question in _questions(options["ask"]):
            row = await serving.ask(
                desk,
                bot_id=options["bot"],
                coze_user_id=options["user"],
                question=question,
                conversation_id=row.conversation_id if row else options["conversation"],
            )
            if row.state == BridgeChat.State.FAILED:
                raise CommandError(row.error)
            if row.state != BridgeChat.State.DONE:
                raise CommandError("Coze cannot be reached. The chat is kept; `manage.py coze_bridge` goes on with it.")
            self.stdout.write(row.answer)
        return row

    def _serve(self, options: dict[str, Any]) -> None:
        desk = serving.open_desk(options["abilities"], wait_s=options["wait"])
        self.stdout.write(f"Leading chats with {len(desk.toolbox.tools)} tools as {desk.claimer}.")
        led = asyncio.run(_until_stopped(desk, at_once=options["at_once"], once=options["once"]))
        self.stdout.write(f"Chats led: {led}.")


async def _until_stopped(desk: Desk, *, at_once: int, once: bool) -> int:
    stop = asyncio.Event()
    loop = asyncio.get_running_loop()
    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop.set)
    return await serving.serve(desk, at_once=at_once, stop=stop, once=once)


def _questions(text: str) -> Iterator[str]:
    if text != "-":
        yield text
        return
    yield from (line.strip() for line in sys.stdin if line.strip())
