"""The workflow of the bench: makes a picture from nothing and saves it."""

from __future__ import annotations

GRAPH = {
    "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 6, "batch_size": 1, "color": 0}},
    "9": {"class_type": "SaveImage", "inputs": {"images": ["1", 0], "filename_prefix": "bench"}},
}
