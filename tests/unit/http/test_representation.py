"""What a client accepts, and what it has."""

import pytest

from fairslot.http.representation import Representations, accepts_gzip, has_match


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("gzip", True),
        ("GZIP", True),
        ("x-gzip", True),
        ("deflate, gzip;q=1.0, *;q=0.5", True),
        ("gzip;q=0", False),
        ("gzip;q=0.000", False),
        ("gzip ; q=0.001", True),
        ("identity", False),
        ("*", True),
        ("*;q=0", False),
        ("identity;q=0, *", True),
        ("gzip;q=0.5, identity;q=0.9", False),
        ("gzip;q=0.9, identity;q=0.5", True),
        ("gzip;q=0, *;q=1", False),
        ("notgzip", False),
        ("gzipped, br", False),
        ("gzip;q=high", False),
        (" , ,gzip", True),
        ("br;q=gzip", False),
    ],
)
def test_gzip_is_accepted_where_the_header_says_so(header: str, expected: bool) -> None:  # noqa: FBT001
    """By its weight, also through a wildcard, and never below that of the text as it is."""
    assert accepts_gzip(header) is expected


@pytest.mark.parametrize(
    ("header", "expected"),
    [
        ("", False),
        ("*", True),
        ('"a"', True),
        ('W/"a"', True),
        ('"b", "a"', True),
        ('"b","c"', False),
        ('"ab"', False),
        ("a", False),
        ('"b, a"', False),
    ],
)
def test_an_etag_is_found_in_a_list(header: str, expected: bool) -> None:  # noqa: FBT001
    """Whole, and weak ones too."""
    assert has_match(header, '"a"') is expected


def test_an_etag_depends_on_the_text_alone() -> None:
    """The same text has the same one, compressed or not; a small text is not compressed."""
    large = "x" * 5000
    one, other = Representations.of(large, compressed=False), Representations.of(large, compressed=True)
    assert one.etag == other.etag != Representations.of("y" * 5000, compressed=False).etag
    assert one.gzip is None
    assert other.gzip == Representations.of(large, compressed=True).gzip is not None
    assert Representations.of("small", compressed=True).gzip is None
