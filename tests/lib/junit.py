"""Prints "passed failed skipped seconds" of a JUnit file and writes the names of failed tests.

usage: junit.py FILE GROUP FAILED-FILE
"""
import sys
import xml.etree.ElementTree as ElementTree


def main(path, group, failed_path):
    passed = failed = skipped = 0
    names = []
    root = ElementTree.parse(path).getroot()
    for case in root.iter("testcase"):
        bad = case.find("failure") is not None or case.find("error") is not None
        if bad or case.get("status") == "fail":
            failed += 1
            names.append(f"  {group}: {case.get('classname', '')} {case.get('name')}")
        elif case.find("skipped") is not None or case.get("status") in ("notrun", "disabled"):
            skipped += 1
        else:
            passed += 1
    with open(failed_path, "w", encoding="utf-8") as out:
        out.write("\n".join(names))
    if passed + failed == 0:
        return 1
    seconds = sum(float(suite.get("time", 0)) for suite in root.iter("testsuite"))
    print(passed, failed, skipped, round(seconds))
    return 0


if __name__ == "__main__":
    sys.exit(main(*sys.argv[1:4]))
