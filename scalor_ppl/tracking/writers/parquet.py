"""Tracks as a Parquet table, for pandas, Polars, DuckDB and Spark."""

import json
from pathlib import Path

import numpy as np

from scalor_ppl.errors import UserError
from scalor_ppl.files import written_whole
from scalor_ppl.tracking.output import About
from scalor_ppl.tracking.rows import ROW
from scalor_ppl.tracking.writers import spool
from scalor_ppl.tracking.writers.form import Format


def check() -> None:
    """Complain where pyarrow is missing.

    Raises:
        UserError: it is.
    """
    try:
        import pyarrow.parquet  # noqa: F401
    except ImportError:
        raise UserError(
            "Parquet needs pyarrow: pip install 'scalor-ppl[parquet]', or write csv or nc"
        ) from None


def finish(part: Path, target: Path, about: About) -> None:
    """Write the rows as Parquet, a row group a block; attributes in its metadata, as JSON."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    names = ROW.names or ()
    schema = pa.schema(
        [(name, pa.from_numpy_dtype(ROW[name])) for name in names],
        metadata={"scalor_ppl": json.dumps(about.attributes())},
    )
    with written_whole(target) as lent, pq.ParquetWriter(lent, schema) as writer:
        for rows in spool.blocks(part):
            columns = [pa.array(np.ascontiguousarray(rows[name])) for name in names]
            writer.write_table(pa.table(columns, schema=schema))
    part.unlink()


FORMAT = Format((".parquet", ".pq"), spool.encode, finish, check=check)
