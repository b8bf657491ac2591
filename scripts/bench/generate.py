#!/usr/bin/env python3
"""Writes a synthetic library as JSON Lines: `generate.py FILES` → one record of ten properties per line, on stdout.

Every record is labelled: its hashId starts with `synthetic`, and its `tags` say so. The output is a function of the
arguments alone; the same arguments give the same bytes on every machine. Nothing here is a real title.
"""

import argparse
import base64
import hashlib
import json
import sys

WORDS = (
    "amber anchor arrow autumn beacon bitter blue border broken canyon castle cinder city cold copper crimson crown"
    " dawn desert distant dust echo ember empty falling fever field final forest frozen garden glass golden harbour"
    " hidden hollow island ivory lantern last letter light little lonely long marble midnight mirror morning night"
    " northern ocean old orchard paper quiet rain red river road salt second shadow silent silver sleeping small"
    " smoke snow southern station stone storm summer table third tide timber tower train valley velvet violet wild"
    " window winter wire wolf wooden yellow"
).split()
VERSIONS = ("720p", "1080p", "2160p", "Extended")
EXTENSIONS = ("mkv", "mp4", "avi")
SEASONS, EPISODES = 6, 10


def digest(kind: str, number: int) -> bytes:
    return hashlib.sha256(f"{kind} {number}".encode()).digest()


def title(kind: str, number: int) -> str:
    """Three words chosen by the number; over 500,000 titles, so that a large library has some that are equal."""
    d = digest(kind, number)
    return " ".join(WORDS[int.from_bytes(d[i : i + 2], "big") % len(WORDS)].title() for i in (0, 2, 4))


def film(number: int, d: bytes) -> dict:
    # One film in fifty is another version of the one before it: equal names have to be told apart.
    subject = number - 1 if number % 50 == 1 else number
    name, year = title("film", subject), 1930 + digest("year", subject)[0] % 95
    return {
        "title": name,
        "videoType": "movie",
        "movieYear": str(year),
        "version": VERSIONS[number % len(VERSIONS)],
        "fileName": f"{name.replace(' ', '.')}.{year}.{number}",
    }


def episode(number: int, d: bytes) -> dict:
    series, rest = divmod(number, SEASONS * EPISODES)
    season, part = divmod(rest, EPISODES)
    name = f"{title('series', series)} {series}"
    return {
        "title": name,
        "videoType": "tvshow",
        "season": str(season + 1),
        "episode": str(part + 1),
        "fileName": f"{name.replace(' ', '.')}.S{season + 1:02}E{part + 1:02}",
    }


def record(number: int, path_key: str) -> dict:
    d = digest("file", number)
    name = base64.b32encode(d).decode().lower().rstrip("=")
    properties = film(number // 2, d) if number % 2 == 0 else episode(number // 2, d)
    extension = EXTENSIONS[d[0] % len(EXTENSIONS)]
    properties["fileName"] += f".{extension}"
    properties["extension"] = extension
    properties["fileType"] = "video"
    properties["sizeByte"] = str(200_000_000 + int.from_bytes(d[:4], "big"))
    properties["tags"] = "synthetic"
    properties[path_key] = f"disk{number % 8}/{d[1]:02x}/{properties['fileName']}"
    # As long as a real hashId: 62 characters.
    return {"hashId": f"synthetic{name}a", "metadata": properties}


def records(files: int, path_key: str = "filePath"):
    """Lines of the library. Another `path_key` gives the same records, but as none that has a place in the tree."""
    for number in range(files):
        yield json.dumps(record(number, path_key), separators=(",", ":"), sort_keys=True) + "\n"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("files", type=int, help="number of records")
    parser.add_argument("--path-key", default="filePath", help="name of the property that holds the path")
    arguments = parser.parse_args()
    sys.stdout.writelines(records(arguments.files, arguments.path_key))


if __name__ == "__main__":
    main()
