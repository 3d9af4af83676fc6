import datetime
import json

import numpy as np

from python_ml.console.json_text import to_json


def test_json_holds_no_number_that_is_not_finite():
    value = {
        "a": [np.float64("nan"), float("inf"), np.int64(3), np.bool_(True)],
        1: np.array([[1.5, np.nan]]),
        "at": datetime.datetime(2012, 6, 29, tzinfo=datetime.UTC),
        "on": datetime.date(2012, 6, 29),
        "set": {"x"},
        "none": None,
    }
    assert json.loads(to_json(value)) == {
        "a": [None, None, 3, True],
        "1": [[1.5, None]],
        "at": "2012-06-29T00:00:00+00:00",
        "on": "2012-06-29",
        "set": ["x"],
        "none": None,
    }
