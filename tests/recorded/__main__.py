"""`python -m tests.recorded`: records results of new components, and of those whose version was raised."""

import json
import logging

import torch

from tests.recorded.book import BOOK, read_book, record
from tests.recorded.cases import CASES


def main() -> None:
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    before = read_book()
    after = record(CASES, before)
    lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(after.items())]
    BOOK.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    changed = [name for name in sorted(after) if after[name] != before.get(name)]
    gone = sorted(set(before) - set(after))
    print(f"recorded: {', '.join(changed) or 'nothing'}{'; dropped: ' + ', '.join(gone) if gone else ''}")
    print("What is recorded under its version stays; to change it, raise the version in kdlab.store.versions.VERSIONS.")


if __name__ == "__main__":
    main()
