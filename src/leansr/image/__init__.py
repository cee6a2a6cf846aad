"""Pixels: pictures, colour, resizing and quality. numpy only, used by the runtime and the lab."""
