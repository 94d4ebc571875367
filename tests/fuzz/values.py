"""What a careless hand, a broken disk or a hostile file puts where a value is expected."""

from __future__ import annotations

import random
import string

SENTINEL = "EXECUTED"  # a file of this name in the working folder: somebody's code ran
OUTSIDE = "OUTSIDE"  # a path with this word lies outside the working folder

SCALARS = (
    "", " ", "~", "null", "true", "off", "yes", "0", "-1", "1", "3", "1.5", "-0.0", ".nan", ".inf", "-.inf", "1e309",
    "1e-400", "0x_", "0b2", "0o9", "1_000", "²", "١", "１", "9" * 30, "9" * 5000, "2001-99-99", "2001-01-01",
    "12:30:45",
    "=", "<<", "!!int ''", "!!bool abc", "!!float x", "!!null x", "!!binary x", "!!set {a}", "!!timestamp x", "!foo x",
    f"!!python/object/apply:os.system ['touch {SENTINEL}']", "!!python/name:os.system", "*a", "&a x", "&a [*a]",
    "[", "]", "{", "}", "{}", "[]", "[[]]", "[1, 2", "{a: 1, a: 2}", "{? [1] : 2}", "[" * 60 + "]" * 60, "[" * 1500,
    "'", '"', '"\\ud800"', '"\\x00"', '"\\UFFFFFFFF"', "|", ">", "- a", "a: b: c", "@x", "`x`", "%YAML 1.1", "---",
    "a" * 300, "x" * 20_000, "é" * 130, "\u202e", "\ufeff", "\u2028", "$(touch EXECUTED)", "; touch EXECUTED",
    "[bold]x[/]", "[/]", "<script>", "\\", "{0}", "%s", "../OUTSIDE", "/tmp/OUTSIDE", ".", "..", "/", "a/b", "~root/x",
    "~nobody-of-this-name/x", "/dev/null", "/dev/zero", "/proc/self/mem", "con.yaml", "-", "--", "-h",
)  # fmt: skip
"""Text of YAML scalars and of options."""

JSON_VALUES = (
    "null", "true", "0", "-1", "1", "32", "1e400", "-1e400", "NaN", "Infinity", "1" + "0" * 400, "9" * 5000, '""',
    '"32"',
    '"x"', '"../OUTSIDE"', '"/tmp/OUTSIDE"', "[]", "[1]", "[null]", "[[1]]", "{}", '{"a": 1}', "[" * 1500, "{" * 20,
    '"\\ud800"',
    '"' + "x" * 5000 + '"', "1.5", "1000000000", "2147483648", "18446744073709551616",
)  # fmt: skip
"""Text of JSON values."""

SQL_VALUES = (
    "null", "0", "-1", "1", "7", "1e308", "9e999", "-9e999", "0.1", "'x'", "''", "x'00ff'", "'{'", "'{}'", "'[]'",
    "'null'",
    "'\"x\"'", "'{\"a\": 1}'", "'[[[['", "'../OUTSIDE'", "'/tmp/OUTSIDE'", "'a/b'", "9223372036854775807", "'complete'",
    "'failed'", "'running'", "'nope'", "printf('%.*c', 300, 'x')", "printf('%.*c', 20000, '[')",
)  # fmt: skip
"""SQL expressions of values."""


def word(generator: random.Random) -> str:
    """A scalar of the lists, or random text."""
    if generator.random() < 0.7:
        return generator.choice(SCALARS)
    letters = string.printable + "äß²µ\u0301\u200b😀"
    return "".join(generator.choice(letters) for _ in range(generator.randrange(1, 30)))


def argument(generator: random.Random) -> str:
    """One that the system can pass on: without NUL."""
    return word(generator).replace("\0", "")


def mutated_text(text: str, generator: random.Random, values: tuple[str, ...]) -> str:
    """A text with one to four changes: characters, lines, or values after a colon."""
    for _ in range(generator.choice((1, 1, 1, 2, 4))):
        kind = generator.randrange(7)
        lines = text.splitlines(keepends=True) or [""]
        place = generator.randrange(len(lines))
        if kind == 0:  # a value
            head, colon, rest = lines[place].partition(":")
            if colon:
                lines[place] = f"{head}: {generator.choice(values)}{',' if rest.rstrip().endswith(',') else ''}\n"
        elif kind == 1:  # a key
            head, colon, rest = lines[place].partition(":")
            lines[place] = f"{generator.choice(values)}{colon}{rest}"
        elif kind == 2:
            del lines[place]
        elif kind == 3:
            lines.insert(place, generator.choice(lines))
        elif kind == 4:
            lines[place] = generator.choice("  \t-") + lines[place]
        text = "".join(lines)
        at = generator.randrange(len(text) + 1)
        if kind == 5:
            text = text[:at] + generator.choice(values) + text[at + generator.randrange(5) :]
        elif kind == 6:
            text = text[:at]
    return text


def mutated_bytes(content: bytes, generator: random.Random) -> bytes:
    """Bytes with flipped bits, a part cut out, or a part overwritten."""
    changed = bytearray(content)
    if not changed:
        return b"\xff"
    kind = generator.randrange(4)
    if kind == 0:
        return bytes(changed[: generator.randrange(len(changed))])
    if kind == 1:
        at = generator.randrange(len(changed))
        changed[at : at + generator.randrange(1, 600)] = generator.randbytes(generator.randrange(1, 600))
    else:
        for _ in range(generator.choice((1, 1, 3, 30))):
            changed[generator.randrange(len(changed))] ^= 1 << generator.randrange(8)
    return bytes(changed)
