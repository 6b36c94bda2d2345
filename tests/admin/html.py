"""What a browser would make of a page, as far as the tests ask."""

from __future__ import annotations

from html.parser import HTMLParser


class Page(HTMLParser):
    """The text of a page, and what a strict Content-Security-Policy would block in it."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.words: list[str] = []
        self.tags: list[str] = []
        self.blocked: list[str] = []
        self._hidden = False
        self.feed(html)

    @property
    def text(self) -> str:
        """What is to be read, blanks collapsed."""
        return " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        names = dict(attrs)
        self.tags.append(tag)
        self._hidden = tag in ("script", "style")
        if tag == "style" or (tag == "script" and "src" not in names):
            self.blocked.append(f"<{tag}>")
        self.blocked += [f"<{tag} {name}>" for name in names if name == "style" or name.startswith("on")]
        self.blocked += [f"<{tag} {name}={value}>" for name, value in attrs if (value or "").startswith("javascript:")]

    def handle_endtag(self, tag: str) -> None:
        self._hidden = False

    def handle_data(self, data: str) -> None:
        if not self._hidden:
            self.words.append(data)


def read(response: object) -> Page:
    """The page of a response that must have succeeded."""
    assert response.status_code == 200, response.status_code  # type: ignore[attr-defined]
    return Page(response.content.decode())  # type: ignore[attr-defined]
