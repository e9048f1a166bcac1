"""Validate params.yaml before any expensive stage starts.   python -m stages.check_params
Reads params.yaml; writes data/params.ok, which is equal for all valid params. Rankings of methods that the params name
no more go: evaluate, analyse and judge depend on the whole folder, and what ran before must not change their state."""

import shutil

from kitrec.config.overlays import shipped
from kitrec.config.rules import ranked_methods
from kitrec.config.sections import validate_params
from kitrec.core import files
from stages.lib import paths, runner
from stages.lib.fingerprints import check_fingerprint


def main() -> None:
    """Validate every section, key and rule; report all problems in one message."""
    # 1. Params
    check_fingerprint("check_params")
    sections = validate_params()
    if sections["base"].path != shipped()["base.path"] and not sections["probes"].memory:
        runner.warn([f"{sections['base'].path} may have read the test data: `probes.memory: [base]` measures it"])
    # 2. What other params left behind
    for folder in paths.rankings("references").parent.glob("*"):
        if folder.is_dir() and folder.name not in ranked_methods(sections):
            shutil.rmtree(folder)
    files.write_json({"params": "valid"}, paths.PARAMS_OK)


if __name__ == "__main__":
    runner.start(main)
