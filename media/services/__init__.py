"""Files in, files out: keep bytes, link to them, take a caller's image, and clear away what nobody needs.

What moves bytes (`keep`, `take_input`, `sweep`, `self_check`) takes time and must not be called inside a transaction.
"""

from media.services.files import check_file, take_file
from media.services.inputs import check_input, take_input
from media.services.reading import open_asset, own_asset_of_url, thumbnail, url, url_of_key
from media.services.selfcheck import SelfCheck, self_check
from media.services.storing import keep, object_key
from media.services.sweeping import Swept, find_orphans, remove_asset, remove_orphans, remove_unused, sweep

__all__ = [
    "SelfCheck",
    "Swept",
    "check_file",
    "check_input",
    "find_orphans",
    "keep",
    "object_key",
    "open_asset",
    "own_asset_of_url",
    "remove_asset",
    "remove_orphans",
    "remove_unused",
    "self_check",
    "sweep",
    "take_file",
    "take_input",
    "thumbnail",
    "url",
    "url_of_key",
]
