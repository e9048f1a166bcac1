from dataclasses import replace
from pathlib import Path

import pytest
import torch
import torch.nn.functional as F
from peft import get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from kitrec import files, params
from kitrec.errors import InputError
from kitrec.llm.adapters import check_adapter, save_adapter
from kitrec.llm.base_model import load_quantised
from kitrec.llm.params import Base, FineTune
from kitrec.llm.pinned_base import PinnedBase, pin
from kitrec.llm.samples import IGNORED, pad
from kitrec.llm.training import COMPLETE, _lora, _SupervisedTrainer, fine_tune, newest_checkpoint
from tests.conftest import ROOT


@pytest.fixture
def p() -> FineTune:
    tiny = {"batch": 2, "accumulation": 2, "epochs": 2, "eval_every": 1, "save_every": 1, "log_every": 1}
    return replace(params.load(FineTune, "dualft", ROOT / "params.yaml"), lora_rank=4, lora_alpha=8, **tiny)


@pytest.fixture
def base(tiny_base) -> PinnedBase:
    return pin(Base(path=str(tiny_base), revision=None))


def some_samples(count: int, seed: int = 0) -> list[dict[str, list[int]]]:
    g = torch.Generator().manual_seed(seed)
    rows = [torch.randint(300, 1500, (40 + 3 * k,), generator=g).tolist() for k in range(count)]
    return [{"input_ids": row, "labels": [IGNORED] * 30 + row[30:]} for row in rows]


def test_the_loss_is_transformers_own_with_label_smoothing_at_supervised_positions(tiny_base, p, tmp_path):
    """Reference: full logits of the same model, shifted, torch's cross-entropy with ignore_index."""
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(tiny_base, dtype=torch.float32), _lora(p))
    from transformers import TrainingArguments

    arguments = TrainingArguments(output_dir=str(tmp_path), label_smoothing_factor=0.1, use_cpu=True, report_to="none")
    trainer = _SupervisedTrainer(model=model, args=arguments)
    samples = some_samples(3)
    batch = pad(samples, pad_id=0)
    lengths = torch.tensor([[len(sample["input_ids"])] for sample in samples])
    mask = (torch.arange(batch["input_ids"].shape[1]) < lengths).long()
    logits = model(input_ids=batch["input_ids"], attention_mask=mask).logits[:, :-1]
    wanted = batch["labels"][:, 1:].flatten()
    for training, smoothing in ((True, 0.1), (False, 0.0)):
        for layer in model.modules():
            if isinstance(layer, torch.nn.Dropout):
                layer.p = 0.0
        model.train(training)
        reference = F.cross_entropy(logits.flatten(0, 1), wanted, ignore_index=IGNORED, label_smoothing=smoothing)
        assert trainer.compute_loss(model, dict(batch)).item() == pytest.approx(reference.item(), abs=1e-5)


def test_gradients_on_the_nf4_base_stay_right_after_an_evaluation(base, p):
    """Twin: the same adapter on the dequantised weights in float32. The fast CPU path would break this silently."""
    import bitsandbytes as bnb

    torch.manual_seed(0)
    quantised = get_peft_model(load_quantised(base), replace_dropout(p))
    torch.manual_seed(0)
    twin = get_peft_model(AutoModelForCausalLM.from_pretrained(base.path, dtype=torch.float32), replace_dropout(p))
    for name, module in quantised.named_modules():
        if isinstance(module, bnb.nn.Linear4bit):
            weight = bnb.functional.dequantize_4bit(module.weight.data, module.weight.quant_state).float()
            twin.get_submodule(name).weight.data.copy_(weight)
    give_b_some_values(quantised, twin)
    batch = pad(some_samples(2), pad_id=0)
    quantised.eval()
    with torch.no_grad():
        quantised(**batch)
    gradients = []
    for model in (quantised.train(), twin.train()):
        with torch.autocast("cpu", dtype=torch.bfloat16, enabled=model is quantised):
            model(**batch).loss.backward()
        gradients.append({n: q.grad for n, q in model.named_parameters() if q.requires_grad})
    cosines = torch.stack(
        [
            F.cosine_similarity(gradients[0][name].float().flatten(), expected.flatten(), dim=0)
            for name, expected in gradients[1].items()
        ]
    )
    # bf16 against float32 through sharp attention; the broken path has a mean of 0.46 and a least of 0.02
    assert cosines.mean() > 0.9 and cosines.min() > 0.7


def replace_dropout(p: FineTune):
    return _lora(replace(p, lora_dropout=0.0))


def give_b_some_values(*models) -> None:
    """B starts at zero, where A's gradient is zero too: give both models the same B."""
    for model in models:
        g = torch.Generator().manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data = torch.randn(parameter.shape, generator=g) * 0.05


def test_a_run_that_breaks_off_resumes_to_the_same_bytes(base, p, tmp_path, tokenizer):
    train, development = some_samples(10), some_samples(3, seed=1)
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()

    def run(name: str, samples) -> None:
        trained = fine_tune(
            load_quantised(base), 0, samples, development, p, seed=3, checkpoints=tmp_path / name, quiet=True
        )
        save_adapter(trained.model, tokenizer, base, {}, tmp_path / f"{name}.adapter")
        logs[name] = [{k: v for k, v in e.items() if "runtime" not in k and "per_second" not in k} for e in trained.log]

    logs: dict[str, list] = {}
    run("whole", train)
    with pytest.raises(PowerCutError):
        run("broken", BreaksAfter(train, reads=13))
    assert newest_checkpoint(tmp_path / "broken") is not None
    run("broken", train)
    assert logs["broken"] == logs["whole"]
    assert files.sha256(tmp_path / "whole.adapter") == files.sha256(tmp_path / "broken.adapter")


class PowerCutError(Exception):
    pass


class BreaksAfter(list):
    """Samples that fail to be read after some reads, as if the machine went down in the middle of a step."""

    def __init__(self, samples, reads: int) -> None:
        super().__init__(samples)
        self.reads = reads

    def __getitem__(self, index):
        self.reads -= 1
        if self.reads < 0:
            raise PowerCutError
        return super().__getitem__(index)


def test_only_checkpoints_written_to_their_end_are_resumed(tmp_path):
    for step, whole in ((2, True), (10, True), (12, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        if whole:
            (folder / COMPLETE).touch()
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert newest_checkpoint(tmp_path / "none") is None


def test_training_that_is_never_evaluated_is_refused_before_it_starts(p, tmp_path):
    with pytest.raises(InputError, match="eval_every: 50 is never reached, 10 samples make 6 steps"):
        fine_tune(
            None,
            0,
            some_samples(10),
            [],
            replace(p, eval_every=50, save_every=50),
            seed=1,
            checkpoints=tmp_path,
            quiet=True,
        )


def test_an_adapter_of_another_base_is_refused(base, p, tmp_path, tokenizer):
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.path), _lora(p))
    save_adapter(model, tokenizer, base, {"candidate_set": "A"}, tmp_path / "adapter")
    assert check_adapter(tmp_path / "adapter", base)["r"] == 4
    with pytest.raises(InputError, match="was trained on another base"):
        check_adapter(tmp_path / "adapter", replace(base, fingerprint="sha256:other"))
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds no adapter_model.safetensors"):
        check_adapter(tmp_path / "adapter", base)


def test_an_adapter_on_disk_is_safetensors_and_names_no_machine_path(base, p, tmp_path, tokenizer):
    model = get_peft_model(AutoModelForCausalLM.from_pretrained(base.path), _lora(p))
    save_adapter(model, tokenizer, replace(base, path="base/tiny-qwen3"), {}, tmp_path / "adapter")
    names = {path.name for path in (tmp_path / "adapter").iterdir()}
    assert {"adapter_model.safetensors", "adapter_config.json", "tokenizer.json", "origin.json"} <= names
    assert not [name for name in names if name.endswith((".bin", ".pt", ".pkl"))]
    for path in (tmp_path / "adapter").glob("*.json"):
        assert str(ROOT) not in path.read_text() and str(tmp_path) not in path.read_text()
    assert set(load_file(tmp_path / "adapter" / "adapter_model.safetensors"))


def test_a_hub_base_must_be_pinned():
    with pytest.raises(InputError, match="kitrec doctor --pin"):
        pin(Base(path="Qwen/Qwen3-14B", revision=None))
    assert pin(Base(path="Qwen/Qwen3-14B", revision="abc")).fingerprint == "Qwen/Qwen3-14B@abc"


def test_a_folder_without_weights_is_named(tmp_path: Path):
    with pytest.raises(InputError, match=r"holds no config\.json with safetensors"):
        pin(Base(path=str(tmp_path), revision=None))
