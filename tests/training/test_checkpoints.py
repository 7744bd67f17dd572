import json
import zipfile

import pytest

from dreamlab.training.checkpoints import ARCHIVES, STATE, WEIGHTS, last_checkpoint


def whole(folder, step):
    path = folder / f"checkpoint-{step}"
    path.mkdir()
    (path / STATE).write_text(json.dumps({"global_step": step}))
    for name in ARCHIVES:
        with zipfile.ZipFile(path / name, "w") as archive:
            archive.writestr("data", b"0" * 1000)
    header = json.dumps({"w": {"dtype": "F32", "shape": [2], "data_offsets": [0, 8]}}).encode()
    (path / WEIGHTS).write_bytes(len(header).to_bytes(8, "little") + header + bytes(8))
    return path


def test_the_furthest_checkpoint_is_taken_by_number_not_by_name(tmp_path):
    whole(tmp_path, 9)
    tenth = whole(tmp_path, 10)
    assert last_checkpoint(tmp_path) == tenth


@pytest.mark.parametrize("name", [STATE, WEIGHTS, *ARCHIVES])
def test_a_checkpoint_that_lacks_a_part_is_passed_over(tmp_path, name):
    earlier = whole(tmp_path, 4)
    (whole(tmp_path, 8) / name).unlink()
    assert last_checkpoint(tmp_path) == earlier


@pytest.mark.parametrize("name", [STATE, WEIGHTS, *ARCHIVES])
def test_a_checkpoint_with_a_torn_part_is_passed_over(tmp_path, name):
    earlier = whole(tmp_path, 4)
    part = whole(tmp_path, 8) / name
    part.write_bytes(part.read_bytes()[:-5])
    assert last_checkpoint(tmp_path) == earlier


def test_no_checkpoint_is_none(tmp_path):
    assert last_checkpoint(tmp_path / "none") is None
