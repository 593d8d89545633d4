# The same registry as registry.sh has, for machines with addresses of their own (droplets of
# `digitalocean-sim --machines docker`): they reach this host by the gateway's address of their network,
# over TLS with a CA of our own, and with the password. On all addresses, as the gateway's is there only
# while there are droplets. Sourced after registry.sh.
# shellcheck shell=bash

_TLS_REGISTRY=$STATE/tls-registry
# The first address of the simulator's default subnet (--machine-subnet).
_TLS_REGISTRY_GATEWAY=10.77.0.1

# tls_registry_address: host:port, as it stands in image names.
tls_registry_address() { echo "$_TLS_REGISTRY_GATEWAY:$(<"$_TLS_REGISTRY/port")"; }

_tls_registry_ours() { ours "$_TLS_REGISTRY/pid" "$_TLS_REGISTRY/config.yml"; }

_tls_registry_answers() {
  curl -sS -f -m 10 --noproxy '*' -o /dev/null --cacert "$_TLS_REGISTRY/ca.crt" \
    -K <(printf 'user = "%s:%s"\n' "$_REGISTRY_USER" "$(<"$_REGISTRY_PASSWORD_FILE")") \
    --connect-to "::127.0.0.1:" "https://$(tls_registry_address)/v2/"
}

tls_registry_up() {
  have openssl || need_packages openssl
  [ -s "$_REGISTRY_PASSWORD_FILE" ] || registry_up
  private_dir "$_TLS_REGISTRY"
  [ -s "$_TLS_REGISTRY/server.crt" ] || _tls_registry_certificates
  if ! _tls_registry_ours; then
    _tls_registry_port
    _tls_registry_config
    start_process "$_TLS_REGISTRY/pid" "$_TLS_REGISTRY/log" docker-registry serve "$_TLS_REGISTRY/config.yml"
  fi
  wait_for 20 _tls_registry_answers || {
    tail -n 20 "$_TLS_REGISTRY/log" >&2
    die "the registry for droplets did not start"
  }
  say "tls_registry: up at $(tls_registry_address)"
}

# A CA, and a certificate for the gateway's address.
_tls_registry_certificates() (
  umask 077
  cd "$_TLS_REGISTRY" || exit
  {
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -days 3650 \
      -subj '/CN=agentopia test CA' -addext basicConstraints=critical,CA:TRUE -keyout ca.key -out ca.crt
    openssl req -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes \
      -subj '/CN=agentopia test registry' -keyout server.key -out server.csr
    printf 'subjectAltName=IP:%s\n' "$_TLS_REGISTRY_GATEWAY" >server.ext
    openssl x509 -req -in server.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 3650 \
      -extfile server.ext -out server.crt.new
  } >openssl.log 2>&1 || {
    tail -n 20 openssl.log >&2
    exit 1
  }
  mv server.crt.new server.crt
)

# As registry.sh does: the port of the last run if it is free. And what an engine needs to trust it, by
# that name, for /etc/docker/certs.d of the droplets.
_tls_registry_port() {
  local port=5443
  [ ! -s "$_TLS_REGISTRY/port" ] || port=$(<"$_TLS_REGISTRY/port")
  if port_taken "$port"; then port=$(free_port 5443); fi
  echo "$port" >"$_TLS_REGISTRY/port"
  rm -rf "$_TLS_REGISTRY/certs.d"
  mkdir -p "$_TLS_REGISTRY/certs.d/$(tls_registry_address)"
  cp "$_TLS_REGISTRY/ca.crt" "$_TLS_REGISTRY/certs.d/$(tls_registry_address)/ca.crt"
}

_tls_registry_config() {
  cat >"$_TLS_REGISTRY/config.yml" <<YAML
version: 0.1
log: {level: warn, accesslog: {disabled: true}}
storage:
  filesystem: {rootdirectory: $_REGISTRY/data}
  # What registry.sh's pushes is seen here at once; nothing is pushed here.
  maintenance: {readonly: {enabled: true}}
http:
  addr: "0.0.0.0:$(<"$_TLS_REGISTRY/port")"
  secret: "$(random_word 16)"
  tls: {certificate: $_TLS_REGISTRY/server.crt, key: $_TLS_REGISTRY/server.key}
auth:
  htpasswd: {realm: agentopia-test, path: $_REGISTRY/htpasswd}
YAML
  chmod 600 "$_TLS_REGISTRY/config.yml"
}

tls_registry_down() {
  _tls_registry_ours || say 'tls_registry: not running'
  stop_process "$_TLS_REGISTRY/pid" "$_TLS_REGISTRY/config.yml" 10
}

tls_registry_status() {
  if _tls_registry_ours && _tls_registry_answers; then
    say "tls_registry: up at $(tls_registry_address) (pid $(<"$_TLS_REGISTRY/pid"))"
  else
    say 'tls_registry: down'
    return 1
  fi
}

tls_registry_env() {
  _tls_registry_ours || return 0
  printf 'export AGENTOPIA_TEST_TLS_REGISTRY=%q\n' "$(tls_registry_address)"
  printf 'export AGENTOPIA_TEST_TLS_REGISTRY_CERTIFICATES=%q\n' "$_TLS_REGISTRY/certs.d"
}
