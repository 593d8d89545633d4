# The product's own programs as script/run uses them: build, start, sign in, stop.
# Sourced after common.sh, docker.sh and registry.sh.
# shellcheck shell=bash

EMAIL=admin@example.com
LAPS=() # name and milliseconds of each step, in turn

now_ms() { echo $((${EPOCHREALTIME/[.,]/} / 1000)); }

# lap NAME COMMAND...: runs it and keeps how long it took.
lap() {
  local name=$1 before
  before=$(now_ms)
  shift
  "$@"
  LAPS+=("$name" $(($(now_ms) - before)))
}

# json_field NAME: the first string value of that name in the JSON on stdin. Enough for answers of
# ours; the product must not need jq.
json_field() { sed -n "s/.*\"$1\": *\"\([^\"]*\)\".*/\1/p" | head -n 1; }

# build_product yes|no: builds what is run; the argument says whether Docker may be used. Sets BIN, and RUNTIME_CHOICE to what the machine will use.
build_product() {
  local target=${CARGO_TARGET_DIR:-$AGENTOPIA_CACHE/target}
  timed 'building the control plane and the management agent' \
    env CARGO_TARGET_DIR="$target" cargo build -q --manifest-path "$ROOT/Cargo.toml" \
    -p agentopia -p agentopia-dtma -p agentopia-echo >&2
  BIN=$target/debug
  RUNTIME_CHOICE=process
  if [ "$1" = yes ] && docker_possible; then
    "$ROOT/script/services" up docker registry
    "$ROOT/script/images" echo
    TOOL_INIT=$(AGENTOPIA_STATIC_TARGET=$AGENTOPIA_CACHE/target-static "$ROOT/script/build-static")/tool-init
    RUNTIME_CHOICE=docker
  elif [ "$1" = yes ]; then
    say 'no Docker Engine answers and none can be installed here: tools run as plain processes'
  fi
}

# Whether an engine answers, or can be installed by us.
docker_possible() { docker_answers || { [ "$(id -u)" = 0 ] && have apt-get; }; }

# product_paths once|stay: where this run keeps its data.
product_paths() {
  if [ "$1" = once ]; then
    DATA=$(mktemp -d "${TMPDIR:-/tmp}/agentopia-run.XXXXXX")
  else
    DATA=${XDG_STATE_HOME:-$HOME/.local/state}/agentopia/run
    private_dir "$DATA"
  fi
  # A run that stays up keeps its ports: clients and the machine were told them.
  [ -e "$DATA/ports" ] || echo "$(free_port 8080) $(free_port 8443)" >"$DATA/ports"
  read -r PORT DTMA_PORT <"$DATA/ports"
  URL=http://127.0.0.1:$PORT
}

free_port() {
  local port=$1
  while (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; do port=$((port + 1)); done
  echo "$port"
}

start_control_plane() {
  local images=()
  [ "$RUNTIME_CHOICE" != docker ] ||
    images=(AGENTOPIA_CATALOG_IMAGES="$AGENTOPIA_CACHE/images.json" AGENTOPIA_TOOL_INIT_BINARY="$TOOL_INIT")
  rm -f "$DATA/serve.log"
  # In a group of its own: Ctrl-C is for this script, which then stops it in order.
  setsid env "${images[@]}" \
    AGENTOPIA_DATA_DIR="$DATA/server" AGENTOPIA_BIND="127.0.0.1:$PORT" \
    AGENTOPIA_DTMA_LISTEN="127.0.0.1:$DTMA_PORT" AGENTOPIA_LOCAL_RUNTIME="$RUNTIME_CHOICE" \
    "$BIN/agentopia" serve >"$DATA/serve.log" 2>&1 &
  SERVE_PID=$!
  wait_for 60 control_plane_ready || {
    tail -n 20 "$DATA/serve.log" >&2
    die "the control plane did not come up; its log is $DATA/serve.log"
  }
}

control_plane_ready() {
  kill -0 "$SERVE_PID" 2>/dev/null || die "the control plane ended: $(tail -n 1 "$DATA/serve.log")"
  grep -q '^Agentopia is listening' "$DATA/serve.log"
}

agentopia() { XDG_CONFIG_HOME=$DATA/cli "$BIN/agentopia" "$@"; }

# Makes the first admin, or signs in again as the one that an earlier run made.
sign_in() {
  if [ ! -e "$DATA/admin-password" ]; then
    (umask 077 && random_word 16 >"$DATA/admin-password")
    agentopia setup --url "$URL" --token-file "$DATA/server/setup-token" --email "$EMAIL" \
      -q <"$DATA/admin-password" >/dev/null
  else
    agentopia login --url "$URL" --email "$EMAIL" -q <"$DATA/admin-password" >/dev/null
  fi
}

stop_control_plane() {
  [ -n "${SERVE_PID:-}" ] || return 0
  kill -TERM "$SERVE_PID" 2>/dev/null || true
  wait "$SERVE_PID" 2>/dev/null || true
  SERVE_PID=
}

# finish STATUS: what happens at the end of a run, however it ended.
finish() {
  if [ "$ONCE" = yes ] && [ "$1" != 0 ]; then
    [ ! -e "$DATA/serve.log" ] || tail -n 20 "$DATA/serve.log" >&2
    # Best effort: the machine would otherwise outlive the run that failed.
    agentopia env disable --yes -q >/dev/null 2>&1 || say "the machine may still run; its data is in $DATA"
  fi
  stop_control_plane
  [ "$ONCE" != yes ] || [ "$1" != 0 ] || rm -rf "$DATA"
}
