"""How an answer is laid out: its marks of Markdown, counted."""

import re
from dataclasses import dataclass

_FENCE = re.compile(r"^ {0,3}(```+|~~~+).*$", re.MULTILINE)
_HEADING = re.compile(r"^ {0,3}#{1,6}\s+\S", re.MULTILINE)
_LIST_ITEM = re.compile(r"^\s*(?:[-*+]|\d{1,9}[.)])\s+\S", re.MULTILINE)
_BOLD = re.compile(r"\*\*(?=\S)[^*\n]+?(?<=\S)\*\*|(?<!\w)__(?=\S)[^_\n]+?(?<=\S)__(?!\w)")
_INLINE_CODE = re.compile(r"(?<!`)`[^`\n]+`(?!`)")


@dataclass(frozen=True, slots=True)
class Layout:
    """Counts of headings, list items, bold spans and pieces of code (blocks and inline)."""

    headings: int
    list_items: int
    bold: int
    code: int

    @property
    def marks(self) -> int:
        return self.headings + self.list_items + self.bold + self.code


def layout_of(text: str) -> Layout:
    """Count what Markdown would show; what stands inside a block of code is code only."""
    prose, blocks = _without_blocks(text)
    return Layout(
        headings=len(_HEADING.findall(prose)),
        list_items=len(_LIST_ITEM.findall(prose)),
        bold=len(_BOLD.findall(prose)),
        code=blocks + len(_INLINE_CODE.findall(prose)),
    )


def _without_blocks(text: str) -> tuple[str, int]:
    """The text outside fenced blocks, and how many blocks there are; an open block runs to the end."""
    kept, start, blocks, fence = [], 0, 0, ""
    for mark in _FENCE.finditer(text):
        if not fence:
            fence = mark[1]
            kept.append(text[start : mark.start()])
            blocks += 1
        elif mark[1].startswith(fence):
            fence = ""
            start = mark.end()
    if not fence:
        kept.append(text[start:])
    return "".join(kept), blocks
