"""`print_readiness`: whether a picture can be printed at a size, in numbers and in a verdict. Makes no picture."""

from __future__ import annotations

import json
from dataclasses import dataclass
from typing import Any

from executors.providers.imaging.lengths import dpi_of, round_down, to_mm, to_px
from executors.providers.imaging.parameters import Parameters
from executors.providers.imaging.picture import Limits, Picture, Result
from executors.providers.imaging.profiles import describe_profile
from executors.providers.imaging.warnings import LANGUAGES, Warned, warn

SHAPE_TOLERANCE_PERCENT = 1.0
_BLOCKING = {"FAR_TOO_FEW_PIXELS", "NO_TRANSPARENCY", "HAS_TRANSPARENCY", "PROFILE_UNREADABLE"}
_DIMINISHING = {"TOO_FEW_PIXELS", "SHAPE_DIFFERS", "NOT_RGB"}


@dataclass(frozen=True, kw_only=True)
class Wanted:
    dpi: float
    least_dpi: float
    transparency: str
    width_mm: float | None
    height_mm: float | None


def print_readiness(picture: Picture, parameters: Parameters, limits: Limits) -> Result:
    """The report as JSON text, and the same as metadata. A side that is not given follows from the picture's shape."""
    language = parameters.choice("language", LANGUAGES, default="zh")
    wanted = _read_wanted(picture, parameters)
    shares = _transparency(picture)
    profile = describe_profile(picture.icc)
    warnings = [*_size_warnings(picture, wanted), *_content_warnings(picture, wanted, shares, profile)]
    codes = {warning.code for warning in warnings}
    report = {
        "verdict": _verdict(codes),
        **_sizes(picture, wanted),
        "transparency": shares,
        "color": {"mode": picture.stored_mode, "bits": picture.bits, "profile": profile or None},
        "file": {
            "format": picture.format,
            "size_bytes": picture.size_bytes,
            "frames": picture.frames,
            "orientation": picture.orientation,
        },
        "warnings": [warning.as_json(language) for warning in warnings],
    }
    return Result(text=json.dumps(report, ensure_ascii=False), metadata=report)


def _read_wanted(picture: Picture, parameters: Parameters) -> Wanted:
    width_mm = parameters.optional_number("width_mm", minimum=1, maximum=10_000, unit="mm")
    height_mm = parameters.optional_number("height_mm", minimum=1, maximum=10_000, unit="mm")
    if width_mm is not None and height_mm is None:
        height_mm = width_mm * picture.height / picture.width
    elif height_mm is not None and width_mm is None:
        width_mm = height_mm * picture.width / picture.height
    dpi = parameters.number("dpi", default=300, minimum=10, maximum=2400, unit="dpi")
    return Wanted(
        dpi=dpi,
        least_dpi=min(dpi, parameters.number("min_dpi", default=150, minimum=1, maximum=2400, unit="dpi")),
        transparency=parameters.choice("transparency", ("any", "required", "forbidden"), default="any"),
        width_mm=width_mm,
        height_mm=height_mm,
    )


def _sizes(picture: Picture, wanted: Wanted) -> dict[str, Any]:
    sizes: dict[str, Any] = {
        "pixels": {"width": picture.width, "height": picture.height, "total": picture.width * picture.height},
        "stored_dpi": [round(value, 2) for value in picture.dpi] if picture.dpi else None,
        "largest_size_mm": {
            "dpi": wanted.dpi,
            "width": round_down(to_mm(picture.width, wanted.dpi)),
            "height": round_down(to_mm(picture.height, wanted.dpi)),
        },
        "wanted": None,
        "effective_dpi": None,
    }
    if wanted.width_mm is not None and wanted.height_mm is not None:
        x, y = dpi_of(picture.width, wanted.width_mm), dpi_of(picture.height, wanted.height_mm)
        sizes["wanted"] = {
            "width_mm": round(wanted.width_mm, 2),
            "height_mm": round(wanted.height_mm, 2),
            "dpi": wanted.dpi,
            "width_px": to_px(wanted.width_mm, wanted.dpi),
            "height_px": to_px(wanted.height_mm, wanted.dpi),
        }
        sizes["effective_dpi"] = {"x": round_down(x), "y": round_down(y), "min": round_down(min(x, y))}
    return sizes


def _size_warnings(picture: Picture, wanted: Wanted) -> list[Warned]:
    if wanted.width_mm is None or wanted.height_mm is None:
        return [warn("SIZE_UNKNOWN")]
    x, y = dpi_of(picture.width, wanted.width_mm), dpi_of(picture.height, wanted.height_mm)
    dpi, found = round_down(min(x, y)), []
    # The pixel is the smallest unit: a picture of exactly the wanted pixels is enough, whatever the division says.
    is_enough = picture.width >= to_px(wanted.width_mm, wanted.dpi) and picture.height >= to_px(
        wanted.height_mm, wanted.dpi
    )
    if min(x, y) < wanted.least_dpi and not is_enough:
        found.append(warn("FAR_TOO_FEW_PIXELS", dpi=dpi, least=wanted.least_dpi))
    elif not is_enough:
        found.append(warn("TOO_FEW_PIXELS", dpi=dpi, wanted=wanted.dpi))
    percent = round((max(x, y) / min(x, y) - 1) * 100, 1)
    if percent > SHAPE_TOLERANCE_PERCENT:
        found.append(warn("SHAPE_DIFFERS", percent=percent))
    if picture.dpi and abs(picture.dpi[0] - min(x, y)) > 1:
        found.append(warn("DPI_DIFFERS", stored=round(picture.dpi[0], 1), dpi=dpi))
    return found


def _content_warnings(picture: Picture, wanted: Wanted, shares: dict[str, Any], profile: str) -> list[Warned]:
    found = []
    is_transparent = shares["transparent_share"] > 0 or shares["partial_share"] > 0
    if wanted.transparency == "required" and not is_transparent:
        found.append(warn("NO_TRANSPARENCY"))
    if wanted.transparency == "forbidden" and is_transparent:
        found.append(warn("HAS_TRANSPARENCY"))
    if not profile:
        found.append(warn("NO_PROFILE"))
    elif profile == "unreadable":
        found.append(warn("PROFILE_UNREADABLE"))
    if picture.stored_mode not in ("RGB", "RGBA", "P", "PA"):
        found.append(warn("NOT_RGB", mode=picture.stored_mode))
    if picture.format == "JPEG":
        found.append(warn("LOSSY_FORMAT"))
    if picture.frames > 1:
        found.append(warn("SEVERAL_FRAMES", frames=picture.frames))
    return found


def _transparency(picture: Picture) -> dict[str, Any]:
    """Shares of all pixels, four decimals."""
    if not picture.has_alpha:
        return {"has_alpha": False, "transparent_share": 0.0, "partial_share": 0.0}
    levels = picture.image.convert("RGBA").getchannel("A").histogram()
    total = picture.width * picture.height
    clear, opaque = levels[0], levels[255]
    return {
        "has_alpha": True,
        "transparent_share": _share(clear, total),
        "partial_share": _share(total - clear - opaque, total),
    }


def _share(part: int, total: int) -> float:
    """Something is never rounded to nothing."""
    return max(round(part / total, 4), 0.0001) if part else 0.0


def _verdict(codes: set[str]) -> str:
    if codes & _BLOCKING:
        return "not_ready"
    if "SIZE_UNKNOWN" in codes:
        return "size_unknown"
    return "usable" if codes & _DIMINISHING else "ready"
