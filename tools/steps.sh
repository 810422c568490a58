# Sourced by the scripts here: one line a step, with its seconds. What a step prints goes to a log,
# whose end is shown where the step fails.

set -euo pipefail
cd "$(dirname "${BASH_SOURCE[0]}")/.."
readonly logs=$PWD/build/logs
export NINJA_STATUS='[%f/%t] '

if [[ -t 1 ]]; then line_start=$'\r' line_end=$'\033[K'; else line_start='' line_end=''; fi

# step TITLE LOG COMMAND...: runs the command and waits for it, with build/logs/LOG.log as output.
# On a terminal the last line of the log is shown meanwhile.
step() {
  local title=$1 log=$logs/$2.log began=$SECONDS status=0 job
  shift 2
  mkdir -p "$logs"
  printf '%-44s' "$title"
  set -m  # its own process group: an interrupt ends all of it
  "$@" >"$log" 2>&1 </dev/null &
  job=$!
  set +m
  trap 'echo; exit 130' INT TERM HUP
  trap 'kill -- "-$job" 2>/dev/null' EXIT
  while [[ -t 1 ]] && kill -0 "$job" 2>/dev/null; do
    printf '%s%-44s%5d s  %.30s%s' "$line_start" "$title" $((SECONDS - began)) \
      "$(tail -c 200 "$log" | tail -n 1 | tr -cd '[:print:]')" "$line_end"
    sleep 0.2
  done
  wait "$job" || status=$?
  trap - INT TERM HUP EXIT
  if [[ -t 1 ]]; then printf '%s%-44s' "$line_start" "$title"; fi
  if ((status != 0)); then
    printf '%5d s  failed%s\n' $((SECONDS - began)) "$line_end"
    show_failure "$log" >&2
    return "$status"
  fi
  printf '%5d s%s\n' $((SECONDS - began)) "$line_end"
}

# The last lines of a log, without those of files that were built and tests that passed.
show_failure() {
  local passed='^ *(Start +)?[0-9]+(/[0-9]+ Test +#[0-9]+: .* Passed +[0-9.]+ sec|: .*)$'
  grep -vE -e "$passed" -e '^\[[0-9]+/[0-9]+\] ' "$1" | tail -n 100
  echo "The whole log: $1"
}

# The closing lines of the CTest run in a log.
ctest_summary() {
  sed -n '/% tests passed/,$p' "$logs/$1.log"
}

# build PRESET [ARGUMENT...]: configures and builds; the arguments go to the configuration.
build() {
  local preset=$1
  shift
  step "Configure $preset" "configure-$preset" cmake --preset "$preset" "$@"
  step "Build $preset" "build-$preset" cmake --build --preset "$preset" -j "$(nproc)"
}

# run_ctest PRESET [OPTION...]: the tests of a build. More at a time than there are CPUs: many wait.
run_ctest() {
  ctest --preset "$1" -j $((2 * $(nproc))) --no-label-summary "${@:2}"
}
