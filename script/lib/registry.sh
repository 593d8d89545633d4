# An image registry on loopback that asks for a password (Debian's docker-registry with htpasswd).
# Plain HTTP: Docker accepts that for 127.0.0.0/8 without configuration. Sourced after docker.sh.
# shellcheck shell=bash

_REGISTRY=$STATE/registry
_REGISTRY_USER=agentopia
_REGISTRY_PASSWORD_FILE=$_REGISTRY/password

# registry_address: host:port, as it stands in image names.
registry_address() { echo "127.0.0.1:$(<"$_REGISTRY/port")"; }

# registry_curl ARGS...: curl as the registry's user; the password stays out of the arguments.
registry_curl() {
  curl -sS -m 10 --noproxy 127.0.0.1 \
    -K <(printf 'user = "%s:%s"\n' "$_REGISTRY_USER" "$(<"$_REGISTRY_PASSWORD_FILE")") "$@"
}

_registry_answers() { registry_curl -f -o /dev/null "http://$(registry_address)/v2/"; }
_registry_ours() { ours "$_REGISTRY/pid" "$_REGISTRY/config.yml"; }

registry_up() {
  if ! have docker-registry || ! have htpasswd || ! have curl; then
    need_packages_stopped docker-registry apache2-utils curl ca-certificates
  fi
  private_dir "$_REGISTRY"
  _registry_credentials
  if ! _registry_ours; then
    _registry_port
    _registry_config
    start_process "$_REGISTRY/pid" "$_REGISTRY/log" docker-registry serve "$_REGISTRY/config.yml"
  fi
  wait_for 20 _registry_answers || {
    tail -n 20 "$_REGISTRY/log" >&2
    die "the registry did not start"
  }
  _registry_login
  say "registry: up at $(registry_address), user $_REGISTRY_USER, password in $_REGISTRY_PASSWORD_FILE"
}

# Made once: whoever holds the password from an earlier run keeps access.
_registry_credentials() {
  [ -s "$_REGISTRY_PASSWORD_FILE" ] || (umask 077 && random_word 16 >"$_REGISTRY_PASSWORD_FILE")
  [ -s "$_REGISTRY/htpasswd" ] ||
    (umask 077 && htpasswd -nBi "$_REGISTRY_USER" <"$_REGISTRY_PASSWORD_FILE" >"$_REGISTRY/htpasswd")
}

# The port of the last run if it is free, else 5000, else the next one that is: image names contain
# it, so it should rarely change.
_registry_port() {
  local port=5000
  [ ! -s "$_REGISTRY/port" ] || port=$(<"$_REGISTRY/port")
  if port_taken "$port"; then
    say "port $port is taken by something else, looking for another"
    port=$(free_port 5000)
  fi
  echo "$port" >"$_REGISTRY/port"
}

_registry_config() {
  cat >"$_REGISTRY/config.yml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $_REGISTRY/data}
  delete: {enabled: true}
  cache: {blobdescriptor: inmemory}
http: {addr: "$(registry_address)", secret: "$(random_word 16)"}
auth:
  htpasswd: {realm: agentopia-test, path: $_REGISTRY/htpasswd}
YAML
  chmod 600 "$_REGISTRY/config.yml"
}

# Lets `docker push` in with our own DOCKER_CONFIG; without an engine there is nothing to log in.
_registry_login() {
  docker_answers || return 0
  private_dir "$DOCKER_CONFIG"
  docker login "$(registry_address)" -u "$_REGISTRY_USER" --password-stdin \
    <"$_REGISTRY_PASSWORD_FILE" >/dev/null 2>"$_REGISTRY/login.log" ||
    die "docker login: $(<"$_REGISTRY/login.log")"
}

registry_down() {
  _registry_ours || say 'registry: not running'
  stop_process "$_REGISTRY/pid" "$_REGISTRY/config.yml" 10
}

registry_status() {
  if _registry_ours && _registry_answers; then
    say "registry: up at $(registry_address) (pid $(<"$_REGISTRY/pid"))"
  else
    say 'registry: down'
    return 1
  fi
}

registry_env() {
  _registry_ours || return 0
  printf 'export AGENTOPIA_TEST_REGISTRY=%q\n' "$(registry_address)"
  printf 'export AGENTOPIA_TEST_REGISTRY_USER=%q\n' "$_REGISTRY_USER"
  printf 'export AGENTOPIA_TEST_REGISTRY_PASSWORD_FILE=%q\n' "$_REGISTRY_PASSWORD_FILE"
}
