"""Reads what `critique-rl export completions` wrote with pyarrow and pandas, as tools for TRL's files do.

    pip install pyarrow pandas
    python tests/interop/completions.py RUN COMPLETIONS
"""

import json
import pathlib
import sys

import pandas
import pyarrow
import pyarrow.parquet

TRL = ["step", "prompt", "completion"]


def main():
    run, folder = map(pathlib.Path, sys.argv[1:])
    steps = [json.loads(line) for line in (run / "metrics.jsonl").read_text().splitlines()]
    checked = 0
    for path in sorted(folder.glob("completions_*.parquet")):
        table = pyarrow.parquet.read_table(path)
        names = table.column_names
        assert names[:3] == TRL and names[-1] == "advantage", names
        kinds = {name: table.schema.field(name).type for name in names}
        assert kinds["step"] == pyarrow.int64() and kinds["completion"] == pyarrow.string(), kinds
        assert kinds["advantage"] == pyarrow.float64(), kinds
        step = int(path.stem.removeprefix("completions_"))
        metrics = next(metrics for metrics in steps if metrics["step"] == step)
        records = [json.loads(line) for line in (run / f"rollouts/stage-{metrics['stage']}/step-{metrics['stage_step'] - 1:06}.jsonl").read_text().splitlines()]
        frame = pandas.read_parquet(path)
        assert len(frame) == len(records) and (frame["step"] == step).all()
        for row, record in zip(frame.to_dict("records"), records):
            assert row["id"] == record["id"] and row["completion"] == record["critique"]
            assert row["prompt"] == f"{record['question']}\n\n{record['response']}"
            assert abs(row["advantage"] - record["advantage"]) < 1e-6
            assert all(abs(row.get(f"rewards/{name}", row[name]) - value) < 1e-6 for name, value in record["rewards"].items())
            refined = record["refinements"][0]["text"] if record["refinements"] else None
            assert row["refined"] == refined or (refined is None and pandas.isna(row["refined"]))
        checked += len(frame)
    assert checked, f"no completions in {folder}"
    print(f"{checked} completions are what the run recorded")


if __name__ == "__main__":
    main()
