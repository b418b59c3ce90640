"""`echosynth doctor`: is this installation fit to work? One line per check; exit code 1 if one fails."""

import argparse
import json
import sys
from typing import Any

from echosynth.commands.options import add_json


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    add_json(parser)


def run(args: argparse.Namespace) -> dict[str, Any] | int:
    """Check, print, and return the object of `--json`."""
    from echosynth.commands.console import print_table
    from echosynth.installation import check_installation
    from echosynth.report.tables import Table

    checks = check_installation()
    result = {"ok": all(check.ok for check in checks), "checks": [check.to_dict() for check in checks]}
    if not args.json:
        rows = [["ok" if check.ok else "FAIL", check.name, check.detail] for check in checks]
        print_table(Table("Checks", ["", "check", "found"], rows, text_columns=(0, 1, 2)))
    if result["ok"]:
        return result
    if args.json:  # the object belongs to stdout, and so does the exit code to a failure
        print(json.dumps(result, indent=2), file=sys.__stdout__)
    return 1
