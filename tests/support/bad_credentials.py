"""Credentials that are none, as headers: keys that are not quite one, bad tokens, two at once."""

from collections.abc import Mapping

from hypothesis import strategies as st

from fairslot.access import key_form
from tests.support.bad_tokens import AT, BAD, MALFORMED
from tests.support.token_issuer import TokenIssuer

MADE = key_form.make()
WRONG = [
    "",
    " ",
    MADE[:-1],
    MADE[1:],
    MADE + MADE,
    MADE + ",",
    f"{MADE}, {MADE}",
    MADE.upper(),
    MADE.replace("_", "-"),
    f"'{MADE}'",
    f"{MADE}\x00",
    f"{MADE}\r\nx-api-key: {MADE}",
    "\x7f",
    "ключ",
    "ﬁ🦊",
    "\ud800",
    "k" * 8192,
    "a.b.c",
    "..",
    "." * 8192,
    "e30.e30.",
    "null",
    "undefined",
    "' OR 1=1 --",
]
_TEXTS = (
    st.sampled_from(WRONG)
    | st.text(max_size=60)
    | st.text(alphabet="ab.", max_size=60)
    | st.integers(1, len(MADE) - 1).map(lambda end: MADE[:end])
    | st.text(min_size=1, max_size=3).map(lambda more: MADE + more)
    | st.text(min_size=1, max_size=3).map(lambda more: more + MADE)
)
_SCHEMES = st.sampled_from(
    ["Bearer ", "bearer ", "Bearer  ", "Basic ", "", "Bearer", "\x00Bearer ", "Token "]
)


def headers() -> st.SearchStrategy[Mapping[str, str]]:
    """Make none, one or two of any text, in any place; rarely they are right: see is_right."""
    return st.fixed_dictionaries(
        {}, optional={"x-api-key": _TEXTS, "authorization": st.builds(str.__add__, _SCHEMES, _TEXTS)}
    )


def token_headers(issuer: TokenIssuer) -> st.SearchStrategy[Mapping[str, str]]:
    """Make bad tokens, cut ones, and good ones in company or in the wrong place."""
    good = issuer.token(at=AT)
    # Who waits for a key that is not stored is another test's.
    bad = [make(issuer) for name, make in BAD.items() if name not in {"an unknown key", "a long key id"}]
    cut = st.integers(1, len(good) - 1).map(lambda end: good[:end])
    return (
        (st.sampled_from([*bad, *MALFORMED]) | cut).map(lambda one: {"authorization": f"Bearer {one}"})
        | _TEXTS.map(lambda key: {"authorization": f"Bearer {good}", "x-api-key": key})
        | st.sampled_from(
            [
                {"x-api-key": good},
                {"authorization": good},
                {"authorization": f"Basic {good}"},
                {"authorization": f"Bearer {good},Bearer {good}"},
            ]
        )
    )


def is_right(headers: Mapping[str, str]) -> bool:
    """Tell whether the headers happen to have the one key that there is."""
    return list(headers.values()) in ([MADE], [f"Bearer {MADE}"], [f"bearer {MADE}"])
