"""Tracks as comma-separated values with a line of headings."""

import numpy as np

from scalor_ppl.tracking.rows import ROW
from scalor_ppl.tracking.writers.form import Format, renamed


def encode(rows: np.ndarray) -> bytes:
    """Rows as lines, with as many digits as make every number exact."""
    import pandas as pd  # half a second: only where it is wanted

    return pd.DataFrame(rows).to_csv(header=False, index=False, lineterminator="\n").encode("ascii")


FORMAT = Format((".csv",), encode, renamed, header=f"{','.join(ROW.names or ())}\n".encode())
