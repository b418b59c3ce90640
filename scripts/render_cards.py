"""Render README.md of every model in checkpoints/ from its card.json, and write SHA256SUMS anew.

python scripts/render_cards.py
"""

from pathlib import Path

from echosynth.report.model_card import read_card, write_card

CHECKPOINTS = Path(__file__).resolve().parents[1] / "checkpoints"


def main() -> None:
    """Render every card."""
    for file in sorted(CHECKPOINTS.glob("*/card.json")):
        write_card(file.parent, read_card(file.parent))
        print(file.with_name("README.md"))


if __name__ == "__main__":
    main()
