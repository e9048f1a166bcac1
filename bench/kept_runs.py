"""Runs of the quality tables that are kept, each with the setting it was made with."""

from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.core.errors import InputError


def kept(path: Path, setting: dict[str, Any]) -> bool:
    """Whether a run is there; one of another setting is not passed off as this one."""
    if not path.exists():
        return False
    if files.read_json(path).get("setting") != setting:
        raise InputError(f"{path} was made with another setting: remove it, or give the new setting a name of its own")
    return True
