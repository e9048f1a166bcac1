from dataclasses import replace
from functools import partial
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from kitrec.llm.finetuning.checkpoints import mark, newest_checkpoint
from kitrec.llm.finetuning.out_of_memory import means_out_of_memory, stepped_down
from kitrec.llm.finetuning.supervised import learn_supervised
from peft import get_peft_model
from safetensors.torch import load_file
from transformers import AutoModelForCausalLM

from kitrec.core import files, params
from kitrec.core.errors import InputError
from kitrec.llm.base.loading import load_quantised
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import PinnedBase, pin
from kitrec.llm.finetuning import arguments
from kitrec.llm.finetuning.adapters import check_adapter, save_adapter
from kitrec.llm.finetuning.arguments import lora
from kitrec.llm.finetuning.dataset import IGNORED, Sample, pad
from kitrec.llm.finetuning.params import FineTune, Launch
from kitrec.llm.finetuning.trainer import Course, SupervisedTrainer, fine_tune
from tests.conftest import ROOT


@pytest.fixture
def p() -> FineTune:
    tiny = {"batch": 2, "accumulation": 2, "epochs": 2, "eval_every": 1, "save_every": 1, "log_every": 1}
    return replace(params.load(FineTune, "dualft", ROOT / "params.yaml"), lora_rank=4, lora_alpha=8, **tiny)


@pytest.fixture
def base(tiny_base) -> PinnedBase:
    return pin(Base(path=str(tiny_base), revision=None))


ONE = Launch(processes=1, sharding="none", base_weights="nf4", loader_workers=0, trackers=[])


def some_samples(count: int, seed: int = 0) -> list[Sample]:
    g = np.random.default_rng(seed)
    return [Sample(f"r{k}", g.integers(300, 1500, 40 + 3 * k, dtype=np.int32), 30) for k in range(count)]


def course(load_base, checkpoints: Path, *, train=None, development=None, seed=3) -> Course:
    return Course(
        "toy",
        load_base,
        0,
        some_samples(10) if train is None else train,
        some_samples(3, seed=1) if development is None else development,
        seed,
        checkpoints,
        checkpoints / "logs",
        quiet=True,
    )


def plain_model(folder):
    return AutoModelForCausalLM.from_pretrained(folder, dtype=torch.float32)


def without_dropout(model):
    for layer in model.modules():
        if isinstance(layer, torch.nn.Dropout):
            layer.p = 0.0
    return model


@pytest.mark.parametrize(("learns", "smoothing"), [(True, 0.1), (False, 0.0)])
def test_the_loss_is_that_of_full_logits_at_supervised_positions(tiny_base, p, learns, smoothing):
    """Reference: full logits of the same model, shifted, torch's cross-entropy with ignore_index; gradients too."""
    torch.manual_seed(0)
    model = without_dropout(get_peft_model(plain_model(tiny_base), lora(p))).train(learns)
    batch = tensors(pad(some_samples(3), pad_id=0))
    mask = (torch.arange(batch["input_ids"].shape[1]) < batch["lengths"][:, None]).long()
    logits = model(input_ids=batch["input_ids"], attention_mask=mask).logits[:, :-1]
    wanted = batch["labels"][:, 1:].flatten()
    expected = F.cross_entropy(
        logits.flatten(0, 1), wanted, ignore_index=IGNORED, label_smoothing=smoothing, reduction="sum"
    )
    expected.backward()
    gradients = {n: q.grad.clone() for n, q in model.named_parameters() if q.grad is not None}
    model.zero_grad()
    learn_supervised(model.get_base_model(), smoothing=0.1, neftune_alpha=0.0)
    loss = model(**batch)
    loss.backward()
    assert loss.item() == pytest.approx(expected.item(), rel=1e-6)
    for name, gradient in gradients.items():
        got = model.get_parameter(name).grad
        assert torch.allclose(got, gradient, atol=1e-4 * gradient.abs().max().item() + 1e-9), name


def test_a_batch_is_its_samples_one_by_one(tiny_base, p):
    """No sample of a padded batch sees another one, or the padding."""
    torch.manual_seed(0)
    model = without_dropout(get_peft_model(plain_model(tiny_base), lora(p))).train()
    learn_supervised(model.get_base_model(), smoothing=0.1, neftune_alpha=0.0)
    samples = some_samples(4)
    alone = sum(model(**tensors(pad([sample], pad_id=0))) for sample in samples)
    together = model(**tensors(pad(samples, pad_id=0)))
    assert together.item() == pytest.approx(alone.item(), rel=1e-6)


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
    batch = tensors(pad(some_samples(2), pad_id=0))
    del batch["lengths"]
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


def tensors(batch):
    return {name: value for name, value in batch.items() if name != "records"}


def replace_dropout(p: FineTune):
    return lora(replace(p, lora_dropout=0.0))


def give_b_some_values(*models) -> None:
    """B starts at zero, where A's gradient is zero too: give both models the same B."""
    for model in models:
        g = torch.Generator().manual_seed(1)
        for name, parameter in model.named_parameters():
            if "lora_B" in name:
                parameter.data = torch.randn(parameter.shape, generator=g) * 0.05


@pytest.mark.parametrize(
    ("optimizer", "reads"),
    [("adamw_torch_fused", 13), ("adamw_torch_fused", 8), ("adamw_torch_fused", 18), ("adamw_8bit", 13)],
)
def test_a_run_that_breaks_off_resumes_to_the_same_bytes(optimizer, reads, base, p, tmp_path, tokenizer):
    train = some_samples(10)
    for name in ("whole", "broken"):
        (tmp_path / name).mkdir()

    def run(name: str, samples) -> None:
        trained = fine_tune(course(partial(load_quantised, base), tmp_path / name, train=samples), p, ONE)
        save_adapter(trained.checkpoint, tokenizer, base, {}, tmp_path / f"{name}.adapter")
        logs[name] = [{k: v for k, v in e.items() if "runtime" not in k and "per_second" not in k} for e in trained.log]

    logs: dict[str, list] = {}
    p = replace(p, optimizer=optimizer)
    run("whole", train)
    with pytest.raises(PowerCutError):
        run("broken", BreaksAfter(train, reads))
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


def test_only_whole_checkpoints_are_resumed_and_damaged_ones_are_told(tmp_path, capsys):
    for step, whole in ((2, True), (10, True), (12, True), (14, False)):
        folder = tmp_path / f"checkpoint-{step}"
        folder.mkdir()
        (folder / "weights").write_bytes(b"all of them")
        if whole:
            mark(folder)
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-12")
    (tmp_path / "checkpoint-12" / "weights").write_bytes(b"all of")
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-10")
    assert "checkpoint-12 is damaged" in capsys.readouterr().err
    (tmp_path / "checkpoint-10" / "weights").unlink()
    assert newest_checkpoint(tmp_path) == str(tmp_path / "checkpoint-2")
    assert newest_checkpoint(tmp_path / "none") is None


class FirstTimes:
    """Raises an out-of-memory error in training steps that are too large, as a small device would."""

    def __init__(self, largest: int) -> None:
        self.largest, self.sizes = largest, []
        self.whole = SupervisedTrainer.compute_loss

    def __call__(self, trainer, model, inputs, **more):
        if model.training:
            self.sizes.append(len(inputs["input_ids"]))
            if len(inputs["input_ids"]) > self.largest and trainer.state.global_step >= 1:
                raise torch.OutOfMemoryError("CUDA out of memory (injected)")
        return self.whole(trainer, model, inputs, **more)


def test_out_of_memory_steps_down_to_the_same_result(tiny_base, p, tmp_path, monkeypatch, capsys):
    """Without dropout and noise the smaller micro-batches make the same updates: adapters agree to 1e-5."""
    still = replace(p, batch=4, accumulation=1, learning_rate=2e-4, lora_dropout=0.0, neftune_alpha=0.0, patience=9)
    exact = partial(arguments.TrainingArguments, bf16=False)  # bf16 rounds sums of other lengths otherwise
    weights, sizes = {}, {}
    for name, largest in (("roomy", 4), ("tight", 1)):
        small = FirstTimes(largest)
        monkeypatch.setattr(arguments, "TrainingArguments", lambda bf16, **k: exact(**k))  # noqa: ARG005
        monkeypatch.setattr(SupervisedTrainer, "compute_loss", lambda *a, small=small, **k: small(*a, **k))
        trained = fine_tune(course(partial(plain_model, tiny_base), tmp_path / name), still, ONE)
        assert trained.batch == largest and trained.steps == 6
        weights[name] = load_file(trained.checkpoint / "adapter_model.safetensors")
        sizes[name] = small.sizes
        monkeypatch.undo()
    told = capsys.readouterr().err
    assert "going on with 2 x 2 samples per update" in told and "going on with 4 x 1 samples per update" in told
    assert set(sizes["roomy"]) == {4, 2} and 1 in sizes["tight"]
    apart = {
        name: (weights["tight"][name] - expected).abs().max().item() for name, expected in weights["roomy"].items()
    }
    assert max(apart.values()) < 1e-5, apart


def test_nothing_smaller_than_one_sample(p):
    lowest = replace(p, batch=1, accumulation=8, eval_batch=1)
    with pytest.raises(InputError, match="one sample at a time"):
        stepped_down(lowest)
    assert stepped_down(replace(lowest, eval_batch=8)).eval_batch == 4
    assert stepped_down(replace(p, batch=9, accumulation=2)).batch == 3


@pytest.mark.parametrize(
    ("problem", "means"),
    [
        (torch.OutOfMemoryError("CUDA out of memory"), True),
        (RuntimeError("[enforce fail] DefaultCPUAllocator: can't allocate memory: you tried to allocate"), True),
        (MemoryError(), True),
        (RuntimeError("shape mismatch"), False),
    ],
)
def test_which_errors_mean_out_of_memory(problem, means):
    assert means_out_of_memory(problem) is means


def test_a_loss_that_is_no_number_names_its_records_and_keeps_the_checkpoints(tiny_base, p, tmp_path):
    def poisoned():
        def spoil(_, inputs, output):
            return output.masked_fill((inputs[0] == 1777)[..., None], float("nan"))

        model = plain_model(tiny_base)
        model.model.embed_tokens.register_forward_hook(spoil)
        return model

    samples = some_samples(10)
    samples[4].ids[5] = 1777
    clean = [s for s in samples if 1777 not in s.ids]
    assert len(clean) == 9
    with pytest.raises(InputError, match=r"the loss is nan at step \d, in records (r4, r\d|r\d, r4);") as stopped:
        fine_tune(course(poisoned, tmp_path, train=samples), p, ONE)
    step = int(str(stopped.value).split("at step ")[1].split(",")[0])
    assert step == 0 or newest_checkpoint(tmp_path) == str(tmp_path / f"checkpoint-{step}")


def test_a_token_outside_the_vocabulary_is_named(tiny_base, p, tmp_path):
    samples = some_samples(10)
    samples[3].ids[5] = 999_999
    with pytest.raises(InputError, match=r"r3: token 999999 is outside the base's vocabulary of \d+"):
        fine_tune(course(partial(plain_model, tiny_base), tmp_path, train=samples), p, ONE)


def test_training_that_is_never_evaluated_is_refused_before_it_starts(p, tmp_path):
    with pytest.raises(InputError, match="eval_every: 50 is never reached, 10 samples make 6 steps"):
        fine_tune(course(lambda: None, tmp_path), replace(p, eval_every=50, save_every=50), ONE)


def untrained_checkpoint(base, p, folder: Path) -> Path:
    get_peft_model(AutoModelForCausalLM.from_pretrained(base.path), lora(p)).save_pretrained(folder / "checkpoint")
    return folder / "checkpoint"


def test_an_adapter_of_another_base_is_refused(base, p, tmp_path, tokenizer):
    checkpoint = untrained_checkpoint(base, p, tmp_path)
    save_adapter(checkpoint, tokenizer, base, {"candidate_set": "A"}, tmp_path / "adapter")
    assert check_adapter(tmp_path / "adapter", base)["r"] == 4
    with pytest.raises(InputError, match="was trained on another base"):
        check_adapter(tmp_path / "adapter", replace(base, fingerprint="sha256:other"))
    (tmp_path / "adapter" / "adapter_model.safetensors").unlink()
    with pytest.raises(InputError, match=r"holds no adapter_model.safetensors"):
        check_adapter(tmp_path / "adapter", base)


def test_an_adapter_on_disk_is_safetensors_and_names_no_machine_path(base, p, tmp_path, tokenizer):
    checkpoint = untrained_checkpoint(base, p, tmp_path)
    save_adapter(checkpoint, tokenizer, replace(base, path="base/tiny-qwen3"), {}, tmp_path / "adapter")
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
