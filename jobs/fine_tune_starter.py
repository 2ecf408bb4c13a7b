"""Run `pipeline.lab.cli.fine_tune_starter`, also from a folder where nothing is installed."""

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

try:
    from pipeline.lab.cli.fine_tune_starter import main
except KeyboardInterrupt:  # before `main` can tell of it
    sys.exit(130)

if __name__ == "__main__":
    sys.exit(main())
