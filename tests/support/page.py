"""As much of a browser's page as ``hx-partial`` frames need: a tree, targets by id, and four ways to swap."""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from html.parser import HTMLParser
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator

_VOID = {"area", "base", "br", "col", "embed", "hr", "img", "input", "link", "meta", "source", "track", "wbr"}


@dataclass(eq=False)
class Element:
    """An element with its attributes and what it holds, in order."""

    tag: str
    attributes: dict[str, str] = field(default_factory=dict)
    children: list[Element | str] = field(default_factory=list)

    def walk(self) -> Iterator[Element]:
        """This element and all inside it."""
        yield self
        for child in self.children:
            if isinstance(child, Element):
                yield from child.walk()

    def by_id(self, name: str) -> Element | None:
        """The element of this id; a page that has it twice is broken."""
        found = [element for element in self.walk() if element.attributes.get("id") == name]
        assert len(found) < 2, f"two elements are named {name}"
        return found[0] if found else None

    def by_class(self, name: str) -> list[Element]:
        """The elements of this class."""
        return [element for element in self.walk() if name in element.attributes.get("class", "").split()]

    @property
    def text(self) -> str:
        """What is written inside, as it stands."""
        return "".join(child.text if isinstance(child, Element) else child for child in self.children)

    def parent_of(self, wanted: Element) -> Element:
        """The element that holds another."""
        return next(element for element in self.walk() if any(child is wanted for child in element.children))


class _Builder(HTMLParser):
    def __init__(self) -> None:
        super().__init__()
        self.root = Element("#root")
        self._open = [self.root]

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        element = Element(tag, {name: value or "" for name, value in attrs})
        self._open[-1].children.append(element)
        if tag not in _VOID:
            self._open.append(element)

    def handle_startendtag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.handle_starttag(tag, attrs)
        if tag not in _VOID:
            self._open.pop()

    def handle_endtag(self, tag: str) -> None:
        while len(self._open) > 1 and self._open.pop().tag != tag:
            pass

    def handle_data(self, data: str) -> None:
        self._open[-1].children.append(data)


def parse(html: str) -> Element:
    """A tree of a page or a fragment."""
    builder = _Builder()
    builder.feed(html)
    builder.close()
    return builder.root


class Message:
    """A bubble."""

    def __init__(self, element: Element) -> None:
        self.element = element
        self.id = int(element.attributes["id"].removeprefix("m-"))
        self.role = element.attributes["data-role"]
        self.status = element.attributes["data-status"]

    @property
    def text(self) -> str:
        """What it says: growing text as it stands, or what a finished answer reads."""
        return "".join(part.text for part in self.element.by_class("text") + self.element.by_class("prose"))

    @property
    def can_retry(self) -> bool:
        """Whether it has the button that makes the answer anew."""
        return any(element.attributes.get("action", "").endswith("/retry") for element in self.element.walk())


class Page:
    """A page that frames change, as htmx would change it."""

    def __init__(self, html: str) -> None:
        self.root = parse(html)

    @property
    def messages(self) -> list[Message]:
        """The bubbles, in order."""
        return [Message(element) for element in self.root.by_class("message")]

    @property
    def notice(self) -> str:
        """The sentence above the question box."""
        found = self.root.by_id("notice")
        return found.text.strip() if found else ""

    @property
    def draft(self) -> str:
        """What is in the question box."""
        return self.root.by_id("text").text.removeprefix("\n")

    def thread(self) -> object:
        """Everything the visitor sees of the conversation, comparable."""
        return _seen(self.root.by_id("thread"))

    def receive(self, frame: str) -> None:
        """Apply one message of the socket."""
        self.apply(json.loads(frame).get("content", ""))

    def apply(self, content: str) -> None:
        """Apply partials, from the socket or from the answer to a form."""
        for partial in parse(content).children:
            assert isinstance(partial, Element), f"text outside a partial: {partial!r}"
            assert partial.tag == "hx-partial", f"no partial but {partial.tag}"
            target = self.root.by_id(partial.attributes["hx-target"].removeprefix("#"))
            if target is not None:
                self._swap(target, partial.attributes["hx-swap"], partial.children)

    def _swap(self, target: Element, style: str, content: list[Element | str]) -> None:
        match style:
            case "outerHTML" | "outerMorph":
                siblings = self.root.parent_of(target).children
                at = next(index for index, child in enumerate(siblings) if child is target)
                siblings[at : at + 1] = content
            case "innerHTML":
                target.children = content
            case "beforeend":
                target.children += content
            case _:
                raise AssertionError(f"unknown swap {style}")


def _seen(element: Element) -> object:
    """An element without what differs between two renderings of the same: white space and tokens."""
    children: list[object] = []
    for child in element.children:
        if isinstance(child, Element):
            children.append(_seen(child))
        elif child.strip():
            children.append(child.strip())
    attributes = {name: value for name, value in element.attributes.items() if name != "value"}
    return (element.tag, attributes, children)
