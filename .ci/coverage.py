"""Summarizes the report of `.ci/coverage` for the lines of src/ outside tests."""

import pathlib
import sys

GOAL = 95.0


def first_test_line(path):
    """Returns the number of the line where the tests of a file begin, or `sys.maxsize`."""
    for number, line in enumerate(path.read_text().splitlines(), 1):
        if line == "#[cfg(test)]":
            return number
    return sys.maxsize


def main(report, *flags):
    root = pathlib.Path.cwd()
    lines = {}
    for entry in pathlib.Path(report).read_text().splitlines():
        kind, _, value = entry.partition(":")
        if kind == "SF":
            path = pathlib.Path(value).relative_to(root)
            counted = path.parts[0] == "src" and path.stem != "tests"
            limit = first_test_line(path) if counted else 0
        elif kind == "DA":
            number, count = map(int, value.split(",")[:2])
            if number < limit:
                of_file = lines.setdefault(path, {})
                of_file[number] = of_file.get(number, 0) + count
    hit = total = 0
    for path, counts in sorted(lines.items()):
        missed = sorted(number for number, count in counts.items() if count == 0)
        hit += len(counts) - len(missed)
        total += len(counts)
        share = 100 * (1 - len(missed) / len(counts))
        print(f"{share:6.1f}%  {len(counts):5}  {path}")
        if "--missed" in flags:
            text = path.read_text().splitlines()
            for number in missed:
                print(f"{'':16}{number}: {text[number - 1].strip()}")
    share = 100 * hit / total
    print(f"{share:6.2f}%  {total:5}  all")
    return 0 if share >= GOAL else f"tests run less than {GOAL}% of the lines"


sys.exit(main(*sys.argv[1:]))
