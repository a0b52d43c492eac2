"""Real small media files, made on the spot: an MP4 whose boxes say how long and large it is, and a WAV."""

from __future__ import annotations

import io
import struct
import wave


def wav(seconds: float = 2.0, rate: int = 8000) -> bytes:
    target = io.BytesIO()
    with wave.open(target, "wb") as file:
        file.setnchannels(1)
        file.setsampwidth(1)
        file.setframerate(rate)
        file.writeframes(b"\x80" * int(seconds * rate))
    return target.getvalue()


def mp4(
    seconds: float = 2.0, size: tuple[int, int] = (64, 36), *, has_pictures: bool = True, brand: bytes = b"isom"
) -> bytes:
    """One track: pictures (one sample, shown all the time), or sound alone."""
    length = round(seconds * 1000)
    sample = b"\xff\xd8" + bytes(30)
    head = _box(b"ftyp", brand + b"\0\0\2\0" + brand + b"mp41")
    mdat = _box(b"mdat", sample)
    offset = len(head) + 8
    return head + mdat + _moov(length, size, has_pictures=has_pictures, offset=offset, sample_bytes=len(sample))


def _moov(length: int, size: tuple[int, int], *, has_pictures: bool, offset: int, sample_bytes: int) -> bytes:
    matrix = struct.pack(">9I", 0x10000, 0, 0, 0, 0x10000, 0, 0, 0, 0x40000000)
    mvhd = _full(
        b"mvhd",
        struct.pack(">IIII", 0, 0, 1000, length) + b"\0\1\0\0\1\0" + bytes(10) + matrix + bytes(24) + b"\0\0\0\2",
    )
    volume = b"\0\0" if has_pictures else b"\1\0"
    area = struct.pack(">II", size[0] << 16, size[1] << 16) if has_pictures else bytes(8)
    tkhd = _full(
        b"tkhd", struct.pack(">IIIII", 0, 0, 1, 0, length) + bytes(12) + volume + b"\0\0" + matrix + area, flags=7
    )
    mdhd = _full(b"mdhd", struct.pack(">IIII", 0, 0, 1000, length) + b"\x55\xc4\0\0")
    hdlr = _full(b"hdlr", bytes(4) + (b"vide" if has_pictures else b"soun") + bytes(12) + b"track\0")
    media_head = _full(b"vmhd", bytes(8), flags=1) if has_pictures else _full(b"smhd", bytes(4))
    dinf = _box(b"dinf", _full(b"dref", struct.pack(">I", 1) + _full(b"url ", b"", flags=1)))
    entry = _picture_entry(size) if has_pictures else _sound_entry()
    stbl = _box(
        b"stbl",
        _full(b"stsd", struct.pack(">I", 1) + entry)
        + _full(b"stts", struct.pack(">III", 1, 1, length))
        + _full(b"stsc", struct.pack(">IIII", 1, 1, 1, 1))
        + _full(b"stsz", struct.pack(">III", 0, 1, sample_bytes))
        + _full(b"stco", struct.pack(">II", 1, offset)),
    )
    mdia = _box(b"mdia", mdhd + hdlr + _box(b"minf", media_head + dinf + stbl))
    return _box(b"moov", mvhd + _box(b"trak", tkhd + mdia))


def _picture_entry(size: tuple[int, int]) -> bytes:
    body = bytes(6) + b"\0\1" + bytes(16) + struct.pack(">HH", *size) + struct.pack(">III", 0x480000, 0x480000, 0)
    return _box(b"jpeg", body + b"\0\1" + bytes(32) + b"\0\x18\xff\xff")


def _sound_entry() -> bytes:
    return _box(b"sowt", bytes(6) + b"\0\1" + bytes(8) + struct.pack(">HHHHI", 1, 16, 0, 0, 8000 << 16))


def _box(name: bytes, body: bytes) -> bytes:
    return struct.pack(">I", len(body) + 8) + name + body


def _full(name: bytes, body: bytes, *, flags: int = 0) -> bytes:
    return _box(name, struct.pack(">I", flags) + body)
