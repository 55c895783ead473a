#!/usr/bin/env bash
# The worker against single-process torch, then the Rust client against the worker on two processes:
#
#     workers/torch/check.sh
#
# Makes an environment in target/worker-venv from the package registry when it is not there (5.6 GB on
# Linux, where torch brings CUDA's libraries); CRITIQUE_RL_WORKER_VENV names another one. No GPU is
# used. Without Python 3.11 or later it says so and ends well, since nothing else here needs Python.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/../.."

root=$PWD
venv=${CRITIQUE_RL_WORKER_VENV:-$root/target/worker-venv}
export OMP_NUM_THREADS=1 CUDA_VISIBLE_DEVICES="" HF_HUB_OFFLINE=1

find_python() {
    local python
    for python in python3.13 python3.12 python3.11 python3; do
        if "$python" -c 'import sys; sys.exit(sys.version_info < (3, 11))' 2> /dev/null; then
            command -v "$python"
            return
        fi
    done
}

# A marker, so that an installation that broke off is done again.
if ! cmp -s workers/torch/requirements.txt "$venv/requirements.txt"; then
    python=$(find_python)
    [ -n "$python" ] || { echo "no Python 3.11 or later: the worker was not checked"; exit 0; }
    begin=$SECONDS
    "$python" -m venv "$venv"
    "$venv/bin/pip" install --quiet --disable-pip-version-check -r workers/torch/requirements.txt
    cp workers/torch/requirements.txt "$venv/requirements.txt"
    echo "environment: $((SECONDS - begin)) s"
fi

# Built first: a compiler beside the worker would only slow both.
cargo test --release --locked --no-run -p critique-remote --test it

begin=$SECONDS
(cd workers/torch && "$venv/bin/python" -m unittest test_worker)
echo "tests of the worker: $((SECONDS - begin)) s"

begin=$SECONDS
work=$(mktemp -d)
worker=
end() {
    [ -z "$worker" ] || kill "$worker" 2> /dev/null || true
    rm -rf "$work"
}
trap end EXIT
(cd workers/torch && "$venv/bin/python" -c "import test_worker as t; t.make_model('$work/model')")
export CRITIQUE_RL_WORKER_TOKEN=check
"$venv/bin/python" -m torch.distributed.run --nproc-per-node 2 --rdzv-backend c10d --rdzv-endpoint 127.0.0.1:0 \
    workers/torch/worker.py --model "$work/model" --checkpoints "$work/states" --lora-rank 4 --port 0 \
    --idle-exit 600 > "$work/log" 2>&1 &
worker=$!
until grep -q '^critique-rl worker: http' "$work/log"; do
    kill -0 "$worker" 2> /dev/null || { cat "$work/log" >&2; exit 1; }
    sleep 0.2
done
CRITIQUE_RL_WORKER_URL=$(sed -n 's/^critique-rl worker: \(http[^ ]*\) .*/\1/p' "$work/log")
export CRITIQUE_RL_WORKER_URL
cargo test --release --locked -p critique-remote --test it worker:: || { cat "$work/log" >&2; exit 1; }
echo "client and worker: $((SECONDS - begin)) s"
