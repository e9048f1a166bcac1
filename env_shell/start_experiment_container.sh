#!/usr/bin/env bash
# Start a shell in the GPU container; build its image first if it is missing or its recipe has changed.
#   env_shell/start_experiment_container.sh            an interactive shell
#   env_shell/start_experiment_container.sh dvc repro  one command
set -euo pipefail

project=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
recipe=$(cat "$project/Dockerfile" "$project"/requirements-*.txt | sha256sum | cut -c1-12)
image="kitrec:${recipe}-$(id -u)"

if ! docker image inspect "$image" >/dev/null 2>&1; then
  docker build --tag "$image" \
    --build-arg USER_ID="$(id -u)" --build-arg GROUP_ID="$(id -g)" "$project"
fi

interactive=()
if [ -t 0 ]; then interactive=(--interactive --tty); fi

# The hub's cache and token stay on the host; only HF_TOKEN is handed over, and only if it is set.
cache=${HF_HOME:-$HOME/.cache/huggingface}
mkdir -p "$cache"
exec docker run --rm "${interactive[@]}" --gpus all --ipc=host \
  --volume "$project":/workspace \
  --volume "$cache":/cache/huggingface \
  ${HF_TOKEN:+--env HF_TOKEN} \
  "$image" "${@:-bash}"
