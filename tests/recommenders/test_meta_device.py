"""Every model over item ids under torch's meta device: placement and shapes of a forward pass, without any memory."""

import numpy as np
import pytest
import torch

from kitrec.recommenders.data.packed_batches import pack
from kitrec.recommenders.models.registry import build_cross_domain_model, build_sequence_model
from tests.recommenders import made_domains, made_models

USERS, LARGE = 6, 3_000_000  # items: their table alone would take hundreds of megabytes


@pytest.mark.parametrize("kind", [kind for kind in made_models.KINDS if kind != "gru4rec"])  # autocast knows no meta
def test_a_sequence_model_represents_users_and_scores_items(kind):
    with torch.device("meta"):
        model = build_sequence_model(made_models.model_params(kind), LARGE)
    histories = model.shown(made_models.made_sequences(USERS))
    states = model.represent(pack(histories, "meta"))
    weight, bias = model.output()
    assert states.is_meta and states.shape == (USERS, 16)
    assert weight.shape == (LARGE, 16) and (bias is None or bias.shape == (LARGE,))
    assert (states @ weight.T).shape == (USERS, LARGE)


@pytest.mark.parametrize("kind", made_domains.CROSS_DOMAIN)
def test_a_model_over_two_domains_has_all_its_weights_on_the_device(kind):
    with torch.device("meta"):
        model = build_cross_domain_model(made_domains.model_params(kind), made_domains.CATALOGUE)
    model.to("meta")
    assert all(tensor.is_meta for tensor in [*model.parameters(), *model.buffers()])
    assert model.are_target(torch.zeros(USERS, 3, dtype=torch.long, device="meta")).shape == (USERS, 3)


@pytest.mark.parametrize("kind", made_models.KINDS)
def test_a_batch_of_the_host_is_refused(kind):
    """The mistake that the tests above would find; GRU's autocast knows no meta device and says so in other words."""
    with torch.device("meta"):
        model = build_sequence_model(made_models.model_params(kind), 30)
    with pytest.raises(RuntimeError, match=r"not on the expected device meta|unsupported scalarType"):
        (model.represent(pack(model.shown(made_models.made_sequences(USERS)))) @ torch.ones(16)).numpy()


def test_a_fused_counter_follows_its_weights_to_the_device():
    """A checkpoint holds the counters of the optimizer on the host."""
    from kitrec.recommenders.row_adamw import RowAdamW

    weight = torch.nn.Linear(3, 2)
    optimizer = RowAdamW(weight, 0.1, 0.0)
    for _ in range(3):
        weight(torch.ones(1, 3)).sum().backward()
        optimizer.step()
    assert np.allclose([float(state["step"]) for state in optimizer.state.values()], 3)
