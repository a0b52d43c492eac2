"""Files PODI has kept, how callers bring them, and how long they stay."""

from media.models.assets import Asset
from media.models.retention import LegalHold, RetentionRule
from media.models.uploads import Upload, UploadBlock, UploadKey

__all__ = ["Asset", "LegalHold", "RetentionRule", "Upload", "UploadBlock", "UploadKey"]
