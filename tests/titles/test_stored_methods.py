"""Both methods alike: a killed training goes on, a stored model ranks as it was validated."""

import numpy as np
import pytest

from kitrec.core.domains import KITREC
from kitrec.core.errors import InputError
from kitrec.core.files import sha256
from kitrec.llm.base.pinning import PinnedBase
from kitrec.titles.calibration import CALIBRATION, METRIC, Calibration
from kitrec.titles.storage import load_method
from kitrec.titles.train import train_method
from tests.titles.made_titles import KilledError, ignore, made_embedding, made_inputs, made_title, made_training

METHODS = [made_embedding(made_training(), made_training()), made_title(made_training())]
BOTH = pytest.mark.parametrize("p", METHODS, ids=["embedding", "title"])


@BOTH
def test_a_killed_training_ends_with_the_same_bytes(p, tiny_base, tmp_path):
    def die_with_the_adapter(phase: str, _progress: object) -> None:
        if phase == "adapter":
            raise KilledError

    train_method(p, made_inputs(tiny_base, tmp_path / "whole.work"), ignore, tmp_path / "whole")
    inputs = made_inputs(tiny_base, tmp_path / "killed.work")
    with pytest.raises(KilledError):
        train_method(p, inputs, die_with_the_adapter, tmp_path / "killed")
    assert list(inputs.work.glob("adapter/last-000001-*"))
    train_method(p, inputs, ignore, tmp_path / "killed")
    for name in ("learned.safetensors", "model.json"):
        assert sha256(tmp_path / "whole" / name) == sha256(tmp_path / "killed" / name)


@BOTH
def test_a_stored_model_ranks_as_it_was_validated_and_on_its_own_base_alone(p, tiny_base, tmp_path):
    inputs = made_inputs(tiny_base, tmp_path / "work")
    trained = train_method(p, inputs, ignore, tmp_path / "model")
    model = load_method(tmp_path / "model", inputs.base, inputs.items, KITREC)
    chosen = Calibration(**{name: trained.metrics[name] for name in CALIBRATION})
    scores = chosen.scores(model.evidence(inputs.records, inputs.development))
    ids = inputs.records["candidate_ids"].to_list()
    truths = [row.index(truth) for row, truth in zip(ids, inputs.records["gt_item_id"], strict=True)]
    ranks = np.array([(s > s[t]).sum() + 1 for s, t in zip(scores, truths, strict=True)])
    assert trained.metrics[METRIC] == pytest.approx(np.mean(1 / np.log2(ranks + 1)), abs=1e-5)
    other = PinnedBase(inputs.base.path, None, "sha256:0")
    with pytest.raises(InputError, match=r"was trained on the base sha256:.*, not sha256:0: train it again"):
        load_method(tmp_path / "model", other, inputs.items, KITREC)
    (tmp_path / "model/learned.safetensors").write_bytes(b"half")
    with pytest.raises(InputError, match="holds no whole model of this version"):
        load_method(tmp_path / "model", inputs.base, inputs.items, KITREC)
