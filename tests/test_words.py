"""No sentence that a user meets holds a word of kdlab's own where the field has one."""

import ast
import io
import re
import tokenize
from collections.abc import Iterator
from pathlib import Path

from tests.pages import ROOT

OWN_WORDS = (  # what the field says, and what it is not called here
    ("logits, outputs, predictions", r"(teacher|network|model)s?('s)? (says?|said|answers?|is asked|are asked)"),
    ("forward pass", r"ask(s|ed|ing)? (the|a|its) teacher"),
    ("outputs", r"(its|their|the teacher's|stored|cached) answers"),
    ("read from the cache", r"answers? ((are|is|were|was) )?(read|recalled|learned|stored)"),
    ("cache hit", r"recall(s|ed)?"),
    (
        "baseline, student trained without a teacher",
        r"untaught|(train(s|ed|ing)?|learn(s|ed)?|student|baseline)s? alone",
    ),
    ("student", r"taught (student|network)s?"),
    (
        "train, run, evaluate, load, log, raise",
        r"sees? to it|obtain(s|ed)?|confess\w*|is at it|hears?|heard|(is|are) told",
    ),
    ("numerical differences, rounding", r"(last|some|few|other|same|differ\w* in|more|fewer) digits(?! data)"),
    ("sanity check", r"rehears\w*"),
    ("pruning callback, early termination of a trial", r"judges?|judged"),
    ("workers", r"crews?"),
    ("scaling", r"growth"),
    ("variants, rounds", r"(five|several|other|all) ways|in (two|three|several) turns"),
    ("properties, build context, loss inputs", r"(?<!in )facts?|the coming"),
    ("truncated forward", r"stops? early(?=.*\bforward\b)"),
)
CODE = re.compile(r"`[^`]*`|\]\([^)]*\)|```.*?```", re.DOTALL)


def python_texts(path: Path) -> Iterator[tuple[int, str]]:
    """The line and the text of each string and comment."""
    source = path.read_text()
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.Constant) and isinstance(node.value, str) and " " in node.value:
            yield node.lineno, node.value
    for token in tokenize.generate_tokens(io.StringIO(source).readline):
        if token.type == tokenize.COMMENT:
            yield token.start[0], token.string


def yaml_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Of each line with a comment."""
    return ((number, line.partition("#")[2]) for number, line in enumerate(path.read_text().splitlines(), 1))


def page_texts(path: Path) -> Iterator[tuple[int, str]]:
    """Of each line outside code."""
    return enumerate(CODE.sub(" ", path.read_text()).splitlines(), 1)


def texts(root: Path) -> Iterator[tuple[str, str]]:
    """Every sentence of the package, its configs and its pages, with where it stands."""
    readers = (
        ("kdlab/**/*.py", python_texts),
        ("conf/**/*.yaml", yaml_texts),
        ("sweeps/**/*.yaml", yaml_texts),
        ("README.md", page_texts),
        ("docs/**/*.md", page_texts),
    )
    for pattern, read in readers:
        for path in sorted(root.glob(pattern)):
            yield from ((f"{path.relative_to(root)}:{number}", text) for number, text in read(path))


def own_words(root: Path) -> list[str]:
    """Each place with a word of one's own, the sentence, and what the field says."""
    found = []
    for where, text in texts(root):
        plain = CODE.sub(" ", text)
        for term, pattern in OWN_WORDS:
            if match := re.search(rf"\b({pattern})\b", plain, re.IGNORECASE):
                sentence = " ".join(plain.split())
                found.append(f"{where}: {match[0]!r} in {sentence[:120]!r}: write {term}")
    return found


def test_sentences_use_the_words_of_the_field():
    assert own_words(ROOT) == []


def test_a_sentence_with_a_word_of_its_own_is_found(tmp_path):
    (tmp_path / "kdlab").mkdir()
    (tmp_path / "README.md").write_text("The teacher answers once, `the crew` does not count.\n")
    (tmp_path / "kdlab" / "one.py").write_text('print(f"{1} of the answers read back")\n# 3 of 4: a rehearsal\n')
    assert [line.partition(" in ")[0] for line in own_words(tmp_path)] == [
        "kdlab/one.py:1: 'answers read'",
        "kdlab/one.py:2: 'rehearsal'",
        "README.md:1: 'teacher answers'",
    ]
