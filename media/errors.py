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


class FileRemoved(PodiError):
    """Only the record is left."""

    code = "FILE_REMOVED"
    status = 410
    fault = "caller"
    message = _("The file was removed because it reached the age that is agreed for it.")


class MediaUploadUnauthorized(PodiError):
    """`reason`: invalid, expired, used or revoked."""

    code = "MEDIA_UPLOAD_UNAUTHORIZED"
    status = 401
    fault = "caller"
    message = _("This upload key or form opens nothing: it is wrong, expired, revoked or used. Ask for a new one.")


class UploadForbidden(PodiError):
    code = "MEDIA_UPLOAD_FORBIDDEN"
    status = 403
    fault = "caller"
    message = _("An upload key is only given for oneself.")


class UploadBlocked(PodiError):
    code = "MEDIA_UPLOAD_BLOCKED"
    status = 403
    fault = "operator"
    message = _("Uploads of this user are blocked. Ask the operator.")


class MediaStsInvalidParam(PodiError):
    code = "MEDIA_STS_INVALID_PARAM"
    status = 400
    fault = "caller"
    message = _("This file cannot be uploaded like this; see `fields`. The upload key is still good.")


class MediaStsUnavailable(PodiError):
    """Nothing was handed out and the upload key is still good. `sts_code` is what Aliyun said."""

    code = "MEDIA_STS_UNAVAILABLE"
    status = 503
    retryable = True
    fault = "operator"
    message = _("Temporary keys could not be had from Aliyun. Try again; the upload key is still good.")


class MediaCallbackInvalid(PodiError):
    """Nothing was stored."""

    code = "MEDIA_CALLBACK_INVALID"
    status = 403
    fault = "caller"
    message = _("This is not a report of OSS about an upload that PODI allowed.")


class MediaCallbackUnverified(PodiError):
    code = "MEDIA_CALLBACK_UNVERIFIED"
    status = 503
    retryable = True
    fault = "podi"
    message = _("The report could not be checked right now: Aliyun's public key or the store cannot be reached.")


class MediaDownloadDenied(PodiError):
    """Somebody else's file and no file at all look the same."""

    code = "MEDIA_DOWNLOAD_DENIED"
    status = 403
    fault = "caller"
    message = _("You have no file of this name.")


class UploadNotReady(PodiError):
    code = "UPLOAD_NOT_READY"
    status = 409
    retryable = True
    fault = "caller"
    message = _("The upload is not complete yet, or is being looked into. Try again shortly.")


class UploadTooLarge(PodiError):
    code = "UPLOAD_TOO_LARGE"
    status = 413
    fault = "caller"
    message = _("The file is larger than was agreed for this upload. Ask for a new upload with its true size.")


class UploadTypeNotAllowed(PodiError):
    code = "UPLOAD_TYPE_NOT_ALLOWED"
    status = 415
    fault = "caller"
    message = _("The file is not of the type that was agreed for this upload.")


class UploadNotReadable(PodiError):
    code = "UPLOAD_NOT_READABLE"
    status = 400
    fault = "caller"
    message = _("The file is empty, damaged, or not what it claims to be.")
