"""The whole path in the smoke size, as its users run it: undisturbed, and with stages killed on the way and resumed."""

import contextlib
import itertools
import json
import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
import pytest
from dvc.repo import Repo

from bench.clone import ENVIRONMENT, make_clone, results
from kitrec.config import profiles
from kitrec.core import files, params
from kitrec.hub.folders import write_model

MINUTES = 60
SMOKE = ["dataset=smoke", "llm=smoke"]
TRAIN, ANSWER = "train_dualft@movies-full", "infer_vllm@kitrec_full"


@dataclass
class Clone:
    """A fresh copy of the project in the smoke size, and the `dvc repro` that may be under way in it."""

    folder: Path
    repro: subprocess.Popen[str] | None = None

    def run(self, *command: str, timeout: int = 10 * MINUTES) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command, cwd=self.folder, env=ENVIRONMENT, capture_output=True, text=True, timeout=timeout, check=False
        )

    def start(self, *targets: str) -> None:
        log = (self.folder / "repro.log").open("a")
        command = ["dvc", "repro", *(targets or ("evaluate", "analyse"))]
        self.repro = subprocess.Popen(command, cwd=self.folder, env=ENVIRONMENT, stdout=log, stderr=log, text=True)

    def finish(self) -> int:
        assert self.repro
        return self.repro.wait(10 * MINUTES)

    def log(self) -> str:
        return (self.folder / "repro.log").read_text()[-6000:]

    def wait_for(self, condition: Callable[[], object]) -> None:
        """Wait until something is there, while `dvc repro` runs."""
        deadline = time.monotonic() + 8 * MINUTES
        while not condition():
            assert self.repro and self.repro.poll() is None, self.log()
            assert time.monotonic() < deadline, self.log()
            time.sleep(0.01)

    def training(self) -> bool:
        """Whether a living process trains the first adapter."""
        lock = self.folder / ".work/train_dualft-movies-full.lock"
        return lock.exists() and lock.read_text() != "" and Path(f"/proc/{lock.read_text()}").exists()

    def break_off(self, stage: str, sign: str) -> None:
        """Run a stage anew and kill it as soon as such files in its work folder tell that it is on its way."""
        folder = stage.replace("@", "-")
        self.start("-f", "-s", stage)
        self.wait_for(lambda: list((self.folder / ".work").glob(f"{folder}/*/{sign}")))
        os.kill(self.process(folder), signal.SIGKILL)
        assert self.finish() != 0

    @contextlib.contextmanager
    def variant(self, name: str, *targets: str) -> Iterator[dict[str, Any]]:
        """The headline of a run with this profile; its params go when its test ends."""
        params = self.folder / "params.yaml"
        kept = params.read_text()
        assert self.run("kitrec", "profile", "use", f"variants={name}").returncode == 0
        done = self.run("dvc", "repro", *targets, "evaluate", timeout=20 * MINUTES)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        yield files.read_json(self.folder / "metrics/evaluate.json")
        params.write_text(kept)

    def process(self, stage: str) -> int:
        """The process id of a living stage, as its lock tells it."""
        return int((self.folder / ".work" / f"{stage}.lock").read_text())


@pytest.fixture(scope="module")
def finished(tmp_path_factory: pytest.TempPathFactory) -> tuple[Clone, Clone]:
    """A whole run, and its copy where training and inference went anew, killed on the way and started again."""
    whole, killed = (Clone(tmp_path_factory.mktemp("runs") / name) for name in ("whole", "killed"))
    make_clone(whole.folder, SMOKE)
    whole.start()
    assert whole.finish() == 0, whole.log()
    shutil.copytree(whole.folder, killed.folder)
    work = killed.folder / ".work"
    killed.start("-f", "-s", TRAIN)
    killed.wait_for(lambda: list(work.glob("train_dualft-movies-full/*/checkpoint-*/complete")))
    process = killed.process("train_dualft-movies-full")
    os.kill(process, signal.SIGSTOP)
    second_copy = killed.run("python", "-m", "stages.train_dualft", "movies-full")
    os.kill(process, signal.SIGKILL)
    assert killed.finish() != 0
    assert second_copy.returncode == 1
    assert f"already running here (process {process})" in second_copy.stderr
    killed.start(TRAIN)
    assert killed.finish() == 0, killed.log()
    killed.break_off(ANSWER, "A/shard-*.parquet")
    killed.start()
    assert killed.finish() == 0, killed.log()
    return whole, killed


def test_a_killed_and_resumed_run_ends_with_the_same_bytes(finished):
    whole, killed = (results(clone.folder) for clone in finished)
    assert len(whole) > 50
    assert {name for name in whole if whole[name] != killed.get(name)} == set()
    assert set(whole) == set(killed)


def test_it_really_resumed_and_cleaned_up(finished):
    clone = finished[1]
    costs = {path.stem: files.read_json(path) for path in (clone.folder / "metrics" / "cost").glob("*.json")}
    resumed = {name for name, cost in costs.items() if cost["resumed"]}
    assert {"train_dualft-movies-full", "infer_vllm-kitrec_full"} == resumed
    assert not [path for path in (clone.folder / ".work").glob("*/*") if path.is_dir()]


def test_the_second_run_has_nothing_to_do(finished):
    again = finished[0].run("dvc", "repro", "evaluate", "analyse")
    assert again.returncode == 0 and "up to date" in again.stdout and "Running stage" not in again.stdout


def test_every_test_user_has_an_answer_a_ranking_and_scores(finished):
    folder = finished[0].folder / "data"
    for which in "AB":
        tests = pl.read_parquet(folder / "records" / f"set{which}" / "test.parquet")["record_id"]
        for method in ("kitrec_full", "base_direct"):
            answers = pl.read_parquet(folder / "answers" / method / f"set{which}.parquet")
            assert answers["record_id"].equals(tests) and answers["error"].null_count() == tests.len()
        scores = pl.read_parquet(folder / "scores" / f"set{which}.parquet")
        references = {"oracle", "oracle_text", "popularity", "random"}
        assert set(scores["method"]) == {"kitrec_full", "base_direct", "sasrec"} | references
        kinds = set(scores.select("method", "kind").iter_rows())
        assert {(m, k) for m in ("kitrec_full", "base_direct") for k in ("written", "scored")} <= kinds
        assert scores.height == 9 * tests.len() == len(kinds) * tests.len()


def test_a_scored_ranking_is_complete_and_every_candidate_has_its_likelihood(finished):
    folder = finished[0].folder / "data"
    tests = pl.read_parquet(folder / "records/setA/test.parquet")
    for method in ("kitrec_full", "base_direct"):
        ranked = pl.read_parquet(folder / "rankings" / method / "setA.parquet").filter(pl.col("kind") == "scored")
        both = ranked.join(tests, on="record_id", validate="1:1", suffix="_record")
        assert both.height == tests.height
        assert both.select((pl.col("item_ids").list.sort() == pl.col("candidate_ids").list.sort()).all()).item()
        assert both["scores"].explode().lt(0).all() and both["scores"].list.n_unique().min() > 1


def test_the_adapters_were_used_each_by_its_own_users(finished):
    answers = pl.read_parquet(finished[0].folder / "data/answers/kitrec_full/setA.parquet")
    assert set(answers["adapter"]) == {"dualft-movies", "dualft-music", "singleft-movies", "singleft-music"}
    base = pl.read_parquet(finished[0].folder / "data/answers/base_direct/setA.parquet")
    assert base["adapter"].null_count() == base.height
    assert answers["text"].n_unique() > 1


def test_metrics_and_plots_are_what_dvc_shows(finished):
    clone = finished[0]
    shown = json.loads(clone.run("dvc", "metrics", "show", "--json").stdout)[""]["data"]
    headline = shown["metrics/evaluate.json"]["data"]
    assert headline["random"]["scored"]["hit@1"] == pytest.approx(0.1)
    assert headline["kitrec_full"]["written"]["n"] == 20
    assert not [name for name in shown if "cost" in name]
    page = clone.run("dvc", "plots", "show", "-o", "page")
    assert page.returncode == 0, page.stderr
    assert (clone.folder / "page" / "index.html").is_file()


def test_adapters_are_published_with_their_settings_curve_and_results(finished):
    clone = finished[0]
    result = clone.run("kitrec", "hub", "push-model", "me", "--set", "A", "--all")
    assert result.returncode == 0 and result.stdout.count("dry run") == 4, result.stderr
    other = clone.run("kitrec", "hub", "push-model", "me", "--set", "B", "--all")
    assert other.returncode == 1 and "was trained on set A, not B: name the experiment" in other.stderr
    write_model("kitrec-x", "A", "dualft_movies", "full", clone.folder, clone.folder / "card")
    card, names = (clone.folder / "card/README.md").read_text(), {p.name for p in (clone.folder / "card").iterdir()}
    shutil.rmtree(clone.folder / "card")
    assert {"adapter_model.safetensors", "adapter_config.json", "README.md"} <= names
    headline = files.read_json(clone.folder / "metrics/evaluate.json")["kitrec_full"]["written"]
    assert f"| kitrec_full (written) | {headline['n']} | {headline['hit@1']:.4g} |" in card
    assert "| lora_rank | 32 |" in card and "base/tiny-qwen3" in card and "| step | evaluation loss |" in card


def test_changed_params_rerun_what_reads_them_and_nothing_else(finished):
    clone = finished[0]

    def status() -> dict[str, object]:
        with contextlib.chdir(clone.folder):
            return Repo().status(targets=["evaluate", "analyse"], with_deps=True)

    assert status() == {}
    text = (clone.folder / "params.yaml").read_text()
    expected = {
        "singleft.weight_decay": {"train_singleft@movies-full", "train_singleft@music-full"},
        "evaluation.methods": {"evaluate", "analyse"},
        "evaluation.family.metrics": {"analyse"},
        "source.reject_limit": {"prepare"},
        "data.candidate_set": {f"train_{f}@{t}-full" for f in ("dualft", "singleft") for t in ("movies", "music")}
        | {"evaluate", "analyse"},
        "infer.methods.base_direct.top_k": {
            f"{stage}@base_direct" for stage in ("infer_vllm", "score_candidates", "parse_answers")
        },
    }
    values = {
        "singleft.weight_decay": 0.5,
        "evaluation.methods": ["references"],
        "evaluation.family.metrics": ["mrr"],
        "source.reject_limit": 0.5,
        "data.candidate_set": "B",
        "infer.methods.base_direct.top_k": 5,
    }
    for key, stages in expected.items():
        profiles.put(clone.folder / "params.yaml", {key: values[key]})
        changed = status()
        (clone.folder / "params.yaml").write_text(text)
        assert set(changed) - {"check_params"} == stages, key


OTHER_BASE = b'{"path": "base/tiny-qwen3", "revision": null, "fingerprint": "sha256:0"}'
INFER = ["python", "-m", "stages.infer_vllm", "kitrec_full"]


@pytest.mark.parametrize(
    ("file", "content", "command", "said"),
    [
        (
            "params.yaml",
            ("patience:", "patients:"),
            ["dvc", "repro"],
            "dualft.early_stopping_patients: unknown key; did you mean `early_stopping_patience`?",
        ),
        ("data/items.parquet", b"PAR1half", INFER, "not a whole parquet file"),
        ("models/base/served.json", OTHER_BASE, INFER, "was trained on another base"),
        ("params.yaml", None, ["bash", "-c", "ulimit -f 8; python -m stages.prepare"], "no space left"),
    ],
)
def test_bad_input_is_one_message_and_leaves_no_half_written_out(finished, file, content, command, said):
    clone = finished[0]
    path = clone.folder / file
    kept = path.read_bytes()
    if isinstance(content, tuple):
        path.write_text(path.read_text().replace(*content))
    elif content is not None:
        path.write_bytes(content)
    before = results(clone.folder)
    done = clone.run(*command)
    after = results(clone.folder)
    path.write_bytes(kept)
    clone.run("dvc", "repro", "check_params")  # puts back what `dvc repro` withdraws for invalid params
    assert done.returncode != 0
    assert said in done.stderr + done.stdout and "Traceback" not in done.stderr
    assert after.items() <= before.items() and before.keys() - after.keys() <= {"data/params.ok"}


def test_a_missing_file_is_named(finished):
    clone = finished[0]
    path = clone.folder / "data/items.parquet"
    kept = path.read_bytes()
    path.unlink()
    done = clone.run(*INFER)
    path.write_bytes(kept)
    assert done.returncode == 1 and "needs data/items.parquet: `dvc repro` writes it" in done.stderr


@pytest.mark.slow
def test_another_whole_run_ends_with_the_same_bytes(finished, tmp_path):
    clone = Clone(tmp_path / "again")
    make_clone(clone.folder, SMOKE)
    clone.start()
    assert clone.finish() == 0, clone.log()
    first = results(finished[0].folder)
    assert {name: value for name, value in results(clone.folder).items() if first.get(name) != value} == {}


@pytest.mark.slow
def test_training_killed_at_random_moments_ends_with_the_same_adapter(tmp_path):
    """Six kills within the seconds that training takes, wherever they fall: loading, updating, writing a checkpoint."""
    whole, killed = (Clone(tmp_path / name) for name in ("whole", "killed"))
    for clone in (whole, killed):
        make_clone(clone.folder, SMOKE)
        profiles.put(clone.folder / "params.yaml", {"dualft.epochs": 6})
    stage, moments, landed = "train_dualft@movies-full", random.Random(5), 0
    whole.start(stage)
    assert whole.finish() == 0, whole.log()
    for _ in range(6):
        killed.start(stage)
        killed.wait_for(lambda: killed.training() or killed.repro.poll() is not None)
        time.sleep(moments.uniform(0.2, 4))
        if killed.training():
            os.kill(killed.process("train_dualft-movies-full"), signal.SIGKILL)
            landed += 1
            assert killed.finish() != 0
        killed.finish()
    assert landed >= 3
    killed.start(stage)
    assert killed.finish() == 0, killed.log()
    mine, others = (clone.folder / "models/full/dualft-movies" for clone in (killed, whole))
    assert {p.name: files.sha256(p) for p in mine.iterdir()} == {p.name: files.sha256(p) for p in others.iterdir()}


@pytest.mark.slow
def test_set_b_as_an_experiment_is_compared_by_the_same_keys(finished):
    clone = finished[0]
    assert clone.run("git", "add", "-A").returncode == 0 and clone.run("git", "commit", "-qm", "A").returncode == 0
    done = clone.run("dvc", "exp", "run", "evaluate", "-n", "set-b", "-S", "data.candidate_set=B", timeout=900)
    assert done.returncode == 0, done.stderr
    changed = json.loads(clone.run("dvc", "metrics", "diff", "--json", "HEAD", "set-b").stdout)
    headline = changed["metrics/evaluate.json"]
    assert "oracle_text.scored.hit@1" in headline
    assert all({"old", "new", "diff"} <= set(change) for change in headline.values())
    result = clone.run("kitrec", "hub", "push-model", "me", "--set", "B", "--all", "--experiment", "set-b")
    assert result.returncode == 0 and result.stdout.count("dry run") == 4, result.stderr
    shown = clone.run("dvc", "exp", "show", "--csv").stdout
    assert "set-b" in shown and "data.candidate_set" in shown
    page = clone.run("dvc", "plots", "diff", "HEAD", "set-b", "-o", "page-ab")
    assert page.returncode == 0, page.stderr


@pytest.mark.slow
def test_preferences_go_on_from_the_fine_tuned_adapters_and_answer_beside_them(finished):
    clone = finished[0]
    with clone.variant("with_preferred") as headline:
        assert {"written", "scored"} == set(headline["kitrec_preferred"])
        numbers = files.read_json(clone.folder / "metrics/preference/dualft-movies.json")
        assert numbers["records"] > 0 and numbers["loss"] < 0.75
        before, after = (
            files.sha256(clone.folder / f"models/{folder}/dualft-movies/adapter_model.safetensors")
            for folder in ("full", "preferred")
        )
        assert before != after


@pytest.mark.slow
def test_every_method_answers_and_every_look_into_them_is_written(finished):
    """RQ1's 2x2, rationales, probes of order and precision, the report: `dvc repro` of everything."""
    clone = finished[0]
    kept = (clone.folder / "params.yaml").read_text()
    assert clone.run("kitrec", "profile", "use", "variants=all_methods").returncode == 0
    looks = {"rationales.methods": ["kitrec_full"], "probes.precision": ["kitrec_full"]}
    profiles.put(clone.folder / "params.yaml", looks | {"probes.orders": ["kitrec_full", "base_direct"]})
    done = clone.run("dvc", "repro", timeout=20 * MINUTES)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    metrics = clone.folder / "metrics"
    methods = {"kitrec_full", "kitrec_direct", "base_direct", "base_cot", "llm4cdr"}
    headline = files.read_json(metrics / "evaluate.json")
    assert all(set(headline[method]) == {"written", "scored"} for method in methods)
    effects = files.read_json(metrics / "ablation.json")
    assert all(set(own) == {"fine-tuning", "thinking", "interaction"} for own in effects.values())
    pairs = files.read_json(metrics / "significance.json")["hit@1"]
    assert "kitrec_full against llm4cdr" in pairs and all(0 <= own["p_holm"] <= 1 for own in pairs.values())
    orders = [files.read_json(metrics / f"orders/{method}.json") for method in ("kitrec_full", "base_direct")]
    assert all(len(own["hit@1"]) == 3 and -1 <= own["kendall_tau"] <= 1 for own in orders)
    assert files.read_json(metrics / "precision/kitrec_full.json")["score_gap_max"] > 0
    rationales = pl.read_parquet(clone.folder / "data/rationales/kitrec_full/setA.parquet")
    assert rationales.height > 0
    perplexity = files.read_json(metrics / "rationales/kitrec_full.json")["setA"]
    assert perplexity["writer"] > 1 and perplexity["base"] > 1
    shown = clone.run("kitrec", "show")
    assert "llm4cdr" in shown.stdout and "Average contents of a prompt" in shown.stdout
    for command in (["report"], ["tables"], ["trace", "kitrec_full", "mrr"], ["compare", "workspace", "workspace"]):
        result = clone.run("kitrec", *command)
        assert result.returncode == 0, result.stderr
    page = (clone.folder / "report/index.html").read_text()
    assert 'id="first-screen"' in page and 'id="people"' in page and "RQ1" in page
    assert {path.suffix for path in (clone.folder / "report/figures").iterdir()} == {".png", ".svg"}
    (clone.folder / "params.yaml").write_text(kept)


@pytest.mark.slow
def test_students_of_every_teacher_are_compared_ranked_and_served(finished):
    """From teacher to ONNX in one `dvc repro`, and a broken-off student ends with the same curve and the same bytes."""
    clone = finished[0]
    with clone.variant("distilled", "rank_student", "rank_teacher", "examine_teacher") as headline:
        assert all("scored" in headline[f"{student}-baseline"] for student in ("sasrec", "gru4rec"))
        for student, teacher in itertools.product(("sasrec", "gru4rec"), ("oracle", "ensemble", "ilora-sasrec")):
            pair = f"{student}-{teacher}"
            assert "scored" in headline[pair]
            metrics = files.read_json(clone.folder / f"metrics/students/{pair}.json")
            compared = metrics["ndcg@20"]
            names = {f"{name}@{k}" for name in ("hit", "recall", "ndcg") for k in (1, 5, 10, 20)}
            assert set(metrics["distilled"]) == names | {"mrr"}
            assert compared["low"] <= compared["difference"] <= compared["high"] and len(compared["gain_by_seed"]) == 5
            on_candidates = [metrics[f"set{which}"][name] for which in "AB" for name in ("ndcg@10", "hit@1")]
            assert all(0 <= each["p_users_and_trainings"] <= 1 for each in (compared, *on_candidates))
            times = files.read_json(clone.folder / f"metrics/time/{pair}.json")
            assert times["distill_student_train_time"] > 0 and times["onnx_differs_from_torch_by"] <= 1e-5
            assert [row["batch"] for row in times["student_latency"]] == [1, 256]
        assert files.read_json(clone.folder / "metrics/time/sasrec-ilora-sasrec.json")["teacher_seconds_per_user"] > 0
        assert files.read_json(clone.folder / "metrics/time/sasrec-ensemble.json")["teacher_seconds_per_user"] > 0
        assert "scored" in headline["ilora-sasrec"] and "scored" in headline["ensemble"]
        examined = files.read_json(clone.folder / "metrics/ilora/sasrec.json")["setA"]["all"]
        assert examined["samples"] == 20 and 0 <= examined["hit_ratio@1"] <= examined["valid_ratio"] <= 1
        assert clone.run("kitrec", "teacher", "to-text", "data/teachers/oracle", "--to", "text").returncode == 0
        result = clone.run("kitrec", "teacher", "from-text", "text", "--to", "data/teachers/mine")
        assert result.returncode == 0 and "lists" in result.stdout, result.stderr
        known = pl.read_parquet(clone.folder / "data/interactions/test.parquet")["item_id"][:3]
        rows = ["user\titem\ttime", "u\tnone\t0", *(f"v\t{item}\t{k}" for k, item in enumerate(known))]
        (clone.folder / "users.tsv").write_text("\n".join(rows))
        result = clone.run("kitrec", "predict", "data/serving/sasrec-oracle", "users.tsv", "--to", "best.tsv")
        assert result.returncode == 0 and "1 users ranked by popularity" in result.stdout, result.stderr
        before = results(clone.folder)
        clone.break_off("distill_student@sasrec-oracle", "1/last-*")
        clone.start("-s", "distill_student@sasrec-oracle")
        assert clone.finish() == 0, clone.log()
        after = results(clone.folder)
        own = [name for name in before if "sasrec-oracle" in name and ("students" in name or "metrics/train" in name)]
        assert len(own) > 10 and {name: after[name] for name in own} == {name: before[name] for name in own}
        others = {"caser": 1.0, "bert4rec": 0.0}  # Caser with DROS
        settings = {f"distillation.settings.{name}.dros.alpha": alpha for name, alpha in others.items()}
        pairs = {
            "distillation.students": [*others],
            "distillation.teachers": ["oracle"],
            "distillation.teachers_to_build": ["oracle"],
        }
        ranked = {"distillation.teachers_to_rank": [], "ilora.encoders": []}
        ranked |= {"evaluation.methods": ["references", "sasrec"]}
        profiles.put(clone.folder / "params.yaml", settings | pairs | ranked)
        done = clone.run("dvc", "repro", "rank_student", timeout=20 * MINUTES)
        assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
        assert all((clone.folder / f"data/serving/{name}-oracle/model.onnx").exists() for name in others)


@pytest.mark.slow
def test_thinkrec_goes_from_records_to_routed_answers(finished):
    """Three stages, each ranked; the groups' stage is killed while it learns and ends with the same bytes."""
    clone = finished[0]
    with clone.variant("thinkrec", "evaluate_thinkrec") as headline:
        for stage in ("text", "projector", "groups"):
            assert "scored" in headline[f"thinkrec-{stage}"]
            metrics = files.read_json(clone.folder / f"metrics/thinkrec/{stage}.json")
            assert set("AB") == {name[3:] for name in metrics if name.startswith("set")}
            assert all(
                own["auc_low"] <= own["auc"] <= own["auc_high"] for name, own in metrics.items() if "set" in name
            )
            assert ("routing" in metrics) == (stage == "groups")
        routing = files.read_json(clone.folder / "metrics/thinkrec/groups.json")["routing"]
        assert routing["group"] + routing["general"] + routing["mixture"] == routing["users"] == 20
        assert len(files.read_json(clone.folder / "metrics/train/thinkrec-text.json")["reflection"]) == 1
        before = results(clone.folder)
        profiles.put(clone.folder / "params.yaml", {"thinkrec.stages.groups.training.patience": 4})
        clone.break_off("train_thinkrec@groups", "group-*/last-*.safetensors")
        clone.start("-s", "train_thinkrec@groups")
        assert clone.finish() == 0, clone.log()
        after = results(clone.folder)
        own = [name for name in before if "thinkrec/groups" in name or "train/thinkrec-groups" in name]
        assert len(own) > 4 and {name: after[name] for name in own} == {name: before[name] for name in own}
        engine = params.read(clone.folder / "params.yaml")["engine"] | {"dtype": "float32"}
        by_transformers, by_engine = (
            scores_of_projector(clone, scoring)
            for scoring in ({"kind": "transformers"}, {"kind": "vllm", "engine": engine})
        )
        assert (by_transformers - by_engine).abs().max() <= 1e-3


def scores_of_projector(clone: Clone, scoring: dict[str, Any]) -> pl.Series:
    """P(Yes) of the test candidates by the base in 32 bits."""
    changed = {"thinkrec.base_weights": "f32", "thinkrec.scoring": scoring, "evaluation.methods": ["references"]}
    profiles.put(clone.folder / "params.yaml", changed | {"thinkrec.train": {"text": "records", "projector": "text"}})
    done = clone.run("dvc", "repro", "-s", "infer_thinkrec@projector")
    assert done.returncode == 0, done.stderr[-3000:]
    rankings = pl.read_parquet(clone.folder / "data/rankings/thinkrec-projector/setA.parquet")
    return rankings.explode("item_ids", "scores").sort("record_id", "item_ids")["scores"]
