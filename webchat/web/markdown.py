"""Markdown to HTML that is safe to put on a page: rendered without raw HTML, highlighted, then sanitised."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import TYPE_CHECKING

import nh3
from markdown_it import MarkdownIt
from markupsafe import Markup, escape
from pygments import highlight
from pygments.formatters.html import HtmlFormatter
from pygments.lexers import get_lexer_by_name
from pygments.util import ClassNotFound

if TYPE_CHECKING:
    from collections.abc import Sequence

    from markdown_it.rules_core import StateCore
    from markdown_it.token import Token

_TAGS = {
    "a", "blockquote", "br", "code", "del", "div", "em", "h1", "h2", "h3", "h4", "h5", "h6", "hr",
    "li", "ol", "p", "pre", "s", "span", "strong", "table", "tbody", "td", "th", "thead", "tr", "ul",
}  # fmt: skip
_ATTRIBUTES = {
    "a": {"href", "title"},
    "div": {"class", "tabindex"},
    "span": {"class"},
    "pre": {"class", "tabindex"},
    "ol": {"start"},
}
_SCHEMES = {"http", "https", "mailto", "tel"}


_PRE = '<pre class="highlight" tabindex="0"><code>'
# Its quotes keep what looks like it out of every attribute.
_CODE_BLOCK = re.compile(rf"{_PRE}.*?</code></pre>", re.DOTALL)


def _highlight(code: str, language: str, _attributes: str) -> str:
    """A code block, coloured when the language is known."""
    try:
        lexer = get_lexer_by_name(language) if language else None
    except ClassNotFound:
        lexer = None
    inside = highlight(code, lexer, HtmlFormatter(nowrap=True)) if lexer else escape(code)
    # Focusable, so that a wide block can be scrolled with the keyboard.
    return f"{_PRE}{inside}</code></pre>"


_markdown = MarkdownIt("commonmark", {"html": False, "breaks": True, "highlight": _highlight}).enable(
    ["table", "strikethrough"]
)


_markdown.add_render_rule("table_open", lambda *_: '<div class="table-scroll" tabindex="0"><table>')
_markdown.add_render_rule("table_close", lambda *_: "</table></div>")
_markdown.add_render_rule("code_block", lambda _, tokens, place, *__: _highlight(tokens[place].content, "", ""))


_HIGHEST, _LOWEST = 2, 6  # the page's own title is the only heading of the first level


def _is_empty_heading(tokens: Sequence[Token], place: int, token: Token) -> bool:
    if token.type != "inline" or tokens[place - 1].type != "heading_open":
        return False
    return not any(part.content.strip() for part in token.children or () if part.type in ("text", "code_inline"))


def _outline(state: StateCore) -> None:
    """Headings one level below those they stand under, whatever levels were written: none is left out on the page.

    A heading without words, as a model may write one, is dropped: who listens would hear of it, and of nothing in it.
    """
    empty = [place - 1 for place, token in enumerate(state.tokens) if _is_empty_heading(state.tokens, place, token)]
    for opening in reversed(empty):
        del state.tokens[opening : opening + 3]
    above: list[str] = []
    for token in state.tokens:
        if token.type == "heading_open":
            above = [*(tag for tag in above if tag < token.tag), token.tag]
        if token.type in ("heading_open", "heading_close"):
            token.tag = f"h{min(_HIGHEST + len(above) - 1, _LOWEST)}"


_markdown.core.ruler.push("outline", _outline)


# A thread is rendered anew on every visit and its finished messages never change.
@lru_cache(maxsize=2048)
def render_markdown(text: str) -> Markup:
    """HTML of a finished answer. Links open in a new tab and pass no referrer on."""
    html = _markdown.render(text)
    return Markup(  # noqa: S704 - sanitised on this very line
        nh3.clean(
            html,
            tags=_TAGS,
            attributes=_ATTRIBUTES,
            url_schemes=_SCHEMES,
            link_rel="noopener noreferrer nofollow",
            set_tag_attribute_values={"a": {"target": "_blank"}},
        )
    )


def with_copy_buttons(html: Markup, label: str, done: str) -> Markup:
    """Put a button behind each block of code; ``done`` is what is said once it has copied."""
    button = Markup('<button type="button" class="button copy-code" data-done="{}">{}</button>').format(done, label)
    blocks = _CODE_BLOCK.sub(lambda block: f'<div class="code-block">{block[0]}{button}</div>', str(html))
    return Markup(blocks)  # noqa: S704 - both were safe
