"""probe_orders, probe_memory and evaluate_memory as commands of a project on the tiny base."""

from pathlib import Path

import polars as pl
import pytest

from kitrec.config import profiles
from kitrec.core import files, params, tables
from kitrec.llm.base.loading import load_tokenizer
from kitrec.llm.base.params import Base
from kitrec.llm.base.pinning import FILE, SERVED, pin, read_pinned, write_pinned
from kitrec.llm.generation.params import Engine
from kitrec.llm.generation.requests import prompt_hash, requests_for
from kitrec.llm.likelihood import candidate_orders
from kitrec.llm.likelihood.candidates import scoring_requests
from kitrec.llm.likelihood.scorers import load_scorer
from kitrec.prompts.answer_head import AnswerHead
from kitrec.prompts.params import Prompt
from kitrec.prompts.styles import prompt_style
from kitrec.prompts.tokens import Encoder
from kitrec.schemas.items import ITEMS
from kitrec.schemas.likelihoods import LIKELIHOODS
from kitrec.schemas.memory import MEMORY, plain_words
from kitrec.schemas.rankings import from_scores
from kitrec.schemas.records import RECORDS
from kitrec.schemas.scores import SCORES
from stages import check_params, evaluate_memory, probe_memory, probe_orders
from stages.lib import paths
from stages.lib.methods import load_method
from tests.conftest import ROOT

SAMPLE, METHOD = 8, "base_direct"


@pytest.fixture
def project(tmp_path, monkeypatch, world, dataset) -> Path:
    for name in ("base", "conf"):
        (tmp_path / name).symlink_to(ROOT / name)
    (tmp_path / "params.yaml").write_bytes((ROOT / "params.yaml").read_bytes())
    monkeypatch.chdir(tmp_path)
    values = {
        "probes.records": SAMPLE,
        "probes.memory": ["base"],
        "engine.dtype": "float32",
        "evaluation.resamples": 100,
        "evaluation.min_users": 2,
    }
    profiles.put(Path("params.yaml"), values)
    for path in (FILE, SERVED):
        write_pinned(pin(Base(path="base/tiny-qwen3", revision=None)), path)
    tables.write(world.items, paths.ITEMS, ITEMS)
    for which, by_role in dataset.records.items():
        tables.write(by_role["test"], paths.set_records(which, "test"), RECORDS)
    return tmp_path


@pytest.fixture
def scored(project, dataset, items) -> pl.DataFrame:
    """The likelihoods of some test records in the order of the run, as `score_candidates` writes them."""
    records, method, prompt = dataset.records["A"]["test"].head(12), load_method(METHOD), params.load(Prompt, "prompt")
    encoder = Encoder(load_tokenizer(read_pinned()))
    requests = requests_for(records, items, encoder, method, prompt)
    head = AnswerHead(encoder, prompt_style(prompt, encoder, thinking=False, answer_items=method.answer_items))
    score = load_scorer(read_pinned(SERVED), params.load(Engine, "engine"), {})
    scoring = scoring_requests(requests, [None] * len(requests), head)
    rows = [
        {"method": METHOD, "record_id": record, "prompt_hash": prompt_hash(request.prompt), "loglik": values.tolist()}
        | {"tokens": [len(name) for name in each.continuations], "error": None}
        for record, request, each, values in zip(records["record_id"], requests, scoring, score(scoring), strict=True)
    ]
    rows[3] |= {"loglik": None, "tokens": None, "error": "too long"}
    table = tables.from_rows(rows, LIKELIHOODS)
    tables.write_all({"setA": table}, project / paths.likelihoods(METHOD), LIKELIHOODS)
    return table


def test_another_order_is_scored_as_the_order_of_the_run_is(project, scored, monkeypatch):
    """With the run's order in place of the other ones the scores are those of the run."""
    of_number = candidate_orders.permuted
    monkeypatch.setattr(probe_orders, "permuted", lambda records, _number, seed: of_number(records, 0, seed))
    probe_orders.main(METHOD)
    same = files.read_json(project / f"metrics/orders/{METHOD}.json")
    assert same["records"] == SAMPLE and list(same["hit@1"]) == ["order 0", "order 1", "order 2"]
    assert same["kendall_tau"] == same["same_first_share"] == 1 and same["hit@1_spread"] == 0
    assert same["score_gap_max"] < 1e-3  # other records share the batch
    monkeypatch.undo()
    monkeypatch.chdir(project)
    probe_orders.main(METHOD)
    other = files.read_json(project / f"metrics/orders/{METHOD}.json")
    assert other["score_gap_max"] > 0.1 and -1 < other["kendall_tau"] < 1
    assert scored["loglik"].null_count() == 1  # whose record is in no sample


def test_metrics_are_split_by_the_titles_that_the_base_completes(project, dataset):
    probe_memory.main("base", quiet=True)
    lines = tables.read(paths.memory("base"), MEMORY)
    tests = {which: by_role["test"] for which, by_role in dataset.records.items()}
    truths = set(tests["A"]["gt_item_id"]) | set(tests["B"]["gt_item_id"])
    titles = lines.filter(probe="title")
    assert truths >= set(titles["item_id"]) and titles.height > 0
    assert 0 < lines.filter(probe="history").height <= SAMPLE
    # every second title is completed after all, and the method is right about each of these
    known = titles["item_id"].unique().sort().to_list()[::2]
    planted = (
        pl.when(pl.col("item_id").is_in(known) & (pl.col("probe") == "title")).then("truth").otherwise(pl.lit("?"))
    )
    tables.write(lines.with_columns(written=planted), paths.memory("base"), MEMORY)
    scores = {}
    for which, records in tests.items():
        values = [
            [float(item == truth) * (1 if truth in known else -1) for item in candidates]
            for candidates, truth in records.select("candidate_ids", "gt_item_id").iter_rows()
        ]
        scores[f"set{which}"] = score_table(from_scores("m", records, values), records)
    tables.write_all(scores, paths.SCORES, SCORES)
    evaluate_memory.main("base")
    metrics = files.read_json(project / "metrics/memory/base.json")
    for which, records in tests.items():
        count = sum(truth in known for truth in records["gt_item_id"])
        group = metrics[f"set{which}"]["known"]
        assert group["n"] == count and group["methods"]["m"]["scored"]["hit@1"] == 1.0
        assert metrics[f"set{which}"]["unknown"]["methods"]["m"]["scored"]["hit@1"] == 0.0
    different = {plain_words(truth) for truth in titles["truth"]}
    assert metrics["probes"]["title"]["share"] > 0 and metrics["probes"]["title"]["n"] >= len(different)
    assert metrics["probes"]["next"]["share"] == 0


def score_table(rankings: pl.DataFrame, records: pl.DataFrame) -> pl.DataFrame:
    from kitrec.evaluation.scoring import score

    return score(rankings, records)


def test_another_base_whose_memory_is_not_probed_is_named(project, capsys):
    other = {"base.path": "base/smollm2-135m", "probes.memory": []}
    profiles.put(Path("params.yaml"), other)
    check_params.main()
    assert "base/smollm2-135m may have read the test data: `probes.memory: [base]`" in capsys.readouterr().err
    profiles.put(Path("params.yaml"), {"probes.memory": ["base"]})
    check_params.main()
    profiles.put(Path("params.yaml"), {"base.path": "base/tiny-qwen3", "probes.memory": []})
    check_params.main()
    assert capsys.readouterr().err == ""
    assert (project / paths.PARAMS_OK).is_file()


@pytest.mark.parametrize("name", ["smollm2_135m", "gemma3_270m", "qwen3_14b", "qwen3_14b_32gb"])
def test_profiles_of_real_bases_probe_their_memory(project, name):
    file = project / "params.yaml"
    profiles.reset(file, [])
    profiles.use(file, [f"llm={name}"])
    assert params.read(file)["probes"]["memory"] == ["base"]
    profiles.use(file, ["llm=tiny"])
    assert params.read(file)["probes"]["memory"] == []
