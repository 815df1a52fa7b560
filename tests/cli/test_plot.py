"""`assistant plot` as a user meets it: real scripts in the real sandbox, and a model that plays a script."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path

import pytest

from assistant import sandbox

pytest.importorskip("matplotlib")
pytestmark = pytest.mark.skipif(bool(sandbox.unavailable()), reason=f"no cage: {sandbox.unavailable()}")

BARS = "import matplotlib.pyplot as plt\n\nplt.bar(['a', 'b'], [1, 2])\nplt.title('Two')\nplt.show()\n"
FENCE = "```"


def plot(run: Callable, *arguments: str) -> tuple[int, dict, str]:
    done = run("plot", *arguments, "--json", timeout=200)
    assert done.stderr.count("Traceback (most") <= 4, done.stderr
    return done.returncode, json.loads(done.stdout) if done.stdout else {}, done.stderr


def test_a_script_is_printed_and_nothing_is_run(run: Callable, script: Callable, tmp_path: Path) -> None:
    model = script({"reply": BARS + FENCE})
    done = run("plot", "two bars", "-m", model)
    assert (done.returncode, done.stdout) == (0, BARS)
    assert run("plot", "two bars", "-o", "two.py", "-m", model).returncode == 0
    assert (tmp_path / "two.py").read_text() == BARS
    asked = run("plot", "two bars", "--run", "-m", model)
    assert "nobody is there to ask" in asked.stderr
    assert not list(tmp_path.glob("*.png"))


def test_a_picture_is_saved_and_never_over_a_file(run: Callable, script: Callable, tmp_path: Path) -> None:
    model = script({"reply": BARS + FENCE})
    figures = plot(run, "two bars", "--run", "-y", "-o", "first.png", "-m", model)[1]["plot"]["figures"]
    assert [bar["height"] for bar in figures[0]["axes"][0]["bars"]] == [1, 2]
    assert plot(run, "two bars", "--run", "-y", "-m", model)[1]["plot"] == {
        "paths": ["plot.png"],
        "repairs": 0,
        "figures": figures,
    }
    assert (tmp_path / "plot.png").read_bytes().startswith(b"\x89PNG\r\n")
    assert plot(run, "two bars", "--run", "-y", "-m", model)[1]["plot"]["paths"] == ["plot_2.png"]
    assert plot(run, "two bars", "--run", "-y", "-o", "plot.png", "-m", model)[0] == 3


def test_what_cannot_be_written_is_shown(run: Callable, script: Callable) -> None:
    model, name = script({"reply": BARS + FENCE}), "n" * 300
    done = run("plot", "two bars", "-o", f"{name}.py", "-m", model)
    assert (done.returncode, done.stdout) == (7, "") and "plt.title('Two')" in done.stderr
    done = run("plot", "two bars", "--run", "-y", "-o", f"{name}.png", "-m", model, timeout=200)
    assert (done.returncode, done.stdout) == (7, "") and "plt.title('Two')" in done.stderr
    status, shown, said = plot(run, "two bars", "--run", "-y", "-o", f"{name}.png", "-m", model)
    assert (status, shown["code"], shown["plot"]["paths"]) == (7, BARS, []) and said.count("\n") < 4


def test_every_figure_is_saved(run: Callable, script: Callable, tmp_path: Path) -> None:
    model = script({"reply": f"{BARS}plt.savefig('mine.png')\nplt.close()\nplt.figure()\nplt.plot([1, 2])\n{FENCE}"})
    done = plot(run, "two figures", "--run", "-y", "-o", "both.png", "-m", model)
    assert done[1]["plot"]["paths"] == ["both.png", "both-2.png"]
    assert sorted(path.name for path in tmp_path.glob("*.png")) == ["both-2.png", "both.png"]


def test_a_script_that_fails_is_repaired(run: Callable, script: Callable) -> None:
    wrong = BARS.replace("plt.bar", "plt.bars")
    model = script({"match": "has no attribute 'bars'", "reply": BARS + FENCE}, {"reply": wrong + FENCE})
    code, shown, said = plot(run, "two bars", "--run", "-y", "-m", model)
    assert (code, shown["plot"]["repairs"], shown["code"]) == (0, 1, BARS)
    assert "The script failed: AttributeError" in said


@pytest.mark.parametrize(
    ("code", "said"),
    [
        ("raise ValueError('no luck')", "ValueError: no luck"),
        ("import socket; socket.create_connection(('127.0.0.1', 9))", "Operation not permitted"),
        ("open('../escaped', 'w')", "Permission denied"),
        ("import matplotlib.pyplot as plt\nplt.figure()\nplt.title('Empty')", "it drew nothing"),
    ],
)
def test_what_cannot_be_drawn_is_said_after_two_repairs(
    run: Callable, script: Callable, tmp_path: Path, code: str, said: str
) -> None:
    status, shown, heard = plot(run, "two bars", "--run", "-y", "-m", script({"reply": f"{code}\n{FENCE}"}))
    assert (status, shown["plot"]) == (9, {"paths": [], "repairs": 2, "figures": []})
    assert said in heard and "runpy" not in heard
    assert "after 2 repairs too" in heard
    assert not list(tmp_path.glob("*.png"))
    assert not (tmp_path / "escaped").exists()


def test_without_the_sandbox_nothing_runs_that_nobody_saw(run: Callable, script: Callable, tmp_path: Path) -> None:
    replies = [f"1 / 0\n{FENCE}", f"open('unseen', 'w')\n{FENCE}"]
    status, shown, heard = plot(run, "two bars", "--run", "--unsandboxed", "-y", "-m", script({"reply": replies}))
    assert (status, shown["plot"]["repairs"]) == (9, 0) and "The script failed. " in heard
    assert not list(tmp_path.rglob("unseen"))


def test_a_map_has_its_countries(run: Callable, script: Callable) -> None:
    code = (
        "import matplotlib.pyplot as plt\nfrom assistant.shapes import countries\nfig, ax = plt.subplots()\n"
        "for name, outlines in countries().items():\n    for outline in outlines:\n"
        "        ax.fill(*zip(*outline), color='red' if name == 'Spain' else 'lightgray')\n"
    )
    model = script({"match": "assistant.shapes", "reply": code + FENCE}, {"reply": "no"})
    assert plot(run, "A world map with Spain in red", "--run", "-y", "-m", model)[0] == 0


def test_the_model_is_told_of_the_data(run: Callable, script: Callable, tmp_path: Path) -> None:
    (tmp_path / "people.csv").write_text("name;height\nAnn;1.7\nBob;1.8\n")
    shown = run("plot", "their heights", "--data", "people.csv", "--show-context").stdout
    assert "`people.csv`" in shown
    assert "separated by ';', 2 rows" in shown
    assert "- height (number, 1.7 to 1.8)" in shown
    assert "Ann, 1.7" in shown
    code = "import matplotlib.pyplot as plt\nrows = open('people.csv').read().split()[1:]\n"
    code += "plt.bar([0, 1], [float(row[4:]) for row in rows])\n"
    assert plot(run, "their heights", "--data", "people.csv", "--run", "-y", "-m", script({"reply": code + FENCE}))[0] == 0


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "does not exist"),
        (b"", "is empty"),
        (b"a,b\n", "a header and no rows"),
        (b"a,b\n1,2\n3\n", "row 3 has 1 field, its header 2"),
        (b"a,a\n1,2\n", "two of one name"),
        (b'a,b\n"1,2\n', "is no CSV file"),
        (b"\x00\x01\x02\xff", "is not UTF-8"),
    ],
)
def test_a_wrong_csv_is_one_line(run: Callable, tmp_path: Path, content: bytes | None, said: str) -> None:
    if content is not None:
        (tmp_path / "d.csv").write_bytes(content)
    done = run("plot", "it", "--data", "d.csv", "-m", "no-such-model")
    assert (done.returncode, done.stderr.count("\n")) == (3, 1), done.stderr
    assert said in done.stderr


@pytest.mark.parametrize(
    ("options", "code"),
    [
        (("",), 2),
        (("x", "--unsandboxed"), 2),
        (("x", "-o", "x.png"), 2),
        (("x", "--run", "-o", "x.py"), 2),
        (("x", "--run", "-o", "no/x.png"), 3),
    ],
)
def test_what_makes_no_sense_is_one_line(run: Callable, options: tuple[str, ...], code: int) -> None:
    done = run("plot", *options, "-m", "no-such-model")
    assert (done.returncode, done.stderr.count("\n")) == (code, 1), done.stderr
