import sys

from kitrec.llm.finetuning.callbacks import FaultTolerantTracker, tracker_callbacks


class Broken:
    def __init__(self, where: str) -> None:
        self.where, self.calls = where, []

    def __getattr__(self, event: str):
        def call(*_, **__):
            self.calls.append(event)
            if event == self.where:
                raise ConnectionError("no route to tracker")

        return call


def test_a_tracker_that_fails_is_reported_once_and_switched_off(capsys):
    broken = Broken("on_log")
    tracker = FaultTolerantTracker("somewhere", lambda: broken)
    tracker.on_train_begin()
    tracker.on_log()
    tracker.on_log()
    tracker.on_train_end()
    assert broken.calls == ["on_train_begin", "on_log"]
    assert capsys.readouterr().err == "somewhere is off from here on: ConnectionError: no route to tracker\n"


def test_wandb_that_is_not_installed_stops_nothing(tmp_path, capsys, monkeypatch):
    monkeypatch.setitem(sys.modules, "wandb", None)
    (wandb,) = tracker_callbacks(["wandb"], "run", tmp_path)
    wandb.on_train_begin()
    wandb.on_log()
    assert "wandb is off from here on" in capsys.readouterr().err
