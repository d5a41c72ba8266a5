"""Masks that others drew: decoded, judged and placed on the scan."""
