"""`echosynth measure SOURCE ...`: the EF that a regressor sees, with its 90 % interval, as a table, CSV or JSON."""

import argparse
import csv
import io
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from echosynth.errors import ConfigError, OutputError

if TYPE_CHECKING:
    import numpy as np

    from echosynth.regression.windows import Coverage

PANEL = "panel"
COLUMNS = ("file", "regressor", "ef", "low", "high", "true_ef")
Reading = dict[str, Any]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the command's arguments."""
    parser.add_argument(
        "source", type=Path, nargs="+", help="video, DICOM cine, .npy, EchoNet folder, or folder of files"
    )
    parser.add_argument(
        "--regressor",
        action="extend",
        nargs="+",
        help="names or folders; several are a panel too (default: the bundled judge)",
    )
    parser.add_argument("--fps", type=float, help="frame rate to use instead of the file's, Hz")
    parser.add_argument(
        "--beats", action="store_true", help="beat by beat: windows around the end-systoles that the judge finds"
    )
    parser.add_argument(
        "--windows",
        metavar="N|all",
        help="so many windows, spread over the clip, or all that there are (default: half a length apart)",
    )
    parser.add_argument("--csv", type=Path, help="write the table to this file too")
    parser.add_argument("--embeddings", type=Path, metavar="FILE", help="keep what EF is read from, per clip, as .npz")
    parser.add_argument(
        "--plots",
        type=Path,
        metavar="DIR",
        help="draw scatter, Bland-Altman and a map of the embeddings here, if the truth is known",
    )
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--json", action="store_true", help="print one JSON object on stdout, nothing else")


def require_rate(fps: float | None) -> None:
    """Raise ConfigError unless it is a frame rate, or none."""
    if fps is not None and not 0 < fps <= 1000:
        raise ConfigError(f"--fps must be above 0 and at most 1000 Hz, got {fps:g}")


def parse_windows(word: str | None) -> "Coverage":
    """Which windows of a clip are looked at.

    Raises:
        ConfigError: it is neither a number above 0 nor "all".
    """
    if word is None or word == "all":
        return word  # type: ignore[return-value]
    if not word.isascii() or not word.isdigit() or int(word) < 1:
        raise ConfigError(f"--windows must be a whole number above 0, or all, got {word!r}")
    return int(word)


def run(args: argparse.Namespace) -> dict[str, Any]:
    """Measure and return the object of `--json`; scores are there if the truth of every clip is known."""
    from echosynth.augmentation.loaded import DEFAULT_JUDGE, choose_device, open_regressor
    from echosynth.data.layouts import iter_clips, require_video
    from echosynth.progress import Reporter
    from echosynth.regression.panel import read_as_panel
    from echosynth.regression.phases import find_beats
    from echosynth.storage.atomic import write_text
    from echosynth.video.files import write_npz

    require_rate(args.fps)
    coverage = parse_windows(args.windows)
    if args.beats and coverage is not None:
        raise ConfigError("--beats and --windows both say which windows are read; leave one of them out")
    if args.csv is not None and not args.csv.parent.is_dir():
        raise OutputError(f"--csv: there is no folder {args.csv.parent} to write {args.csv.name} into")
    names = list(dict.fromkeys(args.regressor or [DEFAULT_JUDGE]))
    device = choose_device(args.device)
    regressors = [open_regressor(name, device) for name in names]
    finder = open_regressor(DEFAULT_JUDGE, device).model if args.beats else None
    readings: list[Reading] = []
    embeddings: dict[str, list[np.ndarray]] = {regressor.name: [] for regressor in regressors}
    reporter = Reporter(0, "measuring")
    for path in args.source:
        for name, clip in iter_clips(path, args.fps):
            require_video(name, clip)
            known = {"file": name, "true_ef": clip.ef}
            beats = [] if finder is None else find_beats(finder, clip)
            moments = [beat.es for beat in beats]
            answers = [regressor.model.predict([clip], [moments], coverage)[0] for regressor in regressors]
            for regressor, answer in zip(regressors, answers, strict=True):
                reading = known | {"regressor": regressor.name} | answer.to_dict()
                if finder is not None:
                    read = zip(beats, answer.windows, strict=False)  # without a beat, windows cover the clip
                    reading["beats"] = [{"ed": beat.ed, "es": beat.es, "ef": ef} for beat, ef in read]
                readings.append(reading)
                if args.embeddings is not None or args.plots is not None:
                    embeddings[regressor.name].append(regressor.model.embed_clip(clip))
            if len(answers) > 1:
                readings.append(known | {"regressor": PANEL} | read_as_panel(answers).to_dict())
    for line in format_warnings(readings):
        reporter.say(line)
    result: dict[str, Any] = {"clips": readings}
    if readings and all(reading["true_ef"] is not None for reading in readings):
        result["scores"] = {reader: _score(mine) for reader, mine in _by_reader(readings).items()}
        if args.plots is not None:
            _draw(args.plots, readings, embeddings)
    elif args.plots is not None:
        raise ConfigError("--plots needs clips whose EF is known")
    if args.embeddings is not None:
        files = [reading["file"] for reading in readings if reading["regressor"] == regressors[0].name]
        write_npz(args.embeddings, **_stack(files, embeddings))
    if args.csv is not None:
        write_text(args.csv, _to_csv(readings))
    if not args.json:
        _print(result)
    return result


def _by_reader(readings: Sequence[Reading]) -> dict[str, list[Reading]]:
    readers = dict.fromkeys(reading["regressor"] for reading in readings)
    return {reader: [reading for reading in readings if reading["regressor"] == reader] for reader in readers}


def format_warnings(readings: Sequence[Reading]) -> list[str]:
    """One line for each thing that regressors wanted to be shown and clips could not give."""
    from echosynth.data.dataset import format_names

    files: dict[tuple[str, str], list[str]] = {}
    for reading in readings:
        for warning in reading.get("warnings", ()):
            files.setdefault((warning, reading["regressor"]), []).append(reading["file"])
    shown: dict[tuple[str, tuple[str, ...]], list[str]] = {}
    for (warning, regressor), clips in files.items():
        shown.setdefault((warning, tuple(clips)), []).append(regressor)
    return [
        f"warning: {', '.join(regressors)} read {len(clips)} clip{'s' * (len(clips) > 1)} {warning} "
        f"({format_names(clips)})"
        for (warning, clips), regressors in shown.items()
    ]


def _told_by_all(mine: Sequence[Reading], key: str) -> list[float]:
    """What every reading tells under a key; nothing if one of them does not."""
    told = [reading.get(key) for reading in mine]
    return [] if None in told else told  # type: ignore[return-value]


def _score(mine: Sequence[Reading]) -> dict[str, Any]:
    from echosynth.cardiac.ejection_fraction import REDUCED_EF
    from echosynth.metrics.clinical import auroc, clinical_scores, score_calls
    from echosynth.metrics.ef_metrics import compute_ef_scores, none_if_undefined

    truth, measured = [reading["true_ef"] for reading in mine], [reading["ef"] for reading in mine]
    scores = compute_ef_scores(truth, measured, [reading["file"] for reading in mine]).to_dict()
    inside = [reading["low"] <= reading["true_ef"] <= reading["high"] for reading in mine]
    scores |= clinical_scores(truth, measured) | {"coverage": sum(inside) / len(inside)}
    chances = _told_by_all(mine, "reduced")
    if chances:  # a classifier of its own, beside the EF that it measures
        called = score_calls([ef <= REDUCED_EF for ef in truth], [chance > 0.5 for chance in chances])
        unlikely = [1 - chance for chance in chances]
        scores["classifier"] = called | {"auroc": none_if_undefined(auroc(truth, unlikely, REDUCED_EF))}
    return scores


def _draw(folder: Path, readings: Sequence[Reading], embeddings: dict[str, list["np.ndarray"]]) -> None:
    from echosynth.report.figures import bland_altman, ef_residuals, ef_scatter, embedding_map, figure_to_png
    from echosynth.storage.atomic import atomic_write

    for reader, mine in _by_reader(readings).items():
        truth, measured, name = [r["true_ef"] for r in mine], [r["ef"] for r in mine], Path(reader).name
        figures = {
            "scatter": ef_scatter(truth, measured, f"{name}: true and measured EF", "true EF"),
            "bland_altman": bland_altman(truth, measured, f"{name}: true and measured EF", "true EF"),
        }
        deviations = _told_by_all(mine, "deviation")
        if deviations:
            figures["residuals"] = ef_residuals(truth, measured, deviations, f"{name}: error and how sure it was")
        if reader in embeddings and len(mine) > 2:
            figures["embedding"] = embedding_map(embeddings[reader], truth, f"{name}: embeddings by true EF")
        for kind, figure in figures.items():
            with atomic_write(folder / f"{name}_{kind}.png") as part:
                part.write_bytes(figure_to_png(figure))


def _stack(files: Sequence[str], embeddings: dict[str, list["np.ndarray"]]) -> dict[str, "np.ndarray"]:
    import numpy as np

    return {"files": np.array(files)} | {Path(name).name: np.stack(vectors) for name, vectors in embeddings.items()}


def _to_csv(readings: Sequence[Reading]) -> str:
    buffer = io.StringIO(newline="")
    writer = csv.writer(buffer, lineterminator="\n")
    writer.writerow(COLUMNS)
    writer.writerows([reading[column] for column in COLUMNS] for reading in readings)
    return buffer.getvalue()


def _known(value: float | None, digits: int = 2) -> str:
    return "–" if value is None else f"{value:.{digits}f}"


def _print(result: dict[str, Any]) -> None:
    from echosynth.commands.console import print_table
    from echosynth.report.tables import Table

    rows = []
    for r in result["clips"]:
        known = "–" if r["true_ef"] is None else f"{r['true_ef']:.1f}"
        who = r["regressor"] if r.get("agreed", True) else f"{r['regressor']} (parted by {r['spread']:.0f})"
        rows.append([r["file"], who, f"{r['ef']:.1f}", f"{r['low']:.1f}", f"{r['high']:.1f}", known])
    print_table(Table("EF (%)", COLUMNS, rows))
    for r in result["clips"]:
        if "beats" in r:
            each = ", ".join(f"{beat['ef']:.0f}" for beat in r["beats"]) or "none is whole, the clip is read as one"
            print(f"{r['file']}, {r['regressor']}, beat by beat: {each}")
    for name, scores in result.get("scores", {}).items():
        r2, reduced, mean = _known(scores["r2"], 3), scores["reduced"], scores["mean_mae"]
        print(
            f"{name}: n {scores['n']}, R2 {r2}, MAE {scores['mae']:.2f} (always the mean EF: {mean:.1f}), "
            f"RMSE {scores['rmse']:.2f} EF points, bias {scores['bias']:+.1f}, slope {_known(scores['slope'])}, "
            f"{scores['coverage']:.0%} of true EFs in the 90 % intervals, "
            f"EF <= 40 told in {reduced['accuracy']:.0%} (always the commoner answer: {reduced['majority']:.0%})"
        )
        if "classifier" in scores:
            own = scores["classifier"]
            print(f"{name}, its classifier: EF <= 40 told in {own['accuracy']:.0%}, AUROC {_known(own['auroc'], 3)}")
