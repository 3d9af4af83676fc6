import logging

import pytest

from python_ml.console.logs import (
    configure_logging,
    format_event,
    get_logger,
    log_event,
)


@pytest.fixture(autouse=True)
def _logger_kept():
    logger = logging.getLogger("python_ml")
    kept = list(logger.handlers), logger.level, logger.propagate
    yield
    logger.handlers, logger.level, logger.propagate = kept


def test_an_event_is_one_line_of_key_and_value_on_stderr(capsys):
    configure_logging()
    log_event(get_logger("python_ml.test"), "rows_read", rows=3, empty=None)
    captured = capsys.readouterr()
    assert captured.out == ""
    (line,) = captured.err.splitlines()
    assert line.startswith("time=")
    assert line.endswith(
        "level=info logger=python_ml.test event=rows_read rows=3"
    )


@pytest.mark.parametrize(
    ("value", "written"),
    [
        ("plain", "plain"),
        ("two words", '"two words"'),
        ("", '""'),
        ("a=b", '"a=b"'),
        ('say "x"', r'"say \"x\""'),
        ("line\nbreak", r'"line\nbreak"'),
        ("back\\slash here", r'"back\\slash here"'),
        (1.5, "1.5"),
    ],
)
def test_a_value_is_quoted_where_it_must_be(value, written):
    assert format_event("x", value=value) == f"event=x value={written}"


def test_the_level_decides_what_is_shown(capsys):
    configure_logging("warning")
    logger = get_logger("python_ml.test")
    log_event(logger, "quiet")
    log_event(logger, "loud", level=logging.WARNING)
    assert "event=loud" in capsys.readouterr().err


def test_configuring_twice_does_not_double_the_lines(capsys):
    configure_logging()
    configure_logging()
    log_event(get_logger("python_ml.test"), "once")
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_another_librarys_way_of_logging_is_one_line_too(capsys):
    configure_logging()
    get_logger("python_ml.test").warning("two %s", "words")
    assert 'message="two words"' in capsys.readouterr().err
