"""The command `swiftbolt`: one module for each group of commands.

Every command is a few lines: parse, call the library, print. What is heavy is
imported inside the commands, so that help and completion are quick.
"""

from python_ml.cli import (
    alerts,
    alpaca,
    backtesting,
    backups,
    daily,
    database,
    doctor,
    forecasting,
    ingestion,
    jobs,
    models,
    own_folder,
    symbols,
    training,
    web,
)
from python_ml.cli.root import main

__all__ = ["main"]

ingestion.ingest.add_command(alpaca.ingest_alpaca)

for command in (
    database.db,
    ingestion.ingest,
    symbols.symbols,
    daily.build,
    daily.validate,
    daily.run,
    training.train,
    training.update_weights,
    training.request_retrain,
    training.diff_training_set,
    models.models,
    forecasting.forecast,
    forecasting.check_drift,
    backtesting.backtest,
    backtesting.lookahead_check,
    alerts.alerts,
    jobs.jobs,
    doctor.doctor,
    backups.backup,
    backups.restore,
    web.dashboard,
    web.report,
    own_folder.init,
    own_folder.docs,
    own_folder.completion,
):
    main.add_command(command)
