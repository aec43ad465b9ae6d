"""Tests with other people's heavy programs, which a command of their own installs: see `dev.py test --help`."""

from __future__ import annotations

import os

collect_ignore = [] if "VISIONLOOP_LABEL_STUDIO" in os.environ else ["test_label_studio.py"]
