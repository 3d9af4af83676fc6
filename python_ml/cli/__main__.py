"""Run `swiftbolt` as `python -m python_ml.cli`."""

from python_ml.cli import main

if __name__ == "__main__":
    main()
