"""Writes tests/fixtures/text.parquet by pyarrow: what a reader of another implementation must cope with.

    .oracle/bin/python tests/oracle/parquet_fixture.py [--check]

Thirty rows in row groups of 13, pages of a few rows. The columns of text have the same values, by
`document`; they differ in type, encoding and compression. With --check nothing is written: the exit
status is 1 where the committed file has other bytes.
"""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq

FIXTURE = Path(__file__).resolve().parent.parent / "fixtures" / "text.parquet"
ROWS = 30


def document(row: int) -> str:
    """The text of a row, counted from 0; each third one is one of a few that are often repeated."""
    if row % 3 == 0:
        return f"Repeated text {row % 4}: naïve café, 日本."
    return f"Document {row}: " + " ".join(f"word{(row * place) % 7}" for place in range(row % 5 + 1))


def table() -> pa.Table:
    """All columns."""
    texts = [document(row) for row in range(ROWS)]
    holes = [None if row == 23 else text for row, text in enumerate(texts)]
    return pa.table(
        {
            "number": pa.array(range(ROWS), pa.int64()),
            "text": pa.array(texts, pa.string()),
            "large": pa.array(texts, pa.large_string()),
            "category": pa.array(texts, pa.string()).dictionary_encode(),
            "packed": pa.array(texts, pa.string()),
            "plain": pa.array(texts, pa.string()),
            "holes": pa.array(holes, pa.string()),
            "raw": pa.array([b"\xff\xfe" if row == 5 else text.encode() for row, text in enumerate(texts)]),
            "words": pa.array([text.split()[:1] for text in texts], pa.list_(pa.string())),
            "inner": pa.array([{"text": text} for text in texts]),
        }
    )


def written() -> bytes:
    """The file."""
    snappy = ["number", "text", "large", "category", "holes", "raw", "words", "inner"]
    compression = {name: "snappy" for name in snappy} | {"packed": "zstd", "plain": "none"}
    compression |= {"large": "gzip", "words.list.element": "snappy", "inner.text": "snappy"}
    out = io.BytesIO()
    pq.write_table(
        table(),
        out,
        row_group_size=13,
        data_page_size=200,
        write_batch_size=4,
        compression=compression,
        use_dictionary=["text", "category", "holes"],
        data_page_version="1.0",
        write_statistics=False,
    )
    return out.getvalue()


def main() -> None:
    """Writes or checks."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--check", action="store_true", help="compare with the committed file")
    content = written()
    if not parser.parse_args().check:
        FIXTURE.write_bytes(content)
        print(f"{FIXTURE.name}: {len(content)} bytes by pyarrow {pa.__version__}")
    elif content != FIXTURE.read_bytes():
        sys.exit(f"{FIXTURE.name} is not what pyarrow {pa.__version__} writes")


if __name__ == "__main__":
    main()
