"""The metrics of a run: read back as written, whatever became of the disk."""

import math
from importlib.util import find_spec
from pathlib import Path

import pytest
from accelerate.tracking import GeneralTracker, on_main_process, register_tracker_class

from assistant.errors import UsageError
from training import config, records, trackers
from training.trainer import Step


def step(number, **keys):
    return Step(
        **({"step": number, "loss": 1.5, "learning_rate": 1e-3, "norm": 0.5, "tokens": 9, "trained": 4, "seconds": 0.1} | keys)
    )


def test_steps_are_read_back_up_to_the_checkpoint_and_the_rest_is_taken_away(tmp_path):
    kept = records.Records(tmp_path, [], tensorboard=False, warn=pytest.fail)
    for number in range(1, 6):
        kept.add(step(number, loss=math.nan if number == 2 else 1.5, skipped=number == 2), 90.0)
    earlier = records.read(tmp_path / records.METRICS, 3)
    assert [one.step for one in earlier] == [1, 2, 3] and math.isnan(earlier[1].loss) and earlier[1].skipped
    records.Records(tmp_path, earlier, tensorboard=False, warn=pytest.fail)
    assert [one.step for one in records.read(tmp_path / records.METRICS, 9)] == [1, 2, 3]


def test_a_line_that_was_cut_off_costs_itself_alone(tmp_path):
    path = tmp_path / records.METRICS
    records.rewrite(path, [step(1), step(2)])
    whole = path.read_text()
    last = whole.splitlines()[-1]
    for cut in range(1, len(last)):
        records.rewrite(path, [step(3)])
        path.write_text(f"{whole}{last[:cut]}\n{path.read_text()}")
        assert [one.step for one in records.read(path, 9)] == [1, 2, 3]


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="this system has no file that is always full")
def test_a_full_disk_is_said_once_and_does_not_end_the_run(tmp_path):
    said = []
    kept = records.Records(tmp_path, [], tensorboard=False, warn=said.append)
    kept.add(step(1), 90.0)
    path = tmp_path / records.METRICS
    whole = path.rename(tmp_path / "aside")
    path.symlink_to("/dev/full")
    kept.add(step(2), 90.0)
    kept.add(step(3), 90.0)
    path.unlink()
    whole.rename(path)
    kept.add(step(4), 90.0)
    kept.close()
    assert len(said) == 1 and "No space left" in said[0] and "goes on" in said[0]
    assert [one.step for one in records.read(path, 9)] == [1, 4]


class Notebook(GeneralTracker):
    """A tracker as others write them; it fails in its third step."""

    name, requires_logging_directory = "notebook", False

    def __init__(self, run, **_):
        self.run, self.rows = run, []

    @property
    def tracker(self):
        return self.rows

    @on_main_process
    def store_init_configuration(self, values):
        self.rows.append(values)

    @on_main_process
    def log(self, values, step=None, **_):
        if step == 3:
            raise ConnectionError("the notebook is full")
        self.rows.append((step, values))


def test_trackers_are_told_every_step_and_one_that_fails_costs_itself_alone(tmp_path):
    register_tracker_class(Notebook)
    recipe = config.load("tiny", ["trackers=notebook"])
    said = []
    (notebook,) = begun = trackers.begin(recipe, tmp_path, said.append)
    kept = records.Records(tmp_path, [], tensorboard=False, warn=said.append, trackers=begun)
    for number in range(1, 6):
        kept.add(step(number, eval_loss=2.5 if number == 2 else None), 90.0)
    kept.close()
    assert notebook.rows[0]["learning_rate"] == recipe.learning_rate and notebook.rows[0]["data"] == "('dialogues', 'made')"
    assert [row[0] for row in notebook.rows[1:]] == [1, 2] and notebook.rows[2][1]["eval/loss"] == 2.5
    assert said == ["The tracker notebook failed: the notebook is full. The run goes on without it."]
    assert len(records.read(tmp_path / records.METRICS, 9)) == 5


@pytest.mark.parametrize("name", ["paper", "wandb"])
def test_an_unknown_tracker_or_one_without_its_package_is_refused_at_the_start(name):
    if find_spec(name):
        pytest.skip(f"{name} is installed here")
    with pytest.raises(UsageError, match=name):
        trackers.check(config.load("tiny", [f"trackers={name}"]))
