"""`python -m tests.recorded`: records results of new components, and of those whose version was raised."""

import json
import logging

import torch

from tests.recorded.cases import CASES
from tests.recorded.recording import VALUES_FILE, read_recorded, record


def main() -> None:
    torch.set_num_threads(1)
    logging.disable(logging.INFO)
    before = read_recorded()
    after = record(CASES, before)
    lines = [f"  {json.dumps(name)}: {json.dumps(entry)}" for name, entry in sorted(after.items())]
    VALUES_FILE.write_text("{\n" + ",\n".join(lines) + "\n}\n")
    changed = [name for name in sorted(after) if after[name] != before.get(name)]
    dropped = sorted(set(before) - set(after))
    print(f"recorded: {', '.join(changed) or 'nothing'}{'; dropped: ' + ', '.join(dropped) if dropped else ''}")
    print("Recorded versions keep their values; to change them, raise the version in kdlab.store.versions.VERSIONS.")


if __name__ == "__main__":
    main()
