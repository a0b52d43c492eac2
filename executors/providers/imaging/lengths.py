"""Millimetres, inches and pixels."""

from __future__ import annotations

MM_PER_INCH = 25.4


def to_px(length_mm: float, dpi: float) -> int:
    """To the nearest whole pixel, and never less than one."""
    return max(1, round(length_mm / MM_PER_INCH * dpi))


def to_mm(length_px: float, dpi: float) -> float:
    return length_px / dpi * MM_PER_INCH


def dpi_of(length_px: float, length_mm: float) -> float:
    """How many pixels come on an inch when this many are printed on this length."""
    return length_px / (length_mm / MM_PER_INCH)


def round_down(value: float, digits: int = 1) -> float:
    """Never promises more than there is: 299.98 is 299.9, not 300. A last bit of float noise is forgiven."""
    factor: int = 10**digits
    return int(value * factor + 1e-6) / factor
