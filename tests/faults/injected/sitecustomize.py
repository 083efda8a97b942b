"""Python imports this at the start of every process whose PYTHONPATH begins with this folder."""

import sys
from pathlib import Path

# By file, not by name: `tests` must not become importable in Airflow's processes.
sys.path.append(str(Path(__file__).resolve().parent.parent))
import kill_points

sys.path.pop()
kill_points.install()
