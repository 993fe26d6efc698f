"""Learning curves on disk: whole lines, none twice, and a picture of them."""

from pathlib import Path

from onspec.training import curves


def rows_of(run: Path, steps: int = 5) -> list[dict[str, float]]:
    rows = [{"step": step, "seconds": step / 2, "loss": 1 / step} for step in range(1, steps + 1)]
    for row in rows:
        curves.append(run, row)
    return rows


def test_rows_come_back(tmp_path: Path) -> None:
    assert curves.read(tmp_path) == []
    assert rows_of(tmp_path) == curves.read(tmp_path)


def test_a_line_that_a_kill_cut_off_is_left_out(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    with (tmp_path / curves.FILE).open("a") as file:
        file.write('{"step": 6, "los')
    assert curves.read(tmp_path) == rows
    curves.rewind(tmp_path, 9)
    curves.append(tmp_path, {"step": 6})
    assert curves.read(tmp_path) == [*rows, {"step": 6}]


def test_what_came_after_a_checkpoint_is_dropped(tmp_path: Path) -> None:
    rows = rows_of(tmp_path)
    curves.rewind(tmp_path, 3)
    assert curves.read(tmp_path) == rows[:3]
    assert {p.name for p in tmp_path.iterdir()} == {curves.FILE}


def test_every_figure_that_is_known_is_drawn(tmp_path: Path) -> None:
    rows_of(tmp_path)
    curves.append(tmp_path, {"step": 5, "val_dice": 0.5, "val_map_50": 0.25, "dice_train": None})
    curves.draw(tmp_path)
    assert all((tmp_path / name).stat().st_size > 1000 for name in curves.PICTURES)
    assert (tmp_path / "curves.png").read_bytes().startswith(b"\x89PNG")
    empty = tmp_path / "empty"
    empty.mkdir()
    curves.draw(empty)
    drawn, blank = (len((run / "curves.svg").read_text()) for run in (tmp_path, empty))
    assert drawn > blank
