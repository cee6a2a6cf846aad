"""Upscaling pictures without torch."""
