"""Contents of a TensorBoard file, read back by TensorBoard."""

from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

from kitrec.training.state import Progress
from kitrec.training.tensorboard import tensorboard_callback


def test_metrics_gates_and_settings_are_written_to_one_file(tmp_path):
    on_epoch_end = tensorboard_callback(
        tmp_path, {"model": {"kind": "sasrec", "hidden": 8}, "features": ["genre"]}, "ndcg@10"
    )
    row = {"loss": 2.0, "ndcg@10": 0.25, "val_gate/item": 0.75}
    for epoch in (1, 2, 3):
        on_epoch_end(Progress(epoch=epoch, best=0.25, rows=[{"epoch": epoch, **row}]))
    assert len(list(tmp_path.rglob("events*"))) == 1
    read = EventAccumulator(str(tmp_path)).Reload()
    assert set(read.Tags()["scalars"]) == {"loss", "ndcg@10", "val_gate/item", "best/ndcg@10"}
    assert [(event.step, event.value) for event in read.Scalars("val_gate/item")] == [(1, 0.75), (2, 0.75), (3, 0.75)]
    start = read.summary_metadata["_hparams_/session_start_info"].plugin_data.content
    assert b"model.hidden" in start and b"sasrec" in start and b"['genre']" in start
