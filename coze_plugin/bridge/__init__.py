"""The local plugin bridge: PODI opens a chat with a bot, and when the bot calls a local tool, PODI runs it.

`plugin` writes the files that make the tools known to Coze, `tools` answers one call, `records` keeps the chats in the
database, `talking` leads one chat from its question to its end, `serving` leads many.
"""
