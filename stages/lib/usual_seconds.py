"""Seconds that long stages which never ran here take on two cores, side by side: those of `make real`."""

USUAL_SECONDS: dict[str, float] = {}
