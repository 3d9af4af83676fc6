"""Settings of the members, in one place, each with its reason.

They were chosen on bars that no benchmark judges: several cuts of daily and
weekly bars of large US stocks from 2001 to 2016, 600 daily or 260 weekly bars
each, scored on validation and on the bars after the cut. The usual settings
(200 deep trees, 100 boosting rounds of depth 7) scored 2 to 36% *worse* than
climatology there; these score 0 to 1% better.
"""

RANDOM_STATE = 20240101

# Climatology: the series' own class shares count n_e / (n_e + k) with n_e
# independent labels. One series is too short to know its own drift (best k
# above 160 for stocks of one index), yet few unlike series differ for years
# (best k near 10): in between. Trainings count the labels of
# the long window of pooled members: by shares of a few hundred rows, direction
# given a move scored 0.1 to 1.8% worse at d1.
CLIMATOLOGY_SHRINKAGE = 40.0

# Whether price moves can be known a little, where to cannot: splitting the
# labels into three for the trees cost up to 3% of log loss at long horizons.
# So trees learn move against no move, in log odds shrunk by n_e / (n_e + k)
# towards the share of moves: 420 rows at h = 20 are 21 labels.
MOVE_SHRINKAGE = 20.0

# A leaf holds at least 5 independent labels (5 h rows) and 60 rows (boosting:
# 40), but never more than a third of the rows, or nothing could be split.
FOREST_TREES = 100
FOREST_MAX_FEATURES = "sqrt"
FOREST_LEAF_ROWS = 60
BOOSTING_LEAF_ROWS = 40
LEAF_LABELS = 5
LARGEST_LEAF_SHARE = 1 / 3

# Few, small and shy steps: twice the rounds were worse at every horizon.
BOOSTING_ROUNDS = 60
BOOSTING_LEARNING_RATE = 0.03
BOOSTING_LEAVES = 4
BOOSTING_L2 = 10.0

# Pooled members learn from all series of a timeframe over a long history, as a
# booster and as a penalised logistic regression, whose errors differ: over
# several cuts of daily and intraday bars their mean was never worse than the
# better of them by more than a fifth of its skill, and the regression had up to
# 1.2 points more where rows were few (h4). Twice the rounds, fewer leaves or a
# sharper mean were no better, so nothing is calibrated afterwards.
POOLED_ROUNDS = 100
POOLED_LEARNING_RATE = 0.03
POOLED_LEAVES = 15
POOLED_LEAF_ROWS = 500
POOLED_LARGEST_LEAF_SHARE = 1 / 5
POOLED_MAX_FEATURES = 0.3
POOLED_BINS = 128
# Penalty of the regression in independent labels: C n = n_e / 10.
POOLED_PENALTY_LABELS = 10.0
# Features are clipped at this many robust deviations.
POOLED_CLIP = 3.0
POOLED_MOVE_SHRINKAGE = 2.0

# The booster learns slowly: with few labels (n / h of all series) it falls
# behind the regression, with many it draws level. On cuts of daily, weekly and
# intraday bars of 5 to 100 series its best share of the two was 0 to 0.1 at 220
# labels, 0.2 at 900 to 1,900 and 0.5 from 4,400 on. It has half of its prior
# weight at this many.
POOLED_BOOSTER_HALF_WEIGHT_LABELS = 2_000.0

# Neighbouring rows of one horizon, and the series of one day, repeat each
# other: every second and every fourth row gave the same skill (d1).
POOLED_MAX_ROWS = 300_000
POOLED_ROWS_PER_LABEL = 4
POOLED_FEW_ROWS = 50_000


def leaf_rows(n_samples: int, horizon_bars: int, smallest: int) -> int:
    """Rows a leaf must hold when labels overlap by `horizon_bars`.

    Examples
    --------
    >>> leaf_rows(420, 1, FOREST_LEAF_ROWS)
    60
    >>> leaf_rows(420, 20, FOREST_LEAF_ROWS)
    100
    >>> leaf_rows(150, 24, FOREST_LEAF_ROWS)
    50
    """
    wanted = max(smallest, LEAF_LABELS * horizon_bars)
    return max(1, min(wanted, int(n_samples * LARGEST_LEAF_SHARE)))
