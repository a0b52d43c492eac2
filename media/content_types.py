"""What kind of file some bytes are, by the bytes themselves; and the suffix and the presentation that go with it."""

from __future__ import annotations

import json
import re

HEAD_BYTES = 4096
"""How much of a file's beginning `sniff` wants."""

UNKNOWN = "application/octet-stream"
_MAGIC: tuple[tuple[bytes, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image/png"),
    (b"\xff\xd8\xff", "image/jpeg"),
    (b"GIF87a", "image/gif"),
    (b"GIF89a", "image/gif"),
    (b"II*\x00", "image/tiff"),
    (b"MM\x00*", "image/tiff"),
    (b"8BPS", "image/vnd.adobe.photoshop"),
    (b"\x00\x00\x01\x00", "image/x-icon"),
    (b"\x00\x00\x00\x0cjP  ", "image/jp2"),
    (b"%PDF-", "application/pdf"),
    (b"%!PS", "application/postscript"),
    (b"PK\x03\x04", "application/zip"),
    (b"ID3", "audio/mpeg"),
    (b"OggS", "audio/ogg"),
    (b"fLaC", "audio/flac"),
    (b"FLV\x01", "video/x-flv"),
)
_FTYP_BRANDS = {
    b"avif": "image/avif",
    b"avis": "image/avif",
    b"heic": "image/heic",
    b"heix": "image/heic",
    b"hevc": "image/heic",
    b"mif1": "image/heic",
    b"msf1": "image/heic",
    b"qt  ": "video/quicktime",
    b"M4A ": "audio/mp4",
    b"M4B ": "audio/mp4",
}
_SUFFIXES = {
    "image/png": ".png",
    "image/jpeg": ".jpg",
    "image/webp": ".webp",
    "image/gif": ".gif",
    "image/tiff": ".tif",
    "image/bmp": ".bmp",
    "image/svg+xml": ".svg",
    "image/avif": ".avif",
    "image/heic": ".heic",
    "video/mp4": ".mp4",
    "video/webm": ".webm",
    "video/quicktime": ".mov",
    "audio/mpeg": ".mp3",
    "audio/mp4": ".m4a",
    "audio/wav": ".wav",
    "audio/ogg": ".ogg",
    "audio/flac": ".flac",
    "audio/aac": ".aac",
    "video/x-matroska": ".mkv",
    "video/x-msvideo": ".avi",
    "video/x-flv": ".flv",
    "text/plain": ".txt",
    "text/csv": ".csv",
    "text/html": ".html",
    "application/json": ".json",
    "application/pdf": ".pdf",
    "application/zip": ".zip",
}
# What a browser may show in place: nothing that can carry a script.
_INLINE = frozenset(
    {"image/png", "image/jpeg", "image/webp", "image/gif", "image/tiff", "image/bmp", "image/avif"}
    | {"video/mp4", "video/webm", "video/quicktime", "text/plain"}
)
_TEXTUAL = re.compile(r"text/[a-z0-9.+-]+|application/(json|xml)")
_CONTROLS = re.compile(rb"[\x00-\x08\x0e-\x1a\x1c-\x1f]")


def sniff(head: bytes, *, declared: str = "") -> str:
    """The content type of a file that begins with these bytes.

    `declared` is believed only where the bytes do not speak against it: for text, and for what nothing is known of
    (but then never an image, a video or a page).
    """
    declared = declared.partition(";")[0].strip().lower()
    if found := _by_magic(head):
        return found
    if not head:
        return UNKNOWN
    if _CONTROLS.search(head) or not _is_utf8(head):
        return declared if declared.startswith(("application/", "audio/")) and not _TEXTUAL.match(declared) else UNKNOWN
    return _of_text(head, declared)


def suffix_of(content_type: str) -> str:
    """`.png` for `image/png`; `.bin` for what has no suffix here."""
    return _SUFFIXES.get(content_type, ".bin")


def is_inline(content_type: str) -> bool:
    return content_type in _INLINE


def _by_magic(head: bytes) -> str:
    for magic, content_type in _MAGIC:
        if head.startswith(magic):
            return content_type
    if head[:4] == b"RIFF":
        return {b"WEBP": "image/webp", b"WAVE": "audio/wav", b"AVI ": "video/x-msvideo"}.get(head[8:12], "")
    if head[4:8] == b"ftyp":
        return _FTYP_BRANDS.get(head[8:12], "video/mp4")
    if head[:4] == b"\x1a\x45\xdf\xa3":
        return "video/x-matroska" if b"matroska" in head[:64] else "video/webm"
    if sound := _by_frame(head):
        return sound
    # BMP: two letters are too little to go by; its four reserved bytes are zero and its header has a known size.
    if head[:2] == b"BM" and head[6:10] == bytes(4) and head[14:18] in _BMP_HEADERS:
        return "image/bmp"
    return ""


def _by_frame(head: bytes) -> str:
    """Sound without a file header: MPEG layers and AAC begin with a frame. One sync word is too little to go by, so its
    other bits must make sense too (a version, a bit rate and a sampling rate that exist)."""
    if len(head) < 4 or head[0] != 0xFF or head[1] & 0xE0 != 0xE0:
        return ""
    if head[1] & 0xF6 == 0xF0:  # layer 00: ADTS
        return "audio/aac" if head[2] >> 2 & 0xF < 13 else ""
    version, layer, rate, sampling = head[1] >> 3 & 3, head[1] >> 1 & 3, head[2] >> 4, head[2] >> 2 & 3
    return "audio/mpeg" if version != 1 and layer != 0 and rate not in (0, 15) and sampling != 3 else ""


_BMP_HEADERS = frozenset(size.to_bytes(4, "little") for size in (12, 16, 40, 52, 56, 64, 108, 124))


def _is_utf8(head: bytes) -> bool:
    try:
        head.decode()
    except UnicodeDecodeError as error:
        return len(head) >= HEAD_BYTES and error.start > len(head) - 4  # a character cut by the end of the head
    return True


def _of_text(head: bytes, declared: str) -> str:
    start = head.lstrip(b"\xef\xbb\xbf \t\r\n")[:512].lower()
    if start.startswith((b"<!doctype html", b"<html")):
        return "text/html"
    if start.startswith(b"<svg") or (
        start.startswith((b"<?xml", b"<!--", b"<!doctype svg")) and b"<svg" in head.lower()
    ):
        return "image/svg+xml"
    if _TEXTUAL.fullmatch(declared) and declared != "text/html":
        return declared
    if start[:1] in (b"{", b"[") and len(head) < HEAD_BYTES and _is_json(head):
        return "application/json"
    return "text/plain"


def _is_json(text: bytes) -> bool:
    try:
        json.loads(text)
    except ValueError:
        return False
    return True
