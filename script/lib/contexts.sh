# Build contexts of the tool images: what a recipe in tools/images asks for is put together on the
# host, so that nothing has to be fetched inside a container. Sourced after common.sh, node.sh.
# shellcheck shell=bash

# context_make RECIPE DIR: fills DIR from the recipe.
context_make() {
  local recipe=$1 dir=$2 binary
  cp -r "$recipe/." "$dir/"
  if [ -e "$recipe/package-lock.json" ]; then _context_npm "$dir"; fi
  if [ -e "$recipe/requirements.txt" ]; then _context_pip "$dir"; fi
  if [ -e "$recipe/binaries" ]; then
    mkdir -p "$dir/bin"
    while read -r binary; do cp "$(static_binary "$binary")" "$dir/bin/$binary"; done <"$recipe/binaries"
  fi
  if [ -x "$recipe/prepare" ]; then (cd "$dir" && ./prepare); fi
}

_context_npm() {
  need_npm
  mkdir "$1/app"
  cp "$1/package.json" "$1/package-lock.json" "$1/app/"
  npm ci --prefix "$1/app" --omit=dev --ignore-scripts --no-audit --no-fund --loglevel=error >/dev/null
}

# Wheels for the images' Python, whatever Python this machine has.
_context_pip() {
  python3 -m pip --version >/dev/null 2>&1 || need_packages python3 python3-pip
  python3 -m pip install -q --no-deps --require-hashes --no-compile --target "$1/app" \
    --root-user-action=ignore --python-version 3.11 --platform manylinux_2_28_x86_64 \
    --platform manylinux2014_x86_64 --only-binary=:all: -r "$1/requirements.txt" >&2
}

# static_binary NAME: path of a binary that script/build-static has made.
static_binary() { echo "$STATIC_DIR/$1"; }
