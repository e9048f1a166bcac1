"""`kitrec doctor --gpu`: can this GPU train in NF4 and serve the base? In under a minute, without loading a base."""

import time
from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from bitsandbytes.nn.modules import LinearNF4

from kitrec.cli.doctor import Finding, version_of
from kitrec.config import profiles
from kitrec.core.errors import InputError
from kitrec.llm.base.memory_plan import device_memory, model_size, plan
from kitrec.llm.base.pinning import pin

WIDTH = 4096  # of the matrices that are multiplied
NF4_TOLERANCE = 2e-2  # relative; bf16 has eight bits


def examine_gpu(params_file: Path) -> list[Finding]:
    """All checks, or the one that there is no GPU."""
    if not torch.cuda.is_available():
        way_out = "rent one, or leave --gpu out: everything also runs on a CPU"
        return [Finding("GPU", f"none that torch {torch.__version__} sees", False, way_out)]
    device = torch.device("cuda")
    return [_card(), _bf16(), _speed(device), nf4(device), _engine(), fits(params_file)]


def _card() -> Finding:
    name = torch.cuda.get_device_properties(0).name
    free, total = (size / 2**30 for size in torch.cuda.mem_get_info())
    found = f"{torch.cuda.device_count()} x {name}, {free:.0f} of {total:.0f} GiB free"
    return Finding("GPU", found, free > 0.9 * total, "another process holds memory: look at nvidia-smi")


def _bf16() -> Finding:
    major, minor = torch.cuda.get_device_capability()
    return Finding("bf16", f"compute capability {major}.{minor}", major >= 8, "take a card from Ampere on")


def _speed(device: torch.device) -> Finding:
    """Dense bf16 products, the ceiling of training and prefill."""
    a = torch.randn(WIDTH, WIDTH, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    torch.cuda.synchronize()
    began = time.perf_counter()
    for _ in range(20):
        a @ a
    torch.cuda.synchronize()
    speed = 20 * 2 * WIDTH**3 / (time.perf_counter() - began) / 1e12
    return Finding("bf16 products", f"{speed:.0f} TFLOP/s", speed > 20, "is the card shared or throttled?")


def nf4(device: torch.device) -> Finding:
    """A layer in NF4 against the product with its own weights, taken out of NF4."""
    torch.manual_seed(0)
    dense = torch.nn.Linear(512, 512, bias=False)
    layer = LinearNF4(512, 512, bias=False, compute_dtype=torch.bfloat16)
    layer.load_state_dict(dense.state_dict())
    layer = layer.to(device)
    packed, state = quantize_4bit(dense.weight.data.to(device), quant_type="nf4")
    x = torch.randn(8, 512, device=device, dtype=torch.bfloat16)
    expected = x.float() @ dequantize_4bit(packed, state).float().T
    apart = ((layer(x).float() - expected).norm() / expected.norm()).item()
    found = f"bitsandbytes {version_of('bitsandbytes')}, {apart:.1e} from its own weights"
    return Finding("NF4", found, apart < NF4_TOLERANCE, "bitsandbytes does not fit this CUDA: reinstall it")


def _engine() -> Finding:
    found = version_of("vllm")
    return Finding("vLLM", found or "no build for GPUs", bool(found), "pip install -r requirements-gpu.txt")


def fits(params_file: Path) -> Finding:
    """Whether the base of params.yaml and its adapters fit, by their shapes."""
    try:
        s = profiles.check(params_file)
        shape = model_size(pin(s["base"]))
    except (InputError, OSError) as problem:  # OSError: what transformers raises for a base it cannot reach
        return Finding("memory plan", "no base to plan for", False, str(problem).splitlines()[0])
    rank = max(s["dualft"].lora_rank, s["singleft"].lora_rank)
    asked = plan(shape, s["engine"], 4, rank, device_memory())
    way_out = "`kitrec profile use llm=qwen3_14b_32gb`, or a larger card"
    return Finding("memory plan", f"needs {asked}", asked.fits, way_out)
