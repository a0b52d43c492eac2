"""The node types of the simulated ComfyUI: their definitions as recorded, and what they really do, with Pillow."""

from __future__ import annotations

import copy
import hashlib
import json
import random
import re
import string
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

from PIL import Image, ImageChops, ImageColor, ImageFilter, ImageOps
from PIL.PngImagePlugin import PngInfo

RECORDINGS = Path(__file__).parent.parent / "recordings" / "comfyui"
_MORE = re.compile(r"<\.\.\. (\d+) more>")
_INT_SIZE = ["INT", {"default": 512, "min": 16, "max": 16384, "step": 8}]
_CLOCK_TOKENS = {"year": "%Y", "month": "%m", "day": "%d", "hour": "%H", "minute": "%M", "second": "%S"}
_FILTERS = {
    "nearest-exact": Image.Resampling.NEAREST,
    "bilinear": Image.Resampling.BILINEAR,
    "area": Image.Resampling.BOX,
    "bicubic": Image.Resampling.BICUBIC,
    "lanczos": Image.Resampling.LANCZOS,
}


class Interrupted(Exception):
    """Somebody interrupted this run."""


class Job:
    """What a node may see of the run it is in: folders, the graph, and how to report and to notice an interrupt."""

    def __init__(self, folder: Path, graph: dict[str, Any], extra: dict[str, Any], report: Callable[..., None]) -> None:
        self.folder = folder
        self.graph = graph
        self.extra = extra
        self.report = report
        self.node_id = ""

    def path_of(self, name: str) -> Path:
        """A loader's file, with the suffixes [input], [output], [temp]. Like the real one it follows any path."""
        kind = "input"
        for suffix in ("input", "output", "temp"):
            if name.endswith(f" [{suffix}]"):
                name, kind = name.removesuffix(f" [{suffix}]"), suffix
        return self.folder / kind / name


def load_definitions(version: str) -> dict[str, Any]:
    """The definitions of `/object_info`: the recorded ones, and plain ones for what the recorded prompts also use."""
    recorded = json.loads((RECORDINGS / version / "object_info.json").read_text())["nodes"]
    definitions = {name: _fill_lists(copy.deepcopy(definition)) for name, definition in recorded.items()}
    for name, (required, output, is_output) in _EXTRA.items():
        definitions[name] = _define(name, required, output, is_output)
    return definitions


def _define(name: str, required: dict[str, Any], output: list[str], is_output: bool) -> dict[str, Any]:
    return {
        "input": {"required": required},
        "input_order": {"required": list(required)},
        "output": output,
        "output_is_list": [False] * len(output),
        "output_name": output,
        "name": name,
        "display_name": name,
        "description": "",
        "python_module": "nodes",
        "category": "simulated",
        "output_node": is_output,
    }


def _fill_lists(definition: dict[str, Any]) -> dict[str, Any]:
    """The recordings shorten long choice lists; fills them up to their real length."""
    for section in definition["input"].values():
        for spec in section.values():
            if isinstance(spec, list) and isinstance(spec[0], list) and spec[0]:
                match = _MORE.fullmatch(str(spec[0][-1]))
                if match:
                    spec[0][-1:] = [f"choice_{number}" for number in range(1, int(match[1]) + 1)]
    return definition


_EXTRA: dict[str, tuple[dict[str, Any], list[str], bool]] = {
    "ImageInvert": ({"image": ["IMAGE"]}, ["IMAGE"], False),
    "EmptyLatentImage": (
        {"width": _INT_SIZE, "height": _INT_SIZE, "batch_size": ["INT", {"default": 1, "min": 1, "max": 4096}]},
        ["LATENT"],
        False,
    ),
    "CLIPTextEncode": ({"text": ["STRING", {"multiline": True}], "clip": ["CLIP"]}, ["CONDITIONING"], False),
    "VAEDecode": ({"samples": ["LATENT"], "vae": ["VAE"]}, ["IMAGE"], False),
    "SolidMask": (
        {"value": ["FLOAT", {"default": 1.0, "min": 0.0, "max": 1.0}], "width": _INT_SIZE, "height": _INT_SIZE},
        ["MASK"],
        False,
    ),
    "ImageCompositeMasked": (
        {
            "destination": ["IMAGE"],
            "source": ["IMAGE"],
            "x": ["INT", {"default": 0, "min": 0, "max": 16384}],
            "y": ["INT", {"default": 0, "min": 0, "max": 16384}],
            "resize_source": ["BOOLEAN", {"default": False}],
        },
        ["IMAGE"],
        False,
    ),
    "ImageBlend": (
        {
            "image1": ["IMAGE"],
            "image2": ["IMAGE"],
            "blend_factor": ["FLOAT", {"default": 0.5, "min": 0.0, "max": 1.0}],
            "blend_mode": [
                "COMBO",
                {
                    "multiselect": False,
                    "options": ["normal", "multiply", "screen", "overlay", "soft_light", "difference"],
                },
            ],
        },
        ["IMAGE"],
        False,
    ),
    "ImageUpscaleWithModel": ({"upscale_model": ["UPSCALE_MODEL"], "image": ["IMAGE"]}, ["IMAGE"], False),
    "RigFail": (
        {
            "image": ["IMAGE"],
            "kind": [["value", "oom", "exit"]],
            "message": ["STRING", {"default": "deliberate failure"}],
            "seed": ["INT", {"default": 0, "min": 0, "max": 2**64 - 1}],
        },
        ["IMAGE"],
        False,
    ),
}


class OutOfMemoryError(Exception):
    """Has the name, if not the module, of the real one."""

    __module__ = "torch"


def run_node(job: Job, class_type: str, values: dict[str, Any]) -> tuple[tuple[Any, ...], dict[str, Any] | None]:
    """Runs one node. Returns its results, and what it shows in `outputs` if it is an output node."""
    if class_type in _OUTPUTS:
        return (), _OUTPUTS[class_type](job, **values)
    return _NODES[class_type](job, **values), None


def _load_image(job: Job, image: str, **_: Any) -> tuple[Any, ...]:
    picture = Image.open(job.path_of(image))
    picture.load()
    picture = ImageOps.exif_transpose(picture)
    alpha = picture.getchannel("A") if "A" in picture.getbands() else Image.new("L", picture.size, 255)
    return [picture.convert("RGB")], [ImageChops.invert(alpha)]


def _empty_image(_job: Job, width: int, height: int, batch_size: int, color: int) -> tuple[Any, ...]:
    rgb = (color >> 16 & 255, color >> 8 & 255, color & 255)
    return ([Image.new("RGB", (width, height), rgb) for _ in range(batch_size)],)


def _scale(_job: Job, image: Any, upscale_method: str, width: int, height: int, crop: str) -> tuple[Any, ...]:
    scaled = []
    for picture in image:
        if not width and not height:
            scaled.append(picture)
            continue
        size = (
            width or max(1, round(picture.width * height / picture.height)),
            height or max(1, round(picture.height * width / picture.width)),
        )
        method = _FILTERS[upscale_method]
        fit = ImageOps.fit(picture, size, method) if crop == "center" else picture.resize(size, method)
        scaled.append(fit)
    return (scaled,)


def _invert(_job: Job, image: Any) -> tuple[Any, ...]:
    return ([ImageOps.invert(picture) for picture in image],)


def _blur(_job: Job, image: Any, blur_radius: int, sigma: float) -> tuple[Any, ...]:
    return ([picture.filter(ImageFilter.GaussianBlur(min(blur_radius, sigma * 2))) for picture in image],)


def _mask(_job: Job, value: float, width: int, height: int) -> tuple[Any, ...]:
    return ([Image.new("L", (width, height), round(value * 255))],)


def _composite(
    _job: Job, destination: Any, source: Any, x: int, y: int, resize_source: bool, mask: Any = None
) -> tuple[Any, ...]:
    merged = []
    for below, above in zip(destination, source, strict=False):
        above = above.resize(below.size) if resize_source else above
        canvas = below.copy()
        canvas.paste(above, (x, y), mask[0].resize(above.size) if mask else None)
        merged.append(canvas)
    return (merged,)


def _blend(_job: Job, image1: Any, image2: Any, blend_factor: float, blend_mode: str) -> tuple[Any, ...]:
    if blend_mode not in ("normal", "multiply", "screen", "difference"):
        raise ValueError(f"Unsupported blend mode: {blend_mode}")
    combine = {"multiply": ImageChops.multiply, "screen": ImageChops.screen, "difference": ImageChops.difference}
    mixed = [
        (a, combine[blend_mode](a, b) if blend_mode in combine else b) for a, b in zip(image1, image2, strict=False)
    ]
    return ([Image.blend(a, b, blend_factor) for a, b in mixed],)


def _upscale_model(_job: Job, model_name: str) -> tuple[Any, ...]:
    raise FileNotFoundError(f"Model in folder 'upscale_models' with filename '{model_name}' not found.")


def _latent(_job: Job, width: int, height: int, batch_size: int) -> tuple[Any, ...]:
    return ({"size": (width, height), "batch": batch_size, "colour": 0},)


def _sample(job: Job, seed: int, steps: int, latent_image: Any, positive: Any, **_: Any) -> tuple[Any, ...]:
    """Nothing like diffusion: a colour that depends on seed and prompt, so that changes show."""
    for step in range(1, min(steps, 50) + 1):
        job.report(step, min(steps, 50))
    digest = hashlib.sha256(f"{seed}|{positive}".encode()).digest()
    return ({**latent_image, "colour": int.from_bytes(digest[:3], "big")},)


def _decode(_job: Job, samples: Any, vae: Any) -> tuple[Any, ...]:
    colour = ImageColor.getrgb(f"#{samples['colour']:06x}")
    return ([Image.new("RGB", samples["size"], colour) for _ in range(samples["batch"])],)


def _sleep(job: Job, image: Any, seconds: float, steps: int, report: bool, **_: Any) -> tuple[Any, ...]:
    for step in range(1, steps + 1):
        time.sleep(seconds / steps)
        if report:
            job.report(step, steps)
    return (image,)


def _fail(_job: Job, image: Any, kind: str, message: str, **_: Any) -> tuple[Any, ...]:
    if kind == "oom":
        raise OutOfMemoryError(f"CUDA out of memory. {message}")
    if kind == "exit":
        raise SystemExit(1)
    raise ValueError(message)


def _save(job: Job, images: Any, filename_prefix: str) -> dict[str, Any]:
    if ".." in filename_prefix.split("/"):
        raise ValueError("**** ERROR: Saving image outside the output folder is not allowed.")
    return _write(job, images, "output", filename_prefix)


def _preview(job: Job, images: Any) -> dict[str, Any]:
    suffix = "".join(random.choices(string.ascii_lowercase, k=5))
    return _write(job, images, "temp", f"ComfyUI_temp_{suffix}")


def _write(job: Job, images: Any, kind: str, prefix: str) -> dict[str, Any]:
    for token, code in _CLOCK_TOKENS.items():
        prefix = prefix.replace(f"%{token}%", time.strftime(code))
    prefix = prefix.replace("%width%", str(images[0].width)).replace("%height%", str(images[0].height))
    subfolder, _, stem = prefix.rpartition("/")
    folder = job.folder / kind / subfolder
    folder.mkdir(parents=True, exist_ok=True)
    number = max(_numbers(folder, stem), default=0) + 1
    shown = []
    for index, picture in enumerate(images):
        name = f"{stem.replace('%batch_num%', str(index))}_{number + index:05}_.png"
        info = PngInfo()
        info.add_text("prompt", json.dumps(job.graph))
        for key, value in (job.extra.get("extra_pnginfo") or {}).items():
            info.add_text(key, json.dumps(value))
        picture.save(folder / name, pnginfo=info, compress_level=1)
        shown.append({"filename": name, "subfolder": subfolder, "type": kind})
    return {"images": shown}


def _numbers(folder: Path, stem: str) -> Iterator[int]:
    """The numbers in use: a deleted file's number is free again, as on a real node."""
    for path in folder.iterdir():
        match = re.fullmatch(re.escape(stem) + r"_(\d+)_?\..*", path.name)
        if match:
            yield int(match[1])


def _text(_job: Job, text: str) -> dict[str, Any]:
    return {"text": [text]}


_OUTPUTS: dict[str, Callable[..., dict[str, Any]]] = {"SaveImage": _save, "PreviewImage": _preview, "RigText": _text}
_NODES: dict[str, Callable[..., tuple[Any, ...]]] = {
    "LoadImage": _load_image,
    "LoadImageMask": lambda job, image, channel: (_load_image(job, image)[1],),
    "EmptyImage": _empty_image,
    "ImageScale": _scale,
    "ImageInvert": _invert,
    "ImageBlur": _blur,
    "SolidMask": _mask,
    "ImageCompositeMasked": _composite,
    "ImageBlend": _blend,
    "UpscaleModelLoader": _upscale_model,
    "ImageUpscaleWithModel": lambda job, upscale_model, image: (image,),
    "CheckpointLoaderSimple": lambda job, ckpt_name: (ckpt_name, ckpt_name, ckpt_name),
    "UNETLoader": lambda job, unet_name, **_: (unet_name,),
    "CLIPLoader": lambda job, clip_name, **_: (clip_name,),
    "DualCLIPLoader": lambda job, clip_name1, **_: (clip_name1,),
    "VAELoader": lambda job, vae_name: (vae_name,),
    "LoraLoader": lambda job, model, clip, lora_name, **_: (f"{model}+{lora_name}", f"{clip}+{lora_name}"),
    "LoraLoaderModelOnly": lambda job, model, lora_name, **_: (f"{model}+{lora_name}",),
    "CLIPTextEncode": lambda job, text, clip: (f"{clip}|{text}",),
    "EmptyLatentImage": _latent,
    "KSampler": _sample,
    "VAEDecode": _decode,
    "RigSleep": _sleep,
    "RigFail": _fail,
}
