"""Stage scripts. What stands here runs before any library is loaded: it silences announcements that repeat on every
start and ask nothing of the user (optional kernels, deprecations inside vLLM, NUMA binding)."""

import logging
import os
import warnings

os.environ.setdefault("TORCH_CPP_LOG_LEVEL", "ERROR")
for _name in ("bitsandbytes", "vllm.triton_utils.importing"):
    logging.getLogger(_name).setLevel(logging.ERROR)
warnings.filterwarnings("ignore", category=FutureWarning, module=r"vllm\..*")
