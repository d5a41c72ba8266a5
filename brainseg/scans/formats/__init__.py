"""Decoders behind `read_scan`, one file per kind of format."""
