"""`kitrec doctor --gpu`: checks that the GPU can train in NF4 and serve the base, in a minute and without a base."""

import time
from pathlib import Path

import torch
from bitsandbytes.functional import dequantize_4bit, quantize_4bit
from bitsandbytes.nn.modules import LinearNF4

from kitrec.cli.doctor import Check, version_of
from kitrec.cli.memory_plans import stage_plans
from kitrec.config.sections import validate_params
from kitrec.core.errors import InputError
from kitrec.llm.base.memory_plan import device_memory, model_size
from kitrec.llm.base.pinning import pin, pin_served

WIDTH = 4096  # of the multiplied matrices
NF4_TOLERANCE = 2e-2  # relative; bf16 has eight significant bits


def run_gpu_checks(params_file: Path) -> list[Check]:
    """Run all checks, or report that there is no GPU."""
    if not torch.cuda.is_available():
        way_out = "rent one, or omit --gpu: everything also runs on a CPU"
        return [Check("GPU", f"none visible to torch {torch.__version__}", False, way_out)]
    device = torch.device("cuda")
    return [_card(), _bf16(), _speed(device), nf4(device), _engine(), *memory_plan(params_file)]


def _card() -> Check:
    name = torch.cuda.get_device_properties(0).name
    free, total = (size / 2**30 for size in torch.cuda.mem_get_info())
    result = f"{torch.cuda.device_count()} x {name}, {free:.0f} of {total:.0f} GiB free"
    return Check("GPU", result, free > 0.9 * total, "another process uses memory: see nvidia-smi")


def _bf16() -> Check:
    major, minor = torch.cuda.get_device_capability()
    return Check("bf16", f"compute capability {major}.{minor}", major >= 8, "use an Ampere or newer card")


def _speed(device: torch.device) -> Check:
    """Measure dense bf16 products, the upper bound of training and prefill speed."""
    a = torch.randn(WIDTH, WIDTH, device=device, dtype=torch.bfloat16)
    for _ in range(3):
        a @ a
    torch.cuda.synchronize()
    start = time.perf_counter()
    for _ in range(20):
        a @ a
    torch.cuda.synchronize()
    speed = 20 * 2 * WIDTH**3 / (time.perf_counter() - start) / 1e12
    return Check("bf16 products", f"{speed:.0f} TFLOP/s", speed > 20, "is the card shared or throttled?")


def nf4(device: torch.device) -> Check:
    """Compare an NF4 layer with the product of its dequantised weights."""
    torch.manual_seed(0)
    dense = torch.nn.Linear(512, 512, bias=False)
    layer = LinearNF4(512, 512, bias=False, compute_dtype=torch.bfloat16)
    layer.load_state_dict(dense.state_dict())
    layer = layer.to(device)
    packed, state = quantize_4bit(dense.weight.data.to(device), quant_type="nf4")
    x = torch.randn(8, 512, device=device, dtype=torch.bfloat16)
    expected = x.float() @ dequantize_4bit(packed, state).float().T
    error = ((layer(x).float() - expected).norm() / expected.norm()).item()
    result = f"bitsandbytes {version_of('bitsandbytes')}, relative error {error:.1e}"
    return Check("NF4", result, error < NF4_TOLERANCE, "bitsandbytes does not match this CUDA: reinstall it")


def _engine() -> Check:
    version = version_of("vllm")
    return Check("vLLM", version or "no build for GPUs", bool(version), "pip install -r requirements-gpu.txt")


def memory_plan(params_file: Path) -> list[Check]:
    """Check for every stage that loads the base of params.yaml, by its shape, whether that fits."""
    try:
        sections = validate_params(params_file)
        base, served = pin(sections["base"]), pin_served(sections["base"])
        other = served if served != base else None
        plans = stage_plans(sections, base, model_size(base), device_memory(), other)
    except (InputError, OSError) as problem:  # OSError: raised by transformers for a base it cannot reach
        return [Check("memory plan", "no base to plan for", False, str(problem).splitlines()[0])]
    return [Check(f"memory of {stage}", str(plan), plan.fits, _way_out(stage)) for stage, plan in plans.items()]


def _way_out(stage: str) -> str:
    if stage in ("train_dualft", "train_singleft"):
        return "the micro-batch will be made smaller; or lower its batch_size or prompt.max_length"
    if stage.startswith("train"):
        return "lower its batch size, or take a larger card"
    return "`kitrec profile use llm=qwen3_14b_32gb`, or a larger card"
