"""What media refuses. Errors about an input name its field in `fields`."""

from __future__ import annotations

from django.utils.translation import gettext_lazy as _

from podi.base.errors import PodiError


class AssetStoreFailed(PodiError):
    """Nothing was recorded; the same bytes may be given again."""

    code = "ASSET_STORE_FAILED"
    status = 503
    retryable = True
    fault = "operator"
    message = _("The file could not be stored. Try again; if it stays so, the operator must look at the storage.")


class AssetTooLarge(PodiError):
    code = "ASSET_TOO_LARGE"
    status = 413
    fault = "caller"
    message = _("The file is larger than allowed.")


class AssetMissing(PodiError):
    """The row is there and the file is not: the storage lost it."""

    code = "ASSET_FILE_MISSING"
    status = 503
    fault = "operator"
    message = _("The stored file cannot be read. The operator must look at the storage.")


class OutputNotReadable(PodiError):
    code = "OUTPUT_NOT_READABLE"
    status = 502
    fault = "provider"
    message = _("The result is empty, cut off, or not the kind of file it claims to be.")


class ImageRequired(PodiError):
    code = "IMAGE_REQUIRED"
    status = 400
    fault = "caller"
    message = _("Give an image: an http(s) address, a data URL or base64.")


class ImageUrlInvalid(PodiError):
    code = "IMAGE_URL_INVALID"
    status = 400
    fault = "caller"
    message = _("This is not an address PODI can read an image from.")


class ImageBase64Invalid(PodiError):
    code = "IMAGE_BASE64_INVALID"
    status = 400
    fault = "caller"
    message = _("This is neither an http(s) address nor a data URL nor valid base64.")


class ImageDownloadFailed(PodiError):
    code = "IMAGE_DOWNLOAD_FAILED"
    status = 502
    retryable = True
    fault = "caller"
    message = _("The image could not be downloaded. Check that its address can be reached, then try again.")


class ImageTooLarge(PodiError):
    code = "IMAGE_TOO_LARGE"
    status = 400
    fault = "caller"
    message = _("The image has more bytes than allowed. Send a smaller file.")


class ImageTooManyPixels(PodiError):
    code = "IMAGE_TOO_MANY_PIXELS"
    status = 400
    fault = "caller"
    message = _("The image has more pixels than allowed. Scale it down.")


class ImageNotReadable(PodiError):
    code = "IMAGE_NOT_READABLE"
    status = 400
    fault = "caller"
    message = _("This file is not an image, or it is damaged.")


class ImageTruncated(PodiError):
    code = "IMAGE_TRUNCATED"
    status = 400
    fault = "caller"
    message = _("The image is cut off. Send the complete file.")


class ImageFormatUnsupported(PodiError):
    code = "IMAGE_FORMAT_UNSUPPORTED"
    status = 400
    fault = "caller"
    message = _("This image format is not supported. Send PNG, JPEG, WebP, GIF, TIFF or BMP.")


class FileUrlInvalid(PodiError):
    code = "FILE_URL_INVALID"
    status = 400
    fault = "caller"
    message = _("This is not an address PODI can read a file from.")


class FileDownloadFailed(PodiError):
    code = "FILE_DOWNLOAD_FAILED"
    status = 502
    retryable = True
    fault = "caller"
    message = _("A file could not be downloaded. Check that its address can be reached, then try again.")


class FileTooLarge(PodiError):
    code = "FILE_TOO_LARGE"
    status = 400
    fault = "caller"
    message = _("A file has more bytes than allowed. Send a smaller one.")


class FileTypeUnsupported(PodiError):
    code = "FILE_TYPE_UNSUPPORTED"
    status = 400
    fault = "caller"
    message = _("A file is not of a kind that can be used here.")


class FilesTakeTooLong(PodiError):
    """What was fetched so far stays; the next attempt goes on from there."""

    code = "FILE_FETCH_SLOW"
    status = 504
    retryable = True
    fault = "caller"
    message = _("Fetching the files takes too long. Use a faster host or fewer files.")


class ObjectKeyRequired(PodiError):
    code = "OBJECT_KEY_REQUIRED"
    status = 400
    fault = "caller"
    message = _("objectKey is required")

    @property
    def detail(self) -> str:
        return "objectKey is required"  # the contract's literal text


class AssetNotFound(PodiError):
    code = "ASSET_NOT_FOUND"
    status = 404
    fault = "caller"
    message = _("You have no file of this name.")


class FileLinkInvalid(PodiError):
    code = "FILE_LINK_INVALID"
    status = 403
    fault = "caller"
    message = _("This link was altered or is incomplete. Ask PODI for the link again.")


class FileLinkExpired(PodiError):
    code = "FILE_LINK_EXPIRED"
    status = 410
    fault = "caller"
    message = _("This link has expired. Ask PODI for the link again; the file is still there.")
