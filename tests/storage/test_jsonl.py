"""Lines are whole or cut off: a torn last line is passed over and taken back, other damage is an error."""

from pathlib import Path

import pytest

from echosynth.errors import OutputError
from echosynth.storage.jsonl import append_record, cut_torn_line, keep_records, read_records


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "new" / "log.jsonl"


def test_what_is_appended_is_read(path: Path) -> None:
    assert read_records(path) == []
    for step in range(3):
        append_record(path, {"step": step, "text": "µ\n"})
    assert read_records(path) == [{"step": step, "text": "µ\n"} for step in range(3)]


@pytest.mark.parametrize("torn", [1, 5, 9000])
def test_a_torn_last_line_is_passed_over_and_cut_off_by_the_next(path: Path, torn: int) -> None:
    append_record(path, {"step": 0})
    whole = path.read_bytes()
    append_record(path, {"step": 1, "text": "x" * 10_000})
    path.write_bytes(path.read_bytes()[: len(whole) + torn])
    assert read_records(path) == [{"step": 0}]
    assert len(path.read_bytes()) == len(whole) + torn  # reading changes nothing
    torn_file = path.read_bytes()
    cut_torn_line(path)
    assert path.read_bytes() == whole
    path.write_bytes(torn_file)
    append_record(path, {"step": 2})
    assert path.read_bytes() == whole + b'{"step": 2}\n'


def test_a_file_of_one_torn_line_begins_anew(path: Path) -> None:
    path.parent.mkdir()
    path.write_bytes(b'{"step"')
    append_record(path, {"step": 0})
    assert path.read_bytes() == b'{"step": 0}\n'


@pytest.mark.parametrize("line", [b"{", b"[]", b"3", b"\xff\xfe", b"", b"[" * 100_000])
def test_other_damage_is_reported_by_its_line(path: Path, line: bytes) -> None:
    append_record(path, {"step": 0})
    path.write_bytes(path.read_bytes() + line + b"\n" + b'{"step": 2}\n')
    with pytest.raises(OutputError, match=r"log\.jsonl, line 2 is damaged"):
        read_records(path)


def test_a_folder_in_its_place_is_one_line(path: Path) -> None:
    path.mkdir(parents=True)
    with pytest.raises(OutputError, match=r"cannot read .*log\.jsonl"):
        read_records(path)
    for change in (lambda: append_record(path, {}), lambda: cut_torn_line(path)):
        with pytest.raises(OutputError, match=r"cannot write .*log\.jsonl"):
            change()


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
def test_a_full_disk_is_one_line(path: Path) -> None:
    path.parent.mkdir()
    path.symlink_to("/dev/full")
    with pytest.raises(OutputError, match="cannot write"):
        append_record(path, {"step": 0})


def test_records_after_a_step_are_dropped(path: Path) -> None:
    keep_records(path, bool)
    assert not path.exists()
    for step in (1, 2, 3):
        append_record(path, {"step": step})
    path.write_bytes(path.read_bytes() + b'{"st')
    keep_records(path, lambda record: record["step"] <= 2)
    assert path.read_bytes() == b'{"step": 1}\n{"step": 2}\n'
