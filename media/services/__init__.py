"""Files in, files out: keep bytes, link to them, take a caller's image, and clear away what nobody needs.

What moves bytes (`keep`, `take_input`, `sweep`, `self_check`) takes time and must not be called inside a transaction.
"""

from media.services.files import check_file, take_file
from media.services.granting import Form, Grant, UploadWish, check_wish, open_upload
from media.services.inputs import check_input, take_input
from media.services.reading import find_asset, open_asset, own_asset_of_url, thumbnail, url, url_of_key
from media.services.receiving import adopt, find_own_upload, receive, work_off_uploads
from media.services.reporting import record_report
from media.services.retention import place_hold, release_hold
from media.services.selfcheck import SelfCheck, self_check
from media.services.storing import keep, object_key
from media.services.sweeping import (
    Swept,
    find_orphans,
    remove_asset,
    remove_orphans,
    remove_too_old,
    remove_unused,
    sweep,
)
from media.services.upload_keys import (
    IssuedKey,
    block_uploads,
    issue_upload_key,
    revoke_upload_keys,
    unblock_uploads,
)

__all__ = [
    "Form",
    "Grant",
    "IssuedKey",
    "SelfCheck",
    "Swept",
    "UploadWish",
    "adopt",
    "block_uploads",
    "check_file",
    "check_input",
    "check_wish",
    "find_asset",
    "find_orphans",
    "find_own_upload",
    "issue_upload_key",
    "keep",
    "object_key",
    "open_asset",
    "open_upload",
    "own_asset_of_url",
    "place_hold",
    "receive",
    "record_report",
    "release_hold",
    "remove_asset",
    "remove_orphans",
    "remove_too_old",
    "remove_unused",
    "revoke_upload_keys",
    "self_check",
    "sweep",
    "take_file",
    "take_input",
    "thumbnail",
    "unblock_uploads",
    "url",
    "url_of_key",
    "work_off_uploads",
]
