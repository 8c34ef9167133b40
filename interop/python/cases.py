"""What both python clients send and expect back."""

EVERY_JSON_TYPE = [
    None,
    True,
    False,
    0,
    -1,
    2**53 - 1,
    1.5,
    -2.5e-7,
    "",
    'quo"te \\ / \b\f\n\r\t \x00 \u2028',
    [],
    {},
    [[None, [1, [2]]]],
    {"a": 1, "b": {"c": [True, {"d": None}]}, "": "empty key"},
]
BEYOND_BMP = "😀 𝒳 \U0010ffff 한글 é e\u0301 👩‍👩‍👧‍👦"
TREE = {"a": b"\x00", "b": [b"\xff\x00", {"c": b"\x1eb", "d": "b"}], "e": None, "f": b""}
TREE_SEEN = {
    "a": {"bytes": "00"},
    "b": [{"bytes": "ff00"}, {"c": {"bytes": "1e62"}, "d": "b"}],
    "e": None,
    "f": {"bytes": ""},
}
LIMIT = 1_000_000
# What the first acknowledged packet of a client adds to its text.
LONGEST_TEXT = "x" * (LIMIT - len('421["message-with-ack",""]'))
OVERSIZE_REASONS = {
    # After a 413 the client stops writing, its pongs included.
    "polling": "ping timeout",
    "websocket": "transport error",
    "upgrade": "transport error",
}
