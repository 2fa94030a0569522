import io
import tracemalloc

import pytest

from app.anchoring.limits import MIB, Limits
from app.anchoring.reading import open_table
from app.anchoring.text_blocks import Unpacked, text_blocks
from app.domain.problems import BadInput, TooLarge
from tests.anchoring.files import gzipped, rows_of


class Endless:
    """A file of one line without an end, of which no more than is read ever exists."""

    def __init__(self, size: int) -> None:
        self.left = size

    def read(self, size: int = -1) -> bytes:
        given = min(size, self.left)
        self.left -= given
        return b"x" * given


def test_latin_1_is_refused_with_line_byte_and_what_it_would_have_been():
    content = b"item_id,answer\nq1,fine\nq2,caf\xe9\n"
    with pytest.raises(BadInput) as refused:
        list(open_table(io.BytesIO(content)).batches)
    assert "Line 3 is not UTF-8: byte 7 of the line is 0xE9" in refused.value.summary
    assert "'é' in Latin-1" in refused.value.summary


def test_the_line_of_a_wrong_byte_is_right_however_far_into_the_file():
    content = b"a,b\n" + b"1,2\n" * 300_000 + b"1,\xff\n"
    with pytest.raises(BadInput, match="Line 300002 is not UTF-8: byte 3"):
        list(open_table(io.BytesIO(content)).batches)


def test_a_nul_character_is_refused_with_its_line():
    with pytest.raises(BadInput, match="Line 2 holds a NUL"):
        list(open_table(io.BytesIO(b"item_id,score,x\nq1,\x004,y\n")).batches)


def test_a_gigabyte_in_one_line_is_refused_after_a_few_megabytes():
    line = Endless(1024 * MIB)
    tracemalloc.start()
    with pytest.raises(BadInput, match=r"Line 1 is longer than 8 MiB"):
        list(text_blocks(line, Limits()))
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert line.left > 1000 * MIB
    assert peak < 40 * MIB


def test_a_quote_left_open_does_not_swallow_the_file():
    content = b'item_id,answer\nq1,"never closed\n' + b"q2,fine\n" * 2_000_000
    with pytest.raises(BadInput, match="two million characters, or a quote is left open"):
        list(open_table(io.BytesIO(content)).batches)


def test_a_row_of_many_long_quoted_values_does_not_fill_memory():
    content = b"item_id,answer\n" + b'"long\nvalue",' * 4_000_000
    with pytest.raises(BadInput, match="longer than 8 MiB"):
        list(open_table(io.BytesIO(content)).batches)


def test_a_gzip_bomb_is_stopped_early():
    row = b"1," + b"x" * 100_000 + b"\n"
    bomb = gzipped(io.BytesIO(row * 500))
    with pytest.raises(TooLarge, match="unpacks to more than 8 MiB"):
        list(open_table(bomb, Limits(unpacked=8 * MIB)).batches)
    with pytest.raises(TooLarge, match="more than 400 times its size: refused as a bomb"):
        list(open_table(bomb).batches)


def test_gzip_members_in_a_row_are_one_file():
    content = io.BytesIO(
        gzipped(io.BytesIO(b"a,b\n1,2\n")).getvalue() + gzipped(io.BytesIO(b"3,4\n")).getvalue()
    )
    assert rows_of(content) == [{"a": "1", "b": "2"}, {"a": "3", "b": "4"}]


def test_a_gzip_file_cut_short_is_called_so():
    packed = gzipped(io.BytesIO(b"a,b\n" + b"1,2\n" * 9000)).getvalue()
    with pytest.raises(BadInput, match="cut short"):
        list(text_blocks(Unpacked(io.BytesIO(packed[:-12]), Limits()), Limits()))
