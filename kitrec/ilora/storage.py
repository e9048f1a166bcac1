"""A trained teacher as a folder: its learned weights, and the base and the sequence encoder it belongs to.

learned.safetensors   experts, gate, projector        teacher.json   params, base, encoder, metrics"""

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter, ValidationError
from safetensors import SafetensorError
from safetensors import torch as tensor_file

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.ilora.params import Ilora
from kitrec.ilora.sequence_encoder import SequenceEncoder
from kitrec.ilora.teacher import Teacher
from kitrec.llm.base.pinning import PinnedBase

_WEIGHTS, _JSON = "learned.safetensors", "teacher.json"


def save_teacher(teacher: Teacher, p: Ilora, base: PinnedBase, metrics: dict[str, Any], to: Path) -> None:
    """Write a teacher's folder atomically."""
    with files.atomic(to) as draft:
        draft.mkdir()
        tensors = {name: tensor.contiguous() for name, tensor in teacher.learned.state_dict().items()}
        tensor_file.save_file(tensors, draft / _WEIGHTS)
        content = {
            "base": base.fingerprint,
            "encoder": teacher.sequence_encoder.fingerprint,
            "params": asdict(p),
            "metrics": metrics,
        }
        files.write_json(content, draft / _JSON)


def load_teacher(folder: Path, loaded_base: Any, base: PinnedBase, encoder: SequenceEncoder) -> Teacher:
    """Load the teacher of a folder on its base, ready to answer."""
    content = files.read_json(folder / _JSON)
    _check_fingerprint(folder, "base", content, base.fingerprint)
    _check_fingerprint(folder, "encoder", content, encoder.fingerprint)
    try:
        teacher = Teacher(loaded_base, encoder, params_of(folder).mixture)
        teacher.learned.load_state_dict(tensor_file.load_file(folder / _WEIGHTS))
    except (SafetensorError, RuntimeError, FileNotFoundError) as problem:
        raise InputError(f"{folder} holds no whole teacher ({problem}): train it again") from None
    teacher.train(False)
    return teacher


def params_of(folder: Path) -> Ilora:
    """Return the params that a stored teacher was trained with."""
    content = files.read_json(folder / _JSON)
    try:
        return TypeAdapter(Ilora).validate_json(json.dumps(content["params"]), strict=True)
    except (KeyError, ValidationError) as problem:
        raise InputError(
            f"{folder} was written with other params than there are now ({problem}): train again"
        ) from None


def _check_fingerprint(folder: Path, part: str, content: dict[str, Any], fingerprint: str) -> None:
    if content.get(part) != fingerprint:
        raise InputError(
            f"{folder} was trained with another {part} ({content.get(part)}) than {fingerprint}: "
            "train it again by `dvc repro`, or take the one it belongs to"
        )
