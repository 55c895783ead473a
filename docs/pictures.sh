#!/usr/bin/env bash
# Makes the pictures of the README from a run, by default a quickstart of some minutes:
#
#     docs/pictures.sh                       # trains target/pictures, unless it is there
#     docs/pictures.sh runs/quickstart-1     # of a run that is there
#
# Needs Chromium and, for its driver, Python with venv.
set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."

run=${1:-target/pictures}
binary=${BINARY:-target/release/critique-rl}
chromium=${CHROMIUM:-$(command -v chromium || command -v chromium-browser || command -v google-chrome)}
[ -x "$binary" ] || cargo build --release --locked
if [ ! -f "$run/eval/summary.json" ]; then
    "$binary" quickstart --out "$run"
fi

"$binary" plot "$run" --figure dynamics --smooth 5 -o docs/curves.svg
"$binary" report "$run" -o target/pictures.html
if [ ! -x target/pictures-venv/bin/python ]; then
    python3 -m venv target/pictures-venv
    target/pictures-venv/bin/pip install --quiet -r tests/browser/requirements.txt
fi
target/pictures-venv/bin/python docs/pictures.py target/pictures.html docs/rollouts.png --chromium "$chromium"
ls -l docs/curves.svg docs/rollouts.png
