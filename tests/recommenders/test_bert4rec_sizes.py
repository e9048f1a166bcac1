"""BERT4Rec's sizes by the number of users, and the profiles that hold them."""

import shutil

import pytest

from bench.seqrec_settings import BERT4REC_SIZES, SETTINGS, bert4rec_size, setting
from kitrec.config import profiles
from kitrec.config.overlays import overlay
from kitrec.core import params
from kitrec.recommenders.params import AnyMethod


@pytest.mark.parametrize(
    ("users", "expected"),
    [(1, "small"), (9_999, "small"), (10_000, "medium"), (100_000, "medium"), (100_001, "large")],
)
def test_the_size_follows_the_number_of_users(users, expected):
    assert bert4rec_size(users) == expected


def test_only_the_size_changes():
    before, after = SETTINGS["bert4rec_preset"].model, setting("bert4rec_preset", 50_000).model
    assert (after.hidden_size, after.heads, after.layers, after.max_length) == (64, 4, 3, 50)
    assert (after.dropout, after.masking, after.metadata) == (before.dropout, before.masking, before.metadata)


@pytest.mark.usefixtures("in_project")
@pytest.mark.parametrize("size", BERT4REC_SIZES)
def test_the_profile_of_a_size_holds_it(size):
    values = overlay(f"idrec={size}")
    assert values == {f"idrec.methods.bert4rec.model.{key}": value for key, value in BERT4REC_SIZES[size].items()}


def test_the_profile_for_reviews_is_the_setting_of_the_quality_table(tmp_path):
    params_file = tmp_path / "params.yaml"
    shutil.copy(params.FILE, params_file)
    profiles.use(params_file, ["idrec=reviews"])
    mine, theirs = params.load(AnyMethod, "idrec.methods.sasrec", params_file), SETTINGS["sasrec_ce"]
    assert (mine.model, mine.loss, mine.training) == (theirs.model, theirs.loss, theirs.training)
