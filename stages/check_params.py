"""Validate params.yaml and raw/ before any expensive stage starts.   python -m stages.check_params
Reads params.yaml and, if source.kind requires it, raw/; writes data/params.ok, which is equal for all valid params.
DVC removes the outs of `prepare` before `prepare` could refuse raw/: so it is refused here. Rankings of methods that
the params name no more go: evaluate, analyse and judge depend on the whole folder, and what ran before must not change
their state."""

import shutil

from kitrec.config.overlays import shipped
from kitrec.config.rules import ranked_methods
from kitrec.config.sections import validate_params
from kitrec.core import files
from stages.lib import paths, runner
from stages.lib.fingerprints import check_fingerprint
from stages.lib.raw import check_raw
from stages.lib.sources import RAW


def main() -> None:
    """Validate every section, key and rule, and the raw files; report all problems of the params in one message."""
    # 1. Params
    check_fingerprint("check_params")
    sections = validate_params()
    if sections["base"].path != shipped()["base.path"] and not sections["probes"].memory:
        runner.warn([f"{sections['base'].path} may have read the test data: `probes.memory: [base]` measures it"])
    # 2. Raw files
    check_raw(sections["source"], sections["domains"], RAW)
    # 3. What other params left behind
    for folder in paths.rankings("references").parent.glob("*"):
        if folder.is_dir() and folder.name not in ranked_methods(sections):
            shutil.rmtree(folder)
    files.write_json({"params": "valid"}, paths.PARAMS_OK)


if __name__ == "__main__":
    runner.start(main)
