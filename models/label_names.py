"""Class names as text files list them: one per line, as PaddleVideo and PaddleX write them."""

from __future__ import annotations


def label_names(text: str) -> tuple[str, ...]:
    """One class name per line, in the order of the logits.

    Blank lines at the end are ignored; others are empty names. A leading index, as in
    PaddleVideo's and PaddleX's label lists (`0 abseiling`), is dropped when every line has the
    index of its position.

    Args:
        text: Content of the file, without a byte order mark.
    """
    names = [line.strip() for line in text.rstrip().splitlines()]
    split = [name.split(maxsplit=1) for name in names]
    if all(len(parts) == 2 and parts[0] == str(index) for index, parts in enumerate(split)):
        names = [parts[1] for parts in split]
    return tuple(names)
