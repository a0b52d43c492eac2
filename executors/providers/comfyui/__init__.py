"""The ComfyUI provider; `inventory` and `progress` beside it serve the staff pages and the poller."""

from executors.providers.comfyui.adapter import ComfyUIProvider

__all__ = ["ComfyUIProvider"]
