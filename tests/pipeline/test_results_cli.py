"""Provenance of `kitrec trace` on a made dvc.lock."""

from kitrec.cli import trace

LOCK = """
stages:
  build_base:
    cmd: python -m stages.build_base
    outs: [{path: base/tiny, md5: eeee0000111122223333}]
  prepare:
    cmd: python -m stages.prepare
    deps: [{path: raw, md5: x}]
    outs: [{path: data/records, md5: aaaa0000111122223333}, {path: data/world, md5: x}]
  train@movies:
    cmd: python -m stages.train movies
    deps: [{path: data/records/setA/movies, md5: x}]
    outs: [{path: models/full/movies, md5: dddd0000111122223333}]
  infer_vllm@m:
    cmd: python -m stages.infer_vllm m
    deps: [{path: data/records/setA/test.parquet, md5: x}, {path: models/full, md5: x}, {path: base, md5: x}]
    outs: [{path: data/answers/m, md5: bbbb0000111122223333}]
  parse_answers@m:
    cmd: python -m stages.parse_answers m
    deps: [{path: data/answers/m, md5: bbbb}, {path: data/records/setA/test.parquet, md5: aaaa}]
    outs: [{path: data/rankings/m, md5: cccc0000111122223333}, {path: metrics/answers/m.json, md5: x}]
"""


def test_provenance_goes_from_rankings_to_the_data_without_repeats(tmp_path, monkeypatch):
    (tmp_path / "dvc.lock").write_text(LOCK)
    monkeypatch.setattr(trace, "LOCK", tmp_path / "dvc.lock")
    assert list(trace.provenance("data/rankings/m")) == [
        ("data/rankings/m", "cccc00001111", "python -m stages.parse_answers m"),
        ("data/answers/m", "bbbb00001111", "python -m stages.infer_vllm m"),
        ("data/records", "aaaa00001111", "python -m stages.prepare"),
        ("models/full/movies", "dddd00001111", "python -m stages.train movies"),
        ("base/tiny", "eeee00001111", "python -m stages.build_base"),
    ]
