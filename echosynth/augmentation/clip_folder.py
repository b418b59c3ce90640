"""The clips of a `generate` run.

OUT/clips/NAME_ef30_s0.avi         lossless; of the accepted attempt, else of the best refused one
OUT/clips/NAME_ef30_s0.mp4 .gif    previews
"""

from collections.abc import Iterable
from pathlib import Path

from echosynth.augmentation.attempts import Attempt
from echosynth.errors import OutputError
from echosynth.video.clip import EchoClip
from echosynth.video.readers import load_video
from echosynth.video.writers import write_avi, write_gif, write_mp4

PREVIEWS = ("mp4", "gif")


class ClipFolder:
    """The folder `clips` of a run; see `ClipStore`.

    Args:
        run: the run's folder.
    """

    keeps_refused = True

    def __init__(self, run: Path) -> None:
        self.run = run

    def file_of(self, sample_id: str) -> str:
        """Name of a sample's clip, relative to the run's folder."""
        return f"clips/{sample_id}.avi"

    def add(self, attempt: Attempt) -> None:
        """Write the sample's best clip so far and, after its last attempt, the previews of the one that is kept."""
        sample_id = attempt.sample.sample_id
        if attempt.best:
            write_avi(self.run / self.file_of(sample_id), attempt.clip, lossless=True, synthetic=True)
            for stale in self._previews(sample_id):
                stale.unlink(missing_ok=True)
        if attempt.last:
            self._write_previews(sample_id)

    def close(self) -> None:
        """Nothing is left to do."""

    def load(self, sample_id: str) -> EchoClip:
        """Read a sample's clip back; the file holds every pixel."""
        return load_video(self.run / self.file_of(sample_id))

    def add_missing_previews(self, sample_ids: Iterable[str]) -> None:
        """Write the previews of clips that have none, e.g. because a user removed them."""
        for sample_id in sample_ids:
            if not all(preview.exists() for preview in self._previews(sample_id)):
                self._write_previews(sample_id)

    def refuse_missing(self, sample_ids: Iterable[str]) -> None:
        """Refuse to continue a run whose clips are gone.

        Args:
            sample_ids: what was made.

        Raises:
            OutputError: a clip is not there.
        """
        for sample_id in sample_ids:
            file = self.run / self.file_of(sample_id)
            if not file.is_file():
                raise OutputError(f"{file} was made but is gone; restore it, or choose another folder")

    def _previews(self, sample_id: str) -> list[Path]:
        return [(self.run / self.file_of(sample_id)).with_suffix(f".{kind}") for kind in PREVIEWS]

    def _write_previews(self, sample_id: str) -> None:
        clip, (mp4, gif) = self.load(sample_id), self._previews(sample_id)
        write_mp4(mp4, clip, synthetic=True)
        write_gif(gif, clip, synthetic=True)
