"""What a tool did or found that the caller should know: a stable code and its sentence in English and Chinese."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

SENTENCES: dict[str, tuple[str, str]] = {
    "TOO_FEW_PIXELS": (
        "At this size the print has {dpi:g} dpi, less than the {wanted:g} dpi that were asked for.",
        "按此尺寸印刷只有 {dpi:g} dpi，低于要求的 {wanted:g} dpi。",
    ),
    "FAR_TOO_FEW_PIXELS": (
        "At this size the print has {dpi:g} dpi, less than the least acceptable {least:g} dpi: it will look blurred.",
        "按此尺寸印刷只有 {dpi:g} dpi，低于最低可接受的 {least:g} dpi，成品会模糊。",
    ),
    "SHAPE_DIFFERS": (
        "The picture's shape differs from the print area by {percent:g} %: it must be cropped or will leave a border.",
        "图片长宽比与印刷区域相差 {percent:g}%，需要裁切，否则会留边。",
    ),
    "SIZE_UNKNOWN": (
        "No print size was given, so there is no verdict; see the largest size at the wanted dpi.",
        "未提供印刷尺寸，无法给出结论；请参考所需 dpi 下的最大尺寸。",
    ),
    "NO_TRANSPARENCY": (
        "The background is not transparent, although it has to be.",
        "要求透明背景，但图片没有透明区域。",
    ),
    "HAS_TRANSPARENCY": (
        "The picture has transparent pixels, although it must have none.",
        "要求不透明图片，但图片含有透明像素。",
    ),
    "NO_PROFILE": (
        "No colour profile is embedded; it will be taken for sRGB.",
        "未嵌入颜色配置文件，将按 sRGB 处理。",
    ),
    "PROFILE_UNREADABLE": (
        "The embedded colour profile is damaged.",
        "嵌入的颜色配置文件已损坏。",
    ),
    "NOT_RGB": (
        "The colours are {mode}, not RGB: make sure that the print shop takes this.",
        "颜色模式为 {mode} 而非 RGB，请确认印刷厂可以接收。",
    ),
    "LOSSY_FORMAT": (
        "JPEG loses detail each time it is saved; PNG or TIFF is safer for printing.",
        "JPEG 每次保存都会损失细节，印刷建议使用 PNG 或 TIFF。",
    ),
    "SEVERAL_FRAMES": (
        "The file holds {frames} frames; only the first is used.",
        "文件包含 {frames} 帧，仅使用第一帧。",
    ),
    "DPI_DIFFERS": (
        "The file says {stored:g} dpi; what counts is the effective {dpi:g} dpi.",
        "文件标注 {stored:g} dpi，实际有效分辨率为 {dpi:g} dpi。",
    ),
    "MOTIF_ENLARGED": (
        "The motif was enlarged {scale:g} times; its own pixels make only {dpi:g} dpi.",
        "图案被放大 {scale:g} 倍，原始像素仅相当于 {dpi:g} dpi。",
    ),
    "BORDER_NOT_UNIFORM": (
        "The corners differ in colour, so nothing was trimmed.",
        "四角颜色不一致，未裁边。",
    ),
    "NOTHING_REMOVED": (
        "No pixel has this colour within the tolerance; the picture is unchanged.",
        "在容差范围内没有找到该颜色，图片未改变。",
    ),
    "ALPHA_FLATTENED": (
        "The transparent pixels were laid on the background colour.",
        "透明像素已合成到背景色上。",
    ),
    "DPI_NOT_STORED": (
        "WebP has no place for dpi.",
        "WebP 格式无法保存 dpi。",
    ),
    "DEPTH_REDUCED": (
        "Sixteen bits a channel became eight.",
        "每通道 16 位已转换为 8 位。",
    ),
    "CMYK_UNMANAGED": (
        "The CMYK has no profile behind it (plain arithmetic or unknown inks): colours on paper will differ.",
        "CMYK 没有颜色配置文件（简单换算或来源未知），印刷颜色会有偏差。",
    ),
    "SEAM_VISIBLE": (
        "The seams will be seen: score {score:g} of 100.",
        "接缝明显可见：评分 {score:g}/100。",
    ),
}

LANGUAGES = ("en", "zh")


@dataclass(frozen=True, kw_only=True)
class Warned:
    """One warning with its numbers filled in."""

    code: str
    facts: dict[str, Any]

    def as_json(self, language: str = "en") -> dict[str, str]:
        sentence = SENTENCES[self.code][LANGUAGES.index(language)]
        return {"code": self.code, "message": sentence.format(**self.facts)}


def warn(code: str, **facts: Any) -> Warned:
    return Warned(code=code, facts=facts)
