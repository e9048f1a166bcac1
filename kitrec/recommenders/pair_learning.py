"""One model over two domains of the `idrec` section: from the readers' tables to a stored model and what is told of it.

The same training readers, vocabulary and validation readers as the sequence models have."""

from collections.abc import Callable
from pathlib import Path

import numpy as np
import polars as pl

from kitrec.core.errors import InputError
from kitrec.recommenders import sequence_learning
from kitrec.recommenders.cross_domain_storage import Stored, save_model
from kitrec.recommenders.data.cross_domain_batches import UserHistories
from kitrec.recommenders.data.item_domains import ItemDomains, item_domains_of
from kitrec.recommenders.data.item_features import build_item_features
from kitrec.recommenders.data.sequences import Sequences
from kitrec.recommenders.data.user_histories import history_interactions, training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.recommenders.models import params
from kitrec.recommenders.models.cross_domain_model import Ranker
from kitrec.recommenders.models.cross_domain_registry import tally
from kitrec.recommenders.pair_fitting import fit
from kitrec.recommenders.params import CrossDomainMethod, NonParametricMethod
from kitrec.recommenders.ranking.within_domain import Validation, domain_validation, evaluate
from kitrec.recommenders.sequence_learning import Given, Outcome
from kitrec.recommenders.sequence_training import Progress


def learn(
    p: CrossDomainMethod | NonParametricMethod, given: Given, told: Callable[[Progress], None], to: Path
) -> Outcome:
    """Train (or count) a method and store it; the development users' held-out items choose the epoch."""
    seen = given.train if isinstance(p, NonParametricMethod) else given.learned_from(p.training)
    vocabulary = Vocabulary(seen["item_id"])
    catalogue = item_domains_of(seen, vocabulary)
    learned = training_sequences(seen, user_targets(seen), p.history, vocabulary)
    asked = sequence_learning.validation(given.development, p.history, vocabulary)
    judged_by_them = isinstance(p, NonParametricMethod) or p.training.mode == "standard"
    if not len(learned) or (judged_by_them and not len(asked.truths)):
        raise InputError(
            f"{len(learned)} readers to learn from, {len(asked.truths)} development readers with a known history and "
            "truth: both need some; raise users.train or users.development_share"
        )
    validation = domain_validation(UserHistories(asked.histories), asked.truths, catalogue, given.seed)
    if isinstance(p, NonParametricMethod):
        model, rows, chosen = _counted(p, given, learned, validation, catalogue)
    else:
        liked = liked_items(seen, p)
        if not liked.any():
            raise InputError(
                f"no item has {p.positive_rating} stars or more: nothing is a positive; "
                "lower `positive_rating` of this method"
            )
        model, rows, chosen = _trained(p, given, learned, validation, catalogue, liked, vocabulary, told)
    chosen = {name: round(value, 6) for name, value in chosen.items()}
    popularity = np.bincount(learned.items, minlength=len(vocabulary) + 1).astype(np.float32)
    save_model(Stored(model, vocabulary, popularity, chosen), p.model, to)
    return Outcome(rows, {**chosen, "items": len(vocabulary), "sequences": len(learned)})


def liked_items(seen: pl.DataFrame, p: CrossDomainMethod) -> np.ndarray:
    """Which of the items in the order of `with_truths` had so many stars; where none are told, they were liked."""
    return (
        history_interactions(seen, user_targets(seen), p.history)["rating"].fill_null(p.positive_rating)
        >= p.positive_rating
    ).to_numpy()


Found = tuple[Ranker, list[dict[str, float]], dict[str, float]]


def _counted(
    p: NonParametricMethod, given: Given, learned: Sequences, validation: Validation, catalogue: ItemDomains
) -> Found:
    model = tally(p.model, learned, catalogue.items, given.seed)
    row = {"epoch": 1.0, **evaluate(model, validation)}  # of one look
    return model, [row], row


def _trained(
    p: CrossDomainMethod,
    given: Given,
    learned: Sequences,
    validation: Validation,
    catalogue: ItemDomains,
    liked: np.ndarray,
    vocabulary: Vocabulary,
    told: Callable[[Progress], None],
) -> Found:
    titles = None
    if isinstance(p.model, params.DTCDR) and p.model.titles:
        known, _ = build_item_features(given.items, vocabulary, ["title"], given.seed)
        assert known.titles is not None
        titles = known.titles[: catalogue.items + 1]
    asked = None if p.training.mode == "full_data" else validation
    readers_ = UserHistories(learned, positive=liked)
    fitted = fit(p.model, p.training, catalogue, readers_, asked, given.seed, given.work, told, titles=titles)
    return fitted.model, fitted.progress.rows, fitted.told()
