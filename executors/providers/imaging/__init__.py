"""Image tools as pure functions on Pillow: one module per tool, no Django, no files, no network."""
