# Tries a tool image with plain Docker: it must answer an MCP initialize. Sourced after docker.sh.
# shellcheck shell=bash

_INITIALIZE='{"jsonrpc":"2.0","id":1,"method":"initialize","params":{"protocolVersion":"2025-06-18","capabilities":{},"clientInfo":{"name":"script-images","version":"1"}}}'

# smoke IMAGE WORD...: each word says one way to talk to it.
#   stdio                    over standard input and output
#   http:PORT:PATH:ARGUMENT  over Streamable HTTP on that port, with the argument given to the image
smoke() {
  local image=$1 way
  shift
  for way in "$@"; do
    case $way in
      stdio) _smoke_stdio "$image" ;;
      http:*) IFS=: read -r _ port path argument <<<"$way" && _smoke_http "$image" "$port" "$path" "$argument" ;;
      *) die "unknown smoke test: $way" ;;
    esac || die "$image: no answer to initialize over ${way%%:*}"
  done
}

# Without network and with a read-only root, as tools are run later.
_smoke_stdio() {
  local answer name=agentopia-smoke-$$ code=0
  coproc SMOKE { exec docker run --name "$name" -i --rm --network none --read-only --tmpfs /tmp "$1" 2>"$STATE/smoke.log"; }
  # Bash forgets the coprocess's descriptors once it ends; ours stay.
  exec {to}>&"${SMOKE[1]}" {from}<&"${SMOKE[0]}"
  printf '%s\n' "$_INITIALIZE" >&"$to"
  read -r -t 30 answer <&"$from" || code=1
  exec {to}>&- {from}<&-
  docker rm -f "$name" >/dev/null 2>&1 || true
  if [ $code = 0 ] && jq -e '.result.serverInfo.name' <<<"$answer" >/dev/null; then return; fi
  say "got: ${answer:0:500}"
  tail -n 20 "$STATE/smoke.log" >&2
  return 1
}

_smoke_http() {
  local id address code=0
  id=$(docker run -d --rm -p "127.0.0.1::$2" "$1" "$4") || return 1
  address=$(docker port "$id" "$2/tcp" | head -n 1)
  wait_for 30 _smoke_http_once "http://$address$3" || code=1
  [ $code = 0 ] || docker logs --tail 20 "$id" >&2
  docker rm -f "$id" >/dev/null
  return $code
}

_smoke_http_once() {
  curl -sS -m 5 --noproxy 127.0.0.1 -H 'content-type: application/json' \
    -H 'accept: application/json, text/event-stream' -d "$_INITIALIZE" "$1" | grep -q '"serverInfo"'
}
