"""The admin of files, uploads and retention."""

from media.admin.assets import AssetAdmin
from media.admin.retention import LegalHoldAdmin, RetentionRuleAdmin
from media.admin.uploads import UploadAdmin, UploadBlockAdmin, UploadKeyAdmin

__all__ = [
    "AssetAdmin",
    "LegalHoldAdmin",
    "RetentionRuleAdmin",
    "UploadAdmin",
    "UploadBlockAdmin",
    "UploadKeyAdmin",
]
