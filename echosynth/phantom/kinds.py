"""The kinds of phantoms that can be asked for, by name; light, so that a command can list them without torch."""

from typing import Literal

ViewFamily = Literal["echonet", "camus", "point-of-care", "wide"]
Quality = Literal["excellent", "good", "medium", "poor"]
Heart = Literal["any", "normal", "dilated", "hypertrophic", "regional", "apical", "septal", "lateral", "global"]
Rhythm = Literal["sinus", "atrial fibrillation", "premature beats"]
EFDistribution = Literal["echonet", "uniform"]
