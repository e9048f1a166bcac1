"""Curves of training that the report draws, read as the stages write them."""

from kitrec.cli import report_inputs


def test_curves_of_all_kinds_of_models_are_read_and_those_without_a_loss_are_left_out(tmp_path, monkeypatch):
    """A model that learns nothing has no loss; titles' vectors learn in two phases, each with rounds from 1."""
    monkeypatch.chdir(tmp_path)
    folder = tmp_path / "plots/training"
    (folder / "dualft-movies").mkdir(parents=True)
    (folder / "dualft-movies/train.csv").write_text("step,loss\n9,2.5\n")
    (folder / "idrec-ease.csv").write_text("epoch,hit@10,ndcg@10,mrr\n1.0,0.1,0.06,0.05\n")
    (folder / "idrec-sasrec.csv").write_text("epoch,loss,targets\n1,6.0,10\n2,5.5,10\n")
    rows = "0.0,1,100,6.6\n0.0,2,200,6.1\n1.0,1,50,6.0\n"
    (folder / "titles-embedding.csv").write_text(f"phase,epoch,update,loss\n{rows}")
    curves = report_inputs.training_curves()
    assert {name: dict(curve.select("step", "value").rows()) for name, curve in curves.items()} == {
        "dualft-movies": {9: 2.5},
        "idrec-sasrec": {1: 6.0, 2: 5.5},
        "titles-embedding": {1: 6.6, 2: 6.1, 3: 6.0},
    }
    assert curves["idrec-sasrec"]["series"].unique().to_list() == ["training"]
