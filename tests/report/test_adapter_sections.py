"""What is unknown of adapters that others trained stands in the report, beside where they come from."""

from kitrec.report.adapter_sections import COLUMNS, foreign_adapters

COMMIT = "0123456789abcdef0123456789abcdef01234567"
FOREIGN = {
    "base": None,
    "foreign": True,
    "pulled": {"source": "author/kitrec-dualft-music-setA-model", "commit": COMMIT, "weights": "f" * 64},
    "base_model": "unsloth/Qwen3-14B",
    "rank": 32,
    "alpha": 64,
    "modules": ["q_proj", "v_proj"],
    **dict.fromkeys(("records", "candidate_set", "candidates", "prompt", "answer")),
}


def test_adapters_trained_elsewhere_are_listed_with_what_is_unknown():
    ours = {"base": "b", "records": "x", "candidate_set": "A", "candidates": 20, "prompt": {}}
    put_here = {**FOREIGN, "pulled": None, "base_model": None}
    (section,) = foreign_adapters(
        {"published": {"dualft-music": FOREIGN, "dualft-movies": put_here}, "full": {"x": ours}}
    )
    assert section.columns == COLUMNS and len(section.rows) == 2
    unknown = "training data, candidate set, length of lists, prompt, form of answers"
    source = "author/kitrec-dualft-music-setA-model"
    assert section.rows[0] == [
        *("published", "dualft-music", source, "0123456789ab", "unsloth/Qwen3-14B", "32", "q_proj, v_proj", unknown)
    ]
    assert section.rows[1][2:5] == ["put here", "–", "None"]
    assert foreign_adapters({"full": {"x": ours}}) == []
