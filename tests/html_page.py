"""Reads a page as a browser would, and fails where it is not well formed or not self-contained."""

from __future__ import annotations

from html.parser import HTMLParser

_VOID = frozenset(("meta", "br"))
_FETCHING = ("src", "srcset", "data", "action", "formaction", "poster", "background", "xlink:href")


class Page(HTMLParser):
    """What is on a page.

    Attributes:
        words: Text of the body, piece by piece.
        tags: Name of every element.
        links: Targets of its links, all of them within the page.
        ids: Of its elements.
        attributes: Every name and value.
    """

    def __init__(self, text: str) -> None:
        super().__init__(convert_charrefs=True)
        self.words: list[str] = []
        self.tags: list[str] = []
        self.links: list[str] = []
        self.ids: list[str] = []
        self.attributes: list[tuple[str, str]] = []
        self._described: list[str] = []
        self._open: list[str] = []
        self.feed(text)
        self.close()
        assert self._open == []
        assert len(self.ids) == len(set(self.ids))
        assert {*self.links, *self._described} <= set(self.ids)
        assert "script" not in self.tags
        assert self.tags.count("title") == 1 + self.tags.count("desc")

    @property
    def text(self) -> str:
        """All that is shown, with single spaces."""
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        if tag not in _VOID:
            self._open.append(tag)
        for name, value in attrs:
            assert value is not None, (tag, name)
            assert name not in _FETCHING, (tag, name)
            assert not name.startswith("on"), (tag, name)
            self.attributes.append((name, value))
            if name == "href":
                assert value.startswith("#"), value
                self.links.append(value[1:])
            elif name == "id":
                self.ids.append(value)
            elif name == "aria-labelledby":
                self._described.extend(value.split())

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        raise AssertionError(f"<{tag}/>")

    def handle_endtag(self, tag: str) -> None:
        assert self._open.pop() == tag

    def handle_data(self, data: str) -> None:
        if self._open and self._open[-1] != "style":
            self.words.append(data)
