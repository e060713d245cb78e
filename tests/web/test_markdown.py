"""Markdown of answers: what it becomes, and what of it never reaches a page."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given
from hypothesis import strategies as st

from webchat.web.markdown import render_markdown, with_copy_buttons

ALLOWED = {
    "a": {"href", "title", "rel", "target"},
    "div": {"class", "tabindex"},
    "span": {"class"},
    "pre": {"class", "tabindex"},
    "ol": {"start"},
}
BARE = "blockquote br code del em h1 h2 h3 h4 h5 h6 hr li p s strong table tbody td th thead tr ul"


class Checker(HTMLParser):
    """Fails on a tag, an attribute or an address that is not allowed."""

    def handle_starttag(self, tag, attrs):
        assert tag in ALLOWED or tag in BARE.split()
        for name, value in attrs:
            assert name in ALLOWED.get(tag, ())
            if name == "href" and ":" in (value or "").partition("/")[0].partition("?")[0].partition("#")[0]:
                assert value.lower().startswith(("http:", "https:", "mailto:", "tel:"))

    def handle_decl(self, decl):
        raise AssertionError(decl)

    def handle_comment(self, data):
        raise AssertionError(data)


def checked(text):
    html = str(render_markdown(text))
    checker = Checker()
    checker.feed(html)
    checker.close()
    return html


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("一段", "<p>一段</p>\n"),
        ("一行\n二行", "<p>一行<br>\n二行</p>\n"),
        ("**粗** *斜* ~~删~~ `码`", "<p><strong>粗</strong> <em>斜</em> <s>删</s> <code>码</code></p>\n"),
        ("1. 一\n2. 二", "<ol>\n<li>一</li>\n<li>二</li>\n</ol>\n"),
        ("3. 三", '<ol start="3">\n<li>三</li>\n</ol>\n'),
        ("# 题", "<h2>题</h2>\n"),
        ("", ""),
        ("1 < 2 && 3 > 2", "<p>1 &lt; 2 &amp;&amp; 3 &gt; 2</p>\n"),
    ],
)
def test_what_it_becomes(text, html):
    assert checked(text) == html


def test_a_table():
    html = checked("| 尺码 | 胸围 |\n|---|:-:|\n| M | 96 |")
    assert "<td>M</td>" in html
    assert html.startswith('<div class="table-scroll" tabindex="0"><table>')  # a wide one scrolls by keyboard too


def test_code_is_coloured_by_classes_and_never_run():
    html = checked("```python\nprint('<script>')\n```")
    assert '<pre class="highlight" tabindex="0"><code>' in html
    assert '<span class="nb">print</span>' in html
    assert "<script>" not in html


@pytest.mark.parametrize("language", ["", "nonsense", "python extra", '"><img src=x>', "<b>", "html"])
def test_code_in_whatever_language_is_shown_as_it_is(language):
    html = checked(f"```{language}\n<b>x</b>\n```")
    assert "<b>" not in html
    assert "x" in html


def test_a_link_opens_outside_and_tells_nothing():
    html = checked("[店](https://shop.example/a?b=1&c=2)")
    assert 'href="https://shop.example/a?b=1&amp;c=2"' in html
    assert 'target="_blank"' in html
    assert 'rel="noopener noreferrer nofollow"' in html


@pytest.mark.parametrize(
    "text",
    [
        "<script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg/onload=alert(1)>",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](data:text/html,<script>alert(1)</script>)",
        "[x](vbscript:x)",
        "[x](\x01javascript:alert(1))",
        "![x](https://evil.example/pixel.gif)",
        '[x](https://a.example "onmouseover=alert(1)")',
        "<a href='javascript:alert(1)'>x</a>",
        "<style>body{display:none}</style>",
        "<iframe src=//evil.example></iframe>",
        "<form action=//evil.example><button>x</button></form>",
        "<div hx-get='/admin' hx-trigger='load'>x</div>",
        "<hx-partial hx-target='#chat'>x</hx-partial>",
        "<!-- x --><!doctype html><![CDATA[x]]>",
        "<p id=thread class=message style=color:red>x</p>",
    ],
)
def test_nothing_dangerous_is_left(text):
    html = checked(text)
    assert "<img" not in html
    assert "hx-partial" not in html or "&lt;hx-partial" in html


@given(st.text(alphabet=st.sampled_from("ab 字\n\t<>&\"'`*_~[]()!#|-:/\\=+.1{}javscriptonerx")))
def test_whatever_is_written_stays_within_what_is_allowed(text):
    checked(text)


@given(st.text())
def test_any_text_can_be_rendered(text):
    checked(text)


@pytest.mark.parametrize(
    ("written", "levels"),
    [
        ("### a", [2]),
        ("# a\n### b\n## c\n###### d", [2, 3, 3, 4]),
        ("### a\n# b\n## c", [2, 2, 3]),
        ("a\n===\n\n> # b", [2, 2]),
        ("# a\n## b\n### c\n#### d\n##### e\n###### f", [2, 3, 4, 5, 6, 6]),
    ],
)
def test_headings_stand_below_the_pages_title_and_skip_no_level(written, levels):
    html = render_markdown(written)
    assert [int(level) for level in re.findall(r"<h(\d)>", html)] == levels
    assert [int(level) for level in re.findall(r"</h(\d)>", html)] == levels


def test_a_heading_without_words_is_none():
    assert "<h" not in render_markdown("##\n\ntext\n\n# \n\n### #")
    assert "<h" not in render_markdown("## ![picture](x.png)")
    assert "<code>" in render_markdown("## `code`")
    assert render_markdown("#\n\n## Words").count("<h2>") == 1


@pytest.mark.parametrize("code", ["```sh\nls\n```", "```\nls\n```", "    ls", "- an item\n\n  ```\n  ls\n  ```"])
def test_a_block_of_code_gets_a_button_whatever_its_notation(code):
    html = with_copy_buttons(
        render_markdown(f"Text `ls`\n\n{code}\n\nMore\n\n```\npwd\n```"), "Copy <code>", 'Copied "it"'
    )
    blocks = re.findall(r'<div class="code-block">(.*?)</div>', html, re.DOTALL)
    assert len(blocks) == 2
    button = '<button type="button" class="button copy-code" data-done="Copied &#34;it&#34;">Copy &lt;code&gt;</button>'
    assert all(block.startswith("<pre") and block.endswith(f"</pre>{button}") for block in blocks)


@pytest.mark.parametrize(
    "text",
    [
        '[a](https://a.example \'<pre class="highlight" tabindex="0"><code>x</code></pre>\')',
        '`<pre class="highlight" tabindex="0"><code>x</code></pre>`',
        "Text `ls`",
    ],
)
def test_what_only_looks_like_a_block_of_code_stays_as_it_is(text):
    html = render_markdown(text)
    assert with_copy_buttons(html, "Copy", "Copied") == html
