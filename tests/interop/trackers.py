"""Reads what `critique-rl track` tells with TensorBoard and MLflow themselves.

    cargo build --release
    python3 -m venv .venv && .venv/bin/pip install tensorboard mlflow
    critique-rl quickstart --quick --out RUN
    .venv/bin/python tests/interop/trackers.py RUN [--binary target/release/critique-rl] [--skip-mlflow]

Event files are read with TensorBoard's own reader and over the HTTP interface of its server, metrics of MLflow with
its client from a server on loopback. Exits with 1, saying what, where anything differs from the run folder.
"""
import argparse
import json
import os
import pathlib
import socket
import subprocess
import sys
import tempfile
import time
import urllib.parse
import urllib.request

parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
parser.add_argument("run", type=pathlib.Path)
parser.add_argument("--binary", default="target/release/critique-rl")
parser.add_argument("--skip-mlflow", action="store_true")
args = parser.parse_args()

steps = [json.loads(line) for line in (args.run / "metrics.jsonl").read_text().splitlines()]
rows = json.loads((args.run / "eval/summary.json").read_text())["rows"]
checked = 0


def check(what, found, wanted):
    global checked
    checked += 1
    near = isinstance(wanted, float) and isinstance(found, (int, float)) and abs(found - wanted) <= 1e-6 * max(1, abs(wanted))
    if not near and found != wanted:
        sys.exit(f"{what}: found {found!r}, wanted {wanted!r}")


def wanted_of(name):
    """Step and value of a number of the metrics, wherever it is defined."""
    return [(it["step"], it[name]) for it in steps if isinstance(it.get(name), (int, float))]


def free_port():
    with socket.socket() as it:
        it.bind(("127.0.0.1", 0))
        return it.getsockname()[1]


def answer(url, patience=60):
    """What a server that is starting says at last."""
    end = time.time() + patience
    while True:
        try:
            with urllib.request.urlopen(url, timeout=20) as it:
                return it.read().decode()
        except OSError:
            if time.time() > end:
                raise
            time.sleep(0.5)


def tensorboard():
    from tensorboard.backend.event_processing import event_accumulator

    # Twice: the second file must take the place of the first.
    for _ in range(2):
        subprocess.run([args.binary, "track", args.run, "--tensorboard"], check=True, stdout=subprocess.DEVNULL)
    files = list(args.run.glob("events.out.tfevents.*"))
    check("event files", len(files), 1)
    events = event_accumulator.EventAccumulator(str(args.run), size_guidance={"scalars": 0, "tensors": 0})
    events.Reload()
    tags = events.Tags()
    for name in ["loss", "reward", "acc_dis", "grad_norm", "time/step"]:
        tag = name if "/" in name else f"train/{name}"
        found = [(it.step, it.value) for it in events.Scalars(tag)]
        wanted = wanted_of(name)
        check(f"{tag}: steps", [step for step, _ in found], [step for step, _ in wanted])
        for (step, value), (_, number) in zip(found, wanted):
            check(f"{tag} at {step}", value, float(number))
    check("evaluations", any(tag.startswith("eval/") for tag in tags["scalars"]), True)
    port = free_port()
    # The wall clock of rollouts and the table is not compared, their texts are.
    command = [sys.executable, "-m", "tensorboard.main", "--logdir", str(args.run), "--port", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
        try:
            at = f"http://127.0.0.1:{port}/data/plugin"
            name = "."
            answer(f"{at}/scalars/tags")
            for _ in range(60):
                told = json.loads(answer(f"{at}/scalars/tags"))
                if name in told and json.loads(answer(f"{at}/text/tags")).get(name):
                    break
                time.sleep(1)
            check("runs", name in told, True)
            texts = json.loads(answer(f"{at}/text/tags"))[name]
            check("texts", "evaluation" in texts and any(it.startswith("rollouts/") for it in texts), True)
            tag = next(it for it in texts if it.startswith("rollouts/"))
            query = urllib.parse.urlencode({"run": name, "tag": tag})
            shown = json.loads(answer(f"{at}/text/text?{query}"))
            check("a rollout", "Critique" in shown[0]["text"], True)
            body = json.dumps({"experimentName": ""}).encode()
            request = urllib.request.Request(f"{at}/hparams/experiment", body, {"Content-Type": "application/json"})
            settings = json.loads(urllib.request.urlopen(request, timeout=20).read())
            check("hyperparameters", any(it["name"] == "stages.stage1.lr" for it in settings["hparamInfos"]), True)
        finally:
            server.terminate()


def mlflow():
    from mlflow.tracking import MlflowClient

    with tempfile.TemporaryDirectory() as folder:
        port = free_port()
        url = f"http://127.0.0.1:{port}"
        store = f"sqlite:///{folder}/mlflow.db"
        command = [sys.executable, "-m", "mlflow", "server", "--host", "127.0.0.1", "--port", str(port),
                   "--backend-store-uri", store, "--default-artifact-root", folder, "--workers", "1"]
        environment = {**os.environ, "PATH": f"{pathlib.Path(sys.executable).parent}:{os.environ['PATH']}"}
        with subprocess.Popen(command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as server:
            try:
                answer(f"{url}/health", 180)
                kept = args.run / "mlflow.json"
                kept.unlink(missing_ok=True)
                for _ in range(2):
                    track = [args.binary, "track", args.run, "--mlflow", url, "--experiment", "critics"]
                    subprocess.run(track, check=True, stdout=subprocess.DEVNULL)
                client = MlflowClient(url)
                experiment = client.get_experiment_by_name("critics")
                runs = client.search_runs([experiment.experiment_id])
                check("runs", len(runs), 1)
                run = runs[0]
                check("name", run.info.run_name, args.run.resolve().name)
                check("status", run.info.status, "FINISHED")
                check("a parameter", "stages.stage1.lr" in run.data.params, True)
                for name in ["loss", "reward", "time/step"]:
                    tag = name if "/" in name else f"train/{name}"
                    told = client.get_metric_history(run.info.run_id, tag)
                    found = sorted((it.step, it.value) for it in told)
                    wanted = wanted_of(name)
                    check(f"{tag}: steps", [step for step, _ in found], [step for step, _ in wanted])
                    for (step, value), (_, number) in zip(found, wanted):
                        check(f"{tag} at {step}", value, float(number))
                kept.unlink()
            finally:
                server.terminate()


tensorboard()
if not args.skip_mlflow:
    mlflow()
print(f"{checked} checks hold")
