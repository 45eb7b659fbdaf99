#!/usr/bin/env python3
"""prepare.py SHARED OUT -- turn the children's classics of ../shared/data/text into train.txt and val.txt. Nothing of it is committed.

A chapter is a document. Headings, footnotes in brackets and marks of emphasis go; quotes and dashes become ASCII. Two whole books are for
validation only. Left out: Huckleberry Finn, and every paragraph with the slur it is known for; a shipped model should not write it."""
import pathlib
import re
import sys
import tarfile

HELD_OUT = ("The_Railway_Children", "The_Princess_and_the_Goblin")
LEFT_OUT = ("Adventures_of_Huckleberry_Finn",)
SLUR = re.compile(r"nigg", re.IGNORECASE)
ASCII = str.maketrans({"\u2014": "--", "\u2013": "-", "\u2018": "'", "\u2019": "'", "\u201c": '"', "\u201d": '"', "\u2026": "...", "\u00e9": "e", "\u00e8": "e", "\u00ea": "e",
                       "\u00e0": "a", "\u00c6": "Ae", "\u00a0": " ", "_": "", "*": ""})
SEPARATOR = "<|endoftext|>"


def paragraphs(chapter):
    for text in re.split(r"\n\s*\n", chapter):
        text = re.sub(r"[ \t]+", " ", "\n".join(line.strip() for line in text.strip().split("\n"))).translate(ASCII)
        if text and text.isascii() and "[" not in text and not SLUR.search(text) and not set(text) <= set("-. "):
            yield text


def chapters(book):
    body = book.split("\n-------\n", 1)[-1].replace("\r\n", "\n")
    for chapter in re.split(r"^#.*$", body, flags=re.MULTILINE):
        text = "\n\n".join(paragraphs(chapter))
        if len(text) > 200:
            yield text


def main():
    if len(sys.argv) != 3:
        sys.exit(__doc__)
    archive, out = pathlib.Path(sys.argv[1]) / "data" / "text" / "classics-children.tar.gz", pathlib.Path(sys.argv[2])
    parts = {"train": [], "val": []}
    with tarfile.open(archive) as tar:
        for member in sorted((m for m in tar if m.isfile()), key=lambda m: m.name):
            name = pathlib.Path(member.name).stem
            if name not in LEFT_OUT:
                parts["val" if name in HELD_OUT else "train"] += chapters(tar.extractfile(member).read().decode("utf-8"))
    out.mkdir(parents=True, exist_ok=True)
    for part, texts in parts.items():
        (out / f"{part}.txt").write_text(f"\n{SEPARATOR}\n".join(texts) + "\n", encoding="ascii")
        print(f"{part}: {len(texts)} chapters, {sum(map(len, texts))} bytes")


if __name__ == "__main__":
    main()
