"""A base from a GGUF file: whole weights in bf16, tokenizer, chat template and origin in a folder for base.path.

transformers reads the file and undoes its quantisation (`dequantize=True`; without it the weights stay packed and can
be neither saved nor trained). The values are those of the quantised file: nothing lost comes back."""

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path
from typing import Any

from kitrec.core import files
from kitrec.core.errors import InputError
from kitrec.prompts.tokens import Encoder

MAGIC = b"GGUF"
ORIGIN = "origin.json"  # beside the weights: file, hash, licence, versions
PLAIN_TEMPLATE = Path(__file__).with_name("plain_chat.jinja")  # for bases that have none
_LISTS = {f"tokenizer.ggml.{name}" for name in ("tokens", "scores", "token_type", "merges")}
LIBRARIES = ("transformers", "gguf", "torch", "safetensors")


@dataclass(frozen=True)
class GgufFile:
    """A GGUF file that is whole, and what it says of itself."""

    path: Path
    sha256: str
    fields: Mapping[str, Any]

    @property
    def licence(self) -> str | None:
        """The licence that the file names, if it names one."""
        return self.fields.get("general.license")


def import_gguf(path: Path, to: Path, *, licence: str | None, chat_template: Path | None, sha256: str | None) -> Path:
    """Write the base of a GGUF file to the folder `to`, which appears only once it is whole."""
    file = read_gguf(path, sha256)
    with files.atomic(to) as draft:
        tokenizer = _load_tokenizer(file, chat_template)
        _write_bos(file, tokenizer)
        encoder = Encoder(tokenizer)
        model = _load_model(file)
        _check(file, model, tokenizer)
        ends = sorted(encoder.ends)
        model.generation_config.eos_token_id = ends if len(ends) > 1 else ends[0]  # where engines stop
        model.save_pretrained(draft)
        tokenizer.save_pretrained(draft)
        files.write_json(_origin(file, licence, chat_template), draft / ORIGIN)
        for written in draft.iterdir():
            written.chmod(0o644)
    return to


def read_gguf(path: Path, sha256: str | None = None) -> GgufFile:
    """Check that a file is a whole GGUF file (of this hash); return what it says of itself."""
    if not path.is_file():
        raise InputError(f"{path} is no file: name the .gguf file of a model")
    with path.open("rb") as stream:
        if (magic := stream.read(len(MAGIC))) != MAGIC:
            raise InputError(f"{path} is no GGUF file: it begins with {magic!r}, not with {MAGIC!r}")
    digest = files.sha256(path)
    if sha256 is not None and digest != sha256:
        raise InputError(
            f"{path} has the sha256 {digest}, expected {sha256}: it is cut or another file; fetch it again"
        )
    gguf = _open_gguf(path)
    end = max((int(tensor.data_offset + tensor.n_bytes) for tensor in gguf.tensors), default=0)
    if not end or end > path.stat().st_size:
        raise InputError(f"{path} is cut: its tensors end at byte {end}, it has {path.stat().st_size}; fetch it again")
    fields = {name: field.contents() for name, field in gguf.fields.items() if name not in _LISTS}
    if int(fields.get("split.count") or 1) > 1:
        raise InputError(f"{path} is one of {fields['split.count']} parts: merge them first (llama-gguf-split --merge)")
    return GgufFile(path, digest, fields)


def _open_gguf(path: Path) -> Any:
    try:
        from gguf import GGUFReader  # seconds to import, and only needed here
    except ImportError:
        raise InputError("the package gguf is missing: run `make setup`") from None
    try:
        return GGUFReader(path)
    except (ValueError, IndexError, KeyError, OverflowError, UnicodeDecodeError) as problem:
        raise InputError(f"{path} is cut or damaged ({problem}): fetch it again") from None


def _load_tokenizer(file: GgufFile, chat_template: Path | None) -> Any:
    from transformers import AutoTokenizer

    with _naming(file):
        tokenizer = AutoTokenizer.from_pretrained(str(file.path.parent), gguf_file=file.path.name)
    if chat_template is not None:
        if not chat_template.is_file():
            raise InputError(f"--chat-template: {chat_template} is no file: name a jinja template, or `plain`")
        tokenizer.chat_template = chat_template.read_text(encoding="utf-8")
    if not tokenizer.chat_template:
        raise InputError(
            f"{file.path} holds no chat template, as bases that are no instruct models: give one by --chat-template "
            "FILE, or `--chat-template plain` for the one that kitrec ships"
        )
    tokenizer.name_or_path = str(file.path)
    return tokenizer


def _write_bos(file: GgufFile, tokenizer: Any) -> None:
    """Let the template begin by BOS where the file's tokenizer begins every text by it, which transformers drops."""
    bos, template = tokenizer.bos_token, tokenizer.chat_template
    if file.fields.get("tokenizer.ggml.add_bos_token") and bos and "bos_token" not in template and bos not in template:
        tokenizer.chat_template = "{{ bos_token }}" + template


def _load_model(file: GgufFile) -> Any:
    import torch
    import transformers
    from transformers import AutoModelForCausalLM, GgufConfig

    transformers.logging.disable_progress_bar()
    with _naming(file):
        return AutoModelForCausalLM.from_pretrained(
            str(file.path.parent),
            gguf_file=file.path.name,
            quantization_config=GgufConfig(dequantize=True),
            dtype=torch.bfloat16,
            trust_remote_code=False,
        )


@contextmanager
def _naming(file: GgufFile) -> Iterator[None]:
    """Turn what transformers says of a file that it cannot read into an error that names it."""
    try:
        yield
    except Exception as problem:  # tokenizers raises the bare class, transformers half a dozen others
        if files.is_full_disk_error(problem):
            raise
        architecture = file.fields.get("general.architecture")
        raise InputError(
            f"{file.path} (architecture {architecture}) cannot be read by transformers {version('transformers')}: "
            f"{str(problem).splitlines()[0]}"
        ) from problem


def _check(file: GgufFile, model: Any, tokenizer: Any) -> None:
    """Refuse weights that are not finite, and tokens that the base has no embedding for."""
    import torch

    if broken := [name for name, weight in model.named_parameters() if not torch.isfinite(weight).all()]:
        raise InputError(f"{file.path} holds weights that are no numbers ({broken[0]}): it is damaged, fetch it again")
    rows = model.get_input_embeddings().num_embeddings
    used = [token for token, number in tokenizer.get_vocab().items() if number >= rows]
    if used and tokenizer.chat_template and any(token in tokenizer.chat_template for token in used):
        raise InputError(f"{file.path}: the chat template writes {used[0]!r}, for which the base has no embedding")


def _origin(file: GgufFile, licence: str | None, chat_template: Path | None) -> dict[str, Any]:
    template = None if chat_template is None else chat_template.name
    return {
        "file": file.path.name,
        "sha256": file.sha256,
        "bytes": file.path.stat().st_size,
        "name": file.fields.get("general.name"),
        "architecture": file.fields.get("general.architecture"),
        "licence": licence or file.licence,
        "chat_template": template or "of the file",
        "versions": {name: version(name) for name in LIBRARIES},
    }
