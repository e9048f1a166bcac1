"""Make a teacher that is no LLM: the world's oracle, or an ensemble.   python -m stages.make_teacher oracle
Reads data/interactions of the training users (and data/world); writes data/teachers/<teacher>: lists.parquet,
vectors.safetensors where it has item vectors, and the members of an ensemble."""

import time

from kitrec.core import files, params, tables
from kitrec.distillation.alignment import full_sequences
from kitrec.distillation.ensemble import fit_ensemble
from kitrec.distillation.ensemble_storage import save_members
from kitrec.distillation.item_embeddings import write_embeddings
from kitrec.distillation.oracle_teacher import oracle_lists
from kitrec.distillation.params import Ensemble
from kitrec.recommenders.data.user_histories import training_sequences, user_targets
from kitrec.recommenders.data.vocabulary import Vocabulary
from kitrec.schemas.interactions import SPLIT_INTERACTIONS
from kitrec.schemas.teacher_lists import TEACHER_LISTS
from kitrec.synthetic.histories import USER_TRUTH
from kitrec.synthetic.items import ITEM_TRUTH
from kitrec.synthetic.params import World
from stages.lib import paths, runner, seeds


def main(teacher: str) -> None:
    """Rank the items at every position of the training sequences by TEACHER (oracle, ensemble)."""
    # 1. Params and inputs
    seed, world = seeds.training_seed(), params.load(World, "world")
    ensemble = params.load(Ensemble, "distillation.ensemble")
    item_path, user_path = (paths.WORLD / name for name in ("item_truth.parquet", "user_truth.parquet"))
    source = paths.interactions("train")
    reads = [source, *([item_path, user_path] if teacher == "oracle" else [])]
    with runner.running("make_teacher", teacher, reads=reads, params=[seed, world, ensemble]) as run:
        # 2. The training sequences
        interactions, start = tables.read(source, SPLIT_INTERACTIONS), time.perf_counter()
        vocabulary, users = Vocabulary(interactions["item_id"]), user_targets(interactions)
        rows = full_sequences(training_sequences(interactions, users, "both", vocabulary), users)
        with files.atomic(paths.teacher(teacher)) as folder:
            folder.mkdir()
            if teacher == "oracle":
                # 3. Lists by the world's true utilities
                latent = tables.read(item_path, ITEM_TRUTH), tables.read(user_path, USER_TRUTH)
                lists = oracle_lists(world, rows, vocabulary, interactions, latent, ensemble.list_length)
            else:
                # 3. Members fitted on the other folds; their lists and item vectors
                fitted = fit_ensemble(ensemble, rows, vocabulary, seed, run.work)
                run.cost["train_seconds"] = round(time.perf_counter() - start, 2)
                save_members(fitted, vocabulary, rows.sequences, folder / "members")
                start = time.perf_counter()
                lists = fitted.lists(rows, vocabulary)
                run.cost["setTrain"] = {"seconds": round(time.perf_counter() - start, 2), "records": lists.height}
                if vectors := fitted.embeddings(vocabulary):
                    write_embeddings(vectors, folder / "vectors.safetensors")
            tables.write(lists, folder / "lists.parquet", TEACHER_LISTS)
        run.cost["export_seconds"] = round(time.perf_counter() - start, 2)


if __name__ == "__main__":
    runner.start(main)
