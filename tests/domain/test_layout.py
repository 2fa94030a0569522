import pytest

from app.domain.layout import Layout, layout_of

RICH = """# A title

Some **bold words** and `code`, and 2 * 3 * 4 is no bold.

- one
* two
1. three
   2) nested

```python
# no heading in here
- no list **and** no bold
```

__also bold__ but snake__case__name is not.
"""


def test_marks_of_markdown_are_counted_once_each():
    assert layout_of(RICH) == Layout(headings=1, list_items=4, bold=2, code=2)
    assert layout_of(RICH).marks == 9


@pytest.mark.parametrize("text", ["", "plain words", "#hashtag", "a - b", "3.5 is a number", "**", "-dash"])
def test_plain_text_has_no_marks(text: str):
    assert layout_of(text).marks == 0


def test_a_block_of_code_that_never_ends_is_one_piece_of_code():
    assert layout_of("before\n```\n# a\n- b\n") == Layout(0, 0, 0, 1)


def test_other_fences_do_not_close_a_block():
    assert layout_of("~~~\n```\n# a\n~~~\n# b") == Layout(1, 0, 0, 1)
