"""`onspec msa`."""

import json
import re
from collections.abc import Callable, Sequence
from html.parser import HTMLParser
from itertools import product
from pathlib import Path

import pytest
from pydantic import BaseModel

from onspec.cli.study import COLUMNS, WORDS, read_study
from onspec.evaluation import agreement, gauge
from onspec.evaluation.agreement import (
    AgreementFigures,
    AppraiserFigures,
    AttributeStudy,
    Level,
    PairFigures,
    Share,
)
from onspec.evaluation.evidence import parts_needed
from onspec.evaluation.gauge import Component, GaugeFigures, GaugeStudy
from onspec.evaluation.intervals import clopper_pearson
from onspec.evaluation.kappa import Kappa

Run = Callable[..., tuple[int, str, str]]

DOCS = (Path(__file__).parents[2] / "docs" / "msa.md").read_text(encoding="utf-8")

ATTRIBUTE = ("part", "appraiser", "trial", "verdict", "truth")


def attribute_rows(wrong: Sequence[tuple[int, str, int]] = (), parts: int = 30) -> list[list[str]]:
    """Every third part is defective; all verdicts are right but for `wrong` (part, appraiser, trial)."""
    rows = []
    for part, name, trial in product(range(parts), ("Anna", "system"), (1, 2)):
        truth = "NG" if part % 3 == 0 else "OK"
        told = {"NG": "OK", "OK": "NG"}[truth] if (part, name, trial) in wrong else truth
        rows.append([f"p{part}", name, str(trial), told, truth])
    return rows


def gauge_rows(spread: float = 0.001) -> list[list[str]]:
    """10 parts, 3 appraisers, 2 trials; sizes of whole steps and a small difference."""
    return [
        [f"p{p}", a, str(t), f"{p + spread * ((3 * p + 7 * i + 5 * t) % 11):.5f}"]
        for p, (i, a), t in product(range(10), enumerate("ABC"), (1, 2))
    ]


@pytest.fixture
def table(tmp_path: Path) -> Callable[..., Path]:
    """Writes study.csv."""

    def write(rows: Sequence[Sequence[str]], columns: Sequence[str] = ATTRIBUTE, delimiter: str = ",") -> Path:
        path = tmp_path / "study.csv"
        path.write_text("".join(delimiter.join(row) + "\n" for row in (columns, *rows)), encoding="utf-8")
        return path

    return write


def test_all_right_is_exit_0(onspec: Run, table: Callable[..., Path]) -> None:
    code, out, err = onspec("msa", table(attribute_rows()))
    assert (code, err) == (0, "")
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
    assert ["Anna", "effectiveness (≥ 90 %)", "100.0 % (30 of 30)", "88.4 % to 100.0 %", "acceptable"] in rows
    assert ["miss rate (≤ 2 %)", "0 % (0 of 20)", "0 % to 16.8 %", "acceptable"] in rows
    assert ["Anna and system", "100.0 % (60 of 60)", "94.0 % to 100.0 %", "1.000", "n/a"] in rows
    assert out.endswith("\nevery appraiser is acceptable\n")


def test_a_broken_limit_is_exit_1_and_says_whose(onspec: Run, table: Callable[..., Path]) -> None:
    code, out, _ = onspec("msa", table(attribute_rows([(0, "Anna", 1), (3, "Anna", 1)])))
    assert code == 1
    assert "miss rate (≤ 2 %)         10.0 % (2 of 20)" in out
    assert out.endswith("\nnot acceptable: Anna (unacceptable)\n")


def test_a_gauge_study(onspec: Run, table: Callable[..., Path]) -> None:
    path = table(gauge_rows(), ("part", "appraiser", "trial", "value"))
    code, out, _ = onspec("msa", path, "--tolerance", "2")
    assert code == 0
    rows = [re.split(r"\s{2,}", line.strip()) for line in out.splitlines()]
    assert [row[0] for row in rows if len(row) == 6][1:7] == [
        "gauge R&R (GRR)", "repeatability (EV)", "reproducibility (AV)", "appraiser", "part to part (PV)", "total (TV)",
    ]  # fmt: skip
    assert "is taken for repeatability; with p over 0.25 it is pooled" in " ".join(out.split())
    assert out.endswith("\ngauge: acceptable\n")
    code, out, _ = onspec("msa", path, "--tolerance", "0.02")
    assert (code, out.splitlines()[-1]) == (1, "gauge: unacceptable")


@pytest.mark.parametrize("kind", ["attribute", "gauge"])
def test_json_and_files_hold_the_same(onspec: Run, table: Callable[..., Path], tmp_path: Path, kind: str) -> None:
    rows, columns = (attribute_rows(), ATTRIBUTE) if kind == "attribute" else (gauge_rows(), (*ATTRIBUTE[:3], "value"))
    out = tmp_path / "msa"
    code, printed, err = onspec("msa", table(rows, columns), "--json", "--out", out)
    assert (code, err) == (0, f"page: {out / 'msa.html'}\n")
    assert sorted(p.name for p in out.iterdir()) == ["msa.html", "msa.json"]
    assert json.loads(printed) == json.loads((out / "msa.json").read_text("utf-8"))
    assert json.loads(printed)["kind"] == kind
    model: type[BaseModel] = AgreementFigures if kind == "attribute" else GaugeFigures
    assert model.model_validate_json(printed).model_dump_json(indent=2) == printed.rstrip("\n")


class Page(HTMLParser):
    """Tags with their attributes, and the text."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.tags: list[tuple[str, dict[str, str | None]]] = []
        self.text = ""
        self.feed(html)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append((tag, dict(attrs)))

    def handle_data(self, data: str) -> None:
        self.text += f" {data.strip()}" if data.strip() else ""


def test_the_page_is_one_file_that_runs_nothing(onspec: Run, table: Callable[..., Path], tmp_path: Path) -> None:
    rows = [[cell.replace("Anna", "<b>Anna</b>") for cell in row] for row in attribute_rows([(0, "Anna", 1)])]
    assert onspec("msa", table(rows), "--out", tmp_path)[0] == 1
    html = (tmp_path / "msa.html").read_text("utf-8")
    page = Page(html)
    assert {tag for tag, _ in page.tags}.isdisjoint({"script", "link", "iframe", "img", "form", "a"})
    assert "http" not in html
    assert "<b>Anna</b> with themselves 96.7 % (29 of 30)" in page.text
    assert (
        "20 good and 10 defective parts, 2 appraisers, 2 trials. Not acceptable: <b>Anna</b> (marginal)." in page.text
    )
    classes = [attributes.get("class") for tag, attributes in page.tags if tag in ("div", "td")]
    assert {"tile ok", "tile warn", "acceptable", "marginal"} <= set(classes)


def test_columns_separators_and_case_as_plants_write_them(table: Callable[..., Path]) -> None:
    plain = read_study(table(attribute_rows([(1, "Anna", 2)])))
    header = ("TRUTH", "Part ID", "Operator", "note", "Repeat", "Result")
    rows = [
        [r[4].lower(), r[0], r[1].upper() if n % 2 else r[1], "x", r[2], r[3].lower()]
        for n, r in enumerate(attribute_rows([(1, "Anna", 2)]))
    ]
    for delimiter in (";", "\t", ","):
        other = read_study(table([*rows, ["", "", "", "", "", ""]], header, delimiter))
        assert isinstance(plain, AttributeStudy)
        assert isinstance(other, AttributeStudy)
        assert other.appraisers == ("Anna", "system")
        assert (other.verdicts == plain.verdicts).all()
        assert (other.defective == plain.defective).all()


def test_the_order_of_rows_and_a_decimal_comma_do_not_matter(table: Callable[..., Path]) -> None:
    columns = ("part", "appraiser", "trial", "value")
    plain = read_study(table(gauge_rows(), columns))
    comma = [[*row[:3], row[3].replace(".", ",")] for row in gauge_rows()]
    other = read_study(table(comma[:1] + comma[:0:-1], columns, ";"))
    assert isinstance(plain, GaugeStudy)
    assert isinstance(other, GaugeStudy)
    places = [
        [here.index(name) for name in there]
        for here, there in ((plain.parts, other.parts), (plain.trials, other.trials))
    ]
    people = [plain.appraisers.index(name) for name in other.appraisers]
    assert (other.values == plain.values[places[0]][:, people][:, :, places[1]]).all()


def test_one_truth_a_part_is_enough(table: Callable[..., Path]) -> None:
    full = attribute_rows()
    once = [[*row[:4], row[4] if (row[1], row[2]) == ("system", "2") else ""] for row in full]
    one, other = read_study(table(full)), read_study(table(once))
    assert isinstance(one, AttributeStudy)
    assert isinstance(other, AttributeStudy)
    assert (one.defective == other.defective).all()


def edited(at: int, column: int, text: str) -> list[list[str]]:
    rows = attribute_rows()
    rows[at][column] = text
    return rows


@pytest.mark.parametrize(
    ("rows", "columns", "sentence"),
    [
        (edited(4, 3, "maybe"), ATTRIBUTE, "{file}, line 6: verdict is 'maybe'; write OK, NG or REVIEW"),
        (edited(4, 3, "ERROR"), ATTRIBUTE, "{file}, line 6: verdict is 'ERROR'; write OK, NG or REVIEW"),
        (edited(4, 4, "review"), ATTRIBUTE, "{file}, line 6: truth is 'review'; write OK or NG"),
        (edited(5, 4, "NG"), ATTRIBUTE, "{file}, line 7: part p1 is NG, in line 6 OK; keep one truth"),
        (edited(4, 2, ""), ATTRIBUTE, "{file}, line 6: trial is empty; fill it in, or leave the whole row out"),
        (
            [[*row[:4], "" if row[0] == "p2" else row[4]] for row in attribute_rows()],
            ATTRIBUTE,
            "{file}: part p2 has no truth in any row; write OK or NG into the column truth",
        ),
        (
            attribute_rows()[:-1],
            ATTRIBUTE,
            "{file}: 1 row is missing: part p29, appraiser system, trial 2; "
            "every appraiser takes every part in every trial",
        ),
        (
            [row for row in attribute_rows() if row[1] == "Anna" or row[0] == "p0"],
            ATTRIBUTE,
            "{file}: 58 rows are missing: part p1, appraiser system, trial 1; part p1, appraiser system, trial 2; "
            "part p2, appraiser system, trial 1 and 55 more; every appraiser takes every part in every trial",
        ),
        (
            [*attribute_rows(), attribute_rows()[0]],
            ATTRIBUTE,
            "{file}, line 122: part p0, appraiser Anna, trial 1 is already in line 2; keep one of them",
        ),
        ([], ATTRIBUTE, "{file}: no rows below the header; write a row for each trial"),
        (
            [row[:4] for row in attribute_rows()],
            ATTRIBUTE[:4],
            "{file}: no column truth; a study of kind attribute has part, appraiser, trial, verdict, truth",
        ),
        (
            [["1", "2"]],
            ("a", "b"),
            "{file}: has neither a column verdict nor a column value; name the columns in the first line, "
            "attribute (verdicts) or gauge (values)",
        ),
        (
            [["1", "A", "1", "OK", "3"]],
            (*ATTRIBUTE[:4], "value"),
            "{file}: has verdict and value; choose one with --kind, attribute (verdicts) or gauge (values)",
        ),
        (
            [*gauge_rows()[:-1], [*gauge_rows()[-1][:3], "n/a"]],
            (*ATTRIBUTE[:3], "value"),
            "{file}, line 61: value is 'n/a'; write a number such as 12.5",
        ),
        (
            [*gauge_rows()[:-1], [*gauge_rows()[-1][:3], '"1,020"']],
            (*ATTRIBUTE[:3], "value"),
            "{file}, line 61: value is '1,020', elsewhere '9.00200'; write all of them with a decimal point, "
            "and thousands without a mark",
        ),
        (
            [row for row in gauge_rows() if row[1] == "A"],
            (*ATTRIBUTE[:3], "value"),
            "{file}: has 1 appraiser; a gauge study needs at least 2 (AIAG: 10 parts, 3 of each other)",
        ),
    ],
)
def test_bad_input_is_one_sentence(
    onspec: Run, table: Callable[..., Path], rows: list[list[str]], columns: tuple[str, ...], sentence: str
) -> None:
    path = table(rows, columns)
    assert onspec("msa", path) == (2, "", f"onspec: {sentence.format(file=path)}\n")


def test_files_that_are_no_tables(onspec: Run, tmp_path: Path) -> None:
    path = tmp_path / "study.csv"
    assert (
        onspec("msa", path)[2]
        == f"onspec: {path}: cannot be read (No such file or directory); check its name and rights\n"
    )
    path.write_bytes(b"part,appraiser\n\xff")
    assert onspec("msa", path) == (2, "", f"onspec: {path}: not UTF-8 text; save it again as CSV in UTF-8\n")
    path.write_bytes(b"")
    assert "neither a column verdict" in onspec("msa", path)[2]


def test_options_that_cannot_be(onspec: Run, table: Callable[..., Path]) -> None:
    path = table(attribute_rows())
    assert onspec("msa", path, "--kind", "both")[2] == "onspec: Unknown kind 'both'; choose attribute, gauge\n"
    assert "--tolerance is for measured values" in onspec("msa", path, "--tolerance", "1")[2]
    for width in ("0", "-1", "nan", "inf"):
        assert "--tolerance must be a number over 0" in onspec("msa", path, "--tolerance", width)[2]
    assert "no column value" in onspec("msa", path, "--kind", "gauge")[2]


@pytest.mark.parametrize(
    "model", [AgreementFigures, AppraiserFigures, PairFigures, Share, Kappa, GaugeFigures, Component]
)
def test_every_figure_is_explained(model: type[BaseModel]) -> None:
    plain = {"kind", "good", "defective", "trials", "parts", "acceptable", "tolerance"}
    assert [name for name in model.model_fields if f"`{name}`" not in DOCS and name not in plain] == []


def test_columns_and_words_are_documented() -> None:
    for column, names in COLUMNS.items():
        row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{column}` |"))
        assert sorted(re.findall(r"`(\w+)`", row)) == sorted({column, *(n.replace("partid", "part_id") for n in names)})
    row = next(line for line in DOCS.splitlines() if line.startswith("| `verdict` |"))
    assert {word.lower() for word in re.findall(r"\b[A-Z]{2,}\b", row)} == set(WORDS)


def test_limits_and_examples_in_the_text() -> None:
    for figure, limits in agreement.LIMITS.items():
        row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{figure}` |"))
        assert [int(n) / 100 for n in re.findall(r"[≥≤] (\d+) %", row)] == list(limits)
    for figure in ("of_study_variation", "of_tolerance"):
        row = next(line for line in DOCS.splitlines() if line.startswith(f"| `{figure}` of `gauge_rr` |"))
        assert [int(n) / 100 for n in re.findall(r"≤ (\d+) %", row)] == list(gauge.LIMITS)
    assert f"p > {gauge.POOLED_OVER}" in DOCS
    assert f"≥ {gauge.DISTINCT} | fewer" in DOCS
    assert "no miss in 48 verdicts" in DOCS
    assert f"as high as {clopper_pearson(0, 48)[1] * 100:.1f} %" in DOCS
    assert f"it takes {parts_needed(0.02, 0.975)} verdicts" in DOCS
    assert agreement.level("miss_rate", 0.0) is Level.ACCEPTABLE


def test_the_example_in_the_text_is_read(tmp_path: Path) -> None:
    text = re.findall(r"```csv\n(.*?)```", DOCS, re.DOTALL)[0]
    (tmp_path / "study.csv").write_text(text)
    study = read_study(tmp_path / "study.csv")
    assert isinstance(study, AttributeStudy)
    assert study.appraisers == ("Anna", "system")
